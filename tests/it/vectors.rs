//! Every case of tests/vectors/, on the reference and on the compiled evaluator.

use serde_yaml::{Mapping, Value};
use sgreplay::evaluate::{Compiled, Evaluator, Reference, explain};
use sgreplay::labels::Label;
use sgreplay::restrictions::{CARRIER_BLOCKED, Obstacle, obstacle};
use sgreplay::rules::Switches;
use sgreplay::verdict::{Reason, Verdict};

use crate::support;

/// The rules file of a case: its own groups and interfaces, or one group of its rules.
fn rules_file(case: &Mapping) -> String {
    let mut file = Mapping::new();
    let groups = case.get("groups").cloned().unwrap_or_else(|| {
        let mut group = Mapping::new();
        group.insert("id".into(), "sg-a".into());
        for key in ["type", "inner_access_policy", "rules"] {
            if let Some(value) = case.get(key) {
                group.insert(key.into(), value.clone());
            }
        }
        Value::Sequence(vec![group.into()])
    });
    file.insert("security_groups".into(), groups);
    for key in ["interfaces", "prefix_lists", "port_lists", "slb_sources", "carrier_ports"] {
        if let Some(value) = case.get(key) {
            file.insert(key.into(), value.clone());
        }
    }
    serde_yaml::to_string(&file).unwrap()
}

fn cases(file: &str) -> Vec<Mapping> {
    let text = std::fs::read_to_string(support::root().join("tests/vectors").join(file)).unwrap();
    serde_yaml::from_str(&text).unwrap()
}

/// Judges every packet of the cases; says how many there were.
fn judge(cases: &[Mapping]) -> usize {
    let mut judged = 0;
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let read = sgreplay::parse::yaml(name, &rules_file(case));
        if let Some(words) = case.get("error") {
            let error = read.unwrap_err().to_string();
            assert!(error.contains(words.as_str().unwrap()), "{name}: {error}");
            judged += 1;
            continue;
        }
        let mut rules = read.unwrap();
        let on = |switch| {
            case.get("switches")
                .is_some_and(|on| on.as_sequence().unwrap().contains(&Value::from(switch)))
        };
        let (intra_group_egress, exempt_dhcp) = (on("intra_group_egress"), on("exempt_dhcp"));
        let switches = Switches { intra_group_egress, exempt_dhcp, ..Switches::default() };
        rules.set_switches(switches);
        for wanted in case["packets"].as_sequence().unwrap() {
            let text = wanted["packet"].as_str().unwrap();
            let (direction, flow) = support::packet(text);
            let interface = support::interface(&rules, flow.local(direction));
            let ordered = rules.ordered(interface, direction);
            let reference = Reference(&ordered).decide(&flow);
            assert_eq!(Compiled::new(&ordered).decide(&flow), reference, "{name}: {text}");
            assert_eq!(explain(&ordered, &flow).last().unwrap().index, reference, "{name}: {text}");

            let entry = ordered.entry(reference).unwrap();
            let verdict = Verdict::from(entry.policy).as_str();
            assert_eq!(Some(verdict), wanted["verdict"].as_str(), "{name}: {text}");
            let reason = Reason::from(entry.kind).as_str();
            assert_eq!(Some(reason), wanted["reason"].as_str(), "{name}: {text}");
            if let Some(rule) = wanted.get("rule") {
                let label = Label::new(&rules, interface, entry);
                assert_eq!(Some(label.rule.as_str()), rule.as_str(), "{name}: {text}");
            }
            let carriers = rules.carrier_ports().unwrap_or(&CARRIER_BLOCKED);
            let warning = obstacle(direction, &flow, carriers).map(Obstacle::as_str);
            assert_eq!(warning, wanted.get("warning").and_then(Value::as_str), "{name}: {text}");
            judged += 1;
        }
    }
    judged
}

#[test]
fn golden_vectors() {
    let cases = cases("golden.yaml");
    let judged = judge(&cases);
    let is_numbered = |case: &&Mapping| {
        let name = case["name"].as_str().unwrap();
        name.strip_prefix('D').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let numbered = cases.iter().filter(is_numbered).count();
    assert_eq!(numbered, 28, "29 golden vectors, D14 twice, less the two that need sessions");
    println!("{} cases, {judged} packets, on both evaluators", cases.len());
}

/// As many again of our own, where two parts of the document meet.
#[test]
fn crossings() {
    let cases = cases("crossings.yaml");
    let judged = judge(&cases);
    assert!(cases.len() >= 29);
    println!("{} cases, {judged} packets and errors, on both evaluators", cases.len());
}
