//! A row per packet, and per interface where it was judged.

use std::borrow::Cow;

use super::{Cell, text};
use crate::capture::Frame;
use crate::decode::{Decoded, Why};
use crate::escape;
use crate::flow::{Fragment, Packet};
use crate::labels::Labels;
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
pub const VERDICT_COLUMNS: [&str; 8] =
    ["interface", "direction", "verdict", "reason", "group", "rule", "connection", "layer"];

/// The columns that `decode --embedded` adds.
pub const EMBEDDED_COLUMNS: [&str; 5] =
    ["embedded_src", "embedded_dst", "embedded_proto", "embedded_sport", "embedded_dport"];

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

/// The cells under [`EMBEDDED_COLUMNS`].
pub fn embedded_cells(embedded: Option<&Packet>) -> [Cell<'static>; 5] {
    let flow = embedded.map(|packet| &packet.flow);
    let ports = flow.and_then(|flow| flow.transport.ports());
    [
        flow.map_or(Cell::Empty, |flow| Cell::Addr(flow.src)),
        flow.map_or(Cell::Empty, |flow| Cell::Addr(flow.dst)),
        flow.map(|flow| flow.proto.0).into(),
        ports.map(|(src, _)| src).into(),
        ports.map(|(_, dst)| dst).into(),
    ]
}

/// The cells under [`VERDICT_COLUMNS`]: one set per interface, or one that says why there is none.
pub fn verdict_cells<'a>(
    judged: &'a Judged,
    labels: &'a Labels,
) -> impl Iterator<Item = [Cell<'a>; 8]> {
    let not_evaluated = match judged {
        Judged::At(..) => None,
        Judged::NotEvaluated(reason) => {
            let (verdict, reason) = (Verdict::NotEvaluated.as_str(), reason.as_str());
            let mut cells = [const { Cell::Empty }; 8];
            (cells[2], cells[3]) = (Cell::Text(verdict), Cell::Text(reason));
            Some(cells)
        }
    };
    not_evaluated.into_iter().chain(judged.judgements().map(|judgement| {
        let label = labels.judgement(judgement);
        [
            Cell::Text(labels.interface(judgement.interface)),
            Cell::Text(judgement.direction.as_str()),
            Cell::Text(judgement.verdict.as_str()),
            Cell::Text(judgement.reason.as_str()),
            Cell::Text(&label.group),
            Cell::Text(&label.rule),
            judgement.connection.into(),
            Cell::Text(label.layer.as_str()),
        ]
    }))
}

/// What one line says of a packet's judgement.
#[derive(Clone, Copy, Debug)]
pub enum PacketAnswer<'a> {
    /// It was judged.
    Judged(&'a Judgement, &'a Labels),
    /// It was not.
    Not(Reason),
}

/// One line for people: frame, time since the first packet (`-` where it has none), tuple, of an ICMP error what it complains
/// about, and the answer if there is one.
pub fn packet_line(
    frame: &Frame<'_>,
    decoded: &Decoded,
    embedded: Option<&Packet>,
    start_ns: Option<u64>,
    answer: Option<PacketAnswer<'_>>,
) -> String {
    let since = frame.time_ns.zip(start_ns).map(|(time, start)| time.saturating_sub(start));
    let since = since.map_or_else(
        || "-".to_owned(),
        |since| format!("{}.{:06}", since / 1_000_000_000, since % 1_000_000_000 / 1_000),
    );
    let what = decoded.packet().map_or_else(String::new, described);
    let about = embedded.map_or_else(String::new, |of| format!(" about {}", described(of)));
    let outcome = match (decoded, answer) {
        (Decoded::Failed(error), None | Some(PacketAnswer::Judged(..))) => {
            let place = match error.why {
                Why::Malformed | Why::Truncated => {
                    format!(" ({} header at byte {})", error.header.as_str(), error.offset)
                }
                Why::NonIp | Why::UnsupportedLink => String::new(),
            };
            format!(" {}{place}", decoded.outcome())
        }
        _ => String::new(),
    };
    let answer = match answer {
        Some(PacketAnswer::Judged(judgement, labels)) => {
            let label = labels.judgement(judgement);
            let verdict = judgement.verdict.as_str();
            let (at, direction) = (labels.interface(judgement.interface), judgement.direction);
            let why = label.because_of(judgement);
            format!("{verdict:<5} {direction:<7} {at}  ({why})  ")
        }
        Some(PacketAnswer::Not(reason)) => format!("–     {reason}  ", reason = reason.as_str()),
        None => String::new(),
    };
    let number = frame.number;
    let line = format!("{number:>6} {since:>13}  {answer}{what}{about}{outcome}");
    match escape::line(line.trim_end()) {
        Cow::Owned(escaped) => escaped,
        Cow::Borrowed(same) if same.len() == line.len() => line,
        Cow::Borrowed(shorter) => shorter.to_owned(),
    }
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
