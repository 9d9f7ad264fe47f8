//! Files, as the user names them.

use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sgreplay::baseline::Accepted;
use sgreplay::engine::{RulesFile, RulesInput, RulesRequest, read_text};
use sgreplay::parse;
use sgreplay::rules::{Expectation, RuleSet};

use crate::exit::Failure;
use crate::terminal;
pub(crate) use sgreplay::sources::{STDIN, name};

/// Reads the changes that were accepted.
pub(crate) fn accepted(path: &Path) -> Result<Accepted, Failure> {
    Ok(Accepted::parse(&name(path), &read_text(path)?, today())?)
}

/// Reads what is expected of rules.
pub(crate) fn expectations(
    path: &Path,
    rules: &RuleSet,
) -> Result<(Vec<Expectation>, RulesInput), Failure> {
    let (name, text) = (name(path), read_text(path)?);
    let expectations = parse::expectations(&name, &text, rules)?;
    Ok((expectations, RulesInput::beside(name, &text)))
}

/// The day, in UTC.
pub(crate) fn today() -> Date {
    TimeZone::UTC.to_datetime(Timestamp::now()).date()
}

/// Reads the rules.
pub(crate) fn rules(path: &Path, request: &RulesRequest) -> Result<(RuleSet, RulesInput), Failure> {
    let RulesFile { rules, input, .. } = rules_file(path, request)?;
    Ok((rules, input))
}

/// Reads the rules, and keeps where they stand.
pub(crate) fn rules_file(path: &Path, request: &RulesRequest) -> Result<RulesFile, Failure> {
    let read = RulesFile::load(path, request)?;
    for warning in &read.warnings {
        terminal::say(&format!("warning: {warning}"));
    }
    Ok(read)
}
