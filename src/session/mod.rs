//! Connections: which are live, and who began them (SEMANTICS A6).
//!
//! The table is told what was opened and with what outcome; it does not judge. A denied opening is
//! kept too: the rest of that connection would never have existed.
//!
//! Times are those of the capture. They may jump or run backwards, as real captures' do; a session
//! is then as old as its newest packet.

mod initiator;
mod table;
mod tcp;

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use foldhash::fast::FixedState;

pub use initiator::{Initiator, Opening, Openings};
use table::Table;
use tcp::TcpState;

use crate::flow::{Direction, FlowTuple, Packet, Protocol, TcpFlags, Transport};
use crate::rules::{EntryIndex, Timeouts};

/// What was decided when a connection opened, at one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The connection's number, counted from 1 in order of opening.
    pub connection: u64,
    /// Whether the opening packet was let through.
    pub allowed: bool,
    /// The direction in which it was judged.
    pub direction: Direction,
    /// The entry that decided.
    pub entry: EntryIndex,
    /// Whether the interface's own end is the one that began it.
    pub local_began: bool,
    /// Free for the caller: a position in a table of its own.
    pub tag: u32,
}

/// The sessions of all interfaces.
#[derive(Debug)]
pub struct SessionTable {
    v4: Table<[u64; 2], Session>,
    v6: Table<[u64; 5], Session>,
    /// The size at which expired sessions are next swept out.
    sweep_at: usize,
    /// Allowed sessions by interface, expired ones that are not swept out among them.
    allowed: HashMap<usize, usize, FixedState>,
    /// No allowed session expires before this time, in ns.
    none_expires_before: u64,
}

/// Sessions that have expired stay in the table up to this many, so that a late packet is known to
/// be late.
const SWEEP_FROM: usize = 1 << 20;

#[derive(Clone, Copy, Debug)]
struct Session {
    opened: Opened,
    state: State,
    /// Time of the newest packet, in ns.
    last: u64,
}

impl Session {
    #[inline]
    fn expired(&self, now: u64, timeouts: &Timeouts) -> bool {
        u128::from(now.saturating_sub(self.last)) >= self.state.timeout(timeouts).as_nanos()
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    Tcp(TcpState),
    Udp,
    Icmp,
    Other,
}

impl State {
    fn timeout(self, timeouts: &Timeouts) -> Duration {
        match self {
            Self::Tcp(state) => state.timeout(timeouts),
            Self::Udp => timeouts.udp,
            Self::Icmp => timeouts.icmp,
            Self::Other => timeouts.other,
        }
    }
}

/// The 5-tuple in one order for both ways, and the interface and end from which it is seen.
#[derive(Clone, Copy, Debug)]
enum Key {
    V4([u64; 2]),
    V6([u64; 5]),
}

impl Key {
    #[inline]
    fn new(interface: u16, direction: Direction, flow: &FlowTuple) -> Self {
        let FlowTuple { src, dst, proto, transport } = *flow;
        let (src_port, dst_port) = match transport {
            Transport::Ports { src, dst } => (src, dst),
            // SEMANTICS A6: how ICMP fills the tuple is undocumented; a query's type family and
            // identifier are used, and for a message that nothing answers its type and code.
            Transport::Icmp { kind, id: Some(id), .. } => (id, initiator::query(kind).into()),
            Transport::Icmp { kind, code, id: None } => (code.into(), u16::from(kind) | NO_ID),
            Transport::Absent => (0, 0),
        };
        // The ports of ICMP are no ends' own, so they do not take part in the order.
        let own_ports = transport.ports().unwrap_or_default();
        let local_is_source = direction == Direction::Egress;
        let facts = |source_is_low: bool| {
            let swap = !source_is_low && transport.ports().is_some();
            let (low_port, high_port) =
                if swap { (dst_port, src_port) } else { (src_port, dst_port) };
            // Two ends of one connection may both be local: each has a session of its own.
            let local_is_low = local_is_source == source_is_low;
            u64::from(low_port) << 48
                | u64::from(high_port) << 32
                | u64::from(interface) << 16
                | u64::from(proto.0) << 8
                | u64::from(local_is_low)
        };
        if let (IpAddr::V4(src), IpAddr::V4(dst)) = (src, dst) {
            let (src, dst) = (u64::from(src.to_bits()), u64::from(dst.to_bits()));
            let (source, target) =
                (src << 16 | u64::from(own_ports.0), dst << 16 | u64::from(own_ports.1));
            let source_is_low = source <= target;
            let addresses = if source_is_low { src << 32 | dst } else { dst << 32 | src };
            return Self::V4([addresses, facts(source_is_low)]);
        }
        let source_is_low = (src, own_ports.0) <= (dst, own_ports.1);
        let (low, high) = if source_is_low { (src, dst) } else { (dst, src) };
        let ([a, b], [c, d]) = (halves(low), halves(high));
        Self::V6([a, b, c, d, facts(source_is_low)])
    }
}

/// Marks the type of an ICMP message without an identifier.
const NO_ID: u16 = 0x100;

fn halves(addr: IpAddr) -> [u64; 2] {
    let bits = match addr {
        IpAddr::V4(addr) => addr.to_ipv6_mapped().to_bits(),
        IpAddr::V6(addr) => addr.to_bits(),
    };
    #[expect(clippy::cast_possible_truncation, reason = "both halves are kept")]
    [(bits >> 64) as u64, bits as u64]
}

/// The interface of a key.
fn interface_of(facts: u64) -> usize {
    let [.., high, low, _, _] = facts.to_be_bytes();
    usize::from(u16::from_be_bytes([high, low]))
}

/// A time so much later, in ns.
fn later(time: u64, by: Duration) -> u64 {
    time.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX))
}

/// Where a packet's session lies, if there is one. Finding the places of many packets before meeting
/// the first lets their memory accesses overlap.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    key: Key,
    hash: u64,
}

/// What the table knows of a packet's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It belongs to this one.
    Live(Opened),
    /// It belonged to one that has expired: its own sender begins anew (SEMANTICS A6).
    Expired,
    /// Nothing is known.
    Unknown,
}

impl Default for SessionTable {
    fn default() -> Self {
        Self::new()
    }
}

impl SessionTable {
    /// An empty table.
    pub fn new() -> Self {
        Self {
            v4: Table::new(),
            v6: Table::new(),
            sweep_at: SWEEP_FROM,
            allowed: HashMap::default(),
            none_expires_before: 0,
        }
    }

    /// Finds a packet's place in the table, and brings it near: see [`Place`].
    #[inline]
    pub fn place(&self, interface: usize, direction: Direction, flow: &FlowTuple) -> Place {
        // INVARIANT: a rule set has at most 65,535 interfaces.
        let interface = u16::try_from(interface).unwrap_or(u16::MAX);
        let key = Key::new(interface, direction, flow);
        let (hash, touched) = match &key {
            Key::V4(key) => {
                let hash = self.v4.hash(key);
                (hash, self.v4.touch(hash))
            }
            Key::V6(key) => {
                let hash = self.v6.hash(key);
                (hash, self.v6.touch(hash))
            }
        };
        std::hint::black_box(touched);
        Place { key, hash }
    }

    /// Looks a packet's session up, and lets the packet move it on.
    #[inline]
    pub fn meet(
        &mut self,
        place: &Place,
        direction: Direction,
        packet: &Packet,
        now: u64,
        timeouts: &Timeouts,
    ) -> Standing {
        let session = match &place.key {
            Key::V4(key) => self.v4.get_mut(place.hash, key),
            Key::V6(key) => self.v6.get_mut(place.hash, key),
        };
        let Some(session) = session else { return Standing::Unknown };
        if session.expired(now, timeouts) {
            return Standing::Expired;
        }
        if let State::Tcp(tcp) = &mut session.state {
            let from_local = direction == Direction::Egress;
            let from_initiator = from_local == session.opened.local_began;
            // What was denied never existed: the other end's own SYN opens a connection.
            let own_opening = !session.opened.allowed
                && !from_initiator
                && packet.tcp_flags.is_some_and(TcpFlags::opens);
            if own_opening || tcp.reopens(packet.tcp_flags) {
                return Standing::Expired;
            }
            tcp.advance(packet.tcp_flags, from_initiator);
            if *tcp == TcpState::Closed {
                let closes = later(now, timeouts.tcp_closed);
                self.none_expires_before = self.none_expires_before.min(closes);
            }
        }
        session.last = session.last.max(now);
        Standing::Live(session.opened)
    }

    /// The live session at a place, if there is one. It stays as it is: for a packet that is about a
    /// connection and not part of it.
    pub fn at(&self, place: &Place, now: u64, timeouts: &Timeouts) -> Option<Opened> {
        let session = match &place.key {
            Key::V4(key) => self.v4.get(place.hash, key),
            Key::V6(key) => self.v6.get(place.hash, key),
        };
        session.filter(|session| !session.expired(now, timeouts)).map(|session| session.opened)
    }

    /// Whether an interface that can hold so many sessions has room for one more at this place
    /// (SEMANTICS A6). Sessions that were denied take none.
    pub fn has_room(
        &mut self,
        place: &Place,
        interface: usize,
        most: usize,
        now: u64,
        timeouts: impl Fn(usize) -> Timeouts,
    ) -> bool {
        let full = |of: &Self| of.allowed.get(&interface).is_some_and(|held| *held >= most);
        let reopens = match &place.key {
            Key::V4(key) => self.v4.get(place.hash, key),
            Key::V6(key) => self.v6.get(place.hash, key),
        };
        if !full(self) || reopens.is_some_and(|session| session.opened.allowed) {
            return true;
        }
        if now >= self.none_expires_before {
            self.sweep(now, &timeouts);
        }
        !full(self)
    }

    /// Drops what has expired.
    fn sweep(&mut self, now: u64, timeouts: &impl Fn(usize) -> Timeouts) {
        let live = |[.., facts]: [u64; 2], session: &Session| {
            !session.expired(now, &timeouts(interface_of(facts)))
        };
        self.v4.retain(|key, session| live(*key, session));
        self.v6.retain(|[.., facts], session| live([0, *facts], session));
        self.sweep_at = SWEEP_FROM.max(2 * (self.v4.len() + self.v6.len()));

        let v4 = self.v4.entries().map(|([.., facts], session)| (*facts, session));
        let v6 = self.v6.entries().map(|([.., facts], session)| (*facts, session));
        let allowed = v4.chain(v6).filter(|(_, session)| session.opened.allowed);
        self.allowed.clear();
        self.none_expires_before = u64::MAX;
        for (interface, session) in allowed.map(|(facts, session)| (interface_of(facts), session)) {
            *self.allowed.entry(interface).or_default() += 1;
            let expires = later(session.last, session.state.timeout(&timeouts(interface)));
            self.none_expires_before = self.none_expires_before.min(expires);
        }
    }

    /// Enters what a packet opened, allowed or not.
    pub fn open(
        &mut self,
        place: &Place,
        packet: &Packet,
        now: u64,
        opened: Opened,
        timeouts: impl Fn(usize) -> Timeouts,
    ) {
        if self.v4.len() + self.v6.len() >= self.sweep_at {
            self.sweep(now, &timeouts);
        }
        let state = match packet.flow.proto {
            Protocol::TCP => State::Tcp(TcpState::opened_by(packet.tcp_flags)),
            Protocol::UDP => State::Udp,
            Protocol::ICMP | Protocol::ICMPV6 => State::Icmp,
            _ => State::Other,
        };
        let session = Session { opened, state, last: now };
        let (before, interface) = match place.key {
            Key::V4(key) => (self.v4.insert(place.hash, key, session), interface_of(key[1])),
            Key::V6(key) => (self.v6.insert(place.hash, key, session), interface_of(key[4])),
        };
        let held = self.allowed.entry(interface).or_default();
        *held += usize::from(opened.allowed);
        *held -= usize::from(before.is_some_and(|before| before.opened.allowed));
        let expires = later(now, state.timeout(&timeouts(interface)));
        self.none_expires_before = self.none_expires_before.min(expires);
    }
}
