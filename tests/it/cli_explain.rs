//! `sgreplay explain` as a process.

use insta::assert_snapshot;

use crate::support::{output_in, pcap, run};

fn explain<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&["explain", "--rules", "proposed.yaml"], args].concat()
}

#[test]
fn one_tuple() {
    let ssh = [
        "--direction",
        "ingress",
        "--proto",
        "tcp",
        "--src",
        "198.51.100.7:40000",
        "--dst",
        "10.0.0.5:SSH",
    ];
    assert_snapshot!("denied", run(&explain(&ssh)));
    assert_snapshot!("denied json", run(&explain(&[&ssh[..], &["-f", "json"]].concat())));
    let ping = [
        "--direction",
        "ingress",
        "--proto",
        "icmpv6",
        "--src",
        "2001:db8::9",
        "--dst",
        "2001:db8:a::5",
    ];
    assert_snapshot!("ping", run(&explain(&ping)));
    let mtu = [
        "--direction",
        "ingress",
        "--proto",
        "icmp",
        "--src",
        "203.0.113.1",
        "--dst",
        "10.0.0.5",
        "--icmp-type",
        "3/4",
    ];
    assert_snapshot!("path mtu", run(&explain(&mtu)));
}

/// The line that other output prints, and other programs' lines, state the same packet.
#[test]
fn one_line() {
    let local = ["--local", "10.0.0.5"];
    let line = |text: &'static str| run(&explain(&[&local[..], &[text]].concat()));
    let ours = line("tcp 198.51.100.7:40000 > 10.0.0.5:22");
    assert_snapshot!("a line", ours);
    for text in [
        "ingress local  tcp 198.51.100.7:40000 > 10.0.0.5:22",
        "12:00:00.000001 IP 198.51.100.7.40000 > 10.0.0.5.22: Flags [S], seq 1, win 64240, length 0",
        "1600000000.1\tC1\t198.51.100.7\t40000\t10.0.0.5\t22\ttcp\tssh",
    ] {
        assert_eq!(line(text), ours, "{text}");
    }
    // Which end is the instance is asked where nothing says it.
    let (status, _, stderr) = output_in(
        &crate::support::root().join("captures"),
        &explain(&["tcp 198.51.100.7:40000 > 10.0.0.5:22"]),
        b"",
    );
    assert_eq!(status, 2);
    assert!(stderr.contains("--local says which"), "{stderr}");
    assert_snapshot!("no line", line("web.pcap"));
}

/// The rule that `explain` says to add allows the packet, and nothing else of the two rule sets differs.
#[test]
fn a_rule_to_add_allows_the_packet() {
    let dir = tempfile::tempdir().unwrap();
    let rules = std::fs::read_to_string(crate::support::capture("proposed.yaml")).unwrap();
    std::fs::write(dir.path().join("before.yaml"), &rules).unwrap();
    let tuple = "tcp 198.51.100.7:40000 > 10.0.0.5:22";
    let args = ["explain", "--rules", "before.yaml", "--local", "10.0.0.5", tuple];
    let (_, out, _) = output_in(dir.path(), &args, b"");
    let rule = out
        .lines()
        .find_map(|line| line.strip_prefix("to allow it, and nothing else, add to sg-web: "))
        .unwrap();
    let after = rules.replacen("    rules:\n", &format!("    rules:\n      - {rule}\n"), 1);
    std::fs::write(dir.path().join("after.yaml"), after).unwrap();
    let args = ["explain", "--rules", "after.yaml", "--local", "10.0.0.5", tuple];
    let (_, out, _) = output_in(dir.path(), &args, b"");
    assert!(out.contains("\nallow: "), "{out}");
    let args = ["diff", "--current", "before.yaml", "--proposed", "after.yaml", "-f", "csv"];
    let (_, out, stderr) = output_in(dir.path(), &args, b"");
    assert_eq!(out.lines().count(), 2, "{out}{stderr}");
    assert!(out.contains("newly_allowed") && out.contains("198.51.100.7"), "{out}");
}

/// A rule of a security group is not said to allow what a network ACL denies too.
#[test]
fn no_rule_is_offered_that_is_not_enough() {
    let dir = tempfile::tempdir().unwrap();
    let acl = |entries: &str| {
        format!(
            "{{cloud: aws, security_groups: [{{id: sg-a, rules: []}}], network_acls: [{{id: acl-a, interfaces: eni-a, rules: [{entries}]}}], \
             interfaces: [{{id: eni-a, addresses: [10.0.0.5], security_groups: [sg-a]}}]}}"
        )
    };
    let offers = |entries: &str| {
        std::fs::write(dir.path().join("rules.yaml"), acl(entries)).unwrap();
        let args = ["explain", "--rules", "rules.yaml", "tcp 198.51.100.7:40000 > 10.0.0.5:22"];
        let (status, out, stderr) = output_in(dir.path(), &args, b"");
        assert_eq!(status, 0, "{stderr}");
        out.contains("to allow it")
    };
    let all = "{direction: ingress, number: 100, protocol: all, source: 0.0.0.0/0}";
    let replies = "{direction: egress, number: 100, protocol: all, destination: 0.0.0.0/0}";
    assert!(offers(&format!("{all}, {replies}")));
    assert!(!offers(all));
    assert!(!offers(""));
}

#[test]
fn one_frame() {
    assert_snapshot!(
        "a reply",
        run(&explain(&["--frame", "5", "--local", "10.0.0.5", "ssh.pcap"]))
    );
    assert_snapshot!("arp", run(&explain(&["--frame", "2", "--local", "10.0.0.5", "ssh.pcap"])));
}

#[test]
fn two_interfaces() {
    assert_snapshot!(run(&[
        "explain",
        "--rules",
        "two-instances.yaml",
        "--frame",
        "4",
        "-f",
        "json",
        "two-instances.pcap"
    ]));
}

#[test]
fn what_cannot_be_explained() {
    assert_snapshot!("past the end", run(&explain(&["--frame", "9999", "ssh.pcap"])));
    let no_port =
        ["--direction", "ingress", "--proto", "tcp", "--src", "198.51.100.7", "--dst", "10.0.0.5"];
    assert_snapshot!("no port", run(&explain(&no_port)));
    let families = [
        "--direction",
        "ingress",
        "--proto",
        "tcp",
        "--src",
        "198.51.100.7",
        "--dst",
        "[2001:db8::5]:22",
    ];
    assert_snapshot!("two families", run(&explain(&families)));
}

/// A packet that a router has forwarded is no neighbour discovery (SEMANTICS F19), and its walk does not say so.
#[test]
fn routed_neighbour_discovery_is_walked_by_the_rules() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.yaml"), "{security_groups: [{id: sg-a, rules: []}]}")
        .unwrap();
    let packet = |hop_limit: u8| {
        let mut bytes = vec![0x60, 0, 0, 0, 0, 24, 58, hop_limit];
        for last in [7, 5] {
            bytes.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
        bytes.extend([135, 0, 0, 0]);
        bytes.extend([0; 20]);
        bytes
    };
    let walk = |hop_limit: u8| {
        std::fs::write(dir.path().join("x.pcap"), pcap(101, &[&packet(hop_limit)])).unwrap();
        let args = "explain --rules rules.yaml --local 2001:db8::5 --frame 1 x.pcap";
        let args: Vec<&str> = args.split(' ').collect();
        output_in(dir.path(), &args, b"").1
    };
    assert!(walk(255).ends_with("allow: always allowed: neighbour-discovery\n"), "{}", walk(255));
    assert!(walk(64).contains("\ndeny: default of sg-a: no rule matches\n"), "{}", walk(64));
    assert!(!walk(64).contains("neighbour-discovery"), "{}", walk(64));
}

#[test]
fn frames_are_counted_from_1() {
    let (status, _, stderr) = output_in(
        crate::support::root(),
        &["explain", "--rules", "captures/proposed.yaml", "--frame", "0", "captures/dns.pcap"],
        b"",
    );
    assert_eq!(status, 2);
    assert!(stderr.contains("frames are counted from 1"), "{stderr}");
}
