//! Compares two rule sets: on traffic, by two replays side by side, and over all possible packets, by [`regions()`].
//!
//! Both replays judge every packet, each with its own sessions. A connection is counted when either replay opens it,
//! by the verdicts on its opening packet.
//!
//! ```
//! use sgreplay::diff::{Diff, Effect};
//! use sgreplay::replay::{Options, Replay};
//!
//! let open = "{security_groups: [{id: sg-a, rules: [
//!   {direction: ingress, protocol: tcp, ports: 22, source: 0.0.0.0/0}]}]}";
//! let office = open.replace("0.0.0.0/0", "203.0.113.0/24");
//! let [current, proposed] = [open, &office].map(|text| sgreplay::parse::yaml("x", text));
//! let (current, proposed) = (current?, proposed?);
//! let [a, b] = [&current, &proposed].map(|rules| Replay::new(rules, Options::default()));
//! let diff = Diff::new((&current, a), (&proposed, b));
//! assert_eq!(diff.connections().count(Effect::NewlyDenied), 0);
//! # Ok::<(), sgreplay::parse::ParseError>(())
//! ```

mod book;
mod change;
mod deciders;
mod edits;
mod effect;
mod flows;
mod regions;
mod weigh;

use std::collections::BTreeMap;

use crate::doubts::{self, Alternative, Doubts, Weighed};
use crate::flow::{Direction, FlowTuple};
use crate::replay::{Replay, Sessions};
use crate::rules::{RuleSet, UnknownGroups};
use crate::sources::Input;
use crate::verdict::{Judged, Verdict};
use book::{Book, Found};
pub use change::{Change, Side};
use deciders::Deciders;
pub use effect::{Effect, Effects};
pub(crate) use flows::{FlowDiff, FlowEffects};
pub use regions::{Turned, regions, unpaired};
use weigh::{ByEffect, weigh};

/// Two replays of the same packets.
#[derive(Debug)]
pub struct Diff<'r> {
    current: Replay<'r>,
    proposed: Replay<'r>,
    deciders: [Deciders; 2],
    found: Found,
    judged: Vec<Judged>,
    most_memory: usize,
    forgotten: u64,
    /// By the effect that the change would have under a supposition.
    doubts: ByEffect,
    /// The verdicts of a batch, of both.
    verdicts: Vec<[Verdict; 2]>,
}

impl<'r> Diff<'r> {
    /// Sets two replays side by side, each with its rule set.
    pub fn new(
        (current_rules, mut current): (&RuleSet, Replay<'r>),
        (proposed_rules, mut proposed): (&RuleSet, Replay<'r>),
    ) -> Self {
        let has_acls = current.setup().has_acls || proposed.setup().has_acls;
        let with_members = with_members([current_rules, proposed_rules], has_acls);
        current.keep_alternatives(with_members);
        proposed.keep_alternatives(with_members);
        let setups = [current.setup(), proposed.setup()];
        let deciders = Deciders::of_both([current_rules, proposed_rules], setups);
        Self {
            current,
            proposed,
            deciders,
            found: Found::default(),
            judged: Vec::new(),
            most_memory: usize::MAX,
            forgotten: 0,
            doubts: ByEffect::default(),
            verdicts: Vec::new(),
        }
    }

    /// Bounds the memory that changes take, in bytes: see [`Diff::is_full`].
    #[must_use]
    pub fn within(mut self, most_memory: usize) -> Self {
        self.most_memory = most_memory;
        self
    }

    /// Whether changes must be taken out before there is room for more: ask between batches of packets.
    pub fn is_full(&self) -> bool {
        let known = size_of::<([Option<u64>; 2], usize)>() + 1;
        let flows = size_of::<(FlowTuple, Option<usize>)>() + 1;
        // A map has room for as many again.
        let maps = 2 * (self.found.known.len() * known + self.found.flows.len() * flows);
        let memory = self.found.changes.len() * size_of::<Change>() + maps;
        memory >= self.most_memory
            && !(self.found.changes.is_empty() && self.found.flows.is_empty())
    }

    /// Takes out the changes of connections that are over, as the replays know it, and where that makes too little
    /// room, those that have been idle longest, the denied ones first. Should such a connection go on, the rest of it
    /// is a change of its own, [`Change::continued`].
    pub fn take_over(&mut self) -> Vec<Change> {
        let replays = [&self.current, &self.proposed];
        let rank = |change: &Change| {
            let allowed =
                [&change.current, &change.proposed].map(|of| of.verdict == Verdict::Allow);
            (allowed.contains(&true), change.last_frame)
        };
        let mut over: Vec<bool> =
            self.found.changes.iter().map(|of| !of.goes_on(replays)).collect();
        let staying = self.found.changes.iter().zip(&over).filter(|(_, over)| !**over);
        let mut ranks: Vec<_> = staying.map(|(change, _)| rank(change)).collect();
        if let Some(last) = ranks.len().checked_sub(self.found.changes.len() / 2 + 1) {
            let (_, last, _) = ranks.select_nth_unstable(last);
            for (change, over) in self.found.changes.iter().zip(&mut over) {
                *over |= rank(change) <= *last;
            }
        }
        let mut taken = Vec::new();
        let mut places = Vec::with_capacity(self.found.changes.len());
        for (change, over) in std::mem::take(&mut self.found.changes).into_iter().zip(over) {
            places.push((!over).then_some(self.found.changes.len()));
            if over { &mut taken } else { &mut self.found.changes }.push(change);
        }
        self.found.has_taken |= !taken.is_empty();
        let place = |change: usize| places.get(change).copied().flatten();
        self.found
            .known
            .retain(|_, change| place(*change).inspect(|place| *change = *place).is_some());
        let flows = 2 * self.found.flows.len() * size_of::<(FlowTuple, Option<usize>)>();
        let (forgets, before) = (flows >= self.most_memory / 2, self.found.flows.len());
        self.found.flows.retain(|_, change| {
            *change = change.and_then(place);
            change.is_some() || !forgets
        });
        self.forgotten += (before - self.found.flows.len()) as u64;
        taken.retain(|change| change.selected);
        taken
    }

    /// Tuples of packets judged by themselves that were forgotten for want of memory: one that goes on is counted as
    /// another connection.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Packets that only one of the rule sets judges, since only that one has an interface of their addresses, and the
    /// first of them.
    pub fn one_sided(&self) -> Option<(u64, u64)> {
        self.found.one_sided
    }

    /// Judges frames by both, in the order of the capture, and hands each with both answers, that
    /// of the current rules first, and the change's effect on it to `each`.
    ///
    /// # Errors
    /// The first that `each` returns.
    pub fn judge_batch<E>(
        &mut self,
        inputs: &[Input<'_>],
        mut each: impl FnMut(&Input<'_>, [&Judged; 2], Effect) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut current = std::mem::take(&mut self.judged);
        current.clear();
        self.current.judge_batch(inputs, |_, judged| {
            current.push(*judged);
            Ok(())
        })?;
        let mut before = current.iter();
        let selects = self.proposed.selects();
        let Self { proposed, deciders, found, .. } = self;
        let stateless = self.current.options().sessions == Sessions::Off
            && proposed.options().sessions == Sessions::Off;
        let mut book = Book { stateless, selects, deciders, found };
        let verdicts = &mut self.verdicts;
        verdicts.clear();
        proposed.judge_batch(inputs, |input, proposed| {
            let Some(current) = before.next() else { return Ok(()) };
            let effect = book.enter(input, current, proposed);
            verdicts.push([current.verdict().0, proposed.verdict().0]);
            each(input, [current, proposed], effect)
        })?;
        self.judged = current;
        self.weigh_alternatives(inputs);
        Ok(())
    }

    /// Counts the connections of a batch on which the change has another effect under a supposition.
    fn weigh_alternatives(&mut self, inputs: &[Input<'_>]) {
        let of_current = self.current.take_alternatives();
        let of_proposed = self.proposed.take_alternatives();
        if of_current.is_empty() && of_proposed.is_empty() {
            return;
        }
        let mut by_frame: BTreeMap<u64, [Weighed; 2]> = BTreeMap::new();
        for (side, all) in [of_current, of_proposed].into_iter().enumerate() {
            for Alternative { frame, supposed, verdict } in all {
                if let Some(of) = by_frame.entry(frame).or_default().get_mut(side) {
                    doubts::weigh(of, supposed, verdict);
                }
            }
        }
        let has_acls = self.current.setup().has_acls || self.proposed.setup().has_acls;
        let mut judged = inputs.iter().zip(&self.verdicts).peekable();
        for (frame, [current, proposed]) in by_frame {
            while judged.next_if(|(input, _)| input.frame.number < frame).is_some() {}
            let here = judged.peek().filter(|(input, _)| input.frame.number == frame);
            let Some((_, certain)) = here else { continue };
            weigh(&mut self.doubts, has_acls, (frame, **certain), [&current, &proposed]);
        }
    }

    /// Connections on which the change would have this effect, and has not, under a supposition that the input leaves
    /// open.
    pub fn doubts(&self, effect: Effect) -> Option<&Doubts> {
        self.doubts.get(effect as usize)
    }

    /// Connections by effect. Where neither rule set remembers any, each direction of
    /// one is counted by itself. Strays and ICMP errors about no session are none (SEMANTICS F16, F18).
    pub fn connections(&self) -> Effects {
        self.found.connections
    }

    /// Packets by effect.
    pub fn packets(&self) -> Effects {
        self.found.packets
    }

    /// Ends the comparison: changed connections of which no packet is selected are left out.
    pub fn finish(&mut self) {
        self.found.changes.retain(|change| change.selected);
        self.found.known.clear();
        self.found.flows.clear();
    }

    /// The connections that are not unchanged, in order of opening, without those that were taken out; complete after
    /// [`Diff::finish`].
    pub fn changes(&self) -> &[Change] {
        &self.found.changes
    }

    /// The replay by the current rules.
    pub fn current(&self) -> &Replay<'r> {
        &self.current
    }

    /// The replay by the proposed rules.
    pub fn proposed(&self) -> &Replay<'r> {
        &self.proposed
    }
}

/// Whether alternatives that depend on access among members of a group are asked for. Members who reach each other by both
/// rule sets make no difference, but where a network ACL stands before.
fn with_members(rules: [&RuleSet; 2], has_acls: bool) -> bool {
    let [current, proposed] = rules.map(unlisted_members);
    has_acls || current != proposed
}

/// The groups of each interface whose members reach each other and are not all known.
fn unlisted_members(rules: &RuleSet) -> Vec<(&str, [UnknownGroups; 2])> {
    let of = |n| [Direction::Ingress, Direction::Egress].map(|way| rules.unlisted_members(n, way));
    let all = rules.interfaces().iter().enumerate();
    all.map(|(n, eni)| (eni.id.as_str(), of(n))).collect()
}
