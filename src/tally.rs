//! What a run counts. Nothing is dropped silently: the verdicts add up to the packets judged.
//!
//! Memory does not grow with the packets: there is one counter per entry, and one per kind of
//! connection (an entry, a protocol, a destination port), up to a limit.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::FixedState;

use crate::capture::Frame;
use crate::flow::{Direction, FlowTuple, Protocol};
use crate::overlay::{Obstacle, obstacle};
use crate::rules::EntryIndex;
use crate::session::Opening;
use crate::verdict::{Judged, Reason, Verdict};

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

    fn add(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Allow => &mut self.allowed,
            Verdict::Deny => &mut self.denied,
            Verdict::NotEvaluated => &mut self.not_evaluated,
        } += 1;
    }
}

/// Connections of one kind: decided by one entry, in one protocol, to one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Position of the interface.
    pub interface: usize,
    /// The direction in which they were opened.
    pub direction: Direction,
    /// The entry that decided.
    pub entry: EntryIndex,
    /// The first of them, in its initiator's direction.
    pub example: FlowTuple,
    /// The frame that opened it.
    pub first_frame: u64,
    /// How many.
    pub count: Count,
    /// Different peers, 64 at most.
    pub peers: Vec<IpAddr>,
    /// What is likely to block them on the way, if the rules do not.
    pub obstacle: Option<Obstacle>,
    /// The entry allows them, and there was no room for their sessions.
    pub limited: bool,
}

const MOST_PEERS: usize = 64;
/// Beyond this, connections are told apart by protocol only. A scan has 65,536 kinds.
const MOST_KINDS: usize = 1 << 18;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct KindKey {
    interface: usize,
    direction: Direction,
    entry: EntryIndex,
    proto: Protocol,
    port: Option<u16>,
    obstacle: Option<Obstacle>,
    limited: bool,
}

/// Everything that a summary says.
#[derive(Debug, Default)]
pub struct Tally {
    packets: ByVerdict,
    connections: ByVerdict,
    reasons: [u64; Reason::ALL.len()],
    midstream: [u64; Opening::INFERRED.len()],
    bytes: u64,
    times: Option<(u64, u64)>,
    opened: u64,
    open_question: u64,
    /// By interface, direction and entry.
    entries: Vec<[Vec<Count>; 2]>,
    carrier_ports: Vec<u16>,
    kind_of: HashMap<KindKey, u32, FixedState>,
    kinds: Vec<Kind>,
}

impl Tally {
    /// Nothing counted yet; `entries` is the number of entries of each interface, ingress and egress,
    /// `carrier_ports` the ports that carriers block on the way.
    pub fn new(entries: impl Iterator<Item = [usize; 2]>, carrier_ports: &[u16]) -> Self {
        let entries = entries.map(|sizes| sizes.map(|size| vec![Count::default(); size])).collect();
        Self { entries, carrier_ports: carrier_ports.to_vec(), ..Self::default() }
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
    pub(crate) fn kind(
        &mut self,
        interface: usize,
        entry: EntryIndex,
        flow: &FlowTuple,
        direction: Direction,
        limited: bool,
    ) -> u32 {
        let port = flow.transport.ports().map(|(_, dst)| dst);
        let port = port.or_else(|| flow.transport.icmp().map(|(kind, _)| kind.into()));
        let full = self.kinds.len() >= MOST_KINDS;
        let port = port.filter(|_| !full);
        let obstacle = obstacle(direction, flow, &self.carrier_ports);
        let proto = flow.proto;
        let key = KindKey { interface, direction, entry, proto, port, obstacle, limited };
        *self.kind_of.entry(key).or_insert_with(|| {
            let (example, count) = (*flow, Count::default());
            self.kinds.push(Kind {
                interface,
                direction,
                entry,
                example,
                first_frame: 0,
                count,
                peers: Vec::new(),
                obstacle,
                limited,
            });
            u32::try_from(self.kinds.len() - 1).unwrap_or(u32::MAX)
        })
    }

    /// Counts a frame and its answer.
    #[inline]
    pub(crate) fn count(&mut self, frame: &Frame<'_>, judged: &Judged, now: u64) {
        let bytes = u64::from(frame.wire_len);
        self.bytes += bytes;
        let (first, last) = self.times.unwrap_or((now, now));
        self.times = Some((first.min(now), last.max(now)));
        let (verdict, reason) = judged.verdict();
        self.packets.add(verdict);
        if let Some(count) = self.reasons.get_mut(reason as usize) {
            *count += 1;
        }
        let mut opens = None;
        for judgement in judged.judgements() {
            let alone = judgement.connection.is_none();
            if let Some((opening, _)) = judgement.opened.as_deref().copied() {
                let denied = judgement.verdict == Verdict::Deny;
                let (known, _) = opens.unwrap_or((false, opening));
                opens = Some((known || denied, opening));
            }
            let of_interface = self.entries.get_mut(judgement.interface);
            let list = of_interface.and_then(|lists| lists.get_mut(judgement.decided_in as usize));
            if let Some(count) = list.and_then(|list| list.get_mut(judgement.entry.0 as usize)) {
                count.packet(bytes, judgement.opened.is_some());
            }
            let Some(kind) = self.kinds.get_mut(judgement.kind as usize) else { continue };
            kind.count.packet(bytes, judgement.opened.is_some());
            if judgement.opened.is_some() || alone {
                let flow = judgement.opened.as_deref().map_or(kind.example, |(_, flow)| *flow);
                let peer = flow.peer(kind.direction);
                if kind.first_frame == 0 {
                    kind.first_frame = frame.number;
                }
                if kind.peers.len() < MOST_PEERS && !kind.peers.contains(&peer) {
                    kind.peers.push(peer);
                }
            }
        }
        if let Some((denied, opening)) = opens {
            self.connections.add(if denied { Verdict::Deny } else { Verdict::Allow });
            let inferred = Opening::INFERRED.iter().position(|known| *known == opening);
            if let Some(count) = inferred.and_then(|position| self.midstream.get_mut(position)) {
                *count += 1;
            }
        }
    }

    /// Packets by verdict.
    pub fn packets(&self) -> ByVerdict {
        self.packets
    }

    /// Connections by verdict; none without sessions.
    pub fn connections(&self) -> ByVerdict {
        self.connections
    }

    /// Packets by reason, those that occurred, in the order of [`Reason::ALL`].
    pub fn reasons(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.reasons).filter(|(_, count)| *count > 0)
    }

    /// Connections already under way when the capture started, by how their initiator was inferred.
    pub fn midstream(&self) -> impl Iterator<Item = (Opening, u64)> {
        Opening::INFERRED.into_iter().zip(self.midstream).filter(|(_, count)| *count > 0)
    }

    /// Bytes on the wire.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Earliest and latest time, ns since the epoch; `None` before the first packet.
    pub fn times(&self) -> Option<(u64, u64)> {
        self.times
    }

    /// What an entry decided, the packets of the connections that it let open or denied included.
    pub fn entry(&self, interface: usize, direction: Direction, entry: EntryIndex) -> Count {
        let list = self.entries.get(interface).and_then(|lists| lists.get(direction as usize));
        list.and_then(|list| list.get(entry.0 as usize)).copied().unwrap_or_default()
    }

    /// The kinds of connections, in order of first appearance.
    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }
}
