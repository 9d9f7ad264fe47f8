//! SIMD: an operation on the numbers of many packets at once, by the widest vector instructions that the
//! processor has, detected at run time. Without them packets are processed one by one.
//!
//! The instruction that matters is the gather, which reads many places of a table at once: a lookup is then a
//! part of one instruction instead of half a dozen. See `benches/tools/peers/run`.
//!
//! A leaf: it knows keys, tables and instructions, and runs any [`Operation`].

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;
mod table;

use super::axes::KeyWords;
use crate::rules::EntryIndex;
pub(super) use scalar::Scalar;
pub(super) use table::{Table, gather_cost};

/// The most packets that any instructions have lanes for.
pub(super) const MAX_LANES: usize = 64;

/// Packets in lanes. A value is proof that the processor has the instructions.
pub(super) trait Lanes: Copy {
    /// One number of each packet.
    type Vector: Copy;
    /// How many packets there are.
    const LANES: usize;

    /// The same number for all.
    fn splat(self, number: u32) -> Self::Vector;
    /// The number of each lane.
    fn fill(self, number: impl Fn(usize) -> u32) -> Self::Vector;
    /// A word of each of [`Lanes::LANES`] keys.
    fn load_word<K: KeyWords>(self, keys: &[K], word: usize) -> Self::Vector;
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn and(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `bits` < 32.
    fn shift_left(self, a: Self::Vector, bits: u32) -> Self::Vector;
    /// `bits` < 32.
    fn shift_right(self, a: Self::Vector, bits: u32) -> Self::Vector;
    /// `at + 2^bits` where `a <= b`, else `at`.
    fn step_if_le(
        self,
        at: Self::Vector,
        bits: u32,
        a: Self::Vector,
        b: Self::Vector,
    ) -> Self::Vector;
    /// The cells at these places, which are in the table.
    fn gather(self, table: &Table<u16>, at: Self::Vector) -> Self::Vector;
    /// The same of 32 bits.
    fn gather_wide(self, table: &Table<u32>, at: Self::Vector) -> Self::Vector;
    /// Writes them to the front of `found`, which has room for all.
    fn store(self, numbers: Self::Vector, found: &mut [EntryIndex]);
}

/// What is done with packets, for any number of lanes.
pub(super) trait Operation {
    /// Runs it on the lanes; inlined, so that it is compiled for their instructions.
    fn run<L: Lanes>(self, lanes: L);
    /// Runs it where there are no vector instructions.
    fn run_scalar(self);
}

/// The instruction set that looks up many packets at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// One packet after the other, on any processor.
    Scalar,
    /// AVX2, on most `x86_64` processors since 2013.
    Avx2,
    /// AVX-512.
    Avx512,
}

impl Instructions {
    /// Those that this processor has, the widest last.
    pub fn available() -> impl DoubleEndedIterator<Item = Self> {
        [Self::Scalar, Self::Avx2, Self::Avx512].into_iter().filter(|of| of.are_available())
    }

    /// The widest that this processor has.
    pub fn best() -> Self {
        Self::available().next_back().unwrap_or(Self::Scalar)
    }

    #[cfg(target_arch = "x86_64")]
    fn are_available(self) -> bool {
        match self {
            Self::Scalar => true,
            Self::Avx2 => avx2::Avx2::detect().is_some(),
            Self::Avx512 => avx512::Avx512::detect().is_some(),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn are_available(self) -> bool {
        self == Self::Scalar
    }

    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "AVX2",
            Self::Avx512 => "AVX-512",
        }
    }

    /// Runs an operation; by the scalar ones where the processor does not have these.
    #[inline]
    pub(super) fn run<O: Operation>(self, operation: O) {
        #[cfg(target_arch = "x86_64")]
        match self {
            Self::Avx512 => {
                if let Some(lanes) = avx512::Avx512::detect() {
                    return lanes.run(operation);
                }
            }
            Self::Avx2 => {
                if let Some(lanes) = avx2::Avx2::detect() {
                    return lanes.run(operation);
                }
            }
            Self::Scalar => {}
        }
        operation.run_scalar();
    }
}

#[cfg(target_arch = "x86_64")]
/// An expression for each of the four vectors: their waits for memory overlap.
macro_rules! four {
    (|$n:ident| $of:expr) => {
        [
            {
                let $n = 0;
                $of
            },
            {
                let $n = 1;
                $of
            },
            {
                let $n = 2;
                $of
            },
            {
                let $n = 3;
                $of
            },
        ]
    };
}

#[cfg(target_arch = "x86_64")]
/// An intrinsic that accesses no memory, in a method of a type that only `detect` constructs.
macro_rules! compute {
    ($instruction:ident($a:expr $(,)?)) => {{
        let a = $a;
        // SAFETY: `Self` is only constructed by `detect`, so the target features are present; no memory is accessed.
        unsafe { $instruction(a) }
    }};
    ($instruction:ident($a:expr, $b:expr $(,)?)) => {{
        let (a, b) = ($a, $b);
        // SAFETY: `Self` is only constructed by `detect`, so the target features are present; no memory is accessed.
        unsafe { $instruction(a, b) }
    }};
    ($instruction:ident($a:expr, $b:expr, $c:expr $(,)?)) => {{
        let (a, b, c) = ($a, $b, $c);
        // SAFETY: `Self` is only constructed by `detect`, so the target features are present; no memory is accessed.
        unsafe { $instruction(a, b, c) }
    }};
    ($instruction:ident($a:expr, $b:expr, $c:expr, $d:expr $(,)?)) => {{
        let (a, b, c, d) = ($a, $b, $c, $d);
        // SAFETY: `Self` is only constructed by `detect`, so the target features are present; no memory is accessed.
        unsafe { $instruction(a, b, c, d) }
    }};
}
#[cfg(target_arch = "x86_64")]
use {compute, four};

#[cfg(all(test, target_arch = "x86_64"))]
mod tests;
