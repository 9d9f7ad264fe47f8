//! `sgreplay suggest`: rules from traffic.

use std::io::Write;
use std::path::Path;

use sgreplay::replay::{Replay, Sessions};
use sgreplay::report::{Holdout, Learned, Step, suggestion_json, suggestion_yaml};
use sgreplay::rules::Invalid;
use sgreplay::suggest::{Bound, Observation, Observed, Suggestion, everything, without_scans};

use super::{ended, judging, pretty, stdout};
use crate::args::{SuggestArgs, TextOrJson};
use crate::captures::Captures;
use crate::exit::{ExitStatus, Failure};
use crate::input::Side;

/// How far peers are widened for fewer rules, where nothing else is said.
const USUAL: Bound = Bound { v4: 24, v6: 64 };

pub(crate) fn run(args: &SuggestArgs) -> Result<ExitStatus, Failure> {
    let mut captures = Captures::new(&args.capture)?;
    let files: Vec<&Path> = args.rules.iter().map(std::path::PathBuf::as_path).collect();
    judging::readable(&captures, &files, false)?;
    let (mut rules, input) = match &args.rules {
        Some(path) => {
            let (rules, input) = judging::rules(path, &args.judge, Side::Proposed)?;
            judging::can_judge(&rules, &input.path, &args.judge.interface)?;
            if !rules.cloud().is_stateful() {
                let cloud = rules.cloud();
                return Err(Failure::Usage(format!(
                    "rules are learned from connections, and rules of {cloud} know none; leave --rules out"
                )));
            }
            (rules, Some(input))
        }
        None if !args.judge.interface.is_empty() => {
            let message = "--interface names an interface of a rules file, and none is given";
            return Err(Failure::Usage(message.to_owned()));
        }
        None => (everything().map_err(|faults| refused(&faults))?, None),
    };
    let taps = judging::taps(&args.judge.interface, &rules, &mut captures)?;
    let (local, openings) = judging::local(&mut rules, &args.judge.local, &mut captures)?;
    let mut replay =
        Replay::new(&rules, judging::options(&args.judge, Sessions::On, judging::Keeps::Nothing))
            .with_openings(openings)
            .with_tunnels(captures.tunnels())
            .with_taps(taps);
    let mut observed = Observed::default();
    let mut unseen = judging::Unseen::new(&args.judge.interface);
    if !captures.report_everything() {
        replay = replay.with_selection();
    }
    let end = captures.read(false, |inputs| {
        unseen.look(inputs);
        replay.judge_batch(inputs, |input, judged| {
            observed.add(input, judged);
            Ok::<(), Failure>(())
        })
    })?;
    let mut warnings = judging::of_captures(&end, replay.tally(), &local);
    warnings.extend(unseen.warnings());
    warnings.extend(judging::evicted(replay.sessions_evicted(), replay.options()));

    let list = observed.list();
    let seen = match args.without_scans {
        true => without_scans(&list),
        false => list.clone(),
    };
    let scans = list.len() - seen.len();
    let (named, unnamed): (Vec<_>, Vec<_>) = seen.into_iter().partition(Observation::can_be_named);
    let window = replay.tally().times();
    let (first, rest, until) = split(named, window, args.holdout);
    if first.is_empty() {
        let what = if args.rules.is_some() { "the rules allow" } else { "the capture shows" };
        ended(&end)?;
        return Err(Failure::Usage(format!(
            "{what} no connection to learn from, and no rules at all would cut everything"
        )));
    }
    let closing = Suggestion::CLOSING * rules.interfaces().len();
    let suggestion = suggestion(&first, args, closing)?;
    let suggested = suggestion.rule_set(Some(&rules)).map_err(|faults| refused(&faults))?;
    if suggestion.has_icmp() {
        let icmp = "rules cannot tell types of ICMP, so that every type is allowed from peers of which one \
                    was seen";
        warnings.push(icmp.to_owned());
    }
    warnings.extend(suggested.over_quota().into_iter().map(|warning| warning.0));
    let learned = Learned {
        rules: input,
        captures: end.inputs.clone(),
        local,
        times: window.map(|(start, end)| (start, until.unwrap_or(end))),
        connections: first.len(),
        scans,
        unnamed: unnamed.len(),
        warnings,
    };
    let holdout = args.holdout.map(|_| Holdout {
        connections: rest.len(),
        cut: rest.iter().filter(|one| !suggestion.allows(one)).copied().collect(),
    });
    let steps = steps(&first, &suggestion, closing);
    let mut out = stdout();
    match args.format {
        TextOrJson::Text => {
            write!(out, "{}", suggestion_yaml(&learned, &steps, holdout.as_ref(), &suggested))?;
        }
        TextOrJson::Json => {
            let json = suggestion_json(&learned, &steps, holdout.as_ref(), &suggested);
            write!(out, "{}", pretty(&json)?)?;
        }
    }
    out.flush()?;
    ended(&end)
}

/// The connections to learn from, those to be held against what was learned, and the time between them, if there is
/// one: a part of the window that the capture shows.
fn split(
    mut list: Vec<Observation>,
    window: Option<(u64, u64)>,
    holdout: Option<f64>,
) -> (Vec<Observation>, Vec<Observation>, Option<u64>) {
    list.sort_by_key(|one| one.time);
    let Some(((start, end), percent)) = window.zip(holdout) else {
        return (list, Vec::new(), None);
    };
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a span of time, to the microsecond or so"
    )]
    let until = start + ((end - start) as f64 * (1.0 - percent / 100.0)) as u64;
    let (first, rest) = list.into_iter().partition(|one| one.time <= until);
    (first, rest, Some(until))
}

fn suggestion(
    list: &[Observation],
    args: &SuggestArgs,
    closing: usize,
) -> Result<Suggestion, Failure> {
    let Some(most) = args.max_rules else {
        return Ok(Suggestion::new(list, args.aggregate.unwrap_or(Bound::EXACT)));
    };
    let bound = args.aggregate.unwrap_or(USUAL);
    let suggestion = Suggestion::with_most(list, bound, most.saturating_sub(closing));
    let rules = suggestion.rules() + closing;
    match rules <= most {
        true => Ok(suggestion),
        false => Err(Failure::Usage(format!(
            "{rules} rules are needed with networks no larger than /{} and /{}, and --max-rules says \
             {most}; a smaller --aggregate allows larger ones",
            bound.v4, bound.v6,
        ))),
    }
}

/// What other bounds would come to, with the suggested rules among them.
fn steps(list: &[Observation], chosen: &Suggestion, closing: usize) -> Vec<Step> {
    let step = |suggestion: &Suggestion, chosen| Step {
        bound: suggestion.bound(),
        rules: suggestion.rules() + closing,
        opens: suggestion.opens(list),
        chosen,
    };
    let mine = step(chosen, true);
    let others = Bound::STEPS.into_iter().map(|bound| step(&Suggestion::new(list, bound), false));
    let mut steps: Vec<Step> = others.collect();
    let same = |other: &Step| other.bound == mine.bound && other.rules == mine.rules;
    steps.retain(|step| !same(step));
    let wider = |step: &Step| step.bound.v4 <= mine.bound.v4;
    let place = steps.iter().position(wider).unwrap_or(steps.len());
    steps.insert(place, mine);
    steps
}

/// Why the cloud would not take the rules.
fn refused(faults: &[Invalid]) -> Failure {
    let first = faults.first().map_or_else(String::new, |fault| fault.message.clone());
    Failure::Usage(format!("the cloud would refuse what is suggested: {first}"))
}
