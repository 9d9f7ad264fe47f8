//! Where the rules of a file stand.

use std::cell::OnceCell;

use crate::yaml::{Places, Position, Segment};

/// Looks up lines of a rules file. The first time costs a reading of the whole file.
#[derive(Debug, Default)]
pub struct Positions {
    text: String,
    places: OnceCell<Places>,
}

impl Positions {
    /// Of a file's text.
    pub fn new(text: String) -> Self {
        Self { text, places: OnceCell::new() }
    }

    /// Line and column, from 1, of a rule, by the positions of its group and of the rule in it.
    pub fn rule(&self, place: (usize, usize)) -> Option<Position> {
        let key = |key: &str| Segment::Key(key.to_owned());
        let (group, rule) = (Segment::Index(place.0), Segment::Index(place.1));
        let places = self.places.get_or_init(|| Places::read(&self.text));
        places.find(&[key("security_groups"), group, key("rules"), rule])
    }
}
