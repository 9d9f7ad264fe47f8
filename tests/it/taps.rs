//! Two interfaces with one address, told apart by where they were captured.

use std::path::Path;

use crate::support::{self, ipv4, pcap};

/// The same private address in two networks: one lets the web in, the other SSH.
const RULES: &str = "security_groups:
  - {id: sg-web, rules: [{id: web, direction: ingress, protocol: tcp, ports: 80, source: 0.0.0.0/0}]}
  - {id: sg-ssh, rules: [{id: ssh, direction: ingress, protocol: tcp, ports: 22, source: 0.0.0.0/0}]}
interfaces:
  - {id: eni-web, addresses: [10.0.0.5], security_groups: [sg-web]}
  - {id: eni-ssh, addresses: [10.0.0.5, 10.0.0.6], security_groups: [sg-ssh]}
";

/// `interface direction verdict reason rule` of every row.
fn rows(dir: &Path, args: &[&str]) -> (Vec<String>, String) {
    let start = ["replay", "--rules", "rules.yaml", "--per", "packet", "-f", "csv"];
    let (status, csv, stderr) = support::output_in(dir, &[&start[..], args].concat(), b"");
    assert_eq!(status, 0, "{stderr}");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let words = reader.records().map(|row| {
        let row = row.unwrap();
        [&row[14], &row[15], &row[16], &row[17], &row[19]].join(" ").trim().to_owned()
    });
    (words.collect(), stderr)
}

fn dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    let client = "203.0.113.9:40000";
    let packets = ["10.0.0.5:80", "10.0.0.5:22", "10.0.0.6:22"].map(|to| ipv4(client, to, "S"));
    let packets = packets.each_ref().map(Vec::as_slice);
    for name in ["a.pcap", "b.pcap"] {
        std::fs::write(dir.path().join(name), pcap(101, &packets)).unwrap();
    }
    dir
}

#[test]
fn captures_tell_interfaces_apart() {
    let dir = dir();
    let args =
        ["--interface", "eni-web=a.pcap", "--interface", "eni-ssh=b.pcap", "a.pcap", "b.pcap"];
    let (rows, stderr) = rows(dir.path(), &args);
    assert_eq!(stderr, "");
    assert_eq!(
        rows,
        [
            "eni-web ingress allow rule web",
            "eni-ssh ingress deny default default",
            "eni-web ingress deny default default",
            "eni-ssh ingress allow rule ssh",
            // Seen at eni-web, and none of its addresses.
            "not_evaluated not_local",
            "eni-ssh ingress allow rule ssh",
        ]
    );
}

/// Of a capture that no one has placed, an address of two interfaces is nobody's.
#[test]
fn without_a_place_a_shared_address_belongs_to_none() {
    let dir = dir();
    let (rows, _) = rows(dir.path(), &["--interface", "eni-web=a.pcap", "a.pcap", "b.pcap"]);
    assert_eq!(
        rows[3..],
        ["not_evaluated not_local", "not_evaluated not_local", "eni-ssh ingress allow rule ssh"]
    );
}

#[test]
fn pcapng_tells_interfaces_apart_by_name() {
    let dir = dir();
    let capture = support::capture("web.pcapng");
    let capture = capture.to_str().unwrap();
    // The web server's own traffic at eth0, and what it says to itself at lo.
    let (at_eth0, _) = rows(dir.path(), &["--interface", "eni-web=eth0", capture]);
    let (at_lo, stderr) = rows(dir.path(), &["--interface", "eni-web=lo", capture]);
    let judged = |rows: &[String]| rows.iter().filter(|row| row.starts_with("eni-web")).count();
    assert_eq!(stderr, "");
    assert!(judged(&at_eth0) > 20, "{at_eth0:#?}");
    assert!(judged(&at_lo) < judged(&at_eth0));
}

#[test]
fn mistakes_are_named() {
    let dir = dir();
    let run = |args: &[&str]| {
        let args = [&["replay", "--rules", "rules.yaml"][..], args].concat();
        support::run_in(dir.path(), &args, b"")
    };
    insta::assert_snapshot!("one address, two interfaces", run(&["a.pcap"]));
    insta::assert_snapshot!("no such interface", run(&["--interface", "eni-wob=a.pcap", "a.pcap"]));
    insta::assert_snapshot!("no equals sign", run(&["--interface", "eni-web", "a.pcap"]));
    let all = ["--interface", "eni-web=a.pcap", "--interface", "eni-ssh=eth7", "a.pcap"];
    let text = run(&all);
    let warning = text.lines().find(|line| line.starts_with("warning")).unwrap();
    insta::assert_snapshot!("nothing captured there", warning);
}
