//! What the first fragment of a datagram said, for the later ones (SEMANTICS F8).

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::RandomState;

use crate::flow::{Fragment, Packet, Protocol, Transport};

/// How long a receiver waits for the rest of a datagram (RFC 791 leaves it open; Linux: 30 s).
const REASSEMBLY_NS: u64 = 30_000_000_000;
/// Datagrams remembered at once; when more are under way, the stale ones go.
const MOST: usize = 1 << 16;

/// Transport headers by datagram.
#[derive(Debug, Default)]
pub struct FragmentTable {
    firsts: HashMap<Datagram, (Transport, u64), RandomState>,
}

impl FragmentTable {
    /// Remembers a first fragment; gives a later one its first's transport header.
    ///
    /// Returns `None` for a later fragment whose first was not seen.
    #[inline]
    pub fn complete(&mut self, packet: Packet, now: u64) -> Option<Packet> {
        match packet.fragment {
            Fragment::No => Some(packet),
            Fragment::First { id } => {
                if self.firsts.len() >= MOST {
                    self.firsts.retain(|_, (_, seen)| now.saturating_sub(*seen) < REASSEMBLY_NS);
                    if self.firsts.len() >= MOST {
                        self.firsts.clear();
                    }
                }
                self.firsts.insert(Datagram::of(&packet, id), (packet.flow.transport, now));
                Some(packet)
            }
            Fragment::Later { id } => {
                let (transport, seen) = self.firsts.get(&Datagram::of(&packet, id))?;
                if now.saturating_sub(*seen) >= REASSEMBLY_NS {
                    return None;
                }
                let mut packet = packet;
                packet.flow.transport = *transport;
                Some(packet)
            }
        }
    }
}

/// What the fragments of one datagram share (RFC 791).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Datagram {
    src: IpAddr,
    dst: IpAddr,
    proto: Protocol,
    id: u32,
}

impl Datagram {
    fn of(packet: &Packet, id: u32) -> Self {
        Self { src: packet.flow.src, dst: packet.flow.dst, proto: packet.flow.proto, id }
    }
}
