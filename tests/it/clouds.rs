//! Rules of other clouds: what each of them means where Alibaba Cloud means something else.
//!
//! What real files say is compared with another reader's tables in `formats.rs`; here it is what becomes of
//! packets.

use std::fmt::Write;

use insta::assert_snapshot;
use proptest::prelude::*;
use sgreplay::evaluate::{Compiled, Evaluator, Reference};
use sgreplay::flow::Direction;
use sgreplay::rules::{EntryKind, Policy, RuleSet};

use crate::agreement::flow;
use crate::formats::folder;
use crate::support::{self, output_in, run_in};

/// Whether rules accept a packet, written as `ingress tcp 203.0.113.9:40000 10.0.0.5:22`, at their first
/// interface, and what decides.
fn answer(rules: &RuleSet, packet: &str) -> (Policy, String) {
    let (direction, flow) = support::packet(packet);
    let interface = rules.interfaces().iter().position(|eni| {
        eni.addresses.is_empty()
            || eni.addresses.iter().any(|net| net.contains(&flow.local(direction)))
    });
    let interface = interface.unwrap();
    let ordered = rules.ordered(interface, direction);
    let index = Compiled::new(&ordered).decide(&flow);
    assert_eq!(index, Reference(&ordered).decide(&flow), "{packet}");
    let entry = ordered.entry(index).unwrap();
    (entry.policy, rules.names(interface, entry).1)
}

pub(crate) fn accepts(rules: &RuleSet, packet: &str, by: &str) {
    assert_eq!(answer(rules, packet), (Policy::Accept, by.to_owned()), "{packet}");
}

pub(crate) fn drops(rules: &RuleSet, packet: &str, by: &str) {
    assert_eq!(answer(rules, packet), (Policy::Drop, by.to_owned()), "{packet}");
}

/// Files → our own rules file, by `convert`, and that read again.
fn rules_of(files: &[(&str, &str)], args: &[&str]) -> RuleSet {
    let dir = folder(files);
    let name = if files.len() == 1 { files[0].0 } else { "." };
    let (status, yaml, err) =
        output_in(dir.path(), &[&["convert", name, "--to", "yaml"], args].concat(), b"");
    assert_eq!(status, 0, "{err}");
    // What is written means what was read: both directions, every interface, every packet.
    std::fs::write(dir.path().join("ours"), &yaml).unwrap();
    let (status, out, err) = output_in(
        dir.path(),
        &[&["diff", "--current", name, "--proposed", "ours"], args].concat(),
        b"",
    );
    assert!(status == 0 && out.contains("are equivalent"), "{out}{err}{yaml}");
    sgreplay::parse::yaml("ours", &yaml).unwrap()
}

fn refused(files: &[(&str, &str)], args: &[&str]) -> String {
    let dir = folder(files);
    let name = if files.len() == 1 { files[0].0 } else { "." };
    run_in(dir.path(), &[&["convert", name, "--to", "yaml"], args].concat(), b"")
}

const AWS: &str = r#"{"SecurityGroups": [
 {"GroupId": "sg-web", "OwnerId": "1", "VpcId": "vpc-1",
  "IpPermissions": [
   {"IpProtocol": "tcp", "FromPort": 0, "ToPort": 80, "IpRanges": [{"CidrIp": "203.0.113.0/24"}],
    "Ipv6Ranges": [{"CidrIpv6": "2001:db8::/32"}], "PrefixListIds": [{"PrefixListId": "pl-1"}],
    "UserIdGroupPairs": [{"GroupId": "sg-db", "UserId": "1"}]},
   {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
   {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-web", "UserId": "1"}]},
   {"IpProtocol": "50", "FromPort": 9, "ToPort": 9, "IpRanges": [{"CidrIp": "198.51.100.7/32"}]},
   {"IpProtocol": "udp", "FromPort": 1, "ToPort": 2, "IpRanges": []}],
  "IpPermissionsEgress": []},
 {"GroupId": "sg-db", "OwnerId": "1", "IpPermissions": [],
  "IpPermissionsEgress": [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]}]}"#;

const AWS_LIST: &str = r#"{"PrefixLists": [{"PrefixListId": "pl-1", "Cidrs": ["192.0.2.0/24"]}]}"#;

const AWS_INTERFACES: &str = r#"{"NetworkInterfaces": [
 {"NetworkInterfaceId": "eni-1", "Groups": [{"GroupId": "sg-web"}], "PrivateIpAddress": "10.0.0.5", "SubnetId": "subnet-1",
  "PrivateIpAddresses": [{"PrivateIpAddress": "10.0.0.5"}, {"PrivateIpAddress": "10.0.0.6"}],
  "Ipv6Addresses": [{"Ipv6Address": "2001:db8:5::5"}]},
 {"NetworkInterfaceId": "eni-2", "Groups": [{"GroupId": "sg-web"}], "PrivateIpAddress": "10.0.0.7", "SubnetId": "subnet-2"},
 {"NetworkInterfaceId": "eni-3", "Groups": [{"GroupId": "sg-db"}], "PrivateIpAddress": "10.0.0.8", "SubnetId": "subnet-2"}]}"#;

#[test]
fn security_groups_of_aws() {
    let files = [("groups.json", AWS), ("lists.json", AWS_LIST), ("enis.json", AWS_INTERFACES)];
    let rules = rules_of(&files, &[]);
    // A peer may be a CIDR of either family, a prefix list, another group.
    for from in ["203.0.113.9", "192.0.2.1", "10.0.0.8"] {
        accepts(&rules, &format!("ingress tcp {from}:40000 10.0.0.5:80"), "sg-web#1");
    }
    accepts(&rules, "ingress tcp [2001:db8::9]:40000 [2001:db8:5::5]:0", "sg-web#1");
    drops(&rules, "ingress tcp 203.0.113.9:40000 10.0.0.5:81", "default");
    // A type of ICMP and no other.
    accepts(&rules, "ingress icmp 203.0.113.9 10.0.0.5 8/0", "sg-web#2");
    drops(&rules, "ingress icmp 203.0.113.9 10.0.0.5 13/0", "default");
    // Nothing passes unasked: path MTU, the metadata service.
    drops(&rules, "ingress icmp 203.0.113.9 10.0.0.5 3/4", "default");
    drops(&rules, "egress tcp 10.0.0.5:40000 100.100.100.200:80", "default");
    // Members reach each other by the rule that names their own group, and only where it is in.
    accepts(&rules, "ingress tcp 10.0.0.7:40000 10.0.0.5:22", "sg-web#3");
    drops(&rules, "ingress tcp 10.0.0.5:40000 10.0.0.8:22", "default");
    // Ports of a protocol without ports are of no account; a permission for nobody is none.
    let ordered = rules.ordered(0, Direction::Ingress);
    let of_rules = ordered.entries().iter().filter(|of| matches!(of.kind, EntryKind::Rule { .. }));
    let named = of_rules.map(|of| rules.names(0, of).1).collect::<Vec<_>>();
    assert_eq!(named, ["sg-web#1", "sg-web#2", "sg-web#3", "sg-web#4"]);
    // What is not said, is not allowed out.
    drops(&rules, "egress tcp 10.0.0.5:40000 198.51.100.7:443", "default");
    accepts(&rules, "egress tcp 10.0.0.8:40000 198.51.100.7:443", "sg-db#1");
}

/// A collector's file has groups and network ACLs under the names that our own file has for them.
#[test]
fn what_a_collector_of_aws_writes() {
    let groups = AWS.replace("SecurityGroups", "security_groups");
    let groups = groups.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
    let text = format!(
        r#"{{"provider": "aws", {groups}, "instances": [{{"NetworkInterfaces": [
          {{"NetworkInterfaceId": "eni-1", "Groups": [{{"GroupId": "sg-db"}}], "PrivateIpAddress": "10.0.0.8",
            "SubnetId": "subnet-1"}}]}}],
         "network_acls": [{{"NetworkAclId": "acl-1", "Associations": [{{"SubnetId": "subnet-1"}}], "Entries": [
          {{"RuleNumber": 100, "Egress": true, "Protocol": "6", "RuleAction": "allow", "CidrBlock": "198.51.100.0/24"}}]}}]}}"#
    );
    let dir = folder(&[("collected.json", &text), ("lists.json", AWS_LIST)]);
    let (status, out, err) = output_in(dir.path(), &["convert", ".", "--to", "yaml"], b"");
    assert_eq!(status, 0, "{err}");
    let rules = sgreplay::parse::yaml("collected", &out).unwrap();
    accepts(&rules, "egress tcp 10.0.0.8:40000 198.51.100.7:443", "egress-100");
    drops(&rules, "egress tcp 10.0.0.8:40000 203.0.113.7:443", "default");
}

const ACLS: &str = r#"{"NetworkAcls": [
 {"NetworkAclId": "acl-1", "Associations": [{"SubnetId": "subnet-1"}], "Entries": [
  {"RuleNumber": 100, "Egress": false, "Protocol": "6", "RuleAction": "allow", "CidrBlock": "0.0.0.0/0", "PortRange": {"From": 80, "To": 80}},
  {"RuleNumber": 90, "Egress": false, "Protocol": "6", "RuleAction": "deny", "CidrBlock": "198.51.100.0/24", "PortRange": {"From": 80, "To": 80}},
  {"RuleNumber": 110, "Egress": false, "Protocol": "1", "RuleAction": "allow", "CidrBlock": "0.0.0.0/0", "IcmpTypeCode": {"Type": 8, "Code": -1}},
  {"RuleNumber": 100, "Egress": true, "Protocol": "6", "RuleAction": "allow", "CidrBlock": "0.0.0.0/0", "PortRange": {"From": 50000, "To": 65535}},
  {"RuleNumber": 32767, "Egress": true, "Protocol": "-1", "RuleAction": "deny", "CidrBlock": "0.0.0.0/0"},
  {"RuleNumber": 32767, "Egress": false, "Protocol": "-1", "RuleAction": "deny", "CidrBlock": "0.0.0.0/0"}]},
 {"NetworkAclId": "acl-2", "Associations": [{"SubnetId": "subnet-2"}], "Entries": [
  {"RuleNumber": 32767, "Egress": false, "Protocol": "-1", "RuleAction": "deny", "CidrBlock": "0.0.0.0/0"}]}]}"#;

#[test]
fn network_acls_of_aws() {
    let files = [("acls.json", ACLS), ("enis.json", AWS_INTERFACES)];
    let rules = rules_of(&files, &[]);
    accepts(&rules, "ingress tcp 203.0.113.9:40000 10.0.0.5:80", "ingress-100");
    drops(&rules, "ingress tcp 198.51.100.7:40000 10.0.0.5:80", "ingress-90");
    accepts(&rules, "ingress icmp 203.0.113.9 10.0.0.5 8/3", "ingress-110");
    // An answer has to find a rule of its own, by the port that the client happened to take.
    accepts(&rules, "egress tcp 10.0.0.5:80 203.0.113.9:50000", "egress-100");
    drops(&rules, "egress tcp 10.0.0.5:80 203.0.113.9:40000", "egress-32767");
    drops(&rules, "ingress tcp 203.0.113.9:40000 10.0.0.7:80", "ingress-32767");
}

/// Without a memory of connections every packet is judged.
#[test]
fn network_acls_judge_answers_too() {
    let open = ACLS.replace(r#""From": 50000"#, r#""From": 1024"#);
    let dir = folder(&[("a.json", &one_acl(ACLS)), ("b.json", &one_acl(&open))]);
    let web = support::capture("web.pcap");
    std::fs::copy(web, dir.path().join("web.pcap")).unwrap();
    let local = ["--local", "10.0.0.5"];
    let replay = ["replay", "--rules", "a.json", "web.pcap"];
    assert_snapshot!("acl replay", run_in(dir.path(), &[&replay[..], &local].concat(), b""));
    let diff = ["diff", "--current", "a.json", "--proposed", "b.json", "web.pcap"];
    assert_snapshot!("acl diff", run_in(dir.path(), &[&diff[..], &local].concat(), b""));
    let connections = run_in(dir.path(), &[&replay[..], &["--per", "connection"]].concat(), b"");
    assert!(connections.contains("ingress local: rule ingress-90 of acl-1"), "{connections}");
    // A host that is to do the same must not remember connections either.
    for to in ["nftables", "iptables"] {
        let host = run_in(dir.path(), &["convert", "a.json", "--to", to], b"");
        assert!(host.contains("100") && !host.to_lowercase().contains("established"), "{host}");
    }
}

#[test]
fn a_packet_of_no_connection_is_explained() {
    let dir = folder(&[("a.json", &one_acl(ACLS))]);
    let web = support::capture("web.pcap");
    let args = [
        "explain",
        "--rules",
        "a.json",
        "--frame",
        "3",
        web.to_str().unwrap(),
        "--local",
        "10.0.0.5",
    ];
    assert_snapshot!("acl explain", run_in(dir.path(), &args, b""));
}

/// The first of the network ACLs alone.
fn one_acl(text: &str) -> String {
    let mut answer: serde_json::Value = serde_json::from_str(text).unwrap();
    answer["NetworkAcls"].as_array_mut().unwrap().truncate(1);
    answer.to_string()
}

const AZURE: &str = r#"[
 {"name": "subnet-nsg", "subnets": [{"id": "/x/Subnets/One"}], "securityRules": [
  {"name": "web", "priority": 100, "direction": "Inbound", "access": "Allow", "protocol": "TCP", "sourceAddressPrefix": "*",
   "sourcePortRange": "*", "destinationAddressPrefix": "*", "destinationPortRanges": ["80", "8000-8010"]},
  {"name": "ssh", "priority": 110, "direction": "Inbound", "access": "Allow", "protocol": "Tcp",
   "sourceAddressPrefixes": ["203.0.113.0/24", "192.0.2.1-192.0.2.4"], "sourcePortRange": "*",
   "destinationAddressPrefix": "10.0.0.5", "destinationPortRange": "22"},
  {"name": "no-mail", "priority": 100, "direction": "Outbound", "access": "Deny", "protocol": "*", "sourceAddressPrefix": "*",
   "sourcePortRange": "*", "destinationAddressPrefix": "Internet", "destinationPortRange": "25"}]},
 {"name": "nic-nsg", "properties": {"securityRules": [
  {"name": "asg", "properties": {"priority": 200, "direction": "Inbound", "access": "Allow", "protocol": "Tcp",
   "sourceAddressPrefix": "*", "sourcePortRange": "*", "destinationPortRange": "80-443",
   "destinationApplicationSecurityGroups": [{"id": "/x/applicationSecurityGroups/web"}]}},
  {"name": "no-scan", "properties": {"priority": 150, "direction": "Inbound", "access": "Deny", "protocol": "*",
   "sourceAddressPrefix": "198.51.100.0/24", "sourcePortRange": "*", "destinationAddressPrefix": "*", "destinationPortRange": "*"}}]}}]"#;

const AZURE_INTERFACES: &str = r#"[
 {"name": "nic1", "networkSecurityGroup": {"id": "/x/networkSecurityGroups/nic-nsg"}, "ipConfigurations": [
  {"privateIPAddress": "10.0.0.5", "subnet": {"id": "/x/subnets/one"}, "applicationSecurityGroups": [{"id": "/x/applicationSecurityGroups/web"}]}]},
 {"name": "nic2", "networkSecurityGroup": {"id": "/x/networkSecurityGroups/nic-nsg"}, "ipConfigurations": [
  {"privateIPAddress": "10.0.1.5", "subnet": {"id": "/x/subnets/two"}}]},
 {"name": "nic3", "ipConfigurations": [{"privateIPAddress": "10.0.0.6", "subnet": {"id": "/x/subnets/one"}}]}]"#;

const AZURE_TAGS: [&str; 6] = [
    "--define",
    "VirtualNetwork=10.0.0.0/8",
    "--define",
    "AzureLoadBalancer=168.63.129.16",
    "--define",
    "Internet=0.0.0.0/0,::/0",
];

#[test]
fn network_security_groups_of_azure() {
    let files = [("nsgs.json", AZURE), ("nics.json", AZURE_INTERFACES)];
    let rules = rules_of(&files, &AZURE_TAGS);
    // Two groups: both must allow, and the one that does not is named.
    accepts(&rules, "ingress tcp 203.0.113.9:40000 10.0.0.5:80", "asg");
    drops(&rules, "ingress tcp 203.0.113.9:40000 10.0.0.5:443", "DenyAllInBound");
    drops(&rules, "ingress tcp 198.51.100.7:40000 10.0.0.5:80", "no-scan");
    drops(&rules, "ingress tcp 203.0.113.9:40000 10.0.0.5:22", "DenyAllInBound");
    // The subnet's alone, and the interface's alone, which has not the application group.
    accepts(&rules, "ingress tcp 203.0.113.9:40000 10.0.0.6:8005", "web");
    drops(&rules, "ingress tcp 203.0.113.9:40000 10.0.1.5:80", "DenyAllInBound");
    // Default rules, added where a file does not print them.
    accepts(&rules, "ingress tcp 10.9.9.9:40000 10.0.1.5:5432", "AllowVnetInBound");
    accepts(
        &rules,
        "ingress tcp 168.63.129.16:40000 10.0.1.5:5432",
        "AllowAzureLoadBalancerInBound",
    );
    // On the way out the interface's own group comes first.
    drops(&rules, "egress tcp 10.0.0.5:40000 198.51.100.7:25", "no-mail");
    accepts(&rules, "egress tcp 10.0.1.5:40000 198.51.100.7:25", "AllowInternetOutBound");
    // A port is asked of what has ports.
    let sctp = "ingress tcp 203.0.113.9:40000 10.0.0.6:81";
    drops(&rules, sctp, "DenyAllInBound");
}

/// Whether a rule of a layer acts is asked of that layer; a finding is about the interface as it is.
#[test]
fn layers_are_checked_one_by_one() {
    let yaml = "cloud: azure
security_groups:
  - {id: outer, rules: [{id: web, direction: ingress, priority: 100, protocol: tcp, ports: 80, source: 'tag:Internet'}]}
  - id: inner
    rules:
      - {id: open, direction: ingress, priority: 100, protocol: all, ports: [80, 3306], source: [0.0.0.0/0, '::/0']}
      - {id: never, direction: ingress, priority: 200, protocol: tcp, ports: 80, source: 203.0.113.0/24}
tags: [{name: Internet, entries: [203.0.113.0/24]}]
interfaces: [{id: nic, addresses: 10.0.0.5, security_groups: [outer, inner]}]
";
    let dir = folder(&[("azure.yaml", yaml)]);
    assert_snapshot!("azure check", run_in(dir.path(), &["check", "azure.yaml"], b""));
}

#[test]
fn what_azure_does_not_say() {
    let files = [("nsgs.json", AZURE)];
    assert_snapshot!("azure tags", refused(&files, &[]));
    let template = r#"{"$schema": "https://x/deploymentTemplate.json#", "resources": [
      {"type": "Microsoft.Network/networkSecurityGroups", "name": "[parameters('name')]", "properties": {"securityRules": []}}]}"#;
    assert_snapshot!("azure template", refused(&[("arm.json", template)], &AZURE_TAGS));
}

/// What layers do: allow what each of them alone allows.
fn layers() -> impl Strategy<Value = String> {
    let rule = (
        prop_oneof![Just("ingress"), Just("egress")],
        any::<bool>(),
        1_u32..6,
        prop_oneof![Just("tcp"), Just("udp"), Just("all")],
        prop_oneof![
            Just(String::new()),
            (0_u16..8, 0_u16..8).prop_map(|(a, b)| format!("ports: {}/{}, ", a.min(b), a.max(b)))
        ],
        prop_oneof![
            Just("0.0.0.0/0"),
            Just("[0.0.0.0/29, '::/125']"),
            Just("0.0.0.4/30"),
            Just("'::/0'")
        ],
        prop_oneof![3 => Just(""), 1 => Just("0.0.0.0/30"), 1 => Just("'::8/125'")],
    );
    let rule = rule.prop_map(|(direction, accept, priority, protocol, ports, peer, local)| {
        let policy = if accept { "accept" } else { "drop" };
        let (far, near) = if direction == "ingress" { ("source", "destination") } else { ("destination", "source") };
        let near = if local.is_empty() { String::new() } else { format!("{near}: {local}, ") };
        format!("{{direction: {direction}, policy: {policy}, priority: {priority}, protocol: {protocol}, {ports}{near}{far}: {peer}}}")
    });
    let group = prop::collection::vec(rule, 0..6);
    (group.clone(), group).prop_map(|groups| {
        let mut text = "cloud: azure\nsecurity_groups:\n".to_owned();
        for (name, rules) in [("outer", groups.0), ("inner", groups.1)] {
            let _ = writeln!(text, "  - {{id: {name}, rules: [{}]}}", rules.join(", "));
        }
        text + "interfaces:
  - {id: outer, addresses: 192.0.2.1, security_groups: outer}
  - {id: inner, addresses: 192.0.2.2, security_groups: inner}
  - {id: both, addresses: 192.0.2.3, security_groups: [outer, inner]}\n"
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn both_layers_must_allow(text in layers(), flows in prop::collection::vec(flow(), 60)) {
        let rules = sgreplay::parse::yaml("layers", &text).unwrap();
        for direction in Direction::BOTH {
            let lists = [0, 1, 2].map(|interface| rules.ordered(interface, direction));
            let compiled = Compiled::new(&lists[2]);
            for flow in &flows {
                let decides = |n: usize| {
                    let entry = lists[n].entry(Reference(&lists[n]).decide(flow)).unwrap();
                    (entry.policy, rules.names(n, entry).1)
                };
                let [outer, inner, both] = [0, 1, 2].map(decides);
                let allowed = outer.0 == Policy::Accept && inner.0 == Policy::Accept;
                prop_assert_eq!(both.0 == Policy::Accept, allowed, "{} {}", flow, text);
                prop_assert_eq!(compiled.decide(flow), Reference(&lists[2]).decide(flow));
                // The layer that drops first on the packet's way is the one that is named.
                let order = if direction == Direction::Ingress { [&outer, &inner] } else { [&inner, &outer] };
                let decider = if order[0].0 == Policy::Drop { order[0] } else { order[1] };
                prop_assert_eq!(&both.1, &decider.1, "{} {}", flow, text);
            }
        }
    }
}

const GOOGLE: &str = r#"{"kind": "compute#firewallList", "items": [
 {"name": "web", "network": "https://x/networks/default", "allowed": [{"IPProtocol": "tcp", "ports": ["80", "443-444"]}, {"IPProtocol": "icmp"}],
  "sourceRanges": ["0.0.0.0/0"], "targetTags": ["web"]},
 {"name": "no-web", "network": "https://x/networks/default", "priority": 1000, "direction": "INGRESS", "denied": [{"IPProtocol": "tcp", "ports": ["443"]}],
  "sourceRanges": ["198.51.100.0/24"]},
 {"name": "db", "network": "https://x/networks/default", "priority": 65535, "allowed": [{"IPProtocol": "tcp", "ports": ["5432"]}],
  "sourceTags": ["web"], "sourceServiceAccounts": ["job@x.iam"], "targetServiceAccounts": ["db@x.iam"]},
 {"name": "off", "network": "https://x/networks/default", "disabled": true, "allowed": [{"IPProtocol": "all"}]},
 {"name": "no-smtp", "network": "https://x/networks/default", "direction": "EGRESS", "denied": [{"IPProtocol": "tcp", "ports": ["25"]}]}]}"#;

const INSTANCES: &str = r#"[
 {"kind": "compute#instance", "name": "web-1", "tags": {"items": ["web"]}, "networkInterfaces": [
   {"name": "nic0", "network": "https://x/networks/default", "networkIP": "10.0.0.5"}]},
 {"kind": "compute#instance", "name": "db-1", "serviceAccounts": [{"email": "db@x.iam"}], "networkInterfaces": [
   {"name": "nic0", "network": "https://x/networks/default", "networkIP": "10.0.0.8"}]}]"#;

#[test]
fn firewall_rules_of_google_cloud() {
    let files = [("rules.json", GOOGLE), ("instances.json", INSTANCES)];
    let rules = rules_of(&files, &["--define", "job@x.iam=10.0.3.0/24"]);
    accepts(&rules, "ingress tcp 203.0.113.9:40000 10.0.0.5:80", "web/tcp");
    accepts(&rules, "ingress icmp 203.0.113.9 10.0.0.5 8/0", "web/icmp");
    // At equal priority a deny wins.
    drops(&rules, "ingress tcp 198.51.100.7:40000 10.0.0.5:443", "no-web");
    // Targets: only what carries the tag, or runs as the account. Sources likewise, or by address.
    drops(&rules, "ingress tcp 203.0.113.9:40000 10.0.0.8:80", "default");
    for from in ["10.0.0.5", "10.0.3.9"] {
        accepts(&rules, &format!("ingress tcp {from}:40000 10.0.0.8:5432"), "db");
    }
    drops(&rules, "ingress tcp 10.0.0.9:40000 10.0.0.8:5432", "default");
    // What is switched off is no rule; what is not said is denied in and allowed out.
    drops(&rules, "ingress udp 203.0.113.9:40000 10.0.0.5:53", "default");
    drops(&rules, "egress tcp 10.0.0.5:40000 203.0.113.9:25", "no-smtp");
    accepts(&rules, "egress tcp 10.0.0.5:40000 203.0.113.9:26", "default");
}

/// Of two rules that say the same the one whose name comes first decides, also where one is a part of a rule,
/// and also after a conversion.
#[test]
fn equal_rules_of_google_cloud_are_named_alike_after_a_conversion() {
    let text = r#"[{"name": "a", "allowed": [{"IPProtocol": "tcp", "ports": ["80"]}, {"IPProtocol": "icmp"}]},
                   {"name": "b", "allowed": [{"IPProtocol": "tcp", "ports": ["80"]}]}]"#;
    let files = [("rules.json", text)];
    let rules = rules_of(&files, &[]);
    accepts(&rules, "ingress tcp 203.0.113.9:40000 10.0.0.5:80", "a/tcp");
    let dir = folder(&files);
    let packet = [
        "--direction",
        "ingress",
        "--proto",
        "tcp",
        "--src",
        "203.0.113.9",
        "--dst",
        "10.0.0.5:80",
    ];
    let args = [&["explain", "--rules", "rules.json"][..], &packet].concat();
    let out = run_in(dir.path(), &args, b"");
    assert!(out.contains("allow: rule a/tcp"), "{out}");
}

#[test]
fn what_google_cloud_does_not_say() {
    let one = [("rules.json", GOOGLE)];
    let define = ["--define", "web=10.0.0.5", "--define", "job@x.iam=10.0.3.0/24"];
    assert_snapshot!("google tags", refused(&one, &[]));
    assert_snapshot!("google targets", refused(&one, &define));
    // One instance, whose tags are given.
    let rules = rules_of(&one, &[&define[..], &["--tags", "web"]].concat());
    accepts(&rules, "ingress tcp 203.0.113.9:40000 10.0.0.5:80", "web/tcp");
    let rules = rules_of(&one, &[&define[..], &["--tags", ""]].concat());
    drops(&rules, "ingress tcp 203.0.113.9:40000 10.0.0.5:80", "default");
    let policies = r#"{"firewalls": [], "firewallPolicys": [{"name": "org", "rules": []}]}"#;
    assert_snapshot!("google policies", refused(&[("effective.json", policies)], &[]));
}

/// Whatever a rule says is in the table for a review.
#[test]
fn other_clouds_in_a_review() {
    let files = [("groups.json", AWS), ("lists.json", AWS_LIST), ("enis.json", AWS_INTERFACES)];
    let dir = folder(&files);
    let review = run_in(dir.path(), &["convert", ".", "--to", "markdown"], b"");
    assert!(
        review.contains("icmp type 8") && review.contains("**sg-web**: aws, 4 rules"),
        "{review}"
    );
    let dir = folder(&[("rules.json", GOOGLE)]);
    let tags = ["--define", "web=10.0.0.5", "--define", "job@x.iam=10.0.3.0/24", "--tags", "web"];
    let args = [&["convert", "rules.json", "--to", "markdown"][..], &tags].concat();
    let review = run_in(dir.path(), &args, b"");
    assert!(review.contains("for instances tagged web"), "{review}");
}

/// Rules of two clouds are no rule set.
#[test]
fn rules_that_do_not_go_together() {
    assert_snapshot!("two clouds", refused(&[("a.json", ACLS), ("b.json", GOOGLE)], &[]));
    let page = r#"{"SecurityGroups": [], "NextToken": "abc"}"#;
    assert_snapshot!("a page of aws", refused(&[("a.json", page)], &[]));
    // Alibaba Cloud has no words for them, and the other way round.
    let dir = folder(&[("a.json", &one_acl(ACLS))]);
    for to in ["alibaba-json", "azure", "gcp"] {
        let out = run_in(dir.path(), &["convert", "a.json", "--to", to], b"");
        assert!(out.contains("rules of aws: this is a format of "), "{out}");
    }
    let yaml = "security_groups: [{id: sg-a, rules: [
      {direction: ingress, protocol: icmp, icmp: 8, targets: web, source: 'tag:x', priority: 200},
      {direction: ingress, protocol: tcp, ports: 0/5, source: 0.0.0.0/0}]}]";
    let dir = folder(&[("a.yaml", yaml), ("b.yaml", &format!("cloud: aws\n{yaml}"))]);
    assert_snapshot!("not of alibaba", run_in(dir.path(), &["check", "a.yaml"], b""));
    assert_snapshot!("not of aws", run_in(dir.path(), &["check", "b.yaml"], b""));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Filters of `ClassBench` and headers, held against a search that knows nothing of rules.
    #[test]
    fn filters_of_classbench(
        filters in prop::collection::vec((any::<u32>(), 0_u32..=4, any::<u32>(), 0_u32..=4, 0_u16..9, 0_u16..9, 0_u16..9, 0_u16..9, 0_usize..4), 1..30),
        headers in prop::collection::vec((any::<u32>(), any::<u32>(), 0_u16..9, 0_u16..9, 0_usize..2), 1..40),
    ) {
        const PROTOCOLS: [(u8, &str); 4] = [(6, "0x06/0xFF"), (17, "0x11/0xff"), (6, "0x06/0xFF"), (0, "0x00/0x00")];
        let mask = |len: u32| if len == 0 { 0 } else { u32::MAX << (32 - len) };
        let dotted = std::net::Ipv4Addr::from_bits;
        let mut set = String::new();
        for (src, a, dst, b, p, q, r, s, proto) in &filters {
            let _ = writeln!(
                set, "@{}/{a}\t{}/{b}\t{} : {}\t{} : {}\t{}\t0x0000/0x0000\t",
                dotted(*src), dotted(*dst), p.min(q), p.max(q), r.min(s), r.max(s), PROTOCOLS[*proto].1,
            );
        }
        let mut trace = String::new();
        let mut expected = String::new();
        for (src, dst, sport, dport, proto) in &headers {
            let proto = [6_u8, 17][*proto];
            let _ = writeln!(trace, "{src}\t{dst}\t{sport}\t{dport}\t{proto}\t0");
            let first = filters.iter().position(|(s, a, d, b, p, q, r, t, of)| {
                src & mask(*a) == s & mask(*a)
                    && dst & mask(*b) == d & mask(*b)
                    && (p.min(q)..=p.max(q)).contains(&sport)
                    && (r.min(t)..=r.max(t)).contains(&dport)
                    && [0, proto].contains(&PROTOCOLS[*of].0)
            });
            let _ = writeln!(expected, "{}", first.map_or_else(|| "default".to_owned(), |n| n.to_string()));
        }
        let dir = folder(&[("set", &set), ("trace", &trace)]);
        let args = ["replay", "--rules", "set", "trace", "--per", "packet", "-f", "csv"];
        let (status, out, err) = output_in(dir.path(), &args, b"");
        prop_assert_eq!(status, 0, "{}", err);
        let mut rows = csv::Reader::from_reader(out.as_bytes());
        let at = rows.headers().unwrap().iter().position(|name| name == "rule").unwrap();
        let found = rows.records().fold(String::new(), |text, row| text + &row.unwrap()[at] + "\n");
        prop_assert_eq!(found, expected, "{}\n{}", set, trace);
    }
}

#[test]
fn a_damaged_set_of_filters() {
    let set = "@10.0.0.0/8\t0.0.0.0/0\t0 : 65535\t80 : 79\t0x06/0xFF\n@1.2.3/8\t0.0.0.0/0\n@1.0.0.0/8\t::/0\t0 : 1\t0 : 1\t0x06/0xF0\n";
    assert_snapshot!("damaged filters", refused(&[("set", set)], &[]));
}
