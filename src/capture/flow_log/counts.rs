//! Counts of a flow log.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::kind::FlowLogKind;

/// The counts of a flow log, as far as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct FlowLogCounts {
    /// Its kind.
    pub kind: FlowLogKind,
    /// Records that became frames.
    pub records: u64,
    /// Packets that those stand for.
    pub packets: u64,
    /// Windows in which an interface had no traffic (`NODATA`).
    pub no_data: u64,
    /// Windows of which the cloud has lost records (`SKIPDATA`).
    pub skipped: u64,
    /// Records without a protocol, which are not evaluated.
    pub no_protocol: u64,
    /// ICMP records without a type, taken for echo requests.
    pub no_icmp_type: u64,
    /// Records of connections that were judged before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub continuations: u64,
    /// Connections that were open before the log begins.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub already_open: u64,
    /// Records of flows that the other end has reported.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub duplicates: u64,
    /// Events that are no flows.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub passed_over: u64,
    /// Records whose packets had other addresses; the record's addresses are judged.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub other_address: u64,
}

impl FlowLogCounts {
    pub(super) fn new(kind: FlowLogKind) -> Self {
        Self {
            kind,
            records: 0,
            packets: 0,
            no_data: 0,
            skipped: 0,
            no_protocol: 0,
            no_icmp_type: 0,
            continuations: 0,
            already_open: 0,
            duplicates: 0,
            passed_over: 0,
            other_address: 0,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// The counts of a flow log that another thread may be reading; of a capture there are none.
#[derive(Clone, Debug, Default)]
pub struct FlowLog(pub(super) Option<Arc<Mutex<FlowLogCounts>>>);

impl FlowLog {
    /// The counts so far; `None` for a capture.
    pub fn counts(&self) -> Option<FlowLogCounts> {
        let counts = self.0.as_ref()?;
        Some(*counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
