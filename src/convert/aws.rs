//! Answers of `aws ec2`, as the cloud would print them.

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::subnets::Subnets;
use super::{CannotSay, cannot, of_cloud};
use crate::flow::{Direction, Protocol};
use crate::rules::{
    Cloud, GroupRef, Interface, Layer, Peer, Policy, PortRange, Ports, Rule, RuleProtocol, RuleSet,
    SecurityGroup,
};

/// The account that a group is of; those of other accounts are named in rules.
const ACCOUNT: &str = "000000000000";

/// All groups and network ACLs of a rule set, its interfaces, subnets and prefix lists. Read together they are the same
/// rule set, but for the ids of rules: answers have none.
///
/// # Errors
/// Where a rule has what AWS does not.
pub fn aws_json(rules: &RuleSet) -> Result<Vec<Value>, CannotSay> {
    of_cloud(rules, Cloud::Aws)?;
    let (mut groups, mut acls) = (Vec::new(), Vec::new());
    let subnets = Subnets::new(rules, "subnet")?;
    for (position, group) in rules.groups().iter().enumerate() {
        match group.layer {
            Layer::SecurityGroup => groups.push(security_group(group)?),
            Layer::NetworkAcl => acls.push(network_acl(group, position, &subnets)?),
        }
    }
    let mut answers = vec![json!({"SecurityGroups": groups})];
    if !acls.is_empty() {
        answers.push(json!({"NetworkAcls": acls}));
    }
    let networks: Vec<Value> = subnets
        .all
        .iter()
        .filter_map(|subnet| {
            let network = subnet.network?;
            Some(match network {
                IpNet::V4(_) => json!({"SubnetId": subnet.id, "CidrBlock": network.to_string()}),
                IpNet::V6(_) => json!({"SubnetId": subnet.id, "Ipv6CidrBlockAssociationSet":
                    [{"Ipv6CidrBlock": network.to_string()}]}),
            })
        })
        .collect();
    if !networks.is_empty() {
        answers.push(json!({"Subnets": networks}));
    }
    if rules.lists_interfaces() {
        let enis = rules.listed_interfaces().iter().enumerate();
        let enis =
            enis.map(|(n, eni)| interface(rules, eni, subnets.of_interface(n).map(|of| &of.id)));
        answers.push(json!({"NetworkInterfaces": enis.collect::<Result<Vec<_>, _>>()?}));
    }
    let lists: Vec<Value> = rules
        .prefix_lists()
        .iter()
        .map(|list| {
            let cidrs: Vec<String> = list.entries.iter().map(ToString::to_string).collect();
            json!({"PrefixListId": list.id, "Cidrs": cidrs})
        })
        .collect();
    if !lists.is_empty() {
        answers.push(json!({"PrefixLists": lists}));
    }
    Ok(answers)
}

fn security_group(group: &SecurityGroup) -> Result<Value, CannotSay> {
    let mut permissions = [Vec::new(), Vec::new()];
    for rule in &group.rules {
        let list = match rule.direction {
            Direction::Ingress => permissions.first_mut(),
            Direction::Egress => permissions.last_mut(),
        };
        if let Some(list) = list {
            list.extend(of_rule(rule).map_err(|error| error.in_group(group))?);
        }
    }
    let [ingress, egress] = permissions;
    Ok(json!({
        "GroupId": group.id,
        "GroupName": group.id,
        "Description": "",
        "OwnerId": ACCOUNT,
        "VpcId": group.vpc_id.as_deref().unwrap_or_default(),
        "IpPermissions": ingress,
        "IpPermissionsEgress": egress,
    }))
}

/// What AWS has no word for in rules of either kind.
pub(super) fn says(rule: &Rule) -> Result<(), CannotSay> {
    if !rule.source_ports.is_empty() {
        return Err(cannot(rule, "AWS has no source ports"));
    }
    if !rule.local.is_empty() {
        return Err(cannot(rule, "AWS has no near side, which is the interface's own"));
    }
    if !rule.targets.is_empty() || rule.peers.iter().any(|peer| matches!(peer, Peer::Tag(_))) {
        return Err(cannot(rule, "AWS has no tags in rules"));
    }
    if !rule.ports.is_empty() && !rule.protocol.has_ports() {
        return Err(cannot(rule, "AWS has ports of tcp and udp only"));
    }
    Ok(())
}

/// A permission for each range of ports.
fn of_rule(rule: &Rule) -> Result<Vec<Value>, CannotSay> {
    says(rule)?;
    let text = rule.description.as_deref();
    let described = |key: &str, value: String| {
        let mut object = Map::new();
        object.insert(key.to_owned(), value.into());
        object.extend(text.map(|text| ("Description".to_owned(), text.into())));
        Value::Object(object)
    };
    let (mut v4, mut v6, mut lists, mut groups) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for peer in &rule.peers {
        match peer {
            Peer::Cidr(net) if net.addr().is_ipv6() => {
                v6.push(described("CidrIpv6", net.to_string()));
            }
            Peer::Cidr(net) => v4.push(described("CidrIp", net.to_string())),
            Peer::PrefixList(id) => lists.push(described("PrefixListId", id.clone())),
            Peer::Group(GroupRef { account, id }) => {
                let mut pair = described("GroupId", id.clone());
                if let Some(pair) = pair.as_object_mut() {
                    let account = account.as_deref().unwrap_or(ACCOUNT);
                    pair.insert("UserId".to_owned(), account.into());
                }
                groups.push(pair);
            }
            Peer::Tag(_) => {}
        }
    }
    let permission = |(from, to): (i64, i64)| {
        json!({
            "IpProtocol": protocol(rule.protocol),
            "FromPort": from,
            "ToPort": to,
            "IpRanges": v4,
            "Ipv6Ranges": v6,
            "PrefixListIds": lists,
            "UserIdGroupPairs": groups,
        })
    };
    Ok(ranges(rule)?.into_iter().map(permission).collect())
}

/// From and to of each permission; of ICMP type and code, −1 for all.
fn ranges(rule: &Rule) -> Result<Vec<(i64, i64)>, CannotSay> {
    if let RuleProtocol::Only(Protocol::ICMP | Protocol::ICMPV6) = rule.protocol {
        let (kind, code) = rule
            .icmp
            .map_or((-1, -1), |(kind, code)| (i64::from(kind), code.map_or(-1, i64::from)));
        return Ok(vec![(kind, code)]);
    }
    if !rule.protocol.has_ports() {
        return Ok(vec![(-1, -1)]);
    }
    let mut found = Vec::new();
    for ports in &rule.ports {
        found.push(match ports {
            Ports::Any => (0, i64::from(u16::MAX)),
            Ports::Range(range) => (range.first().into(), range.last().into()),
            Ports::List(_) => return Err(cannot(rule, "AWS has no port lists")),
        });
    }
    if found.is_empty() {
        found.push((0, u16::MAX.into()));
    }
    Ok(found)
}

pub(super) fn protocol(protocol: RuleProtocol) -> String {
    match protocol {
        RuleProtocol::All => "-1".to_owned(),
        RuleProtocol::Only(Protocol::ICMPV6) => "icmpv6".to_owned(),
        RuleProtocol::Only(proto @ (Protocol::TCP | Protocol::UDP | Protocol::ICMP)) => {
            proto.to_string()
        }
        RuleProtocol::Only(Protocol(number)) => number.to_string(),
    }
}

/// The one network and the one range of ports that an entry of a network ACL has.
pub(super) fn entry_of(rule: &Rule) -> Result<(IpNet, Option<PortRange>), CannotSay> {
    says(rule)?;
    let why = "an entry of a network ACL has one network and one range of ports; give each its own number";
    let ([Peer::Cidr(net)], [] | [_]) = (rule.peers.as_slice(), rule.ports.as_slice()) else {
        return Err(cannot(rule, why));
    };
    let ports = match rule.ports.first() {
        Some(Ports::Range(range)) => Some(*range),
        Some(Ports::Any) | None => None,
        Some(Ports::List(_)) => return Err(cannot(rule, "AWS has no port lists")),
    };
    Ok((*net, ports))
}

fn network_acl(
    group: &SecurityGroup,
    position: usize,
    subnets: &Subnets,
) -> Result<Value, CannotSay> {
    let entries = group.rules.iter().map(|rule| entry(rule).map_err(|error| error.in_group(group)));
    let entries = entries.collect::<Result<Vec<_>, _>>()?;
    let associations: Vec<Value> = subnets
        .of_acl(position)
        .map(|subnet| json!({"SubnetId": subnet.id, "NetworkAclId": group.id}))
        .collect();
    Ok(json!({
        "NetworkAclId": group.id,
        "VpcId": group.vpc_id.as_deref().unwrap_or_default(),
        "Associations": associations,
        "Entries": entries,
    }))
}

fn entry(rule: &Rule) -> Result<Value, CannotSay> {
    let (net, ports) = entry_of(rule)?;
    let proto = match rule.protocol {
        RuleProtocol::All => "-1".to_owned(),
        RuleProtocol::Only(proto) => proto.0.to_string(),
    };
    let action = match rule.policy {
        Policy::Accept => "allow",
        Policy::Drop => "deny",
    };
    let mut entry = json!({
        "RuleNumber": rule.priority.get(),
        "Egress": rule.direction == Direction::Egress,
        "Protocol": proto,
        "RuleAction": action,
    });
    if let Some(entry) = entry.as_object_mut() {
        let key = if net.addr().is_ipv6() { "Ipv6CidrBlock" } else { "CidrBlock" };
        entry.insert(key.to_owned(), net.to_string().into());
        if let Some(range) = ports {
            entry
                .insert("PortRange".to_owned(), json!({"From": range.first(), "To": range.last()}));
        }
        if let Some((kind, code)) = rule.icmp {
            let code = code.map_or(-1, i64::from);
            entry.insert("IcmpTypeCode".to_owned(), json!({"Type": kind, "Code": code}));
        }
    }
    Ok(entry)
}

fn interface(
    rules: &RuleSet,
    eni: &Interface,
    subnet: Option<&String>,
) -> Result<Value, CannotSay> {
    if eni.timeouts != Cloud::Aws.timeouts() {
        return Err(CannotSay {
            what: eni.id.clone(),
            why: "its timeouts are not the usual ones; leave `timeouts:` out".to_owned(),
        });
    }
    let single = |net: &&IpNet| net.prefix_len() == net.max_prefix_len();
    let of = |v6: bool, wanted: bool, key: &str| -> Vec<Value> {
        let nets = eni.addresses.iter().filter(|net| net.addr().is_ipv6() == v6);
        let nets = nets.filter(|net| single(net) == wanted);
        nets.map(|net| match wanted {
            true => json!({key: net.addr().to_string()}),
            false => json!({key: net.to_string()}),
        })
        .collect()
    };
    let groups = eni.groups.iter().filter_map(|group| rules.groups().get(*group));
    let groups = groups.filter(|group| group.layer == Layer::SecurityGroup);
    let groups: Vec<Value> =
        groups.map(|group| json!({"GroupId": group.id, "GroupName": group.id})).collect();
    Ok(json!({
        "NetworkInterfaceId": eni.id,
        "SubnetId": subnet.map(String::as_str).unwrap_or_default(),
        "PrivateIpAddresses": of(false, true, "PrivateIpAddress"),
        "Ipv6Addresses": of(true, true, "Ipv6Address"),
        "Ipv4Prefixes": of(false, false, "Ipv4Prefix"),
        "Ipv6Prefixes": of(true, false, "Ipv6Prefix"),
        "Groups": groups,
    }))
}
