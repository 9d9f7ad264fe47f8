//! `sgreplay ci`: everything that is asked of a proposal, from one file.

mod args;
mod config;

use std::cell::Cell;
use std::io::Write;

use sgreplay::check::{Checked, Finding, check};
use sgreplay::diff::Effect;
use sgreplay::engine::{PlanSide, RulesFile, RulesRequest};
use sgreplay::escape::Text;
use sgreplay::labels::Labels;
use sgreplay::report::{
    Case, CheckedProposal, Difference, FindingsSummary, ProposalResult, Shown, Suite, TestSummary,
    TestedProposal, code_quality, findings_json, findings_text, github_annotations, github_faults,
    junit, plural, proposal_json, proposal_markdown, sarif, suppressed_json, tested_json,
    tested_suite, tested_text,
};

use super::diff::{self, Compared};
use super::gate::{self, Gate};
use super::{pretty, test, with};
use crate::args::SummaryFormat;
use crate::exit::{ExitStatus, Failure};
use crate::input::{self};
use crate::output::{Output, Outputs, stdout};
use crate::terminal;
pub(crate) use args::{CiArgs, CiFormat};
use config::{Config, EXAMPLE, FailOn};

pub(crate) fn run(args: &CiArgs, outputs: &mut Outputs) -> Result<ExitStatus, Failure> {
    let result = answered(args, outputs);
    // What cannot be read is shown beside its lines too.
    if let (Some(_), Err(Failure::Rules(error))) = (args.annotations, &result) {
        let mut out = stdout();
        out.write_all(github_faults(error).as_bytes())?;
        out.flush()?;
    }
    result
}

fn answered(args: &CiArgs, outputs: &mut Outputs) -> Result<ExitStatus, Failure> {
    let config = Config::read(args)?;
    outputs.add(config.files(args))?;
    let Some(proposed) = config.proposed.clone() else {
        let name = input::name(args.file());
        let message = format!("{name}: `proposed:` names no rules file, nor `plan:` a plan");
        return Err(Failure::Foreign { message, example: EXAMPLE });
    };
    if let Some(why) = config.unanswerable() {
        return Err(Failure::Usage(format!("{}: {why}", input::name(args.file()))));
    }
    let name = input::name(args.file());
    let switches = config.switches(&name)?;
    let request = |side| RulesRequest { side, ..(&switches).into() };
    let rules = input::rules_file(&proposed, &request(PlanSide::Proposed))?;
    let current =
        config.current.as_deref().map(|path| input::rules(path, &request(PlanSide::Current)));
    let current = current.transpose()?;
    let before = match &current {
        Some((rules, _)) => check(rules, input::today()).findings,
        None => Vec::new(),
    };
    let checked = check(&rules.rules, input::today());
    let new = newly_found(&checked, &before);
    let tested = config.expectations.as_deref().map(|path| test::test(&rules.rules, path));
    let proposal = Proposal {
        summary: FindingsSummary::new(&rules.rules, rules.input.clone(), &checked),
        tested: tested
            .transpose()?
            .map(|(tested, input)| (TestSummary::new(rules.input.clone(), input, &tested), tested)),
        labels: Labels::new(&rules.rules),
        rules,
        checked,
        new,
    };
    match config.current.as_deref().zip(current) {
        None if !config.capture_paths.is_empty() => Err(Failure::Usage(
            "there are captures, and `current:` names no rules to compare with".to_owned(),
        )),
        None => {
            let files = Files::create(outputs)?;
            finish(args, &config, &proposal, None, files, outputs)
        }
        Some((path, current)) => {
            let mut diff = config.diff_args(&name, (path, &proposed), switches)?;
            if args.format == CiFormat::Json {
                diff.format = SummaryFormat::Json;
            }
            let RulesFile { rules, input, .. } = &proposal.rules;
            let sides = [current, (rules.clone(), input.clone())];
            // What is written there is not to be among the files of a directory that is read.
            let files = Cell::new(Files::default());
            let opened = |outputs: &mut Outputs| {
                files.set(Files::create(outputs)?);
                Ok(sides)
            };
            diff::compare(&diff, outputs, opened, |compared, outputs| {
                finish(args, &config, &proposal, Some(&compared), files.take(), outputs)
            })
        }
    }
}

/// What is written beside the text.
#[derive(Default)]
struct Files {
    markdown: Option<Output>,
    sarif: Option<Output>,
    code_quality: Option<Output>,
    junit: Option<Output>,
}

impl Files {
    fn create(outputs: &mut Outputs) -> Result<Self, Failure> {
        Ok(Self {
            markdown: outputs.create("markdown")?,
            sarif: outputs.create("sarif")?,
            code_quality: outputs.create("code_quality")?,
            junit: outputs.create("junit")?,
        })
    }
}

/// All that is known of the proposed rules by themselves.
struct Proposal {
    rules: RulesFile,
    checked: Checked,
    new: Vec<Finding>,
    summary: FindingsSummary,
    tested: Option<(TestSummary, Vec<sgreplay::report::Tested>)>,
    labels: Labels,
}

/// Findings that the current rules do not have; of a rule by its name.
fn newly_found(checked: &Checked, before: &[Finding]) -> Vec<Finding> {
    let same =
        |a: &Finding, b: &Finding| a.code == b.code && a.group == b.group && a.rule == b.rule;
    let findings = checked.findings.iter();
    findings.filter(|finding| !before.iter().any(|b| same(finding, b))).cloned().collect()
}

/// What fails, in words.
fn answer(config: &Config, proposal: &Proposal, compared: Option<&Compared<'_>>) -> ProposalResult {
    let mut answer = ProposalResult::default();
    let mut say = |fails: bool, words: String| match fails {
        true => answer.fails.push(words),
        false => answer.notes.push(words),
    };
    for (what, effect) in
        [(FailOn::NewlyDenied, Effect::NewlyDenied), (FailOn::NewlyAllowed, Effect::NewlyAllowed)]
    {
        let Some(compared) = compared else { continue };
        let open = compared.open(effect);
        let words = effect.as_str().replace('_', " ");
        let words = match compared {
            Compared::Traffic { diff, changed, .. } => {
                let all = plural(diff.connections().total(), "connection");
                let accepted = match changed.accepted(effect) {
                    0 => String::new(),
                    accepted => format!(", and {accepted} more that are accepted"),
                };
                format!("{open} of {all} {words}{accepted}")
            }
            Compared::Rules { .. } => format!("{} of packets {words}", plural(open, "region")),
        };
        if open > 0 {
            say(config.asks(what), words);
        }
    }
    for (is_new, findings) in [(true, &proposal.new), (false, &proposal.checked.findings)] {
        let Some(least) = config.least(is_new) else { continue };
        let count = findings.iter().filter(|finding| finding.severity >= least).count() as u64;
        let new = if is_new { "new " } else { "" };
        if count > 0 {
            say(
                true,
                format!("check finds {}", plural(count, &format!("{new}{}", least.as_str()))),
            );
        }
    }
    if let Some((summary, _)) = &proposal.tested
        && summary.fails()
    {
        say(config.asks(FailOn::Expectations), summary.words());
    }
    answer
}

fn finish(
    args: &CiArgs,
    config: &Config,
    proposal: &Proposal,
    compared: Option<&Compared<'_>>,
    files: Files,
    outputs: &mut Outputs,
) -> Result<ExitStatus, Failure> {
    let mut answer = answer(config, proposal, compared);
    let gate = match compared {
        Some(Compared::Traffic { traffic, .. }) => {
            Some(traffic.gate(&config.gate(), &config.effects(), "the proposal"))
        }
        _ => None,
    };
    if answer.fails.is_empty() {
        answer.unanswered = gate
            .as_ref()
            .and_then(Gate::unanswered)
            .or_else(|| compared.and_then(Compared::unanswered))
            .or_else(|| gate::incomplete(&proposal.rules.rules))
            .or_else(|| super::check::unchecked(&proposal.checked).filter(|_| config.checks()));
    }
    let difference = compared.map(|compared| match compared {
        Compared::Rules { summary, turned, labels, .. } => {
            Difference::Rules(summary, turned, *labels)
        }
        Compared::Traffic { summary, diff, turned, changed, .. } => {
            Difference::Traffic(summary, diff, turned, changed)
        }
    });
    let Proposal { rules, checked, new, summary, tested, labels } = proposal;
    let check = CheckedProposal { summary, checked, new };
    let tests = tested.as_ref();
    let of_tests = tests.map(|(summary, tested)| TestedProposal { summary, tested, labels });
    let page = proposal_markdown(&answer, difference, check, of_tests);
    let file = &summary.rules.path;
    if let Some(output) = files.markdown {
        output.whole(&page)?;
    }
    let mut results = difference.map(|of| of.results(file)).unwrap_or_default();
    results.extend(answer.unanswered.iter().map(|why| Difference::unanswered(file, why)));
    let sarif = sarif(file, checked, &rules.positions, &results);
    if let Some(output) = files.sarif {
        output.whole(&pretty(&sarif)?)?;
    }
    if let Some(output) = files.code_quality {
        output.whole(&pretty(&code_quality(&sarif))?)?;
    }
    if let Some(output) = files.junit {
        output.whole(&junit(&suites(config, proposal, difference, &answer))?)?;
    }

    let mut out = stdout();
    match args.format {
        CiFormat::Markdown => out.write_all(page.as_bytes())?,
        CiFormat::Json => {
            let of_check = [
                ("findings", findings_json(&rules.rules, checked, &rules.positions)),
                ("suppressed_findings", suppressed_json(&rules.rules, checked, &rules.positions)),
            ];
            let of_test = tests
                .map(|(summary, tested)| with(summary, [("results", tested_json(tested, labels))]));
            let of_test = of_test.transpose()?;
            let of_diff = compared.map(diff::json).transpose()?;
            let of_check = with(summary, of_check)?;
            let json = proposal_json(&answer, of_diff.as_ref(), &of_check, of_test.as_ref());
            write!(out, "{}", pretty(&json)?)?;
        }
        CiFormat::Text => {
            let mut text = Text::default();
            if let Some(compared) = compared {
                text.append(&diff::text(compared));
                text.blank();
            }
            let (all, shown) = (&rules.rules, Shown::Problems);
            text.append(&findings_text(all, summary, checked, &rules.positions, shown));
            text.blank();
            if let Some((summary, tested)) = tests {
                text.append(&tested_text(summary, tested, labels));
            }
            text.append(&answer.text());
            out.write_all(terminal::results(text).as_bytes())?;
            if args.annotations.is_some() {
                out.write_all(github_annotations(&sarif).as_bytes())?;
            }
        }
    }
    out.flush()?;
    outputs.finish()?;
    let fails = !answer.fails.is_empty();
    let status = match &gate {
        Some(gate) => gate::finish(gate, Some(fails))?,
        None if fails => ExitStatus::Failed,
        None => ExitStatus::Done,
    };
    match status {
        ExitStatus::Done => gate::passes(answer.unanswered),
        status => Ok(status),
    }
}

fn suites(
    config: &Config,
    proposal: &Proposal,
    difference: Option<Difference<'_>>,
    answer: &ProposalResult,
) -> Vec<Suite> {
    let file = &proposal.summary.rules.path;
    let asked = config.effects();
    let mut suites: Vec<Suite> = difference.map(|of| of.suite(file, &asked)).into_iter().collect();
    let all: &[Finding] = &proposal.checked.findings;
    for (is_new, found) in [(true, proposal.new.as_slice()), (false, all)] {
        if let Some(least) = config.least(is_new) {
            let (summary, checked) = (&proposal.summary, &proposal.checked);
            suites.push(CheckedProposal { summary, checked, new: found }.suite(least));
        }
    }
    if let Some(why) = &answer.unanswered {
        let case = Case {
            name: "the traffic gives a full answer".to_owned(),
            at: (file.clone(), None),
            failure: Some((why.clone(), why.clone())),
        };
        suites.push(Suite { name: "captures".to_owned(), cases: vec![case] });
    }
    let tested = proposal.tested.as_ref();
    suites.extend(tested.map(|(summary, tested)| tested_suite(summary, tested, &proposal.labels)));
    suites
}
