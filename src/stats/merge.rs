//! The statistics of several shards, merged.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::peers::Peers;
use super::{Counter, FlowClass, Kind, Stats};

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
    fn merge_kinds<'s>(&mut self, shards: impl Iterator<Item = &'s Self> + Clone) {
        let counts = shards.clone().map(|shard| shard.kinds.len());
        let most = counts.clone().max().unwrap_or(0);
        let mut found: Vec<(u64, &Kind, &Counter)> = Vec::with_capacity(counts.sum());
        for Self { kinds, counters, .. } in shards {
            found.extend(kinds.iter().zip(counters).map(|(kind, of)| (kind.found, kind, of)));
        }
        // One shard has all that a frame finds.
        found.sort_by_key(|(frame, ..)| *frame);
        let mut kind_of = HashMap::with_capacity_and_hasher(most, FixedState::default());
        // How many shards have found each kind, and which kind each has found.
        let (mut shared, mut kinds): (Vec<usize>, Vec<usize>) = Default::default();
        for (_, kind, counter) in &found {
            let position = *kind_of.entry(kind.key).or_insert(shared.len());
            kinds.push(position);
            if let (Some(shards), Some(sum)) =
                (shared.get_mut(position), self.counters.get_mut(position))
            {
                *shards += 1;
                sum.count = sum.count + counter.count;
            } else {
                shared.push(1);
                self.counters.push(**counter);
            }
        }
        let same = grouped(&shared, &kinds, &found);
        let mut rest = &*same;
        for shards in shared {
            let Some((of_kind, others)) = rest.split_at_checked(shards) else { break };
            self.kinds.extend(Kind::merged(of_kind));
            rest = others;
        }
    }
}

/// What was found by kind, in order: `shared` says how many of each, `kinds` which kind each is.
fn grouped<'k>(
    shared: &[usize],
    kinds: &[usize],
    found: &[(u64, &'k Kind, &Counter)],
) -> Vec<&'k Kind> {
    let Some((_, any, _)) = found.first() else { return Vec::new() };
    // Where the next of each kind goes.
    let mut next = Vec::with_capacity(shared.len());
    let mut before = 0;
    for shards in shared {
        next.push(before);
        before += shards;
    }
    let mut grouped = vec![*any; found.len()];
    for (kind, (_, of, _)) in kinds.iter().zip(found) {
        let Some(next) = next.get_mut(*kind) else { continue };
        if let Some(place) = grouped.get_mut(*next) {
            *place = *of;
        }
        *next += 1;
    }
    grouped
}

impl Kind {
    /// What several shards have counted of one kind, in the order in which they found it.
    fn merged(same: &[&Self]) -> Option<Self> {
        let (first, others) = same.split_first()?;
        if others.is_empty() {
            return Some((*first).clone());
        }
        let counted = same.iter().map(|kind| (&kind.class.peers, &*kind.peers_shown));
        let class = FlowClass { peers: Peers::merged(counted), ..first.class };
        let mut merged =
            Self { class, key: first.key, found: first.found, peers_shown: Vec::new() };
        for kind in others {
            merged.take_first(kind);
        }
        Some(merged)
    }

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
