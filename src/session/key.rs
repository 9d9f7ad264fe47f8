//! A packet's session key: its 5-tuple in one order for both ways, and the interface and end from
//! which it is seen.

use std::net::{IpAddr, Ipv4Addr};

use super::icmp;
use crate::flow::{Direction, FlowTuple, Protocol, Transport};

/// Marks the type of an ICMP message without an identifier.
const NO_ID: u64 = 0x100;

/// What a packet's transport says of its ends, and of both together.
#[derive(Clone, Copy)]
struct Ports {
    source: u64,
    target: u64,
    /// Of no end alone, so without a part in their order.
    shared: [u64; 2],
}

impl Ports {
    #[inline]
    fn from_transport(transport: Transport) -> Self {
        match transport {
            Transport::Ports { src, dst } => {
                Self { source: src.into(), target: dst.into(), shared: [0, 0] }
            }
            Transport::Icmp { .. } | Transport::Absent => Self::otherwise(transport),
        }
    }

    fn otherwise(transport: Transport) -> Self {
        // SEMANTICS A6: how ICMP fills the tuple is undocumented; a query's type family and
        // identifier are used, and for a message that nothing answers its type and code.
        let shared = match transport {
            Transport::Icmp { kind, id: Some(id), .. } => [id.into(), icmp::request(kind).into()],
            Transport::Icmp { kind, code, id: None } => [code.into(), u64::from(kind) | NO_ID],
            Transport::Ports { .. } | Transport::Absent => [0, 0],
        };
        Self { source: 0, target: 0, shared }
    }
}

/// Whether a packet's source is the first end of its key. Ends are in order of address and port, so that both
/// directions have one key; those of an ICMP message are requester and responder, since a query from the
/// other end with the same identifier is a connection of its own (SEMANTICS F17).
#[inline]
fn source_is_first<T: Ord + Copy>(flow: &FlowTuple, source: T, target: T) -> bool {
    match flow.transport {
        Transport::Icmp { kind, id, .. } => id.is_none() || icmp::request(kind) == kind,
        Transport::Ports { .. } | Transport::Absent => source <= target,
    }
}

/// From which of its ends a session is seen. Two ends of one connection may both be local: each has a
/// session of its own.
#[inline]
fn seen_from(proto: Protocol, direction: Direction, source_is_first: bool) -> u64 {
    u64::from(proto.0) << 8 | u64::from((direction == Direction::Egress) == source_is_first)
}

/// The key of a session between IPv4 addresses.
#[inline]
pub(super) fn v4(
    interface: u16,
    direction: Direction,
    ends: [Ipv4Addr; 2],
    flow: &FlowTuple,
) -> [u64; 2] {
    let [src, dst] = ends.map(|addr| u64::from(addr.to_bits()) << 16);
    let Transport::Ports { src: sport, dst: dport } = flow.transport else {
        return v4_without_ports(interface, direction, [src, dst], flow);
    };
    let (source, target) = (src | u64::from(sport), dst | u64::from(dport));
    let seen_from = seen_from(flow.proto, direction, source <= target);
    [source.min(target) | u64::from(interface) << 48, source.max(target) | seen_from << 48]
}

#[cold]
fn v4_without_ports(
    interface: u16,
    direction: Direction,
    [source, target]: [u64; 2],
    flow: &FlowTuple,
) -> [u64; 2] {
    let Ports { shared, .. } = Ports::from_transport(flow.transport);
    let source_is_first = source_is_first(flow, source, target);
    let (first, second) = if source_is_first { (source, target) } else { (target, source) };
    let seen_from = seen_from(flow.proto, direction, source_is_first);
    [first | shared[0] | u64::from(interface) << 48, second | shared[1] | seen_from << 48]
}

/// The key of any other session.
pub(super) fn v6(interface: u16, direction: Direction, flow: &FlowTuple) -> [u64; 5] {
    let FlowTuple { src, dst, proto, transport } = *flow;
    let Ports { source, target, shared } = Ports::from_transport(transport);
    let source_is_first = source_is_first(flow, (src, source), (dst, target));
    let ends = [(src, source), (dst, target)];
    let [first, second] = if source_is_first { ends } else { [ends[1], ends[0]] };
    let ([a, b], [c, d]) = (halves(first.0), halves(second.0));
    let facts = (first.1 | shared[0]) << 48
        | (second.1 | shared[1]) << 32
        | u64::from(interface) << 16
        | seen_from(proto, direction, source_is_first);
    [a, b, c, d, facts]
}

pub(crate) fn halves(addr: IpAddr) -> [u64; 2] {
    let bits = match addr {
        IpAddr::V4(addr) => addr.to_ipv6_mapped().to_bits(),
        IpAddr::V6(addr) => addr.to_bits(),
    };
    #[expect(clippy::cast_possible_truncation, reason = "both halves are kept")]
    [(bits >> 64) as u64, bits as u64]
}

/// The golden ratio in 64 bits, odd: its product spreads every bit of a word over both halves.
pub(crate) const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

#[inline]
pub(super) fn hash(seed: u64, key: &impl Words) -> u64 {
    key.words().iter().fold(seed, |hash, word| {
        let product = u128::from(hash ^ word) * u128::from(MULTIPLIER);
        #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
        let folded = product as u64 ^ (product >> 64) as u64;
        folded
    })
}

/// What the table stores keys as.
pub(super) trait Words: Copy + Default + Eq + std::fmt::Debug {
    fn words(&self) -> &[u64];

    /// The interface that the key is of.
    fn interface(&self) -> usize;
}

impl Words for [u64; 2] {
    #[inline]
    fn words(&self) -> &[u64] {
        self
    }

    #[inline]
    fn interface(&self) -> usize {
        let [high, low, ..] = self[0].to_be_bytes();
        u16::from_be_bytes([high, low]).into()
    }
}

impl Words for [u64; 5] {
    #[inline]
    fn words(&self) -> &[u64] {
        self
    }

    #[inline]
    fn interface(&self) -> usize {
        let [.., high, low, _, _] = self[4].to_be_bytes();
        u16::from_be_bytes([high, low]).into()
    }
}
