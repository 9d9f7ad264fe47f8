//! `sgreplay schema`: JSON Schemas of files and of output.

use std::io::Write;

use clap::builder::PossibleValuesParser;
use sgreplay::report::table;

use super::stdout;
use crate::exit::{ExitStatus, Failure};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "A YAML language server uses the schema that the first line of a file names:
  # yaml-language-server: $schema=.sgreplay/rules.schema.json

Examples:
  sgreplay schema
  mkdir .sgreplay; sgreplay schema rules > .sgreplay/rules.schema.json
  sgreplay schema replay"
)]
pub(crate) struct SchemaArgs {
    /// Schema to print; without it they are listed
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(ALL.map(|(name, ..)| name)), hide_possible_values = true)]
    pub name: Option<String>,
}

/// Names, what has the form, and the schemas, which are generated and tested in `tests/it/schemas`.
const ALL: [(&str, &str, &str); 16] = [
    ("rules", "rules file", include_str!("../../../manual/schemas/rules.json")),
    (
        "assertions",
        "file of `sgreplay test`",
        include_str!("../../../manual/schemas/assertions.json"),
    ),
    ("ci", "file of `sgreplay ci`", include_str!("../../../manual/schemas/ci.json")),
    ("accept", "file of --accept", include_str!("../../../manual/schemas/accept.json")),
    ("replay", "replay -f json", include_str!("../../../manual/schemas/replay.json")),
    ("diff", "diff -f json", include_str!("../../../manual/schemas/diff.json")),
    ("check", "check -f json", include_str!("../../../manual/schemas/check.json")),
    ("test", "test -f json", include_str!("../../../manual/schemas/test.json")),
    ("ci-result", "ci -f json", include_str!("../../../manual/schemas/ci-result.json")),
    ("explain", "explain -f json", include_str!("../../../manual/schemas/explain.json")),
    ("suggest", "suggest -f json", include_str!("../../../manual/schemas/suggest.json")),
    ("bench", "bench -f json, and its --save", include_str!("../../../manual/schemas/bench.json")),
    ("decode", "decode -f json", include_str!("../../../manual/schemas/decode.json")),
    ("scenarios", "scenarios -f json", include_str!("../../../manual/schemas/scenarios.json")),
    ("services", "services -f json", include_str!("../../../manual/schemas/services.json")),
    ("ndjson", "a line of -f ndjson", include_str!("../../../manual/schemas/ndjson.json")),
];

/// The line by which a YAML language server finds the schema beside a file.
pub(crate) fn modeline(name: &str) -> String {
    format!("# yaml-language-server: $schema={}\n", file(name))
}

/// The file that [`modeline`] names.
pub(crate) fn file(name: &str) -> String {
    format!(".sgreplay/{name}.schema.json")
}

/// A schema by its name; empty where there is none.
pub(crate) fn text(name: &str) -> &'static str {
    ALL.iter().find(|(known, ..)| *known == name).map_or("", |(.., text)| text)
}

pub(crate) fn run(args: &SchemaArgs) -> Result<ExitStatus, Failure> {
    let mut out = stdout();
    if let Some(name) = &args.name {
        out.write_all(text(name).as_bytes())?;
    } else {
        let mut lines = vec![["schema", "of"].map(str::to_owned).to_vec()];
        lines.extend(ALL.iter().map(|(name, of, _)| vec![(*name).to_owned(), (*of).to_owned()]));
        write!(out, "{}", table(&lines))?;
    }
    out.flush()?;
    Ok(ExitStatus::Done)
}
