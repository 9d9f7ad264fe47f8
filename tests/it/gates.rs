//! A gate has three answers: 0 the condition does not hold, 1 it holds, 2 there is no full answer.

use std::path::Path;

use crate::support::{ipv4, output_in, pcap, pcap_every};

const RULES: &str = "{security_groups: [{id: sg-a, rules: [
  {id: ssh, direction: ingress, protocol: tcp, ports: 22, source: 0.0.0.0/0}]}]}";
const CLOSED: &str = "{security_groups: [{id: sg-a, rules: []}]}";
const CLIENT: &str = "198.51.100.7:40000";
const SSH: &str = "10.0.0.5:22";

fn dir(link: u32, packets: &[Vec<u8>]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    std::fs::write(dir.path().join("x.pcap"), pcap(link, &packets)).unwrap();
    std::fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    std::fs::write(dir.path().join("closed.yaml"), CLOSED).unwrap();
    std::fs::write(
        dir.path().join("sgreplay.yaml"),
        "{current: closed.yaml, proposed: rules.yaml, captures: x.pcap, local: 10.0.0.5, fail_on: [newly-denied]}",
    )
    .unwrap();
    dir
}

/// Status and messages of the commands that have a gate.
fn gates(dir: &Path, local: bool, more: &[&str]) -> Vec<(i32, String)> {
    let local = if local { &["--local", "10.0.0.5"][..] } else { &[] };
    let commands = [
        &["replay", "--rules", "rules.yaml", "--fail-on", "denied"][..],
        &["replay", "--rules", "rules.yaml", "--min-coverage", "0"],
        &[
            "diff",
            "--current",
            "closed.yaml",
            "--proposed",
            "rules.yaml",
            "--fail-on",
            "newly-denied",
        ],
    ];
    let run = |command: &&[&str]| {
        let args = [command, local, more, &["x.pcap"]].concat();
        let (status, _, stderr) = output_in(dir, &args, b"");
        (status, stderr)
    };
    commands.iter().map(run).collect()
}

fn all(dir: &Path, local: bool, more: &[&str], wanted: i32, says: &str) {
    for (status, stderr) in gates(dir, local, more) {
        assert_eq!(status, wanted, "{stderr}");
        assert!(stderr.contains(says), "{says}: {stderr}");
    }
}

fn handshake() -> Vec<Vec<u8>> {
    vec![ipv4(CLIENT, SSH, "S"), ipv4(SSH, CLIENT, "S."), ipv4(CLIENT, SSH, ".")]
}

#[test]
fn a_full_answer_passes() {
    let dir = dir(101, &handshake());
    all(dir.path(), true, &[], 0, "");
    let (status, text, _) = output_in(dir.path(), &["ci"], b"");
    assert_eq!((status, text.contains("The proposal passes")), (0, true));
}

#[test]
fn nothing_chosen_is_no_answer() {
    let dir = dir(101, &handshake());
    all(dir.path(), true, &["--filter", "udp"], 2, "the options choose no packet");
    all(dir.path(), true, &["--since", "1800000000"], 2, "the options choose no packet");
}

#[test]
fn an_unsure_local_address_is_no_answer() {
    let dir = dir(101, &handshake());
    all(dir.path(), false, &[], 2, "10.0.0.5 is assumed, and 198.51.100.7 may be it; --local");
    let config = std::fs::read_to_string(dir.path().join("sgreplay.yaml")).unwrap();
    let config = config.replace("local: 10.0.0.5, ", "sarif: x.sarif, junit: x.xml, ");
    std::fs::write(dir.path().join("sgreplay.yaml"), config).unwrap();
    let (status, text, stderr) = output_in(dir.path(), &["ci"], b"");
    assert_eq!(status, 2, "{text}{stderr}");
    assert!(!text.contains("passes."), "{text}");
    assert!(text.contains("It is not known whether the proposal passes"), "{text}");
    // Neither do the files that a code host shows look green.
    let file = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    assert!(file("x.sarif").contains("no-full-answer"));
    assert!(file("x.xml").contains("<failure"));
}

#[test]
fn a_local_address_that_matches_nothing_is_no_answer() {
    let dir = dir(101, &handshake());
    all(dir.path(), false, &["--local", "192.0.2.1"], 2, "none is to or from the local addresses");
}

/// Where the condition already holds, that is the answer, whatever else was not evaluated.
#[test]
fn a_condition_that_holds_wins() {
    let mut packets = handshake();
    packets.push(ipv4(CLIENT, "10.0.0.5:23", "S"));
    packets.extend(vec![ipv4(CLIENT, SSH, "S")[..30].to_vec(); 9]);
    let dir = dir(101, &packets);
    let args =
        ["replay", "--rules", "rules.yaml", "--local", "10.0.0.5", "--fail-on", "denied", "x.pcap"];
    assert_eq!(output_in(dir.path(), &args, b"").0, 1);
    // Also where the capture is damaged behind it.
    let path = dir.path().join("x.pcap");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&bytes[..], &[0xff; 40]].concat()).unwrap();
    assert_eq!(output_in(dir.path(), &args, b"").0, 1);
}

#[test]
fn traffic_that_was_not_evaluated_is_no_answer() {
    let cut = vec![ipv4(CLIENT, SSH, "S")[..22].to_vec(); 3];
    let dir_cut = dir(101, &[handshake(), cut].concat());
    all(
        dir_cut.path(),
        true,
        &[],
        2,
        "truncated, the first is frame 4; capture whole packets (tcpdump -s 0)",
    );
    all(dir_cut.path(), true, &["--max-unevaluated", "50"], 0, "");
    // Of other hosts nothing is asked.
    let foreign = vec![ipv4(CLIENT, "192.0.2.1:22", "S")[..22].to_vec(); 3];
    all(dir(101, &[handshake(), foreign].concat()).path(), true, &[], 0, "");

    let fragment = {
        let mut bytes = ipv4(CLIENT, SSH, "S");
        bytes[7] = 9;
        bytes
    };
    let fragments = dir(101, &[handshake(), vec![fragment]].concat());
    all(fragments.path(), true, &[], 2, "fragment without first, the first is frame 4");

    all(dir(147, &handshake()).path(), true, &[], 2, "unsupported link (link type 147)");

    for (port, name) in [(4789, "vxlan"), (6081, "geneve"), (2152, "gtpu")] {
        let mirrored = ipv4("192.0.2.1:5000", &format!("192.0.2.2:{port}"), "udp");
        let dir = dir(101, &[handshake(), vec![mirrored; 2]].concat());
        all(dir.path(), true, &[], 2, &format!("--decap {name} judges the packets inside"));
    }
}

/// ARP, LLDP and spanning tree carry no IP, and nobody's packets are in them.
#[test]
fn frames_that_are_not_ip_by_nature_do_not_count() {
    let ethernet = |ethertype: [u8; 2], data: &[u8]| {
        [&[2, 0, 0, 0, 0, 5, 2, 0, 0, 0, 0, 1], &ethertype[..], data].concat()
    };
    let mut packets: Vec<Vec<u8>> =
        handshake().iter().map(|packet| ethernet([8, 0], packet)).collect();
    packets.extend(vec![ethernet([8, 6], &[0; 28]); 5]);
    packets.extend(vec![ethernet([0x88, 0xcc], &[0; 40]); 5]);
    packets.extend(vec![ethernet([0, 38], &[0x42, 0x42, 3, 0, 0, 0, 0, 0]); 5]);
    all(dir(1, &packets).path(), true, &[], 0, "");
    packets.push(ethernet([0xab, 0xcd], &[0; 40]));
    all(
        dir(1, &packets).path(),
        true,
        &[],
        2,
        "unknown ethertype (ethertype 0xabcd), the first is frame 19",
    );
}

/// Without a gate the same is a warning, and the status is 0.
#[test]
fn without_a_gate_it_is_a_warning() {
    let dir = dir(147, &handshake());
    for command in [
        &["replay", "--rules", "rules.yaml"][..],
        &["diff", "--current", "closed.yaml", "--proposed", "rules.yaml"],
    ] {
        let args = [command, &["--local", "10.0.0.5", "x.pcap"]].concat();
        let (status, text, _) = output_in(dir.path(), &args, b"");
        assert_eq!(status, 0);
        assert!(
            text.contains(
                "warning: 3 of the 3 packets that carry or may hide traffic not evaluated"
            ),
            "{text}"
        );
        assert!(!text.contains("does nothing to this traffic"), "{text}");
    }
}

/// Sessions that were forgotten for want of memory may have changed verdicts.
#[test]
fn forgotten_sessions_are_no_answer() {
    let packets: Vec<Vec<u8>> = (0..2000_u16)
        .map(|n| ipv4(&format!("198.51.{}.{}:40000", n / 250, n % 250 + 1), SSH, "S"))
        .collect();
    let dir = dir(101, &packets);
    let frames: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    std::fs::write(dir.path().join("x.pcap"), pcap_every(10_000, 101, &frames)).unwrap();
    all(dir.path(), true, &["--session-memory", "4kB"], 2, "--memory allows more");
}

/// SEMANTICS F16: a stray makes no gate fail.
#[test]
fn strays_fail_nothing() {
    let (ours, server) = ("10.0.0.5:50000", "198.51.100.7:443");
    let packets = [
        ipv4(ours, server, "S"),
        ipv4(server, ours, "S."),
        ipv4(ours, server, "F."),
        ipv4(server, ours, "F."),
        ipv4(CLIENT, SSH, "S"),
        ipv4(CLIENT, SSH, "S"),
        ipv4(CLIENT, SSH, "S"),
        ipv4(CLIENT, SSH, "S"),
        ipv4(server, ours, "F."),
    ];
    let dir = dir(101, &packets);
    let args = [
        "replay",
        "--rules",
        "rules.yaml",
        "--local",
        "10.0.0.5",
        "--fail-on",
        "denied",
        "-f",
        "json",
        "x.pcap",
    ];
    let (status, text, stderr) = output_in(dir.path(), &args, b"");
    assert_eq!(status, 0, "{stderr}");
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(found["strays"], serde_json::json!({"packets": 1, "allowed": 0, "denied": 1}));
    assert_eq!(found["connections"]["total"], 2);
    // In rows per connection they stand by themselves, without a number.
    let args = ["replay", "--rules", "rules.yaml", "--local", "10.0.0.5", "-f", "csv", "x.pcap"];
    let (_, text, _) = output_in(dir.path(), &args, b"");
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|row| row.split(',').collect()).collect();
    let shown: Vec<(&str, &str, &str)> =
        rows.iter().map(|row| (row[0], row[15], row[18])).collect();
    assert_eq!(
        shown,
        [("1", "seen", "allow"), ("2", "seen", "allow"), ("", "after_close", "deny")]
    );
}

/// Packets between other hosts may be the instance's where its address is a guess.
#[test]
fn other_hosts_are_no_answer_where_the_address_is_a_guess() {
    let hosts = |n: u8| format!("203.0.113.{n}:40000");
    let mut packets: Vec<Vec<u8>> = (1..40).map(|n| ipv4(&hosts(n), SSH, "S")).collect();
    packets.push(ipv4("192.0.2.1:40000", "10.0.0.6:3306", "S"));
    let dir = dir(101, &packets);
    all(dir.path(), false, &[], 2, "not local");
    all(dir.path(), true, &[], 0, "");
}

/// Whether a packet that was cut before its flags opens a connection is not known.
#[test]
fn a_cut_before_the_flags_is_no_answer() {
    let packets = [handshake(), vec![ipv4("198.51.100.8:1", SSH, "S")[..30].to_vec()]].concat();
    all(dir(101, &packets).path(), true, &[], 2, "truncated, the first is frame 4");
}

/// A frame that cannot be decoded may hide a packet that the filter would choose; one outside the window may not.
#[test]
fn a_filter_hides_nothing_that_was_not_evaluated() {
    let cut = vec![ipv4(CLIENT, SSH, "S")[..22].to_vec(); 3];
    let dir = dir(101, &[handshake(), cut].concat());
    all(dir.path(), true, &["--filter", "tcp port 22"], 2, "truncated, the first is frame 4");
    all(dir.path(), true, &["--filter", "tcp port 22", "--count", "3"], 0, "");
    let fragment = {
        let mut bytes = ipv4(CLIENT, SSH, "S");
        bytes[7] = 9;
        bytes
    };
    let dir = self::dir(101, &[handshake(), vec![fragment]].concat());
    all(dir.path(), true, &["--filter", "port 22"], 2, "fragment without first");
}

/// Where nothing shows who began a connection, and that decides the verdict, the verdict is a guess.
#[test]
fn a_guess_at_who_began_is_no_answer() {
    let (us, them) = ("10.0.0.5:50001", "198.51.100.7:50002");
    let dir = dir(101, &[ipv4(us, them, "."), ipv4(them, us, ".")]);
    let open = RULES.replace("ports: 22", "ports: 1/65535");
    std::fs::write(dir.path().join("closed.yaml"), &open).unwrap();
    all(dir.path(), true, &[], 2, "nothing shows who began 1 of 1 connection");
    all(dir.path(), true, &["--midstream", "first-packet"], 0, "");
    all(dir.path(), true, &["--max-unevaluated", "100"], 0, "");
    // Whoever began it, a change to these rules lets nothing more in.
    let diff = "diff --current closed.yaml --proposed rules.yaml --local 10.0.0.5 --fail-on newly-allowed x.pcap";
    let words: Vec<&str> = diff.split(' ').collect();
    assert_eq!(output_in(dir.path(), &words, b"").0, 0);
    // Rules that say the same of either are an answer.
    std::fs::write(dir.path().join("rules.yaml"), open).unwrap();
    all(dir.path(), true, &[], 0, "");
}

/// A condition that nothing can answer is a mistake in the file, and no condition that does not hold.
#[test]
fn a_condition_without_its_file_is_no_answer() {
    let dir = dir(101, &handshake());
    for (config, says) in [
        ("{proposed: rules.yaml, fail_on: [expectations]}", "`expectations:` names no file"),
        ("{proposed: rules.yaml, fail_on: newly-denied}", "`current:` names no rules file"),
    ] {
        let config = config.replace("fail_on: newly-denied", "fail_on: [newly-denied]");
        std::fs::write(dir.path().join("sgreplay.yaml"), config).unwrap();
        let (status, _, stderr) = output_in(dir.path(), &["ci"], b"");
        assert_eq!(status, 2, "{stderr}");
        assert!(stderr.contains(says), "{stderr}");
    }
}

/// What a capture says it has lost is known of no better than what cannot be decoded.
#[test]
fn what_is_missing_from_a_capture_is_no_answer() {
    let dir = dir(101, &handshake());
    let head = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end \
                action log-status\n";
    let record =
        "2 1 eni-1 198.51.100.7 10.0.0.5 40000 22 6 3 180 1764000000 1764000060 ACCEPT OK\n";
    let lost = "2 1 eni-1 - - - - - - - 1764000060 1764000120 - SKIPDATA\n";
    let status = |log: String, more: &[&str]| {
        std::fs::write(dir.path().join("x.log"), log).unwrap();
        let args = ["replay", "--rules", "rules.yaml", "--local", "10.0.0.5", "x.log"];
        let (status, _, stderr) = output_in(dir.path(), &[&args, more].concat(), b"");
        (status, stderr)
    };
    let whole = format!("{head}{record}");
    let (is_whole, stderr) = status(whole.clone(), &["--fail-on", "denied"]);
    assert_eq!(is_whole, 0, "{stderr}");
    let (status_lost, stderr) = status(format!("{whole}{lost}"), &["--fail-on", "denied"]);
    assert_eq!(status_lost, 2, "{stderr}");
    assert!(stderr.contains("nothing is known of 1 window of a flow log"), "{stderr}");
    // What is compared with a record's own verdict is every record that has one.
    let differs = ["--compare-action", "--fail-on", "action-differs"];
    assert_eq!(status(format!("{whole}{lost}"), &differs).0, 0);
    // Coverage asked for in the same run is not of records alone.
    let both = [&differs[..], &["--min-coverage", "0"]].concat();
    assert_eq!(status(format!("{whole}{lost}"), &both).0, 2);
}
