//! The name that other tools give a connection too.

use std::fmt;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use sha1::{Digest, Sha1};

use crate::flow::{FlowTuple, Transport};

/// The Community ID of a connection (version 1, seed 0), the same for both directions: Zeek, Suricata and Wireshark
/// print it too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CommunityId([u8; Self::LENGTH]);

impl CommunityId {
    /// The version, and a hash of 20 bytes as Base64.
    const LENGTH: usize = 2 + 28;

    /// That of a packet's connection.
    pub fn new(flow: &FlowTuple) -> Self {
        let mut text = *b"1:                            ";
        if let Some(place) = text.get_mut(2..) {
            // INVARIANT: the hash takes just this place.
            let _ = STANDARD.encode_slice(hash(flow), place);
        }
        Self(text)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for CommunityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CommunityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for CommunityId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

fn hash(flow: &FlowTuple) -> impl AsRef<[u8]> {
    let FlowTuple { src, dst, proto, transport } = *flow;
    let (sport, dport, one_way) = match transport {
        Transport::Ports { src, dst } => (Some(src), Some(dst), false),
        Transport::Icmp { kind, code, .. } => {
            let answer = counterpart(proto.0, kind);
            (Some(kind.into()), Some(answer.unwrap_or(code).into()), answer.is_none())
        }
        Transport::Absent => (None, None, false),
    };
    let (source, target) = ((src, sport), (dst, dport));
    let ordered = one_way || source <= target;
    let (low, high) = if ordered { (source, target) } else { (target, source) };
    let mut hash = Sha1::new();
    hash.update([0, 0]);
    for (addr, _) in [low, high] {
        match addr {
            IpAddr::V4(addr) => hash.update(addr.octets()),
            IpAddr::V6(addr) => hash.update(addr.octets()),
        }
    }
    hash.update([proto.0, 0]);
    if let (Some(low), Some(high)) = (low.1, high.1) {
        hash.update(low.to_be_bytes());
        hash.update(high.to_be_bytes());
    }
    hash.finalize()
}

/// The ICMP type that answers a type, as the Community ID specification pairs them.
fn counterpart(proto: u8, kind: u8) -> Option<u8> {
    let pairs: &[(u8, u8)] = match proto {
        1 => &[(8, 0), (13, 14), (15, 16), (10, 9), (17, 18)],
        _ => &[(128, 129), (133, 134), (135, 136), (130, 131), (139, 140), (144, 145)],
    };
    pairs.iter().find_map(|(a, b)| match kind {
        k if k == *a => Some(*b),
        k if k == *b => Some(*a),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Protocol;

    /// The baseline of the Community ID specification: the same values that Zeek prints.
    #[test]
    fn community_ids_are_those_of_the_specification() {
        let text = |flow: &FlowTuple| CommunityId::new(flow).to_string();
        let flow = |proto, src: &str, dst: &str, transport| FlowTuple {
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
            proto,
            transport,
        };
        let ports = Transport::Ports { src: 34855, dst: 80 };
        let tcp = flow(Protocol::TCP, "128.232.110.120", "66.35.250.204", ports);
        assert_eq!(text(&tcp), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        assert_eq!(text(&tcp.reversed()), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        let udp = Transport::Ports { src: 54585, dst: 53 };
        let udp = flow(Protocol::UDP, "192.168.1.52", "8.8.8.8", udp);
        assert_eq!(text(&udp), "1:d/FP5EW3wiY1vCndhwleRRKHowQ=");
        let ping = Transport::Icmp { kind: 8, code: 0, id: Some(1) };
        let ping = flow(Protocol::ICMP, "192.168.0.89", "192.168.0.1", ping);
        assert_eq!(text(&ping), "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=");
    }
}
