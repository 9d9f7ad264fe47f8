//! Resources that attributes refer to, where their values are known only after the plan was applied.

use std::collections::HashSet;

use ipnet::IpNet;

use super::block::Block;
use super::index::Index;
use super::references::{Leads, References};
use super::resource::Resource;
use crate::parse::json::Faults;
use crate::parse::loaded::{Found, FoundGroup, Loaded, Standing};

/// Where references lead.
pub(super) struct Places<'a> {
    pub(super) resources: &'a [Resource<'a>],
    pub(super) references: &'a References<'a>,
    pub(super) index: Index<'a>,
    /// The side before the plan.
    pub(super) was: Option<&'a Loaded>,
}

/// What an attribute that is known only after the plan was applied refers to.
pub(super) enum Referred<'a> {
    /// These resources, and to nothing else.
    All(Vec<&'a Resource<'a>>),
    /// The plan does not say it: to one of several, by their addresses, or to something else.
    OneOf(Vec<&'a str>),
}

impl<'a> Places<'a> {
    /// The resources of a type.
    pub(super) fn of_kind(&self, kind: &'static str) -> impl Iterator<Item = &'a Resource<'a>> {
        self.resources.iter().filter(move |of| of.kind == kind)
    }

    /// The id under a key, or the one of the resource that the configuration names where it is known only later.
    pub(super) fn id_of(
        &self,
        resource: &Resource<'_>,
        key: &str,
        kinds: &[&str],
        faults: &mut Faults,
    ) -> Option<String> {
        let known = Block::new(resource).text(key, faults);
        known.or_else(|| self.referred(resource, key, kinds).map(Resource::id))
    }

    /// The resource of some types that an attribute with one value refers to, which is known only later.
    pub(super) fn referred(
        &self,
        resource: &Resource<'_>,
        attribute: &str,
        kinds: &[&str],
    ) -> Option<&'a Resource<'a>> {
        match self.one(resource, attribute, kinds) {
            Referred::All(all) => all.first().copied(),
            Referred::OneOf(_) => None,
        }
    }

    /// The same with what it can be where it is not resolved.
    pub(super) fn one(
        &self,
        resource: &Resource<'_>,
        attribute: &str,
        kinds: &[&str],
    ) -> Referred<'a> {
        if !Block::new(resource).is_later(attribute) {
            return Referred::OneOf(Vec::new());
        }
        let leads = self.references.leads(&self.index, &resource.address, attribute, kinds, &[]);
        // A value that the plan knows is not the one that it does not.
        resolved(leads, Some(1))
    }

    /// What the elements of a list refer to that are known only later.
    pub(super) fn many(
        &self,
        resource: &Resource<'_>,
        attribute: &str,
        kinds: &[&str],
    ) -> Referred<'a> {
        let places = Block::new(resource).places(attribute);
        let leads = self.references.leads(&self.index, &resource.address, attribute, kinds, &[]);
        resolved(leads, places)
    }

    /// The resource that an attribute of a block refers to: of the n-th of so many.
    pub(super) fn referred_in(
        &self,
        resource: &Resource<'_>,
        (name, n, count): (&str, usize, usize),
        block: &Block<'_>,
        attribute: &str,
        kinds: &[&str],
    ) -> Option<&'a Resource<'a>> {
        // The configuration does not have those of a `dynamic` block.
        let has_all = self.references.blocks(&resource.address, name) == Some(count);
        if !has_all || !block.is_later(attribute) {
            return None;
        }
        let way = format!("{name}[{n}].{attribute}");
        let leads = self.references.leads(&self.index, &resource.address, &way, kinds, &[]);
        match resolved(leads, Some(1)) {
            Referred::All(all) => all.first().copied(),
            Referred::OneOf(_) => None,
        }
    }

    /// What so many places in blocks of a name refer to, which are known only later.
    pub(super) fn places_of(
        &self,
        resource: &Resource<'_>,
        name: &str,
        places: usize,
        kinds: &[&str],
    ) -> Referred<'a> {
        let leads = self.references.leads(&self.index, &resource.address, name, kinds, &[]);
        resolved(leads, Some(places))
    }

    /// The same of a list in the only block that has such elements. The configuration may have one list of references
    /// for all attributes of all blocks, whose other ones are of the other types.
    pub(super) fn many_in(
        &self,
        resource: &Resource<'_>,
        (name, block, attribute): (&str, &Block<'_>, &str),
        kinds: &[&str],
        others: &[&str],
    ) -> Referred<'a> {
        let places = block.places(attribute);
        let leads = self.references.leads(&self.index, &resource.address, name, kinds, others);
        resolved(leads, places)
    }

    /// The groups that an interface has, under any of some keys, which are names of the same. Where they are known
    /// only later, and the plan does not say which, nothing is known of the interface.
    pub(super) fn groups_of(
        &self,
        resource: &Resource<'_>,
        keys: &[&str],
        kinds: &[&str],
        loaded: &mut Loaded,
        faults: &mut Faults,
    ) -> Vec<String> {
        let block = Block::new(resource);
        let mut groups: Vec<String> = Vec::new();
        for key in keys {
            for id in block.words(key, faults) {
                if !groups.contains(&id) {
                    groups.push(id);
                }
            }
        }
        // Of two names of the same, the one that is not set is computed.
        let later: Vec<&str> = keys.iter().copied().filter(|key| block.is_later(key)).collect();
        let set = later.iter().find(|key| self.sets(resource, key));
        let has_known =
            keys.iter().any(|key| block.json.value().get(*key).is_some_and(|of| !of.is_null()));
        let Some(key) = set.or_else(|| later.first().filter(|_| !has_known)) else { return groups };
        match self.many(resource, key, kinds) {
            Referred::All(all) => {
                groups.extend(all.into_iter().map(Resource::id));
                warn_of_literals(&block, key, &resource.address, loaded);
            }
            Referred::OneOf(candidates) => loaded.incomplete.push(format!(
                "{}: {} is known only after the plan was applied; which groups it has is not known",
                resource.address,
                not_known(key, &candidates)
            )),
        }
        groups
    }

    /// The networks of a prefix list. Of one of which some are known only later, no rule can be judged by it.
    pub(super) fn entries(
        list: &Resource<'_>,
        loaded: &mut Loaded,
        faults: &mut Faults,
    ) -> Vec<IpNet> {
        let block = Block::new(list);
        let entries = block.blocks("entry", faults);
        if entries.iter().any(|entry| entry.is_later("cidr")) {
            loaded.later(&list.address, "entry");
        }
        entries.iter().filter_map(|entry| entry.json.cidr("cidr", faults)).collect()
    }

    /// The resources that others name under a key, by their ids: rules that are resources of their own name groups.
    pub(super) fn named_by(
        &self,
        all: &[&'static str],
        key: &str,
        kinds: &[&str],
    ) -> HashSet<String> {
        let mut faults = Faults::default();
        let all = self.resources.iter().filter(|of| all.contains(&of.kind.as_str()));
        all.filter_map(|of| self.id_of(of, key, kinds, &mut faults)).collect()
    }

    /// Says so where blocks of a resource are known only later. An attribute that nobody sets is known later too when
    /// its resource is made (FORMATS 4.5, 3), and so is one of a `dynamic` block, of which no plan shows anything: it
    /// has no blocks only if what they would say are resources beside it, which exclude each other.
    pub(super) fn whole(
        &self,
        resource: &Resource<'_>,
        keys: &[&str],
        has_beside: bool,
        loaded: &mut Loaded,
    ) {
        let block = Block::new(resource);
        let later: Vec<&str> =
            keys.iter().copied().filter(|key| block.places(key).is_none()).collect();
        let Some(first) = later.first() else { return };
        let is_said = |key: &&&str| !resource.is_made || self.sets(resource, key);
        if let Some(key) = later.iter().find(is_said) {
            loaded.later(&resource.address, key);
        } else if !has_beside || !self.references.configures(&resource.address) {
            loaded.incomplete.push(format!(
                "{}: whether it has blocks of {} is known only after the plan was applied, which shows no `dynamic` \
                 block; `{first} = []` says that it has none",
                resource.address,
                later.join(" and of ")
            ));
        }
    }

    /// Whether an attribute that is known only later has its default: the configuration of a new resource does not set
    /// it.
    pub(super) fn is_default(&self, resource: &Resource<'_>, attribute: &str) -> bool {
        let is_configured = self.references.configures(&resource.address);
        resource.is_made && is_configured && !self.sets(resource, attribute)
    }

    /// Whether blocks that a resource shows are no more than what there was, because the configuration does not set them:
    /// then rules that are resources of their own are among them, as they were.
    pub(super) fn is_computed(&self, resource: &Resource<'_>, key: &str) -> bool {
        self.references.configures(&resource.address) && !self.sets(resource, key)
    }

    /// The rules of a group that are resources of their own, as they are and as they were.
    pub(super) fn beside<'l>(
        &'l self,
        resource: &'l Resource<'_>,
        group: &'l FoundGroup,
    ) -> impl Iterator<Item = &'l Found> {
        let was = self.was.and_then(|was| was.groups.get(*was.places.get(&group.key)?));
        let all = group.rules.iter().chain(was.into_iter().flat_map(|of| &of.rules));
        all.filter(|found| !is_own(resource, found) && found.standing != Standing::Implied)
    }

    /// Whether all that an attribute is made of is known: then it is null, and what is known only later is computed.
    pub(super) fn is_known(&self, resource: &Resource<'_>, attribute: &str) -> bool {
        let leads = self.references.leads(&self.index, &resource.address, attribute, &[], &[]);
        resource.is_made && !leads.has_others
    }

    /// Whether the configuration sets an attribute of a resource at all.
    pub(super) fn sets(&self, resource: &Resource<'_>, attribute: &str) -> bool {
        self.references.sets(&resource.address, attribute)
    }
}

/// Whether a rule is a block of a resource.
pub(super) fn is_own(resource: &Resource<'_>, found: &Found) -> bool {
    let way = found.origin.strip_prefix(&resource.address);
    way.is_some_and(|way| way.starts_with('.'))
}

/// The resources that so many unknown places of a list stand for, or that all of a list does of which not even the
/// length is known: then a known value may be an element as well.
fn resolved(leads: Leads<'_>, places: Option<usize>) -> Referred<'_> {
    let Leads { found, has_known, is_deduced, has_others } = leads;
    let fits = match places {
        Some(places) => found.len() == places,
        None => !found.is_empty() && !has_known && !is_deduced,
    };
    if fits && !has_others {
        return Referred::All(found);
    }
    Referred::OneOf(found.iter().map(|of| of.address.as_str()).collect())
}

/// Where nothing of a list is known, the configuration shows what it refers to and no literals beside it.
pub(super) fn warn_of_literals(block: &Block<'_>, key: &str, at: &str, loaded: &mut Loaded) {
    if block.places(key).is_none() {
        loaded.warnings.push(format!(
            "{at}: {key} is taken for what the configuration refers to; an id written beside it is not in a plan"
        ));
    }
}

/// That an attribute is known only later, and what it can be.
pub(super) fn not_known(attribute: &str, candidates: &[&str]) -> String {
    match candidates {
        [] => attribute.to_owned(),
        several => format!("{attribute} ({})", several.join(" or ")),
    }
}
