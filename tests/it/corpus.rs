//! Real captures against an independent decoder, packet by packet.
//!
//! `SGREPLAY_CORPUS` names a folder of captures, each `X` with its oracle `X.csv.gz` beside it: the
//! columns of `decode -f csv` as another program sees them, `sure` where a row must agree, and `encap`,
//! that program's number of the link type. Without it the test says that it compared nothing.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use sgreplay::capture::Capture;
use sgreplay::decode::decode;
use sgreplay::report::{Cell, DECODE_COLUMNS, decode_cells};

/// Ethernet, Linux SLL and SLL2, raw IP, NULL and LOOP, by the oracle's numbers.
const SUPPORTED: [&str; 7] = ["1", "25", "210", "7", "129", "130", "15"];

/// Files in which the oracle is wrong, by the end of their names, and why.
const ORACLE_ERRORS: [(&str, &str); 5] = [
    ("advanced__test102.pcapng", "counts a custom block as a frame"),
    ("basic__test017.pcapng", "counts unknown blocks as frames"),
    ("basic__test018.pcapng", "counts a custom block as a frame"),
    ("difficult__test202.pcapng", "counts custom blocks as frames"),
    ("tests__timestamp_invalid_*.pcap", "writes a full second in the fraction as .1 of a second"),
];

fn oracle_error(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_str()?;
    let fits = |pattern: &str| match pattern.split_once('*') {
        Some((start, end)) => name.starts_with(start) && name.ends_with(end),
        None => name.ends_with(pattern),
    };
    ORACLE_ERRORS.iter().find(|(pattern, _)| fits(pattern)).map(|(_, why)| *why)
}

fn oracles(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            oracles(&path, found);
        } else if path.to_str().is_some_and(|name| name.ends_with(".csv.gz")) {
            found.push(path);
        }
    }
}

fn text(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Number(number) => number.to_string(),
        Cell::Text(text) => (*text).to_owned(),
        Cell::Owned(text) => text.clone(),
        Cell::Addr(addr) => addr.to_string(),
    }
}

#[test]
fn every_sure_packet_agrees_with_the_oracle() {
    let Some(corpus) = std::env::var_os("SGREPLAY_CORPUS") else {
        println!("SKIPPED: SGREPLAY_CORPUS is not set, so no packet was compared with the oracle");
        return;
    };
    let mut files = Vec::new();
    oracles(Path::new(&corpus), &mut files);
    files.sort();
    assert!(!files.is_empty(), "no oracle in {}", corpus.display());
    let (mut compared, mut unsure, mut other_links, mut excused) = (0, 0, 0, 0);
    let mut by_outcome: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong: Vec<String> = Vec::new();
    for oracle in &files {
        let path = oracle.with_extension("").with_extension("");
        let mut rows: HashMap<String, Vec<String>> = HashMap::new();
        let mut capture = Capture::open(&path).unwrap();
        // Damaged files are part of the corpus: what came before the damage must agree all the same.
        while let Ok(Some(frame)) = capture.next_frame() {
            let cells = decode_cells(&frame, &decode(frame.link, frame.data));
            rows.insert(frame.number.to_string(), cells.iter().map(text).collect());
        }
        let gzip = flate2::read::MultiGzDecoder::new(std::fs::File::open(oracle).unwrap());
        let mut reader = csv::Reader::from_reader(gzip);
        let header = reader.headers().unwrap().clone();
        for record in reader.records() {
            let record = record.unwrap();
            let want =
                |column: &str| &record[header.iter().position(|name| name == column).unwrap()];
            if !SUPPORTED.contains(&want("encap")) {
                other_links += 1;
                continue;
            }
            if want("sure") != "1" {
                unsure += 1;
                continue;
            }
            compared += 1;
            let differs = match rows.get(want("frame")) {
                None => Some("no such frame".to_owned()),
                Some(row) => DECODE_COLUMNS.iter().zip(row).find_map(|(column, got)| {
                    let (wanted, timeless) =
                        (want(column), *column == "time_ns" && want("time_ns").is_empty());
                    (wanted != got && !timeless)
                        .then(|| format!("{column}: got `{got}`, oracle `{wanted}`"))
                }),
            };
            let Some(differs) = differs else { continue };
            if oracle_error(&path).is_some() {
                excused += 1;
                continue;
            }
            *by_outcome.entry(want("outcome").to_owned()).or_default() += 1;
            let name = path.strip_prefix(&corpus).unwrap().display().to_string();
            wrong.push(format!(
                "{name} frame {}: {differs} ({})",
                want("frame"),
                want("protocols")
            ));
        }
    }
    println!(
        "{} files: {compared} packets compared, {} differ by outcome {by_outcome:?}, {excused} excused as the \
         oracle's errors, {unsure} marked unsure, {other_links} of other link types",
        files.len(),
        wrong.len(),
    );
    for (pattern, why) in ORACLE_ERRORS {
        println!("  the oracle errs in {pattern}: {why}");
    }
    assert!(wrong.is_empty(), "{}", wrong.iter().take(20).cloned().collect::<Vec<_>>().join("\n"));
    assert!(compared > 0);
}
