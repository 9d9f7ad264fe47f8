//! The cost of the stages of a replay on somebody's own rules and traffic.

mod circumstances;
mod compare;
mod interval;

use serde::{Deserialize, Serialize};

use super::{SCHEMA, text};
use crate::escape::{Text, push_line};
pub use circumstances::{Build, Machine};
pub use compare::{Bound, Change, Metric, Order, Outcome};
pub use interval::Interval;
use interval::median;

/// The version of the format of saved measurements. The first had no number and no samples.
const FORMAT: u32 = 2;

/// The clock that a stage is measured by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The CPU time of the one thread that does the work.
    #[default]
    Thread,
    /// The CPU time of all threads.
    Process,
    /// The time on the wall.
    Wall,
}

impl Clock {
    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Thread => "thread CPU",
            Self::Process => "process CPU",
            Self::Wall => "wall",
        }
    }
}

/// The samples of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name.
    pub stage: String,
    /// The clock of the samples.
    #[serde(default)]
    pub clock: Clock,
    /// The fastest sample.
    pub ns_per_packet: f64,
    /// The median of the processes, each of which counts with its fastest sample.
    pub median_ns_per_packet: f64,
    /// The median of the processes, where the machine counts instructions.
    #[serde(default)]
    pub instructions_per_packet: Option<f64>,
    /// ns a packet: a list for each process.
    #[serde(default)]
    pub samples: Vec<Vec<f64>>,
    /// Instructions a packet, likewise; empty where the machine does not count them.
    #[serde(default)]
    pub instructions: Vec<Vec<f64>>,
}

impl Stage {
    /// The samples of one process.
    pub fn new(
        stage: &str,
        clock: Clock,
        samples: Vec<f64>,
        instructions: Option<Vec<f64>>,
    ) -> Self {
        let mut stage = Self {
            stage: stage.to_owned(),
            clock,
            ns_per_packet: 0.0,
            median_ns_per_packet: 0.0,
            instructions_per_packet: None,
            samples: vec![samples],
            instructions: instructions.into_iter().collect(),
        };
        stage.sum_up();
        stage
    }

    /// Adds the samples of another process.
    fn add(&mut self, other: Self) {
        self.samples.extend(other.samples);
        // A counter that others use in turns counts in some processes only; the rest is then no measurement.
        self.instructions.extend(other.instructions);
        self.sum_up();
    }

    fn sum_up(&mut self) {
        let mut values = self.values(Metric::Slower);
        self.ns_per_packet = values.iter().copied().min_by(f64::total_cmp).unwrap_or_default();
        self.median_ns_per_packet = median(&mut values).unwrap_or_default();
        self.instructions_per_packet = median(&mut self.values(Metric::Instructions));
    }

    /// A value for each process: its fastest sample. Whatever else the machine does only ever adds to a sample.
    fn values(&self, metric: Metric) -> Vec<f64> {
        let samples = match metric {
            Metric::Slower | Metric::Elapsed => &self.samples,
            Metric::Instructions => &self.instructions,
        };
        samples.iter().filter_map(|of| of.iter().copied().min_by(f64::total_cmp)).collect()
    }

    /// Half of the range of the middle half of the processes, relative to their median.
    fn spread(&self) -> f64 {
        let mut values = self.values(Metric::Slower);
        values.sort_by(f64::total_cmp);
        let at = |quarter: usize| values.get(values.len() * quarter / 4).copied();
        let (Some(low), Some(high)) = (at(1), at(3)) else { return 0.0 };
        if self.median_ns_per_packet > 0.0 {
            (high - low) / 2.0 / self.median_ns_per_packet
        } else {
            0.0
        }
    }
}

/// The keys of `bench -f json`, and of `bench --save`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    schema: u32,
    /// The format of a saved measurement.
    #[serde(default)]
    format: u32,
    version: String,
    /// The rules file, as the user named it.
    pub rules: String,
    /// The captures.
    pub captures: Vec<String>,
    /// Their packets.
    pub packets: u64,
    /// The packets' bytes on the wire.
    pub bytes: u64,
    /// Threads of the stages `all` and `elapsed`.
    pub threads: usize,
    /// The processes that took samples.
    pub runs: usize,
    /// Entries of all interfaces in both directions.
    pub entries: usize,
    /// How they are indexed.
    pub index: Vec<String>,
    /// Bytes that the indexes take.
    pub index_memory: usize,
    /// The time that the fastest build of them took.
    pub build_ns: u64,
    /// The machine.
    #[serde(default)]
    pub machine: Machine,
    /// The program.
    #[serde(default)]
    pub build: Build,
    /// In the order of a packet's way.
    pub stages: Vec<Stage>,
    /// Loops whose time depends on the machine alone: ns a step.
    #[serde(default)]
    pub calibration: Vec<Stage>,
}

/// Why a file or another program gives no [`Timings`] to compare with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotComparable {
    /// Not written by `bench --save`.
    #[error("is not what `bench --save` writes: {0}")]
    NotSaved(String),
    /// Written by a later version.
    #[error("is a measurement in format {0}; this version reads formats up to {FORMAT}")]
    LaterFormat(u32),
    /// The traffic is another.
    #[error(
        "was measured with {before}, and this run with {now}; ns a packet of one say nothing of the other"
    )]
    OtherTraffic {
        /// Packets and bytes then.
        before: String,
        /// Packets and bytes now.
        now: String,
    },
}

impl Timings {
    /// Nothing measured yet.
    pub fn new(rules: String, captures: Vec<String>, threads: usize) -> Self {
        Self {
            schema: SCHEMA,
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            rules,
            captures,
            packets: 0,
            bytes: 0,
            threads,
            runs: 1,
            entries: 0,
            index: Vec::new(),
            index_memory: 0,
            build_ns: 0,
            machine: Machine::default(),
            build: Build::default(),
            stages: Vec::new(),
            calibration: Vec::new(),
        }
    }

    /// Reads what was saved.
    ///
    /// # Errors
    /// When the text is no such measurement, or of a later version.
    pub fn saved(text: &str) -> Result<Self, NotComparable> {
        #[derive(Deserialize)]
        struct Versioned {
            #[serde(default)]
            format: u32,
        }
        let not_saved = |error: serde_json::Error| NotComparable::NotSaved(error.to_string());
        // The keys of a later format may be others: its number is read first.
        let Versioned { format } = serde_json::from_str(text).map_err(not_saved)?;
        if format > FORMAT {
            return Err(NotComparable::LaterFormat(format));
        }
        serde_json::from_str(text).map_err(not_saved)
    }

    /// Adds what another process measured.
    ///
    /// # Errors
    /// When that is of other traffic: the captures were changed in between.
    pub fn add(&mut self, turn: Self) -> Result<(), NotComparable> {
        self.is_same_traffic(&turn)?;
        self.runs += turn.runs;
        self.build_ns = self.build_ns.min(turn.build_ns);
        let stages = turn.stages.into_iter().map(|stage| (true, stage));
        for (is_stage, of) in stages.chain(turn.calibration.into_iter().map(|of| (false, of))) {
            let known = if is_stage { &mut self.stages } else { &mut self.calibration };
            match known.iter_mut().find(|stage| stage.stage == of.stage) {
                Some(stage) => stage.add(of),
                None => known.push(of),
            }
        }
        Ok(())
    }

    fn is_same_traffic(&self, before: &Self) -> Result<(), NotComparable> {
        if (before.packets, before.bytes) == (self.packets, self.bytes) {
            return Ok(());
        }
        Err(NotComparable::OtherTraffic { before: before.traffic(), now: self.traffic() })
    }

    /// Whether there are samples and not only their sum: the first format had none.
    pub fn has_samples(&self) -> bool {
        self.stages.iter().any(|stage| stage.samples.iter().any(|samples| !samples.is_empty()))
    }

    /// The widest spread of a stage by CPU time, relative to its time.
    pub fn spread(&self) -> f64 {
        let by_cpu = self.stages.iter().filter(|stage| stage.clock != Clock::Wall);
        by_cpu.map(Stage::spread).fold(0.0, f64::max)
    }

    fn traffic(&self) -> String {
        format!("{} of {}", text::plural(self.packets, "packet"), text::bytes(self.bytes))
    }

    /// The median of a stage in ns a packet, if it was measured.
    pub fn ns_per_packet(&self, stage: &str) -> Option<f64> {
        let found = self.stages.iter().find(|found| found.stage == stage);
        found.map(|found| found.median_ns_per_packet)
    }

    /// For people, beside the changes from an earlier measurement if there is one.
    pub fn text(&self, changes: &[Change]) -> Text {
        let mut out = Text::default();
        push_line!(out, "traffic  {}: {}", self.captures.join(", "), self.traffic());
        push_line!(
            out,
            "rules    {}: {} entries, indexed as {} in {}, built in {} µs",
            self.rules,
            text::count(self.entries as u64),
            self.index.join(" and "),
            text::bytes(self.index_memory as u64),
            text::count(self.build_ns / 1_000),
        );
        push_line!(out, "machine  {}", self.machine.text());
        push_line!(out, "program  {}", self.build.text());
        let samples = self.stages.first().map_or(0, |stage| stage.samples.iter().flatten().count());
        push_line!(
            out,
            "samples  {} a stage, from {}",
            text::count(samples as u64),
            if self.runs == 1 {
                "1 process".to_owned()
            } else {
                format!("{} processes", self.runs)
            },
        );
        push_line!(out);
        out.append(&super::table::table(&self.rows()));
        if !changes.is_empty() {
            push_line!(out);
            out.append(&compare::text(changes));
        }
        if let (Some(list), Some(index), Some(batch)) = (
            self.ns_per_packet("list"),
            self.ns_per_packet("index"),
            self.ns_per_packet("index, batch"),
        ) {
            push_line!(out);
            push_line!(
                out,
                "the index is {:.1} times as fast as the list, in batches {:.1} times",
                list / index,
                list / batch,
            );
        }
        out
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let counted = self.stages.iter().any(|stage| stage.instructions_per_packet.is_some());
        let mut header = vec!["", "ns/packet", "spread", "fastest", "packets/s", "clock"];
        if counted {
            header.push("instructions");
        }
        let mut rows = vec![header.into_iter().map(str::to_owned).collect::<Vec<_>>()];
        for stage in &self.stages {
            let ns = stage.median_ns_per_packet;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a positive number of packets, for people"
            )]
            let rate = if ns > 0.0 { (1e9 / ns) as u64 } else { 0 };
            let mut row = vec![
                stage.stage.clone(),
                format!("{ns:.1}"),
                format!("± {:.1} %", stage.spread() * 100.0),
                format!("{:.1}", stage.ns_per_packet),
                text::count(rate),
                stage.clock.as_str().to_owned(),
            ];
            if counted {
                let count = |count: f64| format!("{count:.1}");
                row.push(stage.instructions_per_packet.map(count).unwrap_or_default());
            }
            rows.push(row);
        }
        rows
    }
}
