//! How many rules a cloud takes (SEMANTICS A11), and who has more.

use ipnet::IpNet;

use super::{Cloud, Peer, Ports, Rule, RuleSet, SecurityGroup};
use crate::flow::Direction;

/// Alibaba Cloud: of all groups of an interface together.
const OF_AN_INTERFACE: usize = 1_000;
/// AWS, "Amazon VPC quotas": inbound or outbound rules of a security group, counted for each family.
const OF_A_GROUP_OF_AWS: usize = 60;
/// AWS, the same page: entries of a network ACL in one direction; 40 on request.
const OF_AN_ACL: usize = 20;
/// Azure, "Azure subscription limits": rules of a network security group.
const OF_AN_NSG: usize = 1_000;

/// The families of addresses, as quotas count them.
const FAMILIES: [(bool, &str); 2] = [(false, "IPv4"), (true, "IPv6")];

/// What is over a quota, in words.
pub(super) fn over(rules: &RuleSet) -> Vec<String> {
    let each = |group: &SecurityGroup, direction: Direction| -> Vec<Rule> {
        let custom = group.rules.iter().filter(|rule| rule.direction == direction);
        let custom = custom.filter(|rule| rule.priority.get() <= rules.cloud.lowest_custom());
        custom.cloned().collect()
    };
    let say = |what: String, count: usize, most: usize, more: &str| {
        let message = format!(
            "{what} has {count} rules, counting lists as the quota does, and {most} are allowed{more}"
        );
        (count > most).then_some(message)
    };
    let groups = rules.groups.iter();
    match rules.cloud {
        Cloud::Alibaba => {
            let all = rules.interfaces.iter().filter_map(|eni| {
                let groups = eni.groups.iter().filter_map(|group| rules.groups.get(*group));
                let count = groups
                    .flat_map(|group| &group.rules)
                    .map(|rule| pairs(rules, rule, None))
                    .sum();
                let what = match rules.only_group(eni) {
                    Some(group) => format!("group {group}"),
                    None => format!("interface {}", eni.id),
                };
                say(what, count, OF_AN_INTERFACE, " (AuthorizationLimitExceed)")
            });
            all.collect()
        }
        Cloud::Aws => {
            let all = groups.flat_map(|group| {
                Direction::BOTH.into_iter().flat_map(move |direction| {
                    FAMILIES.into_iter().filter_map(move |(v6, family)| {
                        let list = each(group, direction);
                        let count = list.iter().map(|rule| pairs(rules, rule, Some(v6))).sum();
                        let what = format!("group {}, {direction} {family},", group.id);
                        say(what, count, OF_A_GROUP_OF_AWS, " unless AWS has raised it")
                    })
                })
            });
            all.collect()
        }
        Cloud::AwsNetworkAcl => {
            let all = groups.flat_map(|group| {
                Direction::BOTH.into_iter().filter_map(move |direction| {
                    let count = each(group, direction).len();
                    let what = format!("network ACL {}, {direction},", group.id);
                    say(what, count, OF_AN_ACL, ", 40 on request")
                })
            });
            all.collect()
        }
        Cloud::Azure => {
            let all = groups.filter_map(|group| {
                let count =
                    Direction::BOTH.into_iter().map(|direction| each(group, direction).len());
                say(format!("group {}", group.id), count.sum(), OF_AN_NSG, "")
            });
            all.collect()
        }
        Cloud::Google | Cloud::ClassBench => Vec::new(),
    }
}

/// What a rule counts: a list as its size, a list of peers or ports as one rule per pair; of one family, if
/// only that is asked for.
fn pairs(rules: &RuleSet, rule: &Rule, of_ipv6: Option<bool>) -> usize {
    let fits = |net: &IpNet| of_ipv6.is_none_or(|v6| net.addr().is_ipv6() == v6);
    let ports = rule.ports.iter().map(|ports| match ports {
        Ports::Any | Ports::Range(_) => 1,
        Ports::List(id) => {
            rules.port_lists.iter().find(|list| list.id == *id).map_or(1, |list| list.entries.len())
        }
    });
    let peers = rule.peers.iter().map(|peer| match peer {
        Peer::Cidr(net) => usize::from(fits(net)),
        Peer::Group(_) | Peer::Tag(_) => 1,
        Peer::PrefixList(id) => rules
            .prefix_lists
            .iter()
            .find(|list| list.id == *id)
            .map_or(1, |list| list.entries.iter().filter(|net| fits(net)).count()),
    });
    ports.sum::<usize>().max(1) * peers.sum::<usize>()
}
