//! Writing the frames that were chosen, as they were.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use pcap_file::pcap::{PcapHeader, PcapTsResolution, RawPcapPacket};
use pcap_file::{DataLink, Endianness};

use super::{Frame, LinkType};

/// Writes frames to a classic pcap, byte for byte, times in nanoseconds.
///
/// A pcap has one link type: the first frame decides it.
#[derive(Debug)]
pub struct PcapWriter {
    path: PathBuf,
    out: BufWriter<File>,
    link: Option<LinkType>,
    frames: u64,
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

impl PcapWriter {
    /// Creates or empties the file.
    pub fn create(path: &Path) -> Result<Self, WriteError> {
        let file = File::create(path).map_err(|error| io_error(path, error))?;
        Ok(Self { path: path.to_owned(), out: BufWriter::new(file), link: None, frames: 0 })
    }

    /// Writes one frame.
    pub fn write(&mut self, frame: &Frame<'_>) -> Result<(), WriteError> {
        if frame.log.is_some() {
            let path = self.path.display().to_string();
            return Err(WriteError::FlowLog { path, record: frame.number });
        }
        match self.link {
            None => {
                self.header(frame.link)?;
                self.link = Some(frame.link);
            }
            Some(first) if first != frame.link => {
                let (number, found) = (frame.number, frame.link.0);
                let first = first.0;
                return Err(WriteError::LinkType {
                    path: self.path.display().to_string(),
                    frame: number,
                    found,
                    first,
                });
            }
            Some(_) => {}
        }
        let time = frame.time_ns.unwrap_or_default();
        let Ok(ts_sec) = u32::try_from(time / 1_000_000_000) else {
            return Err(WriteError::Time {
                path: self.path.display().to_string(),
                frame: frame.number,
            });
        };
        let raw = RawPcapPacket {
            ts_sec,
            ts_frac: u32::try_from(time % 1_000_000_000).unwrap_or_default(),
            incl_len: u32::try_from(frame.data.len()).unwrap_or(u32::MAX),
            orig_len: frame.wire_len,
            data: frame.data.into(),
        };
        self.frames += 1;
        raw.write_to::<_, byteorder_slice::LittleEndian>(&mut self.out)
            .map(|_| ())
            .map_err(|e| io_error(&self.path, io::Error::other(e)))
    }

    fn header(&mut self, link: LinkType) -> Result<(), WriteError> {
        let header = PcapHeader {
            snaplen: 262_144,
            datalink: DataLink::from(link.0),
            ts_resolution: PcapTsResolution::NanoSecond,
            endianness: Endianness::Little,
            ..PcapHeader::default()
        };
        let written = header.write_to(&mut self.out);
        written.map(|_| ()).map_err(|e| io_error(&self.path, io::Error::other(e)))
    }

    /// Writes what is buffered, and a header if no frame came; returns the number of frames.
    pub fn finish(mut self) -> Result<u64, WriteError> {
        if self.link.is_none() {
            self.header(LinkType::ETHERNET)?;
        }
        self.out.flush().map_err(|error| io_error(&self.path, error))?;
        Ok(self.frames)
    }
}

fn io_error(path: &Path, error: io::Error) -> WriteError {
    WriteError::Io { path: path.display().to_string(), error }
}
