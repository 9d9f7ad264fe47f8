//! Captures and flow logs, read as one stream of packets.
//!
//! Several captures are read in the order of their packets' times, whatever the order of their names (SEMANTICS
//! F22); one that lies wholly behind another is opened when its turn has come. A bounded part of each capture's
//! start is looked at ahead of time ([`Sources::look_ahead`]), the same of a pipe as of a file (F23). A
//! [`Selection`] says which packets are reported; all are handed over, since all are judged (F21).

mod selection;
mod stream;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use serde::Serialize;

use crate::capture::{
    Capture, CaptureCounts, CaptureError, CaptureErrorKind, FlowLogCounts, FlowLogOptions, Frame,
};
use crate::decode::{Decoded, Tunnels, decode_inside, tunnel_name};
use crate::escape;
use crate::hints::CaptureHints;
use crate::read_ahead::{Ahead, Next};
use selection::Choice;
pub use selection::Selection;
use stream::{Finished, Stream};

/// How captures are read.
#[derive(Clone, Debug)]
pub struct SourceOptions {
    /// The packets that are reported.
    pub selection: Selection,
    /// The tunnels of which the packet inside is judged.
    pub tunnels: Tunnels,
    /// How many threads read and decode, with whoever asks among them.
    pub threads: NonZeroUsize,
    /// The order of several captures.
    pub order: Order,
    /// A pipe is a stream that may not end: nothing of it is looked at ahead of time.
    pub live: bool,
    /// What is said of flow logs beside them.
    pub flow_logs: FlowLogOptions,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            selection: Selection::default(),
            tunnels: Tunnels::default(),
            threads: NonZeroUsize::MIN,
            order: Order::default(),
            live: false,
            flow_logs: FlowLogOptions::default(),
        }
    }
}

/// The order in which several captures are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By the times of their packets; between equals the capture that was named first goes first.
    #[default]
    Time,
    /// One after the other, as they were named.
    AsNamed,
}

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

/// One capture, as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CaptureInput {
    /// As the user named it.
    pub path: String,
    /// Bytes read.
    pub size: u64,
    /// Frames in it.
    pub frames: u64,
    /// Statistics beside its packets.
    #[serde(flatten)]
    pub counts: CaptureCounts,
    /// Where its clock runs backwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_backwards: Option<ClockBackwards>,
    /// Where its clock jumps ahead by days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_ahead: Option<ClockAhead>,
    /// What it holds, where it is a flow log and no capture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_log: Option<FlowLogCounts>,
    /// Of its bytes, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What was wrong with it, where reading had to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Frames of one capture that are earlier than the frame before them by more than network cards reorder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClockBackwards {
    /// How many.
    pub times: u64,
    /// The largest step, ns.
    pub most_ns: u64,
    /// The first such frame, counted in its capture.
    pub frame: u64,
}

/// Frames of one capture that are later than the frame before them by over a week: a clock that was set, or a
/// recording that was interrupted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClockAhead {
    /// How many.
    pub times: u64,
    /// The largest step, ns.
    pub most_ns: u64,
    /// The first such frame, counted in its capture.
    pub frame: u64,
}

/// A file of a directory that was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedFile {
    /// Its path.
    pub path: String,
    /// Why, in words.
    pub why: String,
    /// It is no text, so it may be a capture of a format that is not read.
    pub may_hide_traffic: bool,
}

/// The tunnels that [`Sources::choose_tunnels`] has chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenTunnels {
    /// By the names of [`Tunnels::add`], with how many of the packets are such a tunnel.
    pub found: Vec<(&'static str, u64)>,
    /// IP packets that were looked at.
    pub packets: u64,
}

/// How a run over captures ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// What was read, in the order in which it was named.
    pub inputs: Vec<CaptureInput>,
    /// Frames that the selection chose.
    pub selected: u64,
    /// Damage that ended captures before their time, in the same order.
    pub damage: Vec<CaptureError>,
    /// Files of directories that were left out.
    pub skipped: Vec<SkippedFile>,
    /// What the first packets say of how the captures were made.
    pub hints: CaptureHints,
    /// The user stopped it.
    pub interrupted: bool,
    /// Packets of a pipe were judged as they came, without a look ahead.
    pub live: bool,
}

/// How standard input is named.
pub const STDIN: &str = "-";

/// How far is looked ahead into a capture, in frames and bytes; of many captures into each less.
const LOOK_AHEAD_FRAMES: u64 = 1 << 14;
const LOOK_AHEAD_BYTES: u64 = 16 << 20;
/// So many captures are each looked into that far.
const FEW_CAPTURES: u64 = 16;
const LEAST_FRAMES: u64 = 64;
/// What a frame counts beside its bytes, so that empty frames count too.
const RECORD: u64 = 16;

/// The most frames that are handed over at once: few enough to stay in a near cache.
const HANDED_OVER: usize = 256;
/// How long to wait for a pipe before looking at whether the user wants to stop.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long an interrupted run still listens to a pipe.
const GRACE: Duration = Duration::from_millis(500);

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

/// One of them.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    /// Its place among those that were named.
    position: usize,
    /// The interface that its frames were captured at, whatever they say themselves.
    interface: Option<String>,
    /// The time of its first frame, ns; 0 where that is not known.
    first_time: u64,
    /// Being read already: a pipe that was looked into.
    started: Option<Ahead>,
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

    fn add(&mut self, path: PathBuf) -> Result<(), CaptureError> {
        let position = self.captures.len();
        let mut source = Source { path, position, interface: None, first_time: 0, started: None };
        // A pipe can be opened only once.
        if !source.is_pipe() {
            let mut capture = source.open(&self.options.flow_logs)?;
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
            let (name, may_hide_traffic) = (escape::path(&path), may_hide_traffic(&path));
            if !path.is_file() {
                let why = "is no file".to_owned();
                self.skipped.push(SkippedFile { path: name, why, may_hide_traffic });
            } else if let Err(error) = self.add(path) {
                if matches!(error.kind, CaptureErrorKind::Io(_)) {
                    return Err(error);
                }
                let why = error.kind.to_string();
                self.skipped.push(SkippedFile { path: name, why, may_hide_traffic });
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

    /// Whether one of them can be read only once.
    pub fn have_pipe(&self) -> bool {
        self.captures.iter().any(Source::is_pipe)
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

    /// Hands over the first packets of each capture, whatever the selection, so that the local addresses and who
    /// accepts connections can be inferred from them. The captures are read again from their starts.
    ///
    /// # Errors
    /// When a capture cannot be opened.
    pub fn look_ahead(
        &mut self,
        mut each: impl FnMut(&Frame<'_>, &Decoded),
    ) -> Result<(), CaptureError> {
        let captures = (self.captures.len() as u64).max(FEW_CAPTURES);
        let most_frames = (LOOK_AHEAD_FRAMES * FEW_CAPTURES / captures).max(LEAST_FRAMES);
        let most_bytes = LOOK_AHEAD_BYTES * FEW_CAPTURES / captures;
        let SourceOptions { tunnels, threads, live, order, flow_logs, .. } = &self.options;
        // In the order in which they are read, so that what is learnt first is of the earliest.
        let mut captures: Vec<&mut Source> = self.captures.iter_mut().collect();
        if *order == Order::Time {
            captures.sort_by_key(|source| source.turn());
        }
        for source in captures {
            // The same frames of a pipe as of a file: batches of either may end elsewhere.
            let (mut frames, mut bytes) = (0, 0);
            let mut look = |frame: &Frame<'_>, decoded: &Decoded| {
                if frames < most_frames && bytes < most_bytes {
                    frames += 1;
                    bytes += frame.data.len() as u64 + RECORD;
                    each(frame, decoded);
                }
                frames < most_frames && bytes < most_bytes
            };
            if !source.is_pipe() {
                let mut capture = source.open(flow_logs)?;
                while let Ok(Some(frame)) = capture.next_frame() {
                    if !look(&frame, &decode_inside(frame.link, frame.data, tunnels)) {
                        break;
                    }
                }
            } else if !live {
                let mut ahead = match source.started.take() {
                    Some(ahead) => ahead,
                    None => Ahead::new(source.open(flow_logs)?, tunnels.clone(), *threads),
                };
                let mut seen: Vec<Next> = Vec::new();
                while !self.interrupted.load(Ordering::Relaxed) {
                    let next = ahead.next_batch(PATIENCE);
                    let mut more = !matches!(next, Next::Damage(_) | Next::End);
                    if let Next::Batch(batch) = &next {
                        if seen.is_empty() {
                            let first = batch.frames_from(0).next();
                            source.first_time =
                                first.and_then(|(frame, _)| frame.time_ns).unwrap_or(0);
                        }
                        more &= batch.frames_from(0).all(|(frame, decoded)| look(&frame, decoded));
                    }
                    if !matches!(next, Next::NotYet) {
                        seen.push(next);
                    }
                    if !more {
                        break;
                    }
                }
                ahead.put_back(seen);
                source.started = Some(ahead);
            }
        }
        Ok(())
    }

    /// Chooses the tunnels to look into by the first packets of the captures: those that a mirror uses, which most
    /// packets are then, in place of those of the options.
    ///
    /// # Errors
    /// When a capture cannot be opened.
    pub fn choose_tunnels(&mut self) -> Result<ChosenTunnels, CaptureError> {
        let mut found: Vec<(&'static str, u64)> = Vec::new();
        let mut packets = 0;
        self.options.tunnels = Tunnels::default();
        self.look_ahead(|frame, decoded| {
            packets += u64::from(matches!(decoded, Decoded::Packet(_)));
            let Some(name) = tunnel_name(frame.link, frame.data) else { return };
            match found.iter_mut().find(|(known, _)| *known == name) {
                Some((_, count)) => *count += 1,
                None => found.push((name, 1)),
            }
        })?;
        found.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let sum: u64 = found.iter().map(|(_, count)| count).sum();
        // What the instances themselves send through tunnels is little beside a mirror's.
        found.retain(|(_, count)| sum * 2 > packets && count * 10 >= packets);
        let mut tunnels = Tunnels::default();
        for (name, _) in &found {
            // Every name is one that is known.
            tunnels.add(name).unwrap_or_default();
        }
        for started in self.captures.iter_mut().filter_map(|source| source.started.as_mut()) {
            started.look_into(tunnels.clone());
        }
        self.options.tunnels = tunnels;
        Ok(ChosenTunnels { found, packets })
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
        let live = live && captures.iter().any(Source::is_pipe);
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
                && next.is_due(order, &streams)
                && let Some(source) = waiting.pop_front()
            {
                streams.push(Stream::start(source, &tunnels, threads, &flow_logs)?);
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
            let Some((stream, until)) = stream::earliest(&mut streams, next) else { continue };
            stream.lend(|head, interface, batch| {
                let room = if until.is_none() { HANDED_OVER.min(batch.len()) } else { 0 };
                let mut handed_over = Vec::with_capacity(room);
                for (mut frame, decoded) in head.rest(batch) {
                    if left == 0 || !head.is_before(&frame, until) {
                        break;
                    }
                    head.note(&frame);
                    ended.hints.add(&frame, decoded);
                    frames += 1;
                    frame.number = frames;
                    frame.interface = interface.or(frame.interface);
                    let choice = selection.choose(&frame, decoded);
                    if choice == Choice::Skipped {
                        continue;
                    }
                    let selected = choice == Choice::Reported;
                    let in_window = choice != Choice::WarmUp;
                    left -= u64::from(selected);
                    ended.selected += u64::from(selected);
                    handed_over.push(Input { frame, decoded, selected, in_window });
                    if handed_over.len() == HANDED_OVER {
                        if each(&handed_over)?.is_break() {
                            left = 0;
                            return Ok(());
                        }
                        handed_over.clear();
                    }
                }
                if each(&handed_over)?.is_break() {
                    left = 0;
                }
                Ok::<(), E>(())
            })?;
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

impl Source {
    /// When its first frame is read among those of other captures.
    fn turn(&self) -> (u64, usize) {
        (self.first_time, self.position)
    }

    /// Whether its turn may have come, so that it has to be open.
    fn is_due(&self, order: Order, streams: &[Stream]) -> bool {
        match order {
            Order::Time => streams.iter().all(|stream| stream.turn() >= self.turn()),
            Order::AsNamed => streams.is_empty(),
        }
    }

    fn is_pipe(&self) -> bool {
        let is_special = |meta: Metadata| !meta.is_file() && !meta.is_dir();
        self.path.as_os_str() == STDIN || self.path.metadata().is_ok_and(is_special)
    }

    /// Bytes of a regular file; `None` for a pipe.
    fn size(&self) -> Option<u64> {
        self.path.metadata().ok().filter(Metadata::is_file).map(|meta| meta.len())
    }

    fn name(&self) -> String {
        name(&self.path)
    }

    fn open(&self, flow_logs: &FlowLogOptions) -> Result<Capture, CaptureError> {
        match self.path.as_os_str() == STDIN {
            true => Capture::from_reader_with(&self.name(), Box::new(io::stdin()), flow_logs),
            false => Capture::open_with(&self.path, flow_logs),
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

/// Whether something in a directory that is not read may be a capture or a flow log: a directory, a file that is no
/// text, one that stands for a file elsewhere, or a text that is named as logs and captures are.
fn may_hide_traffic(path: &Path) -> bool {
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

/// Whether a file is what git-lfs leaves in the place of one.
fn is_pointer(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(32).read_to_end(&mut start));
    read.is_ok() && start.starts_with(b"version https://git-lfs")
}

/// Whether a file starts as text does, so that it is no capture of any kind.
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
