//! How many connections changed, which is added up of parts of the traffic.

use crate::diff::{Change, Effect};

/// What was seen of a region in traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Seen {
    /// Connections whose verdict turned there.
    pub connections: u64,
    /// The frame that opened the first of them.
    pub first_frame: Option<u64>,
}

impl Seen {
    /// Notes a changed connection that the region holds.
    pub(super) fn add(&mut self, change: &Change) {
        self.connections += 1;
        let first = self.first_frame.unwrap_or(change.first_frame);
        self.first_frame = Some(first.min(change.first_frame));
    }
}

/// How many connections changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChangedCounts {
    /// What was seen of each region that the change turns.
    pub(super) seen: Vec<Seen>,
    /// Of each effect, those that nobody has accepted and those that somebody has.
    pub(super) counts: [[u64; 2]; Effect::ALL.len()],
    /// By entry of what is accepted.
    pub(super) by_entry: Vec<u64>,
}

impl ChangedCounts {
    /// None yet, of so many regions, and of so many entries of what is accepted.
    pub(super) fn new(regions: usize, entries: usize) -> Self {
        let (seen, counts) = (vec![Seen::default(); regions], Default::default());
        Self { seen, counts, by_entry: vec![0; entries] }
    }

    /// Adds those of other changes.
    pub fn merge(&mut self, other: &Self) {
        let Self { seen, counts, by_entry } = other;
        self.seen.resize(self.seen.len().max(seen.len()), Seen::default());
        for (known, other) in self.seen.iter_mut().zip(seen) {
            known.connections += other.connections;
            known.first_frame = [known.first_frame, other.first_frame].into_iter().flatten().min();
        }
        for (known, other) in self.counts.iter_mut().flatten().zip(counts.iter().flatten()) {
            *known += other;
        }
        self.by_entry.resize(self.by_entry.len().max(by_entry.len()), 0);
        for (known, other) in self.by_entry.iter_mut().zip(by_entry) {
            *known += other;
        }
    }
}
