//! The values of a line → a record.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::columns::{Field, Values};
use super::kind::FlowLogKind;
use super::scalar::{ip, time, whole};
use crate::capture::DirectionHint;
use crate::flow::{Protocol, TcpFlags, Transport};

/// What the cloud did with the packets of a record: its own verdict, network ACLs included.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Opener {
    /// The record's source.
    Sender,
    /// Its destination.
    Receiver,
}

/// What a flow log's record says beside the packet that stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
    /// The packets had other addresses than the record, and the record's are judged.
    pub(super) other_address: bool,
    pub(super) log: LogRecord,
}

/// What a line stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Flow(Flow),
    NoData,
    Skipped,
    NoProtocol,
    /// More of a connection that was judged.
    Continuation,
    /// A connection that was open before the log begins.
    AlreadyOpen(Flow),
    /// The same from another place.
    Duplicate,
    /// An event that is about something else.
    PassedOver,
}

impl Entry {
    /// Reads a line's values. The error says what was found, and what would be right.
    pub(super) fn read(
        kind: FlowLogKind,
        values: &Values<'_>,
        known: &Addresses,
    ) -> Result<Self, String> {
        match values.get(Field::Status) {
            Some("NODATA") => return Ok(Self::NoData),
            Some("SKIPDATA") => return Ok(Self::Skipped),
            _ => {}
        }
        let mut src = address(kind, values, Field::Src, "source")?;
        let mut dst = address(kind, values, Field::Dst, "destination")?;
        // The interface's side always has its first address; the packet's may be another one of the same interface, or,
        // where it forwards, somebody else's (FORMATS of AWS: `pkt-srcaddr`).
        let mut other_address = false;
        for (field, addr) in [(Field::PacketSrc, &mut src), (Field::PacketDst, &mut dst)] {
            let packet = values.get(field).and_then(|text| text.parse::<IpAddr>().ok());
            let Some(packet) = packet.filter(|packet| packet != addr) else { continue };
            let own = values.get(Field::Interface).and_then(|name| known.get(name));
            match own.is_some_and(|own| own.iter().any(|net| net.contains(&packet))) {
                true => *addr = packet,
                false => other_address = true,
            }
        }
        if src.is_ipv4() != dst.is_ipv4() {
            return Err(format!("{src} and {dst} are of different families"));
        }
        let Some(proto) = protocol(values, src.is_ipv6())? else { return Ok(Self::NoProtocol) };
        let (transport, icmp_assumed) = transport(kind, proto, values)?;
        let number = |field, what: &str| match values.get(field) {
            None => Ok(0),
            Some(text) => whole(text).ok_or_else(|| format!("{what}: `{text}` is no number")),
        };
        let packets = number(Field::Packets, "packets")?
            .saturating_add(number(Field::PacketsBack, "packets back")?);
        let bytes =
            number(Field::Bytes, "bytes")?.saturating_add(number(Field::BytesBack, "bytes back")?);
        let is =
            |found: &str, words: &[&str]| words.iter().any(|word| found.eq_ignore_ascii_case(word));
        let hint = match values.get(Field::Direction) {
            None => None,
            Some(found) if is(found, &["in", "ingress"]) => Some(DirectionHint::Inbound),
            Some(found) if is(found, &["out", "egress"]) => Some(DirectionHint::Outbound),
            Some(found) => return Err(format!("direction `{found}`; expected in or out")),
        };
        let action = match values.get(Field::Action) {
            None => None,
            Some(found) if is(found, &["accept"]) => Some(Recorded::Accept),
            Some(found) if is(found, &["reject"]) => Some(Recorded::Reject),
            Some(found) => return Err(format!("action `{found}`; expected ACCEPT or REJECT")),
        };
        let opener = opener(kind, proto, values)?;
        let time_ns = values.get(Field::Start).and_then(time);
        let log = LogRecord { packets, action, opener };
        Ok(Self::Flow(Flow {
            src,
            dst,
            proto,
            transport,
            icmp_assumed,
            bytes,
            time_ns,
            hint,
            other_address,
            log,
        }))
    }
}

/// Addresses of interfaces by their names.
pub(super) type Addresses = HashMap<String, Vec<IpNet>>;

impl Flow {
    /// A flow with this tuple and no other facts. ICMP without a type is taken as an echo request.
    pub(super) fn new(
        (src, dst): (IpAddr, IpAddr),
        proto: Protocol,
        ports: Option<(u16, u16)>,
        icmp: Option<(u8, u8)>,
    ) -> Result<Self, String> {
        if src.is_ipv4() != dst.is_ipv4() {
            return Err(format!("{src} and {dst} are of different families"));
        }
        let transport = match (echo(proto), ports) {
            (Some(echo), _) => {
                let (kind, code) = icmp.unwrap_or((echo, 0));
                Transport::Icmp { kind, code, id: None }
            }
            (None, Some((src, dst))) if proto.has_ports() => Transport::Ports { src, dst },
            (None, None) if proto.has_ports() => return Err("there are no ports".to_owned()),
            (None, _) => Transport::Absent,
        };
        let log = LogRecord { packets: 0, action: None, opener: None };
        Ok(Self {
            src,
            dst,
            proto,
            transport,
            icmp_assumed: echo(proto).is_some() && icmp.is_none(),
            bytes: 0,
            time_ns: None,
            hint: None,
            other_address: false,
            log,
        })
    }
}

/// The type of an echo request.
fn echo(proto: Protocol) -> Option<u8> {
    match proto {
        Protocol::ICMP => Some(8),
        Protocol::ICMPV6 => Some(128),
        _ => None,
    }
}

/// A protocol by number or name; `None` where there is none of that name.
pub(super) fn protocol_named(text: &str, v6: bool) -> Option<Protocol> {
    if let Some(number) = whole(text) {
        return u8::try_from(number).ok().map(Protocol);
    }
    match text.to_ascii_lowercase().as_str() {
        "icmp" if v6 => Some(Protocol::ICMPV6),
        "icmp6" | "ipv6-icmp" => Some(Protocol::ICMPV6),
        "ip-in-ip" => Some(Protocol(4)),
        "ipv6" => Some(Protocol(41)),
        name => Protocol::from_name(name),
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
    ip(text).map_err(|_| format!("{what}: `{text}` is no IP address"))
}

/// The protocol by number or name; `None` where the log does not know it.
fn protocol(values: &Values<'_>, v6: bool) -> Result<Option<Protocol>, String> {
    let Some(text) = values.get(Field::ProtocolNumber).or_else(|| values.get(Field::Protocol))
    else {
        return Ok(None);
    };
    if ["unknown_transport", "unknown"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return Ok(None);
    }
    let known = protocol_named(text, v6);
    let unknown = || format!("protocol `{text}`; expected a number or a name such as tcp");
    known.map(Some).ok_or_else(unknown)
}

/// Ports, or the type and code of ICMP, which every format writes elsewhere; whether they are assumed.
fn transport(
    kind: FlowLogKind,
    proto: Protocol,
    values: &Values<'_>,
) -> Result<(Transport, bool), String> {
    let port = |field, what: &str| -> Result<u16, String> {
        let text = values.get(field).ok_or_else(|| format!("there is no {what} port"))?;
        let port = whole(text).and_then(|port| u16::try_from(port).ok());
        port.ok_or_else(|| format!("{what} port: `{text}`; expected 0 to 65535"))
    };
    if proto.has_ports() {
        let (src, dst) = (port(Field::SrcPort, "source")?, port(Field::DstPort, "destination")?);
        return Ok((Transport::Ports { src, dst }, false));
    }
    let Some(echo) = echo(proto) else { return Ok((Transport::Absent, false)) };
    let pair = match kind {
        FlowLogKind::Alibaba
        | FlowLogKind::Aws
        | FlowLogKind::Azure
        | FlowLogKind::Google
        | FlowLogKind::Suricata
        | FlowLogKind::Hubble
        | FlowLogKind::ClassBench => None,
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
        None => whole(text).and_then(|number| u8::try_from(number).ok()),
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
