//! A loop whose time depends on the clock rate of the processor alone, measured beside the stages: between two
//! measurements it may have changed, and no sample of either shows it. Loops that walk through memory, take pages from
//! the system or fill tables were tried on a busy machine: they went up and down otherwise than the stages did.

use std::hint::black_box;

use super::clock::ThreadClock;
use super::counter::Counter;
use crate::exit::Failure;

/// A loop that changes gets another name, so that saved files do not compare unlike loops.
pub(super) const LOOP: &str = "compute 1";
const STEPS: u32 = 1_000_000;

/// Nanoseconds a step.
pub(super) fn measure(counter: &mut Counter) -> Result<f64, Failure> {
    let mut clock = ThreadClock::start(counter)?;
    let mut state: u64 = black_box(1);
    // Splitmix64: each step waits for the one before.
    for _ in 0..STEPS {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    }
    black_box(state);
    Ok(clock.lap()?.time.as_secs_f64() * 1e9 / f64::from(STEPS))
}
