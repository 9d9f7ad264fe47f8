//! Seeded rule sets and tuples for measuring classifiers: security groups as people write them, and
//! sets in the three shapes that `ClassBench` (Taylor and Turner 2007) found in real filter sets. The
//! shapes' figures (how many addresses are wild, how long prefixes are, what ports look like) are
//! those of its seed files in round numbers; the sets are not its own.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use sgreplay::flow::{Direction, FlowTuple, Protocol, Transport};
use sgreplay::rules::{
    Addresses, Builtin, Entry, EntryKind, Matcher, Ordered, Policy, PortRange, RuleProtocol,
};

use super::traffic::{Random, SERVICES};

/// A kind of rule set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A security group: protocol, port, peer.
    Group,
    /// A router's access list: narrow destinations, few wild sources, destination ports.
    Acl,
    /// A firewall: many wild addresses, ports on both ends.
    Firewall,
    /// An IP chain: between the two, prefixes that lie in each other.
    Chain,
}

impl Shape {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Acl => "acl",
            Self::Firewall => "fw",
            Self::Chain => "ipc",
        }
    }

    /// Per cent of wild sources and destinations, and of source ports that are not wild.
    fn wild(self) -> [u64; 3] {
        match self {
            Self::Group => [5, 100, 0],
            Self::Acl => [15, 2, 1],
            Self::Firewall => [40, 30, 25],
            Self::Chain => [8, 12, 12],
        }
    }
}

/// How the tuples are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Draw {
    /// Each from a random rule: so all of them are reached.
    Rules,
    /// Half of them from few rules and few flows, as traffic is.
    Skewed,
    /// Uniform addresses, usual ports.
    Uniform,
}

impl Draw {
    pub(crate) const ALL: [Self; 3] = [Self::Rules, Self::Skewed, Self::Uniform];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Skewed => "skewed",
            Self::Uniform => "uniform",
        }
    }
}

/// Networks that rules draw from, many of which lie in each other.
fn networks(random: &mut Random, count: usize, shape: Shape) -> Vec<Ipv4Net> {
    let mut nets: Vec<Ipv4Net> = Vec::with_capacity(count);
    while nets.len() < count {
        let length = match (shape, random.below(10)) {
            (Shape::Group, n) => [8, 16, 16, 24, 24, 24, 32, 32, 32, 32][n as usize],
            (_, 0) => 8 + random.below(9),
            (_, 1..=2) => 17 + random.below(7),
            (_, 3..=5) => 24,
            (_, 6..=7) => 25 + random.below(7),
            _ => 32,
        } as u8;
        let inside = match random.below(100) < if shape == Shape::Group { 10 } else { 60 } {
            true if !nets.is_empty() => nets[random.below(nets.len() as u64) as usize],
            _ => Ipv4Net::default(),
        };
        let bits = random.next() as u32;
        let kept = u32::from(inside.network()) | bits & u32::from(inside.hostmask());
        let length = length.max(inside.prefix_len());
        nets.push(Ipv4Net::new(kept.into(), length).expect("a length").trunc());
    }
    nets
}

fn ports(random: &mut Random, narrow: bool) -> Vec<PortRange> {
    let range = match random.below(10) {
        0..=2 if narrow => {
            let port = random.below(65_536) as u16;
            (port, port)
        }
        0 => (1024, u16::MAX),
        1..=2 => {
            let first = random.below(60_000) as u16;
            (first, first + random.below(5_000) as u16)
        }
        3..=4 => {
            let port = random.below(65_536) as u16;
            (port, port)
        }
        _ => {
            let port = SERVICES[random.below(SERVICES.len() as u64) as usize];
            (port, port)
        }
    };
    PortRange::new(range.0, range.1).into_iter().collect()
}

/// So many entries in evaluation order, and the default.
pub(crate) fn ordered(shape: Shape, rules: usize, seed: u64) -> Ordered {
    let mut random = Random(seed);
    let sources = networks(&mut random, rules / 2 + 8, shape);
    let targets = networks(&mut random, rules / 2 + 8, shape);
    let [wild_source, wild_target, own_source_port] = shape.wild();
    let address = |random: &mut Random, of: &[Ipv4Net], wild: u64| match random.below(100) < wild {
        true => Addresses::Any,
        false => Addresses::Nets(vec![IpNet::V4(of[random.below(of.len() as u64) as usize])]),
    };
    let entries = (0..rules).map(|_| {
        let peer = address(&mut random, &sources, wild_source);
        let local = address(&mut random, &targets, wild_target);
        // A rule for everything would leave the rest of the list without a say.
        let wild = peer == Addresses::Any && local == Addresses::Any;
        let protocol = match random.below(if wild { 17 } else { 20 }) {
            0..=12 => RuleProtocol::Only(Protocol::TCP),
            13..=16 => RuleProtocol::Only(Protocol::UDP),
            17 => RuleProtocol::Only(Protocol::ICMP),
            _ => RuleProtocol::All,
        };
        let has_ports = matches!(protocol, RuleProtocol::Only(Protocol::TCP | Protocol::UDP));
        let any_port = !has_ports || (!wild && random.below(5) == 0);
        let source_port = has_ports && random.below(100) < own_source_port;
        let policy = if random.below(4) == 0 { Policy::Drop } else { Policy::Accept };
        let matcher = Matcher {
            protocol,
            ports: if any_port { Vec::new() } else { ports(&mut random, wild) },
            source_ports: if source_port { ports(&mut random, false) } else { Vec::new() },
            peer,
            local,
            icmp: None,
        };
        // A builtin's tag serves: nothing here looks at it.
        Entry::new(policy, EntryKind::System(Builtin::Slb), matcher)
    });
    Ordered::new(Direction::Ingress, entries.collect(), Policy::Drop)
}

/// An entry for each of the intervals that start at these ports, in TCP, and nothing else.
pub(crate) fn port_ranges(starts: &[u16]) -> Ordered {
    let lasts = starts.iter().skip(1).map(|start| start - 1).chain([u16::MAX]);
    let entries = starts.iter().zip(lasts).enumerate().map(|(rule, (first, last))| {
        let matcher = Matcher {
            protocol: RuleProtocol::Only(Protocol::TCP),
            ports: PortRange::new(*first, last).into_iter().collect(),
            ..Matcher::any()
        };
        Entry::new(Policy::Accept, EntryKind::Rule { group: 0, rule }, matcher)
    });
    Ordered::new(Direction::Ingress, entries.collect(), Policy::Drop)
}

/// So many flows.
pub(crate) fn flows(ordered: &Ordered, draw: Draw, count: usize, seed: u64) -> Vec<FlowTuple> {
    let mut random = Random(seed ^ 0x5eed);
    let entries = ordered.entries();
    let drawn = |random: &mut Random| {
        let entry = &entries[random.below(entries.len() as u64) as usize];
        of_entry(random, draw, &entry.matcher)
    };
    let few: Vec<FlowTuple> = (0..512).map(|_| drawn(&mut random)).collect();
    (0..count)
        .map(|_| match draw {
            // The smaller of two draws: low numbers come far more often.
            Draw::Skewed if random.below(4) > 0 => {
                few[random.below(512).min(random.below(512)) as usize]
            }
            _ => drawn(&mut random),
        })
        .collect()
}

fn of_entry(random: &mut Random, draw: Draw, matcher: &Matcher) -> FlowTuple {
    let mut address = |of: &Addresses| -> IpAddr {
        let bits = random.next() as u32;
        match of {
            Addresses::Nets(nets) if draw != Draw::Uniform => match nets.first() {
                Some(IpNet::V4(net)) => (u32::from(net.network())
                    | bits & u32::from(net.hostmask()))
                .to_be_bytes()
                .into(),
                _ => bits.to_be_bytes().into(),
            },
            _ => bits.to_be_bytes().into(),
        }
    };
    let (src, dst) = (address(&matcher.peer), address(&matcher.local));
    let mut port = |ranges: &[PortRange]| match ranges {
        [range, ..] => {
            range.first() + random.below(u64::from(range.last() - range.first()) + 1) as u16
        }
        [] => random.below(65_536) as u16,
    };
    let (sport, dport) = (port(&matcher.source_ports), port(&matcher.ports));
    let proto = match matcher.protocol {
        RuleProtocol::Only(proto) => proto,
        RuleProtocol::All => Protocol::TCP,
    };
    let transport = match proto {
        Protocol::ICMP => Transport::Icmp { kind: 8, code: 0, id: Some(1) },
        _ => Transport::Ports { src: sport, dst: dport },
    };
    FlowTuple { src, dst, proto, transport }
}
