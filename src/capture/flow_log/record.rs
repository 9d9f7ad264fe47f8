//! The values of a line → a record.

use std::net::{IpAddr, Ipv4Addr};

use super::FlowLogKind;
use super::columns::{Field, Values};
use crate::capture::DirectionHint;
use crate::flow::{Protocol, TcpFlags, Transport};

/// What the cloud did with the packets of a record: its own verdict, network ACLs included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recorded {
    /// They were let through.
    Accept,
    /// They were dropped.
    Reject,
}

impl Recorded {
    /// The word in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "ACCEPT",
            Self::Reject => "REJECT",
        }
    }
}

/// Which end opened a record's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opener {
    /// The record's source.
    Sender,
    /// Its destination.
    Receiver,
}

/// What a flow log's record says beside the packet that stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Packets that the record counts, of both ways where it is of both.
    pub packets: u64,
    /// The cloud's own verdict, where it is recorded.
    pub action: Option<Recorded>,
    /// Who opened the connection, where the record tells.
    pub opener: Option<Opener>,
}

/// A record that can be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) proto: Protocol,
    /// Ports, or the type and code of ICMP.
    pub(super) transport: Transport,
    /// The log has no type: an echo request was assumed.
    pub(super) icmp_assumed: bool,
    pub(super) bytes: u64,
    pub(super) time_ns: Option<u64>,
    pub(super) hint: Option<DirectionHint>,
    pub(super) log: LogRecord,
}

/// What a line stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Flow(Flow),
    NoData,
    Skipped,
    NoProtocol,
}

impl Entry {
    /// Reads a line's values. The error says what was found, and what would be right.
    pub(super) fn read(kind: FlowLogKind, values: &Values<'_>) -> Result<Self, String> {
        match values.get(Field::Status) {
            Some("NODATA") => return Ok(Self::NoData),
            Some("SKIPDATA") => return Ok(Self::Skipped),
            _ => {}
        }
        let src = address(kind, values, Field::Src, "source")?;
        let dst = address(kind, values, Field::Dst, "destination")?;
        if src.is_ipv4() != dst.is_ipv4() {
            return Err(format!("{src} and {dst} are of different families"));
        }
        let Some(proto) = protocol(values, src.is_ipv6())? else { return Ok(Self::NoProtocol) };
        let (transport, icmp_assumed) = transport(kind, proto, values)?;
        let number = |field, what: &str| match values.get(field) {
            None => Ok(0),
            Some(text) => text.parse::<u64>().map_err(|_| format!("{what}: `{text}` is no number")),
        };
        let packets = number(Field::Packets, "packets")?
            .saturating_add(number(Field::PacketsBack, "packets back")?);
        let bytes =
            number(Field::Bytes, "bytes")?.saturating_add(number(Field::BytesBack, "bytes back")?);
        let hint = match values.get(Field::Direction).map(str::to_ascii_lowercase).as_deref() {
            None => None,
            Some("in" | "ingress") => Some(DirectionHint::Inbound),
            Some("out" | "egress") => Some(DirectionHint::Outbound),
            Some(found) => return Err(format!("direction `{found}`; expected in or out")),
        };
        let action = match values.get(Field::Action).map(str::to_ascii_uppercase).as_deref() {
            None => None,
            Some("ACCEPT") => Some(Recorded::Accept),
            Some("REJECT") => Some(Recorded::Reject),
            Some(found) => return Err(format!("action `{found}`; expected ACCEPT or REJECT")),
        };
        let opener = opener(kind, proto, values)?;
        let time_ns = values.get(Field::Start).and_then(time);
        let log = LogRecord { packets, action, opener };
        Ok(Self::Flow(Flow { src, dst, proto, transport, icmp_assumed, bytes, time_ns, hint, log }))
    }
}

fn address(
    kind: FlowLogKind,
    values: &Values<'_>,
    field: Field,
    what: &str,
) -> Result<IpAddr, String> {
    let text = values.get(field).ok_or_else(|| format!("there is no {what} address"))?;
    if kind == FlowLogKind::ClassBench {
        let number = text.parse::<u32>().map(|number| Ipv4Addr::from_bits(number).into());
        return number.map_err(|_| format!("{what}: `{text}` is no address as a number"));
    }
    text.parse().map_err(|_| format!("{what}: `{text}` is no IP address"))
}

/// The protocol by number or name; `None` where the log does not know it.
fn protocol(values: &Values<'_>, v6: bool) -> Result<Option<Protocol>, String> {
    let Some(text) = values.get(Field::ProtocolNumber).or_else(|| values.get(Field::Protocol))
    else {
        return Ok(None);
    };
    if let Ok(number) = text.parse() {
        return Ok(Some(Protocol(number)));
    }
    Ok(Some(match text.to_ascii_lowercase().as_str() {
        "unknown_transport" | "unknown" => return Ok(None),
        "icmp" if v6 => Protocol::ICMPV6,
        "icmp6" | "ipv6-icmp" => Protocol::ICMPV6,
        name => Protocol::from_name(name)
            .ok_or_else(|| format!("protocol `{text}`; expected a number or a name such as tcp"))?,
    }))
}

/// Ports, or the type and code of ICMP, which every format writes elsewhere; whether they are assumed.
fn transport(
    kind: FlowLogKind,
    proto: Protocol,
    values: &Values<'_>,
) -> Result<(Transport, bool), String> {
    let port = |field, what: &str| -> Result<u16, String> {
        let text = values.get(field).ok_or_else(|| format!("there is no {what} port"))?;
        text.parse().map_err(|_| format!("{what} port: `{text}`; expected 0 to 65535"))
    };
    if proto.has_ports() {
        let (src, dst) = (port(Field::SrcPort, "source")?, port(Field::DstPort, "destination")?);
        return Ok((Transport::Ports { src, dst }, false));
    }
    let echo = match proto {
        Protocol::ICMP => 8,
        Protocol::ICMPV6 => 128,
        _ => return Ok((Transport::Absent, false)),
    };
    let pair = match kind {
        FlowLogKind::Alibaba | FlowLogKind::Aws | FlowLogKind::ClassBench => None,
        FlowLogKind::Zeek => {
            let value = |field| values.get(field).and_then(|text| text.parse::<u8>().ok());
            value(Field::SrcPort).zip(value(Field::DstPort))
        }
        // Type × 256 + code; newer versions write `type.code`.
        FlowLogKind::Nfdump => {
            values.get(Field::DstPort).and_then(|text| match text.split_once('.') {
                Some((kind, code)) => kind.parse().ok().zip(code.parse().ok()),
                None => text.parse::<u16>().ok().map(|both| {
                    let [kind, code] = both.to_be_bytes();
                    (kind, code)
                }),
            })
        }
    };
    let (kind, code) = pair.unwrap_or((echo, 0));
    Ok((Transport::Icmp { kind, code, id: None }, pair.is_none()))
}

/// Who opened the connection, where that is certain. Flags are those of all packets of a record: a SYN
/// without an ACK is of an opener whose peer has not answered, or, with AWS, of any opener, since there an
/// ACK is recorded only beside the SYN of an answer. Elsewhere a SYN beside an ACK may be of either end.
fn opener(
    kind: FlowLogKind,
    proto: Protocol,
    values: &Values<'_>,
) -> Result<Option<Opener>, String> {
    if kind == FlowLogKind::Zeek {
        // `^` means that Zeek has guessed who; OTH, that it has not seen the beginning.
        let guessed = values.get(Field::History).is_some_and(|history| history.contains('^'))
            || values.get(Field::State) == Some("OTH");
        return Ok((!guessed).then_some(Opener::Sender));
    }
    let (Protocol::TCP, Some(text)) = (proto, values.get(Field::Flags)) else { return Ok(None) };
    let flags = flags(text).ok_or_else(|| {
        format!("TCP flags `{text}`; expected a number, or letters such as ...AP.SF")
    })?;
    Ok(match (flags.opens(), flags.accepts(), kind) {
        (true, ..) => Some(Opener::Sender),
        (_, true, FlowLogKind::Aws) => Some(Opener::Receiver),
        _ => None,
    })
}

/// A number, or letters in their places with dots for those that are not set.
fn flags(text: &str) -> Option<TcpFlags> {
    let number = match text.strip_prefix("0x") {
        Some(hex) => u8::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    if let Some(number) = number {
        return Some(TcpFlags(number));
    }
    let bit = |letter| match letter {
        '.' => Some(0),
        'F' => Some(1),
        'S' => Some(2),
        'R' => Some(4),
        'P' => Some(8),
        'A' => Some(16),
        'U' => Some(32),
        'E' => Some(64),
        'C' => Some(128),
        _ => None,
    };
    text.chars().try_fold(0, |flags, letter| Some(flags | bit(letter)?)).map(TcpFlags)
}

/// Seconds since 1970 with or without a fraction, or a date and a time, taken for UTC where they do not say.
/// A time that cannot be read does no harm: its record has none.
fn time(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if let Ok(seconds) = seconds.parse::<u64>() {
        let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
        return seconds.checked_mul(1_000_000_000)?.checked_add(digits.parse().ok()?);
    }
    let civil = || jiff::tz::Offset::UTC.to_timestamp(text.parse().ok()?).ok();
    let stamp = text.parse::<jiff::Timestamp>().ok().or_else(civil)?;
    u64::try_from(stamp.as_nanosecond()).ok()
}
