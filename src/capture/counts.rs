//! Statistics of a capture beside its packets.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

/// Statistics of a capture beside its packets, as far as it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(default)]
pub struct CaptureCounts {
    /// Packets that the capturing machine says it has dropped; `None` where it does not say, as a pcap
    /// never does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped: Option<u64>,
    /// Packets whose time is outside what 64 bits of nanoseconds since 1970 hold: before 1970 or after
    /// 2554, or of a clock that cannot be read. They are yielded without a time.
    #[serde(skip_serializing_if = "is_zero")]
    pub unusable_times: u64,
    /// Skipped pcapng blocks with keys of encrypted connections.
    #[serde(skip_serializing_if = "is_zero")]
    pub secrets_blocks: u64,
    /// Skipped pcapng blocks that belong to a vendor.
    #[serde(skip_serializing_if = "is_zero")]
    pub custom_blocks: u64,
    /// Skipped pcapng blocks of types that are not known here.
    #[serde(skip_serializing_if = "is_zero")]
    pub unknown_blocks: u64,
    /// Skipped files of an archive that are no captures.
    #[serde(skip_serializing_if = "is_zero")]
    pub other_files: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl CaptureCounts {
    pub(super) fn add_dropped(&mut self, more: u64) {
        self.dropped = Some(self.dropped.unwrap_or_default().saturating_add(more));
    }
}

/// Counts that another thread may be adding to: a clone sees the counts of the original.
#[derive(Clone, Debug, Default)]
pub struct SharedCounts(Arc<Mutex<CaptureCounts>>);

impl SharedCounts {
    /// The counts so far.
    pub fn get(&self) -> CaptureCounts {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut CaptureCounts)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
