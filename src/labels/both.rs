//! The names of what decides, under the current and the proposed rules.

use super::Labels;
use crate::baseline::Accepted;
use crate::diff::Change;

/// The names on both sides of a change, and what was accepted of it.
#[derive(Clone, Copy, Debug)]
pub struct BothLabels<'l> {
    /// Changes that were accepted.
    pub accepted: &'l Accepted,
    /// Of the current rules.
    pub current: &'l Labels,
    /// Of the proposed rules.
    pub proposed: &'l Labels,
}

impl<'l> BothLabels<'l> {
    /// Why a change was accepted, if it was.
    pub(crate) fn reason(&self, change: &Change) -> Option<&'l str> {
        let entry =
            self.accepted.entries().get(self.accepted.position(change.effect, &change.flow)?)?;
        Some(&entry.reason)
    }
}
