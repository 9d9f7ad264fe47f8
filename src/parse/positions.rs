//! Where the rules of a file stand.

use std::sync::OnceLock;

use super::group::group_path;
use crate::yaml::{Places, Position, Segment};

/// Looks up lines of a rules file. The first time costs a reading of the whole file.
#[derive(Debug, Default)]
pub struct Positions {
    text: String,
    places: OnceLock<Places>,
}

impl Positions {
    /// Of a file's text.
    pub fn new(text: String) -> Self {
        Self { text, places: OnceLock::new() }
    }

    /// Line and column, from 1, of a rule, by the positions of its group and of the rule in it.
    pub fn rule(&self, place: (usize, usize)) -> Option<Position> {
        let key = |key: &str| Segment::Key(key.to_owned());
        let places = self.places.get_or_init(|| Places::read(&self.text));
        let security_groups = places.length("security_groups");
        let [list, group] = group_path(place.0, security_groups);
        places.find(&[list, group, key("rules"), Segment::Index(place.1)])
    }
}
