//! What rows of connections say of their flows.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use super::{Cell, CommunityId};
use crate::flow::{FlowTuple, Transport};

/// The cells from `community_id` to `icmp_type`, which rows of connections and of changed ones have.
pub(super) fn flow_cells(
    flow: &FlowTuple,
    first_frame: u64,
    times: Option<(u64, u64)>,
) -> [Cell<'static>; 10] {
    let (ports, icmp) = (flow.transport.ports(), flow.transport.icmp());
    [
        Cell::Community(CommunityId::new(flow)),
        Cell::Number(first_frame),
        times.map(|(first, _)| first).into(),
        times.map(|(_, last)| last).into(),
        Cell::Addr(flow.src),
        Cell::Addr(flow.dst),
        Cell::Number(flow.proto.0.into()),
        ports.map(|(src, _)| src).into(),
        ports.map(|(_, dst)| dst).into(),
        icmp.map(|(kind, _)| kind).into(),
    ]
}

/// Appends a flow as it is displayed.
pub(super) fn push_flow(flow: &FlowTuple, text: &mut String) {
    match (flow, flow.proto.name()) {
        (
            FlowTuple {
                src: IpAddr::V4(src),
                dst: IpAddr::V4(dst),
                transport: Transport::Ports { src: sport, dst: dport },
                ..
            },
            Some(proto),
        ) => {
            text.push_str(proto);
            for (before, addr, port) in [(" ", src, sport), (" > ", dst, dport)] {
                text.push_str(before);
                text.push_str(Ipv4Text::new(*addr).as_str());
                text.push(':');
                push_number(u64::from(*port), text);
            }
        }
        _ => _ = write!(text, "{flow}"),
    }
}

/// Appends a number.
pub(super) fn push_number(number: u64, text: &mut String) {
    text.push_str(itoa::Buffer::new().format(number));
}

/// An IPv4 address as text, without an allocation: the usual formatting takes several times as long.
pub(crate) struct Ipv4Text {
    text: [u8; 16],
    len: usize,
}

impl Ipv4Text {
    /// Octets, each with a dot behind it, and how long both are.
    const OCTETS: [([u8; 4], u8); 256] = Self::octets();

    #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
    const fn octets() -> [([u8; 4], u8); 256] {
        let mut all = [([b'.'; 4], 0); 256];
        let mut octet = 0_u8;
        loop {
            let digits = if octet >= 100 { 3 } else { 1 + (octet >= 10) as u8 };
            let (mut rest, mut at) = (octet, digits);
            while at > 0 {
                at -= 1;
                all[octet as usize].0[at as usize] = b'0' + rest % 10;
                rest /= 10;
            }
            all[octet as usize].1 = digits + 1;
            if octet == u8::MAX {
                return all;
            }
            octet += 1;
        }
    }

    pub(crate) fn new(addr: Ipv4Addr) -> Self {
        let (mut text, mut len) = ([0; 16], 0);
        for octet in addr.octets() {
            let Some((octet, length)) = Self::OCTETS.get(usize::from(octet)) else { continue };
            if let Some(place) = text.get_mut(len..len + 4) {
                place.copy_from_slice(octet);
            }
            len += usize::from(*length);
        }
        Self { text, len: len - 1 }
    }

    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flow::Protocol;

    proptest! {
        #[test]
        fn addresses_and_flows_are_as_they_are_displayed(
            src in any::<Ipv4Addr>(),
            dst in any::<IpAddr>(),
            proto in any::<u8>(),
            ports in any::<Option<(u16, u16)>>(),
        ) {
            let text = Ipv4Text::new(src);
            prop_assert_eq!(text.as_str(), src.to_string());
            let transport = ports.map_or(Transport::Absent, |(src, dst)| Transport::Ports { src, dst });
            let flow = FlowTuple { src: src.into(), dst, proto: Protocol(proto), transport };
            for flow in [flow, flow.reversed()] {
                let mut text = String::new();
                push_flow(&flow, &mut text);
                prop_assert_eq!(text, flow.to_string());
            }
        }
    }
}
