//! The arguments of `sgreplay diff`.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::args::SummaryFormat;
use crate::captures::CaptureArgs;
use crate::command::gate::GateArgs;
use crate::command::judging::JudgeArgs;

#[derive(Debug, Default, clap::Args)]
#[command(
    override_usage = "sgreplay diff [OPTIONS] --current <RULES> --proposed <RULES> [CAPTURE]…\n       sgreplay diff [OPTIONS] --plan <PLAN> [CAPTURE]…\n       sgreplay diff [OPTIONS] <CURRENT> <PROPOSED> [CAPTURE]…",
    after_help = "Without a capture the diff is exact: all possible packets whose verdict changes. -h shows the common
options, --help all of them.

Examples:
  sgreplay diff --current a.yaml --proposed b.yaml
  sgreplay diff --current a.yaml --proposed b.yaml --fail-on newly-denied web.pcap"
)]
pub(crate) struct DiffArgs {
    /// Read the current rules
    ///
    /// Read the current rules from a file or directory, or from standard input (`-`). Without --current, --proposed and
    /// --plan the first two arguments are the rules: `sgreplay diff CURRENT PROPOSED [CAPTURE]`.
    #[arg(long, value_name = "FILE", requires = "proposed", help_heading = "Rules")]
    pub current: Option<PathBuf>,
    /// Read the proposed rules
    ///
    /// Read the proposed rules from a file or directory, or from standard input (`-`)
    #[arg(long, value_name = "FILE", requires = "current", help_heading = "Rules")]
    pub proposed: Option<PathBuf>,
    /// Read both from a Terraform plan (`terraform show -json`)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["current", "proposed"], help_heading = "Rules")]
    pub plan: Option<PathBuf>,
    /// Name one rule set, which `diff` cannot compare
    #[arg(long, value_name = "FILE", hide = true)]
    pub rules: Option<PathBuf>,
    #[command(flatten)]
    pub capture: CaptureArgs,
    #[command(flatten)]
    pub judge: JudgeArgs,
    /// Choose the output format
    ///
    /// Choose the output format: text for people, markdown for a comment on a change, the others for programs, with
    /// a row per changed connection
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub format: SummaryFormat,
    /// Write rules that allow newly denied connections, and nothing else
    ///
    /// Write a rules file with the rules to add, so that newly denied connections (those that --filter chooses and
    /// nobody has approved) pass. The
    /// exact difference proves that no other verdict changes; where that cannot be, it is an error and no file is
    /// written.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub fix: Option<PathBuf>,
    /// Write packets whose verdict changes to a pcap or pcapng
    ///
    /// Write packets whose verdict changes to a pcap, or to a pcapng (by the name) with both verdicts as a comment
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub write_changed: Option<PathBuf>,
    /// Write all packets to a pcapng, with verdicts as comments
    ///
    /// Write all packets to a pcapng, each with its verdicts as a comment. In Wireshark: frame.comment contains
    /// "newly denied"
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub annotate: Option<PathBuf>,
    /// Read approved changes, which fail no gate
    ///
    /// Read approved changes, which fail no gate: a list of {filter, reason, change, until}
    #[arg(long, value_name = "FILE", help_heading = "CI")]
    pub accept: Option<PathBuf>,
    /// Exit 1 if a connection is newly denied or newly allowed
    ///
    /// Exit with status 1 if a connection is newly denied, newly allowed, or either, and the change is not
    /// approved. Without a capture: if any possible packet is.
    #[arg(long, value_name = "WHAT", help_heading = "CI")]
    pub fail_on: Option<DiffFailOn>,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiffFailOn {
    NewlyDenied,
    NewlyAllowed,
    Any,
}
