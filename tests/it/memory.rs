//! What is kept of connections stays within `--memory`, however many they are, and what that costs is said.

use std::collections::BTreeMap;

use crate::support::{ipv4, output_in, pcap_every, within};

const RULES: &str = "
security_groups:
  - id: sg-web
    rules:
      - {id: web, direction: ingress, protocol: tcp, ports: [80, 443], source: 0.0.0.0/0}
      - {id: ssh, direction: ingress, protocol: tcp, ports: 22, source: 203.0.113.0/24}
";

/// Connections of one packet each, from as many networks, to three services in turn.
fn scan(connections: u32) -> Vec<Vec<u8>> {
    let packet = |n: u32| {
        let [a, b, c, d] = (0x0b00_0000 + n * 251).to_be_bytes();
        let port = [443, 22, 80][n as usize % 3];
        ipv4(&format!("{a}.{b}.{c}.{d}:40000"), &format!("10.0.0.5:{port}"), "S")
    };
    (0..connections).map(packet).collect()
}

fn folder(packets: &[Vec<u8>]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    std::fs::write(dir.path().join("proposed.yaml"), RULES.replace("[80, 443]", "443")).unwrap();
    let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    std::fs::write(dir.path().join("x.pcap"), pcap_every(1000, 101, &packets)).unwrap();
    dir
}

const ROWS: [&str; 9] = [
    "replay",
    "--rules",
    "rules.yaml",
    "--local",
    "10.0.0.5",
    "x.pcap",
    "--per",
    "connection",
    "-f",
];

/// Rows by connection: the first frame, and packets there and back.
type ByConnection = BTreeMap<String, (u64, [u64; 2])>;

/// Rows of one connection are put together.
fn rows(csv: &str) -> (ByConnection, u64) {
    let mut found = ByConnection::new();
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header = reader.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|column| column == name).unwrap();
    let columns = ["first_frame", "packets", "packets_back"].map(column);
    let mut continued = 0;
    for row in reader.records().map(Result::unwrap) {
        let [frame, there, back] = columns.map(|column| row[column].parse::<u64>().unwrap());
        continued += u64::from(&row[column("opening")] == "continued");
        let (first, packets) =
            found.entry(row[column("connection")].to_owned()).or_insert((frame, [0; 2]));
        *first = frame.min(*first);
        *packets = [packets[0] + there, packets[1] + back];
    }
    (found, continued)
}

/// Rows that are written early are the same rows.
#[test]
fn rows_of_connections_are_written_when_there_is_no_room_for_more() {
    // Between the scan's packets, a client comes back with one after a while, and the server answers.
    let mut packets = Vec::new();
    for (n, packet) in scan(4_000).into_iter().enumerate() {
        packets.push(packet);
        if n % 100 == 0 {
            packets.push(ipv4("203.0.113.9:40000", "10.0.0.5:443", if n == 0 { "S" } else { "." }));
            packets.push(ipv4(
                "10.0.0.5:443",
                "203.0.113.9:40000",
                if n == 0 { "SA" } else { "." },
            ));
        }
    }
    let dir = folder(&packets);
    let run = |more: &[&str]| output_in(dir.path(), &[&ROWS[..], &["csv"], more].concat(), b"");
    let (status, whole, err) = run(&[]);
    assert_eq!((status, err.as_str()), (0, ""));
    let (expected, continued) = rows(&whole);
    assert_eq!((expected.len(), continued), (4_001, 0));
    let in_order: Vec<u64> = csv_column(&whole, "first_frame");
    assert!(in_order.is_sorted(), "in order of opening");

    let (status, early, _) = run(&["--memory", "1MiB"]);
    assert_eq!(status, 0);
    let (found, continued) = rows(&early);
    assert_eq!(found, expected);
    assert_eq!(continued, 0, "the client that goes on is not among the denied and the idle");
    assert!(!csv_column(&early, "first_frame").is_sorted(), "rows were written early");
}

/// How a capture comes changes nothing: from a pipe, which is read in smaller parts, or in several files.
#[test]
fn rows_that_are_written_early_do_not_depend_on_how_a_capture_comes() {
    let dir = folder(&scan(12_000));
    let whole = std::fs::read(dir.path().join("x.pcap")).unwrap();
    // All records are of one length.
    let (header, records) = whole.split_at(24);
    let parts = records.chunks(records.len() / 12_000 * 5_000);
    for (part, name) in parts.zip(["1.pcap", "2.pcap", "3.pcap"]) {
        std::fs::write(dir.path().join(name), [header, part].concat()).unwrap();
    }
    for words in [[&ROWS[..], &["csv"]].concat(), [&DIFF[..], &["-f", "csv"]].concat()] {
        let words = [&words[..], &["--memory", "1MiB"]].concat();
        let run = |captures: &[&str], stdin: &[u8]| {
            let others = words.iter().copied().filter(|word| *word != "x.pcap");
            let words: Vec<&str> = others.chain(captures.iter().copied()).collect();
            let (status, rows, _) = output_in(dir.path(), &words, stdin);
            assert_eq!(status, 0);
            rows
        };
        let file = run(&["x.pcap"], b"");
        assert_eq!(run(&["-"], &whole), file, "{words:?}");
        assert_eq!(run(&["1.pcap", "2.pcap", "3.pcap"], b""), file, "{words:?}");
    }
}

fn csv_column(csv: &str, name: &str) -> Vec<u64> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let place = reader.headers().unwrap().iter().position(|column| column == name).unwrap();
    reader.records().map(|row| row.unwrap()[place].parse().unwrap()).collect()
}

/// Nothing of a connection is lost that goes on after its row was written.
#[test]
fn a_connection_may_have_two_rows_and_the_summary_says_so() {
    let mut packets = scan(4_500);
    // Denied, so that it goes first; then it tries again.
    packets.insert(0, ipv4("203.0.114.9:40000", "10.0.0.5:22", "S"));
    packets.push(ipv4("203.0.114.9:40000", "10.0.0.5:22", "."));
    let dir = folder(&packets);
    let words = [&ROWS[..], &["ndjson", "--memory", "2MiB"]].concat();
    let (status, out, _) = output_in(dir.path(), &words, b"");
    assert_eq!(status, 0);
    let lines: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_first: Vec<_> = lines.iter().filter(|row| row["connection"] == 1).collect();
    let [first, second] = of_first[..] else { panic!("{of_first:?}") };
    assert_eq!((&first["opening"], &first["reason"]), (&"seen".into(), &"default".into()));
    assert_eq!(second["opening"], "continued");
    assert_eq!(second["verdict"], "deny");
    for key in ["src", "dst", "sport", "dport", "direction", "interface", "community_id", "rule"] {
        assert_eq!(first[key], second[key], "{key}");
    }
    let warnings = lines.last().unwrap()["warnings"].to_string();
    assert!(warnings.contains("1 row goes on from rows written before for want of memory"));
}

const DIFF: [&str; 8] = [
    "diff",
    "--current",
    "rules.yaml",
    "--proposed",
    "proposed.yaml",
    "--local",
    "10.0.0.5",
    "x.pcap",
];

/// Rows of changes are the same rows, whenever they are written.
#[test]
fn rows_of_changes_are_written_when_there_is_no_room_for_more() {
    let mut packets = scan(4_500);
    // This connection is cut, and goes on after its row was written.
    packets.insert(0, ipv4("203.0.114.9:40000", "10.0.0.5:80", "S"));
    packets.push(ipv4("203.0.114.9:40000", "10.0.0.5:80", "."));
    let dir = folder(&packets);
    let run = |format, more: &[&str]| {
        let words = [&DIFF[..], &["-f", format], more].concat();
        let (status, out, _) = output_in(dir.path(), &words, b"");
        assert_eq!(status, 0);
        out
    };
    let tuples = |csv: &str| {
        let mut rows: Vec<Vec<String>> = csv::Reader::from_reader(csv.as_bytes())
            .records()
            .map(|row| row.unwrap().iter().map(str::to_owned).collect())
            .collect();
        rows.sort();
        rows
    };
    let (whole, early) = (run("csv", &[]), run("csv", &["--memory", "1MiB"]));
    assert!(csv_column(&whole, "first_frame").is_sorted());
    let (whole, mut early) = (tuples(&whole), tuples(&early));
    assert_eq!((whole.len(), early.len()), (1_501, 1_502));
    // Of the connection that went on there are two rows, with a packet each.
    let place = |rows: &[Vec<String>]| rows.iter().position(|row| row[5] == "203.0.114.9").unwrap();
    let [first, second] = [early.remove(place(&early)), early.remove(place(&early))];
    let mut whole = whole;
    let both = whole.remove(place(&whole));
    assert_eq!([&first[11], &second[11], &both[11]], ["1", "1", "2"]);
    assert_eq!(first[5..11], second[5..11]);
    assert_eq!(early, whole);
    let summary = |more| {
        let out = run("ndjson", more);
        let mut summary: serde_json::Value =
            serde_json::from_str(out.lines().last().unwrap()).unwrap();
        for key in ["connections", "packets"] {
            assert_eq!(
                summary[key]["newly_denied"].as_u64(),
                Some(1_501 + u64::from(key == "packets"))
            );
        }
        summary["warnings"].take().to_string()
    };
    assert_eq!(summary(&[]), "[]");
    assert!(summary(&["--memory", "1MiB"]).contains("changes are grouped more coarsely"));
}

/// In a summary there are fewer groups, of larger networks, with all that changes in them.
#[test]
fn changes_are_grouped_more_coarsely_where_they_are_many() {
    let dir = folder(&scan(3_000));
    let run = |more: &[&str]| output_in(dir.path(), &[&DIFF[..], more].concat(), b"").1;
    let fine = run(&[]);
    assert!(fine.contains("and 9"), "{fine}");
    let coarse = run(&["--memory", "1MiB"]);
    assert!(coarse.contains("newly denied: 1,000 of 3,000 connections"), "{coarse}");
    let lines = coarse.lines().filter(|line| line.contains("tcp 80 (HTTP)"));
    let connections = lines.map(|line| {
        assert!(line.contains("0.0/16 ("), "{line}");
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    });
    assert_eq!(connections.sum::<u64>(), 1_000, "{coarse}");
    let warning =
        "warning: changes are grouped more coarsely than usual, peers by networks of /16 and /48";
    assert!(coarse.contains(warning), "{coarse}");
    let json = run(&["-f", "json", "--memory", "1MiB"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let listed = json["changes"].as_array().unwrap().len();
    assert!((1..1_000).contains(&listed), "{listed}");
    let warnings = json["warnings"].to_string();
    let left_out = format!("`changes` leaves out {} connections", 1_000 - listed);
    assert!(warnings.contains(&left_out), "{warnings}");
}

/// A gate counts every change, listed or not.
#[test]
fn gates_do_not_depend_on_what_is_kept() {
    let dir = folder(&scan(3_000));
    std::fs::write(dir.path().join("accepted.yaml"), "- {filter: dst port 80, reason: moved}\n")
        .unwrap();
    for memory in ["1GiB", "1MiB"] {
        let gate = ["--fail-on", "newly-denied", "--memory", memory];
        let run = |more: &[&str]| output_in(dir.path(), &[&DIFF[..], &gate, more].concat(), b"").0;
        assert_eq!(run(&[]), 1);
        assert_eq!(run(&["-f", "csv"]), 1);
        assert_eq!(run(&["--accept", "accepted.yaml"]), 0);
    }
}

/// Where there are too many peers, networks are learned from; rules about single addresses are refused.
#[test]
fn suggestions_know_networks_where_peers_are_many() {
    let dir = folder(&scan(20_000));
    let run = |more: &[&str]| {
        let words = ["suggest", "--local", "10.0.0.5", "x.pcap", "-f", "json"];
        let (status, out, err) = output_in(dir.path(), &[&words[..], more].concat(), b"");
        (status, serde_json::from_str::<serde_json::Value>(&out).unwrap_or_default(), err)
    };
    let fine = ["--aggregate", "/16,/48"];
    let coarse = [&fine[..], &["--memory", "8MiB"]].concat();
    let ((status, fine, _), (coarse_status, coarse, _)) = (run(&fine), run(&coarse));
    assert_eq!((status, coarse_status), (0, 0));
    assert_eq!(fine["rules_file"], coarse["rules_file"]);
    assert_eq!([&fine["connections"], &coarse["connections"]], [20_000, 20_000]);
    let warnings = coarse["warnings"].to_string();
    assert!(warnings.contains("peers are known by networks of /"), "{warnings}");
    for more in [&[][..], &["--aggregate", "/16,/48", "--without-scans"]] {
        let (status, _, err) = run(&[more, &["--memory", "8MiB"]].concat());
        assert_eq!(status, 2, "{err}");
        assert!(err.contains("for want of memory only networks of /"), "{err}");
        assert!(err.contains("--memory allows more"), "{err}");
    }
}

/// Of a few hundred thousand connections, a command keeps what it may, and no more.
#[test]
fn memory_is_bounded() {
    let dir = folder(&scan(250_000));
    for format in ["ndjson", "csv", "json"] {
        let words = [&ROWS[..], &[format, "--memory", "16MiB", "--threads", "1"]].concat();
        let (status, err) = within(75, dir.path(), &words);
        assert_eq!(status, Some(0), "{format}: {err}");
        let unbounded = [&ROWS[..], &[format, "--threads", "1"]].concat();
        let (status, _) = within(75, dir.path(), &unbounded);
        assert_eq!(status, None, "the limit would have been too high to find anything");
    }
    for format in ["text", "markdown", "ndjson", "csv", "json"] {
        let words = [&DIFF[..], &["-f", format, "--memory", "16MiB", "--threads", "1"]].concat();
        let (status, err) = within(80, dir.path(), &words);
        assert_eq!(status, Some(0), "diff {format}: {err}");
    }
    let unbounded = [&DIFF[..], &["-f", "json", "--threads", "1"]].concat();
    let (status, _) = within(80, dir.path(), &unbounded);
    assert_eq!(status, None, "the limit would have been too high to find anything");
    for more in [&[][..], &["--without-scans"], &["--filter", "tcp"]] {
        let words = ["suggest", "--local", "10.0.0.5", "x.pcap", "--aggregate", "/8,/32"];
        let bound = ["--memory", "16MiB", "--threads", "1"];
        let (status, err) = within(90, dir.path(), &[&words[..], &bound, more].concat());
        // Nobody has answered.
        let expected = if more == ["--without-scans"] { 2 } else { 0 };
        assert_eq!(status, Some(expected), "suggest {more:?}: {err}");
    }
}
