//! Bad input: each message as a user reads it.

use insta::assert_snapshot;

use crate::support::{capture, output_in, run_in};

/// Runs `replay` in a directory that holds `rules.yaml` and `x.pcap` with these contents.
fn replay(rules: &str, bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.yaml"), rules).unwrap();
    std::fs::write(dir.path().join("x.pcap"), bytes).unwrap();
    run_in(dir.path(), &["replay", "--rules", "rules.yaml", "x.pcap"], b"")
}

const RULES: &str = "{security_groups: [{id: sg-a}]}";

fn dns() -> Vec<u8> {
    std::fs::read(capture("dns.pcap")).unwrap()
}

/// One rule with these words.
fn rule(words: &str) -> String {
    replay(&format!("security_groups:\n  - id: sg-a\n    rules:\n      - {{{words}}}\n"), &dns())
}

#[test]
fn captures() {
    assert_snapshot!("empty file", replay(RULES, b""));
    assert_snapshot!("text file", replay(RULES, b"hello, world\n"));
    assert_snapshot!("rules as capture", replay(RULES, RULES.as_bytes()));
    assert_snapshot!(
        "damaged gzip",
        replay(RULES, &[&[0x1f, 0x8b, 8, 0][..], &[0xff; 80]].concat())
    );
    assert_snapshot!("header cut", replay(RULES, &dns()[..20]));
    assert_snapshot!("record cut", replay(RULES, &dns()[..200]));
    let mut absurd = dns();
    absurd[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_snapshot!("absurd length", replay(RULES, &absurd));
    let mut link = dns();
    link[20] = 147;
    assert_snapshot!("unknown link type", replay(RULES, &link));
}

#[test]
fn files() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    std::fs::write(dir.path().join("x.pcap"), dns()).unwrap();
    let run = |args: &[&str]| run_in(dir.path(), args, b"");
    assert_snapshot!("missing capture", run(&["replay", "--rules", "rules.yaml", "none.pcap"]));
    assert_snapshot!("missing rules", run(&["replay", "--rules", "none.yaml", "x.pcap"]));
    assert_snapshot!("directory", run(&["replay", "--rules", "rules.yaml", "."]));
    assert_snapshot!("rules directory", run(&["replay", "--rules", ".", "x.pcap"]));
    assert_snapshot!("capture as rules", run(&["replay", "--rules", "x.pcap", "x.pcap"]));
    assert_snapshot!("both from stdin", run(&["replay", "--rules", "-", "-"]));
    assert_snapshot!(
        "overwrite",
        run(&["replay", "--rules", "rules.yaml", "--write-denied", "x.pcap", "x.pcap"])
    );
    assert_snapshot!("no capture", run(&["replay", "--rules", "rules.yaml"]));
    assert_snapshot!("hash of a pipe", run(&["replay", "--rules", "rules.yaml", "--hash", "-"]));
    // Nothing is printed of the first when the second cannot be read.
    assert_snapshot!("second missing", run(&["decode", "x.pcap", "none.pcap"]));
}

/// Root reads everything, so the message is asked of a file that nobody may open.
#[test]
fn no_permission() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.pcap");
    std::fs::write(&path, dns()).unwrap();
    std::fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o0)).unwrap();
    if std::fs::File::open(&path).is_ok() {
        println!("SKIPPED: this user may read every file");
        return;
    }
    assert_snapshot!(run_in(dir.path(), &["replay", "--rules", "rules.yaml", "x.pcap"], b""));
}

#[test]
fn rules_files() {
    assert_snapshot!("tab", replay("security_groups:\n\t- id: sg-a\n", &dns()));
    assert_snapshot!(
        "duplicate key",
        replay("security_groups:\n  - id: sg-a\n    id: sg-b\n", &dns())
    );
    assert_snapshot!(
        "unknown field",
        rule("direction: ingress, protocl: tcp, ports: 22, source: 0.0.0.0/0")
    );
    // A known key that looks like it is no excuse.
    assert_snapshot!(
        "missing key",
        rule("description: x, protocol: tcp, ports: 22, source: 0.0.0.0/0")
    );
    assert_snapshot!("empty rules", replay("", &dns()));
    assert_snapshot!("a list", replay("- 1\n", &dns()));
}

/// `serde_yaml` takes `*x` for the value of `&y` when two values are called `x`.
#[test]
fn names_of_values() {
    let rules = |second: &str| {
        format!(
            "security_groups:\n  - id: sg-a\n    rules:\n      \
             - {{direction: ingress, protocol: tcp, ports: &x 22, source: 10.0.0.0/8}}\n      \
             - {{direction: ingress, protocol: tcp, ports: [&{second} 80, &y 443], source: 11.0.0.0/8}}\n      \
             - {{direction: ingress, protocol: tcp, ports: *x, source: 12.0.0.0/99}}\n"
        )
    };
    assert_snapshot!("a name for two values", replay(&rules("x"), &dns()));
    assert_snapshot!("a fault beside a name", replay(&rules("z"), &dns()));
    assert_snapshot!(
        "a fault in what is named",
        replay(&rules("z").replace("22", "22222222").replace("/99", "/9"), &dns())
    );
}

/// SEMANTICS B1, one by one.
#[test]
fn rules_that_the_cloud_would_refuse() {
    let ingress = |words: &str| rule(&format!("direction: ingress, {words}"));
    let tcp = |words: &str| ingress(&format!("protocol: tcp, {words}"));
    assert_snapshot!("reversed range", tcp("ports: 200/1, source: 0.0.0.0/0"));
    assert_snapshot!("port 0", tcp("ports: 0/10, source: 0.0.0.0/0"));
    assert_snapshot!("tcp without ports", tcp("source: 0.0.0.0/0"));
    assert_snapshot!("tcp with -1", tcp("ports: -1/-1, source: 0.0.0.0/0"));
    assert_snapshot!("icmp with ports", ingress("protocol: icmp, ports: 22, source: 0.0.0.0/0"));
    assert_snapshot!("all with ports", ingress("protocol: all, ports: 1/65535, source: 0.0.0.0/0"));
    assert_snapshot!("protocol", ingress("protocol: tpc, source: 0.0.0.0/0"));
    assert_snapshot!("priority", tcp("ports: 22, source: 0.0.0.0/0, priority: 101"));
    assert_snapshot!("no source", tcp("ports: 22"));
    assert_snapshot!("no destination", rule("direction: egress, protocol: tcp, ports: 22"));
    assert_snapshot!(
        "two families",
        tcp("ports: 22, source: 203.0.113.0/24, destination: 2001:db8::5")
    );
    assert_snapshot!("icmp for ipv6", ingress("protocol: icmp, source: \"::/0\""));
    assert_snapshot!("icmpv6 for ipv4", ingress("protocol: icmpv6, source: 0.0.0.0/0"));
    assert_snapshot!("own group", tcp("ports: 22, source: sg-a"));
    assert_snapshot!(
        "source is destination",
        tcp("ports: 22, source: 10.0.0.5, destination: 10.0.0.5")
    );
    assert_snapshot!("unknown prefix list", tcp("ports: 22, source: pl-office"));
    assert_snapshot!("unknown port list", tcp("ports: prl-web, source: 0.0.0.0/0"));
    assert_snapshot!(
        "port list of icmp",
        ingress("protocol: icmp, ports: prl-web, source: 0.0.0.0/0")
    );
    assert_snapshot!("group as local", tcp("ports: 22, source: 0.0.0.0/0, destination: sg-b"));
    assert_snapshot!("unknown service", tcp("ports: SHH, source: 0.0.0.0/0"));
    assert_snapshot!("wrong service port", tcp("ports: SSH (23), source: 0.0.0.0/0"));
    assert_snapshot!(
        "direction",
        rule("direction: in, protocol: tcp, ports: 22, source: 0.0.0.0/0")
    );
    assert_snapshot!(
        "long description",
        tcp(&format!("ports: 22, source: 0.0.0.0/0, description: {}", "x".repeat(513)))
    );
}

#[test]
fn groups_and_interfaces_that_the_cloud_would_refuse() {
    let file = |text: &str| replay(text, &dns());
    assert_snapshot!(
        "enterprise accept",
        file("{security_groups: [{id: sg-a, type: enterprise, inner_access_policy: accept}]}")
    );
    assert_snapshot!(
        "enterprise with group peer",
        file(
            "{security_groups: [{id: sg-a, type: enterprise, rules: [{direction: ingress, protocol: all, source: sg-b}]}, {id: sg-b, type: enterprise}]}"
        )
    );
    assert_snapshot!(
        "mixed types",
        file("{security_groups: [{id: sg-a}, {id: sg-b, type: enterprise}]}")
    );
    assert_snapshot!(
        "duplicate rule",
        file(
            "{security_groups: [{id: sg-a, rules: [{direction: ingress, protocol: all, source: 0.0.0.0/0}, {direction: ingress, protocol: ALL, source: 10.0.0.0/0}]}]}"
        )
    );
    assert_snapshot!(
        "prefix list family",
        file(
            "{security_groups: [{id: sg-a, rules: [{direction: ingress, protocol: icmp, source: pl-a}]}], prefix_lists: [{id: pl-a, entries: [2001:db8::/32]}]}"
        )
    );
    assert_snapshot!(
        "other vpc",
        file(
            "{security_groups: [{id: sg-a, vpc_id: vpc-1, rules: [{direction: ingress, protocol: all, source: sg-b}]}, {id: sg-b, vpc_id: vpc-2}]}"
        )
    );
    assert_snapshot!(
        "classic prefix list",
        file(
            "{security_groups: [{id: sg-a, rules: [{direction: ingress, protocol: all, source: pl-a, nic_type: internet}]}], prefix_lists: [{id: pl-a, entries: [10.0.0.0/8]}]}"
        )
    );
    let rules: Vec<String> = (1..=21)
        .map(|n| format!("{{direction: ingress, protocol: all, source: sg-{n}}}"))
        .collect();
    assert_snapshot!(
        "21 group peers",
        file(&format!("{{security_groups: [{{id: sg-a, rules: [{}]}}]}}", rules.join(", ")))
    );
    assert_snapshot!(
        "interfaces",
        file(
            "security_groups: [{id: sg-a}]\ninterfaces:\n  - {id: eni-1, addresses: [10.0.0.5], security_groups: [sg-b], timeouts: {udp: 31}}\n  - {id: eni-1, addresses: [10.0.0.0/24], security_groups: [sg-a]}\n"
        )
    );
    assert_snapshot!(
        "address of two",
        file(
            "security_groups: [{id: sg-a}]\ninterfaces:\n  - {id: eni-1, addresses: [10.0.0.5], security_groups: [sg-a], timeouts: {udp: 31}}\n  - {id: eni-2, addresses: [10.0.0.0/24], security_groups: [sg-a]}\n"
        )
    );
}

/// Accepted, and masked (SEMANTICS A2).
#[test]
fn host_bits_are_no_error() {
    let text = rule("direction: ingress, protocol: tcp, ports: 22, source: 10.159.6.18/12");
    assert!(text.starts_with("status 0"), "{text}");
}

#[test]
fn filters() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("x.pcap"), dns()).unwrap();
    let run = |filter: &str| run_in(dir.path(), &["decode", "--filter", filter, "x.pcap"], b"");
    assert_snapshot!("unsupported primitive", run("tcp port 80 and vlan 5"));
    assert_snapshot!("not a port", run("tcp port https2"));
    assert_snapshot!("unfinished", run("tcp and"));
    assert_snapshot!("unbalanced", run("(tcp or udp"));
    assert_snapshot!("byte offsets", run("ip[6:2] & 0x1fff != 0"));
}

/// What completes a cloud's files has no effect on a rules file of ours, and that is said.
#[test]
fn an_option_without_effect_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.yaml"), "{security_groups: [{id: sg-a, rules: []}]}")
        .unwrap();
    for (option, value) in [
        ("--define", "pl-1=10.0.0.0/8"),
        ("--type", "enterprise"),
        ("--tags", "web"),
        ("--param", "a=b"),
    ] {
        let args = ["check", "rules.yaml", option, value];
        let (status, _, stderr) = output_in(dir.path(), &args, b"");
        assert_eq!(status, 0, "{stderr}");
        assert!(
            stderr.contains(&format!("warning: rules.yaml: {option} has no effect")),
            "{stderr}"
        );
    }
}

#[test]
fn files_of_another_encoding_say_how_to_convert_them() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("x"), [0xff, 0xfe, b's', 0]).unwrap();
    std::fs::write(dir.path().join("plan"), b"PK\x03\x04\x14\xff").unwrap();
    for (words, says) in [
        (&["check", "x"][..], "is text in UTF-16; `iconv -f UTF-16 -t UTF-8 IN > OUT` converts it"),
        (&["decode", "x"], "is text in UTF-16"),
        (&["check", "plan"], "`terraform show -json PLAN` prints it"),
    ] {
        let (status, _, err) = output_in(dir.path(), words, b"");
        assert_eq!(status, 2, "{err}");
        assert!(err.contains(says), "{err}");
    }
    for any in ["any", "*", "0/0"] {
        let rules = format!(
            "{{security_groups: [{{id: sg-a, rules: [
          {{direction: ingress, protocol: tcp, ports: 22, source: '{any}'}}]}}]}}"
        );
        std::fs::write(dir.path().join("rules.yaml"), rules).unwrap();
        let (status, _, err) = output_in(dir.path(), &["check", "rules.yaml"], b"");
        assert_eq!(status, 2, "{err}");
        assert!(err.contains("any IPv4 address is `0.0.0.0/0`"), "{err}");
    }
}
