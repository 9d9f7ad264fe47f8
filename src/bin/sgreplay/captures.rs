//! The captures of a command, from its arguments.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::available_parallelism;

use jiff::civil::DateTime;
use sgreplay::capture::{FlowLogFields, FlowLogOptions};
use sgreplay::decode::Tunnels;
use sgreplay::diff::Diff;
use sgreplay::engine::{self, Binding, Bound, BoundBoth, DiffSink, Outcome, ReplayRequest, Sink};
use sgreplay::filter::Filter;
use sgreplay::replay::Replay;
use sgreplay::report::{self, count, plural};
use sgreplay::rules::RuleSet;
use sgreplay::sources::{
    ChosenTunnels, Ended, Input, Order, STDIN, Selection, SourceOptions, Sources,
};

use crate::args::whole;
use crate::exit::Failure;
use crate::{signals, terminal};

/// Which packets.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct CaptureArgs {
    /// Captures or flow logs: files, directories, or `-` for standard input
    ///
    /// pcap, pcapng, snoop and other formats are recognised by content, compressed with gzip, zstd, xz, bzip2 or
    /// lz4, and in tar archives. Several are read in the order of their packets' times.
    #[arg(value_name = "CAPTURE")]
    pub positional: Vec<PathBuf>,
    /// Read this capture, as in tcpdump
    #[arg(short, long, value_name = "CAPTURE", help_heading = "Input", hide_short_help = true)]
    pub read: Vec<PathBuf>,
    /// Read captures in the order given, not by time
    ///
    /// Read captures in the order given. Without it they are merged by the times of their packets.
    #[arg(long, help_heading = "Input", hide_short_help = true)]
    pub as_named: bool,
    /// Merge captures by time, which is the default
    #[arg(short = 'm', long, hide = true, conflicts_with = "as_named")]
    pub merge: bool,
    /// Judge a pipe as its packets arrive
    ///
    /// Judge a pipe as its packets arrive, for a stream that does not end. Nothing is inferred from later packets,
    /// so --local is needed. `replay` without --per prints a row for each connection as it opens, as text or with
    /// -f ndjson, and the summary at the end or on Ctrl-C.
    #[arg(long, help_heading = "Input")]
    pub live: bool,
    /// Report only packets that match a pcap-filter expression
    ///
    /// Report only packets that match a pcap-filter expression: 'tcp port 443 and net 10.0.0.0/8'. Packets that do
    /// not match still open and close sessions.
    #[arg(long, value_name = "FILTER", help_heading = "Selection")]
    pub filter: Option<String>,
    /// Judge the packet inside a tunnel, e.g. vxlan
    ///
    /// Judge the packet inside a tunnel: vxlan, geneve, erspan or tzsp (as traffic mirrors deliver them),
    /// vxlan-gpe, gre, nsh, ipip, gtpu. A port may follow, as in vxlan:8472. May be repeated. `auto` takes those
    /// that most packets are.
    #[arg(long, value_name = "TUNNEL", value_delimiter = ',', help_heading = "Input")]
    pub decap: Vec<String>,
    /// Name the columns of an AWS flow log without a header
    ///
    /// Name the columns of an AWS flow log without a header, as its `LogFormat` names them: 'version srcaddr
    /// dstaddr …' or '${version} ${srcaddr} …'
    #[arg(long, value_name = "NAMES", help_heading = "Input", hide_short_help = true)]
    pub fields: Option<FlowLogFields>,
    /// Stop after N reported packets
    #[arg(short, long, value_name = "N", value_parser = whole::<u64>, help_heading = "Selection")]
    pub count: Option<u64>,
    /// Report only packets from this time on
    ///
    /// Report only packets from this time on: 2026-11-23T14:00:00Z, '2026-11-23 14:00:00' (UTC, or --timezone), or seconds since
    /// 1970. Packets before it still open sessions.
    #[arg(long, value_name = "TIME", value_parser = time, help_heading = "Selection")]
    pub since: Option<Time>,
    /// Report only packets before this time
    #[arg(long, value_name = "TIME", value_parser = time, help_heading = "Selection")]
    pub until: Option<Time>,
    /// Use N threads [default: one per processor]
    ///
    /// Use N threads [default: one per processor]. One thread reads and judges in turns, from two on one
    /// reads while the others judge, from three on another decodes; up to eight judge. The result is the same for any
    /// number.
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroUsize>, help_heading = "Input", hide_short_help = true)]
    pub threads: Option<NonZeroUsize>,
    /// Of who runs commands in a process that has signals and a terminal of its own
    #[arg(skip)]
    pub host: Option<Host>,
}

/// What a process that is no program of its own has instead of signals and a terminal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Host {
    /// Ends the run early once it is set.
    pub interrupted: Arc<AtomicBool>,
    /// Whether to show how far reading is.
    pub progress: bool,
}

impl CaptureArgs {
    /// Whether a capture is named.
    pub(crate) fn any(&self) -> bool {
        !self.positional.is_empty() || !self.read.is_empty()
    }

    /// The first option that is about a capture's packets, if one is given.
    pub(crate) fn chosen(&self) -> Option<&'static str> {
        let given = [
            (self.as_named, "--as-named"),
            (self.live, "--live"),
            (self.filter.is_some(), "--filter"),
            (!self.decap.is_empty(), "--decap"),
            (self.fields.is_some(), "--fields"),
            (self.count.is_some(), "--count"),
            (self.since.is_some(), "--since"),
            (self.until.is_some(), "--until"),
        ];
        given.into_iter().find(|(given, _)| *given).map(|(_, name)| name)
    }
}

/// A point in time, as it was typed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Time {
    /// Nanoseconds since the epoch.
    Known(u64),
    /// In the zone of `--timezone`.
    Civil(DateTime),
}

impl Time {
    fn nanoseconds(self) -> Result<u64, Failure> {
        let zoned = match self {
            Self::Known(ns) => return Ok(ns),
            Self::Civil(time) => time.to_zoned_datetime(report::time_zone()).ok(),
        };
        let ns = zoned.and_then(|zoned| u64::try_from(zoned.timestamp().as_nanosecond()).ok());
        ns.ok_or_else(|| {
            Failure::Usage("--since and --until: expected a time from 1970 to 2554".to_owned())
        })
    }
}

fn time(text: &str) -> Result<Time, String> {
    let expected = "expected 2026-11-23T14:00:00Z, '2026-11-23 14:00:00' (UTC, or --timezone) or seconds since 1970";
    if let Some((seconds, fraction)) = text.split_once('.').or(Some((text, "")))
        && let Ok(seconds) = seconds.parse::<u64>()
        && fraction.len() <= 9
        && fraction.chars().all(|c| c.is_ascii_digit())
    {
        let fraction: u64 = format!("{fraction:0<9}").parse().unwrap_or_default();
        return seconds
            .checked_mul(1_000_000_000)
            .and_then(|ns| ns.checked_add(fraction))
            .map(Time::Known)
            .ok_or(expected.to_owned());
    }
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => u64::try_from(time.as_nanosecond()).map(Time::Known).ok(),
        Err(_) => text.parse().map(Time::Civil).ok(),
    }
    .ok_or_else(|| expected.to_owned())
}

/// The name of no tunnel, for those that the captures use.
const AUTO: &str = "auto";

/// Where the system does not say how many processors there are.
const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

/// The captures of a command.
pub(crate) struct Captures {
    sources: Sources,
    progress: bool,
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
                since: args.since.map(Time::nanoseconds).transpose()?,
                until: args.until.map(Time::nanoseconds).transpose()?,
                count: args.count,
            },
            tunnels,
            threads: args.threads.or_else(|| available_parallelism().ok()).unwrap_or(TWO),
            order: if args.as_named { Order::AsNamed } else { Order::Time },
            live: args.live,
            flow_logs: FlowLogOptions { fields: args.fields.clone(), ..FlowLogOptions::default() },
        };
        let interrupted = match &args.host {
            Some(host) => Arc::clone(&host.interrupted),
            None => signals::interrupted(),
        };
        let mut sources = Sources::open(paths, options, interrupted)?;
        if !auto.is_empty() {
            terminal::say(&chosen(&sources.choose_tunnels()?));
        }
        let progress = args.host.as_ref().map_or(!terminal::is_quiet(), |host| host.progress);
        // What comes live has no end to be near to, and its rows are printed as they come.
        let progress = progress && !args.live;
        Ok(Self { sources, progress })
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
    pub(crate) fn replay<'r>(
        self,
        rules: &'r RuleSet,
        bound: Bound,
        request: ReplayRequest,
        sink: &mut impl Sink<Error = Failure>,
    ) -> Result<Outcome<Replay<'r>>, Failure> {
        self.watched(|sources| engine::replay(rules, sources, bound, request, sink))
    }

    /// Judges every packet by two rule sets.
    pub(crate) fn compare<'r>(
        self,
        both: (&'r RuleSet, &'r RuleSet),
        bound: BoundBoth,
        request: ReplayRequest,
        sink: &mut impl DiffSink<Error = Failure>,
    ) -> Result<Outcome<Diff<'r>>, Failure> {
        self.watched(|sources| engine::compare(both, sources, bound, request, sink))
    }

    /// Reads the captures to their ends, or to the first damage in each, without judging.
    pub(crate) fn read(
        self,
        mut each: impl FnMut(&[Input<'_>]) -> Result<(), Failure>,
    ) -> Result<Ended, Failure> {
        self.watched(|sources| sources.read(|inputs| each(inputs).map(ControlFlow::Continue)))
    }

    /// Shows the user how far reading is.
    fn watched<T>(mut self, run: impl FnOnce(Sources) -> T) -> T {
        let bar = terminal::progress(self.sources.size(), self.progress);
        let shown = bar.clone();
        self.sources.on_progress(move |bytes, frames| {
            shown.set_position(bytes);
            shown.set_message(frames.to_string());
        });
        let result = run(self.sources);
        bar.finish_and_clear();
        result
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
