//! Markdown, for the review: every group's rules in the order in which packets meet them.

use std::fmt::Write;

use super::firewall::is_rule;
use crate::flow::Direction;
use crate::report::escaped;
use crate::rules::{Cloud, EntryKind, GroupType, Policy, RuleSet, services};

/// A table for each interface and direction, in evaluation order, with the default at the end.
pub fn markdown(rules: &RuleSet) -> String {
    let mut out = String::new();
    for group in rules.groups() {
        let kind = match (rules.cloud(), group.group_type, group.inner_access_policy) {
            (Cloud::Alibaba, GroupType::Basic, Policy::Accept) => "basic, members reach each other",
            (Cloud::Alibaba, GroupType::Basic, Policy::Drop) => "basic, members are isolated",
            (Cloud::Alibaba, GroupType::Enterprise, _) => "enterprise, members are isolated",
            (other, ..) => other.as_str(),
        };
        let id = escaped(&group.id);
        let count = group.rules.len();
        let _ = writeln!(out, "- **{id}**: {kind}, {count} rules");
    }
    for (position, eni) in rules.interfaces().iter().enumerate() {
        let addresses: Vec<String> = eni.addresses.iter().map(ToString::to_string).collect();
        let own = if addresses.is_empty() {
            String::new()
        } else {
            format!(" ({})", addresses.join(", "))
        };
        for direction in Direction::BOTH {
            let far = if direction == Direction::Ingress { "from" } else { "to" };
            let _ = writeln!(out, "\n### {direction} {}{own}\n", escaped(&eni.id));
            let _ = writeln!(out, "| | | priority | service | {far} | rule | description |");
            let _ = writeln!(out, "| --: | --- | --: | --- | --- | --- | --- |");
            let ordered = rules.ordered(position, direction);
            let entries = ordered.entries().iter().filter(|entry| !entry.has_no_members());
            for (n, entry) in entries.enumerate() {
                let (group, name) = rules.names(position, entry);
                let policy = match entry.policy {
                    Policy::Accept => "accept",
                    Policy::Drop => "**drop**",
                };
                let row = match entry.kind {
                    EntryKind::Rule { group: g, rule: r } if is_rule(entry) => {
                        let rule = rules.groups().get(g).and_then(|group| group.rules.get(r));
                        let Some(rule) = rule else { continue };
                        let ports: Vec<String> =
                            rule.ports.iter().map(ToString::to_string).collect();
                        let peers: Vec<String> =
                            rule.peers.iter().map(ToString::to_string).collect();
                        let service = entry.matcher.ports.first().and_then(|range| {
                            let crate::rules::RuleProtocol::Only(proto) = rule.protocol else {
                                return None;
                            };
                            services::of_port(proto, range.first())
                                .filter(|_| range.first() == range.last())
                        });
                        let service =
                            service.map_or_else(String::new, |of| format!(" ({})", of.name));
                        let local: Vec<String> =
                            rule.local.iter().map(ToString::to_string).collect();
                        let near = match local.is_empty() {
                            true => String::new(),
                            false => format!("; near side {}", local.join(", ")),
                        };
                        let icmp = rule.icmp.map_or_else(String::new, super::icmp_words);
                        let targets = match rule.targets.is_empty() {
                            true => String::new(),
                            false => format!("; for instances tagged {}", rule.targets.join(", ")),
                        };
                        [
                            rule.priority.get().to_string(),
                            format!("{} {}{icmp}{service}", rule.protocol, ports.join(", ")),
                            format!("{}{near}{targets}", peers.join(", ")),
                            format!("{name} of {group}"),
                            rule.description.clone().unwrap_or_default(),
                        ]
                    }
                    _ => {
                        let what = match entry.kind {
                            EntryKind::Default => "everything else",
                            EntryKind::IntraGroup { .. } => "members of the group",
                            _ => "always allowed",
                        };
                        [String::new(), what.to_owned(), String::new(), name, String::new()]
                    }
                };
                let [priority, service, peers, name, text] = row.map(|cell| escaped(&cell));
                let n = n + 1;
                let _ = writeln!(
                    out,
                    "| {n} | {policy} | {priority} | {service} | {peers} | {name} | {text} |"
                );
            }
        }
    }
    out
}
