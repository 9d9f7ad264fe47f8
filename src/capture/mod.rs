//! A file or standard input → frames.
//!
//! The format is recognised by content, never by name: classic pcap in both byte orders with µs or
//! ns times and its variants, pcapng and snoop, plain, in gzip, zstd, xz, bzip2 or lz4, and in a tar
//! archive in any of them. Formats that are not read are named, with the command that converts them. A capture is read once, front to back, in batches of
//! frames with the bytes they lie in, so it may be larger than memory and need not be seekable. A flow
//! log is read too: its records become frames that say what they say ([`Frame::log`]).
//!
//! ```no_run
//! let mut capture = sgreplay::capture::Capture::open("ssh.pcap".as_ref())?;
//! while let Some(frame) = capture.next_frame()? {
//!     println!("{} {} bytes at {:?}", frame.number, frame.data.len(), frame.time_ns);
//! }
//! # Ok::<(), sgreplay::capture::CaptureError>(())
//! ```
//!
//! An error carries the number of the frame that could not be read and its byte offset; every frame
//! before it has been yielded by then.

mod archive;
mod beside;
mod buffer;
mod counts;
mod error;
mod flow_log;
mod foreign;
mod names;
mod open;
mod pcap;
mod pcapng;
mod snoop;
mod source;
mod write;

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::escape;
use archive::Archive;
use beside::Switch;
use buffer::Buffer;
pub use counts::{CaptureCounts, SharedCounts};
pub use error::{CaptureError, CaptureErrorKind, os_error};
pub use flow_log::{
    FlowLog, FlowLogCounts, FlowLogFields, FlowLogKind, FlowLogOptions, LogRecord, Opener, Recorded,
};
use open::{InArchive, Opened, Opening};
pub use write::{PcapWriter, WriteError};

/// The link-layer type of a frame, by its number in the registry of link types at tcpdump.org.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkType(pub u32);

impl LinkType {
    /// BSD loopback: a 4-byte address family in the byte order of the capturing machine.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// SLIP, behind a direction and 15 bytes of the driver's.
    pub const SLIP: Self = Self(8);
    /// PPP, alone or in HDLC-like framing.
    pub const PPP: Self = Self(9);
    /// FDDI.
    pub const FDDI: Self = Self(10);
    /// Raw IP as some BSDs number it.
    pub const RAW_BSD: Self = Self(12);
    /// Raw IP as OpenBSD numbers it.
    pub const RAW_OPENBSD: Self = Self(14);
    /// PPP in HDLC-like framing.
    pub const PPP_HDLC: Self = Self(50);
    /// `PPPoE` without the Ethernet header.
    pub const PPP_ETHER: Self = Self(51);
    /// LLC over ATM.
    pub const ATM_RFC1483: Self = Self(100);
    /// Raw IP, version by the first nibble.
    pub const RAW: Self = Self(101);
    /// Cisco's HDLC.
    pub const C_HDLC: Self = Self(104);
    /// 802.11 wireless.
    pub const IEEE802_11: Self = Self(105);
    /// Frame relay.
    pub const FRELAY: Self = Self(107);
    /// OpenBSD loopback: a 4-byte address family in network byte order.
    pub const LOOP: Self = Self(108);
    /// BSD's device for `IPsec`: packets inside tunnels, in clear.
    pub const ENC: Self = Self(109);
    /// Linux "cooked" capture.
    pub const LINUX_SLL: Self = Self(113);
    /// BSD's packet filter.
    pub const PFLOG: Self = Self(117);
    /// 802.11 wireless behind a Prism header.
    pub const IEEE802_11_PRISM: Self = Self(119);
    /// 802.11 wireless behind a radiotap header.
    pub const IEEE802_11_RADIOTAP: Self = Self(127);
    /// ARCNET as Linux gives it.
    pub const ARCNET_LINUX: Self = Self(129);
    /// DOCSIS, of cable modems.
    pub const DOCSIS: Self = Self(143);
    /// 802.11 wireless behind a header of the AVS project.
    pub const IEEE802_11_AVS: Self = Self(163);
    /// Ethernet of Juniper's routers.
    pub const JUNIPER_ETHER: Self = Self(178);
    /// Per-packet information, which carries frames of other link types.
    pub const PPI: Self = Self(192);
    /// 802.15.4 with a frame check sequence.
    pub const IEEE802_15_4: Self = Self(195);
    /// PPP behind a direction.
    pub const PPP_WITH_DIR: Self = Self(204);
    /// Cisco's HDLC behind a direction.
    pub const C_HDLC_WITH_DIR: Self = Self(205);
    /// Frame relay behind a direction.
    pub const FRELAY_WITH_DIR: Self = Self(206);
    /// MPLS.
    pub const MPLS: Self = Self(219);
    /// Solaris' device for IP.
    pub const IPNET: Self = Self(226);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// 802.15.4 without a frame check sequence.
    pub const IEEE802_15_4_NOFCS: Self = Self(230);
    /// Linux netfilter log (`tcpdump -i nflog`).
    pub const NFLOG: Self = Self(239);
    /// IP over InfiniBand.
    pub const IP_OVER_INFINIBAND: Self = Self(242);
    /// Messages between Linux and its programs.
    pub const NETLINK: Self = Self(253);
    /// macOS `pktap`, which carries frames of other link types.
    pub const PKTAP: Self = Self(258);
    /// Linux sockets between a virtual machine and its host.
    pub const VSOCK: Self = Self(271);
    /// Linux "cooked" capture, version 2 (`tcpdump -i any`).
    pub const LINUX_SLL2: Self = Self(276);
    /// Ethernet with the tag of a Broadcom switch behind the addresses.
    pub const BROADCOM_TAG: Self = Self(281);
    /// Ethernet behind the tag of a Broadcom switch.
    pub const BROADCOM_TAG_PREPENDED: Self = Self(282);
    /// Ethernet with the tag of a Marvell switch behind the addresses.
    pub const DSA_TAG: Self = Self(284);
    /// Ethernet with the longer tag of a Marvell switch behind the addresses.
    pub const EDSA_TAG: Self = Self(285);
}

/// Which way the capturing machine says that a packet went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DirectionHint {
    /// Received by the capturing machine, addressed to it.
    Inbound,
    /// Sent by the capturing machine.
    Outbound,
}

/// One packet as it lies in a capture.
///
/// ```
/// use sgreplay::Frame;
/// use sgreplay::capture::LinkType;
///
/// let frame = Frame::new(1, LinkType::RAW, &[0x45]).at(1_700_000_000_000_000_000).cut_from(60);
/// assert_eq!((frame.data.len(), frame.wire_len), (1, 60));
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Frame<'a> {
    /// Position in the capture, counted from 1 as Wireshark does.
    pub number: u64,
    /// How to read the first bytes.
    pub link: LinkType,
    /// Nanoseconds since 1970-01-01 UTC; `None` for pcapng's Simple Packet Blocks, which have no time, and
    /// for times that this cannot hold ([`CaptureCounts::unusable_times`]).
    pub time_ns: Option<u64>,
    /// Bytes on the wire; more than `data.len()` when a snap length cut the packet.
    pub wire_len: u32,
    /// Direction as pcapng's `epb_flags` state it.
    pub hint: Option<DirectionHint>,
    /// What the capturing machine calls the interface, where the capture says so (pcapng's `if_name`).
    pub interface: Option<&'a String>,
    /// What a flow log's record says, if this stands for one and is no packet.
    pub log: Option<&'a LogRecord>,
    /// The captured bytes.
    pub data: &'a [u8],
}

impl<'a> Frame<'a> {
    /// A whole frame without a time.
    pub fn new(number: u64, link: LinkType, data: &'a [u8]) -> Self {
        let wire_len = u32::try_from(data.len()).unwrap_or(u32::MAX);
        Self { number, link, time_ns: None, wire_len, hint: None, interface: None, log: None, data }
    }

    /// Says when it was captured, in nanoseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn at(self, time_ns: u64) -> Self {
        Self { time_ns: Some(time_ns), ..self }
    }

    /// Says how long it was on the wire, where a snap length cut it.
    #[must_use]
    pub fn cut_from(self, wire_len: u32) -> Self {
        Self { wire_len, ..self }
    }

    /// Says which way it went.
    #[must_use]
    pub fn going(self, hint: DirectionHint) -> Self {
        Self { hint: Some(hint), ..self }
    }

    /// Says what the capturing machine calls the interface.
    #[must_use]
    pub fn on(self, interface: &'a String) -> Self {
        Self { interface: Some(interface), ..self }
    }
}

/// A record's place in the buffer: what a format's reader finds before the bytes are lent out.
#[derive(Debug)]
struct Record {
    link: LinkType,
    time_ns: Option<u64>,
    wire_len: u32,
    hint: Option<DirectionHint>,
    /// Position among the names of the reader.
    interface: Option<u16>,
    data: Range<usize>,
}

/// Frames read at once, with the bytes they lie in. Reuse it: its memory is then allocated once.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    records: Vec<Record>,
    /// The number of the first frame.
    first: u64,
    /// What the records' interfaces are called.
    names: Arc<Vec<String>>,
    /// What each record of a flow log says; empty for a capture.
    logs: Vec<LogRecord>,
}

impl Batch {
    /// The frames, in the order of the capture.
    pub fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        self.frames_from(0)
    }

    /// The frames from a position in the batch on.
    pub fn frames_from(&self, position: usize) -> impl Iterator<Item = Frame<'_>> {
        (position..self.records.len()).filter_map(|position| self.frame(position))
    }

    /// The number of the first frame.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    #[inline]
    fn frame(&self, position: usize) -> Option<Frame<'_>> {
        let record = self.records.get(position)?;
        let Record { link, time_ns, wire_len, hint, interface, ref data } = *record;
        let number = self.first + position as u64;
        let data = self.bytes.get(data.clone())?;
        let interface = interface.and_then(|name| self.names.get(usize::from(name)));
        let log = self.logs.get(position);
        Some(Frame { number, link, time_ns, wire_len, hint, interface, log, data })
    }
}

/// How much of a file that is no capture its error shows.
const SHOWN_OF_NO_CAPTURE: usize = 16;

/// A capture being read.
pub struct Capture {
    name: String,
    may_wait: bool,
    switch: Switch,
    /// The archive around it, and the file of it that is read.
    archive: Option<Archive>,
    file: Option<String>,
    /// Bytes of the files before it.
    before: u64,
    buffer: Buffer,
    format: Format,
    counts: SharedCounts,
    flow_logs: FlowLogOptions,
    /// Frames read into batches.
    read: u64,
    /// Damage found behind the frames of the last batch.
    damage: Option<CaptureError>,
    /// What [`Capture::next_frame`] yields from, and how far it has come.
    batch: Batch,
    yielded: usize,
}

enum Format {
    Pcap(pcap::Reader),
    PcapNg(pcapng::Reader),
    Snoop(snoop::Reader),
    FlowLog(Box<flow_log::Reader>),
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, read, .. } = self;
        f.debug_struct("Capture").field("name", name).field("read", read).finish_non_exhaustive()
    }
}

impl Capture {
    /// Opens a file.
    ///
    /// # Errors
    /// When the file cannot be opened, is a directory, is empty, or is not a capture.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        Self::open_with(path, &FlowLogOptions::default())
    }

    /// The same, with what is said of flow logs beside them.
    ///
    /// # Errors
    /// As [`Capture::open`].
    pub fn open_with(path: &Path, flow_logs: &FlowLogOptions) -> Result<Self, CaptureError> {
        let name = escape::path(path);
        let at_start = |kind| CaptureError { file: name.clone(), frame: None, offset: 0, kind };
        let file = File::open(path).map_err(|e| at_start(CaptureErrorKind::Io(e)))?;
        let meta = file.metadata().map_err(|e| at_start(CaptureErrorKind::Io(e)))?;
        if meta.is_dir() {
            return Err(at_start(CaptureErrorKind::Directory));
        }
        Ok(Self {
            may_wait: !meta.is_file(),
            ..Self::from_reader_with(&name, Box::new(file), flow_logs)?
        })
    }

    /// Reads a capture from any source, standard input for one; `name` appears in errors.
    ///
    /// # Errors
    /// When the source fails, is empty, or does not begin as a capture does.
    pub fn from_reader(name: &str, source: Box<dyn Read + Send>) -> Result<Self, CaptureError> {
        Self::from_reader_with(name, source, &FlowLogOptions::default())
    }

    /// The same, with what is said of flow logs beside them.
    ///
    /// # Errors
    /// As [`Capture::from_reader`].
    pub fn from_reader_with(
        name: &str,
        source: Box<dyn Read + Send>,
        flow_logs: &FlowLogOptions,
    ) -> Result<Self, CaptureError> {
        let (counts, switch) = (SharedCounts::default(), Switch::default());
        let opening = Opening { counts: &counts, switch: &switch, flow_logs };
        let Opened { archive, file, buffer, format } = open::start(name, source, &opening)?;
        Ok(Self {
            name: name.to_owned(),
            may_wait: true,
            switch,
            archive,
            file,
            before: 0,
            buffer,
            format,
            counts,
            flow_logs: flow_logs.clone(),
            read: 0,
            damage: None,
            batch: Batch::default(),
            yielded: 0,
        })
    }

    /// Whether bytes start as an uncompressed capture does.
    pub fn recognises(bytes: &[u8]) -> bool {
        bytes
            .first_chunk()
            .is_some_and(|magic| *magic == pcapng::MAGIC || pcap::MAGICS.contains(magic))
            || bytes.starts_with(&snoop::MAGIC)
    }

    /// Goes on with the next capture of the archive, if there is one.
    fn next_file(&mut self) -> Result<bool, CaptureError> {
        let Some(archive) = &self.archive else { return Ok(false) };
        let opening =
            Opening { counts: &self.counts, switch: &self.switch, flow_logs: &self.flow_logs };
        let next = open::next_in_archive(&self.name, archive, &opening)?;
        let InArchive::Capture { file, buffer, format } = next else { return Ok(false) };
        let is_log = |format: &Format| matches!(format, Format::FlowLog(_));
        if is_log(&self.format) || is_log(&format) {
            let kind = CaptureErrorKind::FlowLogInArchive;
            return Err(open::error(&self.name, Some(&file), kind));
        }
        self.before += self.buffer.offset();
        (self.file, self.buffer, self.format) = (Some(file), buffer, format);
        Ok(true)
    }

    /// The name given when the capture was opened.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its bytes may have yet to be written, as those of anything but a file may.
    pub fn may_wait(&self) -> bool {
        self.may_wait
    }

    /// Inflates on a thread of its own from now on, if it is a compressed file. Of a pipe a part is handed on as it
    /// comes.
    pub fn inflate_beside(&self) {
        if !self.may_wait {
            self.switch.turn_on();
        }
    }

    /// Statistics beside the packets, which grow while the capture is read.
    pub fn counts(&self) -> SharedCounts {
        self.counts.clone()
    }

    /// Where the records of a flow log are counted.
    pub fn flow_log(&self) -> FlowLog {
        match &self.format {
            Format::Pcap(_) | Format::PcapNg(_) | Format::Snoop(_) => FlowLog::default(),
            Format::FlowLog(reader) => reader.flow_log(),
        }
    }

    /// Frames yielded so far.
    pub fn frames(&self) -> u64 {
        self.read - (self.batch.records.len() - self.yielded) as u64
    }

    /// Bytes of the source consumed so far.
    pub fn offset(&self) -> u64 {
        self.before + self.buffer.offset()
    }

    /// The next frame, or `None` at the end.
    ///
    /// # Errors
    /// When the next record is damaged or cut off. The capture has then ended: what follows a
    /// damaged record cannot be found again, and further calls return `None`.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        if self.yielded == self.batch.records.len() {
            let mut batch = std::mem::take(&mut self.batch);
            let more = self.next_batch(&mut batch);
            (self.batch, self.yielded) = (batch, 0);
            if !more? {
                return Ok(None);
            }
        }
        self.yielded += 1;
        Ok(self.batch.frame(self.yielded - 1))
    }

    /// Reads the next frames into a batch, at least one; `false` at the end.
    ///
    /// # Errors
    /// As [`Capture::next_frame`], after every frame before the damage was handed out.
    pub fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, CaptureError> {
        loop {
            let filled = self.fill(batch);
            let more = match filled {
                Ok(true) => return Ok(true),
                Ok(false) => self.next_file(),
                Err(damage) => Err(damage),
            };
            match more {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(damage) => {
                    self.buffer.end();
                    self.archive = None;
                    return Err(damage);
                }
            }
        }
    }

    /// Reads the next frames of the file that is being read.
    fn fill(&mut self, batch: &mut Batch) -> Result<bool, CaptureError> {
        batch.records.clear();
        batch.logs.clear();
        batch.first = self.read + 1;
        if let Some(damage) = self.damage.take() {
            return Err(damage);
        }
        let records = &mut batch.records;
        let filled = match &mut self.format {
            Format::Pcap(reader) => reader.fill(&mut self.buffer, records),
            Format::PcapNg(reader) => fill(records, |wait| reader.next(&mut self.buffer, wait)),
            Format::Snoop(reader) => fill(records, |wait| reader.next(&mut self.buffer, wait)),
            Format::FlowLog(reader) => fill(records, |wait| reader.next(&mut self.buffer, wait)),
        };
        self.read += batch.records.len() as u64;
        if let Err(kind) = filled {
            let frame = Some(self.read + 1);
            let error = open::error(&self.name, self.file.as_deref(), kind);
            self.damage = Some(CaptureError { frame, offset: self.buffer.offset(), ..error });
        }
        match &mut self.format {
            Format::Pcap(_) | Format::Snoop(_) => self.buffer.hand_over(&mut batch.bytes),
            Format::PcapNg(reader) => {
                self.buffer.hand_over(&mut batch.bytes);
                batch.names = reader.names();
            }
            Format::FlowLog(reader) => {
                reader.hand_over(&mut batch.bytes, &mut batch.logs);
                batch.names = reader.names();
            }
        }
        match self.damage.take_if(|_| batch.records.is_empty()) {
            Some(damage) => Err(damage),
            None => Ok(!batch.records.is_empty()),
        }
    }
}

/// Reads records, waiting for bytes only while there is nothing to hand out.
fn fill(
    records: &mut Vec<Record>,
    mut next: impl FnMut(bool) -> Result<Option<Record>, CaptureErrorKind>,
) -> Result<(), CaptureErrorKind> {
    while let Some(record) = next(records.is_empty())? {
        records.push(record);
    }
    Ok(())
}
