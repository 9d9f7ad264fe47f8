//! Changed connections: a row for each, and grouped for people.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::flow_cells::flow_cells;
use super::summary::{CaptureInput, Local, RulesInput, strays_json};
use super::table::{Room, Table};
use super::{Cell, CommunityId, Rows, SCHEMA, region_tables, text};
use crate::collect::{Changed, Group, Kind};
use crate::diff::{Change, Diff, Effect, Effects, Side, Turned};
use crate::escape::{Text, push_line};
use crate::labels::{BothLabels, Labels};
use crate::stats::UnevaluatedCount;

/// What a difference was made from.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DiffInputs {
    /// The current rules.
    pub current: RulesInput,
    /// The proposed rules.
    pub proposed: RulesInput,
    /// The captures, in the order named.
    pub captures: Vec<CaptureInput>,
}

/// The keys of `diff -f json`.
#[derive(Debug, Serialize)]
pub struct DiffSummary {
    schema: u32,
    version: &'static str,
    /// What it was made from.
    pub inputs: DiffInputs,
    /// The local addresses.
    pub local: Local,
    connections: BTreeMap<&'static str, u64>,
    packets: BTreeMap<&'static str, u64>,
    strays: Value,
    unevaluated: Vec<UnevaluatedCount>,
    /// What was accepted beforehand, with the number of connections that each entry accepts.
    accepted: Vec<Value>,
    first_time_ns: Option<u64>,
    last_time_ns: Option<u64>,
    /// In words.
    pub warnings: Vec<String>,
    /// Why the run ended before the end of its input, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
}

impl DiffSummary {
    /// Sums a difference up.
    pub fn new(
        diff: &Diff<'_>,
        changed: &Changed<'_>,
        inputs: DiffInputs,
        local: Local,
        warnings: Vec<String>,
    ) -> Self {
        let accepted = changed.labels.accepted;
        let entries = accepted.entries().iter().zip(changed.by_entry()).enumerate();
        let accepted = entries.map(|(n, (entry, connections))| {
            json!({"entry": entry, "expired": accepted.expired(n), "connections": connections})
        });
        let times = diff.current().stats().times();
        let counts = |effects: Effects| {
            Effect::ALL
                .iter()
                .copied()
                .map(|effect| (effect.as_str(), effects.count(effect)))
                .collect()
        };
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            inputs,
            local,
            connections: counts(diff.connections()),
            packets: counts(diff.packets()),
            strays: strays_json(diff.proposed().stats()),
            unevaluated: diff.proposed().stats().unevaluated().counts(),
            accepted: accepted.collect(),
            first_time_ns: times.map(|(first, _)| first),
            last_time_ns: times.map(|(_, last)| last),
            warnings,
            partial: None,
        }
    }
}

/// The columns of `diff -f csv`.
pub const CHANGE_COLUMNS: [&str; 24] = [
    "change",
    "community_id",
    "first_frame",
    "first_time_ns",
    "last_time_ns",
    "src",
    "dst",
    "proto",
    "sport",
    "dport",
    "icmp_type",
    "packets",
    "bytes",
    "current_verdict",
    "current_reason",
    "current_group",
    "current_rule",
    "proposed_verdict",
    "proposed_reason",
    "proposed_group",
    "proposed_rule",
    "accepted",
    "current_layer",
    "proposed_layer",
];

/// Writes a row for each of some changed connections.
pub fn change_rows(
    changes: &[Change],
    labels: BothLabels<'_>,
    rows: &mut Rows<impl io::Write>,
) -> io::Result<()> {
    changes.iter().try_for_each(|change| rows.row(&change_cells(change, labels)))
}

/// The cells of a changed connection under [`CHANGE_COLUMNS`].
pub(crate) fn change_cells<'l>(
    change: &Change,
    labels: BothLabels<'l>,
) -> [Cell<'l>; CHANGE_COLUMNS.len()] {
    let Change { effect, flow, current, proposed, first_frame, times, packets, bytes, .. } = change;
    let [now, then] = [(labels.current, current), (labels.proposed, proposed)];
    let side = |(labels, side): (&'l Labels, &Side)| {
        let found = labels.side(side);
        let decided = [
            Cell::Text(side.verdict.as_str()),
            Cell::Text(side.reason.as_str()),
            found.map_or(Cell::Empty, |label| Cell::Text(&label.group)),
            found.map_or(Cell::Empty, |label| Cell::Text(&label.rule)),
        ];
        (decided, found.map_or(Cell::Empty, |label| Cell::Text(label.layer.as_str())))
    };
    let ([verdict_now, reason_now, group_now, rule_now], layer_now) = side(now);
    let ([verdict_then, reason_then, group_then, rule_then], layer_then) = side(then);
    let [id, frame, first_time, last_time, src, dst, proto, sport, dport, icmp] =
        flow_cells(flow, *first_frame, *times);
    [
        Cell::Text(effect.as_str()),
        id,
        frame,
        first_time,
        last_time,
        src,
        dst,
        proto,
        sport,
        dport,
        icmp,
        Cell::Number(*packets),
        Cell::Number(*bytes),
        verdict_now,
        reason_now,
        group_now,
        rule_now,
        verdict_then,
        reason_then,
        group_then,
        rule_then,
        labels.reason(change).map_or(Cell::Empty, Cell::Text),
        layer_now,
        layer_then,
    ]
}

/// A difference with the changed connections that are kept, in order of opening, as `diff -f json` prints it. Objects
/// are made as they are written: there may be many.
#[derive(Debug)]
pub struct DiffJson<'d> {
    /// The rest, an object.
    pub rest: Value,
    /// The changes.
    pub changed: &'d Changed<'d>,
}

impl Serialize for DiffJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const KEY: &str = "changes";
        let rest: Vec<(&String, &Value)> = self.rest.as_object().into_iter().flatten().collect();
        let (before, behind): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|(key, _)| key.as_str() < KEY);
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in before {
            map.serialize_entry(key, value)?;
        }
        map.serialize_entry(KEY, &Changes(self.changed))?;
        for (key, value) in behind {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

struct Changes<'d>(&'d Changed<'d>);

impl Serialize for Changes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let labels = self.0.labels;
        let mut changes: Vec<&Change> = self.0.list().iter().collect();
        changes.sort_by_key(|change| change.first_frame);
        serializer.collect_seq(changes.into_iter().map(|change| ChangeJson::new(change, labels)))
    }
}

/// The keys of a change, in the order of all objects that are printed.
#[derive(Serialize)]
struct ChangeJson<'d> {
    accepted: Option<&'d str>,
    bytes: u64,
    change: &'static str,
    community_id: CommunityId,
    current: SideJson<'d>,
    dport: Option<u16>,
    dst: IpAddr,
    first_frame: u64,
    first_time_ns: Option<u64>,
    icmp_type: Option<u8>,
    last_time_ns: Option<u64>,
    packets: u64,
    proposed: SideJson<'d>,
    proto: u8,
    sport: Option<u16>,
    src: IpAddr,
}

impl<'d> ChangeJson<'d> {
    fn new(change: &Change, labels: BothLabels<'d>) -> Self {
        let flow = &change.flow;
        let ports = flow.transport.ports();
        Self {
            accepted: labels.reason(change),
            bytes: change.bytes,
            change: change.effect.as_str(),
            community_id: CommunityId::new(flow),
            current: SideJson::new(labels.current, &change.current),
            dport: ports.map(|(_, dst)| dst),
            dst: flow.dst,
            first_frame: change.first_frame,
            first_time_ns: change.times.map(|(first, _)| first),
            icmp_type: flow.transport.icmp().map(|(kind, _)| kind),
            last_time_ns: change.times.map(|(_, last)| last),
            packets: change.packets,
            proposed: SideJson::new(labels.proposed, &change.proposed),
            proto: flow.proto.0,
            sport: ports.map(|(src, _)| src),
            src: flow.src,
        }
    }
}

#[derive(Serialize)]
struct SideJson<'d> {
    group: Option<&'d str>,
    layer: Option<&'static str>,
    reason: &'static str,
    rule: Option<&'d str>,
    verdict: &'static str,
}

impl<'d> SideJson<'d> {
    fn new(labels: &'d Labels, side: &Side) -> Self {
        let found = labels.side(side);
        Self {
            group: found.map(|label| label.group.as_str()),
            layer: found.map(|label| label.layer.as_str()),
            reason: side.reason.as_str(),
            rule: found.map(|label| label.rule.as_str()),
            verdict: side.verdict.as_str(),
        }
    }
}

/// The difference for people.
pub fn diff_text(
    summary: &DiffSummary,
    diff: &Diff<'_>,
    turned: &[Turned],
    changed: &Changed<'_>,
    room: Room,
) -> Text {
    let mut out = Text::default();
    let DiffInputs { current, proposed, captures } = &summary.inputs;
    out.append(&super::table::table(&counts(diff)));
    for table in change_tables(diff, changed, room.lines) {
        out.append(&table.text(room.width));
    }
    if changed.is_empty() {
        push_line!(out);
        push_line!(out, "{}", unchanged(diff));
    }
    for table in region_tables(turned, changed.labels, Some(changed.seen()), room.lines) {
        out.append(&table.text(room.width));
    }
    push_line!(out);
    let all = room.lines > super::table::SHOWN;
    text::captures(&mut out, captures, diff.current().stats().times(), all);
    for (title, rules) in [("current ", current), ("proposed", proposed)] {
        rules.line(&mut out, title);
    }
    text::made_by(&mut out, &summary.local, summary.partial.as_deref());
    for warning in &summary.warnings {
        push_line!(out);
        push_line!(out, "warning: {warning}");
    }
    out
}

/// What is to be said where no connection is changed.
pub(super) fn unchanged(diff: &Diff<'_>) -> &'static str {
    let packets = diff.proposed().stats().packets();
    match packets.allowed + packets.denied {
        0 => "No packet was judged, so nothing is known of what the change does to this traffic.",
        _ => "The change does nothing to this traffic.",
    }
}

pub(super) fn words(effect: Effect) -> String {
    effect.as_str().replace('_', " ")
}

/// Packets and connections by effect, under a header.
pub(super) fn counts(diff: &Diff<'_>) -> Vec<Vec<String>> {
    let mut header = vec![String::new(), "total".to_owned()];
    header.extend(Effect::ALL.iter().copied().map(words));
    let row = |name: &str, effects: Effects| {
        let counts = Effect::ALL.iter().map(|&effect| text::count(effects.count(effect)));
        let total = text::count(effects.total());
        [name.to_owned(), total].into_iter().chain(counts).collect()
    };
    let (packets, connections) = (diff.packets(), diff.connections());
    vec![header, row("packets", packets), row("connections", connections)]
}

/// The answer in one sentence: what the proposal cuts and opens, and the greatest part of that.
pub(super) fn sentence(diff: &Diff<'_>, changed: &Changed<'_>) -> String {
    let connections = diff.connections();
    let total = text::plural(connections.total(), "connection");
    let part = |verb: &str, effect: Effect| {
        let n = connections.count(effect);
        let groups = changed.groups(effect);
        let (Kind { place, service, then, .. }, net, group) = groups.first()?;
        let which = match group.connections == n {
            true => String::new(),
            false => format!("{} of them ", text::count(group.connections)),
        };
        let from = if place.starts_with("egress") { "to" } else { "from" };
        Some(format!(
            "{verb} {} of {total}: {which}{service} {from} {}, by {then}",
            text::count(n),
            group.peers(net)
        ))
    };
    let parts: Vec<String> = [("cuts", Effect::NewlyDenied), ("opens", Effect::NewlyAllowed)]
        .into_iter()
        .filter_map(|(verb, effect)| part(verb, effect))
        .collect();
    match parts.as_slice() {
        [] if connections.total() == 0 => unchanged(diff).to_owned(),
        [] => format!("The proposal changes the verdict of none of {total}."),
        parts => format!("The proposal {}.", parts.join("; it ")),
    }
}

/// A line in words for each group of changed connections that nobody has accepted.
pub(super) fn change_lines(changed: &Changed<'_>) -> Vec<(Effect, String)> {
    let effects = [Effect::NewlyDenied, Effect::NewlyAllowed, Effect::OtherRule];
    let lines = effects.into_iter().flat_map(|effect| {
        let open = changed.groups(effect).into_iter().filter(|(kind, ..)| !kind.accepted);
        open.map(move |(Kind { place, service, now, then, .. }, net, group)| {
            let connections = text::plural(group.connections, "connection");
            let who = group.peers(&net);
            let frame = group.first_frame;
            let line = format!(
                "{}: {connections} {place} {service} of {who} (frame {frame}): now {now}; then {then}",
                words(effect),
            );
            (effect, line)
        })
    });
    lines.collect()
}

/// A table for each effect that connections have, the worst first.
pub(super) fn change_tables(diff: &Diff<'_>, changed: &Changed<'_>, most: usize) -> Vec<Table> {
    let span = diff.current().stats().times().map_or(0, |(first, last)| last - first);
    let connections = diff.connections();
    let effects = [Effect::NewlyDenied, Effect::NewlyAllowed, Effect::OtherRule];
    let tables = effects.into_iter().map(|effect| {
        let title = format!(
            "{}: {} of {}, in {} of traffic",
            words(effect),
            text::count(connections.count(effect)),
            text::plural(connections.total(), "connection"),
            text::duration(span),
        );
        table(title, &changed.groups(effect), most)
    });
    tables.filter(|table| table.rows.len() > 1).collect()
}

fn table(title: String, groups: &[(&Kind, IpNet, &Group)], most: usize) -> Table {
    let header =
        ["connections", "packets", "bytes", "", "service", "peer", "frame", "when", "now", "then"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for (Kind { place, service, now, then, .. }, net, group) in groups.iter().take(most) {
        rows.push(vec![
            text::count(group.connections),
            text::count(group.packets),
            text::bytes(group.bytes),
            place.clone(),
            service.clone(),
            group.peers(net),
            group.first_frame.to_string(),
            group.times.map_or_else(String::new, |(first, last)| text::clock(first, last)),
            now.clone(),
            then.clone(),
        ]);
    }
    let rest = groups.get(most..).filter(|rest| !rest.is_empty());
    let more = rest.map(|rest| {
        let connections: u64 = rest.iter().map(|(.., group)| group.connections).sum();
        format!(
            "and {} more lines with {}; -f csv lists every connection",
            text::count(rest.len() as u64),
            text::plural(connections, "connection"),
        )
    });
    Table { title, rows, more }
}
