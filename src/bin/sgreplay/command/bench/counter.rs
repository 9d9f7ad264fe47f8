//! The processor's counter of instructions, where there is one and the system lets a program read it.

#[cfg(target_os = "linux")]
pub(super) use linux::Counter;
#[cfg(not(target_os = "linux"))]
pub(super) use none::Counter;

#[cfg(target_os = "linux")]
mod linux {
    use perf_event::Builder;
    use perf_event::events::{Event, Hardware};

    use crate::exit::Failure;

    /// Counts user-space instructions from its construction on.
    #[derive(Debug)]
    pub(in super::super) struct Counter(Option<perf_event::Counter>);

    impl Counter {
        /// Of this thread alone.
        pub(in super::super) fn of_thread() -> Self {
            Self::new(Hardware::INSTRUCTIONS, false)
        }

        /// Of this thread and those that it starts.
        pub(in super::super) fn of_threads() -> Self {
            Self::new(Hardware::INSTRUCTIONS, true)
        }

        /// Counts nothing where the machine has no such counter or the system forbids it.
        pub(super) fn new(event: impl Event, inherit: bool) -> Self {
            let mut builder = Builder::new(event);
            builder.exclude_kernel(true).inherit(inherit);
            let start = |mut counter: perf_event::Counter| counter.enable().map(|()| counter);
            Self(builder.build().and_then(start).ok())
        }

        /// Whether it counts.
        pub(in super::super) fn is_there(&self) -> bool {
            self.0.is_some()
        }

        /// The count so far; 0 where nothing is counted.
        pub(in super::super) fn read(&mut self) -> Result<u64, Failure> {
            let Some(counter) = &mut self.0 else { return Ok(0) };
            let failed = |error| Failure::Usage(format!("the counter of instructions: {error}"));
            let found = counter.read_count_and_time().map_err(failed)?;
            // Where others use the counters too, the kernel takes turns: the count is then of a part of the time.
            if found.time_running < found.time_enabled {
                self.0 = None;
                return Ok(0);
            }
            Ok(found.count)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod none {
    use crate::exit::Failure;

    /// Counts nothing on this system.
    #[derive(Debug)]
    pub(in super::super) struct Counter;

    impl Counter {
        pub(in super::super) fn of_thread() -> Self {
            Self
        }

        pub(in super::super) fn of_threads() -> Self {
            Self
        }

        #[expect(clippy::unused_self, reason = "as on Linux")]
        pub(in super::super) fn is_there(&self) -> bool {
            false
        }

        #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as on Linux")]
        pub(in super::super) fn read(&mut self) -> Result<u64, Failure> {
            Ok(0)
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use perf_event::events::Software;

    use super::*;

    /// Machines in a cloud seldom count instructions, and a container may forbid even this: then nothing is
    /// counted, and nothing is an error.
    #[test]
    fn a_counter_counts_or_is_not_there() {
        let mut faults = Counter::new(Software::PAGE_FAULTS, false);
        let before = faults.read().unwrap();
        std::hint::black_box(vec![1_u8; 64 << 20]);
        let counted = faults.read().unwrap() - before;
        assert_eq!(counted > 0, faults.is_there(), "{counted}");
        let mut instructions = Counter::of_threads();
        assert_eq!(instructions.read().unwrap() > 0, instructions.is_there());
    }
}
