//! What the program prints with `-f json`.

#![expect(
    dead_code,
    clippy::struct_field_names,
    reason = "the fields are for the schemas made of them, and have the names of keys"
)]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

use super::lines::{Connection, Packet, Scenario, Service};

#[derive(JsonSchema)]
struct RulesInput {
    /// As the user named it
    path: String,
    sha256: String,
    /// Whose rules they are, where they are not Alibaba Cloud's
    cloud: Option<String>,
}

#[derive(JsonSchema)]
struct Capture {
    /// As the user named it
    path: String,
    /// Bytes read
    size: u64,
    frames: u64,
    /// Packets that the capturing machine has dropped
    dropped: Option<u64>,
    unusable_times: Option<u64>,
    secrets_blocks: Option<u64>,
    custom_blocks: Option<u64>,
    unknown_blocks: Option<u64>,
    other_files: Option<u64>,
    clock_backwards: Option<ClockStep>,
    clock_ahead: Option<ClockStep>,
    flow_log: Option<FlowLog>,
    /// With --hash and --report
    sha256: Option<String>,
    /// The damage at which reading stopped
    error: Option<String>,
}

#[derive(JsonSchema)]
struct ClockStep {
    times: u64,
    most_ns: u64,
    frame: u64,
}

#[derive(JsonSchema)]
struct FlowLog {
    kind: String,
    records: u64,
    packets: u64,
    no_data: u64,
    skipped: u64,
    no_protocol: u64,
    no_icmp_type: u64,
    continuations: Option<u64>,
    already_open: Option<u64>,
    duplicates: Option<u64>,
    passed_over: Option<u64>,
    other_address: Option<u64>,
}

#[derive(JsonSchema)]
struct Local {
    addresses: Vec<String>,
    /// Whether they were inferred from the capture
    assumed: bool,
    evidence: Evidence,
    /// Whether that singles them out
    sure: bool,
    why: String,
    runner_up: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Evidence {
    Given,
    Rules,
    DirectionHints,
    HardwareAddress,
    HopLimits,
    Checksums,
    Share,
    Openings,
    Nothing,
}

#[derive(JsonSchema)]
struct Inputs {
    rules: RulesInput,
    captures: Vec<Capture>,
}

/// `replay -f json`; rows with --per packet and --per connection.
#[derive(JsonSchema)]
#[schemars(title = "sgreplay replay")]
pub(super) struct Replay {
    schema: u32,
    version: String,
    rows: Option<Vec<ReplayRow>>,
    inputs: Inputs,
    local: Local,
    packets: Packets,
    bytes: u64,
    first_time_ns: Option<u64>,
    last_time_ns: Option<u64>,
    connections: Connections,
    strays: Strays,
    unevaluated: Vec<Unevaluated>,
    /// Packets by reason
    reasons: BTreeMap<String, u64>,
    /// Every rule, the unused ones too
    rules: Vec<RuleCount>,
    /// By verdict, rule and service
    decided: Vec<Decided>,
    sessions_evicted: u64,
    /// With --coverage
    coverage: Option<Coverage>,
    /// With --compare-action
    recorded: Option<Recorded>,
    warnings: Vec<String>,
    /// Why the run ended before the end of its input
    partial: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum ReplayRow {
    Packet(Packet),
    Connection(Connection),
}

#[derive(JsonSchema)]
struct Packets {
    total: u64,
    allowed: u64,
    denied: u64,
    not_evaluated: u64,
}

#[derive(JsonSchema)]
struct Connections {
    total: u64,
    allowed: u64,
    denied: u64,
    /// A network ACL stops the replies
    cut: u64,
    /// Already under way when the capture began, by how their opening was inferred
    midstream: BTreeMap<String, u64>,
}

/// Packets after their connection closed
#[derive(JsonSchema)]
struct Strays {
    packets: u64,
    allowed: u64,
    denied: u64,
}

/// Packets that carry or may hide traffic
#[derive(JsonSchema)]
struct Unevaluated {
    reason: String,
    detail: Option<String>,
    frames: u64,
    /// The first of them
    example: u64,
    help: String,
}

#[derive(JsonSchema)]
struct RuleCount {
    group: String,
    rule: String,
    direction: Direction,
    policy: Policy,
    priority: u32,
    packets: u64,
    bytes: u64,
    connections: u64,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum Direction {
    Ingress,
    Egress,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Policy {
    Accept,
    Drop,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum Verdict {
    Allow,
    Deny,
    NotEvaluated,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum Layer {
    SecurityGroup,
    NetworkAcl,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum Effect {
    NewlyDenied,
    NewlyAllowed,
    OtherRule,
}

#[derive(JsonSchema)]
struct Decided {
    interface: String,
    direction: Direction,
    verdict: Verdict,
    reason: String,
    group: String,
    rule: String,
    layer: Layer,
    proto: u8,
    dport: Option<u16>,
    icmp_type: Option<u8>,
    connections: u64,
    packets: u64,
    bytes: u64,
    /// What may stop it beside the rules: carrier, smtp
    obstacle: Option<String>,
    first_frame: u64,
    peers: Vec<String>,
    peer_count: u64,
    peer_count_exact: bool,
}

#[derive(JsonSchema)]
struct Coverage {
    percent: f64,
    elements: u64,
    elements_used: u64,
    rules_used: u64,
    window: Window,
    rules: Vec<RuleCoverage>,
    defaults: Vec<DefaultCoverage>,
}

#[derive(JsonSchema)]
struct Window {
    first_time_ns: Option<u64>,
    last_time_ns: Option<u64>,
    longest_pause_ns: u64,
    longest_pause_from_ns: Option<u64>,
    dropped: Option<u64>,
}

#[derive(JsonSchema)]
struct RuleCoverage {
    group: String,
    rule: String,
    direction: Direction,
    policy: Policy,
    priority: u32,
    protocol: String,
    ports: Vec<String>,
    open: Vec<String>,
    open_ports: Option<u64>,
    open_networks: Option<u64>,
    elements: u64,
    elements_unused: Vec<Element>,
    far_wider: bool,
    connections: u64,
    peers: u64,
    first_time_ns: Option<u64>,
    last_time_ns: Option<u64>,
    first_frame: Option<u64>,
    services: Vec<ServiceUse>,
    networks: Vec<NetworkUse>,
    /// There are more services or networks than are listed
    more: bool,
}

#[derive(JsonSchema)]
struct DefaultCoverage {
    interface: String,
    direction: Direction,
    policy: Policy,
    connections: u64,
    peers: u64,
    first_time_ns: Option<u64>,
    last_time_ns: Option<u64>,
    first_frame: Option<u64>,
    services: Vec<ServiceUse>,
    networks: Vec<NetworkUse>,
    more: bool,
}

#[derive(JsonSchema)]
struct Element {
    ports: Option<String>,
    peer: Option<String>,
}

#[derive(JsonSchema)]
struct ServiceUse {
    proto: u8,
    /// Of ICMP: the type
    port: Option<u16>,
    connections: u64,
}

#[derive(JsonSchema)]
struct NetworkUse {
    network: String,
    connections: u64,
}

#[derive(JsonSchema)]
struct Recorded {
    agree: u64,
    differ: u64,
    not_compared: u64,
    differences: Vec<RecordedDifference>,
}

#[derive(JsonSchema)]
struct RecordedDifference {
    recorded: Value,
    verdict: Verdict,
    interface: String,
    direction: Direction,
    group: String,
    rule: String,
    layer: Layer,
    service: String,
    peer: String,
    records: u64,
    packets: u64,
    first_record: u64,
}

#[derive(JsonSchema)]
struct DiffInputs {
    current: RulesInput,
    proposed: RulesInput,
    captures: Vec<Capture>,
}

/// `diff -f json`: on captures, or over all possible packets.
#[derive(JsonSchema)]
#[schemars(untagged, title = "sgreplay diff")]
pub(super) enum Diff {
    Traffic(Box<TrafficDiff>),
    Rules(Box<RulesDiff>),
}

#[derive(JsonSchema)]
pub(super) struct TrafficDiff {
    schema: u32,
    version: String,
    inputs: DiffInputs,
    local: Local,
    connections: Effects,
    packets: Effects,
    strays: Strays,
    unevaluated: Vec<Unevaluated>,
    /// Approved changes, with the number of connections that each approves
    accepted: Vec<Accepted>,
    first_time_ns: Option<u64>,
    last_time_ns: Option<u64>,
    warnings: Vec<String>,
    partial: Option<String>,
    /// Connections that change; not in the last line of -f ndjson, whose lines they are
    changes: Option<Vec<Change>>,
    regions: Option<Vec<Region>>,
}

#[derive(JsonSchema)]
pub(super) struct RulesDiff {
    schema: u32,
    version: String,
    inputs: DiffInputs,
    /// Whether no packet has another verdict
    equivalent: bool,
    warnings: Vec<String>,
    regions: Option<Vec<Region>>,
}

#[derive(JsonSchema)]
struct Effects {
    newly_denied: u64,
    newly_allowed: u64,
    other_rule: u64,
    unchanged: u64,
}

#[derive(JsonSchema)]
struct Accepted {
    entry: AcceptedChange,
    expired: bool,
    connections: u64,
}

#[derive(JsonSchema)]
struct AcceptedChange {
    change: Option<Effect>,
    filter: String,
    reason: String,
    until: Option<String>,
}

#[derive(JsonSchema)]
struct Change {
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
    /// Why it is approved
    accepted: Option<String>,
    current: Side,
    proposed: Side,
}

#[derive(JsonSchema)]
struct Side {
    verdict: Verdict,
    reason: String,
    group: Option<String>,
    rule: Option<String>,
    layer: Option<Layer>,
}

/// A set of packets whose verdict changes
#[derive(JsonSchema)]
struct Region {
    change: Effect,
    interface: String,
    direction: Direction,
    current: Side,
    proposed: Side,
    services: Vec<String>,
    peers: Vec<String>,
    locals: Vec<String>,
    source_ports: Vec<String>,
    example: FlowTuple,
    members_of: Vec<String>,
    replies: bool,
    /// On captures: connections of it that were seen
    connections: Option<u64>,
    first_frame: Option<u64>,
}

#[derive(JsonSchema)]
struct FlowTuple {
    src: String,
    dst: String,
    proto: u8,
    sport: Option<u16>,
    dport: Option<u16>,
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
}

/// `check -f json`.
#[derive(JsonSchema)]
#[schemars(title = "sgreplay check")]
pub(super) struct Check {
    schema: u32,
    version: String,
    rules: RulesInput,
    errors: u64,
    warnings: u64,
    notes: u64,
    suppressed: u64,
    /// Interfaces and directions that were not checked
    too_complex: Vec<String>,
    findings: Option<Vec<Finding>>,
    suppressed_findings: Option<Vec<Finding>>,
}

#[derive(JsonSchema)]
struct Finding {
    code: String,
    severity: Severity,
    line: Option<u64>,
    group: Option<String>,
    rule: Option<String>,
    other_group: Option<String>,
    other_rule: Option<String>,
    others: Vec<OtherRule>,
    message: String,
    example: Option<FindingExample>,
    /// The reason of the suppression
    suppressed: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum Severity {
    Error,
    Warning,
    Note,
}

#[derive(JsonSchema)]
struct OtherRule {
    group: Option<String>,
    rule: Option<String>,
}

#[derive(JsonSchema)]
struct FindingExample {
    interface: String,
    direction: Direction,
    src: String,
    dst: String,
    proto: u8,
    sport: Option<u16>,
    dport: Option<u16>,
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
}

/// `test -f json`.
#[derive(JsonSchema)]
#[schemars(title = "sgreplay test")]
pub(super) struct Test {
    schema: u32,
    version: String,
    rules: RulesInput,
    expectations: RulesInput,
    passed: u64,
    failed: u64,
    results: Vec<TestResult>,
}

#[derive(JsonSchema)]
struct TestResult {
    name: String,
    line: Option<u64>,
    met: bool,
    /// System traffic, which no rule decides
    exempt: Vec<String>,
    failures: Vec<TestFailure>,
}

#[derive(JsonSchema)]
struct TestFailure {
    interface: String,
    direction: Direction,
    expected: Verdict,
    verdict: Option<Verdict>,
    reason: String,
    group: String,
    rule: String,
    layer: Layer,
    services: Option<Vec<String>>,
    peers: Option<Vec<String>>,
    locals: Option<Vec<String>>,
    source_ports: Option<Vec<String>>,
    example: Option<FlowTuple>,
    members_of: Option<Vec<String>>,
    replies: Option<bool>,
}

/// `ci -f json`.
#[derive(JsonSchema)]
#[schemars(title = "sgreplay ci")]
pub(super) struct Proposal {
    schema: u32,
    version: String,
    passes: bool,
    /// Why it is not known whether the proposal passes
    unanswered: Option<String>,
    fails: Vec<String>,
    notes: Vec<String>,
    diff: Option<Diff>,
    check: Check,
    test: Option<Test>,
}

/// `explain -f json`.
#[derive(JsonSchema)]
#[schemars(title = "sgreplay explain")]
pub(super) struct Explain {
    schema: u32,
    verdict: Verdict,
    reason: String,
    group: Option<String>,
    rule: Option<String>,
    layer: Option<Layer>,
    interface: Option<String>,
    direction: Option<Direction>,
    flow: Option<String>,
    /// The packet that opened the connection
    opening: Option<Opening>,
    /// Every rule in evaluation order
    steps: Vec<Step>,
    reply_steps: Option<Vec<Step>>,
    /// What would have to change for the opposite verdict
    remedy: Option<Remedy>,
    /// The same for each interface, where the packet is judged at several
    interfaces: Option<Vec<AtInterface>>,
}

#[derive(JsonSchema)]
struct Remedy {
    /// The opposite verdict
    turns_to: Verdict,
    /// Rules to add, which change the verdict of nothing else
    add: Vec<AddedRule>,
    /// Why there are none
    why_not: Option<String>,
    /// The rules are about every type of ICMP, since rules of this cloud name none
    any_icmp_type: bool,
    nearest: Option<NearestRule>,
}

#[derive(JsonSchema)]
struct AddedRule {
    group: String,
    /// As a rules file has it
    rule: String,
    /// For the cloud's command line
    commands: Vec<String>,
}

/// A rule that accepts, and matches but for one field
#[derive(JsonSchema)]
struct NearestRule {
    group: String,
    rule: String,
    field: String,
    /// What the field would have to hold
    value: Option<String>,
}

#[derive(JsonSchema)]
struct AtInterface {
    remedy: Option<Remedy>,
    verdict: Verdict,
    reason: String,
    group: Option<String>,
    rule: Option<String>,
    layer: Option<Layer>,
    interface: String,
    direction: Direction,
    flow: String,
    opening: Opening,
    steps: Vec<Step>,
    reply_steps: Option<Vec<Step>>,
}

#[derive(JsonSchema)]
struct Opening {
    frame: Option<u64>,
    direction: Direction,
    flow: String,
}

#[derive(JsonSchema)]
struct Step {
    group: String,
    rule: String,
    layer: Layer,
    matched: bool,
    failed_on: Option<String>,
}

/// `suggest -f json`.
#[derive(JsonSchema)]
#[schemars(title = "sgreplay suggest")]
pub(super) struct Suggest {
    schema: u32,
    version: String,
    inputs: SuggestInputs,
    local: Local,
    first_time_ns: Option<u64>,
    last_time_ns: Option<u64>,
    connections: u64,
    scans_left_out: u64,
    connections_no_rule_can_name: u64,
    steps: Vec<AggregationStep>,
    holdout: Option<Holdout>,
    warnings: Vec<String>,
    /// The rules, as in a rules file
    rules_file: super::files::Rules,
}

#[derive(JsonSchema)]
struct SuggestInputs {
    rules: Option<RulesInput>,
    captures: Vec<Capture>,
}

#[derive(JsonSchema)]
struct AggregationStep {
    v4: u8,
    v6: u8,
    rules: u64,
    opens_times_seen: f64,
    chosen: bool,
}

#[derive(JsonSchema)]
struct Holdout {
    connections: u64,
    cut: Vec<Cut>,
}

#[derive(JsonSchema)]
struct Cut {
    direction: Direction,
    packet: FlowTuple,
    connections: u64,
}

/// `bench -f json`, and the files of --save.
#[derive(JsonSchema)]
#[schemars(title = "sgreplay bench")]
pub(super) struct Bench {
    schema: u32,
    version: String,
    rules: String,
    captures: Vec<String>,
    packets: u64,
    bytes: u64,
    threads: u64,
    runs: u64,
    entries: u64,
    index: Vec<String>,
    index_memory: u64,
    build_ns: u64,
    /// Of saved measurements.
    format: u64,
    machine: Machine,
    build: Build,
    stages: Vec<Stage>,
    calibration: Vec<Stage>,
    /// Of a comparison.
    changes: Option<Vec<StageChange>>,
    /// The other side of a measurement in turns.
    against: Option<Box<Self>>,
}

#[derive(JsonSchema)]
struct Machine {
    cpu: Option<String>,
    cores: u64,
    system: String,
    simd: String,
}

#[derive(JsonSchema)]
struct Build {
    version: String,
    features: Vec<String>,
    optimised: bool,
}

#[derive(JsonSchema)]
struct Stage {
    stage: String,
    clock: Clock,
    ns_per_packet: f64,
    median_ns_per_packet: f64,
    instructions_per_packet: Option<f64>,
    /// ns a packet: a list for each process.
    samples: Vec<Vec<f64>>,
    instructions: Vec<Vec<f64>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Clock {
    Thread,
    Process,
    Wall,
}

#[derive(JsonSchema)]
struct StageChange {
    stage: String,
    metric: Metric,
    /// In percent.
    bound: f64,
    before: Option<f64>,
    now: Option<f64>,
    ratio: Option<Interval>,
    outcome: Outcome,
    reason: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Metric {
    Slower,
    Elapsed,
    Instructions,
}

#[derive(JsonSchema)]
struct Interval {
    low: f64,
    high: f64,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Outcome {
    Slower,
    NotSlower,
    CannotTell,
}

/// `decode -f json`.
#[derive(JsonSchema)]
#[schemars(title = "sgreplay decode")]
pub(super) struct Decode {
    schema: u32,
    rows: Option<Vec<Packet>>,
    packets: u64,
    captures: Vec<Capture>,
}

/// `scenarios -f json`.
#[derive(JsonSchema)]
#[schemars(title = "sgreplay scenarios")]
pub(super) struct Scenarios {
    schema: u32,
    rows: Option<Vec<Scenario>>,
    scenarios: u64,
}

/// `services -f json`.
#[derive(JsonSchema)]
#[schemars(title = "sgreplay services")]
pub(super) struct Services {
    schema: u32,
    rows: Option<Vec<Service>>,
    services: u64,
}
