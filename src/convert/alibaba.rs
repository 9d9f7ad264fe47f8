//! Answers of `DescribeSecurityGroupAttribute`, as the cloud would print them.

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::subnets::Subnets;
use super::{CannotSay, cannot, of_cloud};
use crate::flow::{Direction, Protocol};
use crate::rules::{
    Cloud, GroupType, Interface, Layer, NicType, Peer, Policy, PortRange, Ports, Rule, RuleId,
    RuleProtocol, RuleSet, SecurityGroup,
};

/// All groups of a rule set: the answers about each, and one about all of them, with their types; interfaces
/// and lists in answers of their own. Read together they are the same rule set.
///
/// # Errors
/// Where the rule set has what no answer of the API has.
pub fn alibaba_json(rules: &RuleSet) -> Result<Vec<Value>, CannotSay> {
    of_cloud(rules, Cloud::Alibaba)?;
    let mut answers = vec![groups(rules)];
    let subnets = Subnets::new(rules, "vsw")?;
    for (position, group) in rules.groups().iter().enumerate() {
        answers.push(match group.layer {
            Layer::SecurityGroup => attribute(group),
            Layer::NetworkAcl => network_acl(group, position, &subnets)?,
        });
    }
    let networks: Vec<Value> = subnets
        .all
        .iter()
        .filter_map(|subnet| {
            let network = subnet.network?;
            let key = if network.addr().is_ipv6() { "Ipv6CidrBlock" } else { "CidrBlock" };
            Some(json!({"VSwitchId": subnet.id, key: network.to_string()}))
        })
        .collect();
    if !networks.is_empty() {
        answers.push(json!({"VSwitches": {"VSwitch": networks}}));
    }
    if rules.lists_interfaces() {
        answers.push(interfaces(rules, &subnets));
    }
    for list in rules.prefix_lists() {
        let entries: Vec<Value> = list
            .entries
            .iter()
            .map(|net| json!({"Cidr": net.to_string(), "Description": ""}))
            .collect();
        let v6 = list.entries.iter().any(|net| net.addr().is_ipv6());
        answers.push(json!({
            "PrefixListId": list.id,
            "PrefixListName": "",
            "AddressFamily": if v6 { "IPv6" } else { "IPv4" },
            "MaxEntries": list.entries.len(),
            "Entries": {"Entry": entries},
        }));
    }
    if let Some(list) = rules.port_lists().first() {
        return Err(CannotSay {
            what: list.id.clone(),
            why: "the API's answer about a port list's entries does not hold its id, so it has to be a file of \
                  its own; write its ports into the rules"
                .to_owned(),
        });
    }
    Ok(answers)
}

fn groups(rules: &RuleSet) -> Value {
    let group = |group: &SecurityGroup| {
        json!({
            "SecurityGroupId": group.id,
            "SecurityGroupName": "",
            "SecurityGroupType": match group.group_type {
                GroupType::Basic => "normal",
                GroupType::Enterprise => "enterprise",
            },
            "VpcId": group.vpc_id.as_deref().unwrap_or_default(),
        })
    };
    let groups = rules.groups_of(Layer::SecurityGroup);
    let list: Vec<Value> = groups.map(|(_, of)| group(of)).collect();
    json!({"NextToken": "", "TotalCount": list.len(), "SecurityGroups": {"SecurityGroup": list}})
}

fn attribute(group: &SecurityGroup) -> Value {
    let rows: Vec<Value> = group.rules.iter().flat_map(permissions).collect();
    json!({
        "SecurityGroupId": group.id,
        "SecurityGroupName": "",
        "VpcId": group.vpc_id.as_deref().unwrap_or_default(),
        "InnerAccessPolicy": policy(group.inner_access_policy),
        "NextToken": "",
        "Permissions": {"Permission": rows},
    })
}

fn policy(policy: Policy) -> &'static str {
    match policy {
        Policy::Accept => "Accept",
        Policy::Drop => "Drop",
    }
}

/// A rule is as many permissions as it has pairs of ports and peers, all combinations of its source ports and
/// near side too. Each has an id of its own where there are several.
fn permissions(rule: &Rule) -> Vec<Value> {
    let ports: Vec<Option<&Ports>> = or_none(&rule.ports);
    let sources: Vec<Option<&PortRange>> = or_none(&rule.source_ports);
    let locals: Vec<&IpNet> = rule
        .local
        .iter()
        .filter_map(|near| match near {
            Peer::Cidr(net) => Some(net),
            Peer::Group(_) | Peer::PrefixList(_) | Peer::Tag(_) => None,
        })
        .collect();
    let locals = or_none(&locals);
    let mut found = Vec::new();
    for ports in &ports {
        for peer in &rule.peers {
            for source in &sources {
                for local in &locals {
                    found.push(permission(rule, *ports, peer, *source, local.copied()));
                }
            }
        }
    }
    if let (RuleId::Named(id), several) = (&rule.id, found.len() > 1) {
        for (n, row) in found.iter_mut().enumerate() {
            let id = if several { format!("{id}-{}", n + 1) } else { id.clone() };
            row.insert("SecurityGroupRuleId".to_owned(), id.into());
        }
    }
    found.into_iter().map(Value::Object).collect()
}

fn or_none<T>(list: &[T]) -> Vec<Option<&T>> {
    if list.is_empty() { vec![None] } else { list.iter().map(Some).collect() }
}

fn permission(
    rule: &Rule,
    ports: Option<&Ports>,
    peer: &Peer,
    source: Option<&PortRange>,
    local: Option<&IpNet>,
) -> Map<String, Value> {
    let (far, near) = match rule.direction {
        Direction::Ingress => ("Source", "Dest"),
        Direction::Egress => ("Dest", "Source"),
    };
    let mut row = Map::new();
    let mut set = |key: String, value: Value| {
        row.insert(key, value);
    };
    // The cloud prints every key, empty where it does not apply.
    for side in ["Source", "Dest"] {
        for key in [
            "CidrIp",
            "GroupId",
            "GroupName",
            "GroupOwnerAccount",
            "PrefixListId",
            "PrefixListName",
        ] {
            set(format!("{side}{key}"), "".into());
        }
        set(format!("Ipv6{side}CidrIp"), "".into());
    }
    for key in ["PortRangeListId", "PortRangeListName"] {
        set(key.to_owned(), "".into());
    }
    set("Direction".to_owned(), rule.direction.as_str().into());
    set("Policy".to_owned(), policy(rule.policy).into());
    set("Priority".to_owned(), rule.priority.get().into());
    set("IpProtocol".to_owned(), protocol(rule.protocol).into());
    let nic = rule.nic_type.unwrap_or(NicType::Intranet);
    set(
        "NicType".to_owned(),
        if nic == NicType::Internet { "internet" } else { "intranet" }.into(),
    );
    set("Description".to_owned(), rule.description.as_deref().unwrap_or_default().into());
    set(
        "CreateTime".to_owned(),
        rule.create_time.map(|time| time.to_string()).unwrap_or_default().into(),
    );
    let cidr = |side: &str, net: &IpNet| match net.addr().is_ipv6() {
        true => format!("Ipv6{side}CidrIp"),
        false => format!("{side}CidrIp"),
    };
    match peer {
        Peer::Cidr(net) => set(cidr(far, net), net.to_string().into()),
        Peer::Group(group) => {
            set(format!("{far}GroupId"), group.id.as_str().into());
            set(
                format!("{far}GroupOwnerAccount"),
                group.account.as_deref().unwrap_or_default().into(),
            );
        }
        Peer::PrefixList(id) => set(format!("{far}PrefixListId"), id.as_str().into()),
        // No rule of Alibaba Cloud has one.
        Peer::Tag(_) => {}
    }
    if let Some(net) = local {
        set(cidr(near, net), net.to_string().into());
    }
    let range = match ports {
        None | Some(Ports::Any) => "-1/-1".to_owned(),
        Some(Ports::Range(range)) => range.to_string(),
        Some(Ports::List(id)) => {
            set("PortRangeListId".to_owned(), id.as_str().into());
            String::new()
        }
    };
    set("PortRange".to_owned(), range.into());
    set("SourcePortRange".to_owned(), source.map(PortRange::to_string).unwrap_or_default().into());
    row
}

fn protocol(protocol: RuleProtocol) -> String {
    match protocol {
        RuleProtocol::All => "ALL".to_owned(),
        RuleProtocol::Only(Protocol::TCP) => "TCP".to_owned(),
        RuleProtocol::Only(Protocol::UDP) => "UDP".to_owned(),
        RuleProtocol::Only(Protocol::ICMP) => "ICMP".to_owned(),
        RuleProtocol::Only(Protocol::ICMPV6) => "ICMPv6".to_owned(),
        RuleProtocol::Only(Protocol::GRE) => "GRE".to_owned(),
        RuleProtocol::Only(Protocol(number)) => number.to_string(),
    }
}

/// An entry of a network ACL: one network and one range of ports.
pub(super) struct Entry {
    pub(super) protocol: &'static str,
    pub(super) port: String,
    pub(super) net: IpNet,
}

/// The entries that a rule of a network ACL is, in any order.
pub(super) fn entries(rule: &Rule) -> Result<Vec<Entry>, CannotSay> {
    let protocol = match rule.protocol {
        RuleProtocol::All => "all",
        RuleProtocol::Only(Protocol::TCP) => "tcp",
        RuleProtocol::Only(Protocol::UDP) => "udp",
        // One word for both families.
        RuleProtocol::Only(Protocol::ICMP | Protocol::ICMPV6) => "icmp",
        RuleProtocol::Only(Protocol::GRE) => "gre",
        RuleProtocol::Only(_) => {
            let why =
                "a network ACL of Alibaba Cloud has the protocols all, tcp, udp, icmp and gre only";
            return Err(cannot(rule, why));
        }
    };
    let v6 = rule.protocol == RuleProtocol::Only(Protocol::ICMPV6);
    let is_icmp = protocol == "icmp";
    if !rule.source_ports.is_empty() || !rule.local.is_empty() || rule.icmp.is_some() {
        return Err(cannot(
            rule,
            "a network ACL of Alibaba Cloud has no source ports, no near side and no ICMP types",
        ));
    }
    if !rule.ports.is_empty() && !rule.protocol.has_ports() {
        return Err(cannot(rule, "a network ACL of Alibaba Cloud has ports of tcp and udp only"));
    }
    let mut found = Vec::new();
    for peer in &rule.peers {
        let Peer::Cidr(net) = peer else {
            return Err(cannot(rule, "an entry of a network ACL names addresses"));
        };
        if is_icmp && net.addr().is_ipv6() != v6 {
            return Err(cannot(
                rule,
                "a network ACL of Alibaba Cloud has icmp of the family of its addresses",
            ));
        }
        for ports in or_none(&rule.ports) {
            let port = match ports {
                None | Some(Ports::Any) => "-1/-1".to_owned(),
                Some(Ports::Range(range)) => range.to_string(),
                Some(Ports::List(_)) => {
                    return Err(cannot(rule, "an entry of a network ACL has no port list"));
                }
            };
            found.push(Entry { protocol, port, net: *net });
        }
    }
    Ok(found)
}

/// The answer of `DescribeNetworkAclAttributes`: the place in the list is the number.
fn network_acl(
    group: &SecurityGroup,
    position: usize,
    subnets: &Subnets,
) -> Result<Value, CannotSay> {
    let mut lists = [Vec::new(), Vec::new()];
    let mut sorted: Vec<&Rule> = group.rules.iter().collect();
    sorted.sort_by_key(|rule| (rule.priority, rule.policy));
    for rule in sorted {
        let (far, list) = match rule.direction {
            Direction::Ingress => ("SourceCidrIp", 0),
            Direction::Egress => ("DestinationCidrIp", 1),
        };
        let entries = entries(rule).map_err(|error| error.in_group(group))?;
        let several = entries.len() > 1;
        for (n, Entry { protocol, port, net }) in entries.into_iter().enumerate() {
            let id = if several { format!("{}-{}", rule.id, n + 1) } else { rule.id.to_string() };
            let kind = match (rule.fixed, rule.policy) {
                (false, _) => "custom",
                (true, Policy::Accept) => "service",
                (true, Policy::Drop) => "system",
            };
            let entry = json!({
                "NetworkAclEntryId": id,
                "NetworkAclEntryName": "",
                "EntryType": kind,
                "Policy": rule.policy.as_str(),
                "Description": rule.description.as_deref().unwrap_or_default(),
                "Protocol": protocol,
                "Port": port,
                "IpVersion": if net.addr().is_ipv6() { "IPv6" } else { "IPv4" },
                far: net.to_string(),
            });
            lists.get_mut(list).into_iter().for_each(|list| list.push(entry.clone()));
        }
    }
    let [ingress, egress] = lists;
    let resources: Vec<Value> = subnets
        .of_acl(position)
        .map(|of| json!({"ResourceId": of.id, "ResourceType": "VSwitch", "Status": "BINDED"}))
        .collect();
    Ok(json!({"NetworkAclAttribute": {
        "NetworkAclId": group.id,
        "NetworkAclName": "",
        "VpcId": group.vpc_id.as_deref().unwrap_or_default(),
        "Status": "Available",
        "IngressAclEntries": {"IngressAclEntry": ingress},
        "EgressAclEntries": {"EgressAclEntry": egress},
        "Resources": {"Resource": resources},
    }}))
}

fn interfaces(rules: &RuleSet, subnets: &Subnets) -> Value {
    let groups = |eni: &Interface| -> Vec<String> {
        let groups = eni.groups.iter().filter_map(|group| rules.groups().get(*group));
        let groups = groups.filter(|group| group.layer == Layer::SecurityGroup);
        groups.map(|group| group.id.clone()).collect()
    };
    let eni = |(n, eni): (usize, &Interface)| {
        let subnet = subnets.of_interface(n).map(|subnet| subnet.id.as_str());
        let (v4, v6): (Vec<_>, Vec<_>) = eni.addresses.iter().partition(|net| net.addr().is_ipv4());
        let single = |net: &&IpNet| net.prefix_len() == net.max_prefix_len();
        let list = |nets: &[&IpNet], wanted: bool, key: &str| -> Vec<Value> {
            let nets = nets.iter().filter(|net| single(net) == wanted);
            let text = |net: &&IpNet| if wanted { net.addr().to_string() } else { net.to_string() };
            nets.map(|net| json!({key: text(net)})).collect()
        };
        let t = eni.timeouts;
        json!({
            "NetworkInterfaceId": eni.id,
            "PrivateIpSets": {"PrivateIpSet": list(&v4, true, "PrivateIpAddress")},
            "Ipv6Sets": {"Ipv6Set": list(&v6, true, "Ipv6Address")},
            "Ipv4PrefixSets": {"Ipv4PrefixSet": list(&v4, false, "Ipv4Prefix")},
            "Ipv6PrefixSets": {"Ipv6PrefixSet": list(&v6, false, "Ipv6Prefix")},
            "SecurityGroupIds": {"SecurityGroupId": groups(eni)},
            "VSwitchId": subnet.unwrap_or_default(),
            "ConnectionTrackingConfiguration": {
                "TcpEstablishedTimeout": t.tcp_established.as_secs(),
                "TcpClosedAndTimeWaitTimeout": t.tcp_closed.as_secs(),
                "UdpTimeout": t.udp.as_secs(),
            },
        })
    };
    let list: Vec<Value> = rules.listed_interfaces().iter().enumerate().map(eni).collect();
    json!({"NetworkInterfaceSets": {"NetworkInterfaceSet": list}})
}
