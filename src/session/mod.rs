//! Connections: which are live, and who began them (SEMANTICS A6).
//!
//! The table is told what was opened and with what outcome; it does not judge. A denied opening is
//! kept too: the rest of that connection would never have existed.
//!
//! Times are those of the capture. They may jump or run backwards, as real captures' do; a session
//! is then as old as its newest packet.

mod fragment;
mod initiator;
mod tcp;

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use foldhash::fast::FixedState;

pub use fragment::FragmentTable;
pub use initiator::{Initiator, Opening, Openings};
use tcp::TcpState;

use crate::flow::{Direction, FlowTuple, Packet, Protocol, Transport};
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
    sessions: HashMap<Key, Session, FixedState>,
    /// The size at which expired sessions are next swept out.
    sweep_at: usize,
}

/// Sessions that have expired stay in the table up to this many, so that a late packet is known to
/// be late.
const SWEEP_FROM: usize = 1 << 20;

#[derive(Debug)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    low: u128,
    high: u128,
    low_port: u16,
    high_port: u16,
    proto: Protocol,
    /// Tells ICMP messages apart that do not belong together.
    class: u8,
    v6: bool,
    /// The interface's own end is the low one. Two ends of one connection may both be local.
    local_is_low: bool,
    interface: u32,
}

impl Key {
    #[inline]
    fn new(interface: usize, direction: Direction, flow: &FlowTuple) -> Self {
        let FlowTuple { src, dst, proto, transport } = *flow;
        let (class, src_port, dst_port) = match transport {
            Transport::Ports { src, dst } => (0, src, dst),
            // SEMANTICS A6: how ICMP fills the tuple is undocumented; a query's type family and
            // identifier are used, and for a message that nothing answers its type and code.
            Transport::Icmp { kind, id: Some(id), .. } => (initiator::query(kind), id, id),
            Transport::Icmp { kind, code, id: None } => (kind, code.into(), code.into()),
            Transport::Absent => (0, 0, 0),
        };
        let source = (bits(src), src_port);
        let target = (bits(dst), dst_port);
        let local_is_source = direction == Direction::Egress;
        let source_is_low = source <= target;
        let (low, high) = if source_is_low { (source, target) } else { (target, source) };
        Self {
            low: low.0,
            high: high.0,
            low_port: low.1,
            high_port: high.1,
            proto,
            class,
            v6: src.is_ipv6(),
            local_is_low: local_is_source == source_is_low,
            interface: u32::try_from(interface).unwrap_or(u32::MAX),
        }
    }
}

#[inline]
fn bits(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(addr) => addr.to_bits().into(),
        IpAddr::V6(addr) => addr.to_bits(),
    }
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
        // A fixed seed: the same capture gives the same run, instruction for instruction.
        Self { sessions: HashMap::with_hasher(FixedState::default()), sweep_at: SWEEP_FROM }
    }

    /// Looks a packet's session up, and lets the packet move it on.
    #[inline]
    pub fn meet(
        &mut self,
        interface: usize,
        direction: Direction,
        packet: &Packet,
        now: u64,
        timeouts: &Timeouts,
    ) -> Standing {
        let key = Key::new(interface, direction, &packet.flow);
        let Some(session) = self.sessions.get_mut(&key) else { return Standing::Unknown };
        if session.expired(now, timeouts) {
            return Standing::Expired;
        }
        if let State::Tcp(tcp) = &mut session.state {
            let from_local = direction == Direction::Egress;
            let from_initiator = from_local == session.opened.local_began;
            if tcp.reopens(packet.tcp_flags) {
                return Standing::Expired;
            }
            tcp.advance(packet.tcp_flags, from_initiator);
        }
        session.last = session.last.max(now);
        Standing::Live(session.opened)
    }

    /// Enters what a packet opened, allowed or not.
    pub fn open(
        &mut self,
        interface: usize,
        direction: Direction,
        packet: &Packet,
        now: u64,
        opened: Opened,
        timeouts: impl Fn(usize) -> Timeouts,
    ) {
        if self.sessions.len() >= self.sweep_at {
            self.sessions
                .retain(|key, session| !session.expired(now, &timeouts(key.interface as usize)));
            self.sweep_at = SWEEP_FROM.max(2 * self.sessions.len());
        }
        let state = match packet.flow.proto {
            Protocol::TCP => State::Tcp(TcpState::opened_by(packet.tcp_flags)),
            Protocol::UDP => State::Udp,
            Protocol::ICMP | Protocol::ICMPV6 => State::Icmp,
            _ => State::Other,
        };
        let key = Key::new(interface, direction, &packet.flow);
        self.sessions.insert(key, Session { opened, state, last: now });
    }
}
