//! Groups of a whole account, as a cloud's tool lists them, without the interfaces that have them: each is a
//! world of its own (SEMANTICS F26), and no advice is about rules that nobody can remove (F27).

use std::fmt::Write;

use jiff::civil::date;
use proptest::prelude::*;
use serde_json::{Value, json};
use sgreplay::check::check;
use sgreplay::diff;
use sgreplay::evaluate::{Evaluator, Reference};
use sgreplay::flow::{Direction, FlowTuple, Protocol, Transport};
use sgreplay::rules::{Code, Membership, Policy, RuleSet};

use crate::formats::folder;
use crate::support::{ipv4, output_in, pcap};

/// A group of AWS: TCP from CIDRs or from groups, by port.
fn aws_group(id: &str, ingress: &[(u16, &str)], egress: &[(u16, &str)]) -> Value {
    let permission = |(port, peer): &(u16, &str)| match peer.starts_with("sg-") {
        true => json!({"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [],
            "UserIdGroupPairs": [{"GroupId": peer, "UserId": "1"}]}),
        false => json!({"IpProtocol": "tcp", "FromPort": port, "ToPort": port,
            "IpRanges": [{"CidrIp": peer}], "UserIdGroupPairs": []}),
    };
    let list = |all: &[(u16, &str)]| all.iter().map(permission).collect::<Vec<_>>();
    json!({"GroupId": id, "VpcId": "vpc-1", "OwnerId": "1",
        "IpPermissions": list(ingress), "IpPermissionsEgress": list(egress)})
}

fn groups(all: &[Value]) -> String {
    json!({"SecurityGroups": all}).to_string()
}

/// An ACL of AWS: number, whether egress, whether it allows, and the port of TCP; and the entries `*`.
fn acl(id: &str, entries: &[(u32, bool, bool, Option<u16>)]) -> Value {
    let entry = |(number, egress, allow, port): &(u32, bool, bool, Option<u16>)| {
        let action = if *allow { "allow" } else { "deny" };
        let mut entry = json!({"RuleNumber": number, "Egress": egress, "RuleAction": action,
            "Protocol": if port.is_some() { "6" } else { "-1" }, "CidrBlock": "0.0.0.0/0"});
        if let Some(port) = port {
            entry["PortRange"] = json!({"From": port, "To": port});
        }
        entry
    };
    let last = [(32_767, false, false, None), (32_767, true, false, None)];
    let all: Vec<Value> = entries.iter().chain(&last).map(entry).collect();
    json!({"NetworkAclId": id, "VpcId": "vpc-1", "Associations": [], "Entries": all})
}

/// An NSG of Azure that accepts TCP to a port, with two of the default rules.
fn nsg(resource_group: &str, name: &str, rule: &str, port: &str) -> Value {
    let default = |name: &str, priority: u32, access: &str, prefix: &str| {
        json!({"name": name, "priority": priority, "direction": "Inbound", "access": access, "protocol": "*",
            "sourceAddressPrefix": prefix, "sourcePortRange": "*", "destinationAddressPrefix": prefix,
            "destinationPortRange": "*"})
    };
    json!({
        "id": format!("/subscriptions/0/resourceGroups/{resource_group}/providers/Microsoft.Network/networkSecurityGroups/{name}"),
        "name": name, "resourceGroup": resource_group,
        "securityRules": [{"name": rule, "priority": 100, "direction": "Inbound", "access": "Allow",
            "protocol": "Tcp", "sourceAddressPrefix": "*", "sourcePortRange": "*",
            "destinationAddressPrefix": "*", "destinationPortRange": port}],
        "defaultSecurityRules": [default("AllowVnetInBound", 65_000, "Allow", "VirtualNetwork"),
            default("DenyAllInBound", 65_500, "Deny", "*")],
    })
}

/// Four packets of one connection to port 443.
fn https() -> Vec<u8> {
    let (client, server) = ("203.0.113.9:50123", "10.0.0.5:443");
    let packets = [
        ipv4(client, server, "S"),
        ipv4(server, client, "S."),
        ipv4(client, server, "."),
        ipv4(server, client, "P."),
    ];
    pcap(101, &packets.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// The program's status and what it says, in a folder that has `rules.json` and `https.pcap`.
fn said(rules: &str, args: &[&str]) -> (i32, String) {
    let dir = folder(&[("rules.json", rules)]);
    std::fs::write(dir.path().join("https.pcap"), https()).unwrap();
    let (status, out, err) = output_in(dir.path(), args, b"");
    (status, out + &err)
}

/// Codes of findings, with group and rule.
fn findings(rules: &str, more: &[&str]) -> Vec<String> {
    let args = [&["check", "rules.json", "-f", "json"], more].concat();
    let (status, out) = said(rules, &args);
    assert_eq!(status, 0, "{out}");
    let json = out.split("sgreplay: ").next().unwrap();
    let json: Value = serde_json::from_str(json).unwrap();
    let word = |of: &Value| of.as_str().unwrap_or("-").to_owned();
    let found = json["findings"].as_array().unwrap().iter();
    found.map(|of| [word(&of["code"]), word(&of["group"]), word(&of["rule"])].join(" ")).collect()
}

/// What rests on another group's rules, or on who is a member.
const ABOUT_OTHERS: [&str; 6] =
    ["redundant", "shadowed", "unmatchable", "same-as-default", "conflicting", "unused-group"];

#[test]
fn no_finding_rests_on_another_group() {
    let app = aws_group("sg-app", &[(443, "0.0.0.0/0")], &[(443, "0.0.0.0/0")]);
    let db = aws_group("sg-db", &[(5432, "sg-app")], &[(443, "198.51.100.0/24")]);
    for found in findings(&groups(&[app, db]), &[]) {
        assert!(ABOUT_OTHERS.iter().all(|code| !found.starts_with(code)), "{found}");
    }
    // Within a group they stay.
    let twice = [(443, "0.0.0.0/0"), (443, "198.51.100.0/24"), (22, "sg-app"), (22, "sg-app")];
    let found = findings(&groups(&[aws_group("sg-a", &twice, &[])]), &[]);
    assert!(found.contains(&"redundant sg-a sg-a#2".to_owned()), "{found:?}");
    assert!(found.iter().any(|of| of.starts_with("redundant sg-a sg-a#3")), "{found:?}");
    // Members that nobody knows are not none: whoever they are, the wider rule lets them in.
    let rules = [(5432, "sg-app"), (5432, "0.0.0.0/0")];
    let found = findings(&groups(&[aws_group("sg-a", &rules, &[])]), &[]);
    assert!(found.iter().all(|of| !of.starts_with("redundant")), "{found:?}: they may have IPv6");
}

#[test]
fn any_number_of_groups_is_checked_converted_and_compared() {
    let all: Vec<Value> = (0..40)
        .map(|n| {
            aws_group(&format!("sg-{n:02}"), &[(443, "203.0.113.0/24"), (22, "0.0.0.0/0")], &[])
        })
        .collect();
    let text = groups(&all);
    let found = findings(&text, &[]);
    assert_eq!(found.iter().filter(|of| of.starts_with("open-administration")).count(), 40);
    assert!(found.iter().all(|of| !of.starts_with("redundant")), "{found:?}");
    let dir = folder(&[("rules.json", &text)]);
    let (status, yaml, err) =
        output_in(dir.path(), &["convert", "rules.json", "--to", "yaml"], b"");
    assert_eq!(status, 0, "{err}");
    let rules = sgreplay::parse::yaml("x", &yaml).unwrap();
    assert_eq!((rules.membership(), rules.interfaces().len()), (Membership::Unknown, 40));
    std::fs::write(
        dir.path().join("ours.yaml"),
        yaml.replace("source: 203.0.113.0/24", "source: 203.0.113.0/25"),
    )
    .unwrap();
    let args = ["diff", "--current", "rules.json", "--proposed", "ours.yaml", "-f", "json"];
    let (_, out, err) = output_in(dir.path(), &args, b"");
    let out: Value = serde_json::from_str(&out).expect(&err);
    let regions = out["regions"].as_array().unwrap();
    assert_eq!(regions.len(), 40);
    assert!(
        regions
            .iter()
            .all(|of| of["change"] == "newly_denied" && of["peers"][0] == "203.0.113.128/25")
    );
    let interfaces: Vec<&str> =
        regions.iter().map(|of| of["interface"].as_str().unwrap()).collect();
    assert!(interfaces.contains(&"sg-00") && interfaces.contains(&"sg-39"));
}

/// A packet of a capture is judged at an instance, and nobody has said which groups it has.
#[test]
fn replay_asks_for_groups() {
    let text = json!([nsg("prod", "web-nsg", "web", "443"), nsg("prod", "dev-nsg", "ssh", "22")])
        .to_string();
    let define = ["--define", "VirtualNetwork=10.0.0.0/8"];
    let replay = |more: &[&str]| {
        let args = ["replay", "--rules", "rules.json", "https.pcap", "--local", "10.0.0.5"];
        said(&text, &[&args[..], &define, more].concat())
    };
    let (status, out) = replay(&[]);
    assert_eq!(status, 2);
    assert!(out.contains("--groups") && out.contains("web-nsg, dev-nsg"), "{out}");
    assert!(replay(&["--groups", "web-nsg", "--fail-on", "denied"]).0 == 0);
    let (status, out) = replay(&["--groups", "dev-nsg", "--fail-on", "denied"]);
    assert!(status == 1 && out.contains("rule DenyAllInBound of dev-nsg"), "{out}");
    // Both, as two layers.
    assert!(replay(&["--groups", "dev-nsg,web-nsg", "--fail-on", "denied"]).0 == 1);
    let (status, out) = replay(&["--groups", "web-nsq"]);
    assert!(status == 2 && out.contains("did you mean `web-nsg`?"), "{out}");
    for args in [
        &["suggest", "--rules", "rules.json", "https.pcap"][..],
        &["diff", "--current", "rules.json", "--proposed", "rules.json", "https.pcap"],
        &["explain", "--rules", "rules.json", "--frame", "1", "https.pcap"],
        &[
            "explain",
            "--rules",
            "rules.json",
            "--direction",
            "ingress",
            "--proto",
            "tcp",
            "--src",
            "192.0.2.1",
            "--dst",
            "10.0.0.5:443",
        ],
    ] {
        let (status, out) = said(&text, &[args, &define].concat());
        assert!(status == 2 && out.contains("--groups"), "{args:?}: {out}");
    }
    // One packet at one of them needs no more than its name.
    let packet = [
        "explain",
        "--rules",
        "rules.json",
        "--interface",
        "web-nsg",
        "--direction",
        "ingress",
        "--proto",
        "tcp",
        "--src",
        "192.0.2.1",
        "--dst",
        "10.0.0.5:443",
    ];
    let (status, out) = said(&text, &[&packet[..], &define].concat());
    assert!(status == 0 && out.contains("allow: rule web of web-nsg"), "{out}");
}

#[test]
fn equal_names_are_told_apart_by_their_resource_groups() {
    let text = json!([nsg("prod", "web-nsg", "web", "443"), nsg("dev", "web-nsg", "ssh", "22")])
        .to_string();
    let define = ["--define", "VirtualNetwork=10.0.0.0/8"];
    let found = findings(&text, &define);
    assert_eq!(
        found,
        [
            "open-administration dev/web-nsg ssh",
            "virtual-network-allowed prod/web-nsg -",
            "virtual-network-allowed dev/web-nsg -",
        ]
    );
    let replay = |group: &str| {
        let args = [
            "replay",
            "--rules",
            "rules.json",
            "https.pcap",
            "--local",
            "10.0.0.5",
            "--fail-on",
            "denied",
        ];
        said(&text, &[&args[..], &define, &["--groups", group]].concat()).0
    };
    assert_eq!((replay("prod/web-nsg"), replay("dev/web-nsg")), (0, 1));
    // The same group twice is one, and two versions of it are a question.
    let [one, other] = [nsg("prod", "a", "web", "443"), nsg("prod", "a", "web", "80")];
    let args = [&["check", "rules.json"][..], &define].concat();
    assert_eq!(said(&json!([one, one]).to_string(), &args).0, 0);
    let (status, out) = said(&json!([one, other]).to_string(), &args);
    assert!(status == 2 && out.contains("has group a with other rules"), "{out}");
}

#[test]
fn no_advice_is_about_rules_that_nobody_can_remove() {
    let open = [(100, false, true, None), (100, true, true, None)];
    let two = json!({"NetworkAcls": [acl("acl-0", &open), acl("acl-1", &open)]}).to_string();
    let one = json!({"NetworkAcls": [acl("acl-1", &[(100, false, true, Some(443)), (100, true, true, Some(443))])]});
    let deny = json!({"NetworkAcls": [acl("acl-1", &[(100, false, false, Some(22))])]}).to_string();
    for text in [&two, &one.to_string(), &deny] {
        for found in findings(text, &["--notes"]) {
            assert!(!found.contains("32767"), "{found}");
        }
    }
    // What the entry `*` says too is what the default says.
    assert!(findings(&deny, &[]).contains(&"same-as-default acl-1 ingress-100".to_owned()));
    let text = json!([nsg("prod", "a", "web", "443")]).to_string();
    for found in findings(&text, &["--define", "VirtualNetwork=10.0.0.0/8"]) {
        assert!(
            !found.contains("DenyAllInBound") && !found.contains("AllowVnetInBound"),
            "{found}"
        );
    }
}

/// An ACL without ports for replies: said with the reply that is denied, and not said of one with them.
#[test]
fn an_acl_that_denies_replies() {
    let closed = json!({"NetworkAcls": [acl("acl-1", &[(100, false, true, Some(443)), (100, true, true, Some(443))])]});
    let text = closed.to_string();
    let found = findings(&text, &[]);
    assert_eq!(
        found.iter().filter(|of| of.starts_with("replies-denied acl-1")).count(),
        2,
        "{found:?}"
    );
    let (_, out) = said(&text, &["check", "rules.json"]);
    assert!(out.contains("egress-32767 denies their replies to ports 1024 to 65535"), "{out}");
    assert!(out.contains("for example egress local  tcp 10.0.0.5:443 > 203.0.113.9:1024"), "{out}");
    let (_, out) = said(
        &text,
        &["replay", "--rules", "rules.json", "https.pcap", "--local", "10.0.0.5", "-f", "json"],
    );
    assert!(out.contains("\"denied\": 2"), "{out}");
    // SEMANTICS HV2 and HV3: a range for replies is none for connections, and Windows alone is not everybody.
    let with = |range: (u16, u16)| {
        let mut acl = acl("acl-1", &[(100, true, true, Some(443)), (100, false, true, Some(1))]);
        acl["Entries"][1]["PortRange"] = json!({"From": range.0, "To": range.1});
        findings(&json!({"NetworkAcls": [acl]}).to_string(), &[])
    };
    assert!(!with((1024, 65_535)).iter().any(|of| of.starts_with("replies-denied")));
    assert!(with((49_152, 65_535)).iter().any(|of| of.starts_with("replies-denied")));
}

/// Whoever the members are: a change that turns the verdict of some is found, and named by their group.
#[test]
fn members_that_nobody_knows_are_compared() {
    let with = |ingress: &[(u16, &str)]| groups(&[aws_group("sg-a", ingress, &[])]);
    let compare = |current: &[(u16, &str)], proposed: &[(u16, &str)]| {
        let dir = folder(&[("a.json", &with(current)), ("b.json", &with(proposed))]);
        let args = [
            "diff",
            "--current",
            "a.json",
            "--proposed",
            "b.json",
            "-f",
            "json",
            "--fail-on",
            "any",
        ];
        let (status, out, err) = output_in(dir.path(), &args, b"");
        let out: Value = serde_json::from_str(&out).expect(&err);
        let regions = out["regions"].as_array().unwrap().iter();
        let found = regions
            .map(|of| format!("{} {} {}", of["change"], of["services"][0], of["members_of"]));
        (status, found.collect::<Vec<_>>())
    };
    let ssh = [(22, "sg-app")];
    let (status, found) = compare(&[], &ssh);
    assert_eq!(status, 1);
    assert_eq!(found, [r#""newly_allowed" "tcp/22" ["sg-app"]"#; 2], "both families");
    assert_eq!(compare(&ssh, &[]).1, [r#""newly_denied" "tcp/22" ["sg-app"]"#; 2]);
    assert_eq!(compare(&ssh, &ssh), (0, vec![]));
    // What everybody may, members may too: only their IPv6 addresses gain something.
    let everybody = [(22, "0.0.0.0/0")];
    assert_eq!(compare(&everybody, &[(22, "0.0.0.0/0"), (22, "sg-app")]).1.len(), 1);
    // A group that is new is compared with one that has no rules.
    let dir = folder(&[
        ("a.json", &groups(&[aws_group("sg-a", &[], &[]), aws_group("sg-b", &[], &[])])),
        ("b.json", &groups(&[aws_group("sg-b", &[], &[]), aws_group("sg-new", &everybody, &[])])),
    ]);
    let args =
        ["diff", "--current", "a.json", "--proposed", "b.json", "--fail-on", "newly-allowed"];
    let (status, out, err) = output_in(dir.path(), &args, b"");
    assert!(status == 1 && out.contains("there is no group sg-new"), "{out}{err}");
}

/// An inner access policy is about members that the file does not list.
#[test]
fn an_inner_access_policy_is_compared() {
    let rules = |policy: &str| -> RuleSet {
        let text = format!("{{security_groups: [{{id: sg-a, inner_access_policy: {policy}}}]}}");
        sgreplay::parse::yaml("x", &text).unwrap()
    };
    let turned = diff::regions(&rules("accept"), &rules("drop")).unwrap();
    assert_eq!(turned.len(), 2);
    assert!(turned.iter().all(|of| of.members_of.includes("sg-a")));
    assert_eq!(diff::regions(&rules("accept"), &rules("accept")), Ok(Vec::new()));
}

/// Expectations are about members too, and at every group; `by` and `except` can name them.
#[test]
fn expectations_about_members() {
    let text =
        groups(&[aws_group("sg-db", &[(5432, "sg-app")], &[]), aws_group("sg-app", &[], &[])]);
    let test = |expected: &str| {
        let dir = folder(&[("rules.json", &text), ("expected.yaml", expected)]);
        output_in(dir.path(), &["test", "rules.json", "expected.yaml"], b"")
    };
    let (status, out, _) = test("[{name: nobody, protocol: tcp, ports: 5432, verdict: deny}]");
    assert!(
        status == 1 && out.contains("for members of sg-app: allow by rule sg-db#1 of sg-db"),
        "{out}"
    );
    let but =
        "[{name: nobody, protocol: tcp, ports: 5432, verdict: deny, except: [{source: sg-app}]}]";
    assert_eq!(test(but).0, 0);
    let app = "[{name: app, interface: sg-db, protocol: tcp, ports: 5432, source: sg-app, verdict: allow, by: 'sg-db#1'}]";
    assert_eq!(test(app).0, 0);
    assert_eq!(test(&app.replace("5432", "5433")).0, 1);
    assert_eq!(
        test(&app.replace("interface: sg-db", "interface: sg-app").replace(", by: 'sg-db#1'", ""))
            .0,
        1
    );
}

/// Rules of a group, some about members of two others.
fn rules_with_groups() -> impl Strategy<Value = Vec<String>> {
    let rule = (1_u16..5, 0_usize..5, any::<bool>(), 1_u8..4);
    let rule = rule.prop_map(|(port, peer, accept, priority)| {
        let peer = ["sg-x", "sg-y", "0.0.0.0/0", "10.0.0.0/30", "10.0.0.1"][peer];
        let policy = if accept { "accept" } else { "drop" };
        format!(
            "{{direction: ingress, policy: {policy}, priority: {priority}, protocol: tcp, ports: {port}/{}, \
             source: {peer}}}",
            port + 1
        )
    });
    prop::collection::vec(rule, 1..6).prop_map(|mut rules| {
        rules.sort();
        rules.dedup();
        rules
    })
}

/// Addresses that may be members, one bit of a group's set each.
const MEMBERS: [&str; 4] = ["10.0.0.1", "10.0.0.2", "10.0.0.9", "9.9.9.9"];

/// The same rules where nobody has said who is a member, and where it is listed.
fn both_ways(rules: &[String], members: [u8; 2]) -> [RuleSet; 2] {
    let group = format!("{{id: sg-a, inner_access_policy: drop, rules: [{}]}}", rules.join(", "));
    let unknown = format!("{{membership: unknown, security_groups: [{group}]}}");
    let mut interfaces = "{id: eni-a, addresses: [192.0.2.1], security_groups: [sg-a]}".to_owned();
    for (n, address) in MEMBERS.iter().enumerate() {
        let of = [(0, "sg-x"), (1, "sg-y")].into_iter();
        let of = of.filter(|(which, _)| members[*which] >> n & 1 == 1).map(|(_, id)| id);
        let of: Vec<&str> = of.collect();
        if !of.is_empty() {
            let _ = write!(
                interfaces,
                ", {{id: eni-{n}, addresses: [{address}], security_groups: [{}]}}",
                of.join(", ")
            );
        }
    }
    let known = format!(
        "{{security_groups: [{group}, {{id: sg-x, inner_access_policy: drop}}, {{id: sg-y, \
         inner_access_policy: drop}}], interfaces: [{interfaces}]}}"
    );
    [unknown, known].map(|text| sgreplay::parse::yaml("x", &text).unwrap())
}

/// What is decided of a packet from each address that may be a member, to each port.
fn packets() -> impl Iterator<Item = FlowTuple> {
    MEMBERS.iter().flat_map(|from| {
        (0..7).map(move |port| {
            let (src, dst) = (from.parse().unwrap(), "192.0.2.1".parse().unwrap());
            let transport = Transport::Ports { src: 40_000, dst: port };
            FlowTuple { src, dst, proto: Protocol::TCP, transport }
        })
    })
}

fn policy(rules: &RuleSet, flow: &FlowTuple) -> Policy {
    let list = rules.ordered(0, Direction::Ingress);
    list.entry(Reference(&list).decide(flow)).unwrap().policy
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whoever the members turn out to be: no rule that was called useless has decided anything, and no
    /// verdict has turned that the exact difference does not have.
    #[test]
    fn whoever_the_members_are(
        rules in rules_with_groups(),
        other in rules_with_groups(),
        members in any::<[u8; 2]>(),
    ) {
        let [unknown, known] = both_ways(&rules, members);
        let useless = [Code::Shadowed, Code::Redundant, Code::SameAsDefault, Code::Unmatchable];
        for finding in check(&unknown, date(2026, 11, 27)).findings {
            let (true, Some((0, n))) = (useless.contains(&finding.code), finding.place) else { continue };
            let mut fewer = rules.clone();
            fewer.remove(n);
            let [_, without] = both_ways(&fewer, members);
            for flow in packets() {
                prop_assert_eq!(policy(&known, &flow), policy(&without, &flow), "{} {:?}", flow, finding);
            }
        }
        let [then_unknown, then] = both_ways(&other, members);
        let turned = diff::regions(&unknown, &then_unknown).unwrap();
        for flow in packets() {
            let is_member = |group: &str| {
                let which = usize::from(group == "sg-y");
                MEMBERS.iter().enumerate().any(|(n, of)| of.parse() == Ok(flow.src) && members[which] >> n & 1 == 1)
            };
            if policy(&known, &flow) != policy(&then, &flow) {
                let found = turned.iter().any(|of| {
                    of.region.contains(&flow) && of.members_of.groups().all(is_member)
                });
                prop_assert!(found, "{}: {:?} {:?} {:?}", flow, rules, other, members);
            }
        }
    }
}

/// Answers of another time: nobody knows which of them holds, so neither does.
#[test]
fn answers_about_an_interface_give_it_the_same_groups() {
    let alibaba_group = |id: &str| {
        let rules = json!([{"Direction": "ingress", "Policy": "Accept", "Priority": "1", "IpProtocol": "TCP",
            "PortRange": "443/443", "SourceCidrIp": "0.0.0.0/0", "NicType": "intranet"}]);
        json!({"SecurityGroupId": id, "VpcId": "vpc-1", "InnerAccessPolicy": "Drop", "Permissions": {"Permission": rules}})
    };
    let alibaba = |groups: &[&str]| {
        json!({"NetworkInterfaceSets": {"NetworkInterfaceSet": [{"NetworkInterfaceId": "eni-1",
            "PrivateIpAddress": "10.0.0.5", "SecurityGroupIds": {"SecurityGroupId": groups}}]}})
    };
    let aws = |groups: &[&str]| {
        let groups: Vec<Value> = groups.iter().map(|id| json!({"GroupId": id})).collect();
        json!({"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "PrivateIpAddress": "10.0.0.5",
            "SubnetId": "subnet-1", "Groups": groups}]})
    };
    let nic = |groups: &[&str]| {
        json!({"name": "eni-1", "resourceGroup": "rg", "type": "Microsoft.Network/networkInterfaces",
            "id": "/subscriptions/0/resourceGroups/rg/providers/Microsoft.Network/networkInterfaces/eni-1",
            "networkSecurityGroup": {"id": nsg("rg", groups[0], "web", "443")["id"]},
            "ipConfigurations": [{"privateIPAddress": "10.0.0.5"}]})
    };
    let instance = |tags: &[&str]| {
        json!({"kind": "compute#instance", "name": "eni-1", "zone": "zones/a", "tags": {"items": tags},
            "networkInterfaces": [{"network": "global/networks/default", "networkIP": "10.0.0.5"}]})
    };
    let firewall = json!({"kind": "compute#firewall", "name": "web", "network": "global/networks/default",
        "direction": "INGRESS", "priority": 1000, "sourceRanges": ["0.0.0.0/0"], "targetTags": ["a"],
        "allowed": [{"IPProtocol": "tcp", "ports": ["443"]}]});
    let open = [(443, "0.0.0.0/0")];
    let aws_groups =
        || json!({"SecurityGroups": [aws_group("a", &open, &[]), aws_group("b", &open, &[])]});
    let define = ["--define", "VirtualNetwork=10.0.0.0/8"];
    for (cloud, groups, interface) in [
        (
            "alibaba",
            vec![alibaba_group("a"), alibaba_group("b")],
            &alibaba as &dyn Fn(&[&str]) -> Value,
        ),
        ("aws", vec![aws_groups()], &aws),
        ("azure", vec![nsg("rg", "a", "web", "443"), nsg("rg", "b", "web", "443")], &nic),
        ("google", vec![firewall], &instance),
    ] {
        let more = if cloud == "azure" { &define[..] } else { &[] };
        let with = |interfaces: &[Value]| {
            let rules = json!([&groups[..], interfaces].concat()).to_string();
            said(&rules, &[&["check", "rules.json"], more].concat())
        };
        let (status, out) = with(&[interface(&["a"]), interface(&["a"])]);
        assert_eq!(status, 0, "{cloud}: {out}");
        let (status, out) = with(&[interface(&["a"]), interface(&["b"])]);
        assert!(status == 2 && out.contains("keep the newer one"), "{cloud}: {status} {out}");
    }
}

/// What a Terraform state says of an interface must agree with an answer about it, too. Of one name in two places nobody
/// knows whether it is one machine: it is refused as before.
#[test]
fn states_and_answers_about_an_interface_agree() {
    let group = json!({"address": "aws_security_group.a", "mode": "managed", "type": "aws_security_group",
        "values": {"id": "sg-a", "vpc_id": "vpc-1", "egress": [], "ingress": [{"from_port": 443, "to_port": 443,
            "protocol": "tcp", "cidr_blocks": ["0.0.0.0/0"]}]}});
    let eni = json!({"address": "aws_network_interface.a", "mode": "managed", "type": "aws_network_interface",
        "values": {"id": "eni-1", "private_ips": ["10.0.0.5"], "security_groups": ["sg-a"]}});
    let state = json!({"format_version": "1.0", "terraform_version": "1.9.0",
        "values": {"root_module": {"resources": [group, eni]}}});
    let answer = |group: &str| {
        json!({"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "PrivateIpAddress": "10.0.0.5",
            "SubnetId": "subnet-1", "Groups": [{"GroupId": group}]}]})
    };
    let checked = |rules: &Value| said(&rules.to_string(), &["check", "rules.json"]);
    let (status, out) = checked(&json!([state, answer("sg-a")]));
    assert_eq!(status, 0, "{out}");
    let (status, out) = checked(&json!([state, answer("sg-b")]));
    assert!(status == 2 && out.contains("keep the newer one"), "{status} {out}");
    let instance = |addr: &str| {
        json!({"kind": "compute#instance", "name": "web", "tags": {"items": ["a"]},
            "networkInterfaces": [{"network": "global/networks/default", "networkIP": addr}]})
    };
    let firewall = json!({"kind": "compute#firewall", "name": "web", "network": "global/networks/default",
        "direction": "INGRESS", "priority": 1000, "sourceRanges": ["0.0.0.0/0"], "targetTags": ["a"],
        "allowed": [{"IPProtocol": "tcp", "ports": ["443"]}]});
    let (status, out) = checked(&json!([firewall, instance("10.0.0.5"), instance("10.0.0.6")]));
    assert!(status == 2 && out.contains("do not tell them apart"), "{status} {out}");
}
