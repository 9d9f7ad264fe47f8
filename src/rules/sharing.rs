//! Interfaces that have the same lists of entries: these are made, compiled and checked once.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use foldhash::fast::FixedState;
use ipnet::IpNet;

use super::{Entry, EntryKind, NicType, RuleSet};

/// Which interfaces have the same entries.
///
/// The entries of an interface depend on its groups, its subnets, its network card and its tags, and on its own addresses
/// only where its group lets members reach each other: it is no member of its own group. The lists that are
/// shared ([`RuleSet::ordered_for_all`]) have every member there, and [`RuleSet::is_met_at`] tells the interfaces apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedLists {
    /// The number of the list of each interface.
    of_interfaces: Vec<usize>,
    /// The first interface that has each list.
    first: Vec<usize>,
}

/// Everything that the entries of an interface depend on.
#[derive(PartialEq, Eq, Hash)]
struct Key<'r> {
    groups: &'r [usize],
    subnet: &'r [IpNet],
    nic_type: NicType,
    /// Those of its tags that rules of its groups are for.
    tags: Vec<&'r str>,
    /// Of each of its groups whether it has other members with an address; where it has none, there is no entry for
    /// members.
    has_others: Vec<bool>,
}

impl SharedLists {
    /// Finds the interfaces with the same entries.
    pub fn new(rules: &RuleSet) -> Self {
        // By group, since rules of other groups may be for the tags too.
        let targets: Vec<HashSet<&str>> = rules
            .groups
            .iter()
            .map(|group| {
                group.rules.iter().flat_map(|of| &of.targets).map(String::as_str).collect()
            })
            .collect();
        // How many members with an address each group has.
        let members: Vec<usize> = (0..rules.groups.len())
            .map(|group| rules.members(group).filter(|eni| !eni.addresses.is_empty()).count())
            .collect();
        let mut known: HashMap<Key<'_>, usize, FixedState> = HashMap::default();
        let mut found = Self::default();
        for (position, eni) in rules.interfaces.iter().enumerate() {
            let targeted = |tag: &&str| {
                let mut groups = eni.groups.iter().filter_map(|group| targets.get(*group));
                groups.any(|targets| targets.contains(tag))
            };
            let mut tags: Vec<&str> =
                eni.tags.iter().map(String::as_str).filter(targeted).collect();
            tags.sort_unstable();
            tags.dedup();
            let own = usize::from(!eni.addresses.is_empty());
            let has_others = eni.groups.iter().map(|group| members.get(*group) > Some(&own));
            let key = Key {
                groups: &eni.groups,
                subnet: &eni.subnet,
                nic_type: eni.nic_type,
                tags,
                has_others: has_others.collect(),
            };
            let list = *known.entry(key).or_insert(found.first.len());
            if list == found.first.len() {
                found.first.push(position);
            }
            found.of_interfaces.push(list);
        }
        found
    }

    /// The number of an interface's list.
    pub fn list(&self, interface: usize) -> Option<usize> {
        self.of_interfaces.get(interface).copied()
    }

    /// The numbers of all interfaces' lists.
    pub fn of_interfaces(&self) -> &[usize] {
        &self.of_interfaces
    }

    /// The first interface that has each list.
    pub fn first_interfaces(&self) -> &[usize] {
        &self.first
    }
}

impl RuleSet {
    /// Whether an entry of a list that interfaces share ([`RuleSet::ordered_for_all`]) is met at one of them by a packet
    /// whose far side has this address, if it is met by it at another: the interface is no member of its own group.
    pub fn is_met_at(&self, interface: usize, entry: &Entry, peer: IpAddr) -> bool {
        let kinds = std::iter::once(&entry.kind).chain(&entry.through);
        let groups = kinds.filter_map(|kind| match kind {
            EntryKind::IntraGroup { group } => Some(*group),
            _ => None,
        });
        let has_other = |group: usize| {
            let others = self.names.members(group).iter().filter(|other| **other != interface);
            let mut others = others.filter_map(|other| self.interfaces.get(*other));
            others.any(|eni| eni.addresses.iter().any(|net| net.contains(&peer)))
        };
        groups.into_iter().all(has_other)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::evaluate::{Evaluator, Reference};
    use crate::flow::{Direction, FlowTuple, Protocol, Transport};
    use crate::parse::sample;
    use crate::rules::{Assumption, Ordered};

    /// Packets among all addresses of the universe.
    fn flows(random: &mut sample::Random) -> [FlowTuple; 2] {
        let ends: [&str; 2] = match random.below(3) {
            0 => ["2001:db8::1", "2001:db8::2"],
            _ => ["10.0.0.4", "10.0.0.6"],
        };
        let port = random.one_of(&["22", "80", "85", "443"]).parse().unwrap();
        let [src, dst] = ends.map(|end| end.parse::<IpAddr>().unwrap());
        let near = move |addr: IpAddr, n: u8| match addr {
            IpAddr::V4(addr) => IpAddr::V4((addr.to_bits() - 4 + u32::from(n)).into()),
            IpAddr::V6(addr) => IpAddr::V6((addr.to_bits() - 1 + u128::from(n)).into()),
        };
        let [a, b] = [(); 2].map(|()| u8::try_from(random.below(14)).unwrap());
        let transport = Transport::Ports { src: 40_000, dst: port };
        let flow =
            FlowTuple { src: near(src, a), dst: near(dst, b), proto: Protocol::TCP, transport };
        [flow, flow.reversed()]
    }

    /// The entry of a shared list that decides at one of the interfaces.
    fn decides(
        rules: &RuleSet,
        interface: usize,
        shared: &Ordered,
        flow: &FlowTuple,
    ) -> Option<usize> {
        shared.entries().iter().position(|entry| {
            entry.matcher.fails_on(flow, shared.direction()).is_none()
                && rules.is_met_at(interface, entry, flow.peer(shared.direction()))
        })
    }

    proptest! {
        #[test]
        fn a_shared_list_decides_as_each_interfaces_own(seed in any::<u64>()) {
            let Some(rules) = sample::rule_set(seed) else { return Ok(()) };
            let shared = SharedLists::new(&rules);
            let mut random = sample::Random(seed);
            for interface in 0..rules.interfaces().len() {
                let first = shared.first_interfaces()[shared.list(interface).unwrap()];
                for direction in Direction::BOTH {
                    let own = rules.ordered(interface, direction);
                    let list = rules.ordered_for_all(first, direction, &Assumption::default());
                    let kinds = |list: &Ordered| -> Vec<_> {
                        list.entries().iter().map(|entry| (entry.kind, entry.through.clone())).collect()
                    };
                    prop_assert_eq!(kinds(&own), kinds(&list));
                    for flow in (0..20).flat_map(|_| flows(&mut random)) {
                        let expected = Reference(&own).decide(&flow).0 as usize;
                        let found = decides(&rules, interface, &list, &flow);
                        prop_assert_eq!(found, Some(expected), "{} at {}", flow, interface);
                    }
                }
            }
        }
    }

    #[test]
    fn interfaces_with_the_same_groups_share_their_list() {
        let interface = |n: usize| {
            format!(
                "{{id: eni-{n}, addresses: [10.0.{}.{}], security_groups: [sg-a]}}",
                n / 256,
                n % 256
            )
        };
        let interfaces: Vec<String> = (0..1000).map(interface).collect();
        let text = format!(
            "{{security_groups: [{{id: sg-a}}, {{id: sg-b}}], interfaces: [{},
              {{id: eni-b, addresses: [10.1.0.1], security_groups: [sg-a, sg-b]}}]}}",
            interfaces.join(", "),
        );
        let rules = crate::parse::yaml("x.yaml", &text).unwrap();
        assert_eq!(SharedLists::new(&rules).first_interfaces(), [0, 1000]);
    }
}
