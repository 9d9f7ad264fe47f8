//! The answers to all flows, as a replay on one machine gives them.

use super::judge::Part;
use super::timeline::{LostFragments, Timeline};
use crate::collect::Connections;
use crate::error::Error;
use crate::replay::{Options, Replay};
use crate::rules::RuleSet;
use crate::stats::{Stats, TooManyKinds};

/// The answers to all flows.
#[derive(Debug)]
pub struct Whole<'r> {
    /// The replay with its counters, for a summary.
    pub replay: Replay<'r>,
    /// A row per connection, in order of opening.
    pub connections: Connections,
}

impl<'r> Whole<'r> {
    /// Puts the answers of all judges together; the options are theirs.
    ///
    /// # Errors
    /// When there are more kinds of connections than a replay tells apart: which ones it does then depends on the order of
    /// all packets.
    pub fn new(
        rules: &'r RuleSet,
        timeline: &Timeline,
        lost: &LostFragments,
        parts: impl IntoIterator<Item = Part>,
        options: Options,
    ) -> Result<Self, Error> {
        let (mut shards, mut rows) = (timeline.outside(lost), Vec::new());
        for part in parts {
            for (shard, of_part) in shards.iter_mut().zip(part.shards) {
                shard.merge(of_part);
            }
            rows.extend(part.rows);
        }
        let count = shards.len();
        let shards = shards.into_iter().map(|shard| shard.into_stats(count));
        let shards: Vec<Stats> =
            shards.collect::<Result<_, _>>().map_err(|TooManyKinds| too_many())?;
        let stats = Stats::merged(shards.iter());
        let replay = Replay::of_counted(rules, options, stats);
        Ok(Self { replay, connections: Connections::in_order(rows) })
    }
}

fn too_many() -> Error {
    let message = "there are more kinds of connections (by deciding rule, protocol and port) than are told apart, and which \
                   ones depends on the order of all packets; replay the captures on one machine";
    Error::Question(message.to_owned())
}
