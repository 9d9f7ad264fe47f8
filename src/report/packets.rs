//! A row per packet, and per interface where it was judged.

use super::{Cell, Labels, text};
use crate::capture::Frame;
use crate::decode::Decoded;
use crate::flow::{Fragment, Packet};
use crate::verdict::{Judged, Judgement, Reason, Verdict};

/// The columns of `decode`.
pub const DECODE_COLUMNS: [&str; 14] = [
    "frame",
    "time_ns",
    "caplen",
    "wirelen",
    "outcome",
    "src",
    "dst",
    "proto",
    "sport",
    "dport",
    "tcp_flags",
    "icmp_type",
    "icmp_code",
    "fragment",
];

/// The columns that `replay --per packet` adds.
pub const VERDICT_COLUMNS: [&str; 7] =
    ["interface", "direction", "verdict", "reason", "group", "rule", "connection"];

/// The cells under [`DECODE_COLUMNS`].
pub fn decode_cells(frame: &Frame<'_>, decoded: &Decoded) -> [Cell<'static>; 14] {
    let packet = decoded.packet();
    let flow = packet.map(|packet| &packet.flow);
    let ports = flow.and_then(|flow| flow.transport.ports());
    let icmp = flow.and_then(|flow| flow.transport.icmp());
    [
        Cell::Number(frame.number),
        frame.time_ns.into(),
        Cell::Number(frame.data.len() as u64),
        Cell::Number(frame.wire_len.into()),
        Cell::Text(decoded.outcome()),
        flow.map_or(Cell::Empty, |flow| Cell::Addr(flow.src)),
        flow.map_or(Cell::Empty, |flow| Cell::Addr(flow.dst)),
        flow.map(|flow| flow.proto.0).into(),
        ports.map(|(src, _)| src).into(),
        ports.map(|(_, dst)| dst).into(),
        packet.and_then(|packet| packet.tcp_flags).map(|flags| flags.0).into(),
        icmp.map(|(kind, _)| kind).into(),
        icmp.map(|(_, code)| code).into(),
        packet.map_or(Cell::Empty, |packet| Cell::Text(packet.fragment.as_str())),
    ]
}

/// The cells under [`VERDICT_COLUMNS`]: one set per interface, or one that says why there is none.
pub fn verdict_cells<'a>(
    judged: &'a Judged,
    labels: &'a Labels,
) -> impl Iterator<Item = [Cell<'a>; 7]> {
    let not_evaluated = match judged {
        Judged::At(_) => None,
        Judged::Not(reason) => {
            let (verdict, reason) = (Verdict::NotEvaluated.as_str(), reason.as_str());
            let words = [Cell::Text(verdict), Cell::Text(reason)];
            let [verdict, reason] = words;
            Some([Cell::Empty, Cell::Empty, verdict, reason, Cell::Empty, Cell::Empty, Cell::Empty])
        }
    };
    not_evaluated.into_iter().chain(judged.judgements().map(|judgement| {
        let label = labels.of(judgement);
        [
            Cell::Text(labels.interface(judgement.interface)),
            Cell::Text(judgement.direction.as_str()),
            Cell::Text(judgement.verdict.as_str()),
            Cell::Text(judgement.reason.as_str()),
            Cell::Text(&label.group),
            Cell::Text(&label.rule),
            judgement.connection.into(),
        ]
    }))
}

/// One line for people: frame, time since the first packet, tuple, and the answer if there is one.
pub fn packet_line(
    frame: &Frame<'_>,
    decoded: &Decoded,
    start_ns: u64,
    judgement: Option<(&Judgement, &Labels)>,
    unjudged: Option<Reason>,
) -> String {
    let since = frame.time_ns.unwrap_or(start_ns).saturating_sub(start_ns);
    let (seconds, micros) = (since / 1_000_000_000, since % 1_000_000_000 / 1_000);
    let what = match decoded.packet() {
        Some(packet) => described(packet),
        None => String::new(),
    };
    let outcome = match (decoded, unjudged) {
        (Decoded::Not(_), None) => format!(" {}", decoded.outcome()),
        _ => String::new(),
    };
    let answer = match (judgement, unjudged) {
        (Some((judgement, labels)), _) => {
            let label = labels.of(judgement);
            let verdict = judgement.verdict.as_str();
            let (at, direction) = (labels.interface(judgement.interface), judgement.direction);
            let why = text::because(judgement.reason, label);
            format!("{verdict:<5} {direction:<7} {at}  ({why})  ")
        }
        (None, Some(reason)) => format!("–     {reason}  ", reason = reason.as_str()),
        (None, None) => String::new(),
    };
    let line = format!("{:>6} {seconds:>6}.{micros:06}  {answer}{what}{outcome}", frame.number);
    line.trim_end().to_owned()
}

fn described(packet: &Packet) -> String {
    let flags =
        packet.tcp_flags.map_or_else(String::new, |flags| format!(" [{}]", text::flags(flags)));
    let fragment = match packet.fragment {
        Fragment::No => "",
        Fragment::First { .. } => " first fragment",
        Fragment::Later { .. } => " later fragment",
    };
    format!("{}{flags}{fragment}", packet.flow)
}
