//! Writes a first corpus for the fuzz targets, made of the repository's own captures and rules files.

#[path = "samples.rs"]
mod samples;
#[path = "targets.rs"]
#[expect(dead_code, clippy::indexing_slicing, reason = "only its lists are used")]
mod targets;

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use bzip2::write::BzEncoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::FrameEncoder;
use lzma_rust2::{XzOptions, XzWriter};
use sgreplay::capture::Capture;

/// Short, so that a mutation often hits a header.
const LEN: usize = 2000;
const FRAMES: usize = 12;

fn main() -> io::Result<()> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let corpus = |target: &str| root.join("tests/fuzz/corpus").join(target);
    for target in ["capture", "decode", "rules", "judge"] {
        fs::create_dir_all(corpus(target))?;
    }
    let texts: [(&str, &[&str]); 6] = [
        ("filter", &samples::FILTERS),
        ("accepted", &samples::ACCEPTED),
        ("expectations", &samples::EXPECTATIONS),
        ("clouds", &samples::CLOUDS),
        ("difference", &samples::PAIRS),
        ("terminal", &samples::HOSTILE),
    ];
    for (target, texts) in texts {
        fs::create_dir_all(corpus(target))?;
        for (n, text) in texts.iter().enumerate() {
            fs::write(corpus(target).join(format!("sample-{n}")), text)?;
        }
    }
    let proposed = fs::read(root.join("captures/proposed.yaml"))?;
    for entry in fs::read_dir(root.join("captures"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = fs::read(&path)?;
        if path.extension().is_some_and(|extension| extension == "yaml") {
            fs::write(corpus("rules").join(&name), &bytes)?;
        }
        if !Capture::recognises(&bytes) {
            continue;
        }
        let start = bytes.get(..LEN).unwrap_or(&bytes);
        fs::write(corpus("capture").join(&name), start)?;
        fs::write(corpus("judge").join(&name), [&proposed, samples::MARK, start].concat())?;
        let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(start)?;
        fs::write(corpus("capture").join(format!("{name}.gz")), gzip.finish()?)?;
        fs::write(corpus("capture").join(format!("{name}.zst")), zstd::encode_all(start, 3)?)?;
        let mut bzip2 = BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(start)?;
        fs::write(corpus("capture").join(format!("{name}.bz2")), bzip2.finish()?)?;
        let mut lz4 = FrameEncoder::new(Vec::new());
        lz4.write_all(start)?;
        fs::write(corpus("capture").join(format!("{name}.lz4")), lz4.finish()?)?;
        let mut xz = XzWriter::new(Vec::new(), XzOptions::with_preset(1))?;
        xz.write_all(start)?;
        fs::write(corpus("capture").join(format!("{name}.xz")), xz.finish()?)?;

        let mut capture = Capture::open(&path).map_err(io::Error::other)?;
        for n in 0..FRAMES {
            let Some(frame) = capture.next_frame().map_err(io::Error::other)? else { break };
            let link = targets::LINKS.iter().position(|link| *link == frame.link);
            let link = u8::try_from(link.unwrap_or_default()).unwrap_or_default();
            let data = frame.data.get(..200).unwrap_or(frame.data);
            let seed = [&[link, 0][..], data].concat();
            fs::write(corpus("decode").join(format!("{name}-{n}")), seed)?;
        }
    }
    for (n, log) in targets::FLOW_LOGS.iter().enumerate() {
        fs::write(corpus("capture").join(format!("flow-log-{n}")), log)?;
    }
    // Every key and most kinds of value.
    let all = "{security_groups: [{id: sg-a, type: basic, inner_access_policy: drop, rules: [\
        {id: r, direction: ingress, policy: drop, priority: 100, protocol: [tcp, udp], ports: [22/22, SSH, \
        -1/-1, prl-a], source: [10.0.0.0/8, '::/0', sg-b, 1/sg-c, pl-a], source_ports: 1/2, destination: \
        10.0.0.5, description: d}, {direction: egress, protocol: icmpv6, destination: '::/0'}]}, {id: sg-b}], \
        interfaces: [{id: eni, addresses: [10.0.0.5, '2001:db8::5'], security_groups: [sg-a], timeouts: \
        {tcp_established: 910, tcp_closed: 3, udp: 30}}], prefix_lists: [{id: pl-a, entries: \
        [198.51.100.0/24]}], port_lists: [{id: prl-a, entries: [80/80, 443/443]}]}";
    fs::write(corpus("rules").join("all"), all)
}
