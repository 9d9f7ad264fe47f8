//! Inputs that ask for more than they are worth: each ends with a message that says the bound, within a limit on
//! memory. Sizes are such that what grows with the square of them would not end, which the limit on processor time
//! turns into a failure.

use std::path::Path;

use crate::support::{self, capture, ipv4, pcap};

/// Status and standard error of a run within so many MiB of address space, which must end by itself.
fn within(mib: usize, dir: &Path, words: &[&str]) -> (i32, String) {
    let (status, err) = support::within(mib, dir, words);
    (status.unwrap_or_else(|| panic!("{words:?}: {err}")), err)
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["current.yaml", "proposed.yaml", "expectations.yaml"] {
        std::fs::copy(capture(name), dir.path().join(name)).unwrap();
    }
    std::fs::write(
        dir.path().join("x.pcap"),
        pcap(101, &[&ipv4("203.0.113.9:40000", "10.0.0.5:22", "S")]),
    )
    .unwrap();
    dir
}

/// What reads a file `f`: its words, and what stands before a value of it.
const READERS: [(&[&str], &str); 7] = [
    (&["check", "f"], ""),
    (&["check", "f"], "security_groups: "),
    (&["replay", "--rules", "f", "x.pcap"], "{\"SecurityGroups\": "),
    (&["test", "current.yaml", "f"], "expectations: "),
    (
        &[
            "diff",
            "--current",
            "current.yaml",
            "--proposed",
            "proposed.yaml",
            "--local",
            "10.0.0.5",
            "--accept",
            "f",
            "x.pcap",
        ],
        "",
    ),
    (&["ci", "f"], "proposed: "),
    (&["convert", "f", "--to", "yaml"], "ROSTemplateFormatVersion: "),
];

#[test]
fn files_nest_so_deep_and_no_deeper() {
    let dir = folder();
    for (words, before) in READERS {
        for open in ["[", "{a: ", "{\"a\": ", "- ", "? ", "[{a: "] {
            for closed in [false, true] {
                let close: String = open
                    .chars()
                    .rev()
                    .filter_map(|c| match c {
                        '[' => Some(']'),
                        '{' => Some('}'),
                        _ => None,
                    })
                    .collect();
                let n = 80_000;
                let close = if closed { close.repeat(n) } else { String::new() };
                let text = format!("{before}{}1{close}", open.repeat(n));
                std::fs::write(dir.path().join("f"), text).unwrap();
                let (status, err) = within(512, dir.path(), words);
                assert_eq!(status, 2, "{words:?} {before}{open}: {err}");
                assert!(err.len() < 4000, "{words:?} {before}{open}: {} bytes", err.len());
            }
        }
    }
}

#[test]
fn terraform_nests_so_deep_and_no_deeper() {
    let dir = folder();
    for (open, close) in [
        ("[", "]"),
        ("(", ")"),
        ("{a = ", "}"),
        ("!", ""),
        ("\"${", "}\""),
        ("true ? 1 : ", ""),
        ("1 + ", ""),
        ("[for x in [1] : ", "]"),
    ] {
        for n in [60, 80_000] {
            let text = format!(
                "resource \"alicloud_security_group\" \"a\" {{\n  description = {}1{}\n}}\n",
                open.repeat(n),
                close.repeat(n)
            );
            std::fs::write(dir.path().join("f.tf"), text).unwrap();
            let (status, err) = within(512, dir.path(), &["check", "f.tf"]);
            assert!(n == 60 || status == 2, "{open} {n}: {err}");
        }
    }
}

/// A few lines that would come to more than any machine has.
#[test]
fn bombs() {
    let dir = folder();
    let aliases = |n: usize| {
        let line = |i: usize| match i {
            0 => "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(),
            i => format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", ")),
        };
        (0..n).map(line).collect::<String>()
    };
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(4000));
    for (words, before) in READERS.into_iter().filter(|(_, before)| !before.contains('"')) {
        for text in [aliases(30), long.clone()] {
            std::fs::write(dir.path().join("f"), format!("{text}{before}1\n")).unwrap();
            let (status, err) = within(512, dir.path(), words);
            assert_eq!(status, 2, "{words:?}: {err}");
        }
    }
    let local = |i: usize| match i {
        0 => "  a0 = \"xxxxxxxxxx\"\n".to_owned(),
        i => format!("  a{i} = \"{}\"\n", format!("${{local.a{}}}", i - 1).repeat(10)),
    };
    let group = "resource \"alicloud_security_group\" \"a\" {\n  description = local.a39\n}\n";
    let terraform = [
        format!("locals {{\n{}}}\n{group}", (0..40).map(local).collect::<String>()),
        format!(
            "locals {{\n  l = [{}]\n  a39 = {}1{}\n}}\n{group}",
            "1, ".repeat(1000),
            "[for x in local.l : ".repeat(12),
            "]".repeat(12)
        ),
        "resource \"alicloud_security_group\" \"a\" {\n  count = 1000000000\n}\n".to_owned(),
    ];
    for text in terraform {
        std::fs::write(dir.path().join("f.tf"), text).unwrap();
        within(512, dir.path(), &["check", "f.tf"]);
    }
    let (status, err) = within(512, dir.path(), &["check", "f.tf"]);
    assert!(status == 2 && err.contains("10000 instances at most"), "{err}");
    // Conditions of a template that are made of each other.
    let condition = |i: usize| format!("  c{i}: {{\"Fn::And\": [c{}, c{}]}}\n", i + 1, i + 1);
    let template = format!(
        "ROSTemplateFormatVersion: '2015-09-01'\nConditions:\n{}  c30: true\nResources:\n  a: {{Type: \
         'ALIYUN::ECS::SecurityGroup', Condition: c0}}\n",
        (0..30).map(condition).collect::<String>()
    );
    std::fs::write(dir.path().join("f"), template).unwrap();
    let (status, err) = within(512, dir.path(), &["check", "f"]);
    assert!(status == 2 && err.contains("made of each other too often"), "{err}");
}

#[test]
fn filters_have_so_many_tests() {
    let dir = folder();
    for (word, n) in [(" or ", 80_000), (" and ", 80_000), (" ", 1_000_000)] {
        let filter = vec!["tcp"; n].join(word);
        std::fs::write(dir.path().join("a"), format!("[{{reason: x, filter: '{filter}'}}]"))
            .unwrap();
        let words = [
            "diff",
            "--current",
            "current.yaml",
            "--proposed",
            "proposed.yaml",
            "--local",
            "10.0.0.5",
            "x.pcap",
            "--accept",
            "a",
        ];
        let (status, err) = within(256, dir.path(), &words);
        assert_eq!(status, 2, "{err}");
        assert!(err.len() < 1000, "{} bytes", err.len());
    }
    let entries = "- {filter: tcp port 1, reason: x}\n".repeat(5000);
    std::fs::write(dir.path().join("a"), entries).unwrap();
    let words = [
        "diff",
        "--current",
        "current.yaml",
        "--proposed",
        "proposed.yaml",
        "--local",
        "10.0.0.5",
        "x.pcap",
        "--accept",
        "a",
    ];
    let (status, err) = within(256, dir.path(), &words);
    assert!(status == 2 && err.contains("4096 at most"), "{err}");
}

fn rule(n: usize) -> String {
    let (port, [_, a, b, c]) = (n % 60_000 + 1, u32::try_from(n).unwrap().to_be_bytes());
    format!(
        "      - {{direction: ingress, protocol: tcp, ports: {port}, source: 10.{a}.{b}.{c}}}\n"
    )
}

fn rules(n: usize) -> String {
    let all: String = (0..n).map(rule).collect();
    format!("security_groups:\n  - id: sg-a\n    rules:\n{all}")
}

#[test]
fn there_are_so_many_rules() {
    let dir = folder();
    let write = |name: &str, text: String| std::fs::write(dir.path().join(name), text).unwrap();
    write("many.yaml", rules(400_000));
    let (status, err) = within(512, dir.path(), &["replay", "--rules", "many.yaml", "x.pcap"]);
    assert!(status == 2 && err.contains("2500000 values at most"), "{err}");
    write("more.yaml", rules(100_001));
    let (status, err) = within(1024, dir.path(), &["replay", "--rules", "more.yaml", "x.pcap"]);
    assert!(status == 2 && err.contains("there are 100001 rules, and 100000 at most"), "{err}");
    // As JSON of the cloud.
    let permission = |n: usize| {
        let [_, a, b, c] = u32::try_from(n).unwrap().to_be_bytes();
        format!(
            "{{\"IpProtocol\":\"tcp\",\"FromPort\":22,\"ToPort\":22,\"IpRanges\":[{{\"CidrIp\":\"10.{a}.{b}.{c}/32\"}}]}}"
        )
    };
    let all: Vec<String> = (0..400_000).map(permission).collect();
    write(
        "aws.json",
        format!(
            "{{\"SecurityGroups\":[{{\"GroupId\":\"sg-1\",\"IpPermissions\":[{}]}}]}}",
            all.join(",")
        ),
    );
    let (status, err) = within(512, dir.path(), &["check", "aws.json"]);
    assert!(status == 2 && err.contains("2500000 values at most"), "{err}");
}

/// As many rules as there may be, in every command.
#[test]
fn so_many_rules_take_so_much_memory() {
    let dir = folder();
    std::fs::write(dir.path().join("r.yaml"), rules(100_000)).unwrap();
    for words in [
        &["replay", "--rules", "r.yaml", "--local", "10.0.0.5", "x.pcap"][..],
        &["check", "r.yaml"],
        &["diff", "--current", "current.yaml", "--proposed", "r.yaml", "--local", "10.0.0.5"],
    ] {
        let (status, err) = within(1536, dir.path(), words);
        assert_eq!(status, 0, "{words:?}: {err}");
    }
}

fn interface(n: usize) -> String {
    let [_, a, b, c] = u32::try_from(n).unwrap().to_be_bytes();
    format!("  - {{id: eni-{n}, addresses: [10.{a}.{b}.{c}], security_groups: [sg-a]}}\n")
}

#[test]
fn faults_among_many_interfaces() {
    let dir = folder();
    let head = "security_groups:\n  - {id: sg-a, inner_access_policy: drop}\ninterfaces:\n";
    let many: String = (0..30_000).map(interface).collect();
    let faults = [
        "  - {id: eni-x, addresses: [11.0.0.5], security_groups: [sg-a], x: 1}\n",
        "  - {id: eni-x, addresses: [a.0.0.5], security_groups: [sg-a]}\n",
        "  - {id: eni-x, addresses: [11.0.0.5], security_groups: [sg-x]}\n",
        "  - {id: eni-0, addresses: [11.0.0.5], security_groups: [sg-a]}\n",
        "  - {id: eni-x, addresses: [11.0.0.5], security_groups: [sg-a], timeouts: {udp: 31}}\n",
        "  - {addresses: [11.0.0.5], security_groups: [sg-a]}\n",
        "  - {id: eni-x, id: eni-y, addresses: [11.0.0.5], security_groups: [sg-a]}\n",
    ];
    for fault in faults {
        std::fs::write(dir.path().join("f"), format!("{head}{many}{fault}")).unwrap();
        let (status, err) = within(1024, dir.path(), &["check", "f"]);
        assert!(status == 2 && err.contains("f:30004:"), "{fault}: {err}");
    }
    // Every one of them.
    for change in [("}\n", ", x: 1}\n"), ("id: ", "idd: "), ("10.", "a."), ("[sg-a]", "[sg-x]")] {
        let all = many.replace(change.0, change.1);
        std::fs::write(dir.path().join("f"), format!("{head}{all}")).unwrap();
        let (status, err) = within(1024, dir.path(), &["check", "f"]);
        assert!(
            status == 2 && err.contains("f:4:") && err.contains("more faults"),
            "{change:?}: {err}"
        );
    }
    // Their members count once for each set of groups that an interface has.
    let open = head.replace("drop", "accept");
    std::fs::write(dir.path().join("f"), format!("{open}{many}")).unwrap();
    let (status, err) = within(512, dir.path(), &["check", "f"]);
    assert_eq!(status, 0, "{err}");
    let group = |n: usize| format!("  - {{id: sg-{n}, inner_access_policy: drop}}\n");
    let groups: Vec<String> = (0..600).map(group).collect();
    let groups = groups.concat();
    let mut number = 0..;
    let sets: Vec<String> = many
        .lines()
        .map(|line| line.replace("[sg-a]", &format!("[sg-a, sg-{}]", number.next().unwrap() % 600)))
        .collect();
    let open = open.replace("interfaces:\n", &format!("{groups}interfaces:\n"));
    std::fs::write(dir.path().join("f"), format!("{open}{}\n", sets.join("\n"))).unwrap();
    let (status, err) = within(512, dir.path(), &["check", "f"]);
    assert!(status == 2 && err.contains("networks and port ranges"), "{err}");
}

/// Every rule would be held against every other.
#[test]
fn many_rules_are_checked() {
    let dir = folder();
    let rule = |n: u32| {
        let [_, a, b, c] = n.to_be_bytes();
        format!("  - {{direction: ingress, protocol: tcp, ports: 443, source: 20.{a}.{b}.{c}}}\n")
    };
    let rules: Vec<String> = (0..40_000).map(rule).collect();
    let text = format!("security_groups:\n- id: sg-a\n  rules:\n{}", rules.concat());
    std::fs::write(dir.path().join("f"), text).unwrap();
    // 2 if something was not checked.
    let (status, err) = within(1024, dir.path(), &["check", "f", "--fail-on", "error"]);
    assert_eq!(status, 0, "{err}");
}

/// Words of any length in messages.
#[test]
fn long_words() {
    let dir = folder();
    let long = "x".repeat(8 << 20);
    let rule = |words: &str| {
        format!(
            "security_groups:\n  - id: sg-a\n    rules:\n      - {{direction: ingress, protocol: tcp, {words}}}\n"
        )
    };
    for text in [
        rule(&format!("ports: {long}, source: 0.0.0.0/0")),
        rule(&format!("ports: 22, source: {long}")),
        rule(&format!("ports: 22, source: 0.0.0.0/0, id: {long}, policy: {long}")),
        format!("security_groups: [{{id: {long}}}, {{id: {long}}}]\n"),
        format!(
            "security_groups: [{{id: sg-a}}]\ninterfaces: [{{id: e, addresses: [10.0.0.5], security_groups: [{long}]}}]\n"
        ),
    ] {
        std::fs::write(dir.path().join("f"), text).unwrap();
        let (status, _) = within(512, dir.path(), &["check", "f"]);
        assert_eq!(status, 2);
    }
    // No file of rules is as long as this; a capture may be.
    std::fs::write(dir.path().join("f"), vec![b' '; 65 << 20]).unwrap();
    for words in [&["check", "f"][..], &["test", "current.yaml", "f"], &["ci", "f"]] {
        let (status, err) = within(512, dir.path(), words);
        assert!(status == 2 && err.contains("64 MiB"), "{err}");
    }
}

/// Every interface would be looked for among all of the other file, and each that a network ACL names among all of its
/// own.
#[test]
fn many_interfaces_behind_network_acls() {
    let dir = folder();
    let write = |name: &str, acls: &str, count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("{name}-{n}")).collect();
        let interfaces = (0..count).map(|n| {
            format!(
                "  - {{id: {name}-{n}, addresses: [10.0.{}.{}], security_groups: [sg-a]}}\n",
                n / 256,
                n % 256
            )
        });
        let text = format!(
            "security_groups: [{{id: sg-a, inner_access_policy: drop, rules: [\n    {{direction: ingress, protocol: tcp, ports: \
             22, source: 10.0.0.0/8}}]}}]\nnetwork_acls: {}\ninterfaces:\n{}",
            acls.replace("ALL", &names.join(", ")),
            interfaces.collect::<String>(),
        );
        std::fs::write(dir.path().join(name), text).unwrap();
    };
    let named = "[{id: acl, interfaces: [ALL], rules: []}]";
    write("a", named, 30_000);
    write("b", named, 30_000);
    // They have none in common.
    let (status, err) = within(1024, dir.path(), &["diff", "--current", "a", "--proposed", "b"]);
    assert!(status == 2 && err.contains("a-0") && err.contains("29,990 more"), "{err}");
    // Each stands before every interface, which may have one.
    let all: Vec<String> = (0..15_000).map(|n| format!("{{id: acl-{n}, rules: []}}")).collect();
    write("f", &format!("[{}]", all.join(", ")), 30_000);
    let (status, err) = within(1024, dir.path(), &["check", "f"]);
    assert!(status == 2 && err.contains("network ACLs; a subnet has one"), "{err}");
    // Names that are none of theirs.
    write("f", &named.replace("ALL", &"x, ".repeat(30_000)), 30_000);
    let (status, err) = within(1024, dir.path(), &["check", "f"]);
    assert!(status == 2 && err.contains("there is no interface `x`"), "{err}");
}

/// A cloud raises its quotas.
#[test]
fn prefix_lists_of_a_hundred_thousand_entries() {
    let dir = folder();
    let entry = |n: u32| {
        let [_, a, b, c] = (2 * n).to_be_bytes();
        format!("      - 20.{a}.{b}.{c}\n")
    };
    let entries: String = (0..100_000).map(entry).collect();
    let text = |port: u16| {
        format!(
            "security_groups:\n  - id: sg-a\n    rules:\n      - {{direction: ingress, protocol: tcp, ports: 22, source: \
             pl-a}}\n      - {{direction: ingress, protocol: tcp, ports: {port}, source: pl-a}}\nprefix_lists:\n  - id: \
             pl-a\n    entries:\n{entries}"
        )
    };
    std::fs::write(dir.path().join("f"), text(443)).unwrap();
    std::fs::write(dir.path().join("g"), text(444)).unwrap();
    let expected =
        "expectations: [{name: x, protocol: tcp, ports: 22, source: 20.0.0.2, verdict: allow}]";
    std::fs::write(dir.path().join("e"), expected).unwrap();
    let explain = ["--direction", "ingress", "--proto", "tcp", "--src", "20.0.0.2:40000", "--dst"];
    for words in [
        &["replay", "--rules", "f", "--local", "10.0.0.5", "x.pcap"][..],
        &["diff", "--current", "f", "--proposed", "g"],
        &["check", "f"],
        &["test", "f", "e"],
        &[&["explain", "--rules", "f"][..], &explain, &["10.0.0.5:22"]].concat(),
    ] {
        let (status, err) = within(1024, dir.path(), words);
        assert!(status == 2 && err.contains("1 to 200 entries"), "{words:?}: {err}");
        assert!(err.contains("--no-quota"), "{words:?}: {err}");
        let (status, err) = within(1024, dir.path(), &[words, &["--no-quota"]].concat());
        assert_eq!(status, 0, "{words:?}: {err}");
        assert!(!err.contains("quota"), "{words:?}: {err}");
    }
}
