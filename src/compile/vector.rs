//! The walk by instructions that only some processors have, chosen when the program runs.
//!
//! Comparing a key with more starts at once is the smaller part of what is won: all of the walk is made of
//! these instructions, and between them they save moves and turns of masks. See `benches/peers/run`.
#![expect(
    unsafe_code,
    reason = "there is no other way to these instructions; all of it is in this file"
)]

use super::walk::{Forest, Portable, Words};
use crate::rules::EntryIndex;

/// Walks packets side by side, by the best instructions that there are.
#[inline]
pub(super) fn walk(forest: &Forest, keys: &[impl Words], found: &mut [EntryIndex]) {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(compare) = x86::Avx512::detect() {
            return compare.walk(forest, keys, found);
        }
        if let Some(compare) = x86::Avx2::detect() {
            return compare.walk(forest, keys, found);
        }
    }
    forest.walk(Portable, keys, found);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        _mm256_castsi256_ps, _mm256_cmpgt_epi32, _mm256_cmpgt_epi32_mask, _mm256_loadu_epi32,
        _mm256_loadu_si256, _mm256_movemask_ps, _mm256_set1_epi32, _mm512_cmpgt_epi32_mask,
        _mm512_loadu_epi32, _mm512_set1_epi32,
    };

    use super::super::walk::{Compare, Forest, NARROW, WIDE, Words};
    use crate::rules::EntryIndex;

    /// The processor has AVX-512, of which there is only a value where that was found out.
    #[derive(Clone, Copy, Debug)]
    pub(in super::super) struct Avx512(());

    impl Avx512 {
        #[inline]
        pub(in super::super) fn detect() -> Option<Self> {
            let has = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2");
            has.then_some(Self(()))
        }

        pub(super) fn walk(self, forest: &Forest, keys: &[impl Words], found: &mut [EntryIndex]) {
            #[target_feature(enable = "avx512f,avx512vl,avx2,bmi1,bmi2")]
            fn walk(of: Avx512, forest: &Forest, keys: &[impl Words], found: &mut [EntryIndex]) {
                forest.walk(of, keys, found);
            }
            // SAFETY: the processor has what the function is made of, or there were no `self`.
            unsafe { walk(self, forest, keys, found) }
        }
    }

    impl Compare for Avx512 {
        #[inline(always)]
        #[expect(clippy::inline_always, reason = "elsewhere each instruction would be a call")]
        fn above<const WIDTH: usize>(self, starts: &[i32; WIDTH], key: i32) -> u32 {
            const { assert!(WIDTH == NARROW || WIDTH == WIDE) };
            let starts = starts.as_ptr();
            // SAFETY: a narrow fork has 8 starts and a wide one 16, and the processor has the instructions, or
            // there were no `self`.
            unsafe {
                if WIDTH == NARROW {
                    _mm256_cmpgt_epi32_mask(_mm256_loadu_epi32(starts), _mm256_set1_epi32(key))
                        .into()
                } else {
                    _mm512_cmpgt_epi32_mask(_mm512_loadu_epi32(starts), _mm512_set1_epi32(key))
                        .into()
                }
            }
        }
    }

    /// The processor has AVX2, likewise.
    #[derive(Clone, Copy, Debug)]
    pub(in super::super) struct Avx2(());

    impl Avx2 {
        #[inline]
        pub(in super::super) fn detect() -> Option<Self> {
            let has = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2");
            has.then_some(Self(()))
        }

        pub(super) fn walk(self, forest: &Forest, keys: &[impl Words], found: &mut [EntryIndex]) {
            #[target_feature(enable = "avx2,bmi1,bmi2")]
            fn walk(of: Avx2, forest: &Forest, keys: &[impl Words], found: &mut [EntryIndex]) {
                forest.walk(of, keys, found);
            }
            // SAFETY: the processor has what the function is made of, or there were no `self`.
            unsafe { walk(self, forest, keys, found) }
        }
    }

    impl Compare for Avx2 {
        #[inline(always)]
        #[expect(clippy::inline_always, reason = "elsewhere each instruction would be a call")]
        fn above<const WIDTH: usize>(self, starts: &[i32; WIDTH], key: i32) -> u32 {
            let eight = |starts: Option<&[i32; 8]>| {
                // SAFETY: the processor has the instructions, or there were no `self`.
                starts.map_or(0, |starts| unsafe {
                    let starts = _mm256_loadu_si256(std::ptr::from_ref(starts).cast());
                    let above = _mm256_cmpgt_epi32(starts, _mm256_set1_epi32(key));
                    _mm256_movemask_ps(_mm256_castsi256_ps(above)).cast_unsigned()
                })
            };
            if WIDTH == NARROW {
                eight(starts.first_chunk())
            } else {
                eight(starts.first_chunk()) | eight(starts.last_chunk()) << 8
            }
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use proptest::prelude::*;

    use super::super::walk::{Compare, NARROW, Portable, WIDE};
    use super::x86::{Avx2, Avx512};

    /// Starts ascend, filled up with the highest; keys lie on them, beside them and anywhere.
    fn case<const WIDTH: usize>() -> impl Strategy<Value = ([i32; WIDTH], i32)> {
        let value = prop_oneof![
            any::<i32>(),
            -3..3_i32,
            Just(i32::MIN),
            Just(i32::MIN + 1),
            Just(i32::MAX - 1),
            Just(i32::MAX)
        ];
        (
            prop::collection::vec(value.clone(), WIDTH),
            value,
            any::<prop::sample::Index>(),
            -1..=1_i32,
        )
            .prop_map(|(mut starts, anywhere, at, beside)| {
                starts.sort_unstable();
                let near = at.get(&starts).wrapping_add(beside);
                let key = if anywhere % 2 == 0 { near } else { anywhere };
                (std::array::from_fn(|n| starts.get(n).copied().unwrap_or(i32::MAX)), key)
            })
    }

    fn all_alike<const WIDTH: usize>(starts: &[i32; WIDTH], key: i32) {
        let above = (0..).zip(starts).map(|(n, start)| u32::from(*start > key) << n).sum::<u32>();
        assert_eq!(Portable.above(starts, key), above);
        if let Some(compare) = Avx2::detect() {
            assert_eq!(compare.above(starts, key), above);
        }
        if let Some(compare) = Avx512::detect() {
            assert_eq!(compare.above(starts, key), above);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn every_instruction_says_the_same(narrow in case::<NARROW>(), wide in case::<WIDE>()) {
            all_alike(&narrow.0, narrow.1);
            all_alike(&wide.0, wide.1);
        }
    }
}
