//! A replay in parts gives the answers of a replay: on captures in which much depends on other packets, each over 16 files,
//! which follow each other or overlap in time.
//!
//! The seed of what fails is printed; `SGREPLAY_SEED` tries others: `7`, or `100-200`.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use sgreplay::baseline::Accepted;
use sgreplay::collect::{Changed, Connections, Coverage, RowPart};
use sgreplay::decode::Tunnels;
use sgreplay::diff::{self, Change, Diff, Effect};
use sgreplay::engine::{self, Binding, DiffSink, ReplayRequest, Sink};
use sgreplay::extract::{
    Asked, CaptureFacts, ComparedPart, Extracted, FlowCompare, FlowJudge, FragmentRecord, Part,
    Piece, Portable, Record, Scope, SpanFacts, Timeline, Whole, compared,
};
use sgreplay::labels::{BothLabels, Labels};
use sgreplay::replay::{Midstream, Options, Replay, Sessions};
use sgreplay::report::{
    CHANGE_COLUMNS, CoverageReport, DiffInputs, DiffSummary, Inputs, RowFormat, Rows, Summary,
    change_rows,
};
use sgreplay::rules::RuleSet;
use sgreplay::sources::{CaptureInput, Input, Order};
use sgreplay::suggest::{Observed, Wants};
use sgreplay::{Error, Judged, SourceOptions, Sources};

mod logs;
mod points;

use crate::support::adversarial::{
    Files, SECOND, adversarial, ipv6, octet, overlapping, pcapng, write,
};
use crate::support::{Dice, ipv4};

/// One instance.
const ONE: &str = "
security_groups:
  - {id: sg-web, rules: [
      {id: web, direction: ingress, protocol: tcp, ports: 80, source: 0.0.0.0/0},
      {id: web6, direction: ingress, protocol: tcp, ports: 80/443, source: '::/0'},
      {id: dns, direction: ingress, protocol: udp, ports: 53, source: 198.51.100.0/24},
      {id: no-ssh, direction: egress, protocol: tcp, ports: 22, destination: 198.51.100.128/25, policy: drop}]}
interfaces:
  - {id: web, addresses: [10.0.0.5, '2001:db8::5'], security_groups: [sg-web]}
";

/// Three instances, whose sessions last for different times; two are members of one group.
const THREE: &str = "
security_groups:
  - {id: sg-web, rules: [
      {id: web, direction: ingress, protocol: tcp, ports: 80, source: 0.0.0.0/0},
      {id: web6, direction: ingress, protocol: tcp, ports: 80/443, source: '::/0'},
      {id: dns, direction: ingress, protocol: udp, ports: 53, source: 198.51.100.0/24},
      {id: no-ssh, direction: egress, protocol: tcp, ports: 22, destination: 0.0.0.0/0, policy: drop}]}
  - {id: sg-db, inner_access_policy: drop, rules: [
      {id: db, direction: ingress, protocol: tcp, ports: 5432, source: 10.0.0.5/32},
      {id: ping, direction: ingress, protocol: icmp, source: 10.0.0.0/24}]}
interfaces:
  - {id: web, addresses: [10.0.0.5, '2001:db8::5'], security_groups: [sg-web]}
  - {id: db, addresses: [10.0.0.6, '2001:db8::6'], security_groups: [sg-db, sg-web],
     timeouts: {tcp_established: 60, udp: 10}}
  - {id: old, addresses: [10.0.0.9, '2001:db8::9'], security_groups: [sg-db]}
";

/// On AWS: UDP streams last longer, a network ACL judges replies, and who the members of a group are is not known.
const LAYERS: &str = "
cloud: aws
membership: partial
security_groups:
  - {id: sg-web, rules: [
      {id: web, direction: ingress, protocol: tcp, ports: 80, source: 0.0.0.0/0},
      {id: lb, direction: ingress, protocol: tcp, ports: 443, source: sg-lb},
      {id: dns, direction: ingress, protocol: udp, ports: 53, source: 0.0.0.0/0},
      {id: out, direction: egress, protocol: all, destination: 0.0.0.0/0}]}
  - {id: sg-lb, rules: [{id: all, direction: ingress, protocol: tcp, ports: 80, source: 0.0.0.0/0}]}
network_acls:
  - id: acl
    networks: [10.0.0.0/24]
    rules:
      - {number: 90, direction: egress, policy: drop, protocol: tcp, ports: 40001, destination: 0.0.0.0/0}
      - {number: 100, direction: egress, protocol: all, destination: 0.0.0.0/0}
      - {number: 90, direction: ingress, policy: drop, protocol: udp, ports: 40002, source: 0.0.0.0/0}
      - {number: 100, direction: ingress, protocol: all, source: 0.0.0.0/0}
interfaces:
  - {id: web, addresses: [10.0.0.5, '2001:db8::5'], security_groups: [sg-web]}
  - {id: other, addresses: [10.0.0.6], security_groups: [sg-web]}
";

/// Everything that may be gathered.
const ASKED: Asked = Asked { rows: true, coverage: true, observed: Some(WANTS) };
const WANTS: Wants = Wants { answers: true, times: true, selection: false };

/// Everything that a replay says, in lines.
fn answers(
    rules: &RuleSet,
    replay: &Replay<'_>,
    (connections, coverage, observed): (&mut Connections, Option<&Coverage>, &Observed),
    captures: Vec<CaptureInput>,
    local: engine::Local,
) -> Vec<String> {
    let labels = Labels::new(rules);
    let rows = connections.cells(RowPart::All, &labels).map(|cells| format!("{cells:?}"));
    let mut all: Vec<String> = rows.collect();
    let stats = replay.stats();
    all.extend(stats.flow_classes().map(|(class, count)| format!("{class:?} {count:?}")));
    all.push(format!(
        "{:?} {:?} {:?} {:?} {:?} {} {:?} {:?}",
        stats.guessed(),
        stats.unweighed(),
        stats.may_be_denied(),
        stats.may_be_allowed(),
        stats.unevaluated().not_local(),
        stats.open_question(),
        stats.strays(),
        stats.tunnelled(),
    ));
    let half = stats.times().map(|(first, last)| first + (last - first) / 2);
    for answered in [false, true] {
        let lists = observed.lists(answered, half).into_iter().zip(["before", "later"]);
        all.extend(lists.flat_map(|(list, when)| {
            list.into_iter().map(move |one| format!("{answered} {when} {one:?}"))
        }));
    }
    all.push(format!("{:?}", observed.scanners()));
    let inputs = Inputs { rules: engine::RulesInput::default(), captures };
    let mut summary = Summary::new(rules, replay, inputs, local, Vec::new());
    summary.coverage = coverage.map(|of| CoverageReport::new(rules, &labels, of, None).json());
    let summary = summary.with_decided(replay, &labels);
    all.extend(serde_json::to_string_pretty(&summary).unwrap().lines().map(str::to_owned));
    all
}

fn sources(paths: &[PathBuf], order: Order) -> Sources {
    let options = SourceOptions { order, ..SourceOptions::default() };
    Sources::open(paths.iter().cloned(), options, std::sync::Arc::default()).unwrap()
}

/// A capture or a flow log, for the extract.
fn one_source(scope: &Scope, path: &Path) -> Sources {
    let options = SourceOptions { flow_logs: scope.flow_logs(), ..SourceOptions::default() };
    Sources::open([path.to_owned()], options, std::sync::Arc::default()).unwrap()
}

/// Gathers what parts are asked for.
struct Gathers {
    rows: Connections,
    coverage: Coverage,
    observed: Observed,
}

impl Sink for Gathers {
    type Error = Error;

    fn frame(&mut self, input: &Input<'_>, judged: &Judged) -> Result<ControlFlow<()>, Error> {
        self.rows.add(input, judged);
        self.coverage.add(&input.frame, input.decoded.packet(), judged);
        self.observed.add(input, judged);
        Ok(ControlFlow::Continue(()))
    }
}

/// By one machine.
fn by_one(rules: &RuleSet, paths: &[PathBuf], order: Order, options: Options) -> Vec<String> {
    asked_of_one(rules, paths, (order, options), ASKED, &Binding::default())
}

fn asked_of_one(
    rules: &RuleSet,
    paths: &[PathBuf],
    (order, options): (Order, Options),
    asked: Asked,
    binding: &Binding,
) -> Vec<String> {
    let mut rules = rules.clone();
    let mut sources = sources(paths, order);
    let bound = engine::bind(&mut rules, &mut sources, binding).unwrap();
    let mut sink = Gathers {
        rows: Connections::within(usize::MAX),
        coverage: Coverage::new(&rules),
        observed: Observed::new(WANTS, usize::MAX),
    };
    let request = ReplayRequest { options, ..ReplayRequest::default() };
    let outcome = engine::replay(&rules, sources, bound, request, &mut sink).unwrap();
    let Gathers { mut rows, coverage, mut observed } = sink;
    observed.finish();
    let gathered = (&mut rows, asked.coverage.then_some(&coverage), &observed);
    answers(&rules, &outcome.replay, gathered, outcome.ended.inputs, outcome.local)
}

/// From one machine to another.
fn sent<T: Portable>(of: &T) -> Result<T, Error> {
    T::from_bytes(&of.to_bytes()?)
}

/// What a rule set of the tests may become.
fn changed(text: &str) -> String {
    let web = "{id: web, direction: ingress, protocol: tcp, ports: 80, source: 0.0.0.0/0}";
    let office =
        "{id: web, direction: ingress, protocol: tcp, ports: 22/443, source: 198.51.100.0/26},
      {id: errors, direction: ingress, protocol: icmp, source: 198.51.100.0/25},
      {id: tunnels, direction: ingress, protocol: all, source: 198.51.100.5/32}";
    let text = text.replacen(web, office, 1);
    text.replace("ports: 53, source: 198.51.100.0/24", "ports: 53, source: 198.51.100.16/28")
        .replace("ports: 40001, destination", "ports: 40002, destination")
        .replace("source: sg-lb", "source: sg-web")
}

/// Everything that a comparison says, in lines.
fn differences(
    both: [&RuleSet; 2],
    diff: &Diff<'_>,
    changes: &[Change],
    captures: Vec<CaptureInput>,
    local: engine::Local,
) -> Vec<String> {
    let accepted = Accepted::default();
    let [current, proposed] = both.map(Labels::new);
    let labels = BothLabels { accepted: &accepted, current: &current, proposed: &proposed };
    let mut csv = Vec::new();
    let mut rows = Rows::new(&mut csv, RowFormat::Csv, "change", &CHANGE_COLUMNS).unwrap();
    change_rows(changes, labels, &mut rows).unwrap();
    rows.flush().unwrap();
    drop(rows);
    let turned = diff::regions(both[0], both[1]).unwrap();
    let mut changed = Changed::new(labels, &turned, usize::MAX);
    for change in changes {
        changed.add(change);
    }
    let inputs = DiffInputs { captures, ..DiffInputs::default() };
    let summary = DiffSummary::new(diff, &changed, inputs, local, Vec::new());
    let mut all: Vec<String> = String::from_utf8(csv).unwrap().lines().map(str::to_owned).collect();
    all.extend(Effect::ALL.iter().map(|effect| {
        let doubts = diff.doubts(*effect).unwrap();
        format!("{effect:?} {} {:?}", doubts.total(), doubts.iter().collect::<Vec<_>>())
    }));
    all.push(format!("{:?} {:?}", diff.one_sided(), changed.seen()));
    for stats in [diff.current(), diff.proposed()].map(Replay::stats) {
        all.push(format!(
            "{:?} {:?} {:?}",
            stats.unweighed(),
            stats.connections(),
            stats.packets()
        ));
    }
    all.extend(serde_json::to_string_pretty(&summary).unwrap().lines().map(str::to_owned));
    all
}

/// Takes nothing: the changes stay in the comparison.
struct NoSink;

impl DiffSink for NoSink {
    type Error = Error;

    fn frame(
        &mut self,
        _: &Input<'_>,
        _: [&Judged; 2],
        _: Effect,
    ) -> Result<ControlFlow<()>, Error> {
        Ok(ControlFlow::Continue(()))
    }
}

/// What one machine says of a change.
fn compared_by_one(
    rules: [&RuleSet; 2],
    paths: &[PathBuf],
    options: Options,
    binding: &Binding,
) -> Vec<String> {
    let [mut current, mut proposed] = rules.map(Clone::clone);
    let mut sources = sources(paths, Order::Time);
    let both = (&mut current, &mut proposed);
    let bound = engine::bind_both(both, &mut sources, binding).unwrap();
    let request = ReplayRequest { options, ..ReplayRequest::default() };
    let both = (&current, &proposed);
    let outcome = engine::compare(both, sources, bound, request, &mut NoSink).unwrap();
    let (diff, inputs) = (&outcome.replay, outcome.ended.inputs);
    differences([&current, &proposed], diff, diff.changes(), inputs, outcome.local)
}

/// What so many judges say of it, each of which has some of the flows.
fn compared_by_parts(
    rules: [&RuleSet; 2],
    extract: &Extract,
    parts: u64,
    options: Options,
) -> Result<Vec<String>, Error> {
    let [mut current, mut proposed] = rules.map(Clone::clone);
    let local = engine::bind_known(&mut current, &[])?;
    engine::bind_known(&mut proposed, &[])?;
    let both = [&current, &proposed];
    let Extract { timeline, lost, .. } = extract;
    let (mut changes, mut found) = (Vec::new(), Vec::new());
    for mut records in extract.in_parts(parts) {
        timeline.sort(&mut records);
        let mut compare = FlowCompare::new(both, timeline, options)?;
        for record in &records {
            compare.judge(record);
            changes.extend(compare.take_changes());
        }
        let (rest, part) = compare.finish();
        changes.extend(rest);
        found.push(sent::<ComparedPart>(&part)?);
    }
    let diff = compared(both, timeline, lost, found, options)?;
    changes.extend(diff.changes().iter().cloned());
    changes.sort_by_key(|change| change.first_frame);
    let inputs = timeline.inputs().to_vec();
    Ok(differences(both, &diff, &changes, inputs, local))
}

/// What the captures hold for a replay in parts.
struct Extract {
    timeline: Timeline,
    records: Vec<Record>,
    lost: sgreplay::extract::LostFragments,
}

impl Extract {
    /// The records in so many parts, each of which has some of the flows.
    fn in_parts(&self, parts: u64) -> Vec<Vec<Record>> {
        let state = RandomState::new();
        let mut of_part: BTreeMap<u64, Vec<Record>> = BTreeMap::new();
        for record in &self.records {
            let part = state.hash_one(record.key) % parts;
            of_part.entry(part).or_default().push(record.clone());
        }
        of_part.into_values().rev().collect()
    }
}

/// Captures that follow each other.
fn extract(rules: &RuleSet, paths: &[PathBuf], order: Order) -> Result<Extract, Error> {
    extract_of(&scope(rules, paths)?, paths, order)
}

fn scope(rules: &RuleSet, paths: &[PathBuf]) -> Result<Scope, Error> {
    Scope::new(rules, Tunnels::default(), u32::try_from(paths.len()).unwrap())
}

fn extract_of(scope: &Scope, paths: &[PathBuf], order: Order) -> Result<Extract, Error> {
    let (mut parts, mut facts) = (Parts::default(), Vec::new());
    // Captures may be extracted in any order.
    for (capture, path) in (0..).zip(paths).collect::<Vec<_>>().into_iter().rev() {
        let sources = one_source(scope, path);
        let of_capture = scope.extract(capture, sources, |part| parts.add(&part))?;
        facts.push(sent(&of_capture)?);
    }
    parts.at(&Timeline::new(facts, order)?)
}

/// Captures that may overlap.
fn merge(rules: &RuleSet, paths: &[PathBuf]) -> Result<Extract, Error> {
    merge_of(&scope(rules, paths)?, paths)
}

fn merge_of(scope: &Scope, paths: &[PathBuf]) -> Result<Extract, Error> {
    let (facts, pieces) = pieces(scope, paths)?;
    let (mut parts, mut spans) = (Parts::default(), Vec::new());
    // Spans may be merged in any order.
    for (span, mut pieces) in pieces.into_iter().rev() {
        pieces.sort_by_key(Piece::order);
        let of_span: SpanFacts =
            scope.merge(span, pieces.into_iter().map(Ok), |part| parts.add(&part))?;
        spans.push(sent(&of_span)?);
    }
    parts.at(&Timeline::merged(facts, spans)?)
}

/// The pieces of captures, by span.
type Pieces = BTreeMap<u32, Vec<Piece>>;

fn pieces(scope: &Scope, paths: &[PathBuf]) -> Result<(Vec<CaptureFacts>, Pieces), Error> {
    let (mut facts, mut pieces) = (Vec::new(), Pieces::new());
    for (capture, path) in (0..).zip(paths).collect::<Vec<_>>().into_iter().rev() {
        let sources = one_source(scope, path);
        facts.push(scope.pieces(capture, sources, |piece| {
            pieces.entry(piece.span()).or_default().push(sent(&piece)?);
            Ok::<(), Error>(())
        })?);
    }
    Ok((facts.iter().map(sent).collect::<Result<_, _>>()?, pieces))
}

/// The parts of an extract, as they come.
#[derive(Default)]
struct Parts {
    records: Vec<Record>,
    fragments: Vec<FragmentRecord>,
}

impl Parts {
    fn add(&mut self, part: &Extracted) -> Result<(), Error> {
        match part {
            Extracted::Record(record) => self.records.push(sent(record)?),
            Extracted::Fragment(fragment) => self.fragments.push(sent(fragment)?),
        }
        Ok(())
    }

    fn at(self, timeline: &Timeline) -> Result<Extract, Error> {
        let Self { mut records, fragments } = self;
        let timeline = sent(timeline)?;
        let (completed, lost) = timeline.complete(fragments);
        let lost = sent(&lost)?;
        records.extend(completed);
        Ok(Extract { timeline, records, lost })
    }
}

/// By so many judges, each of which has some of the flows.
fn by_parts(
    rules: &RuleSet,
    extract: &Extract,
    parts: u64,
    options: Options,
) -> Result<Vec<String>, Error> {
    asked_of_parts(rules, extract, parts, options, ASKED)
}

fn asked_of_parts(
    rules: &RuleSet,
    extract: &Extract,
    parts: u64,
    options: Options,
    asked: Asked,
) -> Result<Vec<String>, Error> {
    let mut rules = rules.clone();
    let local = engine::bind_known(&mut rules, &[])?;
    let Extract { timeline, lost, .. } = extract;
    let judged = extract.in_parts(parts).into_iter().map(|mut records| {
        timeline.sort(&mut records);
        let mut judge = FlowJudge::new(&rules, timeline, options)?.asked(asked)?;
        for record in &records {
            judge.judge(record);
        }
        sent::<Part>(&judge.finish())
    });
    let judged: Vec<Part> = judged.collect::<Result<_, _>>()?;
    let whole = Whole::new(&rules, timeline, lost, judged, options, asked)?;
    let inputs = timeline.inputs().to_vec();
    let Whole { replay, mut connections, coverage, observed } = whole;
    let gathered = (&mut connections, coverage.as_ref(), &observed.unwrap());
    Ok(answers(&rules, &replay, gathered, inputs, local))
}

#[track_caller]
fn equal(expected: &[String], found: &[String], how: &str) {
    let differs = expected.iter().zip(found).position(|(a, b)| a != b);
    let rows = differs.map(|n| [&expected[n], &found[n]]);
    assert_eq!((differs, rows), (None, None), "{how}");
    assert_eq!(expected.len(), found.len(), "{how}");
}

/// The seeds that are tried.
fn seeds() -> std::ops::Range<u64> {
    let Ok(named) = std::env::var("SGREPLAY_SEED") else { return 0..6 };
    let (first, last) = named.split_once('-').unwrap_or((&named, &named));
    first.parse().unwrap()..last.parse::<u64>().unwrap() + 1
}

/// Captures of a seed, those that follow each other and those that overlap, with their extracts.
fn each_extract(seed: u64, rules: &RuleSet, mut each: impl FnMut(&[PathBuf], &Extract, &str)) {
    let hosts = if seed.is_multiple_of(2) { 40 } else { 250 };
    let files = [adversarial(seed, 12_000, hosts), overlapping(seed, 12_000, hosts)];
    let [following, overlapping] = files.map(|files| {
        assert_eq!(files.len(), 16);
        let dir = tempfile::tempdir().unwrap();
        (write(dir.path(), &files), dir)
    });
    each(&following.0, &extract(rules, &following.0, Order::Time).unwrap(), "in order");
    each(&overlapping.0, &merge(rules, &overlapping.0).unwrap(), "overlapping");
}

fn options(seed: u64) -> Options {
    match seed % 3 {
        0 => Options::default().with_midstream(Midstream::FirstPacket),
        _ => Options::default(),
    }
}

#[test]
fn parts_judge_as_one_machine_does() {
    for seed in seeds() {
        for (name, text) in [("one", ONE), ("three", THREE), ("layers", LAYERS)] {
            let rules = sgreplay::parse::yaml("rules.yaml", text).unwrap();
            let options = options(seed);
            each_extract(seed, &rules, |paths, extract, how| {
                let one = by_one(&rules, paths, Order::Time, options);
                for parts in [1, 5] {
                    let found = by_parts(&rules, extract, parts, options).unwrap();
                    let what = format!("{name} interfaces, {how}, {parts} parts, seed {seed}");
                    equal(&one, &found, &what);
                }
                let packets: u64 = extract.records.iter().map(Record::packets).sum();
                let records = extract.records.len() as u64;
                assert!(records * 10 < packets * 9, "packets collapse: {records} of {packets}");
                let said = one.join("\n");
                for says in
                    ["connection_denied", "fragment_without_first", "after_close", "not_local"]
                {
                    assert!(said.contains(says), "{says} occurs, seed {seed}");
                }
            });
        }
    }
}

#[test]
fn parts_compare_as_one_machine_does() {
    for seed in seeds() {
        for (name, text) in [("one", ONE), ("three", THREE), ("layers", LAYERS)] {
            let parsed = |text: &str| sgreplay::parse::yaml("rules.yaml", text).unwrap();
            let (current, proposed) = (parsed(text), parsed(&changed(text)));
            assert_ne!(current, proposed);
            let options = options(seed);
            each_extract(seed, &current, |paths, extract, how| {
                for both in [[&current, &proposed], [&proposed, &current], [&current, &current]] {
                    let one = compared_by_one(both, paths, options, &Binding::default());
                    let parts = 1 + 4 * (seed % 2);
                    let found = compared_by_parts(both, extract, parts, options).unwrap();
                    let what = format!("{name} interfaces, {how}, {parts} parts, seed {seed}");
                    equal(&one, &found, &what);
                    let says = one.join("\n");
                    for effect in ["newly_denied,", "newly_allowed,"] {
                        let changes = both[0] != both[1];
                        assert_eq!(says.contains(effect), changes, "{effect} {name}, seed {seed}");
                    }
                }
            });
        }
    }
}

/// Captures that follow each other may be read as those that overlap are.
#[test]
fn captures_that_follow_each_other_may_be_merged() {
    let dir = tempfile::tempdir().unwrap();
    let paths = write(dir.path(), &adversarial(1, 6_000, 40));
    let rules = sgreplay::parse::yaml("rules.yaml", THREE).unwrap();
    let found = by_parts(&rules, &merge(&rules, &paths).unwrap(), 3, Options::default()).unwrap();
    equal(&by_one(&rules, &paths, Order::Time, Options::default()), &found, "merged");
}

/// More peers, and more kinds of frames that hide traffic, than are kept: which ones are depends on the order of all packets.
#[test]
fn bounds_of_memory_are_those_of_one_machine() {
    let mut dice = Dice(1);
    let frames: Vec<(Option<u64>, Vec<u8>)> = (0..200_000_u64)
        .map(|n| {
            let peer = format!("198.{}.{}.{}", dice.throw(2), dice.throw(200), dice.throw(20));
            // A few ports with very many peers, and many with a few.
            let port = [80, 1_000 + dice.throw(9_000)][dice.throw(9).min(1)];
            let packet = match dice.throw(50) {
                0 => [&[0x45, 0][..], &[0; 20]].concat(),
                _ => ipv4(&format!("{peer}:40000"), &format!("10.0.0.5:{port}"), "S"),
            };
            (Some((1_700_000_000 + n) * SECOND), packet)
        })
        .collect();
    let files: Files = frames.chunks(20_000).map(<[_]>::to_vec).collect();
    let dir = tempfile::tempdir().unwrap();
    let paths = write(dir.path(), &files);
    let rules = sgreplay::parse::yaml("rules.yaml", ONE).unwrap();
    let one = by_one(&rules, &paths, Order::Time, Options::default());
    assert!(one.iter().any(|line| line.contains("uncounted: true")), "there are too many peers");
    let extract = extract(&rules, &paths, Order::Time).unwrap();
    for parts in [1, 7] {
        let found = by_parts(&rules, &extract, parts, Options::default()).unwrap();
        equal(&one, &found, &format!("{parts} parts"));
    }
}

/// Fragments show no ports, so that those of several flows have one row after the close of their connections. Its first time
/// is that of the first packet of all that has one.
#[test]
fn a_row_of_several_flows_has_the_first_time_of_all() {
    let fragment = |port: u16, place: (u8, u8), second: Option<u64>| {
        let mut packet = ipv4(&format!("198.51.100.7:{port}"), "10.0.0.5:80", ".");
        (packet[4], packet[5]) = (1, octet(usize::from(port - 40_000)));
        (packet[6], packet[7]) = place;
        (second.map(|second| (1_700_000_000 + second) * SECOND), packet)
    };
    let (first, later) = ((0x20, 0), (0x20, 4));
    let mut frames = Vec::new();
    for port in [40_000, 40_001] {
        let ends = (&*format!("198.51.100.7:{port}"), "10.0.0.5:80");
        frames.push((Some(1_700_000_000 * SECOND), ipv4(ends.0, ends.1, "S")));
        frames.push((Some(1_700_000_001 * SECOND), ipv4(ends.0, ends.1, "R")));
    }
    frames.extend([
        fragment(40_000, first, Some(5_000)),
        fragment(40_001, first, Some(5_001)),
        fragment(40_000, later, None),
        fragment(40_001, later, Some(5_002)),
        fragment(40_000, later, Some(5_003)),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let paths = write(dir.path(), &vec![frames]);
    let rules = sgreplay::parse::yaml("rules.yaml", ONE).unwrap();
    let one = by_one(&rules, &paths, Order::Time, Options::default());
    let is_row = |line: &&String| line.contains("after_close") && line.contains("1700005002");
    assert_eq!(one.iter().filter(is_row).count(), 1, "{one:#?}");
    for found in [extract(&rules, &paths, Order::Time), merge(&rules, &paths)] {
        let found = by_parts(&rules, &found.unwrap(), 2, Options::default()).unwrap();
        equal(&one, &found, "two flows");
    }
}

/// On AWS a UDP flow becomes a stream when its initiator sends again after an answer, whichever side is seen first.
#[test]
fn a_stream_may_begin_with_an_answer() {
    let (client, server) = ("10.0.0.5:40002", "198.51.100.9:80");
    let packet = |(millis, from_client): (u64, bool)| {
        let ends = if from_client { [client, server] } else { [server, client] };
        (Some(1_700_000_000 * SECOND + millis * 1_000_000), ipv4(ends[0], ends[1], "udp"))
    };
    let seen = [(0, false), (1, false), (2, true), (3, false), (150_000, false)];
    let dir = tempfile::tempdir().unwrap();
    let paths = write(dir.path(), &vec![seen.into_iter().map(packet).collect()]);
    let rules = sgreplay::parse::yaml("rules.yaml", LAYERS).unwrap();
    let extract = extract(&rules, &paths, Order::Time).unwrap();
    let found = by_parts(&rules, &extract, 1, Options::default()).unwrap();
    equal(&by_one(&rules, &paths, Order::Time, Options::default()), &found, "a stream");
}

/// A transfer is a handful of records, however many packets it has.
#[test]
fn a_long_transfer_is_one_record() {
    let packet = |n: u64| {
        let (client, server) = ("198.51.100.7:40000", "10.0.0.5:80");
        let ends = if n.is_multiple_of(3) { [server, client] } else { [client, server] };
        let flags = if n == 0 { "S" } else { "." };
        let ends = if n == 0 { [client, server] } else { ends };
        (Some(1_700_000_000 * SECOND + n * SECOND), ipv4(ends[0], ends[1], flags))
    };
    let dir = tempfile::tempdir().unwrap();
    let paths = write(dir.path(), &vec![(0..5_000).map(packet).collect()]);
    let rules = sgreplay::parse::yaml("rules.yaml", ONE).unwrap();
    let extract = extract(&rules, &paths, Order::Time).unwrap();
    assert_eq!(extract.records.len(), 2, "the opening packet, and the rest");
    let found = by_parts(&rules, &extract, 1, Options::default()).unwrap();
    equal(&by_one(&rules, &paths, Order::Time, Options::default()), &found, "a transfer");
}

/// Who accepts connections is learned from every packet, not only from those that are looked at ahead.
#[test]
fn a_packet_behind_the_first_ones_shows_who_accepts_connections() {
    let packet = |n: u64| {
        let [src, dst, flags] = match n {
            17_000 => ["10.0.0.5:45678", "198.51.100.7:41000", "S."],
            17_001 => ["10.0.0.5:45678", "198.51.100.9:33000", "."],
            _ => ["198.51.100.7:40000", "10.0.0.5:53", "udp"],
        };
        (Some(1_700_000_000 * SECOND + n * SECOND / 100), ipv4(src, dst, flags))
    };
    let dir = tempfile::tempdir().unwrap();
    let paths = write(dir.path(), &vec![(0..17_002).map(packet).collect()]);
    let rules = sgreplay::parse::yaml("rules.yaml", ONE).unwrap();
    let one = by_one(&rules, &paths, Order::Time, Options::default());
    assert!(one.join("\n").contains("accepting_port"), "{one:#?}");
    for extract in [extract(&rules, &paths, Order::Time).unwrap(), merge(&rules, &paths).unwrap()] {
        let found = by_parts(&rules, &extract, 2, Options::default()).unwrap();
        equal(&one, &found, "a port that accepts");
    }
}

/// What an extract cannot promise is an error, and no other answer.
#[test]
fn what_it_does_not_cover_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let at = |second: u64, flags: &str| {
        (Some((1_700_000_000 + second) * SECOND), ipv4("198.51.100.7:40000", "10.0.0.5:80", flags))
    };
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let first = file("first.pcapng", &pcapng(&[at(0, "S"), at(9, "F")]));
    let second = file("second.pcapng", &pcapng(&[at(5, "."), at(12, "R")]));
    let cut = file("cut.pcapng", &pcapng(&[at(0, "S"), at(9, "F")])[..130]);
    let log = b"version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status\n\
        2 1 eni-1 198.51.100.7 10.0.0.5 40000 80 6 1 40 1700000000 1700000060 ACCEPT OK\n";
    let log = file("flow.log", log);
    let rules = sgreplay::parse::yaml("rules.yaml", ONE).unwrap();
    let refused = |rules: &RuleSet, paths: &[&PathBuf], order| {
        let paths: Vec<PathBuf> = paths.iter().copied().cloned().collect();
        extract(rules, &paths, order).map(drop).unwrap_err().to_string()
    };
    let overlapping = refused(&rules, &[&first, &second], Order::Time);
    assert!(overlapping.contains("second.pcapng begins before "), "{overlapping}");
    let both = [first.clone(), second.clone()];
    let one = by_one(&rules, &both, Order::Time, Options::default());
    let merged = merge(&rules, &both).unwrap();
    equal(&one, &by_parts(&rules, &merged, 1, Options::default()).unwrap(), "overlapping");
    let scope = Scope::new(&rules, Tunnels::default(), 2).unwrap();
    let (of_captures, pieces) = pieces(&scope, &both).unwrap();
    let in_order = |span, mut pieces: Vec<Piece>| {
        pieces.sort_by_key(Piece::order);
        scope.merge(span, pieces.into_iter().map(Ok), |_| Ok::<(), Error>(()))
    };
    let (span, of_span) = pieces.first_key_value().unwrap();
    let elsewhere = in_order(span + 1, of_span.clone());
    let twice = in_order(*span, [&of_span[..], of_span].concat());
    for wrong in [elsewhere, twice] {
        let wrong = wrong.map(drop).unwrap_err().to_string();
        assert!(wrong.contains("span by span, each once, in their order"), "{wrong}");
    }
    let all = pieces.into_iter().map(|(span, pieces)| in_order(span, pieces));
    let all = all.collect::<Result<Vec<_>, _>>().unwrap();
    for wrong in [all[1..].to_vec(), [&all[..], &all].concat()] {
        let wrong = Timeline::merged(of_captures.clone(), wrong).map(drop);
        let wrong = wrong.unwrap_err().to_string();
        assert!(wrong.contains("not every span of the captures is there once"), "{wrong}");
    }
    let wrong = Timeline::new(of_captures, Order::Time).map(drop).unwrap_err().to_string();
    assert!(wrong.contains("were read in pieces"), "{wrong}");
    assert!(refused(&rules, &[&cut], Order::Time).contains("cut.pcapng"));
    let scope = Scope::new(&rules, Tunnels::default(), 1).unwrap();
    let unknowing = sources(std::slice::from_ref(&log), Order::Time);
    let unknowing = scope.extract(0, unknowing, |_| Ok::<(), Error>(())).unwrap_err().to_string();
    assert!(unknowing.contains("with the options of the scope"), "{unknowing}");
    // As they are named they do not overlap.
    let paths = [first, second];
    let options = Options::default();
    let asked = Asked { coverage: false, ..ASKED };
    let one = asked_of_one(&rules, &paths, (Order::AsNamed, options), asked, &Binding::default());
    let extract = extract(&rules, &paths, Order::AsNamed).unwrap();
    let found = asked_of_parts(&rules, &extract, 1, options, asked).unwrap();
    equal(&one, &found, "as named");
    let uncovered = by_parts(&rules, &extract, 1, options).unwrap_err().to_string();
    assert!(uncovered.contains("leave coverage out"), "{uncovered}");

    let judged = |text: &str, options| {
        let rules = sgreplay::parse::yaml("rules.yaml", text).unwrap();
        by_parts(&rules, &extract, 1, options).unwrap_err().to_string()
    };
    let limited = Options::default().with_max_sessions(Some(9));
    assert!(judged(ONE, limited).contains("how many sessions an interface holds"));
    let alone = Options::default().with_sessions(Sessions::Off);
    assert!(judged(ONE, alone).contains("without sessions"));
    assert!(judged(THREE, Options::default()).contains("other local addresses"));
    let shorter = ONE
        .replace("security_groups: [sg-web]}", "security_groups: [sg-web], timeouts: {udp: 10}}");
    assert!(judged(&shorter, Options::default()).contains("other timeouts"));
    let nowhere = ONE.split("interfaces:").next().unwrap();
    assert!(judged(nowhere, Options::default()).contains("the local address is not inferred here"));
    let facts = |capture| {
        let scope = Scope::new(&rules, Tunnels::default(), 2).unwrap();
        let sources = sources(&paths[..1], Order::Time);
        scope.extract(capture, sources, |_| Ok::<(), Error>(())).unwrap()
    };
    let bytes = facts(0).to_bytes().unwrap();
    let read = |bytes: &[u8]| CaptureFacts::from_bytes(bytes).map(drop).unwrap_err().to_string();
    assert!(read(&[&[99], &bytes[1..]].concat()).contains("of another version"));
    assert_eq!(read(&bytes[..bytes.len() - 1]), "the extract is damaged");
    assert_eq!(read(&[&bytes[..], &[0]].concat()), "the extract is damaged");
    let missing = Timeline::new(vec![facts(1)], Order::Time).unwrap_err().to_string();
    assert!(missing.contains("not every capture is there once"), "{missing}");
}

/// What is kept of captures, as bytes. Where this changes, `FORMAT` in `src/extract/portable.rs` has to change too, so that an
/// extract of before is refused and not misread.
#[test]
fn an_extract_has_the_bytes_of_its_format() {
    let dir = tempfile::tempdir().unwrap();
    let (client, server) = ("198.51.100.7:40000", "10.0.0.5:80");
    let at = |second: u64, packet: Vec<u8>| (Some((1_700_000_000 + second) * SECOND), packet);
    let mut fragment = ipv4(client, server, "udp");
    (fragment[6], fragment[7]) = (0x20, 0);
    let frames = vec![
        at(0, ipv4(client, server, "S")),
        at(1, ipv4(server, client, "S.")),
        at(2, ipv4(client, server, ".")),
        at(3, ipv4(server, client, ".")),
        at(4, ipv6(&ipv4(client, server, "udp"))),
        at(5, fragment),
        (None, ipv4(client, server, "F.")),
        at(6, vec![0x45]),
    ];
    let paths = write(dir.path(), &vec![frames]);
    let rules = sgreplay::parse::yaml("rules.yaml", ONE).unwrap();
    let scope = Scope::new(&rules, Tunnels::default(), 1).unwrap();
    let hex = |bytes: Vec<u8>| {
        bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    };
    let mut written = Vec::new();
    let facts = scope
        .extract(0, sources(&paths, Order::Time), |part| {
            written.push(match part {
                Extracted::Record(record) => {
                    let key = hex(record.key.to_bytes()?);
                    format!("{:02} record {key} {}", record.frame(), hex(record.to_bytes()?))
                }
                Extracted::Fragment(of) => {
                    format!("{:02} fragment {}", of.frame(), hex(of.to_bytes()?))
                }
            });
            Ok::<(), Error>(())
        })
        .unwrap();
    written.sort();
    let (captures, pieces) = pieces(&scope, &paths).unwrap();
    for (span, pieces) in pieces {
        for piece in &pieces {
            written.push(format!("   piece {}", hex(piece.to_bytes().unwrap())));
        }
        let merged =
            scope.merge(span, pieces.into_iter().map(Ok), |_| Ok::<(), Error>(())).unwrap();
        written.push(format!(" span {}", hex(merged.to_bytes().unwrap())));
    }
    assert_eq!(captures.len(), 1);
    let path = hex(dir.path().to_str().unwrap().as_bytes().to_vec());
    let facts = hex(facts.to_bytes().unwrap());
    assert!(facts.contains(&path), "the name of the capture is the one thing that changes");
    // Its length stands before the text that it is in.
    let facts = facts.split(&path).last().unwrap_or_default();
    insta::assert_snapshot!(format!("{}\n   facts {facts}", written.join("\n")));
}
