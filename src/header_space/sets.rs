//! Sets of values on an axis.

use super::region::Set;
use crate::compile::axes::{Axis, Condition, Conditions, Value};

/// Services first, since only some have source ports; peers next, since most rules name one.
pub(super) const AXES: [Axis; 4] = [Axis::Service, Axis::Peer, Axis::Local, Axis::SourcePort];

/// The values that meet the condition on an axis.
pub(super) fn values(conditions: &Conditions, axis: Axis) -> Set {
    match conditions.on(axis) {
        Condition::Any => vec![(0, Value::MAX)],
        Condition::In(intervals) => intervals.clone(),
    }
}

/// The values in both sets.
pub(super) fn both(a: &[(Value, Value)], b: &[(Value, Value)]) -> Set {
    // The others of the longer set are not looked at.
    let (few, many) = if a.len() < b.len() { (a, b) } else { (b, a) };
    let reaches = few.first().map(|(first, _)| many.partition_point(|(_, end)| end < first));
    let many = reaches.and_then(|from| many.get(from..)).unwrap_or_default();
    let (mut a, mut b) = (few.iter().copied().peekable(), many.iter().copied().peekable());
    let mut found = Set::new();
    while let (Some(x), Some(y)) = (a.peek().copied(), b.peek().copied()) {
        let (first, last) = (x.0.max(y.0), x.1.min(y.1));
        if first <= last {
            found.push((first, last));
        }
        // Whichever ends first meets nothing further.
        if x.1 < y.1 {
            a.next()
        } else {
            b.next()
        };
    }
    found
}

/// Whether some value is in both sets.
pub(super) fn overlap(a: &Set, b: &Set) -> bool {
    let (few, many) = if a.len() < b.len() { (a, b) } else { (b, a) };
    few.iter().any(|(first, last)| {
        let reaches = many.partition_point(|(_, end)| end < first);
        many.get(reaches).is_some_and(|(start, _)| start <= last)
    })
}

/// The same values in ascending intervals that do not touch.
pub(super) fn union(set: &mut Set) {
    set.sort_unstable();
    set.dedup_by(|later, earlier| {
        let touches = earlier.1.checked_add(1).is_none_or(|after| later.0 <= after);
        if touches {
            earlier.1 = earlier.1.max(later.1);
        }
        touches
    });
}
