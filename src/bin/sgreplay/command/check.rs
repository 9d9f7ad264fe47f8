//! `sgreplay check`: what is wrong with the rules themselves.

use std::io::Write;
use std::path::PathBuf;

use clap::ValueEnum;
use ipnet::IpNet;
use serde_json::Value;
use sgreplay::check::{Checked, check, page};
use sgreplay::engine::RulesFile;
use sgreplay::report::{
    FINDING_COLUMNS, FindingsSummary, RowFormat, Rows, Shown, finding_rows, findings_json,
    findings_text, sarif, suppressed_json, table,
};
use sgreplay::rules::{Code, RuleSet, Severity};

use super::{gate, judging, pretty, stdout, with};
use crate::args::cidr;
use crate::command::judging::SwitchArgs;
use crate::exit::{ExitStatus, Failure};
use crate::{input, terminal};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sgreplay check web.yaml
  sgreplay check web.yaml --fail-on warning -f sarif > web.sarif
  sgreplay check --explain shadowed")]
pub(crate) struct CheckArgs {
    /// Rules to check: a file, a directory, or `-` for standard input
    #[arg(value_name = "RULES")]
    pub positional: Option<PathBuf>,
    /// Read the rules from a file or directory
    ///
    /// Read the rules from a file or directory (the same as RULES)
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "positional",
        help_heading = "Rules",
        hide_short_help = true
    )]
    pub rules: Option<PathBuf>,
    /// Choose the output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub format: CheckFormat,
    /// Show notes too
    #[arg(long, help_heading = "Output")]
    pub notes: bool,
    /// Exit 1 on a finding of this severity or higher
    ///
    /// Exit with status 1 on a finding of this severity or a higher one
    #[arg(long, value_name = "SEVERITY", help_heading = "CI")]
    pub fail_on: Option<CheckFailOn>,
    /// Explain a finding code
    #[arg(long, value_name = "CODE", exclusive = true, help_heading = "Output")]
    pub explain: Option<Code>,
    /// List the finding codes
    #[arg(long, exclusive = true, help_heading = "Output")]
    pub codes: bool,
    /// Set the addresses of the instance
    ///
    /// Set the addresses of the one interface, for rules that list no interfaces
    #[arg(long, value_name = "ADDR|CIDR", value_delimiter = ',', value_parser = cidr, help_heading = "Rules")]
    pub local: Vec<IpNet>,
    #[command(flatten)]
    pub switches: SwitchArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    Text,
    Json,
    Ndjson,
    Csv,
    Sarif,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFailOn {
    Warning,
    Error,
}

pub(crate) fn run(args: &CheckArgs) -> Result<ExitStatus, Failure> {
    let mut out = stdout();
    if let Some(code) = args.explain {
        writeln!(out, "{code} ({})\n\n{}", code.severity().as_str(), page(code))?;
        out.flush()?;
        return Ok(ExitStatus::Done);
    }
    if args.codes {
        write!(out, "{}", table(&codes()))?;
        out.flush()?;
        return Ok(ExitStatus::Done);
    }
    let Some(path) = args.rules.as_deref().or(args.positional.as_deref()) else {
        return Err(Failure::Usage("name a rules file, or `-` for standard input".to_owned()));
    };
    let RulesFile { mut rules, input, positions, .. } =
        input::rules_file(path, &(&args.switches).into())?;
    judging::set_local(&mut rules, &args.local)?;
    let checked = check(&rules, input::today());
    let summary = FindingsSummary::new(&rules, input, &checked);
    match args.format {
        CheckFormat::Text => {
            let shown = if args.notes { Shown::All } else { Shown::Problems };
            let text = findings_text(&rules, &summary, &checked, &positions, shown);
            write!(out, "{}", terminal::results(text))?;
        }
        CheckFormat::Json => {
            let findings = findings_json(&rules, &checked, &positions);
            let suppressed = suppressed_json(&rules, &checked, &positions);
            let lists: [(&str, Vec<Value>); 2] =
                [("findings", findings), ("suppressed_findings", suppressed)];
            write!(out, "{}", pretty(&with(&summary, lists)?)?)?;
        }
        CheckFormat::Sarif => {
            let sarif = sarif(&summary.rules.path, &checked, &positions, &[]);
            write!(out, "{}", pretty(&sarif)?)?;
        }
        CheckFormat::Ndjson | CheckFormat::Csv => {
            let format = match args.format {
                CheckFormat::Csv => RowFormat::Csv,
                _ => RowFormat::Ndjson,
            };
            let mut lines = Rows::new(out, format, "finding", &FINDING_COLUMNS)?;
            finding_rows(&rules, &checked, &positions, &mut lines)?;
            lines.finish(&summary)?;
            return status(args.fail_on, &rules, &checked);
        }
    }
    out.flush()?;
    status(args.fail_on, &rules, &checked)
}

fn status(
    fail_on: Option<CheckFailOn>,
    rules: &RuleSet,
    checked: &Checked,
) -> Result<ExitStatus, Failure> {
    let least = fail_on.map(|what| match what {
        CheckFailOn::Warning => Severity::Warning,
        CheckFailOn::Error => Severity::Error,
    });
    match least {
        None => Ok(ExitStatus::Done),
        Some(least) if checked.any(least) => Ok(ExitStatus::Failed),
        Some(_) => gate::passes(unchecked(checked).or_else(|| gate::incomplete(rules))),
    }
}

/// Why not all was checked, if it was not.
pub(crate) fn unchecked(checked: &Checked) -> Option<String> {
    let why =
        "some rules cut the space of packets too finely to be checked, so there is no full answer";
    (!checked.too_complex.is_empty()).then(|| why.to_owned())
}

fn codes() -> Vec<Vec<String>> {
    let header = vec!["code".to_owned(), "severity".to_owned(), "about".to_owned()];
    let row = |code: Code| {
        let about = page(code).split_inclusive('.').next().unwrap_or_default().replace('\n', " ");
        vec![code.to_string(), code.severity().as_str().to_owned(), about]
    };
    std::iter::once(header).chain(Code::ALL.iter().copied().map(row)).collect()
}
