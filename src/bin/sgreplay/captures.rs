//! The captures of a command, read as one stream of the packets that its options choose.

use std::collections::VecDeque;
use std::fs::Metadata;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use sgreplay::ahead::{Ahead, DecodedBatch, Next};
use sgreplay::capture::{Capture, CaptureError, Frame, LinkType};
use sgreplay::decode::{Decoded, Tunnels, Undecodable, Why, decode_inside};
use sgreplay::direction::Survey;
use sgreplay::filter::Filter;
use sgreplay::flow::{Packet, Protocol};
use sgreplay::report::CaptureInput;
use sgreplay::session::Openings;

use crate::args::CaptureArgs;
use crate::exit::Failure;
use crate::input::{STDIN, file_sha256, name};
use crate::terminal;

/// How far a survey looks into each capture.
const SURVEY_FRAMES: u64 = 1 << 14;
const SURVEY_BYTES: u64 = 16 << 20;

/// Which packets of a capture are looked at.
#[derive(Debug)]
pub(crate) struct Selection {
    filter: Option<Filter>,
    since: u64,
    until: u64,
    left: u64,
}

impl Selection {
    fn new(args: &CaptureArgs) -> Result<Self, Failure> {
        Ok(Self {
            filter: args.filter.as_deref().map(Filter::parse).transpose()?,
            since: args.since.unwrap_or(0),
            until: args.until.unwrap_or(u64::MAX),
            left: args.count.unwrap_or(u64::MAX),
        })
    }

    #[inline]
    fn chooses(&self, frame: &Frame<'_>, decoded: &Decoded) -> bool {
        let in_time = frame.time_ns.is_none_or(|time| self.since <= time && time < self.until);
        in_time && self.filter.as_ref().is_none_or(|filter| filter.matches(decoded.packet()))
    }
}

/// Where the system does not say how many processors there are.
const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

/// The most frames that are handed on at once: few enough to stay in a near cache.
const HANDED_ON: usize = 256;
/// How long to wait for a pipe before looking at whether the user wants to stop.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long an interrupted run still listens to a pipe.
const GRACE: Duration = Duration::from_millis(500);

/// The captures of a command.
pub(crate) struct Captures {
    sources: Vec<Source>,
    /// By time; else one after the other.
    merge: bool,
    selection: Selection,
    tunnels: Tunnels,
    threads: NonZeroUsize,
    interrupted: Arc<AtomicBool>,
}

struct Source {
    path: PathBuf,
    /// The interface that its frames were captured at, whatever they say themselves.
    interface: Option<String>,
    /// Being read already: a pipe that a survey has looked into.
    started: Option<Ahead>,
}

/// How a run over captures ended.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// What was read, in the order in which it was named.
    pub inputs: Vec<CaptureInput>,
    /// The first link type that is not read.
    pub unsupported_link: Option<LinkType>,
    /// Packets that are VXLAN and were not looked into.
    pub vxlan: u64,
    /// What ended captures before their time, in the same order.
    pub damage: Vec<CaptureError>,
    /// The user stopped it.
    pub interrupted: bool,
}

impl Captures {
    /// Checks the arguments, and that every file among the captures is one.
    pub(crate) fn new(args: &CaptureArgs) -> Result<Self, Failure> {
        let paths: Vec<&PathBuf> = args.positional.iter().chain(&args.read).collect();
        if paths.is_empty() {
            return Err(Failure::Usage("name a capture, or `-` for standard input".to_owned()));
        }
        if paths.iter().filter(|path| path.as_os_str() == STDIN).count() > 1 {
            return Err(Failure::Usage("standard input can be read only once".to_owned()));
        }
        let sources = paths.into_iter().map(|path| Source {
            path: path.clone(),
            interface: None,
            started: None,
        });
        let sources: Vec<Source> = sources.collect();
        let mut tunnels = Tunnels::default();
        for name in &args.decap {
            let usage = |error| Failure::Usage(format!("--decap {name}: {error}"));
            tunnels.add(name).map_err(usage)?;
        }
        // What cannot be opened is said before anything is printed. A pipe can be opened only once.
        for source in sources.iter().filter(|source| !source.is_pipe()) {
            source.open()?;
        }
        Ok(Self {
            sources,
            merge: args.merge,
            selection: Selection::new(args)?,
            tunnels,
            threads: args.threads.or_else(|| available_parallelism().ok()).unwrap_or(TWO),
            interrupted: interrupt().unwrap_or_default(),
        })
    }

    /// Says at which interface a capture was made; whether there is such a capture.
    pub(crate) fn made_at(&mut self, path: &Path, interface: &str) -> bool {
        let source = self.sources.iter_mut().find(|source| source.path == path);
        source.map(|source| source.interface = Some(interface.to_owned())).is_some()
    }

    /// Whether standard input is among them.
    pub(crate) fn read_stdin(&self) -> bool {
        self.sources.iter().any(|source| source.path.as_os_str() == STDIN)
    }

    /// Whether one of them can be read only once.
    pub(crate) fn have_pipe(&self) -> bool {
        self.sources.iter().any(Source::is_pipe)
    }

    /// Whether a path names one of them.
    pub(crate) fn include(&self, path: &Path) -> bool {
        let wanted = path.canonicalize().ok();
        wanted.is_some()
            && self.sources.iter().any(|source| source.path.canonicalize().ok() == wanted)
    }

    /// Looks at the first packets of each capture, which is then read again from its start. Of a pipe
    /// what was seen has to be kept, and waited for, so one is looked into only if `pipes` says so.
    pub(crate) fn survey(&mut self, pipes: bool) -> Result<(Survey, Openings), Failure> {
        let (mut survey, mut openings) = (Survey::default(), Openings::default());
        let selection = &self.selection;
        for source in &mut self.sources {
            let mut look = |frame: &Frame<'_>, decoded: &Decoded| {
                if let (Decoded::Packet(packet), true) =
                    (decoded, selection.chooses(frame, decoded))
                {
                    survey.look(frame, packet);
                    openings.learn(packet, frame.time_ns.unwrap_or_default());
                    if let Some(record) = frame.log {
                        openings.learn_record(packet, record);
                    }
                }
            };
            if source.size().is_some() {
                let mut capture = Capture::open(&source.path)?;
                while capture.frames() < SURVEY_FRAMES && capture.offset() < SURVEY_BYTES {
                    // Damage is for the second reading to report.
                    match capture.next_frame() {
                        Ok(Some(frame)) => {
                            look(&frame, &decode_inside(frame.link, frame.data, &self.tunnels));
                        }
                        Ok(None) | Err(_) => break,
                    }
                }
            } else if pipes {
                let mut ahead = Ahead::new(source.open()?, self.tunnels.clone(), self.threads);
                let (mut seen, mut frames, mut bytes) = (Vec::new(), 0, 0);
                while frames < SURVEY_FRAMES
                    && bytes < SURVEY_BYTES
                    && !self.interrupted.load(Ordering::Relaxed)
                {
                    let next = ahead.next_batch(PATIENCE);
                    let last = matches!(next, Next::Damage(_) | Next::End);
                    if let Next::Batch(batch) = &next {
                        batch.frames_from(0).for_each(|(frame, decoded)| look(&frame, decoded));
                        (frames, bytes) = (frames + batch.len() as u64, batch.offset());
                    }
                    seen.push(next);
                    if last {
                        break;
                    }
                }
                ahead.put_back(seen);
                source.started = Some(ahead);
            }
        }
        Ok((survey, openings))
    }

    /// How many threads work.
    pub(crate) fn threads(&self) -> NonZeroUsize {
        self.threads
    }

    /// The tunnels that are looked into.
    pub(crate) fn tunnels(&self) -> Tunnels {
        self.tunnels.clone()
    }

    /// Reads the captures to their ends, or to the first damage in each, and hands over the chosen
    /// packets. Frame numbers count the frames of all captures, in the order in which they are read.
    pub(crate) fn read(
        self,
        hash: bool,
        mut each: impl FnMut(&[(Frame<'_>, &Decoded)]) -> Result<(), Failure>,
    ) -> Result<Ended, Failure> {
        let Self { sources, merge, mut selection, tunnels, threads, interrupted } = self;
        let progress = terminal::progress(sources.iter().map(Source::size).sum());
        let at_once = if merge { sources.len() } else { 1 };
        let mut sources = VecDeque::from(sources);
        let mut streams: Vec<Stream> = Vec::new();
        let (mut ended, mut frames, mut stop_at) = (Ended::default(), 0, None);
        while selection.left > 0 && !ended.interrupted {
            while streams.iter().filter(|stream| !stream.ended).count() < at_once
                && let Some(source) = sources.pop_front()
            {
                streams.push(Stream::start(source, &tunnels, threads, hash)?);
            }
            if interrupted.load(Ordering::Relaxed) {
                // Whoever writes to a pipe is told to stop too, and may have a last word to say.
                let is_live = |stream: &Stream| stream.is_pipe && !stream.ended;
                let grace = if streams.iter().any(is_live) { GRACE } else { Duration::ZERO };
                let stop_at = *stop_at.get_or_insert_with(|| Instant::now() + grace);
                ended.interrupted = Instant::now() >= stop_at;
                for stream in &mut streams {
                    stream.ahead.hurry();
                }
            }
            if !streams.iter_mut().all(Stream::fill) {
                continue;
            }
            let Some((turn, until)) = turn(&streams) else {
                match sources.is_empty() {
                    true => break,
                    false => continue,
                }
            };
            let Some(stream) = streams.get_mut(turn) else { break };
            let Some(batch) = stream.batch.take() else { break };
            // Alone, a stream hands on many at once; among others, often a frame or two.
            let room = if until == NEVER { HANDED_ON.min(batch.len() - stream.taken) } else { 0 };
            let mut chosen = Vec::with_capacity(room);
            for (mut frame, decoded) in batch.frames_from(stream.taken) {
                stream.time = frame.time_ns.unwrap_or(stream.time);
                if selection.left == 0 || (stream.time, turn) >= until {
                    break;
                }
                stream.taken += 1;
                stream.input.frames += 1;
                frames += 1;
                frame.number = frames;
                frame.interface = stream.interface.as_ref().or(frame.interface);
                if selection.chooses(&frame, decoded) {
                    selection.left -= 1;
                    ended.notice(&frame, decoded);
                    chosen.push((frame, decoded));
                    if chosen.len() == HANDED_ON {
                        each(&chosen)?;
                        chosen.clear();
                    }
                }
            }
            each(&chosen)?;
            stream.input.size = batch.offset();
            if stream.taken == batch.len() {
                stream.ahead.recycle(batch);
            } else {
                stream.batch = Some(batch);
            }
            progress.set_position(streams.iter().map(|stream| stream.input.size).sum());
            progress.set_message(frames.to_string());
        }
        progress.finish_and_clear();
        for mut stream in streams {
            stream.input.dropped = stream.ahead.drops();
            stream.input.flow_log = stream.ahead.flow_log();
            ended.inputs.push(stream.input);
            ended.damage.extend(stream.damage);
        }
        Ok(ended)
    }
}

impl Ended {
    fn notice(&mut self, frame: &Frame<'_>, decoded: &Decoded) {
        match decoded {
            Decoded::Packet(packet) => self.vxlan += u64::from(is_vxlan(packet)),
            Decoded::Not(Undecodable { why: Why::UnsupportedLink, .. }) => {
                self.unsupported_link.get_or_insert(frame.link);
            }
            Decoded::Not(_) => {}
        }
    }
}

/// A capture being read.
struct Stream {
    ahead: Ahead,
    interface: Option<String>,
    is_pipe: bool,
    /// Frames that have come, and how many of them were handed on.
    batch: Option<DecodedBatch>,
    taken: usize,
    /// The time of the next frame; that of the one before, where it has none.
    time: u64,
    ended: bool,
    input: CaptureInput,
    damage: Option<CaptureError>,
}

impl Stream {
    fn start(
        source: Source,
        tunnels: &Tunnels,
        threads: NonZeroUsize,
        hash: bool,
    ) -> Result<Self, Failure> {
        let input = CaptureInput {
            path: name(&source.path),
            sha256: if hash { file_sha256(&source.path) } else { None },
            ..CaptureInput::default()
        };
        Ok(Self {
            is_pipe: source.size().is_none(),
            ahead: match source.started {
                Some(ahead) => ahead,
                None => Ahead::new(source.open()?, tunnels.clone(), threads),
            },
            interface: source.interface,
            batch: None,
            taken: 0,
            time: 0,
            ended: false,
            input,
            damage: None,
        })
    }

    /// Makes sure that there are frames, or none to come. Returns `false` while it is not known.
    fn fill(&mut self) -> bool {
        if self.ended || self.batch.is_some() {
            return true;
        }
        match self.ahead.next_batch(PATIENCE) {
            Next::NotYet => return false,
            Next::Batch(batch) => {
                let first = batch.frames_from(0).next();
                self.time = first.and_then(|(frame, _)| frame.time_ns).unwrap_or(self.time);
                (self.batch, self.taken) = (Some(batch), 0);
            }
            Next::Damage(error) => {
                self.input.error = Some(error.to_string());
                self.damage = Some(error);
                self.ended = true;
            }
            Next::End => self.ended = true,
        }
        true
    }
}

/// After every frame of every stream.
const NEVER: (u64, usize) = (u64::MAX, usize::MAX);

/// The stream whose frame is the earliest, and the time and place of the next one after it. Between
/// equals the capture that was named first goes first.
fn turn(streams: &[Stream]) -> Option<(usize, (u64, usize))> {
    let ready = streams.iter().enumerate().filter(|(_, stream)| stream.batch.is_some());
    let mut heads: Vec<(u64, usize)> = ready.map(|(place, stream)| (stream.time, place)).collect();
    heads.sort_unstable();
    let (_, turn) = *heads.first()?;
    Some((turn, heads.get(1).copied().unwrap_or(NEVER)))
}

impl Source {
    fn is_pipe(&self) -> bool {
        let is_special = |meta: Metadata| !meta.is_file() && !meta.is_dir();
        self.path.as_os_str() == STDIN || self.path.metadata().is_ok_and(is_special)
    }

    /// Bytes of a regular file; `None` for a pipe.
    fn size(&self) -> Option<u64> {
        self.path.metadata().ok().filter(Metadata::is_file).map(|meta| meta.len())
    }

    fn open(&self) -> Result<Capture, Failure> {
        Ok(match self.path.as_os_str() == STDIN {
            true => Capture::from_reader(&name(&self.path), Box::new(io::stdin()))?,
            false => Capture::open(&self.path)?,
        })
    }
}

fn is_vxlan(packet: &Packet) -> bool {
    let port = packet.flow.transport.ports().map(|(_, dst)| dst);
    packet.flow.proto == Protocol::UDP && port == Some(Tunnels::VXLAN_PORT)
}

/// A flag that an interrupt sets; a second one ends the program at once.
fn interrupt() -> io::Result<Arc<AtomicBool>> {
    use signal_hook::consts::SIGINT;
    let flag = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register_conditional_shutdown(SIGINT, 130, Arc::clone(&flag))?;
    signal_hook::flag::register(SIGINT, Arc::clone(&flag))?;
    Ok(flag)
}
