//! Tuples judged by themselves, without statistics.

use super::Replay;
use super::decision::{Decision, decision_of_entry};
use super::setup::Setup;
use crate::flow::{Direction, FlowTuple};
use crate::verdict::{Judged, Judgement, Reason, Verdict};

impl Replay<'_> {
    /// Judges a tuple by itself, as [`Sessions::Off`](super::Sessions::Off) judges a packet that crossed no router, and
    /// counts nothing. `None` where the verdict depends on something unknown: [`Replay::judge`] counts it.
    #[inline]
    pub fn judge_tuple(&self, flow: &FlowTuple) -> Option<Judged> {
        self.setup.judge_tuple(flow)
    }
}

impl Setup<'_> {
    #[inline]
    fn judge_tuple(&self, flow: &FlowTuple) -> Option<Judged> {
        if self.has_unknown_members {
            return None;
        }
        let [sender, receiver] = match self.by_frame {
            false => self.interfaces.judging(flow, None),
            true => self.find_interfaces_of_tuple(flow),
        };
        let at = |interface, direction| self.judge_tuple_at(interface, direction, flow);
        Some(match (sender, receiver) {
            (None, None) => Judged::NotEvaluated(Reason::NotLocal),
            (Some(sender), None) => Judged::At(at(sender, Direction::Egress)?, None),
            (None, Some(receiver)) => Judged::At(at(receiver, Direction::Ingress)?, None),
            (Some(sender), Some(receiver)) => {
                let second = at(receiver, Direction::Ingress)?;
                Judged::At(at(sender, Direction::Egress)?, Some(second))
            }
        })
    }

    fn judge_tuple_at(
        &self,
        interface: usize,
        direction: Direction,
        flow: &FlowTuple,
    ) -> Option<Judgement> {
        let (ordered, _) = self.lists(interface).list(direction);
        let entry = self.find_entry(interface, direction, flow);
        let (verdict, reason) = decision_of_entry(ordered.entry(entry));
        let is_denied_egress = direction == Direction::Egress && verdict == Verdict::Deny;
        if is_denied_egress && self.has_fellow_member(interface, flow.dst) {
            return None;
        }
        let decision = Decision { verdict, reason, entry, flow_class: 0 };
        Some(decision.judgement(interface, direction, false))
    }
}
