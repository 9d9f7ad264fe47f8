//! The table that sessions lie in: open addressing, so that a look-up touches one place.
//!
//! A capture's packets come from so many connections at once that each look-up is likely to miss the
//! cache. [`Table::touch`] starts the memory access of a key without waiting for it; doing so for a
//! batch of packets first lets the accesses overlap.

use std::hash::{BuildHasher, RandomState};

/// A key of one or more words.
pub(super) trait Words: Copy + Eq {
    fn words(&self) -> &[u64];
}

impl<const N: usize> Words for [u64; N] {
    fn words(&self) -> &[u64] {
        self
    }
}

#[derive(Debug)]
pub(super) struct Table<K, V> {
    /// A power of two, at most three quarters full; empty before the first entry.
    slots: Vec<Option<(K, V)>>,
    len: usize,
    /// Differs from run to run, so that no capture can be made to collide. No answer depends on it.
    seed: u64,
}

/// The golden ratio in 64 bits, odd: its product spreads every bit of a word over both halves.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl<K: Words, V: Copy> Table<K, V> {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), len: 0, seed: RandomState::new().hash_one(0) }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn hash(&self, key: &K) -> u64 {
        key.words().iter().fold(self.seed, |hash, word| {
            let product = u128::from(hash ^ word) * u128::from(MULTIPLIER);
            #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
            let folded = product as u64 ^ (product >> 64) as u64;
            folded
        })
    }

    #[inline]
    fn home(&self, hash: u64) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "the mask keeps fewer bits than that")]
        let hash = hash as usize;
        hash & self.slots.len().wrapping_sub(1)
    }

    /// Brings a key's slot near. The answer means nothing; use it so that the access is not dropped.
    #[inline]
    pub(super) fn touch(&self, hash: u64) -> bool {
        self.slots.get(self.home(hash)).is_some_and(Option::is_some)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, hash: u64, key: &K) -> Option<&mut V> {
        let at = self.find(hash, key)?;
        self.slots.get_mut(at)?.as_mut().filter(|(found, _)| found == key).map(|(_, value)| value)
    }

    #[inline]
    pub(super) fn get(&self, hash: u64, key: &K) -> Option<&V> {
        let slot = self.slots.get(self.find(hash, key)?)?;
        slot.as_ref().filter(|(found, _)| found == key).map(|(_, value)| value)
    }

    /// The slot that holds the key, or the free one where it would be put.
    #[inline]
    fn find(&self, hash: u64, key: &K) -> Option<usize> {
        let mut at = self.home(hash);
        // There is always a free slot, so the walk ends.
        loop {
            match self.slots.get(at)? {
                Some((found, _)) if found != key => at = (at + 1) & (self.slots.len() - 1),
                _ => return Some(at),
            }
        }
    }

    /// Puts a value in, and returns the one that was there.
    pub(super) fn insert(&mut self, hash: u64, key: K, value: V) -> Option<V> {
        if self.len * 4 >= self.slots.len() * 3 {
            let slots = (self.slots.len() * 2).max(64);
            self.rebuild(slots, |_, _| true);
        }
        let slot = self.find(hash, &key).and_then(|at| self.slots.get_mut(at))?;
        self.len += usize::from(slot.is_none());
        slot.replace((key, value)).map(|(_, before)| before)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &(K, V)> {
        self.slots.iter().flatten()
    }

    /// Drops what `keep` does not want.
    pub(super) fn retain(&mut self, keep: impl Fn(&K, &V) -> bool) {
        self.rebuild(self.slots.len(), keep);
    }

    fn rebuild(&mut self, slots: usize, keep: impl Fn(&K, &V) -> bool) {
        let old = std::mem::replace(&mut self.slots, vec![None; slots]);
        self.len = 0;
        for (key, value) in old.into_iter().flatten().filter(|(key, value)| keep(key, value)) {
            let hash = self.hash(&key);
            if let Some(slot) = self.find(hash, &key).and_then(|at| self.slots.get_mut(at)) {
                *slot = Some((key, value));
                self.len += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// The plain twin: a map of the standard library.
    #[test]
    fn it_holds_what_a_map_holds() {
        let (mut table, mut map) = (Table::<[u64; 2], u64>::new(), HashMap::new());
        for n in 0..20_000_u64 {
            let key = [n % 5_003, n % 7];
            table.insert(table.hash(&key), key, n);
            map.insert(key, n);
            if n % 6_000 == 5_999 {
                table.retain(|_, value| value % 3 != 0);
                map.retain(|_, value| *value % 3 != 0);
            }
        }
        assert_eq!(table.len(), map.len());
        for n in 0..5_003 {
            for m in 0..8 {
                let key = [n, m];
                assert_eq!(table.get_mut(table.hash(&key), &key).copied(), map.get(&key).copied());
            }
        }
    }
}
