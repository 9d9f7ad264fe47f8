//! `sgreplay scenarios`: the documented use cases, as ready rules files.

use std::io::Write;

use serde_json::json;
use sgreplay::parse;
use sgreplay::report::{Cell, Rows, SCHEMA, table};
use sgreplay::rules::scenarios::Scenario;

use super::{row_format, schema, stdout};
use crate::args::Format;
use crate::command::judging::setting;
use crate::exit::{ExitStatus, Failure};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sgreplay scenarios
  sgreplay scenarios database
  sgreplay scenarios web-server --source 203.0.113.0/24 > web.yaml
  sgreplay scenarios restrict-external-sites --set http=192.0.2.10 --set https=192.0.2.11")]
pub(crate) struct ScenariosArgs {
    /// Scenario to print as a rules file, or a word to search for
    #[arg(value_name = "ID|WORD")]
    pub id: Option<String>,
    /// Set the source of ingress rules
    #[arg(long, value_name = "CIDR", requires = "id", help_heading = "Values")]
    pub source: Option<String>,
    /// Set the destination of egress rules
    #[arg(long, value_name = "CIDR", requires = "id", help_heading = "Values")]
    pub destination: Option<String>,
    /// Set the peer group: sg-…, account/sg-…
    #[arg(long, value_name = "GROUP", requires = "id", help_heading = "Values")]
    pub group: Option<String>,
    /// Set the ports
    #[arg(long, value_name = "PORTS", requires = "id", help_heading = "Values")]
    pub ports: Option<String>,
    /// Set any value, by the name in the list
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting, requires = "id", help_heading = "Values")]
    pub values: Vec<(String, String)>,
    /// Choose the output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub format: Format,
}

const COLUMNS: [&str; 4] = ["scenario", "from", "title", "values"];

pub(crate) fn run(args: &ScenariosArgs) -> Result<ExitStatus, Failure> {
    if let Some(id) = &args.id
        && let Ok(scenario) = Scenario::named(id)
    {
        return one(args, &scenario);
    }
    let all = Scenario::all();
    let chosen: Vec<&Scenario> = match &args.id {
        None => all.iter().collect(),
        Some(word) => {
            let has = |text: &str| text.to_lowercase().contains(&word.to_lowercase());
            let fits = |one: &&Scenario| has(&one.id) || has(&one.title) || has(&one.rules);
            all.iter().filter(fits).collect()
        }
    };
    if let (Some(word), []) = (&args.id, chosen.as_slice()) {
        let near = Scenario::named(word).err().flatten();
        let hint = near.map_or_else(
            || "`sgreplay scenarios` lists them".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        return Err(Failure::Usage(format!("there is no scenario `{word}`; {hint}")));
    }
    let values = |one: &Scenario| {
        let values = one.values.iter().map(|(name, value)| format!("{name}={value}"));
        values.collect::<Vec<_>>().join(" ")
    };
    let Some(format) = row_format(args.format) else {
        let mut lines = vec![COLUMNS.map(str::to_owned).to_vec()];
        lines.extend(
            chosen
                .iter()
                .map(|one| vec![one.id.clone(), one.from.clone(), one.title.clone(), values(one)]),
        );
        let mut out = stdout();
        write!(out, "{}", table(&lines))?;
        out.flush()?;
        return Ok(ExitStatus::Done);
    };
    let mut rows = Rows::new(stdout(), format, "scenario", &COLUMNS)?;
    for one in &chosen {
        let cells =
            [&one.id, &one.from, &one.title, &values(one)].map(|text| Cell::Owned(text.clone()));
        rows.row(&cells)?;
    }
    rows.finish(&json!({"schema": SCHEMA, "scenarios": chosen.len()}))?;
    Ok(ExitStatus::Done)
}

fn one(args: &ScenariosArgs, scenario: &Scenario) -> Result<ExitStatus, Failure> {
    let mut values = args.values.clone();
    let named = [
        ("source", &args.source),
        ("destination", &args.destination),
        ("group", &args.group),
        ("ports", &args.ports),
    ];
    values.extend(
        named.into_iter().filter_map(|(name, value)| {
            value.as_ref().map(|value| (name.to_owned(), value.clone()))
        }),
    );
    let text = scenario.rules_file(&values).map_err(|error| Failure::Usage(error.to_string()))?;
    // A value that is no address should not make a file that nobody can read.
    parse::yaml(&scenario.id, &text)?;
    let mut out = stdout();
    out.write_all(schema::modeline("rules").as_bytes())?;
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(ExitStatus::Done)
}
