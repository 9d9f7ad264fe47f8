//! The statistics of the rows of a table, which are judged in parts.

use super::Stats;

impl Stats {
    /// What is only added up, without the kinds of connections.
    #[must_use]
    pub fn sums(&self) -> Self {
        let mut sums = Self::new(&[]);
        sums.add_sums(self);
        sums
    }

    /// Adds the sums of a part whose first frame has this many others before it.
    pub fn add_behind(&mut self, mut part: Self, before: u64) {
        for (_, first) in part.guessed.iter_mut().chain(&mut part.unweighed) {
            *first += before;
        }
        for doubts in &mut part.doubts {
            doubts.put_behind(before);
        }
        self.add_sums(&part);
    }
}
