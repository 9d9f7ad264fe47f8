//! Which interface a packet belongs to, and whether it goes in or out there.
//!
//! An interface is known by its addresses. They come from the rules file, or from the user, or from
//! the capture itself: [`Survey`] looks at its first packets and [`Survey::guess`] says which address
//! is probably the local one, and why.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::RandomState;
use ipnet::IpNet;

use crate::capture::{DirectionHint, Frame};
use crate::decode;
use crate::flow::{Direction, FlowTuple, Packet, TcpFlags};
use crate::rules::Interface;

/// A packet's direction at its sender and at its receiver, in the order of [`Interfaces::judging`].
pub const ENDS: [Direction; 2] = [Direction::Egress, Direction::Ingress];

/// The interfaces by address.
#[derive(Clone, Debug, Default)]
pub struct Interfaces {
    /// First and last address and the interface's position, ascending, disjoint.
    v4: Vec<(u32, u32, usize)>,
    v6: Vec<(u128, u128, usize)>,
    /// The addresses of each interface, for packets that are known to be from it.
    own: Vec<Vec<IpNet>>,
}

impl Interfaces {
    /// Indexes the interfaces' addresses. Networks that two interfaces share belong to none, unless it
    /// is known at which of them a packet was captured.
    pub fn new(interfaces: &[Interface]) -> Self {
        // The search takes the ranges for disjoint; those of one interface may lie in each other.
        let own: Vec<Vec<IpNet>> =
            interfaces.iter().map(|interface| IpNet::aggregate(&interface.addresses)).collect();
        let mut found = Self::default();
        for (position, nets) in own.iter().enumerate() {
            let others = || own.iter().enumerate().filter(|(other, _)| *other != position);
            let overlaps = |net: &&IpNet| {
                let mut others = others().flat_map(|(_, nets)| nets);
                others.any(|other| other.contains(*net) || net.contains(other))
            };
            for net in nets.iter().filter(|net| !overlaps(net)) {
                match net {
                    IpNet::V4(net) => {
                        found.v4.push((
                            net.network().to_bits(),
                            net.broadcast().to_bits(),
                            position,
                        ));
                    }
                    IpNet::V6(net) => {
                        found.v6.push((
                            net.network().to_bits(),
                            net.broadcast().to_bits(),
                            position,
                        ));
                    }
                }
            }
        }
        found.v4.sort_unstable();
        found.v6.sort_unstable();
        Self { own, ..found }
    }

    /// The interface that has the address.
    #[inline]
    pub fn of(&self, addr: IpAddr) -> Option<usize> {
        match addr {
            IpAddr::V4(addr) => holding(&self.v4, addr.to_bits()),
            IpAddr::V6(addr) => holding(&self.v6, addr.to_bits()),
        }
    }

    /// The interfaces that a packet is judged at: its sender's, and its receiver's. One that was captured at
    /// an interface is judged there alone.
    #[inline]
    pub fn judging(&self, flow: &FlowTuple, captured_at: Option<usize>) -> [Option<usize>; 2] {
        match captured_at {
            None => [self.of(flow.src), self.of(flow.dst)],
            Some(at) => [flow.src, flow.dst].map(|addr| self.has(at, addr).then_some(at)),
        }
    }

    #[cold]
    fn has(&self, interface: usize, addr: IpAddr) -> bool {
        let nets = self.own.get(interface);
        nets.is_some_and(|nets| nets.iter().any(|net| net.contains(&addr)))
    }
}

/// So many ranges are looked at one after the other.
const FEW: usize = 4;

#[inline]
fn holding<K: Ord + Copy>(ranges: &[(K, K, usize)], value: K) -> Option<usize> {
    // Most captures are of one interface, with an address or two: a search would take longer. Whether it is
    // a packet's source or its destination cannot be foretold, so nothing is jumped over.
    if ranges.len() <= FEW {
        return ranges.iter().fold(None, |found, (first, last, interface)| {
            if *first <= value && value <= *last { Some(*interface) } else { found }
        });
    }
    let behind = ranges.partition_point(|(_, last, _)| *last < value);
    let (first, _, interface) = ranges.get(behind)?;
    (*first <= value).then_some(*interface)
}

/// What the first packets of a capture show.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    addresses: HashMap<IpAddr, Shown, RandomState>,
    packets: u64,
    hinted: u64,
}

/// What the packets show about one address.
#[derive(Clone, Copy, Debug, Default)]
struct Shown {
    packets: u64,
    /// Inbound packets to it and outbound packets from it, by the capturing machine's own word.
    local: u64,
    /// Inbound packets from it and outbound packets to it.
    remote: u64,
    /// Connections it was asked to accept.
    asked: u64,
}

/// The addresses taken for local, and the reason in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guess {
    /// One of each family that the capture shows, or all that the capturing machine named.
    pub addresses: Vec<IpAddr>,
    /// Why, to be told to the user.
    pub why: String,
}

/// More addresses than this are not counted: the local one is seen early.
const MOST_ADDRESSES: usize = 1 << 16;

impl Survey {
    /// Looks at a packet and the frame it came in.
    pub fn look(&mut self, frame: &Frame<'_>, packet: &Packet) {
        let hint = frame.hint.or_else(|| decode::direction_hint(frame.link, frame.data));
        let FlowTuple { src, dst, .. } = packet.flow;
        self.packets += 1;
        self.hinted += u64::from(hint.is_some());
        let opens = packet.tcp_flags.is_some_and(TcpFlags::opens);
        for (addr, local_hint) in [(src, DirectionHint::Outbound), (dst, DirectionHint::Inbound)] {
            let host =
                !addr.is_multicast() && !addr.is_unspecified() && addr != IpAddr::from([255; 4]);
            let known = self.addresses.len() < MOST_ADDRESSES || self.addresses.contains_key(&addr);
            if !host || !known || (src == dst && local_hint == DirectionHint::Inbound) {
                continue;
            }
            let shown = self.addresses.entry(addr).or_default();
            shown.packets += 1;
            shown.local += u64::from(hint == Some(local_hint));
            shown.remote += u64::from(hint.is_some_and(|hint| hint != local_hint));
            shown.asked += u64::from(opens && addr == dst);
        }
    }

    /// The local address: by the capturing machine's own word where it gave one, else the one that
    /// most packets share. `None` when the capture shows no IP packet.
    pub fn guess(&self) -> Option<Guess> {
        let mut shown: Vec<(IpAddr, Shown)> =
            self.addresses.iter().map(|(a, s)| (*a, *s)).collect();
        shown.sort_unstable_by_key(|(addr, _)| *addr);
        let named: Vec<IpAddr> = shown
            .iter()
            .filter(|(_, s)| s.local > 0 && s.remote == 0)
            .map(|(addr, _)| *addr)
            .collect();
        if !named.is_empty() {
            let why = format!(
                "the capture marks {} of its first {} IP packets as sent or received there",
                self.hinted, self.packets,
            );
            return Some(Guess { addresses: named, why });
        }
        // Between equals, the one that was asked to accept connections is more likely the instance.
        let most = |v6: bool| {
            let of_family = shown.iter().filter(|(addr, _)| addr.is_ipv6() == v6);
            of_family.max_by_key(|(addr, s)| {
                (!is_link_local(*addr), s.packets, s.asked, std::cmp::Reverse(*addr))
            })
        };
        let mut found: Vec<&(IpAddr, Shown)> =
            [most(false), most(true)].into_iter().flatten().collect();
        if found.iter().any(|(addr, _)| !is_link_local(*addr)) {
            found.retain(|(addr, _)| !is_link_local(*addr));
        }
        let shares: Vec<String> =
            found.iter().map(|(addr, s)| format!("{addr} has part in {}", s.packets)).collect();
        let why = format!("of the first {} IP packets {}", self.packets, shares.join(", "));
        let addresses: Vec<IpAddr> = found.iter().map(|(addr, _)| *addr).collect();
        (!addresses.is_empty()).then_some(Guess { addresses, why })
    }
}

/// An address that every interface has beside its own.
fn is_link_local(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => addr.is_link_local(),
        IpAddr::V6(addr) => addr.is_unicast_link_local(),
    }
}
