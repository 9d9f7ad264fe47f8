//! The exact difference of two rule sets over all possible packets.
//!
//! Entries that both lists have in common, in the same order, cannot make a difference to a packet by
//! themselves: the first of them that matches is the same in both. So every packet whose verdict turns
//! matches an entry that only one of the lists has, and no other packet need be looked at.

use std::collections::{HashMap, HashSet};

use super::edits::edits;
use super::{Change, Effect};
use crate::flow::{Direction, Protocol};
use crate::header_space::{AddressRange, Question, Region, TooComplex, parts};
use crate::rules::{
    Assumption, Entry, EntryIndex, EntryKind, Interface, Matcher, Membership, Ordered, Policy,
    RuleProtocol, RuleSet, UnknownGroups,
};

/// Packets whose verdict a change turns, all by the same two entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turned {
    /// [`Effect::NewlyDenied`] or [`Effect::NewlyAllowed`].
    pub effect: Effect,
    /// Where: positions of the interface in the current and in the proposed rule set. `None` where one of them
    /// does not have the group that it stands for.
    pub interfaces: [Option<usize>; 2],
    /// The packets.
    pub region: Region,
    /// The verdict of those turns whose far side is a member of these groups, of which nobody has said who is;
    /// empty where it turns whoever that is.
    pub members_of: Assumption,
    /// Whether they are answers of connections that both rule sets let open: a network ACL judges them by themselves
    /// (SEMANTICS H6).
    pub replies: bool,
    /// Whether it holds only some of the interface's own addresses.
    pub narrowed: bool,
    /// The entries that decide, by the current and by the proposed rules.
    pub deciders: [EntryIndex; 2],
}

impl Turned {
    /// Whether this is where a connection's verdict was turned.
    pub fn turned(&self, change: &Change) -> bool {
        let side = match self.effect {
            Effect::NewlyDenied => (change.proposed.at, self.interfaces[1]),
            _ => (change.current.at, self.interfaces[0]),
        };
        let (Some((interface, direction, _)), Some(at)) = side else { return false };
        let flow = if self.replies { change.flow.reversed() } else { change.flow };
        change.effect == self.effect
            && self.members_of.is_empty()
            && interface == at
            && direction == self.region.direction()
            && self.region.contains(&flow)
    }
}

/// The regions of all interfaces that both rule sets have whose verdict the change turns, disjoint for
/// each interface and direction; the largest first. None means that the rule sets are equivalent there.
///
/// Where groups are judged each by itself (SEMANTICS F26), one that only one of the rule sets has is compared
/// with a group without rules.
///
/// # Errors
/// When there are too many to list.
pub fn regions(current: &RuleSet, proposed: &RuleSet) -> Result<Vec<Turned>, TooComplex> {
    let mut found = Vec::new();
    for pair in pairs(current, proposed) {
        for direction in Direction::BOTH {
            let compared = Compared { sides: [current, proposed], pair, direction };
            compared.regions(&mut found)?;
            compared.replies(&mut found)?;
        }
    }
    found.sort_by(|a: &Turned, b| {
        let known = a.members_of.is_empty().cmp(&b.members_of.is_empty()).reverse();
        let size = || b.region.size().total_cmp(&a.region.size());
        a.effect.cmp(&b.effect).then(known).then_with(size)
    });
    Ok(found)
}

/// An interface of two rule sets, in a direction.
struct Compared<'r> {
    sides: [&'r RuleSet; 2],
    pair: [Option<usize>; 2],
    direction: Direction,
}

impl Compared<'_> {
    fn each<T>(&self, mut of: impl FnMut(&RuleSet, usize) -> T) -> [Option<T>; 2] {
        let [a, b] = self.sides;
        let [at, now_at] = self.pair;
        [at.map(|at| of(a, at)), now_at.map(|at| of(b, at))]
    }

    fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        let sides = self.sides.into_iter().zip(self.pair);
        sides.filter_map(|(rules, at)| rules.interfaces().get(at?))
    }

    /// The lists of both under an assumption.
    fn lists(&self, assumed: &Assumption) -> [Ordered; 2] {
        let direction = self.direction;
        let lists = self.each(|rules, at| {
            let list = rules.ordered_assuming(at, direction, assumed);
            let bare = without_rules(rules, &list);
            (list, bare)
        });
        match lists {
            [Some((now, _)), Some((then, _))] => [now, then],
            [Some((now, bare)), None] => [now, bare],
            [None, Some((then, bare))] => [bare, then],
            [None, None] => [(), ()].map(|()| Ordered::new(direction, Vec::new(), Policy::Drop)),
        }
    }

    fn regions(&self, found: &mut Vec<Turned>) -> Result<(), TooComplex> {
        // Members who reach each other by both rule sets make no difference, but where a network ACL stands before.
        let mates = self.each(|rules, at| rules.unlisted_members(at, self.direction));
        let has_acl = |rules: &RuleSet, at| rules.stateless(at, self.direction).is_some();
        let layers = self.each(has_acl).into_iter().flatten().any(|has| has);
        let turn = layers || matches!(&mates, [Some(now), Some(then)] if now != then);
        let peers = self.each(|rules, at| rules.unknown_peers(at, self.direction));
        let unknown = peers.into_iter().chain(mates.into_iter().filter(|_| turn)).flatten();
        let unknown = unknown.reduce(UnknownGroups::and).unwrap_or_default();
        let assumptions = Assumption::all(&unknown).ok_or(TooComplex)?;
        for assumed in &assumptions {
            let lists = self.lists(assumed);
            let edits = edits(lists.each_ref().map(Ordered::entries));
            if edits.is_empty() {
                continue;
            }
            // What turns under a smaller assumption too is found there.
            let less = assumptions.iter().filter(|other| other.is_part_of(assumed));
            let less: Vec<Ordered> = less.flat_map(|assumed| self.lists(assumed)).collect();
            let all: Vec<&Ordered> = lists.iter().chain(&less).collect();
            let policy = |list: usize, index: &EntryIndex| -> Option<Policy> {
                all.get(list)?.entry(*index).map(|entry| entry.policy)
            };
            let turns = |deciders: &[EntryIndex]| {
                let pairs = deciders.chunks_exact(2).enumerate();
                let mut turned = pairs.map(|(n, pair)| match pair {
                    [a, b] => [policy(2 * n, a), policy(2 * n + 1, b)],
                    _ => [None, None],
                });
                let Some(here) = turned.next() else { return false };
                here[0] != here[1] && turned.all(|less| less != here)
            };
            let question = Question::all().matching(edits).local(self.interfaces());
            let own = local_addresses(self.direction, self.interfaces())?;
            for part in parts(&all, &question, turns)? {
                let [a, b, ..] = part.deciders.as_slice() else { continue };
                let effect = match policy(0, a) {
                    Some(Policy::Accept) => Effect::NewlyDenied,
                    _ => Effect::NewlyAllowed,
                };
                let region = part.region;
                found.push(Turned {
                    effect,
                    interfaces: self.pair,
                    replies: false,
                    narrowed: !own.contains(&region.locals()),
                    region,
                    members_of: assumed.clone(),
                    deciders: [*a, *b],
                });
            }
        }
        Ok(())
    }

    /// Answers that a network ACL stops by one of the rule sets only, of connections that both let open.
    fn replies(&self, found: &mut Vec<Turned>) -> Result<(), TooComplex> {
        let (direction, opposite) = (self.direction, self.direction.opposite());
        let [current, proposed] = self.sides;
        let [Some(at), Some(now_at)] = self.pair else { return Ok(()) };
        let acls = [current.stateless(at, direction), proposed.stateless(now_at, direction)];
        if acls.iter().all(Option::is_none) {
            return Ok(());
        }
        // A side without an ACL stops nothing.
        let acls = acls
            .map(|acl| acl.unwrap_or_else(|| Ordered::new(direction, Vec::new(), Policy::Accept)));
        let edits = edits(acls.each_ref().map(Ordered::entries));
        if edits.is_empty() {
            return Ok(());
        }
        let protocols = answered(acls.iter().flat_map(Ordered::entries));
        let unknown = self.each(|rules, at| rules.unknown_groups(at, opposite));
        let unknown = unknown.into_iter().flatten().reduce(UnknownGroups::and).unwrap_or_default();
        let assumptions = Assumption::all(&unknown).ok_or(TooComplex)?;
        let openings = |assumed: &Assumption| {
            let of =
                |rules: &RuleSet, at| rules.ordered_assuming(at, opposite, assumed).of_answers();
            [of(current, at), of(proposed, now_at)]
        };
        for assumed in &assumptions {
            let less = assumptions.iter().filter(|other| other.is_part_of(assumed));
            let opened: Vec<[Ordered; 2]> =
                std::iter::once(assumed).chain(less).map(openings).collect();
            let all: Vec<&Ordered> = acls.iter().chain(opened.iter().flatten()).collect();
            let accepts = |list: usize, index: &EntryIndex| {
                let entry = all.get(list).and_then(|list| list.entry(*index));
                entry.is_some_and(|entry| entry.policy == Policy::Accept)
            };
            let turns = |deciders: &[EntryIndex]| {
                let [a, b, opened @ ..] = deciders else { return false };
                // What is opened under a smaller assumption too is found there.
                let mut opened = opened.chunks_exact(2).enumerate().map(|(n, pair)| {
                    (2..).map(|m| 2 * n + m).zip(pair).all(|(list, index)| accepts(list, index))
                });
                accepts(0, a) != accepts(1, b)
                    && opened.next() == Some(true)
                    && opened.all(|opened| !opened)
            };
            let question = Question::all()
                .matching(edits.clone())
                .matching(protocols.clone())
                .local(self.interfaces());
            let own = local_addresses(direction, self.interfaces())?;
            for part in parts(&all, &question, turns)? {
                let [a, b, ..] = part.deciders.as_slice() else { continue };
                let effect = match accepts(0, a) {
                    true => Effect::NewlyDenied,
                    false => Effect::NewlyAllowed,
                };
                let region = part.region;
                // Their entries stand behind those that opening packets meet.
                let behind =
                    [(current, at, *a), (proposed, now_at, *b)].map(|(rules, at, index)| {
                        let openings = rules.ordered(at, direction).entries().len();
                        EntryIndex(
                            index.0.saturating_add(u32::try_from(openings).unwrap_or(u32::MAX)),
                        )
                    });
                found.push(Turned {
                    effect,
                    interfaces: self.pair,
                    replies: true,
                    narrowed: !own.contains(&region.locals()),
                    region,
                    members_of: assumed.clone(),
                    deciders: behind,
                });
            }
        }
        Ok(())
    }
}

/// Matches the answers of every protocol that entries name, and of those that all of them are about.
fn answered<'e>(entries: impl Iterator<Item = &'e Entry>) -> Vec<Matcher> {
    let mut protocols = vec![Protocol::TCP, Protocol::UDP, Protocol::ICMP, Protocol::ICMPV6];
    for entry in entries {
        if let RuleProtocol::Only(proto) = entry.matcher.protocol
            && !protocols.contains(&proto)
        {
            protocols.push(proto);
        }
    }
    protocols.into_iter().map(Matcher::answers).collect()
}

/// The list of a group without rules, but for those that every group has.
fn without_rules(rules: &RuleSet, list: &Ordered) -> Ordered {
    let (default, entries) = match list.entries() {
        [entries @ .., default] => (default.policy, entries),
        [] => (Policy::Drop, &[] as &[Entry]),
    };
    let kept = entries.iter().filter(|entry| match entry.kind {
        EntryKind::Rule { group, rule } => rules.is_fixed((group, rule)),
        _ => true,
    });
    Ordered::new(list.direction(), kept.cloned().collect(), default)
}

/// Positions of the interfaces that are compared.
fn pairs(current: &RuleSet, proposed: &RuleSet) -> Vec<[Option<usize>; 2]> {
    let [now, then] = [(current, proposed), (proposed, current)].map(|of| Side::new(of.0, of.1));
    let all = current.interfaces().iter().enumerate();
    let mut found: Vec<[Option<usize>; 2]> = all
        .map(|(at, eni)| [Some(at), then.position(&now, eni)])
        .filter(|[at, now_at]| now_at.is_some() || now.stands_alone(&then, *at))
        .collect();
    let new = proposed.interfaces().iter().enumerate();
    let new = new.filter(|(_, eni)| now.position(&then, eni).is_none());
    let new = new.filter(|(now_at, _)| then.stands_alone(&now, Some(*now_at)));
    found.extend(new.map(|(now_at, _)| [None, Some(now_at)]));
    found
}

/// The interfaces of one of two rule sets, by the names that the other one looks for.
struct Side<'r> {
    rules: &'r RuleSet,
    /// The first interface of each id.
    by_id: HashMap<&'r str, usize>,
    /// The first interface that stands for each group.
    by_group: HashMap<&'r str, usize>,
    /// One group on each side: the rules of an instance, whatever the group is called.
    is_only: bool,
    /// All interfaces stand for groups.
    stands_for_groups: bool,
}

impl<'r> Side<'r> {
    fn new(rules: &'r RuleSet, other: &RuleSet) -> Self {
        let (mut by_id, mut by_group) = (HashMap::new(), HashMap::new());
        let all = rules.interfaces();
        for (at, eni) in all.iter().enumerate() {
            by_id.entry(eni.id.as_str()).or_insert(at);
            if let Some(group) = rules.only_group(eni) {
                by_group.entry(group).or_insert(at);
            }
        }
        let is_only = all.len() == 1 && other.interfaces().len() == 1;
        let stands_for_groups = all.iter().all(|eni| rules.only_group(eni).is_some());
        Self { rules, by_id, by_group, is_only, stands_for_groups }
    }

    /// The interface that is the same as one of the other rule set: by its group where both stand for one, else by
    /// its id.
    fn position(&self, other: &Side<'_>, eni: &Interface) -> Option<usize> {
        let by_id = || self.by_id.get(eni.id.as_str()).copied();
        let Some(group) = other.rules.only_group(eni) else { return by_id() };
        let others_may = self.is_only || self.rules.membership() != other.rules.membership();
        let by_group = self.by_group.get(group).copied();
        by_group.or_else(|| by_id().filter(|_| others_may))
    }

    /// Whether an interface stands for a group, and those of the other rule set do too.
    fn stands_alone(&self, other: &Side<'_>, at: Option<usize>) -> bool {
        let eni = at.and_then(|at| self.rules.interfaces().get(at));
        eni.is_some_and(|eni| self.rules.only_group(eni).is_some())
            && (other.rules.membership() == Membership::Partial || other.stands_for_groups)
    }
}

/// The ids of interfaces that only one of the rule sets has and that are therefore not compared: only in the
/// current, only in the proposed.
pub fn unpaired<'r>(current: &'r RuleSet, proposed: &'r RuleSet) -> [Vec<&'r str>; 2] {
    let pairs = pairs(current, proposed);
    let missing = |rules: &'r RuleSet, side: usize| -> Vec<&'r str> {
        let paired: HashSet<usize> =
            pairs.iter().filter_map(|pair| pair.get(side).copied().flatten()).collect();
        let all = rules.interfaces().iter().enumerate();
        all.filter(|(n, _)| !paired.contains(n)).map(|(_, eni)| eni.id.as_str()).collect()
    };
    [missing(current, 0), missing(proposed, 1)]
}

/// The addresses of interfaces, of each family, as their regions have them where no entry narrows them.
fn local_addresses<'i>(
    direction: Direction,
    interfaces: impl Iterator<Item = &'i Interface>,
) -> Result<Vec<Vec<AddressRange>>, TooComplex> {
    let nothing = Ordered::new(direction, Vec::new(), Policy::Drop);
    let all = parts(&[&nothing], &Question::all().local(interfaces), |_| true)?;
    Ok(all.iter().map(|part| part.region.locals()).collect())
}
