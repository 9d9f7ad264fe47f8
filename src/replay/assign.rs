//! Which shard judges a packet, and what only the order of all packets tells of it.
//!
//! Both directions of a connection, both of its ends and the ICMP errors about it are one shard's. Fragments get the
//! ports of their first ones here, and ports that accept connections are noted with the frame that shows it, so that a
//! shard judges by what earlier frames have shown, however far others have come.

use std::net::IpAddr;

use super::Replay;
use crate::capture::Frame;
use crate::decode::{Decoded, embedded};
use crate::flow::{FlowTuple, Fragment, Packet, TcpFlags, Transport};
use crate::session::{self, MULTIPLIER, halves};
use crate::sources::Input;

/// How many shards there are: more than most machines have processors for, few enough that a batch has many packets for
/// each.
pub(crate) const SHARDS: usize = 8;

/// The packets of a batch that one shard judges.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// Their positions in the batch, in order.
    pub(super) positions: Vec<u32>,
    /// What is known of some of them, by position.
    pub(super) known: Vec<(u32, Known)>,
}

/// What the packets before it tell of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// The time of the capture, for a frame that has none.
    pub(super) now: u64,
    /// A fragment with the ports of its first one; `None` where that was not seen.
    pub(super) completed: Option<Packet>,
    /// The tuple of the packet that an ICMP error quotes.
    pub(super) quoted: Option<FlowTuple>,
}

impl Replay<'_> {
    /// Shares a batch out among the shards.
    pub(super) fn assign_batch(&mut self, inputs: &[Input<'_>]) {
        for share in &mut self.shares {
            share.positions.clear();
            share.known.clear();
        }
        self.assigned.clear();
        for (position, input) in (0..).zip(inputs) {
            let (shard, known) = self.assign(&input.frame, input.decoded);
            self.assigned.push(shard);
            if let Some(share) = self.shares.get_mut(usize::from(shard)) {
                share.positions.push(position);
                share.known.extend(known.map(|known| (position, known)));
            }
        }
    }

    /// The shard that judges a packet. Frames come in the order of the capture.
    #[inline]
    pub(super) fn assign(&mut self, frame: &Frame<'_>, decoded: &Decoded) -> (u8, Option<Known>) {
        let now = frame.time_ns.unwrap_or(self.now);
        if now.saturating_sub(self.now) > session::INTERRUPTION {
            self.setup.openings.resume(frame.number, now);
        }
        self.now = now;
        let Decoded::Packet(packet) = decoded else {
            return (self.shard_of_number(frame.number), None);
        };
        let is_plain = matches!(packet.flow.transport, Transport::Ports { .. })
            && packet.fragment == Fragment::No
            && !packet.tcp_flags.is_some_and(TcpFlags::accepts)
            && frame.time_ns.is_some()
            && frame.log.is_none()
            && self.setup.openings.has_started();
        match is_plain {
            true => (self.shard_of(&packet.flow), None),
            false => self.assign_other(frame, packet),
        }
    }

    /// The same of a packet that tells something about others, or of which others do.
    #[cold]
    fn assign_other(&mut self, frame: &Frame<'_>, packet: &Packet) -> (u8, Option<Known>) {
        let is_evaluated = self.setup.find_interfaces(frame, &packet.flow) != [None; 2];
        let completed = match packet.fragment {
            Fragment::No => Some(*packet),
            _ if is_evaluated => self.fragments.complete(*packet, self.now),
            _ => None,
        };
        if let (true, Some(packet)) = (is_evaluated, &completed) {
            self.setup.openings.observe(packet, frame.number, frame.time_ns);
            if let Some(log) = frame.log {
                self.setup.openings.observe_record(packet, frame.number, log);
            }
        }
        let flow = completed.map_or(packet.flow, |packet| packet.flow);
        let is_error = flow.is_icmp_error();
        // An error belongs to the connection that it is about.
        let quoted = match is_error {
            true => embedded(frame.link, frame.data, &self.setup.tunnels),
            false => None,
        };
        let quoted = quoted.map(|quoted| quoted.flow);
        let shard = self.shard_of(&quoted.unwrap_or(flow));
        let known = Known { now: self.now, completed, quoted };
        let says = frame.time_ns.is_none() || packet.fragment != Fragment::No || is_error;
        (shard, says.then_some(known))
    }

    /// The shard of a connection, the same for both of its directions.
    #[inline]
    pub(super) fn shard_of(&self, flow: &FlowTuple) -> u8 {
        match self.shards.len() {
            1 => 0,
            _ => shard_of(flow),
        }
    }

    /// The shard of a frame without a packet.
    fn shard_of_number(&self, frame: u64) -> u8 {
        u8::try_from(frame % self.shards.len().max(1) as u64).unwrap_or_default()
    }
}

/// One of [`SHARDS`], by addresses, ports and protocol. The same in every run, since each shard has a share of the
/// memory.
#[inline]
pub(crate) fn shard_of(flow: &FlowTuple) -> u8 {
    let end = |addr: IpAddr, port: u16| match addr {
        IpAddr::V4(addr) => u64::from(addr.to_bits()) << 16 | u64::from(port),
        IpAddr::V6(_) => {
            let [high, low] = halves(addr);
            (high.wrapping_mul(MULTIPLIER) ^ low).rotate_left(16) ^ u64::from(port)
        }
    };
    let (src, dst) = match flow.transport {
        Transport::Ports { src, dst } => (src, dst),
        Transport::Icmp { id, .. } => (id.unwrap_or_default(), id.unwrap_or_default()),
        Transport::Absent => (0, 0),
    };
    // Each end is spread before they meet, so that neighbours do not fall together.
    let ends =
        end(flow.src, src).wrapping_mul(MULTIPLIER) ^ end(flow.dst, dst).wrapping_mul(MULTIPLIER);
    let spread = (ends ^ u64::from(flow.proto.0)).wrapping_mul(MULTIPLIER);
    (spread >> 61) as u8
}
