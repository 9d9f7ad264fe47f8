//! `sgreplay bench` as a process. What it measures differs from run to run; what it says does not.

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::{output_in, root, run};

const BENCH: [&str; 6] = ["bench", "--rules", "proposed.yaml", "--runs", "1", "story.pcap"];

#[test]
fn the_json_says_what_was_measured() {
    let args = [BENCH.as_slice(), &["-f", "json"]].concat();
    let (_, text, _) = output_in(&root().join("captures"), &args, b"");
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&found["packets"], &found["runs"]), (&267.into(), &1.into()));
    assert_eq!((&found["entries"], &found["index"]), (&14.into(), &vec!["diagrams"].into()));
    assert!(found["index_memory"].as_u64().unwrap() > 100);
    let stages: Vec<&str> =
        found["stages"].as_array().unwrap().iter().map(|s| s["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["read", "decode", "list", "index", "index, batch", "session", "all"]);
    for stage in found["stages"].as_array().unwrap() {
        let (best, median) = (&stage["ns_per_packet"], &stage["median_ns_per_packet"]);
        assert!(best.as_f64().unwrap() > 0.0 && best.as_f64() <= median.as_f64(), "{stage}");
    }
}

/// A measurement that was kept, with every stage taking so long.
fn kept(dir: &tempfile::TempDir, ns: f64) -> String {
    let path = dir.path().join("kept.json").display().to_string();
    run(&[BENCH.as_slice(), &["--save", &path]].concat());
    let mut found: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    for stage in found["stages"].as_array_mut().unwrap() {
        stage["ns_per_packet"] = ns.into();
    }
    std::fs::write(&path, found.to_string()).unwrap();
    path
}

#[test]
fn slower_than_what_was_kept_fails() {
    let dir = tempfile::tempdir().unwrap();
    for (ns, status) in [(1e-6, 1), (1e12, 0)] {
        let kept = kept(&dir, ns);
        let args = [BENCH.as_slice(), &["--compare", &kept, "--fail-on", "slower:10%"]].concat();
        let (code, text, _) = output_in(&root().join("captures"), &args, b"");
        assert_eq!(code, status, "{text}");
        assert!(text.contains("before") && text.contains("change"), "{text}");
        assert_eq!(text.contains("slower by more than 10 %: decode"), status == 1, "{text}");
    }
}

#[test]
fn what_cannot_be_compared() {
    let dir = tempfile::tempdir().unwrap();
    let kept = kept(&dir, 1.0);
    let of = |args: &[&str]| {
        let (code, _, said) = output_in(&root().join("captures"), args, b"");
        assert_eq!(code, 2, "{args:?}");
        said.replace(&kept, "kept.json")
    };
    let bench = ["bench", "--runs", "1", "--rules", "proposed.yaml"];
    let with = |more: &[&str]| of(&[bench.as_slice(), more].concat());
    assert_snapshot!(
        [
            with(&["--compare", &kept, "ssh.pcap"]),
            with(&["--compare", "proposed.yaml", "ssh.pcap"]),
            with(&["--fail-on", "slower:10%", "ssh.pcap"]),
            with(&["--compare", &kept, "--fail-on", "faster:10%", "ssh.pcap"]),
            with(&["-"]),
            with(&["nowhere.pcap"]),
        ]
        .join("\n")
    );
}
