//! The arguments of `sgreplay diff`.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::args::SummaryFormat;
use crate::captures::CaptureArgs;
use crate::command::gate::GateArgs;
use crate::command::judging::JudgeArgs;

#[derive(Debug, Default, clap::Args)]
#[command(
    after_help = "Without a capture the answer is exact: the regions of all packets that could be whose verdict turns.

Examples:
  sgreplay diff --current a.yaml --proposed b.yaml
  sgreplay diff --current a.yaml --proposed b.yaml --fail-on newly-denied web.pcap"
)]
pub(crate) struct DiffArgs {
    /// The rules as they are; `-` is standard input
    #[arg(long, value_name = "FILE", required_unless_present = "plan")]
    pub current: Option<PathBuf>,
    /// The rules as they would be; `-` is standard input
    #[arg(long, value_name = "FILE", required_unless_present = "plan")]
    pub proposed: Option<PathBuf>,
    /// Both at once: what `terraform show -json PLAN` prints
    #[arg(long, value_name = "FILE", conflicts_with_all = ["current", "proposed"])]
    pub plan: Option<PathBuf>,
    #[command(flatten)]
    pub capture: CaptureArgs,
    #[command(flatten)]
    pub judge: JudgeArgs,
    /// Text for people; markdown for a comment on a change; the rest for programs, with a row per changed
    /// connection
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub format: SummaryFormat,
    /// Write the packets whose verdict changes to a pcap, or, named .pcapng, with both verdicts as a comment
    #[arg(long, value_name = "FILE")]
    pub write_changed: Option<PathBuf>,
    /// Write all packets to a pcapng, each with its verdicts as a comment, for Wireshark:
    /// frame.comment contains "newly denied"
    #[arg(long, value_name = "FILE")]
    pub annotate: Option<PathBuf>,
    /// Changes that were looked at: a list of {filter, reason, change, until}; they fail nothing
    #[arg(long, value_name = "FILE")]
    pub accept: Option<PathBuf>,
    /// Exit with status 1 if a connection is newly denied, newly allowed, or either, and not accepted;
    /// without a capture, if any packet would be
    #[arg(long, value_name = "WHAT")]
    pub fail_on: Option<DiffFailOn>,
    #[command(flatten)]
    pub gate: GateArgs,
    /// Print the SHA-256 of the captures too (reads them twice)
    #[arg(long)]
    pub hash: bool,
    /// Write a page for a browser too: one file that opens offline (hashes the captures)
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiffFailOn {
    NewlyDenied,
    NewlyAllowed,
    Any,
}
