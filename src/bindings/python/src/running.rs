//! Long calls: without the GIL, and ended by Ctrl-C.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::error;

/// How often a call looks whether it shall end.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long a call that shall end may still take; what takes longer goes on behind, and its result is dropped.
const GRACE: Duration = Duration::from_secs(2);

/// Runs a function on a thread of its own, and waits for it without the GIL. On Ctrl-C `stop` is set.
pub(crate) fn watched<T: Send + 'static>(
    py: Python<'_>,
    stop: &Arc<AtomicBool>,
    run: impl FnOnce() -> T + Send + 'static,
) -> PyResult<T> {
    let (done, result) = sync_channel(1);
    let run = move || {
        // Nobody waits for the result of a call that was interrupted.
        let _ = done.send(run());
    };
    let thread = std::thread::Builder::new().name("sgreplay".to_owned()).spawn(run)?;
    let received = wait(py, &Mutex::new(result), stop);
    if received.is_ok() {
        // Its memory is free, and its time is counted, when the call returns.
        let _ = py.detach(|| thread.join());
    }
    received?.ok_or_else(|| error::plain("internal error: see the message on standard error"))
}

/// The next value of a channel; `None` when its sender is gone.
pub(crate) fn wait<T: Send>(
    py: Python<'_>,
    channel: &Mutex<Receiver<T>>,
    stop: &AtomicBool,
) -> PyResult<Option<T>> {
    let next = || {
        py.detach(|| channel.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(PATIENCE))
    };
    loop {
        match next() {
            Ok(value) => return Ok(Some(value)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {
                if let Err(interrupt) = py.check_signals() {
                    stop.store(true, Ordering::Relaxed);
                    let end = Instant::now() + GRACE;
                    while Instant::now() < end
                        && !matches!(next(), Err(RecvTimeoutError::Disconnected))
                    {
                    }
                    return Err(interrupt);
                }
            }
        }
    }
}
