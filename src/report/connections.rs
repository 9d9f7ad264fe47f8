//! A row per connection, and per interface where it was judged.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::table::{Room, table_within};
use super::{Cell, Labels, Rows, text};
use crate::escape::Text;
use crate::flow::{Direction, FlowTuple, Transport};
use crate::rules::services;
use crate::session::Opening;
use crate::sources::Input;
use crate::verdict::{Judged, Judgement, Verdict};

/// Gathers connections until the end of the run; memory grows with their number.
#[derive(Debug, Default)]
pub struct Connections {
    rows: Vec<Row>,
    /// By connection, interface, and whether the interface's end began it.
    known: HashMap<(u64, usize, bool), usize>,
    /// Packets after their connection closed, by tuple and interface: each has a row of its own.
    strays: HashMap<(FlowTuple, usize), usize>,
}

#[derive(Debug)]
struct Row {
    /// `None` for strays.
    connection: Option<u64>,
    interface: usize,
    flow: FlowTuple,
    judgement: Judgement,
    opening: Opening,
    first_frame: u64,
    /// Of the first packet and the latest, where one has a time.
    times: Option<(u64, u64)>,
    /// From the initiator, and from the other end.
    sent: [(u64, u64); 2],
    /// One of its packets is reported.
    selected: bool,
}

impl Row {
    fn note_time(&mut self, time: Option<u64>) {
        if let Some(time) = time {
            let (first, last) = self.times.unwrap_or((time, time));
            self.times = Some((first, last.max(time)));
        }
    }
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

    /// Adds a packet.
    /// A connection has a row if one of its packets is selected; the row counts all of them.
    pub fn add(&mut self, input: &Input<'_>, judged: &Judged) {
        let Input { frame, selected, .. } = *input;
        for judgement in judged.judgements() {
            if judgement.stray {
                self.add_stray(input, judgement);
            }
            let Some(connection) = judgement.connection else { continue };
            let (interface, local_began) = (judgement.interface, judgement.local_began);
            let key = (connection, interface, local_began);
            let time = frame.time_ns;
            if let Some((opening, flow)) = judgement.opened {
                self.known.insert(key, self.rows.len());
                let first_frame = frame.number;
                self.rows.push(Row {
                    connection: Some(connection),
                    interface,
                    flow,
                    judgement: *judgement,
                    opening,
                    first_frame,
                    times: None,
                    sent: [(0, 0); 2],
                    selected: false,
                });
            }
            let row = self.known.get(&key).and_then(|row| self.rows.get_mut(*row));
            let Some(row) = row else { continue };
            let from_local = judgement.direction == Direction::Egress;
            let back = usize::from(from_local != local_began);
            if let Some((packets, bytes)) = row.sent.get_mut(back) {
                *packets += 1;
                *bytes += u64::from(frame.wire_len);
            }
            // What is cut by its replies is no connection that gets through.
            if judgement.is_stopped() && row.judgement.verdict == Verdict::Allow {
                let Judgement { local_began, opened, .. } = row.judgement;
                row.judgement = Judgement { local_began, opened, ..*judgement };
            }
            row.selected |= selected;
            row.note_time(time);
        }
    }

    /// Adds a packet after its connection closed: its own direction decides (SEMANTICS F16).
    fn add_stray(&mut self, input: &Input<'_>, judgement: &Judgement) {
        let Input { frame, decoded, selected, .. } = *input;
        let Some(packet) = decoded.packet() else { return };
        let rows = &mut self.rows;
        let known = self.strays.entry((packet.flow, judgement.interface)).or_insert_with(|| {
            rows.push(Row {
                connection: None,
                interface: judgement.interface,
                flow: packet.flow,
                judgement: *judgement,
                opening: Opening::AfterClose,
                first_frame: frame.number,
                times: None,
                sent: [(0, 0); 2],
                selected: false,
            });
            rows.len() - 1
        });
        if let Some(row) = self.rows.get_mut(*known) {
            let [(packets, bytes), _] = &mut row.sent;
            *packets += 1;
            *bytes += u64::from(frame.wire_len);
            row.selected |= selected;
            row.note_time(frame.time_ns);
        }
    }

    /// Writes the rows, in order of opening.
    pub fn write(&self, labels: &Labels, rows: &mut Rows<impl Write>) -> io::Result<()> {
        for row in self.rows.iter().filter(|row| row.selected) {
            let Row { connection, interface, flow, judgement, opening, first_frame, times, .. } =
                row;
            let sent = &row.sent;
            let [(packets, bytes), (packets_back, bytes_back)] = *sent;
            let label = labels.of(judgement);
            let ports = flow.transport.ports();
            let icmp = flow.transport.icmp();
            rows.row(&[
                connection.map_or(Cell::Empty, Cell::Number),
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
                Cell::Text(opening.as_str()),
                Cell::Text(labels.interface(*interface)),
                Cell::Text(judgement.decided_in.as_str()),
                Cell::Text(judgement.verdict.as_str()),
                Cell::Text(judgement.reason.as_str()),
                Cell::Text(&label.group),
                Cell::Text(&label.rule),
                Cell::Text(label.layer.as_str()),
            ])?;
        }
        Ok(())
    }

    /// The same for people, as a table.
    pub fn text(&self, labels: &Labels, room: Room) -> Text {
        let header = ["", "verdict", "connection", "service", "packets", "bytes", "frame", "why"];
        let mut table = vec![header.map(str::to_owned).to_vec()];
        for row in self.rows.iter().filter(|row| row.selected) {
            let [(packets, bytes), (packets_back, bytes_back)] = row.sent;
            let dport = row.flow.transport.ports().map(|(_, dst)| dst);
            let service = dport.and_then(|port| services::of_port(row.flow.proto, port));
            let inferred = match row.opening {
                Opening::Seen => "",
                Opening::AfterClose => " (after its close)",
                _ => " (under way)",
            };
            let interface = labels.interface(row.interface);
            let why = text::because_of(&row.judgement, labels.of(&row.judgement));
            table.push(vec![
                row.connection.map_or_else(String::new, |number| number.to_string()),
                row.judgement.verdict.as_str().to_owned(),
                format!("{}{inferred}", row.flow),
                service.map_or("", |service| service.name).to_owned(),
                text::count(packets + packets_back),
                text::bytes(bytes + bytes_back),
                row.first_frame.to_string(),
                format!("{} {interface}: {why}", row.judgement.decided_in),
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
