//! From an EtherType down to the IP packet: through VLAN and other tags, labels, PPPoE, LLC.

use pnet_packet::vlan::VlanPacket;

use super::ethertype::{
    ETHERNET, FIRST_ETHERTYPE, IPV4, IPV6, MPLS, MPLS_UPSTREAM, NSH, VLAN_TAGS, ethernet, next,
    rest,
};
use super::{NoIp, NonIp, TypeField, mpls};

/// The tag of Cisco's VN-Link, and that of 802.1BR port extenders.
const VN_TAG: u16 = 0x8926;
const E_TAG: u16 = 0x893f;
/// Cisco `MetaData`, which carries a security group tag.
const CISCO_METADATA: u16 = 0x8909;
/// The redundancy tag of IEC 62439-3.
const HSR: u16 = 0x892f;
const TRILL: u16 = 0x22f3;
/// Arista's timestamp.
const ARISTA: u16 = 0xd28b;
const PPP: u16 = 0x880b;
/// LLC where the length of the frame does not fit in an EtherType.
const LLC: u16 = 0x8870;
/// MAC in MAC: the service tag of 802.1ah, then the customer's Ethernet frame.
const BACKBONE: u16 = 0x88e7;
/// Cisco `FabricPath`: a tag, then the Ethernet frame.
const FABRIC_PATH: u16 = 0x8903;
const MACSEC: u16 = 0x88e5;
const PPPOE_SESSION: u16 = 0x8864;

/// The IP packet behind an EtherType.
#[inline]
pub(super) fn payload(ethertype: u16, data: &[u8]) -> Result<&[u8], NoIp> {
    match ethertype {
        IPV4 | IPV6 => Ok(data),
        _ => after_tags(ethertype, data),
    }
}

/// Each step consumes at least 2 bytes, so the walk ends.
#[cold]
fn after_tags(mut ethertype: u16, mut data: &[u8]) -> Result<&[u8], NoIp> {
    loop {
        (ethertype, data) = match ethertype {
            IPV4 | IPV6 => return Ok(data),
            tag if VLAN_TAGS.contains(&tag) => {
                let tag = VlanPacket::new(data).ok_or(NonIp::CUT)?;
                (tag.get_ethertype().0, rest(data, 4)?)
            }
            VN_TAG | HSR => next(rest(data, 4)?)?,
            E_TAG => next(rest(data, 6)?)?,
            CISCO_METADATA => cisco_metadata(data)?,
            NSH => nsh(data)?,
            ARISTA => arista(data)?,
            BACKBONE => ethernet(rest(data, 4)?)?,
            FABRIC_PATH => ethernet(rest(data, 2)?)?,
            TRILL => trill(data)?,
            ETHERNET => ethernet(data)?,
            MACSEC => macsec(data)?,
            MPLS | MPLS_UPSTREAM => mpls::after_labels(data)?,
            PPPOE_SESSION => after_pppoe(data)?,
            PPP => after_ppp(data)?,
            LLC => llc(data)?,
            length if length < FIRST_ETHERTYPE => llc(data)?,
            other => return Err(NonIp::ethertype(other).into()),
        };
    }
}

/// Version, and the length of the options in units of 4 bytes; at least one option is there.
fn cisco_metadata(data: &[u8]) -> Result<(u16, &[u8]), NoIp> {
    let options = usize::from(*data.get(1).ok_or(NonIp::CUT)?).max(1);
    next(rest(data, 2 + options * 4)?)
}

/// RFC 8300: the length of the whole header in units of 4 bytes, and the next protocol.
pub(super) fn nsh(data: &[u8]) -> Result<(u16, &[u8]), NoIp> {
    let [_, length, _, protocol] = *data.first_chunk().ok_or(NonIp::CUT)?;
    let length = usize::from(length & 0x3f) * 4;
    if length < 8 {
        return Err(NoIp::Malformed);
    }
    let ethertype = match protocol {
        1 => IPV4,
        2 => IPV6,
        3 => ETHERNET,
        4 => NSH,
        5 => MPLS,
        other => return Err(NonIp { field: TypeField::Nsh, number: other.into() }.into()),
    };
    Ok((ethertype, rest(data, length)?))
}

/// Arista's tags: what they are, and its version, whose low byte says how long a timestamp is.
fn arista(data: &[u8]) -> Result<(u16, &[u8]), NoIp> {
    let [_, kind, _, version] = *data.first_chunk().ok_or(NonIp::CUT)?;
    let len = match (kind, version >> 4) {
        (1, 1) => 8,
        (1, 2) => 6,
        _ => return Err(NonIp::ethertype(ARISTA).into()),
    };
    next(rest(data, 4 + len)?)
}

/// RFC 6325: the length of the options in units of 4 bytes, then the customer's Ethernet frame.
fn trill(data: &[u8]) -> Result<(u16, &[u8]), NoIp> {
    let [high, low] = *data.first_chunk().ok_or(NonIp::CUT)?;
    let options = u16::from_be_bytes([high, low]) >> 6 & 0x1f;
    ethernet(rest(data, 6 + usize::from(options) * 4)?)
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

/// PPPoE's header of 6 bytes (RFC 2516), then PPP.
pub(super) fn after_pppoe(data: &[u8]) -> Result<(u16, &[u8]), NoIp> {
    after_ppp(rest(data, 6)?)
}

/// PPP's protocol field (RFC 1661), of which the first byte may be left out where it is zero.
pub(super) fn after_ppp(data: &[u8]) -> Result<(u16, &[u8]), NoIp> {
    let (protocol, data) = match data {
        [short, data @ ..] if short & 1 == 1 => (u16::from(*short), data),
        _ => next(data)?,
    };
    match protocol {
        0x0021 => Ok((IPV4, data)),
        0x0057 => Ok((IPV6, data)),
        0x0281 | 0x0283 => Ok((MPLS, data)),
        number => Err(NonIp { field: TypeField::Ppp, number }.into()),
    }
}

/// 802.2 LLC: IP's own service access point, or SNAP with an EtherType (RFC 1042) or a vendor's protocol.
pub(super) fn llc(data: &[u8]) -> Result<(u16, &[u8]), NoIp> {
    match data {
        [0x06, 0x06, 0x03, ip @ ..] => Ok((IPV4, ip)),
        [0xaa, 0xaa, 0x03, vendor @ ..] => snap(vendor),
        [access_point, _, _, ..] => {
            let number = (*access_point).into();
            Err(NonIp { field: TypeField::Llc, number }.into())
        }
        _ => Err(NonIp::CUT.into()),
    }
}

/// SNAP: a vendor and its protocol; some vendors mean an EtherType.
pub(super) fn snap(data: &[u8]) -> Result<(u16, &[u8]), NoIp> {
    const RFC_1042: [u8; 3] = [0, 0, 0];
    const TUNNELED: [u8; 3] = [0, 0, 0xf8];
    const APPLE_TALK: [u8; 3] = [0x08, 0, 0x07];
    let (vendor, data) = data.split_first_chunk().ok_or(NonIp::CUT)?;
    let (number, data) = next(data)?;
    match *vendor {
        RFC_1042 | TUNNELED | APPLE_TALK => Ok((number, data)),
        vendor => Err(NonIp::snap(vendor, number).into()),
    }
}
