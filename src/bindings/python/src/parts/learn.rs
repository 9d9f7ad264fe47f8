//! Rules from captures that were judged in parts.
#![expect(
    clippy::needless_pass_by_value,
    reason = "lists that Python hands over are extracted into values"
)]

use bytesize::ByteSize;
use pyo3::prelude::*;
use sgreplay::extract::Whole;
use sgreplay::sources::Ended;
use sgreplay::suggest::Wants;

use super::{Halt, Judged, asked, bound, options, raised};
use crate::command::suggest::{SuggestArgs, can_learn, learn};
use crate::command::warnings::Unseen;
use crate::options as words;
use crate::reports::{Answer, Found};
use crate::rules::Rules;

/// The options of a suggestion.
fn suggest_args(options: &[String]) -> PyResult<SuggestArgs> {
    let mut args: SuggestArgs = words::parse(options)?;
    // A cluster has enough memory.
    args.judge.memory = ByteSize(u64::MAX);
    Ok(args)
}

/// Says whether rules can be learned from what these allow; what has to be known of connections beside service and peer:
/// whether they are answered, and when they were opened. Rules that allow everything are not `given`.
#[pyfunction]
pub(crate) fn parts_check_suggest(
    py: Python<'_>,
    rules: &Rules,
    given: bool,
    options: Vec<String>,
) -> PyResult<(bool, bool)> {
    let args = suggest_args(&options)?;
    let check = || match given {
        true => can_learn(&rules.file.rules, &rules.file.input, &args).map_err(Halt::Failed),
        false => Ok(()),
    };
    raised(py, check())?;
    let wants = wants(&args);
    Ok((wants.answers, wants.times))
}

fn wants(args: &SuggestArgs) -> Wants {
    Wants { answers: args.learn.without_scans, times: args.holdout.is_some(), selection: false }
}

/// Puts what was observed together, and suggests rules.
#[pyfunction]
pub(crate) fn parts_suggest(
    py: Python<'_>,
    rules: &Rules,
    given: bool,
    judged: Judged,
    midstream: &str,
    options_of: Vec<String>,
) -> PyResult<Answer> {
    let args = suggest_args(&options_of)?;
    let wants = wants(&args);
    let suggest = || -> Result<Found, Halt> {
        let (set, local) = bound(rules)?;
        let asked = asked((false, false, Some((wants.answers, wants.times))));
        let (timeline, lost, parts) = judged.read()?;
        let whole = Whole::new(&set, &timeline, &lost, parts, options(midstream)?, asked)?;
        let Whole { replay, observed, .. } = whole;
        let end = Ended { inputs: timeline.inputs().to_vec(), ..Ended::default() };
        let input = given.then(|| rules.file.input.clone());
        let observed = observed.unwrap_or_else(|| sgreplay::suggest::Observed::new(wants, 0));
        let unseen = Unseen::new(timeline.unseen()).warnings().collect();
        let run = (&observed, &replay, end, local);
        let suggested = learn(&args, (&set, input), run, unseen).map_err(Halt::Failed)?;
        Found::suggested(suggested).map_err(Halt::Failed)
    };
    raised(py, suggest())?.answer(py)
}
