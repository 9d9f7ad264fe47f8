//! `sgreplay test`: whether rules do what is expected of them.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use ipnet::IpNet;
use sgreplay::assertions::outcome;
use sgreplay::labels::Labels;
use sgreplay::report::{TestSummary, Tested, junit, tested_json, tested_suite, tested_text};
use sgreplay::rules::RuleSet;

use super::{explain, gate, judging, pretty, stdout, with};
use crate::args::cidr;
use crate::command::judging::SwitchArgs;
use crate::exit::{ExitStatus, Failure};
use crate::{input, terminal};

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 1 if an expectation is not met.

A file of expectations:
  expectations:
    - name: SSH from the office reaches the web server
      protocol: tcp
      ports: SSH
      source: 203.0.113.0/24
      verdict: allow             # or deny
      by: sgr-ssh                # optional: the rule that decides
      otherwise: deny            # optional: for everybody else
      interface: eni-web         # optional; else at every interface
    - name: nobody reaches Redis but the application
      ports: Redis
      except: [{source: 10.0.0.6}]
      verdict: deny

Each is about all packets that fit it, IPv4 and IPv6, and is decided exactly, not by trying some.")]
pub(crate) struct TestArgs {
    /// Rules to test: a file, a directory, or `-` for standard input
    #[arg(value_name = "RULES")]
    pub rules: PathBuf,
    /// File of assertions about the rules
    #[arg(value_name = "EXPECTATIONS")]
    pub expectations: PathBuf,
    /// Choose the output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub format: TestFormat,
    /// Set the addresses of the instance
    ///
    /// Set the addresses of the one interface, for rules that list no interfaces
    #[arg(long, value_name = "ADDR|CIDR", value_delimiter = ',', value_parser = cidr, help_heading = "Rules")]
    pub local: Vec<IpNet>,
    #[command(flatten)]
    pub switches: SwitchArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TestFormat {
    Text,
    Json,
    Junit,
}

pub(crate) fn run(args: &TestArgs) -> Result<ExitStatus, Failure> {
    if args.rules.as_os_str() == input::STDIN && args.expectations == args.rules {
        return Err(Failure::Usage("standard input can be read only once".to_owned()));
    }
    let (mut rules, input) = input::rules(&args.rules, &(&args.switches).into())?;
    judging::set_local(&mut rules, &args.local)?;
    let (tested, expected) = test(&rules, &args.expectations)?;
    let summary = TestSummary::new(input, expected, &tested);
    let labels = Labels::new(&rules);
    let mut out = stdout();
    match args.format {
        TestFormat::Text => {
            write!(out, "{}", terminal::results(tested_text(&summary, &tested, &labels)))?;
        }
        TestFormat::Json => {
            let lists = [("results", tested_json(&tested, &labels))];
            write!(out, "{}", pretty(&with(&summary, lists)?)?)?;
        }
        TestFormat::Junit => {
            write!(out, "{}", junit(&[tested_suite(&summary, &tested, &labels)])?)?;
        }
    }
    out.flush()?;
    match summary.fails() {
        true => Ok(ExitStatus::Failed),
        false => gate::passes(gate::incomplete(&rules)),
    }
}

/// Tests the expectations of a file.
pub(crate) fn test(
    rules: &RuleSet,
    path: &Path,
) -> Result<(Vec<Tested>, sgreplay::report::RulesInput), Failure> {
    let (expectations, input) = input::expectations(path, rules)?;
    let tested = expectations.into_iter().map(|expectation| {
        let too_complex = |error| Failure::Usage(format!("{}: {error}", expectation.name));
        let outcome = outcome(rules, &expectation).map_err(too_complex)?;
        let trace = outcome.failures.iter().find_map(|failure| {
            let flow = failure.region.as_ref()?.example();
            let (at, direction) = (failure.interface, failure.direction);
            if failure.replies {
                return Some(explain::trace_reply(rules, at, direction, flow));
            }
            Some(explain::trace(rules, at, direction, &failure.members_of, flow))
        });
        Ok(Tested { expectation, outcome, trace: trace.unwrap_or_default() })
    });
    Ok((tested.collect::<Result<_, Failure>>()?, input))
}
