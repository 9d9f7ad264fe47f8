//! Connections: which are live, and who began them (SEMANTICS A6).
//!
//! The table is told what was opened and with what outcome; it does not judge. A denied opening is
//! kept too: the rest of that connection would never have existed.
//!
//! Times are those of the capture. They may jump or run backwards, as real captures' do; a session
//! is then as old as its newest packet.
//!
//! Memory is bounded ([`SessionTable::new`]). Expired sessions stay until the table would have to grow,
//! and are dropped then, all at once: each pass over the table is paid for by as many openings as it
//! has slots. Where that leaves no room, the sessions that have been idle longest go.

mod initiator;
mod key;
mod state;
mod table;

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

pub use initiator::{Initiator, Opening, Openings};
use key::Words;
use state::{IdleTimes, State};
use table::Table;

use crate::flow::{Direction, FlowTuple, Packet};
use crate::rules::Interface;

/// The bound on the table's memory, in bytes, where nobody asks for another: 1 GiB, which is 12 million
/// IPv4 sessions.
pub const MOST_MEMORY: usize = 1 << 30;

/// What was decided when a connection opened, at one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The connection's number, counted from 1 in order of opening; its lowest 36 bits are kept.
    pub connection: u64,
    /// Whether the opening packet was let through.
    pub allowed: bool,
    /// The direction in which it was judged; egress means that the interface's own end began it.
    pub direction: Direction,
    /// Free for the caller: a position in a table of its own, of which 22 bits are kept.
    pub tag: u32,
}

/// The sessions of all interfaces.
#[derive(Debug)]
pub struct SessionTable {
    places: Places,
    v4: Table<[u64; 2]>,
    v6: Table<[u64; 5]>,
    interfaces: Vec<OfInterface>,
    most_memory: usize,
    evicted: u64,
    /// No allowed session expires before this time, in ns.
    none_expires_before: u64,
}

/// What is known of an interface's sessions.
#[derive(Debug)]
struct OfInterface {
    idle_times: IdleTimes,
    /// Allowed sessions, expired ones that are still in the table among them.
    allowed: usize,
}

/// Expired sessions stay as long as the table has fewer slots than this, so that a late packet is known
/// to be late.
const SWEEP_FROM: usize = 1 << 20;

/// A session in 16 bytes, since the memory that look-ups touch is what they cost. The default is a free slot.
#[derive(Clone, Copy, Debug, Default)]
struct Session {
    /// Time of the newest packet, in ns.
    last: u64,
    /// From the lowest bit: 4 of the state, whether it is allowed, whether it was judged as egress, 22 of
    /// the tag, 36 of the connection. Zero in a free slot: connections are counted from 1.
    what: u64,
}

const STATE: u64 = 0xf;
const ALLOWED: u64 = 1 << 4;
const EGRESS: u64 = 1 << 5;
const TAG_AT: u32 = 6;
const TAG: u64 = (1 << 22) - 1;
const CONNECTION_AT: u32 = 28;

impl Session {
    fn new(opened: Opened, state: State, last: u64) -> Self {
        let Opened { connection, allowed, direction, tag } = opened;
        let what = connection << CONNECTION_AT
            | (u64::from(tag) & TAG) << TAG_AT
            | if direction == Direction::Egress { EGRESS } else { 0 }
            | if allowed { ALLOWED } else { 0 }
            | state as u64;
        Self { last, what }
    }

    #[inline]
    fn is_free(&self) -> bool {
        self.what == 0
    }

    #[inline]
    fn opened(&self) -> Opened {
        let tag = (self.what >> TAG_AT & TAG) as u32;
        Opened {
            connection: self.connection(),
            allowed: self.is_allowed(),
            direction: self.direction(),
            tag,
        }
    }

    #[inline]
    fn connection(&self) -> u64 {
        self.what >> CONNECTION_AT
    }

    #[inline]
    fn is_allowed(&self) -> bool {
        self.what & ALLOWED != 0
    }

    #[inline]
    fn direction(&self) -> Direction {
        if self.what & EGRESS == 0 { Direction::Ingress } else { Direction::Egress }
    }

    #[inline]
    fn state(&self) -> State {
        State::of(self.what & STATE)
    }

    #[inline]
    fn expired(&self, now: u64, idle_times: &IdleTimes) -> bool {
        now.saturating_sub(self.last) >= idle_times.of(self.what)
    }

    fn expires(&self, idle_times: &IdleTimes) -> u64 {
        self.last.saturating_add(idle_times.of(self.what))
    }
}

/// Where a packet's session lies, if there is one. See [`SessionTable::fetch`].
///
/// Half a cache line, since every packet has one or two: a key of IPv6 addresses would not fit in, and is
/// made again from the packet when it is needed.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    hash: u64,
    /// Of IPv4 addresses.
    key: [u64; 2],
    interface: u16,
    direction: Direction,
    family: Family,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

/// Finds packets' places, on any thread.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// Differs from run to run, so that no capture can be made to collide. No answer depends on it.
    seed: u64,
}

impl Places {
    /// The place of a packet.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "measured: to move a place takes longer than to find it"
    )]
    pub fn of(&self, interface: usize, direction: Direction, flow: &FlowTuple) -> Place {
        // INVARIANT: a rule set has at most 65,535 interfaces.
        let interface = u16::try_from(interface).unwrap_or(u16::MAX);
        let (key, hash, family) = match (flow.src, flow.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let key = key::v4(interface, direction, [src, dst], flow);
                (key, key::hash(self.seed, &key), Family::V4)
            }
            _ => ([0, 0], self.hash_v6(interface, direction, flow), Family::V6),
        };
        Place { hash, key, interface, direction, family }
    }

    #[inline(never)]
    fn hash_v6(self, interface: u16, direction: Direction, flow: &FlowTuple) -> u64 {
        key::hash(self.seed, &key::v6(interface, direction, flow))
    }
}

impl Place {
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

    fn v6(&self, flow: &FlowTuple) -> [u64; 5] {
        key::v6(self.interface, self.direction, flow)
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

impl SessionTable {
    /// An empty table for the sessions of these interfaces, which takes at most so many bytes; 64 slots
    /// are always had.
    pub fn new(interfaces: &[Interface], most_memory: usize) -> Self {
        let seed = RandomState::new().hash_one(0);
        let of = |interface: &Interface| OfInterface {
            idle_times: IdleTimes::new(&interface.timeouts),
            allowed: 0,
        };
        Self {
            places: Places { seed },
            v4: Table::new(seed),
            v6: Table::new(seed),
            interfaces: interfaces.iter().map(of).collect(),
            most_memory,
            evicted: 0,
            none_expires_before: 0,
        }
    }

    /// Sessions that were dropped although they were live, the longest idle first, because memory had
    /// reached its bound. What comes of their connections later is judged like the packets of a connection
    /// already under way.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// What finds packets' places in the table.
    pub fn places(&self) -> Places {
        self.places
    }

    /// Brings the sessions of many packets near, so that the accesses to memory overlap.
    #[inline]
    pub fn fetch<'p>(&self, places: impl Iterator<Item = &'p Place>) {
        let touched = places.fold(0, |touched, place| {
            touched
                ^ match place.family {
                    Family::V4 => self.v4.touch(place.hash),
                    Family::V6 => self.v6.touch(place.hash),
                }
        });
        std::hint::black_box(touched);
    }

    /// Looks a packet's session up, and lets the packet move it on.
    #[inline]
    pub fn meet(&mut self, place: &Place, packet: &Packet, now: u64) -> Standing {
        let session = match place.family {
            Family::V4 => self.v4.get_mut(place.hash, &place.key),
            Family::V6 => self.v6.get_mut(place.hash, &place.v6(&packet.flow)),
        };
        let Some(session) = session else { return Standing::Unknown };
        let Some(OfInterface { idle_times, .. }) = self.interfaces.get(place.interface()) else {
            return Standing::Unknown;
        };
        if session.expired(now, idle_times) {
            return Standing::Expired;
        }
        // A cut packet or a later fragment shows no flags: it keeps the session alive and no more. So
        // does an ordinary packet of an established connection.
        if let Some(flags) = packet.tcp_flags
            && (flags.steers() || session.what & STATE != State::Established as u64)
        {
            let state = session.state();
            let from_initiator = place.direction == session.direction();
            // What was denied never existed: the other end's own SYN opens a connection.
            let own_opening = !session.is_allowed() && !from_initiator && flags.opens();
            if own_opening || state.reopens(flags) {
                return Standing::Expired;
            }
            let state = state.after(flags, from_initiator);
            session.what = session.what & !STATE | state as u64;
            if state == State::Closed {
                let closes = now.saturating_add(idle_times.of(session.what));
                self.none_expires_before = self.none_expires_before.min(closes);
            }
        }
        session.last = session.last.max(now);
        Standing::Live(session.opened())
    }

    /// The live session at a place, if there is one. It stays as it is: for a packet that is about a
    /// connection and not part of it.
    pub fn at(&self, place: &Place, flow: &FlowTuple, now: u64) -> Option<Opened> {
        let session = self.find(place, flow)?;
        let idle_times = &self.interfaces.get(place.interface())?.idle_times;
        (!session.expired(now, idle_times)).then(|| session.opened())
    }

    fn find(&self, place: &Place, flow: &FlowTuple) -> Option<&Session> {
        match place.family {
            Family::V4 => self.v4.get(place.hash, &place.key),
            Family::V6 => self.v6.get(place.hash, &place.v6(flow)),
        }
    }

    /// Whether the place's interface, which can hold so many sessions, has room for one more there, that of
    /// this tuple (SEMANTICS A6). Sessions that were denied take none.
    pub fn has_room(&mut self, place: &Place, flow: &FlowTuple, most: usize, now: u64) -> bool {
        let full = |of: &Self| {
            of.interfaces.get(place.interface()).is_some_and(|held| held.allowed >= most)
        };
        if !full(self) || self.find(place, flow).is_some_and(Session::is_allowed) {
            return true;
        }
        if now >= self.none_expires_before {
            drop_expired(&mut self.v4, &self.interfaces, now);
            drop_expired(&mut self.v6, &self.interfaces, now);
            self.recount();
        }
        !full(self)
    }

    /// Enters what a packet opened, allowed or not.
    #[inline]
    pub fn open(&mut self, place: &Place, packet: &Packet, now: u64, opened: Opened) {
        let is_full = match place.family {
            Family::V4 => self.v4.is_full(),
            Family::V6 => self.v6.is_full(),
        };
        if is_full {
            self.make_room(place.family, now);
        }
        let session = Session::new(opened, State::opened_by(packet), now);
        let before = match place.family {
            Family::V4 => self.v4.insert(place.hash, place.key, session),
            Family::V6 => self.v6.insert(place.hash, place.v6(&packet.flow), session),
        };
        if let Some(of) = self.interfaces.get_mut(place.interface()) {
            of.allowed += usize::from(opened.allowed);
            of.allowed -= usize::from(before.is_some_and(|before| before.is_allowed()));
            self.none_expires_before =
                self.none_expires_before.min(session.expires(&of.idle_times));
        }
    }

    /// Makes room in the table of a family, which is full.
    #[cold]
    fn make_room(&mut self, family: Family, now: u64) {
        let (v4, v6) = (self.v4.memory(), self.v6.memory());
        let dropped = match family {
            Family::V4 => {
                make_room(&mut self.v4, &self.interfaces, now, self.most_memory.saturating_sub(v6))
            }
            Family::V6 => {
                make_room(&mut self.v6, &self.interfaces, now, self.most_memory.saturating_sub(v4))
            }
        };
        if dropped != Dropped::default() {
            self.evicted += dropped.live;
            self.recount();
        }
    }

    /// Counts what is in the tables, after some of it was dropped.
    fn recount(&mut self) {
        for of in &mut self.interfaces {
            of.allowed = 0;
        }
        self.none_expires_before = u64::MAX;
        let v4 = self.v4.entries().map(|(key, session)| (key.interface(), session));
        let v6 = self.v6.entries().map(|(key, session)| (key.interface(), session));
        for (interface, session) in v4.chain(v6).filter(|(_, session)| session.is_allowed()) {
            if let Some(of) = self.interfaces.get_mut(interface) {
                of.allowed += 1;
                let expires = session.expires(&of.idle_times);
                self.none_expires_before = self.none_expires_before.min(expires);
            }
        }
    }
}

fn drop_expired<K: Words>(table: &mut Table<K>, interfaces: &[OfInterface], now: u64) {
    table.retain(|key, session| {
        let of = interfaces.get(key.interface());
        of.is_some_and(|of| !session.expired(now, &of.idle_times))
    });
}

/// Sessions that had to make room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Dropped {
    expired: u64,
    live: u64,
}

/// Makes room in a full table that may take so many bytes: by dropping what has expired, else by
/// growing, else by dropping the quarter that has been idle longest.
fn make_room<K: Words>(
    table: &mut Table<K>,
    interfaces: &[OfInterface],
    now: u64,
    most_memory: usize,
) -> Dropped {
    let mut dropped = Dropped::default();
    let may_grow = table.homes() == 0 || table.memory_to_double() <= most_memory;
    if table.homes() >= SWEEP_FROM || !may_grow {
        let before = table.len();
        drop_expired(table, interfaces, now);
        dropped.expired = (before - table.len()) as u64;
        if table.len() <= table.homes() / 2 {
            return dropped;
        }
    }
    if may_grow {
        table.double();
        return dropped;
    }
    let (age, before) = (|session: &Session| (session.last, session.connection()), table.len());
    let mut ages: Vec<_> = table.entries().map(|(_, session)| age(session)).collect();
    let quarter = ages.len() / 4;
    let (_, oldest_kept, _) = ages.select_nth_unstable(quarter);
    let oldest_kept = *oldest_kept;
    drop(ages);
    table.retain(|_, session| age(session) >= oldest_kept);
    dropped.live = (before - table.len()) as u64;
    dropped
}
