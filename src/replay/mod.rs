//! The loop: capture → decode → direction → session → evaluate → verdict → sink.

mod connections;
mod decision;
mod doubts;
mod lists;
mod options;
mod packets;
mod points;
mod replies;
mod tuples;

use std::collections::HashMap;
use std::iter;

use foldhash::fast::FixedState;

use crate::capture::Frame;
use crate::decode::{Decoded, Tunnels};
use crate::direction::Interfaces;
use crate::doubts::{Alternative, UnknownMembers};
use crate::flow::{Direction, FlowTuple};
use crate::fragment::FragmentTable;
use crate::restrictions::CARRIER_BLOCKED;
use crate::rules::{Entry, EntryIndex, Layer, RuleSet, SharedLists};
use crate::session::{Openings, SessionTable};
use crate::sources::Input;
use crate::stats::{FlowClass, Hidden, Special, Stats};
use crate::verdict::{Judged, Reason, Verdict};
use decision::decision_of_entry;
use doubts::unknown_members;
use lists::Lists;
pub use options::{Midstream, Options, Sessions};

/// Packets whose sessions are fetched together. Enough to hide memory latency, few enough to
/// stay in the L1 cache.
const FETCHED_AT_ONCE: usize = 64;

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
    rules: &'r RuleSet,
    options: Options,
    lists: Vec<Lists>,
    shared: SharedLists,
    interfaces: Interfaces,
    /// Interfaces by the names that frames carry.
    taps: HashMap<String, usize, FixedState>,
    /// Interfaces by their ids, which flow logs name.
    ids: HashMap<String, usize, FixedState>,
    sessions: SessionTable,
    openings: Openings,
    fragments: FragmentTable,
    tunnels: Tunnels,
    /// Addresses alone do not determine the evaluation points: frames name their interfaces, or senders are
    /// ignored ([`Cloud::is_one_way`](crate::rules::Cloud::is_one_way)).
    by_frame: bool,
    /// Some interface has a network ACL.
    has_acls: bool,
    /// The time of the last frame that had one.
    now: u64,
    /// The number of the frame that is judged.
    frame: u64,
    /// Groups with unknown members, by list, ingress first.
    unknown_members: Vec<[UnknownMembers; 2]>,
    has_unknown_members: bool,
    /// Alternative verdicts, if the caller takes them.
    alternatives: Option<Vec<Alternative>>,
    stats: Stats,
}

impl<'r> Replay<'r> {
    /// Compiles the rules and starts with no sessions. Rules of a cloud that remembers no connections
    /// ([`Cloud::is_stateful`](crate::rules::Cloud::is_stateful)) judge every packet alone, whatever the options
    /// say.
    pub fn new(rules: &'r RuleSet, mut options: Options) -> Self {
        if !rules.cloud().is_stateful() {
            options.sessions = Sessions::Off;
        }
        let shared = SharedLists::new(rules);
        let lists = shared.first_interfaces().iter();
        let lists = lists.map(|interface| Lists::new(rules, *interface, options.index_memory));
        let stats = Stats::new(rules.carrier_ports().unwrap_or(&CARRIER_BLOCKED));
        let unknown_members = unknown_members(rules, &shared, false);
        Self {
            rules,
            options,
            interfaces: Interfaces::new(rules.interfaces()),
            taps: HashMap::default(),
            ids: rules
                .interfaces()
                .iter()
                .enumerate()
                .map(|(n, eni)| (eni.id.clone(), n))
                .collect(),
            sessions: SessionTable::new(rules.interfaces(), options.session_memory)
                .with_limit(options.max_sessions),
            openings: Openings::default(),
            fragments: FragmentTable::default(),
            tunnels: Tunnels::default(),
            by_frame: rules.cloud().is_one_way(),
            has_acls: rules.has_layer(Layer::NetworkAcl),
            now: 0,
            frame: 0,
            has_unknown_members: unknown_members.iter().flatten().any(|of| !of.is_empty()),
            unknown_members,
            alternatives: None,
            stats,
            lists: lists.collect(),
            shared,
        }
    }

    /// Adds the listening ports that reading ahead has found.
    #[must_use]
    pub fn with_openings(mut self, openings: Openings) -> Self {
        self.openings = openings;
        self
    }

    /// Maps the names that frames carry ([`Frame::interface`]) to positions of interfaces. Such frames are judged at
    /// that interface only, so two interfaces may have the same address.
    #[must_use]
    pub fn with_taps(mut self, taps: impl IntoIterator<Item = (String, usize)>) -> Self {
        self.taps = taps.into_iter().collect();
        self.by_frame |= !self.taps.is_empty();
        self
    }

    /// Sets the tunnels that are decoded; packets that ICMP errors quote are decoded inside the same tunnels.
    #[must_use]
    pub fn with_tunnels(mut self, tunnels: Tunnels) -> Self {
        self.tunnels = tunnels;
        self
    }

    /// Keeps alternative verdicts for [`Replay::take_alternatives`]; `with_members` includes those that depend on
    /// access among members of a group.
    pub(crate) fn keep_alternatives(&mut self, with_members: bool) {
        self.alternatives = Some(Vec::new());
        if with_members {
            self.unknown_members = unknown_members(self.rules, &self.shared, with_members);
            self.has_unknown_members =
                self.unknown_members.iter().flatten().any(|of| !of.is_empty());
        }
    }

    /// Whether some interface has a network ACL.
    pub(crate) fn has_acls(&self) -> bool {
        self.has_acls
    }

    /// Takes the alternative verdicts kept since the last call.
    pub(crate) fn take_alternatives(&mut self) -> Vec<Alternative> {
        self.alternatives.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Counts only selected packets; a connection is counted with its first selected packet (SEMANTICS F21).
    #[must_use]
    pub fn with_selection(mut self) -> Self {
        self.stats.select();
        self
    }

    /// Judges one frame. Frames come in the order of the capture.
    #[inline]
    pub fn judge(&mut self, frame: &Frame<'_>, decoded: &Decoded) -> Judged {
        let mut points = None;
        self.find_interfaces(frame, decoded, &mut points);
        let mut judged = Judged::NotEvaluated(Reason::NotLocal);
        self.evaluate_at(frame, decoded, &points, &mut judged);
        self.stats.count(frame, decoded, &judged, true);
        if let Judged::NotEvaluated(reason) = judged {
            self.note_unevaluated(frame, decoded, reason);
        }
        judged
    }

    /// Judges frames in the order of the capture, and hands each with its answer to `each`, selected or not. Gives the
    /// same answers as [`Replay::judge`], faster: the sessions of several packets are fetched at once.
    ///
    /// # Errors
    /// The first that `each` returns.
    pub fn judge_batch<E>(
        &mut self,
        inputs: &[Input<'_>],
        mut each: impl FnMut(&Input<'_>, &Judged) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut points = [const { None }; FETCHED_AT_ONCE];
        let mut answers = [const { Judged::NotEvaluated(Reason::NotLocal) }; FETCHED_AT_ONCE];
        for inputs in inputs.chunks(FETCHED_AT_ONCE) {
            for (points, input) in points.iter_mut().zip(inputs) {
                self.find_interfaces(&input.frame, input.decoded, points);
            }
            let places = points.iter().take(inputs.len()).flatten();
            let places = places.flat_map(|(first, second)| iter::once(first).chain(second));
            self.sessions.fetch(places);
            for ((judged, points), input) in answers.iter_mut().zip(&points).zip(inputs) {
                self.evaluate_at(&input.frame, input.decoded, points, judged);
            }
            self.stats.fetch(answers.iter().take(inputs.len()));
            for (judged, input) in answers.iter_mut().zip(inputs) {
                self.stats.count(&input.frame, input.decoded, judged, input.selected);
                if let Judged::NotEvaluated(reason) = &*judged {
                    // The filter can always leave out a packet between other hosts.
                    let may_be_chosen = input.in_window && *reason != Reason::NotLocal;
                    if input.selected || may_be_chosen {
                        self.note_unevaluated(&input.frame, input.decoded, *reason);
                    }
                }
                each(input, judged)?;
            }
        }
        Ok(())
    }

    #[cold]
    fn note_unevaluated(&mut self, frame: &Frame<'_>, decoded: &Decoded, reason: Reason) {
        let is_local = |addr| self.interfaces.find(addr).is_some();
        if let Some(hidden) = Hidden::classify(frame, decoded, reason, is_local) {
            self.stats.note_unevaluated(hidden, frame.number);
        }
    }

    /// How packets are judged.
    pub fn options(&self) -> Options {
        self.options
    }

    /// Sessions that were evicted for lack of memory: see [`Options::session_memory`].
    pub fn sessions_evicted(&self) -> u64 {
        self.sessions.evicted()
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
        let place = self.sessions.places().slot(interface, direction, flow);
        let session = self.sessions.at(&place, flow, self.now);
        session.is_some_and(|opened| opened.connection == connection)
    }

    /// Bytes that the indexes of all interfaces take.
    pub fn index_memory(&self) -> usize {
        let lists = self.lists.iter().flat_map(|lists| [&lists.ingress, &lists.egress]);
        lists.map(|(_, compiled)| compiled.index().memory_usage()).sum()
    }

    /// The statistics so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The entries of one interface and direction, in evaluation order; interfaces with the same entries share them, with
    /// all members of their groups ([`RuleSet::ordered_for_all`]).
    pub fn entries(&self, interface: usize, direction: Direction) -> &[Entry] {
        let lists = self.shared.list(interface).and_then(|list| self.lists.get(list));
        lists.map_or(&[], |lists| lists.list(direction).0.entries())
    }

    /// Which interfaces share their entries.
    pub fn shared_lists(&self) -> &SharedLists {
        &self.shared
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
