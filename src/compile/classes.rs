//! One axis of a list: value → elementary interval → equivalence class.
//!
//! The bounds of all entries cut the axis into elementary intervals, within which the same entries
//! match. Intervals of the same entries are one class, wherever they lie. Classes are numbered in the order in
//! which they appear, so that the classes of an entry with one interval are neighbours.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::TooLarge;
use super::axes::{Condition, Value};

/// A class, by its number on its axis.
pub(crate) type Class = u16;

/// More classes than this, an axis has not.
const MOST_CLASSES: usize = Class::MAX as usize;
/// Entries that all classes of an axis may have together: bounds the memory and the time.
const MOST_MATCHING: usize = 1 << 24;

/// The classes that an entry matches in, ascending, both ends included, which neither overlap nor touch;
/// `None` where any will do.
pub(super) type ClassRanges = Option<Vec<(Class, Class)>>;

/// The classes of an axis.
#[derive(Debug)]
pub(crate) struct Classes {
    /// Where each run of values of one class starts, ascending, the first at 0, and the class.
    pub(crate) runs: Vec<(Value, Class)>,
    pub(crate) count: usize,
    matching: usize,
    /// Of each entry, in order.
    pub(super) of_entries: Vec<ClassRanges>,
}

impl Classes {
    /// # Errors
    /// When there are more classes than can be numbered.
    pub(crate) fn new<'c>(
        conditions: impl Iterator<Item = &'c Condition>,
    ) -> Result<Self, TooLarge> {
        let mut events: Vec<(Value, u32)> = Vec::new();
        let mut of_entries: Vec<ClassRanges> = Vec::new();
        for (entry, condition) in (0..).zip(conditions) {
            of_entries.push(match condition {
                Condition::Any => None,
                Condition::In(intervals) => {
                    for (first, last) in intervals {
                        events.push((*first, entry));
                        events.extend(last.checked_add(1).map(|after| (after, entry)));
                    }
                    Some(Vec::new())
                }
            });
        }
        events.sort_unstable();
        let mut classes = Self { runs: Vec::new(), count: 0, matching: 0, of_entries };
        let mut known: HashMap<Vec<u32>, Class, FixedState> = HashMap::default();
        // Those that match, but for those to whom any value will do.
        let mut matching: Vec<u32> = Vec::new();
        let mut events = events.into_iter().peekable();
        let mut start = Some(0);
        while let Some(at) = start {
            while let Some((_, entry)) = events.next_if(|(value, _)| *value == at) {
                toggle(&mut matching, entry);
            }
            let class = if let Some(class) = known.get(matching.as_slice()) {
                *class
            } else {
                let class = classes.add(&matching)?;
                known.insert(matching.clone(), class);
                class
            };
            if classes.runs.last().is_none_or(|(_, before)| *before != class) {
                classes.runs.push((at, class));
            }
            start = events.peek().map(|(value, _)| *value);
        }
        Ok(classes)
    }

    /// The runs, where values are numbers of a narrower kind.
    ///
    /// # Errors
    /// When one is not.
    pub(super) fn runs_as<T: TryFrom<Value>>(&self) -> Result<Vec<(T, Class)>, TooLarge> {
        let narrow = |(start, class): &(Value, Class)| {
            T::try_from(*start).map(|start| (start, *class)).map_err(|_| TooLarge)
        };
        self.runs.iter().map(narrow).collect()
    }

    fn add(&mut self, matching: &[u32]) -> Result<Class, TooLarge> {
        self.matching += matching.len();
        if self.count == MOST_CLASSES || self.matching > MOST_MATCHING {
            return Err(TooLarge);
        }
        let class = Class::try_from(self.count).map_err(|_| TooLarge)?;
        self.count += 1;
        for entry in matching {
            if let Some(Some(ranges)) = self.of_entries.get_mut(*entry as usize) {
                match ranges.last_mut() {
                    Some((_, last)) if *last + 1 == class => *last = class,
                    _ => ranges.push((class, class)),
                }
            }
        }
        Ok(class)
    }
}

/// Puts a number into an ascending list, or takes it out.
pub(super) fn toggle(set: &mut Vec<u32>, number: u32) {
    match set.binary_search(&number) {
        Ok(position) => {
            set.remove(position);
        }
        Err(position) => set.insert(position, number),
    }
}
