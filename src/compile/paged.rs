//! Long tables of numbers in pages, of which each is there once.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::TooLarge;
use super::distinct::Distinct;
use super::simd::Table;

/// Pages in the making.
#[derive(Debug)]
pub(super) struct Paged {
    length: usize,
    /// How many there may be.
    most: usize,
    pages: Distinct<Vec<u16>>,
    /// Pages on which one number alone stands, by that number.
    plain: HashMap<u16, u16, FixedState>,
}

impl Paged {
    /// No pages yet, of so many numbers each, which may take so many bytes.
    pub(super) fn new(length: usize, most_memory: usize) -> Self {
        let most = most_memory / (length * size_of::<u16>());
        Self { length, most, pages: Distinct::new(), plain: HashMap::default() }
    }

    /// Enters a table of so many pages, of which it is said where each run of a number starts; the first
    /// starts at 0. Adds which pages those are.
    ///
    /// # Errors
    /// When there are more pages than can be numbered, or than may be.
    pub(super) fn enter(
        &mut self,
        runs: impl Iterator<Item = (usize, u16)>,
        pages: usize,
        numbers: &mut Vec<u16>,
    ) -> Result<(), TooLarge> {
        let (mut runs, mut current) = (runs.peekable(), 0);
        for page in 0..pages {
            let (first, mut page) = (page * self.length, Vec::new());
            while let Some((start, number)) =
                runs.next_if(|(start, _)| *start < first + self.length)
            {
                page.resize(start - first, current);
                current = number;
            }
            numbers.push(match self.plain.get(&current).filter(|_| page.is_empty()) {
                Some(known) => *known,
                None => self.add(page, current)?,
            });
        }
        Ok(())
    }

    /// A page that goes on with a number to its end.
    fn add(&mut self, mut page: Vec<u16>, number: u16) -> Result<u16, TooLarge> {
        let is_plain = page.is_empty();
        page.resize(self.length, number);
        let place = self.pages.place(page)?;
        if self.pages.things.len() > self.most {
            return Err(TooLarge);
        }
        if is_plain {
            self.plain.insert(number, place);
        }
        Ok(place)
    }

    /// The pages, one after the other.
    pub(super) fn table(self) -> Table<u16> {
        Table::new(self.pages.things.concat())
    }
}
