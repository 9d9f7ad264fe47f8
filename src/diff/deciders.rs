//! Identities of entries across two rule sets.

use std::collections::{HashMap, HashSet};

use crate::flow::Direction;
use crate::replay::Setup;
use crate::rules::{Entry, EntryKind, Rule, RuleId, RuleSet, SharedLists};
use crate::verdict::Judgement;

/// The numbers of a rule set's entries; equal ones mean the same decider.
#[derive(Debug)]
pub(super) struct Deciders {
    /// By list, direction and entry.
    numbers: Vec<[Vec<u32>; 2]>,
    shared: SharedLists,
}

impl Deciders {
    /// Those of both replays, the current one first.
    pub(super) fn of_both(rules: [&RuleSet; 2], setups: [&Setup<'_>; 2]) -> [Self; 2] {
        let ([current, proposed], [before, after]) = (rules, setups);
        let mut identities = Identities::new(current, proposed);
        [identities.number_deciders(current, before), identities.number_deciders(proposed, after)]
    }

    /// The number of the entry that decided.
    pub(super) fn decider(&self, judgement: &Judgement) -> Option<u32> {
        let lists = self.numbers.get(self.shared.list(judgement.interface)?)?;
        lists.get(judgement.decided_in as usize)?.get(judgement.entry.0 as usize).copied()
    }
}

/// Identifies the entries of two rule sets: rules by their id where both sets have it, otherwise by their content, so
/// that a rule which was only moved keeps its identity.
struct Identities<'r> {
    /// Ids that both rule sets give.
    shared: HashSet<&'r RuleId>,
    numbers: HashMap<String, u32>,
}

impl<'r> Identities<'r> {
    fn new(current: &'r RuleSet, proposed: &'r RuleSet) -> Self {
        let ids = |rules: &'r RuleSet| -> HashSet<&'r RuleId> {
            let rules = rules.groups().iter().flat_map(|group| &group.rules);
            let given = |id: &&RuleId| !matches!(id, RuleId::Numbered { .. });
            rules.map(|rule| &rule.id).filter(given).collect()
        };
        let (current, proposed) = (ids(current), ids(proposed));
        let shared = current.intersection(&proposed).copied().collect();
        Self { shared, numbers: HashMap::new() }
    }

    /// Numbers the entries of a replay.
    fn number_deciders(&mut self, rules: &RuleSet, setup: &Setup<'_>) -> Deciders {
        let mut of = |interface, direction| -> Vec<u32> {
            let entries = setup.entries(interface, direction).iter();
            entries.map(|entry| self.entry_number(rules, entry)).collect()
        };
        let shared = setup.shared.clone();
        let lists = shared.first_interfaces().iter();
        let numbers = lists.map(|first| Direction::BOTH.map(|direction| of(*first, direction)));
        Deciders { numbers: numbers.collect(), shared }
    }

    fn entry_number(&mut self, rules: &RuleSet, entry: &Entry) -> u32 {
        let group = |group: usize| rules.groups().get(group);
        let identity = match entry.kind {
            EntryKind::System(builtin) => format!("system {}", builtin.as_str()),
            EntryKind::IntraGroup { group: of } => {
                format!("intra-group {}", group(of).map_or("", |group| &group.id))
            }
            EntryKind::Rule { group: of, rule } => {
                let rule = group(of).and_then(|group| group.rules.get(rule));
                rule.map_or_else(String::new, |rule| self.rule_identity(rule))
            }
            EntryKind::Default => {
                format!("default {} {}", entry.layer.as_str(), entry.policy.as_str())
            }
        };
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        *self.numbers.entry(identity).or_insert(next)
    }

    fn rule_identity(&self, rule: &Rule) -> String {
        let Rule {
            id,
            direction,
            policy,
            priority,
            protocol,
            ports,
            source_ports,
            peers,
            local,
            icmp,
            targets,
            nic_type,
            create_time: _,
            fixed: _,
            description: _,
        } = rule;
        match id {
            id if self.shared.contains(id) => format!("id {id}"),
            _ => format!(
                "rule {direction:?} {policy:?} {priority:?} {protocol:?} {ports:?} {source_ports:?} \
                 {peers:?} {local:?} {icmp:?} {targets:?} {nic_type:?}"
            ),
        }
    }
}
