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

    /// Fills a place for each part of the items, in their order; a part has so many items, the last fewer. The places that
    /// were filled, of those of `made`: what is in them already may be used again.
    pub(crate) fn fill_parts<'m, T: Sync, R: Send + Default>(
        &self,
        items: &[T],
        of: NonZeroUsize,
        made: &'m mut Vec<R>,
        fill: impl Fn(&[T], &mut R) + Sync,
    ) -> &'m mut [R] {
        let parts = items.len().div_ceil(of.get());
        if made.len() < parts {
            made.resize_with(parts, R::default);
        }
        self.each(made.iter_mut().zip(items.chunks(of.get())), |(made, items)| fill(items, made));
        made.get_mut(..parts).unwrap_or_default()
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
