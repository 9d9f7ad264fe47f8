//! The reference walk, with every step kept.

use crate::flow::FlowTuple;
use crate::rules::{Entry, EntryIndex, MatchStep, Ordered};

/// One entry that was looked at.
#[derive(Clone, Copy, Debug)]
pub struct Examined<'r> {
    /// Its position.
    pub index: EntryIndex,
    /// The entry.
    pub entry: &'r Entry,
    /// The condition that the packet failed; `None` for the entry that decided, the last one.
    pub failed_on: Option<MatchStep>,
}

/// Every entry in evaluation order down to the one that decides.
pub fn explain<'r>(ordered: &'r Ordered, flow: &FlowTuple) -> Vec<Examined<'r>> {
    let mut examined = Vec::new();
    for (index, entry) in (0..).map(EntryIndex).zip(ordered.entries()) {
        let failed_on = entry.matcher.fails_on(flow, ordered.direction());
        examined.push(Examined { index, entry, failed_on });
        if failed_on.is_none() {
            break;
        }
    }
    examined
}
