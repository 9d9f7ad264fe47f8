//! What the records' interfaces are called.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

/// Names that are told apart; the interfaces of more have none.
const MOST_NAMES: usize = 1 << 12;

/// Every name that an interface has had, by position.
#[derive(Debug, Default)]
pub(super) struct Names {
    list: Arc<Vec<String>>,
    positions: HashMap<String, u16, FixedState>,
}

impl Names {
    /// The list, for those who have positions in it.
    pub(super) fn list(&self) -> Arc<Vec<String>> {
        Arc::clone(&self.list)
    }

    /// The position of a name, which is added where it is new.
    pub(super) fn position(&mut self, name: &str) -> Option<u16> {
        if let Some(known) = self.positions.get(name) {
            return Some(*known);
        }
        let position = self.list.len();
        let position = u16::try_from(position).ok().filter(|_| position < MOST_NAMES)?;
        Arc::make_mut(&mut self.list).push(name.to_owned());
        self.positions.insert(name.to_owned(), position);
        Some(position)
    }
}
