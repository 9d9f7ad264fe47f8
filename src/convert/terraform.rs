//! HCL for the `alicloud` provider.

use std::fmt::Write;

use super::{CannotSay, of_alibaba};
use crate::escape;
use crate::flow::Direction;
use crate::rules::{GroupType, Peer, Policy, Ports, Rule, RuleProtocol, RuleSet};

/// Resources of Terraform that make the groups and their rules.
///
/// # Errors
/// Where a rule has what the provider's resource has no attribute for: source ports, a near side, port lists.
pub fn terraform(rules: &RuleSet) -> Result<String, CannotSay> {
    of_alibaba(rules)?;
    let mut out = String::new();
    for group in rules.groups() {
        let name = label(&group.id);
        let _ = writeln!(out, "resource \"alicloud_security_group\" \"{name}\" {{");
        let _ = writeln!(out, "  security_group_name = {}", quoted(&group.id));
        if let Some(vpc) = &group.vpc_id {
            let _ = writeln!(out, "  vpc_id              = {}", quoted(vpc));
        }
        match group.group_type {
            GroupType::Enterprise => out.push_str("  security_group_type = \"enterprise\"\n"),
            GroupType::Basic => {
                let policy = match group.inner_access_policy {
                    Policy::Accept => "Accept",
                    Policy::Drop => "Drop",
                };
                let _ = writeln!(out, "  inner_access_policy = \"{policy}\"");
            }
        }
        out.push_str("}\n\n");
        for (n, rule) in group.rules.iter().enumerate() {
            resources(&mut out, rules, &name, n + 1, rule)?;
        }
    }
    for list in rules.prefix_lists() {
        let v6 = list.entries.iter().any(|net| net.addr().is_ipv6());
        let _ = writeln!(out, "resource \"alicloud_ecs_prefix_list\" \"{}\" {{", label(&list.id));
        let _ = writeln!(out, "  prefix_list_name = {}", quoted(&list.id));
        let _ = writeln!(out, "  address_family   = \"{}\"", if v6 { "IPv6" } else { "IPv4" });
        let _ = writeln!(out, "  max_entries      = {}", list.entries.len());
        for net in &list.entries {
            let _ = writeln!(out, "  entry {{\n    cidr = \"{net}\"\n  }}");
        }
        out.push_str("}\n\n");
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    Ok(out)
}

fn resources(
    out: &mut String,
    rules: &RuleSet,
    group: &str,
    number: usize,
    rule: &Rule,
) -> Result<(), CannotSay> {
    let cannot = |why: &str| CannotSay { what: rule.id.to_string(), why: why.to_owned() };
    if !rule.source_ports.is_empty() || !rule.local.is_empty() {
        return Err(cannot("alicloud_security_group_rule has no source ports and no near side"));
    }
    let any = [Ports::Any];
    let ports = if rule.ports.is_empty() { &any[..] } else { &rule.ports };
    let mut pair = 0;
    let several = ports.len() * rule.peers.len() > 1;
    for ports in ports {
        for peer in &rule.peers {
            pair += 1;
            let suffix = if several { format!("_{pair}") } else { String::new() };
            let _ = writeln!(
                out,
                "resource \"alicloud_security_group_rule\" \"{group}_{number}{suffix}\" {{"
            );
            let _ = writeln!(out, "  security_group_id = alicloud_security_group.{group}.id");
            let _ = writeln!(out, "  type              = \"{}\"", rule.direction);
            let protocol = match rule.protocol {
                RuleProtocol::All => "all".to_owned(),
                RuleProtocol::Only(proto) => match proto.name() {
                    Some(name @ ("tcp" | "udp" | "icmp" | "icmpv6" | "gre")) => name.to_owned(),
                    _ => {
                        return Err(cannot(
                            "alicloud_security_group_rule has no protocols by number",
                        ));
                    }
                },
            };
            let _ = writeln!(out, "  ip_protocol       = \"{protocol}\"");
            let range = match ports {
                Ports::Any => "-1/-1".to_owned(),
                Ports::Range(range) => range.to_string(),
                Ports::List(_) => {
                    return Err(cannot("alicloud_security_group_rule has no port lists"));
                }
            };
            let _ = writeln!(out, "  port_range        = \"{range}\"");
            match peer {
                Peer::Cidr(net) if net.addr().is_ipv6() => {
                    let _ = writeln!(out, "  ipv6_cidr_ip      = \"{net}\"");
                }
                Peer::Cidr(net) => {
                    let _ = writeln!(out, "  cidr_ip           = \"{net}\"");
                }
                Peer::Group(of) => {
                    let known = rules.groups().iter().any(|group| group.id == of.id);
                    let id = match known && of.account.is_none() {
                        true => format!("alicloud_security_group.{}.id", label(&of.id)),
                        false => quoted(&of.id),
                    };
                    let _ = writeln!(out, "  source_security_group_id = {id}");
                    if let Some(account) = &of.account {
                        let _ = writeln!(out, "  source_group_owner_id    = {}", quoted(account));
                    }
                }
                Peer::PrefixList(id) => {
                    let id = label(id);
                    let _ = writeln!(out, "  prefix_list_id    = alicloud_ecs_prefix_list.{id}.id");
                }
                Peer::Tag(_) => return Err(cannot("alicloud_security_group_rule has no tags")),
            }
            let policy = rule.policy.as_str();
            let _ = writeln!(out, "  policy            = \"{policy}\"");
            let _ = writeln!(out, "  priority          = {}", rule.priority.get());
            if let Some(text) = &rule.description {
                let _ = writeln!(out, "  description       = {}", quoted(text));
            }
            out.push_str("}\n\n");
        }
    }
    debug_assert!(matches!(rule.direction, Direction::Ingress | Direction::Egress));
    Ok(())
}

/// A name that Terraform takes.
fn label(id: &str) -> String {
    let word: String =
        id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    match word.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        true => format!("_{word}"),
        false => word,
    }
}

/// A string of HCL: templates in it are no templates.
fn quoted(text: &str) -> String {
    escape::quoted(text).replace("${", "$${").replace("%{", "%%{")
}
