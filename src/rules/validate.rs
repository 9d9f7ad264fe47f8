//! What the API would refuse, beyond a single field (SEMANTICS A1, A11, B1).

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use ipnet::IpNet;

use super::bounds;
use super::layer::of_layer;
use super::names::Names;
use super::{
    Cloud, GroupType, Interface, Layer, Membership, NicType, Parts, Peer, Policy, PortRange, Ports,
    Rule, RuleId, RuleProtocol, RuleSet, SecurityGroup, Timeouts,
};
use crate::flow::{Direction, Protocol};

/// Where in a set of rules something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RulePlace {
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

impl Parts {
    /// The thing at a place, by its names; `None` where it is the list of groups.
    pub fn about(&self, place: RulePlace) -> Option<String> {
        let group = |g: usize| self.groups.get(g);
        let named = |what: &str, id: &str| format!("{what} {id}");
        Some(match place {
            RulePlace::Rule(g, r, _) => about_rule(&group(g)?.rules.get(r)?.id, &group(g)?.id),
            RulePlace::Group(g, _) => named("group", &group(g)?.id),
            RulePlace::Interface(i, _) => named("interface", &self.interfaces.as_ref()?.get(i)?.id),
            RulePlace::PrefixList(l, _) => named("prefix list", &self.prefix_lists.get(l)?.id),
            RulePlace::PortList(l, _) => named("port list", &self.port_lists.get(l)?.id),
            RulePlace::Groups => return None,
        })
    }
}

/// `rule sgr-ssh of sg-web`, as messages about a rule begin.
pub(crate) fn about_rule(id: &RuleId, group: &str) -> String {
    format!("rule {id} of {group}")
}

/// Something that the API would refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Where.
    pub place: RulePlace,
    /// What was found, what would be right, and the API's name for the error in parentheses.
    pub message: String,
}

/// Something that is allowed and probably not meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Warning(pub String);

const MOST_GROUPS: usize = 10;
/// Sessions are keyed by 16 bits of interface.
const MOST_INTERFACES: usize = 65_535;
const MOST_GROUP_PEERS: usize = 20;
const MOST_PREFIXES: usize = 200;
const LONGEST_DESCRIPTION: usize = 512;

/// Every fault of the parts.
pub(super) fn faults(parts: &Parts) -> Vec<Invalid> {
    if let Some(fault) = bounds::fault(parts) {
        return vec![fault];
    }
    let lists = (&*parts.prefix_lists, &*parts.port_lists, &*parts.tags);
    let interfaces = parts.interfaces.as_deref().unwrap_or_default();
    let names = Names::new(&parts.groups, interfaces, lists);
    let mut checker = Checker { parts, names, faults: Vec::new(), tags: HashSet::new() };
    checker.groups();
    checker.interfaces();
    checker.lists();
    checker.faults
}

pub(super) struct Checker<'a> {
    pub(super) parts: &'a Parts,
    pub(super) names: Names,
    faults: Vec<Invalid>,
    /// Tags of which was said that nothing is known of them.
    pub(super) tags: HashSet<&'a str>,
}

/// Where so many faults are found, the rest is not looked at.
const MOST_FAULTS: usize = 1000;

impl<'a> Checker<'a> {
    fn is_full(&self) -> bool {
        self.faults.len() >= MOST_FAULTS
    }

    pub(super) fn fault(&mut self, place: RulePlace, message: impl Into<String>) {
        self.faults.push(Invalid { place, message: message.into() });
    }

    fn unique<'i>(
        &mut self,
        what: &str,
        ids: impl Iterator<Item = &'i str>,
        place: impl Fn(usize) -> RulePlace,
    ) {
        let mut seen = HashSet::new();
        for (position, id) in ids.enumerate() {
            if self.is_full() {
                return;
            }
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
            self.fault(RulePlace::Groups, "there is no security group; list at least one");
        }
        let ids = groups.iter().map(|group| group.id.as_str());
        self.unique("security group or network ACL", ids, |g| RulePlace::Group(g, Field::Id));
        let is_alibaba = self.parts.cloud == Cloud::Alibaba;
        for (g, group) in groups.iter().enumerate() {
            if self.is_full() {
                return;
            }
            if !is_alibaba || group.layer == Layer::NetworkAcl {
                self.foreign_group(g, group);
                continue;
            }
            let classic = |rule: &Rule| rule.nic_type == Some(NicType::Internet);
            if group.group_type == GroupType::Enterprise
                && let Some(r) = group.rules.iter().position(classic)
            {
                let message = "the classic network has no enterprise groups";
                self.fault(RulePlace::Rule(g, r, Field::NicType), message);
            }
            if group.group_type == GroupType::Enterprise
                && group.inner_access_policy == Policy::Accept
            {
                self.fault(
                    RulePlace::Group(g, Field::InnerAccessPolicy),
                    "members of an enterprise group are always isolated; leave the key out or write `drop`",
                );
            }
            self.group_peers(g, group);
            self.rule_ids(g, group);
            for (r, rule) in group.rules.iter().enumerate() {
                if self.is_full() {
                    return;
                }
                self.rule(g, group, r, rule);
            }
        }
    }

    pub(super) fn priority(&mut self, at: RulePlace, layer: Layer, rule: &Rule) {
        let number = rule.priority.get();
        let cloud = self.parts.cloud;
        let allowed = layer.priorities(cloud);
        let message = match cloud {
            _ if allowed.contains(&number) => return,
            _ if layer == Layer::NetworkAcl => format!(
                "`{number}`: a rule of a network ACL has a number from {} to {}",
                allowed.start(),
                layer.lowest_custom(cloud),
            ),
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
            self.faults.push(Invalid { place: RulePlace::Rule(g, r, field), message });
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
            if self.is_full() {
                return;
            }
            if !ids.insert(&rule.id) {
                let message = format!("there is another rule `{}` before this one", rule.id);
                self.fault(RulePlace::Rule(g, r, Field::Id), message);
            }
            let Rule { direction, policy, priority, protocol, nic_type, .. } = rule;
            let Rule { ports, source_ports, peers, local, icmp, targets, .. } = rule;
            let content = (
                (direction, policy, priority, protocol, nic_type),
                (ports, source_ports, peers, local, icmp, targets),
            );
            let first = *contents.entry(content).or_insert(r);
            if first != r {
                let message = format!(
                    "this rule says the same as rule {} of the group; keep one \
                     (InvalidParam.DuplicatePermissions)",
                    first + 1,
                );
                self.fault(RulePlace::Rule(g, r, Field::Whole), message);
            }
        }
    }

    /// Rules whose peer is a group (SEMANTICS A7).
    fn group_peers(&mut self, g: usize, group: &SecurityGroup) {
        let is_group = |peer: &Peer| matches!(peer, Peer::Group(_));
        let with_group = group.rules.iter().filter(|rule| rule.peers.iter().any(is_group)).count();
        if group.group_type == GroupType::Basic && with_group > MOST_GROUP_PEERS {
            self.fault(
                RulePlace::Group(g, Field::Whole),
                format!(
                    "{with_group} rules have a group as peer; a basic group may have \
                     {MOST_GROUP_PEERS} (AuthorizedGroupRule.LimitExceed)"
                ),
            );
        }
    }

    fn rule(&mut self, g: usize, group: &SecurityGroup, r: usize, rule: &Rule) {
        let at = |field| RulePlace::Rule(g, r, field);
        self.priority(at(Field::Priority), group.layer, rule);
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
        let (at, protocol) = (RulePlace::Rule(g, r, Field::Ports), rule.protocol);
        if protocol.has_ports() && rule.ports.is_empty() {
            let message = format!(
                "a {protocol} rule needs `ports`, for example `22/22`; all of them are `1/65535` \
                 (InvalidParam.PortRange)"
            );
            self.fault(RulePlace::Rule(g, r, Field::Whole), message);
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
                (Ports::List(id), true) if self.names.port_list(id).is_none() => {
                    let known = self.parts.port_lists.iter().map(|list| list.id.as_str());
                    let message = unknown("port list", id, known, "port_lists");
                    format!(
                        "{message}; `aliyun ecs DescribePortRangeListEntries --PortRangeListId {id} > {id}.json` \
                         beside the cloud's files has it"
                    )
                }
                _ => continue,
            };
            self.fault(at, message);
        }
        if let Some(range) = rule.source_ports.iter().find(|range| range.first() == 0) {
            self.fault(RulePlace::Rule(g, r, Field::SourcePorts), no_port_0(*range));
        }
        if !rule.source_ports.is_empty() && !protocol.has_ports() {
            let message = format!(
                "only tcp and udp have ports, and the protocol is {protocol} (InvalidParam.PortRange)"
            );
            self.fault(RulePlace::Rule(g, r, Field::SourcePorts), message);
        }
    }

    fn peer(&mut self, at: RulePlace, group: &SecurityGroup, rule: &Rule, peer: &Peer) {
        match peer {
            Peer::Tag(_) => {}
            Peer::Cidr(net) => self.protocol_family(at, rule, std::slice::from_ref(net)),
            Peer::PrefixList(id) => {
                let list = self.names.prefix_list(id);
                let Some(list) = list.and_then(|list| self.parts.prefix_lists.get(list)) else {
                    let known = self.parts.prefix_lists.iter().map(|list| list.id.as_str());
                    let message = unknown("prefix list", id, known, "prefix_lists");
                    let hint = self.parts.cloud.prefix_list_hint(id);
                    return self.fault(at, format!("{message}; {hint}"));
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
                    let other = self.names.group(&reference.id);
                    let other = other.and_then(|group| self.parts.groups.get(group));
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

    fn protocol_family(&mut self, at: RulePlace, rule: &Rule, nets: &[IpNet]) {
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
            self.fault(RulePlace::Interface(MOST_INTERFACES, Field::Whole), message);
        }
        let ids = interfaces.iter().map(|eni| eni.id.as_str());
        self.unique("interface", ids, |i| RulePlace::Interface(i, Field::Id));
        for (i, eni) in interfaces.iter().enumerate() {
            if self.is_full() {
                return;
            }
            let at = |field| RulePlace::Interface(i, field);
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
        }
    }

    /// Without a list of interfaces, one holds every group of the file, where it is not unknown which groups
    /// an interface has.
    fn one_interface(&mut self, groups: &[SecurityGroup]) {
        if self.parts.membership != Membership::Stated || groups.is_empty() {
            return;
        }
        let all: Vec<usize> = (0..groups.len()).collect();
        if let Some(message) = together(self.parts.cloud, groups, &all) {
            let message = format!("{message}; say under `interfaces` which groups each has");
            self.fault(RulePlace::Groups, message);
        }
    }

    fn members(&mut self, at: RulePlace, eni: &Interface) {
        let groups = &self.parts.groups;
        if eni.groups.is_empty() {
            self.fault(at, "the interface has no group");
        } else if let Some(message) = together(self.parts.cloud, groups, &eni.groups) {
            self.fault(at, message);
        }
    }

    fn timeouts(&mut self, i: usize, timeouts: &Timeouts) {
        let Timeouts { tcp_established, tcp_closed, udp, .. } = *timeouts;
        let mut check = |setting, value: Duration, allowed: &[u64]| {
            if !allowed.contains(&value.as_secs()) {
                let list: Vec<String> = allowed.iter().map(u64::to_string).collect();
                let message = format!(
                    "{} is not offered; choose one of {}",
                    value.as_secs(),
                    list.join(", ")
                );
                self.fault(RulePlace::Interface(i, Field::Timeouts(setting)), message);
            }
        };
        check("tcp_established", tcp_established, &[30, 60, 80, 100, 200, 300, 500, 700, 910]);
        check("tcp_closed", tcp_closed, &[3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        check("udp", udp, &[10, 20, 30, 60, 80, 100]);
    }

    fn lists(&mut self) {
        let parts: &'a Parts = self.parts;
        let ids = parts.prefix_lists.iter().map(|list| list.id.as_str());
        self.unique("prefix list", ids, |l| RulePlace::PrefixList(l, Field::Id));
        let ids = parts.port_lists.iter().map(|list| list.id.as_str());
        self.unique("port list", ids, |l| RulePlace::PortList(l, Field::Id));
        for (l, list) in parts.prefix_lists.iter().enumerate() {
            let at = RulePlace::PrefixList(l, Field::Entries);
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
                self.fault(RulePlace::PortList(l, Field::Entries), "the port list has no entries");
            }
            if let Some(range) = list.entries.iter().find(|range| range.first() == 0) {
                self.fault(RulePlace::PortList(l, Field::Entries), no_port_0(*range));
            }
        }
    }
}

/// How many groups an interface can have.
fn most_groups(cloud: Cloud) -> usize {
    match cloud {
        Cloud::Alibaba => MOST_GROUPS,
        // By a quota that AWS raises.
        Cloud::Aws => 16,
        Cloud::ClassBench | Cloud::Google => 1,
        // The subnet's, and its own.
        Cloud::Azure => 2,
    }
}

/// Why no interface can have these groups together, if none can.
pub(super) fn together(
    cloud: Cloud,
    groups: &[SecurityGroup],
    together: &[usize],
) -> Option<String> {
    let most = most_groups(cloud);
    let acls = of_layer(groups, together, Layer::NetworkAcl).len();
    if acls > 1 {
        return Some(format!("one interface cannot have {acls} network ACLs; a subnet has one"));
    }
    let together = of_layer(groups, together, Layer::SecurityGroup);
    if together.len() > most {
        let count = together.len();
        return Some(format!("one interface cannot have {count} groups, {most} at most"));
    }
    let mut types = together.iter().filter_map(|group| groups.get(*group)).map(|of| of.group_type);
    let first = types.next();
    types
        .any(|other| Some(other) != first)
        .then(|| "one interface cannot have basic and enterprise groups".to_owned())
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

/// Rules that match nothing in a capture, since nobody has said who the members of their peers are.
pub(super) fn unknown_members(rules: &RuleSet) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut empty: HashSet<String> = HashSet::new();
    let has_members: Vec<bool> = (0..rules.groups.len())
        .map(|group| rules.members(group).any(|eni| !eni.addresses.is_empty()))
        .collect();
    let all =
        rules.groups.iter().flat_map(|group| group.rules.iter().map(move |rule| (group, rule)));
    for (group, rule) in all {
        for peer in &rule.peers {
            let Peer::Group(reference) = peer else { continue };
            let position = rules.group_position(&reference.id);
            if position.is_some_and(|group| has_members.get(group) == Some(&true)) {
                continue;
            }
            let name = reference.to_string();
            if !empty.contains(&name) {
                warnings.push(Warning(format!(
                    "{} refers to group {name}, of which no member is known: it matches nothing here; list \
                     the members under `interfaces`",
                    about_rule(&rule.id, &group.id),
                )));
                empty.insert(name);
            }
        }
    }
    warnings
}
