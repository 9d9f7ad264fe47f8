//! The engine in one call: rules and captures in, every packet with its verdict out.
//!
//! A run has three steps. [`RulesFile::load`] reads rules of any format. [`bind`] says at which addresses they apply: those
//! of the rules' interfaces, those that the caller names, or those that the capture shows. [`replay`] judges every packet of
//! the [`Sources`] and hands it to a [`Sink`]; [`compare`] judges by two rule sets.
//!
//! This program judges two captures by what a Terraform plan proposes, and stops after ten denied connections:
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use std::path::Path;
//!
//! use sgreplay::engine::{self, Binding, EachFrame, ReplayRequest, RulesFile, RulesRequest};
//! use sgreplay::flow::FlowTuple;
//! use sgreplay::sources::{SourceOptions, Sources};
//! use sgreplay::verdict::Verdict;
//!
//! fn denied(plan: &Path, captures: &[&str]) -> Result<Vec<FlowTuple>, sgreplay::Error> {
//!     let mut rules = RulesFile::load(plan, &RulesRequest::default())?;
//!     for warning in &rules.warnings {
//!         eprintln!("warning: {warning}");
//!     }
//!     let paths = captures.iter().map(Into::into);
//!     let mut sources = Sources::open(paths, SourceOptions::default(), Default::default())?;
//!     let bound = engine::bind(&mut rules.rules, &mut sources, &Binding::default())?;
//!     eprintln!("local: {} ({})", bound.local.addresses.join(", "), bound.local.why);
//!
//!     let mut denied = Vec::new();
//!     let mut sink = EachFrame::new(|_, judged| {
//!         if judged.verdict().0 == Verdict::Deny {
//!             let opened = judged.judgements().find_map(|judgement| judgement.opened);
//!             denied.extend(opened.map(|(_, flow)| flow));
//!         }
//!         if denied.len() < 10 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
//!     });
//!     let request = ReplayRequest::default();
//!     let outcome = engine::replay(&rules.rules, sources, bound, request, &mut sink)?;
//!     eprintln!("{} packets", outcome.replay.stats().packets().total());
//!     Ok(denied)
//! }
//! ```

mod local;
mod rules;
mod sink;

use std::collections::HashMap;
use std::ops::ControlFlow;

use crate::capture::CaptureError;
use crate::diff::Diff;
use crate::error::Error;
use crate::replay::{Options, Replay, Workers};
use crate::rules::RuleSet;
use crate::session::Openings;
use crate::sources::{self, Ended, Input, Sources};
use crate::verdict::Judged;
pub(crate) use local::interface_at;
pub use local::{
    Binding, Bound, BoundBoth, CapturePoint, Local, asks_for_groups, bind, bind_both, bind_known,
    can_judge,
};
pub use rules::{PlanSide, RulesFile, RulesInput, RulesRequest, RulesText, file_sha256, read_text};
pub use sink::{DiffSink, EachFrame, Sink};

/// How captures are judged.
#[derive(Clone, Copy, Debug)]
pub struct ReplayRequest {
    /// Sessions, the inference of who began a connection, bounds of memory.
    pub options: Options,
    /// Hash each capture: [`CaptureInput::sha256`](crate::sources::CaptureInput::sha256).
    pub hash: bool,
    /// Of a comparison: bytes that changes take before [`DiffSink::pause`] has to take them out.
    pub changes_memory: usize,
}

impl Default for ReplayRequest {
    fn default() -> Self {
        Self { options: Options::default(), hash: false, changes_memory: usize::MAX }
    }
}

/// What is known at the end of a run.
#[derive(Debug)]
pub struct Outcome<R> {
    /// How reading ended: inputs, damage, files that were skipped.
    pub ended: Ended,
    /// The [`Replay`] with its counters; of a comparison the [`Diff`].
    pub replay: R,
    /// The local addresses.
    pub local: Local,
}

/// A sink pauses where so many frames more were read, by their numbers: what it does then depends neither on the number of
/// threads nor on how a capture comes. Enough for several threads to judge at once, few enough to keep a bound of memory.
const BETWEEN_PAUSES: u64 = 1 << 12;

/// Judges every packet of the sources, in the order of their times.
///
/// # Errors
/// When a capture cannot be opened or hashed, and the first error of the sink. Damage in a capture is none: what stands
/// before it is judged, and [`Ended::damage`] tells of it.
pub fn replay<'r, S: Sink>(
    rules: &'r RuleSet,
    sources: Sources,
    bound: Bound,
    request: ReplayRequest,
    sink: &mut S,
) -> Result<Outcome<Replay<'r>>, S::Error> {
    let Bound { local, openings, capture_points } = bound;
    let workers = Workers::new(sources.options().threads);
    let replay = prepared(rules, &sources, request.options, openings, capture_points);
    let mut replay = replay.with_workers(workers);
    let wants_frames = sink.wants_frames();
    let mut pauses = Pauses::of(&sources);
    let ended = run::<S::Error>(sources, request.hash, |inputs| {
        if !wants_frames {
            replay.count_batch(inputs);
            return Ok(ControlFlow::Continue(()));
        }
        for (pauses, inputs) in pauses.parts(inputs) {
            if pauses {
                sink.pause(&replay)?;
            }
            let each = |input: &Input<'_>, judged: &Judged| go_on(sink.frame(input, judged));
            if stopped(replay.judge_batch(inputs, each))?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        if pauses.is_live {
            sink.pause(&replay)?;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if wants_frames {
        sink.pause(&replay)?;
    }
    Ok(Outcome { ended, replay, local })
}

/// Judges every packet of the sources by two rule sets.
///
/// # Errors
/// As [`replay`].
pub fn compare<'r, S: DiffSink>(
    (current, proposed): (&'r RuleSet, &'r RuleSet),
    sources: Sources,
    bound: BoundBoth,
    request: ReplayRequest,
    sink: &mut S,
) -> Result<Outcome<Diff<'r>>, S::Error> {
    let BoundBoth { local, openings, capture_points: [current_points, proposed_points] } = bound;
    let options = request.options;
    let workers = Workers::new(sources.options().threads);
    let before = prepared(current, &sources, options, openings.clone(), current_points);
    let after = prepared(proposed, &sources, options, openings, proposed_points);
    let [before, after] = [before, after].map(|replay| replay.with_workers(workers.clone()));
    let diff = Diff::new((current, before), (proposed, after));
    let mut diff = diff.within(request.changes_memory);
    let mut pauses = Pauses::of(&sources);
    let ended = run::<S::Error>(sources, request.hash, |inputs| {
        for (pauses, inputs) in pauses.parts(inputs) {
            if pauses {
                sink.pause(&mut diff)?;
            }
            let judged = diff.judge_batch(inputs, |input, judged, effect| {
                go_on(sink.frame(input, judged, effect))
            });
            if stopped(judged)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        if pauses.is_live {
            sink.pause(&mut diff)?;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    sink.pause(&mut diff)?;
    diff.finish();
    Ok(Outcome { ended, replay: diff, local })
}

fn prepared<'r>(
    rules: &'r RuleSet,
    sources: &Sources,
    options: Options,
    openings: Openings,
    capture_points: Vec<(String, usize)>,
) -> Replay<'r> {
    let replay = Replay::new(rules, options)
        .with_openings(openings)
        .with_tunnels(sources.options().tunnels.clone())
        .with_taps(capture_points);
    match sources.options().selection.is_everything() {
        true => replay,
        false => replay.with_selection(),
    }
}

/// Where a sink pauses.
struct Pauses {
    /// Behind every batch too: there may be none to come for long.
    is_live: bool,
    part: Option<u64>,
}

impl Pauses {
    fn of(sources: &Sources) -> Self {
        Self { is_live: sources.options().live, part: None }
    }

    /// The parts of a batch between pauses, each with whether there is a pause before it.
    fn parts<'p>(
        &mut self,
        inputs: &'p [Input<'p>],
    ) -> impl Iterator<Item = (bool, &'p [Input<'p>])> + use<'_, 'p> {
        let part = |input: &Input<'_>| input.frame.number / BETWEEN_PAUSES;
        inputs.chunk_by(move |one, next| part(one) == part(next)).map(move |inputs| {
            let next = inputs.first().map(part);
            let before = std::mem::replace(&mut self.part, next);
            (before.is_some_and(|_| before != next), inputs)
        })
    }
}

/// Reads the sources to their ends, or until `each` wants no more.
fn run<E: From<Error>>(
    sources: Sources,
    hash: bool,
    mut each: impl FnMut(&[Input<'_>]) -> Result<ControlFlow<()>, E>,
) -> Result<Ended, E> {
    let mut hashes = HashMap::new();
    if hash && sources.have_pipe() {
        let message = "a hash reads a capture twice, which a pipe does not allow; name a file";
        return Err(Error::Question(message.to_owned()).into());
    }
    for path in sources.paths().filter(|_| hash) {
        hashes.insert(sources::name(path), file_sha256(path)?);
    }
    let read = sources.read(|inputs| each(inputs).map_err(Failed));
    let mut ended = read.map_err(|Failed(error)| error)?;
    // A capture whose turn never came is not among the inputs.
    for input in &mut ended.inputs {
        input.sha256 = hashes.get(&input.path).cloned();
    }
    Ok(ended)
}

/// An error of a sink, or of a capture.
struct Failed<E>(E);

impl<E: From<Error>> From<CaptureError> for Failed<E> {
    fn from(error: CaptureError) -> Self {
        Self(Error::from(error).into())
    }
}

/// Why a batch is judged no further.
enum Halt<E> {
    /// The sink wants no more.
    Stop,
    Failed(E),
}

fn go_on<E>(answer: Result<ControlFlow<()>, E>) -> Result<(), Halt<E>> {
    match answer {
        Ok(ControlFlow::Continue(())) => Ok(()),
        Ok(ControlFlow::Break(())) => Err(Halt::Stop),
        Err(error) => Err(Halt::Failed(error)),
    }
}

fn stopped<E>(judged: Result<(), Halt<E>>) -> Result<ControlFlow<()>, E> {
    match judged {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(Halt::Stop) => Ok(ControlFlow::Break(())),
        Err(Halt::Failed(error)) => Err(error),
    }
}
