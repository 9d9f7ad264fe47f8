//! `replay --coverage`: what traffic used of the rules, and how long it was watched.

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::{self, output_in, run, run_in};

fn json(args: &[&str]) -> Value {
    let args = [&["replay", "-f", "json"], args].concat();
    serde_json::from_str(&output_in(&support::capture(""), &args, b"").1).unwrap()
}

#[test]
fn of_the_story() {
    let text = run(&["replay", "--rules", "current.yaml", "--coverage", "story.pcap"]);
    let text = text.split("coverage:").nth(1).unwrap();
    assert_snapshot!("story", text);
    let rules = "security_groups:
  - id: sg-a
    rules:
      - {id: wide, direction: ingress, protocol: tcp, ports: [1/1023, 3306/3306], source: [198.51.0.0/16, 203.0.113.9]}
      - {id: never, direction: ingress, protocol: udp, ports: 514, source: 0.0.0.0/0}
      - {id: shut, direction: ingress, policy: drop, protocol: tcp, ports: 6379, source: 0.0.0.0/0}
";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.yaml"), rules).unwrap();
    std::fs::copy(support::capture("story.pcap"), dir.path().join("story.pcap")).unwrap();
    let text =
        run_in(dir.path(), &["replay", "--rules", "rules.yaml", "--coverage", "story.pcap"], b"");
    assert_snapshot!("far wider", text.split("coverage:").nth(1).unwrap());
}

/// Every capture: what rules and defaults used adds up to what was judged, and agrees with the rules'
/// own counts.
#[test]
fn usage_adds_up() {
    for path in support::captures() {
        let name = path.file_name().unwrap().to_str().unwrap();
        for sessions in ["on", "off"] {
            let json =
                json(&["--rules", "current.yaml", "--coverage", "--sessions", sessions, name]);
            let of = |value: &Value| value["connections"].as_u64().unwrap();
            let coverage = &json["coverage"];
            let rules = coverage["rules"].as_array().unwrap();
            let used: u64 =
                rules.iter().chain(coverage["defaults"].as_array().unwrap()).map(of).sum();
            // System traffic is used by nobody's rule.
            let system: u64 =
                json["decided"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|kind| kind["reason"] == "system")
                    .map(|kind| {
                        if sessions == "on" { of(kind) } else { kind["packets"].as_u64().unwrap() }
                    })
                    .sum();
            let judged = match sessions {
                "on" => json["connections"]["total"].as_u64().unwrap(),
                _ => {
                    json["packets"]["allowed"].as_u64().unwrap()
                        + json["packets"]["denied"].as_u64().unwrap()
                }
            };
            // A packet to itself is judged at both ends.
            let twice = name == "web.pcapng" || name == "any.pcap";
            assert!(
                used + system == judged || twice && used + system > judged,
                "{name} {sessions}"
            );
            for (coverage, counted) in rules.iter().zip(json["rules"].as_array().unwrap()) {
                assert_eq!(coverage["rule"], counted["rule"]);
                if sessions == "on" {
                    assert_eq!(of(coverage), of(counted), "{name}");
                }
                let sum =
                    |key: &str| -> u64 { coverage[key].as_array().unwrap().iter().map(of).sum() };
                assert_eq!(
                    (sum("services"), sum("networks")),
                    (of(coverage), of(coverage)),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn gates() {
    let status = |least: &str| {
        let args = ["replay", "--rules", "current.yaml", "--min-coverage", least, "story.pcap"];
        run(&args).lines().next().unwrap().to_owned()
    };
    assert_eq!(status("81"), "status 0");
    assert_eq!(status("82%"), "status 1");
    assert_eq!(status("101"), "status 2");
    // Where nothing is chosen there is nothing to cover by.
    let args =
        ["replay", "--rules", "current.yaml", "--filter", "tcp port 1", "--min-coverage", "0"];
    assert!(run(&[&args[..], &["story.pcap"]].concat()).starts_with("status 2"));
    let empty = support::pcap(1, &[]);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("empty.pcap"), empty).unwrap();
    std::fs::copy(support::capture("current.yaml"), dir.path().join("rules.yaml")).unwrap();
    let args = ["replay", "--rules", "rules.yaml", "empty.pcap", "--fail-on", "denied"];
    assert_snapshot!("empty capture", run_in(dir.path(), &args, b""));
}

/// A pcapng says how many packets its machine has dropped; the last word of each interface counts.
#[test]
fn drops_are_told() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(support::capture("current.yaml"), dir.path().join("rules.yaml")).unwrap();
    let told = |drops: &[(u32, u64)], big: bool| {
        let mut bytes = std::fs::read(support::capture("web.pcapng")).unwrap();
        if big {
            // A section in the other byte order, with one interface and no packet.
            bytes.extend(*b"\x0a\x0d\x0d\x0a\0\0\0\x1c\x1a\x2b\x3c\x4d\0\x01\0\0");
            bytes.extend([0xff; 8]);
            bytes.extend(28_u32.to_be_bytes());
            bytes.extend(*b"\0\0\0\x01\0\0\0\x14\0\x01\0\0\0\0\0\0\0\0\0\x14");
        }
        for (interface, drops) in drops {
            let word = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
            let short = |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() };
            let mut block = [word(5), word(40), word(*interface), word(0), word(0)].concat();
            block.extend([short(5), short(8)].concat());
            block.extend(if big { drops.to_be_bytes() } else { drops.to_le_bytes() });
            block.extend([word(0), word(40)].concat());
            bytes.extend(block);
        }
        std::fs::write(dir.path().join("x.pcapng"), bytes).unwrap();
        let args = ["replay", "--rules", "rules.yaml", "x.pcapng", "-f", "json", "--coverage"];
        let (_, out, _) = output_in(dir.path(), &args, b"");
        let json: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(json["coverage"]["window"]["dropped"], json["inputs"]["captures"][0]["dropped"]);
        json["coverage"]["window"]["dropped"].as_u64()
    };
    let before = told(&[], false).unwrap();
    assert_eq!(told(&[(0, before + 3), (0, before + 5), (1, 2), (9, 7)], false), Some(before + 7));
    assert_eq!(told(&[(0, 4)], true), Some(before + 4));
    let args = ["replay", "--rules", "current.yaml", "--coverage", "story.pcap"];
    assert!(run(&args).contains("whether packets were dropped while capturing is not recorded"));
}
