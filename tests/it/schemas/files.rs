//! The files that people write.

#![expect(dead_code, reason = "the fields are for the schemas made of them")]

use std::collections::BTreeMap;

use schemars::JsonSchema;

/// One value or a list of values.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

/// Rules of security groups and network ACLs.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "Rules file of sgreplay")]
pub(super) struct Rules {
    /// Whose rules they are; decides how they are judged. Default: alibaba
    cloud: Option<Cloud>,
    /// unknown: nobody said which groups an interface has, so each group is judged by itself. partial, with interfaces:
    /// there are others than those that are listed.
    membership: Option<Membership>,
    /// Security groups and their rules
    security_groups: Option<Vec<Group>>,
    /// Network ACLs of subnets
    network_acls: Option<Vec<Acl>>,
    /// Network interfaces. Default: one, `local`, with every group
    interfaces: Option<Vec<Interface>>,
    /// Named lists of networks
    prefix_lists: Option<Vec<PrefixList>>,
    /// Named lists of port ranges
    port_lists: Option<Vec<PortList>>,
    /// Addresses that a service tag or network tag stands for
    tags: Option<Vec<Tag>>,
    /// Tags of the interface, where none are listed
    instance_tags: Option<OneOrMany<String>>,
    /// Load balancers whose ingress always passes
    slb_sources: Option<OneOrMany<String>>,
    /// Ports that carriers block, for a warning. Default: 25, 135, 139, 444, 445, 5800, 5900
    carrier_ports: Option<OneOrMany<Text>>,
    /// Findings of `sgreplay check` that are meant
    suppressions: Option<Vec<Suppression>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum Cloud {
    Alibaba,
    Aws,
    Azure,
    Google,
    Classbench,
    /// Older files: network ACLs in the place of security groups
    AwsNetworkAcl,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Membership {
    Unknown,
    Partial,
}

/// Text; a number is read as one.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum Text {
    Text(String),
    Number(f64),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Group {
    /// sg-…
    id: Text,
    /// Default: basic
    r#type: Option<GroupType>,
    /// Whether members reach each other. Default: accept for a basic group of Alibaba Cloud, else drop
    inner_access_policy: Option<Policy>,
    vpc_id: Option<Text>,
    name: Option<Text>,
    description: Option<Text>,
    rules: Option<Vec<Rule>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum GroupType {
    Basic,
    Enterprise,
    Normal,
    Advanced,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Policy {
    Accept,
    Drop,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Direction {
    Ingress,
    Egress,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Rule {
    /// Name in reports. Default: group, # and the rule's number: sg-web#1
    id: Option<Text>,
    direction: Direction,
    /// Default: accept
    policy: Option<Policy>,
    /// The smaller number first. Default: 1
    priority: Option<Text>,
    /// tcp, udp, icmp, icmpv6, gre, all, or a number 0 to 255
    protocol: Text,
    /// Destination ports: 22, 8000/8999, a name of `sgreplay services`, prl-…, {list: ID}. Default: any
    ports: Option<OneOrMany<Ports>>,
    /// Default: any
    source_ports: Option<OneOrMany<Text>>,
    /// Far side of an ingress rule: CIDR, address, sg-…, pl-…, tag:NAME; `0.0.0.0/0` is any IPv4 address, `::/0` any IPv6
    /// address. Near side of an egress rule.
    source: Option<OneOrMany<Peer>>,
    /// Far side of an egress rule; near side of an ingress rule
    destination: Option<OneOrMany<Peer>>,
    /// ICMP type, or type/code (rules of AWS). Default: any
    icmp: Option<Text>,
    /// Interfaces with one of these tags (Google Cloud, Azure). Default: every interface
    targets: Option<OneOrMany<String>>,
    /// Classic network. Default: intranet
    nic_type: Option<NicType>,
    /// Which of two equal rules is named: 2026-12-31T12:00:00Z
    create_time: Option<String>,
    /// The cloud's own rule, which findings ignore. Default: false
    fixed: Option<bool>,
    description: Option<Text>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum NicType {
    Intranet,
    Internet,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Ports {
    Text(Text),
    List(PortListRef),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct PortListRef {
    /// ID of a port list
    list: Text,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Peer {
    Text(Text),
    Named(PeerRef),
}

/// One of `group`, `prefix_list` and `tag`
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct PeerRef {
    /// ID of a security group
    group: Option<Text>,
    /// Account of that group, if it is another account's
    account: Option<Text>,
    /// ID of a prefix list
    prefix_list: Option<Text>,
    /// Name of a tag
    tag: Option<Text>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Acl {
    /// acl-…
    id: Text,
    /// Default: the interfaces in networks, else all
    interfaces: Option<OneOrMany<Text>>,
    /// Networks of its subnets
    networks: Option<OneOrMany<String>>,
    vpc_id: Option<Text>,
    name: Option<Text>,
    description: Option<Text>,
    rules: Option<Vec<AclRule>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct AclRule {
    /// The lowest decides
    number: Text,
    /// Default: ingress-100
    id: Option<Text>,
    direction: Direction,
    /// Default: accept
    policy: Option<Policy>,
    protocol: Text,
    ports: Option<OneOrMany<Ports>>,
    icmp: Option<Text>,
    source: Option<OneOrMany<Peer>>,
    destination: Option<OneOrMany<Peer>>,
    description: Option<Text>,
    fixed: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Interface {
    /// Name in reports, and in --interface
    id: Text,
    /// Private addresses or CIDRs
    addresses: Option<OneOrMany<String>>,
    security_groups: Option<OneOrMany<Text>>,
    /// Networks of its subnet
    subnet: Option<OneOrMany<String>>,
    /// Seconds. Default: the cloud's
    timeouts: Option<Timeouts>,
    tags: Option<OneOrMany<String>>,
    nic_type: Option<NicType>,
    description: Option<Text>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Timeouts {
    tcp_opening: Option<Text>,
    tcp_established: Option<Text>,
    tcp_closed: Option<Text>,
    udp: Option<Text>,
    udp_stream: Option<Text>,
    icmp: Option<Text>,
    other: Option<Text>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct PrefixList {
    /// pl-…
    id: Text,
    entries: Option<OneOrMany<String>>,
    name: Option<Text>,
    description: Option<Text>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct PortList {
    /// prl-…
    id: Text,
    entries: Option<OneOrMany<Text>>,
    name: Option<Text>,
    description: Option<Text>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Tag {
    name: Text,
    entries: Option<OneOrMany<String>>,
    description: Option<Text>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Suppression {
    /// Code of a finding; `sgreplay check --codes` lists them
    code: String,
    /// Default: every rule
    rule: Option<Text>,
    reason: Text,
    /// The last day: 2027-06-30
    until: Option<String>,
}

/// What must hold for every possible packet: `sgreplay test`.
#[derive(JsonSchema)]
#[schemars(untagged, title = "Expectations of sgreplay")]
pub(super) enum Assertions {
    Under(Expectations),
    List(Vec<Expectation>),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Expectations {
    expectations: Vec<Expectation>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Expectation {
    /// What is expected, in words
    name: Text,
    verdict: Expected,
    /// What becomes of everybody else
    otherwise: Option<Expected>,
    /// The rule that decides
    by: Option<Text>,
    /// Default: every interface
    interface: Option<Text>,
    /// Default: ingress
    direction: Option<Direction>,
    /// Default: all
    protocol: Option<Text>,
    ports: Option<OneOrMany<Ports>>,
    source_ports: Option<OneOrMany<Text>>,
    source: Option<OneOrMany<Peer>>,
    destination: Option<OneOrMany<Peer>>,
    /// Packets that it is not about
    except: Option<Vec<Except>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Expected {
    Allow,
    Deny,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Except {
    protocol: Option<Text>,
    ports: Option<OneOrMany<Ports>>,
    source_ports: Option<OneOrMany<Text>>,
    source: Option<OneOrMany<Peer>>,
    destination: Option<OneOrMany<Peer>>,
}

/// Approved changes: they are shown and fail no gate. `--accept`, and `accept:` in the file of `sgreplay ci`.
#[derive(JsonSchema)]
#[schemars(title = "Approved changes of sgreplay")]
pub(super) struct Accept(Vec<AcceptedChange>);

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct AcceptedChange {
    /// Default: any
    change: Option<Effect>,
    /// Connections, by the packet that opens them: tcp port 22 and net 198.51.100.0/24
    filter: String,
    reason: String,
    /// The last day, UTC: 2026-12-31
    until: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Effect {
    NewlyDenied,
    NewlyAllowed,
    OtherRule,
}

/// What is asked of a proposal: `sgreplay ci`. Paths are relative to the file.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "Configuration of sgreplay ci")]
pub(super) struct Ci {
    /// The proposed rules; required, or plan
    proposed: Option<String>,
    /// The current rules. Without them only check and expectations
    current: Option<String>,
    /// A Terraform plan (`terraform show -json`), which has both sides
    plan: Option<String>,
    /// Captures and flow logs: files or directories. Without them the exact difference alone
    captures: Option<OneOrMany<String>>,
    /// File of expectations: `sgreplay test`
    expectations: Option<String>,
    /// File of approved changes
    accept: Option<String>,
    /// What fails. Default: newly-denied, new-error, expectations
    fail_on: Option<Vec<FailOn>>,
    /// Addresses of the instance
    local: Option<OneOrMany<String>>,
    /// Tunnels to look into: vxlan, geneve, …, auto
    decap: Option<OneOrMany<String>>,
    /// Captures made at interfaces: {eni-web: web.pcap}
    interfaces: Option<BTreeMap<String, String>>,
    /// Tags and prefix lists that the rules do not define: `{VirtualNetwork: 10.0.0.0/8}`
    define: Option<BTreeMap<String, OneOrMany<String>>>,
    /// Groups of the instance
    groups: Option<OneOrMany<String>>,
    /// Network tags of the instance (Google Cloud)
    tags: Option<OneOrMany<String>>,
    /// Accept rules that are not complete
    partial: Option<bool>,
    /// Ignore the quotas of the cloud
    no_quota: Option<bool>,
    /// Cloud, if a plan has several
    cloud: Option<String>,
    /// Networks of the VPC (AWS)
    vpc_cidr: Option<OneOrMany<String>>,
    /// Packets to report: tcp port 443
    filter: Option<String>,
    /// Has no effect: captures are always merged by time
    merge: Option<bool>,
    /// Read captures in the order given
    as_named: Option<bool>,
    /// Let a gate pass on a truncated capture
    allow_truncated: Option<bool>,
    /// Percentage of the traffic that may be unevaluated. Default: 1
    max_unevaluated: Option<f64>,
    /// Markdown summary to write
    markdown: Option<String>,
    /// SARIF file to write
    sarif: Option<String>,
    /// GitLab code quality report to write
    code_quality: Option<String>,
    /// JUnit file to write
    junit: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum FailOn {
    NewlyDenied,
    NewlyAllowed,
    NewError,
    NewWarning,
    Error,
    Warning,
    Expectations,
}
