//! What clouds let through or stop whatever the rules say (SEMANTICS F25, part H): the vectors of H8, by their names
//! there.

use crate::support::{output_in, pcap, run_in};
use serde_json::Value;

/// A packet of UDP without content.
fn udp(src: [u8; 4], dst: [u8; 4], sport: u16, dport: u16) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0];
    bytes.extend([src, dst].concat());
    bytes.extend([sport.to_be_bytes(), dport.to_be_bytes(), [0, 8], [0, 0]].concat());
    bytes
}

/// The verdict on an opening packet, and the rule that decides.
fn verdict(rules: &str, packet: &str, more: &[&str]) -> (String, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("r.yaml"), rules).unwrap();
    let words: Vec<&str> = packet.split(' ').collect();
    let [direction, proto, src, dst] = words.as_slice() else { panic!("{packet}") };
    let args = ["explain", "--rules", "r.yaml", "--direction", direction, "--proto", proto];
    let args = [&args[..], &["--src", src, "--dst", dst, "-f", "json"], more].concat();
    let (_, out, err) = output_in(dir.path(), &args, b"");
    assert!(!out.is_empty(), "{packet}: {err}");
    let answer: Value = serde_json::from_str(&out).unwrap();
    let word = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
    (word("verdict"), word("rule"))
}

fn allows(rules: &str, packet: &str, by: &str) {
    assert_eq!(verdict(rules, packet, &[]), ("allow".to_owned(), by.to_owned()), "{packet}");
}

fn denies(rules: &str, packet: &str) {
    assert_eq!(verdict(rules, packet, &[]).0, "deny", "{packet}");
}

/// Nothing is allowed by rules: a group without rules, behind a network ACL that denies all.
const CLOSED: &str = "\
cloud: aws
security_groups: [{id: sg, rules: []}]
network_acls: [{id: acl, networks: [10.0.5.0/24], rules: []}]
interfaces: [{id: eni, addresses: [10.0.5.9, '2001:db8::9'], security_groups: [sg]}]
";

/// HV1, and the other rows of H1 about AWS: neither layer filters them.
#[test]
fn what_aws_lets_through() {
    for (packet, by) in [
        ("egress udp 10.0.5.9:40000 169.254.169.123:123", "time-sync"),
        ("egress tcp 10.0.5.9:40000 169.254.169.254:80", "instance-metadata"),
        ("egress tcp [2001:db8::9]:40000 [fd00:ec2::254]:80", "instance-metadata"),
        ("egress udp 10.0.5.9:40000 169.254.169.253:53", "resolver"),
        ("egress udp [2001:db8::9]:40000 [fd00:ec2::253]:53", "resolver"),
        ("egress tcp 10.0.5.9:40000 169.254.170.2:80", "task-metadata"),
        ("egress tcp 10.0.5.9:40000 169.254.169.250:1688", "windows-activation"),
        ("egress udp 10.0.5.9:68 255.255.255.255:67", "dhcp"),
        ("ingress udp 10.0.9.1:67 10.0.5.9:68", "dhcp"),
        ("egress udp 10.0.5.9:40000 10.0.5.2:53", "resolver"),
        ("egress icmp 10.0.5.9 10.0.5.1", "vpc-router"),
    ] {
        allows(CLOSED, packet, by);
    }
    for packet in [
        "egress tcp 10.0.5.9:40000 169.254.169.123:123",
        "egress tcp 10.0.5.9:40000 169.254.170.2:443",
        "egress tcp 10.0.5.9:40000 169.254.170.23:80",
        "egress tcp 10.0.5.9:40000 10.0.5.2:80",
        // Nobody asks from there.
        "ingress tcp 169.254.169.254:40000 10.0.5.9:80",
        "egress udp 10.0.5.9:40000 10.0.0.2:53",
    ] {
        denies(CLOSED, packet);
    }
    // H-a: the base of the VPC plus two is known where the VPC is.
    let asked = "egress udp 10.0.5.9:40000 10.0.0.2:53";
    let known = verdict(CLOSED, asked, &["--vpc-cidr", "10.0.0.0/16"]);
    assert_eq!(known, ("allow".to_owned(), "resolver".to_owned()));
}

/// An answer of the name server passes the network ACL too, which remembers nobody who asked.
#[test]
fn answers_of_aws_services_pass_the_network_acl() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("r.yaml"), CLOSED).unwrap();
    let frames = [
        udp([10, 0, 5, 9], [169, 254, 169, 253], 40_000, 53),
        udp([169, 254, 169, 253], [10, 0, 5, 9], 53, 40_000),
        udp([10, 0, 5, 9], [198, 51, 100, 1], 40_001, 53),
    ];
    std::fs::write(dir.path().join("c.pcap"), pcap(101, &frames.each_ref().map(Vec::as_slice)))
        .unwrap();
    let args = ["replay", "--rules", "r.yaml", "c.pcap", "--per", "packet", "-f", "csv"];
    let (_, out, err) = output_in(dir.path(), &args, b"");
    let mut rows = csv::Reader::from_reader(out.as_bytes());
    let header = rows.headers().unwrap().clone();
    let at = header.iter().position(|name| name == "verdict").unwrap();
    let verdicts: Vec<String> = rows.records().map(|row| row.unwrap()[at].to_owned()).collect();
    assert_eq!(verdicts, ["allow", "allow", "deny"], "{err}");
}

/// HV5: IPv4 entries of a network ACL say nothing of IPv6.
#[test]
fn families_of_a_network_acl() {
    let rules = "\
cloud: aws
security_groups: [{id: sg, rules: [{direction: ingress, protocol: all, source: ['0.0.0.0/0', '::/0']}]}]
network_acls: [{id: acl, interfaces: [eni], rules: [{number: 100, direction: ingress, protocol: all, source: 0.0.0.0/0}]}]
interfaces: [{id: eni, addresses: [10.0.5.9, '2001:db8::9'], security_groups: [sg]}]
";
    assert_eq!(verdict(rules, "ingress tcp 203.0.113.9:40000 10.0.5.9:22", &[]).0, "allow");
    denies(rules, "ingress tcp [2001:db8:1::1]:40000 [2001:db8::9]:22");
}

/// HV8: all of Google's services live at one address.
#[test]
fn what_google_lets_through() {
    let rules = "\
cloud: google
security_groups: [{id: net, rules: [{direction: egress, policy: drop, priority: 1, protocol: all, destination: 0.0.0.0/0}]}]
interfaces: [{id: vm, addresses: [10.0.0.5], security_groups: [net]}]
";
    allows(rules, "egress udp 10.0.0.5:40000 169.254.169.254:53", "metadata-server");
    allows(rules, "ingress udp 169.254.169.254:67 10.0.0.5:68", "metadata-server");
    denies(rules, "egress tcp 10.0.0.5:40000 198.51.100.9:25");
}

fn azure(rules: &str) -> String {
    format!(
        "cloud: azure\nsecurity_groups: [{{id: nsg, rules: [{rules}\
         {{id: in, direction: ingress, policy: drop, priority: 100, protocol: all, source: ['0.0.0.0/0', '::/0']}}, \
         {{id: out, direction: egress, policy: drop, priority: 100, protocol: all, destination: ['0.0.0.0/0', '::/0']}}]}}]\n\
         tags: [{{name: AzurePlatformDNS, entries: [168.63.129.16]}}]\n\
         interfaces: [{{id: nic, addresses: [10.1.0.4], security_groups: [nsg]}}]\n"
    )
}

/// HV9: a rule for everybody stops probes of the load balancer, and not the platform's own services; one that names the
/// service does.
#[test]
fn what_azure_lets_through() {
    let closed = azure("");
    denies(&closed, "ingress tcp 168.63.129.16:40000 10.1.0.4:80");
    allows(&closed, "egress udp 10.1.0.4:40000 168.63.129.16:53", "azure-platform");
    allows(&closed, "egress tcp 10.1.0.4:40000 168.63.129.16:32526", "azure-platform");
    allows(&closed, "egress tcp 10.1.0.4:40000 169.254.169.254:80", "instance-metadata");
    denies(&closed, "egress tcp 10.1.0.4:40000 168.63.129.16:22");
    let named = azure(
        "{id: dns, direction: egress, policy: drop, priority: 99, protocol: all, destination: 'tag:AzurePlatformDNS'}, ",
    );
    denies(&named, "egress udp 10.1.0.4:40000 168.63.129.16:53");
    // HV10: within a subnet too.
    denies(&closed, "ingress tcp 10.1.0.5:40000 10.1.0.4:80");
}

/// H-c, HV11: Alibaba Cloud's name servers and metadata pass every network ACL, and of security groups the metadata
/// alone.
#[test]
fn what_alibaba_lets_through() {
    let rules = "\
security_groups: [{id: sg, type: enterprise, rules: [{direction: egress, protocol: udp, ports: 53, destination: 0.0.0.0/0},
  {direction: ingress, protocol: all, source: 0.0.0.0/0}]}]
network_acls: [{id: acl, interfaces: [eni], rules: [{number: 1, direction: ingress, policy: drop, protocol: tcp, ports: 22, source: 0.0.0.0/0},
  {number: 2, direction: ingress, protocol: all, source: 0.0.0.0/0}]}]
interfaces: [{id: eni, addresses: [10.0.5.9], security_groups: [sg]}]
";
    assert_eq!(verdict(rules, "egress udp 10.0.5.9:40000 100.100.2.136:53", &[]).0, "allow");
    assert_eq!(verdict(rules, "egress tcp 10.0.5.9:40000 100.100.100.200:80", &[]).0, "allow");
    denies(rules, "egress udp 10.0.5.9:40000 8.8.8.8:53");
    denies(rules, "egress tcp 10.0.5.9:40000 100.100.2.136:80");
    denies(rules, "ingress tcp 203.0.113.9:40000 10.0.5.9:22");
    assert_eq!(verdict(rules, "ingress tcp 203.0.113.9:22 10.0.5.9:50000", &[]).0, "allow");
}

/// A name server that may be the VPC's is named, and the option that says so.
#[test]
fn a_denied_resolver_is_hinted_at() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("r.yaml"), CLOSED).unwrap();
    let frame = udp([10, 0, 5, 9], [10, 0, 0, 2], 40_000, 53);
    std::fs::write(dir.path().join("c.pcap"), pcap(101, &[&frame])).unwrap();
    let args = ["replay", "--rules", "r.yaml", "c.pcap"];
    let hinted = run_in(dir.path(), &args, b"");
    assert!(hinted.contains("10.0.0.2 may be the VPC's name server"), "{hinted}");
    let known = run_in(dir.path(), &[&args[..], &["--vpc-cidr", "10.0.0.0/16"]].concat(), b"");
    assert!(!known.contains("may be the VPC"), "{known}");
}
