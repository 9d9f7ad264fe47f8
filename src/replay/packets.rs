//! A packet at its evaluation points, reassembled from fragments where it is one.

use super::Replay;
use super::points::EvaluationPoints;
use crate::capture::Frame;
use crate::decode::{Decoded, Undecodable};
use crate::flow::{Fragment, Packet};
use crate::session::{self, SessionSlot};
use crate::verdict::{Judged, Judgement, Reason, Verdict};

impl Replay<'_> {
    #[inline]
    pub(super) fn evaluate_at(
        &mut self,
        frame: &Frame<'_>,
        decoded: &Decoded,
        points: &EvaluationPoints,
        judged: &mut Judged,
    ) {
        let now = frame.time_ns.unwrap_or(self.now);
        if now.saturating_sub(self.now) > session::INTERRUPTION {
            self.openings.resume(now);
        }
        self.now = now;
        self.frame = frame.number;
        match (decoded, points) {
            (Decoded::Failed(Undecodable { why, .. }), _) => {
                *judged = Judged::NotEvaluated((*why).into());
            }
            (Decoded::Packet(_), None) => *judged = Judged::NotEvaluated(Reason::NotLocal),
            (Decoded::Packet(packet), Some(points)) if packet.fragment == Fragment::No => {
                self.judge_packet(frame, packet, points, judged);
            }
            (Decoded::Packet(packet), Some(points)) => {
                self.judge_fragment(frame, packet, points, judged);
            }
        }
    }

    /// Judges a fragment with the ports of its first fragment.
    #[cold]
    fn judge_fragment(
        &mut self,
        frame: &Frame<'_>,
        packet: &Packet,
        (first, second): &(SessionSlot, Option<SessionSlot>),
        judged: &mut Judged,
    ) {
        let Some(packet) = self.fragments.complete(*packet, self.now) else {
            *judged = Judged::NotEvaluated(Reason::FragmentWithoutFirst);
            return;
        };
        let place = |of: &SessionSlot| {
            self.sessions.places().slot(of.interface(), of.direction(), &packet.flow)
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
        self.openings.observe(packet, frame.time_ns);
        if let Some(log) = frame.log {
            self.openings.observe_record(packet, log);
        }
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
        if self.has_acls {
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
            self.sessions.deny_elsewhere(let_through, packet);
        }
    }
}
