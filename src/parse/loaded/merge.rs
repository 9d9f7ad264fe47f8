//! Groups of several files, merged.

use ipnet::IpNet;

use super::{Found, FoundGroup, FoundInterface, Loaded};
use crate::parse::json::Faults;
use crate::rules::{Rule, RuleId};

impl Loaded {
    /// Adds a group that a file has whole. One that another file has too is the same group, if it says the
    /// same.
    pub(in crate::parse) fn add_group(
        &mut self,
        id: &str,
        vpc_id: Option<String>,
        rules: Vec<Found>,
        path: &str,
        faults: &mut Faults,
    ) {
        if let Some(known) = self.add_group_of_key((id, id), rules, path, faults) {
            known.vpc_id = vpc_id;
        }
    }

    /// The same, by key and name; the group, if it is new.
    pub(in crate::parse) fn add_group_of_key(
        &mut self,
        (key, id): (&str, &str),
        rules: Vec<Found>,
        path: &str,
        faults: &mut Faults,
    ) -> Option<&mut FoundGroup> {
        let known = self.group_of_key(key, id);
        if !known.has_rules {
            (known.has_rules, known.rules) = (true, rules);
            return Some(known);
        }
        let says = |of: &[Found]| of.iter().map(|found| found.rule.clone()).collect::<Vec<_>>();
        if says(&known.rules) != says(&rules) {
            let message = format!(
                "another file, or another part of this one, has group {id} with other rules; keep the newer one"
            );
            faults.add(path, message);
        }
        None
    }

    /// Adds an interface that an answer has. Another file may have it too, with more or with fewer details; but both must say
    /// the same of its groups and tags, since every verdict rests on them, and nobody knows which is newer.
    pub(in crate::parse) fn add_interface(
        &mut self,
        eni: FoundInterface,
        path: &str,
        faults: &mut Faults,
    ) {
        let place = self.interface_places.get(&eni.key());
        let known = place.and_then(|place| self.interfaces.get_mut(*place));
        // Where names are those of people, another machine may have the same one.
        let Some(known) = known.filter(|known| known.may_be(&eni)) else {
            return self.push_interface(eni);
        };
        // Answers about interfaces are read before those about instances.
        if eni.is_of_instance && !known.is_of_instance {
            return;
        }
        for (what, before, now) in
            [("groups", &known.groups, &eni.groups), ("tags", &known.tags, &eni.tags)]
        {
            let (before, now) = (sorted(before), sorted(now));
            if !now.is_empty() && !before.is_empty() && before != now {
                let message = format!(
                    "interface {} has the {what} {} here, and {} in another file, or another part of this one; keep the \
                     newer one",
                    eni.id,
                    now.join(", "),
                    before.join(", "),
                );
                faults.add(path, message);
            }
        }
        let new = eni.addresses.iter().filter(|net| !known.addresses.contains(net));
        let new: Vec<IpNet> = new.copied().collect();
        known.addresses.extend(new);
        known.timeouts = eni.timeouts;
        for (before, now) in [
            (&mut known.groups, eni.groups),
            (&mut known.subnets, eni.subnets),
            (&mut known.tags, eni.tags),
        ] {
            if !now.is_empty() {
                *before = now;
            }
        }
    }

    fn push_interface(&mut self, eni: FoundInterface) {
        self.interface_places.entry(eni.key()).or_insert(self.interfaces.len());
        self.interfaces.push(eni);
    }

    /// A rule is of a group that the files do not own, whose other rules are therefore unknown.
    pub(in crate::parse) fn is_of_another(&mut self, rule: &str, group: &str) {
        self.of_others.push((rule.to_owned(), group.to_owned()));
    }

    /// Adds what another state has. Of a group that only one of them owns, the other may have rules.
    pub(in crate::parse) fn merge(&mut self, from: Self, faults: &mut Faults) {
        let in_part = |of: &[(String, String)], id: &str| of.iter().any(|(_, group)| group == id);
        let mut known_whole: Vec<String> = Vec::new();
        for group in from.groups {
            let parts = [in_part(&self.of_others, &group.id), in_part(&from.of_others, &group.id)];
            let known = self.group_of_key(&group.key, &group.id);
            if !known.has_rules || !group.has_rules {
                if !known.has_rules {
                    *known = group;
                }
                continue;
            }
            match parts {
                [false, false] if contents(&known.rules) != contents(&group.rules) => {
                    let message = format!(
                        "another file has group {} with other rules; keep the newer one",
                        group.id
                    );
                    faults.add("", message);
                }
                [false, false] => {}
                [true, false] => {
                    known_whole.push(group.id.clone());
                    let rules = std::mem::replace(known, group).rules;
                    known.rules.extend(rules);
                }
                [false, true] => {
                    known_whole.push(group.id.clone());
                    known.rules.extend(group.rules);
                }
                [true, true] => known.rules.extend(group.rules),
            }
        }
        self.of_others.extend(from.of_others);
        self.of_others.retain(|(_, group)| !known_whole.contains(group));
        from.interfaces.into_iter().for_each(|eni| self.push_interface(eni));
        self.prefix_lists.extend(from.prefix_lists);
        self.port_lists.extend(from.port_lists);
        self.warnings.extend(from.warnings);
        self.incomplete.extend(from.incomplete);
        self.unknown.extend(from.unknown);
        self.subnets.extend(from.subnets);
        self.networks.extend(from.networks);
        self.is_state |= from.is_state;
        self.lists_all |= from.lists_all;
        self.is_template |= from.is_template;
        self.owners.extend(from.owners);
    }
}

fn sorted(names: &[String]) -> Vec<&str> {
    let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    sorted
}

impl FoundInterface {
    fn key(&self) -> (String, Vec<String>) {
        (self.id.clone(), self.qualifiers.clone())
    }

    /// Whether nothing shows that another one of its name is another machine's.
    fn may_be(&self, other: &Self) -> bool {
        self.addresses.is_empty()
            || other.addresses.is_empty()
            || self.addresses.iter().any(|net| other.addresses.contains(net))
    }
}

/// What rules say, whatever they are called.
fn contents(rules: &[Found]) -> Vec<String> {
    let unnamed = |found: &Found| {
        let id = RuleId::Named(String::new());
        format!("{:?}", Rule { id, description: None, ..found.rule.clone() })
    };
    let mut contents: Vec<String> = rules.iter().map(unnamed).collect();
    contents.sort_unstable();
    contents.dedup();
    contents
}
