//! What the API of Alibaba Cloud would refuse (SEMANTICS A1, A2, A11, B1).

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use foldhash::fast::FixedState;
use ipnet::IpNet;

use super::super::{
    GroupType, NicType, Peer, Policy, Ports, Quotas, Rule, RuleProtocol, SecurityGroup, Timeouts,
};
use super::{Checker, Field, Invalid, RulePlace, no_port_0, unknown};
use crate::flow::{Direction, Protocol};

const MOST_GROUP_PEERS: usize = 20;
const LONGEST_DESCRIPTION: usize = 512;

impl Checker<'_> {
    /// A security group of Alibaba Cloud.
    pub(super) fn alibaba_group(&mut self, g: usize, group: &SecurityGroup) {
        let classic = |rule: &Rule| rule.nic_type == Some(NicType::Internet);
        if group.group_type == GroupType::Enterprise
            && let Some(r) = group.rules.iter().position(classic)
        {
            let message = "the classic network has no enterprise groups";
            self.fault(RulePlace::Rule(g, r, Field::NicType), message);
        }
        if group.group_type == GroupType::Enterprise && group.inner_access_policy == Policy::Accept
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
        let mut ids: HashSet<_, FixedState> = HashSet::default();
        let mut contents: HashMap<_, usize, FixedState> = HashMap::default();
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
        let has_quota = self.parts.quotas == Quotas::Apply && group.group_type == GroupType::Basic;
        if has_quota && with_group > MOST_GROUP_PEERS {
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

    pub(super) fn timeouts(&mut self, i: usize, timeouts: &Timeouts) {
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
}

/// Those that are addresses.
fn nets(peers: &[Peer]) -> Vec<IpNet> {
    let net = |peer: &Peer| match peer {
        Peer::Cidr(net) => Some(*net),
        Peer::Group(_) | Peer::PrefixList(_) | Peer::Tag(_) => None,
    };
    peers.iter().filter_map(net).collect()
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
