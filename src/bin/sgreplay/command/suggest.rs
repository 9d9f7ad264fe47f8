//! `sgreplay suggest`: rules from traffic.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use sgreplay::engine::{Outcome, PlanSide, ReplayRequest, Sink};
use sgreplay::replay::{Replay, Sessions};
use sgreplay::report::{
    AggregationStep, Holdout, Learned, Local, RulesInput, plural, suggestion_json, suggestion_yaml,
};
use sgreplay::rules::{Invalid, RuleSet};
use sgreplay::sources::{Ended, Input};
use sgreplay::suggest::{Observation, Observed, Suggestion, Wants, Widening, count, everything};
use sgreplay::verdict::Judged;

use super::gate::Unsure;
use super::judging::{self, Keeps};
use super::{ended, pretty, stdout, warnings};
use crate::args::{TextOrJson, percent, whole};
use crate::captures::{CaptureArgs, Captures};
use crate::command::judging::JudgeArgs;
use crate::exit::{ExitStatus, Failure};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "What is printed is a rules file; its first lines say what it was made from, and what other bounds
would come to. Egress becomes an allow-list, and members of the group are isolated.

Examples:
  sgreplay suggest web.pcap > suggested.yaml
  sgreplay suggest --rules today.yaml --aggregate /24 --without-scans web.pcap
  sgreplay suggest --max-rules 50 --holdout 30% monday.pcap tuesday.pcap"
)]
pub(crate) struct SuggestArgs {
    #[command(flatten)]
    pub capture: CaptureArgs,
    /// Use only connections that these rules allow
    ///
    /// Use only connections that these rules allow [default: all connections of the capture]
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    pub rules: Option<PathBuf>,
    #[command(flatten)]
    pub learn: LearnArgs,
    /// Test the suggestion on the rest of the capture
    ///
    /// Learn from the first part of the time, and report how much of the last PERCENT the rules would deny
    #[arg(long, value_name = "PERCENT", value_parser = percent, help_heading = "Output")]
    pub holdout: Option<f64>,
    #[command(flatten)]
    pub judge: JudgeArgs,
    /// Choose the output format
    ///
    /// Choose the output format: text is the rules file with comments, json both apart
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub format: TextOrJson,
}

/// Which rules are made of the connections of a capture.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct LearnArgs {
    /// Widen peers to networks of this size
    ///
    /// Widen peers to networks of this size, for IPv4 and IPv6: /24 (and /64), or /24,/56. With --max-rules this is
    /// the limit. [default: single addresses]
    #[arg(long, value_name = "/LEN[,/LEN]", value_parser = bound, help_heading = "Output")]
    pub aggregate: Option<Widening>,
    /// Suggest at most N rules
    ///
    /// Suggest at most N rules, as the cloud counts them. Networks are merged where that opens the fewest addresses
    /// per rule saved, up to --aggregate [default: /24,/64].
    #[arg(long, value_name = "N", value_parser = whole::<usize>, help_heading = "Output")]
    pub max_rules: Option<usize>,
    /// Leave out scans
    ///
    /// Leave out connections that nobody answered, and peers that tried ten or more services
    #[arg(long, help_heading = "Selection")]
    pub without_scans: bool,
}

/// `/24`, `24`, `/24,/56`; the length for IPv6 follows from that for IPv4 where it is not said.
fn bound(text: &str) -> Result<Widening, String> {
    let expected =
        || "expected a prefix length such as /24, or one for each family: /24,/64".to_owned();
    let length = |text: &str, most: u8| -> Result<u8, String> {
        let number = text.trim().trim_start_matches('/').parse().ok();
        number.filter(|length| *length <= most).ok_or_else(expected)
    };
    let (v4, v6) = text.split_once(',').map_or((text, None), |(v4, v6)| (v4, Some(v6)));
    let v4 = length(v4, 32)?;
    let usual = Widening::STEPS.into_iter().find(|step| step.v4 <= v4).unwrap_or(Widening::EXACT);
    let v6 = v6.map_or(Ok(usual.v6), |v6| length(v6, 128))?;
    Ok(Widening { v4, v6 })
}

/// How far peers are widened for fewer rules, where nothing else is said.
const USUAL: Widening = Widening { v4: 24, v6: 64 };

pub(crate) fn run(args: &SuggestArgs) -> Result<ExitStatus, Failure> {
    let Suggested { learned, steps, holdout, rules, end, .. } = suggest(args, || rules(args))?;
    let mut out = stdout();
    match args.format {
        TextOrJson::Text => {
            write!(out, "{}", suggestion_yaml(&learned, &steps, holdout.as_ref(), &rules))?;
        }
        TextOrJson::Json => {
            let json = suggestion_json(&learned, &steps, holdout.as_ref(), &rules);
            write!(out, "{}", pretty(&json)?)?;
        }
    }
    out.flush()?;
    ended(&end)
}

/// Suggested rules, with their account.
pub(crate) struct Suggested {
    pub(crate) learned: Learned,
    pub(crate) steps: Vec<AggregationStep>,
    pub(crate) holdout: Option<Holdout>,
    pub(crate) rules: RuleSet,
    /// What they were learned from.
    pub(crate) observed: Vec<Observation>,
    /// How reading ended.
    pub(crate) end: Ended,
}

/// Learns from the connections that the rules allow which `read` gives.
pub(crate) fn suggest(
    args: &SuggestArgs,
    read: impl FnOnce() -> Result<(RuleSet, Option<RulesInput>), Failure>,
) -> Result<Suggested, Failure> {
    let mut captures = Captures::new(&args.capture)?;
    let files: Vec<&Path> = args.rules.iter().map(PathBuf::as_path).collect();
    judging::readable(&captures, &files, false)?;
    let (mut rules, input) = read()?;
    let bound = captures.bind(&mut rules, &judging::binding(&args.judge))?;
    let options = judging::options(&args.judge, Sessions::On, Keeps::Observations);
    let request = ReplayRequest { options, ..ReplayRequest::default() };
    let memory = Keeps::Observations.memory(&args.judge);
    let wants = Wants {
        answers: args.learn.without_scans,
        times: args.holdout.is_some(),
        selection: !captures.report_everything(),
    };
    let unseen = warnings::Unseen::new(&args.judge.interface);
    let mut sink = Watch { observed: Observed::new(wants, memory), unseen };
    let Outcome { ended: end, replay, local } =
        captures.replay(&rules, bound, request, &mut sink)?;
    let Watch { mut observed, unseen } = sink;
    observed.finish();
    let unseen = unseen.warnings().collect();
    learn(args, (&rules, input), (&observed, &replay, end, local), unseen)
}

/// Learns from connections that were observed by rules; where nobody has given these, they have no input.
pub(crate) fn learn(
    args: &SuggestArgs,
    (rules, input): (&RuleSet, Option<RulesInput>),
    (observed, replay, end, local): (&Observed, &Replay<'_>, Ended, Local),
    unseen: Vec<String>,
) -> Result<Suggested, Failure> {
    let mut warnings = warnings::of_captures(&end, replay.stats(), &local);
    warnings.extend(Unsure::of_any_verdict(replay.stats()).texts);
    warnings.extend(unseen);
    warnings.extend(warnings::evicted(replay.sessions_evicted(), replay.options()));

    warnings.extend(of_memory(args, observed)?);
    let window = replay.stats().times();
    let until = window.zip(args.holdout).map(|(window, percent)| end_of_first(window, percent));
    let Lists { first, rest, scans, unnamed } = Lists::new(args, observed, until);
    if first.is_empty() {
        let what = if input.is_some() { "the rules allow" } else { "the capture shows" };
        ended(&end)?;
        return Err(Failure::Usage(format!(
            "{what} no connection to learn from, and no rules at all would cut everything"
        )));
    }
    let closing = Suggestion::CLOSING * rules.interfaces().len();
    let suggestion = suggestion(&first, args, closing)?;
    let suggested = suggestion.rule_set(Some(rules)).map_err(|faults| refused(&faults))?;
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
        connections: count(&first),
        scans,
        unnamed,
        warnings,
    };
    let holdout = args.holdout.map(|_| Holdout {
        connections: count(&rest),
        cut: rest.iter().filter(|one| !suggestion.allows(one)).copied().collect(),
    });
    let steps = steps(&first, &suggestion, closing);
    Ok(Suggested { learned, steps, holdout, rules: suggested, observed: first, end })
}

/// Who is allowed to which service.
struct Watch<'a> {
    observed: Observed,
    unseen: warnings::Unseen<'a>,
}

impl Sink for Watch<'_> {
    type Error = Failure;

    fn frame(&mut self, input: &Input<'_>, judged: &Judged) -> Result<ControlFlow<()>, Failure> {
        self.unseen.look(&input.frame);
        self.observed.add(input, judged);
        Ok(ControlFlow::Continue(()))
    }

    fn pause(&mut self, replay: &Replay<'_>) -> Result<(), Failure> {
        if self.observed.is_full() {
            self.observed.make_room(replay);
        }
        Ok(())
    }
}

/// Whether rules can be learned from what these allow.
pub(crate) fn can_learn(
    rules: &RuleSet,
    input: &RulesInput,
    args: &SuggestArgs,
) -> Result<(), Failure> {
    judging::can_judge(rules, &input.path, &args.judge.interface)?;
    if !rules.cloud().is_stateful() {
        let cloud = rules.cloud();
        return Err(Failure::Usage(format!(
            "rules are learned from connections, and rules of {cloud} know none; leave --rules out"
        )));
    }
    Ok(())
}

/// The rules whose allowed connections are learned from; rules that allow everything where none are named.
pub(crate) fn rules(args: &SuggestArgs) -> Result<(RuleSet, Option<RulesInput>), Failure> {
    Ok(match &args.rules {
        Some(path) => {
            let (rules, input) = judging::rules(path, &args.judge, PlanSide::Proposed)?;
            can_learn(&rules, &input, args)?;
            (rules, Some(input))
        }
        None if !args.judge.interface.is_empty() => {
            let message = "--interface names an interface of a rules file, and none is given";
            return Err(Failure::Usage(message.to_owned()));
        }
        None => (everything().map_err(|faults| refused(&faults))?, None),
    })
}

/// What is learned from, and what is held against it.
struct Lists {
    first: Vec<Observation>,
    rest: Vec<Observation>,
    /// Connections left out as scans.
    scans: u64,
    /// Connections that no rule can name.
    unnamed: u64,
}

impl Lists {
    fn new(args: &SuggestArgs, observed: &Observed, until: Option<u64>) -> Self {
        let mut lists = observed.lists(args.learn.without_scans, until);
        if args.learn.without_scans {
            let scanners = observed.scanners();
            for list in &mut lists {
                list.retain(|one| !scanners.have(one));
            }
        }
        let all: u64 = observed.lists(false, None).iter().map(|list| count(list)).sum();
        let seen: u64 = lists.iter().map(|list| count(list)).sum();
        let [first, rest] = lists.map(|mut list| {
            list.retain(Observation::can_be_named);
            list
        });
        let unnamed = seen - count(&first) - count(&rest);
        Self { first, rest, scans: all - seen, unnamed }
    }
}

/// The time up to which connections are learned from: the rest is a part of the window that the capture shows.
fn end_of_first((start, end): (u64, u64), percent: f64) -> u64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a span of time, to the microsecond or so"
    )]
    let until = start + ((end - start) as f64 * (1.0 - percent / 100.0)) as u64;
    until
}

/// What is known less finely for want of memory; an error where the question needs more.
fn of_memory(args: &SuggestArgs, observed: &Observed) -> Result<Vec<String>, Failure> {
    let known = observed.widening();
    let Widening { v4, v6 } = known;
    if known != Widening::EXACT {
        let wanted = match (args.learn.max_rules, args.learn.aggregate) {
            (_, Some(bound)) => bound,
            (Some(_), None) => USUAL,
            (None, None) => Widening::EXACT,
        };
        let why = format!(
            "there are too many peers: for want of memory only networks of /{v4} and /{v6} are known"
        );
        if wanted.v4 > v4 || wanted.v6 > v6 {
            return Err(Failure::Usage(format!(
                "{why}; --aggregate /{v4},/{v6} takes these, --memory allows more"
            )));
        }
        if args.learn.without_scans {
            return Err(Failure::Usage(format!(
                "{why}, and --without-scans is about single ones; --memory allows more"
            )));
        }
    }
    if args.holdout.is_some()
        && observed.memory_of_times() > 4 * Keeps::Observations.memory(&args.judge)
    {
        let message = "--holdout needs the time of each connection, for which there is too little memory; --memory allows more";
        return Err(Failure::Usage(message.to_owned()));
    }
    let mut warnings = Vec::new();
    if known != Widening::EXACT {
        warnings.push(format!(
            "peers are known by networks of /{v4} and /{v6}, for want of memory, and what is opened is held \
             against these; --memory allows more"
        ));
    }
    if observed.forgotten() > 0 {
        warnings.push(format!(
            "of {}, the longest idle, it is not known what became of them, for want of memory; --memory allows more",
            plural(observed.forgotten(), "connection"),
        ));
    }
    Ok(warnings)
}

fn suggestion(
    list: &[Observation],
    args: &SuggestArgs,
    closing: usize,
) -> Result<Suggestion, Failure> {
    let Some(most) = args.learn.max_rules else {
        return Ok(Suggestion::new(list, args.learn.aggregate.unwrap_or(Widening::EXACT)));
    };
    let bound = args.learn.aggregate.unwrap_or(USUAL);
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
fn steps(list: &[Observation], chosen: &Suggestion, closing: usize) -> Vec<AggregationStep> {
    let step = |suggestion: &Suggestion, chosen| AggregationStep {
        bound: suggestion.bound(),
        rules: suggestion.rules() + closing,
        opens: suggestion.opens(list),
        chosen,
    };
    let mine = step(chosen, true);
    let others =
        Widening::STEPS.into_iter().map(|bound| step(&Suggestion::new(list, bound), false));
    let mut steps: Vec<AggregationStep> = others.collect();
    let same = |other: &AggregationStep| other.bound == mine.bound && other.rules == mine.rules;
    steps.retain(|step| !same(step));
    let wider = |step: &AggregationStep| step.bound.v4 <= mine.bound.v4;
    let place = steps.iter().position(wider).unwrap_or(steps.len());
    steps.insert(place, mine);
    steps
}

/// Why the cloud would not take the rules.
fn refused(faults: &[Invalid]) -> Failure {
    let first = faults.first().map_or_else(String::new, |fault| fault.message.clone());
    Failure::Usage(format!("the cloud would refuse what is suggested: {first}"))
}
