//! What the first packets of a capture say of how it was made: what a mirror or a route may do to it, and what
//! its reader should know.
//!
//! Only the first [`SAMPLE`] packets are looked at, so that a long capture pays nothing for it.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::capture::{Frame, LinkType};
use crate::decode::{Decoded, Undecodable, Why, ip_packet};
use crate::flow::{FlowTuple, Packet, Protocol, TcpFlags};

/// How many frames are looked at.
pub const SAMPLE: u64 = 4096;

/// A copy comes within so many packets and so much time, in ns, of the first of its kind; TCP does not send again that
/// soon.
const NEAR: usize = 64;
const SOON: u64 = 20_000_000;
/// How much of a packet is compared, beside its length.
const COMPARED: usize = 96;
/// Packets of a TCP connection, openings and resets not counted, from which on answers are expected.
const FEW_PACKETS: u32 = 3;

/// Looks at the first packets of captures.
#[derive(Debug)]
pub struct CaptureHints {
    /// Frames that are still looked at.
    left: u64,
    packets: u64,
    copies: u64,
    /// Copies behind another link header than that of the first.
    other_link: u64,
    recent: Box<[Recent; NEAR]>,
    next: usize,
    /// Packets of TCP connections, from the end with the smaller address and port and from the other.
    connections: HashMap<FlowTuple, [u32; 2], FixedState>,
    /// Packets that were cut before their ports, and the longest of those that were cut.
    without_ports: u64,
    snap_length: usize,
}

/// A packet that was seen.
#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    fingerprint: u64,
    time: u64,
    link_header: u64,
}

impl Default for CaptureHints {
    fn default() -> Self {
        Self {
            left: SAMPLE,
            packets: 0,
            copies: 0,
            other_link: 0,
            recent: Box::new([Recent::default(); NEAR]),
            next: 0,
            connections: HashMap::default(),
            without_ports: 0,
            snap_length: 0,
        }
    }
}

impl CaptureHints {
    /// Looks at a frame, if it is one of the first.
    #[inline]
    pub fn add(&mut self, frame: &Frame<'_>, decoded: &Decoded) {
        if self.left > 0 {
            self.look_closely(frame, decoded);
        }
    }

    #[cold]
    fn look_closely(&mut self, frame: &Frame<'_>, decoded: &Decoded) {
        self.left -= 1;
        if frame.log.is_some() {
            return;
        }
        if frame.data.len() < frame.wire_len as usize {
            self.snap_length = self.snap_length.max(frame.data.len());
            let is_cut = matches!(
                decoded,
                Decoded::Failed(Undecodable { why: Why::Truncated, non_ip: None, .. })
            );
            self.without_ports += u64::from(is_cut);
        }
        let Some(packet) = decoded.packet() else { return };
        self.packets += 1;
        if let Some(time) = frame.time_ns {
            self.look_for_copy(frame.link, frame.data, time);
        }
        self.look_at_connection(packet);
    }

    fn look_for_copy(&mut self, link: LinkType, data: &[u8], time: u64) {
        let Some(ip) = ip_packet(link, data) else { return };
        let header = data.len() - ip.len();
        let link_header = fingerprint(&[data.get(..header).unwrap_or_default()]);
        let seen = Recent { fingerprint: of_packet(ip), time, link_header };
        let is_copy =
            |of: &&Recent| of.fingerprint == seen.fingerprint && time.abs_diff(of.time) <= SOON;
        if let Some(first) = self.recent.iter().find(is_copy) {
            self.copies += 1;
            self.other_link += u64::from(first.link_header != link_header);
            return;
        }
        if let Some(slot) = self.recent.get_mut(self.next) {
            *slot = seen;
        }
        self.next = (self.next + 1) % NEAR;
    }

    fn look_at_connection(&mut self, packet: &Packet) {
        let Packet { flow, tcp_flags, .. } = packet;
        let goes_on = |flags: TcpFlags| !flags.opens() && !flags.rst();
        if flow.proto != Protocol::TCP || !tcp_flags.is_some_and(goes_on) {
            return;
        }
        let reversed = flow.reversed();
        let (key, from) = if *flow <= reversed { (*flow, 0) } else { (reversed, 1) };
        let counts = self.connections.entry(key).or_default();
        if let Some(count) = counts.get_mut(from) {
            *count += 1;
        }
    }

    /// What is to be said, in words.
    pub fn warnings(&self) -> Vec<String> {
        [self.of_copies(), self.of_one_direction(), self.of_snap_length()]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Most packets are there twice.
    fn of_copies(&self) -> Option<String> {
        const FEW: u64 = 4;
        let Self { packets, copies, other_link, .. } = self;
        // Of a capture with every packet twice half are copies; a few may have been lost.
        if *copies < FEW || copies * 20 < packets * 9 {
            return None;
        }
        let link = match other_link * 2 > *copies {
            true => ", behind another link header, as two VLANs or interfaces give it",
            false => "",
        };
        Some(format!(
            "every packet is there {}: {copies} of the first {packets} packets repeat one just before them{link}; counts \
             of packets are too high; mirror one direction, or take the copies out \
             (editcap -d)",
            if copies * 5 > packets * 3 { "several times" } else { "twice" },
        ))
    }

    /// Most TCP connections have packets of one end only.
    fn of_one_direction(&self) -> Option<String> {
        const FEW: usize = 3;
        let counts = self.connections.values().filter(|[a, b]| a + b >= FEW_PACKETS);
        let (mut all, mut one_sided) = (0, 0);
        for [a, b] in counts {
            all += 1;
            one_sided += usize::from(*a == 0 || *b == 0);
        }
        (one_sided >= FEW && one_sided * 2 > all).then(|| {
            format!(
                "of {one_sided} of the first {all} TCP connections only one direction is in the capture: the other takes \
                 another way (asymmetric routing), or was not mirrored; who opened a connection is inferred then"
            )
        })
    }

    /// Packets are cut before their ports.
    fn of_snap_length(&self) -> Option<String> {
        let Self { packets, without_ports, snap_length, .. } = self;
        let looked_at = (*packets).max(*without_ports);
        (without_ports * 100 > looked_at).then(|| {
            format!(
                "a snap length of {snap_length} bytes cuts the ports off {without_ports} of the first {looked_at} packets; \
                 capture whole packets (tcpdump -s 0)"
            )
        })
    }
}

/// A packet without what a router changes: hop limit, class and checksum of its header.
fn of_packet(ip: &[u8]) -> u64 {
    let len = ip.get(..COMPARED.min(ip.len())).unwrap_or_default();
    let whole = (ip.len() as u64).to_le_bytes();
    let part = |from: usize, to: usize| len.get(from..to.min(len.len())).unwrap_or_default();
    match len.first().map(|first| first >> 4) {
        Some(6) => fingerprint(&[&whole, part(4, 7), part(8, COMPARED)]),
        _ => fingerprint(&[&whole, part(2, 8), part(9, 10), part(12, COMPARED)]),
    }
}

fn fingerprint(parts: &[&[u8]]) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = FixedState::default().build_hasher();
    for part in parts {
        hasher.write(part);
    }
    hasher.finish()
}
