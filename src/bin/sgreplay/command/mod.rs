//! One file per verb.

pub(crate) mod decode;
pub(crate) mod explain;
pub(crate) mod replay;
pub(crate) mod services;

use std::io::{self, BufWriter, StdoutLock};

use sgreplay::report::RowFormat;

use crate::args::Format;
use crate::exit::{ExitStatus, Failure};
use crate::input::Ended;
use crate::terminal;

/// Standard output, buffered.
fn stdout() -> BufWriter<StdoutLock<'static>> {
    BufWriter::with_capacity(1 << 16, io::stdout().lock())
}

/// How rows are written in a format; `None` for text.
fn row_format(format: Format) -> Option<RowFormat> {
    match format {
        Format::Text => None,
        Format::Json => Some(RowFormat::Json),
        Format::Ndjson => Some(RowFormat::Ndjson),
        Format::Csv => Some(RowFormat::Csv),
    }
}

/// Tells the user how reading ended, after the results; the status if nothing else decides it.
fn ended(ended: Ended) -> Result<ExitStatus, Failure> {
    match ended.damage {
        Some(damage) if ended.truncated => {
            terminal::say(&format!("warning: {damage}"));
            Ok(ExitStatus::Done)
        }
        Some(damage) => Err(damage.into()),
        None => Ok(ExitStatus::Done),
    }
}
