//! Interfaces of which a file lists some only (SEMANTICS F26): groups that none of them has are judged by themselves,
//! and a verdict that depends on who the members of a group are passes no gate.

use std::path::Path;

use crate::support::{ipv4, output_in, pcap, within};

/// An instance, and a load balancer's group that none of the listed interfaces has.
fn rules(membership: &str, alb: &str, web: &str) -> String {
    format!(
        "{{cloud: aws, {membership} security_groups: [
          {{id: sg-web, rules: [{{id: web, direction: ingress, protocol: tcp, ports: 443, source: {web}}}]}},
          {{id: sg-alb, rules: [{{id: alb, direction: ingress, protocol: tcp, ports: 443, source: {alb}}}]}}],
        interfaces: [{{id: eni-web, addresses: [10.0.0.5], security_groups: [sg-web]}}]}}"
    )
}

fn folder(current: &str, proposed: &str, packets: &[Vec<u8>]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("current.yaml"), current).unwrap();
    std::fs::write(dir.path().join("proposed.yaml"), proposed).unwrap();
    let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    std::fs::write(dir.path().join("x.pcap"), pcap(101, &packets)).unwrap();
    dir
}

fn run(dir: &Path, words: &str) -> (i32, String) {
    let words: Vec<&str> = words.split(' ').collect();
    let (status, out, err) = output_in(dir, &words, b"");
    (status, format!("{out}{err}"))
}

const DIFF: &str = "diff --current current.yaml --proposed proposed.yaml --fail-on";
const PARTIAL: &str = "membership: partial,";

#[test]
fn a_group_of_interfaces_that_are_not_listed_is_compared() {
    for (membership, wanted) in [(PARTIAL, 1), ("", 0)] {
        let [narrow, wide] =
            ["10.0.0.0/8", "0.0.0.0/0"].map(|alb| rules(membership, alb, "10.0.0.0/8"));
        let dir = folder(&narrow, &wide, &[]);
        let (status, text) = run(dir.path(), &format!("{DIFF} newly-allowed"));
        assert_eq!(status, wanted, "{text}");
        assert_eq!(text.contains("ingress sg-alb"), wanted == 1, "{text}");
    }
}

/// One side knows an interface that has the group, the other none.
#[test]
fn a_group_that_gets_an_interface_is_compared() {
    let now = rules(PARTIAL, "10.0.0.0/8", "10.0.0.0/8");
    let eni = "{id: eni-alb, addresses: [10.0.1.7], security_groups: [sg-alb]}]}";
    let then = rules(PARTIAL, "0.0.0.0/0", "10.0.0.0/8");
    let then = then.strip_suffix("]}").map(|text| format!("{text}, {eni}")).unwrap();
    let dir = folder(&now, &then, &[]);
    let (status, text) = run(dir.path(), &format!("{DIFF} newly-allowed"));
    assert_eq!(status, 1, "{text}");
    assert!(text.contains("ingress sg-alb"), "{text}");
}

#[test]
fn a_change_of_a_group_without_known_members_is_compared() {
    let now = rules(PARTIAL, "0.0.0.0/0", "sg-alb");
    let then = rules(PARTIAL, "0.0.0.0/0", "10.9.9.9");
    let dir = folder(&now, &then, &[]);
    assert_eq!(run(dir.path(), &format!("{DIFF} newly-denied")).0, 1);
}

/// A packet of 10.0.1.7 passes if that is the load balancer. The proposed rules stop it, whoever it is.
#[test]
fn a_comparison_that_depends_on_members_is_no_answer() {
    let packets = [ipv4("10.0.1.7:40000", "10.0.0.5:443", "S")];
    let now = rules(PARTIAL, "0.0.0.0/0", "sg-alb");
    let then = rules(PARTIAL, "0.0.0.0/0", "10.9.9.9");
    let says =
        "not all members of sg-alb are known, and the verdict of 1 of 1 connection depends on it";
    let status = |proposed: &str, what: &str, more: &str| {
        let dir = folder(&now, proposed, &packets);
        run(dir.path(), &format!("{DIFF} {what} x.pcap{more}"))
    };
    let (code, text) = status(&then, "newly-denied", "");
    assert_eq!((code, text.contains(says)), (2, true), "{text}");
    // It cannot be newly allowed, whoever it is; and what both rule sets say of members is no change.
    assert_eq!(status(&then, "newly-allowed", "").0, 0);
    assert_eq!(status(&now, "any", "").0, 0);
    assert_eq!(status(&then, "newly-denied", " --max-unevaluated 100").0, 0);
    // Where all are listed, it is none.
    let stated = rules("", "0.0.0.0/0", "sg-alb");
    let dir = folder(&stated, &rules("", "0.0.0.0/0", "10.9.9.9"), &packets);
    assert_eq!(run(dir.path(), &format!("{DIFF} newly-denied x.pcap")).0, 0);
}

/// Only a rule that drops makes a replay's pass doubtful; a denied packet that may be a member's is said.
#[test]
fn a_replay_says_what_depends_on_members() {
    let packets = [ipv4("10.0.1.7:40000", "10.0.0.5:443", "S")];
    let file = |first: &str| {
        format!(
            "{{security_groups: [{{id: sg-a, inner_access_policy: drop, rules: [
              {{id: one, direction: ingress, priority: 1, {first}}},
              {{id: two, direction: ingress, priority: 2, protocol: tcp, ports: 443, source: 10.0.0.0/8}}]}}]}}"
        )
    };
    let drop = file("policy: drop, protocol: tcp, ports: 443, source: sg-elsewhere");
    let dir = folder(&drop, &drop, &packets);
    let replay = "replay --rules proposed.yaml --local 10.0.0.5 x.pcap";
    let (status, text) = run(dir.path(), &format!("{replay} --fail-on denied"));
    assert_eq!(status, 2, "{text}");
    assert!(text.contains("not all members of sg-elsewhere are known"), "{text}");
    // Another port, or a rule that lets members in as the next one does.
    for other in [
        "policy: drop, protocol: tcp, ports: 80, source: sg-elsewhere",
        "policy: accept, protocol: tcp, ports: 443, source: sg-elsewhere",
    ] {
        let rules = file(other);
        let dir = folder(&rules, &rules, &packets);
        let (status, text) = run(dir.path(), &format!("{replay} --fail-on denied"));
        assert_eq!(status, 0, "{text}");
        assert!(!text.contains("sg-elsewhere are known"), "{text}");
    }
    let rules = rules(PARTIAL, "0.0.0.0/0", "sg-alb");
    let dir = folder(&rules, &rules, &packets);
    let (status, text) = run(dir.path(), "replay --rules proposed.yaml x.pcap");
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("not all members of sg-alb are known"), "{text}");
}

#[test]
fn partial_membership_is_said_where_interfaces_are_listed() {
    for (file, says) in [
        (
            rules("membership: unknown,", "10.0.0.0/8", "10.0.0.0/8"),
            "`partial` says that there are others",
        ),
        (
            "{cloud: aws, membership: partial, security_groups: [{id: sg-a, rules: []}]}"
                .to_owned(),
            "`unknown` says",
        ),
    ] {
        let dir = folder(&file, &file, &[]);
        let (status, text) = run(dir.path(), "check proposed.yaml");
        assert_eq!(status, 2, "{text}");
        assert!(text.contains(says), "{text}");
    }
    // It survives a conversion.
    let file = rules(PARTIAL, "10.0.0.0/8", "sg-alb");
    let dir = folder(&file, &file, &[]);
    let (status, text) = run(dir.path(), "convert --to yaml proposed.yaml");
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("membership: partial"), "{text}");
}

/// Rules of sg-a, which the one listed interface has, beside two groups that it has not; words are direction,
/// priority, policy and peer.
fn alibaba(rules: &[&str], inner: &str, acl: &str) -> String {
    let rule = |words: &&str| {
        let words: Vec<&str> = words.split(' ').collect();
        let side = if words[0] == "ingress" { "source" } else { "destination" };
        format!(
            "{{direction: {}, priority: {}, policy: {}, protocol: all, {side}: {}}}",
            words[0], words[1], words[2], words[3]
        )
    };
    let rules: Vec<String> = rules.iter().map(rule).collect();
    format!(
        "{{membership: partial, security_groups: [
          {{id: sg-a, inner_access_policy: {inner}, rules: [{}]}},
          {{id: sg-x, inner_access_policy: drop, rules: []}},
          {{id: sg-y, inner_access_policy: drop, rules: []}}],
        interfaces: [{{id: eni-a, addresses: [10.0.0.5], security_groups: [sg-a]}}] {acl}}}",
        rules.join(", ")
    )
}

const OPEN_ACL: &str = ", network_acls: [{id: acl-a, interfaces: [eni-a], rules: [
    {number: 100, direction: ingress, policy: accept, protocol: all, source: 0.0.0.0/0},
    {number: 100, direction: egress, policy: accept, protocol: all, destination: 0.0.0.0/0}]}]";

/// Who may be a member of what, and what the change then does: an answer is one in every world.
#[test]
fn every_world_is_weighed() {
    let syn = || ipv4("10.0.1.7:40000", "10.0.0.5:443", "S");
    let plain = |rules: &[&str]| alibaba(rules, "drop", "");
    let acl = |rules: &[&str]| alibaba(rules, "drop", OPEN_ACL);
    let any = "ingress 2 accept 0.0.0.0/0";
    let cases = [
        // Members lose what everybody gets.
        (
            plain(&["ingress 1 accept sg-x"]),
            plain(&["ingress 1 drop sg-x", any]),
            "newly-denied",
            [1, 2],
        ),
        (
            plain(&["ingress 1 accept sg-x"]),
            plain(&["ingress 1 drop sg-y", any]),
            "newly-denied",
            [1, 2],
        ),
        // Only who is a member of both gets in.
        (
            plain(&["ingress 1 drop sg-x", "ingress 2 accept sg-y"]),
            plain(&["ingress 2 accept sg-y"]),
            "newly-allowed",
            [1, 2],
        ),
        // Behind a network ACL too.
        (acl(&["ingress 1 accept sg-x"]), acl(&[]), "newly-denied", [1, 2]),
        // Members who reach each other.
        (alibaba(&[], "drop", ""), alibaba(&[], "accept", ""), "newly-allowed", [1, 2]),
        (alibaba(&[], "accept", ""), alibaba(&[], "drop", ""), "newly-denied", [1, 2]),
        // What both say is no change, whoever it is.
        (plain(&["ingress 1 drop sg-x", any]), plain(&["ingress 1 drop sg-x", any]), "any", [0, 0]),
        (alibaba(&[], "accept", ""), alibaba(&[], "accept", ""), "any", [0, 0]),
        (
            acl(&["ingress 1 drop sg-x", any]),
            acl(&["ingress 1 drop sg-x", any]),
            "newly-denied",
            [0, 0],
        ),
    ];
    for (n, (now, then, what, [exact, traffic])) in cases.into_iter().enumerate() {
        let dir = folder(&now, &then, &[syn()]);
        let (status, text) = run(dir.path(), &format!("{DIFF} {what}"));
        assert_eq!(status, exact, "{n}, exact: {text}");
        let (status, text) = run(dir.path(), &format!("{DIFF} {what} x.pcap"));
        assert_eq!(status, traffic, "{n}, with a capture: {text}");
    }
    // Mates behind a network ACL that changes.
    let narrower = OPEN_ACL.replace(
        "{number: 100, direction: ingress,",
        "{number: 90, direction: ingress, policy: drop, protocol: tcp, ports: 443, source: 0.0.0.0/0},
         {number: 100, direction: ingress,",
    );
    let dir =
        folder(&alibaba(&[], "accept", OPEN_ACL), &alibaba(&[], "accept", &narrower), &[syn()]);
    let (status, text) = run(dir.path(), &format!("{DIFF} newly-denied"));
    assert_eq!(status, 1, "{text}");
}

#[test]
fn every_packet_that_is_judged_is_weighed() {
    let any = "ingress 2 accept 0.0.0.0/0";
    let rules = alibaba(&["ingress 1 drop sg-x", any], "drop", "");
    let syn = ipv4("10.0.1.7:40000", "10.0.0.5:443", "S");
    let dir = folder(&rules, &rules, &[syn]);
    for sessions in ["on", "off"] {
        let words =
            format!("replay --rules current.yaml --fail-on denied --sessions {sessions} x.pcap");
        let (status, text) = run(dir.path(), &words);
        assert_eq!(status, 2, "{sessions}: {text}");
    }
    // Nothing shows who began: if it was us, members are not reached.
    let rules = alibaba(&["egress 1 drop sg-x", any], "drop", "");
    let dir = folder(&rules, &rules, &[ipv4("10.0.1.7:50000", "10.0.0.5:50001", ".")]);
    let (status, text) = run(dir.path(), "replay --rules current.yaml --fail-on denied x.pcap");
    assert_eq!(status, 2, "{text}");
    assert!(text.contains("sg-x are known") && text.contains("on who began it"), "{text}");
}

/// Each is a small share, and all of them are the whole.
#[test]
fn doubts_add_up() {
    let group = |n: u32| {
        format!(
            "{{id: sg-{n}, rules: [{{direction: ingress, protocol: tcp, ports: 9, source: 10.9.9.9}}]}}"
        )
    };
    let rules = |peer: fn(u32) -> String| {
        let rule = |n: u32| {
            format!(
                "{{direction: ingress, protocol: tcp, ports: {}, source: {}}}",
                1000 + n,
                peer(n)
            )
        };
        let rules: Vec<String> = (0..150).map(rule).collect();
        let groups: Vec<String> = (0..150).map(group).collect();
        format!(
            "{{cloud: aws, membership: partial, security_groups: [{{id: sg-a, rules: [{}]}}, {}],
              interfaces: [{{id: eni-a, addresses: [10.0.0.5], security_groups: [sg-a]}}]}}",
            rules.join(", "),
            groups.join(", ")
        )
    };
    let packets: Vec<Vec<u8>> =
        (0..150).map(|n| ipv4("10.0.1.7:40000", &format!("10.0.0.5:{}", 1000 + n), "S")).collect();
    let dir = folder(&rules(|n| format!("sg-{n}")), &rules(|_| "10.9.9.9".to_owned()), &packets);
    let (status, text) = run(dir.path(), &format!("{DIFF} newly-denied x.pcap"));
    assert_eq!(status, 2, "{text}");
}

/// An unlisted instance may have one of the groups alone that a listed one has together.
#[test]
fn a_group_beside_a_wider_one_is_compared() {
    let rules = |source: &str| {
        format!(
            "{{cloud: aws, membership: partial, security_groups: [
              {{id: sg-web, rules: [{{direction: ingress, protocol: tcp, ports: 443, source: {source}}}]}},
              {{id: sg-base, rules: [{{direction: ingress, protocol: all, source: 0.0.0.0/0}}]}}],
            interfaces: [{{id: eni-web, addresses: [10.0.0.5], security_groups: [sg-web, sg-base]}}]}}"
        )
    };
    let dir = folder(&rules("0.0.0.0/0"), &rules("10.0.0.0/8"), &[]);
    let (status, text) = run(dir.path(), &format!("{DIFF} newly-denied"));
    assert_eq!(status, 1, "{text}");
}

/// Interfaces of one account, or of one page, are not all.
#[test]
fn a_list_of_some_interfaces_is_partial() {
    let group = |id: &str, owner: &str, source: &str| {
        format!(
            r#"{{"GroupId": "{id}", "OwnerId": "{owner}", "IpPermissionsEgress": [], "IpPermissions": [
            {{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{{"CidrIp": "{source}"}}]}}]}}"#
        )
    };
    let eni = r#"{"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "OwnerId": "111", "PrivateIpAddress": "10.0.0.5",
        "Groups": [{"GroupId": "sg-1"}]}]}"#;
    for (owner, wanted) in [("111", 0), ("222", 1)] {
        let dir = tempfile::tempdir().unwrap();
        for (side, source) in [("current", "10.0.0.0/8"), ("proposed", "0.0.0.0/0")] {
            let folder = dir.path().join(side);
            std::fs::create_dir(&folder).unwrap();
            let groups = [group("sg-1", "111", "10.0.0.0/8"), group("sg-2", owner, source)];
            let groups = format!(r#"{{"SecurityGroups": [{}]}}"#, groups.join(", "));
            std::fs::write(folder.join("groups.json"), groups).unwrap();
            std::fs::write(folder.join("enis.json"), eni).unwrap();
        }
        let (status, text) =
            run(dir.path(), "diff --current current --proposed proposed --fail-on newly-allowed");
        assert_eq!(status, wanted, "{text}");
    }
    let dir = tempfile::tempdir().unwrap();
    let rules = r#"{"SecurityGroupId": "sg-1", "Permissions": {"Permission": []}}"#;
    let enis = r#"{"TotalCount": 50, "PageNumber": 1, "PageSize": 10, "NetworkInterfaceSets": {"NetworkInterfaceSet": [
        {"NetworkInterfaceId": "eni-1", "PrivateIpAddress": "10.0.0.5", "SecurityGroupIds": {"SecurityGroupId": ["sg-1"]}}]}}"#;
    std::fs::write(dir.path().join("a.json"), rules).unwrap();
    std::fs::write(dir.path().join("b.json"), enis).unwrap();
    let (_, text) = run(dir.path(), "check .");
    assert!(text.contains("there are 50 interfaces, and 1 are in the files"), "{text}");
}

#[test]
fn a_share_of_ci_is_a_percentage() {
    let rules = rules("", "10.0.0.0/8", "10.0.0.0/8");
    let dir = folder(&rules, &rules, &[ipv4("10.0.1.7:40000", "10.0.0.5:443", "S")]);
    for share in [".nan", ".inf", "1000", "-5"] {
        let config = format!(
            "{{current: current.yaml, proposed: proposed.yaml, captures: x.pcap, max_unevaluated: {share}}}"
        );
        std::fs::write(dir.path().join("sgreplay.yaml"), config).unwrap();
        let (status, text) = run(dir.path(), "ci");
        assert_eq!(status, 2, "{share}: {text}");
        assert!(text.contains("is a percentage, 0 to 100"), "{text}");
    }
}

/// Nothing shows who began it. If the one who answers did, its own rules stop it, though the other end lets it in.
#[test]
fn what_one_of_two_interfaces_denies_is_denied() {
    let rules = |egress: &str| {
        format!(
            "{{security_groups: [
              {{id: sg-a, inner_access_policy: drop, rules: [
                {{direction: ingress, protocol: all, source: 0.0.0.0/0}}, {egress}]}},
              {{id: sg-b, inner_access_policy: drop, rules: [
                {{direction: ingress, protocol: all, source: 0.0.0.0/0}}]}}],
            interfaces: [{{id: eni-a, addresses: [10.0.0.5], security_groups: [sg-a]}},
              {{id: eni-b, addresses: [10.0.0.6], security_groups: [sg-b]}}]}}"
        )
    };
    let stopped =
        "{direction: egress, policy: drop, protocol: tcp, ports: 50002, destination: 0.0.0.0/0}";
    let packets = [ipv4("10.0.0.6:50002", "10.0.0.5:50001", ".")];
    let dir = folder(&rules(""), &rules(stopped), &packets);
    let (status, text) = run(dir.path(), &format!("{DIFF} newly-denied x.pcap"));
    assert_eq!(status, 2, "{text}");
    assert!(text.contains("nothing shows who began 1 of 1 connection"), "{text}");
}

/// A packet that rules accept of members of very many groups is not weighed in every world, and that is said.
#[test]
fn groups_beyond_number_are_within_bounds() {
    let rule =
        |n: usize| format!("{{direction: ingress, protocol: tcp, ports: 443, source: sg-{n}}}");
    let rules: Vec<String> = (0..6000).map(rule).collect();
    let file = format!(
        "{{cloud: aws, security_groups: [{{id: sg-a, rules: [{}]}}],
          interfaces: [{{id: eni-a, addresses: [10.0.0.5], security_groups: [sg-a]}}]}}",
        rules.join(", ")
    );
    let dir = folder(&file, &file, &[ipv4("10.0.1.7:40000", "10.0.0.5:443", "S")]);
    for words in [
        "diff --current current.yaml --proposed proposed.yaml x.pcap --fail-on any",
        "check proposed.yaml",
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        let (status, text) = within(400, dir.path(), &words);
        assert!(status.is_some(), "{words:?}: {text}");
        if words[0] == "diff" {
            assert_eq!(status, Some(2), "{text}");
            assert!(text.contains("too many groups to ask about"), "{text}");
        }
    }
}
