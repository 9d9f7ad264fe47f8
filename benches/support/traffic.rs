//! Seeded traffic: TCP and UDP connections between one server, 10.0.0.5, and as many clients as there
//! are flows.

use std::io::{self, Write};

use sgreplay::flow::{FlowTuple, Fragment, Packet, Protocol, TcpFlags, Transport};

/// `SplitMix64`: small, seeded, good enough to spread packets over flows.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

pub(crate) const SERVICES: [u16; 12] =
    [22, 25, 53, 80, 110, 143, 443, 3306, 3389, 5432, 6379, 8080];

/// How long packets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sizes {
    /// 66 to 1,514 bytes, about 600 on average.
    Mixed,
    /// 64 to 96 bytes.
    Small,
}

impl Sizes {
    fn draw(self, random: &mut Random) -> u64 {
        match (self, random.below(10)) {
            (Self::Small, _) => 64 + random.below(33),
            (Self::Mixed, 0..=4) => 66 + random.below(60),
            (Self::Mixed, 5..=6) => 200 + random.below(800),
            (Self::Mixed, _) => 1514 - random.below(200),
        }
    }
}

/// Writes a classic pcap with µs times.
pub(crate) fn write_capture(
    out: &mut impl Write,
    packets: u64,
    flows: u64,
    sizes: Sizes,
) -> io::Result<()> {
    let header: [u32; 6] = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, 1];
    for word in header {
        out.write_all(&word.to_le_bytes())?;
    }
    let mut random = Random(1);
    let mut opened = vec![false; usize::try_from(flows).expect("flows fit in memory")];
    let mut frame = [0_u8; 1514];
    for number in 0..packets {
        let flow = random.below(flows);
        let first = !std::mem::replace(&mut opened[flow as usize], true);
        let len = sizes.draw(&mut random);
        let len = if first { 66 } else { len as usize };
        let from_client = first || random.below(2) == 0;
        build(&mut frame, len, flow, first, from_client);
        let micros = 1_700_000_000_000_000 + number * 50;
        let record = [micros / 1_000_000, micros % 1_000_000, len as u64, len as u64];
        for word in record {
            out.write_all(&(word as u32).to_le_bytes())?;
        }
        out.write_all(&frame[..len])?;
    }
    Ok(())
}

/// Ethernet, IPv4, TCP or UDP: flow `flow` is always the same client, service and protocol.
fn build(frame: &mut [u8; 1514], len: usize, flow: u64, first: bool, from_client: bool) {
    let mut fixed = Random(flow + 1);
    let server = [10, 0, 0, 5];
    let [a, b, c, d, ..] = fixed.next().to_le_bytes();
    let client = [a % 222 + 1, b, c, d];
    let service = SERVICES[fixed.below(SERVICES.len() as u64) as usize];
    let port = 32_768 + fixed.below(28_000) as u16;
    let udp = service == 53 || fixed.below(10) == 0;
    let (src, dst, sport, dport) =
        if from_client { (client, server, port, service) } else { (server, client, service, port) };
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
    frame[12..14].copy_from_slice(&[0x08, 0]);
    frame[14..24].copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, if udp { 17 } else { 6 }]);
    frame[16..18].copy_from_slice(&((len - 14) as u16).to_be_bytes());
    frame[26..30].copy_from_slice(&src);
    frame[30..34].copy_from_slice(&dst);
    frame[34..36].copy_from_slice(&sport.to_be_bytes());
    frame[36..38].copy_from_slice(&dport.to_be_bytes());
    // Data offset and flags; in UDP they are payload.
    frame[46..48].copy_from_slice(&[0x80, if first { 0x02 } else { 0x10 }]);
}

/// The packet that opens a flow: a SYN from a client of its own.
pub(crate) fn opening(flow: u64) -> Packet {
    let mut fixed = Random(flow + 1);
    let [a, b, c, d, ..] = fixed.next().to_le_bytes();
    let ports = (32_768 + fixed.below(28_000) as u16, SERVICES[(flow % 12) as usize]);
    let transport = Transport::Ports { src: ports.0, dst: ports.1 };
    let (src, dst) = ([a % 222 + 1, b, c, d].into(), [10, 0, 0, 5].into());
    let flow = FlowTuple { src, dst, proto: Protocol::TCP, transport };
    Packet { flow, tcp_flags: Some(TcpFlags(0x02)), fragment: Fragment::No, hop_limit: 64 }
}
