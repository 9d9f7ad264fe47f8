//! What bounds a walk over header space.

use super::region::Set;
use super::sets::{both, values};
use crate::compile::axes::{Axis, Condition, Conditions, Family, Value};
use crate::rules::Matcher;

/// What every packet that is asked for meets.
pub(super) struct Bounds {
    /// Of each of [`Axis::ALL`].
    sets: [Set; Axis::ALL.len()],
}

impl Bounds {
    /// The bounds of whole packets that meet every one of these.
    pub(super) fn new<'m>(gates: impl Iterator<Item = &'m Matcher>, family: Family) -> Self {
        let whole = Conditions::of_whole_packets();
        let mut sets = Axis::ALL.map(|axis| values(whole, axis));
        for matcher in gates {
            let conditions = Conditions::new(matcher, family);
            for (set, axis) in sets.iter_mut().zip(Axis::ALL) {
                if let Condition::In(intervals) = conditions.on(axis) {
                    *set = both(set, intervals);
                }
            }
        }
        Self { sets }
    }

    /// Conditions within the bounds, where there is no condition that every packet there meets; `None` where no packet
    /// meets them.
    pub(super) fn clip(&self, conditions: &Conditions) -> Option<Conditions> {
        let mut clipped = [const { Condition::Any }; Axis::ALL.len()];
        for ((clipped, set), axis) in clipped.iter_mut().zip(&self.sets).zip(Axis::ALL) {
            if let Condition::In(intervals) = conditions.on(axis) {
                let inside = both(set, intervals);
                if inside.is_empty() {
                    return None;
                }
                if inside != *set {
                    *clipped = Condition::In(inside);
                }
            }
        }
        Some(Conditions::from_axes(clipped))
    }

    /// The bounds as conditions; `None` where no packet meets them.
    pub(super) fn into_conditions(self) -> Option<Conditions> {
        let is_met = self.sets.iter().all(|set| !set.is_empty());
        let condition = |set: Set| match set.as_slice() {
            [(0, Value::MAX)] => Condition::Any,
            _ => Condition::In(set),
        };
        is_met.then(|| Conditions::from_axes(self.sets.map(condition)))
    }
}
