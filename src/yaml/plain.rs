//! The YAML that nearly every file is written in, read in one pass.
//!
//! `serde_yaml` holds all tokens of a text before it builds a value, and another parser walks the text before that: of
//! 60,000 rules that took most of the time and the memory of a start. This reads what both parsers take alike: block lists
//! and maps, lists and maps in brackets on one line, and scalars on one line without escapes. At anything else it
//! gives up, and the text is read by the crates. The tests hold it to what `serde_yaml` reads.

use serde_yaml::{Mapping, Value};

use super::bounds::{DEEPEST, MOST_VALUES};

/// The value of a text; `None` where it has something else in it, whether or not that is YAML.
pub(super) fn read(text: &str) -> Option<Value> {
    let is_plain = |c: char| match c.is_ascii() {
        true => c == '\n' || (' '..='~').contains(&c),
        false => c.is_alphanumeric(),
    };
    let is_ascii = text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte));
    if !is_ascii && !text.chars().all(is_plain) {
        return None;
    }
    let mut reader = Reader { lines: text.split('\n'), line: None, values: 0, depth: 0 };
    reader.advance();
    reader.line.filter(|(column, _)| *column == 0)?;
    let value = reader.block(0)?;
    reader.line.is_none().then_some(value)
}

struct Reader<'t> {
    lines: std::str::Split<'t, char>,
    /// The column at which the next part of the text starts, and the rest of its line.
    line: Option<(usize, &'t str)>,
    values: usize,
    depth: usize,
}

impl<'t> Reader<'t> {
    /// Goes to the next line with something in it.
    fn advance(&mut self) {
        self.line = self.lines.find_map(|line| {
            let text = line.trim_start_matches(' ');
            let column = line.len() - text.len();
            let text = text.trim_end_matches(' ');
            (!is_remark(text)).then_some((column, text))
        });
    }

    fn count(&mut self) -> Option<()> {
        self.values += 1;
        (self.values <= MOST_VALUES).then_some(())
    }

    /// Reads something inside a list or map.
    fn inside<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.count()?;
        self.depth += 1;
        (self.depth <= DEEPEST).then_some(())?;
        let value = read(self)?;
        self.depth -= 1;
        Some(value)
    }

    /// A list or map whose first line is the next.
    fn block(&mut self, column: usize) -> Option<Value> {
        let (_, text) = self.line?;
        self.inside(|reader| match behind_dash(text) {
            Some(_) => reader.list(column),
            None => reader.map(column),
        })
    }

    fn list(&mut self, column: usize) -> Option<Value> {
        let mut list = Vec::new();
        while let Some((at, text)) = self.line.filter(|(at, _)| *at >= column) {
            let content = match behind_dash(text) {
                Some(content) if at == column => content,
                // The list may be at the column of the map that it is in.
                None if at == column => break,
                _ => return None,
            };
            list.push(if is_remark(content) {
                self.below(column, false)?
            } else if behind_dash(content).is_some() || key(content).is_some() {
                let inner = column + (text.len() - content.len());
                self.line = Some((inner, content));
                self.block(inner)?
            } else {
                self.last(content)?
            });
        }
        Some(Value::Sequence(list))
    }

    fn map(&mut self, column: usize) -> Option<Value> {
        let mut map = Mapping::new();
        while let Some((at, text)) = self.line.filter(|(at, _)| *at >= column) {
            let (key, content) = key(text).filter(|_| at == column)?;
            let value = match is_remark(content) {
                true => self.below(column, true)?,
                false => self.last(content)?,
            };
            self.count()?;
            // A key that is there twice is an error.
            map.insert(resolved(key)?, value).is_none().then_some(())?;
        }
        Some(Value::Mapping(map))
    }

    /// What stands below a key or a dash, if anything does.
    fn below(&mut self, column: usize, is_map: bool) -> Option<Value> {
        self.advance();
        match self.line {
            Some((at, _)) if at > column => self.block(at),
            Some((at, text)) if is_map && at == column && behind_dash(text).is_some() => {
                self.block(at)
            }
            _ => {
                self.count()?;
                Some(Value::Null)
            }
        }
    }

    /// The value that is the rest of a line.
    fn last(&mut self, text: &'t str) -> Option<Value> {
        let (value, rest) = match text.as_bytes().first()? {
            b'[' | b'{' | b'"' | b'\'' => self.flow(text)?,
            _ => {
                let end = text.find(" #").unwrap_or(text.len());
                let (scalar, rest) = text.split_at_checked(end)?;
                (self.scalar(scalar.trim_end_matches(' '), ",")?, rest)
            }
        };
        let has_gap = rest.is_empty() || rest.starts_with(' ');
        (has_gap && is_remark(rest.trim_start_matches(' '))).then_some(())?;
        self.advance();
        Some(value)
    }

    /// A value in brackets, and the rest of the line behind it.
    fn flow(&mut self, text: &'t str) -> Option<(Value, &'t str)> {
        match text.as_bytes().first()? {
            b'[' => self.inside(|reader| reader.flow_list(text.get(1..)?)),
            b'{' => self.inside(|reader| reader.flow_map(text.get(1..)?)),
            b'"' | b'\'' => {
                self.count()?;
                let (text, rest) = quoted(text)?;
                Some((Value::String(text.to_owned()), rest))
            }
            _ => {
                let end = text.find([',', ']', '}'])?;
                let (scalar, rest) = text.split_at_checked(end)?;
                Some((self.scalar(scalar.trim_end_matches(' '), "")?, rest))
            }
        }
    }

    fn flow_list(&mut self, text: &'t str) -> Option<(Value, &'t str)> {
        let mut list = Vec::new();
        let mut text = text.trim_start_matches(' ');
        if let Some(rest) = text.strip_prefix(']') {
            return Some((Value::Sequence(list), rest));
        }
        loop {
            let (value, rest) = self.flow(text)?;
            list.push(value);
            let rest = rest.trim_start_matches(' ');
            if let Some(rest) = rest.strip_prefix(']') {
                return Some((Value::Sequence(list), rest));
            }
            text = rest.strip_prefix(',')?.trim_start_matches(' ');
        }
    }

    fn flow_map(&mut self, text: &'t str) -> Option<(Value, &'t str)> {
        let mut map = Mapping::new();
        let mut text = text.trim_start_matches(' ');
        if let Some(rest) = text.strip_prefix('}') {
            return Some((Value::Mapping(map), rest));
        }
        loop {
            let (key, content) = key(text)?;
            self.count()?;
            let (value, rest) = self.flow(content)?;
            map.insert(resolved(key)?, value).is_none().then_some(())?;
            let rest = rest.trim_start_matches(' ');
            if let Some(rest) = rest.strip_prefix('}') {
                return Some((Value::Mapping(map), rest));
            }
            text = rest.strip_prefix(',')?.trim_start_matches(' ');
        }
    }

    /// A scalar without quotes, which may have some characters beside those that it may have anywhere.
    fn scalar(&mut self, text: &str, beside: &str) -> Option<Value> {
        self.count()?;
        let (first, second) = (text.chars().next()?, text.chars().nth(1));
        let starts = first.is_alphanumeric()
            || "_/.+".contains(first)
            || first == '-' && second.is_some_and(char::is_alphanumeric)
            // In brackets `serde_yaml` takes the first colon for the end of a key.
            || text.starts_with("::") && !beside.is_empty();
        let holds =
            |c: char| c.is_alphanumeric() || " -_./+:@()=~;#".contains(c) || beside.contains(c);
        let is_plain = starts && text.chars().all(holds);
        let has_mark = text.contains(": ") || text.contains(" #") || text.ends_with(':');
        (is_plain && !has_mark).then_some(())?;
        resolved(text)
    }
}

/// Whether there is nothing, or a remark.
fn is_remark(text: &str) -> bool {
    text.is_empty() || text.starts_with('#')
}

/// What stands behind the dash of an element.
fn behind_dash(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('-')?;
    (rest.is_empty() || rest.starts_with(' ')).then(|| rest.trim_start_matches(' '))
}

/// A key that is a word, and what stands behind its colon.
fn key(text: &str) -> Option<(&str, &str)> {
    let (word, rest) = text.split_once(':')?;
    let holds = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    let is_word = word.bytes().all(holds)
        && word.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let ends = rest.is_empty() || rest.starts_with(' ');
    (is_word && ends).then(|| (word, rest.trim_start_matches(' ')))
}

/// A text in quotes without escapes, and what stands behind it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next()?;
    let (inside, rest) = text.get(1..)?.split_once(quote)?;
    let has_escape = inside.contains('\\') && quote == '"' || rest.starts_with(quote);
    // In a list in brackets, a value may be the key of a map.
    (!has_escape && !rest.trim_start_matches(' ').starts_with(':')).then_some((inside, rest))
}

/// A scalar without quotes as `serde_yaml` takes it: a number, a truth value, nothing, or text.
fn resolved(text: &str) -> Option<Value> {
    let first = text.bytes().next()?;
    if !matches!(first, b'0'..=b'9' | b'+' | b'-' | b'.') {
        return Some(match text {
            "null" | "Null" | "NULL" | "~" => Value::Null,
            "true" | "True" | "TRUE" => Value::Bool(true),
            "false" | "False" | "FALSE" => Value::Bool(false),
            _ => Value::String(text.to_owned()),
        });
    }
    // No number has these.
    if text.contains(['/', ':', ' ']) || text.bytes().filter(|byte| *byte == b'.').count() > 1 {
        return Some(Value::String(text.to_owned()));
    }
    let is_short = text.len() < 19 && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(number) if is_short && (first != b'0' || text.len() == 1) => {
            Some(Value::Number(number.into()))
        }
        _ => serde_yaml::from_str(text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::bounds;
    use super::*;
    use crate::parse::sample::Random;

    const WORDS: [&str; 40] = [
        "a",
        "id",
        "ports",
        "sg-web#1",
        "22",
        "22/23",
        "-1/-1",
        "-1",
        "0",
        "007",
        "+5",
        "1.5",
        "1e5",
        "0x1f",
        ".inf",
        "10.0.0.0/8",
        "2001:db8::/32",
        "::/0",
        "null",
        "~",
        "true",
        "yes",
        "a b",
        "a, b",
        "a: b",
        "a #b",
        "x:",
        "\"x\"",
        "'y'",
        "'it''s'",
        "\"a\\n\"",
        "\"x]\"",
        "-",
        "- c",
        "?",
        "&n",
        "*n",
        "!t",
        "grüße",
        "|",
    ];

    fn scalar(random: &mut Random, out: &mut String) {
        *out += random.one_of(&WORDS);
    }

    fn flow(random: &mut Random, depth: u64, out: &mut String) {
        match random.below(if depth > 2 { 3 } else { 6 }) {
            0..=2 => scalar(random, out),
            kind => {
                let [open, close] = if kind == 3 { ["[", "]"] } else { ["{", "}"] };
                *out += open;
                for n in 0..random.below(3) {
                    *out += if n > 0 { random.one_of(&[", ", ",", " , "]) } else { "" };
                    if kind > 3 {
                        *out += random.one_of(&["k", "\"q\"", "1"]);
                        *out += &n.to_string();
                        *out += random.one_of(&[": ", ":"]);
                    }
                    flow(random, depth + 1, out);
                }
                *out += close;
            }
        }
    }

    /// A list or map in lines, most of which are well made.
    fn block(random: &mut Random, column: usize, depth: u64, out: &mut String) {
        let is_list = random.below(2) == 0;
        for n in 0..=random.below(3) {
            if random.below(12) == 0 {
                *out += random.one_of(&["\n", "# remark\n", "   \n", "  # remark\n"]);
            }
            if !out.ends_with("- ") {
                *out += &" ".repeat(column + usize::from(random.below(60) == 0));
            }
            match is_list {
                true => *out += random.one_of(&["- ", "- ", "- ", "-  ", "-"]),
                false => {
                    *out += &[random.one_of(&["k", "key-", "1"]), &n.to_string(), ":"].concat();
                }
            }
            if depth < 4 && random.below(3) == 0 {
                let deeper = column + [2, 2, 2, 4, 0][usize::try_from(random.below(5)).unwrap()];
                if !is_list || random.below(2) == 0 {
                    *out += "\n";
                }
                block(random, deeper, depth + 1, out);
            } else {
                *out += random.one_of(&[" ", " ", " ", "", "  "]);
                flow(random, 0, out);
                *out += random.one_of(&["\n", "\n", "\n", "\n", " # remark\n", "  \n", "\n\n"]);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        /// Whatever is read at all is read as the crate reads it, and is within the bounds.
        #[test]
        fn it_reads_what_the_crate_reads(seed in any::<u64>(), damaged in any::<bool>()) {
            let mut random = Random(seed);
            let mut text = String::new();
            block(&mut random, 0, 0, &mut text);
            if damaged {
                let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
                let at = places[usize::try_from(random.below(places.len() as u64)).unwrap()];
                let put = random.one_of(&[" ", "\n", ":", "-", "#", ",", "[", "]", "{", "}", "\"", "'", "\t", "\r", "  "]);
                text.insert_str(at, put);
            }
            if let Some(value) = read(&text) {
                prop_assert_eq!(serde_yaml::from_str::<Value>(&text).ok(), Some(value), "{}", text);
                prop_assert_eq!(bounds::check(&text), Ok(()), "{}", text);
            }
        }
    }

    #[test]
    fn rules_files_are_plain() {
        for text in [
            "security_groups:\n  - id: sg-a\n    rules:\n      - {id: a, direction: ingress, ports: [22/22, 80/80]}\n      \
             - id: b\n        source: ::/0\n        description: \"from: everybody\"\ninterfaces: []\n",
            "- {a: [1, x], b: {c: \"d e\"}} # remark\n-\n- - x: 1\n    y:\n    - 2\n  - z\n",
        ] {
            let value = read(text);
            assert!(value.is_some());
            assert_eq!(serde_yaml::from_str::<Value>(text).ok(), value);
        }
    }

    #[test]
    fn what_nests_too_deep_or_is_too_much_is_left_to_the_bounds() {
        let nested = |n: usize| format!("a: {}1{}", "[".repeat(n), "]".repeat(n));
        assert!(read(&nested(DEEPEST - 1)).is_some());
        assert!(read(&nested(DEEPEST)).is_none());
        assert!(read(&format!("a: [{}1]", "1, ".repeat(MOST_VALUES))).is_none());
    }
}
