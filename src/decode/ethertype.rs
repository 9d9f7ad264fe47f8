//! From an EtherType down to the IP packet: through VLAN and other tags, labels, PPPoE, LLC.

use pnet_packet::vlan::VlanPacket;

use super::{NoIp, NonIp, TypeField};

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
/// Tags before which an EtherType stands again: 802.1Q, 802.1ad and the older QinQ numbers.
pub(super) const VLAN_TAGS: [u16; 5] = [0x8100, 0x88a8, 0x9100, 0x9200, 0x9300];
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
pub(super) fn payload(ethertype: u16, data: &[u8]) -> Result<&[u8], NoIp> {
    match ethertype {
        IPV4 | IPV6 => Ok(data),
        _ => after_tags(ethertype, data),
    }
}

/// Each step consumes at least 3 bytes, so the walk ends.
#[cold]
fn after_tags(mut ethertype: u16, mut data: &[u8]) -> Result<&[u8], NoIp> {
    loop {
        (ethertype, data) = match ethertype {
            IPV4 | IPV6 => return Ok(data),
            tag if VLAN_TAGS.contains(&tag) => {
                let tag = VlanPacket::new(data).ok_or(NonIp::CUT)?;
                (tag.get_ethertype().0, rest(data, 4)?)
            }
            VNTAG => next(rest(data, 4)?)?,
            BACKBONE => next(rest(data, 4 + ADDRESSES)?)?,
            FABRIC_PATH => next(rest(data, 2 + ADDRESSES)?)?,
            MACSEC => macsec(data)?,
            MPLS | MPLS_UPSTREAM => return after_labels(data),
            PPPOE_SESSION => return after_pppoe(data),
            length if length < FIRST_ETHERTYPE => llc(data)?,
            other => return Err(NonIp::ethertype(other).into()),
        };
    }
}

/// A frame that ends before any layer has named IP is not IP, however much of it is missing.
#[inline]
pub(super) fn rest(data: &[u8], header: usize) -> Result<&[u8], NoIp> {
    data.get(header..).ok_or(NonIp::CUT.into())
}

/// An EtherType and what follows it.
#[inline]
pub(super) fn next(data: &[u8]) -> Result<(u16, &[u8]), NoIp> {
    let (ethertype, data) = data.split_first_chunk().ok_or(NonIp::CUT)?;
    Ok((u16::from_be_bytes(*ethertype), data))
}

/// 802.1AE without encryption: flags, packet number, and where flagged the channel of 8 bytes.
fn macsec(data: &[u8]) -> Result<(u16, &[u8]), NoIp> {
    const CHANNEL: u8 = 0x20;
    const ENCRYPTED: u8 = 0x0c;
    match data.first() {
        Some(flags) if flags & ENCRYPTED == 0 => {
            next(rest(data, if flags & CHANNEL == 0 { 6 } else { 14 })?)
        }
        Some(_) => Err(NonIp { field: TypeField::Encrypted, number: MACSEC }.into()),
        None => Err(NonIp::CUT.into()),
    }
}

/// The labels of MPLS. It does not say what it carries: the IP version decides (RFC 4928).
pub(super) fn after_labels(mut data: &[u8]) -> Result<&[u8], NoIp> {
    loop {
        let (label, rest) = data.split_first_chunk::<4>().ok_or(NonIp::CUT)?;
        let [_, _, bottom_of_stack, _] = label;
        if bottom_of_stack & 1 == 1 {
            let payload = *rest.first().ok_or(NonIp::CUT)?;
            let unknown = NonIp { field: TypeField::MplsPayload, number: (payload >> 4).into() };
            return of_any_version(rest).map_err(|_| unknown.into());
        }
        data = rest;
    }
}

/// PPPoE's header of 6 bytes (RFC 2516), then PPP.
pub(super) fn after_pppoe(data: &[u8]) -> Result<&[u8], NoIp> {
    after_ppp(rest(data, 6)?)
}

/// PPP's protocol field (RFC 1661), of which the first byte may be left out where it is zero.
pub(super) fn after_ppp(data: &[u8]) -> Result<&[u8], NoIp> {
    let (protocol, data) = match data {
        [short, data @ ..] if short & 1 == 1 => (u16::from(*short), data),
        _ => next(data)?,
    };
    match protocol {
        0x0021 | 0x0057 => Ok(data),
        0x0281 | 0x0283 => after_labels(data),
        number => Err(NonIp { field: TypeField::Ppp, number }.into()),
    }
}

/// 802.2 LLC: IP's own service access point, or SNAP with an EtherType (RFC 1042) or a vendor's protocol.
pub(super) fn llc(data: &[u8]) -> Result<(u16, &[u8]), NoIp> {
    match data {
        [0x06, 0x06, 0x03, ip @ ..] => Ok((IPV4, ip)),
        [0xaa, 0xaa, 0x03, 0, 0, 0, data @ ..] => next(data),
        [0xaa, 0xaa, 0x03, vendor @ ..] => {
            let (vendor, number) = vendor.split_first_chunk().ok_or(NonIp::CUT)?;
            let (number, _) = next(number)?;
            Err(NonIp::snap(*vendor, number).into())
        }
        [access_point, _, _, ..] => {
            let number = (*access_point).into();
            Err(NonIp { field: TypeField::Llc, number }.into())
        }
        _ => Err(NonIp::CUT.into()),
    }
}

/// A packet without a type before it: its version says what it is.
pub(super) fn of_any_version(data: &[u8]) -> Result<&[u8], NoIp> {
    of_version(data, 4).or_else(|_| of_version(data, 6))
}

pub(super) fn of_version(data: &[u8], version: u8) -> Result<&[u8], NoIp> {
    let first = data.first().ok_or(NonIp::CUT)?;
    let found = NonIp { field: TypeField::IpVersion, number: (first >> 4).into() };
    if first >> 4 == version { Ok(data) } else { Err(found.into()) }
}
