//! The loop: capture → decode → direction → session → evaluate → verdict → sink.

mod assign;
mod connections;
mod decision;
mod doubts;
mod flows;
mod lists;
mod options;
mod packets;
mod points;
mod replies;
mod setup;
mod shard;
mod taps;
mod tuples;
mod workers;

use std::sync::OnceLock;

use crate::capture::Frame;
use crate::decode::{Decoded, Tunnels};
use crate::doubts::Alternative;
use crate::flow::{Direction, FlowTuple};
use crate::fragment::FragmentTable;
use crate::rules::{Entry, EntryIndex, RuleSet};
use crate::session::{Openings, SessionTable};
use crate::sources::Input;
use crate::stats::{FlowClass, Special, Stats};
use crate::verdict::{Judged, Judgement, Reason, Verdict};
use assign::Share;
pub(crate) use assign::{SHARDS, shard_of};
use decision::decision_of_entry;
pub(crate) use flows::{FlowReplay, FromOthers};
pub use options::{Midstream, Options, Sessions};
pub(crate) use setup::Setup;
use shard::{Judge, Shard};
pub(crate) use taps::Taps;
pub use workers::Workers;

/// Packets that one thread judges at once: few enough to stay in a near cache, enough for each shard to have some. Fewer
/// than these it judges sooner than others wake up.
const FEW: usize = 1 << 10;

/// A replay under way.
///
/// ```
/// use sgreplay::capture::{Frame, LinkType};
/// use sgreplay::decode::decode;
/// use sgreplay::replay::{Options, Replay};
/// use sgreplay::verdict::{Reason, Verdict};
///
/// # let text = "{security_groups: [{id: sg-a, rules: [
/// #   {direction: ingress, protocol: tcp, ports: 22, source: 203.0.113.0/24}]}]}";
/// let mut rules = sgreplay::parse::yaml("example.yaml", text)?;
/// rules.set_local(vec!["10.0.0.5/32".parse().unwrap()]);
/// let mut replay = Replay::new(&rules, Options::default());
///
/// // A SYN from 192.0.2.1, which no rule lets in.
/// let data = b"\x45\0\0\x28\0\0\0\0\x40\x06\0\0\xc0\0\x02\x01\x0a\0\0\x05\
///              \x9c\x40\0\x16\0\0\0\0\0\0\0\0\x50\x02\0\0\0\0\0\0";
/// let frame = Frame::new(1, LinkType::RAW, data).at(0);
/// let judged = replay.judge(&frame, &decode(frame.link, frame.data));
/// assert_eq!(judged.verdict(), (Verdict::Deny, Reason::Default));
/// # Ok::<(), sgreplay::parse::ParseError>(())
/// ```
#[derive(Debug)]
pub struct Replay<'r> {
    setup: Setup<'r>,
    shards: Vec<Shard>,
    /// What each shard has of the batch that is judged, and the shard of each packet.
    shares: Vec<Share>,
    assigned: Vec<u8>,
    fragments: FragmentTable,
    /// The time of the last frame that had one.
    now: u64,
    /// The connections of each shard, by their numbers there, as they are numbered among all, in order of opening. None
    /// where nobody has asked for answers.
    numbers: Vec<Vec<u64>>,
    connections: u64,
    /// The statistics of all shards, where somebody has asked since a packet was judged.
    stats: OnceLock<Stats>,
    workers: Workers,
}

impl<'r> Replay<'r> {
    /// Compiles the rules and starts with no sessions. Rules of a cloud that remembers no connections
    /// ([`Cloud::is_stateful`](crate::rules::Cloud::is_stateful)) judge every packet alone, whatever the options
    /// say.
    pub fn new(rules: &'r RuleSet, mut options: Options) -> Self {
        if !rules.cloud().is_stateful() {
            options.sessions = Sessions::Off;
        }
        // What an interface holds in all is for one shard to know.
        let shards = if options.max_sessions.is_some() { 1 } else { SHARDS };
        let setup = Setup::new(rules, options);
        let sessions = SessionTable::shards(rules.interfaces(), options.session_memory, shards);
        let sessions = sessions.into_iter();
        Self {
            shards: sessions.map(|sessions| Shard::new(&setup, sessions, shards)).collect(),
            setup,
            shares: (0..shards).map(|_| Share::default()).collect(),
            assigned: Vec::new(),
            fragments: FragmentTable::default(),
            now: 0,
            numbers: vec![Vec::new(); shards],
            connections: 0,
            stats: OnceLock::new(),
            workers: Workers::default(),
        }
    }

    /// The replay of packets that were judged and counted elsewhere.
    pub(crate) fn of_counted(rules: &'r RuleSet, options: Options, stats: Stats) -> Self {
        Self { stats: OnceLock::from(stats), ..Self::new(rules, options) }
    }

    /// Adds the listening ports that reading ahead has found.
    #[must_use]
    pub fn with_openings(mut self, openings: Openings) -> Self {
        self.setup.openings = openings;
        self
    }

    /// Maps the names that frames carry ([`Frame::interface`]) to positions of interfaces. Such frames are judged at
    /// that interface only, so two interfaces may have the same address.
    #[must_use]
    pub fn with_taps(mut self, taps: impl IntoIterator<Item = (String, usize)>) -> Self {
        self.setup.tap(taps);
        self
    }

    /// Sets the tunnels that are decoded; packets that ICMP errors quote are decoded inside the same tunnels.
    #[must_use]
    pub fn with_tunnels(mut self, tunnels: Tunnels) -> Self {
        self.setup.tunnels = tunnels;
        self
    }

    /// Judges large batches ([`Replay::judge_batch`]) on so many threads. No result depends on it.
    #[must_use]
    pub fn with_workers(mut self, workers: Workers) -> Self {
        self.workers = workers;
        self
    }

    /// The threads that judge, for what else can be done in parts.
    pub fn workers(&self) -> &Workers {
        &self.workers
    }

    /// Keeps alternative verdicts for [`Replay::take_alternatives`]; `with_members` includes those that depend on
    /// access among members of a group.
    pub(crate) fn keep_alternatives(&mut self, with_members: bool) {
        for shard in &mut self.shards {
            shard.alternatives = Some(Vec::new());
        }
        if with_members {
            self.setup.ask_for_members();
        }
    }

    /// What every packet is judged by.
    pub(crate) fn setup(&self) -> &Setup<'r> {
        &self.setup
    }

    /// Takes the alternative verdicts kept since the last call.
    pub(crate) fn take_alternatives(&mut self) -> Vec<Alternative> {
        let kept = self.shards.iter_mut().filter_map(|shard| shard.alternatives.as_mut());
        let mut kept: Vec<Alternative> = kept.flat_map(std::mem::take).collect();
        kept.sort_by_key(|of| of.frame);
        kept
    }

    /// Counts only selected packets; a connection is counted with its first selected packet (SEMANTICS F21).
    #[must_use]
    pub fn with_selection(mut self) -> Self {
        self.shards.iter_mut().for_each(|shard| shard.stats.select());
        self
    }

    /// Whether only some of the packets are reported.
    pub(crate) fn selects(&self) -> bool {
        self.shards.iter().any(|shard| shard.stats.selects())
    }

    /// Judges one frame. Frames come in the order of the capture.
    #[inline]
    pub fn judge(&mut self, frame: &Frame<'_>, decoded: &Decoded) -> Judged {
        self.stats.take();
        self.setup.openings.forget_starts();
        let (number, known) = self.assign(frame, decoded);
        let Self { setup, shards, numbers, connections, .. } = self;
        let number = usize::from(number);
        let (Some(shard), Some(numbers)) = (shards.get_mut(number), numbers.get_mut(number)) else {
            return Judged::NotEvaluated(Reason::NotLocal);
        };
        let mut judged = Judge { setup, shard }.judge(frame, decoded, known.as_ref());
        number_connections(&mut judged, numbers, connections);
        judged
    }

    /// Judges frames in the order of the capture, and hands each with its answer to `each`, selected or not. Gives the
    /// same answers as [`Replay::judge`], faster: several threads judge, where there are some ([`Replay::with_workers`]),
    /// and the sessions of several packets are fetched at once.
    ///
    /// All frames of the batch are judged and counted before the first is handed over.
    ///
    /// # Errors
    /// The first that `each` returns.
    pub fn judge_batch<E>(
        &mut self,
        inputs: &[Input<'_>],
        mut each: impl FnMut(&Input<'_>, &Judged) -> Result<(), E>,
    ) -> Result<(), E> {
        for inputs in inputs.chunks(self.at_once()) {
            self.judge_shares(inputs, true);
            let Self { shards, numbers, connections, assigned, .. } = self;
            let mut answers: Vec<_> =
                shards.iter_mut().map(|shard| shard.answers.iter_mut()).zip(numbers).collect();
            for (input, shard) in inputs.iter().zip(assigned) {
                let Some((answers, numbers)) = answers.get_mut(usize::from(*shard)) else {
                    continue;
                };
                let Some(judged) = answers.next() else { continue };
                number_connections(judged, numbers, connections);
                each(input, judged)?;
            }
        }
        Ok(())
    }

    /// Judges frames as [`Replay::judge_batch`] does, and only counts them. Connections that are opened here have no
    /// number that a later answer could tell.
    pub fn count_batch(&mut self, inputs: &[Input<'_>]) {
        for inputs in inputs.chunks(self.at_once()) {
            self.judge_shares(inputs, false);
        }
    }

    /// Packets that are shared out at once.
    fn at_once(&self) -> usize {
        if self.workers.is_none() { FEW } else { usize::MAX }
    }

    fn judge_shares(&mut self, inputs: &[Input<'_>], keeps: bool) {
        self.stats.take();
        self.setup.openings.forget_starts();
        self.assign_batch(inputs);
        let Self { setup, shards, shares, workers, .. } = self;
        let tasks = shards.iter_mut().zip(&*shares);
        let judge = |(shard, share): (&mut Shard, &Share)| {
            Judge { setup, shard }.judge_share(inputs, share, keeps);
        };
        match inputs.len() < FEW {
            true => tasks.for_each(judge),
            false => workers.each(tasks, judge),
        }
    }

    /// How packets are judged.
    pub fn options(&self) -> Options {
        self.setup.options
    }

    /// Sessions that were evicted for lack of memory: see [`Options::session_memory`].
    pub fn sessions_evicted(&self) -> u64 {
        self.shards.iter().map(|shard| shard.sessions.evicted()).sum()
    }

    /// Whether more packets may belong to a connection, given its interface, the direction in which it was judged, its
    /// tuple in the initiator's direction and its number. A capture whose time runs backwards may hold some even after
    /// `false`.
    pub fn goes_on(
        &self,
        interface: usize,
        direction: Direction,
        flow: &FlowTuple,
        connection: u64,
    ) -> bool {
        let shard = usize::from(self.shard_of(flow));
        let Some((shard, numbers)) = self.shards.get(shard).zip(self.numbers.get(shard)) else {
            return false;
        };
        let place = shard.sessions.places().slot(interface, direction, flow);
        let session = shard.sessions.at(&place, flow, self.now);
        session
            .is_some_and(|opened| number_among_all(opened.connection, numbers) == Some(connection))
    }

    /// Prefetches the sessions of connections that [`Replay::goes_on`] is asked of next.
    pub(crate) fn fetch_sessions<'f>(
        &self,
        of: impl Iterator<Item = (usize, Direction, &'f FlowTuple)>,
    ) {
        for (interface, direction, flow) in of {
            if let Some(shard) = self.shards.get(usize::from(self.shard_of(flow))) {
                let place = shard.sessions.places().slot(interface, direction, flow);
                shard.sessions.fetch(std::iter::once(&place));
            }
        }
    }

    /// Bytes that the indexes of all interfaces take.
    pub fn index_memory(&self) -> usize {
        let lists = self.setup.lists.iter().flat_map(|lists| [&lists.ingress, &lists.egress]);
        lists.map(|(_, compiled)| compiled.index().memory_usage()).sum()
    }

    /// The statistics so far.
    pub fn stats(&self) -> &Stats {
        self.stats.get_or_init(|| Stats::merged(self.shards.iter().map(|shard| &shard.stats)))
    }

    /// The entries of one interface and direction, in evaluation order; interfaces with the same entries share them, with
    /// all members of their groups ([`RuleSet::ordered_for_all`]).
    pub fn entries(&self, interface: usize, direction: Direction) -> &[Entry] {
        self.setup.entries(interface, direction)
    }

    /// The verdict on the connections of a flow class, and its reason.
    pub fn answer(&self, kind: &FlowClass) -> (Verdict, Reason) {
        if kind.special == Special::SessionLimit {
            return (Verdict::Deny, Reason::SessionLimit);
        }
        let entry = self.entries(kind.interface, kind.direction).get(kind.entry.0 as usize);
        decision_of_entry(entry)
    }

    /// The entries of one interface and direction, each with its position.
    pub fn indexed(
        &self,
        interface: usize,
        direction: Direction,
    ) -> impl Iterator<Item = (EntryIndex, &Entry)> {
        (0..).map(EntryIndex).zip(self.entries(interface, direction))
    }
}

/// Numbers the connections of an answer among those of all shards, in order of opening.
#[inline]
fn number_connections(judged: &mut Judged, numbers: &mut Vec<u64>, connections: &mut u64) {
    let Judged::At(first, second) = judged else { return };
    let mut number = |judgement: &mut Judgement| {
        let Some(own) = judgement.connection else { return };
        if judgement.opened.is_some() && own > numbers.len() as u64 {
            // Those between were only counted.
            numbers.resize(usize::try_from(own - 1).unwrap_or_default(), 0);
            *connections += 1;
            numbers.push(*connections);
        }
        judgement.connection = number_among_all(own, numbers);
    };
    number(first);
    if let Some(second) = second {
        number(second);
    }
}

/// The number among all of a connection that has this number in its shard.
#[inline]
fn number_among_all(own: u64, numbers: &[u64]) -> Option<u64> {
    let position = usize::try_from(own.checked_sub(1)?).ok()?;
    numbers.get(position).copied().filter(|number| *number > 0)
}
