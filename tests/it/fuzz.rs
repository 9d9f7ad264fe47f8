//! The fuzz targets as property tests: seconds on every run, where `tests/fuzz/run` takes its time.

#[path = "../fuzz/samples.rs"]
mod samples;
#[path = "../fuzz/targets.rs"]
mod targets;
#[path = "../fuzz/texts.rs"]
mod texts;

use proptest::prelude::*;
use sgreplay::capture::{Capture, LinkType};

use crate::compressed::{self, ENCODERS};
use crate::encapsulations::ENCAPSULATIONS;
use crate::{files, support};

/// Starts of real files and whole frames, which a mutation brings to every header.
fn seeds() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (mut files, mut frames) = (Vec::new(), Vec::new());
    for path in support::captures() {
        let bytes = std::fs::read(&path).unwrap();
        files.push(bytes[..bytes.len().min(1500)].to_vec());
        let mut capture = Capture::open(&path).unwrap();
        for _ in 0..12 {
            let Some(frame) = capture.next_frame().unwrap() else { break };
            let link = targets::LINKS.iter().position(|link| *link == frame.link).unwrap();
            let data = &frame.data[..frame.data.len().min(200)];
            frames.push([&[u8::try_from(link).unwrap(), 0], data].concat());
        }
    }
    for case in ENCAPSULATIONS {
        let link = targets::LINKS.iter().position(|link| *link == case.link).unwrap();
        let with_link =
            |(frame, _): (Vec<u8>, _)| [&[u8::try_from(link).unwrap(), 0], &frame[..]].concat();
        frames.extend(case.frames().into_iter().map(with_link));
    }
    let pcap = std::fs::read(support::capture("ping.pcap")).unwrap();
    let pcap = &pcap[..pcap.len().min(700)];
    files.extend(files::variants());
    files.extend(ENCODERS.iter().map(|(_, encode)| encode(pcap)));
    let archive = compressed::tar(&[("a.pcap", pcap), ("b.pcap.gz", &compressed::gzip(pcap))]);
    files.push(compressed::gzip(&archive));
    files.push(archive);
    files.extend(targets::FLOW_LOGS.map(|log| log.as_bytes().to_vec()));
    (files, frames)
}

/// One of the seeds with a few bytes changed, and cut somewhere.
fn mutated(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8);
    (prop::sample::select(seeds), changes, any::<prop::sample::Index>()).prop_map(
        |(mut bytes, changes, cut)| {
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if cut.index(4) == 0 {
                bytes.truncate(cut.index(bytes.len()));
            }
            bytes
        },
    )
}

fn anything() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn captures(bytes in prop_oneof![4 => mutated(seeds().0), 1 => anything()]) {
        targets::capture(&bytes);
    }

    #[test]
    fn frames(bytes in prop_oneof![2 => mutated(seeds().1), 1 => anything()]) {
        targets::decode(&bytes);
    }

    #[test]
    fn rules_files(bytes in mutated(rules())) {
        targets::rules(&bytes);
    }

    #[test]
    fn filters(bytes in mutated(bytes_of(&samples::FILTERS))) {
        texts::filter(&bytes);
    }

    #[test]
    fn accepted_changes(bytes in mutated(bytes_of(&samples::ACCEPTED))) {
        texts::accepted(&bytes);
    }

    #[test]
    fn texts_on_a_terminal(bytes in prop_oneof![mutated(bytes_of(&samples::HOSTILE)), anything()]) {
        texts::terminal(&bytes);
    }
}

proptest! {
    // These look at whole rule sets.
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn expectations(bytes in mutated(bytes_of(&samples::EXPECTATIONS))) {
        texts::expectations(&bytes);
    }

    #[test]
    fn answers_of_clouds(bytes in mutated(bytes_of(&samples::CLOUDS))) {
        texts::clouds(&bytes);
    }

    #[test]
    fn differences(bytes in mutated(bytes_of(&samples::PAIRS))) {
        texts::difference(&bytes);
    }

    #[test]
    fn batches_and_threads(bytes in mutated(rules_and_captures())) {
        texts::judge(&bytes);
    }
}

/// A target that its samples do not get into looks for nothing.
#[test]
fn samples_are_read() {
    use sgreplay::baseline::Accepted;
    use sgreplay::filter::Filter;
    use sgreplay::parse::{Content, Source, expectations, load, yaml};

    for text in samples::FILTERS {
        Filter::parse(text).unwrap();
    }
    for text in samples::ACCEPTED {
        Accepted::parse("x", text, jiff::civil::date(2026, 11, 23)).unwrap();
    }
    let rules = yaml("x", texts::RULES).unwrap();
    for text in samples::EXPECTATIONS {
        expectations("x", text, &rules).unwrap();
        texts::expectations(text.as_bytes());
    }
    for text in samples::CLOUDS {
        let found = load(&[Source { name: "x", text }], &texts::hints()).unwrap();
        match found {
            Content::Rules(loaded) => drop(loaded.rule_set("x", &texts::hints()).unwrap()),
            Content::Plan(_) => {}
            Content::Own => panic!("{text}"),
        }
        texts::clouds(text.as_bytes());
    }
    for text in samples::PAIRS {
        let (one, other) = text.split_once("\n----\n").unwrap();
        assert!(yaml("x", one).is_ok() && yaml("x", other).is_ok(), "{text}");
        texts::difference(text.as_bytes());
    }
    for bytes in rules_and_captures() {
        texts::judge(&bytes);
    }
}

fn bytes_of(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Rules, and the start of each capture behind them.
fn rules_and_captures() -> Vec<Vec<u8>> {
    let rules = std::fs::read(support::capture("proposed.yaml")).unwrap();
    let captures = support::captures().into_iter().map(|path| std::fs::read(path).unwrap());
    let start = |bytes: Vec<u8>| bytes[..bytes.len().min(1500)].to_vec();
    captures.map(|bytes| [&rules[..], samples::MARK, &start(bytes)].concat()).collect()
}

/// What the targets have found so far; each is mended.
#[test]
fn bytes_that_once_failed() {
    // The error showed 4 or 16 bytes, as they happened to arrive.
    targets::capture(&[b"\xd4\xc3\xb2\xad\x2a".as_slice(), &[0; 30]].concat());
    // The offset was that of the interface's block before the one that is cut off.
    let capture = std::fs::read(support::capture("web.pcapng")).unwrap();
    for len in 0..800 {
        targets::capture(&capture[..len]);
    }
    // Firewall rules of two networks lost `instance_tags` when they were printed.
    texts::clouds(
        br#"[{"name": "a", "network": "x/networks/one", "allowed": [{"IPProtocol": "tcp"}], "targetTags": ["web"]},
             {"name": "b", "network": "x/networks/two", "allowed": [{"IPProtocol": "udp"}]}]"#,
    );
}

fn rules() -> Vec<Vec<u8>> {
    let names = ["current.yaml", "proposed.yaml", "two-instances.yaml"];
    names.map(|name| std::fs::read(support::capture(name)).unwrap()).to_vec()
}

/// What the fuzzer has found: the message about a file that is no capture hung on how its bytes arrived.
#[test]
fn binary_behind_a_line_of_text() {
    let mut bytes = vec![2; 4096];
    bytes[..2].copy_from_slice(b"\t\n");
    // The length of a record of ERF, and the next record.
    bytes[10..12].copy_from_slice(&[0, 32]);
    targets::capture(&bytes);
}

/// Behind an MPLS label stands an Ethernet frame whose first bytes are a sound IPv6 header too: what is cut off decides
/// which, so that the cut frame is neither.
#[test]
fn a_frame_of_a_pseudowire_that_looks_like_ipv6() {
    let link = targets::LINKS.iter().position(|link| *link == LinkType::MPLS).unwrap();
    let mut bytes = vec![0; 2 + 4 + 14 + 52];
    bytes[..2].copy_from_slice(&[u8::try_from(link).unwrap(), 20]);
    // The bottom of the stack; addresses that start as IPv6 does, with a payload of no bytes; IPv4 of 52 bytes.
    (bytes[4], bytes[6], bytes[12]) = (1, 0x60, 107);
    bytes[18..24].copy_from_slice(&[8, 0, 0x45, 0, 0, 52]);
    targets::decode(&bytes);
}

/// A first record without data: what stands behind it is not looked at, since it may not have come yet.
#[test]
fn a_first_record_without_data() {
    let mut bytes = vec![0; 76];
    bytes[..6].copy_from_slice(&[0xa1, 0xb2, 0xc3, 0xd4, 0, 5]);
    (bytes[23], bytes[44], bytes[54]) = (0xe0, 8, 0x50);
    bytes[68..].copy_from_slice(b"ry\":\x08\"^\n");
    targets::capture(&bytes);
}

/// lz4 in zstd that breaks off: the decoder of lz4 took that for the end of a frame, and asked for the next for ever.
#[test]
fn compressed_twice_and_cut() {
    let mut bytes = b"\x28\xb5\x2f\xfd\x60\x01\x06\x80\0\0\x02\x21\x4c\x18\x01".to_vec();
    bytes.resize(22, 0);
    targets::capture(&bytes);
}
