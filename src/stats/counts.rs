//! Counters.

use crate::verdict::Verdict;

/// Packets, bytes on the wire and connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
    /// Connections.
    pub connections: u64,
}

impl Count {
    pub(super) fn add_packet(&mut self, bytes: u64, opens: bool) {
        self.packets += 1;
        self.bytes += bytes;
        self.connections += u64::from(opens);
    }
}

impl std::ops::Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            packets: self.packets + other.packets,
            bytes: self.bytes + other.bytes,
            connections: self.connections + other.connections,
        }
    }
}

/// Counters by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ByVerdict {
    /// Allowed wherever they were judged.
    pub allowed: u64,
    /// Denied somewhere.
    pub denied: u64,
    /// Not judged.
    pub not_evaluated: u64,
}

impl ByVerdict {
    /// The sum.
    pub fn total(&self) -> u64 {
        self.allowed + self.denied + self.not_evaluated
    }

    pub(super) fn add(&mut self, verdict: Verdict, count: u64) {
        *self.count_mut(verdict) += count;
    }

    fn count_mut(&mut self, verdict: Verdict) -> &mut u64 {
        match verdict {
            Verdict::Allow => &mut self.allowed,
            Verdict::Deny => &mut self.denied,
            Verdict::NotEvaluated => &mut self.not_evaluated,
        }
    }
}

impl std::ops::AddAssign for ByVerdict {
    fn add_assign(&mut self, other: Self) {
        self.allowed += other.allowed;
        self.denied += other.denied;
        self.not_evaluated += other.not_evaluated;
    }
}
