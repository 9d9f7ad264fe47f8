//! Marks of connections, with which only selected packets are counted.

use super::Stats;
use crate::session::Opening;
use crate::verdict::{Judged, Judgement, Stopped, Verdict};

/// What is known of a connection that may be counted later than it was opened.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Mark {
    pub(super) opening: Option<Opening>,
    pub(super) denied: bool,
    /// An answer was stopped before the connection was counted.
    pub(super) cut: bool,
    pub(super) counted: bool,
}

impl Stats {
    /// Counts only packets that are selected from now on, and connections with the first such packet.
    pub(crate) fn select(&mut self) {
        self.marks = Some(Vec::new());
    }

    /// Whether only some of the packets are reported.
    pub(crate) fn selects(&self) -> bool {
        self.marks.is_some()
    }

    /// Remembers what a packet opens, whether it is selected or not. `None` where the packet is not counted; else,
    /// where it is the first selected one of a connection that was opened before, whether that is denied, and how it
    /// was opened.
    #[inline]
    #[expect(
        clippy::option_option,
        reason = "whether it counts, and then whether it counts its connection"
    )]
    pub(super) fn mark(
        &mut self,
        judged: &Judged,
        selected: bool,
    ) -> Option<Option<(bool, Opening)>> {
        // Most packets open nothing and are judged at one interface.
        if let Judged::At(first, None) = judged
            && first.opened.is_none()
            && first.reply.is_none()
        {
            if !selected {
                return None;
            }
            let number = first.connection.and_then(|number| usize::try_from(number).ok());
            let mark = self.marks.as_deref_mut().zip(number).and_then(|(of, n)| of.get_mut(n));
            let Some(mark) = mark.filter(|mark| !mark.counted) else { return Some(None) };
            mark.counted = true;
            self.cut += u64::from(mark.cut);
            return Some(Some((mark.denied, mark.opening.unwrap_or(Opening::Seen))));
        }
        let changes = |of: &Judgement| of.opened.is_some() || of.reply.is_some();
        if !selected && !judged.judgements().any(changes) {
            return None;
        }
        let marks = self.marks.get_or_insert_default();
        let (mut opens, mut late, mut cut_before) = (false, None, false);
        for judgement in judged.judgements() {
            let Some(connection) = judgement.connection else { continue };
            let number = usize::try_from(connection).unwrap_or(usize::MAX);
            if let Some((opening, _)) = judgement.opened {
                if marks.len() <= number {
                    marks.resize(number + 1, Mark::default());
                }
                let Some(mark) = marks.get_mut(number) else { continue };
                mark.opening = Some(opening);
                mark.denied |= judgement.verdict == Verdict::Deny;
                mark.counted |= selected;
                opens = true;
            } else if let Some(mark) = marks.get_mut(number) {
                if judgement.reply.is_some_and(|of| of.stopped == Stopped::First) {
                    mark.denied = true;
                    mark.cut |= !selected && !mark.counted;
                    cut_before |= !selected && mark.counted;
                }
                if selected && !std::mem::replace(&mut mark.counted, true) {
                    late = Some((mark.denied, mark.opening.unwrap_or(Opening::Seen)));
                    self.cut += u64::from(mark.cut);
                }
            }
        }
        if cut_before {
            self.cut += 1;
            self.cut_connection();
        }
        selected.then(|| late.filter(|_| !opens))
    }
}
