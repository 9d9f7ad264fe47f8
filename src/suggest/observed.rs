//! Collects the connections of a replay, within a memory bound.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use foldhash::fast::FixedState;
use ipnet::IpNet;

use super::observation::{Observation, Service, service};
use super::widening::Widening;
use crate::flow::{Direction, FlowTuple, TcpFlags};
use crate::replay::Replay;
use crate::sources::Input;
use crate::verdict::{Judged, Reason, Verdict};

/// Collects connections by interface, direction, service and peer. If there are too many peers, they are replaced by
/// networks.
#[derive(Debug)]
pub struct Observed {
    groups: HashMap<Key, Group, FixedState>,
    /// Connections not yet known to be answered or selected.
    open: HashMap<(u64, u32, bool), Open, FixedState>,
    /// The time of the last packet that has one.
    now: u64,
    most_memory: usize,
    /// How far peers are told apart: a position in [`Widening::STEPS`].
    step: usize,
    wants: Wants,
    forgotten: u64,
}

/// Attributes of connections to collect beside service and peer; each costs memory per connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Whether each was answered; otherwise all count as answered.
    pub answers: bool,
    /// When each was opened.
    pub times: bool,
    /// Only connections of which a packet is selected.
    pub selection: bool,
}

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
struct Key {
    interface: u32,
    direction: Direction,
    service: Service,
    peer: IpNet,
    answered: bool,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Group {
    flow: FlowTuple,
    connections: u64,
    /// When the first was opened, and the frame.
    first: u64,
    first_frame: u64,
    /// Of each connection, where they are wanted.
    times: Vec<u64>,
}

impl Group {
    /// Takes the connection that was opened first, if it is this one.
    fn take_first(&mut self, time: u64, frame: u64, flow: FlowTuple) {
        if (time, frame) < (self.first, self.first_frame) {
            (self.first, self.first_frame, self.flow) = (time, frame, flow);
        }
    }
}

/// The connections of a part of the traffic.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct ObservedPart(Vec<(Key, Group)>);

#[derive(Clone, Copy, Debug)]
struct Open {
    flow: FlowTuple,
    time: u64,
    frame: u64,
    direction: Direction,
    last_frame: u64,
    answered: bool,
    selected: bool,
}

/// Approximate bytes of a group, with the copy for its rules.
const GROUP: usize = 192;
const OPEN: usize = 192;

impl Observed {
    /// No connections yet; `most_memory` bounds their bytes approximately.
    pub fn new(wants: Wants, most_memory: usize) -> Self {
        let (groups, open) = (HashMap::default(), HashMap::default());
        Self { groups, open, now: 0, most_memory, step: 0, wants, forgotten: 0 }
    }

    /// Adds a packet, if it was allowed at every interface; system traffic needs no rule.
    /// A connection counts if one of its packets is selected.
    pub fn add(&mut self, input: &Input<'_>, judged: &Judged) {
        let now = input.frame.time_ns.unwrap_or(self.now);
        self.add_at(now, input, judged);
    }

    /// The same at a time of the capture.
    pub(crate) fn add_at(&mut self, now: u64, input: &Input<'_>, judged: &Judged) {
        let Input { frame, decoded, selected, .. } = *input;
        let packet = decoded.packet();
        self.now = now;
        let time = now;
        let allowed = judged.verdict().0 == Verdict::Allow;
        for judgement in judged.judgements().filter(|_| allowed) {
            let Some(connection) = judgement.connection else { continue };
            let interface = u32::try_from(judgement.interface).unwrap_or(u32::MAX);
            let key = (connection, interface, judgement.local_began);
            if let Some((_, flow)) = judgement.opened {
                if judgement.reason == Reason::System {
                    continue;
                }
                let (direction, last_frame) = (judgement.decided_in, frame.number);
                let answered = !self.wants.answers;
                let frame = frame.number;
                let open = Open { flow, time, frame, direction, last_frame, answered, selected };
                match self.wants.answers || self.wants.selection {
                    true => _ = self.open.insert(key, open),
                    false => self.close(interface, &open),
                }
            }
            let Some(open) = self.open.get_mut(&key) else { continue };
            let reset = packet.and_then(|packet| packet.tcp_flags).is_some_and(TcpFlags::rst);
            open.last_frame = frame.number;
            open.selected |= selected;
            open.answered |= judgement.direction != judgement.decided_in && !reset;
        }
    }

    /// Adds a connection that is answered, selected or over.
    fn close(&mut self, interface: u32, open: &Open) {
        let Open { flow, time, frame, direction, answered, selected, .. } = *open;
        if self.wants.selection && !selected {
            return;
        }
        let peer = self.widening().around(flow.peer(direction));
        let key = Key { interface, direction, service: service(&flow), peer, answered };
        let group = self.groups.entry(key).or_insert_with(|| Group {
            flow,
            connections: 0,
            first: time,
            first_frame: frame,
            times: Vec::new(),
        });
        group.connections += 1;
        if self.wants.times {
            group.times.push(time);
        }
        group.take_first(time, frame, flow);
        while self.groups.len() * GROUP > self.most_memory && self.step + 1 < Widening::STEPS.len()
        {
            self.coarsen();
        }
    }

    /// Replaces peers by larger networks.
    fn coarsen(&mut self) {
        self.step += 1;
        let mut groups: Vec<_> = std::mem::take(&mut self.groups).into_iter().collect();
        groups.sort_unstable_by_key(|(key, group)| (group.first, *key));
        for (key, group) in groups {
            let key = Key { peer: self.widening().around(key.peer.addr()), ..key };
            match self.groups.get_mut(&key) {
                None => _ = self.groups.insert(key, group),
                Some(known) => {
                    known.connections += group.connections;
                    known.times.extend(group.times);
                }
            }
        }
    }

    /// Whether connections must be closed before there is room for more: ask between batches of packets.
    pub fn is_full(&self) -> bool {
        self.open.len() * OPEN > self.most_memory
    }

    /// Closes connections that are over, as the replay knows it, and where that makes too little room, those that
    /// have been idle longest: later packets of these are ignored.
    pub fn make_room(&mut self, replay: &Replay<'_>) {
        let goes_on = |(connection, interface, _): &(u64, u32, bool), open: &Open| {
            replay.goes_on(*interface as usize, open.direction, &open.flow, *connection)
        };
        let most = self.open.len() / 2;
        let mut over: Vec<_> = self.open.extract_if(|key, open| !goes_on(key, open)).collect();
        if let Some(last) = self.open.len().checked_sub(most + 1) {
            let mut ages: Vec<u64> = self.open.values().map(|open| open.last_frame).collect();
            let (_, last, _) = ages.select_nth_unstable(last);
            let before = over.len();
            over.extend(self.open.extract_if(|_, open| open.last_frame <= *last));
            self.forgotten += (over.len() - before) as u64;
        }
        self.close_all(over);
    }

    fn close_all(&mut self, mut over: Vec<((u64, u32, bool), Open)>) {
        over.sort_unstable_by_key(|(key, _)| *key);
        for ((_, interface, _), open) in &over {
            self.close(*interface, open);
        }
    }

    /// The largest networks that replace peers.
    pub fn widening(&self) -> Widening {
        Widening::STEPS.get(self.step).copied().unwrap_or(Widening::EXACT)
    }

    /// Connections that were closed early for want of memory: of these it is not known whether they were answered, or
    /// selected, later.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Bytes that the times of connections take.
    pub fn memory_of_times(&self) -> usize {
        self.groups.values().map(|group| group.times.len() * size_of::<u64>()).sum()
    }

    /// Ends the traffic.
    pub fn finish(&mut self) {
        let over = self.open.drain().collect();
        self.close_all(over);
    }

    /// What was collected, as a part of all; after [`Observed::finish`].
    pub(crate) fn into_part(self) -> ObservedPart {
        ObservedPart(self.groups.into_iter().collect())
    }

    /// The connections of all parts.
    pub(crate) fn of_parts(wants: Wants, parts: impl IntoIterator<Item = ObservedPart>) -> Self {
        let mut all = Self::new(wants, usize::MAX);
        for (key, group) in parts.into_iter().flat_map(|ObservedPart(groups)| groups) {
            match all.groups.get_mut(&key) {
                None => _ = all.groups.insert(key, group),
                Some(known) => {
                    known.connections += group.connections;
                    known.times.extend(group.times);
                    known.take_first(group.first, group.first_frame, group.flow);
                }
            }
        }
        all
    }

    /// The connections, those that were opened until a time and those that were opened later, each in order of opening;
    /// after [`Observed::finish`]. With `answered`, only those that were answered.
    pub fn lists(&self, answered: bool, until: Option<u64>) -> [Vec<Observation>; 2] {
        let groups = self.groups.iter().filter(|(key, _)| key.answered || !answered);
        let [mut first, mut rest] = [Vec::new(), Vec::new()];
        for (key, group) in groups {
            let later = until
                .map_or(0, |until| group.times.iter().filter(|time| **time > until).count() as u64);
            for (list, connections) in [(&mut first, group.connections - later), (&mut rest, later)]
            {
                if connections > 0 {
                    list.push(Observation {
                        interface: key.interface as usize,
                        direction: key.direction,
                        flow: group.flow,
                        peer: key.peer,
                        connections,
                        first: group.first,
                    });
                }
            }
        }
        for list in [&mut first, &mut rest] {
            // Those that were answered and those that were not may begin at the same time.
            list.sort_unstable_by_key(|one| {
                (one.first, one.interface, one.direction, one.flow, one.peer, one.connections)
            });
        }
        [first, rest]
    }

    /// Scanners: peers that tried many services, answered or not.
    pub fn scanners(&self) -> Scanners {
        let mut tried: BTreeMap<(u32, IpNet), BTreeSet<Service>> = BTreeMap::new();
        for key in self.groups.keys().filter(|key| key.direction == Direction::Ingress) {
            tried.entry((key.interface, key.peer)).or_default().insert(key.service);
        }
        tried.retain(|_, services| services.len() >= SCAN);
        Scanners(tried.into_keys().collect())
    }
}

/// Peers that scan, by interface.
#[derive(Clone, Debug)]
pub struct Scanners(BTreeSet<(u32, IpNet)>);

impl Scanners {
    /// Whether connections are part of a scan.
    pub fn have(&self, one: &Observation) -> bool {
        let interface = u32::try_from(one.interface).unwrap_or(u32::MAX);
        one.direction == Direction::Ingress && self.0.contains(&(interface, one.peer))
    }
}

/// A peer that tries this many services of an interface is a scanner.
const SCAN: usize = 10;
