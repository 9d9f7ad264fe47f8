//! The arguments of `sgreplay bench`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use bytesize::ByteSize;
use ipnet::IpNet;

use crate::args::{TextOrJson, cidr, whole};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Stages: read and decode; list, index and index in batches ask for every packet by itself; session
judges as replay does, with sessions; all is the whole replay on all threads.

Examples:
  sgreplay bench --rules web.yaml --save before.json web.pcap
  sgreplay bench --rules web.yaml --compare before.json --fail-on slower:10% web.pcap"
)]
pub(crate) struct BenchArgs {
    /// Read the rules from a file or directory
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    pub rules: PathBuf,
    /// Captures: files, since they are read several times
    #[arg(value_name = "CAPTURE", required = true)]
    pub captures: Vec<PathBuf>,
    /// Set the addresses of the instance [default: inferred]
    #[arg(long, value_name = "ADDR|CIDR", value_delimiter = ',', value_parser = cidr, help_heading = "Rules")]
    pub local: Vec<IpNet>,
    /// Run everything N times and keep the fastest
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroUsize>, default_value = "5", help_heading = "Measurement")]
    pub runs: NonZeroUsize,
    /// Use N threads for the whole replay [default: one per processor]
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroUsize>, help_heading = "Measurement")]
    pub threads: Option<NonZeroUsize>,
    /// Limit the memory for the index of a rule list
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "64MiB",
        help_heading = "Rules",
        hide_short_help = true
    )]
    pub index_memory: ByteSize,
    /// Choose the output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub format: TextOrJson,
    /// Save the measurement to a file
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub save: Option<PathBuf>,
    /// Compare with a saved measurement
    ///
    /// Compare with a saved measurement of the same captures on the same machine
    #[arg(long, value_name = "FILE", help_heading = "CI")]
    pub compare: Option<PathBuf>,
    /// Exit 1 if a stage is this much slower
    ///
    /// Exit with status 1 if a stage is this much slower (with --compare)
    #[arg(long, value_name = "slower:PERCENT", value_parser = slower, help_heading = "CI")]
    pub fail_on: Option<BenchFailOn>,
}

/// What makes a measurement fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum BenchFailOn {
    /// A stage takes so many percent longer.
    Slower(f64),
}

fn slower(text: &str) -> Result<BenchFailOn, String> {
    let number = text.strip_prefix("slower:").map(|of| of.strip_suffix('%').unwrap_or(of));
    let percent = number.and_then(|number| number.parse().ok());
    let percent = percent.filter(|percent: &f64| percent.is_finite() && *percent >= 0.0);
    percent.map(BenchFailOn::Slower).ok_or_else(|| "expected a bound such as slower:10%".to_owned())
}
