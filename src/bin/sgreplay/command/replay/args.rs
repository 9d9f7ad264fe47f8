//! The arguments of `sgreplay replay`.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use sgreplay::replay::Sessions;
use sgreplay::report::RowFormat;

use crate::args::percent;
use crate::captures::CaptureArgs;
use crate::command::gate::GateArgs;
use crate::command::judging::JudgeArgs;

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "sgreplay replay [OPTIONS] --rules <RULES> <CAPTURE>…\n       sgreplay replay [OPTIONS] <RULES> <CAPTURE>…",
    after_help = "-h shows the common options, --help all of them.

Examples:
  sgreplay replay --rules proposed.yaml --local 10.0.0.5 web.pcap
  sgreplay replay --rules proposed.yaml --per connection -f csv --filter 'tcp port 443' web.pcap
  sgreplay replay --rules proposed.yaml --fail-on denied web.pcap
  tcpdump -U -w - | sgreplay replay --rules proposed.yaml --local 10.0.0.5 --live -"
)]
pub(crate) struct ReplayArgs {
    /// Read the proposed rules from a file or directory
    ///
    /// Read the proposed rules from a file or directory, or from standard input (`-`). Any supported format is
    /// recognised by content: our YAML, answers of the cloud's API, a Terraform plan, and more (see `sgreplay
    /// convert --help`). Without this option the first CAPTURE is the rules: `sgreplay replay RULES CAPTURE`.
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    pub rules: Option<PathBuf>,
    #[command(flatten)]
    pub capture: CaptureArgs,
    #[command(flatten)]
    pub judge: JudgeArgs,
    /// Print a row per packet or connection
    ///
    /// Print a row per packet or connection, instead of the summary alone
    #[arg(long, value_name = "WHAT", help_heading = "Output")]
    pub per: Option<Per>,
    /// Choose the output format
    ///
    /// Choose the output format: text for people, markdown for a comment on a change, the others for programs. csv
    /// without --per implies --per connection.
    #[cfg_attr(
        feature = "arrow",
        doc = "parquet and arrow (an Arrow IPC file, also called Feather) are files with the same rows, and for a file:",
        doc = "`-f parquet > rows.parquet`."
    )]
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub format: ReplayFormat,
    /// Track connections as the cloud does, or judge packets alone
    #[arg(long, value_name = "WHETHER", default_value = "on", help_heading = "Sessions")]
    pub sessions: OnOff,
    /// Write rules that allow the denied connections, and nothing else
    ///
    /// Write a rules file with the rules to add, so that the denied connections (those that --filter chooses) pass. The
    /// exact difference proves that no other verdict changes; where that cannot be, it is an error and no file is
    /// written.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub fix: Option<PathBuf>,
    /// Write denied packets to a pcap or pcapng
    ///
    /// Write denied packets to a pcap, or to a pcapng (by the name) with the verdict as a comment
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub write_denied: Option<PathBuf>,
    /// Write allowed packets to a pcap or pcapng
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub write_allowed: Option<PathBuf>,
    /// Write all packets to a pcapng, with verdicts as comments
    ///
    /// Write all packets to a pcapng, each with its verdict and rule as a comment. In Wireshark: frame.comment
    /// contains "deny"
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub annotate: Option<PathBuf>,
    /// Report which rules the traffic used
    ///
    /// Report which rules the traffic used: unused elements, the ports and networks seen for each rule, when, and
    /// for how long the capture lasted
    #[arg(long, help_heading = "Output")]
    pub coverage: bool,
    /// Exit 1 if less of the rules is used
    ///
    /// Exit with status 1 if less than this percentage of the rules' elements is used
    #[arg(long, value_name = "PERCENT", value_parser = percent, help_heading = "CI")]
    pub min_coverage: Option<f64>,
    /// Compare verdicts with the actions in a flow log
    #[arg(long, help_heading = "Output")]
    pub compare_action: bool,
    /// Exit 1 if a packet is denied, or differs from a flow log
    ///
    /// Exit with status 1 if a packet is denied, or if a flow log recorded another verdict
    #[arg(long, value_name = "WHAT", help_heading = "CI")]
    pub fail_on: Option<FailOn>,
    #[command(flatten)]
    pub gate: GateArgs,
    /// Print the SHA-256 of each capture
    ///
    /// Print the SHA-256 of each capture (reads it twice)
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    pub hash: bool,
    /// Write an HTML report
    ///
    /// Write an HTML report: one file that opens offline. Hashes the captures.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub report: Option<PathBuf>,
}

impl ReplayArgs {
    /// The rules, which [`Command::take_rules`] has taken from the captures where no option names them.
    ///
    /// [`Command::take_rules`]: crate::args::Command::take_rules
    pub(super) fn rules(&self) -> &Path {
        self.rules.as_deref().unwrap_or(Path::new(""))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReplayFormat {
    Text,
    Json,
    Ndjson,
    Csv,
    Markdown,
    // In builds without them they are hidden, and `ReplayFormat::is_built_in` says which builds have them.
    #[cfg_attr(not(feature = "arrow"), value(hide = true))]
    Parquet,
    #[cfg_attr(not(feature = "arrow"), value(hide = true))]
    Arrow,
}

impl ReplayFormat {
    /// How a summary or its rows are written; `None` for text, Markdown and files of tables.
    pub(super) fn rows(self) -> Option<RowFormat> {
        match self {
            Self::Text | Self::Markdown | Self::Parquet | Self::Arrow => None,
            Self::Json => Some(RowFormat::Json),
            Self::Ndjson => Some(RowFormat::Ndjson),
            Self::Csv => Some(RowFormat::Csv),
        }
    }

    /// Whether it is for programs.
    pub(super) fn is_for_programs(self) -> bool {
        !matches!(self, Self::Text | Self::Markdown)
    }

    /// Whether it holds rows and nothing else: without `--per` those of connections.
    pub(super) fn has_rows_only(self) -> bool {
        matches!(self, Self::Csv) || self.is_table()
    }

    /// Whether it is a file of a table.
    pub(super) fn is_table(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Per {
    Packet,
    Connection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnOff {
    On,
    Off,
}

impl From<OnOff> for Sessions {
    fn from(of: OnOff) -> Self {
        match of {
            OnOff::On => Self::On,
            OnOff::Off => Self::Off,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    Denied,
    ActionDiffers,
}
