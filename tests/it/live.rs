//! `replay --live`: what has come is shown, whether more comes or not.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{self, ipv4, pcap};

const RULES: &str = "{security_groups: [{id: sg-a, rules: [
  {id: web, direction: ingress, protocol: tcp, ports: 80, source: 0.0.0.0/0}]}]}";

/// No row is waited for longer: nothing else ends a test of a program that shows none.
const PATIENCE: Duration = Duration::from_mins(1);

/// The frames of a capture: two connections that open, and a packet that opens none.
fn frames() -> [Vec<u8>; 3] {
    [
        ipv4("203.0.113.9:40000", "10.0.0.5:80", "S"),
        ipv4("203.0.113.9:40001", "10.0.0.5:22", "S"),
        ipv4("10.0.0.5:80", "203.0.113.9:40000", "SA"),
    ]
}

/// Starts the program on frames that come one by one, hands over a line of its output for each that opens a
/// connection, while the input stays open, and interrupts it.
fn rows_as_they_come(words: &[&str]) -> (Vec<String>, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    let mut child = support::program()
        .args(["replay", "--rules", "rules.yaml", "--local", "10.0.0.5", "--live", "-"])
        .args(words)
        .current_dir(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let (lines, shown) = mpsc::channel();
    let reading = std::thread::spawn(move || {
        let mut line = String::new();
        while output.read_line(&mut line).unwrap() > 0 {
            lines.send(std::mem::take(&mut line)).unwrap();
        }
    });
    let [web, ssh, answer] = frames();
    let mut rows = Vec::new();
    let header = pcap(101, &[]).len();
    for (n, frames) in [vec![&web], vec![&answer, &ssh]].into_iter().enumerate() {
        let frames: Vec<&[u8]> = frames.into_iter().map(Vec::as_slice).collect();
        let bytes = pcap(101, &frames);
        input.write_all(if n == 0 { &bytes } else { &bytes[header..] }).unwrap();
        input.flush().unwrap();
        rows.push(shown.recv_timeout(PATIENCE).unwrap());
    }
    let interrupt = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
    // The results so far, without an end of the input.
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < PATIENCE, "an interrupt does not end it");
        std::thread::sleep(Duration::from_millis(20));
    }
    reading.join().unwrap();
    drop(input);
    (rows, shown.iter().collect())
}

#[test]
fn a_row_comes_when_its_connection_opens() {
    let (rows, rest) = rows_as_they_come(&[]);
    let [web, ssh] = rows.as_slice() else { panic!("{rows:?}") };
    assert!(web.contains("allow ingress") && web.contains("10.0.0.5:80"), "{web}");
    assert!(ssh.contains("deny  ingress") && ssh.contains("10.0.0.5:22"), "{ssh}");
    assert!(!rest.contains("SA"), "an answer opens nothing: {rest}");
    let summary = rest.lines().find(|line| line.contains("connections  ")).unwrap();
    let numbers: Vec<&str> = summary.split_whitespace().collect();
    assert_eq!(numbers, ["connections", "2", "1", "1"], "{rest}");
}

#[test]
fn a_row_for_programs_is_a_line() {
    let (rows, rest) = rows_as_they_come(&["-f", "ndjson"]);
    let rows: Vec<Value> = rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
    let of = |key: &str| rows.iter().map(|row| row[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("type"), ["packet", "packet"]);
    assert_eq!(of("verdict"), ["allow", "deny"]);
    assert_eq!(of("frame"), [1, 3]);
    let summary: Value = serde_json::from_str(&rest).unwrap();
    assert_eq!(summary["type"], "summary");
    assert_eq!(summary["connections"]["denied"], 1);
}

/// Rows of packets are not kept back either.
#[test]
fn rows_of_packets_come_as_well() {
    for format in ["text", "ndjson"] {
        let (rows, _) = rows_as_they_come(&["--per", "packet", "-f", format]);
        assert!(rows[1].contains("10.0.0.5"), "{rows:?}");
    }
}

/// As somebody at a terminal sees it: rows, counts that are painted anew, and on Ctrl-C the summary. The traffic is of
/// two network namespaces, and tcpdump hands it over.
#[test]
fn at_a_terminal_over_an_ethernet() {
    for tool in ["script", "unshare", "nsenter", "ip", "tcpdump", "bash"] {
        if Command::new(tool).arg("--version").output().is_err() {
            eprintln!("SKIPPED live at a terminal: {tool} is not installed");
            return;
        }
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    let program = env!("CARGO_BIN_EXE_sgreplay");
    let script = format!(
        "unshare -n sleep 120 & peer=$!
sleep 1
ip link add name near type veth peer name far netns $peer
ip addr add 10.0.0.5/24 dev near && ip link set near up
nsenter -t $peer -n sh -c 'ip addr add 10.0.0.9/24 dev far && ip link set far up'
touch ready
# Somebody connects until the test has seen enough.
while [ ! -e seen ]; do
  for port in 80 22; do
    nsenter -t $peer -n timeout 1 bash -c \"< /dev/tcp/10.0.0.5/$port\" 2>/dev/null
  done
  sleep 0.2
done &
script -qefc \"tcpdump -U -n -i near -w - tcp 2>/dev/null | '{program}' replay --rules rules.yaml --local 10.0.0.5 --live -\" log
touch seen
kill $peer"
    );
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let mut child = Command::new("unshare")
        .args([if root { "-n" } else { "-rn" }, "bash", "-c", &script])
        .current_dir(dir.path())
        .env("TERM", "xterm")
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let (bytes, shown) = mpsc::channel();
    std::thread::spawn(move || {
        let mut some = [0; 4096];
        while let Ok(count @ 1..) = screen.read(&mut some) {
            let _ = bytes.send(some[..count].to_vec());
        }
    });
    let mut seen = String::new();
    let has_all = |seen: &str| {
        ["allow ingress", "deny  ingress", " connections: "].iter().all(|part| seen.contains(part))
    };
    while !has_all(&seen) {
        match shown.recv_timeout(PATIENCE) {
            Ok(bytes) => seen.push_str(&String::from_utf8_lossy(&bytes)),
            Err(_) if !dir.path().join("ready").exists() => {
                eprintln!("SKIPPED live at a terminal: no network namespace can be made");
                child.kill().unwrap();
                child.wait().unwrap();
                return;
            }
            Err(error) => panic!("{error}: {seen}"),
        }
    }
    std::fs::write(dir.path().join("seen"), "").unwrap();
    keys.write_all(b"\x03").unwrap();
    keys.flush().unwrap();
    while let Ok(bytes) = shown.recv_timeout(PATIENCE) {
        seen.push_str(&String::from_utf8_lossy(&bytes));
    }
    let (_, summary) = seen.rsplit_once("not evaluated").unwrap();
    assert!(summary.contains("rule web of sg-a"), "{seen}");
    assert!(summary.contains("default of sg-a: no rule matches"), "{seen}");
    child.wait().unwrap();
}
