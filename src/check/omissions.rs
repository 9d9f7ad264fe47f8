//! What rules forget: the other family, ICMP of it, DNS, data connections; and quotas (SEMANTICS A8,
//! A11).

use std::collections::HashSet;

use ipnet::IpNet;

use super::exposure::EVERYBODY;
use super::lists::{Examined, List};
use super::{Example, Finding, Other, named};
use crate::flow::{Direction, Protocol};
use crate::header_space::{Detail, Part, Question, Region, parts};
use crate::rules::{
    Addresses, Cloud, Code, Entry, EntryIndex, EntryKind, GroupType, Matcher, Ordered, Peer,
    Policy, PortRange, Quotas, RulePlace, RuleProtocol, RuleSet, SecurityGroup, Severity,
};

/// Private addresses that a VPC's group may have, basic and enterprise (SEMANTICS A11).
const MOST_ADDRESSES: [u128; 2] = [6_000, 65_536];

pub(super) fn find(rules: &RuleSet, lists: &[List<'_>]) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    let mut known = HashSet::new();
    let mut add = |finding: Finding| {
        // Once, for a rule or a group that several interfaces have.
        let Some(group) = &finding.group else { return found.push(finding) };
        let message = finding.place.is_none().then(|| finding.message.clone());
        if known.insert((finding.code, finding.place, group.clone(), message)) {
            found.push(finding);
        }
    };
    let severity = if uses_ipv6(rules) { Severity::Warning } else { Severity::Note };
    for list in lists {
        for (_, place, of) in list.rules() {
            for finding in [other_family(list, of, severity), ftp(list, of)].into_iter().flatten() {
                add(finding.about(rules, place));
            }
        }
        // The addresses that it names are of Alibaba Cloud.
        if list.direction == Direction::Egress && rules.cloud() == Cloud::Alibaba {
            allow_list(list).into_iter().for_each(&mut add);
        }
    }
    if rules.cloud() == Cloud::Azure {
        lists.iter().filter_map(virtual_network).for_each(&mut add);
    }
    host_bits(rules).into_iter().for_each(&mut add);
    quotas(rules).for_each(add);
    found
}

/// Ports that clients take for themselves, over all systems (SEMANTICS H2).
const EPHEMERAL: (u16, u16) = (1024, u16::MAX);
/// A rule of so many of them is about replies, and not about a service.
const MANY_PORTS: u16 = 1024;

/// Interfaces whose rules let connections pass, and whose network ACLs not all of the replies; each ACL once.
pub(super) fn replies(rules: &RuleSet, lists: &[List<'_>]) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for list in lists {
        let back = list.direction.opposite();
        let finding =
            rules.stateless(list.interface, back).and_then(|acl| denied_replies(rules, list, &acl));
        found.extend(finding.filter(|of| {
            !found.iter().any(|known| known.group == of.group && known.message == of.message)
        }));
    }
    found
}

/// Connections that a list lets pass and whose replies the list of the other direction does not.
fn denied_replies(rules: &RuleSet, list: &List<'_>, acl: &Ordered) -> Option<Finding> {
    let serves = |range: &PortRange| {
        range.first() < EPHEMERAL.0 || range.last() - range.first() < MANY_PORTS
    };
    let (mut others, mut by): (Vec<Other>, Vec<Other>) = (Vec::new(), Vec::new());
    let mut closed: Vec<(u16, u16)> = Vec::new();
    let mut protocols: Vec<&str> = Vec::new();
    let mut example = None;
    let stopped = |deciders: &[EntryIndex]| {
        let entry = deciders.first().and_then(|index| acl.entry(*index));
        entry.is_some_and(|entry| entry.policy == Policy::Drop)
    };
    let own = rules.interfaces().get(list.interface);
    let accepts = list.rules().filter(|(_, _, of)| of.entry.policy == Policy::Accept);
    let regions = accepts.flat_map(|(position, _, of)| {
        let each = of.decides.iter().map(move |region| (position, region));
        each.flat_map(|(position, region)| {
            [(Protocol::TCP, "tcp"), (Protocol::UDP, "udp")].map(|proto| (position, region, proto))
        })
    });
    for (position, region, (proto, name)) in regions {
        let peers = region.peers().into_iter().flat_map(|range| range.cidrs());
        let source_ports = region.services().into_iter().filter_map(|service| {
            let (first, last) = match service.detail {
                Detail::Ports(first, last) => (first, last),
                Detail::All => (0, u16::MAX),
                Detail::Icmp(..) => return None,
            };
            PortRange::new(first, last).filter(|_| service.proto == proto)
        });
        let source_ports: Vec<PortRange> = source_ports.filter(serves).collect();
        if source_ports.is_empty() {
            continue;
        }
        let reply = Matcher {
            protocol: RuleProtocol::Only(proto),
            ports: PortRange::new(EPHEMERAL.0, EPHEMERAL.1).into_iter().collect(),
            source_ports,
            peer: Addresses::Nets(peers.collect()),
            ..Matcher::any()
        };
        let question = Question::all().matching(vec![reply]).local(own);
        for Part { region, deciders } in parts(&[acl], &question, stopped).ok()? {
            let decider = deciders.first().and_then(|index| acl.entry(*index));
            let Some(decider) = decider else { continue };
            if !protocols.contains(&name) {
                protocols.push(name);
            }
            let (group, rule) = rules.names(list.interface, decider);
            for (of, names) in
                [(list.other(position), &mut others), (Other { group, rule }, &mut by)]
            {
                if !names.contains(&of) {
                    names.push(of);
                }
            }
            closed.extend(region.services().into_iter().filter_map(|service| {
                let Detail::Ports(first, last) = service.detail else { return None };
                Some((first, last))
            }));
            example.get_or_insert_with(|| Example {
                interface: list.interface,
                direction: acl.direction(),
                flow: region.example(),
            });
        }
    }
    let (way, from) = match list.direction {
        Direction::Ingress => ("in", "egress"),
        Direction::Egress => ("out", "ingress"),
    };
    let group = by.first()?.group.clone();
    let message = format!(
        "lets connections {way} by {}, and {} denies their replies to ports {} of the clients; an ACL remembers \
         no connections: accept {} 1024/65535 on {from} for them",
        named(&others),
        named(&by),
        ranges(closed),
        protocols.join(" and "),
    );
    others.extend(by);
    let finding = Finding::new(Code::RepliesDenied, message).example(example).others(others);
    Some(Finding { group: Some(group), ..finding })
}

/// `1024 to 32767, 61000 to 65535`
fn ranges(mut ports: Vec<(u16, u16)>) -> String {
    ports.sort_unstable();
    let mut merged: Vec<(u16, u16)> = Vec::new();
    for (first, last) in ports {
        match merged.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    let text = |(first, last): &(u16, u16)| match first == last {
        true => first.to_string(),
        false => format!("{first} to {last}"),
    };
    merged.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// A default rule of Azure that lets in what no rule before it denies.
fn virtual_network(list: &List<'_>) -> Option<Finding> {
    if list.direction != Direction::Ingress {
        return None;
    }
    let default = list.entries.iter().enumerate().find(|(position, of)| {
        let by_name = || list.other(*position).rule == "AllowVnetInBound";
        of.entry.policy == Policy::Accept && list.is_fixed(*position) && by_name()
    });
    let (_, of) = default?;
    let region = of.decides.iter().max_by(|a, b| a.size().total_cmp(&b.size()))?;
    let group = list.rules.interfaces().get(list.interface)?.groups.first()?;
    let id = list.rules.groups().get(*group)?.id.clone();
    let message = format!(
        "a default rule lets the virtual network in: {} from {}; deny what it may not reach by a rule of a \
         smaller priority number",
        region.services_text(),
        region.peers_text(),
    );
    let finding = Finding::new(Code::VirtualNetworkAllowed, message);
    Some(Finding { group: Some(id), ..finding.example(Some(list.example(region))) })
}

/// Networks that are others than they look.
fn host_bits(rules: &RuleSet) -> Vec<Finding> {
    let mut found: Vec<(RulePlace, Vec<IpNet>)> = Vec::new();
    for (place, net) in rules.host_bits() {
        match found.last_mut() {
            Some((last, nets)) if last == place => nets.push(*net),
            _ => found.push((*place, vec![*net])),
        }
    }
    let finding = |(place, nets): (RulePlace, Vec<IpNet>)| {
        let text = |net: &IpNet| format!("{net} is {}", net.trunc());
        let texts: Vec<String> = nets.iter().map(text).collect();
        let what = match place {
            RulePlace::PrefixList(l, _) => {
                rules.prefix_lists().get(l).map(|list| format!("{}: ", list.id))
            }
            RulePlace::Interface(i, _) => {
                rules.interfaces().get(i).map(|eni| format!("{}: ", eni.id))
            }
            _ => None,
        };
        let message = format!(
            "{}{}, since bits behind the prefix do not count; write the network, or /32 (/128) where one address \
             is meant",
            what.unwrap_or_default(),
            texts.join("; "),
        );
        let finding = Finding::new(Code::HostBits, message);
        match place {
            RulePlace::Rule(g, r, _) => finding.about(rules, (g, r)),
            _ => finding,
        }
    };
    found.into_iter().map(finding).collect()
}

/// Whether anything in the rule set says that there is IPv6.
fn uses_ipv6(rules: &RuleSet) -> bool {
    let addresses = rules.interfaces().iter().flat_map(|eni| &eni.addresses);
    let peers = rules.groups().iter().flat_map(|group| &group.rules).flat_map(|rule| &rule.peers);
    let of_peers = peers.filter_map(|peer| match peer {
        Peer::Cidr(net) => Some(net),
        Peer::Group(_) | Peer::PrefixList(_) | Peer::Tag(_) => None,
    });
    addresses.chain(of_peers).any(|net| matches!(net, IpNet::V6(_)))
}

/// A rule about everybody of one family whose packets have the opposite answer from everybody of the
/// other (SEMANTICS B6: the families are separate).
fn other_family(list: &List<'_>, of: &Examined, severity: Severity) -> Option<Finding> {
    let everybody = |region: &&Region| region.peers_share() >= EVERYBODY;
    let families = |v4: bool| of.decides.iter().filter(everybody).any(|of| of.is_ipv4() == v4);
    let (v4, all_of_other) = match (families(true), families(false)) {
        (true, false) => (true, "::/0"),
        (false, true) => (false, "0.0.0.0/0"),
        _ => return None,
    };
    let protocol = match of.entry.matcher.protocol {
        RuleProtocol::Only(Protocol::ICMP) => RuleProtocol::Only(Protocol::ICMPV6),
        RuleProtocol::Only(Protocol::ICMPV6) => RuleProtocol::Only(Protocol::ICMP),
        other => other,
    };
    let peer = Addresses::Nets(all_of_other.parse().into_iter().collect());
    let matcher = Matcher { protocol, peer, local: Addresses::Any, ..of.entry.matcher.clone() };
    let policy = of.entry.policy;
    // What the platform always allows (SEMANTICS A8) no rule can drop.
    let is_system = |entry: &Entry| matches!(entry.kind, EntryKind::System(_));
    let opposite = list.ask(&matcher, |entry| entry.policy != policy && !is_system(entry)).ok()?;
    let (region, _) = opposite.iter().find(|(region, _)| everybody(&region))?;
    // What is refused in both families where nothing is said need not be said.
    let code = match (v4, policy, protocol) {
        (true, Policy::Accept, RuleProtocol::Only(Protocol::ICMPV6)) => Code::Icmpv6Forgotten,
        (true, ..) => Code::Ipv6Forgotten,
        (false, ..) => Code::Ipv4Forgotten,
    };
    let services = region.services_text();
    let (of, from) = (
        if v4 { "IPv4" } else { "IPv6" },
        match list.direction {
            Direction::Ingress => "from",
            Direction::Egress => "to",
        },
    );
    let message = match policy {
        Policy::Accept => format!(
            "accepts {of} only: {services} {from} {all_of_other} is dropped; add a rule for {all_of_other} if \
             the instance has such addresses"
        ),
        Policy::Drop => format!(
            "drops {of} only: {services} {from} {all_of_other} is still accepted; add a rule for \
             {all_of_other}"
        ),
    };
    let severity = if v4 { severity } else { Severity::Warning };
    Some(Finding::new(code, message).severity(severity).example(Some(list.example(region))))
}

/// FTP's port 21 is for control; files come on others, which the client chooses in passive mode
/// (SEMANTICS C2).
fn ftp(list: &List<'_>, of: &Examined) -> Option<Finding> {
    let Matcher { protocol, ports, peer, .. } = &of.entry.matcher;
    let control = ports.iter().any(|range| range.contains(21) && range.last() - range.first() <= 1);
    let accepts = of.entry.policy == Policy::Accept && list.direction == Direction::Ingress;
    if !accepts || *protocol != RuleProtocol::Only(Protocol::TCP) || !control {
        return None;
    }
    of.decides.first()?;
    let ports = PortRange::new(1024, u16::MAX).into_iter().collect();
    let data = Matcher {
        protocol: RuleProtocol::Only(Protocol::TCP),
        ports,
        peer: peer.clone(),
        ..Matcher::any()
    };
    let open = list.ask(&data, |entry| entry.policy == Policy::Accept).ok()?;
    if !open.is_empty() {
        return None;
    }
    let message = "accepts FTP's control connection, and no port above 1023 is open to the same clients, \
                   so passive transfers fail; set a range of passive ports in the server and open it";
    let example = of.decides.first().map(|region| list.example(region));
    Some(Finding::new(Code::FtpWithoutPassive, message.to_owned()).example(example))
}

/// Egress that is an allow-list: what instances usually cannot do without.
fn allow_list(list: &List<'_>) -> Vec<Finding> {
    let is_accept = |position: usize| list.policy(position) == Some(Policy::Accept);
    // An interface that may send nothing at all is isolated on purpose.
    let mut accepts =
        list.rules().filter(|(position, _, of)| is_accept(*position) && !of.decides.is_empty());
    if accepts.next().is_none() {
        return Vec::new();
    }
    let wanted = [
        (Code::EgressWithoutDns, Protocol::UDP, 53),
        (Code::EgressWithoutCloudAssistant, Protocol::TCP, 443),
    ];
    let mut found = Vec::new();
    for (code, proto, port) in wanted {
        let matcher = Matcher {
            protocol: RuleProtocol::Only(proto),
            ports: PortRange::new(port, port).into_iter().collect(),
            ..Matcher::any()
        };
        let Ok(answers) = list.ask_assuming(&matcher, |_| true) else { continue };
        let is_open = |(region, position): &(Region, usize)| {
            let kind = list.entries.get(*position).map(|of| of.entry.kind);
            // The metadata service is always open, and resolves nothing.
            region.is_ipv4() && is_accept(*position) && !matches!(kind, Some(EntryKind::System(_)))
        };
        if answers.iter().any(is_open) {
            continue;
        }
        let Some((region, position)) =
            answers.iter().find(|(region, position)| !is_accept(*position) && region.is_ipv4())
        else {
            continue;
        };
        let message = match code {
            Code::EgressWithoutDns => {
                "egress is an allow-list without DNS, so no name resolves; accept udp 53 to the resolvers, \
                 100.100.2.136 and 100.100.2.138 in a VPC"
            }
            _ => {
                "egress is an allow-list without tcp 443, which Cloud Assistant needs (with tcp 80 and \
                 udp 53); accept them to 100.64.0.0/10 if it is used. The metadata service needs no rule"
            }
        };
        let decider = list.other(*position);
        let example: Example = list.example(region);
        found.push(Finding {
            group: Some(decider.group.clone()),
            others: vec![decider],
            ..Finding::new(code, message.to_owned()).example(Some(example))
        });
    }
    found
}

fn quotas(rules: &RuleSet) -> impl Iterator<Item = Finding> + '_ {
    let of_rules = rules.over_quota().into_iter().map(|warning| {
        Finding::new(Code::QuotaRules, format!("{}; merge rules, or ask for more", warning.0))
    });
    // Only Alibaba Cloud counts the addresses of members.
    let counts = |_: &(usize, &SecurityGroup)| {
        rules.cloud() == Cloud::Alibaba && rules.quotas() == Quotas::Apply
    };
    let groups = rules.groups().iter().enumerate().filter(counts);
    let of_groups = groups.filter_map(|(position, group)| {
        let size = |net: &IpNet| 1_u128 << u32::from(net.max_prefix_len() - net.prefix_len()).min(127);
        let nets = rules.members(position).flat_map(|eni| &eni.addresses);
        let addresses = nets.fold(0_u128, |sum, net| sum.saturating_add(size(net)));
        let most = match group.group_type {
            GroupType::Basic => MOST_ADDRESSES[0],
            GroupType::Enterprise => MOST_ADDRESSES[1],
        };
        let message = format!(
            "the members of {} have {addresses} addresses, and {most} are allowed; spread them over \
             several groups",
            group.id,
        );
        let id = Some(group.id.clone());
        (addresses > most)
            .then(|| Finding { group: id, ..Finding::new(Code::QuotaAddresses, message) })
    });
    of_rules.chain(of_groups)
}
