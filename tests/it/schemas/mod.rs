//! The JSON Schemas of `sgreplay schema`, generated from types. They are files of the manual, so that a build of the
//! program generates nothing.
//!
//! [`hold`] sees the output of every run of the program in these tests: a key that is in no schema fails them.

mod documents;
mod files;
mod lines;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use jsonschema::Validator;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use crate::support::{captures, output_in, root};

fn schema<T: JsonSchema>() -> Schema {
    SchemaGenerator::default().into_root_schema_for::<T>()
}

/// By the name that `sgreplay schema` takes.
fn all() -> BTreeMap<&'static str, Schema> {
    BTreeMap::from([
        ("accept", schema::<files::Accept>()),
        ("assertions", schema::<files::Assertions>()),
        ("bench", schema::<documents::Bench>()),
        ("check", schema::<documents::Check>()),
        ("ci", schema::<files::Ci>()),
        ("ci-result", schema::<documents::Proposal>()),
        ("decode", schema::<documents::Decode>()),
        ("diff", schema::<documents::Diff>()),
        ("explain", schema::<documents::Explain>()),
        ("ndjson", schema::<lines::Line>()),
        ("replay", schema::<documents::Replay>()),
        ("rules", schema::<files::Rules>()),
        ("scenarios", schema::<documents::Scenarios>()),
        ("services", schema::<documents::Services>()),
        ("suggest", schema::<documents::Suggest>()),
        ("test", schema::<documents::Test>()),
    ])
}

/// Schemas of documents allow keys that later versions add; here every key must be known.
static VALIDATORS: LazyLock<BTreeMap<&'static str, Validator>> =
    LazyLock::new(|| all().into_iter().map(|(name, schema)| (name, strict(schema))).collect());

/// The rows of NDJSON by their type: it is a key of the row, and none of the type's own.
static ROWS: LazyLock<BTreeMap<&'static str, Validator>> = LazyLock::new(|| {
    BTreeMap::from([
        ("packet", strict(schema::<lines::Packet>())),
        ("connection", strict(schema::<lines::Connection>())),
        ("change", strict(schema::<lines::Change>())),
        ("region", strict(schema::<lines::Region>())),
        ("finding", strict(schema::<lines::Finding>())),
        ("service", strict(schema::<lines::Service>())),
        ("scenario", strict(schema::<lines::Scenario>())),
    ])
});

/// The published schema of a line.
static LINE: LazyLock<Validator> =
    LazyLock::new(|| jsonschema::validator_for(schema::<lines::Line>().as_value()).unwrap());

fn strict(schema: Schema) -> Validator {
    let mut schema = schema.to_value();
    close(&mut schema);
    jsonschema::validator_for(&schema).unwrap()
}

/// Allows no key that a schema does not name.
fn close(schema: &mut Value) {
    if let Some(keys) = schema.as_object_mut() {
        if keys.contains_key("properties") && !keys.contains_key("$ref") {
            keys.entry("additionalProperties").or_insert(false.into());
        }
        keys.values_mut().for_each(close);
    } else if let Some(list) = schema.as_array_mut() {
        list.iter_mut().for_each(close);
    }
}

/// Panics where a value has another form than its schema says.
fn valid(name: &str, value: &Value) {
    held(name, &VALIDATORS[name], value);
}

fn held(name: &str, validator: &Validator, value: &Value) {
    if let Err(error) = validator.validate(value) {
        panic!("schema {name}: {error}, at {}", error.instance_path());
    }
}

/// Holds what a run of the program has printed to the schema of its command and format.
pub(crate) fn hold(args: &[&str], status: i32, stdout: &str) {
    let format = args.iter().position(|arg| ["-f", "--format"].contains(arg));
    let format = format.and_then(|at| args.get(at + 1)).copied().unwrap_or_default();
    let Some(command) = args.iter().find(|arg| VALIDATORS.contains_key(*arg)).copied() else {
        return;
    };
    let name = if command == "ci" { "ci-result" } else { command };
    if status == 2 && stdout.is_empty() {
        return;
    }
    match format {
        // A run that broke off leaves half a document.
        "json" => match serde_json::from_str(stdout) {
            Ok(value) => valid(name, &value),
            Err(error) => assert_eq!(status, 2, "{args:?}: {error}"),
        },
        "ndjson" => {
            for line in stdout.lines() {
                let Ok(mut value) = serde_json::from_str::<Value>(line) else {
                    assert_eq!(status, 2, "{args:?}: {line}");
                    continue;
                };
                held("ndjson", &LINE, &value);
                let kind = value.as_object_mut().unwrap().remove("type").unwrap();
                match kind.as_str().unwrap() {
                    "summary" => valid(name, &value),
                    kind => held(kind, &ROWS[kind], &value),
                }
            }
        }
        _ => {}
    }
}

fn published(name: &str) -> PathBuf {
    root().join("src/manual/schemas").join(format!("{name}.json"))
}

/// The published schemas are those of the types. `INSTA_UPDATE=always` writes them.
#[test]
fn published_schemas_are_those_of_the_types() {
    let updates = std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always");
    for (name, schema) in all() {
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if updates {
            fs::write(published(name), &text).unwrap();
            // The program has those of its build.
            continue;
        }
        let found = fs::read_to_string(published(name)).unwrap_or_default();
        assert!(
            found == text,
            "src/manual/schemas/{name}.json is stale; INSTA_UPDATE=always writes it"
        );
        let (status, out, _) = output_in(root(), &["schema", name], b"");
        assert_eq!((status, out), (0, text), "{name}");
        jsonschema::meta::validate(schema.as_value()).unwrap();
    }
    let known = fs::read_dir(root().join("src/manual/schemas")).unwrap().count();
    assert_eq!(known, all().len());
    let (_, out, _) = output_in(root(), &["schema"], b"");
    for name in all().keys() {
        let is_listed = |line: &str| line.split_whitespace().next() == Some(name);
        assert!(out.lines().any(is_listed), "{name}: {out}");
    }
}

fn yaml(text: &str) -> Value {
    sgreplay::yaml::read(text).unwrap()
}

/// Files that the program reads are valid, and a key that it does not know is not.
#[test]
fn files_are_valid_as_the_program_reads_them() {
    let read = |name: &str| yaml(&fs::read_to_string(root().join("captures").join(name)).unwrap());
    for name in ["current.yaml", "proposed.yaml", "fixed.yaml", "two-instances.yaml"] {
        valid("rules", &read(name));
    }
    valid("assertions", &read("expectations.yaml"));
    valid("accept", &read("accepted.yaml"));
    valid("ci", &read("sgreplay.yaml"));
    let page = fs::read_to_string(root().join("src/manual/rules-file.md")).unwrap();
    for block in page.split("```yaml\n").skip(1) {
        let value = yaml(block.split("```").next().unwrap());
        // A block may be a comment alone.
        if !value.is_null() {
            valid("rules", &value);
        }
    }
    for scenario in sgreplay::rules::scenarios::Scenario::all() {
        valid("rules", &yaml(&scenario.rules_file(&[]).unwrap()));
    }
    let wrong = yaml(
        "security_groups: [{id: sg-a, rules: [{direction: ingress, protocol: tcp, port: 80}]}]",
    );
    assert!(!VALIDATORS["rules"].is_valid(&wrong));
    assert!(!VALIDATORS["ci"].is_valid(&json!({"propsed": "a.yaml"})));
}

/// The keys that the program's messages list are those of the schemas.
#[test]
fn schemas_have_the_keys_that_the_program_reads() {
    let dir = tempfile::tempdir().unwrap();
    let keys = |schema: &str, of: Option<&str>| -> Vec<String> {
        let schema = serde_json::to_value(&all()[schema]).unwrap();
        let object = of.map_or(&schema, |name| &schema["$defs"][name]);
        object["properties"]
            .as_object()
            .unwrap_or_else(|| panic!("{of:?}"))
            .keys()
            .cloned()
            .collect()
    };
    let listed = |file: &str, text: &str, command: &[&str]| -> Vec<String> {
        fs::write(dir.path().join(file), text).unwrap();
        let (status, _, err) = output_in(dir.path(), command, b"");
        assert_eq!(status, 2, "{text}");
        let line =
            err.lines().find(|line| line.contains("`zzzzzzzz`")).unwrap_or_else(|| panic!("{err}"));
        let (_, keys) = line.split_once("the keys").or(line.split_once("expected one of")).unwrap();
        let mut keys: Vec<String> = keys.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        keys.sort();
        keys
    };
    let rule = "direction: ingress, protocol: tcp, ports: 22, source: 10.0.0.0/8";
    let group = |more: &str| format!("security_groups: [{{id: sg-a, rules: [{{{rule}}}]{more}}}]");
    let rules = [
        (None, format!("{}\nzzzzzzzz: 1", group(""))),
        (Some("Group"), group(", zzzzzzzz: 1")),
        (Some("Rule"), format!("security_groups: [{{id: sg-a, rules: [{{{rule}, zzzzzzzz: 1}}]}}]")),
        (Some("PeerRef"), "security_groups: [{id: sg-a, rules: [{direction: ingress, protocol: tcp, source: {zzzzzzzz: 1}}]}]".to_owned()),
        (Some("Acl"), format!("{}\nnetwork_acls: [{{id: acl-a, zzzzzzzz: 1}}]", group(""))),
        (Some("AclRule"), format!("cloud: aws\n{}\nnetwork_acls: [{{id: acl-a, rules: [{{number: 1, {rule}, zzzzzzzz: 1}}]}}]", group(""))),
        (Some("Interface"), format!("{}\ninterfaces: [{{id: eni-a, zzzzzzzz: 1}}]", group(""))),
        (Some("PrefixList"), format!("{}\nprefix_lists: [{{id: pl-a, zzzzzzzz: 1}}]", group(""))),
        (Some("PortList"), format!("{}\nport_lists: [{{id: prl-a, zzzzzzzz: 1}}]", group(""))),
        (Some("Tag"), format!("{}\ntags: [{{name: a, zzzzzzzz: 1}}]", group(""))),
        (Some("Suppression"), format!("{}\nsuppressions: [{{code: shadowed, zzzzzzzz: 1}}]", group(""))),
        (Some("Timeouts"), format!("{}\ninterfaces: [{{id: eni-a, timeouts: {{zzzzzzzz: 1}}}}]", group(""))),
    ];
    for (of, text) in rules {
        assert_eq!(
            listed("rules.yaml", &text, &["check", "rules.yaml"]),
            keys("rules", of),
            "{of:?}"
        );
    }
    fs::write(dir.path().join("rules.yaml"), group("")).unwrap();
    let test = ["test", "rules.yaml", "x.yaml"];
    for (of, text) in [
        ("Expectation", "[{name: a, verdict: deny, zzzzzzzz: 1}]"),
        ("Except", "[{name: a, verdict: deny, except: [{zzzzzzzz: 1}]}]"),
    ] {
        assert_eq!(listed("x.yaml", text, &test), keys("assertions", Some(of)), "{of}");
    }
    let accept =
        ["diff", "rules.yaml", "rules.yaml", captures()[0].to_str().unwrap(), "--accept", "x.yaml"]
            .map(str::to_owned);
    let accept: Vec<&str> = accept.iter().map(String::as_str).collect();
    assert_eq!(
        listed("x.yaml", "[{zzzzzzzz: 1}]", &accept),
        keys("accept", Some("AcceptedChange"))
    );
    assert_eq!(listed("x.yaml", "zzzzzzzz: 1", &["ci", "x.yaml"]), keys("ci", None));
}
