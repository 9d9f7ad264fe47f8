//! Our classifier beside others, in one run: the plain list, and DPDK's `rte_acl` where its program
//! was built. `benches/tools/peers/run` builds and runs both.
//!
//! `peers [SEED] [PROGRAM]`: the program is `rte_acl.c`, compiled.
#![expect(clippy::print_stdout, reason = "a report on standard output")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a program for measuring, which a wrong input of its own should stop"
)]

#[path = "../../support/mod.rs"]
mod support;

use std::hint::black_box;
use std::net::IpAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use sgreplay::compile::{CompiledRules, Instructions, Key, KeyV4, Layout, MOST_MEMORY};
use sgreplay::evaluate::{Evaluator, Reference};
use sgreplay::flow::{Direction, FlowTuple};
use sgreplay::rules::{Addresses, EntryIndex, Matcher, Ordered, RuleProtocol};
use support::sets::{Draw, Shape, flows, ordered};

const FLOWS: usize = 4_096;
const ROUNDS: u32 = 400;
/// The rounds of one are over in milliseconds, and a machine that others use is slow for seconds: so each has
/// several turns.
const TURNS: usize = 5;

fn ns(best: Duration) -> f64 {
    best.as_secs_f64() * 1e9 / FLOWS as f64
}

fn best(mut run: impl FnMut()) -> f64 {
    run();
    let times = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed()
    });
    ns(times.min().unwrap_or_default())
}

fn key(flow: &FlowTuple) -> KeyV4 {
    match Key::new(flow, Direction::Ingress) {
        Key::V4(key) => key,
        Key::V6(_) => panic!("IPv4"),
    }
}

/// What `rte_acl` says of the same rules and tuples.
struct Acl {
    ns: f64,
    method: String,
    build_ms: f64,
    found: Vec<u32>,
}

fn rte_acl(program: &str, ordered: &Ordered, flows: &[FlowTuple]) -> Acl {
    let files = [(); 2].map(|()| tempfile::NamedTempFile::new().expect("a temporary file"));
    let [input, answers] = &files;
    let mut words = vec![ordered.entries().len() as u32, flows.len() as u32];
    for entry in ordered.entries() {
        let Matcher { protocol, ports, source_ports, peer, local, icmp: _ } = &entry.matcher;
        for addresses in [peer, local] {
            words.extend(match addresses {
                Addresses::Nets(nets) => match nets.as_slice() {
                    [IpNet::V4(net)] => [net.network().to_bits(), u32::from(net.prefix_len())],
                    _ => panic!("one network of IPv4"),
                },
                Addresses::Any => [0, 0],
            });
        }
        for ranges in [source_ports, ports] {
            let range = ranges.first().map_or((0, u16::MAX), |range| (range.first(), range.last()));
            words.extend([u32::from(range.0), u32::from(range.1)]);
        }
        words.extend(match protocol {
            RuleProtocol::All => [0, 0],
            RuleProtocol::Only(proto) => [u32::from(proto.0), 0xff],
        });
    }
    for flow in flows {
        let (sport, dport) = flow.transport.ports().unwrap_or_default();
        for addr in [flow.src, flow.dst] {
            words.push(match addr {
                IpAddr::V4(addr) => addr.to_bits(),
                IpAddr::V6(_) => panic!("IPv4"),
            });
        }
        words.extend([u32::from(sport), u32::from(dport), u32::from(flow.proto.0)]);
    }
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    std::fs::write(input.path(), bytes).expect("room for it");
    let run = Command::new(program)
        .args([input.path(), answers.path()])
        .arg(ROUNDS.to_string())
        .output()
        .expect("the program runs");
    let said = String::from_utf8_lossy(&run.stdout);
    let said: Vec<&str> = said.lines().last().unwrap_or_default().split(' ').collect();
    let [ns, method, build_ms] = said.as_slice() else {
        panic!("{}", String::from_utf8_lossy(&run.stderr));
    };
    let found = std::fs::read(answers.path()).expect("its answers");
    // Its numbers start at 1.
    let number = |word: &[u8]| u32::from_ne_bytes(word.try_into().expect("four")).wrapping_sub(1);
    Acl {
        ns: ns.parse().expect("a number"),
        method: (*method).to_owned(),
        build_ms: build_ms.parse().expect("a number"),
        found: found.chunks(4).map(number).collect(),
    }
}

const SETS: [(Shape, usize); 11] = [
    (Shape::Group, 50),
    (Shape::Group, 200),
    (Shape::Group, 1_000),
    (Shape::Group, 5_000),
    (Shape::Group, 10_000),
    (Shape::Acl, 1_000),
    (Shape::Acl, 10_000),
    (Shape::Firewall, 1_000),
    (Shape::Firewall, 10_000),
    (Shape::Chain, 1_000),
    (Shape::Chain, 10_000),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let program = args.get(1);
    let seed = args.first().map_or(11, |seed| seed.parse().expect("a seed, which is a number"));
    println!(
        "seed {seed}; ns a lookup, best of {TURNS} x {ROUNDS} rounds of {FLOWS} tuples, batch by {}; ratios to rte_acl\n",
        Instructions::best().as_str()
    );
    println!(
        "set           tuples     batch        plain        flows  single    list  build ms      KB {}",
        if program.is_some() { "  rte_acl          build ms" } else { "" },
    );
    for (shape, count) in SETS {
        let ordered = ordered(shape, count, seed);
        let start = Instant::now();
        let mut index = CompiledRules::new(&ordered, MOST_MEMORY);
        let built = start.elapsed().as_secs_f64() * 1e3;
        for draw in Draw::ALL {
            let flows: Vec<FlowTuple> = flows(&ordered, draw, FLOWS, seed);
            let keys: Vec<KeyV4> = flows.iter().map(key).collect();
            let mut found = vec![EntryIndex(0); FLOWS];
            let (mut acl, mut times): (Option<Acl>, _) = (None, [f64::INFINITY; 4]);
            for _ in 0..TURNS {
                if let Some(program) = program {
                    let again = rte_acl(program, &ordered, &flows);
                    acl = acl.filter(|acl| acl.ns <= again.ns).or(Some(again));
                }
                let whole = best(|| index.first_matches(black_box(&flows), black_box(&mut found)));
                let mut by = |instructions| {
                    index.search_by(instructions);
                    best(|| {
                        index.first_matches_v4(black_box(&keys), black_box(&mut found));
                    })
                };
                let (plain, batch) = (by(Instructions::Scalar), by(Instructions::best()));
                let single = best(|| {
                    for flow in &flows {
                        black_box(index.first_match(flow));
                    }
                });
                for (time, again) in times.iter_mut().zip([whole, plain, batch, single]) {
                    *time = time.min(again);
                }
            }
            let [whole, plain, batch, single] = times;
            let reference = Reference(&ordered);
            let (some, start) = (&flows[..1 << 10], Instant::now());
            for (flow, found) in some.iter().zip(&found) {
                assert_eq!(*found, reference.decide(flow), "{flow}");
            }
            let list = start.elapsed().as_secs_f64() * 1e9 / some.len() as f64;
            let ratio =
                |ns: f64| acl.as_ref().map_or(String::new(), |acl| format!("{:.2}", ns / acl.ns));
            print!(
                "{:5} {count:>6}  {:8} {batch:>6.1} {:4}  {plain:>6.1} {:4}  {whole:>6.1} {single:>6.1}  {list:>6.0} {built:>9.1} {:>7} ",
                shape.name(),
                draw.name(),
                ratio(batch),
                ratio(plain),
                index.memory_usage() / 1024,
            );
            if let Some(Acl { ns, method, build_ms, found: theirs }) = &acl {
                let same = theirs.iter().zip(&found).all(|(theirs, ours)| *theirs == ours.0);
                assert!(same, "rte_acl finds other rules");
                print!(" {ns:>6.1} {method:9} {build_ms:>9.1}");
            }
            println!("{}", if index.layout() == Layout::Bitmaps { "  bitmaps" } else { "" });
        }
    }
}
