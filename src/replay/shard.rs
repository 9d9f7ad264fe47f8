//! Shards: each judges the packets of its own connections, with sessions and counters of its own.
//!
//! Nothing that a shard does depends on another one, so that they may work at the same time, on any number of threads.
//! How many there are never changes, so that no result depends on the number of threads, not even where memory is
//! short.

use std::collections::BTreeMap;
use std::iter::{self, Peekable};

use super::assign::{Known, Share};
use super::points::EvaluationPoints;
use super::setup::Setup;
use crate::capture::Frame;
use crate::decode::Decoded;
use crate::doubts::{Alternative, Worlds};
use crate::flow::{Direction, FlowTuple};
use crate::restrictions::CARRIER_BLOCKED;
use crate::session::SessionTable;
use crate::sources::Input;
use crate::stats::{Hidden, Stats};
use crate::verdict::{Judged, Reason};

/// Packets whose sessions are fetched together. Enough to hide memory latency, few enough to
/// stay in the L1 cache.
const FETCHED_AT_ONCE: usize = 64;

/// The sessions and counters of some of the connections.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) sessions: SessionTable,
    pub(super) stats: Stats,
    /// The time of the capture at the packet that is judged.
    pub(super) now: u64,
    /// The number of its frame.
    pub(super) frame: u64,
    /// The tuple that it quotes, where it is an ICMP error.
    pub(super) quoted: Option<FlowTuple>,
    /// The lists that members of groups, which are not known, make of each list, as far as was asked.
    pub(super) worlds: BTreeMap<(usize, Direction), Worlds>,
    /// Alternative verdicts, if the caller takes them.
    pub(super) alternatives: Option<Vec<Alternative>>,
    /// The answers to the packets of the last batch, where the caller wants them, and room for more.
    pub(super) answers: Vec<Judged>,
    /// Room for the points at which packets are judged.
    points: Vec<EvaluationPoints>,
}

impl Shard {
    /// One of so many.
    pub(super) fn new(setup: &Setup<'_>, sessions: SessionTable, shards: usize) -> Self {
        let carrier_ports = setup.rules.carrier_ports().unwrap_or(&CARRIER_BLOCKED);
        Self {
            sessions: sessions.with_limit(setup.options.max_sessions),
            stats: Stats::of_shard(carrier_ports, shards),
            now: 0,
            frame: 0,
            quoted: None,
            worlds: BTreeMap::new(),
            alternatives: None,
            answers: Vec::new(),
            points: Vec::new(),
        }
    }
}

/// A shard at work.
pub(super) struct Judge<'a, 'r> {
    pub(super) setup: &'a Setup<'r>,
    pub(super) shard: &'a mut Shard,
}

impl Judge<'_, '_> {
    /// Judges the share of a batch that is this shard's. If the answers are wanted, they are in [`Shard::answers`] then, in
    /// order.
    pub(super) fn judge_share(&mut self, inputs: &[Input<'_>], share: &Share, keeps: bool) {
        let mut points = std::mem::take(&mut self.shard.points);
        let mut answers = std::mem::take(&mut self.shard.answers);
        points.resize(FETCHED_AT_ONCE, None);
        let room = if keeps { share.positions.len() } else { 0 }.max(FETCHED_AT_ONCE);
        if answers.len() < room {
            answers.resize(room, Judged::NotEvaluated(Reason::NotLocal));
        }
        let mut known = share.known.iter().peekable();
        for (n, positions) in share.positions.chunks(FETCHED_AT_ONCE).enumerate() {
            // Answers that are not kept overwrite each other.
            let first = if keeps { n * FETCHED_AT_ONCE } else { 0 };
            let here = answers.get_mut(first..first + positions.len()).unwrap_or_default();
            self.judge_fetched(inputs, positions, (&mut points, here), &mut known);
        }
        (self.shard.points, self.shard.answers) = (points, answers);
    }

    /// Judges packets whose sessions are fetched together.
    #[inline]
    fn judge_fetched<'k>(
        &mut self,
        inputs: &[Input<'_>],
        positions: &[u32],
        (points, answers): (&mut [EvaluationPoints], &mut [Judged]),
        known: &mut Peekable<impl Iterator<Item = &'k (u32, Known)>>,
    ) {
        let slots = self.shard.sessions.places();
        let all = || positions.iter().filter_map(|at| inputs.get(*at as usize));
        // They lie scattered: the processor waits for all of them at once.
        let touched = all().fold(0, |touched, Input { frame, decoded, .. }| {
            touched ^ frame.wire_len ^ u32::from(matches!(decoded, Decoded::Packet(_)))
        });
        std::hint::black_box(touched);
        for (points, input) in points.iter_mut().zip(all()) {
            self.setup.find_points(slots, &input.frame, input.decoded, points);
        }
        let places = points.iter().take(positions.len()).flatten();
        let places = places.flat_map(|(first, second)| iter::once(first).chain(second));
        self.shard.sessions.fetch(places);
        for (((judged, points), input), at) in
            answers.iter_mut().zip(&*points).zip(all()).zip(positions)
        {
            let known = known.next_if(|(of, _)| of == at).map(|(_, known)| known);
            self.evaluate_at(&input.frame, input.decoded, points, known, judged);
        }
        self.shard.stats.fetch(answers.iter());
        for (judged, input) in answers.iter().zip(all()) {
            self.count(input, judged);
        }
    }

    /// Judges one packet.
    #[inline]
    pub(super) fn judge(
        &mut self,
        frame: &Frame<'_>,
        decoded: &Decoded,
        known: Option<&Known>,
    ) -> Judged {
        let (mut points, slots) = (None, self.shard.sessions.places());
        self.setup.find_points(slots, frame, decoded, &mut points);
        let mut judged = Judged::NotEvaluated(Reason::NotLocal);
        self.evaluate_at(frame, decoded, &points, known, &mut judged);
        let input = Input { frame: *frame, decoded, selected: true, in_window: true };
        self.count(&input, &judged);
        judged
    }

    #[inline]
    fn count(&mut self, input: &Input<'_>, judged: &Judged) {
        self.shard.stats.count(&input.frame, input.decoded, judged, input.selected);
        if let Judged::NotEvaluated(reason) = *judged {
            // The filter can always leave out a packet between other hosts.
            let may_be_chosen = input.in_window && reason != Reason::NotLocal;
            if input.selected || may_be_chosen {
                self.note_unevaluated(&input.frame, input.decoded, reason);
            }
        }
    }

    #[cold]
    fn note_unevaluated(&mut self, frame: &Frame<'_>, decoded: &Decoded, reason: Reason) {
        let is_local = |addr| self.setup.interfaces.find(addr).is_some();
        if let Some(hidden) = Hidden::classify(frame, decoded, reason, is_local) {
            self.shard.stats.note_unevaluated(hidden, frame.number);
        }
    }
}
