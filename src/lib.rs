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
//! [`header_space`] answers for all possible packets, without a capture: of two rule sets ([`diff`]), of expectations
//! ([`assertions`]), of the rules by themselves ([`check`]). [`suggest`] goes the other way, from packets to rules, and
//! [`convert`] writes rules for others. [`report`] formats results as the program prints them; it changes with the program
//! and is no promised interface. The stages by hand:
//!
//! ```no_run
//! use sgreplay::capture::Capture;
//! use sgreplay::decode::decode;
//! use sgreplay::replay::{Options, Replay};
//!
//! let mut rules = sgreplay::parse::yaml("proposed.yaml", &std::fs::read_to_string("proposed.yaml")?)?;
//! rules.set_local(vec!["10.0.0.5/32".parse()?]);
//! let mut replay = Replay::new(&rules, Options::default());
//! let mut capture = Capture::open("web.pcap".as_ref())?;
//! while let Some(frame) = capture.next_frame()? {
//!     let judged = replay.judge(&frame, &decode(frame.link, frame.data));
//!     println!("{} {:?}", frame.number, judged.verdict());
//! }
//! println!("{} packets denied", replay.stats().packets().denied);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Semantics are those of Alibaba Cloud ECS security groups. `SEMANTICS A4` and the like in these
//! pages cite a clause of [`manual::semantics`], which has them all with their sources. Rules of other
//! clouds differ in a few things, which [`rules::Cloud`] names.
//!
//! # Features
//!
//! - `cli` (default): what only the program needs. Without it this is the bare library.
//! - `html` (with `cli`): the page for a browser.
//! - `hcl` (with `cli`): rules in Terraform's own language.
//! - `parquet` (with `cli`): flow logs of AWS as Parquet files.
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

/// The manual: semantics, formats, CI, JSON, performance.
pub mod manual;
