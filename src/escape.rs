//! Text from files, made safe to show.
//!
//! Ids, descriptions, names and values come from rules files, captures and logs that others have written. On
//! a terminal some characters in them act instead of showing: control characters move the cursor or change
//! the title, bidirectional controls reorder what is read, a line separator starts a line that looks like one
//! of ours, and characters without width hide. [`line()`] is the one function that every text passes; JSON keeps
//! the exact value ([`json`]).

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::{self, Write};
use std::io;
use std::path::Path;

use serde::Serialize;

/// Whether a character acts on a terminal, or does not show there.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            // Soft hyphen, Arabic letter mark, Hangul fillers, Mongolian vowel separator.
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{3164}' | '\u{ffa0}'
            // No width, marks of direction, line and paragraph separators, embeddings and overrides.
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            // Word joiner, invisible operators, isolates, deprecated controls.
            | '\u{2060}'..='\u{206f}'
            // Byte order mark, interlinear annotation.
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            // Musical controls, tags, further variation selectors.
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}'
        )
}

/// A text that shows whole on one line, whatever is in it: `\n`, `\r`, `\t`, else `\u{202e}` and the like.
/// Escaping twice is escaping once.
pub fn line(text: &str) -> Cow<'_, str> {
    // Most texts are plain ASCII.
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) || !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if acts(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The same of what stands in a text from a position on.
pub(crate) fn line_from(text: &mut String, start: usize) {
    if let Some(Cow::Owned(escaped)) = text.get(start..).map(line) {
        text.truncate(start);
        text.push_str(&escaped);
    }
}

/// The same of several lines that are ours: line breaks stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    match text.split('\n').any(|one| matches!(line(one), Cow::Owned(_))) {
        false => Cow::Borrowed(text),
        true => Cow::Owned(text.split('\n').map(line).collect::<Vec<_>>().join("\n")),
    }
}

/// A path in messages; a byte that is not UTF-8 as `\xff`.
pub fn path(path: &Path) -> String {
    os(path.as_os_str())
}

/// The same of any word of the system's.
pub fn os(text: &OsStr) -> String {
    let mut out = String::new();
    for chunk in text.as_encoded_bytes().utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// A word as a shell takes it, for a command that is shown.
pub fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// JSON that a terminal can show: the same values, with such characters as `\u202e`. They stand in strings
/// only, so replacing them keeps the values.
pub fn json(text: &str) -> Cow<'_, str> {
    let stays = |c: char| c == '\n' || !acts(c);
    if text.chars().all(stays) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if stays(c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    Cow::Owned(out)
}

/// A value as JSON in several lines, with one at its end.
pub fn pretty_json(value: &impl Serialize) -> serde_json::Result<String> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    Ok(match json(&text) {
        Cow::Owned(escaped) => escaped,
        Cow::Borrowed(_) => text,
    })
}

/// Writes a value as [`pretty_json`] gives it, without its text in memory.
///
/// # Errors
/// When `out` cannot be written to.
pub fn write_pretty_json(out: &mut impl io::Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(Escaping(&mut *out), value)?;
    out.write_all(b"\n")
}

/// Escapes what passes, which comes in whole characters.
struct Escaping<W>(W);

impl<W: io::Write> io::Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
        self.0.write_all(json(text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A string in double quotes, as YAML and Terraform read it.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // YAML takes fewer characters as they are than terminals do.
            c if acts(c) || ('\u{fff0}'..='\u{ffff}').contains(&c) => {
                let _ = match u32::from(c) {
                    short @ ..=0xffff => write!(out, "\\u{short:04x}"),
                    long => write!(out, "\\U{long:08x}"),
                };
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A word for a comment whose quotes know no escapes: as [`line()`] does, with `<U+202E>` for such a character.
pub fn unquoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => out.push('\''),
            c if acts(c) => {
                let _ = write!(out, "<U+{:04X}>", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// A cell of CSV: shown whole, but for tabs, which stay, and no formula. A spreadsheet runs what begins like
/// one, unless an apostrophe stands before it; numbers are numbers.
pub fn csv(text: &str) -> Cow<'_, str> {
    let begins = |c: char| {
        matches!(c, '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠')
    };
    let shown = match text.contains('\t') {
        false => line(text),
        true => Cow::Owned(text.split('\t').map(line).collect::<Vec<_>>().join("\t")),
    };
    match text.starts_with(begins) && text.parse::<f64>().is_err() {
        true => Cow::Owned(format!("'{shown}")),
        false => shown,
    }
}

/// Text for people, made line by line: what is put into a line stays in it and acts on no terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// Adds a line.
    pub fn line(&mut self, content: impl fmt::Display) {
        self.line_with(|text| {
            let _ = write!(text, "{content}");
        });
    }

    /// Adds a line that `write` appends.
    pub(crate) fn line_with(&mut self, write: impl FnOnce(&mut String)) {
        let start = self.0.len();
        write(&mut self.0);
        line_from(&mut self.0, start);
        self.0.push('\n');
    }

    /// Makes room for so many bytes more.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.0.reserve(bytes);
    }

    /// Adds an empty line.
    pub fn blank(&mut self) {
        self.0.push('\n');
    }

    /// Adds the lines of another text.
    pub fn append(&mut self, other: &Self) {
        self.0.push_str(&other.0);
    }

    /// The lines, each with its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

/// Adds a line to a [`Text`], as `writeln!` would.
macro_rules! push_line {
    ($text:expr) => {
        $text.blank()
    };
    ($text:expr, $($content:tt)*) => {
        $text.line(format_args!($($content)*))
    };
}
pub(crate) use push_line;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_shown() {
        let hostile =
            "a\u{1b}[2J\r\n\tb\u{9b}31m\u{7f}\u{202e}c\u{2066}\u{2028}\u{200b}\u{feff}\u{61c}\0";
        let shown = "a\\u{1b}[2J\\r\\n\\tb\\u{9b}31m\\u{7f}\\u{202e}c\\u{2066}\\u{2028}\\u{200b}\\u{feff}\
                     \\u{61c}\\u{0}";
        assert_eq!(line(hostile), shown);
        assert_eq!(line(shown), shown);
    }

    #[test]
    fn what_is_only_text_stays() {
        for text in ["", "sg-web", "Grüße, 安全组 ✓", "back\\slash"] {
            assert!(matches!(line(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn own_line_breaks_stay() {
        assert_eq!(lines("a\nb\n"), "a\nb\n");
        assert_eq!(lines("a\rx\nb\u{85}\n"), "a\\rx\nb\\u{85}\n");
    }

    #[test]
    fn json_keeps_its_values() {
        let value = "\u{1b}\u{7f}\u{9b}\u{202e}\u{2028}\u{e0041}\n\"\\";
        let text = serde_json::to_string(&serde_json::json!({ value: [value] })).unwrap();
        let shown = json(&text);
        assert!(shown.is_ascii(), "{shown}");
        let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(read, serde_json::json!({ value: [value] }));
    }

    #[test]
    fn quoted_strings_keep_their_values() {
        let value = "a\u{1b}\u{7f}\u{9b}\u{202e}\u{2028}\u{e0041}\u{8}\u{c}\n\t\r\"\\ é";
        let text = quoted(value);
        assert!(!text.contains(acts), "{text}");
        assert_eq!(crate::yaml::read::<String>(&text).unwrap(), value);
    }

    #[test]
    fn formulas_are_text_and_numbers_are_numbers() {
        for formula in ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1+1"]
        {
            assert!(csv(formula).starts_with('\''), "{formula:?}");
        }
        for plain in ["-1", "+5", "-1.5e3", "22", "sg-web", "10.0.0.0/8", ""] {
            assert_eq!(csv(plain), plain);
        }
        assert_eq!(csv("a\u{1b}\n\tb"), "a\\u{1b}\\n\tb");
    }

    #[test]
    fn a_shell_takes_a_word_for_one() {
        assert_eq!(shell("a/b-1.pcap"), "a/b-1.pcap");
        assert_eq!(shell("a; rm *"), "'a; rm *'");
        assert_eq!(shell("it's"), "'it'\\''s'");
        assert_eq!(shell(""), "''");
    }

    #[test]
    fn a_value_adds_no_line() {
        let mut text = Text::default();
        push_line!(text, "id {}", "x\nwarning: nothing is wrong\u{9b}2K");
        push_line!(text);
        assert_eq!(text.as_str(), "id x\\nwarning: nothing is wrong\\u{9b}2K\n\n");
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_show() {
        use std::os::unix::ffi::OsStrExt;
        assert_eq!(path(Path::new(OsStr::from_bytes(b"a\xff\xfeb.pcap"))), "a\\xff\\xfeb.pcap");
    }
}
