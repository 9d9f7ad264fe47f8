//! Arrow streams across the border to Python: the only unsafe code of the package.
#![expect(unsafe_code, reason = "the C stream interface hands structures over by their addresses")]

use std::ffi::CStr;

use arrow_array::RecordBatchReader;
use arrow_array::ffi::FFI_ArrowSchema;
use arrow_array::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use arrow_schema::Schema;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::error;

/// The names that the `PyCapsule` interface of Arrow gives its capsules.
const STREAM: &CStr = c"arrow_array_stream";
const SCHEMA: &CStr = c"arrow_schema";

/// Batches as a capsule that any consumer of Arrow streams takes.
pub(crate) fn export(
    py: Python<'_>,
    reader: Box<dyn RecordBatchReader + Send>,
) -> PyResult<Bound<'_, PyCapsule>> {
    // Dropped with the capsule, and then released, unless a consumer has moved it out.
    PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(reader), STREAM)
}

/// A schema as a capsule.
pub(crate) fn export_schema<'py>(
    py: Python<'py>,
    schema: &Schema,
) -> PyResult<Bound<'py, PyCapsule>> {
    let schema = FFI_ArrowSchema::try_from(schema).map_err(|error| error::of_arrow(py, &error))?;
    PyCapsule::new_with_value(py, schema, SCHEMA)
}

/// The batches of an object that is an Arrow stream or makes one (`__arrow_c_stream__`).
pub(crate) fn import(object: &Bound<'_, PyAny>) -> PyResult<RecordBatchStreamReader> {
    let py = object.py();
    let Some(make) = object.getattr_opt("__arrow_c_stream__")? else {
        let kind = object.get_type().fully_qualified_name()?;
        return Err(error::plain(format!(
            "a table is expected, of pyarrow, pandas 2.2, polars, DuckDB or anything else with `__arrow_c_stream__`; \
             this is a `{kind}`"
        )));
    };
    let capsule = make.call0()?.cast_into::<PyCapsule>()?;
    let pointer = capsule.pointer_checked(Some(STREAM))?.cast::<FFI_ArrowArrayStream>();
    // SAFETY: a capsule of this name holds a valid `ArrowArrayStream`, as the interface demands of who makes one, and
    // it lives until `capsule` is dropped at the end of this function; `from_raw` moves it out and leaves a released
    // one, which the capsule's destructor does not release again. The GIL is held, so that nobody else moves it.
    let stream = unsafe { FFI_ArrowArrayStream::from_raw(pointer.as_ptr()) };
    RecordBatchStreamReader::try_new(stream).map_err(|error| error::of_arrow(py, &error))
}
