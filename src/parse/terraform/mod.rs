//! Terraform: `terraform show -json` of a plan, which holds both sides, or of a state; and a raw state file.
//!
//! How plans and states hold resources is the same for all clouds; what the resources of one say is in the module of
//! the cloud.

mod alibaba;
mod aws;
mod azure;
mod google;
pub(super) mod kinds;
mod references;

use std::collections::HashSet;
use std::fmt::Display;

use ipnet::IpNet;
use serde_json::Value;

use super::json::{Faults, Json};
use super::loaded::{Found, FoundGroup, LoadOptions, Loaded, Standing};
use crate::rules::{Cloud, listed, parse_cidr_as_written};
use kinds::{Role, cloud_of, kind};
use references::{Index, Leads, References};

/// What a plan says: the rules before and after it.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// As they are.
    pub current: Loaded,
    /// As they would be.
    pub proposed: Loaded,
}

/// One resource of one side.
struct Resource<'v> {
    address: String,
    kind: String,
    values: &'v Value,
    /// Attributes that are known only after the plan was applied.
    unknown: &'v Value,
    /// The plan makes it, as a new one or in the place of an old one.
    is_made: bool,
}

/// A plan.
pub(super) fn plan(value: &Value, hints: &LoadOptions, faults: &mut Faults) -> Plan {
    let references = References::new(value);
    let (mut before, mut after): (Vec<Resource<'_>>, Vec<Resource<'_>>) = (Vec::new(), Vec::new());
    let mut listed: HashSet<String> = HashSet::new();
    let mut plan = Plan::default();
    plan.proposed.incomplete = not_in_it(value);
    for change in value.get("resource_changes").and_then(Value::as_array).into_iter().flatten() {
        let Some(address) = change.get("address").and_then(Value::as_str) else { continue };
        let address = &address_of(address, change.get("deposed"));
        listed.insert(address.clone());
        listed.extend(change.get("previous_address").and_then(Value::as_str).map(str::to_owned));
        if change.get("mode").and_then(Value::as_str) == Some("data") {
            continue;
        }
        let kind = change.get("type").and_then(Value::as_str).unwrap_or_default();
        let Some(of) = change.get("change") else { continue };
        let actions = of.get("actions").and_then(Value::as_array);
        let does = |one: &str| actions.is_some_and(|all| all.iter().any(|action| action == one));
        let side = |key: &str, unknown: &'static str| {
            let values = of.get(key).filter(|values| values.is_object())?;
            let unknown = of.get(unknown).unwrap_or(&Value::Null);
            let (address, kind) = (address.to_owned(), kind.to_owned());
            Some(Resource { address, kind, values, unknown, is_made: does("create") })
        };
        let forgotten = does("forget");
        before.extend(side("before", "none"));
        if forgotten {
            // It stays in the cloud; only Terraform does not look at it any more.
            after.extend(side("before", "none"));
            if cloud_of(kind).is_some() {
                let message = format!("{address} is forgotten by Terraform and stays as it is");
                plan.proposed.warnings.push(message);
            }
        } else {
            after.extend(side("after", "after_unknown"));
        }
    }
    // A plan for some targets lists only those; the others stay.
    let mut prior = Vec::new();
    if let Some(values) = value.pointer("/prior_state/values") {
        tree(values, &mut prior);
    }
    for (address, kind, values) in prior {
        if !listed.contains(&address) {
            for side in [&mut before, &mut after] {
                let (address, kind) = (address.clone(), kind.clone());
                side.push(Resource::as_it_is(address, kind, values));
            }
        }
    }
    let Some((cloud, others)) = chosen(before.iter().chain(&after), hints, faults) else {
        return plan;
    };
    side(cloud, (&before, None), &references, &mut plan.current, faults);
    side(cloud, (&after, Some(&plan.current)), &references, &mut plan.proposed, faults);
    plan.current.incomplete.extend(others.clone());
    plan.proposed.incomplete.extend(others);
    plan.current.finish_both(&mut plan.proposed, faults);
    plan.proposed.is_after(&plan.current);
    plan
}

/// What a plan says that it does not change, though it would have to, in words.
fn not_in_it(plan: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if plan.get("errored") == Some(&Value::Bool(true)) {
        found.push("an error ended the plan: it does not have all changes".to_owned());
    }
    let deferred = plan.get("deferred_changes").and_then(Value::as_array);
    let deferred: Vec<&str> = deferred
        .into_iter()
        .flatten()
        .map(|of| of.pointer("/resource_change/address").and_then(Value::as_str))
        .map(|address| address.unwrap_or("a resource without an address"))
        .collect();
    if !deferred.is_empty() {
        let message = "changes are deferred until after the plan was applied";
        found.push(format!("{message}: {}", listed(&deferred)));
    }
    if plan.get("complete") == Some(&Value::Bool(false)) && found.is_empty() {
        let message = "the plan is of some targets only; everything else is taken as it is now";
        found.push(message.to_owned());
    }
    found
}

/// An address, or one of its own for what a replacement has left behind there: that has an object of its own beside the
/// living one until it is deleted.
fn address_of(address: &str, deposed: Option<&Value>) -> String {
    match deposed.and_then(Value::as_str) {
        Some(key) => format!("{address} (deposed object {key})"),
        None => address.to_owned(),
    }
}

/// A state, by `show -json` or raw.
pub(super) fn state(value: &Value, hints: &LoadOptions, faults: &mut Faults) -> Loaded {
    let mut loaded = Loaded { is_state: true, ..Loaded::default() };
    let mut found = Vec::new();
    if let Some(values) = value.get("values") {
        tree(values, &mut found);
    }
    for resource in value.get("resources").and_then(Value::as_array).into_iter().flatten() {
        raw(resource, &mut found);
    }
    let resources: Vec<Resource<'_>> = found
        .into_iter()
        .map(|(address, kind, values)| Resource::as_it_is(address, kind, values))
        .collect();
    if let Some((cloud, others)) = chosen(resources.iter(), hints, faults) {
        side(cloud, (&resources, None), &References::default(), &mut loaded, faults);
        loaded.incomplete.extend(others);
    }
    loaded
}

/// Whose rules are read, and what of other clouds is left out, in words; `None` where there is nothing to choose from.
fn chosen<'r, 'v: 'r>(
    resources: impl Iterator<Item = &'r Resource<'v>>,
    hints: &LoadOptions,
    faults: &mut Faults,
) -> Option<(Cloud, Option<String>)> {
    let all: Vec<(Cloud, &str)> = resources
        .filter_map(|of| cloud_of(&of.kind).map(|cloud| (cloud, of.address.as_str())))
        .collect();
    let mut clouds: Vec<Cloud> = Vec::new();
    for (cloud, _) in &all {
        if !clouds.contains(cloud) {
            clouds.push(*cloud);
        }
    }
    let cloud = match (hints.cloud, clouds.as_slice()) {
        (Some(asked), _) => asked,
        (None, []) => return None,
        (None, [only]) => *only,
        (None, several) if several.contains(&Cloud::Alibaba) => Cloud::Alibaba,
        (None, several) => {
            let names: Vec<String> = several.iter().map(ToString::to_string).collect();
            let message = format!(
                "it has rules of {}, which cannot be one rule set; --cloud says whose are meant",
                names.join(" and of ")
            );
            faults.add("", message);
            return None;
        }
    };
    let mut others: Vec<&str> =
        all.iter().filter(|(of, _)| *of != cloud).map(|(_, address)| *address).collect();
    others.sort_unstable();
    others.dedup();
    let left_out = format!("resources of other clouds are left out: {}", listed(&others));
    Some((cloud, (!others.is_empty()).then_some(left_out)))
}

/// Address, type and values.
type Listed<'v> = (String, String, &'v Value);

/// The resources of a tree of modules.
fn tree<'v>(module: &'v Value, found: &mut Vec<Listed<'v>>) {
    if let Some(root) = module.get("root_module") {
        return tree(root, found);
    }
    for resource in module.get("resources").and_then(Value::as_array).into_iter().flatten() {
        let word =
            |key: &str| resource.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        if let (false, Some(values)) = (word("mode") == "data", resource.get("values")) {
            let address = address_of(&word("address"), resource.get("deposed_key"));
            found.push((address, word("type"), values));
        }
    }
    for child in module.get("child_modules").and_then(Value::as_array).into_iter().flatten() {
        tree(child, found);
    }
}

/// A resource of a raw state file, with its instances.
fn raw<'v>(resource: &'v Value, found: &mut Vec<Listed<'v>>) {
    let word = |key: &str| resource.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    if word("mode") == "data" {
        return;
    }
    let module = word("module");
    let dot = if module.is_empty() { "" } else { "." };
    for instance in resource.get("instances").and_then(Value::as_array).into_iter().flatten() {
        let key = match instance.get("index_key") {
            Some(key @ (Value::String(_) | Value::Number(_))) => format!("[{key}]"),
            _ => String::new(),
        };
        if let Some(values) = instance.get("attributes") {
            let address = format!("{module}{dot}{}.{}{key}", word("type"), word("name"));
            let address = address_of(&address, instance.get("deposed"));
            found.push((address, word("type"), values));
        }
    }
}

fn side(
    cloud: Cloud,
    (resources, was): (&[Resource<'_>], Option<&Loaded>),
    references: &References<'_>,
    loaded: &mut Loaded,
    faults: &mut Faults,
) {
    loaded.of_cloud(cloud, faults);
    let places = Places { resources, references, index: Index::new(resources), was };
    for resource in resources {
        if let Some((of, Role::Unread)) = kind(&resource.kind)
            && of == cloud
        {
            loaded.incomplete.push(format!(
                "{}: {} is not read, and changes what the rules do",
                resource.address, resource.kind
            ));
        }
    }
    match cloud {
        Cloud::Alibaba => alibaba::read(&places, loaded, faults),
        Cloud::Aws => aws::read(&places, loaded, faults),
        Cloud::Azure => azure::read(&places, loaded, faults),
        Cloud::Google => google::read(&places, loaded, faults),
        Cloud::ClassBench => {}
    }
}

/// What stands for an id that is known only after the plan was applied.
fn later(address: &str) -> String {
    format!("?{address}")
}

impl<'v> Resource<'v> {
    /// One of which everything is known.
    fn as_it_is(address: String, kind: String, values: &'v Value) -> Self {
        Self { address, kind, values, unknown: &Value::Null, is_made: false }
    }

    /// Its id, or what stands for it.
    fn id(&self) -> String {
        let known = self.values.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
        known.map_or_else(|| later(&self.address), str::to_owned)
    }

    /// A word among its values.
    fn word(&self, key: &str) -> Option<&str> {
        self.values.get(key).and_then(Value::as_str).filter(|word| !word.is_empty())
    }
}

/// Where references lead.
struct Places<'a> {
    resources: &'a [Resource<'a>],
    references: &'a References<'a>,
    index: Index<'a>,
    /// The side before the plan.
    was: Option<&'a Loaded>,
}

/// What an attribute that is known only after the plan was applied refers to.
enum Referred<'a> {
    /// These resources, and to nothing else.
    All(Vec<&'a Resource<'a>>),
    /// The plan does not say it: to one of several, by their addresses, or to something else.
    OneOf(Vec<&'a str>),
}

impl<'a> Places<'a> {
    /// The resources of a type.
    fn of_kind(&self, kind: &'static str) -> impl Iterator<Item = &'a Resource<'a>> {
        self.resources.iter().filter(move |of| of.kind == kind)
    }

    /// The id under a key, or the one of the resource that the configuration names where it is known only later.
    fn id_of(
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
    fn referred(
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
    fn one(&self, resource: &Resource<'_>, attribute: &str, kinds: &[&str]) -> Referred<'a> {
        if !Block::new(resource).is_later(attribute) {
            return Referred::OneOf(Vec::new());
        }
        let leads = self.references.leads(&self.index, &resource.address, attribute, kinds, &[]);
        // A value that the plan knows is not the one that it does not.
        resolved(leads, Some(1))
    }

    /// What the elements of a list refer to that are known only later.
    fn many(&self, resource: &Resource<'_>, attribute: &str, kinds: &[&str]) -> Referred<'a> {
        let places = Block::new(resource).places(attribute);
        let leads = self.references.leads(&self.index, &resource.address, attribute, kinds, &[]);
        resolved(leads, places)
    }

    /// The resource that an attribute of a block refers to: of the n-th of so many.
    fn referred_in(
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
    fn places_of(
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
    fn many_in(
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
    fn groups_of(
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
    fn entries(list: &Resource<'_>, loaded: &mut Loaded, faults: &mut Faults) -> Vec<IpNet> {
        let block = Block::new(list);
        let entries = block.blocks("entry", faults);
        if entries.iter().any(|entry| entry.is_later("cidr")) {
            loaded.later(&list.address, "entry");
        }
        entries.iter().filter_map(|entry| entry.json.cidr("cidr", faults)).collect()
    }

    /// The resources that others name under a key, by their ids: rules that are resources of their own name groups.
    fn named_by(&self, all: &[&'static str], key: &str, kinds: &[&str]) -> HashSet<String> {
        let mut faults = Faults::default();
        let all = self.resources.iter().filter(|of| all.contains(&of.kind.as_str()));
        all.filter_map(|of| self.id_of(of, key, kinds, &mut faults)).collect()
    }

    /// Says so where blocks of a resource are known only later. An attribute that nobody sets is known later too when
    /// its resource is made (FORMATS 4.5, 3), and so is one of a `dynamic` block, of which no plan shows anything: it
    /// has no blocks only if what they would say are resources beside it, which exclude each other.
    fn whole(&self, resource: &Resource<'_>, keys: &[&str], has_beside: bool, loaded: &mut Loaded) {
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
    fn is_default(&self, resource: &Resource<'_>, attribute: &str) -> bool {
        let is_configured = self.references.configures(&resource.address);
        resource.is_made && is_configured && !self.sets(resource, attribute)
    }

    /// Whether blocks that a resource shows are no more than what there was, because the configuration does not set them:
    /// then rules that are resources of their own are among them, as they were.
    fn is_computed(&self, resource: &Resource<'_>, key: &str) -> bool {
        self.references.configures(&resource.address) && !self.sets(resource, key)
    }

    /// The rules of a group that are resources of their own, as they are and as they were.
    fn beside<'l>(
        &'l self,
        resource: &'l Resource<'_>,
        group: &'l FoundGroup,
    ) -> impl Iterator<Item = &'l Found> {
        let was = self.was.and_then(|was| was.groups.get(*was.places.get(&group.key)?));
        let all = group.rules.iter().chain(was.into_iter().flat_map(|of| &of.rules));
        all.filter(|found| !is_own(resource, found) && found.standing != Standing::Implied)
    }

    /// Whether all that an attribute is made of is known: then it is null, and what is known only later is computed.
    fn is_known(&self, resource: &Resource<'_>, attribute: &str) -> bool {
        let leads = self.references.leads(&self.index, &resource.address, attribute, &[], &[]);
        resource.is_made && !leads.has_others
    }

    /// Whether the configuration sets an attribute of a resource at all.
    fn sets(&self, resource: &Resource<'_>, attribute: &str) -> bool {
        self.references.sets(&resource.address, attribute)
    }
}

/// Whether a rule is a block of a resource.
fn is_own(resource: &Resource<'_>, found: &Found) -> bool {
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
fn warn_of_literals(block: &Block<'_>, key: &str, at: &str, loaded: &mut Loaded) {
    if block.places(key).is_none() {
        loaded.warnings.push(format!(
            "{at}: {key} is taken for what the configuration refers to; an id written beside it is not in a plan"
        ));
    }
}

/// That an attribute is known only later, and what it can be.
fn not_known(attribute: &str, candidates: &[&str]) -> String {
    match candidates {
        [] => attribute.to_owned(),
        several => format!("{attribute} ({})", several.join(" or ")),
    }
}

/// The values of a resource, or of a block in it, and which of them are known only after the plan was applied.
#[derive(Clone)]
struct Block<'v> {
    json: Json<'v>,
    unknown: &'v Value,
}

impl<'v> Block<'v> {
    fn new(resource: &'v Resource<'v>) -> Self {
        Self { json: Json::at(resource.values, &resource.address), unknown: resource.unknown }
    }

    /// The blocks of a name, in the order of the file. Of one that is null everything is known only later.
    fn blocks(&self, name: &str, faults: &mut Faults) -> Vec<Self> {
        static LATER: Value = Value::Bool(true);
        let unknown = self.unknown.get(name);
        let block = |(n, json): (usize, Json<'v>)| {
            let unknown = unknown.and_then(|of| of.get(n)).unwrap_or(&Value::Null);
            Self { unknown: if json.value().is_null() { &LATER } else { unknown }, json }
        };
        self.json.list(name, faults).into_iter().enumerate().map(block).collect()
    }

    /// Whether a value, or an element of a list of values, is known only later. What is null in a list is that too.
    fn is_later(&self, key: &str) -> bool {
        self.places(key) != Some(0)
    }

    /// How many values of an attribute are known only later; `None` where not even their number is known.
    fn places(&self, key: &str) -> Option<usize> {
        let elements = self.json.value().get(key).and_then(Value::as_array);
        let nulls = elements.map_or(0, |all| all.iter().filter(|one| one.is_null()).count());
        match self.unknown.get(key) {
            _ if self.unknown == &Value::Bool(true) => None,
            Some(Value::Bool(true)) => None,
            Some(Value::Array(all)) => {
                let later = all.iter().filter(|one| **one == Value::Bool(true)).count();
                Some(nulls.max(later))
            }
            _ => Some(nulls),
        }
    }

    /// The known words of a list, or one word.
    fn words(&self, key: &str, faults: &mut Faults) -> Vec<String> {
        match self.json.value().get(key) {
            Some(Value::Array(all)) => {
                let word = |value: &Value| match value {
                    Value::String(text) => Some(text.trim().to_owned()),
                    Value::Number(number) => Some(number.to_string()),
                    _ => None,
                };
                all.iter().filter_map(word).filter(|text| !text.is_empty()).collect()
            }
            _ => self.json.text(key, faults).into_iter().collect(),
        }
    }

    /// Networks of a list.
    fn nets(&self, key: &str, faults: &mut Faults) -> Vec<IpNet> {
        let words = self.words(key, faults).into_iter();
        words
            .filter_map(|text| {
                let net = parse_cidr_as_written(&text);
                net.map_err(|error| self.json.fault(key, error, faults)).ok()
            })
            .collect()
    }

    fn text(&self, key: &str, faults: &mut Faults) -> Option<String> {
        self.json.text(key, faults)
    }

    fn flag(&self, key: &str) -> bool {
        self.json.value().get(key) == Some(&Value::Bool(true))
    }

    fn fault(&self, key: &str, message: impl Display, faults: &mut Faults) {
        self.json.fault(key, message, faults);
    }
}
