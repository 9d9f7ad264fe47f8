//! What a change of rules does to every packet that could be: the exact difference.
//!
//! Entries that both lists have in common, in the same order, cannot make a difference to a packet by
//! themselves: the first of them that matches is the same in both. So every packet whose verdict turns
//! matches an entry that only one of the lists has, and no other packet need be looked at.

use std::collections::HashMap;

use similar::{Algorithm, DiffTag, capture_diff_slices};

use super::{Change, Effect};
use crate::flow::Direction;
use crate::rules::{Entry, EntryIndex, Interface, Matcher, Ordered, Policy, RuleSet};
use crate::space::{AddressRange, Question, Region, TooComplex, parts};

/// Packets whose verdict a change turns, all by the same two entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turned {
    /// [`Effect::NewlyDenied`] or [`Effect::NewlyAllowed`].
    pub effect: Effect,
    /// Where: positions of the interface in the current and in the proposed rule set.
    pub interfaces: [usize; 2],
    /// The packets.
    pub region: Region,
    /// Whether it holds only some of the interface's own addresses.
    pub narrowed: bool,
    /// The entries that decide, by the current and by the proposed rules.
    pub deciders: [EntryIndex; 2],
}

impl Turned {
    /// Whether this is where a connection's verdict was turned.
    pub fn turned(&self, change: &Change) -> bool {
        let side = match self.effect {
            Effect::NewlyDenied => (change.proposed.at, self.interfaces[1]),
            _ => (change.current.at, self.interfaces[0]),
        };
        let (Some((interface, direction, _)), at) = side else { return false };
        change.effect == self.effect
            && interface == at
            && direction == self.region.direction()
            && self.region.contains(&change.flow)
    }
}

/// The regions of all interfaces that both rule sets have whose verdict the change turns, disjoint for
/// each interface and direction; the largest first. None means that the rule sets are equivalent there.
///
/// # Errors
/// When there are too many to list.
pub fn regions(current: &RuleSet, proposed: &RuleSet) -> Result<Vec<Turned>, TooComplex> {
    let mut found = Vec::new();
    for (at, eni) in current.interfaces().iter().enumerate() {
        let Some(now_at) = position(proposed, &eni.id) else { continue };
        let other = proposed.interfaces().get(now_at);
        for direction in Direction::BOTH {
            let lists = [current.ordered(at, direction), proposed.ordered(now_at, direction)];
            let edits = edits(lists.each_ref().map(Ordered::entries));
            if edits.is_empty() {
                continue;
            }
            let both = || other.into_iter().chain([eni]);
            let question = Question::all().matching(edits).local(both());
            let policy = |list: usize, index: &EntryIndex| -> Option<Policy> {
                lists.get(list)?.entry(*index).map(|entry| entry.policy)
            };
            let turns = |deciders: &[EntryIndex]| match deciders {
                [a, b] => policy(0, a) != policy(1, b),
                _ => false,
            };
            let own = local_addresses(direction, both())?;
            for part in parts(&lists.each_ref(), &question, turns)? {
                let [a, b] = part.deciders.as_slice() else { continue };
                let effect = match policy(0, a) {
                    Some(Policy::Accept) => Effect::NewlyDenied,
                    _ => Effect::NewlyAllowed,
                };
                let deciders = [*a, *b];
                let interfaces = [at, now_at];
                let region = part.region;
                let narrowed = !own.contains(&region.locals());
                found.push(Turned { effect, interfaces, region, narrowed, deciders });
            }
        }
    }
    found.sort_by(|a, b| {
        a.effect.cmp(&b.effect).then_with(|| b.region.size().total_cmp(&a.region.size()))
    });
    Ok(found)
}

/// The ids of interfaces that only one of the rule sets has: only in the current, only in the proposed.
pub fn unpaired<'r>(current: &'r RuleSet, proposed: &'r RuleSet) -> [Vec<&'r str>; 2] {
    [(current, proposed), (proposed, current)].map(|(these, others)| {
        let ids = these.interfaces().iter().map(|eni| eni.id.as_str());
        ids.filter(|id| position(others, id).is_none()).collect()
    })
}

fn position(rules: &RuleSet, id: &str) -> Option<usize> {
    rules.interfaces().iter().position(|eni| eni.id == id)
}

/// The addresses of interfaces, of each family, as their regions have them where no entry narrows them.
fn local_addresses<'i>(
    direction: Direction,
    interfaces: impl Iterator<Item = &'i Interface>,
) -> Result<Vec<Vec<AddressRange>>, TooComplex> {
    let nothing = Ordered::new(direction, Vec::new(), Policy::Drop);
    let all = parts(&[&nothing], &Question::all().local(interfaces), |_| true)?;
    Ok(all.iter().map(|part| part.region.locals()).collect())
}

/// What only one of the lists has, or has at another place.
fn edits(lists: [&[Entry]; 2]) -> Vec<Matcher> {
    let mut known: HashMap<String, u32> = HashMap::new();
    let numbers = lists.map(|entries| -> Vec<u32> {
        let number = |entry: &Entry| {
            let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
            let says = format!("{:?} {:?}", entry.policy, entry.matcher);
            *known.entry(says).or_insert(next)
        };
        entries.iter().map(number).collect()
    });
    let [current, proposed] = numbers;
    let mut found = Vec::new();
    for op in capture_diff_slices(Algorithm::Patience, &current, &proposed) {
        if op.tag() == DiffTag::Equal {
            continue;
        }
        for (entries, range) in lists.into_iter().zip([op.old_range(), op.new_range()]) {
            let edited = entries.get(range).into_iter().flatten();
            found.extend(edited.map(|entry| entry.matcher.clone()));
        }
    }
    found
}
