//! The comparison of two rule sets, flow by flow.

use super::flows::{Flows, Step, TakesFlows};
use super::judge::{new_shards, refuse};
use super::record::Record;
use super::timeline::{LostFragments, Timeline};
use super::whole::merged;
use crate::diff::{Change, Diff, FlowDiff, FlowEffects};
use crate::error::Error;
use crate::flow::FlowTuple;
use crate::replay::{Options, Replay};
use crate::rules::RuleSet;
use crate::stats::Partial;
use crate::verdict::Judged;

/// Compares two rule sets on the packets of some of the flows.
#[derive(Debug)]
pub struct FlowCompare<'r>(Flows<'r, Comparing<'r>>);

/// What was found of some of the flows, without the changed connections.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct ComparedPart {
    /// Of the current rules, and of the proposed ones.
    shards: [Vec<Partial>; 2],
    effects: FlowEffects,
}

impl<'r> FlowCompare<'r> {
    /// Compares by rules which the extract serves, the current ones first.
    ///
    /// # Errors
    /// When it does not serve both, or when the options ask for what is not judged flow by flow.
    pub fn new(
        rules: [&'r RuleSet; 2],
        timeline: &'r Timeline,
        options: Options,
    ) -> Result<Self, Error> {
        for rules in rules {
            timeline.check(rules)?;
        }
        refuse(options)?;
        let mut diff = FlowDiff::new(rules, options, timeline.openings());
        if timeline.has_points() {
            diff.by_interface();
        }
        let comparing =
            Comparing { diff, shards: [new_shards(), new_shards()], changes: Vec::new() };
        Ok(Self(Flows::new(timeline, comparing)))
    }

    /// Judges the next record by both, in the order of [`Timeline::sort`]. Every record of a flow goes to the same one of
    /// these.
    pub fn judge(&mut self, record: &Record) {
        self.0.take(record);
    }

    /// Takes the changed connections of the flows that are over.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.0.to.changes)
    }

    /// The rest of the changed connections, and what else was found.
    pub fn finish(self) -> (Vec<Change>, ComparedPart) {
        let Comparing { diff, shards, changes } = self.0.finish();
        (changes, ComparedPart { shards, effects: diff.finish() })
    }
}

#[derive(Debug)]
struct Comparing<'r> {
    diff: FlowDiff<'r>,
    shards: [Vec<Partial>; 2],
    changes: Vec<Change>,
}

impl TakesFlows for Comparing<'_> {
    type Answer = [Judged; 2];

    fn judge(&mut self, step: &Step<'_>) -> [Judged; 2] {
        let Step { frame, decoded, others, sent, .. } = step;
        self.diff.judge_alike(frame, decoded, *others, (sent.packets, sent.bytes))
    }

    fn keep_alive(&mut self, flow: &FlowTuple, judged: &[Judged; 2], now: u64) {
        self.diff.keep_alive(flow, judged, now);
    }

    fn finish_flow(&mut self, shard: u8) {
        let Self { diff, shards, changes } = self;
        for (shards, stats) in shards.iter_mut().zip(diff.stats()) {
            if let Some(shard) = shards.get_mut(usize::from(shard)) {
                shard.add(stats);
            }
        }
        changes.append(&mut diff.finish_flow());
    }
}

/// Puts together what was found of all flows: the comparison with its counters, and with the changes that are of several
/// flows ([`Diff::changes`]). The others are those that each part has had.
///
/// # Errors
/// When there are more kinds of connections than a replay tells apart: which ones it does then depends on the order of
/// all packets.
pub fn compared<'r>(
    [current, proposed]: [&'r RuleSet; 2],
    timeline: &Timeline,
    lost: &LostFragments,
    parts: impl IntoIterator<Item = ComparedPart>,
    options: Options,
) -> Result<Diff<'r>, Error> {
    let mut effects = FlowEffects::default();
    effects.add_unevaluated(timeline.frames_outside(lost));
    let (mut of_current, mut of_proposed) = (Vec::new(), Vec::new());
    for part in parts {
        let [current, proposed] = part.shards;
        of_current.push(current);
        of_proposed.push(proposed);
        effects.merge(part.effects);
    }
    let replay = |rules, parts| -> Result<Replay<'r>, Error> {
        Ok(Replay::of_counted(rules, options, merged(timeline, lost, parts)?))
    };
    let replays = (replay(current, of_current)?, replay(proposed, of_proposed)?);
    Ok(effects.into_diff((current, replays.0), (proposed, replays.1)))
}
