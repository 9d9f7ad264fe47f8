//! Two measurements held against each other: a stage is slower, is not, or the samples do not tell.

use serde::Serialize;

use super::interval::{FEWEST, Interval};
use super::{Clock, NotComparable, Stage, Timings};
use crate::escape::{Text, push_line};
use crate::report::{table, text};

/// The figure of a stage that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// CPU time, of the stages that are measured by it.
    Slower,
    /// The time on the wall of the whole replay.
    Elapsed,
    /// User-space instructions.
    Instructions,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Slower, Self::Elapsed, Self::Instructions];

    /// The name on the command line and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slower => "slower",
            Self::Elapsed => "elapsed",
            Self::Instructions => "instructions",
        }
    }

    fn is_of(self, clock: Clock) -> bool {
        match self {
            Self::Slower | Self::Instructions => clock != Clock::Wall,
            Self::Elapsed => clock == Clock::Wall,
        }
    }
}

/// How much more of a metric is too much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// The metric.
    pub metric: Metric,
    /// In percent of the earlier measurement.
    pub percent: f64,
}

/// The answer about a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The whole interval is beyond the bound.
    Slower,
    /// The whole interval is within the bound.
    NotSlower,
    /// The bound is inside the interval, or there is no interval.
    CannotTell,
}

impl Outcome {
    /// The words in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slower => "slower",
            Self::NotSlower => "not slower",
            Self::CannotTell => "cannot tell",
        }
    }
}

/// A stage in two measurements.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Its name.
    pub stage: String,
    /// The figure that is compared.
    pub metric: Metric,
    /// The bound in percent.
    pub bound: f64,
    /// The median before, a packet.
    pub before: Option<f64>,
    /// The median now.
    pub now: Option<f64>,
    /// The ratio of now to before lies in here with a confidence of 99.9 %.
    pub ratio: Option<Interval>,
    /// The answer.
    pub outcome: Outcome,
    /// Why there is no interval.
    pub reason: Option<String>,
}

/// Stages that need little memory but the index's. The others share caches, memory and the kernel with whatever else
/// the machine does, so that their times drift for minutes.
const IN_OWN_CACHE: [&str; 3] = ["decode", "index", "index, batch"];
/// Bytes of the smallest cache of one core's own, second level, among processors of today.
const OWN_CACHE: usize = 512 << 10;

/// How two measurements were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One after the other, maybe days apart.
    Apart,
    /// In turns: the processes of both in pairs.
    InTurns,
}

impl Timings {
    /// Holds them against an earlier or another measurement, by each bound.
    ///
    /// # Errors
    /// When that is of other traffic.
    pub fn compare(
        &self,
        before: &Self,
        order: Order,
        bounds: &[Bound],
    ) -> Result<Vec<Change>, NotComparable> {
        self.is_same_traffic(before)?;
        let mut changes = Vec::new();
        for bound in bounds {
            for stage in self.stages.iter().filter(|stage| bound.metric.is_of(stage.clock)) {
                let found = before.stages.iter().find(|found| found.stage == stage.stage);
                let ratio = self.ratio(before, order, bound.metric, stage, found);
                changes.push(Change::new(*bound, stage, found, ratio));
            }
            let is_gone = |of: &&Stage| {
                bound.metric.is_of(of.clock) && self.stages.iter().all(|now| now.stage != of.stage)
            };
            for stage in before.stages.iter().filter(is_gone) {
                let ratio = Err("not measured now".to_owned());
                changes
                    .push(Change { now: None, ..Change::new(*bound, stage, Some(stage), ratio) });
            }
        }
        Ok(changes)
    }

    /// The interval of the ratio, or why there is none.
    fn ratio(
        &self,
        before: &Self,
        order: Order,
        metric: Metric,
        now: &Stage,
        then: Option<&Stage>,
    ) -> Result<Interval, String> {
        let then = then.ok_or("not measured before")?;
        let [old, new] = [then.values(metric), now.values(metric)];
        if metric == Metric::Instructions {
            for (values, when) in [(&old, "before"), (&new, "now")] {
                if values.is_empty() {
                    return Err(format!("instructions were not counted {when}"));
                }
            }
        }
        if old.is_empty() {
            return Err("the saved measurement has no samples".to_owned());
        }
        if then.clock != now.clock {
            return Err("measured by another clock before".to_owned());
        }
        if now.clock != Clock::Thread && before.threads != self.threads {
            return Err(format!("{} before, {} now", threads(before), threads(self)));
        }
        let fewest = old.len().min(new.len());
        if fewest < FEWEST {
            let found = text::count(fewest as u64);
            return Err(format!("samples of {FEWEST} processes are needed, there are {found}"));
        }
        let interval = match order {
            Order::InTurns => {
                let pairs = old.iter().zip(&new).map(|(old, new)| new / old);
                Interval::of_median(&pairs.collect::<Vec<_>>())
            }
            Order::Apart => self.ratio_apart(before, metric, &now.stage, [&old, &new]),
        };
        interval.ok_or_else(|| "a sample took no time".to_owned())
    }
}

impl Timings {
    /// The interval of measurements of different days. The clock rate may have changed in between by as much as the
    /// calibration loop says, and memory by as much as single processes differ; instructions are the same ones.
    fn ratio_apart(
        &self,
        before: &Self,
        metric: Metric,
        stage: &str,
        [old, new]: [&[f64]; 2],
    ) -> Option<Interval> {
        let mut ratio = Interval::of_ratio(old, new)?;
        if metric == Metric::Instructions {
            return Some(ratio);
        }
        let index_memory = self.index_memory.max(before.index_memory);
        if !IN_OWN_CACHE.contains(&stage) || index_memory > OWN_CACHE {
            ratio = ratio.with(Interval::of_values(old, new)?);
        }
        let mut known = self.calibration.iter().filter_map(|now| {
            let then = before.calibration.iter().find(|then| then.stage == now.stage)?;
            let grown = now.median_ns_per_packet / then.median_ns_per_packet;
            (grown.is_finite() && grown > 0.0).then_some(grown)
        });
        Some(known.next().map_or(ratio, |grown| ratio.with(ratio.over(grown))))
    }
}

fn threads(of: &Timings) -> String {
    text::plural(of.threads as u64, "thread")
}

impl Change {
    fn new(
        bound: Bound,
        now: &Stage,
        before: Option<&Stage>,
        ratio: Result<Interval, String>,
    ) -> Self {
        let of = |stage: &Stage| match bound.metric {
            Metric::Instructions => stage.instructions_per_packet,
            Metric::Slower | Metric::Elapsed => Some(stage.median_ns_per_packet),
        };
        let (ratio, reason) = match ratio {
            Ok(interval) => (Some(interval), None),
            Err(reason) => (None, Some(reason)),
        };
        let limit = 1.0 + bound.percent / 100.0;
        let outcome = match ratio {
            Some(Interval { low, .. }) if low > limit => Outcome::Slower,
            Some(Interval { high, .. }) if high <= limit => Outcome::NotSlower,
            _ => Outcome::CannotTell,
        };
        Self {
            stage: now.stage.clone(),
            metric: bound.metric,
            bound: bound.percent,
            before: before.and_then(of),
            now: of(now),
            ratio,
            outcome,
            reason,
        }
    }
}

impl Change {
    /// Whether more samples may give an answer.
    pub fn needs_samples(&self) -> bool {
        self.outcome == Outcome::CannotTell && self.reason.is_none()
    }

    /// The stage, with the metric where that is not time.
    pub fn name(&self) -> String {
        match self.metric {
            Metric::Slower | Metric::Elapsed => self.stage.clone(),
            Metric::Instructions => format!("{} (instructions)", self.stage),
        }
    }
}

/// A line for each change.
pub(super) fn text(changes: &[Change]) -> Text {
    let header = ["", "before", "now", "change", "99.9 % interval", "bound", ""];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let percent = |ratio: f64| format!("{:+.1} %", (ratio - 1.0) * 100.0);
    let number = |of: Option<f64>| of.map(|of| format!("{of:.1}")).unwrap_or_default();
    for change in changes {
        let Change { metric, bound, before, now, ratio, outcome, .. } = change;
        let grown = match (before, now) {
            (Some(before), Some(now)) if *before > 0.0 => percent(now / before),
            _ => String::new(),
        };
        rows.push(vec![
            change.name(),
            number(*before),
            number(*now),
            grown,
            ratio.map_or_else(String::new, |Interval { low, high }| {
                format!("{} to {}", percent(low), percent(high))
            }),
            format!("{bound} %"),
            match *outcome {
                Outcome::Slower if *metric == Metric::Instructions => "more".to_owned(),
                Outcome::NotSlower if *metric == Metric::Instructions => "not more".to_owned(),
                of => of.as_str().to_owned(),
            },
        ]);
    }
    let mut out = table(&rows);
    for change in changes {
        if let Some(reason) = &change.reason {
            push_line!(out, "cannot tell about {}: {reason}", change.stage);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Bound = Bound { metric: Metric::Slower, percent: 10.0 };

    /// A measurement of `session`, by processes of one sample each.
    fn timings(samples: &[f64], loops: f64) -> Timings {
        of_stage("session", samples, loops)
    }

    fn of_stage(stage: &str, samples: &[f64], loops: f64) -> Timings {
        let mut timings = Timings::new("r.yaml".to_owned(), vec!["c.pcap".to_owned()], 2);
        timings.packets = 10;
        for sample in samples {
            let mut turn = timings.clone();
            turn.stages = vec![Stage::new(stage, Clock::Thread, vec![*sample], None)];
            turn.calibration = vec![Stage::new("loop", Clock::Thread, vec![loops], None)];
            timings.add(turn).unwrap();
        }
        timings
    }

    fn compare(before: &Timings, now: &Timings, order: Order) -> Change {
        let mut changes = now.compare(before, order, &[BOUND]).unwrap();
        assert_eq!(changes.len(), 1);
        changes.remove(0)
    }

    /// Times that go up and down by a third, as a busy machine makes them.
    fn busy(times: f64) -> Vec<f64> {
        (0..30).map(|n| times * (20.0 + f64::from(n * 7 % 10) * 0.7)).collect()
    }

    #[test]
    fn three_answers() {
        let before = timings(&[20.0, 20.2, 19.8, 20.0, 20.2], 1.0);
        let now = |ns: f64| timings(&[ns * 1.01, ns, ns, ns * 1.01, ns * 0.99], 1.0);
        for order in [Order::Apart, Order::InTurns] {
            let of = |ns| compare(&before, &now(ns), order).outcome;
            assert_eq!(of(20.0), Outcome::NotSlower);
            assert_eq!(of(22.0), Outcome::CannotTell);
            assert_eq!(of(24.0), Outcome::Slower);
        }
    }

    /// What the machine does falls on both sides of a pair, and not on both of two days.
    #[test]
    fn in_turns_a_busy_machine_hides_nothing() {
        let (before, now) = (timings(&busy(1.0), 1.0), timings(&busy(1.15), 1.0));
        assert_eq!(compare(&before, &now, Order::InTurns).outcome, Outcome::Slower);
        assert_eq!(compare(&before, &before, Order::InTurns).outcome, Outcome::NotSlower);
        assert_eq!(compare(&before, &now, Order::Apart).outcome, Outcome::CannotTell);
    }

    /// A stage that needs no memory but the cores' own caches is told from a saved file, unless its index is too large.
    #[test]
    fn memory_makes_a_saved_file_tell_less() {
        let of = |stage: &str, index_memory: usize| {
            let [mut before, mut now] = [1.0, 1.35].map(|times| of_stage(stage, &busy(times), 1.0));
            (before.index_memory, now.index_memory) = (index_memory, index_memory);
            compare(&before, &now, Order::Apart).outcome
        };
        assert_eq!(of("index", 100_000), Outcome::Slower);
        assert_eq!(of("index", 10_000_000), Outcome::CannotTell);
        assert_eq!(of("session", 100_000), Outcome::CannotTell);
    }

    #[test]
    fn a_machine_of_another_clock_rate_is_no_slowdown() {
        let (before, now) = (timings(&[20.0; 9], 1.0), timings(&[24.0; 9], 1.2));
        let found = compare(&before, &now, Order::Apart);
        assert_eq!(found.outcome, Outcome::CannotTell);
        let Interval { low, high } = found.ratio.unwrap();
        assert!((low - 1.0).abs() < 1e-9 && (high - 1.2).abs() < 1e-9, "{low} {high}");
    }

    #[test]
    fn instructions_fail_on_their_own() {
        let counted = |count: f64| {
            let mut timings = timings(&[20.0; 9], 1.0);
            for stage in &mut timings.stages {
                stage.instructions = vec![vec![count]; 9];
            }
            timings
        };
        let bound = Bound { metric: Metric::Instructions, percent: 5.0 };
        for (now, outcome) in [(100.0, Outcome::NotSlower), (106.0, Outcome::Slower)] {
            let changes = counted(now).compare(&counted(100.0), Order::Apart, &[bound]).unwrap();
            assert_eq!(changes[0].outcome, outcome);
        }
    }

    #[test]
    fn other_traffic_is_not_compared() {
        let mut other = timings(&[20.0; 5], 1.0);
        other.packets = 11;
        let found = timings(&[20.0; 5], 1.0).compare(&other, Order::Apart, &[BOUND]);
        assert!(matches!(found, Err(NotComparable::OtherTraffic { .. })), "{found:?}");
        assert!(matches!(Timings::saved("[]"), Err(NotComparable::NotSaved(_))));
        let later = Timings::saved("{\"format\": 3}");
        assert!(matches!(later, Err(NotComparable::LaterFormat(3))), "{later:?}");
    }

    #[test]
    fn a_stage_that_only_one_side_has_is_not_told() {
        let (before, mut now) = (timings(&[20.0; 5], 1.0), timings(&[20.0; 5], 1.0));
        now.stages[0].stage = "decoding".to_owned();
        let changes = now.compare(&before, Order::Apart, &[BOUND]).unwrap();
        let reasons: Vec<_> =
            changes.iter().filter_map(|change| change.reason.as_deref()).collect();
        assert_eq!(reasons, ["not measured before", "not measured now"]);
        assert!(changes.iter().all(|change| change.outcome == Outcome::CannotTell));
    }
}
