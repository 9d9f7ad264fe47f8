//! Scalar packet, by the instructions of every processor.

use super::Lanes;
use super::table::Table;
use crate::compile::axes::KeyWords;
use crate::rules::EntryIndex;

/// Scalar packet, by instructions that every processor has.
#[derive(Clone, Copy, Debug)]
pub(in crate::compile) struct Scalar;

#[expect(clippy::inline_always, reason = "otherwise each operation would be a call")]
impl Lanes for Scalar {
    type Vector = u32;
    const LANES: usize = 1;

    #[inline(always)]
    fn splat(self, number: u32) -> u32 {
        number
    }
    #[inline(always)]
    fn fill(self, number: impl Fn(usize) -> u32) -> u32 {
        number(0)
    }
    #[inline(always)]
    fn load_word<K: KeyWords>(self, keys: &[K], word: usize) -> u32 {
        keys.first().map_or(0, |key| key.word(word))
    }
    #[inline(always)]
    fn add(self, a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }
    #[inline(always)]
    fn mul(self, a: u32, b: u32) -> u32 {
        a.wrapping_mul(b)
    }
    #[inline(always)]
    fn and(self, a: u32, b: u32) -> u32 {
        a & b
    }
    #[inline(always)]
    fn min(self, a: u32, b: u32) -> u32 {
        a.min(b)
    }
    #[inline(always)]
    fn shift_left(self, a: u32, bits: u32) -> u32 {
        a << (bits & 31)
    }
    #[inline(always)]
    fn shift_right(self, a: u32, bits: u32) -> u32 {
        a >> (bits & 31)
    }
    #[inline(always)]
    fn step_if_le(self, at: u32, bits: u32, a: u32, b: u32) -> u32 {
        // Branchless: the branch would be mispredicted half the time.
        at.wrapping_add(u32::from(a <= b) << (bits & 31))
    }
    #[inline(always)]
    fn gather(self, table: &Table<u16>, at: u32) -> u32 {
        table.cells.get(at as usize).copied().unwrap_or_default().into()
    }
    #[inline(always)]
    fn gather_wide(self, table: &Table<u32>, at: u32) -> u32 {
        table.cells.get(at as usize).copied().unwrap_or_default()
    }
    #[inline(always)]
    fn store(self, numbers: u32, found: &mut [EntryIndex]) {
        if let Some(found) = found.first_mut() {
            *found = EntryIndex(numbers);
        }
    }
}
