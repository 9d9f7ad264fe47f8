//! `sgreplay services`: the common ports.

use std::io::Write;

use serde_json::json;
use sgreplay::report::{Cell, Rows, SCHEMA, table};
use sgreplay::rules::services::{SERVICES, Service, ports};

use super::{row_format, stdout};
use crate::args::Format;
use crate::exit::{ExitStatus, Failure};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sgreplay services
  sgreplay services 3306")]
pub(crate) struct ServicesArgs {
    /// Service to show, by name or port
    #[arg(value_name = "NAME|PORT")]
    pub which: Option<String>,
    /// Choose the output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub format: Format,
}

const COLUMNS: [&str; 4] = ["service", "proto", "ports", "note"];

pub(crate) fn run(args: &ServicesArgs) -> Result<ExitStatus, Failure> {
    let chosen = chosen(args.which.as_deref())?;
    let lines = chosen.iter().flat_map(|service| {
        service.ports.iter().map(|(proto, range)| {
            let ports = if range.first() == range.last() {
                range.first().to_string()
            } else {
                range.to_string()
            };
            [service.name.to_owned(), proto.to_string(), ports, service.note.to_owned()]
        })
    });
    let Some(format) = row_format(args.format) else {
        let header = COLUMNS.map(str::to_owned);
        let lines: Vec<Vec<String>> = std::iter::once(header).chain(lines).map(Vec::from).collect();
        let mut out = stdout();
        write!(out, "{}", table(&lines))?;
        out.flush()?;
        return Ok(ExitStatus::Done);
    };
    let mut rows = Rows::new(stdout(), format, "service", &COLUMNS)?;
    for line in lines {
        rows.row(&line.map(Cell::Owned))?;
    }
    rows.finish(&json!({"schema": SCHEMA, "services": chosen.len()}))?;
    Ok(ExitStatus::Done)
}

fn chosen(which: Option<&str>) -> Result<Vec<&'static Service>, Failure> {
    let Some(which) = which else { return Ok(SERVICES.iter().collect()) };
    let wanted = match which.parse::<u16>() {
        Ok(port) => return Ok(of_port(port)),
        Err(_) => ports(which, None).map_err(|error| Failure::Usage(error.to_string()))?,
    };
    let fits = |service: &&Service| service.ports.iter().any(|(_, range)| wanted.contains(range));
    Ok(SERVICES.iter().filter(fits).collect())
}

fn of_port(port: u16) -> Vec<&'static Service> {
    SERVICES.iter().filter(|s| s.ports.iter().any(|(_, range)| range.contains(port))).collect()
}
