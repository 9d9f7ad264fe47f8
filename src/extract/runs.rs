//! Packets that only show that their connection goes on, collapsed.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

use foldhash::fast::RandomState;

use super::key::FlowKey;
use super::record::{At, Run, Sent};
use crate::flow::{FlowTuple, Packet, Protocol, Transport};
use crate::rules::{Interface, Timeouts};

/// The least time, in ns, in which a session may expire, by protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Shortest {
    tcp: u64,
    udp: u64,
    other: u64,
}

impl Shortest {
    pub(super) fn new(interfaces: &[Interface]) -> Self {
        let least = |of: fn(&Timeouts) -> Duration| {
            let nanos = |eni: &Interface| u64::try_from(of(&eni.timeouts).as_nanos());
            interfaces.iter().map(|eni| nanos(eni).unwrap_or(u64::MAX)).min().unwrap_or(0)
        };
        Self {
            tcp: least(|of| of.tcp_opening.min(of.tcp_established).min(of.tcp_closed)),
            // What is a stream depends on more packets than a run tells of, so that those of UDP stand alone then.
            udp: least(|of| of.udp_stream.map_or(of.udp, |_| Duration::ZERO)),
            other: least(|of| of.other),
        }
    }

    /// The least of both.
    pub(super) fn min(&self, other: &Self) -> Self {
        Self {
            tcp: self.tcp.min(other.tcp),
            udp: self.udp.min(other.udp),
            other: self.other.min(other.other),
        }
    }

    /// Whether no session expires earlier than by these.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.tcp <= other.tcp && self.udp <= other.udp && self.other <= other.other
    }

    fn of(&self, proto: Protocol) -> u64 {
        match proto {
            Protocol::TCP => self.tcp,
            Protocol::UDP => self.udp,
            _ => self.other,
        }
    }
}

/// The flow of a run, and the interface at which its packets were seen alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunKey {
    pub(super) flow: FlowKey,
    pub(super) point: Option<u32>,
}

impl Hash for RunKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.flow.hash(state);
        if let Some(point) = self.point {
            state.write_u32(point);
        }
    }
}

/// More runs than these are not kept open: all are closed then.
const MOST_OPEN: usize = 1 << 20;

/// Pairs of addresses, of which some share a place.
const PAIRS: usize = 1 << 12;

/// The runs that are open.
#[derive(Debug)]
pub(super) struct Runs {
    open: HashMap<RunKey, Run, RandomState>,
    /// By pair of addresses, the last frame that another record may be judged at in between. Empty before the first.
    cuts: Vec<u64>,
    pairs: RandomState,
}

/// Whether a packet only shows that its connection goes on.
pub(super) fn goes_on(packet: &Packet) -> bool {
    match (packet.flow.proto, packet.flow.transport) {
        (Protocol::TCP, Transport::Ports { .. }) => {
            packet.tcp_flags.is_some_and(|flags| !flags.steers())
        }
        (proto, Transport::Ports { .. }) => proto.has_ports(),
        (proto, Transport::Absent) => {
            !proto.has_ports() && proto != Protocol::ICMP && proto != Protocol::ICMPV6
        }
        (_, Transport::Icmp { .. }) => false,
    }
}

impl Runs {
    pub(super) fn new() -> Self {
        Self { open: HashMap::default(), cuts: Vec::new(), pairs: RandomState::default() }
    }

    fn pair(&self, a: IpAddr, b: IpAddr) -> usize {
        use std::hash::BuildHasher;
        let hash = self.pairs.hash_one((a.min(b), a.max(b)));
        usize::try_from(hash % PAIRS as u64).unwrap_or_default()
    }

    /// A packet at this frame may be judged with flows between these addresses, and it is not known with which.
    pub(super) fn cut(&mut self, flow: &FlowTuple, frame: u64) {
        let pair = self.pair(flow.src, flow.dst);
        self.cuts.resize(PAIRS, 0);
        if let Some(cut) = self.cuts.get_mut(pair) {
            *cut = frame;
        }
    }

    /// Adds a packet that [goes on](goes_on), and hands over the run that it ends.
    pub(super) fn add(
        &mut self,
        key: RunKey,
        packet: &Packet,
        at: At,
        shortest: &Shortest,
        mut closed: impl FnMut(RunKey, Run),
    ) {
        let from_low = FlowKey::is_from_low(&packet.flow);
        let cut = if self.cuts.is_empty() {
            0
        } else {
            let pair = self.pair(packet.flow.src, packet.flow.dst);
            self.cuts.get(pair).copied().unwrap_or(u64::MAX)
        };
        if self.open.len() >= MOST_OPEN && !self.open.contains_key(&key) {
            self.close_all(&mut closed);
        }
        let run = self.open.entry(key).or_insert_with(|| Run::new(from_low));
        let in_time = |last: At| {
            at.time.zip(last.time).is_some_and(|(now, last)| {
                last <= now && now - last < shortest.of(packet.flow.proto)
            })
        };
        let mut before = run.last();
        if before.is_some_and(|(last, _)| cut >= last.frame || !in_time(last)) {
            closed(key, std::mem::replace(run, Run::new(from_low)));
            before = None;
        }
        run.add(from_low, at, before.map(|(_, way)| way));
    }

    /// Ends the run of a flow.
    pub(super) fn close(&mut self, key: RunKey) -> Option<Run> {
        self.open.remove(&key)
    }

    /// Ends all runs.
    #[expect(clippy::iter_over_hash_type, reason = "records are sorted before they are judged")]
    pub(super) fn close_all(&mut self, mut closed: impl FnMut(RunKey, Run)) {
        for (key, run) in self.open.drain() {
            closed(key, run);
        }
    }
}

impl Run {
    fn new(from_low: bool) -> Self {
        let (turns, last) = (Vec::with_capacity(1), [None; 2]);
        Self { from_low, turns, last, sent: [Sent::default(); 2] }
    }

    /// Adds a packet behind the last, which goes this way.
    fn add(&mut self, from_low: bool, at: At, before: Option<usize>) {
        /// Later ones change nothing.
        const MOST_TURNS: usize = 3;
        let way = usize::from(from_low != self.from_low);
        if before != Some(way) && self.turns.len() < MOST_TURNS {
            self.turns.push(at);
        }
        if let (Some(last), Some(sent)) = (self.last.get_mut(way), self.sent.get_mut(way)) {
            *last = Some(at);
            sent.packets += 1;
            sent.bytes += u64::from(at.wire_len);
        }
    }
}
