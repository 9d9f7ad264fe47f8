//! Records the effects of packets in the counts and the changes.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::change::{Change, Number, Side, opened_in};
use super::deciders::Deciders;
use super::effect::{Effect, Effects};
use crate::flow::FlowTuple;
use crate::sources::Input;
use crate::verdict::{Judged, Judgement, Reply, Verdict};

/// What was found of the packets so far.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) connections: Effects,
    pub(super) packets: Effects,
    pub(super) changes: Vec<Change>,
    /// Changed connections by their numbers in both replays.
    pub(super) known: HashMap<[Option<u64>; 2], usize, FixedState>,
    /// Packets judged by themselves, by their tuple, and its position in the changes if it is one.
    pub(super) flows: HashMap<FlowTuple, Option<usize>, FixedState>,
    /// Connections that were opened by a packet which is not selected, and are counted with the first one that is.
    pub(super) pending: HashMap<[Option<u64>; 2], Effect, FixedState>,
    /// Changes have been taken out: more packets may belong to them.
    pub(super) has_taken: bool,
    /// Packets that only one of the rule sets judges, and the first of them.
    pub(super) one_sided: Option<(u64, u64)>,
}

/// Enters the effects of packets in what was found.
pub(super) struct Book<'d> {
    /// Neither rule set remembers connections.
    pub(super) stateless: bool,
    /// Only some of the packets are reported.
    pub(super) selects: bool,
    pub(super) deciders: &'d [Deciders; 2],
    pub(super) found: &'d mut Found,
}

impl Book<'_> {
    pub(super) fn enter(
        &mut self,
        input: &Input<'_>,
        current: &Judged,
        proposed: &Judged,
    ) -> Effect {
        let Input { frame, decoded, selected, .. } = *input;
        let effect = self.effect(current, proposed);
        if selected {
            self.found.packets.add(effect);
            self.note_one_sided(frame.number, [current, proposed]);
        }
        let opening = |judged: &Judged| {
            let mut opened = judged.judgements().filter_map(|j| j.opened.as_ref());
            opened.next().map(|(_, flow)| *flow)
        };
        let (key, alone) = whose(input, [current, proposed]);
        let judged = current.deciding().or_else(|| proposed.deciding());
        // Where there are connections, a packet without one is remembered only if the change does something to it.
        let counts = self.stateless || effect != Effect::Unchanged;
        let first = alone.filter(|flow| counts && !self.found.flows.contains_key(flow));
        let opened = opening(current).or_else(|| opening(proposed)).or(first);
        if let Some(flow) = first {
            self.found.flows.insert(flow, None);
        }
        let mut is_late = false;
        match opened {
            Some(_) if !selected => _ = self.found.pending.insert(key, effect),
            Some(_) if self.stateless || alone.is_none() => self.found.connections.add(effect),
            None if selected && !self.found.pending.is_empty() => {
                if let Some(effect) = self.found.pending.remove(&key) {
                    self.found.connections.add(effect);
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
                let change = self
                    .found
                    .known
                    .get(&key)
                    .and_then(|change| self.found.changes.get_mut(*change));
                if let Some(change) = change {
                    change.selected = true;
                }
            }
            return effect;
        }
        let mut change = match alone {
            Some(flow) => self.found.flows.get(&flow).copied().flatten(),
            None => self.found.known.get(&key).copied(),
        };
        // The connection is reported from its first answer that is stopped.
        let stopped = decoded.packet().map(|packet| packet.flow.reversed()).filter(|_| new);
        let goes_on = || {
            let is_open =
                change.is_none() && self.found.has_taken && (alone.is_some() || key != [None; 2]);
            let judgement = judged.filter(|_| is_open)?;
            let flow = decoded.packet()?.flow;
            Some(if judgement.direction == opened_in(judgement) { flow } else { flow.reversed() })
        };
        let opened = opened.or(stopped);
        // One that nobody has counted was dropped before any of its packets was reported.
        let continued = opened.is_none() && !is_late;
        if let Some(flow) = opened.or_else(goes_on) {
            let place = self.found.changes.len();
            match alone {
                Some(flow) => _ = self.found.flows.insert(flow, Some(place)),
                None => _ = self.found.known.insert(key, place),
            }
            self.found.changes.push(Change {
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
                numbers: [current, proposed].map(Number::new),
                last_frame: frame.number,
            });
            change = Some(place);
        }
        let change = change.and_then(|change| self.found.changes.get_mut(change));
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

    /// Enters so many packets and bytes with the answers of one that was entered.
    pub(super) fn enter_alike(
        &mut self,
        input: &Input<'_>,
        sides: [&Judged; 2],
        effect: Effect,
        (packets, bytes): (u64, u64),
    ) {
        self.found.packets.add_all(effect, packets);
        if is_one_sided(sides)
            && let Some((count, _)) = &mut self.found.one_sided
        {
            *count += packets;
        }
        if effect == Effect::Unchanged {
            return;
        }
        let change = match whose(input, sides) {
            (_, Some(flow)) => self.found.flows.get(&flow).copied().flatten(),
            (key, None) => self.found.known.get(&key).copied(),
        };
        if let Some(change) = change.and_then(|change| self.found.changes.get_mut(change)) {
            change.packets += packets;
            change.bytes += bytes;
        }
    }

    fn note_one_sided(&mut self, frame: u64, sides: [&Judged; 2]) {
        if is_one_sided(sides) {
            self.found.one_sided.get_or_insert((0, frame)).0 += 1;
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
        let place = self.found.known.get(&key).copied();
        let known =
            place.and_then(|place| self.found.changes.get(place)).map(|change| change.effect);
        let before = known.unwrap_or_else(|| self.effect_before(sides));
        let is_pending =
            self.found.pending.get_mut(&key).map(|pending| *pending = effect).is_some();
        if !is_pending {
            self.found.connections.remove(before);
            self.found.connections.add(effect);
        }
        let Some(change) = place.and_then(|place| self.found.changes.get_mut(place)) else {
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
                let [of_current, of_proposed] = self.deciders;
                let decider =
                    |of: &Deciders, judged: &Judged| judged.deciding().map(|j| of.decider(j));
                same(decider(of_current, current) == decider(of_proposed, proposed))
            }
            (Verdict::Allow, Verdict::Allow) => {
                let [of_current, of_proposed] = self.deciders;
                let current = current.judgements().map(|j| of_current.decider(j));
                same(current.eq(proposed.judgements().map(|j| of_proposed.decider(j))))
            }
            // An address that only one of them knows.
            (Verdict::NotEvaluated, _) | (_, Verdict::NotEvaluated) => Effect::OtherRule,
        }
    }
}

/// The numbers of a packet's connection in both replays; its tuple, where it is judged by itself.
fn whose(input: &Input<'_>, sides: [&Judged; 2]) -> ([Option<u64>; 2], Option<FlowTuple>) {
    let key = sides.map(|judged| judged.judgements().find_map(|j| j.connection));
    let judged = sides.into_iter().find_map(Judged::deciding);
    let alone = match (key, judged, input.decoded.packet()) {
        ([None, None], Some(judged), Some(packet)) if !judged.stray && input.selected => {
            Some(packet.flow)
        }
        _ => None,
    };
    (key, alone)
}

/// Whether only one of the rule sets judges a packet.
fn is_one_sided(sides: [&Judged; 2]) -> bool {
    let [current, proposed] = sides.map(|of| of.verdict().0 == Verdict::NotEvaluated);
    current != proposed
}

fn same(same: bool) -> Effect {
    if same { Effect::Unchanged } else { Effect::OtherRule }
}
