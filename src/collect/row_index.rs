//! Where the rows of connections are.

use std::collections::HashMap;

use foldhash::fast::FixedState;

/// Connections are numbered in order of opening, so that those whose rows are kept mostly have numbers near each other:
/// their rows are found by position. The few others are in a map.
#[derive(Debug, Default)]
pub(super) struct RowIndex {
    /// The first row of each connection from `first` on.
    window: Vec<Place>,
    first: u64,
    /// Further rows of a connection, and those of connections outside the window.
    others: HashMap<Key, u32, FixedState>,
    len: usize,
}

/// A connection's number, its interface there, and whether the interface's end began it.
type Key = (u64, u16, bool);

/// A row, and which of its connection it is.
#[derive(Clone, Copy, Debug)]
struct Place {
    row: u32,
    interface: u16,
    local_began: bool,
}

impl Place {
    const NONE: Self = Self { row: u32::MAX, interface: 0, local_began: false };

    #[inline]
    fn is_none(self) -> bool {
        self.row == Self::NONE.row
    }
}

/// The number of an interface.
#[inline]
fn small(interface: usize) -> u16 {
    // INVARIANT: a rule set has at most 65,535 interfaces.
    u16::try_from(interface).unwrap_or(u16::MAX)
}

impl RowIndex {
    /// How many rows it has.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The positions that the window may have: a bounded number for each row.
    fn most_positions(&self) -> usize {
        4 * self.len + 1024
    }

    #[inline]
    fn position(&self, connection: u64) -> Option<usize> {
        usize::try_from(connection.checked_sub(self.first)?).ok()
    }

    #[inline]
    pub(super) fn get(&self, connection: u64, interface: usize, local_began: bool) -> Option<u32> {
        let interface = small(interface);
        let place = self.position(connection).and_then(|at| self.window.get(at));
        match place {
            Some(place)
                if !place.is_none()
                    && (place.interface, place.local_began) == (interface, local_began) =>
            {
                Some(place.row)
            }
            _ => self.others.get(&(connection, interface, local_began)).copied(),
        }
    }

    /// Adds a row that it does not have.
    pub(super) fn insert(
        &mut self,
        connection: u64,
        interface: usize,
        local_began: bool,
        row: u32,
    ) {
        if self.window.is_empty() {
            self.first = connection;
        }
        self.len += 1;
        let interface = small(interface);
        if let Some(at) = self.position(connection).filter(|at| *at < self.most_positions()) {
            if at >= self.window.len() {
                self.window.resize(at + 1, Place::NONE);
            }
            if let Some(place) = self.window.get_mut(at).filter(|place| place.is_none()) {
                *place = Place { row, interface, local_began };
                return;
            }
        }
        self.others.insert((connection, interface, local_began), row);
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.window.clear();
        self.others.clear();
        self.len = 0;
    }

    /// Moves rows to other places, and forgets those that have none.
    pub(super) fn renumber(&mut self, place: impl Fn(u32) -> Option<u32>) {
        let mut kept = 0;
        let mut moved = |row: &mut u32| {
            let to = place(*row);
            *row = to.unwrap_or(Place::NONE.row);
            kept += usize::from(to.is_some());
            to.is_some()
        };
        for place in self.window.iter_mut().filter(|place| !place.is_none()) {
            moved(&mut place.row);
        }
        self.others.retain(|_, row| moved(row));
        self.len = kept;
        // Old connections that are kept must not keep the place of all that came after them.
        let before = self.window.iter().position(|place| !place.is_none());
        let before = before.unwrap_or(self.window.len());
        let too_many = self.window.len().saturating_sub(self.most_positions());
        for (connection, place) in (self.first..).zip(self.window.drain(..before.max(too_many))) {
            self.first = connection + 1;
            if !place.is_none() {
                let Place { row, interface, local_began } = place;
                self.others.insert((connection, interface, local_began), row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::collections::btree_map::Entry;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A map says the same, whatever is opened, in whatever order, and kept.
        #[test]
        fn rows_are_where_a_map_has_them(
            steps in prop::collection::vec((0..6_000_u64, 0..3_usize, any::<bool>(), 0..40_u32), 1..400),
        ) {
            let (mut index, mut map) = (RowIndex::default(), BTreeMap::new());
            let mut rows = 0;
            for (connection, interface, local_began, then) in steps {
                let key = (connection, interface, local_began);
                prop_assert_eq!(index.get(connection, interface, local_began), map.get(&key).copied());
                if let Entry::Vacant(free) = map.entry(key) {
                    index.insert(connection, interface, local_began, rows);
                    free.insert(rows);
                    rows += 1;
                }
                if then == 0 {
                    let place = |row: u32| row.is_multiple_of(7).then_some(row / 7);
                    index.renumber(place);
                    map = map.into_iter().filter_map(|(key, row)| Some((key, place(row)?))).collect();
                    rows = rows.div_ceil(7);
                }
                prop_assert_eq!(index.len(), map.len());
                prop_assert!(index.window.len() <= index.most_positions());
            }
            for ((connection, interface, local_began), row) in map {
                prop_assert_eq!(index.get(connection, interface, local_began), Some(row));
            }
        }
    }
}
