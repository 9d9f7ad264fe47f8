//! What rules forget: the other family, ICMP of it, DNS, data connections; and quotas (SEMANTICS A8,
//! A11).

use ipnet::IpNet;

use super::exposure::EVERYBODY;
use super::lists::{Examined, List};
use super::{Example, Finding};
use crate::flow::{Direction, Protocol};
use crate::rules::{
    Addresses, Cloud, Code, GroupType, Matcher, Peer, Policy, PortRange, RuleProtocol, RuleSet,
    Severity,
};
use crate::space::Region;

/// Private addresses that a VPC's group may have, basic and enterprise (SEMANTICS A11).
const MOST_ADDRESSES: [u128; 2] = [6_000, 65_536];

pub(super) fn find(rules: &RuleSet, lists: &[List<'_>]) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    let mut add = |finding: Finding| {
        let same = |known: &Finding| known.code == finding.code && known.place == finding.place;
        // Once, for a rule that several interfaces have.
        if finding.place.is_none() || !found.iter().any(same) {
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
    if rules.cloud() == Cloud::Alibaba {
        quotas(rules).for_each(add);
    }
    found
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
    let opposite = list.ask(&matcher, |entry| entry.policy != policy).ok()?;
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
        let Ok(answers) = list.ask(&matcher, |_| true) else { continue };
        let is_open = |(region, position): &(Region, usize)| {
            let kind = list.entries.get(*position).map(|of| of.entry.kind);
            // The metadata service is always open, and resolves nothing.
            region.is_ipv4()
                && is_accept(*position)
                && !matches!(kind, Some(crate::rules::EntryKind::System(_)))
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
    let of_rules = (0..rules.interfaces().len()).filter_map(|interface| {
        let (count, most) = rules.quota(interface);
        let eni = rules.interfaces().get(interface)?;
        let message = format!(
            "interface {} has {count} rules, counting lists as the quota does, and {most} are allowed; \
             merge rules, or ask for more (AuthorizationLimitExceed)",
            eni.id,
        );
        (count > most).then(|| Finding::new(Code::QuotaRules, message))
    });
    let of_groups = rules.groups().iter().enumerate().filter_map(|(position, group)| {
        let members = rules.interfaces().iter().filter(|eni| eni.groups.contains(&position));
        let size = |net: &IpNet| 1_u128 << u32::from(net.max_prefix_len() - net.prefix_len()).min(127);
        let nets = members.flat_map(|eni| &eni.addresses);
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
