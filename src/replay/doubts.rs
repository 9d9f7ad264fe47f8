//! Verdicts that are in doubt: an initiator that is only inferred, members of groups that are not known.

use super::Replay;
use super::decision::Decision;
use crate::doubts::{Alternative, Supposition, UnknownMembers, Weighed};
use crate::flow::{Direction, FlowTuple};
use crate::rules::{RuleSet, SharedLists};
use crate::verdict::{Reason, Verdict};

/// The groups with unknown members that each list refers to, ingress first.
pub(super) fn unknown_members(
    rules: &RuleSet,
    shared: &SharedLists,
    with_members: bool,
) -> Vec<[UnknownMembers; 2]> {
    let of = |interface: &usize| {
        [Direction::Ingress, Direction::Egress]
            .map(|direction| UnknownMembers::new(rules, *interface, direction, with_members))
    };
    shared.first_interfaces().iter().map(of).collect()
}

#[expect(
    clippy::indexing_slicing,
    reason = "interfaces are positions in the rule set, and there is one element for each, and for each list"
)]
impl Replay<'_> {
    /// Counts a connection that would get another verdict if its other end were the initiator, where the initiator is
    /// `guessed`, or if its far end were a member of a group with unknown members (SEMANTICS F26).
    #[cold]
    pub(super) fn note_doubts(
        &mut self,
        interface: usize,
        judged: Direction,
        flow: &FlowTuple,
        decision: &Decision,
        guessed: bool,
    ) {
        // The session table is full, which does not depend on who began the connection.
        if decision.reason == Reason::SessionLimit {
            return;
        }
        let mut weighed = Vec::new();
        let mut all = self.weigh_members(interface, judged, flow, &mut weighed, false);
        if guessed {
            let (other, reversed) = (judged.opposite(), flow.reversed());
            let (ordered, _) = self.lists(interface).list(other);
            let entry = ordered.entry(self.find_entry(interface, other, &reversed));
            let otherwise = entry.map_or(Verdict::Deny, |entry| entry.policy.into());
            if otherwise != decision.verdict {
                self.stats.note_guess(self.frame);
            }
            let supposed = Supposition { receiver_began: true, ..Supposition::default() };
            weighed.push((supposed, otherwise));
            all &= self.weigh_members(interface, other, &reversed, &mut weighed, true);
        }
        if !all {
            self.stats.note_unweighed(self.frame);
        }
        for (supposed, verdict) in weighed {
            if verdict != decision.verdict && !supposed.members_of.is_empty() {
                self.stats.note_doubt(verdict, supposed.clone(), self.frame);
            }
            if let Some(kept) = &mut self.alternatives {
                kept.push(Alternative { frame: self.frame, supposed, verdict });
            }
        }
    }

    /// Adds the verdicts of an opening packet by the groups that its far end may be a member of. Returns whether all
    /// were evaluated.
    fn weigh_members(
        &mut self,
        interface: usize,
        direction: Direction,
        flow: &FlowTuple,
        weighed: &mut Weighed,
        receiver_began: bool,
    ) -> bool {
        // The groups of a listed interface are known.
        let is_listed = self.interfaces.find(flow.peer(direction)).is_some();
        let list = self.shared.of_interfaces()[interface];
        let unknown = &mut self.unknown_members[list][direction as usize];
        if is_listed || unknown.is_empty() {
            return true;
        }
        let memory = self.options.index_memory;
        let Some(verdicts) = unknown.verdicts((self.rules, interface), flow, direction, memory)
        else {
            return false;
        };
        let supposed = |members_of| Supposition { receiver_began, members_of };
        weighed.extend(verdicts.into_iter().map(|(of, verdict)| (supposed(of), verdict)));
        true
    }
}
