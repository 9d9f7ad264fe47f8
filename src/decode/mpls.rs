//! MPLS: labels, and what they carry, which no field says.

use std::cmp::Ordering;

use super::ethertype::{self, ETHERNET, IPV4, IPV6, next, rest};
use super::{NoIp, NonIp, TypeField};

/// The control word before the frame of a pseudowire (RFC 4385).
const CONTROL_WORD: usize = 4;
/// An Ethernet frame's addresses and type.
const ETHERNET_HEADER: usize = 14;

/// The payload behind the last label. The IP version decides (RFC 4928), as far as it can: an Ethernet
/// pseudowire without a control word starts with an address, which may look like one, like IPv4 or like
/// IPv6. The reading in which the headers behind are sound is believed.
pub(super) fn after_labels(mut data: &[u8]) -> Result<(u16, &[u8]), NoIp> {
    loop {
        let (label, behind) = data.split_first_chunk::<4>().ok_or(NonIp::CUT)?;
        let [_, _, bottom_of_stack, _] = label;
        data = behind;
        if bottom_of_stack & 1 == 1 {
            break;
        }
    }
    let version = *data.first().ok_or(NonIp::CUT)? >> 4;
    let unknown = NonIp { field: TypeField::MplsPayload, number: version.into() };
    let frame = Evidence::of_frame(data);
    match (version, frame) {
        (4, _) if has_ipv4_checksum(data) == Some(true) => Ok((IPV4, data)),
        // More of it might show that it is IPv4 all the same.
        (4, Evidence::Ip) if has_ipv4_checksum(data).is_none() => Err(unknown.into()),
        (4 | 6 | NonIp::ASSOCIATED_CHANNEL, Evidence::Ip) => Ok((ETHERNET, data)),
        // So might more show that it is a frame with IP in it.
        (6, frame) if is_sound_ipv6(data) && frame != Evidence::IpType => Ok((IPV6, data)),
        (4 | 6, Evidence::IpType) | (NonIp::ASSOCIATED_CHANNEL, _) => Err(unknown.into()),
        (4 | 6, _) => Ok((IPV4, data)),
        (0, here) => {
            let behind = behind_control_word(data);
            match behind.map_or(Evidence::None, Evidence::of_frame).cmp(&here) {
                Ordering::Greater => Ok((ETHERNET, behind.unwrap_or_default())),
                Ordering::Less => Ok((ETHERNET, data)),
                Ordering::Equal => Err(unknown.into()),
            }
        }
        (_, Evidence::None) => Err(unknown.into()),
        _ => Ok((ETHERNET, data)),
    }
}

/// What follows a control word; none behind one that says that this is a fragment.
fn behind_control_word(data: &[u8]) -> Option<&[u8]> {
    let fragment = data.get(1)? & 0xc0;
    data.get(CONTROL_WORD..).filter(|_| fragment == 0)
}

/// How much speaks for bytes being an Ethernet frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Evidence {
    None,
    /// A type that has a name.
    Type,
    /// A type of IP, and the version that goes with it as far as the frame goes.
    IpType,
    /// A type of IP and a sound IP header.
    Ip,
}

impl Evidence {
    fn of_frame(frame: &[u8]) -> Self {
        let Some(mut behind) = frame.get(ETHERNET_HEADER - 2..) else { return Self::None };
        loop {
            let Ok((ethertype, data)) = next(behind) else { return Self::None };
            return match ethertype {
                IPV4 if is_sound_ipv4(data) => Self::Ip,
                IPV6 if is_sound_ipv6(data) => Self::Ip,
                IPV4 | IPV6 => {
                    let version = if ethertype == IPV4 { 4 } else { 6 };
                    let goes_with = data.first().is_none_or(|first| first >> 4 == version);
                    if goes_with { Self::IpType } else { Self::None }
                }
                tag if ethertype::VLAN_TAGS.contains(&tag) => match rest(data, 2) {
                    Ok(data) => {
                        behind = data;
                        continue;
                    }
                    Err(_) => Self::None,
                },
                length if length < ethertype::FIRST_ETHERTYPE => {
                    let fits = usize::from(length) <= data.len();
                    match data {
                        [0x42, 0x42, 0x03, ..] | [0xaa, 0xaa, 0x03, ..] if fits => Self::Type,
                        _ => Self::None,
                    }
                }
                other if NonIp::ethertype(other).name().is_some() => Self::Type,
                _ => Self::None,
            };
        }
    }
}

/// Whether this is an IPv4 header: its checksum says so, or its length where the packet is all there.
fn is_sound_ipv4(data: &[u8]) -> bool {
    let [first, _, high, low, ..] = *data else { return false };
    let header = usize::from(first & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([high, low]));
    let fits = first >> 4 == 4 && header >= 20 && (header..=data.len()).contains(&total);
    fits || has_ipv4_checksum(data) == Some(true)
}

/// Whether the checksum is that of an IPv4 header; `None` where the header is cut.
fn has_ipv4_checksum(data: &[u8]) -> Option<bool> {
    let len = usize::from(data.first()? & 0x0f) * 4;
    let (words, _) = data.get(..len)?.as_chunks();
    let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    // At most 30 words, so that one carry is left at most.
    let folded = (sum & 0xffff) + (sum >> 16);
    Some(len >= 20 && data.first()? >> 4 == 4 && (folded & 0xffff) + (folded >> 16) == 0xffff)
}

/// Whether this is an IPv6 header, which has no checksum: its length fits.
fn is_sound_ipv6(data: &[u8]) -> bool {
    const HEADER: usize = 40;
    let [first, _, _, _, high, low, ..] = *data else { return false };
    let total = HEADER + usize::from(u16::from_be_bytes([high, low]));
    first >> 4 == 6 && total <= data.len()
}
