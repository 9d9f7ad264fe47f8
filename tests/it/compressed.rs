//! gzip and zstd, by content.

use std::io::Write;

use crate::support::{capture, output_in, pcap, root, run_in};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 3).unwrap()
}

#[test]
fn a_compressed_capture_is_the_capture() {
    let dir = root().join("captures");
    let decode = |bytes: &[u8]| output_in(&dir, &["decode", "-f", "csv", "-"], bytes);
    for name in ["story.pcap", "web.pcapng"] {
        let bytes = std::fs::read(capture(name)).unwrap();
        let plain = decode(&bytes);
        assert_eq!(plain.0, 0);
        assert_eq!(decode(&gzip(&bytes)), plain);
        assert_eq!(decode(&zstd(&bytes)), plain);
        // Members and frames one after the other, as `cat` and rotating writers leave them.
        let (head, tail) = bytes.split_at(bytes.len() / 2);
        assert_eq!(decode(&[gzip(head), gzip(tail)].concat()), plain);
        assert_eq!(decode(&[zstd(head), zstd(tail)].concat()), plain);
    }
}

#[test]
fn a_file_is_recognised_by_its_content() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("x.pcap"), gzip(&std::fs::read(capture("dns.pcap")).unwrap()))
        .unwrap();
    let text = run_in(dir.path(), &["decode", "-f", "csv", "x.pcap"], b"");
    assert_eq!(text.lines().filter(|line| line.contains(",decoded,")).count(), 18);
}

#[test]
fn compressed_data_that_breaks_off_is_read_up_to_there() {
    let dir = root().join("captures");
    // More than a block of either compression, so that some comes out before the end is missed.
    let packets: Vec<Vec<u8>> =
        (0..20_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes().repeat(10)).collect();
    let bytes = pcap(101, &packets.iter().map(Vec::as_slice).collect::<Vec<_>>());
    for whole in [gzip(&bytes), zstd(&bytes)] {
        let (status, stdout, stderr) =
            output_in(&dir, &["decode", "-f", "csv", "-"], &whole[..whole.len() - 9]);
        assert_eq!(status, 0, "{stderr}");
        assert!(stderr.contains("the compressed data breaks off"), "{stderr}");
        assert!(stdout.lines().count() > 1000 && stderr.contains("frame "), "{stderr}");
    }
    let (status, _, stderr) = output_in(&dir, &["decode", "-"], &gzip(&gzip(&bytes)));
    assert_eq!(status, 2);
    assert!(stderr.contains("(compressed twice)"), "{stderr}");
}
