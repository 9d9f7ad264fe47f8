//! Work that must not cost more for each unit of a larger input, in inputs of any size.
#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "generators for measuring, where a wrong index should stop the run"
)]

use std::fmt::Write;
use std::hint::black_box;
use std::io::Cursor;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use sgreplay::Error;
use sgreplay::capture::{Batch, Capture, CaptureError};
use sgreplay::collect::{Connections, Coverage};
use sgreplay::diff::{Diff, Effect};
use sgreplay::direction::Interfaces;
use sgreplay::engine::{self, Binding, DiffSink, ReplayRequest, Sink};
use sgreplay::replay::{Options, Replay};
use sgreplay::rules::RuleSet;
use sgreplay::sources::{Input, SourceOptions, Sources};
use sgreplay::verdict::Judged;

use crate::support::traffic::{Random, SERVICES, Sizes, write_capture};

/// What is measured of an input of some size; run as often as need be.
pub(crate) type Work = Box<dyn FnMut()>;

/// A line of work: its name, the two sizes, and what makes the work of a size.
pub(crate) struct Growing {
    pub(crate) name: &'static str,
    /// What the sizes count.
    pub(crate) sizes: [usize; 2],
    pub(crate) work: fn(usize) -> Work,
}

/// Every line. The larger input is four times the smaller.
pub(crate) const ALL: [Growing; 12] = [
    Growing { name: "parse", sizes: [1_000, 4_000], work: parse },
    Growing { name: "compile", sizes: [1_000, 4_000], work: compile },
    Growing { name: "check", sizes: [250, 1_000], work: check },
    Growing { name: "exact-diff", sizes: [500, 2_000], work: exact_diff },
    Growing { name: "reordered", sizes: [2_000, 8_000], work: reordered },
    Growing { name: "interfaces", sizes: [2_000, 8_000], work: interfaces },
    Growing { name: "unpaired", sizes: [1_000, 4_000], work: unpaired },
    Growing { name: "flow-log", sizes: [5_000, 20_000], work: flow_log },
    Growing { name: "files", sizes: [50, 200], work: files },
    Growing { name: "rows", sizes: [10_000, 40_000], work: rows },
    Growing { name: "coverage", sizes: [10_000, 40_000], work: coverage },
    Growing { name: "changes", sizes: [10_000, 40_000], work: changes },
];

fn of_text(text: &str) -> RuleSet {
    sgreplay::parse::yaml("bench.yaml", text).expect("the rules are valid")
}

/// Rules of which no two say the same, which the cloud would refuse: every tenth is about a network that holds others.
fn rules_file(rules: usize) -> String {
    let mut random = Random(7);
    let mut text = "security_groups:\n  - id: sg-bench\n    rules:\n".to_owned();
    for n in 0..rules {
        let source = match n % 10 {
            0 => format!("{}.{}.0.0/16", 60 + n / 2_560, n / 10 % 256),
            _ => format!("{}.{}.{}.0/24", 60 + n / 65_536, n / 256 % 256, n % 256),
        };
        let port = SERVICES[random.below(SERVICES.len() as u64) as usize];
        let policy = if random.below(4) == 0 { "drop" } else { "accept" };
        let priority = 1 + random.below(100);
        writeln!(
            text,
            "      - {{id: r{n}, direction: ingress, policy: {policy}, priority: {priority}, protocol: tcp, ports: \
             {port}, source: {source}}}",
        )
        .expect("text grows");
    }
    text
}

fn parse(rules: usize) -> Work {
    let text = rules_file(rules);
    Box::new(move || drop(black_box(of_text(&text))))
}

fn compile(rules: usize) -> Work {
    let rules = of_text(&rules_file(rules));
    Box::new(move || drop(black_box(Replay::new(&rules, Options::default()))))
}

fn check(rules: usize) -> Work {
    let rules = of_text(&rules_file(rules));
    let today = jiff::civil::date(2026, 11, 28);
    Box::new(move || drop(black_box(sgreplay::check::check(&rules, today))))
}

/// One rule in a hundred drops what it accepted.
fn exact_diff(rules: usize) -> Work {
    let text = rules_file(rules);
    let edited = text.lines().enumerate().map(|(n, line)| match n % 100 {
        50 => line.replace("policy: accept", "policy: drop") + "\n",
        _ => line.to_owned() + "\n",
    });
    let [current, proposed] = [text.clone(), edited.collect()].map(|text| of_text(&text));
    Box::new(move || drop(black_box(sgreplay::diff::regions(&current, &proposed))))
}

/// Rules of which none is of the other list, and those of both stand in another order.
fn reordered(rules: usize) -> Work {
    let rule = |n: usize, priority: u64| {
        format!(
            "      - {{id: r{n}, direction: ingress, protocol: tcp, ports: {}, source: 10.{}.{}.0/24, priority: \
             {priority}}}\n",
            n % 60_000 + 1,
            n / 60_000,
            n % 7,
        )
    };
    let list = |seed: u64| {
        let mut random = Random(seed);
        let rules = (0..rules).map(|n| rule(n, 1 + random.below(100)));
        of_text(&format!(
            "security_groups:\n  - id: sg-a\n    rules:\n{}",
            rules.collect::<String>()
        ))
    };
    let (current, proposed) = (list(1), list(2));
    Box::new(move || drop(black_box(sgreplay::diff::regions(&current, &proposed))))
}

/// Interfaces of 50 groups, behind a network ACL that names each.
fn interfaces_file(count: usize, name: &str) -> String {
    let mut text = "security_groups:\n".to_owned();
    for group in 0..50 {
        writeln!(
            text,
            "  - {{id: sg-{group}, rules: [{{direction: ingress, protocol: tcp, ports: {}, source: 10.0.0.0/8}}]}}",
            group + 1,
        )
        .expect("text grows");
    }
    text += "network_acls:\n  - id: acl\n    rules: [{number: 1, direction: ingress, protocol: all, source: \
             0.0.0.0/0}]\n    interfaces:\n";
    for n in 0..count {
        writeln!(text, "      - {name}-{n}").expect("text grows");
    }
    text += "interfaces:\n";
    for n in 0..count {
        writeln!(
            text,
            "  - {{id: {name}-{n}, addresses: [10.{}.{}.{}], security_groups: [sg-{}]}}",
            n / 65_536,
            n / 256 % 256,
            n % 256,
            n % 50,
        )
        .expect("text grows");
    }
    text
}

fn interfaces(count: usize) -> Work {
    let text = interfaces_file(count, "eni");
    Box::new(move || {
        let rules = of_text(&text);
        black_box(Interfaces::new(rules.interfaces()));
        black_box(Replay::new(&rules, Options::default()));
    })
}

fn unpaired(count: usize) -> Work {
    let [current, proposed] = ["a", "b"].map(|name| of_text(&interfaces_file(count, name)));
    Box::new(move || drop(black_box(sgreplay::diff::unpaired(&current, &proposed))))
}

/// Records of AWS in their default format.
pub(crate) fn records(count: usize) -> String {
    let mut random = Random(3);
    let mut text = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end \
                    action log-status\n"
        .to_owned();
    for n in 0..count {
        let [a, b, c, d, last, ..] = random.next().to_le_bytes();
        let time = 1_700_000_000 + n / 50;
        writeln!(
            text,
            "2 123456789010 eni-0a1b2c3d4e5f60718 {}.{b}.{c}.{d} 10.0.0.{last} {} 443 6 {} {} {time} {} ACCEPT OK",
            a % 222 + 1,
            32_768 + random.below(28_000),
            1 + random.below(30),
            40 + random.below(20_000),
            time + 60,
        )
        .expect("text grows");
    }
    text
}

/// Reads a capture to its end.
fn drain(bytes: &Arc<[u8]>, batch: &mut Batch) {
    let bytes = Cursor::new(Arc::clone(bytes));
    let mut capture = Capture::from_reader("bench", Box::new(bytes)).expect("it is a flow log");
    while capture.next_batch(batch).expect("it is whole") {
        black_box(&mut *batch);
    }
}

fn flow_log(count: usize) -> Work {
    let bytes: Arc<[u8]> = records(count).into_bytes().into();
    let mut batch = Batch::default();
    Box::new(move || drain(&bytes, &mut batch))
}

/// Captures of 500 packets each, one behind the other; they are all of the same time, so that they are merged.
pub(crate) fn captures(count: usize) -> (tempfile::TempDir, Vec<PathBuf>) {
    let mut bytes = Vec::new();
    write_capture(&mut bytes, 500, 20, Sizes::Small).expect("memory takes it");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let paths = (0..count).map(|n| {
        let path = dir.path().join(format!("{n}.pcap"));
        std::fs::write(&path, &bytes).expect("room for it");
        path
    });
    let paths = paths.collect();
    (dir, paths)
}

fn files(count: usize) -> Work {
    let (dir, paths) = captures(count);
    Box::new(move || {
        let _kept = &dir;
        let sources = Sources::open(paths.clone(), SourceOptions::default(), Arc::default());
        let read = sources.expect("they are captures").read(|inputs| {
            black_box(inputs);
            Ok::<_, CaptureError>(ControlFlow::Continue(()))
        });
        assert!(read.expect("they are whole").damage.is_empty());
    })
}

/// What is kept of connections: far less than they take.
const MEMORY: usize = 1 << 20;

/// Connections of two packets each.
fn connections(count: usize) -> Arc<[u8]> {
    let mut bytes = Vec::new();
    write_capture(&mut bytes, 2 * count as u64, count as u64, Sizes::Small)
        .expect("memory takes it");
    bytes.into()
}

fn sources(bytes: &Arc<[u8]>) -> Sources {
    let bytes = Box::new(Cursor::new(Arc::clone(bytes)));
    Sources::from_reader("bench", bytes, SourceOptions::default()).expect("it is a capture")
}

fn server() -> Binding {
    Binding { local: vec!["10.0.0.5/32".parse().expect("a network")], ..Binding::default() }
}

/// A replay of so many connections, whose packets a sink takes.
fn replayed<S: Sink<Error = Error> + 'static>(count: usize, sink: fn(&RuleSet) -> S) -> Work {
    let (bytes, mut rules) = (connections(count), of_text(&rules_file(200)));
    Box::new(move || {
        let mut sources = sources(&bytes);
        let bound = engine::bind(&mut rules, &mut sources, &server()).expect("one interface");
        let mut sink = sink(&rules);
        let outcome = engine::replay(&rules, sources, bound, ReplayRequest::default(), &mut sink);
        black_box(outcome.expect("it is whole"));
        black_box(sink);
    })
}

/// Rows of connections that have no room for all of them, so that most are handed out before the end.
struct Few(Connections);

impl Sink for Few {
    type Error = Error;

    fn frame(&mut self, input: &Input<'_>, judged: &Judged) -> Result<ControlFlow<()>, Error> {
        self.0.add(input, judged);
        Ok(ControlFlow::Continue(()))
    }

    fn pause(&mut self, replay: &Replay<'_>) -> Result<(), Error> {
        if self.0.is_full() {
            self.0.choose_over(replay);
            self.0.forget_over();
        }
        Ok(())
    }
}

fn rows(count: usize) -> Work {
    replayed(count, |_| Few(Connections::within(MEMORY)))
}

fn coverage(count: usize) -> Work {
    replayed(count, Coverage::new)
}

/// Changes that have no room for all of them.
struct Turned;

impl DiffSink for Turned {
    type Error = Error;

    fn frame(
        &mut self,
        _: &Input<'_>,
        _: [&Judged; 2],
        _: Effect,
    ) -> Result<ControlFlow<()>, Error> {
        Ok(ControlFlow::Continue(()))
    }

    fn pause(&mut self, diff: &mut Diff<'_>) -> Result<(), Error> {
        if diff.is_full() {
            black_box(diff.take_over());
        }
        Ok(())
    }
}

fn changes(count: usize) -> Work {
    let bytes = connections(count);
    let mut current = of_text(&rules_file(200));
    let mut proposed = of_text(
        "security_groups: [{id: sg-bench, rules: [{direction: ingress, protocol: all, source: 0.0.0.0/0}]}]",
    );
    Box::new(move || {
        let mut sources = sources(&bytes);
        let both = (&mut current, &mut proposed);
        let bound = engine::bind_both(both, &mut sources, &server()).expect("one interface");
        let request = ReplayRequest { changes_memory: MEMORY, ..ReplayRequest::default() };
        let outcome = engine::compare((&current, &proposed), sources, bound, request, &mut Turned);
        let changed = outcome.expect("it is whole").replay.connections();
        assert!(changed.count(Effect::NewlyAllowed) > 0, "most connections change");
    })
}
