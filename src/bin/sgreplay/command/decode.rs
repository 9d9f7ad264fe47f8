//! `sgreplay decode`: the tuples alone.

use std::io::Write;

use serde_json::json;
use sgreplay::report::{DECODE_COLUMNS, Rows, SCHEMA, decode_cells, packet_line};

use super::{ended, row_format, stdout};
use crate::args::DecodeArgs;
use crate::exit::{ExitStatus, Failure};
use crate::input::Captures;

pub(crate) fn run(args: &DecodeArgs) -> Result<ExitStatus, Failure> {
    let captures = Captures::new(&args.capture)?;
    let Some(format) = row_format(args.format) else {
        let mut out = stdout();
        let mut start = None;
        let end = captures.read(false, |frames| {
            for (frame, decoded) in frames {
                let start = *start.get_or_insert(frame.time_ns.unwrap_or_default());
                writeln!(out, "{}", packet_line(frame, decoded, start, None, None))?;
            }
            Ok(())
        })?;
        out.flush()?;
        return ended(end);
    };
    let mut rows = Rows::new(stdout(), format, "packet", DECODE_COLUMNS.to_vec())?;
    let mut packets = 0_u64;
    let end = captures.read(false, |frames| {
        for (frame, decoded) in frames {
            packets += 1;
            rows.row(&decode_cells(frame, decoded))?;
        }
        Ok(())
    })?;
    rows.finish(&json!({"schema": SCHEMA, "packets": packets, "captures": &end.inputs}))?;
    ended(end)
}
