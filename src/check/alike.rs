//! Interfaces at which a check finds the same: one of them is checked for all.
//!
//! Interfaces that share their entries ([`SharedLists`]) differ by their own addresses alone. These say which entries
//! about the near side are met there, and no packet comes from them. So a check finds the same at two interfaces if
//! their addresses lie in the same classes of the near side, and if leaving them out of the far side takes away the
//! same classes there: seldom any, since a class is of more addresses than one interface has.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use ipnet::IpNet;

use crate::compile::axes::{Axis, Conditions, Family, Value, highest, range};
use crate::compile::classes::{Class, Classes};
use crate::flow::Direction;
use crate::rules::{Entry, Ordered, RuleSet, SharedLists};

/// Of each interface, the first one at which a check finds the same.
pub(super) fn firsts(rules: &RuleSet) -> Vec<usize> {
    let shared = SharedLists::new(rules);
    let mut members = vec![0_usize; shared.first_interfaces().len()];
    for list in shared.of_interfaces() {
        if let Some(count) = members.get_mut(*list) {
            *count += 1;
        }
    }
    let mut axes: HashMap<usize, Option<Axes>, FixedState> = HashMap::default();
    let mut known: HashMap<(usize, Differences), usize, FixedState> = HashMap::default();
    let mut found = Vec::with_capacity(rules.interfaces().len());
    for (position, eni) in rules.interfaces().iter().enumerate() {
        let list = shared.list(position).unwrap_or_default();
        let is_alone = members.get(list) == Some(&1);
        let axes = match is_alone {
            true => None,
            false => axes.entry(list).or_insert_with(|| Axes::new(rules, position)).as_ref(),
        };
        found.push(match axes.and_then(|axes| axes.differences(&eni.addresses)) {
            Some(differences) => *known.entry((list, differences)).or_insert(position),
            None => position,
        });
    }
    found
}

/// What a check can tell interfaces with the same entries apart by.
#[derive(PartialEq, Eq, Hash)]
struct Differences {
    /// Whether its addresses are known.
    is_known: bool,
    /// The classes of the near side, of each family.
    locals: [Vec<Class>; 2],
    /// The classes of the far side of which no packet comes, of each family.
    without_peers: [Vec<Class>; 2],
}

/// The classes of addresses that the entries of both directions make.
struct Axes {
    families: [OfFamily; 2],
    about_members: bool,
}

struct OfFamily {
    family: Family,
    peers: Classes,
    /// How many addresses are in each class of the far side.
    sizes: Vec<Value>,
    locals: Classes,
}

impl Axes {
    /// `None` where there are too many classes to tell.
    fn new(rules: &RuleSet, interface: usize) -> Option<Self> {
        let lists = Direction::BOTH.map(|way| rules.ordered_for_packets(interface, way));
        let entries = || lists.iter().flat_map(Ordered::entries);
        let of = |family| OfFamily::new(entries(), family);
        let families = [of(Family::V4)?, of(Family::V6)?];
        Some(Self { families, about_members: entries().any(Entry::is_about_members) })
    }

    /// `None` where an interface must be checked by itself.
    fn differences(&self, own: &[IpNet]) -> Option<Differences> {
        let is_single = |net: &IpNet| net.prefix_len() == net.max_prefix_len();
        // Packets may come from other addresses of a network, which is no member of its own group.
        if self.about_members && !own.iter().all(is_single) {
            return None;
        }
        let mut singles: Vec<IpNet> = own.iter().filter(|net| is_single(net)).copied().collect();
        singles.sort_unstable();
        singles.dedup();
        let of = |axes: &OfFamily| {
            let ranges = own.iter().filter_map(|net| range(net, axes.family));
            let mut locals: Vec<Class> = ranges.flat_map(|of| within(&axes.locals, of)).collect();
            locals.sort_unstable();
            locals.dedup();
            (locals, axes.left_out(&singles))
        };
        let [(v4, without_v4), (v6, without_v6)] = self.families.each_ref().map(of);
        Some(Differences {
            is_known: !own.is_empty(),
            locals: [v4, v6],
            without_peers: [without_v4, without_v6],
        })
    }
}

impl OfFamily {
    fn new<'e>(entries: impl Iterator<Item = &'e Entry>, family: Family) -> Option<Self> {
        let conditions: Vec<Conditions> =
            entries.map(|entry| Conditions::new(&entry.matcher, family)).collect();
        let classes =
            |axis| Classes::new(conditions.iter().map(|conditions| conditions.on(axis))).ok();
        let (peers, locals) = (classes(Axis::Peer)?, classes(Axis::Local)?);
        let mut sizes = vec![0; peers.count];
        let ends = peers.runs.iter().skip(1).map(|(start, _)| start - 1).chain([highest(family)]);
        for ((start, class), end) in peers.runs.iter().zip(ends) {
            if let Some(size) = sizes.get_mut(usize::from(*class)) {
                *size = Value::saturating_add(*size, (end - start).saturating_add(1));
            }
        }
        Some(Self { family, peers, sizes, locals })
    }

    /// The classes of the far side that have no address but these.
    fn left_out(&self, own: &[IpNet]) -> Vec<Class> {
        let ranges = own.iter().filter_map(|net| range(net, self.family));
        let mut classes: Vec<Class> = ranges.flat_map(|of| within(&self.peers, of)).collect();
        classes.sort_unstable();
        let whole = |of: &&[Class]| {
            let size = of.first().and_then(|class| self.sizes.get(usize::from(*class)));
            size == Some(&(of.len() as Value))
        };
        let whole = classes.chunk_by(|a, b| a == b).filter(whole);
        whole.filter_map(|of| of.first().copied()).collect()
    }
}

/// The classes of an interval.
fn within(classes: &Classes, (first, last): (Value, Value)) -> impl Iterator<Item = Class> {
    let from = classes.runs.partition_point(|(start, _)| *start <= first).saturating_sub(1);
    let runs = classes.runs.get(from..).unwrap_or_default().iter();
    runs.take_while(move |(start, _)| *start <= last).map(|(_, class)| *class)
}
