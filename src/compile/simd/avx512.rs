//! AVX-512: 64 packets in four vectors.
#![expect(unsafe_code, reason = "there is no other way to these instructions")]
#![expect(clippy::inline_always, reason = "otherwise each intrinsic would be a call")]
#![expect(clippy::indexing_slicing, reason = "four vectors, indexed by constants")]
#![expect(clippy::cast_ptr_alignment, reason = "unaligned loads, stores and gathers")]

use std::arch::x86_64::{
    __m512i, _mm_cvtsi32_si128, _mm512_add_epi32, _mm512_and_si512, _mm512_cmple_epu32_mask,
    _mm512_i32gather_epi32, _mm512_loadu_si512, _mm512_mask_add_epi32, _mm512_mask_blend_epi32,
    _mm512_min_epu32, _mm512_mullo_epi32, _mm512_permutex2var_epi32, _mm512_set1_epi32,
    _mm512_setr_epi32, _mm512_sll_epi32, _mm512_srl_epi32, _mm512_storeu_si512,
};

use super::table::Table;
use super::{Lanes, Operation, compute, four};
use crate::compile::axes::KeyWords;
use crate::rules::EntryIndex;

/// Proof that the processor has AVX-512: only [`Avx512::detect`] constructs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(());

impl Avx512 {
    #[inline]
    pub(super) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi2");
        has.then_some(Self(()))
    }

    pub(super) fn run<O: Operation>(self, operation: O) {
        #[target_feature(enable = "avx512f,avx512bw,avx2,bmi2")]
        fn run<O: Operation>(of: Avx512, operation: O) {
            operation.run(of);
        }
        // SAFETY: `Self` is only constructed by `detect`, so the target features are present.
        unsafe { run(self, operation) }
    }
}

impl Lanes for Avx512 {
    type Vector = [__m512i; 4];
    const LANES: usize = 64;

    #[inline(always)]
    fn splat(self, number: u32) -> Self::Vector {
        four!(|_n| compute!(_mm512_set1_epi32(number.cast_signed())))
    }
    #[inline(always)]
    fn fill(self, number: impl Fn(usize) -> u32) -> Self::Vector {
        let mut all = [[0_u32; 16]; 4];
        for (lane, place) in all.as_flattened_mut().iter_mut().enumerate() {
            *place = number(lane);
        }
        four!(|n| {
            let sixteen: *const __m512i = all[n].as_ptr().cast();
            // SAFETY: sixteen numbers are a vector, read from any address; `Self` is only constructed by `detect`.
            unsafe { _mm512_loadu_si512(sixteen) }
        })
    }
    #[inline(always)]
    fn load_word<K: KeyWords>(self, keys: &[K], word: usize) -> Self::Vector {
        let Some(of_v4) = K::v4(keys).and_then(|keys| keys.first_chunk::<64>()) else {
            return self.fill(|lane| keys.get(lane).map_or(0, |key| key.word(word)));
        };
        let place = i32::try_from(word).unwrap_or(0);
        // Each sixteen keys are four vectors, which together have sixteen of every word.
        let (sixteens, _) = of_v4.as_chunks::<4>();
        four!(|n| {
            let of = |m: usize| {
                let four: *const __m512i = sixteens[4 * n + m].as_ptr().cast();
                // SAFETY: four keys of four words are a vector (asserted beside the key), read from any
                // address; `Self` is only constructed by `detect`.
                unsafe { _mm512_loadu_si512(four) }
            };
            let in_two =
                compute!(_mm512_add_epi32(compute!(_mm512_set1_epi32(place)), first_words(self),));
            let low = compute!(_mm512_permutex2var_epi32(of(0), in_two, of(1)));
            let high = compute!(_mm512_permutex2var_epi32(of(2), in_two, of(3)));
            compute!(_mm512_mask_blend_epi32(0xff00, low, high))
        })
    }
    #[inline(always)]
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        four!(|n| compute!(_mm512_add_epi32(a[n], b[n])))
    }
    #[inline(always)]
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        four!(|n| compute!(_mm512_mullo_epi32(a[n], b[n])))
    }
    #[inline(always)]
    fn and(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        four!(|n| compute!(_mm512_and_si512(a[n], b[n])))
    }
    #[inline(always)]
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        four!(|n| compute!(_mm512_min_epu32(a[n], b[n])))
    }
    #[inline(always)]
    fn shift_left(self, a: Self::Vector, bits: u32) -> Self::Vector {
        let bits = compute!(_mm_cvtsi32_si128(bits.cast_signed()));
        four!(|n| compute!(_mm512_sll_epi32(a[n], bits)))
    }
    #[inline(always)]
    fn shift_right(self, a: Self::Vector, bits: u32) -> Self::Vector {
        let bits = compute!(_mm_cvtsi32_si128(bits.cast_signed()));
        four!(|n| compute!(_mm512_srl_epi32(a[n], bits)))
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
            let not_above = compute!(_mm512_cmple_epu32_mask(a[n], b[n]));
            compute!(_mm512_mask_add_epi32(at[n], not_above, at[n], far[n]))
        })
    }
    #[inline(always)]
    fn gather(self, table: &Table<u16>, at: Self::Vector) -> Self::Vector {
        let (cells, last) = (table.cells.as_ptr().cast::<i32>(), table.last().cast_signed());
        let last = compute!(_mm512_set1_epi32(last));
        four!(|n| {
            let at = compute!(_mm512_min_epu32(at[n], last));
            // SAFETY: indices are at most that of the last cell, and one more cell of 16 bits follows it, so 32
            // bits can be read at each; `Self` is only constructed by `detect`.
            let cells = unsafe { _mm512_i32gather_epi32::<2>(at, cells) };
            compute!(_mm512_and_si512(cells, compute!(_mm512_set1_epi32(0xffff))))
        })
    }
    #[inline(always)]
    fn gather_wide(self, table: &Table<u32>, at: Self::Vector) -> Self::Vector {
        let (cells, last) = (table.cells.as_ptr().cast::<i32>(), table.last().cast_signed());
        let last = compute!(_mm512_set1_epi32(last));
        four!(|n| {
            let at = compute!(_mm512_min_epu32(at[n], last));
            // SAFETY: indices are at most that of the last cell of 32 bits; `Self` is only constructed by `detect`.
            unsafe { _mm512_i32gather_epi32::<4>(at, cells) }
        })
    }
    #[inline(always)]
    fn store(self, numbers: Self::Vector, found: &mut [EntryIndex]) {
        let Some(found) = found.first_chunk_mut::<64>() else { return };
        let (sixteens, _) = found.as_chunks_mut::<16>();
        four!(|n| {
            let sixteen: *mut __m512i = sixteens[n].as_mut_ptr().cast();
            // SAFETY: sixteen positions are sixteen numbers and no more (asserted beside them), written to
            // any address; `Self` is only constructed by `detect`.
            unsafe { _mm512_storeu_si512(sixteen, numbers[n]) }
        });
    }
}

/// Where the words of sixteen keys stand in two vectors, twice.
#[inline(always)]
fn first_words(_: Avx512) -> __m512i {
    // SAFETY: the type is only constructed by `detect`, so the target features are present; no memory is accessed.
    unsafe { _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28) }
}
