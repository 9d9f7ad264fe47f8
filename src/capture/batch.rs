//! Batches of frames.

use std::ops::Range;
use std::sync::Arc;

use super::flow_log::LogRecord;
use super::frame::{DirectionHint, Frame};
use super::link_type::LinkType;

/// The position of a record in the buffer.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) link: LinkType,
    pub(super) time_ns: Option<u64>,
    pub(super) wire_len: u32,
    pub(super) hint: Option<DirectionHint>,
    /// Position among the names of the reader.
    pub(super) interface: Option<u16>,
    pub(super) data: Range<usize>,
}

/// Frames read at once, with their bytes. Reuse it: its memory is then allocated once.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) records: Vec<Record>,
    /// The number of the first frame.
    pub(super) first: u64,
    /// Names of the records' interfaces.
    pub(super) names: Arc<Vec<String>>,
    /// The records of a flow log; empty for a capture.
    pub(super) logs: Vec<LogRecord>,
}

impl Batch {
    /// The frames, in the order of the capture.
    pub fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        self.frames_from(0)
    }

    /// The frames from a position in the batch on.
    pub fn frames_from(&self, position: usize) -> impl Iterator<Item = Frame<'_>> {
        (position..self.records.len()).filter_map(|position| self.frame(position))
    }

    /// How many frames there are.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// The number of the first frame.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    #[inline]
    pub(super) fn frame(&self, position: usize) -> Option<Frame<'_>> {
        let record = self.records.get(position)?;
        let Record { link, time_ns, wire_len, hint, interface, ref data } = *record;
        let number = self.first + position as u64;
        let data = self.bytes.get(data.clone())?;
        let interface = interface.and_then(|name| self.names.get(usize::from(name)));
        let log = self.logs.get(position);
        Some(Frame { number, link, time_ns, wire_len, hint, interface, log, data })
    }
}
