//! Records in JSON: values under keys.

use std::net::IpAddr;

use serde_json::Value;

use super::record::{Entry, whole};

/// A record, and the interface that it is of.
pub(super) type Read = (Entry, Option<String>);

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
    found.parse().map_err(|_| format!("{key}: `{found}` is no IP address"))
}
