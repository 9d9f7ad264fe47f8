//! `sgreplay diff`: what a change of rules does to a capture.

mod args;
mod notes;
pub(crate) mod print;
mod sinks;

use std::cell::Cell;
use std::path::Path;

use sgreplay::baseline::Accepted;
use sgreplay::check;
use sgreplay::collect::Changed;
use sgreplay::diff::{self, Diff, Effect, Turned};
use sgreplay::engine::{Outcome, PlanSide, ReplayRequest};
use sgreplay::header_space::TooComplex;
use sgreplay::labels::{BothLabels, Labels};
use sgreplay::replay::Sessions;
use sgreplay::report::{
    DiffInputs, DiffSummary, Local, RegionsSummary, Rows, RulesInput, diff_page, rule_counts,
};
use sgreplay::rules::RuleSet;
use sgreplay::sources::Ended;

use super::gate::{self, Gate, Unsure};
use super::judging::{self, Keeps, Report};
use super::warnings;
use crate::args::SummaryFormat;
use crate::captures::Captures;
use crate::command::gate::GateArgs;
use crate::exit::{ExitStatus, Failure};
use crate::input;
use crate::output::{Outputs, Stdout};
pub(crate) use args::{DiffArgs, DiffFailOn};
pub(crate) use notes::same_interfaces;
use notes::{coarser, of_both, unknown_members, unused};
use print::print;
pub(crate) use print::{json, text};
use sinks::{Listed, Sinks, Writers};

pub(crate) fn run(args: &DiffArgs, outputs: &mut Outputs) -> Result<ExitStatus, Failure> {
    if args.rules.is_some() {
        let message = "diff compares two rule sets: --current FILE --proposed FILE, or --plan FILE";
        return Err(Failure::Usage(message.to_owned()));
    }
    compare(
        args,
        outputs,
        |_| read(args),
        |compared, outputs| {
            print(args, &compared)?;
            outputs.finish()?;
            let asked = args.fail_on.map_or(&[][..], DiffFailOn::effects);
            let fails = args.fail_on.map(|_| asked.iter().any(|effect| compared.open(*effect) > 0));
            let status = match &compared {
                Compared::Traffic { traffic, .. } => {
                    gate::finish(&traffic.gate(&args.gate, asked, "--fail-on"), fails)?
                }
                Compared::Rules { .. } if fails == Some(true) => ExitStatus::Failed,
                Compared::Rules { .. } => ExitStatus::Done,
            };
            match (status, fails) {
                (ExitStatus::Done, Some(false)) => gate::passes(compared.unanswered()),
                (status, _) => Ok(status),
            }
        },
    )
}

/// The result of a comparison.
pub(crate) enum Compared<'c> {
    /// Over every possible packet.
    Rules {
        summary: RegionsSummary,
        turned: Vec<Turned>,
        labels: BothLabels<'c>,
        rules: [&'c RuleSet; 2],
    },
    /// And to the packets of captures.
    Traffic {
        summary: Box<DiffSummary>,
        diff: &'c Diff<'c>,
        turned: &'c [Turned],
        changed: &'c Changed<'c>,
        /// The rows so far, where rows are asked for.
        rows: Cell<Option<ChangeRows>>,
        rules: [&'c RuleSet; 2],
        traffic: Traffic<'c>,
    },
}

/// Rows of changed connections on standard output.
pub(crate) type ChangeRows = Box<Rows<Stdout>>;

/// The captures of a comparison, and how far they answer it.
pub(crate) struct Traffic<'c> {
    /// How reading ended.
    pub(crate) end: Ended,
    local: Local,
    diff: &'c Diff<'c>,
}

impl Traffic<'_> {
    /// The gate of conditions about these effects.
    pub(crate) fn gate<'g>(
        &'g self,
        args: &GateArgs,
        effects: &[Effect],
        asked_by: &'g str,
    ) -> Gate<'g> {
        let Self { end, local, diff } = self;
        Gate {
            end,
            stats: diff.proposed().stats(),
            doubts: Unsure::of_diff(diff, effects),
            one_sided: diff.one_sided(),
            local,
            evicted: diff.current().sessions_evicted() + diff.proposed().sessions_evicted(),
            max_unevaluated: args.max_unevaluated,
            allow_truncated: args.allow_truncated,
            lost_records_count: true,
            of_rules: None,
            asked_by,
        }
    }
}

impl Compared<'_> {
    /// Why a gate does not pass on it, beside what captures do not answer: rules are missing, or interfaces were
    /// not compared.
    pub(crate) fn unanswered(&self) -> Option<String> {
        let (Self::Rules { rules, .. } | Self::Traffic { rules, .. }) = self;
        let [current, proposed] = rules;
        let missing = rules.iter().find_map(|rules| gate::incomplete(rules));
        let only_one = || {
            let [gone, new] = diff::unpaired(current, proposed);
            let id =
                *gone.iter().chain(&new).next().filter(|_| matches!(self, Self::Rules { .. }))?;
            Some(format!(
                "only one of the rule sets has {id}, so it was not compared, and there is no full answer"
            ))
        };
        missing.or_else(only_one)
    }

    /// Connections that the change has this effect on and nobody has accepted; regions, where there is
    /// no traffic.
    pub(crate) fn open(&self, effect: Effect) -> u64 {
        match self {
            Self::Rules { turned, .. } => {
                turned.iter().filter(|one| one.effect == effect).count() as u64
            }
            // A connection that is counted and of which no change was kept has been accepted by nobody.
            Self::Traffic { changed, diff, .. } => {
                let all = diff.connections().count(effect);
                changed.open(effect).max(all.saturating_sub(changed.accepted(effect)))
            }
        }
    }
}

/// A side's rules, and where they are from.
type Read = (RuleSet, RulesInput);

/// Compares what `read` gives, once it is known that it can be asked for, and hands over what was found.
pub(crate) fn compare<T>(
    args: &DiffArgs,
    outputs: &mut Outputs,
    read: impl FnOnce(&mut Outputs) -> Result<[Read; 2], Failure>,
    report: impl FnOnce(Compared<'_>, &mut Outputs) -> Result<T, Failure>,
) -> Result<T, Failure> {
    match args.capture.any() {
        true => of_traffic(args, outputs, read, report),
        false => of_rules(args, outputs, read, report),
    }
}

/// The current rules and the proposed ones.
fn read(args: &DiffArgs) -> Result<[Read; 2], Failure> {
    let [now, then] = sides(args);
    let current = judging::rules(now, &args.judge, PlanSide::Current)?;
    Ok([current, judging::rules(then, &args.judge, PlanSide::Proposed)?])
}

/// The files of both sides; of a plan they are one.
fn sides(args: &DiffArgs) -> [&Path; 2] {
    let plan = args.plan.as_deref();
    let none = Path::new("");
    [&args.current, &args.proposed].map(|side| side.as_deref().or(plan).unwrap_or(none))
}

/// The exact difference of the rules.
fn of_rules<T>(
    args: &DiffArgs,
    outputs: &mut Outputs,
    read: impl FnOnce(&mut Outputs) -> Result<[Read; 2], Failure>,
    report: impl FnOnce(Compared<'_>, &mut Outputs) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let about_captures = [
        (args.accept.is_some(), "--accept"),
        (args.write_changed.is_some(), "--write-changed"),
        (args.fix.is_some(), "--fix"),
        (args.report.is_some(), "--report"),
        (args.annotate.is_some(), "--annotate"),
        (!args.judge.interface.is_empty(), "--interface"),
    ];
    let given = about_captures.into_iter().find(|(given, _)| *given).map(|(_, name)| name);
    if let Some(option) = given.or_else(|| args.capture.chosen()) {
        return Err(Failure::Usage(format!("{option} is about a capture, and none is named")));
    }
    let [now, then] = sides(args);
    if now == then && now.as_os_str() == input::STDIN && args.plan.is_none() {
        return Err(Failure::Usage("standard input can be read only once".to_owned()));
    }
    let [(mut current_rules, current), (mut proposed_rules, proposed)] = read(outputs)?;
    same_interfaces(&mut current_rules, &mut proposed_rules, args)?;
    for rules in [&mut current_rules, &mut proposed_rules] {
        judging::set_local(rules, &args.judge.local)?;
    }
    let turned = diff::regions(&current_rules, &proposed_rules)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let inputs = DiffInputs { current, proposed, captures: Vec::new() };
    let warnings = of_both(&current_rules, &proposed_rules, &inputs);
    let summary = RegionsSummary::new(inputs, &turned, warnings);
    let (current_labels, proposed_labels) =
        (Labels::new(&current_rules), Labels::new(&proposed_rules));
    let labels = BothLabels {
        accepted: &Accepted::default(),
        current: &current_labels,
        proposed: &proposed_labels,
    };
    let rules = [&current_rules, &proposed_rules];
    report(Compared::Rules { summary, turned, labels, rules }, outputs)
}

/// What else is to be said of a comparison.
#[derive(Default)]
pub(crate) struct Beside {
    /// Places given with `--interface` that no packet has come from.
    pub(crate) unseen: Vec<String>,
    /// Why what changes beside the traffic is not listed.
    pub(crate) not_turned: Option<TooComplex>,
}

/// Sums up a comparison on captures, with all warnings.
pub(crate) fn sum_up(
    args: &DiffArgs,
    [current, proposed]: [&RuleSet; 2],
    inputs: DiffInputs,
    (end, diff, local): (&Ended, &Diff<'_>, &Local),
    changed: &Changed<'_>,
    beside: Beside,
) -> DiffSummary {
    let mut warnings = warnings::of_captures(end, diff.proposed().stats(), local);
    let unsure = Unsure::of_diff(diff, &[Effect::NewlyDenied, Effect::NewlyAllowed]);
    warnings.extend(unsure.texts);
    warnings.extend(beside.unseen);
    let evicted = diff.current().sessions_evicted() + diff.proposed().sessions_evicted();
    warnings.extend(warnings::evicted(evicted, diff.current().options()));
    warnings.extend(of_both(current, proposed, &inputs));
    warnings.extend(unknown_members(current, proposed));
    let not_turned = beside.not_turned;
    warnings.extend(
        not_turned.map(|error| format!("what changes beside this traffic is not listed: {error}")),
    );
    warnings.extend(coarser(args, diff, changed));
    warnings.extend(unused(changed.labels.accepted, changed));
    let mut summary = DiffSummary::new(diff, changed, inputs, local.clone(), warnings);
    summary.partial = warnings::partial(end);
    summary
}

impl DiffFailOn {
    /// What it asks for.
    pub(crate) fn effects(self) -> &'static [Effect] {
        match self {
            Self::NewlyDenied => &[Effect::NewlyDenied],
            Self::NewlyAllowed => &[Effect::NewlyAllowed],
            Self::Any => &[Effect::NewlyDenied, Effect::NewlyAllowed],
        }
    }
}

fn of_traffic<T>(
    args: &DiffArgs,
    outputs: &mut Outputs,
    read: impl FnOnce(&mut Outputs) -> Result<[Read; 2], Failure>,
    report: impl FnOnce(Compared<'_>, &mut Outputs) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut captures = Captures::new(&args.capture)?;
    let [now, then] = sides(args);
    let files = [Some(now), Some(then).filter(|_| args.plan.is_none()), args.accept.as_deref()];
    let files: Vec<&Path> = files.into_iter().flatten().collect();
    let hash = args.hash || args.report.is_some();
    judging::readable(&captures, &files, hash)?;
    let [(mut current_rules, current), (mut proposed_rules, proposed)] = read(outputs)?;
    for (rules, input) in [(&current_rules, &current), (&proposed_rules, &proposed)] {
        judging::can_judge(rules, &input.path, &args.judge.interface)?;
    }
    let accepted = args.accept.as_deref().map(input::accepted).transpose()?.unwrap_or_default();
    let writers = Writers::create(outputs)?;
    let page = Report::create(outputs)?;
    same_interfaces(&mut current_rules, &mut proposed_rules, args)?;
    let both = (&mut current_rules, &mut proposed_rules);
    let bound = captures.bind_both(both, &judging::binding(&args.judge))?;
    let options = judging::options(&args.judge, Sessions::On, Keeps::Changes);
    let (current_labels, proposed_labels) =
        (Labels::new(&current_rules), Labels::new(&proposed_rules));
    let labels =
        BothLabels { accepted: &accepted, current: &current_labels, proposed: &proposed_labels };
    // The list of one object stays to the end.
    let listed = args.format == SummaryFormat::Json;
    let memory = Keeps::Changes.memory(&args.judge) / if listed { 2 } else { 1 };
    let (turned, not_turned) = match diff::regions(&current_rules, &proposed_rules) {
        Ok(turned) => (turned, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let listed = Listed::new(args, Changed::new(labels, &turned, memory), memory);
    let unseen = warnings::Unseen::new(&args.judge.interface);
    let mut sinks = Sinks { labels, unseen, page, writers, listed };
    let request = ReplayRequest { options, hash, changes_memory: memory };
    let both = (&current_rules, &proposed_rules);
    let Outcome { ended: end, replay: diff, local } =
        captures.compare(both, bound, request, &mut sinks)?;
    let diff = judging::until_exit(diff);
    let Sinks { unseen, page, writers, mut listed, .. } = sinks;
    listed.add(diff.changes())?;
    let Listed { changed, rows, denied, .. } = listed;
    writers.finish()?;

    let inputs = DiffInputs { current, proposed, captures: end.inputs.clone() };
    let beside = Beside { unseen: unseen.warnings().collect(), not_turned };
    let both = [&current_rules, &proposed_rules];
    let summary = sum_up(args, both, inputs, (&end, &diff, &local), &changed, beside);
    if let Some(page) = page {
        let checked = check::check(&proposed_rules, input::today());
        let counts = rule_counts(&proposed_rules, diff.proposed());
        page.write(|made| diff_page(&summary, &diff, &turned, &changed, &counts, made), &checked)?;
    }
    let path = &summary.inputs.proposed.path;
    let partial = summary.partial.as_deref();
    let fixed = denied.map(|denied| denied.write(path, &proposed_rules, &local, partial, outputs));
    let summary = Box::new(summary);
    let traffic = Traffic { end, local, diff: &diff };
    let rules = [&current_rules, &proposed_rules];
    let (turned, changed, rows) = (turned.as_slice(), &changed, Cell::new(rows));
    let compared =
        Compared::Traffic { summary, diff: &diff, turned, changed, rows, rules, traffic };
    let reported = report(compared, outputs)?;
    fixed.transpose()?;
    Ok(reported)
}
