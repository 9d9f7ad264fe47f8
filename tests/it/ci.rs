//! `sgreplay ci`: one file, one command.

use insta::assert_snapshot;
use serde_json::Value;

use crate::check::assert_valid_sarif;
use crate::formats::PLAN;
use crate::support::{capture, output_in, run, run_in};

/// A folder with the story of the README.
fn story() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in [
        "current.yaml",
        "proposed.yaml",
        "fixed.yaml",
        "expectations.yaml",
        "accepted.yaml",
        "sgreplay.yaml",
        "story.pcap",
    ] {
        std::fs::copy(capture(name), dir.path().join(name)).unwrap();
    }
    dir
}

/// Runs it in the folder with another file.
fn with(config: &str, args: &[&str]) -> String {
    let dir = story();
    std::fs::write(dir.path().join("sgreplay.yaml"), config).unwrap();
    run_in(dir.path(), &[&["ci"], args].concat(), b"")
}

#[test]
fn red_and_green() {
    assert_snapshot!("red", run(&["ci"]));
    assert_snapshot!("green", run(&["ci", "--proposed", "fixed.yaml"]));
    assert_snapshot!("markdown", run(&["ci", "-f", "markdown"]));
}

/// Without a file, rules on the command line are enough; code hosts get the same findings in their own words.
/// A rules file that cannot be read is annotated at its lines.
#[test]
fn faults_are_annotated() {
    let dir = tempfile::tempdir().unwrap();
    let rules = "security_groups:\n  - id: sg-a\n    rules:\n      - {direction: ingress, protocol: tcp, ports: 0/1, source: any}\n";
    std::fs::write(dir.path().join("a.yaml"), rules).unwrap();
    let args = ["ci", "--current", "a.yaml", "--proposed", "a.yaml", "--annotations", "github"];
    let (status, out, _) = output_in(dir.path(), &args, b"");
    assert_eq!(status, 2);
    assert!(out.contains("::error file=a.yaml,line=4,col="), "{out}");
    assert!(out.lines().all(|line| line.starts_with("::error file=a.yaml,")), "{out}");
    let (_, out, _) = output_in(dir.path(), &args[..5], b"");
    assert_eq!(out, "");
}

#[test]
fn annotations_and_code_quality() {
    let dir = story();
    std::fs::remove_file(dir.path().join("sgreplay.yaml")).unwrap();
    let args = ["ci", "--current", "current.yaml", "--proposed", "proposed.yaml"];
    let also = ["--annotations", "github", "--code-quality", "q.json", "--sarif", "s.sarif"];
    let (_, out, stderr) = output_in(dir.path(), &[&args[..], &also].concat(), b"");
    let commands: Vec<&str> = out.lines().filter(|line| line.starts_with("::")).collect();
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let quality: Vec<Value> = serde_json::from_str(&read("q.json")).unwrap();
    let sarif: Value = serde_json::from_str(&read("s.sarif")).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap().len();
    assert!(results > 1, "{stderr}");
    assert_eq!((commands.len(), quality.len()), (results, results));
    assert!(commands.iter().all(|line| line.contains("file=proposed.yaml")), "{commands:?}");
    let prints: std::collections::BTreeSet<_> =
        quality.iter().map(|of| of["fingerprint"].to_string()).collect();
    assert_eq!(prints.len(), results);
    let (status, _, stderr) = output_in(
        dir.path(),
        &[&args[..], &["--annotations", "github", "-f", "json"]].concat(),
        b"",
    );
    assert_eq!(status, 2, "{stderr}");
}

/// Captures and assertions of a file that is not found would be left out, so its absence is an error, unless the command
/// line has two rule sets to compare; and then it is said.
#[test]
fn a_missing_file_passes_nothing() {
    let dir = story();
    std::fs::remove_file(dir.path().join("sgreplay.yaml")).unwrap();
    let both = ["--current", "current.yaml", "--proposed", "current.yaml"];
    for (args, is_enough) in [
        (&[][..], false),
        (&["--proposed", "proposed.yaml"], false),
        (&["--current", "current.yaml"], false),
        (&both, true),
        (&["sgreplay.yaml", "--current", "current.yaml", "--proposed", "current.yaml"], false),
    ] {
        let (status, _, stderr) = output_in(dir.path(), &[&["ci"][..], args].concat(), b"");
        assert_eq!(status, if is_enough { 0 } else { 2 }, "{args:?}: {stderr}");
        assert!(stderr.contains("sgreplay.yaml"), "{args:?}: {stderr}");
    }
    // One that is there and cannot be read is not absent.
    std::fs::create_dir(dir.path().join("sgreplay.yaml")).unwrap();
    let (status, _, stderr) = output_in(dir.path(), &[&["ci"][..], &both].concat(), b"");
    assert_eq!(status, 2, "{stderr}");
}

#[test]
fn files_for_code_hosts() {
    let dir = story();
    let args = ["ci", "--markdown", "s.md", "--sarif", "s.sarif", "--junit", "s.xml", "-f", "json"];
    let (status, out, _) = output_in(dir.path(), &args, b"");
    assert_eq!(status, 1);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["passes"], false);
    assert_eq!(json["diff"]["connections"]["newly_denied"], 6);
    assert_eq!(json["test"]["failed"], 2);
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let sarif: Value = serde_json::from_str(&read("s.sarif")).unwrap();
    assert_valid_sarif(&sarif);
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let changes: Vec<&str> = results
        .iter()
        .filter(|result| result["ruleId"] == "newly-denied")
        .map(|result| result["message"]["text"].as_str().unwrap())
        .collect();
    assert_eq!(changes.len(), 2, "accepted ones are left out: {changes:?}");
    assert!(
        changes[0].starts_with("newly denied: 1 connection ingress local tcp 80 (HTTP)"),
        "{changes:?}"
    );
    assert_snapshot!("junit", read("s.xml"));
    assert!(read("s.md").starts_with("## sgreplay: the proposal fails\n"));
}

#[test]
fn without_captures_or_current_rules() {
    let rules_alone = with("current: current.yaml\nproposed: proposed.yaml\n", &[]);
    assert!(rules_alone.starts_with("status 1"), "{rules_alone}");
    assert!(
        rules_alone.contains("The proposal fails: 6 regions of packets newly denied."),
        "{rules_alone}"
    );
    let same = with("{current: current.yaml, proposed: current.yaml}", &[]);
    assert!(same.starts_with("status 0"), "what is wrong already is not new: {same}");
    assert!(same.contains("the proposed rules are the same as the current ones"));
    let any = with("{current: current.yaml, proposed: current.yaml, fail_on: [error]}", &[]);
    assert!(any.contains("The proposal fails: check finds 2 errors."), "{any}");
    let alone = with("{proposed: current.yaml, expectations: expectations.yaml}", &[]);
    assert!(alone.contains("check finds 2 new errors; 4 expectations, 2 not met"), "{alone}");
    let nothing = with("{proposed: fixed.yaml, expectations: expectations.yaml}", &[]);
    assert!(
        nothing.starts_with("status 0") && nothing.contains("The proposal passes."),
        "{nothing}"
    );
}

/// A capture that breaks off passes no gate, here neither.
#[test]
fn a_cut_capture() {
    let config = "{current: current.yaml, proposed: fixed.yaml, captures: cut.pcap, local: 10.0.0.5, \
                  accept: accepted.yaml}";
    let dir = story();
    let bytes = std::fs::read(dir.path().join("story.pcap")).unwrap();
    std::fs::write(dir.path().join("cut.pcap"), &bytes[..2000]).unwrap();
    let status = |config: &str| {
        std::fs::write(dir.path().join("sgreplay.yaml"), config).unwrap();
        output_in(dir.path(), &["ci"], b"").0
    };
    assert_eq!(status(config), 2);
    assert_eq!(status(&config.replace("{current", "{allow_truncated: true, current")), 0);
}

#[test]
fn mistakes_are_named() {
    assert_snapshot!("no file", run(&["ci", "none.yaml"]));
    assert_snapshot!("unknown key", with("proposed: fixed.yaml\nexpect: x.yaml\n", &[]));
    assert_snapshot!("unknown condition", with("proposed: fixed.yaml\nfail_on: [denied]\n", &[]));
    assert_snapshot!("nothing proposed", with("current: current.yaml\n", &[]));
    assert_snapshot!(
        "no address",
        with(
            "{current: current.yaml, proposed: fixed.yaml, captures: story.pcap, local: here}",
            &[]
        )
    );
    assert_snapshot!(
        "nothing to compare",
        with("{proposed: fixed.yaml, captures: story.pcap}", &[])
    );
    assert_snapshot!(
        "missing capture",
        with("{current: current.yaml, proposed: fixed.yaml, captures: none.pcap}", &[])
    );
}

/// A Terraform plan is both sides; what the file says of them gives way to the command line.
#[test]
fn a_plan_is_both_sides() {
    let dir = story();
    std::fs::write(dir.path().join("plan.json"), PLAN).unwrap();
    std::fs::write(dir.path().join("plan.yaml"), "plan: plan.json\n").unwrap();
    let run = |args: &[&str]| run_in(dir.path(), &[&["ci"], args].concat(), b"");
    let by_file = run(&["plan.yaml"]);
    assert_snapshot!("plan", by_file);
    std::fs::write(dir.path().join("plan.yaml"), "{proposed: fixed.yaml, current: current.yaml}\n")
        .unwrap();
    assert_eq!(run(&["plan.yaml", "--plan", "plan.json"]), by_file);
    std::fs::write(dir.path().join("plan.yaml"), "{plan: plan.json, current: current.yaml}\n")
        .unwrap();
    assert_snapshot!("plan_and_side", run(&["plan.yaml"]));
}

/// Rules from a pipe were read a second time for the difference, and then empty.
#[test]
fn proposed_rules_from_a_pipe() {
    let dir = story();
    let fixed = std::fs::read(capture("fixed.yaml")).unwrap();
    let (status, out, err) = output_in(dir.path(), &["ci", "--proposed", "-"], &fixed);
    assert_eq!((status, err.as_str()), (0, ""));
    assert!(out.contains("proposed standard input") && out.ends_with("The proposal passes.\n"));
}
