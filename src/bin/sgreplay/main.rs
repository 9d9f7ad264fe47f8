//! The program.
#![forbid(unsafe_code)]

mod args;
mod captures;
mod command;
mod exit;
mod input;
mod output;
mod program;
mod signals;
mod terminal;

use std::process::ExitCode;

fn main() -> ExitCode {
    program::main(std::env::args_os().collect()).into()
}
