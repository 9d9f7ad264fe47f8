//! Terraform: `terraform show -json` of a plan, which holds both sides, or of a state; and a raw state file.
//!
//! How plans and states hold resources is the same for all clouds; what the resources of one say is in the module of
//! the cloud.

mod alibaba;
mod aws;
mod azure;
mod google;
mod references;

use std::collections::HashSet;
use std::fmt::Display;

use ipnet::IpNet;
use serde_json::Value;

use super::json::{Faults, Json};
use super::loaded::{LoadOptions, Loaded};
use crate::rules::{Cloud, listed, parse_cidr_as_written};
use references::{Index, References};

/// What a plan says: the rules before and after it.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// As they are.
    pub current: Loaded,
    /// As they would be.
    pub proposed: Loaded,
}

/// Resources that rules are made of, whose cloud has the rules. A name that ends in `*` stands for all that begin so.
const RESOURCES: [(Cloud, &[&str]); 4] = [
    (
        Cloud::Alibaba,
        &["alicloud_security_group", "alicloud_security_group_rule", "alicloud_network_acl*"],
    ),
    (
        Cloud::Aws,
        &[
            "aws_security_group",
            "aws_default_security_group",
            "aws_security_group_rule",
            "aws_vpc_security_group_ingress_rule",
            "aws_vpc_security_group_egress_rule",
            "aws_network_acl",
            "aws_default_network_acl",
            "aws_network_acl_rule",
        ],
    ),
    (Cloud::Azure, &["azurerm_network_security_group", "azurerm_network_security_rule"]),
    (
        Cloud::Google,
        &[
            "google_compute_firewall",
            "google_compute_firewall_policy*",
            "google_compute_network_firewall_policy*",
            "google_compute_region_network_firewall_policy*",
            "google_compute_organization_security_policy*",
        ],
    ),
];

fn cloud_of(kind: &str) -> Option<Cloud> {
    let fits = |name: &&str| match name.strip_suffix('*') {
        Some(start) => kind.starts_with(start),
        None => kind == *name,
    };
    RESOURCES.into_iter().find(|(_, names)| names.iter().any(fits)).map(|(of, _)| of)
}

/// One resource of one side.
struct Resource<'v> {
    address: String,
    kind: String,
    values: &'v Value,
    /// Attributes that are known only after the plan was applied.
    unknown: &'v Value,
}

/// A plan.
pub(super) fn plan(value: &Value, hints: &LoadOptions, faults: &mut Faults) -> Plan {
    let references = References::new(value);
    let (mut before, mut after): (Vec<Resource<'_>>, Vec<Resource<'_>>) = (Vec::new(), Vec::new());
    let mut listed: HashSet<&str> = HashSet::new();
    let mut plan = Plan::default();
    for change in value.get("resource_changes").and_then(Value::as_array).into_iter().flatten() {
        let Some(address) = change.get("address").and_then(Value::as_str) else { continue };
        listed.insert(address);
        listed.extend(change.get("previous_address").and_then(Value::as_str));
        if change.get("mode").and_then(Value::as_str) == Some("data") {
            continue;
        }
        let kind = change.get("type").and_then(Value::as_str).unwrap_or_default();
        let Some(of) = change.get("change") else { continue };
        let side = |key: &str, unknown: &'static str| {
            let values = of.get(key).filter(|values| values.is_object())?;
            let unknown = of.get(unknown).unwrap_or(&Value::Null);
            Some(Resource { address: address.to_owned(), kind: kind.to_owned(), values, unknown })
        };
        let forgotten = of.get("actions").and_then(Value::as_array);
        let forgotten = forgotten.is_some_and(|all| all.iter().any(|action| action == "forget"));
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
        if !listed.contains(address.as_str()) {
            for side in [&mut before, &mut after] {
                let (address, kind) = (address.clone(), kind.clone());
                side.push(Resource { address, kind, values, unknown: &Value::Null });
            }
        }
    }
    if value.get("complete") == Some(&Value::Bool(false)) {
        let message = "the plan is of some targets only; everything else is taken as it is now";
        plan.proposed.warnings.push(message.to_owned());
    }
    let Some((cloud, others)) = chosen(before.iter().chain(&after), hints, faults) else {
        return plan;
    };
    for (resources, loaded) in [(&before, &mut plan.current), (&after, &mut plan.proposed)] {
        side(cloud, resources, &references, loaded, faults);
        loaded.incomplete.extend(others.clone());
    }
    plan.proposed.is_after(&plan.current);
    plan
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
        .map(|(address, kind, values)| Resource { address, kind, values, unknown: &Value::Null })
        .collect();
    if let Some((cloud, others)) = chosen(resources.iter(), hints, faults) {
        side(cloud, &resources, &References::default(), &mut loaded, faults);
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
            found.push((word("address"), word("type"), values));
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
            found.push((address, word("type"), values));
        }
    }
}

fn side(
    cloud: Cloud,
    resources: &[Resource<'_>],
    references: &References,
    loaded: &mut Loaded,
    faults: &mut Faults,
) {
    loaded.of_cloud(cloud, faults);
    let places = Places { resources, references, index: Index::new(resources) };
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

impl Resource<'_> {
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
    references: &'a References,
    index: Index<'a>,
}

/// What an attribute that is known only after the plan was applied refers to.
enum Referred<'a> {
    /// This resource.
    One(&'a Resource<'a>),
    /// One of several, by their addresses; of none if the plan does not say.
    OneOf(Vec<&'a str>),
}

impl<'a> Places<'a> {
    /// The resources of a type.
    fn of_kind(&self, kind: &'static str) -> impl Iterator<Item = &'a Resource<'a>> {
        self.resources.iter().filter(move |of| of.kind == kind)
    }

    /// What an attribute of a resource refers to, of some types of resource.
    fn referred(&self, from: &str, attribute: &str, kinds: &[&str]) -> Referred<'a> {
        let found = self.references.referred(&self.index, from, attribute, kinds);
        match found.as_slice() {
            [one] => Referred::One(one),
            several => Referred::OneOf(several.iter().map(|of| of.address.as_str()).collect()),
        }
    }

    /// All of them: of an attribute that is a list.
    fn all_referred(&self, from: &str, attribute: &str, kinds: &[&str]) -> Vec<&'a Resource<'a>> {
        self.references.referred(&self.index, from, attribute, kinds)
    }

    /// Whether the configuration sets an attribute of a resource at all.
    fn sets(&self, resource: &Resource<'_>, attribute: &str) -> bool {
        self.references.sets(&resource.address, attribute)
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
    fn of(resource: &'v Resource<'v>) -> Self {
        Self { json: Json::at(resource.values, &resource.address), unknown: resource.unknown }
    }

    /// The blocks of a name, in the order of the file.
    fn blocks(&self, name: &str, faults: &mut Faults) -> Vec<Self> {
        let unknown = self.unknown.get(name);
        let block = |(n, json): (usize, Json<'v>)| {
            let unknown = unknown.and_then(|of| of.get(n)).unwrap_or(&Value::Null);
            Self { json, unknown }
        };
        self.json.list(name, faults).into_iter().enumerate().map(block).collect()
    }

    /// Whether a value, or an element of a list of values, is known only later. What is null in a list is that too.
    fn is_later(&self, key: &str) -> bool {
        let later = match self.unknown.get(key) {
            Some(Value::Bool(later)) => *later,
            Some(Value::Array(all)) => all.contains(&Value::Bool(true)),
            _ => false,
        };
        let elements = self.json.value().get(key).and_then(Value::as_array);
        later || elements.is_some_and(|all| all.contains(&Value::Null))
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
