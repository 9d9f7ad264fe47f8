//! Rows per connection.

use std::sync::Arc;

use arrow_array::builder::{
    PrimitiveBuilder, StringBuilder, TimestampNanosecondBuilder, UInt8Builder, UInt16Builder,
    UInt64Builder,
};
use arrow_array::types::{ArrowDictionaryKeyType, Int8Type, Int32Type};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use super::values::{push_addr, time, timestamp};
use super::words::{Names, Vocabulary, dictionary, name_type, word_type};
use crate::collect::{Connections, RowPart};
use crate::labels::Labels;
use crate::report::Cell;
use crate::session::Opening;

/// A dictionary column under way.
#[derive(Debug)]
pub(super) struct Words<K: ArrowDictionaryKeyType> {
    names: Names,
    keys: PrimitiveBuilder<K>,
    /// Of all names. Batches of a file share one dictionary, which is compared by its address.
    values: Option<ArrayRef>,
}

impl<K: ArrowDictionaryKeyType> Default for Words<K> {
    fn default() -> Self {
        Self { names: Names::default(), keys: PrimitiveBuilder::new(), values: None }
    }
}

impl<K: ArrowDictionaryKeyType> Words<K>
where
    K::Native: TryFrom<i32>,
{
    fn push(&mut self, word: Option<&str>) -> Result<(), ArrowError> {
        let Some(word) = word else {
            self.keys.append_null();
            return Ok(());
        };
        let key = self.names.key(word).try_into();
        self.keys.append_value(key.map_err(|_| ArrowError::DictionaryKeyOverflowError)?);
        Ok(())
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let values = match &self.values {
            Some(values) if values.len() == self.names.len() => values,
            _ => self.values.insert(self.names.values()),
        };
        dictionary(self.keys.finish(), values)
    }
}

/// A column under way, by what is in it.
#[derive(Debug)]
pub(super) enum Column {
    Count(UInt64Builder),
    Port(UInt16Builder),
    Byte(UInt8Builder),
    Time(TimestampNanosecondBuilder),
    Text(StringBuilder),
    Word(Words<Int8Type>),
    Name(Words<Int32Type>),
}

impl Column {
    /// The column that the program has under a name.
    pub(super) fn new(column: &str) -> Self {
        let of_side = column.strip_prefix("current_").or_else(|| column.strip_prefix("proposed_"));
        match of_side.unwrap_or(column) {
            "first_time_ns" | "last_time_ns" => {
                Self::Time(TimestampNanosecondBuilder::new().with_data_type(timestamp()))
            }
            "community_id" | "src" | "dst" | "accepted" => Self::Text(StringBuilder::new()),
            "proto" | "icmp_type" => Self::Byte(UInt8Builder::new()),
            "sport" | "dport" => Self::Port(UInt16Builder::new()),
            "change" | "opening" | "direction" | "verdict" | "reason" | "layer" => {
                Self::Word(Words::default())
            }
            "interface" | "group" | "rule" => Self::Name(Words::default()),
            _ => Self::Count(UInt64Builder::new()),
        }
    }

    /// Adds words to a dictionary.
    fn know<'w>(&mut self, words: impl IntoIterator<Item = &'w str>) {
        let names = match self {
            Self::Word(out) => &mut out.names,
            Self::Name(out) => &mut out.names,
            _ => return,
        };
        words.into_iter().for_each(|word| _ = names.key(word));
    }

    pub(super) fn push(&mut self, cell: &Cell<'_>) -> Result<(), ArrowError> {
        let number = match cell {
            Cell::Number(number) => Some(*number),
            _ => None,
        };
        let text = match cell {
            Cell::Text(text) => Some(*text),
            Cell::Owned(text) => Some(text.as_str()),
            Cell::Community(id) => Some(id.as_str()),
            _ => None,
        };
        match (self, cell) {
            (Self::Count(out), _) => out.append_option(number),
            (Self::Port(out), _) => out.append_option(number.and_then(|of| u16::try_from(of).ok())),
            (Self::Byte(out), _) => out.append_option(number.and_then(|of| u8::try_from(of).ok())),
            (Self::Time(out), _) => out.append_option(time(number)),
            (Self::Text(out), Cell::Addr(addr)) => push_addr(out, *addr),
            (Self::Text(out), _) => out.append_option(text),
            (Self::Word(out), _) => out.push(text)?,
            (Self::Name(out), _) => out.push(text)?,
        }
        Ok(())
    }

    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Count(out) => Arc::new(out.finish()),
            Self::Port(out) => Arc::new(out.finish()),
            Self::Byte(out) => Arc::new(out.finish()),
            Self::Time(out) => Arc::new(out.finish()),
            Self::Text(out) => Arc::new(out.finish()),
            Self::Word(out) => out.finish()?,
            Self::Name(out) => out.finish()?,
        })
    }

    pub(super) fn data_type(&self) -> DataType {
        match self {
            Self::Count(_) => DataType::UInt64,
            Self::Port(_) => DataType::UInt16,
            Self::Byte(_) => DataType::UInt8,
            Self::Time(_) => timestamp(),
            Self::Text(_) => DataType::Utf8,
            Self::Word(_) => word_type(),
            Self::Name(_) => name_type(),
        }
    }
}

/// The columns, which are those of the CSV; times are times.
pub fn connection_schema() -> SchemaRef {
    let field =
        |name: &str| Field::new(name.trim_end_matches("_ns"), Column::new(name).data_type(), true);
    Arc::new(Schema::new(Connections::COLUMNS.map(field).to_vec()))
}

/// Rows per connection, gathered into record batches under [`connection_schema`].
#[derive(Debug)]
pub struct ConnectionColumns {
    columns: [Column; Connections::COLUMNS.len()],
    rows: usize,
    most_rows: usize,
    schema: SchemaRef,
}

impl ConnectionColumns {
    /// None yet; a batch has so many rows. All words are known from the start, so that batches have the same dictionaries.
    pub fn new(vocabulary: &Vocabulary, most_rows: usize) -> Self {
        let columns = Connections::COLUMNS.map(|name| {
            let mut column = Column::new(name);
            match name {
                "opening" => column.know(Opening::ALL.map(Opening::as_str)),
                _ => column.know(vocabulary.words(name)),
            }
            column
        });
        Self { columns, rows: 0, most_rows, schema: connection_schema() }
    }

    /// Adds rows, and hands over each batch that is full.
    ///
    /// # Errors
    /// When a batch is not taken.
    pub fn add<E: From<ArrowError>>(
        &mut self,
        connections: &mut Connections,
        part: RowPart,
        labels: &Labels,
        mut batch: impl FnMut(RecordBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        for cells in connections.cells(part, labels) {
            for (column, cell) in self.columns.iter_mut().zip(&cells) {
                column.push(cell)?;
            }
            self.rows += 1;
            if self.rows == self.most_rows {
                batch(self.finish()?)?;
            }
        }
        Ok(())
    }

    /// The number of rows that are in no batch yet.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether every row is in a batch.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// These rows as a batch; what follows begins anew.
    ///
    /// # Errors
    /// When a text is too long for Arrow.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        self.rows = 0;
        let columns: Result<_, _> = self.columns.iter_mut().map(Column::finish).collect();
        RecordBatch::try_new(SchemaRef::clone(&self.schema), columns?)
    }
}
