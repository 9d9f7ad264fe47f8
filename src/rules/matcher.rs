//! The conditions of an entry, lists and group references resolved to addresses and ports.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{PortRange, RuleProtocol};
use crate::flow::{Direction, FlowTuple, Protocol};

/// The conditions of an entry, all of which must hold (SEMANTICS A3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Matcher {
    /// IP protocol.
    pub protocol: RuleProtocol,
    /// Destination port, in both directions; empty for any.
    pub ports: Vec<PortRange>,
    /// Source port; empty for any.
    pub source_ports: Vec<PortRange>,
    /// The far side's address.
    pub peer: Addresses,
    /// The near side's address.
    pub local: Addresses,
    /// ICMP types.
    pub icmp: Option<IcmpTypes>,
}

/// A condition on the type and code of an ICMP or ICMPv6 message: a range of types with any code, or one type with
/// one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IcmpTypes {
    first: u8,
    last: u8,
    code: Option<u8>,
}

impl IcmpTypes {
    /// One type, with one code or any.
    pub fn one(kind: u8, code: Option<u8>) -> Self {
        Self { first: kind, last: kind, code }
    }

    /// The types from one to another, both included, with any code.
    pub fn range(first: u8, last: u8) -> Self {
        Self { first, last, code: None }
    }

    /// The types.
    pub fn kinds(self) -> std::ops::RangeInclusive<u8> {
        self.first..=self.last
    }

    /// The code, where only one will do.
    pub fn code(self) -> Option<u8> {
        self.code
    }

    /// The first and the last message that fits, as type and code.
    pub fn ends(self) -> [(u8, u8); 2] {
        [(self.first, self.code.unwrap_or(0)), (self.last, self.code.unwrap_or(u8::MAX))]
    }

    /// Whether a message of this type and code fits.
    pub fn contains(self, kind: u8, code: u8) -> bool {
        self.kinds().contains(&kind) && self.code.is_none_or(|only| only == code)
    }

    /// The messages that fit both; `None` where there is none.
    fn and(self, other: Self) -> Option<Self> {
        let (first, last) = (self.first.max(other.first), self.last.min(other.last));
        let code = match (self.code, other.code) {
            (Some(a), Some(b)) if a != b => return None,
            (a, b) => a.or(b),
        };
        (first <= last).then_some(Self { first, last, code })
    }
}

impl fmt::Display for IcmpTypes {
    /// `8`, `3 code 4`, `133 to 137`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last, code } = self;
        match code {
            Some(code) => write!(f, "{first} code {code}"),
            None if first == last => write!(f, "{first}"),
            None => write!(f, "{first} to {last}"),
        }
    }
}

/// A condition on an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Addresses {
    /// Any, of either family.
    Any,
    /// In one of these; none at all when the list is empty.
    Nets(Vec<IpNet>),
}

impl Addresses {
    /// The addresses of both; `None` where there is none.
    fn and(&self, other: &Self) -> Option<Self> {
        let (one, two) = match (self, other) {
            (Self::Any, of) | (of, Self::Any) => return Some(of.clone()),
            (Self::Nets(one), Self::Nets(two)) => (one, two),
        };
        // Of two networks that meet, one holds the other.
        let meet = |a: &IpNet, b: &IpNet| match (a.contains(b), b.contains(a)) {
            (true, _) => Some(*b),
            (_, true) => Some(*a),
            _ => None,
        };
        let nets = one.iter().flat_map(|a| two.iter().filter_map(move |b| meet(a, b)));
        let nets: Vec<IpNet> = nets.collect();
        (!nets.is_empty()).then_some(Self::Nets(nets))
    }

    /// Whether the address fits. A network of one family never holds an address of the other.
    pub fn contains(&self, addr: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Nets(nets) => nets.iter().any(|net| net.contains(&addr)),
        }
    }
}

/// The condition that a packet failed, in the order in which [`Matcher::fails_on`] looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchStep {
    /// The protocol differs.
    Protocol,
    /// The destination port is not among the rule's.
    Ports,
    /// The source port is not among the rule's.
    SourcePorts,
    /// The source address is not the rule's.
    Source,
    /// The destination address is not the rule's.
    Destination,
    /// ICMP type or code differ.
    Icmp,
}

impl MatchStep {
    /// The key of a rules file that holds the condition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::Ports => "ports",
            Self::SourcePorts => "source_ports",
            Self::Source => "source",
            Self::Destination => "destination",
            Self::Icmp => "icmp_type",
        }
    }
}

/// ICMP and ICMPv6 queries that are answered, and by which type (SEMANTICS F17).
const ANSWERS: [(u8, u8); 6] = [(8, 0), (13, 14), (15, 16), (17, 18), (128, 129), (139, 140)];

impl Matcher {
    /// Matches every packet of both families.
    pub fn any() -> Self {
        Self {
            protocol: RuleProtocol::All,
            ports: Vec::new(),
            source_ports: Vec::new(),
            peer: Addresses::Any,
            local: Addresses::Any,
            icmp: None,
        }
    }

    /// What both match; `None` where that is clearly nothing.
    pub(super) fn and(&self, other: &Self) -> Option<Self> {
        let protocol = match (self.protocol, other.protocol) {
            (RuleProtocol::All, of) | (of, RuleProtocol::All) => of,
            (one, two) if one == two => one,
            _ => return None,
        };
        let icmp = match (self.icmp, other.icmp) {
            (None, of) | (of, None) => of,
            (Some(one), Some(two)) => Some(one.and(two)?),
        };
        Some(Self {
            protocol,
            ports: common_ports(&self.ports, &other.ports)?,
            source_ports: common_ports(&self.source_ports, &other.source_ports)?,
            peer: self.peer.and(&other.peer)?,
            local: self.local.and(&other.local)?,
            icmp,
        })
    }

    /// What matches the answers to the packets that it matches: the far side is the same, and ports change sides. `None`
    /// where its packets are ICMP that nothing answers.
    pub(super) fn of_answers(&self) -> Option<Self> {
        let Self { ports, source_ports, icmp, .. } = self;
        let icmp = match icmp {
            None => None,
            Some(asked) => {
                let reply = ANSWERS.into_iter().find(|(query, _)| asked.kinds().contains(query));
                Some(IcmpTypes::one(reply?.1, None))
            }
        };
        let (ports, source_ports) = (source_ports.clone(), ports.clone());
        Some(Self { ports, source_ports, icmp, ..self.clone() })
    }

    /// Matches answers of a protocol.
    pub fn answers(proto: Protocol) -> Self {
        let icmp = match proto {
            Protocol::ICMP => Some(IcmpTypes::one(0, None)),
            Protocol::ICMPV6 => Some(IcmpTypes::one(129, None)),
            _ => None,
        };
        Self { protocol: RuleProtocol::Only(proto), icmp, ..Self::any() }
    }

    /// The first condition that the packet does not meet; `None` when it matches.
    pub fn fails_on(&self, flow: &FlowTuple, direction: Direction) -> Option<MatchStep> {
        let Self { protocol, ports, source_ports, peer, local, icmp } = self;
        let in_ranges = |ranges: &[PortRange], port: Option<u16>| {
            ranges.is_empty() || port.is_some_and(|p| ranges.iter().any(|range| range.contains(p)))
        };
        let (sport, dport) = flow.transport.ports().unzip();
        let (peer_step, local_step) = match direction {
            Direction::Ingress => (MatchStep::Source, MatchStep::Destination),
            Direction::Egress => (MatchStep::Destination, MatchStep::Source),
        };
        if !protocol.matches(flow.proto) {
            Some(MatchStep::Protocol)
        } else if !icmp_matches(*icmp, flow) {
            Some(MatchStep::Icmp)
        } else if !in_ranges(ports, dport) {
            Some(MatchStep::Ports)
        } else if !in_ranges(source_ports, sport) {
            Some(MatchStep::SourcePorts)
        } else if !peer.contains(flow.peer(direction)) {
            Some(peer_step)
        } else if !local.contains(flow.local(direction)) {
            Some(local_step)
        } else {
            None
        }
    }

    /// Every condition that the packet does not meet, in the order in which [`Matcher::fails_on`] tries them.
    pub fn failures(&self, flow: &FlowTuple, direction: Direction) -> Vec<MatchStep> {
        let any = Self::any();
        let alone = [
            Self { protocol: self.protocol, ..any.clone() },
            Self { icmp: self.icmp, ..any.clone() },
            Self { ports: self.ports.clone(), ..any.clone() },
            Self { source_ports: self.source_ports.clone(), ..any.clone() },
            Self { peer: self.peer.clone(), ..any.clone() },
            Self { local: self.local.clone(), ..any },
        ];
        alone.iter().filter_map(|condition| condition.fails_on(flow, direction)).collect()
    }
}

/// Ports in both; none for any. `None` where there is no such port.
fn common_ports(one: &[PortRange], two: &[PortRange]) -> Option<Vec<PortRange>> {
    match (one, two) {
        ([], ports) | (ports, []) => Some(ports.to_vec()),
        (one, two) => {
            let meet = |a: &PortRange, b: &PortRange| {
                PortRange::new(a.first().max(b.first()), a.last().min(b.last()))
            };
            let ports = one.iter().flat_map(|a| two.iter().filter_map(move |b| meet(a, b)));
            let ports: Vec<PortRange> = ports.collect();
            (!ports.is_empty()).then_some(ports)
        }
    }
}

fn icmp_matches(wanted: Option<IcmpTypes>, flow: &FlowTuple) -> bool {
    let fits = |types: IcmpTypes| {
        flow.transport.icmp().is_some_and(|(kind, code)| types.contains(kind, code))
    };
    wanted.is_none_or(fits)
}
