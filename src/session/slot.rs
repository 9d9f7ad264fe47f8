//! Slots of sessions.

use std::net::IpAddr;

use super::key;
use crate::flow::{Direction, FlowTuple};

/// The slot of a packet's session, if there is one. See [`SessionTable::fetch`](super::SessionTable::fetch).
///
/// Half a cache line, since every packet has one or two: a key of IPv6 addresses would not fit, and is recomputed from
/// the packet when it is needed.
#[derive(Clone, Copy, Debug)]
pub struct SessionSlot {
    pub(super) hash: u64,
    /// Of IPv4 addresses.
    pub(super) key: [u64; 2],
    interface: u16,
    pub(super) direction: Direction,
    pub(super) family: Family,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// Finds the slots of packets, on any thread.
#[derive(Clone, Copy, Debug)]
pub struct SlotFinder {
    /// Differs from run to run, so that no capture can be made to collide. No answer depends on it.
    pub(super) seed: u64,
}

impl SlotFinder {
    /// The slot of a packet.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "measured: moving a slot takes longer than finding it"
    )]
    pub fn slot(&self, interface: usize, direction: Direction, flow: &FlowTuple) -> SessionSlot {
        // INVARIANT: a rule set has at most 65,535 interfaces.
        let interface = u16::try_from(interface).unwrap_or(u16::MAX);
        let (key, hash, family) = match (flow.src, flow.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let key = key::v4(interface, direction, [src, dst], flow);
                (key, key::hash(self.seed, &key), Family::V4)
            }
            _ => ([0, 0], self.hash_v6(interface, direction, flow), Family::V6),
        };
        SessionSlot { hash, key, interface, direction, family }
    }

    #[inline(never)]
    fn hash_v6(self, interface: u16, direction: Direction, flow: &FlowTuple) -> u64 {
        key::hash(self.seed, &key::v6(interface, direction, flow))
    }
}

impl SessionSlot {
    /// The interface's position.
    #[inline]
    pub fn interface(&self) -> usize {
        self.interface.into()
    }

    /// The packet's direction there.
    #[inline]
    pub fn direction(&self) -> Direction {
        self.direction
    }

    pub(super) fn v6(&self, flow: &FlowTuple) -> [u64; 5] {
        key::v6(self.interface, self.direction, flow)
    }
}
