//! What must hold whatever the rules and the traffic: laws that need no oracle.

use ipnet::IpNet;
use sgreplay::capture::Capture;
use sgreplay::decode::{Decoded, decode};
use sgreplay::evaluate::{Evaluator, Reference};
use sgreplay::flow::{Direction, Transport};
use sgreplay::labels::Label;
use sgreplay::replay::{Options, Replay};
use sgreplay::rules::RuleSet;

use crate::support;

/// Every decoded packet of the captures.
fn packets() -> Vec<sgreplay::flow::Packet> {
    let mut found = Vec::new();
    for path in support::captures() {
        let mut capture = Capture::open(&path).unwrap();
        while let Some(frame) = capture.next_frame().unwrap() {
            if let Decoded::Packet(packet) = decode(frame.link, frame.data) {
                found.push(packet);
            }
        }
    }
    assert!(found.len() > 500);
    found
}

/// Names of what decides each packet, in and out.
fn deciders(rules: &RuleSet, packets: &[sgreplay::flow::Packet]) -> Vec<String> {
    let lists = Direction::BOTH.map(|direction| rules.ordered(0, direction));
    let decide = |packet: &sgreplay::flow::Packet| {
        let both = lists.each_ref().map(|ordered| {
            let entry = ordered.entry(Reference(ordered).decide(&packet.flow)).unwrap();
            let Label { rule, .. } = Label::new(rules, 0, entry);
            format!("{rule} {}", entry.policy.as_str())
        });
        both.join(", ")
    };
    packets.iter().map(decide).collect()
}

const TWO_GROUPS: [&str; 2] = [
    "{id: sg-a, rules: [
        {direction: ingress, protocol: tcp, ports: [22, 80], source: 203.0.113.0/24, priority: 3},
        {direction: ingress, policy: drop, protocol: tcp, ports: 1/1024, source: 198.51.100.0/24, priority: 3},
        {direction: egress, policy: drop, protocol: udp, ports: 53, destination: 0.0.0.0/0}]}",
    "{id: sg-b, rules: [
        {direction: ingress, protocol: tcp, ports: 1/65535, source: 0.0.0.0/0, priority: 3},
        {direction: ingress, protocol: icmp, source: 10.0.0.0/8},
        {direction: ingress, protocol: all, source: '::/0', priority: 9}]}",
];

fn of_groups(groups: [&str; 2]) -> RuleSet {
    let text = format!("{{security_groups: [{}, {}]}}", groups[0], groups[1]);
    sgreplay::parse::yaml("test", &text).unwrap()
}

#[test]
fn the_order_of_groups_is_of_no_account() {
    let packets = packets();
    let (one, other) = (of_groups(TWO_GROUPS), of_groups([TWO_GROUPS[1], TWO_GROUPS[0]]));
    assert_eq!(deciders(&one, &packets), deciders(&other, &packets));
}

#[test]
fn a_network_split_in_halves_changes_nothing() {
    let packets = packets();
    let halved = TWO_GROUPS.map(|group| {
        let mut text = group.to_owned();
        for whole in ["203.0.113.0/24", "198.51.100.0/24", "10.0.0.0/8", "0.0.0.0/0"] {
            let IpNet::V4(net) = whole.parse().unwrap() else { continue };
            let halves: Vec<String> =
                net.subnets(net.prefix_len() + 1).unwrap().map(|half| half.to_string()).collect();
            text = text.replace(whole, &format!("[{}]", halves.join(", ")));
        }
        text
    });
    let halved = of_groups([&halved[0], &halved[1]]);
    assert_eq!(deciders(&of_groups(TWO_GROUPS), &packets), deciders(&halved, &packets));
}

#[test]
fn a_packet_cut_shorter_decodes_to_the_same_or_to_less() {
    for path in support::captures() {
        let mut capture = Capture::open(&path).unwrap();
        let mut seen = 0;
        while let Some(frame) = capture.next_frame().unwrap().filter(|_| seen < 60) {
            seen += 1;
            let Decoded::Packet(whole) = decode(frame.link, frame.data) else { continue };
            for len in 0..frame.data.len().min(120) {
                match decode(frame.link, &frame.data[..len]) {
                    Decoded::Packet(mut cut) => {
                        cut.tcp_flags = cut.tcp_flags.or(whole.tcp_flags);
                        if let (Transport::Icmp { id: cut, .. }, Transport::Icmp { id, .. }) =
                            (&mut cut.flow.transport, whole.flow.transport)
                        {
                            *cut = cut.or(id);
                        }
                        assert_eq!(cut, whole, "{} cut to {len}", path.display());
                    }
                    Decoded::Failed(undecodable) => {
                        if let Some(seen) = undecodable.seen {
                            assert_eq!(
                                (seen.flow.src, seen.flow.dst),
                                (whole.flow.src, whole.flow.dst)
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn the_counts_add_up_to_the_packets_of_the_file() {
    for path in support::captures() {
        let mut rules = of_groups(TWO_GROUPS);
        rules.set_local(vec!["10.0.0.5/32".parse().unwrap()]);
        let mut replay = Replay::new(&rules, Options::default());
        let mut capture = Capture::open(&path).unwrap();
        let mut frames = 0;
        while let Some(frame) = capture.next_frame().unwrap() {
            frames += 1;
            replay.judge(&frame, &decode(frame.link, frame.data));
        }
        let stats = replay.stats();
        assert_eq!(stats.packets().total(), frames, "{}", path.display());
        assert_eq!(stats.reasons().map(|(_, count)| count).sum::<u64>(), frames);
        let judged = stats.packets().allowed + stats.packets().denied;
        assert_eq!(stats.flow_classes().map(|(_, count)| count.packets).sum::<u64>(), judged);
    }
}

#[test]
fn two_runs_give_the_same_bytes() {
    let args =
        ["replay", "--rules", "proposed.yaml", "--per", "packet", "-f", "ndjson", "story.pcap"];
    assert_eq!(support::run(&args), support::run(&args));
}

/// Reading ahead in batches or from a pipe, the frames are the same.
#[test]
fn a_pipe_gives_what_the_file_gives() {
    let dir = support::root().join("captures");
    for name in ["story.pcap", "web.pcapng"] {
        let bytes = std::fs::read(dir.join(name)).unwrap();
        let args = |capture| {
            ["replay", "--rules", "proposed.yaml", "--per", "packet", "-f", "csv", capture]
        };
        let file = support::output_in(&dir, &args(name), b"");
        assert_eq!(support::output_in(&dir, &args("-"), &bytes), file);
    }
}

/// `explain --frame` and `replay --per packet` answer alike, frame by frame.
#[test]
fn explain_names_the_rule_that_replay_named() {
    let dir = support::root().join("captures");
    for (rules, name) in
        [("proposed.yaml", "story.pcap"), ("two-instances.yaml", "two-instances.pcap")]
    {
        let (_, csv, _) = support::output_in(
            &dir,
            &["replay", "--rules", rules, "--per", "packet", "-f", "csv", name],
            b"",
        );
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let last: usize = rows.last().unwrap()[0].parse().unwrap();
        for frame in (1..=last).step_by(5) {
            let of_frame: Vec<_> = rows.iter().filter(|row| row[0] == frame.to_string()).collect();
            let deciding =
                of_frame.iter().find(|row| &row[16] == "deny").or(of_frame.first()).unwrap();
            let (status, json, stderr) = support::output_in(
                &dir,
                &["explain", "--rules", rules, "--frame", &frame.to_string(), "-f", "json", name],
                b"",
            );
            assert_eq!(status, 0, "{stderr}");
            let answer: serde_json::Value = serde_json::from_str(&json).unwrap();
            for (key, column) in [("verdict", 16), ("reason", 17), ("group", 18), ("rule", 19)] {
                assert_eq!(
                    answer[key].as_str().unwrap_or_default(),
                    &deciding[column],
                    "{name} frame {frame} {key}"
                );
            }
        }
    }
}
