//! A packet at one interface: of a live session, the first of a connection, or judged by itself.

use super::shard::Judge;
use super::{Midstream, Sessions};
use crate::capture::{Frame, LogRecord};
use crate::flow::{Direction, Packet, Protocol, Transport};
use crate::rules::{EntryIndex, EntryKind};
use crate::session::{self, Initiator, Opened, Opening, SessionMatch, SessionSlot};
use crate::stats::{Hidden, Special};
use crate::verdict::{Judgement, Reason, Verdict};

#[expect(
    clippy::indexing_slicing,
    reason = "interfaces are positions in the rule set, and there is one element for each, and for each list"
)]
impl Judge<'_, '_> {
    /// Judges a packet at one interface. `opens` is the number of the connection that it has opened at its
    /// other end. `put` writes the judgement in place, since moving one takes longer than finding it.
    #[inline]
    pub(super) fn judge_at(
        &mut self,
        place: &SessionSlot,
        frame: &Frame<'_>,
        packet: &Packet,
        opens: &mut Option<u64>,
        put: impl FnOnce(Judgement),
    ) {
        if self.setup.options.sessions == Sessions::Off {
            return put(self.judge_alone(place, packet, Special::No));
        }
        if matches!(packet.flow.transport, Transport::Icmp { .. })
            && !session::is_tracked_icmp(&packet.flow)
        {
            return put(self.judge_untracked_icmp(place, packet));
        }
        // SEMANTICS A5.
        match self.shard.sessions.track(place, packet, self.shard.now) {
            SessionMatch::Live(opened) => {
                put(judge_in_session(place, opened, self.shard.stats.entry_of(opened.flow_class)));
            }
            SessionMatch::AfterClose => put(self.judge_alone(place, packet, Special::Stray)),
            other => put(self.judge_opening(place, packet, frame.log, other, opens)),
        }
    }

    /// Judges an ICMP message that is neither query nor reply. An error gets the verdict of the session that the packet
    /// it quotes belongs to (SEMANTICS F18); every other message is judged by itself. Errors that always pass do so by
    /// system traffic (A8).
    #[cold]
    fn judge_untracked_icmp(&mut self, at: &SessionSlot, packet: &Packet) -> Judgement {
        let related = packet.flow.is_icmp_error().then(|| self.judge_related_error(at, packet));
        related.flatten().unwrap_or_else(|| self.judge_alone(at, packet, Special::No))
    }

    fn judge_related_error(&self, at: &SessionSlot, error: &Packet) -> Option<Judgement> {
        let quoted = self.shard.quoted?;
        let (interface, direction) = (at.interface(), at.direction());
        let place = self.shard.sessions.places().slot(interface, direction.opposite(), &quoted);
        let opened = self.shard.sessions.at(&place, &quoted, self.shard.now)?;
        let (ordered, _) = self.setup.lists(interface).list(direction);
        let entry = ordered.entry(self.setup.find_entry(interface, direction, &error.flow));
        let always = entry.is_some_and(|entry| matches!(entry.kind, EntryKind::System(_)));
        (!always)
            .then(|| judge_in_session(at, opened, self.shard.stats.entry_of(opened.flow_class)))
    }

    /// Judges a packet of no live session: it opens one, or its connection began before the capture.
    fn judge_opening(
        &mut self,
        place: &SessionSlot,
        packet: &Packet,
        log: Option<&LogRecord>,
        session_match: SessionMatch,
        opens: &mut Option<u64>,
    ) -> Judgement {
        let (interface, direction) = (place.interface(), place.direction());
        let timeouts = &self.setup.rules.interfaces()[interface].timeouts;
        let (initiator, opening) = match (session_match, self.setup.options.midstream) {
            (_, Midstream::Infer) if let Some(log) = log => {
                self.setup.openings.initiator_of_record(packet, self.shard.frame, log)
            }
            (SessionMatch::Unknown, Midstream::Infer) => {
                self.setup.openings.initiator(packet, self.shard.frame, self.shard.now, timeouts)
            }
            (SessionMatch::Unknown, Midstream::FirstPacket)
                if packet.tcp_flags.is_some_and(|flags| !flags.opens()) =>
            {
                (Initiator::Sender, Opening::FirstSender)
            }
            _ => (Initiator::Sender, Opening::Seen),
        };
        // A packet cut before its TCP flags may or may not open a connection.
        if (packet.flow.proto, packet.tcp_flags) == (Protocol::TCP, None) && log.is_none() {
            self.shard.stats.note_unevaluated(Hidden::Truncated, self.shard.frame);
        }
        // No reply opens a connection: an unsolicited one is judged by itself (SEMANTICS F17).
        if (initiator, log) == (Initiator::Sender, None) && session::is_icmp_reply(&packet.flow) {
            return self.judge_alone(place, packet, Special::No);
        }
        let (flow, judged) = match initiator {
            Initiator::Sender => (packet.flow, direction),
            Initiator::Receiver => (packet.flow.reversed(), direction.opposite()),
        };
        let mut decision = self.decide(interface, judged, &flow, Special::No);
        if decision.verdict == Verdict::Allow
            && self.setup.options.max_sessions.is_some()
            && !self.shard.sessions.has_room(place, &packet.flow, self.shard.now)
        {
            decision.verdict = Verdict::Deny;
            decision.reason = Reason::SessionLimit;
            let special = Special::SessionLimit;
            decision.flow_class =
                self.flow_class(interface, decision.entry, &flow, judged, special);
        }
        let guessed =
            opening == Opening::FirstSender && self.setup.options.midstream == Midstream::Infer;
        if guessed || self.setup.has_unknown_members {
            self.note_doubts(interface, judged, &flow, &decision, guessed);
        }
        let connection = *opens.get_or_insert_with(|| self.shard.stats.next_connection());
        let opened = Opened {
            connection,
            allowed: decision.verdict == Verdict::Allow,
            direction: judged,
            flow_class: decision.flow_class,
        };
        self.shard.sessions.open(place, packet, self.shard.now, opened);
        Judgement {
            interface,
            direction,
            verdict: decision.verdict,
            reason: decision.reason,
            decided_in: judged,
            entry: decision.entry,
            connection: Some(connection),
            local_began: judged == Direction::Egress,
            opened: Some((opening, flow)),
            stray: false,
            reply: None,
            flow_class: decision.flow_class,
        }
    }

    /// Judges a packet by itself, regardless of connections.
    fn judge_alone(&mut self, place: &SessionSlot, packet: &Packet, special: Special) -> Judgement {
        let (interface, direction) = (place.interface(), place.direction());
        let mut decision = self.decide(interface, direction, &packet.flow, special);
        if decision.reason == Reason::System && !packet.crossed_no_router() {
            decision = self.decide_routed(interface, direction, &packet.flow, special);
        }
        if self.setup.has_unknown_members && special != Special::Stray {
            self.note_doubts(interface, direction, &packet.flow, &decision, false);
        }
        decision.judgement(interface, direction, special == Special::Stray)
    }
}

/// The judgement of a packet of a known session.
#[inline]
fn judge_in_session(at: &SessionSlot, opened: Opened, entry: EntryIndex) -> Judgement {
    let (verdict, reason) = match opened.allowed {
        true => (Verdict::Allow, Reason::Session),
        false => (Verdict::Deny, Reason::ConnectionDenied),
    };
    Judgement {
        interface: at.interface(),
        direction: at.direction(),
        verdict,
        reason,
        decided_in: opened.direction,
        entry,
        connection: Some(opened.connection),
        local_began: opened.direction == Direction::Egress,
        opened: None,
        stray: false,
        reply: None,
        flow_class: opened.flow_class,
    }
}
