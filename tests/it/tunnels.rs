//! The packet inside a tunnel.

use sgreplay::capture::LinkType;
use sgreplay::decode::{Decoded, Tunnels, decode, decode_inside};

use crate::support::ipv4;

/// A raw IPv4 packet of a protocol around a payload.
fn around(proto: u8, payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let header =
        [0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, proto, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    [&header[..], payload].concat()
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let ports = [&[0xc0, 0][..], &port.to_be_bytes()].concat();
    around(17, &[&ports[..], &[0, 0, 0, 0], payload].concat())
}

fn ethernet(ip: &[u8]) -> Vec<u8> {
    [&[0; 12][..], &[0x08, 0x00], ip].concat()
}

/// What is seen with these tunnels looked into.
fn seen(bytes: &[u8], names: &[&str]) -> String {
    let mut tunnels = Tunnels::default();
    for name in names {
        tunnels.add(name).unwrap();
    }
    match decode_inside(LinkType::RAW, bytes, &tunnels) {
        Decoded::Packet(packet) => packet.flow.to_string(),
        Decoded::Failed(undecodable) => undecodable.why.as_str().to_owned(),
    }
}

const INNER: &str = "tcp 203.0.113.9:40000 > 10.0.0.5:22";

#[test]
fn each_tunnel_is_looked_into_only_when_asked() {
    let ssh = ipv4("203.0.113.9:40000", "10.0.0.5:22", "S");
    let vni = [8, 0, 0, 0, 0, 0, 100, 0];
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("vxlan", udp(4789, &[&vni[..], &ethernet(&ssh)].concat())),
        ("vxlan:8472", udp(8472, &[&vni[..], &ethernet(&ssh)].concat())),
        // One option of four bytes.
        (
            "geneve",
            udp(
                6081,
                &[&[1, 0, 0x65, 0x58, 0, 0, 100, 0, 0, 0, 0, 0][..], &ethernet(&ssh)].concat(),
            ),
        ),
        ("geneve", udp(6081, &[&[0, 0, 0x08, 0x00, 0, 0, 100, 0][..], &ssh].concat())),
        ("gre", around(47, &[&[0, 0, 0x08, 0x00][..], &ssh].concat())),
        // Checksum, key and sequence number.
        ("gre", around(47, &[&[0xb0, 0, 0x65, 0x58][..], &[0; 12], &ethernet(&ssh)].concat())),
        ("ipip", around(4, &ssh)),
        ("gtpu", udp(2152, &[&[0x30, 255, 0, 40, 0, 0, 0, 1][..], &ssh].concat())),
        // A sequence number and one extension header.
        (
            "gtpu",
            udp(
                2152,
                &[&[0x36, 255, 0, 48, 0, 0, 0, 1, 0, 7, 0, 0x85, 1, 0, 0, 0][..], &ssh].concat(),
            ),
        ),
    ];
    for (name, bytes) in cases {
        assert_eq!(seen(&bytes, &[name]), INNER, "{name}");
        let outer = decode(LinkType::RAW, &bytes);
        assert!(
            matches!(outer, Decoded::Packet(packet) if packet.flow.to_string() != INNER),
            "{name}"
        );
        assert_ne!(seen(&bytes, &["vxlan:1"]), INNER, "{name}");
    }
}

#[test]
fn tunnels_in_tunnels() {
    let ssh = ipv4("203.0.113.9:40000", "10.0.0.5:22", "S");
    let vni = [8, 0, 0, 0, 0, 0, 100, 0];
    let vxlan = udp(4789, &[&vni[..], &ethernet(&around(4, &ssh))].concat());
    assert_eq!(seen(&vxlan, &["vxlan", "ipip"]), INNER);
    assert_eq!(seen(&vxlan, &["vxlan"]), "ipip 192.0.2.1 > 192.0.2.2");
    // Deeper than anyone means: the walk stops, and judges where it stands.
    let deep = (0..50).fold(ssh, |inside, _| around(4, &inside));
    assert_eq!(seen(&deep, &["ipip"]), "ipip 192.0.2.1 > 192.0.2.2");
}

#[test]
fn a_tunnel_that_carries_no_ip() {
    let arp = [&[0; 12][..], &[0x08, 0x06], &[0; 28]].concat();
    let vni = [8, 0, 0, 0, 0, 0, 100, 0];
    assert_eq!(seen(&udp(4789, &[&vni[..], &arp].concat()), &["vxlan"]), "non_ip");
    // No VNI flag: not VXLAN, whatever the port says.
    assert_eq!(seen(&udp(4789, &[0; 40]), &["vxlan"]), "udp 192.0.2.1:49152 > 192.0.2.2:4789");
}
