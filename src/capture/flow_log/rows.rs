//! Parquet files of AWS's flow logs → values by the names of their columns.
//!
//! The format is read from its end, so the file is held in memory; rows are decoded one after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field as Cell;
use parquet::record::reader::RowIter;

use super::columns::{Columns, Unescaped, Values};
use crate::capture::CaptureErrorKind;
use crate::capture::buffer::Buffer;

/// What such a file begins with, and ends with.
pub(in crate::capture) const MAGIC: &[u8] = b"PAR1";

/// The largest file that is read. AWS writes none of a tenth of that.
const LARGEST: usize = 512 << 20;

pub(super) struct Rows {
    all: RowIter<'static>,
    read: u64,
    values: Unescaped,
}

impl Rows {
    /// Takes the whole source.
    pub(super) fn start(buffer: &mut Buffer) -> Result<(Self, Columns), CaptureErrorKind> {
        while buffer.fill_to(buffer.unread().len() + 1)? {
            if buffer.unread().len() > LARGEST {
                return Err(CaptureErrorKind::Foreign {
                    format: "a Parquet file of more than 512 MiB",
                    advice: "split it, or export its records as CSV".to_owned(),
                });
            }
        }
        let bytes = Bytes::copy_from_slice(buffer.unread());
        if !bytes.ends_with(MAGIC) || bytes.len() < 2 * MAGIC.len() {
            return Err(CaptureErrorKind::FlowLogCutOff { inside: "a Parquet file" });
        }
        buffer.consume(bytes.len());
        let open = || {
            let reader = SerializedFileReader::new(bytes).map_err(|error| error.to_string())?;
            let schema = reader.metadata().file_metadata().schema_descr();
            let names: Vec<String> =
                schema.columns().iter().map(|column| column.name().to_owned()).collect();
            let rows = RowIter::from_file_into(Box::new(reader));
            let values = Unescaped::default();
            Ok::<_, String>((Self { all: rows, read: 0, values }, names))
        };
        let (rows, names) = guarded(open).map_err(|found| damaged(0, &found))?;
        match Columns::of_keys(names.iter()) {
            Some(columns) => Ok((rows, columns)),
            None => Err(CaptureErrorKind::NearlyAFlowLog {
                missing: format!(
                    "it is a Parquet file without columns for addresses (srcaddr, dstaddr); its columns are {}",
                    names.join(", ")
                ),
            }),
        }
    }

    /// The number of the row that was read last, counted from 1.
    pub(super) fn row(&self) -> u64 {
        self.read
    }

    /// The next row.
    pub(super) fn next(&mut self) -> Result<Option<Values<'_>>, CaptureErrorKind> {
        self.read += 1;
        let row = guarded(|| self.all.next().transpose().map_err(|error| error.to_string()));
        let row = row.map_err(|found| damaged(self.read, &found))?;
        Ok(row.map(|row| {
            let cells = row.get_column_iter();
            self.values.of_pairs(cells.filter_map(|(name, cell)| Some((name, text(cell)?))))
        }))
    }
}

/// A damaged file may stop the decoder, and never the program.
fn guarded<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err("the decoder gave up".to_owned()))
}

fn damaged(row: u64, found: &str) -> CaptureErrorKind {
    CaptureErrorKind::FlowLog { line: row, found: format!("the Parquet file is damaged: {found}") }
}

/// A cell as the text form of the log has it.
fn text(cell: &Cell) -> Option<String> {
    Some(match cell {
        Cell::Byte(number) => number.to_string(),
        Cell::Short(number) => number.to_string(),
        Cell::Int(number) => number.to_string(),
        Cell::Long(number) => number.to_string(),
        Cell::UByte(number) => number.to_string(),
        Cell::UShort(number) => number.to_string(),
        Cell::UInt(number) => number.to_string(),
        Cell::ULong(number) => number.to_string(),
        Cell::Float(number) => number.to_string(),
        Cell::Double(number) => number.to_string(),
        Cell::Str(text) => text.clone(),
        Cell::Bytes(bytes) => std::str::from_utf8(bytes.data()).ok()?.to_owned(),
        _ => return None,
    })
}
