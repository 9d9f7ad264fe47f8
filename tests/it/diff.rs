//! `diff`: what a change of rules does to a capture.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use sgreplay::capture::Capture;
use sgreplay::decode::{Decoded, decode};
use sgreplay::diff::{Diff, Effect};
use sgreplay::replay::{Options, Replay};
use sgreplay::rules::RuleSet;
use sgreplay::sources::Input;

use crate::support::{self, output_in, root, run};

const CURRENT: &str = "current.yaml";
const PROPOSED: &str = "proposed.yaml";

fn diff(more: &[&str]) -> String {
    run(&[&["diff", "--current", CURRENT, "--proposed", PROPOSED][..], more].concat())
}

#[test]
fn what_the_proposal_of_the_readme_does() {
    assert_snapshot!("text", diff(&["story.pcap"]));
    assert_snapshot!("csv", diff(&["story.pcap", "-f", "csv"]));
    assert_snapshot!("json", diff(&["dns.pcap", "--local", "10.0.0.5", "-f", "json"]));
    assert_snapshot!("ndjson", diff(&["dns.pcap", "--local", "10.0.0.5", "-f", "ndjson"]));
    let same = run(&["diff", "--current", CURRENT, "--proposed", CURRENT, "story.pcap"]);
    assert_snapshot!("nothing", same);
}

#[test]
fn a_gate_for_ci() {
    let status = |args: &[&str]| -> i32 {
        let words: String = run(args).chars().skip("status ".len()).take(1).collect();
        words.parse().unwrap()
    };
    let forward = ["diff", "--current", CURRENT, "--proposed", PROPOSED, "story.pcap"];
    let back = ["diff", "--current", PROPOSED, "--proposed", CURRENT, "story.pcap"];
    for (what, forward_fails, back_fails) in
        [("newly-denied", 1, 0), ("newly-allowed", 0, 1), ("any", 1, 1)]
    {
        let with = |args: [&'static str; 6]| [&args[..], &["--fail-on", what]].concat();
        assert_eq!(status(&with(forward)), forward_fails, "{what}");
        assert_eq!(status(&with(back)), back_fails, "{what}");
    }
    assert_eq!(status(&forward), 0);
    // A cut capture passes no gate, unless the answer is known already.
    let dir = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(support::capture("story.pcap")).unwrap();
    std::fs::write(dir.path().join("cut.pcap"), &bytes[..2000]).unwrap();
    let rules = [CURRENT, PROPOSED].map(|name| support::capture(name).display().to_string());
    let gate = ["diff", "--current", &rules[0], "--proposed", &rules[1], "--fail-on", "any"];
    let cut = |more: &[&str]| {
        let args = [&gate[..], &["cut.pcap", "--local", "10.0.0.5"], more].concat();
        output_in(dir.path(), &args, b"").0
    };
    assert_eq!(cut(&[]), 2);
    assert_eq!(cut(&["--allow-truncated"]), 0);
}

/// What was looked at is shown, and fails nothing; until its day has passed.
#[test]
fn accepted_changes_fail_no_gate() {
    let dir = tempfile::tempdir().unwrap();
    for name in [CURRENT, PROPOSED, "story.pcap"] {
        std::fs::copy(support::capture(name), dir.path().join(name)).unwrap();
    }
    let run = |accepted: &str, more: &[&str]| {
        std::fs::write(dir.path().join("accepted.yaml"), accepted).unwrap();
        let args =
            ["diff", "--current", CURRENT, "--proposed", PROPOSED, "--accept", "accepted.yaml"];
        let args = [&args[..], &["--fail-on", "newly-denied", "story.pcap"], more].concat();
        support::run_in(dir.path(), &args, b"")
    };
    let guessing =
        "- {change: newly_denied, filter: tcp port 22 and host 198.51.100.7, reason: guessing}\n";
    let rest = "- {filter: tcp port 6379, reason: closed on purpose}\n\
                - {filter: tcp port 8080 or ip6, reason: not used, until: 9999-12-31}\n";
    assert_snapshot!("some accepted", run(guessing, &[]));
    assert!(run(&[guessing, rest].concat(), &[]).starts_with("status 0"));
    let json = run(&[guessing, rest].concat(), &["-f", "json"]);
    assert!(json.contains(r#""accepted": "closed on purpose""#), "{json}");
    // Expired, and never needed.
    let late = rest.replace("9999-12-31", "2026-01-01");
    let stale = "- {change: newly_allowed, filter: udp, reason: nothing}\n";
    assert_snapshot!("expired", run(&[guessing, &late, stale].concat(), &[]));
    // Mistakes, each with its place.
    assert_snapshot!("unknown key", run("- {filtr: tcp, reason: x}", &[]));
    assert_snapshot!("no filter", run("- {filter: tcp prt 22, reason: x}", &[]));
    assert_snapshot!("no change", run("- {filter: tcp, reason: x, change: denied}", &[]));
}

#[test]
fn the_changed_packets_for_wireshark() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("changed.pcap");
    let args = ["story.pcap", "--write-changed", file.to_str().unwrap(), "-f", "json"];
    let text = diff(&args);
    let json = text.split("── stdout\n").nth(1).unwrap().split("── stderr").next().unwrap();
    let summary: serde_json::Value = serde_json::from_str(json).unwrap();
    let mut written = Capture::open(&file).unwrap();
    while written.next_frame().unwrap().is_some() {}
    assert_eq!(Some(written.frames()), summary["packets"]["newly_denied"].as_u64());
    let changes = summary["changes"].as_array().unwrap();
    let packets: u64 = changes.iter().map(|change| change["packets"].as_u64().unwrap()).sum();
    assert_eq!(packets, written.frames(), "each changed packet is in one change");
}

#[test]
fn mistakes_are_named() {
    let usage = |args: &[&str]| run(&[&["diff"][..], args].concat());
    let two = "two-instances.yaml";
    assert_snapshot!(
        "one lists interfaces",
        usage(&["--current", CURRENT, "--proposed", two, "ssh.pcap"])
    );
    assert_snapshot!(
        "no such rules",
        usage(&["--current", "none.yaml", "--proposed", CURRENT, "ssh.pcap"])
    );
    assert_snapshot!("both from a pipe", usage(&["--current", "-", "--proposed", "-", "ssh.pcap"]));
    assert_snapshot!("no capture", usage(&["--current", CURRENT, "--proposed", PROPOSED]));
}

fn rules(text: &str) -> RuleSet {
    let mut rules = sgreplay::parse::yaml("test", text).unwrap();
    rules.set_local(vec!["10.0.0.5/32".parse().unwrap(), "2001:db8:a::5/128".parse().unwrap()]);
    rules
}

fn file(name: &str) -> RuleSet {
    rules(&std::fs::read_to_string(support::capture(name)).unwrap())
}

/// A difference over every capture of the repository, each with sessions of its own.
fn effects(current: &RuleSet, proposed: &RuleSet) -> BTreeMap<Effect, (u64, u64)> {
    let mut found = BTreeMap::new();
    for path in support::captures() {
        let replay = |rules| Replay::new(rules, Options::default());
        let mut diff = Diff::new((current, replay(current)), (proposed, replay(proposed)));
        let mut capture = Capture::open(&path).unwrap();
        while let Some(frame) = capture.next_frame().unwrap() {
            let decoded: Decoded = decode(frame.link, frame.data);
            let input = Input { frame, decoded: &decoded, selected: true, in_window: true };
            let done: Result<(), ()> = diff.judge_batch(&[input], |_, _, _| Ok(()));
            done.unwrap();
        }
        let denied = |replay: &Replay<'_>| i128::from(replay.stats().connections().denied);
        let of = |effect| i128::from(diff.connections().count(effect));
        assert_eq!(
            denied(diff.proposed()) - denied(diff.current()),
            of(Effect::NewlyDenied) - of(Effect::NewlyAllowed),
            "{}: what two replays say",
            path.display()
        );
        assert_eq!(diff.packets().total(), diff.current().stats().packets().total());
        assert_eq!(diff.connections().total(), diff.current().stats().connections().total());
        for &effect in Effect::ALL {
            let (connections, packets) = found.entry(effect).or_default();
            *connections += diff.connections().count(effect);
            *packets += diff.packets().count(effect);
        }
    }
    found
}

#[test]
fn there_and_back_are_mirrors() {
    let (current, proposed) = (file(CURRENT), file(PROPOSED));
    let there = effects(&current, &proposed);
    let back = effects(&proposed, &current);
    assert!(there[&Effect::NewlyDenied].0 > 10);
    assert_eq!(there[&Effect::NewlyDenied], back[&Effect::NewlyAllowed]);
    assert_eq!(there[&Effect::NewlyAllowed], back[&Effect::NewlyDenied]);
    assert_eq!(there[&Effect::OtherRule], back[&Effect::OtherRule]);
    let same = effects(&current, &current);
    let all: u64 = same.values().map(|(_, packets)| packets).sum();
    assert_eq!(same[&Effect::Unchanged].1, all);
}

/// Rules are the same by id where both sides have it, else by what they say.
#[test]
fn moving_a_rule_is_no_change() {
    let ssh = "{direction: ingress, protocol: tcp, ports: 22, source: 0.0.0.0/0}";
    let web = "{direction: ingress, protocol: tcp, ports: [80, 443, 8080], source: 0.0.0.0/0}";
    let group = |rules: &[&str]| rules_of(&rules.join(", "));
    let only = |change: &BTreeMap<Effect, (u64, u64)>, effect: Effect| {
        change
            .iter()
            .all(|(of, (_, packets))| *packets == 0 || [effect, Effect::Unchanged].contains(of))
            && change[&effect].1 > 0
    };
    // Moved, and so numbered otherwise.
    let moved = effects(&group(&[ssh, web]), &group(&[web, ssh]));
    assert!(only(&moved, Effect::Unchanged), "{moved:?}");
    // Given an id: what it says is the same.
    let named = |id: &str, rule: &str| rule.replacen('{', &format!("{{id: {id}, "), 1);
    let given = effects(&group(&[ssh, web]), &group(&[&named("a", ssh), &named("b", web)]));
    assert!(only(&given, Effect::Unchanged), "{given:?}");
    // The same id, with a wider source: the same rule.
    let office = ssh.replace("0.0.0.0/0", "203.0.113.0/24");
    let wider = effects(&group(&[&named("a", &office)]), &group(&[&named("a", ssh)]));
    assert!(only(&wider, Effect::NewlyAllowed), "{wider:?}");
    // Another rule that says otherwise, and allows the same.
    let other = effects(&group(&[&named("a", &office), web]), &group(&[&named("c", ssh), web]));
    assert!(other[&Effect::OtherRule].1 > 0, "{other:?}");
}

fn rules_of(rules_text: &str) -> RuleSet {
    rules(&format!("{{security_groups: [{{id: sg-a, rules: [{rules_text}]}}]}}"))
}

/// What is cut is what the two filters say, packet by packet.
#[test]
fn tcpdump_finds_the_packets_that_are_newly_denied() {
    if std::process::Command::new("tcpdump").arg("--version").output().is_err() {
        println!("SKIPPED: tcpdump is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (dir.path().join("ours.pcap"), dir.path().join("theirs.pcap"));
    diff(&["story.pcap", "--write-changed", ours.to_str().unwrap()]);
    let filter = "(tcp port 22 and host 198.51.100.7) or (tcp port 6379 and host 198.51.100.7) or \
                  tcp port 8080 or (ip6 and tcp port 80)";
    let found = std::process::Command::new("tcpdump")
        .current_dir(root().join("captures"))
        .args(["-r", "story.pcap", "-w", theirs.to_str().unwrap(), filter])
        .output()
        .unwrap();
    assert!(found.status.success());
    let frames = |path: &std::path::Path| {
        let (mut capture, mut found) = (Capture::open(path).unwrap(), Vec::new());
        while let Some(frame) = capture.next_frame().unwrap() {
            found.push((frame.time_ns, frame.data.to_vec()));
        }
        found
    };
    assert_eq!(frames(&ours), frames(&theirs));
    assert!(frames(&ours).len() > 100);
}

/// Without a capture: the exact difference.
#[test]
fn of_the_rules_alone() {
    assert_snapshot!("rules_text", diff(&[]));
    assert_snapshot!("rules_csv", diff(&["-f", "csv"]));
    assert_snapshot!("rules_json", diff(&["-f", "json", "--local", "10.0.0.5"]));
    let same = run(&["diff", "--current", CURRENT, "--proposed", CURRENT, "--fail-on", "any"]);
    assert_snapshot!("rules_same", same);
    let fails = |what: &str| diff(&["--fail-on", what]).starts_with("status 1");
    assert!(fails("newly-denied") && fails("any") && !fails("newly-allowed"));
}

/// Narrow local addresses, source ports, several interfaces, one that only one side has.
#[test]
fn of_interfaces_and_quintuple_rules() {
    let dir = tempfile::tempdir().unwrap();
    let text = |rule: &str, more: &str| {
        format!(
            "{{security_groups: [{{id: sg-a, rules: [{rule}]}}], interfaces: [\
             {{id: eni-a, addresses: [10.0.0.5, 10.0.0.6], security_groups: [sg-a]}}{more}]}}"
        )
    };
    let open = "{direction: ingress, protocol: tcp, ports: 22, source: 203.0.113.0/24}";
    let narrow = "{direction: ingress, protocol: tcp, ports: 22, source: 203.0.113.0/24, \
                  source_ports: 1024/65535, destination: 10.0.0.5}";
    let other = ", {id: eni-b, addresses: [10.0.0.9], security_groups: [sg-a]}";
    std::fs::write(dir.path().join("a"), text(open, "")).unwrap();
    std::fs::write(dir.path().join("b"), text(narrow, other)).unwrap();
    let elsewhere = text(open, "").replace("eni-a", "eni-z");
    std::fs::write(dir.path().join("c"), elsewhere).unwrap();
    let diff =
        |b: &str| support::run_in(dir.path(), &["diff", "--current", "a", "--proposed", b], b"");
    assert_snapshot!("quintuple", diff("b"));
    assert_snapshot!("no_interface_in_common", diff("c"));
}

#[test]
fn options_about_a_capture_need_one() {
    for option in [&["--accept", "x"][..], &["--write-changed", "x"], &["--filter", "tcp"]] {
        let out = diff(option);
        assert!(out.starts_with("status 2"), "{out}");
        assert!(
            out.contains(&format!("{} is about a capture, and none is named", option[0])),
            "{out}"
        );
    }
}
