//! What each entry of an interface's list does: for which packets it decides, and what would decide in
//! its place.

use super::{Example, Other};
use crate::flow::Direction;
use crate::rules::{Addresses, Entry, EntryIndex, EntryKind, Matcher, Ordered, Policy, RuleSet};
use crate::space::{Extent, Part, Question, Region, TooComplex, parts};

/// The entries of one interface and direction, with what they do.
pub(super) struct List<'r> {
    pub(super) rules: &'r RuleSet,
    pub(super) interface: usize,
    pub(super) direction: Direction,
    pub(super) entries: Vec<Examined>,
    ordered: Ordered,
}

/// An entry, and what it does.
pub(super) struct Examined {
    pub(super) entry: Entry,
    /// The packets of the interface that it matches.
    pub(super) extent: Extent,
    /// Those for which it decides. Nothing is known of the default's.
    pub(super) decides: Vec<Region>,
    /// Entries that decide for the other packets that it matches, in order.
    pub(super) before: Vec<Covering>,
    /// What would decide if it were not there; `None` if some verdict would turn.
    pub(super) instead: Option<Vec<usize>>,
}

/// An entry that decides for packets of a later one.
pub(super) struct Covering {
    /// Its position.
    pub(super) position: usize,
    /// Some of those packets.
    pub(super) region: Region,
}

impl<'r> List<'r> {
    /// # Errors
    /// When the entries cut the space of all packets into too many parts.
    pub(super) fn new(
        rules: &'r RuleSet,
        interface: usize,
        direction: Direction,
    ) -> Result<Self, TooComplex> {
        let ordered = rules.ordered(interface, direction);
        let nets = rules.interfaces().get(interface).map(|eni| eni.addresses.clone());
        let local = match nets.unwrap_or_default() {
            none if none.is_empty() => Addresses::Any,
            nets => Addresses::Nets(nets),
        };
        let entries = ordered.entries().iter().map(|entry| Examined {
            entry: entry.clone(),
            extent: Extent::new(&entry.matcher, &local),
            decides: Vec::new(),
            before: Vec::new(),
            instead: None,
        });
        let entries = entries.collect();
        let mut list = Self { rules, interface, direction, entries, ordered };
        for position in 0..list.entries.len() {
            list.examine(position)?;
        }
        Ok(list)
    }

    fn examine(&mut self, position: usize) -> Result<(), TooComplex> {
        let Some(Examined { entry, extent, .. }) = self.entries.get(position) else {
            return Ok(());
        };
        if entry.kind == EntryKind::Default || extent.is_empty() {
            return Ok(());
        }
        let (matcher, policy) = (entry.matcher.clone(), entry.policy);
        let met = self.meeting(extent);
        let with = self.list(met.iter().copied());
        let without = self.list(met.iter().copied().filter(|at| *at != position));
        let others: Vec<usize> = met.iter().copied().filter(|at| *at != position).collect();
        // Positions in the short lists → in the whole one; the default stands last in each.
        let at = |of: &[usize], index: EntryIndex| {
            of.get(index.0 as usize).copied().unwrap_or(self.entries.len() - 1)
        };
        let question = Question::all().matching(vec![matcher]);
        let found = parts(&[&with, &without], &self.own(question), |_| true)?;
        let (mut decides, mut instead) = (Vec::new(), Some(Vec::new()));
        let mut before: Vec<Covering> = Vec::new();
        for Part { region, deciders } in found {
            let [decider, next] = deciders.as_slice() else { continue };
            let decider = at(&met, *decider);
            if decider != position {
                if before.iter().all(|covering| covering.position != decider) {
                    before.push(Covering { position: decider, region });
                }
                continue;
            }
            decides.push(region);
            let next = at(&others, *next);
            if self.policy(next) != Some(policy) {
                instead = None;
            }
            if let Some(instead) = instead.as_mut().filter(|known| !known.contains(&next)) {
                instead.push(next);
            }
        }
        before.sort_by_key(|covering| covering.position);
        if let Some(instead) = &mut instead {
            instead.sort_unstable();
        }
        if let Some(examined) = self.entries.get_mut(position) {
            (examined.decides, examined.before, examined.instead) = (decides, before, instead);
        }
        Ok(())
    }

    /// The packets of the interface among those that a matcher matches, with the entry that decides, for
    /// those entries that are to be kept.
    pub(super) fn ask(
        &self,
        matcher: &Matcher,
        keep: impl Fn(&Entry) -> bool,
    ) -> Result<Vec<(Region, usize)>, TooComplex> {
        let extent = Extent::new(matcher, &Addresses::Any);
        let met = self.meeting(&extent);
        let list = self.list(met.iter().copied());
        let at = |index: &EntryIndex| {
            met.get(index.0 as usize).copied().unwrap_or(self.entries.len() - 1)
        };
        let kept = |deciders: &[EntryIndex]| {
            let decider = deciders.first().and_then(|index| self.entries.get(at(index)));
            decider.is_some_and(|of| keep(&of.entry))
        };
        let question = self.own(Question::all().matching(vec![matcher.clone()]));
        let found = parts(&[&list], &question, kept)?;
        let found = found.into_iter().filter_map(|Part { region, deciders }| {
            deciders.first().map(|index| (region, at(index)))
        });
        Ok(found.collect())
    }

    fn own(&self, question: Question) -> Question {
        question.local(self.rules.interfaces().get(self.interface))
    }

    /// The entries that match some of the packets, but for the default.
    fn meeting(&self, extent: &Extent) -> Vec<usize> {
        let entries = self.entries.iter().enumerate();
        let custom = entries.filter(|(_, of)| of.entry.kind != EntryKind::Default);
        custom.filter(|(_, of)| of.extent.meets(extent)).map(|(position, _)| position).collect()
    }

    /// A shorter list, with the same default.
    fn list(&self, positions: impl Iterator<Item = usize>) -> Ordered {
        let entries = positions.filter_map(|at| self.entries.get(at)).map(|of| of.entry.clone());
        let default = self.ordered.entries().last().map_or(Policy::Drop, |entry| entry.policy);
        Ordered::new(self.direction, entries.collect(), default)
    }

    pub(super) fn policy(&self, position: usize) -> Option<Policy> {
        self.entries.get(position).map(|of| of.entry.policy)
    }

    /// An entry's names.
    pub(super) fn other(&self, position: usize) -> Other {
        let kind = self.entries.get(position).map(|of| of.entry.kind);
        let (group, rule) =
            kind.map(|kind| self.rules.names(self.interface, kind)).unwrap_or_default();
        Other { group, rule }
    }

    pub(super) fn example(&self, region: &Region) -> Example {
        Example { interface: self.interface, direction: self.direction, flow: region.example() }
    }

    /// The rules of the list, each with its positions in the rule set.
    pub(super) fn rules(&self) -> impl Iterator<Item = (usize, (usize, usize), &Examined)> {
        self.entries.iter().enumerate().filter_map(|(position, of)| match of.entry.kind {
            EntryKind::Rule { group, rule } => Some((position, (group, rule), of)),
            _ => None,
        })
    }
}
