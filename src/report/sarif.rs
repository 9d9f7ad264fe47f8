//! SARIF 2.1.0, which code hosts show beside the lines of a change.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::check::{Checked, Finding, page};
use crate::parse::Positions;
use crate::rules::{Code, Severity};

/// What else a run has to report, beside the findings of `check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SarifResult {
    /// The kind, as in `newly-denied`.
    pub id: &'static str,
    /// What kind of thing it is, in a sentence.
    pub about: &'static str,
    /// How bad.
    pub severity: Severity,
    /// What was found.
    pub message: String,
    /// The file, and the line in it where that is known.
    pub at: (String, Option<usize>),
}

/// Findings of a rules file, and other results of the same run.
pub fn sarif(
    file: &str,
    checked: &Checked,
    positions: &Positions,
    others: &[SarifResult],
) -> Value {
    let mut kinds: Vec<Value> = Code::ALL.iter().copied().map(kind).collect();
    let mut ids: Vec<&str> = Code::ALL.iter().copied().map(Code::as_str).collect();
    for other in others {
        if !ids.contains(&other.id) {
            ids.push(other.id);
            kinds.push(json!({
                "id": other.id,
                "shortDescription": {"text": other.about},
                "defaultConfiguration": {"level": other.severity.as_str()},
            }));
        }
    }
    let index = |id: &str| ids.iter().position(|known| *known == id);
    let finding = |finding: &Finding, suppressed: Option<&str>| {
        let line = finding.place.and_then(|place| positions.rule(place));
        let names = [&finding.group, &finding.rule];
        let name = names.into_iter().flatten().cloned().collect::<Vec<_>>().join("/");
        let mut result = json!({
            "ruleId": finding.code.as_str(),
            "ruleIndex": index(finding.code.as_str()),
            "level": finding.severity.as_str(),
            "message": {"text": message(finding)},
            "locations": [location(file, line.map(|(line, _)| line), &name)],
            // What it is about, not where it stands: a moved rule has the same findings.
            "partialFingerprints": {"sgreplay/v1": format!("{}:{name}", finding.code)},
        });
        if let (Some(reason), Some(keys)) = (suppressed, result.as_object_mut()) {
            let suppressions = json!([{"kind": "inSource", "justification": reason}]);
            keys.insert("suppressions".to_owned(), suppressions);
        }
        result
    };
    let suppressed = checked.suppressed.iter().map(|(of, reason)| finding(of, Some(reason)));
    let others = others.iter().map(|other| {
        json!({
            "ruleId": other.id,
            "ruleIndex": index(other.id),
            "level": other.severity.as_str(),
            "message": {"text": other.message},
            "locations": [location(&other.at.0, other.at.1, "")],
        })
    });
    let findings = checked.findings.iter().map(|of| finding(of, None));
    let results: Vec<Value> = findings.chain(suppressed).chain(others).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "sgreplay",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": kinds,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn kind(code: Code) -> Value {
    let page = page(code);
    let first = page.split_inclusive('.').next().unwrap_or_default().replace('\n', " ");
    json!({
        "id": code.as_str(),
        "shortDescription": {"text": first},
        "fullDescription": {"text": page.replace('\n', " ")},
        "help": {"text": page, "markdown": page},
        "defaultConfiguration": {"level": code.severity().as_str()},
    })
}

fn message(finding: &Finding) -> String {
    let about =
        super::findings::about(finding).map_or_else(String::new, |about| format!("{about} "));
    let example = finding.example.as_ref().map_or_else(String::new, |example| {
        format!(" (for example {} {})", example.direction, example.flow)
    });
    format!("{about}{}{example}", finding.message)
}

/// SARIF wants a URI; what is read from standard input has none.
fn uri(file: &str) -> String {
    let stays = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~/+,=@".contains(byte);
    let mut uri = String::with_capacity(file.len());
    for byte in file.replace('\\', "/").bytes() {
        match stays(&byte) {
            true => uri.push(char::from(byte)),
            false => {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}

fn location(file: &str, line: Option<usize>, name: &str) -> Value {
    let uri = uri(file);
    let mut physical = json!({"artifactLocation": {"uri": uri}});
    if let (Some(line), Some(keys)) = (line, physical.as_object_mut()) {
        keys.insert("region".to_owned(), json!({"startLine": line}));
    }
    let mut location = json!({"physicalLocation": physical});
    if let (false, Some(keys)) = (name.is_empty(), location.as_object_mut()) {
        let logical = json!([{"fullyQualifiedName": name, "kind": "resource"}]);
        keys.insert("logicalLocations".to_owned(), logical);
    }
    location
}
