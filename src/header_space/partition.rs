//! The walk over the axes.
//!
//! A node stands for the entries that are still possible after some axes were asked, and leads to nodes
//! of the next axis by sets of values. Nodes of equal content are one node, which is what puts boxes
//! together again that the bounds of other entries have cut.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::bounds::Bounds;
use super::region::{Region, Set};
use super::sets::{AXES, union};
use crate::compile::axes::{Axis, Condition, Conditions, Family, Value};
use crate::flow::Direction;
use crate::rules::{Addresses, EntryIndex, Interface, Matcher, Ordered};

/// A part of header space in which the same entries decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The packets.
    pub region: Region,
    /// The entry of each list that decides for them.
    pub deciders: Vec<EntryIndex>,
}

/// Which packets are asked for: those that match at least one matcher of every gate.
#[derive(Clone, Debug, Default)]
pub struct Question {
    gates: Vec<Vec<Matcher>>,
}

impl Question {
    /// All packets.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only those that also match one of these; none at all if there are none.
    #[must_use]
    pub fn matching(mut self, any_of: Vec<Matcher>) -> Self {
        self.gates.push(any_of);
        self
    }

    /// Only those of the interfaces' own addresses; of any where none are known.
    #[must_use]
    pub fn local<'i>(self, interfaces: impl IntoIterator<Item = &'i Interface>) -> Self {
        let nets = interfaces.into_iter().flat_map(|eni| eni.addresses.iter().copied());
        let local = match nets.collect::<Vec<_>>() {
            none if none.is_empty() => Addresses::Any,
            nets => Addresses::Nets(nets),
        };
        self.matching(vec![Matcher { local, ..Matcher::any() }])
    }
}

/// There are more parts than can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rules cut the space of all packets into too many parts to list")]
pub struct TooComplex;

/// Copies of entries that a question may look at: bounds its time, to some seconds.
const MOST_COPIES: usize = 1 << 27;
/// More parts than this help nobody.
const MOST_PARTS: usize = 1 << 17;

/// The parts of the space of all packets that a question asks for and whose deciders, one of each list,
/// are to be kept. The lists must be of one direction.
///
/// # Errors
/// When there are too many.
pub fn parts(
    lists: &[&Ordered],
    question: &Question,
    keep: impl Fn(&[EntryIndex]) -> bool,
) -> Result<Vec<Part>, TooComplex> {
    parts_within(lists, question, keep, &mut Budget::default())
}

/// How much may be looked at, in one question or in several together.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    copies: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { copies: MOST_COPIES }
    }
}

impl Budget {
    /// As much as so many questions may.
    pub fn of_questions(count: usize) -> Self {
        Self { copies: MOST_COPIES.saturating_mul(count) }
    }
}

/// The same within a budget, of which it takes what it looks at.
///
/// # Errors
/// When there are too many parts, or the budget is spent.
pub fn parts_within(
    lists: &[&Ordered],
    question: &Question,
    keep: impl Fn(&[EntryIndex]) -> bool,
    budget: &mut Budget,
) -> Result<Vec<Part>, TooComplex> {
    let direction = lists.first().map_or(Direction::Ingress, |list| list.direction());
    let mut found = Vec::new();
    for family in [Family::V4, Family::V6] {
        let mut walk = Walk::new(lists, question, family, &keep);
        walk.budget = *budget;
        let top = walk.node((0..).zip(&walk.candidates).map(|(n, _)| n).collect(), 0)?;
        *budget = walk.budget;
        let mut values = [const { Vec::new() }; AXES.len()];
        let mut boxes = Vec::new();
        walk.boxes(top, 0, &mut values, &mut boxes)?;
        for (label, values) in merged(boxes) {
            let deciders = walk.labels.get(label).cloned().unwrap_or_default();
            let regions = Region::from_box(direction, family, values);
            found.extend(
                regions.into_iter().map(|region| Part { region, deciders: deciders.clone() }),
            );
        }
    }
    Ok(found)
}

/// An entry or a gate's matcher that packets of the family can meet.
struct Candidate {
    /// Which list, the gates behind the lists of entries.
    list: usize,
    entry: EntryIndex,
    conditions: Conditions,
    /// From which axis on nothing is asked.
    free_from: usize,
}

/// So many candidates are walked in the order of [`AXES`], whatever it costs.
const FEW: usize = 2_000;

/// The order in which axes are asked: that of [`AXES`], but the first is the one that leaves the fewest of many candidates,
/// since those are what is copied.
fn order(candidates: &[Candidate]) -> [(Axis, usize); AXES.len()] {
    let mut place = 0..;
    let mut order = AXES.map(|axis| (axis, place.next().unwrap_or_default()));
    if candidates.len() > FEW {
        let first = (0..AXES.len()).min_by_key(|place| met(candidates, *place)).unwrap_or(0);
        if let Some(moved) = order.get_mut(..=first) {
            moved.rotate_right(1);
        }
    }
    order
}

/// How many candidates are met in an interval of an axis, on average.
fn met(candidates: &[Candidate], place: usize) -> usize {
    let Some(axis) = AXES.get(place) else { return usize::MAX };
    let (mut firsts, mut ends, mut any) = (Vec::new(), Vec::new(), 0);
    for candidate in candidates {
        match candidate.conditions.on(*axis) {
            Condition::Any => any += 1,
            Condition::In(intervals) => {
                firsts.extend(intervals.iter().map(|(first, _)| *first));
                ends.extend(intervals.iter().filter_map(|(_, last)| last.checked_add(1)));
            }
        }
    }
    firsts.sort_unstable();
    ends.sort_unstable();
    let mut bounds = [firsts.as_slice(), &ends, &[0]].concat();
    bounds.sort_unstable();
    bounds.dedup();
    let open = |bound: &Value| {
        let begun = firsts.partition_point(|first| first <= bound);
        any + begun - ends.partition_point(|end| end <= bound)
    };
    bounds.iter().map(open).sum::<usize>() / bounds.len().max(1)
}

/// By what sets of values a node leads to nodes of the next axis; behind the last axis to labels.
type Branches = Vec<(u32, Set)>;

/// What leads nowhere: not asked for, or not to be kept.
const DROPPED: u32 = u32::MAX;

struct Walk<'w> {
    candidates: Vec<Candidate>,
    /// The axes in the order in which they are asked, each with its place in [`AXES`].
    order: [(Axis, usize); AXES.len()],
    lists: usize,
    gates: usize,
    keep: &'w dyn Fn(&[EntryIndex]) -> bool,
    /// Nodes by the candidates that are left and the number of axes asked.
    known: HashMap<(Vec<u32>, usize), u32, FixedState>,
    nodes: Vec<Branches>,
    equal: HashMap<(usize, Branches), u32, FixedState>,
    labels: Vec<Vec<EntryIndex>>,
    label_numbers: HashMap<Vec<EntryIndex>, u32, FixedState>,
    budget: Budget,
}

impl<'w> Walk<'w> {
    fn new(
        lists: &[&Ordered],
        question: &Question,
        family: Family,
        keep: &'w dyn Fn(&[EntryIndex]) -> bool,
    ) -> Self {
        // Gates of one matcher bound the whole walk: nothing outside is asked for.
        let single = question.gates.iter().filter_map(|gate| match gate.as_slice() {
            [matcher] => Some(matcher),
            _ => None,
        });
        let bounds = Bounds::new(single, family);
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut add = |list: usize, conditions: &mut dyn Iterator<Item = Conditions>| {
            for (entry, conditions) in (0..).map(EntryIndex).zip(conditions) {
                let Some(conditions) = bounds.clip(&conditions) else { continue };
                candidates.push(Candidate { list, entry, conditions, free_from: 0 });
            }
        };
        for (n, list) in lists.iter().enumerate() {
            let matchers = list.entries().iter().map(|entry| &entry.matcher);
            add(n, &mut matchers.map(|matcher| Conditions::new(matcher, family)));
        }
        let several = question.gates.iter().filter(|gate| gate.len() != 1);
        let mut gates = 0;
        for gate in several {
            let conditions = gate.iter().map(|matcher| Conditions::new(matcher, family));
            add(lists.len() + gates, &mut { conditions });
            gates += 1;
        }
        if let Some(conditions) = bounds.into_conditions() {
            let (list, entry) = (lists.len() + gates, EntryIndex(0));
            candidates.push(Candidate { list, entry, conditions, free_from: 0 });
        }
        gates += 1;
        let order = order(&candidates);
        for candidate in &mut candidates {
            let asks = |(axis, _): &(Axis, usize)| {
                matches!(candidate.conditions.on(*axis), Condition::In(_))
            };
            candidate.free_from = order.iter().rposition(asks).map_or(0, |last| last + 1);
        }
        Self {
            candidates,
            order,
            lists: lists.len(),
            gates,
            keep,
            known: HashMap::default(),
            nodes: Vec::new(),
            equal: HashMap::default(),
            labels: Vec::new(),
            label_numbers: HashMap::default(),
            budget: Budget::default(),
        }
    }

    /// The candidates without those that an earlier one of their list decides before, whatever the axes
    /// from `asked` on say; `None` where a gate is closed.
    fn possible(&self, matching: &[u32], asked: usize) -> Option<Vec<u32>> {
        let mut possible = Vec::with_capacity(matching.len());
        let (mut decided, mut open) = (None, 0);
        for number in matching {
            let Some(candidate) = self.candidates.get(*number as usize) else { continue };
            if decided == Some(candidate.list) {
                continue;
            }
            if candidate.list >= self.lists {
                // The gates come in order: none may be left out.
                match candidate.list - self.lists {
                    gate if gate == open => open += 1,
                    gate if gate > open => return None,
                    _ => {}
                }
            }
            if candidate.free_from <= asked {
                decided = Some(candidate.list);
            }
            possible.push(*number);
        }
        (open == self.gates).then_some(possible)
    }

    fn node(&mut self, list: Vec<u32>, depth: usize) -> Result<u32, TooComplex> {
        let Some((axis, _)) = self.order.get(depth).copied() else {
            return Ok(self.label(&list));
        };
        let key = (list, depth);
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let mut branches: Branches = Vec::new();
        let mut places: HashMap<u32, usize, FixedState> = HashMap::default();
        let mut events = self.events(&key.0, axis).into_iter().peekable();
        let any = |number: &u32| {
            let candidate = self.candidates.get(*number as usize);
            candidate.is_some_and(|c| matches!(c.conditions.on(axis), Condition::Any))
        };
        let mut matching: Vec<u32> = key.0.iter().copied().filter(any).collect();
        let mut start = Some(0);
        while let Some(at) = start {
            while let Some((_, candidate)) = events.next_if(|(value, _)| *value == at) {
                match matching.binary_search(&candidate) {
                    Ok(place) => drop(matching.remove(place)),
                    Err(place) => matching.insert(place, candidate),
                }
            }
            start = events.peek().map(|(value, _)| *value);
            self.budget.copies =
                self.budget.copies.checked_sub(matching.len() + 1).ok_or(TooComplex)?;
            let Some(possible) = self.possible(&matching, depth + 1) else { continue };
            let next = self.node(possible, depth + 1)?;
            if next == DROPPED {
                continue;
            }
            let last = start.map_or(Value::MAX, |next| next - 1);
            let place = *places.entry(next).or_insert(branches.len());
            match branches.get_mut(place) {
                Some((_, set)) => match set.last_mut() {
                    Some((_, end)) if end.checked_add(1) == Some(at) => *end = last,
                    _ => set.push((at, last)),
                },
                None => branches.push((next, vec![(at, last)])),
            }
        }
        let node = self.enter(depth, branches)?;
        self.known.insert(key, node);
        Ok(node)
    }

    fn events(&self, list: &[u32], axis: Axis) -> Vec<(Value, u32)> {
        let mut events = Vec::new();
        for number in list {
            let candidate = self.candidates.get(*number as usize);
            if let Some(Condition::In(intervals)) = candidate.map(|c| c.conditions.on(axis)) {
                for (first, last) in intervals {
                    events.push((*first, *number));
                    events.extend(last.checked_add(1).map(|after| (after, *number)));
                }
            }
        }
        events.sort_unstable();
        events
    }

    fn label(&mut self, list: &[u32]) -> u32 {
        let mut deciders = vec![EntryIndex(u32::MAX); self.lists];
        for number in list.iter().rev() {
            let Some(candidate) = self.candidates.get(*number as usize) else { continue };
            if let Some(decider) = deciders.get_mut(candidate.list) {
                *decider = candidate.entry;
            }
        }
        if let Some(known) = self.label_numbers.get(&deciders) {
            return *known;
        }
        let number = if (self.keep)(&deciders) {
            self.labels.push(deciders.clone());
            u32::try_from(self.labels.len() - 1).unwrap_or(DROPPED)
        } else {
            DROPPED
        };
        self.label_numbers.insert(deciders, number);
        number
    }

    fn enter(&mut self, depth: usize, branches: Branches) -> Result<u32, TooComplex> {
        if branches.is_empty() {
            return Ok(DROPPED);
        }
        let key = (depth, branches);
        if let Some(known) = self.equal.get(&key) {
            return Ok(*known);
        }
        let node = u32::try_from(self.nodes.len()).map_err(|_| TooComplex)?;
        self.nodes.push(key.1.clone());
        self.equal.insert(key, node);
        Ok(node)
    }

    /// Every way from a node to a label.
    fn boxes(
        &self,
        node: u32,
        depth: usize,
        values: &mut Values,
        found: &mut Vec<(usize, Values)>,
    ) -> Result<(), TooComplex> {
        if depth == AXES.len() {
            if found.len() == MOST_PARTS {
                return Err(TooComplex);
            }
            found.push((node as usize, values.clone()));
            return Ok(());
        }
        for (next, set) in self.nodes.get(node as usize).into_iter().flatten() {
            let place = self.order.get(depth).map_or(depth, |(_, place)| *place);
            if let Some(value) = values.get_mut(place) {
                value.clone_from(set);
            }
            self.boxes(*next, depth + 1, values, found)?;
        }
        Ok(())
    }
}

/// The values of a box on each of [`AXES`].
type Values = [Set; AXES.len()];

/// Puts boxes of one label together that differ on one axis only. The last axes first: their values
/// were told apart by the boxes of the axes before them.
fn merged(mut boxes: Vec<(usize, Values)>) -> Vec<(usize, Values)> {
    for axis in 0..AXES.len() {
        let mut places: HashMap<(usize, Values), usize, FixedState> = HashMap::default();
        let mut kept: Vec<(usize, Values)> = Vec::with_capacity(boxes.len());
        for (label, values) in boxes {
            let mut rest = values.clone();
            if let Some(set) = rest.get_mut(axis) {
                set.clear();
            }
            let place = *places.entry((label, rest)).or_insert(kept.len());
            match kept.get_mut(place) {
                None => kept.push((label, values)),
                Some((_, into)) => {
                    if let (Some(into), Some(set)) = (into.get_mut(axis), values.get(axis)) {
                        into.extend_from_slice(set);
                    }
                }
            }
        }
        for set in kept.iter_mut().filter_map(|(_, values)| values.get_mut(axis)) {
            union(set);
        }
        boxes = kept;
    }
    boxes
}
