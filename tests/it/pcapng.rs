//! pcapng: clocks, statistics, blocks without packets, sections.

use std::io::Cursor;

use sgreplay::capture::{Capture, CaptureCounts, LinkType};
use sgreplay::decode::decode;

use crate::support::{ipv4, output_in};

/// Numbers in one byte order.
#[derive(Clone, Copy)]
struct Order {
    big: bool,
}

const LITTLE: Order = Order { big: false };
const BIG: Order = Order { big: true };

impl Order {
    fn u16(self, number: u16) -> [u8; 2] {
        if self.big { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    fn u32(self, number: u32) -> [u8; 4] {
        if self.big { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    fn u64(self, number: u64) -> [u8; 8] {
        if self.big { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
        let len = self.u32(u32::try_from(body.len() + padding.len() + 12).unwrap());
        [&self.u32(kind)[..], &len, body, &padding, &len].concat()
    }

    fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let padding = vec![0; value.len().next_multiple_of(4) - value.len()];
        let len = self.u16(u16::try_from(value.len()).unwrap());
        [&self.u16(code)[..], &len, value, &padding].concat()
    }

    fn section(self) -> Vec<u8> {
        let version = [self.u16(1), self.u16(0)].concat();
        self.block(0x0a0d_0d0a, &[&self.u32(0x1a2b_3c4d)[..], &version, &[0xff; 8]].concat())
    }

    fn interface(self, link: LinkType, options: &[Vec<u8>]) -> Vec<u8> {
        let link = self.u16(u16::try_from(link.0).unwrap());
        self.block(1, &[&link[..], &[0; 6], &options.concat()].concat())
    }

    /// An Enhanced Packet Block with a time in units of the interface.
    fn packet(self, interface: u32, time: u64, data: &[u8], options: &[Vec<u8>]) -> Vec<u8> {
        let [high, low] = [time >> 32, time & 0xffff_ffff].map(|half| u32::try_from(half).unwrap());
        let len = u32::try_from(data.len()).unwrap();
        let head = [interface, high, low, len, len].map(|number| self.u32(number)).concat();
        let padding = vec![0; data.len().next_multiple_of(4) - data.len()];
        self.block(6, &[&head[..], data, &padding, &options.concat()].concat())
    }

    /// An Interface Statistics Block with what the interface dropped.
    fn statistics(self, interface: u32, dropped: u64) -> Vec<u8> {
        let option = self.option(5, &self.u64(dropped));
        self.block(5, &[&self.u32(interface)[..], &[0; 8], &option].concat())
    }
}

fn ssh() -> Vec<u8> {
    ipv4("203.0.113.9:40000", "10.0.0.5:22", "S")
}

const SSH: &str = "tcp 203.0.113.9:40000 > 10.0.0.5:22";

type Seen = Vec<(LinkType, Option<u64>, String)>;

/// Link type, time and tuple of every frame, and the counts at the end.
fn read(bytes: Vec<u8>) -> (Seen, CaptureCounts) {
    let mut capture = Capture::from_reader("x", Box::new(Cursor::new(bytes))).unwrap();
    let counts = capture.counts();
    let mut seen = Vec::new();
    while let Some(frame) = capture.next_frame().unwrap() {
        let decoded = decode(frame.link, frame.data);
        let flow = decoded.packet().map_or_else(String::new, |packet| packet.flow.to_string());
        seen.push((frame.link, frame.time_ns, flow));
    }
    (seen, counts.get())
}

const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;
const SECOND: u64 = 1_000_000_000;

#[test]
fn every_clock() {
    let clock = |resolution: u8, offset: i64| {
        vec![
            LITTLE.option(IF_TSRESOL, &[resolution]),
            LITTLE.option(IF_TSOFFSET, &offset.to_le_bytes()),
        ]
    };
    let cases: Vec<(Vec<Vec<u8>>, u64, Option<u64>)> = vec![
        // Microseconds without an option.
        (vec![], 1_700_000_000_000_001, Some(1_700_000_000_000_001_000)),
        (clock(0, 0), 1_700_000_000, Some(1_700_000_000 * SECOND)),
        (clock(3, 0), 1_700_000_000_123, Some(1_700_000_000_123_000_000)),
        (clock(9, 0), u64::MAX, Some(u64::MAX)),
        (clock(12, 0), 5_000, Some(5)),
        // Powers of two: 2^-10 and 2^-32.
        (clock(0x8a, 0), 1_700_000_000 << 10, Some(1_700_000_000 * SECOND)),
        (clock(0xa0, 0), 1 << 31, Some(SECOND / 2)),
        // The offset is in seconds, whatever the resolution.
        (clock(6, 1_700_000_000), 1, Some(1_700_000_000 * SECOND + 1_000)),
        (clock(9, 1_700_000_000), 1, Some(1_700_000_000 * SECOND + 1)),
        (clock(20, 1_700_000_000), 7, Some(1_700_000_000 * SECOND)),
        (clock(6, -10), 20_000_000, Some(10 * SECOND)),
        // The end of what 64 bits of nanoseconds hold, and what lies behind.
        (clock(0, 0), u64::MAX / SECOND, Some(u64::MAX / SECOND * SECOND)),
        (clock(0, 0), u64::MAX / SECOND + 1, None),
        (vec![], u64::MAX / 1_000 + 1, None),
        (clock(3, 0), u64::MAX, None),
        (clock(0x80, 0), u64::MAX, None),
        (clock(9, 1), u64::MAX, None),
        (clock(6, i64::MAX), 0, None),
        // Before 1970.
        (clock(6, -10), 9_000_000, None),
        (clock(6, i64::MIN), u64::MAX, None),
        // Resolutions that cannot be counted.
        (clock(39, 0), 1, None),
        (clock(127, 0), 1, None),
    ];
    for (options, time, expected) in cases {
        let bytes = [
            LITTLE.section(),
            LITTLE.interface(LinkType::RAW, &options),
            LITTLE.packet(0, time, &ssh(), &[]),
        ];
        let (seen, counts) = read(bytes.concat());
        assert_eq!(seen, [(LinkType::RAW, expected, SSH.to_owned())], "{options:?} {time}");
        assert_eq!(counts.unusable_times, u64::from(expected.is_none()));
    }
}

/// Some writers put seconds in one half of the time and nanoseconds in the other. Such packets once
/// disappeared.
#[test]
fn a_packet_whose_time_is_unusable_is_judged_and_counted() {
    let time = (1_700_000_000 << 32) | 5;
    let bytes = [
        LITTLE.section(),
        LITTLE.interface(LinkType::RAW, &[]),
        LITTLE.packet(0, time, &ssh(), &[]),
        LITTLE.packet(0, 1_700_000_000_000_000, &ssh(), &[]),
        LITTLE.packet(0, time, &ssh(), &[]),
    ]
    .concat();
    let dir = tempfile::tempdir().unwrap();
    let rules = "security_groups:\n- id: sg\n  rules: []\n";
    std::fs::write(dir.path().join("rules.yaml"), rules).unwrap();
    let words = "the time of 2 packets is unusable";
    let run = |args: &[&str]| output_in(dir.path(), args, &bytes);

    let (status, text, stderr) = run(&["decode", "-"]);
    assert_eq!(status, 0);
    let times: Vec<&str> =
        text.lines().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
    assert_eq!(times, ["-", "0.000000", "-"]);
    assert!(stderr.contains(words), "{stderr}");

    let judge = |verb: &[&str]| {
        let args = [verb, &["--local", "10.0.0.5", "--fail-on", "denied", "-"]].concat();
        run(&args)
    };
    let (status, csv, stderr) =
        judge(&["replay", "--rules", "rules.yaml", "--per", "packet", "-f", "csv"]);
    assert_eq!(status, 1, "{stderr}");
    assert_eq!(csv.lines().filter(|row| row.contains(",deny,")).count(), 3, "{csv}");
    let (_, text, _) = judge(&["replay", "--rules", "rules.yaml", "--per", "packet"]);
    assert!(text.contains(words), "{text}");

    let (_, json, _) = judge(&["replay", "--rules", "rules.yaml", "-f", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["packets"]["denied"], 3);
    assert_eq!(json["inputs"]["captures"][0]["unusable_times"], 2);
    assert_eq!(json["first_time_ns"], 1_700_000_000_000_000_000_u64);

    let (_, csv, _) =
        judge(&["replay", "--rules", "rules.yaml", "--per", "connection", "-f", "csv"]);
    for row in csv.lines().skip(1) {
        let time = row.split(',').nth(3).unwrap();
        assert!(time.is_empty() || time.starts_with("17"), "no connection began in 1970: {csv}");
    }
}

#[test]
fn drops_by_statistics_and_by_packets_are_not_counted_twice() {
    let drop_count = |n: u64| vec![LITTLE.option(4, &LITTLE.u64(n))];
    let dropped = |blocks: &[Vec<u8>]| {
        let interfaces = LITTLE.interface(LinkType::RAW, &[]).repeat(2);
        let bytes = [LITTLE.section(), interfaces, blocks.concat()].concat();
        read(bytes).1.dropped
    };
    assert_eq!(dropped(&[LITTLE.packet(0, 1, &ssh(), &[])]), None, "nobody says");
    assert_eq!(dropped(&[LITTLE.packet(0, 1, &ssh(), &drop_count(0))]), Some(0));
    let packets =
        [LITTLE.packet(0, 1, &ssh(), &drop_count(3)), LITTLE.packet(1, 1, &ssh(), &drop_count(4))];
    assert_eq!(dropped(&packets), Some(7));
    // Statistics are sums so far.
    assert_eq!(dropped(&[LITTLE.statistics(0, 5), LITTLE.statistics(0, 6)]), Some(6));
    let both = [packets.concat(), LITTLE.statistics(0, 2), LITTLE.statistics(1, 10)];
    assert_eq!(dropped(&both), Some(13), "3 of the first, 10 of the second");
    // The obsolete block has a number of its own, of which the largest means that it is not known.
    let obsolete = |drops: u16| {
        let data = ssh();
        let len = LITTLE.u32(u32::try_from(data.len()).unwrap());
        LITTLE.block(2, &[&[0, 0][..], &LITTLE.u16(drops), &[0; 8], &len, &len, &data].concat())
    };
    assert_eq!(dropped(&[obsolete(u16::MAX)]), None);
    assert_eq!(dropped(&[obsolete(2), obsolete(1)]), Some(3));
}

#[test]
fn blocks_without_packets_are_skipped_and_counted() {
    let secrets = LITTLE.block(10, &[&b"KSLT"[..], &[4, 0, 0, 0], b"key\n"].concat());
    let names = LITTLE.block(4, &[1, 0, 9, 0, 10, 0, 0, 5, b'h', b'o', b's', b't', 0, 0, 0, 0]);
    let bytes = [
        LITTLE.section(),
        LITTLE.interface(LinkType::RAW, &[]),
        secrets.clone(),
        LITTLE.packet(0, 1, &ssh(), &[]),
        names,
        LITTLE.block(9, b"MESSAGE=hello\n"),
        LITTLE.block(0xbad, &[1, 2, 3, 4, 5, 6, 7, 8]),
        LITTLE.block(0x4000_0bad, &[1, 2, 3, 4]),
        LITTLE.block(0x8000_0001, &[0; 64]),
        secrets,
        LITTLE.packet(0, 2, &ssh(), &[]),
    ]
    .concat();
    let (seen, counts) = read(bytes.clone());
    assert_eq!(seen.len(), 2);
    let expected = CaptureCounts {
        secrets_blocks: 2,
        custom_blocks: 2,
        unknown_blocks: 1,
        ..CaptureCounts::default()
    };
    assert_eq!(counts, expected);

    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("r.yaml"), "security_groups:\n- id: sg\n  rules: []\n").unwrap();
    let args = ["replay", "--rules", "r.yaml", "--local", "10.0.0.5", "-"];
    let (_, text, _) = output_in(dir.path(), &args, &bytes);
    let skipped = "skipped 2 blocks of decryption secrets, 2 custom blocks, 1 unknown block";
    assert!(text.contains(skipped), "{text}");
}

/// `cat a.pcapng b.pcapng` is a pcapng too: each section has its own byte order, interfaces and clocks.
#[test]
fn sections_have_interfaces_of_their_own() {
    let ethernet = [&[0; 12][..], &[0x08, 0x00], &ssh()].concat();
    let bytes = [
        LITTLE.section(),
        LITTLE.interface(LinkType::RAW, &[LITTLE.option(IF_TSRESOL, &[0])]),
        LITTLE.interface(LinkType::ETHERNET, &[]),
        LITTLE.packet(0, 7, &ssh(), &[]),
        LITTLE.packet(1, 8, &ethernet, &[]),
        LITTLE.statistics(0, 2),
        BIG.section(),
        BIG.interface(LinkType::ETHERNET, &[BIG.option(IF_TSRESOL, &[9])]),
        BIG.packet(0, 9, &ethernet, &[BIG.option(4, &BIG.u64(1))]),
        BIG.statistics(0, 3),
        LITTLE.section(),
        LITTLE.interface(LinkType::IPV4, &[]),
        LITTLE.packet(0, 1, &ssh(), &[]),
    ];
    let (seen, counts) = read(bytes.concat());
    let expected = [
        (LinkType::RAW, 7 * SECOND),
        (LinkType::ETHERNET, 8_000),
        (LinkType::ETHERNET, 9),
        (LinkType::IPV4, 1_000),
    ];
    assert_eq!(seen, expected.map(|(link, time)| (link, Some(time), SSH.to_owned())));
    assert_eq!(counts.dropped, Some(5), "of both sections");
}
