//! Threads that judge beside the one that asks.

use std::fmt;
use std::num::NonZeroUsize;
#[cfg(feature = "threads")]
use std::sync::{Arc, Mutex, PoisonError};

/// Threads among which the shards of a batch are shared out; none by default. They sleep while there is nothing to do.
/// A clone is the same threads.
#[derive(Clone, Default)]
pub struct Workers {
    #[cfg(feature = "threads")]
    pool: Option<Arc<rayon::ThreadPool>>,
}

impl Workers {
    /// So many threads in all, the one that asks among them. Without the feature `threads`, and where the system gives
    /// no threads, that one does everything.
    pub fn new(threads: NonZeroUsize) -> Self {
        #[cfg(feature = "threads")]
        {
            let beside = threads.get() - 1;
            let build = || {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(beside);
                pool.thread_name(|n| format!("judge-{n}")).build().ok().map(Arc::new)
            };
            Self { pool: if beside > 0 { build() } else { None } }
        }
        #[cfg(not(feature = "threads"))]
        {
            let _ = threads;
            Self::default()
        }
    }

    /// Whether there are none beside the thread that asks.
    pub(super) fn is_none(&self) -> bool {
        #[cfg(feature = "threads")]
        return self.pool.is_none();
        #[cfg(not(feature = "threads"))]
        true
    }

    /// Does every task, each on one of the threads, and returns when all are done.
    pub(super) fn each<T: Send>(
        &self,
        tasks: impl Iterator<Item = T> + Send,
        work: impl Fn(T) + Sync,
    ) {
        #[cfg(feature = "threads")]
        if let Some(pool) = &self.pool {
            let left = Mutex::new(tasks);
            let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
            let work_on = || std::iter::from_fn(next).for_each(&work);
            pool.in_place_scope(|scope| {
                for _ in 0..pool.current_num_threads() {
                    scope.spawn(|_| work_on());
                }
                work_on();
            });
            return;
        }
        tasks.for_each(work);
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Workers")
    }
}
