//! What a run counts. Nothing is dropped silently: the verdicts add up to the packets judged.
//!
//! Memory does not grow with the packets: there is one counter per entry, and one per kind of
//! connection (an entry, a protocol, a destination port), up to a limit.

mod peers;
mod unevaluated;

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::capture::Frame;
use crate::decode::{Decoded, tunnel_of};
use crate::doubts::{Doubts, Supposition};
use crate::flow::{Direction, FlowTuple, Packet, Transport};
use crate::restrictions::{Obstacle, SMTP, obstacle};
use crate::rules::EntryIndex;
use crate::session::Opening;
use crate::verdict::{Judged, Judgement, Reason, Reply, Stopped, Verdict};
pub(crate) use peers::Room as PeerRoom;
pub use peers::{PeerCount, Peers};
pub(crate) use unevaluated::Hidden;
pub use unevaluated::{Unevaluated, UnevaluatedCount};

/// Packets, bytes on the wire and connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
    /// Connections.
    pub connections: u64,
}

impl Count {
    fn packet(&mut self, bytes: u64, opens: bool) {
        self.packets += 1;
        self.bytes += bytes;
        self.connections += u64::from(opens);
    }
}

impl std::ops::Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            packets: self.packets + other.packets,
            bytes: self.bytes + other.bytes,
            connections: self.connections + other.connections,
        }
    }
}

/// Counters by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByVerdict {
    /// Allowed wherever they were judged.
    pub allowed: u64,
    /// Denied somewhere.
    pub denied: u64,
    /// Not judged.
    pub not_evaluated: u64,
}

impl ByVerdict {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.allowed + self.denied + self.not_evaluated
    }

    fn add(&mut self, verdict: Verdict, count: u64) {
        *self.count_mut(verdict) += count;
    }

    fn count_mut(&mut self, verdict: Verdict) -> &mut u64 {
        match verdict {
            Verdict::Allow => &mut self.allowed,
            Verdict::Deny => &mut self.denied,
            Verdict::NotEvaluated => &mut self.not_evaluated,
        }
    }
}

/// Connections of one kind: decided by one entry, in one protocol, to one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowClass {
    /// Position of the interface.
    pub interface: usize,
    /// The direction in which they were opened.
    pub direction: Direction,
    /// The entry that decided.
    pub entry: EntryIndex,
    /// The first of them, in its initiator's direction; without ports where there are so many kinds that this
    /// one is told apart from others by its protocol only.
    pub example: FlowTuple,
    /// The frame that opened it.
    pub first_frame: u64,
    /// Different peers.
    pub peers: Peers,
    /// What is likely to block them on the way, if the rules do not.
    pub obstacle: Option<Obstacle>,
    /// What tells them from ordinary connections.
    pub special: Special,
}

/// What tells a kind from that of ordinary connections which the same entry decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Special {
    /// Nothing.
    #[default]
    No,
    /// The entry allows them, and there was no room for their sessions.
    SessionLimit,
    /// Packets after their connection closed, each judged by itself (SEMANTICS F16).
    Stray,
    /// Connections that were allowed, and answers of which a network ACL stops (SEMANTICS H6).
    Reply,
}

impl FlowClass {
    /// Notes the peer of a connection, or of a packet that is judged alone.
    fn add_peer(&mut self, frame: &Frame<'_>, flow: &FlowTuple, room: &mut peers::Room) {
        // An answer goes the other way than its connection.
        let peer = match self.special {
            Special::Reply => flow.peer(self.direction.opposite()),
            _ => flow.peer(self.direction),
        };
        if self.first_frame == 0 {
            self.first_frame = frame.number;
            if self.example.transport != Transport::Absent {
                self.example = *flow;
            }
        }
        self.peers.add_within(peer, room);
    }
}

/// What changes of a kind with every packet, apart from the rest, so that it stays in the nearest cache.
#[derive(Clone, Copy, Debug)]
struct Counter {
    count: Count,
    entry: EntryIndex,
    /// Further peers change nothing.
    has_peers: bool,
}

/// Beyond this, connections of a new kind are told apart by protocol only. A scan has 65,536 kinds.
const MOST_KINDS: usize = 1 << 18;

/// A port's remainder by 64, as a bit.
#[inline]
fn remainder(port: u16) -> u64 {
    1 << (port % 64)
}

/// Everything that a summary says.
#[derive(Debug)]
pub struct Stats {
    /// Packets by verdict and reason.
    answers: [[u64; Reason::ALL.len()]; Verdict::ALL.len()],
    connections: ByVerdict,
    cut: u64,
    /// Answers that network ACLs let pass, by interface, direction and entry.
    replies: HashMap<(usize, Direction, EntryIndex), Count, FixedState>,
    strays: ByVerdict,
    unevaluated: Unevaluated,
    midstream: [u64; Opening::INFERRED.len()],
    /// Connections whose verdict hangs on a guess, and the first frame of the first.
    guessed: Option<(u64, u64)>,
    /// Connections that would be allowed, and that would be denied, if something were so.
    doubts: [Doubts; 2],
    /// Connections of which nobody can ask what would be if something were so, and the first frame of the first.
    unweighed: Option<(u64, u64)>,
    bytes: u64,
    /// Earliest and latest.
    times: (u64, u64),
    opened: u64,
    open_question: u64,
    carrier_ports: Vec<u16>,
    /// The remainders of ports where there may be an obstacle: nearly all ports have another.
    obstacles_at: u64,
    /// By what tells kinds apart, one number to be hashed.
    kind_of: HashMap<u128, u32, FixedState>,
    kinds: Vec<FlowClass>,
    /// One for each kind.
    counters: Vec<Counter>,
    /// For the peers of all kinds.
    room: peers::Room,
    /// Where only some packets are reported, what is known of each connection by its number.
    marks: Option<Vec<Mark>>,
}

/// What is known of a connection that may be counted later than it was opened.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    opening: Option<Opening>,
    denied: bool,
    /// An answer was stopped before the connection was counted.
    cut: bool,
    counted: bool,
}

impl Stats {
    /// Nothing counted yet; `carrier_ports` are the ports that carriers block on the way.
    pub fn new(carrier_ports: &[u16]) -> Self {
        Self {
            answers: Default::default(),
            connections: ByVerdict::default(),
            cut: 0,
            replies: HashMap::default(),
            strays: ByVerdict::default(),
            unevaluated: Unevaluated::default(),
            midstream: Default::default(),
            guessed: None,
            doubts: <[Doubts; 2]>::default(),
            unweighed: None,
            bytes: 0,
            times: (u64::MAX, 0),
            opened: 0,
            open_question: 0,
            carrier_ports: carrier_ports.to_vec(),
            obstacles_at: carrier_ports
                .iter()
                .fold(remainder(SMTP), |all, port| all | remainder(*port)),
            kind_of: HashMap::default(),
            kinds: Vec::new(),
            counters: Vec::new(),
            room: peers::Room::default(),
            marks: None,
        }
    }

    /// Counts only packets that are selected from now on, and connections with the first such packet.
    pub(crate) fn select(&mut self) {
        self.marks = Some(Vec::new());
    }

    /// The number of the next connection.
    pub(crate) fn next_connection(&mut self) -> u64 {
        self.opened += 1;
        self.opened
    }

    /// Counts a connection whose verdict rests on the answer to SEMANTICS F1.
    pub(crate) fn count_open_question(&mut self) {
        self.open_question += 1;
    }

    /// Connections (without sessions: packets) between members of a group that a custom egress rule
    /// denies, and that intra-group access would allow if it went first (SEMANTICS F1).
    pub fn open_question(&self) -> u64 {
        self.open_question
    }

    /// The kind of a connection, or of a packet that is judged alone.
    pub(crate) fn flow_class(
        &mut self,
        interface: usize,
        entry: EntryIndex,
        flow: &FlowTuple,
        direction: Direction,
        special: Special,
    ) -> u32 {
        let port = flow.transport.ports().map(|(_, dst)| dst);
        let port = port.or_else(|| flow.transport.icmp().map(|(kind, _)| kind.into()));
        let obstacle = port
            .filter(|port| self.obstacles_at & remainder(*port) != 0)
            .and_then(|_| obstacle(direction, flow, &self.carrier_ports));
        // Each in bits of its own, from the lowest: 17 of the port, 8, 32, 2, 1, 2, and the rest.
        let of_port = |port| 1 << 16 | u128::from(port);
        let of_any = u128::from(flow.proto.0) << 17
            | u128::from(entry.0) << 25
            | obstacle.map_or(0, |obstacle| 1 + obstacle as u128) << 57
            | (direction as u128) << 59
            | (special as u128) << 60
            | (interface as u128) << 62;
        let key = of_any | port.map_or(0, of_port);
        if let Some(known) = self.kind_of.get(&key) {
            return *known;
        }
        let (key, example) = match self.kinds.len() < MOST_KINDS || obstacle.is_some() {
            true => (key, *flow),
            false => (of_any, FlowTuple { transport: Transport::Absent, ..*flow }),
        };
        *self.kind_of.entry(key).or_insert_with(|| {
            self.counters.push(Counter { count: Count::default(), entry, has_peers: false });
            self.kinds.push(FlowClass {
                interface,
                direction,
                entry,
                example,
                first_frame: 0,
                peers: Peers::default(),
                obstacle,
                special,
            });
            u32::try_from(self.kinds.len() - 1).unwrap_or(u32::MAX)
        })
    }

    /// Brings the counters of many answers near, so that the accesses to memory overlap.
    #[inline]
    pub(crate) fn fetch<'j>(&self, answers: impl Iterator<Item = &'j Judged>) {
        let judgements = answers.flat_map(Judged::judgements);
        let counters = judgements.filter_map(|of| self.counters.get(of.flow_class as usize));
        std::hint::black_box(counters.fold(0, |touched, of| touched ^ of.count.packets));
    }

    /// The entry that decided the connections of a flow class.
    #[inline]
    pub(crate) fn entry_of(&self, flow_class: u32) -> EntryIndex {
        self.counters.get(flow_class as usize).map_or(EntryIndex(u32::MAX), |of| of.entry)
    }

    /// Counts a frame and its answer.
    #[inline]
    pub(crate) fn count(
        &mut self,
        frame: &Frame<'_>,
        decoded: &Decoded,
        judged: &Judged,
        selected: bool,
    ) {
        let late = match self.marks {
            None => None,
            Some(_) => match self.mark(judged, selected) {
                Some(late) => late,
                None => return,
            },
        };
        self.bytes += u64::from(frame.wire_len);
        if let Some(now) = frame.time_ns {
            self.times = (self.times.0.min(now), self.times.1.max(now));
        }
        let deciding = judged.deciding();
        let (verdict, reason) = match deciding {
            Some(of) => (of.verdict, of.reason),
            None => judged.verdict(),
        };
        if deciding.is_some_and(|of| of.stray) {
            self.strays.add(verdict, 1);
        }
        let of_verdict = self.answers.get_mut(verdict as usize);
        if let Some(count) = of_verdict.and_then(|reasons| reasons.get_mut(reason as usize)) {
            *count += 1;
        }
        let cut = judged.is_cut();
        let (Judged::At(first, second), Decoded::Packet(packet)) = (judged, decoded) else {
            return;
        };
        let mut opens = late;
        self.count_at(frame, packet, first, &mut opens, late.is_some());
        if let Some(second) = second {
            self.count_at(frame, packet, second, &mut opens, late.is_some());
        }
        if let Some((denied, opening)) = opens {
            self.count_connection(denied, opening);
        } else if cut {
            self.cut_connection();
        }
        self.cut += u64::from(cut);
    }

    /// Takes a connection, which was counted as allowed, for a denied one.
    fn cut_connection(&mut self) {
        self.connections.allowed = self.connections.allowed.saturating_sub(1);
        self.connections.add(Verdict::Deny, 1);
    }

    fn count_connection(&mut self, denied: bool, opening: Opening) {
        self.connections.add(if denied { Verdict::Deny } else { Verdict::Allow }, 1);
        let inferred = Opening::INFERRED.iter().position(|known| *known == opening);
        if let Some(count) = inferred.and_then(|position| self.midstream.get_mut(position)) {
            *count += 1;
        }
    }

    /// Whether only some of the packets are reported.
    pub(crate) fn selects(&self) -> bool {
        self.marks.is_some()
    }

    /// Remembers what a packet opens, whether it is selected or not. `None` where the packet is not counted; else,
    /// where it is the first selected one of a connection that was opened before, whether that is denied, and how it
    /// was opened.
    #[inline]
    #[expect(
        clippy::option_option,
        reason = "whether it counts, and then whether it counts its connection"
    )]
    fn mark(&mut self, judged: &Judged, selected: bool) -> Option<Option<(bool, Opening)>> {
        // Most packets open nothing and are judged at one interface.
        if let Judged::At(first, None) = judged
            && first.opened.is_none()
            && first.reply.is_none()
        {
            if !selected {
                return None;
            }
            let number = first.connection.and_then(|number| usize::try_from(number).ok());
            let mark = self.marks.as_deref_mut().zip(number).and_then(|(of, n)| of.get_mut(n));
            let Some(mark) = mark.filter(|mark| !mark.counted) else { return Some(None) };
            mark.counted = true;
            self.cut += u64::from(mark.cut);
            return Some(Some((mark.denied, mark.opening.unwrap_or(Opening::Seen))));
        }
        let changes = |of: &Judgement| of.opened.is_some() || of.reply.is_some();
        if !selected && !judged.judgements().any(changes) {
            return None;
        }
        let marks = self.marks.get_or_insert_default();
        let (mut opens, mut late, mut cut_before) = (false, None, false);
        for judgement in judged.judgements() {
            let Some(connection) = judgement.connection else { continue };
            let number = usize::try_from(connection).unwrap_or(usize::MAX);
            if let Some((opening, _)) = judgement.opened {
                if marks.len() <= number {
                    marks.resize(number + 1, Mark::default());
                }
                let Some(mark) = marks.get_mut(number) else { continue };
                mark.opening = Some(opening);
                mark.denied |= judgement.verdict == Verdict::Deny;
                mark.counted |= selected;
                opens = true;
            } else if let Some(mark) = marks.get_mut(number) {
                if judgement.reply.is_some_and(|of| of.stopped == Stopped::First) {
                    mark.denied = true;
                    mark.cut |= !selected && !mark.counted;
                    cut_before |= !selected && mark.counted;
                }
                if selected && !std::mem::replace(&mut mark.counted, true) {
                    late = Some((mark.denied, mark.opening.unwrap_or(Opening::Seen)));
                    self.cut += u64::from(mark.cut);
                }
            }
        }
        if cut_before {
            self.cut += 1;
            self.cut_connection();
        }
        selected.then(|| late.filter(|_| !opens))
    }

    /// Counts a packet at one interface. `opens` says of the connection that it opens, if it does, whether it
    /// is denied anywhere, and how it was found. `late` says that it counts a connection which was opened before.
    #[inline]
    fn count_at(
        &mut self,
        frame: &Frame<'_>,
        packet: &Packet,
        judgement: &Judgement,
        opens: &mut Option<(bool, Opening)>,
        late: bool,
    ) {
        let kind = judgement.flow_class as usize;
        if let Some(Counter { count, has_peers, .. }) = self.counters.get_mut(kind) {
            let opens = judgement.opened.is_some() || late;
            count.packet(frame.wire_len.into(), opens);
            if !*has_peers && (opens || judgement.connection.is_none()) {
                self.note_peer(frame, packet, judgement);
            }
        }
        if let Some(reply) = judgement.reply {
            self.count_reply(frame, packet, judgement, reply, late);
        }
        if let Some((opening, _)) = judgement.opened {
            let denied = judgement.verdict == Verdict::Deny;
            let (known, _) = opens.unwrap_or((false, opening));
            *opens = Some((known || denied, opening));
        }
    }

    /// Notes the peer of a connection, or of a packet that is judged by itself.
    fn note_peer(&mut self, frame: &Frame<'_>, packet: &Packet, judgement: &Judgement) {
        let number = judgement.flow_class as usize;
        let (Some(kind), Some(counter)) =
            (self.kinds.get_mut(number), self.counters.get_mut(number))
        else {
            return;
        };
        let flow = match judgement.opened {
            Some((_, flow)) => flow,
            None if judgement.is_stopped() => packet.flow.reversed(),
            None if judgement.direction == judgement.decided_in => packet.flow,
            None => packet.flow.reversed(),
        };
        kind.add_peer(frame, &flow, &mut self.room);
        counter.has_peers = kind.peers.is_full();
    }

    /// Counts what a network ACL does to an answer.
    #[cold]
    fn count_reply(
        &mut self,
        frame: &Frame<'_>,
        packet: &Packet,
        judgement: &Judgement,
        reply: Reply,
        late: bool,
    ) {
        if reply.stopped.is_first()
            && let Some(counter) = self.counters.get_mut(judgement.flow_class as usize)
        {
            // The connection counts as one that the network ACL denies, unless it has been counted just now.
            let counted = judgement.opened.is_some() || late;
            counter.count.connections += u64::from(!counted);
            if !counter.has_peers && !counted {
                self.note_peer(frame, packet, judgement);
            }
        }
        if reply.stopped == Stopped::No {
            let key = (judgement.interface, judgement.direction, reply.other_entry);
            self.replies.entry(key).or_default().packet(frame.wire_len.into(), false);
        } else if reply.stopped.is_first()
            && judgement.opened.is_none()
            && let Some(counter) = self.counters.get_mut(reply.opened_as as usize)
        {
            let connections = &mut counter.count.connections;
            *connections = connections.saturating_sub(1);
        }
    }

    /// Connections that were allowed, and answers of which a network ACL stops; they are among the denied ones.
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// Packets by verdict.
    pub fn packets(&self) -> ByVerdict {
        let mut packets = ByVerdict::default();
        for (verdict, reasons) in Verdict::ALL.iter().copied().zip(self.answers) {
            packets.add(verdict, reasons.iter().sum());
        }
        packets
    }

    /// Connections by verdict; none without sessions.
    pub fn connections(&self) -> ByVerdict {
        self.connections
    }

    /// Packets without SYN after their connection closed, by verdict: they are among [`Self::packets`] and belong to
    /// no connection (SEMANTICS F16).
    pub fn strays(&self) -> ByVerdict {
        self.strays
    }

    /// Notes a frame that carries or hides traffic and was not evaluated.
    pub(crate) fn note_unevaluated(&mut self, hidden: Hidden, frame: u64) {
        self.unevaluated.note(hidden, 1, frame);
    }

    /// Frames that carry or hide traffic and were not evaluated.
    pub fn unevaluated(&self) -> &Unevaluated {
        &self.unevaluated
    }

    /// Packets of tunnels that were judged as they are, by the name of the tunnel.
    pub fn tunnelled(&self) -> Vec<UnevaluatedCount> {
        let mut found = Unevaluated::default();
        for (kind, count) in self.flow_classes() {
            if let Some(name) = tunnel_of(&kind.example) {
                found.note(Hidden::Tunnel(name), count.packets, kind.first_frame);
            }
        }
        found.counts()
    }

    /// Packets by reason, those that occurred, in the order of [`Reason::ALL`].
    pub fn reasons(&self) -> impl Iterator<Item = (Reason, u64)> {
        let packets =
            |position: usize| self.answers.iter().filter_map(move |of| of.get(position)).sum();
        let counts = Reason::ALL.iter().copied().enumerate();
        counts.map(move |(position, reason)| (reason, packets(position))).filter(|(_, n)| *n > 0)
    }

    /// Connections already under way when the capture started, by how their initiator was inferred.
    pub fn midstream(&self) -> impl Iterator<Item = (Opening, u64)> {
        Opening::INFERRED.into_iter().zip(self.midstream).filter(|(_, count)| *count > 0)
    }

    /// Counts a connection whose initiator is unknown and decides the verdict.
    pub(crate) fn note_guess(&mut self, frame: u64) {
        self.guessed.get_or_insert((0, frame)).0 += 1;
    }

    /// Counts a connection that would get this other verdict.
    pub(crate) fn note_doubt(&mut self, verdict: Verdict, supposed: Supposition, frame: u64) {
        if let Some(of) = self.doubts.get_mut(usize::from(verdict == Verdict::Deny)) {
            of.add(supposed, frame);
        }
    }

    /// Counts a connection whose far end may be a member of too many groups to ask about.
    pub(crate) fn note_unweighed(&mut self, frame: u64) {
        self.unweighed.get_or_insert((0, frame)).0 += 1;
    }

    /// Connections whose far end may be a member of too many groups to ask about, and the first frame of the first.
    pub fn unweighed(&self) -> Option<(u64, u64)> {
        self.unweighed
    }

    /// Connections that are allowed, and packets that are allowed alone, which would be denied if their far end were a
    /// member of a group of which nobody has said who is (SEMANTICS F26).
    pub fn may_be_denied(&self) -> &Doubts {
        &self.doubts[1]
    }

    /// Those that are denied, and would be allowed.
    pub fn may_be_allowed(&self) -> &Doubts {
        &self.doubts[0]
    }

    /// Connections whose initiator is unknown ([`Opening::FirstSender`]) and decides the verdict, and the first frame of
    /// the first of them.
    pub fn guessed(&self) -> Option<(u64, u64)> {
        let first_senders = self.midstream().find(|(how, _)| *how == Opening::FirstSender);
        // At two interfaces it is noted twice; one that is not selected is not counted.
        self.guessed.zip(first_senders).map(|((n, frame), (_, most))| (n.min(most), frame))
    }

    /// Bytes on the wire.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Earliest and latest time, ns since the epoch; `None` where no packet has one.
    pub fn times(&self) -> Option<(u64, u64)> {
        (self.times.0 <= self.times.1).then_some(self.times)
    }

    /// What each entry decided, by interface and direction, the packets of the connections that it let
    /// open or denied included. Entries that decided nothing are not in it.
    pub fn by_entry(&self) -> HashMap<(usize, Direction, EntryIndex), Count, FixedState> {
        let mut counts = HashMap::<_, Count, _>::default();
        for (FlowClass { interface, direction, entry, .. }, count) in self.flow_classes() {
            let sum = counts.entry((*interface, *direction, *entry)).or_default();
            *sum = *sum + count;
        }
        #[expect(clippy::iter_over_hash_type, reason = "sums do not depend on the order")]
        for (key, count) in &self.replies {
            let sum = counts.entry(*key).or_default();
            *sum = *sum + *count;
        }
        counts
    }

    /// The kinds of connections, in order of first appearance.
    pub fn flow_classes(&self) -> impl Iterator<Item = (&FlowClass, Count)> {
        let counted = self.kinds.iter().zip(&self.counters);
        counted.map(|(kind, of)| (kind, of.count)).filter(|(_, count)| count.packets > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Protocol;

    /// Known kinds keep their ports when there is no room for new ones, and these do not take the port
    /// of the first of them.
    #[test]
    fn where_kinds_are_many_new_ones_are_of_a_protocol() {
        let mut stats = Stats::new(&[445]);
        let flow = |proto, dst| {
            let (src, to) = ([192, 0, 2, 1].into(), [10, 0, 0, 5].into());
            FlowTuple { src, dst: to, proto, transport: Transport::Ports { src: 40_000, dst } }
        };
        let mut kind = |entry, proto, port| {
            let flow = flow(proto, port);
            stats.flow_class(0, EntryIndex(entry), &flow, Direction::Ingress, Special::No)
        };
        let ssh = kind(7, Protocol::TCP, 22);
        for (entry, port) in (0..5).flat_map(|entry| (0..=u16::MAX).map(move |port| (entry, port)))
        {
            kind(entry, Protocol::UDP, port);
        }
        assert_eq!(kind(7, Protocol::TCP, 22), ssh);
        let new = kind(7, Protocol::TCP, 80);
        assert_ne!(new, ssh);
        assert_eq!(kind(7, Protocol::TCP, 443), new);
        let blocked = kind(7, Protocol::TCP, 445);
        assert_ne!(blocked, new, "the warning about it names the port");
        let port = |kind: u32| {
            let kind = stats.kinds.get(kind as usize);
            kind.and_then(|kind| kind.example.transport.ports()).map(|(_, port)| port)
        };
        assert_eq!([ssh, new, blocked].map(port), [Some(22), None, Some(445)]);
    }
}
