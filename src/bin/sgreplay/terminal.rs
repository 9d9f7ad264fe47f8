//! What goes to the terminal: results cut to its size, and what is said beside them.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use clap::ColorChoice;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
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

static COLOR: OnceLock<ColorChoice> = OnceLock::new();

/// Sets when there is colour, once.
pub(crate) fn set_color(color: ColorChoice) {
    let _ = COLOR.set(color);
}

/// Whether results have colour: the same for a whole run, and asked for every row.
static COLORED_RESULTS: LazyLock<bool> = LazyLock::new(|| has_color(io::stdout().is_terminal()));

/// Whether there is colour, on a terminal or elsewhere.
fn has_color(is_terminal: bool) -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match COLOR.get().copied().unwrap_or_default() {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
            is_terminal && !is_set("NO_COLOR") && !is_dumb
        }
    }
}

/// Words that start a line, behind numbers, and their colours. Each says the same without colour.
const COLORS: [(&str, u8); 15] = [
    ("newly denied", RED),
    ("newly allowed", MAGENTA),
    ("denied", RED),
    ("allowed", GREEN),
    ("deny", RED),
    ("allow", GREEN),
    ("not evaluated", YELLOW),
    ("error", RED),
    ("warning", YELLOW),
    ("FAIL", RED),
    ("ok", GREEN),
    ("The proposal fails", RED),
    ("The proposal passes", GREEN),
    ("It is not known whether the proposal passes", YELLOW),
    ("PARTIAL", YELLOW),
];

// Codes of ECMA-48, 8.3.117.
const RED: u8 = 31;
const GREEN: u8 = 32;
const YELLOW: u8 = 33;
const MAGENTA: u8 = 35;

/// Text with the verdicts in it coloured.
fn painted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for line in text.split_inclusive('\n') {
        // The number and the time of a row.
        let word = line
            .trim_start_matches(|c: char| c == ' ' || c == '.' || c == '-' || c.is_ascii_digit());
        let ends =
            |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || "-_/".contains(c));
        let found = COLORS.iter().find_map(|(start, color)| {
            let rest = word.strip_prefix(start).filter(|rest| ends(rest))?;
            Some((start, color, rest))
        });
        match found {
            Some((start, color, rest)) => {
                out.push_str(line.strip_suffix(word).unwrap_or_default());
                let _ = write!(out, "\u{1b}[{color}m{start}\u{1b}[0m{rest}");
            }
            None => out.push_str(line),
        }
    }
    out
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
    let has_color = has_color(io::stderr().is_terminal());
    let painted = if has_color { painted(shown) } else { shown.to_owned() };
    // Nothing can be done about a standard error that does not take it.
    let _ = writeln!(io::stderr().lock(), "sgreplay: {painted}");
}

/// Results for people, as they are printed: nothing where nothing is to be said, and on a terminal no line
/// wider than it.
pub(crate) fn results(text: Text) -> String {
    let text = match words() {
        Words::Few => return String::new(),
        Words::All => text.into(),
        Words::Usual => match width() {
            Some(width) => fitted(text.as_str(), width),
            None => text.into(),
        },
    };
    colored(text)
}

/// The same of text that has its form, such as a row.
pub(crate) fn colored(text: String) -> String {
    if *COLORED_RESULTS { painted(&text) } else { text }
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

/// Counts that are painted anew every second, on standard error and only if that is a terminal.
pub(crate) fn counts() -> ProgressBar {
    if !io::stderr().is_terminal() || is_quiet() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::no_length().with_finish(ProgressFinish::AndClear);
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
    if let Ok(style) = ProgressStyle::with_template("{elapsed_precise}  {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_secs(1));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_at_the_start_of_lines_are_coloured() {
        let red = |word: &str| format!("\u{1b}[31m{word}\u{1b}[0m");
        assert_eq!(
            painted("deny: default of sg-web"),
            format!("{}: default of sg-web", red("deny"))
        );
        assert_eq!(
            painted("   200      0.905300  deny  ingress local\n"),
            format!("   200      0.905300  {}  ingress local\n", red("deny"))
        );
        assert_eq!(
            painted("newly denied: 6 of 15\n"),
            format!("{}: 6 of 15\n", red("newly denied"))
        );
        for plain in ["deny-all  sg-web\n", "denying\n", "  4  sg-web deny\n", "", "okay\n"] {
            assert_eq!(painted(plain), plain);
        }
    }

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
