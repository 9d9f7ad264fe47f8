//! The one error of the library, with the place of what is wrong.

use crate::baseline::AcceptError;
use crate::capture::{CaptureError, CaptureErrorKind, WriteError};
use crate::filter::FilterError;
use crate::parse::ParseError;

/// Why something could not be done. The text names the file and the place; the methods say them apart.
///
/// ```
/// use sgreplay::{ErrorKind, RulesFile, RulesRequest};
///
/// let error = RulesFile::load("captures/web.pcap".as_ref(), &RulesRequest::default()).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Question);
///
/// let error: sgreplay::Error = sgreplay::parse::yaml("rules.yaml", "security_groups:\n- id: [").unwrap_err().into();
/// assert_eq!((error.kind(), error.file()), (ErrorKind::Rules, Some("rules.yaml")));
/// assert_eq!(error.line(), Some(3));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A capture cannot be opened or read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// Rules cannot be read.
    #[error(transparent)]
    Rules(#[from] ParseError),
    /// A filter expression cannot be read.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A file of accepted changes cannot be used.
    #[error(transparent)]
    Accepted(#[from] AcceptError),
    /// A capture cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A file cannot be read, rules and captures do not go together, or they leave a question open: in words, with what
    /// answers it.
    #[error("{0}")]
    Question(String),
}

/// What an [`Error`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A capture that cannot be opened or read.
    Capture,
    /// Rules that cannot be read.
    Rules,
    /// A filter expression.
    Filter,
    /// A file of accepted changes.
    Accepted,
    /// A capture that cannot be written.
    Write,
    /// A question that the inputs leave open.
    Question,
}

impl Error {
    /// What it is about.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Capture(_) => ErrorKind::Capture,
            Self::Rules(_) => ErrorKind::Rules,
            Self::Filter(_) => ErrorKind::Filter,
            Self::Accepted(_) => ErrorKind::Accepted,
            Self::Write(_) => ErrorKind::Write,
            Self::Question(_) => ErrorKind::Question,
        }
    }

    /// The file, or `standard input`.
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::Capture(error) => Some(&error.file),
            Self::Rules(error) => Some(&error.file),
            Self::Accepted(error) => Some(error.file()),
            Self::Write(error) => Some(error.file()),
            Self::Filter(_) | Self::Question(_) => None,
        }
    }

    /// The line of a text file, counted from 1; of several faults, that of the first.
    pub fn line(&self) -> Option<u64> {
        match self {
            Self::Capture(CaptureError {
                kind: CaptureErrorKind::FlowLog { line, .. }, ..
            }) => Some(*line),
            _ => Some(self.position()?.0 as u64),
        }
    }

    /// The column in its line, counted from 1.
    pub fn column(&self) -> Option<u64> {
        Some(self.position()?.1 as u64)
    }

    fn position(&self) -> Option<(usize, usize)> {
        match self {
            Self::Rules(error) => error.faults.first()?.at,
            Self::Accepted(error) => error.position(),
            _ => None,
        }
    }

    /// The frame of a capture, counted from 1.
    pub fn frame(&self) -> Option<u64> {
        match self {
            Self::Capture(error) => error.frame,
            Self::Write(error) => error.frame(),
            _ => None,
        }
    }

    /// Bytes from the start of the uncompressed capture, or of a filter expression, to what is wrong.
    pub fn offset(&self) -> Option<u64> {
        match self {
            Self::Capture(error) => Some(error.offset),
            Self::Filter(error) => Some(error.at.start as u64),
            _ => None,
        }
    }
}
