//! `--live`: a row for each connection as it opens, and the counts so far on a terminal.

use std::io::Write;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use sgreplay::capture::Frame;
use sgreplay::decode::{Decoded, Tunnels, embedded};
use sgreplay::labels::Labels;
use sgreplay::replay::Replay;
use sgreplay::report::{
    PacketAnswer, RowFormat, RowStyle, count, decode_cells, packet_line, plural, verdict_cells,
};
use sgreplay::verdict::Judged;

use super::print::packet_columns;
use crate::exit::Failure;
use crate::output::{Stdout, stdout};
use crate::terminal;

/// Counting takes no more than this part of the time.
const PART: u32 = 20;

/// The packets that open connections, as they come.
pub(super) struct Live<'l> {
    out: Stdout,
    /// How rows are written for programs; `None` for people.
    style: Option<RowStyle>,
    labels: &'l Labels,
    tunnels: Tunnels,
    start: Option<u64>,
    /// Rows since the last pause.
    rows: Vec<u8>,
    counts: ProgressBar,
    /// When the counts were made last, and how long that took.
    counted: Option<(Instant, Duration)>,
}

impl<'l> Live<'l> {
    pub(super) fn new(for_programs: bool, labels: &'l Labels, tunnels: Tunnels) -> Self {
        Self {
            out: stdout(),
            style: for_programs
                .then(|| RowStyle::new(RowFormat::Ndjson, "packet", &packet_columns())),
            labels,
            tunnels,
            start: None,
            rows: Vec::new(),
            counts: terminal::counts(),
            counted: None,
        }
    }

    /// The labels of the summary.
    pub(super) fn labels(&self) -> &'l Labels {
        self.labels
    }

    /// Takes a packet; one that opens a connection makes a row.
    pub(super) fn packet(
        &mut self,
        frame: &Frame<'_>,
        decoded: &Decoded,
        judged: &Judged,
    ) -> Result<(), Failure> {
        self.start = self.start.or(frame.time_ns);
        let verdicts = judged.judgements().zip(verdict_cells(judged, self.labels));
        for (judgement, verdict) in verdicts.filter(|(one, _)| one.opened.is_some()) {
            if let Some(style) = &self.style {
                style
                    .append(decode_cells(frame, decoded).iter().chain(&verdict), &mut self.rows)?;
                continue;
            }
            let embedded = embedded(frame.link, frame.data, &self.tunnels);
            let answer = PacketAnswer::Judged(judgement, self.labels);
            let line = packet_line(frame, decoded, embedded.as_ref(), self.start, Some(answer));
            writeln!(self.rows, "{}", terminal::colored(line))?;
        }
        Ok(())
    }

    /// Between two batches of packets: writes the rows and flushes them, so that none is held back while the input is idle.
    pub(super) fn pause(&mut self, replay: &Replay<'_>) -> Result<(), Failure> {
        let is_due = |(at, took): (Instant, Duration)| at.elapsed() >= took * PART;
        if !self.counts.is_hidden() && self.counted.is_none_or(is_due) {
            let start = Instant::now();
            self.counts.set_message(counts(replay));
            self.counted = Some((Instant::now(), start.elapsed()));
        }
        if !self.rows.is_empty() {
            let Self { out, rows, counts, .. } = self;
            if !terminal::is_quiet() || self.style.is_some() {
                counts.suspend(|| out.write_all(rows).and_then(|()| out.flush()))?;
            }
            rows.clear();
        }
        Ok(())
    }

    /// Whether the rows are text.
    pub(super) fn is_for_people(&self) -> bool {
        self.style.is_none()
    }

    /// Ends the rows, for a summary to follow.
    pub(super) fn finish(self) -> Stdout {
        self.counts.finish_and_clear();
        self.out
    }
}

/// The counts so far, in a line.
fn counts(replay: &Replay<'_>) -> String {
    let stats = replay.stats();
    let [packets, connections] = [stats.packets(), stats.connections()];
    format!(
        "{}: {} allowed, {} denied, {} not evaluated; {}: {} allowed, {} denied",
        plural(packets.total(), "packet"),
        count(packets.allowed),
        count(packets.denied),
        count(packets.not_evaluated),
        plural(connections.total(), "connection"),
        count(connections.allowed),
        count(connections.denied),
    )
}
