//! Faults of a rules file, each where it stands.

use std::fmt;

use crate::escape;
use crate::yaml::{Places, Segment, YamlError};

/// A rules file that cannot be used: every fault in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The file, or `standard input`.
    pub file: String,
    /// In the order of the file; never empty.
    pub faults: Vec<Fault>,
    /// A short file of the kind that is expected, where this one is empty or of another kind.
    pub example: Option<&'static str>,
}

impl ParseError {
    pub(super) fn new(file: &str, faults: Vec<Fault>) -> Self {
        Self { file: file.to_owned(), faults, example: None }
    }

    /// The same of a file without any rules in it.
    pub(super) fn foreign(file: &str, faults: Vec<Fault>) -> Self {
        Self { example: Some(RULES_EXAMPLE), ..Self::new(file, faults) }
    }
}

/// A rules file that says what rules files look like.
pub(super) const RULES_EXAMPLE: &str = "\
security_groups:
  - id: sg-web
    rules:
      - {direction: ingress, protocol: tcp, ports: [80, 443], source: 0.0.0.0/0}
      - {direction: ingress, protocol: tcp, ports: SSH, source: 203.0.113.0/24}
";

/// A file of expectations that says what they look like.
pub(super) const EXPECTATIONS_EXAMPLE: &str = "\
expectations:
  - name: the web is open to everybody
    ports: [80, 443]
    source: 0.0.0.0/0
    verdict: allow
";

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Line and column, both counted from 1, where they are known.
    pub at: Option<(usize, usize)>,
    /// What was found, and what would be right.
    pub message: String,
}

impl From<YamlError> for Fault {
    fn from(YamlError { at, message }: YamlError) -> Self {
        Self { at, message }
    }
}

/// Where so many faults are found, the rest of a file is not looked at.
pub(super) const MOST_FAULTS: usize = 1000;

/// A fault, and the way to the value that has it.
pub(super) type Unplaced = (Vec<Segment>, String);

/// Faults with their places, in the order of the text.
pub(super) fn placed(text: &str, faults: Vec<Unplaced>) -> Vec<Fault> {
    let places = Places::read(text);
    let fault = |(path, message): Unplaced| Fault { at: places.find(&path), message };
    let mut faults: Vec<Fault> = faults.into_iter().map(fault).collect();
    faults.sort();
    faults
}

/// More than this would not fit on a screen.
const SHOWN: usize = 12;

impl fmt::Display for ParseError {
    /// A line for each fault; what is in the file is escaped, and adds none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, faults, example: _ } = self;
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
            more if faults.len() < MOST_FAULTS => write!(f, "\n{file}: and {more} more faults"),
            more => {
                write!(f, "\n{file}: and {more} more faults, behind which nothing was looked at")
            }
        }
    }
}

impl std::error::Error for ParseError {}
