//! The summary of a run, as a program reads it.

use std::collections::BTreeMap;
use std::iter;

use serde::Serialize;
use serde_json::{Map, Value};

use super::SCHEMA;
pub use crate::engine::{Local, RulesInput};
use crate::escape::{Text, push_line};
use crate::labels::{Label, Labels};
use crate::replay::Replay;
use crate::restrictions::Obstacle;
use crate::rules::{Entry, EntryKind, RuleSet};
pub use crate::sources::CaptureInput;
use crate::stats::{Count, FlowClass, Stats, UnevaluatedCount};

/// What the results were made from.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Inputs {
    /// The rules file.
    pub rules: RulesInput,
    /// The captures, in the order read.
    pub captures: Vec<CaptureInput>,
}

impl RulesInput {
    /// The line about it at the top of a report, under a title; and lines that say how its rules are judged.
    pub(super) fn line(&self, out: &mut Text, title: &str) {
        let Self { path, sha256, cloud: _, profile } = self;
        push_line!(out, "{title:8} {path}, sha256 {sha256}");
        for text in profile {
            push_line!(out, "{:8} {text}", "");
        }
    }
}

impl Local {
    /// How far to trust them, in a few words before the evidence.
    pub(super) fn trust(&self) -> &'static str {
        match (self.assumed, self.sure) {
            (false, _) => "",
            (true, true) => "inferred: ",
            (true, false) => "unsure: ",
        }
    }
}

/// What one rule did.
#[derive(Clone, Debug, Serialize)]
pub struct RuleCount {
    /// The group.
    pub group: String,
    /// The rule's id.
    pub rule: String,
    /// Its list.
    pub direction: &'static str,
    /// `accept` or `drop`.
    pub policy: &'static str,
    /// 1 to 100, or 110.
    pub priority: u32,
    /// Packets of the connections that it decided.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Connections that it decided.
    pub connections: u64,
}

/// A summary: the keys of `replay -f json`.
#[derive(Debug, Serialize)]
pub struct Summary {
    schema: u32,
    version: &'static str,
    /// What it was made from.
    pub inputs: Inputs,
    /// The local addresses.
    pub local: Local,
    packets: BTreeMap<&'static str, u64>,
    bytes: u64,
    first_time_ns: Option<u64>,
    last_time_ns: Option<u64>,
    connections: Value,
    strays: Value,
    unevaluated: Vec<UnevaluatedCount>,
    reasons: Map<String, Value>,
    /// Every rule, the unused ones too.
    pub rules: Vec<RuleCount>,
    decided: Vec<Value>,
    /// Sessions that were forgotten for want of memory.
    sessions_evicted: u64,
    /// What the traffic used of the rules, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Value>,
    /// A flow log's verdicts beside ours, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Value>,
    /// In words.
    pub warnings: Vec<String>,
    /// Why the run ended before the end of its input, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
}

impl Summary {
    /// Sums a replay up.
    pub fn new(
        rules: &RuleSet,
        replay: &Replay<'_>,
        inputs: Inputs,
        local: Local,
        warnings: Vec<String>,
    ) -> Self {
        let stats = replay.stats();
        let (packets, connections) = (stats.packets(), stats.connections());
        let midstream: Map<String, Value> =
            stats.midstream().map(|(how, count)| (how.as_str().to_owned(), count.into())).collect();
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            inputs,
            local,
            packets: BTreeMap::from([
                ("total", packets.total()),
                ("allowed", packets.allowed),
                ("denied", packets.denied),
                ("not_evaluated", packets.not_evaluated),
            ]),
            bytes: stats.bytes(),
            first_time_ns: stats.times().map(|(first, _)| first),
            last_time_ns: stats.times().map(|(_, last)| last),
            connections: serde_json::json!({
                "total": connections.total(),
                "allowed": connections.allowed,
                "denied": connections.denied,
                "cut": stats.cut(),
                "midstream": midstream,
            }),
            strays: strays_json(stats),
            unevaluated: stats.unevaluated().counts(),
            reasons: stats
                .reasons()
                .map(|(r, count)| (r.as_str().to_owned(), count.into()))
                .collect(),
            rules: rule_counts(rules, replay),
            decided: Vec::new(),
            sessions_evicted: replay.sessions_evicted(),
            coverage: None,
            recorded: None,
            warnings,
            partial: None,
        }
    }

    /// Adds the kinds of connections, which only programs want to read: there may be 100,000 of them.
    #[must_use]
    pub fn with_decided(mut self, replay: &Replay<'_>, labels: &Labels) -> Self {
        let kinds = replay.stats().flow_classes();
        self.decided = kinds.map(|(kind, count)| decided(kind, count, replay, labels)).collect();
        self
    }
}

/// Packets without SYN after their connection closed.
pub(super) fn strays_json(stats: &Stats) -> Value {
    let strays = stats.strays();
    serde_json::json!({
        "packets": strays.total(),
        "allowed": strays.allowed,
        "denied": strays.denied,
    })
}

/// Every rule in file order, with what it did at all interfaces.
pub fn rule_counts(rules: &RuleSet, replay: &Replay<'_>) -> Vec<RuleCount> {
    let mut counts: BTreeMap<(usize, usize), Count> = BTreeMap::new();
    #[expect(clippy::iter_over_hash_type, reason = "sums do not depend on the order")]
    for ((interface, direction, index), found) in replay.stats().by_entry() {
        let entry = replay.entries(interface, direction).get(index.0 as usize);
        let Some(Entry { kind, through, .. }) = entry else { continue };
        for kind in iter::once(kind).chain(through) {
            if let EntryKind::Rule { group, rule } = *kind {
                let count = counts.entry((group, rule)).or_default();
                *count = *count + found;
            }
        }
    }
    let all = rules.groups().iter().enumerate();
    let all = all.flat_map(|(g, group)| {
        group.rules.iter().enumerate().map(move |(r, rule)| (g, group, r, rule))
    });
    all.map(|(g, group, r, rule)| {
        let Count { packets, bytes, connections } =
            counts.get(&(g, r)).copied().unwrap_or_default();
        RuleCount {
            group: group.id.clone(),
            rule: rule.id.to_string(),
            direction: rule.direction.as_str(),
            policy: rule.policy.as_str(),
            priority: rule.priority.get(),
            packets,
            bytes,
            connections,
        }
    })
    .collect()
}

fn decided(kind: &FlowClass, count: Count, replay: &Replay<'_>, labels: &Labels) -> Value {
    let Label { group, rule, layer, .. } = labels.entry(kind.interface, kind.direction, kind.entry);
    let (verdict, reason) = replay.answer(kind);
    let FlowClass {
        interface,
        direction,
        entry: _,
        example,
        first_frame,
        peers,
        obstacle,
        special: _,
    } = kind;
    serde_json::json!({
        "interface": labels.interface(*interface),
        "direction": direction.as_str(),
        "verdict": verdict.as_str(),
        "reason": reason.as_str(),
        "group": group,
        "rule": rule,
        "layer": layer.as_str(),
        "proto": example.proto.0,
        "dport": example.transport.ports().map(|(_, dst)| dst),
        "icmp_type": example.transport.icmp().map(|(kind, _)| kind),
        "connections": count.connections,
        "packets": count.packets,
        "bytes": count.bytes,
        "obstacle": obstacle.map(Obstacle::as_str),
        "first_frame": first_frame,
        "peers": peers.first(),
        "peer_count": peers.count().number(),
        "peer_count_exact": peers.count().is_exact(),
    })
}
