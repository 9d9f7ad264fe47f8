//! `sgreplay check`: each code by an example, what it says held against the exact difference.

use insta::assert_snapshot;
use jiff::civil::date;
use proptest::prelude::*;
use sgreplay::check::{Checked, Finding, check};
use sgreplay::diff;
use sgreplay::evaluate::{Evaluator, Reference};
use sgreplay::rules::{Code, EntryKind, RuleSet};

use crate::space::{file, proposals, rules};
use crate::support::{output_in, root, run, run_in};

fn checked(text: &str) -> Checked {
    check(&rules(text), date(2026, 11, 24))
}

/// The codes that one group with these rules gives, with the rule and the first other.
fn codes(rules: &[&str]) -> Vec<String> {
    let text = format!("{{security_groups: [{{id: sg-a, rules: [{}]}}]}}", rules.join(", "));
    said(&checked(&text))
}

fn said(checked: &Checked) -> Vec<String> {
    let say = |Finding { code, severity, rule, others, .. }: &Finding| {
        let rule = rule.as_deref().unwrap_or("-");
        let others: Vec<&str> = others.iter().map(|other| other.rule.as_str()).collect();
        format!("{} {code} {rule} {}", severity.as_str(), others.join("+")).trim_end().to_owned()
    };
    checked.findings.iter().map(say).collect()
}

const OFFICE: &str = "source: 203.0.113.0/24";
const ALL: &str = "source: 0.0.0.0/0";

fn rule(id: &str, words: &str) -> String {
    format!("{{id: {id}, direction: ingress, protocol: tcp, {words}}}")
}

#[test]
fn rules_that_never_act() {
    let drop = rule("a", &format!("ports: 20/30, policy: drop, priority: 1, {ALL}"));
    let ssh = rule("b", &format!("ports: 22, priority: 2, {OFFICE}"));
    assert_eq!(codes(&[&drop, &ssh]), ["warning shadowed b a"]);
    // By several together, none of which would do.
    let low = rule("a", "ports: 20/30, policy: drop, source: 0.0.0.0/1");
    let high = rule("c", "ports: 20/30, policy: drop, source: 128.0.0.0/1");
    let ssh = rule("b", &format!("ports: 22, priority: 2, {ALL}"));
    let all = codes(&[&low, &high, &ssh]);
    assert!(all.contains(&"warning shadowed b a+c".to_owned()), "{all:?}");
    // The same answer: redundant.
    let wide = rule("a", "ports: 20/30, source: 10.0.0.0/8");
    let narrow = rule("b", "ports: 22, priority: 2, source: 10.1.0.0/16");
    assert_eq!(codes(&[&wide, &narrow]), ["warning redundant b a"]);
    // Also where the wider one comes later (SEMANTICS B12).
    let narrow = rule("b", "ports: 22, source: 10.1.0.0/16");
    let wide = rule("a", "ports: 20/30, priority: 2, source: 10.0.0.0/8");
    assert_eq!(codes(&[&narrow, &wide]), ["warning redundant b a"]);
    // But not where another answer stands between them.
    let between = rule("c", "ports: 22, policy: drop, priority: 2, source: 10.1.2.0/24");
    let wide = rule("a", "ports: 20/30, priority: 3, source: 10.0.0.0/8");
    let all = codes(&[&narrow, &between, &wide]);
    assert!(all.iter().all(|of| !of.contains("redundant b")), "{all:?}");
    assert!(all.contains(&"warning shadowed c b".to_owned()), "{all:?}");
}

/// Under SEMANTICS A4 an equal `drop` is not covered by an `accept`.
#[test]
fn equal_priorities() {
    let accept = rule("a", "ports: 20/30, source: 10.0.0.0/8");
    let drop = rule("b", "ports: 22, policy: drop, source: 10.0.0.0/8");
    assert_eq!(codes(&[&accept, &drop]), ["warning conflicting a b"]);
    let drop = rule("b", "ports: 22, policy: drop, source: 10.0.0.0/8, priority: 1");
    let accept = rule("a", "ports: 20/30, source: 10.0.0.0/8, priority: 2");
    assert_eq!(codes(&[&accept, &drop]), ["note generalization a b"]);
    let drop = rule("b", "ports: 22, policy: drop, source: 10.0.0.0/8");
    let accept = rule("a", "ports: 20/30, source: 10.1.0.0/16, priority: 2");
    assert_eq!(codes(&[&accept, &drop]), ["note correlated a b"]);
    let drop = rule("a", &format!("ports: 22, policy: drop, {OFFICE}"));
    assert_eq!(codes(&[&drop]), ["note same-as-default a default"]);
}

#[test]
fn what_no_packet_can_match() {
    let text = |more: &str| {
        format!(
            "{{security_groups: [{{id: sg-a, rules: [{}, {}, {}, {}]}}, {{id: sg-b}}]{more}}}",
            rule("anybody", "ports: 81, source: 0.0.0.0"),
            rule("group", "ports: 80, source: sg-b"),
            rule("narrow", "ports: 80, source: 10.0.0.0/8, destination: 10.0.0.9"),
            rule("v6", "ports: 80, source: \"2001:db8::/32\""),
        )
    };
    let eni = ", interfaces: [{id: eni-a, addresses: [10.0.0.5], security_groups: [sg-a]}]";
    let all = said(&checked(&text(eni)));
    let wanted = [
        "warning unmatchable anybody",
        "warning unmatchable group",
        "warning unmatchable narrow",
        "note unmatchable v6",
        "note unused-group -",
    ];
    assert_eq!(all, wanted);
    // Of interfaces that are not listed nothing is known, nor of who is a member of which group. Here the one
    // interface has both, so that members of either reach it by being members.
    let all = said(&checked(&text("")));
    assert_eq!(all, ["warning unmatchable anybody", "warning redundant group intra-group"]);
    let elsewhere = text("").replace("source: sg-b", "source: sg-elsewhere");
    assert_eq!(said(&checked(&elsewhere)), ["warning unmatchable anybody"]);
}

#[test]
fn what_is_open_to_everybody() {
    let all = |words: &str| codes(&[&rule("a", words)]);
    let open = |ports: &str| all(&format!("ports: {ports}, {ALL}"));
    assert_eq!(open("SSH"), ["error open-administration a"]);
    assert_eq!(open("3000/4000"), ["error open-administration a", "error open-database a"]);
    assert_eq!(open("1/65535"), ["error open-all-ports a"]);
    assert_eq!(
        all("ports: SSH, source: [0.0.0.0/1, 128.0.0.0/1]"),
        ["error open-administration a"]
    );
    assert_eq!(all(&format!("ports: SSH, {OFFICE}")), [""; 0]);
    assert_eq!(all("ports: MySQL, source: \"::/0\""), ["error open-database a"]);
    assert_eq!(open("445"), ["note ipv6-forgotten a", "note carrier-blocked a"]);
    let protocols = "{id: a, direction: ingress, protocol: all, source: 0.0.0.0/0}";
    assert_eq!(codes(&[protocols]), ["error open-all-protocols a"]);
    // What rules before it drop is not open.
    let drop = rule("b", &format!("ports: SSH, policy: drop, {ALL}"));
    let wide = rule("a", &format!("ports: 18/22, priority: 2, {ALL}"));
    let found = codes(&[&drop, &wide]);
    assert!(found.iter().all(|of| !of.contains("open-")), "{found:?}");
    let browser = "{id: a, direction: ingress, protocol: udp, ports: 1434, source: 0.0.0.0/0}";
    assert!(codes(&[browser]).contains(&"warning open-sql-browser a".to_owned()));
    let mail = "{id: a, direction: egress, protocol: tcp, ports: 25, destination: 0.0.0.0/0}";
    assert!(codes(&[mail]).contains(&"note smtp-restricted a".to_owned()));
    assert!(!codes(&[&mail.replace("0.0.0.0/0", "10.0.0.0/8")]).join(" ").contains("smtp"));
}

#[test]
fn what_is_forgotten() {
    let web = rule("web", &format!("ports: 80, {ALL}"));
    let ping = "{id: ping, direction: ingress, protocol: icmp, source: 0.0.0.0/0}";
    let ping6 = "{id: ping6, direction: ingress, protocol: icmpv6, source: \"::/0\"}";
    let web6 = rule("web6", "ports: 80, source: \"::/0\"");
    assert_eq!(codes(&[&web]), ["note ipv6-forgotten web"]);
    assert_eq!(
        codes(&[&web, ping6]),
        ["warning ipv6-forgotten web", "warning ipv4-forgotten ping6"]
    );
    assert_eq!(codes(&[&web, &web6, ping]), ["warning icmpv6-forgotten ping"]);
    assert_eq!(codes(&[&web, &web6, ping, ping6]), [""; 0]);
    // Dropped in one family, and open in the other.
    let egress = |policy: &str, priority: u8, words: &str| {
        format!(
            "{{id: {policy}{priority}, direction: egress, policy: {policy}, priority: {priority}, {words}}}"
        )
    };
    let drop = egress("drop", 100, "protocol: all, destination: 0.0.0.0/0");
    let drop6 = egress("drop", 99, "protocol: all, destination: \"::/0\"");
    assert_eq!(codes(&[&drop]), ["note ipv6-forgotten drop100"]);
    // Neighbour discovery passes whatever the rules say.
    let both = codes(&[&drop, &drop6]);
    assert!(!both.join(" ").contains("forgotten"), "{both:?}");
    let https = egress("accept", 1, "protocol: tcp, ports: 443, destination: 192.0.2.0/24");
    let dns = egress("accept", 2, "protocol: udp, ports: 53, destination: 100.100.2.136");
    let without = codes(&[&drop, &drop6, &https]);
    assert!(without.contains(&"warning egress-without-dns - drop100".to_owned()), "{without:?}");
    let with = codes(&[&drop, &drop6, &https, &dns]);
    assert!(!with.join(" ").contains("without"), "{with:?}");
    let without = codes(&[&drop, &drop6, &dns]);
    assert!(without.contains(&"note egress-without-cloud-assistant - drop100".to_owned()));
    assert!(!codes(&[&drop, &drop6]).join(" ").contains("without"), "isolated on purpose");
    // FTP's data connections.
    let ftp = rule("ftp", &format!("ports: 20/21, {OFFICE}"));
    let data = rule("data", &format!("ports: 50000/50100, {OFFICE}"));
    assert_eq!(codes(&[&ftp]), ["warning ftp-without-passive ftp"]);
    assert_eq!(codes(&[&ftp, &data]), [""; 0]);
}

#[test]
fn quotas() {
    let peers: Vec<String> =
        (0..1001).map(|n| format!("10.{}.{}.0/32", n / 250, n % 250)).collect();
    let many = rule("a", &format!("ports: 80, source: [{}]", peers.join(", ")));
    assert_eq!(codes(&[&many]), ["warning quota-rules -"]);
    let text = "{security_groups: [{id: sg-a}], interfaces: [
        {id: eni-a, addresses: [10.0.0.0/19], security_groups: [sg-a]}]}";
    assert_eq!(said(&checked(text)), ["warning quota-addresses -"]);
}

/// A rule of several interfaces is useless only if it is so at all of them.
#[test]
fn at_every_interface() {
    let text = |second: &str| {
        format!(
            "{{security_groups: [{{id: sg-a, rules: [{}]}}, {{id: sg-b, rules: [{}]}}], interfaces: [
             {{id: eni-a, addresses: [10.0.0.5], security_groups: [sg-a, sg-b]}},
             {{id: eni-b, addresses: [10.0.0.6], security_groups: [{second}]}}]}}",
            rule("ssh", &format!("ports: 22, priority: 2, {OFFICE}")),
            rule("none", &format!("ports: 20/30, policy: drop, {ALL}")),
        )
    };
    assert!(said(&checked(&text("sg-a, sg-b")))[0].contains("shadowed ssh"));
    assert!(!said(&checked(&text("sg-a"))).join(" ").contains("shadowed"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// What is called shadowed or redundant or the default's can go, one rule at a time, and the exact
    /// difference finds nothing; any other rule's going turns some verdict.
    #[test]
    fn only_what_does_nothing_is_called_so((texts, _) in proposals(), enterprise in any::<bool>()) {
        let kind = if enterprise { "enterprise" } else { "basic" };
        let whole = rules(&file(&texts, kind));
        let found = check(&whole, date(2026, 11, 24)).findings;
        for (n, _) in texts.iter().enumerate() {
            let mut fewer = texts.clone();
            fewer.remove(n);
            let turned = diff::regions(&whole, &rules(&file(&fewer, kind))).unwrap();
            let useless = [Code::Shadowed, Code::Redundant, Code::SameAsDefault, Code::Unmatchable];
            let called = found.iter().any(|f| f.place == Some((0, n)) && useless.contains(&f.code));
            prop_assert_eq!(called, turned.is_empty(), "{}: {:?}", texts[n], said_of(&found));
        }
        for finding in &found {
            example_shows(&whole, finding);
        }
    }
}

fn said_of(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|of| format!("{} {:?}", of.code, of.rule)).collect()
}

/// The example packet is decided as the finding says.
fn example_shows(rules: &RuleSet, finding: &Finding) {
    let Some(example) = finding.example else { return };
    let list = rules.ordered(example.interface, example.direction);
    let entry = list.entry(Reference(&list).decide(&example.flow)).unwrap();
    let (_, decider) = rules.names(example.interface, entry);
    let by_others = || finding.others.iter().any(|other| other.rule == decider);
    match finding.code {
        Code::Shadowed | Code::Conflicting | Code::Correlated | Code::Generalization => {
            assert!(by_others(), "{finding:?} {decider}");
        }
        Code::OpenAdministration | Code::OpenDatabase | Code::OpenAllProtocols => {
            assert_eq!(Some(decider), finding.rule);
        }
        Code::Redundant if entry.kind == EntryKind::Default => panic!("{finding:?}"),
        _ => {}
    }
}

/// Everything wrong at once, with a suppression that holds, one that has ended, and one for nothing.
const BAD: &str = "security_groups:
  - id: sg-a
    rules:
      - {id: ssh, direction: ingress, protocol: tcp, ports: SSH, source: 0.0.0.0/0}
      - {id: redis, direction: ingress, protocol: tcp, ports: Redis, source: 0.0.0.0/0}
      - {id: web, direction: ingress, protocol: tcp, ports: [80, 443], source: 0.0.0.0/0, priority: 2}
      - {id: old, direction: ingress, protocol: tcp, ports: 80, source: 203.0.113.0/24, priority: 3}
      - id: out
        direction: egress
        policy: drop
        protocol: all
        destination: 0.0.0.0/0
suppressions:
  - {code: open-administration, rule: ssh, reason: a jump host}
  - {code: open-database, rule: redis, reason: for the demo, until: 2026-01-31}
  - {code: shadowed, reason: none any more}
";

fn bad(args: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("bad.yaml"), BAD).unwrap();
    run_in(dir.path(), &[&["check", "bad.yaml"], args].concat(), b"")
}

#[test]
fn as_text_and_for_programs() {
    assert_snapshot!("text", bad(&["--notes"]));
    assert_snapshot!("json", bad(&["-f", "json"]));
    assert_snapshot!("csv", bad(&["-f", "csv"]));
    assert_snapshot!("explain", run(&["check", "--explain", "egress-without-dns"]));
    assert_snapshot!("codes", run(&["check", "--codes"]));
    assert_snapshot!("no such code", run(&["check", "--explain", "shadow"]));
    assert_snapshot!("nothing named", run(&["check"]));
}

#[test]
fn gates() {
    let status = |args: &[&str]| bad(args).lines().next().unwrap().to_owned();
    assert_eq!(status(&[]), "status 0");
    assert_eq!(status(&["--fail-on", "error"]), "status 1");
    let good = run(&["check", "proposed.yaml", "--fail-on", "error"]);
    assert!(good.starts_with("status 0"), "{good}");
    assert!(run(&["check", "proposed.yaml", "--fail-on", "warning"]).starts_with("status 1"));
}

#[test]
fn faults_of_suppressions_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let faulty = BAD
        .replace("open-administration", "open-admin")
        .replace("rule: redis", "rule: rediss")
        .replace("reason: none any more", "until: today");
    std::fs::write(dir.path().join("bad.yaml"), faulty).unwrap();
    assert_snapshot!("faulty suppressions", run_in(dir.path(), &["check", "bad.yaml"], b""));
}

/// SARIF is what its schema says.
#[test]
fn sarif_is_valid() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a b.yaml"), BAD).unwrap();
    let (status, out, _) = output_in(dir.path(), &["check", "a b.yaml", "-f", "sarif"], b"");
    assert_eq!(status, 0);
    let sarif: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_valid_sarif(&sarif);
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let redis = results.iter().find(|result| result["ruleId"] == "open-database").unwrap();
    let location = &redis["locations"][0]["physicalLocation"];
    assert_eq!(location["artifactLocation"]["uri"], "a%20b.yaml");
    assert_eq!(location["region"]["startLine"], 5);
    let ssh = results.iter().find(|result| result["ruleId"] == "open-administration").unwrap();
    assert_eq!(ssh["suppressions"][0]["justification"], "a jump host");
}

pub(crate) fn assert_valid_sarif(sarif: &serde_json::Value) {
    let schema = std::fs::read_to_string(root().join("tests/schemas/sarif-2.1.0.json")).unwrap();
    // A regular expression of it has a bracket too many, about a key that we do not write.
    let schema = schema.replace("{2}]?$", "{2}?$");
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let faults: Vec<String> = validator.iter_errors(sarif).map(|error| error.to_string()).collect();
    assert_eq!(faults, [""; 0]);
    // The schema is not asleep.
    let mut broken = sarif.clone();
    broken["runs"][0]["results"][0]["level"] = "bad".into();
    assert!(!validator.is_valid(&broken));
}

/// No packet arrives from the address that it is sent to, so none shows that two rules contradict each other.
#[test]
fn an_example_can_occur() {
    let text = |address: &str| {
        format!(
            "{{security_groups: [{{id: sg-a, rules: [{}, {}]}}], interfaces: [
              {{id: eni-a, addresses: [{address}], security_groups: [sg-a]}}]}}",
            rule("open", "ports: 80, source: 10.0.0.5"),
            rule("closed", "ports: 80, policy: drop, source: 10.0.0.0/24"),
        )
    };
    assert_eq!(said(&checked(&text("10.0.0.6"))), ["warning shadowed open closed"]);
    let own = said(&checked(&text("10.0.0.5")));
    assert!(own.iter().all(|of| !of.contains("open")), "{own:?}");
    // A network stands for many machines, of which one may reach another.
    assert!(said(&checked(&text("10.0.0.0/24")))[0].contains("shadowed open"));
    for finding in checked(&text("10.0.0.5")).findings {
        assert!(finding.example.is_none_or(|of| of.flow.src != of.flow.dst));
    }
}

/// A contradiction at one of two interfaces is one, though the rule that loses there decides at the other.
#[test]
fn a_conflict_at_one_of_two_interfaces() {
    let text = format!(
        "{{security_groups: [{{id: sg-a, rules: [{}]}}, {{id: sg-b, rules: [{}]}}], interfaces: [
         {{id: eni-a, addresses: [10.0.0.5], security_groups: [sg-a, sg-b]}},
         {{id: eni-b, addresses: [10.0.0.6], security_groups: [sg-a]}}]}}",
        rule("open", &format!("ports: 443, {OFFICE}")),
        rule("closed", &format!("ports: 443, policy: drop, {OFFICE}")),
    );
    let found = said(&checked(&text));
    assert!(found.contains(&"warning conflicting open closed".to_owned()), "{found:?}");
    assert!(!found.join(" ").contains("shadowed"), "{found:?}");
}

/// A network that is another than it looks.
#[test]
fn host_bits_are_said() {
    let hidden = rule("a", "ports: 22, source: [10.159.6.18/12, 192.0.2.0/24]");
    let checked = checked(&format!(
        "{{security_groups: [{{id: sg-a, rules: [{hidden}, {}]}}], prefix_lists: [{{id: pl-a, entries: [172.16.0.1/16]}}]}}",
        rule("b", "ports: 443, source: pl-a"),
    ));
    assert_eq!(said(&checked), ["warning host-bits a", "warning host-bits -"]);
    let messages: Vec<&str> = checked.findings.iter().map(|of| of.message.as_str()).collect();
    assert!(messages[0].starts_with("10.159.6.18/12 is 10.144.0.0/12, since"), "{messages:?}");
    assert!(messages[1].starts_with("pl-a: 172.16.0.1/16 is 172.16.0.0/16"), "{messages:?}");
    // Two ways to write a network are one rule.
    let twice =
        [rule("a", "ports: 22, source: 10.0.0.1/8"), rule("b", "ports: 22, source: 10.0.0.2/8")];
    let text = format!("{{security_groups: [{{id: sg-a, rules: [{}]}}]}}", twice.join(", "));
    let error = sgreplay::parse::yaml("x", &text).unwrap_err().to_string();
    assert!(error.contains("DuplicatePermissions"), "{error}");
}

/// Two networks of one account have the same addresses. Nothing that needs no capture minds.
#[test]
fn an_address_of_two_interfaces() {
    let text = "{security_groups: [{id: sg-a, rules: [{id: ssh, direction: ingress, protocol: tcp, ports: 22, source: 203.0.113.0/24}]},
        {id: sg-b}], interfaces: [
        {id: eni-a, addresses: [10.0.0.5], security_groups: [sg-a]},
        {id: eni-b, addresses: [10.0.0.0/24], security_groups: [sg-b]}]}";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("two.yaml"), text).unwrap();
    std::fs::write(dir.path().join("other.yaml"), text.replace("22", "23")).unwrap();
    std::fs::copy(crate::support::capture("web.pcap"), dir.path().join("web.pcap")).unwrap();
    let run = |args: &[&str]| {
        let (status, out, err) = output_in(dir.path(), args, b"");
        (status, out + &err)
    };
    assert_eq!(run(&["check", "two.yaml"]).0, 0);
    let (status, out) =
        run(&["diff", "--current", "two.yaml", "--proposed", "other.yaml", "--fail-on", "any"]);
    assert!(status == 1 && out.contains("ingress eni-a"), "{out}");
    let packet = [
        "explain",
        "--rules",
        "two.yaml",
        "--direction",
        "ingress",
        "--proto",
        "tcp",
        "--src",
        "203.0.113.9",
        "--dst",
        "10.0.0.5:22",
    ];
    let (status, out) = run(&packet);
    assert!(
        status == 2
            && out
                .contains("belongs to several interfaces; name one with --interface: eni-a, eni-b"),
        "{out}"
    );
    assert!(
        run(&[&packet[..], &["--interface", "eni-a"]].concat())
            .1
            .contains("allow: rule ssh of sg-a")
    );
    assert!(
        run(&[&packet[..], &["--interface", "eni-b"]].concat()).1.contains("deny: default of sg-b")
    );
    let (status, out) = run(&["replay", "--rules", "two.yaml", "web.pcap"]);
    assert!(
        status == 2 && out.contains("10.0.0.5/32 belongs to interface `eni-b` and to `eni-a`"),
        "{out}"
    );
}

/// No packet comes from an interface's own address, so that everybody is a little less there.
#[test]
fn half_of_all_addresses_is_everybody() {
    for half in ["0.0.0.0/1", "128.0.0.0/1"] {
        let rule =
            format!("{{id: a, direction: ingress, protocol: tcp, ports: 1/65535, source: {half}}}");
        let text = format!(
            "{{security_groups: [{{id: sg-a, rules: [{rule}]}}],
              interfaces: [{{id: eni-a, addresses: [10.0.0.5], security_groups: [sg-a]}}]}}"
        );
        let checked = checked(&text);
        let codes: Vec<Code> = checked.findings.iter().map(|finding| finding.code).collect();
        assert!(codes.contains(&Code::OpenAllPorts), "{half}: {codes:?}");
    }
}
