//! TCP, UDP, SCTP, ICMP, ICMPv6: the few bytes of each that a tuple needs.

use pnet_packet::icmp::IcmpPacket;
use pnet_packet::icmpv6::Icmpv6Packet;
use pnet_packet::tcp::TcpPacket;

use crate::flow::{Protocol, TcpFlags, Transport};

/// The transport's part of the tuple, or `None` when the payload ends before it.
///
/// Ports are the first four bytes of every transport that has them, so they are read even where the
/// rest of the header was cut off.
#[inline]
pub(super) fn decode(proto: Protocol, payload: &[u8]) -> Option<(Transport, Option<TcpFlags>)> {
    match proto {
        Protocol::TCP => {
            let flags = TcpPacket::new(payload).map(|tcp| TcpFlags(tcp.get_flags()));
            Some((ports(payload)?, flags.or_else(|| payload.get(13).copied().map(TcpFlags))))
        }
        Protocol::UDP | Protocol::SCTP => Some((ports(payload)?, None)),
        Protocol::ICMP => {
            let (kind, code) = match IcmpPacket::new(payload) {
                Some(icmp) => (icmp.get_icmp_type().0, icmp.get_icmp_code().0),
                None => pair(payload)?,
            };
            // Echo, timestamp, information and address mask come as request and reply.
            let query = matches!(kind, 0 | 8 | 13..=18);
            Some((icmp(kind, code, query, payload), None))
        }
        Protocol::ICMPV6 => {
            let (kind, code) = match Icmpv6Packet::new(payload) {
                Some(icmp) => (icmp.get_icmpv6_type().0, icmp.get_icmpv6_code().0),
                None => pair(payload)?,
            };
            // Echo, and node information (RFC 4620), whose query type stands where an identifier would.
            Some((icmp(kind, code, matches!(kind, 128 | 129 | 139 | 140), payload), None))
        }
        _ => Some((Transport::Absent, None)),
    }
}

/// What an ICMP or ICMPv6 error quotes of the packet that it complains about.
pub(super) fn quoted(proto: Protocol, payload: &[u8]) -> Option<&[u8]> {
    const HEADER: usize = 8;
    payload.get(HEADER..).filter(|_| payload.first().is_some_and(|kind| proto.is_icmp_error(*kind)))
}

#[inline]
fn ports(payload: &[u8]) -> Option<Transport> {
    let [a, b, c, d] = *payload.first_chunk()?;
    Some(Transport::Ports { src: u16::from_be_bytes([a, b]), dst: u16::from_be_bytes([c, d]) })
}

fn icmp(kind: u8, code: u8, query: bool, payload: &[u8]) -> Transport {
    let id = payload.get(4..).and_then(<[u8]>::first_chunk).filter(|_| query);
    Transport::Icmp { kind, code, id: id.map(|bytes| u16::from_be_bytes(*bytes)) }
}

/// Type and code, of a message that is cut before its checksum.
fn pair(payload: &[u8]) -> Option<(u8, u8)> {
    payload.first_chunk().map(|&[kind, code]| (kind, code))
}
