//! The names of what decides, under the current and the proposed rules.

use super::{Label, Labels, text};
use crate::baseline::Accepted;
use crate::diff::{Change, Side};

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
    pub(super) fn reason(&self, change: &Change) -> Option<&'l str> {
        let entry =
            self.accepted.entries().get(self.accepted.position(change.effect, &change.flow)?)?;
        Some(&entry.reason)
    }
}

/// What decided on one side, by name; nothing where nothing was judged.
pub(super) fn label<'l>(labels: &'l Labels, side: &Side) -> Option<&'l Label> {
    side.at.map(|(interface, direction, entry)| labels.entry(interface, direction, entry))
}

/// Why a side decides so.
pub(super) fn because(labels: &Labels, side: &Side) -> String {
    match label(labels, side) {
        Some(label) => text::because(side.reason, label),
        None => side.reason.as_str().to_owned(),
    }
}
