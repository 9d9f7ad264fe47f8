//! What would have to change for the opposite verdict: `explain`, and `--fix` of `replay` and `diff`.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use proptest::prelude::*;
use proptest::sample::Index;
use sgreplay::evaluate::explain;
use sgreplay::flow::{Direction, FlowTuple};
use sgreplay::rules::{Assumption, Policy, RuleSet};
use sgreplay::suggest::{CannotFix, Flow, fix};

use crate::space::{file, proposals, representatives, rules};
use crate::support::{capture, captures, output_in, packet, run};

/// How the opening packet of a connection is judged, by the list of entries itself.
fn verdict(rules: &RuleSet, direction: Direction, flow: &FlowTuple) -> Policy {
    let layers = rules.ordered_by_layer(0, direction, &Assumption::default());
    let denies = layers.iter().any(|(_, list)| {
        explain(list, flow).last().is_none_or(|step| step.entry.policy == Policy::Drop)
    });
    if denies { Policy::Drop } else { Policy::Accept }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// The rules that are offered turn the verdict of the flows that are wanted, and of no other.
    #[test]
    fn rules_that_are_offered_do_what_is_wanted_and_nothing_else(
        (list, _) in proposals(),
        picks in proptest::collection::vec(any::<Index>(), 1..4),
        ingress in any::<bool>(),
        opens in any::<bool>(),
    ) {
        let mut before = rules(&file(&list, "basic"));
        before.set_local(["192.0.2.1", "2001:db8:1::1"].map(|addr| addr.parse::<std::net::IpAddr>().unwrap().into()).to_vec());
        let direction = if ingress { Direction::Ingress } else { Direction::Egress };
        let policy = if opens { Policy::Accept } else { Policy::Drop };
        let turned = |flow: &FlowTuple| if ingress { *flow } else { flow.reversed() };
        let all: Vec<FlowTuple> = representatives().iter().map(turned).collect();
        let wanted: Vec<FlowTuple> = picks.iter().map(|pick| *pick.get(&all)).collect();
        let flows: Vec<Flow> = wanted.iter().map(|flow| Flow { interface: 0, direction, flow: *flow }).collect();
        let Ok(found) = fix(&before, &flows, policy) else { return Ok(()) };
        let service = |flow: &FlowTuple| {
            let port = flow.transport.ports().map(|(_, port)| port);
            (flow.proto, port, flow.src, flow.dst)
        };
        for flow in &all {
            let is_wanted = wanted.iter().any(|of| service(of) == service(flow));
            // Rules name no type of ICMP, and some types are always allowed.
            if is_wanted && flow.transport.icmp().is_some() && !wanted.contains(flow) {
                continue;
            }
            let expected = if is_wanted { policy } else { verdict(&before, direction, flow) };
            prop_assert_eq!(verdict(&found.rules, direction, flow), expected, "{}", flow);
            let (other, back) = (direction.opposite(), flow.reversed());
            prop_assert_eq!(verdict(&found.rules, other, &back), verdict(&before, other, &back));
        }
    }
}

fn flow(text: &str) -> Flow {
    let (direction, flow) = packet(text);
    Flow { interface: 0, direction, flow }
}

/// Of each cloud: the priority that goes before what decides, and what cannot be done.
#[test]
fn each_cloud_has_its_own_order() {
    let ssh = flow("ingress tcp 198.51.100.7:40000 10.0.0.5:22");
    let one = |text: &str, policy| {
        let mut rules = rules(text);
        rules.set_local(vec!["10.0.0.5/32".parse().unwrap()]);
        fix(&rules, &[ssh], policy).map(|found| {
            let lines = found
                .added
                .iter()
                .map(|(_, rule)| sgreplay::parse::print_rule_line(rules.cloud(), rule));
            lines.collect::<Vec<_>>().join("\n")
        })
    };
    let group = |cloud: &str, list: &str| {
        format!("{{cloud: {cloud}, security_groups: [{{id: sg-a, rules: [{list}]}}]}}")
    };
    let drop = |priority: u32| {
        format!(
            "{{id: no, direction: ingress, policy: drop, priority: {priority}, protocol: all, source: 0.0.0.0/0}}"
        )
    };
    let accept = |priority: u32| {
        format!(
            "{{id: yes, direction: ingress, priority: {priority}, protocol: tcp, ports: 22, source: 0.0.0.0/0}}"
        )
    };
    let plain = "{direction: ingress, protocol: tcp, ports: 22, source: 198.51.100.7}";
    assert_eq!(one(&group("alibaba", ""), Policy::Accept).unwrap(), plain);
    assert_eq!(one(&group("aws", ""), Policy::Accept).unwrap(), plain);
    let found = one(&group("alibaba", &drop(7)), Policy::Accept).unwrap();
    assert!(found.contains("priority: 6,"), "{found}");
    assert_eq!(
        one(&group("alibaba", &drop(1)), Policy::Accept),
        Err(CannotFix::NoPriority("no".to_owned()))
    );
    // Of two rules of the same priority the one that drops decides.
    let found = one(&group("alibaba", &accept(1)), Policy::Drop).unwrap();
    assert!(found.contains("policy: drop, protocol"), "{found}");
    let found = one(&group("google", &drop(1000)), Policy::Accept).unwrap();
    assert!(found.contains("priority: 999,"), "{found}");
    let narrow = accept(1);
    assert!(
        matches!(one(&group("aws", &narrow), Policy::Drop), Err(CannotFix::OnlyAccept(_, rule)) if rule == "rule yes")
    );
    let icmp = flow("ingress icmp 198.51.100.7 10.0.0.5 8/0");
    let mut aws = rules(&group("aws", ""));
    aws.set_local(vec!["10.0.0.5/32".parse().unwrap()]);
    let found = fix(&aws, &[icmp], Policy::Accept).unwrap();
    assert!(!found.any_icmp_type);
    assert_eq!(found.added[0].1.icmp, Some((8, Some(0))));
}

/// A group that two interfaces share is changed for both: a rule that names the near side is offered, or none.
#[test]
fn a_shared_group() {
    let text = |cloud: &str| {
        format!(
            "{{cloud: {cloud}, security_groups: [{{id: sg-a, inner_access_policy: drop, rules: []}}], interfaces: [{{id: eni-a, addresses: 10.0.0.5, security_groups: sg-a}}, \
         {{id: eni-b, addresses: 10.0.0.6, security_groups: sg-a}}]}}"
        )
    };
    let ssh = flow("ingress tcp 198.51.100.7:40000 10.0.0.5:22");
    let found = fix(&rules(&text("alibaba")), &[ssh], Policy::Accept).unwrap();
    assert_eq!(found.added[0].1.local.len(), 1);
    let aws = text("aws").replace("inner_access_policy: drop, ", "");
    let Err(CannotFix::More(more)) = fix(&rules(&aws), &[ssh], Policy::Accept) else { panic!() };
    assert!(more[0].contains("22"), "{more:?}");
}

/// The rules file with the rules of `--fix` in it.
fn merged(rules: &str, fixed: &str) -> String {
    let added: Vec<&str> = fixed.lines().filter(|line| line.starts_with("      - ")).collect();
    assert!(!added.is_empty(), "{fixed}");
    rules.replacen("    rules:\n", &format!("    rules:\n{}\n", added.join("\n")), 1)
}

fn json(dir: &Path, args: &[&str]) -> serde_json::Value {
    let (_, out, err) = output_in(dir, args, b"");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {err}"))
}

/// Of every capture: with the rules of `--fix` nothing is denied that was, and the exact difference is in the file.
#[test]
fn what_a_replay_denies_passes_with_the_fix() {
    let mut fixed = 0;
    for path in captures() {
        let dir = tempfile::tempdir().unwrap();
        let before = fs::read_to_string(capture("proposed.yaml")).unwrap();
        fs::write(dir.path().join("before.yaml"), &before).unwrap();
        let path = path.to_str().unwrap();
        let (status, _, err) =
            output_in(dir.path(), &["replay", "before.yaml", path, "--fix", "fix.yaml"], b"");
        let Ok(text) = fs::read_to_string(dir.path().join("fix.yaml")) else {
            assert_eq!(status, 2, "{path}: {err}");
            assert!(err.contains("--fix: "), "{path}: {err}");
            continue;
        };
        assert_eq!(status, 0, "{path}: {err}");
        if !text.contains("security_groups") {
            continue;
        }
        fs::write(dir.path().join("after.yaml"), merged(&before, &text)).unwrap();
        let after = json(dir.path(), &["replay", "after.yaml", path, "-f", "json"]);
        assert_eq!(after["connections"]["denied"], 0, "{path}\n{text}");
        let diff = json(dir.path(), &["diff", "before.yaml", "after.yaml", path, "-f", "json"]);
        assert_eq!(diff["connections"]["newly_denied"], 0, "{path}");
        let regions = diff["regions"].as_array().unwrap();
        assert!(regions.iter().all(|region| region["change"] == "newly_allowed"), "{path}");
        fixed += 1;
    }
    assert!(fixed > 6, "{fixed}");
}

/// `--filter` chooses, and what it does not choose stays denied.
#[test]
fn a_part_of_what_a_proposal_denies() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["current.yaml", "proposed.yaml", "story.pcap"] {
        fs::copy(capture(name), dir.path().join(name)).unwrap();
    }
    let diff = ["diff", "current.yaml", "proposed.yaml", "story.pcap"];
    let fix = [&diff[..], &["--filter", "port 8080 or ip6", "--fix", "fix.yaml"]].concat();
    let (status, _, err) = output_in(dir.path(), &fix, b"");
    assert_eq!(status, 0, "{err}");
    let text = fs::read_to_string(dir.path().join("fix.yaml")).unwrap();
    assert_snapshot!("fix", text.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
    let before = fs::read_to_string(dir.path().join("proposed.yaml")).unwrap();
    fs::write(dir.path().join("after.yaml"), merged(&before, &text)).unwrap();
    let after =
        json(dir.path(), &["diff", "current.yaml", "after.yaml", "story.pcap", "-f", "json"]);
    assert_eq!(after["connections"]["newly_denied"], 4);
    // What is approved needs no fix.
    fs::copy(capture("accepted.yaml"), dir.path().join("accepted.yaml")).unwrap();
    let fix = [&diff[..], &["--accept", "accepted.yaml", "--fix", "open.yaml"]].concat();
    assert_eq!(output_in(dir.path(), &fix, b"").0, 0);
    let text = fs::read_to_string(dir.path().join("open.yaml")).unwrap();
    assert!(text.contains("8080") && !text.contains("6379"), "{text}");
}

/// Of a capture that breaks off, what lies behind may be denied yet.
#[test]
fn a_fix_says_where_the_traffic_was_cut() {
    let dir = tempfile::tempdir().unwrap();
    let story = fs::read(capture("story.pcap")).unwrap();
    fs::write(dir.path().join("cut.pcap"), &story[..story.len() - 3]).unwrap();
    for (name, file) in [("now.yaml", "current.yaml"), ("then.yaml", "proposed.yaml")] {
        fs::copy(capture(file), dir.path().join(name)).unwrap();
    }
    let local = ["cut.pcap", "--local", "10.0.0.5", "--fix", "fix.yaml"];
    for command in [&["replay", "then.yaml"][..], &["diff", "now.yaml", "then.yaml"]] {
        let (_, _, err) = output_in(dir.path(), &[command, &local].concat(), b"");
        let text = fs::read_to_string(dir.path().join("fix.yaml")).unwrap_or(err);
        assert!(text.contains("NOT ALL OF THE TRAFFIC WAS READ (cut.pcap: "), "{text}");
        fs::remove_file(dir.path().join("fix.yaml")).unwrap();
    }
}

/// Where the rules to add would do more, or the address is a guess, there is no file.
#[test]
fn no_fix_that_is_not_exact() {
    let dir = tempfile::tempdir().unwrap();
    let story = capture("story.pcap");
    let story = story.to_str().unwrap();
    let closed = "{cloud: aws, security_groups: [{id: sg-a, rules: [{direction: egress, protocol: all, destination: 0.0.0.0/0}]}]}";
    fs::write(dir.path().join("closed.yaml"), closed).unwrap();
    let refused = |args: &[&str], why: &str| {
        let (status, _, err) = output_in(dir.path(), &[args, &["--fix", "fix.yaml"]].concat(), b"");
        assert_eq!(status, 2, "{err}");
        assert!(err.contains("--fix: ") && err.contains(why), "{err}");
        assert!(!dir.path().join("fix.yaml").exists());
    };
    refused(&["replay", "closed.yaml", story, "--local", "10.0.0.0/24"], "other packets too");
    let vlan = capture("vlan.pcap");
    refused(&["replay", "closed.yaml", vlan.to_str().unwrap()], "the local address is a guess");
    let drop = "{security_groups: [{id: sg-a, rules: [{id: no, direction: ingress, policy: drop, protocol: all, source: 0.0.0.0/0}]}]}";
    fs::write(dir.path().join("drop.yaml"), drop).unwrap();
    refused(&["replay", "drop.yaml", story], "rule no decides first");
}

/// A Community ID stands for the first packet of its connection.
#[test]
fn a_connection_by_its_community_id() {
    let explain = |args: &[&str]| run(&[&["explain", "--rules", "proposed.yaml"], args].concat());
    let id = "1:F+VSc3xWBFTTISaRXia2FUkMQas=";
    let found = explain(&[id, "story.pcap"]);
    assert_eq!(found, explain(&["--frame", "200", "story.pcap"]));
    assert_snapshot!("by id", found);
    assert_eq!(run(&["explain", "proposed.yaml", id, "story.pcap"]), found);
    for (args, why) in [
        (&[id][..], "needs the capture"),
        (&[id, "ssh.pcap"], "no packet of the capture has the Community ID"),
        (&[id, "story.pcap", "--frame", "1"], "give one"),
        (&[id, "story.pcap", "ssh.pcap"], "one capture"),
    ] {
        let refused = explain(args);
        assert!(refused.starts_with("status 2") && refused.contains(why), "{refused}");
    }
}
