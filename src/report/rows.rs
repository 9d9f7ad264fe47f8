//! Rows of named cells, as CSV, NDJSON or JSON.

use std::io::{self, Write};
use std::net::IpAddr;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::SCHEMA;
use crate::escape;

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

/// Writes rows as they come.
#[derive(Debug)]
pub struct Rows<W: Write> {
    out: Out<W>,
    columns: Vec<&'static str>,
    kind: &'static str,
    written: u64,
}

#[derive(Debug)]
enum Out<W: Write> {
    Csv(Box<csv::Writer<W>>),
    Ndjson(W),
    Json(W),
}

impl<W: Write> Rows<W> {
    /// Starts the output. `kind` is the `type` of a row in NDJSON.
    pub fn new(
        out: W,
        format: RowFormat,
        kind: &'static str,
        columns: Vec<&'static str>,
    ) -> io::Result<Self> {
        let out = match format {
            RowFormat::Csv => {
                let mut csv = csv::Writer::from_writer(out);
                csv.write_record(&columns)?;
                Out::Csv(Box::new(csv))
            }
            RowFormat::Ndjson => Out::Ndjson(out),
            RowFormat::Json => {
                let mut out = out;
                write!(out, "{{\"schema\":{SCHEMA},\"rows\":[")?;
                Out::Json(out)
            }
        };
        Ok(Self { out, columns, kind, written: 0 })
    }

    /// Writes one row; it has as many cells as there are columns.
    pub fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        self.written += 1;
        match &mut self.out {
            Out::Csv(csv) => {
                for cell in cells {
                    match cell {
                        Cell::Empty => csv.write_field("")?,
                        Cell::Number(number) => csv.write_field(number.to_string())?,
                        Cell::Text(text) => csv.write_field(&*escape::csv(text))?,
                        Cell::Owned(text) => csv.write_field(&*escape::csv(text))?,
                        Cell::Addr(addr) => csv.write_field(addr.to_string())?,
                    }
                }
                csv.write_record(None::<&[u8]>)?;
            }
            Out::Ndjson(out) => {
                write!(out, "{{\"type\":\"{}\",", self.kind)?;
                object(out, &self.columns, cells)?;
                out.write_all(b"}\n")?;
            }
            Out::Json(out) => {
                out.write_all(if self.written == 1 { b"\n{" } else { b",\n{" })?;
                object(out, &self.columns, cells)?;
                out.write_all(b"}")?;
            }
        }
        Ok(())
    }

    /// Ends the output with a summary, where the format has one.
    pub fn finish(self, summary: &impl Serialize) -> io::Result<()> {
        let keys = match serde_json::to_value(summary)? {
            Value::Object(keys) => keys,
            _ => serde_json::Map::new(),
        };
        match self.out {
            Out::Csv(mut csv) => csv.flush(),
            Out::Ndjson(mut out) => {
                let mut object = serde_json::Map::new();
                object.insert("type".to_owned(), "summary".into());
                object.extend(keys);
                let text = serde_json::to_string(&object)?;
                writeln!(out, "{}", escape::json(&text))?;
                out.flush()
            }
            Out::Json(mut out) => {
                out.write_all(b"\n]")?;
                for (key, value) in keys.into_iter().filter(|(key, _)| key != "schema") {
                    let text = format!("{}:{value}", Value::from(key));
                    write!(out, ",\n{}", escape::json(&text))?;
                }
                out.write_all(b"}\n")?;
                out.flush()
            }
        }
    }
}

fn object(out: &mut impl Write, columns: &[&str], cells: &[Cell<'_>]) -> io::Result<()> {
    for (n, (column, cell)) in columns.iter().zip(cells).enumerate() {
        write!(out, "{}\"{column}\":", if n == 0 { "" } else { "," })?;
        match cell {
            Cell::Text(_) | Cell::Owned(_) => {
                let text = serde_json::to_string(cell)?;
                out.write_all(escape::json(&text).as_bytes())?;
            }
            Cell::Empty | Cell::Number(_) | Cell::Addr(_) => {
                serde_json::to_writer(&mut *out, cell)?;
            }
        }
    }
    Ok(())
}
