//! A source that is read on a thread of its own.
//!
//! Inflating takes longer than all that follows, and reading what is to be inflated is part of it: both are done
//! beside the thread that finds records, so that nothing else waits for the slowest stage.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread;

/// Bytes that are handed over at once, and how many such chunks there are.
const CHUNK: usize = 256 * 1024;
const CHUNKS: usize = 4;

/// Whether sources are read on threads of their own; a clone follows the original. Until that is said they are
/// read where their bytes are asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Switch(Arc<AtomicBool>);

impl Switch {
    pub(super) fn turn_on(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// A source that moves to its thread once that is said.
    pub(super) fn beside(&self, source: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
        Box::new(Source { switch: self.clone(), at: At::Here(source) })
    }
}

struct Source {
    switch: Switch,
    at: At,
}

enum At {
    Here(Box<dyn Read + Send>),
    Beside(Chunks),
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if let At::Here(source) = &mut self.at
            && self.switch.0.load(Ordering::Relaxed)
        {
            let source = std::mem::replace(source, Box::new(io::empty()));
            self.at = At::Beside(Chunks::start(source));
        }
        match &mut self.at {
            At::Here(source) => source.read(into),
            At::Beside(chunks) => chunks.read(into),
        }
    }
}

/// What the thread has read.
struct Chunks {
    full: Receiver<io::Result<Chunk>>,
    empty: Sender<Chunk>,
    chunk: Chunk,
    /// How much of the chunk was taken.
    taken: usize,
    /// The last chunk has come.
    ended: bool,
}

#[derive(Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// How much of it is filled.
    len: usize,
}

impl Chunks {
    fn start(mut source: Box<dyn Read + Send>) -> Self {
        let (to_reader, full) = sync_channel(CHUNKS);
        let (empty, to_fill) = channel::<Chunk>();
        for _ in 0..CHUNKS {
            // The other end is there.
            _ = empty.send(Chunk::default());
        }
        // It ends with its source, or when nobody takes its chunks.
        thread::spawn(move || {
            for mut chunk in to_fill {
                let filled = chunk.fill(source.as_mut());
                // An empty chunk is the end.
                let is_last = chunk.len == 0 || filled.is_err();
                let sent = match filled {
                    Err(_) if chunk.len == 0 => Ok(()),
                    _ => to_reader.send(Ok(chunk)),
                };
                let told = filled.map_or_else(|error| to_reader.send(Err(error)), Ok);
                if is_last || sent.is_err() || told.is_err() {
                    break;
                }
            }
        });
        Self { full, empty, chunk: Chunk::default(), taken: 0, ended: false }
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.chunk.len {
            if self.ended {
                return Ok(0);
            }
            let gone =
                || io::Error::other("the thread that reads the file has ended before the file");
            let used = std::mem::replace(&mut self.chunk, self.full.recv().map_err(|_| gone())??);
            self.taken = 0;
            self.ended = self.chunk.len == 0;
            // Nobody fills it behind the end.
            _ = self.empty.send(used);
        }
        let ready = self.chunk.bytes.get(self.taken..self.chunk.len).unwrap_or_default();
        let n = ready.len().min(into.len());
        if let (Some(into), Some(ready)) = (into.get_mut(..n), ready.get(..n)) {
            into.copy_from_slice(ready);
        }
        self.taken += n;
        Ok(n)
    }
}

impl Chunk {
    /// Fills it as far as the source goes.
    fn fill(&mut self, source: &mut dyn Read) -> io::Result<()> {
        self.bytes.resize(CHUNK, 0);
        self.len = 0;
        while let Some(free) = self.bytes.get_mut(self.len..).filter(|free| !free.is_empty()) {
            match source.read(free) {
                Ok(0) => break,
                Ok(n) => self.len += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
