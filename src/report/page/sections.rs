//! Sections that pages of a replay and of a difference share.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use ipnet::IpNet;

use super::grid::{Grid, Plot, Section, class};
use super::plot;
use crate::check::Checked;
use crate::collect::{ByClass, Overview, TrafficClass};
use crate::report::table::Table;
use crate::report::{CaptureInput, Local, RuleCount, RulesInput, text};
use crate::rules::services;

/// The most rules listed.
const MOST_RULES: usize = 500;

/// The most networks and services of the matrix.
const MOST_NETWORKS: usize = 15;
const MOST_SERVICES: usize = 10;

/// The most findings listed; `check` prints all.
const FINDINGS: usize = 100;

fn unit(stateful: bool) -> &'static str {
    if stateful { "Connections" } else { "Packets" }
}

pub(super) fn timeline(overview: &Overview, stateful: bool) -> Section {
    let timeline = &overview.timeline;
    let mut section = Section { id: "timeline", title: "When".to_owned(), ..Section::default() };
    let plots = [(0, format!("{} over time", unit(stateful))), (1, "Bytes over time".to_owned())];
    for (which, title) in plots {
        let drawings = plot::bars(timeline, which);
        section.plots.extend(drawings.map(|drawings| Plot { title, drawings }));
    }
    let used: Vec<TrafficClass> = TrafficClass::ALL
        .iter()
        .copied()
        .filter(|class| {
            let all = timeline.bars.values().flatten();
            all.filter_map(|of| of.get(*class as usize)).any(|amount| *amount > 0)
        })
        .collect();
    section.legend = used.iter().map(|class| (class.as_str(), plot::fill(*class))).collect();
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

/// Verdicts by network and service.
pub(super) fn matrix(overview: &Overview, stateful: bool) -> Section {
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
    grid.is_matrix = true;
    // The kind that changes most stands for a cell of several.
    let ranks = ["newly denied", "newly allowed", "denied"];
    for cell in grid.rows.iter_mut().flat_map(|row| row.iter_mut().skip(1)) {
        let kind = ranks.into_iter().find(|kind| cell.text.contains(kind));
        cell.class = kind.map_or("", class);
    }
    section.tables.push(grid);
    section
}

/// Every rule with its counts; unused rules are marked.
pub(super) fn rules(all: &[RuleCount]) -> Section {
    let mut sorted: Vec<&RuleCount> = all.iter().collect();
    sorted.sort_by_key(|rule| Reverse(rule.packets));
    let mut rows = text::rule_rows(sorted.iter().copied().take(MOST_RULES));
    if let Some((header, rows)) = rows.split_first_mut() {
        let unnamed = header.iter_mut().filter(|name| name.is_empty());
        unnamed.zip(["direction", "policy"]).for_each(|(name, is)| is.clone_into(name));
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
        if let Some(cell) = row.first_mut() {
            cell.anchor = Some(anchor(&format!("rule-{}-{}", rule.group, rule.rule)));
        }
    }
    Section { id: "rules", title: "Rules".to_owned(), tables: vec![grid], ..Section::default() }
}

/// A word for a fragment of the page, which others may link to.
fn anchor(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    name.chars().map(plain).collect()
}

pub(super) fn connections(overview: &Overview, rest: &str) -> Section {
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

pub(super) fn midstream(line: Option<String>) -> Option<Section> {
    let title = "Connections without an opening packet".to_owned();
    line.map(|line| Section { id: "midstream", title, lines: vec![line], ..Section::default() })
}

pub(super) fn findings(checked: &Checked) -> Option<Section> {
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

pub(super) fn inputs(
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
