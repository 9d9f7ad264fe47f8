//! Replies of allowed connections, which network ACLs judge by themselves.

use super::shard::Judge;
use crate::flow::Packet;
use crate::rules::Policy;
use crate::session::SessionSlot;
use crate::stats::Special;
use crate::verdict::{Judged, Judgement, Reason, Reply, Stopped, Verdict};

impl Judge<'_, '_> {
    /// Judges a reply of an allowed connection by the network ACLs, which are stateless (SEMANTICS H6).
    pub(super) fn judge_replies(
        &mut self,
        (first, second): (&SessionSlot, Option<&SessionSlot>),
        packet: &Packet,
        judged: &mut Judged,
    ) {
        let Judged::At(at_first, at_second) = judged else { return };
        let is_cut = |place: &SessionSlot, judgement: &Judgement| {
            judgement.reason == Reason::ConnectionDenied
                || self.shard.sessions.is_stopped(place, &packet.flow)
        };
        let mut cut = is_cut(first, at_first)
            || second.zip(at_second.as_ref()).is_some_and(|(place, at)| is_cut(place, at));
        self.judge_reply(first, packet, at_first, cut);
        cut |= at_first.is_stopped();
        if let Some((place, judgement)) = second.zip(at_second.as_mut()) {
            self.judge_reply(place, packet, judgement, cut);
        }
    }

    /// The same at one interface. `cut`: another interface has stopped a reply before, or has denied the connection.
    fn judge_reply(
        &mut self,
        place: &SessionSlot,
        packet: &Packet,
        judgement: &mut Judgement,
        cut: bool,
    ) {
        let (interface, direction) = (place.interface(), place.direction());
        // An error about a packet is no packet of its connection.
        let is_error = packet.flow.is_icmp_error() && judgement.connection.is_some();
        if judgement.verdict != Verdict::Allow
            || judgement.direction == judgement.decided_in && !is_error
        {
            return;
        }
        let lists = self.setup.lists(interface);
        let Some(entry) = lists.find_reply_entry(direction, &packet.flow) else { return };
        let Some(decides) = lists.list(direction).0.entry(entry) else { return };
        let (opened_as, mut stopped, mut other_entry) = (judgement.flow_class, Stopped::No, entry);
        if decides.policy == Policy::Drop {
            (judgement.verdict, judgement.reason) = (Verdict::Deny, decides.kind.into());
            judgement.decided_in = direction;
            other_entry = std::mem::replace(&mut judgement.entry, entry);
            stopped = match (is_error || self.shard.sessions.mark_stopped(place, &packet.flow), cut)
            {
                (true, _) => Stopped::Again,
                (false, true) => Stopped::FirstHere,
                (false, false) => Stopped::First,
            };
            let opening = packet.flow.reversed();
            judgement.flow_class =
                self.flow_class(interface, entry, &opening, direction, Special::Reply);
        }
        judgement.reply = Some(Reply { other_entry, opened_as, stopped });
    }
}
