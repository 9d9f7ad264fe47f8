//! What is wrong with rules: for people, and for programs.

use std::fmt::Write;
use std::io;

use serde::Serialize;
use serde_json::{Value, json};

use super::summary::RulesInput;
use super::{Cell, Rows, SCHEMA, regions, text};
use crate::check::{Checked, Example, Finding};
use crate::escape::{Text, push_line};
use crate::parse::Positions;
use crate::rules::{RuleSet, Severity};

/// The keys of `check -f json`.
#[derive(Debug, Serialize)]
pub struct FindingsSummary {
    schema: u32,
    version: &'static str,
    /// The rules file.
    pub rules: RulesInput,
    errors: usize,
    warnings: usize,
    notes: usize,
    suppressed: usize,
    /// Interfaces and directions that were not checked.
    too_complex: Vec<String>,
}

impl FindingsSummary {
    /// Counts findings.
    pub fn new(rules: &RuleSet, input: RulesInput, checked: &Checked) -> Self {
        let of = |severity| checked.findings.iter().filter(|f| f.severity == severity).count();
        let name = |interface: usize| rules.interfaces().get(interface).map_or("", |eni| &eni.id);
        let too_complex = checked.too_complex.iter();
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            rules: input,
            errors: of(Severity::Error),
            warnings: of(Severity::Warning),
            notes: of(Severity::Note),
            suppressed: checked.suppressed.len(),
            too_complex: too_complex
                .map(|(interface, direction)| format!("{direction} {}", name(*interface)))
                .collect(),
        }
    }

    /// `2 errors, 1 warning and 3 notes; 1 suppressed`
    pub fn words(&self) -> String {
        let Self { errors, warnings, notes, suppressed, .. } = self;
        let plural = |count: usize, noun| text::plural(count as u64, noun);
        let mut out = format!(
            "{}, {} and {}",
            plural(*errors, "error"),
            plural(*warnings, "warning"),
            plural(*notes, "note")
        );
        if *suppressed > 0 {
            let _ = write!(out, "; {suppressed} suppressed");
        }
        out
    }
}

/// The columns of `check -f csv`.
pub const FINDING_COLUMNS: [&str; 11] = [
    "code",
    "severity",
    "line",
    "group",
    "rule",
    "other_group",
    "other_rule",
    "message",
    "interface",
    "direction",
    "example",
];

/// Writes a row for each finding.
pub fn finding_rows(
    rules: &RuleSet,
    checked: &Checked,
    positions: &Positions,
    rows: &mut Rows<impl io::Write>,
) -> io::Result<()> {
    let text = |text: Option<&str>| text.map_or(Cell::Empty, |text| Cell::Owned(text.to_owned()));
    for finding in &checked.findings {
        let Finding { code, severity, group, rule, place, others, message, example } = finding;
        let other = others.first();
        let line = place.and_then(|place| positions.rule(place)).map(|(line, _)| line as u64);
        rows.row(&[
            Cell::Text(code.as_str()),
            Cell::Text(severity.as_str()),
            line.into(),
            text(group.as_deref()),
            text(rule.as_deref()),
            text(other.map(|other| other.group.as_str())),
            text(other.map(|other| other.rule.as_str())),
            Cell::Text(message),
            text(example.map(|of| interface(rules, &of))),
            text(example.map(|of| of.direction.as_str())),
            example.map_or(Cell::Empty, |of| Cell::Owned(of.flow.to_string())),
        ])?;
    }
    Ok(())
}

/// The findings as JSON objects.
pub fn findings_json(rules: &RuleSet, checked: &Checked, positions: &Positions) -> Vec<Value> {
    checked.findings.iter().map(|finding| object(rules, finding, positions)).collect()
}

/// What was suppressed, as JSON objects with their reasons.
pub fn suppressed_json(rules: &RuleSet, checked: &Checked, positions: &Positions) -> Vec<Value> {
    let suppressed = checked.suppressed.iter().map(|(finding, reason)| {
        let mut object = object(rules, finding, positions);
        if let Some(object) = object.as_object_mut() {
            object.insert("suppressed".to_owned(), reason.as_str().into());
        }
        object
    });
    suppressed.collect()
}

fn object(rules: &RuleSet, finding: &Finding, positions: &Positions) -> Value {
    let Finding { code, severity, group, rule, place, others, message, example } = finding;
    let other = others.first();
    json!({
        "code": code.as_str(),
        "severity": severity.as_str(),
        "line": place.and_then(|place| positions.rule(place)).map(|(line, _)| line),
        "group": group,
        "rule": rule,
        "other_group": other.map(|other| &other.group),
        "other_rule": other.map(|other| &other.rule),
        "others": others.iter().map(|of| json!({"group": of.group, "rule": of.rule})).collect::<Vec<_>>(),
        "message": message,
        "example": example.map(|of| {
            let mut packet = regions::packet(&of.flow);
            if let Some(keys) = packet.as_object_mut() {
                keys.insert("interface".to_owned(), interface(rules, &of).into());
                keys.insert("direction".to_owned(), of.direction.as_str().into());
            }
            packet
        }),
    })
}

fn interface<'r>(rules: &'r RuleSet, example: &Example) -> &'r str {
    rules.interfaces().get(example.interface).map_or("", |eni| &eni.id)
}

/// Which findings people are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Errors and warnings.
    Problems,
    /// Notes too.
    All,
}

/// The findings for people.
pub fn findings_text(
    rules: &RuleSet,
    summary: &FindingsSummary,
    checked: &Checked,
    positions: &Positions,
    shown: Shown,
) -> Text {
    let mut out = Text::default();
    let path = &summary.rules.path;
    summary.rules.line(&mut out, "rules");
    push_line!(out, "by       sgreplay {}", env!("CARGO_PKG_VERSION"));
    let mut hidden = 0;
    for finding in &checked.findings {
        if finding.severity == Severity::Note && shown == Shown::Problems {
            hidden += 1;
            continue;
        }
        let at = finding.place.and_then(|place| positions.rule(place));
        let at = at.map_or_else(String::new, |(line, _)| format!("  {path}:{line}"));
        let about = about(finding).map_or_else(String::new, |about| format!("  {about}"));
        push_line!(out);
        push_line!(out, "{:<8} {}{about}{at}", finding.severity.as_str(), finding.code);
        push_line!(out, "         {}", finding.message);
        if let Some(example) = &finding.example {
            let (direction, eni) = (example.direction, interface(rules, example));
            push_line!(out, "         for example {direction} {eni}  {}", example.flow);
        }
    }
    let notes = if hidden > 0 { " (--notes shows them)" } else { "" };
    let more = match summary.errors + summary.warnings {
        0 => "",
        _ => "; check --explain CODE says more",
    };
    push_line!(out);
    push_line!(out, "{}{notes}{more}", summary.words());
    for (finding, reason) in &checked.suppressed {
        let of = about(finding).map_or_else(String::new, |about| format!(" of {about}"));
        push_line!(out, "suppressed: {}{of}: {reason}", finding.code);
    }
    for list in &summary.too_complex {
        push_line!(
            out,
            "warning: {list} is not checked: its rules cut the space of packets too finely"
        );
    }
    out
}

/// `sgr-ssh of sg-web`
pub(super) fn about(finding: &Finding) -> Option<String> {
    match (&finding.rule, &finding.group) {
        (Some(rule), Some(group)) => Some(format!("{rule} of {group}")),
        (Some(one), None) | (None, Some(one)) => Some(one.clone()),
        (None, None) => None,
    }
}
