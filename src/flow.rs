//! What a rule can see of a packet: the 5-tuple, and beside it the facts that sessions need.
//!
//! Everything here is small, `Copy`, and free of references, so that a packet costs no allocation.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// An IP protocol by its IANA number (`6` is TCP), past any IPv6 extension headers.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP for IPv4.
    pub const ICMP: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// GRE.
    pub const GRE: Self = Self(47);
    /// ICMP for IPv6.
    pub const ICMPV6: Self = Self(58);
    /// SCTP.
    pub const SCTP: Self = Self(132);

    const NAMES: [(Self, &'static str); 16] = [
        (Self::ICMP, "icmp"),
        (Self(2), "igmp"),
        (Self(4), "ipip"),
        (Self::TCP, "tcp"),
        (Self::UDP, "udp"),
        (Self(33), "dccp"),
        (Self(41), "ipv6"),
        (Self::GRE, "gre"),
        (Self(50), "esp"),
        (Self(51), "ah"),
        (Self::ICMPV6, "icmpv6"),
        (Self(89), "ospf"),
        (Self(103), "pim"),
        (Self(112), "vrrp"),
        (Self::SCTP, "sctp"),
        (Self(136), "udplite"),
    ];

    /// Whether a message of this protocol and ICMP type is an error, which quotes the packet it complains about
    /// (RFC 792, RFC 4443).
    pub fn is_icmp_error(self, kind: u8) -> bool {
        match self {
            // Unreachable, source quench, redirect, time exceeded, parameter problem.
            Self::ICMP => matches!(kind, 3 | 4 | 5 | 11 | 12),
            Self::ICMPV6 => kind < 128,
            _ => false,
        }
    }

    /// The usual lower-case name, for the protocols that have one in everyday use.
    pub fn name(self) -> Option<&'static str> {
        Self::NAMES.iter().find(|(proto, _)| *proto == self).map(|(_, name)| *name)
    }

    /// The protocol of that name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        let found = Self::NAMES.iter().find(|(_, known)| known.eq_ignore_ascii_case(name));
        found.map(|(proto, _)| *proto)
    }

    /// Whether a tuple of this protocol carries ports (TCP, UDP, SCTP).
    pub fn has_ports(self) -> bool {
        matches!(self, Self::TCP | Self::UDP | Self::SCTP)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => f.pad(&self.0.to_string()),
        }
    }
}

/// The transport's part of a tuple.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Transport {
    /// TCP, UDP, SCTP.
    Ports {
        /// Source port.
        src: u16,
        /// Destination port.
        dst: u16,
    },
    /// ICMP and ICMPv6.
    Icmp {
        /// The message's type.
        kind: u8,
        /// The message's code.
        code: u8,
        /// The identifier of an echo request or reply and of the like query pairs.
        id: Option<u16>,
    },
    /// A protocol without either, or a fragment that does not hold them.
    Absent,
}

impl Transport {
    /// Source and destination port, where there are any.
    pub fn ports(self) -> Option<(u16, u16)> {
        match self {
            Self::Ports { src, dst } => Some((src, dst)),
            Self::Icmp { .. } | Self::Absent => None,
        }
    }

    /// ICMP type and code, where there are any.
    pub fn icmp(self) -> Option<(u8, u8)> {
        match self {
            Self::Icmp { kind, code, .. } => Some((kind, code)),
            Self::Ports { .. } | Self::Absent => None,
        }
    }
}

/// The tuple that rules match (SEMANTICS A3) and sessions are keyed by (A6).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct FlowTuple {
    /// Source address.
    pub src: IpAddr,
    /// Destination address, always of the same family as `src`.
    pub dst: IpAddr,
    /// Protocol of the transport.
    pub proto: Protocol,
    /// Ports, or ICMP type and code.
    pub transport: Transport,
}

impl FlowTuple {
    /// The tuple of a TCP packet.
    pub fn tcp(from: SocketAddr, to: SocketAddr) -> Self {
        Self::with_ports(Protocol::TCP, from, to)
    }

    /// The tuple of a UDP packet.
    pub fn udp(from: SocketAddr, to: SocketAddr) -> Self {
        Self::with_ports(Protocol::UDP, from, to)
    }

    fn with_ports(proto: Protocol, from: SocketAddr, to: SocketAddr) -> Self {
        let transport = Transport::Ports { src: from.port(), dst: to.port() };
        Self { proto, src: from.ip(), dst: to.ip(), transport }
    }

    /// Whether this is an ICMP or ICMPv6 error, which opens no session and answers none (SEMANTICS F18).
    #[inline]
    pub fn is_icmp_error(&self) -> bool {
        self.transport.icmp().is_some_and(|(kind, _)| self.proto.is_icmp_error(kind))
    }

    /// The address across the network from an interface that sees the packet so.
    pub fn peer(&self, direction: Direction) -> IpAddr {
        match direction {
            Direction::Ingress => self.src,
            Direction::Egress => self.dst,
        }
    }

    /// The interface's own address in the packet.
    pub fn local(&self, direction: Direction) -> IpAddr {
        self.peer(direction.opposite())
    }

    /// The tuple of a packet that goes the other way.
    #[must_use]
    pub fn reversed(&self) -> Self {
        let Self { src, dst, proto, transport } = *self;
        let transport = match transport {
            Transport::Ports { src, dst } => Transport::Ports { src: dst, dst: src },
            Transport::Icmp { .. } | Transport::Absent => transport,
        };
        Self { src: dst, dst: src, proto, transport }
    }
}

impl fmt::Display for FlowTuple {
    /// `tcp 192.0.2.1:40000 > 10.0.0.5:22`, IPv6 addresses in brackets where a port follows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { src, dst, proto, transport } = self;
        match transport {
            Transport::Ports { src: sport, dst: dport } => {
                write!(f, "{proto} {} > {}", endpoint(*src, *sport), endpoint(*dst, *dport))
            }
            Transport::Icmp { kind, code, .. } => {
                write!(f, "{proto} {src} > {dst} type {kind} code {code}")
            }
            Transport::Absent => write!(f, "{proto} {src} > {dst}"),
        }
    }
}

/// An address and a port as people write them: `10.0.0.5:22`, `[2001:db8::1]:22`.
pub fn endpoint(addr: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(addr, port)
}

/// An interface's view of a packet.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Direction {
    /// The packet's destination is an address of the interface.
    Ingress,
    /// The packet's source is an address of the interface.
    Egress,
}

impl Direction {
    /// Both, in the order of reports.
    pub const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];

    /// The other one.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Ingress => Self::Egress,
            Self::Egress => Self::Ingress,
        }
    }

    /// The API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A packet's place among the fragments of its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Fragment {
    /// Not fragmented; also an IPv6 atomic fragment (RFC 6946).
    No,
    /// The fragment at offset zero, which holds the transport header.
    First {
        /// The datagram's identification.
        id: u32,
    },
    /// A fragment past offset zero: it has no ports of its own.
    Later {
        /// The datagram's identification.
        id: u32,
        /// Nothing of the datagram follows behind it.
        last: bool,
        /// What its first fragment holds, once that is known; one packet alone cannot tell.
        first: Option<FirstFragment>,
    },
}

/// What a first fragment says of the whole datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct FirstFragment {
    /// Protocol of the transport.
    pub proto: Protocol,
    /// Ports, or ICMP type and code.
    pub transport: Transport,
    /// TCP flags: a later fragment may come before its first, and then opens what that opens.
    pub tcp_flags: Option<TcpFlags>,
}

impl FirstFragment {
    /// Of a packet that is one.
    pub fn classify(packet: &Packet) -> Self {
        let Packet { flow: FlowTuple { proto, transport, .. }, tcp_flags, .. } = *packet;
        Self { proto, transport, tcp_flags }
    }
}

impl Fragment {
    /// The word in the `fragment` column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::First { .. } => "first",
            Self::Later { .. } => "later",
        }
    }
}

/// The flag byte of a TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    const FIN: u8 = 0x01;
    const SYN: u8 = 0x02;
    const RST: u8 = 0x04;
    const ACK: u8 = 0x10;

    /// SYN without ACK: the packet that opens a connection.
    pub fn opens(self) -> bool {
        self.0 & (Self::SYN | Self::ACK | Self::RST) == Self::SYN
    }

    /// SYN with ACK: the answer of the side that accepts.
    pub fn accepts(self) -> bool {
        self.0 & (Self::SYN | Self::ACK | Self::RST) == Self::SYN | Self::ACK
    }

    /// SYN, FIN or RST is set: more than an ordinary packet of a connection.
    #[inline]
    pub fn steers(self) -> bool {
        self.0 & (Self::SYN | Self::FIN | Self::RST) != 0
    }

    /// FIN is set.
    pub fn fin(self) -> bool {
        self.0 & Self::FIN != 0
    }

    /// RST is set.
    pub fn rst(self) -> bool {
        self.0 & Self::RST != 0
    }
}

/// One decoded packet: what rules match, and what sessions need beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Packet {
    /// The tuple.
    pub flow: FlowTuple,
    /// TCP flags, when the capture reaches that far.
    pub tcp_flags: Option<TcpFlags>,
    /// Place among the fragments.
    pub fragment: Fragment,
    /// The TTL or hop limit that the packet was captured with.
    pub hop_limit: u8,
}

impl Packet {
    /// Whether the hop limit shows that no router has forwarded the packet, as RFC 4861 asks of neighbour discovery.
    pub fn crossed_no_router(&self) -> bool {
        self.hop_limit == u8::MAX
    }
}
