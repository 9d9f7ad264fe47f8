//! Link layers: what stands before the IP header, by the link type of the capture.

use pnet_packet::ethernet::EthernetPacket;
use pnet_packet::sll::SLLPacket;
use pnet_packet::sll2::SLL2Packet;

use super::ethertype::{IPV4, IPV6, MPLS, ethernet, next, of_any_version, of_version, rest};
use super::tags::{self, after_ppp, after_pppoe, llc};
use super::{NoIp, NonIp, TypeField, capture_header, docsis, wireless};
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
            tags::payload(frame.get_ethertype().0, rest(data, 14)?)
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
        _ => rare(link, data),
    }
}

/// Link types that a server's capture seldom has.
#[cold]
fn rare(link: LinkType, data: &[u8]) -> Result<&[u8], NoIp> {
    let (link, data) = match link {
        LinkType::PPI => capture_header::inside_ppi(data)?,
        LinkType::PKTAP => capture_header::inside_pktap(data)?,
        _ => (link, data),
    };
    let (ethertype, data) = match link {
        LinkType::NULL | LinkType::LOOP => capture_header::after_family(data)?,
        LinkType::ENC => capture_header::after_enc(data)?,
        LinkType::PFLOG => capture_header::after_pflog(data)?,
        LinkType::JUNIPER_ETHER => capture_header::after_juniper_ethernet(data)?,
        LinkType::IPNET => capture_header::after_ipnet(data)?,
        LinkType::NFLOG => capture_header::after_nflog(data)?,
        // Behind the header of another capture; nothing else is a capture in a capture.
        LinkType::PPI | LinkType::PKTAP => return Err(of_link(link)),
        LinkType::PPP | LinkType::PPP_HDLC => ppp(data)?,
        LinkType::PPP_WITH_DIR => ppp(rest(data, DIRECTION)?)?,
        LinkType::PPP_ETHER => after_pppoe(data)?,
        // A direction and what is left of the compressed header.
        LinkType::SLIP => (IPV4, of_any_version(rest(data, DIRECTION + 15)?)?),
        LinkType::C_HDLC => cisco_hdlc(data)?,
        LinkType::C_HDLC_WITH_DIR => cisco_hdlc(rest(data, DIRECTION)?)?,
        LinkType::FRELAY => frame_relay(data)?,
        LinkType::FRELAY_WITH_DIR => frame_relay(rest(data, DIRECTION)?)?,
        LinkType::ATM_RFC1483 => match data {
            // A bridged frame behind two bytes of padding (RFC 2684), with or without its check sequence.
            [0xaa, 0xaa, 0x03, 0x00, 0x80, 0xc2, 0x00, 0x01 | 0x07, _, _, frame @ ..] => {
                ethernet(frame)?
            }
            _ => llc(data)?,
        },
        // Frame control and two addresses, then LLC.
        LinkType::FDDI => llc(rest(data, 13)?)?,
        LinkType::IEEE802_11 => wireless::frame(data)?,
        LinkType::IEEE802_11_PRISM => wireless::after_prism(data)?,
        LinkType::IEEE802_11_RADIOTAP => wireless::after_radiotap(data)?,
        LinkType::IEEE802_11_AVS => wireless::after_avs(data)?,
        LinkType::ARCNET_LINUX => arcnet(data)?,
        LinkType::DOCSIS => docsis::frame(data)?,
        LinkType::MPLS => (MPLS, data),
        // The tag of a switch, of 4 or 8 bytes, stands before the addresses or behind them.
        LinkType::BROADCOM_TAG | LinkType::BROADCOM_TAG_PREPENDED | LinkType::DSA_TAG => {
            ethernet(rest(data, 4)?)?
        }
        LinkType::EDSA_TAG => ethernet(rest(data, 8)?)?,
        // A pseudo header, then a type and two reserved bytes.
        LinkType::IP_OVER_INFINIBAND => {
            let (ethertype, data) = next(rest(data, 40)?)?;
            (ethertype, rest(data, 2)?)
        }
        // These have no IP header on the wire: 802.15.4 compresses it, vsock has addresses of its own.
        LinkType::IEEE802_15_4 | LinkType::IEEE802_15_4_NOFCS | LinkType::VSOCK => {
            return Err(of_link(link));
        }
        LinkType::ETHERNET
        | LinkType::LINUX_SLL
        | LinkType::LINUX_SLL2
        | LinkType::RAW
        | LinkType::RAW_BSD
        | LinkType::RAW_OPENBSD
        | LinkType::IPV4
        | LinkType::IPV6 => return payload(link, data),
        _ => return Err(NoIp::UnsupportedLink),
    };
    tags::payload(ethertype, data)
}

/// A link type that carries no IP header.
fn of_link(link: LinkType) -> NoIp {
    NonIp::wide(TypeField::Link, link.0).into()
}

/// Behind a Linux "cooked" header: what the protocol field means depends on the device (ARPHRD).
#[inline]
fn cooked(device: u16, protocol: u16, data: &[u8]) -> Result<&[u8], NoIp> {
    match protocol {
        IPV4 | IPV6 if !matches!(device, 770 | 801..=803 | 824) => Ok(data),
        _ => cooked_otherwise(device, protocol, data),
    }
}

#[cold]
fn cooked_otherwise(device: u16, protocol: u16, data: &[u8]) -> Result<&[u8], NoIp> {
    const NOVELL_802_3: u16 = 1;
    const LLC: u16 = 4;
    let (ethertype, data) = match (device, protocol) {
        // ARPHRD_FRAD
        (770, _) => frame_relay(data)?,
        // ARPHRD_IEEE80211, and with a radiotap header
        (801, _) => wireless::frame(data)?,
        (803, _) => wireless::after_radiotap(data)?,
        // ARPHRD_IEEE80211_PRISM, ARPHRD_NETLINK
        (802, _) => wireless::after_prism(data)?,
        (824, _) => return Err(of_link(LinkType::NETLINK)),
        (_, NOVELL_802_3) => return Err(NonIp::ethertype(NOVELL_802_3).into()),
        (_, LLC) => llc(data)?,
        _ => (protocol, data),
    };
    tags::payload(ethertype, data)
}

/// The byte before a frame that says which way it went.
const DIRECTION: usize = 1;

/// PPP, alone or in HDLC-like framing (RFC 1662), or Cisco's HDLC in its place.
fn ppp(data: &[u8]) -> Result<(u16, &[u8]), NoIp> {
    match data {
        [0xff, 0x03, data @ ..] => after_ppp(data),
        [0x0f | 0x8f, 0x00, data @ ..] => next(data),
        _ => after_ppp(data),
    }
}

/// Address and control, then an EtherType.
fn cisco_hdlc(data: &[u8]) -> Result<(u16, &[u8]), NoIp> {
    next(rest(data, 2)?)
}

/// An address of which the last byte is marked, then either control and who speaks (RFC 2427), or an
/// EtherType, as Cisco has it.
fn frame_relay(data: &[u8]) -> Result<(u16, &[u8]), NoIp> {
    const UNNUMBERED: u8 = 0x03;
    let address = data.iter().take(4).position(|byte| byte & 1 == 1).ok_or(NonIp::CUT)?;
    match rest(data, address + 1)? {
        [UNNUMBERED, 0xcc | 0x8e, ip @ ..] => Ok((IPV4, ip)),
        // A bridged frame, with or without its check sequence.
        [UNNUMBERED, 0x00, 0x80, 0x00, 0x80, 0xc2, 0x00, 0x01 | 0x07, frame @ ..]
        | [UNNUMBERED, 0x80, 0x00, 0x80, 0xc2, 0x00, 0x01 | 0x07, frame @ ..] => ethernet(frame),
        // The padding is there where what follows is to start at an even byte.
        [UNNUMBERED, 0x00, 0x80, snap @ ..] | [UNNUMBERED, 0x80, snap @ ..] => tags::snap(snap),
        [UNNUMBERED, 0x00, nlpid, ..] | [UNNUMBERED, nlpid, ..] => {
            Err(NonIp { field: TypeField::Nlpid, number: (*nlpid).into() }.into())
        }
        data => next(data),
    }
}

/// Linux ARCNET: addresses, offset, then the type; after the types of RFC 1201 three bytes more.
fn arcnet(data: &[u8]) -> Result<(u16, &[u8]), NoIp> {
    match rest(data, 4)? {
        // RFC 1051
        [240, ip @ ..]
        // RFC 1201: IPv4 and IPv6
        | [212 | 196, _, _, _, ip @ ..] => Ok((IPV4, ip)),
        [kind, ..] => Err(NonIp { field: TypeField::Arcnet, number: (*kind).into() }.into()),
        [] => Err(NonIp::CUT.into()),
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
        _ => return capture_header::direction_hint(link, data),
    };
    match packet_type? {
        0 => Some(DirectionHint::Inbound),
        4 => Some(DirectionHint::Outbound),
        _ => None,
    }
}
