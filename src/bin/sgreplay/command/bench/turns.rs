//! Measures in processes of their own, one after the other: each has its own place in memory, which makes some
//! programs some percent faster or slower from start to end, and which no sample within one process shows.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use sgreplay::report::Timings;

use super::BenchArgs;
use crate::exit::Failure;
use crate::{input, program};

/// A measurement has some kilobytes; another program may print without end.
const MOST_OUTPUT: u64 = 16 << 20;
/// A process that takes longer hangs, if it is not ours: ours takes as long as the captures do.
const LONGEST: Duration = Duration::from_mins(10);

/// A program with the words that have it measure.
#[derive(Debug)]
pub(super) struct Side {
    program: PathBuf,
    /// As the user named it; `None` for this program.
    name: Option<String>,
    words: Vec<OsString>,
}

impl Side {
    /// This program with these rules.
    pub(super) fn own(args: &BenchArgs, rules: &Path) -> Result<Self, Failure> {
        let failed =
            |error| Failure::Usage(format!("bench does not find its own program: {error}"));
        // A path that is replaced while we run is no longer ours; the link is.
        let itself = Path::new("/proc/self/exe");
        let program = match itself.exists() {
            true => itself.to_owned(),
            false => std::env::current_exe().map_err(failed)?,
        };
        let process: Vec<OsString> = std::env::args_os().collect();
        let own: Vec<&OsString> = program::words().collect();
        let before = before(&process, &own).ok_or_else(|| {
            let message =
                "bench starts itself, and this process is not the program; run `sgreplay bench`";
            Failure::Usage(message.to_owned())
        })?;
        let words = before.iter().cloned().chain(words(args, rules)).collect();
        Ok(Self { program, name: None, words })
    }

    /// Another program with the same rules.
    ///
    /// # Errors
    /// When it is no sgreplay.
    pub(super) fn other(args: &BenchArgs, program: &Path) -> Result<Self, Failure> {
        // A bare name would be looked for in PATH.
        let path = match program.parent() {
            Some(parent) if parent == Path::new("") => Path::new(".").join(program),
            _ => program.to_owned(),
        };
        let name = input::name(program);
        let side = Self { program: path, name: Some(name), words: words(args, args.rules()) };
        let (status, out, _) = side.run(&[OsString::from("--version")])?;
        if !status.success() || !out.starts_with("sgreplay ") {
            let name = side.name();
            return Err(Failure::Usage(format!(
                "{name} is not sgreplay: it has no such --version"
            )));
        }
        Ok(side)
    }

    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("sgreplay")
    }

    /// One process.
    pub(super) fn turn(&self) -> Result<Timings, Failure> {
        let (status, out, err) = self.run(&self.words)?;
        let name = self.name();
        if !status.success() {
            if err.contains("--turn") {
                return Err(Failure::Usage(format!(
                    "{name} is an older sgreplay, whose `bench` keeps no samples; it cannot be compared in turns"
                )));
            }
            let said = err.trim().trim_start_matches("sgreplay: error: ");
            return Err(Failure::Usage(format!("{name} could not measure ({status}): {said}")));
        }
        let timings = Timings::saved(&out)
            .map_err(|error| Failure::Usage(format!("the output of {name} bench {error}")))?;
        if timings.has_samples() {
            return Ok(timings);
        }
        Err(Failure::Usage(format!("the output of {name} bench has no samples")))
    }

    fn run(&self, words: &[OsString]) -> Result<(ExitStatus, String, String), Failure> {
        let failed = |error: std::io::Error| {
            Failure::Usage(format!("{} does not run: {error}", self.name()))
        };
        let mut child = Command::new(&self.program)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        // The process ends when this closes, as it does if we are ended: see `end_with_parent`.
        let alive = child.stdin.take();
        let out = read(child.stdout.take());
        let err = read(child.stderr.take());
        let wait = |of: mpsc::Receiver<String>| match self.name {
            Some(_) => of.recv_timeout(LONGEST).ok(),
            None => of.recv().ok(),
        };
        let finished = wait(out).zip(wait(err));
        let Some((out, err)) = finished else {
            end(&mut child);
            let minutes = LONGEST.as_secs() / 60;
            let message = format!("{} did not finish within {minutes} minutes", self.name());
            return Err(Failure::Usage(message));
        };
        drop(alive);
        Ok((child.wait().map_err(failed)?, out, err))
    }
}

/// The words of a process between its name and those of the program: an interpreter that runs the program has some,
/// as in `python -m sgreplay`. `None` where the process was started by other words.
fn before<'w>(process: &'w [OsString], own: &[&OsString]) -> Option<&'w [OsString]> {
    let (_, words) = process.split_first()?;
    let (before, rest) = words.split_at_checked(words.len().checked_sub(own.len())?)?;
    rest.iter().eq(own.iter().copied()).then_some(before)
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

/// Reads a pipe to its end, beside the other.
fn read(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            // What is cut off is no measurement, which is said then.
            let _ = pipe.take(MOST_OUTPUT).read_to_end(&mut bytes);
        }
        // Nobody waits any longer for a process that was ended.
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// The words that have a program measure in its own process, as these arguments say.
fn words(args: &BenchArgs, rules: &Path) -> Vec<OsString> {
    let mut words: Vec<OsString> = ["--quiet", "bench", "--turn", "--format", "json"]
        .into_iter()
        .map(OsString::from)
        .collect();
    let mut option = |name: &str, value: &OsStr| {
        let mut word = OsString::from(name);
        word.push("=");
        word.push(value);
        words.push(word);
    };
    option("--rules", rules.as_os_str());
    for local in &args.local {
        option("--local", local.to_string().as_ref());
    }
    if let Some(threads) = args.threads {
        option("--threads", threads.to_string().as_ref());
    }
    option("--index-memory", args.index_memory.as_u64().to_string().as_ref());
    words.push(OsString::from("--"));
    words.extend(args.captures.iter().map(|path| path.as_os_str().to_owned()));
    words
}

/// Ends this process when the one that started it ends, however that is: standard input closes then.
pub(super) fn end_with_parent() {
    thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        #[expect(clippy::exit, reason = "nobody is left to report to")]
        std::process::exit(2);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_is_started_as_it_was() {
        let of = |process: &str, own: &str| {
            let process: Vec<OsString> = process.split(' ').map(OsString::from).collect();
            let own: Vec<OsString> = own.split(' ').map(OsString::from).collect();
            before(&process, &own.iter().collect::<Vec<_>>()).map(|words| words.join(" ".as_ref()))
        };
        assert_eq!(of("sgreplay bench x.pcap", "bench x.pcap"), Some("".into()));
        assert_eq!(of("python -m sgreplay bench x", "bench x"), Some("-m sgreplay".into()));
        assert_eq!(of("python tests.py", "bench x"), None);
        assert_eq!(of("python", "bench x"), None);
    }
}
