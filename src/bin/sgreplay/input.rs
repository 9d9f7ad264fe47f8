//! Captures and rules files, as the user names them.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sgreplay::ahead::{Ahead, Next};
use sgreplay::capture::{Capture, CaptureError, Frame, LinkType};
use sgreplay::decode::{Decoded, Tunnels, Undecodable, Why, decode_inside};
use sgreplay::direction::Survey;
use sgreplay::filter::Filter;
use sgreplay::flow::{Packet, Protocol};
use sgreplay::parse;
use sgreplay::report::{CaptureInput, RulesInput};
use sgreplay::rules::RuleSet;
use sgreplay::session::Openings;
use sha2::{Digest, Sha256};

use crate::args::CaptureArgs;
use crate::exit::Failure;
use crate::terminal;

const STDIN: &str = "-";
/// Rules files are read whole; none that people write comes near this.
const LARGEST_RULES: u64 = 64 << 20;
/// How far a survey looks into each capture.
const SURVEY_FRAMES: u64 = 1 << 14;
const SURVEY_BYTES: u64 = 16 << 20;

/// Reads the rules.
pub(crate) fn rules(path: &Path) -> Result<(RuleSet, RulesInput), Failure> {
    let name = name(path);
    let usage = |error: &str| Failure::Usage(format!("{name}: {error}"));
    let read = |source: &mut dyn Read| -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        source.take(LARGEST_RULES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = if path.as_os_str() == STDIN {
        read(&mut io::stdin().lock())
    } else {
        File::open(path).and_then(|mut file| read(&mut file))
    };
    let bytes = bytes.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => usage("no such file"),
        io::ErrorKind::PermissionDenied => usage("permission denied"),
        io::ErrorKind::IsADirectory => usage("is a directory; name the rules file in it"),
        _ => usage(&error.to_string()),
    })?;
    if Capture::recognises(&bytes) {
        return Err(usage("is a capture; rules come with --rules, captures alone"));
    }
    if bytes.len() as u64 > LARGEST_RULES {
        return Err(usage("has more than 64 MiB; a rules file is text written by people"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        usage(&format!("byte {at} is not UTF-8 text"))
    })?;
    let sha256 = hex(&Sha256::digest(text.as_bytes()));
    Ok((parse::yaml(&name, &text)?, RulesInput { path: name, sha256 }))
}

fn name(path: &Path) -> String {
    if path.as_os_str() == STDIN { "standard input".to_owned() } else { path.display().to_string() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

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

/// How long to wait for a pipe before looking at whether the user wants to stop.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long an interrupted run still listens to a pipe.
const GRACE: Duration = Duration::from_millis(500);

/// The captures of a command, one after the other.
pub(crate) struct Captures {
    sources: Vec<Source>,
    selection: Selection,
    tunnels: Tunnels,
    interrupted: Arc<AtomicBool>,
}

struct Source {
    path: PathBuf,
    /// Being read already: a pipe that a survey has looked into.
    started: Option<Ahead>,
}

/// How a run over captures ended.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// What was read.
    pub inputs: Vec<CaptureInput>,
    /// The first link type that is not read.
    pub unsupported_link: Option<LinkType>,
    /// Packets that are VXLAN and were not looked into.
    pub vxlan: u64,
    /// A capture broke off in the middle.
    pub truncated: bool,
    /// A capture is damaged.
    pub damage: Option<CaptureError>,
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
        let sources = paths.into_iter().map(|path| Source { path: path.clone(), started: None });
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
            selection: Selection::new(args)?,
            tunnels,
            interrupted: interrupt().unwrap_or_default(),
        })
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
                let mut ahead = Ahead::new(source.open()?, self.tunnels.clone());
                let (mut seen, mut frames, mut bytes) = (Vec::new(), 0, 0);
                while frames < SURVEY_FRAMES
                    && bytes < SURVEY_BYTES
                    && !self.interrupted.load(Ordering::Relaxed)
                {
                    let next = ahead.next_batch(PATIENCE);
                    let last = matches!(next, Next::Damage(_) | Next::End);
                    if let Next::Batch(batch) = &next {
                        batch.frames().for_each(|(frame, decoded)| look(&frame, decoded));
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

    /// Reads the captures to their ends, or to the first damage, and hands over the chosen packets.
    /// Frame numbers run on from one capture to the next.
    pub(crate) fn read(
        self,
        hash: bool,
        mut each: impl FnMut(&[(Frame<'_>, &Decoded)]) -> Result<(), Failure>,
    ) -> Result<Ended, Failure> {
        let Self { sources, mut selection, tunnels, interrupted } = self;
        let progress = terminal::progress(sources.iter().map(Source::size).sum());
        let (mut ended, mut frames_before, mut bytes_before) = (Ended::default(), 0, 0);
        for source in sources {
            let mut input = CaptureInput { path: name(&source.path), ..CaptureInput::default() };
            // Whoever writes to a pipe is told to stop too, and may have a last word to say.
            let grace = source.size().map_or(GRACE, |_| Duration::ZERO);
            let mut stop_at = None;
            input.sha256 = if hash { file_sha256(&source.path) } else { None };
            let mut ahead = match source.started {
                Some(ahead) => ahead,
                None => Ahead::new(source.open()?, tunnels.clone()),
            };
            while selection.left > 0 && !ended.interrupted {
                if interrupted.load(Ordering::Relaxed) {
                    let stop_at = *stop_at.get_or_insert_with(|| Instant::now() + grace);
                    ended.interrupted = Instant::now() >= stop_at;
                }
                let batch = match ahead.next_batch(PATIENCE) {
                    Next::Batch(batch) => batch,
                    Next::NotYet => continue,
                    Next::Damage(error) => {
                        input.error = Some(error.to_string());
                        ended.truncated |= error.is_truncation();
                        ended.damage = Some(error);
                        break;
                    }
                    Next::End => break,
                };
                let mut chosen = Vec::with_capacity(batch.len());
                for (mut frame, decoded) in batch.frames() {
                    if selection.left == 0 {
                        break;
                    }
                    input.frames = frame.number;
                    frame.number += frames_before;
                    if selection.chooses(&frame, decoded) {
                        selection.left -= 1;
                        match decoded {
                            Decoded::Packet(packet) => ended.vxlan += u64::from(is_vxlan(packet)),
                            Decoded::Not(Undecodable { why: Why::UnsupportedLink, .. }) => {
                                ended.unsupported_link.get_or_insert(frame.link);
                            }
                            Decoded::Not(_) => {}
                        }
                        chosen.push((frame, decoded));
                    }
                }
                each(&chosen)?;
                input.size = batch.offset();
                progress.set_position(bytes_before + input.size);
                progress.set_message((frames_before + input.frames).to_string());
                ahead.recycle(batch);
            }
            frames_before += input.frames;
            bytes_before += input.size;
            ended.inputs.push(input);
            if ended.damage.is_some() || ended.interrupted || selection.left == 0 {
                break;
            }
        }
        progress.finish_and_clear();
        Ok(ended)
    }
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

fn file_sha256(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).ok()? {
            0 => return Some(hex(&hash.finalize())),
            n => hash.update(buffer.get(..n)?),
        }
    }
}

/// A flag that an interrupt sets; a second one ends the program at once.
fn interrupt() -> io::Result<Arc<AtomicBool>> {
    use signal_hook::consts::SIGINT;
    let flag = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register_conditional_shutdown(SIGINT, 130, Arc::clone(&flag))?;
    signal_hook::flag::register(SIGINT, Arc::clone(&flag))?;
    Ok(flag)
}
