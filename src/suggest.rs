//! Rules from traffic: few of them, that allow the connections that were seen and nothing beyond a stated
//! bound.
//!
//! Every connection needs its service (protocol and destination port) from its peer. Peers are widened to
//! networks no larger than the [`Widening`] says, ports never. Neighbouring ports with the same peers become
//! one range, and services with the same peers one rule. The fewest rules that could do it would be a
//! hard problem; these are few, and never wider for it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use foldhash::fast::FixedState;
use ipnet::IpNet;

use crate::flow::{Direction, FlowTuple, Protocol, TcpFlags};
use crate::replay::Replay;
use crate::rules::{
    GroupType, Interface, Invalid, Layer, Parts, Peer, Policy, PortRange, Ports, Priority, Rule,
    RuleId, RuleProtocol, RuleSet, SecurityGroup,
};
use crate::sources::Input;
use crate::verdict::{Judged, Reason, Verdict};

/// The largest networks that peers are widened to, by prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widening {
    /// Of IPv4: 32 for the addresses themselves.
    pub v4: u8,
    /// Of IPv6: 128 for the addresses themselves.
    pub v6: u8,
}

impl Widening {
    /// The addresses that were seen, and no others.
    pub const EXACT: Self = Self { v4: 32, v6: 128 };

    /// Bounds to choose between, the narrowest first.
    pub const STEPS: [Self; 7] = [
        Self::EXACT,
        Self { v4: 28, v6: 120 },
        Self { v4: 24, v6: 64 },
        Self { v4: 20, v6: 56 },
        Self { v4: 16, v6: 48 },
        Self { v4: 8, v6: 32 },
        Self { v4: 0, v6: 0 },
    ];

    fn of(self, net: &IpNet) -> u8 {
        if net.addr().is_ipv4() { self.v4 } else { self.v6 }
    }

    /// The largest network within the bound that holds an address.
    pub fn around(self, addr: IpAddr) -> IpNet {
        let len = if addr.is_ipv4() { self.v4 } else { self.v6 };
        IpNet::new(addr, len).map_or_else(|_| addr.into(), |net| net.trunc())
    }

    /// The largest network within the bound that holds a network, which itself where that is no smaller.
    fn over(self, net: &IpNet) -> IpNet {
        let around = self.around(net.addr());
        if around.prefix_len() < net.prefix_len() { around } else { *net }
    }
}

/// A service as a rule can name it: a port only where the protocol's rules have ports.
type Service = (Protocol, Option<u16>);

/// Connections that were allowed, at one interface, to one service of or from one peer.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// Position of the interface.
    pub interface: usize,
    /// The direction in which they were opened.
    pub direction: Direction,
    /// The tuple of the first, in the initiator's direction.
    pub flow: FlowTuple,
    /// The peer, or a network of peers where there are too many to be told apart.
    pub peer: IpNet,
    /// How many connections.
    pub connections: u64,
    /// When the first was opened.
    first: u64,
}

impl Observation {
    fn service(&self) -> Service {
        service(&self.flow)
    }

    /// Whether a rule can allow it and not the whole protocol: none names port 0.
    pub fn can_be_named(&self) -> bool {
        let (proto, port) = self.service();
        !RuleProtocol::Only(proto).has_ports() || port.is_some_and(|port| port > 0)
    }
}

fn service(flow: &FlowTuple) -> Service {
    let ports = RuleProtocol::Only(flow.proto).has_ports();
    (flow.proto, flow.transport.ports().map(|(_, dst)| dst).filter(|_| ports))
}

/// Connections in all.
pub fn count(list: &[Observation]) -> u64 {
    list.iter().map(|one| one.connections).sum()
}

/// Gathers connections until the end of the traffic, by interface, direction, service and peer. Where there are too many
/// peers, they are taken for networks.
#[derive(Debug)]
pub struct Observed {
    groups: HashMap<Key, Group, FixedState>,
    /// Connections of which it is not yet known whether they are answered, or selected.
    open: HashMap<(u64, u32, bool), Open, FixedState>,
    /// The time of the last packet that has one.
    now: u64,
    most_memory: usize,
    /// How far peers are told apart: a position in [`Widening::STEPS`].
    step: usize,
    wants: Wants,
    forgotten: u64,
}

/// What is to be known of connections, beside service and peer: each costs memory for every one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Which were answered; else all are taken for answered.
    pub answers: bool,
    /// When each was opened.
    pub times: bool,
    /// Only connections of which a packet is selected.
    pub selection: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    interface: u32,
    direction: Direction,
    service: Service,
    peer: IpNet,
    answered: bool,
}

#[derive(Debug)]
struct Group {
    flow: FlowTuple,
    connections: u64,
    first: u64,
    /// Of each connection, where they are wanted.
    times: Vec<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    flow: FlowTuple,
    time: u64,
    direction: Direction,
    last_frame: u64,
    answered: bool,
    selected: bool,
}

/// About what a group takes, bytes, with the copy that its rules are made of.
const GROUP: usize = 192;
const OPEN: usize = 192;

impl Observed {
    /// None yet; they take no more than so many bytes, about.
    pub fn new(wants: Wants, most_memory: usize) -> Self {
        let (groups, open) = (HashMap::default(), HashMap::default());
        Self { groups, open, now: 0, most_memory, step: 0, wants, forgotten: 0 }
    }

    /// Adds a packet, if it was allowed at every interface; system traffic needs no rule.
    /// A connection is learned from if one of its packets is selected.
    pub fn add(&mut self, input: &Input<'_>, judged: &Judged) {
        let Input { frame, decoded, selected, .. } = *input;
        let packet = decoded.packet();
        self.now = frame.time_ns.unwrap_or(self.now);
        let time = self.now;
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
                let open = Open { flow, time, direction, last_frame, answered, selected };
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

    /// Adds a connection of which enough is known.
    fn close(&mut self, interface: u32, open: &Open) {
        let Open { flow, time, direction, answered, selected, .. } = *open;
        if self.wants.selection && !selected {
            return;
        }
        let peer = self.widening().around(flow.peer(direction));
        let key = Key { interface, direction, service: service(&flow), peer, answered };
        let group = self.groups.entry(key).or_insert_with(|| Group {
            flow,
            connections: 0,
            first: time,
            times: Vec::new(),
        });
        group.connections += 1;
        if self.wants.times {
            group.times.push(time);
        }
        if time < group.first {
            (group.first, group.flow) = (time, flow);
        }
        while self.groups.len() * GROUP > self.most_memory && self.step + 1 < Widening::STEPS.len()
        {
            self.coarsen();
        }
    }

    /// Takes peers for larger networks.
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
    /// have been idle longest: what follows of these is not learned.
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

    /// The largest networks that peers are taken for.
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
            list.sort_unstable_by_key(|one| (one.first, one.interface, one.direction, one.flow));
        }
        [first, rest]
    }

    /// Peers that tried many services, answered or not: they scan.
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

/// Peers that ask for this many services of an interface scan it.
const SCAN: usize = 10;

/// Services with the same peers: one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Allowance {
    interface: usize,
    direction: Direction,
    protocol: Protocol,
    /// Empty where the protocol's rules have no ports.
    ports: Vec<PortRange>,
    peers: Vec<IpNet>,
}

impl Allowance {
    /// Rules as the cloud counts them: one for each pair.
    fn rules(&self) -> usize {
        self.ports.len().max(1) * self.peers.len()
    }

    /// Address and port pairs that it opens, for the order of magnitude.
    fn opens(&self) -> f64 {
        let ports: f64 = self.ports.iter().map(|r| f64::from(r.last() - r.first()) + 1.0).sum();
        ports.max(1.0) * self.peers.iter().map(size).sum::<f64>()
    }
}

/// Addresses; of IPv6 networks of 64 bits, which are one site's each however many addresses it uses.
fn size(net: &IpNet) -> f64 {
    let bits = if net.addr().is_ipv4() { 32 } else { 64 };
    f64::from(bits - net.prefix_len().min(bits)).exp2()
}

/// Rules that allow connections.
#[derive(Clone, Debug)]
pub struct Suggestion {
    allowances: Vec<Allowance>,
    bound: Widening,
}

impl Suggestion {
    /// Rules that allow these connections; peers as wide as the bound says.
    pub fn new(list: &[Observation], bound: Widening) -> Self {
        let mut peers: BTreeMap<(usize, Direction, Service), Vec<IpNet>> = BTreeMap::new();
        for one in list.iter().filter(|one| one.can_be_named()) {
            let key = (one.interface, one.direction, one.service());
            peers.entry(key).or_default().push(bound.over(&one.peer));
        }
        let allowances = peers.into_iter().map(|((interface, direction, service), nets)| {
            let (protocol, port) = service;
            let ports = port.and_then(|port| PortRange::new(port, port)).into_iter().collect();
            Allowance { interface, direction, protocol, ports, peers: IpNet::aggregate(&nets) }
        });
        let mut suggestion = Self { allowances: allowances.collect(), bound };
        suggestion.join();
        suggestion
    }

    /// Rules that close egress, for each interface: they come on top of those that allow.
    pub const CLOSING: usize = 2;

    /// At most so many rules that allow, if peers need not be widened beyond the bound for it: each time those
    /// networks are put together that open the least for a rule less.
    pub fn with_most(list: &[Observation], bound: Widening, most: usize) -> Self {
        let mut suggestion = Self { bound, ..Self::new(list, Widening::EXACT) };
        while suggestion.rules() > most {
            let allowances = suggestion.allowances.iter().enumerate();
            let merges = allowances.filter_map(|(place, of)| Some((place, of.best_merge(bound)?)));
            let best = merges.min_by(|(_, a), (_, b)| a.price.total_cmp(&b.price));
            let Some((place, Merge { into, .. })) = best else { break };
            if let Some(of) = suggestion.allowances.get_mut(place) {
                of.peers.retain(|net| !into.contains(net));
                of.peers.push(into);
                of.peers = IpNet::aggregate(&of.peers);
            }
        }
        suggestion.join();
        suggestion
    }

    /// Puts neighbouring ports and services with the same peers together.
    fn join(&mut self) {
        type Key = (usize, Direction, Protocol, Vec<IpNet>);
        let mut joined: BTreeMap<Key, Vec<PortRange>> = BTreeMap::new();
        for of in std::mem::take(&mut self.allowances) {
            let Allowance { interface, direction, protocol, ports, mut peers } = of;
            peers.sort_unstable();
            joined.entry((interface, direction, protocol, peers)).or_default().extend(ports);
        }
        for ((interface, direction, protocol, peers), mut ports) in joined {
            ports.sort_unstable();
            let mut ranges: Vec<PortRange> = Vec::new();
            for port in ports {
                let before = ranges.last().copied();
                let touching = before.filter(|of| of.last().checked_add(1) == Some(port.first()));
                match touching.and_then(|of| PortRange::new(of.first(), port.last())) {
                    Some(range) => {
                        ranges.pop();
                        ranges.push(range);
                    }
                    None => ranges.push(port),
                }
            }
            self.allowances.push(Allowance {
                interface,
                direction,
                protocol,
                ports: ranges,
                peers,
            });
        }
    }

    /// Rules as the cloud counts them: one for each pair of ports and peer.
    pub fn rules(&self) -> usize {
        self.allowances.iter().map(Allowance::rules).sum()
    }

    /// How many pairs of a port and an address (in IPv6: a /64) it opens for each that was seen.
    pub fn opens(&self, list: &[Observation]) -> f64 {
        let opened: f64 = self.allowances.iter().map(Allowance::opens).sum();
        let seen = Self::new(list, Widening::EXACT);
        let seen: f64 = seen.allowances.iter().map(Allowance::opens).sum();
        if seen > 0.0 { opened / seen } else { 1.0 }
    }

    /// The bound that holds for it.
    pub fn bound(&self) -> Widening {
        self.bound
    }

    /// Whether it lets in more of a protocol than was seen: rules of ICMP have no types.
    pub fn has_icmp(&self) -> bool {
        let icmp = |of: &Allowance| matches!(of.protocol, Protocol::ICMP | Protocol::ICMPV6);
        self.allowances.iter().any(icmp)
    }

    /// Whether it would allow a connection.
    pub fn allows(&self, one: &Observation) -> bool {
        let (protocol, port) = one.service();
        self.allowances.iter().any(|of| {
            of.interface == one.interface
                && of.direction == one.direction
                && of.protocol == protocol
                && port.is_none_or(|port| of.ports.iter().any(|range| range.contains(port)))
                && of.peers.iter().any(|net| net.contains(&one.peer))
        })
    }

    /// As a rule set: a group for each interface that has a connection. Where `of` lists interfaces they are
    /// named; members are isolated, and egress is an allow-list.
    ///
    /// # Errors
    /// When the cloud would refuse so many rules.
    pub fn rule_set(&self, of: Option<&RuleSet>) -> Result<RuleSet, Vec<Invalid>> {
        let listed = of.filter(|rules| rules.lists_interfaces());
        let interfaces: Vec<(usize, Option<&Interface>)> = match listed {
            None => vec![(0, None)],
            Some(rules) => rules.listed_interfaces().iter().map(Some).enumerate().collect(),
        };
        let groups = interfaces.iter().map(|(position, eni)| {
            let name = eni.map_or_else(String::new, |eni| format!("-{}", eni.id));
            self.group(*position, format!("sg-suggested{name}"))
        });
        let parts = Parts {
            groups: groups.collect(),
            interfaces: listed.map(|rules| {
                let only = |(position, eni): (usize, &Interface)| Interface {
                    groups: vec![position],
                    ..eni.clone()
                };
                rules.listed_interfaces().iter().enumerate().map(only).collect()
            }),
            slb_sources: of.map_or_else(Vec::new, |rules| rules.slb_sources().to_vec()),
            ..Parts::default()
        };
        RuleSet::new(parts)
    }

    fn group(&self, interface: usize, id: String) -> SecurityGroup {
        let rule = |direction, policy, priority, protocol, ports, peers: Vec<IpNet>| {
            let id = RuleId::Numbered { group: id.clone(), number: 0 };
            let peers = peers.into_iter().map(Peer::Cidr).collect();
            Rule { policy, priority, ports, ..Rule::new(id, direction, protocol, peers) }
        };
        let mut rules: Vec<Rule> = Vec::new();
        for of in self.allowances.iter().filter(|of| of.interface == interface) {
            // The cloud has lists of one family in a rule.
            let (v4, v6): (Vec<IpNet>, Vec<IpNet>) =
                of.peers.iter().partition(|net| net.addr().is_ipv4());
            for peers in [v4, v6].into_iter().filter(|peers| !peers.is_empty()) {
                let ports = of.ports.iter().copied().map(Ports::Range).collect();
                let protocol = RuleProtocol::Only(of.protocol);
                rules.push(rule(
                    of.direction,
                    Policy::Accept,
                    Priority::HIGHEST,
                    protocol,
                    ports,
                    peers,
                ));
            }
        }
        // A basic group accepts all other egress.
        let everybody = ["0.0.0.0/0", "::/0"].map(str::parse::<IpNet>);
        for peer in everybody.into_iter().flatten() {
            let (out, all) = (Direction::Egress, RuleProtocol::All);
            rules.push(rule(out, Policy::Drop, Priority::LOWEST, all, Vec::new(), vec![peer]));
        }
        for (number, rule) in (1..).zip(&mut rules) {
            rule.id = RuleId::Numbered { group: id.clone(), number };
        }
        SecurityGroup {
            id,
            layer: Layer::SecurityGroup,
            group_type: GroupType::Basic,
            inner_access_policy: Policy::Drop,
            vpc_id: None,
            networks: Vec::new(),
            rules,
        }
    }
}

/// Networks put together.
struct Merge {
    into: IpNet,
    /// What it opens anew, for each rule that it saves.
    price: f64,
}

impl Allowance {
    /// The cheapest way to put two neighbouring networks, and what lies between, into one.
    fn best_merge(&self, bound: Widening) -> Option<Merge> {
        let mut peers = self.peers.clone();
        peers.sort_unstable();
        let merges = (1..peers.len()).filter_map(|place| {
            let (before, after) = peers.split_at(place);
            let into = common(before.last()?, after.first()?)?;
            if into.prefix_len() < bound.of(&into) {
                return None;
            }
            // They are in order and apart, so those inside stand next to each other.
            let inside = |net: &&IpNet| into.contains(*net);
            let left = before.iter().rev().take_while(inside);
            let nets = left.chain(after.iter().take_while(inside));
            let (count, covered) =
                nets.fold((0_u32, 0.0), |(n, sum), net| (n + 1, sum + size(net)));
            let opened = size(&into) - covered;
            Some(Merge { into, price: opened / f64::from(count.saturating_sub(1).max(1)) })
        });
        merges.min_by(|a, b| a.price.total_cmp(&b.price))
    }
}

/// The smallest network that holds both.
fn common(a: &IpNet, b: &IpNet) -> Option<IpNet> {
    if a.addr().is_ipv4() != b.addr().is_ipv4() {
        return None;
    }
    let mut net = *a;
    while !net.contains(b) {
        net = net.supernet()?;
    }
    Some(net.trunc())
}

/// Everything is allowed, so that all connections are seen; one interface, which holds all of them.
///
/// # Errors
/// Never, in fact.
pub fn everything() -> Result<RuleSet, Vec<Invalid>> {
    let accept = |direction, peer: IpNet| {
        let id = RuleId::Named(format!("{direction}-{peer}"));
        Rule::new(id, direction, RuleProtocol::All, vec![Peer::Cidr(peer)])
    };
    let everybody = ["0.0.0.0/0", "::/0"].map(str::parse::<IpNet>).into_iter().flatten();
    let rules = everybody.flat_map(|peer| Direction::BOTH.map(|direction| accept(direction, peer)));
    let group = SecurityGroup {
        id: "sg-everything".to_owned(),
        layer: Layer::SecurityGroup,
        group_type: GroupType::Basic,
        inner_access_policy: Policy::Accept,
        vpc_id: None,
        networks: Vec::new(),
        rules: rules.collect(),
    };
    RuleSet::new(Parts { groups: vec![group], ..Parts::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_common_network() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let of = |a, b| common(&net(a), &net(b)).map(|net| net.to_string());
        assert_eq!(of("10.0.0.1/32", "10.0.0.2/32").as_deref(), Some("10.0.0.0/30"));
        assert_eq!(of("10.0.0.0/24", "10.0.0.7/32").as_deref(), Some("10.0.0.0/24"));
        assert_eq!(of("0.0.0.0/32", "255.0.0.0/32").as_deref(), Some("0.0.0.0/0"));
        assert_eq!(of("::/128", "10.0.0.0/8"), None);
    }
}
