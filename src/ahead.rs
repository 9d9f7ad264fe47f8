//! Reading and decoding on a thread of their own, ahead of whoever judges.
//!
//! The frames and their order are those of [`Capture::next_frame`]; only the work is spread over two
//! cores. A few batches at most are under way, so memory stays bounded however slow the reader.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::capture::{Batch, Capture, CaptureError, Frame};
use crate::decode::{Decoded, Tunnels, decode, decode_inside};

/// Batches that may wait to be judged.
const AHEAD: usize = 2;

/// Frames with their decoded packets.
#[derive(Debug, Default)]
pub struct DecodedBatch {
    batch: Batch,
    decoded: Vec<Decoded>,
    offset: u64,
}

impl DecodedBatch {
    /// The frames, in the order of the capture.
    #[inline]
    pub fn frames(&self) -> impl Iterator<Item = (Frame<'_>, &Decoded)> {
        self.batch.frames().zip(&self.decoded)
    }

    /// How many frames there are; at least one.
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.decoded.len()
    }

    /// Bytes of the source up to the end of the batch.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    fn fill(&mut self, capture: &mut Capture, tunnels: &Tunnels) -> Result<bool, CaptureError> {
        let more = capture.next_batch(&mut self.batch)?;
        self.decoded.clear();
        let frames = self.batch.frames();
        if tunnels.is_empty() {
            self.decoded.extend(frames.map(|frame| decode(frame.link, frame.data)));
        } else {
            let inside = |frame: Frame<'_>| decode_inside(frame.link, frame.data, tunnels);
            self.decoded.extend(frames.map(inside));
        }
        self.offset = capture.offset();
        Ok(more)
    }
}

/// What [`Ahead::next_batch`] has.
#[derive(Debug)]
pub enum Next {
    /// Frames.
    Batch(DecodedBatch),
    /// Nothing yet.
    NotYet,
    /// The damage that ended the capture, after every frame before it.
    Damage(CaptureError),
    /// The capture has ended.
    End,
}

/// A capture being read and decoded.
#[derive(Debug)]
pub struct Ahead {
    ready: Receiver<Result<DecodedBatch, CaptureError>>,
    used: SyncSender<DecodedBatch>,
    /// What was only looked at, and comes again.
    back: VecDeque<Next>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    /// Starts the thread. It ends with the capture, or soon after this is dropped; nobody waits for
    /// it, since it may be blocked on a pipe that says nothing.
    pub fn new(mut capture: Capture, tunnels: Tunnels) -> Self {
        let (to_judge, ready) = sync_channel(AHEAD);
        let (used, to_fill) = sync_channel::<DecodedBatch>(AHEAD + 1);
        let thread = thread::spawn(move || {
            loop {
                let mut batch = to_fill.try_recv().unwrap_or_default();
                let filled = match batch.fill(&mut capture, &tunnels) {
                    Ok(true) => Ok(batch),
                    Ok(false) => break,
                    Err(damage) => Err(damage),
                };
                let last = filled.is_err();
                if to_judge.send(filled).is_err() || last {
                    break;
                }
            }
        });
        Self { ready, used, back: VecDeque::new(), thread: Some(thread) }
    }

    /// The next frames. Waits for them no longer than `patience`, so that whoever asks can look at
    /// other things while a pipe says nothing.
    pub fn next_batch(&mut self, patience: Duration) -> Next {
        if let Some(next) = self.back.pop_front() {
            return next;
        }
        match self.ready.recv_timeout(patience) {
            Ok(Ok(batch)) => Next::Batch(batch),
            Ok(Err(damage)) => Next::Damage(damage),
            Err(RecvTimeoutError::Timeout) => Next::NotYet,
            Err(RecvTimeoutError::Disconnected) => {
                // A thread that has panicked must not look like the end of the capture.
                if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
                    std::panic::resume_unwind(panic);
                }
                Next::End
            }
        }
    }

    /// Gives back what was only looked at, in the order in which it came.
    pub fn put_back(&mut self, seen: Vec<Next>) {
        self.back.extend(seen);
    }

    /// Gives a batch back, so that its memory is used again.
    pub fn recycle(&mut self, batch: DecodedBatch) {
        // A full channel or a thread that has ended has no use for it.
        let _ = self.used.try_send(batch);
    }
}
