//! The program: parse, dispatch, exit.
#![forbid(unsafe_code)]

mod args;
mod captures;
mod command;
mod exit;
mod input;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use exit::{ExitStatus, Failure};
use terminal::Words;

fn main() -> ExitCode {
    let Args { quiet, verbose, command } = Args::parse();
    terminal::set(match (quiet, verbose) {
        (true, _) => Words::Few,
        (_, true) => Words::All,
        _ => Words::Usual,
    });
    let done = match command {
        Command::Replay(args) => command::replay::run(&args),
        Command::Diff(args) => command::diff::run(&args),
        Command::Check(args) => command::check::run(&args),
        Command::Test(args) => command::test::run(&args),
        Command::Suggest(args) => command::suggest::run(&args),
        Command::Ci(args) => command::ci::run(&args),
        Command::Convert(args) => command::convert::run(&args),
        Command::Explain(args) => command::explain::run(&args),
        Command::Decode(args) => command::decode::run(&args),
        Command::Bench(args) => command::bench::run(&args),
        Command::Scenarios(args) => command::scenarios::run(&args),
        Command::Services(args) => command::services::run(&args),
    };
    match done {
        Ok(status) => status.into(),
        // Whoever reads the output has seen enough: `sgreplay … | head`.
        Err(Failure::ClosedPipe) => ExitStatus::Done.into(),
        Err(failure) => {
            terminal::complain(&format!("error: {failure}"));
            ExitStatus::CouldNot.into()
        }
    }
}
