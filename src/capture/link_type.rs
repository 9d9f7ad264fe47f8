//! Link-layer types.

/// The link-layer type of a frame, by its number in the registry of link types at tcpdump.org.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct LinkType(pub u32);

impl LinkType {
    /// BSD loopback: a 4-byte address family in the byte order of the capturing machine.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// SLIP, behind a direction and 15 bytes of the driver's.
    pub const SLIP: Self = Self(8);
    /// PPP, alone or in HDLC-like framing.
    pub const PPP: Self = Self(9);
    /// FDDI.
    pub const FDDI: Self = Self(10);
    /// Raw IP as some BSDs number it.
    pub const RAW_BSD: Self = Self(12);
    /// Raw IP as OpenBSD numbers it.
    pub const RAW_OPENBSD: Self = Self(14);
    /// PPP in HDLC-like framing.
    pub const PPP_HDLC: Self = Self(50);
    /// `PPPoE` without the Ethernet header.
    pub const PPP_ETHER: Self = Self(51);
    /// LLC over ATM.
    pub const ATM_RFC1483: Self = Self(100);
    /// Raw IP, version by the first nibble.
    pub const RAW: Self = Self(101);
    /// Cisco's HDLC.
    pub const C_HDLC: Self = Self(104);
    /// 802.11 wireless.
    pub const IEEE802_11: Self = Self(105);
    /// Frame relay.
    pub const FRELAY: Self = Self(107);
    /// OpenBSD loopback: a 4-byte address family in network byte order.
    pub const LOOP: Self = Self(108);
    /// BSD's device for `IPsec`: packets inside tunnels, in clear.
    pub const ENC: Self = Self(109);
    /// Linux "cooked" capture.
    pub const LINUX_SLL: Self = Self(113);
    /// BSD's packet filter.
    pub const PFLOG: Self = Self(117);
    /// 802.11 wireless behind a Prism header.
    pub const IEEE802_11_PRISM: Self = Self(119);
    /// 802.11 wireless behind a radiotap header.
    pub const IEEE802_11_RADIOTAP: Self = Self(127);
    /// ARCNET as Linux gives it.
    pub const ARCNET_LINUX: Self = Self(129);
    /// DOCSIS, of cable modems.
    pub const DOCSIS: Self = Self(143);
    /// 802.11 wireless behind a header of the AVS project.
    pub const IEEE802_11_AVS: Self = Self(163);
    /// Ethernet of Juniper's routers.
    pub const JUNIPER_ETHER: Self = Self(178);
    /// Per-packet information, which carries frames of other link types.
    pub const PPI: Self = Self(192);
    /// 802.15.4 with a frame check sequence.
    pub const IEEE802_15_4: Self = Self(195);
    /// PPP behind a direction.
    pub const PPP_WITH_DIR: Self = Self(204);
    /// Cisco's HDLC behind a direction.
    pub const C_HDLC_WITH_DIR: Self = Self(205);
    /// Frame relay behind a direction.
    pub const FRELAY_WITH_DIR: Self = Self(206);
    /// MPLS.
    pub const MPLS: Self = Self(219);
    /// Solaris' device for IP.
    pub const IPNET: Self = Self(226);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// 802.15.4 without a frame check sequence.
    pub const IEEE802_15_4_NOFCS: Self = Self(230);
    /// Linux netfilter log (`tcpdump -i nflog`).
    pub const NFLOG: Self = Self(239);
    /// IP over InfiniBand.
    pub const IP_OVER_INFINIBAND: Self = Self(242);
    /// Messages between Linux and its programs.
    pub const NETLINK: Self = Self(253);
    /// macOS `pktap`, which carries frames of other link types.
    pub const PKTAP: Self = Self(258);
    /// Linux sockets between a virtual machine and its host.
    pub const VSOCK: Self = Self(271);
    /// Linux "cooked" capture, version 2 (`tcpdump -i any`).
    pub const LINUX_SLL2: Self = Self(276);
    /// Ethernet with the tag of a Broadcom switch behind the addresses.
    pub const BROADCOM_TAG: Self = Self(281);
    /// Ethernet behind the tag of a Broadcom switch.
    pub const BROADCOM_TAG_PREPENDED: Self = Self(282);
    /// Ethernet with the tag of a Marvell switch behind the addresses.
    pub const DSA_TAG: Self = Self(284);
    /// Ethernet with the longer tag of a Marvell switch behind the addresses.
    pub const EDSA_TAG: Self = Self(285);
}
