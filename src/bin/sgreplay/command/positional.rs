//! Rules among the positional arguments: `replay RULES CAPTURE`, `diff CURRENT PROPOSED CAPTURE`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sgreplay::capture::Capture;

use super::diff::DiffArgs;
use crate::args::Command;
use crate::exit::Failure;
use crate::input::{STDIN, name};

impl Command {
    /// Takes the first positional arguments for the rules where no option names them.
    ///
    /// # Errors
    /// When there are too few, or one is a capture; the message has the right order.
    pub(crate) fn take_rules(&mut self) -> Result<(), Failure> {
        match self {
            Self::Replay(args) if args.rules.is_none() => {
                let has_capture = !args.capture.read.is_empty();
                let words = &mut args.capture.positional;
                let [rules] = taken(words, has_capture, "replay RULES CAPTURE…", "--rules RULES")?;
                args.rules = Some(rules);
            }
            Self::Bench(args) if args.rules.is_none() => {
                let words = &mut args.captures;
                let [rules] = taken(words, false, "bench RULES CAPTURE…", "--rules RULES")?;
                args.rules = Some(rules);
            }
            Self::Explain(args) if args.rules.is_none() => {
                let states_packet = args.proto.is_some();
                let order = "explain RULES PACKET";
                let [rules] = taken(&mut args.what, states_packet, order, "--rules RULES")?;
                args.rules = Some(rules);
            }
            Self::Diff(args) => of_diff(args)?,
            _ => {}
        }
        match self {
            Self::Explain(args)
                if args.what.len() > 1 + usize::from(args.community_id().is_some()) =>
            {
                let message =
                    "explain takes one packet or one capture; put a packet's line in quotes";
                Err(Failure::Usage(message.to_owned()))
            }
            _ => Ok(()),
        }
    }
}

fn of_diff(args: &mut DiffArgs) -> Result<(), Failure> {
    let is_named = args.current.is_some() || args.plan.is_some() || args.rules.is_some();
    if !is_named {
        let words = &mut args.capture.positional;
        let options = "--current CURRENT --proposed PROPOSED";
        let [current, proposed] = taken(words, true, "diff CURRENT PROPOSED [CAPTURE…]", options)?;
        (args.current, args.proposed) = (Some(current), Some(proposed));
    }
    Ok(())
}

/// Takes the first words; one at least is left unless that is `enough`.
fn taken<const N: usize>(
    words: &mut Vec<PathBuf>,
    enough: bool,
    order: &str,
    options: &str,
) -> Result<[PathBuf; N], Failure> {
    let usage = |why: String| {
        Err(Failure::Usage(format!("{why}; `sgreplay {order}`, or name the rules with {options}")))
    };
    if let Some(capture) = words.iter().take(N).find(|word| is_capture(word)) {
        return usage(format!("{} is a capture, and rules come first", name(capture)));
    }
    let taken = words.get(..N).and_then(|first| <[PathBuf; N]>::try_from(first.to_vec()).ok());
    match taken.filter(|_| enough || words.len() > N) {
        Some(taken) => {
            words.drain(..N);
            Ok(taken)
        }
        None => usage("rules are missing".to_owned()),
    }
}

/// Whether a file starts as a capture does; a pipe is not read for it.
fn is_capture(path: &Path) -> bool {
    let mut start = Vec::new();
    path.as_os_str() != STDIN
        && path.is_file()
        && File::open(path).is_ok_and(|file| file.take(64).read_to_end(&mut start).is_ok())
        && Capture::recognises(&start)
}
