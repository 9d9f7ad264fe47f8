//! The command line, and nothing else.

use std::sync::LazyLock;

use clap::{ColorChoice, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use sgreplay::compile::Instructions;
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
use crate::command::init::InitArgs;
use crate::command::man::ManArgs;
use crate::command::replay::{ReplayArgs, ReplayFormat};
use crate::command::scenarios::ScenariosArgs;
use crate::command::schema::SchemaArgs;
use crate::command::services::ServicesArgs;
use crate::command::suggest::SuggestArgs;
use crate::command::test::TestArgs;

/// Replay captured traffic against proposed cloud security-group rules: what would be allowed, what
/// denied, by which rule and why
#[derive(Debug, Parser)]
#[command(
    name = "sgreplay",
    version,
    long_version = long_version(),
    // Not the name that it was called by, which may be anything.
    bin_name = "sgreplay",
    max_term_width = 100,
    after_help = "Examples:
  sgreplay replay --rules proposed.yaml --local 10.0.0.5 web.pcap
  sgreplay diff --current current.yaml --proposed proposed.yaml web.pcap

Exit status: 0 success; 1 a gate failed (--fail-on, --min-coverage, test, ci); 2 an error, or a gate without a full answer."
)]
pub(crate) struct Args {
    /// Print errors only; the exit status is the result
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Print tables in full, wider than the terminal
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    // No doc comment: in one, NO_COLOR would need backticks, which help shows.
    #[arg(
        help = "Colour verdicts: auto (on a terminal, without NO_COLOR), always, never",
        long,
        value_name = "WHEN",
        default_value = "auto",
        global = true,
        hide_short_help = true
    )]
    pub color: ColorChoice,
    /// Show times in this zone: Europe/Berlin, +02:00, local
    ///
    /// Show times of texts and pages in this time zone, and read --since and --until in it: a name such as Europe/Berlin,
    /// an offset such as +02:00, or `local`. JSON and CSV always have nanoseconds since 1970 UTC. [default: UTC]
    #[arg(long, value_name = "ZONE", global = true, value_parser = zone, hide_short_help = true)]
    pub timezone: Option<TimeZone>,
    #[command(subcommand)]
    pub command: Command,
}

/// The version with what this build can do.
fn long_version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let features: Vec<&str> = sgreplay::features().collect();
        format!(
            "{}\nfeatures: {}\nSIMD: {}\nbuild: {} for {}-{}",
            env!("CARGO_PKG_VERSION"),
            features.join(", "),
            Instructions::best().as_str(),
            if cfg!(debug_assertions) { "debug" } else { "release" },
            std::env::consts::ARCH,
            std::env::consts::OS,
        )
    });
    &TEXT
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Replay a capture against rules: verdicts as a summary, per packet or per connection
    Replay(ReplayArgs),
    /// Compare two rule sets: on a capture, or for every possible packet
    Diff(Box<DiffArgs>),
    /// Check rules: shadowed, redundant, conflicting, too open, missing
    Check(CheckArgs),
    /// Test assertions about rules, for every possible packet
    Test(TestArgs),
    /// Write rules and a configuration file to start from, made of a capture
    Init(InitArgs),
    /// Suggest rules that allow the connections of a capture
    Suggest(SuggestArgs),
    /// Run diff, check and test on a proposal, as one configuration file says
    Ci(CiArgs),
    /// Convert rules between clouds' formats, Terraform, iptables, nftables, BPF
    Convert(ConvertArgs),
    /// Explain the verdict for one packet: every rule in evaluation order
    Explain(ExplainArgs),
    /// Decode a capture into flow tuples, without rules
    Decode(DecodeArgs),
    /// Benchmark the stages of a replay on your rules and traffic
    Bench(BenchArgs),
    /// Print documented use cases as rules files with your values
    Scenarios(ScenariosArgs),
    /// List service names that can stand for ports
    Services(ServicesArgs),
    /// Print the JSON Schema of a file or of JSON output
    Schema(SchemaArgs),
    /// Print a shell completion script
    Completions(CompletionsArgs),
    /// Print a manual page
    Man(ManArgs),
}

impl Command {
    /// Whether the exit status answers a question.
    pub(crate) fn has_gate(&self) -> bool {
        match self {
            Self::Replay(args) => args.fail_on.is_some() || args.min_coverage.is_some(),
            Self::Diff(args) => args.fail_on.is_some(),
            Self::Check(args) => args.fail_on.is_some(),
            Self::Bench(args) => !args.fail_on.is_empty(),
            Self::Test(_) | Self::Ci(_) => true,
            Self::Suggest(_)
            | Self::Init(_)
            | Self::Convert(_)
            | Self::Explain(_)
            | Self::Decode(_)
            | Self::Scenarios(_)
            | Self::Services(_)
            | Self::Schema(_)
            | Self::Completions(_)
            | Self::Man(_) => false,
        }
    }

    /// Whether results go to standard output.
    pub(crate) fn prints(&self, quiet: bool) -> bool {
        let is_text = match self {
            Self::Replay(args) => args.format == ReplayFormat::Text,
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

fn zone(text: &str) -> Result<TimeZone, String> {
    if text.eq_ignore_ascii_case("local") {
        let unknown = |_| "the system does not say its time zone; name one, such as Europe/Berlin";
        return TimeZone::try_system().map_err(|error| unknown(error).to_owned());
    }
    let offset = || {
        let civil = format!("2000-01-01T00:00:00{text}");
        let is_offset = text.starts_with(['+', '-']) && civil.parse::<Timestamp>().is_ok();
        let offset = is_offset.then(|| civil.parse::<Timestamp>().ok()).flatten()?;
        let utc: Timestamp = "2000-01-01T00:00:00Z".parse().ok()?;
        let seconds = utc.as_second() - offset.as_second();
        Some(TimeZone::fixed(Offset::from_seconds(i32::try_from(seconds).ok()?).ok()?))
    };
    offset().or_else(|| TimeZone::get(text).ok()).ok_or_else(|| {
        "it is no zone that this system knows; expected a name such as Europe/Berlin (of the package tzdata), an \
         offset such as +02:00, or `local`"
            .to_owned()
    })
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

    /// `-h` is a line for each option that is often used, `--help` says more.
    #[test]
    fn short_help_fits_a_screen() {
        use clap::CommandFactory;

        let mut program = Args::command().term_width(100);
        program.build();
        for command in program.get_subcommands_mut() {
            let name = command.get_name().to_owned();
            let lines = command.render_help().to_string().lines().count();
            assert!(lines <= 60, "`{name} -h` has {lines} lines");
            for arg in command.get_arguments().filter(|arg| arg.get_id() != "help") {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                let id = arg.get_id();
                assert!((1..=72).contains(&help.chars().count()), "{name} {id}: {help}");
                assert!(!help.ends_with('.'), "{name} {id}: {help}");
            }
        }
    }
}
