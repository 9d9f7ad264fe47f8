//! `--filter` against tcpdump itself: the same filter must choose the same packets.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use sgreplay::capture::{Capture, LinkType, PcapWriter};
use sgreplay::decode::{Decoded, decode};
use sgreplay::filter::Filter;
use sgreplay::flow::{Fragment, Packet, Protocol, TcpFlags};

use crate::support;

/// Filters that mean the same to both on untagged captures without IPv6 extension headers.
const FILTERS: [&str; 16] = [
    "tcp",
    "udp",
    "icmp",
    "icmp6",
    "ip",
    "ip6",
    "tcp port 22",
    "udp port 53 or tcp dst port 443",
    "src net 198.51.100.0/24",
    "ip and not host 203.0.113.9",
    "tcp portrange 5900-5910",
    "port 80 or 8080",
    "src host 10.0.0.5 and tcp src port 80",
    "ip proto 17",
    "ip and net 10.0.0.0/24 and not (port 53 or icmp)",
    "host 2001:db8:a::5",
];

/// How many packets tcpdump finds.
fn theirs(capture: &Path, filter: &str) -> u64 {
    let mut tcpdump = Command::new("tcpdump");
    let found = tcpdump.args(["-n", "--count", "-r"]).arg(capture).arg(filter).output().unwrap();
    assert!(found.status.success(), "{filter}: {}", String::from_utf8_lossy(&found.stderr));
    let text = String::from_utf8(found.stdout).unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn filters_choose_what_tcpdump_chooses() {
    if Command::new("tcpdump").arg("--version").output().is_err() {
        println!("SKIPPED: tcpdump is not installed, so no filter was compared with it");
        return;
    }
    let mut compared = 0;
    for capture in support::captures() {
        let name = capture.file_name().unwrap().to_str().unwrap();
        // tcpdump sees no port behind a VLAN tag, and none in the fragments that hold none.
        if name.starts_with("vlan") || name.starts_with("fragments") {
            continue;
        }
        for filter in FILTERS {
            // tcpdump's `icmp6` looks at the first next header only.
            let same = if filter == "icmp6" { "ip6 protochain 58" } else { filter };
            let theirs = theirs(&capture, same);
            let args = ["decode", "--filter", filter, "-f", "csv", name];
            let (status, ours, _) = support::output_in(capture.parent().unwrap(), &args, b"");
            assert_eq!(status, 0);
            assert_eq!(ours.lines().count() as u64 - 1, theirs, "{name}: {filter}");
            compared += 1;
        }
    }
    println!("{compared} pairs of capture and filter");
}

/// The summary's counts, by hand: what a rule decides is what tcpdump finds with the rule's filter.
#[test]
fn the_readme_summary_can_be_checked_with_tcpdump() {
    if Command::new("tcpdump").arg("--version").output().is_err() {
        println!("SKIPPED: tcpdump is not installed");
        return;
    }
    let count = |filter: &str| theirs(&support::capture("story.pcap"), filter);
    let args = [
        "replay",
        "--rules",
        "proposed.yaml",
        "-f",
        "json",
        "story.pcap",
        "--local",
        "10.0.0.5,2001:db8:a::5",
    ];
    let (_, json, _) = support::output_in(&support::root().join("captures"), &args, b"");
    let summary: serde_json::Value = serde_json::from_str(&json).unwrap();
    let packets = |rule: &str| {
        let rules = summary["rules"].as_array().unwrap();
        rules.iter().find(|of| of["rule"] == rule).unwrap()["packets"].as_u64().unwrap()
    };
    assert_eq!(packets("sgr-ssh"), count("tcp port 22 and host 203.0.113.9"));
    assert_eq!(packets("sgr-http"), count("ip and tcp and (port 80 or port 443)"));
    assert_eq!(packets("sgr-mysql"), count("tcp port 3306"));
    assert_eq!(packets("sgr-ping"), count("icmp"));
    let opened =
        count("tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn and host 198.51.100.7 and port 22");
    let ssh = summary["decided"]
        .as_array()
        .unwrap()
        .iter()
        .find(|line| line["dport"] == 22 && line["verdict"] == "deny");
    assert_eq!(ssh.unwrap()["connections"].as_u64().unwrap(), opened);
}

/// libpcap as the evaluator: rule by rule in evaluation order, packets that a rule's filter matches and
/// no filter before it. `--sessions off` judges every packet alone, as a filter does.
#[test]
fn every_rule_decides_what_its_filter_finds() {
    if Command::new("tcpdump").arg("--version").output().is_err() {
        println!("SKIPPED: tcpdump is not installed");
        return;
    }
    // The rules of proposed.yaml for ingress to 10.0.0.5, in evaluation order; path-MTU errors first.
    let rules = [
        ("path-mtu", "icmp and icmp[0] == 3 and icmp[1] == 4"),
        ("sgr-dns", "udp dst port 53 and src net 203.0.113.0/24"),
        ("sgr-http", "tcp dst port 80 or tcp dst port 443"),
        ("sgr-mysql", "tcp dst port 3306 and src host 10.0.0.6"),
        ("sgr-ping", "icmp"),
        ("sgr-redis", "tcp dst port 6379 and src net 10.0.0.0/24"),
        ("sgr-ssh", "tcp dst port 22 and src net 203.0.113.0/24"),
        ("default", "ip"),
    ];
    let mut compared = 0;
    for capture in support::captures() {
        let name = capture.file_name().unwrap().to_str().unwrap();
        if name.starts_with("vlan") || name.starts_with("fragments") {
            continue;
        }
        let args =
            ["replay", "--rules", "proposed.yaml", "--sessions", "off", "--local", "10.0.0.5"];
        let args = [&args[..], &["--per", "packet", "-f", "csv", name]].concat();
        let (status, csv, stderr) = support::output_in(capture.parent().unwrap(), &args, b"");
        assert_eq!(status, 0, "{stderr}");
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let mut before = String::new();
        for (rule, filter) in rules {
            let ours =
                rows.iter().filter(|row| &row[15] == "ingress" && &row[19] == rule).count() as u64;
            let first_match = format!("ip and dst host 10.0.0.5 and ({filter}){before}");
            assert_eq!(ours, theirs(&capture, &first_match), "{name}: {rule}");
            before = format!("{before} and not ({filter})");
            compared += ours;
        }
    }
    println!("{compared} packets decided by the rule that libpcap finds");
    assert!(compared > 300);
}

/// What a frame has before its IP header, as far as it decides which filter of libpcap finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shape {
    /// What libpcap takes for granted: no tag, and behind an IPv6 header no extension.
    Plain,
    /// One 802.1Q tag: libpcap looks behind it after `vlan and`.
    Vlan,
    /// `PPPoE`: after `pppoes and`.
    Pppoe,
}

impl Shape {
    /// `None` for what libpcap's filters cannot look into, or do not.
    fn of(link: LinkType, data: &[u8]) -> Option<Self> {
        let behind = |at: usize| match data.get(at..at + 2) {
            Some([0x08, 0x00] | [0x86, 0xdd]) => Some(at + 2),
            _ => None,
        };
        let (shape, ip) = match (link, data.get(12..14)) {
            (LinkType::ETHERNET, Some([0x81, 0x00])) => (Self::Vlan, behind(16)?),
            (LinkType::ETHERNET, Some([0x88, 0x64])) => (Self::Pppoe, 22),
            _ => (Self::Plain, support::ip_offset(link, data)?),
        };
        let extension = [0, 43, 44, 51, 60, 135, 139, 140];
        let v6 = data.get(ip)? >> 4 == 6;
        (!v6 || !extension.contains(data.get(ip + 6)?)).then_some(shape)
    }

    fn filter(self, filter: &str) -> String {
        match self {
            Self::Plain => filter.to_owned(),
            Self::Vlan => format!("vlan and ({filter})"),
            Self::Pppoe => format!("pppoes and ({filter})"),
        }
    }
}

/// One question to both: in our words, and in libpcap's.
type Question = (String, Box<dyn Fn(&Packet) -> bool>);

fn questions() -> Vec<Question> {
    let same = [
        "ip",
        "ip6",
        "tcp",
        "udp",
        "icmp",
        "icmp6",
        "sctp",
        "ip proto 47",
        "ip and not (tcp or udp)",
        "tcp port 80",
        "udp port 53",
        "dst port 443 or src port 22",
        "portrange 1-1023",
        "tcp portrange 1024-65535",
        "udp src portrange 0-52",
        "net 10.0.0.0/8",
        "src net 192.168.0.0/16",
        "dst host 255.255.255.255",
        "host 127.0.0.1 or host ::1",
        "ip6 net 2001:db8::/32 or ip6 net fe80::/10",
    ];
    let mut questions: Vec<Question> = Vec::new();
    for text in same {
        let filter = Filter::parse(text).unwrap();
        questions.push((text.to_owned(), Box::new(move |packet| filter.matches(Some(packet)))));
    }
    // What our filters do not say, and the columns do.
    let mut ask = |text: &str, answer: fn(&Packet) -> bool| {
        questions.push((text.to_owned(), Box::new(answer)));
    };
    ask("ip[6:2] & 0x1fff != 0", |packet| matches!(packet.fragment, Fragment::Later { .. }));
    ask("ip[6:2] & 0x3fff = 0x2000", |packet| matches!(packet.fragment, Fragment::First { .. }));
    ask("ip and tcp[tcpflags] & (tcp-syn|tcp-ack|tcp-rst) = tcp-syn", |packet| {
        packet.flow.src.is_ipv4() && packet.tcp_flags.is_some_and(TcpFlags::opens)
    });
    ask("ip and tcp[13] & 1 != 0", |packet| {
        packet.flow.src.is_ipv4() && packet.tcp_flags.is_some_and(TcpFlags::fin)
    });
    ask("icmp[icmptype] = icmp-echo", |packet| {
        packet.flow.proto == Protocol::ICMP && packet.flow.transport.icmp() == Some((8, 0))
    });
    questions
}

/// Frames of one link type and shape, in one capture: its times number them.
struct Pile {
    path: PathBuf,
    writer: Option<PcapWriter>,
    packets: Vec<(Packet, String)>,
}

/// A second opinion on every column: what libpcap finds in the whole corpus, packet by packet.
#[test]
fn libpcap_finds_the_same_packets_in_the_corpus() {
    let Some(corpus) = std::env::var_os("SGREPLAY_CORPUS") else {
        println!("SKIPPED: SGREPLAY_CORPUS is not set, so libpcap was asked about no corpus");
        return;
    };
    if Command::new("tcpdump").arg("--version").output().is_err() {
        println!("SKIPPED: tcpdump is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut piles: BTreeMap<(u32, Shape), Pile> = BTreeMap::new();
    let (mut files, mut frames, mut not_decoded, mut no_shape) = (0, 0, 0, 0);
    for path in support::corpus(Path::new(&corpus)) {
        files += 1;
        let mut capture = Capture::open(&path).unwrap();
        while let Ok(Some(mut frame)) = capture.next_frame() {
            frames += 1;
            let Decoded::Packet(packet) = decode(frame.link, frame.data) else {
                not_decoded += 1;
                continue;
            };
            let Some(shape) = Shape::of(frame.link, frame.data) else {
                no_shape += 1;
                continue;
            };
            let pile = piles.entry((frame.link.0, shape)).or_insert_with(|| {
                let path = dir.path().join(format!("{}-{shape:?}.pcap", frame.link.0));
                let writer = Some(PcapWriter::create(&path).unwrap());
                Pile { path, writer, packets: Vec::new() }
            });
            let name = format!("{} frame {}", path.display(), frame.number);
            frame.time_ns = Some(pile.packets.len() as u64 * 1000);
            pile.writer.as_mut().unwrap().write(&frame).unwrap();
            pile.packets.push((packet, name));
        }
    }
    let (mut asked, mut wrong) = (0, Vec::new());
    for ((link, shape), pile) in &mut piles {
        pile.writer.take().unwrap().finish().unwrap();
        for (filter, answer) in questions() {
            let found = found(&pile.path, &shape.filter(&filter));
            for (n, (packet, name)) in pile.packets.iter().enumerate() {
                asked += 1;
                let (ours, theirs) = (answer(packet), found.contains(&(n as u64)));
                if ours != theirs {
                    wrong.push(format!("{filter}: {name} ({link} {shape:?}): {}", packet.flow));
                }
            }
        }
    }
    let piled: usize = piles.values().map(|pile| pile.packets.len()).sum();
    println!(
        "{files} files, {frames} frames: of {piled} libpcap and we answer {} questions alike, {asked} answers; \
         {not_decoded} are no IP or damaged, {no_shape} have link layers or headers that libpcap's filters do \
         not look behind",
        questions().len(),
    );
    let first: Vec<String> = wrong.iter().take(20).cloned().collect();
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), first.join("\n"));
    assert!(piled > 30_000);
}

/// The numbers of the packets that a filter finds.
fn found(capture: &Path, filter: &str) -> BTreeSet<u64> {
    let mut tcpdump = Command::new("tcpdump");
    let found = tcpdump.args(["-n", "-w", "-", "-r"]).arg(capture).arg(filter).output().unwrap();
    let said = String::from_utf8_lossy(&found.stderr);
    if said.contains("rejects all packets") {
        return BTreeSet::new();
    }
    assert!(found.status.success(), "{filter}: {said}");
    let mut found = Capture::from_reader("x", Box::new(Cursor::new(found.stdout))).unwrap();
    let mut numbers = BTreeSet::new();
    while let Some(frame) = found.next_frame().unwrap() {
        numbers.insert(frame.time_ns.unwrap() / 1000);
    }
    numbers
}
