//! Terraform's own language, as far as it is literal: resources whose attributes are literals, variables with
//! literal defaults, locals, references to other resources, `for_each` and `count` over what is literal.
//!
//! What is found is written as the plan that Terraform would make of it, and read as such. Everything else
//! (modules, data, functions, values that others know) is named and not guessed: a plan has it.

mod known;
mod resources;
mod values;

use std::collections::{BTreeMap, HashSet};

use hcl::{Block, Body, Expression};
use serde_json::{Map, Value, json};

use self::known::Known;
use self::resources::Kind;
pub(super) use self::values::are_in as are_values;
use super::json::Faults;
use super::loaded::{LoadOptions, Loaded, Source};
use super::{Fault, ParseError, terraform};

/// What stands for `each` and `count` of one instance of a resource, and the key in its address.
type Instance = (String, Option<(&'static str, hcl::Value)>);

/// Reads files that are one module together. What cannot be read is a warning where the user leaves it out.
pub(super) fn read(sources: &[Source<'_>], hints: &LoadOptions) -> Result<Loaded, ParseError> {
    let mut faults = Faults::default();
    let (mut blocks, mut given) = (Vec::new(), Vec::new());
    for source in sources {
        if values::are_in(source.name) {
            given.push(*source);
            continue;
        }
        if is_override(source.name) {
            faults.add(source.name, "override files are not read; a plan has what they say");
        }
        blocks.extend(parsed(source)?.into_blocks());
    }
    let file = sources.first().map_or("", |source| source.name).to_owned();
    let given = values::read(given)?;
    let (context, mut warnings) = context(&blocks, given);
    let scopes = Scopes::new(context, &blocks);
    let (mut changes, mut configured) = (Vec::new(), Vec::new());
    let mut addresses = HashSet::new();
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
                let address = format!("{kind}.{name}");
                let Some(of_kind) = resources::kind(kind) else {
                    if terraform::kinds::kind(kind).is_some() {
                        faults.add(
                            &address,
                            "it has rules, or changes what they do, and is not read",
                        );
                    }
                    continue;
                };
                if !addresses.insert(address.clone()) {
                    faults.add(&address, "there are two of it");
                }
                let found = resource(&address, block.body(), of_kind, &scopes, &mut faults);
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
    if hints.partial {
        warnings.extend(faults.list.drain(..).map(|fault| format!("left out: {}", fault.message)));
    }
    let plan = json!({"format_version": "1.2", "resource_changes": changes,
        "configuration": {"root_module": {"resources": configured}}});
    let read = terraform::plan(&plan, hints, &mut faults);
    if !faults.list.is_empty() {
        let message = "`terraform plan -out F`, then `terraform show -json F`, has the values of all these; \
                       --partial leaves them out";
        faults.list.push(Fault { at: None, message: message.to_owned() });
        return Err(ParseError::new(&file, faults.list));
    }
    let mut loaded = read.proposed;
    warnings.append(&mut loaded.warnings);
    loaded.warnings = warnings;
    Ok(loaded)
}

/// Whether Terraform puts what is in a file in the place of what others say.
fn is_override(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name);
    name == "override.tf" || name.ends_with("_override.tf")
}

fn parsed(source: &Source<'_>) -> Result<Body, ParseError> {
    let Source { name, text } = source;
    hcl::parse(text.strip_prefix('\u{feff}').unwrap_or(text)).map_err(|error| {
        let at = match &error {
            hcl::Error::Parse(error) => Some((error.location().line(), error.location().column())),
            _ => None,
        };
        let message = match &error {
            hcl::Error::Parse(error) => error.message().to_owned(),
            other => other.to_string(),
        };
        let message = message.lines().collect::<Vec<_>>().join(" ");
        ParseError::new(name, vec![Fault { at, message }])
    })
}

/// Locals are made of others that far.
const DEEPEST_LOCALS: usize = 64;

/// Variables that have a value or a default, and locals.
fn context(blocks: &[Block], mut given: values::Given) -> (Known, Vec<String>) {
    let mut context = Known::new();
    let of = |kind: &'static str| blocks.iter().filter(move |block| block.identifier() == kind);
    let mut variables = hcl::Map::new();
    let (mut by_default, mut by_file): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for variable in of("variable") {
        let name = variable.labels().first().map(hcl::BlockLabel::as_str).unwrap_or_default();
        let default = variable.body().attributes().find(|attribute| attribute.key() == "default");
        let value = match given.remove(name) {
            Some((value, file)) => {
                by_file.push(format!("{name} of {file}"));
                Some(value)
            }
            None => {
                default.and_then(|attribute| context.value(attribute.expr())).inspect(|value| {
                    by_default.extend((!value.is_null()).then(|| name.to_owned()));
                })
            }
        };
        if let Some(value) = value.filter(|value| !value.is_null()) {
            variables.insert(name.to_owned(), value);
        }
    }
    let mut warnings = Vec::new();
    for (have, all) in
        [("variables have their defaults", by_default), ("variables have values", by_file)]
    {
        if !all.is_empty() {
            warnings.push(format!("{have}: {}", all.join(", ")));
        }
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

/// What names stand for.
struct Scopes {
    /// Variables and locals.
    plain: Known,
    /// Resources too, by what is literal of them; their ids are `?` and the address.
    resources: Known,
}

impl Scopes {
    fn new(plain: Known, blocks: &[Block]) -> Self {
        let mut kinds: BTreeMap<String, hcl::Map<String, hcl::Value>> = BTreeMap::new();
        for block in blocks.iter().filter(|block| block.identifier() == "resource") {
            let labels: Vec<&str> = block.labels().iter().map(hcl::BlockLabel::as_str).collect();
            let [kind, name] = labels.as_slice() else { continue };
            let address = format!("{kind}.{name}");
            let each = instances(&address, block.body(), &plain, &mut Faults::default());
            let object = |(key, each): &Instance| {
                let scope = plain.with_each(each.clone());
                let literal = block.body().attributes().filter_map(|attribute| {
                    let value = scope.as_ref()?.value(attribute.expr())?;
                    Some((attribute.key().to_owned(), value))
                });
                let mut object: hcl::Map<String, hcl::Value> = literal.collect();
                object.insert("id".to_owned(), format!("?{address}{key}").into());
                hcl::Value::Object(object)
            };
            let value = match each.as_slice() {
                [(key, None)] if key.is_empty() => object(&(String::new(), None)),
                [(_, Some(("count", _))), ..] => each.iter().map(object).collect(),
                all => {
                    let named = all.iter().filter_map(|one| match &one.1 {
                        Some((_, hcl::Value::Object(of))) => {
                            Some((word(of.get("key")?), object(one)))
                        }
                        _ => None,
                    });
                    hcl::Value::Object(named.collect())
                }
            };
            kinds.entry((*kind).to_owned()).or_default().insert((*name).to_owned(), value);
        }
        let mut resources = plain.clone();
        for (kind, of_kind) in kinds {
            resources.declare(&kind, hcl::Value::Object(of_kind));
        }
        Self { plain, resources }
    }

    /// The same where `each` or `count` stand for something; `None` where that takes too much.
    fn with_each(&self, (name, each): (&str, hcl::Value)) -> Option<Self> {
        let plain = self.plain.with(name, each.clone())?;
        Some(Self { plain, resources: self.resources.with(name, each)? })
    }
}

/// The instances of a resource: values, those known later, what those refer to, and the key.
fn resource(
    address: &str,
    body: &Body,
    kind: &Kind,
    scopes: &Scopes,
    faults: &mut Faults,
) -> Vec<(Value, Value, Value, String)> {
    let mut found = Vec::new();
    for (key, each) in instances(address, body, &scopes.plain, faults) {
        // Scopes have every resource in them: one for each resource would take the square of their number.
        let inside = each.map(|each| scopes.with_each(each));
        if let Some(None) = inside {
            faults.add(address, "its instances take too much to be worked out here");
            return found;
        }
        let inside = inside.flatten();
        let scopes = inside.as_ref().unwrap_or(scopes);
        let before = faults.list.len();
        let of = attributes_of(&format!("{address}{key}"), body, kind, scopes, faults);
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
            let Some(count) = n.as_u64() else {
                faults.add(address, format!("count is {n}, which is no number of instances"));
                return Vec::new();
            };
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
    kind: &Kind,
    scopes: &Scopes,
    faults: &mut Faults,
) -> [Map<String, Value>; 3] {
    let [mut values, mut unknown, mut references] = [const { Map::new }; 3].map(|new| new());
    let is_block = |name: &str| kind.blocks.iter().any(|(known, _)| *known == name);
    for attribute in body.attributes() {
        let key = attribute.key().to_owned();
        if !kind.attributes.contains(&attribute.key()) && !is_block(attribute.key()) {
            continue;
        }
        let named = referred(attribute.expr());
        if let Some(value) = scopes.plain.value(attribute.expr()) {
            values.insert(key, serde_json::to_value(value).unwrap_or_default());
        } else if !named.is_empty() {
            // Of a list, each is a place of its own.
            if matches!(attribute.expr(), Expression::Array(_)) {
                values.insert(key.clone(), vec![Value::Null; named.len()].into());
                unknown.insert(key.clone(), vec![true; named.len()].into());
            } else {
                unknown.insert(key.clone(), true.into());
            }
            references.insert(key, json!({"references": named}));
        } else if is_optional(kind.name, attribute.key()) {
            let value = scopes.resources.value(attribute.expr());
            let value = value.and_then(|value| serde_json::to_value(value).ok());
            values.extend(value.map(|value| (key, value)));
        } else {
            let value = literal(&format!("{address}.{key}"), attribute.expr(), scopes, faults);
            values.extend(value.map(|value| (key, value)));
        }
    }
    for (name, attributes) in kind.blocks {
        let found = blocks_of(address, body, (name, attributes), scopes, faults);
        if !found.is_empty() {
            values.insert((*name).to_owned(), found.into());
        }
    }
    [values, unknown, references]
}

/// Whether rules can be judged without an attribute, which may be a variable without a default.
fn is_optional(kind: &str, attribute: &str) -> bool {
    match attribute {
        "vpc_id"
        | "resource_group_name"
        | "description"
        | "project"
        | "zone"
        | "vswitch_id"
        | "subnet_id" => true,
        "name" => kind.starts_with("aws_"),
        _ => false,
    }
}

/// The blocks of a name: written out, or made of what is literal.
fn blocks_of(
    address: &str,
    body: &Body,
    (name, attributes): (&str, &[&str]),
    scopes: &Scopes,
    faults: &mut Faults,
) -> Vec<Value> {
    let mut found = Vec::new();
    for block in body.blocks() {
        let label = block.labels().first().map(hcl::BlockLabel::as_str);
        let at = format!("{address}.{name}");
        match (block.identifier(), label) {
            (identifier, _) if identifier == name => {
                found.push(block_of(&at, block.body(), attributes, scopes, faults));
            }
            ("dynamic", Some(label)) if label == name => {
                let inner = |key: &str| block.body().attributes().find(|of| of.key() == key);
                let iterator =
                    inner("iterator").map_or(name.to_owned(), |of| of.expr().to_string());
                let content = block.body().blocks().find(|of| of.identifier() == "content");
                let each = inner("for_each").and_then(|of| scopes.resources.value(of.expr()));
                let (Some(content), Some(each)) = (content, each) else {
                    faults.add(&at, "the dynamic block is not made of what is literal");
                    continue;
                };
                let Some(elements) = elements(each) else {
                    faults.add(&at, "the dynamic block is not made of a list, a set or a map");
                    continue;
                };
                for (key, value) in elements {
                    let object = [("key".to_owned(), key), ("value".to_owned(), value)];
                    let object = hcl::Value::Object(object.into_iter().collect());
                    let Some(inside) = scopes.with_each((&iterator, object)) else {
                        faults.add(&at, "its blocks take too much to be worked out here");
                        return found;
                    };
                    found.push(block_of(&at, content.body(), attributes, &inside, faults));
                }
            }
            _ => {}
        }
    }
    found
}

/// Keys and values of what `for_each` goes through; `None` where it is no collection.
fn elements(each: hcl::Value) -> Option<Vec<(hcl::Value, hcl::Value)>> {
    Some(match each {
        hcl::Value::Array(list) => list.into_iter().map(|value| (value.clone(), value)).collect(),
        hcl::Value::Object(map) => {
            map.into_iter().map(|(key, value)| (key.into(), value)).collect()
        }
        _ => return None,
    })
}

fn block_of(
    at: &str,
    body: &Body,
    attributes: &[&str],
    scopes: &Scopes,
    faults: &mut Faults,
) -> Value {
    let known = body.attributes().filter(|attribute| attributes.contains(&attribute.key()));
    let value = known.filter_map(|attribute| {
        let key = attribute.key();
        let value = literal(&format!("{at}.{key}"), attribute.expr(), scopes, faults)?;
        Some((key.to_owned(), value))
    });
    Value::Object(value.collect())
}

/// The value of an expression of literals and of resources.
fn literal(
    at: &str,
    expression: &Expression,
    scopes: &Scopes,
    faults: &mut Faults,
) -> Option<Value> {
    let Some(value) = scopes.resources.value(expression) else {
        faults.add(at, format!("`{expression}` is no literal"));
        return None;
    };
    serde_json::to_value(value).ok()
}

/// The resources that an expression is the id of, or a list of such; none where there is anything else in it.
fn referred(expression: &Expression) -> Vec<String> {
    match expression {
        Expression::Array(all) => {
            let each: Vec<Vec<String>> = all.iter().map(referred).collect();
            match each.iter().any(Vec::is_empty) {
                true => Vec::new(),
                false => each.concat(),
            }
        }
        Expression::Parenthesis(inner) => referred(inner),
        Expression::Traversal(_) => {
            let text = expression.to_string();
            let id = text.strip_suffix(".id").or_else(|| text.strip_suffix(".security_group_id"));
            let is_resource = |of: &&str| {
                let kind = of.split('.').next().unwrap_or_default();
                resources::kind(kind).is_some() && of.split('.').count() == 2 && !of.contains('[')
            };
            id.filter(is_resource).map(|of| vec![of.to_owned()]).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}
