//! Both layers of AWS and of Alibaba Cloud: security groups, which remember connections, and network ACLs, which do
//! not (SEMANTICS H2, H5, H6).

use std::net::{IpAddr, Ipv4Addr};

use insta::assert_snapshot;
use ipnet::IpNet;
use proptest::prelude::*;
use sgreplay::capture::LinkType;
use sgreplay::decode::{Decoded, decode};
use sgreplay::evaluate::{Compiled, Evaluator, Reference};
use sgreplay::flow::{Direction, FlowTuple, Protocol, Transport};
use sgreplay::replay::{Midstream, Options, Replay};
use sgreplay::rules::{Assumption, Layer, Policy, RuleSet};
use sgreplay::verdict::Verdict;

use crate::clouds::{accepts, drops};
use crate::formats::folder;
use crate::space::rules;
use crate::support::{self, ipv4, output_in, run_in};

/// HV2 and HV3: connections out to HTTPS, whose replies come to ephemeral ports.
fn https(replies: &str) -> String {
    format!(
        "
cloud: aws
security_groups:
  - id: sg-web
    rules:
      - {{id: https, direction: egress, protocol: tcp, ports: 443, destination: 0.0.0.0/0}}
      - {{id: ssh, direction: ingress, protocol: tcp, ports: 22, source: 0.0.0.0/0}}
network_acls:
  - id: acl-web
    networks: [10.0.0.0/24]
    rules:
      - {{number: 100, direction: egress, protocol: tcp, ports: 443, destination: 0.0.0.0/0}}
      - {{number: 90, direction: ingress, policy: drop, protocol: tcp, ports: 22, source: 198.51.100.0/24}}
      - {{number: 95, direction: ingress, protocol: tcp, ports: 22, source: 0.0.0.0/0}}
      - {{number: 100, direction: ingress, protocol: tcp, ports: {replies}, source: 0.0.0.0/0}}
interfaces:
  - {{id: eni-web, addresses: [10.0.0.5], security_groups: [sg-web]}}
"
    )
}

#[test]
fn both_must_allow() {
    let rules = rules(&https("1024/65535"));
    assert_eq!(rules.groups().len(), 2);
    accepts(&rules, "egress tcp 10.0.0.5:50000 203.0.113.7:443", "egress-100");
    drops(&rules, "egress tcp 10.0.0.5:50000 203.0.113.7:80", "default");
    // The ACL lets it in, and no group does.
    drops(&rules, "ingress tcp 203.0.113.7:443 10.0.0.5:8080", "default");
    accepts(&rules, "ingress tcp 203.0.113.7:40000 10.0.0.5:22", "ssh");
    drops(&rules, "ingress tcp 198.51.100.7:40000 10.0.0.5:22", "ingress-90");
    // HV5: IPv6 has entries of its own.
    let open = https("1024/65535").replace("0.0.0.0/24", "0.0.0.0/24, '2001:db8::/64'");
    let open = open.replace("[10.0.0.5]", "[10.0.0.5, '2001:db8::5']");
    drops(&self::rules(&open), "ingress tcp [2001:db9::9]:40000 [2001:db8::5]:22", "default");
    // HV4: between two addresses of one subnet no ACL is asked.
    let closed = https("1024/65535").replace(
        "ports: 443, destination: 0.0.0.0/0}\n      - {number: 90",
        "ports: 444, destination: 0.0.0.0/0}\n      - {number: 90",
    );
    let closed = self::rules(&closed);
    drops(&closed, "egress tcp 10.0.0.5:50000 203.0.113.7:443", "default");
    accepts(&closed, "egress tcp 10.0.0.5:50000 10.0.0.9:443", "same-subnet");
    // HV11, but for the cloud's own entries: the position decides, and replies are judged by themselves.
    let alibaba = "
security_groups: [{id: sg-a, rules: [{direction: ingress, protocol: tcp, ports: 1/65535, source: 0.0.0.0/0}]}]
network_acls:
  - id: nacl-a
    rules:
      - {number: 1, direction: ingress, policy: drop, protocol: tcp, ports: 22/22, source: 0.0.0.0/0}
      - {number: 2, direction: ingress, protocol: all, source: 0.0.0.0/0}
";
    let alibaba = self::rules(alibaba);
    drops(&alibaba, "ingress tcp 203.0.113.9:40000 10.0.0.5:22", "ingress-1");
    accepts(&alibaba, "ingress tcp 203.0.113.9:40000 10.0.0.5:80", "sg-a#1");
    // An entry of every ACL lets the cloud's own services pass; the groups let the metadata service pass (SEMANTICS H1).
    accepts(&alibaba, "egress tcp 10.0.0.5:40000 100.100.100.200:80", "cloud-service");
    drops(&alibaba, "egress tcp 10.0.0.5:40000 198.51.100.1:80", "default");
}

/// A connection out, from a port whose replies the ACL lets in, and one from a port whose replies it does not.
fn replies() -> Vec<u8> {
    let server = "203.0.113.7:443";
    let of = |client: &'static str| {
        [
            (client, server, "S"),
            (server, client, "S."),
            (server, client, "S."),
            (client, server, "R"),
        ]
    };
    let packets = [of("10.0.0.5:50000"), of("10.0.0.5:40000")].concat();
    let packets: Vec<Vec<u8>> =
        packets.into_iter().map(|(src, dst, flags)| ipv4(src, dst, flags)).collect();
    let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    support::pcap(LinkType::RAW.0, &packets)
}

#[test]
fn replies_pass_the_network_acl_by_themselves() {
    let dir = folder(&[("r.yaml", &https("49152/65535"))]);
    std::fs::write(dir.path().join("x.pcap"), replies()).unwrap();
    let replay = |more: &[&str]| {
        run_in(dir.path(), &[&["replay", "--rules", "r.yaml", "x.pcap"], more].concat(), b"")
    };
    assert_snapshot!("replies", replay(&[]));
    assert_snapshot!("replies by packet", replay(&["--per", "packet", "-f", "csv"]));
    assert_snapshot!("replies by connection", replay(&["--per", "connection"]));
    // A connection that is cut by its replies is none that is allowed.
    assert!(replay(&["--fail-on", "denied"]).starts_with("status 1"));
    let json = replay(&["-f", "json"]);
    assert!(json.contains(r#""cut": 1"#) && json.contains(r#""layer": "network_acl""#), "{json}");
    // Also where the reply itself is not reported, or only the reply is.
    for filter in ["src port 40000", "dst port 40000", "dst port 443", "src port 443"] {
        let out = replay(&["--filter", filter, "--fail-on", "denied", "-f", "json"]);
        assert!(out.starts_with("status 1"), "{filter}: {out}");
        assert!(out.contains(r#""cut": 1"#) && out.contains(r#""denied": 1"#), "{filter}: {out}");
    }
    let explain = |frame: &str| {
        let args = ["explain", "--rules", "r.yaml", "--frame", frame, "x.pcap"];
        run_in(dir.path(), &args, b"")
    };
    assert_snapshot!("reply allowed", explain("2"));
    assert_snapshot!("reply stopped", explain("6"));
    // Of a connection under way the replies are judged all the same.
    let cut = ipv4("203.0.113.7:443", "10.0.0.5:40000", "S.");
    std::fs::write(dir.path().join("y.pcap"), support::pcap(LinkType::RAW.0, &[&cut, &cut]))
        .unwrap();
    let args = ["replay", "--rules", "r.yaml", "y.pcap", "-f", "json"];
    let (_, json, _) = output_in(dir.path(), &args, b"");
    let summary: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(summary["connections"]["cut"], 1, "{json}");
    assert_eq!(summary["connections"]["denied"], 1, "{json}");
    assert_eq!(summary["packets"]["denied"], 2, "{json}");
}

#[test]
fn a_change_that_cuts_replies() {
    let dir = folder(&[("a.yaml", &https("1024/65535")), ("b.yaml", &https("49152/65535"))]);
    std::fs::write(dir.path().join("x.pcap"), replies()).unwrap();
    let diff = |a: &str, b: &str, more: &[&str]| {
        let args = [&["diff", "--current", a, "--proposed", b, "x.pcap"], more].concat();
        output_in(dir.path(), &args, b"")
    };
    let (status, json, _) = diff("a.yaml", "b.yaml", &["-f", "json", "--fail-on", "newly-denied"]);
    let summary: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((status, &summary["connections"]["newly_denied"]), (1, &1.into()), "{json}");
    assert_eq!(summary["connections"]["unchanged"], 1, "{json}");
    assert_eq!(summary["changes"][0]["proposed"]["layer"], "network_acl", "{json}");
    assert_eq!(summary["changes"][0]["proposed"]["rule"], "default", "{json}");
    assert_eq!(summary["changes"][0]["dport"], 443, "{json}");
    let (_, json, _) = diff("b.yaml", "a.yaml", &["-f", "json"]);
    let summary: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(summary["connections"]["newly_allowed"], 1, "{json}");
    // Over all possible packets.
    let args = ["diff", "--current", "a.yaml", "--proposed", "b.yaml"];
    assert_snapshot!("of the acl alone", run_in(dir.path(), &args, b""));
}

#[test]
fn both_lists_are_explained_and_checked() {
    let dir = folder(&[("r.yaml", &https("49152/65535"))]);
    let explain = |direction: &str, src: &str, dst: &str| {
        let args = [
            "explain",
            "--rules",
            "r.yaml",
            "--direction",
            direction,
            "--proto",
            "tcp",
            "--src",
            src,
            "--dst",
            dst,
        ];
        run_in(dir.path(), &args, b"")
    };
    let all = [
        explain("ingress", "203.0.113.9:40000", "10.0.0.5:22"),
        explain("ingress", "198.51.100.9:40000", "10.0.0.5:22"),
        explain("egress", "10.0.0.5:40000", "203.0.113.9:443"),
        explain("egress", "10.0.0.5:40000", "203.0.113.9:80"),
    ];
    assert_snapshot!("both lists", all.concat());
    assert_snapshot!("both checked", run_in(dir.path(), &["check", "r.yaml", "--notes"], b""));
    // A service that only one of them opens is not open; connections whose replies are stopped are not allowed.
    let closed = https("1024/65535").replace("{number: 95, ", "{number: 95, policy: drop, ");
    assert!(
        !run_in(folder(&[("r.yaml", &closed)]).path(), &["check", "r.yaml"], b"")
            .contains("open-administration")
    );
    let expected = "[{name: out, direction: egress, protocol: tcp, ports: 443, destination: 203.0.113.7, verdict: allow},
      {name: upper, direction: egress, protocol: tcp, ports: 443, destination: 203.0.113.7, source_ports: 50000/60000, verdict: allow},
      {name: in, protocol: tcp, ports: 22, source: 203.0.113.7, verdict: deny, by: ssh},
      {name: denied, protocol: tcp, ports: 22, source: 198.51.100.7, verdict: deny}]";
    std::fs::write(dir.path().join("e.yaml"), expected).unwrap();
    assert_snapshot!("both expected", run_in(dir.path(), &["test", "r.yaml", "e.yaml"], b""));
    // What was read is written, and read to the same.
    let (status, yaml, err) = output_in(dir.path(), &["convert", "r.yaml", "--to", "yaml"], b"");
    assert_eq!(status, 0, "{err}");
    assert!(rules(&yaml).says_the_same(&rules(&https("49152/65535"))), "{yaml}");
    for to in ["nftables", "iptables"] {
        assert_snapshot!(
            format!("both to {to}"),
            run_in(dir.path(), &["convert", "r.yaml", "--to", to], b"")
        );
    }
    let used = ["replay", "--rules", "r.yaml", "x.pcap", "--coverage"];
    std::fs::write(dir.path().join("x.pcap"), replies()).unwrap();
    let coverage = run_in(dir.path(), &used, b"");
    // A rule that lets replies in is used by them.
    assert!(
        coverage.contains("never used in that time: ssh, ingress-90, ingress-95"),
        "{coverage}"
    );
}

#[test]
fn mistakes_of_network_acls() {
    let acl = |more: &str| {
        format!(
            "cloud: aws\nsecurity_groups: [{{id: sg-a}}]\nnetwork_acls:\n  - id: acl-a\n    {more}\n"
        )
    };
    let check = |text: &str| {
        let dir = folder(&[("r.yaml", text)]);
        run_in(dir.path(), &["check", "r.yaml"], b"")
    };
    let all = [
        check(&acl("rules: [{direction: ingress, protocol: all, source: 0.0.0.0/0}]")),
        check(&acl(
            "rules: [{number: 99999, direction: ingress, protocol: all, source: 0.0.0.0/0}]",
        )),
        check(&acl("rules: [{number: 1, direction: ingress, protocol: all, source: sg-a}]")),
        check(&acl(
            "rules: [{number: 1, direction: ingress, protocol: all, source: 0.0.0.0/0}, {number: 1, direction: ingress, protocol: tcp, source: 0.0.0.0/0}]",
        )),
        check(&acl(
            "interfaces: [eni-x]\ninterfaces: [{id: eni-y, addresses: [10.0.0.5], security_groups: [sg-a]}]",
        )),
        check(&acl("rules: []").replace("aws", "azure")),
        check(&(acl("rules: []") + "  - {id: acl-b}\n")),
    ];
    assert_snapshot!("mistakes of network acls", all.concat());
}

/// The rules of AWS in the plainest words: each list read from its start.
#[derive(Clone, Debug)]
struct Linear {
    /// What security groups accept.
    groups: Vec<Row>,
    /// What the network ACL says, and by which number.
    acl: Vec<(u32, bool, Row)>,
}

#[derive(Clone, Debug)]
struct Row {
    ingress: bool,
    udp: Option<bool>,
    ports: (u16, u16),
    peer: IpNet,
}

impl Row {
    fn fits(&self, direction: Direction, flow: &FlowTuple) -> bool {
        let (_, dport) = flow.transport.ports().unwrap();
        let has_ports = self.udp.is_some();
        self.ingress == (direction == Direction::Ingress)
            && self.udp.is_none_or(|udp| udp == (flow.proto == Protocol::UDP))
            && (!has_ports || (self.ports.0..=self.ports.1).contains(&dport))
            && self.peer.contains(&flow.peer(direction))
    }

    fn yaml(&self, first: &str, policy: &str) -> String {
        let (direction, far) =
            if self.ingress { ("ingress", "source") } else { ("egress", "destination") };
        let ports = match self.udp {
            None => "protocol: all".to_owned(),
            Some(udp) => {
                let protocol = if udp { "udp" } else { "tcp" };
                format!("protocol: {protocol}, ports: {}/{}", self.ports.0, self.ports.1)
            }
        };
        format!(
            "{{{first}direction: {direction}, policy: {policy}, {ports}, {far}: {}}}",
            self.peer
        )
    }
}

impl Linear {
    fn groups(&self, direction: Direction, flow: &FlowTuple) -> bool {
        self.groups.iter().any(|row| row.fits(direction, flow))
    }

    fn acl(&self, direction: Direction, flow: &FlowTuple) -> bool {
        let mut rows: Vec<_> = self.acl.iter().collect();
        rows.sort_by_key(|(number, ..)| *number);
        let first = rows.into_iter().find(|(_, _, row)| row.fits(direction, flow));
        first.is_some_and(|(_, accept, _)| *accept)
    }

    fn yaml(&self) -> String {
        let groups: Vec<String> = self.groups.iter().map(|row| row.yaml("", "accept")).collect();
        let acl = self.acl.iter().map(|(number, accept, row)| {
            row.yaml(&format!("number: {number}, "), if *accept { "accept" } else { "drop" })
        });
        format!(
            "cloud: aws\nsecurity_groups: [{{id: sg-a, rules: [{}]}}]\nnetwork_acls: [{{id: acl-a, rules: [{}]}}]\n\
             interfaces: [{{id: eni-a, addresses: [10.0.0.5], security_groups: [sg-a]}}]\n",
            groups.join(", "),
            acl.collect::<Vec<_>>().join(", ")
        )
    }
}

const PORTS: [u16; 4] = [22, 443, 40_000, 50_000];
const PEERS: [&str; 4] = ["0.0.0.0/0", "198.51.100.0/24", "198.51.100.7/32", "203.0.113.0/24"];

fn row() -> impl Strategy<Value = Row> {
    let ports =
        (0..PORTS.len(), 0..PORTS.len()).prop_map(|(a, b)| (PORTS[a.min(b)], PORTS[a.max(b)]));
    // Everybody more often than the others.
    let peer =
        (0..2 * PEERS.len()).prop_map(|n| PEERS[n.saturating_sub(PEERS.len())].parse().unwrap());
    (any::<bool>(), prop::option::weighted(0.8, any::<bool>()), ports, peer)
        .prop_map(|(ingress, udp, ports, peer)| Row { ingress, udp, ports, peer })
}

fn linear() -> impl Strategy<Value = Linear> {
    let accept = prop::bool::weighted(0.8);
    let acl = prop::collection::vec((accept, row()), 0..11);
    (prop::collection::vec(row(), 0..8), acl).prop_map(|(groups, acl)| {
        // Numbers are given out of order.
        let number = |n: usize| u32::try_from((n * 7) % 11 + 1).unwrap();
        let acl = acl.into_iter().enumerate().map(|(n, (accept, row))| (number(n), accept, row));
        Linear { groups, acl: acl.collect() }
    })
}

/// A packet, of one of few connections: which way it goes, and its tuple.
fn flow() -> impl Strategy<Value = (Direction, FlowTuple)> {
    let peers = [[198, 51, 100, 7], [198, 51, 100, 8], [203, 0, 113, 9], [192, 0, 2, 1]];
    let side = (0..peers.len(), 0..PORTS.len(), 0..PORTS.len());
    (any::<bool>(), any::<bool>(), side).prop_map(move |(ingress, udp, (peer, sport, dport))| {
        let (peer, own): (IpAddr, IpAddr) = (peers[peer].into(), Ipv4Addr::new(10, 0, 0, 5).into());
        let (src, dst) = if ingress { (peer, own) } else { (own, peer) };
        let proto = if udp { Protocol::UDP } else { Protocol::TCP };
        let transport = Transport::Ports { src: PORTS[sport], dst: PORTS[dport] };
        let direction = if ingress { Direction::Ingress } else { Direction::Egress };
        (direction, FlowTuple { src, dst, proto, transport })
    })
}

fn compiled(rules: &RuleSet, direction: Direction, flow: &FlowTuple) -> bool {
    let list = rules.ordered(0, direction);
    let [reference, compiled] = [Reference(&list).decide(flow), Compiled::new(&list).decide(flow)];
    assert_eq!(reference, compiled);
    list.entry(compiled).unwrap().policy == Policy::Accept
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The packet that opens a connection passes where both lists, read from their starts, let it.
    #[test]
    fn openings_pass_both_lists(linear in linear(), flows in prop::collection::vec(flow(), 1..20)) {
        let rules = rules(&linear.yaml());
        for (direction, flow) in flows {
            let expected = linear.groups(direction, &flow) && linear.acl(direction, &flow);
            prop_assert_eq!(compiled(&rules, direction, &flow), expected, "{} {}", direction, flow);
            let layers = rules.ordered_by_layer(0, direction, &Assumption::default());
            for (layer, list) in layers {
                let entry = list.entry(Reference(&list).decide(&flow)).unwrap();
                let alone = match layer {
                    Layer::SecurityGroup => linear.groups(direction, &flow),
                    Layer::NetworkAcl => linear.acl(direction, &flow),
                };
                prop_assert_eq!(entry.policy == Policy::Accept, alone);
            }
        }
    }

    /// What belongs to a connection passes the groups, and the network ACL by itself; what follows a denied opening
    /// would never have come.
    #[test]
    fn replies_pass_the_acl(linear in linear(), flows in prop::collection::vec(flow(), 1..30)) {
        let rules = rules(&linear.yaml());
        let midstream = Midstream::FirstPacket;
        let mut replay = Replay::new(&rules, Options::default().with_midstream(midstream));
        // By the tuple of the packet that opened it: whether it was allowed.
        let mut open: Vec<(FlowTuple, bool)> = Vec::new();
        for (number, (direction, flow)) in (1..).zip(flows) {
            // Of TCP only packets that open, so that nothing is inferred; of UDP everything.
            let known = open.iter().find(|(known, _)| *known == flow || *known == flow.reversed()).copied();
            let flags = match (flow.proto, known) {
                (Protocol::UDP, _) => "udp",
                (_, None) => "S",
                (_, Some((known, _))) if known == flow => ".",
                _ => "S.",
            };
            let (sport, dport) = flow.transport.ports().unwrap();
            let bytes = ipv4(&format!("{}:{sport}", flow.src), &format!("{}:{dport}", flow.dst), flags);
            let Decoded::Packet(packet) = decode(LinkType::RAW, &bytes) else { panic!("{bytes:?}") };
            let frame = support::frame(number, 0.001, &bytes);
            let judged = replay.judge(&frame, &Decoded::Packet(packet));
            let by_acl = linear.acl(direction, &flow);
            let expected = if let Some((_, allowed)) = known {
                allowed && by_acl
            } else {
                let allowed = linear.groups(direction, &flow) && by_acl;
                open.push((flow, allowed));
                allowed
            };
            prop_assert_eq!(judged.verdict().0 == Verdict::Allow, expected, "frame {} {} {}", number, direction, flow);
        }
        let (denied, cut) = (replay.stats().connections().denied, replay.stats().cut());
        let refused = open.iter().filter(|(_, allowed)| !allowed).count() as u64;
        prop_assert_eq!(denied - cut, refused);
    }
}

/// Whether a connection comes about: its opening passes both lists, and its answer the network ACL.
fn comes_about(linear: &Linear, direction: Direction, flow: &FlowTuple) -> bool {
    linear.groups(direction, flow)
        && linear.acl(direction, flow)
        && linear.acl(direction.opposite(), &flow.reversed())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The exact difference has every connection that only one of two rule sets lets come about, and no other.
    #[test]
    fn the_exact_difference_sees_replies(current in linear(), change in linear(), what in 0..3_u8, flows in prop::collection::vec(flow(), 1..40)) {
        let mut proposed = current.clone();
        if what != 0 {
            proposed.groups = change.groups;
        }
        if what != 1 {
            proposed.acl = change.acl;
        }
        let sets = [rules(&current.yaml()), rules(&proposed.yaml())];
        let turned = sgreplay::diff::regions(&sets[0], &sets[1]).unwrap();
        for (direction, flow) in flows {
            let both = [&current, &proposed].map(|rules| comes_about(rules, direction, &flow));
            let found = turned.iter().any(|of| match of.replies {
                false => of.region.direction() == direction && of.region.contains(&flow),
                true => {
                    of.region.direction() != direction && of.region.contains(&flow.reversed())
                }
            });
            // An opening whose verdict turns may be one whose answer is stopped anyway.
            let opens = [&current, &proposed].map(|rules| rules.groups(direction, &flow) && rules.acl(direction, &flow));
            prop_assert_eq!(found, both[0] != both[1] || opens[0] != opens[1], "{} {}", direction, flow);
        }
        for one in turned.iter().filter(|one| one.replies) {
            let (reply, direction) = (one.region.example(), one.region.direction());
            let Transport::Ports { .. } = reply.transport else { continue };
            let both = [&current, &proposed].map(|rules| comes_about(rules, direction.opposite(), &reply.reversed()));
            prop_assert!(both[0] != both[1], "{}", reply);
        }
    }
}

/// Rules of both layers, and packets of few connections for them: source, destination, TCP's flags or `udp`.
pub(crate) fn rules_and_packets()
-> impl Strategy<Value = (String, Vec<(String, String, &'static str)>)> {
    let flows = prop::collection::vec(flow(), 20..40);
    (linear(), flows).prop_map(|(linear, flows)| {
        let mut opened: Vec<FlowTuple> = Vec::new();
        let both = flows.into_iter().flat_map(|(_, flow)| [flow, flow.reversed()]);
        let packets = both.map(|flow| {
            let known = opened.iter().find(|known| **known == flow || **known == flow.reversed());
            let flags = match (flow.proto, known) {
                (Protocol::UDP, _) => "udp",
                (_, None) => "S",
                (_, Some(known)) if *known == flow => ".",
                _ => "S.",
            };
            if known.is_none() {
                opened.push(flow);
            }
            let (sport, dport) = flow.transport.ports().unwrap();
            (format!("{}:{sport}", flow.src), format!("{}:{dport}", flow.dst), flags)
        });
        (linear.yaml(), packets.collect())
    })
}
