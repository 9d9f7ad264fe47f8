//! Every capture of `captures/` through the program: which connections its rules allow, and why.

use insta::assert_snapshot;
use sgreplay::capture::Capture;

use crate::support;

#[test]
fn connections_of_every_capture() {
    for path in support::captures() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let rules =
            if name == "two-instances.pcap" { "two-instances.yaml" } else { "proposed.yaml" };
        let local = match name {
            "two-instances.pcap" => vec![],
            "vlan.pcap" => vec!["--local", "172.16.0.6"],
            "vxlan-mirror.pcap" => vec!["--local", "198.51.100.7"],
            _ => vec!["--local", "10.0.0.5,2001:db8:a::5"],
        };
        let args =
            [vec!["replay", "--rules", rules, "--per", "connection"], local, vec![name]].concat();
        assert_snapshot!(name, support::run(&args));
    }
}

/// A traffic mirror is judged by what is inside.
#[test]
fn a_mirror_is_looked_into() {
    let args = ["--decap", "vxlan", "--local", "10.0.0.5", "vxlan-mirror.pcap"];
    let args = [&["replay", "--rules", "proposed.yaml", "--per", "connection"], &args[..]].concat();
    assert_snapshot!("vxlan-mirror inside", support::run(&args));
}

/// The columns that other programs rely on.
#[test]
fn decoded_rows() {
    for name in [
        "dns.pcap",
        "ping.pcap",
        "fragments.pcap",
        "any.pcap",
        "vlan.pcap",
        "web.pcapng",
        "snaplen-96.pcap",
    ] {
        assert_snapshot!(
            format!("decode {name}"),
            support::run(&["decode", "-f", "csv", "-c", "24", name])
        );
    }
}

/// The table of `captures/README.md` names every capture, with its number of packets.
#[test]
fn the_readme_of_the_captures_is_true() {
    let readme = std::fs::read_to_string(support::root().join("captures/README.md")).unwrap();
    for path in support::captures() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let mut capture = Capture::open(&path).unwrap();
        while capture.next_frame().unwrap().is_some() {}
        let row = format!("| `{name}` | {} |", capture.frames());
        assert!(readme.contains(&row), "no row {row}");
    }
}
