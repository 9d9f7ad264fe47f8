//! IPv4 and IPv6, down to the transport header.

use std::net::IpAddr;

use pnet_packet::ipv4::Ipv4Packet;
use pnet_packet::ipv6::{ExtensionPacket, FragmentPacket, Ipv6Packet};

use super::{Undecodable, Why, transport};
use crate::flow::{FlowTuple, Fragment, Packet, Protocol, Transport};

const IPV6_HEADER: usize = 40;
/// The payload of a jumbogram, and of a packet that the network card was to cut into segments, has
/// no length in its header.
const LENGTH_ELSEWHERE: u16 = 0;
const HOP_BY_HOP: u8 = 0;

/// Walks the headers of a packet that starts with an IP header.
#[inline]
pub(super) fn walk(ip: &[u8]) -> Result<Upper<'_>, Undecodable> {
    match ip.first().map(|first| first >> 4) {
        Some(4) => v4(ip),
        Some(6) => v6(ip),
        Some(_) => Err(Why::Malformed.into()),
        None => Err(Why::Truncated.into()),
    }
}

/// What follows the IP headers.
pub(super) struct Upper<'a> {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) proto: Protocol,
    pub(super) fragment: Fragment,
    pub(super) payload: &'a [u8],
    /// The capture holds all of the payload, so that what is missing was never there.
    pub(super) whole: bool,
    hop_limit: u8,
}

#[inline]
fn v4(ip: &[u8]) -> Result<Upper<'_>, Undecodable> {
    let header = Ipv4Packet::new(ip).ok_or(Why::Truncated)?;
    let len = usize::from(header.get_header_length()) * 4;
    let total = match header.get_total_length() {
        LENGTH_ELSEWHERE => ip.len(),
        total => usize::from(total),
    };
    if len < Ipv4Packet::minimum_packet_size() || total < len {
        return Err(Why::Malformed.into());
    }
    let offset = header.get_fragment_offset();
    let more = header.get_flags() & 1 != 0;
    let id = header.get_identification().into();
    Ok(Upper {
        src: header.get_source().into(),
        dst: header.get_destination().into(),
        proto: Protocol(header.get_next_level_protocol().0),
        fragment: fragment(offset, more, id),
        // Ethernet pads short packets: what lies past the total length is not part of this one.
        payload: ip.get(len..total.min(ip.len())).unwrap_or_default(),
        whole: ip.len() >= total,
        hop_limit: header.get_ttl(),
    })
}

#[inline]
fn fragment(offset: u16, more: bool, id: u32) -> Fragment {
    match (offset, more) {
        (0, false) => Fragment::No,
        (0, true) => Fragment::First { id },
        _ => Fragment::Later { id, last: !more, first: None },
    }
}

/// The first `len` bytes, or what there is of them; and whether that is all.
#[inline]
fn cut(rest: &[u8], len: usize) -> (&[u8], bool) {
    match rest.get(..len) {
        Some(payload) => (payload, true),
        None => (rest, false),
    }
}

/// The payload of a packet whose length is in its hop-by-hop options (RFC 2675). Without that option
/// it is what there is.
#[cold]
fn jumbogram(rest: &[u8]) -> (&[u8], bool) {
    const PAD1: u8 = 0;
    const JUMBO: u8 = 0xc2;
    let len = rest.get(1).map_or(0, |units| (usize::from(*units) + 1) * 8);
    let mut options = rest.get(2..len).unwrap_or_default();
    loop {
        options = match options {
            [JUMBO, 4, a, b, c, d, ..] => {
                let len = u32::from_be_bytes([*a, *b, *c, *d]);
                return cut(rest, usize::try_from(len).unwrap_or(usize::MAX));
            }
            [PAD1, options @ ..] => options,
            [_, len, options @ ..] => options.get(usize::from(*len)..).unwrap_or_default(),
            _ => return (rest, true),
        };
    }
}

fn v6(ip: &[u8]) -> Result<Upper<'_>, Undecodable> {
    let header = Ipv6Packet::new(ip).ok_or(Why::Truncated)?;
    let rest = ip.get(IPV6_HEADER..).unwrap_or_default();
    let (payload, whole) = match header.get_payload_length() {
        LENGTH_ELSEWHERE => match header.get_next_header().0 {
            HOP_BY_HOP => jumbogram(rest),
            _ => (rest, true),
        },
        len => cut(rest, len.into()),
    };
    let mut upper = Upper {
        src: header.get_source().into(),
        dst: header.get_destination().into(),
        proto: Protocol(header.get_next_header().0),
        fragment: Fragment::No,
        payload,
        whole,
        hop_limit: header.get_hop_limit(),
    };
    while let Some(kind) = Extension::from_protocol(upper.proto) {
        // Past a later fragment's own header lies the middle of something.
        if matches!(upper.fragment, Fragment::Later { .. }) {
            break;
        }
        let Some(extension) = ExtensionPacket::new(upper.payload) else {
            return Err(short(&upper));
        };
        let units = usize::from(extension.get_hdr_ext_len());
        let len = match kind {
            Extension::Options => (units + 1) * 8,
            Extension::Authentication => (units + 2) * 4,
            Extension::Fragment => {
                let Some(header) = FragmentPacket::new(upper.payload) else {
                    return Err(short(&upper));
                };
                let field = header.get_fragment_offset_with_flags();
                upper.fragment = fragment(field >> 3, field & 1 != 0, header.get_id());
                FragmentPacket::minimum_packet_size()
            }
        };
        let Some(payload) = upper.payload.get(len..) else {
            return Err(short(&upper));
        };
        upper.proto = Protocol(extension.get_next_header().0);
        upper.payload = payload;
    }
    Ok(upper)
}

/// How long an IPv6 extension header says it is.
enum Extension {
    /// Hop-by-hop, destination options, routing, mobility, HIP, shim6: in 8 bytes, less the first.
    Options,
    /// AH: in 4 bytes, less two.
    Authentication,
    /// Always 8 bytes.
    Fragment,
}

impl Extension {
    fn from_protocol(proto: Protocol) -> Option<Self> {
        match proto.0 {
            HOP_BY_HOP | 43 | 60 | 135 | 139 | 140 => Some(Self::Options),
            51 => Some(Self::Authentication),
            44 => Some(Self::Fragment),
            _ => None,
        }
    }
}

/// The packet, as far as its transport header.
#[inline]
pub(super) fn finish(upper: &Upper<'_>) -> Result<Packet, Undecodable> {
    if matches!(upper.fragment, Fragment::Later { .. }) {
        return Ok(packet(upper, Transport::Absent, None));
    }
    match transport::decode(upper.proto, upper.payload) {
        Some((transport, flags)) => Ok(packet(upper, transport, flags)),
        None => Err(short(upper)),
    }
}

/// The packet ends before its transport header does, or that of a tunnel.
#[cold]
pub(super) fn short(upper: &Upper<'_>) -> Undecodable {
    let why = if upper.whole { Why::Malformed } else { Why::Truncated };
    let seen = Some(packet(upper, Transport::Absent, None));
    Undecodable { seen, ..why.into() }
}

#[inline]
fn packet(
    upper: &Upper<'_>,
    transport: Transport,
    tcp_flags: Option<crate::flow::TcpFlags>,
) -> Packet {
    let Upper { src, dst, proto, fragment, payload: _, whole: _, hop_limit } = *upper;
    Packet { flow: FlowTuple { src, dst, proto, transport }, tcp_flags, fragment, hop_limit }
}
