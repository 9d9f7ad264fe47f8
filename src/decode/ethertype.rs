//! EtherTypes, and the few bytes that every header beneath IP is read by.

use super::{NoIp, NonIp, TypeField};

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
/// Tags before which an EtherType stands again: 802.1Q, 802.1ad and the older QinQ numbers.
pub(super) const VLAN_TAGS: [u16; 5] = [0x8100, 0x88a8, 0x9100, 0x9200, 0x9300];
/// Network service header (RFC 8300).
pub(super) const NSH: u16 = 0x894f;
/// An Ethernet frame, as GRE and its like number it.
pub(super) const ETHERNET: u16 = 0x6558;
pub(super) const MPLS: u16 = 0x8847;
pub(super) const MPLS_UPSTREAM: u16 = 0x8848;
/// Values below this in an EtherType's place are the length of an 802.3 frame.
pub(super) const FIRST_ETHERTYPE: u16 = 0x0600;
/// The two addresses before an Ethernet frame's EtherType.
const ADDRESSES: usize = 12;

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

/// An Ethernet frame from its addresses on.
pub(super) fn ethernet(data: &[u8]) -> Result<(u16, &[u8]), NoIp> {
    next(rest(data, ADDRESSES)?)
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
