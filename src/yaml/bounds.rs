//! How deep a text nests, and how much it holds, before anything is built of it.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser};
use serde::de::IgnoredAny;

use super::{Position, YamlError};

/// A text nests no deeper.
pub const DEEPEST: usize = 64;
/// A text holds no more values (keys count too), with aliases as what they stand for: some 100,000 rules.
pub const MOST_VALUES: usize = 2_500_000;
/// They come to no more bytes of text.
pub const MOST_BYTES: usize = 256 << 20;

/// A part of a text, with aliases as what they stand for.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    values: usize,
    bytes: usize,
}

impl Size {
    fn add(&mut self, other: Self) {
        self.values = self.values.saturating_add(other.values);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    fn since(self, before: Self) -> Self {
        Self { values: self.values - before.values, bytes: self.bytes - before.bytes }
    }
}

/// Whether a text is within the bounds.
///
/// # Errors
/// Where it is not. What is wrong with its syntax is for the reading to say.
pub(super) fn check(text: &str) -> Result<(), YamlError> {
    // The parser below keeps the tokens of a whole list or map in brackets before it hands any over.
    if text.starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(text).is_ok() {
        return check_json(text);
    }
    let tokens = text.bytes().filter(|byte| b",:[]{}".contains(byte)).count();
    if tokens > 2 * MOST_VALUES {
        return check_roughly(text);
    }
    let mut size = Size::default();
    // Lists and maps that are open: their anchors, and the size before them.
    let mut open: Vec<(usize, Size)> = Vec::new();
    let mut anchors: HashMap<usize, Size> = HashMap::new();
    for next in Parser::new_from_str(text) {
        let Ok((event, span)) = next else {
            // This parser gives up where the other may not.
            return check_roughly(text);
        };
        let at = (span.start.line(), span.start.col() + 1);
        match event {
            Event::Scalar(text, _, anchor, _) => {
                let scalar = Size { values: 1, bytes: text.len() };
                size.add(scalar);
                // Zero stands for none.
                if anchor > 0 {
                    anchors.insert(anchor, scalar);
                }
            }
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                open.push((anchor, size));
                size.add(Size { values: 1, bytes: 0 });
                if open.len() > DEEPEST {
                    return Err(too_deep(at));
                }
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some((anchor, before)) = open.pop().filter(|(anchor, _)| *anchor > 0) {
                    anchors.insert(anchor, size.since(before));
                }
            }
            Event::Alias(anchor) => size.add(anchors.get(&anchor).copied().unwrap_or_default()),
            _ => {}
        }
        if size.values > MOST_VALUES {
            return Err(too_many(at));
        }
        if size.bytes > MOST_BYTES {
            return Err(too_long(at));
        }
    }
    Ok(())
}

/// The same of a text that is no YAML, or none that the other parser reads: brackets, dashes and separators
/// wherever they stand.
fn check_roughly(text: &str) -> Result<(), YamlError> {
    let (mut depth, mut parts) = (0_usize, 0);
    for (number, line) in (1..).zip(text.lines()) {
        let dashes = line.split(' ').take_while(|word| matches!(*word, "" | "-" | "?")).count();
        if dashes > DEEPEST && line.trim_start().starts_with(['-', '?']) {
            return Err(too_deep((number, 1)));
        }
        for c in line.chars() {
            match c {
                '[' | '{' => (depth, parts) = (depth + 1, parts + 1),
                ']' | '}' => depth = depth.saturating_sub(1),
                ',' | ':' | '*' => parts += 1,
                _ => {}
            }
            if depth > DEEPEST {
                return Err(too_deep((number, 1)));
            }
        }
        parts += 1;
        if parts > MOST_VALUES {
            return Err(too_many((number, 1)));
        }
    }
    Ok(())
}

fn too_deep(at: Position) -> YamlError {
    YamlError { at: Some(at), message: format!("lists and maps nest {DEEPEST} deep at most") }
}

fn too_many(at: Position) -> YamlError {
    let message =
        format!("a file has {MOST_VALUES} values at most, with what is repeated; split it");
    YamlError { at: Some(at), message }
}

fn too_long(at: Position) -> YamlError {
    let message =
        format!("the values of a file have {MOST_BYTES} bytes at most, with what is repeated");
    YamlError { at: Some(at), message }
}

/// The same of a text of JSON, which is YAML too.
///
/// # Errors
/// Where it is not. What is wrong with its syntax is for the reading to say.
pub(crate) fn check_json(text: &str) -> Result<(), YamlError> {
    let (mut depth, mut values, mut quoted, mut escaped) = (0_usize, 1_usize, false, false);
    let (mut line, mut start) = (1, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => (depth, values) = (depth + 1, values + 1),
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' | b':' => values += 1,
            b'\n' => (line, start) = (line + 1, at + 1),
            _ => {}
        }
        if depth > DEEPEST || values > MOST_VALUES {
            let at = (line, at - start + 1);
            return Err(if depth > DEEPEST { too_deep(at) } else { too_many(at) });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;
    use crate::yaml::Value;

    fn message(text: &str) -> String {
        read::<Value>(text).unwrap_err().message
    }

    fn nested(open: &str, n: usize, inside: &str, close: &str) -> String {
        format!("{}{inside}{}", open.repeat(n), close.repeat(n))
    }

    #[test]
    fn texts_nest_so_deep_and_no_deeper() {
        let deep = "lists and maps nest 64 deep at most";
        for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", ""), ("[{a: ", "}]"), ("? ", "")] {
            let levels = if open == "[{a: " { 2 } else { 1 };
            assert!(read::<Value>(&nested(open, DEEPEST / levels, "1", close)).is_ok(), "{open:?}");
            for n in [DEEPEST / levels + 1, 1000, 100_000] {
                assert_eq!(message(&nested(open, n, "1", close)), deep, "{open:?} {n}");
                // Never closed.
                assert_eq!(message(&open.repeat(n)), deep, "{open:?} {n}");
                if open.starts_with(['[', '{']) {
                    assert_eq!(message(&format!("a: {}", open.repeat(n))), deep, "{open:?} {n}");
                }
            }
        }
        let indented = |n: usize| {
            (0..n).map(|i| [" ".repeat(i).as_str(), "a:\n"].concat()).collect::<String>()
        };
        assert!(read::<Value>(&indented(DEEPEST)).is_ok());
        assert_eq!(message(&indented(2000)), deep);
    }

    #[test]
    fn what_is_repeated_counts_as_often() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..9 {
            let all = vec![format!("*a{}", n - 1); 10].join(", ");
            let n = n.to_string();
            let n = n.as_str();
            bomb += &["a", n, ": &a", n, " [", &all, "]\n"].concat();
        }
        assert!(message(&bomb).contains("2500000 values at most"), "{}", message(&bomb));
        // A long text, often.
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(10_000));
        assert!(message(&long).contains("268435456 bytes at most"), "{}", message(&long));
        // A few values, often.
        let often = format!("a: &a [{}]\nb: [{}]\n", "1, ".repeat(1000), "*a, ".repeat(10_000));
        assert!(message(&often).contains("values at most"), "{}", message(&often));
        assert!(read::<Value>("a: &a [1, 2]\nb: [*a, *a]\n").is_ok());
    }

    #[test]
    fn a_text_has_so_many_values() {
        assert!(message(&format!("[{}]", "1,".repeat(MOST_VALUES + 1))).contains("values at most"));
    }

    /// What one parser refuses and the other may take is bounded too.
    #[test]
    fn texts_that_are_no_yaml() {
        for start in ["a: b: c: ", "\t", "@", "%x\n", "a: 'b' c ", "]"] {
            for open in ["[", "{a: "] {
                let text = format!("{start}{}", open.repeat(100_000));
                let message = message(&text);
                assert!(!message.is_empty() && message.len() < 1000, "{start:?} {open:?}");
            }
        }
    }

    /// Names of values, of which one line may have any number.
    #[test]
    fn anchors_in_one_line() {
        let names: String = (0..100_000).map(|n| ["&n", &n.to_string(), " x, "].concat()).collect();
        assert!(read::<Value>(&format!("[{names} *n7]")).is_ok());
        let twice = format!("[{names} &n5 y, *n7]");
        assert_eq!(message(&twice), "a second value is called `&n5` here; give it another name");
    }
}
