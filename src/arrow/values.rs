//! Times and addresses as values of columns.

use std::net::IpAddr;

use arrow_array::builder::StringBuilder;
use arrow_schema::{DataType, TimeUnit};

use crate::report::Ipv4Text;

/// Times, in all tables. What lies beyond them, in 2262, is null.
pub(super) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

/// A time of the engine as one of a table.
pub(super) fn time(ns: Option<u64>) -> Option<i64> {
    ns.and_then(|ns| i64::try_from(ns).ok())
}

/// The text of an address.
pub(super) fn push_addr(out: &mut StringBuilder, addr: IpAddr) {
    match addr {
        IpAddr::V4(addr) => out.append_value(Ipv4Text::new(addr).as_str()),
        IpAddr::V6(addr) => out.append_value(addr.to_string()),
    }
}
