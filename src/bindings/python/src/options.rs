//! Options, as the program's own parsers take them.

use clap::{Args, Command};
use pyo3::prelude::*;

use crate::error;
use crate::terminal::{self, Words};

/// Parses words that the Python side has made of keyword arguments.
pub(crate) fn parse<T: Args>(words: &[String]) -> PyResult<T> {
    // The program's functions have nothing to say on standard error here.
    terminal::set(Words::Few);
    let command =
        T::augment_args(Command::new("sgreplay").no_binary_name(true).disable_help_flag(true));
    let matches = command.try_get_matches_from(words).map_err(|error| wrong(&error))?;
    T::from_arg_matches(&matches).map_err(|error| wrong(&error))
}

/// What is wrong, without the usage of a command line.
fn wrong(error: &clap::Error) -> PyErr {
    let text = error.to_string();
    let message = text.split("\n\n").next().unwrap_or_default();
    error::plain(message.strip_prefix("error: ").unwrap_or(message).trim())
}
