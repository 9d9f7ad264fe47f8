//! The program as a function of its command line: parse, dispatch, exit.

use std::ffi::OsString;
use std::io::{self, Write};
use std::sync::OnceLock;

use clap::{ArgMatches, ColorChoice, CommandFactory, FromArgMatches, ValueEnum};
use sgreplay::{escape, report};

use crate::args::{Args, Command};
use crate::exit::{ExitStatus, Failure};
use crate::output::{Named, Outputs};
use crate::terminal::{self, Words};
use crate::{command, output, signals};

/// The command line: that of the process belongs to an interpreter where one runs the program.
static WORDS: OnceLock<Vec<OsString>> = OnceLock::new();

/// The words behind the program's name.
pub(crate) fn words() -> impl Iterator<Item = &'static OsString> {
    WORDS.get().into_iter().flatten().skip(1)
}

/// Runs a command line, the program's name first, and says how the process ends.
pub(crate) fn main(words: Vec<OsString>) -> ExitStatus {
    signals::watch();
    let (mut args, matches) = match parse(WORDS.get_or_init(|| words)) {
        Ok(parsed) => parsed,
        Err(error) => return say_usage(&error),
    };
    let Args { quiet, verbose, .. } = args;
    terminal::set_color(args.color);
    args.timezone.iter().cloned().for_each(report::set_time_zone);
    terminal::set(match (quiet, verbose) {
        (true, _) => Words::Few,
        (_, true) => Words::All,
        _ => Words::Usual,
    });
    let taken = args.command.take_rules();
    match taken.and_then(|()| run(&args.command, quiet, Named::of(&matches))) {
        Ok(status) => status,
        // The reader has closed the pipe: `sgreplay … | head`.
        Err(Failure::ClosedPipe) => ExitStatus::Done,
        Err(Failure::StandardError(message)) => {
            // Nothing can be done about a standard output that does not take it.
            let _ = writeln!(io::stdout(), "sgreplay: error: {}", escape::line(&message));
            ExitStatus::CouldNot
        }
        Err(failure) => {
            terminal::complain(&failure);
            ExitStatus::CouldNot
        }
    }
}

fn run(command: &Command, quiet: bool, named: Named) -> Result<ExitStatus, Failure> {
    output::goes_on_without_reader(command.has_gate() || named.writes());
    let mut outputs = Outputs::new(named, command.prints(quiet))?;
    match command {
        Command::Replay(args) => command::replay::run(args, &mut outputs),
        Command::Diff(args) => command::diff::run(args, &mut outputs),
        Command::Check(args) => command::check::run(args),
        Command::Test(args) => command::test::run(args),
        Command::Suggest(args) => command::suggest::run(args),
        Command::Init(args) => command::init::run(args),
        Command::Ci(args) => command::ci::run(args, &mut outputs),
        Command::Convert(args) => command::convert::run(args),
        Command::Explain(args) => command::explain::run(args),
        Command::Decode(args) => command::decode::run(args),
        Command::Bench(args) => command::bench::run(args, &mut outputs),
        Command::Scenarios(args) => command::scenarios::run(args),
        Command::Services(args) => command::services::run(args),
        Command::Schema(args) => command::schema::run(args),
        Command::Completions(args) => command::completions::run(args),
        Command::Man(args) => command::man::run(args),
    }
}

fn parse(words: &[OsString]) -> Result<(Args, ArgMatches), clap::Error> {
    let read = |words: &[OsString]| {
        let command = Args::command().color(color(words));
        let matches = command.try_get_matches_from(words)?;
        let mut taken = matches.clone();
        let args = Args::from_arg_matches_mut(&mut taken);
        Ok((args.map_err(|error| error.format(&mut Args::command()))?, matches))
    };
    read(words).map_err(|error: clap::Error| {
        // The message repeats words; it is that of the same words as they can be shown.
        let shown: Vec<OsString> =
            words.iter().map(|word| escape::line(&escape::os(word)).into_owned().into()).collect();
        if shown == words { error } else { read(&shown).err().unwrap_or(error) }
    })
}

/// The word behind `--color`, which messages about the command line itself need before it is parsed.
fn color(words: &[OsString]) -> ColorChoice {
    let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let given = words.iter().enumerate().find_map(|(n, word)| match *word {
        "--color" => words.get(n + 1).copied(),
        word => word.strip_prefix("--color="),
    });
    given.and_then(|word| ColorChoice::from_str(word, true).ok()).unwrap_or(ColorChoice::Auto)
}

/// Prints help, the version, or what is wrong with the command line.
fn say_usage(error: &clap::Error) -> ExitStatus {
    let printed = error.print().and_then(|()| io::stdout().flush());
    match printed {
        _ if error.use_stderr() => ExitStatus::CouldNot,
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            terminal::complain(&Failure::Output(error));
            ExitStatus::CouldNot
        }
        _ => ExitStatus::Done,
    }
}
