//! Effects of a change on packets and connections, and their counts.

/// The effect of the change on a packet or a connection, the worst first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Effect {
    /// Allowed by the current rules, denied by the proposed ones.
    NewlyDenied,
    /// Denied by the current rules, allowed by the proposed ones.
    NewlyAllowed,
    /// The same answer, by another rule.
    OtherRule,
    /// The same answer for the same reason.
    Unchanged,
}

impl Effect {
    /// All, the worst first.
    pub const ALL: &'static [Self] =
        &[Self::NewlyDenied, Self::NewlyAllowed, Self::OtherRule, Self::Unchanged];

    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NewlyDenied => "newly_denied",
            Self::NewlyAllowed => "newly_allowed",
            Self::OtherRule => "other_rule",
            Self::Unchanged => "unchanged",
        }
    }
}

/// Counts by effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Effects([u64; Effect::ALL.len()]);

impl Effects {
    /// The count of one effect.
    pub fn count(&self, effect: Effect) -> u64 {
        self.0.get(effect as usize).copied().unwrap_or_default()
    }

    /// The sum of all effects.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(super) fn add(&mut self, effect: Effect) {
        self.add_all(effect, 1);
    }

    pub(super) fn add_all(&mut self, effect: Effect, more: u64) {
        if let Some(count) = self.0.get_mut(effect as usize) {
            *count += more;
        }
    }

    /// Adds the counts of others.
    pub(super) fn merge(&mut self, other: Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }

    pub(super) fn remove(&mut self, effect: Effect) {
        if let Some(count) = self.0.get_mut(effect as usize) {
            *count = count.saturating_sub(1);
        }
    }
}
