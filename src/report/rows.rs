//! Rows of named cells, as CSV, NDJSON or JSON.

use std::io::{self, Write};
use std::net::IpAddr;
use std::num::NonZeroUsize;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{CommunityId, Ipv4Text, SCHEMA};
use crate::escape;
use crate::replay::Workers;

/// One value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Does not apply: empty in CSV, `null` in JSON.
    Empty,
    /// A number.
    Number(u64),
    /// A word or name.
    Text(&'a str),
    /// A word made for this row.
    Owned(String),
    /// An address.
    Addr(IpAddr),
    /// Of a connection.
    Community(CommunityId),
}

impl<T: Into<u64>> From<Option<T>> for Cell<'_> {
    fn from(number: Option<T>) -> Self {
        number.map_or(Self::Empty, |number| Self::Number(number.into()))
    }
}

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Empty => serializer.serialize_none(),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Owned(text) => serializer.serialize_str(text),
            Self::Addr(addr) => serializer.collect_str(addr),
            Self::Community(id) => serializer.serialize_str(id.as_str()),
        }
    }
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFormat {
    /// A header line, then a line per row.
    Csv,
    /// An object per line; the last is `{"type":"summary",…}`.
    Ndjson,
    /// One object: `rows`, then the keys of the summary.
    Json,
}

/// A thread makes so many rows at a time.
const PART: NonZeroUsize = NonZeroUsize::new(512).unwrap();

/// The text of so many rows is in memory at once: few enough to stay in a near cache until it is written.
const ROWS_AT_ONCE: usize = 1 << 12;

/// Rows that a thread has made.
#[derive(Debug)]
struct Part {
    rows: Vec<u8>,
    made: io::Result<()>,
}

impl Default for Part {
    fn default() -> Self {
        Self { rows: Vec::new(), made: Ok(()) }
    }
}

/// How rows of some columns are written, each by itself: several threads may do so at once ([`Rows::written`]).
#[derive(Clone, Debug)]
pub struct RowStyle {
    format: RowFormat,
    /// What stands before a row, and before each of its cells.
    before_row: String,
    before_cells: Vec<String>,
}

impl RowStyle {
    /// `kind` is the `type` of a row in NDJSON.
    pub fn new(format: RowFormat, kind: &str, columns: &[&str]) -> Self {
        let before_row = match format {
            RowFormat::Csv => String::new(),
            RowFormat::Ndjson => format!("{{\"type\":\"{kind}\","),
            RowFormat::Json => ",\n{".to_owned(),
        };
        let before_cell = |(n, column): (usize, &&str)| {
            let comma = if n == 0 { "" } else { "," };
            match format {
                RowFormat::Csv => comma.to_owned(),
                RowFormat::Ndjson | RowFormat::Json => format!("{comma}\"{column}\":"),
            }
        };
        Self {
            format,
            before_row,
            before_cells: columns.iter().enumerate().map(before_cell).collect(),
        }
    }

    /// Appends one row; it has as many cells as there are columns.
    ///
    /// # Errors
    /// None that can be expected: writing to memory does not fail.
    pub fn append<'c>(
        &self,
        cells: impl IntoIterator<Item = &'c Cell<'c>>,
        row: &mut Vec<u8>,
    ) -> io::Result<()> {
        row.extend_from_slice(self.before_row.as_bytes());
        for (before, cell) in self.before_cells.iter().zip(cells) {
            row.extend_from_slice(before.as_bytes());
            match self.format {
                RowFormat::Csv => csv_cell(cell, row),
                RowFormat::Ndjson | RowFormat::Json => json_cell(cell, row)?,
            }
        }
        row.extend_from_slice(match self.format {
            RowFormat::Csv => b"\n",
            RowFormat::Ndjson => b"}\n",
            RowFormat::Json => b"}",
        });
        Ok(())
    }
}

/// Writes rows as they come.
#[derive(Debug)]
pub struct Rows<W: Write> {
    out: W,
    style: RowStyle,
    is_empty: bool,
    row: Vec<u8>,
    /// Room for rows that several threads make.
    parts: Vec<Part>,
}

impl<W: Write> Rows<W> {
    /// Starts the output. `kind` is the `type` of a row in NDJSON.
    pub fn new(mut out: W, format: RowFormat, kind: &str, columns: &[&str]) -> io::Result<Self> {
        match format {
            RowFormat::Csv => writeln!(out, "{}", columns.join(","))?,
            RowFormat::Ndjson => {}
            RowFormat::Json => write!(out, "{{\"schema\":{SCHEMA},\"rows\":[")?,
        }
        let style = RowStyle::new(format, kind, columns);
        Ok(Self { out, style, is_empty: true, row: Vec::new(), parts: Vec::new() })
    }

    /// Writes one row; it has as many cells as there are columns.
    pub fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        let mut row = std::mem::take(&mut self.row);
        row.clear();
        self.style.append(cells, &mut row)?;
        self.written(&row)?;
        self.row = row;
        Ok(())
    }

    /// How the rows are written.
    pub fn style(&self) -> &RowStyle {
        &self.style
    }

    /// Writes a row, or several, or none, for each of the items, in their order, made by several threads.
    ///
    /// # Errors
    /// The first that `make` returns, and what the output does.
    pub fn write_in_parts<T: Sync>(
        &mut self,
        items: &[T],
        workers: &Workers,
        make: impl Fn(&T, &RowStyle, &mut Vec<u8>) -> io::Result<()> + Sync,
    ) -> io::Result<()> {
        let mut parts = std::mem::take(&mut self.parts);
        for items in items.chunks(ROWS_AT_ONCE) {
            let style = &self.style;
            let made = workers.fill_parts(items, PART, &mut parts, |items, part| {
                part.rows.clear();
                part.made = items.iter().try_for_each(|item| make(item, style, &mut part.rows));
            });
            for Part { rows, made } in made {
                std::mem::replace(made, Ok(()))?;
                self.written(rows)?;
            }
        }
        self.parts = parts;
        Ok(())
    }

    /// Writes rows that [`RowStyle::append`] has made, in this order.
    pub fn written(&mut self, rows: &[u8]) -> io::Result<()> {
        // The first row of an array has no comma before it.
        let skipped = usize::from(self.is_empty && self.style.format == RowFormat::Json);
        self.is_empty &= rows.is_empty();
        self.out.write_all(rows.get(skipped..).unwrap_or_default())
    }

    /// Hands on what is buffered.
    ///
    /// # Errors
    /// What the output does.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Ends the output with a summary, where the format has one.
    pub fn finish(mut self, summary: &impl Serialize) -> io::Result<()> {
        let out = &mut self.out;
        match self.style.format {
            RowFormat::Csv => {}
            RowFormat::Ndjson => out.write_all(summary_line(summary)?.as_bytes())?,
            RowFormat::Json => {
                out.write_all(b"\n]")?;
                let keys = keys(summary)?;
                for (key, value) in keys.into_iter().filter(|(key, _)| key != "schema") {
                    let text = format!("{}:{value}", Value::from(key));
                    write!(out, ",\n{}", escape::json(&text))?;
                }
                out.write_all(b"}\n")?;
            }
        }
        out.flush()
    }
}

/// The last line of NDJSON: `{"type":"summary",…}`.
///
/// # Errors
/// When the summary is no JSON, as one with a map of other keys than strings is not.
pub fn summary_line(summary: &impl Serialize) -> io::Result<String> {
    let mut object = serde_json::Map::new();
    object.insert("type".to_owned(), "summary".into());
    object.extend(keys(summary)?);
    let text = serde_json::to_string(&object)?;
    Ok(format!("{}\n", escape::json(&text)))
}

fn keys(of: &impl Serialize) -> io::Result<serde_json::Map<String, Value>> {
    Ok(match serde_json::to_value(of)? {
        Value::Object(keys) => keys,
        _ => serde_json::Map::new(),
    })
}

fn csv_cell(cell: &Cell<'_>, row: &mut Vec<u8>) {
    match cell {
        Cell::Empty => {}
        Cell::Number(number) => push_number(*number, row),
        Cell::Text(text) => csv_text(text, row),
        Cell::Owned(text) => csv_text(text, row),
        Cell::Addr(addr) => push_addr(*addr, row),
        Cell::Community(id) => row.extend_from_slice(id.as_str().as_bytes()),
    }
}

fn csv_text(text: &str, row: &mut Vec<u8>) {
    // Most cells are words of ours and names.
    let begins_plain = |bytes: &[u8]| !matches!(bytes.first(), Some(b'=' | b'+' | b'-' | b'@'));
    if is_plain(text, b',') && begins_plain(text.as_bytes()) {
        row.extend_from_slice(text.as_bytes());
        return;
    }
    let text = escape::csv(text);
    if !text.contains([',', '"', '\r', '\n']) {
        row.extend_from_slice(text.as_bytes());
        return;
    }
    row.push(b'"');
    for part in text.split_inclusive('"') {
        row.extend_from_slice(part.as_bytes());
        if part.ends_with('"') {
            row.push(b'"');
        }
    }
    row.push(b'"');
}

fn json_cell(cell: &Cell<'_>, row: &mut Vec<u8>) -> io::Result<()> {
    match cell {
        Cell::Empty => row.extend_from_slice(b"null"),
        Cell::Number(number) => push_number(*number, row),
        Cell::Text(text) => json_text(text, row)?,
        Cell::Owned(text) => json_text(text, row)?,
        Cell::Addr(addr) => {
            row.push(b'"');
            push_addr(*addr, row);
            row.push(b'"');
        }
        Cell::Community(id) => {
            row.push(b'"');
            row.extend_from_slice(id.as_str().as_bytes());
            row.push(b'"');
        }
    }
    Ok(())
}

fn json_text(text: &str, row: &mut Vec<u8>) -> io::Result<()> {
    if is_plain(text, b'\\') {
        row.push(b'"');
        row.extend_from_slice(text.as_bytes());
        row.push(b'"');
        return Ok(());
    }
    let text = serde_json::to_string(text)?;
    row.extend_from_slice(escape::json(&text).as_bytes());
    Ok(())
}

/// Whether a text shows as it is, and has neither quotes nor this other byte that a format gives a meaning.
#[inline]
fn is_plain(text: &str, other: u8) -> bool {
    let stays = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != other;
    // Without a way out, so that many bytes are looked at at once.
    text.bytes().fold(true, |plain, byte| plain & stays(byte))
}

fn push_number(number: u64, row: &mut Vec<u8>) {
    row.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Most addresses of a capture are IPv4, and formatting those was a large part of the time of a row.
fn push_addr(addr: IpAddr, row: &mut Vec<u8>) {
    match addr {
        IpAddr::V4(addr) => row.extend_from_slice(Ipv4Text::new(addr).as_bytes()),
        IpAddr::V6(addr) => row.extend_from_slice(addr.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: RowFormat, rows: &[[Cell<'_>; 4]]) -> String {
        let mut out = Vec::new();
        let mut lines = Rows::new(&mut out, format, "thing", &["a", "b", "c", "d"]).unwrap();
        for row in rows {
            lines.row(row).unwrap();
        }
        lines.finish(&serde_json::json!({"schema": SCHEMA, "sum": 1})).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn rows() -> [[Cell<'static>; 4]; 2] {
        let addr = |text: &str| Cell::Addr(text.parse().unwrap());
        [
            [Cell::Number(u64::MAX), Cell::Text("a,\"b\"\n"), addr("203.0.113.255"), Cell::Empty],
            [Cell::Number(0), Cell::Owned("=1+1".to_owned()), addr("2001:db8::1"), Cell::Text("")],
        ]
    }

    /// Read back by the crate for CSV.
    #[test]
    fn csv_reads_as_it_was_written() {
        let text = written(RowFormat::Csv, &rows());
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(reader.headers().unwrap(), vec!["a", "b", "c", "d"]);
        let read: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let expected = [
            vec!["18446744073709551615", "a,\"b\"\\n", "203.0.113.255", ""],
            vec!["0", "'=1+1", "2001:db8::1", ""],
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn json_reads_as_it_was_written() {
        let of = |rows: &[_]| -> Value {
            serde_json::from_str(&written(RowFormat::Json, rows)).unwrap()
        };
        let [first, second] = [
            serde_json::json!({"a": u64::MAX, "b": "a,\"b\"\n", "c": "203.0.113.255", "d": null}),
            serde_json::json!({"a": 0, "b": "=1+1", "c": "2001:db8::1", "d": ""}),
        ];
        assert_eq!(of(&[])["rows"], serde_json::json!([]));
        assert_eq!(of(&rows()[..1])["rows"], serde_json::json!([first]));
        assert_eq!(of(&rows())["rows"], serde_json::json!([first, second]));
        assert_eq!(of(&rows())["sum"], 1);
        let lines = written(RowFormat::Ndjson, &rows());
        let last: Value = serde_json::from_str(lines.lines().next_back().unwrap()).unwrap();
        assert_eq!(last["type"], "summary");
        let line: Value = serde_json::from_str(lines.lines().nth(1).unwrap()).unwrap();
        assert_eq!((&line["type"], &line["c"]), (&"thing".into(), &second["c"]));
    }

    /// What threads make apart is what is made in order.
    #[test]
    fn rows_that_were_made_apart_are_the_same() {
        for format in [RowFormat::Csv, RowFormat::Json, RowFormat::Ndjson] {
            let mut out = Vec::new();
            let mut lines = Rows::new(&mut out, format, "thing", &["a", "b", "c", "d"]).unwrap();
            lines.written(b"").unwrap();
            for row in rows() {
                let mut made = Vec::new();
                lines.style().append(&row, &mut made).unwrap();
                lines.written(&made).unwrap();
            }
            lines.finish(&serde_json::json!({"schema": SCHEMA, "sum": 1})).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), written(format, &rows()));
        }
    }
}
