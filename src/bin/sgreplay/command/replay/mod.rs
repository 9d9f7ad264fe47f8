//! `sgreplay replay`: the main job.

mod args;
mod live;
pub(crate) mod print;
#[cfg(feature = "arrow")]
mod table_file;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use sgreplay::capture::{Frame, PcapWriter};
use sgreplay::check;
use sgreplay::collect::{Coverage, RecordedActions};
use sgreplay::engine::{Outcome, PlanSide, ReplayRequest, Sink};
use sgreplay::labels::Labels;
use sgreplay::replay::{Replay, Sessions};
use sgreplay::report::{CoverageReport, Inputs, Local, Summary, plural, replay_page};
use sgreplay::restrictions::Obstacle;
use sgreplay::rules::RuleSet;
use sgreplay::sources::{Ended, Input};
use sgreplay::stats::Count;
use sgreplay::verdict::{Judged, Verdict};

use super::fix::DeniedFlows;
use super::gate::{self, Gate, Unsure};
use super::judging::{self, Keeps, Report};
use super::warnings;
use crate::captures::Captures;
use crate::exit::{ExitStatus, Failure};
use crate::output::{Output, Outputs};
use crate::{input, terminal};
pub(crate) use args::{FailOn, OnOff, Per, ReplayArgs, ReplayFormat};
use print::Printed;

const NOTHING_RECORDED: &str = "no record with a verdict of its own was judged, so there is nothing to compare: \
                                --compare-action is for flow logs of a VPC";

pub(crate) fn run(args: &ReplayArgs, outputs: &mut Outputs) -> Result<ExitStatus, Failure> {
    print::can_be_printed(args.format)?;
    let mut captures = Captures::new(&args.capture)?;
    let hash = args.hash || args.report.is_some();
    judging::readable(&captures, &[args.rules()], hash)?;
    if args.sessions == OnOff::Off && args.judge.max_sessions.is_some() {
        let message = "--max-sessions needs sessions, and --sessions off has none";
        return Err(Failure::Usage(message.to_owned()));
    }
    let (mut rules, rules_input) = judging::rules(args.rules(), &args.judge, PlanSide::Proposed)?;
    judging::can_judge(&rules, &rules_input.path, &args.judge.interface)?;
    let writers = Writers::create(outputs)?;
    let report = Report::create(outputs)?;
    let bound = captures.bind(&mut rules, &judging::binding(&args.judge))?;
    let labels = Labels::new(&rules);
    let options = judging::options(&args.judge, args.sessions.into(), keeps(args));
    let sessions = if rules.cloud().is_stateful() { options.sessions } else { Sessions::Off };
    let printed = Printed::new(args, &rules, &labels, captures.tunnels(), sessions)?;
    if bound.local.assumed && !printed.is_summary() {
        judging::say_local(&bound.local);
    }
    let covers = args.coverage || args.min_coverage.is_some();
    let compares = args.compare_action || args.fail_on == Some(FailOn::ActionDiffers);
    let mut sinks = Sinks {
        labels: &labels,
        unseen: warnings::Unseen::new(&args.judge.interface),
        printed,
        writers,
        report,
        coverage: covers.then(|| Coverage::new(&rules)),
        recorded: compares.then(RecordedActions::default),
        denied: args.fix.is_some().then(DeniedFlows::default),
    };
    let request = ReplayRequest { options, hash, ..ReplayRequest::default() };
    let Outcome { ended: end, replay, local } =
        captures.replay(&rules, bound, request, &mut sinks)?;
    let replay = judging::until_exit(replay);
    let Sinks { unseen, printed, writers, report, coverage, recorded, denied, .. } = sinks;
    writers.finish()?;
    let inputs = Inputs { rules: rules_input, captures: end.inputs.clone() };
    let mut warnings = warnings(&rules, &replay, &end, &local);
    warnings.extend(unseen.warnings());
    warnings.extend(printed.warning());
    if recorded.as_ref().is_some_and(RecordedActions::is_empty) {
        warnings.push(NOTHING_RECORDED.to_owned());
    }
    let mut summary = Summary::new(&rules, &replay, inputs, local.clone(), warnings);
    if let Some(report) = report {
        let checked = check::check(&rules, input::today());
        report.write(|made| replay_page(&summary, &replay, &labels, made), &checked)?;
    }
    if args.format.is_for_programs() {
        summary = summary.with_decided(&replay, &labels);
    }
    summary.partial = warnings::partial(&end);
    let dropped = warnings::dropped(&end);
    let coverage = coverage.map(|of| CoverageReport::new(&rules, &labels, &of, dropped));
    summary.coverage = coverage.as_ref().map(CoverageReport::json);
    summary.recorded = recorded.as_ref().map(|of| of.json(&labels));
    let room = terminal::room();
    let mut more = coverage.as_ref().map(|of| of.text(room)).unwrap_or_default();
    if let Some(recorded) = &recorded {
        more.append(&recorded.text(&labels, room));
    }
    let (path, partial) = (&summary.inputs.rules.path, summary.partial.as_deref());
    let fixed = denied.map(|denied| denied.write(path, &rules, &local, partial, outputs));
    printed.finish(&summary, &replay, &more)?;
    outputs.finish()?;
    fixed.transpose()?;
    let fails = fails(args, &replay, recorded, coverage.as_ref())?;
    let gate = Gate {
        end: &end,
        stats: replay.stats(),
        doubts: match args.fail_on {
            Some(FailOn::ActionDiffers) => Unsure::of_any_verdict(replay.stats()),
            _ => Unsure::of_replay(replay.stats()),
        },
        one_sided: None,
        local: &local,
        evicted: replay.sessions_evicted(),
        max_unevaluated: args.gate.max_unevaluated,
        allow_truncated: args.gate.allow_truncated,
        // Records that are lost have no verdict to compare, but they may use rules.
        lost_records_count: args.fail_on != Some(FailOn::ActionDiffers)
            || args.min_coverage.is_some(),
        of_rules: gate::incomplete(&rules),
        asked_by: if args.fail_on.is_some() { "--fail-on" } else { "--min-coverage" },
    };
    gate::finish(&gate, fails)
}

/// Where packets go.
struct Sinks<'a> {
    labels: &'a Labels,
    unseen: warnings::Unseen<'a>,
    printed: Printed<'a>,
    writers: Writers,
    report: Option<Report>,
    coverage: Option<Coverage>,
    recorded: Option<RecordedActions>,
    denied: Option<DeniedFlows>,
}

impl Sink for Sinks<'_> {
    type Error = Failure;

    fn wants_frames(&self) -> bool {
        self.unseen.any_left()
            || self.printed.wants_packets()
            || self.writers.any()
            || self.report.is_some()
            || self.coverage.is_some()
            || self.recorded.is_some()
            || self.denied.is_some()
    }

    #[inline]
    fn frame(&mut self, input: &Input<'_>, judged: &Judged) -> Result<ControlFlow<()>, Failure> {
        self.unseen.look(&input.frame);
        self.printed.connection(input, judged);
        if let Some(denied) = &mut self.denied {
            denied.packet(input.decoded.packet(), judged, input.selected);
        }
        if !input.selected {
            return Ok(ControlFlow::Continue(()));
        }
        let Input { frame, decoded, .. } = input;
        self.writers.write(frame, judged, self.labels)?;
        if let Some(report) = &mut self.report {
            report.overview.add(frame, decoded, judged, None, self.labels);
        }
        if let Some(coverage) = &mut self.coverage {
            coverage.add(frame, decoded.packet(), judged);
        }
        if let Some(recorded) = &mut self.recorded {
            recorded.add(frame, decoded.packet().map(|packet| &packet.flow), judged);
        }
        self.printed.packet(frame, decoded, judged)?;
        Ok(ControlFlow::Continue(()))
    }

    fn pause(&mut self, replay: &Replay<'_>) -> Result<(), Failure> {
        self.printed.pause(replay)
    }
}

/// What is kept beside the sessions: rows per connection, which are also what a table without `--per` has.
fn keeps(args: &ReplayArgs) -> Keeps {
    match args.per {
        Some(Per::Connection) => Keeps::Rows,
        None if args.format.has_rows_only() => Keeps::Rows,
        _ => Keeps::Nothing,
    }
}

/// Whether a condition that was asked for holds; `None` where none was.
fn fails(
    args: &ReplayArgs,
    replay: &Replay<'_>,
    recorded: Option<RecordedActions>,
    coverage: Option<&CoverageReport>,
) -> Result<Option<bool>, Failure> {
    let fails = match (args.fail_on, recorded) {
        (None, _) => None,
        (Some(FailOn::ActionDiffers), Some(recorded)) if recorded.is_empty() => {
            let message = "no verdict was compared, so --fail-on action-differs has no answer";
            return Err(Failure::Usage(message.to_owned()));
        }
        (Some(FailOn::ActionDiffers), recorded) => Some(recorded.is_some_and(|of| of.differ() > 0)),
        // A stray makes no gate fail (SEMANTICS F16).
        (Some(FailOn::Denied), _) => {
            let (packets, strays) = (replay.stats().packets(), replay.stats().strays());
            // What a network ACL stops may not be among the packets that are reported.
            Some(packets.denied > strays.denied || replay.stats().cut() > 0)
        }
    };
    let uncovered = args.min_coverage.zip(coverage).map(|(least, of)| of.percent() < least);
    Ok([fails, uncovered].into_iter().flatten().reduce(|a, b| a || b))
}

pub(crate) fn warnings(
    rules: &RuleSet,
    replay: &Replay<'_>,
    end: &Ended,
    local: &Local,
) -> Vec<String> {
    let of_rules = rules.over_quota().into_iter().chain(rules.unknown_members());
    let mut warnings: Vec<String> = of_rules.map(|warning| warning.0).collect();
    let stats = replay.stats();
    warnings.extend(obstacles(replay));
    let unit = match replay.options().sessions {
        Sessions::On => "connection",
        Sessions::Off => "packet",
    };
    if stats.open_question() > 0 {
        warnings.push(format!(
            "{} between members of a group denied by an egress rule; the cloud's documents disagree on \
             whether intra-group access goes first: --intra-group-egress assumes that it does",
            plural(stats.open_question(), unit),
        ));
    }
    warnings.extend(warnings::may_be_resolver(rules, replay));
    warnings.extend(warnings::of_captures(end, stats, local));
    warnings.extend(Unsure::of_any_verdict(stats).texts);
    warnings.extend(warnings::evicted(replay.sessions_evicted(), replay.options()));
    warnings
}

/// Connections that the rules allow and that are likely to be blocked on the way (SEMANTICS A9).
fn obstacles(replay: &Replay<'_>) -> Vec<String> {
    let mut found: BTreeMap<(Obstacle, String), Count> = BTreeMap::new();
    for (kind, of_kind) in replay.stats().flow_classes() {
        let allowed = replay.answer(kind).0 == Verdict::Allow;
        if let (Some(obstacle), Some((_, port)), true) =
            (kind.obstacle, kind.example.transport.ports(), allowed)
        {
            let port = format!("{} {port}", kind.example.proto);
            let count = found.entry((obstacle, port)).or_default();
            *count = *count + of_kind;
        }
    }
    let warning = |((obstacle, port), count): ((Obstacle, String), Count)| {
        let why = match obstacle {
            Obstacle::Carrier => "some carriers block that port on the Internet",
            Obstacle::Smtp => "the cloud restricts it by default, whatever the rules say; use 465",
        };
        let Count { connections, packets, bytes: _ } = count;
        let how_many = match connections {
            0 => plural(packets, "packet"),
            _ => format!("{} ({})", plural(connections, "connection"), plural(packets, "packet")),
        };
        format!("{how_many} to {port}: allowed by the rules, but {why}")
    };
    found.into_iter().map(warning).collect()
}

/// The pcaps of denied and allowed packets.
struct Writers {
    denied: Option<PcapWriter>,
    allowed: Option<PcapWriter>,
    annotated: Option<PcapWriter>,
}

impl Writers {
    fn create(outputs: &mut Outputs) -> Result<Self, Failure> {
        let mut create = |option| outputs.create(option)?.map(Output::frames).transpose();
        Ok(Self {
            denied: create("write_denied")?,
            allowed: create("write_allowed")?,
            annotated: outputs.create("annotate")?.map(Output::pcapng).transpose()?,
        })
    }

    fn any(&self) -> bool {
        [&self.denied, &self.allowed, &self.annotated].into_iter().any(Option::is_some)
    }

    #[inline]
    fn write(
        &mut self,
        frame: &Frame<'_>,
        judged: &Judged,
        labels: &Labels,
    ) -> Result<(), Failure> {
        let comment = || Some(labels.comment(judged));
        if let Some(writer) = &mut self.annotated {
            writer.write_commented(frame, comment)?;
        }
        let of_verdicts = [(&mut self.allowed, Verdict::Allow), (&mut self.denied, Verdict::Deny)];
        for (writer, verdict) in of_verdicts {
            if let Some(writer) = writer
                && judged.verdict().0 == verdict
            {
                writer.write_commented(frame, comment)?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Failure> {
        for writer in [self.denied, self.allowed, self.annotated].into_iter().flatten() {
            writer.finish()?;
        }
        Ok(())
    }
}
