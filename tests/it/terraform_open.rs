//! What a plan, a state or a configuration leaves open: no gate passes on it, and the message names the resource.
#![expect(clippy::needless_pass_by_value, reason = "values are written where they are passed")]

use serde_json::{Map, Value, json};

use crate::formats::folder;
use crate::support::run_in;

/// A resource before and after the plan, and what is known only after it was applied.
fn change(address: &str, before: Value, after: Value, unknown: Value) -> Value {
    let actions = match (before.is_null(), after.is_null()) {
        (true, _) => "create",
        (_, true) => "delete",
        _ => "update",
    };
    json!({"address": address, "mode": "managed", "type": kind(address),
        "change": {"actions": [actions], "before": before, "after": after, "after_unknown": unknown}})
}

fn kind(address: &str) -> &str {
    address.split('.').rev().nth(1).unwrap()
}

fn made(address: &str, after: Value, unknown: Value) -> Value {
    change(address, Value::Null, after, unknown)
}

fn kept(address: &str, values: &Value) -> Value {
    change(address, values.clone(), values.clone(), json!({}))
}

/// A plan whose configuration sets these attributes of its resources.
fn plan(changes: &[Value], configuration: Value) -> Value {
    let mut expressions: Map<String, Value> =
        changes.iter().map(|of| (of["address"].as_str().unwrap().to_owned(), json!({}))).collect();
    expressions.extend(configuration.as_object().unwrap().clone());
    let resources: Vec<Value> = expressions
        .into_iter()
        .map(|(address, expressions)| json!({"address": address, "expressions": expressions}))
        .collect();
    json!({"format_version": "1.2", "resource_changes": changes,
        "configuration": {"root_module": {"resources": resources}}})
}

fn refers(to: &[&str]) -> Value {
    json!({"references": to})
}

fn check(plan: &Value) -> String {
    let dir = folder(&[("p.json", &plan.to_string())]);
    let tags: &[&str] = match plan.to_string().contains("azurerm_network_security_group") {
        true => &["--define", "VirtualNetwork=10.0.0.0/8", "--define", "Internet=0.0.0.0/0"],
        false => &[],
    };
    run_in(dir.path(), &[&["check", "p.json", "--fail-on", "error"], tags].concat(), b"")
}

/// No gate passes, and this is why.
fn is_open(plan: &Value, why: &str) {
    let out = check(plan);
    assert!(out.starts_with("status 2") && out.contains(why), "{why}: {out}");
}

fn is_whole(plan: &Value) {
    let out = check(plan);
    assert!(out.starts_with("status 0"), "{out}");
}

fn aws_group(id: &str, ingress: Value) -> Value {
    json!({"id": id, "name": id, "vpc_id": "vpc-1", "ingress": ingress, "egress": []})
}

/// SSH from addresses or groups.
fn ssh(more: Value) -> Value {
    let mut rule = json!({"protocol": "tcp", "from_port": 22, "to_port": 22});
    rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rule
}

/// A group whose rule names groups that are known only later, beside a new group.
fn peers(groups: Value, unknown: Value, references: &[&str]) -> Value {
    let after = aws_group("sg-a", json!([ssh(groups)]));
    plan(
        &[
            change(
                "aws_security_group.a",
                aws_group("sg-a", json!([])),
                after,
                json!({"ingress": [unknown]}),
            ),
            made("aws_security_group.x", aws_group("", json!([])), json!({"id": true})),
            made("aws_security_group.y", aws_group("", json!([])), json!({"id": true})),
        ],
        json!({"aws_security_group.a": {"ingress": refers(references)}}),
    )
}

const X: [&str; 2] = ["aws_security_group.x.id", "aws_security_group.x"];
const Y: [&str; 2] = ["aws_security_group.y.id", "aws_security_group.y"];

/// What is known only later is what the configuration refers to, if that is as much as there are places, and nothing
/// else.
#[test]
fn unknown_groups_are_those_of_all_references_or_none() {
    let whole =
        |references: &[&str]| peers(json!({}), json!({"security_groups": true}), references);
    let two = |references: &[&str]| {
        let nulls = json!({"security_groups": [null, null]});
        peers(nulls, json!({"security_groups": [true, true]}), references)
    };
    is_whole(&whole(&X));
    is_whole(&two(&[X, Y].concat()));
    let why = "aws_security_group.a.ingress[0]: security_groups (aws_security_group.x) is known only after";
    is_open(&two(&X), why);
    let elb = [&X[..], &["aws_elb.lb.source_security_group_id", "aws_elb.lb"]].concat();
    is_open(&two(&elb), why);
    is_open(&whole(&elb), why);
    // Another attribute of a group is another value.
    let vpc = ["aws_security_group.x.vpc_id", "aws_security_group.x"];
    is_open(&whole(&vpc), "security_groups is known only after");
    // Of a list of which nothing is known, a known value can be an element; a port cannot.
    let external = [&X[..], &["var.external"]].concat();
    let mut of_variable = whole(&external);
    of_variable["variables"] = json!({"external": {"value": "sg-0eeeeee"}});
    is_open(&of_variable, why);
    of_variable["variables"] = json!({"external": {"value": 22}});
    is_whole(&of_variable);
}

/// A local is not in a plan. In a module with one group it can be that one, or what the module is given, or an
/// attribute of something else in it; where there is nothing else, it is the group.
#[test]
fn a_local_is_the_group_of_its_module_if_it_can_be_nothing_else() {
    let rule = json!({"type": "ingress", "protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_blocks": ["10.0.0.0/8"]});
    let address = "module.m.aws_security_group_rule.r";
    let unknown = json!({"security_group_id": true, "source_security_group_id": true});
    let group =
        made("module.m.aws_security_group.x", aws_group("", json!([])), json!({"id": true}));
    let of_local = |given: Value, more: &str| {
        let resource = |kind: &str, expressions: Value| json!({"address": format!("{kind}.x"), "mode": "managed", "type": kind, "expressions": expressions});
        let mut resources = vec![
            resource("aws_security_group", json!({})),
            json!({"address": "aws_security_group_rule.r", "mode": "managed", "type": "aws_security_group_rule",
                "expressions": {"security_group_id": refers(&["local.id"])}}),
        ];
        resources.extend((!more.is_empty()).then(|| resource(more, json!({}))));
        let mut plan =
            plan(&[group.clone(), made(address, rule.clone(), unknown.clone())], json!({}));
        plan["configuration"] = json!({"root_module": {"module_calls": {"m": {"expressions": given, "module": {"resources": resources}}}}});
        plan
    };
    is_whole(&of_local(
        json!({"vpc": refers(&["aws_vpc.v.id", "aws_vpc.v"]), "create": {"constant_value": true}}),
        "",
    ));
    is_whole(&of_local(json!({"nets": refers(&["aws_vpc.v.cidr_block", "aws_vpc.v"])}), ""));
    let why = "module.m.aws_security_group_rule.r: security_group_id is known only after";
    for given in [
        &["aws_security_group.other.id", "aws_security_group.other"][..],
        &["aws_vpc.v.default_security_group_id", "aws_vpc.v"],
        &["local.group"],
        &["terraform_data.d.output", "terraform_data.d"],
    ] {
        is_open(&of_local(json!({"group": refers(given)}), ""), why);
    }
    is_open(&of_local(json!({}), "aws_eks_cluster"), why);
    // A list of which nothing is known can have known ones too.
    let mut of_list = of_local(json!({}), "");
    of_list["resource_changes"][0]["change"]["after"]["ingress"] = json!([ssh(json!({}))]);
    of_list["resource_changes"][0]["change"]["after_unknown"]["ingress"] =
        json!([{"security_groups": true}]);
    let path = "/configuration/root_module/module_calls/m/module/resources/0/expressions";
    *of_list.pointer_mut(path).unwrap() = json!({"ingress": refers(&["local.ids"])});
    is_open(&of_list, "module.m.aws_security_group.x.ingress[0]: security_groups");
}

/// Of an interface whose groups nobody knows, nothing passes.
#[test]
fn groups_of_interfaces_are_those_of_all_references_or_none() {
    let open = aws_group("sg-open", json!([ssh(json!({"cidr_blocks": ["10.0.0.0/8"]}))]));
    let eni = |references: &[&str]| {
        let before =
            json!({"id": "eni-1", "private_ips": ["10.0.0.5"], "security_groups": ["sg-open"]});
        let after = json!({"id": "eni-1", "private_ips": ["10.0.0.5"]});
        let unknown = json!({"security_groups": true});
        plan(
            &[
                kept("aws_security_group.open", &open),
                made("aws_security_group.x", aws_group("", json!([])), json!({"id": true})),
                change("aws_network_interface.e", before, after, unknown),
            ],
            json!({"aws_network_interface.e": {"security_groups": refers(references)}}),
        )
    };
    is_whole(&eni(&X));
    let why = "aws_network_interface.e: security_groups (aws_security_group.x) is known only after";
    is_open(&eni(&[&X[..], &["local.more"]].concat()), why);
    is_open(&eni(&["local.all"]), "which groups it has is not known");
    // An attachment gives an interface one more.
    let values =
        json!({"id": "eni-1", "private_ips": ["10.0.0.5"], "security_groups": ["sg-open"]});
    let attached = made(
        "aws_network_interface_sg_attachment.a",
        json!({"network_interface_id": "eni-1"}),
        json!({"security_group_id": true}),
    );
    let attached = plan(
        &[
            kept("aws_security_group.open", &open),
            kept("aws_network_interface.e", &values),
            attached,
        ],
        json!({"aws_network_interface_sg_attachment.a": {"security_group_id": refers(&["local.sg"])}}),
    );
    is_open(
        &attached,
        "aws_network_interface_sg_attachment.a: security_group_id is known only after",
    );
}

/// A prefix list of which an entry is known only later is no list to judge by.
#[test]
fn entries_of_prefix_lists_that_are_known_only_later() {
    let group = aws_group("sg-a", json!([ssh(json!({"prefix_list_ids": ["pl-1"]}))]));
    let list = |entries: Value, unknown: Value| {
        let before = json!({"id": "pl-1", "entry": [{"cidr": "10.0.0.0/8"}]});
        let after = json!({"id": "pl-1", "entry": entries});
        plan(
            &[
                kept("aws_security_group.a", &group),
                change("aws_ec2_managed_prefix_list.p", before, after, json!({"entry": unknown})),
            ],
            json!({}),
        )
    };
    let why = "aws_ec2_managed_prefix_list.p: entry is known only after";
    is_whole(&list(json!([{"cidr": "10.0.0.0/8"}]), json!([{}])));
    is_open(&list(json!([{"cidr": "10.0.0.0/8"}, {}]), json!([{}, {"cidr": true}])), why);
    is_open(&list(json!([{"cidr": "10.0.0.0/8"}, null]), json!([{}, true])), why);
    is_open(&list(Value::Null, json!(true)), why);
    let group = json!({"id": "sg-1", "security_group_type": "normal"});
    let rule = json!({"security_group_id": "sg-1", "type": "ingress", "ip_protocol": "tcp", "port_range": "22/22", "prefix_list_id": "pl-1"});
    let after = json!({"id": "pl-1", "entry": [{"cidr": "10.0.0.0/8"}, {}]});
    let alibaba = plan(
        &[
            kept("alicloud_security_group.g", &group),
            kept("alicloud_security_group_rule.r", &rule),
            made("alicloud_ecs_prefix_list.p", after, json!({"entry": [{}, {"cidr": true}]})),
        ],
        json!({}),
    );
    is_open(&alibaba, "alicloud_ecs_prefix_list.p: entry is known only after");
}

fn nsg(name: &str) -> Value {
    json!({"id": nsg_id(name), "name": name, "resource_group_name": "r", "security_rule": []})
}

fn nsg_id(name: &str) -> String {
    format!(
        "/subscriptions/s/resourceGroups/r/providers/Microsoft.Network/networkSecurityGroups/{name}"
    )
}

/// Where a group of Azure or a network ACL stands.
#[test]
fn associations_that_are_known_only_later() {
    let nic = json!({"id": "nic-1", "name": "n", "resource_group_name": "r",
        "ip_configuration": [{"subnet_id": "s-1", "private_ip_address": "10.0.0.4"}]});
    let subnet = "azurerm_subnet_network_security_group_association.s";
    let of_nic = "azurerm_network_interface_security_group_association.n";
    for (address, place) in [(subnet, "subnet_id"), (of_nic, "network_interface_id")] {
        for key in [place, "network_security_group_id"] {
            let mut values = json!({place: "nic-1", "network_security_group_id": nsg_id("a")});
            values.as_object_mut().unwrap().remove(key);
            let association = made(address, values, json!({key: true}));
            let changes = [
                kept("azurerm_network_security_group.a", &nsg("a")),
                kept("azurerm_network_interface.n", &nic),
                association,
            ];
            let open = plan(&changes, json!({address: {key: refers(&["local.x"])}}));
            is_open(&open, &format!("{address}: {key} is known only after"));
        }
    }
    // A new interface in a new subnet: each of its configurations has its own reference.
    let new = json!({"id": "nic-1", "name": "n", "resource_group_name": "r",
        "ip_configuration": [{"private_ip_address": "10.0.0.4"}]});
    let in_subnet = |references: &[&str]| {
        plan(
            &[
                kept("azurerm_network_security_group.a", &nsg("a")),
                made("azurerm_subnet.s", json!({"name": "s"}), json!({"id": true})),
                made(
                    subnet,
                    json!({"network_security_group_id": nsg_id("a")}),
                    json!({"subnet_id": true}),
                ),
                made(
                    "azurerm_network_interface.n",
                    new.clone(),
                    json!({"ip_configuration": [{"subnet_id": true}]}),
                ),
            ],
            json!({subnet: {"subnet_id": refers(&["azurerm_subnet.s.id", "azurerm_subnet.s"])},
                "azurerm_network_interface.n": {"ip_configuration": [
                    {"subnet_id": refers(references), "public_ip_address_id": refers(&["azurerm_public_ip.p.id"])}]}}),
        )
    };
    is_whole(&in_subnet(&["azurerm_subnet.s.id", "azurerm_subnet.s"]));
    is_open(&in_subnet(&["local.subnet"]), "azurerm_network_interface.n: subnet_id is known only");
    let acl = json!({"id": "acl-1", "subnet_ids": ["subnet-1"], "ingress": [], "egress": []});
    let association = made(
        "aws_network_acl_association.a",
        json!({"network_acl_id": "acl-1"}),
        json!({"subnet_id": true}),
    );
    let aws = plan(
        &[
            kept("aws_security_group.a", &aws_group("sg-a", json!([]))),
            kept("aws_network_acl.n", &acl),
            association,
        ],
        json!({"aws_network_acl_association.a": {"subnet_id": refers(&["local.subnet"])}}),
    );
    is_open(&aws, "aws_network_acl_association.a: subnet_id is known only after");
}

/// Attributes without which a rule says something else.
#[test]
fn attributes_of_rules_that_are_known_only_later() {
    let acl = json!({"id": "acl-1", "subnet_ids": ["subnet-1"], "ingress": [], "egress": []});
    let rule = json!({"network_acl_id": "acl-1", "rule_number": 1, "rule_action": "allow", "protocol": "tcp",
        "cidr_block": "0.0.0.0/0", "from_port": 22, "to_port": 22});
    let address = "aws_network_acl_rule.r";
    let changes = [kept("aws_network_acl.n", &acl), made(address, rule, json!({"egress": true}))];
    is_open(&plan(&changes, json!({})), "aws_network_acl_rule.r: egress is known only after");
    let entry = json!({"protocol": "tcp", "port": "22/22", "source_cidr_ip": "0.0.0.0/0"});
    let acl = json!({"id": "nacl-1", "ingress_acl_entries": [entry], "egress_acl_entries": [], "resources": []});
    let unknown = json!({"ingress_acl_entries": [{"policy": true}]});
    let changes = [change("alicloud_network_acl.n", acl.clone(), acl, unknown)];
    let why = "alicloud_network_acl.n.ingress_acl_entries[0]: policy is known only after";
    is_open(&plan(&changes, json!({})), why);
    let group = json!({"id": "sg-1", "security_group_type": "normal"});
    let unknown = json!({"inner_access_policy": true});
    let changes = [change("alicloud_security_group.g", group.clone(), group, unknown)];
    let why = "alicloud_security_group.g: inner_access_policy is known only after";
    is_open(&plan(&changes, json!({})), why);
}

/// A set of rules that is itself known only later: of a group that is there, it is not what it was; of a new one, it is
/// empty if its rules are resources of their own. A plan does not show `dynamic` blocks at all.
#[test]
fn rules_that_are_known_only_later() {
    let before = aws_group("sg-a", json!([ssh(json!({"cidr_blocks": ["10.0.0.0/8"]}))]));
    let after = json!({"id": "sg-a", "name": "a", "egress": []});
    let unknown = json!({"ingress": true});
    let changed = plan(&[change("aws_security_group.a", before, after, unknown)], json!({}));
    is_open(&changed, "aws_security_group.a: ingress is known only after");

    let new = made(
        "aws_security_group.n",
        json!({"name": "n"}),
        json!({"id": true, "ingress": true, "egress": true}),
    );
    let why =
        "aws_security_group.n: whether it has blocks of ingress and of egress is known only after";
    is_open(&plan(std::slice::from_ref(&new), json!({})), why);
    let rule = made(
        "aws_vpc_security_group_ingress_rule.r",
        json!({"ip_protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_ipv4": "10.0.0.0/8"}),
        json!({"security_group_id": true}),
    );
    let of_group = refers(&["aws_security_group.n.id", "aws_security_group.n"]);
    let configuration =
        json!({"aws_vpc_security_group_ingress_rule.r": {"security_group_id": of_group}});
    is_whole(&plan(&[new.clone(), rule.clone()], configuration.clone()));
    let mut unconfigured = plan(&[new, rule], configuration);
    unconfigured["configuration"]["root_module"]["resources"].as_array_mut().unwrap().remove(0);
    is_open(&unconfigured, why);

    let address = "azurerm_network_security_group.a";
    let mut after = nsg("a");
    after.as_object_mut().unwrap().remove("security_rule");
    let unknown = json!({"security_rule": true});
    let azure =
        |before: Value| plan(&[change(address, before, after.clone(), unknown.clone())], json!({}));
    is_open(&azure(nsg("a")), "azurerm_network_security_group.a: security_rule is known only");
    is_open(
        &azure(Value::Null),
        "azurerm_network_security_group.a: whether it has blocks of security_rule",
    );

    let acl = |entries: Value| json!({"id": "nacl-1", "ingress_acl_entries": entries, "egress_acl_entries": [], "resources": []});
    let unknown = json!({"ingress_acl_entries": true});
    let address = "alicloud_network_acl.n";
    let alibaba =
        |before| plan(&[change(address, before, acl(Value::Null), unknown.clone())], json!({}));
    is_open(&alibaba(acl(json!([]))), "alicloud_network_acl.n: ingress_acl_entries is known only");
    is_open(
        &alibaba(Value::Null),
        "alicloud_network_acl.n: whether it has blocks of ingress_acl_entries",
    );

    let rule = json!({"name": "f", "network": "n", "direction": "INGRESS", "source_ranges": ["10.0.0.0/8"], "deny": []});
    let google =
        plan(&[made("google_compute_firewall.f", rule, json!({"allow": true}))], json!({}));
    is_open(&google, "google_compute_firewall.f: allow is known only after");
}

fn firewall(name: &str, project: &str, source: &str) -> Value {
    let network =
        format!("https://www.googleapis.com/compute/v1/projects/{project}/global/networks/default");
    json!({"name": name, "project": project, "network": network, "direction": "INGRESS", "priority": 1000,
        "source_ranges": [source], "allow": [{"protocol": "tcp", "ports": ["22"]}], "deny": []})
}

/// Ranges that the configuration sets and nobody knows are not every address.
#[test]
fn ranges_that_are_known_only_later() {
    let rule = |references: &[&str], made_new: bool| {
        let before = firewall("f", "p", "10.0.0.0/8");
        let mut after = before.clone();
        after.as_object_mut().unwrap().remove("destination_ranges");
        let before = if made_new { Value::Null } else { before };
        let address = "google_compute_firewall.f";
        let unknown = json!({"destination_ranges": true});
        let configuration = match references {
            [] => json!({}),
            references => json!({address: {"destination_ranges": refers(references)}}),
        };
        plan(&[change(address, before, after, unknown)], configuration)
    };
    let why = "google_compute_firewall.f: destination_ranges is known only after";
    let address = ["google_compute_address.a.address", "google_compute_address.a"];
    is_open(&rule(&address, true), why);
    is_open(&rule(&address, false), why);
    is_open(&rule(&[], false), why);
    // Those of a new rule that nobody sets, or a variable sets to null, are every address.
    is_whole(&rule(&[], true));
    is_whole(&rule(&["var.direction", "var.ranges"], true));
}

/// Networks of two projects are two, whatever they are called.
#[test]
fn networks_of_two_projects() {
    let both = plan(
        &[
            kept("google_compute_firewall.dev", &firewall("dev", "dev", "192.0.2.0/24")),
            kept("google_compute_firewall.prod", &firewall("prod", "prod", "10.0.0.0/8")),
        ],
        json!({}),
    );
    let dir = folder(&[("p.json", &both.to_string())]);
    let args = |group: &'static str| {
        [
            "explain",
            "--rules",
            "p.json",
            "--groups",
            group,
            "--direction",
            "ingress",
            "--proto",
            "tcp",
            "--src",
            "192.0.2.9:40000",
            "--dst",
            "10.0.0.5:22",
            "-f",
            "json",
        ]
    };
    let says = |group, verdict: &str| {
        let out = run_in(dir.path(), &args(group), b"");
        assert!(out.contains(verdict), "{out}");
    };
    says("dev/default", "\"verdict\": \"allow\"");
    says("prod/default", "\"verdict\": \"deny\"");
    let mut unknown = firewall("new", "prod", "10.0.0.0/8");
    unknown["network"] = json!("default");
    unknown.as_object_mut().unwrap().remove("project");
    let mut changes = both["resource_changes"].as_array().unwrap().clone();
    changes.push(made("google_compute_firewall.new", unknown, json!({"project": true})));
    is_open(
        &plan(&changes, json!({})),
        "google_compute_firewall.new: which project it is in is not known",
    );
}

/// A plan that an error has ended, that is of some targets, or that puts changes off, does not say what will be.
#[test]
fn plans_that_are_not_of_everything() {
    let group = kept("aws_security_group.a", &aws_group("sg-a", json!([])));
    let with = |key: &str, value: Value| {
        let mut plan = plan(std::slice::from_ref(&group), json!({}));
        plan[key] = value;
        plan
    };
    is_whole(&with("complete", json!(true)));
    is_open(&with("complete", json!(false)), "the plan is of some targets only");
    is_open(&with("errored", json!(true)), "an error ended the plan");
    let rule = made("aws_security_group_rule.r", json!({}), json!({}));
    let deferred = json!([{"reason": "provider_config_unknown", "resource_change": rule}]);
    let why = "changes are deferred until after the plan was applied: aws_security_group_rule.r";
    is_open(&with("deferred_changes", deferred), why);
}

/// A replacement can leave an object behind, under the address of the living one: it has its rules until it is deleted,
/// and is not what the living one was before.
#[test]
fn deposed_objects_are_not_the_living_ones() {
    let address = "aws_security_group.a";
    let narrow = aws_group("sg-new", json!([ssh(json!({"cidr_blocks": ["10.0.0.0/8"]}))]));
    let wide = aws_group("sg-new", json!([ssh(json!({"cidr_blocks": ["0.0.0.0/0"]}))]));
    let old = aws_group("sg-old", json!([ssh(json!({"cidr_blocks": ["0.0.0.0/0"]}))]));
    let mut deposed = change(address, old.clone(), Value::Null, json!({}));
    deposed["deposed"] = json!("0a1b2c3d");
    let changes = [change(address, narrow.clone(), wide, json!({})), deposed.clone()];
    let dir = folder(&[("p.json", &plan(&changes, json!({})).to_string())]);
    let diff = run_in(dir.path(), &["diff", "--plan", "p.json", "--fail-on", "newly-allowed"], b"");
    assert!(diff.starts_with("status 1"), "{diff}");
    let table = run_in(dir.path(), &["convert", "p.json", "--to", "csv"], b"");
    let row = "current,sg-old,ingress,6,0.0.0.0/0,,any,22-22,allow,1,aws_security_group.a (deposed object 0a1b2c3d)";
    assert!(table.contains(row), "{table}");
    // A plan for the deposed object alone says nothing of the living one, which is in the prior state.
    let mut targeted = plan(&[deposed], json!({}));
    targeted["prior_state"] = json!({"values": {"root_module": {"resources": [
        {"address": address, "mode": "managed", "type": "aws_security_group", "values": narrow},
        {"address": address, "mode": "managed", "type": "aws_security_group", "deposed_key": "0a1b2c3d", "values": old}]}}});
    let dir = folder(&[("p.json", &targeted.to_string())]);
    let table = run_in(dir.path(), &["convert", "p.json", "--to", "csv"], b"");
    let sides: Vec<&str> = table.lines().filter_map(|row| row.split(",ingress").next()).collect();
    let wanted = ["current,sg-old", "current,sg-new", "proposed,sg-new"];
    assert!(wanted.iter().all(|side| sides.contains(side)), "{table}");
    assert!(!sides.contains(&"proposed,sg-old"), "{table}");
}

/// Resources with rules that are not read, or that change what rules do, are named.
#[test]
fn resources_that_are_not_read() {
    let group = kept("aws_security_group.a", &aws_group("sg-a", json!([])));
    let exclusive = made("aws_vpc_security_group_rules_exclusive.e", json!({}), json!({}));
    let why = "aws_vpc_security_group_rules_exclusive.e: aws_vpc_security_group_rules_exclusive is not read";
    is_open(&plan(&[group, exclusive], json!({})), why);
    let group = kept("azurerm_network_security_group.a", &nsg("a"));
    let admin = made("azurerm_network_manager_admin_rule.r", json!({}), json!({}));
    let why =
        "azurerm_network_manager_admin_rule.r: azurerm_network_manager_admin_rule is not read";
    is_open(&plan(&[group.clone(), admin], json!({})), why);
    let azapi = json!({"type": "Microsoft.Network/networkSecurityGroups/securityRules@2024-01-01"});
    let azapi = made("azapi_resource.r", azapi, json!({}));
    is_open(&plan(&[group, azapi], json!({})), "azapi_resource.r: azapi_resource is not read");
}

/// The entries of a network ACL that are a resource of their own are all that it has.
#[test]
fn entries_of_network_acls_of_alibaba() {
    let group = json!({"id": "sg-1", "security_group_type": "normal"});
    let entry = |policy: &str| json!([{"protocol": "all", "port": "-1/-1", "source_cidr_ip": "0.0.0.0/0", "policy": policy}]);
    let acl = json!({"id": "nacl-1", "ingress_acl_entries": entry("drop"), "egress_acl_entries": [], "resources": []});
    let entries =
        |policy: &str| json!({"network_acl_id": "nacl-1", "ingress": entry(policy), "egress": []});
    let address = "alicloud_network_acl_entries.e";
    let changes = [
        kept("alicloud_security_group.g", &group),
        kept("alicloud_network_acl.n", &acl),
        change(address, entries("drop"), entries("accept"), json!({})),
    ];
    let dir = folder(&[("p.json", &plan(&changes, json!({})).to_string())]);
    let table = run_in(dir.path(), &["convert", "p.json", "--to", "csv"], b"");
    for row in [
        "current,nacl-1,ingress,all,0.0.0.0/0,,any,any,deny,1,alicloud_network_acl_entries.e.ingress[0]",
        "proposed,nacl-1,ingress,all,0.0.0.0/0,,any,any,allow,1,alicloud_network_acl_entries.e.ingress[0]",
    ] {
        assert!(table.contains(row), "{row}: {table}");
    }
    assert!(!table.contains("ingress_acl_entries"), "{table}");
    let both = json!({"alicloud_network_acl.n": {"ingress_acl_entries": {}}});
    is_open(
        &plan(&changes, both),
        "alicloud_network_acl_entries.e: nacl-1 has entries of its own too",
    );
    let unknown = made(address, json!({"ingress": entry("drop")}), json!({"network_acl_id": true}));
    let unknown = plan(&[kept("alicloud_network_acl.n", &acl), unknown], json!({}));
    is_open(&unknown, "alicloud_network_acl_entries.e: network_acl_id is known only after");
}

/// A virtual network can have its subnets itself, and their groups.
#[test]
fn groups_of_subnets_in_virtual_networks() {
    let rule = |access: &str| {
        json!({"name": "ssh", "priority": 100, "direction": "Inbound", "access": access, "protocol": "Tcp",
        "source_address_prefix": "192.0.2.0/24", "source_port_range": "*", "destination_address_prefix": "*", "destination_port_range": "22"})
    };
    let group = |name: &str, access: &str| {
        let mut group = nsg(name);
        group["security_rule"] = json!([rule(access)]);
        kept(&format!("azurerm_network_security_group.{name}"), &group)
    };
    let nic = json!({"id": "nic-1", "name": "n", "resource_group_name": "r",
        "ip_configuration": [{"subnet_id": "/v/S", "private_ip_address": "10.0.0.4"}]});
    let association =
        json!({"network_interface_id": "nic-1", "network_security_group_id": nsg_id("nic")});
    let network = json!({"name": "v", "subnet": [{"id": "/v/s", "name": "s", "security_group": nsg_id("sub")}]});
    let mut changes = vec![
        group("nic", "Allow"),
        group("sub", "Deny"),
        kept("azurerm_network_interface.n", &nic),
        kept("azurerm_network_interface_security_group_association.n", &association),
        kept("azurerm_virtual_network.v", &network),
    ];
    let dir = folder(&[("p.json", &plan(&changes, json!({})).to_string())]);
    let args = [
        "explain",
        "--rules",
        "p.json",
        "--direction",
        "ingress",
        "--proto",
        "tcp",
        "--src",
        "192.0.2.9:40000",
        "--dst",
        "10.0.0.4:22",
        "--define",
        "VirtualNetwork=10.0.0.0/8",
        "--define",
        "Internet=0.0.0.0/0",
        "-f",
        "json",
    ];
    let out = run_in(dir.path(), &args, b"");
    assert!(
        out.contains("\n  \"verdict\": \"deny\"") && out.contains("\n  \"group\": \"sub\""),
        "{out}"
    );
    let unknown = json!({"subnet": [{"security_group": true}]});
    let mut after = network.clone();
    after["subnet"][0].as_object_mut().unwrap().remove("security_group");
    changes[4] = change("azurerm_virtual_network.v", network, after, unknown);
    is_open(
        &plan(&changes, json!({})),
        "azurerm_virtual_network.v: subnet.security_group is known only",
    );
}

/// A configuration in Terraform's language.
fn module(files: &[(&str, &str)]) -> String {
    run_in(folder(files).path(), &["check", ".", "--fail-on", "error"], b"")
}

const PORTS: &str = r#"
variable "admin" { default = ["10.0.0.0/8"] }
resource "aws_security_group" "a" {
  name = "a"
  ingress {
    from_port   = 22
    to_port     = 22
    protocol    = "tcp"
    cidr_blocks = var.admin
  }
}
"#;

/// What a configuration has that rules are made of is read or named.
#[test]
fn resources_of_configurations_that_are_not_read() {
    let with = |more: &str| module(&[("main.tf", &format!("{PORTS}{more}"))]);
    let out = with("");
    assert!(out.starts_with("status 0"), "{out}");
    for (more, why) in [
        (
            r#"resource "google_compute_network_firewall_policy_with_rules" "p" {}"#,
            "google_compute_network_firewall_policy_with_rules.p: it has rules",
        ),
        (
            r#"resource "azurerm_network_manager_admin_rule" "r" {}"#,
            "azurerm_network_manager_admin_rule.r: it has rules",
        ),
        (r#"resource "aws_security_group" "a" {}"#, "aws_security_group.a: there are two of it"),
        (
            "resource \"aws_security_group\" \"b\" {\n  dynamic \"ingress\" {\n    for_each = \"x\"\n    content {}\n  }\n}",
            "aws_security_group.b.ingress: the dynamic block is not made of a list, a set or a map",
        ),
        (
            "resource \"aws_security_group\" \"b\" {\n  count = -1\n}",
            "aws_security_group.b: count is -1",
        ),
    ] {
        let out = with(more);
        assert!(out.starts_with("status 2") && out.contains(why), "{why}: {out}");
    }
    let out = module(&[("main.tf", PORTS), ("main_override.tf", PORTS)]);
    assert!(out.starts_with("status 2") && out.contains("override files are not read"), "{out}");
    let acl = r#"
resource "alicloud_security_group" "g" { security_group_type = "normal" }
resource "alicloud_network_acl" "n" { vpc_id = "v" }
resource "alicloud_network_acl_entries" "e" {
  network_acl_id = alicloud_network_acl.n.id
  ingress {
    protocol       = "all"
    port           = "-1/-1"
    source_cidr_ip = "0.0.0.0/0"
    policy         = "accept"
  }
}
"#;
    let dir = folder(&[("main.tf", acl)]);
    let table = run_in(dir.path(), &["convert", "main.tf", "--to", "csv"], b"");
    let row = ",?alicloud_network_acl.n,ingress,all,0.0.0.0/0,,any,any,allow,1,alicloud_network_acl_entries.e.ingress[0]";
    assert!(table.contains(row), "{table}");
}

/// Values of variables are those of the files that Terraform takes by itself, the later ones first.
#[test]
fn values_of_variables_beside_a_configuration() {
    let tf = ("main.tf", PORTS);
    let wide = ("terraform.tfvars", "admin = [\"0.0.0.0/0\"]\n");
    let out = module(&[tf, wide]);
    let finding = "accepts SSH (tcp 22) from 0.0.0.0/0";
    assert!(out.starts_with("status 1") && out.contains(finding), "{out}");
    assert!(out.contains("variables have values: admin of terraform.tfvars"), "{out}");
    // The same where the file is named, and not its directory.
    let dir = folder(&[tf, wide]);
    let alone = run_in(dir.path(), &["check", "main.tf", "--fail-on", "error"], b"");
    assert!(alone.starts_with("status 1") && alone.contains(finding), "{alone}");
    let narrow = ("b.auto.tfvars", "admin = [\"10.1.0.0/16\"]\n");
    let first = ("a.auto.tfvars.json", "{\"admin\": [\"0.0.0.0/0\"]}");
    let out = module(&[tf, wide, narrow, first]);
    assert!(out.starts_with("status 0") && out.contains("admin of b.auto.tfvars"), "{out}");
    // Others are for those who name them.
    let out = module(&[tf, ("prod.tfvars", "admin = [\"0.0.0.0/0\"]\n")]);
    assert!(out.starts_with("status 0") && out.contains("prod.tfvars: is not read"), "{out}");
    for (name, text) in [
        ("terraform.tfvars", "admin = [\"0.0.0.0/0\"\n"),
        ("terraform.tfvars", "admin = data.x.y.z\n"),
        ("terraform.tfvars.json", "{\"admin\": "),
    ] {
        let out = module(&[tf, (name, text)]);
        assert!(out.starts_with("status 2") && out.contains(&format!("/{name}")), "{out}");
    }
}

/// Blocks that nobody sets are computed: after a refresh they are the rules that are resources of their own, as they
/// were before the plan. They do not hold beside what becomes of those.
#[test]
fn what_a_group_shows_of_rules_beside_it() {
    let rows = |plan: &Value| {
        let dir = folder(&[("p.json", &plan.to_string())]);
        let table = run_in(dir.path(), &["convert", "p.json", "--to", "csv"], b"");
        let rows = table.lines().filter(|row| row.contains(",ingress,"));
        rows.map(str::to_owned).collect::<Vec<_>>()
    };
    let wide = ["0.0.0.0/0", "198.51.100.0/24"];
    let group = kept(
        "aws_security_group.a",
        &aws_group("sg-a", json!([ssh(json!({"cidr_blocks": wide}))])),
    );
    let rule = |net: &str| json!({"security_group_id": "sg-a", "ip_protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_ipv4": net});
    let address = "aws_vpc_security_group_ingress_rule.r";
    let narrowed = change(address, rule("0.0.0.0/0"), rule("10.0.0.0/8"), json!({}));
    let changes = [group.clone(), narrowed];
    assert_eq!(
        rows(&plan(&changes, json!({}))),
        [
            "current,sg-a,ingress,6,198.51.100.0/24,,any,22-22,allow,1,aws_security_group.a.ingress[0],,",
            "current,sg-a,ingress,6,0.0.0.0/0,,any,22-22,allow,1,aws_vpc_security_group_ingress_rule.r,,",
            "proposed,sg-a,ingress,6,198.51.100.0/24,,any,22-22,allow,1,aws_security_group.a.ingress[0],,",
            "proposed,sg-a,ingress,6,10.0.0.0/8,,any,22-22,allow,1,aws_vpc_security_group_ingress_rule.r,,",
        ]
    );
    // One that is deleted is gone, unless the group sets it.
    let deleted = [group, change(address, rule("0.0.0.0/0"), Value::Null, json!({}))];
    assert!(!rows(&plan(&deleted, json!({})))[2].contains("0.0.0.0/0"));
    let set = json!({"aws_security_group.a": {"ingress": {}}});
    assert!(rows(&plan(&deleted, set)).last().unwrap().contains("0.0.0.0/0;198.51.100.0/24"));

    let entry = |number: u32, action: &str| json!({"rule_no": number, "action": action, "protocol": "tcp", "cidr_block": "0.0.0.0/0", "from_port": 22, "to_port": 22});
    let acl =
        |entries: Value| json!({"id": "acl-1", "subnet_ids": [], "ingress": entries, "egress": []});
    let rule = |action: &str| {
        json!({"network_acl_id": "acl-1", "rule_number": 100, "egress": false, "rule_action": action,
        "protocol": "tcp", "cidr_block": "0.0.0.0/0", "from_port": 22, "to_port": 22})
    };
    let changed = change("aws_network_acl_rule.r", rule("allow"), rule("deny"), json!({}));
    let changes = [kept("aws_network_acl.n", &acl(json!([entry(100, "allow")]))), changed];
    let found = rows(&plan(&changes, json!({})));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[1].starts_with("proposed") && found[1].contains(",deny,100,aws_network_acl_rule.r")
    );
    let set = json!({"aws_network_acl.n": {"ingress": {}}});
    let why = "aws_network_acl.n.ingress[0] and aws_network_acl_rule.r have the number 100";
    is_open(&plan(&changes, set), why);

    let rule = |access: &str| {
        json!({"name": "ssh", "priority": 100, "direction": "Inbound", "access": access, "protocol": "Tcp",
        "source_address_prefix": "192.0.2.0/24", "source_port_range": "*", "destination_address_prefix": "*", "destination_port_range": "22",
        "network_security_group_name": "a", "resource_group_name": "r"})
    };
    let mut group = nsg("a");
    group["security_rule"] = json!([rule("Allow")]);
    let changed = change("azurerm_network_security_rule.r", rule("Allow"), rule("Deny"), json!({}));
    let changes = [kept("azurerm_network_security_group.a", &group), changed];
    let found = rows(&plan(&changes, json!({})));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[1].starts_with("proposed") && found[1].contains(",deny,100,"), "{found:?}");
}
