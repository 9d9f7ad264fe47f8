//! A packet costs no allocation: not to be read, not to be decoded, not to be judged once its
//! connection is known.

use std::io::Cursor;

use sgreplay::capture::{Batch, Capture};
use sgreplay::decode::{Tunnels, decode, decode_inside};
use sgreplay::labels::Labels;
use sgreplay::replay::{Options, Replay};
use sgreplay::rules::RuleSet;

use crate::support;

/// The frames of a capture so many times over, as one capture.
fn repeated(name: &str, times: usize) -> Vec<u8> {
    let bytes = std::fs::read(support::capture(name)).unwrap();
    let (header, records) = bytes.split_at(24);
    [header, &records.repeat(times)].concat()
}

/// Allocations while a capture is read to its end, and its frames.
fn allocations(bytes: &[u8], mut each: impl FnMut(&Batch)) -> (u64, u64) {
    let (bytes, mut frames) = (bytes.to_vec(), 0);
    let measured = allocation_counter::measure(|| {
        let mut capture = Capture::from_reader("x", Box::new(Cursor::new(bytes))).unwrap();
        let mut batch = Batch::default();
        while capture.next_batch(&mut batch).unwrap() {
            frames += batch.frames().count() as u64;
            each(&batch);
        }
    });
    (measured.count_total, frames)
}

/// A hundred times the packets, and no allocation more than a few for buffers that grow once.
fn grows_not(name: &str, each: impl Fn(&Batch) + Copy) {
    let (few, frames) = allocations(&repeated(name, 20), each);
    let (many, more_frames) = allocations(&repeated(name, 2000), each);
    assert_eq!(more_frames, frames * 100);
    assert!(
        many <= few + 20,
        "{name}: {frames} frames {few} allocations, {more_frames} frames {many}"
    );
}

#[test]
fn reading_and_decoding_allocate_nothing_per_packet() {
    for name in ["ssh.pcap", "dns.pcap", "fragments.pcap", "vlan.pcap", "any.pcap", "ping.pcap"] {
        grows_not(name, |_| {});
        grows_not(name, |batch| {
            for frame in batch.frames() {
                std::hint::black_box(decode(frame.link, frame.data));
            }
        });
    }
    let mut tunnels = Tunnels::default();
    tunnels.add("vxlan").unwrap();
    let tunnels = &tunnels;
    grows_not("vxlan-mirror.pcap", |batch| {
        for frame in batch.frames() {
            std::hint::black_box(decode_inside(frame.link, frame.data, tunnels));
        }
    });
}

#[test]
fn judging_allocates_nothing_for_a_packet_of_a_known_connection() {
    let text = std::fs::read_to_string(support::capture("proposed.yaml")).unwrap();
    let mut rules = sgreplay::parse::yaml("proposed.yaml", &text).unwrap();
    rules.set_local(vec!["10.0.0.5/32".parse().unwrap()]);
    let judge = |times: usize| {
        let mut replay = Replay::new(&rules, Options::default());
        let bytes = repeated("web.pcap", times);
        let (count, _) = allocations(&bytes, |batch| {
            for frame in batch.frames() {
                replay.judge(&frame, &decode(frame.link, frame.data));
            }
        });
        // A connection whose packets come again is opened again: it is the connections that cost.
        (count, replay.stats().connections().total())
    };
    let ((few, opened), (many, opened_more)) = (judge(2), judge(200));
    let most = few + 4 * (opened_more - opened) + 20;
    assert!(many <= most, "{opened} connections {few} allocations, {opened_more} {many}");
    assert!(many < 200 * 129, "fewer than packets");
}

/// So many interfaces that share 50 groups whose members reach each other.
fn interfaces(count: usize) -> RuleSet {
    use std::fmt::Write;
    let mut text = "security_groups:\n".to_owned();
    for group in 0..50 {
        let rule =
            format!("direction: ingress, protocol: tcp, ports: 22, source: 203.0.{group}.0/24");
        writeln!(text, "  - {{id: sg-{group}, rules: [{{{rule}}}]}}").unwrap();
    }
    text.push_str("interfaces:\n");
    for n in 0..count {
        let (a, b, group) = (n / 256, n % 256, n % 50);
        let words =
            format!("id: eni-{n}, addresses: [10.0.{a}.{b}], security_groups: [sg-{group}]");
        writeln!(text, "  - {{{words}}}").unwrap();
    }
    sgreplay::parse::yaml("x.yaml", &text).unwrap()
}

#[test]
fn lists_are_made_once_for_interfaces_with_the_same_groups() {
    let start = |count: usize| {
        let rules = interfaces(count);
        allocation_counter::measure(|| {
            let replay = Replay::new(&rules, Options::default());
            std::hint::black_box((Labels::new(&rules), replay.index_memory()));
        })
    };
    let (few, many) = (start(1_000), start(20_000));
    // An interface costs its name in two tables, its addresses, and a member's address in its group's lists.
    let each = (many.count_total - few.count_total) / 19_000;
    assert!(each <= 12, "{each} allocations an interface");
    let each = (many.bytes_max - few.bytes_max) / 19_000;
    assert!(each <= 1_000, "{each} bytes an interface");
}
