//! Text for people.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::OnceLock;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

use super::flow_cells::push_number;
use super::table::{Room, SHOWN, Table, table};
use super::{CaptureInput, Local, RuleCount, Summary};
use crate::capture::CaptureCounts;
use crate::escape::{Text, push_line};
use crate::flow::{Direction, TcpFlags};
use crate::labels::{Label, Labels};
use crate::replay::Replay;
use crate::rules::services;
use crate::stats::{Count, FlowClass, PeerCount, Peers, Special};
use crate::verdict::{Reason, Verdict};

/// Kinds of connections that one entry has decided and one protocol, before the others share a line.
const SHOWN_OF_ENTRY: usize = 8;

/// `1,234,567`
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Appends a number as [`count`] has it.
pub(super) fn push_count(number: u64, text: &mut String) {
    match number {
        0..1_000 => push_number(number, text),
        _ => text.push_str(&count(number)),
    }
}

/// `1 connection`, `2 connections`
pub fn plural(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(number))
}

/// `1.2 MB`, in powers of a thousand.
pub fn bytes(number: u64) -> String {
    let mut text = String::new();
    push_bytes(number, &mut text);
    text
}

/// Appends the same.
pub(super) fn push_bytes(number: u64, text: &mut String) {
    let units = [(1_000_000_000, " GB"), (1_000_000, " MB"), (1_000, " kB")];
    let Some((size, unit)) = units.into_iter().find(|(size, _)| number >= *size) else {
        push_number(number, text);
        text.push_str(" B");
        return;
    };
    push_number(number / size, text);
    text.push('.');
    push_number(number % size * 10 / size, text);
    text.push_str(unit);
}

/// `4 h 10 min`, `12.3 s`: two units at most.
pub fn duration(ns: u64) -> String {
    let seconds = ns / 1_000_000_000;
    match seconds {
        86_400.. => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
        3_600.. => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        60.. => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{seconds}.{} s", ns % 1_000_000_000 / 100_000_000),
    }
}

/// The zone of times in texts.
static ZONE: OnceLock<TimeZone> = OnceLock::new();

/// Sets the zone of times in texts for people, once for the whole process; it is UTC otherwise. Times for programs do
/// not depend on it.
pub fn set_time_zone(zone: TimeZone) {
    let _ = ZONE.set(zone);
}

/// The zone of times in texts.
pub fn time_zone() -> TimeZone {
    ZONE.get().cloned().unwrap_or(TimeZone::UTC)
}

/// A time in the zone of texts; none beyond the year 9999.
fn zoned(ns: u64) -> Option<ZonedDateTime> {
    let seconds = i64::try_from(ns / 1_000_000_000).ok()?;
    Some(Timestamp::from_second(seconds).ok()?.to_zoned_datetime(time_zone()))
}

/// `2026-11-23 14:22:05 UTC`; nanoseconds since the epoch.
pub fn time(ns: u64) -> String {
    let shown = |time: ZonedDateTime| time.strftime("%Y-%m-%d %H:%M:%S %Z").to_string();
    zoned(ns).map_or_else(|| format!("{ns} ns"), shown)
}

/// `S.`, as tcpdump writes the flags of a segment.
pub(super) fn flags(flags: TcpFlags) -> String {
    let names =
        [(2, 'S'), (1, 'F'), (4, 'R'), (8, 'P'), (32, 'U'), (64, 'E'), (128, 'W'), (16, '.')];
    let set: String =
        names.iter().filter(|(bit, _)| flags.0 & bit != 0).map(|(_, name)| name).collect();
    if set.is_empty() { "none".to_owned() } else { set }
}

/// Why connections of a kind are decided as they are.
fn because_of_kind(kind: &FlowClass, reason: Reason, label: &Label) -> String {
    if kind.special == Special::Reply { label.stopped() } else { label.because(reason) }
}

/// More captures than this share a line, but for those of which there is more to say.
const MOST_CAPTURES: usize = 4;

/// The captures and their time window; `all` lists each, however many there are.
pub(super) fn captures(
    out: &mut Text,
    captures: &[CaptureInput],
    times: Option<(u64, u64)>,
    all: bool,
) {
    let is_plain = |capture: &&CaptureInput| {
        let CaptureInput { counts, sha256, flow_log, .. } = capture;
        let is_whole = counts.dropped.unwrap_or_default() == 0 && skipped(counts).is_empty();
        is_whole && sha256.is_none() && flow_log.is_none()
    };
    let together: Vec<&CaptureInput> = match all || captures.len() <= MOST_CAPTURES {
        true => Vec::new(),
        false => captures.iter().filter(is_plain).collect(),
    };
    if !together.is_empty() {
        let frames: u64 = together.iter().map(|capture| capture.frames).sum();
        let size: u64 = together.iter().map(|capture| capture.size).sum();
        push_line!(
            out,
            "captures {} files: {} packets, {} (-v lists them)",
            count(together.len() as u64),
            count(frames),
            bytes(size),
        );
    }
    for capture in captures.iter().filter(|capture| together.is_empty() || !is_plain(capture)) {
        push_line!(
            out,
            "capture  {}: {}, {}{}{}{}",
            capture.path,
            match &capture.flow_log {
                None => format!("{} packets", count(capture.frames)),
                Some(log) => format!(
                    "{}, {} of {}",
                    log.kind.as_str(),
                    plural(log.records, "record"),
                    plural(log.packets, "packet")
                ),
            },
            bytes(capture.size),
            match capture.counts.dropped {
                None | Some(0) => String::new(),
                Some(dropped) => format!(", {} not captured", plural(dropped, "more packet")),
            },
            skipped(&capture.counts),
            capture.sha256.as_ref().map_or_else(String::new, |hash| format!(", sha256 {hash}")),
        );
    }
    if let Some((first, last)) = times {
        push_line!(out, "time     {} to {}, {}", time(first), time(last), duration(last - first));
    }
}

/// What was skipped although it holds something: blocks of a pcapng, files of an archive.
fn skipped(counts: &CaptureCounts) -> String {
    let kinds = [
        (counts.secrets_blocks, "block of decryption secrets", "blocks of decryption secrets"),
        (counts.custom_blocks, "custom block", "custom blocks"),
        (counts.unknown_blocks, "unknown block", "unknown blocks"),
        (counts.other_files, "file that is no capture", "files that are no captures"),
    ];
    let found = kinds.iter().filter(|(n, ..)| *n > 0);
    let found =
        found.map(|(n, one, many)| format!("{} {}", count(*n), if *n == 1 { one } else { many }));
    let found = found.collect::<Vec<_>>().join(", ");
    if found.is_empty() { found } else { format!(", skipped {found}") }
}

/// The program's version, the local addresses, and what is missing.
pub(super) fn made_by(out: &mut Text, local: &Local, partial: Option<&str>) {
    push_line!(out, "by       sgreplay {}", env!("CARGO_PKG_VERSION"));
    let Local { addresses, why, .. } = local;
    push_line!(out, "local    {} ({}{why})", addresses.join(", "), local.trust());
    if let Some(why) = partial {
        push_line!(out, "PARTIAL  {why}");
    }
}

/// `14:22:05 to 14:31:10`, in the zone of texts.
pub(super) fn clock(first: u64, last: u64) -> String {
    let shown = |time: ZonedDateTime| time.strftime("%H:%M:%S").to_string();
    let time = |ns: u64| zoned(ns).map_or_else(String::new, shown);
    let (first, last) = (time(first), time(last));
    if first == last { first } else { format!("{first} to {last}") }
}

/// The summary of a run.
pub fn summary(summary: &Summary, replay: &Replay<'_>, labels: &Labels, room: Room) -> Text {
    let mut out = Text::default();
    let stats = replay.stats();
    let inputs = &summary.inputs;
    out.append(&table(&counts(replay)));
    if let Some(midstream) = midstream(&summary.inputs.captures, replay) {
        push_line!(out, "  {midstream}");
    }
    for verdict in [Verdict::Deny, Verdict::Allow] {
        if let Some(table) = kinds(verdict, replay, labels, room.lines) {
            out.append(&table.text(room.width));
        }
    }
    out.append(&rules(summary, room.lines).text(room.width));

    push_line!(out);
    captures(&mut out, &inputs.captures, stats.times(), room.lines > SHOWN);
    inputs.rules.line(&mut out, "rules");
    made_by(&mut out, &summary.local, summary.partial.as_deref());
    for warning in &summary.warnings {
        push_line!(out);
        push_line!(out, "warning: {warning}");
    }
    out
}

/// Packets and connections by verdict, under a header.
pub(super) fn counts(replay: &Replay<'_>) -> Vec<Vec<String>> {
    let stats = replay.stats();
    let packets = stats.packets();
    let unjudged: Vec<String> = stats
        .reasons()
        .filter(|(reason, _)| *reason >= Reason::NotIp)
        .map(|(reason, n)| format!("{} {}", reason.as_str(), count(n)))
        .collect();
    let unjudged =
        if unjudged.is_empty() { String::new() } else { format!(" ({})", unjudged.join(", ")) };
    let mut counts = vec![
        ["", "total", "allowed", "denied", "not evaluated"].map(str::to_owned).to_vec(),
        vec![
            "packets".to_owned(),
            count(packets.total()),
            count(packets.allowed),
            count(packets.denied),
            format!("{}{unjudged}", count(packets.not_evaluated)),
        ],
    ];
    let connections = stats.connections();
    if connections.total() > 0 {
        counts.push(vec![
            "connections".to_owned(),
            count(connections.total()),
            count(connections.allowed),
            count(connections.denied),
        ]);
    }
    if stats.cut() > 0 {
        let note = "of the denied: opened, and a network ACL stops the replies".to_owned();
        let none = String::new;
        counts.push(vec!["cut".to_owned(), count(stats.cut()), none(), none(), note]);
    }
    let strays = stats.strays();
    if strays.total() > 0 {
        let numbers = [strays.total(), strays.allowed, strays.denied].map(count);
        let note = "packets after their connection closed".to_owned();
        counts.push(["strays".to_owned()].into_iter().chain(numbers).chain([note]).collect());
    }
    counts
}

/// What is to be said of connections whose opening the capture does not show; `None` where it shows all.
pub(super) fn midstream(captures: &[CaptureInput], replay: &Replay<'_>) -> Option<String> {
    let stats = replay.stats();
    let midstream: u64 = stats.midstream().map(|(_, n)| n).sum();
    let how: Vec<String> =
        stats.midstream().map(|(how, n)| format!("{n} by {}", how.as_str())).collect();
    (midstream > 0).then(|| {
        format!(
            "{} {}; who began them is inferred: {}",
            plural(midstream, "connection"),
            match captures.iter().any(|input| input.flow_log.is_some()) {
                false => "under way when the capture started",
                true => "of which the log does not show the opening",
            },
            how.join(", "),
        )
    })
}

/// The answer in one sentence: how much is denied, and the greatest part of that.
pub(super) fn sentence(replay: &Replay<'_>, labels: &Labels) -> String {
    let (packets, connections) = (replay.stats().packets(), replay.stats().connections());
    let stateful = connections.total() > 0;
    let (of, noun) = if stateful { (connections, "connection") } else { (packets, "packet") };
    let judged = plural(of.allowed + of.denied, noun);
    if of.allowed + of.denied == 0 {
        return "No packet was judged.".to_owned();
    }
    let lines = lines(replay, Verdict::Deny);
    let Some(Line { kind, count: most, .. }) = lines.first().filter(|_| of.denied > 0) else {
        return format!("The rules allow all of {judged}.");
    };
    let most = if stateful { most.connections } else { most.packets };
    let (_, reason) = replay.answer(kind);
    let label = labels.entry(kind.interface, kind.direction, kind.entry);
    let why = because_of_kind(kind, reason, label);
    let opened = match kind.special {
        Special::Reply => kind.direction.opposite(),
        _ => kind.direction,
    };
    let from = if opened == Direction::Egress { "to" } else { "from" };
    let which = if most == of.denied { String::new() } else { format!("{} of them ", count(most)) };
    let (service, peers) = (services::of_flow(&kind.example), peers(&kind.peers));
    format!(
        "The rules deny {} of {judged}: {which}{service} {from} {peers}, by {why}.",
        count(of.denied)
    )
}

/// A line of the tables of allowed and denied connections.
struct Line<'t> {
    kind: &'t FlowClass,
    count: Count,
    /// Kinds that the line stands for beside the first: the ports of a scan.
    others: usize,
}

/// One line per kind of connection, most connections first; where one entry has decided many kinds of
/// a protocol, the rarer ones share a line.
fn lines<'t>(replay: &'t Replay<'_>, verdict: Verdict) -> Vec<Line<'t>> {
    // Strays have a line of their own.
    let of_verdict = |(kind, _): &(&FlowClass, Count)| {
        kind.special != Special::Stray && replay.answer(kind).0 == verdict
    };
    let mut kinds: Vec<(&FlowClass, Count)> =
        replay.stats().flow_classes().filter(of_verdict).collect();
    let rank = |count: &Count| Reverse((count.connections, count.packets));
    kinds.sort_by_key(|(_, count)| rank(count));
    let mut lines: Vec<Line<'_>> = Vec::new();
    // Lines so far, and the shared line, of each entry and protocol.
    let mut of_entry: HashMap<_, (usize, Option<usize>)> = HashMap::new();
    for (kind, of_kind) in kinds {
        let entry = (kind.interface, kind.direction, kind.entry, kind.example.proto);
        let (count, shared) = of_entry.entry(entry).or_default();
        *count += 1;
        if let Some(line) = shared.and_then(|line| lines.get_mut(line)) {
            line.count = line.count + of_kind;
            line.others += 1;
            continue;
        }
        if *count > SHOWN_OF_ENTRY {
            *shared = Some(lines.len());
        }
        lines.push(Line { kind, count: of_kind, others: 0 });
    }
    lines.sort_by_key(|line| (line.others > 0, rank(&line.count)));
    lines
}

/// The kinds of connections that have a verdict; `None` where there are none.
pub(super) fn kinds(
    verdict: Verdict,
    replay: &Replay<'_>,
    labels: &Labels,
    most: usize,
) -> Option<Table> {
    let title = match verdict {
        Verdict::Allow => "allowed",
        Verdict::Deny | Verdict::NotEvaluated => "denied",
    };
    let lines = lines(replay, verdict);
    if lines.is_empty() {
        return None;
    }
    let stateful = replay.stats().connections().total() > 0;
    let header = ["connections", "packets", "bytes", "", "service", "peer", "frame", "why"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for Line { kind, count: total, others } in lines.iter().take(most) {
        let (_, reason) = replay.answer(kind);
        let label = labels.entry(kind.interface, kind.direction, kind.entry);
        let service = match others {
            0 => services::of_flow(&kind.example),
            _ => format!("{}, {} other ports", kind.example.proto, count(*others as u64 + 1)),
        };
        rows.push(vec![
            if stateful { count(total.connections) } else { "–".to_owned() },
            count(total.packets),
            bytes(total.bytes),
            format!("{} {}", kind.direction, labels.interface(kind.interface)),
            service,
            peers(&kind.peers),
            kind.first_frame.to_string(),
            because_of_kind(kind, reason, label),
        ]);
    }
    let more = lines.get(most..).filter(|rest| !rest.is_empty()).map(|rest| {
        format!(
            "and {} more lines with {} connections, {} packets; --per connection lists all",
            count(rest.len() as u64),
            count(rest.iter().map(|line| line.count.connections).sum()),
            count(rest.iter().map(|line| line.count.packets).sum()),
        )
    });
    Some(Table { title: title.to_owned(), rows, more })
}

fn peers(peers: &Peers) -> String {
    let Some(one) = peers.first().first() else { return String::new() };
    match peers.count() {
        PeerCount::Exactly(1) => one.to_string(),
        PeerCount::Exactly(all) => format!("{one} and {} more", count(all - 1)),
        PeerCount::About(all) => format!("{one} and about {} more", count(all - 1)),
        PeerCount::MoreThan(_) => format!("{one} and many more"),
    }
}

/// The rules that the traffic used, and the names of the others.
pub(super) fn rules(summary: &Summary, most: usize) -> Table {
    let (used, unused): (Vec<_>, Vec<_>) = summary.rules.iter().partition(|rule| rule.packets > 0);
    let more = (!unused.is_empty()).then(|| {
        let names: Vec<String> = unused.iter().take(most).map(|rule| rule.rule.clone()).collect();
        let more = match unused.len().saturating_sub(most) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("not used by this traffic: {}{more}", names.join(", "))
    });
    Table { title: "rules".to_owned(), rows: rule_rows(used.into_iter()), more }
}

/// A line per rule, under a header.
pub(super) fn rule_rows<'r>(rules: impl Iterator<Item = &'r RuleCount>) -> Vec<Vec<String>> {
    let header = ["group", "rule", "", "", "priority", "connections", "packets", "bytes"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(rules.map(|rule| {
        vec![
            rule.group.clone(),
            rule.rule.clone(),
            rule.direction.to_owned(),
            rule.policy.to_owned(),
            rule.priority.to_string(),
            count(rule.connections),
            count(rule.packets),
            bytes(rule.bytes),
        ]
    }));
    rows
}
