//! Which frames were seen at which interface.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::capture::Frame;
use crate::rules::RuleSet;

/// The interfaces that frames were seen at, by what frames say.
#[derive(Clone, Debug)]
pub(crate) struct Taps {
    /// Interfaces by the names that frames carry.
    named: HashMap<String, usize, FixedState>,
    /// Interfaces by their ids, which flow logs name.
    ids: HashMap<String, usize, FixedState>,
}

impl Taps {
    /// By names, each with the position of an interface of the rules.
    pub(crate) fn new(rules: &RuleSet, named: impl IntoIterator<Item = (String, usize)>) -> Self {
        let ids = rules.interfaces().iter().enumerate().map(|(n, eni)| (eni.id.clone(), n));
        Self { named: named.into_iter().collect(), ids: ids.collect() }
    }

    /// Whether frames without a log may name their interface.
    pub(crate) fn are_named(&self) -> bool {
        !self.named.is_empty()
    }

    /// The interface that a frame was seen at, where it says so.
    pub(crate) fn find(&self, frame: &Frame<'_>) -> Option<usize> {
        let name = frame.interface?;
        let of_log = || frame.log.and_then(|_| self.ids.get(name));
        self.named.get(name).or_else(of_log).copied()
    }
}
