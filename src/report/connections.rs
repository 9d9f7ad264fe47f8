//! A row per connection, and per interface where it was judged.

use std::io::{self, Write};
use std::num::NonZeroUsize;

use super::flow_cells::{flow_cells, push_flow, push_number};
use super::packed::{Layout, Packed};
use super::table::Room;
use super::{Cell, Rows, text};
use crate::collect::{Connections, Row, RowPart};
use crate::escape::Text;
use crate::labels::{Label, Labels};
use crate::replay::Workers;
use crate::rules::services;
use crate::session::Opening;

/// A thread makes the text of so many rows at a time, and of so many such parts there is text at once.
const PART: NonZeroUsize = NonZeroUsize::new(512).unwrap();
const PARTS_AT_ONCE: usize = 8;

/// Columns of the table for people.
const COLUMNS_OF_TEXT: usize = 8;

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
        &mut self,
        part: RowPart,
        labels: &Labels,
        rows: &mut Rows<impl Write>,
        workers: &Workers,
    ) -> io::Result<()> {
        rows.write_in_parts(self.all_rows(), workers, |row, style, made| match row.is_of(part) {
            true => style.append(&cells(row, labels), made),
            false => Ok(()),
        })
    }

    /// The cells of the rows under [`Connections::COLUMNS`], in order of opening.
    pub fn cells<'a>(
        &'a mut self,
        part: RowPart,
        labels: &'a Labels,
    ) -> impl Iterator<Item = [Cell<'a>; 23]> {
        self.rows(part).map(|row| cells(row, labels))
    }

    /// Writes the same for people, as a table in parts.
    ///
    /// # Errors
    /// The first that `each` returns.
    pub fn write_text<E>(
        &mut self,
        part: RowPart,
        labels: &Labels,
        room: Room,
        workers: &Workers,
        mut each: impl FnMut(Text) -> Result<(), E>,
    ) -> Result<(), E> {
        let header = ["", "verdict", "connection", "service", "packets", "bytes", "frame", "why"];
        let header = Packed::header(&header, COLUMNS_OF_TEXT);
        let mut packed = Vec::new();
        workers.fill_parts(self.all_rows(), PART, &mut packed, |rows, packed| {
            *packed = Packed::new(COLUMNS_OF_TEXT);
            let written = rows.iter().filter(|row| row.is_of(part));
            written.for_each(|row| text_cells(row, labels, packed));
        });
        let layout = Layout::new(&header, packed.iter(), room.width);
        each(layout.lines(&header))?;
        let mut texts = Vec::new();
        for packed in packed.chunks(PARTS_AT_ONCE) {
            let texts =
                workers.fill_parts(packed, NonZeroUsize::MIN, &mut texts, |packed, text| {
                    *text = packed.first().map(|packed| layout.lines(packed)).unwrap_or_default();
                });
            texts.iter_mut().try_for_each(|text| each(std::mem::take(text)))?;
        }
        Ok(())
    }
}

/// Appends the cells of a row of the table for people.
fn text_cells(row: &Row, labels: &Labels, to: &mut Packed) {
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
    to.cell(|text| {
        if row.connection > 0 {
            push_number(row.connection, text);
        }
    });
    to.cell(|text| text.push_str(row.verdict.as_str()));
    to.cell(|text| {
        push_flow(&row.flow, text);
        text.push_str(inferred);
    });
    to.cell(|text| text.push_str(service.map_or("", |service| service.name)));
    to.cell(|text| text::push_count(packets + packets_back, text));
    to.cell(|text| text::push_bytes(bytes + bytes_back, text));
    to.cell(|text| push_number(row.first_frame, text));
    to.cell(|text| {
        for part in [row.decided_in.as_str(), " ", interface, ": ", &why] {
            text.push_str(part);
        }
    });
}

fn cells<'a>(row: &Row, labels: &'a Labels) -> [Cell<'a>; 23] {
    let [(packets, bytes), (packets_back, bytes_back)] = row.sent;
    let label = label(row, labels);
    let [id, frame, first_time, last_time, src, dst, proto, sport, dport, icmp] =
        flow_cells(&row.flow, row.first_frame, row.times);
    [
        Some(row.connection).filter(|number| *number > 0).into(),
        id,
        frame,
        first_time,
        last_time,
        src,
        dst,
        proto,
        sport,
        dport,
        icmp,
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
