//! Taking gzip and zstd off, by content and never by name.

use std::io::{self, Chain, Cursor, Read};

use flate2::read::MultiGzDecoder;

/// A source whose first bytes were read and put back.
type Started = Chain<Cursor<Vec<u8>>, Box<dyn Read + Send>>;

/// The largest window of zstd that is taken: 128 MiB, what `zstd -d` takes without being asked.
const WINDOW_LOG: u32 = 27;

/// The bytes of a capture, whether they come plain or compressed.
pub(super) fn plain(mut source: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut start = Vec::new();
    source.by_ref().take(4).read_to_end(&mut start)?;
    let compressed = Compression::of(&start);
    let source: Started = Cursor::new(start).chain(source);
    Ok(match compressed {
        None => Box::new(source),
        Some(Compression::Gzip) => Box::new(MultiGzDecoder::new(source)),
        Some(Compression::Zstd) => {
            let mut decoder = zstd::stream::read::Decoder::new(source)?;
            decoder.window_log_max(WINDOW_LOG)?;
            Box::new(decoder)
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
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Some(Self::Zstd),
            _ => None,
        }
    }
}
