//! Classic pcap.

use pcap_file::pcap::{PcapHeader, PcapParseError, PcapParser, PcapTsResolution};

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

    /// The next record; `None` at the end, or where it is not all there and `wait` is false.
    pub(super) fn next(
        &self,
        buffer: &mut Buffer,
        wait: bool,
    ) -> Result<Option<Record>, CaptureErrorKind> {
        // Raw packets: `next_packet` would refuse records longer than the file's snap length, and
        // records whose wire length is below their captured length; real files have both.
        let (ts_sec, ts_frac, len, wire_len) = loop {
            match self.parser.next_raw_packet(buffer.unread()) {
                Ok((_, raw)) => break (raw.ts_sec, raw.ts_frac, raw.incl_len, raw.orig_len),
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
        };
        let data = buffer.start() + RECORD_HEADER;
        let data = data..data + len as usize;
        buffer.consume(RECORD_HEADER + len as usize);
        let time = u64::from(ts_sec) * 1_000_000_000 + u64::from(ts_frac) * self.fraction_ns;
        let (link, time_ns) = (self.link, Some(time));
        Ok(Some(Record { link, time_ns, wire_len, hint: None, interface: None, data }))
    }
}
