//! Link layers: what stands before the IP header, by the link type of the capture.

use pnet_packet::ethernet::EthernetPacket;
use pnet_packet::sll::SLLPacket;
use pnet_packet::sll2::SLL2Packet;

use super::ethertype::{self, after_ppp, after_pppoe, llc, next, of_any_version, of_version, rest};
use super::{NoIp, NonIp, TypeField};
use crate::capture::{DirectionHint, LinkType};

/// The length of the "cooked" headers. `pnet_packet` takes 8 bytes for enough and then reads past the end
/// (it counts the address as empty), so the length is looked at first.
const SLL_HEADER: usize = 16;
const SLL2_HEADER: usize = 20;

/// The IP packet in a frame.
#[inline]
pub(super) fn payload(link: LinkType, data: &[u8]) -> Result<&[u8], NoIp> {
    match link {
        LinkType::ETHERNET => {
            let frame = EthernetPacket::new(data).ok_or(NonIp::CUT)?;
            ethertype::payload(frame.get_ethertype().0, rest(data, 14)?)
        }
        LinkType::LINUX_SLL => {
            let body = rest(data, SLL_HEADER)?;
            let header = SLLPacket::new(data).ok_or(NonIp::CUT)?;
            cooked(header.get_link_layer_address_type(), header.get_protocol().0, body)
        }
        LinkType::LINUX_SLL2 => {
            let body = rest(data, SLL2_HEADER)?;
            let header = SLL2Packet::new(data).ok_or(NonIp::CUT)?;
            cooked(header.get_arphrd_type(), header.get_protocol_type().0, body)
        }
        LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD => of_any_version(data),
        LinkType::IPV4 => of_version(data, 4),
        LinkType::IPV6 => of_version(data, 6),
        LinkType::NULL | LinkType::LOOP => after_family(data),
        _ => rare(link, data),
    }
}

/// Link types that a server's capture seldom has.
#[cold]
fn rare(link: LinkType, data: &[u8]) -> Result<&[u8], NoIp> {
    let (ethertype, data) = match link {
        LinkType::PPP | LinkType::PPP_HDLC => return ppp(data),
        LinkType::PPP_ETHER => return after_pppoe(data),
        // Address and control, then an EtherType.
        LinkType::C_HDLC => next(rest(data, 2)?)?,
        LinkType::FRELAY => return frame_relay(data),
        LinkType::ATM_RFC1483 => llc(data)?,
        // Frame control and two addresses, then LLC.
        LinkType::FDDI => llc(rest(data, 13)?)?,
        LinkType::IEEE802_11 => wireless(data)?,
        LinkType::IEEE802_11_RADIOTAP => after_radiotap(data)?,
        LinkType::ARCNET_LINUX => return arcnet(data),
        LinkType::NFLOG => return nflog(data),
        LinkType::PKTAP => return pktap(data),
        // These have no IP header on the wire: 802.15.4 compresses it, vsock has addresses of its own.
        LinkType::IEEE802_15_4 | LinkType::IEEE802_15_4_NOFCS | LinkType::VSOCK => {
            return Err(of_link(link));
        }
        _ => return Err(NoIp::UnsupportedLink),
    };
    ethertype::payload(ethertype, data)
}

/// A link type that carries no IP header.
fn of_link(link: LinkType) -> NoIp {
    number(TypeField::Link, link.0).into()
}

/// A number that is longer in its field than any that has a name.
fn number(field: TypeField, number: u32) -> NonIp {
    NonIp { field, number: u16::try_from(number).unwrap_or(u16::MAX) }
}

/// Behind a Linux "cooked" header: what the protocol field means depends on the device (ARPHRD).
#[inline]
fn cooked(device: u16, protocol: u16, data: &[u8]) -> Result<&[u8], NoIp> {
    match protocol {
        ethertype::IPV4 | ethertype::IPV6 if !matches!(device, 770 | 801..=803 | 824) => Ok(data),
        _ => cooked_otherwise(device, protocol, data),
    }
}

#[cold]
fn cooked_otherwise(device: u16, protocol: u16, data: &[u8]) -> Result<&[u8], NoIp> {
    const NOVELL_802_3: u16 = 1;
    const LLC: u16 = 4;
    let (ethertype, data) = match (device, protocol) {
        // ARPHRD_FRAD
        (770, _) => return frame_relay(data),
        // ARPHRD_IEEE80211, and with a radiotap header
        (801, _) => wireless(data)?,
        (803, _) => after_radiotap(data)?,
        // ARPHRD_IEEE80211_PRISM, ARPHRD_NETLINK
        (802, _) => return Err(of_link(LinkType::IEEE802_11_PRISM)),
        (824, _) => return Err(of_link(LinkType::NETLINK)),
        (_, NOVELL_802_3) => return Err(NonIp::ethertype(NOVELL_802_3).into()),
        (_, LLC) => llc(data)?,
        _ => (protocol, data),
    };
    ethertype::payload(ethertype, data)
}

/// BSD loopback: the family in the byte order of the capturing machine, or in network order.
fn after_family(data: &[u8]) -> Result<&[u8], NoIp> {
    let (family, ip) = data.split_first_chunk().ok_or(NonIp::CUT)?;
    let family = u32::from_le_bytes(*family).min(u32::from_be_bytes(*family));
    match family {
        // AF_INET; AF_INET6 of Linux, NetBSD, FreeBSD, macOS.
        2 | 10 | 24 | 28 | 30 => Ok(ip),
        family => Err(number(TypeField::Family, family).into()),
    }
}

/// PPP, alone or in HDLC-like framing (RFC 1662), or Cisco's HDLC in its place.
fn ppp(data: &[u8]) -> Result<&[u8], NoIp> {
    match data {
        [0xff, 0x03, data @ ..] => after_ppp(data),
        [0x0f | 0x8f, 0x00, data @ ..] => {
            let (ethertype, data) = next(data)?;
            ethertype::payload(ethertype, data)
        }
        _ => after_ppp(data),
    }
}

/// An address of which the last byte is marked, then either control and who speaks (RFC 2427), or an
/// EtherType, as Cisco has it.
fn frame_relay(data: &[u8]) -> Result<&[u8], NoIp> {
    const UNNUMBERED: u8 = 0x03;
    let address = data.iter().take(4).position(|byte| byte & 1 == 1).ok_or(NonIp::CUT)?;
    let (ethertype, data) = match rest(data, address + 1)? {
        [UNNUMBERED, 0xcc | 0x8e, ip @ ..] => return Ok(ip),
        // The padding is there where what follows is to start at an even byte.
        [UNNUMBERED, 0x00, 0x80, 0, 0, 0, data @ ..] | [UNNUMBERED, 0x80, 0, 0, 0, data @ ..] => {
            next(data)?
        }
        [UNNUMBERED, 0x00, nlpid, ..] | [UNNUMBERED, nlpid, ..] => {
            return Err(NonIp { field: TypeField::Nlpid, number: (*nlpid).into() }.into());
        }
        data => next(data)?,
    };
    ethertype::payload(ethertype, data)
}

/// 802.11: data frames that are not encrypted carry LLC.
fn wireless(data: &[u8]) -> Result<(u16, &[u8]), NoIp> {
    let [control, flags, ..] = *data else { return Err(NonIp::CUT.into()) };
    let (version, kind, subtype) = (control & 0x03, control >> 2 & 0x03, control >> 4);
    let (to, from) = (flags & 0x01 != 0, flags & 0x02 != 0);
    let (protected, order) = (flags & 0x40 != 0, flags & 0x80 != 0);
    let (quality, no_data) = (subtype & 0x08 != 0, subtype & 0x04 != 0);
    if version != 0 || kind != 2 || no_data {
        return Err(NonIp { field: TypeField::Wireless, number: control.into() }.into());
    }
    if protected {
        return Err(NonIp { field: TypeField::Encrypted, number: 0 }.into());
    }
    let fourth_address = if to && from { 6 } else { 0 };
    let quality_header = if quality { 2 } else { 0 };
    let throughput_header = if quality && order { 4 } else { 0 };
    llc(rest(data, 24 + fourth_address + quality_header + throughput_header)?)
}

/// Radiotap: its own length, little-endian, at byte 2.
fn after_radiotap(data: &[u8]) -> Result<(u16, &[u8]), NoIp> {
    let len = *rest(data, 2)?.first_chunk().ok_or(NonIp::CUT)?;
    wireless(rest(data, u16::from_le_bytes(len).into())?)
}

/// Linux ARCNET: addresses, offset, then the type; after the types of RFC 1201 three bytes more.
fn arcnet(data: &[u8]) -> Result<&[u8], NoIp> {
    match rest(data, 4)? {
        // RFC 1051
        [240, ip @ ..]
        // RFC 1201: IPv4 and IPv6
        | [212 | 196, _, _, _, ip @ ..] => Ok(ip),
        [kind, ..] => Err(NonIp { field: TypeField::Arcnet, number: (*kind).into() }.into()),
        [] => Err(NonIp::CUT.into()),
    }
}

/// Linux netfilter log: family, version, resource, then attributes, of which one is the packet. Their
/// byte order is that of the capturing machine.
fn nflog(data: &[u8]) -> Result<&[u8], NoIp> {
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
            return of_any_version(value);
        }
        rest = rest.get(len.next_multiple_of(4)..).ok_or(NonIp::CUT)?;
    }
    Err(NonIp::CUT.into())
}

/// macOS `pktap`: its own length and the link type of what follows, little-endian.
fn pktap(data: &[u8]) -> Result<&[u8], NoIp> {
    let number = |at| -> Result<u32, NoIp> {
        let bytes = rest(data, at)?.first_chunk().ok_or(NonIp::CUT)?;
        Ok(u32::from_le_bytes(*bytes))
    };
    let inner = rest(data, usize::try_from(number(0)?).map_err(|_| NonIp::CUT)?)?;
    match LinkType(number(8)?) {
        // What follows is then no capture of a device.
        LinkType::PKTAP => Err(of_link(LinkType::PKTAP)),
        link => payload(link, inner),
    }
}

/// What a "cooked" header says of the packet's direction.
pub(super) fn direction_hint(link: LinkType, data: &[u8]) -> Option<DirectionHint> {
    let packet_type = match link {
        LinkType::LINUX_SLL => {
            SLLPacket::new(data.get(..SLL_HEADER)?).map(|header| header.get_packet_type())
        }
        LinkType::LINUX_SLL2 => {
            SLL2Packet::new(data.get(..SLL2_HEADER)?).map(|header| header.get_packet_type().into())
        }
        _ => None,
    };
    match packet_type? {
        0 => Some(DirectionHint::Inbound),
        4 => Some(DirectionHint::Outbound),
        _ => None,
    }
}
