//! Changes that were looked at and accepted: they are still shown, and fail no gate.
//!
//! ```
//! use sgreplay::baseline::Accepted;
//!
//! let text = "
//! - {change: newly_denied, filter: tcp port 22 and net 198.51.100.0/24, reason: guessing, until: 2026-12-31}
//! ";
//! let accepted = Accepted::parse("accepted.yaml", text, jiff::civil::date(2026, 11, 23))?;
//! assert_eq!(accepted.entries()[0].reason, "guessing");
//! # Ok::<(), sgreplay::baseline::AcceptError>(())
//! ```

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::diff::Effect;
use crate::escape;
use crate::filter::{Filter, FilterError};
use crate::flow::{FlowTuple, Fragment, Packet};
use crate::yaml::{self, YamlError};

/// One entry of the file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptedChange {
    /// `newly_denied`, `newly_allowed` or `other_rule`; any of them if it is not said.
    pub change: Option<String>,
    /// Which connections, by the tuple of their opening packet, as `--filter` has it.
    pub filter: String,
    /// Why it is accepted.
    pub reason: String,
    /// The last day on which it is, in UTC; for ever if it is not said.
    pub until: Option<Date>,
}

/// The entries of a file, read.
#[derive(Clone, Debug, Default)]
pub struct Accepted {
    entries: Vec<AcceptedChange>,
    filters: Vec<(Option<Effect>, Filter, bool)>,
}

/// Every change is held against every entry.
const MOST_ENTRIES: usize = 4096;

/// A file of accepted changes that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptError {
    file: String,
    /// Counted from 1.
    entry: Option<usize>,
    why: Why,
    is_foreign: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    Text(YamlError),
    TooMany(usize),
    Change(String),
    Filter(FilterError),
}

impl fmt::Display for AcceptError {
    /// Names are escaped, so that the lines of the message are its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape::line(&self.file))?;
        if let Some(entry) = self.entry {
            write!(f, ": entry {entry}")?;
        }
        match &self.why {
            Why::TooMany(entries) => {
                write!(f, ": there are {entries} entries, and {MOST_ENTRIES} at most are read")
            }
            Why::Text(YamlError { at, message }) => {
                if let Some((line, column)) = at {
                    write!(f, ":{line}:{column}")?;
                }
                write!(f, ": {}", escape::line(message))
            }
            Why::Change(word) => write!(
                f,
                ": `{}`: a change is newly_denied, newly_allowed or other_rule",
                escape::line(word)
            ),
            Why::Filter(error) => write!(f, ": {error}"),
        }
    }
}

impl std::error::Error for AcceptError {}

/// A file of accepted changes that says what they look like.
const EXAMPLE: &str = "\
- change: newly_denied
  filter: tcp port 22 and net 198.51.100.0/24
  reason: password guessing
  until: 2026-12-31
";

impl AcceptError {
    /// A short file of the kind that is expected, where this one is empty or of another kind.
    pub fn example(&self) -> Option<&'static str> {
        self.is_foreign.then_some(EXAMPLE)
    }

    /// The file, as it was named.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Line and column, counted from 1, of a fault of the text.
    pub fn position(&self) -> Option<yaml::Position> {
        match &self.why {
            Why::Text(error) => error.at,
            Why::TooMany(_) | Why::Change(_) | Why::Filter(_) => None,
        }
    }
}

impl Accepted {
    /// Reads a file: a list of entries. Those whose day is before `today` accept nothing.
    ///
    /// # Errors
    /// What is wrong, with the file and the line or the entry.
    pub fn parse(file: &str, text: &str, today: Date) -> Result<Self, AcceptError> {
        let is_foreign = !["filter", "reason", "change"].iter().any(|key| text.contains(key));
        let fault = |entry, why| AcceptError { file: file.to_owned(), entry, why, is_foreign };
        let entries: Vec<AcceptedChange> =
            yaml::read(text).map_err(|error| fault(None, Why::Text(error)))?;
        if entries.len() > MOST_ENTRIES {
            return Err(fault(None, Why::TooMany(entries.len())));
        }
        let mut filters = Vec::new();
        for (n, AcceptedChange { change, filter, until, .. }) in (1..).zip(&entries) {
            let effect = match change {
                None => None,
                Some(word) => {
                    let known = Effect::ALL.iter().copied().find(|effect| effect.as_str() == word);
                    let known = known.filter(|effect| *effect != Effect::Unchanged);
                    Some(known.ok_or_else(|| fault(Some(n), Why::Change(word.clone())))?)
                }
            };
            let filter = Filter::parse(filter).map_err(|e| fault(Some(n), Why::Filter(e)))?;
            filters.push((effect, filter, until.is_some_and(|until| until < today)));
        }
        Ok(Self { entries, filters })
    }

    /// The entries, in the order of the file.
    pub fn entries(&self) -> &[AcceptedChange] {
        &self.entries
    }

    /// Whether an entry's last day has passed.
    pub fn expired(&self, entry: usize) -> bool {
        self.filters.get(entry).is_some_and(|(_, _, expired)| *expired)
    }

    /// The entry that accepts what happens to a connection, the first if several do.
    pub fn position(&self, effect: Effect, flow: &FlowTuple) -> Option<usize> {
        let (tcp_flags, fragment, hop_limit) = (None, Fragment::No, u8::MAX);
        let packet = Packet { flow: *flow, tcp_flags, fragment, hop_limit };
        self.filters.iter().position(|(of, filter, expired)| {
            !expired && of.is_none_or(|of| of == effect) && filter.matches(Some(&packet))
        })
    }
}
