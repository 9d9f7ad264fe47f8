//! Captures that overlap in time: cut into pieces, and merged span by span.
//!
//! A replay reads several captures frame by frame in the order of their times. A frame that is earlier than one before it
//! in its own capture follows that at once, so a frame's turn is the latest time of its capture up to it; between equals
//! the capture that was named first goes first. So the frames of all captures whose turns fall into a span of time can
//! be put in order without the rest, and follow those of all earlier spans.

use std::collections::BTreeMap;
use std::vec;

use super::frames::{FrameFacts, Frames};
use super::record::Extracted;
use super::scope::Scope;
use super::seen::{Seen, What};
use crate::error::Error;

/// Frames of one capture that follow each other within a span of time.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Piece {
    order: Order,
    frames: Vec<Packed>,
}

/// When a frame is read among those of all captures: its turn, its capture, and its number there.
type Order = (u64, u32, u64);

/// A frame of a piece.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
struct Packed {
    /// Since the time of the frame before that has one, or else the turn of the piece; `None` of a frame that has none.
    since: Option<i64>,
    wire_len: u32,
    point: Option<u32>,
    what: What,
}

/// What is known of the frames of one span.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct SpanFacts {
    /// Its number, in the order of time.
    pub span: u32,
    pub(super) facts: FrameFacts,
}

/// A span is 2 to the power of this long, in ns: over a minute. Runs end with it, so it must not be short; one task
/// merges it, so it must not be long.
const SPAN: u32 = 36;

/// Frames of a piece: few enough for those of many captures to be in memory at once.
const MOST_FRAMES: usize = 1 << 10;

/// Facts of more spans than this, which are two years without a gap, are not put together in one place. Clocks that
/// jump ahead all the time may show any number of them.
const MOST_SPANS: u32 = 1 << 20;

fn span_of(turn: u64) -> u32 {
    // 28 bits are left.
    u32::try_from(turn >> SPAN).unwrap_or(u32::MAX)
}

impl Piece {
    /// The number of the span that its frames are in.
    pub fn span(&self) -> u32 {
        span_of(self.order.0)
    }

    /// The order in which the pieces of a span are merged, as bytes.
    pub fn order(&self) -> [u8; 20] {
        let (turn, capture, frame) = self.order;
        let mut bytes = [0; 20];
        let all = turn.to_be_bytes().into_iter().chain(capture.to_be_bytes());
        for (byte, of) in bytes.iter_mut().zip(all.chain(frame.to_be_bytes())) {
            *byte = of;
        }
        bytes
    }
}

/// The pieces of a capture.
#[derive(Debug)]
pub(super) struct Pieces {
    capture: u32,
    /// Frames so far.
    number: u64,
    piece: Option<Piece>,
    /// The last time in the piece.
    time: u64,
    spans: u32,
}

impl Pieces {
    pub(super) fn new(capture: u32) -> Self {
        Self { capture, number: 0, piece: None, time: 0, spans: 0 }
    }

    /// Adds the next frame, and returns the piece that ends before it.
    pub(super) fn add(&mut self, turn: u64, seen: Seen) -> Result<Option<Piece>, Error> {
        self.number += 1;
        let goes_on = |piece: &Piece| piece.span() == span_of(turn);
        let is_new = !self.piece.as_ref().is_some_and(goes_on);
        let is_full = |piece: &Piece| piece.frames.len() >= MOST_FRAMES;
        let done = self.piece.take_if(|piece| is_new || is_full(piece));
        self.spans += u32::from(is_new);
        if self.spans > MOST_SPANS {
            let message = "the times of the capture are too far apart to be merged with those of others in spans of a \
                           minute; replay it on one machine";
            return Err(Error::Question(message.to_owned()));
        }
        let piece = self.piece.get_or_insert_with(|| {
            self.time = turn;
            Piece { order: (turn, self.capture, self.number), frames: Vec::new() }
        });
        let Seen { time, wire_len, point, what } = seen;
        let since = time.map(|time| {
            let before = std::mem::replace(&mut self.time, time);
            time.wrapping_sub(before).cast_signed()
        });
        piece.frames.push(Packed { since, wire_len, point, what });
        Ok(done)
    }

    /// The last piece.
    pub(super) fn finish(self) -> Option<Piece> {
        self.piece
    }
}

/// A piece that is being merged.
struct Open {
    /// Of the next frame.
    order: Order,
    next: Seen,
    /// The last time so far.
    time: u64,
    left: vec::IntoIter<Packed>,
}

impl Open {
    /// `None` where the piece has no frames.
    fn new(piece: Piece) -> Option<Self> {
        let Piece { order, frames } = piece;
        let mut left = frames.into_iter();
        let mut time = order.0;
        let next = left.next()?.seen(&mut time);
        Some(Self { order, next, time, left })
    }

    /// Goes on to the next frame; whether there is one.
    fn advance(&mut self) -> bool {
        let Some(next) = self.left.next() else { return false };
        self.next = next.seen(&mut self.time);
        self.order.0 = self.order.0.max(self.next.time.unwrap_or(0));
        self.order.2 += 1;
        true
    }
}

impl Packed {
    fn seen(self, time: &mut u64) -> Seen {
        let Self { since, wire_len, point, what } = self;
        let now = since.map(|since| time.wrapping_add_signed(since));
        *time = now.unwrap_or(*time);
        Seen { time: now, wire_len, point, what }
    }
}

impl Scope {
    /// Merges the pieces of all captures that are in one span, as they come in [order](Piece::order), and hands over
    /// the parts of the extract, in no particular order. Pieces are in memory while their frames are merged.
    ///
    /// # Errors
    /// When the pieces are of several spans, or not in order, or hold what an extract cannot; and the first error of
    /// `pieces` and of `each`.
    pub fn merge<E: From<Error>>(
        &self,
        span: u32,
        pieces: impl IntoIterator<Item = Result<Piece, E>>,
        mut each: impl FnMut(Extracted) -> Result<(), E>,
    ) -> Result<SpanFacts, E> {
        let mut frames = Frames::new(self, span);
        let mut pieces = pieces.into_iter();
        let mut waiting = pieces.next().transpose()?;
        let mut open: BTreeMap<Order, Open> = BTreeMap::new();
        loop {
            let first = open.first_key_value().map(|(order, _)| *order);
            if let Some(piece) = waiting.take_if(|of| first.is_none_or(|first| of.order < first)) {
                waiting = pieces.next().transpose()?;
                let is_behind = |next: &Piece| next.order > piece.order;
                if piece.span() != span || !waiting.as_ref().is_none_or(is_behind) {
                    let message =
                        "pieces of captures are merged span by span, each once, in their order";
                    return Err(Error::Question(message.to_owned()).into());
                }
                open.extend(Open::new(piece).map(|of| (of.order, of)));
                continue;
            }
            let Some((_, mut piece)) = open.pop_first() else { break };
            let other = open.first_key_value().map(|(order, _)| *order);
            let until = other.into_iter().chain(waiting.as_ref().map(|of| of.order)).min();
            let mut more = true;
            while more && until.is_none_or(|until| piece.order < until) {
                frames.add(&piece.next)?;
                more = piece.advance();
            }
            if more {
                open.insert(piece.order, piece);
            }
            frames.take_parts().try_for_each(&mut each)?;
        }
        frames.close_all();
        frames.take_parts().try_for_each(&mut each)?;
        Ok(SpanFacts { span, facts: frames.into_facts() })
    }
}
