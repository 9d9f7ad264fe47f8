//! Taking gzip and zstd off, by content and never by name.

use flate2::read::MultiGzDecoder;

use super::CaptureErrorKind;
use super::buffer::Buffer;

/// The largest window of zstd that is taken: 128 MiB, what `zstd -d` takes without being asked.
const WINDOW_LOG: u32 = 27;

/// Takes the compression off, if the first bytes show one.
pub(super) fn decompressed(mut buffer: Buffer) -> Result<Buffer, CaptureErrorKind> {
    buffer.fill_to(4)?;
    Ok(match Compression::of(buffer.unread()) {
        None => buffer,
        Some(Compression::Gzip) => Buffer::new(Box::new(MultiGzDecoder::new(buffer.into_source()))),
        Some(Compression::Zstd) => {
            let mut decoder = zstd::stream::read::Decoder::new(buffer.into_source())?;
            decoder.window_log_max(WINDOW_LOG)?;
            Buffer::new(Box::new(decoder))
        }
    })
}

enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    fn of(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }
}
