//! The first minutes: files to start from, and messages that show what to write.

use std::fs;

use insta::assert_snapshot;

use crate::support::{capture, captures, output_in, root, run, run_in};

/// What `init` writes, and what it says.
#[test]
fn init_writes_files_to_start_from() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(capture("databases.pcap"), dir.path().join("databases.pcap")).unwrap();
    assert_snapshot!("init", run_in(dir.path(), &["init", "databases.pcap"], b""));
    for name in ["current.yaml", "proposed.yaml", "sgreplay.yaml"] {
        let text = fs::read_to_string(dir.path().join(name)).unwrap();
        assert_snapshot!(format!("init {name}"), text);
    }
}

/// Of every capture: either the instance's address is asked for, or the files pass `ci` as they are.
#[test]
fn what_init_writes_passes_ci() {
    let mut passed = 0;
    for path in captures() {
        let dir = tempfile::tempdir().unwrap();
        let (status, _, err) =
            output_in(dir.path(), &["init", "--dir", "new", path.to_str().unwrap()], b"");
        if status == 2 {
            assert!(err.contains("--local"), "{}: {err}", path.display());
            assert!(!dir.path().join("new").exists(), "{}", path.display());
            continue;
        }
        let new = dir.path().join("new");
        let (status, out, err) = output_in(&new, &["ci"], b"");
        assert_eq!(status, 0, "{}: {out}{err}", path.display());
        // A proposal that drops what it accepted fails.
        let proposed = fs::read_to_string(new.join("proposed.yaml")).unwrap();
        let without = proposed
            .replace("direction: ingress,", "direction: ingress, policy: drop,")
            .replace("direction: ingress\n", "direction: ingress\n        policy: drop\n");
        if without != proposed {
            fs::write(new.join("proposed.yaml"), without).unwrap();
            assert_eq!(output_in(&new, &["ci"], b"").0, 1, "{}", path.display());
            passed += 1;
        }
    }
    assert!(passed > 10, "{passed}");
}

/// YAML takes some words for numbers or for nothing; a capture may be called so.
#[test]
fn init_names_captures_that_look_like_other_values() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["1e3", "null", "yes"] {
        fs::copy(capture("web.pcap"), dir.path().join(name)).unwrap();
    }
    let words = ["init", "--local", "10.0.0.5", "1e3", "null", "yes"];
    let (status, _, err) = output_in(dir.path(), &words, b"");
    assert_eq!(status, 0, "{err}");
    let (status, out, err) = output_in(dir.path(), &["ci"], b"");
    assert_eq!(status, 0, "{out}{err}");
}

/// Rules made for a wrong address would be wrong, so a guess writes nothing; nor is a file replaced.
#[test]
fn init_guesses_nothing_and_overwrites_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let vlan = capture("vlan.pcap");
    let vlan = vlan.to_str().unwrap();
    let (status, _, err) = output_in(dir.path(), &["init", vlan], b"");
    assert_eq!(status, 2);
    assert!(err.contains("is a guess") && err.contains("for example --local "), "{err}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let local = err.trim().rsplit_once("--local ").unwrap().1;
    assert_eq!(output_in(dir.path(), &["init", vlan, "--local", local], b"").0, 0);
    for name in ["current.yaml", "proposed.yaml", "sgreplay.yaml"] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), "mine").unwrap();
        let (status, _, err) = output_in(dir.path(), &["init", vlan, "--local", local], b"");
        assert_eq!(status, 2, "{name}");
        assert!(err.contains(&format!("{name} exists")), "{err}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{name}");
        assert_eq!(fs::read_to_string(dir.path().join(name)).unwrap(), "mine");
    }
    for line in [&["init"][..], &["init", "-"]] {
        assert_eq!(output_in(dir.path(), line, b"").0, 2, "{line:?}");
    }
}

/// Rules that are known are not made up; what they deny is not learned from.
#[test]
fn init_beside_rules_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let current = fs::read_to_string(capture("current.yaml")).unwrap();
    // Who else is a member is not known.
    let isolated = "  - id: sg-web\n    inner_access_policy: drop\n";
    let current = current.replace("  - id: sg-web\n", isolated);
    fs::write(dir.path().join("today.yaml"), current).unwrap();
    let story = capture("story.pcap");
    let args = ["init", "--current", "today.yaml", story.to_str().unwrap()];
    let (status, out, err) = output_in(dir.path(), &args, b"");
    assert_eq!(status, 0, "{err}");
    assert!(!out.contains("current.yaml"), "{out}");
    assert!(!dir.path().join("current.yaml").exists());
    let proposed = fs::read_to_string(dir.path().join("proposed.yaml")).unwrap();
    assert!(!proposed.contains("Telnet"), "{proposed}");
    let (status, out, err) = output_in(dir.path(), &["ci"], b"");
    assert_eq!(status, 0, "{out}{err}");
}

/// The lines of the example in a message.
fn example(message: &str) -> String {
    let (_, rest) = message.split_once("For example:\n\n").unwrap_or_else(|| panic!("{message}"));
    let (example, after) = rest.split_once("\n\n").unwrap();
    for command in ["sgreplay init", "sgreplay scenarios", "sgreplay convert"] {
        assert!(after.contains(command), "{message}");
    }
    let lines: Vec<&str> = example.lines().map(|line| line.strip_prefix("    ").unwrap()).collect();
    lines.join("\n") + "\n"
}

/// An empty file, or one of another kind, is answered with a short one, which can be read.
#[test]
fn foreign_files_are_answered_with_an_example() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["current.yaml", "proposed.yaml", "dns.pcap"] {
        fs::copy(capture(name), at(name)).unwrap();
    }
    fs::copy(capture("dns.pcap"), at("monday.pcap")).unwrap();
    let commands: [&[&str]; 4] = [
        &["check", "x.yaml"],
        &["test", "proposed.yaml", "x.yaml"],
        &["diff", "current.yaml", "proposed.yaml", "dns.pcap", "--accept", "x.yaml"],
        &["ci", "x.yaml"],
    ];
    let foreign = ["", "# nothing\n", "hello world\n", "{\"a\": 1}", "version: 2\nservices: {}\n"];
    for command in commands {
        for text in foreign {
            // That nothing is accepted is an answer.
            if command[0] == "diff" && !text.contains("hello") && !text.contains(": ") {
                continue;
            }
            fs::write(at("x.yaml"), text).unwrap();
            let (status, _, err) = output_in(dir.path(), command, b"");
            assert_eq!(status, 2, "{command:?} {text:?}: {err}");
            fs::write(at("x.yaml"), example(&err)).unwrap();
            let (_, _, err) = output_in(dir.path(), command, b"");
            assert!(!err.contains("error: x.yaml"), "{command:?} {text:?}: {err}");
        }
    }
    fs::write(at("x.yaml"), "").unwrap();
    assert_snapshot!("empty rules", run_in(dir.path(), &["check", "x.yaml"], b""));
    // What is a file of the right kind with a fault in it needs none.
    fs::write(at("x.yaml"), "security_groups: [{id: sg-a, rule: []}]").unwrap();
    assert!(!output_in(dir.path(), commands[0], b"").2.contains("For example"));
}

/// Rules come first, captures after them.
#[test]
fn rules_need_no_option() {
    let dir = root().join("captures");
    let same = |short: &[&str], long: &[&str]| {
        let (short, long) = (output_in(&dir, short, b""), output_in(&dir, long, b""));
        assert_eq!(short, long);
        assert_ne!(short.0, 2, "{}", short.2);
    };
    same(
        &["replay", "proposed.yaml", "story.pcap"],
        &["replay", "--rules", "proposed.yaml", "story.pcap"],
    );
    same(
        &["replay", "proposed.yaml", "-r", "story.pcap"],
        &["replay", "--rules", "proposed.yaml", "story.pcap"],
    );
    let both = ["--current", "current.yaml", "--proposed", "proposed.yaml"];
    same(&["diff", "current.yaml", "proposed.yaml"], &[&["diff"], &both[..]].concat());
    same(
        &["diff", "current.yaml", "proposed.yaml", "story.pcap"],
        &[&["diff"], &both[..], &["story.pcap"]].concat(),
    );
    same(
        &["explain", "proposed.yaml", "story.pcap", "--frame", "200"],
        &["explain", "--rules", "proposed.yaml", "story.pcap", "--frame", "200"],
    );
    for wrong in [
        &["replay", "story.pcap", "proposed.yaml"][..],
        &["replay", "story.pcap"],
        &["replay", "proposed.yaml"],
        &["replay"],
        &["diff", "story.pcap", "current.yaml", "proposed.yaml"],
        &["diff", "current.yaml", "story.pcap"],
        &["diff", "current.yaml"],
        &["bench", "story.pcap"],
        &["explain", "tcp 203.0.113.9:40000 > 10.0.0.5:22"],
    ] {
        let (status, out, err) = output_in(&dir, wrong, b"");
        assert_eq!((status, out.as_str()), (2, ""), "{wrong:?}: {err}");
        let order = format!("`sgreplay {} ", wrong[0]);
        assert!(err.contains(&order) && err.contains("RULES") | err.contains("PROPOSED"), "{err}");
    }
    assert_snapshot!(
        "capture first",
        run(&["diff", "story.pcap", "current.yaml", "proposed.yaml"])
    );
}

/// Other tools' words for any address are not read, since they leave IPv6 open; the message has the two that are.
#[test]
fn words_for_any_address() {
    let dir = tempfile::tempdir().unwrap();
    let rules = |source: &str| {
        format!(
            "security_groups: [{{id: sg-a, rules: [{{direction: ingress, protocol: tcp, ports: 80, source: {source}}}]}}]"
        )
    };
    let expectations = |source: &str| {
        format!("expectations: [{{name: x, ports: 80, source: {source}, verdict: allow}}]")
    };
    let write = |name: &str, text: String| fs::write(dir.path().join(name), text).unwrap();
    for word in ["any", "ANY", "'*'", "all", "0/0"] {
        let bare = word.trim_matches('\'');
        let means_any = |line: &[&str]| {
            let (status, _, err) = output_in(dir.path(), line, b"");
            assert_eq!(status, 2, "{line:?} {word}");
            assert!(
                err.contains("`0.0.0.0/0`") && err.contains("`::/0`"),
                "{line:?} {word}: {err}"
            );
        };
        write("rules.yaml", rules(word));
        means_any(&["check", "rules.yaml"]);
        write("rules.yaml", rules("0.0.0.0/0"));
        write("expectations.yaml", expectations(word));
        means_any(&["test", "rules.yaml", "expectations.yaml"]);
        let dns = capture("dns.pcap");
        means_any(&["replay", "rules.yaml", dns.to_str().unwrap(), "--local", bare]);
        means_any(&["scenarios", "web-server", "--source", bare]);
    }
}

/// Times of texts are those of the zone that is asked for, in both directions; those for programs are not.
#[test]
fn times_in_a_zone() {
    let dir = root().join("captures");
    let replay = |more: &[&str]| {
        let args = [&["replay", "proposed.yaml", "story.pcap", "-v"], more].concat();
        let (status, out, err) = output_in(&dir, &args, b"");
        assert_eq!(status, 0, "{err}");
        out
    };
    assert!(replay(&[]).contains("2026-11-23 15:31:59 UTC to 2026-11-23 15:32:00 UTC"));
    let zone = ["--timezone", "+05:30"];
    assert!(replay(&zone).contains("2026-11-23 21:01:59 +05:30 to"), "{}", replay(&zone));
    let west = ["--timezone=-03:00"];
    assert!(replay(&west).contains("2026-11-23 12:31:59 -03 to"), "{}", replay(&west));
    // A time is typed as it was shown.
    let utc = replay(&["--since", "2026-11-23 15:32:00", "-f", "csv"]);
    let there = ["--since", "2026-11-23 21:02:00", "-f", "csv", "--timezone", "+05:30"];
    assert_eq!(replay(&there), utc);
    assert!(utc.lines().count() > 3);
    if std::path::Path::new("/usr/share/zoneinfo/Europe/Berlin").exists() {
        let berlin = replay(&["--timezone", "Europe/Berlin"]);
        assert!(berlin.contains("2026-11-23 16:31:59 CET to"), "{berlin}");
    }
    assert_eq!(replay(&["-f", "json", "--timezone", "+05:30"]), replay(&["-f", "json"]));
    let (status, _, err) = output_in(&dir, &["check", "proposed.yaml", "--timezone", "Mars"], b"");
    assert_eq!(status, 2);
    assert!(err.contains("Europe/Berlin"), "{err}");
}

/// Colour adds to the text, and is nowhere where it is not asked for.
#[test]
fn verdicts_in_colour() {
    let dir = root().join("captures");
    let packet = "tcp 203.0.113.9:40000 > 10.0.0.5:22";
    for command in [
        &["replay", "proposed.yaml", "story.pcap"][..],
        &["replay", "proposed.yaml", "story.pcap", "--per", "packet"],
        &["replay", "proposed.yaml", "story.pcap", "--per", "connection"],
        &["diff", "current.yaml", "proposed.yaml", "story.pcap"],
        &["check", "current.yaml"],
        &["test", "proposed.yaml", "expectations.yaml"],
        &["ci"],
        &["explain", "proposed.yaml", packet, "--local", "10.0.0.5"],
    ] {
        let plain = output_in(&dir, command, b"");
        assert!(!plain.1.contains('\u{1b}') && !plain.2.contains('\u{1b}'), "{command:?}");
        let colored = output_in(&dir, &[command, &["--color", "always"]].concat(), b"");
        assert!(colored.1.contains("\u{1b}[3"), "{command:?}");
        let strip = |text: &str| {
            let parts = text.split('\u{1b}');
            parts
                .map(|part| {
                    part.strip_prefix('[').and_then(|p| p.split_once('m')).map_or(part, |p| p.1)
                })
                .collect::<String>()
        };
        assert_eq!((strip(&colored.1), strip(&colored.2)), (plain.1, plain.2), "{command:?}");
    }
    let json = ["replay", "proposed.yaml", "story.pcap", "-f", "json", "--color", "always"];
    assert!(!output_in(&dir, &json, b"").1.contains('\u{1b}'));
    let usage = |color: &str| output_in(&dir, &["--color", color, "nothing"], b"").2;
    assert!(usage("always").contains('\u{1b}'));
    assert!(!usage("never").contains('\u{1b}'));
}

/// Where there is no configuration file, `ci` names the command that writes one.
#[test]
fn ci_without_a_file_names_init() {
    let dir = tempfile::tempdir().unwrap();
    let (status, _, err) = output_in(dir.path(), &["ci"], b"");
    assert_eq!(status, 2);
    assert!(err.contains("`sgreplay init CAPTURE`"), "{err}");
}
