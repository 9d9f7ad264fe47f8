//! What a verdict depends on and is not known: who began a connection, and who the members of a group are.

use std::collections::{BTreeMap, BTreeSet};

use crate::evaluate::{Compiled, Evaluator, Reference};
use crate::flow::{Direction, FlowTuple};
use crate::rules::{Assumption, Entry, Matcher, Ordered, RuleSet, SharedLists, UnknownGroups};
use crate::verdict::Verdict;

/// Something that may be so.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Supposition {
    /// The receiver of the first packet began the connection.
    pub receiver_began: bool,
    /// The far end is a member of these groups, of which nobody has said who is (SEMANTICS F26).
    pub members_of: Assumption,
}

impl Supposition {
    /// Whether it supposes less than another, and nothing else.
    fn is_part_of(&self, other: &Self) -> bool {
        self.receiver_began == other.receiver_began && self.members_of.is_part_of(&other.members_of)
    }

    /// What both suppose.
    fn and(&self, other: &Self) -> Self {
        let groups = self.members_of.groups().chain(other.members_of.groups());
        Self {
            receiver_began: self.receiver_began || other.receiver_began,
            members_of: Assumption::from_groups(groups),
        }
    }
}

/// The verdict that the packet which opens a connection gets if something is so, whether it is another one or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternative {
    /// The packet's frame.
    pub frame: u64,
    /// What is supposed.
    pub supposed: Supposition,
    /// The verdict then.
    pub verdict: Verdict,
}

/// The suppositions that were weighed for a packet by one rule set.
pub(crate) type Weighed = Vec<(Supposition, Verdict)>;

/// Adds what one interface says of a packet if something is so: it passes only if each says so.
pub(crate) fn weigh(weighed: &mut Weighed, supposed: Supposition, verdict: Verdict) {
    match weighed.iter_mut().find(|(known, _)| *known == supposed) {
        Some((_, known)) if verdict == Verdict::Deny => *known = verdict,
        Some(_) => {}
        None => weighed.push((supposed, verdict)),
    }
}

/// What both rule sets say of a packet if something is so; `certain` is what they say otherwise.
pub(crate) fn of_both(
    certain: [Verdict; 2],
    weighed: [&Weighed; 2],
) -> Vec<(Supposition, [Verdict; 2])> {
    let [current, proposed] = weighed;
    let mut supposed: Vec<Supposition> =
        current.iter().chain(proposed).map(|(supposed, _)| supposed.clone()).collect();
    let unions = current.iter().flat_map(|(a, _)| proposed.iter().map(|(b, _)| a.and(b)));
    supposed.extend(unions);
    supposed.sort_unstable();
    supposed.dedup();
    let verdict = |supposed: &Supposition, weighed: &Weighed, certain: Verdict| {
        let exact = weighed.iter().find(|(known, _)| known == supposed);
        let most = || {
            let parts = weighed.iter().filter(|(known, _)| known.is_part_of(supposed));
            parts.max_by_key(|(known, _)| known.members_of.groups().count())
        };
        exact.or_else(most).map_or(certain, |(_, verdict)| *verdict)
    };
    let both = supposed.into_iter().map(|supposed| {
        let [now, then] = certain;
        let verdicts = [verdict(&supposed, current, now), verdict(&supposed, proposed, then)];
        (supposed, verdicts)
    });
    both.collect()
}

/// Groups without known members that the rules of interfaces with the same list are about, in a direction.
#[derive(Debug, Default)]
pub(crate) struct UnknownMembers {
    groups: UnknownGroups,
    /// The entries about each group, as they match its members.
    about: Vec<(String, Matcher)>,
}

/// The lists that assumptions make, of those that were asked about.
pub(crate) type Worlds = BTreeMap<Assumption, (Ordered, Compiled)>;

impl UnknownMembers {
    /// Those of each list of a rule set, ingress first.
    pub(crate) fn of_lists(
        rules: &RuleSet,
        shared: &SharedLists,
        with_members: bool,
    ) -> Vec<[Self; 2]> {
        let of_list = |interface: &usize| {
            [Direction::Ingress, Direction::Egress]
                .map(|direction| Self::new(rules, *interface, direction, with_members))
        };
        shared.first_interfaces().iter().map(of_list).collect()
    }

    /// Those of an interface's list; with those whose members reach each other, if they are asked for.
    pub(crate) fn new(
        rules: &RuleSet,
        interface: usize,
        direction: Direction,
        with_members: bool,
    ) -> Self {
        let mut groups = rules.unknown_peers(interface, direction);
        if with_members {
            groups = groups.and(rules.unlisted_members(interface, direction));
        }
        if groups.is_empty() {
            return Self::default();
        }
        let all = Assumption::from_groups(groups.groups());
        let mut about = Vec::new();
        for entry in rules.ordered_for_all(interface, direction, &all).entries() {
            for kind in std::iter::once(&entry.kind).chain(&entry.through) {
                let named = rules.groups_of_entry(*kind).into_iter();
                let named = named.filter(|group| groups.includes(group));
                about.extend(named.map(|group| (group.to_owned(), entry.matcher.clone())));
            }
        }
        Self { groups, about }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The verdicts of a packet under every assumption that may make a difference to it; `None` where these are too many.
    pub(crate) fn verdicts(
        &self,
        worlds: &mut Worlds,
        (rules, interface): (&RuleSet, usize),
        flow: &FlowTuple,
        direction: Direction,
        index_memory: usize,
    ) -> Option<Vec<(Assumption, Verdict)>> {
        // One packet seldom meets more; what another meets is compiled again.
        const MOST_KEPT: usize = 64;
        let met = self.about.iter().filter(|(_, of)| of.fails_on(flow, direction).is_none());
        let met: BTreeSet<&str> = met.map(|(group, _)| group.as_str()).collect();
        if met.is_empty() {
            return Some(Vec::new());
        }
        let assumptions = Assumption::all(&self.groups.among(&met))?;
        // An interface is no member of its own group, and the lists are of several interfaces.
        let peer = flow.peer(direction);
        let own = rules.interfaces().get(interface).map(|eni| eni.addresses.as_slice());
        let is_own = own.unwrap_or_default().iter().any(|net| net.contains(&peer));
        let mut verdicts = Vec::new();
        for assumed in assumptions.into_iter().filter(|assumed| !assumed.is_empty()) {
            if worlds.len() > MOST_KEPT && !worlds.contains_key(&assumed) {
                worlds.clear();
            }
            let (ordered, compiled) = worlds.entry(assumed.clone()).or_insert_with_key(|of| {
                let ordered = rules.ordered_for_all(interface, direction, of);
                let compiled = Compiled::within(&ordered, index_memory);
                (ordered, compiled)
            });
            let verdict = |decides: Option<&Entry>| {
                decides.map_or(Verdict::Deny, |entry| entry.policy.into())
            };
            let verdict = if is_own {
                let ordered = rules.ordered_assuming(interface, direction, &assumed);
                verdict(ordered.entry(Reference(&ordered).decide(flow)))
            } else {
                verdict(ordered.entry(compiled.decide(flow)))
            };
            verdicts.push((assumed, verdict));
        }
        Some(verdicts)
    }
}

/// How many connections get another verdict if something is so.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Doubts {
    by: BTreeMap<Supposition, (u64, u64)>,
    total: u64,
    last: u64,
}

impl Doubts {
    pub(crate) fn add(&mut self, supposed: Supposition, frame: u64) {
        let (count, first) = self.by.entry(supposed).or_insert((0, frame));
        *count += 1;
        *first = frame.min(*first);
        self.total += u64::from(frame != self.last);
        self.last = frame;
    }

    /// Adds those of other frames.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (supposed, (count, frame)) in &other.by {
            let (known, first) = self.by.entry(supposed.clone()).or_insert((0, *frame));
            *known += count;
            *first = (*first).min(*frame);
        }
        self.total += other.total;
    }

    /// Counts their frames behind so many others.
    pub(crate) fn put_behind(&mut self, before: u64) {
        for (_, first) in self.by.values_mut() {
            *first += before;
        }
    }

    /// How many connections depend on anything.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// What is supposed, how many connections depend on it, and the frame that opens the first of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Supposition, u64, u64)> {
        self.by.iter().map(|(supposed, (n, frame))| (supposed, *n, *frame))
    }
}
