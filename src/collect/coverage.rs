//! What traffic used of the rules: which of them, and how much of what each opens.
//!
//! A rule that names several ports or peers stands for one rule for each pair of them (as the cloud
//! counts); these *elements* are what is covered or not. Beside that, each rule's usage says which services
//! and peer networks it decided for, so that a range of 1,000 ports of which two are used shows as such.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::iter;
use std::net::IpAddr;

use foldhash::fast::{FixedState, RandomState};
use ipnet::IpNet;

use crate::capture::Frame;
use crate::flow::{Direction, FlowTuple, Packet, Protocol};
use crate::rules::{
    Addresses, EntryIndex, EntryKind, Matcher, PortRange, Rule, RuleSet, SharedLists,
};
use crate::verdict::{Judged, Judgement};

/// A service as traffic shows it: a protocol, and its destination port or ICMP type.
pub type SeenService = (Protocol, Option<u16>);

/// The size of the networks that peers are counted by.
pub const NETWORK: [u8; 2] = [24, 64];

/// More services, networks or peers of one entry than this are not told apart.
const MOST: usize = 1 << 16;

/// What traffic used of one entry.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// Connections that it decided; packets, where packets are judged alone.
    pub connections: u64,
    /// When the first of them began and the last packet came, ns since the epoch, where that is known.
    pub times: Option<(u64, u64)>,
    /// The frame that opened the first.
    pub first_frame: u64,
    /// Services, with connections.
    pub services: BTreeMap<SeenService, u64>,
    /// Networks of the far side, /24 or /64, with connections.
    pub networks: BTreeMap<IpNet, u64>,
    /// Elements that were used, as positions in the rule's ports and peers; behind the number of the rule, where the
    /// entry is of several layers.
    pub elements: HashSet<Element, FixedState>,
    /// There were more services, networks or peers than are told apart.
    pub more: bool,
    peers: HashSet<IpAddr, RandomState>,
}

/// What an entry is from, and what lets its packets through the layers before.
type Origin = (EntryKind, Vec<EntryKind>);

/// Which rule of those that let a packet through, the one that decided first; and a pair of its ports and peers.
type Element = (usize, (usize, usize));

impl Usage {
    /// Different addresses of the far side.
    pub fn peers(&self) -> usize {
        self.peers.len()
    }

    fn add(&mut self, flow: &FlowTuple, direction: Direction) {
        let port = flow.transport.ports().map(|(_, dst)| dst);
        let detail = port.or_else(|| flow.transport.icmp().map(|(kind, _)| kind.into()));
        let peer = flow.peer(direction);
        self.connections += 1;
        self.more |= !bump(&mut self.services, (flow.proto, detail));
        self.more |= !bump(&mut self.networks, network(peer));
        if self.peers.len() < MOST {
            self.peers.insert(peer);
        }
    }

    /// Adds what an entry was used for to that of a rule, which is one of those that let its packets through.
    fn merge(&mut self, other: &Self, of_rule: usize) {
        let Self { connections, times, first_frame, services, networks, elements, more, peers } =
            other;
        self.connections += connections;
        self.times = match (self.times, *times) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
        if self.first_frame == 0 || (*first_frame > 0 && *first_frame < self.first_frame) {
            self.first_frame = *first_frame;
        }
        for (service, count) in services {
            *self.services.entry(*service).or_default() += count;
        }
        for (network, count) in networks {
            *self.networks.entry(*network).or_default() += count;
        }
        #[expect(clippy::iter_over_hash_type, reason = "the order does not show in a set")]
        for (n, element) in elements {
            if *n == of_rule {
                self.elements.insert((0, *element));
            }
        }
        self.more |= more;
        self.peers.extend(peers);
    }
}

/// Counts one more, if there is room; whether there was.
fn bump<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K) -> bool {
    if let Some(count) = counts.get_mut(&key) {
        *count += 1;
    } else if counts.len() < MOST {
        counts.insert(key, 1);
    } else {
        return false;
    }
    true
}

/// The network that an address is counted in.
fn network(addr: IpAddr) -> IpNet {
    let len = if addr.is_ipv4() { NETWORK[0] } else { NETWORK[1] };
    IpNet::new(addr, len).map_or_else(|_| addr.into(), |net| net.trunc())
}

/// When traffic was observed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Times of the earliest and the latest packet, ns since the epoch; `None` where no packet has one.
    pub times: Option<(u64, u64)>,
    /// The longest time in which no packet came, and when it began.
    pub longest_pause: (u64, u64),
}

impl Window {
    fn see(&mut self, now: u64) {
        let (first, last) = self.times.unwrap_or((now, now));
        if let Some(pause) = now.checked_sub(last).filter(|pause| *pause > self.longest_pause.0) {
            self.longest_pause = (pause, last);
        }
        self.times = Some((first.min(now), last.max(now)));
    }
}

/// The ports and the peers that a rule names, each resolved: the elements that a pair is of.
#[derive(Clone, Debug)]
struct Named {
    ports: Vec<Vec<PortRange>>,
    peers: Vec<Vec<IpNet>>,
}

impl Named {
    fn new(rules: &RuleSet, rule: &Rule) -> Self {
        let one = |ports: Vec<_>, peers: Vec<_>| -> Matcher {
            rules.matcher(&Rule { ports, peers, ..rule.clone() })
        };
        let peers = rule.peers.iter().map(|peer| match one(Vec::new(), vec![peer.clone()]).peer {
            Addresses::Nets(nets) => nets,
            Addresses::Any => Vec::new(),
        });
        let ports = rule.ports.iter().map(|ports| one(vec![ports.clone()], Vec::new()).ports);
        Self { ports: ports.collect(), peers: peers.collect() }
    }

    /// The first element that a flow fits. No ports are any port.
    fn element(&self, flow: &FlowTuple, direction: Direction) -> Option<(usize, usize)> {
        let port = flow.transport.ports().map(|(_, dst)| dst);
        let holds = |ranges: &Vec<PortRange>| {
            ranges.is_empty() || port.is_some_and(|port| ranges.iter().any(|r| r.contains(port)))
        };
        let ports = if self.ports.is_empty() { Some(0) } else { self.ports.iter().position(holds) };
        let peer = flow.peer(direction);
        let peers = self.peers.iter().position(|nets| nets.iter().any(|net| net.contains(&peer)));
        ports.zip(peers)
    }
}

/// An entry of an interface.
type Place = (usize, Direction, EntryIndex);

/// What an entry is from, and what lets its packets through the layers before.
fn origin<'k>(
    shared: &SharedLists,
    kinds: &'k [[Vec<Origin>; 2]],
    (interface, direction, entry): Place,
) -> Option<&'k Origin> {
    kinds.get(shared.list(interface)?)?.get(direction as usize)?.get(entry.0 as usize)
}

/// What traffic used of all entries.
#[derive(Debug)]
pub struct Coverage {
    usage: HashMap<Place, Usage, FixedState>,
    /// Of each entry of each list what it is from, and what lets its packets through the layers before.
    kinds: Vec<[Vec<Origin>; 2]>,
    shared: SharedLists,
    named: HashMap<(usize, usize), Named, FixedState>,
    window: Window,
}

impl Coverage {
    /// Nothing used yet.
    pub fn new(rules: &RuleSet) -> Self {
        let kinds = |interface, direction| -> Vec<_> {
            let ordered = rules.ordered_for_packets(interface, direction);
            let entries = ordered.entries().iter();
            entries.map(|entry| (entry.kind, entry.through.clone())).collect()
        };
        let shared = SharedLists::new(rules);
        let lists = shared.first_interfaces().iter();
        let groups = rules.groups().iter().enumerate();
        let named = groups.flat_map(|(g, group)| {
            let of_group = group.rules.iter().enumerate();
            of_group.map(move |(r, rule)| ((g, r), Named::new(rules, rule)))
        });
        Self {
            usage: HashMap::default(),
            kinds: lists.map(|first| Direction::BOTH.map(|way| kinds(*first, way))).collect(),
            shared,
            named: named.collect(),
            window: Window::default(),
        }
    }

    /// Looks at a frame and its answer. Of connections the opening packet counts; without sessions
    /// every packet does.
    pub fn add(&mut self, frame: &Frame<'_>, packet: Option<&Packet>, judged: &Judged) {
        let now = frame.time_ns.or(self.window.times.map(|(_, last)| last));
        if let Some(now) = now {
            self.window.see(now);
        }
        for judgement in judged.judgements() {
            let Judgement { interface, decided_in, entry, .. } = *judgement;
            let usage = self.usage.entry((interface, decided_in, entry)).or_default();
            if let Some(now) = now {
                let (first, last) = usage.times.unwrap_or((now, now));
                usage.times = Some((first.min(now), last.max(now)));
            }
            if let (Some(reply), Some(packet)) = (judgement.reply, packet) {
                let entry = if judgement.is_stopped() { entry } else { reply.other_entry };
                self.add_reply(frame, &packet.flow, judgement, entry);
            }
            let usage = self.usage.entry((interface, decided_in, entry)).or_default();
            let opened = judgement.opened.map(|(_, flow)| flow);
            let alone = packet.filter(|_| judgement.connection.is_none()).map(|packet| packet.flow);
            let Some(flow) = opened.or(alone) else { continue };
            if usage.first_frame == 0 {
                usage.first_frame = frame.number;
            }
            usage.add(&flow, decided_in);
            let origin = origin(&self.shared, &self.kinds, (interface, decided_in, entry));
            let Some((kind, through)) = origin else { continue };
            for (n, kind) in iter::once(kind).chain(through).enumerate() {
                if let EntryKind::Rule { group, rule } = kind
                    && let Some(named) = self.named.get(&(*group, *rule))
                {
                    let element = named.element(&flow, decided_in);
                    usage.elements.extend(element.map(|element| (n, element)));
                }
            }
        }
    }

    /// An answer that a network ACL has judged by itself.
    fn add_reply(
        &mut self,
        frame: &Frame<'_>,
        flow: &FlowTuple,
        judgement: &Judgement,
        entry: EntryIndex,
    ) {
        let Judgement { interface, direction, .. } = *judgement;
        let usage = self.usage.entry((interface, direction, entry)).or_default();
        if usage.first_frame == 0 {
            usage.first_frame = frame.number;
        }
        if let Some(now) = frame.time_ns {
            let (first, last) = usage.times.unwrap_or((now, now));
            usage.times = Some((first.min(now), last.max(now)));
        }
        usage.add(flow, direction);
        let origin = origin(&self.shared, &self.kinds, (interface, direction, entry));
        if let Some((EntryKind::Rule { group, rule }, _)) = origin
            && let Some(named) = self.named.get(&(*group, *rule))
        {
            usage.elements.extend(named.element(flow, direction).map(|element| (0, element)));
        }
    }

    /// When traffic was observed.
    pub fn window(&self) -> Window {
        self.window
    }

    /// What was used of each rule at all interfaces, by the positions of its group and of the rule in it;
    /// rules that were not used have none.
    pub fn of_rules(&self) -> BTreeMap<(usize, usize), Usage> {
        let mut found: BTreeMap<(usize, usize), Usage> = BTreeMap::new();
        for (_, _, kinds, usage) in self.used() {
            for (n, kind) in kinds.enumerate() {
                if let EntryKind::Rule { group, rule } = kind {
                    found.entry((group, rule)).or_default().merge(usage, n);
                }
            }
        }
        found
    }

    /// What was decided where no rule matched, by interface and direction.
    pub fn of_defaults(&self) -> BTreeMap<(usize, Direction), Usage> {
        let mut found = BTreeMap::new();
        for (interface, direction, mut kinds, usage) in self.used() {
            if kinds.next() == Some(EntryKind::Default) {
                found.entry((interface, direction)).or_insert_with(Usage::default).merge(usage, 0);
            }
        }
        found
    }

    /// Every entry that was used: what it is from, then what let its packets through before.
    fn used(&self) -> Vec<(usize, Direction, impl Iterator<Item = EntryKind> + '_, &Usage)> {
        let mut used: Vec<(&Place, &Usage)> = self.usage.iter().collect();
        used.sort_unstable_by_key(|(place, _)| **place);
        let found = used.into_iter().filter_map(|(place, usage)| {
            let (kind, through) = origin(&self.shared, &self.kinds, *place)?;
            let (interface, direction, _) = *place;
            Some((interface, direction, iter::once(kind).chain(through).copied(), usage))
        });
        found.collect()
    }

    /// How many elements a rule has.
    pub fn elements(&self, place: (usize, usize)) -> usize {
        let named = self.named.get(&place);
        named.map_or(0, |named| named.ports.len().max(1) * named.peers.len().max(1))
    }
}
