//! A replay in parts: what the cluster job does on executors, and on the driver.
#![expect(
    clippy::needless_pass_by_value,
    reason = "lists that Python hands over are extracted into values"
)]

mod compare;
mod learn;
mod merge;

use std::io::{self, Read};
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, Int8Builder, Int32Builder, Int64Builder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sgreplay::arrow::{ConnectionColumns, Vocabulary, connection_schema};
use sgreplay::collect::{Connections, RowPart};
use sgreplay::decode::Tunnels;
use sgreplay::engine::{self, CapturePoint, Local};
use sgreplay::extract::{
    Asked, CaptureFacts, CapturePoints, Extracted, FlowJudge, FragmentRecord, LostFragments, Part,
    Piece, Portable, Record, Scope, SpanFacts, Timeline, Whole,
};
use sgreplay::labels::Labels;
use sgreplay::replay::{Midstream, Options};
use sgreplay::report::{CoverageReport, Inputs, Summary};
use sgreplay::rules::RuleSet;
use sgreplay::sources::{Ended, Order};
use sgreplay::suggest::Wants;
use sgreplay::{Error, SourceOptions, Sources};

use crate::command::replay::warnings;
use crate::command::warnings::{Unseen, dropped};
use crate::exit::Failure;
use crate::rules::Rules;
use crate::table::Table;
use crate::{capsule, error, table};

pub(crate) use compare::{parts_check_both, parts_compare, parts_compared};
pub(crate) use learn::{parts_check_suggest, parts_suggest};
pub(crate) use merge::parts_merge;

/// Rows of a batch that goes to Spark.
const ROWS: usize = 1 << 13;

/// The kinds of an extract's rows.
const RECORD: i8 = 0;
const FRAGMENT: i8 = 1;
const FACTS: i8 = 2;
/// Of captures that overlap: pieces of them, which are merged before an extract has its rows, and what is known of a
/// span of time.
const PIECE: i8 = 3;
const SPAN: i8 = 4;
/// Pieces of a batch that goes to Spark. Each has many frames.
const PIECES: usize = 1 << 8;

/// Why a call ends.
enum Halt {
    Failed(Failure),
    Raised(PyErr),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<ArrowError> for Halt {
    fn from(error: ArrowError) -> Self {
        Self::Failed(Failure::Usage(error.to_string()))
    }
}

impl From<PyErr> for Halt {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

fn raised<T>(py: Python<'_>, result: Result<T, Halt>) -> PyResult<T> {
    result.map_err(|halt| match halt {
        Halt::Failed(failure) => error::of_failure(py, failure),
        Halt::Raised(error) => error,
    })
}

/// Bytes that Python hands over piece by piece.
struct Pieces {
    iterator: Py<PyAny>,
    piece: Vec<u8>,
    taken: usize,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.piece.len() {
            let next = Python::attach(|py| -> PyResult<Option<Vec<u8>>> {
                let next = self.iterator.bind(py).try_iter()?.next().transpose()?;
                next.map(|piece| Ok(piece.cast::<PyBytes>()?.as_bytes().to_vec())).transpose()
            });
            match next.map_err(io::Error::other)? {
                None => return Ok(0),
                Some(piece) => (self.piece, self.taken) = (piece, 0),
            }
        }
        let rest = self.piece.get(self.taken..).unwrap_or_default();
        let read = (&*rest).read(into)?;
        self.taken += read;
        Ok(read)
    }
}

/// Rows of an extract under way.
#[derive(Default)]
struct Rows {
    part: Int8Builder,
    key: BinaryBuilder,
    capture: Int32Builder,
    frame: Int64Builder,
    data: BinaryBuilder,
}

impl Rows {
    fn push(
        &mut self,
        part: i8,
        key: &[u8],
        (capture, frame): (u32, u64),
        data: &[u8],
    ) -> Result<(), Halt> {
        let too_many = |_| Error::Question("an extract has no number for so many".to_owned());
        self.part.append_value(part);
        self.key.append_value(key);
        self.capture.append_value(i32::try_from(capture).map_err(too_many)?);
        self.frame.append_value(i64::try_from(frame).map_err(too_many)?);
        self.data.append_value(data);
        Ok(())
    }

    fn record(&mut self, record: &Record) -> Result<(), Halt> {
        let at = (record.capture, record.frame());
        self.push(RECORD, &record.key.to_bytes()?, at, &record.to_bytes()?)
    }

    fn part(&mut self, part: &Extracted) -> Result<(), Halt> {
        match part {
            Extracted::Record(record) => self.record(record),
            Extracted::Fragment(of) => {
                self.push(FRAGMENT, &[], (of.capture, of.frame()), &of.to_bytes()?)
            }
        }
    }

    fn facts(&mut self, facts: &CaptureFacts) -> Result<(), Halt> {
        self.push(FACTS, &[], (facts.capture, 0), &facts.to_bytes()?)
    }

    fn piece(&mut self, piece: &Piece) -> Result<(), Halt> {
        self.push(PIECE, &piece.order(), (piece.span(), 0), &piece.to_bytes()?)
    }

    fn span(&mut self, facts: &SpanFacts) -> Result<(), Halt> {
        self.push(SPAN, &[], (facts.span, 0), &facts.to_bytes()?)
    }

    fn table(&mut self) -> Result<Table, Halt> {
        let field = |name: &str, of: DataType| Field::new(name, of, false);
        let schema = Arc::new(Schema::new(vec![
            field("part", DataType::Int8),
            field("key", DataType::Binary),
            field("capture", DataType::Int32),
            field("frame", DataType::Int64),
            field("data", DataType::Binary),
        ]));
        let batch = RecordBatch::try_new(
            Arc::clone(&schema),
            vec![
                Arc::new(self.part.finish()),
                Arc::new(self.key.finish()),
                Arc::new(self.capture.finish()),
                Arc::new(self.frame.finish()),
                Arc::new(self.data.finish()),
            ],
        )?;
        Ok(Table::new(schema, vec![batch]))
    }
}

fn emit(to: &Py<PyAny>, table: Table) -> Result<(), Halt> {
    Python::attach(|py| to.call1(py, (table,)).map(drop)).map_err(Halt::Raised)
}

fn bound(rules: &Rules) -> Result<(RuleSet, Local), Error> {
    let mut set = rules.file.rules.clone();
    let local = engine::bind_known(&mut set, &rules.local)?;
    Ok((set, local))
}

fn tunnels(names: &[String]) -> Result<Tunnels, Error> {
    let mut tunnels = Tunnels::default();
    for name in names {
        let wrong = |error| Error::Question(format!("--decap {name}: {error}"));
        tunnels.add(name).map_err(wrong)?;
    }
    Ok(tunnels)
}

fn order(name: &str) -> Result<Order, Error> {
    match name {
        "time" => Ok(Order::Time),
        "as-named" => Ok(Order::AsNamed),
        _ => Err(Error::Question(format!("an order is `time` or `as-named`, and not `{name}`"))),
    }
}

fn options(midstream: &str) -> Result<Options, Error> {
    let midstream = match midstream {
        "infer" => Midstream::Infer,
        "first-packet" => Midstream::FirstPacket,
        _ => {
            let message = format!("midstream is `infer` or `first-packet`, and not `{midstream}`");
            return Err(Error::Question(message));
        }
    };
    Ok(Options::default().with_midstream(midstream))
}

/// Where captures were made: interfaces, each with a capture or a name in pcapng, and the number of the capture if it is
/// one.
type Points = Vec<(String, String, Option<u32>)>;

fn points(given: Points) -> CapturePoints {
    let point = |(interface, source, capture)| (CapturePoint { interface, source }, capture);
    given.into_iter().map(point).collect()
}

/// Says whether rules and options can be replayed in parts. Of an extract it is known later where its captures were made,
/// and so whether it serves the rules.
#[pyfunction]
pub(crate) fn parts_check(
    py: Python<'_>,
    rules: &Rules,
    extracting: Option<Extracting>,
    order_by: &str,
    midstream: &str,
) -> PyResult<()> {
    let check = || -> Result<(), Halt> {
        let (set, _) = bound(rules)?;
        if let Some((decap, captures, given)) = extracting {
            Scope::made_at(&set, tunnels(&decap)?, captures, points(given))?;
        }
        order(order_by)?;
        options(midstream)?;
        Ok(())
    };
    raised(py, check())
}

/// What an extract for one rule set or several depends on.
fn scope(rules: &[Py<Rules>], (decap, captures, given): Extracting) -> Result<Scope, Error> {
    let points = points(given);
    let mut scope: Option<Scope> = None;
    for rules in rules {
        let (set, _) = bound(rules.get())?;
        scope = Some(match scope {
            None => Scope::made_at(&set, tunnels(&decap)?, captures, points.clone())?,
            Some(scope) => scope.and(&set)?,
        });
    }
    scope.ok_or_else(|| Error::Question("rules say what is local, and there are none".to_owned()))
}

/// How captures are extracted: names of tunnels, how many captures there are, and where they were made.
type Extracting = (Vec<String>, u32, Points);

/// Extracts one capture, whose bytes come in pieces, for one rule set or several, and hands over the rows; those of captures
/// that may overlap have yet to be merged.
#[pyfunction]
pub(crate) fn parts_extract(
    py: Python<'_>,
    rules: Vec<Py<Rules>>,
    extracting: Extracting,
    overlapping: bool,
    capture: (u32, String),
    pieces: Py<PyAny>,
    to: Py<PyAny>,
) -> PyResult<()> {
    let extract = move || -> Result<(), Halt> {
        let (capture, name) = capture;
        let tunnels = tunnels(&extracting.0)?;
        let scope = scope(&rules, extracting)?;
        let flow_logs = scope.flow_logs();
        let options = SourceOptions { tunnels, flow_logs, ..SourceOptions::default() };
        let bytes = Pieces { iterator: pieces, piece: Vec::new(), taken: 0 };
        let sources = Sources::from_reader(&name, Box::new(bytes), options).map_err(Error::from)?;
        let (mut rows, mut count) = (Rows::default(), 0);
        let mut emit_of = |rows: &mut Rows, at_once| {
            count += 1;
            if count % at_once == 0 { emit(&to, rows.table()?) } else { Ok(()) }
        };
        let facts = if overlapping {
            scope.pieces(capture, sources, |piece| {
                rows.piece(&piece)?;
                emit_of(&mut rows, PIECES)
            })?
        } else {
            scope.extract(capture, sources, |part| {
                rows.part(&part)?;
                emit_of(&mut rows, ROWS)
            })?
        };
        rows.facts(&facts)?;
        emit(&to, rows.table()?)
    };
    let extracted = py.detach(extract);
    raised(py, extracted)
}

fn facts_of(bytes: &[Vec<u8>]) -> Result<Vec<CaptureFacts>, Error> {
    bytes.iter().map(|of| CaptureFacts::from_bytes(of)).collect()
}

/// Says which captures overlap in time, if some do that were not extracted so.
#[pyfunction]
pub(crate) fn parts_overlap(
    py: Python<'_>,
    facts: Vec<Vec<u8>>,
    order_by: &str,
) -> PyResult<Option<String>> {
    let overlap =
        || -> Result<_, Halt> { Ok(Timeline::overlap(&facts_of(&facts)?, order(order_by)?)) };
    raised(py, overlap())
}

/// Everything that is known when all captures are extracted: the timeline, the lost fragments, the completed ones as rows,
/// and the frames before each capture or span.
type Plan<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>, Table, Vec<(u32, u64)>);

/// Puts captures in order and completes fragments.
#[pyfunction]
pub(crate) fn parts_plan<'py>(
    py: Python<'py>,
    facts: Vec<Vec<u8>>,
    spans: Vec<Vec<u8>>,
    fragments: Vec<Vec<u8>>,
    order_by: &str,
) -> PyResult<Plan<'py>> {
    let plan = || -> Result<_, Halt> {
        let facts = facts_of(&facts)?;
        let spans = spans.iter().map(|of| SpanFacts::from_bytes(of));
        let spans = spans.collect::<Result<Vec<_>, _>>()?;
        let fragments: Result<Vec<_>, _> =
            fragments.iter().map(|of| FragmentRecord::from_bytes(of)).collect();
        let timeline = match (facts.iter().any(CaptureFacts::are_of_pieces), order(order_by)?) {
            (false, order) => Timeline::new(facts, order)?,
            (true, Order::Time) => Timeline::merged(facts, spans)?,
            (true, Order::AsNamed) => {
                let message = "the extract has its captures merged by time; for the order in which they are named, extract \
                               them without `overlapping`";
                return Err(Error::Question(message.to_owned()).into());
            }
        };
        let (records, lost) = timeline.complete(fragments?);
        let mut rows = Rows::default();
        records.iter().try_for_each(|record| rows.record(record))?;
        let before = timeline.before().collect();
        Ok((timeline.to_bytes()?, lost.to_bytes()?, rows.table()?, before))
    };
    let (timeline, lost, completed, before) = raised(py, plan())?;
    Ok((PyBytes::new(py, &timeline), PyBytes::new(py, &lost), completed, before))
}

/// What is asked for: rows, coverage, and of allowed connections whether they are answered and when they were opened.
type Asks = (bool, bool, Option<(bool, bool)>);

fn asked((rows, coverage, observed): Asks) -> Asked {
    let wants = |(answers, times)| Wants { answers, times, selection: false };
    Asked { rows, coverage, observed: observed.map(wants) }
}

/// What the judges say of all flows, as bytes.
#[derive(Debug, FromPyObject)]
pub(crate) struct Judged(Vec<u8>, Vec<u8>, Vec<Vec<u8>>);

impl Judged {
    fn read(&self) -> Result<(Timeline, LostFragments, Vec<Part>), Error> {
        let Self(timeline, lost, parts) = self;
        let parts = parts.iter().map(|of| Part::from_bytes(of)).collect::<Result<_, _>>()?;
        Ok((Timeline::from_bytes(timeline)?, LostFragments::from_bytes(lost)?, parts))
    }
}

/// Hands over the records of tables, some at a time.
fn each_record(
    tables: &Bound<'_, PyAny>,
    mut each: impl FnMut(&[Record]) -> Result<(), Halt>,
) -> Result<(), Halt> {
    for table in tables.try_iter()? {
        for batch in capsule::import(&table?)? {
            let batch = batch?;
            let data = batch.column_by_name("data").and_then(|of| of.as_binary_opt::<i32>());
            let data = data.filter(|of| of.null_count() == 0).ok_or_else(|| {
                Error::Question("an extract has the column `data`, of bytes".to_owned())
            })?;
            let records = data.iter().flatten().map(Record::from_bytes);
            each(&records.collect::<Result<Vec<_>, _>>()?)?;
        }
    }
    Ok(())
}

/// Judges records, flow by flow, of an iterator of tables; hands over the rows of connections, and returns the rest.
#[pyfunction]
pub(crate) fn parts_judge<'py>(
    py: Python<'py>,
    rules: &Rules,
    timeline: &[u8],
    midstream: &str,
    asks: Asks,
    tables: &Bound<'py, PyAny>,
    to: Py<PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let judge = || -> Result<Vec<u8>, Halt> {
        let (set, _) = bound(rules)?;
        let timeline = Timeline::from_bytes(timeline)?;
        let judge = FlowJudge::new(&set, &timeline, options(midstream)?)?;
        let mut judge = judge.asked(asked(asks))?;
        let (labels, vocabulary) = (Labels::new(&set), Vocabulary::new(&set));
        let mut columns = ConnectionColumns::new(&vocabulary, ROWS);
        let add = |columns: &mut ConnectionColumns, rows: &mut Connections| {
            columns.add(rows, RowPart::All, &labels, |batch| {
                emit(&to, Table::new(connection_schema(), vec![batch]))
            })
        };
        each_record(tables, |records| {
            for record in records {
                judge.judge(record);
            }
            add(&mut columns, &mut judge.take_rows())
        })?;
        let (mut rows, part) = judge.finish_rows();
        add(&mut columns, &mut rows)?;
        if !columns.is_empty() {
            emit(&to, Table::new(connection_schema(), vec![columns.finish()?]))?;
        }
        Ok(part.to_bytes()?)
    };
    let part = raised(py, judge())?;
    Ok(PyBytes::new(py, &part))
}

/// Puts the answers together: the summary, and the rows of connections that several judges may have.
#[pyfunction]
pub(crate) fn parts_whole<'py>(
    py: Python<'py>,
    rules: &Rules,
    judged: Judged,
    midstream: &str,
    coverage: bool,
) -> PyResult<(Bound<'py, PyAny>, Table)> {
    let whole = || -> Result<(String, Table), Halt> {
        let (set, local) = bound(rules)?;
        let (timeline, lost, parts) = judged.read()?;
        let asked = asked((true, coverage, None));
        let mut whole = Whole::new(&set, &timeline, &lost, parts, options(midstream)?, asked)?;
        let captures = timeline.inputs().to_vec();
        let ended = Ended { inputs: captures.clone(), ..Ended::default() };
        let labels = Labels::new(&set);
        let mut warnings = warnings(&set, &whole.replay, &ended, &local);
        warnings.extend(Unseen::new(timeline.unseen()).warnings());
        let inputs = Inputs { rules: rules.file.input.clone(), captures };
        let mut summary = Summary::new(&set, &whole.replay, inputs, local, warnings)
            .with_decided(&whole.replay, &labels);
        let dropped = dropped(&ended);
        let coverage = whole.coverage.as_ref();
        let coverage = coverage.map(|of| CoverageReport::new(&set, &labels, of, dropped));
        summary.coverage = coverage.as_ref().map(CoverageReport::json);
        let mut columns = ConnectionColumns::new(&Vocabulary::new(&set), usize::MAX);
        columns.add(&mut whole.connections, RowPart::All, &labels, |_| Ok::<(), Halt>(()))?;
        let rows = Table::new(connection_schema(), vec![columns.finish()?]);
        let text = serde_json::to_string(&summary);
        Ok((text.map_err(|error| Failure::Usage(error.to_string())).map_err(Halt::Failed)?, rows))
    };
    let (text, rows) = raised(py, whole())?;
    Ok((table::of_json(py, &text)?, rows))
}
