//! What traffic used of the rules: which of them, and how much of what each opens.
//!
//! A rule that names several ports or peers stands for one rule for each pair of them (as the cloud
//! counts); these *elements* are what is covered or not. Beside that, each rule's usage says which services
//! and peer networks it decided for, so that a range of 1,000 ports of which two are used shows as such.

use std::collections::{BTreeMap, HashMap};
use std::iter;

use foldhash::fast::FixedState;
use ipnet::IpNet;

use super::usage::{MOST, Usage};
use super::window::Window;
use crate::capture::Frame;
use crate::flow::{Direction, FlowTuple, Packet};
use crate::rules::{
    Addresses, EntryIndex, EntryKind, Matcher, PortRange, Rule, RuleSet, SharedLists,
};
use crate::verdict::{Judged, Judgement};

/// What an entry is from, and what lets its packets through the layers before.
type Origin = (EntryKind, Vec<EntryKind>);

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

/// What a part of the traffic used.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct CoveragePart(Vec<(Place, Usage)>);

/// More services, networks or peers than are told apart: which ones these are depends on the order of all packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMuchUsed;

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
        self.add_alike((frame.number, now), packet, judged, 1);
    }

    /// Looks at so many packets with the same answer, of which the first is at this frame and time.
    pub(crate) fn add_alike(
        &mut self,
        (frame, now): (u64, Option<u64>),
        packet: Option<&Packet>,
        judged: &Judged,
        packets: u64,
    ) {
        for judgement in judged.judgements() {
            let Judgement { interface, decided_in, entry, .. } = *judgement;
            self.usage.entry((interface, decided_in, entry)).or_default().see(now);
            if let (Some(reply), Some(packet)) = (judgement.reply, packet) {
                let entry = if judgement.is_stopped() { entry } else { reply.other_entry };
                self.add_reply((frame, now), &packet.flow, judgement, entry, packets);
            }
            let usage = self.usage.entry((interface, decided_in, entry)).or_default();
            let opened = judgement.opened.map(|(_, flow)| (flow, 1));
            let alone = packet.filter(|_| judgement.connection.is_none());
            let alone = alone.map(|packet| (packet.flow, packets));
            let Some((flow, connections)) = opened.or(alone) else { continue };
            usage.open(frame);
            usage.add(&flow, decided_in, connections);
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

    /// Answers that a network ACL has judged by themselves.
    fn add_reply(
        &mut self,
        (frame, now): (u64, Option<u64>),
        flow: &FlowTuple,
        judgement: &Judgement,
        entry: EntryIndex,
        packets: u64,
    ) {
        let Judgement { interface, direction, .. } = *judgement;
        let usage = self.usage.entry((interface, direction, entry)).or_default();
        usage.open(frame);
        usage.see(now);
        usage.add(flow, direction, packets);
        let origin = origin(&self.shared, &self.kinds, (interface, direction, entry));
        if let Some((EntryKind::Rule { group, rule }, _)) = origin
            && let Some(named) = self.named.get(&(*group, *rule))
        {
            usage.elements.extend(named.element(flow, direction).map(|element| (0, element)));
        }
    }

    /// What was used, without the window, as a part of all.
    pub(crate) fn into_part(self) -> CoveragePart {
        CoveragePart(self.usage.into_iter().collect())
    }

    /// What all parts used in this window.
    pub(crate) fn of_parts(
        rules: &RuleSet,
        parts: impl IntoIterator<Item = CoveragePart>,
        window: Window,
    ) -> Result<Self, TooMuchUsed> {
        let mut all = Self { window, ..Self::new(rules) };
        for (place, usage) in parts.into_iter().flat_map(|CoveragePart(usage)| usage) {
            all.usage.entry(place).or_default().merge_same(usage);
        }
        if all.usage.values().any(|usage| usage.more) {
            return Err(TooMuchUsed);
        }
        // Of an entry with that many peers it is not known which ones are kept, and a rule may have several entries.
        let mut places: HashMap<EntryKind, (usize, bool), FixedState> = HashMap::default();
        for (_, _, kinds, usage) in all.used() {
            for kind in kinds.filter(|kind| matches!(kind, EntryKind::Rule { .. })) {
                let (count, is_full) = places.entry(kind).or_default();
                *count += 1;
                *is_full |= usage.peers.len() >= MOST;
            }
        }
        match places.values().any(|(count, is_full)| *count > 1 && *is_full) {
            true => Err(TooMuchUsed),
            false => Ok(all),
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
