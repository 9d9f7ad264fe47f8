//! Compares flow by flow: the comparison of a cluster, which has sorted the packets so.

use std::collections::BTreeMap;

use super::book::{Book, Found};
use super::change::Change;
use super::deciders::Deciders;
use super::effect::{Effect, Effects};
use super::weigh::{ByEffect, weigh};
use super::{Diff, with_members};
use crate::capture::Frame;
use crate::decode::Decoded;
use crate::doubts::{self, Weighed};
use crate::flow::{FlowTuple, Transport};
use crate::replay::{FlowReplay, FromOthers, Options, Replay};
use crate::rules::RuleSet;
use crate::session::Openings;
use crate::sources::Input;
use crate::stats::Stats;
use crate::verdict::Judged;

/// Two replays that forget their sessions and counters behind each flow. It finds what a [`Diff`] does.
#[derive(Debug)]
pub(crate) struct FlowDiff<'r> {
    replays: [FlowReplay<'r>; 2],
    deciders: [Deciders; 2],
    has_acls: bool,
    found: Found,
    doubts: ByEffect,
    shared: SharedChanges,
}

/// What was found of some of the flows, without the changes that are a flow's own.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct FlowEffects {
    connections: Effects,
    packets: Effects,
    one_sided: Option<(u64, u64)>,
    doubts: ByEffect,
    shared: SharedChanges,
}

/// Changes to packets that are judged by themselves and may be of several flows: ICMP errors, which are judged with the
/// flow that they quote, and fragments, which show no ports. A comparison has one change for each of their tuples.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct SharedChanges(BTreeMap<FlowTuple, SharedChange>);

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct SharedChange {
    /// That of the first packet, with the counts of all.
    change: Change,
    /// The first packet with a time, and the time.
    timed: Option<(u64, u64)>,
}

impl SharedChanges {
    /// Adds packets: the first of them has made the change.
    fn add(&mut self, other: SharedChange) {
        let Some(known) = self.0.get_mut(&other.change.flow) else {
            self.0.insert(other.change.flow, other);
            return;
        };
        let (packets, bytes) = (known.change.packets, known.change.bytes);
        let last = [&known.change, &other.change].into_iter().filter_map(|of| of.times);
        let last = last.map(|(_, last)| last).max();
        let timed = [known.timed, other.timed].into_iter().flatten().min();
        let last_frame = known.change.last_frame.max(other.change.last_frame);
        let (more, more_bytes) = (other.change.packets, other.change.bytes);
        if other.change.first_frame < known.change.first_frame {
            known.change = other.change;
        }
        let change = &mut known.change;
        (change.packets, change.bytes) = (packets + more, bytes + more_bytes);
        change.times = timed.map(|(_, first)| first).zip(last);
        change.last_frame = last_frame;
        known.timed = timed;
    }

    fn merge(&mut self, other: Self) {
        other.0.into_values().for_each(|change| self.add(change));
    }
}

impl<'r> FlowDiff<'r> {
    pub(crate) fn new(rules: [&'r RuleSet; 2], options: Options, openings: &Openings) -> Self {
        let new = |rules| FlowReplay::new(rules, options, openings.clone());
        let [mut current, mut proposed] = rules.map(new);
        let has_acls = current.setup().has_acls || proposed.setup().has_acls;
        let with_members = with_members(rules, has_acls);
        current.keep_alternatives(with_members);
        proposed.keep_alternatives(with_members);
        let deciders = Deciders::of_both(rules, [current.setup(), proposed.setup()]);
        Self {
            replays: [current, proposed],
            deciders,
            has_acls,
            found: Found::default(),
            doubts: ByEffect::default(),
            shared: SharedChanges::default(),
        }
    }

    /// Frames name interfaces by their ids, and are judged there alone.
    pub(crate) fn by_interface(&mut self) {
        self.replays.iter_mut().for_each(FlowReplay::by_interface);
    }

    /// Judges one packet by both, which stands for so many. Only the bytes of the first are in its frame.
    pub(crate) fn judge_alike(
        &mut self,
        frame: &Frame<'_>,
        decoded: &Decoded,
        others: FromOthers,
        (packets, bytes): (u64, u64),
    ) -> [Judged; 2] {
        let judged = self
            .replays
            .each_mut()
            .map(|replay| replay.judge_alike(frame, decoded, others, (packets, bytes)));
        let [current, proposed] = &judged;
        let input = Input { frame: *frame, decoded, selected: true, in_window: true };
        let Self { deciders, found, .. } = self;
        // Rules that remember no connections are not judged flow by flow.
        let mut book = Book { stateless: false, selects: false, deciders, found };
        let effect = book.enter(&input, current, proposed);
        if packets > 1 {
            let more = (packets - 1, bytes.saturating_sub(frame.wire_len.into()));
            book.enter_alike(&input, [current, proposed], effect, more);
        }
        self.share(frame);
        self.weigh_alternatives(frame.number, [current, proposed]);
        judged
    }

    /// Notes that more packets with the answers of one have kept its sessions alive until then.
    pub(crate) fn keep_alive(&mut self, flow: &FlowTuple, judged: &[Judged; 2], now: u64) {
        for (replay, judged) in self.replays.iter_mut().zip(judged) {
            replay.keep_alive(flow, judged, now);
        }
    }

    /// Puts the change aside that a packet has made, if those of other flows may have the same.
    fn share(&mut self, frame: &Frame<'_>) {
        let is_shared = |change: &mut Change| {
            let flow = &change.flow;
            change.is_alone() && (flow.is_icmp_error() || flow.transport == Transport::Absent)
        };
        if let Some(change) = self.found.changes.pop_if(is_shared) {
            self.found.flows.remove(&change.flow);
            let timed = frame.time_ns.map(|time| (frame.number, time));
            self.shared.add(SharedChange { change, timed });
        }
    }

    fn weigh_alternatives(&mut self, frame: u64, judged: [&Judged; 2]) {
        let mut supposed: [Weighed; 2] = Default::default();
        for (replay, supposed) in self.replays.iter_mut().zip(&mut supposed) {
            for of in replay.take_alternatives() {
                doubts::weigh(supposed, of.supposed, of.verdict);
            }
        }
        let [current, proposed] = &supposed;
        if !(current.is_empty() && proposed.is_empty()) {
            let certain = judged.map(|judged| judged.verdict().0);
            weigh(&mut self.doubts, self.has_acls, (frame, certain), [current, proposed]);
        }
    }

    /// The counters of the flow, by both rule sets.
    pub(crate) fn stats(&self) -> [&Stats; 2] {
        self.replays.each_ref().map(FlowReplay::stats)
    }

    /// The flow is over: the changes to its connections, in order of opening.
    pub(crate) fn finish_flow(&mut self) -> Vec<Change> {
        self.replays.iter_mut().for_each(FlowReplay::forget);
        self.found.known.clear();
        self.found.flows.clear();
        std::mem::take(&mut self.found.changes)
    }

    /// What was found of all flows.
    pub(crate) fn finish(self) -> FlowEffects {
        let Self { found, doubts, shared, .. } = self;
        let Found { connections, packets, one_sided, .. } = found;
        FlowEffects { connections, packets, one_sided, doubts, shared }
    }
}

impl FlowEffects {
    /// Adds frames of which neither rule set says anything.
    pub(crate) fn add_unevaluated(&mut self, frames: u64) {
        self.packets.add_all(Effect::Unchanged, frames);
    }

    /// Adds what was found of other flows.
    pub(crate) fn merge(&mut self, other: Self) {
        self.connections.merge(other.connections);
        self.packets.merge(other.packets);
        if let Some((packets, first)) = other.one_sided {
            let (sum, known) = self.one_sided.get_or_insert((0, first));
            (*sum, *known) = (*sum + packets, first.min(*known));
        }
        for (doubts, others) in self.doubts.iter_mut().zip(&other.doubts) {
            doubts.merge(others);
        }
        self.shared.merge(other.shared);
    }

    /// The comparison of two replays of packets which were judged and counted elsewhere. It has the changes that several
    /// flows share.
    pub(crate) fn into_diff<'r>(
        self,
        current: (&RuleSet, Replay<'r>),
        proposed: (&RuleSet, Replay<'r>),
    ) -> Diff<'r> {
        let Self { connections, packets, one_sided, doubts, shared } = self;
        let mut changes: Vec<Change> = shared.0.into_values().map(|of| of.change).collect();
        changes.sort_by_key(|change| change.first_frame);
        let found = Found { connections, packets, changes, one_sided, ..Found::default() };
        Diff { found, doubts, ..Diff::new(current, proposed) }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::diff::Side;
    use crate::flow::Protocol;
    use crate::verdict::{Reason, Verdict};

    fn packet(frame: u64, time: Option<u64>, effect: Effect) -> SharedChange {
        let addr = |octet| IpAddr::from([10, 0, 0, octet]);
        let transport = Transport::Icmp { kind: 3, code: 1, id: None };
        let flow = FlowTuple { src: addr(1), dst: addr(2), proto: Protocol::ICMP, transport };
        let side = Side { verdict: Verdict::Deny, reason: Reason::Default, at: None };
        let change = Change {
            effect,
            flow,
            current: side,
            proposed: side,
            first_frame: frame,
            times: time.map(|time| (time, time)),
            packets: 1,
            bytes: 100,
            continued: false,
            instead_of: None,
            selected: true,
            numbers: [None; 2],
            last_frame: frame,
        };
        SharedChange { change, timed: time.map(|time| (frame, time)) }
    }

    /// The first packet says what the change is, the first with a time when it began, whichever part has them.
    #[test]
    fn packets_of_several_flows_make_one_change_in_any_order() {
        let packets = || {
            [
                packet(5, None, Effect::NewlyDenied),
                packet(6, Some(70), Effect::OtherRule),
                packet(9, Some(60), Effect::NewlyAllowed),
            ]
        };
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1]] {
            let mut shared = SharedChanges::default();
            for n in order {
                if let Some(packet) = packets().into_iter().nth(n) {
                    shared.add(packet);
                }
            }
            let all: Vec<Change> = shared.0.into_values().map(|of| of.change).collect();
            let [change] = all.as_slice() else { panic!("{all:?}") };
            let Change { effect, first_frame, last_frame, times, packets, bytes, .. } = change;
            assert_eq!((*effect, *first_frame, *last_frame), (Effect::NewlyDenied, 5, 9));
            assert_eq!((*times, *packets, *bytes), (Some((70, 70)), 3, 300));
        }
    }
}
