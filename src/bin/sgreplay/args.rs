//! The command line, and nothing else.

use clap::{Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use sgreplay::flow::Direction;
use sgreplay::rules::parse_cidr;

use crate::command::bench::BenchArgs;
use crate::command::check::CheckArgs;
use crate::command::ci::{CiArgs, CiFormat};
use crate::command::completions::CompletionsArgs;
use crate::command::convert::ConvertArgs;
use crate::command::decode::DecodeArgs;
use crate::command::diff::DiffArgs;
use crate::command::explain::ExplainArgs;
use crate::command::man::ManArgs;
use crate::command::replay::ReplayArgs;
use crate::command::scenarios::ScenariosArgs;
use crate::command::services::ServicesArgs;
use crate::command::suggest::SuggestArgs;
use crate::command::test::TestArgs;

/// Replay captured traffic against proposed cloud security-group rules: what would be allowed, what
/// denied, by which rule and why.
#[derive(Debug, Parser)]
#[command(
    version,
    // Not the name that it was called by, which may be anything.
    bin_name = "sgreplay",
    max_term_width = 100,
    after_help = "Exit status: 0 done; 1 a condition asked for with --fail-on holds; 2 could not do it."
)]
pub(crate) struct Args {
    /// Say nothing but errors: the exit status is the answer
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Leave out no line of a table, nor cut it to the terminal's width
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Verdicts for a capture: a summary, or a row per packet or connection
    Replay(ReplayArgs),
    /// What a change of rules does: to a capture, connections newly denied, newly allowed, decided by
    /// another rule; without one, to every packet that could be
    Diff(Box<DiffArgs>),
    /// What is wrong with the rules themselves: shadowed, redundant, conflicting, too open, forgotten
    Check(CheckArgs),
    /// Whether rules do what a file beside them expects, of every packet that could be
    Test(TestArgs),
    /// Few rules that allow the connections of a capture and nothing beyond a stated bound
    Suggest(SuggestArgs),
    /// All of that about a proposal, from one file beside the rules, for CI
    Ci(CiArgs),
    /// Rules in another format: for the cloud, Terraform, a host's firewall, tcpdump, a review
    Convert(ConvertArgs),
    /// Why one packet is allowed or denied: every rule in evaluation order
    Explain(ExplainArgs),
    /// The flow tuples of a capture alone
    Decode(DecodeArgs),
    /// What replaying takes on your own rules and traffic, stage by stage, plain list against index
    Bench(BenchArgs),
    /// The documented use cases, printed as ready rules files with your own values
    Scenarios(ScenariosArgs),
    /// The common ports, whose names work wherever a port does
    Services(ServicesArgs),
    /// What a shell completes: bash, elvish, fish, powershell or zsh
    Completions(CompletionsArgs),
    /// The manual page of the program or of a command
    Man(ManArgs),
}

impl Command {
    /// Whether the exit status answers a question.
    pub(crate) fn has_gate(&self) -> bool {
        match self {
            Self::Replay(args) => args.fail_on.is_some() || args.min_coverage.is_some(),
            Self::Diff(args) => args.fail_on.is_some(),
            Self::Check(args) => args.fail_on.is_some(),
            Self::Bench(args) => args.fail_on.is_some(),
            Self::Test(_) | Self::Ci(_) => true,
            Self::Suggest(_)
            | Self::Convert(_)
            | Self::Explain(_)
            | Self::Decode(_)
            | Self::Scenarios(_)
            | Self::Services(_)
            | Self::Completions(_)
            | Self::Man(_) => false,
        }
    }

    /// Whether results go to standard output.
    pub(crate) fn prints(&self, quiet: bool) -> bool {
        let is_text = match self {
            Self::Replay(args) => args.format == SummaryFormat::Text,
            Self::Diff(args) => args.format == SummaryFormat::Text,
            Self::Ci(args) => args.format == CiFormat::Text,
            Self::Bench(args) => args.format == TextOrJson::Text,
            // These name no file to be written.
            _ => false,
        };
        !(quiet && is_text)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
    Ndjson,
    Csv,
}

/// Of what sums up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum SummaryFormat {
    #[default]
    Text,
    Json,
    Ndjson,
    Csv,
    Markdown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TextOrJson {
    Text,
    Json,
}

/// A number, of which none is too large that anybody means.
pub(crate) fn whole<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "expected a whole number, such as 10".to_owned())
}

pub(crate) fn cidr(text: &str) -> Result<IpNet, String> {
    parse_cidr(text).map_err(|error| error.to_string())
}

pub(crate) fn direction(text: &str) -> Result<Direction, String> {
    let fits = |direction: &Direction| direction.as_str().eq_ignore_ascii_case(text);
    Direction::BOTH.into_iter().find(fits).ok_or_else(|| "it is `ingress` or `egress`".to_owned())
}

pub(crate) fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim().parse().ok();
    number
        .filter(|percent: &f64| (0.0..=100.0).contains(percent))
        .ok_or_else(|| "expected a percentage such as 80 or 80%".to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn defaults_are_those_of_the_command_line() {
        let parsed = Args::try_parse_from(["sgreplay", "diff", "--plan", "x"]).unwrap().command;
        let diff = DiffArgs { plan: Some(PathBuf::from("x")), ..DiffArgs::default() };
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Command::Diff(Box::new(diff))));
    }
}
