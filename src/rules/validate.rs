//! What the API would refuse, beyond a single field (SEMANTICS A1, A11, B1).

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use ipnet::IpNet;

use super::{
    Cloud, GroupType, Interface, NicType, Parts, Peer, Policy, PortRange, Ports, Rule,
    RuleProtocol, RuleSet, SecurityGroup, Timeouts,
};
use crate::flow::{Direction, Protocol};

/// Where in a set of rules something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A field of a group, by position.
    Group(usize, Field),
    /// A field of a rule, by the group's and the rule's position.
    Rule(usize, usize, Field),
    /// A field of an interface, by position.
    Interface(usize, Field),
    /// A field of a prefix list, by position.
    PrefixList(usize, Field),
    /// A field of a port list, by position.
    PortList(usize, Field),
    /// The list of groups itself.
    Groups,
}

/// A field, by the key it has in a rules file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// The whole object.
    Whole,
    /// `id`
    Id,
    /// `inner_access_policy`
    InnerAccessPolicy,
    /// `protocol`
    Protocol,
    /// `policy`
    Policy,
    /// `priority`
    Priority,
    /// `icmp`
    Icmp,
    /// `targets`
    Targets,
    /// `ports`
    Ports,
    /// `source_ports`
    SourcePorts,
    /// The far side: `source` on ingress, `destination` on egress.
    Peer,
    /// The near side: `destination` on ingress, `source` on egress.
    Local,
    /// `description`
    Description,
    /// `nic_type`
    NicType,
    /// `addresses`
    Addresses,
    /// `security_groups`
    SecurityGroups,
    /// `timeouts`, and the setting in it
    Timeouts(&'static str),
    /// `entries`
    Entries,
}

impl Field {
    /// What it holds, in a word.
    pub fn key(self) -> &'static str {
        match self {
            Self::Whole => "",
            Self::Id => "id",
            Self::InnerAccessPolicy => "inner access policy",
            Self::Policy => "policy",
            Self::Priority => "priority",
            Self::Icmp => "ICMP type",
            Self::Targets => "targets",
            Self::Protocol => "protocol",
            Self::Ports => "ports",
            Self::SourcePorts => "source ports",
            Self::Peer => "peer",
            Self::Local => "near side",
            Self::Description => "description",
            Self::NicType => "network card",
            Self::Addresses => "addresses",
            Self::SecurityGroups => "security groups",
            Self::Timeouts(setting) => setting,
            Self::Entries => "entries",
        }
    }
}

/// Something that the API would refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Where.
    pub place: Place,
    /// What was found, what would be right, and the API's name for the error in parentheses.
    pub message: String,
}

/// Something that is allowed and probably not meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Warning(pub String);

const MOST_GROUPS: usize = 10;
/// Sessions are keyed by 16 bits of interface.
const MOST_INTERFACES: usize = 65_535;
const MOST_RULES: usize = 1_000;
const MOST_GROUP_PEERS: usize = 20;
const MOST_PREFIXES: usize = 200;
const LONGEST_DESCRIPTION: usize = 512;

/// Every fault of the parts.
pub(super) fn faults(parts: &Parts) -> Vec<Invalid> {
    let mut checker = Checker { parts, faults: Vec::new(), tags: HashSet::new() };
    checker.groups();
    checker.interfaces();
    checker.lists();
    checker.faults
}

pub(super) struct Checker<'a> {
    pub(super) parts: &'a Parts,
    faults: Vec<Invalid>,
    /// Tags of which was said that nothing is known of them.
    pub(super) tags: HashSet<&'a str>,
}

impl<'a> Checker<'a> {
    pub(super) fn fault(&mut self, place: Place, message: impl Into<String>) {
        self.faults.push(Invalid { place, message: message.into() });
    }

    fn unique<'i>(
        &mut self,
        what: &str,
        ids: impl Iterator<Item = &'i str>,
        place: impl Fn(usize) -> Place,
    ) {
        let mut seen = HashSet::new();
        for (position, id) in ids.enumerate() {
            if id.is_empty() {
                self.fault(place(position), format!("the id of this {what} is empty"));
            } else if !seen.insert(id) {
                self.fault(
                    place(position),
                    format!("there is another {what} `{id}` before this one"),
                );
            }
        }
    }

    fn groups(&mut self) {
        let parts: &'a Parts = self.parts;
        let groups = &parts.groups;
        if groups.is_empty() {
            self.fault(Place::Groups, "there is no security group; list at least one");
        }
        let ids = groups.iter().map(|group| group.id.as_str());
        self.unique("security group", ids, |g| Place::Group(g, Field::Id));
        let is_alibaba = self.parts.cloud == Cloud::Alibaba;
        for (g, group) in groups.iter().enumerate() {
            if !is_alibaba {
                self.foreign_group(g, group);
                continue;
            }
            let classic = |rule: &Rule| rule.nic_type == Some(NicType::Internet);
            if group.group_type == GroupType::Enterprise
                && let Some(r) = group.rules.iter().position(classic)
            {
                let message = "the classic network has no enterprise groups";
                self.fault(Place::Rule(g, r, Field::NicType), message);
            }
            if group.group_type == GroupType::Enterprise
                && group.inner_access_policy == Policy::Accept
            {
                self.fault(
                    Place::Group(g, Field::InnerAccessPolicy),
                    "members of an enterprise group are always isolated; leave the key out or write `drop`",
                );
            }
            self.group_peers(g, group);
            self.rule_ids(g, group);
            for (r, rule) in group.rules.iter().enumerate() {
                self.rule(g, group, r, rule);
            }
        }
    }

    pub(super) fn priority(&mut self, at: Place, rule: &Rule) {
        let number = rule.priority.get();
        let allowed = self.parts.cloud.priorities();
        let cloud = self.parts.cloud;
        let message = match cloud {
            _ if allowed.contains(&number) => return,
            // From rules made before May 2020.
            Cloud::Alibaba if number == 110 => return,
            Cloud::Alibaba => format!(
                "`{number}`: a priority is 1 to 100, and 1 comes first (InvalidPriority.ValueNotSupported)"
            ),
            Cloud::Aws => {
                format!("`{number}`: no rule of a security group of AWS comes before another")
            }
            _ => format!(
                "`{number}`: a priority of {cloud} is {} to {}",
                allowed.start(),
                allowed.end()
            ),
        };
        self.fault(at, message);
    }

    /// What only other clouds have.
    fn alien(&mut self, g: usize, r: usize, rule: &Rule) {
        let mut say = |field, what: &str| {
            let message = format!(
                "security groups of Alibaba Cloud have no {what}; `cloud:` at the top of the file says whose rules \
                 these are"
            );
            self.faults.push(Invalid { place: Place::Rule(g, r, field), message });
        };
        if rule.icmp.is_some() {
            say(Field::Icmp, "ICMP types");
        }
        if !rule.targets.is_empty() {
            say(Field::Targets, "targets");
        }
        if rule.peers.iter().any(|peer| matches!(peer, Peer::Tag(_))) {
            say(Field::Peer, "tags");
        }
        if rule.local.iter().any(|peer| !matches!(peer, Peer::Cidr(_))) {
            say(Field::Local, "near side but addresses");
        }
    }

    fn rule_ids(&mut self, g: usize, group: &SecurityGroup) {
        let mut ids = HashSet::new();
        let mut contents: HashMap<_, usize> = HashMap::new();
        for (r, rule) in group.rules.iter().enumerate() {
            if !ids.insert(&rule.id) {
                let message = format!("there is another rule `{}` before this one", rule.id);
                self.fault(Place::Rule(g, r, Field::Id), message);
            }
            let Rule { direction, policy, priority, protocol, nic_type, .. } = rule;
            let Rule { ports, source_ports, peers, local, icmp, targets, .. } = rule;
            let content = (
                (direction, policy, priority, protocol, nic_type.map(|nic| nic as u8)),
                (ports, source_ports, peers, local, icmp, targets),
            );
            match contents.get(&format!("{content:?}")) {
                Some(first) => {
                    let message = format!(
                        "this rule says the same as rule {} of the group; keep one \
                         (InvalidParam.DuplicatePermissions)",
                        first + 1,
                    );
                    self.fault(Place::Rule(g, r, Field::Whole), message);
                }
                None => {
                    contents.insert(format!("{content:?}"), r);
                }
            }
        }
    }

    /// Rules whose peer is a group (SEMANTICS A7).
    fn group_peers(&mut self, g: usize, group: &SecurityGroup) {
        let is_group = |peer: &Peer| matches!(peer, Peer::Group(_));
        let with_group = group.rules.iter().filter(|rule| rule.peers.iter().any(is_group)).count();
        if group.group_type == GroupType::Basic && with_group > MOST_GROUP_PEERS {
            self.fault(
                Place::Group(g, Field::Whole),
                format!(
                    "{with_group} rules have a group as peer; a basic group may have \
                     {MOST_GROUP_PEERS} (AuthorizedGroupRule.LimitExceed)"
                ),
            );
        }
    }

    fn rule(&mut self, g: usize, group: &SecurityGroup, r: usize, rule: &Rule) {
        let at = |field| Place::Rule(g, r, field);
        self.priority(at(Field::Priority), rule);
        self.alien(g, r, rule);
        let side = match rule.direction {
            Direction::Ingress => ("source", "Source"),
            Direction::Egress => ("destination", "Dest"),
        };
        if rule.peers.is_empty() {
            let (key, api) = side;
            let message = format!(
                "the rule names no {key}; `0.0.0.0/0` is any IPv4 address (MissingParameter.{api})"
            );
            self.fault(at(Field::Whole), message);
        }
        for peer in &rule.peers {
            self.peer(at(Field::Peer), group, rule, peer);
        }
        for local in &rule.local {
            if rule.peers.contains(local) {
                let message =
                    format!("source and destination are both {local} (InvalidParamter.Conflict)");
                self.fault(at(Field::Local), message);
            }
        }
        self.protocol_family(at(Field::Local), rule, &nets(&rule.local));
        self.ports(g, r, rule);
        let length = rule.description.as_ref().map(|text| text.chars().count());
        if let Some(length) = length.filter(|length| *length > LONGEST_DESCRIPTION) {
            let message = format!(
                "the description has {length} characters; {LONGEST_DESCRIPTION} are allowed"
            );
            self.fault(at(Field::Description), message);
        }
    }

    fn ports(&mut self, g: usize, r: usize, rule: &Rule) {
        let (at, protocol) = (Place::Rule(g, r, Field::Ports), rule.protocol);
        if protocol.has_ports() && rule.ports.is_empty() {
            let message = format!(
                "a {protocol} rule needs `ports`, for example `22/22`; all of them are `1/65535` \
                 (InvalidParam.PortRange)"
            );
            self.fault(Place::Rule(g, r, Field::Whole), message);
        }
        for ports in &rule.ports {
            let message = match (ports, protocol.has_ports()) {
                (Ports::Range(range), _) if range.first() == 0 => no_port_0(*range),
                (Ports::Any, true) => format!(
                    "`-1/-1` is for protocols without ports; all ports of {protocol} are `1/65535` \
                     (InvalidParam.PortRange)"
                ),
                (Ports::Range(range), false) => format!(
                    "`{range}` with protocol {protocol}: only tcp and udp have ports; write `-1/-1` \
                     or leave the key out (InvalidParam.PortRange)"
                ),
                (Ports::List(id), false) => format!(
                    "`{id}` with protocol {protocol}: only tcp and udp take a port list \
                     (InvalidParam.ProtocolNotSupportPortRangeList)"
                ),
                (Ports::List(id), true) if rule.nic_type == Some(NicType::Internet) => {
                    format!("`{id}`: the classic network has no port lists")
                }
                (Ports::List(id), true) if !self.parts.port_lists.iter().any(|l| l.id == *id) => {
                    let known = self.parts.port_lists.iter().map(|list| list.id.as_str());
                    unknown("port list", id, known, "port_lists")
                }
                _ => continue,
            };
            self.fault(at, message);
        }
        if let Some(range) = rule.source_ports.iter().find(|range| range.first() == 0) {
            self.fault(Place::Rule(g, r, Field::SourcePorts), no_port_0(*range));
        }
        if !rule.source_ports.is_empty() && !protocol.has_ports() {
            let message = format!(
                "only tcp and udp have ports, and the protocol is {protocol} (InvalidParam.PortRange)"
            );
            self.fault(Place::Rule(g, r, Field::SourcePorts), message);
        }
    }

    fn peer(&mut self, at: Place, group: &SecurityGroup, rule: &Rule, peer: &Peer) {
        match peer {
            Peer::Tag(_) => {}
            Peer::Cidr(net) => self.protocol_family(at, rule, std::slice::from_ref(net)),
            Peer::PrefixList(id) => {
                let Some(list) = self.parts.prefix_lists.iter().find(|list| list.id == *id) else {
                    let known = self.parts.prefix_lists.iter().map(|list| list.id.as_str());
                    let message = unknown("prefix list", id, known, "prefix_lists");
                    return self.fault(at, message);
                };
                if rule.nic_type == Some(NicType::Internet) {
                    let message = "the classic network has no prefix lists \
                                   (NotSupported.ClassicNetworkPrefixList)";
                    self.fault(at, message);
                }
                let first = list.entries.iter().take(1).copied().collect::<Vec<_>>();
                if let Some(conflict) = conflict(rule, &first) {
                    let message =
                        format!("{id}: {conflict} (InvalidParam.PrefixListAddressFamilyMismatch)");
                    self.fault(at, message);
                }
            }
            Peer::Group(reference) => {
                let message = if group.group_type == GroupType::Enterprise {
                    "a rule of an enterprise group cannot have a group as peer; name addresses \
                     (InvalidGroupAuthParameter.OperationDenied)"
                        .to_owned()
                } else if reference.account.is_none() && reference.id == group.id {
                    "a rule cannot name its own group; access among members is \
                     `inner_access_policy` (InvalidSecurityGroup.IsSame)"
                        .to_owned()
                } else {
                    let other = self.parts.groups.iter().find(|other| other.id == reference.id);
                    match other {
                        Some(other) if other.group_type == GroupType::Enterprise => format!(
                            "{reference} is an enterprise group, which no rule can refer to \
                             (InvalidGroupAuthParameter.OperationDenied)"
                        ),
                        Some(SecurityGroup { vpc_id: Some(vpc), .. })
                            if group.vpc_id.as_ref().is_some_and(|own| own != vpc) =>
                        {
                            format!(
                                "{reference} is in another VPC, {vpc} (InvalidSourceGroupId.Mismatch)"
                            )
                        }
                        _ => return,
                    }
                };
                self.fault(at, message);
            }
        }
    }

    fn protocol_family(&mut self, at: Place, rule: &Rule, nets: &[IpNet]) {
        if let Some(conflict) = conflict(rule, nets) {
            let code = match (rule.protocol, nets.first()) {
                (RuleProtocol::Only(Protocol::ICMP), Some(IpNet::V6(_))) => {
                    "InvalidParam.Ipv4ProtocolConflictWithIpv6Address"
                }
                (RuleProtocol::Only(Protocol::ICMPV6), Some(IpNet::V4(_))) => {
                    "InvalidParam.Ipv6ProtocolConflictWithIpv4Address"
                }
                _ => match rule.direction {
                    Direction::Ingress => "InvalidParam.SourceIp",
                    Direction::Egress => "InvalidParam.DestIp",
                },
            };
            self.fault(at, format!("{conflict} ({code})"));
        }
    }

    fn interfaces(&mut self) {
        let groups = &self.parts.groups;
        let Some(interfaces) = &self.parts.interfaces else {
            return self.one_interface(groups);
        };
        if interfaces.len() > MOST_INTERFACES {
            let message = format!("{} interfaces; {MOST_INTERFACES} at most", interfaces.len());
            self.fault(Place::Interface(MOST_INTERFACES, Field::Whole), message);
        }
        let ids = interfaces.iter().map(|eni| eni.id.as_str());
        self.unique("interface", ids, |i| Place::Interface(i, Field::Id));
        let mut claimed: Vec<(IpNet, &str)> = Vec::new();
        for (i, eni) in interfaces.iter().enumerate() {
            let at = |field| Place::Interface(i, field);
            self.members(at(Field::SecurityGroups), eni);
            if self.parts.cloud == Cloud::Alibaba {
                self.timeouts(i, &eni.timeouts);
            }
            if eni.addresses.is_empty() {
                self.fault(
                    at(Field::Whole),
                    "the interface has no address; list its private addresses",
                );
            }
            for net in &eni.addresses {
                let overlap =
                    |(other, _): &&(IpNet, &str)| other.contains(net) || net.contains(other);
                let owner = claimed.iter().find(overlap).filter(|_| !self.parts.told_apart);
                if let Some((_, owner)) = owner {
                    let message = format!(
                        "{net} belongs to interface `{owner}` already; captures at each tell them \
                         apart: --interface ENI=CAPTURE"
                    );
                    self.fault(at(Field::Addresses), message);
                }
            }
            claimed.extend(eni.addresses.iter().map(|net| (*net, eni.id.as_str())));
        }
    }

    /// Without a list of interfaces, one holds every group of the file.
    fn one_interface(&mut self, groups: &[SecurityGroup]) {
        if groups.len() > self.most_groups() {
            let message = format!(
                "one interface cannot have {} groups, {} at most; say under `interfaces` \
                 which groups each has",
                groups.len(),
                self.most_groups(),
            );
            self.fault(Place::Groups, message);
        }
        let mixed =
            groups.iter().position(|g| Some(g.group_type) != groups.first().map(|f| f.group_type));
        if let Some(mixed) = mixed {
            let message = "one interface cannot have basic and enterprise groups; say under \
                           `interfaces` which groups each has";
            self.fault(Place::Group(mixed, Field::Whole), message);
        }
    }

    /// How many groups an interface can have.
    fn most_groups(&self) -> usize {
        match self.parts.cloud {
            Cloud::Alibaba => MOST_GROUPS,
            // By a quota that AWS raises.
            Cloud::Aws => 16,
            Cloud::AwsNetworkAcl | Cloud::ClassBench | Cloud::Google => 1,
            // The subnet's, and its own.
            Cloud::Azure => 2,
        }
    }

    fn members(&mut self, at: Place, eni: &Interface) {
        let groups = &self.parts.groups;
        let most = self.most_groups();
        if eni.groups.is_empty() || eni.groups.len() > most {
            let message =
                format!("an interface has 1 to {most} groups, and this one {}", eni.groups.len());
            self.fault(at, message);
        }
        let mut types =
            eni.groups.iter().filter_map(|group| groups.get(*group)).map(|g| g.group_type);
        let first = types.next();
        if types.any(|other| Some(other) != first) {
            self.fault(at, "basic and enterprise groups cannot be mixed on one interface");
        }
    }

    fn timeouts(&mut self, i: usize, timeouts: &Timeouts) {
        let Timeouts { tcp_opening: _, tcp_established, tcp_closed, udp, icmp: _, other: _ } =
            *timeouts;
        let mut check = |setting, value: Duration, allowed: &[u64]| {
            if !allowed.contains(&value.as_secs()) {
                let list: Vec<String> = allowed.iter().map(u64::to_string).collect();
                let message = format!(
                    "{} is not offered; choose one of {}",
                    value.as_secs(),
                    list.join(", ")
                );
                self.fault(Place::Interface(i, Field::Timeouts(setting)), message);
            }
        };
        check("tcp_established", tcp_established, &[30, 60, 80, 100, 200, 300, 500, 700, 910]);
        check("tcp_closed", tcp_closed, &[3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        check("udp", udp, &[10, 20, 30, 60, 80, 100]);
    }

    fn lists(&mut self) {
        let parts: &'a Parts = self.parts;
        let ids = parts.prefix_lists.iter().map(|list| list.id.as_str());
        self.unique("prefix list", ids, |l| Place::PrefixList(l, Field::Id));
        let ids = parts.port_lists.iter().map(|list| list.id.as_str());
        self.unique("port list", ids, |l| Place::PortList(l, Field::Id));
        for (l, list) in parts.prefix_lists.iter().enumerate() {
            let at = Place::PrefixList(l, Field::Entries);
            let most = if parts.cloud == Cloud::Alibaba { MOST_PREFIXES } else { usize::MAX };
            if list.entries.is_empty() || list.entries.len() > most {
                let message = format!(
                    "a prefix list has 1 to {MOST_PREFIXES} entries, and this one {}",
                    list.entries.len()
                );
                self.fault(at, message);
            }
            let v4 = list.entries.iter().filter(|net| matches!(net, IpNet::V4(_))).count();
            if v4 != 0 && v4 != list.entries.len() {
                self.fault(at, "a prefix list is of one family, IPv4 or IPv6");
            }
        }
        for (l, list) in parts.port_lists.iter().enumerate() {
            if list.entries.is_empty() {
                self.fault(Place::PortList(l, Field::Entries), "the port list has no entries");
            }
            if let Some(range) = list.entries.iter().find(|range| range.first() == 0) {
                self.fault(Place::PortList(l, Field::Entries), no_port_0(*range));
            }
        }
    }
}

fn no_port_0(range: PortRange) -> String {
    format!("`{range}`: ports are 1 to 65535 (InvalidParam.PortRange)")
}

/// Those that are addresses.
fn nets(peers: &[Peer]) -> Vec<IpNet> {
    let net = |peer: &Peer| match peer {
        Peer::Cidr(net) => Some(*net),
        Peer::Group(_) | Peer::PrefixList(_) | Peer::Tag(_) => None,
    };
    peers.iter().filter_map(net).collect()
}

pub(super) fn unknown<'a>(
    what: &str,
    id: &str,
    known: impl Iterator<Item = &'a str>,
    key: &str,
) -> String {
    match super::nearest(id, known) {
        Some(nearest) => format!("there is no {what} `{id}`; did you mean `{nearest}`?"),
        None => format!("there is no {what} `{id}`; define it under `{key}`"),
    }
}

/// Why the networks do not go with the rule's protocol, or with the addresses of its other side.
fn conflict(rule: &Rule, nets: &[IpNet]) -> Option<String> {
    nets.iter().find_map(|net| {
        let v6 = matches!(net, IpNet::V6(_));
        let local = self::nets(&rule.local);
        let across = local.into_iter().find(|local| matches!(local, IpNet::V6(_)) != v6);
        match (rule.protocol, v6, across) {
            (RuleProtocol::Only(Protocol::ICMP), true, _) => {
                Some(format!("icmp is for IPv4, and {net} is IPv6; the protocol for IPv6 is icmpv6"))
            }
            (RuleProtocol::Only(Protocol::ICMPV6), false, _) => {
                Some(format!("icmpv6 is for IPv6, and {net} is IPv4; the protocol for IPv4 is icmp"))
            }
            (_, _, Some(local)) => Some(format!(
                "{net} and {local} are of two families, so the rule can match nothing; write a rule \
                 for each family"
            )),
            _ => None,
        }
    })
}

/// What a valid rule set holds that its author would want to know.
pub(super) fn warnings(rules: &RuleSet) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let quotas = rules.cloud == Cloud::Alibaba;
    for (interface, eni) in rules.interfaces.iter().enumerate() {
        let (count, most) = quota_of(rules, interface);
        if count > most && quotas {
            warnings.push(Warning(format!(
                "interface {} has {count} rules, counting lists as the quota does; the limit is \
                 {most} (AuthorizationLimitExceed)",
                eni.id,
            )));
        }
    }
    let mut empty: Vec<String> = Vec::new();
    for rule in rules.groups.iter().flat_map(|group| &group.rules) {
        for peer in &rule.peers {
            let Peer::Group(reference) = peer else { continue };
            let members = rules
                .group_position(&reference.id)
                .map_or(0, |g| rules.members(g).filter(|eni| !eni.addresses.is_empty()).count());
            let name = reference.to_string();
            if members == 0 && !empty.contains(&name) {
                warnings.push(Warning(format!(
                    "rule {} refers to group {name}, of which no member is known: it matches nothing \
                     here; list the members under `interfaces`",
                    rule.id,
                )));
                empty.push(name);
            }
        }
    }
    warnings
}

/// What the rules of an interface's groups count, and how many it may have (SEMANTICS A11).
pub(super) fn quota_of(rules: &RuleSet, interface: usize) -> (usize, usize) {
    let groups = rules.interfaces.get(interface).map(|eni| eni.groups.as_slice());
    let groups = groups.unwrap_or_default().iter().filter_map(|group| rules.groups.get(*group));
    let count = groups.flat_map(|group| &group.rules).map(|rule| quota(rules, rule)).sum();
    (count, MOST_RULES)
}

/// What a rule counts against the quota (SEMANTICS A11): a list as its size, a list of peers or
/// ports as one rule per pair.
fn quota(rules: &RuleSet, rule: &Rule) -> usize {
    let ports = rule.ports.iter().map(|ports| match ports {
        Ports::Any | Ports::Range(_) => 1,
        Ports::List(id) => {
            rules.port_lists.iter().find(|list| list.id == *id).map_or(1, |list| list.entries.len())
        }
    });
    let peers = rule.peers.iter().map(|peer| match peer {
        Peer::Cidr(_) | Peer::Group(_) | Peer::Tag(_) => 1,
        Peer::PrefixList(id) => rules
            .prefix_lists
            .iter()
            .find(|list| list.id == *id)
            .map_or(1, |list| list.entries.len()),
    });
    ports.sum::<usize>().max(1) * peers.sum::<usize>()
}
