//! 802.11, and the headers that drivers put before it.

use super::ethertype::rest;
use super::tags::llc;
use super::{NoIp, NonIp, TypeField};

/// 802.11: data frames that are not encrypted carry LLC.
pub(super) fn frame(data: &[u8]) -> Result<(u16, &[u8]), NoIp> {
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
pub(super) fn after_radiotap(data: &[u8]) -> Result<(u16, &[u8]), NoIp> {
    let len = *rest(data, 2)?.first_chunk().ok_or(NonIp::CUT)?;
    frame(rest(data, u16::from_le_bytes(len).into())?)
}

/// The header of Prism drivers, which is 144 bytes long; some put that of AVS under the same number.
pub(super) fn after_prism(data: &[u8]) -> Result<(u16, &[u8]), NoIp> {
    const PRISM_HEADER: usize = 144;
    const AVS_VERSIONS: [u32; 2] = [0x8021_1001, 0x8021_1002];
    let magic = u32::from_be_bytes(*data.first_chunk().ok_or(NonIp::CUT)?);
    match AVS_VERSIONS.contains(&magic) {
        true => after_avs(data),
        false => frame(rest(data, PRISM_HEADER)?),
    }
}

/// The header of the AVS project: its version, then its own length.
pub(super) fn after_avs(data: &[u8]) -> Result<(u16, &[u8]), NoIp> {
    let len = u32::from_be_bytes(*rest(data, 4)?.first_chunk().ok_or(NonIp::CUT)?);
    frame(rest(data, usize::try_from(len).map_err(|_| NonIp::CUT)?)?)
}
