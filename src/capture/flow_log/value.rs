//! Records in JSON: values under keys.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::record::Entry;
use super::scalar::{ip, whole};

/// A record, and the interface that it is of.
pub(super) type Read = (Entry, Option<Arc<str>>);

/// Reads a value; of the objects in it only members of these names, if there are some: records have many more than are
/// looked at, and each would be several allocations.
pub(super) fn read(bytes: &[u8], members: Option<Members>) -> serde_json::Result<Value> {
    if let (Some(members), Ok(text)) = (members, str::from_utf8(bytes)) {
        let mut reader = serde_json::Deserializer::from_str(text);
        let value = members.deserialize(&mut reader);
        if let Ok(value) = value.and_then(|value| reader.end().map(|()| value)) {
            return Ok(value);
        }
    }
    serde_json::from_slice(bytes)
}

/// The names of members that are read, at any depth.
#[derive(Clone, Copy)]
pub(super) struct Members(pub(super) &'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Members {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Members {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(name) = object.next_key_seed(Name(self))? {
            match name {
                Some(name) => _ = values.insert(name, object.next_value_seed(self)?),
                None => _ = object.next_value::<IgnoredAny>()?,
            }
        }
        Ok(Value::Object(values))
    }
}

/// The name of a member; `None` where it is not read.
struct Name(Members);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Option<String>, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<String>, E> {
        let Self(Members(members)) = self;
        Ok(members.contains(&name).then(|| name.to_owned()))
    }
}

/// A string or a number as text.
pub(super) fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The text under a key.
pub(super) fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

/// The number under a key, which may be written as a string.
pub(super) fn number(value: &Value, key: &str) -> Result<Option<u64>, String> {
    match value.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(found) => {
            let number = word(found).and_then(|text| whole(&text));
            number.map(Some).ok_or_else(|| format!("{key}: `{found}` is no number"))
        }
    }
}

/// The port under a key.
pub(super) fn port(value: &Value, key: &str) -> Result<Option<u16>, String> {
    let port = number(value, key)?;
    let wrong = |_| format!("{key}: expected 0 to 65535");
    port.map(|port| u16::try_from(port).map_err(wrong)).transpose()
}

/// The address under a key.
pub(super) fn address(value: &Value, key: &str) -> Result<IpAddr, String> {
    let found = text(value, key).ok_or_else(|| format!("there is no `{key}`"))?;
    ip(found).map_err(|_| format!("{key}: `{found}` is no IP address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is looked at is the same, and so is what is said of a value that is none.
    #[test]
    fn members_that_are_read_are_those_of_the_whole_value() {
        const READ: Members = Members(&["a", "b"]);
        let read =
            |text: &str| read(text.as_bytes(), Some(READ)).map_err(|error| error.to_string());
        let whole =
            |text: &str| serde_json::from_str::<Value>(text).map_err(|error| error.to_string());
        let text = r#"{"a": [1, -2, 1.5, "\u00e9", null, true, {"b": {}, "c": 1}], "c": {"a": 1}, "b": "x", "b": "y"}"#;
        let value = read(text).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"a": [1, -2, 1.5, "é", null, true, {"b": {}}], "b": "y"})
        );
        assert_eq!(value["a"][2], whole(text).unwrap()["a"][2]);
        for broken in
            [r#"{"c": tru}"#, r#"{"a": 1, "c": [}"#, r#"{"c": "x}"#, r#"{"a": 1} 2"#, "{\"c\": 01}"]
        {
            assert_eq!(read(broken), whole(broken), "{broken}");
            assert!(read(broken).is_err(), "{broken}");
        }
    }
}
