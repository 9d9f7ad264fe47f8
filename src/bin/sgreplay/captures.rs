//! The captures of a command, from its arguments.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use sgreplay::capture::{FlowLogOptions, Frame};
use sgreplay::decode::{Decoded, Tunnels};
use sgreplay::direction::Survey;
use sgreplay::filter::Filter;
use sgreplay::report::{count, plural};
use sgreplay::rules::RuleSet;
use sgreplay::session::Openings;
use sgreplay::sources::{
    ChosenTunnels, Ended, Input, Order, STDIN, Selection, SourceOptions, Sources,
};

use crate::args::CaptureArgs;
use crate::exit::Failure;
use crate::{input, signals, terminal};

/// The name of no tunnel, for those that the captures use.
const AUTO: &str = "auto";

/// Where the system does not say how many processors there are.
const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

/// The captures of a command.
pub(crate) struct Captures {
    sources: Sources,
}

impl Captures {
    /// Checks the arguments, and that every file among the captures is one.
    pub(crate) fn new(args: &CaptureArgs) -> Result<Self, Failure> {
        let paths: Vec<PathBuf> = args.positional.iter().chain(&args.read).cloned().collect();
        if paths.is_empty() {
            return Err(Failure::Usage("name a capture, or `-` for standard input".to_owned()));
        }
        if paths.iter().filter(|path| path.as_os_str() == STDIN).count() > 1 {
            return Err(Failure::Usage("standard input can be read only once".to_owned()));
        }
        let mut tunnels = Tunnels::default();
        let (auto, names): (Vec<_>, Vec<_>) =
            args.decap.iter().partition(|name| name.eq_ignore_ascii_case(AUTO));
        if !auto.is_empty() && (!names.is_empty() || args.live) {
            let message =
                "--decap auto chooses by the first packets: give it no other tunnel and no --live";
            return Err(Failure::Usage(message.to_owned()));
        }
        for name in names {
            let usage = |error| Failure::Usage(format!("--decap {name}: {error}"));
            tunnels.add(name).map_err(usage)?;
        }
        let options = SourceOptions {
            selection: Selection {
                filter: args.filter.as_deref().map(Filter::parse).transpose()?,
                since: args.since,
                until: args.until,
                count: args.count,
            },
            tunnels,
            threads: args.threads.or_else(|| available_parallelism().ok()).unwrap_or(TWO),
            order: if args.as_named { Order::AsNamed } else { Order::Time },
            live: args.live,
            flow_logs: FlowLogOptions { fields: args.fields.clone(), ..FlowLogOptions::default() },
        };
        let mut sources = Sources::open(paths, options, signals::interrupted())?;
        if !auto.is_empty() {
            terminal::say(&chosen(&sources.choose_tunnels()?));
        }
        Ok(Self { sources })
    }

    /// Says at which interface a capture was made; whether there is such a capture.
    pub(crate) fn made_at(&mut self, path: &Path, interface: &str) -> bool {
        self.sources.made_at(path, interface)
    }

    /// Says what addresses the rules' interfaces have, for logs that name interfaces.
    pub(crate) fn know_addresses(&mut self, rules: &RuleSet) {
        let known =
            rules.listed_interfaces().iter().map(|eni| (eni.id.clone(), eni.addresses.clone()));
        self.sources.know_addresses(known.collect());
    }

    /// Whether standard input is among them.
    pub(crate) fn read_stdin(&self) -> bool {
        self.sources.read_stdin()
    }

    /// Whether one of them can be read only once.
    pub(crate) fn have_pipe(&self) -> bool {
        self.sources.have_pipe()
    }

    /// Looks at the first packets of each capture: who accepts connections, and, where that is asked for, what tells the
    /// local address.
    pub(crate) fn survey(&mut self, local: bool) -> Result<(Survey, Openings), Failure> {
        let (mut survey, mut openings) = (Survey::default(), Openings::default());
        let inside = !self.tunnels().is_empty();
        self.sources.look_ahead(|frame: &Frame<'_>, decoded: &Decoded| {
            if let Decoded::Packet(packet) = decoded {
                if local {
                    survey.look(frame, packet, inside);
                }
                openings.learn(packet, frame.time_ns);
                if let Some(record) = frame.log {
                    openings.learn_record(packet, record);
                }
            }
        })?;
        Ok((survey, openings))
    }

    /// How many threads work.
    pub(crate) fn threads(&self) -> NonZeroUsize {
        self.sources.options().threads
    }

    /// The tunnels that are looked into.
    pub(crate) fn tunnels(&self) -> Tunnels {
        self.sources.options().tunnels.clone()
    }

    /// Whether all packets are reported.
    pub(crate) fn report_everything(&self) -> bool {
        self.sources.options().selection.is_everything()
    }

    /// Whether nothing of a pipe is looked at ahead of time.
    pub(crate) fn are_live(&self) -> bool {
        self.sources.options().live && self.have_pipe()
    }

    /// Reads the captures to their ends, or to the first damage in each, and hands over every packet that is
    /// judged.
    pub(crate) fn read(
        self,
        hash: bool,
        each: impl FnMut(&[Input<'_>]) -> Result<(), Failure>,
    ) -> Result<Ended, Failure> {
        let mut hashes = HashMap::new();
        for path in self.sources.paths().filter(|_| hash) {
            hashes.insert(input::name(path), input::file_sha256(path)?);
        }
        let bar = terminal::progress(self.sources.size());
        let progress = |bytes: u64, frames: u64| {
            bar.set_position(bytes);
            bar.set_message(frames.to_string());
        };
        let ended = self.sources.read(progress, each);
        bar.finish_and_clear();
        let mut ended = ended?;
        // A capture whose turn never came is not among the inputs.
        for input in &mut ended.inputs {
            input.sha256 = hashes.get(&input.path).cloned();
        }
        Ok(ended)
    }
}

/// What `--decap auto` has chosen, in words.
fn chosen(chosen: &ChosenTunnels) -> String {
    let ChosenTunnels { found, packets } = chosen;
    let names = found.iter().map(|(name, packets)| format!("{name} ({})", count(*packets)));
    let names: Vec<String> = names.collect();
    let packets = plural(*packets, "packet");
    match names.is_empty() {
        true => format!(
            "--decap auto: most of the first {packets} are no tunnel, so none is looked into"
        ),
        false => format!("--decap auto: looks inside {}, of the first {packets}", names.join(", ")),
    }
}
