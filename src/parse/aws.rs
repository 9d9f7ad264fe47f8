//! What `aws ec2` prints: security groups, network ACLs, interfaces, prefix lists.

use std::time::Duration;

use serde_json::Value;

use super::json::{Faults, Json, reading};
use super::loaded::{Found, FoundInterface, Loaded};
use crate::flow::{Direction, Protocol};
use crate::rules::{
    Cloud, GroupRef, Layer, Peer, Policy, PortRange, Ports, PrefixList, Priority, Rule, RuleId,
    RuleProtocol,
};

/// The kinds of answers, in the order in which they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answer {
    NetworkAcls,
    Groups,
    Rules,
    PrefixLists,
    PrefixListEntries,
    Subnets,
    Interfaces,
    Instances,
    /// A collector's file: groups, network ACLs and instances of a VPC.
    Collected,
}

/// Which answer a value is, if it is one.
pub(super) fn recognise(value: &Value) -> Option<Answer> {
    let list = |key: &str| value.get(key).and_then(Value::as_array);
    let is_list = |key: &str| list(key).is_some();
    let entries =
        || list("Entries").is_some_and(|all| all.iter().all(|one| one.get("Cidr").is_some()));
    Some(match () {
        () if is_list("SecurityGroups") => Answer::Groups,
        () if is_collected(value) => Answer::Collected,
        () if is_list("SecurityGroupRules") => Answer::Rules,
        () if is_list("NetworkAcls") => Answer::NetworkAcls,
        () if list("Subnets")
            .is_some_and(|all| all.iter().any(|one| one.get("SubnetId").is_some())) =>
        {
            Answer::Subnets
        }
        () if is_list("NetworkInterfaces") => Answer::Interfaces,
        () if is_list("Reservations") => Answer::Instances,
        () if is_list("PrefixLists") => Answer::PrefixLists,
        () if entries() => Answer::PrefixListEntries,
        () => return None,
    })
}

/// Whether groups stand under the name that our own file has for them too.
pub(super) fn is_collected(value: &Value) -> bool {
    let first = |key: &str, id: &str| {
        let first = value.get(key).and_then(|groups| groups.get(0));
        first.is_some_and(|group| group.get(id).is_some())
    };
    first("security_groups", "GroupId") || first("network_acls", "NetworkAclId")
}

/// Adds an answer to what is known; `file` is the name of its file.
pub(super) fn read(
    answer: Answer,
    value: &Value,
    file: &str,
    loaded: &mut Loaded,
    faults: &mut Faults,
) {
    let json = Json::new(value);
    if json.has("NextToken") {
        let message = "the answer is incomplete, more follows; without --max-items the tool asks for all of it";
        json.fault("NextToken", message, faults);
    }
    match answer {
        Answer::Groups => {
            loaded.of_cloud(Cloud::Aws, faults);
            for group in json.list("SecurityGroups", faults) {
                self::group(&group, loaded, faults);
            }
        }
        Answer::Rules => {
            loaded.of_cloud(Cloud::Aws, faults);
            for row in json.list("SecurityGroupRules", faults) {
                rule_of_its_own(&row, loaded, faults);
            }
        }
        Answer::NetworkAcls => {
            loaded.of_cloud(Cloud::Aws, faults);
            for acl in json.list("NetworkAcls", faults) {
                network_acl(&acl, loaded, faults);
            }
        }
        Answer::PrefixLists => {
            for list in json.list("PrefixLists", faults) {
                // An answer about managed lists has names and sizes only.
                if let (Some(id), true) = (list.text("PrefixListId", faults), list.has("Cidrs")) {
                    let cidrs = list.list("Cidrs", faults);
                    let entries = cidrs.iter().filter_map(|one| one.own_cidr(faults)).collect();
                    loaded.prefix_lists.push(PrefixList { id, entries });
                }
            }
        }
        Answer::PrefixListEntries => {
            let Some(id) = super::alibaba::name_in(file, "pl-") else {
                let message = "the entries of a prefix list, and the answer does not say of which: name the file \
                               after it, pl-….json";
                return faults.add("", message);
            };
            let rows = json.list("Entries", faults);
            let entries = rows.iter().filter_map(|row| row.cidr("Cidr", faults)).collect();
            loaded.prefix_lists.push(PrefixList { id, entries });
        }
        Answer::Subnets => {
            for one in json.list("Subnets", faults) {
                subnet(&one, loaded, faults);
            }
        }
        Answer::Interfaces => {
            loaded.lists_all = true;
            for one in json.list("NetworkInterfaces", faults) {
                loaded.owners.extend(one.text("OwnerId", faults));
                interface(&one, loaded, faults);
            }
        }
        Answer::Instances => {
            let instances = json.list("Reservations", faults);
            let instances = instances.iter().flat_map(|of| of.list("Instances", faults));
            let instances: Vec<Json<'_>> = instances.collect();
            self::instances(&instances, loaded, faults);
        }
        Answer::Collected => {
            loaded.of_cloud(Cloud::Aws, faults);
            for group in json.list("security_groups", faults) {
                self::group(&group, loaded, faults);
            }
            for acl in json.list("network_acls", faults) {
                network_acl(&acl, loaded, faults);
            }
            let instances = json.list("instances", faults);
            self::instances(&instances, loaded, faults);
        }
    }
}

/// A group: a permission is a rule for each combination of its ports and peers, kept as one.
fn group(json: &Json<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    let Some(id) = json.text("GroupId", faults) else {
        return faults.add(json.path(), "the group has no GroupId");
    };
    let owner = json.text("OwnerId", faults);
    let vpc = json.text("VpcId", faults);
    let mut rules: Vec<Found> = Vec::new();
    for (key, direction) in
        [("IpPermissions", Direction::Ingress), ("IpPermissionsEgress", Direction::Egress)]
    {
        for row in json.list(key, faults) {
            let number = RuleId::Numbered { group: id.clone(), number: rules.len() + 1 };
            let rule = reading(faults, &number.clone(), &id, |faults| {
                let peers = peers(&row, owner.as_deref(), faults);
                // A permission for nobody matches nothing.
                if peers.is_empty() {
                    return None;
                }
                permission(&row, number, direction, peers, faults)
            });
            rules.extend(rule.map(|rule| Found::new(rule, row.path().to_owned())));
        }
    }
    loaded.add_group(&id, vpc, rules, json.path(), faults);
    loaded.group(&id).owner = owner;
}

/// The peers of a permission.
fn peers(row: &Json<'_>, owner: Option<&str>, faults: &mut Faults) -> Vec<Peer> {
    let mut peers = Vec::new();
    for (list, key) in [("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6")] {
        let all = row.list(list, faults);
        for one in &all {
            one.needs(key, faults);
            peers.extend(one.cidr(key, faults).map(Peer::Cidr));
        }
    }
    for one in row.list("PrefixListIds", faults) {
        one.needs("PrefixListId", faults);
        peers.extend(one.text("PrefixListId", faults).map(Peer::PrefixList));
    }
    for one in row.list("UserIdGroupPairs", faults) {
        peers.extend(pair(&one, owner, faults));
    }
    peers
}

/// A group as peer: of another account where its owner is another.
fn pair(json: &Json<'_>, owner: Option<&str>, faults: &mut Faults) -> Option<Peer> {
    json.needs("GroupId", faults);
    let id = json.text("GroupId", faults)?;
    let account = json.text("UserId", faults).filter(|user| owner.is_some_and(|own| own != user));
    Some(Peer::Group(GroupRef { account, id }))
}

/// A row of `describe-security-group-rules`.
fn rule_of_its_own(json: &Json<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    let Some(group) = json.text("GroupId", faults) else {
        return faults.add(json.path(), "the rule does not say which group it is of (GroupId)");
    };
    let egress = json.get("IsEgress").and_then(|flag| flag.value().as_bool());
    let Some(egress) = egress else {
        return faults.add(json.path(), "the rule has no IsEgress, true or false");
    };
    let direction = if egress { Direction::Egress } else { Direction::Ingress };
    let known = loaded.group(&group);
    known.has_rules = true;
    let number = RuleId::Numbered { group: group.clone(), number: known.rules.len() + 1 };
    let id = json.text("SecurityGroupRuleId", faults).map_or(number, RuleId::Named);
    let found = reading(faults, &id.clone(), &group, |faults| {
        let nets = ["CidrIpv4", "CidrIpv6"].map(|key| json.cidr(key, faults));
        let mut peers: Vec<Peer> = nets.into_iter().flatten().map(Peer::Cidr).collect();
        peers.extend(json.text("PrefixListId", faults).map(Peer::PrefixList));
        let owner = json.text("GroupOwnerId", faults);
        if let Some(of) = json.get("ReferencedGroupInfo") {
            peers.extend(pair(&of, owner.as_deref(), faults));
        }
        if peers.is_empty() {
            let message =
                "the rule has no far side: CidrIpv4, CidrIpv6, PrefixListId or ReferencedGroupInfo";
            faults.add(json.path(), message);
            return None;
        }
        let rule = permission(json, id, direction, peers, faults)?;
        let description = json.text("Description", faults);
        Some(Found::new(Rule { description, ..rule }, json.path().to_owned()))
    });
    known.rules.extend(found);
}

/// What a permission and a row of a rule have in common. From and to are type and code of ICMP.
fn permission(
    json: &Json<'_>,
    id: RuleId,
    direction: Direction,
    peers: Vec<Peer>,
    faults: &mut Faults,
) -> Option<Rule> {
    let protocol = json.protocol("IpProtocol", faults)?;
    let (ports, icmp) = ports(json, protocol, ("FromPort", "ToPort"), faults);
    Some(Rule { ports, icmp, ..Rule::new(id, direction, protocol, peers) })
}

/// The ports between two values, which are type and code of ICMP.
pub(super) fn ports(
    json: &Json<'_>,
    protocol: RuleProtocol,
    (from, to): (&str, &str),
    faults: &mut Faults,
) -> (Vec<Ports>, Option<(u8, Option<u8>)>) {
    let (mut icmp, mut ports) = (None, Vec::new());
    let both = |faults: &mut Faults| (number(json, from, faults), number(json, to, faults));
    match protocol {
        _ if is_icmp(protocol) => {
            let (kind, code) = both(faults);
            icmp = icmp_type(json, kind, code, faults);
        }
        // The documents say that ports of other protocols are of no account.
        RuleProtocol::Only(proto) if proto.has_ports() => {
            let (from, to) = both(faults);
            ports.extend(range(json, from, to, faults).map(Ports::Range));
        }
        RuleProtocol::Only(_) | RuleProtocol::All => {}
    }
    (ports, icmp)
}

pub(super) fn is_icmp(protocol: RuleProtocol) -> bool {
    matches!(protocol, RuleProtocol::Only(Protocol::ICMP | Protocol::ICMPV6))
}

/// −1 and absent are alike: all.
fn number(json: &Json<'_>, key: &str, faults: &mut Faults) -> Option<u16> {
    match json.text(key, faults).as_deref() {
        None | Some("-1") => None,
        Some(text) => {
            let number = text.parse().ok();
            if number.is_none() {
                json.fault(
                    key,
                    format_args!("`{text}`: −1 or 0 to 65535 is expected here"),
                    faults,
                );
            }
            number
        }
    }
}

fn range(
    json: &Json<'_>,
    from: Option<u16>,
    to: Option<u16>,
    faults: &mut Faults,
) -> Option<PortRange> {
    let (from, to) = match (from, to) {
        (None, None) => return None,
        (from, to) => (from.unwrap_or(0), to.unwrap_or(u16::MAX)),
    };
    let range = PortRange::new(from, to);
    if range.is_none() {
        faults.add(json.path(), format_args!("the ports {from} to {to} are reversed"));
    }
    range
}

fn icmp_type(
    json: &Json<'_>,
    kind: Option<u16>,
    code: Option<u16>,
    faults: &mut Faults,
) -> Option<(u8, Option<u8>)> {
    let kind = kind?;
    let byte = |number: u16| u8::try_from(number).ok();
    match (byte(kind), code.map(byte)) {
        (Some(kind), None) => Some((kind, None)),
        (Some(kind), Some(Some(code))) => Some((kind, Some(code))),
        _ => {
            faults.add(json.path(), "ICMP types and codes are −1 or 0 to 255");
            None
        }
    }
}

/// A network ACL: numbered entries, of which the one without a match that is printed last is one too.
fn network_acl(json: &Json<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    let Some(id) = json.text("NetworkAclId", faults) else {
        return faults.add(json.path(), "the network ACL has no NetworkAclId");
    };
    let mut rules = Vec::new();
    for entry in json.list("Entries", faults) {
        rules.extend(acl_entry(&entry, &id, faults).map(|rule| Found {
            note: "stateless".to_owned(),
            // It has a number, which is its priority.
            listed_as: Some(String::new()),
            ..Found::new(rule, entry.path().to_owned())
        }));
    }
    for association in json.list("Associations", faults) {
        loaded
            .subnets
            .extend(association.text("SubnetId", faults).map(|subnet| (subnet, id.clone())));
    }
    let vpc = json.text("VpcId", faults);
    loaded.add_group(&id, vpc, rules, json.path(), faults);
    loaded.group(&id).layer = Layer::NetworkAcl;
}

fn acl_entry(json: &Json<'_>, acl: &str, faults: &mut Faults) -> Option<Rule> {
    let egress = json.get("Egress").and_then(|flag| flag.value().as_bool());
    let Some(egress) = egress else {
        faults.add(json.path(), "the entry has no Egress, true or false");
        return None;
    };
    let direction = if egress { Direction::Egress } else { Direction::Ingress };
    let priority: Priority = json.parsed("RuleNumber", faults)?;
    let id = RuleId::Named(super::group::of_number(direction, priority));
    reading(faults, &id.clone(), acl, |faults| entry_of(json, id, direction, priority, faults))
}

fn entry_of(
    json: &Json<'_>,
    id: RuleId,
    direction: Direction,
    priority: Priority,
    faults: &mut Faults,
) -> Option<Rule> {
    let protocol = json.protocol("Protocol", faults)?;
    let policy = match json.text("RuleAction", faults).as_deref() {
        Some("allow") => Policy::Accept,
        Some("deny") => Policy::Drop,
        _ => {
            faults.add(json.path(), "the entry's RuleAction is neither `allow` nor `deny`");
            return None;
        }
    };
    let nets = ["CidrBlock", "Ipv6CidrBlock"].map(|key| json.cidr(key, faults));
    let peers: Vec<Peer> = nets.into_iter().flatten().map(Peer::Cidr).collect();
    let ports = json.get("PortRange").and_then(|of| {
        let (from, to) = (number(&of, "From", faults), number(&of, "To", faults));
        range(&of, from, to, faults)
    });
    let icmp = json.get("IcmpTypeCode").and_then(|of| {
        let (kind, code) = (number(&of, "Type", faults), number(&of, "Code", faults));
        icmp_type(&of, kind, code, faults)
    });
    Some(Rule {
        policy,
        priority,
        ports: ports.map(Ports::Range).into_iter().collect(),
        icmp: icmp.filter(|_| is_icmp(protocol)),
        ..Rule::new(id, direction, protocol, peers)
    })
}

/// The addresses of a subnet.
fn subnet(json: &Json<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    let Some(id) = json.text("SubnetId", faults) else { return };
    let mut nets = vec![json.cidr("CidrBlock", faults)];
    for one in json.list("Ipv6CidrBlockAssociationSet", faults) {
        nets.push(one.cidr("Ipv6CidrBlock", faults));
    }
    loaded.networks.extend(nets.into_iter().flatten().map(|net| (id.clone(), net)));
}

fn instances(all: &[Json<'_>], loaded: &mut Loaded, faults: &mut Faults) {
    for instance in all {
        for one in instance.list("NetworkInterfaces", faults) {
            interface(&one, loaded, faults);
        }
    }
}

/// An interface, with its groups, or the network ACL of its subnet.
fn interface(json: &Json<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    let Some(id) = json.text("NetworkInterfaceId", faults) else {
        return faults.add(json.path(), "the interface has no NetworkInterfaceId");
    };
    let mut addresses = Vec::new();
    let mut add = |net: Option<ipnet::IpNet>| {
        addresses.extend(net.filter(|net| !addresses.contains(net)));
    };
    add(json.cidr("PrivateIpAddress", faults));
    for (list, key) in [
        ("PrivateIpAddresses", "PrivateIpAddress"),
        ("Ipv6Addresses", "Ipv6Address"),
        ("Ipv4Prefixes", "Ipv4Prefix"),
        ("Ipv6Prefixes", "Ipv6Prefix"),
    ] {
        for one in json.list(list, faults) {
            add(one.cidr(key, faults));
        }
    }
    let groups = json.list("Groups", faults);
    let groups = if groups.is_empty() { json.list("SecurityGroups", faults) } else { groups };
    let groups = groups.iter().filter_map(|group| group.text("GroupId", faults)).collect();
    let subnets = json.text("SubnetId", faults).into_iter().collect();
    let mut timeouts = Cloud::Aws.timeouts();
    if let Some(of) = json.get("ConnectionTrackingConfiguration") {
        let mut set = |key: &str, setting: &mut Duration| {
            let Some(text) = of.text(key, faults) else { return };
            match text.parse() {
                Ok(seconds) => *setting = Duration::from_secs(seconds),
                Err(_) => {
                    of.fault(
                        key,
                        format_args!("`{text}`: a timeout is a number of seconds"),
                        faults,
                    );
                }
            }
        };
        set("TcpEstablishedTimeout", &mut timeouts.tcp_established);
        set("UdpTimeout", &mut timeouts.udp);
        let mut stream = timeouts.udp_stream.unwrap_or(timeouts.udp);
        set("UdpStreamTimeout", &mut stream);
        timeouts.udp_stream = Some(stream);
    }
    let rest = FoundInterface::default();
    let eni = FoundInterface { id, addresses, groups, subnets, timeouts, ..rest };
    loaded.add_interface(eni, json.path(), faults);
}
