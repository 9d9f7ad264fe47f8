//! DOCSIS: the Ethernet frames of cable modems.

use super::ethertype::{ethernet, rest};
use super::{NoIp, NonIp, TypeField};

/// The frame behind a DOCSIS header: frame control, length of the extended header, length, extended header,
/// check sequence.
pub(super) fn frame(data: &[u8]) -> Result<(u16, &[u8]), NoIp> {
    const EXTENDED: u8 = 0x01;
    const ETHERNET: u8 = 0;
    let [control, parameter, _, _] = *data.first_chunk().ok_or(NonIp::CUT)?;
    let extended = if control & EXTENDED == 0 { 0 } else { usize::from(parameter) };
    if control & !EXTENDED != ETHERNET {
        return Err(NonIp { field: TypeField::Docsis, number: control.into() }.into());
    }
    let packet = rest(data, 6 + extended)?;
    if is_changed(data.get(4..4 + extended).unwrap_or_default()) {
        return Err(NonIp { field: TypeField::Encrypted, number: ENCRYPTED_DOCSIS }.into());
    }
    ethernet(packet)
}

/// What stands for DOCSIS where an EtherType says whose payload is encrypted.
pub(super) const ENCRYPTED_DOCSIS: u16 = 1;

/// Whether an element of the extended header says that the frame is encrypted, or that some of its header was
/// left out.
fn is_changed(mut elements: &[u8]) -> bool {
    const ENABLED: u8 = 0x80;
    while let [head, rest @ ..] = elements {
        let (kind, len) = (head >> 4, usize::from(head & 0x0f));
        let (Some(value), Some(behind)) = (rest.get(..len), rest.get(len..)) else { return false };
        let changed = match (kind, value) {
            // Baseline privacy, upstream and downstream.
            (3 | 4 | 7, [_, flags, ..]) => flags & ENABLED != 0,
            // Payload header suppression, with the index of the rule.
            (5 | 6, [index, ..]) => *index != 0,
            _ => false,
        };
        if changed {
            return true;
        }
        elements = behind;
    }
    false
}
