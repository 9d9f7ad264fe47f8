//! A comparison of two rule sets in parts.
#![expect(
    clippy::needless_pass_by_value,
    reason = "lists that Python hands over are extracted into values"
)]

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sgreplay::Error;
use sgreplay::arrow::{ChangeColumns, change_schema};
use sgreplay::baseline::Accepted;
use sgreplay::collect::{Changed, ChangedCounts};
use sgreplay::diff::{self, Turned};
use sgreplay::engine::{self, Local};
use sgreplay::extract::{
    ComparedPart, FlowCompare, LostFragments, Portable, Scope, Timeline, compared,
};
use sgreplay::labels::{BothLabels, Labels};
use sgreplay::report::DiffInputs;
use sgreplay::rules::RuleSet;
use sgreplay::sources::Ended;

use super::{Extracting, Halt, ROWS, each_record, emit, options, order, points, raised, tunnels};
use crate::command::diff::print::traffic_json;
use crate::command::diff::{Beside, DiffArgs, same_interfaces, sum_up};
use crate::command::warnings::Unseen;
use crate::exit::Failure;
use crate::rules::Rules;
use crate::table::Table;
use crate::{options as words, table};

/// A file of accepted changes: its name, its text, and the day on which entries are held against their last.
type Accept = Option<(String, String, String)>;

fn accepted(of: &Accept) -> Result<Accepted, Halt> {
    let Some((name, text, today)) = of else { return Ok(Accepted::default()) };
    let wrong = |error| Failure::Usage(format!("{today}: {error}"));
    let today = today.parse().map_err(wrong).map_err(Halt::Failed)?;
    let accepted = Accepted::parse(name, text, today).map_err(Failure::from);
    accepted.map_err(Halt::Failed)
}

fn wrong_with(path: &str, error: &Error) -> Failure {
    Failure::Usage(format!("{path}: {error}"))
}

/// The current rules, and the proposed ones.
type Sides = (Py<Rules>, Py<Rules>);

/// Both rule sets, at their local addresses.
struct Both {
    rules: [RuleSet; 2],
    local: Local,
    args: DiffArgs,
}

impl Both {
    fn new(py: Python<'_>, (current, proposed): &Sides) -> PyResult<Self> {
        let sides = [current.get(), proposed.get()];
        let named = ["--current", "--proposed"].into_iter().zip(sides);
        let named = named.map(|(side, of)| format!("{side}={}", of.file.input.path));
        let args: DiffArgs = words::parse(&named.collect::<Vec<_>>())?;
        let bind = || -> Result<Self, Halt> {
            let [now, then] = sides;
            if now.local != then.local {
                let message =
                    "both rules are about the same interface, so that local= must be the same";
                return Err(Error::Question(message.to_owned()).into());
            }
            let (mut current, mut proposed) = (now.file.rules.clone(), then.file.rules.clone());
            for (rules, of) in [(&current, now), (&proposed, then)] {
                let asked = engine::asks_for_groups(rules);
                let asked = asked.map_err(|error| wrong_with(&of.file.input.path, &error));
                asked.map_err(Halt::Failed)?;
            }
            same_interfaces(&mut current, &mut proposed, &args).map_err(Halt::Failed)?;
            let local = engine::bind_known(&mut current, &now.local)?;
            engine::bind_known(&mut proposed, &then.local)?;
            Ok(Self { rules: [current, proposed], local, args })
        };
        raised(py, bind())
    }

    fn each(&self) -> [&RuleSet; 2] {
        self.rules.each_ref()
    }

    /// Where the change turns verdicts, or why that is not listed.
    fn turned(&self) -> (Vec<Turned>, Beside) {
        let [current, proposed] = self.each();
        match diff::regions(current, proposed) {
            Ok(turned) => (turned, Beside::default()),
            Err(error) => (Vec::new(), Beside { not_turned: Some(error), ..Beside::default() }),
        }
    }
}

/// Says whether two rule sets can be compared in parts.
#[pyfunction]
pub(crate) fn parts_check_both(
    py: Python<'_>,
    sides: Sides,
    extracting: Option<Extracting>,
    order_by: &str,
    midstream: &str,
    accept: Accept,
) -> PyResult<()> {
    let both = Both::new(py, &sides)?;
    let check = || -> Result<(), Halt> {
        let [current, proposed] = both.each();
        if let Some((decap, captures, given)) = extracting {
            let points = points(given);
            for (rules, of) in [(current, &sides.0), (proposed, &sides.1)] {
                let path = &of.get().file.input.path;
                let can = engine::can_judge(rules, &points.given());
                can.map_err(|error| wrong_with(path, &error)).map_err(Halt::Failed)?;
            }
            Scope::made_at(current, tunnels(&decap)?, captures, points)?.and(proposed)?;
        }
        order(order_by)?;
        options(midstream)?;
        accepted(&accept)?;
        Ok(())
    };
    raised(py, check())
}

/// Judges records by two rule sets, flow by flow, of an iterator of tables; hands over the rows of changed connections, and
/// returns the rest.
#[pyfunction]
pub(crate) fn parts_compare<'py>(
    py: Python<'py>,
    sides: Sides,
    timeline: &[u8],
    midstream: &str,
    accept: Accept,
    tables: &Bound<'py, PyAny>,
    to: Py<PyAny>,
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let both = Both::new(py, &sides)?;
    let compare = || -> Result<_, Halt> {
        let timeline = Timeline::from_bytes(timeline)?;
        let mut compare = FlowCompare::new(both.each(), &timeline, options(midstream)?)?;
        let accepted = accepted(&accept)?;
        let [now, then] = both.each().map(Labels::new);
        let labels = BothLabels { accepted: &accepted, current: &now, proposed: &then };
        let (turned, _) = both.turned();
        let mut changed = Changed::new(labels, &turned, usize::MAX);
        let mut columns = ChangeColumns::new(ROWS);
        let mut add = |columns: &mut ChangeColumns, changes: Vec<diff::Change>| {
            for change in &changes {
                changed.count(change);
            }
            columns
                .add(&changes, labels, |batch| emit(&to, Table::new(change_schema(), vec![batch])))
        };
        each_record(tables, |records| {
            for record in records {
                compare.judge(record);
            }
            add(&mut columns, compare.take_changes())
        })?;
        let (changes, part) = compare.finish();
        add(&mut columns, changes)?;
        if !columns.is_empty() {
            emit(&to, Table::new(change_schema(), vec![columns.finish()?]))?;
        }
        Ok((part.to_bytes()?, changed.counts().to_bytes()?))
    };
    let (part, counts) = raised(py, compare())?;
    Ok((PyBytes::new(py, &part), PyBytes::new(py, &counts)))
}

/// Puts a comparison together: the summary, and the changes that several parts may have.
#[pyfunction]
pub(crate) fn parts_compared<'py>(
    py: Python<'py>,
    sides: Sides,
    timeline: &[u8],
    lost: &[u8],
    parts: Vec<(Vec<u8>, Vec<u8>)>,
    midstream: &str,
    accept: Accept,
) -> PyResult<(Bound<'py, PyAny>, Table)> {
    let both = Both::new(py, &sides)?;
    let whole = || -> Result<(String, Table), Halt> {
        let timeline = Timeline::from_bytes(timeline)?;
        let lost = LostFragments::from_bytes(lost)?;
        let (mut found, mut counts) = (Vec::new(), ChangedCounts::default());
        for (part, of_part) in parts {
            found.push(ComparedPart::from_bytes(&part)?);
            counts.merge(&ChangedCounts::from_bytes(&of_part)?);
        }
        let diff = compared(both.each(), &timeline, &lost, found, options(midstream)?)?;
        let accepted = accepted(&accept)?;
        let [now, then] = both.each().map(Labels::new);
        let labels = BothLabels { accepted: &accepted, current: &now, proposed: &then };
        let (turned, beside) = both.turned();
        let unseen = Unseen::new(timeline.unseen()).warnings().collect();
        let beside = Beside { unseen, ..beside };
        let mut changed = Changed::new(labels, &turned, usize::MAX).with_counts(&counts);
        for change in diff.changes() {
            changed.count(change);
        }
        let captures = timeline.inputs().to_vec();
        let end = Ended { inputs: captures.clone(), ..Ended::default() };
        let [of_current, of_proposed] = [&sides.0, &sides.1].map(|of| of.get().file.input.clone());
        let inputs = DiffInputs { current: of_current, proposed: of_proposed, captures };
        let run = (&end, &diff, &both.local);
        let summary = sum_up(&both.args, both.each(), inputs, run, &changed, beside);
        let json = traffic_json(&summary, &turned, &changed).map_err(Halt::Failed)?;
        let mut columns = ChangeColumns::new(usize::MAX);
        columns.add(diff.changes(), labels, |_| Ok::<(), Halt>(()))?;
        let rows = Table::new(change_schema(), vec![columns.finish()?]);
        Ok((json.to_string(), rows))
    };
    let (text, rows) = raised(py, whole())?;
    Ok((table::of_json(py, &text)?, rows))
}
