//! Rules against each other: those that never act, that can go, that contradict (SEMANTICS B12).

use std::collections::{BTreeMap, HashSet};

use ipnet::IpNet;

use super::lists::{Covering, Examined, List, Matches};
use super::{Finding, Other, named};
use crate::rules::{Addresses, Code, EntryKind, Peer, Policy, RuleSet, Severity};

/// Where an entry of a rule stands: which list, and where in it.
type Stand = (usize, usize);

pub(super) fn find(rules: &RuleSet, lists: &[List<'_>]) -> Vec<Finding> {
    let mut stands: BTreeMap<(usize, usize), Vec<Stand>> = BTreeMap::new();
    for (n, list) in lists.iter().enumerate() {
        for (position, place, _) in list.rules() {
            stands.entry(place).or_default().push((n, position));
        }
    }
    let mut found = Vec::new();
    for (place, stands) in stands {
        let finding = |code, message: String| Finding::new(code, message).about(rules, place);
        let acts = stands.iter().filter_map(|stand| at(lists, *stand)).any(|(_, of)| of.acts);
        if acts {
            found.extend(removable(lists, &stands, finding));
            found.extend(overlaps(lists, &stands, finding));
        } else {
            found.extend(useless(lists, &stands, finding));
        }
    }
    found.extend(unspecified(rules));
    found.extend(unused_groups(rules));
    found
}

/// Rules whose peer is the unspecified address, which no peer has.
fn unspecified(rules: &RuleSet) -> impl Iterator<Item = Finding> + '_ {
    let groups = rules.groups().iter().enumerate();
    let all = groups
        .flat_map(|(g, group)| group.rules.iter().enumerate().map(move |(r, rule)| ((g, r), rule)));
    all.filter_map(|(place, rule)| {
        let net = rule.peers.iter().find_map(|peer| match peer {
            Peer::Cidr(net) if net.prefix_len() == net.max_prefix_len() => {
                net.addr().is_unspecified().then_some(net)
            }
            _ => None,
        })?;
        let any = IpNet::new(net.addr(), 0).ok()?;
        let message =
            format!("{} is one address, which no peer has; any address is {any}", net.addr());
        Some(Finding::new(Code::Unmatchable, message).about(rules, place))
    })
}

fn at<'l>(lists: &'l [List<'l>], (list, position): Stand) -> Option<(&'l List<'l>, &'l Examined)> {
    let list = lists.get(list)?;
    Some((list, list.entries.get(position)?))
}

/// A rule that decides nowhere: it matches nothing, or others decide before it.
fn useless(
    lists: &[List<'_>],
    stands: &[Stand],
    finding: impl Fn(Code, String) -> Finding,
) -> Option<Finding> {
    let seen = || stands.iter().filter_map(|stand| at(lists, *stand));
    // Where it matches something, that is what there is to say.
    let Some((list, of)) = seen().find(|(_, of)| of.matches == Matches::Some) else {
        // A group may have one member so far, which no packet reaches from itself.
        if seen().any(|(_, of)| of.matches == Matches::OwnPackets) {
            return None;
        }
        let (list, of) = seen().next()?;
        let (why, severity) = nothing(list, of);
        return Some(finding(Code::Unmatchable, why).severity(severity));
    };
    let kind = |position: usize| list.entries.get(position).map(|of| of.entry.kind);
    let contains = |covering: &&Covering| {
        list.entries.get(covering.position).is_some_and(|other| of.extent.within(&other.extent))
    };
    // Some path-MTU errors are allowed before any rule about ICMP, and explain nothing.
    let is_system = |of: &&Covering| matches!(kind(of.position), Some(EntryKind::System(_)));
    let (system, custom): (Vec<_>, Vec<_>) = of.before.iter().partition(is_system);
    let (system, mut covering) = if custom.is_empty() { (true, system) } else { (false, custom) };
    if let Some(one) = covering.iter().copied().find(contains) {
        covering = vec![one];
    }
    let others: Vec<Other> = covering.iter().map(|of| list.other(of.position)).collect();
    let policy = of.entry.policy;
    let differs = covering.iter().copied().find(|of| list.policy(of.position) != Some(policy));
    let names = named(&others);
    let (verb, say) = match others.len() {
        1 => ("matches", "says"),
        _ => ("together match", "say"),
    };
    let (code, message) = match differs {
        Some(_) if system => (
            Code::Shadowed,
            format!("never decides: {names} {verb} all its packets, and no rule comes before that"),
        ),
        Some(_) => (
            Code::Shadowed,
            format!(
                "never decides: {names} {verb} all its packets before it, and the answer is another; \
                 give it a smaller priority number than theirs, or remove it"
            ),
        ),
        None if system => (
            Code::Redundant,
            format!("never decides: all its packets are allowed before it, by {names}; remove it"),
        ),
        None => (
            Code::Redundant,
            format!(
                "never decides: {names} {verb} all its packets before it, and {say} the same; remove it"
            ),
        ),
    };
    let shown = differs.or(covering.first().copied());
    Some(finding(code, message).others(others).example(shown.map(|of| list.example(&of.region))))
}

/// Why an entry matches nothing, and how bad that is.
fn nothing(list: &List<'_>, of: &Examined) -> (String, Severity) {
    let warning = Code::Unmatchable.severity();
    let eni = list.rules.interfaces().get(list.interface);
    let has = |v6: bool| {
        let mut nets = eni.into_iter().flat_map(|eni| &eni.addresses);
        nets.any(|net| net.addr().is_ipv6() == v6)
    };
    match &of.entry.matcher.peer {
        Addresses::Nets(nets) if nets.is_empty() => (
            "matches nothing: its peer is a group of which no member is known; list the members under \
             `interfaces`, or name addresses"
                .to_owned(),
            warning,
        ),
        Addresses::Nets(nets) if nets.iter().all(|net| !has(net.addr().is_ipv6())) => {
            let family = if nets.iter().any(|net| net.addr().is_ipv6()) { "IPv6" } else { "IPv4" };
            let message = format!("matches nothing: its interfaces have no {family} address");
            (message, Severity::Note)
        }
        _ => (
            "matches nothing: the near side's addresses that it names are none of its interfaces'; \
             correct them, or remove it"
                .to_owned(),
            warning,
        ),
    }
}

/// A rule that decides, and without which the same would be decided.
fn removable(
    lists: &[List<'_>],
    stands: &[Stand],
    finding: impl Fn(Code, String) -> Finding,
) -> Option<Finding> {
    let mut others: Vec<Other> = Vec::new();
    let mut shown = None;
    let mut by_default = true;
    for (list, of) in stands.iter().filter_map(|stand| at(lists, *stand)) {
        if !of.acts {
            continue;
        }
        for position in of.instead.as_ref()? {
            by_default &= list.is_fixed(*position);
            let other = list.other(*position);
            if !others.contains(&other) {
                others.push(other);
            }
        }
        shown = shown.or(of.decides.first().map(|region| list.example(region)));
    }
    let names = named(&others);
    let (code, message) = match by_default {
        true => (
            Code::SameAsDefault,
            "says what the default says where no rule matches: without it no verdict would change"
                .to_owned(),
        ),
        false => (
            Code::Redundant,
            format!("can be removed: without it {names} would decide the same for all its packets"),
        ),
    };
    Some(finding(code, message).others(others).example(shown))
}

/// Rules of the other policy that share packets with this one, those that it decides before or that
/// decide before it. Each pair is reported once: at the rule that loses.
fn overlaps(
    lists: &[List<'_>],
    stands: &[Stand],
    finding: impl Fn(Code, String) -> Finding,
) -> Vec<Finding> {
    let mut kinds: BTreeMap<Code, (Vec<Other>, Option<super::Example>)> = BTreeMap::new();
    let mut policy = Policy::Accept;
    // Also at an interface where it decides nothing, if it does at another.
    for (list, of) in stands.iter().filter_map(|stand| at(lists, *stand)) {
        policy = of.entry.policy;
        for covering in &of.before {
            let Some(before) = list.entries.get(covering.position) else { continue };
            let EntryKind::Rule { .. } = before.entry.kind else { continue };
            if before.entry.policy == of.entry.policy {
                continue;
            }
            let code = if priority(list, before) == priority(list, of) {
                Code::Conflicting
            } else if before.extent.within(&of.extent) {
                Code::Generalization
            } else {
                Code::Correlated
            };
            let (others, example) = kinds.entry(code).or_default();
            let other = list.other(covering.position);
            if !others.contains(&other) {
                others.push(other);
            }
            example.get_or_insert_with(|| list.example(&covering.region));
        }
    }
    let kinds = kinds.into_iter().map(|(code, (others, example))| {
        let names = named(&others);
        let message = match code {
            Code::Conflicting => format!(
                "shares packets with {names}, of equal priority; `drop` wins there, whatever their order \
                 in the file: give one of them another priority to say which is meant"
            ),
            Code::Generalization => {
                let (are, come) = match others.len() {
                    1 => ("is an exception", "it comes"),
                    _ => ("are exceptions", "they come"),
                };
                format!("{names} {are} from it, since {come} before it")
            }
            _ => {
                let say = if policy == Policy::Accept { "dropped" } else { "accepted" };
                format!(
                    "shares packets with {names}; there they are {say}, since that comes first, and \
                     neither holds the other"
                )
            }
        };
        finding(code, message).others(others).example(example)
    });
    kinds.collect()
}

fn priority(list: &List<'_>, of: &Examined) -> Option<u32> {
    let EntryKind::Rule { group, rule } = of.entry.kind else { return None };
    let rule = list.rules.groups().get(group)?.rules.get(rule)?;
    Some(rule.priority.get())
}

/// Groups that no interface of the file has.
fn unused_groups(rules: &RuleSet) -> impl Iterator<Item = Finding> + '_ {
    let used: HashSet<usize> =
        rules.interfaces().iter().flat_map(|eni| eni.groups.iter().copied()).collect();
    let groups = rules.groups().iter().enumerate();
    groups.filter(move |(position, _)| !used.contains(position)).map(|(_, group)| {
        let message =
            format!("no interface of the file has the group {}, so its rules do nothing", group.id);
        Finding { group: Some(group.id.clone()), ..Finding::new(Code::UnusedGroup, message) }
    })
}
