//! For the `alicloud` provider.

use super::labels::Labels;
use super::{File, Item, quoted};
use crate::convert::subnets::Subnets;
use crate::convert::{CannotSay, cannot};
use crate::flow::Direction;
use crate::rules::{
    GroupType, Layer, Peer, Policy, Ports, Rule, RuleProtocol, RuleSet, SecurityGroup,
};

pub(super) fn write(rules: &RuleSet, file: &mut File) -> Result<(), CannotSay> {
    let mut labels = Labels::default();
    for (_, group) in rules.groups_of(Layer::SecurityGroup) {
        let mut items = vec![Item::Is("security_group_name", quoted(&group.id))];
        items.extend(group.vpc_id.as_ref().map(|vpc| Item::Is("vpc_id", quoted(vpc))));
        items.push(match (group.group_type, group.inner_access_policy) {
            (GroupType::Enterprise, _) => Item::Is("security_group_type", quoted("enterprise")),
            (GroupType::Basic, Policy::Accept) => Item::Is("inner_access_policy", quoted("Accept")),
            (GroupType::Basic, Policy::Drop) => Item::Is("inner_access_policy", quoted("Drop")),
        });
        let label = file.resource("alicloud_security_group", &group.id, &items);
        labels.groups.insert(group.id.clone(), label);
    }
    labels.prefix_lists(file, "alicloud_ecs_prefix_list", "prefix_list_name", rules.prefix_lists());
    for (_, group) in rules.groups_of(Layer::SecurityGroup) {
        for (n, rule) in group.rules.iter().enumerate() {
            let written = resources(file, &labels, (group, n + 1), rule);
            written.map_err(|error| error.in_group(group))?;
        }
    }
    let subnets = Subnets::new(rules, "vsw")?;
    for (position, group) in rules.groups_of(Layer::NetworkAcl) {
        network_acl(file, position, group, &subnets)?;
    }
    Ok(())
}

fn resources(
    file: &mut File,
    labels: &Labels,
    (group, number): (&SecurityGroup, usize),
    rule: &Rule,
) -> Result<(), CannotSay> {
    if !rule.source_ports.is_empty() || !rule.local.is_empty() {
        return Err(cannot(
            rule,
            "alicloud_security_group_rule has no source ports and no near side",
        ));
    }
    let any = [Ports::Any];
    let ports = if rule.ports.is_empty() { &any[..] } else { &rule.ports };
    let mut pair = 0;
    let several = ports.len() * rule.peers.len() > 1;
    let of_group = labels.groups.get(&group.id).map(String::as_str).unwrap_or_default();
    for ports in ports {
        for peer in &rule.peers {
            pair += 1;
            let suffix = if several { format!("_{pair}") } else { String::new() };
            let name = match rule.protocol {
                RuleProtocol::All => Some("all"),
                RuleProtocol::Only(proto) => proto.name(),
            };
            let Some(protocol @ ("all" | "tcp" | "udp" | "icmp" | "icmpv6" | "gre")) = name else {
                let why = "alicloud_security_group_rule has no protocols by number";
                return Err(cannot(rule, why));
            };
            let range = match ports {
                Ports::Any => "-1/-1".to_owned(),
                Ports::Range(range) => range.to_string(),
                Ports::List(_) => {
                    return Err(cannot(rule, "alicloud_security_group_rule has no port lists"));
                }
            };
            let mut items = vec![
                Item::Is("security_group_id", format!("alicloud_security_group.{of_group}.id")),
                Item::Is("type", quoted(rule.direction.as_str())),
                Item::Is("ip_protocol", quoted(protocol)),
                Item::Is("port_range", quoted(&range)),
            ];
            match peer {
                Peer::Cidr(net) if net.addr().is_ipv6() => {
                    items.push(Item::Is("ipv6_cidr_ip", quoted(&net.to_string())));
                }
                Peer::Cidr(net) => items.push(Item::Is("cidr_ip", quoted(&net.to_string()))),
                Peer::Group(of) => {
                    let known = labels.groups.get(&of.id).filter(|_| of.account.is_none());
                    let id = known.map(|label| format!("alicloud_security_group.{label}.id"));
                    let id = id.unwrap_or_else(|| quoted(&of.id));
                    items.push(Item::Is("source_security_group_id", id));
                    let owner = of.account.as_ref();
                    items.extend(owner.map(|id| Item::Is("source_group_owner_id", quoted(id))));
                }
                Peer::PrefixList(id) => {
                    let label = labels.lists.get(id).map(String::as_str).unwrap_or_default();
                    items.push(Item::Is(
                        "prefix_list_id",
                        format!("alicloud_ecs_prefix_list.{label}.id"),
                    ));
                }
                Peer::Tag(_) => {
                    return Err(cannot(rule, "alicloud_security_group_rule has no tags"));
                }
            }
            items.push(Item::Is("policy", quoted(rule.policy.as_str())));
            items.push(Item::Is("priority", rule.priority.get().to_string()));
            items.extend(
                rule.description.as_ref().map(|text| Item::Is("description", quoted(text))),
            );
            let name = format!("{}_{number}{suffix}", group.id);
            file.resource("alicloud_security_group_rule", &name, &items);
        }
    }
    Ok(())
}

/// A network ACL, whose entries stand in the order of their numbers; those that the cloud has by itself are left to it.
fn network_acl(
    file: &mut File,
    position: usize,
    group: &SecurityGroup,
    subnets: &Subnets,
) -> Result<(), CannotSay> {
    let mut items = vec![Item::Is("network_acl_name", quoted(&group.id))];
    items.extend(group.vpc_id.as_ref().map(|vpc| Item::Is("vpc_id", quoted(vpc))));
    let mut sorted: Vec<&Rule> = group.rules.iter().filter(|rule| !rule.fixed).collect();
    sorted.sort_by_key(|rule| (rule.priority, rule.policy));
    for rule in sorted {
        let (block, far) = match rule.direction {
            Direction::Ingress => ("ingress_acl_entries", "source_cidr_ip"),
            Direction::Egress => ("egress_acl_entries", "destination_cidr_ip"),
        };
        let entries =
            crate::convert::alibaba::entries(rule).map_err(|error| error.in_group(group))?;
        for entry in entries {
            let mut of = vec![
                Item::Is("protocol", quoted(entry.protocol)),
                Item::Is("port", quoted(&entry.port)),
                Item::Is("policy", quoted(rule.policy.as_str())),
                Item::Is(far, quoted(&entry.net.to_string())),
            ];
            of.extend(rule.description.as_ref().map(|text| Item::Is("description", quoted(text))));
            items.push(Item::Block(block, of));
        }
    }
    for subnet in subnets.of_acl(position) {
        let id = match subnet.network {
            Some(net) => {
                let items = [Item::Is("cidr_block", quoted(&net.to_string()))];
                let label = file.resource("alicloud_vswitch", &subnet.id, &items);
                format!("alicloud_vswitch.{label}.id")
            }
            None => quoted(&subnet.id),
        };
        let of = vec![Item::Is("resource_id", id), Item::Is("resource_type", quoted("VSwitch"))];
        items.push(Item::Block("resources", of));
    }
    file.resource("alicloud_network_acl", &group.id, &items);
    Ok(())
}
