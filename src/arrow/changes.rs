//! Rows per changed connection.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, Field, Schema, SchemaRef};

use super::connections::Column;
use crate::diff::Change;
use crate::labels::BothLabels;
use crate::report::{CHANGE_COLUMNS, change_cells};

/// The columns, which are those of the CSV; times are times.
pub fn change_schema() -> SchemaRef {
    let field =
        |name: &str| Field::new(name.trim_end_matches("_ns"), Column::new(name).data_type(), true);
    Arc::new(Schema::new(CHANGE_COLUMNS.map(field).to_vec()))
}

/// Rows per changed connection, gathered into record batches under [`change_schema`].
#[derive(Debug)]
pub struct ChangeColumns {
    columns: [Column; CHANGE_COLUMNS.len()],
    rows: usize,
    most_rows: usize,
    schema: SchemaRef,
}

impl ChangeColumns {
    /// None yet; a batch has so many rows.
    pub fn new(most_rows: usize) -> Self {
        Self {
            columns: CHANGE_COLUMNS.map(Column::new),
            rows: 0,
            most_rows,
            schema: change_schema(),
        }
    }

    /// Adds rows, and hands over each batch that is full.
    ///
    /// # Errors
    /// When a batch is not taken.
    pub fn add<E: From<ArrowError>>(
        &mut self,
        changes: &[Change],
        labels: BothLabels<'_>,
        mut batch: impl FnMut(RecordBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        for change in changes {
            for (column, cell) in self.columns.iter_mut().zip(&change_cells(change, labels)) {
                column.push(cell)?;
            }
            self.rows += 1;
            if self.rows == self.most_rows {
                batch(self.finish()?)?;
            }
        }
        Ok(())
    }

    /// Whether every row is in a batch.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The rows that are in no batch yet as one; what follows begins anew.
    ///
    /// # Errors
    /// When a text is too long for Arrow.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        self.rows = 0;
        let columns: Result<_, _> = self.columns.iter_mut().map(Column::finish).collect();
        RecordBatch::try_new(SchemaRef::clone(&self.schema), columns?)
    }
}
