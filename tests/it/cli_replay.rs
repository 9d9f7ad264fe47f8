//! `sgreplay replay` as a process.

use std::io::Write;
use std::process::{Command, Stdio};

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::{capture, output_in, root, run, run_in};

const LOCAL: [&str; 2] = ["--local", "10.0.0.5,2001:db8:a::5"];

fn replay<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&["replay", "--rules", "proposed.yaml"], args, &LOCAL].concat()
}

#[test]
fn the_summary() {
    assert_snapshot!("proposed", run(&["replay", "--rules", "proposed.yaml", "story.pcap"]));
    assert_snapshot!("current", run(&["replay", "--rules", "current.yaml", "story.pcap"]));
}

/// It once named the first packet's peer alone, as if all packets were from there.
#[test]
fn a_packet_judged_alone_shows_its_peer_too() {
    let args = replay(&["--sessions", "off", "--format", "json", "web.pcap"]);
    let (_, json, _) = output_in(&root().join("captures"), &args, b"");
    let summary: Value = serde_json::from_str(&json).unwrap();
    let http = summary["decided"].as_array().unwrap().iter().find(|kind| kind["dport"] == 80);
    assert_eq!(http.unwrap()["peers"], serde_json::json!(["203.0.113.9", "198.51.100.7"]));
}

#[test]
fn a_row_per_packet() {
    assert_snapshot!(
        "csv",
        run(&replay(&["--per", "packet", "-f", "csv", "-c", "12", "ssh.pcap"]))
    );
    assert_snapshot!("text", run(&replay(&["--per", "packet", "-c", "12", "ssh.pcap"])));
    assert_snapshot!(
        "ndjson",
        run(&replay(&["--per", "packet", "-f", "ndjson", "-c", "2", "ssh.pcap"]))
    );
}

/// A build without the formats of tables does not offer them, and says where they are.
#[cfg(not(feature = "arrow"))]
#[test]
fn a_build_without_tables_says_which_has_them() {
    for format in ["parquet", "arrow"] {
        let (status, out, err) =
            output_in(&root().join("captures"), &replay(&["-f", format, "ssh.pcap"]), b"");
        assert_eq!((status, out.as_str()), (2, ""));
        let expected = format!(
            "sgreplay: error: -f {format} is not in this build, which lacks the feature `arrow`: the Python package and the \
             Debian package have it, and `cargo install` with `--features arrow`\n"
        );
        assert_eq!(err, expected);
    }
    let (_, help, _) = output_in(root(), &["replay", "--help"], b"");
    assert!(help.contains("markdown") && !help.contains("parquet"), "{help}");
}

#[test]
fn the_threads_do_not_show() {
    for name in ["ssh.pcap", "web.pcapng", "story.pcap"] {
        let with = |threads| {
            let args = ["--per", "packet", "-f", "ndjson", "--threads", threads, name];
            run(&replay(&args))
        };
        let one = with("1");
        assert!(one.lines().count() > 10);
        for threads in ["2", "3", "8"] {
            assert_eq!(with(threads), one, "{name} by {threads} threads");
        }
    }
}

#[test]
fn a_row_per_connection() {
    assert_snapshot!("connections csv", run(&replay(&["-f", "csv", "databases.pcap"])));
}

#[test]
fn two_interfaces_have_a_row_each() {
    let args = [
        "replay",
        "--rules",
        "two-instances.yaml",
        "--per",
        "packet",
        "-f",
        "csv",
        "-c",
        "8",
        "two-instances.pcap",
    ];
    assert_snapshot!(run(&args));
}

/// The keys of DESIGN, and that their numbers agree with the rows.
#[test]
fn the_json_is_what_other_programs_rely_on() {
    let dir = root().join("captures");
    let (status, json, _) =
        output_in(&dir, &replay(&["--per", "packet", "-f", "json", "story.pcap"]), b"");
    assert_eq!(status, 0);
    let summary: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(summary["schema"], 1);
    let rows = summary["rows"].as_array().unwrap();
    let count = |column: &str, value: &str| rows.iter().filter(|row| row[column] == value).count();
    for (key, verdict) in
        [("allowed", "allow"), ("denied", "deny"), ("not_evaluated", "not_evaluated")]
    {
        assert_eq!(summary["packets"][key], count("verdict", verdict), "{key}");
    }
    assert_eq!(summary["packets"]["total"], rows.len());
    for (reason, packets) in summary["reasons"].as_object().unwrap() {
        assert_eq!(*packets, count("reason", reason), "{reason}");
    }
    let rules = summary["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 7, "every rule, the unused ones too");
    for rule in rules {
        let keys: Vec<&String> = rule.as_object().unwrap().keys().collect();
        for key in
            ["group", "rule", "direction", "policy", "priority", "packets", "bytes", "connections"]
        {
            assert!(keys.iter().any(|known| *known == key), "{key}");
        }
        assert_eq!(rule["packets"], count("rule", rule["rule"].as_str().unwrap()));
    }
    let connections = &summary["connections"];
    let denied = connections["denied"].as_u64().unwrap();
    assert_eq!(connections["total"], connections["allowed"].as_u64().unwrap() + denied);
    assert!(denied > 0 && summary["warnings"].is_array());
    // A default denial is a named decider.
    assert!(
        rows.iter()
            .filter(|row| row["reason"] == "default")
            .all(|row| row["rule"] == "default" && row["group"] == "sg-web")
    );
}

#[test]
fn the_exit_status_of_fail_on() {
    let dir = root().join("captures");
    let status = |args: &[&str], stdin: &[u8]| output_in(&dir, &replay(args), stdin).0;
    assert_eq!(status(&["story.pcap"], b""), 0);
    assert_eq!(status(&["--fail-on", "denied", "story.pcap"], b""), 1);
    assert_eq!(status(&["--fail-on", "denied", "--filter", "icmp", "story.pcap"], b""), 0);
    // A cut file never passes a gate.
    let icmp_only = ["--fail-on", "denied", "--filter", "icmp", "-"];
    let mut cut = std::fs::read(capture("story.pcap")).unwrap();
    cut.truncate(cut.len() - 3);
    assert_eq!(status(&icmp_only, &cut), 2);
    assert_eq!(status(&["--filter", "icmp", "-"], &cut), 0);
    assert_eq!(status(&[&icmp_only[..], &["--allow-truncated"]].concat(), &cut), 0);
}

#[test]
fn a_cut_capture_is_replayed_up_to_there() {
    let mut cut = std::fs::read(capture("dns.pcap")).unwrap();
    cut.truncate(700);
    assert_snapshot!(run_in(&root().join("captures"), &replay(&["-"]), &cut));
}

/// Byte for byte the packets of the input, nanoseconds kept.
#[test]
fn written_captures_hold_the_packets_themselves() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["story.pcap", "web.pcapng", "any.pcap", "snaplen-96.pcap"] {
        let (denied, allowed) = (dir.path().join("denied.pcap"), dir.path().join("allowed.pcap"));
        let paths = [denied.to_str().unwrap(), allowed.to_str().unwrap()];
        let args = replay(&[
            "--write-denied",
            paths[0],
            "--write-allowed",
            paths[1],
            "--per",
            "packet",
            "-f",
            "csv",
        ]);
        let args = [args, vec![name]].concat();
        let (status, csv, stderr) = output_in(&root().join("captures"), &args, b"");
        assert_eq!(status, 0, "{stderr}");
        let verdicts: Vec<String> =
            csv.lines().skip(1).map(|line| line.split(',').nth(16).unwrap().to_owned()).collect();
        for (path, verdict) in [(&denied, "deny"), (&allowed, "allow")] {
            let mut input = sgreplay::capture::Capture::open(&capture(name)).unwrap();
            let mut written = sgreplay::capture::Capture::open(path).unwrap();
            while let Some(frame) = input.next_frame().unwrap() {
                if verdicts[usize::try_from(frame.number).unwrap() - 1] != verdict {
                    continue;
                }
                let copy = written.next_frame().unwrap().expect("a packet is missing");
                assert_eq!(
                    (copy.link, copy.time_ns, copy.wire_len),
                    (frame.link, frame.time_ns, frame.wire_len)
                );
                assert_eq!(copy.data, frame.data);
            }
            assert!(written.next_frame().unwrap().is_none(), "a packet too many");
        }
    }
}

#[test]
fn a_closed_pipe_ends_the_program_quietly() {
    let binary = env!("CARGO_BIN_EXE_sgreplay");
    let command = format!(
        "{binary} decode ssh.pcap ping.pcap web.pcap scan.pcap | head -n 1; exit ${{PIPESTATUS[0]}}"
    );
    let output = Command::new("bash")
        .args(["-c", &command])
        .current_dir(root().join("captures"))
        .output()
        .unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}

#[test]
fn the_local_address_is_assumed_and_said() {
    let (_, text, stderr) = output_in(
        &root().join("captures"),
        &["replay", "--rules", "proposed.yaml", "-f", "ndjson", "any.pcap"],
        b"",
    );
    assert_snapshot!("assumed by the capture's own word", stderr);
    let summary: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(summary["local"]["assumed"], true);
}

/// What stands beside the verdicts: likely obstacles (SEMANTICS A9), open questions (F1), groups whose
/// members nobody knows.
#[test]
fn warnings() {
    let of = |rules: &str, args: &[&str]| {
        let args = [&["replay", "--rules", "-", "-f", "json"], args].concat();
        let (_, json, _) = output_in(&root().join("captures"), &args, rules.as_bytes());
        let summary: Value = serde_json::from_str(&json).unwrap();
        let warnings = summary["warnings"].as_array().unwrap();
        warnings.iter().map(|text| text.as_str().unwrap()).collect::<Vec<_>>().join("\n")
    };
    let open = "{security_groups: [{id: sg-a, rules: [{direction: ingress, protocol: all, source: 0.0.0.0/0}]}]}";
    assert_snapshot!("carriers", of(open, &["--local", "10.0.0.5", "smb.pcap", "mail.pcap"]));
    let mates = "{security_groups: [{id: sg-a, rules: [
        {direction: egress, policy: drop, protocol: all, destination: 0.0.0.0/0}]}],
      interfaces: [{id: a, addresses: [10.0.0.5], security_groups: [sg-a]}, {id: b, addresses: [10.0.0.6], security_groups: [sg-a]}]}";
    assert_snapshot!("open question", of(mates, &["two-instances.pcap"]));
    assert_snapshot!(
        "open question answered",
        of(mates, &["--intra-group-egress", "two-instances.pcap"])
    );
    let unknown = "{security_groups: [{id: sg-a, rules: [
        {direction: ingress, protocol: tcp, ports: 22, source: sg-elsewhere},
        {direction: ingress, protocol: tcp, ports: 23, source: 1234/sg-elsewhere}]}]}";
    assert_snapshot!("unknown members", of(unknown, &["--local", "10.0.0.5", "dns.pcap"]));
    assert_snapshot!("no local packet", of(open, &["--local", "192.0.2.1", "dns.pcap"]));
}

/// Ctrl-C on a pipe that goes on: the summary so far, marked partial, and status 0.
#[test]
fn an_interrupted_run_says_what_it_has_seen() {
    let mut child = crate::support::program()
        .args(["replay", "--rules", "proposed.yaml", "-"])
        .current_dir(root().join("captures"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(&std::fs::read(capture("dns.pcap")).unwrap()).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success()
    );
    let output = child.wait_with_output().unwrap();
    drop(pipe);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("standard input: 18 packets"), "{text}");
    assert!(text.contains("PARTIAL  interrupted"), "{text}");
}
