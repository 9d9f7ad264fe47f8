//! The rules that nobody writes: traffic that is allowed whatever the rules say (SEMANTICS A8).

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::matcher::{Addresses, IcmpTypes, Matcher};
use super::{Cloud, Interface, Layer, PortRange, RuleProtocol, RuleSet};
use crate::flow::{Direction, Protocol};

/// The metadata service that every instance may reach.
const METASERVER: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);

/// A kind of traffic that no rule can block. They stand before all rules (SEMANTICS F13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Builtin {
    /// Egress to 100.100.100.200.
    MetaServer,
    /// Ingress ICMP "fragmentation needed" and ICMPv6 "packet too big".
    PathMtu,
    /// Ingress from the load balancers that the rules file lists under `slb_sources`.
    Slb,
    /// DHCP and DHCPv6 of the instance as a client, where the switch exempts them (SEMANTICS F5).
    Dhcp,
    /// IPv6 neighbour discovery (ICMPv6 133 to 137) with hop limit 255, which is to IPv6 what ARP is to IPv4
    /// (SEMANTICS F19), unless the switch has it judged by the rules.
    NeighbourDiscovery,
    /// Between two addresses of one subnet, which never meets the network ACL of the subnet (SEMANTICS H2, H5).
    SameSubnet,
}

impl Builtin {
    /// All.
    pub const ALL: [Self; 6] = [
        Self::MetaServer,
        Self::PathMtu,
        Self::Slb,
        Self::Dhcp,
        Self::NeighbourDiscovery,
        Self::SameSubnet,
    ];

    /// The name in the `rule` column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MetaServer => "metaserver",
            Self::PathMtu => "path-mtu",
            Self::Slb => "slb",
            Self::Dhcp => "dhcp",
            Self::NeighbourDiscovery => "neighbour-discovery",
            Self::SameSubnet => "same-subnet",
        }
    }

    /// Whether a layer lets it through.
    pub(super) fn passes(self, layer: Layer) -> bool {
        match (self, layer) {
            (Self::Dhcp | Self::NeighbourDiscovery, _) => true,
            // A network ACL has entries for these, or denies them (SEMANTICS H1, H2).
            (Self::MetaServer | Self::PathMtu | Self::Slb, layer) => layer == Layer::SecurityGroup,
            (Self::SameSubnet, layer) => layer == Layer::NetworkAcl,
        }
    }

    /// The builtin entries of one interface and direction, whatever layers let them through.
    pub(super) fn matchers(
        rules: &RuleSet,
        eni: &Interface,
        direction: Direction,
    ) -> Vec<(Self, Matcher)> {
        let mut entries = Self::of_cloud(rules, direction);
        if !eni.subnet.is_empty() {
            let peer = Addresses::Nets(eni.subnet.clone());
            entries.push((Self::SameSubnet, Matcher { peer, ..Matcher::any() }));
        }
        if !rules.switches.neighbour_discovery_by_rules {
            let messages = Matcher {
                protocol: RuleProtocol::Only(Protocol::ICMPV6),
                icmp: Some(IcmpTypes::range(133, 137)),
                peer: Addresses::Nets(vec![Ipv6Net::default().into()]),
                ..Matcher::any()
            };
            entries.push((Self::NeighbourDiscovery, messages));
        }
        entries
    }

    fn of_cloud(rules: &RuleSet, direction: Direction) -> Vec<(Self, Matcher)> {
        // Other clouds have exceptions of their own, and nothing here speaks for those.
        if rules.cloud != Cloud::Alibaba {
            return Vec::new();
        }
        match direction {
            Direction::Egress => {
                let metaserver = IpNet::V4(Ipv4Net::from(METASERVER));
                let peer = Addresses::Nets(vec![metaserver]);
                let mut entries = vec![(Self::MetaServer, Matcher { peer, ..Matcher::any() })];
                if rules.switches.exempt_dhcp {
                    entries
                        .extend([udp(68, 67), udp(546, 547)].map(|matcher| (Self::Dhcp, matcher)));
                }
                entries
            }
            Direction::Ingress => {
                let error = |proto, kind, code, family: IpNet| Matcher {
                    protocol: RuleProtocol::Only(proto),
                    icmp: Some(IcmpTypes::one(kind, code)),
                    peer: Addresses::Nets(vec![family]),
                    ..Matcher::any()
                };
                let v4 = IpNet::V4(Ipv4Net::default());
                let v6 = IpNet::V6(Ipv6Net::default());
                let mut entries = vec![
                    (Self::PathMtu, error(Protocol::ICMP, 3, Some(4), v4)),
                    (Self::PathMtu, error(Protocol::ICMPV6, 2, None, v6)),
                ];
                if !rules.slb_sources.is_empty() {
                    let peer = Addresses::Nets(rules.slb_sources.clone());
                    entries.push((Self::Slb, Matcher { peer, ..Matcher::any() }));
                }
                if rules.switches.exempt_dhcp {
                    entries
                        .extend([udp(67, 68), udp(547, 546)].map(|matcher| (Self::Dhcp, matcher)));
                }
                entries
            }
        }
    }
}

/// UDP from one port to another.
fn udp(from: u16, to: u16) -> Matcher {
    let only = |port| PortRange::new(port, port).into_iter().collect();
    Matcher {
        protocol: RuleProtocol::Only(Protocol::UDP),
        source_ports: only(from),
        ports: only(to),
        ..Matcher::any()
    }
}
