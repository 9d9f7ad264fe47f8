//! Whatever people have: our own file, or what a cloud's tools print, recognised by content.

use serde_json::Value;

use super::json::Faults;
use super::loaded::{Hints, Loaded};
use super::terraform::{self, Plan};
use super::{Fault, ParseError, alibaba};

/// A file's name and its text.
#[derive(Clone, Copy, Debug)]
pub struct Source<'t> {
    /// As the user named it.
    pub name: &'t str,
    /// What is in it.
    pub text: &'t str,
}

/// What files hold.
#[derive(Clone, Debug)]
pub enum Content {
    /// Our own rules file: one of them, and nothing else.
    Own,
    /// Rules, in another's words.
    Rules(Box<Loaded>),
    /// A Terraform plan: the rules before and after it.
    Plan(Box<Plan>),
}

/// Reads files that are one rule set together.
///
/// # Errors
/// What is wrong, in which file; also where a file is none of what can be read.
pub fn load(sources: &[Source<'_>], hints: Hints) -> Result<Content, ParseError> {
    if let [only] = sources
        && is_own(only.text)
    {
        return Ok(Content::Own);
    }
    let mut values = Vec::new();
    for source in sources {
        for value in documents(source)? {
            values.push((source.name, value));
        }
    }
    let several = sources.len() > 1;
    let mut faults = Faults::default();
    let mut loaded = Loaded::default();
    let mut plan = None;
    // What answers say of groups and lists comes before the rules that need it.
    let (answers, others): (Vec<_>, Vec<_>) =
        values.iter().partition(|(_, value)| alibaba::recognise(value).is_some());
    let rank = |value: &Value| match alibaba::recognise(value) {
        Some(alibaba::Answer::Groups) => 0,
        Some(alibaba::Answer::Instances) => 2,
        _ => 1,
    };
    let mut answers = answers;
    answers.sort_by_key(|(_, value)| rank(value));
    for (name, value) in answers {
        faults.file = if several { (*name).to_owned() } else { String::new() };
        if let Some(answer) = alibaba::recognise(value) {
            alibaba::read(answer, value, name, hints, &mut loaded, &mut faults);
        }
    }
    for (name, value) in others {
        faults.file = if several { (*name).to_owned() } else { String::new() };
        match kind(value) {
            Kind::Plan if !several => plan = Some(terraform::plan(value, &mut faults)),
            Kind::Plan => {
                faults.add("", "a plan has both sides, and cannot be one file among several");
            }
            Kind::State => merge(&mut loaded, terraform::state(value, &mut faults)),
            Kind::Ros => alibaba::template(value, &mut loaded, &mut faults),
            Kind::Other(found) => faults.add("", found),
        }
    }
    let file = match sources {
        [only] => only.name.to_owned(),
        [first, ..] => first.name.rsplit_once('/').map_or(".", |(dir, _)| dir).to_owned(),
        [] => String::new(),
    };
    if !faults.list.is_empty() {
        return Err(ParseError { file, faults: faults.list });
    }
    if let Some(plan) = plan {
        if plan.current.is_empty() && plan.proposed.is_empty() {
            let message = "the plan has no alicloud_security_group; groups that Terraform does not own are not \
                           in it, so compare --current from the API with --proposed from the plan";
            return Err(one(&file, message));
        }
        return Ok(Content::Plan(Box::new(plan)));
    }
    if loaded.is_empty() {
        let message = "there are no rules in it: an answer of DescribeSecurityGroupAttribute, a console export, \
                       a Terraform plan or state, or a ROS template has them";
        return Err(one(&file, message));
    }
    Ok(Content::Rules(Box::new(loaded)))
}

fn one(file: &str, message: &str) -> ParseError {
    let fault = Fault { at: None, message: message.to_owned() };
    ParseError { file: file.to_owned(), faults: vec![fault] }
}

fn merge(into: &mut Loaded, from: Loaded) {
    for group in from.groups {
        let id = group.id.clone();
        *into.group(&id) = group;
    }
    into.interfaces.extend(from.interfaces);
    into.prefix_lists.extend(from.prefix_lists);
    into.port_lists.extend(from.port_lists);
    into.warnings.extend(from.warnings);
    into.is_state |= from.is_state;
}

/// Whether a text is meant to be our own rules file, whatever is wrong with it.
fn is_own(text: &str) -> bool {
    let text = without_mark(text);
    let json =
        text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<Value>(text).is_ok();
    if json {
        return serde_json::from_str::<Value>(text)
            .is_ok_and(|value| value.get("security_groups").is_some());
    }
    let foreign = text.contains("ROSTemplateFormatVersion");
    let looks_like_json = text.trim_start().starts_with("{\"")
        || text.trim_start().starts_with(['{', '[']) && text.contains("\":");
    text.contains("security_groups")
        || !foreign && !looks_like_json && !text.trim_start().starts_with('<')
}

fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The JSON values of a text: several may stand one after the other, or in an array.
fn documents(source: &Source<'_>) -> Result<Vec<Value>, ParseError> {
    let text = without_mark(source.text);
    let fault = |at, message: String| ParseError {
        file: source.name.to_owned(),
        faults: vec![Fault { at, message }],
    };
    let start = text.trim_start();
    if start.starts_with("<?xml") || start.starts_with('<') {
        let message = "this is XML; ask for JSON: aliyun … --output json, or Format=JSON";
        return Err(fault(None, message.to_owned()));
    }
    if start.starts_with("PK\u{3}\u{4}") {
        let message = "this is a binary plan; `terraform show -json FILE` prints it";
        return Err(fault(None, message.to_owned()));
    }
    if !start.starts_with(['{', '[']) {
        if !text.contains("ROSTemplateFormatVersion") {
            let message = "none of the formats that are read: our own rules file, answers of the ECS API, a \
                           console export, Terraform's JSON, a ROS template";
            return Err(fault(None, message.to_owned()));
        }
        let document = serde_yaml::from_str(text).map_err(|error| ParseError {
            file: source.name.to_owned(),
            faults: vec![super::yaml::syntax(text, &error)],
        })?;
        return Ok(vec![alibaba::untagged(document)]);
    }
    let mut found = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let value = value.map_err(|error| {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
            fault(Some((error.line(), error.column())), message)
        })?;
        match value {
            // Answers in an array are answers one after the other; rules in one are an export.
            Value::Array(list) if list.iter().any(|one| alibaba::recognise(one).is_some()) => {
                found.extend(list);
            }
            Value::Array(list)
                if list.len() == 1 && !list.iter().any(|one| one.get("IpProtocol").is_some()) =>
            {
                found.extend(list);
            }
            value => found.push(value),
        }
    }
    Ok(found)
}

enum Kind {
    Plan,
    State,
    Ros,
    Other(&'static str),
}

fn kind(value: &Value) -> Kind {
    let has = |key: &str| value.get(key).is_some();
    if has("format_version") && has("resource_changes") {
        Kind::Plan
    } else if has("format_version") && has("values")
        || has("lineage") && has("resources") && value.get("version") == Some(&4.into())
    {
        Kind::State
    } else if has("ROSTemplateFormatVersion") {
        Kind::Ros
    } else if has("format_version") {
        Kind::Other("a plan or state of Terraform with nothing in it")
    } else if value.get("SecurityGroups").is_some_and(Value::is_array) || has("NetworkAcls") {
        Kind::Other("rules of AWS, which are not read yet")
    } else if has("securityRules") || value.pointer("/properties/securityRules").is_some() {
        Kind::Other("rules of Azure, which are not read yet")
    } else if has("security_groups") {
        Kind::Other("our own rules file, which stands alone: name it and no other")
    } else {
        Kind::Other(
            "JSON of another kind: none of an answer of the ECS API, a console export, Terraform's plan or \
             state, a ROS template",
        )
    }
}
