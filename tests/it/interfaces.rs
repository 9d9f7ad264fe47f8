//! Interfaces with the same groups share their lists; the answers are each interface's own.

use crate::support::{ipv4, output_in, pcap};

/// Two networks of machines and an instance, all members of one group that lets them reach each other.
const RULES: &str = "{security_groups: [{id: sg-a}], interfaces: [
  {id: eni-net, addresses: [10.0.0.0/24], security_groups: [sg-a]},
  {id: eni-other, addresses: [10.0.1.0/24], security_groups: [sg-a]},
  {id: eni-one, addresses: [10.0.2.5], security_groups: [sg-a]}]}";

/// The verdict, its reason and the interface of each packet where it comes in.
fn ingress(packets: &[(&str, &str)]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("r.yaml"), RULES).unwrap();
    let packets: Vec<Vec<u8>> = packets.iter().map(|(src, dst)| ipv4(src, dst, "S")).collect();
    let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    std::fs::write(dir.path().join("x.pcap"), pcap(101, &packets)).unwrap();
    let words = ["replay", "--rules", "r.yaml", "x.pcap", "--per", "packet", "-f", "csv"];
    let (_, out, err) = output_in(dir.path(), &words, b"");
    assert!(err.is_empty(), "{err}");
    let mut lines = out.lines();
    let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
    let value = |line: &str, name: &str| {
        let at = columns.iter().position(|column| *column == name).unwrap();
        line.split(',').nth(at).unwrap().to_owned()
    };
    let ingress = lines.filter(|line| value(line, "direction") == "ingress");
    let text = |line| {
        let [interface, verdict, reason] =
            ["interface", "verdict", "reason"].map(|name| value(line, name));
        format!("{interface} {verdict} {reason}")
    };
    ingress.map(text).collect()
}

/// SEMANTICS A5, step 3: members reach each other, and an interface is no other member than itself.
#[test]
fn an_interface_is_no_member_of_its_own_group() {
    let found = ingress(&[
        ("10.0.1.7:40000", "10.0.0.5:22"),
        ("10.0.0.7:40000", "10.0.0.5:22"),
        ("10.0.0.7:40000", "10.0.1.5:22"),
        ("10.0.1.7:40000", "10.0.1.5:22"),
        ("10.0.0.7:40000", "10.0.2.5:22"),
        ("203.0.113.9:40000", "10.0.2.5:22"),
    ]);
    assert_eq!(
        found,
        [
            "eni-net allow intra_group",
            "eni-net deny default",
            "eni-other allow intra_group",
            "eni-other deny default",
            "eni-one allow intra_group",
            "eni-one deny default",
        ]
    );
}
