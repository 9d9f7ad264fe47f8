//! `sgreplay bench` as a process. What it measures differs from run to run; what it says does not.

use std::path::Path;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{output_in, root, run};

const BENCH: [&str; 6] = ["bench", "--rules", "proposed.yaml", "--runs", "5", "story.pcap"];
const STAGES: [&str; 8] =
    ["read", "decode", "list", "index", "index, batch", "session", "all", "elapsed"];

fn bench(args: &[&str]) -> (i32, String, String) {
    output_in(&root().join("captures"), args, b"")
}

fn list<'v>(of: &'v Value, key: &str) -> &'v Vec<Value> {
    of[key].as_array().unwrap()
}

#[test]
fn the_json_says_what_was_measured() {
    let (_, text, _) = bench(&[BENCH.as_slice(), &["-f", "json"]].concat());
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&found["packets"], &found["runs"]), (&267.into(), &5.into()));
    assert_eq!((&found["entries"], &found["index"]), (&14.into(), &vec!["diagrams"].into()));
    assert!(found["index_memory"].as_u64().unwrap() > 100);
    assert!(found["machine"]["cores"].as_u64().unwrap() > 0);
    assert_eq!(found["build"]["version"], env!("CARGO_PKG_VERSION"));
    let stages: Vec<&str> =
        list(&found, "stages").iter().map(|s| s["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, STAGES);
    for stage in list(&found, "stages").iter().chain(list(&found, "calibration")) {
        let (best, median) = (&stage["ns_per_packet"], &stage["median_ns_per_packet"]);
        assert!(best.as_f64().unwrap() > 0.0 && best.as_f64() <= median.as_f64(), "{stage}");
        let processes = list(stage, "samples");
        assert_eq!(processes.len(), 5);
        assert!(processes.iter().all(|samples| !samples.as_array().unwrap().is_empty()));
    }
}

/// A saved measurement of five processes, changed.
fn saved(dir: &Path, name: &str, change: impl Fn(&mut Value)) -> String {
    let path = dir.join(name).display().to_string();
    if !Path::new(&path).exists() {
        run(&[BENCH.as_slice(), &["--save", &path]].concat());
    }
    let mut found: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut found);
    std::fs::write(&path, found.to_string()).unwrap();
    path
}

/// Every stage takes this long.
fn taking(ns: f64) -> impl Fn(&mut Value) {
    move |saved| {
        for stage in saved["stages"].as_array_mut().unwrap() {
            stage["samples"] = json!(vec![vec![ns]; 5]);
        }
    }
}

#[test]
fn slower_than_what_was_saved_fails() {
    let dir = tempfile::tempdir().unwrap();
    for (ns, status, answer) in
        [(1e-6, 1, "slower: read, decode,"), (1e12, 0, "no stage is slower")]
    {
        let saved = saved(dir.path(), "saved.json", taking(ns));
        for metric in ["slower:10%", "elapsed:10%"] {
            let args = [BENCH.as_slice(), &["--compare", &saved, "--fail-on", metric]].concat();
            let (code, text, _) = bench(&args);
            assert_eq!(code, status, "{text}");
            assert!(text.contains("before") && text.contains("change"), "{text}");
            let answer = answer.replace(
                "read, decode,",
                match metric {
                    "elapsed:10%" => "elapsed",
                    _ => "read, decode,",
                },
            );
            assert!(text.contains(&answer), "{text}");
        }
    }
}

/// Where the samples do not tell, no gate passes; and the reason is said.
#[test]
fn a_gate_does_not_pass_on_what_the_samples_do_not_tell() {
    let dir = tempfile::tempdir().unwrap();
    let file = saved(dir.path(), "saved.json", |_| ());
    let whole = std::fs::read_to_string(&file).unwrap();
    let compare = |runs: &str, metric: &str| {
        let rules = ["bench", "--rules", "proposed.yaml", "story.pcap", "--runs", runs];
        let (code, text, _) =
            bench(&[&rules, &["--compare", &file, "--fail-on", metric][..]].concat());
        assert_eq!(code, 2, "{text}");
        text
    };
    let said = |text: &str, reason: &str| assert!(text.contains(reason), "{text}");
    // Two processes do not show how much processes differ.
    said(
        &compare("2", "slower:900%"),
        "cannot tell about decode: samples of 5 processes are needed",
    );
    // One of five took ten times as long.
    saved(dir.path(), "saved.json", |saved| {
        for stage in saved["stages"].as_array_mut().unwrap() {
            let time = stage["median_ns_per_packet"].as_f64().unwrap();
            stage["samples"] =
                [1.0, 0.1, 10.0, 0.5, 2.0].map(|times| vec![time * times]).to_vec().into();
        }
    });
    said(&compare("5", "slower:10%"), "cannot tell: read, decode, list");
    // The first version kept no samples.
    saved(dir.path(), "saved.json", |saved| {
        for key in ["format", "machine", "build", "calibration"] {
            saved.as_object_mut().unwrap().remove(key);
        }
        for stage in saved["stages"].as_array_mut().unwrap() {
            for key in ["clock", "samples", "instructions", "instructions_per_packet"] {
                stage.as_object_mut().unwrap().remove(key);
            }
        }
    });
    said(&compare("5", "slower:10%"), "the saved measurement has no samples");
    // Instructions that were not counted then.
    std::fs::write(&file, &whole).unwrap();
    saved(dir.path(), "saved.json", |saved| {
        for stage in saved["stages"].as_array_mut().unwrap() {
            stage["instructions"] = json!([]);
        }
    });
    said(&compare("5", "instructions:5%"), "instructions were not counted before");
}

#[test]
fn another_machine_is_not_compared_without_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let file = saved(dir.path(), "saved.json", taking(1e12));
    saved(dir.path(), "saved.json", |saved| saved["machine"]["cpu"] = "Another".into());
    let gate = ["--compare", &file, "--fail-on", "slower:10%"];
    for (more, status) in [(&[][..], 2), (&["--other-machine"], 0)] {
        let (code, _, said) = bench(&[&BENCH, &gate[..], more].concat());
        assert_eq!(code, status, "{said}");
        assert!(said.contains("the saved measurement is of another machine: Another,"), "{said}");
    }
}

/// The other side of a measurement in turns.
#[test]
fn against_another_program_or_other_rules() {
    let gate = ["--fail-on", "slower:900%", "-f", "json"];
    let this = env!("CARGO_BIN_EXE_sgreplay");
    for against in [["--against-program", this], ["--against-rules", "current.yaml"]] {
        let (code, text, said) = bench(&[&BENCH, &against[..], &gate].concat());
        let found: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{said}"));
        assert_eq!(code, 0, "{text}");
        assert_eq!(found["against"]["runs"], 5);
        let wanted = if against[1] == this { "proposed.yaml" } else { "current.yaml" };
        assert_eq!(found["against"]["rules"], wanted);
        let changes = list(&found, "changes");
        assert_eq!(changes.len(), STAGES.len() - 1, "elapsed is a metric of its own");
        for change in changes {
            assert_eq!(
                (&change["metric"], &change["outcome"]),
                (&"slower".into(), &"not_slower".into())
            );
            let ratio = &change["ratio"];
            assert!(ratio["low"].as_f64() <= ratio["high"].as_f64(), "{change}");
        }
    }
}

#[cfg(unix)]
#[test]
fn other_programs_that_cannot_be_measured() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let version = "if [ \"$1\" = --version ]; then echo sgreplay 0.0.1; exit; fi\n";
    let script = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    };
    let older = "echo \"error: unexpected argument '--turn' found\" >&2; exit 2\n";
    let programs = [
        script("other", "echo ls 9.1\n"),
        script("older", &format!("{version}{older}")),
        script("broken", &format!("{version}echo sgreplay: error: no memory >&2; exit 2\n")),
        script("silent", version),
        script("other-json", &format!("{version}echo '{{}}'\n")),
        dir.path().join("none").display().to_string(),
    ];
    let said = programs.map(|program| {
        let (code, text, said) = bench(&[&BENCH[..], &["--against-program", &program]].concat());
        assert_eq!((code, text.as_str()), (2, ""), "{said}");
        said.replace(&dir.path().display().to_string(), "")
    });
    assert_snapshot!(said.concat());
}

#[test]
fn what_cannot_be_compared() {
    let dir = tempfile::tempdir().unwrap();
    let file = saved(dir.path(), "saved.json", |_| ());
    let later = dir.path().join("later.json").display().to_string();
    std::fs::write(&later, "{\"schema\": 1, \"format\": 99, \"samples\": {}}").unwrap();
    let of = |args: &[&str]| {
        let (code, _, said) = bench(args);
        assert_eq!(code, 2, "{args:?}");
        said.replace(&dir.path().display().to_string(), "")
    };
    let bench = ["bench", "--runs", "1", "--rules", "proposed.yaml"];
    let with = |more: &[&str]| of(&[bench.as_slice(), more].concat());
    assert_snapshot!(
        [
            with(&["--compare", &file, "ssh.pcap"]),
            with(&["--compare", "proposed.yaml", "ssh.pcap"]),
            with(&["--compare", &later, "ssh.pcap"]),
            with(&["--fail-on", "slower:10%", "ssh.pcap"]),
            with(&["--compare", &file, "--fail-on", "faster:10%", "ssh.pcap"]),
            with(&["--compare", &file, "--against-rules", "current.yaml", "ssh.pcap"]),
            with(&["--time-limit", "0", "ssh.pcap"]),
            with(&["-"]),
            with(&["nowhere.pcap"]),
        ]
        .join("\n")
    );
}
