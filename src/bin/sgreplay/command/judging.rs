//! What commands that judge packets have in common: rules, interfaces, local addresses, the last word.

use std::fs::File;
use std::path::Path;

use bytesize::ByteSize;
use ipnet::IpNet;
use sgreplay::capture::{CaptureError, FlowLogCounts, Frame, LinkType, PcapWriter};
use sgreplay::decode::Decoded;
use sgreplay::direction::Guess;
use sgreplay::replay::{Midstream, Options, Sessions};
use sgreplay::report::{Gathered, Local, RulesInput, plural};
use sgreplay::rules::RuleSet;
use sgreplay::session::Openings;
use sgreplay::tally::Tally;
use sgreplay::verdict::Reason;

use super::ended;
use crate::args::{JudgeArgs, MidstreamArg, Tap};
use crate::captures::{Captures, Ended};
use crate::exit::{ExitStatus, Failure};
use crate::input::{self, Reading, Side};

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
pub(super) struct Report<'a> {
    path: &'a Path,
    pub(super) gathered: Gathered,
    pub(super) command: String,
}

impl<'a> Report<'a> {
    /// Whether the file can be written, before anything is read.
    pub(super) fn create(
        path: Option<&'a Path>,
        captures: &Captures,
    ) -> Result<Option<Self>, Failure> {
        let Some(path) = path else { return Ok(None) };
        writable(path, captures)?;
        File::create(path)
            .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
        let words = std::env::args().skip(1).map(|word| quoted(&word));
        let command =
            std::iter::once("sgreplay".to_owned()).chain(words).collect::<Vec<_>>().join(" ");
        Ok(Some(Self { path, gathered: Gathered::default(), command }))
    }

    pub(super) fn write(&self, page: &str) -> Result<(), Failure> {
        std::fs::write(self.path, page)
            .map_err(|error| Failure::Usage(format!("{}: {error}", self.path.display())))
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// A pcapng for every packet with its verdict as a comment, where one is asked for.
pub(super) fn annotated(
    path: Option<&Path>,
    captures: &Captures,
) -> Result<Option<PcapWriter>, Failure> {
    let Some(path) = path else { return Ok(None) };
    writable(path, captures)?;
    Ok(Some(PcapWriter::create_pcapng(path)?))
}

/// Whether a file can be written to: none that is being read.
pub(super) fn writable(path: &Path, captures: &Captures) -> Result<(), Failure> {
    match captures.include(path) {
        true => {
            let path = path.display();
            Err(Failure::Usage(format!("{path} is being read; write to another file")))
        }
        false => Ok(()),
    }
}

/// Reads rules and answers open questions as the user wants them answered.
pub(super) fn rules(
    path: &Path,
    args: &JudgeArgs,
    side: Side,
) -> Result<(RuleSet, RulesInput), Failure> {
    let hints = (&args.switches).into();
    let reading = Reading { told_apart: !args.interface.is_empty(), hints, side };
    let (mut rules, input) = input::rules(path, reading)?;
    rules.set_switches((&args.switches).into());
    Ok((rules, input))
}

pub(super) fn options(args: &JudgeArgs, sessions: Sessions) -> Options {
    let midstream = match args.midstream {
        MidstreamArg::Infer => Midstream::Infer,
        MidstreamArg::FirstPacket => Midstream::FirstPacket,
    };
    let bytes = |size: ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
    Options {
        sessions,
        midstream,
        max_sessions: args.max_sessions,
        session_memory: bytes(args.session_memory),
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
    let (survey, openings) = captures.survey(given.is_empty() && !rules.lists_interfaces())?;
    let names = |nets: &[IpNet]| nets.iter().map(shown).collect();
    if !given.is_empty() {
        none_listed(rules)?;
    }
    if rules.lists_interfaces() {
        let nets: Vec<IpNet> =
            rules.interfaces().iter().flat_map(|eni| eni.addresses.clone()).collect();
        let why = "interfaces of the rules file".to_owned();
        return Ok((Local { addresses: names(&nets), assumed: false, why }, openings));
    }
    if !given.is_empty() {
        rules.set_local(given.to_vec());
        let why = "--local".to_owned();
        return Ok((Local { addresses: names(given), assumed: false, why }, openings));
    }
    let Some(Guess { addresses, why }) = survey.guess() else {
        let why = "the capture shows no IP packet".to_owned();
        return Ok((Local { addresses: Vec::new(), assumed: true, why }, openings));
    };
    let nets: Vec<IpNet> = addresses.into_iter().map(IpNet::from).collect();
    let why = format!("{why}; --local says otherwise");
    let local = Local { addresses: names(&nets), assumed: true, why };
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

/// Why the result is not of the whole input, if it is not.
pub(super) fn partial(end: &Ended) -> Option<String> {
    let mut why: Vec<String> = end.damage.iter().map(CaptureError::to_string).collect();
    if end.interrupted {
        why.push("interrupted; what follows is the traffic read so far".to_owned());
    }
    (!why.is_empty()).then(|| why.join("; "))
}

/// Packets that the capturing machines say they have dropped; `None` where one of them does not say.
pub(super) fn dropped(end: &Ended) -> Option<u64> {
    end.inputs.iter().map(|input| input.dropped).sum()
}

/// What the captures themselves give cause to say.
pub(super) fn of_captures(end: &Ended, tally: &Tally) -> Vec<String> {
    let mut warnings: Vec<String> = end.damage.iter().map(CaptureError::to_string).collect();
    let of_reason = |wanted| tally.reasons().find(|(reason, _)| *reason == wanted).map(|(_, n)| n);
    if let (Some(LinkType(link)), Some(n)) =
        (end.unsupported_link, of_reason(Reason::UnsupportedLink))
    {
        warnings.push(format!(
            "{} not evaluated: link type {link} is not read, so nothing is known of its packets",
            plural(n, "packet"),
        ));
    }
    let packets = tally.packets();
    if packets.total() == 0 && end.damage.is_empty() {
        warnings
            .push("no packet: the capture is empty, or the options choose none of it".to_owned());
    }
    let dropped: u64 = end.inputs.iter().filter_map(|input| input.dropped).sum();
    if dropped > 0 {
        warnings.push(format!(
            "the capturing machine has dropped {}, of which nothing is known",
            plural(dropped, "packet"),
        ));
    }
    warnings.extend(of_flow_logs(end));
    if end.vxlan * 2 > packets.total() {
        warnings.push(format!(
            "{} of {} packets are VXLAN, as a traffic mirror delivers; --decap vxlan judges what is \
             inside",
            end.vxlan,
            packets.total(),
        ));
    }
    let judged = packets.allowed + packets.denied;
    if let Some(n) = of_reason(Reason::NotLocal).filter(|_| judged == 0) {
        warnings.push(format!(
            "none of the {n} IP packets is to or from the local addresses; --local names others"
        ));
    }
    warnings
}

/// What verdicts rest on that come from flow logs.
fn of_flow_logs(end: &Ended) -> Vec<String> {
    let logs = || end.inputs.iter().filter_map(|input| input.flow_log.as_ref());
    let sum = |of: fn(&FlowLogCounts) -> u64| logs().map(of).sum::<u64>();
    let mut warnings = Vec::new();
    let records = sum(|log| log.records);
    if records > 0 {
        warnings.push(format!(
            "verdicts rest on a flow log: each of {} is judged as one packet, and who opened a connection is \
             inferred where the record does not tell",
            plural(records, "record"),
        ));
    }
    let mut say = |n: u64, noun: &str, what: &str| {
        if n > 0 {
            warnings.push(format!("{} {what}", plural(n, noun)));
        }
    };
    say(
        sum(|log| log.skipped),
        "window",
        "of which the cloud has lost records (SKIPDATA): of its traffic nothing is known",
    );
    say(sum(|log| log.no_protocol), "record", "without a protocol not judged");
    say(
        sum(|log| log.no_icmp_type),
        "ICMP record",
        "without a type, which the log does not have; taken for echo requests",
    );
    warnings
}

/// What is to be said where the table of sessions had no room.
pub(super) fn evicted(evicted: u64, options: Options) -> Option<String> {
    let most = ByteSize::b(options.session_memory as u64);
    (evicted > 0).then(|| {
        format!(
            "{} forgotten, the longest idle first, since the table of sessions had reached {most}; what \
             followed of them is judged like connections already under way; --session-memory allows more",
            plural(evicted, "session"),
        )
    })
}

/// Places given with `--interface` that no frame has come from.
pub(super) struct Unseen<'a>(Vec<&'a Tap>);

impl<'a> Unseen<'a> {
    pub(super) fn new(given: &'a [Tap]) -> Self {
        Self(given.iter().collect())
    }

    pub(super) fn look(&mut self, frames: &[(Frame<'_>, &Decoded)]) {
        for (frame, _) in frames {
            if self.0.is_empty() {
                return;
            }
            let elsewhere = |name: &String, tap: &Tap| *name != tap.eni && *name != tap.of;
            self.0.retain(|tap| frame.interface.is_none_or(|name| elsewhere(name, tap)));
        }
    }

    pub(super) fn warnings(self) -> impl Iterator<Item = String> {
        self.0.into_iter().map(|Tap { eni, of }| {
            format!(
                "--interface {eni}={of}: no packet was captured there; it is neither a capture named on \
                 the command line nor an interface of a pcapng"
            )
        })
    }
}

/// The status: whether what was asked for with `--fail-on` holds, unless the input does not allow an
/// answer.
pub(super) fn status(
    end: Ended,
    fails: Option<bool>,
    allow_truncated: bool,
) -> Result<ExitStatus, Failure> {
    let truncated = !end.damage.is_empty();
    let interrupted = end.interrupted;
    let frames: u64 = end.inputs.iter().map(|input| input.frames).sum();
    let status = ended(end)?;
    match fails {
        Some(true) => Ok(ExitStatus::Failed),
        Some(false) if truncated && !allow_truncated => Err(Failure::Usage(
            "the capture breaks off, so --fail-on has no full answer; --allow-truncated accepts it"
                .to_owned(),
        )),
        Some(false) if frames == 0 => {
            Err(Failure::Usage("there was no packet, so --fail-on has no answer".to_owned()))
        }
        Some(false) if interrupted => {
            Err(Failure::Usage("interrupted, so --fail-on has no full answer".to_owned()))
        }
        Some(false) | None => Ok(status),
    }
}
