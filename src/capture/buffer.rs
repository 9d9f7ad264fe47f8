//! The one buffer that a capture is read through.

use std::io::{self, Read};
use std::ops::Range;

use super::CaptureErrorKind;

/// The most that one `read` asks for, which is a batch too. Larger reads push the packets out of the second-level cache
/// before they are decoded, smaller ones wake the thread that judges more often.
const LARGEST_CHUNK: usize = 512 * 1024;

/// The least that one `read` asks for: a capture may be one of thousands that are open, or of which only the first
/// packets are looked at.
const SMALLEST_CHUNK: usize = 8 * 1024;
/// What is asked for behind the end of a file.
const PAGE: usize = 4 * 1024;

/// How much is read at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunks {
    /// What the next `read` asks for; each that was filled doubles the next.
    next: usize,
    most: usize,
    /// Bytes that the source should have yet.
    expected: Option<u64>,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { next: LARGEST_CHUNK, most: LARGEST_CHUNK, expected: None }
    }
}

impl Chunks {
    /// Little at first.
    pub(crate) fn sparing() -> Self {
        Self { next: SMALLEST_CHUNK, ..Self::default() }
    }

    /// No more than so many bytes, within reason: what is read and not consumed is held.
    pub(crate) fn of_at_most(bytes: usize) -> Self {
        let most = bytes.clamp(SMALLEST_CHUNK, LARGEST_CHUNK);
        Self { next: most, most, expected: None }
    }

    /// Of a source of so many bytes.
    pub(super) fn of(self, bytes: u64) -> Self {
        Self { expected: Some(bytes), ..self }
    }

    fn size(&self) -> usize {
        let expected = self.expected.and_then(|bytes| usize::try_from(bytes).ok());
        // A page more, so that the end is seen where it should be.
        expected.map_or(self.next, |bytes| self.next.min(bytes.saturating_add(PAGE)))
    }

    /// Notes that so many bytes came of so many.
    fn note(&mut self, read: usize, of: usize) {
        // A file may have grown.
        self.expected = self.expected.and_then(|bytes| bytes.checked_sub(read as u64));
        if read == of {
            self.next = (2 * self.next).min(self.most);
        }
    }
}

/// The longest record that is believed, with room for its header. libpcap's own bound for a pcapng
/// block is 16 MiB.
pub(super) const LONGEST_RECORD: usize = 16 * 1024 * 1024;

/// Bytes read and not yet consumed, contiguous.
pub(super) struct Buffer {
    source: Box<dyn Read + Send>,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes of the source before `start`.
    consumed: u64,
    chunks: Chunks,
}

impl Buffer {
    pub(super) fn new(source: Box<dyn Read + Send>, chunks: Chunks) -> Self {
        Self { source, bytes: Vec::new(), start: 0, end: 0, consumed: 0, chunks }
    }

    /// How much is read at once, of a source that is made of this one.
    pub(super) fn chunks(&self) -> Chunks {
        Chunks { expected: None, ..self.chunks }
    }

    /// What is read and not consumed.
    pub(super) fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Bytes by a range that counts from the start of the buffer.
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    /// Gives the bytes consumed since the last time to `into`, whose memory it takes for what is to
    /// be read next. Ranges from the start of the buffer then hold in `into`.
    pub(super) fn hand_over(&mut self, into: &mut Vec<u8>) {
        std::mem::swap(&mut self.bytes, into);
        let unread = into.get(self.start..self.end).unwrap_or_default();
        if self.bytes.len() < unread.len() {
            self.bytes.resize(unread.len(), 0);
        }
        if let Some(front) = self.bytes.get_mut(..unread.len()) {
            front.copy_from_slice(unread);
        }
        (self.start, self.end) = (0, unread.len());
    }

    /// Where `unread` starts in the buffer, for [`Buffer::bytes`].
    pub(super) fn start(&self) -> usize {
        self.start
    }

    pub(super) fn offset(&self) -> u64 {
        self.consumed
    }

    pub(super) fn consume(&mut self, len: usize) {
        let len = len.min(self.end - self.start);
        self.start += len;
        self.consumed += len as u64;
    }

    /// Reads until a line has ended, or so many bytes are unread, or the source has ended: of text that somebody
    /// is still writing no more is waited for.
    pub(super) fn fill_line(&mut self, most: usize) -> Result<(), CaptureErrorKind> {
        while self.unread().len() < most && !self.unread().contains(&b'\n') {
            if !self.fill_to(self.unread().len() + 1)? {
                break;
            }
        }
        Ok(())
    }

    /// Reads past so many bytes, which may be more than the buffer holds; says whether they were there.
    pub(super) fn skip(&mut self, mut len: u64) -> Result<bool, CaptureErrorKind> {
        while len > 0 {
            if !self.fill_to(1)? {
                return Ok(false);
            }
            let step = usize::try_from(len).unwrap_or(usize::MAX).min(self.unread().len());
            self.consume(step);
            len -= step as u64;
        }
        Ok(true)
    }

    /// Drops what is left and reads no more.
    pub(super) fn end(&mut self) {
        self.start = self.end;
        self.source = Box::new(io::empty());
    }

    /// The source from the first unread byte on.
    pub(super) fn into_source(self) -> Box<dyn Read + Send> {
        let unread = self.unread().to_vec();
        Box::new(io::Cursor::new(unread).chain(self.source))
    }

    /// Reads until at least `len` bytes are unread or the source has ended; says whether they are.
    ///
    /// The buffer grows only as bytes arrive; its callers refuse what is over [`LONGEST_RECORD`].
    pub(super) fn fill_to(&mut self, len: usize) -> Result<bool, CaptureErrorKind> {
        while self.end - self.start < len {
            let chunk = self.chunks.size();
            if self.bytes.len() - self.end < chunk {
                // Nothing that was consumed is on loan: see `Capture::next_batch`.
                self.bytes.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
                let needed = self.end + chunk;
                if needed <= 2 * chunk {
                    // Thousands of captures may be open. For a long record the buffer doubles.
                    self.bytes.reserve_exact(needed.saturating_sub(self.bytes.len()));
                }
                self.bytes.resize(self.bytes.len().max(needed), 0);
            }
            let free = self.bytes.get_mut(self.end..self.end + chunk).unwrap_or_default();
            match self.source.read(free) {
                Ok(0) => return Ok(false),
                Ok(n) => {
                    self.end += n;
                    self.chunks.note(n, chunk);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(true)
    }
}
