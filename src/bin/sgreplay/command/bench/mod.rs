//! `sgreplay bench`: the cost of replaying, stage by stage, on somebody's own rules and traffic.

mod args;
mod calibration;
mod clock;
mod counter;
mod machine;
mod measure;
mod turns;

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use serde_json::Value;
use sgreplay::engine::read_text;
use sgreplay::report::{Bound, Change, Metric, NotComparable, Order, Outcome, Timings};

use self::measure::Bench;
use self::turns::Side;
use super::{pretty, with};
use crate::args::TextOrJson;
use crate::exit::{ExitStatus, Failure};
use crate::output::{Outputs, stdout};
use crate::{input, terminal};
pub(crate) use args::BenchArgs;

/// Fewer processes of a side give no answer: an interval of few values is too narrow too often.
const FEWEST_TURNS: usize = 10;
/// A measurement that is compared with one of another day has more, since it has to show how much processes differ.
const FEWEST_APART: usize = 20;
/// The spread of the processes at which a measurement by itself is good enough, and their number at most.
const SMALL_SPREAD: f64 = 0.01;
const MOST_TURNS: usize = 40;
/// The bound of the words of a comparison, where no gate has one.
const USUAL: Bound = Bound { metric: Metric::Slower, percent: 10.0 };

pub(crate) fn run(args: &BenchArgs, outputs: &mut Outputs) -> Result<ExitStatus, Failure> {
    if args.turn {
        turns::end_with_parent();
        let timings = Bench::new(args)?.turn()?;
        let mut out = stdout();
        write!(out, "{}", pretty(&timings)?)?;
        out.flush()?;
        return Ok(ExitStatus::Done);
    }
    if !args.fail_on.is_empty() && !args.compares() {
        let message =
            "--fail-on needs --compare, --against-program or --against-rules: slower than what?";
        return Err(Failure::Usage(message.to_owned()));
    }
    let before = args.compare.as_deref().map(saved).transpose()?;
    let save = outputs.create("save")?;
    // What is wrong with the arguments is said once and not by each process.
    drop(Bench::new(args)?);
    let other = match (&args.against_program, &args.against_rules) {
        (Some(program), _) => Some(Side::other(args, program)?),
        (None, Some(rules)) => {
            input::rules(rules, &sgreplay::engine::RulesRequest::default())?;
            Some(Side::own(args, rules)?)
        }
        (None, None) => None,
    };
    let against = other.is_some();
    let mut session = Session {
        args,
        own: Side::own(args, args.rules())?,
        other,
        bounds: match args.fail_on.is_empty() {
            true => vec![USUAL],
            false => args.fail_on.clone(),
        },
        now: None,
        before,
    };
    let changes = session.measure()?;
    let Session { now: Some(now), before, .. } = session else {
        return Err(Failure::Usage("nothing was measured".to_owned()));
    };
    let mut is_judged = true;
    if let Some(before) = &before {
        for difference in now.other_circumstances(before) {
            terminal::say(&format!("warning: {difference}"));
        }
        if let Some(difference) = now.other_machine(before) {
            is_judged = args.other_machine;
            let way = match args.fail_on.is_empty() || is_judged {
                true => "",
                false => "; --fail-on judges by it only with --other-machine",
            };
            terminal::say(&format!("warning: {difference}{way}"));
        }
    }
    let status = match () {
        () if args.fail_on.is_empty() => ExitStatus::Done,
        () if !is_judged => ExitStatus::CouldNot,
        () => status(&changes),
    };
    let shown =
        Shown { args, now: &now, other: before.as_ref().filter(|_| against), changes: &changes };
    shown.print(status)?;
    if let Some(save) = save {
        save.whole(&pretty(&now)?)?;
    }
    outputs.finish()?;
    Ok(status)
}

/// A measurement that was saved.
fn saved(path: &Path) -> Result<Timings, Failure> {
    Timings::saved(&read_text(path)?).map_err(|error| not_comparable(path, &error))
}

fn not_comparable(path: &Path, error: &NotComparable) -> Failure {
    Failure::Usage(format!("{} {error}", input::name(path)))
}

/// The processes of a measurement.
struct Session<'a> {
    args: &'a BenchArgs,
    own: Side,
    other: Option<Side>,
    bounds: Vec<Bound>,
    now: Option<Timings>,
    /// Saved, or of the other side.
    before: Option<Timings>,
}

impl Session<'_> {
    /// Starts one process after the other until the samples have an answer, or for as long as the user allows.
    fn measure(&mut self) -> Result<Vec<Change>, Failure> {
        let start = Instant::now();
        let fewest = if self.other.is_some() { FEWEST_TURNS } else { FEWEST_APART };
        for turn in 1.. {
            self.turn(turn % 2 == 0)?;
            let changes = self.compare()?;
            let is_over = start.elapsed() >= self.args.time_limit;
            let is_enough = match self.args.runs {
                Some(runs) => turn >= runs.get(),
                None => is_over || turn >= fewest && self.is_answered(turn, &changes),
            };
            if is_enough {
                return Ok(changes);
            }
        }
        Ok(Vec::new())
    }

    /// A process of each side. Which is first alternates: the second may find caches warm or the processor hot.
    fn turn(&mut self, other_first: bool) -> Result<(), Failure> {
        let Some(other) = &self.other else { return add(&mut self.now, self.own.turn()?) };
        if other_first {
            add(&mut self.before, other.turn()?)?;
            add(&mut self.now, self.own.turn()?)
        } else {
            add(&mut self.now, self.own.turn()?)?;
            add(&mut self.before, other.turn()?)
        }
    }

    fn compare(&self) -> Result<Vec<Change>, Failure> {
        let Some((now, before)) = self.now.as_ref().zip(self.before.as_ref()) else {
            return Ok(Vec::new());
        };
        let order = if self.other.is_some() { Order::InTurns } else { Order::Apart };
        let changes = now.compare(before, order, &self.bounds);
        changes.map_err(|error| match &self.args.compare {
            Some(path) => not_comparable(path, &error),
            None => Failure::Usage(format!("the other side {error}")),
        })
    }

    /// Whether more samples would answer nothing more.
    fn is_answered(&self, turns: usize, changes: &[Change]) -> bool {
        if self.before.is_some() {
            return changes.iter().all(|change| !change.needs_samples());
        }
        let spread = self.now.as_ref().map_or(f64::MAX, Timings::spread);
        spread < SMALL_SPREAD || turns >= MOST_TURNS
    }
}

fn add(timings: &mut Option<Timings>, turn: Timings) -> Result<(), Failure> {
    let Some(timings) = timings else {
        *timings = Some(turn);
        return Ok(());
    };
    let changed =
        |error| Failure::Usage(format!("the captures changed: an earlier process {error}"));
    timings.add(turn).map_err(changed)
}

/// 1 where a stage is slower; else 2 where the samples of one do not tell.
fn status(changes: &[Change]) -> ExitStatus {
    let has = |outcome| changes.iter().any(|change| change.outcome == outcome);
    if has(Outcome::Slower) {
        ExitStatus::Failed
    } else if changes.is_empty() || has(Outcome::CannotTell) {
        ExitStatus::CouldNot
    } else {
        ExitStatus::Done
    }
}

/// A measurement with its comparison, for people or programs.
struct Shown<'a> {
    args: &'a BenchArgs,
    now: &'a Timings,
    /// The other side of a measurement in turns.
    other: Option<&'a Timings>,
    changes: &'a [Change],
}

impl Shown<'_> {
    fn print(&self, status: ExitStatus) -> Result<(), Failure> {
        let mut out = stdout();
        match self.args.format {
            TextOrJson::Text => {
                write!(out, "{}", terminal::results(self.now.text(self.changes)))?;
                if !self.args.fail_on.is_empty() && !terminal::is_quiet() {
                    writeln!(out, "{}", self.answer(status))?;
                }
            }
            TextOrJson::Json => write!(out, "{}", self.json()?)?,
        }
        out.flush()?;
        Ok(())
    }

    fn json(&self) -> Result<String, Failure> {
        if !self.args.compares() {
            return pretty(self.now);
        }
        let changes = self.changes.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>();
        let mut object = with(self.now, [("changes", changes.map_err(std::io::Error::from)?)])?;
        if let (Some(other), Value::Object(object)) = (self.other, &mut object) {
            let other = serde_json::to_value(other).map_err(std::io::Error::from)?;
            object.insert("against".to_owned(), other);
        }
        pretty(&object)
    }

    /// The answer of the gate.
    fn answer(&self, status: ExitStatus) -> String {
        let of = |outcome| -> String {
            let stages = self.changes.iter().filter(|change| change.outcome == outcome);
            stages.map(Change::name).collect::<Vec<_>>().join(", ")
        };
        match status {
            ExitStatus::Done => "no stage is slower".to_owned(),
            ExitStatus::Failed => format!("slower: {}", of(Outcome::Slower)),
            ExitStatus::CouldNot => format!("cannot tell: {}", of(Outcome::CannotTell)),
        }
    }
}
