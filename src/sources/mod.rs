//! Captures and flow logs, read as one stream of packets.
//!
//! Several captures are read in the order of their packets' times, whatever the order of their names (SEMANTICS
//! F22); one that lies wholly behind another is opened when its turn has come. A bounded part of each capture's
//! start is looked at ahead of time ([`Sources::look_ahead`]), the same of a pipe as of a file (F23). A
//! [`Selection`] says which packets are reported; all are handed over, since all are judged (F21).

mod ended;
mod look_ahead;
mod merge;
mod options;
mod selection;
mod source;
mod stream;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::fs;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use crate::capture::{Capture, CaptureError, CaptureErrorKind, Chunks, Frame};
use crate::decode::Decoded;
use crate::escape;
use crate::read_ahead::Ahead;
pub use ended::{CaptureInput, ChosenTunnels, ClockAhead, ClockBackwards, Ended, SkippedFile};
pub(crate) use look_ahead::LookAheadRoom;
use merge::Merge;
pub use options::{Order, SourceOptions};
use selection::Choice;
pub use selection::Selection;
pub use source::name;
use source::{Source, may_hide_traffic};
use stream::{Finished, Stream};

/// A frame with its decoded packet.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The frame; its number counts the frames of all captures in the order in which they are read.
    pub frame: Frame<'a>,
    /// What it holds.
    pub decoded: &'a Decoded,
    /// Whether the selection chooses it, so that it is reported and not only judged.
    pub selected: bool,
    /// Whether the selection's window of time holds it. A frame that cannot be decoded may hide a packet that the
    /// filter would choose.
    pub in_window: bool,
}

/// How standard input is named.
pub const STDIN: &str = "-";
/// How long to wait for a pipe before looking at whether the user wants to stop.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long an interrupted run still listens to a pipe.
const GRACE: Duration = Duration::from_millis(500);

/// The most frames that are handed over at once: as many as one capture has at hand.
const MOST_AT_ONCE: usize = 1 << 15;

/// Who is told how far reading is.
#[derive(Default)]
struct Progress(Option<Box<dyn FnMut(u64, u64)>>);

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress")
    }
}

/// Captures that are to be read.
#[derive(Debug)]
pub struct Sources {
    captures: Vec<Source>,
    skipped: Vec<SkippedFile>,
    options: SourceOptions,
    interrupted: Arc<AtomicBool>,
    progress: Progress,
}

impl Sources {
    /// Finds the captures that paths name, and checks that each can be opened and is one. A directory stands for
    /// the captures in it, `-` for standard input.
    ///
    /// Setting `interrupted` ends a run early.
    ///
    /// # Errors
    /// When a file cannot be opened or is no capture, or a directory holds none.
    pub fn open(
        paths: impl IntoIterator<Item = PathBuf>,
        options: SourceOptions,
        interrupted: Arc<AtomicBool>,
    ) -> Result<Self, CaptureError> {
        let (captures, skipped, progress) = (Vec::new(), Vec::new(), Progress::default());
        let mut found = Self { captures, skipped, options, interrupted, progress };
        for path in paths {
            match path.is_dir() {
                true => found.add_directory(&path)?,
                false => found.add(path)?,
            }
        }
        Ok(found)
    }

    /// One capture whose bytes come from elsewhere, and can be read only once; messages call it by this name. It is opened
    /// here: a flow log of AWS, whose records name interfaces, needs their addresses in the options.
    ///
    /// # Errors
    /// When the bytes are no capture.
    pub fn from_reader(
        name: &str,
        bytes: Box<dyn Read + Send>,
        options: SourceOptions,
    ) -> Result<Self, CaptureError> {
        let capture = Capture::from_reader_with(name, bytes, &options.flow_logs)?;
        let started = Some(Ahead::new(capture, options.tunnels.clone(), options.threads));
        // Whatever a file of this name holds.
        let source = Source { started, is_pipe: true, ..Source::new(PathBuf::from(name), 0) };
        Ok(Self {
            captures: vec![source],
            skipped: Vec::new(),
            options,
            interrupted: Arc::default(),
            progress: Progress::default(),
        })
    }

    fn add(&mut self, path: PathBuf) -> Result<(), CaptureError> {
        let position = self.captures.len();
        let mut source = Source::new(path, position);
        // A pipe can be opened only once.
        if !source.is_pipe {
            let mut capture = source.open(&self.options.flow_logs, Chunks::sparing())?;
            // Damage is for the reading to report.
            let first = capture.next_frame().ok().flatten();
            source.first_time = first.and_then(|frame| frame.time_ns).unwrap_or(0);
        }
        self.captures.push(source);
        Ok(())
    }

    /// Adds the captures of a directory, in the order of their names.
    fn add_directory(&mut self, dir: &Path) -> Result<(), CaptureError> {
        let failed = |kind| CaptureError { file: escape::path(dir), frame: None, offset: 0, kind };
        let unreadable = |error| failed(CaptureErrorKind::Io(error));
        let mut paths = Vec::new();
        for entry in fs::read_dir(dir).map_err(unreadable)? {
            paths.push(entry.map_err(unreadable)?.path());
        }
        paths.sort();
        let before = self.captures.len();
        for path in paths {
            let skipped = |why: String| {
                let may_hide_traffic = may_hide_traffic(&path);
                SkippedFile { path: escape::path(&path), why, may_hide_traffic }
            };
            if !path.is_file() {
                self.skipped.push(skipped("is no file".to_owned()));
            } else if let Err(error) = self.add(path.clone()) {
                if matches!(error.kind, CaptureErrorKind::Io(_)) {
                    return Err(error);
                }
                self.skipped.push(skipped(error.kind.to_string()));
            }
        }
        match self.captures.len() == before {
            true => Err(failed(CaptureErrorKind::Directory)),
            false => Ok(()),
        }
    }

    /// Says at which interface a capture was made; whether there is such a capture.
    pub fn made_at(&mut self, path: &Path, interface: &str) -> bool {
        let source = self.captures.iter_mut().find(|source| source.path == path);
        source.map(|source| source.interface = Some(interface.to_owned())).is_some()
    }

    /// The paths of the captures.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.captures.iter().map(|source| source.path.as_path())
    }

    /// Whether one of them can be read only once: standard input, a pipe, bytes from elsewhere.
    pub fn have_pipe(&self) -> bool {
        self.captures.iter().any(|source| source.is_pipe)
    }

    /// Whether standard input is among them.
    pub fn read_stdin(&self) -> bool {
        self.paths().any(|path| path.as_os_str() == STDIN)
    }

    /// Bytes of all of them; `None` where one is a pipe.
    pub fn size(&self) -> Option<u64> {
        self.captures.iter().map(Source::size).sum()
    }

    /// Says what interfaces' addresses are, for logs that name interfaces.
    pub fn know_addresses(&mut self, addresses: HashMap<String, Vec<IpNet>>) {
        self.options.flow_logs.addresses = Arc::new(addresses);
    }

    /// Tells how many bytes and frames were read, from time to time.
    pub fn on_progress(&mut self, tell: impl FnMut(u64, u64) + 'static) {
        self.progress = Progress(Some(Box::new(tell)));
    }

    /// How they are read.
    pub fn options(&self) -> &SourceOptions {
        &self.options
    }

    /// Reads the captures to their ends, or to the first damage in each, and hands over every packet up to the
    /// last one that the selection may choose, until `each` breaks off.
    ///
    /// # Errors
    /// When a capture cannot be opened, and the first that `each` returns.
    pub fn read<E: From<CaptureError>>(
        self,
        mut each: impl FnMut(&[Input<'_>]) -> Result<ControlFlow<()>, E>,
    ) -> Result<Ended, E> {
        let Self { mut captures, skipped, options, interrupted, mut progress } = self;
        let SourceOptions { selection, tunnels, threads, order, live, flow_logs } = options;
        let live = live && captures.iter().any(|source| source.is_pipe);
        if order == Order::Time {
            captures.sort_by_key(Source::turn);
        }
        let mut waiting = VecDeque::from(captures);
        let mut streams: Vec<Stream> = Vec::new();
        let mut finished: Vec<Finished> = Vec::new();
        let mut closed = 0;
        let mut ended = Ended { skipped, live, ..Ended::default() };
        let (mut left, mut frames, mut stop_at) = (selection.count.unwrap_or(u64::MAX), 0, None);
        while left > 0 && !ended.interrupted {
            for stream in streams.extract_if(.., |stream| stream.has_ended()) {
                closed += stream.size();
                finished.push(stream.finish());
            }
            while let Some(next) = waiting.front()
                && stream::is_due(next, order, &streams)
                && let Some(source) = waiting.pop_front()
            {
                let open = streams.len() + 1;
                streams.push(Stream::start(source, &tunnels, threads, &flow_logs, open)?);
            }
            if streams.is_empty() {
                break;
            }
            if interrupted.load(Ordering::Relaxed) {
                // Whoever writes to a pipe is told to stop too, and may have a last word to say.
                let is_live = streams.iter().any(Stream::is_pipe);
                let grace = if is_live { GRACE } else { Duration::ZERO };
                let stop_at = *stop_at.get_or_insert_with(|| Instant::now() + grace);
                ended.interrupted = Instant::now() >= stop_at;
                streams.iter_mut().for_each(Stream::flush_fragments);
            }
            if !streams.iter_mut().all(Stream::fill) {
                continue;
            }
            let next = waiting.front().filter(|_| order == Order::Time).map(Source::turn);
            let merge = Merge::new(&mut streams, next);
            let mut handed_over = Vec::with_capacity(merge.room());
            merge.hand_over(|mut frame, decoded| {
                ended.hints.add(&frame, decoded);
                frames += 1;
                frame.number = frames;
                let choice = selection.choose(&frame, decoded);
                if choice != Choice::Skipped {
                    let selected = choice == Choice::Reported;
                    let in_window = choice != Choice::WarmUp;
                    left -= u64::from(selected);
                    ended.selected += u64::from(selected);
                    handed_over.push(Input { frame, decoded, selected, in_window });
                }
                match left == 0 || handed_over.len() >= MOST_AT_ONCE {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            });
            if each(&handed_over)?.is_break() {
                left = 0;
            }
            drop(handed_over);
            streams.iter_mut().for_each(Stream::settle);
            let bytes = closed + streams.iter().map(Stream::size).sum::<u64>();
            progress.0.iter_mut().for_each(|tell| tell(bytes, frames));
        }
        finished.extend(streams.into_iter().map(Stream::finish));
        finished.sort_by_key(|of| of.position);
        for Finished { position: _, input, damage } in finished {
            ended.inputs.push(input);
            ended.damage.extend(damage);
        }
        Ok(ended)
    }
}
