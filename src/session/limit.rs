//! How many sessions an interface holds, where that is limited (SEMANTICS A6).
//!
//! A session is held from its opening until it expires. Expiries are watched in a heap: each session has an entry
//! with the time at which it may expire, and is asked again when that time has come. So the cost does not grow
//! with the sessions that the table remembers.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::slot::SessionSlot;
use crate::flow::FlowTuple;

/// The sessions held at each interface.
#[derive(Debug)]
pub(super) struct Limit {
    most: usize,
    held: Vec<usize>,
    watched: BinaryHeap<Reverse<Watched>>,
}

/// A session that may expire.
#[derive(Clone, Copy, Debug)]
struct Watched {
    expires: u64,
    connection: u64,
    place: SessionSlot,
    flow: FlowTuple,
}

/// Whether a session is still held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// It may expire at this time.
    Until(u64),
    /// It has just expired.
    Released,
    /// It was released before, or another has taken its place.
    Gone,
}

impl Limit {
    pub(super) fn new(most: usize, interfaces: usize) -> Self {
        Self { most, held: vec![0; interfaces], watched: BinaryHeap::new() }
    }

    pub(super) fn is_full(&self, interface: usize) -> bool {
        self.held.get(interface).is_some_and(|held| *held >= self.most)
    }

    pub(super) fn hold(&mut self, interface: usize) {
        if let Some(held) = self.held.get_mut(interface) {
            *held += 1;
        }
    }

    pub(super) fn give_back(&mut self, interface: usize) {
        if let Some(held) = self.held.get_mut(interface) {
            *held = held.saturating_sub(1);
        }
    }

    /// Has a session asked when it may have expired.
    pub(super) fn watch(
        &mut self,
        expires: u64,
        connection: u64,
        place: &SessionSlot,
        flow: &FlowTuple,
    ) {
        let (place, flow) = (*place, *flow);
        self.watched.push(Reverse(Watched { expires, connection, place, flow }));
    }

    /// Releases the sessions that have expired.
    pub(super) fn release(
        &mut self,
        now: u64,
        mut ask: impl FnMut(&SessionSlot, &FlowTuple, u64) -> Held,
    ) {
        while let Some(Reverse(first)) = self.watched.peek().copied()
            && first.expires <= now
        {
            self.watched.pop();
            match ask(&first.place, &first.flow, first.connection) {
                Held::Until(expires) => self.watched.push(Reverse(Watched { expires, ..first })),
                Held::Released => self.give_back(first.place.interface()),
                Held::Gone => {}
            }
        }
    }

    /// Counts the held sessions anew, by their interfaces.
    pub(super) fn recount(&mut self, held: impl Iterator<Item = usize>) {
        self.held.fill(0);
        held.for_each(|interface| self.hold(interface));
    }
}

impl Ord for Watched {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.expires, self.connection).cmp(&(other.expires, other.connection))
    }
}

impl PartialOrd for Watched {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Watched {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Watched {}
