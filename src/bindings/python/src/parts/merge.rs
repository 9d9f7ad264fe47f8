//! Captures that overlap in time, which one task reads each, and others merge.
#![expect(
    clippy::needless_pass_by_value,
    reason = "lists that Python hands over are extracted into values"
)]

use std::iter;

use arrow_array::cast::AsArray;
use arrow_array::ffi_stream::RecordBatchStreamReader;
use arrow_array::types::{Int8Type, Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use pyo3::prelude::*;
use pyo3::types::PyIterator;
use sgreplay::Error;
use sgreplay::extract::{Piece, Portable};

use super::{Extracting, Halt, PIECE, ROWS, Rows, emit, raised, scope};
use crate::capsule;
use crate::rules::Rules as RulesOfPython;

/// A row of an extract, or a piece of a capture.
struct Row {
    part: i8,
    key: Vec<u8>,
    capture: u32,
    frame: u64,
    data: Vec<u8>,
}

/// The rows of an iterator of tables, one at a time.
struct RowsOfTables<'py> {
    tables: Bound<'py, PyIterator>,
    batches: Option<RecordBatchStreamReader>,
    batch: Option<(RecordBatch, usize)>,
    ahead: Option<Row>,
}

impl RowsOfTables<'_> {
    fn peek(&mut self) -> Result<Option<&Row>, Halt> {
        if self.ahead.is_none() {
            self.ahead = self.read()?;
        }
        Ok(self.ahead.as_ref())
    }

    fn next(&mut self) -> Result<Option<Row>, Halt> {
        self.peek()?;
        Ok(self.ahead.take())
    }

    fn read(&mut self) -> Result<Option<Row>, Halt> {
        loop {
            if let Some((batch, at)) = &mut self.batch
                && *at < batch.num_rows()
            {
                *at += 1;
                return row(batch, *at - 1).map(Some);
            }
            if let Some(batch) = self.batches.as_mut().and_then(Iterator::next) {
                self.batch = Some((batch?, 0));
                continue;
            }
            let Some(table) = self.tables.next() else { return Ok(None) };
            self.batches = Some(capsule::import(&table?)?);
        }
    }
}

fn row(batch: &RecordBatch, at: usize) -> Result<Row, Halt> {
    let read = || {
        let column = |name| batch.column_by_name(name).filter(|of| of.is_valid(at));
        let bytes = |name| Some(column(name)?.as_binary_opt::<i32>()?.value(at).to_vec());
        Some(Row {
            part: column("part")?.as_primitive_opt::<Int8Type>()?.value(at),
            key: bytes("key")?,
            capture: u32::try_from(column("capture")?.as_primitive_opt::<Int32Type>()?.value(at))
                .ok()?,
            frame: u64::try_from(column("frame")?.as_primitive_opt::<Int64Type>()?.value(at))
                .ok()?,
            data: bytes("data")?,
        })
    };
    let wrong = || Error::Question("these are no rows of an extract".to_owned()).into();
    read().ok_or_else(wrong)
}

/// Merges pieces of captures, which come span by span and in their order, and hands over the rows of the extract.
/// Other rows of it are handed on.
#[pyfunction]
pub(crate) fn parts_merge(
    py: Python<'_>,
    rules: Vec<Py<RulesOfPython>>,
    extracting: Extracting,
    tables: &Bound<'_, PyAny>,
    to: Py<PyAny>,
) -> PyResult<()> {
    let merge = || -> Result<(), Halt> {
        let scope = scope(&rules, extracting)?;
        let tables = tables.try_iter()?;
        let mut rows = RowsOfTables { tables, batches: None, batch: None, ahead: None };
        let (mut made, mut count) = (Rows::default(), 0);
        while let Some(first) = rows.peek()? {
            let span = first.capture;
            if first.part != PIECE {
                let Some(Row { part, key, capture, frame, data }) = rows.next()? else { break };
                made.push(part, &key, (capture, frame), &data)?;
                continue;
            }
            let is_of_it = |row: &Row| (row.part, row.capture) == (PIECE, span);
            let pieces = iter::from_fn(|| match rows.peek() {
                Err(halt) => Some(Err(halt)),
                Ok(row) => {
                    row.filter(|row| is_of_it(row))?;
                    let piece = |row: Row| Ok(Piece::from_bytes(&row.data)?);
                    rows.next().transpose().map(|row| row.and_then(piece))
                }
            });
            let facts = scope.merge(span, pieces, |part| {
                made.part(&part)?;
                count += 1;
                if count % ROWS == 0 { emit(&to, made.table()?) } else { Ok(()) }
            })?;
            made.span(&facts)?;
        }
        emit(&to, made.table()?)
    };
    raised(py, merge())
}
