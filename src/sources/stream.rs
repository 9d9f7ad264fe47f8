//! A capture being read among others.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use super::PATIENCE;
use super::ended::{CaptureInput, ClockAhead, ClockBackwards};
use super::options::Order;
use super::source::Source;
use crate::capture::{CaptureError, Chunks, FlowLogOptions, Frame};
use crate::decode::{Decoded, Tunnels};
use crate::read_ahead::{Ahead, DecodedBatch, Next};

/// Frames that are earlier than the one before by no more than this, in ns, are none to speak of: queues of a
/// network card are not read in order.
const REORDERING: u64 = 10_000_000;

/// A frame that is later than the one before by more than this, in ns, is worth a word.
const JUMP: u64 = 7 * 24 * 3600 * 1_000_000_000;

/// A capture being read.
pub(super) struct Stream {
    ahead: Ahead,
    interface: Option<String>,
    is_pipe: bool,
    /// Frames that have come.
    batch: Option<DecodedBatch>,
    head: Head,
    ended: bool,
    damage: Option<CaptureError>,
}

/// How far a capture was handed over.
pub(super) struct Head {
    position: usize,
    /// Frames of the batch that were handed over.
    taken: usize,
    /// The time of the next frame; that of the one before, where it has none.
    time: u64,
    /// The time of the last frame that was handed over.
    clock: u64,
    input: CaptureInput,
}

/// A capture that was read.
pub(super) struct Finished {
    pub(super) position: usize,
    pub(super) input: CaptureInput,
    /// The damage that ended it.
    pub(super) damage: Option<CaptureError>,
}

/// A time and, between equals, a place among the captures.
pub(super) type Turn = (u64, usize);

/// What all open captures read at once, as far as they are told: each is told when it is opened.
const READ_AT_ONCE: usize = 2 << 20;
/// So many captures are read on threads of their own at once.
const MOST_APART: usize = 4;

impl Stream {
    /// Starts to read a capture, which makes so many that are open.
    pub(super) fn start(
        source: Source,
        tunnels: &Tunnels,
        threads: NonZeroUsize,
        flow_logs: &FlowLogOptions,
        open: usize,
    ) -> Result<Self, CaptureError> {
        let input = CaptureInput { path: source.name(), ..CaptureInput::default() };
        Ok(Self {
            is_pipe: source.is_pipe,
            head: Head {
                position: source.position,
                taken: 0,
                time: source.first_time,
                clock: 0,
                input,
            },
            ahead: if let Some(ahead) = source.started {
                ahead
            } else {
                let capture = source.open(flow_logs, Chunks::of_at_most(READ_AT_ONCE / open))?;
                let threads = if open > MOST_APART { NonZeroUsize::MIN } else { threads };
                Ahead::new(capture, tunnels.clone(), threads)
            },
            interface: source.interface,
            batch: None,
            ended: false,
            damage: None,
        })
    }

    pub(super) fn is_pipe(&self) -> bool {
        self.is_pipe
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// When its next frame is read among those of other captures.
    pub(super) fn turn(&self) -> Turn {
        self.head.turn()
    }

    /// Bytes of it that were read.
    pub(super) fn size(&self) -> u64 {
        self.head.input.size
    }

    /// Waits no longer for first fragments.
    pub(super) fn flush_fragments(&mut self) {
        self.ahead.flush_fragments();
    }

    /// Makes sure that there are frames, or none to come. Returns `false` while it is not known.
    pub(super) fn fill(&mut self) -> bool {
        if self.ended || self.batch.is_some() {
            return true;
        }
        match self.ahead.next_batch(PATIENCE) {
            Next::NotYet => return false,
            Next::Batch(batch) => {
                let first = batch.frames_from(0).next();
                self.head.time =
                    first.and_then(|(frame, _)| frame.time_ns).unwrap_or(self.head.time);
                self.head.taken = 0;
                self.batch = Some(batch);
            }
            Next::Damage(error) => {
                self.head.input.error = Some(error.to_string());
                self.damage = Some(error);
                self.ended = true;
            }
            Next::End => self.ended = true,
        }
        true
    }

    /// The frames that have come; `None` where there are none.
    pub(super) fn lane(&mut self) -> Option<Lane<'_>> {
        let Self { head, interface, batch, .. } = self;
        Some(Lane { head, interface: interface.as_ref(), batch: batch.as_ref()? })
    }

    /// Notes how far its frames were handed over.
    pub(super) fn settle(&mut self) {
        let Some(batch) = self.batch.take_if(|_| self.head.taken > 0) else { return };
        self.head.input.size = batch.offset();
        let next = batch.frames_from(self.head.taken).next();
        match next.map(|(frame, _)| frame.time_ns) {
            None => self.ahead.recycle(batch),
            Some(time) => {
                self.head.time = time.unwrap_or(self.head.time);
                self.batch = Some(batch);
            }
        }
    }

    /// Closes it.
    pub(super) fn finish(mut self) -> Finished {
        self.head.input.counts = self.ahead.counts();
        self.head.input.flow_log = self.ahead.flow_log();
        let Head { position, input, .. } = self.head;
        Finished { position, input, damage: self.damage }
    }
}

impl Head {
    fn turn(&self) -> Turn {
        (self.time, self.position)
    }

    /// Whether a frame's turn comes before another's.
    #[inline]
    fn is_before(&mut self, frame: &Frame<'_>, until: Option<Turn>) -> bool {
        self.time = frame.time_ns.unwrap_or(self.time);
        until.is_none_or(|until| self.turn() < until)
    }

    /// Counts a frame that is handed over.
    #[inline]
    fn note(&mut self, frame: &Frame<'_>) {
        self.taken += 1;
        self.input.frames += 1;
        if let Some(time) = frame.time_ns {
            // A step back is a large one too.
            if time.wrapping_sub(self.clock) > JUMP {
                self.note_jump(time);
            }
            self.clock = time;
        }
    }

    #[cold]
    fn note_jump(&mut self, time: u64) {
        let frame = self.input.frames;
        if time < self.clock {
            let step = self.clock - time;
            if step > REORDERING {
                let new = ClockBackwards { frame, ..ClockBackwards::default() };
                let known = self.input.clock_backwards.get_or_insert(new);
                known.times += 1;
                known.most_ns = known.most_ns.max(step);
            }
        } else if self.clock > 0 {
            let new = ClockAhead { frame, ..ClockAhead::default() };
            let known = self.input.clock_ahead.get_or_insert(new);
            known.times += 1;
            known.most_ns = known.most_ns.max(time - self.clock);
        }
    }
}

/// The frames of a capture that have come.
pub(super) struct Lane<'s> {
    head: &'s mut Head,
    interface: Option<&'s String>,
    batch: &'s DecodedBatch,
}

impl<'s> Lane<'s> {
    /// When its next frame is read among those of others.
    pub(super) fn turn(&self) -> Turn {
        self.head.turn()
    }

    /// How many of its frames were not handed over.
    pub(super) fn len(&self) -> usize {
        self.batch.len() - self.head.taken
    }

    /// Hands its next frames over as far as their turn comes before another's, or until `take` breaks off.
    #[inline]
    pub(super) fn hand_over(
        &mut self,
        until: Option<Turn>,
        mut take: impl FnMut(Frame<'s>, &'s Decoded) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        for (mut frame, decoded) in self.batch.frames_from(self.head.taken) {
            if !self.head.is_before(&frame, until) {
                break;
            }
            self.head.note(&frame);
            frame.interface = self.interface.or(frame.interface);
            take(frame, decoded)?;
        }
        ControlFlow::Continue(())
    }
}

/// Whether a capture's turn may have come, so that it has to be open.
pub(super) fn is_due(source: &Source, order: Order, streams: &[Stream]) -> bool {
    match order {
        Order::Time => streams.iter().all(|stream| stream.turn() >= source.turn()),
        Order::AsNamed => streams.is_empty(),
    }
}
