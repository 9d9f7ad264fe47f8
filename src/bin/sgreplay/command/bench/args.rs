//! The arguments of `sgreplay bench`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use ipnet::IpNet;
use sgreplay::report::{Bound, Metric};

use crate::args::{TextOrJson, cidr, whole};

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "sgreplay bench [OPTIONS] --rules <RULES> <CAPTURE>…",
    after_help = "Stages: read and decode; list, index and index in batches ask for every packet by itself; session
judges as replay does, with sessions; all is the whole replay on all threads. Stages are measured by CPU time, so
that other programs on the machine disturb them little; elapsed is the whole replay by the clock on the wall.

Examples:
  sgreplay bench --rules web.yaml --save before.json web.pcap
  sgreplay bench --rules web.yaml --compare before.json --fail-on slower:10% web.pcap
  sgreplay bench --rules web.yaml --against-program old/sgreplay --fail-on slower:5% web.pcap
  sgreplay bench --rules new.yaml --against-rules old.yaml web.pcap"
)]
pub(crate) struct BenchArgs {
    /// Read the rules from a file or directory
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    pub rules: Option<PathBuf>,
    /// Captures: files, since they are read several times
    #[arg(value_name = "CAPTURE", required = true)]
    pub captures: Vec<PathBuf>,
    /// Set the addresses of the instance [default: inferred]
    #[arg(long, value_name = "ADDR|CIDR", value_delimiter = ',', value_parser = cidr, help_heading = "Rules")]
    pub local: Vec<IpNet>,
    /// Measure in N processes [default: as many as it takes]
    ///
    /// Measure in N processes of each side, one after the other [default: until every stage has an answer, at least
    /// 10 in turns and 20 otherwise; without a comparison until the spread is small]
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroUsize>, help_heading = "Measurement")]
    pub runs: Option<NonZeroUsize>,
    /// Stop measuring after so many seconds
    ///
    /// Stop measuring after so many seconds: stages without an answer are then reported as "cannot tell", which
    /// passes no gate
    #[arg(
        long,
        value_name = "SECONDS",
        value_parser = seconds,
        default_value = "60",
        help_heading = "Measurement"
    )]
    pub time_limit: Duration,
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
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "CI",
        conflicts_with_all = ["against_program", "against_rules"]
    )]
    pub compare: Option<PathBuf>,
    /// Compare with another sgreplay, measured in turns
    ///
    /// Compare with another sgreplay: both are measured in turns, so that what else the machine does falls on both
    #[arg(long, value_name = "FILE", help_heading = "CI", conflicts_with = "against_rules")]
    pub against_program: Option<PathBuf>,
    /// Compare with other rules, measured in turns
    #[arg(long, value_name = "FILE", help_heading = "CI")]
    pub against_rules: Option<PathBuf>,
    /// Exit 1 if a stage is slower, e.g. slower:10%
    ///
    /// Exit 1 if a stage takes so much more: slower:10% of CPU time, elapsed:10% of the time on the wall,
    /// instructions:5% where the machine counts them. May be repeated. Exit 2 if the samples do not tell.
    #[arg(long, value_name = "METRIC:PERCENT", value_delimiter = ',', value_parser = bound, help_heading = "CI")]
    pub fail_on: Vec<Bound>,
    /// Compare with a measurement of another machine
    ///
    /// Have --fail-on judge by a saved measurement of another machine, whose times are others anyway
    #[arg(long, help_heading = "CI", hide_short_help = true)]
    pub other_machine: bool,
    /// Measure in this process and print its samples: how `bench` starts itself
    #[arg(long, hide = true)]
    pub turn: bool,
}

impl BenchArgs {
    /// Whether there is something to compare with.
    pub(super) fn compares(&self) -> bool {
        self.compare.is_some() || self.against_program.is_some() || self.against_rules.is_some()
    }

    /// The rules, which [`Command::take_rules`] has taken from the captures where no option names them.
    ///
    /// [`Command::take_rules`]: crate::args::Command::take_rules
    pub(super) fn rules(&self) -> &Path {
        self.rules.as_deref().unwrap_or(Path::new(""))
    }
}

fn bound(text: &str) -> Result<Bound, String> {
    let expected =
        || "expected a bound such as slower:10%, elapsed:10% or instructions:5%".to_owned();
    let (name, number) = text.split_once(':').ok_or_else(expected)?;
    let metric = Metric::ALL.into_iter().find(|metric| metric.as_str() == name);
    let percent = number.strip_suffix('%').unwrap_or(number).parse().ok();
    let percent = percent.filter(|percent: &f64| percent.is_finite() && *percent >= 0.0);
    let (metric, percent) = metric.zip(percent).ok_or_else(expected)?;
    Ok(Bound { metric, percent })
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.strip_suffix('s').unwrap_or(text).parse().ok();
    let seconds = seconds.filter(|seconds: &f64| *seconds > 0.0);
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "expected a number of seconds, such as 60".to_owned())
}
