//! Terraform's own language, as far as it is literal: resources whose attributes are literals, variables with
//! literal defaults, locals, references to other resources, `for_each` and `count` over what is literal.
//!
//! What is found is written as the plan that Terraform would make of it, and read as such. Everything else
//! (modules, data, functions, values that others know) is named and not guessed: a plan has it.

mod known;

use std::collections::BTreeMap;

use hcl::{Block, Body, Expression};
use serde_json::{Map, Value, json};

use super::json::Faults;
use super::loaded::{Loaded, Source};
use super::{Fault, ParseError, terraform};
use known::Known;

/// Resources that rules are made of, and the attributes of each that matter.
const RESOURCES: [(&str, &[&str]); 6] = [
    ("alicloud_security_group", &["security_group_type", "inner_access_policy", "inner_access"]),
    (
        "alicloud_security_group_rule",
        &[
            "security_group_id",
            "type",
            "ip_protocol",
            "policy",
            "priority",
            "port_range",
            "cidr_ip",
            "ipv6_cidr_ip",
            "source_security_group_id",
            "source_group_owner_id",
            "source_group_owner_account",
            "prefix_list_id",
            "description",
        ],
    ),
    ("alicloud_ecs_prefix_list", &["address_family"]),
    ("alicloud_ecs_network_interface", INTERFACE),
    ("alicloud_network_interface", INTERFACE),
    ("alicloud_instance", INTERFACE),
];

const INTERFACE: &[&str] = &[
    "security_group_ids",
    "security_groups",
    "private_ip",
    "primary_ip_address",
    "private_ip_addresses",
    "private_ips",
    "ipv6_addresses",
    "ipv4_prefixes",
    "ipv6_prefixes",
];

/// What stands for `each` and `count` of one instance of a resource, and the key in its address.
type Instance = (String, Option<(&'static str, hcl::Value)>);

/// Reads files that are one module together. With `partial`, what cannot be read is a warning.
pub(super) fn read(sources: &[Source<'_>], partial: bool) -> Result<Loaded, ParseError> {
    let mut blocks = Vec::new();
    for source in sources {
        let text = source.text.strip_prefix('\u{feff}').unwrap_or(source.text);
        blocks.extend(parsed(source.name, text)?.into_blocks());
    }
    let file = sources.first().map_or("", |source| source.name).to_owned();
    let (context, mut warnings) = context(&blocks);
    let mut faults = Faults::default();
    let (mut changes, mut configured) = (Vec::new(), Vec::new());
    for block in &blocks {
        let labels: Vec<&str> = block.labels().iter().map(hcl::BlockLabel::as_str).collect();
        match (block.identifier(), labels.as_slice()) {
            ("module", [name, ..]) => {
                faults.add(
                    &format!("module.{name}"),
                    "modules are not read; a plan has what is in them",
                );
            }
            ("resource", [kind, name]) => {
                let Some((_, attributes)) = RESOURCES.iter().find(|(known, _)| known == kind)
                else {
                    continue;
                };
                let address = format!("{kind}.{name}");
                let found = resource(&address, block.body(), attributes, &context, &mut faults);
                for (values, unknown, references, key) in found {
                    changes.push(json!({"address": format!("{address}{key}"), "type": kind, "change":
                        {"actions": ["create"], "before": null, "after": values, "after_unknown": unknown}}));
                    // Of a resource with many instances, a plan has one there.
                    configured.push(json!({"address": address, "expressions": references}));
                }
            }
            _ => {}
        }
    }
    if partial {
        warnings.extend(faults.list.drain(..).map(|fault| format!("left out: {}", fault.message)));
    }
    let plan = json!({"format_version": "1.2", "resource_changes": changes,
        "configuration": {"root_module": {"resources": configured}}});
    let read = terraform::plan(&plan, &mut faults);
    if !faults.list.is_empty() {
        let message = "`terraform plan -out F`, then `terraform show -json F`, has the values of all these; \
                       --partial leaves them out";
        faults.list.push(Fault { at: None, message: message.to_owned() });
        return Err(ParseError { file, faults: faults.list });
    }
    let mut loaded = read.proposed;
    warnings.append(&mut loaded.warnings);
    loaded.warnings = warnings;
    Ok(loaded)
}

fn parsed(name: &str, text: &str) -> Result<Body, ParseError> {
    hcl::parse(text).map_err(|error| {
        let at = match &error {
            hcl::Error::Parse(error) => Some((error.location().line(), error.location().column())),
            _ => None,
        };
        let message = match &error {
            hcl::Error::Parse(error) => error.message().to_owned(),
            other => other.to_string(),
        };
        let message = message.lines().collect::<Vec<_>>().join(" ");
        ParseError { file: name.to_owned(), faults: vec![Fault { at, message }] }
    })
}

/// Locals are made of others that far.
const DEEPEST_LOCALS: usize = 64;

/// Variables that have a default, and locals.
fn context(blocks: &[Block]) -> (Known, Vec<String>) {
    let mut context = Known::new();
    let of = |kind: &'static str| blocks.iter().filter(move |block| block.identifier() == kind);
    let mut variables = hcl::Map::new();
    for variable in of("variable") {
        let name = variable.labels().first().map(hcl::BlockLabel::as_str).unwrap_or_default();
        let default = variable.body().attributes().find(|attribute| attribute.key() == "default");
        let value = default.and_then(|attribute| context.value(attribute.expr()));
        if let Some(value) = value.filter(|value| !value.is_null()) {
            variables.insert(name.to_owned(), value);
        }
    }
    let mut warnings = Vec::new();
    if !variables.is_empty() {
        let names: Vec<&str> = variables.keys().map(String::as_str).collect();
        warnings.push(format!("variables have their defaults: {}", names.join(", ")));
    }
    context.declare("var", hcl::Value::Object(variables));
    // One may be made of others: as many rounds as it takes.
    let mut locals: Vec<_> = of("locals").flat_map(|block| block.body().attributes()).collect();
    let mut known = hcl::Map::new();
    for _ in 0..DEEPEST_LOCALS {
        context.declare("local", hcl::Value::Object(known.clone()));
        let before = locals.len();
        locals.retain(|local| match context.value(local.expr()) {
            Some(value) => {
                known.insert(local.key().to_owned(), value);
                false
            }
            None => true,
        });
        if locals.len() == before {
            break;
        }
    }
    (context, warnings)
}

/// The instances of a resource: values, those known later, what those refer to, and the key.
fn resource(
    address: &str,
    body: &Body,
    attributes: &[&str],
    context: &Known,
    faults: &mut Faults,
) -> Vec<(Value, Value, Value, String)> {
    let mut found = Vec::new();
    for (key, each) in instances(address, body, context, faults) {
        let scope = match each {
            Some((name, value)) => context.with(name, value),
            None => Some(context.clone()),
        };
        let Some(scope) = scope else {
            faults.add(address, "its instances take too much to be worked out here");
            return found;
        };
        let before = faults.list.len();
        let of = attributes_of(&format!("{address}{key}"), body, attributes, &scope, faults);
        if faults.list.len() == before {
            let [values, unknown, references] = of.map(Value::Object);
            found.push((values, unknown, references, key));
        }
    }
    found
}

/// A resource with more instances is not read.
const MOST_INSTANCES: u64 = 10_000;

/// One, or as many as `count` and `for_each` make.
fn instances(address: &str, body: &Body, context: &Known, faults: &mut Faults) -> Vec<Instance> {
    let under = |key: &str| body.attributes().find(|attribute| attribute.key() == key);
    let Some(attribute) = under("count").or_else(|| under("for_each")) else {
        return vec![(String::new(), None)];
    };
    let value = context.value(attribute.expr());
    let each = |key: hcl::Value, value: hcl::Value| {
        let object = [("key".to_owned(), key), ("value".to_owned(), value)];
        Some(("each", hcl::Value::Object(object.into_iter().collect())))
    };
    match value {
        Some(hcl::Value::Number(n)) if attribute.key() == "count" => {
            let count = n.as_u64().unwrap_or_default();
            if count > MOST_INSTANCES {
                let message =
                    format!("count is {count}, and {MOST_INSTANCES} instances at most are read");
                faults.add(address, message);
                return Vec::new();
            }
            let index = |n: u64| {
                let object = [("index".to_owned(), hcl::Value::from(n))];
                (
                    format!("[{n}]"),
                    Some(("count", hcl::Value::Object(object.into_iter().collect()))),
                )
            };
            (0..count).map(index).collect()
        }
        Some(hcl::Value::Array(list)) => {
            let words: BTreeMap<String, hcl::Value> =
                list.into_iter().map(|value| (word(&value), value)).collect();
            let one = |(word, value): (String, hcl::Value)| {
                (format!("[\"{word}\"]"), each(value.clone(), value))
            };
            words.into_iter().map(one).collect()
        }
        Some(hcl::Value::Object(map)) => {
            let one = |(key, value): (String, hcl::Value)| {
                (format!("[\"{key}\"]"), each(hcl::Value::from(key), value))
            };
            map.into_iter().map(one).collect()
        }
        _ => {
            let message = format!("`{} = {}` is no literal", attribute.key(), attribute.expr());
            faults.add(address, message);
            Vec::new()
        }
    }
}

fn word(value: &hcl::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Values, those known later, and what those refer to.
fn attributes_of(
    address: &str,
    body: &Body,
    attributes: &[&str],
    scope: &Known,
    faults: &mut Faults,
) -> [Map<String, Value>; 3] {
    let [mut values, mut unknown, mut references] = [const { Map::new }; 3].map(|new| new());
    for attribute in body.attributes().filter(|one| attributes.contains(&one.key())) {
        let key = attribute.key().to_owned();
        let named = referred(attribute.expr());
        if let Some(value) = scope.value(attribute.expr()) {
            values.insert(key, serde_json::to_value(value).unwrap_or_default());
        } else if !named.is_empty() {
            unknown.insert(key.clone(), true.into());
            references.insert(key, json!({"references": named}));
        } else {
            faults
                .add(&format!("{address}.{key}"), format!("`{}` is no literal", attribute.expr()));
        }
    }
    let mut entries = Vec::new();
    for block in body.blocks() {
        match (block.identifier(), block.labels().first().map(hcl::BlockLabel::as_str)) {
            ("entry", _) => {
                let cidr = block.body().attributes().find(|one| one.key() == "cidr");
                match cidr.and_then(|one| scope.value(one.expr())) {
                    Some(value) => entries.push(json!({"cidr": word(&value)})),
                    _ => faults.add(&format!("{address}.entry"), "its cidr is no literal"),
                }
            }
            ("dynamic", Some("entry")) => {
                faults.add(&format!("{address}.entry"), "dynamic blocks are not read");
            }
            _ => {}
        }
    }
    if !entries.is_empty() {
        values.insert("entry".to_owned(), entries.into());
    }
    [values, unknown, references]
}

/// The resources that an expression is the id of, or a list of such.
fn referred(expression: &Expression) -> Vec<String> {
    match expression {
        Expression::Array(all) => all.iter().flat_map(referred).collect(),
        Expression::Parenthesis(inner) => referred(inner),
        Expression::Traversal(_) => {
            let text = expression.to_string();
            let id = text.strip_suffix(".id").or_else(|| text.strip_suffix(".security_group_id"));
            let of = id.filter(|id| id.starts_with("alicloud_") && id.split('.').count() == 2);
            of.map(|of| vec![of.to_owned()]).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}
