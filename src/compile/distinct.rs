//! Things each of which is kept once.

use std::collections::HashMap;
use std::hash::Hash;

use foldhash::fast::FixedState;

use super::TooLarge;

/// Things each of which is kept once, by their places.
#[derive(Debug)]
pub(super) struct Distinct<T> {
    pub(super) things: Vec<T>,
    known: HashMap<T, u16, FixedState>,
}

impl<T: Clone + Eq + Hash> Distinct<T> {
    pub(super) fn new() -> Self {
        Self { things: Vec::new(), known: HashMap::default() }
    }

    /// A thing's place.
    ///
    /// # Errors
    /// When there are more things than can be numbered.
    pub(super) fn place(&mut self, thing: T) -> Result<u16, TooLarge> {
        if let Some(known) = self.known.get(&thing) {
            return Ok(*known);
        }
        let place = u16::try_from(self.things.len()).map_err(|_| TooLarge)?;
        self.things.push(thing.clone());
        self.known.insert(thing, place);
        Ok(place)
    }
}
