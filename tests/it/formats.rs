//! Rules as people have them: what each file says, and what is written comes back.
//!
//! `SGREPLAY_FORMATS` names folders of real files with, under `expected`, what an independent reader says of each;
//! without it that comparison says it is skipped. The files below are made up, in the documented shape.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use insta::assert_snapshot;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sgreplay::capture::Capture;
use sgreplay::convert::{alibaba_json, bpf};
use sgreplay::diff;
use sgreplay::parse::{Content, LoadOptions, Source, load};
use sgreplay::rules::RuleSet;

use crate::space::{file, proposals, rules};
use crate::support::{self, output_in, run_in};

/// Kinds of files that are read, by the name of their folder.
const READ: [&str; 6] = ["alibaba", "terraform", "ros", "aws", "azure", "gcp"];

fn expected(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            expected(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Every file of the folder says what the independent reader says.
#[test]
fn files_say_what_another_reader_says() {
    let Some(folders) = support::formats() else {
        println!(
            "SKIPPED: SGREPLAY_FORMATS names no folder of rules files with another reader's tables"
        );
        return;
    };
    let (mut files, mut rows, mut differ) = (0, 0, Vec::new());
    for formats in folders {
        let tables = formats.join("expected");
        let mut found = Vec::new();
        for kind in READ.iter().filter(|kind| tables.join(kind).is_dir()) {
            expected(&tables.join(kind), &mut found);
        }
        for table in found {
            let name = table.strip_prefix(&tables).unwrap().to_str().unwrap();
            let name = name.strip_suffix(".csv").unwrap();
            let (status, ours, err) = output_in(&formats, &["convert", name, "--to", "csv"], b"");
            let rows_of = |text: &str| -> Vec<Vec<String>> {
                let mut reader = csv::Reader::from_reader(text.as_bytes());
                let record = |row: Result<csv::StringRecord, csv::Error>| {
                    row.unwrap().iter().map(str::to_owned).collect()
                };
                let mut rows: Vec<Vec<String>> = reader.records().map(record).collect();
                rows.sort();
                rows
            };
            let theirs = rows_of(&std::fs::read_to_string(&table).unwrap());
            files += 1;
            rows += theirs.len();
            let ours = rows_of(&ours);
            if status != 0 || ours != theirs {
                let missing: Vec<_> = theirs.iter().filter(|row| !ours.contains(row)).collect();
                let more: Vec<_> = ours.iter().filter(|row| !theirs.contains(row)).collect();
                differ.push(format!(
                    "{name}: status {status} {err}missing {missing:#?} more {more:#?}"
                ));
            }
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    println!("{files} files, {rows} rules: another reader says the same");
    assert!(rows > 100);
}

/// A folder with these files.
pub(crate) fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn convert(files: &[(&str, &str)], args: &[&str]) -> String {
    let dir = folder(files);
    run_in(dir.path(), &[&["convert"], args].concat(), b"")
}

/// An answer about one group: with every quirk that answers have.
const GROUP: &str = r#"{"SecurityGroupId": "sg-web1", "VpcId": "vpc-1", "InnerAccessPolicy": "Drop", "NextToken": "",
 "RequestId": "x", "Permissions": {"Permission": [
  {"Direction": "ingress", "IpProtocol": "TCP", "PortRange": "22/22", "SourceCidrIp": "10.159.6.18/12", "Policy": "Accept",
   "Priority": 1, "NicType": "intranet", "DestCidrIp": "", "SourcePortRange": "", "Description": "a, \"b\"",
   "CreateTime": "2018-12-12T07:28:38Z", "SecurityGroupRuleId": "sgr-1"},
  {"Direction": "ingress", "IpProtocol": "Tcp", "PortRange": "80/90", "SourceCidrIp": "119.110.100.86", "Policy": "DROP",
   "Priority": "110", "DestCidrIp": "10.0.0.5", "SourcePortRange": "1024/65535", "Ipv6SourceCidrIp": null},
  {"Direction": "egress", "IpProtocol": "ALL", "PortRange": "-1/-1", "DestGroupId": "sg-other", "SourcePortRange": "-1/-1",
   "DestGroupOwnerAccount": 1649796836582446},
  {"Direction": "ingress", "IpProtocol": "UDP", "PortRange": "", "PortRangeListId": "prl-1",
   "SourcePrefixListId": "pl-1", "SourceGroupId": ""},
  {"Direction": "ingress", "IpProtocol": "58", "PortRange": "-1/-1", "Ipv6SourceCidrIp": "::/0", "NewKey": [1]}]}}"#;

const GROUPS: &str = r#"[{"TotalCount": 2, "SecurityGroups": {"SecurityGroup": [
  {"SecurityGroupId": "sg-web1", "SecurityGroupType": "normal", "VpcId": "vpc-1"},
  {"SecurityGroupId": "sg-db1", "SecurityGroupType": "enterprise", "VpcId": "vpc-1"}]}}]"#;

const DB: &str = "\u{feff}{\"SecurityGroupId\": \"sg-db1\",\r\n\"Permissions\": {}}
  {\"PrefixListId\": \"pl-1\", \"AddressFamily\": \"IPv4\", \"Entries\": {\"Entry\": [{\"Cidr\": \"192.0.2.0/24\"}]}}";

const PORTS: &str =
    r#"{"Entries": [{"PortRange": "53/53"}, {"PortRange": "5353/5353", "Description": ""}]}"#;

const INTERFACES: &str = r#"{"NetworkInterfaceSets": {"NetworkInterfaceSet": [
  {"NetworkInterfaceId": "eni-1", "PrivateIpAddress": "10.0.0.5", "SecurityGroupIds": {"SecurityGroupId": ["sg-web1"]},
   "PrivateIpSets": {"PrivateIpSet": [{"PrivateIpAddress": "10.0.0.5"}, {"PrivateIpAddress": "10.0.0.7"}]},
   "Ipv6Sets": {"Ipv6Set": [{"Ipv6Address": "2001:db8::5"}]}},
  {"NetworkInterfaceId": "eni-2", "PrivateIpAddress": "10.0.0.6", "SecurityGroupIds": {"SecurityGroupId": ["sg-db1"]}},
  {"NetworkInterfaceId": "eni-3", "PrivateIpAddress": "10.0.0.8", "SecurityGroupIds": {"SecurityGroupId": ["sg-x", "sg-db1"]}},
  {"NetworkInterfaceId": "eni-4", "PrivateIpAddress": "10.0.0.9", "SecurityGroupIds": {"SecurityGroupId": ["sg-x"]}}]}}"#;

#[test]
fn answers_of_the_api() {
    let all = [
        ("web.json", GROUP),
        ("groups.json", GROUPS),
        ("db.json", DB),
        ("prl-1.json", PORTS),
        ("enis.json", INTERFACES),
    ];
    assert_snapshot!("answers_csv", convert(&all, &["web.json", "--to", "csv"]));
    assert_snapshot!("answers_yaml", convert(&all, &[".", "--to", "yaml"]));
    // One file with all of it, one answer after the other.
    let [web, groups, db, _, enis] = all.map(|(_, text)| text.trim_start_matches('\u{feff}'));
    let without_list =
        web.replace(r#""PortRange": "", "PortRangeListId": "prl-1""#, r#""PortRange": "53/53""#);
    let one = format!("{without_list}\n{groups}\n{db}{enis}");
    let text = convert(&[("all.json", &one)], &["all.json", "--to", "yaml"]);
    assert!(text.starts_with("status 0") && text.contains("eni-2"), "{text}");
}

#[test]
fn an_export_of_the_console() {
    let export = r#"[{"SourceGroupId":"","Policy":"Accept","SourcePortRange":"","Priority":110,"NicType":"intranet",
      "Direction":"ingress","PortRange":"22/22","SourceCidrIp":"0.0.0.0/0","IpProtocol":"TCP","DestCidrIp":""}]"#;
    let files = [("ecs_sgRule_sg-abc1_cn-x.json", export)];
    assert_snapshot!("export", convert(&files, &["ecs_sgRule_sg-abc1_cn-x.json", "--to", "yaml"]));
    let typed = ["ecs_sgRule_sg-abc1_cn-x.json", "--to", "yaml", "--type", "enterprise"];
    assert_snapshot!("export with its type", convert(&files, &typed));
    let permissions =
        r#"[{"IpProtocol":"tcp","PortRange":"22/22","DestCidrIp":"192.0.2.0/24","Priority":"1"}]"#;
    let files = [("p.json", permissions)];
    assert_snapshot!("permissions", convert(&files, &["p.json", "--to", "csv"]));
    let typed = ["p.json", "--to", "csv", "--direction", "egress"];
    assert!(convert(&files, &typed).contains(",sg-export,egress,6,192.0.2.0/24,"));
}

#[test]
fn a_template() {
    let ros = "ROSTemplateFormatVersion: '2015-09-01'
Parameters: {Office: {Type: String, Default: 203.0.113.0/24}, Port: {Type: String}}
Resources:
  Web:
    Type: ALIYUN::ECS::SecurityGroup
    Properties:
      VpcId: !Ref Vpc
      SecurityGroupIngress:
        - {IpProtocol: tcp, PortRange: 22/22, SourceCidrIp: !Ref Office, NicType: internet, Priority: '2'}
  Db:
    Type: ALIYUN::ECS::SecurityGroup
    Properties: {SecurityGroupType: normal}
  Rule:
    Type: ALIYUN::ECS::SecurityGroupIngress
    Properties:
      SecurityGroupId: {'Fn::GetAtt': [Db, SecurityGroupId]}
      SourceGroupId: !GetAtt Web.SecurityGroupId
      IpProtocol: tcp
      PortRange: 3306/3306
";
    assert_snapshot!("template", convert(&[("t.yaml", ros)], &["t.yaml", "--to", "csv"]));
    // Names of a template are none of the cloud's, and are read again all the same.
    let yaml = convert(&[("t.yaml", ros)], &["t.yaml", "--to", "yaml"]);
    let yaml = yaml.split("── stdout\n").nth(1).unwrap().split("── stderr").next().unwrap();
    assert_eq!(rules(yaml).groups()[0].rules[0].peers[0].to_string(), "Web");
    let unknown = ros.replace("PortRange: 22/22", "PortRange: !Join ['/', [!Ref Port, !Ref Port]]");
    assert_snapshot!(
        "template unknown",
        convert(&[("t.yaml", &unknown)], &["t.yaml", "--to", "csv"])
    );
}

/// A plan that makes a group, replaces a rule, deletes one and knows a peer by reference only.
pub(crate) const PLAN: &str = r#"{"format_version": "1.2", "complete": true, "resource_changes": [
 {"address": "alicloud_security_group.web", "type": "alicloud_security_group", "change": {"actions": ["no-op"],
  "before": {"id": "sg-1", "security_group_type": "normal", "inner_access_policy": "Drop", "vpc_id": "vpc-1"},
  "after": {"id": "sg-1", "security_group_type": "normal", "inner_access_policy": "Drop", "vpc_id": "vpc-1"}}},
 {"address": "alicloud_security_group.db", "type": "alicloud_security_group", "change": {"actions": ["create"],
  "before": null, "after": {"security_group_type": "normal", "vpc_id": "vpc-1"}, "after_unknown": {"id": true}}},
 {"address": "alicloud_security_group_rule.ssh[0]", "type": "alicloud_security_group_rule", "change": {"actions": ["delete", "create"],
  "before": {"security_group_id": "sg-1", "type": "ingress", "ip_protocol": "tcp", "port_range": "22/22", "cidr_ip": "0.0.0.0/0",
    "policy": "accept", "priority": 1, "description": ""},
  "after": {"security_group_id": "sg-1", "type": "ingress", "ip_protocol": "tcp", "port_range": "22/22", "cidr_ip": "203.0.113.0/24",
    "policy": "accept", "priority": 1, "description": null}, "after_unknown": {"prefix_list_id": true}}},
 {"address": "alicloud_security_group_rule.old", "type": "alicloud_security_group_rule", "change": {"actions": ["delete"],
  "before": {"security_group_id": "sg-1", "type": "ingress", "ip_protocol": "tcp", "port_range": "8080/8080", "cidr_ip": "0.0.0.0/0"},
  "after": null}},
 {"address": "alicloud_security_group_rule.db", "type": "alicloud_security_group_rule", "change": {"actions": ["create"],
  "before": null, "after": {"type": "ingress", "ip_protocol": "tcp", "port_range": "3306/3306"},
  "after_unknown": {"security_group_id": true, "source_security_group_id": true, "prefix_list_id": true}}}],
 "prior_state": {"values": {"root_module": {"resources": [
  {"address": "alicloud_security_group_rule.kept", "mode": "managed", "type": "alicloud_security_group_rule", "values":
   {"security_group_id": "sg-1", "type": "egress", "ip_protocol": "all", "port_range": "-1/-1", "cidr_ip": "10.0.0.0/8", "policy": "drop"}}]}}},
 "configuration": {"root_module": {"resources": [
  {"address": "alicloud_security_group_rule.db", "expressions": {
   "security_group_id": {"references": ["alicloud_security_group.db.id", "alicloud_security_group.db"]},
   "source_security_group_id": {"references": ["alicloud_security_group.web.id", "alicloud_security_group.web"]}}}]}}}"#;

#[test]
fn a_plan_has_both_sides() {
    let files = [("plan.json", PLAN)];
    assert_snapshot!("plan_csv", convert(&files, &["plan.json", "--to", "csv"]));
    assert_snapshot!("plan_proposed", convert(&files, &["plan.json", "--to", "yaml"]));
    assert_snapshot!("plan_current", convert(&files, &["plan.json", "--to", "yaml", "--current"]));
    let dir = folder(&files);
    std::fs::copy(support::capture("story.pcap"), dir.path().join("story.pcap")).unwrap();
    let diff =
        |more: &[&str]| run_in(dir.path(), &[&["diff", "--plan", "plan.json"], more].concat(), b"");
    assert_snapshot!("plan_diff", diff(&[]));
    let asked = diff(&["story.pcap"]);
    assert!(asked.starts_with("status 2") && asked.contains("--groups"), "{asked}");
    let sg_1 = ["story.pcap", "--groups", "sg-1", "--fail-on", "newly-denied", "-f", "json"];
    let traffic = diff(&sg_1);
    assert!(
        traffic.starts_with("status 1") && traffic.contains("\"newly_denied\": 4"),
        "{traffic}"
    );
    let both = diff(&["--current", "plan.json"]);
    assert!(both.starts_with("status 2"), "{both}");
}

#[test]
fn mistakes_are_named() {
    let csv = |text: &str| convert(&[("x.json", text)], &["x.json", "--to", "csv"]);
    let row = |more: &str| {
        csv(&format!(
            r#"[{{"Direction": "ingress", "IpProtocol": "TCP", "PortRange": "22/22", {more}}}]"#
        ))
    };
    assert_snapshot!(
        "incomplete",
        csv(&GROUP.replace(r#""NextToken": """#, r#""NextToken": "abc""#))
    );
    assert_snapshot!("no peer", row(r#""SourceCidrIp": """#));
    assert_snapshot!("two peers", row(r#""SourceCidrIp": "10.0.0.0/8", "SourceGroupId": "sg-a""#));
    assert_snapshot!("of the wrong kind", row(r#""SourceCidrIp": ["10.0.0.0/8"], "Priority": {}"#));
    assert_snapshot!("other JSON", csv(r#"{"hello": "world"}"#));
    assert_snapshot!("no rules", csv(GROUPS));
    assert_snapshot!(
        "damaged JSON",
        csv(r#"{"SecurityGroupId": "sg-a", "Permissions": {"Permission": [}"#)
    );
    assert_snapshot!(
        "XML",
        csv("<?xml version=\"1.0\"?><DescribeSecurityGroupAttributeResponse/>")
    );
    assert_snapshot!(
        "no groups in the plan",
        csv(r#"{"format_version": "1.2", "resource_changes": []}"#)
    );
    let refused = PLAN.replace(
        r#""port_range": "22/22", "cidr_ip": "203"#,
        r#""port_range": "-1/-1", "cidr_ip": "203"#,
    );
    assert_snapshot!("refused", convert(&[("p.json", &refused)], &["p.json", "--to", "yaml"]));
    let unresolved = GROUP.replace("prl-1", "prl-9");
    assert_snapshot!(
        "unresolved",
        convert(&[("x.json", &unresolved)], &["x.json", "--to", "yaml"])
    );
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(csv(&deep).starts_with("status 2"), "no depth of JSON overflows the stack");
}

/// Our own file, as the cloud would say it, and back: the same packets, by the exact difference.
#[test]
fn there_and_back() {
    let mut runner = TestRunner::deterministic();
    let mut texts: Vec<String> = (0..60)
        .map(|n| {
            let (rules, _) = proposals().new_tree(&mut runner).unwrap().current();
            file(&rules, ["basic", "enterprise"][n % 2])
        })
        .collect();
    for name in ["current.yaml", "proposed.yaml", "fixed.yaml", "two-instances.yaml"] {
        texts.push(std::fs::read_to_string(support::capture(name)).unwrap());
    }
    for text in texts {
        let before = rules(&text);
        let answers = alibaba_json(&before).unwrap();
        let after = read(&serde_json::to_string(&answers).unwrap());
        assert_eq!(diff::regions(&before, &after), Ok(Vec::new()), "{text}");
        assert_eq!(diff::regions(&after, &before), Ok(Vec::new()), "{text}");
        assert_eq!(before.interfaces(), after.interfaces());
    }
}

fn read(text: &str) -> RuleSet {
    let source = Source { name: "answers.json", text };
    let Content::Rules(loaded) = load(&[source], &LoadOptions::default()).unwrap() else {
        panic!("no answers: {text}");
    };
    loaded.rule_set("answers.json", &LoadOptions::default()).unwrap().0
}

#[test]
fn for_others() {
    let dir = support::capture("");
    let to = |to: &str, more: &[&str]| {
        run_in(&dir, &[&["convert", "proposed.yaml", "--to", to], more].concat(), b"")
    };
    assert_snapshot!("terraform", to("terraform", &[]));
    assert_snapshot!("nftables", to("nftables", &[]));
    assert_snapshot!("iptables", to("iptables", &[]));
    assert_snapshot!("markdown", to("markdown", &[]));
    assert_snapshot!("bpf", to("bpf", &["--local", "10.0.0.5"]));
    assert_snapshot!("bpf without an address", to("bpf", &[]));
    let two = run_in(&dir, &["convert", "two-instances.yaml", "--to", "nftables"], b"");
    assert!(two.contains("name it with --interface: eni-server, eni-peer"), "{two}");
    let quintuple =
        "{security_groups: [{id: sg-a, rules: [{direction: ingress, protocol: tcp, ports: 22,
        source: 10.0.0.0/8, source_ports: 1024/65535}]}]}";
    let text = convert(&[("q.yaml", quintuple)], &["q.yaml", "--to", "terraform"]);
    assert_snapshot!("no source ports in terraform", text);
}

/// The kernel takes what is written for it.
#[test]
fn nft_takes_the_table() {
    let usable = Command::new("unshare").args(["-rn", "nft", "list", "ruleset"]).output();
    if !usable.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: nft cannot be run in a namespace of its own");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut runner = TestRunner::deterministic();
    for n in 0..12 {
        let text = match n {
            0 => std::fs::read_to_string(support::capture("proposed.yaml")).unwrap(),
            _ => file(&proposals().new_tree(&mut runner).unwrap().current().0, "basic"),
        };
        std::fs::write(dir.path().join("rules.yaml"), text).unwrap();
        let (status, table, err) =
            output_in(dir.path(), &["convert", "rules.yaml", "--to", "nftables"], b"");
        assert_eq!(status, 0, "{err}");
        std::fs::write(dir.path().join("table.nft"), table).unwrap();
        let nft = Command::new("unshare")
            .args(["-rn", "nft", "-f"])
            .arg(dir.path().join("table.nft"))
            .output();
        let nft = nft.unwrap();
        assert!(nft.status.success(), "{}", String::from_utf8_lossy(&nft.stderr));
    }
}

/// The rule sets of `captures/`, and so many random ones about the captures' addresses.
pub(crate) fn rule_sets(random: usize) -> Vec<String> {
    let mut runner = TestRunner::deterministic();
    let mut texts: Vec<String> = ["current.yaml", "proposed.yaml", "fixed.yaml"]
        .map(|name| std::fs::read_to_string(support::capture(name)).unwrap())
        .to_vec();
    for _ in 0..random {
        // The random rules' few networks, moved to where the captures' addresses are.
        let (rules, _) = proposals().new_tree(&mut runner).unwrap().current();
        let moved = rules.iter().map(|rule| {
            rule.replace("10.0.0.0/30", "203.0.113.0/24")
                .replace("10.0.0.1", "198.51.100.7")
                .replace("10.0.0.2/31", "10.0.0.0/29")
        });
        let unique: BTreeSet<String> = moved.collect();
        texts.push(file(&unique.into_iter().collect::<Vec<_>>(), "basic"));
    }
    texts
}

/// The instance's addresses in the captures.
pub(crate) fn local() -> Vec<ipnet::IpNet> {
    ["10.0.0.5/32", "2001:db8:a::5/128"].map(|net| net.parse().unwrap()).to_vec()
}

/// tcpdump with the filter that `convert` writes finds the packets that are denied: every capture by several
/// rule sets.
#[test]
fn tcpdump_finds_what_is_denied() {
    if Command::new("tcpdump").arg("--version").output().is_err() {
        println!("SKIPPED: tcpdump is not installed, so no filter of `convert` was run");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (mut compared, mut denied) = (0, 0);
    for (n, text) in rule_sets(6).iter().enumerate() {
        let mut set = rules(text);
        set.set_local(local());
        let filter = bpf(&set, 0).unwrap();
        let rules_file = dir.path().join(format!("{n}.yaml"));
        std::fs::write(&rules_file, text).unwrap();
        for capture in support::captures() {
            let name = capture.file_name().unwrap().to_str().unwrap();
            // libpcap sees no ports behind a VLAN tag, nor in later fragments.
            if name.starts_with("vlan") || name.starts_with("fragments") {
                continue;
            }
            let (ours, theirs) = (dir.path().join("ours.pcap"), dir.path().join("theirs.pcap"));
            let args = [
                "replay",
                "--rules",
                rules_file.to_str().unwrap(),
                "--sessions",
                "off",
                "--local",
                "10.0.0.5,2001:db8:a::5",
                "--write-denied",
                ours.to_str().unwrap(),
                capture.to_str().unwrap(),
            ];
            let (status, _, err) = output_in(dir.path(), &args, b"");
            assert_eq!(status, 0, "{err}");
            let found = Command::new("tcpdump")
                .args(["-r", capture.to_str().unwrap(), "-w", theirs.to_str().unwrap(), &filter])
                .output()
                .unwrap();
            assert!(found.status.success(), "{filter}: {}", String::from_utf8_lossy(&found.stderr));
            let (ours, theirs) = (frames(&ours), frames(&theirs));
            assert_eq!(ours.len(), theirs.len(), "{name}: {filter}");
            assert_eq!(ours, theirs, "{name}: {filter}");
            compared += 1;
            denied += ours.len();
        }
    }
    println!("{compared} captures by rule sets: tcpdump finds the same {denied} denied packets");
    assert!(denied > 1000);
}

fn frames(path: &Path) -> Vec<Vec<u8>> {
    let (mut capture, mut found) = (Capture::open(path).unwrap(), Vec::new());
    while let Some(frame) = capture.next_frame().unwrap() {
        found.push(frame.data.to_vec());
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// No text makes a reader panic.
    #[test]
    fn any_json_is_read_or_refused(text in "[\\[\\]{}\",:a-zA-Z0-9 ]{0,80}", cut in 0_usize..2000) {
        let plan: String = PLAN.chars().take(cut).collect();
        let group: String = GROUP.chars().take(cut).chain(text.chars()).collect();
        for text in [&text, &plan, &group] {
            let source = Source { name: "x", text };
            let _ = load(&[source], &LoadOptions::default());
        }
    }
}

/// Terraform's own language: what is literal, and names for the rest.
mod hcl {
    use super::{assert_snapshot, convert, folder, rules, run_in};

    const MODULE: &str = r#"
variable "office" { default = "203.0.113.0/24" }
variable "vpc" {}
locals {
  web   = ["80/80", "443/443"]
  ports = toset(local.web)
}
resource "alicloud_security_group" "web" {
  vpc_id              = var.vpc
  inner_access_policy = "Drop"
}
resource "alicloud_security_group_rule" "web" {
  for_each          = local.ports
  type              = "ingress"
  ip_protocol       = "tcp"
  port_range        = each.value
  security_group_id = alicloud_security_group.web.id
  cidr_ip           = "0.0.0.0/0"
}
resource "alicloud_security_group_rule" "ssh" {
  count             = 1
  type              = "ingress"
  ip_protocol       = "tcp"
  port_range        = "22/22"
  priority          = 1 + count.index
  security_group_id = alicloud_security_group.web.id
  cidr_ip           = var.office
}
"#;

    const DB: &str = r#"
resource "alicloud_security_group" "db" { vpc_id = var.vpc }
resource "alicloud_security_group_rule" "db" {
  type                     = "ingress"
  ip_protocol              = "tcp"
  port_range               = "3306/3306"
  security_group_id        = alicloud_security_group.db.id
  source_security_group_id = alicloud_security_group.web.id
}
resource "alicloud_ecs_prefix_list" "office" {
  address_family = "IPv4"
  entry { cidr = "198.51.100.0/24" }
}
resource "alicloud_security_group_rule" "listed" {
  type              = "egress"
  ip_protocol       = "all"
  policy            = "drop"
  security_group_id = alicloud_security_group.db.id
  prefix_list_id    = alicloud_ecs_prefix_list.office.id
}
"#;

    #[test]
    fn a_module_is_read() {
        let files = [("main.tf", MODULE), ("db.tf", DB)];
        assert_snapshot!("hcl csv", convert(&files, &[".", "--to", "csv"]));
        let yaml = convert(&files, &[".", "--to", "yaml"]);
        let yaml = yaml.split("── stdout\n").nth(1).unwrap().split("── stderr").next().unwrap();
        assert_eq!(rules(yaml).groups().len(), 2);
    }

    /// An instance's attribute is called as the list in our own rules file is.
    #[test]
    fn an_instance_makes_no_rules_file_of_ours() {
        let instance = "resource \"alicloud_instance\" \"i\" {\n  private_ip = \"10.0.0.5\"\n  security_groups = [alicloud_security_group.web.id]\n}\n";
        let text = format!("{MODULE}{instance}");
        let yaml = convert(&[("main.tf", text.as_str())], &["main.tf", "--to", "yaml"]);
        assert!(yaml.starts_with("status 0") && yaml.contains("addresses: 10.0.0.5"), "{yaml}");
    }

    /// What Terraform writes of a rule set is read to the same.
    #[test]
    fn what_is_written_is_read() {
        let proposed = "../../captures/proposed.yaml";
        let proposed = crate::support::root().join("tests/it").join(proposed);
        let path = proposed.to_str().unwrap();
        let written = convert(&[], &[path, "--to", "terraform"]);
        let written =
            written.split("── stdout\n").nth(1).unwrap().split("── stderr").next().unwrap();
        let dir = folder(&[("main.tf", written)]);
        let args = ["convert", "main.tf", "--to", "yaml"];
        let out = run_in(dir.path(), &args, b"");
        assert!(out.starts_with("status 0"), "{out}\n{written}");
    }

    #[test]
    fn what_is_no_literal_is_named() {
        let other = r#"
resource "alicloud_security_group_rule" "me" {
  type              = "ingress"
  ip_protocol       = "tcp"
  port_range        = "1/1"
  cidr_ip           = data.http.me.body
  security_group_id = alicloud_security_group.web.id
}
resource "alicloud_security_group_rule" "many" { for_each = var.vpc }
module "more" { source = "x" }
"#;
        let text = format!("{MODULE}{other}");
        let files = [("main.tf", text.as_str())];
        assert_snapshot!("hcl not literal", convert(&files, &["main.tf", "--to", "csv"]));
        let args = ["main.tf", "--to", "csv", "--partial"];
        assert_snapshot!("hcl partial", convert(&files, &args));
        let broken = [("main.tf", "resource \"alicloud_security_group\" \"web\" {\n a = = \n}")];
        assert_snapshot!("hcl broken", convert(&broken, &["main.tf", "--to", "csv"]));
    }
}

/// Ids as other programs give them, in every place that has one.
fn odd_ids() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("web".to_owned()),
        Just("?alicloud_security_group.web".to_owned()),
        Just("sg-a, sg-b".to_owned()),
        Just("пример".to_owned()),
        Just("例".to_owned()),
        Just("pl-x".to_owned()),
        Just("tag:x".to_owned()),
        Just("10.0.0.0/8".to_owned()),
        Just("7".to_owned()),
        Just("no".to_owned()),
        Just("a/sg-b".to_owned()),
        "[ -~]{1,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A conversion keeps every id, or there is none.
    #[test]
    fn ids_survive_a_conversion(
        ids in prop::collection::btree_set(odd_ids(), 2..4),
        list in odd_ids(),
        rule in odd_ids(),
    ) {
        let ids: Vec<&String> = ids.iter().collect();
        let attribute = |id: &str, rows: serde_json::Value| {
            serde_json::json!({"SecurityGroupId": id, "VpcId": "v", "Permissions": {"Permission": rows}})
        };
        let rows = serde_json::json!([
            {"Direction": "ingress", "IpProtocol": "TCP", "PortRange": "22/22", "SourceGroupId": ids[1], "SecurityGroupRuleId": rule},
            {"Direction": "egress", "IpProtocol": "TCP", "PortRange": "443/443", "DestPrefixListId": list},
        ]);
        let lists = serde_json::json!({"PrefixListId": list, "AddressFamily": "IPv4", "Entries": {"Entry": [{"Cidr": "192.0.2.0/24"}]}});
        let answers = [attribute(ids[0], rows), attribute(ids[1], serde_json::json!([])), lists];
        let text: String = answers.iter().map(ToString::to_string).collect();
        let dir = folder(&[("all.json", &text)]);
        let (status, yaml, err) = output_in(dir.path(), &["convert", "all.json", "--to", "yaml"], b"");
        if status != 0 {
            prop_assert!(err.contains("sgreplay: error"), "{}", err);
            return Ok(());
        }
        let before = read(&text);
        let after = sgreplay::parse::yaml("x", &yaml).unwrap();
        prop_assert!(before.says_the_same(&after), "{}", yaml);
    }
}

/// The usual ids are written, the odd ones too.
#[test]
fn odd_ids_are_written() {
    let plan = PLAN.replace("sg-1", "例");
    let out = convert(&[("plan.json", &plan)], &["plan.json", "--to", "yaml"]);
    assert!(out.starts_with("status 0"), "{out}");
    assert!(
        out.contains("id: \"?alicloud_security_group.db\"")
            && out.contains("source: {group: \"例\"}"),
        "{out}"
    );
}

/// Conditions of a template are evaluated with its parameters' defaults, or named.
#[test]
fn conditions_of_a_template() {
    let ros = "ROSTemplateFormatVersion: '2015-09-01'
Parameters: {Env: {Type: String, Default: prod}, Office: {Type: String}, Port: {Type: Number, Default: 8080}}
Conditions:
  Prod: !Equals [!Ref Env, prod]
  Test: {'Fn::Not': [Prod]}
  Both: {'Fn::And': [Prod, {Condition: Test}]}
  Either: {'Fn::Or': [Prod, Test]}
  HasOffice: !Not [!Equals [!Ref Office, '']]
Resources:
  Web:
    Type: ALIYUN::ECS::SecurityGroup
    Properties:
      SecurityGroupIngress:
        - !If [Test, {IpProtocol: tcp, PortRange: 22/22, SourceCidrIp: 0.0.0.0/0}, !Ref ALIYUN::NoValue]
        - {IpProtocol: tcp, PortRange: !If [Either, !Join ['/', [!Ref Port, !Ref Port]], 80/80], SourceCidrIp: !If [Prod, 203.0.113.0/24, 0.0.0.0/0]}
        - {IpProtocol: tcp, PortRange: !Sub '${Port}/8090', SourceCidrIp: 198.51.100.0/24}
  Never:
    Type: ALIYUN::ECS::SecurityGroupIngress
    Condition: Both
    Properties: {SecurityGroupId: !Ref Web, IpProtocol: all, SourceCidrIp: 0.0.0.0/0}
";
    let table = |more: &str, args: &[&str]| {
        let text = format!("{ros}{more}");
        convert(&[("t.yaml", &text)], &[&["t.yaml", "--to", "csv"], args].concat())
    };
    let out = table("", &[]);
    assert!(out.contains(",6,203.0.113.0/24,,any,8080-8080,allow"), "{out}");
    assert!(out.contains(",6,198.51.100.0/24,,any,8080-8090,allow"), "{out}");
    assert!(!out.contains("22-22") && !out.contains(",all,"), "{out}");
    let out = table("", &["--param", "Env=test"]);
    assert!(out.contains("22-22") && out.contains(",6,0.0.0.0/0,,any,8080-8080"), "{out}");
    // A condition that nobody can evaluate is named, and its resource never taken for granted.
    let office = "  Rule:
    Type: ALIYUN::ECS::SecurityGroupIngress
    Condition: HasOffice
    Properties: {SecurityGroupId: !Ref Web, IpProtocol: tcp, PortRange: 22/22, SourceCidrIp: 192.0.2.0/24}
";
    let out = table(office, &[]);
    assert!(out.starts_with("status 2"), "{out}");
    assert!(out.contains("Rule.Condition: the condition `HasOffice`: the parameter Office has no default; --param Office=VALUE says it"), "{out}");
    assert!(table(office, &["--param", "Office=x"]).contains(",22-22,allow"));
    assert!(!table(office, &["--param", "Office="]).contains("192.0.2.0/24"));
    let partial = table(office, &["--partial"]);
    assert!(
        partial.starts_with("status 0") && partial.contains("left out: Rule.Condition"),
        "{partial}"
    );
    let circle =
        ros.replace("Both: {'Fn::And': [Prod, {Condition: Test}]}", "Both: {Condition: Both}");
    let out = convert(&[("t.yaml", &circle)], &["t.yaml", "--to", "csv"]);
    assert!(out.starts_with("status 2") && out.contains("in a circle"), "{out}");
}

/// A rule of a group that the file does not own, resources of another cloud: said, and no gate passes.
#[test]
fn rules_that_are_not_whole_pass_no_gate() {
    let owned = PLAN.replace(
        r#""address": "alicloud_security_group_rule.kept", "mode": "managed", "type": "alicloud_security_group_rule", "values":
   {"security_group_id": "sg-1""#,
        r#""address": "alicloud_security_group_rule.kept", "mode": "managed", "type": "alicloud_security_group_rule", "values":
   {"security_group_id": "sg-console""#,
    );
    assert_ne!(owned, PLAN);
    let mixed = PLAN.replacen(
        r#"{"address": "alicloud_security_group.db""#,
        r#"{"address": "aws_security_group.web", "type": "aws_security_group", "change": {"actions": ["create"], "before": null,
             "after": {"ingress": [{"cidr_blocks": ["0.0.0.0/0"], "from_port": 22, "to_port": 22, "protocol": "tcp"}]}}},
           {"address": "alicloud_security_group.db""#,
        1,
    );
    assert_ne!(mixed, PLAN);
    for (plan, word) in [
        (owned, "alicloud_security_group_rule.kept is a rule of sg-console"),
        (mixed, "aws_security_group.web"),
    ] {
        let dir = folder(&[
            ("plan.json", &plan),
            ("ci.yaml", "{plan: plan.json, fail_on: [new-error]}"),
            (
                "expected.yaml",
                "[{name: a, direction: egress, protocol: tcp, ports: 443, destination: 203.0.113.9, verdict: allow}]",
            ),
        ]);
        let run = |args: &[&str]| {
            let (status, out, err) = output_in(dir.path(), args, b"");
            assert!(err.contains(word), "{args:?}: {out}{err}");
            status
        };
        assert_eq!(run(&["check", "plan.json"]), 0);
        for gate in [
            &["check", "plan.json", "--fail-on", "error"][..],
            &["test", "plan.json", "expected.yaml"],
        ] {
            assert_eq!(run(gate), 2, "{gate:?}");
            assert_eq!(run(&[gate, &["--partial"]].concat()), 0, "{gate:?}");
        }
        assert_eq!(run(&["ci", "ci.yaml"]), 2);
        // What holds already holds.
        assert_eq!(run(&["diff", "--plan", "plan.json", "--fail-on", "newly-denied"]), 1);
    }
}
