//! The documented use cases (SEMANTICS Part C) as rules files with the user's own values.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::nearest;
use crate::escape;
use crate::yaml;

/// A use case of the cloud's documents.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name.
    pub id: String,
    /// What it is for.
    pub title: String,
    /// Where it is from: a section of SEMANTICS.
    pub from: String,
    /// The type of the group, if it is not basic.
    #[serde(rename = "type")]
    pub group_type: Option<String>,
    /// What a user would set, with what the documents have.
    pub values: BTreeMap<String, String>,
    /// The rules, with the values' names in braces.
    pub rules: String,
}

/// A value that a use case does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{id} has no value `{name}`; it has {known}")]
pub struct NoSuchValue {
    /// The use case.
    pub id: String,
    /// The value.
    pub name: String,
    /// The values that it has.
    pub known: String,
}

impl Scenario {
    /// All, in the order of the documents.
    pub fn all() -> Vec<Self> {
        // A test reads it: what is in the program can be read.
        yaml::read(include_str!("scenarios.yaml")).unwrap_or_default()
    }

    /// The one of that name.
    ///
    /// # Errors
    /// The name that it most resembles, if any.
    pub fn named(id: &str) -> Result<Self, Option<String>> {
        let all = Self::all();
        let near = nearest(id, all.iter().map(|one| one.id.as_str())).map(str::to_owned);
        all.into_iter().find(|one| one.id.eq_ignore_ascii_case(id)).ok_or(near)
    }

    /// As a rules file, with values in place of the documents'.
    ///
    /// # Errors
    /// When a value is named that it does not have.
    pub fn rules_file(&self, values: &[(String, String)]) -> Result<String, NoSuchValue> {
        let mut set = self.values.clone();
        for (name, value) in values {
            let Some(known) = set.get_mut(name) else {
                let known: Vec<&str> = self.values.keys().map(String::as_str).collect();
                let (id, name, known) = (self.id.clone(), name.clone(), known.join(", "));
                return Err(NoSuchValue { id, name, known });
            };
            known.clone_from(value);
        }
        let mut rules = self.rules.clone();
        for (name, value) in &set {
            // In quotes there, so that no value can be more than one.
            let value = escape::quoted(value);
            let value = value.trim_start_matches('"').strip_suffix('"').unwrap_or_default();
            rules = rules.replace(&format!("{{{name}}}"), value);
        }
        let group_type = match &self.group_type {
            Some(kind) => format!("    type: {kind}\n"),
            None => String::new(),
        };
        let mut out = format!(
            "# {}: {}\nsecurity_groups:\n  - id: sg-{}\n{group_type}    rules:\n",
            self.id, self.title, self.id,
        );
        for line in rules.lines() {
            out.push_str("      ");
            out.push_str(line);
            out.push('\n');
        }
        Ok(out)
    }
}
