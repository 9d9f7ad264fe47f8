//! Which address is the instance's, where nobody says (SEMANTICS F21).

use std::net::IpAddr;
use std::sync::Arc;

use sgreplay::capture::{DirectionHint, Frame, LinkType};
use sgreplay::decode::{Decoded, decode};
use sgreplay::direction::{Evidence, Guess, Survey};
use sgreplay::sources::{SourceOptions, Sources};

use crate::support::{capture, frame, ipv4};

fn guess(packets: &[Vec<u8>], link: LinkType) -> Guess {
    let mut survey = Survey::default();
    for (number, data) in (1..).zip(packets) {
        let frame = Frame::new(number, link, data).at(0);
        if let Decoded::Packet(packet) = decode(link, data) {
            survey.add(&frame, &packet, false);
        }
    }
    survey.guess().unwrap()
}

fn found(guess: &Guess) -> (String, Evidence, bool) {
    let addresses: Vec<String> = guess.addresses.iter().map(ToString::to_string).collect();
    (addresses.join(" "), guess.evidence, guess.sure)
}

/// The same packet with another hop limit.
fn hops(mut packet: Vec<u8>, hop_limit: u8) -> Vec<u8> {
    packet[8] = hop_limit;
    packet
}

/// Behind Ethernet addresses of which the last octet is given.
fn ethernet(to: u8, from: u8, packet: &[u8]) -> Vec<u8> {
    let ethertype = if packet[0] >> 4 == 6 { [0x86, 0xdd] } else { [8, 0] };
    [&[2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from], &ethertype[..], packet].concat()
}

const US: u8 = 5;
const GATEWAY: u8 = 1;

fn raw(packets: &[Vec<u8>]) -> Guess {
    guess(packets, LinkType::RAW)
}

#[test]
fn captures_of_this_repository() {
    for name in ["dns.pcap", "fragments.pcap", "ping.pcap", "story.pcap", "scan.pcap", "web.pcap"] {
        let sources = Sources::open([capture(name)], SourceOptions::default(), Arc::default());
        let mut survey = Survey::default();
        let look = |frame: &Frame<'_>, decoded: &Decoded| {
            if let Decoded::Packet(packet) = decoded {
                survey.add(frame, packet, false);
            }
        };
        sources.unwrap().look_ahead(look).unwrap();
        let guess = survey.guess().unwrap();
        assert!(guess.sure, "{name}: {guess:?}");
        let expected: IpAddr = "10.0.0.5".parse().unwrap();
        assert_eq!(guess.addresses[0], expected, "{name}: {guess:?}");
    }
}

/// One client, one server, and nothing but openings and ports: the capture may be the client's.
#[test]
fn one_pair_with_openings_alone_is_unsure() {
    let (client, server) = ("198.51.100.7:40000", "10.0.0.5:22");
    let pair = [ipv4(client, server, "S"), ipv4(server, client, "S."), ipv4(client, server, ".")];
    let unsure = raw(&pair);
    assert_eq!(found(&unsure), ("10.0.0.5".to_owned(), Evidence::Openings, false));
    assert_eq!(unsure.runner_up, Some("198.51.100.7".parse().unwrap()));
    // A tie does not fall to whichever address came first.
    let (low, high) = ("10.0.0.5:40000", "198.51.100.7:53");
    let dns = raw(&[ipv4(low, high, "udp"), ipv4(high, low, "udp")]);
    assert_eq!(found(&dns), ("198.51.100.7".to_owned(), Evidence::Openings, false));
    let nothing = raw(&[ipv4("10.0.0.5:40000", "10.0.0.6:40001", "udp")]);
    assert_eq!((nothing.evidence, nothing.sure), (Evidence::Nothing, false));
}

#[test]
fn hop_limits_tell_the_host_from_its_peer() {
    let (client, server) = ("198.51.100.7:40000", "10.0.0.5:22");
    for full in [64, 128, 255] {
        // The server's own capture, then the client's.
        let ours = hops(ipv4(server, client, "S."), full);
        let theirs = hops(ipv4(client, server, "S"), full - 11);
        let answer = raw(&[theirs, ours]);
        assert_eq!(found(&answer), ("10.0.0.5".to_owned(), Evidence::HopLimits, true));
        let ours = hops(ipv4(client, server, "S"), full);
        let theirs = hops(ipv4(server, client, "S."), full - 11);
        let answer = raw(&[ours, theirs]);
        assert_eq!(found(&answer), ("198.51.100.7".to_owned(), Evidence::HopLimits, true));
    }
}

#[test]
fn checksums_left_to_the_card_are_the_senders_own() {
    let (client, server) = ("198.51.100.7:40000", "10.0.0.5:22");
    let mut ours = ipv4(server, client, "S.");
    // The sum of the pseudo-header: addresses, protocol, length.
    let sum = 0x0a00 + 0x0005 + 0xc633 + 0x6407 + 6 + 20;
    ours[36..38]
        .copy_from_slice(&u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap().to_be_bytes());
    let answer = raw(&[ipv4(client, server, "S"), ours]);
    assert_eq!(found(&answer), ("10.0.0.5".to_owned(), Evidence::Checksums, true));
}

/// The instance's hardware address stands for its addresses of both families; the gateway's for everybody else.
#[test]
fn a_hardware_address_gives_all_families() {
    let v6 = |src: &str, dst: &str| {
        let octets = |addr: &str| addr.parse::<std::net::Ipv6Addr>().unwrap().octets();
        let head = [0x60, 0, 0, 0, 0, 8, 17, 64];
        let udp = [0x9c, 0x40, 0, 53, 0, 8, 0, 0];
        [&head[..], &octets(src), &octets(dst), &udp].concat()
    };
    let server = "10.0.0.5:22";
    let frames = [
        ethernet(US, GATEWAY, &hops(ipv4("198.51.100.7:40000", server, "S"), 52)),
        ethernet(GATEWAY, US, &ipv4(server, "198.51.100.7:40000", "S.")),
        ethernet(US, GATEWAY, &hops(ipv4("203.0.113.9:40000", server, "S"), 52)),
        ethernet(US, GATEWAY, &v6("2001:db8:9::9", "2001:db8::5")),
    ];
    let answer = guess(&frames, LinkType::ETHERNET);
    assert_eq!(
        found(&answer),
        ("10.0.0.5 2001:db8::5".to_owned(), Evidence::HardwareAddress, true)
    );
    // A client's own capture of two servers is as clear.
    let client = "10.0.0.9:40000";
    let frames = [
        ethernet(GATEWAY, US, &ipv4(client, "198.51.100.7:443", "S")),
        ethernet(GATEWAY, US, &ipv4(client, "198.51.100.8:443", "S")),
        ethernet(US, GATEWAY, &hops(ipv4("198.51.100.8:443", client, "S."), 52)),
    ];
    let answer = guess(&frames, LinkType::ETHERNET);
    assert_eq!(found(&answer), ("10.0.0.9".to_owned(), Evidence::HardwareAddress, true));
}

/// A gateway with one client before it and several servers behind it: nearly all frames are its, and they have crossed
/// it.
#[test]
fn a_gateways_hardware_address_is_not_the_instances() {
    let servers = ["10.0.0.5:22", "10.0.0.6:22", "10.0.0.7:22"];
    let frames: Vec<Vec<u8>> = (US..)
        .zip(servers)
        .flat_map(|(hardware, server)| {
            let client = "198.51.100.7:40000";
            [
                ethernet(hardware, GATEWAY, &hops(ipv4(client, server, "S"), 52)),
                ethernet(GATEWAY, hardware, &ipv4(server, client, "S.")),
            ]
        })
        .collect();
    assert!(!guess(&frames, LinkType::ETHERNET).sure);
}

#[test]
fn the_end_of_all_packets_is_the_host() {
    let host = "10.0.0.5:40000";
    let to = |peer: &str| ipv4(host, peer, "S");
    let packets = [to("192.0.2.1:443"), to("192.0.2.2:443"), to("192.0.2.3:443")];
    assert_eq!(found(&raw(&packets)), ("10.0.0.5".to_owned(), Evidence::Share, true));
    // Two hosts that each have a peer of their own are none of them the host.
    let packets = [
        ipv4("10.0.0.5:1000", "10.0.0.6:2000", "udp"),
        ipv4("10.0.0.5:1000", "192.0.2.1:2000", "udp"),
        ipv4("10.0.0.6:1000", "192.0.2.2:2000", "udp"),
    ];
    assert!(!raw(&packets).sure);
}

#[test]
fn hints_are_the_capturing_machines_own_word() {
    let data = ipv4("198.51.100.7:40000", "10.0.0.5:22", "S");
    let mut survey = Survey::default();
    let frame = frame(1, 0.0, &data).going(DirectionHint::Outbound);
    let Decoded::Packet(packet) = decode(frame.link, &data) else { panic!("not decoded") };
    survey.add(&frame, &packet, false);
    let guess = survey.guess().unwrap();
    assert_eq!(found(&guess), ("198.51.100.7".to_owned(), Evidence::DirectionHints, true));
}

/// An instance with two addresses and one client looks as a client with two servers does.
#[test]
fn two_addresses_of_one_end_are_unsure() {
    let client = "198.51.100.7:40000";
    let packets = ["10.0.0.5:22", "10.0.0.6:22"].map(|server| ipv4(client, server, "S"));
    assert!(!raw(&packets).sure);
    let frames: Vec<Vec<u8>> = packets.iter().map(|packet| ethernet(US, GATEWAY, packet)).collect();
    assert!(!guess(&frames, LinkType::ETHERNET).sure);
}

/// The only hardware address in all frames is stronger evidence than hop limits, as of a container behind its host.
#[test]
fn hop_limits_do_not_overrule_hardware() {
    let (host, peers) = ("10.0.0.5:22", ["10.0.0.6:40000", "10.0.0.7:40000"]);
    let frames: Vec<Vec<u8>> = (6..)
        .zip(peers)
        .flat_map(|(hardware, peer)| {
            [
                ethernet(US, hardware, &ipv4(peer, host, "S")),
                ethernet(hardware, US, &hops(ipv4(host, peer, "S."), 63)),
            ]
        })
        .collect();
    let answer = guess(&frames, LinkType::ETHERNET);
    assert!(
        !answer.sure || answer.addresses == ["10.0.0.5".parse::<IpAddr>().unwrap()],
        "{answer:?}"
    );
}

/// A host sends itself nothing over the wire: the hardware address on either side of two hosts is a router's.
#[test]
fn a_router_between_two_hosts_is_neither() {
    let (ours, theirs) = ("10.0.1.5:40000", "10.0.2.9:5432");
    let packets: Vec<Vec<u8>> = (0..16)
        .flat_map(|_| {
            [
                ethernet(GATEWAY, 5, &ipv4(ours, theirs, ".")),
                ethernet(GATEWAY, 9, &ipv4(theirs, ours, ".")),
            ]
        })
        .collect();
    let guess = guess(&packets, LinkType::ETHERNET);
    assert!(!guess.sure && guess.addresses.len() == 1, "{guess:?}");
}
