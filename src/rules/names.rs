//! Positions of what rules name, by name, and the interfaces of groups and tags.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::{Interface, PortList, PrefixList, SecurityGroup, Tag};

type Positions = HashMap<String, usize, FixedState>;
type Several = HashMap<String, Vec<usize>, FixedState>;

/// An index over a rule set: every rule names groups and lists, and each would be looked for among all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    groups: Positions,
    prefix_lists: Positions,
    port_lists: Positions,
    tags: Several,
    /// The interfaces that carry a tag, ascending.
    carriers: Several,
    /// The interfaces of each group, ascending.
    members: Vec<Vec<usize>>,
}

impl Names {
    pub(super) fn new(
        groups: &[SecurityGroup],
        interfaces: &[Interface],
        (prefix_lists, port_lists, tags): (&[PrefixList], &[PortList], &[Tag]),
    ) -> Self {
        let mut names = Self {
            groups: positions(groups.iter().map(|group| &group.id)),
            prefix_lists: positions(prefix_lists.iter().map(|list| &list.id)),
            port_lists: positions(port_lists.iter().map(|list| &list.id)),
            members: vec![Vec::new(); groups.len()],
            ..Self::default()
        };
        for (position, tag) in tags.iter().enumerate() {
            add(&mut names.tags, &tag.name, position);
        }
        for (position, eni) in interfaces.iter().enumerate() {
            for group in &eni.groups {
                if let Some(members) = names.members.get_mut(*group)
                    && members.last() != Some(&position)
                {
                    members.push(position);
                }
            }
            for tag in &eni.tags {
                add(&mut names.carriers, tag, position);
            }
        }
        names
    }

    pub(super) fn group(&self, id: &str) -> Option<usize> {
        self.groups.get(id).copied()
    }

    pub(super) fn prefix_list(&self, id: &str) -> Option<usize> {
        self.prefix_lists.get(id).copied()
    }

    pub(super) fn port_list(&self, id: &str) -> Option<usize> {
        self.port_lists.get(id).copied()
    }

    pub(super) fn tags(&self, name: &str) -> &[usize] {
        self.tags.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn carriers(&self, tag: &str) -> &[usize] {
        self.carriers.get(tag).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn members(&self, group: usize) -> &[usize] {
        self.members.get(group).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The first of each name.
fn positions<'n>(names: impl Iterator<Item = &'n String>) -> Positions {
    let mut found = Positions::default();
    for (position, name) in names.enumerate() {
        found.entry(name.clone()).or_insert(position);
    }
    found
}

fn add(to: &mut Several, name: &str, position: usize) {
    match to.get_mut(name) {
        Some(known) if known.last() == Some(&position) => {}
        Some(known) => known.push(position),
        None => drop(to.insert(name.to_owned(), vec![position])),
    }
}
