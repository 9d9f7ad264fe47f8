//! The outcome of reading captures.

use serde::Serialize;

use crate::capture::{CaptureCounts, CaptureError, FlowLogCounts};
use crate::hints::CaptureHints;

/// One capture, as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(default)]
pub struct CaptureInput {
    /// As the user named it.
    pub path: String,
    /// Bytes read.
    pub size: u64,
    /// Frames in it.
    pub frames: u64,
    /// Statistics beside its packets.
    #[serde(flatten)]
    pub counts: CaptureCounts,
    /// Where its clock runs backwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_backwards: Option<ClockBackwards>,
    /// Where its clock jumps ahead by days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_ahead: Option<ClockAhead>,
    /// The counts of a flow log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_log: Option<FlowLogCounts>,
    /// Of its bytes, if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The damage at which reading stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Frames of one capture that are earlier than the frame before them by more than network cards reorder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct ClockBackwards {
    /// How many.
    pub times: u64,
    /// The largest step, ns.
    pub most_ns: u64,
    /// The first such frame, counted in its capture.
    pub frame: u64,
}

/// Frames of one capture that are later than the frame before them by over a week: a clock that was set, or a
/// recording that was interrupted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct ClockAhead {
    /// How many.
    pub times: u64,
    /// The largest step, ns.
    pub most_ns: u64,
    /// The first such frame, counted in its capture.
    pub frame: u64,
}

/// A file of a directory that was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedFile {
    /// Its path.
    pub path: String,
    /// Why, in words.
    pub why: String,
    /// It is not text, so it may be a capture of an unsupported format.
    pub may_hide_traffic: bool,
}

/// The tunnels that [`Sources::choose_tunnels`](super::Sources::choose_tunnels) has chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenTunnels {
    /// By the names of [`Tunnels::add`](crate::decode::Tunnels::add), with how many of the packets are such a tunnel.
    pub found: Vec<(&'static str, u64)>,
    /// IP packets examined.
    pub packets: u64,
}

/// How a run over captures ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// The captures read, in the order in which they were named.
    pub inputs: Vec<CaptureInput>,
    /// Frames that the selection chose.
    pub selected: u64,
    /// Damage that ended captures before their time, in the same order.
    pub damage: Vec<CaptureError>,
    /// Files of directories that were left out.
    pub skipped: Vec<SkippedFile>,
    /// Hints of the first packets on how the captures were made.
    pub hints: CaptureHints,
    /// The user stopped it.
    pub interrupted: bool,
    /// Packets of a pipe were judged as they came, without reading ahead.
    pub live: bool,
}
