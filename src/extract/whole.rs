//! The answers to all flows, as a replay on one machine gives them.

use super::judge::{Asked, Part};
use super::timeline::{LostFragments, Timeline};
use crate::collect::{Connections, Coverage, TooMuchUsed};
use crate::error::Error;
use crate::replay::{Options, Replay};
use crate::rules::RuleSet;
use crate::stats::{Partial, Stats, TooManyKinds};
use crate::suggest::Observed;

/// The answers to all flows.
#[derive(Debug)]
pub struct Whole<'r> {
    /// The replay with its counters, for a summary.
    pub replay: Replay<'r>,
    /// A row per connection, in order of opening.
    pub connections: Connections,
    /// What the packets use of the rules, where the judges have gathered it.
    pub coverage: Option<Coverage>,
    /// Allowed connections, where the judges have collected them.
    pub observed: Option<Observed>,
}

impl<'r> Whole<'r> {
    /// Puts the answers of all judges together; the options are theirs, and what was asked of them.
    ///
    /// # Errors
    /// When there are more kinds of connections than a replay tells apart: which ones it does then depends on the order of
    /// all packets. So are more services, networks and peers than are told apart, of what is used of a rule.
    pub fn new(
        rules: &'r RuleSet,
        timeline: &Timeline,
        lost: &LostFragments,
        parts: impl IntoIterator<Item = Part>,
        options: Options,
        asked: Asked,
    ) -> Result<Self, Error> {
        let (mut shards, mut rows) = (Vec::new(), Vec::new());
        let (mut coverage, mut observed) = (Vec::new(), Vec::new());
        for part in parts {
            shards.push(part.shards);
            rows.extend(part.rows);
            coverage.extend(part.coverage);
            observed.extend(part.observed);
        }
        let replay = Replay::of_counted(rules, options, merged(timeline, lost, shards)?);
        let connections = Connections::in_order(rows);
        let coverage = asked
            .coverage
            .then(|| {
                let window = timeline.window()?;
                Coverage::of_parts(rules, coverage, window).map_err(|TooMuchUsed| too_much_used())
            })
            .transpose()?;
        let observed = asked.observed.map(|wants| Observed::of_parts(wants, observed));
        Ok(Self { replay, connections, coverage, observed })
    }
}

/// The statistics of all packets, from those of all parts by shard.
pub(super) fn merged(
    timeline: &Timeline,
    lost: &LostFragments,
    parts: impl IntoIterator<Item = Vec<Partial>>,
) -> Result<Stats, Error> {
    let mut shards = timeline.outside(lost);
    for part in parts {
        for (shard, of_part) in shards.iter_mut().zip(part) {
            shard.merge(of_part);
        }
    }
    let count = shards.len();
    let shards = shards.into_iter().map(|shard| shard.into_stats(count));
    let shards: Vec<Stats> = shards.collect::<Result<_, _>>().map_err(|TooManyKinds| too_many())?;
    Ok(Stats::merged(shards.iter()))
}

fn too_much_used() -> Error {
    let message = "a rule is used for more services, networks or peers than are told apart, and which ones depends on the \
                   order of all packets; replay the captures on one machine";
    Error::Question(message.to_owned())
}

fn too_many() -> Error {
    let message = "there are more kinds of connections (by deciding rule, protocol and port) than are told apart, and which \
                   ones depends on the order of all packets; replay the captures on one machine";
    Error::Question(message.to_owned())
}
