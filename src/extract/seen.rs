//! What has to be known of a frame.

use super::outside::Place;
use crate::capture::LogRecord;
use crate::flow::{FlowTuple, Packet};
use crate::stats::Hidden;
use crate::verdict::Reason;

/// A frame, as far as it has to be known to judge it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) time: Option<u64>,
    pub(super) wire_len: u32,
    /// The interface that it was seen at alone.
    pub(super) point: Option<u32>,
    pub(super) what: What,
}

#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(super) enum What {
    /// No rule is asked about it.
    Outside {
        reason: Reason,
        /// Where it carries or hides traffic.
        hidden: Option<(Hidden, Place)>,
    },
    Packet {
        packet: Packet,
        /// The tuple that it quotes, if it is an ICMP error or may be a part of one.
        quoted: Option<FlowTuple>,
        /// What a flow log's record says beside.
        log: Option<LogRecord>,
    },
}
