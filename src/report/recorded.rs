//! The verdicts that a flow log records, held against ours: the user's own cloud as the oracle.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::table::{Room, Table};
use super::{Labels, text};
use crate::capture::{Frame, Recorded};
use crate::escape::{Text, push_line};
use crate::flow::{Direction, FlowTuple};
use crate::rules::EntryIndex;
use crate::verdict::{Judged, Judgement, Verdict};

/// Records whose verdict is ours, and those of which it is not.
#[derive(Clone, Debug, Default)]
pub struct RecordedActions {
    agree: u64,
    /// Records and packets without an action, and those that are not judged.
    not_compared: u64,
    differ: BTreeMap<Key, Difference>,
}

/// What records have in common that differ in the same way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    recorded: Recorded,
    interface: usize,
    decided_in: Direction,
    entry: EntryIndex,
    service: String,
}

#[derive(Clone, Debug)]
struct Difference {
    records: u64,
    packets: u64,
    first_record: u64,
    /// That of the first, in the initiator's direction.
    flow: FlowTuple,
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
            0..MOST_KINDS => text::service(&flow),
            _ => flow.proto.to_string(),
        };
        let key = Key { recorded, interface, decided_in, entry, service };
        let first_record = frame.number;
        let of_key = || Difference { records: 0, packets: 0, first_record, flow };
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

    /// Whether there was anything to compare.
    pub fn is_empty(&self) -> bool {
        self.agree == 0 && self.differ.is_empty()
    }

    /// For programs.
    pub fn json(&self, labels: &Labels) -> Value {
        let differences = self.sorted().into_iter().map(|(key, difference)| {
            let label = labels.entry(key.interface, key.decided_in, key.entry);
            json!({
                "recorded": key.recorded.as_str(),
                "verdict": ours(key.recorded).as_str(),
                "interface": labels.interface(key.interface),
                "direction": key.decided_in.as_str(),
                "group": label.group,
                "rule": label.rule,
                "layer": label.layer.as_str(),
                "service": key.service,
                "peer": difference.flow.peer(key.decided_in).to_string(),
                "records": difference.records,
                "packets": difference.packets,
                "first_record": difference.first_record,
            })
        });
        json!({
            "agree": self.agree,
            "differ": self.differ(),
            "not_compared": self.not_compared,
            "differences": differences.collect::<Vec<Value>>(),
        })
    }

    /// For people.
    pub fn text(&self, labels: &Labels, room: Room) -> Text {
        let mut out = Text::default();
        push_line!(out);
        push_line!(out, "recorded verdicts");
        push_line!(
            out,
            "  {} of {} agree with the rules, {} not; {} without one or not judged",
            text::count(self.agree),
            text::plural(self.agree + self.differ(), "record"),
            text::count(self.differ()),
            text::count(self.not_compared),
        );
        if self.differ.is_empty() {
            return out;
        }
        let header =
            ["records", "packets", "recorded", "", "service", "peer", "record", "by the rules"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        let sorted = self.sorted();
        for (key, difference) in sorted.iter().take(room.lines) {
            let label = labels.entry(key.interface, key.decided_in, key.entry);
            let (direction, interface) = (key.decided_in.as_str(), labels.interface(key.interface));
            rows.push(vec![
                text::count(difference.records),
                text::count(difference.packets),
                key.recorded.as_str().to_owned(),
                format!("{direction} {interface}"),
                key.service.clone(),
                difference.flow.peer(key.decided_in).to_string(),
                difference.first_record.to_string(),
                format!("{}: {}", ours(key.recorded).as_str(), text::because(label.reason, label)),
            ]);
        }
        let rest = sorted.len().saturating_sub(room.lines) as u64;
        let more = (rest > 0)
            .then(|| format!("and {}; --format json has all", text::plural(rest, "more line")));
        let title = "recorded otherwise".to_owned();
        out.append(&Table { title, rows, more }.text(room.width));
        let refused = self.differ.keys().any(|key| key.recorded == Recorded::Reject);
        if refused {
            push_line!(
                out,
                "  a REJECT that the rules allow may be a network ACL's, which the log does not tell apart"
            );
        }
        out
    }

    /// The most records first.
    fn sorted(&self) -> Vec<(&Key, &Difference)> {
        let mut sorted: Vec<_> = self.differ.iter().collect();
        sorted.sort_by_key(|(_, difference)| std::cmp::Reverse(difference.records));
        sorted
    }
}

/// Our verdict where it is not the recorded one.
fn ours(recorded: Recorded) -> Verdict {
    match recorded {
        Recorded::Accept => Verdict::Deny,
        Recorded::Reject => Verdict::Allow,
    }
}

/// The tuple in the direction of the end that began the connection.
fn opening(flow: &FlowTuple, judgement: &Judgement) -> FlowTuple {
    match judgement.direction == judgement.decided_in {
        true => *flow,
        false => flow.reversed(),
    }
}
