//! Terraform of AWS, Azure and Google Cloud: plans, states and configurations, made up in the documented shapes.

use insta::assert_snapshot;

use crate::formats::folder;
use crate::support::{output_in, run_in};

fn run(files: &[(&str, &str)], args: &[&str]) -> String {
    let dir = folder(files);
    run_in(dir.path(), args, b"")
}

/// The table of a file, without its header.
fn table(name: &str, text: &str, args: &[&str]) -> String {
    let dir = folder(&[(name, text)]);
    let args = [&["convert", name, "--to", "csv"], args].concat();
    let (_, out, err) = output_in(dir.path(), &args, b"");
    let rows: Vec<&str> = out.lines().skip(1).collect();
    format!("{}\n{err}", rows.join("\n"))
}

fn verdict(name: &str, text: &str, direction: &str, src: &str, dst: &str, more: &[&str]) -> String {
    let args = [
        "explain",
        "--rules",
        name,
        "--direction",
        direction,
        "--proto",
        "tcp",
        "--src",
        src,
        "--dst",
        dst,
        "-f",
        "json",
    ];
    let out = run(&[(name, text)], &[&args[..], more].concat());
    let words = ["\"verdict\": \"allow\"", "\"verdict\": \"deny\""];
    let found = words
        .iter()
        .find(|word| out.lines().any(|line| line.starts_with("  ") && line.contains(**word)));
    found.map_or(out.clone(), |word| word.split('"').nth(3).unwrap().to_owned())
}

/// Groups with rules inside and beside them, of other groups, of lists, of themselves, and a network ACL: what is known
/// only later is named by the attribute, and judged by what the configuration refers to.
const AWS: &str = r#"{"format_version": "1.2", "resource_changes": [
 {"address": "aws_security_group.web", "mode": "managed", "type": "aws_security_group", "change": {"actions": ["create"], "before": null,
  "after": {"name": "web", "vpc_id": "vpc-1",
   "ingress": [
    {"from_port": 443, "to_port": 443, "protocol": "tcp", "cidr_blocks": ["0.0.0.0/0"], "ipv6_cidr_blocks": ["::/0"], "prefix_list_ids": [], "security_groups": [], "self": false, "description": "web"},
    {"from_port": 22, "to_port": 22, "protocol": "TCP", "cidr_blocks": [], "ipv6_cidr_blocks": [], "prefix_list_ids": [null], "security_groups": [null], "self": true, "description": ""},
    {"from_port": 8, "to_port": -1, "protocol": "icmp", "cidr_blocks": ["10.0.0.0/8"], "security_groups": [], "self": false},
    {"from_port": 0, "to_port": 0, "protocol": "-1", "cidr_blocks": [], "security_groups": [], "self": false}]},
  "after_unknown": {"id": true, "egress": true, "ingress": [{"cidr_blocks": [false]}, {"prefix_list_ids": [true], "security_groups": [true]}, {}, {}]}}},
 {"address": "aws_security_group.jump", "mode": "managed", "type": "aws_security_group", "change": {"actions": ["create"], "before": null,
  "after": {"name": "jump"}, "after_unknown": {"id": true, "ingress": true, "egress": true}}},
 {"address": "aws_ec2_managed_prefix_list.office", "mode": "managed", "type": "aws_ec2_managed_prefix_list", "change": {"actions": ["create"], "before": null,
  "after": {"entry": [{"cidr": "203.0.113.0/28"}]}, "after_unknown": {"id": true}}},
 {"address": "aws_ec2_managed_prefix_list_entry.more", "mode": "managed", "type": "aws_ec2_managed_prefix_list_entry", "change": {"actions": ["create"], "before": null,
  "after": {"cidr": "198.51.100.64/26"}, "after_unknown": {"prefix_list_id": true}}},
 {"address": "aws_security_group_rule.out", "mode": "managed", "type": "aws_security_group_rule", "change": {"actions": ["create"], "before": null,
  "after": {"type": "egress", "from_port": 5432, "to_port": 5432, "protocol": "tcp", "cidr_blocks": null, "self": false},
  "after_unknown": {"security_group_id": true, "source_security_group_id": true, "id": true}}},
 {"address": "aws_security_group_rule.mesh", "mode": "managed", "type": "aws_security_group_rule", "change": {"actions": ["create"], "before": null,
  "after": {"type": "ingress", "from_port": 0, "to_port": 65535, "protocol": "all", "self": true},
  "after_unknown": {"security_group_id": true, "source_security_group_id": true}}},
 {"address": "aws_vpc_security_group_egress_rule.far", "mode": "managed", "type": "aws_vpc_security_group_egress_rule", "change": {"actions": ["create"], "before": null,
  "after": {"security_group_id": "sg-0123", "ip_protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_ipv4": "0.0.0.0/0", "referenced_security_group_id": null}}},
 {"address": "aws_network_acl.a", "mode": "managed", "type": "aws_network_acl", "change": {"actions": ["create"], "before": null,
  "after": {"ingress": [{"rule_no": 100, "action": "allow", "protocol": "6", "cidr_block": "0.0.0.0/0", "ipv6_cidr_block": "", "from_port": 443, "to_port": 443, "icmp_type": 0, "icmp_code": 0}]},
  "after_unknown": {"id": true, "subnet_ids": true, "ingress": [{}]}}},
 {"address": "aws_network_acl_rule.icmp", "mode": "managed", "type": "aws_network_acl_rule", "change": {"actions": ["create"], "before": null,
  "after": {"rule_number": 50, "egress": true, "rule_action": "deny", "protocol": "icmp", "cidr_block": "10.0.0.0/8", "ipv6_cidr_block": null, "icmp_type": 8, "icmp_code": -1},
  "after_unknown": {"network_acl_id": true}}},
 {"address": "aws_subnet.a", "mode": "managed", "type": "aws_subnet", "change": {"actions": ["create"], "before": null, "after": {"cidr_block": "10.0.1.0/24"}, "after_unknown": {"id": true}}},
 {"address": "aws_instance.web", "mode": "managed", "type": "aws_instance", "change": {"actions": ["create"], "before": null,
  "after": {"private_ip": "10.0.1.20"}, "after_unknown": {"id": true, "subnet_id": true, "vpc_security_group_ids": true}}},
 {"address": "data.aws_security_group.other", "mode": "data", "type": "aws_security_group", "change": {"actions": ["read"], "before": null, "after": {"name": "x"}}}],
 "configuration": {"root_module": {"resources": [
  {"address": "aws_security_group.web", "expressions": {"ingress": {"references": ["aws_ec2_managed_prefix_list.office.id", "aws_ec2_managed_prefix_list.office", "aws_security_group.jump.id", "aws_security_group.jump"]}}},
  {"address": "aws_ec2_managed_prefix_list_entry.more", "expressions": {"prefix_list_id": {"references": ["aws_ec2_managed_prefix_list.office.id", "aws_ec2_managed_prefix_list.office"]}}},
  {"address": "aws_security_group_rule.out", "expressions": {"security_group_id": {"references": ["aws_security_group.web.id", "aws_security_group.web"]},
   "source_security_group_id": {"references": ["aws_security_group.jump.id", "aws_security_group.jump"]}}},
  {"address": "aws_security_group_rule.mesh", "expressions": {"security_group_id": {"references": ["aws_security_group.jump.id", "aws_security_group.jump"]}, "self": {"constant_value": true}}},
  {"address": "aws_network_acl.a", "expressions": {"subnet_ids": {"references": ["aws_subnet.a.id", "aws_subnet.a"]}}},
  {"address": "aws_network_acl_rule.icmp", "expressions": {"network_acl_id": {"references": ["aws_network_acl.a.id", "aws_network_acl.a"]}}},
  {"address": "aws_instance.web", "expressions": {"subnet_id": {"references": ["aws_subnet.a.id", "aws_subnet.a"]},
   "vpc_security_group_ids": {"references": ["aws_security_group.web.id", "aws_security_group.web"]}}}]}}}"#;

#[test]
fn a_plan_of_aws() {
    assert_snapshot!("aws plan", table("p.json", AWS, &[]));
    // Both layers, the second of which stands at the instance's subnet.
    let judge = |direction, src, dst| verdict("p.json", AWS, direction, src, dst, &[]);
    assert_eq!(judge("ingress", "192.0.2.9:40000", "10.0.1.20:443"), "allow");
    assert_eq!(judge("ingress", "203.0.113.5:40000", "10.0.1.20:22"), "deny");
    assert_eq!(judge("ingress", "10.0.1.9:40000", "10.0.1.20:443"), "allow");
    assert_eq!(judge("egress", "10.0.1.20:40000", "192.0.2.9:443"), "deny");
    // The rule of a group that the plan does not own is said, and no gate passes.
    let check = run(&[("p.json", AWS)], &["check", "p.json", "--fail-on", "error"]);
    assert!(
        check.starts_with("status 2")
            && check.contains("a rule of sg-0123, a group that the file does not have"),
        "{check}"
    );
}

/// What nobody can say before the plan is applied is named with what it can be; `--partial` leaves it out.
#[test]
fn what_is_known_only_later() {
    let several = AWS.replace(
        r#""aws_security_group.jump.id", "aws_security_group.jump"]}}},
  {"address": "aws_ec2_managed_prefix_list_entry"#,
        r#""aws_security_group.jump.id", "aws_security_group.jump", "aws_security_group.web.id", "aws_security_group.web"]}}},
  {"address": "aws_ec2_managed_prefix_list_entry"#,
    );
    assert_ne!(several, AWS);
    let port = several.replace(
        r#""from_port": 5432, "to_port": 5432, "protocol": "tcp", "cidr_blocks": null, "self": false},
  "after_unknown": {"#,
        r#""protocol": "tcp", "cidr_blocks": null, "self": false},
  "after_unknown": {"from_port": true, "to_port": true, "#,
    );
    let port = port.replace(
        r#""source_security_group_id": {"references""#,
        r#""from_port": {"references": ["var.port"]}, "source_security_group_id": {"references""#,
    );
    assert_ne!(port, several);
    assert_snapshot!("only later", run(&[("p.json", &port)], &["check", "p.json"]));
    let partial =
        run(&[("p.json", &port)], &["check", "p.json", "--partial", "--fail-on", "error"]);
    assert!(
        partial.contains("left out: aws_security_group.web.ingress[1]: security_groups"),
        "{partial}"
    );
    assert!(partial.starts_with("status 0"), "{partial}");
    // A group that only a variable names is no other group.
    let var = AWS.replace(
        r#"{"address": "aws_security_group_rule.mesh", "expressions": {"security_group_id": {"references": ["aws_security_group.jump.id", "aws_security_group.jump"]}"#,
        r#"{"address": "aws_security_group_rule.mesh", "expressions": {"security_group_id": {"references": ["var.group"]}"#,
    );
    assert_ne!(var, AWS);
    let out = run(&[("p.json", &var)], &["check", "p.json"]);
    assert!(
        out.starts_with("status 2")
            && out.contains("aws_security_group_rule.mesh: security_group_id is known only after"),
        "{out}"
    );
}

/// Of a group with many instances, a rule is of the one with its own key, or of none that anybody could name; modules
/// hand groups in by variables and out by outputs.
#[test]
fn references_lead_through_modules() {
    let plan = |rules: &str, configuration: &str| {
        format!(
            r#"{{"format_version": "1.2", "resource_changes": [
 {{"address": "module.net[\"a.b\"].aws_security_group.this[\"x\"]", "type": "aws_security_group", "change": {{"actions": ["create"], "before": null, "after": {{"name": "x"}}, "after_unknown": {{"id": true}}}}}},
 {{"address": "module.net[\"a.b\"].aws_security_group.this[\"y\"]", "type": "aws_security_group", "change": {{"actions": ["create"], "before": null, "after": {{"name": "y"}}, "after_unknown": {{"id": true}}}}}},
 {{"address": "aws_security_group.root", "type": "aws_security_group", "change": {{"actions": ["create"], "before": null, "after": {{"name": "r"}}, "after_unknown": {{"id": true}}}}}},
 {rules}], "configuration": {{"root_module": {configuration}}}}}"#
        )
    };
    let rule = |address: &str| {
        format!(
            r#"{{"address": "{address}", "type": "aws_vpc_security_group_ingress_rule", "change": {{"actions": ["create"], "before": null,
             "after": {{"ip_protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_ipv4": "10.0.0.0/8"}}, "after_unknown": {{"security_group_id": true}}}}}}"#
        )
    };
    let configured = |refers: &str, root: &str| {
        format!(
            r#"{{"resources": [{root}], "module_calls": {{"net": {{"expressions": {{"group": {{"references": ["aws_security_group.root.id", "aws_security_group.root"]}}}},
             "module": {{"outputs": {{"sg": {{"expression": {{"references": ["aws_security_group.this"]}}}}}},
              "resources": [{{"address": "aws_vpc_security_group_ingress_rule.r", "expressions": {{"security_group_id": {{"references": {refers}}}}}}}]}}}}}}}}"#
        )
    };
    let group = |rules: &str, configuration: &str| {
        let out = table("p.json", &plan(rules, configuration), &[]);
        out.lines().next().unwrap_or_default().to_owned()
    };
    let own = r#"["aws_security_group.this", "each.key"]"#;
    let keyed = rule("module.net[\\\"a.b\\\"].aws_vpc_security_group_ingress_rule.r[\\\"y\\\"]");
    let found = group(&keyed, &configured(own, ""));
    assert!(found.contains(r#"?module.net[""a.b""].aws_security_group.this[""y""]"#), "{found}");
    let other = rule("module.net[\\\"a.b\\\"].aws_vpc_security_group_ingress_rule.r[\\\"z\\\"]");
    let found = group(&other, &configured(own, ""));
    assert!(found.starts_with("proposed,?security_group_id,"), "{found}");
    let found = group(&other, &configured(r#"["var.group"]"#, ""));
    assert!(found.starts_with("proposed,?aws_security_group.root,"), "{found}");
    let outside = rule("aws_vpc_security_group_ingress_rule.o[\\\"x\\\"]");
    let root = r#"{"address": "aws_vpc_security_group_ingress_rule.o", "expressions": {"security_group_id": {"references": ["module.net[\"a.b\"].sg", "module.net[\"a.b\"]", "each.key"]}}}"#;
    let found = group(&outside, &configured(own, root));
    assert!(found.contains(r#"?module.net[""a.b""].aws_security_group.this[""x""]"#), "{found}");
    // Which index another expression comes to, nobody can say.
    let found = group(&outside, &configured(own, &root.replace("each.key", "each.value")));
    assert!(found.starts_with("proposed,?security_group_id,"), "{found}");
}

/// Deleted, replaced, moved, forgotten, left alone: what holds before and after.
#[test]
fn both_sides_of_a_change() {
    let plan = r#"{"format_version": "1.1", "complete": false, "resource_changes": [
 {"address": "aws_security_group.new", "previous_address": "aws_security_group.old", "type": "aws_security_group", "change": {"actions": ["delete", "create"],
  "before": {"id": "sg-1", "name": "a", "ingress": [{"from_port": 22, "to_port": 22, "protocol": "tcp", "cidr_blocks": ["0.0.0.0/0"]}], "egress": []},
  "after": {"name": "b", "ingress": [{"from_port": 22, "to_port": 22, "protocol": "tcp", "cidr_blocks": ["10.0.0.0/8"]}]}, "after_unknown": {"id": true}}},
 {"address": "aws_security_group_rule.gone", "type": "aws_security_group_rule", "change": {"actions": ["delete"],
  "before": {"security_group_id": "sg-2", "type": "egress", "from_port": 0, "to_port": 0, "protocol": "-1", "cidr_blocks": ["0.0.0.0/0"], "self": false}, "after": null}},
 {"address": "aws_security_group_rule.left", "type": "aws_security_group_rule", "change": {"actions": ["forget"],
  "before": {"security_group_id": "sg-2", "type": "ingress", "from_port": 1, "to_port": 2, "protocol": "udp", "cidr_blocks": ["0.0.0.0/0"], "self": false}, "after": null}}],
 "prior_state": {"values": {"root_module": {"resources": [
  {"address": "aws_security_group.old", "mode": "managed", "type": "aws_security_group", "values": {"id": "sg-1", "ingress": [], "egress": []}},
  {"address": "aws_security_group.two", "mode": "managed", "type": "aws_security_group", "values": {"id": "sg-2", "name": "two", "ingress": [{"from_port": 80, "to_port": 80, "protocol": "tcp", "security_groups": ["a"]}], "egress": []}}]}}}}"#;
    assert_snapshot!("both sides", table("p.json", plan, &[]));
    // The group that is replaced is compared with itself.
    assert_snapshot!("replaced", run(&[("p.json", plan)], &["diff", "--plan", "p.json"]));
    let ci = [("p.json", plan), ("ci.yaml", "{plan: p.json, fail_on: [newly-denied]}")];
    assert!(run(&ci, &["ci", "ci.yaml"]).starts_with("status 1"));
}

const AZURE: &str = r#"{"version": 4, "lineage": "x", "resources": [
 {"mode": "managed", "type": "azurerm_network_security_group", "name": "web", "instances": [{"attributes": {
  "id": "/subscriptions/0/resourceGroups/RG/providers/Microsoft.Network/networkSecurityGroups/nsg-web", "name": "nsg-web", "resource_group_name": "RG",
  "security_rule": [{"name": "ssh", "priority": 100, "direction": "Inbound", "access": "Allow", "protocol": "Tcp", "source_address_prefix": "*", "source_address_prefixes": [],
   "destination_address_prefix": "*", "source_port_range": "*", "destination_port_range": "22", "destination_port_ranges": []}]}}]},
 {"mode": "managed", "type": "azurerm_network_security_rule", "name": "pg", "instances": [{"index_key": 0, "attributes": {
  "name": "pg", "network_security_group_name": "nsg-db", "resource_group_name": "rg", "priority": 200, "direction": "Inbound", "access": "Allow", "protocol": "TCP",
  "source_application_security_group_ids": ["/subscriptions/0/resourceGroups/rg/providers/Microsoft.Network/applicationSecurityGroups/asg-app"], "source_address_prefix": "",
  "destination_address_prefixes": ["10.1.0.0/24", "10.2.0.4-10.2.0.5"], "source_port_range": "*", "destination_port_ranges": ["5432", "6000-6010"]}}]},
 {"module": "module.m", "mode": "managed", "type": "azurerm_network_security_group", "name": "db", "instances": [{"index_key": "b", "attributes": {
  "id": "/subscriptions/0/resourceGroups/rg/providers/Microsoft.Network/networkSecurityGroups/nsg-db", "name": "nsg-db", "resource_group_name": "rg", "security_rule": []}}]},
 {"mode": "managed", "type": "azurerm_subnet_network_security_group_association", "name": "s", "instances": [{"attributes": {
  "subnet_id": "/subscriptions/0/s1", "network_security_group_id": "/subscriptions/0/resourceGroups/rg/providers/Microsoft.Network/networkSecurityGroups/nsg-web"}}]},
 {"mode": "managed", "type": "azurerm_network_interface", "name": "n", "instances": [{"attributes": {"id": "/subscriptions/0/nics/n", "name": "nic-n", "resource_group_name": "rg",
  "private_ip_addresses": ["10.1.0.5"], "ip_configuration": [{"private_ip_address": "10.1.0.5", "subnet_id": "/subscriptions/0/S1"}]}}]},
 {"mode": "managed", "type": "azurerm_network_interface_security_group_association", "name": "n", "instances": [{"attributes": {
  "network_interface_id": "/subscriptions/0/nics/n", "network_security_group_id": "/subscriptions/0/resourceGroups/rg/providers/Microsoft.Network/networkSecurityGroups/nsg-db"}}]}]}"#;

const TAGS: [&str; 6] = [
    "--define",
    "VirtualNetwork=10.0.0.0/8",
    "--define",
    "Internet=203.0.113.0/24",
    "--define",
    "asg-app=10.9.0.0/24",
];

#[test]
fn a_state_of_azure() {
    assert_snapshot!("azure state", table("x.tfstate", AZURE, &[]));
    // The subnet's group and the interface's own are layers; the default rules are in no state.
    let judge = |src, dst| verdict("x.tfstate", AZURE, "ingress", src, dst, &TAGS);
    assert_eq!(judge("203.0.113.9:40000", "10.1.0.5:22"), "deny");
    assert_eq!(judge("10.9.0.7:40000", "10.1.0.5:5432"), "allow");
    assert_eq!(judge("203.0.113.9:40000", "10.1.0.5:5432"), "deny");
    let groups =
        AZURE.split(" {\"mode\": \"managed\", \"type\": \"azurerm_subnet_network").next().unwrap();
    let groups = format!("{}]}}", groups.trim_end().trim_end_matches(','));
    let alone = |port: &str| {
        let more = [&TAGS[..], &["--groups", "nsg-web"]].concat();
        verdict(
            "x.tfstate",
            &groups,
            "ingress",
            "203.0.113.9:40000",
            &format!("10.1.0.5:{port}"),
            &more,
        )
    };
    assert_eq!([alone("22"), alone("23")], ["allow", "deny"]);
}

const GOOGLE: &str = r#"{"format_version": "1.0", "values": {"root_module": {"resources": [
 {"address": "google_compute_firewall.web", "mode": "managed", "type": "google_compute_firewall", "values": {"name": "web", "network": "https://www.googleapis.com/compute/v1/projects/p/global/networks/net",
  "direction": "INGRESS", "priority": 900, "allow": [{"protocol": "tcp", "ports": ["80", "8000-8080"]}, {"protocol": "icmp", "ports": []}], "deny": [], "source_ranges": ["0.0.0.0/0"], "target_tags": ["web"], "disabled": false}},
 {"address": "google_compute_firewall.off", "mode": "managed", "type": "google_compute_firewall", "values": {"name": "off", "network": "net", "priority": 1000,
  "allow": [{"protocol": "all"}], "source_tags": ["app"], "disabled": true}},
 {"address": "google_compute_instance.vm", "mode": "managed", "type": "google_compute_instance", "values": {"name": "vm", "zone": "z", "tags": ["web"], "network_interface": [{"network": "net", "network_ip": "10.0.0.5"}]}}]}}}"#;

#[test]
fn a_state_of_google() {
    assert_snapshot!("google state", table("s.json", GOOGLE, &[]));
    let judge = |dst| verdict("s.json", GOOGLE, "ingress", "203.0.113.9:40000", dst, &[]);
    assert_eq!([judge("10.0.0.5:80"), judge("10.0.0.5:22")], ["allow", "deny"]);
    let policy = GOOGLE.replace(
        "\"google_compute_firewall\", \"values\": {\"name\": \"off\"",
        "\"google_compute_network_firewall_policy_rule\", \"values\": {\"name\": \"off\"",
    );
    assert_ne!(policy, GOOGLE);
    let out = run(&[("s.json", &policy)], &["check", "s.json"]);
    assert!(
        out.starts_with("status 2")
            && out.contains("google_compute_firewall.off: firewall policies stand above"),
        "{out}"
    );
}

/// Rules of several clouds are no rule set: it is asked whose are meant, and what is left out is said.
#[test]
fn several_clouds_in_one_plan() {
    let both = AWS.replacen(
        "\"resource_changes\": [",
        "\"resource_changes\": [{\"address\": \"google_compute_firewall.x\", \"type\": \"google_compute_firewall\", \"change\": {\"actions\": [\"create\"], \"before\": null,
          \"after\": {\"name\": \"x\", \"network\": \"n\", \"allow\": [{\"protocol\": \"tcp\", \"ports\": [\"22\"]}], \"source_ranges\": [\"10.0.0.0/8\"]}}},",
        1,
    );
    let asked = run(&[("p.json", &both)], &["check", "p.json"]);
    assert!(asked.starts_with("status 2") && asked.contains("--cloud says whose"), "{asked}");
    let google =
        run(&[("p.json", &both)], &["check", "p.json", "--cloud", "google", "--fail-on", "error"]);
    assert!(
        google.starts_with("status 2")
            && google.contains("resources of other clouds are left out: aws_"),
        "{google}"
    );
    let ci = [
        ("p.json", both.as_str()),
        ("ci.yaml", "{proposed: p.json, cloud: google, partial: true, fail_on: [error]}"),
    ];
    let out = run(&ci, &["ci", "ci.yaml"]);
    let left_out = "resources of other clouds are left out: aws_";
    assert!(out.starts_with("status 0") && out.contains(left_out), "{out}");
}

/// The language itself: blocks, blocks made of lists, references, and what has no value.
#[test]
fn configurations_of_each_cloud() {
    let aws = r#"
variable "ports" { default = [80, 443] }
locals { office = "203.0.113.0/24" }
resource "aws_security_group" "web" {
  name   = "web"
  vpc_id = var.vpc
  dynamic "ingress" {
    for_each = var.ports
    content {
      from_port   = ingress.value
      to_port     = ingress.value
      protocol    = "tcp"
      cidr_blocks = ["0.0.0.0/0"]
    }
  }
  ingress {
    from_port       = 22
    to_port         = 22
    protocol        = "tcp"
    security_groups = [aws_security_group.jump["a"].id, "sg-0123"]
    self            = true
  }
}
resource "aws_security_group" "jump" {
  for_each = toset(["a", "b"])
  name     = each.key
}
resource "aws_vpc_security_group_ingress_rule" "jump" {
  for_each          = aws_security_group.jump
  security_group_id = each.value.id
  ip_protocol       = "tcp"
  from_port         = 22
  to_port           = 22
  cidr_ipv4         = local.office
}
"#;
    assert_snapshot!(
        "aws hcl",
        table(
            "main.tf",
            &aws.replace("aws_security_group.jump\n", "toset([\"a\", \"b\"])\n")
                .replace("each.value.id", "aws_security_group.jump[each.key].id"),
            &[]
        )
    );
    let azure = r#"
resource "azurerm_network_security_group" "db" {
  name                = "nsg-db"
  resource_group_name = var.group
  security_rule {
    name                       = "no"
    priority                   = 4000
    direction                  = "Outbound"
    access                     = "Deny"
    protocol                   = "*"
    source_address_prefix      = "*"
    source_port_range          = "*"
    destination_address_prefix = "Internet"
    destination_port_range     = "*"
  }
}
resource "azurerm_network_security_rule" "pg" {
  name                         = "pg"
  network_security_group_name  = azurerm_network_security_group.db.name
  resource_group_name          = var.group
  priority                     = 200
  direction                    = "Inbound"
  access                       = "Allow"
  protocol                     = "Tcp"
  source_address_prefixes      = ["10.1.0.0/24", "10.2.0.0/24"]
  source_port_range            = "*"
  destination_address_prefix   = "*"
  destination_port_range       = "5432"
}
"#;
    assert_snapshot!("azure hcl", table("main.tf", azure, &[]));
    let google = r#"
resource "google_compute_network" "net" { name = "net" }
resource "google_compute_firewall" "web" {
  name    = "web"
  network = google_compute_network.net.name
  allow {
    protocol = "tcp"
    ports    = ["80", "443"]
  }
  source_ranges = ["0.0.0.0/0"]
}
"#;
    assert_snapshot!("google hcl", table("main.tf", google, &[]));
    let unknown = google.replace("[\"0.0.0.0/0\"]", "data.google_x.y.ranges");
    let out = run(&[("main.tf", &unknown)], &["check", "main.tf"]);
    assert!(
        out.starts_with("status 2")
            && out.contains(
                "google_compute_firewall.web.source_ranges: `data.google_x.y.ranges` is no literal"
            ),
        "{out}"
    );
}

/// A prefix list that the files do not have: the message names the command that prints it, and --define stands for it.
#[test]
fn prefix_lists_are_defined_beside_the_files() {
    let groups = r#"{"SecurityGroups": [{"GroupId": "sg-1", "VpcId": "vpc-1", "IpPermissionsEgress": [], "IpPermissions": [
      {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "PrefixListIds": [{"PrefixListId": "pl-0123"}]}]}]}"#;
    let missing = run(&[("groups.json", groups)], &["check", "groups.json"]);
    let command = "aws ec2 get-managed-prefix-list-entries --prefix-list-id pl-0123 > pl-0123.json";
    assert!(missing.starts_with("status 2") && missing.contains(command), "{missing}");
    let define = ["--define", "pl-0123=198.51.100.0/24"];
    let judge = |src| verdict("groups.json", groups, "ingress", src, "10.0.0.5:443", &define);
    assert_eq!([judge("198.51.100.9:40000"), judge("203.0.113.9:40000")], ["allow", "deny"]);
}
