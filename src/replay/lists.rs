//! The lists that packets are held against, ordered and compiled once for all interfaces that share them.

use crate::direction::AddressSet;
use crate::evaluate::{Compiled, Evaluator};
use crate::flow::{Direction, FlowTuple};
use crate::rules::{Assumption, Entry, EntryIndex, Ordered, RuleSet};

/// The lists of interfaces that share them, ordered and compiled.
#[derive(Debug)]
pub(super) struct Lists {
    pub(super) ingress: (Ordered, Compiled),
    pub(super) egress: (Ordered, Compiled),
    /// The network ACL for replies, if there is one, and the position of its first entry among all.
    pub(super) ingress_replies: Option<(Compiled, u32)>,
    pub(super) egress_replies: Option<(Compiled, u32)>,
    /// Members of its groups, for open question F1.
    pub(super) members: AddressSet,
    /// Which entries match members of its groups, ingress first: an interface is no member to itself. Empty where none
    /// does.
    about_members: [Vec<bool>; 2],
}

impl Lists {
    /// Orders and compiles the lists of an interface.
    pub(super) fn new(rules: &RuleSet, interface: usize, index_memory: usize) -> Self {
        let compiled = |direction| {
            let ordered = rules.ordered_for_all(interface, direction, &Assumption::default());
            let compiled = Compiled::within(&ordered, index_memory);
            let Some(stateless) = rules.stateless(interface, direction) else {
                return ((ordered, compiled), None);
            };
            let first = u32::try_from(ordered.entries().len()).unwrap_or(u32::MAX);
            let replies = Compiled::within(&stateless, index_memory);
            ((ordered.followed_by(&stateless), compiled), Some((replies, first)))
        };
        let (ingress, ingress_replies) = compiled(Direction::Ingress);
        let (egress, egress_replies) = compiled(Direction::Egress);
        let is_met = |of: &Entry| of.is_about_members() && !of.has_no_members();
        let about_members = [&ingress, &egress].map(|(ordered, _)| {
            let entries: Vec<bool> = ordered.entries().iter().map(is_met).collect();
            if entries.contains(&true) { entries } else { Vec::new() }
        });
        let members = AddressSet::new(rules.group_members(interface));
        Self { ingress, egress, ingress_replies, egress_replies, members, about_members }
    }

    #[inline]
    pub(super) fn list(&self, direction: Direction) -> &(Ordered, Compiled) {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    /// Whether an entry matches members of its groups.
    #[inline]
    pub(super) fn is_about_members(&self, direction: Direction, entry: EntryIndex) -> bool {
        let [ingress, egress] = &self.about_members;
        let entries = match direction {
            Direction::Ingress => ingress,
            Direction::Egress => egress,
        };
        entries.get(entry.0 as usize).copied().unwrap_or_default()
    }

    /// The entry of the network ACL that decides on a reply.
    pub(super) fn find_reply_entry(
        &self,
        direction: Direction,
        flow: &FlowTuple,
    ) -> Option<EntryIndex> {
        let replies = match direction {
            Direction::Ingress => &self.ingress_replies,
            Direction::Egress => &self.egress_replies,
        };
        let (compiled, first) = replies.as_ref()?;
        Some(EntryIndex(first.saturating_add(compiled.decide(flow).0)))
    }
}
