//! Which interface a packet belongs to, and whether it goes in or out there.
//!
//! An interface is known by its addresses. They come from the rules file, or from the user, or from
//! the capture itself: [`Survey`] looks at its first packets and [`Survey::guess`] says which address
//! is the local one, by which evidence, and whether that is sure.

mod inference;

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
