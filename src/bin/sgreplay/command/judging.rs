//! What commands that judge packets have in common: rules, interfaces, local addresses, the last word.

use std::net::IpAddr;
use std::path::Path;

use bytesize::ByteSize;
use ipnet::IpNet;
use sgreplay::capture::{CaptureError, FlowLogCounts};
use sgreplay::check::Checked;
use sgreplay::direction::Evidence;
use sgreplay::escape;
use sgreplay::flow::Direction;
use sgreplay::replay::{Midstream, Options, Replay, Sessions};
use sgreplay::report::{Gathered, Local, Made, RulesInput, count, duration, plural};
use sgreplay::rules::{Cloud, RuleSet, listed};
use sgreplay::session::Openings;
use sgreplay::sources::{CaptureInput, ClockAhead, ClockBackwards, Ended, Input, SkippedFile};
use sgreplay::stats::{Stats, UnevaluatedCount};
use sgreplay::verdict::{Reason, Verdict};

use super::ended;
use crate::args::{JudgeArgs, MidstreamArg, Tap};
use crate::captures::Captures;
use crate::exit::{ExitStatus, Failure};
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

/// Why a gate that holds nothing against the rules does not pass: some of them are missing.
pub(super) fn incomplete(rules: &RuleSet) -> Option<String> {
    let (first, more) = rules.incomplete().split_first()?;
    let more = match more.len() {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Some(format!(
        "the rules are not whole, so there is no full answer: {first}{more}; --partial takes them as they are"
    ))
}

/// The status of a gate on which nothing is held against the rules, unless there is a reason to say no more.
pub(super) fn passes(unanswered: Option<String>) -> Result<ExitStatus, Failure> {
    unanswered.map_or(Ok(ExitStatus::Done), |why| Err(Failure::Usage(why)))
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
    end.inputs.iter().map(|input| input.counts.dropped).sum()
}

/// What the captures themselves give cause to say.
pub(super) fn of_captures(end: &Ended, stats: &Stats, local: &Local) -> Vec<String> {
    let mut warnings: Vec<String> = end.damage.iter().map(CaptureError::to_string).collect();
    warnings.extend(unsure(local));
    if end.live {
        warnings.push(
            "--live: a connection already under way is judged by the packets before it alone, not by who accepts \
             connections later"
                .to_owned(),
        );
    }
    let unevaluated = Unevaluated::new(stats, local);
    warnings.extend(unevaluated.text());
    warnings.extend(guesses(stats));
    if let (Some(UnevaluatedCount { detail: Some(name), frames, .. }), false) =
        (stats.tunnelled().into_iter().next(), local.assumed)
        && frames * 2 > stats.packets().total()
    {
        warnings.push(format!(
            "{} of {} packets are {name}, as a traffic mirror delivers; --decap {name} judges what is inside",
            count(frames),
            count(stats.packets().total()),
        ));
    }
    let packets = stats.packets();
    if packets.total() == 0 && end.damage.is_empty() {
        let read: u64 = end.inputs.iter().map(|input| input.frames).sum();
        warnings.push(match read {
            0 => "no packet: the capture is empty".to_owned(),
            _ => format!("no packet: the options choose none of {}", plural(read, "packet")),
        });
    }
    let dropped: u64 = end.inputs.iter().filter_map(|input| input.counts.dropped).sum();
    if dropped > 0 {
        warnings.push(format!(
            "the capturing machine has dropped {}, of which nothing is known",
            plural(dropped, "packet"),
        ));
    }
    warnings.extend(unusable_times(end));
    for CaptureInput { path, clock_backwards, .. } in &end.inputs {
        if let Some(ClockBackwards { times, most_ns, frame }) = clock_backwards {
            warnings.push(format!(
                "the clock of {path} runs backwards {}, by {} at the most, first at its frame {frame}; sessions do \
                 not expire by it",
                plural(*times, "time"),
                duration(*most_ns),
            ));
        }
    }
    for CaptureInput { path, clock_ahead, .. } in &end.inputs {
        if let Some(ClockAhead { times, most_ns, frame }) = clock_ahead {
            warnings.push(format!(
                "the clock of {path} jumps ahead {}, by {} at the most, first at its frame {frame}: it was set, or the \
                 recording was interrupted; sessions from before have expired",
                plural(*times, "time"),
                duration(*most_ns),
            ));
        }
    }
    warnings.extend(end.hints.warnings());
    for SkippedFile { path, why, .. } in &end.skipped {
        warnings.push(format!("{path} is not read: {why}"));
    }
    warnings.extend(of_flow_logs(end));
    let judged = packets.allowed + packets.denied;
    let not_local = stats.reasons().find(|(reason, _)| *reason == Reason::NotLocal);
    if let Some((_, n)) = not_local.filter(|_| judged == 0) {
        warnings.push(format!(
            "none of the {n} IP packets is to or from the local addresses; --local names others"
        ));
    }
    warnings
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
fn unsure(local: &Local) -> Option<String> {
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

/// Frames that carry or hide traffic and were not evaluated.
struct Unevaluated {
    counts: Vec<UnevaluatedCount>,
    frames: u64,
    /// Those that were evaluated.
    judged: u64,
}

impl Unevaluated {
    /// Tunnels that were judged as they are count too where the local address is a guess, since a traffic mirror's
    /// receiver is in all packets of a capture and is not the instance, and where they are most of what was judged.
    fn new(stats: &Stats, local: &Local) -> Self {
        let packets = stats.packets();
        let (mut counts, mut judged) =
            (stats.unevaluated().counts(), packets.allowed + packets.denied);
        let tunnelled = stats.tunnelled();
        let frames: u64 = tunnelled.iter().map(|count| count.frames).sum();
        let count_them = local.assumed || frames * 2 > judged;
        for count in tunnelled.into_iter().filter(|_| count_them) {
            judged = judged.saturating_sub(count.frames);
            match counts.iter_mut().find(|known| known.detail == count.detail) {
                Some(known) => known.frames += count.frames,
                None => counts.push(count),
            }
        }
        counts.sort_by_key(|count| std::cmp::Reverse(count.frames));
        let frames = counts.iter().map(|count| count.frames).sum();
        Self { counts, frames, judged }
    }

    /// For a gate: beside them packets between other hosts, where the local address is a guess.
    fn of_gate(stats: &Stats, local: &Local) -> Self {
        let mut found = Self::new(stats, local);
        let not_local = stats.unevaluated().not_local().filter(|_| local.assumed);
        found.counts.extend(not_local);
        found.counts.sort_by_key(|count| std::cmp::Reverse(count.frames));
        found.frames = found.counts.iter().map(|count| count.frames).sum();
        found
    }

    /// Their share of all frames that carry or may hide traffic, in percent.
    fn percent(&self) -> f64 {
        percent(self.frames, self.frames + self.judged)
    }

    /// How many there are, most of them why, with an example and what helps; `None` where there are none.
    fn text(&self) -> Option<String> {
        let first = self.counts.first()?;
        let UnevaluatedCount { reason, detail, frames, example, help } = first;
        let most = match self.counts.len() {
            1 => String::new(),
            _ => format!("{} of them ", count(*frames)),
        };
        let detail = detail.as_ref().map_or_else(String::new, |detail| format!(" ({detail})"));
        Some(format!(
            "{} of the {} packets that carry or may hide traffic not evaluated: {most}{}{detail}, the first is frame \
             {example}; {help}",
            count(self.frames),
            count(self.frames + self.judged),
            reason.replace('_', " "),
        ))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share in percent")]
fn percent(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 * 100.0 / all as f64 }
}

/// Connections whose verdict hangs on a guess.
fn guesses(stats: &Stats) -> Option<String> {
    let (n, frame) = stats.guessed()?;
    Some(format!(
        "nothing shows who began {} of {}, and the verdict hangs on it: the sender of the first packet is taken, as in \
         frame {frame}; --midstream first-packet says that it is right",
        count(n),
        plural(stats.connections().total(), "connection"),
    ))
}

/// What the captures themselves say is missing from them: its share in percent, and what to say of it.
fn missing(end: &Ended, lost_records_count: bool) -> Option<(f64, String)> {
    let logs = || end.inputs.iter().filter_map(|input| input.flow_log.as_ref());
    let sum = |of: fn(&FlowLogCounts) -> u64| logs().map(of).sum::<u64>();
    let read: u64 = end.inputs.iter().map(|input| input.frames).sum();
    let dropped: u64 = end.inputs.iter().filter_map(|input| input.counts.dropped).sum();
    let of_logs = |of| if lost_records_count { sum(of) } else { 0 };
    let (windows, records) = (of_logs(|log| log.skipped), of_logs(|log| log.no_protocol));
    let all = windows + records + dropped;
    let words = [
        (windows, plural(windows, "window"), "of a flow log without records (SKIPDATA)"),
        (records, plural(records, "record"), "of a flow log without a protocol"),
        (dropped, plural(dropped, "packet"), "that the capturing machine dropped"),
    ];
    let words = words.into_iter().filter(|(n, ..)| *n > 0);
    let words: Vec<String> = words.map(|(_, n, what)| format!("{n} {what}")).collect();
    (all > 0).then(|| (percent(all, all + read), words.join(", ")))
}

/// Whether a condition that was asked for can be answered at all.
pub(super) struct Gate<'a> {
    pub(super) end: &'a Ended,
    pub(super) stats: &'a Stats,
    pub(super) local: &'a Local,
    /// Sessions that were forgotten.
    pub(super) evicted: u64,
    /// In percent.
    pub(super) max_unevaluated: f64,
    pub(super) allow_truncated: bool,
    /// Whether records that a flow log has lost may hide what is asked for.
    pub(super) lost_records_count: bool,
    /// Why the rules themselves allow no full answer, if they do not.
    pub(super) of_rules: Option<String>,
    /// The option, in messages.
    pub(super) asked_by: &'a str,
}

impl Gate<'_> {
    /// Why there is no full answer, if there is none.
    pub(super) fn unanswered(&self) -> Option<String> {
        let Self {
            end,
            stats,
            local,
            evicted,
            max_unevaluated,
            allow_truncated,
            lost_records_count,
            of_rules,
            asked_by,
        } = self;
        let no_full_answer =
            |why: &str, helps: &str| Some(format!("{asked_by} has no full answer: {why}; {helps}"));
        let read: u64 = end.inputs.iter().map(|input| input.frames).sum();
        let packets = stats.packets();
        if !end.damage.is_empty() && !allow_truncated {
            return no_full_answer("the capture breaks off", "--allow-truncated accepts it");
        }
        if end.interrupted {
            return no_full_answer("the run was interrupted", "run it to the end");
        }
        if read == 0 {
            return no_full_answer("there was no packet", "name a capture that holds some");
        }
        if packets.total() == 0 {
            let why = "the options choose no packet";
            return no_full_answer(why, "change --filter, --since or --until");
        }
        let unevaluated = Unevaluated::of_gate(stats, local);
        let judged = packets.allowed + packets.denied;
        let not_evaluated = unevaluated.text().filter(|_| unevaluated.percent() > *max_unevaluated);
        if let Some(text) = not_evaluated {
            return no_full_answer(&text, "--max-unevaluated accepts a larger share");
        }
        if judged == 0 {
            return no_full_answer(
                "no packet was evaluated, since none is to or from the local addresses",
                "--local names others",
            );
        }
        if let Some(text) = unsure(local) {
            return Some(format!("{asked_by} has no full answer: {text}"));
        }
        let (guessed, of) = (stats.guessed().map_or(0, |(n, _)| n), stats.connections().total());
        if let Some(text) = guesses(stats).filter(|_| percent(guessed, of) > *max_unevaluated) {
            return no_full_answer(&text, "--max-unevaluated accepts a larger share");
        }
        if let Some((share, text)) = missing(end, *lost_records_count)
            && share > *max_unevaluated
        {
            let why = format!("nothing is known of {text}");
            return no_full_answer(&why, "--max-unevaluated accepts a larger share");
        }
        if let Some(skipped) = end.skipped.iter().find(|skipped| skipped.may_hide_traffic) {
            let why = format!("{} is not read: {}", skipped.path, skipped.why);
            return no_full_answer(&why, "name the captures to leave it out");
        }
        if *evicted > 0 {
            let why = format!("{} forgotten for want of memory", plural(*evicted, "session"));
            return no_full_answer(&why, "--memory allows more");
        }
        of_rules.clone()
    }

    /// The status: whether the condition holds, unless the input does not allow an answer. Where it already holds,
    /// that is the answer.
    pub(super) fn status(&self, fails: bool) -> Result<ExitStatus, Failure> {
        match (fails, self.unanswered()) {
            (true, _) => Ok(ExitStatus::Failed),
            (false, Some(why)) => Err(Failure::Usage(why)),
            (false, None) => Ok(ExitStatus::Done),
        }
    }
}

/// What is to be said of packets whose time cannot be used.
pub(super) fn unusable_times(end: &Ended) -> Option<String> {
    let packets: u64 = end.inputs.iter().map(|input| input.counts.unusable_times).sum();
    (packets > 0).then(|| {
        format!(
            "the time of {} is unusable: it is before 1970 or after 2554, or its resolution cannot be \
             read; each is taken to come right after the packet before it",
            plural(packets, "packet"),
        )
    })
}

/// What may be the name server of a VPC of AWS, which no rule stops: the base of the VPC plus two (SEMANTICS H-a).
pub(super) fn may_be_resolver(rules: &RuleSet, replay: &Replay<'_>) -> Option<String> {
    const DOMAIN: u16 = 53;
    if rules.cloud() != Cloud::Aws || !rules.switches().vpc_cidrs.is_empty() {
        return None;
    }
    let asked = replay.stats().flow_classes().filter(|(kind, _)| {
        let port = kind.example.transport.ports().map(|(_, port)| port);
        kind.direction == Direction::Egress
            && port == Some(DOMAIN)
            && replay.answer(kind).0 == Verdict::Deny
    });
    let of_kind = |addr: IpAddr| match addr {
        IpAddr::V4(addr) => addr.is_private() && addr.octets()[3] == 2,
        IpAddr::V6(_) => false,
    };
    let found = asked.map(|(kind, _)| kind.example.dst).find(|addr| of_kind(*addr))?;
    Some(format!(
        "{found} may be the VPC's name server, which answers whatever the rules say; --vpc-cidr says which network the \
         VPC has"
    ))
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
    say(
        sum(|log| log.already_open),
        "connection",
        "open before the log begins, judged as if opened then",
    );
    say(
        sum(|log| log.other_address),
        "record",
        "of packets with other addresses (pkt-srcaddr, pkt-dstaddr), judged by those of the record: another address \
         of the same interface is known only where the rules have interfaces",
    );
    warnings
}

/// What is to be said where the table of sessions had no room.
pub(super) fn evicted(evicted: u64, options: Options) -> Option<String> {
    let most = ByteSize::b(options.session_memory as u64);
    (evicted > 0).then(|| {
        format!(
            "{} forgotten, the longest idle first, since the table of sessions had reached {most}; what \
             followed of them is judged like connections already under way; --memory allows more",
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

    pub(super) fn look(&mut self, inputs: &[Input<'_>]) {
        for Input { frame, .. } in inputs {
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

/// The last word of a run over captures: what is to be said of damage, and the status, by the gate where a condition
/// was asked for.
pub(super) fn finish(gate: &Gate<'_>, fails: Option<bool>) -> Result<ExitStatus, Failure> {
    let ended = ended(gate.end);
    match fails {
        Some(true) => Ok(ExitStatus::Failed),
        Some(false) => ended.and_then(|_| gate.status(false)),
        None => ended,
    }
}
