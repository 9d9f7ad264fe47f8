//! A packet and the conditions of entries, as numbers on the axes of the index.
//!
//! An axis of the index is 32 bits wide. An IPv4 address takes one; an IPv6 address takes four, which
//! are looked at from the highest word down. Protocol and destination port share one, since nearly
//! every rule names both: the highest bits are the protocol, then what kind of detail follows, then
//! the port, or the type and code of ICMP.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use ipnet::IpNet;

use crate::flow::{Direction, FlowTuple, Protocol, Transport};
use crate::rules::{Addresses, Matcher, PortRange, RuleProtocol};

/// What can tell two packets apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    /// Protocol, and destination port or ICMP type and code.
    Service,
    /// Source port.
    SourcePort,
    /// The far side's address.
    Peer,
    /// The near side's address.
    Local,
}

impl Axis {
    pub(crate) const ALL: [Self; 4] = [Self::Service, Self::SourcePort, Self::Peer, Self::Local];

    /// The number of its first word in a key.
    pub(crate) fn first_word(self, family: Family) -> usize {
        match (self, family) {
            (Self::Service, _) => 0,
            (Self::SourcePort, _) => 1,
            (Self::Peer, _) => 2,
            (Self::Local, Family::V4) => 3,
            (Self::Local, Family::V6) => 6,
        }
    }
}

/// The family of a packet's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// What the index looks at of a flow between IPv4 addresses.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyV4([u32; 4]);

// `simd` loads vectors from slices of keys: four words each, no padding.
const _: () = assert!(size_of::<KeyV4>() == 16 && align_of::<KeyV4>() == align_of::<u32>());

/// What the index looks at of a flow between IPv6 addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyV6([u32; 10]);

#[cfg(test)]
impl KeyV4 {
    pub(super) fn from_words(words: [u32; 4]) -> Self {
        Self(words)
    }
}

/// A key, word by word.
pub(super) trait KeyWords: Copy + Default {
    /// A word that is in it.
    fn word(&self, word: usize) -> u32;
    /// The address of four words that begins there.
    fn address(&self, word: usize) -> u128;
    /// The same keys if they are of IPv4.
    fn v4(_keys: &[Self]) -> Option<&[KeyV4]> {
        None
    }
}

impl KeyWords for KeyV4 {
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the mask keeps it in the array")]
    fn word(&self, word: usize) -> u32 {
        self.0[word & 3]
    }

    #[inline]
    fn address(&self, word: usize) -> u128 {
        self.word(word).into()
    }

    #[inline]
    fn v4(keys: &[Self]) -> Option<&[KeyV4]> {
        Some(keys)
    }
}

impl KeyWords for KeyV6 {
    #[inline]
    fn word(&self, word: usize) -> u32 {
        self.0.get(word).copied().unwrap_or_default()
    }

    #[inline]
    fn address(&self, word: usize) -> u128 {
        let words = self.0.get(word..).and_then(|words| words.first_chunk::<4>());
        words.map_or(0, |words| words.iter().fold(0, |all, word| all << 32 | u128::from(*word)))
    }
}

/// What the index looks at of a flow: made once, looked up in as many indexes of its direction as need
/// be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Between IPv4 addresses.
    V4(KeyV4),
    /// Between IPv6 addresses.
    V6(KeyV6),
}

impl Key {
    /// Of a flow that an interface sees in a direction.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "measured: a key lives in registers then")]
    pub fn new(flow: &FlowTuple, direction: Direction) -> Self {
        let service = service(flow);
        let source_port = match flow.transport {
            Transport::Ports { src, .. } => src.into(),
            Transport::Icmp { .. } | Transport::Absent => NO_SOURCE_PORT,
        };
        let (peer, local) = (flow.peer(direction), flow.local(direction));
        if let (IpAddr::V4(peer), IpAddr::V4(local)) = (peer, local) {
            return Self::V4(KeyV4([service, source_port, peer.to_bits(), local.to_bits()]));
        }
        let bits = |addr| match addr {
            IpAddr::V4(addr) => Ipv4Addr::to_ipv6_mapped(&addr).to_bits(),
            IpAddr::V6(addr) => addr.to_bits(),
        };
        #[expect(clippy::cast_possible_truncation, reason = "one word after the other")]
        let words = |addr| [96, 64, 32, 0].map(|shift| (bits(addr) >> shift) as u32);
        let words = [service, source_port].into_iter().chain(words(peer)).chain(words(local));
        let mut key = KeyV6::default();
        for (place, word) in key.0.iter_mut().zip(words) {
            *place = word;
        }
        Self::V6(key)
    }
}

const PROTOCOL: u32 = 18;
const KIND: u32 = 16;
const PORTS: u32 = 0;
const ICMP: u32 = 1;
const NO_DETAIL: u32 = 2;
pub(crate) const HIGHEST_SERVICE: u32 = (1 << 26) - 1;
/// The source port of a packet without one: past every port.
pub(crate) const NO_SOURCE_PORT: u32 = 1 << 16;

#[inline]
fn service(flow: &FlowTuple) -> u32 {
    let detail = match flow.transport {
        Transport::Ports { dst, .. } => PORTS << KIND | u32::from(dst),
        Transport::Icmp { kind, code, .. } => ICMP << KIND | u32::from(icmp(kind, code)),
        Transport::Absent => NO_DETAIL << KIND,
    };
    rank(flow.proto.0) << PROTOCOL | detail
}

#[inline]
#[expect(clippy::indexing_slicing, reason = "there are 256 of each")]
fn rank(protocol: u8) -> u32 {
    RANKS[usize::from(protocol)].into()
}

/// The number of each protocol on [`Axis::Service`]: those that most rules are about change places with
/// the lowest, so that a table over the axis is mostly about them.
#[expect(clippy::indexing_slicing, reason = "there are 256 of each")]
const RANKS: [u8; 256] = {
    let mut ranks = [0; 256];
    let mut protocol = 0;
    loop {
        ranks[protocol as usize] = match protocol {
            6 => 0,
            17 => 1,
            1 => 2,
            58 => 3,
            47 => 4,
            132 => 5,
            0 => 6,
            2 => 17,
            3 => 58,
            4 => 47,
            5 => 132,
            other => other,
        };
        if protocol == u8::MAX {
            break ranks;
        }
        protocol += 1;
    }
};

fn icmp(kind: u8, code: u8) -> u16 {
    u16::from_be_bytes([kind, code])
}

/// What follows a protocol on [`Axis::Service`], from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Detail {
    /// Destination ports.
    Ports(u16, u16),
    /// ICMP types and codes, the type in the higher byte.
    Icmp(u16, u16),
    /// Nothing: the protocol has neither.
    Absent,
}

impl Detail {
    fn ends(self) -> (u16, u16) {
        match self {
            Self::Ports(first, last) | Self::Icmp(first, last) => (first, last),
            Self::Absent => (0, 0),
        }
    }
}

/// A protocol and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ServiceRange {
    pub(crate) proto: u8,
    pub(crate) detail: Detail,
}

impl ServiceRange {
    /// All packets of a protocol that are whole: with the detail that it has, and no other. A packet of
    /// one family with the other family's ICMP is decoded like any, so it is a packet here too.
    pub(crate) fn whole(proto: u8) -> Self {
        let detail = match Protocol(proto) {
            Protocol::ICMP | Protocol::ICMPV6 => Detail::Icmp(0, u16::MAX),
            with_ports if with_ports.has_ports() => Detail::Ports(0, u16::MAX),
            _ => Detail::Absent,
        };
        Self { proto, detail }
    }

    /// A packet's own; `None` where it does not have the detail that its protocol has.
    pub(crate) fn from_flow(flow: &FlowTuple) -> Option<Self> {
        let whole = Self::whole(flow.proto.0);
        let detail = match (flow.transport, whole.detail) {
            (Transport::Ports { dst, .. }, Detail::Ports(..)) => Detail::Ports(dst, dst),
            (Transport::Icmp { kind, code, .. }, Detail::Icmp(..)) => {
                Detail::Icmp(icmp(kind, code), icmp(kind, code))
            }
            (Transport::Absent, Detail::Absent) => Detail::Absent,
            _ => return None,
        };
        Some(Self { detail, ..whole })
    }

    /// The part of it between two values of the axis, which must meet it.
    pub(crate) fn part(self, first: Value, last: Value) -> Self {
        let (lowest, highest) = self.values();
        let base = lowest - Value::from(self.detail.ends().0);
        let number = |value: Value| u16::try_from(value - base).unwrap_or(u16::MAX);
        let (first, last) = (number(first.max(lowest)), number(last.min(highest)));
        let detail = match self.detail {
            Detail::Ports(..) => Detail::Ports(first, last),
            Detail::Icmp(..) => Detail::Icmp(first, last),
            Detail::Absent => Detail::Absent,
        };
        Self { detail, ..self }
    }

    /// Its values on [`Axis::Service`], both ends included.
    pub(crate) fn values(self) -> (Value, Value) {
        let kind = match self.detail {
            Detail::Ports(..) => PORTS,
            Detail::Icmp(..) => ICMP,
            Detail::Absent => NO_DETAIL,
        };
        let (first, last) = self.detail.ends();
        let base = Value::from(rank(self.proto) << PROTOCOL | kind << KIND);
        (base + Value::from(first), base + Value::from(last))
    }
}

/// A value of any axis; IPv4 addresses and the narrower axes in the lowest bits.
pub(crate) type Value = u128;

/// A condition on one axis.
#[derive(Debug)]
pub(crate) enum Condition {
    /// Any value will do.
    Any,
    /// One in these intervals, ascending, both ends included, which neither overlap nor touch.
    In(Vec<(Value, Value)>),
}

/// The conditions of an entry on packets of one family: all must hold.
#[derive(Debug)]
pub(crate) struct Conditions {
    of: [Condition; Axis::ALL.len()],
}

impl Conditions {
    pub(crate) fn new(matcher: &Matcher, family: Family) -> Self {
        let addresses = |addresses: &Addresses| match addresses {
            Addresses::Any => Condition::Any,
            Addresses::Nets(nets) => {
                condition(nets.iter().filter_map(|net| range(net, family)), highest(family))
            }
        };
        let source_ports = matcher.source_ports.iter().copied().map(port_range);
        let source_port = match matcher.source_ports.is_empty() {
            true => Condition::Any,
            false => condition(source_ports, NO_SOURCE_PORT.into()),
        };
        Self {
            of: [
                services(matcher),
                source_port,
                addresses(&matcher.peer),
                addresses(&matcher.local),
            ],
        }
    }

    /// Of a condition on each of [`Axis::ALL`].
    pub(crate) fn from_axes(of: [Condition; Axis::ALL.len()]) -> Self {
        Self { of }
    }

    /// Met by what a whole packet can be: with the detail that its protocol has, and no other.
    pub(crate) fn of_whole_packets() -> &'static Self {
        static WHOLE: LazyLock<Conditions> = LazyLock::new(|| {
            let services = (0..=u8::MAX).map(|proto| ServiceRange::whole(proto).values());
            let services = condition(services, HIGHEST_SERVICE.into());
            Conditions { of: [services, Condition::Any, Condition::Any, Condition::Any] }
        });
        &WHOLE
    }

    pub(crate) fn on(&self, axis: Axis) -> &Condition {
        let [service, source_port, peer, local] = &self.of;
        match axis {
            Axis::Service => service,
            Axis::SourcePort => source_port,
            Axis::Peer => peer,
            Axis::Local => local,
        }
    }

    /// Whether no packet at all meets them.
    pub(crate) fn never(&self) -> bool {
        self.of.iter().any(|on| matches!(on, Condition::In(intervals) if intervals.is_empty()))
    }
}

pub(crate) fn highest(family: Family) -> Value {
    match family {
        Family::V4 => u32::MAX.into(),
        Family::V6 => Value::MAX,
    }
}

pub(crate) fn range(net: &IpNet, family: Family) -> Option<(Value, Value)> {
    match (net, family) {
        (IpNet::V4(net), Family::V4) => {
            Some((net.network().to_bits().into(), net.broadcast().to_bits().into()))
        }
        (IpNet::V6(net), Family::V6) => Some((net.network().to_bits(), net.broadcast().to_bits())),
        _ => None,
    }
}

fn port_range(range: PortRange) -> (Value, Value) {
    (range.first().into(), range.last().into())
}

fn services(matcher: &Matcher) -> Condition {
    let Matcher { protocol, ports, icmp: wanted, .. } = matcher;
    if (*protocol, *wanted) == (RuleProtocol::All, None) && ports.is_empty() {
        return Condition::Any;
    }
    let of_protocol = |proto: u8| -> Vec<(Value, Value)> {
        let any_port = ports.is_empty();
        let values = |detail| ServiceRange { proto, detail }.values();
        match wanted {
            None if any_port => {
                let base = Value::from(rank(proto) << PROTOCOL);
                vec![(base, base + (1 << PROTOCOL) - 1)]
            }
            None => {
                let detail = |range: &PortRange| Detail::Ports(range.first(), range.last());
                ports.iter().map(|range| values(detail(range))).collect()
            }
            Some(types) if any_port => {
                let [first, last] = types.ends().map(|(kind, code)| icmp(kind, code));
                vec![values(Detail::Icmp(first, last))]
            }
            // No packet has both.
            Some(_) => Vec::new(),
        }
    };
    let intervals: Vec<(Value, Value)> = match protocol {
        RuleProtocol::Only(proto) => of_protocol(proto.0),
        RuleProtocol::All => (0..=u8::MAX).flat_map(of_protocol).collect(),
    };
    condition(intervals.into_iter(), HIGHEST_SERVICE.into())
}

/// The same values in intervals that neither overlap nor touch.
fn condition(intervals: impl Iterator<Item = (Value, Value)>, highest: Value) -> Condition {
    let mut intervals: Vec<(Value, Value)> = intervals.collect();
    intervals.sort_unstable();
    let mut merged: Vec<(Value, Value)> = Vec::with_capacity(intervals.len());
    for (first, last) in intervals {
        match merged.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    // No value lies above the highest, so that an interval up to there has no end.
    for (_, last) in merged.iter_mut().filter(|(_, last)| *last == highest) {
        *last = Value::MAX;
    }
    match merged.as_slice() {
        [(0, Value::MAX)] => Condition::Any,
        _ => Condition::In(merged),
    }
}
