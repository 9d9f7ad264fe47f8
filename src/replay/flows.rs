//! Packets of one connection after another: the judgement of a cluster, which has sorted them so.

use super::assign::Known;
use super::options::Options;
use super::setup::Setup;
use super::shard::{Judge, Shard};
use crate::capture::Frame;
use crate::decode::Decoded;
use crate::doubts::Alternative;
use crate::flow::{FlowTuple, Packet};
use crate::rules::RuleSet;
use crate::session::{Openings, SessionTable};
use crate::stats::Stats;
use crate::verdict::Judged;

/// One shard that forgets its sessions and counters behind each flow. It judges as those of a
/// [`Replay`](super::Replay) do.
#[derive(Debug)]
pub(crate) struct FlowReplay<'r> {
    setup: Setup<'r>,
    shard: Shard,
}

/// What the packets of other flows tell of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FromOthers {
    /// The time of the capture.
    pub(crate) now: u64,
    /// A fragment with the ports of its first one.
    pub(crate) completed: Option<Packet>,
    /// The tuple of the packet that an ICMP error quotes.
    pub(crate) quoted: Option<FlowTuple>,
}

impl<'r> FlowReplay<'r> {
    pub(crate) fn new(rules: &'r RuleSet, options: Options, openings: Openings) -> Self {
        let mut setup = Setup::new(rules, options);
        setup.openings = openings;
        let sessions = SessionTable::new(rules.interfaces(), options.session_memory);
        let shard = Shard::new(&setup, sessions, 1);
        Self { setup, shard }
    }

    /// Frames name interfaces by their ids, and are judged there alone.
    pub(crate) fn by_interface(&mut self) {
        let rules = self.setup.rules;
        let interfaces = rules.interfaces().iter().enumerate();
        self.setup.tap(interfaces.map(|(n, eni)| (eni.id.clone(), n)));
    }

    /// Judges and counts one packet.
    pub(crate) fn judge(
        &mut self,
        frame: &Frame<'_>,
        decoded: &Decoded,
        others: FromOthers,
    ) -> Judged {
        let FromOthers { now, completed, quoted } = others;
        let known = Known { now, completed, quoted };
        Judge { setup: &self.setup, shard: &mut self.shard }.judge(frame, decoded, Some(&known))
    }

    /// Judges one packet that stands for so many, and counts them all. Only the bytes of the first are in its frame.
    pub(crate) fn judge_alike(
        &mut self,
        frame: &Frame<'_>,
        decoded: &Decoded,
        others: FromOthers,
        (packets, bytes): (u64, u64),
    ) -> Judged {
        let before = self.shard.stats.open_question();
        let judged = self.judge(frame, decoded, others);
        let questions = self.shard.stats.open_question() - before;
        let more = packets.saturating_sub(1);
        let more_bytes = bytes.saturating_sub(frame.wire_len.into());
        self.shard.stats.count_alike(&judged, more, more_bytes, questions);
        judged
    }

    /// Notes that more packets with the answer of one have kept its sessions alive until then.
    pub(crate) fn keep_alive(&mut self, flow: &FlowTuple, judged: &Judged, now: u64) {
        let sessions = &mut self.shard.sessions;
        for judgement in judged.judgements().filter(|of| of.connection.is_some()) {
            let place = sessions.places().slot(judgement.interface, judgement.direction, flow);
            sessions.keep_alive(&place, flow, now);
        }
    }

    /// Keeps alternative verdicts for [`FlowReplay::take_alternatives`], as
    /// [`Replay::keep_alternatives`](super::Replay::keep_alternatives) does.
    pub(crate) fn keep_alternatives(&mut self, with_members: bool) {
        self.shard.alternatives = Some(Vec::new());
        if with_members {
            self.setup.ask_for_members();
        }
    }

    /// Takes the alternative verdicts kept since the last call.
    pub(crate) fn take_alternatives(&mut self) -> Vec<Alternative> {
        self.shard.alternatives.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// What every packet is judged by.
    pub(crate) fn setup(&self) -> &Setup<'r> {
        &self.setup
    }

    /// The counters of the flow.
    pub(crate) fn stats(&self) -> &Stats {
        &self.shard.stats
    }

    /// The flow is over.
    pub(crate) fn forget(&mut self) {
        self.shard.sessions.clear();
        self.shard.stats.clear();
    }
}
