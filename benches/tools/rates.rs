//! How often `sgreplay bench` is wrong on this machine, under load: false alarms when a program is compared with
//! itself, and slowdowns of 15 % that are found.
//!
//! `cargo run --release -p sgreplay-tools --bin rates -- SGREPLAY COMPARISONS RULES CAPTURE [OPTION…]`
//!
//! Options after the capture are handed to `bench`. The load is one thread for each processor that computes and
//! walks through memory for a random while, then sleeps for a random while. The slowdown is planted in real
//! measurements: the other side's samples are divided by 1.15, so that this side, measured as it is, takes 15 % more.
#![expect(clippy::print_stdout, reason = "the figures are its output")]

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, available_parallelism};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The slowdown that is planted.
const PLANTED: f64 = 1.15;
/// The first argument of the program that stands in for a faster one.
const FASTER: &str = "--as-faster";

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [first, program, words @ ..] if first == FASTER => faster(program, words),
        [program, count, rules, capture, options @ ..] => {
            let words = ["bench", "--rules", rules, capture].map(str::to_owned);
            let words = words.into_iter().chain(options.iter().cloned()).collect();
            let rates = Rates { program: program.into(), words, count: count.parse()? };
            rates.print()
        }
        _ => Err("usage: rates SGREPLAY COMPARISONS RULES CAPTURE [OPTION…]".into()),
    }
}

struct Rates {
    program: PathBuf,
    words: Vec<String>,
    count: u32,
}

/// The exit statuses 0, 1 and 2 of the comparisons so far.
#[derive(Debug, Default)]
struct Counts([u32; 3]);

impl Rates {
    fn print(&self) -> Result<(), Box<dyn Error>> {
        let load = Load::start();
        let dir = tempfile::tempdir()?;
        let (saved, fast) = (dir.path().join("saved.json"), dir.path().join("faster.json"));
        let stand_in = stand_in(dir.path(), &self.program)?;
        let mut counts: [Counts; 4] = Default::default();
        for number in 1..=self.count {
            self.bench("--save", &saved)?;
            std::fs::write(&fast, scaled(&std::fs::read_to_string(&saved)?)?)?;
            let sides = [
                ("--compare", saved.as_path()),
                ("--compare", &fast),
                ("--against-program", &self.program),
                ("--against-program", &stand_in),
            ];
            for ((option, other), counts) in sides.into_iter().zip(&mut counts) {
                let start = Instant::now();
                let status = self.bench(option, other)?;
                let Some(count) = usize::try_from(status).ok().and_then(|at| counts.0.get_mut(at))
                else {
                    return Err(format!("{option} ended with {status}").into());
                };
                *count += 1;
                println!("{number} {option} {status} after {:.1} s", start.elapsed().as_secs_f64());
            }
            let names = ["compare, same", "compare, planted", "against, same", "against, planted"];
            for (name, Counts([passed, failed, open])) in names.iter().zip(&counts) {
                println!("{name}: {passed} not slower, {failed} slower, {open} cannot tell");
            }
        }
        load.stop();
        Ok(())
    }

    /// The exit status of a measurement.
    fn bench(&self, option: &str, path: &Path) -> Result<i32, Box<dyn Error>> {
        let mut command = Command::new(&self.program);
        command.args(&self.words).arg(option).arg(path);
        if option != "--save" {
            command.args(["--fail-on", "slower:10%"]);
        }
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
        match (option, status.code()) {
            ("--save", Some(0)) => Ok(0),
            ("--save", code) => Err(format!("--save ended with {code:?}").into()),
            (_, code) => code.ok_or_else(|| "ended by a signal".into()),
        }
    }
}

/// A measurement with every sample of every stage divided. Calibration loops stay as they are: the machine is the
/// same.
fn scaled(text: &str) -> Result<String, Box<dyn Error>> {
    let mut timings: Value = serde_json::from_str(text)?;
    for stage in timings.get_mut("stages").and_then(Value::as_array_mut).into_iter().flatten() {
        for samples in stage.get_mut("samples").and_then(Value::as_array_mut).into_iter().flatten()
        {
            for sample in samples.as_array_mut().into_iter().flatten() {
                *sample = (sample.as_f64().ok_or("a sample is no number")? / PLANTED).into();
            }
        }
    }
    Ok(serde_json::to_string(&timings)?)
}

/// Measures with a program, and prints its samples as if it were faster.
fn faster(program: &str, words: &[String]) -> Result<(), Box<dyn Error>> {
    // The program inherits our standard input, a pipe, and ends when our parent closes it.
    let output = Command::new(program).args(words).stdin(Stdio::inherit()).output()?;
    let text = String::from_utf8(output.stdout)?;
    let text = if text.starts_with('{') { scaled(&text)? } else { text };
    std::io::stdout().write_all(text.as_bytes())?;
    if output.status.success() { Ok(()) } else { Err("the program failed".into()) }
}

/// A program that is this one standing in for a faster one.
fn stand_in(dir: &Path, program: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let path = dir.join("faster");
    let (own, program) = (std::env::current_exe()?, program.canonicalize()?);
    let line = format!("exec '{}' {FASTER} '{}' \"$@\"", own.display(), program.display());
    std::fs::write(&path, format!("#!/bin/sh\n{line}\n"))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(path)
}

/// Threads that disturb.
struct Load {
    is_over: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Load {
    fn start() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let count = available_parallelism().map_or(1, std::num::NonZeroUsize::get) as u64;
        let threads = (1..=count).map(|seed| {
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || disturb(seed, &is_over))
        });
        Self { threads: threads.collect(), is_over }
    }

    fn stop(self) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            // A thread that has ended disturbs no longer either.
            let _ = thread.join();
        }
    }
}

/// Works and sleeps in turns of up to two seconds.
fn disturb(seed: u64, is_over: &AtomicBool) {
    let mut memory = vec![0_u64; 1 << 22];
    let mut state = seed;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    while !is_over.load(Ordering::Relaxed) {
        let work = Duration::from_millis(next() % 2_000);
        let start = Instant::now();
        while start.elapsed() < work {
            for _ in 0..10_000 {
                let at = usize::try_from(next()).unwrap_or_default() % memory.len();
                if let Some(slot) = memory.get_mut(at) {
                    *slot += 1;
                }
            }
        }
        thread::sleep(Duration::from_millis(next() % 2_000));
    }
}
