//! How the program ends.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use sgreplay::Error;
use sgreplay::baseline::AcceptError;
use sgreplay::capture::{CaptureError, WriteError};
use sgreplay::filter::FilterError;
use sgreplay::parse::ParseError;

use crate::output;

/// The exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// 0: done.
    Done,
    /// 1: a condition asked for with `--fail-on` holds.
    Failed,
    /// 2: could not do it.
    CouldNot,
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        match status {
            ExitStatus::Done => Self::SUCCESS,
            ExitStatus::Failed => Self::from(1),
            ExitStatus::CouldNot => Self::from(2),
        }
    }
}

/// Why the program could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Standard output was closed.
    #[error("standard output is closed")]
    ClosedPipe,
    #[error("standard output: {0}")]
    Output(io::Error),
    #[error(transparent)]
    Capture(#[from] CaptureError),
    #[error(transparent)]
    Write(WriteError),
    #[error("{0}")]
    Rules(#[from] ParseError),
    #[error("--filter: {0}")]
    Filter(#[from] FilterError),
    #[error("{0}")]
    Accepted(#[from] AcceptError),
    #[error("{0}")]
    Usage(String),
    /// A file of another kind, and what one of the right kind looks like.
    #[error("{message}")]
    Foreign { message: String, example: &'static str },
    /// Standard error goes into a file that is read, so that nothing may be said there.
    #[error("{0}")]
    StandardError(String),
}

impl Failure {
    /// Whether the message has lines of its own, in which names are escaped already.
    pub(crate) fn is_in_lines(&self) -> bool {
        matches!(self, Self::Rules(_) | Self::Filter(_) | Self::Accepted(_))
    }

    /// A short file of the kind that is expected, where the one that was read is empty or of another kind.
    pub(crate) fn example(&self) -> Option<&'static str> {
        match self {
            Self::Rules(error) => error.example,
            Self::Accepted(error) => error.example(),
            Self::Foreign { example, .. } => Some(example),
            _ => None,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Capture(error) => Self::Capture(error),
            Error::Rules(error) => Self::Rules(error),
            Error::Filter(error) => Self::Filter(error),
            Error::Accepted(error) => Self::Accepted(error),
            Error::Write(error) => error.into(),
            other => Self::Usage(other.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedPipe,
            _ => Self::Output(error),
        }
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Io { path, error } if output::is_stdout(Path::new(&path)) => error.into(),
            error => Self::Write(error),
        }
    }
}
