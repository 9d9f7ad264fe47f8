//! Where the rules of a file stand.

use std::cell::RefCell;
use std::collections::HashMap;

use super::locate::{Segment, locate};

/// Looks up lines of a rules file. Each costs a reading of the whole file, so only those that are shown
/// should be asked for, and of more than a few hundred rules the rest has none.
#[derive(Debug, Default)]
pub struct Positions {
    text: String,
    known: RefCell<HashMap<(usize, usize), Option<Position>>>,
}

/// Line and column, from 1.
type Position = (usize, usize);

/// Beyond this, nobody goes through them line by line.
const MOST: usize = 500;

impl Positions {
    /// Of a file's text.
    pub fn new(text: String) -> Self {
        Self { text, known: RefCell::default() }
    }

    /// Line and column, from 1, of a rule, by the positions of its group and of the rule in it.
    pub fn rule(&self, place: (usize, usize)) -> Option<(usize, usize)> {
        let mut known = self.known.borrow_mut();
        if let Some(position) = known.get(&place) {
            return *position;
        }
        if known.len() >= MOST {
            return None;
        }
        let key = |key: &str| Segment::Key(key.to_owned());
        let (group, rule) = (Segment::Index(place.0), Segment::Index(place.1));
        let found = locate(&self.text, &[key("security_groups"), group, key("rules"), rule]);
        known.insert(place, found);
        found
    }
}
