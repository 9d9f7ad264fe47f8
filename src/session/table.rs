//! The table that sessions lie in: open addressing, so that a look-up touches one place, and slots of
//! which a cache line holds one or two whole.
//!
//! A capture's packets come from so many connections at once that each look-up is likely to miss the
//! cache. [`Table::touch`] only reads a slot; doing so for a batch of packets first, with nothing in
//! between, lets the processor wait for all of them at once.

use super::key::{self, Words};
use super::packed::Session;

#[derive(Debug)]
pub(super) struct Table<K> {
    /// A power of two of them that are somebody's home, at most three quarters full, and behind them
    /// those that walks have run on to: none comes round to the start. Empty before the first entry.
    slots: Vec<Slot<K>>,
    /// How many are homes.
    homes: usize,
    len: usize,
    /// Of the keys' hashes.
    seed: u64,
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(align(32))]
struct Slot<K> {
    key: K,
    session: Session,
}

const FEWEST_HOMES: usize = 64;

/// Room behind the last home that is had at once. A vector that grows as it likes would have twice the
/// memory for one walk that runs on.
const SPARE: usize = 64;

impl<K: Words> Table<K> {
    pub(super) fn new(seed: u64) -> Self {
        Self { slots: Vec::new(), homes: 0, len: 0, seed }
    }

    /// Bytes that the slots take.
    pub(super) fn memory(&self) -> usize {
        self.slots.len() * size_of::<Slot<K>>()
    }

    /// Bytes that [`Table::double`] takes, while it copies the slots to where there is room for twice as
    /// many.
    pub(super) fn memory_to_double(&self) -> usize {
        self.memory() + (self.homes * 2).max(FEWEST_HOMES) * size_of::<Slot<K>>()
    }

    pub(super) fn homes(&self) -> usize {
        self.homes
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no room for another entry.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.len * 4 >= self.homes * 3
    }

    #[inline]
    fn hash(&self, key: &K) -> u64 {
        key::hash(self.seed, key)
    }

    #[inline]
    fn home(&self, hash: u64) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "the mask keeps fewer bits than that")]
        let hash = hash as usize;
        hash & self.homes.wrapping_sub(1)
    }

    /// Reads something of a key's slot, and of one in the line behind it, where most walks end. The answer
    /// means nothing; use it so that the access is not dropped.
    #[inline]
    pub(super) fn touch(&self, hash: u64) -> u64 {
        let home = self.home(hash);
        let last = |at: usize| self.slots.get(at).map_or(0, |slot| slot.session.last);
        last(home) ^ last(home + (64 / size_of::<Slot<K>>()).max(1))
    }

    #[inline]
    pub(super) fn get_mut(&mut self, hash: u64, key: &K) -> Option<&mut Session> {
        let at = self.find(hash, key);
        let session = &mut self.slots.get_mut(at)?.session;
        (!session.is_free()).then_some(session)
    }

    #[inline]
    pub(super) fn get(&self, hash: u64, key: &K) -> Option<&Session> {
        let session = &self.slots.get(self.find(hash, key))?.session;
        (!session.is_free()).then_some(session)
    }

    /// The slot that holds the key, or the free one where it would be put, which may be the one behind
    /// the last.
    #[inline]
    fn find(&self, hash: u64, key: &K) -> usize {
        let mut at = self.home(hash);
        while let Some(slot) = self.slots.get(at)
            && slot.key != *key
            && !slot.session.is_free()
        {
            at += 1;
        }
        at
    }

    /// Puts a session in, and returns the one that was there. There must be room: see
    /// [`Table::is_full`].
    pub(super) fn insert(&mut self, hash: u64, key: K, session: Session) -> Option<Session> {
        let at = self.find(hash, &key);
        if at == self.slots.len() {
            if at == self.slots.capacity() {
                self.slots.reserve_exact(SPARE);
            }
            self.slots.push(Slot::default());
        }
        let before = std::mem::replace(self.slots.get_mut(at)?, Slot { key, session }).session;
        self.len += usize::from(before.is_free());
        (!before.is_free()).then_some(before)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&K, &Session)> {
        let taken = self.slots.iter().filter(|slot| !slot.session.is_free());
        taken.map(|slot| (&slot.key, &slot.session))
    }

    /// Makes room for as many again.
    pub(super) fn double(&mut self) {
        let before = self.homes;
        // Those behind the last home stand where the new homes will be.
        let behind = self.slots.split_off(before);
        self.homes = (before * 2).max(FEWEST_HOMES);
        self.slots.reserve_exact(self.homes - before + SPARE.max(behind.len()));
        self.slots.resize(self.homes, Slot::default());
        self.settle(before, |_, _| true);
        for Slot { key, session } in behind.into_iter().filter(|slot| !slot.session.is_free()) {
            self.insert(self.hash(&key), key, session);
        }
    }

    /// Drops everything, and keeps the memory.
    pub(super) fn clear(&mut self) {
        if self.len > 0 {
            self.slots.truncate(self.homes);
            self.slots.fill(Slot::default());
            self.len = 0;
        }
    }

    /// Drops what `keep` does not want.
    pub(super) fn retain(&mut self, keep: impl Fn(&K, &Session) -> bool) {
        self.settle(self.slots.len(), keep);
        let taken = self.slots.iter().skip(self.homes).rposition(|slot| !slot.session.is_free());
        self.slots.truncate(self.homes + taken.map_or(0, |last| last + 1));
    }

    /// Takes every entry of the first slots out, from the first on, and puts it in again if it is kept.
    /// An entry never stands before its home: what lies between the two is settled when its turn comes, so
    /// that it finds a slot there, its own, or one among the homes that are new, where all are settled.
    fn settle(&mut self, slots: usize, keep: impl Fn(&K, &Session) -> bool) {
        self.len = 0;
        for at in 0..slots {
            let Some(slot) = self.slots.get_mut(at) else { break };
            let Slot { key, session } = std::mem::take(slot);
            if !session.is_free() && keep(&key, &session) {
                self.insert(self.hash(&key), key, session);
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
        (0..20).for_each(holds_what_a_map_holds);
    }

    /// Seeds differ in which walks run on behind the last home.
    fn holds_what_a_map_holds(seed: u64) {
        let (mut table, mut map) = (Table::<[u64; 2]>::new(seed), HashMap::new());
        for n in 0..20_000_u64 {
            let key = [n % 5_003, n % 7];
            if table.is_full() {
                table.double();
            }
            table.insert(table.hash(&key), key, Session { last: n, what: 1 });
            map.insert(key, n);
            let most = table.homes + 2 * SPARE;
            assert!(table.slots.capacity() <= most, "no memory that is not counted");
            if n % 6_000 == 5_999 {
                table.retain(|_, session| session.last % 3 != 0);
                map.retain(|_, value| *value % 3 != 0);
            }
        }
        assert_eq!(table.len(), map.len());
        for n in 0..5_003 {
            for m in 0..8 {
                let key = [n, m];
                let found = table.get_mut(table.hash(&key), &key).map(|session| session.last);
                assert_eq!(found, map.get(&key).copied());
            }
        }
    }

    #[test]
    fn slots_do_not_straddle_cache_lines() {
        assert_eq!(size_of::<Slot<[u64; 2]>>(), 32);
        assert_eq!(size_of::<Slot<[u64; 5]>>(), 64);
    }
}
