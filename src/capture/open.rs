//! From bytes to a reader of their format, through compression and an archive.

use std::io::Read;

use super::archive::Archive;
use super::beside::Switch;
use super::buffer::{Buffer, Chunks};
use super::{
    CaptureError, CaptureErrorKind, FlowLogOptions, Format, SHOWN_OF_NO_CAPTURE, SharedCounts,
};
use super::{flow_log, foreign, pcap, pcapng, snoop, source};

/// How many files of an archive without a capture its error names.
const SHOWN_OF_ARCHIVE: usize = 5;

/// A capture that was opened.
pub(super) struct Opened {
    /// The archive around it, and the name of the file in it.
    pub(super) archive: Option<Archive>,
    pub(super) file: Option<String>,
    pub(super) buffer: Buffer,
    pub(super) format: Format,
}

/// What is kept and said beside the files.
pub(super) struct Opening<'a> {
    pub(super) counts: &'a SharedCounts,
    pub(super) switch: &'a Switch,
    pub(super) flow_logs: &'a FlowLogOptions,
    pub(super) chunks: Chunks,
}

/// What comes next in an archive.
pub(super) enum InArchive {
    Capture {
        file: String,
        buffer: Buffer,
        format: Format,
    },
    /// No further capture; the first files that are none.
    End {
        others: Vec<String>,
    },
}

/// An error before the first frame.
pub(super) fn error(name: &str, file: Option<&str>, kind: CaptureErrorKind) -> CaptureError {
    let file = match file {
        Some(file) => format!("{name}: {file}"),
        None => name.to_owned(),
    };
    CaptureError { file, frame: None, offset: 0, kind }
}

/// Opens the capture that these bytes are; the first one of an archive.
pub(super) fn start(
    name: &str,
    source: Box<dyn Read + Send>,
    opening: &Opening<'_>,
) -> Result<Opened, CaptureError> {
    let at_start = |kind| error(name, None, kind);
    let mut buffer = source::decompressed(Buffer::new(source, opening.chunks), opening.switch)
        .map_err(at_start)?;
    if !Archive::starts(&mut buffer).map_err(at_start)? {
        let format = recognise(name, &mut buffer, opening).map_err(at_start)?;
        return Ok(Opened { archive: None, file: None, buffer, format });
    }
    let archive = Archive::new(buffer);
    match next_in_archive(name, &archive, opening)? {
        InArchive::Capture { file, buffer, format } => {
            Ok(Opened { archive: Some(archive), file: Some(file), buffer, format })
        }
        InArchive::End { others: files } => {
            Err(at_start(CaptureErrorKind::ArchiveWithoutCapture { files }))
        }
    }
}

/// The first capture among the next files of an archive.
pub(super) fn next_in_archive(
    name: &str,
    archive: &Archive,
    opening: &Opening<'_>,
) -> Result<InArchive, CaptureError> {
    let mut others = Vec::new();
    while let Some(file) = archive.next_file().map_err(|kind| error(name, None, kind))? {
        let read = || {
            let mut buffer =
                source::decompressed(Buffer::new(archive.file(), opening.chunks), opening.switch)?;
            if Archive::starts(&mut buffer)? {
                return Err(foreign::archive(&file));
            }
            let format = recognise(&file, &mut buffer, opening)?;
            Ok((buffer, format))
        };
        match read() {
            Ok((buffer, format)) => return Ok(InArchive::Capture { file, buffer, format }),
            Err(CaptureErrorKind::Empty | CaptureErrorKind::NotACapture { .. }) => {
                opening.counts.update(|counts| counts.other_files += 1);
                if others.len() < SHOWN_OF_ARCHIVE {
                    others.push(file);
                }
            }
            Err(kind) => return Err(error(name, Some(&file), kind)),
        }
    }
    Ok(InArchive::End { others })
}

/// The format that the first bytes show.
fn recognise(
    name: &str,
    buffer: &mut Buffer,
    opening: &Opening<'_>,
) -> Result<Format, CaptureErrorKind> {
    buffer.fill_to(4)?;
    let magic = buffer.unread().first_chunk().copied();
    if buffer.unread().is_empty() {
        return Err(CaptureErrorKind::Empty);
    }
    if magic == Some(pcapng::MAGIC) {
        return Ok(Format::PcapNg(pcapng::Reader::new(opening.counts.clone())));
    }
    if let Some(magic) = magic
        && let Some(reader) = pcap::Reader::start(name, magic, buffer)?
    {
        return Ok(Format::Pcap(reader));
    }
    buffer.fill_to(snoop::MAGIC.len())?;
    if let Some(reader) = snoop::Reader::start(name, buffer, opening.counts)? {
        return Ok(Format::Snoop(reader));
    }
    #[cfg(feature = "parquet")]
    if let Some(reader) = flow_log::Reader::start_rows(buffer, opening.flow_logs)? {
        return Ok(Format::FlowLog(Box::new(reader)));
    }
    if let Some(kind) = foreign::recognise(name, buffer)? {
        return Err(kind);
    }
    if let Some(reader) = flow_log::Reader::start(buffer, opening.flow_logs)? {
        return Ok(Format::FlowLog(Box::new(reader)));
    }
    // The message shows as much however the bytes arrive.
    buffer.fill_to(SHOWN_OF_NO_CAPTURE)?;
    let start = buffer.unread().iter().copied().take(SHOWN_OF_NO_CAPTURE).collect();
    Err(CaptureErrorKind::NotACapture { start })
}
