//! The exact difference of two rule sets: a row per region of header space whose verdict turns.

use std::io;

use serde::Serialize;
use serde_json::{Value, json};

use super::changes::DiffInputs;
use super::table::{Room, Table};
use super::{Cell, Rows, SCHEMA, text};
use crate::collect::Seen;
use crate::diff::{Effect, Turned};
use crate::escape::{Text, push_line};
use crate::flow::FlowTuple;
use crate::header_space::{AddressRange, Detail, Region};
use crate::labels::{BothLabels, Label};
use crate::rules::Assumption;
use crate::verdict::Verdict;

/// The keys of `diff -f json` without a capture.
#[derive(Debug, Serialize)]
pub struct RegionsSummary {
    schema: u32,
    version: &'static str,
    /// What it was made from.
    pub inputs: DiffInputs,
    /// Whether no packet has another verdict.
    pub equivalent: bool,
    /// In words.
    pub warnings: Vec<String>,
}

impl RegionsSummary {
    /// Sums a difference up.
    pub fn new(inputs: DiffInputs, turned: &[Turned], warnings: Vec<String>) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        Self { schema: SCHEMA, version, inputs, equivalent: turned.is_empty(), warnings }
    }
}

/// The columns of `diff -f csv` without a capture.
pub const REGION_COLUMNS: [&str; 17] = [
    "change",
    "interface",
    "direction",
    "services",
    "peers",
    "locals",
    "source_ports",
    "current_verdict",
    "current_group",
    "current_rule",
    "proposed_group",
    "proposed_rule",
    "example",
    "members_of",
    "current_layer",
    "proposed_layer",
    "replies",
];

/// Writes a row for each region.
pub fn region_rows(
    turned: &[Turned],
    labels: BothLabels<'_>,
    rows: &mut Rows<impl io::Write>,
) -> io::Result<()> {
    for one in turned {
        let (region, [current, proposed]) = (&one.region, &deciders(one, labels));
        let list = |texts: Vec<String>| Cell::Owned(texts.join(" "));
        rows.row(&[
            Cell::Text(one.effect.as_str()),
            Cell::Text(interface(one, labels)),
            Cell::Text(region.direction().as_str()),
            list(services(region)),
            list(addresses(&region.peers())),
            list(addresses(&region.locals())),
            list(ports(&region.source_ports())),
            Cell::Text(verdicts(one.effect)[0].as_str()),
            Cell::Text(&current.group),
            Cell::Text(&current.rule),
            Cell::Text(&proposed.group),
            Cell::Text(&proposed.rule),
            Cell::Owned(region.example().to_string()),
            list(one.members_of.groups().map(str::to_owned).collect()),
            Cell::Text(current.layer.as_str()),
            Cell::Text(proposed.layer.as_str()),
            Cell::Text(if one.replies { "yes" } else { "no" }),
        ])?;
    }
    Ok(())
}

/// The regions as JSON objects; with what was seen of each, where there is traffic.
pub fn regions_json(
    turned: &[Turned],
    labels: BothLabels<'_>,
    seen: Option<&[Seen]>,
) -> Vec<Value> {
    let object = |(n, one): (usize, &Turned)| {
        let region = &one.region;
        let [current, proposed] = &deciders(one, labels);
        let side = |label: &Label, verdict: Verdict| {
            json!({
                "verdict": verdict.as_str(),
                "reason": label.reason.as_str(),
                "group": label.group,
                "rule": label.rule,
                "layer": label.layer.as_str(),
            })
        };
        let [before, after] = verdicts(one.effect);
        let mut object = json!({
            "change": one.effect.as_str(),
            "interface": interface(one, labels),
            "direction": region.direction().as_str(),
            "current": side(current, before),
            "proposed": side(proposed, after),
        });
        if let Some(object) = object.as_object_mut() {
            object.extend(fields(region));
            object.insert("members_of".to_owned(), one.members_of.groups().collect());
            object.insert("replies".to_owned(), one.replies.into());
            if let Some(seen) = seen.and_then(|seen| seen.get(n)) {
                object.insert("connections".to_owned(), seen.connections.into());
                object.insert("first_frame".to_owned(), seen.first_frame.into());
            }
        }
        object
    };
    turned.iter().enumerate().map(object).collect()
}

/// A region's own keys.
pub(super) fn fields(region: &Region) -> [(String, Value); 5] {
    [
        ("services", services(region).into()),
        ("peers", addresses(&region.peers()).into()),
        ("locals", addresses(&region.locals()).into()),
        ("source_ports", ports(&region.source_ports()).into()),
        ("example", packet(&region.example())),
    ]
    .map(|(key, value)| (key.to_owned(), value))
}

/// The difference for people.
pub fn regions_text(
    summary: &RegionsSummary,
    turned: &[Turned],
    labels: BothLabels<'_>,
    room: Room,
) -> Text {
    let mut out = Text::default();
    let DiffInputs { current, proposed, .. } = &summary.inputs;
    for (title, rules) in [("current ", current), ("proposed", proposed)] {
        rules.line(&mut out, title);
    }
    push_line!(out, "by       sgreplay {}", env!("CARGO_PKG_VERSION"));
    for table in region_tables(turned, labels, None, room.lines) {
        out.append(&table.text(room.width));
    }
    if summary.equivalent {
        push_line!(out);
        push_line!(out, "The rule sets are equivalent: no packet has another verdict.");
    }
    for warning in &summary.warnings {
        push_line!(out);
        push_line!(out, "warning: {warning}");
    }
    out
}

/// A line in words for each region.
pub(super) fn turned_lines(turned: &[Turned], labels: BothLabels<'_>) -> Vec<(Effect, String)> {
    let line = |one: &Turned| {
        let [now, then] = reasons(one, labels);
        let interface = interface(one, labels);
        let members = match one.members_of.is_empty() {
            true => String::new(),
            false => format!(" for {}", members(&one.members_of)),
        };
        let words = one.effect.as_str().replace('_', " ");
        let direction = one.region.direction();
        (
            one.effect,
            format!(
                "{words}: {direction} {interface} {}{}{members}: now {now}; then {then}",
                if one.replies { "replies " } else { "" },
                one.region
            ),
        )
    };
    turned.iter().map(line).collect()
}

/// A table of regions for each effect, the largest first; with what was seen of each, where there is
/// traffic.
pub(super) fn region_tables(
    turned: &[Turned],
    labels: BothLabels<'_>,
    seen: Option<&[Seen]>,
    most: usize,
) -> Vec<Table> {
    let effects = [Effect::NewlyDenied, Effect::NewlyAllowed];
    let tables = effects.into_iter().map(|effect| {
        let of_effect = turned.iter().enumerate().filter(|(_, one)| one.effect == effect);
        let of_effect: Vec<(usize, &Turned)> = of_effect.collect();
        let regions = text::plural(of_effect.len() as u64, "region");
        let words = effect.as_str().replace('_', " ");
        let rest = of_effect.len().checked_sub(most).filter(|rest| *rest > 0);
        let regions_of = |rest: usize| text::plural(rest as u64, "region");
        Table {
            title: format!("{words} over all possible packets: {regions}"),
            rows: region_lines(&of_effect, labels, seen, most),
            more: rest.map(|rest| format!("and {} more; -f json lists all", regions_of(rest))),
        }
    });
    tables.filter(|table| table.rows.len() > 1).collect()
}

/// A line for each region, under a header.
fn region_lines(
    regions: &[(usize, &Turned)],
    labels: BothLabels<'_>,
    seen: Option<&[Seen]>,
    most: usize,
) -> Vec<Vec<String>> {
    let narrowed = regions.iter().any(|(_, one)| one.narrowed);
    let sources =
        regions.iter().any(|(_, one)| !one.replies && !one.region.source_ports().is_empty());
    let optional = [(narrowed, "local"), (sources, "source port"), (seen.is_some(), "seen")];
    let mut header = vec!["", "service", "peer"];
    header.extend(optional.into_iter().filter(|(shown, _)| *shown).map(|(_, name)| name));
    header.extend(["now", "then", "for example"]);
    let mut rows: Vec<Vec<String>> = vec![header.into_iter().map(str::to_owned).collect()];
    for (n, one) in regions.iter().take(most) {
        let (region, interface) = (&one.region, interface(one, labels));
        let mut row = vec![
            format!("{} {interface}", region.direction()),
            service_text(one),
            peers_text(region, &one.members_of),
        ];
        if narrowed {
            row.push(region.locals_text().unwrap_or_default());
        }
        if sources {
            row.push(if one.replies { String::new() } else { region.source_ports_text() });
        }
        if let Some(seen) = seen {
            let connections = seen.get(*n).map_or(0, |seen| seen.connections);
            row.push(match connections {
                0 => "never".to_owned(),
                some => text::plural(some, "connection"),
            });
        }
        row.extend(reasons(one, labels));
        row.push(region.example().to_string());
        rows.push(row);
    }
    rows
}

/// `tcp 22`; of answers the service, and the ports of its clients that they go to.
fn service_text(turned: &Turned) -> String {
    let region = &turned.region;
    match (turned.replies, region.source_ports_text().as_str()) {
        (false, _) => region.services_text(),
        (true, "") => format!("replies to {}", region.services_text()),
        (true, served) => format!("replies to {}, of port {served}", region.services_text()),
    }
}

/// Where it is: the interface's name in the rule set that has it.
fn interface<'l>(turned: &Turned, labels: BothLabels<'l>) -> &'l str {
    match turned.interfaces {
        [Some(at), _] => labels.current.interface(at),
        [None, now_at] => now_at.map_or("", |at| labels.proposed.interface(at)),
    }
}

/// What decides before the change and after it. Where a rule set does not have the group, that does.
fn deciders(turned: &Turned, labels: BothLabels<'_>) -> [Label; 2] {
    let direction = turned.region.direction();
    let [a, b] = turned.deciders;
    let sides =
        [(labels.current, turned.interfaces[0], a), (labels.proposed, turned.interfaces[1], b)];
    sides.map(|(labels_of, at, entry)| match at {
        Some(at) => labels_of.entry(at, direction, entry).clone(),
        None => Label::of_no_group(interface(turned, labels)),
    })
}

/// The same in words.
fn reasons(turned: &Turned, labels: BothLabels<'_>) -> [String; 2] {
    let mut sides = turned.interfaces.into_iter();
    deciders(turned, labels).map(|label| match sides.next().flatten() {
        Some(_) => label.because(label.reason),
        None => format!("there is no group {}", label.group),
    })
}

/// `members of sg-app`
pub(super) fn members(assumed: &Assumption) -> String {
    let groups: Vec<&str> = assumed.groups().collect();
    format!("members of {}", groups.join(" and of "))
}

/// The far side: addresses, or members of groups without known ones.
pub(super) fn peers_text(region: &Region, assumed: &Assumption) -> String {
    if assumed.is_empty() {
        return region.peers_text();
    }
    match region.peers_text().as_str() {
        "0.0.0.0/0" => format!("{} (IPv4)", members(assumed)),
        "::/0" => format!("{} (IPv6)", members(assumed)),
        peers => format!("{} in {peers}", members(assumed)),
    }
}

fn verdicts(effect: Effect) -> [Verdict; 2] {
    match effect {
        Effect::NewlyAllowed => [Verdict::Deny, Verdict::Allow],
        _ => [Verdict::Allow, Verdict::Deny],
    }
}

/// `tcp/22`, `tcp/8000-8999`, `icmp/3/4-3/4`, `gre`
pub(super) fn services(region: &Region) -> Vec<String> {
    let text = |service: crate::header_space::PortService| match service.detail {
        Detail::All => service.proto.to_string(),
        Detail::Ports(first, last) if first == last => format!("{}/{first}", service.proto),
        Detail::Ports(first, last) => format!("{}/{first}-{last}", service.proto),
        Detail::Icmp((a, b), (c, d)) => format!("{}/{a}/{b}-{c}/{d}", service.proto),
    };
    let services = region.services();
    if region.services_text() == "all" {
        return vec!["all".to_owned()];
    }
    services.into_iter().map(text).collect()
}

fn addresses(ranges: &[AddressRange]) -> Vec<String> {
    ranges.iter().map(AddressRange::to_string).collect()
}

fn ports(intervals: &[(u16, u16)]) -> Vec<String> {
    let text = |(first, last): &(u16, u16)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    intervals.iter().map(text).collect()
}

/// A packet, as the options of `explain` name it.
pub(super) fn packet(flow: &FlowTuple) -> Value {
    let (ports, icmp) = (flow.transport.ports(), flow.transport.icmp());
    json!({
        "src": flow.src,
        "dst": flow.dst,
        "proto": flow.proto.0,
        "sport": ports.map(|(src, _)| src),
        "dport": ports.map(|(_, dst)| dst),
        "icmp_type": icmp.map(|(kind, _)| kind),
        "icmp_code": icmp.map(|(_, code)| code),
    })
}
