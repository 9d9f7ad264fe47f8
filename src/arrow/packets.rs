//! Rows per packet.

use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder, Int8Builder, StringBuilder, TimestampNanosecondBuilder, UInt8Builder,
    UInt16Builder, UInt32Builder, UInt64Builder,
};
use arrow_array::types::Int8Type;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use super::values::{push_addr, time, timestamp};
use super::words::{self, VerdictColumns, Vocabulary};
use crate::capture::Frame;
use crate::decode::{Decoded, Why};
use crate::flow::Fragment;
use crate::verdict::Judged;

/// The columns, which are those of the CSV; times are times.
pub fn packet_schema() -> SchemaRef {
    let field = |name: &str, of: DataType, nullable| Field::new(name, of, nullable);
    Arc::new(Schema::new(vec![
        field("frame", DataType::UInt64, false),
        field("time", timestamp(), true),
        field("caplen", DataType::UInt32, false),
        field("wirelen", DataType::UInt32, false),
        field("outcome", words::word_type(), false),
        field("src", DataType::Utf8, true),
        field("dst", DataType::Utf8, true),
        field("proto", DataType::UInt8, true),
        field("sport", DataType::UInt16, true),
        field("dport", DataType::UInt16, true),
        field("tcp_flags", DataType::UInt8, true),
        field("icmp_type", DataType::UInt8, true),
        field("icmp_code", DataType::UInt8, true),
        field("fragment", words::word_type(), true),
        field("interface", words::name_type(), true),
        field("direction", words::word_type(), true),
        field("verdict", words::word_type(), false),
        field("reason", words::word_type(), false),
        field("group", words::name_type(), true),
        field("rule", words::name_type(), true),
        field("connection", DataType::UInt64, true),
        field("layer", words::word_type(), true),
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

/// Rows per packet, gathered into record batches under [`packet_schema`].
#[derive(Debug)]
pub struct PacketColumns {
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

impl PacketColumns {
    /// None yet; there is room for so many rows.
    pub fn with_capacity(rows: usize) -> Self {
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
            schema: packet_schema(),
        }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        ArrayBuilder::len(&self.frame)
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The columns of `decode`.
    fn decoded(&mut self, frame: &Frame<'_>, decoded: &Decoded) {
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
    pub fn packet(
        &mut self,
        frame: &Frame<'_>,
        decoded: &Decoded,
        judged: &Judged,
        vocabulary: &Vocabulary,
    ) {
        if let Judged::NotEvaluated(reason) = judged {
            self.decoded(frame, decoded);
            self.verdicts.not_evaluated(*reason);
            self.connection.append_null();
        }
        for judgement in judged.judgements() {
            self.decoded(frame, decoded);
            self.verdicts.judged(judgement, vocabulary);
            self.connection.append_option(judgement.connection);
        }
    }

    /// The rows as a batch; what follows begins anew.
    ///
    /// # Errors
    /// When the columns are not those of the schema, or the vocabulary is not that of the rows.
    pub fn finish(&mut self, vocabulary: &Vocabulary) -> Result<RecordBatch, ArrowError> {
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
