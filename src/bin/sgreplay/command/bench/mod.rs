//! `sgreplay bench`: what replaying takes, stage by stage, on somebody's own rules and traffic.

mod args;

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use sgreplay::capture::{Batch, Capture};
use sgreplay::decode::{Decoded, decode};
use sgreplay::direction::{ENDS, Interfaces};
use sgreplay::engine::{Binding, RulesRequest, read_text};
use sgreplay::evaluate::{Compiled, Evaluator, Reference};
use sgreplay::flow::{Direction, FlowTuple};
use sgreplay::replay::{Options, Replay, Workers};
use sgreplay::report::{NotComparable, Stage, StageChange, Timings};
use sgreplay::rules::{EntryIndex, Ordered, RuleSet};
use sgreplay::session::Openings;
use sgreplay::sources::Input;

use super::{judging, pretty};
use crate::args::TextOrJson;
use crate::captures::{CaptureArgs, Captures};
use crate::exit::{ExitStatus, Failure};
use crate::output::{Output, Outputs, stdout};
use crate::{input, terminal};
pub(crate) use args::{BenchArgs, BenchFailOn};

/// Captures with fewer packets are gone through as often as it takes to come to so many, or to pass the time.
const FEWEST_PACKETS: u64 = 100_000;
/// A capture of three packets would take minutes to come to so many.
const LONGEST: Duration = Duration::from_secs(2);
/// The list is asked for no more packets than this: it may be a thousand times slower than the rest.
const MOST_LISTED: u64 = 100_000;

/// The stages that one thread goes through, in the order of a packet's way.
const STAGES: [&str; 6] = ["read", "decode", "list", "index", "index, batch", "session"];

pub(crate) fn run(args: &BenchArgs, outputs: &mut Outputs) -> Result<ExitStatus, Failure> {
    let capture_args = CaptureArgs {
        positional: args.captures.clone(),
        threads: args.threads,
        ..CaptureArgs::default()
    };
    let mut captures = Captures::new(&capture_args)?;
    if captures.have_pipe() {
        let message = "bench reads the captures several times, which a pipe does not allow";
        return Err(Failure::Usage(message.to_owned()));
    }
    if args.fail_on.is_some() && args.compare.is_none() {
        return Err(Failure::Usage("--fail-on needs --compare: slower than what?".to_owned()));
    }
    let saved = args.compare.as_deref().map(read_text).transpose()?;
    let not_comparable = |error: NotComparable| {
        let path = args.compare.as_deref().map(input::name).unwrap_or_default();
        Failure::Usage(format!("{path} {error}"))
    };
    let saved = saved.as_deref().map(Timings::saved).transpose().map_err(not_comparable)?;
    let save = outputs.create("save")?;
    let (mut rules, rules_input) = input::rules(&args.rules, &RulesRequest::default())?;
    judging::can_judge(&rules, &rules_input.path, &[])?;
    let binding = Binding { local: args.local.clone(), ..Binding::default() };
    let openings = captures.bind(&mut rules, &binding)?.openings;
    let bytes = |size: ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
    let options = Options::default().with_index_memory(bytes(args.index_memory));

    let names = args.captures.iter().map(|path| input::name(path)).collect();
    let threads = captures.threads().get();
    let mut timings = Timings::new(rules_input.path, names, threads, args.runs.get());
    let lists = Lists::new(&rules, options.index_memory, &mut timings);
    let mut bench = Bench { args, rules: &rules, lists, openings, options };
    let mut ns: [Vec<f64>; STAGES.len()] = Default::default();
    let mut all = Vec::new();
    for _ in 0..args.runs.get() {
        let mut spent = Spent::default();
        let start = Instant::now();
        while spent.packets < FEWEST_PACKETS && start.elapsed() < LONGEST {
            let before = spent.packets;
            timings.bytes = bench.stages(&mut spent)?;
            timings.packets = spent.packets - before;
            if timings.packets == 0 {
                return Err(Failure::Usage("the captures hold no packet to measure".to_owned()));
            }
        }
        for (ns, one) in ns.iter_mut().zip(spent.ns_per_packet()) {
            ns.push(one);
        }
        let (mut time, mut packets) = (Duration::ZERO, 0);
        let start = Instant::now();
        while packets < FEWEST_PACKETS && start.elapsed() < LONGEST {
            let captures = Captures::new(&capture_args)?;
            time += bench.end_to_end(captures)?;
            packets += timings.packets;
        }
        all.push(per_packet(time, packets));
    }
    timings.stages = STAGES.iter().zip(ns).map(|(name, ns)| Stage::new(name, ns)).collect();
    timings.stages.push(Stage::new("all", all));
    let changes = saved.map(|saved| timings.compare(&saved)).transpose().map_err(not_comparable)?;
    let changes = changes.unwrap_or_default();
    let status = report(args, &timings, &changes, save)?;
    outputs.finish()?;
    Ok(status)
}

fn report(
    args: &BenchArgs,
    timings: &Timings,
    changes: &[StageChange],
    save: Option<Output>,
) -> Result<ExitStatus, Failure> {
    let json = pretty(timings)?;
    let mut out = stdout();
    match args.format {
        TextOrJson::Text => write!(out, "{}", terminal::results(timings.text(changes)))?,
        TextOrJson::Json => write!(out, "{json}")?,
    }
    if let Some(save) = save {
        save.whole(&json)?;
    }
    let Some(BenchFailOn::Slower(percent)) = args.fail_on else {
        out.flush()?;
        return Ok(ExitStatus::Done);
    };
    let slower: Vec<_> = changes.iter().filter(|c| c.percent_slower() > percent).collect();
    if args.format == TextOrJson::Text && !terminal::is_quiet() {
        for change in &slower {
            let (stage, grown) = (&change.stage, change.percent_slower());
            writeln!(out, "slower by more than {percent} %: {stage} ({grown:+.1} %)")?;
        }
    }
    out.flush()?;
    Ok(if slower.is_empty() { ExitStatus::Done } else { ExitStatus::Failed })
}

/// The rules in both evaluators, by interface and direction.
struct Lists(Vec<[(Ordered, Compiled); 2]>);

impl Lists {
    /// Builds them, and says what that took.
    fn new(rules: &RuleSet, index_memory: usize, timings: &mut Timings) -> Self {
        let mut layouts = BTreeSet::new();
        let lists = (0..rules.interfaces().len()).map(|interface| {
            Direction::BOTH.map(|direction| {
                let ordered = rules.ordered(interface, direction);
                let start = Instant::now();
                let compiled = Compiled::within(&ordered, index_memory);
                timings.build_ns += u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
                let entries = ordered.entries().iter();
                timings.entries += entries.filter(|entry| !entry.has_no_members()).count();
                timings.index_memory += compiled.index().memory_usage();
                layouts.insert(compiled.index().layout().as_str());
                (ordered, compiled)
            })
        });
        let lists = lists.collect();
        timings.index = layouts.into_iter().map(str::to_owned).collect();
        Self(lists)
    }

    /// The flows as each list is asked for them.
    fn asked<'f>(
        &self,
        interfaces: &Interfaces,
        flows: impl Iterator<Item = &'f FlowTuple>,
    ) -> Vec<(&(Ordered, Compiled), Vec<FlowTuple>)> {
        let mut asked: BTreeMap<(usize, Direction), Vec<FlowTuple>> = BTreeMap::new();
        for flow in flows {
            for (at, direction) in interfaces.judging(flow, None).into_iter().zip(ENDS) {
                if let Some(interface) = at {
                    asked.entry((interface, direction)).or_default().push(*flow);
                }
            }
        }
        let list = |((interface, direction), flows): ((usize, Direction), _)| {
            Some((self.0.get(interface)?.get(direction as usize)?, flows))
        };
        asked.into_iter().filter_map(list).collect()
    }
}

/// What the stages took.
#[derive(Default)]
struct Spent {
    packets: u64,
    /// Packets that the list was asked for, and those that the index was.
    listed: u64,
    indexed: u64,
    stages: [Duration; STAGES.len()],
}

impl Spent {
    fn ns_per_packet(&self) -> [f64; STAGES.len()] {
        let Self { packets, listed, indexed, stages } = self;
        let [read, decode, list, index, batch, session] = *stages;
        [
            per_packet(read, *packets),
            per_packet(decode, *packets),
            per_packet(list, *listed),
            per_packet(index, *indexed),
            per_packet(batch, *indexed),
            per_packet(session, *packets),
        ]
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few digits are shown")]
fn per_packet(time: Duration, packets: u64) -> f64 {
    time.as_nanos() as f64 / packets.max(1) as f64
}

struct Bench<'a> {
    args: &'a BenchArgs,
    rules: &'a RuleSet,
    lists: Lists,
    openings: Openings,
    options: Options,
}

impl Bench<'_> {
    fn replay(&self) -> Replay<'_> {
        Replay::new(self.rules, self.options).with_openings(self.openings.clone())
    }

    /// Goes through the captures once, stage by stage, batch by batch; their bytes on the wire.
    fn stages(&mut self, spent: &mut Spent) -> Result<u64, Failure> {
        let interfaces = Interfaces::new(self.rules.interfaces());
        let (mut replay, mut bytes) = (self.replay(), 0);
        let (mut batch, mut decoded, mut found) = (Batch::default(), Vec::new(), Vec::new());
        for path in &self.args.captures {
            let mut capture = Capture::open(path)?;
            loop {
                let mut clock = Clock::start();
                let more = capture.next_batch(&mut batch)?;
                let [read, decoding, list, index, in_batch, session] = &mut spent.stages;
                clock.lap(read);
                if !more {
                    break;
                }
                decoded.clear();
                decoded.extend(batch.frames().map(|frame| decode(frame.link, frame.data)));
                clock.lap(decoding);

                let flows = decoded.iter().filter_map(Decoded::packet).map(|packet| &packet.flow);
                for ((ordered, compiled), flows) in self.lists.asked(&interfaces, flows) {
                    let mut clock = Clock::start();
                    if spent.listed < MOST_LISTED {
                        for flow in &flows {
                            black_box(Reference(ordered).decide(flow));
                        }
                        clock.lap(list);
                        spent.listed += flows.len() as u64;
                    }
                    clock = Clock::start();
                    for flow in &flows {
                        black_box(compiled.decide(flow));
                    }
                    clock.lap(index);
                    found.resize(flows.len(), EntryIndex(0));
                    clock = Clock::start();
                    compiled.decide_all(&flows, black_box(&mut found));
                    clock.lap(in_batch);
                    spent.indexed += flows.len() as u64;
                }

                let input =
                    |(frame, decoded)| Input { frame, decoded, selected: true, in_window: true };
                let inputs: Vec<Input<'_>> = batch.frames().zip(&decoded).map(input).collect();
                bytes += inputs.iter().map(|input| u64::from(input.frame.wire_len)).sum::<u64>();
                clock = Clock::start();
                replay.count_batch(&inputs);
                clock.lap(session);
                spent.packets += inputs.len() as u64;
            }
        }
        Ok(bytes)
    }

    /// The whole replay, as `replay` does it.
    fn end_to_end(&self, captures: Captures) -> Result<Duration, Failure> {
        let start = Instant::now();
        let mut replay = self.replay().with_workers(Workers::new(captures.threads()));
        let ended = captures.read(|inputs| {
            replay.count_batch(inputs);
            Ok::<(), Failure>(())
        })?;
        black_box(replay.stats().packets());
        match ended.damage.into_iter().next() {
            Some(damage) => Err(damage.into()),
            None => Ok(start.elapsed()),
        }
    }
}

struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        Self(Instant::now())
    }

    /// Adds the time since the last lap.
    fn lap(&mut self, to: &mut Duration) {
        let now = Instant::now();
        *to += now - self.0;
        self.0 = now;
    }
}
