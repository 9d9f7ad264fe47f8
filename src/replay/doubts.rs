//! Verdicts that are in doubt: an initiator that is only inferred, members of groups that are not known.

use super::decision::Decision;
use super::shard::Judge;
use crate::doubts::{Alternative, Supposition, Weighed};
use crate::flow::{Direction, FlowTuple};
use crate::verdict::{Reason, Verdict};

#[expect(
    clippy::indexing_slicing,
    reason = "interfaces are positions in the rule set, and there is one element for each, and for each list"
)]
impl Judge<'_, '_> {
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
            let (ordered, _) = self.setup.lists(interface).list(other);
            let entry = ordered.entry(self.setup.find_entry(interface, other, &reversed));
            let otherwise = entry.map_or(Verdict::Deny, |entry| entry.policy.into());
            if otherwise != decision.verdict {
                self.shard.stats.note_guess(self.shard.frame);
            }
            let supposed = Supposition { receiver_began: true, ..Supposition::default() };
            weighed.push((supposed, otherwise));
            all &= self.weigh_members(interface, other, &reversed, &mut weighed, true);
        }
        if !all {
            self.shard.stats.note_unweighed(self.shard.frame);
        }
        for (supposed, verdict) in weighed {
            if verdict != decision.verdict && !supposed.members_of.is_empty() {
                self.shard.stats.note_doubt(verdict, supposed.clone(), self.shard.frame);
            }
            if let Some(kept) = &mut self.shard.alternatives {
                kept.push(Alternative { frame: self.shard.frame, supposed, verdict });
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
        let is_listed = self.setup.interfaces.find(flow.peer(direction)).is_some();
        let list = self.setup.shared.of_interfaces()[interface];
        let unknown = &self.setup.unknown_members[list][direction as usize];
        if is_listed || unknown.is_empty() {
            return true;
        }
        let memory = self.setup.options.index_memory;
        let worlds = self.shard.worlds.entry((list, direction)).or_default();
        let rules = (self.setup.rules, interface);
        let Some(verdicts) = unknown.verdicts(worlds, rules, flow, direction, memory) else {
            return false;
        };
        let supposed = |members_of| Supposition { receiver_began, members_of };
        weighed.extend(verdicts.into_iter().map(|(of, verdict)| (supposed(of), verdict)));
        true
    }
}
