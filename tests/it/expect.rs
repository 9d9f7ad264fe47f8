//! `sgreplay test`: what is expected of rules, decided for all packets.

use insta::assert_snapshot;
use proptest::prelude::*;
use sgreplay::assertions::outcome;
use sgreplay::evaluate::{Evaluator, Reference};
use sgreplay::flow::Direction;
use sgreplay::parse::expectations;
use sgreplay::rules::{Assumption, EntryKind, Expectation, Policy};

use crate::space::{file, proposals, representatives, rules};
use crate::support::{capture, output_in, run, run_in};

#[test]
fn of_the_story() {
    assert_snapshot!("text", run(&["test", "proposed.yaml", "expectations.yaml"]));
    assert_snapshot!("json", run(&["test", "current.yaml", "expectations.yaml", "-f", "json"]));
    assert_snapshot!("junit", run(&["test", "current.yaml", "expectations.yaml", "-f", "junit"]));
}

/// Runs `test` with a file of these expectations beside the story's rules.
fn test(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(capture("proposed.yaml"), dir.path().join("rules.yaml")).unwrap();
    std::fs::write(dir.path().join("expected.yaml"), text).unwrap();
    run_in(dir.path(), &["test", "rules.yaml", "expected.yaml"], b"")
}

#[test]
fn mistakes_are_named() {
    assert_snapshot!(
        "mistakes",
        test(
            "expectations:
  - {name: a, ports: SSH, verdict: allow, by: sgr-shh}
  - {name: b, protocol: icmp, ports: 22, verdict: allow}
  - {name: c, source: sg-db, verdict: deny, interface: eni-web}
  - {ports: 22, verdict: accept}
  - {name: d, ports: 22, verdict: allow, otherwise: deny}
  - {name: e, prots: 22, verdict: allow}
"
        )
    );
    assert_snapshot!("nothing expected", test("expectations: []\n"));
    assert_snapshot!("another file", test("security_groups: []\n"));
}

/// An expectation about no packet would always be met.
#[test]
fn what_is_about_no_packet_is_not_met() {
    let text = "{security_groups: [{id: sg-a}], interfaces: [
        {id: eni-a, addresses: [10.0.0.5], security_groups: [sg-a]},
        {id: eni-b, addresses: [10.0.0.6], security_groups: [sg-a]}]}";
    let rules = rules(text);
    let of = |words: &str| -> Vec<bool> {
        let text = format!("[{{name: a, {words}}}]");
        let expected = expectations("x", &text, &rules).unwrap();
        let outcome = outcome(&rules, &expected[0]).unwrap();
        outcome.failures.iter().map(|failure| failure.region.is_some()).collect()
    };
    assert_eq!(of("source: \"2001:db8::/32\", verdict: deny"), [false]);
    assert_eq!(of("destination: 10.0.0.9, verdict: deny"), [false]);
    // About one of the interfaces is enough.
    assert_eq!(of("source: 192.0.2.1, destination: 10.0.0.6, verdict: deny"), [true; 0]);
    assert_eq!(of("destination: 10.0.0.6, interface: eni-a, verdict: deny"), [false]);
    // Members of a group that accepts them come in; path-MTU errors pass, and no rule can change that.
    assert_eq!(of("protocol: icmp, verdict: deny"), [true, true]);
    assert_eq!(
        of("protocol: icmp, verdict: deny, except: [{source: [10.0.0.5, 10.0.0.6]}]"),
        [true; 0]
    );
    assert_eq!(
        of("source: 10.0.0.6, interface: eni-a, verdict: allow, by: intra-group"),
        [true; 0]
    );
    assert_eq!(of("source: 10.0.0.6, interface: eni-a, verdict: allow, by: default"), [true]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// By brute force: a packet lies in a failure if and only if it is meant and decided otherwise.
    #[test]
    fn failures_are_what_the_reference_says(
        (texts, others) in proposals(),
        port in 1_u16..6,
        source in prop::sample::select(vec!["10.0.0.0/30", "10.0.0.1", "::/0", "[9.0.0.0/8, 2001:db8::/64]"]),
        allow in any::<bool>(),
        otherwise in any::<bool>(),
        ingress in any::<bool>(),
    ) {
        let direction = if ingress { Direction::Ingress } else { Direction::Egress };
        let rules = rules(&file(&texts, if others.len() > 2 { "enterprise" } else { "basic" }));
        let far = if ingress { "source" } else { "destination" };
        let word = |allow| if allow { "allow" } else { "deny" };
        let text = format!(
            "[{{name: x, direction: {}, protocol: tcp, ports: {port}/{}, {far}: \"{}\", verdict: {},
               otherwise: {}, except: [{{protocol: tcp, ports: {port}, {far}: 10.0.0.2/31}}]}}]",
            direction.as_str(), port + 1, source.trim_matches(['[', ']']), word(allow), word(otherwise),
        );
        let expected = expectations("x", &text, &rules).unwrap();
        let nothing = Assumption::default();
        let Expectation { packets, except, .. } = &expected[0];
        let packets = packets.matcher(&rules, &nothing);
        let except: Vec<_> = except.iter().map(|one| one.matcher(&rules, &nothing)).collect();
        let outcome = outcome(&rules, &expected[0]).unwrap();
        let found = outcome.failures;
        let list = rules.ordered(0, direction);
        for flow in representatives() {
            let matches = |of: &sgreplay::rules::Matcher| of.fails_on(&flow, direction).is_none();
            let everybody = sgreplay::rules::Matcher {
                peer: sgreplay::rules::Addresses::Any, ..packets.clone()
            };
            let wanted = match (except.iter().any(&matches), matches(&packets), matches(&everybody)) {
                (false, true, _) => Some(allow),
                (false, false, true) => Some(otherwise),
                _ => None,
            };
            let entry = list.entry(Reference(&list).decide(&flow)).unwrap();
            let system = matches!(entry.kind, EntryKind::System(_));
            let fails = !system && wanted.is_some_and(|wanted| wanted != (entry.policy == Policy::Accept));
            let mut holding = found.iter().filter(|of| of.region.as_ref().unwrap().contains(&flow));
            prop_assert_eq!(holding.next().is_some(), fails, "{} {}", flow, text);
            prop_assert!(holding.next().is_none());
        }
    }
}

#[test]
fn the_status_says_it() {
    let status = |rules: &str, text: &str| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(capture(rules), dir.path().join("rules.yaml")).unwrap();
        std::fs::write(dir.path().join("expected.yaml"), text).unwrap();
        output_in(dir.path(), &["test", "rules.yaml", "expected.yaml"], b"").0
    };
    let ssh = "- {name: SSH, protocol: tcp, ports: SSH, source: 203.0.113.9, verdict: allow}\n";
    assert_eq!(status("proposed.yaml", ssh), 0);
    assert_eq!(status("proposed.yaml", &ssh.replace("203", "202")), 1);
    assert_eq!(status("proposed.yaml", &ssh.replace("SSH,", "SHS,")), 2);
}

/// SEMANTICS F24: what passes whatever the rules say is exempt, and the result says so; an expectation that is
/// about such traffic only is decided by what really happens.
#[test]
fn system_traffic_is_exempt_and_said() {
    let rules = rules("{security_groups: [{id: sg-a, type: enterprise}]}");
    let of = |words: &str| {
        let text = format!("[{{name: a, {words}}}]");
        let expected = expectations("x", &text, &rules).unwrap();
        let outcome = outcome(&rules, &expected[0]).unwrap();
        (outcome.failures.len(), outcome.exempt)
    };
    let egress = "direction: egress, verdict: deny";
    let both = ["metaserver", "neighbour-discovery"].map(str::to_owned);
    assert_eq!(of(egress), (0, both.to_vec()));
    assert_eq!(
        of(&format!("{egress}, destination: 100.64.0.0/10")),
        (0, vec!["metaserver".to_owned()])
    );
    assert_eq!(of(&format!("{egress}, destination: 10.0.0.0/8")), (0, vec![]));
    // About it alone, one port of it, one half of it.
    for only in ["", ", protocol: tcp, ports: 80", ", protocol: icmp"] {
        assert_eq!(
            of(&format!("{egress}, destination: 100.100.100.200{only}")),
            (1, vec![]),
            "{only}"
        );
    }
    // What is meant of it is left when exceptions are gone.
    let but = ", destination: 100.100.100.200/31, except: [{destination: 100.100.100.201}]";
    assert_eq!(of(&format!("{egress}{but}")), (1, vec![]));
    // It really passes, and by its own rule.
    let allow = "direction: egress, destination: 100.100.100.200, verdict: allow";
    assert_eq!(of(allow), (0, vec![]));
    assert_eq!(of(&format!("{allow}, by: metaserver")), (0, vec![]));
    assert_eq!(of(&format!("{allow}, by: default")), (1, vec![]));
    assert_eq!(of("protocol: icmp, verdict: deny"), (0, vec!["path-mtu".to_owned()]));
    // Neighbour discovery (F19) passes like the rest.
    let neighbours = "protocol: icmpv6, source: '2001:db8::/32', verdict: deny";
    assert_eq!(of(neighbours).1, ["neighbour-discovery", "path-mtu"]);
    let text = test(
        "- {name: silent, protocol: icmpv6, source: '2001:db8:7::/48', verdict: allow, by: sgr-ping6}\n",
    );
    assert!(
        text.contains(
            "ok    silent  (exempt, since no rule decides it: neighbour-discovery, path-mtu)"
        ),
        "{text}"
    );
}
