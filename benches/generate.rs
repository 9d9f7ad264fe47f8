//! Writes a large capture for measuring: `cargo run --release --example generate -- OUT [PACKETS] [FLOWS]`.
//!
//! The same arguments give the same bytes.

mod support;

use std::fs::File;
use std::io::{BufWriter, Write};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: generate OUT [PACKETS] [FLOWS]")?;
    let packets = args.next().map_or(Ok(2_000_000), |n| n.parse())?;
    let flows: u64 = args.next().map_or(Ok(20_000), |n| n.parse())?;
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    support::traffic::write_capture(&mut out, packets, flows)?;
    Ok(out.flush()?)
}
