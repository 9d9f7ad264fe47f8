//! From an EtherType down to the IP packet: through VLAN and other tags, labels, PPPoE, LLC.

use pnet_packet::vlan::VlanPacket;

use super::Why;

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
/// Tags before which an EtherType stands again: 802.1Q, 802.1ad and the older QinQ numbers.
const VLAN_TAGS: [u16; 5] = [0x8100, 0x88a8, 0x9100, 0x9200, 0x9300];
/// The tag of 802.1BR port extenders and VN-Link.
const VNTAG: u16 = 0x8926;
/// MAC in MAC: the service tag of 802.1ah, then the customer's Ethernet frame.
const BACKBONE: u16 = 0x88e7;
/// Cisco `FabricPath`: a tag, then the Ethernet frame.
const FABRIC_PATH: u16 = 0x8903;
const MACSEC: u16 = 0x88e5;
pub(super) const MPLS: u16 = 0x8847;
const MPLS_UPSTREAM: u16 = 0x8848;
const PPPOE_SESSION: u16 = 0x8864;
/// Values below this in an EtherType's place are the length of an 802.3 frame.
const FIRST_ETHERTYPE: u16 = 0x0600;
/// The two addresses before an Ethernet frame's EtherType.
const ADDRESSES: usize = 12;

/// The IP packet behind an EtherType.
#[inline]
pub(super) fn payload(ethertype: u16, data: &[u8]) -> Result<&[u8], Why> {
    match ethertype {
        IPV4 | IPV6 => Ok(data),
        _ => after_tags(ethertype, data),
    }
}

/// Each step consumes at least 3 bytes, so the walk ends.
#[cold]
fn after_tags(mut ethertype: u16, mut data: &[u8]) -> Result<&[u8], Why> {
    loop {
        (ethertype, data) = match ethertype {
            IPV4 | IPV6 => return Ok(data),
            tag if VLAN_TAGS.contains(&tag) => {
                let tag = VlanPacket::new(data).ok_or(Why::NonIp)?;
                (tag.get_ethertype().0, rest(data, 4)?)
            }
            VNTAG => next(rest(data, 4)?)?,
            BACKBONE => next(rest(data, 4 + ADDRESSES)?)?,
            FABRIC_PATH => next(rest(data, 2 + ADDRESSES)?)?,
            MACSEC => macsec(data)?,
            MPLS | MPLS_UPSTREAM => return after_labels(data),
            PPPOE_SESSION => return after_pppoe(data),
            length if length < FIRST_ETHERTYPE => llc(data)?,
            _ => return Err(Why::NonIp),
        };
    }
}

/// A frame that ends before any layer has named IP is not IP, however much of it is missing.
#[inline]
pub(super) fn rest(data: &[u8], header: usize) -> Result<&[u8], Why> {
    data.get(header..).ok_or(Why::NonIp)
}

/// An EtherType and what follows it.
#[inline]
pub(super) fn next(data: &[u8]) -> Result<(u16, &[u8]), Why> {
    let (ethertype, data) = data.split_first_chunk().ok_or(Why::NonIp)?;
    Ok((u16::from_be_bytes(*ethertype), data))
}

/// 802.1AE without encryption: flags, packet number, and where flagged the channel of 8 bytes.
fn macsec(data: &[u8]) -> Result<(u16, &[u8]), Why> {
    const CHANNEL: u8 = 0x20;
    const ENCRYPTED: u8 = 0x0c;
    match data.first() {
        Some(flags) if flags & ENCRYPTED == 0 => {
            next(rest(data, if flags & CHANNEL == 0 { 6 } else { 14 })?)
        }
        _ => Err(Why::NonIp),
    }
}

/// The labels of MPLS. It does not say what it carries: the IP version decides (RFC 4928).
pub(super) fn after_labels(mut data: &[u8]) -> Result<&[u8], Why> {
    loop {
        let (label, rest) = data.split_first_chunk::<4>().ok_or(Why::NonIp)?;
        let [_, _, bottom_of_stack, _] = label;
        if bottom_of_stack & 1 == 1 {
            return of_any_version(rest);
        }
        data = rest;
    }
}

/// PPPoE's header of 6 bytes (RFC 2516), then PPP.
pub(super) fn after_pppoe(data: &[u8]) -> Result<&[u8], Why> {
    after_ppp(rest(data, 6)?)
}

/// PPP's protocol field (RFC 1661), of which the first byte may be left out where it is zero.
pub(super) fn after_ppp(data: &[u8]) -> Result<&[u8], Why> {
    let (protocol, data) = match data {
        [short, data @ ..] if short & 1 == 1 => (u16::from(*short), data),
        _ => next(data)?,
    };
    match protocol {
        0x0021 | 0x0057 => Ok(data),
        0x0281 | 0x0283 => after_labels(data),
        _ => Err(Why::NonIp),
    }
}

/// 802.2 LLC: IP's own service access point, or SNAP with an EtherType (RFC 1042).
pub(super) fn llc(data: &[u8]) -> Result<(u16, &[u8]), Why> {
    match data {
        [0x06, 0x06, 0x03, ip @ ..] => Ok((IPV4, ip)),
        [0xaa, 0xaa, 0x03, 0, 0, 0, data @ ..] => next(data),
        _ => Err(Why::NonIp),
    }
}

pub(super) fn of_any_version(data: &[u8]) -> Result<&[u8], Why> {
    of_version(data, 4).or_else(|_| of_version(data, 6))
}

pub(super) fn of_version(data: &[u8], version: u8) -> Result<&[u8], Why> {
    data.first().filter(|first| *first >> 4 == version).map(|_| data).ok_or(Why::NonIp)
}
