//! Values of variables that Terraform reads from files beside a configuration.

use std::collections::BTreeMap;

use super::known::Known;
use super::parsed;
use crate::parse::loaded::Source;
use crate::parse::{Fault, ParseError};

/// Values by variable, and the file that has each.
pub(super) type Given = BTreeMap<String, (hcl::Value, String)>;

/// Whether a file has values of variables, by its name.
pub(in crate::parse) fn are_in(name: &str) -> bool {
    name.ends_with(".tfvars") || name.ends_with(".tfvars.json")
}

/// Reads files in Terraform's order: of two values of a variable the later counts.
pub(super) fn read(mut sources: Vec<Source<'_>>) -> Result<Given, ParseError> {
    sources.sort_by_key(|source| match last_name(source.name) {
        "terraform.tfvars" => (0, ""),
        "terraform.tfvars.json" => (1, ""),
        other => (2, other),
    });
    let mut given = Given::new();
    for source in &sources {
        let file = last_name(source.name);
        let mut add = |name: String, value| given.insert(name, (value, file.to_owned()));
        if file.strip_suffix(".json").is_some() {
            let text = source.text.strip_prefix('\u{feff}').unwrap_or(source.text);
            let fault = |error: serde_json::Error| {
                let at = Some((error.line(), error.column()));
                ParseError::new(source.name, vec![Fault { at, message: error.to_string() }])
            };
            let values: hcl::Map<String, hcl::Value> = serde_json::from_str(text).map_err(fault)?;
            values.into_iter().for_each(|(name, value)| drop(add(name, value)));
            continue;
        }
        let known = Known::new();
        for attribute in parsed(source)?.into_attributes() {
            let Some(value) = known.value(attribute.expr()) else {
                let message = format!("{}: `{}` is no literal", attribute.key(), attribute.expr());
                let faults = vec![Fault { at: None, message }];
                return Err(ParseError::new(source.name, faults));
            };
            add(attribute.key().to_owned(), value);
        }
    }
    Ok(given)
}

fn last_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
