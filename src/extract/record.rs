//! What an extract holds of the packets of a flow.

use super::key::FlowKey;
use crate::capture::LogRecord;
use crate::flow::{FlowTuple, Packet};

/// A part of an extract.
#[derive(Clone, Debug)]
pub enum Extracted {
    /// Packets of a flow.
    Record(Record),
    /// A fragment; its flow is known when all are.
    Fragment(FragmentRecord),
}

/// One packet, or a run of packets, and where in the captures they are.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Record {
    /// The flow that it is judged with: of an ICMP error that of the packet which it quotes.
    pub key: FlowKey,
    /// The position of its capture among those that were named; where captures were merged, the number of the span.
    pub capture: u32,
    /// The interface that it was seen at alone, among those that the extract serves.
    pub(super) point: Option<u32>,
    pub(super) content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Content {
    One(Box<One>),
    Run(Run),
}

/// A packet that tells more than that its connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct One {
    pub(super) at: At,
    /// Of a frame that has no time of its own.
    pub(super) untimed: Option<Untimed>,
    pub(super) packet: Packet,
    /// A fragment with the ports of its first one.
    pub(super) completed: Option<Packet>,
    /// The tuple of the packet that an ICMP error quotes.
    pub(super) quoted: Option<FlowTuple>,
    /// What a flow log's record says beside: each stands alone.
    pub(super) log: Option<LogRecord>,
}

/// A frame without a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Untimed {
    /// The latest time of the capture before it.
    pub(super) latest: Option<u64>,
}

/// A packet of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct At {
    /// The number of its frame in its capture, or its span.
    pub(super) frame: u64,
    /// The time of the capture, ns; `None` before the first frame that has one.
    pub(super) time: Option<u64>,
    pub(super) wire_len: u32,
}

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Sent {
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

/// Packets of one flow and one capture point, of one capture, or one span of several, that only show that its connection goes on: none has SYN,
/// FIN or RST, none is a fragment, no clock runs backwards among them, and between two of them is less time than any
/// session lasts.
///
/// So the session of the first is that of all, and what it turns into depends on the first packets of the first three
/// stretches that go one way: a fourth changes nothing
/// ([`State::after`](crate::session), SEMANTICS A6). Where UDP has a timeout of its own for streams, a second packet of the
/// first stretch matters too, and each packet of UDP is a run.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Run {
    /// Whether the first packet is from the lower end of the key.
    pub(super) from_low: bool,
    /// The first packet of each stretch, of the first three; the second one goes the other way.
    pub(super) turns: Vec<At>,
    /// The last packet that goes the way of the first, and the last of the others: after the end of a connection each
    /// way has a row of its own.
    pub(super) last: [Option<At>; 2],
    /// All packets that go the way of the first, and the others.
    pub(super) sent: [Sent; 2],
}

impl Run {
    /// The last packet, with its way.
    pub(super) fn last(&self) -> Option<(At, usize)> {
        match self.last {
            [Some(first), Some(back)] if back.frame > first.frame => Some((back, 1)),
            [Some(first), _] => Some((first, 0)),
            [None, back] => back.map(|back| (back, 1)),
        }
    }
}

impl Record {
    /// The number of its first frame in its capture, or its span.
    pub fn frame(&self) -> u64 {
        match &self.content {
            Content::One(one) => one.at.frame,
            Content::Run(run) => run.turns.first().map_or(0, |first| first.frame),
        }
    }

    /// How many packets it stands for.
    pub fn packets(&self) -> u64 {
        match &self.content {
            Content::One(_) => 1,
            Content::Run(run) => run.sent.iter().map(|sent| sent.packets).sum(),
        }
    }
}

/// A fragment, which may belong to a datagram that another capture has begun.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub struct FragmentRecord {
    /// The position of its capture, or the number of the span, as in [`Record::capture`].
    pub capture: u32,
    pub(super) point: Option<u32>,
    pub(super) one: One,
}

impl FragmentRecord {
    /// The number of its frame in its capture, or its span.
    pub fn frame(&self) -> u64 {
        self.one.at.frame
    }
}
