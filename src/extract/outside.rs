//! Frames that no rule is asked about.

use crate::replay::SHARDS;
use crate::stats::{Hidden, Partial, Unevaluated};
use crate::verdict::Reason;

/// Frames of a capture that are not evaluated.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Outside {
    by_reason: [u64; Reason::ALL.len()],
    bytes: u64,
    times: (u64, u64),
    /// Those that hold no packet, by the remainder of their number: which shard has them depends on the frames of earlier
    /// captures.
    without_packet: [Unevaluated; SHARDS],
    /// Packets, by the shard that has them.
    packets: [Unevaluated; SHARDS],
}

/// Which shard of a replay has a frame.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(super) enum Place {
    /// That of its number among all frames.
    OfNumber,
    /// This one.
    Shard(u8),
}

impl Default for Outside {
    fn default() -> Self {
        Self {
            by_reason: [0; Reason::ALL.len()],
            bytes: 0,
            times: (u64::MAX, 0),
            without_packet: Default::default(),
            packets: Default::default(),
        }
    }
}

impl Outside {
    pub(super) fn count(&mut self, reason: Reason, wire_len: u32, time: Option<u64>) {
        if let Some(count) = self.by_reason.get_mut(reason as usize) {
            *count += 1;
        }
        self.bytes += u64::from(wire_len);
        if let Some(time) = time {
            self.times = (self.times.0.min(time), self.times.1.max(time));
        }
    }

    /// How many frames there are.
    pub(super) fn frames(&self) -> u64 {
        self.by_reason.iter().sum()
    }

    /// Notes that a frame carries or hides traffic.
    pub(super) fn hide(&mut self, hidden: Hidden, frame: u64, place: Place) {
        let of_place = match place {
            Place::OfNumber => {
                let remainder = usize::try_from(frame % SHARDS as u64).unwrap_or_default();
                self.without_packet.get_mut(remainder)
            }
            Place::Shard(shard) => self.packets.get_mut(usize::from(shard)),
        };
        if let Some(of_place) = of_place {
            of_place.note(hidden, 1, frame);
        }
    }

    /// Adds these frames to the statistics of all shards, so many frames of other captures being before them.
    pub(super) fn add_to(&self, shards: &mut [Partial], before: u64) {
        for (n, hidden) in self.without_packet.iter().enumerate() {
            let number = usize::try_from((before + n as u64) % SHARDS as u64).unwrap_or_default();
            if let Some(shard) = shards.get_mut(number) {
                shard.hidden().add(hidden, before);
            }
        }
        for (shard, hidden) in shards.iter_mut().zip(&self.packets) {
            shard.hidden().add(hidden, before);
        }
        let Some(first) = shards.first_mut() else { return };
        for (reason, frames) in Reason::ALL.iter().zip(self.by_reason) {
            first.add_unevaluated(*reason, frames);
        }
        first.add_frames(self.bytes, self.times);
    }
}
