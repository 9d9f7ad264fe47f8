//! Answers of `DescribeSecurityGroupAttribute`, as the cloud would print them.

use serde_json::{Map, Value, json};

use super::{CannotSay, of_alibaba};
use crate::flow::{Direction, Protocol};
use crate::rules::{
    GroupType, NicType, Peer, Policy, PortRange, Ports, Rule, RuleId, RuleProtocol, RuleSet,
    SecurityGroup,
};

/// All groups of a rule set: the answers about each, and one about all of them, with their types; interfaces
/// and lists in answers of their own. Read together they are the same rule set.
///
/// # Errors
/// Where the rule set has what no answer of the API has.
pub fn alibaba_json(rules: &RuleSet) -> Result<Vec<Value>, CannotSay> {
    of_alibaba(rules)?;
    let mut answers = vec![groups(rules)];
    for group in rules.groups() {
        answers.push(attribute(group));
    }
    if rules.lists_interfaces() {
        answers.push(interfaces(rules));
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
    let list: Vec<Value> = rules.groups().iter().map(group).collect();
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
    let locals: Vec<&ipnet::IpNet> = rule
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
    local: Option<&ipnet::IpNet>,
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
    let cidr = |side: &str, net: &ipnet::IpNet| match net.addr().is_ipv6() {
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

fn interfaces(rules: &RuleSet) -> Value {
    let id = |group: &usize| rules.groups().get(*group).map(|group| group.id.clone());
    let eni = |eni: &crate::rules::Interface| {
        let (v4, v6): (Vec<_>, Vec<_>) = eni.addresses.iter().partition(|net| net.addr().is_ipv4());
        let single = |net: &&ipnet::IpNet| net.prefix_len() == net.max_prefix_len();
        let list = |nets: &[&ipnet::IpNet], wanted: bool, key: &str| -> Vec<Value> {
            let nets = nets.iter().filter(|net| single(net) == wanted);
            let text =
                |net: &&ipnet::IpNet| if wanted { net.addr().to_string() } else { net.to_string() };
            nets.map(|net| json!({key: text(net)})).collect()
        };
        let t = eni.timeouts;
        json!({
            "NetworkInterfaceId": eni.id,
            "PrivateIpSets": {"PrivateIpSet": list(&v4, true, "PrivateIpAddress")},
            "Ipv6Sets": {"Ipv6Set": list(&v6, true, "Ipv6Address")},
            "Ipv4PrefixSets": {"Ipv4PrefixSet": list(&v4, false, "Ipv4Prefix")},
            "Ipv6PrefixSets": {"Ipv6PrefixSet": list(&v6, false, "Ipv6Prefix")},
            "SecurityGroupIds": {"SecurityGroupId": eni.groups.iter().filter_map(id).collect::<Vec<_>>()},
            "ConnectionTrackingConfiguration": {
                "TcpEstablishedTimeout": t.tcp_established.as_secs(),
                "TcpClosedAndTimeWaitTimeout": t.tcp_closed.as_secs(),
                "UdpTimeout": t.udp.as_secs(),
            },
        })
    };
    let list: Vec<Value> = rules.interfaces().iter().map(eni).collect();
    json!({"NetworkInterfaceSets": {"NetworkInterfaceSet": list}})
}
