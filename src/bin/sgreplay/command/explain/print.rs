//! The walk of a packet through the rules, as text and as JSON.

use std::io::Write;

use serde_json::{Value, json};
use sgreplay::escape::{self, Text};
use sgreplay::evaluate::Examined;
use sgreplay::flow::{Direction, FlowTuple};
use sgreplay::labels::Label;
use sgreplay::report::SCHEMA;
use sgreplay::rules::{Addresses, EntryIndex, EntryKind, Layer, MatchStep, Matcher, Policy};
use sgreplay::verdict::{Reason, Verdict};

use super::remedy::Remedy;
use super::{Explained, Opening};
use crate::args::TextOrJson;
use crate::command::{pretty, stdout};
use crate::exit::{ExitStatus, Failure};
use crate::terminal;

pub(super) fn not_evaluated(
    format: TextOrJson,
    frame: u64,
    reason: Reason,
    flow: Option<FlowTuple>,
) -> Result<ExitStatus, Failure> {
    let mut out = stdout();
    let verdict = Verdict::NotEvaluated.as_str();
    match format {
        TextOrJson::Json => {
            let (group, rule) = (Value::Null, Value::Null);
            let answer = json!({
                "schema": SCHEMA, "verdict": verdict, "reason": reason.as_str(),
                "group": group, "rule": rule, "steps": [],
            });
            write!(out, "{}", pretty(&answer)?)?;
        }
        TextOrJson::Text => {
            let flow = flow.map_or_else(String::new, |flow| format!("  {flow}"));
            writeln!(out, "frame {frame}{flow}\nnot evaluated: {}", reason.as_str())?;
        }
    }
    out.flush()?;
    Ok(ExitStatus::Done)
}

pub(super) fn print(format: TextOrJson, explained: &[Explained<'_>]) -> Result<(), Failure> {
    let mut out = stdout();
    match format {
        TextOrJson::Text => {
            for (n, one) in explained.iter().enumerate() {
                let newline = if n == 0 { "" } else { "\n" };
                let mut text = text(one);
                if let Some(remedy) = Remedy::new(one) {
                    text.append(&remedy.text());
                }
                write!(out, "{newline}{}", terminal::colored(text.into()))?;
            }
        }
        TextOrJson::Json => {
            // The packet's answer is that of the first interface to deny it.
            let denied = explained.iter().find(|one| one.verdict == Verdict::Deny);
            let Some(deciding) = denied.or(explained.first()) else { return Ok(()) };
            let mut answer = object(deciding);
            if let Value::Object(keys) = &mut answer {
                keys.insert("schema".to_owned(), SCHEMA.into());
                if explained.len() > 1 {
                    keys.insert("interfaces".to_owned(), explained.iter().map(object).collect());
                }
            }
            write!(out, "{}", pretty(&answer)?)?;
        }
    }
    Ok(out.flush()?)
}

fn object(one: &Explained<'_>) -> Value {
    let (steps, reply) = (one.steps(), one.reply_steps());
    let stopped = reply.last().filter(|_| one.verdict == Verdict::Deny);
    let decider = stopped.or(steps.last()).map(|(label, _)| label);
    let step = |(label, step): &(Label, Examined<'_>)| {
        json!({
            "group": label.group,
            "rule": label.rule,
            "layer": label.layer.as_str(),
            "matched": step.failed_on.is_none(),
            "failed_on": step.failed_on.map(MatchStep::as_str),
        })
    };
    let mut object = json!({
        "verdict": one.verdict.as_str(),
        "reason": one.reason.as_str(),
        "group": decider.map(|label| &label.group),
        "rule": decider.map(|label| &label.rule),
        "layer": decider.map(|label| label.layer.as_str()),
        "interface": one.interface_name(),
        "direction": one.direction.as_str(),
        "flow": one.flow.to_string(),
        "opening": {
            "frame": one.opening.frame,
            "direction": one.opening.direction.as_str(),
            "flow": one.opening.flow.to_string(),
        },
        "steps": steps.iter().map(step).collect::<Vec<_>>(),
        "remedy": Remedy::new(one).map(|remedy| remedy.json()),
    });
    if let (Some(keys), false) = (object.as_object_mut(), reply.is_empty()) {
        keys.insert("reply_steps".to_owned(), reply.iter().map(step).collect());
    }
    object
}

pub(super) fn text(one: &Explained<'_>) -> Text {
    let (steps, reply) = (one.steps(), one.reply_steps());
    let mut out = Text::default();
    out.line(format_args!("{} {}  {}", one.direction, one.interface_name(), one.flow));
    let later =
        matches!(one.reason, Reason::Session | Reason::ConnectionDenied) || !reply.is_empty();
    let inferred = one.flow != one.opening.flow;
    if let Some(frame) = one.opening.frame.filter(|_| later || inferred) {
        let Opening { flow, direction, .. } = one.opening;
        out.line(format_args!(
            "belongs to the connection opened by frame {frame}: {direction} {flow}"
        ));
    }
    walk(&mut out, one, &steps, one.opening.direction);
    if !reply.is_empty() {
        out.line("a network ACL remembers no connections, and looks at the reply itself");
        walk(&mut out, one, &reply, one.direction);
    }
    let stopped = reply.last().filter(|_| one.verdict == Verdict::Deny);
    let why = match (stopped, steps.last()) {
        (Some((label, _)), _) => format!("reply stopped by {} of {}", label.rule, label.group),
        (None, Some((label, _))) => label.because(one.reason),
        (None, None) => one.reason.as_str().to_owned(),
    };
    out.line(format_args!("{}: {why}", one.verdict.as_str()));
    out
}

/// More entries of system traffic one after the other that do not match share a line.
const LONGEST_RUN: usize = 5;

/// The steps, under the layers that they are of.
fn walk(
    out: &mut Text,
    one: &Explained<'_>,
    steps: &[(Label, Examined<'_>)],
    direction: Direction,
) {
    let (mut last, mut folded) = (None, false);
    let is_passed = |step: &Examined<'_>| {
        step.failed_on.is_some() && matches!(step.entry.kind, EntryKind::System(_))
    };
    for (n, (label, step)) in steps.iter().enumerate() {
        let starts = step.index == EntryIndex(0) || last != Some(label.layer);
        if one.is_layered() && starts {
            let heading = match label.layer {
                Layer::SecurityGroup => "security groups",
                Layer::NetworkAcl => "network ACL",
            };
            out.line(format_args!("      {heading}:"));
        }
        last = Some(label.layer);
        if is_passed(step) {
            let before = n.checked_sub(1).and_then(|n| steps.get(n));
            let goes_on =
                before.is_some_and(|(of, step)| of.layer == label.layer && is_passed(step));
            let rest = steps.get(n..).unwrap_or_default();
            let run =
                rest.iter().take_while(|(of, step)| of.layer == label.layer && is_passed(step));
            let run = run.count();
            if goes_on && folded {
                continue;
            }
            folded = run > LONGEST_RUN;
            if folded {
                out.line(format_args!("      {run} kinds of system traffic do not match"));
                continue;
            }
        }
        let policy = step.entry.policy.as_str();
        let priority = match step.entry.kind {
            EntryKind::Rule { group, rule } => {
                let rule = one.rules.groups().get(group).and_then(|group| group.rules.get(rule));
                rule.map_or_else(String::new, |rule| format!("priority {}", rule.priority.get()))
            }
            _ => String::new(),
        };
        let outcome = match (step.failed_on, step.entry.policy) {
            (Some(field), _) => {
                let wanted = wanted(&step.entry.matcher, field, direction);
                format!("no match: {} {wanted}", field.as_str())
            }
            (None, Policy::Accept) if n + 1 < steps.len() => "matches: on to the next".to_owned(),
            (None, _) => "matches, and decides".to_owned(),
        };
        let name = format!("{} {}", label.group, label.rule);
        let name = escape::line(&name);
        out.line(format_args!("{:>4}  {name:<32} {policy:<6} {priority:<12}  {outcome}", n + 1));
    }
}

/// What an entry asks for in a field.
fn wanted(matcher: &Matcher, field: MatchStep, direction: Direction) -> String {
    let addresses = |addresses: &Addresses| match addresses {
        Addresses::Any => "any".to_owned(),
        Addresses::Nets(nets) if nets.is_empty() => "of a group without known members".to_owned(),
        Addresses::Nets(nets) => list(nets),
    };
    match (field, direction) {
        (MatchStep::Protocol, _) => matcher.protocol.to_string(),
        (MatchStep::Ports, _) => list(&matcher.ports),
        (MatchStep::SourcePorts, _) => list(&matcher.source_ports),
        (MatchStep::Source, Direction::Ingress) | (MatchStep::Destination, Direction::Egress) => {
            addresses(&matcher.peer)
        }
        (MatchStep::Source, Direction::Egress) | (MatchStep::Destination, Direction::Ingress) => {
            addresses(&matcher.local)
        }
        (MatchStep::Icmp, _) => matcher.icmp.map_or_else(String::new, |types| types.to_string()),
    }
}

/// The first few of a list.
fn list(items: &[impl ToString]) -> String {
    let shown: Vec<String> = items.iter().take(3).map(ToString::to_string).collect();
    let more = if items.len() > shown.len() { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
