//! What a release has beside the program: man pages and completions, made from its own command line.
//!
//! `cargo run --example extras -- FOLDER` writes `man/*.1` and `completions/*` into the folder.

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::CommandFactory;
use clap_complete::Shell;

#[path = "../../src/bin/sgreplay/args.rs"]
#[expect(dead_code, reason = "only the shape of the command line is asked for")]
mod args;

fn main() -> io::Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| io::Error::other("name the folder to write to"))?;
    let (man, completions) = (folder.join("man"), folder.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    let mut command = args::Args::command().disable_help_subcommand(true);
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut command, "sgreplay", &completions)?;
    }
    // A page for the program, and one for each of its verbs.
    clap_mangen::generate_to(command, &man)
}
