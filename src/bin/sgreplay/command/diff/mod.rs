//! `sgreplay diff`: what a change of rules does to a capture.

mod args;

use std::cell::Cell;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use serde_json::Value;
use sgreplay::baseline::Accepted;
use sgreplay::capture::{Frame, PcapWriter};
use sgreplay::check;
use sgreplay::collect::Changed;
use sgreplay::diff::{self, Change, Diff, Effect, Turned};
use sgreplay::engine::{DiffSink, Outcome, PlanSide, ReplayRequest};
use sgreplay::escape::{self, Text};
use sgreplay::labels::{BothLabels, Labels};
use sgreplay::replay::Sessions;
use sgreplay::report::{
    CHANGE_COLUMNS, DiffInputs, DiffJson, DiffSummary, Local, REGION_COLUMNS, RegionsSummary,
    RowFormat, Rows, RulesInput, change_rows, diff_markdown, diff_page, diff_text, plural,
    region_rows, regions_json, regions_markdown, regions_text, rule_counts,
};
use sgreplay::rules::RuleSet;
use sgreplay::sources::{Ended, Input};
use sgreplay::verdict::Judged;

use super::gate::{self, Gate, Unsure};
use super::judging::{self, Keeps, Report};
use super::{pretty, summary_rows, warnings, with};
use crate::args::SummaryFormat;
use crate::captures::Captures;
use crate::command::gate::GateArgs;
use crate::exit::{ExitStatus, Failure};
use crate::output::{Output, Outputs, Stdout, stdout};
use crate::{input, terminal};
pub(crate) use args::{DiffArgs, DiffFailOn};

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

/// What a change of rules does.
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

/// What the two rule sets give cause to say.
fn of_both(current: &RuleSet, proposed: &RuleSet, inputs: &DiffInputs) -> Vec<String> {
    let mut warnings = Vec::new();
    for (which, rules) in [("current", current), ("proposed", proposed)] {
        let found = rules.over_quota().into_iter();
        warnings.extend(found.map(|warning| format!("{which} rules: {}", warning.0)));
    }
    if inputs.current.sha256 == inputs.proposed.sha256
        && inputs.current.path == inputs.proposed.path
        || current == proposed
    {
        warnings.push("the proposed rules are the current ones, byte by byte".to_owned());
    }
    let [gone, new] = diff::unpaired(current, proposed);
    for (which, ids) in [("current", gone), ("proposed", new)] {
        if !ids.is_empty() {
            let ids = ids.join(", ");
            warnings.push(format!("only the {which} rules have {ids}, so it is not compared"));
        }
    }
    warnings
}

/// Rules that match no packet of a capture, of both rule sets.
fn unknown_members(current: &RuleSet, proposed: &RuleSet) -> Vec<String> {
    let sides = [("current", current), ("proposed", proposed)].into_iter();
    let each = sides.flat_map(|(which, rules)| {
        let found = rules.unknown_members().into_iter();
        found.map(move |warning| format!("{which} rules: {}", warning.0))
    });
    each.collect()
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
    let Sinks { unseen, page, writers, mut listed, .. } = sinks;
    listed.add(diff.changes())?;
    let Listed { changed, rows, .. } = listed;
    writers.finish()?;

    let mut warnings = warnings::of_captures(&end, diff.proposed().stats(), &local);
    let unsure = Unsure::of_diff(&diff, &[Effect::NewlyDenied, Effect::NewlyAllowed]);
    warnings.extend(unsure.texts);
    warnings.extend(unseen.warnings());
    let evicted = diff.current().sessions_evicted() + diff.proposed().sessions_evicted();
    warnings.extend(warnings::evicted(evicted, options));
    let inputs = DiffInputs { current, proposed, captures: end.inputs.clone() };
    warnings.extend(of_both(&current_rules, &proposed_rules, &inputs));
    warnings.extend(unknown_members(&current_rules, &proposed_rules));
    warnings.extend(
        not_turned.map(|error| format!("what changes beside this traffic is not listed: {error}")),
    );
    warnings.extend(coarser(args, &diff, &changed));
    warnings.extend(unused(&accepted, &changed));
    let mut summary = DiffSummary::new(&diff, &changed, inputs, local.clone(), warnings);
    summary.partial = warnings::partial(&end);
    if let Some(page) = page {
        let checked = check::check(&proposed_rules, input::today());
        let counts = rule_counts(&proposed_rules, diff.proposed());
        page.write(|made| diff_page(&summary, &diff, &turned, &changed, &counts, made), &checked)?;
    }
    let summary = Box::new(summary);
    let traffic = Traffic { end, local, diff: &diff };
    let rules = [&current_rules, &proposed_rules];
    let (turned, changed, rows) = (turned.as_slice(), &changed, Cell::new(rows));
    let compared =
        Compared::Traffic { summary, diff: &diff, turned, changed, rows, rules, traffic };
    report(compared, outputs)
}

/// Where packets go.
struct Sinks<'a> {
    labels: BothLabels<'a>,
    unseen: warnings::Unseen<'a>,
    page: Option<Report>,
    writers: Writers,
    listed: Listed<'a>,
}

impl DiffSink for Sinks<'_> {
    type Error = Failure;

    #[inline]
    fn frame(
        &mut self,
        input: &Input<'_>,
        judged: [&Judged; 2],
        effect: Effect,
    ) -> Result<ControlFlow<()>, Failure> {
        let Input { frame, decoded, selected, .. } = input;
        self.unseen.look(frame);
        if *selected {
            if let Some(page) = &mut self.page {
                let [_, proposed] = judged;
                page.overview.add(frame, decoded, proposed, Some(effect), self.labels.proposed);
            }
            self.writers.write(frame, judged, effect, self.labels)?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn pause(&mut self, diff: &mut Diff<'_>) -> Result<(), Failure> {
        match diff.is_full() {
            true => self.listed.add(&diff.take_over()),
            false => Ok(()),
        }
    }
}

/// The pcaps of changed packets and of all, each with a comment.
struct Writers {
    changed: Option<PcapWriter>,
    annotated: Option<PcapWriter>,
}

impl Writers {
    fn create(outputs: &mut Outputs) -> Result<Self, Failure> {
        Ok(Self {
            changed: outputs.create("write_changed")?.map(Output::frames).transpose()?,
            annotated: outputs.create("annotate")?.map(Output::pcapng).transpose()?,
        })
    }

    fn write(
        &mut self,
        frame: &Frame<'_>,
        [current, proposed]: [&Judged; 2],
        effect: Effect,
        labels: BothLabels<'_>,
    ) -> Result<(), Failure> {
        let comment = || {
            let now = labels.current.comment(current);
            let then = labels.proposed.comment(proposed);
            Some(match effect {
                Effect::Unchanged => then,
                _ => format!("{}: {then}; was {now}", effect.as_str().replace('_', " ")),
            })
        };
        if let Some(writer) = &mut self.annotated {
            writer.write_commented(frame, comment)?;
        }
        if let (Some(writer), Effect::NewlyDenied | Effect::NewlyAllowed) =
            (&mut self.changed, effect)
        {
            writer.write_commented(frame, comment)?;
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Failure> {
        for writer in [self.changed, self.annotated].into_iter().flatten() {
            writer.finish()?;
        }
        Ok(())
    }
}

/// Changed connections as they end, and their rows.
struct Listed<'l> {
    changed: Changed<'l>,
    rows: Option<ChangeRows>,
    format: Option<RowFormat>,
}

impl<'l> Listed<'l> {
    fn new(args: &DiffArgs, changed: Changed<'l>, memory: usize) -> Self {
        let format = summary_rows(args.format);
        let (format, changed) = match format {
            Some(RowFormat::Json) => (None, changed.with_list(memory)),
            format => (format, changed),
        };
        Self { changed, rows: None, format }
    }

    fn add(&mut self, changes: &[Change]) -> Result<(), Failure> {
        for change in changes {
            self.changed.add(change);
        }
        let Some(format) = self.format else { return Ok(()) };
        let mut rows = match self.rows.take() {
            Some(rows) => rows,
            None => Box::new(Rows::new(stdout(), format, "change", CHANGE_COLUMNS.to_vec())?),
        };
        change_rows(changes, self.changed.labels, &mut rows)?;
        self.rows = Some(rows);
        Ok(())
    }
}

/// What is not said, or less finely, for want of memory.
fn coarser(args: &DiffArgs, diff: &Diff<'_>, changed: &Changed<'_>) -> Vec<String> {
    let mut warnings: Vec<String> = changed.coarser().into_iter().collect();
    if diff.forgotten() > 0 {
        warnings.push(format!(
            "{} of packets judged by themselves forgotten for want of memory; one that goes on is counted again; \
             --memory allows more",
            plural(diff.forgotten(), "tuple"),
        ));
    }
    let not_listed = changed.not_listed();
    if not_listed > 0 && args.format == SummaryFormat::Json {
        warnings.push(format!(
            "`changes` leaves out {} for want of memory; -f ndjson lists every one, --memory allows more",
            plural(not_listed, "connection"),
        ));
    }
    warnings
}

/// Accepted changes that accept nothing.
fn unused(accepted: &Accepted, changed: &Changed<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    for (n, (entry, used)) in accepted.entries().iter().zip(changed.by_entry()).enumerate() {
        let (filter, until) = (&entry.filter, entry.until.unwrap_or_default());
        if accepted.expired(n) {
            warnings.push(format!("`{filter}` was accepted until {until}, and is no longer"));
        } else if *used == 0 {
            warnings.push(format!("`{filter}` is accepted, and no connection changes so"));
        }
    }
    warnings
}

/// Whether both are about the same interfaces, so that they can be compared.
fn same_interfaces(
    current: &mut RuleSet,
    proposed: &mut RuleSet,
    args: &DiffArgs,
) -> Result<(), Failure> {
    current.stand_in_as(proposed);
    proposed.stand_in_as(current);
    if current.lists_interfaces() != proposed.lists_interfaces() {
        let [now, then] = sides(args);
        let (with, without) = if current.lists_interfaces() { (now, then) } else { (then, now) };
        return Err(Failure::Usage(format!(
            "{} lists interfaces and {} does not, so it is not known which addresses both are about; \
             list them in both, or in neither",
            input::name(with),
            input::name(without),
        )));
    }
    let [gone, _] = diff::unpaired(current, proposed);
    if gone.len() == current.interfaces().len() {
        let ids = |rules: &RuleSet| {
            let ids: Vec<&str> = rules.interfaces().iter().map(|eni| eni.id.as_str()).collect();
            ids.join(", ")
        };
        return Err(Failure::Usage(format!(
            "{} is about {} and {} about {}: they have no interface in common",
            input::name(sides(args)[0]),
            ids(current),
            input::name(sides(args)[1]),
            ids(proposed),
        )));
    }
    Ok(())
}

fn print(args: &DiffArgs, compared: &Compared<'_>) -> Result<(), Failure> {
    let mut out = stdout();
    match (summary_rows(args.format), compared) {
        (None, _) if args.format == SummaryFormat::Markdown => {
            write!(out, "{}", markdown(compared))?;
        }
        (None, _) => write!(out, "{}", terminal::results(text(compared)))?,
        (Some(RowFormat::Json), Compared::Rules { .. }) => {
            write!(out, "{}", pretty(&json(compared)?)?)?;
        }
        (Some(RowFormat::Json), Compared::Traffic { summary, turned, changed, .. }) => {
            escape::write_pretty_json(&mut out, &traffic_json(summary, turned, changed)?)?;
        }
        (Some(format), Compared::Rules { summary, turned, labels, .. }) => {
            let mut rows = Rows::new(out, format, "region", REGION_COLUMNS.to_vec())?;
            region_rows(turned, *labels, &mut rows)?;
            return Ok(rows.finish(summary)?);
        }
        (Some(_), Compared::Traffic { summary, rows, .. }) => {
            return Ok(rows.take().map_or(Ok(()), |rows| rows.finish(summary))?);
        }
    }
    Ok(out.flush()?)
}

/// For a comment on a change.
fn markdown(compared: &Compared<'_>) -> String {
    match compared {
        Compared::Rules { summary, turned, labels, .. } => {
            regions_markdown(summary, turned, *labels)
        }
        Compared::Traffic { summary, diff, turned, changed, .. } => {
            diff_markdown(summary, diff, turned, changed)
        }
    }
}

/// For people.
pub(crate) fn text(compared: &Compared<'_>) -> Text {
    match compared {
        Compared::Rules { summary, turned, labels, .. } => {
            regions_text(summary, turned, *labels, terminal::room())
        }
        Compared::Traffic { summary, diff, turned, changed, .. } => {
            diff_text(summary, diff, turned, changed, terminal::room())
        }
    }
}

/// For programs.
pub(crate) fn json(compared: &Compared<'_>) -> Result<Value, Failure> {
    match compared {
        Compared::Rules { summary, turned, labels, .. } => {
            with(summary, [("regions", regions_json(turned, *labels, None))])
        }
        Compared::Traffic { summary, turned, changed, .. } => {
            let json = traffic_json(summary, turned, changed)?;
            Ok(serde_json::to_value(json).map_err(std::io::Error::from)?)
        }
    }
}

fn traffic_json<'d>(
    summary: &DiffSummary,
    turned: &[Turned],
    changed: &'d Changed<'d>,
) -> Result<DiffJson<'d>, Failure> {
    let regions = regions_json(turned, changed.labels, Some(changed.seen()));
    Ok(DiffJson { rest: with(summary, [("regions", regions)])?, changed })
}
