//! A tolerant look into JSON that a cloud's tools have printed: `""`, `null` and absent are alike, unknown
//! keys are of no account, and a value of the wrong kind is a fault with the way to it.

use std::fmt::Display;
use std::str::FromStr;

use ipnet::IpNet;
use serde_json::Value;

use super::Fault;
use crate::flow::Protocol;
use crate::rules::{PortRange, RuleId, RuleProtocol, about_rule, parse_cidr_as_written};

/// Faults of one file.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Before each of them, where several files are read as one.
    pub(super) file: String,
    /// The rule that is being read.
    about: Option<String>,
    pub(super) list: Vec<Fault>,
}

impl Faults {
    /// None yet, of the same file.
    pub(super) fn of_same_file(&self) -> Self {
        Self { file: self.file.clone(), ..Self::default() }
    }

    pub(super) fn add(&mut self, path: &str, message: impl Display) {
        let way = if path.is_empty() { String::new() } else { format!("{path}: ") };
        let file = if self.file.is_empty() { String::new() } else { format!("{}: ", self.file) };
        let about = self.about.as_ref().map_or_else(String::new, |about| format!("{about}: "));
        let fault = Fault { at: None, message: format!("{file}{way}{about}{message}") };
        // Once is enough for what is wrong with a file as a whole.
        if self.list.last() != Some(&fault) {
            self.list.push(fault);
        }
    }
}

/// Reads a rule; faults that are found meanwhile name it.
pub(super) fn reading<T>(
    faults: &mut Faults,
    id: &RuleId,
    group: &str,
    read: impl FnOnce(&mut Faults) -> T,
) -> T {
    faults.about = Some(about_rule(id, group));
    let read = read(faults);
    faults.about = None;
    read
}

/// The name at the end of a resource's id or address.
pub(super) fn last_part(id: &str) -> String {
    id.rsplit('/').next().unwrap_or(id).to_owned()
}

/// The resource group of a resource's id, and its name: `rg/nsg-web`.
pub(super) fn short_id(id: &str) -> String {
    let parts: Vec<&str> = id.split('/').collect();
    let at = parts.iter().position(|part| part.eq_ignore_ascii_case("resourceGroups"));
    let group = at.and_then(|at| parts.get(at + 1)).copied().unwrap_or_default();
    format!("{group}/{}", last_part(id))
}

/// A port, or a range as in `22-23`.
pub(super) fn dashed(text: &str) -> Option<PortRange> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    PortRange::new(first.trim().parse().ok()?, last.trim().parse().ok()?)
}

/// A value, and the way to it.
#[derive(Clone, Debug)]
pub(super) struct Json<'v> {
    value: &'v Value,
    path: String,
}

impl<'v> Json<'v> {
    pub(super) fn new(value: &'v Value) -> Self {
        Self { value, path: String::new() }
    }

    /// The same at the end of another way.
    pub(super) fn at(value: &'v Value, path: impl Into<String>) -> Self {
        Self { value, path: path.into() }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn value(&self) -> &'v Value {
        self.value
    }

    fn way(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// What is under a key, if it is something.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key)?;
        let empty = value.is_null() || value.as_str().is_some_and(str::is_empty);
        (!empty).then(|| Self { value, path: self.way(key) })
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// A word, or a number as it is written.
    pub(super) fn text(&self, key: &str, faults: &mut Faults) -> Option<String> {
        let found = self.get(key)?;
        match found.value {
            Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Object(map)
                if map.len() == 1
                    && map.keys().all(|key| key == "Ref" || key.starts_with("Fn::")) =>
            {
                let function = map.keys().next().map_or("", String::as_str);
                let message = format!(
                    "`{function}` has a value only when the template is deployed; write a literal, give the \
                     parameter a default, or say it: --param NAME=VALUE"
                );
                faults.add(&found.path, message);
                None
            }
            _ => {
                faults.add(&found.path, "a single value is expected here");
                None
            }
        }
    }

    /// A word that reads itself; a fault names the key.
    pub(super) fn parsed<T: FromStr<Err: Display>>(
        &self,
        key: &str,
        faults: &mut Faults,
    ) -> Option<T> {
        let text = self.text(key, faults)?;
        text.parse().map_err(|error| faults.add(&self.way(key), error)).ok()
    }

    /// A list, or nothing.
    pub(super) fn list(&self, key: &str, faults: &mut Faults) -> Vec<Self> {
        let Some(found) = self.get(key) else { return Vec::new() };
        found.elements(faults)
    }

    /// Its own elements.
    pub(super) fn elements(&self, faults: &mut Faults) -> Vec<Self> {
        let Some(list) = self.value.as_array() else {
            faults.add(&self.path, "a list is expected here");
            return Vec::new();
        };
        let element = |(n, value)| Self { value, path: format!("{}[{n}]", self.path) };
        list.iter().enumerate().map(element).collect()
    }

    /// A list in the API's two steps, `Permissions.Permission`, or without the second.
    pub(super) fn nested(&self, outer: &str, inner: &str, faults: &mut Faults) -> Vec<Self> {
        match self.get(outer) {
            None => Vec::new(),
            Some(found) if found.value.is_array() => found.elements(faults),
            Some(found) => found.list(inner, faults),
        }
    }

    /// An address or network under a key.
    pub(super) fn cidr(&self, key: &str, faults: &mut Faults) -> Option<IpNet> {
        let text = self.text(key, faults)?;
        parse_cidr_as_written(&text).map_err(|error| self.fault(key, error, faults)).ok()
    }

    /// Adds a fault if there is no value under a key.
    pub(super) fn needs(&self, key: &str, faults: &mut Faults) {
        if !self.has(key) {
            faults.add(&self.path, format_args!("there is no {key} here"));
        }
    }

    /// An address or network that is itself the value.
    pub(super) fn own_cidr(&self, faults: &mut Faults) -> Option<IpNet> {
        let net = self.value.as_str().map(parse_cidr_as_written);
        match net {
            Some(Ok(net)) => return Some(net),
            Some(Err(error)) => faults.add(&self.path, error),
            None => faults.add(&self.path, "an address or a CIDR is expected here"),
        }
        None
    }

    /// A protocol, by number or by any of its names; `all`, `any`, `*` and −1 are every protocol.
    pub(super) fn protocol(&self, key: &str, faults: &mut Faults) -> Option<RuleProtocol> {
        let Some(text) = self.text(key, faults) else {
            faults.add(&self.path, format_args!("the rule has no {key}"));
            return None;
        };
        let word = text.to_ascii_lowercase();
        if ["all", "any", "*", "-1"].contains(&word.as_str()) {
            return Some(RuleProtocol::All);
        }
        let number = word.parse().ok().map(Protocol);
        let found = number.or_else(|| Protocol::from_name(&word)).map(RuleProtocol::Only);
        if found.is_none() {
            let message = format!("`{text}`: a protocol's name, or its number, 0 to 255");
            self.fault(key, message, faults);
        }
        found
    }

    pub(super) fn fault(&self, key: &str, message: impl Display, faults: &mut Faults) {
        faults.add(&self.way(key), message);
    }
}
