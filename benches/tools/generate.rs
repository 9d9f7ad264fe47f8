//! Writes a large capture or rules file for measuring; the same arguments give the same bytes.
//!
//! `cargo run --release -p sgreplay-tools --bin generate -- capture OUT.pcap [PACKETS] [FLOWS] [small]`
//! `cargo run --release -p sgreplay-tools --bin generate -- rules OUT.yaml [RULES]`

#[path = "../support/mod.rs"]
mod support;

use std::fs::File;
use std::io::{BufWriter, Write};

use support::traffic::{Sizes, write_capture};

const USAGE: &str =
    "usage: generate capture OUT [PACKETS] [FLOWS] [small] | generate rules OUT [RULES]";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |position: usize, default: u64| args.get(position).map_or(Ok(default), |n| n.parse());
    match (args.first().map(String::as_str), args.get(1)) {
        (Some("capture"), Some(path)) => {
            let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
            let sizes = match args.get(4).map(String::as_str) {
                None => Sizes::Mixed,
                Some("small") => Sizes::Small,
                Some(_) => return Err(USAGE.into()),
            };
            let (packets, flows) = (number(2, 2_000_000)?, number(3, 20_000)?);
            write_capture(&mut out, packets, flows, sizes)?;
            Ok(out.flush()?)
        }
        (Some("rules"), Some(path)) => {
            let rules = support::rules::rules_file(usize::try_from(number(2, 200)?)?);
            Ok(std::fs::write(path, rules)?)
        }
        _ => Err(USAGE.into()),
    }
}
