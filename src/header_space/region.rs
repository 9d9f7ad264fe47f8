//! A region: the packets of one family whose service, peer, local address and source port each lie in a
//! set of intervals.

use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use crate::compile::axes::{self, Family, HIGHEST_SERVICE, NO_SOURCE_PORT, ServiceRange, Value};
use crate::flow::{Direction, FlowTuple, Protocol, Transport};

/// Intervals, ascending, both ends included.
pub(super) type Set = Vec<(Value, Value)>;

/// Packets of one family and direction that have everything in common which lists of entries ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    direction: Direction,
    family: Family,
    services: Set,
    source_ports: Set,
    peers: Set,
    locals: Set,
}

/// A protocol and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortService {
    /// The protocol.
    pub proto: Protocol,
    /// Which of its packets.
    pub detail: Detail,
}

/// Which packets of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Detail {
    /// All.
    All,
    /// Those to the destination ports from the first to the last.
    Ports(u16, u16),
    /// Those of the ICMP types and codes from the first to the last, as (type, code).
    Icmp((u8, u8), (u8, u8)),
}

/// Addresses of one family from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRange {
    /// The lowest.
    pub first: IpAddr,
    /// The highest.
    pub last: IpAddr,
}

impl AddressRange {
    /// The fewest CIDRs that hold these addresses and no others.
    pub fn cidrs(&self) -> impl Iterator<Item = IpNet> + use<> {
        let (v4, v6) = match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => (Some(Ipv4Subnets::new(first, last, 0)), None),
            (IpAddr::V6(first), IpAddr::V6(last)) => (None, Some(Ipv6Subnets::new(first, last, 0))),
            _ => (None, None),
        };
        let v4 = v4.into_iter().flatten().map(IpNet::V4);
        v4.chain(v6.into_iter().flatten().map(IpNet::V6))
    }

    /// As a CIDR, where it is one.
    pub fn cidr(&self) -> Option<IpNet> {
        let mut nets = self.cidrs();
        let net = nets.next()?;
        nets.next().is_none().then_some(net)
    }
}

impl fmt::Display for AddressRange {
    /// `203.0.113.0/24`, `203.0.113.9`, or `203.0.113.9-203.0.113.11`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cidr() {
            Some(_) if self.first == self.last => write!(f, "{}", self.first),
            Some(net) => write!(f, "{net}"),
            None => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl Region {
    /// The regions that a box stands for: packets with ports and those without have no source port in
    /// common, so they may be told apart. None where there is no such packet.
    pub(super) fn from_box(
        direction: Direction,
        family: Family,
        [services, peers, locals, source_ports]: [Set; 4],
    ) -> Vec<Self> {
        let no_port = Value::from(NO_SOURCE_PORT);
        let region = |services, source_ports| Self {
            direction,
            family,
            services,
            source_ports,
            peers: peers.clone(),
            locals: locals.clone(),
        };
        if source_ports == ALL {
            return vec![region(services, source_ports)];
        }
        let (with, without): (Vec<ServiceRange>, Vec<ServiceRange>) =
            services_in(&services).partition(|service| Protocol(service.proto).has_ports());
        let values = |services: Vec<ServiceRange>| -> Set {
            let mut set: Set = services.into_iter().map(ServiceRange::values).collect();
            set.sort_unstable();
            set
        };
        let ports: Set = source_ports
            .iter()
            .filter(|(first, _)| *first < no_port)
            .map(|(first, last)| (*first, (*last).min(no_port - 1)))
            .collect();
        let mut found = Vec::new();
        if !with.is_empty() && !ports.is_empty() {
            found.push(region(values(with), ports));
        }
        let portless = source_ports.iter().any(|(first, last)| (*first..=*last).contains(&no_port));
        if !without.is_empty() && portless {
            found.push(region(values(without), ALL.to_vec()));
        }
        found
    }

    /// The packets' direction.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Whether it holds IPv4 packets; else IPv6.
    pub fn is_ipv4(&self) -> bool {
        self.family == Family::V4
    }

    /// The services, by protocol and port.
    pub fn services(&self) -> Vec<PortService> {
        services_in(&self.services).map(service).collect()
    }

    /// Source ports, as intervals with both ends; empty for any.
    pub fn source_ports(&self) -> Vec<(u16, u16)> {
        match self.source_ports == ALL {
            true => Vec::new(),
            false => self.source_ports.iter().map(|(a, b)| (port(*a), port(*b))).collect(),
        }
    }

    /// The far side's addresses.
    pub fn peers(&self) -> Vec<AddressRange> {
        ranges(&self.peers, self.family)
    }

    /// The near side's addresses; empty for any.
    pub fn locals(&self) -> Vec<AddressRange> {
        if self.locals == ALL { Vec::new() } else { ranges(&self.locals, self.family) }
    }

    /// Whether a packet lies in it.
    pub fn contains(&self, flow: &FlowTuple) -> bool {
        let address = |addr: IpAddr, set: &Set| match (addr, self.family) {
            (IpAddr::V4(addr), Family::V4) => within(addr.to_bits().into(), set),
            (IpAddr::V6(addr), Family::V6) => within(addr.to_bits(), set),
            _ => false,
        };
        let source_port = match flow.transport.ports() {
            Some((src, _)) => src.into(),
            None => Value::from(NO_SOURCE_PORT),
        };
        ServiceRange::from_flow(flow)
            .is_some_and(|service| within(service.values().0, &self.services))
            && within(source_port, &self.source_ports)
            && address(flow.peer(self.direction), &self.peers)
            && address(flow.local(self.direction), &self.locals)
    }

    /// A packet that lies in it, of usual numbers where there is a choice.
    pub fn example(&self) -> FlowTuple {
        let services: Vec<ServiceRange> = services_in(&self.services).collect();
        let usual = [
            (6, axes::Detail::Ports(22, 22)),
            (6, axes::Detail::Ports(443, 443)),
            (17, axes::Detail::Ports(53, 53)),
            (1, axes::Detail::Icmp(0x0800, 0x0800)),
            (58, axes::Detail::Icmp(0x8000, 0x8000)),
        ];
        let usual = usual.map(|(proto, detail)| ServiceRange { proto, detail });
        let usual = usual.into_iter().find(|s| within(s.values().0, &self.services));
        let ServiceRange { proto, detail } = usual.or(services.first().copied()).unwrap_or(
            // A region has a service.
            ServiceRange { proto: u8::MAX, detail: axes::Detail::Absent },
        );
        let src = pick(&self.source_ports, &[40_000], u16::MAX.into());
        let transport = match detail {
            // Port 0 is no port that anybody uses.
            axes::Detail::Ports(first, last) => {
                Transport::Ports { src: port(src), dst: first.max(1).min(last) }
            }
            axes::Detail::Icmp(first, _) => {
                let [kind, code] = first.to_be_bytes();
                Transport::Icmp { kind, code, id: None }
            }
            axes::Detail::Absent => Transport::Absent,
        };
        let addr = |set: &Set, usual: &[IpAddr]| {
            let usual: Vec<Value> = usual.iter().filter_map(|addr| self.value(*addr)).collect();
            address(pick(set, &usual, axes::highest(self.family)), self.family)
        };
        let peers = ["203.0.113.9", "198.51.100.9", "192.0.2.9", "10.0.0.9", "2001:db8:9::9"]
            .map(str::parse);
        let locals = ["10.0.0.5", "2001:db8::5"].map(str::parse);
        let peer = addr(&self.peers, &peers.into_iter().flatten().collect::<Vec<_>>());
        let local = addr(&self.locals, &locals.into_iter().flatten().collect::<Vec<_>>());
        let (src, dst) = match self.direction {
            Direction::Ingress => (peer, local),
            Direction::Egress => (local, peer),
        };
        FlowTuple { src, dst, proto: Protocol(proto), transport }
    }

    fn value(&self, addr: IpAddr) -> Option<Value> {
        match (addr, self.family) {
            (IpAddr::V4(addr), Family::V4) => Some(addr.to_bits().into()),
            (IpAddr::V6(addr), Family::V6) => Some(addr.to_bits()),
            _ => None,
        }
    }

    /// Which part of all addresses of its family the far side's are: 1 for `0.0.0.0/0`.
    pub fn peers_share(&self) -> f64 {
        let addresses = axes::highest(self.family);
        count(&self.peers, addresses) / count(&ALL, addresses)
    }

    /// How many packets it holds, as tuples; no more exact than it need be to say what is larger.
    pub fn size(&self) -> f64 {
        let addresses = axes::highest(self.family);
        let services: Set = services_in(&self.services).map(ServiceRange::values).collect();
        count(&services, Value::MAX)
            * count(&self.source_ports, u16::MAX.into())
            * count(&self.peers, addresses)
            * count(&self.locals, addresses)
    }

    /// The services in words: `tcp 22, 80-89`, `all but udp 53`.
    pub fn services_text(&self) -> String {
        let services = |set: &Set| -> Vec<PortService> { services_in(set).map(service).collect() };
        let (these, others) = (services(&self.services), services(&complement(&self.services)));
        match (others.len(), these.len()) {
            (0, _) => "all".to_owned(),
            (few, many) if few < many => format!("all but {}", listed(&others)),
            _ => listed(&these),
        }
    }

    /// The far side in words: `203.0.113.0/24`, `0.0.0.0/0 but 10.0.0.0/8`.
    pub fn peers_text(&self) -> String {
        addresses_text(&self.peers, self.family)
    }

    /// The source ports in words; empty for any.
    pub fn source_ports_text(&self) -> String {
        intervals_text(&self.source_ports())
    }

    /// The near side in words; `None` for any.
    pub fn locals_text(&self) -> Option<String> {
        (self.locals != ALL).then(|| addresses_text(&self.locals, self.family))
    }
}

impl fmt::Display for Region {
    /// `tcp 22 from 203.0.113.0/24 to 10.0.0.5 source port 1024-65535`, from the peer's side.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (peer, local) = match self.direction {
            Direction::Ingress => ("from", "to"),
            Direction::Egress => ("to", "from"),
        };
        write!(f, "{} {peer} {}", self.services_text(), self.peers_text())?;
        if let Some(locals) = self.locals_text() {
            write!(f, " {local} {locals}")?;
        }
        if self.source_ports != ALL {
            write!(f, " source port {}", self.source_ports_text())?;
        }
        Ok(())
    }
}

fn service(range: ServiceRange) -> PortService {
    let pair = |number: u16| {
        let [kind, code] = number.to_be_bytes();
        (kind, code)
    };
    let detail = match range.detail {
        _ if ServiceRange::whole(range.proto) == range => Detail::All,
        axes::Detail::Ports(first, last) => Detail::Ports(first, last),
        axes::Detail::Icmp(first, last) => Detail::Icmp(pair(first), pair(last)),
        axes::Detail::Absent => Detail::All,
    };
    PortService { proto: Protocol(range.proto), detail }
}

/// How many values a set has, of those up to the highest.
#[expect(clippy::cast_precision_loss, reason = "only the order of magnitude counts")]
fn count(set: &[(Value, Value)], highest: Value) -> f64 {
    set.iter().map(|(first, last)| ((*last).min(highest) - first) as f64 + 1.0).sum()
}

/// Every value of an axis.
const ALL: [(Value, Value); 1] = [(0, Value::MAX)];

fn within(value: Value, set: &Set) -> bool {
    let after = set.partition_point(|(first, _)| *first <= value);
    let interval = after.checked_sub(1).and_then(|place| set.get(place));
    interval.is_some_and(|(_, last)| value <= *last)
}

fn complement(set: &Set) -> Set {
    let mut found = Vec::new();
    let mut next = Some(0);
    for (first, last) in set {
        if let Some(start) = next.filter(|start| start < first) {
            found.push((start, first - 1));
        }
        next = last.checked_add(1);
    }
    found.extend(next.map(|start| (start, Value::MAX)));
    found
}

/// The services of whole packets in a set of the axis's values, by protocol and port.
fn services_in(set: &Set) -> impl Iterator<Item = ServiceRange> + '_ {
    let whole = (0..=u8::MAX).map(ServiceRange::whole);
    whole.flat_map(move |whole| {
        let (first, last) = whole.values();
        let from = set.partition_point(|(_, end)| *end < first);
        let inside = set.get(from..).unwrap_or_default().iter();
        inside
            .take_while(move |(start, _)| *start <= last)
            .map(move |(start, end)| whole.part(*start, (*end).min(HIGHEST_SERVICE.into())))
    })
}

fn port(value: Value) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

fn address(value: Value, family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(value).unwrap_or(u32::MAX))),
        Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(value)),
    }
}

fn ranges(set: &Set, family: Family) -> Vec<AddressRange> {
    let range = |(first, last): &(Value, Value)| AddressRange {
        first: address(*first, family),
        last: address(*last, family),
    };
    set.iter().map(range).collect()
}

/// A usual value that lies in the set; else its first, but not a network's own address.
fn pick(set: &Set, usual: &[Value], highest: Value) -> Value {
    let usual = usual.iter().find(|value| within(**value, set));
    let first = || match set.first() {
        Some((first, last)) => first.saturating_add(1).min(*last).min(highest),
        None => 0,
    };
    usual.copied().unwrap_or_else(first)
}

/// More than this in a row are counted.
const SHOWN: usize = 8;

fn addresses_text(set: &Set, family: Family) -> String {
    let list = |ranges: &[AddressRange]| {
        let shown: Vec<String> = ranges.iter().take(SHOWN).map(AddressRange::to_string).collect();
        let more = ranges.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more}", shown.join(", "))
    };
    let all = match family {
        Family::V4 => "0.0.0.0/0",
        Family::V6 => "::/0",
    };
    let mut others = complement(set);
    others.retain(|(first, _)| *first <= axes::highest(family));
    let (these, others) = (ranges(set, family), ranges(&others, family));
    let cidrs = |ranges: &[AddressRange]| ranges.iter().all(|range| range.cidr().is_some());
    match others.as_slice() {
        [] => all.to_owned(),
        few if few.len() < these.len() || cidrs(few) && !cidrs(&these) => {
            format!("{all} but {}", list(few))
        }
        _ => list(&these),
    }
}

/// `22, 80-89`
fn intervals_text<T: fmt::Display + PartialEq>(intervals: &[(T, T)]) -> String {
    let text = |(first, last): &(T, T)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    let shown: Vec<String> = intervals.iter().take(SHOWN).map(text).collect();
    let more = intervals.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

fn listed(services: &[PortService]) -> String {
    let mut out = String::new();
    let by_protocol: Vec<&[PortService]> = services.chunk_by(|a, b| a.proto == b.proto).collect();
    // Protocols that nobody knows by name stand together.
    let whole =
        |services: &&[PortService]| services.iter().all(|service| service.detail == Detail::All);
    let (plain, detailed): (Vec<_>, Vec<_>) = by_protocol.into_iter().partition(whole);
    for services in detailed {
        let proto = services.first().map_or(Protocol(0), |service| service.proto);
        let details: Vec<(String, String)> = services
            .iter()
            .map(|service| match service.detail {
                Detail::All => (String::new(), String::new()),
                Detail::Ports(first, last) => (first.to_string(), last.to_string()),
                Detail::Icmp(first, last) => {
                    let pair = |(kind, code): (u8, u8)| format!("{kind}/{code}");
                    (pair(first), pair(last))
                }
            })
            .collect();
        let gap = if out.is_empty() { "" } else { "; " };
        let _ = write!(out, "{gap}{proto} {}", intervals_text(&details));
    }
    let numbers: Vec<(u8, u8)> =
        plain.iter().filter_map(|s| s.first()).map(|s| (s.proto.0, s.proto.0)).collect();
    if !numbers.is_empty() {
        let gap = if out.is_empty() { "" } else { "; " };
        let text = match numbers.len() {
            few if few <= SHOWN => {
                let name = |(number, _): &(u8, u8)| Protocol(*number).to_string();
                numbers.iter().map(name).collect::<Vec<_>>().join(", ")
            }
            many => format!("{many} whole protocols"),
        };
        let _ = write!(out, "{gap}{text}");
    }
    out
}
