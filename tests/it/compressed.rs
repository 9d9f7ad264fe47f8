//! Compression and archives, by content.

use std::io::Write;

use sgreplay::capture::Capture;

use crate::support::{capture, output_in, pcap, root, run_in};

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 3).unwrap()
}

pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
    xz_preset(bytes, 1)
}

fn xz_preset(bytes: &[u8], preset: u32) -> Vec<u8> {
    let options = lzma_rust2::XzOptions::with_preset(preset);
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn lz4(bytes: &[u8]) -> Vec<u8> {
    lz4_frame(lz4_flex::frame::FrameInfo::new(), bytes)
}

fn lz4_frame(info: lz4_flex::frame::FrameInfo, bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

type Encoder = fn(&[u8]) -> Vec<u8>;
pub(crate) const ENCODERS: [(&str, Encoder); 5] =
    [("gzip", gzip), ("zstd", zstd), ("xz", xz), ("bzip2", bzip2), ("lz4", lz4)];

/// A tar archive of these files, as GNU tar writes it.
pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let entries: Vec<u8> =
        files.iter().flat_map(|(name, bytes)| entry(name, b'0', bytes)).collect();
    [entries, vec![0; 1024]].concat()
}

fn entry(name: &str, kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
    header[148..156].copy_from_slice(b"        ");
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar  \0");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let padding = vec![0; bytes.len().next_multiple_of(512) - bytes.len()];
    [&header[..], bytes, &padding].concat()
}

/// Frames that every decoder of zstd and lz4 is to skip.
fn skippable(bytes: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len()).unwrap().to_le_bytes();
    [&[0x53, 0x2a, 0x4d, 0x18][..], &len, bytes].concat()
}

#[test]
fn a_compressed_capture_is_the_capture() {
    let dir = root().join("captures");
    let decode = |bytes: &[u8]| output_in(&dir, &["decode", "-f", "csv", "-"], bytes);
    for name in ["story.pcap", "web.pcapng"] {
        let bytes = std::fs::read(capture(name)).unwrap();
        let plain = decode(&bytes);
        assert_eq!(plain.0, 0);
        for (of, encode) in ENCODERS {
            assert_eq!(decode(&encode(&bytes)), plain, "{of}");
            // Members and frames one after the other, as `cat` and rotating writers leave them.
            let (head, tail) = bytes.split_at(bytes.len() / 2);
            assert_eq!(decode(&[encode(head), encode(tail)].concat()), plain, "{of} twice");
            // A capture that was compressed when it was written, and again when it was sent.
            assert_eq!(decode(&gzip(&encode(&bytes))), plain, "{of} in gzip");
        }
        for (of, encode) in [("zstd", zstd as Encoder), ("lz4", lz4)] {
            let (head, tail) = bytes.split_at(bytes.len() / 2);
            let parts = [skippable(b"a word"), encode(head), skippable(b""), encode(tail)];
            assert_eq!(decode(&[&parts.concat()[..], &skippable(b"end")].concat()), plain, "{of}");
        }
    }
}

#[test]
fn the_kinds_of_one_compression() {
    let bytes = std::fs::read(capture("story.pcap")).unwrap();
    let frames = |bytes: Vec<u8>| {
        let mut capture = Capture::from_reader("x", Box::new(std::io::Cursor::new(bytes))).unwrap();
        while capture.next_frame().unwrap().is_some() {}
        capture.frames()
    };
    let expected = frames(bytes.clone());
    let info = lz4_flex::frame::FrameInfo::new;
    let linked = info().block_mode(lz4_flex::frame::BlockMode::Linked);
    let checked = info().content_checksum(true).block_checksums(true);
    let sized = info().content_size(Some(bytes.len() as u64));
    let large = info().block_size(lz4_flex::frame::BlockSize::Max4MB);
    for info in [linked, checked, sized, large, info().legacy_frame(true)] {
        assert_eq!(frames(lz4_frame(info.clone(), &bytes)), expected, "{info:?}");
    }
    // The largest window that `xz` itself takes without an option for more.
    assert_eq!(frames(xz_preset(&bytes, 9)), expected);
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
    let blocks = lz4_flex::frame::FrameInfo::new().block_size(lz4_flex::frame::BlockSize::Max64KB);
    for (of, encode) in ENCODERS {
        let whole = if of == "lz4" { lz4_frame(blocks.clone(), &bytes) } else { encode(&bytes) };
        let (status, stdout, stderr) =
            output_in(&dir, &["decode", "-f", "csv", "-"], &whole[..whole.len() - 9]);
        assert_eq!(status, 0, "{of}: {stderr}");
        assert!(stderr.contains("the compressed data breaks off"), "{of}: {stderr}");
        assert!(stdout.lines().count() > 1000 && stderr.contains("frame "), "{of}: {stderr}");
    }
    // Between two blocks of lz4, where nothing but the lack of an end shows it.
    let whole = lz4_frame(blocks, &bytes);
    let end = blocks_of_lz4(&whole)[3];
    let (_, _, stderr) = output_in(&dir, &["decode", "-f", "csv", "-"], &whole[..end]);
    assert!(stderr.contains("the compressed data breaks off"), "{stderr}");
}

/// Where the blocks of one frame end.
fn blocks_of_lz4(frame: &[u8]) -> Vec<usize> {
    let (mut at, mut ends) = (7, Vec::new());
    loop {
        let len = u32::from_le_bytes(frame[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
        if len == 0 {
            return ends;
        }
        at += 4 + usize::try_from(len).unwrap();
        ends.push(at);
    }
}

#[test]
fn more_layers_than_anybody_needs_are_refused() {
    let bytes = pcap(101, &[&[0x45; 40]]);
    let (status, _, stderr) =
        output_in(&root().join("captures"), &["decode", "-"], &gzip(&xz(&gzip(&bytes))));
    assert_eq!(status, 2);
    assert!(stderr.contains("is compressed more than twice"), "{stderr}");
}

/// What compresses well is not inflated before somebody has looked at its first bytes, and a dictionary is no
/// larger than the usual.
#[test]
fn bombs_are_harmless() {
    let read = |bytes: &[u8]| {
        let mut error = None;
        let used = allocation_counter::measure(|| {
            let source = Box::new(std::io::Cursor::new(bytes.to_vec()));
            error = match Capture::from_reader("x", source) {
                Err(error) => Some(error.to_string()),
                Ok(mut capture) => loop {
                    match capture.next_frame() {
                        Ok(Some(_)) => {}
                        Ok(None) => break None,
                        Err(error) => break Some(error.to_string()),
                    }
                },
            };
        });
        (error.unwrap(), used.bytes_max)
    };
    let zeros = vec![0; 64 << 20];
    let packets = pcap(1, &[&[0; 60]]);
    for (of, encode) in ENCODERS {
        let (error, used) = read(&encode(&zeros));
        assert!(error.contains("is not a capture"), "{of}: {error}");
        assert!(used < 24 << 20, "{of} takes {used} bytes");
        // Behind a packet that makes it a capture: empty packets of 1970, and no end of them.
        let (error, used) = read(&encode(&[&packets[..24], &vec![0xff; 1 << 20]].concat()));
        assert!(error.contains("claims 4294967295 bytes"), "{of}: {error}");
        assert!(used < 24 << 20, "{of} takes {used} bytes");
    }
    // A dictionary of 4 GiB: filter flags LZMA2 with its largest size, and the checksum behind them.
    let mut bomb = xz(&packets);
    let header = usize::from(bomb[12] + 1) * 4;
    assert_eq!(bomb[14..16], [0x21, 1], "LZMA2 and a byte");
    bomb[16] = 40;
    let mut crc = flate2::Crc::new();
    crc.update(&bomb[12..12 + header - 4]);
    bomb[12 + header - 4..12 + header].copy_from_slice(&crc.sum().to_le_bytes());
    let (error, used) = read(&bomb);
    assert!(error.contains("memory"), "{error}");
    assert!(used < 24 << 20, "{used} bytes");
}

#[test]
fn the_captures_of_an_archive_are_read_one_after_the_other() {
    let dir = root().join("captures");
    let decode = |bytes: &[u8]| output_in(&dir, &["decode", "-f", "csv", "-"], bytes);
    let [dns, web] = ["dns.pcap", "web.pcapng"].map(|name| std::fs::read(capture(name)).unwrap());
    // Without the frame numbers, which go on.
    let rows = |csv: &str| -> Vec<String> {
        csv.lines().skip(1).map(|row| row.split_once(',').unwrap().1.to_owned()).collect()
    };
    let expected = [rows(&decode(&dns).1), rows(&decode(&web).1)].concat();
    let compressed = gzip(&web);
    let long = format!("{}/capture.pcap", "d".repeat(200));
    let pax = format!("{} path={long}\n", long.len() + 10);
    let archives: Vec<(&str, Vec<u8>)> = vec![
        ("two captures", tar(&[("dns.pcap", &dns), ("web.pcapng", &web)])),
        ("one compressed", tar(&[("dns.pcap", &dns), ("web.pcapng.gz", &compressed)])),
        ("a directory", [entry("d/", b'5', b""), tar(&[("d/a", &dns), ("d/b", &web)])].concat()),
        (
            "a long name of GNU's",
            [entry("././@LongLink", b'L', long.as_bytes()), tar(&[("d", &dns), ("b", &web)])]
                .concat(),
        ),
        (
            "a long name of POSIX",
            [entry("h", b'x', pax.as_bytes()), tar(&[("d", &dns), ("b", &web)])].concat(),
        ),
        ("no blocks at the end", {
            let mut archive = tar(&[("a", &dns), ("b", &web)]);
            archive.truncate(archive.len() - 1024);
            archive
        }),
        ("other files", tar(&[("README", b"hello"), ("a", &dns), (".b", b""), ("b", &web)])),
    ];
    for (name, archive) in &archives {
        let (status, csv, stderr) = decode(archive);
        assert_eq!((status, stderr.as_str()), (0, ""), "{name}");
        assert_eq!(rows(&csv), expected, "{name}");
        for (of, encode) in ENCODERS {
            assert_eq!(rows(&decode(&encode(archive)).1), expected, "{name} in {of}");
        }
    }
    let (_, json, _) = output_in(&dir, &["decode", "-f", "json", "-"], &archives[6].1);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["captures"][0]["other_files"], 2, "README and an empty file");
}

#[test]
fn damaged_archives() {
    let [dns, web] = ["dns.pcap", "web.pcapng"].map(|name| std::fs::read(capture(name)).unwrap());
    let error = |archive: &[u8]| {
        let (status, csv, stderr) =
            output_in(&root().join("captures"), &["decode", "-f", "csv", "-"], archive);
        (status, csv.lines().count(), stderr)
    };
    let whole = tar(&[("dns.pcap", &dns), ("web.pcapng", &web)]);
    // Cut within the first file, within the second header, and within the second file.
    for len in [1000, 512 + dns.len().next_multiple_of(512) + 100, whole.len() - 3000] {
        let (status, _, stderr) = error(&whole[..len]);
        assert_eq!(status, 0, "a cut is no damage: {stderr}");
        assert!(stderr.contains("breaks off"), "{stderr}");
    }
    let mut damaged = whole.clone();
    damaged[512 + dns.len().next_multiple_of(512) + 3] ^= 1;
    let (status, rows, stderr) = error(&damaged);
    assert_eq!((status, rows), (2, 19));
    assert!(stderr.contains("damaged tar archive: a header whose checksum is wrong"), "{stderr}");
    // Damage in a file names the file.
    let mut cut = dns.clone();
    cut.truncate(200);
    cut.extend([0xff; 300]);
    let (status, _, stderr) = error(&tar(&[("a/b.pcap", &cut), ("web.pcapng", &web)]));
    assert_eq!(status, 2);
    assert!(stderr.contains("standard input: a/b.pcap: frame 3 at byte"), "{stderr}");

    let without = |files: &[(&str, &[u8])]| error(&tar(files)).2;
    let none = without(&[("README", b"hello"), ("x.txt", b"there")]);
    assert!(none.contains("is a tar archive without a capture; it holds README, x.txt"), "{none}");
    let nested = without(&[("b.tar", &whole)]);
    assert!(nested.contains("b.tar: is an archive in an archive"), "{nested}");
    let foreign = without(&[("x.pcap", &dns), ("y.cap", b"GMBU and more")]);
    assert!(foreign.contains("y.cap: is a capture of Microsoft Network Monitor 2"), "{foreign}");
    let log = b"2 1 eni-a 192.0.2.1 10.0.0.5 40000 443 6 2 80 1764000000 1764000058 ACCEPT OK\n";
    assert_eq!(without(&[("flow.log", log)]), "");
    let mixed = without(&[("x.pcap", &dns), ("flow.log", log)]);
    assert!(mixed.contains("flow.log: is a flow log among other files"), "{mixed}");
}

/// Inflating on a thread of its own changes no answer, nor what is said of damage, wherever the file breaks off.
#[test]
fn threads_read_the_same_of_a_compressed_capture() {
    let dir = tempfile::tempdir().unwrap();
    let packets: Vec<Vec<u8>> = (0..30_000_u32)
        .map(|n| {
            crate::support::ipv4(
                &format!("203.0.113.{}:{}", n % 200, 1024 + n),
                "10.0.0.5:443",
                "S",
            )
        })
        .collect();
    let bytes = pcap(101, &packets.iter().map(Vec::as_slice).collect::<Vec<_>>());
    for (name, encode) in ENCODERS {
        let whole = encode(&bytes);
        for cut in [whole.len(), whole.len() - 9, whole.len() / 2, whole.len() / 7] {
            std::fs::write(dir.path().join("x"), &whole[..cut]).unwrap();
            let read = |threads| output_in(dir.path(), &["decode", "--threads", threads, "x"], b"");
            let (status, rows, stderr) = read("1");
            assert_eq!(stderr.is_empty(), cut == whole.len(), "{name} {cut}: {stderr}");
            assert_eq!(read("3"), (status, rows, stderr), "{name} {cut}");
        }
    }
}
