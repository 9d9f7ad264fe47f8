//! The arguments of `sgreplay ci`.

use std::path::PathBuf;

use clap::ValueEnum;

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 1 if the proposal fails.

The file, with everything that it may say; paths are relative to it:
  proposed: proposed.yaml
  current: current.yaml              # optional; without it only check and expectations
  plan: plan.json                    # a Terraform plan, instead of both
  captures: [monday.pcap]            # optional; without them the exact difference alone
  expectations: expectations.yaml    # optional
  accept: accepted.yaml              # optional: changes that were looked at
  fail_on: [newly-denied, new-error, expectations]
                                     # also: newly-allowed, new-warning, error, warning
  local: 10.0.0.5                    # as --local, --decap, --filter, --as-named, --interface in diff
  interfaces: {eni-web: web.pcap}
  allow_truncated: false
  max_unevaluated: 1                 # percent
  markdown: summary.md               # written beside the text
  sarif: sgreplay.sarif
  junit: sgreplay.xml")]
pub(crate) struct CiArgs {
    /// The file that says what is asked
    #[arg(value_name = "FILE", default_value = "sgreplay.yaml")]
    pub file: PathBuf,
    /// The proposed rules, whatever the file says
    #[arg(long, value_name = "FILE")]
    pub proposed: Option<PathBuf>,
    /// The rules as they are, whatever the file says
    #[arg(long, value_name = "FILE")]
    pub current: Option<PathBuf>,
    /// A Terraform plan (`terraform show -json`) that has both, whatever the file says
    #[arg(long, value_name = "FILE", conflicts_with_all = ["proposed", "current"])]
    pub plan: Option<PathBuf>,
    /// Write a summary in Markdown, for a pull request
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Write findings and changes as SARIF
    #[arg(long, value_name = "FILE")]
    pub sarif: Option<PathBuf>,
    /// Write the outcome as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Text for people, json for programs, markdown for a pull request
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub format: CiFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CiFormat {
    Text,
    Json,
    Markdown,
}
