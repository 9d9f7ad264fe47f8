//! Every link layer, down to the same IP packet.

use sgreplay::capture::LinkType;
use sgreplay::decode::{Decoded, decode};

use crate::support::ipv4;

const SSH: &str = "tcp 203.0.113.9:40000 > 10.0.0.5:22";

/// What is seen in a frame: a tuple, or why there is none.
fn seen(link: LinkType, frame: &[u8]) -> String {
    match decode(link, frame) {
        Decoded::Packet(packet) => packet.flow.to_string(),
        Decoded::Failed(undecodable) => undecodable.why.as_str().to_owned(),
    }
}

fn around(header: &[u8]) -> Vec<u8> {
    [header, &ipv4("203.0.113.9:40000", "10.0.0.5:22", "S")].concat()
}

/// A "cooked" header of version 1: a packet to us, of this device and protocol.
fn cooked(device: u16, protocol: u16) -> Vec<u8> {
    let (device, protocol) = (device.to_be_bytes(), protocol.to_be_bytes());
    [&[0, 0][..], &device, &[0, 0], &[0; 8], &protocol].concat()
}

/// The same of version 2.
fn cooked2(device: u16, protocol: u16) -> Vec<u8> {
    let (device, protocol) = (device.to_be_bytes(), protocol.to_be_bytes());
    [&protocol[..], &[0, 0, 0, 0, 0, 1], &device, &[0, 0], &[0; 8]].concat()
}

const SNAP: [u8; 8] = [0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0x00];

#[test]
fn each_link_type() {
    let radiotap = [&[0, 0, 10, 0, 0, 0, 0, 0, 0, 0][..], &[0x08, 0], &[0; 22], &SNAP].concat();
    let quality = [&[0x88, 0][..], &[0; 24], &SNAP].concat();
    let four_addresses = [&[0x08, 0x03][..], &[0; 28], &SNAP].concat();
    let fddi = [&[0x50][..], &[0; 12], &SNAP].concat();
    // Of netfilter: a packet header, then the packet; 44 is 4 and the 40 bytes of the packet.
    let nflog = [&[2, 0, 0, 0][..], &[8, 0, 1, 0, 8, 0, 0, 0], &[44, 0, 9, 0]].concat();
    let nflog_big = [&[2, 0, 0, 0][..], &[0, 8, 0, 1, 8, 0, 0, 0], &[0, 44, 0, 9]].concat();
    let pktap = [&[12, 0, 0, 0][..], &[1, 0, 0, 0], &[101, 0, 0, 0]].concat();
    let headers: Vec<(LinkType, Vec<u8>)> = vec![
        (LinkType::RAW, vec![]),
        (LinkType::RAW_BSD, vec![]),
        (LinkType::IPV4, vec![]),
        (LinkType::NULL, vec![2, 0, 0, 0]),
        (LinkType::LOOP, vec![0, 0, 0, 2]),
        (LinkType::PPP, vec![0x00, 0x21]),
        (LinkType::PPP, vec![0x21]),
        (LinkType::PPP, vec![0xff, 0x03, 0x00, 0x21]),
        (LinkType::PPP, vec![0xff, 0x03, 0x02, 0x81, 0, 0, 0x11, 64]),
        (LinkType::PPP_HDLC, vec![0x0f, 0x00, 0x08, 0x00]),
        (LinkType::PPP_ETHER, vec![0x11, 0, 0, 1, 0, 42, 0x00, 0x21]),
        (LinkType::C_HDLC, vec![0x0f, 0x00, 0x08, 0x00]),
        (LinkType::FRELAY, vec![0x18, 0x41, 0x03, 0xcc]),
        (LinkType::FRELAY, vec![0x18, 0x41, 0x03, 0x00, 0x80, 0, 0, 0, 0x08, 0x00]),
        (LinkType::FRELAY, vec![0x18, 0x41, 0x08, 0x00]),
        (LinkType::ATM_RFC1483, SNAP.to_vec()),
        (LinkType::FDDI, fddi),
        (LinkType::IEEE802_11_RADIOTAP, radiotap),
        (LinkType::IEEE802_11, quality),
        (LinkType::IEEE802_11, four_addresses),
        (LinkType::ARCNET_LINUX, vec![1, 2, 0, 0, 240]),
        (LinkType::ARCNET_LINUX, vec![1, 2, 0, 0, 212, 0, 0, 1]),
        (LinkType::NFLOG, nflog),
        (LinkType::NFLOG, nflog_big),
        (LinkType::PKTAP, pktap),
    ];
    for (link, header) in headers {
        assert_eq!(seen(link, &around(&header)), SSH, "{link:?} {header:02x?}");
        // Cut anywhere, it is not another packet.
        for len in 0..header.len() {
            let cut = seen(link, &header[..len]);
            assert!(
                ["non_ip", "truncated"].contains(&cut.as_str()),
                "{link:?} cut to {len}: {cut}"
            );
        }
    }
}

/// ARPHRD numbers of Linux devices that carry IP: the protocol field is an EtherType for nearly all.
#[test]
fn cooked_captures_of_every_device() {
    let devices = [
        1,      // Ethernet
        32,     // InfiniBand
        256,    // SLIP
        512,    // PPP
        513,    // Cisco HDLC
        519,    // raw IP
        768,    // IP in IP
        769,    // IPv6 in IPv6
        772,    // loopback
        776,    // IPv6 in IPv4
        778,    // GRE
        823,    // GRE over IPv6
        0xfffe, // tun, WireGuard
    ];
    for device in devices {
        for (link, header) in [
            (LinkType::LINUX_SLL, cooked(device, 0x0800)),
            (LinkType::LINUX_SLL2, cooked2(device, 0x0800)),
        ] {
            assert_eq!(seen(link, &around(&header)), SSH, "{link:?} {device}");
        }
    }
    // 802.2 LLC behind the header, a VLAN tag, and devices that have a header of their own there.
    let with = |device, protocol, more: &[u8]| [&cooked(device, protocol)[..], more].concat();
    let frames: [(&str, Vec<u8>); 5] = [
        ("LLC", with(1, 4, &SNAP)),
        ("VLAN", with(1, 0x8100, &[0, 100, 0x08, 0x00])),
        ("frame relay", with(770, 0, &[0x18, 0x41, 0x03, 0xcc])),
        ("802.11", with(801, 4, &[&[0x08, 0][..], &[0; 22], &SNAP].concat())),
        (
            "radiotap",
            with(803, 4, &[&[0, 0, 8, 0, 0, 0, 0, 0, 0x08, 0][..], &[0; 22], &SNAP].concat()),
        ),
    ];
    for (name, header) in frames {
        assert_eq!(seen(LinkType::LINUX_SLL, &around(&header)), SSH, "{name}");
    }
    // A netlink message is none of IP, whatever its family's number looks like.
    assert_eq!(seen(LinkType::LINUX_SLL, &around(&cooked(824, 0x0800))), "non_ip");
    assert_eq!(seen(LinkType::LINUX_SLL, &around(&cooked(280, 0x000c))), "non_ip", "CAN");
}

#[test]
fn tags_and_labels_on_ethernet() {
    let vlan = [0x81, 0, 0, 100];
    let provider = [0x88, 0xa8, 0, 7];
    let stacks: Vec<(&str, Vec<u8>)> = vec![
        ("none", vec![0x08, 0]),
        ("802.1Q", [&vlan[..], &[0x08, 0]].concat()),
        ("802.1ad", [&provider[..], &vlan, &[0x08, 0]].concat()),
        ("ten tags", [&vlan.repeat(10)[..], &[0x08, 0]].concat()),
        ("VN-tag", vec![0x89, 0x26, 0, 0, 0, 0, 0x08, 0]),
        ("802.1ah", [&[0x88, 0xe7, 0, 0, 0, 1][..], &[0; 12], &[0x08, 0]].concat()),
        ("FabricPath", [&[0x89, 0x03, 0, 0x40][..], &[0; 12], &[0x08, 0]].concat()),
        ("MACsec, not encrypted", vec![0x88, 0xe5, 0, 0, 0, 0, 0, 1, 0x08, 0]),
        ("its channel", [&[0x88, 0xe5, 0x20, 0, 0, 0, 0, 1][..], &[0; 8], &[0x08, 0]].concat()),
        ("MPLS", vec![0x88, 0x47, 0, 0, 0x01, 64]),
        ("three labels", vec![0x88, 0x47, 0, 1, 0, 64, 0, 2, 0, 64, 0, 3, 1, 64]),
        ("PPPoE", vec![0x88, 0x64, 0x11, 0, 0, 1, 0, 42, 0, 0x21]),
        ("PPPoE in a VLAN", [&vlan[..], &[0x88, 0x64, 0x11, 0, 0, 1, 0, 42, 0, 0x21]].concat()),
        ("SNAP", [&[0, 48][..], &SNAP].concat()),
        ("IP's own LLC", vec![0, 43, 0x06, 0x06, 0x03]),
    ];
    for (name, stack) in stacks {
        let frame = [&[0; 12][..], &stack].concat();
        assert_eq!(seen(LinkType::ETHERNET, &around(&frame)), SSH, "{name}");
    }
    let not_ip: [(&str, &[u8]); 4] = [
        ("ARP", &[0x08, 0x06]),
        ("MACsec, encrypted", &[0x88, 0xe5, 0x0c, 0, 0, 0, 0, 1, 0x08, 0]),
        ("LCP", &[0x88, 0x64, 0x11, 0, 0, 1, 0, 42, 0xc0, 0x21]),
        ("spanning tree", &[0, 38, 0x42, 0x42, 0x03]),
    ];
    for (name, stack) in not_ip {
        let frame = [&[0; 12][..], stack].concat();
        assert_eq!(seen(LinkType::ETHERNET, &around(&frame)), "non_ip", "{name}");
    }
}

#[test]
fn what_carries_no_ip_and_what_is_not_known() {
    for link in [LinkType::VSOCK, LinkType::IEEE802_15_4, LinkType::IEEE802_15_4_NOFCS] {
        assert_eq!(seen(link, &around(&[])), "non_ip");
    }
    assert_eq!(seen(LinkType(147), &around(&[])), "unsupported_link");
    // Management frames, and data that is encrypted.
    for start in [[0x80, 0x00], [0x08, 0x40], [0x48, 0x00]] {
        let frame = [&start[..], &[0; 22], &SNAP].concat();
        assert_eq!(seen(LinkType::IEEE802_11, &around(&frame)), "non_ip");
    }
}

/// Gates count frames that may hide traffic; those that are not IP by nature do not count.
#[test]
fn what_hides_traffic_and_what_is_not_ip_by_nature() {
    let seen = |link, frame: &[u8]| match decode(link, frame) {
        Decoded::Failed(undecodable) => (
            undecodable.non_ip.map(|of| of.to_string()).unwrap_or_default(),
            undecodable.hides_traffic(),
        ),
        Decoded::Packet(packet) => panic!("{packet:?}"),
    };
    let wireless = |control: [u8; 2]| [&control[..], &[0; 40]].concat();
    let ethernet = |behind: &[u8]| [&[0; 12][..], behind, &[0; 40]].concat();
    let cases: Vec<(LinkType, Vec<u8>, &str, bool)> = vec![
        (LinkType::ETHERNET, ethernet(&[0x08, 0x06]), "ethertype 0x0806 (ARP)", false),
        (LinkType::ETHERNET, ethernet(&[0x88, 0xcc]), "ethertype 0x88cc (LLDP)", false),
        (LinkType::ETHERNET, ethernet(&[0x88, 0x8e]), "ethertype 0x888e (EAPOL)", false),
        (
            LinkType::ETHERNET,
            ethernet(&[0x88, 0x09]),
            "ethertype 0x8809 (slow protocols (LACP, OAM))",
            false,
        ),
        (LinkType::ETHERNET, ethernet(&[0x88, 0xf7]), "ethertype 0x88f7 (PTP)", false),
        (
            LinkType::ETHERNET,
            ethernet(&[0x81, 0, 0, 1, 0x08, 0x06]),
            "ethertype 0x0806 (ARP)",
            false,
        ),
        (
            LinkType::ETHERNET,
            ethernet(&[0, 38, 0x42, 0x42, 3]),
            "LLC service access point 0x42 (STP)",
            false,
        ),
        (
            LinkType::ETHERNET,
            ethernet(&[0, 38, 0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0]),
            "SNAP protocol 0x2000 (CDP)",
            false,
        ),
        (
            LinkType::ETHERNET,
            ethernet(&[0, 38, 0xaa, 0xaa, 3, 1, 2, 3, 0x20, 0]),
            "SNAP protocol 0x2000",
            true,
        ),
        (
            LinkType::ETHERNET,
            ethernet(&[0, 38, 0x3a, 0x3a, 3]),
            "LLC service access point 0x3a",
            true,
        ),
        (LinkType::ETHERNET, ethernet(&[0xab, 0xcd]), "ethertype 0xabcd", true),
        (
            LinkType::ETHERNET,
            ethernet(&[0x88, 0xe5, 0x0c]),
            "encrypted payload of ethertype 0x88e5 (MACsec)",
            true,
        ),
        (LinkType::ETHERNET, vec![0; 13], "frame that ends before its type", true),
        (LinkType::PPP, vec![0xc0, 0x21], "PPP protocol 0xc021", false),
        (LinkType::PPP, vec![0x00, 0x3d], "PPP protocol 0x003d (multilink)", true),
        (LinkType::NULL, vec![16, 0, 0, 0], "address family 16 (AppleTalk)", false),
        (LinkType::NULL, vec![99, 0, 0, 0], "address family 99", true),
        (
            LinkType::IEEE802_11,
            wireless([0x80, 0]),
            "802.11 frame of type 0x80 (management)",
            false,
        ),
        (LinkType::IEEE802_11, wireless([0x08, 0x40]), "encrypted 802.11 frame", true),
        (LinkType::VSOCK, vec![], "link type 271 (vsock)", false),
        (LinkType::RAW, vec![0x95; 40], "IP version 9", true),
        // Whatever claims to be IP, and whatever is not read.
        (LinkType::ETHERNET, ethernet(&[0x08, 0x00]), "", true),
        (LinkType(147), vec![], "", true),
    ];
    for (link, frame, name, hides) in cases {
        assert_eq!(seen(link, &frame), (name.to_owned(), hides), "{link:?} {frame:02x?}");
    }
}

/// An IPv6 packet with these extension headers before UDP 40000 > 53.
fn v6(first: u8, payload_len: u16, headers: &[u8]) -> Vec<u8> {
    let len = payload_len.to_be_bytes();
    let mut bytes = vec![0x60, 0, 0, 0, len[0], len[1], first, 64];
    for last in [1, 5] {
        bytes.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    bytes.extend(headers);
    bytes.extend([0x9c, 0x40, 0, 53, 0, 8, 0, 0]);
    bytes
}

const DNS6: &str = "udp [2001:db8::1]:40000 > [2001:db8::5]:53";

#[test]
fn every_ipv6_extension_header() {
    // Hop-by-hop, routing, destination options, mobility, HIP, shim6: 8 bytes with length 0, 16 with 1.
    for header in [0, 43, 60, 135, 139, 140] {
        let one = [17, 0, 1, 4, 0, 0, 0, 0];
        assert_eq!(seen(LinkType::RAW, &v6(header, 16, &one)), DNS6, "{header}");
        let two = [&[17, 1][..], &[0; 14]].concat();
        assert_eq!(seen(LinkType::RAW, &v6(header, 24, &two)), DNS6, "{header}");
    }
    // AH counts in fours, less two: length 4 is 24 bytes.
    let ah = [&[17, 4][..], &[0; 22]].concat();
    assert_eq!(seen(LinkType::RAW, &v6(51, 32, &ah)), DNS6);
    // A chain of several, in an order that nobody recommends.
    let chain = [[60, 0, 1, 4, 0, 0, 0, 0], [43, 0, 1, 4, 0, 0, 0, 0], [17, 0, 0, 0, 0, 0, 0, 0]];
    assert_eq!(seen(LinkType::RAW, &v6(0, 32, &chain.concat())), DNS6);
    // A thousand of them: a chain ends where the packet ends.
    let long = [60, 0, 1, 4, 0, 0, 0, 0].repeat(1000);
    assert_eq!(seen(LinkType::RAW, &v6(60, 8008, &long)), "malformed");
    // One that claims to be longer than the packet.
    assert_eq!(seen(LinkType::RAW, &v6(60, 16, &[17, 255, 0, 0, 0, 0, 0, 0])), "malformed");
}

#[test]
fn jumbograms() {
    // RFC 2675: no length in the header, 100,000 bytes by the hop-by-hop option.
    let option = [17, 0, 0xc2, 4, 0, 1, 0x86, 0xa0];
    let whole = [v6(0, 0, &option), vec![0; 100_000 - 16]].concat();
    assert_eq!(seen(LinkType::RAW, &whole), DNS6);
    // Cut by the snap length behind the ports, and before them.
    assert_eq!(seen(LinkType::RAW, &whole[..54]), DNS6);
    assert_eq!(seen(LinkType::RAW, &whole[..50]), "truncated");
    // The option says how long the packet is: what lies behind it is not part of it.
    let short = [17, 0, 0xc2, 4, 0, 0, 0, 10];
    assert_eq!(seen(LinkType::RAW, &v6(0, 0, &short)), "malformed");
    // Without the option, as network cards leave packets that they were to cut into segments.
    assert_eq!(seen(LinkType::RAW, &v6(17, 0, &[])), DNS6);
    assert_eq!(seen(LinkType::RAW, &v6(0, 0, &[17, 0, 1, 4, 0, 0, 0, 0])), DNS6);
}

#[test]
fn ip_length_fields_that_lie() {
    let mut packet = ipv4("203.0.113.9:40000", "10.0.0.5:22", "S");
    let mut with = |at: usize, value: u8| {
        let before = std::mem::replace(&mut packet[at], value);
        let seen = seen(LinkType::RAW, &packet);
        packet[at] = before;
        seen
    };
    assert_eq!(with(0, 0x44), "malformed", "a header of 16 bytes");
    assert_eq!(with(0, 0x4f), "malformed", "a header longer than the packet");
    assert_eq!(with(3, 19), "malformed", "a packet shorter than its header");
    assert_eq!(with(3, 20), "malformed", "no room for ports");
    assert_eq!(with(3, 22), "malformed", "half a port");
    assert_eq!(with(3, 24), SSH, "the ports are there");
    assert_eq!(with(2, 0xff), SSH, "longer than what was captured");
    assert_eq!(with(3, 0), SSH, "left to the network card");
    // Options that claim any length: they are never walked.
    let mut options = ipv4("203.0.113.9:40000", "10.0.0.5:22", "S");
    options[0] = 0x46;
    options[3] = 44;
    options.splice(20..20, [7, 255, 255, 255]);
    assert_eq!(seen(LinkType::RAW, &options), SSH);
}
