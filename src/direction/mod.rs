//! Which interface a packet belongs to, and whether it goes in or out there.
//!
//! An interface is known by its addresses. They come from the rules file, or from the user, or from
//! the capture itself: [`Survey`] looks at its first packets and [`Survey::guess`] says which address
//! is the local one, by which evidence, and whether that is sure.

mod inference;

use std::cmp::Reverse;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::flow::{Direction, FlowTuple};
use crate::rules::Interface;
pub use inference::{Evidence, Guess, Survey};

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
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (position, nets) in own.iter().enumerate() {
            for net in nets {
                match net {
                    IpNet::V4(net) => {
                        v4.push((net.network().to_bits(), net.broadcast().to_bits(), position));
                    }
                    IpNet::V6(net) => {
                        v6.push((net.network().to_bits(), net.broadcast().to_bits(), position));
                    }
                }
            }
        }
        Self { v4: without_shared(v4), v6: without_shared(v6), own }
    }

    /// The interface that has the address.
    #[inline]
    pub fn find(&self, addr: IpAddr) -> Option<usize> {
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
            None => [self.find(flow.src), self.find(flow.dst)],
            Some(at) => [flow.src, flow.dst].map(|addr| self.has(at, addr).then_some(at)),
        }
    }

    /// Whether the interface has the address; another may have it too.
    #[cold]
    pub(crate) fn has(&self, interface: usize, addr: IpAddr) -> bool {
        let nets = self.own.get(interface);
        nets.is_some_and(|nets| nets.iter().any(|net| net.contains(&addr)))
    }
}

/// Addresses, by search.
#[derive(Clone, Debug, Default)]
pub(crate) struct AddressSet {
    v4: Vec<(u32, u32, usize)>,
    v6: Vec<(u128, u128, usize)>,
}

impl AddressSet {
    pub(crate) fn new(nets: impl Iterator<Item = IpNet>) -> Self {
        let mut found = Self::default();
        // The search takes the ranges for disjoint.
        for net in IpNet::aggregate(&nets.collect()) {
            match net {
                IpNet::V4(net) => {
                    found.v4.push((net.network().to_bits(), net.broadcast().to_bits(), 0));
                }
                IpNet::V6(net) => {
                    found.v6.push((net.network().to_bits(), net.broadcast().to_bits(), 0));
                }
            }
        }
        found.v4.sort_unstable();
        found.v6.sort_unstable();
        found
    }

    pub(crate) fn contains(&self, addr: IpAddr) -> bool {
        let holder = match addr {
            IpAddr::V4(addr) => holding(&self.v4, addr.to_bits()),
            IpAddr::V6(addr) => holding(&self.v6, addr.to_bits()),
        };
        holder.is_some()
    }
}

/// The ranges that no range of another interface meets, ascending. Ranges are networks, so that of two which meet one
/// holds the other; those of one interface do not meet.
fn without_shared<K: Ord + Copy>(mut ranges: Vec<(K, K, usize)>) -> Vec<(K, K, usize)> {
    // One that holds others stands before them.
    ranges.sort_unstable_by_key(|(first, last, interface)| (*first, Reverse(*last), *interface));
    let mut shared = vec![false; ranges.len()];
    // Those that hold the value reached, each with its position; one that holds another is shared already.
    let mut open: Vec<(K, usize)> = Vec::new();
    for (position, (first, last, _)) in ranges.iter().enumerate() {
        while open.pop_if(|(end, _)| *end < *first).is_some() {}
        if let Some((_, outer)) = open.last() {
            for of in [*outer, position] {
                if let Some(shared) = shared.get_mut(of) {
                    *shared = true;
                }
            }
        }
        open.push((*last, position));
    }
    let mut shared = shared.into_iter();
    ranges.retain(|_| shared.next() == Some(false));
    ranges
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition: each range is held against every range of another interface.
    fn pair_by_pair(ranges: &[(u8, u8, usize)]) -> Vec<(u8, u8, usize)> {
        let meets = |(first, last, interface): &(u8, u8, usize)| {
            let mut others = ranges.iter().filter(|(.., other)| other != interface);
            others.any(|(from, to, _)| from <= last && first <= to)
        };
        let mut found: Vec<_> = ranges.iter().filter(|range| !meets(range)).copied().collect();
        found.sort_unstable();
        found
    }

    /// Networks of 8-bit addresses; those of one interface do not meet.
    fn networks() -> impl Strategy<Value = Vec<(u8, u8, usize)>> {
        let network = (any::<u8>(), 0..8_u32, 0..12_usize).prop_map(|(bits, host, interface)| {
            let mask = (1_u8 << host) - 1;
            (bits & !mask, bits | mask, interface)
        });
        prop::collection::vec(network, 0..24).prop_map(|networks| {
            let mut kept: Vec<(u8, u8, usize)> = Vec::new();
            for (first, last, interface) in networks {
                let mut own = kept.iter().filter(|(.., of)| *of == interface);
                if own.all(|(from, to, _)| *to < first || last < *from) {
                    kept.push((first, last, interface));
                }
            }
            kept
        })
    }

    proptest! {
        #[test]
        fn a_range_that_another_interface_meets_belongs_to_none(networks in networks()) {
            prop_assert_eq!(without_shared(networks.clone()), pair_by_pair(&networks));
        }
    }
}
