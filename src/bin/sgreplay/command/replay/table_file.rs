//! Rows as a file of a table, Parquet or Arrow, on standard output.

use std::io;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use sgreplay::arrow::{
    ConnectionColumns, PacketColumns, TableFile, TableFormat, Vocabulary, connection_schema,
    packet_schema,
};
use sgreplay::capture::Frame;
use sgreplay::collect::{Connections, RowPart};
use sgreplay::decode::Decoded;
use sgreplay::labels::Labels;
use sgreplay::report::Summary;
use sgreplay::rules::RuleSet;
use sgreplay::verdict::Judged;

use crate::exit::Failure;
use crate::output::{Stdout, stdout};

/// Rows of a record batch.
const BATCH: usize = 1 << 16;

/// A file that is begun with its first batch, so that a run that cannot begin writes nothing.
struct Lazy {
    format: TableFormat,
    schema: fn() -> SchemaRef,
    file: Option<TableFile<Stdout>>,
}

impl Lazy {
    fn new(format: TableFormat, schema: fn() -> SchemaRef) -> Self {
        Self { format, schema, file: None }
    }

    fn open(&mut self) -> io::Result<&mut TableFile<Stdout>> {
        let file = match self.file.take() {
            Some(file) => file,
            None => TableFile::new(stdout(), self.format, &(self.schema)())?,
        };
        Ok(self.file.insert(file))
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        Ok(self.open()?.write(batch)?)
    }

    fn finish(mut self, summary: &Summary) -> Result<(), Failure> {
        self.open()?;
        let summary = serde_json::to_string(summary).map_err(io::Error::from)?;
        self.file.map_or(Ok(()), |file| Ok(file.finish(&summary)?))
    }
}

impl From<ArrowError> for Failure {
    fn from(error: ArrowError) -> Self {
        Self::Usage(format!("the table: {error}"))
    }
}

/// Rows per packet.
pub(super) struct PacketFile {
    columns: PacketColumns,
    vocabulary: Vocabulary,
    file: Lazy,
}

impl PacketFile {
    pub(super) fn new(format: TableFormat, rules: &RuleSet) -> Self {
        let columns = PacketColumns::with_capacity(BATCH);
        Self { columns, vocabulary: Vocabulary::new(rules), file: Lazy::new(format, packet_schema) }
    }

    pub(super) fn packet(
        &mut self,
        frame: &Frame<'_>,
        decoded: &Decoded,
        judged: &Judged,
    ) -> Result<(), Failure> {
        self.columns.packet(frame, decoded, judged, &self.vocabulary);
        if self.columns.len() < BATCH { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.file.write(&self.columns.finish(&self.vocabulary)?)
    }

    pub(super) fn finish(mut self, summary: &Summary) -> Result<(), Failure> {
        if !self.columns.is_empty() {
            self.flush()?;
        }
        self.file.finish(summary)
    }
}

/// Rows per connection.
pub(super) struct ConnectionFile {
    columns: ConnectionColumns,
    file: Lazy,
}

impl ConnectionFile {
    pub(super) fn new(format: TableFormat, rules: &RuleSet) -> Self {
        let columns = ConnectionColumns::new(&Vocabulary::new(rules), BATCH);
        Self { columns, file: Lazy::new(format, connection_schema) }
    }

    pub(super) fn write(
        &mut self,
        connections: &mut Connections,
        part: RowPart,
        labels: &Labels,
    ) -> Result<(), Failure> {
        self.columns.add(connections, part, labels, |batch| self.file.write(&batch))
    }

    pub(super) fn finish(mut self, summary: &Summary) -> Result<(), Failure> {
        if !self.columns.is_empty() {
            self.file.write(&self.columns.finish()?)?;
        }
        self.file.finish(summary)
    }
}
