//! Checksums that the sender has left to its network card.

use std::net::IpAddr;

use super::{link, network};
use crate::capture::LinkType;
use crate::flow::{Fragment, Protocol};

/// Whether a TCP or UDP packet has the checksum of its pseudo-header where that of the whole packet belongs, as the
/// sending machine captures it when the card is to complete it (Linux's `CHECKSUM_PARTIAL`).
pub fn is_left_to_card(link: LinkType, data: &[u8]) -> bool {
    let Some(upper) = link::payload(link, data).ok().and_then(|ip| network::walk(ip).ok()) else {
        return false;
    };
    let at = match upper.proto {
        Protocol::TCP => 16,
        Protocol::UDP => 6,
        _ => return false,
    };
    let checksum = upper.payload.get(at..).and_then(<[u8]>::first_chunk);
    let (Fragment::No, true, Some([a, b])) = (upper.fragment, upper.whole, checksum) else {
        return false;
    };
    let words = |addr: IpAddr| -> u32 {
        match addr {
            IpAddr::V4(addr) => (addr.to_bits() >> 16) + (addr.to_bits() & 0xffff),
            IpAddr::V6(addr) => addr.segments().into_iter().map(u32::from).sum(),
        }
    };
    let length = u32::try_from(upper.payload.len()).unwrap_or(u32::MAX) & 0xffff;
    let mut sum = words(upper.src) + words(upper.dst) + u32::from(upper.proto.0) + length;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u32::from(u16::from_be_bytes([*a, *b])) == sum
}
