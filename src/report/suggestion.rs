//! Suggested rules: a rules file whose first lines are its account.

use std::fmt::Write;

use serde_json::{Value, json};

use super::summary::{CaptureInput, Local, RulesInput};
use super::{SCHEMA, text};
use crate::escape::{Text, push_line};
use crate::parse::print;
use crate::rules::RuleSet;
use crate::suggest::{self, Observation, Widening};
use crate::yaml;

/// What rules were learned from.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The rules whose allowed connections were looked at, if not all were.
    pub rules: Option<RulesInput>,
    /// The captures.
    pub captures: Vec<CaptureInput>,
    /// The local addresses.
    pub local: Local,
    /// Time of the first and the last connection learned from.
    pub times: Option<(u64, u64)>,
    /// Connections learned from.
    pub connections: u64,
    /// Connections left out as scans.
    pub scans: u64,
    /// Connections that no rule can name.
    pub unnamed: u64,
    /// In words.
    pub warnings: Vec<String>,
}

/// What a bound would come to.
#[derive(Clone, Copy, Debug)]
pub struct AggregationStep {
    /// The bound.
    pub bound: Widening,
    /// Rules, as the cloud counts them.
    pub rules: usize,
    /// Address and port pairs opened, for each that was seen.
    pub opens: f64,
    /// Whether it is the suggested one.
    pub chosen: bool,
}

/// What rules learned from the first part of the traffic would have done to the rest.
#[derive(Clone, Debug)]
pub struct Holdout {
    /// Connections of the rest.
    pub connections: u64,
    /// Those of them that would have been cut, by service and peer.
    pub cut: Vec<Observation>,
}

impl Holdout {
    fn percent(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a percentage")]
        let percent = suggest::count(&self.cut) as f64 * 100.0 / self.connections.max(1) as f64;
        percent
    }
}

/// The rules file, with its account as a comment.
pub fn suggestion_yaml(
    learned: &Learned,
    steps: &[AggregationStep],
    holdout: Option<&Holdout>,
    rules: &RuleSet,
) -> String {
    let mut out = String::new();
    for line in account(learned, steps, holdout).as_str().lines() {
        let _ = writeln!(out, "# {line}");
    }
    out.push_str(&print(rules));
    // Blank comment lines end with the sign.
    out.replace("# \n", "#\n")
}

fn account(learned: &Learned, steps: &[AggregationStep], holdout: Option<&Holdout>) -> Text {
    let mut out = Text::default();
    let Learned { rules, captures, local, times, connections, scans, unnamed, warnings } = learned;
    push_line!(out, "suggested by sgreplay {}", env!("CARGO_PKG_VERSION"));
    text::captures(&mut out, captures, *times, true);
    if let Some(RulesInput { path, sha256, .. }) = rules {
        push_line!(out, "allowed  by {path}, sha256 {sha256}");
    }
    let trust = local.trust();
    push_line!(out, "local    {} ({trust}{})", local.addresses.join(", "), local.why);
    let left_out = match scans {
        0 => String::new(),
        scans => format!("; {} left out as scans", text::plural(*scans, "connection")),
    };
    let learned_from = text::plural(*connections, "connection");
    push_line!(out, "learned  from {learned_from}{left_out}");
    push_line!(out);
    if let Some(chosen) = steps.iter().find(|step| step.chosen) {
        let bound = match chosen.bound {
            Widening::EXACT => "of the addresses that were seen".to_owned(),
            Widening { v4, v6 } => format!("of networks no larger than /{v4} and /{v6}"),
        };
        push_line!(
            out,
            "These rules allow every one of them, and nothing but the same services {bound}."
        );
    }
    push_line!(
        out,
        "Choose by what other bounds come to; rules are counted as the cloud counts, with those that close egress,"
    );
    push_line!(out, "and what is opened in pairs of a port and an address (in IPv6: a /64):");
    let mut rows = vec![["networks", "rules", "opens", ""].map(str::to_owned).to_vec()];
    for AggregationStep { bound, rules, opens, chosen } in steps {
        rows.push(vec![
            format!("/{}, /{}", bound.v4, bound.v6),
            text::count(*rules as u64),
            format!("{} x seen", magnitude(*opens)),
            if *chosen { "these" } else { "" }.to_owned(),
        ]);
    }
    out.append(&super::table::table(&rows));
    if let Some(of) = holdout {
        push_line!(out);
        push_line!(
            out,
            "Of {} in the rest of the time they would have cut {} ({:.2} %).",
            text::plural(of.connections, "connection"),
            text::count(suggest::count(&of.cut)),
            of.percent(),
        );
        for one in of.cut.iter().take(SHOWN) {
            let more = match one.connections {
                1 => String::new(),
                all => format!(" and {} more", text::count(all - 1)),
            };
            push_line!(out, "  cut: {} {}{more}", one.direction, one.flow);
        }
        if let Some(more) = of.cut.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            push_line!(out, "  and {more} more; -f json lists all");
        }
    }
    if *unnamed > 0 {
        let connections = text::plural(*unnamed, "connection");
        push_line!(out);
        push_line!(out, "warning: {connections} to port 0, which no rule can name, will be cut");
    }
    for warning in warnings {
        push_line!(out);
        push_line!(out, "warning: {warning}");
    }
    out
}

const SHOWN: usize = 8;

/// `1.0`, `350`, `2^40`
fn magnitude(number: f64) -> String {
    if number < 10.0 {
        format!("{number:.1}")
    } else if number < 1e9 {
        format!("{number:.0}")
    } else {
        format!("2^{:.0}", number.log2())
    }
}

/// The same for programs; the rules under `rules_file`, as in a rules file written as JSON.
pub fn suggestion_json(
    learned: &Learned,
    steps: &[AggregationStep],
    holdout: Option<&Holdout>,
    rules: &RuleSet,
) -> Value {
    let step = |step: &AggregationStep| {
        json!({
            "v4": step.bound.v4,
            "v6": step.bound.v6,
            "rules": step.rules,
            "opens_times_seen": step.opens,
            "chosen": step.chosen,
        })
    };
    let file: Value = yaml::read(&print(rules)).unwrap_or_default();
    json!({
        "schema": SCHEMA,
        "version": env!("CARGO_PKG_VERSION"),
        "inputs": {"rules": learned.rules, "captures": learned.captures},
        "local": learned.local,
        "first_time_ns": learned.times.map(|(first, _)| first),
        "last_time_ns": learned.times.map(|(_, last)| last),
        "connections": learned.connections,
        "scans_left_out": learned.scans,
        "connections_no_rule_can_name": learned.unnamed,
        "steps": steps.iter().map(step).collect::<Vec<_>>(),
        "holdout": holdout.map(|of| json!({
            "connections": of.connections,
            "cut": of.cut.iter().map(|one| json!({
                "direction": one.direction.as_str(),
                "packet": super::regions::packet(&one.flow),
                "connections": one.connections,
            })).collect::<Vec<_>>(),
        })),
        "warnings": learned.warnings,
        "rules_file": file,
    })
}
