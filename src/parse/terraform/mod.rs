//! Terraform: `terraform show -json` of a plan, which holds both sides, or of a state; and a raw state file.
//!
//! How plans and states hold resources is the same for all clouds; what the resources of one say is in the module of
//! the cloud.

mod address;
mod alibaba;
mod aws;
mod azure;
mod block;
mod google;
mod index;
pub(super) mod kinds;
mod places;
mod references;
mod resource;

use std::collections::HashSet;

use serde_json::Value;

use super::json::Faults;
use super::loaded::{LoadOptions, Loaded};
use crate::rules::{Cloud, listed};
use index::Index;
use kinds::{Role, cloud_of, kind};
use places::Places;
use references::References;
use resource::{Resource, address_of, raw, tree};

/// What a plan says: the rules before and after it.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// As they are.
    pub current: Loaded,
    /// As they would be.
    pub proposed: Loaded,
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
