//! A session, packed into 16 bytes.

use super::Opened;
use super::state::{IdleTimes, State};
use crate::flow::Direction;

/// A session in 16 bytes, since the memory that look-ups touch is what they cost. The default is a free slot.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Session {
    /// Time of the newest packet, in ns.
    pub(super) last: u64,
    /// From the lowest bit: 4 of the state, whether it is allowed, whether it was judged as egress, whether it
    /// counts against its interface's limit, whether the other end denied it, whether a network ACL has stopped an
    /// answer, 22 of the flow class, 33 of the connection. Zero in a free slot: connections are counted from 1.
    pub(super) what: u64,
}

pub(super) const STATE: u64 = 0xf;
const ALLOWED: u64 = 1 << 4;
const EGRESS: u64 = 1 << 5;
pub(super) const HELD: u64 = 1 << 6;
pub(super) const DENIED_ELSEWHERE: u64 = 1 << 7;
pub(super) const STOPPED: u64 = 1 << 8;
const CLASS_AT: u32 = 9;
const CLASS: u64 = (1 << 22) - 1;
const CONNECTION_AT: u32 = 31;

impl Session {
    pub(super) fn new(opened: Opened, state: State, last: u64) -> Self {
        let Opened { connection, allowed, direction, flow_class } = opened;
        let what = connection << CONNECTION_AT
            | (u64::from(flow_class) & CLASS) << CLASS_AT
            | if direction == Direction::Egress { EGRESS } else { 0 }
            | if allowed { ALLOWED } else { 0 }
            | state as u64;
        Self { last, what }
    }

    #[inline]
    pub(super) fn is_free(&self) -> bool {
        self.what == 0
    }

    #[inline]
    pub(super) fn opened(&self) -> Opened {
        let flow_class = (self.what >> CLASS_AT & CLASS) as u32;
        Opened {
            connection: self.connection(),
            allowed: self.is_allowed(),
            direction: self.direction(),
            flow_class,
        }
    }

    #[inline]
    pub(super) fn connection(&self) -> u64 {
        self.what >> CONNECTION_AT
    }

    #[inline]
    pub(super) fn is_allowed(&self) -> bool {
        self.what & ALLOWED != 0
    }

    #[inline]
    pub(super) fn direction(&self) -> Direction {
        if self.what & EGRESS == 0 { Direction::Ingress } else { Direction::Egress }
    }

    #[inline]
    pub(super) fn state(&self) -> State {
        State::from_number(self.what & STATE)
    }

    #[inline]
    pub(super) fn expired(&self, now: u64, idle_times: &IdleTimes) -> bool {
        now.saturating_sub(self.last) >= idle_times.get(self.what)
    }

    pub(super) fn expires(&self, idle_times: &IdleTimes) -> u64 {
        self.last.saturating_add(idle_times.get(self.what))
    }

    #[inline]
    pub(super) fn is_held(&self) -> bool {
        self.what & HELD != 0
    }

    /// Whether its opening packet got through at neither end or at only one.
    pub(super) fn never_existed(&self) -> bool {
        self.what & (ALLOWED | DENIED_ELSEWHERE) != ALLOWED
    }

    /// Whether later packets are judged by it although it has expired: those of a closed connection are strays
    /// (SEMANTICS F16), those of a denied one are denied (F15).
    pub(super) fn outlives_expiry(&self) -> bool {
        self.state() == State::Closed || self.is_denied_tcp()
    }

    /// A denied TCP connection stays denied until a SYN opens its tuple anew, however long it was idle (SEMANTICS
    /// F15).
    #[inline]
    pub(super) fn is_denied_tcp(&self) -> bool {
        !self.is_allowed() && self.state().is_tcp()
    }
}
