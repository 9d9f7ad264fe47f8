//! Rules in the words of each cloud's tools, and back: the same packets, by the exact difference.

use insta::assert_snapshot;
use proptest::prelude::*;
use sgreplay::convert::{aws_json, azure_json, google_json, terraform};
use sgreplay::diff;
use sgreplay::parse::{Content, LoadOptions, Source, load};
use sgreplay::rules::{RuleSet, Tag};

use crate::formats::folder;
use crate::space::rules;
use crate::support::run_in;

/// What the user says of tags, which no answer holds.
fn hints() -> LoadOptions {
    let tag =
        |name: &str, net: &str| Tag { name: name.to_owned(), entries: vec![net.parse().unwrap()] };
    let tags = vec![
        tag("VirtualNetwork", "10.0.0.0/8"),
        tag("Internet", "198.51.100.0/24"),
        tag("AzureLoadBalancer", "168.63.129.16/32"),
        tag("Storage", "192.0.2.0/24"),
        tag("app", "10.9.0.0/24"),
        tag("web", "10.9.2.0/24"),
        tag("ci@x.iam", "10.9.1.0/24"),
    ];
    LoadOptions { tags, instance_tags: Some(vec!["web".to_owned()]), ..LoadOptions::default() }
}

/// A rule set in own words, with what the user says beside it.
fn own(text: &str) -> RuleSet {
    let tags: Vec<String> = hints()
        .tags
        .iter()
        .map(|tag| format!("{{name: \"{}\", entries: {}}}", tag.name, tag.entries[0]))
        .collect();
    let lists = text.contains("interfaces:");
    let instance = if lists { "" } else { "instance_tags: web\n" };
    rules(&format!("{text}tags: [{}]\n{instance}", tags.join(", ")))
}

fn read(name: &str, text: &str) -> RuleSet {
    let source = Source { name, text };
    let content = load(&[source], &hints()).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let Content::Rules(loaded) = content else { panic!("no answers: {text}") };
    loaded.rule_set(name, &hints()).unwrap_or_else(|error| panic!("{error}\n{text}")).0
}

/// As answers, and as resources of Terraform, whose groups have other ids.
fn is_the_same(before: &RuleSet, answers: &[serde_json::Value]) {
    let text = serde_json::to_string(answers).unwrap();
    let after = read("answers.json", &text);
    assert_eq!(diff::regions(before, &after), Ok(Vec::new()), "{text}");
    assert_eq!(diff::regions(&after, before), Ok(Vec::new()), "{text}");
    assert_eq!(diff::unpaired(before, &after), [Vec::<&str>::new(), Vec::new()], "{text}");
    // What Terraform makes has no interfaces.
    let mut plain = serde_json::from_str::<Vec<serde_json::Value>>(&text).unwrap();
    let interface = |of: &serde_json::Value| {
        ["NetworkInterfaces", "ipConfigurations", "networkInterfaces"]
            .iter()
            .any(|key| of.get(key).is_some())
    };
    plain.retain(|of| !interface(of));
    let alone = read("answers.json", &serde_json::to_string(&plain).unwrap());
    let hcl = terraform(&alone).unwrap();
    let again = read("main.tf", &hcl);
    let yaml = sgreplay::parse::print(&again);
    let yaml = ["aws_security_group", "aws_network_acl", "aws_ec2_managed_prefix_list"]
        .iter()
        .fold(yaml, |text, kind| text.replace(&format!("?{kind}."), ""));
    let again = rules(&yaml);
    assert_eq!(diff::regions(&alone, &again), Ok(Vec::new()), "{hcl}\n{yaml}");
    assert_eq!(diff::regions(&again, &alone), Ok(Vec::new()), "{hcl}\n{yaml}");
    assert_eq!(diff::unpaired(&alone, &again), [Vec::<&str>::new(), Vec::new()], "{hcl}");
}

const NETS: [&str; 6] = [
    "0.0.0.0/0",
    "198.51.100.0/24",
    "10.1.0.0/16",
    "192.0.2.7/32",
    "\"::/0\"",
    "\"2001:db8::/64\"",
];

fn nets() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::btree_set(0..NETS.len(), 1..3)
        .prop_map(|all| all.into_iter().map(|n| NETS[n]).collect())
}

fn ports() -> impl Strategy<Value = String> {
    let one = (0_u16..6, 0_u16..6).prop_map(|(a, b)| {
        let bounds = [0, 22, 80, 443, 1024, 65535];
        format!("{}/{}", bounds[usize::from(a.min(b))], bounds[usize::from(a.max(b))])
    });
    prop::collection::vec(one, 1..3).prop_map(|all| format!("ports: [{}]", all.join(", ")))
}

/// Protocol, and ports or ICMP type of it.
fn service(icmp: bool) -> impl Strategy<Value = String> {
    let of_icmp = move |text: &str| if icmp { text.to_owned() } else { "protocol: all".to_owned() };
    prop_oneof![
        3 => ports().prop_map(|ports| format!("protocol: tcp, {ports}")),
        1 => ports().prop_map(|ports| format!("protocol: udp, {ports}")),
        1 => Just("protocol: all".to_owned()),
        1 => Just(of_icmp("protocol: icmp, icmp: 8")),
        1 => Just(of_icmp("protocol: icmp, icmp: 3/4")),
        1 => Just(of_icmp("protocol: 47")),
    ]
}

fn sides(ingress: bool) -> (&'static str, &'static str, &'static str) {
    if ingress { ("ingress", "source", "destination") } else { ("egress", "destination", "source") }
}

fn aws() -> impl Strategy<Value = String> {
    let peer = prop_oneof![
        4 => nets().prop_map(|nets| nets.join(", ")),
        1 => Just("sg-a".to_owned()),
        1 => Just("sg-b, 203.0.113.0/24".to_owned()),
        1 => Just("pl-a".to_owned()),
        1 => Just("{group: sg-far, account: \"123456789012\"}".to_owned()),
    ];
    let rule = (any::<bool>(), service(true), peer).prop_map(|(ingress, service, peer)| {
        let (direction, far, _) = sides(ingress);
        format!("{{direction: {direction}, {service}, {far}: [{peer}]}}")
    });
    let entry = (any::<bool>(), any::<bool>(), service(true), 0..NETS.len());
    let entry = entry.prop_map(|(ingress, accept, service, net)| {
        let (direction, far, _) = sides(ingress);
        let policy = if accept { "accept" } else { "drop" };
        // One range of ports.
        let service = match service.split_once("ports: [") {
            Some((start, ports)) => {
                format!("{start}ports: {}", ports.split([',', ']']).next().unwrap())
            }
            None => service,
        };
        format!("direction: {direction}, policy: {policy}, {service}, {far}: {}", NETS[net])
    });
    let rule = rule.boxed();
    let rules = || prop::collection::vec(rule.clone(), 0..6);
    (rules(), rules(), prop::collection::vec(entry, 0..6), any::<bool>()).prop_map(
        |(a, b, acl, listed)| {
            let acl = (1..).zip(acl).map(|(n, entry)| format!("{{number: {n}, {entry}}}"));
            let acl: Vec<String> = acl.collect();
            let interfaces = match listed {
                true => "interfaces: [{id: eni-a, addresses: [10.0.0.5, '2001:db8::5'], security_groups: [sg-a, sg-b]},
  {id: eni-b, addresses: [10.0.1.6], security_groups: sg-b}]\n",
                false => "membership: unknown\n",
            };
            format!(
                "cloud: aws\nsecurity_groups: [{{id: sg-a, rules: [{}]}}, {{id: sg-b, rules: [{}]}}]\n\
                 network_acls: [{{id: acl-a, networks: 10.0.0.0/24, rules: [{}]}}]\n{interfaces}\
                 prefix_lists: [{{id: pl-a, entries: [192.0.2.0/25, 203.0.113.0/24]}}]\n",
                a.join(", "),
                b.join(", "),
                acl.join(", ")
            )
        },
    )
}

const DEFAULTS: &str = "{id: AllowVnetInBound, direction: ingress, priority: 65000, protocol: all, source: 'tag:VirtualNetwork', destination: 'tag:VirtualNetwork'},
 {id: AllowAzureLoadBalancerInBound, direction: ingress, priority: 65001, protocol: all, source: 'tag:AzureLoadBalancer'},
 {id: DenyAllInBound, direction: ingress, policy: drop, priority: 65500, protocol: all, source: [0.0.0.0/0, '::/0']},
 {id: AllowVnetOutBound, direction: egress, priority: 65000, protocol: all, destination: 'tag:VirtualNetwork', source: 'tag:VirtualNetwork'},
 {id: AllowInternetOutBound, direction: egress, priority: 65001, protocol: all, destination: 'tag:Internet'},
 {id: DenyAllOutBound, direction: egress, policy: drop, priority: 65500, protocol: all, destination: [0.0.0.0/0, '::/0']}";

fn azure() -> impl Strategy<Value = String> {
    let peer = prop_oneof![
        3 => nets().prop_map(|nets| nets.join(", ")),
        1 => Just("'tag:Internet'".to_owned()),
        1 => Just("'tag:Storage', 10.2.0.0/16".to_owned()),
        1 => Just("0.0.0.0/0, '::/0'".to_owned()),
        1 => Just("'tag:web'".to_owned()),
    ];
    let near = prop_oneof![
        3 => Just(""),
        1 => Just("10.0.0.0/24"),
        1 => Just("'tag:VirtualNetwork'"),
    ];
    let target = prop_oneof![2 => Just(""), 1 => Just(", targets: web")];
    let source = prop_oneof![3 => Just(""), 1 => Just(", source_ports: 1024/65535")];
    let rule = (any::<bool>(), any::<bool>(), service(false), peer, near, target, source);
    let rule = rule.prop_map(|(ingress, accept, service, peer, near, target, source)| {
        let (direction, far, near_key) = sides(ingress);
        let policy = if accept { "accept" } else { "drop" };
        let near = match (near, target) {
            ("", _) | (_, ", targets: web") => String::new(),
            (near, _) => format!(", {near_key}: {near}"),
        };
        let source = if service.contains("ports") { source } else { "" };
        format!("direction: {direction}, policy: {policy}, {service}, {far}: [{peer}]{near}{target}{source}")
    });
    let rule = rule.boxed();
    let rules = || prop::collection::vec(rule.clone(), 0..5);
    (rules(), rules(), any::<bool>()).prop_map(|(a, b, listed)| {
        let group = |rules: Vec<String>| {
            let own = (100..).zip(rules).map(|(n, rule)| format!("{{id: r{n}, priority: {n}, {rule}}}"));
            own.chain([DEFAULTS.to_owned()]).collect::<Vec<_>>().join(", ")
        };
        let interfaces = match listed {
            true => "interfaces: [{id: nic-a, addresses: 10.0.0.5, security_groups: [nsg-a, nsg-b], tags: web},
  {id: nic-b, addresses: 10.0.1.6, security_groups: nsg-b}]\n",
            false => "membership: unknown\n",
        };
        format!(
            "cloud: azure\nsecurity_groups: [{{id: nsg-a, rules: [{}]}}, {{id: nsg-b, rules: [{}]}}]\n{interfaces}",
            group(a),
            group(b)
        )
    })
}

fn google() -> impl Strategy<Value = String> {
    let rule = (any::<bool>(), any::<bool>(), service(false), nets(), 0..4_usize, 900..1100_u32);
    let rule = rule.prop_map(|(ingress, accept, service, nets, more, priority)| {
        let (direction, far, near) = sides(ingress);
        let policy = if accept { "accept" } else { "drop" };
        let mut peers = nets.join(", ");
        let mut rest = String::new();
        match more {
            1 if ingress => peers.push_str(", 'tag:app', 'tag:ci@x.iam'"),
            2 => rest.push_str(", targets: web"),
            3 => {
                "198.51.100.0/24".clone_into(&mut peers);
                rest = format!(", {near}: 10.0.0.0/24");
            }
            _ => {}
        }
        format!("direction: {direction}, policy: {policy}, priority: {priority}, {service}, {far}: [{peers}]{rest}")
    });
    (prop::collection::vec(rule, 1..8), any::<bool>()).prop_map(|(rules, listed)| {
        let rules = (1..).zip(rules).map(|(n, rule)| format!("{{id: r{n}, {rule}}}"));
        let interfaces = match listed {
            true => "interfaces: [{id: vm-a, addresses: 10.0.0.5, security_groups: net, tags: [web, job@x.iam]},
  {id: vm-b, addresses: 10.0.1.6, security_groups: net, tags: app}]\n",
            false => "membership: unknown\n",
        };
        let rules: Vec<String> = rules.collect();
        format!("cloud: google\nsecurity_groups: [{{id: net, rules: [{}]}}]\n{interfaces}", rules.join(", "))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn there_and_back_in_aws(text in aws()) {
        let before = own(&text);
        is_the_same(&before, &aws_json(&before).unwrap());
    }

    #[test]
    fn there_and_back_in_azure(text in azure()) {
        let before = own(&text);
        is_the_same(&before, &azure_json(&before).unwrap());
    }

    #[test]
    fn there_and_back_in_google(text in google()) {
        let before = own(&text);
        is_the_same(&before, &google_json(&before).unwrap());
    }
}

/// A rule that a cloud has no words for is named; nothing is widened.
#[test]
fn what_cannot_be_said_is_named() {
    let to = |text: &str, to: &str| {
        let dir = folder(&[("r.yaml", text)]);
        run_in(dir.path(), &["convert", "r.yaml", "--to", to], b"")
    };
    let aws = "cloud: aws\nsecurity_groups: [{id: sg-a, rules: [{id: sport, direction: ingress, protocol: tcp, ports: 22, source: 0.0.0.0/0, source_ports: 1/2}]}]";
    let acl = "cloud: aws\nnetwork_acls: [{id: acl-a, rules: [{number: 7, direction: ingress, protocol: tcp, ports: [22, 80], source: 0.0.0.0/0}]}]";
    let azure = "cloud: azure\nsecurity_groups: [{id: nsg-a, rules: [{id: gre, direction: ingress, protocol: gre, source: 0.0.0.0/0, priority: 100}, {id: last, direction: ingress, policy: drop, priority: 65500, protocol: all, source: 0.0.0.0/0}]}]";
    let google = "cloud: google\nsecurity_groups: [{id: net, rules: [{id: ping, direction: ingress, protocol: icmp, icmp: 8, source: 0.0.0.0/0, priority: 100}]}]";
    let all = [
        to(aws, "aws"),
        to(aws, "terraform"),
        to(acl, "aws"),
        to(azure, "azure"),
        to(&azure.replace("65500", "200"), "azure"),
        to(&azure.replace("gre,", "tcp,"), "terraform"),
        to(google, "gcp"),
        to(google, "aws"),
    ];
    assert_snapshot!("cannot be said", all.concat());
}

/// What is written is what people read.
#[test]
fn in_the_words_of_each_cloud() {
    let text = std::fs::read_to_string(crate::support::capture("proposed.yaml")).unwrap();
    assert!(text.contains("security_groups"));
    let aws = "cloud: aws
security_groups:
  - id: sg-web
    rules:
      - {direction: ingress, protocol: tcp, ports: [80, 443], source: [0.0.0.0/0, '::/0'], description: 'the \"web\"'}
      - {direction: ingress, protocol: icmp, icmp: 3/4, source: 0.0.0.0/0}
      - {direction: ingress, protocol: all, source: sg-web}
network_acls:
  - id: acl-web
    networks: 10.0.0.0/24
    rules: [{number: 100, direction: ingress, protocol: tcp, ports: 443, source: 0.0.0.0/0}]
interfaces: [{id: eni-web, addresses: 10.0.0.5, security_groups: sg-web}]
";
    let dir = folder(&[("aws.yaml", aws)]);
    let to = |to: &str| run_in(dir.path(), &["convert", "aws.yaml", "--to", to], b"");
    assert_snapshot!("aws json", to("aws"));
    assert_snapshot!("aws terraform", to("terraform"));
}
