//! pcapng: sections of blocks.
//!
//! `pcap-file` frames the blocks. Their bodies are read here, since the crate refuses whole blocks
//! for faults beside the point (an interface name that is not UTF-8, an unknown option's length, a
//! wire length below the captured length) and builds a list of options for every packet.

use std::sync::Arc;

use pcap_file::Endianness;
use pcap_file::pcapng::blocks::block_common::{
    ENHANCED_PACKET_BLOCK, INTERFACE_DESCRIPTION_BLOCK, INTERFACE_STATISTIC_BLOCK,
    NAME_RESOLUTION_BLOCK, PACKET_BLOCK, SECTION_HEADER_BLOCK, SIMPLE_PACKET_BLOCK,
};
use pcap_file::pcapng::{RawBlock, RawBlockParseError};

use super::buffer::{Buffer, LONGEST_RECORD};
use super::names::Names;
use super::{CaptureErrorKind, DirectionHint, LinkType, Record, SharedCounts};

/// The type of a section header, which reads the same in both byte orders.
pub(super) const MAGIC: [u8; 4] = SECTION_HEADER_BLOCK.to_be_bytes();

/// Type and length before a block's body.
const BLOCK_HEADER: usize = 8;

/// Blocks that hold no packet, and are not in `pcap-file`: a journal entry of systemd, decryption secrets,
/// and the blocks of vendors, which may or may not be copied.
const JOURNAL_BLOCK: u32 = 9;
const DECRYPTION_SECRETS_BLOCK: u32 = 10;
const CUSTOM_BLOCKS: [u32; 2] = [0x0000_0bad, 0x4000_0bad];

const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;
const EPB_FLAGS: u16 = 2;
const EPB_DROPCOUNT: u16 = 4;
/// Packets dropped before a packet, in the obsolete block: they are not known.
const DROPS_NOT_KNOWN: u16 = u16::MAX;
const ISB_IFDROP: u16 = 5;
const ISB_OSDROP: u16 = 7;

/// More interfaces than any machine has: beyond it the file is taken for damaged.
const MOST_INTERFACES: usize = 1 << 20;

pub(super) struct Reader {
    endianness: Endianness,
    interfaces: Vec<Interface>,
    /// Every name that an interface has had, in any section.
    names: Names,
    counts: SharedCounts,
}

/// What an Interface Description Block says of the packets that follow.
struct Interface {
    link: LinkType,
    snap_len: u32,
    clock: Clock,
    /// Position among the names.
    name: Option<u16>,
    dropped: Dropped,
}

/// Packets that an interface has dropped so far, by either way of saying so: writers use one of them, or both
/// for the same packets.
#[derive(Default)]
struct Dropped {
    /// By the last Interface Statistics Block.
    statistics: u64,
    /// By the packets themselves.
    packets: u64,
}

impl Dropped {
    fn total(&self) -> u64 {
        self.statistics.max(self.packets)
    }
}

/// How an interface's timestamps count.
struct Clock {
    /// Units in a second; `None` of a resolution that 128 bits cannot count.
    per_second: Option<u128>,
    /// Seconds to add.
    offset: i64,
}

impl Clock {
    /// Nanoseconds since the epoch; `None` before it, and beyond what a `u64` holds.
    fn time_ns(&self, high: u32, low: u32) -> Option<u64> {
        let units = u128::from(high) << 32 | u128::from(low);
        let ns = match self.per_second? {
            1_000_000 => units * 1_000,
            1_000_000_000 => units,
            // 2^64 units and 10^9 fit in 94 bits.
            per_second => units * 1_000_000_000 / per_second,
        };
        u64::try_from(ns.cast_signed() + i128::from(self.offset) * 1_000_000_000).ok()
    }
}

/// The numbers of a block's body, front to back.
struct Body<'a> {
    bytes: &'a [u8],
    endianness: Endianness,
    read: usize,
}

impl<'a> Body<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        self.read += N;
        Some(*head)
    }

    fn u16(&mut self) -> Option<u16> {
        let bytes = self.take()?;
        Some(match self.endianness {
            Endianness::Big => u16::from_be_bytes(bytes),
            Endianness::Little => u16::from_le_bytes(bytes),
        })
    }

    fn u32(&mut self) -> Option<u32> {
        let bytes = self.take()?;
        Some(match self.endianness {
            Endianness::Big => u32::from_be_bytes(bytes),
            Endianness::Little => u32::from_le_bytes(bytes),
        })
    }

    fn u64(&mut self) -> Option<u64> {
        let bytes = self.take()?;
        Some(match self.endianness {
            Endianness::Big => u64::from_be_bytes(bytes),
            Endianness::Little => u64::from_le_bytes(bytes),
        })
    }

    fn skip(&mut self, len: usize) -> Option<()> {
        self.bytes = self.bytes.get(len..)?;
        self.read += len;
        Some(())
    }

    /// The next option, or `None` at the end of the list or of the body.
    fn option(&mut self) -> Option<(u16, &'a [u8])> {
        let (code, len) = (self.u16()?, self.u16()?);
        let value = self.bytes.get(..usize::from(len))?;
        self.skip(usize::from(len).next_multiple_of(4).min(self.bytes.len()))?;
        (code != 0).then_some((code, value))
    }
}

impl Reader {
    pub(super) fn new(counts: SharedCounts) -> Self {
        Self {
            endianness: Endianness::Little,
            interfaces: Vec::new(),
            names: Names::default(),
            counts,
        }
    }

    /// What the records' interfaces are called, by position.
    pub(super) fn names(&self) -> Arc<Vec<String>> {
        self.names.list()
    }

    /// The next packet, past all blocks that hold none; `None` at the end, or where the next block is
    /// not all there and `wait` is false.
    pub(super) fn next(
        &mut self,
        buffer: &mut Buffer,
        wait: bool,
    ) -> Result<Option<Record>, CaptureErrorKind> {
        while let Some((block, body)) = self.next_block(buffer, wait)? {
            let start = buffer.start() + BLOCK_HEADER;
            let bytes = buffer.bytes(start..start + body);
            // A damaged block stays unread, so that the error can say where it starts.
            let record = self.read_block(block, bytes, start)?;
            buffer.consume(body + BLOCK_HEADER + 4);
            if record.is_some() {
                return Ok(record);
            }
        }
        Ok(None)
    }

    /// Type and body length of the block at the front of the buffer, which then holds it whole.
    fn next_block(
        &self,
        buffer: &mut Buffer,
        wait: bool,
    ) -> Result<Option<(u32, usize)>, CaptureErrorKind> {
        loop {
            let unread = buffer.unread();
            let block = match self.endianness {
                Endianness::Big => RawBlock::from_slice::<byteorder_slice::BigEndian>(unread),
                Endianness::Little => RawBlock::from_slice::<byteorder_slice::LittleEndian>(unread),
            };
            match block {
                Ok((_, raw)) => return Ok(Some((raw.type_, raw.body.len()))),
                Err(RawBlockParseError::IncompleteBuffer(..)) if !wait => return Ok(None),
                Err(RawBlockParseError::IncompleteBuffer(needed, _)) => {
                    if unread.is_empty() && !buffer.fill_to(1)? {
                        return Ok(None);
                    }
                    // Once type and length are there, `needed` counts what follows them.
                    let header = if buffer.unread().len() < 12 { 0 } else { BLOCK_HEADER };
                    let needed = needed + header;
                    if needed > LONGEST_RECORD {
                        return Err(CaptureErrorKind::RecordTooLong { len: needed as u64 });
                    }
                    if !buffer.fill_to(needed)? {
                        let (needed, had) = (needed as u64, buffer.unread().len() as u64);
                        return Err(CaptureErrorKind::CutOff { what: "block", needed, had });
                    }
                }
                Err(RawBlockParseError::InvalidFormat(e)) => {
                    let block = Body { bytes: unread, endianness: self.endianness, read: 0 }.u32();
                    let block = block.unwrap_or_default();
                    return Err(CaptureErrorKind::Block { block, found: e.to_string() });
                }
            }
        }
    }

    fn read_block(
        &mut self,
        block: u32,
        bytes: &[u8],
        start: usize,
    ) -> Result<Option<Record>, CaptureErrorKind> {
        let mut body = Body { bytes, endianness: self.endianness, read: 0 };
        let damaged = |found: &str| CaptureErrorKind::Block { block, found: found.to_owned() };
        match block {
            SECTION_HEADER_BLOCK => {
                self.endianness = match bytes.first_chunk() {
                    Some([0x1a, 0x2b, 0x3c, 0x4d]) => Endianness::Big,
                    Some([0x4d, 0x3c, 0x2b, 0x1a]) => Endianness::Little,
                    _ => return Err(damaged("no byte-order magic")),
                };
                self.interfaces.clear();
                Ok(None)
            }
            INTERFACE_DESCRIPTION_BLOCK => {
                let (name, interface) = read_interface(&mut body);
                if self.interfaces.len() == MOST_INTERFACES {
                    return Err(damaged("more than a million interfaces in one section"));
                }
                let mut interface = interface.ok_or_else(|| damaged("shorter than 8 bytes"))?;
                interface.name = name.and_then(|name| self.names.position(&name));
                self.interfaces.push(interface);
                Ok(None)
            }
            ENHANCED_PACKET_BLOCK => {
                let interface = body.u32();
                self.read_packet(&mut body, start, interface).map(Some).map_err(|e| damaged(&e))
            }
            PACKET_BLOCK => {
                // The obsolete block has 16 bits each for the interface and the drops.
                let head = body.u16().zip(body.u16());
                let interface = head.map(|(interface, _)| interface.into());
                if let Some((interface, drops)) = head.filter(|(_, of)| *of != DROPS_NOT_KNOWN) {
                    self.add_dropped(interface.into(), drops.into());
                }
                self.read_packet(&mut body, start, interface).map(Some).map_err(|e| damaged(&e))
            }
            SIMPLE_PACKET_BLOCK => {
                let wire_len = body.u32().ok_or_else(|| damaged("shorter than 4 bytes"))?;
                let Some(interface) = self.interfaces.first() else {
                    return Err(damaged("a packet before any interface is described"));
                };
                let len = match interface.snap_len {
                    0 => wire_len,
                    snap_len => wire_len.min(snap_len),
                };
                let len = (len as usize).min(body.bytes.len());
                let data = start + body.read..start + body.read + len;
                let (link, interface) = (interface.link, interface.name);
                Ok(Some(Record { link, time_ns: None, wire_len, hint: None, interface, data }))
            }
            INTERFACE_STATISTIC_BLOCK => {
                self.read_statistics(&mut body);
                Ok(None)
            }
            NAME_RESOLUTION_BLOCK | JOURNAL_BLOCK => Ok(None),
            DECRYPTION_SECRETS_BLOCK => {
                self.counts.update(|counts| counts.secrets_blocks += 1);
                Ok(None)
            }
            _ if CUSTOM_BLOCKS.contains(&block) => {
                self.counts.update(|counts| counts.custom_blocks += 1);
                Ok(None)
            }
            _ => {
                self.counts.update(|counts| counts.unknown_blocks += 1);
                Ok(None)
            }
        }
    }

    /// Counters of an interface: each block has the sums so far. One that is damaged says nothing.
    fn read_statistics(&mut self, body: &mut Body<'_>) {
        let Some(interface) = body.u32() else { return };
        // Two halves of a time.
        if body.skip(8).is_none() {
            return;
        }
        let mut found: Option<u64> = None;
        while let Some((code, value)) = body.option() {
            let mut value = Body { bytes: value, endianness: self.endianness, read: 0 };
            if let (ISB_IFDROP | ISB_OSDROP, Some(number)) = (code, value.u64()) {
                found = Some(found.unwrap_or_default().saturating_add(number));
            }
        }
        let known = self.interfaces.get_mut(interface as usize);
        if let (Some(found), Some(known)) = (found, known) {
            let before = known.dropped.total();
            known.dropped.statistics = found;
            let more = known.dropped.total().saturating_sub(before);
            self.counts.update(|counts| counts.add_dropped(more));
        }
    }

    /// Adds packets that were dropped before a packet, by its own word.
    fn add_dropped(&mut self, interface: u32, more: u64) {
        if let Some(Interface { dropped, .. }) = self.interfaces.get_mut(interface as usize) {
            let before = dropped.total();
            dropped.packets = dropped.packets.saturating_add(more);
            let more = dropped.total() - before;
            self.counts.update(|counts| counts.add_dropped(more));
        }
    }

    /// What an Enhanced Packet Block and the obsolete one have in common, after the interface.
    fn read_packet(
        &mut self,
        body: &mut Body<'_>,
        start: usize,
        interface: Option<u32>,
    ) -> Result<Record, String> {
        let mut rest = || Some((interface?, body.u32()?, body.u32()?, body.u32()?, body.u32()?));
        let head = rest();
        let Some((interface, high, low, len, wire_len)) = head else {
            return Err("too short for a packet".to_owned());
        };
        let Some(described) = self.interfaces.get(interface as usize) else {
            let known = self.interfaces.len();
            return Err(format!(
                "names interface {interface}, and {known} are described before it"
            ));
        };
        let at = start + body.read;
        let left = body.bytes.len();
        if body.skip(len as usize).is_none() {
            return Err(format!("claims {len} captured bytes, and holds {left}"));
        }
        let padding = (len as usize).next_multiple_of(4) - len as usize;
        let time_ns = described.clock.time_ns(high, low);
        let (link, name) = (described.link, described.name);
        let (mut hint, mut dropped) = (None, None);
        if body.skip(padding).is_some() {
            while let Some((code, value)) = body.option() {
                let mut value = Body { bytes: value, endianness: self.endianness, read: 0 };
                match code {
                    EPB_FLAGS => {
                        hint = match value.u32().map(|flags| flags & 3) {
                            Some(1) => Some(DirectionHint::Inbound),
                            Some(2) => Some(DirectionHint::Outbound),
                            _ => None,
                        };
                    }
                    EPB_DROPCOUNT => dropped = value.u64(),
                    _ => {}
                }
            }
        }
        if let Some(dropped) = dropped {
            self.add_dropped(interface, dropped);
        }
        if time_ns.is_none() {
            self.counts.update(|counts| counts.unusable_times += 1);
        }
        let data = at..at + len as usize;
        Ok(Record { link, time_ns, wire_len, hint, interface: name, data })
    }
}

/// An interface, and what it is called.
fn read_interface(body: &mut Body<'_>) -> (Option<String>, Option<Interface>) {
    let mut head = || Some((body.u16()?, body.u16()?, body.u32()?));
    let Some((link, _reserved, snap_len)) = head() else { return (None, None) };
    let mut name = None;
    let mut clock = Clock { per_second: Some(1_000_000), offset: 0 };
    while let Some((code, value)) = body.option() {
        match (code, value) {
            (IF_NAME, value) => {
                let text = String::from_utf8_lossy(value);
                name = Some(text.trim_end_matches('\0').to_owned());
            }
            (IF_TSRESOL, [exponent]) => {
                // The high bit chooses powers of two.
                let (base, exponent) =
                    if exponent & 0x80 == 0 { (10_u128, *exponent) } else { (2, exponent & 0x7f) };
                clock.per_second = base.checked_pow(exponent.into());
            }
            (IF_TSOFFSET, value) => {
                let mut value = Body { bytes: value, endianness: body.endianness, read: 0 };
                clock.offset = value.u64().map_or(0, u64::cast_signed);
            }
            _ => {}
        }
    }
    (
        name,
        Some(Interface {
            link: LinkType(link.into()),
            snap_len,
            clock,
            name: None,
            dropped: Dropped::default(),
        }),
    )
}
