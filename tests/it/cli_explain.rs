//! `sgreplay explain` as a process.

use insta::assert_snapshot;

use crate::support::run;

fn explain<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&["explain", "--rules", "proposed.yaml"], args].concat()
}

#[test]
fn one_tuple() {
    let ssh = [
        "--direction",
        "ingress",
        "--proto",
        "tcp",
        "--src",
        "198.51.100.7:40000",
        "--dst",
        "10.0.0.5:SSH",
    ];
    assert_snapshot!("denied", run(&explain(&ssh)));
    assert_snapshot!("denied json", run(&explain(&[&ssh[..], &["-f", "json"]].concat())));
    let ping = [
        "--direction",
        "ingress",
        "--proto",
        "icmpv6",
        "--src",
        "2001:db8::9",
        "--dst",
        "2001:db8:a::5",
    ];
    assert_snapshot!("ping", run(&explain(&ping)));
    let mtu = [
        "--direction",
        "ingress",
        "--proto",
        "icmp",
        "--src",
        "203.0.113.1",
        "--dst",
        "10.0.0.5",
        "--icmp-type",
        "3/4",
    ];
    assert_snapshot!("path mtu", run(&explain(&mtu)));
}

#[test]
fn one_frame() {
    assert_snapshot!(
        "a reply",
        run(&explain(&["--frame", "5", "--local", "10.0.0.5", "ssh.pcap"]))
    );
    assert_snapshot!("arp", run(&explain(&["--frame", "2", "--local", "10.0.0.5", "ssh.pcap"])));
}

#[test]
fn two_interfaces() {
    assert_snapshot!(run(&[
        "explain",
        "--rules",
        "two-instances.yaml",
        "--frame",
        "4",
        "-f",
        "json",
        "two-instances.pcap"
    ]));
}

#[test]
fn what_cannot_be_explained() {
    assert_snapshot!("past the end", run(&explain(&["--frame", "9999", "ssh.pcap"])));
    let no_port =
        ["--direction", "ingress", "--proto", "tcp", "--src", "198.51.100.7", "--dst", "10.0.0.5"];
    assert_snapshot!("no port", run(&explain(&no_port)));
    let families = [
        "--direction",
        "ingress",
        "--proto",
        "tcp",
        "--src",
        "198.51.100.7",
        "--dst",
        "[2001:db8::5]:22",
    ];
    assert_snapshot!("two families", run(&explain(&families)));
}
