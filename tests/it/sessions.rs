//! Connections: what passes because of a session, and what does not exist for want of one.

use sgreplay::decode::decode;
use sgreplay::labels::Labels;
use sgreplay::replay::{Midstream, Options, Replay, Sessions};
use sgreplay::rules::RuleSet;
use sgreplay::verdict::Verdict;

use crate::support::{frame, ipv4};

const CLIENT: &str = "203.0.113.9:40000";
const SSH: &str = "10.0.0.5:22";

/// SSH in, and nothing out by itself.
const SSH_ONLY: &str = "
security_groups:
  - id: sg-a
    rules:
      - {id: ssh, direction: ingress, protocol: tcp, ports: 22, source: 0.0.0.0/0}
      - {id: dns, direction: ingress, protocol: udp, ports: 53, source: 0.0.0.0/0}
      - {id: out, direction: egress, policy: drop, protocol: all, destination: 0.0.0.0/0}
";

fn rules(text: &str) -> RuleSet {
    let mut rules = sgreplay::parse::yaml("test", text).unwrap();
    rules.set_local(vec!["10.0.0.5/32".parse().unwrap()]);
    rules
}

/// Replays packets given as (seconds, source, destination, flags), and pictures the answers:
/// `verdict reason rule connection`.
fn replay_with(
    rules: &RuleSet,
    options: Options,
    packets: &[(f64, &str, &str, &str)],
) -> Vec<String> {
    let packets: Vec<(f64, Vec<u8>)> = packets
        .iter()
        .map(|(seconds, src, dst, flags)| (*seconds, ipv4(src, dst, flags)))
        .collect();
    replay_bytes(rules, options, &packets)
}

/// The same of packets as bytes.
fn replay_bytes(rules: &RuleSet, options: Options, packets: &[(f64, Vec<u8>)]) -> Vec<String> {
    let mut replay = Replay::new(rules, options);
    let labels = Labels::new(rules);
    let mut answers = Vec::new();
    for (number, (seconds, data)) in (1..).zip(packets) {
        let frame = frame(number, *seconds, data);
        let judged = replay.judge(&frame, &decode(frame.link, data));
        let (verdict, reason) = judged.verdict();
        let decider = judged.judgements().next().map_or_else(String::new, |judgement| {
            let connection = judgement.connection.map_or_else(String::new, |n| format!(" {n}"));
            format!(" {}{connection}", labels.judgement(judgement).rule)
        });
        answers.push(format!("{} {}{decider}", verdict.as_str(), reason.as_str()));
    }
    answers
}

fn replay(text: &str, packets: &[(f64, &str, &str, &str)]) -> Vec<String> {
    replay_with(&rules(text), Options::default(), packets)
}

/// A handshake from the client, at second 0.
const HANDSHAKE: [(f64, &str, &str, &str); 3] =
    [(0.0, CLIENT, SSH, "S"), (0.01, SSH, CLIENT, "S."), (0.02, CLIENT, SSH, ".")];

#[test]
fn d20_replies_pass_in_the_session() {
    let answers = replay(SSH_ONLY, &HANDSHAKE);
    assert_eq!(answers, ["allow rule ssh 1", "allow session ssh 1", "allow session ssh 1"]);
}

#[test]
fn d21_after_911_s_of_silence_the_sender_begins_anew() {
    let late = |idle: f64| {
        let packets = [HANDSHAKE.as_slice(), &[(0.02 + idle, SSH, CLIENT, "P.")]].concat();
        replay(SSH_ONLY, &packets)[3].clone()
    };
    assert_eq!(late(909.0), "allow session ssh 1");
    assert_eq!(late(909.9), "allow session ssh 1");
    assert_eq!(late(910.0), "deny rule out 2");
    assert_eq!(late(911.0), "deny rule out 2");
}

#[test]
fn timeouts_are_the_interfaces() {
    let text = format!(
        "{SSH_ONLY}\ninterfaces: [{{id: eni, addresses: [10.0.0.5], security_groups: [sg-a], \
         timeouts: {{tcp_established: 30, udp: 10}}}}]"
    );
    let dns = "10.0.0.5:53";
    let answers = replay(
        &text,
        &[
            HANDSHAKE.as_slice(),
            &[
                (30.1, SSH, CLIENT, "P."),
                (40.0, CLIENT, dns, "udp"),
                (49.0, dns, CLIENT, "udp"),
                (59.0, dns, CLIENT, "udp"),
            ],
        ]
        .concat(),
    );
    assert_eq!(
        answers[3..],
        ["deny rule out 2", "allow rule dns 3", "allow session dns 3", "deny rule out 4"]
    );
}

#[test]
fn a_closed_connection_lives_for_3_s() {
    let close = [(1.0, CLIENT, SSH, "F."), (1.1, SSH, CLIENT, "F."), (1.2, CLIENT, SSH, ".")];
    let late = |at: f64| {
        let packets = [HANDSHAKE.as_slice(), &close, &[(at, SSH, CLIENT, ".")]].concat();
        replay(SSH_ONLY, &packets).pop().unwrap()
    };
    assert_eq!(late(4.1), "allow session ssh 1");
    assert_eq!(late(4.3), "deny rule out", "a stray, which opens nothing");
}

#[test]
fn one_fin_does_not_close_a_connection() {
    let half = [(1.0, CLIENT, SSH, "F."), (500.0, SSH, CLIENT, "P.")];
    let answers = replay(SSH_ONLY, &[HANDSHAKE.as_slice(), &half].concat());
    assert_eq!(answers.last().unwrap(), "allow session ssh 1");
}

#[test]
fn a_syn_on_a_closed_connection_opens_the_next() {
    let packets =
        [HANDSHAKE.as_slice(), &[(1.0, SSH, CLIENT, "R."), (1.5, CLIENT, SSH, "S")]].concat();
    assert_eq!(replay(SSH_ONLY, &packets).last().unwrap(), "allow rule ssh 2");
}

/// A replay is counterfactual: what follows a denied opening would not exist.
#[test]
fn a_denied_opening_denies_the_connection() {
    let web = "10.0.0.5:80";
    let packets = [
        (0.0, CLIENT, web, "S"),
        (0.1, web, CLIENT, "S."),
        (0.2, CLIENT, web, "."),
        (1.0, CLIENT, web, "S"),
    ];
    let answers = replay(SSH_ONLY, &packets);
    assert_eq!(answers[0], "deny default default 1");
    assert_eq!(answers[1..], ["deny connection_denied default 1"; 3].map(str::to_owned));
}

/// A denied SYN leaves nothing behind that could stop the other end's own SYN on the same tuple.
#[test]
fn the_other_ends_own_syn_is_judged_anew() {
    let open_egress =
        SSH_ONLY.replace("policy: drop, protocol: all", "policy: accept, protocol: all");
    let (theirs, ours) = ("203.0.113.9:5000", "10.0.0.5:6000");
    let packets = [(0.0, theirs, ours, "S"), (0.1, ours, theirs, "S"), (0.2, theirs, ours, "S.")];
    let answers = replay(&open_egress, &packets);
    assert_eq!(answers, ["deny default default 1", "allow rule out 2", "allow session out 2"]);
}

#[test]
fn a_connection_under_way_is_judged_by_who_began_it() {
    // Only the server's side is seen at first; 22 is a service port and 40000 is not.
    let packets = [(0.0, SSH, CLIENT, "P."), (0.1, CLIENT, SSH, ".")];
    assert_eq!(replay(SSH_ONLY, &packets), ["allow rule ssh 1", "allow session ssh 1"]);
    let first = Options::default().with_midstream(Midstream::FirstPacket);
    let answers = replay_with(&rules(SSH_ONLY), first, &packets);
    assert_eq!(answers, ["deny rule out 1", "deny connection_denied out 1"]);
}

#[test]
fn a_port_seen_to_accept_tells_who_began() {
    let text = SSH_ONLY.replace("ports: 22,", "ports: 5000,");
    let (a, b, server) = ("203.0.113.9:40000", "203.0.113.9:40001", "10.0.0.5:5000");
    let accepted = [(0.0, a, server, "S"), (0.1, server, a, "S.")];
    let under_way = [(0.2, server, b, "P.")];
    let answers = replay(&text, &[accepted.as_slice(), &under_way].concat());
    assert_eq!(answers[2], "allow rule ssh 2");
    assert_eq!(replay(&text, &under_way), ["deny rule out 1"]);
}

#[test]
fn an_answer_begins_nothing() {
    let packets = [(0.0, SSH, CLIENT, "S.")];
    assert_eq!(replay(SSH_ONLY, &packets), ["allow rule ssh 1"]);
}

#[test]
fn without_sessions_every_packet_is_judged_alone() {
    let off = Options::default().with_sessions(Sessions::Off);
    let answers = replay_with(&rules(SSH_ONLY), off, &HANDSHAKE);
    assert_eq!(answers, ["allow rule ssh", "deny rule out", "allow rule ssh"]);
}

#[test]
fn time_that_runs_backwards_ends_no_session() {
    let packets = [
        HANDSHAKE.as_slice(),
        &[(2000.0, CLIENT, SSH, "S"), (100.0, SSH, CLIENT, "S."), (2001.0, CLIENT, SSH, ".")],
    ]
    .concat();
    let answers = replay(SSH_ONLY, &packets);
    assert_eq!(answers[3..], ["allow rule ssh 2", "allow session ssh 2", "allow session ssh 2"]);
}

/// Two interfaces: the packet must leave its sender and enter its receiver.
#[test]
fn between_two_interfaces_both_must_allow() {
    let text = "
security_groups:
  - {id: sg-a, rules: [{id: no-80, direction: egress, policy: drop, protocol: tcp, ports: 80, destination: 0.0.0.0/0}]}
  - {id: sg-b, rules: [{id: web, direction: ingress, protocol: tcp, ports: 80/81, source: 0.0.0.0/0}]}
interfaces:
  - {id: eni-a, addresses: [10.0.0.1], security_groups: [sg-a]}
  - {id: eni-b, addresses: [10.0.0.2], security_groups: [sg-b]}
";
    let rules = sgreplay::parse::yaml("test", text).unwrap();
    let mut replay = Replay::new(&rules, Options::default());
    let mut answers = Vec::new();
    for (number, port) in (1..).zip(["80", "81", "82"]) {
        let data = ipv4("10.0.0.1:40000", &format!("10.0.0.2:{port}"), "S");
        let frame = frame(number, 0.0, &data);
        let judged = replay.judge(&frame, &decode(frame.link, &data));
        let at: Vec<&str> =
            judged.judgements().map(|judgement| judgement.verdict.as_str()).collect();
        answers.push(format!("{} because {}", judged.verdict().0.as_str(), at.join(" ")));
    }
    assert_eq!(
        answers,
        ["deny because deny allow", "allow because allow allow", "deny because allow deny"]
    );
    let connections = replay.stats().connections();
    assert_eq!((connections.total(), connections.allowed, connections.denied), (3, 1, 2));
}

/// An address beside the network that holds it changes nothing: both lie in one interface.
#[test]
fn addresses_of_an_interface_may_lie_in_each_other() {
    let answers = |local: &[&str]| {
        let mut rules = sgreplay::parse::yaml("test", SSH_ONLY).unwrap();
        rules.set_local(local.iter().map(|net| net.parse().unwrap()).collect());
        let packets = [
            (0.0, "203.0.113.9:40000", "10.0.0.9:22", "S"),
            (0.0, "203.0.113.9:40000", "10.0.0.9:23", "S"),
            (0.0, "203.0.113.9:40000", "10.0.0.5:22", "S"),
            (0.0, "203.0.113.9:40000", "10.0.1.5:22", "S"),
        ];
        replay_with(&rules, Options::default(), &packets)
    };
    let whole = answers(&["10.0.0.0/24"]);
    assert_eq!(whole[0], "allow rule ssh 1");
    assert_eq!(whole[3], "not_evaluated not_local");
    assert_eq!(answers(&["10.0.0.0/24", "10.0.0.5/32"]), whole);
    assert_eq!(answers(&["10.0.0.5/32", "10.0.0.0/25", "10.0.0.0/24"]), whole);
}

/// SEMANTICS F8: a later fragment goes the way of its first, and without it nowhere.
#[test]
fn later_fragments_follow_their_first() {
    let rules = rules(SSH_ONLY);
    let mut replay = Replay::new(&rules, Options::default());
    let mut answer = |id: u8, first: bool| {
        let mut data = ipv4(CLIENT, "10.0.0.5:53", "udp");
        data[5] = id;
        data[6] = if first { 0x20 } else { 0 };
        data[7] = u8::from(!first);
        let frame = frame(1, 0.0, &data);
        let (verdict, reason) = replay.judge(&frame, &decode(frame.link, &data)).verdict();
        format!("{} {}", verdict.as_str(), reason.as_str())
    };
    assert_eq!(answer(1, false), "not_evaluated fragment_without_first");
    assert_eq!(answer(1, true), "allow rule");
    assert_eq!(answer(1, false), "allow session");
    assert_eq!(answer(2, false), "not_evaluated fragment_without_first");
}

#[test]
fn a_syn_sent_again_is_the_same_connection() {
    let again = [(0.0, CLIENT, SSH, "S"), (1.0, CLIENT, SSH, "S"), (3.0, CLIENT, SSH, "S")];
    let answered = [(3.1, SSH, CLIENT, "S."), (3.2, SSH, CLIENT, "S."), (3.3, CLIENT, SSH, ".")];
    let answers = replay(SSH_ONLY, &[again, answered].concat());
    assert_eq!(answers[0], "allow rule ssh 1");
    assert_eq!(answers[1..], ["allow session ssh 1"; 5].map(str::to_owned));
}

/// Both ends send a SYN before either has seen the other's (RFC 9293, figure 7).
#[test]
fn a_simultaneous_open_is_one_connection() {
    let (theirs, ours) = ("203.0.113.9:5000", "10.0.0.5:22");
    let open = [
        (0.00, theirs, ours, "S"),
        (0.01, ours, theirs, "S"),
        (0.02, theirs, ours, "S."),
        (0.03, ours, theirs, "S."),
        // Established: it outlives the 60 s of a connection that is being opened.
        (600.0, ours, theirs, "P."),
    ];
    let answers = replay(SSH_ONLY, &open);
    assert_eq!(answers[0], "allow rule ssh 1");
    assert_eq!(answers[1..], ["allow session ssh 1"; 4].map(str::to_owned));
}

/// A half-open scan: the scanner answers the SYN-ACK with RST.
#[test]
fn a_half_open_scan_leaves_no_session() {
    let scan = [(0.0, CLIENT, SSH, "S"), (0.1, SSH, CLIENT, "S."), (0.2, CLIENT, SSH, "R")];
    let late = |at: f64, flags| {
        replay(SSH_ONLY, &[&scan[..], &[(at, SSH, CLIENT, flags)]].concat()).pop().unwrap()
    };
    assert_eq!(late(3.1, "S."), "allow session ssh 1", "3 s after the RST");
    assert_eq!(late(3.3, "P."), "deny rule out");
    // And the next probe of the same port is a connection of its own, however soon.
    let again = [&scan[..], &[(0.3, CLIENT, SSH, "S")]].concat();
    assert_eq!(replay(SSH_ONLY, &again)[3], "allow rule ssh 2");
}

/// Nobody answers: the session is given up after the 60 s of the setting `tcp_opening`.
#[test]
fn an_opening_that_nobody_answers_expires() {
    let late = |at: f64| {
        let packets = [(0.0, CLIENT, SSH, "S"), (at, SSH, CLIENT, "P.")];
        replay(SSH_ONLY, &packets)[1].clone()
    };
    assert_eq!(late(59.0), "allow session ssh 1");
    assert_eq!(late(60.0), "deny rule out 2");
}

#[test]
fn the_same_tuple_opens_again_after_time_wait() {
    let close = [(1.0, CLIENT, SSH, "F."), (1.1, SSH, CLIENT, "F."), (1.2, CLIENT, SSH, ".")];
    let reopen = |at: f64| {
        let packets = [HANDSHAKE.as_slice(), &close, &[(at, CLIENT, SSH, "S")]].concat();
        replay(SSH_ONLY, &packets).pop().unwrap()
    };
    // In TIME-WAIT, and after it.
    assert_eq!(reopen(1.3), "allow rule ssh 2");
    assert_eq!(reopen(60.0), "allow rule ssh 2");
    // A SYN in the middle of a live connection opens none.
    let stray = [HANDSHAKE.as_slice(), &[(1.0, CLIENT, SSH, "S")]].concat();
    assert_eq!(replay(SSH_ONLY, &stray).pop().unwrap(), "allow session ssh 1");
}

/// An echo's identifier tells pings apart; another identifier is another session.
#[test]
fn echoes_by_identifier() {
    let echo = |src: [u8; 4], dst: [u8; 4], kind: u8, id: u8| {
        let head = [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0];
        [&head[..], &src, &dst, &[kind, 0, 0, 0, 0, id, 0, 1]].concat()
    };
    let (them, us) = ([203, 0, 113, 9], [10, 0, 0, 5]);
    let text = SSH_ONLY.replace(
        "{id: dns,",
        "{id: ping, direction: ingress, protocol: icmp, source: 0.0.0.0/0}\n      - {id: dns,",
    );
    let answers = replay_bytes(
        &rules(&text),
        Options::default(),
        &[
            (0.0, echo(them, us, 8, 1)),
            (0.1, echo(us, them, 0, 1)),
            (0.2, echo(us, them, 0, 2)),
            (0.3, echo(us, them, 8, 3)),
            (1.0, echo(them, us, 8, 1)),
            (31.1, echo(us, them, 0, 1)),
        ],
    );
    assert_eq!(
        answers,
        [
            "allow rule ping 1",
            "allow session ping 1",
            // Its request was before the capture: who began it is clear all the same.
            "allow rule ping 2",
            "deny rule out 3",
            "allow session ping 1",
            // 30 s later the reply answers nothing that is known, and opens nothing.
            "deny rule out",
        ]
    );
}

/// An ICMP error about a packet: unreachable by default.
fn error(src: &str, dst: &str, kind: u8, code: u8, about: &[u8]) -> Vec<u8> {
    let octets = |text: &str| text.parse::<std::net::Ipv4Addr>().unwrap().octets();
    let total = u8::try_from(28 + about.len()).unwrap();
    let head = [0x45, 0, 0, total, 0, 0, 0, 0, 64, 1, 0, 0];
    [&head[..], &octets(src), &octets(dst), &[kind, code, 0, 0, 0, 0, 0, 0], about].concat()
}

/// An error belongs to the session of the packet it complains about, whoever sends it.
#[test]
fn errors_about_a_session_belong_to_it() {
    let (client, dns) = (CLIENT, "10.0.0.5:53");
    let answer = ipv4(dns, client, "udp");
    let unreachable = |about: &[u8]| error("203.0.113.9", "10.0.0.5", 3, 3, about);
    let answers = replay_bytes(
        &rules(SSH_ONLY),
        Options::default(),
        &[
            (0.0, ipv4(client, dns, "udp")),
            (0.1, answer.clone()),
            // The client has gone away, and says so; or a router on the way does.
            (0.2, unreachable(&answer)),
            (0.3, error("192.0.2.77", "10.0.0.5", 11, 0, &answer)),
            // About something that was never sent: judged by the rules.
            (0.4, unreachable(&ipv4("10.0.0.5:9999", client, "udp"))),
            // An error keeps no session alive: 30 s after the last datagram it is over.
            (29.0, unreachable(&answer)),
            (30.2, unreachable(&answer)),
        ],
    );
    assert_eq!(
        answers[2..],
        [
            "allow session dns 1",
            "allow session dns 1",
            "deny default default",
            "allow session dns 1",
            "deny default default",
        ]
    );
}

#[test]
fn errors_about_what_was_denied_do_not_exist() {
    let probe = ipv4(CLIENT, "10.0.0.5:33434", "udp");
    let open_egress = SSH_ONLY.replace("policy: drop, protocol: all", "protocol: all");
    let packets = [
        (0.0, probe.clone()),
        // The port was closed, and the host would say so: but it would never have been asked.
        (0.1, error("10.0.0.5", "203.0.113.9", 3, 3, &probe)),
    ];
    let answers = replay_bytes(&rules(&open_egress), Options::default(), &packets);
    assert_eq!(answers, ["deny default default 1", "deny connection_denied default 1"]);
}

/// SEMANTICS A8: path-MTU errors pass whatever the rules say, and say that they do.
#[test]
fn path_mtu_errors_pass_by_their_own_rule() {
    let answer = ipv4(SSH, CLIENT, "P.");
    let packets = [
        (0.0, ipv4(CLIENT, SSH, "S")),
        (0.1, answer.clone()),
        (0.2, error("192.0.2.77", "10.0.0.5", 3, 4, &answer)),
    ];
    let answers = replay_bytes(&rules(SSH_ONLY), Options::default(), &packets);
    assert_eq!(answers[2], "allow system path-mtu");
}

#[test]
fn beyond_the_most_sessions_new_connections_fail() {
    let two = Options::default().with_max_sessions(Some(2));
    let clients: Vec<String> = (0..4).map(|n| format!("203.0.113.9:4000{n}")).collect();
    let [a, b, c, d] = [0, 1, 2, 3].map(|n| clients[n].as_str());
    let packets = [
        (0.0, a, SSH, "S"),
        (0.1, b, SSH, "S"),
        // No rule allows it, so it takes no room.
        (0.2, c, "10.0.0.5:80", "S"),
        (0.3, c, SSH, "S"),
        (0.4, SSH, c, "S."),
        // One is closed: 3 s later there is room again, and a moment before there is not.
        (1.0, a, SSH, "R"),
        (3.9, d, SSH, "S"),
        (4.0, d, SSH, "S"),
        (4.1, "203.0.113.9:50000", SSH, "S"),
        // The same connection anew takes the place that it had.
        (5.0, b, SSH, "R"),
        (5.1, b, SSH, "S"),
    ];
    let answers = replay_with(&rules(SSH_ONLY), two, &packets);
    assert_eq!(
        answers,
        [
            "allow rule ssh 1",
            "allow rule ssh 2",
            "deny default default 3",
            "deny session_limit ssh 4",
            "deny connection_denied ssh 4",
            "allow session ssh 1",
            "deny session_limit ssh 5",
            "deny connection_denied ssh 5",
            "allow rule ssh 6",
            "allow session ssh 2",
            "allow rule ssh 7",
        ]
    );
}

/// A client by its number, port 40000.
fn client(number: u32) -> String {
    let [.., b, c, d] = number.to_be_bytes();
    format!("198.{b}.{c}.{d}:40000")
}

/// What is kept in a small table: the sessions that were used last, however old they are.
#[test]
fn the_longest_idle_sessions_make_room() {
    let rules = rules(SSH_ONLY);
    // 64 slots of 32 bytes and a copy of them while it is cleaned; the 49th session finds them full. With a limit of
    // sessions there is one table.
    let options = Options::default().with_session_memory(4096).with_max_sessions(Some(1 << 20));
    let mut replay = Replay::new(&rules, options);
    let mut judge = |seconds: u32, src: &str, dst: &str, flags: &str| {
        let data = ipv4(src, dst, flags);
        let frame = frame(1, seconds.into(), &data);
        let (verdict, _) = replay.judge(&frame, &decode(frame.link, &data)).verdict();
        (verdict, replay.sessions_evicted())
    };
    for n in 0..48 {
        assert_eq!(judge(n, &client(n), SSH, "S").1, 0);
    }
    // The first 12 are used again: now 12 to 23 are the longest idle.
    for n in 0..12 {
        assert_eq!(judge(48 + n, &client(n), SSH, ".").1, 0);
    }
    assert_eq!(judge(58, &client(48), SSH, "S").1, 12);
    // A reply passes in a session that is known, and opens one of its own where none is.
    for n in (0..12).chain(24..49) {
        assert_eq!(judge(59, SSH, &client(n), "P."), (Verdict::Allow, 12), "client {n}");
    }
    let seen: Vec<u64> = (0..1000).map(|n| judge(60, &client(n), SSH, "S").1).collect();
    assert!(seen.windows(2).all(|two| two[0] <= two[1]) && seen[999] > 900);
}

/// SSH in and everything out, so that a connection which was denied could come back as one of its own.
const OUT_OPEN: &str = "
security_groups:
  - id: sg-a
    rules:
      - {id: ssh, direction: ingress, protocol: tcp, ports: 22, source: 0.0.0.0/0}
";

#[test]
fn f15_a_denied_tcp_connection_stays_denied_until_a_syn_opens_it_anew() {
    let web = "10.0.0.5:80";
    let packets = [
        (0.0, CLIENT, web, "S"),
        // A keep-alive after the idle timeout of 910 s, and after hours.
        (1_000.0, web, CLIENT, "."),
        (20_000.0, CLIENT, web, "."),
        // Closing does not change it.
        (20_001.0, CLIENT, web, "R"),
        (20_100.0, web, CLIENT, "P."),
        // A SYN is judged by the rules again.
        (40_000.0, CLIENT, web, "S"),
        (50_000.0, web, CLIENT, "P."),
        (60_000.0, web, CLIENT, "S"),
    ];
    let answers = replay(OUT_OPEN, &packets);
    assert_eq!(answers[0], "deny default default 1");
    assert_eq!(answers[1..5], ["deny connection_denied default 1"; 4].map(str::to_owned));
    assert_eq!(
        answers[5..],
        ["deny default default 2", "deny connection_denied default 2", "allow default default 3"]
    );
}

#[test]
fn f15_a_denied_datagram_exchange_stays_denied_until_its_timeout() {
    let dns = "10.0.0.5:53";
    let packets = [
        (0.0, CLIENT, dns, "udp"),
        (29.0, dns, CLIENT, "udp"),
        (58.0, dns, CLIENT, "udp"),
        (88.0, dns, CLIENT, "udp"),
    ];
    let answers = replay(OUT_OPEN, &packets);
    assert_eq!(answers[1..3], ["deny connection_denied default 1"; 2].map(str::to_owned));
    assert_eq!(answers[3], "allow default default 2", "30 s after the last packet");
}

/// What is said of packets without SYN after their connection has closed: each is judged in its own direction.
#[test]
fn f16_packets_after_the_close_are_strays() {
    let (ours, server) = ("10.0.0.5:50000", "198.51.100.7:443");
    let packets = [
        (0.0, ours, server, "S"),
        (0.1, server, ours, "S."),
        (0.2, ours, server, "."),
        (0.3, server, ours, "F."),
        (0.4, ours, server, "F."),
        (1.0, server, ours, "F."),
        (6.0, server, ours, "F."),
        (1_014.0, server, ours, "F."),
        (1_014.1, ours, server, "R"),
        // The tuple again, which a stray has not opened.
        (1_015.0, ours, server, "S"),
        (1_015.1, server, ours, "S."),
    ];
    let rules = rules(OUT_OPEN);
    let answers = replay_with(&rules, Options::default(), &packets);
    assert_eq!(answers[5], "allow session default 1", "within the 3 s of a closed connection");
    assert_eq!(
        answers[6..],
        [
            "deny default default",
            "deny default default",
            "allow default default",
            "allow default default 2",
            "allow session default 2"
        ]
    );
    let mut replay = Replay::new(&rules, Options::default());
    for (number, (seconds, src, dst, flags)) in (1..).zip(packets) {
        let data = ipv4(src, dst, flags);
        let frame = frame(number, seconds, &data);
        replay.judge(&frame, &decode(frame.link, &data));
    }
    let (strays, connections) = (replay.stats().strays(), replay.stats().connections());
    assert_eq!((strays.total(), strays.allowed, strays.denied), (3, 1, 2));
    assert_eq!((connections.total(), connections.denied), (2, 0));
}

#[test]
fn f20_a_fin_or_rst_on_the_first_packet_that_is_seen_closes() {
    let last = |first: &str, second: &str, at: f64| {
        let packets =
            [(0.0, SSH, CLIENT, first), (0.1, CLIENT, SSH, second), (at, SSH, CLIENT, ".")];
        replay(SSH_ONLY, &packets).pop().unwrap()
    };
    assert_eq!(last("F.", "F.", 3.0), "allow session ssh 1");
    assert_eq!(last("F.", "F.", 3.2), "deny rule out", "both have sent FIN");
    assert_eq!(last("F.", ".", 3.2), "allow session ssh 1", "only one has");
    assert_eq!(last("R.", ".", 3.2), "deny rule out");
}

/// An ICMP message over IPv4 with identifier 1, or over IPv6 with this hop limit.
fn icmp(src: &str, dst: &str, kind: u8, hop_limit: u8) -> Vec<u8> {
    let octets = |text: &str| match text.parse().unwrap() {
        std::net::IpAddr::V4(addr) => addr.octets().to_vec(),
        std::net::IpAddr::V6(addr) => addr.octets().to_vec(),
    };
    let head: &[u8] = match src.contains(':') {
        true => &[0x60, 0, 0, 0, 0, 8, 58, hop_limit],
        false => &[0x45, 0, 0, 28, 0, 0, 0, 0, hop_limit, 1, 0, 0],
    };
    [head, &octets(src), &octets(dst), &[kind, 0, 0, 0, 0, 1, 0, 1]].concat()
}

/// Two hosts ping each other with the same identifier, as Windows always has it.
#[test]
fn f17_a_query_from_the_other_end_is_a_connection_of_its_own() {
    let ours = ["10.0.0.5", "2001:db8::5"];
    let theirs = ["198.51.100.7", "2001:db8:9::7"];
    let mut rules = sgreplay::parse::yaml("test", OUT_OPEN).unwrap();
    rules.set_local(ours.map(|addr| addr.parse::<std::net::IpAddr>().unwrap().into()).to_vec());
    // Request and reply: echo, timestamp, information, address mask; echo and node information of IPv6.
    let pairs = [(0, 8, 0), (0, 13, 14), (0, 15, 16), (0, 17, 18), (1, 128, 129), (1, 139, 140)];
    for (family, request, reply) in pairs {
        let (us, them): (&str, &str) = (ours[family], theirs[family]);
        let packets = [
            (0.0, icmp(us, them, request, 64)),
            (0.1, icmp(them, us, reply, 64)),
            (1.0, icmp(them, us, request, 64)),
            (1.1, icmp(us, them, reply, 64)),
            (2.0, icmp(us, them, request, 64)),
        ];
        let answers = replay_bytes(&rules, Options::default(), &packets);
        assert_eq!(
            answers,
            [
                "allow default default 1",
                "allow session default 1",
                "deny default default 2",
                "deny connection_denied default 2",
                "allow session default 1"
            ],
            "type {request}"
        );
    }
}

/// A request is judged even where a reply that nobody asked for came first.
#[test]
fn f17_a_reply_opens_nothing() {
    let (us, them) = ("10.0.0.5", "198.51.100.7");
    let echo = |src, dst, kind| icmp(src, dst, kind, 64);
    let packets = [
        (0.0, ipv4(CLIENT, SSH, "S")),
        (100.0, echo(us, them, 0)),
        (100.1, echo(them, us, 8)),
        (100.2, echo(us, them, 0)),
    ];
    let answers = replay_bytes(&rules(OUT_OPEN), Options::default(), &packets);
    assert_eq!(
        answers[1..],
        ["allow default default", "deny default default 2", "deny connection_denied default 2"]
    );
}

#[test]
fn f18_an_error_opens_nothing_and_answers_nothing() {
    let (us, them) = ("10.0.0.5", "203.0.113.9");
    let elsewhere = ipv4("203.0.113.9:5000", "198.51.100.1:6000", "udp");
    let packets = [
        (0.0, error(us, them, 3, 3, &elsewhere)),
        // The other end's is judged by itself too, and an error about an error has no session.
        (0.1, error(them, us, 3, 3, &elsewhere)),
        (0.2, error(them, us, 11, 0, &error(us, them, 3, 3, &elsewhere))),
        (0.3, error(us, them, 3, 3, &elsewhere)),
    ];
    let rules = rules(OUT_OPEN);
    let answers = replay_bytes(&rules, Options::default(), &packets);
    assert_eq!(
        answers,
        [
            "allow default default",
            "deny default default",
            "deny default default",
            "allow default default"
        ]
    );
}

#[test]
fn f19_neighbour_discovery_is_exempt_on_its_own_link() {
    let closed = "{security_groups: [{id: sg-a, type: enterprise, rules: []}]}";
    let mut rules = sgreplay::parse::yaml("test", closed).unwrap();
    rules.set_local(vec!["2001:db8::5/128".parse().unwrap()]);
    let (us, them) = ("2001:db8::5", "2001:db8::7");
    let answer = |rules: &RuleSet, kind, hop_limit| {
        let ways = [(0.0, icmp(us, them, kind, hop_limit)), (0.1, icmp(them, us, kind, hop_limit))];
        replay_bytes(rules, Options::default(), &ways)
    };
    for kind in 133..=137 {
        assert_eq!(answer(&rules, kind, 255), ["allow system neighbour-discovery"; 2], "{kind}");
        assert_eq!(answer(&rules, kind, 254), ["deny default default"; 2], "routed: {kind}");
    }
    assert_eq!(answer(&rules, 132, 255), ["deny default default"; 2]);
    assert_eq!(answer(&rules, 138, 255), ["deny default default"; 2]);
    let mut by_rules = rules.clone();
    by_rules.set_switches(sgreplay::rules::Switches {
        neighbour_discovery_by_rules: true,
        ..Default::default()
    });
    assert_eq!(answer(&by_rules, 135, 255), ["deny default default"; 2]);
}

/// SEMANTICS A5: both ends must allow. What one denies exists at neither, so that the other end's own SYN is judged at
/// both.
#[test]
fn a_connection_that_one_interface_denies_is_open_at_neither() {
    let text = "
security_groups:
  - {id: sg-a, rules: [
      {id: a-no-80, direction: egress, policy: drop, protocol: tcp, ports: 80, destination: 0.0.0.0/0},
      {id: a-in, direction: ingress, protocol: tcp, ports: 40000/40001, source: 0.0.0.0/0}]}
  - {id: sg-b, rules: [
      {id: b-in, direction: ingress, protocol: tcp, ports: 80, source: 0.0.0.0/0},
      {id: b-no-40000, direction: egress, policy: drop, protocol: tcp, ports: 40000, destination: 0.0.0.0/0}]}
interfaces:
  - {id: eni-a, addresses: [10.0.0.1], security_groups: [sg-a]}
  - {id: eni-b, addresses: [10.0.0.2], security_groups: [sg-b]}
";
    let rules = sgreplay::parse::yaml("test", text).unwrap();
    let labels = Labels::new(&rules);
    let answers = |packets: &[(&str, &str, &str)]| -> Vec<String> {
        let mut replay = Replay::new(&rules, Options::default());
        let answer = |(number, (src, dst, flags)): (u64, &(&str, &str, &str))| {
            let data = ipv4(src, dst, flags);
            let frame = frame(number, 0.0, &data);
            let judged = replay.judge(&frame, &decode(frame.link, &data));
            let at = judged.judgements().map(|at| {
                format!(
                    "{} {} {}",
                    at.verdict.as_str(),
                    at.reason.as_str(),
                    labels.judgement(at).rule
                )
            });
            at.collect::<Vec<_>>().join(", ")
        };
        (1..).zip(packets).map(answer).collect()
    };
    let (a, b) = ("10.0.0.1:40000", "10.0.0.2:80");
    assert_eq!(
        answers(&[(a, b, "S"), (b, a, "S.")]),
        [
            "deny rule a-no-80, allow rule b-in",
            "allow session b-in, deny connection_denied a-no-80"
        ]
    );
    // The other end's SYN is judged by its own rules, at both.
    assert_eq!(answers(&[(a, b, "S"), (b, a, "S")])[1], "deny rule b-no-40000, allow rule a-in");
    let a = "10.0.0.1:40001";
    assert_eq!(answers(&[(a, b, "S"), (b, a, "S")])[1], "allow default default, allow rule a-in");
    // Denied at the receiver it is open at the sender no more.
    let (a, b) = ("10.0.0.1:40000", "10.0.0.2:81");
    assert_eq!(
        answers(&[(a, b, "S"), (b, a, "S")]),
        ["allow default default, deny default default", "deny rule b-no-40000, allow rule a-in"]
    );
}

/// A silence of more than a day is an interruption of the recording, in which a connection may have begun.
#[test]
fn after_an_interruption_it_is_inferred_again_who_began() {
    let day = 24.0 * 3600.0;
    let other = ("203.0.113.9:40001", "10.0.0.5:80");
    let after = |seconds| {
        let packets = [(0.0, other.0, other.1, "S"), (seconds, SSH, CLIENT, "P.")];
        replay(SSH_ONLY, &packets).pop().unwrap()
    };
    assert_eq!(after(day + 1.0), "allow rule ssh 2");
    assert_eq!(after(day - 1.0), "deny rule out 2");
}

/// SEMANTICS H2: on AWS a UDP session lives for 30 s, and for 180 s once there was more than one exchange.
#[test]
fn h2_udp_lives_longer_after_more_than_one_exchange() {
    let text = "{cloud: aws, security_groups: [{id: sg-a, rules: [
      {id: dns, direction: ingress, protocol: udp, ports: 53, source: 0.0.0.0/0}]}]}";
    let (ours, theirs) = ("10.0.0.5:53", "203.0.113.9:40000");
    let ask = |seconds| (seconds, theirs, ours, "udp");
    let answer = |seconds| (seconds, ours, theirs, "udp");
    let last = |packets: &[(f64, &str, &str, &str)]| replay(text, packets).pop().unwrap();
    // Nothing is open outwards, so that an answer passes as long as its session lives.
    assert_eq!(last(&[ask(0.0), answer(29.0)]), "allow session dns 1");
    assert_eq!(last(&[ask(0.0), answer(31.0)]), "deny default default 2");
    assert_eq!(last(&[ask(0.0), answer(1.0), answer(30.0)]), "allow session dns 1");
    assert_eq!(last(&[ask(0.0), answer(1.0), answer(32.0)]), "deny default default 2");
    assert_eq!(last(&[ask(0.0), answer(1.0), ask(2.0), answer(181.0)]), "allow session dns 1");
    assert_eq!(last(&[ask(0.0), answer(1.0), ask(2.0), answer(183.0)]), "deny default default 2");
    // Other clouds have one time.
    let ours_only =
        text.replace("cloud: aws, ", "").replace("id: sg-a", "id: sg-a, type: enterprise");
    let packets = [ask(0.0), answer(1.0), ask(2.0), answer(33.0)];
    assert_eq!(replay(&ours_only, &packets).pop().unwrap(), "deny default default 2");
}
