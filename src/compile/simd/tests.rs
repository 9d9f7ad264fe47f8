//! Every set of instructions computes what the scalar ones do.

use proptest::prelude::*;

use super::{Lanes, MAX_LANES, Scalar, Table, avx2::Avx2, avx512::Avx512};
use crate::compile::axes::{KeyV4, KeyWords};
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
        lanes.fill(|lane| of.get(first + lane).copied().unwrap_or(u32::MAX))
    };
    let operations: [&dyn Fn(usize) -> L::Vector; 9] = [
        &|n| lanes.add(each(a, n), each(b, n)),
        &|n| lanes.mul(each(a, n), each(b, n)),
        &|n| lanes.and(each(a, n), lanes.splat(bits)),
        &|n| lanes.min(each(a, n), each(b, n)),
        &|n| lanes.shift_left(each(a, n), bits),
        &|n| lanes.shift_right(each(a, n), bits),
        &|n| lanes.step_if_le(each(at, n), bits % 8, each(a, n), each(b, n)),
        &|n| lanes.gather(table, each(at, n)),
        &|n| lanes.gather_wide(wide, each(at, n)),
    ];
    let numbers = |of: &dyn Fn(usize) -> L::Vector| {
        let mut found = [EntryIndex(0); MAX_LANES];
        for (place, first) in found.chunks_mut(L::LANES).zip((0..).step_by(L::LANES)) {
            lanes.store(of(first), place);
        }
        found.map(|number| number.0).to_vec()
    };
    operations.into_iter().map(numbers).collect()
}

fn words_of<L: Lanes>(lanes: L, keys: &[KeyV4], word: usize) -> Vec<u32> {
    let mut found = vec![EntryIndex(0); keys.len()];
    for (place, keys) in found.chunks_mut(L::LANES).zip(keys.chunks(L::LANES)) {
        lanes.store(lanes.load_word(keys, word), place);
    }
    found.into_iter().map(|number| number.0).collect()
}

/// Vector lie at the edges of signed and unsigned ones, beside each other and anywhere.
fn numbers() -> impl Strategy<Value = Vec<u32>> {
    let edge = prop_oneof![Just(0), Just(1_u32 << 31), Just(u32::MAX), any::<u32>()];
    let number = (edge, 0..3_u32).prop_map(|(edge, beside)| edge.wrapping_add(beside));
    prop::collection::vec(number, MAX_LANES)
}

// An interpreter that finds undefined behaviour takes thousands of times as long. It needs nightly:
// MIRIFLAGS=-Zmiri-disable-isolation RUSTFLAGS=-Ctarget-feature=+avx2,+bmi2 \
//   cargo +nightly miri test --lib compile::simd
// It knows AVX2; of what AVX-512 has it stops at the first instruction that it does not know.
const CASES: u32 = if cfg!(miri) { 4 } else { 2_000 };

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn every_instruction_says_the_same(
        a in numbers(),
        b in numbers(),
        at in prop::collection::vec(0..8_u32, MAX_LANES),
        bits in 0..32_u32,
        cells in prop::collection::vec(any::<u16>(), 8),
        word in 0..4_usize,
    ) {
        let table = Table::new(cells);
        let wide = Table::new(a.iter().copied().take(8).collect());
        let of = [a.as_slice(), &b, &at];
        let keys: Vec<KeyV4> = a.iter().zip(&b).map(|(a, b)| KeyV4::from_words([*a, *b, !a, !b])).collect();
        let expected = all_of(Scalar, of, bits, &table, &wide);
        let words: Vec<u32> = keys.iter().map(|key| key.word(word)).collect();
        if let Some(lanes) = Avx2::detect() {
            prop_assert_eq!(&all_of(lanes, of, bits, &table, &wide), &expected);
            prop_assert_eq!(&words_of(lanes, &keys, word), &words);
        }
        if let Some(lanes) = Avx512::detect() {
            prop_assert_eq!(&all_of(lanes, of, bits, &table, &wide), &expected);
            prop_assert_eq!(&words_of(lanes, &keys, word), &words);
        }
    }
}
