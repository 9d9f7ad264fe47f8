//! `evaluate`: the rows of a table, each judged as the packet that opens a connection.

mod columns;
pub(crate) mod rows;
mod values;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::ffi_stream::RecordBatchStreamReader;
use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use pyo3::prelude::*;
use self_cell::self_cell;
use sgreplay::arrow::{VerdictColumns, Vocabulary, name_type, word_type};
use sgreplay::capture::{Frame, LinkType};
use sgreplay::decode::Decoded;
use sgreplay::engine;
use sgreplay::flow::{FlowTuple, Fragment, Packet, Protocol, Transport};
use sgreplay::replay::{Options, Replay, Sessions};
use sgreplay::rules::RuleSet;
use sgreplay::stats::Stats;
use sgreplay::verdict::{Judged, Reason};

use crate::command::gate::Unsure;
use crate::error::{self, Raised};
use crate::rules::Rules;
use crate::table::{Stream, Table};
use crate::{capsule, running};
use columns::{Columns, Names};
use values::{Addresses, Named, Numbers, Protocols};

/// Rows that are read at once.
const AT_ONCE: usize = 4096;

type Judging<'r> = Replay<'r>;

self_cell!(
    /// Compiled rules together with the rule set that they refer to.
    struct Engine {
        owner: RuleSet,
        #[not_covariant]
        dependent: Judging,
    }
);

impl Engine {
    fn compile(rules: RuleSet) -> Self {
        // A row knows nothing of other rows, so that each is judged alone.
        let options = Options::default().with_sessions(Sessions::Off);
        Self::new(rules, |rules| Replay::new(rules, options))
    }
}

/// The batches of a table, with the columns of verdicts added.
struct Evaluated {
    from: RecordBatchStreamReader,
    engine: Engine,
    vocabulary: Vocabulary,
    columns: Columns,
    schema: SchemaRef,
    stop: Arc<AtomicBool>,
    counts: Counts,
    /// Whether it raises warnings at the end.
    warns: bool,
    ended: bool,
}

/// What is counted of rows.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    rows: u64,
    /// Rows that were judged.
    judged: u64,
    /// Rows of ICMP without a type.
    echoes: u64,
}

impl fmt::Debug for Evaluated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evaluated").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl Evaluated {
    fn new(
        rules: RuleSet,
        from: RecordBatchStreamReader,
        names: &Names,
        prefix: &str,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, ArrowError> {
        let of_table = from.schema();
        let columns = Columns::find(&of_table, names).map_err(of_column)?;
        let schema = with_verdicts(&of_table, prefix).map_err(of_column)?;
        let vocabulary = Vocabulary::new(&rules);
        let engine = Engine::compile(rules);
        Ok(Self {
            from,
            engine,
            vocabulary,
            columns,
            schema,
            stop,
            counts: Counts::default(),
            warns: true,
            ended: false,
        })
    }

    fn evaluate(&mut self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let rows = batch.num_rows();
        let mut out = VerdictColumns::with_capacity(rows);
        // The values of a few rows stay in a near cache; those of a dictionary are read for all rows at once.
        let at_once = if self.columns.have_dictionary(batch) { rows } else { AT_ONCE };
        let mut row = 0;
        while row < rows {
            if self.stop.load(Ordering::Relaxed) {
                // The caller raises the interrupt.
                return Err(ArrowError::ComputeError("interrupted".to_owned()));
            }
            let part = batch.slice(row, at_once.min(rows - row));
            self.judge(&part, &mut out).map_err(of_column)?;
            row += part.num_rows();
        }
        let [_, direction, verdict, reason, group, rule, layer] = out.finish(&self.vocabulary)?;
        let mut columns = batch.columns().to_vec();
        columns.extend([direction, verdict, reason, group, rule, layer]);
        RecordBatch::try_new(SchemaRef::clone(&self.schema), columns)
    }

    fn judge(
        &mut self,
        batch: &RecordBatch,
        out: &mut VerdictColumns,
    ) -> Result<(), error::ColumnFault> {
        let values = Values::read(batch, &self.columns, self.counts.rows)?;
        let (vocabulary, first, rows) = (&self.vocabulary, self.counts.rows, batch.num_rows());
        let Counts { echoes, judged: evaluated, .. } = &mut self.counts;
        self.engine.with_dependent_mut(|_, replay| {
            for (row, number) in (0..rows).zip(first + 1..) {
                let judged = match values.flow(row, echoes) {
                    Ok(flow) => {
                        replay.judge_tuple(&flow).unwrap_or_else(|| weigh(replay, flow, number))
                    }
                    Err(reason) => Judged::NotEvaluated(reason),
                };
                match (judged.deciding(), judged) {
                    (Some(judgement), _) => {
                        *evaluated += 1;
                        out.judged(judgement, vocabulary);
                    }
                    (None, Judged::NotEvaluated(reason)) => out.not_evaluated(reason),
                    (None, Judged::At(..)) => out.not_evaluated(Reason::NotLocal),
                }
            }
        });
        self.counts.rows += rows as u64;
        Ok(())
    }

    /// What is to be said of all rows.
    fn warnings(&self) -> Vec<String> {
        self.engine.with_dependent(|rules, replay| warnings_of(rules, replay.stats(), self.counts))
    }
}

fn warnings_of(rules: &RuleSet, stats: &Stats, counts: Counts) -> Vec<String> {
    let Counts { rows, judged, echoes } = counts;
    let mut said: Vec<String> =
        rules.unknown_members().into_iter().map(|warning| warning.0).collect();
    said.extend(Unsure::of_any_verdict(stats).texts);
    if stats.open_question() > 0 {
        said.push(format!(
            "{} rows between members of a group denied by an egress rule; the cloud's documents disagree on whether \
             intra-group access goes first: intra_group_egress assumes that it does",
            stats.open_question(),
        ));
    }
    if echoes > 0 {
        said.push(format!(
            "{echoes} of {rows} rows are ICMP without a type, and are taken for echo requests"
        ));
    }
    if judged == 0 && rows > 0 {
        said.push(format!("none of {rows} rows was evaluated: see their reasons"));
    }
    said
}

impl Iterator for Evaluated {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.from.next().map(|batch| self.evaluate(&batch?));
        self.ended = !matches!(next, Some(Ok(_)));
        if next.is_none() {
            let warnings = if self.warns { self.warnings() } else { Vec::new() };
            // Where a warning is an error, the stream ends with it.
            let said = Python::try_attach(|py| error::warn(py, &warnings));
            return said?.err().map(|raised| Err(Raised::arrow(raised)));
        }
        next
    }
}

impl RecordBatchReader for Evaluated {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }
}

/// Judges a tuple whose answer depends on something that is not known, which is counted.
#[cold]
fn weigh(replay: &mut Replay<'_>, flow: FlowTuple, number: u64) -> Judged {
    // A hop limit that shows no router, as flow logs are judged.
    let packet = Packet { flow, tcp_flags: None, fragment: Fragment::No, hop_limit: u8::MAX };
    replay.judge(&Frame::new(number, LinkType::RAW, &[]), &Decoded::Packet(packet))
}

fn of_column(fault: error::ColumnFault) -> ArrowError {
    ArrowError::ExternalError(Box::new(fault))
}

/// The names of the columns that are added.
const ADDED: [&str; 6] = ["direction", "verdict", "reason", "group", "rule", "layer"];

fn with_verdicts(schema: &Schema, prefix: &str) -> Result<SchemaRef, error::ColumnFault> {
    let types = |name: &str| -> DataType {
        match name {
            "group" | "rule" => name_type(),
            _ => word_type(),
        }
    };
    let mut fields: Vec<Arc<Field>> = schema.fields().iter().map(Arc::clone).collect();
    for name in ADDED {
        let column = format!("{prefix}{name}");
        if schema.column_with_name(&column).is_some() {
            let message = format!(
                "the table has a column `{column}` already; prefix=\"sg_\" adds `sg_{name}` and the like beside it"
            );
            return Err(error::ColumnFault { column, row: None, message });
        }
        let nullable = !matches!(name, "verdict" | "reason");
        fields.push(Arc::new(Field::new(column, types(name), nullable)));
    }
    Ok(Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())))
}

/// The values of a batch.
struct Values {
    src: Addresses,
    dst: Addresses,
    proto: Protocols,
    ports: Option<[Numbers<u16>; 2]>,
    icmp: Option<(Numbers<u8>, Option<Numbers<u8>>)>,
    /// Ports are the type and code of ICMP.
    ports_have_icmp: bool,
}

impl Values {
    fn read(
        batch: &RecordBatch,
        columns: &Columns,
        first: u64,
    ) -> Result<Self, error::ColumnFault> {
        let Columns { src, dst, proto, ports, icmp_type, icmp_code, ports_have_icmp } = columns;
        let ports = ports.as_ref().map(|[src, dst]| {
            Ok([Numbers::read(batch, src, first)?, Numbers::read(batch, dst, first)?])
        });
        let icmp = icmp_type.as_ref().map(|kind| {
            let code = icmp_code.as_ref().map(|code| Numbers::read(batch, code, first));
            Ok((Numbers::read(batch, kind, first)?, code.transpose()?))
        });
        Ok(Self {
            src: Addresses::read(batch, src, first)?,
            dst: Addresses::read(batch, dst, first)?,
            proto: Protocols::read(batch, proto, first)?,
            ports: ports.transpose()?,
            icmp: icmp.transpose()?,
            ports_have_icmp: *ports_have_icmp,
        })
    }

    /// The tuple of a row, or why there is none.
    #[inline]
    fn flow(&self, row: usize, echoes: &mut u64) -> Result<FlowTuple, Reason> {
        let ends = (self.src.get(row), self.dst.get(row), self.proto.get(row));
        let (Some(src), Some(dst), Some(proto)) = ends else { return Err(Reason::Truncated) };
        if src.is_ipv4() != dst.is_ipv4() {
            return Err(Reason::Malformed);
        }
        let proto = match proto {
            Named { proto: Protocol::ICMP, is_word: true } if src.is_ipv6() => Protocol::ICMPV6,
            Named { proto, .. } => proto,
        };
        let transport = match proto {
            Protocol::ICMP | Protocol::ICMPV6 => self.icmp(row, proto, echoes),
            _ if proto.has_ports() => {
                let ports = self.ports.as_ref();
                let ports = ports.and_then(|[src, dst]| Some((src.get(row)?, dst.get(row)?)));
                let (src, dst) = ports.ok_or(Reason::Truncated)?;
                Transport::Ports { src, dst }
            }
            _ => Transport::Absent,
        };
        Ok(FlowTuple { src, dst, proto, transport })
    }

    fn icmp(&self, row: usize, proto: Protocol, echoes: &mut u64) -> Transport {
        let of_columns = self.icmp.as_ref().and_then(|(kind, code)| {
            let code = code.as_ref().and_then(|code| code.get(row)).unwrap_or(0);
            Some((kind.get(row)?, code))
        });
        let of_ports = || {
            let [kind, code] = self.ports.as_ref().filter(|_| self.ports_have_icmp)?;
            Some((u8::try_from(kind.get(row)?).ok()?, u8::try_from(code.get(row)?).ok()?))
        };
        let (kind, code) = of_columns.or_else(of_ports).unwrap_or_else(|| {
            *echoes += 1;
            (if proto == Protocol::ICMP { 8 } else { 128 }, 0)
        });
        Transport::Icmp { kind, code, id: None }
    }
}

/// Prepares the judgement of a table's rows.
fn start(
    py: Python<'_>,
    rules: &Rules,
    table: &Bound<'_, PyAny>,
    columns: HashMap<String, String>,
    prefix: &str,
    stop: &Arc<AtomicBool>,
) -> PyResult<Evaluated> {
    let set = rules.rule_set();
    if !set.lists_interfaces() && rules.local.is_empty() {
        return Err(error::plain(
            "the rules list no interfaces, so it is not known which addresses are the instance's: \
             Rules.load(…, local=[\"10.0.0.5\"]) says it",
        ));
    }
    let can = engine::can_judge(&set, &[]);
    can.map_err(|error| error::plain(format!("{}: {error}", rules.file.input.path)))?;
    let names = Names::new(columns)?;
    let from = capsule::import(table)?;
    let evaluated = py.detach(|| Evaluated::new(set, from, &names, prefix, Arc::clone(stop)));
    evaluated.map_err(|error| error::of_arrow(py, &error))
}

/// Judges the rows of a table.
#[pyfunction]
pub(crate) fn evaluate(
    py: Python<'_>,
    rules: &Rules,
    table: &Bound<'_, PyAny>,
    columns: HashMap<String, String>,
    prefix: &str,
    stream: bool,
) -> PyResult<Py<PyAny>> {
    let stop = Arc::new(AtomicBool::new(false));
    let evaluated = start(py, rules, table, columns, prefix, &stop)?;
    if stream {
        return Ok(Py::new(py, Stream::new(Box::new(evaluated)))?.into_any());
    }
    let schema = evaluated.schema();
    let batches = running::watched(py, &stop, move || evaluated.collect::<Result<Vec<_>, _>>())?;
    let batches = batches.map_err(|error| error::of_arrow(py, &error))?;
    Ok(Py::new(py, Table::new(schema, batches))?.into_any())
}
