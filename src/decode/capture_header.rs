//! Headers that the capturing system writes and that were never on the wire: firewalls, routers, loopback
//! devices.

use super::ethertype::{IPV4, ethernet, next, of_any_version, of_version, rest};
use super::{NoIp, NonIp, TypeField};
use crate::capture::{DirectionHint, LinkType};

type Payload<'a> = Result<(u16, &'a [u8]), NoIp>;

fn ip(data: &[u8]) -> (u16, &[u8]) {
    (IPV4, data)
}

/// An address family, whose number is that of the capturing system.
fn version_of_family(family: u32) -> Result<u8, NonIp> {
    match family {
        // AF_INET; AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, macOS.
        2 => Ok(4),
        10 | 24 | 28 | 30 => Ok(6),
        family => Err(NonIp::wide(TypeField::Family, family)),
    }
}

/// A family of 4 bytes, in the byte order of the capturing machine or in network order.
fn family(data: &[u8]) -> Result<(u8, &[u8]), NoIp> {
    let (family, data) = data.split_first_chunk().ok_or(NonIp::CUT)?;
    let family = u32::from_le_bytes(*family).min(u32::from_be_bytes(*family));
    Ok((version_of_family(family)?, data))
}

/// BSD loopback.
pub(super) fn after_family(data: &[u8]) -> Payload<'_> {
    Ok(ip(family(data)?.1))
}

/// BSD's device for `IPsec`: family, SPI, flags; then the packet inside, in clear.
pub(super) fn after_enc(data: &[u8]) -> Payload<'_> {
    let (version, data) = family(data)?;
    Ok(ip(of_version(rest(data, 8)?, version)?))
}

/// Where BSD's packet filter says which way a packet went.
const PFLOG_DIRECTION: usize = 60;

/// BSD's packet filter: its own length, and the family. The packet begins at a multiple of 4 bytes.
pub(super) fn after_pflog(data: &[u8]) -> Payload<'_> {
    let [len, family, ..] = *data else { return Err(NonIp::CUT.into()) };
    let packet = rest(data, usize::from(len).next_multiple_of(4))?;
    if usize::from(len) < 4 {
        return Err(NoIp::Malformed);
    }
    Ok(ip(of_version(packet, version_of_family(family.into())?)?))
}

const JUNIPER_MAGIC: [u8; 3] = *b"MGC";
const JUNIPER_INCOMING: u8 = 0x01;

/// Juniper's routers: flags, and an extension where flagged; then Ethernet, or without it four bytes and IP.
pub(super) fn after_juniper_ethernet(data: &[u8]) -> Payload<'_> {
    const NO_ETHERNET: u8 = 0x02;
    const EXTENSION: u8 = 0x80;
    let (magic, data) = data.split_first_chunk().ok_or(NonIp::CUT)?;
    if *magic != JUNIPER_MAGIC {
        return Err(NoIp::Malformed);
    }
    let (flags, mut data) = data.split_first().ok_or(NonIp::CUT)?;
    if flags & EXTENSION != 0 {
        let (len, extension) = next(data)?;
        data = rest(extension, len.into())?;
    }
    match flags & NO_ETHERNET {
        0 => ethernet(data),
        _ => Ok(ip(of_any_version(rest(data, 4)?)?)),
    }
}

/// Solaris: version, family, kind of hook, length, interfaces and zones.
pub(super) fn after_ipnet(data: &[u8]) -> Payload<'_> {
    const HEADER: usize = 24;
    let family = *data.get(1).ok_or(NonIp::CUT)?;
    let packet = rest(data, HEADER)?;
    match family {
        2 => Ok(ip(of_version(packet, 4)?)),
        26 => Ok(ip(of_version(packet, 6)?)),
        other => Err(NonIp::wide(TypeField::Family, other.into()).into()),
    }
}

/// Linux netfilter log: family, version, resource, then attributes, of which one is the packet. Their
/// byte order is that of the capturing machine.
pub(super) fn after_nflog(data: &[u8]) -> Payload<'_> {
    const PAYLOAD: u16 = 9;
    let mut rest = rest(data, 4)?;
    // The first attribute is a short one.
    let is_little = |len: [u8; 2]| u16::from_le_bytes(len) <= u16::from_be_bytes(len);
    let little = rest.first_chunk().is_some_and(|len| is_little(*len));
    let number = |bytes| if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) };
    while let Some((&[a, b, c, d], _)) = rest.split_first_chunk() {
        let (len, kind) = (usize::from(number([a, b])), number([c, d]));
        let value = rest.get(4..len).ok_or(NonIp::CUT)?;
        if kind == PAYLOAD {
            return Ok(ip(of_any_version(value)?));
        }
        rest = rest.get(len.next_multiple_of(4)..).ok_or(NonIp::CUT)?;
    }
    Err(NonIp::CUT.into())
}

/// macOS `pktap`: its own length and the link type of what follows, little-endian.
pub(super) fn inside_pktap(data: &[u8]) -> Result<(LinkType, &[u8]), NoIp> {
    let number = |at| -> Result<u32, NoIp> {
        let bytes = rest(data, at)?.first_chunk().ok_or(NonIp::CUT)?;
        Ok(u32::from_le_bytes(*bytes))
    };
    let inner = rest(data, usize::try_from(number(0)?).map_err(|_| NonIp::CUT)?)?;
    Ok((LinkType(number(8)?), inner))
}

/// Per-packet information: version, flags, its own length, and the link type of what follows,
/// little-endian.
pub(super) fn inside_ppi(data: &[u8]) -> Result<(LinkType, &[u8]), NoIp> {
    const HEADER: u16 = 8;
    let [_, _, low, high, link @ ..] = *data.first_chunk::<8>().ok_or(NonIp::CUT)?;
    let len = u16::from_le_bytes([low, high]);
    if len < HEADER {
        return Err(NoIp::Malformed);
    }
    Ok((LinkType(u32::from_le_bytes(link)), rest(data, len.into())?))
}

/// The direction in the headers of this module.
pub(super) fn direction_hint(link: LinkType, data: &[u8]) -> Option<DirectionHint> {
    let (inbound, outbound) = match link {
        LinkType::PFLOG => {
            let direction = *data.get(PFLOG_DIRECTION)?;
            let is_there = usize::from(*data.first()?) > PFLOG_DIRECTION;
            (is_there && direction == 1, is_there && direction == 2)
        }
        LinkType::JUNIPER_ETHER => {
            let incoming = data.get(3)? & JUNIPER_INCOMING != 0;
            (incoming, !incoming)
        }
        LinkType::IPNET => {
            let hook = u16::from_be_bytes(*data.get(2..)?.first_chunk()?);
            (hook == 0, hook == 1)
        }
        LinkType::SLIP
        | LinkType::PPP_WITH_DIR
        | LinkType::C_HDLC_WITH_DIR
        | LinkType::FRELAY_WITH_DIR => {
            let sent = *data.first()? != 0;
            (!sent, sent)
        }
        _ => return None,
    };
    match (inbound, outbound) {
        (true, _) => Some(DirectionHint::Inbound),
        (_, true) => Some(DirectionHint::Outbound),
        _ => None,
    }
}
