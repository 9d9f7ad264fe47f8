//! Captures with comments: `--annotate`, and what `--write-…` writes to a file named `.pcapng`.

use std::path::Path;
use std::process::Command;

use sgreplay::capture::{Capture, PcapWriter};

use crate::support::{self, output_in, run_in};

const LOCAL: [&str; 2] = ["--local", "10.0.0.5,2001:db8:a::5"];

/// Every frame of a capture: link type, time, length on the wire, interface, hint, bytes.
fn frames(path: &Path) -> Vec<String> {
    let (mut capture, mut found) = (Capture::open(path).unwrap(), Vec::new());
    while let Some(frame) = capture.next_frame().unwrap() {
        let sgreplay::capture::Frame { link, time_ns, wire_len, hint, interface, data, .. } = frame;
        let captured = u32::try_from(data.len()).unwrap();
        let wire_len = wire_len.max(captured);
        found.push(format!("{link:?} {time_ns:?} {wire_len} {hint:?} {interface:?} {data:02x?}"));
    }
    found
}

/// Nothing is lost: what is read again is what was read.
#[test]
fn an_annotated_capture_holds_the_same_frames() {
    let dir = tempfile::tempdir().unwrap();
    let annotated = dir.path().join("annotated.pcapng");
    let rules = support::capture("current.yaml");
    for capture in support::captures() {
        let args = ["replay", "--rules", rules.to_str().unwrap(), capture.to_str().unwrap()];
        let args = [&args[..], &LOCAL, &["--annotate", "annotated.pcapng"]].concat();
        let (status, _, err) = output_in(dir.path(), &args, b"");
        assert_eq!(status, 0, "{err}");
        assert_eq!(frames(&annotated), frames(&capture), "{}", capture.display());
    }
}

/// What tshark finds by a comment is what the rows say.
#[test]
fn wireshark_filters_by_the_verdict() {
    if Command::new("tshark").arg("--version").output().is_err() {
        println!("SKIPPED: tshark is not installed, so no annotated capture was looked at");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let rules = support::capture("proposed.yaml");
    let (mut compared, mut denied) = (0, 0);
    for capture in support::captures() {
        let args = ["replay", "--rules", rules.to_str().unwrap(), capture.to_str().unwrap()];
        let rows = ["--annotate", "a.pcapng", "--per", "packet", "-f", "csv"];
        let (status, out, err) = output_in(dir.path(), &[&args[..], &LOCAL, &rows].concat(), b"");
        assert_eq!(status, 0, "{err}");
        let mut rows = csv::Reader::from_reader(out.as_bytes());
        let headers = rows.headers().unwrap().clone();
        let column = |name: &str| headers.iter().position(|known| known == name).unwrap();
        let [frame, time, verdict, reason, group, rule] =
            ["frame", "time_ns", "verdict", "reason", "group", "rule"].map(column);
        let mut expected: Vec<(String, String, String)> = Vec::new();
        for row in rows.records().map(Result::unwrap) {
            let words: Vec<&str> = [&row[verdict], &row[group], &row[rule]]
                .into_iter()
                .filter(|w| !w.is_empty())
                .collect();
            let words = match &row[verdict] {
                "not_evaluated" => format!("not_evaluated {}", &row[reason]),
                _ => words.join(" "),
            };
            expected.push((row[frame].to_owned(), row[time].to_owned(), words));
        }
        // A packet judged at two interfaces has two rows, and one comment.
        expected.dedup_by(|next, kept| next.0 == kept.0);
        let fields =
            ["-T", "fields", "-e", "frame.number", "-e", "frame.time_epoch", "-e", "frame.comment"];
        let tshark = |filter: &[&str]| {
            let out = Command::new("tshark")
                .args(["-r", "a.pcapng"])
                .args(filter)
                .args(fields)
                .current_dir(&dir)
                .output()
                .unwrap();
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            String::from_utf8(out.stdout).unwrap()
        };
        let all = tshark(&[]);
        assert_eq!(all.lines().count(), expected.len(), "{}", capture.display());
        for (line, (frame, time, words)) in all.lines().zip(&expected) {
            let [number, epoch, comment] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            assert_eq!(number, frame);
            assert!(comment.starts_with(words.as_str()), "{}: {line}: {words}", capture.display());
            assert_eq!(&epoch.replace('.', ""), time, "{line}");
        }
        let found = tshark(&["-Y", "frame.comment contains \"deny\""]).lines().count();
        assert_eq!(
            found,
            expected.iter().filter(|(_, _, words)| words.starts_with("deny")).count()
        );
        (compared, denied) = (compared + expected.len(), denied + found);
    }
    println!(
        "tshark reads our comment on {compared} packets, and finds the {denied} that are denied"
    );
    assert!(denied > 100);
}

#[test]
fn a_difference_is_annotated_with_both_verdicts() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["story.pcap", "current.yaml", "proposed.yaml"] {
        std::fs::copy(support::capture(name), dir.path().join(name)).unwrap();
    }
    let args = ["diff", "--current", "current.yaml", "--proposed", "proposed.yaml", "story.pcap"];
    let more = ["--annotate", "all.pcapng", "--write-changed", "changed.pcapng"];
    let (status, out, err) = output_in(dir.path(), &[&args[..], &LOCAL, &more].concat(), b"");
    assert_eq!(status, 0, "{err}");
    assert!(out.contains("packets        267           123"), "{out}");
    assert_eq!(frames(&dir.path().join("all.pcapng")).len(), 267);
    assert_eq!(frames(&dir.path().join("changed.pcapng")).len(), 123);
    let bytes = std::fs::read(dir.path().join("changed.pcapng")).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(
        text.contains("newly denied: deny sg-web default; was allow sg-web sgr-ssh priority 1")
    );
    let over = [&args[..], &LOCAL, &["--annotate", "story.pcap"]].concat();
    assert!(
        run_in(dir.path(), &over, b"").contains("story.pcap is being read; write to another file")
    );
}

/// A pcap has one link type; a pcapng takes what comes.
#[test]
fn link_types_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("both.pcapng");
    let mut writer = PcapWriter::create(&path).unwrap();
    let mut wanted = Vec::new();
    for name in ["web.pcap", "any.pcap"] {
        let mut capture = Capture::open(&support::capture(name)).unwrap();
        while let Some(frame) = capture.next_frame().unwrap() {
            writer.write(&frame).unwrap();
        }
        wanted.extend(frames(&support::capture(name)));
    }
    assert_eq!(writer.finish().unwrap(), wanted.len() as u64);
    assert_eq!(frames(&path), wanted);
}
