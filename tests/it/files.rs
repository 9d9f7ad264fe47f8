//! Files that are captures after all, and files that are none: variants of pcap, snoop, and formats that are
//! named with the command that converts them.

use std::process::Command;

use insta::assert_snapshot;
use sgreplay::capture::{Capture, DirectionHint};

use crate::support::{self, ipv4, output_in, pcap};

/// Time, bytes on the wire, direction and bytes of every frame, or the error.
type Frames = Result<Vec<(u64, u32, Option<DirectionHint>, Vec<u8>)>, String>;

fn read(bytes: &[u8]) -> Frames {
    let source = Box::new(std::io::Cursor::new(bytes.to_vec()));
    let mut capture = Capture::from_reader("x", source).map_err(|error| error.to_string())?;
    let mut frames = Vec::new();
    while let Some(frame) = capture.next_frame().map_err(|error| error.to_string())? {
        frames.push((frame.time_ns.unwrap(), frame.wire_len, frame.hint, frame.data.to_vec()));
    }
    Ok(frames)
}

/// A pcap of which everything can be chosen.
#[derive(Clone, Copy)]
struct Variant {
    magic: u32,
    version: (u16, u16),
    big: bool,
    link: u32,
    /// What stands between a record's usual header and its data.
    extra: &'static [u8],
    /// The captured length comes behind the one on the wire.
    swapped: bool,
}

const PLAIN: Variant = Variant {
    magic: 0xa1b2_c3d4,
    version: (2, 4),
    big: false,
    link: 1,
    extra: &[],
    swapped: false,
};
const MODIFIED: u32 = 0xa1b2_cd34;

impl Variant {
    fn bytes(self, packets: &[(u32, &[u8])]) -> Vec<u8> {
        let word = |n: u32| if self.big { n.to_be_bytes() } else { n.to_le_bytes() };
        let short = |n: u16| if self.big { n.to_be_bytes() } else { n.to_le_bytes() };
        let mut bytes =
            [&word(self.magic)[..], &short(self.version.0), &short(self.version.1)].concat();
        bytes.extend([word(0), word(0), word(65_535), word(self.link)].concat());
        for (n, (wire_len, data)) in (0..).zip(packets) {
            let len = u32::try_from(data.len()).unwrap();
            let lengths = if self.swapped { [*wire_len, len] } else { [len, *wire_len] };
            bytes.extend(
                [word(1_700_000_000 + n), word(5 + n), word(lengths[0]), word(lengths[1])].concat(),
            );
            bytes.extend(self.extra);
            bytes.extend(*data);
        }
        bytes
    }
}

fn ethernet(payload: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00], payload].concat()
}

fn ssh() -> Vec<u8> {
    ethernet(&ipv4("203.0.113.9:40000", "10.0.0.5:22", "S"))
}

#[expect(clippy::unnecessary_wraps, reason = "to be compared with what was read")]
fn expected(packets: &[(u32, &[u8])], hint: Option<DirectionHint>) -> Frames {
    let frame = |(n, (wire_len, data)): (u64, &(u32, &[u8]))| {
        (
            1_700_000_000_000_000_000 + n * 1_000_000_000 + (5 + n) * 1_000,
            *wire_len,
            hint,
            data.to_vec(),
        )
    };
    Ok((0..).zip(packets).map(frame).collect())
}

/// Small files of every kind that is read, beside plain pcap and pcapng.
pub(crate) fn variants() -> Vec<Vec<u8>> {
    let packet = ssh();
    let packets: &[(u32, &[u8])] = &[(54, &packet), (60, &packet)];
    let red_hat: &[u8] = &[2, 0, 0, 0, 0, 8, 0, 0];
    let variants = [
        Variant { magic: MODIFIED, extra: red_hat, ..PLAIN },
        Variant { magic: MODIFIED, extra: &[0; 12], ..PLAIN },
        Variant { extra: red_hat, ..PLAIN },
        Variant { extra: &[1, 2, 3, 4], ..PLAIN },
        Variant { version: (2, 1), swapped: true, big: true, ..PLAIN },
        Variant { version: (2, 3), ..PLAIN },
    ];
    let files = variants.iter().map(|variant| variant.bytes(packets));
    files.chain([snoop(2, 4, &[(&packet, 3), (&packet, 4)])]).collect()
}

#[test]
fn variants_of_pcap_are_read() {
    let (one, two) = (ssh(), ethernet(&ipv4("10.0.0.5:22", "203.0.113.9:40000", "S.")));
    let several: &[(u32, &[u8])] = &[(54, &one), (60, &two), (1514, &one)];
    let red_hat: &[u8] = &[2, 0, 0, 0, 0, 8, 0, 0];
    let (received, sent) = (Some(DirectionHint::Inbound), Some(DirectionHint::Outbound));
    let variants = [
        ("plain", PLAIN, None),
        ("modified", Variant { magic: MODIFIED, extra: red_hat, ..PLAIN }, received),
        (
            "modified, sent",
            Variant { magic: MODIFIED, extra: &[2, 0, 0, 0, 0, 8, 4, 0], ..PLAIN },
            sent,
        ),
        (
            "modified, other's",
            Variant { magic: MODIFIED, extra: &[2, 0, 0, 0, 0, 8, 3, 0], ..PLAIN },
            None,
        ),
        // A converter knows nothing of the packets' direction.
        ("modified by a converter", Variant { magic: MODIFIED, extra: &[0; 8], ..PLAIN }, None),
        (
            "SuSE",
            Variant { magic: MODIFIED, extra: &[2, 0, 0, 0, 0, 8, 0, 0, 9, 9, 9, 9], ..PLAIN },
            received,
        ),
        ("SuSE by a converter", Variant { magic: MODIFIED, extra: &[0; 12], ..PLAIN }, None),
        ("Red Hat", Variant { extra: red_hat, ..PLAIN }, received),
        ("Red Hat by a converter", Variant { extra: &[0; 8], ..PLAIN }, None),
        ("Nokia", Variant { extra: &[1, 2, 3, 4], ..PLAIN }, None),
        ("before version 2.3", Variant { version: (2, 1), swapped: true, ..PLAIN }, None),
        ("DG/UX", Variant { version: (543, 0), swapped: true, ..PLAIN }, None),
        ("version 2.3", Variant { version: (2, 3), ..PLAIN }, None),
        ("version 2.3, swapped", Variant { version: (2, 3), swapped: true, ..PLAIN }, None),
    ];
    for (name, variant, hint) in variants {
        for big in [false, true] {
            let extra: &'static [u8] = match (big, variant.extra) {
                // The same numbers in the other order.
                (true, [2, 0, 0, 0, 0, 8, kind, 0]) => match kind {
                    4 => &[0, 0, 0, 2, 8, 0, 4, 0],
                    3 => &[0, 0, 0, 2, 8, 0, 3, 0],
                    _ => &[0, 0, 0, 2, 8, 0, 0, 0],
                },
                (_, extra) => extra,
            };
            let variant = Variant { big, extra, ..variant };
            for packets in [several, &several[..2], &several[..1], &[]] {
                let bytes = variant.bytes(packets);
                assert_eq!(read(&bytes), expected(packets, hint), "{name}, {}", packets.len());
                // Cut anywhere, what came before is the same.
                for len in 24..bytes.len() {
                    let mut capture = Capture::from_reader(
                        "x",
                        Box::new(std::io::Cursor::new(bytes[..len].to_vec())),
                    )
                    .unwrap();
                    let mut frames = 0;
                    while let Ok(Some(frame)) = capture.next_frame() {
                        // One record alone, and cut, does not show a variant.
                        if packets.len() > 1 && len > bytes.len() - 30 {
                            assert_eq!(frame.data, packets[frames].1, "{name} cut to {len}");
                        }
                        frames += 1;
                    }
                }
            }
        }
    }
}

/// Real files have odd records, which make no variant of them.
#[test]
fn a_plain_pcap_is_not_taken_for_a_variant() {
    // On a loopback device all addresses are zero; a record may be longer than its packet was.
    let local = [&[0; 12][..], &[0x08, 0x00], &ipv4("127.0.0.1:1", "127.0.0.1:2", "S")].concat();
    let odd: &[(u32, &[u8])] = &[(40, &local), (4, &local)];
    assert_eq!(read(&PLAIN.bytes(odd)), expected(odd, None));
    // No type of Ethernet where one is expected, and one 4 and 8 bytes behind.
    let later = [&[9; 16][..], &[0x08, 0x00], &[9; 2], &[0x08, 0x00], &[9; 60]].concat();
    let later: &[(u32, &[u8])] = &[(82, &later), (82, &later)];
    assert_eq!(read(&PLAIN.bytes(later)), expected(later, None));
    // Raw packets that start like the header of Red Hat.
    let raw = [2, 0, 0, 0, 0, 8, 0, 0, 1, 2, 3];
    let raw: &[(u32, &[u8])] = &[(11, &raw), (11, &raw), (11, &raw)];
    let variant = Variant { link: 101, ..PLAIN };
    assert_eq!(read(&variant.bytes(raw)), expected(raw, None));
}

/// RFC 1761: a file header, then records of which each has a length of its own, and a sum of drops.
fn snoop(version: u32, link: u32, packets: &[(&[u8], u32)]) -> Vec<u8> {
    let word = |n: usize| u32::try_from(n).unwrap().to_be_bytes();
    let mut bytes = [&b"snoop\0\0\0"[..], &version.to_be_bytes(), &link.to_be_bytes()].concat();
    for (n, (data, drops)) in packets.iter().enumerate() {
        let padding = data.len().next_multiple_of(4) - data.len();
        bytes.extend([word(1514), word(data.len()), word(24 + data.len() + padding)].concat());
        bytes.extend([drops.to_be_bytes(), word(1_700_000_000 + n), word(7)].concat());
        bytes.extend(*data);
        bytes.extend(vec![0; padding]);
    }
    bytes
}

#[test]
fn snoop_is_read() {
    let packet = ssh();
    let bytes = snoop(2, 4, &[(&packet, 3), (&packet[..53], 3), (&packet, 8)]);
    let frames = read(&bytes).unwrap();
    let lengths: Vec<usize> = frames.iter().map(|(.., data)| data.len()).collect();
    assert_eq!(lengths, [54, 53, 54]);
    assert_eq!((frames[2].0, frames[2].1), (1_700_000_002_000_007_000, 1514));
    let mut capture =
        Capture::from_reader("x", Box::new(std::io::Cursor::new(bytes.clone()))).unwrap();
    while capture.next_frame().unwrap().is_some() {}
    assert_eq!(capture.counts().get().dropped, Some(8), "each record has the sum so far");

    let cut = read(&bytes[..bytes.len() - 7]).unwrap_err();
    assert_eq!(
        cut,
        "x: frame 3 at byte 176: the capture breaks off: the record needs 80 bytes, 73 are left"
    );
    let mut damaged = bytes;
    damaged[16 + 8..16 + 12].copy_from_slice(&30_u32.to_be_bytes());
    let damaged = read(&damaged).unwrap_err();
    assert_eq!(
        damaged,
        "x: frame 1 at byte 16: damaged record: a record of 30 bytes with 54 captured bytes"
    );
    let error = read(&snoop(2, 3, &[])).unwrap_err();
    assert_eq!(
        error,
        "x: is a snoop capture of another device, which is not read; `editcap IN OUT.pcapng` converts it"
    );
    let error = read(&snoop(5, 4, &[])).unwrap_err();
    assert!(error.contains("as Shomiti writes it"), "{error}");
}

/// The words for each format, and the command that makes a capture of it.
#[test]
fn formats_that_are_not_read_are_named() {
    let trace = |size: u32| {
        let mut trace = vec![0; 100];
        trace[..4].copy_from_slice(&size.to_le_bytes());
        trace[72..76].copy_from_slice(&[2, 0, 2, 0xc0]);
        trace
    };
    let record =
        [&[0, 0, 0, 1, 0, 0xf1, 0x53, 0x65, 2, 4, 0, 24, 0, 0, 0, 8][..], &[0; 8]].concat();
    let files: Vec<(&str, Vec<u8>)> = vec![
        ("netmon.cap", b"GMBU\0\x02\x01\0".to_vec()),
        ("old.cap", b"RTSS\x01\x01\x01\0".to_vec()),
        ("sniffer.enc", b"TRSNIFF data    \x1a\0\0".to_vec()),
        ("netxray.cap", b"XCP\x00002.001\0".to_vec()),
        ("net trace.etl", trace(1 << 16)),
        ("trace without a name", trace(1 << 12)),
        ("also.etl", vec![7; 100]),
        ("endace.erf", vec![0; 100]),
        ("endace", [&record[..], &record].concat()),
        ("aix.pcap", Variant { version: (2, 2), ..PLAIN }.bytes(&[])),
        ("iptrace.bin", b"iptrace 2.0\0\0\0".to_vec()),
        ("hp.trc", b"TR\0d\0\0\0\0\0\0\0\x80".to_vec()),
        ("peek.pkt", b"\x7fver\0\0".to_vec()),
        ("observer.bfr", b"ObserverPktBuffe".to_vec()),
        ("five.views", b"\xaa\xaa\xaa\xaa \0\0\0".to_vec()),
        ("k12.txt", b"+---------+---------------+----------+".to_vec()),
        ("phone.btsnoop", b"btsnoop\0\0\0\0\x01".to_vec()),
        ("mesquita.pcap", b"\xa1\xb2\x34\xcd\0\x02\0\x04".to_vec()),
        ("nfcapd.202611241500", b"\x0c\xa5\x02\0".to_vec()),
        ("capture.zip", b"PK\x03\x04\x14\0".to_vec()),
        ("capture.7z", b"7z\xbc\xaf\x27\x1c\0\x04".to_vec()),
        ("capture.rar", b"Rar!\x1a\x07\x01\0".to_vec()),
        ("capture.pcap.Z", b"\x1f\x9d\x90".to_vec()),
        ("capture.pcap.lz", b"LZIP\x01".to_vec()),
        ("capture.pcap.lzma", b"\x5d\0\0\x80\0".to_vec()),
        (
            "packets.json",
            b"[\n  {\n    \"_index\": \"packets-2026-11-23\",\n    \"_source\": {".to_vec(),
        ),
        ("packets.ek", b"{\"index\":{\"_index\":\"packets-2026-11-23\"}}\n{\"timestamp\"".to_vec()),
        (
            "packets.xml",
            [&b"<?xml version=\"1.0\"?>\n"[..], &[b' '; 300], b"<pdml version=\"0\">"].concat(),
        ),
        ("screen.txt", b"15:31:17.849343 IP 203.0.113.9.45676 > 10.0.0.5.53: 48146+ A?\n".to_vec()),
        ("screen2.txt", b"    1   0.000000  203.0.113.9 \xe2\x86\x92 10.0.0.5  DNS 99\n".to_vec()),
        ("hex.txt", b"0000  2a 20 0b a5 f5 4d 3a ac 52 66 24 b9 08 00 45 00   * ..\n".to_vec()),
        ("page.html", b"<!DOCTYPE html>\n<title>download</title>\n".to_vec()),
        ("pointer.pcap", b"version https://git-lfs.github.com/spec/v1\noid sha256:".to_vec()),
        ("unknown.bin", vec![0xfe; 40]),
    ];
    let dir = tempfile::tempdir().unwrap();
    let mut all = String::new();
    for (name, bytes) in &files {
        std::fs::write(dir.path().join(name), bytes).unwrap();
        let (status, stdout, stderr) = output_in(dir.path(), &["decode", name], b"");
        assert_eq!((status, stdout.as_str()), (2, ""), "{name}");
        all += &stderr;
    }
    assert_snapshot!("formats that are not read", all);
    // Standard input has no name.
    let (_, _, stderr) = output_in(dir.path(), &["decode", "-"], b"GMBU\0\x02\x01\0");
    assert!(stderr.contains("`editcap IN OUT.pcapng` converts it"), "{stderr}");
}

/// Wireshark's converter writes what it can of a capture of ours: we read the same, or say what it is.
#[test]
fn what_editcap_writes_is_read_or_named() {
    if Command::new("editcap").arg("--version").output().is_err() {
        println!("SKIPPED: editcap is not installed, so none of its formats was tried");
        return;
    }
    let original = support::capture("ssh.pcap");
    let times = |name: &std::path::Path| -> Vec<(u64, Vec<u8>)> {
        let frames = read(&std::fs::read(name).unwrap()).unwrap();
        frames.into_iter().map(|(time, _, _, data)| (time / 1_000, data)).collect()
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.bin");
    let convert = |format: &str| {
        let mut editcap = Command::new("editcap");
        editcap.args(["-F", format]).arg(&original).arg(&path);
        editcap.output().unwrap().status.success()
    };
    let read_formats =
        ["pcap", "nsecpcap", "modpcap", "rh6_1pcap", "suse6_3pcap", "nokiapcap", "snoop", "pcapng"];
    for format in read_formats {
        assert!(convert(format), "{format}");
        assert_eq!(times(&path), times(&original), "{format}");
    }
    let mut named = 0;
    for format in [
        "5views",
        "erf",
        "k12text",
        "lanalyzer",
        "netmon1",
        "netmon2",
        "nettl",
        "ngsniffer",
        "ngwsniffer_1_1",
        "ngwsniffer_2_0",
        "observer",
        "visual",
    ] {
        if convert(format) {
            let error = read(&std::fs::read(&path).unwrap()).unwrap_err();
            let is_erf = format == "erf" && error.contains("if Wireshark opens it");
            assert!(error.contains("which is not read") || is_erf, "{format}: {error}");
            named += 1;
        }
    }
    println!("{} formats of editcap read, {named} named", read_formats.len());
}

/// A source that has said all for now, and must not be asked for more.
struct Silent(Vec<u8>);

impl std::io::Read for Silent {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        assert!(!self.0.is_empty(), "more is waited for");
        let n = self.0.len().min(into.len());
        into[..n].copy_from_slice(&self.0[..n]);
        self.0.drain(..n);
        Ok(n)
    }
}

/// Packets from a pipe are yielded as they come: nothing that might be another format is waited for.
#[test]
fn a_live_pipe_is_not_waited_for() {
    let packet = ssh();
    let files = [pcap(1, &[&packet]), snoop(2, 4, &[(&packet, 0)]), pcap(101, &[&packet[14..]])];
    for bytes in files {
        let mut capture = Capture::from_reader("x", Box::new(Silent(bytes))).unwrap();
        assert!(capture.next_frame().unwrap().is_some());
    }
    let log = b"eni-id,srcaddr,dstaddr,srcport,dstport,protocol\na,192.0.2.1,10.0.0.5,1,2,6\n";
    let mut capture = Capture::from_reader("x", Box::new(Silent(log.to_vec()))).unwrap();
    assert!(capture.next_frame().unwrap().is_some());
}
