//! Flow logs: records of connections or of their halves, without packets.
//!
//! A record becomes one frame, made of what the record tells and of no more: addresses, protocol,
//! ports. It has no TCP flags, since those of a record are of all its packets at once, and what they
//! tell of who opened the connection stands in [`LogRecord::opener`].
//!
//! Read are VPC flow logs of Alibaba Cloud (CSV, or a JSON object a line); of AWS (text, with its header, in the 14
//! fields of version 2, or in fields that the user names, also in the wrappings of `CloudWatch` and Athena); of Azure
//! (network security groups and virtual networks) and Google Cloud; Suricata's `eve.json` and Hubble's flows; Zeek's
//! `conn.log` (tab-separated or JSON), nfdump's CSV and traces of `ClassBench`. Columns are found by name, in any
//! order, where there are names.

mod azure;
mod columns;
mod counts;
mod detect;
mod dialect;
mod frame;
mod google;
mod hubble;
mod kind;
mod line;
mod objects;
mod record;
#[cfg(feature = "parquet")]
mod rows;
mod scalar;
mod suricata;
mod value;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::buffer::Buffer;
use super::names::Names;
use super::{CaptureErrorKind, LinkType, Record};
pub use columns::FlowLogFields;
use columns::{Columns, Field, Line, Unescaped};
pub use counts::{FlowLog, FlowLogCounts};
use dialect::Dialect;
pub use kind::FlowLogKind;
use line::line_at;
use objects::{Scanner, Step};
use record::{Addresses, Entry, Flow};
pub use record::{LogRecord, Opener, Recorded};
#[cfg(feature = "parquet")]
use rows::Rows;
use value::Read;

/// What is said of flow logs beside them.
#[derive(Clone, Debug, Default)]
pub struct FlowLogOptions {
    /// The columns of records without a header.
    pub fields: Option<FlowLogFields>,
    /// The addresses of interfaces, by their names: a record of AWS has the first one of its interface, whichever one
    /// the packets had.
    pub addresses: Arc<Addresses>,
}

/// The most records that are held in order to be judged in the order of their times.
const MOST_HELD: usize = 1 << 21;

pub(super) struct Reader {
    source: Source,
    options: FlowLogOptions,
    /// Lines read.
    line: u64,
    /// Records to be handed out.
    queue: VecDeque<(Entry, Option<u16>)>,
    /// Records of a log that may begin with the newest.
    held: Option<Vec<(Entry, Option<u16>)>>,
    /// The frames made, and what their records say beside.
    bytes: Vec<u8>,
    records: Vec<LogRecord>,
    names: Names,
    /// As far as frames were handed over, and as far as records were read.
    counts: Arc<Mutex<FlowLogCounts>>,
    counted: FlowLogCounts,
    unescaped: Unescaped,
    /// The end, or a trailer, was met: what follows is no record.
    ended: bool,
    /// What was wrong behind the records in line.
    damage: Option<CaptureErrorKind>,
}

/// What reading on has brought.
enum More {
    /// A record that need not wait for others.
    Record(Entry, Option<u16>),
    /// Records in line, or something else has changed.
    InLine,
    /// Nothing: the end, or what comes next is not all there.
    Nothing,
}

/// Where records come from.
enum Source {
    Lines(Box<Columns>),
    Objects(Box<(Scanner, Dialect)>),
    #[cfg(feature = "parquet")]
    Rows(Box<(Rows, Columns)>),
}

impl Source {
    fn kind(&self) -> FlowLogKind {
        match self {
            Self::Lines(columns) => columns.kind(),
            Self::Objects(of) => of.1.kind(),
            #[cfg(feature = "parquet")]
            Self::Rows(of) => of.1.kind(),
        }
    }
}

impl Reader {
    fn new(source: Source, options: &FlowLogOptions) -> Self {
        let counts = FlowLogCounts::new(source.kind());
        let holds = match &source {
            Source::Lines(columns) => columns.may_be_newest_first(),
            Source::Objects(of) => of.0.is_plain_list() || of.0.list() == Some("results"),
            #[cfg(feature = "parquet")]
            Source::Rows(_) => false,
        };
        Self {
            source,
            options: options.clone(),
            line: 0,
            queue: VecDeque::new(),
            held: holds.then(Vec::new),
            bytes: Vec::new(),
            records: Vec::new(),
            names: Names::default(),
            counts: Arc::new(Mutex::new(counts)),
            counted: counts,
            unescaped: Unescaped::default(),
            ended: false,
            damage: None,
        }
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
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner) = self.counted;
        std::mem::swap(&mut self.bytes, bytes);
        std::mem::swap(&mut self.records, records);
    }

    /// The next record's frame; `None` at the end, or where the next record is not all there and `wait` is
    /// false.
    pub(super) fn next(
        &mut self,
        buffer: &mut Buffer,
        wait: bool,
    ) -> Result<Option<Record>, CaptureErrorKind> {
        loop {
            while let Some((entry, interface)) = self.queue.pop_front() {
                if let Some(record) = self.take(entry, interface) {
                    return Ok(Some(record));
                }
            }
            if let Some(damage) = self.damage.take() {
                return Err(damage);
            }
            if self.ended {
                return Ok(None);
            }
            let more = match &self.source {
                Source::Lines(_) => self.read_line(buffer, wait),
                Source::Objects(_) => self.read_object(buffer, wait),
                #[cfg(feature = "parquet")]
                Source::Rows(_) => self.read_row(),
            };
            match more {
                Ok(More::Record(entry, interface)) => {
                    if let Some(record) = self.take(entry, interface) {
                        return Ok(Some(record));
                    }
                }
                Ok(More::InLine) => {}
                Ok(More::Nothing) => return Ok(None),
                Err(kind) => {
                    // What was read before the damage is judged.
                    self.release();
                    self.ended = true;
                    if self.queue.is_empty() {
                        return Err(kind);
                    }
                    self.damage = Some(kind);
                }
            }
        }
    }

    /// Puts a record in line.
    fn put(&mut self, entry: Entry, interface: Option<u16>) -> Result<(), String> {
        let Some(held) = &mut self.held else {
            self.queue.push_back((entry, interface));
            return Ok(());
        };
        if held.len() >= MOST_HELD {
            return Err(format!(
                "the newest record comes first here, and there are more than {MOST_HELD}; sort them by time first"
            ));
        }
        held.push((entry, interface));
        Ok(())
    }

    /// Puts what was held in line, by time.
    fn release(&mut self) {
        if let Some(held) = &mut self.held {
            let time = |entry: &Entry| match entry {
                Entry::Flow(flow) | Entry::AlreadyOpen(flow) => flow.time_ns,
                _ => None,
            };
            // Of the same time, too, the newest stands first.
            let times: Vec<u64> = held.iter().filter_map(|(entry, _)| time(entry)).collect();
            if times.first() > times.last() {
                held.reverse();
            }
            held.sort_by_key(|(entry, _)| time(entry));
            self.queue.extend(held.drain(..));
        }
    }

    /// Reads a line.
    fn read_line(&mut self, buffer: &mut Buffer, wait: bool) -> Result<More, CaptureErrorKind> {
        let Source::Lines(columns) = &mut self.source else { return Ok(More::Nothing) };
        if !wait && memchr::memchr(b'\n', buffer.unread()).is_none() {
            return Ok(More::Nothing);
        }
        let Some((line, end)) = line_at(buffer, 0)? else {
            self.ended = true;
            self.release();
            return Ok(More::InLine);
        };
        let number = self.line + 1;
        let entry = match columns.read(line, &mut self.unescaped) {
            Line::Record(values) => Entry::read(columns.kind(), &values, &self.options.addresses)
                .map(|entry| {
                    let name = values.get(Field::Interface);
                    Some((entry, name.and_then(|name| self.names.position(name))))
                }),
            Line::Damaged(found) => Err(found),
            Line::Columns(other) => {
                *columns = other;
                Ok(None)
            }
            Line::Nothing => Ok(None),
            Line::End => {
                self.ended = true;
                self.release();
                return Ok(More::InLine);
            }
        };
        // A damaged line stays unread, so that the error can say where it starts.
        let damaged = |found| CaptureErrorKind::FlowLog { line: number, found };
        let more = match entry.map_err(damaged)? {
            Some((entry, interface)) if self.held.is_some() => {
                self.put(entry, interface).map_err(damaged)?;
                More::InLine
            }
            Some((entry, interface)) => More::Record(entry, interface),
            None => More::InLine,
        };
        self.line = number;
        buffer.consume(end);
        Ok(more)
    }

    /// The same of a JSON value.
    fn read_object(&mut self, buffer: &mut Buffer, wait: bool) -> Result<More, CaptureErrorKind> {
        let Source::Objects(of) = &mut self.source else { return Ok(More::Nothing) };
        let (scanner, dialect) = &mut **of;
        let (line, mut found) = (scanner.line(), Vec::new());
        let damaged = |found| CaptureErrorKind::FlowLog { line, found };
        match scanner.next(buffer, wait) {
            Ok(Step::Wait) => return Ok(More::Nothing),
            Ok(Step::End) => {
                dialect.finish(&mut found);
                self.ended = true;
            }
            Ok(Step::Element(length)) => {
                let line = scanner.line();
                let damaged = |found| CaptureErrorKind::FlowLog { line, found };
                let element = buffer.unread().get(..length).unwrap_or_default();
                let value = value::read(element, dialect.members())
                    .map_err(|error| damaged(format!("expected a JSON object: {error}")))?;
                dialect.read(&value, &self.options.addresses, &mut found).map_err(damaged)?;
                scanner.consume(buffer, length);
            }
            Err(kind) => {
                dialect.finish(&mut found);
                self.put_all(found).map_err(damaged)?;
                return Err(kind);
            }
        }
        self.put_all(found).map_err(damaged)?;
        if self.ended {
            self.release();
        }
        Ok(More::InLine)
    }

    /// The same of a row.
    #[cfg(feature = "parquet")]
    fn read_row(&mut self) -> Result<More, CaptureErrorKind> {
        let Source::Rows(of) = &mut self.source else { return Ok(More::Nothing) };
        let (rows, columns) = &mut **of;
        let Some(values) = rows.next()? else {
            self.ended = true;
            return Ok(More::InLine);
        };
        let entry = Entry::read(columns.kind(), &values, &self.options.addresses);
        let interface = values.get(Field::Interface).and_then(|name| self.names.position(name));
        let damaged = |found| CaptureErrorKind::FlowLog { line: rows.row(), found };
        let entry = entry.map_err(damaged)?;
        Ok(More::Record(entry, interface))
    }

    fn put_all(&mut self, found: Vec<Read>) -> Result<(), String> {
        for (entry, interface) in found {
            let interface = interface.and_then(|name| self.names.position(&name));
            self.put(entry, interface)?;
        }
        Ok(())
    }

    /// Counts a line, and makes a frame of it if it is a record.
    fn take(&mut self, entry: Entry, interface: Option<u16>) -> Option<Record> {
        let counts = &mut self.counted;
        let flow = match entry {
            Entry::Flow(flow) => Ok(flow),
            Entry::AlreadyOpen(flow) => {
                counts.already_open += 1;
                Ok(flow)
            }
            Entry::NoData => Err(&mut counts.no_data),
            Entry::Skipped => Err(&mut counts.skipped),
            Entry::NoProtocol => Err(&mut counts.no_protocol),
            Entry::Continuation => Err(&mut counts.continuations),
            Entry::Duplicate => Err(&mut counts.duplicates),
            Entry::PassedOver => Err(&mut counts.passed_over),
        };
        let flow: Flow = match flow {
            Ok(flow) => flow,
            Err(count) => {
                *count += 1;
                return None;
            }
        };
        counts.records += 1;
        counts.packets = counts.packets.saturating_add(flow.log.packets);
        counts.no_icmp_type += u64::from(flow.icmp_assumed);
        counts.other_address += u64::from(flow.other_address);
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
