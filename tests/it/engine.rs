//! The engine as a library is used: rules of a plan, two captures, a sink that stops.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use sgreplay::Error;
use sgreplay::capture::Capture;
use sgreplay::collect::Coverage;
use sgreplay::decode::decode;
use sgreplay::engine::{
    self, Binding, EachFrame, ReplayRequest, RulesFile, RulesRequest, RulesText,
};
use sgreplay::flow::Fragment;
use sgreplay::replay::{Options, Replay, Sessions};
use sgreplay::sources::{Input, SourceOptions, Sources};
use sgreplay::verdict::{Judged, Judgement, Verdict};

use crate::support::{ipv4, output_in, pcap, root};

fn captures() -> PathBuf {
    root().join("captures")
}

fn binding() -> Binding {
    let local = ["10.0.0.5/32", "2001:db8:a::5/128"].map(|net| net.parse().unwrap());
    Binding { local: local.to_vec(), ..Binding::default() }
}

fn open(paths: &[&Path]) -> Sources {
    let paths = paths.iter().map(|path| path.to_path_buf());
    Sources::open(paths, SourceOptions::default(), std::sync::Arc::default()).unwrap()
}

/// Bytes from elsewhere are looked at ahead as a pipe is, and no file that has their name is.
#[test]
fn bytes_from_elsewhere_are_judged_as_the_file_is() {
    let path = captures().join("midstream.pcap");
    let bytes = std::fs::read(&path).unwrap();
    let name = captures().join("story.pcap");
    let of_bytes = || {
        let bytes = Box::new(std::io::Cursor::new(bytes.clone()));
        Sources::from_reader(name.to_str().unwrap(), bytes, SourceOptions::default()).unwrap()
    };
    let answer = |mut sources: Sources, hash: bool| {
        let file = RulesFile::load(&captures().join("current.yaml"), &RulesRequest::default());
        let mut rules = file.unwrap().rules;
        // Who is local, and who accepts connections, is inferred.
        let bound = engine::bind(&mut rules, &mut sources, &Binding::default()).unwrap();
        let local = bound.local.addresses.clone();
        let mut sink = EachFrame::new(|_, _| ControlFlow::Continue(()));
        let request = ReplayRequest { hash, ..ReplayRequest::default() };
        let outcome = engine::replay(&rules, sources, bound, request, &mut sink)?;
        let stats = outcome.replay.stats();
        let midstream: Vec<_> = stats.midstream().collect();
        Ok::<_, Error>(format!("{local:?} {:?} {midstream:?}", stats.packets()))
    };
    assert_eq!(answer(of_bytes(), false).unwrap(), answer(open(&[&path]), false).unwrap());
    assert!(of_bytes().size().is_none() && of_bytes().have_pipe());
    let refused = answer(of_bytes(), true).unwrap_err().to_string();
    assert_eq!(refused, "a hash reads a capture twice, which a pipe does not allow; name a file");
}

/// What the program says of the same question.
#[test]
fn a_replay_counts_as_the_program_does() {
    let mut rules =
        RulesFile::load(&captures().join("current.yaml"), &RulesRequest::default()).unwrap().rules;
    let mut sources = open(&[&captures().join("story.pcap")]);
    let bound = engine::bind(&mut rules, &mut sources, &binding()).unwrap();
    let (mut seen, mut denied) = (0, 0);
    let mut sink = EachFrame::new(|input: &Input<'_>, judged: &Judged| {
        seen += 1;
        assert_eq!(input.frame.number, seen);
        denied += u64::from(judged.verdict().0 == Verdict::Deny);
        ControlFlow::Continue(())
    });
    let request = ReplayRequest { hash: true, ..ReplayRequest::default() };
    let outcome = engine::replay(&rules, sources, bound, request, &mut sink).unwrap();
    let (_, json, _) = output_in(
        &captures(),
        &[
            "replay",
            "--rules",
            "current.yaml",
            "story.pcap",
            "--local",
            "10.0.0.5,2001:db8:a::5",
            "--hash",
            "-f",
            "json",
        ],
        b"",
    );
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let packets = outcome.replay.stats().packets();
    assert_eq!(json["packets"]["denied"], packets.denied);
    assert_eq!(json["packets"]["denied"], denied);
    let input = &outcome.ended.inputs[0];
    assert_eq!(json["inputs"]["captures"][0]["sha256"], *input.sha256.as_ref().unwrap());
    assert_eq!(input.frames, seen);
}

/// The sink gets nothing behind the packet that ends a run; some of it may be counted, since packets are judged in batches.
#[test]
fn a_sink_ends_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let packets: Vec<Vec<u8>> =
        (0..600).map(|n| ipv4(&format!("192.0.2.1:{}", 1024 + n), "10.0.0.5:22", "S")).collect();
    let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    for name in ["a.pcap", "b.pcap"] {
        std::fs::write(dir.path().join(name), pcap(101, &packets)).unwrap();
    }
    let rules = dir.path().join("rules.yaml");
    std::fs::write(&rules, "{security_groups: [{id: sg-a, rules: []}]}").unwrap();
    for most in [1, 64, 300, 1000] {
        let mut rules = RulesFile::load(&rules, &RulesRequest::default()).unwrap().rules;
        let mut sources = open(&[&dir.path().join("a.pcap"), &dir.path().join("b.pcap")]);
        let bound = engine::bind(&mut rules, &mut sources, &binding()).unwrap();
        let mut seen = 0;
        let mut sink = EachFrame::new(|_, _| {
            seen += 1;
            if seen < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let request = ReplayRequest::default();
        let outcome = engine::replay(&rules, sources, bound, request, &mut sink).unwrap();
        assert_eq!(seen, most);
        assert!(outcome.replay.stats().packets().denied >= most);
    }
}

#[test]
fn a_collector_is_a_sink() {
    let mut rules =
        RulesFile::load(&captures().join("current.yaml"), &RulesRequest::default()).unwrap().rules;
    let mut sources = open(&[&captures().join("story.pcap")]);
    let bound = engine::bind(&mut rules, &mut sources, &binding()).unwrap();
    let mut coverage = Coverage::new(&rules);
    engine::replay(&rules, sources, bound, ReplayRequest::default(), &mut coverage).unwrap();
    assert!(!coverage.of_rules().is_empty());
}

/// What is missing is asked for.
#[test]
fn questions_are_errors() {
    let missing = RulesFile::load(Path::new("none.yaml"), &RulesRequest::default()).unwrap_err();
    assert!(matches!(&missing, Error::Question(text) if text == "none.yaml: no such file"));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("groups.json");
    let group = |id: &str| {
        format!(
            r#"{{"GroupId": "{id}", "OwnerId": "1", "IpPermissions": [], "IpPermissionsEgress": []}}"#
        )
    };
    let answer = format!(r#"{{"SecurityGroups": [{}, {}]}}"#, group("sg-1"), group("sg-2"));
    std::fs::write(&file, answer).unwrap();
    let mut rules = RulesFile::load(&file, &RulesRequest::default()).unwrap().rules;
    let mut sources = open(&[&captures().join("story.pcap")]);
    let error = engine::bind(&mut rules, &mut sources, &binding()).unwrap_err();
    assert!(error.to_string().contains("which of them the instance has"), "{error}");
}

/// A program that keeps texts and no files, such as one that sends rules to another machine.
#[test]
fn texts_are_rules_as_their_file_is() {
    let path = captures().join("current.yaml");
    let request = RulesRequest::default();
    let text = std::fs::read_to_string(&path).unwrap();
    let texts = vec![("current.yaml".to_owned(), text)];
    let read = RulesText::new("current.yaml".to_owned(), texts, &request.options).unwrap();
    let of_text = RulesFile::from_text(read, &request).unwrap();
    let of_file = RulesFile::load(&path, &request).unwrap();
    assert_eq!(of_text.rules, of_file.rules);
    assert_eq!(of_text.input.sha256, of_file.input.sha256);
    assert_eq!(of_text.input.path, "current.yaml");
}

/// A caller that has tuples and no packets, such as the rows of a table.
#[test]
fn a_tuple_is_judged_as_its_packet_is_without_sessions() {
    let mut judged_tuples = 0;
    for (rules, capture) in [
        ("current.yaml", "story.pcap"),
        ("proposed.yaml", "story.pcap"),
        ("current.yaml", "scan.pcap"),
        ("two-instances.yaml", "two-instances.pcap"),
    ] {
        let read = RulesFile::load(&captures().join(rules), &RulesRequest::default()).unwrap();
        let mut rules = read.rules;
        if !rules.lists_interfaces() {
            rules.set_local(binding().local);
        }
        let mut replay = Replay::new(&rules, Options::default().with_sessions(Sessions::Off));
        let mut capture = Capture::open(&captures().join(capture)).unwrap();
        while let Some(frame) = capture.next_frame().unwrap() {
            let decoded = decode(frame.link, frame.data);
            let judged = replay.judge(&frame, &decoded);
            let Some(packet) = decoded.packet().filter(|packet| packet.fragment == Fragment::No)
            else {
                continue;
            };
            let Some(of_tuple) = replay.judge_tuple(&packet.flow) else { continue };
            let answers = |of: &Judged| -> Vec<_> {
                let answer = |of: &Judgement| {
                    (of.interface, of.direction, of.verdict, of.reason, of.decided_in, of.entry)
                };
                of.judgements().map(answer).collect()
            };
            assert_eq!(of_tuple.verdict(), judged.verdict(), "{}", packet.flow);
            assert_eq!(answers(&of_tuple), answers(&judged), "{}", packet.flow);
            judged_tuples += 1;
        }
    }
    assert!(judged_tuples > 500, "{judged_tuples}");
}
