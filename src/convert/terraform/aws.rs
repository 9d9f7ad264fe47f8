//! For the `aws` provider.

use super::labels::Labels;
use super::{File, Item, quoted};
use crate::convert::aws::{entry_of, protocol, says};
use crate::convert::subnets::Subnets;
use crate::convert::{CannotSay, cannot};
use crate::flow::{Direction, Protocol};
use crate::rules::{Layer, Peer, Policy, Ports, Rule, RuleProtocol, RuleSet, SecurityGroup};

pub(super) fn write(rules: &RuleSet, file: &mut File) -> Result<(), CannotSay> {
    let mut labels = Labels::default();
    for (_, group) in rules.groups_of(Layer::SecurityGroup) {
        let mut items = vec![Item::Is("name", quoted(&group.id))];
        items.extend(group.vpc_id.as_ref().map(|vpc| Item::Is("vpc_id", quoted(vpc))));
        let label = file.resource("aws_security_group", &group.id, &items);
        labels.groups.insert(group.id.clone(), label);
    }
    labels.prefix_lists(file, "aws_ec2_managed_prefix_list", "name", rules.prefix_lists());
    for (_, group) in rules.groups_of(Layer::SecurityGroup) {
        for (n, rule) in group.rules.iter().enumerate() {
            let written = resources(file, &labels, (group, n + 1), rule);
            written.map_err(|error| error.in_group(group))?;
        }
    }
    let subnets = Subnets::new(rules, "subnet")?;
    for (position, group) in rules.groups_of(Layer::NetworkAcl) {
        network_acl(file, position, group, &subnets)?;
    }
    Ok(())
}

/// A resource for each range of ports and each peer.
fn resources(
    file: &mut File,
    labels: &Labels,
    (group, number): (&SecurityGroup, usize),
    rule: &Rule,
) -> Result<(), CannotSay> {
    says(rule)?;
    let kind = match rule.direction {
        Direction::Ingress => "aws_vpc_security_group_ingress_rule",
        Direction::Egress => "aws_vpc_security_group_egress_rule",
    };
    let mut ranges: Vec<Option<(i64, i64)>> = Vec::new();
    if let RuleProtocol::Only(Protocol::ICMP | Protocol::ICMPV6) = rule.protocol {
        let of = rule.icmp.map(|(kind, code)| (i64::from(kind), code.map_or(-1, i64::from)));
        ranges.push(Some(of.unwrap_or((-1, -1))));
    } else if rule.protocol.has_ports() {
        for ports in &rule.ports {
            ranges.push(match ports {
                Ports::Any => Some((0, u16::MAX.into())),
                Ports::Range(range) => Some((range.first().into(), range.last().into())),
                Ports::List(_) => return Err(cannot(rule, "AWS has no port lists")),
            });
        }
        if ranges.is_empty() {
            ranges.push(Some((0, u16::MAX.into())));
        }
    } else {
        ranges.push(None);
    }
    let several = ranges.len() * rule.peers.len() > 1;
    let of_group = labels.groups.get(&group.id).map(String::as_str).unwrap_or_default();
    let mut pair = 0;
    for range in &ranges {
        for peer in &rule.peers {
            pair += 1;
            let suffix = if several { format!("_{pair}") } else { String::new() };
            let mut items = vec![
                Item::Is("security_group_id", format!("aws_security_group.{of_group}.id")),
                Item::Is("ip_protocol", quoted(&protocol(rule.protocol))),
            ];
            if let Some((from, to)) = range {
                items.push(Item::Is("from_port", from.to_string()));
                items.push(Item::Is("to_port", to.to_string()));
            }
            items.push(match peer {
                Peer::Cidr(net) if net.addr().is_ipv6() => {
                    Item::Is("cidr_ipv6", quoted(&net.to_string()))
                }
                Peer::Cidr(net) => Item::Is("cidr_ipv4", quoted(&net.to_string())),
                Peer::PrefixList(id) => {
                    let label = labels.lists.get(id).map(String::as_str).unwrap_or_default();
                    Item::Is("prefix_list_id", format!("aws_ec2_managed_prefix_list.{label}.id"))
                }
                Peer::Group(of) => {
                    let known = labels.groups.get(&of.id).filter(|_| of.account.is_none());
                    let id = known.map(|label| format!("aws_security_group.{label}.id"));
                    let id = id.unwrap_or_else(|| match &of.account {
                        Some(account) => quoted(&format!("{account}/{}", of.id)),
                        None => quoted(&of.id),
                    });
                    Item::Is("referenced_security_group_id", id)
                }
                Peer::Tag(_) => return Err(cannot(rule, "AWS has no tags in rules")),
            });
            items.extend(
                rule.description.as_ref().map(|text| Item::Is("description", quoted(text))),
            );
            file.resource(kind, &format!("{}_{number}{suffix}", group.id), &items);
        }
    }
    Ok(())
}

/// A network ACL; the entries at its end that nobody can remove are in no configuration.
fn network_acl(
    file: &mut File,
    position: usize,
    group: &SecurityGroup,
    subnets: &Subnets,
) -> Result<(), CannotSay> {
    let mut ids = Vec::new();
    for subnet in subnets.of_acl(position) {
        ids.push(match subnet.network {
            Some(net) => {
                let key = if net.addr().is_ipv6() { "ipv6_cidr_block" } else { "cidr_block" };
                let items = [Item::Is(key, quoted(&net.to_string()))];
                format!("aws_subnet.{}.id", file.resource("aws_subnet", &subnet.id, &items))
            }
            None => quoted(&subnet.id),
        });
    }
    let mut items = Vec::new();
    items.extend(group.vpc_id.as_ref().map(|vpc| Item::Is("vpc_id", quoted(vpc))));
    items.push(Item::Is("subnet_ids", format!("[{}]", ids.join(", "))));
    items.push(Item::Is("tags", format!("{{ Name = {} }}", quoted(&group.id))));
    let label = file.resource("aws_network_acl", &group.id, &items);
    for rule in group.rules.iter().filter(|rule| !rule.fixed) {
        let (net, ports) = entry_of(rule).map_err(|error| error.in_group(group))?;
        let action = match rule.policy {
            Policy::Accept => "allow",
            Policy::Drop => "deny",
        };
        let key = if net.addr().is_ipv6() { "ipv6_cidr_block" } else { "cidr_block" };
        let mut items = vec![
            Item::Is("network_acl_id", format!("aws_network_acl.{label}.id")),
            Item::Is("rule_number", rule.priority.get().to_string()),
            Item::Is("egress", (rule.direction == Direction::Egress).to_string()),
            Item::Is("rule_action", quoted(action)),
            Item::Is("protocol", quoted(&protocol(rule.protocol))),
            Item::Is(key, quoted(&net.to_string())),
        ];
        if let RuleProtocol::Only(Protocol::ICMP | Protocol::ICMPV6) = rule.protocol {
            let of = rule.icmp.map(|(kind, code)| (i64::from(kind), code.map_or(-1, i64::from)));
            let (kind, code) = of.unwrap_or((-1, -1));
            items.push(Item::Is("icmp_type", kind.to_string()));
            items.push(Item::Is("icmp_code", code.to_string()));
        } else if rule.protocol.has_ports() {
            let (from, to) = ports.map_or((0, u16::MAX), |range| (range.first(), range.last()));
            items.push(Item::Is("from_port", from.to_string()));
            items.push(Item::Is("to_port", to.to_string()));
        }
        let name = format!("{}_{}_{}", group.id, rule.direction, rule.priority.get());
        file.resource("aws_network_acl_rule", &name, &items);
    }
    Ok(())
}
