//! Numbers of many packets side by side, and what the index does with them: by the vector instructions
//! that the processor has, chosen when the program runs. Where it has none of them, packets go one by one.
//!
//! What counts is to look up many places of a table at once, which the processor calls a gather: a look is
//! then one part of an instruction instead of half a dozen. See `benches/peers/run`.
#![expect(
    unsafe_code,
    reason = "there is no other way to these instructions; all of it is in this file"
)]

use super::keys::Words;
use super::walk::Forest;
use crate::rules::EntryIndex;

/// Numbers that are looked up by their places; never empty.
#[derive(Debug)]
pub(super) struct Table<T> {
    /// With one behind the last, since a look takes 32 bits.
    cells: Vec<T>,
}

impl<T: Copy + Default> Table<T> {
    pub(super) fn new(mut cells: Vec<T>) -> Self {
        cells.reserve_exact(2);
        if cells.is_empty() {
            cells.push(T::default());
        }
        cells.push(T::default());
        cells.shrink_to_fit();
        Self { cells }
    }

    /// The last place; as a signed number too, which a gather takes it for.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "elsewhere it would be a call")]
    pub(super) fn last(&self) -> u32 {
        i32::try_from(self.cells.len()).unwrap_or(i32::MAX).cast_unsigned().saturating_sub(2)
    }

    /// The numbers.
    pub(super) fn numbers(&self) -> &[T] {
        self.cells.split_last().map_or(&[], |(_, numbers)| numbers)
    }

    /// The numbers, to be changed.
    pub(super) fn numbers_mut(&mut self) -> &mut [T] {
        self.cells.split_last_mut().map_or(&mut [], |(_, numbers)| numbers)
    }

    /// What a look costs.
    pub(super) fn cost(&self) -> usize {
        look_cost(self.memory_usage())
    }

    pub(super) fn memory_usage(&self) -> usize {
        size_of_val(self.cells.as_slice())
    }
}

/// More packets than this are never side by side.
pub(super) const MOST_LANES: usize = 64;

/// What a look into so many bytes costs, by how far memory has to be fetched: so many times 0.05 ns, about.
pub(super) fn look_cost(bytes: usize) -> usize {
    3 + (bytes >> 14).max(1).ilog2() as usize
}

/// Packets side by side. Who has a value of it may use the instructions that it is made of.
pub(super) trait Lanes: Copy {
    /// A number of each packet.
    type Numbers: Copy;
    /// How many packets.
    const COUNT: usize;

    /// The same number for all.
    fn all(self, number: u32) -> Self::Numbers;
    /// Each one's own.
    fn each(self, number: impl Fn(usize) -> u32) -> Self::Numbers;
    /// A word of each key; there are [`Lanes::COUNT`] keys.
    fn words<K: Words>(self, keys: &[K], word: usize) -> Self::Numbers;
    fn add(self, a: Self::Numbers, b: Self::Numbers) -> Self::Numbers;
    fn mul(self, a: Self::Numbers, b: Self::Numbers) -> Self::Numbers;
    fn and(self, a: Self::Numbers, b: Self::Numbers) -> Self::Numbers;
    fn min(self, a: Self::Numbers, b: Self::Numbers) -> Self::Numbers;
    /// By less than 32 bits.
    fn shift_left(self, a: Self::Numbers, bits: u32) -> Self::Numbers;
    /// By less than 32 bits.
    fn shift_right(self, a: Self::Numbers, bits: u32) -> Self::Numbers;
    /// 2^`bits` further than `at` where `a` is not above `b`.
    fn further(
        self,
        at: Self::Numbers,
        bits: u32,
        a: Self::Numbers,
        b: Self::Numbers,
    ) -> Self::Numbers;
    /// What a table has at these places, which it has.
    fn look(self, table: &Table<u16>, at: Self::Numbers) -> Self::Numbers;
    /// The same.
    fn look_wide(self, table: &Table<u32>, at: Self::Numbers) -> Self::Numbers;
    /// Writes them where there is room for all.
    fn put(self, numbers: Self::Numbers, found: &mut [EntryIndex]);
}

/// One packet, by instructions that every processor has.
#[derive(Clone, Copy, Debug)]
pub(super) struct One;

#[expect(clippy::inline_always, reason = "elsewhere each instruction would be a call")]
impl Lanes for One {
    type Numbers = u32;
    const COUNT: usize = 1;

    #[inline(always)]
    fn all(self, number: u32) -> u32 {
        number
    }
    #[inline(always)]
    fn each(self, number: impl Fn(usize) -> u32) -> u32 {
        number(0)
    }
    #[inline(always)]
    fn words<K: Words>(self, keys: &[K], word: usize) -> u32 {
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
    fn further(self, at: u32, bits: u32, a: u32, b: u32) -> u32 {
        // No jump: it would be guessed wrong half the time.
        at.wrapping_add(u32::from(a <= b) << (bits & 31))
    }
    #[inline(always)]
    fn look(self, table: &Table<u16>, at: u32) -> u32 {
        table.cells.get(at as usize).copied().unwrap_or_default().into()
    }
    #[inline(always)]
    fn look_wide(self, table: &Table<u32>, at: u32) -> u32 {
        table.cells.get(at as usize).copied().unwrap_or_default()
    }
    #[inline(always)]
    fn put(self, numbers: u32, found: &mut [EntryIndex]) {
        if let Some(found) = found.first_mut() {
            *found = EntryIndex(numbers);
        }
    }
}

/// The instructions by which many packets are looked up at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// Those that every processor has: packets one after the other.
    Plain,
    /// AVX2, of most processors of the `x86_64` kind since 2013.
    Avx2,
    /// AVX-512.
    Avx512,
}

impl Instructions {
    /// Those that this processor has, the best last.
    pub fn available() -> impl DoubleEndedIterator<Item = Self> {
        [Self::Plain, Self::Avx2, Self::Avx512].into_iter().filter(|of| of.are_available())
    }

    /// The best that this processor has.
    pub fn best() -> Self {
        Self::available().next_back().unwrap_or(Self::Plain)
    }

    #[cfg(target_arch = "x86_64")]
    fn are_available(self) -> bool {
        match self {
            Self::Plain => true,
            Self::Avx2 => x86::Avx2::detect().is_some(),
            Self::Avx512 => x86::Avx512::detect().is_some(),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn are_available(self) -> bool {
        self == Self::Plain
    }

    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Avx2 => "AVX2",
            Self::Avx512 => "AVX-512",
        }
    }

    /// Walks packets; by the plain ones where the processor has not these.
    #[inline]
    pub(super) fn walk<K: Words>(self, forest: &Forest, keys: &[K], found: &mut [EntryIndex]) {
        #[cfg(target_arch = "x86_64")]
        match self {
            Self::Avx512 => {
                if let Some(lanes) = x86::Avx512::detect() {
                    return lanes.walk(forest, keys, found);
                }
            }
            Self::Avx2 => {
                if let Some(lanes) = x86::Avx2::detect() {
                    return lanes.walk(forest, keys, found);
                }
            }
            Self::Plain => {}
        }
        forest.walk_by_ones(keys, found);
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(clippy::inline_always, reason = "elsewhere each instruction would be a call")]
#[expect(clippy::indexing_slicing, reason = "four vectors, by constants")]
#[expect(clippy::cast_ptr_alignment, reason = "a gather reads from anywhere")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, __m512i, _mm_cvtsi32_si128, _mm256_add_epi32, _mm256_and_si256,
        _mm256_cmpeq_epi32, _mm256_i32gather_epi32, _mm256_loadu_si256, _mm256_max_epu32,
        _mm256_min_epu32, _mm256_mullo_epi32, _mm256_set1_epi32, _mm256_sll_epi32,
        _mm256_srl_epi32, _mm256_storeu_si256, _mm512_add_epi32, _mm512_and_si512,
        _mm512_cmple_epu32_mask, _mm512_i32gather_epi32, _mm512_loadu_si512, _mm512_mask_add_epi32,
        _mm512_mask_blend_epi32, _mm512_min_epu32, _mm512_mullo_epi32, _mm512_permutex2var_epi32,
        _mm512_set1_epi32, _mm512_setr_epi32, _mm512_sll_epi32, _mm512_srl_epi32,
        _mm512_storeu_si512,
    };

    use super::super::keys::Words;
    use super::super::walk::Forest;
    use super::{Lanes, Table};
    use crate::rules::EntryIndex;

    /// The processor has AVX-512, of which there is only a value where that was found out.
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

        pub(super) fn walk<K: Words>(self, forest: &Forest, keys: &[K], found: &mut [EntryIndex]) {
            #[target_feature(enable = "avx512f,avx512bw,avx2,bmi2")]
            fn walk<K: Words>(of: Avx512, forest: &Forest, keys: &[K], found: &mut [EntryIndex]) {
                forest.walk(of, keys, found);
            }
            // SAFETY: `Self` is only constructed by `detect`, so the target features are present.
            unsafe { walk(self, forest, keys, found) }
        }
    }

    /// The processor has AVX2, likewise.
    #[derive(Clone, Copy, Debug)]
    pub(super) struct Avx2(());

    impl Avx2 {
        #[inline]
        pub(super) fn detect() -> Option<Self> {
            let has = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2");
            has.then_some(Self(()))
        }

        pub(super) fn walk<K: Words>(self, forest: &Forest, keys: &[K], found: &mut [EntryIndex]) {
            #[target_feature(enable = "avx2,bmi2")]
            fn walk<K: Words>(of: Avx2, forest: &Forest, keys: &[K], found: &mut [EntryIndex]) {
                forest.walk(of, keys, found);
            }
            // SAFETY: `Self` is only constructed by `detect`, so the target features are present.
            unsafe { walk(self, forest, keys, found) }
        }
    }

    /// Each of the four vectors of some numbers: while one waits for memory, so do the others.
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

    impl Lanes for Avx512 {
        type Numbers = [__m512i; 4];
        const COUNT: usize = 64;

        #[inline(always)]
        fn all(self, number: u32) -> Self::Numbers {
            four!(|_n| compute!(_mm512_set1_epi32(number.cast_signed())))
        }
        #[inline(always)]
        fn each(self, number: impl Fn(usize) -> u32) -> Self::Numbers {
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
        fn words<K: Words>(self, keys: &[K], word: usize) -> Self::Numbers {
            let Some(of_v4) = K::v4(keys).and_then(|keys| keys.first_chunk::<64>()) else {
                return self.each(|lane| keys.get(lane).map_or(0, |key| key.word(word)));
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
                let in_two = compute!(_mm512_add_epi32(
                    compute!(_mm512_set1_epi32(place)),
                    first_words(self),
                ));
                let low = compute!(_mm512_permutex2var_epi32(of(0), in_two, of(1)));
                let high = compute!(_mm512_permutex2var_epi32(of(2), in_two, of(3)));
                compute!(_mm512_mask_blend_epi32(0xff00, low, high))
            })
        }
        #[inline(always)]
        fn add(self, a: Self::Numbers, b: Self::Numbers) -> Self::Numbers {
            four!(|n| compute!(_mm512_add_epi32(a[n], b[n])))
        }
        #[inline(always)]
        fn mul(self, a: Self::Numbers, b: Self::Numbers) -> Self::Numbers {
            four!(|n| compute!(_mm512_mullo_epi32(a[n], b[n])))
        }
        #[inline(always)]
        fn and(self, a: Self::Numbers, b: Self::Numbers) -> Self::Numbers {
            four!(|n| compute!(_mm512_and_si512(a[n], b[n])))
        }
        #[inline(always)]
        fn min(self, a: Self::Numbers, b: Self::Numbers) -> Self::Numbers {
            four!(|n| compute!(_mm512_min_epu32(a[n], b[n])))
        }
        #[inline(always)]
        fn shift_left(self, a: Self::Numbers, bits: u32) -> Self::Numbers {
            let bits = compute!(_mm_cvtsi32_si128(bits.cast_signed()));
            four!(|n| compute!(_mm512_sll_epi32(a[n], bits)))
        }
        #[inline(always)]
        fn shift_right(self, a: Self::Numbers, bits: u32) -> Self::Numbers {
            let bits = compute!(_mm_cvtsi32_si128(bits.cast_signed()));
            four!(|n| compute!(_mm512_srl_epi32(a[n], bits)))
        }
        #[inline(always)]
        fn further(
            self,
            at: Self::Numbers,
            bits: u32,
            a: Self::Numbers,
            b: Self::Numbers,
        ) -> Self::Numbers {
            let far = self.all(1 << bits);
            four!(|n| {
                let not_above = compute!(_mm512_cmple_epu32_mask(a[n], b[n]));
                compute!(_mm512_mask_add_epi32(at[n], not_above, at[n], far[n]))
            })
        }
        #[inline(always)]
        fn look(self, table: &Table<u16>, at: Self::Numbers) -> Self::Numbers {
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
        fn look_wide(self, table: &Table<u32>, at: Self::Numbers) -> Self::Numbers {
            let (cells, last) = (table.cells.as_ptr().cast::<i32>(), table.last().cast_signed());
            let last = compute!(_mm512_set1_epi32(last));
            four!(|n| {
                let at = compute!(_mm512_min_epu32(at[n], last));
                // SAFETY: indices are at most that of the last cell of 32 bits; `Self` is only constructed by `detect`.
                unsafe { _mm512_i32gather_epi32::<4>(at, cells) }
            })
        }
        #[inline(always)]
        fn put(self, numbers: Self::Numbers, found: &mut [EntryIndex]) {
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

    impl Lanes for Avx2 {
        type Numbers = [__m256i; 4];
        const COUNT: usize = 32;

        #[inline(always)]
        fn all(self, number: u32) -> Self::Numbers {
            four!(|_n| compute!(_mm256_set1_epi32(number.cast_signed())))
        }
        #[inline(always)]
        fn each(self, number: impl Fn(usize) -> u32) -> Self::Numbers {
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
        fn words<K: Words>(self, keys: &[K], word: usize) -> Self::Numbers {
            self.each(|lane| keys.get(lane).map_or(0, |key| key.word(word)))
        }
        #[inline(always)]
        fn add(self, a: Self::Numbers, b: Self::Numbers) -> Self::Numbers {
            four!(|n| compute!(_mm256_add_epi32(a[n], b[n])))
        }
        #[inline(always)]
        fn mul(self, a: Self::Numbers, b: Self::Numbers) -> Self::Numbers {
            four!(|n| compute!(_mm256_mullo_epi32(a[n], b[n])))
        }
        #[inline(always)]
        fn and(self, a: Self::Numbers, b: Self::Numbers) -> Self::Numbers {
            four!(|n| compute!(_mm256_and_si256(a[n], b[n])))
        }
        #[inline(always)]
        fn min(self, a: Self::Numbers, b: Self::Numbers) -> Self::Numbers {
            four!(|n| compute!(_mm256_min_epu32(a[n], b[n])))
        }
        #[inline(always)]
        fn shift_left(self, a: Self::Numbers, bits: u32) -> Self::Numbers {
            let bits = compute!(_mm_cvtsi32_si128(bits.cast_signed()));
            four!(|n| compute!(_mm256_sll_epi32(a[n], bits)))
        }
        #[inline(always)]
        fn shift_right(self, a: Self::Numbers, bits: u32) -> Self::Numbers {
            let bits = compute!(_mm_cvtsi32_si128(bits.cast_signed()));
            four!(|n| compute!(_mm256_srl_epi32(a[n], bits)))
        }
        #[inline(always)]
        fn further(
            self,
            at: Self::Numbers,
            bits: u32,
            a: Self::Numbers,
            b: Self::Numbers,
        ) -> Self::Numbers {
            let far = self.all(1 << bits);
            four!(|n| {
                let greater = compute!(_mm256_max_epu32(a[n], b[n]));
                let not_above = compute!(_mm256_cmpeq_epi32(greater, b[n]));
                compute!(_mm256_add_epi32(at[n], compute!(_mm256_and_si256(not_above, far[n]))))
            })
        }
        #[inline(always)]
        fn look(self, table: &Table<u16>, at: Self::Numbers) -> Self::Numbers {
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
        fn look_wide(self, table: &Table<u32>, at: Self::Numbers) -> Self::Numbers {
            let (cells, last) = (table.cells.as_ptr().cast::<i32>(), table.last().cast_signed());
            let last = compute!(_mm256_set1_epi32(last));
            four!(|n| {
                let at = compute!(_mm256_min_epu32(at[n], last));
                // SAFETY: indices are at most that of the last cell of 32 bits; `Self` is only constructed by `detect`.
                unsafe { _mm256_i32gather_epi32::<4>(cells, at) }
            })
        }
        #[inline(always)]
        fn put(self, numbers: Self::Numbers, found: &mut [EntryIndex]) {
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
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use proptest::prelude::*;

    use super::super::keys::{KeyV4, Words};
    use super::{Lanes, MOST_LANES, One, Table, x86};
    use crate::rules::EntryIndex;

    /// What each operation makes of the numbers.
    fn all_of<L: Lanes>(
        lanes: L,
        [a, b, at]: [&[u32]; 3],
        bits: u32,
        table: &Table<u16>,
        wide: &Table<u32>,
    ) -> Vec<Vec<u32>> {
        let each = |of: &[u32], first: usize| {
            lanes.each(|lane| of.get(first + lane).copied().unwrap_or(u32::MAX))
        };
        let operations: [&dyn Fn(usize) -> L::Numbers; 9] = [
            &|n| lanes.add(each(a, n), each(b, n)),
            &|n| lanes.mul(each(a, n), each(b, n)),
            &|n| lanes.and(each(a, n), lanes.all(bits)),
            &|n| lanes.min(each(a, n), each(b, n)),
            &|n| lanes.shift_left(each(a, n), bits),
            &|n| lanes.shift_right(each(a, n), bits),
            &|n| lanes.further(each(at, n), bits % 8, each(a, n), each(b, n)),
            &|n| lanes.look(table, each(at, n)),
            &|n| lanes.look_wide(wide, each(at, n)),
        ];
        let numbers = |of: &dyn Fn(usize) -> L::Numbers| {
            let mut found = [EntryIndex(0); MOST_LANES];
            for (place, first) in found.chunks_mut(L::COUNT).zip((0..).step_by(L::COUNT)) {
                lanes.put(of(first), place);
            }
            found.map(|number| number.0).to_vec()
        };
        operations.into_iter().map(numbers).collect()
    }

    fn words_of<L: Lanes>(lanes: L, keys: &[KeyV4], word: usize) -> Vec<u32> {
        let mut found = vec![EntryIndex(0); keys.len()];
        for (place, keys) in found.chunks_mut(L::COUNT).zip(keys.chunks(L::COUNT)) {
            lanes.put(lanes.words(keys, word), place);
        }
        found.into_iter().map(|number| number.0).collect()
    }

    /// Numbers lie at the edges of signed and unsigned ones, beside each other and anywhere.
    fn numbers() -> impl Strategy<Value = Vec<u32>> {
        let edge = prop_oneof![Just(0), Just(1_u32 << 31), Just(u32::MAX), any::<u32>()];
        let number = (edge, 0..3_u32).prop_map(|(edge, beside)| edge.wrapping_add(beside));
        prop::collection::vec(number, MOST_LANES)
    }

    // An interpreter that finds undefined behaviour takes thousands of times as long. It needs nightly:
    // MIRIFLAGS=-Zmiri-disable-isolation RUSTFLAGS=-Ctarget-feature=+avx2,+bmi2 \
    //   cargo +nightly miri test --lib compile::vector
    // It knows AVX2; of what AVX-512 has it stops at the first instruction that it does not know.
    const CASES: u32 = if cfg!(miri) { 4 } else { 2_000 };

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(CASES))]

        #[test]
        fn every_instruction_says_the_same(
            a in numbers(),
            b in numbers(),
            at in prop::collection::vec(0..8_u32, MOST_LANES),
            bits in 0..32_u32,
            cells in prop::collection::vec(any::<u16>(), 8),
            word in 0..4_usize,
        ) {
            let table = Table::new(cells);
            let wide = Table::new(a.iter().copied().take(8).collect());
            let of = [a.as_slice(), &b, &at];
            let keys: Vec<KeyV4> = a.iter().zip(&b).map(|(a, b)| KeyV4::of([*a, *b, !a, !b])).collect();
            let expected = all_of(One, of, bits, &table, &wide);
            let words: Vec<u32> = keys.iter().map(|key| key.word(word)).collect();
            if let Some(lanes) = x86::Avx2::detect() {
                prop_assert_eq!(&all_of(lanes, of, bits, &table, &wide), &expected);
                prop_assert_eq!(&words_of(lanes, &keys, word), &words);
            }
            if let Some(lanes) = x86::Avx512::detect() {
                prop_assert_eq!(&all_of(lanes, of, bits, &table, &wide), &expected);
                prop_assert_eq!(&words_of(lanes, &keys, word), &words);
            }
        }
    }
}
