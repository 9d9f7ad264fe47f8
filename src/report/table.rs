//! A table with a title, as text or as Markdown.

use super::text;

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
    pub(super) fn text(&self, width: Option<usize>) -> String {
        let Self { title, rows, more } = self;
        let more = more.as_ref().map_or_else(String::new, |more| format!("  {more}\n"));
        match rows.as_slice() {
            [] | [_] => more,
            rows => format!("\n{title}\n{}{more}", text::table_within(rows, width)),
        }
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

/// Lines under a header as Markdown; numbers to the right.
pub(super) fn markdown(rows: &[Vec<String>]) -> String {
    let Some((header, lines)) = rows.split_first() else { return String::new() };
    let line = |cells: &mut dyn Iterator<Item = String>| {
        let cells: Vec<String> = cells.collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let align = |column: usize| {
        let number =
            |line: &Vec<String>| line.get(column).is_some_and(|cell| text::is_number(cell));
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

/// Text that Markdown shows as it is: names come from rules and captures.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '@' => {
                out.push('\\');
                out.push(c);
            }
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
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
                      | &lt;b&gt;x&lt;/b&gt; \\| \\`y\\` \\*z\\* \\@all | 12 |\n";
        assert_eq!(found, wanted);
    }
}
