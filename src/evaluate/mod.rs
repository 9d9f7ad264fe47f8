//! A flow and the entries of an interface → the entry that decides.
//!
//! There are two evaluators, and they must agree. [`Reference`] is the list, read top to bottom: the
//! oracle of the tests, obvious at a glance. [`Compiled`] is the hot path. A property test holds one
//! against the other, and [`explain()`] walks the reference, so it cannot disagree with either.

mod explain;

pub use explain::{Examined, explain};

use crate::compile::{CompiledRules, MOST_MEMORY};
use crate::flow::FlowTuple;
use crate::rules::{Entry, EntryIndex, Ordered};

/// Judges opening packets of one interface and direction.
pub trait Evaluator: std::fmt::Debug {
    /// The first entry in evaluation order that matches (SEMANTICS A4). There is always one, since
    /// the last entry is the default.
    fn decide(&self, flow: &FlowTuple) -> EntryIndex;
}

/// The list in order.
#[derive(Clone, Copy, Debug)]
pub struct Reference<'r>(pub &'r Ordered);

impl Evaluator for Reference<'_> {
    fn decide(&self, flow: &FlowTuple) -> EntryIndex {
        for (index, Entry { matcher, .. }) in (0..).map(EntryIndex).zip(self.0.entries()) {
            if matcher.fails_on(flow, self.0.direction()).is_none() {
                return index;
            }
        }
        EntryIndex(u32::MAX)
    }
}

/// The index.
#[derive(Debug)]
pub struct Compiled(CompiledRules);

impl Compiled {
    /// Compiles the entries into an index of at most [`MOST_MEMORY`].
    pub fn new(ordered: &Ordered) -> Self {
        Self::within(ordered, MOST_MEMORY)
    }

    /// Compiles the entries into an index of at most so many bytes: see [`CompiledRules::new`].
    pub fn within(ordered: &Ordered, most_memory: usize) -> Self {
        Self(CompiledRules::new(ordered, most_memory))
    }

    /// Decides for a slice of flows: see [`CompiledRules::first_matches`].
    pub fn decide_all(&self, flows: &[FlowTuple], found: &mut [EntryIndex]) {
        self.0.first_matches(flows, found);
    }

    /// The index.
    pub fn index(&self) -> &CompiledRules {
        &self.0
    }
}

impl Evaluator for Compiled {
    #[inline]
    fn decide(&self, flow: &FlowTuple) -> EntryIndex {
        self.0.first_match(flow)
    }
}
