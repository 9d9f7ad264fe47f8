//! Faults of a rules file, each where it stands.

use std::fmt;

use crate::escape;

/// A rules file that cannot be used: every fault in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The file, or `standard input`.
    pub file: String,
    /// In the order of the file; never empty.
    pub faults: Vec<Fault>,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Line and column, both counted from 1, where they are known.
    pub at: Option<(usize, usize)>,
    /// What was found, and what would be right.
    pub message: String,
}

/// More than this would not fit on a screen.
const SHOWN: usize = 12;

impl fmt::Display for ParseError {
    /// A line for each fault; what is in the file is escaped, and adds none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, faults } = self;
        let file = escape::line(file);
        for (n, Fault { at, message }) in faults.iter().take(SHOWN).enumerate() {
            let newline = if n == 0 { "" } else { "\n" };
            let message = escape::line(message);
            match at {
                Some((line, column)) => write!(f, "{newline}{file}:{line}:{column}: {message}")?,
                None => write!(f, "{newline}{file}: {message}")?,
            }
        }
        match faults.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n{file}: and {more} more faults"),
        }
    }
}

impl std::error::Error for ParseError {}
