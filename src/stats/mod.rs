//! Statistics of a replay. Nothing is silently dropped: the verdicts add up to the packets judged.
//!
//! Memory does not grow with the packets: there is one counter per entry, and one per kind of
//! connection (an entry, a protocol, a destination port), up to a limit.

mod counts;
mod flow_class;
mod marks;
mod merge;
mod partial;
mod peers;
mod results;
mod rows;
mod unevaluated;

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::capture::Frame;
use crate::decode::Decoded;
use crate::doubts::{Doubts, Supposition};
use crate::flow::{Direction, FlowTuple, Packet, Transport};
use crate::restrictions::{SMTP, obstacle};
use crate::rules::EntryIndex;
use crate::session::Opening;
use crate::verdict::{Judged, Judgement, Reason, Reply, Stopped, Verdict};
pub use counts::{ByVerdict, Count};
pub use flow_class::{FlowClass, Special};
use marks::Mark;
pub(crate) use partial::{Partial, TooManyKinds};
pub(crate) use peers::Room as PeerRoom;
pub use peers::{PeerCount, Peers};
pub(crate) use unevaluated::Hidden;
pub use unevaluated::{Unevaluated, UnevaluatedCount};

/// The counters of a flow class, apart from the rest, so that they stay in the L1 cache.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
struct Counter {
    count: Count,
    entry: EntryIndex,
    /// Further peers change nothing.
    has_peers: bool,
}

/// Beyond this, connections of a new kind are told apart by protocol only. A scan has 65,536 kinds.
const MOST_KINDS: usize = 1 << 18;

/// A flow class while it is counted.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Kind {
    class: FlowClass,
    /// What tells it apart from others, one number to be hashed.
    key: u128,
    /// The frame at which it was found: that of its first packet that counts may come later.
    found: u64,
    /// When the peers which are kept were shown: the frame, and in the lowest bit at which of its ends.
    peers_shown: Vec<u64>,
}

/// A port's remainder by 64, as a bit.
#[inline]
fn remainder(port: u16) -> u64 {
    1 << (port % 64)
}

/// Statistics of a replay.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
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
    /// Connections whose verdict depends on a guess, and the first frame of the first.
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
    /// By what tells kinds apart.
    kind_of: HashMap<u128, u32, FixedState>,
    kinds: Vec<Kind>,
    most_kinds: usize,
    /// One for each kind.
    counters: Vec<Counter>,
    /// For the peers of all kinds.
    room: peers::Room,
    /// Where only some packets are reported, what is known of each connection by its number.
    marks: Option<Vec<Mark>>,
}

impl Stats {
    /// Nothing counted yet; `carrier_ports` are the ports that carriers block on the way.
    pub fn new(carrier_ports: &[u16]) -> Self {
        Self::of_shard(carrier_ports, 1)
    }

    /// The same for one of so many shards, each of which has a share of the memory.
    pub(crate) fn of_shard(carrier_ports: &[u16], shards: usize) -> Self {
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
            most_kinds: MOST_KINDS / shards.max(1),
            counters: Vec::new(),
            room: peers::Room::share(shards),
            marks: None,
        }
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

    /// The kind of a connection, or of a packet that is judged alone, at a frame.
    pub(crate) fn flow_class(
        &mut self,
        interface: usize,
        entry: EntryIndex,
        flow: &FlowTuple,
        direction: Direction,
        special: Special,
        frame: u64,
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
        let (key, example) = match self.kinds.len() < self.most_kinds || obstacle.is_some() {
            true => (key, *flow),
            false => (of_any, FlowTuple { transport: Transport::Absent, ..*flow }),
        };
        *self.kind_of.entry(key).or_insert_with(|| {
            self.counters.push(Counter { count: Count::default(), entry, has_peers: false });
            let class = FlowClass {
                interface,
                direction,
                entry,
                example,
                first_frame: 0,
                peers: Peers::default(),
                obstacle,
                special,
            };
            self.kinds.push(Kind { class, key, found: frame, peers_shown: Vec::new() });
            u32::try_from(self.kinds.len() - 1).unwrap_or(u32::MAX)
        })
    }

    /// Prefetches the counters of many answers, so that memory accesses overlap.
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
        self.count_at((frame, 0), packet, first, &mut opens, late.is_some());
        if let Some(second) = second {
            self.count_at((frame, 1), packet, second, &mut opens, late.is_some());
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

    /// Counts a packet at one interface. `opens` says of the connection that it opens, if it does, whether it
    /// is denied anywhere, and how it was found. `late` says that it counts a connection which was opened before.
    #[inline]
    fn count_at(
        &mut self,
        (frame, end): (&Frame<'_>, u64),
        packet: &Packet,
        judgement: &Judgement,
        opens: &mut Option<(bool, Opening)>,
        late: bool,
    ) {
        let kind = judgement.flow_class as usize;
        if let Some(Counter { count, has_peers, .. }) = self.counters.get_mut(kind) {
            let opens = judgement.opened.is_some() || late;
            count.add_packet(frame.wire_len.into(), opens);
            if !*has_peers && (opens || judgement.connection.is_none()) {
                self.note_peer((frame, end), packet, judgement);
            }
        }
        if let Some(reply) = judgement.reply {
            self.count_reply((frame, end), packet, judgement, reply, late);
        }
        if let Some((opening, _)) = judgement.opened {
            let denied = judgement.verdict == Verdict::Deny;
            let (known, _) = opens.unwrap_or((false, opening));
            *opens = Some((known || denied, opening));
        }
    }

    /// Notes the peer of a connection, or of a packet that is judged by itself.
    fn note_peer(
        &mut self,
        (frame, end): (&Frame<'_>, u64),
        packet: &Packet,
        judgement: &Judgement,
    ) {
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
        kind.class.add_peer(frame, &flow, &mut self.room);
        kind.peers_shown.resize(kind.class.peers.first().len(), frame.number << 1 | end);
        counter.has_peers = kind.class.peers.is_full();
    }

    /// Counts what a network ACL does to an answer.
    #[cold]
    fn count_reply(
        &mut self,
        (frame, end): (&Frame<'_>, u64),
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
                self.note_peer((frame, end), packet, judgement);
            }
        }
        if reply.stopped == Stopped::No {
            let key = (judgement.interface, judgement.direction, reply.other_entry);
            self.replies.entry(key).or_default().add_packet(frame.wire_len.into(), false);
        } else if reply.stopped.is_first()
            && judgement.opened.is_none()
            && let Some(counter) = self.counters.get_mut(reply.opened_as as usize)
        {
            let connections = &mut counter.count.connections;
            *connections = connections.saturating_sub(1);
        }
    }

    /// Notes a frame that carries or hides traffic and was not evaluated.
    pub(crate) fn note_unevaluated(&mut self, hidden: Hidden, frame: u64) {
        self.unevaluated.note(hidden, 1, frame);
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
            stats.flow_class(0, EntryIndex(entry), &flow, Direction::Ingress, Special::No, 1)
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
            kind.and_then(|kind| kind.class.example.transport.ports()).map(|(_, port)| port)
        };
        assert_eq!([ssh, new, blocked].map(port), [Some(22), None, Some(445)]);
    }
}
