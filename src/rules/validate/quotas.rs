//! How many rules a cloud takes (SEMANTICS A11), and who has more.

use ipnet::IpNet;

use super::super::{Cloud, Layer, Peer, Ports, PrefixList, Rule, RuleSet, SecurityGroup};
use crate::flow::Direction;

/// Alibaba Cloud: of all groups of an interface together.
const OF_AN_INTERFACE: usize = 1_000;
/// AWS, "Amazon VPC quotas": inbound or outbound rules of a security group, counted for each family.
const OF_A_GROUP_OF_AWS: usize = 60;
/// AWS, the same page: entries of a network ACL in one direction; 40 on request. Alibaba Cloud: of each family too
/// (SEMANTICS H5).
const OF_AN_ACL: usize = 20;
/// Azure, "Azure subscription limits": rules of a network security group.
const OF_AN_NSG: usize = 1_000;

/// The families of addresses, as quotas count them.
const FAMILIES: [(bool, &str); 2] = [(false, "IPv4"), (true, "IPv6")];

/// What is over a quota, in words.
pub(in crate::rules) fn over(rules: &RuleSet) -> Vec<String> {
    let (acls, groups): (Vec<_>, Vec<_>) =
        rules.groups.iter().partition(|group| group.layer == Layer::NetworkAcl);
    let acls = acls.into_iter().flat_map(|group| {
        let families: &[_] = match rules.cloud {
            // Of each family apart (SEMANTICS H5).
            Cloud::Alibaba => &[Some(false), Some(true)],
            _ => &[None],
        };
        Direction::BOTH.into_iter().flat_map(move |direction| {
            families.iter().filter_map(move |of_ipv6| {
                let list = each(group, direction);
                let is_of = |rule: &&Rule| of_ipv6.is_none() || pairs(rules, rule, *of_ipv6) > 0;
                let count = list.iter().filter(is_of).count();
                let family = match of_ipv6 {
                    None => "",
                    Some(false) => " IPv4",
                    Some(true) => " IPv6",
                };
                let what = format!("network ACL {}, {direction}{family},", group.id);
                let more = if rules.cloud == Cloud::Aws { ", 40 on request" } else { "" };
                say(&what, count, OF_AN_ACL, more)
            })
        })
    });
    let acls: Vec<String> = acls.collect();
    let mut found = of_groups(rules, groups);
    found.extend(acls);
    found
}

fn of_groups(rules: &RuleSet, groups: Vec<&SecurityGroup>) -> Vec<String> {
    let groups = groups.into_iter();
    match rules.cloud {
        Cloud::Alibaba => {
            let of_group = |group: &SecurityGroup| match group.layer {
                Layer::SecurityGroup => {
                    group.rules.iter().map(|rule| pairs(rules, rule, None)).sum::<usize>()
                }
                Layer::NetworkAcl => 0,
            };
            let counts: Vec<usize> = rules.groups.iter().map(of_group).collect();
            let all = rules.interfaces.iter().filter_map(|eni| {
                let count = eni.groups.iter().filter_map(|group| counts.get(*group)).sum();
                let what = match rules.only_group(eni) {
                    Some(group) => format!("group {group}"),
                    None => format!("interface {}", eni.id),
                };
                say(&what, count, OF_AN_INTERFACE, " (AuthorizationLimitExceed)")
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
                        say(&what, count, OF_A_GROUP_OF_AWS, " unless AWS has raised it")
                    })
                })
            });
            all.collect()
        }
        Cloud::Azure => {
            let all = groups.filter_map(|group| {
                let count =
                    Direction::BOTH.into_iter().map(|direction| each(group, direction).len());
                say(&format!("group {}", group.id), count.sum(), OF_AN_NSG, "")
            });
            all.collect()
        }
        Cloud::Google | Cloud::ClassBench => Vec::new(),
    }
}

/// The rules of a direction that somebody wrote.
fn each(group: &SecurityGroup, direction: Direction) -> Vec<Rule> {
    let custom = group.rules.iter().filter(|rule| rule.direction == direction);
    custom.filter(|rule| !rule.fixed).cloned().collect()
}

fn say(what: &str, count: usize, most: usize, more: &str) -> Option<String> {
    let message = format!(
        "{what} has {count} rules, counting lists as the quota does, and {most} are allowed{more}"
    );
    (count > most).then_some(message)
}

/// What a rule counts: a list as its size, a list of peers or ports as one rule per pair; of one family, if
/// only that is asked for.
fn pairs(rules: &RuleSet, rule: &Rule, of_ipv6: Option<bool>) -> usize {
    let fits = |net: &IpNet| of_ipv6.is_none_or(|v6| net.addr().is_ipv6() == v6);
    let ports = rule.ports.iter().map(|ports| match ports {
        Ports::Any | Ports::Range(_) => 1,
        Ports::List(id) => rules.port_list(id).map_or(1, |list| list.entries.len()),
    });
    let peers = rule.peers.iter().map(|peer| match peer {
        Peer::Cidr(net) => usize::from(fits(net)),
        Peer::Group(_) | Peer::Tag(_) => 1,
        Peer::PrefixList(id) => {
            let size = |list: &PrefixList| list.entries.iter().filter(|net| fits(net)).count();
            rules.prefix_list(id).map_or(1, size)
        }
    });
    ports.sum::<usize>().max(1) * peers.sum::<usize>()
}
