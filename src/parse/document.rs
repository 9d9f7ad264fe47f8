//! A YAML text before anything is known of its meaning: read, or the fault in its syntax; and the places of
//! faults that are found later.

use serde_yaml::Value;

use super::Fault;
use super::locate::{Places, Segment, named_again};

/// Reads a text for what it is before anything is known of its meaning.
pub(super) fn document(text: &str) -> Result<Value, Fault> {
    let document = serde_yaml::from_str(text).map_err(|error| syntax(text, &error))?;
    match named_again(text) {
        None => Ok(document),
        Some((name, at)) => {
            let message = format!("a second value is called `&{name}` here; give it another name");
            Err(Fault { at: Some(at), message })
        }
    }
}

fn syntax(text: &str, error: &serde_yaml::Error) -> Fault {
    if let Some((mut path, key)) = duplicate(&error.to_string()) {
        path.push(Segment::Again(key.clone()));
        let message = format!("`{key}` stands here for the second time; keep one");
        return Fault { at: Places::read(text).find(&path), message };
    }
    let at = error.location().map(|at| (at.line(), at.column()));
    // The crate repeats the position in its message, in other words.
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or(&message);
    let line =
        at.and_then(|(line, _)| text.lines().nth(line.saturating_sub(1))).unwrap_or_default();
    let tab = line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t');
    let hint = if tab { "; YAML is indented with spaces, and this line has a tab" } else { "" };
    Fault { at, message: format!("{message}{hint}") }
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

/// A fault, and the way to the value that has it.
pub(super) type Unplaced = (Vec<Segment>, String);

/// Faults with their places, in the order of the text.
pub(super) fn placed(text: &str, faults: Vec<Unplaced>) -> Vec<Fault> {
    let places = Places::read(text);
    let fault = |(path, message): Unplaced| Fault { at: places.find(&path), message };
    let mut faults: Vec<Fault> = faults.into_iter().map(fault).collect();
    faults.sort();
    faults
}
