//! The answer to a proposal, from all that was asked about it: for a pull request.

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;

use super::assertions::{self, TestSummary, Tested};
use super::changes::{self, DiffInputs, DiffSummary};
use super::findings::{self, FindingsSummary};
use super::regions::{RegionsSummary, region_tables};
use super::sarif::SarifResult;
use super::table::{SHOWN, Table, escaped, fenced, markdown};
use super::{Case, SCHEMA, Suite, comment, text};
use crate::check::{Checked, Finding};
use crate::collect::Changed;
use crate::diff::{Diff, Effect, Turned};
use crate::escape::{Text, push_line};
use crate::labels::{BothLabels, Labels};
use crate::rules::Severity;

/// Why a proposal fails, or that it does not.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ProposalResult {
    /// Everything that was asked for and holds, in words; none if the proposal passes.
    pub fails: Vec<String>,
    /// What there is beside that, in words.
    pub notes: Vec<String>,
    /// Why it is not known whether the proposal passes, where nothing fails.
    pub unanswered: Option<String>,
}

impl ProposalResult {
    /// Whether the proposal passes.
    pub fn passes(&self) -> bool {
        self.fails.is_empty() && self.unanswered.is_none()
    }

    /// `passes`, `fails` or neither, and why.
    pub fn text(&self) -> Text {
        let mut out = Text::default();
        push_line!(out);
        match (self.fails.as_slice(), &self.unanswered) {
            ([], None) => push_line!(out, "The proposal passes."),
            ([], Some(why)) => {
                push_line!(out, "It is not known whether the proposal passes: {why}.");
            }
            (fails, _) => push_line!(out, "The proposal fails: {}.", fails.join("; ")),
        }
        for note in &self.notes {
            push_line!(out, "  {note}");
        }
        out
    }
}

/// The difference of two rule sets, with or without traffic.
#[derive(Clone, Copy, Debug)]
pub enum Difference<'a> {
    /// Of the rules alone.
    Rules(&'a RegionsSummary, &'a [Turned], BothLabels<'a>),
    /// Of traffic too.
    Traffic(&'a DiffSummary, &'a Diff<'a>, &'a [Turned], &'a Changed<'a>),
}

impl Difference<'_> {
    fn inputs(&self) -> &DiffInputs {
        match self {
            Self::Rules(summary, ..) => &summary.inputs,
            Self::Traffic(summary, ..) => &summary.inputs,
        }
    }

    fn warnings(&self) -> &[String] {
        match self {
            Self::Rules(summary, ..) => &summary.warnings,
            Self::Traffic(summary, ..) => &summary.warnings,
        }
    }

    fn tables(&self) -> (Vec<Table>, Vec<Table>) {
        match self {
            Self::Rules(_, turned, labels) => {
                (Vec::new(), region_tables(turned, *labels, None, SHOWN))
            }
            Self::Traffic(_, diff, turned, changed) => (
                changes::change_tables(diff, changed, SHOWN),
                region_tables(turned, changed.labels, Some(changed.seen()), SHOWN),
            ),
        }
    }

    /// What a code host shows where it is not known whether the proposal passes.
    pub fn unanswered(file: &str, why: &str) -> SarifResult {
        SarifResult {
            id: "no-full-answer",
            about: "It is not known whether the proposal passes.",
            severity: Severity::Error,
            message: why.to_owned(),
            at: (file.to_owned(), None),
        }
    }

    /// What a code host shows beside the proposed rules: a result for each line of the tables, accepted
    /// ones left out.
    pub fn results(&self, file: &str) -> Vec<SarifResult> {
        let result = |(effect, message): (Effect, String)| {
            let (id, about, severity) = match effect {
                Effect::NewlyDenied => {
                    ("newly-denied", "The proposal denies what is allowed now.", Severity::Error)
                }
                _ => {
                    ("newly-allowed", "The proposal allows what is denied now.", Severity::Warning)
                }
            };
            SarifResult { id, about, severity, message, at: (file.to_owned(), None) }
        };
        let turns = |(effect, _): &(Effect, String)| {
            matches!(effect, Effect::NewlyDenied | Effect::NewlyAllowed)
        };
        let lines = match self {
            Self::Rules(_, turned, labels) => super::regions::turned_lines(turned, *labels),
            Self::Traffic(_, _, _, changed) => changes::change_lines(changed),
        };
        lines.into_iter().filter(turns).map(result).collect()
    }

    /// As test cases: that no connection is newly denied, and none newly allowed.
    pub fn suite(&self, file: &str, fails_on: &[Effect]) -> Suite {
        let lines = match self {
            Self::Rules(_, turned, labels) => super::regions::turned_lines(turned, *labels),
            Self::Traffic(_, _, _, changed) => changes::change_lines(changed),
        };
        let case = |effect: &Effect| {
            let of_effect = lines.iter().filter(|(of, _)| of == effect);
            let found: Vec<&str> = of_effect.map(|(_, line)| line.as_str()).collect();
            Case {
                name: format!("nothing is {}", changes::words(*effect)),
                at: (file.to_owned(), None),
                failure: found.first().map(|first| ((*first).to_owned(), found.join("\n"))),
            }
        };
        Suite {
            name: "what the proposal changes".to_owned(),
            cases: fails_on.iter().map(case).collect(),
        }
    }
}

/// What `check` says of the proposed rules, and what of it is new.
#[derive(Clone, Copy, Debug)]
pub struct CheckedProposal<'a> {
    /// Counts.
    pub summary: &'a FindingsSummary,
    /// The findings.
    pub checked: &'a Checked,
    /// Those that the current rules do not have.
    pub new: &'a [Finding],
}

impl CheckedProposal<'_> {
    /// A test case for each new finding that counts, or one that says that there is none.
    pub fn suite(&self, least: Severity) -> Suite {
        let file = &self.summary.rules.path;
        let counts = self.new.iter().filter(|finding| finding.severity >= least);
        let mut cases: Vec<Case> = counts
            .map(|finding| {
                let about = findings::about(finding).unwrap_or_default();
                Case {
                    name: format!("{} {about}", finding.code),
                    at: (file.clone(), None),
                    failure: Some((finding.message.clone(), finding.message.clone())),
                }
            })
            .collect();
        if cases.is_empty() {
            let name = format!("no new {}", least.as_str());
            cases.push(Case { name, at: (file.clone(), None), failure: None });
        }
        Suite { name: format!("check of {file}"), cases }
    }
}

/// Expectations, and how they were met.
#[derive(Clone, Copy, Debug)]
pub struct TestedProposal<'a> {
    /// Counts.
    pub summary: &'a TestSummary,
    /// Each of them.
    pub tested: &'a [Tested],
    /// Names of the proposed rules.
    pub labels: &'a Labels,
}

/// All of it as Markdown, short enough for a comment.
pub fn proposal_markdown(
    answer: &ProposalResult,
    difference: Option<Difference<'_>>,
    check: CheckedProposal<'_>,
    tested: Option<TestedProposal<'_>>,
) -> String {
    let mut out = String::new();
    let word = match (answer.fails.is_empty(), &answer.unanswered) {
        (false, _) => "fails",
        (true, None) => "passes",
        (true, Some(_)) => "has no full answer",
    };
    let _ = writeln!(out, "## sgreplay: the proposal {word}\n");
    if let Some(why) = &answer.unanswered {
        let _ = writeln!(out, "- **{}**", escaped(why));
    }
    for reason in &answer.fails {
        let _ = writeln!(out, "- **{}**", escaped(reason));
    }
    for note in &answer.notes {
        let _ = writeln!(out, "- {}", escaped(note));
    }
    if let Some(difference) = &difference {
        if let Difference::Traffic(_, diff, ..) = difference {
            let _ = write!(out, "\n{}", markdown(&changes::counts(diff)));
        }
        let (changes, regions) = difference.tables();
        for table in changes {
            out.push_str(&table.markdown());
        }
        out.push_str(&comment::behind(&regions, difference.warnings()));
    }
    out.push_str(&findings_table(check).markdown());
    if let Some(of) = tested {
        let _ = writeln!(out, "\n### {}\n", escaped(&of.summary.words()));
        for one in of.tested {
            let mark = if one.is_met() { "met" } else { "**not met**" };
            let _ = writeln!(out, "- {mark}: {}", escaped(&one.expectation.name));
            if !one.is_met() {
                out.push('\n');
                out.push_str(&fenced(&assertions::why(one, of.labels)));
            }
        }
    }
    let _ = writeln!(out, "\n<sub>{}</sub>", escaped(&made_from(difference, check)));
    out
}

/// The findings that are not notes: new ones first.
fn findings_table(check: CheckedProposal<'_>) -> Table {
    let CheckedProposal { summary, checked, new } = check;
    let counts = checked.findings.iter().filter(|finding| finding.severity > Severity::Note);
    let mut shown: Vec<(bool, &Finding)> =
        counts.map(|finding| (new.contains(finding), finding)).collect();
    shown.sort_by_key(|(new, _)| !new);
    let header = ["", "severity", "code", "rule", ""].map(str::to_owned).to_vec();
    let row = |(new, finding): &(bool, &Finding)| {
        vec![
            if *new { "new" } else { "as before" }.to_owned(),
            finding.severity.as_str().to_owned(),
            finding.code.to_string(),
            findings::about(finding).unwrap_or_default(),
            finding.message.clone(),
        ]
    };
    let rows = std::iter::once(header).chain(shown.iter().take(SHOWN).map(row)).collect();
    let more = shown.len().checked_sub(SHOWN).filter(|more| *more > 0);
    Table {
        title: format!("Check of {}: {}", summary.rules.path, summary.words()),
        rows,
        more: more.map(|more| format!("and {more} more; sgreplay check lists all")),
    }
}

/// Everything that the answer rests on.
fn made_from(difference: Option<Difference<'_>>, check: CheckedProposal<'_>) -> String {
    let Some(of) = difference else {
        return comment::made_from(&[("rules", &check.summary.rules)], &[]);
    };
    let DiffInputs { current, proposed, captures } = of.inputs();
    let files = comment::made_from(&[("current", current), ("proposed", proposed)], captures);
    let times = match of {
        Difference::Traffic(_, diff, ..) => diff.current().stats().times(),
        Difference::Rules(..) => None,
    };
    let span =
        times.map(|(first, last)| format!("; {} to {}", text::time(first), text::time(last)));
    files + &span.unwrap_or_default()
}

/// All of it for programs.
pub fn proposal_json(
    answer: &ProposalResult,
    difference: Option<&Value>,
    check: &Value,
    tested: Option<&Value>,
) -> Value {
    serde_json::json!({
        "schema": SCHEMA,
        "version": env!("CARGO_PKG_VERSION"),
        "passes": answer.passes(),
        "unanswered": answer.unanswered,
        "fails": answer.fails,
        "notes": answer.notes,
        "diff": difference,
        "check": check,
        "test": tested,
    })
}
