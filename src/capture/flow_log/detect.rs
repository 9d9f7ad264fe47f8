//! Detects flow logs by their first bytes.

use serde_json::Value;

use super::columns::Columns;
use super::dialect::{Dialect, Recognised};
use super::line::line_at;
use super::objects::{Scanner, Step};
#[cfg(feature = "parquet")]
use super::rows::{self, Rows};
use super::{FlowLogOptions, Reader, Source};
use crate::capture::buffer::Buffer;
use crate::capture::{CaptureErrorKind, SHOWN_OF_NO_CAPTURE};

impl Reader {
    /// Whether the source starts as a flow log does; lines before its first record are read then.
    pub(in crate::capture) fn start(
        buffer: &mut Buffer,
        options: &FlowLogOptions,
    ) -> Result<Option<Self>, CaptureErrorKind> {
        let is_text = |b: &u8| !b.is_ascii_control() || b.is_ascii_whitespace();
        buffer.fill_to(SHOWN_OF_NO_CAPTURE)?;
        if !buffer.unread().iter().take(SHOWN_OF_NO_CAPTURE).all(is_text) {
            return Ok(None);
        }
        let fields = options.fields.as_ref();
        let mut start = 0;
        let columns = loop {
            // A flow log is text; the caller names other formats.
            let Ok(Some((line, end))) = line_at(buffer, start) else { break None };
            let text = line.trim_start();
            let is_json = text.starts_with(['{', '[']);
            match Columns::detect(line, fields) {
                Some(columns) => break Some(columns),
                // Remarks and empty lines come before a header; anything else is no flow log.
                None if text.is_empty() || text.starts_with('#') => start = end,
                None if is_json => break None,
                None => {
                    return match Columns::nearest(line) {
                        Some(missing) => Err(CaptureErrorKind::NearlyAFlowLog { missing }),
                        None => Ok(None),
                    };
                }
            }
        };
        match columns {
            Some(columns) => Ok(Some(Self::new(Source::Lines(Box::new(columns)), options))),
            None => Self::start_objects(buffer, options),
        }
    }

    /// The same of JSON values.
    fn start_objects(
        buffer: &mut Buffer,
        options: &FlowLogOptions,
    ) -> Result<Option<Self>, CaptureErrorKind> {
        let unread = buffer.unread();
        let shown: Vec<u8> = unread.iter().copied().take(SHOWN_OF_NO_CAPTURE).collect();
        let first =
            unread.strip_prefix(b"\xef\xbb\xbf").unwrap_or(unread).trim_ascii_start().first();
        if !matches!(first, Some(b'{' | b'[')) {
            return Ok(None);
        }
        let no_capture = || CaptureErrorKind::NotACapture { start: shown.clone() };
        let mut scanner = Scanner::new();
        let step = match scanner.next(buffer, true) {
            // What is no JSON is no flow log; an answer that ends inside its first record is one.
            Err(CaptureErrorKind::FlowLog { .. } | CaptureErrorKind::FlowLogCutOff { .. })
                if scanner.list().is_none() =>
            {
                return Err(no_capture());
            }
            step => step?,
        };
        let value = match step {
            Step::Element(length) => {
                let element = buffer.unread().get(..length).unwrap_or_default();
                Some(serde_json::from_slice::<Value>(element).map_err(|_| no_capture())?)
            }
            Step::Wait | Step::End => None,
        };
        let fields = options.fields.as_ref();
        match Dialect::detect(value.as_ref(), scanner.list(), fields)? {
            Recognised::Dialect(dialect) => {
                Ok(Some(Self::new(Source::Objects(Box::new((scanner, dialect))), options)))
            }
            Recognised::Unknown => {
                let text = value.map(|value| value.to_string()).unwrap_or_default();
                Err(match Columns::nearest(&text) {
                    Some(missing) => CaptureErrorKind::NearlyAFlowLog { missing },
                    None => no_capture(),
                })
            }
        }
    }

    /// A Parquet file, which is read whole; `None` where the source does not start as one.
    #[cfg(feature = "parquet")]
    pub(in crate::capture) fn start_rows(
        buffer: &mut Buffer,
        options: &FlowLogOptions,
    ) -> Result<Option<Self>, CaptureErrorKind> {
        if !buffer.unread().starts_with(rows::MAGIC) {
            return Ok(None);
        }
        let of = Rows::start(buffer)?;
        Ok(Some(Self::new(Source::Rows(Box::new(of)), options)))
    }
}
