//! `sgreplay ci`: everything that is asked of a proposal, from one file.

mod args;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::Deserialize;
use sgreplay::check::{Checked, Finding, check};
use sgreplay::diff::Effect;
use sgreplay::engine::{CapturePoint, PlanSide, RulesFile, RulesRequest, read_text};
use sgreplay::escape::{self, Text};
use sgreplay::labels::Labels;
use sgreplay::report::{
    Case, CheckedProposal, Difference, FindingsSummary, ProposalResult, Shown, Suite, TestSummary,
    TestedProposal, code_quality, findings_json, findings_text, github_annotations, junit, plural,
    proposal_json, proposal_markdown, sarif, suppressed_json, tested_json, tested_suite,
    tested_text,
};
use sgreplay::rules::{FieldError, Severity};
use sgreplay::yaml::{self, YamlError};

use super::diff::{self, Compared};
use super::gate::{self, Gate};
use super::{pretty, test, with};
use crate::args::{SummaryFormat, cidr};
use crate::captures::CaptureArgs;
use crate::command::diff::DiffArgs;
use crate::command::gate::GateArgs;
use crate::command::judging::{JudgeArgs, SwitchArgs, TagNames, tag as tag_of};
use crate::exit::{ExitStatus, Failure};
use crate::input::{self, STDIN};
use crate::output::{Named, Output, Outputs, stdout};
use crate::terminal;
pub(crate) use args::{CiArgs, CiFormat};

/// The file beside the rules.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "keys of a file, each by itself")]
struct Config {
    proposed: Option<PathBuf>,
    current: Option<PathBuf>,
    plan: Option<PathBuf>,
    #[serde(default)]
    captures: Several,
    /// The same, beside the file.
    #[serde(skip)]
    capture_paths: Vec<PathBuf>,
    expectations: Option<PathBuf>,
    accept: Option<PathBuf>,
    fail_on: Option<Vec<FailOn>>,
    #[serde(default)]
    local: Several,
    #[serde(default)]
    decap: Several,
    #[serde(default)]
    interfaces: BTreeMap<String, PathBuf>,
    /// What the rules' files do not say: as the options of these names.
    #[serde(default)]
    define: BTreeMap<String, Several>,
    #[serde(default)]
    groups: Several,
    tags: Option<Several>,
    #[serde(default)]
    partial: bool,
    cloud: Option<String>,
    #[serde(default)]
    vpc_cidr: Several,
    filter: Option<String>,
    /// Accepted: captures are always read in the order of their packets' times.
    #[serde(default, rename = "merge")]
    _merge: bool,
    #[serde(default)]
    as_named: bool,
    #[serde(default)]
    allow_truncated: bool,
    max_unevaluated: Option<f64>,
    markdown: Option<PathBuf>,
    sarif: Option<PathBuf>,
    code_quality: Option<PathBuf>,
    junit: Option<PathBuf>,
}

/// One value or a list of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Several {
    One(String),
    Many(Vec<String>),
}

impl Default for Several {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Several {
    fn list(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }

    /// Each word of the values, which commas may separate.
    fn words(&self) -> Vec<String> {
        let words = self.list().iter().flat_map(|text| text.split(','));
        words.map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    fn nets(&self) -> Result<Vec<IpNet>, String> {
        self.words().iter().map(|net| cidr(net)).collect()
    }
}

/// What makes a proposal fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FailOn {
    NewlyDenied,
    NewlyAllowed,
    NewError,
    NewWarning,
    Error,
    Warning,
    Expectations,
}

/// The file that is read where none is named.
const USUAL_FILE: &str = "sgreplay.yaml";

/// What fails where the file does not say.
const USUAL: [FailOn; 3] = [FailOn::NewlyDenied, FailOn::NewError, FailOn::Expectations];

impl Config {
    fn read(args: &CiArgs) -> Result<Self, Failure> {
        if args.annotations.is_some() && args.format != CiFormat::Text {
            return Err(Failure::Usage("--annotations needs -f text".to_owned()));
        }
        let name = input::name(&args.file);
        // Rules on the command line need no file.
        let has_rules = args.plan.is_some() || args.proposed.is_some();
        let is_absent = args.file == Path::new(USUAL_FILE) && !args.file.exists();
        let text = if has_rules && is_absent { "{}".to_owned() } else { read_text(&args.file)? };
        let mut config: Self = yaml::read(&text).map_err(|YamlError { at, message }| {
            let at = at.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"));
            Failure::Usage(format!("{name}{at}: {message}"))
        })?;
        // What the file names lies beside it; what the command line names, where it was typed.
        let dir = args.file.parent().unwrap_or(Path::new("")).to_owned();
        let place = |path: &Path| match path.as_os_str() == STDIN {
            true => path.to_owned(),
            false => dir.join(path),
        };
        let beside = |path: &mut Option<PathBuf>, given: &Option<PathBuf>| {
            *path = given.clone().or_else(|| path.as_deref().map(place));
        };
        if let Some(share) = config.max_unevaluated
            && !(0.0..=100.0).contains(&share)
        {
            let message = "`max_unevaluated:` is a percentage, 0 to 100";
            return Err(Failure::Usage(format!("{name}: {message}")));
        }
        let both = config.proposed.is_some() || config.current.is_some();
        if config.plan.is_some() && both && args.plan.is_none() {
            let message = "`plan:` has both sides; leave `proposed:` and `current:` out";
            return Err(Failure::Usage(format!("{name}: {message}")));
        }
        beside(&mut config.plan, &args.plan);
        beside(&mut config.proposed, &args.proposed);
        beside(&mut config.current, &args.current);
        beside(&mut config.markdown, &args.markdown);
        beside(&mut config.sarif, &args.sarif);
        beside(&mut config.code_quality, &args.code_quality);
        beside(&mut config.junit, &args.junit);
        beside(&mut config.expectations, &None);
        beside(&mut config.accept, &None);
        // Each side of a plan is read from the same file; a side that is named is not the plan's.
        if let Some(plan) = &config.plan {
            let sides =
                [(&mut config.proposed, &args.proposed), (&mut config.current, &args.current)];
            for (side, given) in sides {
                *side = given.clone().or_else(|| Some(plan.clone()));
            }
        }
        config.capture_paths =
            config.captures.list().iter().map(|path| place(Path::new(path))).collect();
        for path in config.interfaces.values_mut() {
            // The name of an interface in a pcapng is no file.
            let file = dir.join(&*path);
            if file.exists() {
                *path = file;
            }
        }
        Ok(config)
    }

    fn gate(&self) -> GateArgs {
        let usual = GateArgs::default();
        GateArgs {
            allow_truncated: self.allow_truncated,
            max_unevaluated: self.max_unevaluated.unwrap_or(usual.max_unevaluated),
        }
    }

    /// What of traffic it asks for.
    fn effects(&self) -> Vec<Effect> {
        let all = [
            (FailOn::NewlyDenied, Effect::NewlyDenied),
            (FailOn::NewlyAllowed, Effect::NewlyAllowed),
        ];
        let asked = all.into_iter().filter(|(what, _)| self.asks(*what));
        asked.map(|(_, effect)| effect).collect()
    }

    fn fail_on(&self) -> &[FailOn] {
        self.fail_on.as_deref().unwrap_or(&USUAL)
    }

    /// A condition that the file asks for by name and gives nothing to answer it with.
    fn unanswerable(&self) -> Option<&'static str> {
        let has_no_file = |what: FailOn| match what {
            FailOn::Expectations => self.expectations.is_none(),
            FailOn::NewlyDenied | FailOn::NewlyAllowed => self.current.is_none(),
            FailOn::NewError | FailOn::NewWarning | FailOn::Error | FailOn::Warning => false,
        };
        let mut all = self.fail_on.iter().flatten().copied();
        Some(match all.find(|what| has_no_file(*what))? {
            FailOn::Expectations => {
                "`fail_on:` asks for expectations, and `expectations:` names no file"
            }
            _ => {
                "`fail_on:` asks what is newly denied or allowed, and `current:` names no rules file"
            }
        })
    }

    fn asks(&self, what: FailOn) -> bool {
        self.fail_on().contains(&what)
    }

    /// Whether findings may make it fail.
    fn checks(&self) -> bool {
        [true, false].iter().any(|new| self.least(*new).is_some())
    }

    /// The least severity of new findings that fails, or of any finding.
    fn least(&self, new: bool) -> Option<Severity> {
        let [warning, error] = match new {
            true => [FailOn::NewWarning, FailOn::NewError],
            false => [FailOn::Warning, FailOn::Error],
        };
        if self.asks(warning) {
            Some(Severity::Warning)
        } else {
            self.asks(error).then_some(Severity::Error)
        }
    }

    /// What the file names to be read and to be written, beside what the command line names.
    fn files(&self, args: &CiArgs) -> Named {
        let given = [&args.proposed, &args.current, &args.plan];
        let files = [&self.proposed, &self.current, &self.expectations, &self.accept];
        let files = files.into_iter().filter(|file| !given.contains(file));
        let mut inputs: Vec<PathBuf> = files.flatten().cloned().collect();
        // Of a plan both sides are one file.
        inputs.dedup();
        inputs.extend(self.capture_paths.iter().chain(self.interfaces.values()).cloned());
        let outputs = [
            ("markdown", &self.markdown),
            ("sarif", &self.sarif),
            ("code_quality", &self.code_quality),
            ("junit", &self.junit),
        ];
        let outputs = outputs.into_iter().filter_map(|(key, path)| Some((key, path.clone()?)));
        Named { inputs, outputs: outputs.collect() }
    }

    /// What the file says of the rules beside their files.
    fn switches(&self, name: &str) -> Result<SwitchArgs, Failure> {
        let wrong = |key, error: String| Failure::Usage(format!("{name}: `{key}:` {error}"));
        let define = self.define.iter().map(|(tag, nets)| {
            tag_of(&format!("{tag}={}", nets.list().join(",")))
                .map_err(|error| wrong("define", error))
        });
        let cloud = self.cloud.as_deref().map(str::parse).transpose();
        Ok(SwitchArgs {
            define: define.collect::<Result<_, _>>()?,
            groups: self.groups.words(),
            tags: self.tags.as_ref().map(|tags| TagNames(tags.words())),
            cloud: cloud.map_err(|error: FieldError| wrong("cloud", error.to_string()))?,
            vpc_cidr: self.vpc_cidr.nets().map_err(|error| wrong("vpc_cidr", error))?,
            partial: self.partial,
            ..SwitchArgs::default()
        })
    }

    /// The question that `sgreplay diff` is asked.
    fn diff_args(
        &self,
        name: &str,
        (current, proposed): (&Path, &Path),
        switches: SwitchArgs,
    ) -> Result<DiffArgs, Failure> {
        let local = self.local.nets();
        let interface = self.interfaces.iter();
        let interface = interface.map(|(eni, of)| CapturePoint {
            interface: eni.clone(),
            source: escape::os(of.as_os_str()),
        });
        let judge = JudgeArgs {
            local: local.map_err(|error| Failure::Usage(format!("{name}: `local:` {error}")))?,
            interface: interface.collect(),
            switches,
            ..JudgeArgs::default()
        };
        let capture = CaptureArgs {
            read: self.capture_paths.clone(),
            decap: self.decap.words(),
            filter: self.filter.clone(),
            as_named: self.as_named,
            ..CaptureArgs::default()
        };
        Ok(DiffArgs {
            current: Some(current.to_owned()),
            proposed: Some(proposed.to_owned()),
            capture,
            judge,
            accept: self.accept.clone(),
            ..DiffArgs::default()
        })
    }
}

pub(crate) fn run(args: &CiArgs, outputs: &mut Outputs) -> Result<ExitStatus, Failure> {
    let config = Config::read(args)?;
    outputs.add(config.files(args))?;
    let Some(proposed) = config.proposed.clone() else {
        let name = input::name(&args.file);
        return Err(Failure::Usage(format!(
            "{name}: `proposed:` names no rules file, nor `plan:` a plan"
        )));
    };
    if let Some(why) = config.unanswerable() {
        return Err(Failure::Usage(format!("{}: {why}", input::name(&args.file))));
    }
    let name = input::name(&args.file);
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
