//! Faults of filters, underlined in their text.

use std::fmt;
use std::ops::Range;

use crate::escape;

/// A fault of a filter, and its range in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// The whole filter.
    pub text: String,
    /// The bytes that are wrong.
    pub at: Range<usize>,
    /// The fault, and the expected syntax.
    pub message: String,
}

/// Bytes of the filter shown before and after a fault.
const SHOWN: usize = 120;

impl fmt::Display for FilterError {
    /// The message, and the filter with the fault underlined.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, at, message } = self;
        let part = |range: Range<usize>| text.get(range).unwrap_or_default();
        // A long filter is cut around the fault.
        let from = text.floor_char_boundary(at.start.saturating_sub(SHOWN));
        let end = text.floor_char_boundary(at.end.min(at.start.saturating_add(SHOWN)));
        let to = text.ceil_char_boundary(end.saturating_add(SHOWN));
        let before = match from {
            0 => part(0..at.start).to_owned(),
            _ => format!("… {}", part(from..at.start)),
        };
        let after = if to < text.len() { " …" } else { "" };
        let [before, found, rest] =
            [before.as_str(), part(at.start..end), part(end..to)].map(|text| escape::line(text));
        writeln!(f, "{}\n  {before}{found}{rest}{after}", escape::line(message))?;
        let (column, width) = (before.chars().count(), found.chars().count().max(1));
        write!(f, "  {}{}", " ".repeat(column), "^".repeat(width))
    }
}

impl std::error::Error for FilterError {}
