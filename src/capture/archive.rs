//! tar: the files in it, one after the other.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use super::buffer::Buffer;
use super::{Capture, CaptureErrorKind, snoop};
use crate::escape;

const BLOCK: usize = 512;
/// Where a header says that it is one.
const MAGIC_AT: usize = 257;
const MAGIC: &[u8] = b"ustar";
/// The longest list of attributes, and the longest name, that is believed.
const LONGEST_ATTRIBUTES: u64 = 1 << 20;

/// An archive that is read front to back.
pub(super) struct Archive(Arc<Mutex<Tar>>);

struct Tar {
    buffer: Buffer,
    /// Bytes of the member that were not read yet, and of the padding behind it.
    left: u64,
    padding: u64,
}

/// The file that is read at the moment.
struct Member(Arc<Mutex<Tar>>);

impl Archive {
    /// Whether an archive starts here. More than a line is waited for only where the first bytes can be a name
    /// and its padding.
    pub(super) fn starts(buffer: &mut Buffer) -> Result<bool, CaptureErrorKind> {
        const NAME: usize = 100;
        buffer.fill_to(snoop::MAGIC.len())?;
        if Capture::recognises(buffer.unread()) {
            return Ok(false);
        }
        buffer.fill_line(NAME)?;
        let name = buffer.unread().get(..NAME).unwrap_or_default();
        let padding = name.iter().find(|byte| matches!(byte, 0 | b'\n'));
        if padding != Some(&0) || !buffer.fill_to(BLOCK)? {
            return Ok(false);
        }
        Ok(buffer.unread().get(MAGIC_AT..).is_some_and(|rest| rest.starts_with(MAGIC)))
    }

    pub(super) fn new(buffer: Buffer) -> Self {
        Self(Arc::new(Mutex::new(Tar { buffer, left: 0, padding: 0 })))
    }

    /// Goes to the next file, past all that is left of the one before; its name, or `None` at the end.
    pub(super) fn next_file(&self) -> Result<Option<String>, CaptureErrorKind> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_file()
    }

    /// The bytes of the file.
    pub(super) fn file(&self) -> Box<dyn Read + Send> {
        Box::new(Member(Arc::clone(&self.0)))
    }
}

impl Read for Member {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read(into)
    }
}

impl Tar {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        if wanted == 0 {
            return Ok(0);
        }
        if !self.buffer.fill_to(1).map_err(CaptureErrorKind::into_io)? {
            return Err(CaptureErrorKind::ArchiveCutOff.into_io());
        }
        let unread = self.buffer.unread();
        let n = wanted.min(unread.len());
        for (to, from) in into.iter_mut().zip(unread.get(..n).unwrap_or_default()) {
            *to = *from;
        }
        self.buffer.consume(n);
        self.left -= n as u64;
        Ok(n)
    }

    fn next_file(&mut self) -> Result<Option<String>, CaptureErrorKind> {
        // Of the entries before a file's own.
        let (mut name, mut size) = (None, None);
        loop {
            if !self.buffer.skip(self.left)? || !self.buffer.skip(self.padding)? {
                return Err(CaptureErrorKind::ArchiveCutOff);
            }
            (self.left, self.padding) = (0, 0);
            if !self.buffer.fill_to(BLOCK)? {
                // Some writers leave out the empty blocks at the end.
                return match self.buffer.unread().is_empty() {
                    true => Ok(None),
                    false => Err(CaptureErrorKind::ArchiveCutOff),
                };
            }
            let header = Header::read(self.buffer.unread())?;
            self.buffer.consume(BLOCK);
            let Some(header) = header else { return Ok(None) };
            self.left = header.size;
            match header.kind {
                Kind::File => {
                    self.left = size.unwrap_or(header.size);
                    self.padding = padding(self.left);
                    let name = name.unwrap_or(header.name);
                    return Ok(Some(escape::line(&name).into_owned()));
                }
                Kind::Attributes => {
                    for (key, value) in attributes(&self.attributes()?) {
                        match key.as_str() {
                            "path" => name = Some(value),
                            "size" => size = value.parse().ok(),
                            _ => {}
                        }
                    }
                }
                Kind::LongName => {
                    let bytes = self.attributes()?;
                    name = Some(text(&bytes));
                }
                Kind::Other => (name, size) = (None, None),
            }
            self.padding = padding(header.size);
        }
    }

    /// The bytes of an entry that says something of the next one.
    fn attributes(&mut self) -> Result<Vec<u8>, CaptureErrorKind> {
        if self.left > LONGEST_ATTRIBUTES {
            let found = format!("attributes of {} bytes", self.left);
            return Err(CaptureErrorKind::Archive { found });
        }
        let mut bytes = Vec::new();
        while self.left > 0 {
            let mut chunk = [0; BLOCK];
            let n = self.read(&mut chunk)?;
            bytes.extend(chunk.iter().take(n));
        }
        Ok(bytes)
    }
}

/// What fills the last block.
fn padding(size: u64) -> u64 {
    let last = size % BLOCK as u64;
    if last == 0 { 0 } else { BLOCK as u64 - last }
}

struct Header {
    name: String,
    size: u64,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    File,
    /// POSIX: attributes of the next entry.
    Attributes,
    /// GNU: the name of the next entry.
    LongName,
    /// Directories, links and the like.
    Other,
}

impl Header {
    /// `None` of the empty block at the end.
    fn read(block: &[u8]) -> Result<Option<Self>, CaptureErrorKind> {
        let block = block.get(..BLOCK).unwrap_or_default();
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let field = |at: usize, len: usize| block.get(at..at + len).unwrap_or_default();
        let damaged = |found: &str| CaptureErrorKind::Archive { found: found.to_owned() };
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        let of_checksum: u64 = field(148, 8).iter().map(|byte| u64::from(*byte)).sum();
        // The checksum counts as spaces.
        if number(field(148, 8)) != Some(sum - of_checksum + 8 * u64::from(b' ')) {
            return Err(damaged("a header whose checksum is wrong"));
        }
        let size = number(field(124, 12)).ok_or_else(|| damaged("a size that is no number"))?;
        let name = match (text(field(345, 155)), text(field(0, 100))) {
            (prefix, name) if prefix.is_empty() || field(257, 8) == b"ustar  \0" => name,
            (prefix, name) => format!("{prefix}/{name}"),
        };
        let (kind, size) = match field(156, 1) {
            [0 | b'0' | b'7'] => (Kind::File, size),
            [b'x'] => (Kind::Attributes, size),
            [b'L'] => (Kind::LongName, size),
            // Links and devices have no bytes here, whatever their size is.
            [b'1'..=b'6'] => (Kind::Other, 0),
            _ => (Kind::Other, size),
        };
        Ok(Some(Self { name, size, kind }))
    }
}

/// Octal digits, or where the first bit is set a number of bytes.
fn number(field: &[u8]) -> Option<u64> {
    match field {
        [first, rest @ ..] if first & 0x80 != 0 => {
            let first = u64::from(first & 0x7f);
            rest.iter()
                .try_fold(first, |sum, byte| sum.checked_mul(256)?.checked_add(u64::from(*byte)))
        }
        _ => {
            let digits = text(field);
            let digits = digits.trim();
            if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
        }
    }
}

/// Text up to the first zero byte.
fn text(field: &[u8]) -> String {
    let text = field.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// `LENGTH KEY=VALUE` lines.
fn attributes(bytes: &[u8]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let Some(space) = rest.iter().position(|byte| *byte == b' ') {
        let len = text(rest.get(..space).unwrap_or_default()).parse::<usize>().ok();
        let Some(line) = len.and_then(|len| rest.get(space + 1..len)) else { break };
        let line = text(line);
        if let Some((key, value)) = line.trim_end_matches('\n').split_once('=') {
            found.push((key.to_owned(), value.to_owned()));
        }
        rest = rest.get(len.unwrap_or(rest.len())..).unwrap_or_default();
    }
    found
}
