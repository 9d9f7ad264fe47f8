//! A packet's session key: its 5-tuple in one order for both ways, and the interface and end from
//! which it is seen.

use std::net::IpAddr;

use super::initiator;
use crate::flow::{Direction, FlowTuple, Transport};

#[derive(Clone, Copy, Debug)]
pub(super) enum Key {
    V4([u64; 2]),
    V6([u64; 5]),
}

/// Marks the type of an ICMP message without an identifier.
const NO_ID: u64 = 0x100;

impl Key {
    #[inline]
    pub(super) fn new(interface: u16, direction: Direction, flow: &FlowTuple) -> Self {
        let FlowTuple { src, dst, proto, transport } = *flow;
        let local_is_source = direction == Direction::Egress;
        let (own_ports, shared) = match transport {
            Transport::Ports { src, dst } => ((src, dst), (0, 0)),
            // SEMANTICS A6: how ICMP fills the tuple is undocumented; a query's type family and
            // identifier are used, and for a message that nothing answers its type and code. They
            // are no end's own, so they do not take part in the order.
            Transport::Icmp { kind, id: Some(id), .. } => {
                ((0, 0), (u64::from(id), initiator::query(kind).into()))
            }
            Transport::Icmp { kind, code, id: None } => {
                ((0, 0), (u64::from(code), u64::from(kind) | NO_ID))
            }
            Transport::Absent => ((0, 0), (0, 0)),
        };
        // Two ends of one connection may both be local: each has a session of its own.
        let seen_from = |source_is_low: bool| {
            u64::from(proto.0) << 8 | u64::from(local_is_source == source_is_low)
        };
        if let (IpAddr::V4(src), IpAddr::V4(dst)) = (src, dst) {
            let source = u64::from(src.to_bits()) << 16 | u64::from(own_ports.0);
            let target = u64::from(dst.to_bits()) << 16 | u64::from(own_ports.1);
            let source_is_low = source <= target;
            let (low, high) = (source.min(target) | shared.0, source.max(target) | shared.1);
            return Self::V4([
                low | u64::from(interface) << 48,
                high | seen_from(source_is_low) << 48,
            ]);
        }
        let source_is_low = (src, own_ports.0) <= (dst, own_ports.1);
        let ends = [(src, own_ports.0), (dst, own_ports.1)];
        let [low, high] = if source_is_low { ends } else { [ends[1], ends[0]] };
        let ([a, b], [c, d]) = (halves(low.0), halves(high.0));
        let facts = (u64::from(low.1) | shared.0) << 48
            | (u64::from(high.1) | shared.1) << 32
            | u64::from(interface) << 16
            | seen_from(source_is_low);
        Self::V6([a, b, c, d, facts])
    }
}

fn halves(addr: IpAddr) -> [u64; 2] {
    let bits = match addr {
        IpAddr::V4(addr) => addr.to_ipv6_mapped().to_bits(),
        IpAddr::V6(addr) => addr.to_bits(),
    };
    #[expect(clippy::cast_possible_truncation, reason = "both halves are kept")]
    [(bits >> 64) as u64, bits as u64]
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
