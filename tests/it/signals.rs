//! The reader leaves, the disk is full, the session ends: no gate opens by it, and nothing half stays.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::{self, ipv4, pcap_every, root};

/// The repository's captures and rules, and a capture that is long enough for a measurement.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(root().join("captures")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    let packet = ipv4("203.0.113.9:40000", "10.0.0.5:53", "udp");
    fs::write(dir.path().join("many.pcap"), pcap_every(1, 101, &vec![&packet[..]; 100_000]))
        .unwrap();
    let open = "{security_groups: [{id: sg-a, rules: [{direction: ingress, protocol: all, source: 0.0.0.0/0}]}]}";
    fs::write(dir.path().join("open.yaml"), open).unwrap();
    fs::write(
        dir.path().join("green.yaml"),
        "{proposed: fixed.yaml, expectations: expectations.yaml}",
    )
    .unwrap();
    let save = ["bench", "--rules", "open.yaml", "--runs", "5", "--save", "slow.json", "many.pcap"];
    let saved = program(dir.path(), &save).stdout(Stdio::null()).status().unwrap();
    assert!(saved.success());
    let slow = fs::read_to_string(dir.path().join("slow.json")).unwrap();
    // A measurement in which everything took next to no time, and one in which it took for ever.
    let with = |ns: f64| {
        let mut saved: serde_json::Value = serde_json::from_str(&slow).unwrap();
        for stage in saved["stages"].as_array_mut().unwrap() {
            stage["samples"] = vec![vec![ns]; 5].into();
        }
        saved.to_string()
    };
    fs::write(dir.path().join("fast.json"), with(0.001)).unwrap();
    fs::write(dir.path().join("slow.json"), with(1e9)).unwrap();
    dir
}

fn program(dir: &Path, words: &[&str]) -> Command {
    let mut command = support::program();
    command.args(words).current_dir(dir).stdin(Stdio::null());
    command
}

/// Every command, by what it is asked, with the status that answers; `None` where nothing is asked.
const LINES: [(&str, Option<i32>); 40] = [
    ("replay --rules proposed.yaml story.pcap", None),
    ("replay --rules proposed.yaml story.pcap --per packet", None),
    ("replay --rules proposed.yaml story.pcap --per packet -f csv", None),
    ("replay --rules proposed.yaml story.pcap --per connection", None),
    ("replay --rules proposed.yaml story.pcap -f json", None),
    ("replay --rules proposed.yaml story.pcap -f ndjson", None),
    ("replay --rules proposed.yaml story.pcap -f markdown", None),
    ("replay --rules proposed.yaml story.pcap --fail-on denied", Some(1)),
    ("replay --rules proposed.yaml story.pcap --fail-on denied --per packet", Some(1)),
    ("replay --rules proposed.yaml story.pcap --fail-on denied --per packet -f csv", Some(1)),
    ("replay --rules proposed.yaml story.pcap --fail-on denied --per packet -f ndjson", Some(1)),
    ("replay --rules proposed.yaml story.pcap --fail-on denied --per packet -f json", Some(1)),
    ("replay --rules proposed.yaml story.pcap --fail-on denied --per connection -f csv", Some(1)),
    ("replay --rules proposed.yaml story.pcap --fail-on denied -f json", Some(1)),
    ("replay --rules open.yaml dns.pcap --local 10.0.0.5 --fail-on denied", Some(0)),
    ("replay --rules proposed.yaml story.pcap --min-coverage 100", Some(1)),
    ("replay --rules proposed.yaml dns.pcap --fail-on action-differs", Some(2)),
    ("diff --current current.yaml --proposed proposed.yaml story.pcap", None),
    ("diff --current current.yaml --proposed proposed.yaml story.pcap --fail-on any", Some(1)),
    (
        "diff --current current.yaml --proposed proposed.yaml story.pcap --fail-on any -f json",
        Some(1),
    ),
    (
        "diff --current current.yaml --proposed proposed.yaml story.pcap --fail-on any -f csv",
        Some(1),
    ),
    ("diff --current current.yaml --proposed proposed.yaml --fail-on any", Some(1)),
    ("diff --current current.yaml --proposed current.yaml --fail-on any", Some(0)),
    ("check current.yaml", None),
    ("check current.yaml --fail-on error", Some(1)),
    ("check current.yaml --fail-on error -f csv", Some(1)),
    ("check current.yaml --fail-on error -f sarif", Some(1)),
    ("test proposed.yaml expectations.yaml", Some(1)),
    ("test fixed.yaml expectations.yaml -f junit", Some(0)),
    ("ci sgreplay.yaml", Some(1)),
    ("ci sgreplay.yaml -f json", Some(1)),
    ("ci green.yaml", Some(0)),
    ("bench --rules open.yaml --runs 1 many.pcap", None),
    (
        "bench --rules open.yaml --runs 5 many.pcap --compare fast.json --fail-on slower:10%",
        Some(1),
    ),
    (
        "bench --rules open.yaml --runs 5 many.pcap --compare slow.json --fail-on slower:10%",
        Some(0),
    ),
    ("suggest databases.pcap", None),
    ("convert current.yaml --to nftables", None),
    ("explain --rules proposed.yaml --frame 200 story.pcap", None),
    ("decode story.pcap", None),
    ("decode story.pcap -f ndjson", None),
];

/// Commands that read no file of the user's.
const FIXED: [&str; 8] = [
    "services",
    "services -f csv",
    "scenarios",
    "scenarios database",
    "check --codes",
    "check --explain shadowed",
    "--help",
    "--version",
];

/// A pipe that nobody reads.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn a_reader_who_leaves_opens_no_gate() {
    let dir = folder();
    for (line, answer) in LINES.into_iter().chain(FIXED.map(|line| (line, None))) {
        let words: Vec<&str> = line.split(' ').collect();
        let output = program(dir.path(), &words).stdout(closed_pipe()).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(answer.unwrap_or(0)), "{line}: {err}");
        assert!(!err.contains("error") || answer == Some(2), "{line}: {err}");
    }
}

#[test]
fn results_that_find_no_room_are_an_error() {
    let dir = folder();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for line in LINES.into_iter().map(|(line, _)| line).chain(FIXED) {
        let words: Vec<&str> = line.split(' ').collect();
        let output = program(dir.path(), &words).stdout(full()).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}: {err}");
        assert!(err.contains("standard output: No space left on device"), "{line}: {err}");
    }
    // Errors that cannot be said are errors.
    let status = program(dir.path(), &["check", "none.yaml"])
        .stdout(full())
        .stderr(full())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(2));
}

/// Files that were asked for are finished, whoever has stopped reading.
#[test]
fn files_are_finished_without_a_reader() {
    let dir = folder();
    let lines = [
        "replay --rules proposed.yaml story.pcap --report",
        "replay --rules proposed.yaml story.pcap --per packet --write-denied",
        "replay --rules proposed.yaml story.pcap --per packet -f csv --write-allowed",
        "replay --rules proposed.yaml story.pcap --per packet -f json --annotate",
        "diff --current current.yaml --proposed proposed.yaml story.pcap --report",
        "diff --current current.yaml --proposed proposed.yaml story.pcap -f csv --write-changed",
        "diff --current current.yaml --proposed proposed.yaml story.pcap --annotate",
        "ci sgreplay.yaml --markdown",
        "ci sgreplay.yaml --sarif",
        "ci sgreplay.yaml --junit",
        "bench --rules open.yaml --runs 1 many.pcap --save",
    ];
    for line in lines {
        let read = |name: &str, stdout: Stdio| {
            let words: Vec<&str> = line.split(' ').chain([name]).collect();
            let status = program(dir.path(), &words).stdout(stdout).status().unwrap();
            (status.code(), fs::read(dir.path().join(name)).unwrap())
        };
        let (wanted, whole) = read("file", Stdio::null());
        let (status, found) = read("file", closed_pipe());
        assert_eq!(status, wanted, "{line}");
        let same = found == whole || line.starts_with("bench") && found.ends_with(b"}\n");
        assert!(same, "{line}: {} of {} bytes", found.len(), whole.len());
    }
}

/// Where standard output is what was asked for, its reader may leave too.
#[test]
fn a_file_on_standard_output_without_a_reader() {
    let dir = folder();
    let line = "replay -q --rules proposed.yaml story.pcap --annotate -";
    for (gate, status) in [("", 0), (" --fail-on denied", 1)] {
        let line = format!("{line}{gate}");
        let words: Vec<&str> = line.split(' ').collect();
        let output = program(dir.path(), &words).stdout(closed_pipe()).output().unwrap();
        assert_eq!(
            (output.status.code(), output.stderr.as_slice()),
            (Some(status), &b""[..]),
            "{line}"
        );
    }
}

/// Names in a folder.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const TERM: i32 = 15;
const HUP: i32 = 1;
const INT: i32 = 2;

fn send(signal: i32, to: u32) {
    let sent = Command::new("kill").args([format!("-{signal}"), to.to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Runs a line whose input does not end, and sends signals when it has begun to write (or has had time to).
fn end_by(dir: &Path, line: &str, signals: &[i32]) -> std::process::Output {
    let before = names(dir);
    let words: Vec<&str> = line.split(' ').collect();
    let mut child = program(dir, &words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(&fs::read(dir.join("dns.pcap")).unwrap()).unwrap();
    let start = Instant::now();
    while names(dir) == before && start.elapsed() < Duration::from_millis(700) {
        std::thread::sleep(Duration::from_millis(10));
    }
    for signal in signals {
        std::thread::sleep(Duration::from_millis(100));
        send(*signal, child.id());
    }
    let output = child.wait_with_output().unwrap();
    drop(pipe);
    output
}

#[test]
fn a_signal_leaves_nothing_half() {
    let dir = folder();
    let rules = "--rules proposed.yaml --local 10.0.0.5 -";
    let sides = "--current current.yaml --proposed proposed.yaml --local 10.0.0.5 -";
    let bench = "bench --rules open.yaml --runs 1000 many.pcap";
    fs::write(
        dir.path().join("pipe.yaml"),
        "{current: current.yaml, proposed: proposed.yaml, captures: '-', local: 10.0.0.5}",
    )
    .unwrap();
    for gate in [false, true] {
        for signal in [TERM, HUP] {
            for (line, gated, option) in [
                (format!("replay {rules}"), "--fail-on denied", ""),
                (format!("replay {rules} --write-denied"), "--fail-on denied", "old"),
                (format!("replay {rules} --write-allowed"), "--fail-on denied", "old"),
                (format!("replay {rules} --annotate"), "--fail-on denied", "old"),
                (format!("replay {rules} --annotate"), "--fail-on denied", "new"),
                (format!("diff {sides}"), "--fail-on any", ""),
                (format!("diff {sides} --write-changed"), "--fail-on any", "old"),
                (format!("diff {sides} --annotate"), "--fail-on any", "new"),
                ("ci pipe.yaml --sarif".to_owned(), "", "old"),
                ("ci pipe.yaml --junit".to_owned(), "", "new"),
                ("suggest --local 10.0.0.5 -".to_owned(), "", ""),
                ("decode -".to_owned(), "", ""),
                ("check -".to_owned(), "--fail-on error", ""),
                ("test - expectations.yaml".to_owned(), "", ""),
                ("convert - --to yaml".to_owned(), "", ""),
                ("explain --rules proposed.yaml --frame 100000 -".to_owned(), "", ""),
                (format!("{bench} --save"), "--compare fast.json --fail-on slower:10%", "old"),
                (format!("{bench} --save"), "", "new"),
            ] {
                if gate && gated.is_empty() {
                    continue;
                }
                fs::write(dir.path().join("old"), "old").unwrap();
                let gated = if gate { gated } else { "" };
                let line = format!("{line} {option} {gated}");
                let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
                let before = names(dir.path());
                let output = end_by(dir.path(), &line, &[signal]);
                assert_eq!(output.status.signal(), Some(signal), "{line}: {output:?}");
                assert_eq!(names(dir.path()), before, "{line}");
                assert_eq!(fs::read(dir.path().join("old")).unwrap(), b"old", "{line}");
            }
        }
    }
}

/// An interrupt ends the reading, and what was read is written; a second one ends everything.
#[test]
fn interrupts() {
    let dir = folder();
    let line = "replay --rules proposed.yaml --local 10.0.0.5 - --write-allowed new";
    let before = names(dir.path());
    let output = end_by(dir.path(), line, &[INT]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(fs::metadata(dir.path().join("new")).unwrap().len() > 24);
    fs::remove_file(dir.path().join("new")).unwrap();
    let output = end_by(dir.path(), line, &[INT, INT]);
    assert_eq!(output.status.signal(), Some(INT), "{output:?}");
    assert_eq!(names(dir.path()), before);
}

/// `nohup` has a run go on when its terminal goes away.
#[test]
fn signals_that_are_ignored_stay_so() {
    let dir = folder();
    let line =
        "trap '' HUP; exec \"$0\" replay --rules proposed.yaml --local 10.0.0.5 - --annotate new";
    let mut child = Command::new("sh")
        .args(["-c", line, env!("CARGO_BIN_EXE_sgreplay")])
        .current_dir(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    send(HUP, child.id());
    std::thread::sleep(Duration::from_millis(100));
    pipe.write_all(&fs::read(dir.path().join("dns.pcap")).unwrap()).unwrap();
    drop(pipe);
    assert!(child.wait().unwrap().success());
    assert!(dir.path().join("new").exists());
}
