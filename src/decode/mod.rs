//! A frame → a packet's tuple, or why there is none.
//!
//! The walk goes link → network → transport, for the outermost IP header, or for the innermost of the
//! [`Tunnels`] that the user wants to look into. It reads only what is there (`get`, never an index), so no bytes can
//! make it panic, and every step consumes input, so none can make it loop. A packet that the snap
//! length cut decodes as far as its headers reach.
//!
//! ```
//! use sgreplay::capture::LinkType;
//! use sgreplay::decode::{Decoded, decode};
//!
//! // IPv4, TCP, 192.0.2.1:40000 > 10.0.0.5:22, SYN; cut after 40 bytes.
//! let mut bytes = *b"\x45\0\0\x28\0\0\0\0\x40\x06\0\0\xc0\0\x02\x01\x0a\0\0\x05\
//!                    \x9c\x40\0\x16\0\0\0\0\0\0\0\0\x50\x02\0\0\0\0\0\0";
//! let Decoded::Packet(packet) = decode(LinkType::RAW, &bytes) else { panic!("not decoded") };
//! assert_eq!(packet.flow.to_string(), "tcp 192.0.2.1:40000 > 10.0.0.5:22");
//!
//! bytes[0] = 0x95; // no IP version 9
//! assert!(matches!(decode(LinkType::RAW, &bytes), Decoded::Failed(_)));
//! ```

mod arp;
mod capture_header;
mod checksum;
mod docsis;
mod ethertype;
mod link;
mod mpls;
mod network;
mod non_ip;
mod tags;
mod transport;
mod tunnel;
mod wireless;

use crate::capture::{DirectionHint, LinkType};
use crate::flow::{Fragment, Packet};
pub use arp::arp;
pub use checksum::is_left_to_card;
use network::Upper;
pub use non_ip::{NonIp, TypeField};
pub(crate) use tunnel::tunnels_by_port;
use tunnel::{Inside, TooShort};
pub use tunnel::{TunnelError, Tunnels, tunnel_of};

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// An IP packet whose tuple is known.
    Packet(Packet),
    /// No tuple that a rule could judge.
    Failed(Undecodable),
}

/// A frame without a tuple: why, where, and what was read of it all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Undecodable {
    /// Why.
    pub why: Why,
    /// The header that cannot be read.
    pub header: Header,
    /// Bytes from the start of the frame to that header.
    pub offset: u32,
    /// The type field at which the walk ended, of a frame without IP.
    pub non_ip: Option<NonIp>,
    /// The headers before the fault, when the IP header is among them.
    pub seen: Option<Packet>,
}

/// A header of a frame, by its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Header {
    /// Ethernet and the like, with tags.
    Link,
    /// IPv4, or IPv6 with its extension headers.
    Network,
    /// TCP, UDP, ICMP.
    Transport,
}

impl Header {
    /// The word in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Network => "network",
            Self::Transport => "transport",
        }
    }
}

impl Undecodable {
    /// A frame of which no header is known.
    pub fn new(why: Why) -> Self {
        Self { why, header: Header::Link, offset: 0, non_ip: None, seen: None }
    }

    /// Says which header of a frame it is about.
    fn at(self, header: Header, frame: &[u8], rest: &[u8]) -> Self {
        // Each header is a part of the frame, so that the distance is its offset.
        let offset = rest.as_ptr().addr().wrapping_sub(frame.as_ptr().addr());
        Self { header, offset: u32::try_from(offset).unwrap_or(u32::MAX), ..self }
    }

    /// Whether the frame may carry IP traffic, of which nothing is known then: all but frames that are not
    /// IP by nature, such as ARP, LLDP and STP (see [`NonIp::hides_traffic`]).
    pub fn hides_traffic(&self) -> bool {
        self.non_ip.is_none_or(NonIp::hides_traffic)
    }
}

/// Why a frame has no tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// ARP, LLDP and all else that is not IP; outside the rules (SEMANTICS A5 step 0).
    NonIp,
    /// The capture holds too few of the packet's bytes.
    Truncated,
    /// The headers contradict themselves.
    Malformed,
    /// A link type that is not read here.
    UnsupportedLink,
}

impl Why {
    /// The word in the `outcome` column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NonIp => "non_ip",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::UnsupportedLink => "unsupported_link",
        }
    }
}

impl Decoded {
    /// The word in the `outcome` column.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Packet(_) => "decoded",
            Self::Failed(Undecodable { why, .. }) => why.as_str(),
        }
    }

    /// The packet, or as much of it as was read.
    pub fn packet(&self) -> Option<&Packet> {
        match self {
            Self::Packet(packet) => Some(packet),
            Self::Failed(Undecodable { seen, .. }) => seen.as_ref(),
        }
    }
}

impl From<Why> for Undecodable {
    fn from(why: Why) -> Self {
        Self::new(why)
    }
}

/// Why a link layer leads to no IP header; small, unlike [`Undecodable`], since every frame may return it.
#[derive(Clone, Copy, Debug)]
enum NoIp {
    Type(NonIp),
    Malformed,
    UnsupportedLink,
}

impl From<NonIp> for NoIp {
    fn from(non_ip: NonIp) -> Self {
        Self::Type(non_ip)
    }
}

impl From<NoIp> for Undecodable {
    fn from(no_ip: NoIp) -> Self {
        match no_ip {
            NoIp::Type(non_ip) => Self { non_ip: Some(non_ip), ..Self::new(Why::NonIp) },
            NoIp::Malformed => Why::Malformed.into(),
            NoIp::UnsupportedLink => Why::UnsupportedLink.into(),
        }
    }
}

/// Decodes one frame; of a tunnel, the outer packet.
#[inline]
pub fn decode(link: LinkType, data: &[u8]) -> Decoded {
    match link::payload(link, data).map_err(Undecodable::from).and_then(|ip| packet(data, ip)) {
        Ok(packet) => Decoded::Packet(packet),
        Err(undecodable) => Decoded::Failed(undecodable),
    }
}

/// The packet whose IP header begins a part of the frame.
#[inline]
fn packet(frame: &[u8], ip: &[u8]) -> Result<Packet, Undecodable> {
    let upper = network::walk(ip).map_err(|error| error.at(Header::Network, frame, ip))?;
    network::finish(&upper).map_err(|error| error.at(Header::Transport, frame, upper.payload))
}

/// Decodes one frame; of these tunnels, the packet inside.
pub fn decode_inside(link: LinkType, data: &[u8], tunnels: &Tunnels) -> Decoded {
    let finish = |upper: Upper<'_>| {
        network::finish(&upper).map_err(|error| error.at(Header::Transport, data, upper.payload))
    };
    match innermost(link, data, tunnels).and_then(finish) {
        Ok(packet) => Decoded::Packet(packet),
        Err(undecodable) => Decoded::Failed(undecodable),
    }
}

/// Tunnels in tunnels are looked into this deep.
const DEEPEST: usize = 8;

fn innermost<'a>(
    link: LinkType,
    data: &'a [u8],
    tunnels: &Tunnels,
) -> Result<Upper<'a>, Undecodable> {
    let walk = |ip| network::walk(ip).map_err(|error| error.at(Header::Network, data, ip));
    let mut upper = walk(link::payload(link, data)?)?;
    for _ in 0..DEEPEST {
        let around = upper.payload;
        let is_short = |error: Undecodable| error.at(Header::Transport, data, around);
        match tunnels.inside(&upper) {
            Ok(Some(inside)) => {
                let of_link = |error| Undecodable::from(error).at(Header::Link, data, around);
                upper = walk(payload_inside(inside).map_err(of_link)?)?;
            }
            Ok(None) => break,
            Err(TooShort) => return Err(is_short(network::short(&upper))),
        }
    }
    Ok(upper)
}

fn payload_inside(inside: Inside<'_>) -> Result<&[u8], NoIp> {
    match inside {
        Inside::Type(ethertype, data) => tags::payload(ethertype, data),
        Inside::Link(link, data) => link::payload(link, data),
    }
}

/// The name under which [`Tunnels::add`] knows the tunnel that a packet is, by its usual port or protocol;
/// only where what is inside decodes, or is not IP by nature.
pub fn tunnel_name(link: LinkType, data: &[u8]) -> Option<&'static str> {
    let upper = network::walk(link::payload(link, data).ok()?).ok()?;
    let (name, inside) = tunnel::named(&upper)?;
    let inside = payload_inside(inside).map_err(Undecodable::from).and_then(network::walk);
    match inside.and_then(|upper| network::finish(&upper)) {
        Ok(_) => Some(name),
        Err(undecodable) => {
            let is_known = undecodable.why == Why::Truncated || !undecodable.hides_traffic();
            is_known.then_some(name)
        }
    }
}

/// The packet that an ICMP or ICMPv6 error complains about, as much of it as the error quotes.
///
/// `None` for everything that is no such error, and where less than the IP header is quoted. The
/// quoted packet went the other way: its source is where the error is sent to.
pub fn embedded(link: LinkType, data: &[u8], tunnels: &Tunnels) -> Option<Packet> {
    let upper = innermost(link, data, tunnels).ok()?;
    // A later fragment is the middle of something.
    if matches!(upper.fragment, Fragment::Later { .. }) {
        return None;
    }
    let quoted = network::walk(transport::quoted(upper.proto, upper.payload)?).ok()?;
    match network::finish(&quoted) {
        Ok(packet) => Some(packet),
        Err(undecodable) => undecodable.seen,
    }
}

/// The bytes from the outermost IP header on, padding behind the packet included.
pub fn ip_packet(link: LinkType, data: &[u8]) -> Option<&[u8]> {
    link::payload(link, data).ok()
}

/// The direction that the link layer itself states, as Linux "cooked" captures do.
#[inline]
pub fn direction_hint(link: LinkType, data: &[u8]) -> Option<DirectionHint> {
    link::direction_hint(link, data)
}
