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
  accept: accepted.yaml              # optional: approved changes
  fail_on: [newly-denied, new-error, expectations]
                                     # also: newly-allowed, new-warning, error, warning
  local: 10.0.0.5                    # as --local, --decap, --filter, --as-named, --interface in diff
  interfaces: {eni-web: web.pcap}
  allow_truncated: false
  max_unevaluated: 1                 # percent
  markdown: summary.md               # written beside the text
  sarif: sgreplay.sarif
  code_quality: gl-code-quality.json # GitLab
  junit: sgreplay.xml")]
pub(crate) struct CiArgs {
    /// Configuration: what to check and what fails [default: sgreplay.yaml]
    ///
    /// Configuration: what to check and what fails [default: sgreplay.yaml]. Where there is no sgreplay.yaml, --plan, or
    /// --current and --proposed together, are compared over all possible packets, and newly denied ones and new errors fail.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Override the proposed rules
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    pub proposed: Option<PathBuf>,
    /// Override the current rules
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    pub current: Option<PathBuf>,
    /// Read both rule sets from a Terraform plan (`terraform show -json`)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["proposed", "current"], help_heading = "Rules")]
    pub plan: Option<PathBuf>,
    /// Write a Markdown summary, for a pull request
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub markdown: Option<PathBuf>,
    /// Write findings and changes as SARIF
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub sarif: Option<PathBuf>,
    /// Write findings and changes as a GitLab code quality report
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub code_quality: Option<PathBuf>,
    /// Print annotations for GitHub after the text
    ///
    /// Print GitHub's workflow commands (`::error file=…`) after the text, which show findings and changes beside the
    /// lines of a pull request. Needs the text format.
    #[arg(long, value_name = "HOST", help_heading = "Output")]
    pub annotations: Option<Annotations>,
    /// Write results as JUnit XML
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub junit: Option<PathBuf>,
    /// Choose the output format
    ///
    /// Choose the output format: text for people, json for programs, markdown for a pull request
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub format: CiFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Annotations {
    Github,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CiFormat {
    Text,
    Json,
    Markdown,
}
