//! Threads that work beside the one that asks.

use std::fmt;
use std::num::NonZeroUsize;

use super::assign::SHARDS;
use pool::Pool;

/// Threads among which the shards of a batch are shared out; none by default. They sleep while there is nothing to do.
/// A clone is the same threads.
#[derive(Clone, Default)]
pub struct Workers {
    pool: Option<Pool>,
}

impl Workers {
    /// So many threads in all, the one that asks among them, and no more than there are shards. Without the feature
    /// `threads`, and where the system gives no threads, that one does everything.
    pub fn new(threads: NonZeroUsize) -> Self {
        let beside = threads.get().min(SHARDS) - 1;
        Self { pool: if beside > 0 { Pool::start(beside) } else { None } }
    }

    /// Whether there are none beside the thread that asks.
    pub(super) fn is_none(&self) -> bool {
        self.pool.is_none()
    }

    /// What is made of each part of the items, in their order; a part has so many items, the last fewer.
    pub fn in_parts<T: Sync, R: Send + Default>(
        &self,
        items: &[T],
        of: NonZeroUsize,
        make: impl Fn(&[T]) -> R + Sync,
    ) -> Vec<R> {
        let mut made: Vec<R> = Vec::new();
        made.resize_with(items.len().div_ceil(of.get()), R::default);
        let tasks = made.iter_mut().zip(items.chunks(of.get()));
        self.each(tasks, |(made, items)| *made = make(items));
        made
    }

    /// Does every task, each on one of the threads, and returns when all are done.
    pub(super) fn each<T: Send>(
        &self,
        tasks: impl Iterator<Item = T> + Send,
        work: impl Fn(T) + Sync,
    ) {
        match &self.pool {
            Some(pool) => pool.each(tasks, work),
            None => tasks.for_each(work),
        }
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Workers")
    }
}

#[cfg(feature = "threads")]
mod pool {
    use std::iter;
    use std::sync::{Arc, Mutex, PoisonError};

    use rayon::{ThreadPool, ThreadPoolBuilder};

    #[derive(Clone)]
    pub(super) struct Pool(Arc<ThreadPool>);

    impl Pool {
        pub(super) fn start(threads: usize) -> Option<Self> {
            let builder = ThreadPoolBuilder::new().num_threads(threads);
            let pool = builder.thread_name(|n| format!("judge-{n}")).build();
            pool.ok().map(|pool| Self(Arc::new(pool)))
        }

        pub(super) fn each<T: Send>(
            &self,
            tasks: impl Iterator<Item = T> + Send,
            work: impl Fn(T) + Sync,
        ) {
            let left = Mutex::new(tasks);
            let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
            let work_on = || iter::from_fn(next).for_each(&work);
            self.0.in_place_scope(|scope| {
                for _ in 0..self.0.current_num_threads() {
                    scope.spawn(|_| work_on());
                }
                work_on();
            });
        }
    }
}

#[cfg(not(feature = "threads"))]
mod pool {
    use std::convert::Infallible;

    #[derive(Clone)]
    pub(super) struct Pool(Infallible);

    impl Pool {
        pub(super) fn start(_: usize) -> Option<Self> {
            None
        }

        pub(super) fn each<T>(&self, _: impl Iterator<Item = T>, _: impl Fn(T)) {
            match self.0 {}
        }
    }
}
