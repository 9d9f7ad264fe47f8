//! What commands that judge packets have in common: rules, interfaces, local addresses.

use std::path::Path;

use bytesize::ByteSize;
use ipnet::IpNet;
use sgreplay::check::Checked;
use sgreplay::direction::Evidence;
use sgreplay::escape;
use sgreplay::replay::{Midstream, Options, Sessions};
use sgreplay::report::{Gathered, Local, Made, RulesInput};
use sgreplay::rules::{RuleSet, listed};
use sgreplay::session::Openings;

use crate::args::{JudgeArgs, MidstreamArg, Tap};
use crate::captures::Captures;
use crate::exit::Failure;
use crate::input::{self, Reading, Side};
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
    let reading = Reading { hints: (&args.switches).into(), side };
    let (mut rules, input) = input::rules(path, reading)?;
    rules.set_switches((&args.switches).into());
    Ok((rules, input))
}

/// Whether packets of captures can be judged: it must be known which groups their interface has, and which
/// interface an address belongs to.
pub(super) fn can_judge(rules: &RuleSet, path: &str, taps: &[Tap]) -> Result<(), Failure> {
    asks_for_groups(rules, path)?;
    if let (true, Some((net, owners))) = (taps.is_empty(), rules.shared_address()) {
        let [a, b] = owners.map(|at| rules.interfaces().get(at).map_or("", |eni| eni.id.as_str()));
        return Err(Failure::Usage(format!(
            "{path}: {net} belongs to interface `{a}` and to `{b}`; captures at each tell them apart: \
             --interface {b}=CAPTURE",
        )));
    }
    Ok(())
}

/// Asks which groups an instance has, where it is not known (SEMANTICS F26).
pub(super) fn asks_for_groups(rules: &RuleSet, path: &str) -> Result<(), Failure> {
    if rules.asks_for_groups() {
        let groups: Vec<&str> = rules.groups().iter().map(|group| group.id.as_str()).collect();
        return Err(Failure::Usage(format!(
            "{path}: there are {} groups, and it is not known which of them the instance has; --groups says it, \
             as in --groups {}, or {} beside the rules. There are: {}",
            groups.len(),
            groups.first().copied().unwrap_or_default(),
            rules.cloud().lists_interfaces_by(),
            listed(&groups),
        )));
    }
    Ok(())
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

/// The names under which frames come from an interface, and its position.
pub(super) fn taps(
    given: &[Tap],
    rules: &RuleSet,
    captures: &mut Captures,
) -> Result<Vec<(String, usize)>, Failure> {
    let mut taps = Vec::new();
    for Tap { eni, of } in given {
        let position = rules.interfaces().iter().position(|known| known.id == *eni);
        let Some(position) = position else {
            return Err(Failure::Usage(format!(
                "--interface {eni}={of}: the rules file has no interface `{eni}`"
            )));
        };
        // A capture's frames take the name of its interface; others have the one that pcapng gives.
        taps.push(match captures.made_at(Path::new(of), eni) {
            true => (eni.clone(), position),
            false => (of.clone(), position),
        });
    }
    Ok(taps)
}

/// Where the local addresses are from: the rules file, the user, or the capture.
pub(super) fn local(
    rules: &mut RuleSet,
    given: &[IpNet],
    captures: &mut Captures,
) -> Result<(Local, Openings), Failure> {
    if !given.is_empty() {
        none_listed(rules)?;
    }
    captures.know_addresses(rules);
    let (survey, openings) = captures.survey(given.is_empty() && !rules.lists_interfaces())?;
    let names = |nets: &[IpNet]| nets.iter().map(shown).collect();
    let known = |nets: &[IpNet], evidence, why: &str| Local {
        addresses: names(nets),
        assumed: false,
        evidence,
        sure: true,
        why: why.to_owned(),
        runner_up: None,
    };
    if rules.lists_interfaces() {
        let nets: Vec<IpNet> =
            rules.interfaces().iter().flat_map(|eni| eni.addresses.clone()).collect();
        return Ok((known(&nets, Evidence::Rules, "interfaces of the rules file"), openings));
    }
    if !given.is_empty() {
        rules.set_local(given.to_vec());
        return Ok((known(given, Evidence::Given, "--local"), openings));
    }
    if captures.are_live() {
        let message = "--live looks at no packet before it is judged, so the local address cannot be inferred; \
                       give --local";
        return Err(Failure::Usage(message.to_owned()));
    }
    let guess = survey.guess();
    let why = match &guess {
        Some(guess) => guess.why.clone(),
        None => "the capture shows no IP packet".to_owned(),
    };
    let nets = guess.iter().flat_map(|guess| &guess.addresses).map(|addr| IpNet::from(*addr));
    let nets: Vec<IpNet> = nets.collect();
    let local = Local {
        addresses: names(&nets),
        assumed: true,
        evidence: guess.as_ref().map_or(Evidence::Nothing, |guess| guess.evidence),
        sure: guess.as_ref().is_some_and(|guess| guess.sure),
        why,
        runner_up: guess.and_then(|guess| guess.runner_up),
    };
    rules.set_local(nets);
    Ok((local, openings))
}

/// Whether addresses may be given: not where the rules file lists them.
pub(super) fn none_listed(rules: &RuleSet) -> Result<(), Failure> {
    match rules.lists_interfaces() {
        true => Err(Failure::Usage(
            "--local is for rules files that list no interfaces, and this one does".to_owned(),
        )),
        false => Ok(()),
    }
}

/// An address without the /32 or /128 that says nothing.
fn shown(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
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
