//! Lines of `-f ndjson`, and the rows of `-f json`.

#![expect(
    dead_code,
    clippy::struct_field_names,
    reason = "the fields are for the schemas made of them, and have the names of keys"
)]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

use super::documents::{Direction, Effect, Layer, Severity, Verdict};

/// A line of `-f ndjson`. The last one has the type `summary`, and the keys of the same command's `-f json`.
#[derive(JsonSchema)]
#[schemars(tag = "type", rename_all = "snake_case", title = "A line of sgreplay -f ndjson")]
pub(super) enum Line {
    Packet(Packet),
    Connection(Box<Connection>),
    Change(Box<Change>),
    Region(Box<Region>),
    Finding(Finding),
    Service(Service),
    Scenario(Scenario),
    Summary(BTreeMap<String, Value>),
}

/// A packet: of `decode` without the columns of a verdict
#[derive(JsonSchema)]
pub(super) struct Packet {
    frame: u64,
    time_ns: Option<u64>,
    caplen: u64,
    wirelen: u64,
    outcome: Outcome,
    src: Option<String>,
    dst: Option<String>,
    proto: Option<u8>,
    sport: Option<u16>,
    dport: Option<u16>,
    tcp_flags: Option<u16>,
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
    fragment: Option<Fragment>,
    /// With `decode --embedded`: the packet that an ICMP error is about
    embedded_src: Option<String>,
    embedded_dst: Option<String>,
    embedded_proto: Option<u8>,
    embedded_sport: Option<u16>,
    embedded_dport: Option<u16>,
    interface: Option<String>,
    direction: Option<Direction>,
    verdict: Option<Verdict>,
    reason: Option<String>,
    group: Option<String>,
    rule: Option<String>,
    connection: Option<u64>,
    layer: Option<Layer>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Outcome {
    Decoded,
    NonIp,
    Truncated,
    Malformed,
    UnsupportedLink,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Fragment {
    No,
    First,
    Later,
}

#[derive(JsonSchema)]
pub(super) struct Connection {
    /// Its number; of packets after a close there is none
    connection: Option<u64>,
    community_id: String,
    first_frame: u64,
    first_time_ns: Option<u64>,
    last_time_ns: Option<u64>,
    src: String,
    dst: String,
    proto: u8,
    sport: Option<u16>,
    dport: Option<u16>,
    icmp_type: Option<u8>,
    packets: u64,
    bytes: u64,
    packets_back: u64,
    bytes_back: u64,
    /// seen, or how it was inferred
    opening: String,
    interface: Option<String>,
    direction: Option<Direction>,
    verdict: Verdict,
    reason: String,
    group: Option<String>,
    rule: Option<String>,
    layer: Option<Layer>,
}

#[derive(JsonSchema)]
pub(super) struct Change {
    change: Effect,
    community_id: String,
    first_frame: u64,
    first_time_ns: Option<u64>,
    last_time_ns: Option<u64>,
    src: String,
    dst: String,
    proto: u8,
    sport: Option<u16>,
    dport: Option<u16>,
    icmp_type: Option<u8>,
    packets: u64,
    bytes: u64,
    current_verdict: Verdict,
    current_reason: String,
    current_group: Option<String>,
    current_rule: Option<String>,
    proposed_verdict: Verdict,
    proposed_reason: String,
    proposed_group: Option<String>,
    proposed_rule: Option<String>,
    accepted: Option<String>,
    current_layer: Option<Layer>,
    proposed_layer: Option<Layer>,
}

/// Lists are words with spaces between
#[derive(JsonSchema)]
pub(super) struct Region {
    change: Effect,
    interface: String,
    direction: Direction,
    services: String,
    peers: String,
    locals: String,
    source_ports: String,
    current_verdict: Verdict,
    current_group: String,
    current_rule: String,
    proposed_group: String,
    proposed_rule: String,
    example: String,
    members_of: String,
    current_layer: Layer,
    proposed_layer: Layer,
    replies: YesNo,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum YesNo {
    Yes,
    No,
}

#[derive(JsonSchema)]
pub(super) struct Finding {
    code: String,
    severity: Severity,
    line: Option<u64>,
    group: Option<String>,
    rule: Option<String>,
    other_group: Option<String>,
    other_rule: Option<String>,
    message: String,
    interface: Option<String>,
    direction: Option<Direction>,
    example: Option<String>,
}

#[derive(JsonSchema)]
pub(super) struct Service {
    service: String,
    proto: String,
    ports: String,
    note: String,
}

#[derive(JsonSchema)]
pub(super) struct Scenario {
    scenario: String,
    /// Clause of the semantics
    from: String,
    title: String,
    /// Values that can be set, with their defaults
    values: String,
}
