//! The documented use cases: each is a rules file, and a capture shows it doing its job.

use std::fmt::Write as _;

use insta::assert_snapshot;
use serde_json::Value;
use sgreplay::rules::scenarios::Scenario;

use crate::support::{self, output_in, run};

/// Use cases with values that fit a capture: server 10.0.0.5, its peer 10.0.0.6, office 203.0.113.9, Internet
/// 198.51.100.7.
const SHOWN: [(&str, &[&str], &str); 26] = [
    ("ssh-linux", &[], "ssh.pcap"),
    ("rdp-windows", &[], "remote-desktop.pcap"),
    ("ping", &[], "ping.pcap"),
    ("web-server", &[], "web.pcap"),
    ("ftp", &[], "ftp.pcap"),
    ("website", &[], "web.pcap"),
    ("remote-connect", &[], "ssh.pcap"),
    ("remote-workbench", &["source=203.0.113.0/24"], "ssh.pcap"),
    ("inter-group", &["ports=3306/3306"], "databases.pcap"),
    ("inter-group-other-account", &["ports=5432/5432"], "databases.pcap"),
    ("database", &["mysql=10.0.0.6", "redis=sg-peer"], "databases.pcap"),
    ("ping-both", &[], "ping.pcap"),
    ("restrict-external-sites", &[], "story.pcap"),
    ("only-specified-ips", &["source=203.0.113.9"], "ssh.pcap"),
    ("reach-only-specified", &["ports=9000/9000", "destination=10.0.0.6"], "story.pcap"),
    ("not-reach-specified", &["destination=10.0.0.6"], "story.pcap"),
    ("internet-remote-access", &[], "web.pcap"),
    ("other-account-internal", &["source=203.0.113.9"], "ssh.pcap"),
    ("http-https", &[], "web.pcap"),
    ("default-sg", &[], "ssh.pcap"),
    ("console-new-sg", &[], "story.pcap"),
    ("console-new-enterprise", &[], "story.pcap"),
    ("egress-whitelist", &["ports=9000/9000", "destination=10.0.0.0/24"], "story.pcap"),
    ("deny-redis", &[], "databases.pcap"),
    (
        "quintuple-drop",
        &["near=10.0.0.5", "destination=10.0.0.6", "source_ports=1024/65535"],
        "story.pcap",
    ),
    ("enterprise-egress-sandbox", &[], "story.pcap"),
];

#[test]
fn each_does_its_job_on_a_capture() {
    let dir = tempfile::tempdir().unwrap();
    let mut picture = String::new();
    for (id, values, capture) in SHOWN {
        let set: Vec<&str> = values.iter().flat_map(|value| ["--set", value]).collect();
        let (status, mut text, err) =
            output_in(dir.path(), &[&["scenarios", id], &set[..]].concat(), b"");
        assert_eq!(status, 0, "{id}: {err}");
        if text.contains("sg-peer") {
            write!(
                text,
                "  - id: sg-peer\ninterfaces:\n  - {{id: eni-a, addresses: 10.0.0.5, security_groups: sg-{id}}}\n  \
                 - {{id: eni-b, addresses: 10.0.0.6, security_groups: sg-peer}}\n"
            )
            .unwrap();
        } else {
            write!(
                text,
                "interfaces:\n  - {{id: eni-a, addresses: 10.0.0.5, security_groups: sg-{id}}}\n"
            )
            .unwrap();
        }
        std::fs::write(dir.path().join("rules.yaml"), text).unwrap();
        let capture_path = support::capture(capture);
        let args =
            ["replay", "--rules", "rules.yaml", capture_path.to_str().unwrap(), "-f", "json"];
        let (status, out, err) = output_in(dir.path(), &args, b"");
        assert_eq!(status, 0, "{id}: {err}");
        let json: Value = serde_json::from_str(&out).unwrap();
        let rules = json["rules"].as_array().unwrap();
        let used = rules.iter().filter(|rule| rule["connections"].as_u64() > Some(0)).map(|rule| {
            format!(
                "{} {} {}",
                rule["rule"].as_str().unwrap(),
                rule["policy"].as_str().unwrap(),
                rule["connections"]
            )
        });
        let used: Vec<String> = used.collect();
        assert!(!used.is_empty(), "{id}: no rule decides anything");
        let connections = &json["connections"];
        writeln!(
            picture,
            "{id:26} {capture:20} allowed {:>3} denied {:>3}  {}",
            connections["allowed"].to_string(),
            connections["denied"].to_string(),
            used.join(", "),
        )
        .unwrap();
    }
    let shown: Vec<&str> = SHOWN.iter().map(|(id, _, _)| *id).collect();
    let all: Vec<String> = Scenario::all().into_iter().map(|one| one.id).collect();
    assert_eq!(shown, all, "every one is shown");
    assert_snapshot!("jobs", picture);
}

#[test]
fn listed_filtered_and_printed() {
    assert_snapshot!("all", run(&["scenarios"]));
    assert_snapshot!("by a word", run(&["scenarios", "redis"]));
    assert_snapshot!("one", run(&["scenarios", "web-server", "--source", "203.0.113.0/24"]));
    assert_snapshot!("csv", run(&["scenarios", "ssh", "-f", "csv"]));
    assert_snapshot!("mistyped", run(&["scenarios", "web-sever"]));
    assert_snapshot!("no such value", run(&["scenarios", "ping", "--group", "sg-x"]));
    assert_snapshot!("no address", run(&["scenarios", "ping", "--source", "\"}, evil"]));
}
