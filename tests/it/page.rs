//! The page of `--report`: what it says, and how a browser takes it.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use insta::assert_snapshot;

use crate::support::{self, output_in, root, run_in};

/// A folder with the story, and names that would be markup, or a script, if they were not text.
fn story() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["story.pcap", "current.yaml", "proposed.yaml"] {
        std::fs::copy(support::capture(name), dir.path().join(name)).unwrap();
    }
    let hostile = "security_groups:
  - id: sg-</script><script>alert(1)</script>
    rules:
      - {id: \"<img src=x onerror=alert(2)>\", direction: ingress, protocol: tcp, ports: 80, source: 0.0.0.0/0, description: \"<b>x</b>\"}
      - {id: \"'\\\"><svg onload=alert(3)>\", direction: ingress, protocol: icmp, source: 0.0.0.0/0}
      - {id: \"{{ 7 * 7 }}\", direction: egress, policy: drop, protocol: udp, ports: 53, destination: 0.0.0.0/0}
";
    std::fs::write(dir.path().join("<i>hostile.yaml"), hostile).unwrap();
    dir
}

const LOCAL: [&str; 2] = ["--local", "10.0.0.5,2001:db8:a::5"];

/// Writes the page and the JSON of the same run.
fn made(dir: &Path, args: &[&str], page: &str) -> (String, String) {
    let report = [args, &LOCAL, &["--report", page]].concat();
    let (status, _, err) = output_in(dir, &report, b"");
    assert_eq!(status, 0, "{err}");
    let json = [args, &LOCAL, &["--hash", "-f", "json"]].concat();
    let (status, json, err) = output_in(dir, &json, b"");
    assert_eq!(status, 0, "{err}");
    (std::fs::read_to_string(dir.join(page)).unwrap(), json)
}

const REPLAY: [&str; 4] = ["replay", "--rules", "current.yaml", "story.pcap"];
const DIFF: [&str; 6] =
    ["diff", "--current", "current.yaml", "--proposed", "proposed.yaml", "story.pcap"];

/// What a reader without a browser's picture reads: the page's words, one to a line.
fn words(page: &str) -> String {
    let body = page.split_once("<body>").unwrap().1.split("<script").next().unwrap();
    let mut text = String::new();
    for (n, piece) in body.split('<').enumerate() {
        let piece = if n == 0 { piece } else { piece.split_once('>').map_or("", |(_, rest)| rest) };
        let piece = piece.trim();
        if !piece.is_empty() {
            writeln!(text, "{piece}").unwrap();
        }
    }
    text
}

#[test]
fn a_page_says_what_the_reports_say() {
    let dir = story();
    let (page, _) = made(dir.path(), &DIFF, "diff.html");
    let text = words(&page);
    assert!(text.contains(
        "The proposal cuts 6 of 15 connections: 3 of them tcp 22 (SSH) from 198.51.100.7"
    ));
    // Once, all of it: the pictures are left out.
    let without_plots = text.rsplit("The same in numbers").next().unwrap();
    assert_snapshot!("diff page", without_plots.to_owned());
    let (page, _) = made(dir.path(), &REPLAY, "replay.html");
    assert!(
        words(&page)
            .contains("The rules deny 1 of 15 connections: tcp 23 (Telnet) from 198.51.100.7")
    );
    // Nothing is fetched from anywhere.
    for wanted in ["src=", "href=\"http", "@import"] {
        assert!(!page.contains(wanted), "{wanted}");
    }
    // Patterns are the page's own.
    assert_eq!(page.matches("url(").count(), page.matches("url(#hatched-").count());
}

#[test]
fn names_stay_text() {
    let dir = story();
    let args = ["replay", "--rules", "<i>hostile.yaml", "story.pcap"];
    let (page, _) = made(dir.path(), &args, "page.html");
    for markup in ["<img", "<svg onload", "<b>x", "<i>", "<script>alert"] {
        assert!(!page.contains(markup), "{markup}");
    }
    // One template, one script and one element of data.
    assert_eq!(page.matches("<script").count(), 2);
    assert!(page.contains("{{ 7 * 7 }}"));
}

/// A browser's word on the pages: see `tests/browser/look.py`.
#[test]
fn a_browser_takes_the_pages() {
    for tool in ["chromedriver", "chromium", "python3"] {
        if Command::new(tool).arg("--version").output().is_err() {
            println!("SKIPPED: {tool} is not installed, so no browser has looked at a report");
            return;
        }
    }
    let dir = story();
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    let hostile = ["replay", "--rules", "<i>hostile.yaml", "story.pcap"];
    let mut looked = 0;
    for (name, args) in [("replay", &REPLAY[..]), ("diff", &DIFF[..]), ("hostile", &hostile[..])] {
        let page = format!("{name}.html");
        let (_, json) = made(dir.path(), args, &page);
        let summary = dir.path().join("summary.json");
        std::fs::write(&summary, json).unwrap();
        let look = Command::new("python3")
            .arg(root().join("tests/browser/look.py"))
            .args([&dir.path().join(&page), &summary, &pictures])
            .output()
            .unwrap();
        let (out, err) =
            (String::from_utf8_lossy(&look.stdout), String::from_utf8_lossy(&look.stderr));
        assert!(look.status.success(), "{name}: {out}{err}");
        looked += 8;
    }
    println!(
        "Chromium has looked at 3 pages and made {looked} pictures of them, in {}",
        pictures.display()
    );
}

/// A scan of many ports: tables are cut and say so, and the page stays small.
#[test]
fn a_page_of_much_traffic_is_small() {
    let dir = story();
    let mut frames: Vec<(u64, Vec<u8>)> = Vec::new();
    for n in 0..60_000_u32 {
        let [.., high, low] = n.to_be_bytes();
        let [a, b] = (n % 65_535 + 1).to_be_bytes()[2..] else { panic!() };
        let mut ip = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 198, 51, high, low, 10, 0, 0, 5];
        ip.extend([0x9c, 0x40, a, b, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0]);
        frames.push((u64::from(n) * 50_000_000, ip));
    }
    let frames: Vec<(u64, &[u8])> =
        frames.iter().map(|(time, data)| (*time, data.as_slice())).collect();
    std::fs::write(dir.path().join("scan.pcap"), support::pcap_ns(101, &frames)).unwrap();
    let args = ["replay", "--rules", "current.yaml", "scan.pcap"];
    let (page, _) = made(dir.path(), &args, "page.html");
    assert!(page.len() < 1_000_000, "{}", page.len());
    let text = words(&page);
    assert!(text.contains("more that are denied or changed"), "{text}");
    assert!(text.contains("the same command with --per connection prints them all"));
}

#[test]
fn what_a_page_needs() {
    let dir = story();
    let pipe = std::fs::read(support::capture("story.pcap")).unwrap();
    let args = ["replay", "--rules", "current.yaml", "-", "--report", "page.html"];
    let (status, out, err) = output_in(dir.path(), &args, &pipe);
    assert_snapshot!("page of a pipe", format!("status {status}\n{out}{err}"));
    let over = ["replay", "--rules", "current.yaml", "story.pcap", "--report", "story.pcap"];
    assert_snapshot!("page over its capture", run_in(dir.path(), &over, b""));
    let nowhere = ["replay", "--rules", "current.yaml", "story.pcap", "--report", "no/page.html"];
    assert_snapshot!("page nowhere", run_in(dir.path(), &nowhere, b""));
    let without =
        ["diff", "--current", "current.yaml", "--proposed", "proposed.yaml", "--report", "x.html"];
    assert_snapshot!("page without traffic", run_in(dir.path(), &without, b""));
}
