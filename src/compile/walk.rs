//! The walk through the decision diagrams: the hot path.
//!
//! A node of a diagram is a search tree of [`Fork`]s: where the runs of values start, and where each
//! leads to. A step is one comparison of a key with all starts of a fork, a few vector instructions.
//!
//! Many packets are walked side by side, and all take the same steps: there is no branch to be guessed
//! wrong, and while one waits for memory the steps of the others fill the wait.

use wide::i32x8;

use super::keys::{Axis, Family, KeyV4, KeyV6, signed, unsigned};
use crate::rules::EntryIndex;

/// Packets walked side by side.
pub(super) const LANES: usize = 64;

/// Runs that one fork of the usual kind tells apart: it is one cache line.
pub(super) const NARROW: usize = 8;
/// Runs that a wide one tells apart.
pub(super) const WIDE: usize = 16;

/// A search tree's node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[repr(align(64))]
pub(super) struct Fork<const WIDTH: usize> {
    /// Where the runs start, ascending; the first is not above any key that comes here. Filled up with
    /// the highest key, which leads where the last run leads.
    starts: [i32; WIDTH],
    /// A fork of the next step; behind the last step an entry.
    next: [u32; WIDTH],
}

impl<const WIDTH: usize> Fork<WIDTH> {
    pub(super) fn new(runs: &[(u32, u32)]) -> Self {
        let last = runs.last().map_or(NO_ENTRY, |(_, next)| *next);
        let mut fork = Self { starts: [i32::MAX; WIDTH], next: [last; WIDTH] };
        for ((start, next), run) in fork.starts.iter_mut().zip(&mut fork.next).zip(runs) {
            (*start, *next) = (signed(run.0), run.1);
        }
        fork
    }
}

/// A step of all packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The word of the key that it asks.
    pub(super) word: usize,
    /// Its forks are wide ones.
    pub(super) wide: bool,
}

/// No entry of this diagram matches.
const NO_ENTRY: u32 = u32::MAX;

/// The diagrams of one family.
#[derive(Debug)]
pub(super) struct Forest {
    pub(super) trees: Vec<Tree>,
}

impl Forest {
    pub(super) fn memory_usage(&self) -> usize {
        self.trees.iter().map(Tree::memory_usage).sum()
    }
}

/// A diagram laid out for walking.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) root: Root,
    pub(super) steps: Vec<Step>,
    pub(super) narrow: Vec<Fork<NARROW>>,
    pub(super) wide: Vec<Fork<WIDE>>,
    /// The first entry that it can lead to.
    pub(super) earliest: u32,
}

impl Tree {
    pub(super) fn memory_usage(&self) -> usize {
        size_of::<Self>()
            + size_of_val(self.narrow.as_slice())
            + size_of_val(self.wide.as_slice())
            + size_of_val(self.root.table.as_slice())
            + size_of_val(self.steps.as_slice())
    }
}

/// Where the walk through a diagram begins: a table over the highest bits of one word.
#[derive(Debug)]
pub(super) struct Root {
    word: usize,
    shift: u32,
    /// The runs within each element, until they have become its table.
    inside: Vec<Vec<(u32, u32)>>,
    table: Vec<u32>,
}

/// A table is at most so many times as long as there are runs, and never longer than this.
const TABLE_PER_RUN: usize = 8;
const MOST_TABLE_BITS: u32 = 16;

impl Root {
    pub(super) fn new(word: usize, family: Family, runs: &[(u32, u32)]) -> Self {
        // Of the narrow axes only the lowest bits are ever used.
        let used = match runs.last() {
            Some((start, _)) if word < Axis::Peer.first_word(family) => {
                (u32::BITS - start.leading_zeros()).max(1)
            }
            _ => u32::BITS,
        };
        let bits = match runs.len() {
            0 | 1 => 0,
            runs => (runs * TABLE_PER_RUN).ilog2().min(MOST_TABLE_BITS).min(used),
        };
        let shift = used - bits;
        let mut inside = Vec::with_capacity(1 << bits);
        let (mut left, mut current) = (runs.iter().copied().peekable(), NO_ENTRY);
        for element in 0..1_u64 << bits {
            let (first, after) = (element << shift, (element + 1) << shift);
            let mut of_element: Vec<(u32, u32)> = Vec::new();
            while let Some((start, next)) = left.next_if(|run| u64::from(run.0) < after) {
                if of_element.is_empty() && u64::from(start) > first {
                    of_element.push((u32::try_from(first).unwrap_or(0), current));
                }
                of_element.push((start, next));
                current = next;
            }
            if of_element.is_empty() {
                of_element.push((0, current));
            }
            inside.push(of_element);
        }
        Self { word, shift, inside, table: Vec::new() }
    }

    /// The runs within each element.
    pub(super) fn elements(&self) -> impl Iterator<Item = &[(u32, u32)]> {
        self.inside.iter().map(Vec::as_slice)
    }

    /// With where the search trees of the elements begin.
    pub(super) fn with_table(self, table: Vec<u32>) -> Self {
        Self { inside: Vec::new(), table, ..self }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "measured: a call costs as much as the look")]
    fn start(&self, key: &impl Words) -> u32 {
        let element = u64::from(unsigned(key.word(self.word))) >> self.shift;
        let element = usize::try_from(element).unwrap_or(usize::MAX);
        // Past the table lie keys past every start.
        let element = element.min(self.table.len().wrapping_sub(1));
        self.table.get(element).copied().unwrap_or(NO_ENTRY)
    }
}

/// A key, word by word. The words that diagrams ask for are in it.
pub(super) trait Words {
    fn word(&self, word: usize) -> i32;
}

impl Words for KeyV4 {
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the mask keeps it in the array")]
    fn word(&self, word: usize) -> i32 {
        self.0[word & 3]
    }
}

impl Words for KeyV6 {
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the mask keeps it in the array")]
    fn word(&self, word: usize) -> i32 {
        self.0[word & 15]
    }
}

/// How a key is compared with the starts of a fork. Who has a value of it may compare so.
pub(super) trait Compare: Copy {
    /// A bit for each start that is above the key, the first in the lowest.
    fn above<const WIDTH: usize>(self, starts: &[i32; WIDTH], key: i32) -> u32;
}

/// By instructions that every processor of the target has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable;

impl Compare for Portable {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "measured: a call costs as much as the step")]
    fn above<const WIDTH: usize>(self, starts: &[i32; WIDTH], key: i32) -> u32 {
        let eight = |starts: Option<&[i32; 8]>| {
            starts.map_or(0, |starts| i32x8::new(*starts).simd_gt(i32x8::splat(key)).to_bitmask())
        };
        match WIDTH {
            NARROW => eight(starts.first_chunk()),
            _ => eight(starts.first_chunk()) | eight(starts.last_chunk()) << 8,
        }
    }
}

impl<const WIDTH: usize> Fork<WIDTH> {
    /// Where the key leads.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "measured: a call costs as much as the step")]
    #[expect(clippy::indexing_slicing, reason = "the mask keeps it in the array")]
    fn next(&self, compare: impl Compare, key: i32) -> u32 {
        const { assert!(WIDTH == NARROW || WIDTH == WIDE) };
        // The starts ascend, so those above the key are the highest bits; one more ends them.
        let above = compare.above(&self.starts, key);
        let run = (above | 1 << WIDTH).trailing_zeros().wrapping_sub(1);
        self.next[run as usize & (WIDTH - 1)]
    }
}

impl Forest {
    /// Walks packets side by side through all diagrams; of keys and places no more than [`LANES`].
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "it is made anew for each set of instructions")]
    pub(super) fn walk(
        &self,
        compare: impl Compare,
        keys: &[impl Words],
        found: &mut [EntryIndex],
    ) {
        let mut best = [NO_ENTRY; LANES];
        let mut trees = self.trees.iter();
        if let Some(tree) = trees.next() {
            tree.walk(compare, keys, &mut best);
        }
        for tree in trees {
            let mut at = [NO_ENTRY; LANES];
            tree.walk(compare, keys, &mut at);
            for (best, at) in best.iter_mut().zip(at) {
                *best = at.min(*best);
            }
        }
        for (found, best) in found.iter_mut().zip(best) {
            *found = EntryIndex(best);
        }
    }

    /// Walks one packet.
    #[inline]
    pub(super) fn walk_one(&self, key: &impl Words) -> EntryIndex {
        let mut best = NO_ENTRY;
        for tree in &self.trees {
            // Nothing in this diagram, or in those behind it, comes before what was found.
            if best <= tree.earliest {
                break;
            }
            best = best.min(tree.walk_one(key));
        }
        EntryIndex(best)
    }
}

impl Tree {
    /// Walks packets side by side, each to its entry.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "it is made anew for each set of instructions")]
    fn walk(&self, compare: impl Compare, keys: &[impl Words], at: &mut [u32; LANES]) {
        for (at, key) in at.iter_mut().zip(keys) {
            *at = self.root.start(key);
        }
        let (narrow, wide) = (self.narrow.as_slice(), self.wide.as_slice());
        for &Step { word, wide: is_wide } in &self.steps {
            let lanes = at.iter_mut().zip(keys);
            if is_wide {
                for (at, key) in lanes {
                    let Some(fork) = wide.get(*at as usize) else { return };
                    *at = fork.next(compare, key.word(word));
                }
            } else {
                for (at, key) in lanes {
                    let Some(fork) = narrow.get(*at as usize) else { return };
                    *at = fork.next(compare, key.word(word));
                }
            }
        }
    }

    #[inline]
    fn walk_one(&self, key: &impl Words) -> u32 {
        let mut at = self.root.start(key);
        for &Step { word, wide } in &self.steps {
            let place = at as usize;
            let next = match wide {
                true => self.wide.get(place).map(|fork| fork.next(Portable, key.word(word))),
                false => self.narrow.get(place).map(|fork| fork.next(Portable, key.word(word))),
            };
            at = next.unwrap_or(NO_ENTRY);
        }
        at
    }
}
