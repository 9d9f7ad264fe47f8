//! The states of a session, which choose its timeout.

use std::time::Duration;

use crate::flow::{Packet, Protocol, TcpFlags};
use crate::rules::Timeouts;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// TCP: the opening SYN was seen.
    Opening,
    /// TCP: the other side has answered.
    Answered,
    /// TCP: the handshake is complete, or happened before the capture began.
    Established,
    /// TCP: the initiator has sent FIN.
    ClosedByInitiator,
    /// TCP: the other side has sent FIN.
    ClosedByOther,
    /// TCP: both sides have sent FIN, or one RST.
    Closed,
    Udp,
    /// UDP: the other side has answered. As long as before, but what follows is a stream.
    UdpAnswered,
    /// UDP: more than one exchange.
    UdpStream,
    Icmp,
    /// Any other protocol.
    Other,
}

impl State {
    const ALL: [Self; 11] = [
        Self::Opening,
        Self::Answered,
        Self::Established,
        Self::ClosedByInitiator,
        Self::ClosedByOther,
        Self::Closed,
        Self::Udp,
        Self::UdpAnswered,
        Self::UdpStream,
        Self::Icmp,
        Self::Other,
    ];

    /// The state of that number.
    #[inline]
    pub(super) fn from_number(number: u64) -> Self {
        let position = usize::try_from(number).unwrap_or(usize::MAX);
        Self::ALL.get(position).copied().unwrap_or(Self::Other)
    }

    /// The state after the first packet that is seen of a connection; a FIN or an RST counts for closing like any
    /// other (SEMANTICS F20).
    pub(super) fn opened_by(packet: &Packet, from_initiator: bool) -> Self {
        match (packet.flow.proto, packet.tcp_flags) {
            (Protocol::TCP, Some(flags)) if flags.rst() => Self::Closed,
            (Protocol::TCP, Some(flags)) if flags.fin() => match from_initiator {
                true => Self::ClosedByInitiator,
                false => Self::ClosedByOther,
            },
            (Protocol::TCP, Some(flags)) if flags.opens() => Self::Opening,
            (Protocol::TCP, Some(flags)) if flags.accepts() => Self::Answered,
            (Protocol::TCP, _) => Self::Established,
            (Protocol::UDP, _) => Self::Udp,
            (Protocol::ICMP | Protocol::ICMPV6, _) => Self::Icmp,
            _ => Self::Other,
        }
    }

    pub(super) fn is_tcp(self) -> bool {
        !matches!(self, Self::Udp | Self::UdpAnswered | Self::UdpStream | Self::Icmp | Self::Other)
    }

    /// The state after a datagram (SEMANTICS H2).
    #[must_use]
    pub(super) fn after_datagram(self, from_initiator: bool) -> Self {
        match (self, from_initiator) {
            (Self::Udp, false) => Self::UdpAnswered,
            (Self::UdpAnswered, true) => Self::UdpStream,
            _ => self,
        }
    }

    /// The state after a packet with these TCP flags.
    #[must_use]
    pub(super) fn after(self, flags: TcpFlags, from_initiator: bool) -> Self {
        match self {
            Self::Udp | Self::UdpAnswered | Self::UdpStream | Self::Icmp | Self::Other => self,
            _ if flags.rst() => Self::Closed,
            Self::Closed => Self::Closed,
            Self::ClosedByInitiator if flags.fin() && !from_initiator => Self::Closed,
            Self::ClosedByOther if flags.fin() && from_initiator => Self::Closed,
            Self::ClosedByInitiator | Self::ClosedByOther => self,
            _ if flags.fin() && from_initiator => Self::ClosedByInitiator,
            _ if flags.fin() => Self::ClosedByOther,
            Self::Opening if !from_initiator => Self::Answered,
            Self::Answered if from_initiator && !flags.opens() => Self::Established,
            Self::Opening | Self::Answered | Self::Established => self,
        }
    }
}

/// The idle timeouts of one interface.
#[derive(Clone, Copy, Debug)]
pub(super) struct IdleTimes {
    /// In ns, by a state's number, of which 4 bits count.
    of_state: [u64; 16],
    /// Whether UDP has another after more than one exchange.
    pub(super) has_udp_streams: bool,
}

impl IdleTimes {
    pub(super) fn new(timeouts: &Timeouts) -> Self {
        let mut times = [u64::MAX; 16];
        for (time, state) in times.iter_mut().zip(State::ALL) {
            *time = nanos(match state {
                State::Opening | State::Answered => timeouts.tcp_opening,
                State::Established | State::ClosedByInitiator | State::ClosedByOther => {
                    timeouts.tcp_established
                }
                State::Closed => timeouts.tcp_closed,
                State::Udp | State::UdpAnswered => timeouts.udp,
                State::UdpStream => timeouts.udp_stream.unwrap_or(timeouts.udp),
                State::Icmp => timeouts.icmp,
                State::Other => timeouts.other,
            });
        }
        Self { of_state: times, has_udp_streams: timeouts.udp_stream.is_some() }
    }

    #[inline]
    pub(super) fn get(&self, state: u64) -> u64 {
        #[expect(clippy::indexing_slicing, reason = "there are as many as 4 bits have values")]
        self.of_state[(state & 0xf) as usize]
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
