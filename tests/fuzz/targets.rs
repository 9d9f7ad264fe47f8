//! What must hold of any bytes at all. `cargo fuzz` looks for bytes of which it does not, for as long as
//! it is let (`tests/fuzz/run`); `tests/it/fuzz.rs` tries some on every `cargo test`.

use std::io::{self, Cursor, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sgreplay::capture::{Batch, Capture, CaptureError, Frame, LinkType};
use sgreplay::decode::{
    Decoded, Tunnels, decode as decode_outer, decode_inside, direction_hint, embedded, tunnel_name,
};
use sgreplay::evaluate::{Compiled, Evaluator, Reference};
use sgreplay::flow::{Direction, FlowTuple, Fragment, Packet, Protocol, Transport};
use sgreplay::report::{decode_cells, packet_line};

/// Every link type that is read, and one that is not.
pub(crate) const LINKS: [LinkType; 46] = [
    LinkType::ETHERNET,
    LinkType::NULL,
    LinkType::SLIP,
    LinkType::PPP,
    LinkType::FDDI,
    LinkType::RAW_BSD,
    LinkType::RAW_OPENBSD,
    LinkType::PPP_HDLC,
    LinkType::PPP_ETHER,
    LinkType::ATM_RFC1483,
    LinkType::RAW,
    LinkType::C_HDLC,
    LinkType::IEEE802_11,
    LinkType::FRELAY,
    LinkType::LOOP,
    LinkType::ENC,
    LinkType::LINUX_SLL,
    LinkType::PFLOG,
    LinkType::IEEE802_11_PRISM,
    LinkType::IEEE802_11_RADIOTAP,
    LinkType::ARCNET_LINUX,
    LinkType::DOCSIS,
    LinkType::IEEE802_11_AVS,
    LinkType::JUNIPER_ETHER,
    LinkType::PPI,
    LinkType::IEEE802_15_4,
    LinkType::PPP_WITH_DIR,
    LinkType::C_HDLC_WITH_DIR,
    LinkType::FRELAY_WITH_DIR,
    LinkType::MPLS,
    LinkType::IPNET,
    LinkType::IPV4,
    LinkType::IPV6,
    LinkType::IEEE802_15_4_NOFCS,
    LinkType::NFLOG,
    LinkType::IP_OVER_INFINIBAND,
    LinkType::NETLINK,
    LinkType::PKTAP,
    LinkType::VSOCK,
    LinkType::LINUX_SLL2,
    LinkType::BROADCOM_TAG,
    LinkType::BROADCOM_TAG_PREPENDED,
    LinkType::DSA_TAG,
    LinkType::EDSA_TAG,
    LinkType(147),
    LinkType(17),
];

/// A flow log of each kind.
pub(crate) const FLOW_LOGS: [&str; 4] = [
    "eni-id,srcaddr,dstaddr,srcport,dstport,protocol,direction,action,packets,bytes,start,tcp-flags\n\
     eni-a,192.0.2.1,10.0.0.5,40000,443,6,in,ACCEPT,2,80,1764000000,27\n\
     eni-a,2001:db8::1,2001:db8::5,0,0,58,out,REJECT,2,80,1764000000,0\n",
    "2 123 eni-a 192.0.2.1 10.0.0.5 40000 443 6 2 80 1764000000 1764000058 ACCEPT OK\n\
     2 123 eni-a - - - - - - - 1764000000 1764000058 - NODATA\n",
    "{\"id.orig_h\": \"192.0.2.1\", \"id.resp_h\": \"10.0.0.5\", \"id.orig_p\": 1, \"id.resp_p\": 2, \
     \"proto\": \"tcp\", \"ts\": 1764000000.25, \"history\": \"^d\"}\n",
    "ts,sa,da,sp,dp,pr,flg,ipkt,ibyt\n2025-11-24 16:00:00,192.0.2.1,10.0.0.5,0,2048,ICMP,...AP.SF,2,80\n\
     Summary\n1\n",
];

/// Reading ends, holds only what the source held, and gives the same however the bytes arrive.
pub(crate) fn capture(bytes: &[u8]) {
    let at_once = read(Box::new(Cursor::new(bytes.to_vec())), bytes.len());
    let (mut frames, mut error) = (0, None);
    let trickle = Trickle { bytes: bytes.to_vec(), given: 0 };
    match Capture::from_reader("x", Box::new(trickle)) {
        Err(e) => error = Some(e.to_string()),
        Ok(mut capture) => {
            let mut batch = Batch::default();
            while frames < at_once.frames.len() + 1 {
                match capture.next_batch(&mut batch) {
                    Ok(true) => {
                        for frame in batch.frames() {
                            if let Some(expected) = at_once.frames.get(frames) {
                                assert_eq!(&Seen::of(&frame), expected, "however the bytes arrive");
                            }
                            frames += 1;
                        }
                    }
                    Ok(false) => break,
                    Err(e) => {
                        error = Some(e.to_string());
                        break;
                    }
                }
            }
        }
    }
    // A decoder of compressed bytes may lose what it made of the last of them before the damage.
    let starts = [
        &b"\x1f\x8b"[..],
        b"\x28\xb5\x2f\xfd",
        b"\xfd7zXZ\0",
        b"BZh",
        b"\x04\x22\x4d\x18",
        b"\x02\x21\x4c\x18",
    ];
    // Files of an archive may be compressed.
    let archive = bytes.get(257..).is_some_and(|rest| rest.starts_with(b"ustar"));
    let compressed = archive
        || starts.iter().any(|magic| bytes.starts_with(magic))
        || matches!(bytes, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
    if !compressed && !at_once.stopped {
        assert_eq!(frames, at_once.frames.len());
        assert_eq!(error, at_once.error.map(|e| e.to_string()));
    }
}

/// What was read.
struct Reading {
    frames: Vec<Seen>,
    error: Option<CaptureError>,
    /// Not to the end: compressed bytes may hold any number of others.
    stopped: bool,
}

#[derive(Debug, PartialEq)]
struct Seen {
    link: LinkType,
    time_ns: Option<u64>,
    wire_len: u32,
    data: Vec<u8>,
}

impl Seen {
    fn of(frame: &Frame<'_>) -> Self {
        let Frame { link, time_ns, wire_len, data, .. } = *frame;
        Self { link, time_ns, wire_len, data: data.to_vec() }
    }
}

const ENOUGH_FRAMES: usize = 2000;
const ENOUGH_BYTES: u64 = 1 << 20;

fn read(source: Box<dyn Read + Send>, len: usize) -> Reading {
    let mut reading = Reading { frames: Vec::new(), error: None, stopped: false };
    let mut capture = match Capture::from_reader("x", source) {
        Ok(capture) => capture,
        Err(error) => {
            reading.error = Some(error);
            return reading;
        }
    };
    loop {
        if reading.frames.len() >= ENOUGH_FRAMES || capture.offset() > ENOUGH_BYTES {
            reading.stopped = true;
            return reading;
        }
        match capture.next_frame() {
            Ok(Some(frame)) => {
                assert_eq!(frame.number, reading.frames.len() as u64 + 1);
                let _: Decoded = decode_outer(frame.link, frame.data);
                reading.frames.push(Seen::of(&frame));
            }
            Ok(None) => break,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                // A later file of an archive that is no readable capture is refused by its name, before its first byte.
                let refuses_file = error.file.starts_with("x: ") && error.offset == 0;
                if error.frame.is_some() || !refuses_file {
                    assert_eq!(error.frame, Some(reading.frames.len() as u64 + 1));
                }
                let after = capture.next_frame().map(|frame| frame.is_none());
                assert!(after.is_ok_and(|ended| ended), "an end is an end");
                reading.error = Some(error);
                break;
            }
        }
    }
    if capture.offset() <= len as u64 {
        assert!(reading.frames.len() <= len / 8, "each frame has a header at least, or a line");
    }
    reading
}

/// A source that gives a few bytes at a time.
struct Trickle {
    bytes: Vec<u8>,
    given: usize,
}

impl Read for Trickle {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.bytes.get(self.given..).unwrap_or_default();
        let len = (self.given % 5 + 1).min(left.len()).min(into.len());
        into[..len].copy_from_slice(&left[..len]);
        self.given += len;
        Ok(len)
    }
}

/// Whether the addresses of a packet occur twice in its bytes: the packet inside may have the tuple of the one
/// outside.
fn is_repeated(decoded: &Decoded, data: &[u8]) -> bool {
    let Some(packet) = decoded.packet() else { return false };
    let octets = |addr: IpAddr| match addr {
        IpAddr::V4(addr) => addr.octets().to_vec(),
        IpAddr::V6(addr) => addr.octets().to_vec(),
    };
    let ends = [octets(packet.flow.src), octets(packet.flow.dst)].concat();
    data.windows(ends.len()).filter(|bytes| *bytes == ends).count() > 1
}

/// The first byte chooses the link type, the second how much is cut off; then the frame.
pub(crate) fn decode(bytes: &[u8]) {
    let [link, cut, data @ ..] = bytes else { return };
    let link = LINKS[usize::from(*link) % LINKS.len()];
    let outer = decode_outer(link, data);
    assert_eq!(decode_inside(link, data, &Tunnels::default()), outer);
    let inside = decode_inside(link, data, &every_tunnel());
    for decoded in [&outer, &inside] {
        if let Some(packet) = decoded.packet() {
            plausible(packet);
        }
    }
    let complaint = embedded(link, data, &Tunnels::default());
    complaint.as_ref().inspect(|packet| plausible(packet));
    let _ = direction_hint(link, data);
    if let Some(name) = tunnel_name(link, data) {
        let mut tunnels = Tunnels::default();
        assert!(tunnels.add(name).is_ok());
        let inner = decode_inside(link, data, &tunnels);
        assert!(inner != outer || is_repeated(&outer, data), "{name} looks into it: {inner:?}");
    }

    let frame = Frame::new(1, link, data);
    let _ = decode_cells(&frame, &outer);
    let line = packet_line(&frame, &outer, complaint.as_ref(), None, None);
    assert!(!line.contains('\n'), "one line a packet");

    // What is cut off takes facts away; it does not change any.
    let shorter = &data[..data.len() - usize::from(*cut).min(data.len())];
    if let (Decoded::Packet(whole), Decoded::Packet(cut)) = (outer, decode_outer(link, shorter)) {
        let same = (cut.flow.src, cut.flow.dst, cut.flow.proto, cut.flow.transport.ports());
        let FlowTuple { src, dst, proto, transport } = whole.flow;
        assert_eq!(same, (src, dst, proto, transport.ports()));
        assert_eq!(cut.fragment, whole.fragment);
    }
}

fn plausible(packet: &Packet) {
    let FlowTuple { src, dst, proto, transport } = packet.flow;
    assert_eq!(src.is_ipv4(), dst.is_ipv4(), "one packet, one family");
    match transport {
        Transport::Ports { .. } => assert!(proto.has_ports()),
        Transport::Icmp { .. } => assert!([Protocol::ICMP, Protocol::ICMPV6].contains(&proto)),
        Transport::Absent => {}
    }
    if packet.tcp_flags.is_some() {
        assert_eq!(proto, Protocol::TCP);
    }
    if let Fragment::Later { first, .. } = packet.fragment {
        assert!(
            first.is_none() && transport == Transport::Absent,
            "a later fragment has no header"
        );
    }
}

fn every_tunnel() -> Tunnels {
    let mut tunnels = Tunnels::default();
    let ports = ["vxlan:0", "geneve:257", "gtpu:514", "tzsp:771"];
    for name in Tunnels::NAMES.iter().chain(&ports) {
        assert!(tunnels.add(name).is_ok());
    }
    tunnels
}

/// A rules file is an error that names a place in it, or rules on which both evaluators agree.
pub(crate) fn rules(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let rules = match sgreplay::parse::yaml("x", text) {
        Ok(rules) => rules,
        Err(error) => {
            assert!(error.to_string().starts_with('x'), "{error}");
            return;
        }
    };
    let _ = (rules.over_quota(), rules.unknown_members());
    for interface in 0..rules.interfaces().len().min(3) {
        for direction in Direction::BOTH {
            let ordered = rules.ordered(interface, direction);
            if ordered.entries().len() > 5000 {
                continue;
            }
            let compiled = Compiled::new(&ordered);
            for flow in flows() {
                let answer = Reference(&ordered).decide(&flow);
                assert_eq!(compiled.decide(&flow), answer, "{flow}");
            }
        }
    }
}

/// Packets at places where rules often begin and end.
pub(crate) fn flows() -> impl Iterator<Item = FlowTuple> {
    let v4 = |a, b, c, d| IpAddr::from(Ipv4Addr::new(a, b, c, d));
    let ends = [
        (v4(10, 0, 0, 5), v4(203, 0, 113, 9)),
        (v4(0, 0, 0, 0), v4(255, 255, 255, 255)),
        (v4(100, 100, 100, 200), v4(10, 0, 0, 6)),
        (IpAddr::from(Ipv6Addr::LOCALHOST), IpAddr::from(Ipv6Addr::from(u128::MAX))),
    ];
    let ports = [0, 1, 22, 53, 80, 443, 3306, 65_535];
    let transports = ports
        .map(|port| (Protocol::TCP, Transport::Ports { src: 40_000, dst: port }))
        .into_iter()
        .chain([
            (Protocol::UDP, Transport::Ports { src: 53, dst: 53 }),
            (Protocol::ICMP, Transport::Icmp { kind: 8, code: 0, id: None }),
            (Protocol::ICMP, Transport::Icmp { kind: 3, code: 4, id: None }),
            (Protocol::GRE, Transport::Absent),
        ]);
    transports.flat_map(move |(proto, transport)| {
        ends.into_iter().flat_map(move |(src, dst)| {
            let there = FlowTuple { src, dst, proto, transport };
            // To a service of either end, and an answer.
            [there, FlowTuple { src: dst, dst: src, ..there }, there.reversed()]
        })
    })
}
