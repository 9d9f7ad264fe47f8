//! Frames of several captures in the order of their times.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;

use super::stream::{Lane, Stream, Turn};
use crate::capture::Frame;
use crate::decode::Decoded;

/// The frames that have come of captures that are open.
pub(super) struct Merge<'s> {
    lanes: Vec<Lane<'s>>,
    /// When each lane has its turn; the earliest is on top.
    turns: BinaryHeap<Reverse<(Turn, usize)>>,
    /// When a capture has its turn that waits to be opened.
    waiting: Option<Turn>,
}

impl<'s> Merge<'s> {
    pub(super) fn new(streams: &'s mut [Stream], waiting: Option<Turn>) -> Self {
        let lanes: Vec<Lane<'s>> = streams.iter_mut().filter_map(Stream::lane).collect();
        let turns = lanes.iter().enumerate().map(|(n, lane)| Reverse((lane.turn(), n)));
        Self { turns: turns.collect(), lanes, waiting }
    }

    /// How many frames there are, where all of them are handed over.
    pub(super) fn room(&self) -> usize {
        match (self.lanes.as_slice(), self.waiting) {
            ([only], None) => only.len(),
            _ => 0,
        }
    }

    /// Hands frames over in their order until a capture has no more at hand, one that waits has its turn, or `take`
    /// breaks off.
    pub(super) fn hand_over(
        mut self,
        mut take: impl FnMut(Frame<'s>, &'s Decoded) -> ControlFlow<()>,
    ) {
        while let Some(Reverse((turn, n))) = self.turns.pop()
            && self.waiting.is_none_or(|waiting| turn < waiting)
            && let Some(lane) = self.lanes.get_mut(n)
        {
            let other = self.turns.peek().map(|Reverse((turn, _))| *turn);
            let until = [other, self.waiting].into_iter().flatten().min();
            if lane.hand_over(until, &mut take).is_break() || lane.len() == 0 {
                break;
            }
            self.turns.push(Reverse((lane.turn(), n)));
        }
    }
}
