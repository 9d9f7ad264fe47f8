//! Several captures as one stream.

use std::path::Path;

use sgreplay::capture::{Capture, Frame, PcapWriter};

use crate::support::{self, output_in, root};

/// Deals the frames of a capture out to files, and names them.
fn deal(name: &str, dir: &Path, to: impl Fn(&Frame<'_>) -> usize, files: usize) -> Vec<String> {
    let names: Vec<String> = (0..files).map(|n| format!("{n}.pcap")).collect();
    let mut writers: Vec<PcapWriter> =
        names.iter().map(|name| PcapWriter::create(&dir.join(name)).unwrap()).collect();
    let mut capture = Capture::open(&support::capture(name)).unwrap();
    while let Some(frame) = capture.next_frame().unwrap() {
        writers[to(&frame)].write(&frame).unwrap();
    }
    for writer in writers {
        writer.finish().unwrap();
    }
    names
}

fn decoded(dir: &Path, names: &[String], more: &[&str]) -> String {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let args = [&["decode", "-f", "csv"][..], more, &names].concat();
    let (status, csv, stderr) = output_in(dir, &args, b"");
    assert_eq!((status, stderr.as_str()), (0, ""));
    csv
}

#[test]
fn a_capture_dealt_out_and_merged_is_the_capture() {
    for name in ["story.pcap", "scan.pcap", "fragments.pcap"] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(support::capture(name), dir.path().join("whole.pcap")).unwrap();
        let whole = decoded(dir.path(), &["whole.pcap".to_owned()], &[]);
        let way = |frame: &Frame<'_>| frame.data.len() % 3;
        let names = deal(name, dir.path(), way, 3);
        let merged = decoded(dir.path(), &names, &[]);
        assert_eq!(decoded(dir.path(), &names, &["--merge"]), merged, "the option of before");
        // Frames of the same microsecond come in the order of the files.
        let sorted = |csv: &str| {
            let mut rows: Vec<(String, String)> = csv
                .lines()
                .skip(1)
                .map(|row| row.splitn(3, ',').map(str::to_owned).collect::<Vec<_>>())
                .map(|row| (row[1].clone(), row[2].clone()))
                .collect();
            rows.sort();
            rows
        };
        assert_eq!(sorted(&merged), sorted(&whole));
        let times: Vec<&str> =
            merged.lines().skip(1).map(|row| row.split(',').nth(1).unwrap()).collect();
        assert!(times.is_sorted());
        let numbers = merged.lines().skip(1).map(|row| row.split(',').next().unwrap());
        assert!(numbers.eq((1..=times.len()).map(|n| n.to_string()).collect::<Vec<_>>()));
        // In the order of the names, the same packets in another order.
        let chained = decoded(dir.path(), &names, &["--as-named"]);
        assert_ne!(chained, merged);
        assert_eq!(sorted(&chained), sorted(&whole));
    }
}

/// Connections recorded half here, half there are whole again.
#[test]
fn both_directions_of_a_connection_from_two_files() {
    let dir = tempfile::tempdir().unwrap();
    let rules = support::capture("proposed.yaml");
    let from_server =
        |frame: &Frame<'_>| usize::from(frame.data.get(26..30) == Some(&[10, 0, 0, 5]));
    deal("ssh.pcap", dir.path(), from_server, 2);
    std::fs::copy(support::capture("ssh.pcap"), dir.path().join("whole.pcap")).unwrap();
    let summary = |captures: &[&str]| {
        let args =
            ["replay", "--rules", rules.to_str().unwrap(), "--local", "10.0.0.5", "-f", "json"];
        let args = [&args[..], captures].concat();
        let (status, json, stderr) = output_in(dir.path(), &args, b"");
        assert_eq!(status, 0, "{stderr}");
        let summary: serde_json::Value = serde_json::from_str(&json).unwrap();
        ["packets", "connections", "rules", "decided", "reasons"].map(|key| summary[key].clone())
    };
    assert_eq!(summary(&["1.pcap", "0.pcap"]), summary(&["whole.pcap"]));
    assert_eq!(summary(&["0.pcap", "1.pcap"]), summary(&["whole.pcap"]));
}

#[test]
fn damage_in_one_leaves_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let by_length = |frame: &Frame<'_>| usize::from(frame.data.len() > 100);
    let names = deal("story.pcap", dir.path(), by_length, 2);
    let path = dir.path().join(&names[0]);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    for order in [&["--as-named"][..], &[]] {
        let args = [&["decode", "-f", "csv"][..], order, &["0.pcap", "1.pcap"]].concat();
        let (status, csv, stderr) = output_in(dir.path(), &args, b"");
        assert_eq!(status, 0);
        assert!(stderr.starts_with("sgreplay: warning: 0.pcap: frame "), "{stderr}");
        let long = csv
            .lines()
            .skip(1)
            .filter(|row| row.split(',').nth(2).unwrap().parse::<u64>().unwrap() > 100);
        let whole = Capture::open(&dir.path().join("1.pcap"));
        let mut whole = whole.unwrap();
        while whole.next_frame().unwrap().is_some() {}
        assert_eq!(long.count() as u64, whole.frames(), "all of the undamaged one");
    }
}

/// A hash stands beside the capture that it is of, also where a run ends before all captures are opened.
#[test]
fn every_capture_has_its_own_hash() {
    let read = |more: &[&str]| -> serde_json::Value {
        let words =
            ["replay", "--rules", "proposed.yaml", "--local", "10.0.0.5", "--hash", "-f", "json"];
        let captures = ["story.pcap", "dns.pcap", "mail.pcap"];
        let (_, out, _) =
            output_in(&root().join("captures"), &[&words[..], &captures, more].concat(), b"");
        serde_json::from_str(&out).unwrap()
    };
    let whole = read(&[]);
    let hash_of = |inputs: &serde_json::Value, name: &str| {
        let of_name = |input: &&serde_json::Value| input["path"] == name;
        inputs.as_array().unwrap().iter().find(of_name).map(|input| input["sha256"].clone())
    };
    for count in ["1", "20", "90"] {
        let part = read(&["--count", count]);
        for name in ["story.pcap", "dns.pcap", "mail.pcap"] {
            if let Some(hash) = hash_of(&part["inputs"]["captures"], name) {
                assert_eq!(
                    Some(hash),
                    hash_of(&whole["inputs"]["captures"], name),
                    "{name} {count}"
                );
            }
        }
    }
    let cut = read(&["--count", "1"]);
    assert!(
        cut["inputs"]["captures"].as_array().unwrap().len() < 3,
        "all were opened, so nothing was tried"
    );
}

/// Many captures share a line; `-v`, JSON, and whatever there is more to say of one, name them.
#[test]
fn many_captures_share_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..6).map(|n| format!("{n}.pcap")).collect();
    for name in &names {
        std::fs::copy(support::capture("ssh.pcap"), dir.path().join(name)).unwrap();
    }
    std::fs::copy(support::capture("proposed.yaml"), dir.path().join("rules.yaml")).unwrap();
    let base = ["replay", "--rules", "rules.yaml", "--local", "10.0.0.5", "."];
    let lines = |more: &[&str]| {
        let (status, out, stderr) = output_in(dir.path(), &[&base, more].concat(), b"");
        assert_eq!(status, 0, "{stderr}");
        let starts = |word: &str| out.lines().filter(|line| line.starts_with(word)).count();
        (starts("captures 6 files: 1,218 packets, "), starts("capture  "))
    };
    assert_eq!(lines(&[]), (1, 0));
    assert_eq!(lines(&["-v"]), (0, 6));
    assert_eq!(lines(&["--hash"]), (0, 6));
}

/// More captures than are read on threads of their own, all of them open at once.
#[test]
fn a_capture_dealt_out_to_many_files() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(support::capture("scan.pcap"), dir.path().join("whole.pcap")).unwrap();
    let names =
        deal("scan.pcap", dir.path(), |frame| usize::try_from(frame.number % 40).unwrap(), 40);
    let merged = decoded(dir.path(), &names, &[]);
    for threads in ["1", "2", "4"] {
        assert_eq!(decoded(dir.path(), &names, &["--threads", threads]), merged, "{threads}");
    }
    let times = |csv: &str| -> Vec<String> {
        csv.lines().skip(1).map(|row| row.split(',').nth(1).unwrap().to_owned()).collect()
    };
    let whole = decoded(dir.path(), &["whole.pcap".to_owned()], &[]);
    let mut sorted = times(&whole);
    sorted.sort_by_key(|time| time.parse::<u64>().unwrap());
    assert_eq!(times(&merged), sorted);
}
