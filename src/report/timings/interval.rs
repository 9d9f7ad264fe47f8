//! Confidence intervals of a ratio, by the bootstrap: the medians of samples drawn from the samples.

use serde::Serialize;

/// The bounds of a ratio.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The lower one.
    pub low: f64,
    /// The upper one.
    pub high: f64,
}

/// Ratios outside of an interval have this probability, half of it on either side. One stage in seven must not
/// be wrong in one comparison of a hundred, and the interval is looked at after every turn.
const OUTSIDE: f64 = 0.001;
/// Ratios of single values outside of [`Interval::of_values`].
const OTHER_DAY: f64 = 0.04;
const RESAMPLES: usize = 10_000;
/// Fewer values say nothing about their spread.
pub(super) const FEWEST: usize = 5;

impl Interval {
    /// Of `now / before`, for values that were not taken in pairs. `None` for too few, or for no times.
    pub(super) fn of_ratio(before: &[f64], now: &[f64]) -> Option<Self> {
        if !are_enough(before) || !are_enough(now) {
            return None;
        }
        let mut draw = Draw::new();
        let ratio = |draw: &mut Draw| draw.median(now) / draw.median(before);
        Some(Self::within((0..RESAMPLES).map(|_| ratio(&mut draw)).collect(), OUTSIDE))
    }

    /// Of the median of values: of the ratios of pairs, say.
    pub(super) fn of_median(values: &[f64]) -> Option<Self> {
        if !are_enough(values) {
            return None;
        }
        let mut draw = Draw::new();
        Some(Self::within((0..RESAMPLES).map(|_| draw.median(values)).collect(), OUTSIDE))
    }

    /// Of the ratios of single values, all but some on either side: how far medians may be apart on another day, as
    /// far as the values of one day tell.
    pub(super) fn of_values(before: &[f64], now: &[f64]) -> Option<Self> {
        if !are_enough(before) || !are_enough(now) {
            return None;
        }
        let ratios = before.iter().flat_map(|before| now.iter().map(move |now| now / before));
        Some(Self::within(ratios.collect(), OTHER_DAY))
    }

    /// The same of other units.
    pub(super) fn over(self, unit: f64) -> Self {
        Self { low: self.low / unit, high: self.high / unit }
    }

    /// The smallest interval that holds both.
    pub(super) fn with(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    /// All but a part of the values, half of it on either side.
    fn within(mut drawn: Vec<f64>, part: f64) -> Self {
        drawn.sort_unstable_by(f64::total_cmp);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a few of the values"
        )]
        let outside = (drawn.len() as f64 * part / 2.0) as usize;
        let at = |position: usize| drawn.get(position).copied().unwrap_or(f64::NAN);
        Self { low: at(outside), high: at(drawn.len().saturating_sub(outside + 1)) }
    }
}

fn are_enough(values: &[f64]) -> bool {
    values.len() >= FEWEST && values.iter().all(|value| value.is_finite() && *value > 0.0)
}

/// The value in the middle; the mean of the two there are of an even number.
pub(super) fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    let is_even = values.len().is_multiple_of(2);
    if values.is_empty() {
        return None;
    }
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let lower = below.iter().copied().max_by(f64::total_cmp);
    Some(lower.filter(|_| is_even).map_or(*upper, |lower| f64::midpoint(lower, *upper)))
}

/// Draws values at random, in the same order each time: the same samples give the same words.
struct Draw {
    state: u64,
    drawn: Vec<f64>,
}

impl Draw {
    fn new() -> Self {
        Self { state: 0, drawn: Vec::new() }
    }

    /// The median of as many values, drawn with replacement.
    fn median(&mut self, values: &[f64]) -> f64 {
        self.drawn.clear();
        for _ in 0..values.len() {
            let value = values.get(self.below(values.len())).copied();
            self.drawn.extend(value);
        }
        median(&mut self.drawn).unwrap_or(f64::NAN)
    }

    /// A number below a bound, of splitmix64. The bound is so small that none is likelier than the others.
    fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from((u128::from(mixed) * bound as u128) >> 64).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0]), Some(3.0));
        assert_eq!(median(&mut [3.0, 1.0]), Some(2.0));
        assert_eq!(median(&mut [9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut [9.0, 1.0, 2.0, 4.0]), Some(3.0));
    }

    #[test]
    fn an_interval_is_as_wide_as_the_spread_allows() {
        let few = [1.0, 1.1, 0.9, 1.05];
        assert_eq!(Interval::of_median(&few), None);
        assert_eq!(Interval::of_median(&[1.0, 1.0, 0.0, 1.0, 1.0]), None, "no time at all");
        let same = Interval::of_median(&[1.2; 8]).unwrap();
        assert_eq!(same, Interval { low: 1.2, high: 1.2 });
        // An outlier moves no bound beyond its neighbours once there are enough values.
        let mut values: Vec<f64> = (0..30).map(|n| 1.0 + f64::from(n) * 0.001).collect();
        let narrow = Interval::of_median(&values).unwrap();
        assert!(1.0 < narrow.low && narrow.low < 1.0145 && 1.0145 < narrow.high, "{narrow:?}");
        values.push(50.0);
        assert!(Interval::of_median(&values).unwrap().high < 1.03);
    }

    /// More values make the interval of the median narrower, that of the values not.
    #[test]
    fn values_of_another_day_are_as_far_apart_as_those_of_one() {
        let values: Vec<f64> = (0..100).map(|n| 1.0 + f64::from(n) * 0.002).collect();
        let median = Interval::of_ratio(&values, &values).unwrap();
        let single = Interval::of_values(&values, &values).unwrap();
        assert!(single.low < 0.9 && median.low > 0.9 && median.high < 1.1 && single.high > 1.1);
        assert_eq!(median.with(single), single);
        assert!((single.over(2.0).low * 2.0 - single.low).abs() < 1e-12);
    }

    #[test]
    fn the_same_samples_give_the_same_interval() {
        let before = [10.0, 11.0, 10.5, 12.0, 10.2, 10.9];
        let now = [11.0, 12.0, 11.5, 13.5, 11.1, 11.9];
        let found = Interval::of_ratio(&before, &now).unwrap();
        assert_eq!(Interval::of_ratio(&before, &now).unwrap(), found);
        assert!(found.low < 1.09 && 1.09 < found.high, "{found:?}");
    }
}
