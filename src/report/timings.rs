//! What the stages of a replay take on somebody's own rules and traffic.

use serde::{Deserialize, Serialize};

use super::{SCHEMA, text};
use crate::escape::{Text, push_line};

/// How long a stage takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name.
    pub stage: String,
    /// Of the fastest run. Whatever else the machine does only ever adds to it, so this is what is compared.
    pub ns_per_packet: f64,
    /// Of the run in the middle: far from the fastest, it says that the machine was busy.
    pub median_ns_per_packet: f64,
}

impl Stage {
    /// Of what several runs took.
    pub fn new(stage: &str, mut ns_per_packet: Vec<f64>) -> Self {
        ns_per_packet.sort_by(f64::total_cmp);
        let at = |position: usize| ns_per_packet.get(position).copied().unwrap_or_default();
        Self {
            stage: stage.to_owned(),
            ns_per_packet: at(0),
            median_ns_per_packet: at(ns_per_packet.len() / 2),
        }
    }
}

/// The keys of `bench -f json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    schema: u32,
    version: String,
    /// The rules file, as the user named it.
    pub rules: String,
    /// The captures.
    pub captures: Vec<String>,
    /// Their packets.
    pub packets: u64,
    /// The packets' bytes on the wire.
    pub bytes: u64,
    /// Threads of the stage `all`.
    pub threads: usize,
    /// How often everything was run.
    pub runs: usize,
    /// Entries of all interfaces in both directions.
    pub entries: usize,
    /// How they are indexed.
    pub index: Vec<String>,
    /// Bytes that the indexes take.
    pub index_memory: usize,
    /// How long the fastest build of them took.
    pub build_ns: u64,
    /// In the order of a packet's way.
    pub stages: Vec<Stage>,
}

/// What stands in a file that is no saved [`Timings`], or of another capture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotComparable {
    /// Not written by `bench --save`.
    #[error("is not what `bench --save` writes: {0}")]
    NotSaved(String),
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

/// A stage in two measurements.
#[derive(Clone, Debug, PartialEq)]
pub struct StageChange {
    /// Its name.
    pub stage: String,
    /// ns a packet then, and now.
    pub ns_per_packet: [f64; 2],
}

impl StageChange {
    /// How much slower it has become, in percent; negative when it has become faster.
    pub fn percent_slower(&self) -> f64 {
        let [before, now] = self.ns_per_packet;
        if before > 0.0 { (now / before - 1.0) * 100.0 } else { 0.0 }
    }
}

impl Timings {
    /// Nothing measured yet.
    pub fn new(rules: String, captures: Vec<String>, threads: usize, runs: usize) -> Self {
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            rules,
            captures,
            packets: 0,
            bytes: 0,
            threads,
            runs,
            entries: 0,
            index: Vec::new(),
            index_memory: 0,
            build_ns: 0,
            stages: Vec::new(),
        }
    }

    /// Reads what was saved.
    ///
    /// # Errors
    /// When the text is no such measurement.
    pub fn saved(text: &str) -> Result<Self, NotComparable> {
        serde_json::from_str(text).map_err(|error| NotComparable::NotSaved(error.to_string()))
    }

    /// Holds them against an earlier measurement.
    ///
    /// # Errors
    /// When that is of other traffic.
    pub fn compare(&self, before: &Self) -> Result<Vec<StageChange>, NotComparable> {
        if (before.packets, before.bytes) != (self.packets, self.bytes) {
            let (before, now) = (before.traffic(), self.traffic());
            return Err(NotComparable::OtherTraffic { before, now });
        }
        let find = |name: &str| before.stages.iter().find(|stage| stage.stage == name);
        let change = |now: &Stage| {
            Some(StageChange {
                stage: now.stage.clone(),
                ns_per_packet: [find(&now.stage)?.ns_per_packet, now.ns_per_packet],
            })
        };
        Ok(self.stages.iter().filter_map(change).collect())
    }

    fn traffic(&self) -> String {
        format!("{} of {}", text::plural(self.packets, "packet"), text::bytes(self.bytes))
    }

    /// ns a packet of a stage, if it was measured.
    pub fn ns_per_packet(&self, stage: &str) -> Option<f64> {
        let found = self.stages.iter().find(|found| found.stage == stage);
        found.map(|found| found.ns_per_packet)
    }

    /// For people, beside an earlier measurement if there is one.
    pub fn text(&self, changes: &[StageChange]) -> Text {
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
        push_line!(out, "runs     {}; the fastest counts", self.runs);
        let ns = |ns: f64| format!("{ns:.1}");
        let mut header = vec!["", "ns/packet", "median", "packets/s"];
        if !changes.is_empty() {
            header.extend(["before", "change"]);
        }
        let mut rows = vec![header.into_iter().map(str::to_owned).collect::<Vec<_>>()];
        for Stage { stage, ns_per_packet, median_ns_per_packet } in &self.stages {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a positive number of packets, for people"
            )]
            let rate = if *ns_per_packet > 0.0 { (1e9 / ns_per_packet) as u64 } else { 0 };
            let mut row = vec![
                stage.clone(),
                ns(*ns_per_packet),
                ns(*median_ns_per_packet),
                text::count(rate),
            ];
            if let Some(change) = changes.iter().find(|change| change.stage == *stage) {
                row.push(ns(change.ns_per_packet[0]));
                row.push(format!("{:+.1} %", change.percent_slower()));
            }
            rows.push(row);
        }
        push_line!(out);
        out.append(&super::table::table(&rows));
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timings(decode: f64) -> Timings {
        let mut timings = Timings::new("r.yaml".to_owned(), vec!["c.pcap".to_owned()], 2, 3);
        timings.packets = 10;
        timings.stages = vec![Stage::new("decode", vec![decode + 2.0, decode, decode + 1.0])];
        timings
    }

    #[test]
    fn the_fastest_run_is_compared() {
        let saved = serde_json::to_string(&timings(20.0)).unwrap();
        let changes = timings(22.0).compare(&Timings::saved(&saved).unwrap()).unwrap();
        assert_eq!(changes.len(), 1);
        assert!((changes[0].percent_slower() - 10.0).abs() < 1e-9);
        assert!((timings(22.0).stages[0].median_ns_per_packet - 23.0).abs() < 1e-9);
    }

    #[test]
    fn other_traffic_is_not_compared() {
        let mut other = timings(20.0);
        other.packets = 11;
        let found = timings(20.0).compare(&other);
        assert!(matches!(found, Err(NotComparable::OtherTraffic { .. })), "{found:?}");
        assert!(matches!(Timings::saved("[]"), Err(NotComparable::NotSaved(_))));
    }
}
