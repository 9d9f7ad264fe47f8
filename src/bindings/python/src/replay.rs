//! `replay`: a summary, rows per connection, rows per packet; each is a run of its own, as the program's are.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use pyo3::prelude::*;
use sgreplay::capture::CaptureError;
use sgreplay::engine::{self, Outcome, ReplayRequest, RulesInput, Sink};
use sgreplay::labels::Labels;
use sgreplay::replay::Replay as Replaying;
use sgreplay::report::{Inputs, Summary};
use sgreplay::rules::RuleSet;
use sgreplay::sources::Input;
use sgreplay::stats::Stats;
use sgreplay::verdict::Judged;

use crate::captures::{CaptureArgs, Captures, Host};
use crate::command::gate::{self, Gate, GateArgs, Unsure};
use crate::command::judging::{self, JudgeArgs, Keeps};
use crate::command::replay::{OnOff, warnings};
use crate::command::warnings as said;
use crate::connections::ConnectionRows;
use crate::exit::Failure;
use crate::rules::Rules;
use crate::table::{Stream, Table};
use crate::{error, options, packets, running, table};

/// The options of a replay.
#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    capture: CaptureArgs,
    #[command(flatten)]
    judge: JudgeArgs,
    #[arg(long, default_value = "on")]
    sessions: OnOff,
    #[command(flatten)]
    gate: GateArgs,
    #[arg(long)]
    hash: bool,
    #[arg(long)]
    progress: bool,
}

/// A question about captures: everything that a run needs.
#[derive(Debug)]
pub(crate) struct Job {
    args: ReplayArgs,
    rules: RuleSet,
    input: RulesInput,
    stop: Arc<AtomicBool>,
}

/// What a run is about, for who takes its packets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a> {
    pub(crate) rules: &'a RuleSet,
    pub(crate) labels: &'a Labels,
    /// Bytes for what is kept beside the sessions.
    pub(crate) memory: usize,
}

/// Takes the packets of a run.
pub(crate) trait Watch {
    /// Whether it wants the packets, and not only their counts.
    fn wants_packets(&self) -> bool {
        true
    }

    /// Takes a packet, whether it is selected or not; a break ends the run.
    fn packet(&mut self, run: Run<'_>, input: &Input<'_>, judged: &Judged) -> ControlFlow<()>;

    /// Between two batches of packets.
    fn pause(&mut self, run: Run<'_>, replay: &Replaying<'_>) {
        let _ = (run, replay);
    }

    /// After the last packet; what is to be said.
    fn end(&mut self, run: Run<'_>) -> Vec<String> {
        let _ = run;
        Vec::new()
    }
}

/// Nobody takes them: the summary is all that is asked for.
impl Watch for () {
    fn wants_packets(&self) -> bool {
        false
    }

    fn packet(&mut self, _: Run<'_>, _: &Input<'_>, _: &Judged) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Done {
    /// As the program prints it.
    summary: String,
    pub(crate) warnings: Vec<String>,
    pub(crate) damage: Option<CaptureError>,
    /// Whether a packet is denied, or why there is no full answer.
    denied: Result<bool, String>,
}

struct Watching<'a, 'u, W> {
    watch: &'a mut W,
    run: Run<'a>,
    unseen: said::Unseen<'u>,
}

impl<W: Watch> Sink for Watching<'_, '_, W> {
    type Error = Failure;

    fn wants_frames(&self) -> bool {
        self.watch.wants_packets() || self.unseen.any_left()
    }

    #[inline]
    fn frame(&mut self, input: &Input<'_>, judged: &Judged) -> Result<ControlFlow<()>, Failure> {
        self.unseen.look(&input.frame);
        Ok(self.watch.packet(self.run, input, judged))
    }

    fn pause(&mut self, replay: &Replaying<'_>) -> Result<(), Failure> {
        self.watch.pause(self.run, replay);
        Ok(())
    }
}

impl Job {
    fn new(replay: &Replay) -> PyResult<Self> {
        let mut args: ReplayArgs = options::parse(&replay.options)?;
        let stop = Arc::new(AtomicBool::new(false));
        args.capture.positional.clone_from(&replay.captures);
        args.capture.host = Some(Host { interrupted: Arc::clone(&stop), progress: args.progress });
        let rules = &replay.rules.get();
        args.judge.local.clone_from(&rules.local);
        Ok(Self { args, rules: rules.file.rules.clone(), input: rules.file.input.clone(), stop })
    }

    /// Opens the captures and finds the local addresses, so that what is wrong is known before the first result.
    fn try_open(mut self) -> Result<(), Failure> {
        self.open(|_, _, _| ())
    }

    fn open<T>(
        &mut self,
        then: impl FnOnce(&Self, Captures, engine::Bound) -> T,
    ) -> Result<T, Failure> {
        let ReplayArgs { capture, judge, sessions, hash, .. } = &self.args;
        let mut captures = Captures::new(capture)?;
        judging::readable(&captures, &[], *hash)?;
        if captures.have_pipe() {
            let message = "standard input and pipes can be read only once, and each result reads the captures; \
                           name a file";
            return Err(Failure::Usage(message.to_owned()));
        }
        if *sessions == OnOff::Off && judge.max_sessions.is_some() {
            let message = "max_sessions needs sessions, and there are none";
            return Err(Failure::Usage(message.to_owned()));
        }
        judging::can_judge(&self.rules, &self.input.path, &judge.interface)?;
        let bound = captures.bind(&mut self.rules, &judging::binding(judge))?;
        Ok(then(self, captures, bound))
    }

    /// Judges every packet.
    pub(crate) fn run<W: Watch>(mut self, keeps: Keeps, watch: &mut W) -> Result<Done, Failure> {
        self.open(|job, captures, bound| job.judge(captures, bound, keeps, watch))?
    }

    fn judge<W: Watch>(
        &self,
        captures: Captures,
        bound: engine::Bound,
        keeps: Keeps,
        watch: &mut W,
    ) -> Result<Done, Failure> {
        let Self { args, rules, input, .. } = self;
        let labels = Labels::new(rules);
        let run = Run { rules, labels: &labels, memory: keeps.memory(&args.judge) };
        let options = judging::options(&args.judge, args.sessions.into(), keeps);
        let unseen = said::Unseen::new(&args.judge.interface);
        let mut sink = Watching { watch, run, unseen };
        let request = ReplayRequest { options, hash: args.hash, ..ReplayRequest::default() };
        let Outcome { ended, replay, local } = captures.replay(rules, bound, request, &mut sink)?;
        let Watching { watch, unseen, .. } = sink;
        let mut found = warnings(rules, &replay, &ended, &local);
        found.extend(unseen.warnings());
        found.extend(watch.end(run));
        let inputs = Inputs { rules: input.clone(), captures: ended.inputs.clone() };
        let mut summary = Summary::new(rules, &replay, inputs, local.clone(), found)
            .with_decided(&replay, &labels);
        summary.partial = said::partial(&ended);
        let stats = replay.stats();
        let gate = Gate {
            end: &ended,
            stats,
            doubts: Unsure::of_replay(stats),
            one_sided: None,
            local: &local,
            evicted: replay.sessions_evicted(),
            max_unevaluated: args.gate.max_unevaluated,
            allow_truncated: args.gate.allow_truncated,
            lost_records_count: true,
            of_rules: gate::incomplete(rules),
            asked_by: "fails(\"denied\")",
        };
        let denied = match (is_denied(stats), gate.unanswered()) {
            (false, Some(why)) => Err(why),
            (denied, _) => Ok(denied),
        };
        let text = serde_json::to_string(&summary).map_err(std::io::Error::from)?;
        let damage = error::damage(ended.damage);
        Ok(Done { summary: text, warnings: summary.warnings, damage, denied })
    }
}

/// The program's `--fail-on denied`: strays make no gate fail (SEMANTICS F16).
fn is_denied(stats: &Stats) -> bool {
    stats.packets().denied > stats.strays().denied || stats.cut() > 0
}

/// A replay of captures against rules. Each of its results is computed when it is first asked for, by reading the
/// captures.
#[pyclass(frozen, module = "sgreplay", name = "_Replay")]
#[derive(Debug)]
pub(crate) struct Replay {
    rules: Py<Rules>,
    captures: Vec<PathBuf>,
    options: Vec<String>,
    summary: OnceLock<(Py<PyAny>, Result<bool, String>)>,
    connections: OnceLock<Py<Table>>,
}

impl Replay {
    fn summed_up(&self, py: Python<'_>) -> PyResult<&(Py<PyAny>, Result<bool, String>)> {
        if let Some(known) = self.summary.get() {
            return Ok(known);
        }
        let job = Job::new(self)?;
        let stop = Arc::clone(&job.stop);
        let mut done = running::watched(py, &stop, move || job.run(Keeps::Nothing, &mut ()))?
            .map_err(|failure| error::of_failure(py, failure))?;
        let summary = table::of_json(py, &done.summary)?;
        done.say(py, &summary)?;
        Ok(self.summary.get_or_init(|| (summary.unbind(), done.denied)))
    }
}

impl Done {
    /// Raises the warnings, and damage with the result of what comes before it.
    pub(crate) fn say(&mut self, py: Python<'_>, partial: &Bound<'_, PyAny>) -> PyResult<()> {
        error::warn(py, &self.warnings)?;
        error::raise_damage(self.damage.take(), partial)
    }
}

#[pymethods]
impl Replay {
    #[new]
    fn new(
        py: Python<'_>,
        rules: Py<Rules>,
        captures: Vec<PathBuf>,
        options: Vec<String>,
    ) -> PyResult<Self> {
        let (summary, connections) = (OnceLock::new(), OnceLock::new());
        let replay = Self { rules, captures, options, summary, connections };
        let job = Job::new(&replay)?;
        let stop = Arc::clone(&job.stop);
        let opened = running::watched(py, &stop, move || job.try_open())?;
        opened.map_err(|failure| error::of_failure(py, failure))?;
        Ok(replay)
    }

    /// What `sgreplay replay -f json` prints.
    #[getter]
    fn summary<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.summed_up(py)?.0.bind(py).clone())
    }

    /// Whether a packet is denied.
    fn denied(&self, py: Python<'_>) -> PyResult<bool> {
        let (_, denied) = self.summed_up(py)?;
        denied.clone().map_err(error::NoFullAnswer::new_err)
    }

    /// What `sgreplay replay --per connection` prints, as a table.
    #[getter]
    fn connections(&self, py: Python<'_>) -> PyResult<Py<Table>> {
        if let Some(known) = self.connections.get() {
            return Ok(known.clone_ref(py));
        }
        let job = Job::new(self)?;
        if job.args.sessions == OnOff::Off || !job.rules.cloud().is_stateful() {
            return Err(error::plain(
                "without sessions there are no connections; ask for packets()",
            ));
        }
        let stop = Arc::clone(&job.stop);
        let ran = running::watched(py, &stop, move || {
            let mut rows = ConnectionRows::default();
            let done = job.run(Keeps::Rows, &mut rows)?;
            Ok((done, rows.table().map_err(|error| Failure::Usage(error.to_string()))?))
        })?;
        let (mut done, table) = ran.map_err(|failure: Failure| error::of_failure(py, failure))?;
        let table = Py::new(py, table)?;
        done.say(py, table.bind(py))?;
        Ok(self.connections.get_or_init(|| table).clone_ref(py))
    }

    /// What `sgreplay replay --per packet` prints, as a stream of batches.
    fn packets(&self, py: Python<'_>, rows: usize) -> PyResult<Stream> {
        let job = Job::new(self)?;
        let stop = Arc::clone(&job.stop);
        let reader = py.detach(|| packets::read(job, stop, rows))?;
        Ok(Stream::new(Box::new(reader)))
    }
}
