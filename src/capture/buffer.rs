//! The one buffer that a capture is read through.

use std::io::{self, Read};
use std::ops::Range;

use super::CaptureErrorKind;

/// What one `read` asks for, which is a batch too. Larger reads push the packets out of the second-level cache
/// before they are decoded, smaller ones wake the thread that judges more often.
const CHUNK: usize = 512 * 1024;

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
}

impl Buffer {
    pub(super) fn new(source: Box<dyn Read + Send>) -> Self {
        Self { source, bytes: Vec::new(), start: 0, end: 0, consumed: 0 }
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
            if self.bytes.len() - self.end < CHUNK {
                // Nothing that was consumed is on loan: see `Capture::next_batch`.
                self.bytes.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
                self.bytes.resize(self.bytes.len().max(self.end + CHUNK), 0);
            }
            let free = self.bytes.get_mut(self.end..self.end + CHUNK).unwrap_or_default();
            match self.source.read(free) {
                Ok(0) => return Ok(false),
                Ok(n) => self.end += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(true)
    }
}
