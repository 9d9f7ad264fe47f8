//! Writing the frames that were chosen, as they were.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pcap_file::pcap::{PcapHeader, PcapTsResolution, PcapWriteError, RawPcapPacket};
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
};
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::{PcapNgWriteError, PcapNgWriter};
use pcap_file::{DataLink, Endianness};

use super::{DirectionHint, Frame, LinkType};
use crate::escape;

/// Writes frames, byte for byte, times in nanoseconds: to a pcap, or to a pcapng where the file's name ends
/// in `.pcapng`.
///
/// A pcap has one link type: the first frame decides it. A pcapng has as many as come, with the names of
/// interfaces and the direction of packets where they are known, and a comment for a packet that has one.
#[derive(Debug)]
pub struct PcapWriter {
    path: PathBuf,
    to: To,
    frames: u64,
}

/// Anything that bytes can be written to.
type Out = BufWriter<Box<dyn Write + Send>>;

enum To {
    Pcap { out: Out, link: Option<LinkType> },
    PcapNg { out: PcapNgWriter<Out>, interfaces: Vec<(LinkType, Option<String>)> },
}

impl std::fmt::Debug for To {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pcap { .. } => "pcap",
            Self::PcapNg { .. } => "pcapng",
        })
    }
}

/// Why a frame was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The file cannot be written.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// A pcap has one link type.
    #[error(
        "{path}: frame {frame} has link type {found}, and the frames before it {first}; a pcap holds one link type only: choose one with --filter, or split the capture by interface"
    )]
    LinkType {
        /// The file being written.
        path: String,
        /// The frame of the input.
        frame: u64,
        /// Its link type.
        found: u32,
        /// That of the frames before it.
        first: u32,
    },
    /// A flow log holds no packets.
    #[error("{path}: record {record} is of a flow log, which holds no packets to be written")]
    FlowLog {
        /// The file being written.
        path: String,
        /// The record of the input.
        record: u64,
    },
    /// The time does not fit in a pcap's 32 bits of seconds.
    #[error("{path}: frame {frame} is dated after 2106, which a pcap cannot say")]
    Time {
        /// The file being written.
        path: String,
        /// The frame of the input.
        frame: u64,
    },
}

impl WriteError {
    /// The file being written.
    pub fn file(&self) -> &str {
        match self {
            Self::Io { path, .. }
            | Self::LinkType { path, .. }
            | Self::FlowLog { path, .. }
            | Self::Time { path, .. } => path,
        }
    }

    /// The frame, or record, of the input that was not written.
    pub fn frame(&self) -> Option<u64> {
        match self {
            Self::Io { .. } => None,
            Self::LinkType { frame, .. } | Self::Time { frame, .. } => Some(*frame),
            Self::FlowLog { record, .. } => Some(*record),
        }
    }
}

impl PcapWriter {
    /// Creates or empties the file.
    pub fn create(path: &Path) -> Result<Self, WriteError> {
        let file = File::create(path).map_err(|error| io_error(path, error))?;
        Self::new(path, Box::new(file))
    }

    /// Writes to `out` what is to become the file at `path`.
    pub fn new(path: &Path, out: Box<dyn Write + Send>) -> Result<Self, WriteError> {
        if path.extension().is_some_and(|kind| kind.eq_ignore_ascii_case("pcapng")) {
            return Self::pcapng(path, out);
        }
        let to = To::Pcap { out: BufWriter::new(out), link: None };
        Ok(Self { path: path.to_owned(), to, frames: 0 })
    }

    /// The same as a pcapng, whatever the name.
    pub fn pcapng(path: &Path, out: Box<dyn Write + Send>) -> Result<Self, WriteError> {
        let application = format!("sgreplay {}", env!("CARGO_PKG_VERSION"));
        let section = SectionHeaderBlock {
            endianness: Endianness::Little,
            major_version: 1,
            minor_version: 0,
            section_length: -1,
            options: vec![SectionHeaderOption::UserApplication(application.into())],
        };
        let out = PcapNgWriter::with_section_header(BufWriter::new(out), section)
            .map_err(|error| block_error(path, error))?;
        let to = To::PcapNg { out, interfaces: Vec::new() };
        Ok(Self { path: path.to_owned(), to, frames: 0 })
    }

    /// Writes one frame.
    pub fn write(&mut self, frame: &Frame<'_>) -> Result<(), WriteError> {
        self.write_commented(frame, || None)
    }

    /// Writes one frame, and a comment on it where the file can hold one.
    pub fn write_commented(
        &mut self,
        frame: &Frame<'_>,
        comment: impl FnOnce() -> Option<String>,
    ) -> Result<(), WriteError> {
        if frame.log.is_some() {
            let path = escape::path(&self.path);
            return Err(WriteError::FlowLog { path, record: frame.number });
        }
        match &mut self.to {
            To::Pcap { out, link } => pcap(&self.path, out, link, frame)?,
            To::PcapNg { out, interfaces } => pcapng(out, interfaces, frame, comment())
                .map_err(|error| block_error(&self.path, error))?,
        }
        self.frames += 1;
        Ok(())
    }

    /// Writes what is buffered, and a header if no frame came; returns the number of frames.
    pub fn finish(self) -> Result<u64, WriteError> {
        let mut out = match self.to {
            To::Pcap { mut out, link } => {
                if link.is_none() {
                    header(&self.path, &mut out, LinkType::ETHERNET)?;
                }
                out
            }
            To::PcapNg { out, .. } => out.into_inner(),
        };
        out.flush().map_err(|error| io_error(&self.path, error))?;
        Ok(self.frames)
    }
}

fn pcap(
    path: &Path,
    out: &mut Out,
    link: &mut Option<LinkType>,
    frame: &Frame<'_>,
) -> Result<(), WriteError> {
    match *link {
        None => {
            header(path, out, frame.link)?;
            *link = Some(frame.link);
        }
        Some(first) if first != frame.link => {
            return Err(WriteError::LinkType {
                path: escape::path(path),
                frame: frame.number,
                found: frame.link.0,
                first: first.0,
            });
        }
        Some(_) => {}
    }
    let time = frame.time_ns.unwrap_or_default();
    let Ok(ts_sec) = u32::try_from(time / 1_000_000_000) else {
        return Err(WriteError::Time { path: escape::path(path), frame: frame.number });
    };
    let raw = RawPcapPacket {
        ts_sec,
        ts_frac: u32::try_from(time % 1_000_000_000).unwrap_or_default(),
        incl_len: u32::try_from(frame.data.len()).unwrap_or(u32::MAX),
        orig_len: frame.wire_len,
        data: frame.data.into(),
    };
    let written = raw.write_to::<_, byteorder_slice::LittleEndian>(out);
    written.map(|_| ()).map_err(|error| record_error(path, error))
}

fn header(path: &Path, out: &mut Out, link: LinkType) -> Result<(), WriteError> {
    let header = PcapHeader {
        snaplen: 262_144,
        datalink: DataLink::from(link.0),
        ts_resolution: PcapTsResolution::NanoSecond,
        endianness: Endianness::Little,
        ..PcapHeader::default()
    };
    let written = header.write_to(out);
    written.map(|_| ()).map_err(|error| record_error(path, error))
}

fn pcapng(
    out: &mut PcapNgWriter<Out>,
    interfaces: &mut Vec<(LinkType, Option<String>)>,
    frame: &Frame<'_>,
    comment: Option<String>,
) -> Result<(), PcapNgWriteError> {
    let known = |(link, name): &(LinkType, Option<String>)| {
        *link == frame.link && name.as_ref() == frame.interface
    };
    let known = interfaces.iter().position(known);
    if known.is_none() {
        let mut block = InterfaceDescriptionBlock::new(DataLink::from(frame.link.0), 0);
        block.options.push(InterfaceDescriptionOption::IfTsResol(InterfaceTsResolution::NANO));
        if let Some(name) = frame.interface {
            block.options.push(InterfaceDescriptionOption::IfName(name.into()));
        }
        out.write_pcapng_block(block)?;
        interfaces.push((frame.link, frame.interface.cloned()));
    }
    let interface = known.unwrap_or(interfaces.len() - 1);
    let mut options = Vec::new();
    if let Some(hint) = frame.hint {
        options.push(EnhancedPacketOption::Flags(match hint {
            DirectionHint::Inbound => 1,
            DirectionHint::Outbound => 2,
        }));
    }
    if let Some(comment) = comment {
        options.push(EnhancedPacketOption::Common(CommonOption::Comment(comment.into())));
    }
    let captured = u32::try_from(frame.data.len()).unwrap_or(u32::MAX);
    out.write_pcapng_block(EnhancedPacketBlock {
        interface_id: u32::try_from(interface).unwrap_or(u32::MAX),
        timestamp: Duration::from_nanos(frame.time_ns.unwrap_or_default()),
        // Some captures claim less on the wire than they hold, which a pcapng may not.
        original_len: frame.wire_len.max(captured),
        data: frame.data.into(),
        options,
    })?;
    Ok(())
}

/// What the system said, which the crate's message does not have.
fn record_error(path: &Path, error: PcapWriteError) -> WriteError {
    let error = match error {
        PcapWriteError::Io(error) | PcapWriteError::FieldWriteFailed(_, error) => error,
        error @ PcapWriteError::Validation(_) => io::Error::other(error),
    };
    io_error(path, error)
}

fn block_error(path: &Path, error: PcapNgWriteError) -> WriteError {
    let error = match error {
        PcapNgWriteError::Io(error) => error,
        error => io::Error::other(error),
    };
    io_error(path, error)
}

fn io_error(path: &Path, error: io::Error) -> WriteError {
    WriteError::Io { path: escape::path(path), error }
}
