//! Values of a resource, or of a block in it.

use std::fmt::Display;

use ipnet::IpNet;
use serde_json::Value;

use super::resource::Resource;
use crate::parse::json::{Faults, Json};
use crate::rules::parse_cidr_as_written;

/// The values of a resource, or of a block in it, and which of them are known only after the plan was applied.
#[derive(Clone)]
pub(super) struct Block<'v> {
    pub(super) json: Json<'v>,
    pub(super) unknown: &'v Value,
}

impl<'v> Block<'v> {
    pub(super) fn new(resource: &'v Resource<'v>) -> Self {
        Self { json: Json::at(resource.values, &resource.address), unknown: resource.unknown }
    }

    /// The blocks of a name, in the order of the file. Of one that is null everything is known only later.
    pub(super) fn blocks(&self, name: &str, faults: &mut Faults) -> Vec<Self> {
        static LATER: Value = Value::Bool(true);
        let unknown = self.unknown.get(name);
        let block = |(n, json): (usize, Json<'v>)| {
            let unknown = unknown.and_then(|of| of.get(n)).unwrap_or(&Value::Null);
            Self { unknown: if json.value().is_null() { &LATER } else { unknown }, json }
        };
        self.json.list(name, faults).into_iter().enumerate().map(block).collect()
    }

    /// Whether a value, or an element of a list of values, is known only later. What is null in a list is that too.
    pub(super) fn is_later(&self, key: &str) -> bool {
        self.places(key) != Some(0)
    }

    /// How many values of an attribute are known only later; `None` where not even their number is known.
    pub(super) fn places(&self, key: &str) -> Option<usize> {
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
    pub(super) fn words(&self, key: &str, faults: &mut Faults) -> Vec<String> {
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
    pub(super) fn nets(&self, key: &str, faults: &mut Faults) -> Vec<IpNet> {
        let words = self.words(key, faults).into_iter();
        words
            .filter_map(|text| {
                let net = parse_cidr_as_written(&text);
                net.map_err(|error| self.json.fault(key, error, faults)).ok()
            })
            .collect()
    }

    pub(super) fn text(&self, key: &str, faults: &mut Faults) -> Option<String> {
        self.json.text(key, faults)
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        self.json.value().get(key) == Some(&Value::Bool(true))
    }

    pub(super) fn fault(&self, key: &str, message: impl Display, faults: &mut Faults) {
        self.json.fault(key, message, faults);
    }
}
