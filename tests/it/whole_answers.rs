//! What a comparison counts, its gate sees: whatever is selected, forgotten for want of memory, cut by a network ACL,
//! or judged by one of the rule sets only.

use std::path::Path;

use crate::support::{ipv4, output_in, pcap_every};

const US: &str = "10.0.0.5:22";
const OPEN: &str = "{security_groups: [{id: sg-a, rules: [
  {id: ssh, direction: ingress, protocol: tcp, ports: 22, source: 0.0.0.0/0}]}],
  interfaces: [{id: eni-a, addresses: [10.0.0.5], security_groups: [sg-a]}]}";

/// The same rules, of another source, and with a network ACL that lets nothing out.
fn rules(source: &str, acl: bool) -> String {
    let rules = OPEN.replace("source: 0.0.0.0/0", &format!("source: {source}"));
    let acls = "], network_acls: [{id: acl-a, interfaces: [eni-a], rules: [
      {number: 1, direction: ingress, policy: accept, protocol: all, source: 0.0.0.0/0},
      {number: 1, direction: egress, policy: drop, protocol: all, destination: 0.0.0.0/0}]}]}";
    let cut = rules.strip_suffix("]}").unwrap();
    if acl { format!("{cut}{acls}") } else { rules }
}

fn folder(files: &[(&str, String)], packets: &[Vec<u8>]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    // A packet a second.
    std::fs::write(dir.path().join("x.pcap"), pcap_every(1_000_000, 101, &packets)).unwrap();
    dir
}

fn status(dir: &Path, words: &str) -> (i32, String) {
    let words: Vec<&str> = words.split(' ').collect();
    let (status, out, err) = output_in(dir, &words, b"");
    (status, format!("{out}{err}"))
}

fn client(n: usize) -> String {
    format!("203.0.{}.{}:40000", n / 250, n % 250 + 1)
}

/// The only packets that are reported are requests, which pass; what cuts the connection are its answers before.
#[test]
fn a_cut_before_the_selection_is_seen() {
    let packets: Vec<Vec<u8>> = [("S", true), ("S.", false), (".", true)]
        .into_iter()
        .flat_map(|(flags, asks)| {
            (0..3).map(move |n| match asks {
                true => ipv4(&client(n), US, flags),
                false => ipv4(US, &client(n), flags),
            })
        })
        .collect();
    let files = [("open.yaml", rules("0.0.0.0/0", false)), ("cut.yaml", rules("0.0.0.0/0", true))];
    let dir = folder(&files, &packets);
    for selection in ["", " --since 1700000006", " --count 1"] {
        let replay = format!("replay --rules cut.yaml x.pcap --fail-on denied{selection}");
        let (code, text) = status(dir.path(), &replay);
        assert_eq!(code, i32::from(selection != " --count 1"), "{replay}: {text}");
        let diff = "diff --current open.yaml --proposed cut.yaml x.pcap --fail-on newly-denied";
        let (code, text) = status(dir.path(), &format!("{diff}{selection}"));
        assert_eq!(code, i32::from(selection != " --count 1"), "{diff}{selection}: {text}");
    }
    let diff =
        "diff --current open.yaml --proposed cut.yaml x.pcap --fail-on newly-denied --filter";
    let words: Vec<&str> = diff.split(' ').chain(["dst host 10.0.0.5"]).collect();
    let (code, out, err) = output_in(dir.path(), &words, b"");
    assert_eq!(code, 1, "{out}{err}");
}

/// A change that was dropped before any of its packets was reported counts with the first that is.
#[test]
fn changes_before_the_selection_are_counted_whatever_the_memory() {
    let mut packets: Vec<Vec<u8>> = (0..2000).map(|n| ipv4(&client(n), US, "S")).collect();
    packets.extend((0..5).map(|n| ipv4(&client(n), US, "S")));
    let files =
        [("open.yaml", rules("0.0.0.0/0", false)), ("none.yaml", rules("192.0.2.0/24", false))];
    let dir = folder(&files, &packets);
    for memory in ["1GiB", "1MiB"] {
        let (code, text) = status(
            dir.path(),
            &format!(
                "diff --current open.yaml --proposed none.yaml x.pcap --fail-on newly-denied \
                 --since 1700002000 --memory {memory}"
            ),
        );
        assert_eq!(code, 1, "{memory}: {text}");
        assert!(text.contains("newly denied: 5 of 5 connections"), "{memory}: {text}");
    }
}

/// A connection whose change was taken out before an ACL cuts it is counted once.
#[test]
fn cut_connections_are_counted_once_whatever_the_memory() {
    let mut packets: Vec<Vec<u8>> = (0..1000).map(|n| ipv4(&client(n), US, "S")).collect();
    packets.extend((0..1000).map(|n| ipv4(US, &client(n), "S.")));
    let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    let files = [("a.yaml", rules("0.0.0.0/0", true)), ("b.yaml", rules("192.0.2.0/24", true))];
    let dir = folder(&files, &[]);
    std::fs::write(dir.path().join("x.pcap"), pcap_every(1000, 101, &packets)).unwrap();
    let counts = |memory: &str| {
        let diff =
            format!("diff --current a.yaml --proposed b.yaml x.pcap -f json --memory {memory}");
        let (_, out, _) = output_in(dir.path(), &diff.split(' ').collect::<Vec<_>>(), b"");
        serde_json::from_str::<serde_json::Value>(&out).unwrap()["connections"].clone()
    };
    assert_eq!(counts("1GiB")["other_rule"], 1000);
    assert_eq!(counts("1MiB"), counts("1GiB"));
    let gate =
        "diff --current a.yaml --proposed b.yaml x.pcap --fail-on newly-denied --memory 1MiB";
    assert_eq!(status(dir.path(), gate).0, 0);
}

/// An interface, or an address, that only one of the rule sets has is compared by nothing.
#[test]
fn what_only_one_side_judges_is_no_answer() {
    let packets: Vec<Vec<u8>> = (0..5).map(|n| ipv4(&client(n), US, "S")).collect();
    let moved = OPEN.replace("10.0.0.5", "10.0.0.7");
    let dir = folder(&[("a.yaml", OPEN.to_owned()), ("b.yaml", moved)], &packets);
    for (current, proposed) in [("a.yaml", "b.yaml"), ("b.yaml", "a.yaml")] {
        let diff =
            format!("diff --current {current} --proposed {proposed} x.pcap --fail-on newly-denied");
        let (code, text) = status(dir.path(), &diff);
        assert_eq!(code, 2, "{text}");
        let (code, _) = status(dir.path(), &format!("{diff} --max-unevaluated 100"));
        // By the side that judges none, nothing is left to be evaluated.
        assert_eq!(code, if proposed == "a.yaml" { 0 } else { 2 });
    }
}

/// Who began matters to either rule set.
#[test]
fn a_guess_by_the_current_rules_is_no_answer() {
    let ours = ipv4("10.0.0.5:45001", "203.0.113.9:45002", ".");
    let only_in = "{security_groups: [{id: sg-a, rules: [
      {id: in, direction: ingress, protocol: tcp, ports: 45001, source: 0.0.0.0/0},
      {id: out, direction: egress, policy: drop, protocol: all, destination: 0.0.0.0/0}]}],
      interfaces: [{id: eni-a, addresses: [10.0.0.5], security_groups: [sg-a]}]}";
    let nothing = only_in
        .replace("policy: drop", "policy: drop, priority: 1")
        .replace("ports: 45001", "ports: 1");
    let dir = folder(&[("a.yaml", only_in.to_owned()), ("b.yaml", nothing)], &[ours]);
    for sides in ["--current a.yaml --proposed b.yaml", "--current b.yaml --proposed a.yaml"] {
        let (code, text) = status(dir.path(), &format!("diff {sides} x.pcap --fail-on any"));
        assert_eq!(code, 2, "{text}");
        assert!(text.contains("nothing shows who began 1 of 1 connection"), "{text}");
    }
}

/// A file of a directory that should be a capture and is not read may hold what is asked for.
#[test]
fn a_capture_of_a_directory_that_is_not_read_is_no_answer() {
    let dir = folder(&[("open.yaml", OPEN.to_owned())], &[]);
    let captures = dir.path().join("captures");
    std::fs::create_dir(&captures).unwrap();
    let packet = ipv4(&client(1), US, "S");
    std::fs::write(captures.join("a.pcap"), pcap_every(1, 101, &[&packet])).unwrap();
    let gate = "replay --rules open.yaml captures --fail-on denied";
    assert_eq!(status(dir.path(), gate).0, 0);
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n";
    for (name, text) in
        [("b.pcapng", pointer), ("b.txt", pointer), ("b.pcap", ""), ("b.pcap3", "aGVsbG8=\n")]
    {
        std::fs::write(captures.join(name), text).unwrap();
        let (code, text) = status(dir.path(), gate);
        assert_eq!(code, 2, "{name}: {text}");
        std::fs::remove_file(captures.join(name)).unwrap();
    }
    std::fs::write(captures.join("README.md"), "Captures of Monday.\n").unwrap();
    assert_eq!(status(dir.path(), gate).0, 0);
}
