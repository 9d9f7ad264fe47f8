//! Who began a connection whose opening packet the capture does not hold.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;

use foldhash::fast::RandomState;

use super::icmp;
use crate::capture::{LogRecord, Opener};
use crate::flow::{FlowTuple, Packet, Protocol, TcpFlags, Transport};
use crate::rules::{Timeouts, services};

/// Which end of a packet began its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initiator {
    /// The packet's own sender.
    Sender,
    /// The end that it is sent to.
    Receiver,
}

/// How it is known who began a connection.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Opening {
    /// The capture holds the opening packet.
    Seen,
    /// The packet is an answer by its nature: a SYN-ACK, an echo reply.
    Answer,
    /// One end's port was seen to accept a connection elsewhere in the capture.
    AcceptingPort,
    /// One end's port is a well-known service's, and the other's is not.
    ServicePort,
    /// Nothing else is known: the first sender.
    FirstSender,
    /// A stray: a TCP packet without SYN whose connection had closed. It opens nothing (SEMANTICS F16).
    AfterClose,
    /// Not known here: the row goes on from one of the same connection, written before for want of memory.
    Continued,
}

impl Opening {
    /// Those that stand for a connection already under way.
    pub const INFERRED: [Self; 4] =
        [Self::Answer, Self::AcceptingPort, Self::ServicePort, Self::FirstSender];

    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Seen,
        Self::Answer,
        Self::AcceptingPort,
        Self::ServicePort,
        Self::FirstSender,
        Self::AfterClose,
        Self::Continued,
    ];

    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Answer => "answer",
            Self::AcceptingPort => "accepting_port",
            Self::ServicePort => "service_port",
            Self::FirstSender => "first_sender",
            Self::AfterClose => "after_close",
            Self::Continued => "continued",
        }
    }
}

/// More accepting ports than this are not remembered: a capture of a scan can hold any number.
pub(crate) const MOST_ACCEPTING: usize = 1 << 16;

/// What the capture has shown about who accepts connections, and the frame that showed it first. A frame is judged by
/// what it and earlier frames have shown, even if later ones were observed already.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Openings {
    /// Ports that accept connections, with the first frame that shows it.
    accepting: HashMap<(IpAddr, u16), u64, RandomState>,
    /// When the recording began, and went on after interruptions, with the first frame then.
    starts: Vec<(u64, u64)>,
}

/// A silence longer than this, in ns, is taken for an interruption of the recording.
pub(crate) const INTERRUPTION: u64 = 24 * 3600 * 1_000_000_000;

impl Openings {
    /// Learns from a packet. Frames come in order; what is found in reading ahead, as frame 0, is known from the start.
    #[inline]
    pub fn observe(&mut self, packet: &Packet, frame: u64, time: Option<u64>) {
        if self.starts.is_empty() {
            self.starts.extend(time.map(|time| (frame, time)));
        }
        if packet.tcp_flags.is_some_and(TcpFlags::accepts)
            && let Some((sport, _)) = packet.flow.transport.ports()
        {
            self.note_accepting((packet.flow.src, sport), frame);
        }
    }

    /// What is known of a whole capture: ports that accept connections, each with a frame that shows it, in order; and
    /// when the recording began, and went on.
    pub(crate) fn known(
        accepting: impl Iterator<Item = ((IpAddr, u16), u64)>,
        starts: Vec<(u64, u64)>,
    ) -> Self {
        let mut known = Self { starts, ..Self::default() };
        accepting.for_each(|(end, frame)| known.note_accepting(end, frame));
        known
    }

    /// Whether it is known when the recording began.
    #[inline]
    pub(crate) fn has_started(&self) -> bool {
        !self.starts.is_empty()
    }

    /// The recording goes on after an interruption, in which connections may have begun.
    #[cold]
    pub(crate) fn resume(&mut self, frame: u64, time: u64) {
        self.starts.push((frame, time));
    }

    /// All frames so far have been judged: nobody asks for what was known before them.
    #[inline]
    pub(crate) fn forget_starts(&mut self) {
        self.starts.drain(..self.starts.len().saturating_sub(1));
    }

    fn note_accepting(&mut self, end: (IpAddr, u16), frame: u64) {
        let is_full = self.accepting.len() >= MOST_ACCEPTING;
        if let Entry::Vacant(new) = self.accepting.entry(end)
            && !is_full
        {
            new.insert(frame);
        }
    }

    /// Learns from a flow log's record who accepts connections, where it tells.
    pub fn observe_record(&mut self, packet: &Packet, frame: u64, record: &LogRecord) {
        if let Some(end) = accepting_by_record(packet, record) {
            self.note_accepting(end, frame);
        }
    }

    /// Who began the connection of a flow log's record of which no session is known. Records come when
    /// their window ends, in no order: that of an answer may come first, however late in the log.
    pub fn initiator_of_record(
        &self,
        packet: &Packet,
        frame: u64,
        record: &LogRecord,
    ) -> (Initiator, Opening) {
        match record.opener {
            Some(Opener::Sender) => (Initiator::Sender, Opening::Seen),
            Some(Opener::Receiver) => (Initiator::Receiver, Opening::Answer),
            None => self.inferred(packet, frame),
        }
    }

    /// Who began the connection of a packet of which no session is known.
    ///
    /// A connection can have been under way when the capture started only if less than its idle
    /// timeout has passed since: longer silence would have ended its session. After that the sender
    /// of an unknown packet opens a connection.
    pub fn initiator(
        &self,
        packet: &Packet,
        frame: u64,
        now: u64,
        timeouts: &Timeouts,
    ) -> (Initiator, Opening) {
        let (proto, flags) = (packet.flow.proto, packet.tcp_flags);
        if proto == Protocol::TCP && flags.is_some_and(TcpFlags::opens) {
            return (Initiator::Sender, Opening::Seen);
        }
        if flags.is_some_and(TcpFlags::accepts) {
            return (Initiator::Receiver, Opening::Answer);
        }
        let timeout = match proto {
            Protocol::TCP => timeouts.tcp_established,
            Protocol::UDP => timeouts.udp_stream.unwrap_or(timeouts.udp),
            Protocol::ICMP | Protocol::ICMPV6 => timeouts.icmp,
            _ => return (Initiator::Sender, Opening::Seen),
        };
        let behind = self.starts.partition_point(|(first, _)| *first <= frame);
        let started = behind.checked_sub(1).and_then(|last| self.starts.get(last));
        let since_start = now.saturating_sub(started.map_or(now, |(_, time)| *time));
        if u128::from(since_start) >= timeout.as_nanos() {
            return (Initiator::Sender, Opening::Seen);
        }
        self.inferred(packet, frame)
    }

    /// By ports, of which those that were seen to accept connections come first.
    fn inferred(&self, packet: &Packet, frame: u64) -> (Initiator, Opening) {
        let FlowTuple { src, dst, proto, transport } = packet.flow;
        match transport {
            Transport::Icmp { kind, id: Some(_), .. } if icmp::request(kind) != kind => {
                (Initiator::Receiver, Opening::Answer)
            }
            Transport::Icmp { .. } | Transport::Absent => (Initiator::Sender, Opening::Seen),
            Transport::Ports { src: sport, dst: dport } => {
                let accepting = |addr, port| {
                    let known = |end| self.accepting.get(end).is_some_and(|first| *first <= frame);
                    proto == Protocol::TCP && known(&(addr, port))
                };
                let service = |port| port < 1024 || services::of_port(proto, port).is_some();
                let by = |opening, source: bool, target: bool| match (source, target) {
                    (true, false) => Some((Initiator::Receiver, opening)),
                    (false, true) => Some((Initiator::Sender, opening)),
                    _ => None,
                };
                let (initiator, opening) =
                    by(Opening::AcceptingPort, accepting(src, sport), accepting(dst, dport))
                        .or_else(|| by(Opening::ServicePort, service(sport), service(dport)))
                        .unwrap_or((Initiator::Sender, Opening::FirstSender));
                match (proto, initiator) {
                    // A datagram from its initiator is an opening like any other.
                    (Protocol::UDP, Initiator::Sender) => (initiator, Opening::Seen),
                    _ => (initiator, opening),
                }
            }
        }
    }
}

/// The end that accepts connections, where a flow log's record tells.
pub(crate) fn accepting_by_record(packet: &Packet, record: &LogRecord) -> Option<(IpAddr, u16)> {
    let FlowTuple { src, dst, proto, transport } = packet.flow;
    let (sport, dport) = transport.ports().filter(|_| proto == Protocol::TCP)?;
    Some(match record.opener? {
        Opener::Sender => (dst, dport),
        Opener::Receiver => (src, sport),
    })
}
