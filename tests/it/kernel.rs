//! The Linux kernel's packet filter as an oracle, packet by packet.
//!
//! The reference order is translated to nftables and to iptables (legacy) as `convert` does it, each rule with
//! a name; packets go in through `tests/oracle/kernel.py`, and the kernel says which rule decided. The translation does
//! the sorting, so what is compared is matching, first match, families, protocols and fragments, and
//! with connection tracking the state. The order itself is for the golden vectors.
//!
//! Everything happens in network namespaces of its own, as root or, where the system lets a user make
//! them, without. Where neither is possible, or a tool is missing, the test says SKIPPED.

use std::fmt::Write;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::process::Command;

use ipnet::{IpNet, Ipv6Net};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use sgreplay::capture::{Capture, Frame, LinkType};
use sgreplay::convert::{self, Family};
use sgreplay::decode::{Decoded, decode};
use sgreplay::evaluate::{Evaluator, Reference};
use sgreplay::flow::{Direction, FlowTuple, Fragment, Packet, Protocol, Transport};
use sgreplay::replay::{Options, Replay};
use sgreplay::rules::{Addresses, Entry, Ordered, Policy, RuleSet};

use sgreplay::verdict::Reason;

use crate::{agreement, support};

/// A packet filter of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filter {
    NfTables,
    IpTables,
}

impl Filter {
    const ALL: [Self; 2] = [Self::NfTables, Self::IpTables];

    fn rules(self, ordered: &Ordered) -> Vec<(&'static str, String)> {
        match self {
            Self::NfTables => vec![("nft -f", nftables(ordered))],
            Self::IpTables => vec![
                ("iptables-legacy-restore", iptables(ordered, Family::V4)),
                ("ip6tables-legacy-restore", iptables(ordered, Family::V6)),
            ],
        }
    }
}

/// What an entry's rule logs.
fn name(direction: Direction, position: usize) -> String {
    match direction {
        Direction::Ingress => format!("i{position}"),
        Direction::Egress => format!("e{position}"),
    }
}

const CANARY: u8 = 253;

fn nftables(ordered: &Ordered) -> String {
    let rules = nft_rules(ordered);
    format!(
        "table inet oracle {{\nchain c {{\ntype filter hook prerouting priority -300; policy accept;\n\
         meta l4proto {CANARY} log prefix \"canary\" group 5 drop\n{rules}}}\n}}\n"
    )
}

/// The entries as `convert` writes them, each logging its position and direction.
fn nft_rules(ordered: &Ordered) -> String {
    convert::nft_rules(ordered, |n, entry| {
        let name = name(ordered.direction(), n);
        format!("log prefix \"{name}\" group 5 {}", verdict(entry).to_lowercase())
    })
}

fn verdict(entry: &Entry) -> &'static str {
    match entry.policy {
        Policy::Accept => "ACCEPT",
        Policy::Drop => "DROP",
    }
}

fn iptables(ordered: &Ordered, family: Family) -> String {
    let mut chains = ":PREROUTING ACCEPT [0:0]\n:canary - [0:0]\n".to_owned();
    let mut rules = format!(
        "-A PREROUTING -p {CANARY} -j canary\n\
         -A canary -j NFLOG --nflog-group 5 --nflog-prefix canary\n-A canary -j DROP\n"
    );
    for (n, entry) in ordered.entries().iter().enumerate() {
        let chain = name(ordered.direction(), n);
        writeln!(chains, ":{chain} - [0:0]").unwrap();
        writeln!(rules, "-A {chain} -j NFLOG --nflog-group 5 --nflog-prefix {chain}").unwrap();
        writeln!(rules, "-A {chain} -j {}", verdict(entry)).unwrap();
    }
    for (n, matches) in convert::iptables_rules(ordered, family) {
        let chain = name(ordered.direction(), n);
        writeln!(rules, "-A PREROUTING{matches} -j {chain}").unwrap();
    }
    format!("*raw\n{chains}{rules}COMMIT\n")
}

/// Why the kernel cannot be asked, if it cannot.
fn unavailable() -> Option<String> {
    for tool in ["unshare", "ip", "nft", "iptables-legacy-restore", "python3"] {
        if Command::new(tool).arg("--version").output().is_err() {
            return Some(format!("{tool} is not installed"));
        }
    }
    let made = namespace("true").output().unwrap();
    (!made.status.success()).then(|| {
        format!(
            "no network namespace can be made: {}",
            String::from_utf8_lossy(&made.stderr).trim()
        )
    })
}

/// A command in a network namespace of its own.
fn namespace(script: &str) -> Command {
    let mut command = Command::new("unshare");
    let root = std::fs::metadata("/proc/self").is_ok_and(|meta| {
        use std::os::unix::fs::MetadataExt;
        meta.uid() == 0
    });
    command.arg(if root { "-n" } else { "-rn" }).args(["sh", "-ec", script]);
    command
}

/// One packet to ask about: raw IP, and when it comes in nanoseconds.
struct Asked {
    time_ns: u64,
    bytes: Vec<u8>,
}

/// The name that each packet's rule has logged; `-` where the kernel said nothing.
fn ask(
    rules: &[(&str, String)],
    settings: &str,
    paced: Option<u32>,
    packets: &[Asked],
) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    // A user may not take the system's lock, and nobody shares this namespace.
    let mut script = "export XTABLES_LOCKFILE=lock\nip link set lo up\n".to_owned();
    for (n, (loader, text)) in rules.iter().enumerate() {
        std::fs::write(dir.path().join(format!("rules{n}")), text).unwrap();
        let redirect = if loader.starts_with("nft") { "" } else { "<" };
        writeln!(script, "{loader} {redirect} rules{n}").unwrap();
    }
    script.push_str(settings);
    let bytes: Vec<(u64, &[u8])> =
        packets.iter().map(|packet| (packet.time_ns, packet.bytes.as_slice())).collect();
    std::fs::write(dir.path().join("packets"), support::pcap_ns(LinkType::RAW.0, &bytes)).unwrap();
    let oracle = support::root().join("tests/oracle/kernel.py");
    writeln!(script, "exec python3 {} packets", oracle.display()).unwrap();
    let mut command = namespace(&script);
    if let Some(times_as_fast) = paced {
        command.env("PACED", times_as_fast.to_string());
    }
    let answer = command.current_dir(dir.path()).output().unwrap();
    let stderr = String::from_utf8_lossy(&answer.stderr);
    assert!(answer.status.success(), "{stderr}\n{}", rules[0].1);
    let lines: Vec<String> =
        String::from_utf8(answer.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), packets.len());
    lines
}

/// What the kernel drops before any rule is asked.
fn never_asked(packet: &Packet) -> bool {
    match (packet.flow.src, packet.flow.dst) {
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            // Loopback addresses from a device, a multicast source, a destination of too small a scope.
            let narrow =
                dst.segments()[0] & 0xff0f == 0xff00 || dst.segments()[0] & 0xff0f == 0xff01;
            src.is_loopback() || dst.is_loopback() || src.is_multicast() || narrow
        }
        _ => false,
    }
}

/// How the answers compare.
#[derive(Debug, Default)]
struct Compared {
    same: usize,
    /// Dropped before any rule, as [`never_asked`] says.
    silent: usize,
    differ: Vec<String>,
}

fn compare(filter: Filter, ordered: &Ordered, packets: &[(Packet, Vec<u8>)], to: &mut Compared) {
    let asked: Vec<Asked> =
        packets.iter().map(|(_, bytes)| Asked { time_ns: 0, bytes: bytes.clone() }).collect();
    let answers = ask(&filter.rules(ordered), "", None, &asked);
    for ((packet, bytes), answer) in packets.iter().zip(answers) {
        let ours = Reference(ordered).decide(&packet.flow).0;
        let ours = name(ordered.direction(), ours as usize);
        match answer == ours {
            true => to.same += 1,
            false if answer == "-" && never_asked(packet) => to.silent += 1,
            false => {
                let start = &bytes[..bytes.len().min(64)];
                let what = format!("{} {:?} {start:02x?}", packet.flow, packet.fragment);
                to.differ.push(format!("{filter:?}: kernel {answer}, ours {ours}: {what}"));
            }
        }
    }
}

impl Compared {
    /// The figures; stops at differences.
    fn figures(&self) -> String {
        let Self { same, silent, differ } = self;
        let first: Vec<_> = differ.iter().take(10).map(String::as_str).collect();
        assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), first.join("\n"));
        format!("the kernel decides {same} packets by the same rule, and drops {silent} unasked")
    }
}

/// The packets of captures that are decoded and have a plain link layer, as raw IP.
fn packets_of(paths: impl Iterator<Item = std::path::PathBuf>) -> Vec<(Packet, Vec<u8>)> {
    let mut found = Vec::new();
    for path in paths {
        let mut capture = Capture::open(&path).unwrap();
        while let Ok(Some(frame)) = capture.next_frame() {
            let Decoded::Packet(packet) = decode(frame.link, frame.data) else { continue };
            let Some(ip) = support::ip_offset(frame.link, frame.data) else { continue };
            let bytes = &frame.data[ip..];
            let length = if bytes[0] >> 4 == 4 { &bytes[2..4] } else { &bytes[4..6] };
            // The network card was to fill the length in, or a hop-by-hop option has it.
            if length != [0, 0] {
                found.push((packet, bytes.to_vec()));
            }
        }
    }
    found
}

fn rule_sets() -> Vec<RuleSet> {
    let files = ["current.yaml", "proposed.yaml", "two-instances.yaml"];
    let mut texts: Vec<String> =
        files.iter().map(|name| std::fs::read_to_string(support::capture(name)).unwrap()).collect();
    // Every kind of condition.
    texts.push(
        "{security_groups: [{id: sg-a, rules: [
            {direction: ingress, protocol: tcp, ports: [22, 80, 443, 6000/65535], source: [10.0.0.0/8, 192.168.0.0/16, 203.0.113.9], priority: 2},
            {direction: ingress, policy: drop, protocol: tcp, ports: 443, source: 10.0.0.0/9, priority: 2},
            {direction: ingress, protocol: udp, ports: 53, source: '::/0'},
            {direction: ingress, protocol: udp, ports: 1/1023, source_ports: 1024/65535, source: 0.0.0.0/0, priority: 5},
            {direction: ingress, protocol: icmp, source: 0.0.0.0/0, priority: 4},
            {direction: ingress, protocol: icmpv6, source: 'fe80::/10', priority: 4},
            {direction: ingress, protocol: gre, source: 0.0.0.0/0},
            {direction: ingress, protocol: 132, source: 0.0.0.0/0},
            {direction: ingress, protocol: all, source: 127.0.0.0/8, destination: 127.0.0.1, priority: 9},
            {direction: egress, policy: drop, protocol: tcp, ports: 1/1024, destination: [0.0.0.0/1, '2001::/16']},
            {direction: egress, policy: drop, protocol: all, source: 192.168.0.0/16, destination: 224.0.0.0/4},
            {direction: egress, policy: drop, protocol: 89, destination: '::/0', priority: 3}]}]}"
            .to_owned(),
    );
    texts.iter().map(|text| sgreplay::parse::yaml("test", text).unwrap()).collect()
}

#[test]
fn the_captures_by_every_rule_set() {
    if let Some(why) = unavailable() {
        println!("SKIPPED: {why}, so the kernel was asked about no capture");
        return;
    }
    let packets = packets_of(support::captures().into_iter());
    assert!(packets.len() > 1000);
    let mut compared = Compared::default();
    for rules in rule_sets() {
        for direction in Direction::BOTH {
            for filter in Filter::ALL {
                compare(filter, &rules.ordered(0, direction), &packets, &mut compared);
            }
        }
    }
    println!("captures: {}", compared.figures());
}

#[test]
fn a_sample_of_the_corpus() {
    let Some(corpus) = std::env::var_os("SGREPLAY_CORPUS") else {
        println!("SKIPPED: SGREPLAY_CORPUS is not set, so the kernel was asked about no corpus");
        return;
    };
    if let Some(why) = unavailable() {
        println!("SKIPPED: {why}, so the kernel was asked about no corpus");
        return;
    }
    let packets = packets_of(support::corpus(Path::new(&corpus)).into_iter().step_by(4));
    assert!(packets.len() > 3000);
    let rules = rule_sets().pop().unwrap();
    let mut compared = Compared::default();
    for direction in Direction::BOTH {
        for filter in Filter::ALL {
            compare(filter, &rules.ordered(0, direction), &packets, &mut compared);
        }
    }
    println!("corpus: {}", compared.figures());
}

/// The small universe of the property test, moved to IPv6 addresses that the kernel takes in.
fn moved(addr: Ipv6Addr) -> Ipv6Addr {
    let bits = addr.to_bits();
    let base = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0).to_bits();
    Ipv6Addr::from_bits(if bits < 16 { base | bits } else { base | bits >> 32 })
}

fn moved_nets(addresses: Addresses) -> Addresses {
    match addresses {
        Addresses::Any => Addresses::Any,
        Addresses::Nets(nets) => Addresses::Nets(
            nets.into_iter()
                .map(|net| match net {
                    IpNet::V4(_) => net,
                    IpNet::V6(net) => {
                        let moved = Ipv6Net::new(moved(net.addr()), net.prefix_len());
                        moved.unwrap().trunc().into()
                    }
                })
                .collect(),
        ),
    }
}

/// The bytes of an opening packet of that tuple; `None` for tuples that no packet has.
fn bytes(flow: &FlowTuple) -> Option<Vec<u8>> {
    let payload = match (flow.proto, flow.transport) {
        (Protocol::TCP, Transport::Ports { src, dst }) => {
            let rest = [0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0];
            [&src.to_be_bytes()[..], &dst.to_be_bytes(), &rest].concat()
        }
        (Protocol::UDP, Transport::Ports { src, dst }) => {
            [&src.to_be_bytes()[..], &dst.to_be_bytes(), &[0, 8, 0, 0]].concat()
        }
        (proto, Transport::Icmp { kind, code, .. })
            if proto == if flow.src.is_ipv4() { Protocol::ICMP } else { Protocol::ICMPV6 } =>
        {
            vec![kind, code, 0, 0, 0, 0, 0, 0]
        }
        (Protocol(255), Transport::Absent) => vec![0; 8],
        _ => return None,
    };
    let len = payload.len();
    Some(match (flow.src, flow.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let total = u16::try_from(20 + len).unwrap().to_be_bytes();
            let header = [0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, flow.proto.0, 0, 0];
            [&header[..], &src.octets(), &dst.octets(), &payload].concat()
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let len = u16::try_from(len).unwrap().to_be_bytes();
            let header = [0x60, 0, 0, 0, len[0], len[1], flow.proto.0, 64];
            [&header[..], &src.octets(), &dst.octets(), &payload].concat()
        }
        _ => return None,
    })
}

#[test]
fn random_rules_and_packets() {
    if let Some(why) = unavailable() {
        println!("SKIPPED: {why}, so the kernel was asked about no random rules");
        return;
    }
    let mut runner = TestRunner::deterministic();
    let entry = agreement::entry();
    let entries = |runner: &mut TestRunner, count: usize| -> Vec<Entry> {
        (0..count).map(|_| entry.new_tree(runner).unwrap().current()).collect()
    };
    let flow = agreement::flow();
    let mut compared = Compared::default();
    for round in 0..16 {
        let mut list = entries(&mut runner, 3 + 4 * round);
        for entry in &mut list {
            let any = || Addresses::Any;
            entry.matcher.peer = moved_nets(std::mem::replace(&mut entry.matcher.peer, any()));
            entry.matcher.local = moved_nets(std::mem::replace(&mut entry.matcher.local, any()));
        }
        let direction = Direction::BOTH[round % 2];
        let ordered = Ordered::new(direction, list, Policy::Drop);
        let mut packets = Vec::new();
        while packets.len() < 400 {
            let mut flow = flow.new_tree(&mut runner).unwrap().current();
            if let (IpAddr::V6(src), IpAddr::V6(dst)) = (flow.src, flow.dst) {
                (flow.src, flow.dst) = (moved(src).into(), moved(dst).into());
            }
            let Some(bytes) = bytes(&flow) else { continue };
            let Decoded::Packet(packet) = decode(LinkType::RAW, &bytes) else { continue };
            assert_eq!(packet.flow.src, flow.src);
            packets.push((Packet { fragment: Fragment::No, ..packet }, bytes));
        }
        for filter in Filter::ALL {
            compare(filter, &ordered, &packets, &mut compared);
        }
    }
    println!("random rules: {}", compared.figures());
}

/// The rules of one interface behind connection tracking: what belongs to a connection passes first.
fn stateful(rules: &RuleSet) -> String {
    let [ingress, egress] =
        Direction::BOTH.map(|direction| nft_rules(&rules.ordered(0, direction)));
    let mut directions = String::new();
    for net in &rules.interfaces()[0].addresses {
        let ip = if net.addr().is_ipv4() { "ip" } else { "ip6" };
        for (side, chain) in [("daddr", "ingress"), ("saddr", "egress")] {
            writeln!(directions, "{ip} {side} {} jump {chain}", net.addr()).unwrap();
        }
    }
    format!(
        "table inet oracle {{\nchain ingress {{\n{ingress}}}\nchain egress {{\n{egress}}}\nchain c {{\n\
         type filter hook prerouting priority -150; policy accept;\n\
         meta l4proto {CANARY} log prefix \"canary\" group 5 drop\n\
         ct state established,related log prefix \"session\" group 5 accept\n{directions}}}\n}}\n"
    )
}

/// A connection is entered when its packet has been routed on, so there has to be a way on. What it
/// would find fault with, rules here do not know: checksums, windows.
const TRACKING: &str = "
for of in all default lo; do echo 0 > /proc/sys/net/ipv4/conf/$of/rp_filter; done
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
ip tuntap add dev sink mode tun
ip link set sink up
ip route add default dev sink
ip -6 route add default dev sink
cd /proc/sys/net/netfilter
echo 1 > nf_conntrack_tcp_be_liberal
echo 0 > nf_conntrack_checksum
";

/// Why connections cannot be tracked, if they cannot.
fn untracked() -> Option<String> {
    let tun = std::fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun");
    unavailable().or_else(|| tun.err().map(|error| format!("/dev/net/tun: {error}")))
}

/// What comes of the packets of a capture at the one interface, and what the kernel says of those that
/// would have been sent.
#[derive(Debug, Default)]
struct Tracked {
    session: usize,
    opening: usize,
    /// Sent before the other end had answered, so that the kernel asks the same rule again.
    asked_again: usize,
    /// Path-MTU errors: with the session to the kernel, always allowed to the cloud (SEMANTICS A8).
    path_mtu: usize,
    /// Under way when the capture began, and begun by the receiver: the kernel takes the sender for it.
    inferred: usize,
    differ: Vec<String>,
}

fn track(
    rules: &RuleSet,
    packets: &[(u64, Packet, Vec<u8>)],
    paced: Option<u32>,
    more: &str,
) -> Tracked {
    let mut replay = Replay::new(rules, Options::default());
    let mut sent = Vec::new();
    for (number, (time_ns, packet, bytes)) in (1..).zip(packets) {
        let frame = Frame::new(number, LinkType::RAW, bytes).at(*time_ns);
        let judged = replay.judge(&frame, &Decoded::Packet(*packet));
        let Some(judgement) = judged.judgements().next().copied() else { continue };
        // What follows a denied opening would not exist, and the kernel is not shown it.
        if judgement.reason != Reason::ConnectionDenied {
            sent.push((judgement, *packet, Asked { time_ns: *time_ns, bytes: bytes.clone() }));
        }
    }
    if sent.is_empty() {
        return Tracked::default();
    }
    let asked: Vec<Asked> = sent
        .iter()
        .map(|(_, _, asked)| Asked { time_ns: asked.time_ns, bytes: asked.bytes.clone() })
        .collect();
    let settings = format!("({TRACKING}{more})\n");
    let answers = ask(&[("nft -f", stateful(rules))], &settings, paced, &asked);
    let mut tracked = Tracked::default();
    for ((judgement, packet, asked), answer) in sent.iter().zip(answers) {
        let by = name(judgement.decided_in, judgement.entry.0 as usize);
        let count = match (judgement.reason, answer.as_str()) {
            (Reason::Session, "session") => &mut tracked.session,
            (Reason::Session, rule) if rule == by => &mut tracked.asked_again,
            (Reason::System, "session") if packet.flow.proto == Protocol::ICMP => {
                &mut tracked.path_mtu
            }
            (_, rule) if rule == by => &mut tracked.opening,
            (_, _) if judgement.decided_in != judgement.direction => &mut tracked.inferred,
            _ => {
                let ms = asked.time_ns / 1_000_000;
                tracked.differ.push(format!(
                    "at {ms} ms: kernel {answer}, ours {:?} {by}: {} {:?}",
                    judgement.reason, packet.flow, packet.tcp_flags
                ));
                continue;
            }
        };
        *count += 1;
    }
    tracked
}

#[test]
fn connections_of_the_captures() {
    if let Some(why) = untracked() {
        println!("SKIPPED: {why}, so the kernel was asked about no connections");
        return;
    }
    let text = std::fs::read_to_string(support::capture("proposed.yaml")).unwrap();
    let mut rules = sgreplay::parse::yaml("test", &text).unwrap();
    rules.set_local(vec!["10.0.0.5/32".parse().unwrap(), "2001:db8:a::5/128".parse().unwrap()]);
    let mut all = Tracked::default();
    for path in support::captures() {
        let mut packets = Vec::new();
        let mut capture = Capture::open(&path).unwrap();
        while let Some(frame) = capture.next_frame().unwrap() {
            let (Decoded::Packet(packet), Some(ip)) =
                (decode(frame.link, frame.data), support::ip_offset(frame.link, frame.data))
            else {
                continue;
            };
            // Once connections are tracked the kernel puts fragments together first.
            if packet.fragment == Fragment::No {
                packets.push((frame.time_ns.unwrap(), packet, frame.data[ip..].to_vec()));
            }
        }
        if packets.is_empty() {
            continue;
        }
        let Tracked { session, opening, asked_again, path_mtu, inferred, differ } =
            track(&rules, &packets, None, "");
        all.session += session;
        all.opening += opening;
        all.asked_again += asked_again;
        all.path_mtu += path_mtu;
        all.inferred += inferred;
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        all.differ.extend(differ.into_iter().map(|what| format!("{file} {what}")));
    }
    println!("{}", all.figures());
    assert!(all.session > 500 && all.opening > 100);
}

impl Tracked {
    fn figures(&self) -> String {
        let Self { session, opening, asked_again, path_mtu, inferred, differ } = self;
        let first: Vec<_> = differ.iter().take(20).map(String::as_str).collect();
        assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), first.join("\n"));
        format!(
            "connections: {session} packets are of a session to both, {opening} decided by the same rule; \
             {asked_again} of a session to us are asked of its rule again, not having been answered; \
             {path_mtu} path-MTU errors are of a session to the kernel and always allowed to us; of \
             {inferred} connections under way the kernel takes the other end for the one that began"
        )
    }
}

/// Sessions end in real time: ten seconds of the capture are one of the kernel's.
#[test]
fn connections_expire_when_the_kernels_do() {
    if let Some(why) = untracked() {
        println!("SKIPPED: {why}, so no connection of the kernel has expired");
        return;
    }
    let text = "
security_groups:
  - id: sg-a
    rules:
      - {id: ssh, direction: ingress, protocol: tcp, ports: 22, source: 0.0.0.0/0}
      - {id: dns, direction: ingress, protocol: udp, ports: 53, source: 0.0.0.0/0}
      - {id: ping, direction: ingress, protocol: icmp, source: 0.0.0.0/0}
      - {id: out, direction: egress, policy: drop, protocol: all, destination: 0.0.0.0/0}
interfaces:
  - id: eni
    addresses: [10.0.0.5]
    security_groups: [sg-a]
    timeouts: {udp: 10, tcp_established: 30, tcp_closed: 10, tcp_opening: 30, icmp: 30}
";
    let timeouts = "
echo 1 | tee nf_conntrack_udp_timeout nf_conntrack_udp_timeout_stream nf_conntrack_tcp_timeout_time_wait \\
  nf_conntrack_tcp_timeout_last_ack nf_conntrack_tcp_timeout_close >/dev/null
echo 3 | tee nf_conntrack_tcp_timeout_established nf_conntrack_tcp_timeout_syn_sent \\
  nf_conntrack_tcp_timeout_syn_recv nf_conntrack_tcp_timeout_fin_wait \\
  nf_conntrack_tcp_timeout_close_wait nf_conntrack_icmp_timeout >/dev/null
";
    let (ssh, dns) = ("10.0.0.5:22", "10.0.0.5:53");
    let clients: Vec<String> = (1..=5).map(|n| format!("203.0.113.{n}:4000{n}")).collect();
    let [udp, idle, closes, resets, unanswered] = [0, 1, 2, 3, 4].map(|n| clients[n].as_str());
    let open =
        |client| [(0.0, client, ssh, "S"), (0.5, ssh, client, "S."), (1.0, client, ssh, ".")];
    let mut packets: Vec<(f64, &str, &str, &str)> =
        [open(idle), open(closes), open(resets)].concat();
    packets.extend([
        (0.0, udp, dns, "udp"),
        (2.0, dns, udp, "udp"),
        (9.0, udp, dns, "udp"),
        (16.0, dns, udp, "udp"),
        // 13 s of silence, over 10: the answer opens a connection of its own.
        (29.0, dns, udp, "udp"),
        (20.0, ssh, idle, "P."),
        (45.0, idle, ssh, "P."),
        (79.0, ssh, idle, "P."),
        (2.0, closes, ssh, "F."),
        (3.0, ssh, closes, "F."),
        (3.5, closes, ssh, "."),
        (9.0, ssh, closes, "."),
        (25.0, ssh, closes, "."),
        (2.0, resets, ssh, "R"),
        (18.0, ssh, resets, "P."),
        (0.0, unanswered, ssh, "S"),
        (36.0, ssh, unanswered, "P."),
    ]);
    packets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let packets: Vec<(u64, Packet, Vec<u8>)> = packets
        .iter()
        .map(|(seconds, src, dst, flags)| {
            let bytes = support::ipv4(src, dst, flags);
            let Decoded::Packet(packet) = decode(LinkType::RAW, &bytes) else {
                panic!("a packet of our own is decoded")
            };
            (support::frame(1, *seconds, &bytes).time_ns.unwrap(), packet, bytes)
        })
        .collect();
    let rules = sgreplay::parse::yaml("test", text).unwrap();
    let tracked = track(&rules, &packets, Some(10), timeouts);
    println!("{}", tracked.figures());
    assert_eq!((tracked.session, tracked.opening, tracked.inferred), (16, 10, 0));
}

/// An Ethernet frame for the interface that the test makes.
fn ethernet(ip: &[u8]) -> Vec<u8> {
    let kind: [u8; 2] = if ip[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
    [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1][..], &kind, ip].concat()
}

/// The packets that open connections to the instance, each connection once. Errors of ICMP belong to
/// others, and what the kernel would drop before any rule is left out.
fn openings(rules: &RuleSet) -> Vec<(FlowTuple, Vec<u8>)> {
    let mut found = Vec::new();
    let mut known = std::collections::HashSet::new();
    for path in support::captures() {
        let mut replay = Replay::new(rules, Options::default());
        let mut capture = Capture::open(&path).unwrap();
        while let Ok(Some(frame)) = capture.next_frame() {
            let decoded = decode(frame.link, frame.data);
            let judged = replay.judge(&frame, &decoded);
            let opens = judged.judgements().any(|of| {
                let seen = of.opened.as_ref();
                of.direction == Direction::Ingress
                    && seen.is_some_and(|(how, _)| *how == sgreplay::session::Opening::Seen)
            });
            let (true, Decoded::Packet(packet)) = (opens, decoded) else { continue };
            let query =
                packet.flow.transport.icmp().is_none_or(|(kind, _)| [8, 128].contains(&kind));
            let Some(ip) = support::ip_offset(frame.link, frame.data) else { continue };
            let cut = frame.data.len() < frame.wire_len as usize;
            let whole = packet.fragment == Fragment::No && !cut && !never_asked(&packet);
            if query && whole && known.insert(packet.flow) {
                found.push((packet.flow, ethernet(&frame.data[ip..])));
            }
        }
    }
    found
}

/// What `convert --to nftables` prints, loaded as it is; connections begun by tcpreplay; and the counter of
/// every rule.
#[test]
fn a_host_with_the_rules_of_convert_counts_as_replay_does() {
    let tools = unavailable().or_else(|| {
        let missing = Command::new("tcpreplay").arg("--version").output().is_err();
        missing.then(|| "tcpreplay is not installed".to_owned())
    });
    if let Some(why) = tools {
        println!("SKIPPED: {why}, so no rules of `convert` were loaded");
        return;
    }
    let (mut sets, mut packets, mut rules_hit) = (0, 0, 0);
    for text in crate::formats::rule_sets(8) {
        let mut rules = crate::space::rules(&text);
        rules.set_local(crate::formats::local());
        let ordered = rules.ordered(0, Direction::Ingress);
        let opened = openings(&rules);
        let mut expected = std::collections::BTreeMap::new();
        for (flow, _) in &opened {
            let entry = ordered.entry(Reference(&ordered).decide(flow)).unwrap();
            let (group, rule) = rules.names(0, entry);
            *expected.entry(format!("{group} {rule}")).or_insert(0_u64) += 1;
        }
        let dir = tempfile::tempdir().unwrap();
        let frames: Vec<(u64, &[u8])> =
            opened.iter().map(|(_, frame)| (0, frame.as_slice())).collect();
        let ethernet = LinkType::ETHERNET.0;
        std::fs::write(dir.path().join("opened.pcap"), support::pcap_ns(ethernet, &frames))
            .unwrap();
        std::fs::write(dir.path().join("rules.nft"), convert::nftables(&rules, 0).unwrap())
            .unwrap();
        let script = "ip link set lo up
            ip link add v0 type veth peer name v1
            ip link set v1 address 02:00:00:00:00:02
            for f in all v1; do echo 0 > /proc/sys/net/ipv4/conf/$f/rp_filter; done
            echo 0 > /proc/sys/net/ipv6/conf/v1/accept_dad
            ip addr add 10.0.0.5/32 dev v1; ip addr add 2001:db8:a::5/128 dev v1 nodad
            ip link set v0 up; ip link set v1 up
            nft -f rules.nft
            tcpreplay -q --pps 5000 -i v0 opened.pcap >/dev/null 2>&1
            sleep 0.3
            nft -j list chain inet sgreplay ingress";
        let answer = namespace(script).current_dir(dir.path()).output().unwrap();
        let stderr = String::from_utf8_lossy(&answer.stderr);
        assert!(answer.status.success(), "{stderr}");
        let listed: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
        let mut counted = std::collections::BTreeMap::new();
        for rule in listed["nftables"].as_array().unwrap().iter().filter_map(|of| of.get("rule")) {
            let Some(name) = rule["comment"].as_str() else { continue };
            let counter = rule["expr"].as_array().unwrap().iter().find_map(|of| of.get("counter"));
            let n = counter.unwrap()["packets"].as_u64().unwrap();
            if n > 0 {
                *counted.entry(name.to_owned()).or_insert(0) += n;
            }
        }
        assert_eq!(counted, expected, "{text}");
        sets += 1;
        packets += opened.len();
        rules_hit += counted.len();
    }
    println!("{sets} rule sets on a host: {rules_hit} rules count the same {packets} connections");
    assert!(packets > 500);
}

/// SEMANTICS F17: queries of both ends, with the same identifiers, answered or not, as two hosts that ping each other
/// send them.
#[test]
fn queries_of_both_ends_are_connections_of_their_own() {
    if let Some(why) = untracked() {
        println!("SKIPPED: {why}, so the kernel was asked about no queries");
        return;
    }
    // Request and reply of each kind.
    let v4 = [(8_u8, 0_u8), (13, 14), (15, 16), (17, 18)].map(|pair| (Protocol::ICMP, pair));
    let v6 = [(128, 129), (139, 140)].map(|pair| (Protocol::ICMPV6, pair));
    let kinds = [&v4[..], &v6].concat();
    let ends = |proto| match proto {
        Protocol::ICMP => ["10.0.0.5", "198.51.100.7"],
        _ => ["2001:db8:a::5", "2001:db8:9::7"],
    };
    let event = (0..kinds.len(), 0..2_usize, 1..3_u8, 0..3_u8);
    let mut runner = TestRunner::deterministic();
    let mut all = Tracked::default();
    for rules in ["", "{direction: egress, policy: drop, protocol: all, destination: 0.0.0.0/0}"] {
        let text = format!(
            "{{security_groups: [{{id: sg-a, rules: [{rules}{}\
             {{direction: ingress, protocol: icmp, source: 0.0.0.0/0, priority: 2}}]}}]}}",
            if rules.is_empty() { "" } else { ", " },
        );
        let mut rules = sgreplay::parse::yaml("test", &text).unwrap();
        rules
            .set_local(["10.0.0.5/32", "2001:db8:a::5/128"].map(|net| net.parse().unwrap()).into());
        let packets: Vec<(u64, Packet, Vec<u8>)> = (0..600_u64)
            .map(|n| {
                let (kind, requester, id, what) = event.new_tree(&mut runner).unwrap().current();
                let (proto, (request, reply)) = kinds[kind];
                // Two requests for a reply, which comes from the other end.
                let (kind, sender) =
                    if what == 2 { (reply, 1 - requester) } else { (request, requester) };
                let ends = ends(proto).map(|addr| addr.parse::<IpAddr>().unwrap());
                let transport = Transport::Icmp { kind, code: 0, id: None };
                let flow = FlowTuple { src: ends[sender], dst: ends[1 - sender], proto, transport };
                let mut bytes = bytes(&flow).unwrap();
                let at = bytes.len() - 3;
                bytes[at] = id;
                let Decoded::Packet(packet) = decode(LinkType::RAW, &bytes) else {
                    panic!("a packet of our own is decoded")
                };
                (n * 1_000_000, packet, bytes)
            })
            .collect();
        let tracked = track(&rules, &packets, None, "");
        all.session += tracked.session;
        all.opening += tracked.opening;
        all.asked_again += tracked.asked_again;
        all.inferred += tracked.inferred;
        all.differ.extend(tracked.differ);
    }
    println!("{}", all.figures());
    assert!(all.session > 300 && all.opening > 20 && all.asked_again > 50, "{all:?}");
}

/// A network ACL is a chain without connection tracking, security groups one behind it: what the kernel lets through
/// both, and which rule stops the rest, replies too (SEMANTICS H6).
#[test]
fn two_layers_are_two_chains() {
    if let Some(why) = untracked() {
        println!("SKIPPED: {why}, so the kernel was asked about no network ACLs");
        return;
    }
    let mut runner = TestRunner::deterministic();
    let (mut passed, mut stopped, mut replies) = (0, 0, 0);
    for _ in 0..24 {
        let (yaml, flows) =
            crate::layers::rules_and_packets().new_tree(&mut runner).unwrap().current();
        let rules = crate::space::rules(&yaml);
        let labels = sgreplay::labels::Labels::new(&rules);
        let midstream = sgreplay::replay::Midstream::FirstPacket;
        let mut replay = Replay::new(&rules, Options::default().with_midstream(midstream));
        let (mut asked, mut expected) = (Vec::new(), Vec::new());
        for (number, (src, dst, flags)) in (1..).zip(&flows) {
            let bytes = support::ipv4(src, dst, flags);
            let frame = support::frame(number, 0.001, &bytes);
            let judged = replay.judge(&frame, &decode(frame.link, &bytes));
            let judgement = judged.deciding().unwrap();
            // What follows a denied opening would not exist.
            if judgement.reason == Reason::ConnectionDenied {
                continue;
            }
            let denied = judgement.verdict == sgreplay::verdict::Verdict::Deny;
            stopped += usize::from(denied);
            passed += usize::from(!denied);
            replies += usize::from(judgement.is_stopped());
            expected.push(match denied {
                true => labels.judgement(judgement).rule.clone(),
                false => "pass".to_owned(),
            });
            asked.push(Asked { time_ns: 1_000_000, bytes: bytes.clone() });
        }
        let answers = ask(&[("nft -f", chains(&rules))], &format!("({TRACKING})\n"), None, &asked);
        assert_eq!(answers, expected, "{yaml}\n{flows:?}");
    }
    println!(
        "{passed} packets pass two chains of the kernel as two layers, {stopped} do not, {replies} of them replies"
    );
    assert!(passed > 100 && replies > 10);
}

/// The layers of the one interface as chains, which log the rule that stops a packet, or that it passes.
fn chains(rules: &RuleSet) -> String {
    let mut chains = String::new();
    for direction in Direction::BOTH {
        let layers = rules.ordered_by_layer(0, direction, &sgreplay::rules::Assumption::default());
        for (n, (layer, list)) in layers.iter().enumerate() {
            let accepted = match n + 1 < layers.len() {
                true => format!("goto {direction}_{}", n + 1),
                false => "log prefix \"pass\" group 5 accept".to_owned(),
            };
            writeln!(chains, "chain {direction}_{n} {{").unwrap();
            if *layer == sgreplay::rules::Layer::SecurityGroup {
                writeln!(chains, "ct state established,related {accepted}").unwrap();
            }
            let then = |_: usize, entry: &Entry| match entry.policy {
                Policy::Accept => accepted.clone(),
                Policy::Drop => {
                    format!("log prefix \"{}\" group 5 drop", rules.names(0, entry).1)
                }
            };
            writeln!(chains, "{}}}", convert::nft_rules(list, then)).unwrap();
        }
    }
    // A chain is known before it is gone to.
    let own = rules.interfaces()[0].addresses[0].addr();
    let declared: String = Direction::BOTH
        .iter()
        .flat_map(|direction| [0, 1].map(|n| format!("chain {direction}_{n} {{}}\n")))
        .collect();
    format!(
        "table inet oracle {{\n{declared}}}\ntable inet oracle {{\n{chains}chain c {{\n\
         type filter hook prerouting priority -150; policy accept;\n\
         meta l4proto {CANARY} log prefix \"canary\" group 5 drop\n\
         ip daddr {own} jump ingress_0\nip saddr {own} jump egress_0\n}}\n}}\n"
    )
}
