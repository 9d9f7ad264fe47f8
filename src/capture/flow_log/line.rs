//! Lines of a buffer.

use crate::capture::CaptureErrorKind;
use crate::capture::buffer::Buffer;

/// The longest line that is read.
const LONGEST_LINE: usize = 1 << 20;

/// The line that starts `start` bytes into the unread bytes, without its line end, and the start of the next line. The
/// last line need have no line end; `None` after it.
pub(super) fn line_at(
    buffer: &mut Buffer,
    start: usize,
) -> Result<Option<(&str, usize)>, CaptureErrorKind> {
    let mut searched = start;
    let (length, end) = loop {
        let unread = buffer.unread();
        if let Some(at) = unread.get(searched..).and_then(|rest| memchr::memchr(b'\n', rest)) {
            break (searched + at, searched + at + 1);
        }
        searched = unread.len();
        if searched - start.min(searched) > LONGEST_LINE {
            return Err(CaptureErrorKind::LineTooLong);
        }
        if !buffer.fill_to(searched + 1)? {
            if searched <= start {
                return Ok(None);
            }
            break (searched, searched);
        }
    };
    let line = buffer.unread().get(start..length).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let line = std::str::from_utf8(line).map_err(|_| CaptureErrorKind::LineNotText)?;
    Ok(Some((line, end)))
}
