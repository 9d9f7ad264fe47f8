//! What traffic used of one entry.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use foldhash::fast::{FixedState, RandomState};
use ipnet::IpNet;

use crate::flow::{Direction, FlowTuple, Protocol};

/// A service as traffic shows it: a protocol, and its destination port or ICMP type.
pub type SeenService = (Protocol, Option<u16>);

/// The size of the networks that peers are counted by.
pub const NETWORK: [u8; 2] = [24, 64];

/// More services, networks or peers of one entry than this are not told apart.
pub(super) const MOST: usize = 1 << 16;

/// What traffic used of one entry.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    /// Connections that it decided; packets, where packets are judged alone.
    pub connections: u64,
    /// When the first of them began and the last packet came, ns since the epoch, where that is known.
    pub times: Option<(u64, u64)>,
    /// The frame that opened the first.
    pub first_frame: u64,
    /// Services, with connections.
    pub services: BTreeMap<SeenService, u64>,
    /// Networks of the far side, /24 or /64, with connections.
    pub networks: BTreeMap<IpNet, u64>,
    /// Elements that were used, as positions in the rule's ports and peers; behind the number of the rule, where the
    /// entry is of several layers.
    pub elements: HashSet<Element, FixedState>,
    /// There were more services, networks or peers than are told apart.
    pub more: bool,
    pub(super) peers: HashSet<IpAddr, RandomState>,
}

/// Which rule of those that let a packet through, the one that decided first; and a pair of its ports and peers.
pub(super) type Element = (usize, (usize, usize));

impl Usage {
    /// Different addresses of the far side.
    pub fn peers(&self) -> usize {
        self.peers.len()
    }

    /// Adds so many connections of a flow.
    pub(super) fn add(&mut self, flow: &FlowTuple, direction: Direction, connections: u64) {
        let port = flow.transport.ports().map(|(_, dst)| dst);
        let detail = port.or_else(|| flow.transport.icmp().map(|(kind, _)| kind.into()));
        let peer = flow.peer(direction);
        self.connections += connections;
        self.more |= !bump(&mut self.services, (flow.proto, detail), connections);
        self.more |= !bump(&mut self.networks, network(peer), connections);
        if self.peers.len() < MOST {
            self.peers.insert(peer);
        }
    }

    /// Notes when the entry was used.
    pub(super) fn see(&mut self, now: Option<u64>) {
        if let Some(now) = now {
            let (first, last) = self.times.unwrap_or((now, now));
            self.times = Some((first.min(now), last.max(now)));
        }
    }

    /// Notes the frame that opened a connection.
    pub(super) fn open(&mut self, frame: u64) {
        if self.first_frame == 0 || frame < self.first_frame {
            self.first_frame = frame;
        }
    }

    /// Adds what other packets used the same entry for.
    pub(super) fn merge_same(&mut self, other: Self) {
        let Self { connections, times, first_frame, services, networks, elements, more, peers } =
            other;
        self.connections += connections;
        for time in times.into_iter().flat_map(|(first, last)| [first, last]) {
            self.see(Some(time));
        }
        if first_frame > 0 {
            self.open(first_frame);
        }
        self.more |= more;
        for (service, count) in services {
            self.more |= !bump(&mut self.services, service, count);
        }
        for (network, count) in networks {
            self.more |= !bump(&mut self.networks, network, count);
        }
        self.elements.extend(elements);
        #[expect(
            clippy::iter_over_hash_type,
            reason = "only how many they are shows, if these are too many"
        )]
        for peer in peers {
            if self.peers.len() < MOST {
                self.peers.insert(peer);
            }
        }
    }

    /// Adds what an entry was used for to that of a rule, which is one of those that let its packets through.
    pub(super) fn merge(&mut self, other: &Self, of_rule: usize) {
        let Self { connections, times, first_frame, services, networks, elements, more, peers } =
            other;
        self.connections += connections;
        self.times = match (self.times, *times) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
        if self.first_frame == 0 || (*first_frame > 0 && *first_frame < self.first_frame) {
            self.first_frame = *first_frame;
        }
        for (service, count) in services {
            *self.services.entry(*service).or_default() += count;
        }
        for (network, count) in networks {
            *self.networks.entry(*network).or_default() += count;
        }
        #[expect(clippy::iter_over_hash_type, reason = "the order does not show in a set")]
        for (n, element) in elements {
            if *n == of_rule {
                self.elements.insert((0, *element));
            }
        }
        self.more |= more;
        self.peers.extend(peers);
    }
}

/// Counts more, if there is room; whether there was.
fn bump<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K, more: u64) -> bool {
    if let Some(count) = counts.get_mut(&key) {
        *count += more;
    } else if counts.len() < MOST {
        counts.insert(key, more);
    } else {
        return false;
    }
    true
}

/// The network that an address is counted in.
fn network(addr: IpAddr) -> IpNet {
    let len = if addr.is_ipv4() { NETWORK[0] } else { NETWORK[1] };
    IpNet::new(addr, len).map_or_else(|_| addr.into(), |net| net.trunc())
}
