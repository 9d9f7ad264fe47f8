//! Flow logs: records of connections or of their halves, without packets.
//!
//! A record becomes one frame, made of what the record tells and of no more: addresses, protocol,
//! ports. It has no TCP flags, since those of a record are of all its packets at once, and what they
//! tell of who opened the connection stands in [`LogRecord::opener`].
//!
//! Read are VPC flow logs of Alibaba Cloud (CSV, or a JSON object a line) and of AWS (text, with its
//! header or in the 14 fields of version 2), Zeek's `conn.log` (tab-separated or JSON), nfdump's CSV and
//! traces of `ClassBench`. Columns are found by name, in any order, where there are names.

mod columns;
mod frame;
mod record;

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::buffer::Buffer;
use super::names::Names;
use super::{CaptureErrorKind, LinkType, Record};
use columns::{Columns, Field, Line};
use record::Entry;
pub use record::{LogRecord, Opener, Recorded};

/// Whose flow log it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FlowLogKind {
    /// VPC flow logs of Alibaba Cloud.
    Alibaba,
    /// VPC flow logs of AWS.
    Aws,
    /// Zeek's `conn.log`.
    Zeek,
    /// The CSV of `nfdump`.
    Nfdump,
    /// Headers for filters of `ClassBench`: what classifiers are compared by.
    ClassBench,
}

impl FlowLogKind {
    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alibaba => "Alibaba Cloud VPC flow log",
            Self::Aws => "AWS VPC flow log",
            Self::Zeek => "Zeek conn.log",
            Self::Nfdump => "nfdump CSV",
            Self::ClassBench => "ClassBench trace",
        }
    }
}

/// What a flow log holds, as far as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FlowLogCounts {
    /// Whose it is.
    pub kind: FlowLogKind,
    /// Records that became frames.
    pub records: u64,
    /// Packets that those stand for.
    pub packets: u64,
    /// Windows in which an interface had no traffic (`NODATA`).
    pub no_data: u64,
    /// Windows of which the cloud has lost records (`SKIPDATA`).
    pub skipped: u64,
    /// Records without a protocol, of which nothing can be said.
    pub no_protocol: u64,
    /// ICMP records without a type, taken for echo requests.
    pub no_icmp_type: u64,
}

/// The counts of a flow log that another thread may be reading; of a capture there are none.
#[derive(Clone, Debug, Default)]
pub struct FlowLog(Option<Arc<Mutex<FlowLogCounts>>>);

impl FlowLog {
    /// What was read so far; `None` where it is a capture and no flow log.
    pub fn counts(&self) -> Option<FlowLogCounts> {
        let counts = self.0.as_ref()?;
        Some(*counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The longest line that is believed.
const LONGEST_LINE: usize = 1 << 20;

pub(super) struct Reader {
    columns: Columns,
    /// Lines read.
    line: u64,
    /// The frames made, and what their records say beside.
    bytes: Vec<u8>,
    records: Vec<LogRecord>,
    names: Names,
    counts: Arc<Mutex<FlowLogCounts>>,
    /// A trailer was met: what follows is no record.
    ended: bool,
}

impl Reader {
    /// Whether the source starts as a flow log does; lines before its first record are read then.
    pub(super) fn start(buffer: &mut Buffer) -> Result<Option<Self>, CaptureErrorKind> {
        let is_text = |b: &u8| !b.is_ascii_control() || b.is_ascii_whitespace();
        buffer.fill_to(super::SHOWN_OF_NO_CAPTURE)?;
        if !buffer.unread().iter().take(super::SHOWN_OF_NO_CAPTURE).all(is_text) {
            return Ok(None);
        }
        let mut start = 0;
        let columns = loop {
            // What is no text is no flow log; whoever asks says what it is.
            let Ok(Some((line, end))) = line_at(buffer, start) else { return Ok(None) };
            match Columns::of(line) {
                Some(columns) => break columns,
                // Remarks and empty lines come before a header; anything else is no flow log.
                None if line.trim().is_empty() || line.trim_start().starts_with('#') => start = end,
                None => return Ok(None),
            }
        };
        let counts = FlowLogCounts {
            kind: columns.kind(),
            records: 0,
            packets: 0,
            no_data: 0,
            skipped: 0,
            no_protocol: 0,
            no_icmp_type: 0,
        };
        Ok(Some(Self {
            columns,
            line: 0,
            bytes: Vec::new(),
            records: Vec::new(),
            names: Names::default(),
            counts: Arc::new(Mutex::new(counts)),
            ended: false,
        }))
    }

    pub(super) fn flow_log(&self) -> FlowLog {
        FlowLog(Some(Arc::clone(&self.counts)))
    }

    /// What the records' interfaces are called, by position.
    pub(super) fn names(&self) -> Arc<Vec<String>> {
        self.names.list()
    }

    /// Gives the frames made since the last time, and what their records say.
    pub(super) fn hand_over(&mut self, bytes: &mut Vec<u8>, records: &mut Vec<LogRecord>) {
        bytes.clear();
        records.clear();
        std::mem::swap(&mut self.bytes, bytes);
        std::mem::swap(&mut self.records, records);
    }

    /// The next record's frame; `None` at the end, or where the next line is not all there and `wait` is
    /// false.
    pub(super) fn next(
        &mut self,
        buffer: &mut Buffer,
        wait: bool,
    ) -> Result<Option<Record>, CaptureErrorKind> {
        while !self.ended {
            if !wait && !buffer.unread().contains(&b'\n') {
                return Ok(None);
            }
            let Some((line, end)) = line_at(buffer, 0)? else { return Ok(None) };
            let number = self.line + 1;
            let entry = match self.columns.read(line) {
                Line::Record(values) => Entry::read(self.columns.kind(), &values).map(|entry| {
                    let name = values.get(Field::Interface);
                    Some((entry, name.and_then(|name| self.names.position(name))))
                }),
                Line::Damaged(found) => Err(found),
                Line::Columns(columns) => {
                    self.columns = *columns;
                    Ok(None)
                }
                Line::Nothing => Ok(None),
                Line::End => {
                    self.ended = true;
                    break;
                }
            };
            // A damaged line stays unread, so that the error can say where it starts.
            let entry = entry.map_err(|found| CaptureErrorKind::FlowLog { line: number, found })?;
            self.line = number;
            buffer.consume(end);
            let record = entry.and_then(|(entry, interface)| self.take(entry, interface));
            if record.is_some() {
                return Ok(record);
            }
        }
        Ok(None)
    }

    /// Counts a line, and makes a frame of it if it is a record.
    fn take(&mut self, entry: Entry, interface: Option<u16>) -> Option<Record> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let flow = match entry {
            Entry::NoData => {
                counts.no_data += 1;
                return None;
            }
            Entry::Skipped => {
                counts.skipped += 1;
                return None;
            }
            Entry::NoProtocol => {
                counts.no_protocol += 1;
                return None;
            }
            Entry::Flow(flow) => flow,
        };
        counts.records += 1;
        counts.packets = counts.packets.saturating_add(flow.log.packets);
        counts.no_icmp_type += u64::from(flow.icmp_assumed);
        let start = self.bytes.len();
        frame::write(&mut self.bytes, &flow);
        self.records.push(flow.log);
        Some(Record {
            link: LinkType::RAW,
            time_ns: flow.time_ns,
            // A record of more than 4 GiB counts as 4 GiB.
            wire_len: u32::try_from(flow.bytes).unwrap_or(u32::MAX),
            hint: flow.hint,
            interface,
            data: start..self.bytes.len(),
        })
    }
}

/// The line that starts so many bytes into what is unread, without its end, and where the next starts.
/// The last one need have no end; there is none after it.
fn line_at(buffer: &mut Buffer, start: usize) -> Result<Option<(&str, usize)>, CaptureErrorKind> {
    let mut searched = start;
    let (length, end) = loop {
        let unread = buffer.unread();
        if let Some(at) =
            unread.get(searched..).and_then(|rest| rest.iter().position(|b| *b == b'\n'))
        {
            break (searched + at, searched + at + 1);
        }
        searched = unread.len();
        if searched - start.min(searched) > LONGEST_LINE {
            return Err(CaptureErrorKind::LineTooLong);
        }
        if !buffer.fill_to(searched + 1)? {
            if searched <= start {
                return Ok(None);
            }
            break (searched, searched);
        }
    };
    let line = buffer.unread().get(start..length).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let line = std::str::from_utf8(line).map_err(|_| CaptureErrorKind::LineNotText)?;
    Ok(Some((line, end)))
}
