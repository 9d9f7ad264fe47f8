//! Results as Python sees them: tables, and streams of batches.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use arrow_array::{RecordBatch, RecordBatchIterator, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::error::Raised;
use crate::{capsule, error};

/// A table in memory, as Arrow record batches.
///
/// `pyarrow.table(t)`, `polars.DataFrame(t)`, `pandas.DataFrame.from_arrow(t)` and, in `DuckDB`'s SQL, `FROM t` take it
/// without copying.
#[pyclass(frozen, module = "sgreplay")]
#[derive(Debug)]
pub(crate) struct Table {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl Table {
    pub(crate) fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        Self { schema, batches }
    }

    fn reader(&self) -> Box<dyn RecordBatchReader + Send> {
        let batches = self.batches.clone().into_iter().map(Ok);
        Box::new(RecordBatchIterator::new(batches, SchemaRef::clone(&self.schema)))
    }
}

#[pymethods]
impl Table {
    /// The batches as an Arrow stream.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // The interface allows to leave the request aside: who asks casts.
        let _ = requested_schema;
        capsule::export(py, self.reader())
    }

    /// The schema as an Arrow schema.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        capsule::export_schema(py, &self.schema)
    }

    fn __len__(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    fn __repr__(&self) -> String {
        format!("<sgreplay.Table: {} rows, {}>", self.__len__(), self.column_names().join(", "))
    }

    /// The names of the columns, in order.
    #[getter]
    fn column_names(&self) -> Vec<String> {
        names(&self.schema)
    }

    /// The number of rows.
    #[getter]
    fn num_rows(&self) -> usize {
        self.__len__()
    }

    /// As a `pyarrow.Table`.
    fn to_pyarrow<'py>(slf: Bound<'py, Self>, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("pyarrow")?.call_method1("table", (slf,))
    }

    /// As a `pandas.DataFrame`; needs pyarrow too.
    fn to_pandas<'py>(slf: Bound<'py, Self>, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Self::to_pyarrow(slf, py)?.call_method0("to_pandas")
    }

    /// As a `polars.DataFrame`.
    fn to_polars<'py>(slf: Bound<'py, Self>, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("polars")?.call_method1("DataFrame", (slf,))
    }
}

fn names(schema: &SchemaRef) -> Vec<String> {
    schema.fields().iter().map(|field| field.name().clone()).collect()
}

/// Record batches that are made as they are taken: once, and within bounded memory.
///
/// Iterating gives tables of one batch each; `pyarrow.RecordBatchReader.from_stream(s)` and anything else that takes
/// Arrow streams takes the rest.
#[pyclass(frozen, module = "sgreplay")]
pub(crate) struct Stream {
    schema: SchemaRef,
    reader: Mutex<Option<Box<dyn RecordBatchReader + Send>>>,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Stream {
    pub(crate) fn new(reader: Box<dyn RecordBatchReader + Send>) -> Self {
        Self { schema: reader.schema(), reader: Mutex::new(Some(reader)) }
    }

    fn next(&self) -> Option<Result<RecordBatch, ArrowError>> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let next = reader.as_mut()?.next();
        if !matches!(next, Some(Ok(_))) {
            // What it holds is free once it has ended, and nothing follows an error.
            *reader = None;
        }
        next
    }
}

/// A stream in the hands of a consumer that is no Python, and knows errors as texts alone.
struct Foreign(Box<dyn RecordBatchReader + Send>);

impl Iterator for Foreign {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.0.next();
        let Some(Err(ArrowError::ExternalError(error))) = &next else { return next };
        let Some(Raised(raised)) = error.downcast_ref() else { return next };
        // Before the interrupt: writing an exception runs Python, where the interrupt would end the writing instead of
        // the caller.
        let text = raised.to_string();
        // The consumer has an error of its own for the text; the interrupt comes behind it, as soon as Python goes on.
        Python::try_attach(|py| match raised.is_instance_of::<PyKeyboardInterrupt>(py) {
            true => py.import("_thread")?.call_method0("interrupt_main").map(drop),
            false => Ok(()),
        });
        Some(Err(ArrowError::ExternalError(text.into())))
    }
}

impl RecordBatchReader for Foreign {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }
}

#[pymethods]
impl Stream {
    /// What is left as an Arrow stream, which can be taken once.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let _ = requested_schema;
        let reader =
            py.detach(|| self.reader.lock().unwrap_or_else(PoisonError::into_inner).take());
        let consumed = || error::plain("the stream was taken already; ask for a new one");
        capsule::export(py, Box::new(Foreign(reader.ok_or_else(consumed)?)))
    }

    /// The schema as an Arrow schema.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        capsule::export_schema(py, &self.schema)
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Table>> {
        match py.detach(|| self.next()) {
            None => Ok(None),
            Some(Ok(batch)) => Ok(Some(Table::new(SchemaRef::clone(&self.schema), vec![batch]))),
            Some(Err(error)) => Err(error::of_arrow(py, &error)),
        }
    }

    fn __repr__(&self) -> String {
        format!("<sgreplay.Stream: {}>", self.column_names().join(", "))
    }

    /// The names of the columns, in order.
    #[getter]
    fn column_names(&self) -> Vec<String> {
        names(&self.schema)
    }

    /// What is left as a `pyarrow.RecordBatchReader`.
    fn to_pyarrow<'py>(slf: Bound<'py, Self>, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("pyarrow")?.getattr("RecordBatchReader")?.call_method1("from_stream", (slf,))
    }
}

/// JSON as the objects of Python's own reader.
pub(crate) fn of_json<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("json")?.call_method1("loads", (text,))
}
