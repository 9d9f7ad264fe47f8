//! Changed connections.

use super::effect::Effect;
use crate::flow::{Direction, FlowTuple};
use crate::replay::Replay;
use crate::rules::EntryIndex;
use crate::verdict::{Judged, Judgement, Reason, Verdict};

/// The verdict of one rule set on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Side {
    /// Allow or deny; not evaluated where neither end is an interface of this rule set.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// The interface, the direction and the entry that decided: as in [`Judgement`].
    pub at: Option<(usize, Direction, EntryIndex)>,
}

impl Side {
    pub(super) fn new(judged: &Judged) -> Self {
        let (verdict, reason) = judged.verdict();
        let at = judged
            .deciding()
            .map(|judgement| (judgement.interface, judgement.decided_in, judgement.entry));
        Self { verdict, reason, at }
    }
}

/// A connection whose verdict or decider changes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Change {
    /// The effect.
    pub effect: Effect,
    /// Its tuple in the initiator's direction.
    pub flow: FlowTuple,
    /// By the current rules.
    pub current: Side,
    /// By the proposed ones.
    pub proposed: Side,
    /// The frame that opened it.
    pub first_frame: u64,
    /// Times of its first and its last packet, ns since the epoch; `None` where no packet has one.
    pub times: Option<(u64, u64)>,
    /// Its packets, in both directions.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// It continues a change that was taken out before, and is not counted again: see
    /// [`Diff::take_over`](super::Diff::take_over).
    pub continued: bool,
    /// The effect of the change to the same connection that was taken out before: this one takes its place.
    pub instead_of: Option<Effect>,
    /// Whether one of its packets is reported.
    pub(super) selected: bool,
    /// Its numbers in both replays.
    pub(super) numbers: [Option<Number>; 2],
    pub(super) last_frame: u64,
}

impl Change {
    /// Whether it is of packets that are judged by themselves.
    pub(super) fn is_alone(&self) -> bool {
        self.numbers == [None; 2]
    }

    /// Whether more packets may belong to it, as far as the replays know.
    pub(super) fn goes_on(&self, replays: [&Replay<'_>; 2]) -> bool {
        let mut numbered = self.numbers.into_iter().zip(replays).filter_map(|(number, replay)| {
            let Number { interface, opened_in, connection } = number?;
            Some(replay.goes_on(interface, opened_in, &self.flow, connection))
        });
        self.is_alone() || numbered.any(|goes_on| goes_on)
    }
}

/// A connection as a replay knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Number {
    interface: usize,
    opened_in: Direction,
    connection: u64,
}

impl Number {
    pub(super) fn new(judged: &Judged) -> Option<Self> {
        judged.judgements().find_map(|judgement| {
            let opened_in = opened_in(judgement);
            Some(Self {
                interface: judgement.interface,
                opened_in,
                connection: judgement.connection?,
            })
        })
    }
}

/// The direction in which the connection of a packet was opened; its own, where it has none.
pub(super) fn opened_in(judgement: &Judgement) -> Direction {
    if judgement.local_began { Direction::Egress } else { Direction::Ingress }
}
