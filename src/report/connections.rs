//! A row per connection, and per interface where it was judged.

use std::io::{self, Write};
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::table::{Room, table_within};
use super::{Cell, Rows, text};
use crate::collect::{Connections, Row, RowPart};
use crate::escape::Text;
use crate::flow::{FlowTuple, Transport};
use crate::labels::{Label, Labels};
use crate::replay::Workers;
use crate::rules::services;
use crate::session::Opening;

/// The text of so many rows is in memory at once.
const ROWS_AT_ONCE: usize = 1 << 14;

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

    /// Writes the rows, in order of opening, made by several threads.
    pub fn write(
        &self,
        part: RowPart,
        labels: &Labels,
        rows: &mut Rows<impl Write>,
        workers: &Workers,
    ) -> io::Result<()> {
        let chosen: Vec<&Row> = self.rows(part).collect();
        for chosen in chosen.chunks(ROWS_AT_ONCE) {
            rows.write_in_parts(chosen, workers, |row, style, made| {
                style.append(&cells(row, labels), made)
            })?;
        }
        Ok(())
    }

    /// The cells of the rows under [`Connections::COLUMNS`], in order of opening.
    pub fn cells<'a>(
        &'a self,
        part: RowPart,
        labels: &'a Labels,
    ) -> impl Iterator<Item = [Cell<'a>; 23]> {
        self.rows(part).map(|row| cells(row, labels))
    }

    /// The same for people, as a table.
    pub fn text(&self, part: RowPart, labels: &Labels, room: Room) -> Text {
        let header = ["", "verdict", "connection", "service", "packets", "bytes", "frame", "why"];
        let mut table = vec![header.map(str::to_owned).to_vec()];
        for row in self.rows(part) {
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
                true => label(row, labels).stopped(),
                false => label(row, labels).because(row.reason),
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

fn cells<'a>(row: &Row, labels: &'a Labels) -> [Cell<'a>; 23] {
    let Row { connection, flow, first_frame, times, sent, .. } = row;
    let [(packets, bytes), (packets_back, bytes_back)] = *sent;
    let label = label(row, labels);
    let ports = flow.transport.ports();
    let icmp = flow.transport.icmp();
    [
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
    ]
}

fn label<'l>(row: &Row, labels: &'l Labels) -> &'l Label {
    labels.entry(row.interface as usize, row.decided_in, row.entry)
}

/// The Community ID (version 1, seed 0), by which Zeek, Suricata and Arkime know the connection.
pub fn community_id(flow: &FlowTuple) -> String {
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
