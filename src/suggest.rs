//! Rules from traffic: few of them, that allow the connections that were seen and nothing beyond a stated
//! bound.
//!
//! Every connection needs its service (protocol and destination port) from its peer. Peers are widened to
//! networks no larger than the [`Bound`] says, ports never. Neighbouring ports with the same peers become
//! one range, and services with the same peers one rule. The fewest rules that could do it would be a
//! hard problem; these are few, and never wider for it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use foldhash::fast::FixedState;
use ipnet::IpNet;

use crate::flow::{Direction, FlowTuple, Protocol, TcpFlags};
use crate::rules::{
    GroupType, Interface, Invalid, Layer, Parts, Peer, Policy, PortRange, Ports, Priority, Rule,
    RuleId, RuleProtocol, RuleSet, SecurityGroup,
};
use crate::sources::Input;
use crate::verdict::{Judged, Reason, Verdict};

/// The largest networks that peers are widened to, by prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Of IPv4: 32 for the addresses themselves.
    pub v4: u8,
    /// Of IPv6: 128 for the addresses themselves.
    pub v6: u8,
}

impl Bound {
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
}

/// A service as a rule can name it: a port only where the protocol's rules have ports.
type Service = (Protocol, Option<u16>);

/// One connection that was allowed, at one interface.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// When it was opened.
    pub time: u64,
    /// Position of the interface.
    pub interface: usize,
    /// The direction in which it was opened.
    pub direction: Direction,
    /// Its tuple in the initiator's direction.
    pub flow: FlowTuple,
    /// Whether the other end answered: over TCP by more than a reset.
    pub answered: bool,
    /// Whether one of its packets is reported.
    pub selected: bool,
}

impl Observation {
    fn service(&self) -> Service {
        let proto = self.flow.proto;
        let ports = RuleProtocol::Only(proto).has_ports();
        let port = self.flow.transport.ports().map(|(_, dst)| dst).filter(|_| ports);
        (proto, port)
    }

    /// Whether a rule can allow it and not the whole protocol: none names port 0.
    pub fn can_be_named(&self) -> bool {
        let (proto, port) = self.service();
        !RuleProtocol::Only(proto).has_ports() || port.is_some_and(|port| port > 0)
    }

    fn peer(&self) -> IpAddr {
        self.flow.peer(self.direction)
    }
}

/// Gathers connections until the end of the traffic; memory grows with their number.
#[derive(Debug, Default)]
pub struct Observed {
    list: Vec<Observation>,
    known: HashMap<(u64, usize, bool), usize, FixedState>,
    /// The time of the last packet that has one.
    now: u64,
}

impl Observed {
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
            let key = (connection, judgement.interface, judgement.local_began);
            if let Some((_, flow)) = judgement.opened {
                if judgement.reason == Reason::System {
                    continue;
                }
                self.known.insert(key, self.list.len());
                self.list.push(Observation {
                    time,
                    interface: judgement.interface,
                    direction: judgement.decided_in,
                    flow,
                    answered: false,
                    selected: false,
                });
            }
            let known = self.known.get(&key).and_then(|place| self.list.get_mut(*place));
            let reset = packet.and_then(|packet| packet.tcp_flags).is_some_and(TcpFlags::rst);
            if let Some(known) = known {
                known.selected |= selected;
                known.answered |= judgement.direction != judgement.decided_in && !reset;
            }
        }
    }

    /// The connections of which a packet is selected, in order of opening.
    pub fn list(&self) -> Vec<Observation> {
        self.list.iter().filter(|one| one.selected).copied().collect()
    }
}

/// Peers that ask for this many services of an interface scan it.
const SCAN: usize = 10;

/// The connections without those that nobody answered and those of peers that tried many services.
pub fn without_scans(list: &[Observation]) -> Vec<Observation> {
    let mut tried: BTreeMap<(usize, Direction, IpAddr), BTreeSet<Service>> = BTreeMap::new();
    for one in list {
        let key = (one.interface, one.direction, one.peer());
        tried.entry(key).or_default().insert(one.service());
    }
    let scans = |one: &Observation| {
        let key = (one.interface, one.direction, one.peer());
        one.direction == Direction::Ingress && tried.get(&key).is_some_and(|of| of.len() >= SCAN)
    };
    list.iter().filter(|one| one.answered && !scans(one)).copied().collect()
}

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
    bound: Bound,
}

impl Suggestion {
    /// Rules that allow these connections; peers as wide as the bound says.
    pub fn new(list: &[Observation], bound: Bound) -> Self {
        let mut peers: BTreeMap<(usize, Direction, Service), Vec<IpNet>> = BTreeMap::new();
        for one in list.iter().filter(|one| one.can_be_named()) {
            let key = (one.interface, one.direction, one.service());
            peers.entry(key).or_default().push(bound.around(one.peer()));
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
    pub fn with_most(list: &[Observation], bound: Bound, most: usize) -> Self {
        let mut suggestion = Self { bound, ..Self::new(list, Bound::EXACT) };
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
        let seen = Self::new(list, Bound::EXACT);
        let seen: f64 = seen.allowances.iter().map(Allowance::opens).sum();
        if seen > 0.0 { opened / seen } else { 1.0 }
    }

    /// The bound that holds for it.
    pub fn bound(&self) -> Bound {
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
                && of.peers.iter().any(|net| net.contains(&one.peer()))
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
            Some(rules) => rules.interfaces().iter().map(Some).enumerate().collect(),
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
                rules.interfaces().iter().enumerate().map(only).collect()
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
    fn best_merge(&self, bound: Bound) -> Option<Merge> {
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
