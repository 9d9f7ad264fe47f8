//! Files of record batches.

use std::fmt;
use std::io::{self, Write};

use arrow_array::RecordBatch;
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

/// The format of a file of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableFormat {
    /// Parquet, compressed with Snappy.
    Parquet,
    /// The file format of Arrow IPC, which is Feather version 2. Not its stream format: a reader takes a stream that
    /// breaks off between two batches for a whole one, but a file without its footer for none.
    Arrow,
}

/// Rows of a row group of Parquet, which is kept in memory until it is full.
const ROW_GROUP: usize = 1 << 17;

/// The key of the summary in a file's metadata.
const SUMMARY: &str = "sgreplay.summary";

/// Writes record batches to a file as they come. Until [`TableFile::finish`] it has no footer, and no reader takes it.
pub struct TableFile<W: Write + Send> {
    to: Writer<W>,
}

enum Writer<W: Write + Send> {
    Parquet(Box<ArrowWriter<W>>),
    Arrow(Box<FileWriter<W>>),
}

impl<W: Write + Send> fmt::Debug for TableFile<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = match &self.to {
            Writer::Parquet(_) => TableFormat::Parquet,
            Writer::Arrow(_) => TableFormat::Arrow,
        };
        f.debug_struct("TableFile").field("format", &format).finish_non_exhaustive()
    }
}

impl<W: Write + Send> TableFile<W> {
    /// Starts a file.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub fn new(to: W, format: TableFormat, schema: &SchemaRef) -> io::Result<Self> {
        let to = match format {
            TableFormat::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::SNAPPY)
                    .set_max_row_group_row_count(Some(ROW_GROUP))
                    // Those of pages stay in memory until the end, for all row groups.
                    .set_statistics_enabled(EnabledStatistics::Chunk)
                    .set_offset_index_disabled(true)
                    .build();
                let writer = ArrowWriter::try_new(to, SchemaRef::clone(schema), Some(properties));
                Writer::Parquet(Box::new(writer.map_err(of_parquet)?))
            }
            TableFormat::Arrow => {
                Writer::Arrow(Box::new(FileWriter::try_new(to, schema).map_err(of_arrow)?))
            }
        };
        Ok(Self { to })
    }

    /// Writes a batch.
    ///
    /// # Errors
    /// When the file cannot be written to, or the batch has another schema.
    pub fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        match &mut self.to {
            Writer::Parquet(to) => to.write(batch).map_err(of_parquet),
            Writer::Arrow(to) => to.write(batch).map_err(of_arrow),
        }
    }

    /// Ends the file, with a summary in its metadata, as JSON under the key `sgreplay.summary`.
    ///
    /// # Errors
    /// When the file cannot be written to.
    pub fn finish(self, summary: &str) -> io::Result<()> {
        match self.to {
            Writer::Parquet(mut to) => {
                let summary = KeyValue::new(SUMMARY.to_owned(), summary.to_owned());
                to.append_key_value_metadata(summary);
                to.into_inner().map_err(of_parquet)?.flush()
            }
            Writer::Arrow(mut to) => {
                to.write_metadata(SUMMARY, summary);
                to.finish().map_err(of_arrow)?;
                to.into_inner().map_err(of_arrow)?.flush()
            }
        }
    }
}

/// The error of the system, where it is one: a reader that leaves is no fault.
fn of_parquet(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => {
            error.downcast::<io::Error>().map_or_else(io::Error::other, |error| *error)
        }
        error => io::Error::other(error),
    }
}

fn of_arrow(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, error) => error,
        error => io::Error::other(error),
    }
}
