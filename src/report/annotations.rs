//! The results of a run as code hosts take them beside SARIF: GitHub's workflow commands, GitLab's code quality.

use serde_json::{Value, json};

use crate::parse::{Fault, ParseError};

/// A result of a SARIF document, as far as a line of a change shows it.
struct Annotation<'a> {
    rule: &'a str,
    level: &'a str,
    message: &'a str,
    file: &'a str,
    line: Option<u64>,
}

/// The results of a SARIF document that are not suppressed.
fn annotations(sarif: &Value) -> impl Iterator<Item = Annotation<'_>> {
    let results = sarif.pointer("/runs/0/results").and_then(Value::as_array);
    let results = results.into_iter().flatten();
    results.filter(|result| result.get("suppressions").is_none()).map(|result| {
        let text = |pointer: &str| result.pointer(pointer).and_then(Value::as_str);
        let place = "/locations/0/physicalLocation";
        Annotation {
            rule: text("/ruleId").unwrap_or_default(),
            level: text("/level").unwrap_or("error"),
            message: text("/message/text").unwrap_or_default(),
            file: text(&format!("{place}/artifactLocation/uri")).unwrap_or_default(),
            line: result.pointer(&format!("{place}/region/startLine")).and_then(Value::as_u64),
        }
    })
}

/// GitHub's workflow commands, one a line, which show the results of a SARIF document beside the lines of a change.
///
/// ```
/// use serde_json::json;
/// use sgreplay::report::github_annotations;
///
/// let sarif = json!({"runs": [{"results": [{
///     "ruleId": "open-to-all", "level": "warning", "message": {"text": "100% open\nto all"},
///     "locations": [{"physicalLocation": {
///         "artifactLocation": {"uri": "rules/a,b.yaml"}, "region": {"startLine": 7},
///     }}],
/// }]}]});
/// assert_eq!(
///     github_annotations(&sarif),
///     "::warning file=rules/a%2Cb.yaml,line=7,title=open-to-all::100%25 open%0Ato all\n",
/// );
/// ```
pub fn github_annotations(sarif: &Value) -> String {
    let command = |Annotation { rule, level, message, file, line }: Annotation<'_>| {
        let level = if level == "note" { "notice" } else { level };
        let line = line.map_or_else(String::new, |line| format!(",line={line}"));
        let (file, title) = (property(file), property(rule));
        format!("::{level} file={file}{line},title={title}::{}\n", data(message))
    };
    annotations(sarif).map(command).collect()
}

/// The same for the faults of a file that cannot be read.
///
/// ```
/// use sgreplay::report::github_faults;
///
/// let error = sgreplay::parse::yaml("web.yaml", "security_groups: 1").unwrap_err();
/// let text = github_faults(&error);
/// assert!(text.starts_with("::error file=web.yaml,line=1,col=18,title=web.yaml::"), "{text}");
/// ```
pub fn github_faults(error: &ParseError) -> String {
    let file = property(&error.file);
    let command = |Fault { at, message }: &Fault| {
        let at = at.map_or_else(String::new, |(line, column)| format!(",line={line},col={column}"));
        format!("::error file={file}{at},title={file}::{}\n", data(message))
    };
    error.faults.iter().map(command).collect()
}

/// Text of a workflow command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a workflow command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// A code quality report of GitLab.
pub fn code_quality(sarif: &Value) -> Value {
    let mut seen = std::collections::BTreeMap::new();
    let report = annotations(sarif).map(|of| {
        let severity = match of.level {
            "error" => "critical",
            "warning" => "major",
            _ => "info",
        };
        // Equal results of one file are told apart by how many came before.
        let same = format!("{}:{}:{}", of.rule, of.file, of.message);
        let count: &mut u32 = seen.entry(same.clone()).or_default();
        *count += 1;
        json!({
            "description": of.message,
            "check_name": of.rule,
            "fingerprint": format!("{:016x}{count:04x}", hash(&same)),
            "severity": severity,
            "location": {"path": of.file, "lines": {"begin": of.line.unwrap_or(1)}},
        })
    });
    Value::Array(report.collect())
}

/// FNV-1a: a fingerprint that stays the same from run to run.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
