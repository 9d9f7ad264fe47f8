//! Classic pcap, and its variants with longer record headers.

use pcap_file::Endianness;
use pcap_file::pcap::{PcapParseError, PcapParser, PcapTsResolution, RawPcapPacket};

use super::buffer::{Buffer, LONGEST_RECORD};
use super::{CaptureErrorKind, DirectionHint, LinkType, Record, foreign};

const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;

/// The first bytes: times in µs or ns, in both byte orders.
pub(super) const MAGICS: [[u8; 4]; 6] = [
    0xa1b2_c3d4_u32.to_be_bytes(),
    0xa1b2_c3d4_u32.to_le_bytes(),
    0xa1b2_3c4d_u32.to_be_bytes(),
    0xa1b2_3c4d_u32.to_le_bytes(),
    MODIFIED_BIG,
    MODIFIED_LITTLE,
];
/// Of a libpcap with a patch that was common on Linux about 1999.
const MODIFIED_BIG: [u8; 4] = 0xa1b2_cd34_u32.to_be_bytes();
const MODIFIED_LITTLE: [u8; 4] = 0xa1b2_cd34_u32.to_le_bytes();

/// What the patch adds to a record's header: interface, protocol, kind of packet, padding; `SuSE` adds 4 bytes
/// more, of which nothing is known. Red Hat has the same under the usual magic, and Nokia 4 bytes.
const MODIFIED: usize = 8;
const SUSE: usize = 12;
const RED_HAT: usize = MODIFIED;
const NOKIA: usize = 4;

pub(super) struct Reader {
    parser: PcapParser,
    link: LinkType,
    /// Nanoseconds per unit of a record's fraction field.
    fraction_ns: u64,
    layout: Layout,
}

/// How records differ from those that everybody writes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Layout {
    /// Bytes between the usual header of a record and its data.
    extra: usize,
    lengths: Lengths,
}

/// Which length comes first, the captured one or that on the wire.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lengths {
    CapturedFirst,
    /// Before version 2.3.
    WireFirst,
    /// Version 2.3: either.
    SmallerCaptured,
}

const USUAL: Layout = Layout { extra: 0, lengths: Lengths::CapturedFirst };

impl Reader {
    /// Reads the file header, if `magic` is that of a pcap.
    pub(super) fn start(
        name: &str,
        magic: [u8; 4],
        buffer: &mut Buffer,
    ) -> Result<Option<Self>, CaptureErrorKind> {
        if !MAGICS.contains(&magic) {
            return Ok(None);
        }
        if !buffer.fill_to(FILE_HEADER)? {
            let had = buffer.unread().len() as u64;
            return Err(CaptureErrorKind::CutOff { what: "file header", needed: 24, had });
        }
        let Some(header) = buffer.unread().first_chunk::<FILE_HEADER>() else { return Ok(None) };
        let mut header = *header;
        let usual_magic = match magic {
            MODIFIED_BIG => 0xa1b2_c3d4_u32.to_be_bytes(),
            MODIFIED_LITTLE => 0xa1b2_c3d4_u32.to_le_bytes(),
            usual => usual,
        };
        for (byte, usual) in header.iter_mut().zip(usual_magic) {
            *byte = usual;
        }
        let Ok((_, parser)) = PcapParser::new(&header) else { return Ok(None) };
        buffer.consume(FILE_HEADER);
        let header = parser.header();
        let fraction_ns = match header.ts_resolution {
            PcapTsResolution::MicroSecond => 1_000,
            PcapTsResolution::NanoSecond => 1,
        };
        let lengths = match (header.version_major, header.version_minor) {
            // AIX writes this version, with nanoseconds and the types of its own interfaces.
            (2, 2) => return Err(foreign::aix_pcap(name)),
            (2, 0 | 1) | (543, 0) => Lengths::WireFirst,
            (2, 3) => Lengths::SmallerCaptured,
            _ => Lengths::CapturedFirst,
        };
        // The upper half of the field may tell the length of a frame check sequence.
        let link = LinkType(u32::from(header.datalink) & 0xffff);
        let layout = Layout { extra: 0, lengths };
        let mut reader = Self { parser, link, fraction_ns, layout };
        reader.layout.extra = match magic == usual_magic {
            true if !reader.looks_longer(buffer)? => 0,
            true => reader.extra_of(&[0, RED_HAT, NOKIA], buffer)?,
            false => reader.extra_of(&[MODIFIED, SUSE], buffer)?,
        };
        Ok(Some(reader))
    }

    /// Whether the first record's header seems to be longer than usual. Only then is a second record waited
    /// for.
    fn looks_longer(&self, buffer: &mut Buffer) -> Result<bool, CaptureErrorKind> {
        const TYPES: [[u8; 2]; 4] = [[0x08, 0x00], [0x86, 0xdd], [0x08, 0x06], [0x81, 0x00]];
        let Some([_, _, len, _]) = self.record_header(buffer, 0)? else { return Ok(false) };
        let len = len as usize;
        if self.layout.lengths != Lengths::CapturedFirst
            || len > LONGEST_RECORD
            || !buffer.fill_to(RECORD_HEADER + len)?
        {
            return Ok(false);
        }
        // Of what follows it, more or less may have come.
        let data = buffer.unread().get(RECORD_HEADER..RECORD_HEADER + len).unwrap_or_default();
        let added = data.first_chunk::<RED_HAT>();
        let interface_and_kind = added.is_some_and(|[interface @ .., high, low, kind, padding]| {
            let protocol = match self.parser.header().endianness {
                Endianness::Big => [*high, *low],
                Endianness::Little => [*low, *high],
            };
            let is_sound = self.number(*interface) < 1 << 16 && *kind <= 4 && *padding == 0;
            is_sound && TYPES.contains(&protocol)
        });
        let type_at = |at: usize| data.get(at..).and_then(|rest| rest.first_chunk::<2>());
        let has_type = |at: usize| type_at(at).is_some_and(|of| TYPES.contains(of));
        let later_type = self.link == LinkType::ETHERNET
            && !has_type(12)
            && (has_type(12 + NOKIA) || has_type(12 + RED_HAT));
        Ok(interface_and_kind || later_type)
    }

    /// The first of these lengths with which the next records make sense, as Wireshark tells variants apart;
    /// the first of all if none does.
    fn extra_of(
        &self,
        candidates: &[usize],
        buffer: &mut Buffer,
    ) -> Result<usize, CaptureErrorKind> {
        for extra in candidates {
            if self.fits(*extra, buffer)? {
                return Ok(*extra);
            }
        }
        Ok(candidates.first().copied().unwrap_or_default())
    }

    /// Whether up to three records make sense with headers that much longer than usual.
    fn fits(&self, extra: usize, buffer: &mut Buffer) -> Result<bool, CaptureErrorKind> {
        const RECORDS: usize = 3;
        const LONGEST: u32 = 1 << 18;
        const TEN_YEARS: u32 = 10 * 365 * 24 * 3600;
        let fraction_end = 1_000_000_000 / self.fraction_ns;
        let (mut at, mut before) = (0, None);
        for records in 0..RECORDS {
            let Some([seconds, fraction, len, wire_len]) = self.record_header(buffer, at)? else {
                // An end right behind a record speaks for it; a record that is cut speaks for nothing.
                return Ok(records > 1 || (records == 1 && buffer.unread().len() == at));
            };
            let is_sound = u64::from(fraction) < fraction_end && len <= wire_len && len <= LONGEST;
            if !is_sound || before.is_some_and(|of: u32| of.abs_diff(seconds) > TEN_YEARS) {
                return Ok(false);
            }
            before = Some(seconds);
            at += RECORD_HEADER + extra + len as usize;
        }
        Ok(true)
    }

    /// The four numbers of a record's header so many bytes ahead, if it is there.
    fn record_header(
        &self,
        buffer: &mut Buffer,
        at: usize,
    ) -> Result<Option<[u32; 4]>, CaptureErrorKind> {
        buffer.fill_to(at + RECORD_HEADER)?;
        let header = buffer.unread().get(at..at + RECORD_HEADER).unwrap_or_default();
        let (words, _) = header.as_chunks();
        Ok(<&[[u8; 4]; 4]>::try_from(words).ok().map(|words| words.map(|word| self.number(word))))
    }

    fn number(&self, bytes: [u8; 4]) -> u32 {
        match self.parser.header().endianness {
            Endianness::Big => u32::from_be_bytes(bytes),
            Endianness::Little => u32::from_le_bytes(bytes),
        }
    }

    /// Reads the next record, for which it waits, and those behind it that are all there; none at the end.
    pub(super) fn fill(
        &self,
        buffer: &mut Buffer,
        records: &mut Vec<Record>,
    ) -> Result<(), CaptureErrorKind> {
        if self.layout != USUAL {
            return super::fill(records, |wait| self.next_unusual(buffer, wait));
        }
        records.extend(self.next(buffer, true)?);
        let (unread, start) = (buffer.unread(), buffer.start());
        let mut rest = unread;
        while let Ok((behind, raw)) = self.parser.next_raw_packet(rest) {
            let data = start + (unread.len() - rest.len()) + RECORD_HEADER;
            rest = behind;
            records.push(self.record(&raw, data));
        }
        let read = unread.len() - rest.len();
        buffer.consume(read);
        // What is not all there comes next time; what is damaged is said now.
        self.next(buffer, false).map(|record| records.extend(record))
    }

    /// A record whose data begins there in the buffer.
    #[inline]
    fn record(&self, raw: &RawPcapPacket<'_>, data: usize) -> Record {
        let time =
            u64::from(raw.ts_sec) * 1_000_000_000 + u64::from(raw.ts_frac) * self.fraction_ns;
        Record {
            link: self.link,
            time_ns: Some(time),
            wire_len: raw.orig_len,
            hint: None,
            interface: None,
            data: data..data + raw.incl_len as usize,
        }
    }

    /// The next record; `None` at the end, or where it is not all there and `wait` is false.
    fn next(&self, buffer: &mut Buffer, wait: bool) -> Result<Option<Record>, CaptureErrorKind> {
        // Raw packets: `next_packet` would refuse records longer than the file's snap length, and
        // records whose wire length is below their captured length; real files have both.
        loop {
            match self.parser.next_raw_packet(buffer.unread()) {
                Ok((_, raw)) => {
                    let record = self.record(&raw, buffer.start() + RECORD_HEADER);
                    buffer.consume(RECORD_HEADER + raw.incl_len as usize);
                    return Ok(Some(record));
                }
                Err(PcapParseError::IncompleteBuffer(..)) if !wait => return Ok(None),
                Err(PcapParseError::IncompleteBuffer(needed, _)) => {
                    let unread = buffer.unread();
                    if unread.is_empty() && !buffer.fill_to(1)? {
                        return Ok(None);
                    }
                    // `needed` counts what follows the record's header once that is there.
                    let header =
                        if buffer.unread().len() < RECORD_HEADER { 0 } else { RECORD_HEADER };
                    if needed > LONGEST_RECORD {
                        return Err(CaptureErrorKind::RecordTooLong { len: needed as u64 });
                    }
                    let needed = needed + header;
                    if !buffer.fill_to(needed)? {
                        let had = buffer.unread().len() as u64;
                        let needed = needed as u64;
                        return Err(CaptureErrorKind::CutOff { what: "record", needed, had });
                    }
                }
                Err(PcapParseError::Validation(e)) => {
                    return Err(CaptureErrorKind::Block { block: 0, found: e.to_string() });
                }
            }
        }
    }

    /// The next record of another layout than the usual one.
    fn next_unusual(
        &self,
        buffer: &mut Buffer,
        wait: bool,
    ) -> Result<Option<Record>, CaptureErrorKind> {
        let header = RECORD_HEADER + self.layout.extra;
        if !wait && buffer.unread().len() < header {
            return Ok(None);
        }
        let Some([seconds, fraction, first, second]) = self.record_header(buffer, 0)? else {
            return match buffer.unread().is_empty() {
                true => Ok(None),
                false => Err(cut_off(buffer, header)),
            };
        };
        let (len, wire_len) = match self.layout.lengths {
            Lengths::CapturedFirst => (first, second),
            Lengths::WireFirst => (second, first),
            Lengths::SmallerCaptured => (first.min(second), first.max(second)),
        };
        if len as usize > LONGEST_RECORD {
            return Err(CaptureErrorKind::RecordTooLong { len: len.into() });
        }
        let needed = header + len as usize;
        if buffer.unread().len() < needed {
            if !wait {
                return Ok(None);
            }
            if !buffer.fill_to(needed)? {
                return Err(cut_off(buffer, needed));
            }
        }
        let added = buffer.unread().get(RECORD_HEADER..).and_then(<[u8]>::first_chunk::<MODIFIED>);
        // Converters fill all of it with zeros.
        let kind = added.filter(|added| self.layout.extra >= MODIFIED && **added != [0; MODIFIED]);
        let hint = match kind {
            Some([.., 0, _]) => Some(DirectionHint::Inbound),
            Some([.., 4, _]) => Some(DirectionHint::Outbound),
            _ => None,
        };
        let data = buffer.start() + header;
        buffer.consume(needed);
        let time = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.fraction_ns;
        Ok(Some(Record {
            link: self.link,
            time_ns: Some(time),
            wire_len,
            hint,
            interface: None,
            data: data..data + len as usize,
        }))
    }
}

fn cut_off(buffer: &Buffer, needed: usize) -> CaptureErrorKind {
    let (needed, had) = (needed as u64, buffer.unread().len() as u64);
    CaptureErrorKind::CutOff { what: "record", needed, had }
}
