//! A table with a title, as text or as Markdown.

use super::packed::{Layout, Packed, is_number};
use crate::escape::{self, Text, push_line};

/// Lines shown of a table where nothing else is said.
pub(super) const SHOWN: usize = 20;

/// What a table in text has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Lines; the rest are counted in a last line.
    pub lines: usize,
    /// Characters in a line; `None` for as many as it takes.
    pub width: Option<usize>,
}

impl Default for Room {
    fn default() -> Self {
        Self { lines: SHOWN, width: None }
    }
}

/// The same in Markdown, which is to be short enough for a comment.
pub(super) const SHOWN_IN_COMMENT: usize = 10;

/// Lines under a header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    /// What it shows.
    pub(super) title: String,
    /// The header, then the lines.
    pub(super) rows: Vec<Vec<String>>,
    /// What was left out.
    pub(super) more: Option<String>,
}

impl Table {
    /// For a terminal of a width.
    pub(super) fn text(&self, width: Option<usize>) -> Text {
        let Self { title, rows, more } = self;
        let mut out = Text::default();
        if let rows @ [_, _, ..] = rows.as_slice() {
            push_line!(out);
            push_line!(out, "{title}");
            out.append(&table_within(rows, width));
        }
        if let Some(more) = more {
            push_line!(out, "  {more}");
        }
        out
    }

    /// For a page of a code host.
    pub(super) fn markdown(&self) -> String {
        let Self { title, rows, more } = self;
        let more = more.as_ref().map_or_else(String::new, |more| format!("\n{}\n", escaped(more)));
        if rows.len() < 2 {
            return more;
        }
        format!("\n### {}\n\n{}{more}", escaped(title), markdown(rows))
    }
}

/// Aligned columns, two spaces apart; numbers to the right.
pub fn table(rows: &[Vec<String>]) -> Text {
    table_within(rows, None)
}

/// The same in so many characters a line: words of the widest columns go on in further lines, as far as
/// that helps: no word is broken.
pub(super) fn table_within(rows: &[Vec<String>], width: Option<usize>) -> Text {
    let Some((header, rows)) = rows.split_first() else { return Text::default() };
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default().max(header.len());
    let header = Packed::header(header, columns);
    let mut packed = Packed::new(columns);
    for row in rows {
        packed.row(row);
    }
    let layout = Layout::new(&header, std::iter::once(&packed), width);
    let mut out = layout.lines(&header);
    out.append(&layout.lines(&packed));
    out
}

/// Lines under a header as Markdown; numbers to the right.
pub(super) fn markdown(rows: &[Vec<String>]) -> String {
    let Some((header, lines)) = rows.split_first() else { return String::new() };
    let line = |cells: &mut dyn Iterator<Item = String>| {
        let cells: Vec<String> = cells.collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let align = |column: usize| {
        let number = |line: &Vec<String>| line.get(column).is_some_and(|cell| is_number(cell));
        if !lines.is_empty() && lines.iter().all(number) { "--:" } else { "---" }
    };
    let mut out = line(&mut header.iter().map(|cell| escaped(cell)));
    out.push_str(&line(&mut (0..header.len()).map(|column| align(column).to_owned())));
    for cells in lines {
        let cell = |column: usize| cells.get(column).map_or_else(String::new, |cell| escaped(cell));
        out.push_str(&line(&mut (0..header.len()).map(cell)));
    }
    out
}

/// Lines as they are, in a fence that none of them ends.
pub(super) fn fenced(text: &Text) -> String {
    let mut longest = 0;
    let mut run = 0;
    for c in text.as_str().chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{text}{fence}\n")
}

/// Parts a name from what a code host would make of it: a link, or a word to a person. Nobody sees it.
const APART: &str = "<!-- -->";

/// Text that Markdown shows as it is, on one line: names come from rules and captures.
pub fn escaped(text: &str) -> String {
    let text = escape::line(text);
    let mut out = String::with_capacity(text.len());
    // A number before a dot is a list's, at the start.
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let mut rest = text.chars().enumerate().peekable();
    while let Some((at, c)) = rest.next() {
        let is_last = rest.peek().is_none_or(|(_, next)| *next == ' ');
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '@' => {
                out.push('\\');
                out.push(c);
            }
            '-' | '+' | '=' if at == 0 => {
                out.push('\\');
                out.push(c);
            }
            '.' | ')' if at > 0 && at == digits && is_last => {
                out.push('\\');
                out.push(c);
            }
            ' ' if at == 0 => out.push_str("&#32;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            c => out.push(c),
        }
        // @somebody, #12, !3, https://…, www.…
        let next = rest.peek().map_or(' ', |(_, next)| *next);
        let refers = "@#!~%$&".contains(c) && (next.is_alphanumeric() || "\"{`".contains(next));
        let after: String = rest.clone().take(2).map(|(_, c)| c).collect();
        let links = c == ':' && after == "//" || c.eq_ignore_ascii_case(&'w') && next == '.';
        if refers || links {
            out.push_str(APART);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_text() {
        let rows = [["a", "n"], ["<b>x</b> | `y` *z*\n@all", "12"]];
        let rows: Vec<Vec<String>> = rows.map(|row| row.map(str::to_owned).to_vec()).to_vec();
        let found = markdown(&rows);
        let wanted = "| a | n |\n| --- | --: |\n\
                      | &lt;b&gt;x&lt;/b&gt; \\| \\`y\\` \\*z\\*\\\\n\\@<!-- -->all | 12 |\n";
        assert_eq!(found, wanted);
    }

    #[test]
    fn nothing_becomes_a_link_or_calls_somebody() {
        assert_eq!(escaped("see https://example.org"), "see https:<!-- -->//example.org");
        assert_eq!(escaped("www.example.org"), "www<!-- -->.example.org");
        assert_eq!(escaped("a@example.org #12"), "a\\@<!-- -->example.org \\#<!-- -->12");
        assert_eq!(escaped("![x](y)"), "!\\[x\\](y)");
        assert_eq!(escaped("- item"), "\\- item");
        assert_eq!(escaped("12. item"), "12\\. item");
        assert_eq!(escaped("10.0.0.5"), "10.0.0.5");
        assert_eq!(escaped("tcp 22, 2001:db8::/32"), "tcp 22, 2001:db8::/32");
    }

    #[test]
    fn a_fence_is_longer_than_any_in_it() {
        let mut text = Text::default();
        push_line!(text, "````` `");
        assert_eq!(fenced(&text), "``````text\n````` `\n``````\n");
    }
}
