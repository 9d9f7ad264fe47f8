//! JSON documents → the values in them that are records: objects one after the other, the elements of a list, or of a
//! list in an answer (`events`, `records`, `results`, `entries`). Only one element is held at a time.

use crate::capture::CaptureErrorKind;
use crate::capture::buffer::Buffer;

/// The longest element that is believed. A record of Azure has all flows of an interface in a minute.
const LONGEST_ELEMENT: usize = 16 << 20;

/// Lists of answers that hold records.
const LISTS: [&str; 4] = ["events", "records", "results", "entries"];

/// Keys of an answer that say that it is not all.
const TOKENS: [&str; 3] = ["nextToken", "NextToken", "nextPageToken"];

/// What Logs Insights says of a query whose `results` are not all.
const UNFINISHED: [&str; 5] = ["Scheduled", "Running", "Failed", "Cancelled", "Timeout"];

/// The source ends inside a document.
const CUT_OFF: CaptureErrorKind = CaptureErrorKind::FlowLogCutOff { inside: "a JSON document" };

/// Where in a document the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Between documents.
    Top,
    /// In a list, which is a document or is in an answer.
    List { in_answer: bool },
    /// In an answer, behind a list.
    Answer,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// An element of so many unread bytes.
    Element(usize),
    /// It is not all there, and nothing was to be waited for.
    Wait,
    /// The source has ended between documents.
    End,
}

/// A member of an object, or an object: so many bytes.
enum Part {
    Whole(usize),
    /// A list of an answer starts behind them.
    List(usize, &'static str),
}

/// Finds elements.
#[derive(Debug)]
pub(super) struct Scanner {
    place: Place,
    /// Lines consumed.
    lines: u64,
    list: Option<&'static str>,
    is_plain_list: bool,
    /// The last answer says that there is more.
    has_more: bool,
    /// The query of the last answer has not come to its end.
    is_unfinished: bool,
}

impl Scanner {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Top,
            lines: 0,
            list: None,
            is_plain_list: false,
            has_more: false,
            is_unfinished: false,
        }
    }

    /// The line on which the next element starts, counted from 1.
    pub(super) fn line(&self) -> u64 {
        self.lines + 1
    }

    /// The list of an answer that was found last.
    pub(super) fn list(&self) -> Option<&'static str> {
        self.list
    }

    /// Whether a document is a list, in which command lines print the newest first.
    pub(super) fn is_plain_list(&self) -> bool {
        self.is_plain_list
    }

    /// Finds the next element, which stays unread.
    pub(super) fn next(
        &mut self,
        buffer: &mut Buffer,
        wait: bool,
    ) -> Result<Step, CaptureErrorKind> {
        loop {
            self.skip_blanks(buffer);
            let Some(first) = buffer.unread().first().copied() else {
                if !wait {
                    return Ok(Step::Wait);
                }
                if buffer.fill_to(1)? {
                    continue;
                }
                let unfinished = self.is_unfinished && self.list == Some("results");
                return match (self.place, self.has_more || unfinished) {
                    (Place::Top, false) => Ok(Step::End),
                    (Place::Top, true) => Err(CaptureErrorKind::FlowLogHasMore),
                    _ => Err(CUT_OFF),
                };
            };
            let part = match (self.place, first) {
                (Place::Top, b'[') => {
                    self.is_plain_list = true;
                    self.place = Place::List { in_answer: false };
                    Part::Whole(1)
                }
                (Place::Top, b'{') => match self.look(buffer, wait, Self::object)? {
                    None => return Ok(Step::Wait),
                    Some(Part::Whole(length)) => return Ok(Step::Element(length)),
                    Some(list) => list,
                },
                (Place::List { in_answer }, b']') => {
                    self.place = if in_answer { Place::Answer } else { Place::Top };
                    Part::Whole(1)
                }
                (Place::List { .. } | Place::Answer, b',') => Part::Whole(1),
                (Place::List { .. }, _) => {
                    let found = self.look(buffer, wait, |_, bytes| Ok(value_end(bytes, 0)))?;
                    return Ok(found.map_or(Step::Wait, Step::Element));
                }
                (Place::Answer, b'}') => {
                    self.place = Place::Top;
                    Part::Whole(1)
                }
                (Place::Answer, b'"') => match self.look(buffer, wait, Self::member)? {
                    None => return Ok(Step::Wait),
                    Some(part) => part,
                },
                _ => {
                    let found = char::from(first).escape_default();
                    return Err(self.damaged(format!("expected a JSON object, found `{found}`")));
                }
            };
            let (Part::Whole(length) | Part::List(length, _)) = part;
            if let Part::List(_, name) = part {
                self.list = Some(name);
                self.place = Place::List { in_answer: true };
            }
            self.consume(buffer, length);
        }
    }

    /// Consumes an element, or what is around it.
    pub(super) fn consume(&mut self, buffer: &mut Buffer, length: usize) {
        let bytes = buffer.unread().get(..length).unwrap_or_default();
        self.lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        buffer.consume(length);
    }

    fn skip_blanks(&mut self, buffer: &mut Buffer) {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        let unread = buffer.unread();
        let mark = if unread.starts_with(MARK) { MARK.len() } else { 0 };
        let length = blanks(unread, mark);
        self.consume(buffer, length);
    }

    fn damaged(&self, found: String) -> CaptureErrorKind {
        CaptureErrorKind::FlowLog { line: self.line(), found }
    }

    /// Looks at unread bytes until there are enough of them; `None` where nothing is to be waited for.
    fn look<T>(
        &mut self,
        buffer: &mut Buffer,
        wait: bool,
        find: impl Fn(&mut Self, &[u8]) -> Result<Option<T>, String>,
    ) -> Result<Option<T>, CaptureErrorKind> {
        loop {
            let found = find(self, buffer.unread()).map_err(|found| self.damaged(found))?;
            let length = buffer.unread().len();
            if found.is_some() || !wait {
                return Ok(found);
            }
            if length > LONGEST_ELEMENT {
                return Err(self.damaged("a JSON value is longer than 16 MiB".to_owned()));
            }
            // Twice as many, so that looking again and again takes linear time.
            if !buffer.fill_to(2 * length)? && buffer.unread().len() == length {
                return Err(CUT_OFF);
            }
        }
    }

    /// An object at the start of a document.
    fn object(&mut self, bytes: &[u8]) -> Result<Option<Part>, String> {
        self.has_more = false;
        let mut at = 1;
        loop {
            at = blanks(bytes, at);
            match bytes.get(at) {
                None => return Ok(None),
                Some(b'}') => return Ok(Some(Part::Whole(at + 1))),
                Some(b',') => at += 1,
                Some(b'"') => match self.member_at(bytes, at)? {
                    Some(Part::Whole(end)) => at = end,
                    other => return Ok(other),
                },
                Some(_) => return Err("expected a key in a JSON object".to_owned()),
            }
        }
    }

    fn member(&mut self, bytes: &[u8]) -> Result<Option<Part>, String> {
        self.member_at(bytes, 0)
    }

    fn member_at(&mut self, bytes: &[u8], at: usize) -> Result<Option<Part>, String> {
        let Some(end) = value_end(bytes, at) else { return Ok(None) };
        let key = bytes.get(at + 1..end - 1).unwrap_or_default();
        let colon = blanks(bytes, end);
        match bytes.get(colon) {
            None => return Ok(None),
            Some(b':') => {}
            Some(_) => return Err("expected `:` behind a key of a JSON object".to_owned()),
        }
        let start = blanks(bytes, colon + 1);
        let Some(first) = bytes.get(start) else { return Ok(None) };
        let list = LISTS.into_iter().find(|name| name.as_bytes() == key);
        if let (Some(name), b'[') = (list, first) {
            return Ok(Some(Part::List(start + 1, name)));
        }
        let end = value_end(bytes, start);
        if TOKENS.iter().any(|name| name.as_bytes() == key) && *first == b'"' {
            self.has_more |= end.is_some_and(|end| end > start + 2);
        }
        if key == b"status" && *first == b'"' {
            let says = end.and_then(|end| bytes.get(start + 1..end - 1)).unwrap_or_default();
            self.is_unfinished |= UNFINISHED.iter().any(|word| word.as_bytes() == says);
        }
        Ok(end.map(Part::Whole))
    }
}

/// The next byte that is no white space.
fn blanks(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// The end of a value, if it is complete. The parser checks its syntax.
fn value_end(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, start);
    loop {
        match bytes.get(at)? {
            b'"' => {
                at = string_end(bytes, at)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' if depth <= 1 => return Some(if depth == 1 { at + 1 } else { at }),
            b'}' | b']' => {
                depth -= 1;
                at += 1;
            }
            // The end of a number or a word.
            b',' | b' ' | b'\n' | b'\r' | b'\t' if depth == 0 => return Some(at),
            _ => at += 1,
        }
    }
}

fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Chunks;

    /// The elements of a text, read a byte at a time as a slow pipe would bring it.
    fn elements(text: &str) -> Result<Vec<String>, String> {
        let bytes = text.as_bytes().to_vec();
        let mut buffer = Buffer::new(Box::new(std::io::Cursor::new(bytes)), Chunks::default());
        let (mut scanner, mut found) = (Scanner::new(), Vec::new());
        loop {
            match scanner.next(&mut buffer, true).map_err(|error| error.to_string())? {
                Step::Element(length) => {
                    found.push(String::from_utf8(buffer.unread()[..length].to_vec()).unwrap());
                    scanner.consume(&mut buffer, length);
                }
                Step::Wait | Step::End => return Ok(found),
            }
        }
    }

    #[test]
    fn elements_of_lists_answers_and_lines() {
        assert_eq!(elements("{\"a\": 1}\n{\"b\": [2]}\n").unwrap(), ["{\"a\": 1}", "{\"b\": [2]}"]);
        assert_eq!(elements(" [ {\"a\":\"]}\\\"\"} , 5,\"x\" ]").unwrap().len(), 3);
        let answer = "{\"x\": {}, \"events\": [{\"m\": 1}, {\"m\": 2}], \"nextToken\": \"\"}";
        assert_eq!(elements(answer).unwrap(), ["{\"m\": 1}", "{\"m\": 2}"]);
        assert_eq!(elements(&answer.repeat(2)).unwrap().len(), 4);
    }

    #[test]
    fn what_is_not_all_there() {
        let running = "{\"results\": [[]], \"status\": \"Running\"}";
        assert!(elements(running).is_err());
        assert!(elements(&running.replace("Running", "Complete")).is_ok());
        let more = "{\"nextToken\": \"abc\", \"events\": [{}]}";
        assert!(elements(more).unwrap_err().contains("nextToken"));
        // The next page is there.
        assert_eq!(elements(&format!("{more}{{\"events\": []}}")).unwrap().len(), 1);
        for cut in ["[{\"a\": 1}", "{\"records\": [{\"a\": 1}, ", "{\"a\": \"x", "{\"a\""] {
            assert!(elements(cut).unwrap_err().contains("breaks off"), "{cut}");
        }
        assert!(elements("x").unwrap_err().contains("expected a JSON object"));
        assert!(elements("{1}").unwrap_err().contains("expected a key"));
        assert!(elements("{\"a\" 1}").unwrap_err().contains("expected `:`"));
    }
}
