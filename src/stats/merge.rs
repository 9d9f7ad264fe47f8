//! The statistics of several shards, merged.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::peers::Peers;
use super::{Counter, Kind, Stats};

impl Stats {
    /// What all shards have counted, as if one had.
    pub(crate) fn merged<'s>(shards: impl Iterator<Item = &'s Self> + Clone) -> Self {
        let mut merged = Self::new(&[]);
        for shard in shards.clone() {
            merged.add_sums(shard);
            merged.unevaluated.merge(&shard.unevaluated);
        }
        merged.merge_kinds(shards);
        merged
    }

    /// Adds everything that does not depend on the order of packets.
    pub(super) fn add_sums(&mut self, shard: &Self) {
        for (sums, counts) in self.answers.iter_mut().zip(&shard.answers) {
            add_each(sums, counts);
        }
        self.connections += shard.connections;
        self.cut += shard.cut;
        #[expect(clippy::iter_over_hash_type, reason = "sums do not depend on the order")]
        for (key, count) in &shard.replies {
            let sum = self.replies.entry(*key).or_default();
            *sum = *sum + *count;
        }
        self.strays += shard.strays;
        add_each(&mut self.midstream, &shard.midstream);
        add_with_first(&mut self.guessed, shard.guessed);
        for (sums, doubts) in self.doubts.iter_mut().zip(&shard.doubts) {
            sums.merge(doubts);
        }
        add_with_first(&mut self.unweighed, shard.unweighed);
        self.bytes += shard.bytes;
        self.times = (self.times.0.min(shard.times.0), self.times.1.max(shard.times.1));
        self.opened += shard.opened;
        self.open_question += shard.open_question;
    }

    /// The kinds in the order in which they were found.
    fn merge_kinds<'s>(&mut self, shards: impl Iterator<Item = &'s Self>) {
        let mut found: Vec<(&Kind, &Counter)> =
            shards.flat_map(|shard| shard.kinds.iter().zip(&shard.counters)).collect();
        // One shard has all that a frame finds.
        found.sort_by_key(|(kind, _)| kind.found);
        let mut same: Vec<Vec<&Kind>> = Vec::new();
        for (kind, counter) in found {
            match self.kind_of.entry(kind.key) {
                Entry::Vacant(new) => {
                    new.insert(u32::try_from(self.kinds.len()).unwrap_or(u32::MAX));
                    self.kinds.push(kind.clone());
                    self.counters.push(*counter);
                    same.push(vec![kind]);
                }
                Entry::Occupied(known) => {
                    let position = *known.get() as usize;
                    if let (Some(merged), Some(sum), Some(same)) = (
                        self.kinds.get_mut(position),
                        self.counters.get_mut(position),
                        same.get_mut(position),
                    ) {
                        merged.take_first(kind);
                        sum.count = sum.count + counter.count;
                        same.push(kind);
                    }
                }
            }
        }
        for (merged, same) in self.kinds.iter_mut().zip(same).filter(|(_, same)| same.len() > 1) {
            let counted: Vec<(&Peers, &[u64])> =
                same.iter().map(|kind| (&kind.class.peers, &*kind.peers_shown)).collect();
            merged.class.peers = Peers::merged(&counted);
        }
        self.kind_of = HashMap::default();
    }
}

impl Kind {
    /// Takes the first packet of another shard's, if that came before its own.
    pub(super) fn take_first(&mut self, other: &Self) {
        let (own, others) = (self.class.first_frame, other.class.first_frame);
        if others > 0 && (own == 0 || others < own) {
            (self.class.first_frame, self.class.example) = (others, other.class.example);
        }
    }
}

fn add_each(sums: &mut [u64], counts: &[u64]) {
    for (sum, count) in sums.iter_mut().zip(counts) {
        *sum += count;
    }
}

/// Adds a count with the first frame that it is about.
fn add_with_first(sum: &mut Option<(u64, u64)>, count: Option<(u64, u64)>) {
    let Some((count, first)) = count else { return };
    let (sum, known) = sum.get_or_insert((0, first));
    *sum += count;
    *known = first.min(*known);
}
