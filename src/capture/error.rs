//! What can be wrong with a capture, and where.

use std::fmt;
use std::io;

/// A capture that cannot be read, or not further.
#[derive(Debug)]
pub struct CaptureError {
    /// The file, or `standard input`.
    pub file: String,
    /// The frame that could not be read, counted from 1; `None` before the first.
    pub frame: Option<u64>,
    /// Bytes from the start of the (uncompressed) capture to the record.
    pub offset: u64,
    /// What was found.
    pub kind: CaptureErrorKind,
}

impl CaptureError {
    /// Whether the capture merely breaks off, as a recording that was stopped in the middle does.
    pub fn is_truncation(&self) -> bool {
        use CaptureErrorKind::{
            ArchiveCutOff, CompressionCutOff, CutOff, FlowLogCutOff, FlowLogHasMore,
        };
        matches!(
            self.kind,
            CutOff { .. }
                | CompressionCutOff
                | ArchiveCutOff
                | FlowLogCutOff { .. }
                | FlowLogHasMore
        )
    }
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, frame, offset, kind } = self;
        match frame {
            Some(frame) => write!(f, "{file}: frame {frame} at byte {offset}: {kind}"),
            None => write!(f, "{file}: {kind}"),
        }
    }
}

impl std::error::Error for CaptureError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            CaptureErrorKind::Io(e) => Some(e),
            _ => None,
        }
    }
}

/// What was found where a capture should be, or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureErrorKind {
    /// The source failed.
    #[error("{}", os_error(.0))]
    Io(#[source] io::Error),
    /// The path names a directory.
    #[error("is a directory; name the capture files in it")]
    Directory,
    /// No bytes at all.
    #[error("is empty; a capture has at least a file header")]
    Empty,
    /// A format that is known and not read.
    #[error("is {format}, which is not read; {advice}")]
    Foreign {
        /// Its name, with an article.
        format: &'static str,
        /// The command that makes a capture of it, or what else helps.
        advice: String,
    },
    /// The first bytes are those of no format that is known.
    #[error("is not a capture: it starts with {}{}; expected pcap, pcapng, snoop, or a flow log with its column names{}", shown(.start), guess(.start), converter(.start))]
    NotACapture {
        /// The first bytes, 16 at most.
        start: Vec<u8>,
    },
    /// The source ends inside a record.
    #[error("the capture breaks off: the {what} needs {needed} bytes, {had} are left")]
    CutOff {
        /// `record`, `block`, `file header`.
        what: &'static str,
        /// Bytes that the record says it has.
        needed: u64,
        /// Bytes that there are.
        had: u64,
    },
    /// The compressed data around the capture ends too soon.
    #[error("the compressed data breaks off")]
    CompressionCutOff,
    /// The compressed data is compressed again, and again.
    #[error("is compressed more than twice; take the outer layers off first")]
    TooManyLayers,
    /// The archive around the captures ends too soon.
    #[error("the archive breaks off")]
    ArchiveCutOff,
    /// The archive around the captures is damaged.
    #[error("damaged tar archive: {found}")]
    Archive {
        /// What was found.
        found: String,
    },
    /// An archive without a capture.
    #[error("is a tar archive without a capture; it holds {}", if .files.is_empty() { "no file".to_owned() } else { .files.join(", ") })]
    ArchiveWithoutCapture {
        /// The first files in it.
        files: Vec<String>,
    },
    /// An archive with captures and flow logs, or several flow logs.
    #[error("is a flow log among other files of a tar archive; unpack it and name the files")]
    FlowLogInArchive,
    /// A record whose numbers contradict each other.
    #[error("damaged record: {found}")]
    Record {
        /// What was found.
        found: String,
    },
    /// A length that no writer writes.
    #[error(
        "the record claims {len} bytes; no record is longer than 16 MiB, so the file is damaged here"
    )]
    RecordTooLong {
        /// The length found.
        len: u64,
    },
    /// A pcapng block whose parts contradict each other.
    #[error("damaged pcapng block of type {block:#010x}: {found}")]
    Block {
        /// The block's type.
        block: u32,
        /// What was found, and what would be right.
        found: String,
    },
    /// Text that has something of a flow log.
    #[error("is not a capture, nor a flow log: {missing}")]
    NearlyAFlowLog {
        /// The format that it is nearest to, and what is missing.
        missing: String,
    },
    /// The source ends inside a document.
    #[error("the flow log breaks off inside {inside}, as one does that is still being written")]
    FlowLogCutOff {
        /// Of which kind, with an article.
        inside: &'static str,
    },
    /// An answer that is a page of several.
    #[error("the answer has a nextToken: it is not all of the log")]
    FlowLogHasMore,
    /// A line of a flow log that is no record.
    #[error("line {line}: {found}")]
    FlowLog {
        /// Counted from 1.
        line: u64,
        /// What was found, and what would be right.
        found: String,
    },
    /// A line of a flow log that never ends.
    #[error("the line is longer than 1 MiB, so this is no flow log, or a damaged one")]
    LineTooLong,
    /// A line of a flow log that is not UTF-8.
    #[error("the line is no text (UTF-8)")]
    LineNotText,
}

impl From<io::Error> for CaptureErrorKind {
    fn from(error: io::Error) -> Self {
        let error = match error.downcast::<Through>() {
            Ok(Through(kind)) => return kind,
            Err(error) => error,
        };
        match error.kind() {
            // Only a decoder ends unexpectedly; a plain source just ends.
            io::ErrorKind::UnexpectedEof => Self::CompressionCutOff,
            _ => Self::Io(error),
        }
    }
}

/// An error on its way through a decoder, which passes on errors of its source.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Through(CaptureErrorKind);

impl CaptureErrorKind {
    /// The same for a reader of bytes; [`From`] gives it back.
    pub(super) fn into_io(self) -> io::Error {
        match self {
            Self::Io(error) => error,
            Self::CompressionCutOff => io::ErrorKind::UnexpectedEof.into(),
            other => io::Error::other(Through(other)),
        }
    }
}

/// Why the system does not open or read a file, in words.
pub fn os_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "is a directory; name the file in it".to_owned(),
        _ => error.to_string(),
    }
}

fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace())
}

/// What may help with bytes that nobody here knows.
fn converter(bytes: &[u8]) -> &'static str {
    match is_text(bytes) {
        true => "",
        false => "; if Wireshark opens it, `editcap IN OUT.pcapng` converts it",
    }
}

/// Bytes as text where they are text, else in hexadecimal.
fn shown(bytes: &[u8]) -> String {
    if is_text(bytes) {
        format!("{:?}", String::from_utf8_lossy(bytes))
    } else {
        bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
    }
}

/// What the bytes probably are, when somebody would want to know.
fn guess(bytes: &[u8]) -> &'static str {
    match bytes {
        b if b.starts_with(b"security_gro") => " (a rules file: --rules takes it)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Root may read every file, so the test of the program is skipped there; the words are these.
    #[test]
    fn permission_denied_in_words() {
        let kind = CaptureErrorKind::Io(io::ErrorKind::PermissionDenied.into());
        let error = CaptureError { file: "x.pcap".to_owned(), frame: None, offset: 0, kind };
        assert_eq!(error.to_string(), "x.pcap: permission denied");
    }
}
