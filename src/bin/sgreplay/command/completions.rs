//! `sgreplay completions`: what a shell completes.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Args;
use crate::exit::{ExitStatus, Failure};
use crate::output::stdout;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sgreplay completions bash > ~/.local/share/bash-completion/completions/sgreplay
  sgreplay completions zsh > ~/.zfunc/_sgreplay")]
pub(crate) struct CompletionsArgs {
    /// Shell: bash, elvish, fish, powershell or zsh
    pub shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> Result<ExitStatus, Failure> {
    let mut script = Vec::new();
    let mut command = Args::command().disable_help_subcommand(true);
    clap_complete::generate(args.shell, &mut command, "sgreplay", &mut script);
    let mut out = stdout();
    out.write_all(&script)?;
    out.flush()?;
    Ok(ExitStatus::Done)
}
