//! Replay captured traffic against proposed cloud security-group rules, and say packet by packet and
//! connection by connection what would be allowed, what denied, by which rule and why.
//!
//! The way of a packet, one module per stage, each knowing only those before it:
//!
//! ```text
//! capture ─► decode ─► flow ─► direction ─► session ─► evaluate ─► verdict ─► stats, report
//!  pcap      layers    tuple   which ENI,   live?      first       allow or    text, JSON,
//!  pcapng                      in or out               match       deny, why   CSV, HTML, pcap
//!  flow log                                              ▲
//!                              parse ─► rules ─► compile ┘
//!                              YAML     model    index
//!                              JSON, HCL
//! ```
//!
//! [`sources`] reads several captures as one stream, in the order of their packets' times, and says which packets are
//! reported; [`replay`] judges each of them, [`diff`] by two rule sets side by side, and [`collect`] gathers connections
//! and which rules the traffic uses. [`engine`] does all of that in one call, with rules of any format: begin there.
//! [`extract`] does a replay in parts, for a cluster. [`header_space`] answers for all possible packets, without a capture: of two rule sets ([`diff`]), of expectations
//! ([`assertions`]), of the rules by themselves ([`check`]). [`suggest`] goes the other way, from packets to rules, and
//! [`convert`] writes rules for others. [`report`] formats results as the program prints them; it changes with the program
//! and is no promised interface.
//!
//! # Replay a capture
//!
//! ```
//! use std::ops::ControlFlow;
//!
//! use sgreplay::{Binding, EachFrame, ReplayRequest, RulesFile, RulesRequest, SourceOptions, Sources, Verdict, engine};
//!
//! let mut rules = RulesFile::load("captures/proposed.yaml".as_ref(), &RulesRequest::default())?.rules;
//! let captures = ["captures/web.pcap".into()].into_iter();
//! let mut sources = Sources::open(captures, SourceOptions::default(), Default::default())?;
//! let binding = Binding { local: vec!["10.0.0.5/32".parse()?], ..Binding::default() };
//! let bound = engine::bind(&mut rules, &mut sources, &binding)?;
//!
//! let mut denied = 0;
//! let mut sink = EachFrame::new(|_, judged| {
//!     denied += u64::from(judged.verdict().0 == Verdict::Deny);
//!     ControlFlow::Continue(())
//! });
//! let outcome = engine::replay(&rules, sources, bound, ReplayRequest::default(), &mut sink)?;
//! assert_eq!(outcome.replay.stats().packets().denied, denied);
//! assert!(outcome.ended.damage.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Judge one packet
//!
//! ```
//! use sgreplay::evaluate::{Compiled, Evaluator};
//! use sgreplay::{Direction, FlowTuple, RulesFile, RulesRequest};
//!
//! let mut rules = RulesFile::load("captures/proposed.yaml".as_ref(), &RulesRequest::default())?.rules;
//! rules.set_local(vec!["10.0.0.5/32".parse()?]);
//! let list = rules.ordered(0, Direction::Ingress);
//! let flow = FlowTuple::tcp("198.51.100.9:40000".parse()?, "10.0.0.5:22".parse()?);
//! let entry = list.entry(Compiled::new(&list).decide(&flow)).ok_or("there is always a default")?;
//! let (group, rule) = rules.names(0, entry);
//! assert_eq!((group.as_str(), rule.as_str()), ("sg-web", "default"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Compare two rule sets for all possible packets
//!
//! ```
//! use sgreplay::diff::{Effect, regions};
//! use sgreplay::{RulesFile, RulesRequest};
//!
//! let [current, proposed] = ["captures/current.yaml", "captures/proposed.yaml"].map(|path| {
//!     RulesFile::load(path.as_ref(), &RulesRequest::default()).map(|file| file.rules)
//! });
//! let turned = regions(&current?, &proposed?)?;
//! assert!(turned.iter().any(|one| one.effect == Effect::NewlyDenied));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Check rules by themselves
//!
//! ```
//! use sgreplay::check::check;
//! use sgreplay::{RulesFile, RulesRequest};
//!
//! let mut rules = RulesFile::load("captures/current.yaml".as_ref(), &RulesRequest::default())?.rules;
//! rules.set_local(vec!["10.0.0.5/32".parse()?]);
//! for finding in check(&rules, jiff::civil::date(2026, 11, 28)).findings {
//!     println!("{} {}", finding.code, finding.message);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Semantics are those of Alibaba Cloud ECS security groups. `SEMANTICS A4` and the like in these
//! pages cite a clause of [`manual::semantics`], which has them all with their sources. Rules of other
//! clouds differ in a few things, which [`rules::Cloud`] names.
//!
//! # Features
//!
//! All but `arrow` are on by default; without them this is the bare library, in Rust alone, which also builds for wasm32.
//!
//! - `arrow`: results as Arrow tables, Parquet files and Arrow IPC files (with `parquet`).
//! - `cli`: what only the program needs (with `html`).
//! - `hcl`: rules in Terraform's own language.
//! - `html`: the page for a browser.
//! - `parquet`: flow logs of AWS as Parquet files.
//! - `threads`: reading and decoding beside judging, for callers who ask for several threads.
//! - `zstd`: captures compressed with zstd, by the library in C.
// `compile::simd` is the one exception.
#![deny(unsafe_code)]

// Used by all of them.
pub mod escape;
pub mod yaml;

// The packet's side, in its order.
pub mod capture;
pub mod decode;
pub mod filter;
pub mod flow;
pub mod fragment;
pub mod hints;
pub mod read_ahead;
pub mod sources;

// The rules' side.
pub mod compile;
pub mod header_space;
pub mod parse;
pub mod rules;

// Where they meet.
#[cfg(feature = "arrow")]
pub mod arrow;
pub mod assertions;
pub mod baseline;
pub mod check;
pub mod collect;
pub mod convert;
pub mod diff;
pub mod direction;
pub mod doubts;
pub mod engine;
mod error;
pub mod evaluate;
pub mod extract;
pub mod labels;
pub mod replay;
pub mod report;
pub mod restrictions;
pub mod session;
pub mod stats;
pub mod suggest;
pub mod verdict;

pub use capture::{Capture, Frame};
pub use engine::{Binding, EachFrame, ReplayRequest, RulesFile, RulesRequest, Sink};
pub use error::{Error, ErrorKind};
pub use filter::Filter;
pub use flow::{Direction, FlowTuple};
pub use rules::RuleSet;
pub use sources::{SourceOptions, Sources};
pub use verdict::{Judged, Reason, Verdict};

/// The features that this build has, by name.
pub fn features() -> impl Iterator<Item = &'static str> {
    let all = [
        ("arrow", cfg!(feature = "arrow")),
        ("cli", cfg!(feature = "cli")),
        ("hcl", cfg!(feature = "hcl")),
        ("html", cfg!(feature = "html")),
        ("parquet", cfg!(feature = "parquet")),
        ("threads", cfg!(feature = "threads")),
        ("zstd", cfg!(feature = "zstd")),
    ];
    all.into_iter().filter(|(_, on)| *on).map(|(name, _)| name)
}

/// The manual: semantics, formats, CI, JSON, performance.
pub mod manual;
