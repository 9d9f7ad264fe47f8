//! AVX2: 32 packets in four vectors.
#![expect(unsafe_code, reason = "there is no other way to these instructions")]
#![expect(clippy::inline_always, reason = "otherwise each intrinsic would be a call")]
#![expect(clippy::indexing_slicing, reason = "four vectors, indexed by constants")]
#![expect(clippy::cast_ptr_alignment, reason = "unaligned loads, stores and gathers")]

use std::arch::x86_64::{
    __m256i, _mm_cvtsi32_si128, _mm256_add_epi32, _mm256_and_si256, _mm256_cmpeq_epi32,
    _mm256_i32gather_epi32, _mm256_loadu_si256, _mm256_max_epu32, _mm256_min_epu32,
    _mm256_mullo_epi32, _mm256_set1_epi32, _mm256_sll_epi32, _mm256_srl_epi32, _mm256_storeu_si256,
};

use super::table::Table;
use super::{Lanes, Operation, compute, four};
use crate::compile::axes::KeyWords;
use crate::rules::EntryIndex;

/// Proof that the processor has AVX2: only [`Avx2::detect`] constructs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx2(());

impl Avx2 {
    #[inline]
    pub(super) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2");
        has.then_some(Self(()))
    }

    pub(super) fn run<O: Operation>(self, operation: O) {
        #[target_feature(enable = "avx2,bmi2")]
        fn run<O: Operation>(of: Avx2, operation: O) {
            operation.run(of);
        }
        // SAFETY: `Self` is only constructed by `detect`, so the target features are present.
        unsafe { run(self, operation) }
    }
}

impl Lanes for Avx2 {
    type Vector = [__m256i; 4];
    const LANES: usize = 32;

    #[inline(always)]
    fn splat(self, number: u32) -> Self::Vector {
        four!(|_n| compute!(_mm256_set1_epi32(number.cast_signed())))
    }
    #[inline(always)]
    fn fill(self, number: impl Fn(usize) -> u32) -> Self::Vector {
        let mut all = [[0_u32; 8]; 4];
        for (lane, place) in all.as_flattened_mut().iter_mut().enumerate() {
            *place = number(lane);
        }
        four!(|n| {
            let eight: *const __m256i = all[n].as_ptr().cast();
            // SAFETY: eight numbers are a vector, read from any address; `Self` is only constructed by `detect`.
            unsafe { _mm256_loadu_si256(eight) }
        })
    }
    #[inline(always)]
    fn load_word<K: KeyWords>(self, keys: &[K], word: usize) -> Self::Vector {
        self.fill(|lane| keys.get(lane).map_or(0, |key| key.word(word)))
    }
    #[inline(always)]
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        four!(|n| compute!(_mm256_add_epi32(a[n], b[n])))
    }
    #[inline(always)]
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        four!(|n| compute!(_mm256_mullo_epi32(a[n], b[n])))
    }
    #[inline(always)]
    fn and(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        four!(|n| compute!(_mm256_and_si256(a[n], b[n])))
    }
    #[inline(always)]
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        four!(|n| compute!(_mm256_min_epu32(a[n], b[n])))
    }
    #[inline(always)]
    fn shift_left(self, a: Self::Vector, bits: u32) -> Self::Vector {
        let bits = compute!(_mm_cvtsi32_si128(bits.cast_signed()));
        four!(|n| compute!(_mm256_sll_epi32(a[n], bits)))
    }
    #[inline(always)]
    fn shift_right(self, a: Self::Vector, bits: u32) -> Self::Vector {
        let bits = compute!(_mm_cvtsi32_si128(bits.cast_signed()));
        four!(|n| compute!(_mm256_srl_epi32(a[n], bits)))
    }
    #[inline(always)]
    fn step_if_le(
        self,
        at: Self::Vector,
        bits: u32,
        a: Self::Vector,
        b: Self::Vector,
    ) -> Self::Vector {
        let far = self.splat(1 << bits);
        four!(|n| {
            let greater = compute!(_mm256_max_epu32(a[n], b[n]));
            let not_above = compute!(_mm256_cmpeq_epi32(greater, b[n]));
            compute!(_mm256_add_epi32(at[n], compute!(_mm256_and_si256(not_above, far[n]))))
        })
    }
    #[inline(always)]
    fn gather(self, table: &Table<u16>, at: Self::Vector) -> Self::Vector {
        let (cells, last) = (table.cells.as_ptr().cast::<i32>(), table.last().cast_signed());
        let last = compute!(_mm256_set1_epi32(last));
        four!(|n| {
            let at = compute!(_mm256_min_epu32(at[n], last));
            // SAFETY: indices are at most that of the last cell, and one more cell of 16 bits follows it, so 32
            // bits can be read at each; `Self` is only constructed by `detect`.
            let cells = unsafe { _mm256_i32gather_epi32::<2>(cells, at) };
            compute!(_mm256_and_si256(cells, compute!(_mm256_set1_epi32(0xffff))))
        })
    }
    #[inline(always)]
    fn gather_wide(self, table: &Table<u32>, at: Self::Vector) -> Self::Vector {
        let (cells, last) = (table.cells.as_ptr().cast::<i32>(), table.last().cast_signed());
        let last = compute!(_mm256_set1_epi32(last));
        four!(|n| {
            let at = compute!(_mm256_min_epu32(at[n], last));
            // SAFETY: indices are at most that of the last cell of 32 bits; `Self` is only constructed by `detect`.
            unsafe { _mm256_i32gather_epi32::<4>(cells, at) }
        })
    }
    #[inline(always)]
    fn store(self, numbers: Self::Vector, found: &mut [EntryIndex]) {
        let Some(found) = found.first_chunk_mut::<32>() else { return };
        let (eights, _) = found.as_chunks_mut::<8>();
        four!(|n| {
            let eight: *mut __m256i = eights[n].as_mut_ptr().cast();
            // SAFETY: eight positions are eight numbers and no more (asserted beside them), written to any
            // address; `Self` is only constructed by `detect`.
            unsafe { _mm256_storeu_si256(eight, numbers[n]) }
        });
    }
}
