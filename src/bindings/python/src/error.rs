//! Exceptions and warnings.

use std::sync::Arc;

use arrow_schema::ArrowError;
use pyo3::exceptions::{PyException, PyUserWarning};
use pyo3::prelude::*;
use pyo3::{PyTypeInfo, create_exception};
use sgreplay::capture::CaptureError as EngineCaptureError;
use sgreplay::parse::{Fault, ParseError};
use sgreplay::{Error as EngineError, ErrorKind};

use crate::exit::Failure;

create_exception!(
    sgreplay,
    Error,
    PyException,
    "Why something could not be done. `file`, `line`, `column`, `frame`, `offset` say where, and are None where that \
     does not apply."
);
create_exception!(
    sgreplay,
    RulesError,
    Error,
    "Rules that cannot be read, with the `file`, `line` and `column` of the first fault; `faults` has all of them, as \
     (line, column, message)."
);
create_exception!(
    sgreplay,
    CaptureError,
    Error,
    "A capture that cannot be read, or not to its end: the `file`, and, where it is damaged, the `frame` (from 1) and the \
     `offset` of its record (bytes from the start). `partial` is the result of what comes before the damage."
);
create_exception!(
    sgreplay,
    ColumnError,
    Error,
    "A column of a table that is missing, ambiguous or holds something else: `column` names it, `row` counts from 0."
);
create_exception!(
    sgreplay,
    NoFullAnswer,
    Error,
    "The input does not allow a full answer to the question whether a condition holds: a gate must not pass."
);
create_exception!(
    sgreplay,
    SgreplayWarning,
    PyUserWarning,
    "Something that results should not be read without."
);

/// Attributes of exceptions, None unless set.
const ATTRIBUTES: [&str; 5] = ["file", "line", "column", "frame", "offset"];

/// Adds the classes to the module.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let error = Error::type_object(py);
    for attribute in ATTRIBUTES {
        error.setattr(attribute, py.None())?;
    }
    RulesError::type_object(py).setattr("faults", py.None())?;
    CaptureError::type_object(py).setattr("partial", py.None())?;
    ColumnError::type_object(py).setattr("row", py.None())?;
    for class in [
        error,
        RulesError::type_object(py),
        CaptureError::type_object(py),
        ColumnError::type_object(py),
        NoFullAnswer::type_object(py),
        SgreplayWarning::type_object(py),
    ] {
        module.add(class.name()?, class)?;
    }
    Ok(())
}

/// An error that is about no place.
pub(crate) fn plain(message: impl Into<String>) -> PyErr {
    Error::new_err(message.into())
}

/// The exception for a failure of the program.
pub(crate) fn of_failure(py: Python<'_>, failure: Failure) -> PyErr {
    let message = failure.to_string();
    of_error(
        py,
        message,
        match failure {
            Failure::Capture(error) => error.into(),
            Failure::Rules(error) => error.into(),
            Failure::Filter(error) => error.into(),
            Failure::Accepted(error) => error.into(),
            Failure::Write(error) => error.into(),
            failure => return plain(failure.to_string()),
        },
    )
}

/// The exception for an error of the library.
fn of_error(py: Python<'_>, message: String, error: EngineError) -> PyErr {
    let raised = match error.kind() {
        ErrorKind::Capture => CaptureError::new_err(message),
        ErrorKind::Rules | ErrorKind::Accepted => RulesError::new_err(message),
        _ => Error::new_err(message),
    };
    let set = || -> PyResult<()> {
        let value = raised.value(py);
        value.setattr("file", error.file())?;
        value.setattr("line", error.line())?;
        value.setattr("column", error.column())?;
        value.setattr("frame", error.frame())?;
        value.setattr("offset", error.offset())?;
        if let EngineError::Rules(ParseError { faults, .. }) = error {
            let fault = |Fault { at, message }| {
                let (line, column) = Option::unzip(at);
                (line, column, message)
            };
            let faults: Vec<(Option<usize>, Option<usize>, String)> =
                faults.into_iter().map(fault).collect();
            value.setattr("faults", faults)?;
        }
        Ok(())
    };
    match set() {
        Ok(()) => raised,
        Err(error) => error,
    }
}

/// The first damage that is no mere breaking off, which a warning tells of.
pub(crate) fn damage(of: Vec<EngineCaptureError>) -> Option<EngineCaptureError> {
    of.into_iter().find(|damage| !damage.is_truncation())
}

/// Raises damage, with the result of what comes before it.
pub(crate) fn raise_damage(
    damage: Option<EngineCaptureError>,
    partial: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let Some(damage) = damage else { return Ok(()) };
    let raised = of_failure(partial.py(), damage.into());
    raised.value(partial.py()).setattr("partial", partial)?;
    Err(raised)
}

/// The exception for a fault of a column.
pub(crate) fn of_column(py: Python<'_>, fault: &ColumnFault) -> PyErr {
    let ColumnFault { column, row, message } = fault;
    let raised = ColumnError::new_err(message.clone());
    let set = || -> PyResult<()> {
        let value = raised.value(py);
        value.setattr("column", column)?;
        value.setattr("row", *row)
    };
    match set() {
        Ok(()) => raised,
        Err(error) => error,
    }
}

/// What is wrong with a column.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ColumnFault {
    pub(crate) column: String,
    pub(crate) row: Option<u64>,
    pub(crate) message: String,
}

/// An exception that travels through a stream of Arrow, of which consumers in Python see the exception itself and
/// others its text.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Raised(pub(crate) Arc<PyErr>);

impl Raised {
    /// The error of a stream for an exception.
    pub(crate) fn arrow(error: PyErr) -> ArrowError {
        ArrowError::ExternalError(Box::new(Self(Arc::new(error))))
    }
}

/// The exception for an error of Arrow.
pub(crate) fn of_arrow(py: Python<'_>, error: &ArrowError) -> PyErr {
    if let ArrowError::ExternalError(inner) = error {
        if let Some(Raised(raised)) = inner.downcast_ref() {
            return raised.clone_ref(py);
        }
        if let Some(fault) = inner.downcast_ref() {
            return of_column(py, fault);
        }
    }
    plain(error.to_string())
}

/// Raises warnings of Python; an error where the user has made errors of them.
pub(crate) fn warn(py: Python<'_>, warnings: &[String]) -> PyResult<()> {
    let class = SgreplayWarning::type_object(py);
    let module = py.import("warnings")?;
    for warning in warnings {
        // Of the code that calls the package: its own function is between.
        module.call_method1("warn", (warning, &class, 2))?;
    }
    Ok(())
}
