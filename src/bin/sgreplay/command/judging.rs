//! What commands that judge packets have in common: rules, interfaces, local addresses.

use std::path::Path;

use bytesize::ByteSize;
use ipnet::IpNet;
use sgreplay::check::Checked;
use sgreplay::engine::{self, Binding, RulesRequest, Side, Tap};
use sgreplay::escape;
use sgreplay::replay::{Midstream, Options, Sessions};
use sgreplay::report::{Gathered, Local, Made, RulesInput};
use sgreplay::rules::RuleSet;

use crate::args::{JudgeArgs, MidstreamArg};
use crate::captures::Captures;
use crate::exit::Failure;
use crate::input;
use crate::output::{Output, Outputs};
use crate::terminal;

/// Whether everything can be read as often as it has to be.
pub(super) fn readable(captures: &Captures, rules: &[&Path], hash: bool) -> Result<(), Failure> {
    let stdin = rules.iter().filter(|path| path.as_os_str() == input::STDIN).count();
    let usage = |message: &str| Err(Failure::Usage(message.to_owned()));
    if stdin > 0 && captures.read_stdin() {
        return usage("rules and capture cannot both come from standard input");
    }
    if stdin > 1 {
        return usage("standard input can be read only once");
    }
    if hash && captures.have_pipe() {
        return usage(
            "--hash and --report read a capture twice, which a pipe does not allow; name a file",
        );
    }
    Ok(())
}

/// A page for a browser, where one is asked for.
pub(super) struct Report {
    output: Output,
    pub(super) gathered: Gathered,
    command: String,
}

impl Report {
    /// Opens the file before anything is read.
    pub(super) fn create(outputs: &mut Outputs) -> Result<Option<Self>, Failure> {
        let Some(output) = outputs.create("report")? else { return Ok(None) };
        let words = std::env::args_os().skip(1).map(|word| escape::shell(&escape::os(&word)));
        let command =
            std::iter::once("sgreplay".to_owned()).chain(words).collect::<Vec<_>>().join(" ");
        Ok(Some(Self { output, gathered: Gathered::default(), command }))
    }

    /// Writes the page, as `draw` makes it.
    pub(super) fn write(
        self,
        draw: impl FnOnce(Made<'_>) -> std::io::Result<String>,
        checked: &Checked,
    ) -> Result<(), Failure> {
        let Self { output, gathered, command } = self;
        output.whole(&draw(Made { command: &command, checked, gathered: &gathered })?)
    }
}

/// Reads rules and answers open questions as the user wants them answered.
pub(super) fn rules(
    path: &Path,
    args: &JudgeArgs,
    side: Side,
) -> Result<(RuleSet, RulesInput), Failure> {
    input::rules(path, &RulesRequest { side, ..(&args.switches).into() })
}

/// Whether packets of captures can be judged by these rules.
pub(super) fn can_judge(rules: &RuleSet, path: &str, taps: &[Tap]) -> Result<(), Failure> {
    engine::can_judge(rules, taps).map_err(|error| Failure::Usage(format!("{path}: {error}")))
}

/// What the user says of interfaces.
pub(super) fn binding(args: &JudgeArgs) -> Binding {
    Binding { local: args.local.clone(), interfaces: args.interface.clone() }
}

/// What a command keeps of connections beside their sessions, all of it within `--memory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    /// Nothing.
    Nothing,
    /// A row for each.
    Rows,
    /// Those that a change of rules changes; there are two replays.
    Changes,
    /// Who was allowed to which service.
    Observations,
}

impl Keeps {
    /// Bytes for the sessions of each replay, and for the rest. They add up to less than all: lists are measured by
    /// what is in them, and growing ones take more.
    fn shares(self, memory: usize) -> (usize, usize) {
        match self {
            Self::Nothing => (memory, 0),
            Self::Rows => (memory / 4, memory / 16),
            Self::Changes => (memory / 2, memory / 64),
            Self::Observations => (memory / 2, memory / 10),
        }
    }

    /// Bytes for what is kept beside the sessions.
    pub(super) fn memory(self, args: &JudgeArgs) -> usize {
        self.shares(bytes(args.memory)).1
    }
}

fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.as_u64()).unwrap_or(usize::MAX)
}

pub(super) fn options(args: &JudgeArgs, sessions: Sessions, keeps: Keeps) -> Options {
    let midstream = match args.midstream {
        MidstreamArg::Infer => Midstream::Infer,
        MidstreamArg::FirstPacket => Midstream::FirstPacket,
    };
    Options {
        sessions,
        midstream,
        max_sessions: args.max_sessions,
        session_memory: keeps.shares(bytes(args.memory)).0,
        index_memory: bytes(args.index_memory),
    }
}

/// Gives the one interface of rules that list none its addresses, where the user names them.
pub(super) fn set_local(rules: &mut RuleSet, given: &[IpNet]) -> Result<(), Failure> {
    match (given.is_empty(), rules.lists_interfaces()) {
        (true, _) => {}
        (false, true) => {
            let message = "--local is for rules files that list no interfaces, and this one does";
            return Err(Failure::Usage(message.to_owned()));
        }
        (false, false) => rules.set_local(given.to_vec()),
    }
    Ok(())
}

/// Says which local address was inferred, where no summary does.
pub(super) fn say_local(local: &Local) {
    if let Some(text) = unsure(local) {
        terminal::say(&format!("warning: {text}"));
    } else {
        let Local { addresses, why, .. } = local;
        terminal::say(&format!("local address inferred: {} ({why})", addresses.join(", ")));
    }
}

/// What is to be said of a local address that the capture does not single out.
pub(super) fn unsure(local: &Local) -> Option<String> {
    let Local { addresses, assumed, sure, runner_up, .. } = local;
    if !*assumed || *sure || addresses.is_empty() {
        return None;
    }
    let addresses = addresses.join(", ");
    Some(match runner_up {
        Some(other) => format!(
            "the local address is unsure: {addresses} is assumed, and {other} may be it; --local says which"
        ),
        None => {
            format!("the local address is unsure: {addresses} is assumed; --local says which it is")
        }
    })
}
