//! A row per connection, and per interface where it was judged.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use foldhash::fast::FixedState;
use sha1::{Digest, Sha1};

use super::table::{Room, table_within};
use super::{Cell, Label, Labels, Rows, text};
use crate::escape::Text;
use crate::flow::{Direction, FlowTuple, Transport};
use crate::replay::Replay;
use crate::rules::{EntryIndex, services};
use crate::session::Opening;
use crate::sources::Input;
use crate::verdict::{Judged, Judgement, Reason, Verdict};

/// Gathers connections. Their rows are written at the end of the run, in order of opening; where they would take more
/// memory than they may, those of connections that are over are written before, and then those that have been idle
/// longest, the denied ones first.
#[derive(Debug)]
pub struct Connections {
    /// In order of opening.
    rows: Vec<Row>,
    /// Where the row of a connection is, by connection, interface, and whether the interface's end began it.
    known: HashMap<(u64, u32, bool), u32, FixedState>,
    /// Packets after their connection closed, by tuple and interface: each has a row of its own.
    strays: HashMap<(FlowTuple, u32), u32, FixedState>,
    most_memory: usize,
    continued: u64,
}

#[derive(Debug)]
struct Row {
    /// Zero for strays.
    connection: u64,
    flow: FlowTuple,
    first_frame: u64,
    last_frame: u64,
    /// Of the first packet and the latest, where one has a time.
    times: Option<(u64, u64)>,
    /// From the initiator, and from the other end.
    sent: [(u64, u64); 2],
    interface: u32,
    entry: EntryIndex,
    /// The direction in which it was opened.
    opened_in: Direction,
    decided_in: Direction,
    verdict: Verdict,
    /// A network ACL stops its replies.
    stopped: bool,
    reason: Reason,
    opening: Opening,
    /// One of its packets is reported.
    selected: bool,
    /// It is to be written, and then forgotten.
    over: bool,
}

/// Which rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowPart {
    /// Those that [`Connections::choose_over`] has chosen.
    Over,
    /// All.
    All,
}

impl Row {
    /// Whether it is written: one of its packets is reported.
    fn is_of(&self, part: RowPart) -> bool {
        self.selected && (self.over || part == RowPart::All)
    }

    fn new(input: &Input<'_>, judgement: &Judgement, opening: Opening, flow: FlowTuple) -> Self {
        Self {
            connection: judgement.connection.unwrap_or(0),
            flow,
            first_frame: input.frame.number,
            last_frame: input.frame.number,
            times: None,
            sent: [(0, 0); 2],
            interface: number(judgement.interface),
            entry: judgement.entry,
            opened_in: match judgement.local_began {
                true => Direction::Egress,
                false => Direction::Ingress,
            },
            decided_in: judgement.decided_in,
            verdict: judgement.verdict,
            stopped: judgement.is_stopped(),
            reason: judgement.reason,
            opening,
            selected: false,
            over: false,
        }
    }

    fn add(&mut self, input: &Input<'_>, back: bool) {
        let Input { frame, selected, .. } = *input;
        if let Some((packets, bytes)) = self.sent.get_mut(usize::from(back)) {
            *packets += 1;
            *bytes += u64::from(frame.wire_len);
        }
        self.selected |= selected;
        self.last_frame = frame.number;
        if let Some(time) = frame.time_ns {
            let (first, last) = self.times.unwrap_or((time, time));
            self.times = Some((first, last.max(time)));
        }
    }

    fn label<'l>(&self, labels: &'l Labels) -> &'l Label {
        labels.entry(self.interface as usize, self.decided_in, self.entry)
    }

    /// Whether more packets may belong to it.
    fn goes_on(&self, replay: &Replay<'_>) -> bool {
        let interface = self.interface as usize;
        self.connection == 0
            || replay.goes_on(interface, self.opened_in, &self.flow, self.connection)
    }
}

fn number(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

impl Connections {
    /// The columns.
    pub const COLUMNS: [&'static str; 23] = [
        "connection",
        "community_id",
        "first_frame",
        "first_time_ns",
        "last_time_ns",
        "src",
        "dst",
        "proto",
        "sport",
        "dport",
        "icmp_type",
        "packets",
        "bytes",
        "packets_back",
        "bytes_back",
        "opening",
        "interface",
        "direction",
        "verdict",
        "reason",
        "group",
        "rule",
        "layer",
    ];

    /// None yet; rows take no more than so many bytes: see [`Connections::is_full`].
    pub fn within(most_memory: usize) -> Self {
        let (known, strays) = (HashMap::default(), HashMap::default());
        Self { rows: Vec::new(), known, strays, most_memory, continued: 0 }
    }

    /// Adds a packet.
    /// A connection has a row if one of its packets is selected; the row counts all of them.
    pub fn add(&mut self, input: &Input<'_>, judged: &Judged) {
        for judgement in judged.judgements() {
            if judgement.stray {
                self.add_stray(input, judgement);
            }
            let Some(connection) = judgement.connection else { continue };
            let local_began = judgement.local_began;
            let key = (connection, number(judgement.interface), local_began);
            let opened = match judgement.opened {
                Some(opened) => Some(opened),
                None if self.known.contains_key(&key) => None,
                None => self.continued(input, judgement),
            };
            if let Some((opening, flow)) = opened {
                self.known.insert(key, number(self.rows.len()));
                self.rows.push(Row::new(input, judgement, opening, flow));
            }
            let row = self.known.get(&key).and_then(|row| self.rows.get_mut(*row as usize));
            if let Some(row) = row {
                let from_local = judgement.direction == Direction::Egress;
                row.add(input, from_local != local_began);
                // What is cut by its replies is no connection that gets through.
                if judgement.is_stopped() && row.verdict == Verdict::Allow {
                    (row.verdict, row.reason) = (judgement.verdict, judgement.reason);
                    (row.decided_in, row.entry) = (judgement.decided_in, judgement.entry);
                    row.stopped = true;
                }
            }
        }
    }

    /// A packet of a connection whose row was written before begins another row.
    #[cold]
    fn continued(
        &mut self,
        input: &Input<'_>,
        judgement: &Judgement,
    ) -> Option<(Opening, FlowTuple)> {
        let flow = input.decoded.packet()?.flow;
        self.continued += 1;
        let from_local = judgement.direction == Direction::Egress;
        Some(match from_local == judgement.local_began {
            true => (Opening::Continued, flow),
            false => (Opening::Continued, flow.reversed()),
        })
    }

    /// Adds a packet after its connection closed: its own direction decides (SEMANTICS F16).
    fn add_stray(&mut self, input: &Input<'_>, judgement: &Judgement) {
        let Some(packet) = input.decoded.packet() else { return };
        let rows = &mut self.rows;
        let key = (packet.flow, number(judgement.interface));
        let known = self.strays.entry(key).or_insert_with(|| {
            rows.push(Row::new(input, judgement, Opening::AfterClose, packet.flow));
            number(rows.len() - 1)
        });
        if let Some(row) = self.rows.get_mut(*known as usize) {
            row.add(input, false);
        }
    }

    /// Bytes that the rows take, about: a map has room for as many again.
    fn memory(&self) -> usize {
        let known = size_of::<((u64, u32, bool), u32)>() + 1;
        let strays = size_of::<((FlowTuple, u32), u32)>() + 1;
        self.rows.len() * size_of::<Row>()
            + 2 * (self.known.len() * known + self.strays.len() * strays)
    }

    /// Whether rows must be chosen, written and forgotten before there is room for more: ask between batches of packets.
    pub fn is_full(&self) -> bool {
        self.memory() >= self.most_memory && !self.rows.is_empty()
    }

    /// Chooses the rows of connections that are over, as the replay knows it, and where that makes too little room,
    /// of those that have been idle longest, the denied ones first: of a scan they are most, and their clients
    /// seldom go on. Should one go on, the rest of it has another row ([`Opening::Continued`]).
    pub fn choose_over(&mut self, replay: &Replay<'_>) {
        for row in &mut self.rows {
            row.over = !row.goes_on(replay);
        }
        let staying = self.rows.iter().filter(|row| !row.over);
        let rank = |row: &Row| (row.verdict == Verdict::Allow, row.last_frame);
        let mut ranks: Vec<_> = staying.map(rank).collect();
        let Some(last) = ranks.len().checked_sub(self.rows.len() / 2 + 1) else { return };
        let (_, last, _) = ranks.select_nth_unstable(last);
        for row in &mut self.rows {
            row.over |= rank(row) <= *last;
        }
    }

    /// Forgets the rows that were chosen; by now they are written.
    pub fn forget_over(&mut self) {
        let mut kept = 0;
        let places: Vec<Option<u32>> = self
            .rows
            .iter()
            .map(|row| {
                let place = (!row.over).then_some(kept);
                kept += u32::from(!row.over);
                place
            })
            .collect();
        self.rows.retain(|row| !row.over);
        let place = |row: &mut u32| {
            let place = places.get(*row as usize).copied().flatten();
            *row = place.unwrap_or_default();
            place.is_some()
        };
        self.known.retain(|_, row| place(row));
        self.strays.retain(|_, row| place(row));
    }

    /// Rows that go on from one that was written before: they have the same number.
    pub fn went_on(&self) -> u64 {
        self.continued
    }

    /// Writes the rows, in order of opening.
    pub fn write(
        &self,
        part: RowPart,
        labels: &Labels,
        rows: &mut Rows<impl Write>,
    ) -> io::Result<()> {
        for row in self.rows.iter().filter(|row| row.is_of(part)) {
            let Row { connection, flow, first_frame, times, sent, .. } = row;
            let [(packets, bytes), (packets_back, bytes_back)] = *sent;
            let label = row.label(labels);
            let ports = flow.transport.ports();
            let icmp = flow.transport.icmp();
            rows.row(&[
                Some(*connection).filter(|number| *number > 0).into(),
                Cell::Owned(community_id(flow)),
                Cell::Number(*first_frame),
                times.map(|(first, _)| first).into(),
                times.map(|(_, last)| last).into(),
                Cell::Addr(flow.src),
                Cell::Addr(flow.dst),
                Cell::Number(flow.proto.0.into()),
                ports.map(|(src, _)| src).into(),
                ports.map(|(_, dst)| dst).into(),
                icmp.map(|(kind, _)| kind).into(),
                Cell::Number(packets),
                Cell::Number(bytes),
                Cell::Number(packets_back),
                Cell::Number(bytes_back),
                Cell::Text(row.opening.as_str()),
                Cell::Text(labels.interface(row.interface as usize)),
                Cell::Text(row.decided_in.as_str()),
                Cell::Text(row.verdict.as_str()),
                Cell::Text(row.reason.as_str()),
                Cell::Text(&label.group),
                Cell::Text(&label.rule),
                Cell::Text(label.layer.as_str()),
            ])?;
        }
        Ok(())
    }

    /// The same for people, as a table.
    pub fn text(&self, part: RowPart, labels: &Labels, room: Room) -> Text {
        let header = ["", "verdict", "connection", "service", "packets", "bytes", "frame", "why"];
        let mut table = vec![header.map(str::to_owned).to_vec()];
        for row in self.rows.iter().filter(|row| row.is_of(part)) {
            let [(packets, bytes), (packets_back, bytes_back)] = row.sent;
            let dport = row.flow.transport.ports().map(|(_, dst)| dst);
            let service = dport.and_then(|port| services::of_port(row.flow.proto, port));
            let inferred = match row.opening {
                Opening::Seen => "",
                Opening::AfterClose => " (after its close)",
                Opening::Continued => " (continued)",
                _ => " (under way)",
            };
            let interface = labels.interface(row.interface as usize);
            let why = match row.stopped {
                true => text::stopped(row.label(labels)),
                false => text::because(row.reason, row.label(labels)),
            };
            table.push(vec![
                if row.connection > 0 { row.connection.to_string() } else { String::new() },
                row.verdict.as_str().to_owned(),
                format!("{}{inferred}", row.flow),
                service.map_or("", |service| service.name).to_owned(),
                text::count(packets + packets_back),
                text::bytes(bytes + bytes_back),
                row.first_frame.to_string(),
                format!("{} {interface}: {why}", row.decided_in),
            ]);
        }
        table_within(&table, room.width)
    }
}

/// The Community ID (version 1, seed 0), by which Zeek, Suricata and Arkime know the connection.
pub(super) fn community_id(flow: &FlowTuple) -> String {
    let FlowTuple { src, dst, proto, transport } = *flow;
    let (sport, dport, one_way) = match transport {
        Transport::Ports { src, dst } => (Some(src), Some(dst), false),
        Transport::Icmp { kind, code, .. } => {
            let answer = counterpart(proto.0, kind);
            (Some(kind.into()), Some(answer.unwrap_or(code).into()), answer.is_none())
        }
        Transport::Absent => (None, None, false),
    };
    let (source, target) = ((octets(src), sport), (octets(dst), dport));
    let ordered = one_way || source <= target;
    let (low, high) = if ordered { (source, target) } else { (target, source) };
    let mut hash = Sha1::new();
    hash.update([0, 0]);
    hash.update(&low.0);
    hash.update(&high.0);
    hash.update([proto.0, 0]);
    if let (Some(low), Some(high)) = (low.1, high.1) {
        hash.update(low.to_be_bytes());
        hash.update(high.to_be_bytes());
    }
    format!("1:{}", STANDARD.encode(hash.finalize()))
}

fn octets(addr: IpAddr) -> Vec<u8> {
    match addr {
        IpAddr::V4(addr) => addr.octets().to_vec(),
        IpAddr::V6(addr) => addr.octets().to_vec(),
    }
}

/// The ICMP type that answers a type, as the Community ID specification pairs them.
fn counterpart(proto: u8, kind: u8) -> Option<u8> {
    let pairs: &[(u8, u8)] = match proto {
        1 => &[(8, 0), (13, 14), (15, 16), (10, 9), (17, 18)],
        _ => &[(128, 129), (133, 134), (135, 136), (130, 131), (139, 140), (144, 145)],
    };
    pairs.iter().find_map(|(a, b)| match kind {
        k if k == *a => Some(*b),
        k if k == *b => Some(*a),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Protocol;

    /// The baseline of the Community ID specification: the same values that Zeek prints.
    #[test]
    fn community_ids_are_those_of_the_specification() {
        let flow = |proto, src: &str, dst: &str, transport| FlowTuple {
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
            proto,
            transport,
        };
        let ports = Transport::Ports { src: 34855, dst: 80 };
        let tcp = flow(Protocol::TCP, "128.232.110.120", "66.35.250.204", ports);
        assert_eq!(community_id(&tcp), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        assert_eq!(community_id(&tcp.reversed()), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        let udp = Transport::Ports { src: 54585, dst: 53 };
        let udp = flow(Protocol::UDP, "192.168.1.52", "8.8.8.8", udp);
        assert_eq!(community_id(&udp), "1:d/FP5EW3wiY1vCndhwleRRKHowQ=");
        let ping = Transport::Icmp { kind: 8, code: 0, id: Some(1) };
        let ping = flow(Protocol::ICMP, "192.168.0.89", "192.168.0.1", ping);
        assert_eq!(community_id(&ping), "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=");
    }
}
