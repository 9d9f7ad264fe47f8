//! The loop: capture → decode → direction → session → evaluate → verdict → sink.

use std::collections::HashMap;
use std::iter;
use std::net::IpAddr;

use foldhash::fast::FixedState;

use crate::capture::{Frame, LogRecord};
use crate::compile;
use crate::decode::{Decoded, Tunnels, Undecodable, embedded};
use crate::direction::{AddressSet, Interfaces};
use crate::doubts::{Alternative, Supposition, UnknownMembers, Weighed};
use crate::evaluate::{Compiled, Evaluator};
use crate::flow::{Direction, FlowTuple, Fragment, Packet, Protocol, Transport};
use crate::fragment::FragmentTable;
use crate::restrictions::CARRIER_BLOCKED;
use crate::rules::{
    Assumption, Builtin, Entry, EntryIndex, EntryKind, Layer, Ordered, Policy, RuleSet, SharedLists,
};
use crate::session::{
    self, Initiator, Opened, Opening, Openings, SessionMatch, SessionSlot, SessionTable,
};
use crate::sources::Input;
use crate::stats::{FlowClass, Hidden, Special, Stats};
use crate::verdict::{Judged, Judgement, Reason, Reply, Stopped, Verdict};

/// How packets are judged.
///
/// ```
/// use sgreplay::replay::{Options, Sessions};
///
/// let options = Options::default().with_sessions(Sessions::Off).with_session_memory(64 << 20);
/// assert_eq!(options.sessions, Sessions::Off);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Stateful, as the cloud is; or every packet alone.
    pub sessions: Sessions,
    /// What to do with connections already under way.
    pub midstream: Midstream,
    /// The most sessions that one interface holds at once; beyond it new connections fail. What an
    /// instance can hold depends on its type (SEMANTICS A6).
    pub max_sessions: Option<usize>,
    /// The most bytes that the table of sessions takes; beyond it the sessions that have been idle longest
    /// are forgotten, and counted.
    pub session_memory: usize,
    /// The most bytes that the index of one interface's rules in one direction takes: see
    /// [`Compiled::within`].
    pub index_memory: usize,
}

/// Whether packets are judged as parts of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sessions {
    /// As the cloud does (SEMANTICS A6).
    On,
    /// Every packet alone, by the rules of its own direction.
    Off,
}

/// What to do with a connection of which the capture does not hold the opening packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Midstream {
    /// Infer who began it, and judge that.
    Infer,
    /// Take its first packet for the opening one.
    FirstPacket,
}

/// What is not known of groups that the rules of each list are about, ingress first.
fn unknown_members(
    rules: &RuleSet,
    shared: &SharedLists,
    with_members: bool,
) -> Vec<[UnknownMembers; 2]> {
    let of = |interface: &usize| {
        [Direction::Ingress, Direction::Egress]
            .map(|direction| UnknownMembers::new(rules, *interface, direction, with_members))
    };
    shared.first_interfaces().iter().map(of).collect()
}

impl Options {
    /// Stateful, or every packet alone.
    #[must_use]
    pub fn with_sessions(self, sessions: Sessions) -> Self {
        Self { sessions, ..self }
    }

    /// What to do with connections already under way.
    #[must_use]
    pub fn with_midstream(self, midstream: Midstream) -> Self {
        Self { midstream, ..self }
    }

    /// The most sessions of one interface at once.
    #[must_use]
    pub fn with_max_sessions(self, max_sessions: Option<usize>) -> Self {
        Self { max_sessions, ..self }
    }

    /// The most bytes of the session table.
    #[must_use]
    pub fn with_session_memory(self, session_memory: usize) -> Self {
        Self { session_memory, ..self }
    }

    /// The most bytes of the index of one interface's rules in one direction.
    #[must_use]
    pub fn with_index_memory(self, index_memory: usize) -> Self {
        Self { index_memory, ..self }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sessions: Sessions::On,
            midstream: Midstream::Infer,
            max_sessions: None,
            session_memory: session::MOST_MEMORY,
            index_memory: compile::MOST_MEMORY,
        }
    }
}

/// The lists of interfaces that share them, ordered and compiled.
#[derive(Debug)]
struct Lists {
    ingress: (Ordered, Compiled),
    egress: (Ordered, Compiled),
    /// What its network ACL, if it has one, makes of packets that answer, and where its entries begin among all.
    ingress_replies: Option<(Compiled, u32)>,
    egress_replies: Option<(Compiled, u32)>,
    /// Members of its groups, for the open question F1.
    members: AddressSet,
    /// Whether entries are about members, ingress first: an interface is not met by its own.
    about_members: [bool; 2],
}

impl Lists {
    fn of(&self, direction: Direction) -> &(Ordered, Compiled) {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    /// The entry of the network ACL that decides for a packet which answers another.
    fn reply(&self, direction: Direction, flow: &FlowTuple) -> Option<EntryIndex> {
        let replies = match direction {
            Direction::Ingress => &self.ingress_replies,
            Direction::Egress => &self.egress_replies,
        };
        let (compiled, first) = replies.as_ref()?;
        Some(EntryIndex(first.saturating_add(compiled.decide(flow).0)))
    }
}

/// What the rules say of the packet that opens a connection, or is judged alone.
struct Decision {
    verdict: Verdict,
    reason: Reason,
    entry: EntryIndex,
    /// The flow class of the connection: see [`Stats::flow_class`].
    flow_class: u32,
}

/// Where a packet is judged: nowhere, or at one of its ends, or at its sender and at its receiver.
type EvaluationPoints = Option<(SessionSlot, Option<SessionSlot>)>;

/// Packets whose sessions are fetched together. Enough to hide the wait for memory, few enough to
/// stay in the nearest cache.
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
    /// Names under which frames come from an interface, and which.
    taps: HashMap<String, usize, FixedState>,
    /// Interfaces by their ids, under which a flow log has its records.
    ids: HashMap<String, usize, FixedState>,
    sessions: SessionTable,
    openings: Openings,
    fragments: FragmentTable,
    tunnels: Tunnels,
    /// Where packets are judged is not a question of addresses alone: interfaces have names, or senders are
    /// of no account ([`Cloud::is_one_way`](crate::rules::Cloud::is_one_way)).
    by_frame: bool,
    /// Some interface has a network ACL.
    has_acls: bool,
    /// For frames without a time: that of the frame before.
    now: u64,
    /// The number of the frame that is judged.
    frame: u64,
    /// Of each list, ingress first.
    unknown_members: Vec<[UnknownMembers; 2]>,
    has_unknown_members: bool,
    /// Other verdicts that were possible, where somebody takes them.
    alternatives: Option<Vec<Alternative>>,
    stats: Stats,
}

#[expect(
    clippy::indexing_slicing,
    reason = "interfaces are positions in the rule set, and there is one element for each, and for each list"
)]
impl<'r> Replay<'r> {
    /// Compiles the rules and starts with no sessions. Rules of a cloud that remembers no connections
    /// ([`Cloud::is_stateful`](crate::rules::Cloud::is_stateful)) judge every packet alone, whatever the options
    /// say.
    pub fn new(rules: &'r RuleSet, mut options: Options) -> Self {
        if !rules.cloud().is_stateful() {
            options.sessions = Sessions::Off;
        }
        let compiled = |interface, direction| {
            let ordered = rules.ordered_for_all(interface, direction, &Assumption::default());
            let compiled = Compiled::within(&ordered, options.index_memory);
            let Some(stateless) = rules.stateless(interface, direction) else {
                return ((ordered, compiled), None);
            };
            let first = u32::try_from(ordered.entries().len()).unwrap_or(u32::MAX);
            let replies = Compiled::within(&stateless, options.index_memory);
            ((ordered.followed_by(&stateless), compiled), Some((replies, first)))
        };
        let shared = SharedLists::new(rules);
        let lists = shared.first_interfaces().iter().map(|interface| {
            let (ingress, ingress_replies) = compiled(*interface, Direction::Ingress);
            let (egress, egress_replies) = compiled(*interface, Direction::Egress);
            let is_met = |of: &Entry| of.is_about_members() && !of.has_no_members();
            let about_members =
                [&ingress, &egress].map(|(ordered, _)| ordered.entries().iter().any(is_met));
            let members = AddressSet::new(rules.group_members(*interface));
            Lists { ingress, egress, ingress_replies, egress_replies, members, about_members }
        });
        let lists: Vec<Lists> = lists.collect();
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
            lists,
            shared,
        }
    }

    /// The lists of an interface.
    #[inline]
    fn lists(&self, interface: usize) -> &Lists {
        &self.lists[self.shared.of_interfaces()[interface]]
    }

    /// Adds what a look ahead has shown about who accepts connections.
    #[must_use]
    pub fn with_openings(mut self, openings: Openings) -> Self {
        self.openings = openings;
        self
    }

    /// Says at which interface frames were captured, by the name that they carry
    /// ([`Frame::interface`]) and the interface's position: they are judged there alone, and two
    /// interfaces may have the same address.
    #[must_use]
    pub fn with_taps(mut self, taps: impl IntoIterator<Item = (String, usize)>) -> Self {
        self.taps = taps.into_iter().collect();
        self.by_frame |= !self.taps.is_empty();
        self
    }

    /// Says which tunnels the packets are decoded inside of; what an ICMP error quotes lies there too.
    #[must_use]
    pub fn with_tunnels(mut self, tunnels: Tunnels) -> Self {
        self.tunnels = tunnels;
        self
    }

    /// Keeps the other verdicts that are possible where something is not known, for [`Replay::take_alternatives`].
    ///
    /// Members of a group who reach each other may be weighed too.
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

    /// Hands over what was kept since it was last asked.
    pub(crate) fn take_alternatives(&mut self) -> Vec<Alternative> {
        self.alternatives.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Says that only some of the packets are reported: the counters leave out the others, and a connection is counted
    /// with the first packet of it that is reported (SEMANTICS F21).
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
        self.judge_seated(frame, decoded, &points, &mut judged);
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
                self.judge_seated(&input.frame, input.decoded, points, judged);
            }
            self.stats.fetch(answers.iter().take(inputs.len()));
            for (judged, input) in answers.iter_mut().zip(inputs) {
                self.stats.count(&input.frame, input.decoded, judged, input.selected);
                if let Judged::NotEvaluated(reason) = &*judged {
                    // What is known of a packet between other hosts is enough for the filter to leave it out.
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

    /// Judges a tuple by itself, as [`Sessions::Off`] judges a packet that crossed no router, and counts nothing. `None`
    /// where the answer hangs on something that is not known: [`Replay::judge`] counts it.
    #[inline]
    pub fn judge_tuple(&self, flow: &FlowTuple) -> Option<Judged> {
        if self.has_unknown_members {
            return None;
        }
        let [sender, receiver] = match self.by_frame {
            false => self.interfaces.judging(flow, None),
            true => self.judging_without_frame(flow),
        };
        let at = |interface, direction| self.judge_tuple_at(interface, direction, flow);
        Some(match (sender, receiver) {
            (None, None) => Judged::NotEvaluated(Reason::NotLocal),
            (Some(sender), None) => Judged::At(at(sender, Direction::Egress)?, None),
            (None, Some(receiver)) => Judged::At(at(receiver, Direction::Ingress)?, None),
            (Some(sender), Some(receiver)) => {
                let second = at(receiver, Direction::Ingress)?;
                Judged::At(at(sender, Direction::Egress)?, Some(second))
            }
        })
    }

    fn judge_tuple_at(
        &self,
        interface: usize,
        direction: Direction,
        flow: &FlowTuple,
    ) -> Option<Judgement> {
        let (ordered, _) = self.lists(interface).of(direction);
        let entry = self.entry(interface, direction, flow);
        let (verdict, reason) = entry_answer(ordered.entry(entry));
        let is_denied_egress = direction == Direction::Egress && verdict == Verdict::Deny;
        if is_denied_egress && self.has_mate(interface, flow.dst) {
            return None;
        }
        Some(Judgement {
            interface,
            direction,
            verdict,
            reason,
            decided_in: direction,
            entry,
            connection: None,
            local_began: direction == Direction::Egress,
            opened: None,
            stray: false,
            reply: None,
            flow_class: 0,
        })
    }

    #[cold]
    fn note_unevaluated(&mut self, frame: &Frame<'_>, decoded: &Decoded, reason: Reason) {
        let is_local = |addr| self.interfaces.find(addr).is_some();
        if let Some(hidden) = Hidden::classify(frame, decoded, reason, is_local) {
            self.stats.note_unevaluated(hidden, frame.number);
        }
    }

    /// Finds the interfaces that a packet is judged at.
    #[inline]
    fn find_interfaces(&self, frame: &Frame<'_>, decoded: &Decoded, points: &mut EvaluationPoints) {
        *points = None;
        let Decoded::Packet(Packet { flow, .. }) = decoded else { return };
        let judging = match self.by_frame || frame.log.is_some() {
            false => self.interfaces.judging(flow, None),
            true => self.judging(frame, flow),
        };
        let place = |interface, direction| self.sessions.places().slot(interface, direction, flow);
        let (first, direction) = match judging {
            [Some(sender), _] => (sender, Direction::Egress),
            [None, Some(receiver)] => (receiver, Direction::Ingress),
            [None, None] => return,
        };
        *points = Some((place(first, direction), None));
        if let ([Some(_), Some(receiver)], Some((_, second))) = (judging, points) {
            *second = Some(place(receiver, Direction::Ingress));
        }
    }

    /// The same where more than addresses says it.
    #[cold]
    fn judging(&self, frame: &Frame<'_>, flow: &FlowTuple) -> [Option<usize>; 2] {
        let [sender, receiver] = self.interfaces.judging(flow, self.captured_at(frame));
        [sender.filter(|_| !self.rules.cloud().is_one_way()), receiver]
    }

    #[cold]
    fn judging_without_frame(&self, flow: &FlowTuple) -> [Option<usize>; 2] {
        let [sender, receiver] = self.interfaces.judging(flow, None);
        [sender.filter(|_| !self.rules.cloud().is_one_way()), receiver]
    }

    #[cold]
    fn captured_at(&self, frame: &Frame<'_>) -> Option<usize> {
        let name = frame.interface?;
        let of_log = || frame.log.and_then(|_| self.ids.get(name));
        self.taps.get(name).or_else(of_log).copied()
    }

    #[inline]
    fn judge_seated(
        &mut self,
        frame: &Frame<'_>,
        decoded: &Decoded,
        points: &EvaluationPoints,
        judged: &mut Judged,
    ) {
        let now = frame.time_ns.unwrap_or(self.now);
        if now.saturating_sub(self.now) > session::INTERRUPTION {
            self.openings.resume(now);
        }
        self.now = now;
        self.frame = frame.number;
        match (decoded, points) {
            (Decoded::Failed(Undecodable { why, .. }), _) => {
                *judged = Judged::NotEvaluated((*why).into());
            }
            (Decoded::Packet(_), None) => *judged = Judged::NotEvaluated(Reason::NotLocal),
            (Decoded::Packet(packet), Some(points)) if packet.fragment == Fragment::No => {
                self.packet(frame, packet, points, judged);
            }
            (Decoded::Packet(packet), Some(points)) => self.fragment(frame, packet, points, judged),
        }
    }

    /// A fragment, once it is known which ports it belongs to.
    #[cold]
    fn fragment(
        &mut self,
        frame: &Frame<'_>,
        packet: &Packet,
        (first, second): &(SessionSlot, Option<SessionSlot>),
        judged: &mut Judged,
    ) {
        let Some(packet) = self.fragments.complete(*packet, self.now) else {
            *judged = Judged::NotEvaluated(Reason::FragmentWithoutFirst);
            return;
        };
        let place = |of: &SessionSlot| {
            self.sessions.places().slot(of.interface(), of.direction(), &packet.flow)
        };
        let points = (place(first), second.as_ref().map(place));
        self.packet(frame, &packet, &points, judged);
    }

    #[inline]
    fn packet(
        &mut self,
        frame: &Frame<'_>,
        packet: &Packet,
        (first, second): &(SessionSlot, Option<SessionSlot>),
        judged: &mut Judged,
    ) {
        self.openings.observe(packet, frame.time_ns);
        if let Some(log) = frame.log {
            self.openings.observe_record(packet, log);
        }
        let mut opens = None;
        let judgement = |judgement| *judged = Judged::At(judgement, None);
        self.judge_at(first, frame, packet, &mut opens, judgement);
        if let (Some(second), Judged::At(_, at_second)) = (second, &mut *judged) {
            let judgement = |judgement| *at_second = Some(judgement);
            self.judge_at(second, frame, packet, &mut opens, judgement);
            if opens.is_some() {
                self.note_denied_elsewhere(first, second, packet, judged);
            }
        }
        if self.has_acls {
            self.replies((first, second.as_ref()), packet, judged);
        }
    }

    /// Both ends must let a connection open (SEMANTICS A5): where one denies it, it never existed at the other, and
    /// the other end's own opening is judged there anew.
    #[cold]
    fn note_denied_elsewhere(
        &mut self,
        first: &SessionSlot,
        second: &SessionSlot,
        packet: &Packet,
        judged: &Judged,
    ) {
        let Judged::At(at_first, Some(at_second)) = judged else { return };
        let opened = |of: &Judgement| of.opened.is_some();
        if opened(at_first) && opened(at_second) && at_first.verdict != at_second.verdict {
            let let_through = if at_first.verdict == Verdict::Allow { first } else { second };
            self.sessions.deny_elsewhere(let_through, packet);
        }
    }

    /// Holds a packet of allowed connections that answers the one which opened them against the network ACLs, which
    /// remember no connections (SEMANTICS H6).
    fn replies(
        &mut self,
        (first, second): (&SessionSlot, Option<&SessionSlot>),
        packet: &Packet,
        judged: &mut Judged,
    ) {
        let Judged::At(at_first, at_second) = judged else { return };
        let is_cut = |place: &SessionSlot, judgement: &Judgement| {
            judgement.reason == Reason::ConnectionDenied
                || self.sessions.is_stopped(place, &packet.flow)
        };
        let mut cut = is_cut(first, at_first)
            || second.zip(at_second.as_ref()).is_some_and(|(place, at)| is_cut(place, at));
        self.reply(first, packet, at_first, cut);
        cut |= at_first.is_stopped();
        if let Some((place, judgement)) = second.zip(at_second.as_mut()) {
            self.reply(place, packet, judgement, cut);
        }
    }

    /// The same at one interface. `cut` says that another has stopped an answer before, or has denied the connection.
    fn reply(
        &mut self,
        place: &SessionSlot,
        packet: &Packet,
        judgement: &mut Judgement,
        cut: bool,
    ) {
        let (interface, direction) = (place.interface(), place.direction());
        // An error about a packet is no packet of its connection.
        let is_error = packet.flow.is_icmp_error() && judgement.connection.is_some();
        if judgement.verdict != Verdict::Allow
            || judgement.direction == judgement.decided_in && !is_error
        {
            return;
        }
        let lists = self.lists(interface);
        let Some(entry) = lists.reply(direction, &packet.flow) else { return };
        let Some(decides) = lists.of(direction).0.entry(entry) else { return };
        let (opened_as, mut stopped, mut other_entry) = (judgement.flow_class, Stopped::No, entry);
        if decides.policy == Policy::Drop {
            (judgement.verdict, judgement.reason) = (Verdict::Deny, decides.kind.into());
            judgement.decided_in = direction;
            other_entry = std::mem::replace(&mut judgement.entry, entry);
            stopped = match (is_error || self.sessions.mark_stopped(place, &packet.flow), cut) {
                (true, _) => Stopped::Again,
                (false, true) => Stopped::FirstHere,
                (false, false) => Stopped::First,
            };
            let opening = packet.flow.reversed();
            judgement.flow_class =
                self.stats.flow_class(interface, entry, &opening, direction, Special::Reply);
        }
        judgement.reply = Some(Reply { other_entry, opened_as, stopped });
    }

    /// Judges a packet at one interface. `opens` is the number of the connection that it has opened at its
    /// other end, if it has. `put` writes the judgement where it stays: to move one takes longer than to find
    /// it.
    #[inline]
    fn judge_at(
        &mut self,
        place: &SessionSlot,
        frame: &Frame<'_>,
        packet: &Packet,
        opens: &mut Option<u64>,
        put: impl FnOnce(Judgement),
    ) {
        if self.options.sessions == Sessions::Off {
            return put(self.alone(place, packet, Special::No));
        }
        if matches!(packet.flow.transport, Transport::Icmp { .. })
            && !session::is_tracked_icmp(&packet.flow)
        {
            return put(self.untracked(place, frame, packet));
        }
        // SEMANTICS A5.
        match self.sessions.track(place, packet, self.now) {
            SessionMatch::Live(opened) => {
                put(in_session(place, opened, self.stats.entry_of(opened.flow_class)));
            }
            SessionMatch::AfterClose => put(self.alone(place, packet, Special::Stray)),
            standing => put(self.opening(place, packet, frame.log, standing, opens)),
        }
    }

    /// An ICMP message that is neither query nor reply. An error passes with the session of the packet that it
    /// complains about, and would not exist without it (SEMANTICS F18); every other is judged by itself. Errors that
    /// always pass do so by that rule (A8).
    #[cold]
    fn untracked(&mut self, at: &SessionSlot, frame: &Frame<'_>, packet: &Packet) -> Judgement {
        let related = packet.flow.is_icmp_error().then(|| self.related(at, frame, packet));
        related.flatten().unwrap_or_else(|| self.alone(at, packet, Special::No))
    }

    fn related(&self, at: &SessionSlot, frame: &Frame<'_>, error: &Packet) -> Option<Judgement> {
        let quoted = embedded(frame.link, frame.data, &self.tunnels)?;
        let (interface, direction) = (at.interface(), at.direction());
        let place = self.sessions.places().slot(interface, direction.opposite(), &quoted.flow);
        let opened = self.sessions.at(&place, &quoted.flow, self.now)?;
        let (ordered, _) = self.lists(interface).of(direction);
        let entry = ordered.entry(self.entry(interface, direction, &error.flow));
        let always = entry.is_some_and(|entry| matches!(entry.kind, EntryKind::System(_)));
        (!always).then(|| in_session(at, opened, self.stats.entry_of(opened.flow_class)))
    }

    /// A packet of no live session: it opens one, or its connection was under way before.
    fn opening(
        &mut self,
        place: &SessionSlot,
        packet: &Packet,
        log: Option<&LogRecord>,
        standing: SessionMatch,
        opens: &mut Option<u64>,
    ) -> Judgement {
        let (interface, direction) = (place.interface(), place.direction());
        let timeouts = &self.rules.interfaces()[interface].timeouts;
        let (initiator, opening) = match (standing, self.options.midstream) {
            (_, Midstream::Infer) if let Some(log) = log => {
                self.openings.initiator_of_record(packet, log)
            }
            (SessionMatch::Unknown, Midstream::Infer) => {
                self.openings.initiator(packet, self.now, timeouts)
            }
            (SessionMatch::Unknown, Midstream::FirstPacket)
                if packet.tcp_flags.is_some_and(|flags| !flags.opens()) =>
            {
                (Initiator::Sender, Opening::FirstSender)
            }
            _ => (Initiator::Sender, Opening::Seen),
        };
        // Whether a packet that was cut before its flags opens a connection is not known.
        if (packet.flow.proto, packet.tcp_flags) == (Protocol::TCP, None) && log.is_none() {
            self.stats.note_unevaluated(Hidden::Truncated, self.frame);
        }
        // No reply opens a connection: one that nobody asked for is judged by itself (SEMANTICS F17).
        if (initiator, log) == (Initiator::Sender, None) && session::is_icmp_reply(&packet.flow) {
            return self.alone(place, packet, Special::No);
        }
        let (flow, judged) = match initiator {
            Initiator::Sender => (packet.flow, direction),
            Initiator::Receiver => (packet.flow.reversed(), direction.opposite()),
        };
        let mut decision = self.decide(interface, judged, &flow, Special::No);
        if decision.verdict == Verdict::Allow
            && self.options.max_sessions.is_some()
            && !self.sessions.has_room(place, &packet.flow, self.now)
        {
            decision.verdict = Verdict::Deny;
            decision.reason = Reason::SessionLimit;
            let special = Special::SessionLimit;
            decision.flow_class =
                self.stats.flow_class(interface, decision.entry, &flow, judged, special);
        }
        let guessed = opening == Opening::FirstSender && self.options.midstream == Midstream::Infer;
        if guessed || self.has_unknown_members {
            self.note_doubts(interface, judged, &flow, &decision, guessed);
        }
        let connection = *opens.get_or_insert_with(|| self.stats.next_connection());
        let opened = Opened {
            connection,
            allowed: decision.verdict == Verdict::Allow,
            direction: judged,
            flow_class: decision.flow_class,
        };
        self.sessions.open(place, packet, self.now, opened);
        Judgement {
            interface,
            direction,
            verdict: decision.verdict,
            reason: decision.reason,
            decided_in: judged,
            entry: decision.entry,
            connection: Some(connection),
            local_began: judged == Direction::Egress,
            opened: Some((opening, flow)),
            stray: false,
            reply: None,
            flow_class: decision.flow_class,
        }
    }

    /// Counts a connection that would get another verdict if its other end had begun it, where it is `guessed` who did,
    /// or if its far end were a member of a group of which nobody has said who its members are (SEMANTICS F26).
    #[cold]
    fn note_doubts(
        &mut self,
        interface: usize,
        judged: Direction,
        flow: &FlowTuple,
        decision: &Decision,
        guessed: bool,
    ) {
        // The session table is full, whoever began the connection.
        if decision.reason == Reason::SessionLimit {
            return;
        }
        let mut weighed = Vec::new();
        let mut all = self.weigh_members(interface, judged, flow, &mut weighed, false);
        if guessed {
            let (other, reversed) = (judged.opposite(), flow.reversed());
            let (ordered, _) = self.lists(interface).of(other);
            let entry = ordered.entry(self.entry(interface, other, &reversed));
            let otherwise = entry.map_or(Verdict::Deny, |entry| entry.policy.into());
            if otherwise != decision.verdict {
                self.stats.note_guess(self.frame);
            }
            let supposed = Supposition { receiver_began: true, ..Supposition::default() };
            weighed.push((supposed, otherwise));
            all &= self.weigh_members(interface, other, &reversed, &mut weighed, true);
        }
        if !all {
            self.stats.note_unweighed(self.frame);
        }
        for (supposed, verdict) in weighed {
            if verdict != decision.verdict && !supposed.members_of.is_empty() {
                self.stats.note_doubt(verdict, supposed.clone(), self.frame);
            }
            if let Some(kept) = &mut self.alternatives {
                kept.push(Alternative { frame: self.frame, supposed, verdict });
            }
        }
    }

    /// Adds the verdicts of an opening packet, by who its far end may be. Whether all were asked for.
    fn weigh_members(
        &mut self,
        interface: usize,
        direction: Direction,
        flow: &FlowTuple,
        weighed: &mut Weighed,
        receiver_began: bool,
    ) -> bool {
        // Of an interface that is listed it is known which groups it has.
        let is_listed = self.interfaces.find(flow.peer(direction)).is_some();
        let list = self.shared.of_interfaces()[interface];
        let unknown = &mut self.unknown_members[list][direction as usize];
        if is_listed || unknown.is_empty() {
            return true;
        }
        let memory = self.options.index_memory;
        let Some(verdicts) = unknown.verdicts((self.rules, interface), flow, direction, memory)
        else {
            return false;
        };
        let supposed = |members_of| Supposition { receiver_began, members_of };
        weighed.extend(verdicts.into_iter().map(|(of, verdict)| (supposed(of), verdict)));
        true
    }

    /// A packet that is judged by itself, whatever connection it may belong to.
    fn alone(&mut self, place: &SessionSlot, packet: &Packet, special: Special) -> Judgement {
        let (interface, direction) = (place.interface(), place.direction());
        let mut decision = self.decide(interface, direction, &packet.flow, special);
        if decision.reason == Reason::System && !packet.crossed_no_router() {
            decision = self.decide_routed(interface, direction, &packet.flow, special);
        }
        if self.has_unknown_members && special != Special::Stray {
            self.note_doubts(interface, direction, &packet.flow, &decision, false);
        }
        let Decision { verdict, reason, entry, flow_class } = decision;
        Judgement {
            interface,
            direction,
            verdict,
            reason,
            decided_in: direction,
            entry,
            connection: None,
            local_began: direction == Direction::Egress,
            opened: None,
            stray: special == Special::Stray,
            reply: None,
            flow_class,
        }
    }

    /// Asks the rules about a packet that may have crossed a router: only on its own link is neighbour discovery
    /// exempt (SEMANTICS F19).
    #[cold]
    fn decide_routed(
        &mut self,
        interface: usize,
        direction: Direction,
        flow: &FlowTuple,
        special: Special,
    ) -> Decision {
        let (ordered, _) = self.lists(interface).of(direction);
        let decides = |entry: &Entry| {
            entry.kind != EntryKind::System(Builtin::NeighbourDiscovery)
                && entry.matcher.fails_on(flow, direction).is_none()
                && self.rules.is_met_at(interface, entry, flow.peer(direction))
        };
        let position = ordered.entries().iter().position(decides);
        let entry = EntryIndex(position.and_then(|at| u32::try_from(at).ok()).unwrap_or(u32::MAX));
        self.decision(interface, direction, flow, entry, special)
    }

    /// Asks the evaluator.
    #[inline]
    fn decide(
        &mut self,
        interface: usize,
        direction: Direction,
        flow: &FlowTuple,
        special: Special,
    ) -> Decision {
        let entry = self.entry(interface, direction, flow);
        self.decision(interface, direction, flow, entry, special)
    }

    /// The entry that decides at an interface.
    #[inline]
    fn entry(&self, interface: usize, direction: Direction, flow: &FlowTuple) -> EntryIndex {
        let lists = self.lists(interface);
        let (ordered, compiled) = lists.of(direction);
        let entry = compiled.decide(flow);
        // Only entries about members match more than they do at the interface.
        if lists.about_members[direction as usize]
            && ordered.entry(entry).is_some_and(Entry::is_about_members)
            && self.interfaces.has(interface, flow.peer(direction))
        {
            return self.entry_without_own(interface, direction, flow);
        }
        entry
    }

    /// The same for a packet between addresses of the interface, which is no member of its own group.
    #[cold]
    fn entry_without_own(
        &self,
        interface: usize,
        direction: Direction,
        flow: &FlowTuple,
    ) -> EntryIndex {
        let (ordered, _) = self.lists(interface).of(direction);
        let decides = |entry: &Entry| {
            entry.matcher.fails_on(flow, direction).is_none()
                && self.rules.is_met_at(interface, entry, flow.peer(direction))
        };
        let position = ordered.entries().iter().position(decides);
        EntryIndex(position.and_then(|at| u32::try_from(at).ok()).unwrap_or(u32::MAX))
    }

    /// Whether another member of its groups has the address.
    #[cold]
    fn has_mate(&self, interface: usize, addr: IpAddr) -> bool {
        let may_be = self.lists(interface).members.contains(addr);
        // The interface itself is among the members.
        may_be
            && (!self.interfaces.has(interface, addr)
                || self.rules.has_fellow_member(interface, addr))
    }

    /// The answer of an entry.
    #[inline]
    fn decision(
        &mut self,
        interface: usize,
        direction: Direction,
        flow: &FlowTuple,
        entry: EntryIndex,
        special: Special,
    ) -> Decision {
        let (ordered, _) = self.lists(interface).of(direction);
        let (verdict, reason) = entry_answer(ordered.entry(entry));
        let is_denied_egress = direction == Direction::Egress && verdict == Verdict::Deny;
        if is_denied_egress && self.has_mate(interface, flow.dst) {
            self.stats.count_open_question();
        }
        let flow_class = self.stats.flow_class(interface, entry, flow, direction, special);
        Decision { verdict, reason, entry, flow_class }
    }

    /// How packets are judged.
    pub fn options(&self) -> Options {
        self.options
    }

    /// Sessions that were forgotten for want of memory: see [`Options::session_memory`].
    pub fn sessions_evicted(&self) -> u64 {
        self.sessions.evicted()
    }

    /// Whether packets may still belong to a connection, of which the interface, the direction in which it was judged,
    /// its tuple in the initiator's direction and its number are known. Should time run backwards, they may all the
    /// same.
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

    /// What has been counted so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The entries of one interface and direction, in evaluation order; interfaces with the same entries share them, with
    /// all members of their groups ([`RuleSet::ordered_for_all`]).
    pub fn entries(&self, interface: usize, direction: Direction) -> &[Entry] {
        let lists = self.shared.of(interface).and_then(|list| self.lists.get(list));
        lists.map_or(&[], |lists| lists.of(direction).0.entries())
    }

    /// Which interfaces share their entries.
    pub fn shared_lists(&self) -> &SharedLists {
        &self.shared
    }

    /// What became of the connections of a kind, and why.
    pub fn answer(&self, kind: &FlowClass) -> (Verdict, Reason) {
        if kind.special == Special::SessionLimit {
            return (Verdict::Deny, Reason::SessionLimit);
        }
        entry_answer(self.entries(kind.interface, kind.direction).get(kind.entry.0 as usize))
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

/// The answer of an entry; no packet falls through all of them.
#[inline]
fn entry_answer(entry: Option<&Entry>) -> (Verdict, Reason) {
    match entry {
        Some(Entry { policy, kind, .. }) => ((*policy).into(), (*kind).into()),
        None => (Verdict::Deny, Reason::Default),
    }
}

/// The answer for what belongs to a session that is known.
#[inline]
fn in_session(at: &SessionSlot, opened: Opened, entry: EntryIndex) -> Judgement {
    let (verdict, reason) = match opened.allowed {
        true => (Verdict::Allow, Reason::Session),
        false => (Verdict::Deny, Reason::ConnectionDenied),
    };
    Judgement {
        interface: at.interface(),
        direction: at.direction(),
        verdict,
        reason,
        decided_in: opened.direction,
        entry,
        connection: Some(opened.connection),
        local_began: opened.direction == Direction::Egress,
        opened: None,
        stray: false,
        reply: None,
        flow_class: opened.flow_class,
    }
}
