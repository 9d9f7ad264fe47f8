//! What more threads bring on this machine: a replay by 1, 2, 4 … threads up to the number of processors, in turns.
//!
//! `cargo run --release -p sgreplay-tools --bin scaling -- SGREPLAY RULES CAPTURE [RUNS]`
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::error::Error;
use std::process::{Command, Stdio};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

const USAGE: &str = "usage: scaling SGREPLAY RULES CAPTURE [RUNS]";

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let ([program, rules, capture], runs) = match &args[..] {
        [program, rules, capture] => ([program, rules, capture], 5),
        [program, rules, capture, runs] => ([program, rules, capture], runs.parse()?),
        _ => return Err(USAGE.into()),
    };
    let processors = available_parallelism()?.get();
    let powers = std::iter::successors(Some(1), |threads| Some(threads * 2));
    let mut threads: Vec<usize> = powers.take_while(|threads| *threads < processors).collect();
    threads.push(processors);
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); threads.len()];
    // The first round fills the caches of the system.
    for round in 0..=runs {
        for (threads, times) in threads.iter().zip(&mut times) {
            let start = Instant::now();
            let status = Command::new(program)
                .args(["replay", "--rules", rules, "--threads", &threads.to_string(), capture])
                .stdout(Stdio::null())
                .status()?;
            if !status.success() {
                return Err(format!("{program} by {threads} threads: {status}").into());
            }
            if round > 0 {
                times.push(start.elapsed());
            }
        }
    }
    println!("threads   median      fastest   slowest   faster than one thread");
    let mut alone = None;
    for (threads, mut times) in threads.into_iter().zip(times) {
        times.sort_unstable();
        let (Some(fastest), Some(median), Some(slowest)) =
            (times.first(), times.get(times.len() / 2), times.last())
        else {
            return Err("no run was asked for".into());
        };
        let ratio = alone.get_or_insert(*median).div_duration_f64(*median);
        let [median, fastest, slowest] = [median, fastest, slowest].map(Duration::as_secs_f64);
        println!(
            "{threads:>7} {median:>7.3} s  {fastest:>7.3} s  {slowest:>7.3} s  {ratio:>5.2} times"
        );
    }
    Ok(())
}
