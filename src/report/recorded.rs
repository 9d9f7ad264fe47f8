//! Verdicts that records of a flow log have, beside those of the rules.

use serde_json::{Value, json};

use super::table::{Room, Table};
use super::text;
use crate::capture::Recorded;
use crate::collect::RecordedActions;
use crate::escape::{Text, push_line};
use crate::labels::Labels;
use crate::verdict::Verdict;

impl RecordedActions {
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
            "agree": self.agree(),
            "differ": self.differ(),
            "not_compared": self.not_compared(),
            "differences": differences.collect::<Vec<Value>>(),
        })
    }

    /// For people.
    pub fn text(&self, labels: &Labels, room: Room) -> Text {
        let mut out = Text::default();
        let sorted = self.sorted();
        push_line!(out);
        push_line!(out, "recorded verdicts");
        push_line!(
            out,
            "  {} of {} agree with the rules, {} not; {} without one or not judged",
            text::count(self.agree()),
            text::plural(self.agree() + self.differ(), "record"),
            text::count(self.differ()),
            text::count(self.not_compared()),
        );
        if sorted.is_empty() {
            return out;
        }
        let header =
            ["records", "packets", "recorded", "", "service", "peer", "record", "by the rules"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
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
                format!("{}: {}", ours(key.recorded).as_str(), label.because(label.reason)),
            ]);
        }
        let rest = sorted.len().saturating_sub(room.lines) as u64;
        let more = (rest > 0)
            .then(|| format!("and {}; --format json has all", text::plural(rest, "more line")));
        let title = "recorded otherwise".to_owned();
        out.append(&Table { title, rows, more }.text(room.width));
        let refused = sorted.iter().any(|(key, _)| key.recorded == Recorded::Reject);
        if refused {
            push_line!(
                out,
                "  a REJECT that the rules allow may be a network ACL's, which the log does not tell apart"
            );
        }
        out
    }
}

/// Our verdict where it is not the recorded one.
fn ours(recorded: Recorded) -> Verdict {
    match recorded {
        Recorded::Accept => Verdict::Deny,
        Recorded::Reject => Verdict::Allow,
    }
}
