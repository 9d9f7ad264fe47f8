//! A file or standard input → frames.
//!
//! The format is recognised by content, never by name: classic pcap in both byte orders with µs or
//! ns times and its variants, pcapng and snoop, plain, in gzip, zstd, xz, bzip2 or lz4, and in a tar
//! archive in any of them. An error names an unsupported format, and the command that converts it. A capture is read
//! once, front to back, in batches of frames, so it may be larger than memory and need not be seekable. The records of a
//! flow log become frames ([`Frame::log`]).
//!
//! ```no_run
//! let mut capture = sgreplay::capture::Capture::open("ssh.pcap".as_ref())?;
//! while let Some(frame) = capture.next_frame()? {
//!     println!("{} {} bytes at {:?}", frame.number, frame.data.len(), frame.time_ns);
//! }
//! # Ok::<(), sgreplay::capture::CaptureError>(())
//! ```
//!
//! An error carries the number of the frame that could not be read and its byte offset; every frame
//! before it has been yielded by then.

mod archive;
mod batch;
mod beside;
mod buffer;
mod counts;
mod error;
mod flow_log;
mod foreign;
mod frame;
mod link_type;
mod names;
mod open;
mod pcap;
mod pcapng;
mod snoop;
mod source;
mod write;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::escape;
use archive::Archive;
pub use batch::Batch;
use batch::Record;
use beside::Switch;
use buffer::Buffer;
pub(crate) use buffer::Chunks;
pub use counts::{CaptureCounts, SharedCounts};
pub use error::{CaptureError, CaptureErrorKind, os_error};
pub use flow_log::{
    FlowLog, FlowLogCounts, FlowLogFields, FlowLogKind, FlowLogOptions, LogRecord, Opener, Recorded,
};
pub use frame::{DirectionHint, Frame};
pub use link_type::LinkType;
use open::{InArchive, Opened, Opening};
pub use write::{PcapWriter, WriteError};

/// How much of a file that is no capture its error shows.
const SHOWN_OF_NO_CAPTURE: usize = 16;

/// A capture being read.
pub struct Capture {
    name: String,
    may_wait: bool,
    switch: Switch,
    /// The archive around it, and the file of it that is read.
    archive: Option<Archive>,
    file: Option<String>,
    /// Bytes of the files before it.
    before: u64,
    buffer: Buffer,
    format: Format,
    counts: SharedCounts,
    flow_logs: FlowLogOptions,
    /// Frames read into batches.
    read: u64,
    /// Damage found behind the frames of the last batch.
    damage: Option<CaptureError>,
    /// What [`Capture::next_frame`] yields from, and how far it has come.
    batch: Batch,
    yielded: usize,
}

enum Format {
    Pcap(pcap::Reader),
    PcapNg(pcapng::Reader),
    Snoop(snoop::Reader),
    FlowLog(Box<flow_log::Reader>),
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, read, .. } = self;
        f.debug_struct("Capture").field("name", name).field("read", read).finish_non_exhaustive()
    }
}

impl Capture {
    /// Opens a file.
    ///
    /// # Errors
    /// When the file cannot be opened, is a directory, is empty, or is not a capture.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        Self::open_with(path, &FlowLogOptions::default())
    }

    /// The same, with what is said of flow logs beside them.
    ///
    /// # Errors
    /// As [`Capture::open`].
    pub fn open_with(path: &Path, flow_logs: &FlowLogOptions) -> Result<Self, CaptureError> {
        Self::open_in_chunks(path, flow_logs, Chunks::default())
    }

    /// The same, so much at once.
    pub(crate) fn open_in_chunks(
        path: &Path,
        flow_logs: &FlowLogOptions,
        chunks: Chunks,
    ) -> Result<Self, CaptureError> {
        let name = escape::path(path);
        let at_start = |kind| CaptureError { file: name.clone(), frame: None, offset: 0, kind };
        let file = File::open(path).map_err(|e| at_start(CaptureErrorKind::Io(e)))?;
        let meta = file.metadata().map_err(|e| at_start(CaptureErrorKind::Io(e)))?;
        if meta.is_dir() {
            return Err(at_start(CaptureErrorKind::Directory));
        }
        let chunks = if meta.is_file() { chunks.of(meta.len()) } else { chunks };
        let capture = Self::start(&name, Box::new(file), flow_logs, chunks)?;
        Ok(Self { may_wait: !meta.is_file(), ..capture })
    }

    /// Reads a capture from any source, standard input for one; `name` appears in errors.
    ///
    /// # Errors
    /// When the source fails, is empty, or does not begin as a capture does.
    pub fn from_reader(name: &str, source: Box<dyn Read + Send>) -> Result<Self, CaptureError> {
        Self::from_reader_with(name, source, &FlowLogOptions::default())
    }

    /// The same, with what is said of flow logs beside them.
    ///
    /// # Errors
    /// As [`Capture::from_reader`].
    pub fn from_reader_with(
        name: &str,
        source: Box<dyn Read + Send>,
        flow_logs: &FlowLogOptions,
    ) -> Result<Self, CaptureError> {
        Self::start(name, source, flow_logs, Chunks::default())
    }

    fn start(
        name: &str,
        source: Box<dyn Read + Send>,
        flow_logs: &FlowLogOptions,
        chunks: Chunks,
    ) -> Result<Self, CaptureError> {
        let (counts, switch) = (SharedCounts::default(), Switch::default());
        let opening = Opening { counts: &counts, switch: &switch, flow_logs, chunks };
        let Opened { archive, file, buffer, format } = open::start(name, source, &opening)?;
        Ok(Self {
            name: name.to_owned(),
            may_wait: true,
            switch,
            archive,
            file,
            before: 0,
            buffer,
            format,
            counts,
            flow_logs: flow_logs.clone(),
            read: 0,
            damage: None,
            batch: Batch::default(),
            yielded: 0,
        })
    }

    /// Whether bytes start as an uncompressed capture does.
    pub fn recognises(bytes: &[u8]) -> bool {
        bytes
            .first_chunk()
            .is_some_and(|magic| *magic == pcapng::MAGIC || pcap::MAGICS.contains(magic))
            || bytes.starts_with(&snoop::MAGIC)
    }

    /// Goes on with the next capture of the archive, if there is one.
    fn next_file(&mut self) -> Result<bool, CaptureError> {
        let Some(archive) = &self.archive else { return Ok(false) };
        let opening = Opening {
            counts: &self.counts,
            switch: &self.switch,
            flow_logs: &self.flow_logs,
            chunks: self.buffer.chunks(),
        };
        // Damage between two captures stands before the frame that would come next.
        let (frame, offset) = (Some(self.read + 1), self.offset());
        let here = |error: CaptureError| match error.kind {
            CaptureErrorKind::Archive { .. } => CaptureError { frame, offset, ..error },
            // It names the file that cannot be read.
            _ => error,
        };
        let next = open::next_in_archive(&self.name, archive, &opening).map_err(here)?;
        let InArchive::Capture { file, buffer, format } = next else { return Ok(false) };
        let is_log = |format: &Format| matches!(format, Format::FlowLog(_));
        if is_log(&self.format) || is_log(&format) {
            let kind = CaptureErrorKind::FlowLogInArchive;
            return Err(open::error(&self.name, Some(&file), kind));
        }
        self.before += self.buffer.offset();
        (self.file, self.buffer, self.format) = (Some(file), buffer, format);
        Ok(true)
    }

    /// The name given when the capture was opened.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its bytes may have yet to be written, as those of anything but a file may.
    pub fn may_wait(&self) -> bool {
        self.may_wait
    }

    /// Inflates on a thread of its own from now on, if it is a compressed file. Of a pipe a part is handed on as it
    /// comes.
    pub fn inflate_beside(&self) {
        if !self.may_wait {
            self.switch.turn_on();
        }
    }

    /// Statistics beside the packets, which grow while the capture is read.
    pub fn counts(&self) -> SharedCounts {
        self.counts.clone()
    }

    /// Where the records of a flow log are counted.
    pub fn flow_log(&self) -> FlowLog {
        match &self.format {
            Format::Pcap(_) | Format::PcapNg(_) | Format::Snoop(_) => FlowLog::default(),
            Format::FlowLog(reader) => reader.flow_log(),
        }
    }

    /// Frames yielded so far.
    pub fn frames(&self) -> u64 {
        self.read - (self.batch.records.len() - self.yielded) as u64
    }

    /// Bytes of the source consumed so far.
    pub fn offset(&self) -> u64 {
        self.before + self.buffer.offset()
    }

    /// The next frame, or `None` at the end.
    ///
    /// # Errors
    /// When the next record is damaged or cut off. The capture has then ended: what follows a
    /// damaged record cannot be found again, and further calls return `None`.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        if self.yielded == self.batch.records.len() {
            let mut batch = std::mem::take(&mut self.batch);
            let more = self.next_batch(&mut batch);
            (self.batch, self.yielded) = (batch, 0);
            if !more? {
                return Ok(None);
            }
        }
        self.yielded += 1;
        Ok(self.batch.frame(self.yielded - 1))
    }

    /// Reads the next frames into a batch, at least one; `false` at the end.
    ///
    /// # Errors
    /// As [`Capture::next_frame`], after every frame before the damage was handed out.
    pub fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, CaptureError> {
        loop {
            let filled = self.fill(batch);
            let more = match filled {
                Ok(true) => return Ok(true),
                Ok(false) => self.next_file(),
                Err(damage) => Err(damage),
            };
            match more {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(damage) => {
                    self.buffer.end();
                    self.archive = None;
                    return Err(damage);
                }
            }
        }
    }

    /// Reads the next frames of the file that is being read.
    fn fill(&mut self, batch: &mut Batch) -> Result<bool, CaptureError> {
        batch.records.clear();
        batch.logs.clear();
        batch.first = self.read + 1;
        if let Some(damage) = self.damage.take() {
            return Err(damage);
        }
        let records = &mut batch.records;
        let filled = match &mut self.format {
            Format::Pcap(reader) => reader.fill(&mut self.buffer, records),
            Format::PcapNg(reader) => fill(records, |wait| reader.next(&mut self.buffer, wait)),
            Format::Snoop(reader) => fill(records, |wait| reader.next(&mut self.buffer, wait)),
            Format::FlowLog(reader) => fill(records, |wait| reader.next(&mut self.buffer, wait)),
        };
        self.read += batch.records.len() as u64;
        if let Err(kind) = filled {
            let frame = Some(self.read + 1);
            let error = open::error(&self.name, self.file.as_deref(), kind);
            self.damage = Some(CaptureError { frame, offset: self.buffer.offset(), ..error });
        }
        match &mut self.format {
            Format::Pcap(_) | Format::Snoop(_) => self.buffer.hand_over(&mut batch.bytes),
            Format::PcapNg(reader) => {
                self.buffer.hand_over(&mut batch.bytes);
                batch.names = reader.names();
            }
            Format::FlowLog(reader) => {
                reader.hand_over(&mut batch.bytes, &mut batch.logs);
                batch.names = reader.names();
            }
        }
        match self.damage.take_if(|_| batch.records.is_empty()) {
            Some(damage) => Err(damage),
            None => Ok(!batch.records.is_empty()),
        }
    }
}

/// Reads records, waiting for bytes only while there is nothing to hand out.
fn fill(
    records: &mut Vec<Record>,
    mut next: impl FnMut(bool) -> Result<Option<Record>, CaptureErrorKind>,
) -> Result<(), CaptureErrorKind> {
    while let Some(record) = next(records.is_empty())? {
        records.push(record);
    }
    Ok(())
}
