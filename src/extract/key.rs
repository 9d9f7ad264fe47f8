//! The key by which packets are gathered that are judged together.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use crate::flow::{FlowTuple, Protocol, Transport};
use crate::replay::shard_of;

/// A connection's addresses, ports and protocol, the same for both of its directions. ICMP messages with one
/// identifier, whatever their types, have one key.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct FlowKey {
    low: (IpAddr, u16),
    high: (IpAddr, u16),
    proto: Protocol,
}

/// In few words, since every packet of a capture is looked for by its key.
impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { low, high, proto } = *self;
        let proto = u64::from(proto.0) << 48;
        if let (IpAddr::V4(src), IpAddr::V4(dst)) = (low.0, high.0) {
            let end = |addr: u32, port: u16| u64::from(addr) << 16 | u64::from(port);
            state.write_u64(end(src.to_bits(), low.1) | proto);
            state.write_u64(end(dst.to_bits(), high.1));
        } else {
            (low.0, high.0).hash(state);
            state.write_u64(u64::from(low.1) << 16 | u64::from(high.1) | proto);
        }
    }
}

impl FlowKey {
    /// The key of a packet.
    pub fn new(flow: &FlowTuple) -> Self {
        let (src, dst) = match flow.transport {
            Transport::Ports { src, dst } => (src, dst),
            Transport::Icmp { id, .. } => (id.unwrap_or_default(), id.unwrap_or_default()),
            Transport::Absent => (0, 0),
        };
        let (source, target) = ((flow.src, src), (flow.dst, dst));
        Self { low: source.min(target), high: source.max(target), proto: flow.proto }
    }

    /// Whether a packet's source is the lower end.
    pub(super) fn is_from_low(flow: &FlowTuple) -> bool {
        let (src, dst) = flow.transport.ports().unwrap_or_default();
        (flow.src, src) <= (flow.dst, dst)
    }

    /// The shard of a replay that has the flow.
    pub(super) fn shard(&self) -> u8 {
        let transport = Transport::Ports { src: self.low.1, dst: self.high.1 };
        let Self { low: (src, _), high: (dst, _), proto } = *self;
        shard_of(&FlowTuple { src, dst, proto, transport })
    }

    /// The tuple of a packet without ICMP, from the lower end or from the other.
    pub(super) fn flow(&self, from_low: bool) -> FlowTuple {
        let (source, target) = if from_low { (self.low, self.high) } else { (self.high, self.low) };
        let transport = match self.proto.has_ports() {
            true => Transport::Ports { src: source.1, dst: target.1 },
            false => Transport::Absent,
        };
        FlowTuple { src: source.0, dst: target.0, proto: self.proto, transport }
    }
}
