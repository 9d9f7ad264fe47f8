//! The results of a run.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::Stats;
use super::counts::{ByVerdict, Count};
use super::flow_class::FlowClass;
use super::unevaluated::{Hidden, TunnelName, Unevaluated, UnevaluatedCount};
use crate::decode::tunnel_of;
use crate::doubts::Doubts;
use crate::flow::Direction;
use crate::rules::EntryIndex;
use crate::session::Opening;
use crate::verdict::{Reason, Verdict};

impl Stats {
    /// Connections (without sessions: packets) between members of a group that a custom egress rule
    /// denies, and that intra-group access would allow if it went first (SEMANTICS F1).
    pub fn open_question(&self) -> u64 {
        self.open_question
    }

    /// Connections that were allowed, and answers of which a network ACL stops; they are among the denied ones.
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// Packets by verdict.
    pub fn packets(&self) -> ByVerdict {
        let mut packets = ByVerdict::default();
        for (verdict, reasons) in Verdict::ALL.iter().copied().zip(self.answers) {
            packets.add(verdict, reasons.iter().sum());
        }
        packets
    }

    /// Connections by verdict; none without sessions.
    pub fn connections(&self) -> ByVerdict {
        self.connections
    }

    /// Packets without SYN after their connection closed, by verdict: they are among [`Self::packets`] and belong to
    /// no connection (SEMANTICS F16).
    pub fn strays(&self) -> ByVerdict {
        self.strays
    }

    /// Frames that carry or hide traffic and were not evaluated.
    pub fn unevaluated(&self) -> &Unevaluated {
        &self.unevaluated
    }

    /// Packets of tunnels that were judged as they are, by the name of the tunnel.
    pub fn tunnelled(&self) -> Vec<UnevaluatedCount> {
        let mut found = Unevaluated::default();
        for (kind, count) in self.flow_classes() {
            if let Some(name) = tunnel_of(&kind.example) {
                found.note(Hidden::Tunnel(TunnelName(name)), count.packets, kind.first_frame);
            }
        }
        found.counts()
    }

    /// Packets by reason, those that occurred, in the order of [`Reason::ALL`].
    pub fn reasons(&self) -> impl Iterator<Item = (Reason, u64)> {
        let packets =
            |position: usize| self.answers.iter().filter_map(move |of| of.get(position)).sum();
        let counts = Reason::ALL.iter().copied().enumerate();
        counts.map(move |(position, reason)| (reason, packets(position))).filter(|(_, n)| *n > 0)
    }

    /// Connections already under way when the capture started, by how their initiator was inferred.
    pub fn midstream(&self) -> impl Iterator<Item = (Opening, u64)> {
        Opening::INFERRED.into_iter().zip(self.midstream).filter(|(_, count)| *count > 0)
    }

    /// Connections whose far end may be a member of too many groups to ask about, and the first frame of the first.
    pub fn unweighed(&self) -> Option<(u64, u64)> {
        self.unweighed
    }

    /// Connections that are allowed, and packets that are allowed alone, which would be denied if their far end were a
    /// member of a group of which nobody has said who is (SEMANTICS F26).
    pub fn may_be_denied(&self) -> &Doubts {
        &self.doubts[1]
    }

    /// Those that are denied, and would be allowed.
    pub fn may_be_allowed(&self) -> &Doubts {
        &self.doubts[0]
    }

    /// Connections whose initiator is unknown ([`Opening::FirstSender`]) and decides the verdict, and the first frame of
    /// the first of them.
    pub fn guessed(&self) -> Option<(u64, u64)> {
        let first_senders = self.midstream().find(|(how, _)| *how == Opening::FirstSender);
        // At two interfaces it is noted twice; one that is not selected is not counted.
        self.guessed.zip(first_senders).map(|((n, frame), (_, most))| (n.min(most), frame))
    }

    /// Bytes on the wire.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Earliest and latest time, ns since the epoch; `None` where no packet has one.
    pub fn times(&self) -> Option<(u64, u64)> {
        (self.times.0 <= self.times.1).then_some(self.times)
    }

    /// What each entry decided, by interface and direction, the packets of the connections that it let
    /// open or denied included. Entries that decided nothing are not in it.
    pub fn by_entry(&self) -> HashMap<(usize, Direction, EntryIndex), Count, FixedState> {
        let mut counts = HashMap::<_, Count, _>::default();
        for (FlowClass { interface, direction, entry, .. }, count) in self.flow_classes() {
            let sum = counts.entry((*interface, *direction, *entry)).or_default();
            *sum = *sum + count;
        }
        #[expect(clippy::iter_over_hash_type, reason = "sums do not depend on the order")]
        for (key, count) in &self.replies {
            let sum = counts.entry(*key).or_default();
            *sum = *sum + *count;
        }
        counts
    }

    /// The kinds of connections, in order of first appearance.
    pub fn flow_classes(&self) -> impl Iterator<Item = (&FlowClass, Count)> {
        let counted = self.kinds.iter().zip(&self.counters);
        counted.map(|(kind, of)| (&kind.class, of.count)).filter(|(_, count)| count.packets > 0)
    }
}
