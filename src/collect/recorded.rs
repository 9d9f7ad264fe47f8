//! The verdicts that a flow log records, held against ours: the user's own cloud as the oracle.

use std::collections::BTreeMap;

use crate::capture::{Frame, Recorded};
use crate::flow::{Direction, FlowTuple};
use crate::rules::{EntryIndex, services};
use crate::verdict::{Judged, Judgement, Verdict};

/// Records whose verdict is ours, and those of which it is not.
#[derive(Clone, Debug, Default)]
pub struct RecordedActions {
    agree: u64,
    /// Records and packets without an action, and those that are not judged.
    not_compared: u64,
    differ: BTreeMap<RecordedKind, RecordedDifference>,
}

/// What records have in common that differ in the same way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RecordedKind {
    pub(crate) recorded: Recorded,
    pub(crate) interface: usize,
    pub(crate) decided_in: Direction,
    pub(crate) entry: EntryIndex,
    pub(crate) service: String,
}

#[derive(Clone, Debug)]
pub(crate) struct RecordedDifference {
    pub(crate) records: u64,
    pub(crate) packets: u64,
    pub(crate) first_record: u64,
    /// That of the first, in the initiator's direction.
    pub(crate) flow: FlowTuple,
}

/// Beyond so many kinds of differences their services are not told apart: rules that fit no record give
/// any number.
const MOST_KINDS: usize = 4096;

impl RecordedActions {
    /// Compares one record.
    pub fn add(&mut self, frame: &Frame<'_>, flow: Option<&FlowTuple>, judged: &Judged) {
        let recorded = frame.log.and_then(|log| Some((log, log.action?)));
        let (Some((log, recorded)), Some(judgement), Some(flow)) =
            (recorded, judged.deciding(), flow)
        else {
            self.not_compared += 1;
            return;
        };
        if (recorded == Recorded::Accept) == (judgement.verdict == Verdict::Allow) {
            self.agree += 1;
            return;
        }
        let flow = opening(flow, judgement);
        let &Judgement { interface, decided_in, entry, .. } = judgement;
        let service = match self.differ.len() {
            0..MOST_KINDS => services::of_flow(&flow),
            _ => flow.proto.to_string(),
        };
        let key = RecordedKind { recorded, interface, decided_in, entry, service };
        let first_record = frame.number;
        let of_key = || RecordedDifference { records: 0, packets: 0, first_record, flow };
        let difference = self.differ.entry(key).or_insert_with(of_key);
        difference.records += 1;
        difference.packets = difference.packets.saturating_add(log.packets);
    }

    /// Records whose verdict is the log's.
    pub fn agree(&self) -> u64 {
        self.agree
    }

    /// Records whose verdict is not.
    pub fn differ(&self) -> u64 {
        self.differ.values().map(|difference| difference.records).sum()
    }

    /// Records and packets without an action, and those that are not judged.
    pub fn not_compared(&self) -> u64 {
        self.not_compared
    }

    /// Whether there was anything to compare.
    pub fn is_empty(&self) -> bool {
        self.agree == 0 && self.differ.is_empty()
    }

    /// The most records first.
    pub(crate) fn sorted(&self) -> Vec<(&RecordedKind, &RecordedDifference)> {
        let mut sorted: Vec<_> = self.differ.iter().collect();
        sorted.sort_by_key(|(_, difference)| std::cmp::Reverse(difference.records));
        sorted
    }
}

/// The tuple in the direction of the end that began the connection.
fn opening(flow: &FlowTuple, judgement: &Judgement) -> FlowTuple {
    match judgement.direction == judgement.decided_in {
        true => *flow,
        false => flow.reversed(),
    }
}
