//! Clocks of a measurement: CPU time, time on the wall, and instructions where the machine counts them.

use std::time::{Duration, Instant};

use cpu_time::{ProcessTime, ThreadTime};

use super::counter::Counter;
use crate::exit::Failure;

/// What a piece of work took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    pub(super) time: Duration,
    pub(super) instructions: u64,
}

impl Cost {
    pub(super) fn add(&mut self, other: Self) {
        self.time += other.time;
        self.instructions += other.instructions;
    }
}

/// The CPU time of the thread that measures, lap by lap. Time in which another program has the processor is not
/// part of it.
pub(super) struct ThreadClock<'a> {
    counter: &'a mut Counter,
    time: ThreadTime,
    instructions: u64,
}

impl<'a> ThreadClock<'a> {
    pub(super) fn start(counter: &'a mut Counter) -> Result<Self, Failure> {
        let instructions = counter.read()?;
        let time = ThreadTime::try_now().map_err(no_clock)?;
        Ok(Self { counter, time, instructions })
    }

    /// Starts the next lap.
    pub(super) fn restart(&mut self) -> Result<(), Failure> {
        self.instructions = self.counter.read()?;
        self.time = ThreadTime::try_now().map_err(no_clock)?;
        Ok(())
    }

    /// The cost since the lap began; the next begins here.
    pub(super) fn lap(&mut self) -> Result<Cost, Failure> {
        let time = ThreadTime::try_now().map_err(no_clock)?;
        let instructions = self.counter.read()?;
        let cost = Cost {
            time: time.as_duration().saturating_sub(self.time.as_duration()),
            instructions: instructions.saturating_sub(self.instructions),
        };
        self.restart()?;
        Ok(cost)
    }
}

/// The CPU time of all threads, and the time on the wall.
pub(super) struct ProcessClock<'a> {
    counter: &'a mut Counter,
    cpu: ProcessTime,
    wall: Instant,
    instructions: u64,
}

impl<'a> ProcessClock<'a> {
    pub(super) fn start(counter: &'a mut Counter) -> Result<Self, Failure> {
        let instructions = counter.read()?;
        let cpu = ProcessTime::try_now().map_err(no_clock)?;
        Ok(Self { counter, cpu, wall: Instant::now(), instructions })
    }

    /// The CPU time with its instructions, and the time on the wall.
    pub(super) fn stop(self) -> Result<(Cost, Duration), Failure> {
        let wall = self.wall.elapsed();
        let cpu = ProcessTime::try_now().map_err(no_clock)?;
        let instructions = self.counter.read()?.saturating_sub(self.instructions);
        let time = cpu.as_duration().saturating_sub(self.cpu.as_duration());
        Ok((Cost { time, instructions }, wall))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err passes it")]
fn no_clock(error: std::io::Error) -> Failure {
    Failure::Usage(format!("this system gives no CPU time: {error}"))
}
