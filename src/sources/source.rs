//! One capture: its path, and whether it is a pipe.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::STDIN;
use crate::capture::{Capture, CaptureError, Chunks, FlowLogOptions};
use crate::escape;
use crate::read_ahead::Ahead;

/// A capture that is to be read.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    /// Its place among those that were named.
    pub(super) position: usize,
    /// The interface that its frames were captured at, whatever they say themselves.
    pub(super) interface: Option<String>,
    /// The time of its first frame, ns; 0 where that is not known.
    pub(super) first_time: u64,
    /// Whether it can be read only once.
    pub(super) is_pipe: bool,
    /// Being read already: bytes from elsewhere, or a pipe that was looked into.
    pub(super) started: Option<Ahead>,
}

impl Source {
    /// When its first frame is read among those of other captures.
    pub(super) fn turn(&self) -> (u64, usize) {
        (self.first_time, self.position)
    }

    /// A source that is not opened yet.
    pub(super) fn new(path: PathBuf, position: usize) -> Self {
        let is_special = |meta: Metadata| !meta.is_file() && !meta.is_dir();
        let is_pipe = path.as_os_str() == STDIN || path.metadata().is_ok_and(is_special);
        Self { path, position, interface: None, first_time: 0, is_pipe, started: None }
    }

    /// Bytes of a regular file; `None` for a pipe.
    pub(super) fn size(&self) -> Option<u64> {
        let meta = (!self.is_pipe).then(|| self.path.metadata().ok()).flatten();
        meta.filter(Metadata::is_file).map(|meta| meta.len())
    }

    pub(super) fn name(&self) -> String {
        name(&self.path)
    }

    pub(super) fn open(
        &self,
        flow_logs: &FlowLogOptions,
        chunks: Chunks,
    ) -> Result<Capture, CaptureError> {
        match self.path.as_os_str() == STDIN {
            true => Capture::from_reader_with(&self.name(), Box::new(io::stdin()), flow_logs),
            false => Capture::open_in_chunks(&self.path, flow_logs, chunks),
        }
    }
}

/// A path as messages name it.
pub fn name(path: &Path) -> String {
    match path.as_os_str() == STDIN {
        true => "standard input".to_owned(),
        false => escape::path(path),
    }
}

/// Whether a skipped entry of a directory may be a capture or a flow log: a directory, a file that is not text, a
/// git-lfs pointer, or a text named as logs and captures are.
pub(super) fn may_hide_traffic(path: &Path) -> bool {
    const LOGS: [&str; 6] = ["log", "csv", "tsv", "json", "ndjson", "jsonl"];
    const CAPTURES: [&str; 12] =
        ["pcap", "pcapng", "ntar", "cap", "dmp", "snoop", "gz", "zst", "xz", "bz", "lz", "tar"];
    let extension = path.extension().and_then(|extension| extension.to_str());
    let is_of_traffic = |of: &str| {
        // Rotated files have a number behind: `.pcap3`.
        let kind = of.trim_end_matches(|c: char| c.is_ascii_digit()).to_ascii_lowercase();
        LOGS.contains(&kind.as_str()) || CAPTURES.contains(&kind.as_str()) || kind.is_empty()
    };
    let named = extension.is_none_or(is_of_traffic);
    path.is_dir() || path.is_file() && (named || is_pointer(path) || !is_text(path))
}

/// Whether a file is a git-lfs pointer.
fn is_pointer(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(32).read_to_end(&mut start));
    read.is_ok() && start.starts_with(b"version https://git-lfs")
}

/// Whether a file starts with text, so that it is no capture.
fn is_text(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(4096).read_to_end(&mut start));
    let valid = match std::str::from_utf8(&start) {
        Ok(_) => true,
        // A character may be cut at the end.
        Err(error) => error.error_len().is_none(),
    };
    read.is_ok() && valid && !start.contains(&0)
}
