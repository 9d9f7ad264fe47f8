//! The rows of a table that is in parts: what the cluster job does on executors, and on the driver.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow_schema::ArrowError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sgreplay::extract::Portable;
use sgreplay::stats::Stats;

use super::{Counts, Evaluated, start, warnings_of};
use crate::error;
use crate::exit::Failure;
use crate::rules::Rules;
use crate::table::Stream;

/// Counts of a part: rows, those that were judged, those that are taken for echo requests, and the statistics.
type Part<'py> = (u64, u64, u64, Bound<'py, PyBytes>);

/// The names of the columns that rows are judged by.
#[pyfunction]
pub(crate) fn rows_columns(
    py: Python<'_>,
    rules: &Rules,
    table: &Bound<'_, PyAny>,
    columns: HashMap<String, String>,
    prefix: &str,
) -> PyResult<Vec<String>> {
    let evaluated = start(py, rules, table, columns, prefix, &Arc::default())?;
    Ok(evaluated.columns.all().map(|column| column.name.clone()).collect())
}

/// Judges the rows of a part, and raises no warnings: what is to be said is said of all parts.
#[pyfunction]
pub(crate) fn rows_evaluate(
    py: Python<'_>,
    rules: &Rules,
    table: &Bound<'_, PyAny>,
    columns: HashMap<String, String>,
    prefix: &str,
) -> PyResult<Stream> {
    let mut evaluated = start(py, rules, table, columns, prefix, &Arc::default())?;
    evaluated.warns = false;
    Ok(Stream::new(Box::new(evaluated)))
}

/// Judges the rows of a part, and only counts.
#[pyfunction]
pub(crate) fn rows_count<'py>(
    py: Python<'py>,
    rules: &Rules,
    table: &Bound<'_, PyAny>,
    columns: HashMap<String, String>,
) -> PyResult<Part<'py>> {
    // No column of the table has this before its name.
    let prefix = "\0";
    let mut evaluated = start(py, rules, table, columns, prefix, &Arc::<AtomicBool>::default())?;
    let counted = py.detach(|| evaluated.count_all());
    let (counts, stats) = counted.map_err(|error| error::of_arrow(py, &error))?;
    let Counts { rows, judged, echoes } = counts;
    let bytes = stats.to_bytes().map_err(|error| error::of_failure(py, error.into()))?;
    Ok((rows, judged, echoes, PyBytes::new(py, &bytes)))
}

/// What is to be said of a table, of which all parts were counted, in their order.
#[pyfunction]
pub(crate) fn rows_warnings(
    py: Python<'_>,
    rules: &Rules,
    parts: Vec<(u64, u64, u64, Vec<u8>)>,
) -> PyResult<Vec<String>> {
    let (mut counts, mut stats) = (Counts::default(), Stats::new(&[]));
    for (rows, judged, echoes, bytes) in parts {
        let part = Stats::from_bytes(&bytes);
        let part = part.map_err(|error| error::of_failure(py, Failure::from(error)))?;
        stats.add_behind(part, counts.rows);
        counts.rows += rows;
        counts.judged += judged;
        counts.echoes += echoes;
    }
    Ok(warnings_of(&rules.rule_set(), &stats, counts))
}

impl Evaluated {
    fn count_all(&mut self) -> Result<(Counts, Stats), ArrowError> {
        while let Some(batch) = self.from.next() {
            self.evaluate(&batch?)?;
        }
        Ok((self.counts, self.engine.with_dependent(|_, replay| replay.stats().sums())))
    }
}
