//! Rows per connection, as a table.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow_array::builder::{
    StringBuilder, StringDictionaryBuilder, TimestampNanosecondBuilder, UInt8Builder,
    UInt16Builder, UInt64Builder,
};
use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use sgreplay::collect::{Connections, RowPart};
use sgreplay::labels::Labels;
use sgreplay::replay::Replay;
use sgreplay::report::Cell;
use sgreplay::sources::Input;
use sgreplay::verdict::Judged;

use crate::command::replay::print::went_on;
use crate::packets::{push_addr, time, timestamp};
use crate::replay::{Run, Watch};
use crate::table::Table;
use crate::words;

/// A column under way, by what is in it.
enum Column {
    Count(UInt64Builder),
    Port(UInt16Builder),
    Byte(UInt8Builder),
    Time(TimestampNanosecondBuilder),
    Text(StringBuilder),
    Word(StringDictionaryBuilder<Int8Type>),
    Name(StringDictionaryBuilder<Int32Type>),
}

impl Column {
    /// The column that the program has under a name.
    fn new(column: &str) -> Self {
        match column {
            "first_time_ns" | "last_time_ns" => {
                Self::Time(TimestampNanosecondBuilder::new().with_data_type(timestamp()))
            }
            "community_id" | "src" | "dst" => Self::Text(StringBuilder::new()),
            "proto" | "icmp_type" => Self::Byte(UInt8Builder::new()),
            "sport" | "dport" => Self::Port(UInt16Builder::new()),
            "opening" | "direction" | "verdict" | "reason" | "layer" => {
                Self::Word(StringDictionaryBuilder::new())
            }
            "interface" | "group" | "rule" => Self::Name(StringDictionaryBuilder::new()),
            _ => Self::Count(UInt64Builder::new()),
        }
    }

    fn push(&mut self, cell: &Cell<'_>) -> Result<(), ArrowError> {
        let number = match cell {
            Cell::Number(number) => Some(*number),
            _ => None,
        };
        let text = match cell {
            Cell::Text(text) => Some(*text),
            Cell::Owned(text) => Some(text.as_str()),
            _ => None,
        };
        match (self, cell) {
            (Self::Count(out), _) => out.append_option(number),
            (Self::Port(out), _) => out.append_option(number.and_then(|of| u16::try_from(of).ok())),
            (Self::Byte(out), _) => out.append_option(number.and_then(|of| u8::try_from(of).ok())),
            (Self::Time(out), _) => out.append_option(time(number)),
            (Self::Text(out), Cell::Addr(addr)) => push_addr(out, *addr),
            (Self::Text(out), _) => out.append_option(text),
            (Self::Word(out), _) => match text {
                Some(text) => _ = out.append(text)?,
                None => out.append_null(),
            },
            (Self::Name(out), _) => match text {
                Some(text) => _ = out.append(text)?,
                None => out.append_null(),
            },
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Count(out) => Arc::new(out.finish()),
            Self::Port(out) => Arc::new(out.finish()),
            Self::Byte(out) => Arc::new(out.finish()),
            Self::Time(out) => Arc::new(out.finish()),
            Self::Text(out) => Arc::new(out.finish()),
            Self::Word(out) => Arc::new(out.finish()),
            Self::Name(out) => Arc::new(out.finish()),
        }
    }

    fn data_type(&self) -> DataType {
        match self {
            Self::Count(_) => DataType::UInt64,
            Self::Port(_) => DataType::UInt16,
            Self::Byte(_) => DataType::UInt8,
            Self::Time(_) => timestamp(),
            Self::Text(_) => DataType::Utf8,
            Self::Word(_) => words::word(),
            Self::Name(_) => words::name(),
        }
    }
}

/// More rows than this are another batch: texts of a batch are counted with 31 bits.
const ROWS: usize = 1 << 20;

/// Gathers connections, and makes columns of their rows.
pub(crate) struct ConnectionRows {
    connections: Option<Connections>,
    columns: Vec<Column>,
    rows: usize,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    failed: Option<ArrowError>,
}

impl Default for ConnectionRows {
    fn default() -> Self {
        let columns: Vec<Column> = Connections::COLUMNS.into_iter().map(Column::new).collect();
        // Times are times here, and no numbers.
        let named = |(name, column): (&str, &Column)| {
            Field::new(name.trim_end_matches("_ns"), column.data_type(), true)
        };
        let fields: Vec<Field> =
            Connections::COLUMNS.into_iter().zip(&columns).map(named).collect();
        let schema = Arc::new(Schema::new(fields));
        Self { connections: None, columns, rows: 0, schema, batches: Vec::new(), failed: None }
    }
}

impl ConnectionRows {
    fn add(&mut self, part: RowPart, labels: &Labels) -> Result<(), ArrowError> {
        let Some(connections) = &self.connections else { return Ok(()) };
        for cells in connections.cells(part, labels) {
            for (column, cell) in self.columns.iter_mut().zip(&cells) {
                column.push(cell)?;
            }
            self.rows += 1;
            if self.rows == ROWS {
                self.rows = 0;
                self.batches.push(finish(&mut self.columns, &self.schema)?);
            }
        }
        Ok(())
    }

    /// The table, after the run.
    pub(crate) fn table(mut self) -> Result<Table, ArrowError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.rows > 0 {
            self.batches.push(finish(&mut self.columns, &self.schema)?);
        }
        Ok(Table::new(self.schema, self.batches))
    }
}

fn finish(columns: &mut [Column], schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = columns.iter_mut().map(Column::finish).collect();
    RecordBatch::try_new(SchemaRef::clone(schema), columns)
}

impl Watch for ConnectionRows {
    fn packet(&mut self, run: Run<'_>, input: &Input<'_>, judged: &Judged) -> ControlFlow<()> {
        let connections = self.connections.get_or_insert_with(|| Connections::within(run.memory));
        connections.add(input, judged);
        if self.failed.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn pause(&mut self, run: Run<'_>, replay: &Replay<'_>) {
        let Some(connections) = self.connections.as_mut().filter(|of| of.is_full()) else { return };
        connections.choose_over(replay);
        self.failed = self.add(RowPart::Over, run.labels).err();
        if let Some(connections) = &mut self.connections {
            connections.forget_over();
        }
    }

    fn end(&mut self, run: Run<'_>) -> Vec<String> {
        self.failed = self.failed.take().or(self.add(RowPart::All, run.labels).err());
        self.connections.as_ref().and_then(went_on).into_iter().collect()
    }
}
