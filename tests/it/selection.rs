//! What is reported, and in which order captures are read (SEMANTICS F21 to F23).

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{self, ipv4, output_in, pcap_ns};

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_700_000_000 * SECOND;

fn replay(dir: &Path, more: &[&str], stdin: &[u8]) -> (i32, String, String) {
    let rules = support::capture("proposed.yaml");
    let args = ["replay", "--rules", rules.to_str().unwrap()];
    output_in(dir, &[&args[..], more].concat(), stdin)
}

fn csv(dir: &Path, more: &[&str]) -> Vec<String> {
    let (status, text, stderr) = replay(dir, more, b"");
    assert_eq!(status, 0, "{stderr}");
    text.lines().map(str::to_owned).collect()
}

fn captures() -> std::path::PathBuf {
    support::root().join("captures")
}

/// A filter leaves rows out and changes none: verdicts, connections and counts are those of the whole capture.
#[test]
fn f21_a_filter_restricts_rows_and_changes_none() {
    let filters = ["tcp", "src host 10.0.0.5", "port 22 or icmp", "not net 203.0.113.0/24", "ip6"];
    for name in ["story.pcap", "ping.pcap", "fragments.pcap", "scan.pcap"] {
        for per in ["packet", "connection"] {
            let args = ["--per", per, "-f", "csv", name];
            let all = csv(&captures(), &args);
            let known: BTreeSet<&String> = all.iter().collect();
            for filter in filters {
                let some = csv(&captures(), &[&args[..], &["--filter", filter]].concat());
                let new: Vec<&String> = some.iter().filter(|row| !known.contains(row)).collect();
                assert!(new.is_empty(), "{name} {filter} {per}: {new:?}");
                assert!(some.len() <= all.len());
            }
        }
    }
}

/// The counters of a filtered run are those of the packets and connections that it reports.
#[test]
fn f21_summaries_count_the_packets_that_are_chosen() {
    let filter = ["--filter", "src host 10.0.0.5", "story.pcap"];
    let rows = csv(&captures(), &[&["--per", "packet", "-f", "csv"], &filter[..]].concat());
    let connections =
        csv(&captures(), &[&["--per", "connection", "-f", "csv"], &filter[..]].concat());
    let (_, text, _) = replay(&captures(), &[&["-f", "json"], &filter[..]].concat(), b"");
    let summary: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(summary["packets"]["total"], rows.len() - 1);
    assert_eq!(summary["connections"]["total"], connections.len() - 1);
    let rules = summary["rules"].as_array().unwrap();
    let packets: u64 = rules.iter().map(|rule| rule["packets"].as_u64().unwrap()).sum();
    assert!(packets > 0 && packets < rows.len() as u64);
}

/// Sessions that a packet before the window has opened are known in it.
#[test]
fn f21_the_time_before_since_warms_sessions_up() {
    let dir = tempfile::tempdir().unwrap();
    let (client, ssh) = ("203.0.113.9:40000", "10.0.0.5:22");
    let packets = [
        (START, ipv4(client, ssh, "S")),
        (START + SECOND, ipv4(ssh, client, "S.")),
        (START + 10 * SECOND, ipv4(ssh, client, "P.")),
        (START + 20 * SECOND, ipv4(client, ssh, "F.")),
    ];
    let packets: Vec<(u64, &[u8])> =
        packets.iter().map(|(at, data)| (*at, data.as_slice())).collect();
    std::fs::write(dir.path().join("x.pcap"), pcap_ns(101, &packets)).unwrap();
    let args = ["--local", "10.0.0.5", "--per", "packet", "-f", "csv", "x.pcap"];
    let all = csv(dir.path(), &args);
    let late = csv(dir.path(), &[&args[..], &["--since", "1700000005.5"]].concat());
    assert_eq!(late[1..], all[3..]);
    assert!(late[1].contains("allow,session"), "{late:?}");
    let early = csv(dir.path(), &[&args[..], &["--until", "1700000005"]].concat());
    assert_eq!(early[1..], all[1..3]);
    let count =
        csv(dir.path(), &[&args[..], &["--count", "1", "--filter", "src port 22"]].concat());
    assert_eq!(count[1..], all[2..3]);
    // Times that 64 bits of nanoseconds do not hold are refused, and crash nothing.
    for time in ["18446744073.999999999", "18446744073.709551616", "99999999999"] {
        let (status, _, stderr) =
            replay(dir.path(), &[&args[..], &["--since", time]].concat(), b"");
        assert_eq!(status, 2);
        assert!(stderr.contains("--since"), "{stderr}");
    }
}

/// Rotated files of one capture: `cap`, `cap1`, `cap10`, `cap2`, as a shell names them.
fn rotated(dir: &Path, overlap: bool) -> Vec<String> {
    let (client, ssh) = ("203.0.113.9:40000", "10.0.0.5:22");
    let mut names = Vec::new();
    for n in 0..12_u64 {
        let flags = if n == 0 { "S" } else { "P." };
        let start = START + n * 10 * SECOND;
        let step = if overlap { 7 * SECOND } else { SECOND };
        let data = [ipv4(client, ssh, flags), ipv4(ssh, client, ".")];
        let packets: Vec<(u64, &[u8])> =
            (0_u64..).zip(&data).map(|(k, data)| (start + k * step * 2, data.as_slice())).collect();
        let name = if n == 0 { "cap".to_owned() } else { format!("cap{n}") };
        std::fs::write(dir.join(&name), pcap_ns(101, &packets)).unwrap();
        names.push(name);
    }
    names.sort();
    names
}

#[test]
fn f22_captures_are_read_in_the_order_of_their_packets() {
    for overlap in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut names = rotated(dir.path(), overlap);
        let rows = |names: &[String], more: &[&str]| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            csv(
                dir.path(),
                &[&["--local", "10.0.0.5", "--per", "packet", "-f", "csv"], more, &names].concat(),
            )
        };
        let by_shell = rows(&names, &[]);
        assert!(by_shell[1..].iter().all(|row| row.contains(",allow,")), "{by_shell:?}");
        let times: Vec<&str> =
            by_shell[1..].iter().map(|row| row.split(',').nth(1).unwrap()).collect();
        assert!(times.is_sorted(), "{times:?}");
        names.reverse();
        assert_eq!(rows(&names, &[]), by_shell, "the order of names is ignored");
        assert_eq!(rows(&names, &["--threads", "1"]), by_shell);
        assert_ne!(rows(&names, &["--as-named"]), by_shell);
        // A directory is a set of captures.
        assert_eq!(
            csv(dir.path(), &["--local", "10.0.0.5", "--per", "packet", "-f", "csv", "."]),
            by_shell
        );
    }
}

/// Files that follow each other are not open at once.
#[test]
fn f22_many_rotated_files_need_few_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let client = "203.0.113.9:40000";
    let names: Vec<String> = (0..300_u64)
        .map(|n| {
            let data = ipv4(client, "10.0.0.5:22", "S");
            let packets = [(START + n * SECOND, data.as_slice())];
            std::fs::write(dir.path().join(format!("{n}.pcap")), pcap_ns(101, &packets)).unwrap();
            format!("{n}.pcap")
        })
        .collect();
    let rules = support::capture("proposed.yaml");
    let command = format!(
        "ulimit -n 30; exec \"$0\" replay --rules '{}' --local 10.0.0.5 -f json {}",
        rules.display(),
        names.join(" ")
    );
    let output = Command::new("bash")
        .args(["-c", &command, env!("CARGO_BIN_EXE_sgreplay")])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["packets"]["total"], 300);
}

/// A pipe gives what the file gives, also where the local address and who accepts connections is inferred.
#[test]
fn f23_a_pipe_gives_what_the_file_gives() {
    for name in ["story.pcap", "dns.pcap", "midstream.pcap", "web.pcapng", "fragments.pcap"] {
        for format in [
            &["-f", "json"][..],
            &["--per", "packet", "-f", "csv"],
            &["--per", "connection", "-f", "csv"],
        ] {
            let bytes = std::fs::read(support::capture(name)).unwrap();
            let (_, from_file, _) = replay(&captures(), &[format, &[name]].concat(), b"");
            let (_, from_pipe, stderr) = replay(&captures(), &[format, &["-"]].concat(), &bytes);
            let from_file = from_file.replace(name, "standard input");
            assert_eq!(from_pipe, from_file, "{name} {format:?} {stderr}");
        }
    }
}

/// A live stream is judged as it comes: nothing is inferred from packets that have not come yet, and that is said.
#[test]
fn f23_a_live_pipe_says_that_nothing_is_inferred() {
    let bytes = std::fs::read(support::capture("midstream.pcap")).unwrap();
    let (status, text, _) = replay(&captures(), &["--live", "--local", "10.0.0.5", "-"], &bytes);
    assert_eq!(status, 0);
    assert!(text.contains("warning: --live"), "{text}");
    let (status, _, stderr) = replay(&captures(), &["--live", "-"], &bytes);
    assert_eq!(status, 2);
    assert!(stderr.contains("give --local"), "{stderr}");
}

#[test]
fn a_clock_that_runs_backwards_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (client, ssh) = ("203.0.113.9:40000", "10.0.0.5:22");
    let data = [ipv4(client, ssh, "S"), ipv4(ssh, client, "S."), ipv4(client, ssh, ".")];
    let at = |times: [u64; 3]| {
        let packets: Vec<(u64, &[u8])> =
            times.into_iter().zip(data.iter().map(Vec::as_slice)).collect();
        std::fs::write(dir.path().join("x.pcap"), pcap_ns(101, &packets)).unwrap();
        let (status, text, _) = replay(dir.path(), &["--local", "10.0.0.5", "x.pcap"], b"");
        assert_eq!(status, 0);
        assert!(text.contains("connections      1        1       0"), "{text}");
        text
    };
    let back = at([START, START + SECOND, START - 3600 * SECOND]);
    assert!(back.contains("the clock of x.pcap runs backwards 1 time, by 1 h 0 min at the most, first at its frame 3"), "{back}");
    assert!(!at([START, START + 1_000_000, START]).contains("backwards"), "queues reorder");
}

/// As libpcap has it, `host` and `net` look at the addresses of ARP.
#[test]
fn filters_look_at_arp_as_libpcap_does() {
    let count = |filter: &str| {
        let args = ["decode", "-f", "csv", "--filter", filter, "story.pcap"];
        output_in(&captures(), &args, b"")
            .1
            .lines()
            .skip(1)
            .filter(|row| row.contains("non_ip"))
            .count()
    };
    assert_eq!(count("host 10.0.0.5"), 2);
    assert_eq!(count("src host 10.0.0.5"), 1);
    assert_eq!(count("dst net 10.0.0.0/30"), 1);
    assert_eq!(count("not host 10.0.0.5"), 0);
    assert_eq!(count("ip host 10.0.0.5"), 0);
    assert_eq!(count("host 10.0.0.5 and tcp"), 0);
}

/// A connection under way is judged by when the earliest capture began, whichever was named first.
#[test]
fn f22_what_is_inferred_does_not_depend_on_the_order_of_names() {
    let dir = tempfile::tempdir().unwrap();
    let (client, ssh) = ("203.0.113.9:40000", "10.0.0.5:22");
    for (name, at) in [("a.pcap", START), ("b.pcap", START + 48 * 3600 * SECOND)] {
        let data = ipv4(ssh, client, "P.");
        std::fs::write(dir.path().join(name), pcap_ns(101, &[(at, data.as_slice())])).unwrap();
    }
    let args = ["--local", "10.0.0.5", "--per", "packet", "-f", "csv"];
    let rows = |names: [&str; 2]| csv(dir.path(), &[&args[..], &names].concat());
    assert_eq!(rows(["a.pcap", "b.pcap"]), rows(["b.pcap", "a.pcap"]));
}
