//! Terraform's own language, for the provider of the rules' cloud.

mod alibaba;
mod aws;
mod azure;
mod google;
mod labels;

use std::collections::HashSet;
use std::fmt::Write;

use super::CannotSay;
use crate::escape;
use crate::rules::{Cloud, RuleSet};

/// Resources of Terraform that make the groups, their rules and network ACLs.
///
/// # Errors
/// Where a rule has what the provider's resource has no attribute for.
pub fn terraform(rules: &RuleSet) -> Result<String, CannotSay> {
    let mut file = File::default();
    match rules.cloud() {
        Cloud::Alibaba => alibaba::write(rules, &mut file)?,
        Cloud::Aws => aws::write(rules, &mut file)?,
        Cloud::Azure => azure::write(rules, &mut file)?,
        Cloud::Google => google::write(rules, &mut file)?,
        Cloud::ClassBench => {
            return Err(CannotSay {
                what: "filters of ClassBench".to_owned(),
                why: "they are of no cloud".to_owned(),
            });
        }
    }
    file.text.truncate(file.text.trim_end().len());
    file.text.push('\n');
    Ok(file.text)
}

/// A file, and the names that its resources have.
#[derive(Default)]
struct File {
    text: String,
    labels: HashSet<(&'static str, String)>,
}

/// An attribute or a block of a resource.
enum Item {
    /// As it is written: a string in quotes, a number, a reference.
    Is(&'static str, String),
    Block(&'static str, Vec<Self>),
}

impl File {
    /// Writes a resource under a name that no other of its type has; the name.
    fn resource(&mut self, kind: &'static str, wanted: &str, items: &[Item]) -> String {
        let label = self.label(kind, wanted);
        let _ = writeln!(self.text, "resource \"{kind}\" \"{label}\" {{");
        write_items(&mut self.text, items, 1);
        self.text.push_str("}\n\n");
        label
    }

    /// A name that Terraform takes, and that no other resource of the type has.
    fn label(&mut self, kind: &'static str, wanted: &str) -> String {
        let plain = label(wanted);
        let mut name = plain.clone();
        let mut number = 1;
        while !self.labels.insert((kind, name.clone())) {
            number += 1;
            name = format!("{plain}_{number}");
        }
        name
    }
}

fn write_items(out: &mut String, items: &[Item], depth: usize) {
    let indent = "  ".repeat(depth);
    let lengths = items.iter().filter_map(|item| match item {
        Item::Is(name, _) => Some(name.len()),
        Item::Block(..) => None,
    });
    let width = lengths.max().unwrap_or_default();
    for item in items {
        match item {
            Item::Is(name, value) => {
                let _ = writeln!(out, "{indent}{name:width$} = {value}");
            }
            Item::Block(name, items) => {
                let _ = writeln!(out, "{indent}{name} {{");
                write_items(out, items, depth + 1);
                let _ = writeln!(out, "{indent}}}");
            }
        }
    }
}

/// A list of strings.
fn strings<'s>(all: impl IntoIterator<Item = &'s String>) -> String {
    let all: Vec<String> = all.into_iter().map(|text| quoted(text)).collect();
    format!("[{}]", all.join(", "))
}

/// A name that Terraform takes.
fn label(id: &str) -> String {
    let word: String =
        id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    match word.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        true => format!("_{word}"),
        false => word,
    }
}

/// A string of HCL: templates in it are no templates.
fn quoted(text: &str) -> String {
    escape::quoted(text).replace("${", "$${").replace("%{", "%%{")
}
