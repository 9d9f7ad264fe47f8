//! A packet at its evaluation points, reassembled from fragments where it is one.

use super::assign::Known;
use super::points::EvaluationPoints;
use super::shard::Judge;
use crate::capture::Frame;
use crate::decode::{Decoded, Undecodable};
use crate::flow::{Fragment, Packet};
use crate::session::SessionSlot;
use crate::verdict::{Judged, Judgement, Reason, Verdict};

impl Judge<'_, '_> {
    #[inline]
    pub(super) fn evaluate_at(
        &mut self,
        frame: &Frame<'_>,
        decoded: &Decoded,
        points: &EvaluationPoints,
        known: Option<&Known>,
        judged: &mut Judged,
    ) {
        let now = frame.time_ns.or_else(|| known.map(|of| of.now));
        self.shard.now = now.unwrap_or(self.shard.now);
        self.shard.frame = frame.number;
        if let Some(known) = known {
            // INVARIANT: of every ICMP error something is known.
            self.shard.quoted = known.quoted;
        }
        match (decoded, points) {
            (Decoded::Failed(Undecodable { why, .. }), _) => {
                *judged = Judged::NotEvaluated((*why).into());
            }
            (Decoded::Packet(_), None) => *judged = Judged::NotEvaluated(Reason::NotLocal),
            (Decoded::Packet(packet), Some(points)) if packet.fragment == Fragment::No => {
                self.judge_packet(frame, packet, points, judged);
            }
            (Decoded::Packet(_), Some(points)) => {
                self.judge_fragment(frame, known, points, judged);
            }
        }
    }

    /// Judges a fragment with the ports of its first fragment.
    #[cold]
    fn judge_fragment(
        &mut self,
        frame: &Frame<'_>,
        known: Option<&Known>,
        (first, second): &(SessionSlot, Option<SessionSlot>),
        judged: &mut Judged,
    ) {
        let Some(packet) = known.and_then(|known| known.completed) else {
            *judged = Judged::NotEvaluated(Reason::FragmentWithoutFirst);
            return;
        };
        let place = |of: &SessionSlot| {
            self.shard.sessions.places().slot(of.interface(), of.direction(), &packet.flow)
        };
        let points = (place(first), second.as_ref().map(place));
        self.judge_packet(frame, &packet, &points, judged);
    }

    #[inline]
    fn judge_packet(
        &mut self,
        frame: &Frame<'_>,
        packet: &Packet,
        (first, second): &(SessionSlot, Option<SessionSlot>),
        judged: &mut Judged,
    ) {
        let mut opens = None;
        let judgement = |judgement| *judged = Judged::At(judgement, None);
        self.judge_at(first, frame, packet, &mut opens, judgement);
        if let (Some(second), Judged::At(_, at_second)) = (second, &mut *judged) {
            let judgement = |judgement| *at_second = Some(judgement);
            self.judge_at(second, frame, packet, &mut opens, judgement);
            if opens.is_some() {
                self.note_denied_elsewhere(first, second, packet, judged);
            }
        }
        if self.setup.has_acls {
            self.judge_replies((first, second.as_ref()), packet, judged);
        }
    }

    /// Both ends must let a connection open (SEMANTICS A5): where one denies it, it never existed at the other, and
    /// the other end's own opening is judged there anew.
    #[cold]
    fn note_denied_elsewhere(
        &mut self,
        first: &SessionSlot,
        second: &SessionSlot,
        packet: &Packet,
        judged: &Judged,
    ) {
        let Judged::At(at_first, Some(at_second)) = judged else { return };
        let opened = |of: &Judgement| of.opened.is_some();
        if opened(at_first) && opened(at_second) && at_first.verdict != at_second.verdict {
            let let_through = if at_first.verdict == Verdict::Allow { first } else { second };
            self.shard.sessions.deny_elsewhere(let_through, packet);
        }
    }
}
