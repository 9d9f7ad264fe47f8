//! What would have to change for the opposite verdict.

use serde_json::{Value, json};
use sgreplay::convert::commands;
use sgreplay::escape::Text;
use sgreplay::flow::{Direction, Transport};
use sgreplay::labels::Label;
use sgreplay::parse::print_rule_line;
use sgreplay::rules::{EntryKind, MatchStep, Policy, Rule};
use sgreplay::suggest::{CannotFix, Flow, fix};
use sgreplay::verdict::Verdict;

use super::{Explained, Opening};

/// The nearest rule, and rules that would turn the verdict.
pub(super) struct Remedy {
    /// The verdict that they would give.
    verdict: Verdict,
    nearest: Option<Nearest>,
    added: Result<Vec<Added>, CannotFix>,
    any_icmp_type: bool,
}

/// A rule that accepts, and matches but for one of its fields.
struct Nearest {
    group: String,
    rule: String,
    field: MatchStep,
    /// What the field would have to hold.
    value: Option<String>,
}

/// A rule to add to a group.
struct Added {
    group: String,
    rule: String,
    commands: Vec<String>,
}

impl Remedy {
    /// Of a packet that opens a connection or belongs to one; none where a network ACL looks at a reply, which no
    /// rule of a group changes.
    pub(super) fn new(one: &Explained<'_>) -> Option<Self> {
        let decider = one.steps().last().map(|(_, step)| step.entry.kind);
        // What is always allowed is no matter of rules.
        if !one.reply_steps().is_empty() || matches!(decider, Some(EntryKind::System(_))) {
            return None;
        }
        let (verdict, policy) = match one.verdict {
            Verdict::Deny => (Verdict::Allow, Policy::Accept),
            Verdict::Allow => (Verdict::Deny, Policy::Drop),
            Verdict::NotEvaluated => return None,
        };
        let Opening { flow, direction, .. } = one.opening;
        let wanted = Flow { interface: one.interface, direction, flow };
        let found = fix(one.rules, &[wanted], policy);
        let any_icmp_type = found.as_ref().is_ok_and(|found| found.any_icmp_type);
        let added = match found {
            // Something beside the rules decides.
            Ok(found) if found.added.is_empty() => return None,
            Ok(found) => Ok(found.added.iter().map(|(at, rule)| added(one, *at, rule)).collect()),
            Err(error) => Err(error),
        };
        let nearest = if verdict == Verdict::Allow { nearest(one) } else { None };
        Some(Self { verdict, nearest, added, any_icmp_type })
    }

    pub(super) fn text(&self) -> Text {
        let mut out = Text::default();
        if let Some(Nearest { group, rule, field, value }) = &self.nearest {
            let field = field.as_str();
            let value = value.as_ref().map_or_else(String::new, |value| {
                format!("; with {value} there, it would allow this packet, and others")
            });
            out.line(format_args!(
                "nearest: rule {rule} of {group}, which matches but for its {field}{value}"
            ));
        }
        let verdict = self.verdict.as_str();
        match &self.added {
            Ok(all) => {
                // Rules of most clouds name no type of ICMP.
                let scope = match self.any_icmp_type {
                    true => "and every other type of ICMP between the two",
                    false => "and nothing else",
                };
                for Added { group, rule, commands } in all {
                    out.line(format_args!("to {verdict} it, {scope}, add to {group}: {rule}"));
                    for command in commands {
                        out.line(format_args!("  {command}"));
                    }
                }
            }
            Err(error) => out.line(format_args!("no rule that is added can {verdict} it: {error}")),
        }
        out
    }

    pub(super) fn json(&self) -> Value {
        let (added, why) = match &self.added {
            Ok(added) => (added.as_slice(), None),
            Err(error) => (&[][..], Some(error.to_string())),
        };
        let added = added.iter().map(|Added { group, rule, commands }| {
            json!({"group": group, "rule": rule, "commands": commands})
        });
        json!({
            "turns_to": self.verdict.as_str(),
            "add": added.collect::<Vec<_>>(),
            "why_not": why,
            "any_icmp_type": self.any_icmp_type,
            "nearest": self.nearest.as_ref().map(|Nearest { group, rule, field, value }| {
                json!({"group": group, "rule": rule, "field": field.as_str(), "value": value})
            }),
        })
    }
}

fn added(one: &Explained<'_>, group: usize, rule: &Rule) -> Added {
    let cloud = one.rules.cloud();
    let id = one.rules.groups().get(group).map_or("", |group| group.id.as_str());
    Added {
        group: id.to_owned(),
        rule: print_rule_line(cloud, rule),
        commands: commands(cloud, id, rule),
    }
}

/// The rule that lacks least, where none matches.
fn nearest(one: &Explained<'_>) -> Option<Nearest> {
    let Opening { flow, direction, .. } = one.opening;
    let steps = one.steps();
    let (_, last) = steps.last()?;
    if !matches!(last.entry.kind, EntryKind::Default) {
        return None;
    }
    let accepts = steps.iter().filter(|(_, step)| {
        matches!(step.entry.kind, EntryKind::Rule { .. }) && step.entry.policy == Policy::Accept
    });
    let lacking =
        accepts.filter_map(|(label, step)| match *step.entry.matcher.failures(&flow, direction) {
            [only] => Some((label, only)),
            _ => None,
        });
    // A rule for the service that another peer may use is nearer than one for the peer and another service.
    let (Label { group, rule, .. }, field) = lacking
        .min_by_key(|(_, field)| !matches!(field, MatchStep::Source | MatchStep::Destination))?;
    let value = match (field, flow.transport, direction) {
        (MatchStep::Source, ..) => Some(flow.src.to_string()),
        (MatchStep::Destination, ..) => Some(flow.dst.to_string()),
        (MatchStep::Ports, Transport::Ports { dst, .. }, _) => Some(dst.to_string()),
        (MatchStep::SourcePorts, Transport::Ports { src, .. }, _) => Some(src.to_string()),
        (MatchStep::Icmp, Transport::Icmp { kind, code, .. }, _) => Some(format!("{kind}/{code}")),
        (MatchStep::Protocol, _, Direction::Ingress | Direction::Egress) => {
            Some(flow.proto.to_string())
        }
        _ => None,
    };
    Some(Nearest { group: group.clone(), rule: rule.clone(), field, value })
}
