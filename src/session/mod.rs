//! Connections: live sessions and their initiators (SEMANTICS A6).
//!
//! The table is told what was opened and with what outcome; it does not judge. A denied opening is
//! kept too: the rest of that connection would never have existed.
//!
//! Times are those of the capture. They may jump or run backwards, as real captures' do; a session
//! is then as old as its newest packet.
//!
//! Memory is bounded ([`SessionTable::new`]). Expired sessions stay until the table reaches that bound, so that
//! no answer depends on the table's size: a late packet of a closed connection is known to be late (SEMANTICS
//! F16), and a denied connection stays denied (F15). At the bound, expired sessions that no later packet
//! depends on are dropped, and where that leaves no room, those that have been idle longest.

mod eviction;
mod icmp;
mod initiator;
mod key;
mod limit;
mod packed;
mod slot;
mod state;
mod table;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

pub(crate) use icmp::{is_icmp_reply, is_tracked_icmp};
pub(crate) use initiator::{INTERRUPTION, MOST_ACCEPTING, accepting_by_record};
pub use initiator::{Initiator, Opening, Openings};
use key::Words;
pub(crate) use key::{MULTIPLIER, halves};
use limit::Limit;
use packed::{DENIED_ELSEWHERE, HELD, STATE, STOPPED, Session};
use slot::Family;
pub use slot::{SessionSlot, SlotFinder};
use state::{IdleTimes, State};
use table::Table;

use crate::flow::{Direction, FlowTuple, Packet, Transport};
use crate::rules::Interface;

/// The bound on the table's memory, in bytes, where nobody asks for another: 1 GiB, which is 12 million
/// IPv4 sessions.
pub const MOST_MEMORY: usize = 1 << 30;

/// The decision on a connection's opening packet at one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The connection's number, counted from 1 in order of opening; its lowest 33 bits are kept.
    pub connection: u64,
    /// Whether the opening packet was let through.
    pub allowed: bool,
    /// The direction in which it was judged; egress means that the interface's own end began it.
    pub direction: Direction,
    /// The flow class that it is counted in: a position in the caller's table, of which 22 bits are kept.
    pub flow_class: u32,
}

/// The sessions of all interfaces.
#[derive(Debug)]
pub struct SessionTable {
    places: SlotFinder,
    v4: Table<[u64; 2]>,
    v6: Table<[u64; 5]>,
    /// Of each interface.
    idle_times: Arc<[IdleTimes]>,
    most_memory: usize,
    evicted: u64,
    /// What an interface can hold, where that is limited.
    limit: Option<Limit>,
}
/// The session that a packet matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionMatch {
    /// It belongs to this one.
    Live(Opened),
    /// It belonged to one that has expired: its own sender begins anew (SEMANTICS A6).
    Expired,
    /// It has no SYN, and its connection was allowed and has closed: a stray (SEMANTICS F16).
    AfterClose,
    /// Nothing is known.
    Unknown,
}

impl SessionTable {
    /// An empty table for the sessions of these interfaces, which takes at most so many bytes; 64 slots
    /// are always had.
    pub fn new(interfaces: &[Interface], most_memory: usize) -> Self {
        let idle_times = interfaces.iter().map(|of| IdleTimes::new(&of.timeouts)).collect();
        Self::with_idle_times(idle_times, most_memory)
    }

    /// So many tables for the sessions of these interfaces, which take at most so many bytes together.
    pub fn shards(interfaces: &[Interface], most_memory: usize, shards: usize) -> Vec<Self> {
        let first = Self::new(interfaces, most_memory / shards.max(1));
        let another = |_| Self::with_idle_times(Arc::clone(&first.idle_times), first.most_memory);
        (0..shards).map(another).collect()
    }

    fn with_idle_times(idle_times: Arc<[IdleTimes]>, most_memory: usize) -> Self {
        let seed = RandomState::new().hash_one(0);
        Self {
            places: SlotFinder { seed },
            v4: Table::new(seed),
            v6: Table::new(seed),
            idle_times,
            most_memory,
            evicted: 0,
            limit: None,
        }
    }

    /// Limits the allowed sessions that each interface holds at once (SEMANTICS A6).
    #[must_use]
    pub fn with_limit(mut self, most: Option<usize>) -> Self {
        self.limit = most.map(|most| Limit::new(most, self.idle_times.len()));
        self
    }

    /// Sessions that were dropped although later packets may depend on them, the longest idle first, because
    /// memory had reached its bound. Later packets of their connections are judged like those of a connection
    /// already under way.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Forgets all sessions, where none is limited.
    pub(crate) fn clear(&mut self) {
        self.v4.clear();
        self.v6.clear();
    }

    /// The slot finder of the table.
    pub fn places(&self) -> SlotFinder {
        self.places
    }

    /// Prefetches the sessions of many packets, so that memory accesses overlap.
    #[inline]
    pub fn fetch<'p>(&self, places: impl Iterator<Item = &'p SessionSlot>) {
        let touched = places.fold(0, |touched, place| {
            touched
                ^ match place.family {
                    Family::V4 => self.v4.touch(place.hash),
                    Family::V6 => self.v6.touch(place.hash),
                }
        });
        std::hint::black_box(touched);
    }

    /// Looks up the session of a packet, and updates it.
    #[inline]
    pub fn track(&mut self, place: &SessionSlot, packet: &Packet, now: u64) -> SessionMatch {
        let session = match place.family {
            Family::V4 => self.v4.get_mut(place.hash, &place.key),
            Family::V6 => self.v6.get_mut(place.hash, &place.v6(&packet.flow)),
        };
        let Some(session) = session else { return SessionMatch::Unknown };
        let Some(idle_times) = self.idle_times.get(place.interface()) else {
            return SessionMatch::Unknown;
        };
        // A cut packet or a later fragment shows no flags: it keeps the session alive and no more. So
        // does an ordinary packet of an established connection.
        let moves_on = packet.tcp_flags.is_some_and(|flags| {
            flags.steers() || session.what & STATE != State::Established as u64
        });
        if moves_on || session.expired(now, idle_times) {
            if let Some(standing) = over(session, idle_times, place, packet, now) {
                return standing;
            }
            if let Some(flags) = packet.tcp_flags {
                let from_initiator = place.direction == session.direction();
                let before = session.state();
                let state = before.after(flags, from_initiator);
                session.what = session.what & !STATE | state as u64;
                if let (State::Closed, Some(limit)) = (state, &mut self.limit)
                    && before != state
                {
                    let expires = now.saturating_add(idle_times.get(session.what));
                    limit.watch(expires, session.connection(), place, &packet.flow);
                }
            }
        } else if matches!(packet.flow.transport, Transport::Icmp { .. })
            && place.direction != session.direction()
            && icmp::is_query(&packet.flow)
        {
            // A query opens, whatever an unasked reply may have left behind.
            return SessionMatch::Expired;
        }
        if idle_times.has_udp_streams && packet.tcp_flags.is_none() {
            let from_initiator = place.direction == session.direction();
            let state = session.state().after_datagram(from_initiator);
            session.what = session.what & !STATE | state as u64;
        }
        session.last = session.last.max(now);
        SessionMatch::Live(session.opened())
    }

    /// The live session at a place, if there is one. It stays as it is: for a packet that is about a
    /// connection and not part of it.
    pub fn at(&self, place: &SessionSlot, flow: &FlowTuple, now: u64) -> Option<Opened> {
        let session = self.find(place, flow)?;
        let idle_times = self.idle_times.get(place.interface())?;
        let is_live = !session.expired(now, idle_times) || session.is_denied_tcp();
        is_live.then(|| session.opened())
    }

    /// Notes that packets which are not tracked have kept the session at a place alive until then.
    pub(crate) fn keep_alive(&mut self, place: &SessionSlot, flow: &FlowTuple, now: u64) {
        if let Some(session) = self.find_mut(place, flow) {
            session.last = session.last.max(now);
        }
    }

    /// Marks the session at a place as one of which a network ACL has stopped an answer; whether it was marked before.
    pub fn mark_stopped(&mut self, place: &SessionSlot, flow: &FlowTuple) -> bool {
        self.find_mut(place, flow).is_some_and(|session| {
            let before = session.what & STOPPED != 0;
            session.what |= STOPPED;
            before
        })
    }

    /// Whether the session at a place is so marked.
    pub fn is_stopped(&self, place: &SessionSlot, flow: &FlowTuple) -> bool {
        self.find(place, flow).is_some_and(|session| session.what & STOPPED != 0)
    }

    fn find(&self, place: &SessionSlot, flow: &FlowTuple) -> Option<&Session> {
        match place.family {
            Family::V4 => self.v4.get(place.hash, &place.key),
            Family::V6 => self.v6.get(place.hash, &place.v6(flow)),
        }
    }

    fn find_mut(&mut self, place: &SessionSlot, flow: &FlowTuple) -> Option<&mut Session> {
        match place.family {
            Family::V4 => self.v4.get_mut(place.hash, &place.key),
            Family::V6 => self.v6.get_mut(place.hash, &place.v6(flow)),
        }
    }

    /// Whether the place's interface has room for one more session there, that of this tuple (SEMANTICS A6).
    /// Sessions that were denied take none.
    pub fn has_room(&mut self, place: &SessionSlot, flow: &FlowTuple, now: u64) -> bool {
        let Some(mut limit) = self.limit.take() else { return true };
        limit.release(now, |at, flow, connection| self.still_held(at, flow, connection, now));
        let full = limit.is_full(place.interface());
        self.limit = Some(limit);
        !full || self.find(place, flow).is_some_and(Session::is_held)
    }

    /// When a session that counts against its interface's limit expires; `None` where it does so no more, which
    /// it is marked with.
    fn still_held(
        &mut self,
        place: &SessionSlot,
        flow: &FlowTuple,
        connection: u64,
        now: u64,
    ) -> limit::Held {
        let session = match place.family {
            Family::V4 => self.v4.get_mut(place.hash, &place.key),
            Family::V6 => self.v6.get_mut(place.hash, &place.v6(flow)),
        };
        let session = session.filter(|of| of.is_held() && of.connection() == connection);
        let Some((session, idle_times)) = session.zip(self.idle_times.get(place.interface()))
        else {
            return limit::Held::Gone;
        };
        if !session.expired(now, idle_times) {
            return limit::Held::Until(session.expires(idle_times));
        }
        session.what &= !HELD;
        limit::Held::Released
    }

    /// Enters what a packet opened, allowed or not.
    #[inline]
    pub fn open(&mut self, place: &SessionSlot, packet: &Packet, now: u64, opened: Opened) {
        let is_full = match place.family {
            Family::V4 => self.v4.is_full(),
            Family::V6 => self.v6.is_full(),
        };
        if is_full {
            self.make_room(place.family, now);
        }
        let from_initiator = place.direction == opened.direction;
        let state = State::opened_by(packet, from_initiator);
        let mut session = Session::new(opened, state, now);
        if let (Some(limit), true) = (&mut self.limit, opened.allowed)
            && let Some(idle_times) = self.idle_times.get(place.interface())
        {
            session.what |= HELD;
            limit.hold(place.interface());
            limit.watch(session.expires(idle_times), session.connection(), place, &packet.flow);
        }
        let before = match place.family {
            Family::V4 => self.v4.insert(place.hash, place.key, session),
            Family::V6 => self.v6.insert(place.hash, place.v6(&packet.flow), session),
        };
        if let (Some(limit), true) = (&mut self.limit, before.is_some_and(|of| of.is_held())) {
            limit.give_back(place.interface());
        }
    }

    /// Notes that a packet's connection was denied at its other end: it never existed, so that its interface holds no
    /// session, and a SYN of that end is an opening.
    pub fn deny_elsewhere(&mut self, place: &SessionSlot, packet: &Packet) {
        let Some(session) = self.find_mut(place, &packet.flow) else { return };
        let was_held = session.is_held();
        session.what = session.what & !HELD | DENIED_ELSEWHERE;
        if let (true, Some(limit)) = (was_held, &mut self.limit) {
            limit.give_back(place.interface());
        }
    }

    /// Makes room in the table of a family, which is full.
    #[cold]
    fn make_room(&mut self, family: Family, now: u64) {
        let (v4, v6) = (self.v4.memory(), self.v6.memory());
        let (table_memory, idle_times) = (self.most_memory, &self.idle_times);
        let dropped = match family {
            Family::V4 => {
                eviction::make_room(&mut self.v4, idle_times, now, table_memory.saturating_sub(v6))
            }
            Family::V6 => {
                eviction::make_room(&mut self.v6, idle_times, now, table_memory.saturating_sub(v4))
            }
        };
        self.evicted += dropped.evicted;
        if let (true, Some(limit)) = (dropped.any, &mut self.limit) {
            let v4 = self.v4.entries().map(|(key, session)| (key.interface(), session));
            let v6 = self.v6.entries().map(|(key, session)| (key.interface(), session));
            let held = v4.chain(v6).filter(|(_, session)| session.is_held());
            limit.recount(held.map(|(interface, _)| interface));
        }
    }
}

/// What is to be said of a packet that a session does not simply carry on with: it opens a connection itself, or
/// the session has expired. `None` where the session goes on.
fn over(
    session: &Session,
    idle_times: &IdleTimes,
    place: &SessionSlot,
    packet: &Packet,
    now: u64,
) -> Option<SessionMatch> {
    let expired = session.expired(now, idle_times);
    let from_initiator = place.direction == session.direction();
    let Some(flags) = packet.tcp_flags else {
        // Without flags nothing shows that a denied connection was opened anew.
        return (expired && !session.is_denied_tcp()).then_some(SessionMatch::Expired);
    };
    if flags.opens() {
        // What was denied never existed: the other end's own SYN opens a connection.
        let own_opening = session.never_existed() && !from_initiator;
        let anew = own_opening || expired || session.state() == State::Closed;
        return anew.then_some(SessionMatch::Expired);
    }
    if !expired || session.is_denied_tcp() {
        return None;
    }
    let is_stray = session.state() == State::Closed && !flags.accepts();
    Some(if is_stray { SessionMatch::AfterClose } else { SessionMatch::Expired })
}
