//! Whatever people have: our own file, or what a cloud's tools print, recognised by content.

use serde_json::Value;

use super::error::RULES_EXAMPLE;
use super::json::Faults;
use super::loaded::{LoadOptions, Loaded, Source};
use super::terraform::{self, Plan};
use super::{Fault, ParseError, alibaba};
use super::{aws, azure, classbench, google, ros, vpc};
use crate::rules::{Cloud, listed};
use crate::yaml;

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
pub fn load(sources: &[Source<'_>], hints: &LoadOptions) -> Result<Content, ParseError> {
    if let [only] = sources
        && is_own(only.text)
    {
        return Ok(Content::Own);
    }
    if let [only] = sources
        && classbench::recognise(without_mark(only.text))
    {
        let read = classbench::read(without_mark(only.text));
        let loaded = read.map_err(|faults| ParseError::new(only.name, faults))?;
        return Ok(Content::Rules(Box::new(loaded)));
    }
    if sources.iter().any(|source| is_hcl(source.text)) {
        return hcl(sources, hints);
    }
    let several = sources.len() > 1;
    let mut values = Vec::new();
    let (mut skipped, mut empty): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for source in sources {
        if several && without_mark(source.text).trim().is_empty() {
            empty.push(source.name);
            continue;
        }
        if several && is_foreign(source.text) {
            skipped.push(source.name);
            continue;
        }
        values.extend(documents(source)?.into_iter().map(|document| (source.name, document)));
    }
    let mut faults = Faults::default();
    let answers = answers(&values, several, hints, &mut faults);
    let Answers { mut loaded, plan, others, is_foreign } = answers;
    let example = is_foreign.then_some(RULES_EXAMPLE);
    skipped.extend(others);
    skipped.dedup();
    if !skipped.is_empty() {
        loaded.warnings.push(format!("skipped, since no rules are in it: {}", listed(&skipped)));
    }
    let empty = empty.iter().map(|name| format!("{name} is empty, in the place of an answer"));
    loaded.incomplete.extend(empty);
    loaded.finish(&mut faults);
    let file = match sources {
        [only] => only.name.to_owned(),
        [first, ..] => first.name.rsplit_once('/').map_or(".", |(dir, _)| dir).to_owned(),
        [] => String::new(),
    };
    if !faults.list.is_empty() {
        return Err(ParseError { example, ..ParseError::new(&file, faults.list) });
    }
    if let Some(plan) = plan {
        let nothing = |side: &Loaded| side.is_empty() && side.unknown().is_empty();
        if nothing(&plan.current) && nothing(&plan.proposed) {
            let message = "the plan has no security groups (alicloud_security_group, aws_security_group, \
                           azurerm_network_security_group, google_compute_firewall); groups that Terraform does not \
                           own are not in it, so compare --current from the API with --proposed from the plan";
            return Err(one(&file, message));
        }
        return Ok(Content::Plan(Box::new(plan)));
    }
    if loaded.is_empty() && loaded.warnings.is_empty() && loaded.incomplete().is_empty() {
        let message = "there are no rules in it: an answer of DescribeSecurityGroupAttribute, a console export, \
                       a Terraform plan or state, a ROS template, or an answer of `aws ec2 describe-security-groups`, \
                       `az network nsg list` or `gcloud compute firewall-rules list` has them";
        return Err(ParseError { example: Some(RULES_EXAMPLE), ..one(&file, message) });
    }
    Ok(Content::Rules(Box::new(loaded)))
}

/// What values say together.
#[derive(Default)]
struct Answers<'n> {
    loaded: Loaded,
    plan: Option<Plan>,
    /// Files of a directory with something else in them.
    others: Vec<&'n str>,
    /// The one file is of another kind.
    is_foreign: bool,
}

fn answers<'n>(
    values: &[(&'n str, Document)],
    several: bool,
    hints: &LoadOptions,
    faults: &mut Faults,
) -> Answers<'n> {
    let mut found = Answers::default();
    let loaded = &mut found.loaded;
    // What answers say of groups and lists comes before the rules that need it.
    let mut sorted: Vec<(&'n str, &Document, Kind)> =
        values.iter().map(|(name, of)| (*name, of, kind(&of.value))).collect();
    sorted.sort_by_key(|(_, _, kind)| match kind {
        Kind::Alibaba(alibaba::Answer::Groups) => 0,
        Kind::Alibaba(alibaba::Answer::Instances) => 2,
        Kind::Alibaba(_) => 1,
        _ => 3,
    });
    for (name, document, kind) in sorted {
        let value = &document.value;
        faults.file = if several { name.to_owned() } else { String::new() };
        match kind {
            Kind::Alibaba(answer) => {
                loaded.of_cloud(Cloud::Alibaba, faults);
                alibaba::read(answer, value, name, hints, loaded, faults);
            }
            Kind::Aws(answer) => aws::read(answer, value, name, loaded, faults),
            Kind::Azure(answer) => {
                loaded.lists_all |= document.is_listed && answer == azure::Answer::Interface;
                azure::read(answer, value, loaded, faults);
            }
            Kind::Google(answer) => {
                loaded.lists_all |= document.is_listed && answer == google::Answer::Instance;
                google::read(answer, value, loaded, faults);
            }
            Kind::Vpc(answer) => {
                loaded.of_cloud(Cloud::Alibaba, faults);
                vpc::read(answer, value, loaded, faults);
            }
            Kind::Plan if !several => found.plan = Some(terraform::plan(value, hints, faults)),
            Kind::Plan => {
                faults.add("", "a plan has both sides, and cannot be one file among several");
            }
            Kind::State => {
                let state = terraform::state(value, hints, faults);
                if let Some(cloud) = state.cloud {
                    loaded.of_cloud(cloud, faults);
                }
                loaded.merge(state, faults);
            }
            Kind::Ros => {
                loaded.is_template = true;
                loaded.of_cloud(Cloud::Alibaba, faults);
                ros::read(value, hints, loaded, faults);
            }
            Kind::Own => {
                faults.add("", "our own rules file, which stands alone: name it and no other");
            }
            // Whatever else an account's directory holds.
            Kind::Other(_) if several && is_error(value) => {
                loaded.incomplete.push(format!("{name} holds an error, in the place of an answer"));
            }
            Kind::Other(_) if several => found.others.push(name),
            Kind::Other(what) => {
                found.is_foreign = true;
                faults.add("", what);
            }
        }
    }
    faults.file.clear();
    found
}

/// Whether a text of a directory is in a language that no rules are written in.
fn is_foreign(text: &str) -> bool {
    let start = without_mark(text).trim_start();
    let read = ["security_groups", "network_acls", "ROSTemplateFormatVersion"];
    !start.starts_with(['{', '[', '<'])
        && !start.starts_with("PK\u{3}\u{4}")
        && !read.iter().any(|word| text.contains(word))
}

fn one(file: &str, message: &str) -> ParseError {
    ParseError::new(file, vec![Fault { at: None, message: message.to_owned() }])
}

/// Whether a text is in Terraform's own language.
fn is_hcl(text: &str) -> bool {
    const BLOCKS: [&str; 7] = [
        "resource \"",
        "variable \"",
        "module \"",
        "provider \"",
        "data \"",
        "locals {",
        "terraform {",
    ];
    let text = without_mark(text);
    let json = text.trim_start().starts_with(['{', '[']);
    !json && text.lines().any(|line| BLOCKS.iter().any(|block| line.starts_with(block)))
}

#[cfg(feature = "hcl")]
fn hcl(sources: &[Source<'_>], hints: &LoadOptions) -> Result<Content, ParseError> {
    let is_other = |of: &&Source<'_>| !is_hcl(of.text) && !super::hcl::are_values(of.name);
    if let Some(other) = sources.iter().find(is_other) {
        let message =
            "is not in Terraform's language, and the other files are: together they are no module";
        return Err(one(other.name, message));
    }
    let loaded = super::hcl::read(sources, hints)?;
    if loaded.is_empty() {
        return Err(one(
            sources.first().map_or("", |of| of.name),
            "there are no security groups in it (alicloud_security_group, aws_security_group, \
             azurerm_network_security_group, google_compute_firewall)",
        ));
    }
    Ok(Content::Rules(Box::new(loaded)))
}

#[cfg(not(feature = "hcl"))]
fn hcl(sources: &[Source<'_>], _: &LoadOptions) -> Result<Content, ParseError> {
    let message = "this is Terraform's own language, which this build does not read (cargo's feature `hcl` does); \
                   `terraform show -json PLAN` prints the same";
    Err(one(sources.first().map_or("", |of| of.name), message))
}

/// Whether a text is meant to be our own rules file, whatever is wrong with it.
fn is_own(text: &str) -> bool {
    let text = without_mark(text);
    let json = text.trim_start().starts_with(['{', '[']) && yaml::check_json(text).is_ok();
    if let Some(value) = json.then(|| serde_json::from_str::<Value>(text).ok()).flatten() {
        let groups =
            ["security_groups", "network_acls"].iter().any(|key| value.get(*key).is_some());
        return groups && !aws::is_collected(&value);
    }
    let foreign =
        text.contains("ROSTemplateFormatVersion") || classbench::recognise(text) || is_hcl(text);
    let looks_like_json = text.trim_start().starts_with("{\"")
        || text.trim_start().starts_with(['{', '[']) && text.contains("\":");
    // Terraform's instances have an attribute of that name.
    text.contains("security_groups") && !is_hcl(text)
        || !foreign && !looks_like_json && !text.trim_start().starts_with('<')
}

fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// A JSON value of a text.
struct Document {
    value: Value,
    /// It is one of a list.
    is_listed: bool,
}

/// The JSON values of a text: several may stand one after the other, or in an array.
fn documents(source: &Source<'_>) -> Result<Vec<Document>, ParseError> {
    let text = without_mark(source.text);
    let fault = |at, message: String| ParseError::new(source.name, vec![Fault { at, message }]);
    let foreign = |message: &str| {
        ParseError::foreign(source.name, vec![Fault { at: None, message: message.to_owned() }])
    };
    let start = text.trim_start();
    if start.starts_with("<?xml") || start.starts_with('<') {
        let message = "this is XML; ask for JSON: aliyun … --output json, or Format=JSON";
        return Err(foreign(message));
    }
    if start.starts_with("PK\u{3}\u{4}") {
        let message = "this is a binary plan; `terraform show -json FILE` prints it";
        return Err(fault(None, message.to_owned()));
    }
    if !start.starts_with(['{', '[']) {
        if !text.contains("ROSTemplateFormatVersion") {
            let message = "none of the formats that are read: our own rules file, answers of the ECS API, a \
                           console export, Terraform's JSON, a ROS template, answers of `aws ec2`, `az network` or \
                           `gcloud compute`";
            return Err(foreign(message));
        }
        let document = yaml::read_value(text).map_err(|error| fault(error.at, error.message))?;
        return Ok(vec![Document { value: ros::untagged(document), is_listed: false }]);
    }
    yaml::check_json(text).map_err(|error| fault(error.at, error.message))?;
    let mut found: Vec<Document> = Vec::new();
    let several = |list: Vec<Value>| {
        list.into_iter().map(|value| Document { value, is_listed: true }).collect::<Vec<_>>()
    };
    let one = |value| Document { value, is_listed: false };
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let value = value.map_err(|error| {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
            fault(Some((error.line(), error.column())), message)
        })?;
        match value {
            // Answers in an array are answers one after the other; rules in one are an export.
            Value::Array(list) if list.iter().any(is_answer) => found.extend(several(list)),
            Value::Array(list)
                if list.len() == 1 && !list.iter().any(|one| one.get("IpProtocol").is_some()) =>
            {
                found.extend(several(list));
            }
            // Azure and Google Cloud answer with lists in an object too.
            Value::Object(mut map) => {
                let more = ["nextLink", "nextPageToken"].iter().find(|key| {
                    map.get(**key).and_then(Value::as_str).is_some_and(|token| !token.is_empty())
                });
                if let Some(key) = more {
                    let message = format!(
                        "{key}: the answer is incomplete, more follows; give all pages of it"
                    );
                    return Err(fault(None, message));
                }
                let list = ["value", "items"].iter().find(|key| {
                    let list = map.get(**key).and_then(Value::as_array);
                    list.is_some_and(|list| list.iter().any(is_answer))
                });
                match list.and_then(|key| map.remove(*key)) {
                    Some(Value::Array(list)) => found.extend(several(list)),
                    _ => found.push(one(Value::Object(map))),
                }
            }
            value => found.push(one(value)),
        }
    }
    Ok(found)
}

/// Whether a cloud answers so where it does not answer.
fn is_error(value: &Value) -> bool {
    let has = |key: &str| value.get(key).is_some();
    value.is_null()
        || ["Error", "error", "Errors", "errors"].into_iter().any(has)
        || (has("Code") || has("code")) && (has("Message") || has("message"))
}

/// Whether a value stands for itself, in a list of its like.
fn is_answer(value: &Value) -> bool {
    alibaba::recognise(value).is_some()
        || vpc::recognise(value).is_some()
        || azure::recognise(value).is_some()
        || aws::recognise(value).is_some()
        || google::recognise(value).is_some()
}

#[derive(Clone, Copy)]
enum Kind {
    Own,
    Alibaba(alibaba::Answer),
    Aws(aws::Answer),
    Azure(azure::Answer),
    Google(google::Answer),
    Vpc(vpc::Answer),
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
    } else if let Some(answer) = alibaba::recognise(value) {
        Kind::Alibaba(answer)
    } else if let Some(answer) = vpc::recognise(value) {
        Kind::Vpc(answer)
    } else if let Some(answer) = azure::recognise(value) {
        Kind::Azure(answer)
    } else if let Some(answer) = aws::recognise(value) {
        Kind::Aws(answer)
    } else if let Some(answer) = google::recognise(value) {
        Kind::Google(answer)
    } else if has("security_groups") || has("network_acls") {
        Kind::Own
    } else {
        Kind::Other(
            "JSON of another kind: none of an answer of the ECS API, a console export, Terraform's plan or \
             state, a ROS template, an answer of `aws ec2`, `az network` or `gcloud compute`",
        )
    }
}
