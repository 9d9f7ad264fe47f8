//! Changed connections, put together as they end: by what decides now and then, service and peer network.
//!
//! Memory does not grow with the connections. Where there are too many networks they are taken for larger ones, then
//! services for their protocols; counts stay exact, and [`Changed::coarser`] says what was put together.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use foldhash::fast::FixedState;
use ipnet::IpNet;

use super::changed_counts::{ChangedCounts, Seen};
use crate::diff::{Change, Effect, Side, Turned};
use crate::flow::{Protocol, Transport};
use crate::labels::BothLabels;
use crate::rules::services;
use crate::stats::{PeerCount, PeerRoom, Peers};

/// Prefix lengths of the networks that peers are shown with, of IPv4 and IPv6, from the finest on.
const WIDTHS: [(u8, u8); 4] = [(24, 64), (16, 48), (8, 32), (0, 0)];

/// About what a group and a kind take, bytes.
const GROUP: usize = 400;
const KIND: usize = 800;

/// The changed connections of a difference.
#[derive(Debug)]
pub struct Changed<'l> {
    /// The names on both sides.
    pub labels: BothLabels<'l>,
    turned: &'l [Turned],
    counts: ChangedCounts,
    /// Kinds by what is compared in a change, and by their words: several entries may have one name.
    kinds: HashMap<Key, u32, FixedState>,
    named: HashMap<(Effect, Kind), u32, FixedState>,
    groups: HashMap<(u32, IpNet), Group, FixedState>,
    /// For the peers of all groups.
    room: PeerRoom,
    /// Which of the [`WIDTHS`] networks have.
    width: usize,
    /// Services are told apart by their protocol only.
    by_protocol: bool,
    most_memory: usize,
    list: Vec<Change>,
    most_listed: usize,
    not_listed: u64,
}

/// What tells kinds of changes apart, but for the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    effect: Effect,
    sides: [Side; 2],
    protocol: Protocol,
    transport: Transport,
    accepted: Option<usize>,
}

/// A kind of changes in words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Kind {
    /// Direction and interface.
    pub(crate) place: String,
    pub(crate) service: String,
    /// What decides by the current rules.
    pub(crate) now: String,
    /// What decides by the proposed ones.
    pub(crate) then: String,
    /// Somebody has looked at them.
    pub(crate) accepted: bool,
}

/// Connections that changed in the same way, of one service and one peer network.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    pub(crate) connections: u64,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) first_frame: u64,
    pub(crate) times: Option<(u64, u64)>,
    peers: Peers,
}

impl Group {
    /// Adds those of another group of the same kind.
    fn merge(&mut self, other: Self, room: &mut PeerRoom) {
        self.connections += other.connections;
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.first_frame = self.first_frame.min(other.first_frame);
        self.times = match (self.times, other.times) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, other) => one.or(other),
        };
        self.peers.merge(other.peers, room);
    }

    /// The one peer, or the network that they share.
    pub(crate) fn peers(&self, net: &IpNet) -> String {
        match (self.peers.first(), self.peers.count()) {
            ([], _) => String::new(),
            ([one, ..], PeerCount::Exactly(1)) => one.to_string(),
            (_, count) => format!("{net} ({count} addresses)"),
        }
    }
}

/// The network that a peer is shown with: neighbours share a line.
pub(crate) fn network(peer: IpAddr) -> IpNet {
    within(peer, WIDTHS[0])
}

fn within(peer: IpAddr, (v4, v6): (u8, u8)) -> IpNet {
    let len = if peer.is_ipv4() { v4 } else { v6 };
    IpNet::new(peer, len).map_or_else(|_| peer.into(), |net| net.trunc())
}

impl<'l> Changed<'l> {
    /// None yet. `turned` are the regions that the change turns; groups take no more than so many bytes, about.
    pub fn new(labels: BothLabels<'l>, turned: &'l [Turned], most_memory: usize) -> Self {
        Self {
            labels,
            turned,
            counts: ChangedCounts::new(turned.len(), labels.accepted.entries().len()),
            kinds: HashMap::default(),
            named: HashMap::default(),
            groups: HashMap::default(),
            room: PeerRoom::default(),
            width: 0,
            by_protocol: false,
            most_memory,
            list: Vec::new(),
            most_listed: 0,
            not_listed: 0,
        }
    }

    /// Keeps the changes themselves too, as many as so many bytes have room for: see [`Changed::list`].
    #[must_use]
    pub fn with_list(mut self, most_memory: usize) -> Self {
        self.most_listed = most_memory / size_of::<Change>();
        self
    }

    /// Begins with changes that were counted elsewhere, by the same regions and accepted changes.
    #[must_use]
    pub fn with_counts(mut self, counts: &ChangedCounts) -> Self {
        self.counts.merge(counts);
        self
    }

    /// Adds a change, once it is known to be over or the run is.
    pub fn add(&mut self, change: &Change) {
        let accepted = self.count(change);
        match self.list.len() < self.most_listed {
            true => self.list.push(change.clone()),
            false => self.not_listed += 1,
        }
        let at = change.proposed.at.or(change.current.at);
        let peer = at.map_or(change.flow.src, |(_, direction, _)| change.flow.peer(direction));
        let key = (self.kind(change, accepted), self.network(peer));
        let group = self
            .groups
            .entry(key)
            .or_insert_with(|| Group { first_frame: change.first_frame, ..Group::default() });
        group.connections += u64::from(!change.continued);
        group.packets += change.packets;
        group.bytes += change.bytes;
        group.first_frame = group.first_frame.min(change.first_frame);
        if let Some((first, last)) = change.times {
            let (earliest, latest) = group.times.unwrap_or((first, last));
            group.times = Some((earliest.min(first), latest.max(last)));
        }
        group.peers.add_within(peer, &mut self.room);
        while self.memory() > self.most_memory && self.coarsen() {}
    }

    /// Counts a change, and does nothing else; the accepted change that accepts it.
    pub fn count(&mut self, change: &Change) -> Option<usize> {
        let accepted = self.labels.accepted.position(change.effect, &change.flow);
        if let Some(before) = change.instead_of {
            self.take_back(before, change);
        }
        if !change.continued {
            let ChangedCounts { seen, counts, by_entry } = &mut self.counts;
            let counts = counts.get_mut(change.effect as usize);
            if let Some(count) = counts.and_then(|of| of.get_mut(usize::from(accepted.is_some()))) {
                *count += 1;
            }
            if let Some(count) = accepted.and_then(|entry| by_entry.get_mut(entry)) {
                *count += 1;
            }
            let found = self.turned.iter().position(|turned| turned.turned(change));
            if let Some(seen) = found.and_then(|place| seen.get_mut(place)) {
                seen.add(change);
            }
        }
        accepted
    }

    /// The counts of all changes.
    pub fn counts(&self) -> &ChangedCounts {
        &self.counts
    }

    /// Takes a change that was added before out of the counts.
    fn take_back(&mut self, effect: Effect, change: &Change) {
        let accepted = self.labels.accepted.position(effect, &change.flow);
        let ChangedCounts { counts, by_entry, .. } = &mut self.counts;
        let counts = counts.get_mut(effect as usize);
        if let Some(count) = counts.and_then(|of| of.get_mut(usize::from(accepted.is_some()))) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = accepted.and_then(|entry| by_entry.get_mut(entry)) {
            *count = count.saturating_sub(1);
        }
    }

    fn memory(&self) -> usize {
        self.groups.len() * GROUP + self.kinds.len() * KIND
    }

    /// The number of the kind of a change.
    fn kind(&mut self, change: &Change, accepted: Option<usize>) -> u32 {
        let Change { effect, flow, current, proposed, .. } = change;
        let transport = match flow.transport {
            _ if self.by_protocol => Transport::Absent,
            Transport::Ports { src: _, dst } => Transport::Ports { src: 0, dst },
            Transport::Icmp { kind, .. } => Transport::Icmp { kind, code: 0, id: None },
            Transport::Absent => Transport::Absent,
        };
        let sides = [*current, *proposed];
        let key = Key { effect: *effect, sides, protocol: flow.proto, transport, accepted };
        if let Some(kind) = self.kinds.get(&key) {
            return *kind;
        }
        let labels = self.labels;
        let at = proposed.at.map(|at| (labels.proposed, at));
        let at = at.or_else(|| current.at.map(|at| (labels.current, at)));
        let place = at.map_or_else(String::new, |(labels, (interface, direction, _))| {
            format!("{direction} {}", labels.interface(interface))
        });
        let then = labels.proposed.because(proposed);
        let entry = accepted.and_then(|entry| labels.accepted.entries().get(entry));
        let kind = Kind {
            place,
            service: match self.by_protocol {
                true => flow.proto.to_string(),
                false => services::of_flow(flow),
            },
            now: labels.current.because(current),
            then: match entry {
                None => then,
                Some(entry) => format!("{then}; accepted: {}", entry.reason),
            },
            accepted: accepted.is_some(),
        };
        let next = u32::try_from(self.named.len()).unwrap_or(u32::MAX);
        let number = *self.named.entry((*effect, kind)).or_insert(next);
        self.kinds.insert(key, number);
        number
    }

    fn network(&self, peer: IpAddr) -> IpNet {
        within(peer, WIDTHS.get(self.width).copied().unwrap_or((0, 0)))
    }

    /// Tells less apart: networks first, and services where there are too many of these. `false` where nothing is
    /// left to be put together.
    fn coarsen(&mut self) -> bool {
        let too_many_kinds = self.kinds.len() * KIND > self.most_memory / 2;
        if !self.by_protocol && (too_many_kinds || self.width + 1 == WIDTHS.len()) {
            self.by_protocol = true;
            self.kinds = HashMap::default();
            let named = std::mem::take(&mut self.named);
            let mut numbers: HashMap<u32, u32, FixedState> = HashMap::default();
            let mut kinds: Vec<_> = named.into_iter().collect();
            kinds.sort_unstable_by_key(|(_, number)| *number);
            for ((effect, mut kind), number) in kinds {
                kind.service.truncate(kind.service.find(' ').unwrap_or(kind.service.len()));
                let next = u32::try_from(self.named.len()).unwrap_or(u32::MAX);
                numbers.insert(number, *self.named.entry((effect, kind)).or_insert(next));
            }
            self.regroup(|_, (kind, net)| (numbers.get(&kind).copied().unwrap_or(kind), net));
        } else if self.width + 1 < WIDTHS.len() {
            self.width += 1;
            self.regroup(|own, (kind, net)| (kind, own.network(net.addr())));
        } else {
            return false;
        }
        true
    }

    fn regroup(&mut self, key: impl Fn(&Self, (u32, IpNet)) -> (u32, IpNet)) {
        let mut groups: Vec<_> = std::mem::take(&mut self.groups).into_iter().collect();
        // So that the peers which are kept do not depend on the order of a map.
        groups.sort_unstable_by_key(|(key, group)| (group.first_frame, *key));
        for (old, group) in groups {
            let key = key(self, old);
            match self.groups.get_mut(&key) {
                Some(known) => known.merge(group, &mut self.room),
                None => _ = self.groups.insert(key, group),
            }
        }
    }

    /// Connections with an effect that nobody has accepted.
    pub fn open(&self, effect: Effect) -> u64 {
        self.counts.counts.get(effect as usize).map_or(0, |[open, _]| *open)
    }

    /// Connections with an effect that somebody has accepted.
    pub fn accepted(&self, effect: Effect) -> u64 {
        self.counts.counts.get(effect as usize).map_or(0, |[_, accepted]| *accepted)
    }

    /// Connections that each accepted change accepts.
    pub fn by_entry(&self) -> &[u64] {
        &self.counts.by_entry
    }

    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// What was seen of each region.
    pub fn seen(&self) -> &[Seen] {
        &self.counts.seen
    }

    /// The changes themselves, where they are kept: the first of them to end.
    pub fn list(&self) -> &[Change] {
        &self.list
    }

    /// Changes that there was no room to keep.
    pub fn not_listed(&self) -> u64 {
        self.not_listed
    }

    /// What is told apart no more, for want of memory.
    pub fn coarser(&self) -> Option<String> {
        let nets = WIDTHS.get(self.width).filter(|_| self.width > 0);
        let nets = nets.map(|(v4, v6)| format!("peers by networks of /{v4} and /{v6}"));
        let services = self.by_protocol.then(|| "services by protocol".to_owned());
        let parts: Vec<String> = nets.into_iter().chain(services).collect();
        (!parts.is_empty()).then(|| {
            format!(
                "changes are grouped more coarsely than usual, {}, for want of memory; the counts are exact; -f \
                 csv lists every connection, --memory allows more",
                parts.join(" and "),
            )
        })
    }

    /// The groups of an effect, the largest first.
    pub(crate) fn groups(&self, effect: Effect) -> Vec<(&Kind, IpNet, &Group)> {
        let kinds: BTreeMap<u32, &Kind> = self
            .named
            .iter()
            .filter(|((of, _), _)| *of == effect)
            .map(|((_, kind), number)| (*number, kind))
            .collect();
        let mut groups: Vec<_> = self
            .groups
            .iter()
            .filter_map(|((kind, net), group)| Some((*kinds.get(kind)?, *net, group)))
            .collect();
        groups.sort_unstable_by_key(|(kind, net, group)| {
            let Kind { place, service, now, then, .. } = kind;
            (Reverse((group.connections, group.packets)), place, service, *net, now, then)
        });
        groups
    }
}
