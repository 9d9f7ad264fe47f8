//! Rows per packet, as a stream of batches.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use pyo3::prelude::*;
use sgreplay::arrow::{PacketColumns, Vocabulary, packet_schema};
use sgreplay::sources::Input;
use sgreplay::verdict::Judged;

use crate::command::judging::Keeps;
use crate::error::{self, Raised};
use crate::exit::Failure;
use crate::replay::{Done, Job, Run, Watch};
use crate::running;

/// Batches that may wait for their consumer.
const WAITING: usize = 2;

/// What the thread that judges sends to who reads the stream.
enum Message {
    Batch(Result<RecordBatch, ArrowError>),
    End(Box<Result<Done, Failure>>),
}

/// Makes batches, and hands them over.
struct PacketRows {
    columns: PacketColumns,
    vocabulary: Option<Vocabulary>,
    rows: usize,
    to: SyncSender<Message>,
}

impl PacketRows {
    fn flush(&mut self) -> ControlFlow<()> {
        let Some(vocabulary) = &self.vocabulary else { return ControlFlow::Continue(()) };
        match self.to.send(Message::Batch(self.columns.finish(vocabulary))) {
            Ok(()) => ControlFlow::Continue(()),
            // The stream was dropped.
            Err(_) => ControlFlow::Break(()),
        }
    }
}

impl Watch for PacketRows {
    fn packet(&mut self, run: Run<'_>, input: &Input<'_>, judged: &Judged) -> ControlFlow<()> {
        if !input.selected {
            return ControlFlow::Continue(());
        }
        let vocabulary = self.vocabulary.get_or_insert_with(|| Vocabulary::new(run.rules));
        self.columns.packet(&input.frame, input.decoded, judged, vocabulary);
        if self.columns.len() < self.rows { ControlFlow::Continue(()) } else { self.flush() }
    }

    fn end(&mut self, _: Run<'_>) -> Vec<String> {
        if !self.columns.is_empty() {
            // Nobody reads what is said at the end of a stream that was dropped.
            let _ = self.flush();
        }
        Vec::new()
    }
}

/// The reading end.
struct Reader {
    from: Mutex<Receiver<Message>>,
    stop: Arc<AtomicBool>,
    schema: SchemaRef,
    ended: bool,
}

/// Starts a run, whose rows wait for who reads them.
pub(crate) fn read(
    job: Job,
    stop: Arc<AtomicBool>,
    rows: usize,
) -> PyResult<impl RecordBatchReader + Send + 'static> {
    let (to, from) = sync_channel(WAITING);
    let columns = PacketColumns::with_capacity(rows);
    let mut sink = PacketRows { columns, vocabulary: None, rows, to };
    std::thread::Builder::new().name("sgreplay packets".to_owned()).spawn(move || {
        let done = job.run(Keeps::Nothing, &mut sink);
        // As above.
        let _ = sink.to.send(Message::End(Box::new(done)));
    })?;
    Ok(Reader { from: Mutex::new(from), stop, schema: packet_schema(), ended: false })
}

impl Reader {
    /// The next message, without the GIL, whether or not the caller has it. An interrupt ends the waiting.
    fn message(&self) -> PyResult<Option<Message>> {
        match Python::try_attach(|py| running::wait(py, &self.from, &self.stop)) {
            Some(message) => message,
            // The interpreter ends; nobody sees the rows.
            None => Ok(self.from.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()),
        }
    }
}

impl Iterator for Reader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let message = self.message();
        if let Ok(Some(Message::Batch(Ok(batch)))) = message {
            return Some(Ok(batch));
        }
        self.ended = true;
        let error = match message {
            Ok(Some(Message::Batch(result))) => return Some(result),
            Ok(Some(Message::End(done))) => Python::try_attach(|py| match *done {
                Ok(mut done) => done.say(py, py.None().bind(py)).err(),
                Err(failure) => Some(error::of_failure(py, failure)),
            })
            .flatten(),
            Ok(None) => Some(error::plain("internal error: see the message on standard error")),
            Err(interrupt) => Some(interrupt),
        };
        error.map(|error| Err(Raised::arrow(error)))
    }
}

impl RecordBatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
