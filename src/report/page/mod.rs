//! A page for a browser: one file that opens offline, for a review or a ticket.
//!
//! It says what the other reports say, with the same numbers: the summary that `-f json` prints is in it, and
//! tables come from the same rows. Names from captures and rules are text, whatever they hold.

mod plot;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use askama::Template;
use askama::filters::{Escaper, Html};
use ipnet::IpNet;
use serde::Serialize;

use super::changes::{change_tables, counts, sentence as diff_sentence, unchanged};
use super::regions::region_tables;
use super::table::{SHOWN, Table};
use super::{DiffSummary, Local, RuleCount, RulesInput, Summary, text};
use crate::check::Checked;
use crate::collect::Changed;
use crate::collect::{ByClass, Overview, TrafficClass};
use crate::diff::{Diff, Turned};
use crate::escape;
use crate::labels::Labels;
use crate::replay::Replay;
use crate::report::CaptureInput;
use crate::rules::services;
use crate::verdict::Verdict;

/// Rules that are listed.
const MOST_RULES: usize = 500;
/// Networks and services of the matrix.
const MOST_NETWORKS: usize = 15;
const MOST_SERVICES: usize = 10;

/// What the page does not show, since other commands do.
const FINDINGS: usize = 100;

#[derive(Template)]
#[template(path = "page.html", config = "src/report/page/askama.toml")]
struct Page<'p> {
    title: &'p str,
    sentence: &'p str,
    version: &'p str,
    command: &'p str,
    cards: Vec<Card>,
    warnings: &'p [String],
    sections: Vec<Section>,
    /// Safe in a script element.
    data: String,
}

/// A number that one looks for first.
struct Card {
    name: String,
    value: String,
    class: &'static str,
}

#[derive(Default)]
struct Section {
    id: &'static str,
    title: String,
    lines: Vec<String>,
    plots: Vec<Plot>,
    tables: Vec<Grid>,
}

struct Plot {
    title: String,
    /// Drawn by us: no text in it is from elsewhere.
    svg: String,
}

/// A table as the page has it.
struct Grid {
    caption: String,
    head: Vec<Head>,
    rows: Vec<Vec<Cell>>,
    more: Option<String>,
    /// Long enough to be searched.
    searched: bool,
}

struct Head {
    text: String,
    numeric: bool,
}

#[derive(Default)]
struct Cell {
    text: String,
    /// By which the column is sorted, where that is not the text.
    sort: Option<u64>,
    class: &'static str,
    /// What the list of connections is to be searched for.
    search: Option<String>,
}

impl Cell {
    fn new(text: &str) -> Self {
        let class = match text {
            "denied" | "drop" | "error" | "newly denied" => "bad",
            "newly allowed" | "warning" | "unused" => "odd",
            _ => "",
        };
        Self { text: text.to_owned(), sort: amount(text), class, search: None }
    }
}

/// What a number with a unit comes to, so that it sorts.
fn amount(text: &str) -> Option<u64> {
    if text.is_empty() || !super::table::is_number(text) {
        return None;
    }
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let factor = match unit {
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => 1,
    };
    let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u64 = whole.replace(',', "").parse().ok()?;
    Some(whole * factor + tenths.parse::<u64>().ok()? * factor / 10)
}

impl Grid {
    fn new(Table { title, rows, more }: Table) -> Self {
        let mut rows = rows.into_iter();
        let head = rows.next().unwrap_or_default();
        let rows: Vec<Vec<Cell>> =
            rows.map(|row| row.iter().map(|text| Cell::new(text)).collect()).collect();
        let numeric = |column: usize| {
            let cells = || rows.iter().filter_map(|row: &Vec<Cell>| row.get(column));
            cells().next().is_some() && cells().all(|cell| cell.sort.is_some())
        };
        let head = head
            .into_iter()
            .enumerate()
            .map(|(column, text)| Head { text, numeric: numeric(column) })
            .collect();
        let searched = rows.len() > 10;
        Self { caption: title, head, rows, more, searched }
    }
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
        cards: cards(&text::counts(replay)),
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
        cards: cards(&counts(diff)),
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

/// The table of counts, each as a card.
fn cards(rows: &[Vec<String>]) -> Vec<Card> {
    let Some((header, rows)) = rows.split_first() else { return Vec::new() };
    let card = |row: &[String], column: usize| {
        let (unit, kind) = (row.first()?, header.get(column)?);
        // What was not judged has its reasons behind it.
        let value = row.get(column)?;
        let class = match kind.as_str() {
            "denied" | "newly denied" if value != "0" => "bad",
            "newly allowed" if value != "0" => "odd",
            _ => "",
        };
        Some(Card { name: format!("{unit} {kind}"), value: value.clone(), class })
    };
    rows.iter().flat_map(|row| (1..row.len()).filter_map(move |column| card(row, column))).collect()
}

fn unit(stateful: bool) -> &'static str {
    if stateful { "Connections" } else { "Packets" }
}

fn timeline(overview: &Overview, stateful: bool) -> Section {
    let timeline = &overview.timeline;
    let mut section = Section { id: "timeline", title: "When".to_owned(), ..Section::default() };
    let plots = [(0, format!("{} over time", unit(stateful))), (1, "Bytes over time".to_owned())];
    for (which, title) in plots {
        section.plots.extend(plot::bars(timeline, which).map(|svg| Plot { title, svg }));
    }
    let used: Vec<TrafficClass> = TrafficClass::ALL
        .iter()
        .copied()
        .filter(|class| {
            let all = timeline.bars.values().flatten();
            all.filter_map(|of| of.get(*class as usize)).any(|amount| *amount > 0)
        })
        .collect();
    let mut header = vec!["from".to_owned()];
    for class in &used {
        header.extend([class.as_str().to_owned(), format!("{}, bytes", class.as_str())]);
    }
    let rows = timeline.bars.iter().map(|(key, [connections, bytes])| {
        let mut row = vec![plot::moment(key.saturating_mul(timeline.width), timeline.width)];
        for class in &used {
            let of = |sums: &ByClass| sums.get(*class as usize).copied().unwrap_or_default();
            row.extend([text::count(of(connections)), text::bytes(of(bytes))]);
        }
        row
    });
    let rows = std::iter::once(header).chain(rows).collect();
    let width = match timeline.width {
        ns @ ..1_000_000_000 => format!("{} ms", ns / 1_000_000),
        ns => text::duration(ns),
    };
    let title = format!("The same in numbers, by {width}");
    section.tables.push(Grid::new(Table { title, rows, more: None }));
    section
}

/// Who asks for what, and what becomes of it.
fn matrix(overview: &Overview, stateful: bool) -> Section {
    let mut networks: BTreeMap<&IpNet, u64> = BTreeMap::new();
    let mut services: BTreeMap<&String, u64> = BTreeMap::new();
    for ((network, service), of) in &overview.pairs {
        let sum: u64 = of.iter().sum();
        *networks.entry(network).or_default() += sum;
        *services.entry(service).or_default() += sum;
    }
    let mut networks: Vec<(&IpNet, u64)> = networks.into_iter().collect();
    let mut services: Vec<(&String, u64)> = services.into_iter().collect();
    networks.sort_by_key(|(_, sum)| Reverse(*sum));
    services.sort_by_key(|(_, sum)| Reverse(*sum));
    let (all_networks, all_services) = (networks.len(), services.len());
    networks.truncate(MOST_NETWORKS);
    services.truncate(MOST_SERVICES);
    let mut header = vec!["peers".to_owned()];
    header.extend(services.iter().map(|(service, _)| (*service).clone()));
    let mut shown = 0;
    let rows = networks.iter().map(|(network, _)| {
        let mut row = vec![network.to_string()];
        for (service, _) in &services {
            let of =
                overview.pairs.get(&(**network, (*service).clone())).copied().unwrap_or_default();
            shown += of.iter().sum::<u64>();
            let parts = TrafficClass::ALL.iter().copied().zip(of).filter(|(_, n)| *n > 0);
            let parts: Vec<String> =
                parts.map(|(class, n)| format!("{} {}", text::count(n), class.as_str())).collect();
            row.push(parts.join(", "));
        }
        row
    });
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();
    let all = overview.pairs.values().chain([&overview.other_pairs]).flatten().sum::<u64>();
    let more = (all > shown).then(|| {
        format!(
            "and {} more, of {} networks and {} services",
            text::count(all - shown),
            text::count(all_networks as u64),
            text::count(all_services as u64),
        )
    });
    let title = format!("{} by network and service", unit(stateful));
    let mut section =
        Section { id: "matrix", title: "Who asks for what".to_owned(), ..Section::default() };
    let mut grid = Grid::new(Table { title, rows, more });
    for cell in grid.rows.iter_mut().flat_map(|row| row.iter_mut().skip(1)) {
        cell.class = match cell.text.as_str() {
            text if text.contains("newly") => "odd",
            text if text.contains("denied") => "bad",
            _ => "",
        };
    }
    section.tables.push(grid);
    section
}

/// Every rule with what it did, the unused ones marked.
fn rules(all: &[RuleCount]) -> Section {
    let mut sorted: Vec<&RuleCount> = all.iter().collect();
    sorted.sort_by_key(|rule| Reverse(rule.packets));
    let mut rows = text::rule_rows(sorted.iter().copied().take(MOST_RULES));
    if let Some((header, rows)) = rows.split_first_mut() {
        header.push("use".to_owned());
        for (row, rule) in rows.iter_mut().zip(&sorted) {
            row.push(if rule.packets == 0 { "unused".to_owned() } else { String::new() });
        }
    }
    let cut = all.len().saturating_sub(MOST_RULES) as u64;
    let more =
        (cut > 0).then(|| format!("and {} more; -f json lists all", text::plural(cut, "rule")));
    let title = "Rules and what they decided".to_owned();
    let mut grid = Grid::new(Table { title, rows, more });
    for (row, rule) in grid.rows.iter_mut().zip(&sorted) {
        if let Some(cell) = row.get_mut(1).filter(|_| rule.connections > 0) {
            cell.search = Some(format!("rule {} of {}", rule.rule, rule.group));
        }
    }
    Section { id: "rules", title: "Rules".to_owned(), tables: vec![grid], ..Section::default() }
}

fn connections(overview: &Overview, rest: &str) -> Section {
    let header = ["verdict", "", "connection", "service", "packets", "bytes", "frame", "at", "why"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let mut listed: Vec<_> = overview.listed.iter().collect();
    listed.sort_by_key(|of| (of.class, of.first_frame));
    rows.extend(listed.into_iter().map(|of| {
        vec![
            of.class.as_str().to_owned(),
            of.place.clone(),
            of.flow.to_string(),
            services::of_flow(&of.flow),
            text::count(of.packets),
            text::bytes(of.bytes),
            of.first_frame.to_string(),
            of.time.map_or_else(String::new, plot::clock),
            of.why.clone(),
        ]
    }));
    let [denied, others] = overview.cut;
    let more = (denied + others > 0).then(|| {
        format!(
            "and {} more that are denied or changed, {} more that are not; the same command with {rest} prints \
             them all",
            text::count(denied),
            text::count(others),
        )
    });
    let title = "Connections, the changed and denied ones first".to_owned();
    let tables = vec![Grid::new(Table { title, rows, more })];
    Section { id: "connections", title: "Connections".to_owned(), tables, ..Section::default() }
}

fn midstream(line: Option<String>) -> Option<Section> {
    let title = "Connections without an opening packet".to_owned();
    line.map(|line| Section { id: "midstream", title, lines: vec![line], ..Section::default() })
}

fn findings(checked: &Checked) -> Option<Section> {
    let header = ["severity", "code", "group", "rule", "message"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(checked.findings.iter().take(FINDINGS).map(|of| {
        vec![
            of.severity.as_str().to_owned(),
            of.code.to_string(),
            of.group.clone().unwrap_or_default(),
            of.rule.clone().unwrap_or_default(),
            of.message.clone(),
        ]
    }));
    let cut = checked.findings.len().saturating_sub(FINDINGS) as u64;
    let more =
        (cut > 0).then(|| format!("and {} more; `sgreplay check` prints all", text::count(cut)));
    let title = "What `check` says of the rules".to_owned();
    let tables = vec![Grid::new(Table { title, rows, more })];
    (!checked.findings.is_empty()).then(|| Section {
        id: "check",
        title: "Findings".to_owned(),
        tables,
        ..Section::default()
    })
}

fn inputs(
    rules: &[(&str, &RulesInput)],
    captures: &[CaptureInput],
    local: &Local,
    times: Option<(u64, u64)>,
) -> Section {
    let header = ["what", "file", "packets", "size", "sha256"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for (what, RulesInput { path, sha256, .. }) in rules {
        let none = String::new;
        rows.push(vec![(*what).to_owned(), path.clone(), none(), none(), sha256.clone()]);
    }
    for CaptureInput { path, size, frames, sha256, .. } in captures {
        rows.push(vec![
            "capture".to_owned(),
            path.clone(),
            text::count(*frames),
            text::bytes(*size),
            sha256.clone().unwrap_or_default(),
        ]);
    }
    let mut lines = Vec::new();
    if let Some((first, last)) = times {
        let (from, to) = (text::time(first), text::time(last));
        lines.push(format!("Traffic from {from} to {to}, {}.", text::duration(last - first)));
    }
    let trust = local.trust();
    lines.push(format!("Local addresses: {} ({trust}{}).", local.addresses.join(", "), local.why));
    let profiles = rules.iter().flat_map(|(_, of)| &of.profile);
    lines.extend(profiles.map(|profile| format!("Rules are {profile}.")));
    let table = Table { title: "Files this page was made from".to_owned(), rows, more: None };
    Section {
        id: "inputs",
        title: "Inputs".to_owned(),
        lines,
        tables: vec![Grid::new(table)],
        ..Section::default()
    }
}
