//! Flow logs: what a record says, who opened its connection, and the cloud's own verdict beside ours.
//!
//! `SGREPLAY_FORMATS` names folders of real logs with, under `expected`, what an independent reader says of
//! each, and `SGREPLAY_CORPUS` captures, of some of which there are logs. The logs below are made up, in the
//! documented shape.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use sgreplay::capture::{Capture, DirectionHint, FlowLogOptions, Frame, Recorded};
use sgreplay::decode::decode;

use crate::support::{self, output_in, root, run_in};

/// Every record of the folder's logs says what the independent reader says.
#[test]
fn records_say_what_another_reader_says() {
    let Some(folders) = support::formats() else {
        println!(
            "SKIPPED: SGREPLAY_FORMATS names no folder of flow logs with another reader's tables"
        );
        return;
    };
    let mut records = 0;
    let tables = folders.iter().flat_map(|formats| {
        let tables = std::fs::read_dir(formats.join("expected/flowlogs")).unwrap();
        tables.map(move |entry| (formats, entry.unwrap().path()))
    });
    let mut tables: Vec<(&PathBuf, PathBuf)> = tables.collect();
    tables.sort();
    for (formats, table) in tables {
        let name = table.file_name().unwrap().to_str().unwrap().strip_suffix(".csv").unwrap();
        let theirs = std::fs::read_to_string(&table).unwrap();
        let mut theirs = csv::Reader::from_reader(theirs.as_bytes());
        let header = theirs.headers().unwrap().clone();
        let theirs: Vec<_> = theirs.records().map(Result::unwrap).collect();
        let get = |row: usize, column: &str| {
            let at = header.iter().position(|name| name == column).unwrap();
            theirs[row][at].to_owned()
        };
        let mut rows = judged_rows(name, theirs.len(), &get);
        if NEWEST_FIRST.contains(&name) {
            rows.reverse();
        }
        let mut rows = rows.into_iter();
        let path = formats.join("flowlogs").join(name);
        let fields = (name == "aws-v5-no-header.log").then(|| FIELDS.parse().unwrap());
        let options = FlowLogOptions { fields, ..FlowLogOptions::default() };
        let mut capture = Capture::open_with(&path, &options).unwrap();
        while let Some(frame) = next_record(&mut capture) {
            let row = rows.next().unwrap();
            let at = format!("{name} line {}", get(row, "line"));
            let decoded = decode(frame.link, frame.data);
            let flow = decoded.packet().unwrap().flow;
            let log = frame.log.unwrap();
            assert_eq!(flow.src.to_string(), get(row, "src"), "{at}");
            assert_eq!(flow.dst.to_string(), get(row, "dst"), "{at}");
            assert_eq!(flow.proto.0.to_string(), get(row, "proto"), "{at}");
            let ports = flow.transport.ports();
            // Where ICMP has no ports, the table has the zeros that the log puts there.
            let zero = if get(row, "sport") == "0" { "0" } else { "" };
            let port = |port: Option<u16>| port.map_or(zero.to_owned(), |port| port.to_string());
            assert_eq!(port(ports.map(|(sport, _)| sport)), get(row, "sport"), "{at}");
            assert_eq!(port(ports.map(|(_, dport)| dport)), get(row, "dport"), "{at}");
            let direction = match frame.hint {
                None => "",
                Some(DirectionHint::Inbound) => "ingress",
                Some(DirectionHint::Outbound) => "egress",
            };
            assert_eq!(direction, get(row, "direction"), "{at}");
            let action = log.action.map_or("", Recorded::as_str);
            assert_eq!(action, comparable(name, &get(row, "action"), &get(row, "note")), "{at}");
            // Records of connections count both ways; the table has those of the opener alone, or none of an event.
            let both_ways = ["zeek", "azure", "suricata", "hubble"];
            if !both_ways.iter().any(|start| name.starts_with(start)) {
                assert_eq!(log.packets.to_string(), get(row, "packets"), "{at}");
                assert_eq!(frame.wire_len.to_string(), get(row, "bytes"), "{at}");
            }
            if let Some((kind, code)) = flow.transport.icmp()
                && !name.starts_with("alibaba")
            {
                let note = get(row, "note");
                let types = note.split(';').find(|word| word.starts_with("type "));
                // Azure and Google have no types.
                if types.is_some() || name.starts_with("zeek") || name.starts_with("nfdump") {
                    assert_eq!(Some(format!("type {kind} code {code}").as_str()), types, "{at}");
                }
            }
            records += 1;
        }
        assert_eq!(rows.next(), None, "{name}: fewer records than another reader finds");
    }
    println!("{records} records: another reader says the same");
    assert!(records > 70);
}

/// The columns of the log without a header.
const FIELDS: &str = "version srcaddr dstaddr srcport dstport protocol start end type packets bytes account-id vpc-id \
    subnet-id instance-id interface-id region az-id sublocation-type sublocation-id action tcp-flags pkt-srcaddr \
    pkt-dstaddr pkt-src-aws-service pkt-dst-aws-service traffic-path flow-direction log-status";

/// Logs that begin with the newest record, and are judged from the oldest.
const NEWEST_FIRST: [&str; 1] = ["aws-logs-insights.csv"];

/// Rows of the table that become frames: windows without traffic are no records, and what follows of a connection
/// is no record of its own.
fn judged_rows(name: &str, rows: usize, get: &dyn Fn(usize, &str) -> String) -> Vec<usize> {
    let ends = |row| ["src", "dst", "proto", "sport", "dport"].map(|column| get(row, column));
    let mut begun = BTreeSet::new();
    let is_judged = |row: &usize| {
        let new = begun.insert(ends(*row));
        match get(*row, "outcome").as_str() {
            // Suricata's other events of the same connections.
            "flow" => name != "suricata-eve.ndjson",
            "connection" => true,
            // It was open before the log begins.
            "continuation" => new,
            _ => false,
        }
    };
    (0..rows).filter(is_judged).collect()
}

/// What of the table's action the cloud's rules have decided, or is known of them.
fn comparable<'a>(name: &str, action: &'a str, note: &str) -> &'a str {
    match name {
        // Its own verdict.
        "suricata-eve.ndjson" => "",
        // Of drops only those of the policy.
        "hubble.ndjson" if action == "REJECT" && !note.contains("POLICY_DEN") => "",
        // What came in was let in.
        _ if name.starts_with("gcp") && note.contains("reporter DEST") => "ACCEPT",
        // What is denied for want of encryption is denied by no rule.
        _ if note.contains("rule unspecified") => "",
        _ => action,
    }
}

/// The next record; an answer that is a page of several ends with an error after its records.
fn next_record(capture: &mut Capture) -> Option<Frame<'_>> {
    match capture.next_frame() {
        Ok(frame) => frame,
        Err(error) => {
            assert!(error.is_truncation() && error.to_string().contains("nextToken"), "{error}");
            None
        }
    }
}

/// Zeek has made a log of a capture: the connections and their verdicts are those of the capture.
#[test]
fn a_log_is_judged_as_its_capture() {
    let (Some(folders), Ok(corpus)) = (support::formats(), std::env::var("SGREPLAY_CORPUS")) else {
        println!(
            "SKIPPED: SGREPLAY_FORMATS and SGREPLAY_CORPUS name no log and capture of the same"
        );
        return;
    };
    let rules = "{security_groups: [{id: sg, rules: [\
        {id: ftp, direction: egress, protocol: tcp, ports: 21, destination: '0.0.0.0/0'},\
        {id: ftp6, direction: egress, protocol: tcp, ports: 21, destination: '::/0'},\
        {id: data, direction: ingress, protocol: tcp, ports: 30000/35000, source: '0.0.0.0/0'},\
        {id: none, direction: egress, policy: drop, protocol: all, destination: '0.0.0.0/0'},\
        {id: none6, direction: egress, policy: drop, protocol: all, destination: '::/0'}]}]}";
    let rules_dir = tempfile::tempdir().unwrap();
    std::fs::write(rules_dir.path().join("rules.yaml"), rules).unwrap();
    let judged = |path: &Path, local: &str| -> BTreeSet<Vec<String>> {
        let path = path.to_str().unwrap();
        let args = ["replay", "--rules", "rules.yaml", "--local", local, "--format", "csv", path];
        let (status, out, err) = output_in(rules_dir.path(), &args, b"");
        assert_eq!(status, 0, "{err}");
        let mut rows = csv::Reader::from_reader(out.as_bytes());
        let header = rows.headers().unwrap().clone();
        let wanted = ["src", "dst", "proto", "sport", "dport", "verdict", "rule"];
        let at = wanted.map(|column| header.iter().position(|name| name == column).unwrap());
        let row = |row: csv::StringRecord| at.iter().map(|at| row[*at].to_owned()).collect();
        rows.records().map(|record| row(record.unwrap())).collect()
    };
    let dir = corpus_folder(Path::new(&corpus));
    let mut connections = 0;
    for (family, local) in
        [("ipv4", "141.142.220.235"), ("ipv6", "2001:470:1f11:81f:c999:d94:aa7c:2e3e")]
    {
        let capture = dir.join(format!("testing__btest__Traces__ftp__{family}.pcap"));
        let log = format!("flowlogs/zeek-scripts.base.protocols.ftp.ftp-{family}.conn.log");
        let log = folders.iter().map(|folder| folder.join(&log)).find(|path| path.exists());
        let log = judged(&log.unwrap(), local);
        assert_eq!(log, judged(&capture, local), "{family}");
        connections += log.len();
    }
    assert_eq!(connections, 11);
}

fn corpus_folder(corpus: &Path) -> PathBuf {
    let name = "testing__btest__Traces__ftp__ipv4.pcap";
    let folders = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path());
    let found = folders.chain([corpus.to_owned()]).find(|path| path.join(name).exists());
    found.unwrap()
}

const RULES: &str = "\
security_groups:
  - id: sg-web
    rules:
      - {id: https, direction: ingress, protocol: tcp, ports: 443, source: 0.0.0.0/0}
      - {id: ssh, direction: ingress, protocol: tcp, ports: 22, source: 198.51.100.0/24}
      - {id: ping, direction: ingress, protocol: icmp, source: 0.0.0.0/0}
  - id: sg-app
    rules:
      - {id: app, direction: ingress, protocol: tcp, ports: 8080, source: sg-web}
interfaces:
  - {id: eni-web, addresses: [10.0.0.5], security_groups: [sg-web]}
  - {id: eni-app, addresses: [10.0.0.10], security_groups: [sg-app]}
";

/// AWS's version 5, columns in an order of the user's: 18 is a SYN-ACK, so its sender was called.
const AWS: &str = "\
interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status tcp-flags flow-direction
eni-web 10.0.0.5 192.0.2.200 443 40001 6 10 9100 1764000000 1764000058 ACCEPT OK 19 egress
eni-web 192.0.2.200 10.0.0.5 40001 443 6 12 3400 1764000000 1764000058 ACCEPT OK 3 ingress
eni-web 192.0.2.9 10.0.0.5 51515 22 6 3 180 1764000005 1764000063 REJECT OK 2 ingress
eni-web 10.0.0.5 10.0.0.10 42424 8080 6 8 900 1764000009 1764000067 ACCEPT OK 3 egress
eni-app 10.0.0.5 10.0.0.10 42424 8080 6 8 900 1764000009 1764000067 ACCEPT OK 3 ingress
eni-app 10.0.0.10 10.0.0.5 8080 42424 6 6 700 1764000009 1764000067 ACCEPT OK 19 egress
eni-web 203.0.113.7 10.0.0.5 0 0 1 4 336 1764000012 1764000070 ACCEPT OK 0 ingress
eni-web - - - - - - - 1764000060 1764000118 - NODATA - -
eni-web - - - - - - - 1764000120 1764000178 - SKIPDATA - -
eni-web 198.51.100.7 10.0.0.5 50001 22 6 30 5000 1764009000 1764009058 REJECT OK 3 ingress
eni-web 10.0.0.5 192.0.2.77 443 50100 6 10 9100 1764009000 1764009058 ACCEPT OK 18 egress
";

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn replay(log: &str, args: &[&str]) -> String {
    let dir = folder(&[("flow.log", log)]);
    let args = [&["replay", "--rules", "rules.yaml", "flow.log"], args].concat();
    run_in(dir.path(), &args, b"")
}

/// Each record at the interface that it was logged for, the answer's record before its request's or an hour
/// into the log; a reply is of the session.
#[test]
fn records_are_judged_at_their_interface() {
    let out = replay(AWS, &["--per", "packet", "--compare-action"]);
    let compared =
        out.split_once("recorded verdicts").unwrap().1.split("── stderr").next().unwrap();
    let page = std::fs::read_to_string(root().join("src/manual/flow-logs.md")).unwrap();
    assert!(page.contains(compared), "the manual shows something else");
    assert_snapshot!(out);
}

/// 1 where the cloud has said otherwise, 0 where it has not; 2 where it has said nothing.
#[test]
fn another_verdict_fails() {
    let status = |log: &str| {
        let out = replay(log, &["--fail-on", "action-differs"]);
        out.lines().next().unwrap().to_owned()
    };
    assert_eq!(status(AWS), "status 1");
    let rejected = "198.51.100.7 10.0.0.5 50001 22 6 30 5000 1764009000 1764009058 REJECT";
    assert!(AWS.contains(rejected));
    assert_eq!(status(&AWS.replace(rejected, &rejected.replace("REJECT", "ACCEPT"))), "status 0");
    let zeek = "{\"id.orig_h\": \"192.0.2.1\", \"id.orig_p\": 40000, \"id.resp_h\": \"10.0.0.5\", \
                \"id.resp_p\": 443, \"proto\": \"tcp\", \"ts\": 1764000000.25, \"conn_state\": \"SF\"}\n";
    assert_eq!(status(zeek), "status 2");
}

/// The same four connections as each format writes them.
#[test]
fn every_format_says_the_same() {
    let aws_2 = "\
        2 123456789012 eni-web 192.0.2.1 10.0.0.5 40000 443 6 2 80 1764000000 1764000058 ACCEPT OK\n\
        2 123456789012 eni-web 192.0.2.1 10.0.0.5 40000 53 17 1 60 1764000001 1764000058 REJECT OK\n";
    let alibaba = "\
        \u{feff}eni-id,srcaddr,dstaddr,srcport,dstport,protocol,direction,action,packets,bytes,start,tcp-flags,log-status\r\n\
        eni-web,192.0.2.1,10.0.0.5,40000,443,6,in,ACCEPT,2,80,1764000000,27,OK\r\n\
        \"eni-web\",\"192.0.2.1\",10.0.0.5,40000,53,17,in,REJECT,1,60,1764000001,0,OK";
    let zeek = "#separator \\x09\n#fields\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\torig_pkts\torig_ip_bytes\n\
        #types\ttime\taddr\tport\taddr\tport\tenum\tcount\tcount\n\
        1764000000.000000\t192.0.2.1\t40000\t10.0.0.5\t443\ttcp\t2\t80\n\
        1764000001.000000\t192.0.2.1\t40000\t10.0.0.5\t53\tudp\t1\t60\n#close\t2025-11-24\n";
    let nfdump = "ts,te,td,sa,da,sp,dp,pr,flg,ipkt,ibyt\n\
        2025-11-24 16:00:00,2025-11-24 16:00:58,58.0,192.0.2.1,10.0.0.5,40000,443,TCP  ,...AP.SF,2,80\n\
        2025-11-24 16:00:01,2025-11-24 16:00:58,57.0,192.0.2.1,10.0.0.5,40000,53,UDP  ,........,1,60\n\
        Summary\nflows,bytes,packets\n2,140,3\n";
    let newer = "firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,flags,packets,bytes\n\
        2025-11-24 16:00:00.000,58.0,TCP,192.0.2.1,40000,10.0.0.5,443,...AP.SF,2,80\n\
        2025-11-24 16:00:01.000,57.0,UDP,192.0.2.1,40000,10.0.0.5,53,........,1,60\n";
    let rows = |log: &str| {
        let out = replay(log, &["--per", "packet", "--format", "csv"]);
        let rows: Vec<String> =
            out.lines().filter(|line| line.contains("192.0.2.1")).map(str::to_owned).collect();
        assert_eq!(rows.len(), 2, "{out}");
        rows
    };
    let first = rows(aws_2);
    assert!(first[0].contains("allow") && first[1].contains("deny"), "{first:?}");
    for log in [alibaba, zeek, nfdump, newer] {
        assert_eq!(rows(log), first, "{log}");
    }
}

/// Where a log is damaged its line is named, and what was before it is judged.
#[test]
fn damaged_logs() {
    let header = "eni-id,srcaddr,dstaddr,srcport,dstport,protocol,action,log-status\n";
    let good = "eni-web,192.0.2.1,10.0.0.5,40000,443,6,ACCEPT,OK\n";
    let mut errors = String::new();
    for (name, log) in [
        (
            "an address",
            format!("{header}{good}eni-web,192.0.2.300,10.0.0.5,40000,443,6,ACCEPT,OK\n"),
        ),
        ("a port", format!("{header}{good}eni-web,192.0.2.1,10.0.0.5,70000,443,6,ACCEPT,OK\n")),
        ("a protocol", format!("{header}{good}eni-web,192.0.2.1,10.0.0.5,1,443,tpc,ACCEPT,OK\n")),
        ("an action", format!("{header}{good}eni-web,192.0.2.1,10.0.0.5,1,443,6,MAYBE,OK\n")),
        ("families", format!("{header}{good}eni-web,192.0.2.1,2001:db8::5,1,443,6,ACCEPT,OK\n")),
        ("cut off", format!("{header}{good}eni-web,192.0.2.1,10.0")),
        (
            "no protocol column",
            "srcaddr dstaddr srcport dstport\n192.0.2.1 10.0.0.5 1 2\n".to_owned(),
        ),
        ("no protocol in a record", "{\"srcaddr\": \"192.0.2.1\", \"dstaddr\": \"10.0.0.5\"}\n".to_owned()),
        (
            "not JSON",
            "{\"srcaddr\": \"192.0.2.1\", \"dstaddr\": \"10.0.0.5\", \"srcport\": 1, \"dstport\": 2, \
              \"protocol\": 6}\nnothing\n"
                .to_owned(),
        ),
        ("JSON array", "[{\"srcaddr\": \"192.0.2.1\"}]\n".to_owned()),
        ("no log", "a b c\n1 2 3\n".to_owned()),
    ] {
        let out = replay(&log, &["--per", "packet"]);
        let judged = out.lines().filter(|line| line.contains("allow ingress eni-web")).count();
        let said = |line: &&str| line.starts_with("sgreplay: error") || line.contains("without a protocol");
        let error = out.lines().find(said).unwrap_or("none");
        let status = out.lines().next().unwrap();
        writeln!(errors, "{name}: {status}, {judged} judged\n  {error}").unwrap();
    }
    assert_snapshot!(errors);
}

/// Nothing is said of times that no record has, not even that they were in 1970, nor of records where none was
/// read.
#[test]
fn what_a_log_does_not_say() {
    let header = "eni-id,srcaddr,dstaddr,srcport,dstport,protocol,action,log-status,start\n";
    let record =
        |start| format!("{header}eni-web,192.0.2.1,10.0.0.5,40000,443,6,ACCEPT,OK,{start}\n");
    let said = |log: String| {
        let text = replay(&log, &["--coverage"]);
        let json = replay(&log, &["--coverage", "--format", "json"]);
        let at_1970 = text.contains("1970-01-01") || json.contains("time_ns\": 0,");
        (text.contains("\ntime "), at_1970, text.contains("rest on a flow log"))
    };
    assert_eq!(said(record("1764000000")), (true, false, true));
    // What Zeek's own test baselines have for a time.
    assert_eq!(said(record("XXXXXXXXXX")), (false, false, true));
    assert_eq!(said(record("-")), (false, false, true));
    assert_eq!(said(record("-").replace("192.0.2.1", "192.0.2.300")), (false, false, false));
}

/// There are no packets in a log.
#[test]
fn a_log_has_no_packets_to_write() {
    let out = replay(AWS, &["--write-denied", "denied.pcap"]);
    assert_snapshot!(out);
}
