//! Tunnels: the packet inside, for those that the user wants to look into.

use std::str::FromStr;

use super::ethertype::{ETHERNET, IPV4, IPV6, MPLS, MPLS_UPSTREAM, NSH};
use super::network::Upper;
use crate::capture::LinkType;
use crate::flow::{FlowTuple, Fragment, Protocol};

/// The tunnels to look into; none by default, so that the outer packet is judged.
///
/// ```
/// use sgreplay::decode::Tunnels;
///
/// let mut tunnels = Tunnels::default();
/// tunnels.add("vxlan")?;
/// tunnels.add("vxlan:8472")?;
/// assert!(tunnels.add("wireguard").is_err());
/// # Ok::<(), sgreplay::decode::TunnelError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tunnels {
    /// UDP tunnels by destination port.
    udp: Vec<(Udp, u16)>,
    gre: Vec<Gre>,
    ipip: bool,
}

/// Tunnels over UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Udp {
    /// With and without the generic protocol extension.
    Vxlan,
    /// The generic protocol extension where it carries a network service header.
    Nsh,
    Geneve,
    Gtpu,
    Tzsp,
}

/// Kinds of GRE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gre {
    Any,
    Erspan,
    Nsh,
}

/// A tunnel that [`Tunnels::add`] does not know, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TunnelError(String);

impl Tunnels {
    /// The UDP port of VXLAN, which traffic mirrors of the cloud deliver.
    pub const VXLAN_PORT: u16 = 4789;

    /// Every name that [`Tunnels::add`] takes.
    pub const NAMES: [&'static str; 9] =
        ["vxlan", "vxlan-gpe", "geneve", "gre", "erspan", "nsh", "ipip", "gtpu", "tzsp"];

    /// Adds one by name: `vxlan`, `vxlan-gpe`, `geneve`, `gtpu`, `tzsp`, each with `:port` if it is not the usual
    /// one; `gre`; `erspan`, a mirror in GRE; `nsh`, in GRE and VXLAN-GPE; `ipip`.
    ///
    /// # Errors
    /// When the name is none of these, or the port is none.
    pub fn add(&mut self, name: &str) -> Result<(), TunnelError> {
        let (name, port) = match name.split_once(':') {
            Some((name, port)) => (
                name,
                Some(u16::from_str(port).map_err(|_| TunnelError(format!("`{port}` is no port")))?),
            ),
            None => (name, None),
        };
        let name = name.to_ascii_lowercase();
        let mut udp = |kind, usual| self.udp.push((kind, port.unwrap_or(usual)));
        match (name.as_str(), port) {
            ("vxlan", _) => udp(Udp::Vxlan, Self::VXLAN_PORT),
            ("vxlan-gpe", _) => udp(Udp::Vxlan, VXLAN_GPE_PORT),
            ("geneve", _) => udp(Udp::Geneve, GENEVE_PORT),
            ("gtpu", _) => udp(Udp::Gtpu, GTPU_PORT),
            ("tzsp", _) => udp(Udp::Tzsp, TZSP_PORT),
            ("gre" | "erspan" | "nsh" | "ipip", Some(_)) => {
                return Err(TunnelError(format!("{name} has no port")));
            }
            ("gre", None) => self.gre.push(Gre::Any),
            ("erspan", None) => self.gre.push(Gre::Erspan),
            ("nsh", None) => {
                udp(Udp::Nsh, VXLAN_GPE_PORT);
                self.gre.push(Gre::Nsh);
            }
            ("ipip", None) => self.ipip = true,
            _ => return Err(TunnelError(format!("it is one of {}", Self::NAMES.join(", ")))),
        }
        Ok(())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        let Self { udp, gre, ipip } = self;
        udp.is_empty() && gre.is_empty() && !ipip
    }

    /// What a packet carries, if it is one of these tunnels.
    pub(super) fn inside<'a>(&self, upper: &Upper<'a>) -> Result<Option<Inside<'a>>, TooShort> {
        // A later fragment is the middle of something.
        if matches!(upper.fragment, Fragment::Later { .. }) {
            return Ok(None);
        }
        match upper.proto {
            Protocol::UDP => {
                let (Some(port), Some(data)) = (destination_port(upper), upper.payload.get(8..))
                else {
                    return Ok(None);
                };
                for (kind, _) in self.udp.iter().filter(|(_, of)| *of == port) {
                    if let Some(inside) = kind.inside(data)? {
                        return Ok(Some(inside));
                    }
                }
                Ok(None)
            }
            Protocol::GRE if !self.gre.is_empty() => {
                let found = gre(upper.payload)?;
                let wanted = |kind| self.gre.contains(&Gre::Any) || self.gre.contains(&kind);
                Ok(found.filter(|(kind, _)| wanted(*kind)).map(|(_, inside)| inside))
            }
            // IPv4 and IPv6 in IP.
            Protocol(4 | 41) if self.ipip => Ok(Some(Inside::Type(IPV4, upper.payload))),
            _ => Ok(None),
        }
    }
}

const VXLAN_GPE_PORT: u16 = 4790;
/// The port that Linux once chose for VXLAN.
const LINUX_VXLAN_PORT: u16 = 8472;
const GENEVE_PORT: u16 = 6081;
const GTPU_PORT: u16 = 2152;
const TZSP_PORT: u16 = 37008;

fn destination_port(upper: &Upper<'_>) -> Option<u16> {
    upper.payload.get(2..)?.first_chunk().map(|port| u16::from_be_bytes(*port))
}

/// The name by which [`Tunnels::add`] knows the tunnel that a packet belongs to, by its protocol and port alone;
/// [`tunnel_name`](super::tunnel_name) looks at the header too.
pub fn tunnel_of(flow: &FlowTuple) -> Option<&'static str> {
    match (flow.proto, flow.transport.ports()) {
        (Protocol::UDP, Some((_, port))) => of_port(port).map(|(name, _)| name),
        (Protocol::GRE, _) => Some("gre"),
        (Protocol(4 | 41), _) => Some("ipip"),
        _ => None,
    }
}

/// The names of tunnels that a packet's port alone may show.
pub(crate) fn tunnels_by_port() -> impl Iterator<Item = &'static str> {
    let ports =
        [Tunnels::VXLAN_PORT, LINUX_VXLAN_PORT, VXLAN_GPE_PORT, GENEVE_PORT, GTPU_PORT, TZSP_PORT];
    ports.into_iter().filter_map(|port| of_port(port).map(|(name, _)| name))
}

fn of_port(port: u16) -> Option<(&'static str, Udp)> {
    Some(match port {
        Tunnels::VXLAN_PORT => ("vxlan", Udp::Vxlan),
        LINUX_VXLAN_PORT => ("vxlan:8472", Udp::Vxlan),
        VXLAN_GPE_PORT => ("vxlan-gpe", Udp::Vxlan),
        GENEVE_PORT => ("geneve", Udp::Geneve),
        GTPU_PORT => ("gtpu", Udp::Gtpu),
        TZSP_PORT => ("tzsp", Udp::Tzsp),
        _ => return None,
    })
}

/// The name under which [`Tunnels::add`] knows the tunnel that a packet seems to be, by its usual port or
/// protocol and by the first bytes of its header, and what it carries.
pub(super) fn named<'a>(upper: &Upper<'a>) -> Option<(&'static str, Inside<'a>)> {
    if matches!(upper.fragment, Fragment::Later { .. }) {
        return None;
    }
    match upper.proto {
        Protocol::UDP => {
            let (name, kind) = of_port(destination_port(upper)?)?;
            Some((name, kind.inside(upper.payload.get(8..)?).ok()??))
        }
        Protocol::GRE => {
            let (kind, inside) = gre(upper.payload).ok()??;
            let name = match kind {
                Gre::Any => "gre",
                Gre::Erspan => "erspan",
                Gre::Nsh => "nsh",
            };
            Some((name, inside))
        }
        Protocol(4 | 41) => Some(("ipip", Inside::Type(IPV4, upper.payload))),
        _ => None,
    }
}

/// What a tunnel carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inside<'a> {
    /// What follows an EtherType.
    Type(u16, &'a [u8]),
    /// A frame of a link type.
    Link(LinkType, &'a [u8]),
}

/// The packet ends before the tunnel's header does.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooShort;

fn from(data: &[u8], header: usize) -> Result<&[u8], TooShort> {
    data.get(header..).ok_or(TooShort)
}

fn head<const N: usize>(data: &[u8]) -> Result<[u8; N], TooShort> {
    data.first_chunk().copied().ok_or(TooShort)
}

/// What follows an EtherType, if it is one of those that tunnels carry.
fn of_ethertype(ethertype: u16, inner: &[u8]) -> Option<Inside<'_>> {
    matches!(ethertype, IPV4 | IPV6 | ETHERNET | MPLS | MPLS_UPSTREAM | NSH)
        .then_some(Inside::Type(ethertype, inner))
}

impl Udp {
    /// What the tunnel carries behind the UDP header; `None` where this is no such tunnel.
    fn inside(self, data: &[u8]) -> Result<Option<Inside<'_>>, TooShort> {
        match self {
            Self::Vxlan => vxlan(data),
            Self::Nsh => Ok(vxlan(data)?.filter(|inside| matches!(inside, Inside::Type(NSH, _)))),
            Self::Geneve => geneve(data),
            Self::Gtpu => gtpu(data),
            Self::Tzsp => tzsp(data),
        }
    }
}

/// RFC 7348: flags with the VNI bit, VNI. With its bit of the generic protocol extension the byte before the VNI
/// says what follows, which is an Ethernet frame otherwise.
fn vxlan(data: &[u8]) -> Result<Option<Inside<'_>>, TooShort> {
    const VNI: u8 = 0x08;
    const NEXT_PROTOCOL: u8 = 0x04;
    let [flags, _, _, protocol] = head(data)?;
    let inner = from(data, 8)?;
    if flags & VNI == 0 {
        return Ok(None);
    }
    let ethertype = match (flags & NEXT_PROTOCOL, protocol) {
        (0, _) | (_, 3) => ETHERNET,
        (_, 1) => IPV4,
        (_, 2) => IPV6,
        (_, 4) => NSH,
        (_, 5) => MPLS,
        _ => return Ok(None),
    };
    Ok(Some(Inside::Type(ethertype, inner)))
}

/// RFC 8926: version and length of the options in units of 4 bytes, flags, protocol, VNI.
fn geneve(data: &[u8]) -> Result<Option<Inside<'_>>, TooShort> {
    let [first, _flags, a, b] = head(data)?;
    if first >> 6 != 0 {
        return Ok(None);
    }
    let inner = from(data, 8 + usize::from(first & 0x3f) * 4)?;
    Ok(of_ethertype(u16::from_be_bytes([a, b]), inner))
}

/// RFC 2784 and 2890: flags, version, protocol; then checksum, key and sequence number where flagged.
fn gre(data: &[u8]) -> Result<Option<(Gre, Inside<'_>)>, TooShort> {
    const ERSPAN: [u16; 2] = [0x88be, 0x22eb];
    const SEQUENCE: u8 = 0x10;
    let [flags, version, a, b] = head(data)?;
    let protocol = u16::from_be_bytes([a, b]);
    if (flags, version, protocol) == (0x20, 1, MIKROTIK_EOIP) {
        return Ok(Some((Gre::Any, Inside::Type(ETHERNET, from(data, 8)?))));
    }
    // Version 1 is PPTP, which carries PPP; a routing field is of RFC 1701 and no longer used.
    if version & 0x07 != 0 || flags & 0x40 != 0 {
        return Ok(None);
    }
    let optional = [0x80, 0x20, SEQUENCE].iter().filter(|bit| flags & **bit != 0).count();
    let inner = from(data, 4 + optional * 4)?;
    if ERSPAN.contains(&protocol) {
        // Type I has no header of its own, and no sequence number.
        let inside = match flags & SEQUENCE {
            0 => Some(Inside::Type(ETHERNET, inner)),
            _ => erspan(inner)?,
        };
        return Ok(inside.map(|inside| (Gre::Erspan, inside)));
    }
    let kind = if protocol == NSH { Gre::Nsh } else { Gre::Any };
    Ok(of_ethertype(protocol, inner).map(|inside| (kind, inside)))
}

/// `MikroTik`'s Ethernet over IP: GRE of version 1 with a key that is a length and a number.
const MIKROTIK_EOIP: u16 = 0x6400;

/// ERSPAN of type II and III by its version, which some senders put under each other's protocol number.
fn erspan(data: &[u8]) -> Result<Option<Inside<'_>>, TooShort> {
    const SUBHEADER: u8 = 0x01;
    match data.first().ok_or(TooShort)? >> 4 {
        1 => Ok(Some(Inside::Type(ETHERNET, from(data, 8)?))),
        2 => {
            let [.., high, low] = head::<12>(data)?;
            let subheader = if low & SUBHEADER == 0 { 0 } else { 8 };
            let inner = from(data, 12 + subheader)?;
            Ok(match high >> 2 & 0x1f {
                0 => Some(Inside::Type(ETHERNET, inner)),
                2 => Some(Inside::Type(IPV4, inner)),
                _ => None,
            })
        }
        _ => Ok(None),
    }
}

/// 3GPP TS 29.281: flags, type (255 for user data), length, TEID; then four bytes more, and extension
/// headers, where flagged.
fn gtpu(data: &[u8]) -> Result<Option<Inside<'_>>, TooShort> {
    const EXTENSION: u8 = 0x04;
    let [flags, kind] = head(data)?;
    if kind != 255 || flags >> 4 != 3 {
        return Ok(None);
    }
    let optional = flags & 0x07;
    if optional == 0 {
        return Ok(Some(Inside::Type(IPV4, from(data, 8)?)));
    }
    let [.., mut next] = head::<12>(data)?;
    let mut rest = from(data, 12)?;
    while flags & EXTENSION != 0 && next != 0 {
        // Each is at least 4 bytes long, so the walk ends.
        let len = usize::from(*rest.first().ok_or(TooShort)?).max(1) * 4;
        next = *rest.get(len - 1).ok_or(TooShort)?;
        rest = from(rest, len)?;
    }
    Ok(Some(Inside::Type(IPV4, rest)))
}

/// `TaZmen` Sniffer Protocol: version, type, encapsulation; then tags, of which the last is the end.
fn tzsp(data: &[u8]) -> Result<Option<Inside<'_>>, TooShort> {
    const PADDING: u8 = 0;
    const END: u8 = 1;
    let [version, kind, a, b] = head(data)?;
    let link = match u16::from_be_bytes([a, b]) {
        0x01 => LinkType::ETHERNET,
        0x12 => LinkType::IEEE802_11,
        0x77 => LinkType::IEEE802_11_PRISM,
        0x7f => LinkType::IEEE802_11_AVS,
        _ => return Ok(None),
    };
    // Received, and to be sent; the other types carry no frame.
    if version != 1 || kind > 1 {
        return Ok(None);
    }
    let mut rest = from(data, 4)?;
    loop {
        let (tag, behind) = rest.split_first().ok_or(TooShort)?;
        rest = match *tag {
            END => return Ok(Some(Inside::Link(link, behind))),
            PADDING => behind,
            _ => {
                let (len, value) = behind.split_first().ok_or(TooShort)?;
                from(value, usize::from(*len))?
            }
        };
    }
}
