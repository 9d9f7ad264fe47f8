//! The protocol addresses of ARP and RARP, which a filter's `host` and `net` look at.

use std::net::{IpAddr, Ipv4Addr};

use super::ethertype::VLAN_TAGS;
use crate::capture::LinkType;

const ARP: u16 = 0x0806;
const RARP: u16 = 0x8035;

/// Sender and target of an ARP or RARP message for IPv4; `None` for any other frame.
pub fn arp(link: LinkType, data: &[u8]) -> Option<[IpAddr; 2]> {
    let at = match link {
        LinkType::ETHERNET => 12,
        LinkType::LINUX_SLL => 14,
        LinkType::LINUX_SLL2 => 0,
        _ => return None,
    };
    let header = if link == LinkType::LINUX_SLL2 { 20 } else { at + 2 };
    let number = |data: &[u8], at: usize| {
        data.get(at..).and_then(<[u8]>::first_chunk).map(|bytes| u16::from_be_bytes(*bytes))
    };
    let (mut ethertype, mut message) = (number(data, at)?, data.get(header..)?);
    while VLAN_TAGS.contains(&ethertype) {
        (ethertype, message) = (number(message, 2)?, message.get(4..)?);
    }
    // Hardware and protocol type, their lengths, operation; then two pairs of addresses.
    let [_, _, 0x08, 0x00, hardware, 4, _, _] = *message.first_chunk()? else { return None };
    let hardware = usize::from(hardware);
    let address = |at: usize| -> Option<IpAddr> {
        let octets: &[u8; 4] = message.get(at..)?.first_chunk()?;
        Some(Ipv4Addr::from(*octets).into())
    };
    let is_arp = matches!(ethertype, ARP | RARP);
    is_arp.then_some([address(8 + hardware)?, address(12 + 2 * hardware)?])
}
