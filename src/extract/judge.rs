//! The judgement of records, flow by flow.

use super::flows::{Flows, Step, TakesFlows};
use super::record::Record;
use super::timeline::Timeline;
use crate::collect::{Connections, Coverage, CoveragePart, Row};
use crate::error::Error;
use crate::flow::FlowTuple;
use crate::replay::{FlowReplay, Options, SHARDS, Sessions};
use crate::rules::RuleSet;
use crate::sources::Input;
use crate::stats::Partial;
use crate::suggest::{Observed, ObservedPart, Wants};
use crate::verdict::Judged;

/// Judges the packets of some of the flows.
#[derive(Debug)]
pub struct FlowJudge<'r> {
    flows: Flows<'r, Judging<'r>>,
    rules: &'r RuleSet,
}

/// What is gathered of judged packets beside their counters. By default that is rows.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// A row per connection.
    pub rows: bool,
    /// What the packets use of the rules.
    pub coverage: bool,
    /// Allowed connections, for suggestions.
    pub observed: Option<Wants>,
}

impl Default for Asked {
    fn default() -> Self {
        Self { rows: true, coverage: false, observed: None }
    }
}

/// The answers to some of the flows.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Part {
    pub(super) shards: Vec<Partial>,
    pub(super) rows: Vec<Row>,
    pub(super) coverage: Option<CoveragePart>,
    pub(super) observed: Option<ObservedPart>,
}

impl<'r> FlowJudge<'r> {
    /// Judges by rules which the extract serves.
    ///
    /// # Errors
    /// When it does not, or when the options ask for what is not judged flow by flow.
    pub fn new(
        rules: &'r RuleSet,
        timeline: &'r Timeline,
        options: Options,
    ) -> Result<Self, Error> {
        timeline.check(rules)?;
        refuse(options)?;
        let mut replay = FlowReplay::new(rules, options, timeline.openings().clone());
        if timeline.has_points() {
            replay.by_interface();
        }
        let judging = Judging {
            replay,
            connections: Some(Connections::of_part()),
            coverage: None,
            observed: None,
            shards: new_shards(),
            rows: Rows::default(),
        };
        Ok(Self { flows: Flows::new(timeline, judging), rules })
    }

    /// Gathers this of the packets.
    ///
    /// # Errors
    /// When it is not known what packets use of rules, since the captures do not follow each other.
    pub fn asked(mut self, asked: Asked) -> Result<Self, Error> {
        if asked.coverage {
            self.flows.timeline.window()?;
        }
        let Judging { connections, coverage, observed, .. } = &mut self.flows.to;
        *connections = asked.rows.then(Connections::of_part);
        *coverage = asked.coverage.then(|| Coverage::new(self.rules));
        *observed = asked.observed.map(|wants| Observed::new(wants, usize::MAX));
        Ok(self)
    }

    /// Judges the next record, in the order of [`Timeline::sort`]. Every record of a flow is judged by the same judge.
    pub fn judge(&mut self, record: &Record) {
        self.flows.take(record);
    }

    /// Takes the rows of the flows that are over. Their numbers are those of the frames that open the connections; among
    /// all connections they are numbered in the order of these. Rows that may go on in other flows stay.
    pub fn take_rows(&mut self) -> Connections {
        self.flows.to.rows.take()
    }

    /// The rest of the rows as [`FlowJudge::take_rows`] has them, and the answers.
    pub fn finish_rows(self) -> (Connections, Part) {
        let mut judging = self.flows.finish();
        (judging.rows.take(), judging.into_part())
    }

    /// The answers, with all rows that were not taken.
    pub fn finish(self) -> Part {
        self.flows.finish().into_part()
    }
}

/// Rows of flows that are over.
#[derive(Debug, Default)]
struct Rows(Vec<Row>);

impl Rows {
    /// Takes those that do not go on in other flows.
    fn take(&mut self) -> Connections {
        let (stay, go) = self.0.drain(..).partition(Row::may_have_other_flows);
        self.0 = stay;
        Connections::by_opening_frame(go)
    }
}

/// A judge at work.
#[derive(Debug)]
struct Judging<'r> {
    replay: FlowReplay<'r>,
    connections: Option<Connections>,
    coverage: Option<Coverage>,
    observed: Option<Observed>,
    shards: Vec<Partial>,
    rows: Rows,
}

impl Judging<'_> {
    fn into_part(self) -> Part {
        let Self { coverage, observed, shards, rows: Rows(rows), .. } = self;
        Part {
            shards,
            rows,
            coverage: coverage.map(Coverage::into_part),
            observed: observed.map(Observed::into_part),
        }
    }
}

impl TakesFlows for Judging<'_> {
    type Answer = Judged;

    fn judge(&mut self, step: &Step<'_>) -> Judged {
        let Step { frame, decoded, others, latest, sent } = step;
        let all = (sent.packets, sent.bytes);
        let judged = self.replay.judge_alike(frame, decoded, *others, all);
        let input = Input { frame: *frame, decoded, selected: true, in_window: true };
        if let Some(connections) = &mut self.connections {
            connections.add(&input, &judged);
            if sent.packets > 1 {
                let more = (sent.packets - 1, sent.bytes.saturating_sub(frame.wire_len.into()));
                connections.add_alike(&input, &judged, more);
            }
        }
        if let Some(coverage) = &mut self.coverage {
            let at = (frame.number, *latest);
            coverage.add_alike(at, decoded.packet(), &judged, sent.packets);
        }
        if let Some(observed) = &mut self.observed {
            observed.add_at(others.now, &input, &judged);
        }
        judged
    }

    fn keep_alive(&mut self, flow: &FlowTuple, judged: &Judged, now: u64) {
        self.replay.keep_alive(flow, judged, now);
    }

    fn finish_flow(&mut self, shard: u8) {
        let Self { replay, connections, observed, shards, rows, .. } = self;
        if let Some(shard) = shards.get_mut(usize::from(shard)) {
            shard.add(replay.stats());
        }
        if let Some(connections) = connections {
            rows.0.append(&mut connections.take_rows());
        }
        if let Some(observed) = observed {
            observed.finish();
        }
        replay.forget();
    }
}

/// The statistics of all shards of a replay, of nothing yet.
pub(super) fn new_shards() -> Vec<Partial> {
    (0..SHARDS).map(|_| Partial::default()).collect()
}

pub(super) fn refuse(options: Options) -> Result<(), Error> {
    let message = match options {
        Options { sessions: Sessions::Off, .. } => {
            "without sessions there are no flows to be judged by; replay the captures on one machine"
        }
        Options { max_sessions: Some(_), .. } => {
            "how many sessions an interface holds depends on all flows, and an extract is judged flow by flow; replay the \
             captures on one machine"
        }
        _ => return Ok(()),
    };
    Err(Error::Question(message.to_owned()))
}
