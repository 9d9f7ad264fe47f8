//! `sgreplay decode`: the tuples alone.

use std::io::Write;

use serde_json::json;
use sgreplay::decode::embedded;
use sgreplay::report::{
    DECODE_COLUMNS, EMBEDDED_COLUMNS, Rows, SCHEMA, decode_cells, embedded_cells, packet_line,
};
use sgreplay::sources::{Ended, Input};

use super::{ended, row_format, stdout, warnings};
use crate::args::Format;
use crate::captures::{CaptureArgs, Captures};
use crate::exit::{ExitStatus, Failure};
use crate::terminal;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sgreplay decode web.pcap
  sgreplay decode --decap vxlan -f csv mirror.pcap > tuples.csv")]
pub(crate) struct DecodeArgs {
    #[command(flatten)]
    pub capture: CaptureArgs,
    /// Choose the output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub format: Format,
    /// Add columns for the packet that an ICMP error quotes
    ///
    /// Add columns for the packet that an ICMP error quotes (text always shows it)
    #[arg(long, help_heading = "Output")]
    pub embedded: bool,
}

pub(crate) fn run(args: &DecodeArgs) -> Result<ExitStatus, Failure> {
    let captures = Captures::new(&args.capture)?;
    let tunnels = captures.tunnels();
    let Some(format) = row_format(args.format) else {
        let mut out = stdout();
        let mut start = None;
        let end = captures.read(|inputs| {
            for Input { frame, decoded, .. } in inputs.iter().filter(|input| input.selected) {
                start = start.or(frame.time_ns);
                let embedded = embedded(frame.link, frame.data, &tunnels);
                writeln!(out, "{}", packet_line(frame, decoded, embedded.as_ref(), start, None))?;
            }
            Ok(())
        })?;
        out.flush()?;
        return warned(&end);
    };
    let mut columns = DECODE_COLUMNS.to_vec();
    if args.embedded {
        columns.extend(EMBEDDED_COLUMNS);
    }
    let mut rows = Rows::new(stdout(), format, "packet", &columns)?;
    let mut packets = 0_u64;
    let end = captures.read(|inputs| {
        for Input { frame, decoded, .. } in inputs.iter().filter(|input| input.selected) {
            packets += 1;
            let cells = decode_cells(frame, decoded);
            if args.embedded {
                let embedded = embedded(frame.link, frame.data, &tunnels);
                rows.row(&[&cells[..], &embedded_cells(embedded.as_ref())].concat())?;
            } else {
                rows.row(&cells)?;
            }
        }
        Ok(())
    })?;
    rows.finish(&json!({"schema": SCHEMA, "packets": packets, "captures": &end.inputs}))?;
    warned(&end)
}

/// Tells the user how reading ended, and of times that are not shown.
fn warned(end: &Ended) -> Result<ExitStatus, Failure> {
    if let Some(warning) = warnings::unusable_times(end) {
        terminal::say(&format!("warning: {warning}"));
    }
    ended(end)
}
