//! Templates of Resource Orchestration Service: literals, references within the template, parameters with their
//! defaults, and what functions make of these.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt::Display;

use serde_json::{Map, Value};

use super::alibaba::{Dialect, group, permission};
use super::json::{Faults, Json, reading};
use super::loaded::{Found, LoadOptions, Loaded};
use crate::flow::Direction;
use crate::rules::RuleId;
use crate::yaml;

/// What stands for no value at all.
const NO_VALUE: &str = "ALIYUN::NoValue";
/// Conditions may name each other; no template nests them deeper.
const DEEPEST: usize = 64;

/// Adds the groups of a template and their rules. With `--partial`, what has a value only when the template is
/// deployed is left out, with a warning.
pub(super) fn read(value: &Value, hints: &LoadOptions, loaded: &mut Loaded, faults: &mut Faults) {
    let mut found = faults.of_same_file();
    template(value, hints, loaded, &mut found);
    match hints.partial {
        true => {
            let left_out =
                found.list.into_iter().map(|fault| format!("left out: {}", fault.message));
            loaded.warnings.extend(left_out);
        }
        false => faults.list.extend(found.list),
    }
}

fn template(value: &Value, hints: &LoadOptions, loaded: &mut Loaded, faults: &mut Faults) {
    let json = Json::new(value);
    let Some(resources) = json.get("Resources").and_then(|of| of.value().as_object()) else {
        faults.add("Resources", "the template has no resources");
        return;
    };
    let (bytes, questions) = (Cell::new(MOST_BYTES), Cell::new(MOST_QUESTIONS));
    let template = Template { bytes, questions, value, hints, resources };
    let mut owned: HashSet<&str> = HashSet::new();
    let mut rows = Vec::new();
    for (name, resource) in resources {
        let kind = resource.get("Type").and_then(Value::as_str).unwrap_or_default();
        let Some(kind) = kind.strip_prefix("ALIYUN::ECS::SecurityGroup") else { continue };
        match resource.get("Condition").map(|of| template.condition(of, 0)) {
            None | Some(Ok(true)) => {}
            Some(Ok(false)) => continue,
            Some(Err(why)) => {
                faults.add(&format!("{name}.Condition"), why);
                continue;
            }
        }
        let properties = resource.get("Properties").unwrap_or(&Value::Null);
        let properties = template.resolved(properties);
        let own = Json::at(&properties, name.as_str());
        match kind {
            "" => {
                group(&own, name, loaded, faults);
                loaded.group(name).has_rules = true;
                owned.insert(name);
                for (list, way) in [
                    ("SecurityGroupIngress", Direction::Ingress),
                    ("SecurityGroupEgress", Direction::Egress),
                ] {
                    let found = own.list(list, faults).into_iter();
                    rows.extend(found.map(|row| {
                        (name.clone(), way, row.value().clone(), row.path().to_owned())
                    }));
                }
            }
            "Ingress" | "Ingresses" | "Egress" | "Egresses" => {
                let way =
                    if kind.starts_with('I') { Direction::Ingress } else { Direction::Egress };
                let Some(id) = own.text("SecurityGroupId", faults) else {
                    let message = "the group is not a literal, nor one of the template";
                    faults.add(&format!("{name}.SecurityGroupId"), message);
                    continue;
                };
                let found = match kind.ends_with("es") {
                    true => own.list("Permissions", faults),
                    false => vec![own],
                };
                rows.extend(
                    found
                        .into_iter()
                        .map(|row| (id.clone(), way, row.value().clone(), row.path().to_owned())),
                );
            }
            _ => {}
        }
    }
    for (id, direction, row, origin) in rows {
        let row = Json::at(&row, origin.as_str());
        let dialect = Dialect { direction: Some(direction), in_vpc: true };
        let named = RuleId::Named(origin.clone());
        let rule = reading(faults, &named.clone(), &id, |faults| {
            permission(&row, named, &dialect, faults)
        });
        let Some(rule) = rule else { continue };
        if !owned.contains(id.as_str()) {
            loaded.is_of_another(&origin, &id);
        }
        let nic = row.text("NicType", faults).filter(|nic| nic.eq_ignore_ascii_case("internet"));
        let known = loaded.group(&id);
        known.has_rules = true;
        let note = nic.map_or_else(String::new, |_| "nic internet".to_owned());
        known.rules.push(Found { note, ..Found::new(rule, origin) });
    }
}

/// Functions and references of a template make no more bytes, and conditions ask no more often.
const MOST_BYTES: usize = 64 << 20;
const MOST_QUESTIONS: usize = 100_000;

struct Template<'v> {
    /// What of both is left.
    bytes: Cell<usize>,
    questions: Cell<usize>,
    value: &'v Value,
    hints: &'v LoadOptions,
    resources: &'v Map<String, Value>,
}

impl Template<'_> {
    /// A value with references and functions replaced by their values. Those that have none before the
    /// template is deployed are left, and are a fault where a word is expected.
    fn resolved(&self, value: &Value) -> Value {
        match value {
            Value::Array(list) => {
                let all = list.iter().map(|one| self.resolved(one));
                all.filter(|one| !is_no_value(one)).collect()
            }
            Value::Object(map) => match single(map) {
                Some((key, of)) => self.function(key, of).unwrap_or_else(|| self.each(map)),
                None => self.each(map),
            },
            other => other.clone(),
        }
    }

    fn each(&self, map: &Map<String, Value>) -> Value {
        let all = map.iter().map(|(key, of)| (key.clone(), self.resolved(of)));
        Value::Object(all.filter(|(_, of)| !is_no_value(of)).collect())
    }

    /// What a function makes of its argument; `None` where that is not known, or it is none.
    fn function(&self, name: &str, of: &Value) -> Option<Value> {
        match (name, of) {
            ("Ref", Value::String(target)) if target == NO_VALUE => Some(no_value()),
            ("Ref", Value::String(target)) => self.target(target),
            ("Fn::GetAtt", Value::Array(way)) => self.target(way.first()?.as_str()?),
            ("Fn::GetAtt", Value::String(way)) => self.target(way.split('.').next()?),
            ("Fn::If", Value::Array(all)) => {
                let [condition, then, otherwise] = all.as_slice() else { return None };
                let holds = self.condition(condition, 0).ok()?;
                Some(self.resolved(if holds { then } else { otherwise }))
            }
            ("Fn::Join", Value::Array(all)) => {
                let [between, parts] = all.as_slice() else { return None };
                let parts = self.resolved(parts);
                let parts = parts.as_array()?.iter().map(word);
                let parts = parts.collect::<Option<Vec<String>>>()?;
                Some(Value::String(parts.join(between.as_str()?)))
            }
            ("Fn::Sub", Value::String(text)) => self.substituted(text).map(Value::String),
            _ => None,
        }
    }

    /// A resource, by its name, or a parameter, by what was given or its default.
    fn target(&self, name: &str) -> Option<Value> {
        let found = match self.resources.contains_key(name) {
            true => Value::String(name.to_owned()),
            false => self.parameter(name)?,
        };
        self.bytes.set(self.bytes.get().checked_sub(size(&found))?);
        Some(found)
    }

    fn parameter(&self, name: &str) -> Option<Value> {
        let given = self.hints.parameters.iter().find(|(known, _)| known == name);
        let given = given.map(|(_, value)| Value::String(value.clone()));
        let default = || self.value.get("Parameters")?.get(name)?.get("Default").cloned();
        given.or_else(default)
    }

    /// `${Name}` replaced by what it names.
    fn substituted(&self, text: &str) -> Option<String> {
        let mut parts = text.split("${");
        let mut found = parts.next()?.to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}')?;
            let value = match name.strip_prefix('!') {
                Some(literal) => format!("${{{literal}}}"),
                None => word(&self.target(name.split('.').next()?)?)?,
            };
            found.push_str(&value);
            found.push_str(rest);
        }
        Some(found)
    }

    /// Whether a condition holds: one of the template, by name, or what functions say.
    fn condition(&self, of: &Value, depth: usize) -> Result<bool, String> {
        if depth > DEEPEST {
            return Err("conditions name each other in a circle".to_owned());
        }
        let left = self.questions.get().checked_sub(1);
        self.questions.set(left.ok_or("conditions are made of each other too often")?);
        let of_all = |list: &Value| -> Result<Vec<bool>, String> {
            let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
            list.iter().map(|one| self.condition(one, depth + 1)).collect()
        };
        let unknown =
            || format!("the condition {of} cannot be evaluated before the template is deployed");
        match of {
            Value::Bool(flag) => Ok(*flag),
            Value::String(name) => {
                let named = self.value.get("Conditions").and_then(|all| all.get(name));
                let named = named.ok_or_else(|| format!("there is no condition `{name}`"))?;
                self.condition(named, depth + 1).map_err(|why| match depth {
                    0 => format!("the condition `{name}`: {why}"),
                    _ => why,
                })
            }
            Value::Object(map) => match single(map).ok_or_else(unknown)? {
                ("Condition" | "Fn::Condition", name) => self.condition(name, depth + 1),
                ("Fn::And", list) => Ok(of_all(list)?.into_iter().all(|holds| holds)),
                ("Fn::Or", list) => Ok(of_all(list)?.into_iter().any(|holds| holds)),
                ("Fn::Not", Value::Array(one)) if one.len() == 1 => {
                    let [one] = one.as_slice() else { return Err(unknown()) };
                    Ok(!self.condition(one, depth + 1)?)
                }
                ("Fn::Not", one) => Ok(!self.condition(one, depth + 1)?),
                ("Fn::Equals", Value::Array(pair)) => {
                    let [a, b] = pair.as_slice() else { return Err(unknown()) };
                    Ok(self.compared(a)? == self.compared(b)?)
                }
                _ => Err(unknown()),
            },
            _ => Err(unknown()),
        }
    }

    /// A side of a comparison, in a word.
    fn compared(&self, of: &Value) -> Result<String, String> {
        word(&self.resolved(of)).ok_or_else(|| match of.get("Ref").and_then(Value::as_str) {
            Some(name) => {
                format!("the parameter {name} has no default; --param {name}=VALUE says it")
            }
            None => format!("{of} has a value only when the template is deployed"),
        })
    }
}

/// Bytes of a value, more or less.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => 1 + text.len(),
        Value::Array(list) => 1 + list.iter().map(size).sum::<usize>(),
        Value::Object(map) => 1 + map.iter().map(|(key, of)| key.len() + size(of)).sum::<usize>(),
        _ => 1,
    }
}

/// The key and the value of an object that has one.
fn single(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut all = map.iter();
    let (key, value) = all.next()?;
    all.next().is_none().then_some((key.as_str(), value))
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn no_value() -> Value {
    Value::Object([(NO_VALUE.to_owned(), Value::Null)].into_iter().collect())
}

fn is_no_value(value: &Value) -> bool {
    value.get(NO_VALUE).is_some()
}

/// YAML with short tags as JSON: `!Ref x` is `{"Ref": "x"}`, `!Sub x` is `{"Fn::Sub": "x"}`.
pub(super) fn untagged(value: yaml::Value) -> Value {
    use yaml::Value as Yaml;
    match value {
        Yaml::Null => Value::Null,
        Yaml::Bool(flag) => flag.into(),
        Yaml::Number(number) => {
            let whole =
                number.as_i64().map(Value::from).or_else(|| number.as_u64().map(Value::from));
            whole.or_else(|| number.as_f64().map(Value::from)).unwrap_or(Value::Null)
        }
        Yaml::String(text) => text.into(),
        Yaml::Sequence(list) => list.into_iter().map(untagged).collect(),
        Yaml::Mapping(map) => {
            let key = |key: Yaml| match key {
                Yaml::String(text) => text,
                other => plain(&other),
            };
            map.into_iter().map(|(name, of)| (key(name), untagged(of))).collect()
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let name = tag.trim_start_matches('!');
            let key = if name == "Ref" { "Ref".to_owned() } else { format!("Fn::{name}") };
            let value = untagged(tagged.value);
            std::iter::once((key, value)).collect()
        }
    }
}

fn plain(value: &impl serde::Serialize) -> String {
    let text = yaml::write(value);
    let text: &dyn Display = &text.trim();
    text.to_string()
}
