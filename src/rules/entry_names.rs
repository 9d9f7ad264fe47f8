//! Names of entries.

use super::RuleSet;
use super::layer;
use super::order::{Entry, EntryKind};

impl RuleSet {
    /// The names of an entry of an interface: the group, where the entry is the interface's and not a
    /// group's all its groups of that layer with `+` between; and the rule's id, or `default`, `intra-group`, or the
    /// name of the system traffic. Never empty.
    pub fn names(&self, interface: usize, entry: &Entry) -> (String, String) {
        let group_id = |group: usize| self.groups.get(group).map(|group| group.id.clone());
        let own = || -> String {
            let groups = self.interfaces.get(interface).map(|eni| eni.groups.as_slice());
            let groups = groups.unwrap_or_default();
            let mut mine = layer::of_layer(&self.groups, groups, entry.layer);
            if mine.is_empty() {
                mine = groups.to_vec();
            }
            let ids = mine.into_iter().filter_map(group_id);
            ids.collect::<Vec<_>>().join("+")
        };
        self.rule_names(entry.kind).unwrap_or_else(|| match entry.kind {
            EntryKind::System(builtin) => (own(), builtin.as_str().to_owned()),
            _ => (own(), "default".to_owned()),
        })
    }

    /// The group and the id of the rule that an entry is from; of access among members, `intra-group`. `None` where it
    /// is from no group.
    pub fn rule_names(&self, kind: EntryKind) -> Option<(String, String)> {
        let group_id = |group: usize| self.groups.get(group).map(|group| group.id.clone());
        match kind {
            EntryKind::System(_) | EntryKind::Default => None,
            EntryKind::IntraGroup { group } => Some((group_id(group)?, "intra-group".to_owned())),
            EntryKind::Rule { group, rule } => {
                let found = self.groups.get(group).and_then(|group| group.rules.get(rule));
                Some((group_id(group)?, found?.id.to_string()))
            }
        }
    }
}
