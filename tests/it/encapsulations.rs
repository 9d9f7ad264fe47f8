//! Every header that is skipped before a packet: tags on Ethernet, link types, tunnels. The same two packets
//! inside each, read by us, by tshark and by tcpdump.

use std::path::Path;
use std::process::Command;

use sgreplay::capture::{Capture, DirectionHint, LinkType};
use sgreplay::decode::{Decoded, Tunnels, decode, decode_inside, direction_hint, tunnel_name};

use crate::support::{ipv4, pcap};

/// One way to carry a packet: the frame around it, given its EtherType and its bytes.
pub(crate) struct Encapsulation {
    pub(crate) name: &'static str,
    pub(crate) link: LinkType,
    /// The word for `--decap`, where the packet is looked into only on request.
    pub(crate) decap: Option<&'static str>,
    oracle: Oracle,
    frame: fn(u16, &[u8]) -> Vec<u8>,
}

/// The program that reads the same, among those we ask.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Oracle {
    Tshark,
    Tcpdump,
    /// Neither reads it, or both take it for something else.
    Nobody,
}

const SSH: &str = "tcp 203.0.113.9:40000 > 10.0.0.5:22";
const DNS: &str = "udp [2001:db8::9]:5353 > [2001:db8::5]:53";

/// The packets inside, with their EtherTypes.
pub(crate) fn packets() -> [(u16, Vec<u8>, &'static str); 2] {
    let mut ssh = ipv4("203.0.113.9:40000", "10.0.0.5:22", "S");
    let words = ssh[..20].chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    let checksum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    ssh[10..12].copy_from_slice(&checksum.to_be_bytes());
    let address = |last: u8| [&[0x20, 0x01, 0x0d, 0xb8][..], &[0; 11], &[last]].concat();
    let header = [&[0x60, 0, 0, 0, 0, 20, 17, 64][..], &address(9), &address(5)].concat();
    let udp = [0x14, 0xe9, 0, 53, 0, 20, 0, 0].iter().copied().chain([0; 12]);
    let dns = header.into_iter().chain(udp).collect();
    [(0x0800, ssh, SSH), (0x86dd, dns, DNS)]
}

fn cat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

const DESTINATION: [u8; 6] = [2, 0, 0x5e, 0x10, 0, 1];
const SOURCE: [u8; 6] = [2, 0, 0x5e, 0x10, 0, 2];

fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    cat(&[&DESTINATION, &SOURCE, &ethertype.to_be_bytes(), payload])
}

/// An Ethernet frame of this type, then these bytes, then the EtherType of the packet.
fn tagged(ethertype: u16, tag: &[u8], of: u16, ip: &[u8]) -> Vec<u8> {
    ethernet(ethertype, &cat(&[tag, &of.to_be_bytes(), ip]))
}

/// A packet between two other hosts, on Ethernet.
fn outer(proto: u8, payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let header =
        [0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, proto, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    ethernet(0x0800, &cat(&[&header, payload]))
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
    outer(17, &cat(&[&[0xc0, 0], &port.to_be_bytes(), &len, &[0, 0], payload]))
}

fn gre(flags: u16, protocol: u16, payload: &[u8]) -> Vec<u8> {
    outer(47, &cat(&[&flags.to_be_bytes(), &protocol.to_be_bytes(), payload]))
}

/// The number of IP in PPP.
fn ppp(of: u16) -> [u8; 2] {
    if of == 0x0800 { [0, 0x21] } else { [0, 0x57] }
}

fn nsh(kind: u8, next: u8, context: &[u8], payload: &[u8]) -> Vec<u8> {
    let words = u8::try_from(2 + context.len() / 4).unwrap();
    cat(&[&[0x0f, 0xc0 | words, kind, next, 0, 0, 42, 255], context, payload])
}

fn nsh_ip(of: u16, ip: &[u8]) -> Vec<u8> {
    nsh(2, if of == 0x0800 { 1 } else { 2 }, &[1, 0, 1, 4, 1, 2, 3, 4], ip)
}

fn erspan3(kind: u16, subheader: bool, payload: &[u8]) -> Vec<u8> {
    let last = (0x8000 | kind << 10 | u16::from(subheader)).to_be_bytes();
    let subheader: &[u8] = if subheader { &[0x0c, 0, 0, 9, 0, 0, 0, 0] } else { &[] };
    let header = cat(&[&[0x20, 100, 0, 7], &[0; 6], &last, subheader]);
    gre(0x1000, 0x22eb, &cat(&[&[0, 0, 0, 1], &header, payload]))
}

/// The header of BSD's packet filter.
fn pflog(len: u8, of: u16, ip: &[u8]) -> Vec<u8> {
    let family = if of == 0x0800 { 2 } else { 24 };
    let rest = usize::from(len).next_multiple_of(4) - 61;
    cat(&[&[len, family, 0, 0], b"em0", &[0; 13], &[0; 16], &[0; 24], &[1], &vec![0; rest], ip])
}

fn enc(big: bool, of: u16, ip: &[u8]) -> Vec<u8> {
    let family: u32 = if of == 0x0800 { 2 } else { 28 };
    let family = if big { family.to_be_bytes() } else { family.to_le_bytes() };
    cat(&[&family, &[0, 0, 0x10, 0], &[0; 4], ip])
}

fn ppi(link: u32, fields: &[u8], payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + fields.len()).unwrap().to_le_bytes();
    cat(&[&[0, 0], &len, &link.to_le_bytes(), fields, payload])
}

/// A data frame of 802.11 without encryption.
fn wireless(of: u16, ip: &[u8]) -> Vec<u8> {
    let snap = [0xaa, 0xaa, 3, 0, 0, 0];
    cat(&[&[0x08, 0x00], &[0; 22], &snap, &of.to_be_bytes(), ip])
}

fn avs(of: u16, ip: &[u8]) -> Vec<u8> {
    cat(&[&[0x80, 0x21, 0x10, 0x01], &[0, 0, 0, 64], &[0; 56], &wireless(of, ip)])
}

fn ipnet(of: u16, ip: &[u8]) -> Vec<u8> {
    let family = if of == 0x0800 { 2 } else { 26 };
    cat(&[&[1, family, 0, 0], &u32::try_from(ip.len()).unwrap().to_be_bytes(), &[0; 16], ip])
}

/// A packet of DOCSIS: header, its CRC-16/X.25, without which tshark goes no further, and a frame.
fn docsis(extended: &[u8], frame: &[u8]) -> Vec<u8> {
    let len = u16::try_from(extended.len() + frame.len()).unwrap().to_be_bytes();
    let parameter = u8::try_from(extended.len()).unwrap();
    let header = cat(&[&[u8::from(!extended.is_empty()), parameter], &len, extended]);
    let crc =
        header.iter().fold(0xffff_u16, |crc, byte| {
            (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
                if crc & 1 == 1 { crc >> 1 ^ 0x8408 } else { crc >> 1 }
            })
        });
    cat(&[&header, &(!crc).to_le_bytes(), frame])
}

const LABEL: [u8; 4] = [0, 1, 0, 64];
const LAST_LABEL: [u8; 4] = [0, 2, 1, 64];

macro_rules! case {
    ($name:literal, $link:expr, $oracle:ident, $frame:expr) => {
        Encapsulation {
            name: $name,
            link: $link,
            decap: None,
            oracle: Oracle::$oracle,
            frame: $frame,
        }
    };
    ($name:literal, decap $decap:literal, $oracle:ident, $frame:expr) => {
        Encapsulation {
            name: $name,
            link: LinkType::ETHERNET,
            decap: Some($decap),
            oracle: Oracle::$oracle,
            frame: $frame,
        }
    };
}

const ETHERNET: LinkType = LinkType::ETHERNET;
const METADATA: [u8; 6] = [1, 1, 0, 1, 0, 17];
const E_TAG: [u8; 6] = [0, 1, 0, 100, 0, 0];

pub(crate) const ENCAPSULATIONS: &[Encapsulation] = &[
    case!("Ethernet", ETHERNET, Tshark, ethernet),
    case!("Cisco MetaData", ETHERNET, Tshark, |of, ip| tagged(0x8909, &METADATA, of, ip)),
    case!("Cisco MetaData in a VLAN", ETHERNET, Tshark, |of, ip| {
        tagged(0x8100, &cat(&[&[0, 10, 0x89, 0x09], &METADATA]), of, ip)
    }),
    case!("Cisco MetaData of two options", ETHERNET, Nobody, |of, ip| {
        tagged(0x8909, &[1, 2, 0, 1, 0, 17, 0, 2, 0, 0], of, ip)
    }),
    case!("E-TAG", ETHERNET, Tshark, |of, ip| tagged(0x893f, &E_TAG, of, ip)),
    case!("E-TAG and a VLAN", ETHERNET, Tshark, |of, ip| {
        tagged(0x893f, &cat(&[&E_TAG, &[0x81, 0, 0, 20]]), of, ip)
    }),
    case!("HSR", ETHERNET, Tshark, |of, ip| tagged(0x892f, &[0, 60, 0, 1], of, ip)),
    case!("TRILL", ETHERNET, Tshark, |of, ip| {
        ethernet(0x22f3, &cat(&[&[0, 0x20, 0, 1, 0, 2], &ethernet(of, ip)]))
    }),
    case!("Arista's timestamp of 64 bits", ETHERNET, Tcpdump, |of, ip| {
        tagged(0xd28b, &[0, 1, 0, 0x10, 0, 0, 0, 1, 0, 0, 0, 2], of, ip)
    }),
    case!("Arista's timestamp of 48 bits", ETHERNET, Tcpdump, |of, ip| {
        tagged(0xd28b, &[0, 1, 1, 0x20, 0, 1, 0, 0, 0, 2], of, ip)
    }),
    case!("NSH with Ethernet", ETHERNET, Tshark, |of, ip| {
        ethernet(0x894f, &nsh(1, 3, &[0; 16], &ethernet(of, ip)))
    }),
    case!("NSH with IP", ETHERNET, Tshark, |of, ip| ethernet(0x894f, &nsh_ip(of, ip))),
    case!("NSH in NSH", ETHERNET, Nobody, |of, ip| {
        ethernet(0x894f, &nsh(1, 4, &[0; 16], &nsh_ip(of, ip)))
    }),
    case!("NSH with MPLS", ETHERNET, Nobody, |_, ip| {
        ethernet(0x894f, &nsh(1, 5, &[0; 16], &cat(&[&LAST_LABEL, ip])))
    }),
    case!("MPLS", ETHERNET, Tshark, |_, ip| ethernet(0x8847, &cat(&[&LABEL, &LAST_LABEL, ip]))),
    case!("MPLS with an explicit null", ETHERNET, Tshark, |of, ip| {
        let null = if of == 0x0800 { 0 } else { 0x20 };
        ethernet(0x8847, &cat(&[&LABEL, &[0, 0, null | 1, 64], ip]))
    }),
    case!("pseudowire with a control word", ETHERNET, Tshark, |of, ip| {
        ethernet(0x8847, &cat(&[&LABEL, &LAST_LABEL, &[0, 0, 0, 5], &ethernet(of, ip)]))
    }),
    case!("pseudowire with a control word and a VLAN", ETHERNET, Tshark, |of, ip| {
        let frame = tagged(0x8100, &[0, 10], of, ip);
        ethernet(0x8847, &cat(&[&LAST_LABEL, &[0, 0, 0, 5], &frame]))
    }),
    case!("pseudowire without a control word", ETHERNET, Nobody, |of, ip| {
        ethernet(0x8847, &cat(&[&LAST_LABEL, &ethernet(of, ip)]))
    }),
    case!("pseudowire to an address that looks like IPv4", ETHERNET, Nobody, |of, ip| {
        let frame = cat(&[&[0x45, 0, 0, 60, 0, 0], &SOURCE, &of.to_be_bytes(), ip]);
        ethernet(0x8847, &cat(&[&LAST_LABEL, &frame]))
    }),
    case!("pseudowire to an address that looks like IPv6", ETHERNET, Nobody, |of, ip| {
        let frame = cat(&[&[0x60, 0, 0, 0, 0xff, 0], &SOURCE, &of.to_be_bytes(), ip]);
        ethernet(0x8847, &cat(&[&LAST_LABEL, &frame]))
    }),
    case!("pseudowire to an address that looks like neither", ETHERNET, Nobody, |of, ip| {
        let frame = cat(&[&[0xa2, 0, 0, 0, 0xff, 0], &SOURCE, &of.to_be_bytes(), ip]);
        ethernet(0x8847, &cat(&[&LAST_LABEL, &frame]))
    }),
    case!("transparent bridging", ETHERNET, Nobody, |of, ip| ethernet(0x6558, &ethernet(of, ip))),
    case!("PPP", ETHERNET, Nobody, |of, ip| ethernet(0x880b, &cat(&[&ppp(of), ip]))),
    case!("LLC of a long frame", ETHERNET, Nobody, |of, ip| {
        tagged(0x8870, &[0xaa, 0xaa, 3, 0, 0, 0], of, ip)
    }),
    case!("SNAP of a tunnel", ETHERNET, Tshark, |of, ip| {
        let len = u16::try_from(8 + ip.len()).unwrap();
        tagged(len, &[0xaa, 0xaa, 3, 0, 0, 0xf8], of, ip)
    }),
    case!("bridged frame on ATM", LinkType::ATM_RFC1483, Tshark, |of, ip| {
        cat(&[&[0xaa, 0xaa, 3, 0, 0x80, 0xc2, 0, 7, 0, 0], &ethernet(of, ip)])
    }),
    case!("bridged frame in frame relay", LinkType::FRELAY, Tshark, |of, ip| {
        cat(&[&[0x18, 0x41, 3, 0, 0x80, 0, 0x80, 0xc2, 0, 7], &ethernet(of, ip)])
    }),
    case!("PPI with Ethernet", LinkType::PPI, Tshark, |of, ip| ppi(1, &[], &ethernet(of, ip))),
    case!("PPI with a field", LinkType::PPI, Tshark, |of, ip| {
        ppi(1, &[0x2f, 0x75, 4, 0, 0, 0, 0, 1], &ethernet(of, ip))
    }),
    case!("PPI with raw IP", LinkType::PPI, Tshark, |_, ip| ppi(101, &[], ip)),
    case!("PPI with 802.11", LinkType::PPI, Tshark, |of, ip| ppi(105, &[], &wireless(of, ip))),
    case!("pflog of NetBSD and macOS", LinkType::PFLOG, Tshark, |of, ip| pflog(61, of, ip)),
    case!("pflog of FreeBSD", LinkType::PFLOG, Tshark, |of, ip| pflog(69, of, ip)),
    case!("pflog of OpenBSD", LinkType::PFLOG, Tshark, |of, ip| pflog(100, of, ip)),
    case!("ENC, little-endian", LinkType::ENC, Nobody, |of, ip| enc(false, of, ip)),
    case!("ENC, big-endian", LinkType::ENC, Nobody, |of, ip| enc(true, of, ip)),
    case!("Juniper Ethernet", LinkType::JUNIPER_ETHER, Tshark, |of, ip| {
        cat(&[b"MGC\x01", &ethernet(of, ip)])
    }),
    case!("Juniper Ethernet with an extension", LinkType::JUNIPER_ETHER, Tshark, |of, ip| {
        cat(&[b"MGC\x81\0\x08\x01\x02\x07\0\x04\x02\x09\0", &ethernet(of, ip)])
    }),
    case!("Juniper without Ethernet", LinkType::JUNIPER_ETHER, Tcpdump, |of, ip| {
        cat(&[b"MGC\x03\0\0\0", if of == 0x0800 { &[2] } else { &[6] }, ip])
    }),
    case!("IP over InfiniBand", LinkType::IP_OVER_INFINIBAND, Tshark, |of, ip| {
        cat(&[&[0; 40], &of.to_be_bytes(), &[0, 0], ip])
    }),
    case!("Broadcom tag", LinkType::BROADCOM_TAG, Tcpdump, |of, ip| {
        cat(&[&DESTINATION, &SOURCE, &[0, 5, 4, 2], &of.to_be_bytes(), ip])
    }),
    case!("Broadcom tag, prepended", LinkType::BROADCOM_TAG_PREPENDED, Tcpdump, |of, ip| {
        cat(&[&[0x20, 0, 0, 1], &ethernet(of, ip)])
    }),
    case!("Marvell tag", LinkType::DSA_TAG, Tcpdump, |of, ip| {
        cat(&[&DESTINATION, &SOURCE, &[0xc0, 0x08, 0, 0], &of.to_be_bytes(), ip])
    }),
    case!("Marvell tag, long", LinkType::EDSA_TAG, Tcpdump, |of, ip| {
        cat(&[&DESTINATION, &SOURCE, &[0xda, 0xda, 0, 0, 0xc0, 8, 0, 0], &of.to_be_bytes(), ip])
    }),
    case!("802.11", LinkType::IEEE802_11, Tshark, wireless),
    case!("802.11 behind Prism", LinkType::IEEE802_11_PRISM, Tshark, |of, ip| {
        cat(&[&[0x44, 0, 0, 0, 144, 0, 0, 0], b"wlan0", &[0; 131], &wireless(of, ip)])
    }),
    case!("AVS under the number of Prism", LinkType::IEEE802_11_PRISM, Tshark, avs),
    case!("802.11 behind AVS", LinkType::IEEE802_11_AVS, Tshark, avs),
    case!("PPP, received", LinkType::PPP_WITH_DIR, Tshark, |of, ip| cat(&[&[0], &ppp(of), ip])),
    case!("PPP in HDLC, sent", LinkType::PPP_WITH_DIR, Tshark, |of, ip| {
        cat(&[&[1, 0xff, 3], &ppp(of), ip])
    }),
    case!("Cisco's HDLC, received", LinkType::C_HDLC_WITH_DIR, Nobody, |of, ip| {
        cat(&[&[0, 0x0f, 0], &of.to_be_bytes(), ip])
    }),
    case!("frame relay, sent", LinkType::FRELAY_WITH_DIR, Nobody, |of, ip| {
        cat(&[&[1, 0x18, 0x41, 3, if of == 0x0800 { 0xcc } else { 0x8e }], ip])
    }),
    case!("IPNET", LinkType::IPNET, Tshark, ipnet),
    case!("SLIP", LinkType::SLIP, Tcpdump, |_, ip| cat(&[&[0, 0x45], &[0; 14], ip])),
    case!("DOCSIS", LinkType::DOCSIS, Tshark, |of, ip| docsis(&[], &ethernet(of, ip))),
    case!("DOCSIS with an extended header", LinkType::DOCSIS, Tshark, |of, ip| {
        docsis(&[0x12, 0, 1], &ethernet(of, ip))
    }),
    case!("MPLS without Ethernet", LinkType::MPLS, Nobody, |_, ip| cat(&[&LABEL, &LAST_LABEL, ip])),
    case!("VXLAN", decap "vxlan", Tshark, |of, ip| {
        udp(4789, &cat(&[&[8, 0, 0, 0, 0, 0, 100, 0], &ethernet(of, ip)]))
    }),
    case!("VXLAN of Linux", decap "vxlan:8472", Nobody, |of, ip| {
        udp(8472, &cat(&[&[8, 0, 0, 0, 0, 0, 100, 0], &ethernet(of, ip)]))
    }),
    case!("VXLAN-GPE with IP", decap "vxlan-gpe", Tshark, |of, ip| {
        let next = if of == 0x0800 { 1 } else { 2 };
        udp(4790, &cat(&[&[0x0c, 0, 0, next, 0, 0, 100, 0], ip]))
    }),
    case!("VXLAN-GPE with Ethernet", decap "vxlan-gpe", Tshark, |of, ip| {
        udp(4790, &cat(&[&[0x0c, 0, 0, 3, 0, 0, 100, 0], &ethernet(of, ip)]))
    }),
    case!("VXLAN-GPE with NSH", decap "vxlan-gpe", Tshark, |of, ip| {
        udp(4790, &cat(&[&[0x0c, 0, 0, 4, 0, 0, 100, 0], &nsh_ip(of, ip)]))
    }),
    case!("GENEVE with Ethernet", decap "geneve", Tshark, |of, ip| {
        udp(6081, &cat(&[&[1, 0, 0x65, 0x58, 0, 0, 100, 0, 0, 0, 0, 0], &ethernet(of, ip)]))
    }),
    case!("GENEVE with IP", decap "geneve", Tshark, |of, ip| {
        udp(6081, &cat(&[&[0, 0], &of.to_be_bytes(), &[0, 0, 100, 0], ip]))
    }),
    case!("GTP-U", decap "gtpu", Tshark, |_, ip| {
        let len = u16::try_from(ip.len()).unwrap().to_be_bytes();
        udp(2152, &cat(&[&[0x30, 255], &len, &[0, 0, 0, 1], ip]))
    }),
    case!("GTP-U with an extension header", decap "gtpu", Tshark, |_, ip| {
        let len = u16::try_from(ip.len() + 8).unwrap().to_be_bytes();
        udp(2152, &cat(&[&[0x34, 255], &len, &[0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0, 0, 0], ip]))
    }),
    // The byte that names an extension header means nothing where none is flagged.
    case!("GTP-U with a sequence number", decap "gtpu", Tshark, |_, ip| {
        let len = u16::try_from(ip.len() + 4).unwrap().to_be_bytes();
        udp(2152, &cat(&[&[0x32, 255], &len, &[0, 0, 0, 1, 0, 7, 0, 0x85], ip]))
    }),
    case!("TZSP", decap "tzsp", Tshark, |of, ip| {
        udp(37008, &cat(&[&[1, 0, 0, 1, 1], &ethernet(of, ip)]))
    }),
    case!("TZSP with tags", decap "tzsp", Tshark, |of, ip| {
        let tags = [0x0a, 1, 5, 0, 0, 0x0d, 4, 0, 0, 0, 1, 1];
        udp(37008, &cat(&[&[1, 1, 0, 1], &tags, &ethernet(of, ip)]))
    }),
    case!("TZSP with 802.11", decap "tzsp", Tshark, |of, ip| {
        udp(37008, &cat(&[&[1, 0, 0, 0x12, 1], &wireless(of, ip)]))
    }),
    case!("GRE", decap "gre", Tshark, |of, ip| gre(0, of, ip)),
    case!("GRE with checksum, key and sequence number", decap "gre", Tshark, |of, ip| {
        gre(0xb000, 0x6558, &cat(&[&[0; 12], &ethernet(of, ip)]))
    }),
    case!("GRE with MPLS", decap "gre", Tshark, |_, ip| gre(0, 0x8847, &cat(&[&LAST_LABEL, ip]))),
    case!("NSH in GRE", decap "nsh", Nobody, |of, ip| gre(0, 0x894f, &nsh_ip(of, ip))),
    case!("Ethernet over IP of MikroTik", decap "gre", Nobody, |of, ip| {
        let frame = ethernet(of, ip);
        let len = u16::try_from(frame.len()).unwrap().to_be_bytes();
        gre(0x2001, 0x6400, &cat(&[&len, &[1, 0], &frame]))
    }),
    case!("ERSPAN, type I", decap "erspan", Tshark, |of, ip| gre(0, 0x88be, &ethernet(of, ip))),
    case!("ERSPAN, type II", decap "erspan", Tshark, |of, ip| {
        let header = [0, 0, 0, 1, 0x10, 100, 0x18, 7, 0, 0, 0, 5];
        gre(0x1000, 0x88be, &cat(&[&header, &ethernet(of, ip)]))
    }),
    case!("ERSPAN, type III", decap "erspan", Tshark, |of, ip| erspan3(0, false, &ethernet(of, ip))),
    case!("ERSPAN, type III with a subheader", decap "erspan", Tshark, |of, ip| {
        erspan3(0, true, &ethernet(of, ip))
    }),
    case!("ERSPAN, type III with IP", decap "erspan", Nobody, |_, ip| erspan3(2, false, ip)),
    case!("ERSPAN, type III under the number of II", decap "erspan", Nobody, |of, ip| {
        let mut frame = erspan3(0, false, &ethernet(of, ip));
        frame[36..38].copy_from_slice(&[0x88, 0xbe]);
        frame
    }),
    case!("IP in IP", decap "ipip", Tshark, |of, ip| outer(if of == 0x0800 { 4 } else { 41 }, ip)),
];

impl Encapsulation {
    fn tunnels(&self) -> Tunnels {
        let mut tunnels = Tunnels::default();
        if let Some(name) = self.decap {
            tunnels.add(name).unwrap();
        }
        tunnels
    }

    /// The frames around both packets.
    pub(crate) fn frames(&self) -> Vec<(Vec<u8>, &'static str)> {
        packets().map(|(of, ip, flow)| ((self.frame)(of, &ip), flow)).to_vec()
    }
}

/// A tuple, or why there is none.
fn seen(decoded: Decoded) -> String {
    match decoded {
        Decoded::Packet(packet) => packet.flow.to_string(),
        Decoded::Failed(undecodable) => undecodable.why.as_str().to_owned(),
    }
}

#[test]
fn the_same_packets_in_everything() {
    for case in ENCAPSULATIONS {
        let tunnels = case.tunnels();
        for (frame, flow) in case.frames() {
            assert_eq!(seen(decode_inside(case.link, &frame, &tunnels)), flow, "{}", case.name);
            let outer = seen(decode(case.link, &frame));
            assert_eq!(outer == flow, case.decap.is_none(), "{}: {outer}", case.name);
        }
    }
}

/// A frame cut anywhere gives the packet, or less, and never another one.
#[test]
fn a_cut_frame_is_never_another_packet() {
    for case in ENCAPSULATIONS {
        let tunnels = case.tunnels();
        for (frame, flow) in case.frames() {
            for len in 0..frame.len() {
                let cut = seen(decode_inside(case.link, &frame[..len], &tunnels));
                let less = [flow, "non_ip", "truncated"].contains(&cut.as_str());
                // A tunnel whose own header is cut before it shows that it is one.
                let outer = case.decap.is_some() && cut.contains("192.0.2.1");
                assert!(less || outer && len < 46, "{} cut to {len}: {cut}", case.name);
            }
        }
    }
}

#[test]
fn a_tunnel_is_named_by_the_word_that_looks_into_it() {
    for case in ENCAPSULATIONS {
        for (frame, _) in case.frames() {
            let name = tunnel_name(case.link, &frame);
            assert_eq!(name, case.decap, "{}", case.name);
        }
    }
    // A word of no tunnel: another protocol on the port, and a tunnel whose payload is no packet.
    let junk = [0x5a; 60];
    for frame in [udp(4789, &junk), udp(37008, &junk), udp(2152, &junk), gre(0, 0x0800, &junk)] {
        assert_eq!(tunnel_name(ETHERNET, &frame), None);
    }
    // What is inside may be ARP.
    let arp = ethernet(0x0806, &[0; 28]);
    let mirrored = udp(4789, &cat(&[&[8, 0, 0, 0, 0, 0, 100, 0], &arp]));
    assert_eq!(tunnel_name(ETHERNET, &mirrored), Some("vxlan"));
}

/// What firewalls, routers and serial links say of a packet's direction.
#[test]
fn directions_that_headers_state() {
    let hint = |name: &str| {
        let case = ENCAPSULATIONS.iter().find(|case| case.name == name).unwrap();
        direction_hint(case.link, &case.frames()[0].0)
    };
    assert_eq!(hint("pflog of OpenBSD"), Some(DirectionHint::Inbound));
    assert_eq!(hint("Juniper Ethernet"), Some(DirectionHint::Inbound));
    assert_eq!(hint("IPNET"), Some(DirectionHint::Inbound));
    assert_eq!(hint("PPP, received"), Some(DirectionHint::Inbound));
    assert_eq!(hint("PPP in HDLC, sent"), Some(DirectionHint::Outbound));
    assert_eq!(hint("frame relay, sent"), Some(DirectionHint::Outbound));
    assert_eq!(hint("SLIP"), Some(DirectionHint::Inbound));
    assert_eq!(hint("ENC, little-endian"), None);
    let mut out = pflog(61, 0x0800, &[]);
    out[60] = 2;
    assert_eq!(direction_hint(LinkType::PFLOG, &out), Some(DirectionHint::Outbound));
    let mut local = ipnet(0x0800, &[]);
    local[3] = 2;
    assert_eq!(direction_hint(LinkType::IPNET, &local), None);
    assert_eq!(direction_hint(LinkType::JUNIPER_ETHER, b"MGC\0"), Some(DirectionHint::Outbound));
}

#[test]
fn mirrors_that_carry_no_frame_and_faults_in_their_headers() {
    let inside = |name: &str, frame: &[u8]| {
        let mut tunnels = Tunnels::default();
        tunnels.add(name).unwrap();
        seen(decode_inside(ETHERNET, frame, &tunnels))
    };
    let frame = ethernet(0x0800, &packets()[0].1);
    let keep_alive = udp(37008, &[1, 4, 0, 0]);
    assert_eq!(inside("tzsp", &keep_alive), "udp 192.0.2.1:49152 > 192.0.2.2:37008");
    assert_eq!(inside("tzsp", &udp(37008, &[1, 0, 0, 1, 0x0a, 1, 5])), "malformed", "no end tag");
    assert_eq!(
        inside("tzsp", &udp(37008, &[2, 0, 0, 1, 1])),
        "udp 192.0.2.1:49152 > 192.0.2.2:37008"
    );
    assert_eq!(inside("vxlan", &udp(4789, &[8, 0, 0])), "malformed", "a header of three bytes");
    assert_eq!(inside("nsh", &gre(0, 0x894f, &[0x0f, 0xc1, 1, 3, 0, 0])), "malformed", "length 1");
    assert_eq!(inside("erspan", &gre(0x1000, 0x88be, &[0, 0, 0, 1, 0x10])), "malformed");
    // A mirror that cuts frames: the packet is as if a snap length had cut it.
    let cut = gre(0, 0x88be, &frame[..36]);
    assert_eq!(inside("erspan", &cut), "truncated");
    // Each word looks into its own alone.
    let erspan = gre(0, 0x88be, &frame);
    assert_eq!(inside("gre", &erspan), SSH, "GRE of every kind");
    assert_eq!(inside("erspan", &gre(0, 0x6558, &frame)), "gre 192.0.2.1 > 192.0.2.2");
    assert_eq!(inside("nsh", &erspan), "gre 192.0.2.1 > 192.0.2.2");
}

#[test]
fn what_no_encapsulation_shows() {
    let cases: Vec<(&str, LinkType, Vec<u8>, &str, bool)> = vec![
        (
            "NSH of an experiment",
            ETHERNET,
            ethernet(0x894f, &nsh(1, 0xfe, &[0; 16], &[])),
            "NSH protocol 254",
            true,
        ),
        (
            "MPLS OAM",
            ETHERNET,
            ethernet(0x8847, &cat(&[&LAST_LABEL, &[0x10, 0, 0, 7, 1, 2]])),
            "MPLS payload that starts with 0x1 (associated channel)",
            false,
        ),
        (
            "a fragment of a pseudowire",
            ETHERNET,
            ethernet(
                0x8847,
                &cat(&[&LAST_LABEL, &[0, 0x40, 0, 5], &ethernet(0x0800, &packets()[0].1)]),
            ),
            "MPLS payload that starts with 0x0",
            true,
        ),
        (
            "STP in a pseudowire",
            ETHERNET,
            ethernet(
                0x8847,
                &cat(&[&LAST_LABEL, &[0, 0, 0, 5], &ethernet(5, &[0x42, 0x42, 3, 0, 0])]),
            ),
            "LLC service access point 0x42 (STP)",
            false,
        ),
        (
            "PPI in PPI",
            LinkType::PPI,
            ppi(192, &[], &ppi(101, &[], &packets()[0].1)),
            "link type 192",
            true,
        ),
        (
            "a ranging message",
            LinkType::DOCSIS,
            vec![0xc2, 0, 0, 20, 0, 0, 1, 2, 3],
            "DOCSIS frame of type 0xc2 (management)",
            false,
        ),
        (
            "an encrypted frame",
            LinkType::DOCSIS,
            cat(&[&[1, 5, 0, 60, 0x44, 0x11, 0x80, 1, 0, 0, 0], &ethernet(0x0800, &[0; 60])]),
            "encrypted or compressed DOCSIS frame",
            true,
        ),
        (
            "pflog of another family",
            LinkType::PFLOG,
            {
                let mut frame = pflog(61, 0x0800, &[0; 40]);
                frame[1] = 99;
                frame
            },
            "address family 99",
            true,
        ),
        (
            "pflog of IPv4 with IPv6",
            LinkType::PFLOG,
            pflog(61, 0x0800, &packets()[1].1),
            "IP version 6",
            true,
        ),
    ];
    for (name, link, frame, expected, hides) in cases {
        let Decoded::Failed(undecodable) = decode(link, &frame) else {
            panic!("{name} is decoded")
        };
        let found = undecodable.non_ip.map(|of| of.to_string());
        assert_eq!(found.as_deref(), Some(expected), "{name}");
        assert_eq!(undecodable.hides_traffic(), hides, "{name}");
    }
}

/// The innermost tuple of each packet as tshark sees it.
fn tshark(capture: &Path) -> Vec<String> {
    let fields = ["ip.src", "ip.dst", "ipv6.src", "ipv6.dst"];
    let ports = ["tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport"];
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-T", "fields", "-E", "occurrence=l", "-E", "separator=,"]);
    tshark.args(["-o", "ip.defragment:false", "-r"]).arg(capture);
    for field in fields.iter().chain(&ports) {
        tshark.args(["-e", field]);
    }
    let output = tshark.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// What tshark prints for a packet, of which only the last address and port of each kind is asked for.
fn agrees(flow: &str, row: &str) -> bool {
    let row: Vec<&str> = row.split(',').collect();
    match flow {
        SSH => row[..2] == ["203.0.113.9", "10.0.0.5"] && row[4..6] == ["40000", "22"],
        _ => row[2..4] == ["2001:db8::9", "2001:db8::5"] && row[6..] == ["5353", "53"],
    }
}

#[test]
fn tshark_reads_the_same() {
    if Command::new("tshark").arg("--version").output().is_err() {
        println!("SKIPPED: tshark is not installed, so it was asked about no encapsulation");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.pcap");
    let (mut compared, mut wrong) = (0, Vec::new());
    for case in ENCAPSULATIONS.iter().filter(|case| case.oracle == Oracle::Tshark) {
        let frames = case.frames();
        let bytes: Vec<&[u8]> = frames.iter().map(|(frame, _)| frame.as_slice()).collect();
        std::fs::write(&path, pcap(case.link.0, &bytes)).unwrap();
        let rows = tshark(&path);
        if rows.len() != frames.len() {
            wrong.push(format!("{}: tshark reads {} packets", case.name, rows.len()));
        }
        for ((_, flow), row) in frames.iter().zip(&rows) {
            compared += 1;
            if !agrees(flow, row) {
                wrong.push(format!("{}: we read {flow}, tshark {row}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{compared} encapsulated packets that tshark reads as we do");
}

#[test]
fn tcpdump_reads_the_same() {
    if Command::new("tcpdump").arg("--version").output().is_err() {
        println!("SKIPPED: tcpdump is not installed, so it was asked about no encapsulation");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.pcap");
    let mut compared = 0;
    for case in ENCAPSULATIONS.iter().filter(|case| case.oracle == Oracle::Tcpdump) {
        let frames = case.frames();
        let bytes: Vec<&[u8]> = frames.iter().map(|(frame, _)| frame.as_slice()).collect();
        std::fs::write(&path, pcap(case.link.0, &bytes)).unwrap();
        let output = Command::new("tcpdump").args(["-n", "-r"]).arg(&path).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        for (line, (_, flow)) in text.lines().zip(&frames) {
            let words = match *flow {
                SSH => "203.0.113.9.40000 > 10.0.0.5.22: Flags [S]",
                _ => "2001:db8::9.5353 > 2001:db8::5.53:",
            };
            assert!(line.contains(words), "{}: we read {flow}, tcpdump {line}", case.name);
            compared += 1;
        }
        assert_eq!(text.lines().count(), frames.len(), "{}", case.name);
    }
    println!("{compared} encapsulated packets that tcpdump reads as we do");
}

/// `SGREPLAY_CAPTURES` names folders with captures and an `expected.csv`: the innermost tuple of each frame,
/// and who read it. Where nobody did, it is that of the other files.
#[test]
fn captures_with_an_expectation() {
    let Some(folders) = std::env::var_os("SGREPLAY_CAPTURES") else {
        println!(
            "SKIPPED: SGREPLAY_CAPTURES is not set, so no capture was compared with expected.csv"
        );
        return;
    };
    let mut compared = 0;
    for folder in std::env::split_paths(&folders) {
        let mut reader = csv::Reader::from_path(folder.join("expected.csv")).unwrap();
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        for row in &rows {
            let (file, frame) = (&row[0], &row[1]);
            let wanted = match &row[2] {
                "" => rows.iter().find(|other| &other[1] == frame && !other[2].is_empty()).unwrap(),
                _ => row,
            };
            let mut tunnels = Tunnels::default();
            for name in ["erspan", "tzsp"].iter().filter(|name| file.starts_with(**name)) {
                tunnels.add(name).unwrap();
            }
            let mut capture = Capture::open(&folder.join(file)).unwrap();
            let mut found = None;
            while let Some(of) = capture.next_frame().unwrap() {
                if of.number.to_string() == *frame {
                    found = Some(decode_inside(of.link, of.data, &tunnels));
                }
            }
            let Some(Decoded::Packet(packet)) = found else {
                panic!("{file} frame {frame}: {found:?}")
            };
            let (src, dst) = packet.flow.transport.ports().unwrap();
            let flow = packet.flow;
            let ours = [
                flow.src.to_string(),
                flow.dst.to_string(),
                flow.proto.0.to_string(),
                src.to_string(),
                dst.to_string(),
            ];
            assert_eq!(
                ours.to_vec(),
                wanted.iter().skip(2).take(5).collect::<Vec<_>>(),
                "{file} {frame}"
            );
            compared += 1;
        }
    }
    println!("{compared} packets as expected.csv has them");
    assert!(compared > 0);
}
