//! Tunnels: the packet inside, for those that the user wants to look into.

use std::str::FromStr;

use super::network::Upper;
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
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tunnels {
    /// UDP tunnels by destination port.
    udp: Vec<(Kind, u16)>,
    gre: bool,
    ipip: bool,
}

const GENEVE_PORT: u16 = 6081;
const GTPU_PORT: u16 = 2152;

/// Tunnels over UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Vxlan,
    Geneve,
    Gtpu,
}

impl Tunnels {
    /// The UDP port of VXLAN, which traffic mirrors of the cloud deliver.
    pub const VXLAN_PORT: u16 = 4789;

    /// Adds one by name: `vxlan`, `geneve`, `gtpu`, each with `:port` if it is not the usual one;
    /// `gre`, `ipip`.
    ///
    /// # Errors
    /// When the name is none of these, or the port is none.
    pub fn add(&mut self, name: &str) -> Result<(), String> {
        let (name, port) = match name.split_once(':') {
            Some((name, port)) => {
                (name, Some(u16::from_str(port).map_err(|_| format!("`{port}` is no port"))?))
            }
            None => (name, None),
        };
        let (kind, usual) = match (name.to_ascii_lowercase().as_str(), port) {
            ("vxlan", _) => (Kind::Vxlan, Self::VXLAN_PORT),
            ("geneve", _) => (Kind::Geneve, GENEVE_PORT),
            ("gtpu", _) => (Kind::Gtpu, GTPU_PORT),
            ("gre", None) => {
                self.gre = true;
                return Ok(());
            }
            ("ipip", None) => {
                self.ipip = true;
                return Ok(());
            }
            ("gre" | "ipip", Some(_)) => return Err(format!("{name} has no port")),
            _ => return Err("it is vxlan, geneve, gre, ipip or gtpu".to_owned()),
        };
        self.udp.push((kind, port.unwrap_or(usual)));
        Ok(())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        let Self { udp, gre, ipip } = self;
        udp.is_empty() && !gre && !ipip
    }

    /// What a packet carries, if it is one of these tunnels.
    pub(super) fn inside<'a>(&self, upper: &Upper<'a>) -> Option<Inside<'a>> {
        // A later fragment is the middle of something.
        if matches!(upper.fragment, Fragment::Later { .. }) {
            return None;
        }
        match upper.proto {
            Protocol::UDP => {
                let port = u16::from_be_bytes(*upper.payload.get(2..)?.first_chunk()?);
                let (kind, _) = self.udp.iter().find(|(_, of)| *of == port)?;
                let data = upper.payload.get(8..)?;
                match kind {
                    Kind::Vxlan => vxlan(data),
                    Kind::Geneve => geneve(data),
                    Kind::Gtpu => gtpu(data),
                }
            }
            Protocol::GRE if self.gre => gre(upper.payload),
            // IPv4 and IPv6 in IP.
            Protocol(4 | 41) if self.ipip => Some(Inside::Ip(upper.payload)),
            _ => None,
        }
    }
}

/// The name by which [`Tunnels::add`] knows the tunnel that a packet belongs to, by its protocol and port.
pub fn tunnel_of(flow: &FlowTuple) -> Option<&'static str> {
    match (flow.proto, flow.transport.ports()) {
        (Protocol::UDP, Some((_, Tunnels::VXLAN_PORT))) => Some("vxlan"),
        (Protocol::UDP, Some((_, GENEVE_PORT))) => Some("geneve"),
        (Protocol::UDP, Some((_, GTPU_PORT))) => Some("gtpu"),
        (Protocol::GRE, _) => Some("gre"),
        (Protocol(4 | 41), _) => Some("ipip"),
        _ => None,
    }
}

/// What a tunnel carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inside<'a> {
    Ethernet(&'a [u8]),
    Ip(&'a [u8]),
}

/// RFC 7348: flags with the VNI bit, VNI.
fn vxlan(data: &[u8]) -> Option<Inside<'_>> {
    let (flags, frame) = (data.first()?, data.get(8..)?);
    (flags & 0x08 != 0).then_some(Inside::Ethernet(frame))
}

/// RFC 8926: version and length of the options in units of 4 bytes, flags, protocol, VNI.
fn geneve(data: &[u8]) -> Option<Inside<'_>> {
    let [first, _flags, a, b] = *data.first_chunk()?;
    let inner = data.get(8 + usize::from(first & 0x3f) * 4..)?;
    if first >> 6 != 0 {
        return None;
    }
    of_ethertype(u16::from_be_bytes([a, b]), inner)
}

/// RFC 2784 and 2890: flags, version, protocol; then checksum, key and sequence number where flagged.
fn gre(data: &[u8]) -> Option<Inside<'_>> {
    let [flags, version, a, b] = *data.first_chunk()?;
    // Version 1 is PPTP, which carries PPP; a routing field is of RFC 1701 and no longer used.
    if version & 0x07 != 0 || flags & 0x40 != 0 {
        return None;
    }
    let optional = [0x80, 0x20, 0x10].iter().filter(|bit| flags & **bit != 0).count();
    of_ethertype(u16::from_be_bytes([a, b]), data.get(4 + optional * 4..)?)
}

fn of_ethertype(ethertype: u16, inner: &[u8]) -> Option<Inside<'_>> {
    match ethertype {
        0x6558 => Some(Inside::Ethernet(inner)),
        0x0800 | 0x86dd => Some(Inside::Ip(inner)),
        _ => None,
    }
}

/// 3GPP TS 29.281: flags, type (255 for user data), length, TEID; then four bytes more, and extension
/// headers, where flagged.
fn gtpu(data: &[u8]) -> Option<Inside<'_>> {
    let [flags, 255, ..] = *data else { return None };
    if flags >> 4 != 3 {
        return None;
    }
    let optional = flags & 0x07;
    if optional == 0 {
        return data.get(8..).map(Inside::Ip);
    }
    let mut next = *data.get(11)?;
    let mut rest = data.get(12..)?;
    while next != 0 {
        // Each is at least 4 bytes long, so the walk ends.
        let len = usize::from(*rest.first()?).max(1) * 4;
        next = *rest.get(len - 1)?;
        rest = rest.get(len..)?;
    }
    Some(Inside::Ip(rest))
}
