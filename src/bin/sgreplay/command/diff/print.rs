//! A comparison as text, Markdown and JSON.

use std::io::Write;

use serde_json::Value;
use sgreplay::collect::Changed;
use sgreplay::diff::Turned;
use sgreplay::escape::{self, Text};
use sgreplay::report::{
    DiffJson, DiffSummary, REGION_COLUMNS, RowFormat, Rows, diff_markdown, diff_text, region_rows,
    regions_json, regions_markdown, regions_text,
};

use super::Compared;
use super::args::DiffArgs;
use crate::args::SummaryFormat;
use crate::command::{pretty, summary_rows, with};
use crate::exit::Failure;
use crate::output::stdout;
use crate::terminal;

pub(super) fn print(args: &DiffArgs, compared: &Compared<'_>) -> Result<(), Failure> {
    let mut out = stdout();
    match (summary_rows(args.format), compared) {
        (None, _) if args.format == SummaryFormat::Markdown => {
            write!(out, "{}", markdown(compared))?;
        }
        (None, _) => write!(out, "{}", terminal::results(text(compared)))?,
        (Some(RowFormat::Json), Compared::Rules { .. }) => {
            write!(out, "{}", pretty(&json(compared)?)?)?;
        }
        (Some(RowFormat::Json), Compared::Traffic { summary, turned, changed, .. }) => {
            escape::write_pretty_json(&mut out, &with_changes(summary, turned, changed)?)?;
        }
        (Some(format), Compared::Rules { summary, turned, labels, .. }) => {
            let mut rows = Rows::new(out, format, "region", &REGION_COLUMNS)?;
            region_rows(turned, *labels, &mut rows)?;
            return Ok(rows.finish(summary)?);
        }
        (Some(_), Compared::Traffic { summary, rows, .. }) => {
            return Ok(rows.take().map_or(Ok(()), |rows| rows.finish(summary))?);
        }
    }
    Ok(out.flush()?)
}

/// For a comment on a change.
fn markdown(compared: &Compared<'_>) -> String {
    match compared {
        Compared::Rules { summary, turned, labels, .. } => {
            regions_markdown(summary, turned, *labels)
        }
        Compared::Traffic { summary, diff, turned, changed, .. } => {
            diff_markdown(summary, diff, turned, changed)
        }
    }
}

/// For people.
pub(crate) fn text(compared: &Compared<'_>) -> Text {
    match compared {
        Compared::Rules { summary, turned, labels, .. } => {
            regions_text(summary, turned, *labels, terminal::room())
        }
        Compared::Traffic { summary, diff, turned, changed, .. } => {
            diff_text(summary, diff, turned, changed, terminal::room())
        }
    }
}

/// For programs.
pub(crate) fn json(compared: &Compared<'_>) -> Result<Value, Failure> {
    match compared {
        Compared::Rules { summary, turned, labels, .. } => {
            with(summary, [("regions", regions_json(turned, *labels, None))])
        }
        Compared::Traffic { summary, turned, changed, .. } => {
            let json = with_changes(summary, turned, changed)?;
            Ok(serde_json::to_value(json).map_err(std::io::Error::from)?)
        }
    }
}

fn with_changes<'d>(
    summary: &DiffSummary,
    turned: &[Turned],
    changed: &'d Changed<'d>,
) -> Result<DiffJson<'d>, Failure> {
    Ok(DiffJson { rest: traffic_json(summary, turned, changed)?, changed })
}

/// A comparison on captures, without the changes.
pub(crate) fn traffic_json(
    summary: &DiffSummary,
    turned: &[Turned],
    changed: &Changed<'_>,
) -> Result<Value, Failure> {
    let regions = regions_json(turned, changed.labels, Some(changed.seen()));
    with(summary, [("regions", regions)])
}
