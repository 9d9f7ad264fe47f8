//! `diff`, `check`, `suggest`, `test`: what the program prints as JSON, and its conditions.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pyo3::prelude::*;
use sgreplay::capture::CaptureError;
use sgreplay::diff::Effect;
use sgreplay::engine::RulesInput;
use sgreplay::labels::Labels;
use sgreplay::report::{
    FindingsSummary, TestSummary, findings_json, suggestion_json, suggestion_yaml, suppressed_json,
    tested_json,
};
use sgreplay::rules::{RuleSet, Severity};

use crate::captures::Host;
use crate::command::diff::{Compared, DiffArgs, DiffFailOn};
use crate::command::suggest::SuggestArgs;
use crate::command::{
    check as checking, diff as comparing, gate, suggest as learning, test as testing,
};
use crate::error;
use crate::exit::Failure;
use crate::output::{Named, Outputs};
use crate::rules::Rules;
use crate::{command, input, options, running, table};

/// Whether a condition holds, or why there is no full answer.
type Condition = Result<bool, String>;

/// What a command found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// What it prints as JSON.
    json: String,
    /// What it prints as text, of rules.
    text: Option<String>,
    warnings: Vec<String>,
    damage: Option<CaptureError>,
    conditions: BTreeMap<&'static str, Condition>,
}

/// What a command found.
#[pyclass(frozen, module = "sgreplay", name = "_Answer")]
#[derive(Debug)]
pub(crate) struct Answer {
    /// What it prints as JSON, as objects.
    #[pyo3(get)]
    summary: Py<PyAny>,
    /// What it prints as text, of rules.
    #[pyo3(get)]
    text: Option<String>,
    conditions: BTreeMap<&'static str, Condition>,
}

#[pymethods]
impl Answer {
    /// Whether a condition holds.
    fn fails(&self, on: &str) -> PyResult<bool> {
        let Some(condition) = self.conditions.get(on) else {
            let known: Vec<&str> = self.conditions.keys().copied().collect();
            return Err(error::plain(format!(
                "fails({on:?}): the conditions are {}",
                known.join(", ")
            )));
        };
        condition.clone().map_err(error::NoFullAnswer::new_err)
    }
}

/// Runs a command beside Python.
fn answer(
    py: Python<'_>,
    stop: &Arc<AtomicBool>,
    run: impl FnOnce() -> Result<Found, Failure> + Send + 'static,
) -> PyResult<Answer> {
    let found = running::watched(py, stop, run)?;
    let found = found.map_err(|failure| error::of_failure(py, failure))?;
    found.answer(py)
}

impl Found {
    pub(crate) fn answer(self, py: Python<'_>) -> PyResult<Answer> {
        let Self { json, text, warnings, damage, conditions } = self;
        let summary = table::of_json(py, &json)?;
        error::warn(py, &warnings)?;
        error::raise_damage(damage, &summary)?;
        Ok(Answer { summary: summary.unbind(), text, conditions })
    }

    /// Suggested rules.
    pub(crate) fn suggested(suggested: learning::Suggested) -> Result<Self, Failure> {
        let learning::Suggested { learned, steps, holdout, rules, end, .. } = suggested;
        let json = suggestion_json(&learned, &steps, holdout.as_ref(), &rules);
        Ok(Self {
            json: text(&json)?,
            text: Some(suggestion_yaml(&learned, &steps, holdout.as_ref(), &rules)),
            warnings: learned.warnings,
            damage: error::damage(end.damage),
            conditions: BTreeMap::new(),
        })
    }
}

fn text(json: &impl serde::Serialize) -> Result<String, Failure> {
    Ok(serde_json::to_string(json).map_err(io::Error::from)?)
}

/// The texts of a list of warnings.
fn warnings(json: &serde_json::Value) -> Vec<String> {
    let list = json.get("warnings").and_then(serde_json::Value::as_array);
    list.into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

/// Compares two rule sets: on captures, or, without any, over all possible packets.
#[pyfunction]
pub(crate) fn diff(
    py: Python<'_>,
    current: &Rules,
    proposed: &Rules,
    captures: Vec<PathBuf>,
    options: Vec<String>,
    progress: bool,
) -> PyResult<Answer> {
    if current.local != proposed.local {
        return Err(error::plain(
            "both rules are about the same interface, so that local= must be the same",
        ));
    }
    let sides = [("--current", current), ("--proposed", proposed)];
    let mut words: Vec<String> = ["-f", "json"].map(str::to_owned).to_vec();
    words.extend(sides.into_iter().map(|(side, of)| format!("{side}={}", of.file.input.path)));
    words.extend(proposed.local_words());
    words.extend(options);
    let mut args: DiffArgs = options::parse(&words)?;
    let stop = Arc::new(AtomicBool::new(false));
    args.capture.positional = captures;
    args.capture.host = Some(Host { interrupted: Arc::clone(&stop), progress });
    let [current, proposed] =
        [current, proposed].map(|side| (side.file.rules.clone(), side.file.input.clone()));
    answer(py, &stop, move || compare(&args, [current, proposed]))
}

fn compare(args: &DiffArgs, sides: [(RuleSet, RulesInput); 2]) -> Result<Found, Failure> {
    let mut outputs = Outputs::new(Named::default(), false)?;
    comparing::compare(
        args,
        &mut outputs,
        |_| Ok(sides),
        |compared, _| {
            let json = comparing::json(&compared)?;
            let asked = [
                ("newly_denied", DiffFailOn::NewlyDenied),
                ("newly_allowed", DiffFailOn::NewlyAllowed),
                ("any", DiffFailOn::Any),
            ];
            let conditions =
                asked.map(|(name, asked)| (name, turns(&compared, args, asked.effects())));
            let damage = match compared {
                Compared::Traffic { traffic, .. } => error::damage(traffic.end.damage),
                Compared::Rules { .. } => None,
            };
            let (text, warnings) = (text(&json)?, warnings(&json));
            Ok(Found { json: text, text: None, warnings, damage, conditions: conditions.into() })
        },
    )
}

/// The program's `--fail-on` of a comparison.
fn turns(compared: &Compared<'_>, args: &DiffArgs, effects: &[Effect]) -> Condition {
    if effects.iter().any(|effect| compared.open(*effect) > 0) {
        return Ok(true);
    }
    let of_traffic = match compared {
        Compared::Traffic { traffic, .. } => {
            traffic.gate(&args.gate, effects, "fails()").unanswered()
        }
        Compared::Rules { .. } => None,
    };
    of_traffic.or_else(|| compared.unanswered()).map_or(Ok(false), Err)
}

/// What is wrong with rules themselves.
#[pyfunction]
pub(crate) fn check(py: Python<'_>, rules: &Rules) -> PyResult<Answer> {
    let (set, file) = (rules.rule_set(), Arc::clone(&rules.file));
    answer(py, &Arc::default(), move || {
        let checked = sgreplay::check::check(&set, input::today());
        let summary = FindingsSummary::new(&set, file.input.clone(), &checked);
        let lists = [
            ("findings", findings_json(&set, &checked, &file.positions)),
            ("suppressed_findings", suppressed_json(&set, &checked, &file.positions)),
        ];
        let json = command::with(&summary, lists)?;
        let holds = |least| match checked.any(least) {
            true => Ok(true),
            false => checking::unchecked(&checked)
                .or_else(|| gate::incomplete(&set))
                .map_or(Ok(false), Err),
        };
        let conditions =
            [("error", holds(Severity::Error)), ("warning", holds(Severity::Warning))].into();
        Ok(Found { json: text(&json)?, warnings: warnings(&json), conditions, ..Found::default() })
    })
}

/// Rules that allow what captures show.
#[pyfunction]
pub(crate) fn suggest(
    py: Python<'_>,
    rules: Option<&Rules>,
    captures: Vec<PathBuf>,
    options: Vec<String>,
    progress: bool,
) -> PyResult<Answer> {
    let mut words = rules.map(Rules::local_words).unwrap_or_default();
    words.extend(options);
    let mut args: SuggestArgs = options::parse(&words)?;
    let stop = Arc::new(AtomicBool::new(false));
    args.capture.positional = captures;
    args.capture.host = Some(Host { interrupted: Arc::clone(&stop), progress });
    let given = rules.map(|rules| (rules.file.rules.clone(), rules.file.input.clone()));
    answer(py, &stop, move || learn(&args, given))
}

fn learn(args: &SuggestArgs, given: Option<(RuleSet, RulesInput)>) -> Result<Found, Failure> {
    let suggested = learning::suggest(args, || match given {
        Some((rules, input)) => {
            learning::can_learn(&rules, &input, args)?;
            Ok((rules, Some(input)))
        }
        None => learning::rules(args),
    })?;
    Found::suggested(suggested)
}

/// Whether rules do what a file expects of them.
#[pyfunction]
pub(crate) fn test(py: Python<'_>, rules: &Rules, assertions: PathBuf) -> PyResult<Answer> {
    let (set, file) = (rules.rule_set(), Arc::clone(&rules.file));
    answer(py, &Arc::default(), move || {
        let (tested, expected) = testing::test(&set, &assertions)?;
        let summary = TestSummary::new(file.input.clone(), expected, &tested);
        let labels = Labels::new(&set);
        let json = command::with(&summary, [("results", tested_json(&tested, &labels))])?;
        let failed = match summary.fails() {
            true => Ok(true),
            false => gate::incomplete(&set).map_or(Ok(false), Err),
        };
        let conditions = [("failed", failed)].into();
        Ok(Found { json: text(&json)?, warnings: warnings(&json), conditions, ..Found::default() })
    })
}
