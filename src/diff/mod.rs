//! What a change of rules does: to traffic, by two replays side by side, and to every packet that could
//! be, by [`regions()`].
//!
//! Both rule sets see every packet from the first one on, each with sessions of its own. A connection
//! is counted where either of them opens it, by what becomes of its opening packet.
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

mod regions;

use std::collections::{BTreeMap, HashMap, HashSet};

use foldhash::fast::FixedState;

use crate::doubts::{self, Alternative, Doubts, Weighed};
use crate::flow::{Direction, FlowTuple};
use crate::replay::{Replay, Sessions};
use crate::rules::{
    Entry, EntryIndex, EntryKind, Rule, RuleId, RuleSet, SharedLists, UnknownGroups,
};
use crate::sources::Input;
use crate::verdict::{Judged, Judgement, Reason, Reply, Verdict};
pub use regions::{Turned, regions, unpaired};

/// What the change does to a packet or a connection, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Allowed by the current rules, denied by the proposed ones.
    NewlyDenied,
    /// Denied by the current rules, allowed by the proposed ones.
    NewlyAllowed,
    /// The same answer, by another rule.
    OtherRule,
    /// The same answer for the same reason.
    Unchanged,
}

impl Effect {
    /// All, the worst first.
    pub const ALL: &'static [Self] =
        &[Self::NewlyDenied, Self::NewlyAllowed, Self::OtherRule, Self::Unchanged];

    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NewlyDenied => "newly_denied",
            Self::NewlyAllowed => "newly_allowed",
            Self::OtherRule => "other_rule",
            Self::Unchanged => "unchanged",
        }
    }
}

/// Counts by effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects([u64; Effect::ALL.len()]);

impl Effects {
    /// How many there are of one effect.
    pub fn count(&self, effect: Effect) -> u64 {
        self.0.get(effect as usize).copied().unwrap_or_default()
    }

    /// All together.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    fn add(&mut self, effect: Effect) {
        if let Some(count) = self.0.get_mut(effect as usize) {
            *count += 1;
        }
    }

    fn remove(&mut self, effect: Effect) {
        if let Some(count) = self.0.get_mut(effect as usize) {
            *count = count.saturating_sub(1);
        }
    }
}

/// What one rule set says of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Side {
    /// Allow or deny; not evaluated where neither end is an interface of this rule set.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// Where, and by which entry of which list: as in [`Judgement`].
    pub at: Option<(usize, Direction, EntryIndex)>,
}

impl Side {
    fn new(judged: &Judged) -> Self {
        let (verdict, reason) = judged.verdict();
        let at = judged
            .deciding()
            .map(|judgement| (judgement.interface, judgement.decided_in, judgement.entry));
        Self { verdict, reason, at }
    }
}

/// A connection that the change does something to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What.
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
    /// It goes on from a change that was taken out before, and is no connection more: see [`Diff::take_over`].
    pub continued: bool,
    /// The effect of the change to the same connection that was taken out before: this one takes its place.
    pub instead_of: Option<Effect>,
    /// Whether one of its packets is reported.
    selected: bool,
    /// By which it is known to both replays.
    numbers: [Option<Number>; 2],
    last_frame: u64,
}

impl Change {
    /// Whether more packets may belong to it, as far as the replays know.
    fn goes_on(&self, replays: [&Replay<'_>; 2]) -> bool {
        let mut numbered = self.numbers.into_iter().zip(replays).filter_map(|(number, replay)| {
            let Number { interface, opened_in, connection } = number?;
            Some(replay.goes_on(interface, opened_in, &self.flow, connection))
        });
        self.numbers == [None; 2] || numbered.any(|goes_on| goes_on)
    }
}

/// A connection as a replay knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Number {
    interface: usize,
    opened_in: Direction,
    connection: u64,
}

impl Number {
    fn of(judged: &Judged) -> Option<Self> {
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
fn opened_in(judgement: &Judgement) -> Direction {
    if judgement.local_began { Direction::Egress } else { Direction::Ingress }
}

/// The numbers of a rule set's entries; equal ones mean the same decider.
#[derive(Debug)]
struct Deciders {
    /// By list, direction and entry.
    numbers: Vec<[Vec<u32>; 2]>,
    shared: SharedLists,
}

/// Two replays of the same packets.
#[derive(Debug)]
pub struct Diff<'r> {
    current: Replay<'r>,
    proposed: Replay<'r>,
    deciders: [Deciders; 2],
    connections: Effects,
    packets: Effects,
    changes: Vec<Change>,
    /// Changed connections by their numbers in both replays.
    known: HashMap<[Option<u64>; 2], usize, FixedState>,
    /// Packets that are judged by themselves, by their tuple, and the tuple's place among the changes if it is one.
    flows: HashMap<FlowTuple, Option<usize>, FixedState>,
    /// Connections that were opened by a packet which is not selected, and are counted with the first one that is.
    pending: HashMap<[Option<u64>; 2], Effect, FixedState>,
    judged: Vec<Judged>,
    most_memory: usize,
    /// Changes have been taken out: more packets may belong to them.
    has_taken: bool,
    forgotten: u64,
    /// Packets that only one of the rule sets judges, and the first of them.
    one_sided: Option<(u64, u64)>,
    /// By the effect that the change would have if something were so.
    doubts: [Doubts; Effect::ALL.len()],
    /// The verdicts of a batch, of both.
    verdicts: Vec<[Verdict; 2]>,
}

impl<'r> Diff<'r> {
    /// Sets two replays side by side, each with its rule set.
    pub fn new(
        (current_rules, mut current): (&RuleSet, Replay<'r>),
        (proposed_rules, mut proposed): (&RuleSet, Replay<'r>),
    ) -> Self {
        // Members who reach each other by both make no difference, but where a network ACL stands before.
        let unlisted = [current_rules, proposed_rules].map(unlisted_members);
        let with_members = current.has_acls() || proposed.has_acls() || unlisted[0] != unlisted[1];
        current.keep_alternatives(with_members);
        proposed.keep_alternatives(with_members);
        let mut identities = Identities::new(current_rules, proposed_rules);
        let deciders = [
            identities.deciders(current_rules, &current),
            identities.deciders(proposed_rules, &proposed),
        ];
        Self {
            current,
            proposed,
            deciders,
            connections: Effects::default(),
            packets: Effects::default(),
            changes: Vec::new(),
            known: HashMap::default(),
            flows: HashMap::default(),
            pending: HashMap::default(),
            judged: Vec::new(),
            most_memory: usize::MAX,
            has_taken: false,
            forgotten: 0,
            one_sided: None,
            doubts: <[Doubts; Effect::ALL.len()]>::default(),
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
        let maps = 2 * (self.known.len() * known + self.flows.len() * flows);
        let memory = self.changes.len() * size_of::<Change>() + maps;
        memory >= self.most_memory && !(self.changes.is_empty() && self.flows.is_empty())
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
        let mut over: Vec<bool> = self.changes.iter().map(|of| !of.goes_on(replays)).collect();
        let staying = self.changes.iter().zip(&over).filter(|(_, over)| !**over);
        let mut ranks: Vec<_> = staying.map(|(change, _)| rank(change)).collect();
        if let Some(last) = ranks.len().checked_sub(self.changes.len() / 2 + 1) {
            let (_, last, _) = ranks.select_nth_unstable(last);
            for (change, over) in self.changes.iter().zip(&mut over) {
                *over |= rank(change) <= *last;
            }
        }
        let mut taken = Vec::new();
        let mut places = Vec::with_capacity(self.changes.len());
        for (change, over) in std::mem::take(&mut self.changes).into_iter().zip(over) {
            places.push((!over).then_some(self.changes.len()));
            if over { &mut taken } else { &mut self.changes }.push(change);
        }
        self.has_taken |= !taken.is_empty();
        let place = |change: usize| places.get(change).copied().flatten();
        self.known.retain(|_, change| place(*change).inspect(|place| *change = *place).is_some());
        let flows = 2 * self.flows.len() * size_of::<(FlowTuple, Option<usize>)>();
        let (forgets, before) = (flows >= self.most_memory / 2, self.flows.len());
        self.flows.retain(|_, change| {
            *change = change.and_then(place);
            change.is_some() || !forgets
        });
        self.forgotten += (before - self.flows.len()) as u64;
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
        self.one_sided
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
        let (has_taken, selects) = (self.has_taken, self.proposed.stats().selects());
        let one_sided = &mut self.one_sided;
        let Self { proposed, deciders, connections, packets, changes, known, flows, .. } = self;
        let stateless = self.current.options().sessions == Sessions::Off
            && proposed.options().sessions == Sessions::Off;
        let pending = &mut self.pending;
        let mut book = Book {
            stateless,
            has_taken,
            selects,
            one_sided,
            deciders,
            connections,
            packets,
            changes,
            known,
            flows,
            pending,
        };
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

    /// Counts the connections of a batch on which the change has another effect if something is so.
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
        let effect = |[current, proposed]: [Verdict; 2]| match (current, proposed) {
            (Verdict::Allow, Verdict::Deny) => Effect::NewlyDenied,
            (Verdict::Deny, Verdict::Allow) => Effect::NewlyAllowed,
            _ => Effect::Unchanged,
        };
        let has_acls = self.current.has_acls() || self.proposed.has_acls();
        let mut judged = inputs.iter().zip(&self.verdicts).peekable();
        for (frame, [current, proposed]) in by_frame {
            while judged.next_if(|(input, _)| input.frame.number < frame).is_some() {}
            let here = judged.peek().filter(|(input, _)| input.frame.number == frame);
            let Some((_, certain)) = here else { continue };
            for (supposed, verdicts) in doubts::of_both(**certain, [&current, &proposed]) {
                let otherwise = effect(verdicts);
                let mut add = |effect: Effect| {
                    if let Some(doubts) = self.doubts.get_mut(effect as usize) {
                        doubts.add(supposed.clone(), frame);
                    }
                };
                if otherwise != effect(**certain) {
                    add(otherwise);
                } else if has_acls && verdicts != **certain && verdicts == [Verdict::Allow; 2] {
                    // What their network ACLs say of the replies then is not known.
                    add(Effect::NewlyDenied);
                    add(Effect::NewlyAllowed);
                }
            }
        }
    }

    /// Connections on which the change would have this effect, and has not, if something were so that nobody has said.
    pub fn doubts(&self, effect: Effect) -> Option<&Doubts> {
        self.doubts.get(effect as usize)
    }

    /// Connections by what the change does to them. Where neither rule set remembers any, each direction of
    /// one is counted by itself. Strays and ICMP errors about no session are none (SEMANTICS F16, F18).
    pub fn connections(&self) -> Effects {
        self.connections
    }

    /// Packets by what the change does to them.
    pub fn packets(&self) -> Effects {
        self.packets
    }

    /// Ends the comparison: changed connections of which no packet is selected are left out.
    pub fn finish(&mut self) {
        self.changes.retain(|change| change.selected);
        self.known.clear();
        self.flows.clear();
    }

    /// The connections that are not unchanged, in order of opening, without those that were taken out; complete after
    /// [`Diff::finish`].
    pub fn changes(&self) -> &[Change] {
        &self.changes
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

/// The groups of each interface whose members reach each other and are not all known.
fn unlisted_members(rules: &RuleSet) -> Vec<(&str, [UnknownGroups; 2])> {
    let of = |n| [Direction::Ingress, Direction::Egress].map(|way| rules.unlisted_members(n, way));
    let all = rules.interfaces().iter().enumerate();
    all.map(|(n, eni)| (eni.id.as_str(), of(n))).collect()
}

/// Where effects are entered, while a replay is borrowed.
struct Book<'d> {
    /// Neither rule set remembers connections.
    stateless: bool,
    has_taken: bool,
    /// Only some of the packets are reported.
    selects: bool,
    one_sided: &'d mut Option<(u64, u64)>,
    deciders: &'d [Deciders; 2],
    connections: &'d mut Effects,
    packets: &'d mut Effects,
    changes: &'d mut Vec<Change>,
    known: &'d mut HashMap<[Option<u64>; 2], usize, FixedState>,
    flows: &'d mut HashMap<FlowTuple, Option<usize>, FixedState>,
    pending: &'d mut HashMap<[Option<u64>; 2], Effect, FixedState>,
}

impl Book<'_> {
    fn enter(&mut self, input: &Input<'_>, current: &Judged, proposed: &Judged) -> Effect {
        let Input { frame, decoded, selected, .. } = *input;
        let effect = self.effect(current, proposed);
        if selected {
            self.packets.add(effect);
            self.note_one_sided(frame.number, [current, proposed]);
        }
        let opening = |judged: &Judged| {
            let mut opened = judged.judgements().filter_map(|j| j.opened.as_ref());
            opened.next().map(|(_, flow)| *flow)
        };
        let number = |judged: &Judged| judged.judgements().find_map(|j| j.connection);
        let key = [number(current), number(proposed)];
        let judged = current.deciding().or_else(|| proposed.deciding());
        let alone = match (key, judged, decoded.packet()) {
            ([None, None], Some(judged), Some(packet)) if !judged.stray && selected => {
                Some(packet.flow)
            }
            _ => None,
        };
        // Where there are connections, a packet without one is remembered only if the change does something to it.
        let counts = self.stateless || effect != Effect::Unchanged;
        let first = alone.filter(|flow| counts && !self.flows.contains_key(flow));
        let opened = opening(current).or_else(|| opening(proposed)).or(first);
        if let Some(flow) = first {
            self.flows.insert(flow, None);
        }
        let mut is_late = false;
        match opened {
            Some(_) if !selected => _ = self.pending.insert(key, effect),
            Some(_) if self.stateless || alone.is_none() => self.connections.add(effect),
            None if selected && !self.pending.is_empty() => {
                if let Some(effect) = self.pending.remove(&key) {
                    self.connections.add(effect);
                    is_late = true;
                }
            }
            _ => {}
        }
        let cut = opened.is_none() && (current.is_cut() || proposed.is_cut());
        let before = if cut { self.cut(key, effect, [current, proposed]) } else { None };
        let (new, instead_of) = (before.is_some(), before.filter(|of| *of != Effect::Unchanged));
        if effect == Effect::Unchanged {
            // It may be the only packet that is reported of a connection which is not.
            if selected && self.selects {
                let change = self.known.get(&key).and_then(|change| self.changes.get_mut(*change));
                if let Some(change) = change {
                    change.selected = true;
                }
            }
            return effect;
        }
        let mut change = match alone {
            Some(flow) => self.flows.get(&flow).copied().flatten(),
            None => self.known.get(&key).copied(),
        };
        // The connection is reported from its first answer that is stopped.
        let stopped = decoded.packet().map(|packet| packet.flow.reversed()).filter(|_| new);
        let goes_on = || {
            let is_open =
                change.is_none() && self.has_taken && (alone.is_some() || key != [None; 2]);
            let judgement = judged.filter(|_| is_open)?;
            let flow = decoded.packet()?.flow;
            Some(if judgement.direction == opened_in(judgement) { flow } else { flow.reversed() })
        };
        let opened = opened.or(stopped);
        // One that nobody has counted was dropped before any of its packets was reported.
        let continued = opened.is_none() && !is_late;
        if let Some(flow) = opened.or_else(goes_on) {
            let place = self.changes.len();
            match alone {
                Some(flow) => _ = self.flows.insert(flow, Some(place)),
                None => _ = self.known.insert(key, place),
            }
            self.changes.push(Change {
                effect,
                flow,
                current: Side::new(current),
                proposed: Side::new(proposed),
                first_frame: frame.number,
                times: None,
                packets: 0,
                bytes: 0,
                continued,
                instead_of,
                selected: false,
                numbers: [current, proposed].map(Number::of),
                last_frame: frame.number,
            });
            change = Some(place);
        }
        let change = change.and_then(|change| self.changes.get_mut(change));
        if let Some(change) = change {
            change.packets += 1;
            change.last_frame = frame.number;
            change.selected |= selected;
            change.bytes += u64::from(frame.wire_len);
            if let Some(time) = frame.time_ns {
                let (first, last) = change.times.unwrap_or((time, time));
                change.times = Some((first, last.max(time)));
            }
        }
        effect
    }

    fn note_one_sided(&mut self, frame: u64, sides: [&Judged; 2]) {
        let [current, proposed] = sides.map(|of| of.verdict().0 == Verdict::NotEvaluated);
        if current != proposed {
            self.one_sided.get_or_insert((0, frame)).0 += 1;
        }
    }

    /// A network ACL stops an answer of a connection by one rule set at least: what becomes of the connection is that.
    /// Where it is not among the changes, the effect on it before.
    fn cut(
        &mut self,
        key: [Option<u64>; 2],
        effect: Effect,
        sides: [&Judged; 2],
    ) -> Option<Effect> {
        let place = self.known.get(&key).copied();
        let known = place.and_then(|place| self.changes.get(place)).map(|change| change.effect);
        let before = known.unwrap_or_else(|| self.effect_before(sides));
        let is_pending = self.pending.get_mut(&key).map(|pending| *pending = effect).is_some();
        if !is_pending {
            self.connections.remove(before);
            self.connections.add(effect);
        }
        let Some(change) = place.and_then(|place| self.changes.get_mut(place)) else {
            return Some(if is_pending { Effect::Unchanged } else { before });
        };
        let [current, proposed] = sides.map(Side::new);
        (change.effect, change.current, change.proposed) = (effect, current, proposed);
        None
    }

    /// The effect on a connection before the first of its answers was stopped.
    fn effect_before(&self, sides: [&Judged; 2]) -> Effect {
        let before = |judged: &Judged| {
            let opened = |of: &Judgement| match of.reply {
                Some(Reply { other_entry, .. }) if of.is_stopped() => Judgement {
                    verdict: Verdict::Allow,
                    decided_in: of.direction.opposite(),
                    entry: other_entry,
                    reply: None,
                    ..*of
                },
                _ => *of,
            };
            match (judged, judged.is_cut()) {
                (Judged::At(first, second), true) => {
                    Judged::At(opened(first), second.as_ref().map(opened))
                }
                _ => *judged,
            }
        };
        let [current, proposed] = sides;
        self.effect(&before(current), &before(proposed))
    }

    fn effect(&self, current: &Judged, proposed: &Judged) -> Effect {
        match (current.verdict().0, proposed.verdict().0) {
            (Verdict::Allow, Verdict::Deny) => Effect::NewlyDenied,
            (Verdict::Deny, Verdict::Allow) => Effect::NewlyAllowed,
            (Verdict::NotEvaluated, Verdict::NotEvaluated) => Effect::Unchanged,
            (Verdict::Deny, Verdict::Deny) => {
                let decider =
                    |side, judged: &Judged| judged.deciding().map(|j| self.decider(side, j));
                same(decider(0, current) == decider(1, proposed))
            }
            (Verdict::Allow, Verdict::Allow) => {
                let current = current.judgements().map(|j| self.decider(0, j));
                same(current.eq(proposed.judgements().map(|j| self.decider(1, j))))
            }
            // An address that only one of them knows.
            (Verdict::NotEvaluated, _) | (_, Verdict::NotEvaluated) => Effect::OtherRule,
        }
    }

    fn decider(&self, side: usize, judgement: &Judgement) -> Option<u32> {
        let Deciders { numbers, shared } = self.deciders.get(side)?;
        let lists = numbers.get(shared.of(judgement.interface)?)?;
        lists.get(judgement.decided_in as usize)?.get(judgement.entry.0 as usize).copied()
    }
}

fn same(same: bool) -> Effect {
    if same { Effect::Unchanged } else { Effect::OtherRule }
}

/// Which entries of two rule sets are the same: rules by their id where both sets have it, else by what
/// they say, so that a rule which was only moved is the same.
struct Identities<'r> {
    /// Ids that both rule sets give.
    shared: HashSet<&'r RuleId>,
    numbers: HashMap<String, u32>,
}

impl<'r> Identities<'r> {
    fn new(current: &'r RuleSet, proposed: &'r RuleSet) -> Self {
        let ids = |rules: &'r RuleSet| -> HashSet<&'r RuleId> {
            let rules = rules.groups().iter().flat_map(|group| &group.rules);
            let given = |id: &&RuleId| !matches!(id, RuleId::Numbered { .. });
            rules.map(|rule| &rule.id).filter(given).collect()
        };
        let (current, proposed) = (ids(current), ids(proposed));
        let shared = current.intersection(&proposed).copied().collect();
        Self { shared, numbers: HashMap::new() }
    }

    fn deciders(&mut self, rules: &RuleSet, replay: &Replay<'_>) -> Deciders {
        let mut of = |interface, direction| -> Vec<u32> {
            let entries = replay.entries(interface, direction).iter();
            entries.map(|entry| self.number(rules, entry)).collect()
        };
        let shared = replay.shared_lists().clone();
        let lists = shared.first_interfaces().iter();
        let numbers = lists.map(|first| Direction::BOTH.map(|direction| of(*first, direction)));
        Deciders { numbers: numbers.collect(), shared }
    }

    fn number(&mut self, rules: &RuleSet, entry: &Entry) -> u32 {
        let group = |group: usize| rules.groups().get(group);
        let identity = match entry.kind {
            EntryKind::System(builtin) => format!("system {}", builtin.as_str()),
            EntryKind::IntraGroup { group: of } => {
                format!("intra-group {}", group(of).map_or("", |group| &group.id))
            }
            EntryKind::Rule { group: of, rule } => {
                let rule = group(of).and_then(|group| group.rules.get(rule));
                rule.map_or_else(String::new, |rule| self.rule(rule))
            }
            EntryKind::Default => {
                format!("default {} {}", entry.layer.as_str(), entry.policy.as_str())
            }
        };
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        *self.numbers.entry(identity).or_insert(next)
    }

    fn rule(&self, rule: &Rule) -> String {
        let Rule {
            id,
            direction,
            policy,
            priority,
            protocol,
            ports,
            source_ports,
            peers,
            local,
            icmp,
            targets,
            nic_type,
            create_time: _,
            fixed: _,
            description: _,
        } = rule;
        match id {
            id if self.shared.contains(id) => format!("id {id}"),
            _ => format!(
                "rule {direction:?} {policy:?} {priority:?} {protocol:?} {ports:?} {source_ports:?} \
                 {peers:?} {local:?} {icmp:?} {targets:?} {nic_type:?}"
            ),
        }
    }
}
