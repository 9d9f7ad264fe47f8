//! What the captures of a run give cause to say.

use std::net::IpAddr;

use bytesize::ByteSize;
use sgreplay::capture::{CaptureError, FlowLogCounts, Frame};
use sgreplay::engine::CapturePoint;
use sgreplay::flow::Direction;
use sgreplay::replay::{Options, Replay};
use sgreplay::report::{Local, count, duration, plural};
use sgreplay::rules::{Cloud, RuleSet};
use sgreplay::sources::{CaptureInput, ClockAhead, ClockBackwards, Ended, SkippedFile};
use sgreplay::stats::{Stats, UnevaluatedCount};
use sgreplay::verdict::{Reason, Verdict};

use super::gate::Unevaluated;
use super::judging::unsure;

/// Why the result is not of the whole input, if it is not.
pub(crate) fn partial(end: &Ended) -> Option<String> {
    let mut why: Vec<String> = end.damage.iter().map(CaptureError::to_string).collect();
    if end.interrupted {
        why.push("interrupted; what follows is the traffic read so far".to_owned());
    }
    (!why.is_empty()).then(|| why.join("; "))
}

/// Packets that the capturing machines say they have dropped; `None` where one of them does not say.
pub(crate) fn dropped(end: &Ended) -> Option<u64> {
    end.inputs.iter().map(|input| input.counts.dropped).sum()
}

/// What the captures themselves give cause to say.
pub(crate) fn of_captures(end: &Ended, stats: &Stats, local: &Local) -> Vec<String> {
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

/// What is to be said of packets whose time cannot be used.
pub(crate) fn unusable_times(end: &Ended) -> Option<String> {
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
pub(crate) fn may_be_resolver(rules: &RuleSet, replay: &Replay<'_>) -> Option<String> {
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
pub(crate) fn evicted(evicted: u64, options: Options) -> Option<String> {
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
pub(crate) struct Unseen<'a>(Vec<&'a CapturePoint>);

impl<'a> Unseen<'a> {
    pub(crate) fn new(given: &'a [CapturePoint]) -> Self {
        Self(given.iter().collect())
    }

    /// Whether there are capture points at which no packet was seen yet.
    pub(crate) fn any_left(&self) -> bool {
        !self.0.is_empty()
    }

    #[inline]
    pub(crate) fn look(&mut self, frame: &Frame<'_>) {
        if !self.0.is_empty() {
            let elsewhere =
                |name: &String, tap: &CapturePoint| *name != tap.interface && *name != tap.source;
            self.0.retain(|tap| frame.interface.is_none_or(|name| elsewhere(name, tap)));
        }
    }

    pub(crate) fn warnings(self) -> impl Iterator<Item = String> {
        self.0.into_iter().map(|CapturePoint { interface: eni, source: of }| {
            format!(
                "--interface {eni}={of}: no packet was captured there; it is neither a capture named on \
                 the command line nor an interface of a pcapng"
            )
        })
    }
}
