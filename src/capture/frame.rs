//! Frames.

use super::flow_log::LogRecord;
use super::link_type::LinkType;

/// The direction of a packet by the capturing machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DirectionHint {
    /// Received by the capturing machine, addressed to it.
    Inbound,
    /// Sent by the capturing machine.
    Outbound,
}

/// One packet of a capture.
///
/// ```
/// use sgreplay::Frame;
/// use sgreplay::capture::LinkType;
///
/// let frame = Frame::new(1, LinkType::RAW, &[0x45]).at(1_700_000_000_000_000_000).cut_from(60);
/// assert_eq!((frame.data.len(), frame.wire_len), (1, 60));
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Frame<'a> {
    /// Position in the capture, counted from 1 as Wireshark does.
    pub number: u64,
    /// The link-layer type of the data.
    pub link: LinkType,
    /// Nanoseconds since 1970-01-01 UTC; `None` for pcapng's Simple Packet Blocks, which have no time, and
    /// for times that this cannot hold ([`CaptureCounts::unusable_times`](super::CaptureCounts::unusable_times)).
    pub time_ns: Option<u64>,
    /// Bytes on the wire; more than `data.len()` when a snap length cut the packet.
    pub wire_len: u32,
    /// Direction as pcapng's `epb_flags` state it.
    pub hint: Option<DirectionHint>,
    /// The name of the interface on the capturing machine, if the capture has it (pcapng's `if_name`).
    pub interface: Option<&'a String>,
    /// The record of a flow log, if this frame stands for one.
    pub log: Option<&'a LogRecord>,
    /// The captured bytes.
    pub data: &'a [u8],
}

impl<'a> Frame<'a> {
    /// A whole frame without a time.
    pub fn new(number: u64, link: LinkType, data: &'a [u8]) -> Self {
        let wire_len = u32::try_from(data.len()).unwrap_or(u32::MAX);
        Self { number, link, time_ns: None, wire_len, hint: None, interface: None, log: None, data }
    }

    /// Sets the time of capture, in nanoseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn at(self, time_ns: u64) -> Self {
        Self { time_ns: Some(time_ns), ..self }
    }

    /// Sets the length on the wire, if a snap length cut it.
    #[must_use]
    pub fn cut_from(self, wire_len: u32) -> Self {
        Self { wire_len, ..self }
    }

    /// Sets the direction.
    #[must_use]
    pub fn going(self, hint: DirectionHint) -> Self {
        Self { hint: Some(hint), ..self }
    }

    /// Sets the name of the interface on the capturing machine.
    #[must_use]
    pub fn on(self, interface: &'a String) -> Self {
        Self { interface: Some(interface), ..self }
    }
}
