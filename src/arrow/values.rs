//! Times and addresses as values of columns.

use std::net::IpAddr;

use arrow_array::builder::StringBuilder;
use arrow_schema::{DataType, TimeUnit};

/// Times, in all tables. What lies beyond them, in 2262, is null.
pub(super) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

/// A time of the engine as one of a table.
pub(super) fn time(ns: Option<u64>) -> Option<i64> {
    ns.and_then(|ns| i64::try_from(ns).ok())
}

/// The text of an address, which is most of what a row takes: the usual formatting costs three times as much.
pub(super) fn push_addr(out: &mut StringBuilder, addr: IpAddr) {
    let IpAddr::V4(addr) = addr else { return out.append_value(addr.to_string()) };
    let mut text = [b'.'; 15];
    let mut len = 0;
    for (n, octet) in addr.octets().into_iter().enumerate() {
        len += usize::from(n > 0);
        let digits = [octet / 100, octet / 10 % 10, octet % 10];
        let skipped = if octet >= 100 { 0 } else { 2 - usize::from(octet >= 10) };
        for digit in digits.into_iter().skip(skipped) {
            if let Some(place) = text.get_mut(len) {
                *place = b'0' + digit;
            }
            len += 1;
        }
    }
    let text = text.get(..len).and_then(|text| str::from_utf8(text).ok());
    out.append_value(text.unwrap_or_default());
}
