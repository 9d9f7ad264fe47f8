//! Classic pcap.

use pcap_file::pcap::{PcapHeader, PcapParseError, PcapParser, PcapTsResolution, RawPcapPacket};

use super::buffer::{Buffer, LONGEST_RECORD};
use super::{CaptureErrorKind, LinkType, Record};

const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;

/// The first bytes: times in µs or ns, in both byte orders.
pub(super) const MAGICS: [[u8; 4]; 4] = [
    0xa1b2_c3d4_u32.to_be_bytes(),
    0xa1b2_c3d4_u32.to_le_bytes(),
    0xa1b2_3c4d_u32.to_be_bytes(),
    0xa1b2_3c4d_u32.to_le_bytes(),
];

pub(super) struct Reader {
    parser: PcapParser,
    link: LinkType,
    /// Nanoseconds per unit of a record's fraction field.
    fraction_ns: u64,
}

impl Reader {
    /// Reads the file header, if `magic` is that of a pcap.
    pub(super) fn start(
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
        let Ok((_, parser)) = PcapParser::new(buffer.unread()) else { return Ok(None) };
        buffer.consume(FILE_HEADER);
        let PcapHeader { datalink, ts_resolution, .. } = parser.header();
        let fraction_ns = match ts_resolution {
            PcapTsResolution::MicroSecond => 1_000,
            PcapTsResolution::NanoSecond => 1,
        };
        // The upper half of the field may tell the length of a frame check sequence.
        let link = LinkType(u32::from(datalink) & 0xffff);
        Ok(Some(Self { parser, link, fraction_ns }))
    }

    /// Reads the next record, for which it waits, and those behind it that are all there; none at the end.
    pub(super) fn fill(
        &self,
        buffer: &mut Buffer,
        records: &mut Vec<Record>,
    ) -> Result<(), CaptureErrorKind> {
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
}
