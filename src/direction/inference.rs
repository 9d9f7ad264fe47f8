//! Which addresses are the capturing instance's, inferred from the first packets of a capture (SEMANTICS F21).
//!
//! The evidence, strongest first: the capturing machine's own direction hints; on Ethernet, the hardware address that
//! is in nearly all unicast frames and stands for few addresses, while a gateway's stands for many; hop limits, since
//! a host's own packets leave with 64, 128 or 255 and others arrive with less; checksums left to the network card;
//! the address that all packets share while their other ends differ; and, which is never sure, the destinations of
//! opening packets and service ports. One client and one server with only openings to tell them apart are unsure,
//! since the capture may be the client's.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::RandomState;
use serde::Serialize;

use crate::capture::{DirectionHint, Frame, LinkType};
use crate::decode;
use crate::flow::{FlowTuple, Packet, TcpFlags, Transport};
use crate::rules::services;

/// What tells the local address from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The user has named it.
    Given,
    /// The rules file lists interfaces.
    Rules,
    /// The capturing machine marks packets as sent or received.
    DirectionHints,
    /// Its hardware address is in nearly all frames and stands for few addresses.
    HardwareAddress,
    /// Its packets leave with a full hop limit, those of others arrive with less.
    HopLimits,
    /// Its checksums were left to the network card.
    Checksums,
    /// All packets share it, and their other ends differ.
    Share,
    /// It is the destination of opening packets, or has the service's port.
    Openings,
    /// None.
    Nothing,
}

/// What the first packets of a capture show.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    packets: u64,
    hinted: u64,
    /// Unicast packets by family.
    of_family: [u64; 2],
    addresses: HashMap<IpAddr, Shown, RandomState>,
    /// Packets between two addresses, the lower one first.
    pairs: HashMap<[IpAddr; 2], u64, RandomState>,
    hardware: HashMap<[u8; 6], Hardware, RandomState>,
    /// Unicast Ethernet frames with an IP packet.
    frames: u64,
}

/// What the packets show about one address.
#[derive(Clone, Copy, Debug, Default)]
struct Shown {
    packets: u64,
    /// Inbound packets to it and outbound packets from it, by the capturing machine's own word.
    local: u64,
    /// Inbound packets from it and outbound packets to it.
    remote: u64,
    /// Packets that it sent with a full hop limit, and with less.
    full_hop_limits: u64,
    lower_hop_limits: u64,
    /// Packets that it sent with the checksum left to the card.
    partial_checksums: u64,
    /// Connections it was asked to accept.
    asked: u64,
    /// Packets in which its port is a service's and the other end's is not.
    serves: u64,
}

/// What the frames show about one hardware address.
#[derive(Clone, Debug, Default)]
struct Hardware {
    frames: u64,
    /// The addresses that it stands for, up to a bound.
    addresses: Vec<IpAddr>,
}

/// The addresses taken for local.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guess {
    /// One of each family that the capture shows, or all that the evidence gives.
    pub addresses: Vec<IpAddr>,
    /// What tells them from others; the weaker kind where families differ.
    pub evidence: Evidence,
    /// Whether the evidence singles them out.
    pub sure: bool,
    /// The evidence in words.
    pub why: String,
    /// Where it is not sure, the address that is the next likely.
    pub runner_up: Option<IpAddr>,
}

/// Hop limits with which hosts send.
const FULL: [u8; 3] = [64, 128, 255];
/// More addresses, pairs or hardware addresses than this are not counted: the local one is seen early.
const MOST_ADDRESSES: usize = 1 << 16;
/// A hardware address stands for many from here on.
const MANY: usize = 64;
/// One that stands for more than this is no instance's, but a gateway's or a switch port's.
const FEW: usize = 16;

impl Survey {
    /// Looks at a packet and the frame it came in. `inside` says that the packet was inside a tunnel, so that the
    /// frame's hardware addresses are not its own.
    pub fn add(&mut self, frame: &Frame<'_>, packet: &Packet, inside: bool) {
        let hint = frame.hint.or_else(|| decode::direction_hint(frame.link, frame.data));
        let FlowTuple { src, dst, .. } = packet.flow;
        self.packets += 1;
        self.hinted += u64::from(hint.is_some());
        let ends = hardware_ends(frame).filter(|_| !inside);
        // A broadcast has no receiver.
        let received = is_host(dst) && ends.is_none_or(|[to, _]| to[0] & 1 == 0);
        // A link-local address is another name of a host that is known by its own.
        let received = received && is_link_local(src) == is_link_local(dst);
        if received {
            let [v4, v6] = &mut self.of_family;
            *(if dst.is_ipv6() { v6 } else { v4 }) += 1;
        }
        let (serves_src, serves_dst) = serving(&packet.flow);
        let opens = packet.tcp_flags.is_some_and(TcpFlags::opens);
        if let Some(shown) = self.shown(src).filter(|_| is_host(src)) {
            shown.packets += u64::from(received);
            shown.local += u64::from(hint == Some(DirectionHint::Outbound));
            shown.remote += u64::from(hint == Some(DirectionHint::Inbound));
            shown.serves += u64::from(serves_src);
            // A hop limit of 1 keeps a packet on its link, as that of a routing protocol.
            if frame.log.is_none() && packet.hop_limit > 1 {
                let full = FULL.contains(&packet.hop_limit);
                shown.full_hop_limits += u64::from(full);
                shown.lower_hop_limits += u64::from(!full);
            }
            if !inside && decode::is_left_to_card(frame.link, frame.data) {
                shown.partial_checksums += 1;
            }
        }
        if let Some(shown) = self.shown(dst).filter(|_| received && src != dst) {
            shown.packets += 1;
            shown.local += u64::from(hint == Some(DirectionHint::Inbound));
            shown.remote += u64::from(hint == Some(DirectionHint::Outbound));
            shown.serves += u64::from(serves_dst);
            shown.asked += u64::from(opens);
        }
        if received && is_host(src) && (self.pairs.len() < MOST_ADDRESSES) {
            *self.pairs.entry([src.min(dst), src.max(dst)]).or_default() += 1;
        }
        if let Some([to, from]) = ends.filter(|_| received) {
            self.frames += 1;
            self.look_at_hardware(from, src, true);
            // A frame to oneself is counted once.
            self.look_at_hardware(to, dst, to != from);
        }
    }

    fn shown(&mut self, addr: IpAddr) -> Option<&mut Shown> {
        match self.addresses.len() < MOST_ADDRESSES {
            true => Some(self.addresses.entry(addr).or_default()),
            false => self.addresses.get_mut(&addr),
        }
    }

    fn look_at_hardware(&mut self, hardware: [u8; 6], addr: IpAddr, counts: bool) {
        if self.hardware.len() >= MOST_ADDRESSES && !self.hardware.contains_key(&hardware) {
            return;
        }
        let known = self.hardware.entry(hardware).or_default();
        known.frames += u64::from(counts);
        if is_host(addr) && known.addresses.len() < MANY && !known.addresses.contains(&addr) {
            known.addresses.push(addr);
        }
    }

    /// The local addresses, by the strongest evidence that there is. `None` when the capture shows no IP packet.
    pub fn guess(&self) -> Option<Guess> {
        if let Some(guess) = self.by_hints().or_else(|| self.by_hardware()) {
            return Some(guess);
        }
        let mut guess = self.by_families()?;
        // Weaker evidence than the only hardware address in all frames singles nothing out against it.
        if let Some(host) = self.only_hardware()
            && !guess.addresses.iter().all(|addr| host.addresses.contains(addr))
        {
            guess.sure = false;
        }
        Some(guess)
    }

    /// The hardware address that is in nearly all frames, where it is the only one.
    fn only_hardware(&self) -> Option<&Hardware> {
        let mut candidates = self.hardware.values().filter(|of| self.is_in_nearly_all(of));
        let (of, None) = (candidates.next()?, candidates.next()) else { return None };
        (self.hardware.len() > 1).then_some(of)
    }

    fn is_in_nearly_all(&self, of: &Hardware) -> bool {
        of.frames * 100 >= self.frames * 95
    }

    /// By the capturing machine's own word.
    fn by_hints(&self) -> Option<Guess> {
        let named = self.addresses.iter().filter(|(_, shown)| shown.local > 0 && shown.remote == 0);
        let addresses = sorted(named.map(|(addr, _)| *addr));
        let why = format!(
            "the capture marks {} of its first {} IP packets as sent or received there",
            self.hinted, self.packets,
        );
        (!addresses.is_empty()).then_some(Guess {
            addresses,
            evidence: Evidence::DirectionHints,
            sure: true,
            why,
            runner_up: None,
        })
    }

    /// By the hardware address that is in nearly all frames and stands for few addresses, which gives all families at
    /// once.
    fn by_hardware(&self) -> Option<Guess> {
        let mut candidates: Vec<(usize, [u8; 6], &Hardware)> = self
            .hardware
            .iter()
            .filter(|(_, of)| self.is_in_nearly_all(of))
            .map(|(hardware, of)| (of.stands_for(), *hardware, of))
            .collect();
        candidates.sort_unstable_by_key(|(stands_for, hardware, _)| (*stands_for, *hardware));
        let (few, hardware, of) = *candidates.first()?;
        if self.hardware.len() < 2 || few > FEW || self.looks_remote(&of.addresses) {
            return None;
        }
        // An instance may have two addresses and one client: a gateway's stands for many, or for hosts behind routers.
        if let Some((more, _, other)) = candidates.get(1)
            && (*more < few * 2
                || *more < few * 8 && !self.looks_remote(&other.addresses)
                || other.addresses.iter().any(|addr| of.addresses.contains(addr)))
        {
            return None;
        }
        let addresses = own(of.addresses.iter().copied());
        // A host sends itself nothing over the wire: a router does, for those on either side of it.
        if self.pairs.keys().any(|pair| pair.iter().all(|addr| addresses.contains(addr))) {
            return None;
        }
        let text: Vec<String> = hardware.iter().map(|octet| format!("{octet:02x}")).collect();
        let others = candidates.get(1);
        let others =
            others.map_or_else(String::new, |(more, ..)| format!(", its peer's for {more}"));
        let why = format!(
            "hardware address {} is in {} of the first {} unicast frames and stands for {few} address{}{others}",
            text.join(":"),
            of.frames,
            self.frames,
            if few == 1 { "" } else { "es" },
        );
        (!addresses.is_empty()).then_some(Guess {
            addresses,
            evidence: Evidence::HardwareAddress,
            sure: true,
            why,
            runner_up: None,
        })
    }

    /// Whether addresses send with hop limits that show a router between them and the capture.
    fn looks_remote(&self, addresses: &[IpAddr]) -> bool {
        let of = || addresses.iter().filter_map(|addr| self.addresses.get(addr));
        let lower: u64 = of().map(|shown| shown.lower_hop_limits).sum();
        lower > of().map(|shown| shown.full_hop_limits).sum()
    }

    /// By evidence about single addresses, for each family.
    fn by_families(&self) -> Option<Guess> {
        let guesses = [false, true].map(|v6| self.of_family(v6));
        let (mut guess, other) = match guesses {
            [Some(v4), Some(v6)] if v6.evidence < v4.evidence && v6.sure => (v6, Some(v4)),
            [Some(v4), v6] => (v4, v6),
            [None, v6] => (v6?, None),
        };
        let Some(other) = other else { return Some(guess) };
        // The hardware address of the one stands for the other too, unless it is a gateway's.
        if let Some(twin) = self.twin(&guess, &other) {
            guess.addresses.push(twin);
            guess.addresses.sort_unstable();
            return Some(guess);
        }
        guess.addresses.extend(other.addresses);
        guess.addresses.sort_unstable();
        guess.evidence = guess.evidence.max(other.evidence);
        guess.sure &= other.sure;
        guess.why = format!("{}; {}", guess.why, other.why);
        guess.runner_up = guess.runner_up.or(other.runner_up);
        Some(guess)
    }

    /// The address of the other family that has the same hardware address, where that is sure.
    fn twin(&self, guess: &Guess, other: &Guess) -> Option<IpAddr> {
        let [addr] = *guess.addresses.as_slice() else { return None };
        let mut behind = self.hardware.values().filter(|of| of.addresses.contains(&addr));
        let (of, None) = (behind.next()?, behind.next()) else { return None };
        let of_family =
            |v6: bool| own(of.addresses.iter().copied().filter(move |addr| addr.is_ipv6() == v6));
        let twins = of_family(addr.is_ipv4());
        match (of_family(addr.is_ipv6()).len(), twins.as_slice()) {
            (1, [twin]) if guess.sure && !other.sure => Some(*twin),
            _ => None,
        }
    }

    fn of_family(&self, v6: bool) -> Option<Guess> {
        let [of_v4, of_v6] = self.of_family;
        let total = if v6 { of_v6 } else { of_v4 };
        let of_family = self.addresses.iter().filter(|(addr, _)| addr.is_ipv6() == v6);
        let seen = of_family.filter(|(_, shown)| shown.packets > 0);
        let mut seen: Vec<(IpAddr, Shown)> = seen.map(|(a, s)| (*a, *s)).collect();
        // Link-local addresses are of every interface: they count where there is nothing else.
        if seen.iter().any(|(addr, _)| !is_link_local(*addr)) {
            seen.retain(|(addr, _)| !is_link_local(*addr));
        }
        // Most packets first. Of thousands of addresses only two are named.
        let rank = |(addr, shown): &(IpAddr, Shown)| (std::cmp::Reverse(shown.packets), *addr);
        let (first, shown_first) = *seen.iter().min_by_key(|of| rank(of))?;
        let mut candidates: Vec<(IpAddr, Shown)> =
            seen.iter().copied().filter(|(_, of)| of.packets * 100 >= total * 90).collect();
        candidates.sort_unstable_by_key(rank);
        let decided = by_hop_limits(match candidates.is_empty() {
            true => &seen,
            false => &candidates,
        })
        .or_else(|| by_checksums(&candidates))
        .or_else(|| self.by_share(&candidates, total));
        let guess = |addr: IpAddr, evidence, sure, why, runner_up| Guess {
            addresses: vec![addr],
            evidence,
            sure,
            why,
            runner_up,
        };
        if let Some((addr, evidence, why)) = decided {
            return Some(guess(addr, evidence, true, why, None));
        }
        // What follows may as well be the client's capture.
        let by_role = candidates
            .iter()
            .max_by_key(|(addr, of)| (of.asked, of.serves, of.packets, std::cmp::Reverse(*addr)));
        let (addr, shown) = by_role.copied().unwrap_or((first, shown_first));
        let mut others = candidates.iter().filter(|(other, _)| *other != addr);
        let next = seen.iter().filter(|(other, _)| *other != addr);
        let runner_up = others.next().or_else(|| next.min_by_key(|of| rank(of)));
        let runner_up = runner_up.map(|(addr, _)| *addr);
        let other =
            runner_up.and_then(|addr| self.addresses.get(&addr)).copied().unwrap_or_default();
        let (evidence, why) = if candidates.is_empty() {
            let why =
                format!("{addr} appears in {} of the first {total} IP packets", shown.packets);
            (Evidence::Nothing, why)
        } else if shown.asked > other.asked {
            (Evidence::Openings, format!("{addr} is the destination of opening packets"))
        } else if shown.serves > other.serves {
            (
                Evidence::Openings,
                format!("{addr} has the service's port in {} packets", shown.serves),
            )
        } else {
            (Evidence::Nothing, format!("nothing tells {addr} from its peer"))
        };
        Some(guess(addr, evidence, false, why, runner_up))
    }

    /// By the address that nearly all packets share, while no other appears in packets without it.
    fn by_share(
        &self,
        candidates: &[(IpAddr, Shown)],
        total: u64,
    ) -> Option<(IpAddr, Evidence, String)> {
        let (addr, shown) = match candidates {
            [one] => *one,
            [a, b] => {
                let both =
                    self.pairs.get(&[a.0.min(b.0), a.0.max(b.0)]).copied().unwrap_or_default();
                let alone = |of: &Shown| of.packets.saturating_sub(both);
                match (alone(&a.1), alone(&b.1)) {
                    (one, other) if one > 0 && one >= other * 10 => *a,
                    (other, one) if one > 0 && one >= other * 10 => *b,
                    _ => return None,
                }
            }
            _ => return None,
        };
        // Two peers may be two addresses of one.
        let peers = self.pairs.keys().filter(|pair| pair.contains(&addr)).count();
        if peers < 3 {
            return None;
        }
        // A router between it and the capture would be a strange place for its interface.
        (shown.full_hop_limits > 0 || shown.lower_hop_limits == 0).then(|| {
            let why = format!(
                "{addr} appears in {} of the first {total} IP packets, and its peers differ",
                shown.packets
            );
            (addr, Evidence::Share, why)
        })
    }
}

impl Hardware {
    /// How many addresses of a family it stands for, at the most.
    fn stands_for(&self) -> usize {
        let addresses = own(self.addresses.iter().copied());
        let of = |v6: bool| addresses.iter().filter(|addr| addr.is_ipv6() == v6).count();
        of(false).max(of(true))
    }
}

/// The one address that sends with full hop limits, where all others send with less.
fn by_hop_limits(ends: &[(IpAddr, Shown)]) -> Option<(IpAddr, Evidence, String)> {
    let senders = || ends.iter().filter(|(_, of)| of.full_hop_limits + of.lower_hop_limits > 0);
    let mut full = senders().filter(|(_, of)| of.full_hop_limits > of.lower_hop_limits);
    let ((addr, _), None) = (full.next()?, full.next()) else { return None };
    let others = senders().filter(|(other, _)| other != addr);
    // A single packet with a full hop limit has crossed no router.
    let (others, crossed) = others.fold((0, true), |(n, crossed), (_, of)| {
        (n + 1, crossed && of.full_hop_limits * 20 <= of.lower_hop_limits)
    });
    (others > 0 && crossed).then(|| {
        let why = format!(
            "packets of {addr} have a full hop limit (64, 128 or 255), those of its peers have crossed routers"
        );
        (*addr, Evidence::HopLimits, why)
    })
}

/// The one address whose checksums were left to the network card.
fn by_checksums(ends: &[(IpAddr, Shown)]) -> Option<(IpAddr, Evidence, String)> {
    let mut partial = ends.iter().filter(|(_, of)| of.partial_checksums > 0);
    let ((addr, of), None) = (partial.next()?, partial.next()) else { return None };
    // Two bytes fit by chance once in 65,536 packets.
    let sent = of.full_hop_limits + of.lower_hop_limits;
    (of.partial_checksums * 10 >= sent && ends.len() > 1).then(|| {
        let why = format!("only {addr} leaves checksums to its network card");
        (*addr, Evidence::Checksums, why)
    })
}

/// The Ethernet addresses of a frame, to and from.
fn hardware_ends(frame: &Frame<'_>) -> Option<[[u8; 6]; 2]> {
    let ethernet = frame.link == LinkType::ETHERNET && frame.log.is_none();
    let (to, rest) = frame.data.split_first_chunk().filter(|_| ethernet)?;
    Some([*to, *rest.first_chunk()?])
}

/// Which end has a service's port that the other has not.
fn serving(flow: &FlowTuple) -> (bool, bool) {
    match flow.transport {
        Transport::Ports { src, dst } => {
            let service = |port| port < 1024 || services::of_port(flow.proto, port).is_some();
            (service(src) && !service(dst), service(dst) && !service(src))
        }
        // A query is asked of its destination.
        Transport::Icmp { kind, .. } => (matches!(kind, 0 | 129), matches!(kind, 8 | 128)),
        Transport::Absent => (false, false),
    }
}

/// The addresses of an interface: those that are not link-local, or all where there are no others.
fn own(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut addresses = sorted(addresses);
    if addresses.iter().any(|addr| !is_link_local(*addr)) {
        addresses.retain(|addr| !is_link_local(*addr));
    }
    addresses
}

fn sorted(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = addresses.collect();
    addresses.sort_unstable();
    addresses
}

/// Whether an address is one host's.
fn is_host(addr: IpAddr) -> bool {
    !addr.is_multicast() && !addr.is_unspecified() && addr != IpAddr::from([255; 4])
}

/// An address that every interface has beside its own.
fn is_link_local(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => addr.is_link_local(),
        IpAddr::V6(addr) => addr.is_unicast_link_local(),
    }
}
