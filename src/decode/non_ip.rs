//! Frames without an IP header that is read here: protocols that are not IP by nature, and types that may
//! hide IP traffic.

use std::fmt;

use super::docsis::ENCRYPTED_DOCSIS;

/// The type field at which the walk to an IP header ended, and its value.
///
/// ```
/// use sgreplay::decode::{NonIp, TypeField};
///
/// let arp = NonIp { field: TypeField::EtherType, number: 0x0806 };
/// assert_eq!(arp.to_string(), "ethertype 0x0806 (ARP)");
/// assert!(!arp.hides_traffic());
///
/// let unknown = NonIp { field: TypeField::EtherType, number: 0xabcd };
/// assert_eq!(unknown.to_string(), "ethertype 0xabcd");
/// assert!(unknown.hides_traffic());
/// ```
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct NonIp {
    /// The field.
    pub field: TypeField,
    /// Its value, in the field's own registry.
    pub number: u16,
}

/// A field of a link layer that says which protocol follows.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum TypeField {
    /// The EtherType of Ethernet, of tags and of much else; also the protocol of Linux "cooked" headers.
    EtherType,
    /// The destination service access point of 802.2 LLC.
    Llc,
    /// A control protocol of a vendor in SNAP: none of them carries user traffic.
    SnapControl,
    /// Any other protocol of a vendor in SNAP.
    Snap,
    /// The protocol of PPP.
    Ppp,
    /// The network layer protocol identifier of frame relay (ISO/IEC TR 9577).
    Nlpid,
    /// The address family of BSD loopback and firewall captures.
    Family,
    /// The protocol of ARCNET.
    Arcnet,
    /// The first four bits after the last MPLS label.
    MplsPayload,
    /// The first four bits where an IP header should be.
    IpVersion,
    /// The next protocol of a network service header.
    Nsh,
    /// The frame control of DOCSIS.
    Docsis,
    /// The first byte of 802.11's frame control: type and subtype.
    Wireless,
    /// The link type of the capture.
    Link,
    /// The payload is encrypted; the number is that of the EtherType before it, 0 in 802.11, 1 in DOCSIS.
    Encrypted,
    /// The frame ends before its type; the number is 0.
    Cut,
}

/// EtherTypes that are not IP by nature: control protocols, and network layers beside IP.
const ETHERTYPES: &[(u16, &str)] = &[
    // Linux "cooked" captures have these in the same field.
    (0x0001, "Novell raw 802.3"),
    (0x000c, "CAN"),
    (0x000d, "CAN FD"),
    (0x000e, "CAN XL"),
    (0x00fa, "MCTP"),
    (0x0600, "XNS IDP"),
    (0x0805, "X.25"),
    (0x0806, "ARP"),
    (0x0808, "frame relay ARP"),
    (0x0842, "Wake-on-LAN"),
    (0x0bad, "VINES"),
    (0x2000, "CDP"),
    (0x2001, "CGMP"),
    (0x2004, "DTP"),
    (0x22ea, "SRP"),
    (0x22f0, "AVTP"),
    (0x22f4, "IS-IS"),
    (0x6001, "DEC MOP dump"),
    (0x6002, "DEC MOP remote console"),
    (0x6003, "DECnet"),
    (0x6004, "DEC LAT"),
    (0x6007, "DEC LAVC"),
    (0x8035, "RARP"),
    (0x809b, "AppleTalk"),
    (0x80f3, "AARP"),
    (0x8137, "IPX"),
    (0x8138, "Novell"),
    (0x8204, "QNX Qnet"),
    (0x872d, "WLCCP"),
    (0x8781, "Realtek remote control"),
    (0x8808, "MAC control"),
    (0x8809, "slow protocols (LACP, OAM)"),
    (0x8863, "PPPoE discovery"),
    (0x886d, "Intel ANS"),
    (0x887b, "HomePlug"),
    (0x888e, "EAPOL"),
    (0x8892, "PROFINET"),
    (0x8899, "Realtek layer 2"),
    (0x889a, "HyperSCSI"),
    (0x88a2, "ATA over Ethernet"),
    (0x88a4, "EtherCAT"),
    (0x88ab, "Powerlink"),
    (0x88b8, "GOOSE"),
    (0x88b9, "GSE"),
    (0x88ba, "sampled values"),
    (0x88bf, "MikroTik RoMON"),
    (0x88c7, "802.11 pre-authentication"),
    (0x88cc, "LLDP"),
    (0x88cd, "SERCOS III"),
    (0x88dc, "WSMP"),
    (0x88e1, "HomePlug AV"),
    (0x88e3, "MRP"),
    (0x88ee, "E-LMI"),
    (0x88f5, "MVRP"),
    (0x88f6, "MMRP"),
    (0x88f7, "PTP"),
    (0x88f8, "NC-SI"),
    (0x88fb, "PRP supervision"),
    (0x8902, "CFM"),
    (0x8906, "FCoE"),
    (0x8912, "Mediaxtream"),
    (0x8914, "FCoE initialization"),
    (0x8915, "RoCE"),
    (0x8917, "media independent handover"),
    (0x8929, "MIRP"),
    (0x893a, "IEEE 1905.1"),
    (0x8940, "ECP"),
    (0x9000, "loopback test"),
    (0xcafe, "Veritas LLT"),
    (0xfefe, "OSI"),
];

/// EtherTypes that may hide IP traffic and have a name. Every other unknown one may hide it too.
const HIDING_ETHERTYPES: &[(u16, &str)] = &[
    (0x1000, "trailer"),
    (0x22f3, "TRILL"),
    (0x6558, "transparent Ethernet bridging"),
    (0x6559, "raw frame relay"),
    (0x876b, "TCP/IP compression"),
    (0x880b, "PPP"),
    (0x8847, "MPLS"),
    (0x8848, "MPLS"),
    (0x8864, "PPPoE session"),
    (0x8874, "Broadcom switch tag"),
    (0x88b5, "local experimental 1"),
    (0x88b6, "local experimental 2"),
    (0x88b7, "vendor's own"),
    (0x88e5, "MACsec"),
    (0x8903, "FabricPath"),
    (0x890d, "802.11 data encapsulation"),
    (0x8926, "VN-Tag"),
    (0x892f, "HSR"),
    (0x893f, "E-TAG"),
    (0x894f, "NSH"),
    (0xd28b, "Arista timestamp"),
    (0xdada, "EDSA switch tag"),
];

/// Service access points of LLC that are not IP by nature.
const SERVICE_ACCESS_POINTS: &[(u16, &str)] = &[
    (0x00, "LLC test"),
    (0x02, "LLC management"),
    (0x03, "LLC management"),
    (0x04, "SNA"),
    (0x05, "SNA"),
    (0x08, "SNA"),
    (0x0c, "SNA"),
    (0x42, "STP"),
    (0x7e, "X.25"),
    (0x80, "XNS"),
    (0x98, "ARP"),
    (0xbc, "VINES"),
    (0xe0, "IPX"),
    (0xf0, "NetBIOS"),
    (0xf4, "LAN management"),
    (0xf8, "remote program load"),
    (0xfc, "remote program load"),
    (0xfe, "OSI"),
    (0xff, "Novell raw 802.3"),
];

/// Control protocols in SNAP by vendor and number.
const SNAP_CONTROL: &[([u8; 3], u16, &str)] = &[
    ([0x00, 0x00, 0x0c], 0x0102, "DRiP"),
    ([0x00, 0x00, 0x0c], 0x0104, "PAgP"),
    ([0x00, 0x00, 0x0c], 0x0105, "MLS hello"),
    ([0x00, 0x00, 0x0c], 0x010b, "PVST+"),
    ([0x00, 0x00, 0x0c], 0x010c, "VLAN bridge"),
    ([0x00, 0x00, 0x0c], 0x0111, "UDLD"),
    ([0x00, 0x00, 0x0c], 0x0130, "WLCCP"),
    ([0x00, 0x00, 0x0c], 0x0131, "Cisco WLAN"),
    ([0x00, 0x00, 0x0c], 0x0139, "Cisco proprietary"),
    ([0x00, 0x00, 0x0c], 0x2000, "CDP"),
    ([0x00, 0x00, 0x0c], 0x2001, "CGMP"),
    ([0x00, 0x00, 0x0c], 0x2003, "VTP"),
    ([0x00, 0x00, 0x0c], 0x2004, "DTP"),
    ([0x00, 0x00, 0x0c], 0x200a, "STP UplinkFast"),
    ([0x00, 0x00, 0x81], 0x01a1, "NDP flat net hello"),
    ([0x00, 0x00, 0x81], 0x01a2, "NDP segment hello"),
    ([0x00, 0x40, 0x96], 0x0000, "Aironet control"),
    ([0x00, 0x80, 0xc2], 0x000e, "STP"),
    ([0x00, 0xe0, 0x2b], 0x00bb, "EDP"),
    ([0x00, 0xe0, 0x52], 0x2000, "FDP"),
    ([0x00, 0x13, 0x74], 0x0000, "Atheros"),
];

/// Network protocols of PPP that are not IP; numbers from 0x4000 on are control protocols.
const PPP: &[(u16, &str)] = &[
    (0x0023, "OSI"),
    (0x0025, "XNS IDP"),
    (0x0027, "DECnet"),
    (0x0029, "AppleTalk"),
    (0x002b, "IPX"),
    (0x0035, "VINES"),
    (0x0201, "STP"),
    (0x0203, "source route STP"),
    (0x0205, "DEC STP"),
    (0x0207, "CDP"),
];
const FIRST_PPP_CONTROL: u16 = 0x4000;

/// Compressed, encrypted or split packets of PPP.
const HIDING_PPP: &[(u16, &str)] = &[
    (0x002d, "compressed TCP"),
    (0x002f, "uncompressed TCP of a compressed connection"),
    (0x0031, "bridged frames"),
    (0x003d, "multilink"),
    (0x0053, "encrypted"),
    (0x0055, "encrypted"),
    (0x0059, "multiplexed"),
    (0x00fb, "compressed"),
    (0x00fd, "compressed"),
];

const NLPIDS: &[(u16, &str)] =
    &[(0x08, "Q.933"), (0x09, "LMI"), (0x81, "CLNP"), (0x82, "ES-IS"), (0x83, "IS-IS")];

const HIDING_NLPIDS: &[(u16, &str)] =
    &[(0xb0, "compressed"), (0xb1, "fragmented"), (0xb2, "fragmented"), (0xcf, "PPP")];

const FAMILIES: &[(u16, &str)] =
    &[(6, "XNS"), (7, "OSI"), (12, "DECnet"), (16, "AppleTalk"), (23, "IPX")];

const ARCNET: &[(u16, &str)] =
    &[(213, "ARP"), (214, "RARP"), (221, "AppleTalk"), (241, "ARP"), (250, "IPX")];

const LINKS: &[(u16, &str)] = &[(253, "netlink"), (271, "vsock")];
const HIDING_LINKS: &[(u16, &str)] = &[(195, "802.15.4"), (230, "802.15.4"), (258, "pktap")];

/// The frame control of DOCSIS without its last bit: frames of the link itself, and others that are not read.
const DOCSIS: &[(u16, &str)] = &[
    (0xc0, "timing"),
    (0xc2, "management"),
    (0xc4, "request"),
    (0xc6, "fragment"),
    (0xc8, "queue depth"),
    (0xf8, "concatenation"),
];
const DOCSIS_WITHOUT_TRAFFIC: [u16; 4] = [0xc0, 0xc2, 0xc4, 0xc8];
/// The type bits of 802.11's frame control, and its bit for data frames without data.
const WIRELESS_TYPE: u16 = 0x0c;
const WIRELESS_DATA: u16 = 0x08;
const WIRELESS_NO_DATA: u16 = 0x40;
const WIRELESS_VERSION: u16 = 0x03;

fn named(table: &[(u16, &'static str)], number: u16) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}

impl NonIp {
    /// A frame that ends before its type.
    pub(super) const CUT: Self = Self { field: TypeField::Cut, number: 0 };

    /// The first four bits of an MPLS payload that is operations and maintenance.
    pub(super) const ASSOCIATED_CHANNEL: u8 = 1;

    /// A number that is wider in its field than any that has a name.
    pub(super) fn wide(field: TypeField, number: u32) -> Self {
        Self { field, number: u16::try_from(number).unwrap_or(u16::MAX) }
    }

    pub(super) const fn ethertype(number: u16) -> Self {
        Self { field: TypeField::EtherType, number }
    }

    pub(super) fn snap(vendor: [u8; 3], number: u16) -> Self {
        let control = SNAP_CONTROL.iter().any(|(of, known, _)| *of == vendor && *known == number);
        let field = if control { TypeField::SnapControl } else { TypeField::Snap };
        Self { field, number }
    }

    /// Whether IP traffic may be inside, which nobody has looked at: so with every type but those that
    /// are known not to carry any.
    pub fn hides_traffic(self) -> bool {
        let Self { field, number } = self;
        match field {
            TypeField::EtherType => named(ETHERTYPES, number).is_none(),
            TypeField::Llc => named(SERVICE_ACCESS_POINTS, number).is_none(),
            TypeField::SnapControl => false,
            TypeField::Ppp => number < FIRST_PPP_CONTROL && named(PPP, number).is_none(),
            TypeField::Nlpid => named(NLPIDS, number).is_none(),
            TypeField::Family => named(FAMILIES, number).is_none(),
            TypeField::Arcnet => named(ARCNET, number).is_none(),
            TypeField::Link => named(LINKS, number).is_none(),
            TypeField::MplsPayload => number != u16::from(Self::ASSOCIATED_CHANNEL),
            TypeField::Wireless => {
                let is_data = number & WIRELESS_TYPE == WIRELESS_DATA;
                number & WIRELESS_VERSION != 0 || (is_data && number & WIRELESS_NO_DATA == 0)
            }
            TypeField::Docsis => !DOCSIS_WITHOUT_TRAFFIC.contains(&(number & 0xfe)),
            TypeField::IpVersion
            | TypeField::Snap
            | TypeField::Nsh
            | TypeField::Encrypted
            | TypeField::Cut => true,
        }
    }

    /// The usual name of the protocol, if it has one.
    pub fn name(self) -> Option<&'static str> {
        let Self { field, number } = self;
        let either = |of, hiding| named(of, number).or_else(|| named(hiding, number));
        match field {
            TypeField::EtherType => either(ETHERTYPES, HIDING_ETHERTYPES),
            TypeField::Encrypted => named(HIDING_ETHERTYPES, number),
            TypeField::Llc => named(SERVICE_ACCESS_POINTS, number),
            TypeField::SnapControl => {
                SNAP_CONTROL.iter().find(|(_, known, _)| *known == number).map(|(.., name)| *name)
            }
            TypeField::Ppp => either(PPP, HIDING_PPP),
            TypeField::Nlpid => either(NLPIDS, HIDING_NLPIDS),
            TypeField::Family => named(FAMILIES, number),
            TypeField::Arcnet => named(ARCNET, number),
            TypeField::Link => either(LINKS, HIDING_LINKS),
            TypeField::MplsPayload if number == u16::from(Self::ASSOCIATED_CHANNEL) => {
                Some("associated channel")
            }
            TypeField::Wireless => match number & WIRELESS_TYPE {
                0x00 => Some("management"),
                0x04 => Some("control"),
                WIRELESS_DATA if number & WIRELESS_NO_DATA != 0 => Some("no data"),
                _ => None,
            },
            TypeField::Docsis => named(DOCSIS, number & 0xfe),
            TypeField::MplsPayload
            | TypeField::IpVersion
            | TypeField::Snap
            | TypeField::Nsh
            | TypeField::Cut => None,
        }
    }
}

impl fmt::Display for NonIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, number } = *self;
        match field {
            TypeField::EtherType => write!(f, "ethertype {number:#06x}")?,
            TypeField::Llc => write!(f, "LLC service access point {number:#04x}")?,
            TypeField::SnapControl | TypeField::Snap => write!(f, "SNAP protocol {number:#06x}")?,
            TypeField::Ppp => write!(f, "PPP protocol {number:#06x}")?,
            TypeField::Nlpid => write!(f, "frame relay protocol {number:#04x}")?,
            TypeField::Family => write!(f, "address family {number}")?,
            TypeField::Arcnet => write!(f, "ARCNET protocol {number}")?,
            TypeField::MplsPayload => write!(f, "MPLS payload that starts with {number:#x}")?,
            TypeField::IpVersion => write!(f, "IP version {number}")?,
            TypeField::Wireless => write!(f, "802.11 frame of type {number:#04x}")?,
            TypeField::Nsh => write!(f, "NSH protocol {number}")?,
            TypeField::Docsis => write!(f, "DOCSIS frame of type {number:#04x}")?,
            TypeField::Link => write!(f, "link type {number}")?,
            TypeField::Encrypted if number == 0 => return f.write_str("encrypted 802.11 frame"),
            TypeField::Encrypted if number == ENCRYPTED_DOCSIS => {
                return f.write_str("encrypted or compressed DOCSIS frame");
            }
            TypeField::Encrypted => write!(f, "encrypted payload of ethertype {number:#06x}")?,
            TypeField::Cut => return f.write_str("frame that ends before its type"),
        }
        match self.name() {
            Some(name) => write!(f, " ({name})"),
            None => Ok(()),
        }
    }
}
