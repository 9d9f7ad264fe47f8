//! A record → the shortest packet that says what it says.

use std::net::IpAddr;

use super::record::Flow;
use crate::flow::{Protocol, Transport};

/// Appends an IP packet. A TCP header ends after its ports: a record knows no flags of one packet.
pub(super) fn write(into: &mut Vec<u8>, flow: &Flow) {
    let Flow { src, dst, proto, transport, .. } = *flow;
    // The header's bytes, how many of them there are, and what the protocol's header takes, of which a cut capture would
    // hold as little.
    let (header, written, length): ([u8; 8], usize, u16) = match transport {
        Transport::Absent => ([0; 8], 0, 0),
        Transport::Ports { src, dst } => {
            let ([a, b], [c, d]) = (src.to_be_bytes(), dst.to_be_bytes());
            match proto {
                // Its length, and no checksum.
                Protocol::UDP => ([a, b, c, d, 0, 8, 0, 0], 8, 8),
                _ => ([a, b, c, d, 0, 0, 0, 0], 4, 20),
            }
        }
        // Checksum, identifier and sequence number are in no log.
        Transport::Icmp { kind, code, .. } => ([kind, code, 0, 0, 0, 0, 0, 0], 8, 8),
    };
    let mut packet = Packet { bytes: [0; 48], len: 0 };
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            packet.put([0x45, 0]);
            packet.put((20 + length).to_be_bytes());
            packet.put([0, 0, 0, 0, 64, proto.0, 0, 0]);
            packet.put(src.octets());
            packet.put(dst.octets());
        }
        (src, dst) => {
            let octets = |addr| match addr {
                IpAddr::V4(addr) => addr.to_ipv6_mapped().octets(),
                IpAddr::V6(addr) => addr.octets(),
            };
            packet.put([0x60, 0, 0, 0]);
            packet.put(length.to_be_bytes());
            packet.put([proto.0, 64]);
            packet.put(octets(src));
            packet.put(octets(dst));
        }
    }
    packet.put(header);
    let unwritten = header.len() - written;
    into.extend_from_slice(packet.bytes.get(..packet.len - unwritten).unwrap_or_default());
}

/// A packet under way: put together before it is appended at once.
struct Packet {
    /// Room for the longest, which is IPv6.
    bytes: [u8; 48],
    len: usize,
}

impl Packet {
    #[inline]
    fn put<const N: usize>(&mut self, part: [u8; N]) {
        if let Some(place) = self.bytes.get_mut(self.len..self.len + N) {
            place.copy_from_slice(&part);
        }
        self.len += N;
    }
}
