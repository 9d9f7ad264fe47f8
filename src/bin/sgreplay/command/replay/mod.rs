//! `sgreplay replay`: the main job.

mod args;

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;

use sgreplay::capture::{Frame, PcapWriter};
use sgreplay::check;
use sgreplay::collect::{Connections, Coverage, RecordedActions, RowPart};
use sgreplay::decode::{Decoded, Tunnels, embedded};
use sgreplay::engine::{Outcome, PlanSide, ReplayRequest, Sink};
use sgreplay::escape::Text;
use sgreplay::labels::Labels;
use sgreplay::replay::{Replay, Sessions};
use sgreplay::report::{
    CoverageReport, DECODE_COLUMNS, Inputs, Local, PacketAnswer, RowFormat, Rows, Summary,
    VERDICT_COLUMNS, decode_cells, packet_line, plural, replay_markdown, replay_page, text_summary,
    verdict_cells,
};
use sgreplay::restrictions::Obstacle;
use sgreplay::rules::RuleSet;
use sgreplay::sources::{Ended, Input};
use sgreplay::stats::Count;
use sgreplay::verdict::{Judged, Verdict};

use super::gate::{self, Gate, Unsure};
use super::judging::{self, Keeps, Report};
use super::{pretty, summary_rows, warnings};
use crate::args::SummaryFormat;
use crate::captures::Captures;
use crate::exit::{ExitStatus, Failure};
use crate::output::{Output, Outputs, Stdout, stdout};
use crate::{input, terminal};
pub(crate) use args::{FailOn, OnOff, Per, ReplayArgs};

const NOTHING_RECORDED: &str = "no record with a verdict of its own was judged, so there is nothing to compare: \
                                --compare-action is for flow logs of a VPC";

pub(crate) fn run(args: &ReplayArgs, outputs: &mut Outputs) -> Result<ExitStatus, Failure> {
    let mut captures = Captures::new(&args.capture)?;
    let hash = args.hash || args.report.is_some();
    judging::readable(&captures, &[&args.rules], hash)?;
    if args.sessions == OnOff::Off && args.judge.max_sessions.is_some() {
        let message = "--max-sessions needs sessions, and --sessions off has none";
        return Err(Failure::Usage(message.to_owned()));
    }
    let (mut rules, rules_input) = judging::rules(&args.rules, &args.judge, PlanSide::Proposed)?;
    judging::can_judge(&rules, &rules_input.path, &args.judge.interface)?;
    let writers = Writers::create(outputs)?;
    let report = Report::create(outputs)?;
    let bound = captures.bind(&mut rules, &judging::binding(&args.judge))?;
    let labels = Labels::new(&rules);
    let options = judging::options(&args.judge, args.sessions.into(), keeps(args));
    let sessions = if rules.cloud().is_stateful() { options.sessions } else { Sessions::Off };
    let printed = Printed::new(args, &labels, captures.tunnels(), sessions)?;
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
    };
    let request = ReplayRequest { options, hash, ..ReplayRequest::default() };
    let Outcome { ended: end, replay, local } =
        captures.replay(&rules, bound, request, &mut sinks)?;
    let Sinks { unseen, printed, writers, report, coverage, recorded, .. } = sinks;
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
    if summary_rows(args.format).is_some() {
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
    printed.finish(&summary, &replay, &more)?;
    outputs.finish()?;
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
}

impl Sink for Sinks<'_> {
    type Error = Failure;

    #[inline]
    fn frame(&mut self, input: &Input<'_>, judged: &Judged) -> Result<ControlFlow<()>, Failure> {
        self.unseen.look(&input.frame);
        self.printed.connection(input, judged);
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
        self.printed.make_room(replay)
    }
}

/// What is kept beside the sessions: rows per connection, which are also what a table without `--per` has.
fn keeps(args: &ReplayArgs) -> Keeps {
    match (args.per, args.format) {
        (Some(Per::Connection), _) | (None, SummaryFormat::Csv) => Keeps::Rows,
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

/// Where rows per connection are written: for people, or, from the first row on, for programs.
enum Table {
    Text(Stdout),
    Rows(RowFormat, Option<Box<Rows<Stdout>>>),
}

impl Table {
    fn new(format: Option<RowFormat>) -> Self {
        format.map_or_else(|| Self::Text(stdout()), |format| Self::Rows(format, None))
    }

    fn write(
        &mut self,
        connections: &Connections,
        part: RowPart,
        labels: &Labels,
    ) -> Result<(), Failure> {
        match self {
            Self::Text(out) => {
                let mut rows = connections.text(part, labels, terminal::room());
                rows.blank();
                out.write_all(terminal::results(rows).as_bytes())?;
            }
            Self::Rows(format, rows) => {
                if rows.is_none() {
                    let columns = Connections::COLUMNS.to_vec();
                    *rows = Some(Box::new(Rows::new(stdout(), *format, "connection", columns)?));
                }
                if let Some(rows) = rows {
                    connections.write(part, labels, rows)?;
                }
            }
        }
        Ok(())
    }
}

/// What is to be said of rows that were written too early.
pub(crate) fn went_on(connections: &Connections) -> Option<String> {
    let went_on = connections.went_on();
    (went_on > 0).then(|| {
        format!(
            "{} on from rows written before for want of memory, with the same number; --memory allows more",
            match went_on {
                1 => "1 row goes".to_owned(),
                _ => format!("{went_on} rows go"),
            },
        )
    })
}

/// What is printed, and when.
enum Printed<'l> {
    /// The summary, at the end.
    Summary { format: Option<RowFormat>, labels: &'l Labels },
    /// The summary, for a comment on a change.
    Markdown { labels: &'l Labels },
    /// A line per packet as they come, then the summary.
    PacketText { out: Stdout, labels: &'l Labels, tunnels: Tunnels, start: Option<u64> },
    /// A row per packet as they come.
    PacketRows { rows: Box<Rows<Stdout>>, labels: &'l Labels },
    /// A row per connection, at the end.
    Connections { out: Table, labels: &'l Labels, connections: Connections },
}

impl<'l> Printed<'l> {
    fn new(
        args: &ReplayArgs,
        labels: &'l Labels,
        tunnels: Tunnels,
        sessions: Sessions,
    ) -> Result<Self, Failure> {
        let format = summary_rows(args.format);
        if args.format == SummaryFormat::Markdown && args.per.is_some() {
            let message = "markdown is for the summary; --per is for text and programs";
            return Err(Failure::Usage(message.to_owned()));
        }
        if args.format == SummaryFormat::Markdown {
            return Ok(Self::Markdown { labels });
        }
        Ok(match (args.per, format) {
            (None, Some(RowFormat::Csv)) | (Some(Per::Connection), _) => {
                if sessions == Sessions::Off {
                    let message = "without sessions there are no connections; ask for --per packet";
                    return Err(Failure::Usage(message.to_owned()));
                }
                let connections = Connections::within(Keeps::Rows.memory(&args.judge));
                Self::Connections { out: Table::new(format), labels, connections }
            }
            (None, _) => Self::Summary { format, labels },
            // Nothing is to be said of any packet.
            (Some(Per::Packet), None) if terminal::is_quiet() => Self::Summary { format, labels },
            (Some(Per::Packet), None) => {
                Self::PacketText { out: stdout(), labels, tunnels, start: None }
            }
            (Some(Per::Packet), Some(format)) => {
                let columns = [DECODE_COLUMNS.as_slice(), VERDICT_COLUMNS.as_slice()].concat();
                Self::PacketRows {
                    rows: Box::new(Rows::new(stdout(), format, "packet", columns)?),
                    labels,
                }
            }
        })
    }

    /// Whether the text of the summary, which names the local address, is all there is.
    fn is_summary(&self) -> bool {
        matches!(self, Self::Summary { format: None, .. })
    }

    /// Adds a packet to its connection, whether it is selected or not.
    #[inline]
    fn connection(&mut self, input: &Input<'_>, judged: &Judged) {
        if let Self::Connections { connections, .. } = self {
            connections.add(input, judged);
        }
    }

    /// Writes rows that there is no room for.
    fn make_room(&mut self, replay: &Replay<'_>) -> Result<(), Failure> {
        match self {
            Self::Connections { out, labels, connections } if connections.is_full() => {
                connections.choose_over(replay);
                out.write(connections, RowPart::Over, labels)?;
                connections.forget_over();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What is to be said of rows that were written too early.
    fn warning(&self) -> Option<String> {
        let Self::Connections { connections, .. } = self else { return None };
        went_on(connections)
    }

    #[inline]
    fn packet(
        &mut self,
        frame: &Frame<'_>,
        decoded: &Decoded,
        judged: &Judged,
    ) -> Result<(), Failure> {
        match self {
            Self::Summary { .. } | Self::Markdown { .. } | Self::Connections { .. } => {}
            Self::PacketText { out, labels, tunnels, start } => {
                *start = start.or(frame.time_ns);
                let not = match judged {
                    Judged::At(..) => None,
                    Judged::NotEvaluated(reason) => Some(PacketAnswer::Not(*reason)),
                };
                let embedded = embedded(frame.link, frame.data, tunnels);
                let at =
                    judged.judgements().map(|judgement| PacketAnswer::Judged(judgement, labels));
                for answer in not.into_iter().chain(at) {
                    let line = packet_line(frame, decoded, embedded.as_ref(), *start, Some(answer));
                    writeln!(out, "{line}")?;
                }
            }
            Self::PacketRows { rows, labels } => {
                let decoded = decode_cells(frame, decoded);
                for verdict in verdict_cells(judged, labels) {
                    rows.row(&[decoded.as_slice(), verdict.as_slice()].concat())?;
                }
            }
        }
        Ok(())
    }

    fn finish(self, summary: &Summary, replay: &Replay<'_>, more: &Text) -> Result<(), Failure> {
        let room = terminal::room();
        let with_summary = |mut text: Text, labels| {
            text.append(&text_summary(summary, replay, labels, room));
            text.append(more);
            terminal::results(text)
        };
        match self {
            Self::PacketRows { rows, .. } => rows.finish(summary)?,
            Self::Markdown { labels } => {
                print(stdout(), &replay_markdown(summary, replay, labels))?;
            }
            Self::Connections { mut out, labels, connections } => {
                out.write(&connections, RowPart::All, labels)?;
                match out {
                    Table::Text(out) => print(out, &with_summary(Text::default(), labels))?,
                    Table::Rows(_, Some(rows)) => rows.finish(summary)?,
                    Table::Rows(_, None) => {}
                }
            }
            Self::PacketText { out, labels, .. } => {
                let mut text = Text::default();
                text.blank();
                print(out, &with_summary(text, labels))?;
            }
            Self::Summary { format, labels } => {
                let text = match format {
                    None => with_summary(Text::default(), labels),
                    Some(RowFormat::Ndjson) => return ndjson(summary),
                    Some(_) => pretty(summary)?,
                };
                print(stdout(), &text)?;
            }
        }
        Ok(())
    }
}

/// NDJSON without rows: the summary object alone.
fn ndjson(summary: &Summary) -> Result<(), Failure> {
    Ok(Rows::new(stdout(), RowFormat::Ndjson, "", Vec::new())?.finish(summary)?)
}

fn print(mut out: Stdout, text: &str) -> Result<(), Failure> {
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
