//! SEMANTICS F8: a later fragment takes the verdict of its first.

use std::net::Ipv4Addr;

use sgreplay::capture::LinkType;
use sgreplay::decode::{Decoded, decode};
use sgreplay::flow::{Fragment, Transport};
use sgreplay::fragment::FragmentTable;

use crate::support;

const RULES: &str = "{security_groups: [{id: sg-a, rules: [
    {id: dns, direction: ingress, protocol: udp, ports: 53, source: 192.0.2.0/24},
    {id: dns6, direction: ingress, protocol: udp, ports: 53, source: '2001:db8::/32'}]}]}";

/// A fragment of a UDP datagram from 192.0.2.1 to 10.0.0.5: its offset in bytes, and its payload.
fn v4(id: u16, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let field = ((offset / 8) | if more { 0x2000 } else { 0 }).to_be_bytes();
    let id = id.to_be_bytes();
    let mut bytes =
        vec![0x45, 0, total[0], total[1], id[0], id[1], field[0], field[1], 64, 17, 0, 0];
    bytes.extend(Ipv4Addr::new(192, 0, 2, 1).octets());
    bytes.extend(Ipv4Addr::new(10, 0, 0, 5).octets());
    bytes.extend(payload);
    bytes
}

/// The same of IPv6; the fragment's own header names `next`.
fn v6(id: u32, offset: u16, more: bool, next: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
    let field = (offset | u16::from(more)).to_be_bytes();
    let mut bytes = vec![0x60, 0, 0, 0, len[0], len[1], 44, 64];
    for last in [1, 5] {
        bytes.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    bytes.extend([next, 0, field[0], field[1]]);
    bytes.extend(id.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The start of a UDP datagram to a port.
fn to_port(port: u16) -> Vec<u8> {
    [&40_000_u16.to_be_bytes()[..], &port.to_be_bytes(), &[0; 12]].concat()
}

/// `fragment verdict reason rule` of every packet.
fn verdicts(packets: &[Vec<u8>], more: &[&str]) -> Vec<String> {
    let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    let capture = support::pcap_every(10, LinkType::RAW.0, &packets);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    let args = ["replay", "--rules", "rules.yaml", "--local", "10.0.0.5,2001:db8::5", "-", "--per"];
    let args = [&args[..], &["packet", "-f", "csv"], more].concat();
    let (status, csv, stderr) = support::output_in(dir.path(), &args, &capture);
    assert_eq!(status, 0, "{stderr}");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    reader
        .records()
        .map(|row| row.unwrap())
        .map(|row| [&row[13], &row[16], &row[17], &row[19]].join(" ").trim_end().to_owned())
        .collect()
}

const FIRST: &str = "first allow rule dns";
const LATER: &str = "later allow session dns";

#[test]
fn a_later_fragment_takes_the_verdict_of_its_first() {
    let allowed =
        [v4(7, 0, true, &to_port(53)), v4(7, 16, true, &[0; 16]), v4(7, 32, false, &[0; 4])];
    assert_eq!(verdicts(&allowed, &[]), [FIRST, LATER, LATER]);
    let denied = [v4(7, 0, true, &to_port(22)), v4(7, 16, false, &[0; 16])];
    let default = "default";
    assert_eq!(
        verdicts(&denied, &[]),
        [
            format!("first deny default {default}"),
            format!("later deny connection_denied {default}")
        ]
    );
}

#[test]
fn also_when_its_first_comes_after_it() {
    let reversed =
        [v4(7, 32, false, &[0; 4]), v4(7, 16, true, &[0; 16]), v4(7, 0, true, &to_port(53))];
    // The rows stay in the order of the file; whichever comes first opens the session.
    assert_eq!(
        verdicts(&reversed, &[]),
        ["later allow rule dns", LATER, "first allow session dns"]
    );
    assert_eq!(
        verdicts(&reversed, &["--sessions", "off"]),
        ["later allow rule dns", "later allow rule dns", "first allow rule dns"]
    );
}

#[test]
fn without_its_first_it_is_not_evaluated() {
    let orphan = [v4(7, 16, false, &[0; 16]), v4(8, 0, true, &to_port(53))];
    assert_eq!(verdicts(&orphan, &[]), ["later not_evaluated fragment_without_first", FIRST]);
    // Nor with one that lies too far behind it: more than 1 MiB of other packets.
    let mut far = vec![v4(7, 16, false, &[0; 16])];
    far.extend(std::iter::repeat_n(v4(1, 0, false, &[&to_port(53)[..], &[0; 1400]].concat()), 800));
    far.push(v4(7, 0, true, &to_port(53)));
    assert_eq!(verdicts(&far, &[])[0], "later not_evaluated fragment_without_first");
    // Over a distance that a sender can cause it is found.
    far.drain(1..400);
    assert_eq!(verdicts(&far, &[])[0], "later allow rule dns");
}

#[test]
fn overlapping_fragments_change_no_tuple() {
    // A second first fragment, which would overwrite the port: judged by itself, and the later ones
    // stay with the one that came first.
    let overlap = [
        v4(7, 0, true, &to_port(53)),
        v4(7, 0, true, &to_port(22)),
        v4(7, 16, true, &[0; 16]),
        v4(7, 32, false, &[0; 4]),
    ];
    assert_eq!(verdicts(&overlap, &[]), [FIRST, "first deny default default", LATER, LATER]);
    // An overlap with the transport header, from its second half on.
    let inside = [v4(7, 0, true, &to_port(53)), v4(7, 8, false, &to_port(22))];
    assert_eq!(verdicts(&inside, &[]), [FIRST, LATER]);
    // The same number again, once the datagram is over, is another datagram.
    let again = [
        v4(7, 0, true, &to_port(53)),
        v4(7, 16, false, &[0; 4]),
        v4(7, 0, true, &to_port(22)),
        v4(7, 16, false, &[0; 4]),
    ];
    assert_eq!(
        verdicts(&again, &[]),
        [FIRST, LATER, "first deny default default", "later deny connection_denied default"]
    );
}

#[test]
fn tiny_fragments_change_no_tuple() {
    // Eight bytes hold the ports of UDP; fewer than four hold nothing that could be judged, and no
    // later fragment makes up for it.
    let tiny = [v4(7, 0, true, &to_port(53)[..8]), v4(7, 8, false, &to_port(22))];
    assert_eq!(verdicts(&tiny, &[]), [FIRST, LATER]);
    let nothing = [v4(7, 0, true, &[0; 2]), v4(7, 8, false, &to_port(53))];
    assert_eq!(
        verdicts(&nothing, &[]),
        ["first not_evaluated malformed", "later not_evaluated fragment_without_first"]
    );
}

#[test]
fn of_ipv6_a_later_fragment_may_name_another_header() {
    // Destination options stand between the fragment header and UDP.
    let options = [&[17, 0, 1, 4, 0, 0, 0, 0][..], &to_port(53)].concat();
    let datagram = [v6(7, 0, true, 60, &options), v6(7, 24, false, 17, &[0; 8])];
    assert_eq!(verdicts(&datagram, &[]), ["first allow rule dns6", "later allow session dns6"]);
    // An atomic fragment (RFC 6946) is a whole packet.
    assert_eq!(verdicts(&[v6(7, 0, false, 17, &to_port(53))], &[]), ["no allow rule dns6"]);
}

#[test]
fn the_table_forgets() {
    let packet = |bytes: &[u8]| match decode(LinkType::RAW, bytes) {
        Decoded::Packet(packet) => packet,
        Decoded::Failed(why) => panic!("{why:?}"),
    };
    let mut table = FragmentTable::default();
    let later = packet(&v4(7, 16, false, &[0; 16]));
    assert!(matches!(later.fragment, Fragment::Later { id: 7, last: true, first: None }));
    assert_eq!(table.complete(later, 0), None);
    table.complete(packet(&v4(7, 0, true, &to_port(53))), 0);
    let ports = Transport::Ports { src: 40_000, dst: 53 };
    let second = 1_000_000_000;
    assert_eq!(table.complete(later, 29 * second).unwrap().flow.transport, ports);
    assert_eq!(table.complete(later, 30 * second), None, "its receiver no longer waits");
    // Any number of first fragments leaves it at a bounded size.
    let flood = |table: &mut FragmentTable, firsts: u32| {
        let allocated = allocation_counter::measure(|| {
            for id in 0..firsts {
                let mut first = packet(&v4(7, 0, true, &to_port(53)));
                first.fragment = Fragment::First { id };
                table.complete(first, 31 * second);
            }
        });
        allocated.bytes_max
    };
    let (most, of_a_flood) = (flood(&mut table, 100_000), flood(&mut table, 400_000));
    assert!(
        most < 20_000_000 && of_a_flood < 1000,
        "full is full: {most}, then {of_a_flood} bytes"
    );
}
