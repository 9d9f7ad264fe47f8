//! `sgreplay man`: manual pages.

use std::io::Write;

use clap::{Command, CommandFactory};
use sgreplay::rules::listed;

use crate::args::Args;
use crate::exit::{ExitStatus, Failure};
use crate::output::stdout;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  sgreplay man replay | man -l -")]
pub(crate) struct ManArgs {
    /// Command to document [default: the program itself]
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
}

pub(crate) fn run(args: &ManArgs) -> Result<ExitStatus, Failure> {
    let mut program = Args::command().disable_help_subcommand(true);
    // So that each page names the command as it is typed.
    program.build();
    let page = match &args.command {
        None => program,
        Some(name) => named(&program, name)?,
    };
    let mut roff = Vec::new();
    clap_mangen::Man::new(page).render(&mut roff)?;
    let mut out = stdout();
    out.write_all(&roff)?;
    out.flush()?;
    Ok(ExitStatus::Done)
}

fn named(program: &Command, name: &str) -> Result<Command, Failure> {
    program.find_subcommand(name).cloned().ok_or_else(|| {
        let names: Vec<&str> = program.get_subcommands().map(Command::get_name).collect();
        Failure::Usage(format!("there is no command `{name}`; there are: {}", listed(&names)))
    })
}
