//! What the program says of how a capture was made, and which tunnels it looks into by itself.

use serde_json::Value;

use crate::encapsulations::{ENCAPSULATIONS, Encapsulation};
use crate::support::{ipv4, output_in, pcap, pcap_ns};

const RULES: &str = "security_groups:\n- id: sg\n  rules: []\n";

/// Status, warnings and everything else of `replay -f json` on a capture.
fn replay(capture: &[u8], args: &[&str]) -> (i32, Vec<String>, Value, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    let usual =
        ["replay", "--rules", "rules.yaml", "--local", "10.0.0.5,2001:db8::5", "-f", "json"];
    let args = [&usual[..], args, &["-"]].concat();
    let (status, stdout, stderr) = output_in(dir.path(), &args, capture);
    let json: Value = serde_json::from_str(&stdout).unwrap_or_default();
    let warnings = json["warnings"].as_array().cloned().unwrap_or_default();
    let warnings = warnings.iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    (status, warnings, json, stderr)
}

fn warning(capture: &[u8], words: &str) -> Option<String> {
    replay(capture, &[]).1.into_iter().find(|text| text.contains(words))
}

fn vlan(id: u8, ip: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, id, 0x08, 0][..], ip].concat()
}

/// A capture with so many nanoseconds between packets.
fn every(step: u64, link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let timed: Vec<(u64, &[u8])> = (0..)
        .zip(packets)
        .map(|(n, data)| (1_700_000_000_000_000_000 + n * step, &data[..]))
        .collect();
    pcap_ns(link, &timed)
}

/// A packet of one of several connections, each with an IP identification of its own.
fn numbered(n: u16, port: u16, back: bool) -> Vec<u8> {
    let (client, server) = (format!("203.0.113.9:{port}"), "10.0.0.5:22".to_owned());
    let mut packet = match back {
        false => ipv4(&client, &server, "."),
        true => ipv4(&server, &client, "."),
    };
    packet[4..6].copy_from_slice(&n.to_be_bytes());
    packet
}

#[test]
fn packets_that_are_there_twice() {
    let packets: Vec<Vec<u8>> = (0..20).map(|n| numbered(n, 40_000, n % 2 == 1)).collect();
    let twice = |second: fn(&[u8]) -> Vec<u8>| -> Vec<Vec<u8>> {
        packets.iter().flat_map(|ip| [vlan(10, ip), second(ip)]).collect()
    };
    let words =
        "every packet is there twice: 20 of the first 40 packets repeat one just before them";
    // A mirror of two VLANs, and one of both directions of one port.
    let said = warning(&every(1000, 1, &twice(|ip| vlan(11, ip))), words).unwrap();
    assert!(said.contains("behind another link header"), "{said}");
    let said = warning(&every(1000, 1, &twice(|ip| vlan(10, ip))), words).unwrap();
    assert!(!said.contains("link header"), "{said}");
    // Before and behind a router.
    let routed = twice(|ip| {
        let mut ip = ip.to_vec();
        ip[8] -= 1;
        ip[10] ^= 1;
        vlan(11, &ip)
    });
    assert!(warning(&every(1000, 1, &routed), words).is_some());
    let thrice: Vec<Vec<u8>> =
        packets.iter().flat_map(|ip| [vlan(1, ip), vlan(2, ip), vlan(3, ip)]).collect();
    let said = warning(&every(1000, 1, &thrice), "every packet is there several times").unwrap();
    assert!(said.contains("40 of the first 60 packets"), "{said}");

    // What is sent again a second later is no copy, nor is what differs.
    let again = twice(|ip| vlan(10, ip));
    assert_eq!(warning(&every(1_000_000_000, 1, &again), "is there"), None);
    let other = twice(|ip| vlan(10, &[&ip[..4], &[99], &ip[5..]].concat()));
    assert_eq!(warning(&every(1000, 1, &other), "is there"), None);
    // A few copies among many packets.
    let few: Vec<Vec<u8>> = packets.iter().chain(&packets[16..]).map(|ip| vlan(10, ip)).collect();
    assert_eq!(warning(&every(1000, 1, &few), "is there"), None);
}

#[test]
fn connections_with_one_direction() {
    let traffic = |both: usize, one: usize| -> Vec<Vec<u8>> {
        let packets = |connection: usize| {
            let port = 40_000 + u16::try_from(connection).unwrap();
            (0..6).map(move |n| numbered(n, port, connection < both && n % 2 == 1))
        };
        (0..both + one).flat_map(packets).collect()
    };
    let words = "only one direction is in the capture";
    let said = warning(&every(1000, 101, &traffic(1, 4)), words).unwrap();
    assert!(said.starts_with("of 4 of the first 5 TCP connections"), "{said}");
    assert_eq!(warning(&every(1000, 101, &traffic(4, 4)), words), None, "half of them");
    assert_eq!(warning(&every(1000, 101, &traffic(0, 2)), words), None, "two say nothing");
    // A scan that nobody answers is no asymmetric route.
    let scan: Vec<Vec<u8>> =
        (1..200).map(|port| ipv4("203.0.113.9:40000", &format!("10.0.0.5:{port}"), "S")).collect();
    assert_eq!(warning(&every(1000, 101, &scan), words), None);
}

#[test]
fn a_snap_length_that_cuts_ports() {
    let cut = |len: usize| -> Vec<u8> {
        let packets: Vec<Vec<u8>> = (0..30).map(|n| numbered(n, 40_000, false)).collect();
        let whole = every(1000, 101, &packets);
        let mut bytes = whole[..24].to_vec();
        for record in whole[24..].chunks(16 + 40) {
            let mut header = record[..16].to_vec();
            header[8..12].copy_from_slice(&u32::try_from(len).unwrap().to_le_bytes());
            bytes.extend([&header, &record[16..16 + len]].concat());
        }
        bytes
    };
    let words = "cuts the ports off";
    let said = warning(&cut(22), words).unwrap();
    assert!(
        said.starts_with("a snap length of 22 bytes cuts the ports off 30 of the first 30"),
        "{said}"
    );
    assert_eq!(warning(&cut(24), words), None);
}

#[test]
fn types_that_hide_packets_are_named() {
    let frame = |ethertype: [u8; 2], more: &[u8]| [&[0; 12][..], &ethertype, more].concat();
    let hiding = |frame: Vec<u8>| {
        let plain = vlan(1, &numbered(1, 40_000, false));
        let capture = every(1000, 1, &[plain, frame.clone(), frame]);
        warning(&capture, "may hide traffic not evaluated")
    };
    let said = hiding(frame([0x88, 0xe5], &[0x0c; 40])).unwrap();
    assert!(said.contains("2 of the 3 packets") && said.contains("0x88e5 (MACsec)"), "{said}");
    let said = hiding(frame([0xab, 0xcd], &[0; 40])).unwrap();
    assert!(said.contains("ethertype 0xabcd"), "{said}");
    assert_eq!(hiding(frame([0x88, 0xcc], &[0; 40])), None, "LLDP hides nothing");
}

#[test]
fn a_clock_that_jumps() {
    let day = 24 * 3600 * 1_000_000_000_u64;
    let start = 1_700_000_000_000_000_000;
    let packet = numbered(1, 40_000, false);
    let capture = |times: &[u64]| {
        let packets: Vec<(u64, &[u8])> = times.iter().map(|time| (*time, &packet[..])).collect();
        pcap_ns(101, &packets)
    };
    let ahead = capture(&[start, start + 1, start + 10 * day + 1, start + 10 * day + 2]);
    let said = warning(&ahead, "jumps ahead").unwrap();
    assert!(
        said.contains("jumps ahead 1 time, by 10 d") && said.contains("at its frame 3"),
        "{said}"
    );
    let (_, _, json, _) = replay(&ahead, &[]);
    assert_eq!(json["inputs"]["captures"][0]["clock_ahead"]["frame"], 3);
    // A weekend without a packet is none, and the first packet has none before it.
    assert_eq!(warning(&capture(&[start, start + 3 * day]), "the clock of"), None);
    // One packet with a wrong time: ahead and back.
    let wrong = capture(&[start, start + 400 * day, start + 1]);
    assert!(warning(&wrong, "jumps ahead 1 time").is_some());
    assert!(warning(&wrong, "runs backwards 1 time").is_some());
}

fn of(case: &Encapsulation) -> Vec<u8> {
    let frames = case.frames();
    let bytes: Vec<&[u8]> = frames.iter().map(|(frame, _)| frame.as_slice()).collect();
    pcap(case.link.0, &bytes)
}

/// Whatever packets are carried in, they are judged: a gate never passes over them.
#[test]
fn a_gate_passes_over_no_encapsulation() {
    let gate = ["--fail-on", "denied"];
    for case in ENCAPSULATIONS {
        let capture = of(case);
        let Some(decap) = case.decap else {
            let (status, _, json, stderr) = replay(&capture, &gate);
            assert_eq!(
                (status, &json["packets"]["denied"]),
                (1, &2.into()),
                "{}: {stderr}",
                case.name
            );
            continue;
        };
        // Not looked into, the tunnel is named.
        let (status, warnings, _, stderr) = replay(&capture, &gate);
        assert_eq!(status, 2, "{}", case.name);
        let option = format!("--decap {decap}");
        assert!(stderr.contains(&option), "{}: {stderr}", case.name);
        assert!(warnings.iter().any(|text| text.contains(&option)), "{}: {warnings:?}", case.name);
        // By its name, and by none.
        for decap in [decap, "auto"] {
            let (status, _, json, stderr) =
                replay(&capture, &[&gate[..], &["--decap", decap]].concat());
            assert_eq!(
                (status, &json["packets"]["denied"]),
                (1, &2.into()),
                "{}: {stderr}",
                case.name
            );
            let said = format!("--decap auto: looks inside {}", case.decap.unwrap());
            assert_eq!(stderr.contains(&said), decap == "auto", "{}: {stderr}", case.name);
        }
    }
}

#[test]
fn tunnels_are_chosen_by_most_of_the_packets() {
    let named = |name: &str| ENCAPSULATIONS.iter().find(|case| case.name == name).unwrap();
    let frames = |name: &str, times: usize| -> Vec<Vec<u8>> {
        let frames = named(name).frames();
        frames.into_iter().cycle().take(times).map(|(frame, _)| frame).collect()
    };
    let auto = |packets: &[Vec<Vec<u8>>]| {
        let (_, _, json, stderr) = replay(&every(1000, 1, &packets.concat()), &["--decap", "auto"]);
        (
            stderr.trim_end().trim_start_matches("sgreplay: --decap auto: ").to_owned(),
            json["packets"]["denied"].clone(),
        )
    };
    // What an instance sends through a tunnel of its own is not a mirror.
    let (said, denied) = auto(&[frames("Ethernet", 60), frames("GRE", 40)]);
    assert_eq!(
        (said.as_str(), denied),
        ("most of the first 100 packets are no tunnel, so none is looked into", 60.into())
    );
    // Two mirrors, and a little of a third tunnel that is inside no mirror.
    let (said, denied) =
        auto(&[frames("VXLAN", 60), frames("ERSPAN, type II", 34), frames("GTP-U", 6)]);
    assert_eq!(
        (said.as_str(), denied),
        ("looks inside vxlan (60), erspan (34), of the first 100 packets", 94.into())
    );

    let (status, _, _, stderr) = replay(&of(named("VXLAN")), &["--decap", "auto,gre"]);
    assert_eq!(status, 2);
    assert!(stderr.contains("give it no other tunnel"), "{stderr}");
    let (status, _, _, _) = replay(&of(named("VXLAN")), &["--decap", "auto", "--live"]);
    assert_eq!(status, 2);
}

/// Later fragments of a mirror's packets, and packets of a file as of a pipe.
#[test]
fn a_chosen_tunnel_is_looked_into_from_the_first_packet_on() {
    let named = ENCAPSULATIONS.iter().find(|case| case.name == "VXLAN").unwrap();
    let frame = &named.frames()[0].0;
    let capture = every(1_000_000, 1, &vec![frame.clone(); 3000]);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    std::fs::write(dir.path().join("mirror.pcap"), &capture).unwrap();
    let args =
        ["replay", "--rules", "rules.yaml", "--decap", "auto", "--per", "packet", "-f", "csv"];
    let mut all = Vec::new();
    for threads in ["1", "2", "3"] {
        for from in ["mirror.pcap", "-"] {
            let args = [&args[..], &["--threads", threads, from]].concat();
            let stdin: &[u8] = if from == "-" { &capture } else { b"" };
            let (status, csv, stderr) = output_in(dir.path(), &args, stdin);
            assert_eq!(status, 0, "{stderr}");
            assert_eq!(csv.lines().filter(|row| row.contains("10.0.0.5")).count(), 3000);
            all.push(csv);
        }
    }
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]));
}
