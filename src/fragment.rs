//! Fragments: a later one is judged by the transport header of its first (SEMANTICS F8).
//!
//! Nothing is reassembled, so no fragment can change what another one said: overlapping and tiny
//! fragments are judged by what they hold themselves, and of two first fragments of one datagram the
//! one that came first speaks for the later ones until the datagram is over.
//!
//! [`FragmentTable`] remembers first fragments. [`LookAhead`] also finds those that come after their
//! later ones, as some senders have it, by looking a stated distance ahead.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use foldhash::fast::RandomState;

use crate::flow::{FirstFragment, Fragment, Packet, Protocol};

/// How long a receiver waits for the rest of a datagram (RFC 791 leaves it open; Linux: 30 s).
const REASSEMBLY_NS: u64 = 30_000_000_000;
/// Datagrams remembered at once; when more are under way, the stale ones go.
const MOST: usize = 1 << 16;

/// First fragments by datagram.
#[derive(Debug, Default)]
pub struct FragmentTable {
    firsts: HashMap<Datagram, Remembered, RandomState>,
}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    first: FirstFragment,
    seen: u64,
    /// The datagram's last fragment was seen too: the next first one is of another datagram.
    over: bool,
}

impl Remembered {
    fn is_fresh(&self, now: u64) -> bool {
        now.saturating_sub(self.seen) < REASSEMBLY_NS
    }
}

impl FragmentTable {
    /// Remembers a first fragment; gives a later one its first's transport header. `now` is the time of
    /// the capture in nanoseconds.
    ///
    /// Returns `None` for a later fragment whose first was not seen.
    #[inline]
    pub fn complete(&mut self, packet: Packet, now: u64) -> Option<Packet> {
        match packet.fragment {
            Fragment::No => Some(packet),
            Fragment::First { id } => {
                self.remember(Datagram::new(&packet, id), FirstFragment::classify(&packet), now);
                Some(packet)
            }
            Fragment::Later { id, last, first } => {
                let first = first.or_else(|| self.first(Datagram::new(&packet, id), last, now))?;
                let mut packet = packet;
                packet.flow.proto = first.proto;
                packet.flow.transport = first.transport;
                packet.tcp_flags = first.tcp_flags;
                Some(packet)
            }
        }
    }

    fn remember(&mut self, datagram: Datagram, first: FirstFragment, now: u64) {
        if self.firsts.len() >= MOST {
            self.firsts.retain(|_, known| known.is_fresh(now));
            if self.firsts.len() >= MOST {
                self.firsts.clear();
            }
        }
        let new = Remembered { first, seen: now, over: false };
        let known = self.firsts.entry(datagram).or_insert(new);
        if known.over || !known.is_fresh(now) {
            *known = new;
        }
    }

    fn first(&mut self, datagram: Datagram, last: bool, now: u64) -> Option<FirstFragment> {
        let known = self.firsts.get_mut(&datagram).filter(|known| known.is_fresh(now))?;
        known.over |= last;
        Some(known.first)
    }
}

/// What the fragments of one datagram share (RFC 791, RFC 8200).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Datagram {
    src: IpAddr,
    dst: IpAddr,
    /// Not of IPv6, where a later fragment may name another header than its first one does.
    proto: Option<Protocol>,
    id: u32,
}

impl Datagram {
    fn new(packet: &Packet, id: u32) -> Self {
        let proto = Some(packet.flow.proto).filter(|_| packet.flow.src.is_ipv4());
        Self { src: packet.flow.src, dst: packet.flow.dst, proto, id }
    }
}

/// How far behind its later fragment a first one is still looked for, in bytes of the capture. Senders
/// that begin with the last fragment send the others at once.
const DISTANCE: u64 = 1 << 20;

/// Finds first fragments that come after their later ones.
#[derive(Debug, Default)]
pub struct LookAhead {
    table: FragmentTable,
    waiting: HashMap<Datagram, VecDeque<Waiting>, RandomState>,
    /// Those that wait, and some that no longer do, in the order of the capture.
    queue: VecDeque<(Datagram, Waiting)>,
}

/// A later fragment that has not met its first.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    frame: u64,
    /// Bytes of the capture before it.
    position: u64,
    time: u64,
}

impl LookAhead {
    /// Looks at the next packet of the capture; completes it if its first fragment was seen, and names
    /// the frames before it that it completes, if it is one. `position` counts bytes of the capture,
    /// `now` its time in nanoseconds.
    pub fn add(
        &mut self,
        frame: u64,
        position: u64,
        now: u64,
        packet: &mut Packet,
    ) -> Option<(FirstFragment, Vec<u64>)> {
        match packet.fragment {
            Fragment::No => None,
            Fragment::First { id } => {
                let (datagram, first) =
                    (Datagram::new(packet, id), FirstFragment::classify(packet));
                self.table.remember(datagram, first, now);
                let waiting = self.waiting.remove(&datagram)?;
                let in_time = |of: &Waiting| {
                    now.saturating_sub(of.time) < REASSEMBLY_NS
                        && position.saturating_sub(of.position) <= DISTANCE
                };
                Some((first, waiting.into_iter().filter(in_time).map(|of| of.frame).collect()))
            }
            Fragment::Later { id, last, .. } => {
                let datagram = Datagram::new(packet, id);
                let first = self.table.first(datagram, last, now);
                packet.fragment = Fragment::Later { id, last, first };
                if first.is_none() {
                    let waiting = Waiting { frame, position, time: now };
                    self.waiting.entry(datagram).or_default().push_back(waiting);
                    self.queue.push_back((datagram, waiting));
                }
                None
            }
        }
    }

    /// The first frame that still waits, at this position of the capture.
    pub fn first_waiting(&mut self, position: u64) -> Option<u64> {
        while let Some((datagram, of)) = self.queue.front() {
            let waits = self.waiting.get_mut(datagram);
            match waits.filter(|waits| waits.front().is_some_and(|front| front.frame == of.frame)) {
                Some(_) if position.saturating_sub(of.position) <= DISTANCE => {
                    return Some(of.frame);
                }
                Some(waits) => {
                    waits.pop_front();
                    if waits.is_empty() {
                        self.waiting.remove(datagram);
                    }
                }
                None => {}
            }
            self.queue.pop_front();
        }
        None
    }

    /// Lets those that wait go without.
    pub fn give_up(&mut self) {
        self.waiting.clear();
        self.queue.clear();
    }
}
