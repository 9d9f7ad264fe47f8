//! YAML texts, read within bounds: the one module that knows `serde_yaml`.
//!
//! The crate is no longer maintained upstream, and a hostile text costs it time or memory that grows faster than
//! the text. So a text is walked first, event by event, by a parser that builds nothing, and is refused where it
//! nests too deep or holds too much, with aliases counted as what they stand for. The tests here hold both crates
//! to that.

mod bounds;
mod places;
mod plain;

use serde::Serialize;
use serde::de::DeserializeOwned;
pub use serde_yaml::{Mapping, Value};

pub(crate) use bounds::check_json;
pub use bounds::{DEEPEST, MOST_BYTES, MOST_VALUES};
pub(crate) use places::{Places, Segment};

/// Line and column, from 1.
pub type Position = (usize, usize);

/// A fault of a text's syntax, or a value that is not what is asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct YamlError {
    /// Where it stands, if that is known.
    pub at: Option<Position>,
    /// What was found, and what would be right.
    pub message: String,
}

/// Reads a text.
///
/// # Errors
/// What is wrong with it, or too much of it.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    bounds::check(text)?;
    let value = serde_yaml::from_str(text).map_err(|error| fault(text, &error))?;
    match places::named_again(text) {
        None => Ok(value),
        Some((name, at)) => {
            let message = format!("a second value is called `&{name}` here; give it another name");
            Err(YamlError { at: Some(at), message })
        }
    }
}

/// Reads a text as a value.
///
/// # Errors
/// As [`read`].
pub fn read_value(text: &str) -> Result<Value, YamlError> {
    plain::read(text).map_or_else(|| read(text), Ok)
}

/// Whether a text without quotes is read as the same word.
pub(crate) fn is_word(text: &str) -> bool {
    matches!(serde_yaml::from_str(text), Ok(Value::String(read)) if read == text)
}

/// A value as YAML; empty where it cannot be said, as a map with keys that are maps.
pub(crate) fn write(value: &impl Serialize) -> String {
    serde_yaml::to_string(value).unwrap_or_default()
}

fn fault(text: &str, error: &serde_yaml::Error) -> YamlError {
    if let Some((mut path, key)) = duplicate(&error.to_string()) {
        path.push(Segment::Again(key.clone()));
        let message = format!("`{key}` stands here for the second time; keep one");
        return YamlError { at: Places::read(text).find(&path), message };
    }
    let at = error.location().map(|at| (at.line(), at.column()));
    // The crate repeats the position in its message, in other words.
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or(&message);
    let line =
        at.and_then(|(line, _)| text.lines().nth(line.saturating_sub(1))).unwrap_or_default();
    let tab = line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t');
    let hint = if tab { "; YAML is indented with spaces, and this line has a tab" } else { "" };
    YamlError { at, message: format!("{message}{hint}") }
}

/// The way to a mapping that has a key twice, and the key. The crate says it in words, and gives the
/// place of the mapping: `security_groups[0].rules[1]: duplicate entry with key "ports" at …`.
fn duplicate(message: &str) -> Option<(Vec<Segment>, String)> {
    let (way, rest) = message.split_once("duplicate entry with key \"")?;
    let (key, _) = rest.split_once('"')?;
    let mut path = Vec::new();
    for step in way.trim_end_matches(": ").split('.').filter(|step| !step.is_empty()) {
        let (name, indices) = step.split_once('[').unwrap_or((step, ""));
        path.push(Segment::Key(name.to_owned()));
        let indices = indices.split('[').map(|index| index.trim_end_matches(']'));
        path.extend(indices.filter_map(|index| Some(Segment::Index(index.parse().ok()?))));
    }
    Some((path, key.to_owned()))
}
