//! Header space against the reference evaluator, packet by packet, and against Z3.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::process::{Command, Stdio};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sgreplay::diff::{self, Effect};
use sgreplay::evaluate::{Evaluator, Reference};
use sgreplay::flow::{Direction, FlowTuple, Protocol, Transport, endpoint};
use sgreplay::header_space::{Part, Question, parts};
use sgreplay::rules::{Addresses, Entry, EntryIndex, EntryKind, Matcher, Ordered, Policy, RuleSet};

use crate::agreement::support::sets::{self, Draw, Shape};
use crate::agreement::{entry, flow};
use crate::support::{capture, output_in, packet as packet_of, root};

pub(crate) fn rules(text: &str) -> RuleSet {
    sgreplay::parse::yaml("rules.yaml", text).unwrap()
}

/// Whether headers are whole: what header space is made of.
fn whole(flow: &FlowTuple) -> bool {
    match (flow.proto, flow.transport) {
        (Protocol::ICMP | Protocol::ICMPV6, Transport::Icmp { .. }) => true,
        (Protocol::ICMP | Protocol::ICMPV6, _) | (_, Transport::Icmp { .. }) => false,
        (proto, Transport::Ports { .. }) => proto.has_ports(),
        (proto, Transport::Absent) => !proto.has_ports(),
    }
}

/// The part that a packet lies in; a packet in two of them is a fault.
fn part_of<'p>(parts: &'p [Part], flow: &FlowTuple) -> Option<&'p Part> {
    let mut holding = parts.iter().filter(|part| part.region.contains(flow));
    let found = holding.next();
    assert_eq!(holding.next(), None, "{flow} lies in two parts");
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Every packet lies in the part whose deciders are its own, on two lists at once.
    #[test]
    fn parts_are_what_the_reference_says(
        entries in vec(entry(), 0..12),
        others in vec(entry(), 0..12),
        flows in vec(flow(), 60),
        ingress in any::<bool>(),
    ) {
        let direction = if ingress { Direction::Ingress } else { Direction::Egress };
        let lists = [entries, others].map(|list| Ordered::new(direction, list, Policy::Drop));
        let all = parts(&lists.each_ref(), &Question::all(), |_| true).unwrap();
        for flow in flows.iter().filter(|flow| whole(flow)) {
            let deciders = lists.each_ref().map(|list| Reference(list).decide(flow)).to_vec();
            let part = part_of(&all, flow);
            prop_assert_eq!(part.map(|part| &part.deciders), Some(&deciders), "{}", flow);
        }
        for Part { region, deciders } in &all {
            let example = region.example();
            prop_assert!(whole(&example) && region.contains(&example), "{} {}", region, example);
            let decided = lists.each_ref().map(|list| Reference(list).decide(&example)).to_vec();
            prop_assert_eq!(&decided, deciders, "{}", region);
            prop_assert!(region.size() >= 1.0);
        }
    }

    /// Only what was asked for, and all of it.
    #[test]
    fn gates_narrow_the_question(
        entries in vec(entry(), 0..8),
        gates in vec(vec(entry(), 0..3), 0..3),
        flows in vec(flow(), 60),
    ) {
        let list = Ordered::new(Direction::Ingress, entries, Policy::Accept);
        let mut question = Question::all();
        for gate in &gates {
            question = question.matching(gate.iter().map(|entry| entry.matcher.clone()).collect());
        }
        let accepted = |index: &EntryIndex| list.entry(*index).unwrap().policy == Policy::Accept;
        let found = parts(&[&list], &question, |deciders| accepted(&deciders[0])).unwrap();
        for flow in flows.iter().filter(|flow| whole(flow)) {
            let opens = |gate: &Vec<Entry>| {
                gate.iter().any(|entry| entry.matcher.fails_on(flow, Direction::Ingress).is_none())
            };
            let asked = gates.iter().all(opens) && accepted(&Reference(&list).decide(flow));
            prop_assert_eq!(part_of(&found, flow).is_some(), asked, "{}", flow);
        }
    }
}

/// Two rule sets as files, drawn from few values so that rules meet: the second is the first with some
/// rules gone, some added and some moved.
pub(crate) fn proposals() -> impl Strategy<Value = (Vec<String>, Vec<String>)> {
    let rule = (0_usize..4, 1_usize..6, 0_usize..6, any::<bool>(), 1_u8..4, any::<bool>());
    let text = rule.prop_map(|(protocol, port, peer, accept, priority, ingress)| {
        let peer = ["0.0.0.0/0", "10.0.0.0/30", "10.0.0.1", "10.0.0.2/31", "::/0", "2001:db8::/126"]
            [peer];
        let (protocol, ports) = match (protocol, peer.contains(':')) {
            (0, _) => ("tcp", format!(", ports: {port}/{}", port + 2)),
            (1, _) => ("udp", format!(", ports: {port}")),
            (2, false) => ("icmp", String::new()),
            (2, true) => ("icmpv6", String::new()),
            _ => ("all", String::new()),
        };
        let (direction, side) = if ingress { ("ingress", "source") } else { ("egress", "destination") };
        let policy = if accept { "accept" } else { "drop" };
        format!(
            "{{direction: {direction}, policy: {policy}, priority: {priority}, protocol: {protocol}{ports}, \
             {side}: \"{peer}\"}}"
        )
    });
    (vec(text.clone(), 0..7), vec(text, 0..3), any::<u8>()).prop_map(|(rules, added, gone)| {
        let kept = rules.iter().enumerate().filter(|(n, _)| gone >> n & 1 == 0);
        let mut proposed: Vec<String> = kept.map(|(_, rule)| rule.clone()).chain(added).collect();
        let half = proposed.len() / 2;
        proposed.rotate_left(half);
        let unique = |rules: Vec<String>| {
            let mut seen = Vec::new();
            for rule in rules {
                if !seen.contains(&rule) {
                    seen.push(rule);
                }
            }
            seen
        };
        (unique(rules), unique(proposed))
    })
}

pub(crate) fn file(rules: &[String], group_type: &str) -> String {
    format!(
        "{{security_groups: [{{id: sg-a, type: {group_type}, rules: [{}]}}]}}",
        rules.join(", ")
    )
}

/// One packet of each elementary interval of every axis: with none of them differing, none differs.
pub(crate) fn representatives() -> Vec<FlowTuple> {
    let v4 =
        ["9.9.9.9", "10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "100.100.100.200"];
    let v6 = ["2001:db8::1", "2001:db8::4"];
    let mut found = Vec::new();
    for (peers, local) in [(&v4[..], "192.0.2.1"), (&v6[..], "2001:db8:1::1")] {
        let local: IpAddr = local.parse().unwrap();
        for peer in peers.iter().map(|addr| addr.parse::<IpAddr>().unwrap()) {
            for (src, dst) in [(peer, local), (local, peer)] {
                let mut add =
                    |proto, transport| found.push(FlowTuple { src, dst, proto, transport });
                for port in 0..=9 {
                    let ports = Transport::Ports { src: 40_000, dst: port };
                    for proto in [Protocol::TCP, Protocol::UDP, Protocol::SCTP] {
                        add(proto, ports);
                    }
                }
                // Also of the other family: nothing keeps such a packet out of a capture.
                for (kind, code) in [(8, 0), (3, 4), (3, 5), (2, 0), (2, 9), (128, 0)] {
                    for icmp in [Protocol::ICMP, Protocol::ICMPV6] {
                        add(icmp, Transport::Icmp { kind, code, id: None });
                    }
                }
                add(Protocol::GRE, Transport::Absent);
            }
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// The exact difference by brute force: inside the regions every packet's verdict turns, outside none,
    /// and the entries named are those that decide.
    #[test]
    fn regions_are_the_difference(
        (current, proposed) in proposals(),
        enterprise in any::<bool>(),
    ) {
        let current = rules(&file(&current, "basic"));
        let proposed = rules(&file(&proposed, if enterprise { "enterprise" } else { "basic" }));
        let turned = diff::regions(&current, &proposed).unwrap();
        for direction in Direction::BOTH {
            let lists = [current.ordered(0, direction), proposed.ordered(0, direction)];
            for flow in representatives() {
                let deciders = lists.each_ref().map(|list| Reference(list).decide(&flow));
                let policy = |n: usize| lists[n].entry(deciders[n]).unwrap().policy;
                let effect = match (policy(0), policy(1)) {
                    (Policy::Accept, Policy::Drop) => Some(Effect::NewlyDenied),
                    (Policy::Drop, Policy::Accept) => Some(Effect::NewlyAllowed),
                    _ => None,
                };
                let mut holding = turned.iter().filter(|turned| {
                    // Nobody is a member of the group here.
                    turned.members_of.is_empty()
                        && turned.region.direction() == direction
                        && turned.region.contains(&flow)
                });
                let found = holding.next();
                prop_assert!(holding.next().is_none(), "{} lies in two regions", flow);
                prop_assert_eq!(found.map(|turned| turned.effect), effect, "{}", flow);
                if let Some(found) = found {
                    prop_assert_eq!(found.deciders, deciders, "{}", flow);
                }
            }
        }
    }
}

/// Swapping rules that cannot meet changes nothing, and no packet is looked at for it.
/// Of long lists that have nothing in common every part is listed, within the bound on what a question looks at: the
/// axis that leaves the fewest entries is asked first.
#[test]
fn long_lists_are_compared_whole() {
    let lists = [1, 2].map(|seed| sets::ordered(Shape::Group, 1_200, seed));
    let policies = |deciders: &[EntryIndex]| -> Vec<Policy> {
        let entries = lists.iter().zip(deciders).filter_map(|(list, index)| list.entry(*index));
        entries.map(|entry| entry.policy).collect()
    };
    let turns = |deciders: &[EntryIndex]| policies(deciders).windows(2).any(|of| of[0] != of[1]);
    let turned = parts(&lists.each_ref(), &Question::all(), turns).unwrap();
    assert!(turned.len() > 500, "{}", turned.len());
    for list in &lists {
        for flow in sets::flows(list, Draw::Rules, 300, 1).iter().filter(|flow| whole(flow)) {
            let deciders = lists.each_ref().map(|list| Reference(list).decide(flow)).to_vec();
            let part = part_of(&turned, flow);
            let expected = turns(&deciders).then_some(&deciders);
            assert_eq!(part.map(|part| &part.deciders), expected, "{flow}");
        }
    }
}

#[test]
fn moved_rules_are_equivalent() {
    let all = ["tcp, ports: 22", "tcp, ports: 80", "udp, ports: 53"];
    let text = |order: [usize; 3]| {
        let rule =
            |n: usize| format!("{{direction: ingress, protocol: {}, source: 10.0.0.0/8}}", all[n]);
        rules(&file(&order.map(rule), "basic"))
    };
    assert_eq!(diff::regions(&text([0, 1, 2]), &text([2, 0, 1])), Ok(Vec::new()));
}

/// `replay` judges IPv4 with protocol 58 and IPv6 with protocol 1, so the exact difference covers them too.
#[test]
fn icmp_of_the_other_family_is_covered() {
    let text = |protocol: &str| {
        rules(&format!(
            "{{cloud: azure, security_groups: [{{id: a, rules: [
              {{direction: ingress, protocol: {protocol}, source: [0.0.0.0/0, '::/0']}}]}}]}}"
        ))
    };
    let turned = diff::regions(&text("58"), &text("6")).unwrap();
    let texts: Vec<String> = turned.iter().map(|turned| turned.region.to_string()).collect();
    assert!(texts.contains(&"icmpv6 from 0.0.0.0/0".to_owned()), "{texts:?}");
    // A path-MTU error is of its own family (SEMANTICS A8).
    let text = "{security_groups: [{id: sg-a, rules: [{direction: ingress, policy: drop, protocol: all, source: '::/0'}]}]}";
    let list = rules(text).ordered(0, Direction::Ingress);
    for (packet, kept) in [
        ("ingress icmp 203.0.113.9 10.0.0.5 3/4", true),
        ("ingress icmp 2001:db8::9 2001:db8::5 3/4", false),
        ("ingress icmpv6 2001:db8::9 2001:db8::5 2/0", true),
        ("ingress icmpv6 203.0.113.9 10.0.0.5 2/0", false),
    ] {
        let (_, flow) = packet_of(packet);
        let entry = list.entry(Reference(&list).decide(&flow)).unwrap();
        assert_eq!(matches!(entry.kind, EntryKind::System(_)), kept, "{packet}");
    }
}

/// A matcher of everything, for what the tests above do not vary.
#[test]
fn the_whole_space_is_one_part_where_nothing_is_asked() {
    let list = Ordered::new(Direction::Egress, Vec::new(), Policy::Accept);
    let any = Question::all().matching(vec![Matcher::any()]);
    let found = parts(&[&list], &any, |_| true).unwrap();
    let texts: Vec<String> = found.iter().map(|part| part.region.to_string()).collect();
    assert_eq!(texts, ["all to 0.0.0.0/0", "all to ::/0"]);
    let none = Question::all()
        .matching(vec![Matcher { peer: Addresses::Nets(Vec::new()), ..Matcher::any() }]);
    assert_eq!(parts(&[&list], &none, |_| true), Ok(Vec::new()));
}

/// A Python that has Z3: a system's own may have it where another one comes first.
fn python_with_z3() -> Option<&'static str> {
    ["python3", "/usr/bin/python3"].into_iter().find(|python| {
        let imported = Command::new(python).args(["-c", "import z3"]).output();
        imported.is_ok_and(|output| output.status.success())
    })
}

/// Z3 proves that nothing turns outside the regions and everything inside them.
#[test]
fn z3_proves_the_difference() {
    let Some(python) = python_with_z3() else {
        println!("SKIPPED: python3 has no z3, so the exact difference was proved by nobody else");
        return;
    };
    let mut runner = TestRunner::deterministic();
    let mut cases = String::new();
    for n in 0..60 {
        let (current, proposed) = proposals().new_tree(&mut runner).unwrap().current();
        let texts = [file(&current, "basic"), file(&proposed, ["basic", "enterprise"][n % 2])];
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in ["current", "proposed"].into_iter().zip(&texts) {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let args = ["diff", "--current", "current", "--proposed", "proposed", "-f", "json"];
        let (status, out, _) = output_in(dir.path(), &args, b"");
        assert_eq!(status, 0);
        let out: serde_json::Value = serde_json::from_str(&out).unwrap();
        let [current, proposed] =
            texts.map(|text| serde_yaml::from_str::<serde_json::Value>(&text).unwrap());
        let case = serde_json::json!({
            "current": current, "proposed": proposed, "regions": out["regions"],
        });
        writeln!(cases, "{case}").unwrap();
    }
    let script = root().join("tests/oracle/z3_diff.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(cases.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let proved: u32 = said.trim().parse().unwrap();
    assert!(proved > 400, "{proved} proofs");
    println!("{proved} proofs by Z3");
}

/// `explain` confirms the example packet of every region, by both rule sets.
#[test]
fn explain_confirms_the_examples() {
    let dir = capture("");
    for (current, proposed) in
        [("current.yaml", "proposed.yaml"), ("proposed.yaml", "current.yaml")]
    {
        let args = ["diff", "--current", current, "--proposed", proposed, "-f", "json"];
        let out: serde_json::Value = serde_json::from_str(&output_in(&dir, &args, b"").1).unwrap();
        let regions = out["regions"].as_array().unwrap();
        assert_eq!(regions.len(), 6);
        for region in regions {
            let packet = &region["example"];
            let end = |addr: &str, port: &str| {
                let addr = packet[addr].as_str().unwrap();
                endpoint(addr.parse().unwrap(), packet[port].to_string().parse().unwrap())
                    .to_string()
            };
            let (src, dst) = (end("src", "sport"), end("dst", "dport"));
            let proto = packet["proto"].to_string();
            for (side, rules) in [("current", current), ("proposed", proposed)] {
                let args = [
                    "explain",
                    "--rules",
                    rules,
                    "--direction",
                    region["direction"].as_str().unwrap(),
                    "--proto",
                    &proto,
                    "--src",
                    &src,
                    "--dst",
                    &dst,
                    "-f",
                    "json",
                ];
                let (_, out, err) = output_in(&dir, &args, b"");
                let said: serde_json::Value = serde_json::from_str(&out).expect(&err);
                for key in ["verdict", "reason", "group", "rule"] {
                    assert_eq!(said[key], region[side][key], "{region:#} {rules}");
                }
            }
        }
    }
}
