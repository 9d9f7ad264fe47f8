//! What each entry of an interface's list does: for which packets it decides, and what would decide in
//! its place.

use super::{Example, Other};
use crate::flow::Direction;
use crate::header_space::{
    Budget, Extent, ExtentIndex, Part, Question, Region, TooComplex, parts, parts_within,
};
use crate::rules::{
    Addresses, Assumption, Entry, EntryIndex, EntryKind, Matcher, Ordered, Policy, RuleSet,
};

/// The entries of one interface and direction, with what they do.
pub(super) struct List<'r> {
    pub(super) rules: &'r RuleSet,
    pub(super) interface: usize,
    pub(super) direction: Direction,
    pub(super) entries: Vec<Examined>,
    /// The same under every assumption about members that are not known, the first of which is none.
    variants: Vec<Variant>,
    /// Packets from the interface's own addresses, of which none ever arrives.
    own: Ordered,
}

/// A list under an assumption.
struct Variant {
    assumed: Assumption,
    ordered: Ordered,
    /// The packets of the interface that each entry matches.
    extents: Vec<Extent>,
    /// Over all but the default.
    index: ExtentIndex,
}

/// An entry, and what it does.
pub(super) struct Examined {
    pub(super) entry: Entry,
    /// The packets of the interface that it matches, those of unknown members apart.
    pub(super) extent: Extent,
    /// Whether it matches any packet that can occur, unknown members' too.
    pub(super) matches: Matches,
    /// Those for which it decides, unknown members' apart. Nothing is known of the default's.
    pub(super) decides: Vec<Region>,
    /// Whether it decides for any packet, unknown members' too.
    pub(super) acts: bool,
    /// Entries that decide for the other packets that it matches, in order.
    pub(super) before: Vec<Covering>,
    /// What would decide if it were not there; `None` if some verdict would turn.
    pub(super) instead: Option<Vec<usize>>,
}

/// Which packets an entry matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Matches {
    /// None of the interface's.
    Nothing,
    /// Only those from its own addresses, which do not occur.
    OwnPackets,
    /// Some that can occur.
    Some,
}

/// An entry that decides for packets of a later one.
pub(super) struct Covering {
    /// Its position.
    pub(super) position: usize,
    /// Some of those packets.
    pub(super) region: Region,
}

/// So do entries that take more than so many questions may take: see [`Budget`].
const MOST_QUESTIONS: usize = 8;

impl<'r> List<'r> {
    /// # Errors
    /// When the entries cut the space of all packets into too many parts.
    pub(super) fn new(
        rules: &'r RuleSet,
        interface: usize,
        direction: Direction,
    ) -> Result<Self, TooComplex> {
        let eni = rules.interfaces().get(interface);
        let addresses = eni.map(|eni| eni.addresses.as_slice()).unwrap_or_default();
        let local = match addresses {
            [] => Addresses::Any,
            nets => Addresses::Nets(nets.to_vec()),
        };
        let unknown = rules.unknown_groups(interface, direction);
        let assumptions = Assumption::all(&unknown).ok_or(TooComplex)?;
        let variants = assumptions.into_iter().map(|assumed| {
            let ordered = rules.ordered_assuming(interface, direction, &assumed);
            let entries = ordered.entries().iter();
            let extents: Vec<Extent> =
                entries.map(|entry| Extent::new(&entry.matcher, &local)).collect();
            let rules = extents.split_last().map(|(_, rules)| rules).unwrap_or_default();
            let index = ExtentIndex::new(rules);
            Variant { assumed, ordered, extents, index }
        });
        let variants: Vec<Variant> = variants.collect();
        let first = variants.first();
        let entries = first.into_iter().flat_map(|of| of.ordered.entries().iter().zip(&of.extents));
        let entries = entries.map(|(entry, extent)| Examined {
            entry: entry.clone(),
            extent: extent.clone(),
            matches: Matches::Nothing,
            decides: Vec::new(),
            acts: false,
            before: Vec::new(),
            instead: None,
        });
        let entries = entries.collect();
        // A network stands for many machines, of which one may reach another.
        let single = addresses.iter().filter(|net| net.prefix_len() == net.max_prefix_len());
        let single = Addresses::Nets(single.copied().collect());
        let own = Matcher { peer: single, ..Matcher::any() };
        let own = Entry::new(Policy::Accept, EntryKind::Default, own);
        let own = Ordered::new(direction, vec![own], Policy::Drop);
        let mut list = Self { rules, interface, direction, entries, variants, own };
        let mut budget = Budget::of_questions(MOST_QUESTIONS);
        for position in 0..list.entries.len() {
            list.examine(position, &mut budget)?;
        }
        Ok(list)
    }

    fn examine(&mut self, position: usize, budget: &mut Budget) -> Result<(), TooComplex> {
        let Some(Examined { entry, .. }) = self.entries.get(position) else { return Ok(()) };
        if entry.kind == EntryKind::Default {
            return Ok(());
        }
        let policy = entry.policy;
        let (mut matches, mut acts) = (Matches::Nothing, false);
        let (mut decides, mut instead) = (Vec::new(), Some(Vec::new()));
        let mut before: Vec<Covering> = Vec::new();
        for variant in &self.variants {
            let Some(extent) = variant.extents.get(position) else { continue };
            let known = variant.assumed.is_empty();
            if extent.is_empty() {
                continue;
            }
            let met = Self::meeting(variant, extent);
            // Under an assumption that none of these is about nothing is new.
            if !known && !met.iter().any(|at| self.differs(variant, *at)) {
                continue;
            }
            // What decides without the entry says what decides with it, since only packets that it matches are asked
            // for.
            let others: Vec<usize> = met.into_iter().filter(|at| *at != position).collect();
            let without = self.list(variant, others.iter().copied());
            // Positions in the short list → in the whole one; the default stands last in each.
            let at = |index: EntryIndex| {
                others.get(index.0 as usize).copied().unwrap_or(self.entries.len() - 1)
            };
            let matcher = variant.ordered.entries().get(position).map(|of| of.matcher.clone());
            let question = self.own(Question::all().matching(matcher.into_iter().collect()));
            let found = parts_within(&[&without, &self.own], &question, |_| true, budget)?;
            for Part { region, deciders } in found {
                let [next, own] = deciders.as_slice() else { continue };
                if self.own.entry(*own).is_some_and(|entry| entry.policy == Policy::Accept) {
                    if matches == Matches::Nothing {
                        matches = Matches::OwnPackets;
                    }
                    continue;
                }
                matches = Matches::Some;
                let next = at(*next);
                if next < position {
                    if before.iter().all(|covering| covering.position != next) {
                        before.push(Covering { position: next, region });
                    }
                    continue;
                }
                acts = true;
                if known {
                    decides.push(region);
                }
                if self.policy(next) != Some(policy) {
                    instead = None;
                }
                if let Some(instead) = instead.as_mut().filter(|known| !known.contains(&next)) {
                    instead.push(next);
                }
            }
        }
        before.sort_by_key(|covering| covering.position);
        if let Some(instead) = &mut instead {
            instead.sort_unstable();
        }
        if let Some(examined) = self.entries.get_mut(position) {
            (examined.matches, examined.acts) = (matches, acts);
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
        self.variants.first().map_or(Ok(Vec::new()), |of| self.ask_variant(of, matcher, keep))
    }

    /// The same under every assumption about members that are not known.
    pub(super) fn ask_assuming(
        &self,
        matcher: &Matcher,
        keep: impl Fn(&Entry) -> bool,
    ) -> Result<Vec<(Region, usize)>, TooComplex> {
        let mut found = Vec::new();
        for variant in &self.variants {
            found.extend(self.ask_variant(variant, matcher, &keep)?);
        }
        Ok(found)
    }

    fn ask_variant(
        &self,
        variant: &Variant,
        matcher: &Matcher,
        keep: impl Fn(&Entry) -> bool,
    ) -> Result<Vec<(Region, usize)>, TooComplex> {
        let extent = Extent::new(matcher, &Addresses::Any);
        let met = Self::meeting(variant, &extent);
        let list = self.list(variant, met.iter().copied());
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
    fn meeting(variant: &Variant, extent: &Extent) -> Vec<usize> {
        variant.index.meeting(&variant.extents, extent)
    }

    /// Whether an entry matches something else than under no assumption.
    fn differs(&self, variant: &Variant, position: usize) -> bool {
        let assumed = variant.ordered.entries().get(position).map(|entry| &entry.matcher);
        assumed != self.entries.get(position).map(|of| &of.entry.matcher)
    }

    /// A shorter list, with the same default.
    fn list(&self, variant: &Variant, positions: impl Iterator<Item = usize>) -> Ordered {
        let all = variant.ordered.entries();
        let entries = positions.filter_map(|at| all.get(at)).cloned();
        let default = all.last().map_or(Policy::Drop, |entry| entry.policy);
        Ordered::new(self.direction, entries.collect(), default)
    }

    pub(super) fn policy(&self, position: usize) -> Option<Policy> {
        self.entries.get(position).map(|of| of.entry.policy)
    }

    /// Whether nobody can change an entry: the default, and rules that the cloud adds (SEMANTICS F27).
    pub(super) fn is_fixed(&self, position: usize) -> bool {
        match self.entries.get(position).map(|of| of.entry.kind) {
            Some(EntryKind::Rule { group, rule }) => self.rules.is_fixed((group, rule)),
            kind => kind == Some(EntryKind::Default),
        }
    }

    /// An entry's names.
    pub(super) fn other(&self, position: usize) -> Other {
        let of = self.entries.get(position);
        let names = of.map(|of| self.rules.names(self.interface, &of.entry));
        let (group, rule) = names.unwrap_or_default();
        Other { group, rule }
    }

    pub(super) fn example(&self, region: &Region) -> Example {
        Example { interface: self.interface, direction: self.direction, flow: region.example() }
    }

    /// The rules of the list that somebody wrote, each with its positions in the rule set.
    pub(super) fn rules(&self) -> impl Iterator<Item = (usize, (usize, usize), &Examined)> {
        self.entries.iter().enumerate().filter_map(|(position, of)| match of.entry.kind {
            EntryKind::Rule { group, rule } if !self.rules.is_fixed((group, rule)) => {
                Some((position, (group, rule), of))
            }
            _ => None,
        })
    }
}
