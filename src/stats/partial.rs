//! The statistics of a shard, gathered flow by flow, in any order of the flows and in several parts.
//!
//! Whatever depends on the order of packets is kept with the packet that has shown it, so that parts which are merged are
//! what one shard has that gets all packets in their order, its bounds of memory included.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::FixedState;

use super::counts::Count;
use super::peers::{self, Estimate, Peers};
use super::unevaluated::{Hidden, Unevaluated};
use super::{Counter, Kind, MOST_KINDS, Stats};
use crate::verdict::{Judged, Reason, Reply, Stopped, Verdict};

/// The statistics of one of several shards, or a part of them.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Partial {
    /// Everything that is only added up.
    sums: Stats,
    kinds: Vec<PartialKind>,
    kind_of: HashMap<u128, u32, FixedState>,
    hidden: HiddenFrames,
}

/// More kinds of connections than one shard tells apart: which ones these are depends on the order of all packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyKinds;

/// Frames that carry or hide traffic, by kind: how many, and the first.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct HiddenFrames(HashMap<Hidden, (u64, u64), FixedState>);

/// A kind of connections, or a part of it.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct PartialKind {
    /// Without peers.
    kind: Kind,
    /// Among the kinds that its frame has found.
    found_as: usize,
    counter: Counter,
    first_peers: FirstPeers,
}

/// Different peers, the first of them by when they were shown.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct FirstPeers {
    /// When each was shown first, ascending.
    first: Vec<(u64, IpAddr)>,
    /// All, where there are more than are kept.
    #[serde(with = "peers::registers")]
    all: Option<Estimate>,
}

impl HiddenFrames {
    pub(crate) fn note(&mut self, hidden: Hidden, frames: u64, example: u64) {
        let (count, first) = self.0.entry(hidden).or_insert((0, example));
        *count += frames;
        *first = example.min(*first);
    }

    /// Adds others, so many frames being before them.
    pub(crate) fn add(&mut self, other: &Unevaluated, before: u64) {
        for (hidden, frames, example) in other.each() {
            self.note(hidden, frames, before + example);
        }
    }

    /// As if their frames had come in order: only the first so many kinds are told apart.
    fn in_order(self) -> Unevaluated {
        let mut all: Vec<_> = self.0.into_iter().collect();
        // One frame hides one thing, and the rest has no place of its own.
        all.sort_by_key(|(_, (_, example))| *example);
        let mut found = Unevaluated::default();
        for (hidden, (frames, example)) in all {
            found.note(hidden, frames, example);
        }
        found
    }
}

impl Default for Partial {
    fn default() -> Self {
        let (kinds, kind_of) = (Vec::new(), HashMap::default());
        Self { sums: Stats::new(&[]), kinds, kind_of, hidden: HiddenFrames::default() }
    }
}

impl Partial {
    /// Adds the statistics of a flow, whose packets came in order.
    pub(crate) fn add(&mut self, flow: &Stats) {
        self.sums.add_sums(flow);
        self.hidden.add(&flow.unevaluated, 0);
        for (found_as, (kind, counter)) in flow.kinds.iter().zip(&flow.counters).enumerate() {
            let peers = kind.class.peers.first().iter();
            let mut first_peers = FirstPeers::default();
            kind.peers_shown.iter().zip(peers).for_each(|(shown, of)| first_peers.add(*shown, *of));
            let mut kind = kind.clone();
            kind.class.peers = Peers::default();
            kind.peers_shown.clear();
            self.add_kind(PartialKind { kind, found_as, counter: *counter, first_peers });
        }
    }

    /// Adds frames that were not evaluated, for one reason.
    pub(crate) fn add_unevaluated(&mut self, reason: Reason, frames: u64) {
        let of_verdict = self.sums.answers.get_mut(Verdict::NotEvaluated as usize);
        if let Some(count) = of_verdict.and_then(|of| of.get_mut(reason as usize)) {
            *count += frames;
        }
    }

    /// Adds what such frames have: bytes on the wire, and the earliest and the latest time.
    pub(crate) fn add_frames(&mut self, bytes: u64, times: (u64, u64)) {
        self.sums.bytes += bytes;
        let known = self.sums.times;
        self.sums.times = (known.0.min(times.0), known.1.max(times.1));
    }

    /// Where such frames carry or hide traffic.
    pub(crate) fn hidden(&mut self) -> &mut HiddenFrames {
        &mut self.hidden
    }

    /// Adds another part.
    pub(crate) fn merge(&mut self, other: Self) {
        let Self { sums, kinds, kind_of: _, hidden } = other;
        self.sums.add_sums(&sums);
        #[expect(clippy::iter_over_hash_type, reason = "sums do not depend on the order")]
        for (hidden, (frames, example)) in hidden.0 {
            self.hidden.note(hidden, frames, example);
        }
        for kind in kinds {
            self.add_kind(kind);
        }
    }

    fn add_kind(&mut self, kind: PartialKind) {
        let next = u32::try_from(self.kinds.len()).unwrap_or(u32::MAX);
        let position = *self.kind_of.entry(kind.kind.key).or_insert(next);
        match self.kinds.get_mut(position as usize) {
            Some(known) => known.merge(kind),
            None => self.kinds.push(kind),
        }
    }

    /// The statistics of one of so many shards.
    pub(crate) fn into_stats(self, shards: usize) -> Result<Stats, TooManyKinds> {
        let Self { mut sums, mut kinds, hidden, .. } = self;
        if kinds.len() > MOST_KINDS / shards.max(1) {
            return Err(TooManyKinds);
        }
        sums.unevaluated = hidden.in_order();
        kinds.sort_by_key(|of| (of.kind.found, of.found_as));
        let mut room = peers::Room::share(shards);
        let all = kinds.iter().enumerate();
        let mut shown: Vec<(u64, usize, IpAddr)> = all
            .flat_map(|(n, of)| of.first_peers.first.iter().map(move |(at, peer)| (*at, n, *peer)))
            .collect();
        shown.sort_unstable();
        for (at, n, peer) in shown {
            let Some(PartialKind { kind, .. }) = kinds.get_mut(n) else { continue };
            kind.class.peers.add_within(peer, &mut room);
            kind.peers_shown.resize(kind.class.peers.first().len(), at);
        }
        for PartialKind { mut kind, counter, first_peers, .. } in kinds {
            if let Some(all) = &first_peers.all {
                kind.class.peers.include(all);
            }
            sums.kinds.push(kind);
            sums.counters.push(counter);
        }
        Ok(sums)
    }
}

impl PartialKind {
    fn merge(&mut self, other: Self) {
        let Self { kind, found_as, counter, first_peers } = other;
        if kind.class.first_frame == 0 && self.kind.class.first_frame == 0 {
            if kind.found < self.kind.found {
                self.kind.class.example = kind.class.example;
            }
        } else {
            self.kind.take_first(&kind);
        }
        if (kind.found, found_as) < (self.kind.found, self.found_as) {
            (self.kind.found, self.found_as) = (kind.found, found_as);
        }
        self.counter.count = self.counter.count + counter.count;
        self.first_peers.merge(first_peers);
    }
}

impl FirstPeers {
    /// One more than a kind keeps: it shows that there are more.
    const MOST: usize = peers::MOST + 1;

    fn add(&mut self, shown: u64, peer: IpAddr) {
        if let Some(all) = &mut self.all {
            all.insert(&peer);
        }
        match self.first.iter().position(|(_, known)| *known == peer) {
            Some(known) if self.first.get(known).is_some_and(|(at, _)| *at <= shown) => return,
            Some(known) => _ = self.first.remove(known),
            None => {}
        }
        let behind = self.first.partition_point(|(at, _)| *at <= shown);
        if self.first.len() == Self::MOST && self.all.is_none() {
            let mut all = peers::estimate();
            all.insert_all(self.first.iter().map(|(_, peer)| peer));
            all.insert(&peer);
            self.all = Some(all);
        }
        self.first.insert(behind, (shown, peer));
        self.first.truncate(Self::MOST);
    }

    fn merge(&mut self, other: Self) {
        for (shown, peer) in other.first {
            self.add(shown, peer);
        }
        if let Some(others) = other.all {
            let first = &self.first;
            let all = self.all.get_or_insert_with(|| {
                let mut all = peers::estimate();
                all.insert_all(first.iter().map(|(_, peer)| peer));
                all
            });
            // Both have the same precision.
            all.union(&others).unwrap_or_default();
        }
    }
}

impl Stats {
    /// Counts more packets with the answer of one that was counted: they open nothing, and no network ACL stops the
    /// first of them. Each has raised so many questions.
    pub(crate) fn count_alike(
        &mut self,
        judged: &Judged,
        packets: u64,
        bytes: u64,
        questions: u64,
    ) {
        let (verdict, reason) = judged.verdict();
        self.bytes += bytes;
        self.open_question += questions * packets;
        if judged.deciding().is_some_and(|of| of.stray) {
            self.strays.add(verdict, packets);
        }
        let of_verdict = self.answers.get_mut(verdict as usize);
        if let Some(count) = of_verdict.and_then(|reasons| reasons.get_mut(reason as usize)) {
            *count += packets;
        }
        let more = Count { packets, bytes, connections: 0 };
        for judgement in judged.judgements() {
            if let Some(counter) = self.counters.get_mut(judgement.flow_class as usize) {
                counter.count = counter.count + more;
            }
            if let Some(Reply { other_entry, stopped: Stopped::No, .. }) = judgement.reply {
                let key = (judgement.interface, judgement.direction, other_entry);
                let count = self.replies.entry(key).or_default();
                *count = *count + more;
            }
        }
    }

    /// Forgets everything that was counted, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        let mut new = Self::new(&[]);
        std::mem::swap(&mut new.carrier_ports, &mut self.carrier_ports);
        new.obstacles_at = self.obstacles_at;
        (new.most_kinds, new.room) = (self.most_kinds, self.room);
        std::mem::swap(&mut new.kind_of, &mut self.kind_of);
        std::mem::swap(&mut new.kinds, &mut self.kinds);
        std::mem::swap(&mut new.counters, &mut self.counters);
        new.kind_of.clear();
        new.kinds.clear();
        new.counters.clear();
        *self = new;
    }
}
