//! A page for a browser: one file that opens offline, for a review or a ticket.
//!
//! It says what the other reports say, with the same numbers: the summary that `-f json` prints is in it, and
//! tables come from the same rows. Names from captures and rules are text, whatever they hold.

mod grid;
mod plot;
mod sections;

use std::fmt;

use askama::Template;
use askama::filters::{Escaper, Html};
use serde::Serialize;

use super::changes::{change_tables, counts, sentence as diff_sentence, unchanged};
use super::regions::region_tables;
use super::table::SHOWN;
use super::{CaptureInput, DiffSummary, RuleCount, RulesInput, Summary, text};
use crate::check::Checked;
use crate::collect::{Changed, Overview};
use crate::diff::{Diff, Turned};
use crate::escape;
use crate::labels::Labels;
use crate::replay::Replay;
use crate::stats::Stats;
use crate::verdict::Verdict;
use grid::{Grid, Section};
use sections::{connections, findings, inputs, matrix, midstream, rules, timeline};
#[derive(Template)]
#[template(path = "page.html", config = "src/report/page/askama.toml")]
struct Page<'p> {
    title: &'p str,
    sentence: &'p str,
    version: &'p str,
    command: &'p str,
    /// What it was made from.
    from: String,
    /// The counts of connections and of packets.
    counts: Vec<(String, Vec<Card>)>,
    warnings: &'p [String],
    sections: Vec<Section>,
    /// Safe in a script element.
    data: String,
}

/// A number that one looks for first.
struct Card {
    /// Its name in the table of counts.
    count: String,
    name: String,
    value: String,
    class: &'static str,
}

/// What a page is made from that no report has.
#[derive(Clone, Copy, Debug)]
pub struct Made<'m> {
    /// The command that made it, to be run again.
    pub command: &'m str,
    /// What `check` says of the rules; of a difference, of the proposed ones.
    pub checked: &'m Checked,
    /// What the traffic showed.
    pub overview: &'m Overview,
}

/// The page of a replay.
///
/// # Errors
/// When the summary is no JSON, which it always is.
pub fn replay_page(
    summary: &Summary,
    replay: &Replay<'_>,
    labels: &Labels,
    made: Made<'_>,
) -> std::io::Result<String> {
    let stateful = replay.stats().connections().total() > 0;
    let denied = text::kinds(Verdict::Deny, replay, labels, SHOWN);
    let sentence = text::sentence(replay, labels);
    let mut decided =
        Section { id: "decided", title: "What was decided".to_owned(), ..Section::default() };
    decided.tables = [denied, text::kinds(Verdict::Allow, replay, labels, SHOWN)]
        .into_iter()
        .flatten()
        .map(Grid::new)
        .collect();
    let mut sections = vec![timeline(made.overview, stateful), decided];
    sections.push(matrix(made.overview, stateful));
    sections.push(rules(&summary.rules));
    sections.push(connections(made.overview, "--per connection"));
    sections.extend(midstream(text::midstream(&summary.inputs.captures, replay)));
    sections.extend(findings(made.checked));
    let rules = [("rules", &summary.inputs.rules)];
    sections.push(inputs(&rules, &summary.inputs.captures, &summary.local, replay.stats().times()));
    let page = Page {
        title: "sgreplay: replay",
        sentence: &sentence,
        version: env!("CARGO_PKG_VERSION"),
        command: made.command,
        from: from(&summary.inputs.captures, replay.stats(), &[&summary.inputs.rules]),
        counts: cards(&text::counts(replay)),
        warnings: &summary.warnings,
        sections,
        data: data(summary)?,
    };
    page.render().map_err(std::io::Error::other)
}

/// The page of a difference over traffic.
///
/// # Errors
/// When the summary is no JSON, which it always is.
pub fn diff_page(
    summary: &DiffSummary,
    diff: &Diff<'_>,
    turned: &[Turned],
    changed: &Changed<'_>,
    rules_of_proposed: &[RuleCount],
    made: Made<'_>,
) -> std::io::Result<String> {
    let stateful = diff.proposed().stats().connections().total() > 0;
    let sentence = diff_sentence(diff, changed);
    let mut changes =
        Section { id: "changed", title: "What changes".to_owned(), ..Section::default() };
    changes.tables = change_tables(diff, changed, SHOWN).into_iter().map(Grid::new).collect();
    if changes.tables.is_empty() {
        changes.lines.push(unchanged(diff).to_owned());
    }
    let mut regions = Section {
        id: "regions",
        title: "What changes over all possible packets".to_owned(),
        ..Section::default()
    };
    regions.tables = region_tables(turned, changed.labels, Some(changed.seen()), SHOWN)
        .into_iter()
        .map(Grid::new)
        .collect();
    if regions.tables.is_empty() {
        regions.lines.push("No possible packet has another verdict.".to_owned());
    }
    let mut sections = vec![timeline(made.overview, stateful), changes, regions];
    sections.push(matrix(made.overview, stateful));
    sections.push(rules(rules_of_proposed));
    sections.push(connections(made.overview, "-f csv"));
    sections.extend(midstream(text::midstream(&summary.inputs.captures, diff.proposed())));
    sections.extend(findings(made.checked));
    let rules =
        [("current rules", &summary.inputs.current), ("proposed rules", &summary.inputs.proposed)];
    let times = diff.current().stats().times();
    sections.push(inputs(&rules, &summary.inputs.captures, &summary.local, times));
    let page = Page {
        title: "sgreplay: diff",
        sentence: &sentence,
        version: env!("CARGO_PKG_VERSION"),
        command: made.command,
        from: from(
            &summary.inputs.captures,
            diff.current().stats(),
            &[&summary.inputs.current, &summary.inputs.proposed],
        ),
        counts: cards(&counts(diff)),
        warnings: &summary.warnings,
        sections,
        data: data(summary)?,
    };
    page.render().map_err(std::io::Error::other)
}

/// Escapes what the template is given: as a terminal would have it, then for HTML.
#[derive(Clone, Copy, Debug)]
struct Shown;

impl Escaper for Shown {
    fn write_escaped_str<W: fmt::Write>(&self, dest: W, text: &str) -> fmt::Result {
        Html.write_escaped_str(dest, &escape::line(text))
    }
}

/// JSON that no `</script>` and no comment can end.
fn data(summary: &impl Serialize) -> std::io::Result<String> {
    let json = serde_json::to_string(summary).map_err(std::io::Error::from)?;
    Ok(escape::json(&json).replace('<', "\\u003c"))
}

/// What a page was made from, in a line.
fn from(captures: &[CaptureInput], stats: &Stats, rules: &[&RulesInput]) -> String {
    let named = match captures {
        [one] => one.path.clone(),
        several => text::plural(several.len() as u64, "capture"),
    };
    let packets = text::plural(stats.packets().total(), "packet");
    let bytes = text::bytes(stats.bytes());
    let when = stats.times().map_or_else(String::new, |(first, last)| {
        format!(", from {} on for {}", text::time(first), text::duration(last - first))
    });
    let rules: Vec<&str> = rules.iter().map(|rules| rules.path.as_str()).collect();
    format!("{named}: {packets} of {bytes}{when}; {}", rules.join(" and "))
}

/// The table of counts, each as a card: those of connections first, which are what people decide by.
fn cards(rows: &[Vec<String>]) -> Vec<(String, Vec<Card>)> {
    let Some((header, rows)) = rows.split_first() else { return Vec::new() };
    let card = |row: &[String], column: usize| {
        let (unit, kind) = (row.first()?, header.get(column)?);
        // What was not judged has its reasons behind it.
        let value = row.get(column)?;
        let class = if value == "0" { "zero" } else { grid::class(kind) };
        let count = format!("{unit} {kind}");
        Some(Card { count, name: kind.clone(), value: value.clone(), class })
    };
    let of_unit = |row: &Vec<String>| {
        let cards = (1..row.len()).filter_map(|column| card(row, column)).collect();
        Some((row.first()?.clone(), cards))
    };
    rows.iter().rev().filter_map(of_unit).collect()
}
