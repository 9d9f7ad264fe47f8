//! The decision of the rules on one packet.

use std::net::IpAddr;

use super::lists::Lists;
use super::setup::Setup;
use super::shard::{Judge, Shard};
use crate::evaluate::Evaluator;
use crate::flow::{Direction, FlowTuple};
use crate::rules::{Builtin, Entry, EntryIndex, EntryKind};
use crate::stats::Special;
use crate::verdict::{Judgement, Reason, Verdict};

/// The decision of the rules on a packet that opens a connection, or is judged by itself.
pub(super) struct Decision {
    pub(super) verdict: Verdict,
    pub(super) reason: Reason,
    pub(super) entry: EntryIndex,
    /// The flow class of the connection: see [`Stats::flow_class`](crate::stats::Stats::flow_class).
    pub(super) flow_class: u32,
}

impl Decision {
    /// The judgement of a packet by itself.
    #[inline]
    pub(super) fn judgement(
        self,
        interface: usize,
        direction: Direction,
        stray: bool,
    ) -> Judgement {
        let Self { verdict, reason, entry, flow_class } = self;
        Judgement {
            interface,
            direction,
            verdict,
            reason,
            decided_in: direction,
            entry,
            connection: None,
            local_began: direction == Direction::Egress,
            opened: None,
            stray,
            reply: None,
            flow_class,
        }
    }
}

#[expect(
    clippy::indexing_slicing,
    reason = "interfaces are positions in the rule set, and there is one element for each, and for each list"
)]
impl Setup<'_> {
    /// The lists of an interface.
    #[inline]
    pub(super) fn lists(&self, interface: usize) -> &Lists {
        &self.lists[self.shared.of_interfaces()[interface]]
    }

    /// The entry that decides at an interface.
    #[inline]
    pub(super) fn find_entry(
        &self,
        interface: usize,
        direction: Direction,
        flow: &FlowTuple,
    ) -> EntryIndex {
        let lists = self.lists(interface);
        let (_, compiled) = lists.list(direction);
        let entry = compiled.decide(flow);
        // Only entries about members match more than they do at the interface.
        if lists.is_about_members(direction, entry)
            && self.interfaces.has(interface, flow.peer(direction))
        {
            return self.find_entry_without_own(interface, direction, flow);
        }
        entry
    }

    /// The same for a packet between addresses of one interface, which is no member of its own groups.
    #[cold]
    fn find_entry_without_own(
        &self,
        interface: usize,
        direction: Direction,
        flow: &FlowTuple,
    ) -> EntryIndex {
        self.find_entry_among(interface, direction, flow, |_| true)
    }

    /// The same among some of the entries, one after the other.
    fn find_entry_among(
        &self,
        interface: usize,
        direction: Direction,
        flow: &FlowTuple,
        is_among: impl Fn(&Entry) -> bool,
    ) -> EntryIndex {
        let (ordered, _) = self.lists(interface).list(direction);
        let decides = |entry: &Entry| {
            is_among(entry)
                && entry.matcher.fails_on(flow, direction).is_none()
                && self.rules.is_met_at(interface, entry, flow.peer(direction))
        };
        let position = ordered.entries().iter().position(decides);
        EntryIndex(position.and_then(|at| u32::try_from(at).ok()).unwrap_or(u32::MAX))
    }

    /// Whether another member of its groups has the address.
    #[cold]
    pub(super) fn has_fellow_member(&self, interface: usize, addr: IpAddr) -> bool {
        let may_be = self.lists(interface).members.contains(addr);
        // The interface itself is among the members.
        may_be
            && (!self.interfaces.has(interface, addr)
                || self.rules.has_fellow_member(interface, addr))
    }
}

impl Judge<'_, '_> {
    /// Evaluates the rules on a packet.
    #[inline]
    pub(super) fn decide(
        &mut self,
        interface: usize,
        direction: Direction,
        flow: &FlowTuple,
        special: Special,
    ) -> Decision {
        let entry = self.setup.find_entry(interface, direction, flow);
        self.make_decision(interface, direction, flow, entry, special)
    }

    /// Evaluates the rules on a packet that may have crossed a router: neighbour discovery is exempt only on its own
    /// link (SEMANTICS F19).
    #[cold]
    pub(super) fn decide_routed(
        &mut self,
        interface: usize,
        direction: Direction,
        flow: &FlowTuple,
        special: Special,
    ) -> Decision {
        let crosses_routers =
            |entry: &Entry| entry.kind != EntryKind::System(Builtin::NeighbourDiscovery);
        let entry = self.setup.find_entry_among(interface, direction, flow, crosses_routers);
        self.make_decision(interface, direction, flow, entry, special)
    }

    /// The decision of an entry.
    #[inline]
    fn make_decision(
        &mut self,
        interface: usize,
        direction: Direction,
        flow: &FlowTuple,
        entry: EntryIndex,
        special: Special,
    ) -> Decision {
        let (ordered, _) = self.setup.lists(interface).list(direction);
        let (verdict, reason) = decision_of_entry(ordered.entry(entry));
        let is_denied_egress = direction == Direction::Egress && verdict == Verdict::Deny;
        if is_denied_egress && self.setup.has_fellow_member(interface, flow.dst) {
            self.shard.stats.count_open_question();
        }
        let flow_class = self.flow_class(interface, entry, flow, direction, special);
        Decision { verdict, reason, entry, flow_class }
    }

    /// The flow class of the packet that is judged.
    #[inline]
    pub(super) fn flow_class(
        &mut self,
        interface: usize,
        entry: EntryIndex,
        flow: &FlowTuple,
        direction: Direction,
        special: Special,
    ) -> u32 {
        let Shard { stats, frame, .. } = &mut *self.shard;
        stats.flow_class(interface, entry, flow, direction, special, *frame)
    }
}

/// The verdict and the reason of an entry; every packet matches one.
#[inline]
pub(super) fn decision_of_entry(entry: Option<&Entry>) -> (Verdict, Reason) {
    match entry {
        Some(Entry { policy, kind, .. }) => ((*policy).into(), (*kind).into()),
        None => (Verdict::Deny, Reason::Default),
    }
}
