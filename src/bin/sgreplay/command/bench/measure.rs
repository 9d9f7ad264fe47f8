//! The stages of a replay, measured in this process.

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use sgreplay::capture::{Batch, Capture};
use sgreplay::decode::{Decoded, decode};
use sgreplay::direction::{ENDS, Interfaces};
use sgreplay::engine::{Binding, RulesRequest};
use sgreplay::evaluate::{Compiled, Evaluator, Reference};
use sgreplay::flow::{Direction, FlowTuple};
use sgreplay::replay::{Options, Replay, Workers};
use sgreplay::report::{Clock, Stage, Timings};
use sgreplay::rules::{EntryIndex, Ordered, RuleSet};
use sgreplay::session::Openings;
use sgreplay::sources::Input;

use super::clock::{Cost, ProcessClock, ThreadClock};
use super::counter::Counter;
use super::{BenchArgs, calibration, machine};
use crate::captures::{CaptureArgs, Captures};
use crate::command::judging;
use crate::exit::Failure;
use crate::input;

/// A sample is of at least so many packets, unless they take longer than [`ENOUGH`]: many short samples say more
/// than a few long ones, since what else the machine does falls into a part of them.
const SAMPLE_PACKETS: u64 = 20_000;
const ENOUGH: Duration = Duration::from_millis(50);
/// The list is asked for no more packets than this: it may be a thousand times slower than the rest.
const LISTED_PACKETS: u64 = 5_000;
/// Fewer packets than this are gone through again within a lap, so that reading the clock is no part of the time.
const LAP_PACKETS: u64 = 4_096;
/// Replays of a small capture that are judged within a lap; each has a session table of its own.
const MOST_REPLAYS: u64 = 16;
/// One process takes samples for so long: several small ones, or one of a large capture.
const TURN: Duration = Duration::from_millis(250);
const FEWEST_SAMPLES: usize = 3;
/// A sample that takes as long is the only one of its process.
const LONG_SAMPLE: Duration = Duration::from_millis(500);

/// The stages that one thread goes through, in the order of a packet's way.
const STAGES: [&str; 6] = ["read", "decode", "list", "index", "index, batch", "session"];
/// The whole replay by the CPU time of its threads, and by the clock on the wall.
const ALL: &str = "all";
const ELAPSED: &str = "elapsed";

/// The rules and captures of a measurement, ready to be measured.
pub(super) struct Bench {
    captures: CaptureArgs,
    rules: RuleSet,
    openings: Openings,
    options: Options,
    timings: Timings,
}

impl Bench {
    /// Reads the rules and the beginning of the captures.
    pub(super) fn new(args: &BenchArgs) -> Result<Self, Failure> {
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
        let (mut rules, rules_input) = input::rules(args.rules(), &RulesRequest::default())?;
        judging::can_judge(&rules, &rules_input.path, &[])?;
        let binding = Binding { local: args.local.clone(), ..Binding::default() };
        let openings = captures.bind(&mut rules, &binding)?.openings;
        let bytes = |size: ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
        let options = Options::default().with_index_memory(bytes(args.index_memory));
        let names = args.captures.iter().map(|path| input::name(path)).collect();
        let mut timings = Timings::new(rules_input.path, names, captures.threads().get());
        timings.machine = machine::machine();
        timings.build = machine::build();
        Ok(Self { captures: capture_args, rules, openings, options, timings })
    }

    /// Takes samples of every stage.
    pub(super) fn turn(mut self) -> Result<Timings, Failure> {
        let lists = Lists::new(&self.rules, self.options.index_memory, &mut self.timings);
        let mut counters =
            Counters { thread: Counter::of_thread(), threads: Counter::of_threads() };
        let mut rounds: Vec<Round> = Vec::new();
        let start = Instant::now();
        let mut is_warm = false;
        while rounds.len() < FEWEST_SAMPLES || start.elapsed() < TURN {
            let began = Instant::now();
            let mut round = Round::default();
            self.stages(&lists, &mut counters.thread, &mut round)?;
            self.whole(&mut counters.threads, &mut round)?;
            round.calibration = calibration::measure(&mut counters.thread)?;
            let is_long = began.elapsed() > LONG_SAMPLE;
            // The first is that of cold caches and of memory that the system has not given yet.
            if is_warm || is_long {
                rounds.push(round);
            }
            is_warm = true;
            if is_long {
                break;
            }
        }
        let counts = (counters.thread.is_there(), counters.threads.is_there());
        self.timings.stages = stages(&rounds, counts);
        self.timings.calibration = vec![loops(&rounds)];
        Ok(self.timings)
    }

    fn replay(&self) -> Replay<'_> {
        Replay::new(&self.rules, self.options).with_openings(self.openings.clone())
    }

    /// Goes through the captures, stage by stage, batch by batch.
    fn stages(
        &mut self,
        lists: &Lists,
        counter: &mut Counter,
        round: &mut Round,
    ) -> Result<(), Failure> {
        let start = Instant::now();
        loop {
            let found = self.pass(lists, counter, round)?;
            (self.timings.packets, self.timings.bytes) = found;
            if found.0 == 0 {
                return Err(Failure::Usage("the captures hold no packet to measure".to_owned()));
            }
            let [.., session] = &round.stages;
            if session.packets >= SAMPLE_PACKETS || start.elapsed() >= ENOUGH {
                return Ok(());
            }
        }
    }

    /// Goes through the captures once; their packets, and their bytes on the wire.
    fn pass(
        &self,
        lists: &Lists,
        counter: &mut Counter,
        round: &mut Round,
    ) -> Result<(u64, u64), Failure> {
        let interfaces = Interfaces::new(self.rules.interfaces());
        let [read, decoding, list, index, in_batch, session] = &mut round.stages;
        let known = self.timings.packets;
        // Nothing is known of the captures before the first pass.
        let repeats = LAP_PACKETS.checked_div(known).unwrap_or(1).max(1);
        let mut replays: Vec<Replay<'_>> =
            (0..repeats.min(MOST_REPLAYS)).map(|_| self.replay()).collect();
        let (mut packets, mut bytes) = (0, 0);
        let (mut batch, mut decoded, mut found) = (Batch::default(), Vec::new(), Vec::new());
        let mut clock = ThreadClock::start(counter)?;
        for _ in 1..repeats {
            for path in &self.captures.positional {
                let mut capture = Capture::open(path)?;
                while capture.next_batch(&mut batch)? {}
            }
        }
        read.add(clock.lap()?, known * (repeats - 1));
        for path in &self.captures.positional {
            clock.restart()?;
            let mut capture = Capture::open(path)?;
            loop {
                let more = capture.next_batch(&mut batch)?;
                let count = batch.frames().count() as u64;
                read.add(clock.lap()?, if more { count } else { 0 });
                if !more {
                    break;
                }
                packets += count;
                let again = (LAP_PACKETS / count.max(1)).max(1);
                clock.restart()?;
                for _ in 0..again {
                    decoded.clear();
                    decoded.extend(batch.frames().map(|frame| decode(frame.link, frame.data)));
                }
                decoding.add(clock.lap()?, again * count);

                let flows = decoded.iter().filter_map(Decoded::packet).map(|packet| &packet.flow);
                for ((ordered, compiled), flows) in lists.asked(&interfaces, flows) {
                    let count = flows.len() as u64;
                    let again = (LAP_PACKETS / count.max(1)).max(1);
                    let left = LISTED_PACKETS.saturating_sub(list.packets);
                    if left > 0 {
                        let few = flows.iter().take(usize::try_from(left).unwrap_or(usize::MAX));
                        clock.restart()?;
                        for flow in few.clone() {
                            black_box(Reference(ordered).decide(flow));
                        }
                        list.add(clock.lap()?, few.count() as u64);
                    }
                    clock.restart()?;
                    for _ in 0..again {
                        for flow in &flows {
                            black_box(compiled.decide(flow));
                        }
                    }
                    index.add(clock.lap()?, again * count);
                    found.resize(flows.len(), EntryIndex(0));
                    clock.restart()?;
                    for _ in 0..again {
                        compiled.decide_all(&flows, black_box(&mut found));
                    }
                    in_batch.add(clock.lap()?, again * count);
                }

                let input =
                    |(frame, decoded)| Input { frame, decoded, selected: true, in_window: true };
                let inputs: Vec<Input<'_>> = batch.frames().zip(&decoded).map(input).collect();
                bytes += inputs.iter().map(|input| u64::from(input.frame.wire_len)).sum::<u64>();
                clock.restart()?;
                for replay in &mut replays {
                    replay.count_batch(&inputs);
                }
                session.add(clock.lap()?, count * replays.len() as u64);
                clock.restart()?;
            }
        }
        Ok((packets, bytes))
    }

    /// The whole replay, as `replay` does it.
    fn whole(&self, counter: &mut Counter, round: &mut Round) -> Result<(), Failure> {
        let start = Instant::now();
        while round.all.packets < SAMPLE_PACKETS && start.elapsed() < ENOUGH {
            let captures = Captures::new(&self.captures)?;
            let clock = ProcessClock::start(counter)?;
            let mut replay = self.replay().with_workers(Workers::new(captures.threads()));
            let ended = captures.read(|inputs| {
                replay.count_batch(inputs);
                Ok::<(), Failure>(())
            })?;
            black_box(replay.stats().packets());
            drop(replay);
            if let Some(damage) = ended.damage.into_iter().next() {
                return Err(damage.into());
            }
            let (cost, wall) = clock.stop()?;
            round.all.add(cost, self.timings.packets);
            let wall = Cost { time: wall, instructions: 0 };
            round.elapsed.add(wall, self.timings.packets);
        }
        Ok(())
    }
}

/// The counters of instructions.
struct Counters {
    thread: Counter,
    threads: Counter,
}

/// What a stage took for so many packets.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    cost: Cost,
    packets: u64,
}

impl Spent {
    fn add(&mut self, cost: Cost, packets: u64) {
        self.cost.add(cost);
        self.packets += packets;
    }

    #[expect(clippy::cast_precision_loss, reason = "a few digits are shown")]
    fn ns_per_packet(&self) -> f64 {
        self.cost.time.as_nanos() as f64 / self.packets.max(1) as f64
    }

    #[expect(clippy::cast_precision_loss, reason = "a few digits are shown")]
    fn instructions_per_packet(&self) -> f64 {
        self.cost.instructions as f64 / self.packets.max(1) as f64
    }
}

/// One sample of every stage.
#[derive(Debug, Default)]
struct Round {
    stages: [Spent; STAGES.len()],
    all: Spent,
    elapsed: Spent,
    calibration: f64,
}

/// The samples of a process by stage; whether the thread's instructions were counted, and those of all threads.
fn stages(rounds: &[Round], counts: (bool, bool)) -> Vec<Stage> {
    let stage = |name: &str, clock: Clock, spent: &dyn Fn(&Round) -> Option<Spent>| {
        let of = |value: fn(&Spent) -> f64| -> Vec<f64> {
            rounds.iter().filter_map(|round| spent(round).as_ref().map(value)).collect()
        };
        let is_counted = match clock {
            Clock::Thread => counts.0,
            Clock::Process => counts.1,
            Clock::Wall => false,
        };
        let instructions = is_counted.then(|| of(Spent::instructions_per_packet));
        Stage::new(name, clock, of(Spent::ns_per_packet), instructions)
    };
    let of_thread = STAGES.iter().enumerate().map(|(position, name)| {
        stage(name, Clock::Thread, &|round| round.stages.get(position).copied())
    });
    let whole = [
        stage(ALL, Clock::Process, &|round| Some(round.all)),
        stage(ELAPSED, Clock::Wall, &|round| Some(round.elapsed)),
    ];
    of_thread.chain(whole).collect()
}

fn loops(rounds: &[Round]) -> Stage {
    let samples = rounds.iter().map(|round| round.calibration).collect();
    Stage::new(calibration::LOOP, Clock::Thread, samples, None)
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
