//! The captures of a command, from its arguments.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::thread::available_parallelism;

use indicatif::ProgressBar;
use sgreplay::capture::FlowLogOptions;
use sgreplay::decode::Tunnels;
use sgreplay::diff::{Diff, Effect};
use sgreplay::engine::{self, Binding, Bound, BoundBoth, DiffSink, Outcome, ReplayRequest, Sink};
use sgreplay::filter::Filter;
use sgreplay::replay::Replay;
use sgreplay::report::{count, plural};
use sgreplay::rules::RuleSet;
use sgreplay::sources::{
    ChosenTunnels, Ended, Input, Order, STDIN, Selection, SourceOptions, Sources,
};
use sgreplay::verdict::Judged;

use crate::args::CaptureArgs;
use crate::exit::Failure;
use crate::{signals, terminal};

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

    /// Whether standard input is among them.
    pub(crate) fn read_stdin(&self) -> bool {
        self.sources.read_stdin()
    }

    /// Whether one of them can be read only once.
    pub(crate) fn have_pipe(&self) -> bool {
        self.sources.have_pipe()
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

    /// Finds the addresses of the rules' interfaces.
    pub(crate) fn bind(
        &mut self,
        rules: &mut RuleSet,
        binding: &Binding,
    ) -> Result<Bound, Failure> {
        Ok(engine::bind(rules, &mut self.sources, binding)?)
    }

    /// The same of two rule sets.
    pub(crate) fn bind_both(
        &mut self,
        both: (&mut RuleSet, &mut RuleSet),
        binding: &Binding,
    ) -> Result<BoundBoth, Failure> {
        Ok(engine::bind_both(both, &mut self.sources, binding)?)
    }

    /// Judges every packet.
    pub(crate) fn replay(
        self,
        rules: &RuleSet,
        bound: Bound,
        request: ReplayRequest,
        sink: impl Sink<Error = Failure>,
    ) -> Result<Outcome<Replay<'_>>, Failure> {
        let mut sink = Watched { bar: terminal::progress(self.sources.size()), sink };
        let outcome = engine::replay(rules, self.sources, bound, request, &mut sink);
        sink.bar.finish_and_clear();
        outcome
    }

    /// Judges every packet by two rule sets.
    pub(crate) fn compare<'r>(
        self,
        both: (&'r RuleSet, &'r RuleSet),
        bound: BoundBoth,
        request: ReplayRequest,
        sink: impl DiffSink<Error = Failure>,
    ) -> Result<Outcome<Diff<'r>>, Failure> {
        let mut sink = Watched { bar: terminal::progress(self.sources.size()), sink };
        let outcome = engine::compare(both, self.sources, bound, request, &mut sink);
        sink.bar.finish_and_clear();
        outcome
    }

    /// Reads the captures to their ends, or to the first damage in each, without judging.
    pub(crate) fn read(
        self,
        mut each: impl FnMut(&[Input<'_>]) -> Result<(), Failure>,
    ) -> Result<Ended, Failure> {
        let bar = terminal::progress(self.sources.size());
        let ended = self.sources.read(
            |bytes, frames| show(&bar, bytes, frames),
            |inputs| each(inputs).map(ControlFlow::Continue),
        );
        bar.finish_and_clear();
        ended
    }
}

/// A sink beside which the user is shown how far reading is.
struct Watched<S> {
    bar: ProgressBar,
    sink: S,
}

fn show(bar: &ProgressBar, bytes: u64, frames: u64) {
    bar.set_position(bytes);
    bar.set_message(frames.to_string());
}

impl<S: Sink> Sink for Watched<S> {
    type Error = S::Error;

    fn frame(&mut self, input: &Input<'_>, judged: &Judged) -> Result<ControlFlow<()>, S::Error> {
        self.sink.frame(input, judged)
    }

    fn pause(&mut self, replay: &Replay<'_>) -> Result<(), S::Error> {
        self.sink.pause(replay)
    }

    fn progress(&mut self, bytes: u64, frames: u64) {
        show(&self.bar, bytes, frames);
    }
}

impl<S: DiffSink> DiffSink for Watched<S> {
    type Error = S::Error;

    fn frame(
        &mut self,
        input: &Input<'_>,
        judged: [&Judged; 2],
        effect: Effect,
    ) -> Result<ControlFlow<()>, S::Error> {
        self.sink.frame(input, judged, effect)
    }

    fn pause(&mut self, diff: &mut Diff<'_>) -> Result<(), S::Error> {
        self.sink.pause(diff)
    }

    fn progress(&mut self, bytes: u64, frames: u64) {
        show(&self.bar, bytes, frames);
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
