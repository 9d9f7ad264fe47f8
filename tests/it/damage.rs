//! Damaged captures: nothing panics, loops or grows without bound, and what came before is reported.

use std::io::Cursor;

use sgreplay::capture::{Capture, CaptureErrorKind};
use sgreplay::decode::{Decoded, decode};

use crate::support;

/// Frames read, and the error that ended the reading.
fn read(bytes: &[u8]) -> (usize, Option<String>) {
    let mut capture = match Capture::from_reader("x", Box::new(Cursor::new(bytes.to_vec()))) {
        Ok(capture) => capture,
        Err(error) => return (0, Some(error.to_string())),
    };
    let mut frames = 0;
    loop {
        match capture.next_frame() {
            Ok(Some(frame)) => {
                frames += 1;
                let _: Decoded = decode(frame.link, frame.data);
                assert!(frames <= bytes.len(), "more frames than bytes");
            }
            Ok(None) => return (frames, None),
            Err(error) => {
                assert!(
                    capture.next_frame().is_ok_and(|frame| frame.is_none()),
                    "an end is an end"
                );
                return (frames, Some(error.to_string()));
            }
        }
    }
}

fn small(name: &str, len: usize) -> Vec<u8> {
    let mut bytes = std::fs::read(support::capture(name)).unwrap();
    bytes.truncate(len);
    bytes
}

#[test]
fn a_capture_cut_at_any_byte_keeps_what_came_before() {
    for bytes in [small("dns.pcap", 700), small("web.pcapng", 1500)] {
        let mut before = 0;
        for len in 0..bytes.len() {
            let (frames, error) = read(&bytes[..len]);
            assert!(frames >= before, "a longer file has no fewer frames");
            before = frames;
            let error = error.unwrap_or_default();
            let expected = ["is empty", "is not a capture", "breaks off", ""];
            assert!(expected.iter().any(|words| error.contains(words)), "{error}");
        }
        assert!(before > 2);
    }
}

#[test]
fn a_cut_record_is_named_with_frame_and_offset() {
    let bytes = support::pcap(101, &[&[0x45; 40], &[0x45; 40]]);
    let (frames, error) = read(&bytes[..bytes.len() - 7]);
    assert_eq!(frames, 1);
    assert_eq!(
        error.unwrap(),
        "x: frame 2 at byte 80: the capture breaks off: the record needs 56 bytes, 49 are left"
    );
}

#[test]
fn absurd_lengths_are_refused_before_memory_is_taken() {
    for (len, words) in [
        (0_u32, ""),
        (1, ""),
        (1 << 31, "claims 2147483648 bytes"),
        (u32::MAX, "claims 4294967295 bytes"),
    ] {
        let mut bytes = support::pcap(101, &[&[0x45; 40]]);
        bytes[32..36].copy_from_slice(&len.to_le_bytes());
        let (_, error) = read(&bytes);
        assert!(error.unwrap_or_default().contains(words), "length {len}");
    }
}

#[test]
fn pcapng_block_lengths_that_disagree_are_named() {
    let mut bytes = std::fs::read(support::capture("web.pcapng")).unwrap();
    let section = usize::from(u16::from_le_bytes([bytes[4], bytes[5]]));
    bytes[section - 4] ^= 4;
    let (frames, error) = read(&bytes);
    assert_eq!(frames, 0);
    let error = error.unwrap();
    assert!(
        error.starts_with("x: frame 1 at byte 0: damaged pcapng block of type 0x0a0d0d0a"),
        "{error}"
    );
}

/// A pcapng with these blocks behind its section header and one interface of raw IP.
fn pcapng(blocks: &[Vec<u8>]) -> Vec<u8> {
    let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
    let interface = [101, 0, 0, 0, 0, 0, 0, 0];
    [block(0x0a0d_0d0a, &section), block(1, &interface), blocks.concat()].concat()
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len() + 12).unwrap().to_le_bytes();
    [&kind.to_le_bytes()[..], &len[..], body, &len[..]].concat()
}

/// An Enhanced Packet Block that claims so many captured bytes, and holds four.
fn packet(claimed: u32) -> Vec<u8> {
    block(6, &[&[0; 12][..], &claimed.to_le_bytes(), &[4, 0, 0, 0], &[0x45, 0, 0, 0]].concat())
}

const ABSURD: [u32; 5] = [0, 1, 1 << 31, u32::MAX - 1, u32::MAX];

#[test]
fn absurd_lengths_in_pcapng_are_named() {
    for len in ABSURD {
        // Of a block: the second packet's.
        let mut bytes = pcapng(&[packet(4), packet(4)]);
        let at = bytes.len() - packet(4).len() + 4;
        bytes[at..at + 4].copy_from_slice(&len.to_le_bytes());
        let (frames, error) = read(&bytes);
        assert_eq!(frames, 1, "what came before is read");
        let error = error.unwrap();
        assert!(error.starts_with(&format!("x: frame 2 at byte {}: ", at - 4)), "{error}");
        // Of a packet in its block: one that claims less than it holds is read, as others do.
        let (frames, error) = read(&pcapng(&[packet(4), packet(len)]));
        match len {
            0 | 1 => assert_eq!((frames, error), (2, None)),
            _ => {
                let found = format!("claims {len} captured bytes, and holds 4");
                assert!(error.unwrap().ends_with(&found));
                assert_eq!(frames, 1);
            }
        }
        // Of an option: what lies behind it is not read, and the packet is.
        let option = [&[2, 0][..], &len.to_le_bytes()[..2], &[0, 0, 0, 0]].concat();
        let body = [&[0; 12][..], &[4, 0, 0, 0], &[4, 0, 0, 0], &[0x45, 0, 0, 0], &option].concat();
        assert_eq!(read(&pcapng(&[block(6, &body)])), (1, None));
    }
}

#[test]
fn no_length_makes_the_reader_take_memory() {
    let most = |bytes: &[u8]| {
        allocation_counter::measure(|| {
            read(bytes);
        })
        .bytes_max
    };
    let usual = most(&support::pcap(101, &[&[0x45; 40]]));
    for len in ABSURD {
        let mut classic = support::pcap(101, &[&[0x45; 40]]);
        classic[32..36].copy_from_slice(&len.to_le_bytes());
        let mut ng = pcapng(&[packet(4)]);
        let at = ng.len() - packet(4).len() + 4;
        ng[at..at + 4].copy_from_slice(&len.to_le_bytes());
        for bytes in [classic, ng, pcapng(&[packet(len)])] {
            let taken = most(&bytes);
            assert!(taken <= usual + 4096, "{taken} bytes for length {len}, {usual} as usual");
        }
    }
    // The longest record that is believed, of a file that ends at once: the buffer grows as bytes come.
    let mut classic = support::pcap(101, &[&[0x45; 40]]);
    classic[32..36].copy_from_slice(&(16_u32 << 20).to_le_bytes());
    assert!(most(&classic) < usual + (1 << 20));
}

/// Real files have them: the header's snap length is a promise that writers break.
#[test]
fn a_record_longer_than_the_snap_length_is_read() {
    let mut bytes = support::pcap(101, &[&[0x45; 400]]);
    bytes[16..20].copy_from_slice(&96_u32.to_le_bytes());
    assert_eq!(read(&bytes), (1, None));
    // And records that are longer than the packet was, by their own word.
    bytes[36..40].copy_from_slice(&40_u32.to_le_bytes());
    assert_eq!(read(&bytes), (1, None));
}

#[test]
fn a_hundred_thousand_interfaces_and_many_options_are_read() {
    let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
    let option = [1, 0, 4, 0, b'n', b'o', b't', b'e'].repeat(10_000);
    let interface = [&[101, 0, 0, 0, 0, 0, 0, 0][..], &option].concat();
    let mut bytes = block(0x0a0d_0d0a, &section);
    bytes.extend(block(1, &interface));
    bytes.extend(block(1, &interface[..8]).repeat(100_000));
    let packet =
        [&99_999_u32.to_le_bytes()[..], &[0; 8], &[1, 0, 0, 0], &[1, 0, 0, 0], &[0x45, 0, 0, 0]]
            .concat();
    bytes.extend(block(6, &packet));
    assert_eq!(read(&bytes), (1, None));
    // Blocks that hold no packet are read past without being kept.
    let (kind, body) = (0xbad, [0_u8; 1000]);
    bytes.extend(block(kind, &body).repeat(2000));
    bytes.extend(block(6, &packet));
    assert_eq!(read(&bytes), (2, None));
}

#[test]
fn a_cut_is_not_damage() {
    let bytes = support::pcap(101, &[&[0x45; 40]]);
    let mut capture =
        Capture::from_reader("x", Box::new(Cursor::new(bytes[..50].to_vec()))).unwrap();
    let error = capture.next_frame().unwrap_err();
    assert!(error.is_truncation());
    assert!(matches!(error.kind, CaptureErrorKind::CutOff { needed: 56, had: 26, .. }));
}
