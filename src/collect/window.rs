//! When traffic was observed.

/// When traffic was observed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Window {
    /// Times of the earliest and the latest packet, ns since the epoch; `None` where no packet has one.
    pub times: Option<(u64, u64)>,
    /// The longest time in which no packet came, and when it began.
    pub longest_pause: (u64, u64),
}

impl Window {
    /// Goes on with traffic that follows, and begins at this time; `None` where that is before the end.
    pub(crate) fn go_on(&mut self, first: u64, next: &Self) -> Option<()> {
        if self.times.is_some_and(|(_, last)| first < last) {
            return None;
        }
        self.see(first);
        if next.longest_pause.0 > self.longest_pause.0 {
            self.longest_pause = next.longest_pause;
        }
        if let (Some((first, last)), Some((earliest, latest))) = (self.times, next.times) {
            self.times = Some((first.min(earliest), last.max(latest)));
        }
        Some(())
    }

    pub(crate) fn see(&mut self, now: u64) {
        let (first, last) = self.times.unwrap_or((now, now));
        if let Some(pause) = now.checked_sub(last).filter(|pause| *pause > self.longest_pause.0) {
            self.longest_pause = (pause, last);
        }
        self.times = Some((first.min(now), last.max(now)));
    }
}
