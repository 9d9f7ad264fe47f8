//! Which packets are reported (SEMANTICS F21).

use crate::capture::Frame;
use crate::decode::{Decoded, arp};
use crate::filter::Filter;

/// Chooses the packets that are reported and written. What is judged is every packet up to the last one chosen,
/// so that no verdict depends on the selection. The default chooses all.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only packets that match.
    pub filter: Option<Filter>,
    /// Only packets from this time on, ns since the epoch; those before it open sessions.
    pub since: Option<u64>,
    /// Only packets before this time.
    pub until: Option<u64>,
    /// Only the first so many of those that the other options choose.
    pub count: Option<u64>,
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// It comes after every packet that may be chosen: it is not judged.
    Skipped,
    /// It comes before the window: it is judged, since it may open a session, and not reported.
    WarmUp,
    /// The filter leaves it out: it is judged and not reported.
    FilteredOut,
    /// It is judged and reported.
    Reported,
}

impl Selection {
    /// Whether it chooses every packet.
    pub fn is_everything(&self) -> bool {
        let Self { filter, since, until, count } = self;
        filter.is_none() && since.is_none() && until.is_none() && count.is_none()
    }

    /// What becomes of a frame. A frame without a usable time is in every window.
    #[inline]
    pub(super) fn choose(&self, frame: &Frame<'_>, decoded: &Decoded) -> Choice {
        let Self { filter, since, until, count: _ } = self;
        if let (Some(until), Some(time)) = (until, frame.time_ns)
            && time >= *until
        {
            return Choice::Skipped;
        }
        if let (Some(since), Some(time)) = (since, frame.time_ns)
            && time < *since
        {
            return Choice::WarmUp;
        }
        match filter.as_ref().is_none_or(|filter| matches(filter, frame, decoded)) {
            true => Choice::Reported,
            false => Choice::FilteredOut,
        }
    }
}

fn matches(filter: &Filter, frame: &Frame<'_>, decoded: &Decoded) -> bool {
    match decoded.packet() {
        Some(packet) => filter.matches(Some(packet)),
        None => match arp(frame.link, frame.data) {
            Some([sender, target]) => filter.matches_arp(sender, target),
            None => filter.matches(None),
        },
    }
}
