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
    /// The rules
    #[arg(long, value_name = "FILE")]
    pub rules: PathBuf,
    /// The captures: files, since they are read several times
    #[arg(value_name = "CAPTURE", required = true)]
    pub captures: Vec<PathBuf>,
    /// Addresses of the one interface, where the rules file lists none; else they are inferred
    #[arg(long, value_name = "ADDR|CIDR", value_delimiter = ',', value_parser = cidr)]
    pub local: Vec<IpNet>,
    /// How often everything is run; the fastest counts
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroUsize>, default_value = "5")]
    pub runs: NonZeroUsize,
    /// How many threads the whole replay has; as many as there are processors if not given
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroUsize>)]
    pub threads: Option<NonZeroUsize>,
    /// The most memory that the index of one interface's rules in one direction takes
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    pub index_memory: ByteSize,
    /// Text for people, json for programs
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub format: TextOrJson,
    /// Keep the measurement in a file
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Hold it against one that was kept, of the same captures on the same machine
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
    /// With --compare: exit with status 1 if a stage takes so much longer
    #[arg(long, value_name = "slower:PERCENT", value_parser = slower)]
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
