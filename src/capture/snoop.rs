//! Solaris' snoop (RFC 1761).

use super::buffer::{Buffer, LONGEST_RECORD};
use super::{CaptureErrorKind, LinkType, Record, SharedCounts, foreign};

pub(super) const MAGIC: [u8; 8] = *b"snoop\0\0\0";
const FILE_HEADER: usize = 16;
const RECORD_HEADER: usize = 24;

pub(super) struct Reader {
    link: LinkType,
    counts: SharedCounts,
}

impl Reader {
    /// Reads the file header, if there is one.
    pub(super) fn start(
        name: &str,
        buffer: &mut Buffer,
        counts: &SharedCounts,
    ) -> Result<Option<Self>, CaptureErrorKind> {
        if !buffer.unread().starts_with(&MAGIC) {
            return Ok(None);
        }
        if !buffer.fill_to(FILE_HEADER)? {
            let (needed, had) = (FILE_HEADER as u64, buffer.unread().len() as u64);
            return Err(CaptureErrorKind::CutOff { what: "file header", needed, had });
        }
        let [.., version, datalink] = words::<4>(buffer.unread());
        let link = match (version, datalink) {
            // IEEE 802.3 and Ethernet: the type field tells one from the other.
            (2, 0 | 4) => LinkType::ETHERNET,
            (2, 8) => LinkType::FDDI,
            (2, 0x8000_0001) => LinkType::IPV4,
            (2, 0x8000_0002) => LinkType::IPV6,
            (2, _) => return Err(foreign::snoop(name, "a snoop capture of another device")),
            _ => return Err(foreign::snoop(name, "a snoop capture as Shomiti writes it")),
        };
        buffer.consume(FILE_HEADER);
        Ok(Some(Self { link, counts: counts.clone() }))
    }

    /// The next record; `None` at the end, or where it is not all there and `wait` is false.
    pub(super) fn next(
        &self,
        buffer: &mut Buffer,
        wait: bool,
    ) -> Result<Option<Record>, CaptureErrorKind> {
        if buffer.unread().is_empty() && (!wait || !buffer.fill_to(1)?) {
            return Ok(None);
        }
        if !has(buffer, RECORD_HEADER, wait)? {
            return Ok(None);
        }
        let [_, _, record_len] = words(buffer.unread());
        if record_len as usize > LONGEST_RECORD {
            return Err(CaptureErrorKind::RecordTooLong { len: record_len.into() });
        }
        if !has(buffer, record_len as usize, wait)? {
            return Ok(None);
        }
        let [wire_len, len, record_len, drops, seconds, micros] = words::<6>(buffer.unread());
        if (record_len as usize) < RECORD_HEADER + len as usize {
            let found = format!("a record of {record_len} bytes with {len} captured bytes");
            return Err(CaptureErrorKind::Record { found });
        }
        let data = buffer.start() + RECORD_HEADER;
        let data = data..data + len as usize;
        buffer.consume(record_len as usize);
        // Each record has the sum so far.
        self.counts.update(|counts| {
            counts.dropped = Some(counts.dropped.unwrap_or_default().max(drops.into()));
        });
        let time_ns = u64::from(seconds) * 1_000_000_000 + u64::from(micros) * 1_000;
        Ok(Some(Record {
            link: self.link,
            time_ns: Some(time_ns),
            wire_len,
            hint: None,
            interface: None,
            data,
        }))
    }
}

/// Whether so many bytes are there; where they are waited for, their lack is an error.
fn has(buffer: &mut Buffer, needed: usize, wait: bool) -> Result<bool, CaptureErrorKind> {
    if buffer.unread().len() >= needed {
        return Ok(true);
    }
    if wait && !buffer.fill_to(needed)? {
        let (needed, had) = (needed as u64, buffer.unread().len() as u64);
        return Err(CaptureErrorKind::CutOff { what: "record", needed, had });
    }
    Ok(wait)
}

/// The first numbers of some bytes; zeros where there are too few.
fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let (chunks, _) = bytes.as_chunks();
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(chunks) {
        *word = u32::from_be_bytes(*bytes);
    }
    words
}
