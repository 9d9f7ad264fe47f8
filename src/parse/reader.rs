//! A walk through a YAML document that goes on after a fault, and remembers the way to each.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use super::error::{MOST_FAULTS, Unplaced};
use crate::rules::{Cloud, nearest};
use crate::yaml::{Mapping, Segment, Value};

/// Walks the document, keeps going after a fault, and remembers the way to each.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) path: Vec<Segment>,
    /// The rule that is being read.
    pub(super) about: Option<String>,
    /// Whose rules they are.
    pub(super) cloud: Cloud,
    /// How many groups the file has as security groups.
    pub(super) security_groups: usize,
    pub(super) faults: Vec<Unplaced>,
}

impl Reader {
    /// Whether so much is wrong that the rest is not looked at.
    pub(super) fn is_full(&self) -> bool {
        self.faults.len() >= MOST_FAULTS
    }

    pub(super) fn fault(&mut self, message: impl Display) {
        let about = self.about.as_ref().map_or_else(String::new, |about| format!("{about}: "));
        self.faults.push((self.path.clone(), format!("{about}{message}")));
    }

    /// Does something one step further down.
    pub(super) fn at<T>(&mut self, step: Segment, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step);
        let value = read(self);
        self.path.pop();
        value
    }

    /// A mapping with no keys but these.
    pub(super) fn mapping<'v>(
        &mut self,
        value: &'v Value,
        what: &str,
        keys: &[&str],
    ) -> Option<&'v Mapping> {
        let Some(mapping) = value.as_mapping() else {
            self.fault(format_args!("{what} is expected here, with the keys {}", list(keys)));
            return None;
        };
        for key in mapping.keys() {
            let name = match key {
                Value::String(name) => Cow::Borrowed(name.as_str()),
                _ => Cow::Owned(plain(key).unwrap_or_default()),
            };
            if !keys.contains(&name.as_ref()) && !self.is_full() {
                let hint = match nearest(&name, keys.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("{what} has the keys {}", list(keys)),
                };
                self.at(Segment::Name(name.clone().into_owned()), |r| {
                    r.fault(format_args!("unknown key `{name}`; {hint}"));
                });
            }
        }
        Some(mapping)
    }

    /// Reads what is under a key; absent and `null` are alike.
    pub(super) fn under<T>(
        &mut self,
        mapping: &Mapping,
        key: &str,
        read: impl FnOnce(&mut Self, &Value) -> Option<T>,
    ) -> Option<T> {
        let value = value_of(mapping, key).filter(|value| !value.is_null())?;
        self.at(Segment::Key(key.to_owned()), |r| read(r, value))
    }

    pub(super) fn text(&mut self, mapping: &Mapping, key: &str) -> Option<String> {
        self.under(mapping, key, Self::scalar)
    }

    pub(super) fn scalar(&mut self, value: &Value) -> Option<String> {
        let text = plain(value);
        if text.is_none() {
            self.fault("a single value is expected here");
        }
        text
    }

    /// A value that reads itself from text.
    pub(super) fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        mapping: &Mapping,
        key: &str,
    ) -> Option<T> {
        self.under(mapping, key, |r, value| {
            if let Value::String(text) = value {
                return r.ok(text.parse());
            }
            let text = r.scalar(value)?;
            r.ok(text.parse())
        })
    }

    pub(super) fn ok<T, E: Display>(&mut self, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.fault(error)).ok()
    }

    pub(super) fn required<T>(
        &mut self,
        found: Option<T>,
        mapping: &Mapping,
        key: &str,
        what: &str,
    ) -> Option<T> {
        if found.is_some() || value_of(mapping, key).is_some_and(|value| !value.is_null()) {
            return found;
        }
        // A mistyped key was named as such, and the file is refused for it.
        let mut of_this =
            self.faults.iter().rev().take_while(|(path, _)| path.starts_with(&self.path));
        let mistyped = of_this.any(|(path, _)| match path.split_last() {
            Some((Segment::Name(name), above)) => {
                above == self.path && nearest(name, std::iter::once(key)) == Some(key)
            }
            _ => false,
        });
        if !mistyped {
            self.fault(format_args!("missing key `{key}`: {what}"));
        }
        found
    }

    /// A list, each element with its position.
    pub(super) fn each<T>(
        &mut self,
        mapping: &Mapping,
        key: &str,
        mut read: impl FnMut(&mut Self, usize, &Value) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.under(mapping, key, |r, value| {
            let Some(list) = value.as_sequence() else {
                r.fault("a list is expected here");
                return None;
            };
            let mut found = Vec::with_capacity(list.len());
            for (i, value) in list.iter().enumerate() {
                if r.is_full() {
                    break;
                }
                found.extend(r.at(Segment::Index(i), |r| read(r, i, value)));
            }
            Some(found)
        })
    }

    /// One value, several separated by commas, or a list of them, as the console takes them.
    pub(super) fn several<T, E: Display>(
        &mut self,
        mapping: &Mapping,
        key: &str,
        parse: impl Fn(&str) -> Result<Vec<T>, E>,
    ) -> Vec<T> {
        self.each_or_one(mapping, key, |r, value| r.words(value, &parse))
    }

    /// One value, or each of a list.
    pub(super) fn each_or_one<T>(
        &mut self,
        mapping: &Mapping,
        key: &str,
        mut read: impl FnMut(&mut Self, &Value) -> Vec<T>,
    ) -> Vec<T> {
        let found = self.under(mapping, key, |r, value| {
            Some(match value.as_sequence() {
                None => read(r, value),
                Some(list) => {
                    let mut all = Vec::new();
                    for (i, value) in list.iter().enumerate() {
                        if r.is_full() {
                            break;
                        }
                        all.extend(r.at(Segment::Index(i), |r| read(r, value)));
                    }
                    all
                }
            })
        });
        found.unwrap_or_default()
    }

    /// The words of a value, with commas between.
    pub(super) fn words<T, E: Display>(
        &mut self,
        value: &Value,
        parse: impl Fn(&str) -> Result<Vec<T>, E>,
    ) -> Vec<T> {
        let text = match value {
            Value::String(text) => Cow::Borrowed(text.as_str()),
            _ => Cow::Owned(self.scalar(value).unwrap_or_default()),
        };
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let mut all = Vec::new();
        for part in parts {
            if self.is_full() {
                break;
            }
            all.extend(self.ok(parse(part)).unwrap_or_default());
        }
        all
    }
}

/// So many keys are looked at one after the other, which takes less time than hashing.
const FEW_KEYS: usize = 16;

/// The value under a key.
fn value_of<'v>(mapping: &'v Mapping, key: &str) -> Option<&'v Value> {
    if mapping.len() > FEW_KEYS {
        return mapping.get(key);
    }
    let is_it = |known: &Value| matches!(known, Value::String(known) if known == key);
    mapping.iter().find(|(known, _)| is_it(known)).map(|(_, value)| value)
}

/// A scalar as it is written; an id or a port may look like a number.
pub(super) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_) => None,
    }
}

pub(super) fn one<T>(value: T) -> Vec<T> {
    vec![value]
}

/// As it is.
#[expect(clippy::unnecessary_wraps, reason = "as those that can fail")]
pub(super) fn word(text: &str) -> Result<Vec<String>, String> {
    Ok(vec![text.to_owned()])
}

fn list(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}
