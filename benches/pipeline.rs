//! What a packet costs, stage by stage and together. Groups are named after the stages; every group
//! has a throughput in packets, so that `elem/s` is packets per second.
#![expect(clippy::expect_used, reason = "inputs of the bench itself: a wrong one should stop it")]

mod growth;
mod support;

use std::hint::black_box;
use std::io::Cursor;
use std::time::{Duration, Instant};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use growth::Growing;
use sgreplay::capture::{Batch, Capture, Frame};
use sgreplay::compile::{CompiledRules, Instructions, Key, KeyV4, MOST_MEMORY};
use sgreplay::decode::{Decoded, decode};
use sgreplay::evaluate::{Compiled, Evaluator, Reference};
use sgreplay::flow::{Direction, FlowTuple, Packet};
use sgreplay::replay::{Options, Replay};
use sgreplay::rules::{EntryIndex, RuleSet};
use sgreplay::session::{self, Opened, SessionTable};
use sgreplay::sources::Input;
use support::layouts;
use support::sets::{Draw, Shape, flows, ordered};

const PACKETS: u64 = 100_000;
const FLOWS: u64 = 2_000;
const TUPLES: usize = 4_096;
const SEED: u64 = 11;

/// The rule sets of `classify` and `build`.
const SETS: [(Shape, usize); 8] = [
    (Shape::Group, 50),
    (Shape::Group, 200),
    (Shape::Group, 1_000),
    (Shape::Group, 5_000),
    (Shape::Group, 10_000),
    (Shape::Acl, 1_000),
    (Shape::Firewall, 1_000),
    (Shape::Chain, 1_000),
];

fn traffic() -> Vec<u8> {
    let mut bytes = Vec::new();
    support::traffic::write_capture(&mut bytes, PACKETS, FLOWS, support::traffic::Sizes::Mixed)
        .expect("memory takes it");
    bytes
}

fn open(bytes: &[u8]) -> Capture {
    Capture::from_reader("bench", Box::new(Cursor::new(bytes.to_vec()))).expect("it is a capture")
}

fn rules(count: usize) -> RuleSet {
    let text = support::rules::rules_file(count);
    let mut rules = sgreplay::parse::yaml("bench.yaml", &text).expect("the rules are valid");
    rules.set_local(vec!["10.0.0.5/32".parse().expect("a network")]);
    rules
}

fn capture_and_decode(c: &mut Criterion) {
    let bytes = traffic();
    let mut group = c.benchmark_group("capture");
    group.throughput(Throughput::Elements(PACKETS));
    group.bench_function("pcap", |b| {
        let mut batch = Batch::default();
        b.iter_batched(
            || open(&bytes),
            |mut capture| while capture.next_batch(&mut batch).expect("it is whole") {},
            BatchSize::LargeInput,
        );
    });
    group.finish();

    // From the page cache, as a replay has them: the clock runs while a batch that was just read is
    // decoded, not while it is read.
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), &bytes).expect("room for it");
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(PACKETS));
    let mut bench = |name, each: &dyn Fn(&Frame<'_>)| {
        group.bench_function(name, |b| {
            let mut batch = Batch::default();
            b.iter_custom(|times| {
                let mut spent = Duration::ZERO;
                for _ in 0..times {
                    let mut capture = Capture::open(file.path()).expect("it is a capture");
                    while capture.next_batch(&mut batch).expect("it is whole") {
                        let start = Instant::now();
                        for frame in batch.frames() {
                            each(&frame);
                        }
                        spent += start.elapsed();
                    }
                }
                spent
            });
        });
    };
    bench("ethernet-ipv4", &|frame| {
        black_box(decode(frame.link, frame.data));
    });
    // What the same bytes cost whoever knows beforehand that they are Ethernet, IPv4 without options,
    // and TCP: what looking costs is the difference.
    bench("baseline-fixed-offsets", &|frame| {
        black_box(frame.data.get(14..48).and_then(|ip| {
            let addresses: [u8; 8] = *ip.get(12..)?.first_chunk()?;
            let ports: [u8; 4] = *ip.get(20..)?.first_chunk()?;
            Some((addresses, ports, *ip.get(9)?, *ip.get(33)?))
        }));
    });
    group.finish();
}

/// Ports → intervals, in the layouts that were tried. `index` is what the index does where ports are all
/// that rules ask for.
fn port_index(c: &mut Criterion) {
    let mut group = c.benchmark_group("port_index");
    group.throughput(Throughput::Elements(TUPLES as u64));
    for intervals in [16, 128, 1_024] {
        let starts = layouts::starts(intervals, SEED);
        let (tree, table) = (layouts::Tree::new(&starts), layouts::Table::new(&starts));
        let ordered = support::sets::port_ranges(&starts);
        let compiled = CompiledRules::new(&ordered, MOST_MEMORY);
        let flows = flows(&ordered, Draw::Uniform, TUPLES, SEED);
        let dport = |flow: &FlowTuple| flow.transport.ports().map(|(_, port)| port);
        let ports: Vec<u16> = flows.iter().filter_map(dport).collect();
        let mut bench = |layout: &str, find: &dyn Fn(u16) -> usize| {
            for port in &ports {
                assert_eq!(find(*port), layouts::bisect(&starts, *port), "{layout}");
            }
            let id = BenchmarkId::new(layout, intervals);
            group.bench_function(id, |b| {
                b.iter(|| ports.iter().map(|port| find(*port)).sum::<usize>());
            });
        };
        bench("scan", &|port| layouts::scan(&starts, port));
        bench("bisect", &|port| layouts::bisect(&starts, port));
        bench("tree", &|port| tree.find(port));
        bench("table", &|port| table.find(port));
        let keys: Vec<KeyV4> = flows.iter().filter_map(key_v4).collect();
        let mut found = vec![EntryIndex(0); TUPLES];
        group.bench_function(BenchmarkId::new("index", intervals), |b| {
            b.iter(|| compiled.first_matches_v4(black_box(&keys), black_box(&mut found)));
        });
    }
    group.finish();
}

fn key_v4(flow: &FlowTuple) -> Option<KeyV4> {
    match Key::new(flow, Direction::Ingress) {
        Key::V4(key) => Some(key),
        Key::V6(_) => None,
    }
}

/// The session table at three sizes: `meet` finds the live sessions of packets that come in no order,
/// fetched 64 at a time as a replay does; `open` enters them into an empty table.
fn sessions(c: &mut Criterion) {
    let mut group = c.benchmark_group("sessions");
    let rules = rules(1);
    for count in [1_000, 20_000, 1_000_000] {
        group.throughput(Throughput::Elements(count));
        let packets: Vec<Packet> = (0..count).map(support::traffic::opening).collect();
        let enter = || {
            let mut table = SessionTable::new(rules.interfaces(), session::MOST_MEMORY);
            for (number, packet) in (1..).zip(&packets) {
                let place = table.places().slot(0, Direction::Ingress, &packet.flow);
                let (allowed, direction, tag) = (true, Direction::Ingress, 0);
                table.open(
                    &place,
                    packet,
                    0,
                    Opened { connection: number, allowed, direction, flow_class: tag },
                );
            }
            table
        };
        group.bench_function(BenchmarkId::new("open", count), |b| {
            b.iter_batched(|| (), |()| enter(), BatchSize::PerIteration);
        });
        let mut table = enter();
        let mut order = packets.clone();
        order.sort_by_key(|packet| packet.flow.reversed());
        group.bench_function(BenchmarkId::new("meet", count), |b| {
            let mut places = Vec::new();
            b.iter(|| {
                for packets in order.chunks(64) {
                    places.clear();
                    let place = |p: &Packet| table.places().slot(0, Direction::Ingress, &p.flow);
                    places.extend(packets.iter().map(place));
                    table.fetch(places.iter());
                    for (place, packet) in places.iter().zip(packets) {
                        black_box(table.track(place, packet, 1));
                    }
                }
            });
        });
    }
    group.finish();
}

/// Rule sets × how tuples are drawn × evaluator. `single` is one lookup after the other, `batch` a slice
/// of flows at once, `keys` the same where the flows' keys are made already, `keys-plain` by the
/// instructions that every processor has, `list` the reference.
fn classify(c: &mut Criterion) {
    let mut group = c.benchmark_group("classify");
    group.throughput(Throughput::Elements(TUPLES as u64));
    let scenarios = sgreplay::parse::yaml("scenarios.yaml", support::rules::SCENARIOS);
    let scenarios = scenarios.expect("the rules are valid");
    let documented =
        scenarios.interfaces().iter().enumerate().map(|(interface, eni)| {
            (eni.id.clone(), scenarios.ordered(interface, Direction::Ingress))
        });
    let random = SETS
        .into_iter()
        .map(|(shape, count)| (format!("{}-{count}", shape.name()), ordered(shape, count, SEED)));
    for (name, ordered) in documented.chain(random) {
        let (reference, compiled) = (Reference(&ordered), Compiled::new(&ordered));
        for draw in Draw::ALL {
            let flows = flows(&ordered, draw, TUPLES, SEED);
            let keys: Vec<KeyV4> = flows.iter().filter_map(key_v4).collect();
            let mut found = vec![EntryIndex(0); TUPLES];
            let of = format!("{name}-{}", draw.name());
            let mut bench = |evaluator: &str, run: &mut dyn FnMut()| {
                let id = BenchmarkId::new(evaluator, &of);
                group.bench_function(id, |b| b.iter(&mut *run));
            };
            bench("single", &mut || {
                for flow in &flows {
                    black_box(compiled.decide(flow));
                }
            });
            bench("batch", &mut || compiled.decide_all(black_box(&flows), black_box(&mut found)));
            let mut index = CompiledRules::new(&ordered, MOST_MEMORY);
            bench("keys", &mut || {
                index.first_matches_v4(black_box(&keys), black_box(&mut found));
            });
            index.search_by(Instructions::Scalar);
            bench("keys-plain", &mut || {
                index.first_matches_v4(black_box(&keys), black_box(&mut found));
            });
            if ordered.entries().len() <= 1_200 && draw == Draw::Rules {
                bench("list", &mut || {
                    for flow in &flows {
                        black_box(reference.decide(flow));
                    }
                });
            }
        }
    }
    group.finish();
}

fn build(c: &mut Criterion) {
    let mut group = c.benchmark_group("build");
    for (shape, count) in SETS {
        let ordered = ordered(shape, count, SEED);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new(shape.name(), count), |b| {
            b.iter(|| black_box(CompiledRules::new(&ordered, MOST_MEMORY)));
        });
    }
    group.finish();
}

fn replay(c: &mut Criterion) {
    let bytes = traffic();
    let mut group = c.benchmark_group("replay");
    group.throughput(Throughput::Elements(PACKETS));
    for count in [50, 200, 1_000] {
        let rules = rules(count);
        group.bench_with_input(BenchmarkId::new("in-memory", count), &(), |b, ()| {
            b.iter_batched(
                || (open(&bytes), Batch::default()),
                |(mut capture, mut batch)| {
                    let mut replay = Replay::new(&rules, Options::default());
                    while capture.next_batch(&mut batch).expect("it is whole") {
                        let decoded: Vec<Decoded> =
                            batch.frames().map(|frame| decode(frame.link, frame.data)).collect();
                        let input = |(frame, decoded)| Input {
                            frame,
                            decoded,
                            selected: true,
                            in_window: true,
                        };
                        let inputs: Vec<_> = batch.frames().zip(&decoded).map(input).collect();
                        let done: Result<(), ()> = replay.judge_batch(&inputs, |_, _| Ok(()));
                        done.expect("nothing fails");
                    }
                    replay.stats().packets().denied
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

/// Work of two sizes: what a unit of the larger input costs is what one of the smaller costs.
fn growth(c: &mut Criterion) {
    for Growing { name, sizes, work } in growth::ALL {
        let mut group = c.benchmark_group(format!("growth-{name}"));
        group.sample_size(10);
        for size in sizes {
            group.throughput(Throughput::Elements(size as u64));
            let mut work = work(size);
            group.bench_function(BenchmarkId::from_parameter(size), |b| b.iter(&mut work));
        }
        group.finish();
    }
}

criterion_group!(
    benches,
    capture_and_decode,
    port_index,
    classify,
    build,
    sessions,
    replay,
    growth
);
criterion_main!(benches);
