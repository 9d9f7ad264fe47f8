//! Real captures against an independent decoder, packet by packet.
//!
//! `SGREPLAY_CORPUS` names a folder of captures, each `X` with its oracle `X.csv.gz` beside it: the
//! columns of `decode -f csv` as another program sees them, `sure` where a row must agree, and
//! `protocols`, the layers that the other program found. Without it the test says that it compared
//! nothing.

use std::collections::HashMap;
use std::path::Path;

use sgreplay::capture::Capture;
use sgreplay::decode::decode;
use sgreplay::report::{Cell, DECODE_COLUMNS, decode_cells};

use crate::support;

/// Files in which the oracle is wrong where it is sure, by the end of their names, and why.
const ORACLE_ERRORS: [(&str, &str); 10] = [
    ("advanced__test102.pcapng", "counts a custom block as a frame"),
    ("basic__test017.pcapng", "counts unknown blocks as frames"),
    ("basic__test018.pcapng", "counts a custom block as a frame"),
    ("difficult__test202.pcapng", "counts custom blocks as frames"),
    ("tests__timestamp_invalid_*.pcap", "writes a full second in the fraction as .1 of a second"),
    ("tests__slip-*.pcap", SLIP),
    ("tests__cve2015-0261-crash.pcap", SLIP),
    ("tests__heapoverflow-sl_if_print.pcap", SLIP),
    ("tests__icmp6_nodeinfo_oobr.pcap", SLIP),
    ("tests__unsupported-link-type-160.pcap", "knows no more of a private link type than we do"),
];
const SLIP: &str = "has no dissector for SLIP and calls it `non_ip`; tcpdump reads it as we do";

/// One packet as the oracle has it, and ours.
struct Row<'a> {
    encap: &'a str,
    protocols: &'a str,
    outcome: &'a str,
    fragment: &'a str,
    /// Column, the oracle's value, ours.
    differs: Vec<(&'static str, &'a str, &'a str)>,
    ours: Option<&'a str>,
}

impl Row<'_> {
    fn has(&self, layer: &str) -> bool {
        self.protocols.split(':').any(|found| found == layer)
    }
}

/// What is to be said of packets of which the oracle is not sure.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Finding {
    Alike,
    /// Looked at: ours is what the packet says.
    WeAreRight,
    /// Not read here, and not looked at further.
    NotLookedAt,
}

/// A class of unsure packets: the first whose question is answered with yes.
type Class = (Finding, &'static str, fn(&Row<'_>) -> bool);

const CLASSES: [Class; 14] = [
    (
        Finding::Alike,
        "802.11, with and without radiotap: LLC in data frames that are not encrypted",
        |row| row.differs.is_empty() && ["20", "23"].contains(&row.encap),
    ),
    (
        Finding::Alike,
        "other link layers than Ethernet: PPP, frame relay, FDDI, HDLC, NFLOG, pktap, raw",
        |row| row.differs.is_empty() && row.encap != "1",
    ),
    (Finding::Alike, "LLC, SNAP and what is neither", |row| {
        row.differs.is_empty() && row.has("llc")
    }),
    (Finding::Alike, "PPPoE", |row| row.differs.is_empty() && row.has("pppoes")),
    (Finding::Alike, "provider backbone, FabricPath, MACsec without encryption", |row| {
        row.differs.is_empty() && ["ieee8021ah", "cfp", "macsec"].iter().any(|of| row.has(of))
    }),
    (Finding::Alike, "cut, malformed and otherwise odd packets on Ethernet", |row| {
        row.differs.is_empty()
    }),
    (
        Finding::WeAreRight,
        "later IPv6 fragments: the fragment header names a protocol, the oracle's column stays empty",
        |row| row.fragment == "later" && fills(row),
    ),
    (
        Finding::WeAreRight,
        "protocol, ports, type or address that the packet holds and the oracle leaves empty (mobility and \
         other extension headers, no next header, SCTP and unknown protocols behind tags, cut payloads)",
        fills,
    ),
    (
        Finding::WeAreRight,
        "Arista's timestamp and then other tags, at which the oracle stops; tcpdump reads them as we do",
        |row| row.has("avsp"),
    ),
    (Finding::NotLookedAt, "6LoWPAN, which is not read: `non_ip`", |row| row.has("6lowpan")),
    (
        Finding::NotLookedAt,
        "link types that are not read: private ones, Juniper's, ATM's: `unsupported_link`",
        |row| row.ours == Some("unsupported_link"),
    ),
    (
        Finding::WeAreRight,
        "headers that end too soon or contradict themselves: `truncated` or `malformed`, where the oracle \
         says `decoded` and leaves columns empty",
        |row| {
            row.outcome == "decoded"
                && ["truncated", "malformed"].iter().any(|of| row.ours == Some(of))
        },
    ),
    (
        Finding::WeAreRight,
        "an EtherType of IP before bytes of no IP version, or of the other: `malformed`, not `non_ip`; and \
         the link type of IPv4 before IPv6: `non_ip`",
        |row| row.differs.iter().any(|(column, ..)| *column == "outcome"),
    ),
    (
        Finding::WeAreRight,
        "a fragment header at the end of a cut packet: it names offset and protocol all the same",
        |row| row.has("ipv6.fraghdr"),
    ),
];

/// The oracle has nothing in the columns that differ.
fn fills(row: &Row<'_>) -> bool {
    row.differs.iter().all(|(_, theirs, _)| theirs.is_empty())
}

fn oracle_error(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_str()?;
    let fits = |pattern: &str| match pattern.split_once('*') {
        Some((start, end)) => name.starts_with(start) && name.ends_with(end),
        None => name.ends_with(pattern),
    };
    ORACLE_ERRORS.iter().find(|(pattern, _)| fits(pattern)).map(|(_, why)| *why)
}

fn text(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Number(number) => number.to_string(),
        Cell::Text(text) => (*text).to_owned(),
        Cell::Owned(text) => text.clone(),
        Cell::Addr(addr) => addr.to_string(),
        Cell::Community(id) => id.to_string(),
    }
}

#[test]
fn every_packet_agrees_with_the_oracle_or_is_explained() {
    let Some(corpus) = std::env::var_os("SGREPLAY_CORPUS") else {
        println!("SKIPPED: SGREPLAY_CORPUS is not set, so no packet was compared with the oracle");
        return;
    };
    let files = support::corpus(Path::new(&corpus));
    assert!(!files.is_empty(), "no oracle in {}", corpus.display());
    let (mut compared, mut excused, mut wrong) = (0, 0, Vec::new());
    let mut classes = [0_u32; CLASSES.len()];
    for path in &files {
        let mut rows: HashMap<String, Vec<String>> = HashMap::new();
        let mut capture = Capture::open(path).unwrap();
        // Damaged files are part of the corpus: what came before the damage must agree all the same.
        while let Ok(Some(frame)) = capture.next_frame() {
            let cells = decode_cells(&frame, &decode(frame.link, frame.data));
            rows.insert(frame.number.to_string(), cells.iter().map(text).collect());
        }
        let oracle = format!("{}.csv.gz", path.display());
        let gzip = flate2::read::MultiGzDecoder::new(std::fs::File::open(oracle).unwrap());
        let mut reader = csv::Reader::from_reader(gzip);
        let header = reader.headers().unwrap().clone();
        for record in reader.records() {
            let record = record.unwrap();
            let want =
                |column: &str| &record[header.iter().position(|name| name == column).unwrap()];
            let ours = rows.get(want("frame"));
            let differs = match ours {
                None => vec![("frame", want("frame"), "no such frame")],
                Some(ours) => {
                    let both = DECODE_COLUMNS.iter().zip(ours);
                    both.filter(|(column, ours)| {
                        let timeless = **column == "time_ns" && want("time_ns").is_empty();
                        want(column) != *ours && !timeless
                    })
                    .map(|(column, ours)| (*column, want(column), ours.as_str()))
                    .collect()
                }
            };
            let at = || {
                let name = path.strip_prefix(&corpus).unwrap().display();
                format!("{name} frame {} ({}): {differs:?}", want("frame"), want("protocols"))
            };
            if want("sure") == "1" {
                compared += 1;
                match (differs.is_empty(), oracle_error(path)) {
                    (true, _) => {}
                    (false, Some(_)) => excused += 1,
                    (false, None) => wrong.push(at()),
                }
                continue;
            }
            let row = Row {
                encap: want("encap"),
                protocols: want("protocols"),
                outcome: want("outcome"),
                fragment: want("fragment"),
                differs: differs.clone(),
                ours: ours.map(|ours| ours[4].as_str()),
            };
            match CLASSES.iter().position(|(.., fits)| fits(&row)) {
                Some(class) => classes[class] += 1,
                None => wrong.push(format!("in no class: {}", at())),
            }
        }
    }
    println!(
        "{} files: {compared} packets of which the oracle is sure, {} differ; {excused} are the oracle's errors:",
        files.len(),
        wrong.len(),
    );
    for (pattern, why) in ORACLE_ERRORS {
        println!("         {pattern}: {why}");
    }
    for (finding, title) in [
        (Finding::Alike, "alike, though the oracle is not sure"),
        (Finding::WeAreRight, "looked at, and ours is right; the oracle is merely different"),
        (Finding::NotLookedAt, "not read, and not looked at"),
    ] {
        let with_count = CLASSES.iter().zip(&classes);
        let of: Vec<_> = with_count.filter(|((of, ..), _)| *of == finding).collect();
        println!("{} packets {title}:", of.iter().map(|(_, count)| *count).sum::<u32>());
        for ((_, what, _), count) in of {
            println!("  {count:>5}  {what}");
            assert!(*count > 0, "nothing is in this class");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.iter().take(20).cloned().collect::<Vec<_>>().join("\n"));
    assert!(compared > 0);
}
