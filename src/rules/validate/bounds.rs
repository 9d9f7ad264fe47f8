//! How many rules there may be. Memory grows with them, once for each set of groups that interfaces have.

use std::collections::{HashMap, HashSet};

use super::super::{
    Cloud, GroupType, Invalid, Membership, Parts, Peer, Policy, Ports, Rule, RulePlace,
    SecurityGroup,
};

/// Rules of all groups together.
const MOST_RULES: usize = 100_000;
/// Groups, and lists of each kind: rules name them, and each is looked for among them.
const MOST_NAMED: usize = 20_000;
/// Networks and port ranges of the rules of all different lists ([`super::super::SharedLists`]), named lists and members
/// counted one by one: about a gigabyte.
const MOST_CONDITIONS: u64 = 16_000_000;

/// What there is too much of, if there is.
pub(super) fn fault(parts: &Parts) -> Option<Invalid> {
    let fault = |message| Some(Invalid { place: RulePlace::Groups, message });
    let rules: usize = parts.groups.iter().map(|group| group.rules.len()).sum();
    if rules > MOST_RULES {
        return fault(format!(
            "there are {rules} rules, and {MOST_RULES} at most are read; split them by group"
        ));
    }
    let named = [
        ("groups", parts.groups.len()),
        ("prefix lists", parts.prefix_lists.len()),
        ("port lists", parts.port_lists.len()),
        ("tags", parts.tags.len()),
        ("suppressions", parts.suppressions.len()),
    ];
    if let Some((what, count)) = named.into_iter().find(|(_, count)| *count > MOST_NAMED) {
        return fault(format!("there are {count} {what}, and {MOST_NAMED} at most are read"));
    }
    let conditions = Sizes::new(parts).all();
    (conditions > MOST_CONDITIONS).then_some(())?;
    fault(format!(
        "the rules of all interfaces come to {conditions} networks and port ranges, counted once for interfaces with \
         the same groups, with the members of groups and the entries of lists at each, and {MOST_CONDITIONS} at most \
         are held; leave interfaces out"
    ))
}

/// How many addresses stand behind a name.
struct Sizes<'p> {
    parts: &'p Parts,
    members: HashMap<&'p str, u64>,
    prefixes: HashMap<&'p str, u64>,
    ports: HashMap<&'p str, u64>,
    tags: HashMap<&'p str, u64>,
}

impl<'p> Sizes<'p> {
    fn new(parts: &'p Parts) -> Self {
        let mut sizes = Self {
            parts,
            members: HashMap::new(),
            prefixes: HashMap::new(),
            ports: HashMap::new(),
            tags: HashMap::new(),
        };
        for eni in parts.interfaces.iter().flatten() {
            let addresses = eni.addresses.len() as u64;
            for group in eni.groups.iter().filter_map(|group| parts.groups.get(*group)) {
                *sizes.members.entry(&group.id).or_default() += addresses;
            }
            for tag in &eni.tags {
                *sizes.tags.entry(tag).or_default() += addresses;
            }
        }
        for list in &parts.prefix_lists {
            *sizes.prefixes.entry(&list.id).or_default() += list.entries.len() as u64;
        }
        for list in &parts.port_lists {
            *sizes.ports.entry(&list.id).or_default() += list.entries.len() as u64;
        }
        for tag in &parts.tags {
            *sizes.tags.entry(&tag.name).or_default() += tag.entries.len() as u64;
        }
        sizes
    }

    fn all(&self) -> u64 {
        let groups: Vec<u64> = self.parts.groups.iter().map(|group| self.group(group)).collect();
        let Some(interfaces) = &self.parts.interfaces else {
            // One that has them all, or each by itself.
            return match self.parts.membership {
                Membership::Stated => self.together(&groups),
                Membership::Partial | Membership::Unknown => sum(groups),
            };
        };
        // Interfaces with the same groups share their lists, but for what they are tagged and where they are.
        let mut known = HashSet::new();
        let lists = interfaces
            .iter()
            .filter(|eni| known.insert((&eni.groups, &eni.tags, &eni.subnet, eni.nic_type)));
        let listed = lists.map(|eni| {
            let own = eni.groups.iter().filter_map(|group| groups.get(*group).copied());
            self.together(&own.collect::<Vec<u64>>())
        });
        // A group that no listed interface has alone may be judged by itself.
        let alone = interfaces.iter().filter_map(|eni| match eni.groups.as_slice() {
            [group] => Some(*group),
            _ => None,
        });
        let alone: HashSet<usize> = alone.collect();
        let has = |group: &usize| alone.contains(group);
        let alone = groups.iter().enumerate().filter(|(group, _)| !has(group)).map(|(_, of)| *of);
        let alone = alone.filter(|_| self.parts.membership != Membership::Stated);
        sum(listed.chain(alone.collect::<Vec<u64>>()))
    }

    /// Groups at one interface. Azure asks one after the other, so that each entry of one meets each of the
    /// other.
    fn together(&self, groups: &[u64]) -> u64 {
        match (self.parts.cloud, groups) {
            (Cloud::Azure, [one, two]) => one.saturating_mul(*two),
            (_, groups) => sum(groups.iter().copied()),
        }
    }

    fn group(&self, group: &SecurityGroup) -> u64 {
        let open =
            group.group_type == GroupType::Basic && group.inner_access_policy == Policy::Accept;
        let members = size_of_list(&self.members, &group.id);
        let intra = if open && self.parts.cloud == Cloud::Alibaba { members } else { 0 };
        sum(group.rules.iter().map(|rule| self.rule(rule)).chain([intra]))
    }

    fn rule(&self, rule: &Rule) -> u64 {
        let peer = |peer: &Peer| match peer {
            Peer::Cidr(_) => 1,
            Peer::Group(group) => size_of_list(&self.members, &group.id),
            Peer::PrefixList(id) => size_of_list(&self.prefixes, id),
            Peer::Tag(name) => size_of_list(&self.tags, name),
        };
        let ports = |ports: &Ports| match ports {
            Ports::Any | Ports::Range(_) => 1,
            Ports::List(id) => size_of_list(&self.ports, id),
        };
        let sides = rule.peers.iter().chain(&rule.local).map(peer);
        let fixed = 1 + rule.source_ports.len() as u64;
        sum(sides.chain(rule.ports.iter().map(ports)).chain([fixed]))
    }
}

fn size_of_list(sizes: &HashMap<&str, u64>, name: &str) -> u64 {
    sizes.get(name).copied().unwrap_or_default()
}

fn sum(sizes: impl IntoIterator<Item = u64>) -> u64 {
    sizes.into_iter().fold(0, u64::saturating_add)
}
