//! One axis of the index: value → elementary interval → bitmap of entries.

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::TooLarge;

/// What an entry asks of one axis.
pub(super) enum Condition<K> {
    /// Nothing: any value will do, and so will a packet that has none.
    Any,
    /// A value in one of these intervals, both ends included; none at all when the list is empty.
    In(Vec<(K, K)>),
}

/// A value of an axis.
pub(super) trait Coordinate: Copy + Ord {
    const MIN: Self;
    /// The next value, `None` past the last.
    fn next(self) -> Option<Self>;
}

macro_rules! coordinate {
    ($($t:ty),*) => {$(
        impl Coordinate for $t {
            const MIN: Self = <$t>::MIN;
            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }
        }
    )*};
}
coordinate!(u8, u16, u32, u128);

/// The elementary intervals of an axis.
#[derive(Debug)]
pub(super) struct Axis<K> {
    /// Where each interval starts, ascending; the first at the lowest value.
    starts: Vec<K>,
    /// The class of each interval: the position of its bitmap's first word.
    classes: Vec<u32>,
    /// The classes' bitmaps, one after the other, each `words` long.
    bitmaps: Vec<u64>,
    words: usize,
    /// The class of packets without a value on this axis: entries that ask for none.
    absent: u32,
}

/// The classes that are known, by the hashes of their bitmaps.
type Known = HashMap<u64, Vec<u32>, FixedState>;

impl<K: Coordinate> Axis<K> {
    /// Cuts an axis into intervals, unless their bitmaps come to more than so many bytes.
    pub(super) fn new(
        conditions: impl Iterator<Item = Condition<K>>,
        most: usize,
    ) -> Result<Self, TooLarge> {
        // Each entry's intervals, as the values where it begins and ceases to match.
        let mut events: Vec<(K, u32)> = Vec::new();
        let mut any: Vec<u32> = Vec::new();
        let mut entries = 0_u32;
        for condition in conditions {
            match condition {
                Condition::Any => any.push(entries),
                Condition::In(intervals) => {
                    for (first, last) in disjoint(intervals) {
                        events.push((first, entries));
                        events.extend(last.next().map(|after| (after, entries)));
                    }
                }
            }
            entries += 1;
        }
        events.sort_unstable();

        let words = (entries as usize).div_ceil(64);
        let mut bits = vec![0_u64; words];
        for entry in any {
            toggle(&mut bits, entry);
        }
        let mut axis =
            Self { starts: Vec::new(), classes: Vec::new(), bitmaps: Vec::new(), words, absent: 0 };
        let mut known = Known::default();
        axis.absent = axis.class(&bits, &mut known)?;
        let mut events = events.into_iter().peekable();
        let mut start = Some(K::MIN);
        while let Some(at) = start {
            while let Some((_, entry)) = events.next_if(|(value, _)| *value == at) {
                toggle(&mut bits, entry);
            }
            let class = axis.class(&bits, &mut known)?;
            // Neighbours of one class need no bound between them.
            if axis.classes.last() != Some(&class) {
                axis.starts.push(at);
                axis.classes.push(class);
            }
            start = events.peek().map(|(value, _)| *value);
            if size_of_val(axis.bitmaps.as_slice()) > most {
                return Err(TooLarge);
            }
        }
        Ok(axis)
    }

    fn class(&mut self, bits: &[u64], known: &mut Known) -> Result<u32, TooLarge> {
        let alike = known.entry(FixedState::default().hash_one(bits)).or_default();
        let same = |class: &&u32| {
            let first = **class as usize;
            self.bitmaps.get(first..first + self.words) == Some(bits)
        };
        if let Some(class) = alike.iter().find(same) {
            return Ok(*class);
        }
        let class = u32::try_from(self.bitmaps.len()).map_err(|_| TooLarge)?;
        self.bitmaps.extend_from_slice(bits);
        alike.push(class);
        Ok(class)
    }

    /// The entries whose condition on this axis the value meets.
    #[inline]
    pub(super) fn matching(&self, value: K) -> &[u64] {
        let after = self.starts.partition_point(|start| *start <= value);
        self.bitmap(self.classes.get(after.wrapping_sub(1)).copied().unwrap_or(self.absent))
    }

    /// The same for a packet that may have no value on this axis.
    #[inline]
    pub(super) fn matching_or_absent(&self, value: Option<K>) -> &[u64] {
        value.map_or_else(|| self.bitmap(self.absent), |value| self.matching(value))
    }

    #[inline]
    fn bitmap(&self, class: u32) -> &[u64] {
        let class = class as usize;
        self.bitmaps.get(class..class + self.words).unwrap_or_default()
    }

    pub(super) fn memory_usage(&self) -> usize {
        size_of_val(self.starts.as_slice())
            + size_of_val(self.classes.as_slice())
            + size_of_val(self.bitmaps.as_slice())
    }
}

fn toggle(bits: &mut [u64], entry: u32) {
    if let Some(word) = bits.get_mut(entry as usize / 64) {
        *word ^= 1 << (entry % 64);
    }
}

/// The same values in intervals that neither overlap nor touch.
fn disjoint<K: Coordinate>(mut intervals: Vec<(K, K)>) -> Vec<(K, K)> {
    intervals.sort_unstable();
    let mut merged: Vec<(K, K)> = Vec::with_capacity(intervals.len());
    for (first, last) in intervals {
        match merged.last_mut() {
            Some((_, end)) if end.next().is_none_or(|next| first <= next) => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    merged
}
