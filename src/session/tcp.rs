//! The TCP states that choose a timeout.

use std::time::Duration;

use crate::flow::TcpFlags;
use crate::rules::Timeouts;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TcpState {
    /// The opening SYN was seen.
    Opening,
    /// The other side has answered.
    Answered,
    /// The handshake is complete, or happened before the capture began.
    Established,
    /// One side has sent FIN: the initiator if `true`.
    Closing(bool),
    /// Both sides have sent FIN, or one RST.
    Closed,
}

impl TcpState {
    pub(super) fn opened_by(flags: Option<TcpFlags>) -> Self {
        match flags {
            Some(flags) if flags.rst() => Self::Closed,
            Some(flags) if flags.opens() => Self::Opening,
            Some(flags) if flags.accepts() => Self::Answered,
            _ => Self::Established,
        }
    }

    /// A SYN on a closed connection opens a new one with the same 5-tuple.
    pub(super) fn reopens(self, flags: Option<TcpFlags>) -> bool {
        self == Self::Closed && flags.is_some_and(TcpFlags::opens)
    }

    pub(super) fn advance(&mut self, flags: Option<TcpFlags>, from_initiator: bool) {
        // A cut packet or a later fragment shows no flags: it keeps the session alive and no more.
        let Some(flags) = flags else { return };
        *self = match *self {
            _ if flags.rst() => Self::Closed,
            Self::Closed => Self::Closed,
            Self::Closing(by) if flags.fin() && by != from_initiator => Self::Closed,
            Self::Closing(by) => Self::Closing(by),
            _ if flags.fin() => Self::Closing(from_initiator),
            Self::Opening if !from_initiator => Self::Answered,
            Self::Answered if from_initiator && !flags.opens() => Self::Established,
            state => state,
        };
    }

    pub(super) fn timeout(self, timeouts: &Timeouts) -> Duration {
        match self {
            Self::Opening | Self::Answered => timeouts.tcp_opening,
            Self::Established | Self::Closing(_) => timeouts.tcp_established,
            Self::Closed => timeouts.tcp_closed,
        }
    }
}
