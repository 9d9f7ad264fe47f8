//! The packet that an ICMP error complains about.

use sgreplay::capture::{Capture, LinkType};
use sgreplay::decode::{Tunnels, decode, embedded};
use sgreplay::flow::Protocol;

use crate::support;

/// In a real capture, every complaint is about a packet that the error's receiver had sent before.
#[test]
fn an_error_quotes_a_packet_that_was_sent() {
    let mut complaints = 0;
    for path in support::captures() {
        let mut sent = Vec::new();
        let mut capture = Capture::open(&path).unwrap();
        while let Some(frame) = capture.next_frame().unwrap() {
            let decoded = decode(frame.link, frame.data);
            let Some(packet) = decoded.packet() else { continue };
            if let Some(quoted) = embedded(frame.link, frame.data, &Tunnels::default()) {
                complaints += 1;
                assert_eq!(quoted.flow.src, packet.flow.dst, "sent by whom the error is sent to");
                let known = sent.contains(&quoted.flow);
                assert!(known, "{} frame {}: {}", path.display(), frame.number, quoted.flow);
            }
            sent.push(packet.flow);
        }
    }
    assert!(complaints > 10, "{complaints}");
}

#[test]
fn what_is_no_error_quotes_nothing() {
    let none = |bytes: &[u8]| embedded(LinkType::RAW, bytes, &Tunnels::default()).is_none();
    assert!(none(&support::ipv4("192.0.2.1:1", "192.0.2.2:2", "S")));
    let icmp = |kind: u8, quoted: &[u8]| {
        let total = u8::try_from(28 + quoted.len()).unwrap();
        let header = [0x45, 0, 0, total, 0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
        [&header[..], &[kind, 1, 0, 0, 0, 0, 0, 0], quoted].concat()
    };
    let quoted = support::ipv4("192.0.2.2:40000", "203.0.113.9:53", "udp");
    assert!(none(&icmp(8, &quoted)), "an echo may hold anything");
    assert!(none(&icmp(3, &[])) && none(&icmp(3, &quoted[..19])));
    let of = |bytes: &[u8]| embedded(LinkType::RAW, bytes, &Tunnels::default()).unwrap().flow;
    assert_eq!(of(&icmp(3, &quoted)).to_string(), "udp 192.0.2.2:40000 > 203.0.113.9:53");
    // RFC 792 asks for eight bytes behind the header; less still tells who and what.
    assert_eq!(of(&icmp(3, &quoted[..22])).to_string(), "udp 192.0.2.2 > 203.0.113.9");
    assert_eq!(of(&icmp(11, &quoted)).proto, Protocol::UDP);
}

#[test]
fn decode_shows_it() {
    let filter = ["--filter", "icmp or icmp6", "-c", "60"];
    let text = support::run(&[&["decode", "ping.pcap"][..], &filter].concat());
    let about: Vec<&str> = text.lines().filter(|line| line.contains(" about ")).collect();
    insta::assert_snapshot!("decode shows what errors are about", about.join("\n"));
    let args = ["decode", "ping.pcap", "--embedded", "-f", "csv"];
    let (_, csv, _) = support::output_in(&support::root().join("captures"), &args, b"");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header = reader.headers().unwrap().clone();
    assert_eq!(
        header.iter().skip(14).collect::<Vec<_>>().join(","),
        "embedded_src,embedded_dst,embedded_proto,embedded_sport,embedded_dport"
    );
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert!(rows.iter().any(|row| !row[14].is_empty() && !row[18].is_empty()));
    assert!(rows.iter().all(|row| row[14].is_empty() || ["1", "58"].contains(&&row[7])));
}
