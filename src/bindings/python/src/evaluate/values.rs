//! The values of columns: addresses, protocols and numbers, as text or as numbers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowDictionaryKeyType, ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_buffer::ArrowNativeType;
use arrow_schema::DataType;
use sgreplay::flow::Protocol;

use super::columns::Column;
use crate::error::ColumnFault;

/// A value as it stands in a column.
#[derive(Clone, Copy)]
enum Raw<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
    Number(i128),
    Float(f64),
}

/// What stands for nothing in text: empty, and `-` of the clouds' and Zeek's logs.
fn is_nothing(text: &str) -> bool {
    text.is_empty() || text == "-"
}

/// Reads a column, each value by `read`, which says what is expected where it is something else.
fn column<T: Copy>(
    batch: &RecordBatch,
    column: &Column,
    first: u64,
    read: impl Fn(Raw<'_>) -> Result<Option<T>, String>,
) -> Result<Vec<Option<T>>, ColumnFault> {
    let array = batch.column(column.position);
    values(array.as_ref(), &read).map_err(|Fault { at, message }| {
        let row = at.map(|at| first + at as u64);
        let place = row.map_or_else(String::new, |row| format!(", row {row}"));
        let message = format!("column `{}`{place}: {message}", column.name);
        ColumnFault { column: column.name.clone(), row, message }
    })
}

struct Fault {
    at: Option<usize>,
    message: String,
}

fn values<T: Copy>(
    array: &dyn Array,
    read: &impl Fn(Raw<'_>) -> Result<Option<T>, String>,
) -> Result<Vec<Option<T>>, Fault> {
    let each = |values: &mut dyn Iterator<Item = Option<Raw<'_>>>| {
        let mut out = Vec::with_capacity(array.len());
        for (at, raw) in values.enumerate() {
            let value = raw.map(read).transpose();
            out.push(value.map_err(|message| Fault { at: Some(at), message })?.flatten());
        }
        Ok(out)
    };
    match array.data_type() {
        DataType::Null => Ok(vec![None; array.len()]),
        DataType::Utf8 => texts(array.as_string::<i32>().iter(), read),
        DataType::LargeUtf8 => texts(array.as_string::<i64>().iter(), read),
        DataType::Utf8View => texts(array.as_string_view().iter(), read),
        DataType::Binary => each(&mut array.as_binary::<i32>().iter().map(|of| of.map(Raw::Bytes))),
        DataType::LargeBinary => {
            each(&mut array.as_binary::<i64>().iter().map(|of| of.map(Raw::Bytes)))
        }
        DataType::FixedSizeBinary(_) => {
            each(&mut array.as_fixed_size_binary().iter().map(|of| of.map(Raw::Bytes)))
        }
        DataType::Int8 => numbers::<Int8Type, T>(array, read),
        DataType::Int16 => numbers::<Int16Type, T>(array, read),
        DataType::Int32 => numbers::<Int32Type, T>(array, read),
        DataType::Int64 => numbers::<Int64Type, T>(array, read),
        DataType::UInt8 => numbers::<UInt8Type, T>(array, read),
        DataType::UInt16 => numbers::<UInt16Type, T>(array, read),
        DataType::UInt32 => numbers::<UInt32Type, T>(array, read),
        DataType::UInt64 => numbers::<UInt64Type, T>(array, read),
        // Of pandas, where a column of numbers has missing ones.
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>().iter();
            each(&mut values.map(|of| of.map(|of| Raw::Float(of.into()))))
        }
        DataType::Float64 => {
            each(&mut array.as_primitive::<Float64Type>().iter().map(|of| of.map(Raw::Float)))
        }
        DataType::Dictionary(key, _) => match key.as_ref() {
            DataType::Int8 => dictionary::<Int8Type, T>(array, read),
            DataType::Int16 => dictionary::<Int16Type, T>(array, read),
            DataType::Int32 => dictionary::<Int32Type, T>(array, read),
            DataType::Int64 => dictionary::<Int64Type, T>(array, read),
            DataType::UInt8 => dictionary::<UInt8Type, T>(array, read),
            DataType::UInt16 => dictionary::<UInt16Type, T>(array, read),
            DataType::UInt32 => dictionary::<UInt32Type, T>(array, read),
            _ => dictionary::<UInt64Type, T>(array, read),
        },
        other => {
            Err(Fault { at: None, message: format!("its type is {other}, which is not read") })
        }
    }
}

/// The loop that most rows go through.
fn texts<'a, T: Copy>(
    values: impl ExactSizeIterator<Item = Option<&'a str>>,
    read: &impl Fn(Raw<'_>) -> Result<Option<T>, String>,
) -> Result<Vec<Option<T>>, Fault> {
    let mut out = Vec::with_capacity(values.len());
    for (at, text) in values.enumerate() {
        out.push(match text {
            Some(text) => {
                read(Raw::Text(text)).map_err(|message| Fault { at: Some(at), message })?
            }
            None => None,
        });
    }
    Ok(out)
}

fn numbers<N: ArrowPrimitiveType<Native: Into<i128>>, T: Copy>(
    array: &dyn Array,
    read: &impl Fn(Raw<'_>) -> Result<Option<T>, String>,
) -> Result<Vec<Option<T>>, Fault> {
    let mut out = Vec::with_capacity(array.len());
    for (at, number) in array.as_primitive::<N>().iter().enumerate() {
        out.push(match number {
            Some(number) => read(Raw::Number(number.into()))
                .map_err(|message| Fault { at: Some(at), message })?,
            None => None,
        });
    }
    Ok(out)
}

/// Each distinct value is read once. One that is wrong is wrong in the first row that has it.
fn dictionary<K: ArrowDictionaryKeyType, T: Copy>(
    array: &dyn Array,
    read: &impl Fn(Raw<'_>) -> Result<Option<T>, String>,
) -> Result<Vec<Option<T>>, Fault> {
    let dictionary = array.as_dictionary::<K>();
    let keys = dictionary.keys();
    let known = values(dictionary.values().as_ref(), read);
    let known = known.map_err(|Fault { at, message }| {
        let is_it =
            |key: Option<K::Native>| key.is_some() && key.map(ArrowNativeType::as_usize) == at;
        Fault { at: at.and_then(|_| keys.iter().position(is_it)), message }
    })?;
    let value = |key: Option<K::Native>| *known.get(key?.as_usize())?;
    Ok(keys.iter().map(value).collect())
}

/// A column of addresses.
pub(super) struct Addresses(Vec<Option<IpAddr>>);

impl Addresses {
    pub(super) fn read(batch: &RecordBatch, of: &Column, first: u64) -> Result<Self, ColumnFault> {
        column(batch, of, first, address).map(Self)
    }

    pub(super) fn get(&self, row: usize) -> Option<IpAddr> {
        *self.0.get(row)?
    }
}

fn address(raw: Raw<'_>) -> Result<Option<IpAddr>, String> {
    match raw {
        Raw::Text(text) => {
            if let Some(addr) = dotted(text.as_bytes()) {
                return Ok(Some(addr.into()));
            }
            if is_nothing(text) {
                return Ok(None);
            }
            let addr = text.trim().parse().map_err(|_| format!("`{text}` is no IP address"))?;
            Ok(Some(addr))
        }
        Raw::Bytes(bytes) => {
            if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
                return Ok(Some(Ipv4Addr::from(octets).into()));
            }
            let octets = <[u8; 16]>::try_from(bytes);
            let octets = octets.map_err(|_| format!("{} bytes are no IP address", bytes.len()))?;
            Ok(Some(Ipv6Addr::from(octets).into()))
        }
        Raw::Number(number) => {
            let bits = u32::try_from(number).map_err(|_| format!("{number} is no IPv4 address"))?;
            Ok(Some(Ipv4Addr::from_bits(bits).into()))
        }
        Raw::Float(number) if number.is_nan() => Ok(None),
        Raw::Float(number) => Err(format!("{number} is no IP address")),
    }
}

/// Four numbers with dots between, which most addresses are. Anything unusual is left to the parser of the standard
/// library, which takes longer.
fn dotted(text: &[u8]) -> Option<Ipv4Addr> {
    let (mut bits, mut octet, mut digits, mut dots) = (0u32, 0u32, 0, 0);
    for byte in text {
        if byte.is_ascii_digit() {
            // No leading zeros, which some read as octal numbers.
            if digits > 0 && octet == 0 {
                return None;
            }
            octet = octet * 10 + u32::from(byte - b'0');
            digits += 1;
            if octet > 255 {
                return None;
            }
        } else if *byte == b'.' && digits > 0 && dots < 3 {
            bits = bits << 8 | octet;
            (octet, digits) = (0, 0);
            dots += 1;
        } else {
            return None;
        }
    }
    (dots == 3 && digits > 0).then(|| Ipv4Addr::from_bits(bits << 8 | octet))
}

/// A column of ports, or of types or codes of ICMP.
pub(super) struct Numbers<T>(Vec<Option<T>>);

impl<T: Copy + TryFrom<i128>> Numbers<T> {
    pub(super) fn read(batch: &RecordBatch, of: &Column, first: u64) -> Result<Self, ColumnFault> {
        let most = 8 * size_of::<T>();
        column(batch, of, first, |raw| {
            let number = match raw {
                Raw::Text(text) if is_nothing(text) => return Ok(None),
                Raw::Text(text) => {
                    text.trim().parse().map_err(|_| format!("`{text}` is no number"))?
                }
                Raw::Number(number) => number,
                Raw::Float(number) if number.is_nan() => return Ok(None),
                Raw::Float(number) => {
                    whole(number).ok_or_else(|| format!("{number} is no whole number"))?
                }
                Raw::Bytes(_) => return Err("bytes are no number".to_owned()),
            };
            let value = T::try_from(number);
            value.map(Some).map_err(|_| format!("{number} is no number of {most} bits"))
        })
        .map(Self)
    }

    pub(super) fn get(&self, row: usize) -> Option<T> {
        *self.0.get(row)?
    }
}

/// A number that lies within 32 bits and has no fraction.
fn whole(number: f64) -> Option<i128> {
    let is_whole = number.fract() == 0.0 && number.abs() <= f64::from(u32::MAX);
    #[expect(clippy::cast_possible_truncation, reason = "checked the line before")]
    is_whole.then_some(number as i128)
}

/// A protocol, and whether it is a word, of which `icmp` means ICMPv6 too.
#[derive(Clone, Copy)]
pub(super) struct Named {
    pub(super) proto: Protocol,
    pub(super) is_word: bool,
}

/// A column of protocols.
pub(super) struct Protocols(Vec<Option<Named>>);

impl Protocols {
    pub(super) fn read(batch: &RecordBatch, of: &Column, first: u64) -> Result<Self, ColumnFault> {
        column(batch, of, first, |raw| {
            let number = match raw {
                Raw::Text(text) if is_nothing(text) => return Ok(None),
                Raw::Text(text) => match protocol(text) {
                    Some(proto) => return Ok(Some(Named { proto, is_word: true })),
                    None => text.trim().parse().map_err(|_| format!("`{text}` is no protocol"))?,
                },
                Raw::Number(number) => number,
                Raw::Float(number) if number.is_nan() => return Ok(None),
                Raw::Float(number) => {
                    whole(number).ok_or_else(|| format!("{number} is no protocol"))?
                }
                Raw::Bytes(_) => return Err("bytes are no protocol".to_owned()),
            };
            let number = u8::try_from(number).map_err(|_| format!("{number} is no protocol"))?;
            Ok(Some(Named { proto: Protocol(number), is_word: false }))
        })
        .map(Self)
    }

    pub(super) fn get(&self, row: usize) -> Option<Named> {
        *self.0.get(row)?
    }
}

/// The protocol of a word, as flow logs, Zeek and Suricata write it.
fn protocol(text: &str) -> Option<Protocol> {
    let text = text.trim();
    Protocol::from_name(text).or_else(|| {
        let ipv6 = ["ipv6-icmp", "icmp6", "icmp-v6"];
        ipv6.iter().any(|name| text.eq_ignore_ascii_case(name)).then_some(Protocol::ICMPV6)
    })
}
