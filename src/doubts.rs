//! What a verdict hangs on and nobody has said: who began a connection, and who the members of a group are.

use std::collections::BTreeMap;

use crate::flow::{Direction, FlowTuple};
use crate::rules::{Addresses, EntryIndex, Matcher, Policy, RuleSet};
use crate::verdict::Verdict;

/// Something that may be so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Supposition {
    /// The receiver of the first packet began the connection.
    ReceiverBegan,
    /// The far end is a member of this group, of which nobody has said who is (SEMANTICS F26).
    Member(String),
}

/// The other verdict that the packet which opens a connection gets if something is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternative {
    /// The packet's frame.
    pub frame: u64,
    /// What would have to be so.
    pub supposed: Supposition,
    /// The verdict then.
    pub verdict: Verdict,
}

/// Entries about members of groups who are not known, of an interface and direction.
#[derive(Debug, Default)]
pub(crate) struct UnknownMembers(Vec<AboutMembers>);

#[derive(Debug)]
struct AboutMembers {
    entry: EntryIndex,
    policy: Policy,
    group: String,
    /// What holds for members, whoever they are.
    matcher: Matcher,
}

impl UnknownMembers {
    /// Those of an interface's list.
    pub(crate) fn new(rules: &RuleSet, interface: usize, direction: Direction) -> Self {
        let unknown = rules.unknown_peers(interface, direction);
        let mut found = Vec::new();
        if unknown.groups().next().is_some() {
            let list = rules.ordered(interface, direction);
            for (position, entry) in (0..).zip(list.entries()) {
                for group in
                    unknown.groups().filter(|group| rules.has_peer_group(entry.kind, group))
                {
                    found.push(AboutMembers {
                        entry: EntryIndex(position),
                        policy: entry.policy,
                        group: group.to_owned(),
                        matcher: Matcher { peer: Addresses::Any, ..entry.matcher.clone() },
                    });
                }
            }
        }
        Self(found)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The groups whose members get another verdict than the one by `decided`, and which.
    pub(crate) fn alternatives(
        &self,
        flow: &FlowTuple,
        direction: Direction,
        decided: (EntryIndex, Verdict),
    ) -> impl Iterator<Item = (String, Verdict)> {
        let (entry, verdict) = decided;
        let mut first: BTreeMap<&str, Policy> = BTreeMap::new();
        for of in self.0.iter().take_while(|of| of.entry.0 < entry.0) {
            if of.matcher.fails_on(flow, direction).is_none() {
                first.entry(&of.group).or_insert(of.policy);
            }
        }
        let other = first.into_iter().map(|(group, policy)| (group.to_owned(), policy.into()));
        let other: Vec<(String, Verdict)> = other.filter(|(_, other)| *other != verdict).collect();
        other.into_iter()
    }
}

/// How many connections get another verdict if something is so, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubts(BTreeMap<Supposition, (u64, u64)>);

impl Doubts {
    pub(crate) fn add(&mut self, supposed: Supposition, frame: u64) {
        self.0.entry(supposed).or_insert((0, frame)).0 += 1;
    }

    /// What is supposed, how many connections hang on it, and the frame that opens the first of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Supposition, u64, u64)> {
        self.0.iter().map(|(supposed, (n, frame))| (supposed, *n, *frame))
    }
}
