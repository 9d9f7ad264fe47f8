//! What Alibaba Cloud's own tools print: answers of the ECS API, and the console's export.

use ipnet::IpNet;
use serde_json::Value;

use super::json::{Faults, Json, reading};
use super::loaded::{Found, FoundInterface, LoadOptions, Loaded};
use crate::flow::Direction;
use crate::rules::{
    GroupRef, NicType, Peer, Policy, PortList, PortRange, Ports, PrefixList, Priority, Rule,
    RuleId, RuleProtocol, Timeouts, parse_cidr,
};

/// The kinds of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Attribute,
    Groups,
    Interfaces,
    Instances,
    PrefixList,
    PortListEntries,
    PortLists,
    Export,
    Permissions,
}

/// Which answer a value is, if it is one.
pub(super) fn recognise(value: &Value) -> Option<Answer> {
    let json = Json::new(value);
    if let Some(list) = value.as_array() {
        let has = |key: &str| !list.is_empty() && list.iter().all(|row| row.get(key).is_some());
        return match (has("IpProtocol"), has("Direction")) {
            (true, true) => Some(Answer::Export),
            (true, false) => Some(Answer::Permissions),
            _ => None,
        };
    }
    let under =
        |outer: &str, inner: &str| value.get(outer).is_some_and(|of| of.get(inner).is_some());
    let is_list = |key: &str| value.get(key).is_some_and(Value::is_array);
    let has_group = json.has("SecurityGroupId") && value.get("Permissions").is_some();
    if under("Permissions", "Permission") || has_group {
        Some(Answer::Attribute)
    } else if under("SecurityGroups", "SecurityGroup") {
        Some(Answer::Groups)
    } else if value.get("NetworkInterfaceSets").is_some()
        || json.has("NetworkInterfaceId") && value.get("SecurityGroupIds").is_some()
    {
        Some(Answer::Interfaces)
    } else if under("Instances", "Instance") {
        Some(Answer::Instances)
    } else if json.has("PrefixListId") && value.get("Entries").is_some() {
        Some(Answer::PrefixList)
    } else if is_list("PortRangeLists") {
        Some(Answer::PortLists)
    } else {
        let entries = value.get("Entries").and_then(Value::as_array);
        let of_ports =
            entries.is_some_and(|all| all.iter().any(|one| one.get("PortRange").is_some()));
        of_ports.then_some(Answer::PortListEntries)
    }
}

/// Adds an answer to what is known; `file` is the name of its file.
pub(super) fn read(
    answer: Answer,
    value: &Value,
    file: &str,
    hints: &LoadOptions,
    loaded: &mut Loaded,
    faults: &mut Faults,
) {
    let json = Json::new(value);
    if let Some(token) = json.text("NextToken", faults).filter(|_| answer != Answer::PortLists) {
        let shown: String = token.chars().take(12).collect();
        json.fault(
            "NextToken",
            format_args!(
                "`{shown}`: the answer is incomplete, more follows; ask for all pages (aliyun … --pager, or \
                 --MaxResults) and give all of them"
            ),
            faults,
        );
    }
    match answer {
        Answer::Attribute => {
            let id = json.text("SecurityGroupId", faults);
            let id = id.or_else(|| group_in(file)).unwrap_or_else(|| "sg-unnamed".to_owned());
            let rows = json.nested("Permissions", "Permission", faults);
            group(&json, &id, loaded, faults);
            rules(&id, &rows, hints, loaded, faults);
        }
        Answer::Groups => {
            for one in json.nested("SecurityGroups", "SecurityGroup", faults) {
                if let Some(id) = one.text("SecurityGroupId", faults) {
                    group(&one, &id, loaded, faults);
                }
            }
        }
        Answer::Export | Answer::Permissions => {
            let id = group_in(file).unwrap_or_else(|| "sg-export".to_owned());
            let rows = json.elements(faults);
            rules(&id, &rows, hints, loaded, faults);
        }
        Answer::Interfaces => {
            let listed = json.nested("NetworkInterfaceSets", "NetworkInterfaceSet", faults);
            let is_list = !json.has("NetworkInterfaceId");
            loaded.lists_all |= is_list;
            let in_all = json.parsed::<usize>("TotalCount", faults).unwrap_or(0);
            loaded.interfaces_in_all = loaded.interfaces_in_all.max(in_all);
            let all = if is_list { listed } else { vec![json] };
            for one in all {
                if let Some(eni) = interface(&one, faults) {
                    loaded.add_interface(eni, one.path(), faults);
                }
            }
        }
        Answer::Instances => instances(&json, loaded, faults),
        Answer::PrefixList => {
            let id = json.text("PrefixListId", faults).unwrap_or_default();
            let entries = json.nested("Entries", "Entry", faults);
            let entries = entries.iter().filter_map(|entry| entry.cidr("Cidr", faults)).collect();
            loaded.prefix_lists.push(PrefixList { id, entries });
        }
        Answer::PortListEntries => {
            let Some(id) = name_in(file, "prl-") else {
                faults.add(
                    "",
                    "the entries of a port list, and the answer does not say of which: name the \
                                file after it, prl-….json",
                );
                return;
            };
            let entries = json.nested("Entries", "Entry", faults);
            let entries: Vec<PortRange> =
                entries.iter().filter_map(|entry| entry.parsed("PortRange", faults)).collect();
            loaded.port_lists.push(PortList { id, entries });
        }
        // Only names and sizes.
        Answer::PortLists => {}
    }
}

/// What an object says of a group itself.
pub(super) fn group(json: &Json<'_>, id: &str, loaded: &mut Loaded, faults: &mut Faults) {
    let group_type = json.parsed("SecurityGroupType", faults);
    let inner = json.parsed::<Policy>("InnerAccessPolicy", faults);
    // A template may have an expression there, and no verdict rests on it.
    let vpc = json.text("VpcId", &mut Faults::default());
    let known = loaded.group(id);
    known.group_type = group_type.or(known.group_type);
    known.inner_access_policy = inner.or(known.inner_access_policy);
    known.vpc_id = vpc.or_else(|| known.vpc_id.take());
}

fn rules(
    id: &str,
    rows: &[Json<'_>],
    hints: &LoadOptions,
    loaded: &mut Loaded,
    faults: &mut Faults,
) {
    let file = faults.file.clone();
    let known = loaded.group(id);
    known.has_rules = true;
    let in_vpc = known.vpc_id.is_some();
    let start = known.rules.len();
    for (n, row) in rows.iter().enumerate() {
        let dialect = Dialect { direction: hints.direction, in_vpc };
        let numbered = RuleId::Numbered { group: id.to_owned(), number: start + n + 1 };
        let named = row.text("SecurityGroupRuleId", &mut Faults::default());
        let rule_id = named.map_or(numbered, RuleId::Named);
        let rule = reading(faults, &rule_id.clone(), id, |faults| {
            permission(row, rule_id, &dialect, faults)
        });
        let way =
            if file.is_empty() { row.path().to_owned() } else { format!("{file}: {}", row.path()) };
        known.rules.extend(rule.map(|rule| Found::new(rule, way)));
    }
}

/// How rows differ from one kind of file to another.
pub(super) struct Dialect {
    /// Of rows that do not say it.
    pub(super) direction: Option<Direction>,
    /// Then the network card means nothing.
    pub(super) in_vpc: bool,
}

/// One row: a `Permission`.
pub(super) fn permission(
    row: &Json<'_>,
    id: RuleId,
    dialect: &Dialect,
    faults: &mut Faults,
) -> Option<Rule> {
    if !row.value().is_object() {
        faults.add(row.path(), "a rule is expected here, an object");
        return None;
    }
    let before = faults.list.len();
    let direction = match row.text("Direction", faults) {
        Some(word) if word.eq_ignore_ascii_case("ingress") => Some(Direction::Ingress),
        Some(word) if word.eq_ignore_ascii_case("egress") => Some(Direction::Egress),
        Some(word) => {
            let message = format!("`{word}`: a direction is `ingress` or `egress`");
            row.fault("Direction", message, faults);
            None
        }
        None => {
            if dialect.direction.is_none() {
                let message = "the rule has no Direction; --direction says which of the two it is";
                faults.add(row.path(), message);
            }
            dialect.direction
        }
    };
    let protocol: Option<RuleProtocol> = row.parsed("IpProtocol", faults);
    if protocol.is_none() && !row.has("IpProtocol") {
        faults.add(row.path(), "the rule has no IpProtocol");
    }
    let policy = row.parsed("Policy", faults).unwrap_or(Policy::Accept);
    let priority: Priority = row.parsed("Priority", faults).unwrap_or(Priority::HIGHEST);
    let has_ports = protocol.is_some_and(RuleProtocol::has_ports);
    let ports = ports(row, has_ports, faults);
    let source_ports = match row.text("SourcePortRange", faults).as_deref() {
        None | Some("-1/-1") => Vec::new(),
        Some(_) => row.parsed::<PortRange>("SourcePortRange", faults).into_iter().collect(),
    };
    let (far, near) = match direction {
        Some(Direction::Egress) => ("Dest", "Source"),
        _ => ("Source", "Dest"),
    };
    let peers = if direction.is_some() { peer(row, far, faults) } else { None };
    let local = [format!("{near}CidrIp"), format!("Ipv6{near}CidrIp")];
    let local: Vec<Peer> =
        local.iter().filter_map(|key| row.cidr(key, faults).map(Peer::Cidr)).collect();
    let nic: Option<NicType> = row.parsed("NicType", faults);
    let create_time = row.text("CreateTime", faults).and_then(|time| time.parse().ok());
    let description =
        row.get("Description").and_then(|text| text.value().as_str().map(str::to_owned));
    if faults.list.len() > before {
        return None;
    }
    Some(Rule {
        policy,
        priority,
        ports,
        source_ports,
        local,
        nic_type: nic.filter(|_| !dialect.in_vpc),
        create_time,
        description,
        ..Rule::new(id, direction?, protocol?, peers.into_iter().collect())
    })
}

fn ports(row: &Json<'_>, has_ports: bool, faults: &mut Faults) -> Vec<Ports> {
    match row.text("PortRange", faults).as_deref() {
        None => row.text("PortRangeListId", faults).map(Ports::List).into_iter().collect(),
        Some("-1/-1") if has_ports => vec![Ports::Any],
        Some("-1/-1") => Vec::new(),
        Some(_) => row.parsed("PortRange", faults).map(Ports::Range).into_iter().collect(),
    }
}

/// The far side: one of four keys.
fn peer(row: &Json<'_>, far: &str, faults: &mut Faults) -> Option<Peer> {
    let v4 = format!("{far}CidrIp");
    let v6 = format!("Ipv6{far}CidrIp");
    let group = format!("{far}GroupId");
    let list = format!("{far}PrefixListId");
    let given: Vec<&String> =
        [&v4, &v6, &group, &list].into_iter().filter(|key| row.has(key)).collect();
    match given.as_slice() {
        [] => {
            faults.add(row.path(), format_args!(
                "the rule names no peer, none of {v4}, {v6}, {group}, {list}: it would match nothing"
            ));
            None
        }
        [key] if **key == group => {
            let id = row.text(&group, faults)?;
            let owners = ["OwnerAccount", "OwnerId"].map(|owner| format!("{far}Group{owner}"));
            let account = owners.iter().find_map(|key| row.text(key, faults));
            Some(Peer::Group(GroupRef { account, id }))
        }
        [key] if **key == list => row.text(&list, faults).map(Peer::PrefixList),
        [key] => row.cidr(key, faults).map(Peer::Cidr),
        several => {
            let keys: Vec<&str> = several.iter().map(|key| key.as_str()).collect();
            faults.add(
                row.path(),
                format_args!("the rule names several peers: {}; keep one", keys.join(", ")),
            );
            None
        }
    }
}

fn interface(json: &Json<'_>, faults: &mut Faults) -> Option<FoundInterface> {
    let id = json.text("NetworkInterfaceId", faults)?;
    let mut addresses: Vec<IpNet> = Vec::new();
    let mut add = |net: Option<IpNet>| {
        if let Some(net) = net.filter(|net| !addresses.contains(net)) {
            addresses.push(net);
        }
    };
    add(json.cidr("PrivateIpAddress", faults));
    add(json.cidr("PrimaryIpAddress", faults));
    for (outer, inner, key) in [
        ("PrivateIpSets", "PrivateIpSet", "PrivateIpAddress"),
        ("Ipv6Sets", "Ipv6Set", "Ipv6Address"),
        ("Ipv4PrefixSets", "Ipv4PrefixSet", "Ipv4Prefix"),
        ("Ipv6PrefixSets", "Ipv6PrefixSet", "Ipv6Prefix"),
    ] {
        for one in json.nested(outer, inner, faults) {
            add(one.cidr(key, faults));
        }
    }
    let groups = ids(json, "SecurityGroupIds", "SecurityGroupId", faults);
    let timeouts = json.get("ConnectionTrackingConfiguration").map(|of| timeouts(&of, faults));
    Some(FoundInterface {
        id,
        addresses,
        groups,
        subnets: json.text("VSwitchId", faults).into_iter().collect(),
        timeouts: timeouts.unwrap_or_default(),
        ..FoundInterface::default()
    })
}

fn ids(json: &Json<'_>, outer: &str, inner: &str, faults: &mut Faults) -> Vec<String> {
    let list = json.nested(outer, inner, faults).into_iter();
    list.filter_map(|one| one.value().as_str().map(str::to_owned)).collect()
}

fn timeouts(json: &Json<'_>, faults: &mut Faults) -> Timeouts {
    let mut timeouts = Timeouts::default();
    let settings = [
        ("TcpEstablishedTimeout", &mut timeouts.tcp_established),
        ("TcpClosedAndTimeWaitTimeout", &mut timeouts.tcp_closed),
        ("UdpTimeout", &mut timeouts.udp),
    ];
    for (key, setting) in settings {
        let Some(text) = json.text(key, faults) else { continue };
        match text.parse() {
            Ok(seconds) => *setting = std::time::Duration::from_secs(seconds),
            Err(_) => {
                json.fault(key, format_args!("`{text}`: a timeout is a number of seconds"), faults);
            }
        }
    }
    timeouts
}

/// Interfaces of instances; what an answer about interfaces says of them is better.
fn instances(json: &Json<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    for one in json.nested("Instances", "Instance", faults) {
        let groups = ids(&one, "SecurityGroupIds", "SecurityGroupId", faults);
        let mut found: Vec<FoundInterface> = Vec::new();
        for eni in one.nested("NetworkInterfaces", "NetworkInterface", faults) {
            found.extend(interface(&eni, faults));
        }
        let own =
            one.get("VpcAttributes").map(|vpc| ids(&vpc, "PrivateIpAddress", "IpAddress", faults));
        let own: Vec<IpNet> =
            own.unwrap_or_default().iter().filter_map(|text| parse_cidr(text).ok()).collect();
        if found.is_empty()
            && let Some(id) = one.text("InstanceId", faults)
        {
            let (addresses, groups, timeouts) = (own.clone(), Vec::new(), Timeouts::default());
            found.push(FoundInterface {
                id,
                addresses,
                groups,
                timeouts,
                ..FoundInterface::default()
            });
        }
        // The groups are those of the primary interface, which has the instance's own address.
        let primary = found
            .iter()
            .position(|eni| eni.addresses.iter().any(|net| own.contains(net)))
            .unwrap_or(0);
        for (n, mut eni) in found.into_iter().enumerate() {
            if n == primary {
                eni.groups.clone_from(&groups);
            }
            eni.is_of_instance = true;
            if !eni.groups.is_empty() {
                loaded.add_interface(eni, one.path(), faults);
            }
        }
    }
}

/// The group's id in the name of a file that the console has written.
fn group_in(file: &str) -> Option<String> {
    name_in(file, "sg-")
}

pub(super) fn name_in(file: &str, prefix: &str) -> Option<String> {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let start = name.find(prefix)?;
    let tail = name.get(start + prefix.len()..)?;
    let end = tail.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(tail.len());
    let found = tail.get(..end).filter(|id| !id.is_empty())?;
    Some(format!("{prefix}{found}"))
}
