//! Link layers: what stands before the IP header.
//!
//! A frame that ends before any layer has named IP is not IP, however much of it is missing.

use pnet_packet::ethernet::{EtherType, EtherTypes, EthernetPacket};
use pnet_packet::sll::SLLPacket;
use pnet_packet::sll2::SLL2Packet;
use pnet_packet::vlan::VlanPacket;

use super::Why;
use crate::capture::{DirectionHint, LinkType};

/// Tags before which an EtherType stands again: 802.1Q, 802.1ad and the older QinQ numbers.
const VLAN_TAGS: [u16; 5] = [0x8100, 0x88a8, 0x9100, 0x9200, 0x9300];
/// The 4-byte tag of 802.1BR port extenders and VN-Link.
const VNTAG: u16 = 0x8926;
const MPLS: [u16; 2] = [0x8847, 0x8848];
/// The length of the "cooked" headers. `pnet_packet` takes 8 bytes for enough and then reads past the end
/// (it counts the address as empty), so the length is looked at first.
const SLL_HEADER: usize = 16;
const SLL2_HEADER: usize = 20;
const PPPOE_SESSION: u16 = 0x8864;
/// Values below this in an EtherType's place are the length of an 802.3 frame.
const FIRST_ETHERTYPE: u16 = 0x0600;

/// The IP packet in a frame.
#[inline]
pub(super) fn payload(link: LinkType, data: &[u8]) -> Result<&[u8], Why> {
    match link {
        LinkType::ETHERNET => {
            let frame = EthernetPacket::new(data).ok_or(Why::NonIp)?;
            after_ethertype(frame.get_ethertype(), rest(data, 14)?)
        }
        LinkType::LINUX_SLL => {
            let ip = rest(data, SLL_HEADER)?;
            let header = SLLPacket::new(data).ok_or(Why::NonIp)?;
            after_ethertype(header.get_protocol(), ip)
        }
        LinkType::LINUX_SLL2 => {
            let ip = rest(data, SLL2_HEADER)?;
            let header = SLL2Packet::new(data).ok_or(Why::NonIp)?;
            after_ethertype(header.get_protocol_type(), ip)
        }
        LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD => {
            of_version(data, 4).or_else(|_| of_version(data, 6))
        }
        LinkType::IPV4 => of_version(data, 4),
        LinkType::IPV6 => of_version(data, 6),
        LinkType::NULL | LinkType::LOOP => after_family(data),
        _ => Err(Why::UnsupportedLink),
    }
}

#[inline]
fn rest(data: &[u8], header: usize) -> Result<&[u8], Why> {
    data.get(header..).ok_or(Why::NonIp)
}

#[inline]
fn after_ethertype(ethertype: EtherType, data: &[u8]) -> Result<&[u8], Why> {
    match ethertype {
        EtherTypes::Ipv4 | EtherTypes::Ipv6 => Ok(data),
        _ => after_tags(ethertype.0, data),
    }
}

/// Walks tags, labels and PPPoE down to the IP packet. Each step is at least 4 bytes long.
#[cold]
fn after_tags(mut ethertype: u16, mut data: &[u8]) -> Result<&[u8], Why> {
    loop {
        match ethertype {
            0x0800 | 0x86dd => return Ok(data),
            tag if VLAN_TAGS.contains(&tag) => {
                ethertype = VlanPacket::new(data).ok_or(Why::NonIp)?.get_ethertype().0;
                data = rest(data, 4)?;
            }
            VNTAG => {
                let after = rest(data, 4)?.first_chunk().ok_or(Why::NonIp)?;
                ethertype = u16::from_be_bytes(*after);
                data = rest(data, 6)?;
            }
            mpls if MPLS.contains(&mpls) => {
                let label = data.first_chunk::<4>().ok_or(Why::NonIp)?;
                data = rest(data, 4)?;
                let [_, _, bottom_of_stack, _] = label;
                if bottom_of_stack & 1 == 1 {
                    // MPLS does not say what it carries: the IP version decides (RFC 4928).
                    return of_version(data, 4).or_else(|_| of_version(data, 6));
                }
            }
            PPPOE_SESSION => {
                return match rest(data, 6)?.first_chunk().ok_or(Why::NonIp)? {
                    [0x00, 0x21 | 0x57] => rest(data, 8),
                    _ => Err(Why::NonIp),
                };
            }
            length if length < FIRST_ETHERTYPE => {
                // 802.3 with LLC: either IP's own SAP, or SNAP with an EtherType.
                return match data {
                    [0x06, 0x06, 0x03, ip @ ..]
                    | [0xaa, 0xaa, 0x03, 0, 0, 0, 0x08, 0x00, ip @ ..]
                    | [0xaa, 0xaa, 0x03, 0, 0, 0, 0x86, 0xdd, ip @ ..] => Ok(ip),
                    _ => Err(Why::NonIp),
                };
            }
            _ => return Err(Why::NonIp),
        }
    }
}

/// BSD loopback: the family in the byte order of the capturing machine, or in network order.
fn after_family(data: &[u8]) -> Result<&[u8], Why> {
    let family = *data.first_chunk().ok_or(Why::NonIp)?;
    let ip = rest(data, 4)?;
    let family = u32::from_le_bytes(family).min(u32::from_be_bytes(family));
    match family {
        // AF_INET; AF_INET6 of Linux, NetBSD, FreeBSD, macOS.
        2 | 10 | 24 | 28 | 30 => Ok(ip),
        _ => Err(Why::NonIp),
    }
}

fn of_version(data: &[u8], version: u8) -> Result<&[u8], Why> {
    data.first().filter(|first| *first >> 4 == version).map(|_| data).ok_or(Why::NonIp)
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
