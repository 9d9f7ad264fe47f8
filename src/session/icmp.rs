//! Which ICMP messages belong together (SEMANTICS F17).

use crate::flow::{FlowTuple, Protocol, Transport};

/// The request that an ICMP or ICMPv6 message answers, or the message's own type. The types of both
/// protocols do not overlap.
pub(super) fn request(kind: u8) -> u8 {
    match kind {
        // Echo.
        0 => 8,
        // Timestamp, information, address mask.
        14 | 16 | 18 => kind - 1,
        // ICMPv6: echo, node information (RFC 4620).
        129 => 128,
        140 => 139,
        _ => kind,
    }
}

/// Whether a message is a query, which opens a connection and which only the matching reply from the other
/// end answers.
pub(super) fn is_query(flow: &FlowTuple) -> bool {
    match (flow.proto, flow.transport) {
        (Protocol::ICMP, Transport::Icmp { kind, .. }) => matches!(kind, 8 | 13 | 15 | 17),
        (Protocol::ICMPV6, Transport::Icmp { kind, .. }) => matches!(kind, 128 | 139),
        _ => false,
    }
}

/// Whether a message answers a query.
pub(crate) fn is_icmp_reply(flow: &FlowTuple) -> bool {
    match (flow.proto, flow.transport) {
        (Protocol::ICMP, Transport::Icmp { kind, .. }) => matches!(kind, 0 | 14 | 16 | 18),
        (Protocol::ICMPV6, Transport::Icmp { kind, .. }) => matches!(kind, 129 | 140),
        _ => false,
    }
}

/// Whether a message is a query or a reply: only those belong to connections.
pub(crate) fn is_tracked_icmp(flow: &FlowTuple) -> bool {
    is_query(flow) || is_icmp_reply(flow)
}
