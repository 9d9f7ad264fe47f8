//! An overview of the traffic in bounded memory: how much when, the first connections, and who asked for what.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;
use ipnet::IpNet;

use super::changed::network;
use crate::capture::Frame;
use crate::decode::Decoded;
use crate::diff::Effect;
use crate::flow::FlowTuple;
use crate::labels::Labels;
use crate::rules::services;
use crate::verdict::{Judged, Verdict};

/// What became of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrafficClass {
    /// Allowed by the current rules, denied by the proposed ones.
    NewlyDenied,
    /// Denied by the current rules, allowed by the proposed ones.
    NewlyAllowed,
    /// Denied, by both rule sets where there are two.
    Denied,
    /// Allowed, by both rule sets where there are two.
    Allowed,
}

impl TrafficClass {
    /// All of them, the worst first.
    pub const ALL: &'static [Self] =
        &[Self::NewlyDenied, Self::NewlyAllowed, Self::Denied, Self::Allowed];

    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NewlyDenied => "newly denied",
            Self::NewlyAllowed => "newly allowed",
            Self::Denied => "denied",
            Self::Allowed => "allowed",
        }
    }

    fn classify(judged: &Judged, effect: Option<Effect>) -> Option<Self> {
        match (effect, judged.verdict().0) {
            (Some(Effect::NewlyDenied), _) => Some(Self::NewlyDenied),
            (Some(Effect::NewlyAllowed), _) => Some(Self::NewlyAllowed),
            (_, Verdict::Deny) => Some(Self::Denied),
            (_, Verdict::Allow) => Some(Self::Allowed),
            (_, Verdict::NotEvaluated) => None,
        }
    }
}

/// One number for each [`TrafficClass`].
pub type ByClass = [u64; TrafficClass::ALL.len()];

fn add(to: &mut ByClass, class: TrafficClass, amount: u64) {
    if let Some(sum) = to.get_mut(class as usize) {
        *sum += amount;
    }
}

/// The most bars of the timeline.
const MOST_BARS: usize = 60;
/// Connections that are listed, of those that are denied or changed and of the others.
const LISTED: [usize; 2] = [700, 300];
/// Pairs of a network and a service that are told apart.
const MOST_PAIRS: usize = 20_000;

/// Connections and bytes over time, in bars that grow wider as time goes on.
#[derive(Debug)]
pub struct Timeline {
    /// The width of a bar in nanoseconds.
    pub width: u64,
    /// By the number of widths since the epoch: connections, and bytes.
    pub bars: BTreeMap<u64, [ByClass; 2]>,
}

impl Timeline {
    fn bar(&mut self, time: u64) -> &mut [ByClass; 2] {
        loop {
            let key = time / self.width;
            if self.bars.contains_key(&key)
                || self.bars.len() < MOST_BARS && self.span(key) < MOST_BARS as u64
            {
                return self.bars.entry(key).or_default();
            }
            self.width = self.width.saturating_mul(2);
            for (key, bar) in std::mem::take(&mut self.bars) {
                let wider = self.bars.entry(key / 2).or_default();
                for (sums, more) in wider.iter_mut().zip(bar) {
                    for (sum, more) in sums.iter_mut().zip(more) {
                        *sum += more;
                    }
                }
            }
        }
    }

    /// Bars between the first and the last, if there were one for this key.
    fn span(&self, key: u64) -> u64 {
        let first = self.bars.keys().next().copied().unwrap_or(key).min(key);
        let last = self.bars.keys().next_back().copied().unwrap_or(key).max(key);
        last - first
    }
}

/// A connection that is listed.
#[derive(Debug)]
pub struct ListedConnection {
    /// What became of it.
    pub class: TrafficClass,
    /// The tuple of its opening packet.
    pub flow: FlowTuple,
    /// Direction and interface.
    pub place: String,
    /// Its packets.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
    /// The number of its opening frame.
    pub first_frame: u64,
    /// The time of its opening packet, in nanoseconds since the epoch; of the packet before, where that has none.
    pub time: Option<u64>,
    /// What decided, in words.
    pub why: String,
}

/// An overview of the traffic: over time, its first connections, and networks by services.
#[derive(Debug)]
pub struct Overview {
    /// Connections and bytes over time.
    pub timeline: Timeline,
    /// The first connections.
    pub listed: Vec<ListedConnection>,
    /// Connections that are not listed, for want of room: changed or denied, and others.
    pub cut: [u64; 2],
    room: [usize; 2],
    by_number: HashMap<u64, usize, FixedState>,
    /// Connections by the network of their peer and their service.
    pub pairs: BTreeMap<(IpNet, String), ByClass>,
    /// What fits into no pair.
    pub other_pairs: ByClass,
    /// The time of the last packet that has one.
    now: Option<u64>,
}

impl Default for Overview {
    fn default() -> Self {
        Self {
            timeline: Timeline { width: 1_000_000, bars: BTreeMap::new() },
            listed: Vec::new(),
            cut: [0; 2],
            room: LISTED,
            by_number: HashMap::default(),
            pairs: BTreeMap::new(),
            other_pairs: [0; TrafficClass::ALL.len()],
            now: None,
        }
    }
}

impl Overview {
    /// Looks at a packet and its answer; of a difference, at that of the proposed rules and at the effect.
    pub fn add(
        &mut self,
        frame: &Frame<'_>,
        decoded: &Decoded,
        judged: &Judged,
        effect: Option<Effect>,
        labels: &Labels,
    ) {
        let (Some(class), Some(judgement)) =
            (TrafficClass::classify(judged, effect), judged.deciding())
        else {
            return;
        };
        self.now = frame.time_ns.or(self.now);
        let bytes = u64::from(frame.wire_len);
        // Without sessions a packet stands for itself.
        let alone = judgement.connection.is_none();
        let opened = judged.judgements().find_map(|of| of.opened).map(|(_, flow)| flow);
        let opened =
            opened.or_else(|| decoded.packet().filter(|_| alone).map(|packet| packet.flow));
        if let Some(time) = self.now {
            let [connections, of_bytes] = self.timeline.bar(time);
            add(of_bytes, class, bytes);
            add(connections, class, u64::from(opened.is_some()));
        }
        if let Some(flow) = opened {
            let peer = network(flow.peer(judgement.decided_in));
            let key = (peer, services::of_flow(&flow));
            let room = self.pairs.len() < MOST_PAIRS;
            match self.pairs.get_mut(&key) {
                Some(sums) => add(sums, class, 1),
                None if room => add(self.pairs.entry(key).or_default(), class, 1),
                None => add(&mut self.other_pairs, class, 1),
            }
            let kind = usize::from(class == TrafficClass::Allowed);
            let room = self.room.get_mut(kind).filter(|room| **room > 0);
            if let Some(room) = room {
                *room -= 1;
                if let Some(number) = judgement.connection {
                    self.by_number.insert(number, self.listed.len());
                }
                let label = labels.judgement(judgement);
                self.listed.push(ListedConnection {
                    class,
                    flow,
                    place: format!(
                        "{} {}",
                        judgement.decided_in,
                        labels.interface(judgement.interface)
                    ),
                    packets: u64::from(alone),
                    bytes: if alone { bytes } else { 0 },
                    first_frame: frame.number,
                    time: self.now,
                    why: label.because_of(judgement),
                });
            } else if let Some(cut) = self.cut.get_mut(kind) {
                *cut += 1;
            }
        }
        let listed = judgement.connection.and_then(|number| self.by_number.get(&number));
        if let Some(listed) = listed.and_then(|at| self.listed.get_mut(*at)) {
            listed.packets += 1;
            listed.bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times leap and run backwards, and nothing is lost.
    #[test]
    fn a_timeline_has_few_bars() {
        let mut timeline = Timeline { width: 1, bars: BTreeMap::new() };
        let times = [5, 1_000_000_000, 7, 1_700_000_000_000_000_000, 0, u64::MAX, 3];
        for time in times.into_iter().chain(0..5_000) {
            add(&mut timeline.bar(time)[0], TrafficClass::Denied, 1);
        }
        assert!(timeline.bars.len() <= MOST_BARS);
        let all: u64 =
            timeline.bars.values().map(|[connections, _]| connections.iter().sum::<u64>()).sum();
        assert_eq!(all, 5_007);
    }
}
