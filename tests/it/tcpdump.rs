//! `--filter` against tcpdump itself: the same filter must choose the same packets.

use std::path::Path;
use std::process::Command;

use crate::support;

/// Filters that mean the same to both on untagged captures without IPv6 extension headers.
const FILTERS: [&str; 16] = [
    "tcp",
    "udp",
    "icmp",
    "icmp6",
    "ip",
    "ip6",
    "tcp port 22",
    "udp port 53 or tcp dst port 443",
    "src net 198.51.100.0/24",
    "ip and not host 203.0.113.9",
    "tcp portrange 5900-5910",
    "port 80 or 8080",
    "src host 10.0.0.5 and tcp src port 80",
    "ip proto 17",
    "ip and net 10.0.0.0/24 and not (port 53 or icmp)",
    "host 2001:db8:a::5",
];

/// How many packets tcpdump finds.
fn theirs(capture: &Path, filter: &str) -> u64 {
    let mut tcpdump = Command::new("tcpdump");
    let found = tcpdump.args(["-n", "--count", "-r"]).arg(capture).arg(filter).output().unwrap();
    assert!(found.status.success(), "{filter}: {}", String::from_utf8_lossy(&found.stderr));
    let text = String::from_utf8(found.stdout).unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn filters_choose_what_tcpdump_chooses() {
    if Command::new("tcpdump").arg("--version").output().is_err() {
        println!("SKIPPED: tcpdump is not installed, so no filter was compared with it");
        return;
    }
    let mut compared = 0;
    for capture in support::captures() {
        let name = capture.file_name().unwrap().to_str().unwrap();
        // tcpdump sees no port behind a VLAN tag, and none in the fragments that hold none.
        if name.starts_with("vlan") || name.starts_with("fragments") {
            continue;
        }
        for filter in FILTERS {
            // tcpdump's `icmp6` looks at the first next header only.
            let same = if filter == "icmp6" { "ip6 protochain 58" } else { filter };
            let theirs = theirs(&capture, same);
            let args = ["decode", "--filter", filter, "-f", "csv", name];
            let (status, ours, _) = support::output_in(capture.parent().unwrap(), &args, b"");
            assert_eq!(status, 0);
            assert_eq!(ours.lines().count() as u64 - 1, theirs, "{name}: {filter}");
            compared += 1;
        }
    }
    println!("{compared} pairs of capture and filter");
}

/// The summary's counts, by hand: what a rule decides is what tcpdump finds with the rule's filter.
#[test]
fn the_readme_summary_can_be_checked_with_tcpdump() {
    if Command::new("tcpdump").arg("--version").output().is_err() {
        println!("SKIPPED: tcpdump is not installed");
        return;
    }
    let count = |filter: &str| theirs(&support::capture("story.pcap"), filter);
    let args = [
        "replay",
        "--rules",
        "proposed.yaml",
        "-f",
        "json",
        "story.pcap",
        "--local",
        "10.0.0.5,2001:db8:a::5",
    ];
    let (_, json, _) = support::output_in(&support::root().join("captures"), &args, b"");
    let summary: serde_json::Value = serde_json::from_str(&json).unwrap();
    let packets = |rule: &str| {
        let rules = summary["rules"].as_array().unwrap();
        rules.iter().find(|of| of["rule"] == rule).unwrap()["packets"].as_u64().unwrap()
    };
    assert_eq!(packets("sgr-ssh"), count("tcp port 22 and host 203.0.113.9"));
    assert_eq!(packets("sgr-http"), count("ip and tcp and (port 80 or port 443)"));
    assert_eq!(packets("sgr-mysql"), count("tcp port 3306"));
    assert_eq!(packets("sgr-ping"), count("icmp"));
    let opened =
        count("tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn and host 198.51.100.7 and port 22");
    let ssh = summary["decided"]
        .as_array()
        .unwrap()
        .iter()
        .find(|line| line["dport"] == 22 && line["verdict"] == "deny");
    assert_eq!(ssh.unwrap()["connections"].as_u64().unwrap(), opened);
}

/// libpcap as the evaluator: rule by rule in evaluation order, packets that a rule's filter matches and
/// no filter before it. `--sessions off` judges every packet alone, as a filter does.
#[test]
fn every_rule_decides_what_its_filter_finds() {
    if Command::new("tcpdump").arg("--version").output().is_err() {
        println!("SKIPPED: tcpdump is not installed");
        return;
    }
    // The rules of proposed.yaml for ingress to 10.0.0.5, in evaluation order; path-MTU errors first.
    let rules = [
        ("path-mtu", "icmp and icmp[0] == 3 and icmp[1] == 4"),
        ("sgr-dns", "udp dst port 53 and src net 203.0.113.0/24"),
        ("sgr-http", "tcp dst port 80 or tcp dst port 443"),
        ("sgr-mysql", "tcp dst port 3306 and src host 10.0.0.6"),
        ("sgr-ping", "icmp"),
        ("sgr-redis", "tcp dst port 6379 and src net 10.0.0.0/24"),
        ("sgr-ssh", "tcp dst port 22 and src net 203.0.113.0/24"),
        ("default", "ip"),
    ];
    let mut compared = 0;
    for capture in support::captures() {
        let name = capture.file_name().unwrap().to_str().unwrap();
        if name.starts_with("vlan") || name.starts_with("fragments") {
            continue;
        }
        let args =
            ["replay", "--rules", "proposed.yaml", "--sessions", "off", "--local", "10.0.0.5"];
        let args = [&args[..], &["--per", "packet", "-f", "csv", name]].concat();
        let (status, csv, stderr) = support::output_in(capture.parent().unwrap(), &args, b"");
        assert_eq!(status, 0, "{stderr}");
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let mut before = String::new();
        for (rule, filter) in rules {
            let ours =
                rows.iter().filter(|row| &row[15] == "ingress" && &row[19] == rule).count() as u64;
            let first_match = format!("ip and dst host 10.0.0.5 and ({filter}){before}");
            assert_eq!(ours, theirs(&capture, &first_match), "{name}: {rule}");
            before = format!("{before} and not ({filter})");
            compared += ours;
        }
    }
    println!("{compared} packets decided by the rule that libpcap finds");
    assert!(compared > 300);
}
