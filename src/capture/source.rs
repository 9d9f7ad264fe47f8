//! Taking compression off, by content and never by name.

use std::io::{self, Read};

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;
use lzma_rust2::XzReader;

use super::CaptureErrorKind;
use super::beside::Switch;
use super::buffer::Buffer;

/// The largest window of zstd that is taken: 128 MiB, what `zstd -d` takes without being asked.
#[cfg(feature = "zstd")]
const WINDOW_LOG: u32 = 27;
/// The same of xz: what its strongest preset takes, with room for the decoder itself.
const XZ_MEMORY_KIB: u32 = 66 << 10;
/// A capture that was compressed when it was written, and again when it was sent. More layers than that are
/// taken for an attempt to fill memory or time.
const MOST_LAYERS: usize = 2;

/// Takes the compression off, if the first bytes show one.
pub(super) fn decompressed(
    mut buffer: Buffer,
    switch: &Switch,
) -> Result<Buffer, CaptureErrorKind> {
    for layer in 0.. {
        let Some(compression) = Compression::detect(&mut buffer)? else { break };
        if layer == MOST_LAYERS {
            return Err(CaptureErrorKind::TooManyLayers);
        }
        let chunks = buffer.chunks();
        let decoder = compression.decoder(switch.beside(buffer.into_source()))?;
        buffer = Buffer::new(switch.beside(decoder), chunks);
    }
    Ok(buffer)
}

#[derive(Clone, Copy, Debug)]
enum Compression {
    Gzip,
    Zstd,
    Xz,
    Bzip2,
    Lz4,
    /// As its first versions wrote it, and Linux kernels are compressed.
    OldLz4,
}

impl Compression {
    /// The compression that the first bytes show; skips frames that a decoder is to skip, which zstd and lz4
    /// write alike.
    fn detect(buffer: &mut Buffer) -> Result<Option<Self>, CaptureErrorKind> {
        loop {
            buffer.fill_to(4)?;
            let found = match buffer.unread() {
                [0x1f, 0x8b, ..] => Self::Gzip,
                [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
                [0x04, 0x22, 0x4d, 0x18, ..] => Self::Lz4,
                [0x02, 0x21, 0x4c, 0x18, ..] => Self::OldLz4,
                [0xfd, b'7', b'z', b'X', ..] => {
                    buffer.fill_to(6)?;
                    match buffer.unread() {
                        [_, _, _, _, b'Z', 0, ..] => Self::Xz,
                        _ => return Ok(None),
                    }
                }
                [b'B', b'Z', b'h', b'1'..=b'9', ..] => {
                    buffer.fill_to(10)?;
                    match buffer.unread() {
                        // A block, or the end of what holds none.
                        [_, _, _, _, b'1', b'A', b'Y', b'&', b'S', b'Y', ..]
                        | [_, _, _, _, 0x17, b'r', b'E', b'8', b'P', 0x90, ..] => Self::Bzip2,
                        _ => return Ok(None),
                    }
                }
                [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                    buffer.fill_to(8)?;
                    let Some([.., a, b, c, d]) = buffer.unread().first_chunk::<8>() else {
                        return Ok(None);
                    };
                    let len = u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
                    if !buffer.skip(8 + len)? {
                        return Err(CaptureErrorKind::CompressionCutOff);
                    }
                    continue;
                }
                _ => return Ok(None),
            };
            return Ok(Some(found));
        }
    }

    fn decoder(
        self,
        source: Box<dyn Read + Send>,
    ) -> Result<Box<dyn Read + Send>, CaptureErrorKind> {
        Ok(match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(source)),
            #[cfg(feature = "zstd")]
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(source)?;
                decoder.window_log_max(WINDOW_LOG)?;
                Box::new(decoder)
            }
            #[cfg(not(feature = "zstd"))]
            Self::Zstd => {
                return Err(CaptureErrorKind::Foreign {
                    format: "compressed with zstd",
                    advice: "this build is without the feature `zstd`; `zstd -d` unpacks it"
                        .to_owned(),
                });
            }
            Self::Xz => Box::new(XzReader::new_mem_limit(source, true, XZ_MEMORY_KIB)),
            Self::Bzip2 => Box::new(MultiBzDecoder::new(source)),
            Self::Lz4 => Box::new(Lz4::new(source, true)),
            Self::OldLz4 => Box::new(Lz4::new(source, false)),
        })
    }
}

/// Frames of lz4, one after the other. The decoder stops at the end of each, takes frames to be skipped for an
/// error, and data that breaks off between two blocks for the end.
struct Lz4 {
    decoder: FrameDecoder<Watched>,
    /// Frames end with a mark; old ones just end.
    has_end_mark: bool,
}

/// A source that remembers its end.
struct Watched {
    source: Box<dyn Read + Send>,
    last: [u8; 8],
    ended: bool,
    /// Why it could not be read; the decoder takes a source that breaks off for one that ends.
    failed: Option<io::Error>,
}

impl Lz4 {
    fn new(source: Box<dyn Read + Send>, has_end_mark: bool) -> Self {
        let watched = Watched { source, last: [0xff; 8], ended: false, failed: None };
        Self { decoder: FrameDecoder::new(watched), has_end_mark }
    }
}

impl Read for Lz4 {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            let read = self.decoder.read(into);
            // What was decoded before is handed over first.
            if !matches!(read, Ok(1..))
                && let Some(error) = self.decoder.get_mut().failed.take()
            {
                return Err(error);
            }
            match read {
                Ok(0) if self.decoder.get_ref().ended => {
                    let whole = !self.has_end_mark || self.decoder.get_ref().ends_with_mark();
                    return if whole { Ok(0) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
                }
                // The end of a frame.
                Ok(0) => {}
                Ok(n) => return Ok(n),
                Err(error) => match skippable(&error) {
                    Some(len) => self.decoder.get_mut().skip(len)?,
                    None => return Err(error),
                },
            }
        }
    }
}

/// The length of a frame that is to be skipped, which the decoder takes for an error.
fn skippable(error: &io::Error) -> Option<u64> {
    match error.get_ref()?.downcast_ref()? {
        lz4_flex::frame::Error::SkippableFrame(len) => Some(u64::from(*len)),
        _ => None,
    }
}

impl Watched {
    /// Whether the last bytes are the mark at the end of a frame, four zeros, which a checksum may follow.
    fn ends_with_mark(&self) -> bool {
        matches!(self.last, [0, 0, 0, 0, ..] | [.., 0, 0, 0, 0])
    }

    fn skip(&mut self, len: u64) -> io::Result<()> {
        let skipped = io::copy(&mut (&mut *self).take(len), &mut io::sink())?;
        self.last = [0; 8];
        if skipped == len { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

impl Read for Watched {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = match self.source.read(into) {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(error);
                return Err(kind.into());
            }
        };
        self.ended = n == 0 && !into.is_empty();
        let read = into.get(..n).unwrap_or_default();
        for byte in read.get(n.saturating_sub(8)..).unwrap_or_default() {
            self.last.rotate_left(1);
            if let Some(last) = self.last.last_mut() {
                *last = *byte;
            }
        }
        Ok(n)
    }
}
