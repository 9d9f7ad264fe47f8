//! Reading and decoding, on threads of their own ahead of whoever judges, where there may be several.
//!
//! The frames and their order are those of [`Capture::next_frame`]; only the work is spread over the
//! cores. A few batches at most are under way, so memory stays bounded however slow the reader. Batches
//! with fragments are held back until their first fragments have come, within the bounds of
//! [`LookAhead`].

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::capture::{
    Batch, Capture, CaptureCounts, CaptureError, FlowLog, FlowLogCounts, Frame, SharedCounts,
};
use crate::decode::{Decoded, Tunnels, decode, decode_inside};
use crate::flow::{FirstFragment, Fragment};
use crate::fragment::LookAhead;

/// Batches that are being read, decoded, or wait to be judged, where that is done beside judging. With three,
/// either side waited for the other now and then: 5 to 10 percent of the time of a large capture.
const AHEAD: usize = 6;

/// Frames with their decoded packets.
#[derive(Debug, Default)]
pub struct DecodedBatch {
    batch: Batch,
    decoded: Vec<Decoded>,
    offset: u64,
    /// What it was decoded for; `None` where it was not decoded yet.
    decoded_for: Option<Turn>,
    /// Whether there are fragments among the packets.
    fragments: bool,
}

impl DecodedBatch {
    /// The frames from a position in the batch on, in the order of the capture.
    #[inline]
    pub fn frames_from(&self, position: usize) -> impl Iterator<Item = (Frame<'_>, &Decoded)> {
        self.batch.frames_from(position).zip(self.decoded.get(position..).unwrap_or_default())
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

    fn fill(&mut self, capture: &mut Capture) -> Result<bool, CaptureError> {
        let more = capture.next_batch(&mut self.batch)?;
        self.offset = capture.offset();
        self.decoded_for = None;
        Ok(more)
    }

    /// Decodes the packets, if that was not done yet for these tunnels.
    fn decode(&mut self, shared: &SharedTunnels) {
        let inside = shared.0.read().unwrap_or_else(PoisonError::into_inner);
        let (turn, tunnels) = &*inside;
        if self.decoded_for.replace(*turn) == Some(*turn) {
            return;
        }
        self.decoded.clear();
        self.decoded.reserve_exact(self.batch.len());
        let frames = self.batch.frames();
        if tunnels.is_empty() {
            self.decoded.extend(frames.map(|frame| decode(frame.link, frame.data)));
        } else {
            let inside = |frame: Frame<'_>| decode_inside(frame.link, frame.data, tunnels);
            self.decoded.extend(frames.map(inside));
        }
        let is_fragment = |decoded: &Decoded| matches!(decoded, Decoded::Packet(packet) if packet.fragment != Fragment::No);
        self.fragments = self.decoded.iter().any(is_fragment);
    }

    /// The number of the last frame.
    fn last(&self) -> u64 {
        self.batch.first() + self.decoded.len() as u64 - 1
    }

    /// Tells a later fragment what its first one holds.
    fn complete(&mut self, frame: u64, found: FirstFragment) {
        let position = frame.checked_sub(self.batch.first()).and_then(|n| usize::try_from(n).ok());
        if let Some(Decoded::Packet(packet)) = position.and_then(|n| self.decoded.get_mut(n))
            && let Fragment::Later { first, .. } = &mut packet.fragment
        {
            *first = Some(found);
        }
    }
}

/// How often the tunnels were chosen anew.
type Turn = u32;

/// The tunnels to look into, for every thread that decodes.
#[derive(Clone, Debug)]
struct SharedTunnels(Arc<RwLock<(Turn, Tunnels)>>);

impl SharedTunnels {
    fn new(tunnels: Tunnels) -> Self {
        Self(Arc::new(RwLock::new((0, tunnels))))
    }

    fn replace(&self, tunnels: Tunnels) {
        let mut inside = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *inside = (inside.0 + 1, tunnels);
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
    reading: Reading,
    tunnels: SharedTunnels,
    /// Used batches, whose memory is used again.
    spare: Vec<DecodedBatch>,
    /// What was only looked at, and comes again.
    back: VecDeque<Next>,
    /// Batches in which fragments wait for their first, and what came after them.
    held: VecDeque<Next>,
    fragments: LookAhead,
    /// Bytes of the frames that have come, and the time of the last.
    position: u64,
    now: u64,
    counts: SharedCounts,
    flow_log: FlowLog,
}

/// Who reads.
#[derive(Debug)]
enum Reading {
    /// Whoever asks; `None` behind the end.
    Here(Option<Box<Capture>>),
    /// Threads.
    Apart(Threads),
}

/// Threads that read, and if they have nothing better to do decode.
#[derive(Debug)]
struct Threads {
    ready: Receiver<Filled>,
    /// How many batches wait there.
    waiting: Arc<AtomicUsize>,
    to_fill: Sender<DecodedBatch>,
    /// How many batches are to be under way, and how many are.
    wanted: usize,
    under_way: usize,
    running: Vec<JoinHandle<()>>,
}

type Filled = Result<DecodedBatch, CaptureError>;

/// Reads a capture to its end, into the batches that come.
fn read(
    mut capture: Capture,
    empty: Receiver<DecodedBatch>,
    to: &SyncSender<Filled>,
    then: impl Fn(&mut DecodedBatch),
) {
    for mut batch in empty {
        let filled = match batch.fill(&mut capture) {
            Ok(true) => Ok(batch),
            Ok(false) => break,
            Err(damage) => Err(damage),
        };
        let last = filled.is_err();
        let filled = filled.map(|mut batch| {
            then(&mut batch);
            batch
        });
        if to.send(filled).is_err() || last {
            break;
        }
    }
}

impl Threads {
    fn start(capture: Capture, tunnels: &SharedTunnels, threads: NonZeroUsize) -> Self {
        let (to_fill, empty) = channel::<DecodedBatch>();
        let (decoded, ready) = sync_channel(AHEAD);
        let waiting = Arc::new(AtomicUsize::new(0));
        let (are_waiting, of_threads) = (Arc::clone(&waiting), tunnels.clone());
        let running = if threads.get() < 3 {
            // Whoever has less to do decodes: where nothing waits to be judged, reading is what takes longer.
            let decode = move |batch: &mut DecodedBatch| {
                if are_waiting.fetch_add(1, Ordering::Relaxed) > 0 {
                    batch.decode(&of_threads);
                }
            };
            vec![thread::spawn(move || read(capture, empty, &decoded, decode))]
        } else {
            let (undecoded, filled) = sync_channel::<Filled>(AHEAD);
            let decode = move || {
                for mut filled in filled {
                    if let Ok(batch) = &mut filled {
                        batch.decode(&of_threads);
                        are_waiting.fetch_add(1, Ordering::Relaxed);
                    }
                    if decoded.send(filled).is_err() {
                        break;
                    }
                }
            };
            let read = move || read(capture, empty, &undecoded, |_| ());
            vec![thread::spawn(read), thread::spawn(decode)]
        };
        let wanted = if threads.get() == 1 { 1 } else { AHEAD };
        Self { ready, waiting, to_fill, wanted, under_way: 0, running }
    }

    /// What comes next; a batch may have to be decoded yet.
    fn receive(&mut self, spare: &mut Vec<DecodedBatch>, patience: Duration) -> Next {
        while self.under_way < self.wanted {
            self.under_way += 1;
            // Nobody takes it where the capture has ended.
            _ = self.to_fill.send(spare.pop().unwrap_or_default());
        }
        let received = self.ready.recv_timeout(patience);
        self.under_way -= usize::from(received.is_ok());
        match received {
            Ok(Ok(batch)) => {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                Next::Batch(batch)
            }
            Ok(Err(damage)) => Next::Damage(damage),
            Err(RecvTimeoutError::Timeout) => Next::NotYet,
            Err(RecvTimeoutError::Disconnected) => {
                // A thread that has panicked must not look like the end of the capture.
                for thread in self.running.drain(..) {
                    if let Err(panic) = thread.join() {
                        std::panic::resume_unwind(panic);
                    }
                }
                Next::End
            }
        }
    }
}

/// What a frame adds to a position, beside its bytes: so that empty frames count too.
const RECORD: u64 = 16;

impl Ahead {
    /// Starts to read. The work is done by so many threads, whoever asks among them: one does all, two
    /// read beside whoever asks, and who has less to do decodes, three decode apart from both. The frames
    /// are the same. What may have to be waited for ([`Capture::may_wait`]) is read apart even from one, in turns. Without
    /// the feature `threads`, the caller does all.
    ///
    /// The threads end with the capture, or soon after this is dropped; nobody waits for them, since one
    /// may be blocked on a pipe that says nothing.
    pub fn new(capture: Capture, tunnels: Tunnels, threads: NonZeroUsize) -> Self {
        let (counts, flow_log) = (capture.counts(), capture.flow_log());
        let tunnels = SharedTunnels::new(tunnels);
        let reading = if cfg!(feature = "threads") && (threads.get() > 1 || capture.may_wait()) {
            if threads.get() > 1 {
                capture.inflate_beside();
            }
            Reading::Apart(Threads::start(capture, &tunnels, threads))
        } else {
            Reading::Here(Some(Box::new(capture)))
        };
        Self {
            reading,
            tunnels,
            spare: Vec::new(),
            back: VecDeque::new(),
            held: VecDeque::new(),
            fragments: LookAhead::default(),
            position: 0,
            now: 0,
            counts,
            flow_log,
        }
    }

    /// The next frames. Waits for them no longer than `patience`, so that whoever asks can look at
    /// other things while a pipe says nothing.
    pub fn next_batch(&mut self, patience: Duration) -> Next {
        if let Some(next) = self.back.pop_front() {
            return next;
        }
        loop {
            if let Some(next) = self.settled() {
                return next;
            }
            let next = self.receive(patience);
            match next {
                Next::NotYet => return next,
                Next::Batch(batch) => self.hold(batch),
                Next::Damage(_) | Next::End => {
                    self.flush_fragments();
                    self.held.push_back(next);
                }
            }
        }
    }

    /// Statistics of the capture beside its packets, as far as it was read.
    pub fn counts(&self) -> CaptureCounts {
        self.counts.get()
    }

    /// What a flow log holds, as far as was read; `None` of a capture.
    pub fn flow_log(&self) -> Option<FlowLogCounts> {
        self.flow_log.counts()
    }

    /// Waits no longer for first fragments: what was read comes out now.
    pub fn flush_fragments(&mut self) {
        self.fragments.give_up();
    }

    fn receive(&mut self, patience: Duration) -> Next {
        let mut next = match &mut self.reading {
            Reading::Here(capture) => {
                let Some(reader) = capture else { return Next::End };
                let mut batch = self.spare.pop().unwrap_or_default();
                let next = match batch.fill(reader) {
                    Ok(true) => Next::Batch(batch),
                    Ok(false) => Next::End,
                    Err(damage) => Next::Damage(damage),
                };
                if !matches!(next, Next::Batch(_)) {
                    *capture = None;
                }
                next
            }
            Reading::Apart(threads) => threads.receive(&mut self.spare, patience),
        };
        if let Next::Batch(batch) = &mut next {
            batch.decode(&self.tunnels);
        }
        next
    }

    /// The oldest of what is held, if nothing in it waits.
    fn settled(&mut self) -> Option<Next> {
        let waiting = self.fragments.first_waiting(self.position);
        if let (Next::Batch(batch), Some(waiting)) = (self.held.front()?, waiting)
            && waiting <= batch.last()
        {
            return None;
        }
        self.held.pop_front()
    }

    /// Looks at the fragments of a batch, which may complete those of the batches before it.
    fn hold(&mut self, mut batch: DecodedBatch) {
        if batch.fragments || !self.held.is_empty() {
            self.complete_fragments(&mut batch);
        }
        self.held.push_back(Next::Batch(batch));
    }

    fn complete_fragments(&mut self, batch: &mut DecodedBatch) {
        let mut found = Vec::new();
        for (frame, decoded) in batch.batch.frames().zip(&mut batch.decoded) {
            self.position += frame.data.len() as u64 + RECORD;
            self.now = frame.time_ns.unwrap_or(self.now);
            if let Decoded::Packet(packet) = decoded {
                found.extend(self.fragments.add(frame.number, self.position, self.now, packet));
            }
        }
        for (first, frames) in found {
            for frame in frames {
                let before = |held: &Next| matches!(held, Next::Batch(held) if held.last() < frame);
                let position = self.held.partition_point(before);
                match self.held.get_mut(position) {
                    Some(Next::Batch(held)) => held.complete(frame, first),
                    _ => batch.complete(frame, first),
                }
            }
        }
    }

    /// Looks into other tunnels from now on, also in frames that were only looked at and were given back.
    pub fn look_into(&mut self, tunnels: Tunnels) {
        self.tunnels.replace(tunnels);
        let seen: Vec<Next> = self.back.drain(..).chain(self.held.drain(..)).collect();
        self.fragments = LookAhead::default();
        (self.position, self.now) = (0, 0);
        for next in seen {
            match next {
                Next::Batch(mut batch) => {
                    batch.decode(&self.tunnels);
                    self.hold(batch);
                }
                other => {
                    self.flush_fragments();
                    self.held.push_back(other);
                }
            }
        }
    }

    /// Gives back what was only looked at, in the order in which it came.
    pub fn put_back(&mut self, seen: Vec<Next>) {
        self.back.extend(seen);
    }

    /// Gives a batch back, so that its memory is used again.
    pub fn recycle(&mut self, batch: DecodedBatch) {
        // A survey has more of them than are ever under way.
        if self.spare.len() < AHEAD {
            self.spare.push(batch);
        }
    }
}
