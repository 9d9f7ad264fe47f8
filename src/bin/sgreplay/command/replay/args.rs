//! The arguments of `sgreplay replay`.

use std::path::PathBuf;

use clap::ValueEnum;
use sgreplay::replay::Sessions;

use crate::args::{SummaryFormat, percent};
use crate::captures::CaptureArgs;
use crate::command::gate::GateArgs;
use crate::command::judging::JudgeArgs;

#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    /// The proposed rules; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub rules: PathBuf,
    #[command(flatten)]
    pub capture: CaptureArgs,
    #[command(flatten)]
    pub judge: JudgeArgs,
    /// A row for each, instead of the summary alone
    #[arg(long, value_name = "WHAT")]
    pub per: Option<Per>,
    /// Text for people; markdown for a comment on a change; the rest for programs. csv without --per means
    /// --per connection
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub format: SummaryFormat,
    /// Track connections, as the cloud does, or judge every packet alone
    #[arg(long, value_name = "WHETHER", default_value = "on")]
    pub sessions: OnOff,
    /// Write the packets that would be denied to a pcap, or, named .pcapng, with the verdict as a comment
    #[arg(long, value_name = "FILE")]
    pub write_denied: Option<PathBuf>,
    /// Write the packets that would be allowed, likewise
    #[arg(long, value_name = "FILE")]
    pub write_allowed: Option<PathBuf>,
    /// Write all packets to a pcapng, each with its verdict and rule as a comment, for Wireshark:
    /// frame.comment contains "deny"
    #[arg(long, value_name = "FILE")]
    pub annotate: Option<PathBuf>,
    /// Say what the traffic used of the rules: which elements never, which ports and networks of each,
    /// when, and for how long it was watched
    #[arg(long)]
    pub coverage: bool,
    /// Exit with status 1 if less than so many percent of the rules' elements are used
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub min_coverage: Option<f64>,
    /// Of a flow log: hold the verdicts that it records against those of the rules
    #[arg(long)]
    pub compare_action: bool,
    /// Exit with status 1 if a packet is denied, or if a flow log has recorded another verdict
    #[arg(long, value_name = "WHAT")]
    pub fail_on: Option<FailOn>,
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
