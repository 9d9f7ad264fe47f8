//! The regression gate: instructions per packet, stage by stage, under callgrind.
//!
//! Wall time is noise on a shared machine; instructions are nearly the same in every run.
//! `benches/instructions.txt` holds the accepted counts, and the gate fails when one has grown by more than
//! 3 percent. `cargo bench --bench instructions` checks, `cargo bench --bench instructions -- --accept`
//! accepts what is. Other compilers make other code, so counts of another one are compared for information
//! only. Without valgrind nothing is counted, and the output says so.
#![expect(clippy::expect_used, reason = "inputs of the bench itself: a wrong one should stop it")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a report on standard output")]

mod growth;
mod support;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::hint::black_box;
use std::io::Cursor;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use growth::Growing;
use sgreplay::capture::{Batch, Capture};
use sgreplay::compile::{CompiledRules, MOST_MEMORY};
use sgreplay::decode::{Tunnels, decode};
use sgreplay::evaluate::{Compiled, Evaluator};
use sgreplay::flow::{Direction, FlowTuple};
use sgreplay::read_ahead::{Ahead, Next};
use sgreplay::replay::{Options, Replay, Sessions};
use sgreplay::rules::{EntryIndex, RuleSet};
use sgreplay::sources::Input;

const PACKETS: u64 = 20_000;
const FLOWS: u64 = 500;
const RULES: usize = 200;
const MOST_GROWTH: f64 = 3.0;
/// A unit of an input four times as large takes at most so many times the instructions; n log n takes 1.2.
const MOST_BY_SIZE: f64 = 1.5;

/// What is counted, each by its name.
///
/// Reading is not: it is one copy, of which the library's own choice for the processor makes 100
/// instructions or 700.
const STAGES: [(&str, fn()); 6] = [
    ("decode", decode_frames),
    ("classify", || classify(false)),
    ("classify-batch", || classify(true)),
    ("build", build),
    ("judge", || judge(Sessions::Off)),
    ("judge-with-sessions", || judge(Sessions::On)),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, wanted] = args.as_slice()
        && flag == "--stage"
    {
        run(wanted);
        return ExitCode::SUCCESS;
    }
    // `cargo bench` passes `--bench`; `cargo test --benches` only wants to know that it runs.
    if !args.iter().any(|arg| arg == "--bench") {
        for (_, stage) in STAGES {
            stage();
        }
        for Growing { sizes: [small, _], work, .. } in growth::ALL {
            measured(&mut work(small));
        }
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("SKIPPED: valgrind is not installed, so no instruction was counted");
        return ExitCode::SUCCESS;
    }
    let mut counts = BTreeMap::new();
    for (name, _) in STAGES {
        match instructions(name) {
            Ok(count) => counts.insert(name, count),
            Err(said) => {
                eprintln!("callgrind counted nothing for {name}:\n{said}");
                return ExitCode::from(2);
            }
        };
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.txt");
    if args.iter().any(|arg| arg == "--accept") {
        let mut text =
            format!("# instructions for {PACKETS} packets, accepted with:\n{}\n", compiler());
        for (name, count) in &counts {
            writeln!(text, "{name} {count}").expect("text grows");
        }
        std::fs::write(&file, text).expect("the counts can be written");
    }
    let by_size = match by_size() {
        Ok(by_size) => by_size,
        Err(said) => {
            eprintln!("callgrind counted nothing:\n{said}");
            return ExitCode::from(2);
        }
    };
    match check(&counts, &std::fs::read_to_string(&file).unwrap_or_default()) {
        ExitCode::SUCCESS => by_size,
        failed => failed,
    }
}

/// Runs what is counted under this name: a stage, or work of a size, `check/250`.
fn run(name: &str) {
    if let Some((_, stage)) = STAGES.iter().find(|(stage, _)| *stage == name) {
        return stage();
    }
    let (name, size) = name.split_once('/').expect("a stage of ours");
    let growing = growth::ALL.iter().find(|of| of.name == name).expect("work of ours");
    let mut work = (growing.work)(size.parse().expect("a size"));
    measured(&mut work);
}

/// Holds the instructions for each unit of a larger input against those of a smaller.
fn by_size() -> Result<ExitCode, String> {
    let mut grown = Vec::new();
    println!("instructions per unit of           small     large");
    for Growing { name, sizes, .. } in &growth::ALL {
        let mut each = [0.0; 2];
        for (each, size) in each.iter_mut().zip(sizes) {
            let count = instructions(&format!("{name}/{size}"))?;
            #[expect(clippy::cast_precision_loss, reason = "counts are small")]
            let per_unit = count as f64 / *size as f64;
            *each = per_unit;
        }
        let ratio = each[1] / each[0];
        println!("  {name:<24} {:>13.0} {:>9.0}  × {ratio:.2}", each[0], each[1]);
        if ratio > MOST_BY_SIZE {
            grown.push(*name);
        }
    }
    if grown.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "a unit of an input four times as large takes more than {MOST_BY_SIZE} times the instructions: {}",
        grown.join(", "),
    );
    Ok(ExitCode::FAILURE)
}

/// Holds the counts against the accepted ones.
fn check(counts: &BTreeMap<&str, u64>, accepted: &str) -> ExitCode {
    let mut lines = accepted.lines().filter(|line| !line.starts_with('#'));
    let same_compiler = lines.next() == Some(compiler().as_str());
    let accepted: BTreeMap<&str, u64> = lines
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, count)| Some((name, count.parse().ok()?)))
        .collect();
    let mut grown = Vec::new();
    println!("instructions per packet          now  accepted");
    for (name, count) in counts {
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let per_packet = |count: u64| count as f64 / PACKETS as f64;
        let before = accepted.get(name).copied().map_or(f64::INFINITY, per_packet);
        let now = per_packet(*count);
        let growth = (now / before - 1.0) * 100.0;
        println!("  {name:<24} {now:>8.1}  {before:>8.1}  {growth:+.1} %");
        if growth > MOST_GROWTH {
            grown.push(*name);
        }
    }
    if accepted.len() != counts.len() {
        eprintln!("not every count was accepted once; -- --accept does so");
        return ExitCode::FAILURE;
    }
    if grown.is_empty() {
        return ExitCode::SUCCESS;
    }
    if !same_compiler {
        println!("for information only: the counts were accepted with another compiler");
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "slower by more than {MOST_GROWTH} %: {}; if it is worth it, accept it with \
         `cargo bench --bench instructions -- --accept`",
        grown.join(", "),
    );
    ExitCode::FAILURE
}

fn compiler() -> String {
    let version = Command::new("rustc").arg("--version").output().expect("cargo has run rustc");
    String::from_utf8_lossy(&version.stdout).trim().to_owned()
}

/// What callgrind counts inside `measured`, of one stage.
fn instructions(stage: &str) -> Result<u64, String> {
    let own = std::env::current_exe().expect("this program");
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*instructions::measured*")
        .arg(own)
        .args(["--stage", stage])
        .output()
        .expect("valgrind runs");
    let said = String::from_utf8_lossy(&run.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    let count = collected.and_then(|(_, count)| count.trim().parse().ok());
    count.filter(|count| *count > 0).ok_or_else(|| said.into_owned())
}

/// Only what runs in here is counted.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}

fn traffic() -> Vec<u8> {
    let mut bytes = Vec::new();
    support::traffic::write_capture(&mut bytes, PACKETS, FLOWS, support::traffic::Sizes::Mixed)
        .expect("memory takes it");
    bytes
}

fn open() -> Capture {
    Capture::from_reader("bench", Box::new(Cursor::new(traffic()))).expect("it is a capture")
}

fn rules() -> RuleSet {
    let text = support::rules::rules_file(RULES);
    let mut rules = sgreplay::parse::yaml("bench.yaml", &text).expect("the rules are valid");
    rules.set_local(vec!["10.0.0.5/32".parse().expect("a network")]);
    rules
}

fn batches() -> Vec<Batch> {
    let (mut capture, mut batches) = (open(), Vec::new());
    loop {
        let mut batch = Batch::default();
        if !capture.next_batch(&mut batch).expect("it is whole") {
            return batches;
        }
        batches.push(batch);
    }
}

fn decode_frames() {
    let batches = batches();
    measured(&mut || {
        for frame in batches.iter().flat_map(Batch::frames) {
            black_box(decode(frame.link, frame.data));
        }
    });
}

fn classify(batch: bool) {
    let ordered = rules().ordered(0, Direction::Ingress);
    let compiled = Compiled::new(&ordered);
    let flows: Vec<FlowTuple> = batches()
        .iter()
        .flat_map(Batch::frames)
        .filter_map(|frame| decode(frame.link, frame.data).packet().map(|packet| packet.flow))
        .collect();
    let mut found = vec![EntryIndex(0); flows.len()];
    measured(&mut || {
        if batch {
            compiled.decide_all(&flows, &mut found);
        } else {
            for flow in &flows {
                black_box(compiled.decide(flow));
            }
        }
    });
}

fn build() {
    let ordered = rules().ordered(0, Direction::Ingress);
    measured(&mut || {
        black_box(CompiledRules::new(&ordered, MOST_MEMORY));
    });
}

fn judge(sessions: Sessions) {
    let rules = rules();
    let mut replay = Replay::new(&rules, Options::default().with_sessions(sessions));
    let mut ahead = Ahead::new(open(), Tunnels::default(), NonZeroUsize::MIN);
    let mut decoded = Vec::new();
    loop {
        match ahead.next_batch(Duration::from_mins(1)) {
            Next::Batch(batch) => decoded.push(batch),
            Next::End => break,
            Next::NotYet | Next::Damage(_) => return,
        }
    }
    let input = |(frame, decoded)| Input { frame, decoded, selected: true, in_window: true };
    let inputs: Vec<Vec<Input<'_>>> =
        decoded.iter().map(|batch| batch.frames_from(0).map(input).collect()).collect();
    measured(&mut || {
        for inputs in &inputs {
            let done: Result<(), ()> = replay.judge_batch(inputs, |_, _| Ok(()));
            done.expect("nothing fails");
        }
    });
    assert!(replay.stats().packets().total() == PACKETS, "every packet is judged");
}
