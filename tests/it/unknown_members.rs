//! Interfaces of which a file lists some only (SEMANTICS F26): groups that none of them has are judged by themselves,
//! and a verdict that hangs on who the members of a group are passes no gate.

use std::path::Path;

use crate::support::{ipv4, output_in, pcap};

/// An instance, and a load balancer's group that none of the listed interfaces has.
fn rules(membership: &str, alb: &str, web: &str) -> String {
    format!(
        "{{cloud: aws, {membership} security_groups: [
          {{id: sg-web, rules: [{{id: web, direction: ingress, protocol: tcp, ports: 443, source: {web}}}]}},
          {{id: sg-alb, rules: [{{id: alb, direction: ingress, protocol: tcp, ports: 443, source: {alb}}}]}}],
        interfaces: [{{id: eni-web, addresses: [10.0.0.5], security_groups: [sg-web]}}]}}"
    )
}

fn folder(current: &str, proposed: &str, packets: &[Vec<u8>]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("current.yaml"), current).unwrap();
    std::fs::write(dir.path().join("proposed.yaml"), proposed).unwrap();
    let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    std::fs::write(dir.path().join("x.pcap"), pcap(101, &packets)).unwrap();
    dir
}

fn run(dir: &Path, words: &str) -> (i32, String) {
    let words: Vec<&str> = words.split(' ').collect();
    let (status, out, err) = output_in(dir, &words, b"");
    (status, format!("{out}{err}"))
}

const DIFF: &str = "diff --current current.yaml --proposed proposed.yaml --fail-on";
const PARTIAL: &str = "membership: partial,";

#[test]
fn a_group_of_interfaces_that_are_not_listed_is_compared() {
    for (membership, wanted) in [(PARTIAL, 1), ("", 0)] {
        let [narrow, wide] =
            ["10.0.0.0/8", "0.0.0.0/0"].map(|alb| rules(membership, alb, "10.0.0.0/8"));
        let dir = folder(&narrow, &wide, &[]);
        let (status, text) = run(dir.path(), &format!("{DIFF} newly-allowed"));
        assert_eq!(status, wanted, "{text}");
        assert_eq!(text.contains("ingress sg-alb"), wanted == 1, "{text}");
    }
}

/// One side knows an interface that has the group, the other none.
#[test]
fn a_group_that_gets_an_interface_is_compared() {
    let now = rules(PARTIAL, "10.0.0.0/8", "10.0.0.0/8");
    let eni = "{id: eni-alb, addresses: [10.0.1.7], security_groups: [sg-alb]}]}";
    let then = rules(PARTIAL, "0.0.0.0/0", "10.0.0.0/8");
    let then = then.strip_suffix("]}").map(|text| format!("{text}, {eni}")).unwrap();
    let dir = folder(&now, &then, &[]);
    let (status, text) = run(dir.path(), &format!("{DIFF} newly-allowed"));
    assert_eq!(status, 1, "{text}");
    assert!(text.contains("ingress sg-alb"), "{text}");
}

#[test]
fn a_change_of_a_group_without_known_members_is_compared() {
    let now = rules(PARTIAL, "0.0.0.0/0", "sg-alb");
    let then = rules(PARTIAL, "0.0.0.0/0", "10.9.9.9");
    let dir = folder(&now, &then, &[]);
    assert_eq!(run(dir.path(), &format!("{DIFF} newly-denied")).0, 1);
}

/// A packet of 10.0.1.7 passes if that is the load balancer. The proposed rules stop it, whoever it is.
#[test]
fn a_comparison_that_hangs_on_members_is_no_answer() {
    let packets = [ipv4("10.0.1.7:40000", "10.0.0.5:443", "S")];
    let now = rules(PARTIAL, "0.0.0.0/0", "sg-alb");
    let then = rules(PARTIAL, "0.0.0.0/0", "10.9.9.9");
    let says =
        "not all members of sg-alb are known, and the verdict of 1 of 1 connection hangs on it";
    let status = |proposed: &str, what: &str, more: &str| {
        let dir = folder(&now, proposed, &packets);
        run(dir.path(), &format!("{DIFF} {what} x.pcap{more}"))
    };
    let (code, text) = status(&then, "newly-denied", "");
    assert_eq!((code, text.contains(says)), (2, true), "{text}");
    // It cannot be newly allowed, whoever it is; and what both rule sets say of members is no change.
    assert_eq!(status(&then, "newly-allowed", "").0, 0);
    assert_eq!(status(&now, "any", "").0, 0);
    assert_eq!(status(&then, "newly-denied", " --max-unevaluated 100").0, 0);
    // Where all are listed, it is none.
    let stated = rules("", "0.0.0.0/0", "sg-alb");
    let dir = folder(&stated, &rules("", "0.0.0.0/0", "10.9.9.9"), &packets);
    assert_eq!(run(dir.path(), &format!("{DIFF} newly-denied x.pcap")).0, 0);
}

/// Only a rule that drops makes a replay's pass doubtful; a denied packet that may be a member's is said.
#[test]
fn a_replay_says_what_hangs_on_members() {
    let packets = [ipv4("10.0.1.7:40000", "10.0.0.5:443", "S")];
    let file = |first: &str| {
        format!(
            "{{security_groups: [{{id: sg-a, inner_access_policy: drop, rules: [
              {{id: one, direction: ingress, priority: 1, {first}}},
              {{id: two, direction: ingress, priority: 2, protocol: tcp, ports: 443, source: 10.0.0.0/8}}]}}]}}"
        )
    };
    let drop = file("policy: drop, protocol: tcp, ports: 443, source: sg-elsewhere");
    let dir = folder(&drop, &drop, &packets);
    let replay = "replay --rules proposed.yaml --local 10.0.0.5 x.pcap";
    let (status, text) = run(dir.path(), &format!("{replay} --fail-on denied"));
    assert_eq!(status, 2, "{text}");
    assert!(text.contains("not all members of sg-elsewhere are known"), "{text}");
    // Another port, or a rule that lets members in as the next one does.
    for other in [
        "policy: drop, protocol: tcp, ports: 80, source: sg-elsewhere",
        "policy: accept, protocol: tcp, ports: 443, source: sg-elsewhere",
    ] {
        let rules = file(other);
        let dir = folder(&rules, &rules, &packets);
        let (status, text) = run(dir.path(), &format!("{replay} --fail-on denied"));
        assert_eq!(status, 0, "{text}");
        assert!(!text.contains("sg-elsewhere are known"), "{text}");
    }
    let rules = rules(PARTIAL, "0.0.0.0/0", "sg-alb");
    let dir = folder(&rules, &rules, &packets);
    let (status, text) = run(dir.path(), "replay --rules proposed.yaml x.pcap");
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("not all members of sg-alb are known"), "{text}");
}

#[test]
fn partial_membership_is_said_where_interfaces_are_listed() {
    for (file, says) in [
        (
            rules("membership: unknown,", "10.0.0.0/8", "10.0.0.0/8"),
            "`partial` says that there are others",
        ),
        (
            "{cloud: aws, membership: partial, security_groups: [{id: sg-a, rules: []}]}"
                .to_owned(),
            "`unknown` says",
        ),
    ] {
        let dir = folder(&file, &file, &[]);
        let (status, text) = run(dir.path(), "check proposed.yaml");
        assert_eq!(status, 2, "{text}");
        assert!(text.contains(says), "{text}");
    }
    // It survives a conversion.
    let file = rules(PARTIAL, "10.0.0.0/8", "sg-alb");
    let dir = folder(&file, &file, &[]);
    let (status, text) = run(dir.path(), "convert --to yaml proposed.yaml");
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("membership: partial"), "{text}");
}
