//! The names of deciders: the `group` and `rule` columns.

mod both;

pub use both::BothLabels;

use crate::diff::Side;
use crate::escape;
use crate::flow::Direction;
use crate::rules::{Entry, EntryIndex, EntryKind, Layer, Policy, RuleSet, SharedLists};
use crate::verdict::{Judged, Judgement, Reason};

/// What decided, by name. Never empty: a default denial is decided by `default`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The group; where the decider is the interface's and not a group's, all its groups, `+` between.
    pub group: String,
    /// The rule's id, or `default`, `intra-group`, or the name of the system traffic.
    pub rule: String,
    /// Why a packet is allowed or denied that it decides for.
    pub reason: Reason,
    /// Of a rule.
    pub priority: Option<u32>,
    /// The layer that it is of.
    pub layer: Layer,
}

impl Label {
    /// Names an entry of an interface.
    pub fn new(rules: &RuleSet, interface: usize, entry: &Entry) -> Self {
        let (group, rule) = rules.names(interface, entry);
        let priority = match entry.kind {
            EntryKind::Rule { group, rule } => {
                let rule = rules.groups().get(group).and_then(|group| group.rules.get(rule));
                rule.map(|rule| rule.priority.get())
            }
            EntryKind::System(_) | EntryKind::IntraGroup { .. } | EntryKind::Default => None,
        };
        Self { group, rule, reason: entry.kind.into(), priority, layer: entry.layer }
    }

    /// Of a group that a rule set does not have.
    pub(crate) fn of_no_group(group: &str) -> Self {
        let (group, rule) = (group.to_owned(), "absent".to_owned());
        let layer = Layer::default();
        Self { group, rule, reason: Reason::Default, priority: None, layer }
    }

    /// The reason in words, with the decider.
    pub fn because(&self, reason: Reason) -> String {
        let Self { group, rule, .. } = self;
        match reason {
            Reason::Rule => format!("rule {rule} of {group}"),
            Reason::Default => format!("default of {group}: no rule matches"),
            Reason::IntraGroup => format!("both are members of {group}"),
            Reason::Session => format!("session, opened by {rule}"),
            Reason::System => format!("always allowed: {rule}"),
            Reason::ConnectionDenied => format!("its connection was denied by {rule} of {group}"),
            Reason::SessionLimit => format!("too many sessions; {rule} of {group} allows it"),
            Reason::NotIp
            | Reason::NotLocal
            | Reason::Malformed
            | Reason::Truncated
            | Reason::UnsupportedLink
            | Reason::FragmentWithoutFirst => reason.as_str().to_owned(),
        }
    }

    /// Why a packet is judged as it is.
    pub fn because_of(&self, judgement: &Judgement) -> String {
        if judgement.is_stopped() { self.stopped() } else { self.because(judgement.reason) }
    }

    /// Why a packet of an allowed connection does not get through.
    pub(crate) fn stopped(&self) -> String {
        format!("reply stopped by {} of {}", self.rule, self.group)
    }
}

/// The names of every entry of every interface.
#[derive(Debug)]
pub struct Labels {
    /// Of each list.
    entries: Vec<[Vec<(Label, Policy)>; 2]>,
    shared: SharedLists,
    interfaces: Vec<String>,
    unknown: Label,
}

impl Labels {
    /// Names all entries of a rule set.
    pub fn new(rules: &RuleSet) -> Self {
        let named = |interface: usize, direction| -> Vec<(Label, Policy)> {
            let ordered = rules.ordered_for_packets(interface, direction);
            let entries = ordered.entries().iter();
            entries.map(|entry| (Label::new(rules, interface, entry), entry.policy)).collect()
        };
        let interfaces = rules.interfaces();
        let shared = SharedLists::new(rules);
        let lists = shared.first_interfaces().iter();
        let entries = lists.map(|first| Direction::BOTH.map(|d| named(*first, d)));
        Self {
            entries: entries.collect(),
            shared,
            interfaces: interfaces.iter().map(|eni| eni.id.clone()).collect(),
            unknown: Label {
                group: String::new(),
                rule: String::new(),
                reason: Reason::Default,
                priority: None,
                layer: Layer::default(),
            },
        }
    }

    /// The decider's name.
    pub fn entry(&self, interface: usize, direction: Direction, entry: EntryIndex) -> &Label {
        self.of_entry(interface, direction, entry).map_or(&self.unknown, |(label, _)| label)
    }

    /// What becomes of packets that it decides for.
    pub fn policy(
        &self,
        interface: usize,
        direction: Direction,
        entry: EntryIndex,
    ) -> Option<Policy> {
        self.of_entry(interface, direction, entry).map(|(_, policy)| *policy)
    }

    fn of_entry(
        &self,
        interface: usize,
        direction: Direction,
        entry: EntryIndex,
    ) -> Option<&(Label, Policy)> {
        self.entries
            .get(self.shared.list(interface)?)?
            .get(direction as usize)?
            .get(entry.0 as usize)
    }

    /// The name of what decided a judgement.
    pub fn judgement(&self, judgement: &Judgement) -> &Label {
        self.entry(judgement.interface, judgement.decided_in, judgement.entry)
    }

    /// What decided on one side of a change; nothing where nothing was judged.
    pub(crate) fn side(&self, side: &Side) -> Option<&Label> {
        side.at.map(|(interface, direction, entry)| self.entry(interface, direction, entry))
    }

    /// Why a side of a change decides so.
    pub(crate) fn because(&self, side: &Side) -> String {
        match self.side(side) {
            Some(label) => label.because(side.reason),
            None => side.reason.as_str().to_owned(),
        }
    }

    /// The answer for a packet in one line, as a comment on it: `deny sg-web sgr-7 priority 10`.
    pub fn comment(&self, judged: &Judged) -> String {
        let (verdict, reason) = judged.verdict();
        let Some(judgement) = judged.deciding() else {
            return format!("{} {}", verdict.as_str(), reason.as_str());
        };
        let Label { group, rule, priority, .. } = self.judgement(judgement);
        let priority = priority.map_or_else(String::new, |of| format!(" priority {of}"));
        let how = match reason {
            Reason::Session | Reason::ConnectionDenied | Reason::SessionLimit => {
                format!(" {}", reason.as_str())
            }
            _ => String::new(),
        };
        let comment = format!("{} {group} {rule}{priority}{how}", verdict.as_str());
        escape::line(&comment).into_owned()
    }

    /// An interface's name.
    pub fn interface(&self, interface: usize) -> &str {
        self.interfaces.get(interface).map_or("", String::as_str)
    }
}
