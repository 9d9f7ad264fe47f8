//! Which of many extents meet another, by a search on one axis.

use std::cmp::Reverse;

use super::extent::{Extent, Sets};
use super::sets::AXES;
use crate::compile::axes::{Axis, Value};

/// An index over extents. To hold each against each other takes the square of their number; most extents differ on one
/// axis, usually the far side's addresses.
#[derive(Debug)]
pub struct ExtentIndex {
    families: [OfFamily; 2],
}

impl ExtentIndex {
    /// An index over extents, which are known by their positions.
    pub fn new(extents: &[Extent]) -> Self {
        let [v4, v6] = [0, 1].map(|family| {
            let boxes = extents.iter().enumerate();
            let boxes = boxes.filter_map(|(position, of)| Some((position, of.sets(family)?)));
            OfFamily::new(&boxes.collect::<Vec<_>>())
        });
        Self { families: [v4, v6] }
    }

    /// The positions of those that meet an extent, ascending. `extents` are those that the index is over.
    pub fn meeting(&self, extents: &[Extent], of: &Extent) -> Vec<usize> {
        let mut found = Vec::new();
        for (family, index) in self.families.iter().enumerate() {
            if let Some(sets) = of.sets(family) {
                index.candidates(sets, &mut found);
            }
        }
        found.sort_unstable();
        found.dedup();
        found.retain(|position| extents.get(*position).is_some_and(|other| other.meets(of)));
        found
    }
}

/// The boxes of one family, by their intervals on one axis.
#[derive(Debug)]
struct OfFamily {
    /// Its place in [`AXES`].
    axis: usize,
    intervals: Intervals,
}

impl OfFamily {
    fn new(boxes: &[(usize, &Sets)]) -> Self {
        let axis = (0..AXES.len()).min_by_key(|axis| pairs(boxes, *axis)).unwrap_or_default();
        let each = boxes.iter().flat_map(|(position, sets)| {
            let intervals = intervals(sets, axis).into_iter();
            intervals.map(|(first, last)| (first, last, *position))
        });
        Self { axis, intervals: Intervals::new(each.collect()) }
    }

    fn candidates(&self, sets: &Sets, found: &mut Vec<usize>) {
        for (first, last) in intervals(sets, self.axis) {
            self.intervals.meeting(first, last, found);
        }
    }
}

/// The intervals of a box on an axis, as the index has them: those of services are many for every box that has any, so
/// that the first and the last value stand for them.
fn intervals(sets: &Sets, axis: usize) -> Vec<(Value, Value)> {
    let by_ends = matches!(AXES.get(axis), Some(Axis::Service | Axis::SourcePort));
    match sets.get(axis) {
        Some(set) if by_ends => ends(set).into_iter().collect(),
        Some(set) => set.to_vec(),
        None => Vec::new(),
    }
}

fn ends(set: &[(Value, Value)]) -> Option<(Value, Value)> {
    Some((set.first()?.0, set.last()?.1))
}

/// How many pairs of intervals meet on an axis.
fn pairs(boxes: &[(usize, &Sets)], axis: usize) -> usize {
    let each = boxes.iter().flat_map(|(_, sets)| intervals(sets, axis));
    let (mut firsts, mut lasts): (Vec<Value>, Vec<Value>) = each.unzip();
    firsts.sort_unstable();
    lasts.sort_unstable();
    // Of all pairs, without those of which one ends before the other begins.
    let before = |first: &Value| lasts.partition_point(|last| last < first);
    firsts.iter().enumerate().map(|(n, first)| n - before(first)).sum()
}

/// Intervals in a search tree.
#[derive(Debug)]
struct Intervals {
    /// First and last value, and what the interval is of, by the first. The middle one of a slice is the root of the tree
    /// over the slice.
    sorted: Vec<(Value, Value, usize)>,
    /// The last value of all in the tree of which each is the root.
    reach: Vec<Value>,
}

impl Intervals {
    fn new(mut sorted: Vec<(Value, Value, usize)>) -> Self {
        sorted.sort_unstable_by_key(|(first, last, of)| (*first, Reverse(*last), *of));
        let mut reach = vec![0; sorted.len()];
        fill(&sorted, &mut reach);
        Self { sorted, reach }
    }

    /// Adds what the intervals are of that meet another.
    fn meeting(&self, first: Value, last: Value, found: &mut Vec<usize>) {
        search(&self.sorted, &self.reach, (first, last), found);
    }
}

/// A tree's left part, its root, and its right part.
fn parts<T>(of: &[T]) -> Option<(&[T], &T, &[T])> {
    let (left, rest) = of.split_at(of.len() / 2);
    let (root, right) = rest.split_first()?;
    Some((left, root, right))
}

fn fill(sorted: &[(Value, Value, usize)], reach: &mut [Value]) -> Value {
    let Some((left, (_, last, _), right)) = parts(sorted) else { return 0 };
    let (of_left, rest) = reach.split_at_mut(left.len());
    let Some((root, of_right)) = rest.split_first_mut() else { return 0 };
    *root = fill(left, of_left).max(fill(right, of_right)).max(*last);
    *root
}

fn search(
    sorted: &[(Value, Value, usize)],
    reach: &[Value],
    (first, last): (Value, Value),
    found: &mut Vec<usize>,
) {
    let (Some((left, root, right)), Some((of_left, root_reach, of_right))) =
        (parts(sorted), parts(reach))
    else {
        return;
    };
    if *root_reach < first {
        return;
    }
    search(left, of_left, (first, last), found);
    let (from, to, of) = *root;
    if from > last {
        return;
    }
    if to >= first {
        found.push(of);
    }
    search(right, of_right, (first, last), found);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::parse::sample::Random;
    use crate::rules::{Addresses, Matcher, PortRange, RuleProtocol};

    /// Conditions in a small universe, of every kind.
    fn matcher(random: &mut Random) -> Matcher {
        let mut addresses = |wild: u64| {
            if random.below(wild) == 0 {
                return Addresses::Any;
            }
            let words = [
                "10.0.0.0/8",
                "10.0.0.0/30",
                "10.0.0.1/32",
                "10.0.0.2/32",
                "10.1.0.0/16",
                "0.0.0.0/1",
                "2001:db8::/64",
                "2001:db8::1/128",
                "::/0",
            ];
            let nets = (0..random.below(3)).map(|_| random.one_of(&words).parse().unwrap());
            Addresses::Nets(nets.collect())
        };
        let (peer, local) = (addresses(4), addresses(2));
        let mut ports = || -> Vec<PortRange> {
            let words = ["22", "80", "20/90", "1/65535", "443"];
            (0..random.below(3)).map(|_| random.one_of(&words).parse().unwrap()).collect()
        };
        let (ports, source_ports) = (ports(), ports());
        let protocol: RuleProtocol = random.one_of(&["tcp", "udp", "all", "icmp"]).parse().unwrap();
        Matcher { protocol, ports, source_ports, peer, local, icmp: None }
    }

    proptest! {
        /// The definition: each is held against each.
        #[test]
        fn those_are_found_that_meet(seed in any::<u64>(), count in 0..40_usize) {
            let mut random = Random(seed);
            let mut extent = || Extent::new(&matcher(&mut random), &Addresses::Any);
            let extents: Vec<Extent> = (0..count).map(|_| extent()).collect();
            let index = ExtentIndex::new(&extents);
            for of in extents.iter().chain([&extent()]) {
                let meet = |position: &usize| extents[*position].meets(of);
                let expected: Vec<usize> = (0..count).filter(meet).collect();
                prop_assert_eq!(index.meeting(&extents, of), expected);
            }
        }
    }
}
