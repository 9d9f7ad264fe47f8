//! Prints a replay: the summary, or a row for each packet or connection.

use std::io::{self, IsTerminal, Write};

#[cfg(feature = "arrow")]
use sgreplay::arrow::TableFormat;
use sgreplay::capture::Frame;
use sgreplay::collect::{Connections, RowPart};
use sgreplay::decode::{Decoded, Tunnels, embedded};
use sgreplay::escape::Text;
use sgreplay::labels::Labels;
use sgreplay::replay::{Replay, Sessions, Workers};
use sgreplay::report::{
    Cell, DECODE_COLUMNS, PacketAnswer, RowFormat, Rows, Summary, VERDICT_COLUMNS, decode_cells,
    packet_line, replay_markdown, summary_line, text_summary, verdict_cells,
};
use sgreplay::rules::RuleSet;
use sgreplay::sources::Input;
use sgreplay::verdict::Judged;

use super::args::{Per, ReplayArgs, ReplayFormat};
use super::live::Live;
#[cfg(feature = "arrow")]
use super::table_file::{ConnectionFile, PacketFile};
use crate::command::judging::Keeps;
use crate::command::pretty;
use crate::exit::Failure;
use crate::output::{Stdout, stdout};
use crate::terminal;

/// Whether this build writes a format, and standard output takes it.
pub(super) fn can_be_printed(format: ReplayFormat) -> Result<(), Failure> {
    if !format.is_table() {
        return Ok(());
    }
    let word = match format {
        ReplayFormat::Parquet => "parquet",
        _ => "arrow",
    };
    if cfg!(not(feature = "arrow")) {
        return Err(Failure::Usage(format!(
            "-f {word} is not in this build, which lacks the feature `arrow`: the Python package and the Debian package have it, \
             and `cargo install` with `--features arrow`"
        )));
    }
    if io::stdout().is_terminal() {
        return Err(Failure::Usage(format!(
            "-f {word} is no text, and standard output is a terminal; write to a file: > rows.{word}"
        )));
    }
    Ok(())
}

#[cfg(feature = "arrow")]
fn table_format(format: ReplayFormat) -> Option<TableFormat> {
    match format {
        ReplayFormat::Parquet => Some(TableFormat::Parquet),
        ReplayFormat::Arrow => Some(TableFormat::Arrow),
        _ => None,
    }
}

/// Where rows per connection are written: for people, or, from the first row on, for programs.
pub(super) enum Table {
    Text(Stdout),
    Rows(RowFormat, Option<Box<Rows<Stdout>>>),
    #[cfg(feature = "arrow")]
    File(Box<ConnectionFile>),
}

impl Table {
    fn new(format: ReplayFormat, rules: &RuleSet) -> Self {
        #[cfg(feature = "arrow")]
        if let Some(format) = table_format(format) {
            return Self::File(Box::new(ConnectionFile::new(format, rules)));
        }
        #[cfg(not(feature = "arrow"))]
        let _ = rules;
        format.rows().map_or_else(|| Self::Text(stdout()), |format| Self::Rows(format, None))
    }

    fn write(
        &mut self,
        connections: &mut Connections,
        part: RowPart,
        labels: &Labels,
        workers: &Workers,
    ) -> Result<(), Failure> {
        match self {
            Self::Text(_) if terminal::is_quiet() => {}
            Self::Text(out) => {
                connections.write_text(part, labels, terminal::room(), workers, |lines| {
                    out.write_all(terminal::results(lines).as_bytes())
                })?;
                out.write_all(b"\n")?;
            }
            Self::Rows(format, rows) => {
                if rows.is_none() {
                    let columns = &Connections::COLUMNS;
                    *rows = Some(Box::new(Rows::new(stdout(), *format, "connection", columns)?));
                }
                if let Some(rows) = rows {
                    connections.write(part, labels, rows, workers)?;
                }
            }
            #[cfg(feature = "arrow")]
            Self::File(file) => file.write(connections, part, labels)?,
        }
        Ok(())
    }
}

/// What is to be said of rows that were written too early.
pub(crate) fn went_on(connections: &Connections) -> Option<String> {
    let went_on = connections.went_on();
    (went_on > 0).then(|| {
        format!(
            "{} on from rows written before for want of memory, with the same number; --memory allows more",
            match went_on {
                1 => "1 row goes".to_owned(),
                _ => format!("{went_on} rows go"),
            },
        )
    })
}

/// The columns of a row per packet.
pub(super) fn packet_columns() -> Vec<&'static str> {
    [DECODE_COLUMNS.as_slice(), &VERDICT_COLUMNS].concat()
}

/// A packet whose rows are written with those of its batch.
type PacketCells = ([Cell<'static>; DECODE_COLUMNS.len()], Judged);

/// What is printed, and when.
pub(super) enum Printed<'l> {
    /// The summary, at the end.
    Summary { format: Option<RowFormat>, labels: &'l Labels },
    /// The summary, for a comment on a change.
    Markdown { labels: &'l Labels },
    /// A line per packet as they come, then the summary.
    PacketText {
        out: Stdout,
        labels: &'l Labels,
        tunnels: Tunnels,
        start: Option<u64>,
        is_live: bool,
    },
    /// A row per packet as they come.
    PacketRows {
        rows: Box<Rows<Stdout>>,
        labels: &'l Labels,
        waiting: Vec<PacketCells>,
        is_live: bool,
    },
    /// A row per connection as it opens, then the summary.
    Live(Box<Live<'l>>),
    /// The same as a file of a table.
    #[cfg(feature = "arrow")]
    PacketFile(Box<PacketFile>),
    /// A row per connection, at the end.
    Connections { out: Table, labels: &'l Labels, connections: Connections },
}

impl<'l> Printed<'l> {
    pub(super) fn new(
        args: &ReplayArgs,
        rules: &RuleSet,
        labels: &'l Labels,
        tunnels: Tunnels,
        sessions: Sessions,
    ) -> Result<Self, Failure> {
        let format = args.format.rows();
        let is_live = args.capture.live;
        let is_markdown = args.format == ReplayFormat::Markdown;
        if is_markdown && args.per.is_some() {
            let message = "markdown is for the summary; --per is for text and programs";
            return Err(Failure::Usage(message.to_owned()));
        }
        if is_markdown {
            return Ok(Self::Markdown { labels });
        }
        #[cfg(feature = "arrow")]
        if let (Some(Per::Packet), Some(format)) = (args.per, table_format(args.format)) {
            return Ok(Self::PacketFile(Box::new(PacketFile::new(format, rules))));
        }
        let per = match args.per {
            None if args.format.has_rows_only() => Some(Per::Connection),
            per => per,
        };
        Ok(match (per, format) {
            (Some(Per::Connection), _) => {
                if sessions == Sessions::Off {
                    let message = "without sessions there are no connections; ask for --per packet";
                    return Err(Failure::Usage(message.to_owned()));
                }
                let connections = Connections::within(Keeps::Rows.memory(&args.judge));
                Self::Connections { out: Table::new(args.format, rules), labels, connections }
            }
            (None, None | Some(RowFormat::Ndjson)) if is_live && sessions == Sessions::On => {
                Self::Live(Box::new(Live::new(format.is_some(), labels, tunnels)))
            }
            (None, _) => Self::Summary { format, labels },
            // Nothing is to be said of any packet.
            (Some(Per::Packet), None) if terminal::is_quiet() => Self::Summary { format, labels },
            (Some(Per::Packet), None) => {
                Self::PacketText { out: stdout(), labels, tunnels, start: None, is_live }
            }
            (Some(Per::Packet), Some(format)) => Self::PacketRows {
                rows: Box::new(Rows::new(stdout(), format, "packet", &packet_columns())?),
                labels,
                waiting: Vec::new(),
                is_live,
            },
        })
    }

    /// Whether the text of the summary, which names the local address, is all there is.
    pub(super) fn is_summary(&self) -> bool {
        matches!(self, Self::Summary { format: None, .. })
    }

    /// Whether it takes packets, and not only the counts.
    pub(super) fn wants_packets(&self) -> bool {
        !matches!(self, Self::Summary { .. } | Self::Markdown { .. })
    }

    /// Adds a packet to its connection, whether it is selected or not.
    #[inline]
    pub(super) fn connection(&mut self, input: &Input<'_>, judged: &Judged) {
        if let Self::Connections { connections, .. } = self {
            connections.add(input, judged);
        }
    }

    /// Between two batches of packets: writes the rows of the last one, and those that there is no room for.
    pub(super) fn pause(&mut self, replay: &Replay<'_>) -> Result<(), Failure> {
        match self {
            Self::Live(live) => live.pause(replay),
            Self::PacketText { out, is_live: true, .. } => Ok(out.flush()?),
            Self::PacketRows { rows, labels, waiting, is_live } => {
                rows.write_in_parts(
                    waiting,
                    replay.workers(),
                    |(decoded, judged), style, made| {
                        verdict_cells(judged, labels).try_for_each(|verdict| {
                            style.append(decoded.iter().chain(&verdict), made)
                        })
                    },
                )?;
                waiting.clear();
                if *is_live {
                    rows.flush()?;
                }
                Ok(())
            }
            Self::Connections { out, labels, connections } if connections.is_full() => {
                connections.choose_over(replay);
                out.write(connections, RowPart::Over, labels, replay.workers())?;
                connections.forget_over();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What is to be said of rows that were written too early.
    pub(super) fn warning(&self) -> Option<String> {
        let Self::Connections { connections, .. } = self else { return None };
        went_on(connections)
    }

    #[inline]
    pub(super) fn packet(
        &mut self,
        frame: &Frame<'_>,
        decoded: &Decoded,
        judged: &Judged,
    ) -> Result<(), Failure> {
        match self {
            Self::Summary { .. } | Self::Markdown { .. } | Self::Connections { .. } => {}
            Self::Live(live) => live.packet(frame, decoded, judged)?,
            Self::PacketText { out, labels, tunnels, start, .. } => {
                *start = start.or(frame.time_ns);
                let not = match judged {
                    Judged::At(..) => None,
                    Judged::NotEvaluated(reason) => Some(PacketAnswer::Not(*reason)),
                };
                let embedded = embedded(frame.link, frame.data, tunnels);
                let at =
                    judged.judgements().map(|judgement| PacketAnswer::Judged(judgement, labels));
                for answer in not.into_iter().chain(at) {
                    let line = packet_line(frame, decoded, embedded.as_ref(), *start, Some(answer));
                    writeln!(out, "{}", terminal::colored(line))?;
                }
            }
            Self::PacketRows { waiting, .. } => {
                waiting.push((decode_cells(frame, decoded), *judged));
            }
            #[cfg(feature = "arrow")]
            Self::PacketFile(file) => file.packet(frame, decoded, judged)?,
        }
        Ok(())
    }

    pub(super) fn finish(
        self,
        summary: &Summary,
        replay: &Replay<'_>,
        more: &Text,
    ) -> Result<(), Failure> {
        let room = terminal::room();
        let with_summary = |mut text: Text, labels| {
            text.append(&text_summary(summary, replay, labels, room));
            text.append(more);
            terminal::results(text)
        };
        match self {
            Self::PacketRows { rows, .. } => rows.finish(summary)?,
            #[cfg(feature = "arrow")]
            Self::PacketFile(file) => file.finish(summary)?,
            Self::Markdown { labels } => {
                print(stdout(), &replay_markdown(summary, replay, labels))?;
            }
            Self::Connections { mut out, labels, mut connections } => {
                out.write(&mut connections, RowPart::All, labels, replay.workers())?;
                match out {
                    Table::Text(out) => print(out, &with_summary(Text::default(), labels))?,
                    Table::Rows(_, Some(rows)) => rows.finish(summary)?,
                    Table::Rows(_, None) => {}
                    #[cfg(feature = "arrow")]
                    Table::File(file) => file.finish(summary)?,
                }
            }
            Self::Live(live) => {
                let labels = live.labels();
                let text = match live.is_for_people() {
                    true => {
                        let mut text = Text::default();
                        text.blank();
                        with_summary(text, labels)
                    }
                    false => summary_line(summary)?,
                };
                print(live.finish(), &text)?;
            }
            Self::PacketText { out, labels, .. } => {
                let mut text = Text::default();
                text.blank();
                print(out, &with_summary(text, labels))?;
            }
            Self::Summary { format, labels } => {
                let text = match format {
                    None => with_summary(Text::default(), labels),
                    Some(RowFormat::Ndjson) => return ndjson(summary),
                    Some(_) => pretty(summary)?,
                };
                print(stdout(), &text)?;
            }
        }
        Ok(())
    }
}

/// NDJSON without rows: the summary object alone.
fn ndjson(summary: &Summary) -> Result<(), Failure> {
    print(stdout(), &summary_line(summary)?)
}

fn print(mut out: Stdout, text: &str) -> Result<(), Failure> {
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
