//! Numbers, addresses and times as logs write them.

use std::net::{AddrParseError, IpAddr, Ipv4Addr};

/// A number without a fraction, also as programs write it that know no others: `443.0`.
pub(super) fn whole(text: &str) -> Option<u64> {
    if let Some(number) = digits(text) {
        return Some(number);
    }
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let (whole, fraction) = text.split_once('.')?;
    let zeros = !fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0');
    whole.parse().ok().filter(|_| zeros)
}

/// A number as nearly every record has it: up to 18 digits, which no sum of them exceeds.
#[inline]
fn digits(text: &str) -> Option<u64> {
    if !(1..=18).contains(&text.len()) {
        return None;
    }
    text.bytes().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0'))
    })
}

/// An address as nearly every record has it, or any other.
pub(super) fn ip(text: &str) -> Result<IpAddr, AddrParseError> {
    ipv4(text).map_or_else(|| text.parse(), |address| Ok(address.into()))
}

/// An IPv4 address as nearly every record has it; the library's parser takes three times as long, and says the same.
#[inline]
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let (mut bits, mut part, mut digits, mut parts) = (0_u32, 0_u32, 0, 0);
    for byte in text.bytes() {
        match byte {
            // No part but zero begins with a zero.
            b'0'..=b'9' if digits == 0 || (part > 0 && digits < 3) => {
                (part, digits) = (part * 10 + u32::from(byte - b'0'), digits + 1);
            }
            b'.' if digits > 0 && part <= 255 && parts < 3 => {
                (bits, part, digits, parts) = (bits << 8 | part, 0, 0, parts + 1);
            }
            _ => return None,
        }
    }
    (digits > 0 && part <= 255 && parts == 3).then(|| Ipv4Addr::from_bits(bits << 8 | part))
}

/// Seconds since 1970 with or without a fraction, or a date and a time, taken for UTC where they do not say.
/// A time that cannot be read does no harm: its record has none.
pub(super) fn time(text: &str) -> Option<u64> {
    if let Some(seconds) = digits(text) {
        return seconds.checked_mul(1_000_000_000);
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if let Ok(seconds) = seconds.parse::<u64>() {
        let whole = seconds.checked_mul(1_000_000_000)?;
        if fraction.is_empty() {
            return Some(whole);
        }
        let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
        return whole.checked_add(digits.parse().ok()?);
    }
    let civil = || jiff::tz::Offset::UTC.to_timestamp(text.parse().ok()?).ok();
    let stamp = text.parse::<jiff::Timestamp>().ok().or_else(civil)?;
    u64::try_from(stamp.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn addresses_are_those_of_the_library(text in "[0-9]{0,4}(\\.[0-9]{0,4}){0,5}", address in any::<[u8; 4]>()) {
            prop_assert_eq!(ipv4(&text), text.parse().ok());
            let address = Ipv4Addr::from(address);
            prop_assert_eq!(ipv4(&address.to_string()), Some(address));
        }

        #[test]
        fn numbers_are_those_of_the_library(text in "[+]?[0-9]{0,22}", number in any::<u64>()) {
            prop_assert_eq!(whole(&text), text.parse().ok());
            prop_assert_eq!(whole(&number.to_string()), Some(number));
        }
    }
}
