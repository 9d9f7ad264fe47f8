//! Rows per packet, as a stream of batches.

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::builder::{
    Int8Builder, StringBuilder, TimestampNanosecondBuilder, UInt8Builder, UInt16Builder,
    UInt32Builder, UInt64Builder,
};
use arrow_array::types::Int8Type;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use pyo3::prelude::*;
use sgreplay::decode::{Decoded, Why};
use sgreplay::flow::Fragment;
use sgreplay::sources::Input;
use sgreplay::verdict::Judged;

use crate::command::judging::Keeps;
use crate::error::{self, Raised};
use crate::exit::Failure;
use crate::replay::{Done, Job, Run, Watch};
use crate::running;
use crate::words::{self, VerdictColumns, Vocabulary};

/// Batches that may wait for their consumer.
const WAITING: usize = 2;

/// Times, in all tables. What lies beyond them, in 2262, is null.
pub(crate) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

/// A time of the engine as one of a table.
pub(crate) fn time(ns: Option<u64>) -> Option<i64> {
    ns.and_then(|ns| i64::try_from(ns).ok())
}

/// The text of an address, which is most of what a row takes: the usual formatting costs three times as much.
pub(crate) fn push_addr(out: &mut StringBuilder, addr: IpAddr) {
    let IpAddr::V4(addr) = addr else { return out.append_value(addr.to_string()) };
    let mut text = [b'.'; 15];
    let mut len = 0;
    for (n, octet) in addr.octets().into_iter().enumerate() {
        len += usize::from(n > 0);
        let digits = [octet / 100, octet / 10 % 10, octet % 10];
        let skipped = if octet >= 100 { 0 } else { 2 - usize::from(octet >= 10) };
        for digit in digits.into_iter().skip(skipped) {
            if let Some(place) = text.get_mut(len) {
                *place = b'0' + digit;
            }
            len += 1;
        }
    }
    let text = text.get(..len).and_then(|text| str::from_utf8(text).ok());
    out.append_value(text.unwrap_or_default());
}

fn schema() -> SchemaRef {
    let field = |name: &str, of: DataType, nullable| Field::new(name, of, nullable);
    Arc::new(Schema::new(vec![
        field("frame", DataType::UInt64, false),
        field("time", timestamp(), true),
        field("caplen", DataType::UInt32, false),
        field("wirelen", DataType::UInt32, false),
        field("outcome", words::word(), false),
        field("src", DataType::Utf8, true),
        field("dst", DataType::Utf8, true),
        field("proto", DataType::UInt8, true),
        field("sport", DataType::UInt16, true),
        field("dport", DataType::UInt16, true),
        field("tcp_flags", DataType::UInt8, true),
        field("icmp_type", DataType::UInt8, true),
        field("icmp_code", DataType::UInt8, true),
        field("fragment", words::word(), true),
        field("interface", words::name(), true),
        field("direction", words::word(), true),
        field("verdict", words::word(), false),
        field("reason", words::word(), false),
        field("group", words::name(), true),
        field("rule", words::name(), true),
        field("connection", DataType::UInt64, true),
        field("layer", words::word(), true),
    ]))
}

/// The outcomes of decoding, in the order of their keys.
const OUTCOMES: [&str; 5] = ["decoded", "non_ip", "truncated", "malformed", "unsupported_link"];
const FRAGMENTS: [&str; 3] = ["no", "first", "later"];

fn outcome(decoded: &Decoded) -> i8 {
    match decoded {
        Decoded::Packet(_) => 0,
        Decoded::Failed(undecodable) => match undecodable.why {
            Why::NonIp => 1,
            Why::Truncated => 2,
            Why::Malformed => 3,
            Why::UnsupportedLink => 4,
        },
    }
}

fn fragment(fragment: Fragment) -> i8 {
    match fragment {
        Fragment::No => 0,
        Fragment::First { .. } => 1,
        Fragment::Later { .. } => 2,
    }
}

/// The columns of the batch under way.
struct Columns {
    frame: UInt64Builder,
    time: TimestampNanosecondBuilder,
    caplen: UInt32Builder,
    wirelen: UInt32Builder,
    outcome: Int8Builder,
    src: StringBuilder,
    dst: StringBuilder,
    proto: UInt8Builder,
    sport: UInt16Builder,
    dport: UInt16Builder,
    tcp_flags: UInt8Builder,
    icmp_type: UInt8Builder,
    icmp_code: UInt8Builder,
    fragment: Int8Builder,
    connection: UInt64Builder,
    verdicts: VerdictColumns,
    outcomes: ArrayRef,
    fragments: ArrayRef,
    schema: SchemaRef,
}

impl Columns {
    fn with_capacity(rows: usize) -> Self {
        Self {
            frame: UInt64Builder::with_capacity(rows),
            time: TimestampNanosecondBuilder::with_capacity(rows).with_data_type(timestamp()),
            caplen: UInt32Builder::with_capacity(rows),
            wirelen: UInt32Builder::with_capacity(rows),
            outcome: Int8Builder::with_capacity(rows),
            src: StringBuilder::new(),
            dst: StringBuilder::new(),
            proto: UInt8Builder::with_capacity(rows),
            sport: UInt16Builder::with_capacity(rows),
            dport: UInt16Builder::with_capacity(rows),
            tcp_flags: UInt8Builder::with_capacity(rows),
            icmp_type: UInt8Builder::with_capacity(rows),
            icmp_code: UInt8Builder::with_capacity(rows),
            fragment: Int8Builder::with_capacity(rows),
            connection: UInt64Builder::with_capacity(rows),
            verdicts: VerdictColumns::with_capacity(rows),
            outcomes: words::values(OUTCOMES),
            fragments: words::values(FRAGMENTS),
            schema: schema(),
        }
    }

    fn len(&self) -> usize {
        arrow_array::builder::ArrayBuilder::len(&self.frame)
    }

    /// The columns of `decode`.
    fn decoded(&mut self, input: &Input<'_>) {
        let Input { frame, decoded, .. } = input;
        let packet = decoded.packet();
        let flow = packet.map(|packet| &packet.flow);
        let (sport, dport) = flow.and_then(|flow| flow.transport.ports()).unzip();
        let (icmp_type, icmp_code) = flow.and_then(|flow| flow.transport.icmp()).unzip();
        self.frame.append_value(frame.number);
        self.time.append_option(time(frame.time_ns));
        self.caplen.append_value(u32::try_from(frame.data.len()).unwrap_or(u32::MAX));
        self.wirelen.append_value(frame.wire_len);
        self.outcome.append_value(outcome(decoded));
        for (column, addr) in
            [(&mut self.src, flow.map(|flow| flow.src)), (&mut self.dst, flow.map(|flow| flow.dst))]
        {
            match addr {
                Some(addr) => push_addr(column, addr),
                None => column.append_null(),
            }
        }
        self.proto.append_option(flow.map(|flow| flow.proto.0));
        self.sport.append_option(sport);
        self.dport.append_option(dport);
        self.tcp_flags
            .append_option(packet.and_then(|packet| packet.tcp_flags).map(|flags| flags.0));
        self.icmp_type.append_option(icmp_type);
        self.icmp_code.append_option(icmp_code);
        self.fragment.append_option(packet.map(|packet| fragment(packet.fragment)));
    }

    /// Adds the rows of a packet: one for each interface where it was judged, or one that says why it was not.
    fn packet(&mut self, input: &Input<'_>, judged: &Judged, vocabulary: &Vocabulary) {
        if let Judged::NotEvaluated(reason) = judged {
            self.decoded(input);
            self.verdicts.not_evaluated(*reason);
            self.connection.append_null();
        }
        for judgement in judged.judgements() {
            self.decoded(input);
            self.verdicts.judged(judgement, vocabulary);
            self.connection.append_option(judgement.connection);
        }
    }

    fn finish(&mut self, vocabulary: &Vocabulary) -> Result<RecordBatch, ArrowError> {
        let [interface, direction, verdict, reason, group, rule, layer] =
            self.verdicts.finish(vocabulary)?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.frame.finish()),
            Arc::new(self.time.finish()),
            Arc::new(self.caplen.finish()),
            Arc::new(self.wirelen.finish()),
            words::dictionary::<Int8Type>(self.outcome.finish(), &self.outcomes)?,
            Arc::new(self.src.finish()),
            Arc::new(self.dst.finish()),
            Arc::new(self.proto.finish()),
            Arc::new(self.sport.finish()),
            Arc::new(self.dport.finish()),
            Arc::new(self.tcp_flags.finish()),
            Arc::new(self.icmp_type.finish()),
            Arc::new(self.icmp_code.finish()),
            words::dictionary::<Int8Type>(self.fragment.finish(), &self.fragments)?,
            interface,
            direction,
            verdict,
            reason,
            group,
            rule,
            Arc::new(self.connection.finish()),
            layer,
        ];
        RecordBatch::try_new(SchemaRef::clone(&self.schema), columns)
    }
}

/// What the thread that judges sends to who reads the stream.
enum Message {
    Batch(Result<RecordBatch, ArrowError>),
    End(Box<Result<Done, Failure>>),
}

/// Makes batches, and hands them over.
struct PacketRows {
    columns: Columns,
    vocabulary: Option<Vocabulary>,
    rows: usize,
    to: SyncSender<Message>,
}

impl PacketRows {
    fn flush(&mut self) -> ControlFlow<()> {
        let Some(vocabulary) = &self.vocabulary else { return ControlFlow::Continue(()) };
        match self.to.send(Message::Batch(self.columns.finish(vocabulary))) {
            Ok(()) => ControlFlow::Continue(()),
            // The stream was dropped.
            Err(_) => ControlFlow::Break(()),
        }
    }
}

impl Watch for PacketRows {
    fn packet(&mut self, run: Run<'_>, input: &Input<'_>, judged: &Judged) -> ControlFlow<()> {
        if !input.selected {
            return ControlFlow::Continue(());
        }
        let vocabulary = self.vocabulary.get_or_insert_with(|| Vocabulary::new(run.rules));
        self.columns.packet(input, judged, vocabulary);
        if self.columns.len() < self.rows { ControlFlow::Continue(()) } else { self.flush() }
    }

    fn end(&mut self, _: Run<'_>) -> Vec<String> {
        if self.columns.len() > 0 {
            // Nobody reads what is said at the end of a stream that was dropped.
            let _ = self.flush();
        }
        Vec::new()
    }
}

/// The reading end.
struct Reader {
    from: Mutex<Receiver<Message>>,
    stop: Arc<AtomicBool>,
    schema: SchemaRef,
    ended: bool,
}

/// Starts a run, whose rows wait for who reads them.
pub(crate) fn read(
    job: Job,
    stop: Arc<AtomicBool>,
    rows: usize,
) -> PyResult<impl RecordBatchReader + Send + 'static> {
    let (to, from) = sync_channel(WAITING);
    let columns = Columns::with_capacity(rows);
    let mut sink = PacketRows { columns, vocabulary: None, rows, to };
    std::thread::Builder::new().name("sgreplay packets".to_owned()).spawn(move || {
        let done = job.run(Keeps::Nothing, &mut sink);
        // As above.
        let _ = sink.to.send(Message::End(Box::new(done)));
    })?;
    Ok(Reader { from: Mutex::new(from), stop, schema: schema(), ended: false })
}

impl Reader {
    /// The next message, without the GIL, whether or not the caller has it. An interrupt ends the waiting.
    fn message(&self) -> PyResult<Option<Message>> {
        match Python::try_attach(|py| running::wait(py, &self.from, &self.stop)) {
            Some(message) => message,
            // The interpreter ends; nobody sees the rows.
            None => Ok(self.from.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()),
        }
    }
}

impl Iterator for Reader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let message = self.message();
        if let Ok(Some(Message::Batch(Ok(batch)))) = message {
            return Some(Ok(batch));
        }
        self.ended = true;
        let error = match message {
            Ok(Some(Message::Batch(result))) => return Some(result),
            Ok(Some(Message::End(done))) => Python::try_attach(|py| match *done {
                Ok(mut done) => done.say(py, py.None().bind(py)).err(),
                Err(failure) => Some(error::of_failure(py, failure)),
            })
            .flatten(),
            Ok(None) => Some(error::plain("internal error: see the message on standard error")),
            Err(interrupt) => Some(interrupt),
        };
        error.map(|error| Err(Raised::arrow(error)))
    }
}

impl RecordBatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
