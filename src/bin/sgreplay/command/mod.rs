//! One file per verb.

pub(crate) mod bench;
pub(crate) mod check;
pub(crate) mod ci;
pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod decode;
pub(crate) mod diff;
pub(crate) mod explain;
pub(crate) mod fix;
pub(crate) mod gate;
pub(crate) mod init;
pub(crate) mod judging;
pub(crate) mod man;
mod positional;
pub(crate) mod replay;
pub(crate) mod scenarios;
pub(crate) mod schema;
pub(crate) mod services;
pub(crate) mod suggest;
pub(crate) mod test;
pub(crate) mod warnings;

use std::io;

use serde::Serialize;
use serde_json::Value;
use sgreplay::escape;
use sgreplay::report::RowFormat;
use sgreplay::sources::Ended;

use crate::args::{Format, SummaryFormat};
use crate::exit::{ExitStatus, Failure};
use crate::output::stdout;
use crate::terminal;

/// The same of what sums up; text and Markdown have no rows.
fn summary_rows(format: SummaryFormat) -> Option<RowFormat> {
    match format {
        SummaryFormat::Text | SummaryFormat::Markdown => None,
        SummaryFormat::Json => Some(RowFormat::Json),
        SummaryFormat::Ndjson => Some(RowFormat::Ndjson),
        SummaryFormat::Csv => Some(RowFormat::Csv),
    }
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

/// A summary as JSON, with lists added to it.
pub(crate) fn with<const N: usize>(
    summary: &impl Serialize,
    lists: [(&str, Vec<Value>); N],
) -> Result<Value, Failure> {
    let mut object = serde_json::to_value(summary).map_err(io::Error::from)?;
    if let Some(object) = object.as_object_mut() {
        object.extend(lists.map(|(key, list)| (key.to_owned(), list.into())));
    }
    Ok(object)
}

/// A value as JSON, for people who look and programs that read.
fn pretty(value: &impl Serialize) -> Result<String, Failure> {
    Ok(escape::pretty_json(value).map_err(io::Error::from)?)
}

/// Tells the user how reading ended, after the results; the status if nothing else decides it.
fn ended(ended: &Ended) -> Result<ExitStatus, Failure> {
    let (truncated, damaged): (Vec<_>, Vec<_>) =
        ended.damage.iter().partition(|damage| damage.is_truncation());
    for damage in truncated {
        terminal::say(&format!("warning: {damage}"));
    }
    let mut damaged = damaged.into_iter();
    let first = damaged.next();
    for damage in damaged {
        terminal::say(&format!("error: {damage}"));
    }
    first.map_or(Ok(ExitStatus::Done), |damage| Err(Failure::Usage(damage.to_string())))
}
