//! Rows per connection, as a table.

use std::ops::ControlFlow;

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use sgreplay::arrow::{ConnectionColumns, Vocabulary, connection_schema};
use sgreplay::collect::{Connections, RowPart};
use sgreplay::replay::Replay;
use sgreplay::sources::Input;
use sgreplay::verdict::Judged;

use crate::command::replay::print::went_on;
use crate::replay::{Run, Watch};
use crate::table::Table;

/// More rows than this are another batch: texts of a batch are counted with 31 bits.
const ROWS: usize = 1 << 20;

/// Gathers connections, and makes columns of their rows.
#[derive(Default)]
pub(crate) struct ConnectionRows {
    connections: Option<Connections>,
    columns: Option<ConnectionColumns>,
    batches: Vec<RecordBatch>,
    failed: Option<ArrowError>,
}

impl ConnectionRows {
    fn add(&mut self, part: RowPart, run: Run<'_>) -> Result<(), ArrowError> {
        let Some(connections) = &mut self.connections else { return Ok(()) };
        let columns = self
            .columns
            .get_or_insert_with(|| ConnectionColumns::new(&Vocabulary::new(run.rules), ROWS));
        columns.add(connections, part, run.labels, |batch| {
            self.batches.push(batch);
            Ok(())
        })
    }

    /// The table, after the run.
    pub(crate) fn table(mut self) -> Result<Table, ArrowError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if let Some(columns) = self.columns.as_mut().filter(|columns| !columns.is_empty()) {
            self.batches.push(columns.finish()?);
        }
        Ok(Table::new(connection_schema(), self.batches))
    }
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
        self.failed = self.add(RowPart::Over, run).err();
        if let Some(connections) = &mut self.connections {
            connections.forget_over();
        }
    }

    fn end(&mut self, run: Run<'_>) -> Vec<String> {
        self.failed = self.failed.take().or(self.add(RowPart::All, run).err());
        self.connections.as_ref().and_then(went_on).into_iter().collect()
    }
}
