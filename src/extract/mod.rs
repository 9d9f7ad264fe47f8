//! A replay in parts: what must be known of packets to judge them, in small records, and their judgement flow by flow.
//!
//! The packets of a flow are judged by what came before them in the same flow, and by little else. So captures can be read
//! apart from each other, on several machines, and flows be judged apart from each other. Every counter and every row is
//! that of [`engine::replay`](crate::engine::replay) over the same captures, since the same code judges; what this cannot
//! promise is an error.
//!
//! All of this goes from machine to machine as bytes ([`Portable`]).
//!
//! ```text
//! capture ─► Scope::extract ─► records ────────────┐
//! capture ─► Scope::extract ─► records ──────────┐ │ by flow
//!                          └─► fragments ─┐      ▼ ▼
//!                          └─► facts ─► Timeline ─► FlowJudge ─► Part ─► Whole
//! ```
//!
//! Captures that overlap in time have one step more, since it is the order of all packets by which they collapse:
//!
//! ```text
//! capture ─► Scope::pieces ─► pieces ─┐
//! capture ─► Scope::pieces ─► pieces ─┴─► by span of time ─► Scope::merge ─► as from Scope::extract
//! ```
//!
//! - [`Scope::extract`] reads one capture. Packets that only show that their connection goes on collapse into one record, as
//!   long as less time passes between them than any session lasts. The records serve every rule set with the same local
//!   addresses, whose sessions do not end earlier.
//! - [`Scope::pieces`] reads one capture of several that may overlap, and hands over what has to be known of each packet.
//!   [`Scope::merge`] puts the packets of all captures in the order in which a replay reads them, one span of time by itself,
//!   and extracts the span like a capture. It has in memory what overlaps at a time, and open runs.
//! - Captures may be made at interfaces ([`Scope::made_at`]): their packets are judged there alone, so two interfaces may
//!   have one address. Runs are of one interface, so that the captures of both ends of a connection collapse each for
//!   itself. The records of such an extract serve rules whose interfaces have the same ids and addresses there.
//! - Flow logs are captures, too: each record stands alone, at the interface that it names. They are read with the options
//!   of the scope ([`Scope::flow_logs`]), and serve rules with the same interfaces.
//! - [`Timeline`] puts the captures, or the spans, in order. It knows what judging needs beside the flow: who was seen to accept
//!   connections, when the recording began, first fragments in other captures.
//! - [`FlowJudge`] judges records, sorted by flow and position. An ICMP error is a record of the flow that it quotes. Memory
//!   is that of one flow, and of the answers.
//! - [`Whole`] puts the answers together: a [`Replay`](crate::replay::Replay) with its counters, and rows.
//! - [`FlowCompare`] and [`compared`] do the same for two rule sets: a [`Diff`](crate::diff::Diff) with its counters, and
//!   changed connections.
//!
//! What is refused by name: captures that overlap and were not merged, damaged captures, a limit of sessions, judgement
//! without sessions, and selections of packets. No session is evicted, however many there are, so the answers are those of a
//! machine with enough memory.
//!
//! ```
//! use sgreplay::extract::{Extracted, FlowJudge, Scope, Timeline, Whole};
//! use sgreplay::replay::Options;
//! use sgreplay::{Error, RulesFile, RulesRequest, SourceOptions, Sources, engine};
//!
//! let mut rules = RulesFile::load("captures/proposed.yaml".as_ref(), &RulesRequest::default())?.rules;
//! engine::bind_known(&mut rules, &["10.0.0.5/32".parse()?])?;
//!
//! // Each capture by itself.
//! let scope = Scope::new(&rules, Default::default(), 1)?;
//! let (mut records, mut fragments) = (Vec::new(), Vec::new());
//! let capture = ["captures/web.pcap".into()].into_iter();
//! let sources = Sources::open(capture, SourceOptions::default(), Default::default())?;
//! let facts = scope.extract(0, sources, |part| {
//!     match part {
//!         Extracted::Record(record) => records.push(record),
//!         Extracted::Fragment(fragment) => fragments.push(fragment),
//!     }
//!     Ok::<(), Error>(())
//! })?;
//!
//! // Each flow by itself.
//! let timeline = Timeline::new(vec![facts], Default::default())?;
//! let (completed, lost) = timeline.complete(fragments);
//! records.extend(completed);
//! timeline.sort(&mut records);
//! let mut judge = FlowJudge::new(&rules, &timeline, Options::default())?;
//! records.iter().for_each(|record| judge.judge(record));
//!
//! let (parts, options) = ([judge.finish()], Options::default());
//! let whole = Whole::new(&rules, &timeline, &lost, parts, options, Default::default())?;
//! assert!(whole.replay.stats().packets().denied > 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod capture;
mod compare;
mod flows;
mod frames;
mod interfaces;
mod json;
mod judge;
mod key;
mod outside;
mod piece;
mod points;
mod portable;
mod record;
mod runs;
mod scope;
mod seen;
mod timeline;
mod whole;

pub use capture::CaptureFacts;
pub use compare::{ComparedPart, FlowCompare, compared};
pub use judge::{Asked, FlowJudge, Part};
pub use key::FlowKey;
pub use piece::{Piece, SpanFacts};
pub use points::CapturePoints;
pub use portable::Portable;
pub use record::{Extracted, FragmentRecord, Record};
pub use scope::Scope;
pub use timeline::{LostFragments, Timeline};
pub use whole::Whole;
