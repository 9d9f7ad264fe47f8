//! `sgreplay suggest`: rules from traffic allow what was seen, and nothing beyond their bound.

use std::collections::BTreeMap;
use std::net::IpAddr;

use insta::assert_snapshot;
use ipnet::IpNet;
use proptest::prelude::*;
use serde_json::Value;
use sgreplay::flow::Direction;
use sgreplay::header_space::{Detail, Question, parts};
use sgreplay::parse::print;
use sgreplay::rules::{EntryKind, Policy};
use sgreplay::suggest::Widening;

use crate::space::{file, proposals, rules};
use crate::support::{self, output_in, run, run_in};

fn json(out: &str) -> Value {
    serde_json::from_str(out).unwrap_or_else(|error| panic!("{error}: {out}"))
}

#[test]
fn of_the_story() {
    assert_snapshot!("story", run(&["suggest", "story.pcap", "--holdout", "30%"]));
    assert_snapshot!(
        "two instances",
        run(&["suggest", "--rules", "two-instances.yaml", "two-instances.pcap"])
    );
    assert_snapshot!(
        "fewer",
        run(&["suggest", "scan.pcap", "--without-scans", "--aggregate", "/24"])
    );
}

#[test]
fn mistakes_are_named() {
    assert_snapshot!("too few", run(&["suggest", "story.pcap", "--max-rules", "5"]));
    assert_snapshot!("nothing seen", run(&["suggest", "story.pcap", "--filter", "tcp port 1"]));
    assert_snapshot!("no length", run(&["suggest", "story.pcap", "--aggregate", "/33"]));
}

/// Every capture of the repository, by every bound: replayed under the rules suggested for it, nothing is
/// denied; and the rules accept no packet whose service was not seen of a network within the bound.
#[test]
fn all_that_was_seen_and_nothing_beyond_the_bound() {
    let dir = tempfile::tempdir().unwrap();
    let mut checked = 0;
    for path in support::captures() {
        for bound in [Widening::EXACT, Widening { v4: 24, v6: 64 }, Widening { v4: 8, v6: 32 }] {
            let aggregate = format!("/{},/{}", bound.v4, bound.v6);
            let capture = path.to_str().unwrap();
            let (status, yaml, err) =
                output_in(dir.path(), &["suggest", capture, "--aggregate", &aggregate], b"");
            assert_eq!(status, 0, "{err}");
            std::fs::write(dir.path().join("suggested.yaml"), &yaml).unwrap();
            let replay = ["replay", "--rules", "suggested.yaml", capture, "-f", "json"];
            let (_, out, _) = output_in(dir.path(), &replay, b"");
            let replayed = json(&out);
            assert_eq!(replayed["packets"]["denied"], 0, "{capture} {aggregate}");

            // What was seen, from the list of connections.
            let everything = "{security_groups: [{id: sg-a, rules: [{direction: ingress, protocol: all, \
                              source: [0.0.0.0/0, \"::/0\"]}]}]}";
            std::fs::write(dir.path().join("everything.yaml"), everything).unwrap();
            let rows = [
                "replay",
                "--rules",
                "everything.yaml",
                capture,
                "-f",
                "json",
                "--per",
                "connection",
            ];
            let rows = json(&output_in(dir.path(), &rows, b"").1);
            let mut seen: BTreeMap<(Direction, u64, Option<u64>), Vec<IpNet>> = BTreeMap::new();
            for row in rows["rows"].as_array().unwrap() {
                let ingress = row["direction"] == "ingress";
                let peer: IpAddr =
                    row[if ingress { "src" } else { "dst" }].as_str().unwrap().parse().unwrap();
                let proto = row["proto"].as_u64().unwrap();
                let port = row["dport"].as_u64().filter(|_| [6, 17].contains(&proto));
                let direction = if ingress { Direction::Ingress } else { Direction::Egress };
                seen.entry((direction, proto, port)).or_default().push(bound.around(peer));
            }
            let suggested = rules(&yaml);
            for direction in Direction::BOTH {
                let list = suggested.ordered(0, direction);
                let accepts = |entry: &_| {
                    list.entry(*entry).is_some_and(|entry| {
                        entry.policy == Policy::Accept
                            && matches!(entry.kind, EntryKind::Rule { .. })
                    })
                };
                let open = parts(&[&list], &Question::all(), |of| accepts(&of[0])).unwrap();
                for part in open {
                    for service in part.region.services() {
                        let proto = u64::from(service.proto.0);
                        let ports: Vec<Option<u64>> = match service.detail {
                            Detail::Ports(first, last) => {
                                (first..=last).map(|port| Some(port.into())).collect()
                            }
                            Detail::All | Detail::Icmp(..) => vec![None],
                        };
                        for port in ports {
                            let nets = seen.get(&(direction, proto, port));
                            let nets = nets.unwrap_or_else(|| {
                                panic!("{capture}: {} was not seen", part.region)
                            });
                            for range in part.region.peers() {
                                assert!(
                                    covered(nets, range.first, range.last),
                                    "{capture}: {}",
                                    part.region
                                );
                                checked += 1;
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(checked > 300, "{checked}");
}

/// Captures of every kind of traffic: what is suggested can be read, and nothing is denied under it but what
/// no rule can name, of which it is said.
#[test]
fn a_sample_of_the_corpus() {
    let Ok(corpus) = std::env::var("SGREPLAY_CORPUS") else {
        println!("SKIPPED: SGREPLAY_CORPUS names no folder of captures");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut replayed = 0;
    for path in support::corpus(std::path::Path::new(&corpus)).iter().step_by(6) {
        let capture = path.to_str().unwrap();
        // Damage is of no account here: what was read before it is learned from.
        let (_, yaml, _) = output_in(dir.path(), &["suggest", capture], b"");
        if !yaml.contains("security_groups:") {
            continue;
        }
        std::fs::write(dir.path().join("suggested.yaml"), &yaml).unwrap();
        let replay = ["replay", "--rules", "suggested.yaml", capture, "-f", "json"];
        let (_, out, err) = output_in(dir.path(), &replay, b"");
        assert!(!out.is_empty(), "{capture}: {err}");
        let out = json(&out);
        // What comes after a connection has closed is learned from no more than it fails a gate.
        let denied = |of: &str| out[of]["denied"].as_u64().unwrap();
        let denied = denied("packets") - denied("strays");
        assert!(denied == 0 || yaml.contains("will be cut"), "{capture}: {denied} denied");
        replayed += 1;
    }
    println!("{replayed} captures: nothing is denied of what was learned from");
    assert!(replayed > 50);
}

/// Whether every address of a range lies in one of the networks.
fn covered(nets: &[IpNet], first: IpAddr, last: IpAddr) -> bool {
    let mut at = first;
    loop {
        let Some(net) = IpNet::aggregate(&nets.to_vec()).into_iter().find(|net| net.contains(&at))
        else {
            return false;
        };
        if net.broadcast() >= last {
            return true;
        }
        at = match net.broadcast() {
            IpAddr::V4(addr) => IpAddr::V4((addr.to_bits() + 1).into()),
            IpAddr::V6(addr) => IpAddr::V6((addr.to_bits() + 1).into()),
        };
    }
}

/// Fewer rules open more, and never more than the bound; what was allowed stays so.
#[test]
fn at_most_so_many_rules() {
    let dir = tempfile::tempdir().unwrap();
    let frames: Vec<Vec<u8>> = (0..40_u8)
        .map(|n| support::ipv4(&format!("203.0.113.{}:40000", n * 3), "10.0.0.5:443", "S"))
        .collect();
    let bytes = support::pcap(101, &frames.iter().map(Vec::as_slice).collect::<Vec<_>>());
    std::fs::write(dir.path().join("x.pcap"), bytes).unwrap();
    let of = |most: &str, bound: &str| {
        let args = [
            "suggest",
            "x.pcap",
            "--local",
            "10.0.0.5",
            "--max-rules",
            most,
            "--aggregate",
            bound,
            "-f",
            "json",
        ];
        output_in(dir.path(), &args, b"")
    };
    let mut before = 0.0;
    for most in ["42", "20", "10", "4", "3"] {
        let (status, out, err) = of(most, "/24");
        assert_eq!(status, 0, "{err}");
        let json = json(&out);
        let chosen =
            json["steps"].as_array().unwrap().iter().find(|step| step["chosen"] == true).unwrap();
        assert!(chosen["rules"].as_u64().unwrap() <= most.parse().unwrap());
        let opens = chosen["opens_times_seen"].as_f64().unwrap();
        assert!(opens >= before && opens <= 256.0 / 40.0, "{most}: {opens}");
        before = opens;
        let file = json["rules_file"].to_string();
        std::fs::write(dir.path().join("rules.yaml"), file).unwrap();
        let replay = [
            "replay",
            "--rules",
            "rules.yaml",
            "--local",
            "10.0.0.5",
            "x.pcap",
            "--fail-on",
            "denied",
        ];
        assert_eq!(output_in(dir.path(), &replay, b"").0, 0);
    }
    assert_eq!(of("3", "/28").0, 2, "not within that bound");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// What is printed is read to the same rule set.
    #[test]
    fn printed_rules_are_the_same((texts, _) in proposals(), enterprise in any::<bool>()) {
        let before = rules(&file(&texts, if enterprise { "enterprise" } else { "basic" }));
        prop_assert_eq!(&rules(&print(&before)), &before, "{}", print(&before));
    }

    /// Whatever people write in a description comes back.
    #[test]
    fn printed_words_are_the_same(text in "\\PC{1,40}|[ -~]{1,20}|true|1\\.5|~|[\t\n#:'\"]{1,5}") {
        let json = serde_json::to_string(&text).unwrap();
        let file = format!(
            "{{security_groups: [{{id: sg-a, rules: [{{id: a, direction: ingress, protocol: icmp, \
             source: 10.0.0.1, description: {json}}}]}}]}}"
        );
        let before = rules(&file);
        prop_assert_eq!(rules(&print(&before)), before);
    }
}

/// Characters that YAML does not take as they are.
#[test]
fn printed_controls_are_escaped() {
    let file = "{security_groups: [{id: sg-a, rules: [{direction: ingress, protocol: icmp, \
                source: 10.0.0.1, description: \"a\\x7f\\u0085\\uFEFF\\uFFFD\\n\"}]}]}";
    let before = rules(file);
    assert_eq!(rules(&print(&before)), before);
}

/// Files with everything in them.
#[test]
fn printed_files_are_the_same() {
    let page = std::fs::read_to_string(support::root().join("src/manual/rules-file.md")).unwrap();
    let rules_file = page.split("```yaml\nsecurity_groups:").nth(1).unwrap();
    let mut texts = vec![format!("security_groups:{}", rules_file.split("```").next().unwrap())];
    for name in ["current.yaml", "proposed.yaml", "fixed.yaml", "two-instances.yaml"] {
        texts.push(std::fs::read_to_string(support::capture(name)).unwrap());
    }
    texts.push(
        "{security_groups: [{id: sg-a, vpc_id: vpc-1, inner_access_policy: drop, rules: [
           {id: '1', direction: egress, policy: drop, priority: 100, protocol: 47, destination: '::/0'},
           {direction: ingress, protocol: tcp, ports: [22/22, 80/90, prl-a], source: [pl-a, 7/sg-b, sg-c],
            source_ports: 1024/65535, destination: '2001:db8::5', create_time: '2018-12-12T07:28:38Z',
            description: 'a: b # c'}]}],
          prefix_lists: [{id: pl-a, entries: ['2001:db8::/32']}], port_lists: [{id: prl-a, entries: [1/32]}],
          carrier_ports: [], suppressions: [{code: shadowed, rule: '1', reason: 'x: y', until: 2026-12-31}]}"
            .to_owned(),
    );
    for text in texts {
        let before = rules(&text);
        assert_eq!(rules(&print(&before)), before, "{}", print(&before));
    }
}

/// With nothing to hold against, and all of it.
#[test]
fn the_rest_of_the_time() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(support::capture("story.pcap"), dir.path().join("x.pcap")).unwrap();
    let of = |percent: &str| {
        let args = ["suggest", "x.pcap", "--holdout", percent, "-f", "json"];
        json(&output_in(dir.path(), &args, b"").1)["holdout"].clone()
    };
    assert_eq!(of("0")["connections"], 0);
    let half = of("50%");
    assert!(half["connections"].as_u64().unwrap() > half["cut"].as_array().unwrap().len() as u64);
    assert!(
        run_in(dir.path(), &["suggest", "x.pcap", "--holdout", "half"], b"")
            .starts_with("status 2")
    );
}
