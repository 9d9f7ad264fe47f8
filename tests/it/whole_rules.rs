//! Rules of files that do not say all of them pass no gate: pages that are missing, errors in the place of answers,
//! templates within templates, groups that several files have.

use crate::support::output_in;

/// The status and the words of an expectation that the rules of these files keep, as far as they are read.
fn gate(files: &[(&str, &str)]) -> (i32, String) {
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("rules");
    std::fs::create_dir(&rules).unwrap();
    for (name, text) in files {
        std::fs::write(rules.join(name), text).unwrap();
    }
    let expectation = "expectations: [{name: ssh, protocol: tcp, ports: 22, source: 203.0.113.0/24, verdict: deny}]";
    std::fs::write(dir.path().join("expectations.yaml"), expectation).unwrap();
    let args = [
        "test",
        "rules",
        "expectations.yaml",
        "--define",
        "VirtualNetwork=10.0.0.0/8",
        "--define",
        "Internet=0.0.0.0/0",
    ];
    let (status, out, err) = output_in(dir.path(), &args, b"");
    (status, format!("{out}{err}"))
}

fn refused(files: &[(&str, &str)], says: &str) {
    let (status, text) = gate(files);
    assert_eq!(status, 2, "{text}");
    assert!(text.contains(says), "{says}: {text}");
}

const AWS: &str = r#"{"SecurityGroups": [{"GroupId": "sg-1", "OwnerId": "1", "VpcId": "vpc-1", "IpPermissions": [
    {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}],
    "IpPermissionsEgress": []}]}"#;

#[test]
fn what_is_whole_passes() {
    let (status, text) = gate(&[("a.json", AWS)]);
    assert_eq!(status, 0, "{text}");
}

#[test]
fn an_error_or_nothing_in_the_place_of_an_answer_is_said() {
    for error in [
        r#"{"Error": {"Code": "UnauthorizedOperation", "Message": "no"}}"#,
        r#"{"error": {"code": 403, "message": "no"}}"#,
        r#"{"Code": "Forbidden.RAM", "Message": "no", "RequestId": "1"}"#,
    ] {
        refused(&[("a.json", AWS), ("b.json", error)], "b.json holds an error");
    }
    refused(&[("a.json", AWS), ("b.json", "")], "b.json is empty");
}

#[test]
fn a_page_of_many_is_said() {
    let azure = r#"{"value": [{"name": "n1", "securityRules": [], "defaultSecurityRules": []}], "nextLink": "https://x"}"#;
    refused(&[("a.json", azure)], "nextLink: the answer is incomplete");
    let google = r#"{"items": [{"name": "a", "network": "projects/p/global/networks/n", "direction": "INGRESS",
        "allowed": [{"IPProtocol": "tcp", "ports": ["80"]}], "sourceRanges": ["10.0.0.0/8"]}], "nextPageToken": "x"}"#;
    refused(&[("a.json", google)], "nextPageToken: the answer is incomplete");
}

#[test]
fn a_peer_without_its_value_is_said() {
    for (peers, key) in [
        (r#""UserIdGroupPairs": [{"GroupName": "default", "UserId": "1"}]"#, "GroupId"),
        (r#""IpRanges": [{"Description": "all"}]"#, "CidrIp"),
        (r#""PrefixListIds": [{"Description": "all"}]"#, "PrefixListId"),
    ] {
        let answer = AWS.replace(r#""IpRanges": [{"CidrIp": "10.0.0.0/8"}]"#, peers);
        refused(&[("a.json", &answer)], &format!("there is no {key} here"));
    }
    let row = r#"{"SecurityGroupRules": [{"SecurityGroupRuleId": "sgr-1", "GroupId": "sg-1", "GroupOwnerId": "1",
        "IsEgress": false, "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}]}"#;
    refused(&[("a.json", row)], "the rule has no far side");
}

/// Rules that are resources of their own, beside their group or in it, are rules of the group.
#[test]
fn a_template_is_read_with_the_rules_that_stand_alone() {
    let rule = r#""properties": {"priority": 100, "direction": "Inbound", "access": "Allow", "protocol": "Tcp",
        "sourceAddressPrefix": "*", "sourcePortRange": "*", "destinationAddressPrefix": "*",
        "destinationPortRange": "22"}"#;
    let template = |group: &str, more: &str| {
        format!(
            r#"{{"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "resources": [
            {{"type": "Microsoft.Network/networkSecurityGroups", "name": "n1", {group}
              "properties": {{"securityRules": [] }}}} {more}]}}"#
        )
    };
    let inner = template(
        &format!(r#""resources": [{{"type": "securityRules", "name": "open", {rule}}}],"#),
        "",
    );
    let beside = template(
        "",
        &format!(
            r#", {{"type": "Microsoft.Network/networkSecurityGroups/securityRules", "name": "n1/open", {rule}}}"#
        ),
    );
    let (status, text) = gate(&[("a.json", &template("", ""))]);
    assert_eq!(status, 0, "{text}");
    for text in [inner, beside] {
        let (status, text) = gate(&[("a.json", &text)]);
        assert_eq!(status, 1, "{text}");
        assert!(text.contains("rule open"), "{text}");
    }
    let nested = template("", r#", {"type": "Microsoft.Resources/deployments", "name": "more"}"#);
    refused(&[("a.json", &nested)], "a template within the template");
    let copied = template(r#""copy": {"name": "c", "count": 3},"#, "");
    refused(&[("a.json", &copied)], "its `copy` has an effect only when");
    let other = format!(
        r#"{{"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "resources": [
        {{"type": "Microsoft.Network/networkSecurityGroups/securityRules", "name": "n2/closed", {}}}]}}"#,
        rule.replace("Allow", "Deny")
    );
    refused(&[("a.json", &other)], "is a rule of n2, a group that the file does not have");
}

/// Networks of two projects are two, whatever their names.
#[test]
fn networks_of_two_projects_are_apart() {
    let rule = |project: &str, source: &str, kind: &str| {
        format!(
            r#"[{{"name": "ssh", "network": "https://www.googleapis.com/compute/v1/projects/{project}/global/networks/default",
            "direction": "INGRESS", "priority": 1000, "{kind}": [{{"IPProtocol": "tcp", "ports": ["22"]}}],
            "sourceRanges": ["{source}"]}}]"#
        )
    };
    let (dev, prod) = (rule("dev", "0.0.0.0/0", "allowed"), rule("prod", "0.0.0.0/0", "denied"));
    let (status, text) = gate(&[("a.json", &dev), ("b.json", &prod)]);
    assert_eq!(status, 1, "{text}");
    assert!(text.contains("dev/default"), "{text}");
    assert_eq!(gate(&[("b.json", &prod)]).0, 0);
}

fn state(resources: &str) -> String {
    format!(r#"{{"version": 4, "lineage": "x", "resources": [{resources}]}}"#)
}

fn group(source: &str) -> String {
    format!(
        r#"{{"mode": "managed", "type": "aws_security_group", "name": "a", "instances": [{{"attributes": {{"id": "sg-1",
        "name": "a", "vpc_id": "vpc-1", "egress": [], "ingress": [{{"protocol": "tcp", "from_port": 22, "to_port": 22,
        "cidr_blocks": ["{source}"], "ipv6_cidr_blocks": [], "prefix_list_ids": [], "security_groups": [],
        "self": false, "description": ""}}]}}}}]}}"#
    )
}

#[test]
fn several_states_are_one_rule_set() {
    let rule = r#"{"mode": "managed", "type": "aws_security_group_rule", "name": "r", "instances": [{"attributes": {
        "id": "sgrule-1", "type": "ingress", "protocol": "tcp", "from_port": 22, "to_port": 22,
        "cidr_blocks": ["203.0.113.0/24"], "ipv6_cidr_blocks": [], "prefix_list_ids": [], "self": false,
        "security_group_id": "sg-1"}}]}"#;
    let (whole, part) = (state(&group("10.0.0.0/8")), state(rule));
    for files in [[("a.json", &whole), ("b.json", &part)], [("a.json", &part), ("b.json", &whole)]]
    {
        let (status, text) = gate(&files.map(|(name, text)| (name, text.as_str())));
        assert_eq!(status, 1, "{text}");
    }
    refused(
        &[("a.json", &part.replace("203.0.113.0/24", "10.0.0.0/8"))],
        "is a rule of sg-1, a group that the file",
    );
    let other = state(&group("0.0.0.0/0"));
    refused(
        &[("a.json", &other), ("b.json", &whole)],
        "another file has group sg-1 with other rules",
    );
    assert_eq!(gate(&[("a.json", &whole), ("b.json", &whole)]).0, 0);
}
