//! A run as Markdown, short enough for a comment on a pull request.

use std::fmt::Write;

use super::table::{SHOWN_IN_COMMENT, Table, escaped, markdown};
use super::{
    CaptureInput, DiffInputs, DiffSummary, RegionsSummary, RulesInput, Summary, changes,
    region_tables, text,
};
use crate::collect::Changed;
use crate::diff::{Diff, Turned};
use crate::labels::{BothLabels, Labels};
use crate::replay::Replay;
use crate::verdict::Verdict;

/// What a replay found.
pub fn replay_markdown(summary: &Summary, replay: &Replay<'_>, labels: &Labels) -> String {
    let most = SHOWN_IN_COMMENT;
    let mut tables: Vec<Table> =
        text::kinds(Verdict::Deny, replay, labels, most).into_iter().collect();
    let unused = text::rules(summary, most).more;
    tables.push(Table { title: String::new(), rows: Vec::new(), more: unused });
    let of = &summary.inputs;
    let counts = text::counts(replay);
    let files = made_from(&[("rules", &of.rules)], &of.captures);
    comment(&text::sentence(replay, labels), &counts, &tables, &[], &summary.warnings, &files)
}

/// What a difference over traffic found.
pub fn diff_markdown(
    summary: &DiffSummary,
    diff: &Diff<'_>,
    turned: &[Turned],
    changed: &Changed<'_>,
) -> String {
    let most = SHOWN_IN_COMMENT;
    let tables = changes::change_tables(diff, changed, most);
    let folded = region_tables(turned, changed.labels, Some(changed.seen()), most);
    let DiffInputs { current, proposed, captures } = &summary.inputs;
    let files = made_from(&[("current", current), ("proposed", proposed)], captures);
    let counts = changes::counts(diff);
    comment(&changes::sentence(diff, changed), &counts, &tables, &folded, &summary.warnings, &files)
}

/// What a difference of rules alone found.
pub fn regions_markdown(
    summary: &RegionsSummary,
    turned: &[Turned],
    labels: BothLabels<'_>,
) -> String {
    let tables = region_tables(turned, labels, None, SHOWN_IN_COMMENT);
    let sentence = match tables.as_slice() {
        [] => "The rule sets are equivalent: no packet has another verdict.".to_owned(),
        _ => format!(
            "The proposal changes the verdict of {} of all possible packets.",
            text::plural(turned.len() as u64, "region"),
        ),
    };
    let DiffInputs { current, proposed, captures } = &summary.inputs;
    let files = made_from(&[("current", current), ("proposed", proposed)], captures);
    comment(&sentence, &[], &tables, &[], &summary.warnings, &files)
}

fn comment(
    sentence: &str,
    counts: &[Vec<String>],
    tables: &[Table],
    folded: &[Table],
    warnings: &[String],
    files: &str,
) -> String {
    let mut out = format!("**{}**\n", escaped(sentence));
    if !counts.is_empty() {
        let _ = write!(out, "\n{}", markdown(counts));
    }
    for table in tables {
        out.push_str(&table.markdown());
    }
    out.push_str(&behind(folded, warnings));
    let _ = writeln!(out, "\n<sub>{}</sub>", escaped(files));
    out
}

/// What changes for packets that nobody has seen, folded; and warnings.
pub(super) fn behind(folded: &[Table], warnings: &[String]) -> String {
    let mut out = String::new();
    if !folded.is_empty() {
        out.push_str("\n<details><summary>Over all possible packets</summary>\n");
        for table in folded {
            out.push_str(&table.markdown());
        }
        out.push_str("\n</details>\n");
    }
    for warning in warnings {
        let _ = writeln!(out, "\n> {}", escaped(warning));
    }
    out
}

/// Everything that the answer rests on.
pub(super) fn made_from(rules: &[(&str, &RulesInput)], captures: &[CaptureInput]) -> String {
    let mut parts = Vec::new();
    for (name, rules) in rules {
        parts.push(format!("{name} {} (sha256 {})", rules.path, rules.sha256));
    }
    for capture in captures {
        let packets = text::plural(capture.frames, "packet");
        let hash = capture.sha256.as_ref().map(|hash| format!(", sha256 {hash}"));
        let (hash, size) = (hash.unwrap_or_default(), text::bytes(capture.size));
        parts.push(format!("{} ({packets}, {size}{hash})", capture.path));
    }
    parts.push(format!("sgreplay {}", env!("CARGO_PKG_VERSION")));
    parts.join("; ")
}
