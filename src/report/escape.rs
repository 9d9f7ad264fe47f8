//! Text from files, made safe to show.
//!
//! Ids, descriptions, names and values come from rules files, captures and logs that others have written. On
//! a terminal some characters in them act instead of showing: control characters move the cursor or change
//! the title, bidirectional controls reorder what is read, a line separator starts a line that looks like one
//! of ours, and characters without width hide. [`line`] is the one function that every text passes; JSON keeps
//! the exact value ([`json`]).

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write;
use std::path::Path;

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

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_show() {
        use std::os::unix::ffi::OsStrExt;
        assert_eq!(path(Path::new(OsStr::from_bytes(b"a\xff\xfeb.pcap"))), "a\\xff\\xfeb.pcap");
    }
}
