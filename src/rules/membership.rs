//! Which interfaces are in which groups, and what follows where nobody has said (SEMANTICS F26).
//!
//! A listing of groups without interfaces does not say which instance has which of them. Each group is then
//! judged by itself, as if one interface had it alone, and the members of a group that a rule names as its
//! peer are unknown, not none: a question about all packets is asked for every [`Assumption`] about them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{
    EntryKind, Expectation, GroupType, Interface, NicType, ONLY_INTERFACE, Packets, Peer, Policy,
    RulePlace, RuleSet, SecurityGroup, validate,
};
use crate::flow::Direction;

/// What is known of the groups that interfaces have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Membership {
    /// The interfaces are listed, or there is one, which has every group.
    #[default]
    Stated,
    /// Some interfaces are listed, and there may be others: a group that no listed one has alone is judged by itself,
    /// and each group may have more members than are known.
    Partial,
    /// Groups of a listing without interfaces: each is judged by itself.
    Unknown,
}

/// Groups without known members; each address is assumed to be a member of all of them, and of no other such
/// group. The default assumes nothing.
#[derive(
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Assumption(BTreeSet<String>);

impl Assumption {
    /// The groups, by id.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether nothing is assumed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether members of the group are assumed.
    pub fn includes(&self, group: &str) -> bool {
        self.0.contains(group)
    }

    /// Whether it assumes less than another: only groups of that one, and not all of them.
    pub fn is_part_of(&self, other: &Self) -> bool {
        self.0.len() < other.0.len() && self.0.is_subset(&other.0)
    }

    /// Members of these groups, and of no other.
    pub fn from_groups<'g>(groups: impl IntoIterator<Item = &'g str>) -> Self {
        Self(groups.into_iter().map(str::to_owned).collect())
    }

    /// So many assumptions are asked about at most.
    const MOST: usize = 512;

    /// Every assumption that can make a difference to lists of entries: none, a group, and, since two entries
    /// of different policies decide where a verdict differs, a group whose members are accepted together with
    /// one whose members are dropped. Each comes behind those that are part of it. `None` where there are too many to
    /// ask about.
    pub fn all(unknown: &UnknownGroups) -> Option<Vec<Self>> {
        if unknown.0.len() > Self::MOST {
            return None;
        }
        let mut found = vec![Self::default()];
        found.extend(unknown.0.keys().map(|group| Self::from_groups([group.as_str()])));
        let (mut accepted, mut dropped) = (Vec::new(), Vec::new());
        for (group, of) in &unknown.0 {
            accepted.extend(of.accepts.then_some(group));
            dropped.extend(of.drops.then_some(group));
        }
        let pairs = accepted.iter().flat_map(|a| dropped.iter().map(move |b| [a.as_str(), b]));
        // Either order of two groups is the same pair.
        let pairs = pairs.filter(|[a, b]| a != b).map(Self::from_groups).take(2 * Self::MOST);
        found.extend(pairs.collect::<BTreeSet<Self>>());
        (found.len() <= Self::MOST).then_some(found)
    }
}

/// Groups that a list of entries names and whose members are not known, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnknownGroups(BTreeMap<String, Policies>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Policies {
    accepts: bool,
    drops: bool,
}

impl UnknownGroups {
    /// Those of both lists.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for (group, Policies { accepts, drops }) in other.0 {
            let known = self.0.entry(group).or_default();
            known.accepts |= accepts;
            known.drops |= drops;
        }
        self
    }

    /// The groups, by id.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a group is among them.
    pub fn includes(&self, group: &str) -> bool {
        self.0.contains_key(group)
    }

    /// Those that are among others.
    #[must_use]
    pub fn among(&self, others: &BTreeSet<&str>) -> Self {
        let kept = self.0.iter().filter(|(group, _)| others.contains(group.as_str()));
        Self(kept.map(|(group, of)| (group.clone(), *of)).collect())
    }

    fn add(&mut self, group: &str, policy: Policy) {
        let known = self.0.entry(group.to_owned()).or_default();
        match policy {
            Policy::Accept => known.accepts = true,
            Policy::Drop => known.drops = true,
        }
    }
}

/// Why an interface cannot have the groups that are chosen for it, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GroupsError(String);

impl RuleSet {
    /// What is known of the groups that interfaces have.
    pub fn membership(&self) -> Membership {
        self.membership
    }

    /// The interfaces of groups that nobody has listed any for.
    pub(super) fn unlisted(&self) -> Vec<Interface> {
        match (self.membership, self.groups.as_slice()) {
            (Membership::Unknown, [_, _, ..]) => {
                let groups = self.groups.iter().enumerate();
                let interface = |(position, group): (usize, &SecurityGroup)| {
                    self.unlisted_interface(&group.id, vec![position])
                };
                groups.map(interface).collect()
            }
            _ => vec![self.one_interface()],
        }
    }

    /// Adds an interface for each group that no interface has alone, where there may be interfaces which are not listed
    /// (SEMANTICS F26).
    pub(super) fn add_stand_ins(&mut self) {
        if self.membership == Membership::Partial {
            // Rules may be about tags, which another instance does not have.
            let alone = self.interfaces.iter().filter(|eni| eni.tags.is_empty());
            let alone = alone.filter_map(|eni| match eni.groups.as_slice() {
                [group] => Some(*group),
                _ => None,
            });
            let had: HashSet<usize> = alone.collect();
            for group in (0..self.groups.len()).filter(|group| !had.contains(group)) {
                self.stand_in(group);
            }
        }
    }

    fn stand_in(&mut self, position: usize) {
        if let Some(group) = self.groups.get(position) {
            let stand_in = self.unlisted_interface(&group.id, vec![position]);
            self.interfaces.push(stand_in);
        }
    }

    /// Judges the groups by themselves that another rule set judges so, so that the two can be compared where only one
    /// of them knows an interface that has the group.
    pub fn stand_in_as(&mut self, other: &Self) {
        if self.membership != Membership::Partial || other.membership != Membership::Partial {
            return;
        }
        let stand_ins = |rules: &Self| -> HashSet<String> {
            rules.interfaces.iter().skip(rules.listed).map(|eni| eni.id.clone()).collect()
        };
        let missing = &stand_ins(other) - &stand_ins(self);
        for group in 0..self.groups.len() {
            if self.groups.get(group).is_some_and(|of| missing.contains(&of.id)) {
                self.stand_in(group);
            }
        }
        self.index();
    }

    /// The interfaces that the files list.
    pub fn listed_interfaces(&self) -> &[Interface] {
        self.interfaces.get(..self.listed).unwrap_or_default()
    }

    /// Whether there may be interfaces that are not listed.
    fn may_have_others(&self) -> bool {
        !self.interfaces_listed || self.membership == Membership::Partial
    }

    /// Whether there are several groups of which it is not known which an instance has; packets of a capture
    /// cannot be judged then.
    pub fn asks_for_groups(&self) -> bool {
        self.membership == Membership::Unknown && self.interfaces.len() > 1
    }

    /// Says which groups the one interface has, of rules that list no interfaces; the others are left out.
    ///
    /// # Errors
    /// When a group is not there, when interfaces are listed, or when no interface can have these groups
    /// together; in words.
    pub fn choose_groups(&mut self, ids: &[String]) -> Result<(), GroupsError> {
        if self.interfaces_listed {
            let ids: Vec<&str> = self.interfaces.iter().map(|eni| eni.id.as_str()).collect();
            return Err(GroupsError(format!(
                "the rules list interfaces with their groups, so --groups has nothing to say: {}",
                listed(&ids)
            )));
        }
        let mut chosen = Vec::new();
        for id in ids {
            let Some(position) = self.group_position(id) else {
                let known: Vec<&str> = self.groups.iter().map(|group| group.id.as_str()).collect();
                let near = super::nearest(id, known.iter().copied());
                let hint = near.map_or_else(
                    || format!("there are: {}", listed(&known)),
                    |near| format!("did you mean `{near}`?"),
                );
                return Err(GroupsError(format!("there is no group `{id}`; {hint}")));
            };
            if !chosen.contains(&position) {
                chosen.push(position);
            }
        }
        if let Some(message) = validate::together((self.cloud, self.quotas), &self.groups, &chosen)
        {
            return Err(GroupsError(message));
        }
        let moved = |place: &RulePlace| match *place {
            RulePlace::Rule(g, r, field) => {
                chosen.iter().position(|group| *group == g).map(|g| RulePlace::Rule(g, r, field))
            }
            other => Some(other),
        };
        let host_bits = self.host_bits.iter();
        self.host_bits = host_bits.filter_map(|(at, net)| Some((moved(at)?, *net))).collect();
        self.groups = chosen.iter().filter_map(|group| self.groups.get(*group)).cloned().collect();
        let addresses = self.interfaces.first().map(|eni| eni.addresses.clone());
        self.interfaces =
            vec![Interface { addresses: addresses.unwrap_or_default(), ..self.one_interface() }];
        self.index();
        Ok(())
    }

    /// The interface that has every group.
    fn one_interface(&self) -> Interface {
        self.unlisted_interface(ONLY_INTERFACE, (0..self.groups.len()).collect())
    }

    fn unlisted_interface(&self, id: &str, groups: Vec<usize>) -> Interface {
        Interface {
            id: id.to_owned(),
            addresses: Vec::new(),
            groups,
            subnet: Vec::new(),
            timeouts: self.cloud.timeouts(),
            nic_type: NicType::Intranet,
            tags: self.instance_tags.clone(),
        }
    }

    /// The interface of that id; of groups that are judged each by itself also by the group's id.
    pub fn interface_named(&self, name: &str) -> Option<usize> {
        let by_id = self.interfaces.iter().position(|eni| eni.id == name);
        by_id.or_else(|| self.interfaces.iter().position(|eni| self.only_group(eni) == Some(name)))
    }

    /// The id of the one group of an interface that stands for that group.
    pub fn only_group(&self, eni: &Interface) -> Option<&str> {
        let stands_in = match self.membership {
            Membership::Stated => false,
            // One that is listed has an address.
            Membership::Partial => eni.addresses.is_empty(),
            Membership::Unknown => true,
        };
        match eni.groups.as_slice() {
            [group] if stands_in => self.groups.get(*group).map(|group| group.id.as_str()),
            _ => None,
        }
    }

    /// Whether members of a group, of this account or another, are not known. Where all interfaces are listed,
    /// those of the groups beside them are.
    pub fn members_unknown(&self, group: &str) -> bool {
        match self.group_position(group) {
            Some(_) => self.may_have_others(),
            None => true,
        }
    }

    /// The groups without known members that entries of an interface and direction are about: as peers, and,
    /// where there may be other interfaces, as groups whose members reach each other.
    pub fn unknown_groups(&self, interface: usize, direction: Direction) -> UnknownGroups {
        let peers = self.unknown_peers(interface, direction);
        match self.membership {
            Membership::Stated => peers,
            Membership::Partial | Membership::Unknown => {
                peers.and(self.unlisted_members(interface, direction))
            }
        }
    }

    /// The groups that an entry is about: those that a rule names as its peers, or the one whose members reach each other.
    pub(crate) fn groups_of_entry<'r>(&'r self, kind: EntryKind) -> Vec<&'r str> {
        match kind {
            EntryKind::Rule { group, rule } => {
                let rule = self.groups.get(group).and_then(|of| of.rules.get(rule));
                let named = |peer: &'r Peer| match peer {
                    Peer::Group(of) => Some(of.id.as_str()),
                    _ => None,
                };
                rule.into_iter().flat_map(|rule| &rule.peers).filter_map(named).collect()
            }
            EntryKind::IntraGroup { group } => {
                self.groups.get(group).map(|of| of.id.as_str()).into_iter().collect()
            }
            EntryKind::System(_) | EntryKind::Default => Vec::new(),
        }
    }

    /// The groups without known members that rules of an interface and direction name.
    pub fn unknown_peers(&self, interface: usize, direction: Direction) -> UnknownGroups {
        let mut found = UnknownGroups::default();
        let eni = self.interfaces.get(interface);
        for group in eni.map(|eni| eni.groups.as_slice()).unwrap_or_default() {
            let Some(group) = self.groups.get(*group) else { continue };
            for rule in group.rules.iter().filter(|rule| rule.direction == direction) {
                for peer in rule.peers.iter().chain(&rule.local) {
                    if let Peer::Group(of) = peer
                        && self.members_unknown(&of.id)
                    {
                        found.add(&of.id, rule.policy);
                    }
                }
            }
        }
        found
    }

    /// Groups without known members that an expectation names.
    pub fn unknown_groups_of(&self, expected: &Expectation) -> UnknownGroups {
        let mut found = UnknownGroups::default();
        let named = expected.except.iter().chain([&expected.packets]).flat_map(Packets::groups);
        for group in named.filter(|group| self.members_unknown(group)) {
            // It sets apart accepted packets and dropped ones alike.
            found.add(group, Policy::Accept);
            found.add(group, Policy::Drop);
        }
        found
    }

    /// The groups of an interface whose members reach each other, and of which some may not be listed.
    pub fn unlisted_members(&self, interface: usize, direction: Direction) -> UnknownGroups {
        let mut found = UnknownGroups::default();
        let eni = self.interfaces.get(interface);
        for group in eni.map(|eni| eni.groups.as_slice()).unwrap_or_default() {
            if let Some(group) = self.groups.get(*group)
                && self.has_unlisted_members(group)
                && self.intra_group_step(direction)
            {
                found.add(&group.id, Policy::Accept);
            }
        }
        found
    }

    /// Whether members of the group reach each other, and some may not be listed.
    pub(super) fn has_unlisted_members(&self, group: &SecurityGroup) -> bool {
        self.may_have_others()
            && group.group_type == GroupType::Basic
            && group.inner_access_policy == Policy::Accept
    }

    /// SEMANTICS F1: there is no intra-group step on egress, unless the switch says so.
    pub(super) fn intra_group_step(&self, direction: Direction) -> bool {
        direction == Direction::Ingress || self.switches.intra_group_egress
    }
}

/// The first of many names, and how many more there are.
pub fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 20;
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
