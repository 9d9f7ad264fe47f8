//! The native module of the Python package: the engine, with its results as Arrow tables.
//!
//! It has no logic of its own. Options are parsed by the program's own argument parsers, results come from the functions
//! that the program prints them with, and the package has the program itself as its command. The Python side
//! (`sgreplay/__init__.py`) has the typed signatures.

// The program, of which these are parts.
#[path = "../../../bin/sgreplay/args.rs"]
mod args;
#[path = "../../../bin/sgreplay/captures.rs"]
mod captures;
#[path = "../../../bin/sgreplay/command/mod.rs"]
mod command;
#[path = "../../../bin/sgreplay/exit.rs"]
mod exit;
#[path = "../../../bin/sgreplay/input.rs"]
mod input;
#[path = "../../../bin/sgreplay/output.rs"]
mod output;
#[path = "../../../bin/sgreplay/program.rs"]
mod program;
#[path = "../../../bin/sgreplay/signals.rs"]
mod signals;
#[path = "../../../bin/sgreplay/terminal.rs"]
mod terminal;

// The package.
mod capsule;
mod connections;
mod error;
mod evaluate;
mod options;
mod packets;
mod parts;
mod replay;
mod reports;
mod rules;
mod running;
mod table;

use std::ffi::OsString;

use pyo3::prelude::*;

/// The native module.
#[pymodule]
mod _sgreplay {
    #[pymodule_export]
    use super::evaluate::evaluate;
    #[pymodule_export]
    use super::evaluate::rows::{rows_columns, rows_count, rows_evaluate, rows_warnings};
    #[pymodule_export]
    use super::parts::{
        parts_check, parts_check_both, parts_check_suggest, parts_compare, parts_compared,
        parts_extract, parts_judge, parts_merge, parts_overlap, parts_plan, parts_suggest,
        parts_whole,
    };
    #[pymodule_export]
    use super::replay::Replay;
    #[pymodule_export]
    use super::reports::{Answer, check, diff, suggest, test};
    #[pymodule_export]
    use super::rules::Rules;
    #[pymodule_export]
    use super::run_program;
    #[pymodule_export]
    use super::table::{Stream, Table};

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::error::add(module)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

/// Runs the program with a command line, its name first; the exit status.
#[pyfunction]
fn run_program(py: Python<'_>, words: Vec<OsString>) -> u8 {
    py.detach(|| match program::main(words) {
        exit::ExitStatus::Done => 0,
        exit::ExitStatus::Failed => 1,
        exit::ExitStatus::CouldNot => 2,
    })
}
