//! What goes to the terminal: results cut to its size, and what is said beside them.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sgreplay::escape::{self, Text};
use sgreplay::report::Room;

use crate::exit::Failure;

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    /// Errors alone.
    Few,
    /// What is usual.
    Usual,
    /// Every line of every table, whole.
    All,
}

static WORDS: OnceLock<Words> = OnceLock::new();

/// Sets how much is said, once.
pub(crate) fn set(words: Words) {
    let _ = WORDS.set(words);
}

fn words() -> Words {
    WORDS.get().copied().unwrap_or(Words::Usual)
}

/// Whether errors alone are said.
pub(crate) fn is_quiet() -> bool {
    words() == Words::Few
}

/// What tables have room for.
pub(crate) fn room() -> Room {
    match words() {
        Words::All => Room { lines: usize::MAX, width: None },
        Words::Few | Words::Usual => Room { width: width(), ..Room::default() },
    }
}

/// A line on standard error, under the program's name.
pub(crate) fn say(line: &str) {
    if words() != Words::Few {
        to_stderr(&escape::line(line));
    }
}

/// Why the program could not go on, on standard error.
pub(crate) fn complain(failure: &Failure) {
    let message = failure.to_string();
    match failure {
        // One fault a line.
        Failure::Rules(_) => {
            escape::lines(&message).lines().for_each(|line| to_stderr(&format!("error: {line}")));
        }
        _ if failure.is_in_lines() => to_stderr(&format!("error: {}", escape::lines(&message))),
        _ => to_stderr(&format!("error: {}", escape::line(&message))),
    }
    if let Some(example) = failure.example() {
        let lines: Vec<String> = example.lines().map(|line| format!("    {line}")).collect();
        let lines = lines.join("\n");
        let _ = write!(io::stderr().lock(), "\nFor example:\n\n{lines}\n\n{WHERE_FROM}\n");
    }
}

/// Commands that write files to start from.
const WHERE_FROM: &str = "\
`sgreplay init CAPTURE` writes such files from traffic, `sgreplay scenarios` prints rules for common cases,
`sgreplay convert FILE --to yaml` reads what a cloud or Terraform prints.";

fn to_stderr(shown: &str) {
    // Nothing can be done about a standard error that does not take it.
    let _ = writeln!(io::stderr().lock(), "sgreplay: {shown}");
}

/// Results for people, as they are printed: nothing where nothing is to be said, and on a terminal no line
/// wider than it.
pub(crate) fn results(text: Text) -> String {
    match words() {
        Words::Few => String::new(),
        Words::All => text.into(),
        Words::Usual => match width() {
            Some(width) => fitted(text.as_str(), width),
            None => text.into(),
        },
    }
}

/// Of the terminal that results go to, if they go to one.
fn width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let said = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    said.or_else(|| terminal_size::terminal_size().map(|(width, _)| width.0.into()))
}

/// Lines broken between words where they are wider; what follows stands further in than the line did. Those of
/// tables, which have columns, are as narrow as they get.
fn fitted(text: &str, width: usize) -> String {
    const FURTHER: usize = 4;
    let width = width.max(40);
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        if line.trim_start().contains("  ") {
            out.push_str(line);
            out.push_str(end);
            continue;
        }
        let indent = line.len() - line.trim_start_matches(' ').len() + FURTHER;
        let mut column = 0;
        let mut rest = line;
        while !rest.is_empty() {
            let gap = rest.len() - rest.trim_start_matches(' ').len();
            let (gap, word) = rest.split_at(gap);
            let length = word.find(' ').unwrap_or(word.len());
            let (word, behind) = word.split_at(length);
            let wide = gap.len() + word.chars().count();
            if column > indent && column + wide > width {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', indent));
                column = indent;
            } else {
                out.push_str(gap);
                column += gap.len();
            }
            out.push_str(word);
            column += word.chars().count();
            rest = behind;
        }
        out.push_str(end);
    }
    out
}

/// Progress over `bytes` of input, where it is wanted, on standard error and only if that is a terminal.
pub(crate) fn progress(bytes: Option<u64>, wanted: bool) -> ProgressBar {
    if !io::stderr().is_terminal() || !wanted {
        return ProgressBar::hidden();
    }
    let bar = match bytes {
        Some(bytes) => ProgressBar::new(bytes),
        None => ProgressBar::no_length(),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
    let template = match bytes {
        Some(_) => "{msg} packets  {bytes}/{total_bytes}  {bytes_per_sec}  {eta}",
        None => "{msg} packets  {bytes}  {bytes_per_sec}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_lose_nothing() {
        let text = "  a line with a long reason that goes on and on and on\n\nshort\n  \
                    averyveryveryveryveryveryveryveryverylongword\n";
        let found = fitted(text, 40);
        assert!(found.lines().all(|line| line.chars().count() <= 47), "{found}");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&found), words(text));
        assert_eq!(fitted(text, 200), text);
        assert!(
            found.starts_with("  a line with a long reason that goes on\n      and on"),
            "{found}"
        );
        let table = "  a  line  of a table, which has columns and had its width\n";
        assert_eq!(fitted(table, 40), table);
    }
}
