//! Texts that the fuzz targets begin with: each says much of what can be said, in few bytes.

/// What parts two texts in the bytes of a target.
pub(crate) const MARK: &[u8] = b"\n----\n";

/// Filters.
pub(crate) const FILTERS: [&str; 6] = [
    "tcp and dst port 22 or not udp",
    "ip6 and (src host ::1 or dst net 2001:db8::/32) and not icmp6",
    "net 10.0.0.0/8 and portrange 22-443 and not (sctp or proto 132)",
    "not (src net 10.0.0.0/8 and dst 203.0.113.9) && ! (icmp || proto 47)",
    "src portrange 1-65535 or host 10.0.0.5 and port 53",
    "((((tcp)))) or udp or icmp",
];

/// Files of accepted changes.
pub(crate) const ACCEPTED: [&str; 2] = [
    "- {filter: dst port 22, reason: moved}\n- {change: newly_denied, filter: udp or host 10.0.0.6, reason: r, until: 2026-11-22}\n",
    "[{filter: tcp, reason: a, until: 2027-01-01, change: other_rule}, {filter: not tcp, reason: b, change: newly_allowed}]",
];

/// Files of expectations, about the rules of the target.
pub(crate) const EXPECTATIONS: [&str; 4] = [
    // Nobody else is to get in, and somebody does.
    "- {name: g, protocol: tcp, ports: 22, source: 198.51.100.0/24, verdict: allow, otherwise: deny}\n",
    "expectations:\n- {name: a, protocol: tcp, ports: SSH, source: 203.0.113.0/24, verdict: allow, by: ssh, otherwise: deny}\n\
     - {name: b, protocol: tcp, ports: [3306, 22/23], source: 0.0.0.0/0, verdict: deny, except: [{source: 203.0.113.0/24, ports: 22}]}\n",
    "- {name: c, interface: eni-a, protocol: tcp, ports: 80/443, source: ['::/0', 10.0.0.0/8], source_ports: 1024/65535, verdict: allow}\n\
     - {name: d, direction: egress, protocol: udp, ports: 53, destination: 0.0.0.0/0, verdict: deny, by: no-dns}\n",
    "[{name: e, protocol: icmp, source: 10.0.0.0/8, verdict: allow, except: [{source: 10.1.0.0/16}]}, {name: f, protocol: all, source: 192.0.2.0/24, verdict: deny, by: default}]",
];

/// Rules in the words of each cloud and each tool, as their answers stand one after the other.
pub(crate) const CLOUDS: [&str; 11] = [
    // Alibaba Cloud: answers of the API, an export of the console.
    r#"{"SecurityGroupId": "sg-a", "VpcId": "vpc-1", "InnerAccessPolicy": "Drop", "NextToken": "", "Permissions": {"Permission": [
{"Direction": "ingress", "IpProtocol": "TCP", "PortRange": "22/22", "SourceCidrIp": "10.159.6.18/12", "Policy": "Accept", "Priority": 1, "NicType": "intranet", "SourcePortRange": "", "Description": "d"},
{"Direction": "ingress", "IpProtocol": "Tcp", "PortRange": "80/90", "SourceCidrIp": "0.0.0.0/0", "Policy": "DROP", "Priority": "110", "DestCidrIp": "10.0.0.5", "SourcePortRange": "1024/65535"},
{"Direction": "egress", "IpProtocol": "ALL", "PortRange": "-1/-1", "DestGroupId": "sg-b"},
{"Direction": "ingress", "IpProtocol": "UDP", "PortRange": "53/53", "SourcePrefixListId": "pl-1"},
{"Direction": "ingress", "IpProtocol": "58", "PortRange": "-1/-1", "Ipv6SourceCidrIp": "::/0"}]}}
{"SecurityGroupId": "sg-b", "Permissions": {}} {"PrefixListId": "pl-1", "Entries": {"Entry": [{"Cidr": "192.0.2.0/24"}]}}
{"NetworkInterfaceSets": {"NetworkInterfaceSet": [{"NetworkInterfaceId": "eni-1", "PrivateIpAddress": "10.0.0.5", "SecurityGroupIds": {"SecurityGroupId": ["sg-a"]}, "Ipv6Sets": {"Ipv6Set": [{"Ipv6Address": "::1"}]}}]}}"#,
    r#"[{"SourceGroupId":"","Policy":"Accept","SourcePortRange":"","Priority":110,"NicType":"intranet","Direction":"ingress","PortRange":"22/22","SourceCidrIp":"0.0.0.0/0","IpProtocol":"TCP","DestCidrIp":""},{"IpProtocol":"udp","PortRange":"53/53","DestCidrIp":"192.0.2.0/24","Direction":"egress","Policy":"Drop","Priority":"1"}]"#,
    // A template of ROS.
    "ROSTemplateFormatVersion: '2015-09-01'\nParameters: {Office: {Type: String, Default: 203.0.113.0/24}}\nConditions: {Open: {'Fn::Equals': [a, a]}}\nResources:\n  Web:\n    Type: ALIYUN::ECS::SecurityGroup\n    Properties:\n      VpcId: !Ref Vpc\n      SecurityGroupIngress:\n        - {IpProtocol: tcp, PortRange: 22/22, SourceCidrIp: !Ref Office, NicType: intranet, Priority: '2', Policy: drop}\n  Rule:\n    Type: ALIYUN::ECS::SecurityGroupIngress\n    Condition: Open\n    Properties: {SecurityGroupId: !GetAtt Web.SecurityGroupId, SourceCidrIp: !Join ['/', [10.0.0.0, '8']], IpProtocol: tcp, PortRange: 80/443}\n",
    // Terraform: its language, a plan, a state.
    "locals {\n  ports = [\"22/22\", \"80/443\"]\n}\nresource \"alicloud_security_group\" \"web\" {\n  vpc_id = \"vpc-1\"\n}\nresource \"alicloud_security_group_rule\" \"in\" {\n  count             = 2\n  type              = \"ingress\"\n  ip_protocol       = \"tcp\"\n  policy            = count.index == 0 ? \"accept\" : \"drop\"\n  port_range        = local.ports[count.index]\n  priority          = 1\n  security_group_id = alicloud_security_group.web.id\n  cidr_ip           = \"203.0.113.0/24\"\n}\n",
    r#"{"format_version": "1.2", "complete": true, "resource_changes": [
{"address": "alicloud_security_group.web", "type": "alicloud_security_group", "change": {"actions": ["no-op"], "before": {"id": "sg-1", "inner_access_policy": "Drop"}, "after": {"id": "sg-1", "inner_access_policy": "Drop"}}},
{"address": "alicloud_security_group_rule.ssh[0]", "type": "alicloud_security_group_rule", "change": {"actions": ["delete", "create"],
"before": {"security_group_id": "sg-1", "type": "ingress", "ip_protocol": "tcp", "port_range": "22/22", "cidr_ip": "0.0.0.0/0", "policy": "accept", "priority": 1},
"after": {"security_group_id": "sg-1", "type": "ingress", "ip_protocol": "tcp", "port_range": "22/22", "cidr_ip": "203.0.113.0/24", "policy": "drop", "priority": 1}, "after_unknown": {}}}]}"#,
    r#"{"format_version": "1.0", "values": {"root_module": {"resources": [
{"address": "alicloud_security_group.web", "mode": "managed", "type": "alicloud_security_group", "values": {"id": "sg-1", "security_group_type": "enterprise"}},
{"address": "alicloud_security_group_rule.a", "mode": "managed", "type": "alicloud_security_group_rule", "values": {"security_group_id": "sg-1", "type": "ingress", "ip_protocol": "all", "port_range": "-1/-1", "ipv6_cidr_ip": "::/0", "policy": "accept", "priority": 7}}]}}}"#,
    // AWS: security groups, and network ACLs.
    r#"{"SecurityGroups": [{"GroupId": "sg-web", "OwnerId": "1", "VpcId": "vpc-1", "IpPermissions": [
{"IpProtocol": "tcp", "FromPort": 0, "ToPort": 80, "IpRanges": [{"CidrIp": "203.0.113.0/24"}], "Ipv6Ranges": [{"CidrIpv6": "2001:db8::/32"}], "PrefixListIds": [{"PrefixListId": "pl-1"}], "UserIdGroupPairs": [{"GroupId": "sg-db", "UserId": "1"}]},
{"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-web", "UserId": "1"}]}],
"IpPermissionsEgress": []}, {"GroupId": "sg-db", "OwnerId": "1", "IpPermissions": [], "IpPermissionsEgress": [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]}]}
{"PrefixLists": [{"PrefixListId": "pl-1", "Cidrs": ["192.0.2.0/24"]}]}
{"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "Groups": [{"GroupId": "sg-web"}], "PrivateIpAddress": "10.0.0.5", "PrivateIpAddresses": [{"PrivateIpAddress": "10.0.0.6"}], "Ipv6Addresses": [{"Ipv6Address": "::1"}]}]}"#,
    r#"{"NetworkAcls": [{"NetworkAclId": "acl-1", "Associations": [{"SubnetId": "subnet-1"}], "Entries": [
{"RuleNumber": 100, "Egress": false, "Protocol": "6", "RuleAction": "allow", "CidrBlock": "0.0.0.0/0", "PortRange": {"From": 80, "To": 80}},
{"RuleNumber": 90, "Egress": false, "Protocol": "-1", "RuleAction": "deny", "CidrBlock": "198.51.100.0/24"},
{"RuleNumber": 110, "Egress": false, "Protocol": "1", "RuleAction": "allow", "CidrBlock": "0.0.0.0/0", "IcmpTypeCode": {"Type": 8, "Code": -1}},
{"RuleNumber": 100, "Egress": true, "Protocol": "17", "RuleAction": "allow", "Ipv6CidrBlock": "::/0", "PortRange": {"From": 53, "To": 53}}]}]}"#,
    // Azure: groups and interfaces.
    r#"[{"name": "subnet-nsg", "subnets": [{"id": "/x/Subnets/One"}], "securityRules": [
{"name": "web", "priority": 100, "direction": "Inbound", "access": "Allow", "protocol": "TCP", "sourceAddressPrefix": "*", "sourcePortRange": "*", "destinationAddressPrefix": "*", "destinationPortRanges": ["80", "8000-8010"]},
{"name": "ssh", "priority": 110, "direction": "Inbound", "access": "Allow", "protocol": "Tcp", "sourceAddressPrefixes": ["203.0.113.0/24", "192.0.2.1-192.0.2.4"], "sourcePortRange": "*", "destinationAddressPrefix": "10.0.0.5", "destinationPortRange": "22"},
{"name": "out", "priority": 100, "direction": "Outbound", "access": "Deny", "protocol": "*", "sourceAddressPrefix": "VirtualNetwork", "sourcePortRange": "*", "destinationAddressPrefix": "*", "destinationPortRange": "25"}]}]
[{"name": "nic1", "ipConfigurations": [{"privateIPAddress": "10.0.0.5", "subnet": {"id": "/x/subnets/one"}}]}]"#,
    // Google Cloud: firewall rules and instances.
    r#"{"kind": "compute#firewallList", "items": [
{"name": "web", "network": "https://x/networks/default", "allowed": [{"IPProtocol": "tcp", "ports": ["80", "443-444"]}, {"IPProtocol": "icmp"}], "sourceRanges": ["0.0.0.0/0"], "targetTags": ["web"]},
{"name": "no-web", "network": "https://x/networks/default", "priority": 1000, "direction": "INGRESS", "denied": [{"IPProtocol": "tcp", "ports": ["443"]}], "sourceRanges": ["198.51.100.0/24", "::/0"]},
{"name": "no-smtp", "network": "https://x/networks/default", "direction": "EGRESS", "denied": [{"IPProtocol": "tcp", "ports": ["25"]}]}]}
[{"kind": "compute#instance", "name": "web-1", "tags": {"items": ["web"]}, "networkInterfaces": [{"name": "nic0", "network": "https://x/networks/default", "networkIP": "10.0.0.5"}]}]"#,
    // ClassBench.
    "@203.0.113.0/24\t10.0.0.0/8\t0 : 65535\t22 : 22\t0x06/0xFF\t0x0000/0x0000\n@0.0.0.0/0\t10.0.0.5/32\t1024 : 65535\t53 : 53\t0x11/0xFF\t0x0000/0x0000\n",
];

/// Rules that differ, in pairs.
pub(crate) const PAIRS: [&str; 3] = [
    "{security_groups: [{id: a, rules: [{id: r, direction: ingress, protocol: tcp, ports: [22, 80/443], source: [10.0.0.0/8, '::/1']}]}]}\n----\n\
     {security_groups: [{id: a, rules: [{id: r, direction: ingress, policy: drop, priority: 3, protocol: tcp, ports: 80, source: 10.0.0.0/9}, {direction: ingress, priority: 4, protocol: all, source: 0.0.0.0/0}]}]}",
    "{security_groups: [{id: a, rules: [{direction: egress, protocol: icmp, destination: 0.0.0.0/0, policy: drop}]}]}\n----\n\
     {security_groups: [{id: a, type: enterprise, rules: [{direction: ingress, protocol: udp, source: pl-a, ports: 53, source_ports: 53}]}], prefix_lists: [{id: pl-a, entries: [255.255.255.255/32]}]}",
    "{security_groups: [{id: a, inner_access_policy: drop, rules: [{direction: ingress, protocol: tcp, ports: 22, source: sg-b}]}, {id: sg-b}]}\n----\n\
     {security_groups: [{id: a, rules: [{direction: ingress, protocol: gre, source: 203.0.113.9, destination: 10.0.0.5}]}]}",
];

/// Texts with what acts on a terminal, a spreadsheet, a page of markdown or a rules file.
pub(crate) const HOSTILE: [&str; 6] = [
    "a\u{1b}[31mred\u{1b}]0;title\u{7}\u{9b}2J\r\n",
    "\u{202e}evil\u{2066}\u{200b}\u{feff}\u{2028}\u{85}\u{e0041}",
    "=cmd|' /C calc'!A0, -1, +1, @x, \t=1, \"quoted\"",
    "|a|`b`<script>**@me** [x](javascript:y) <!-- --> #1",
    "'}]}\\u{202e} \\ \"\\x1b\" !tag &a *a {{x}} %s ---",
    "-1.5e3 sg-a#1 é 日本語 👩‍👩",
];
