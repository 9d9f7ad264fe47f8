//! The rules that nobody writes: traffic that is allowed whatever the rules say (SEMANTICS A8, F25, H1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::matcher::{Addresses, IcmpTypes, Matcher};
use super::{Cloud, Interface, Layer, Peer, PortRange, RuleProtocol, RuleSet};
use crate::flow::{Direction, Protocol};

/// The metadata service of Alibaba Cloud that every instance may reach.
const METASERVER: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);

/// Where instances ask about themselves: of AWS ("Access instance metadata"), Azure ("Azure Instance Metadata
/// Service") and Google Cloud ("VM metadata").
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// Azure's platform ("What is IP address 168.63.129.16?").
const AZURE_PLATFORM: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// An address of AWS's services in `fd00:ec2::/32`.
const fn aws_v6(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, last)
}

/// A kind of traffic that no rule can block. They stand before all rules (SEMANTICS F13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Builtin {
    /// Egress to 100.100.100.200.
    MetaServer,
    /// Ingress ICMP "fragmentation needed" and ICMPv6 "packet too big".
    PathMtu,
    /// Ingress from the load balancers that the rules file lists under `slb_sources`.
    Slb,
    /// DHCP and DHCPv6 of the instance as a client: of Alibaba Cloud where the switch exempts them (SEMANTICS F5), of
    /// AWS and Azure always.
    Dhcp,
    /// IPv6 neighbour discovery (ICMPv6 133 to 137) with hop limit 255, which is to IPv6 what ARP is to IPv4
    /// (SEMANTICS F19), unless the switch has it judged by the rules.
    NeighbourDiscovery,
    /// Between two addresses of one subnet, which never meets the network ACL of the subnet (SEMANTICS H2, H5).
    SameSubnet,
    /// Name servers and the metadata service of Alibaba Cloud, which an entry of every network ACL lets pass: two
    /// networks where the ACL does not print that entry (SEMANTICS H1, H-c).
    CloudService,
    /// Instance metadata of AWS and Azure.
    Metadata,
    /// The metadata server of Google Cloud, at which name service, time and DHCP live too.
    MetadataServer,
    /// AWS's name server, at its own address and at the base of the VPC plus two.
    Resolver,
    /// AWS's time service.
    Time,
    /// Metadata and credentials of ECS tasks.
    TaskMetadata,
    /// Activation of Windows at AWS.
    Activation,
    /// The router of a VPC of AWS: the base of a subnet plus one, and `fe80:ec2::1`.
    Router,
    /// Azure's agent and name server at 168.63.129.16.
    Platform,
}

impl Builtin {
    /// All.
    pub const ALL: &'static [Self] = &[
        Self::MetaServer,
        Self::PathMtu,
        Self::Slb,
        Self::Dhcp,
        Self::NeighbourDiscovery,
        Self::SameSubnet,
        Self::CloudService,
        Self::Metadata,
        Self::MetadataServer,
        Self::Resolver,
        Self::Time,
        Self::TaskMetadata,
        Self::Activation,
        Self::Router,
        Self::Platform,
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
            Self::CloudService => "cloud-service",
            Self::Metadata => "instance-metadata",
            Self::MetadataServer => "metadata-server",
            Self::Resolver => "resolver",
            Self::Time => "time-sync",
            Self::TaskMetadata => "task-metadata",
            Self::Activation => "windows-activation",
            Self::Router => "vpc-router",
            Self::Platform => "azure-platform",
        }
    }

    /// Whether a layer lets it through.
    pub(super) fn passes(self, layer: Layer, direction: Direction) -> bool {
        match self {
            Self::Dhcp | Self::NeighbourDiscovery | Self::Router => true,
            // A network ACL has entries for these, or denies them (SEMANTICS H1, H2).
            Self::MetaServer
            | Self::PathMtu
            | Self::Slb
            | Self::Platform
            | Self::MetadataServer => layer == Layer::SecurityGroup,
            Self::SameSubnet | Self::CloudService => layer == Layer::NetworkAcl,
            // Answers: security groups remember who has asked, network ACLs do not.
            Self::Metadata
            | Self::Resolver
            | Self::Time
            | Self::TaskMetadata
            | Self::Activation => direction == Direction::Egress || layer == Layer::NetworkAcl,
        }
    }

    /// The builtin entries of one interface and direction, whatever layers let them through.
    pub(super) fn matchers(
        rules: &RuleSet,
        eni: &Interface,
        direction: Direction,
    ) -> Vec<(Self, Matcher)> {
        let mut entries = Self::of_cloud(rules, eni, direction);
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

    fn of_cloud(rules: &RuleSet, eni: &Interface, direction: Direction) -> Vec<(Self, Matcher)> {
        match rules.cloud {
            Cloud::Alibaba => Self::of_alibaba(rules, eni, direction),
            Cloud::Aws => Self::of_aws(rules, eni, direction),
            Cloud::Azure => Self::of_azure(rules, direction),
            Cloud::Google => Self::of_google(),
            Cloud::ClassBench => Vec::new(),
        }
    }

    fn of_alibaba(rules: &RuleSet, eni: &Interface, direction: Direction) -> Vec<(Self, Matcher)> {
        let mut entries = Vec::new();
        match direction {
            Direction::Egress => entries.push((Self::MetaServer, to([METASERVER.into()]))),
            Direction::Ingress => {
                let error = |proto, kind, code, family: IpNet| Matcher {
                    protocol: RuleProtocol::Only(proto),
                    icmp: Some(IcmpTypes::one(kind, code)),
                    peer: Addresses::Nets(vec![family]),
                    ..Matcher::any()
                };
                let v4 = IpNet::V4(Ipv4Net::default());
                let v6 = IpNet::V6(Ipv6Net::default());
                entries.push((Self::PathMtu, error(Protocol::ICMP, 3, Some(4), v4)));
                entries.push((Self::PathMtu, error(Protocol::ICMPV6, 2, None, v6)));
                if !rules.slb_sources.is_empty() {
                    let peer = Addresses::Nets(rules.slb_sources.clone());
                    entries.push((Self::Slb, Matcher { peer, ..Matcher::any() }));
                }
            }
        }
        if rules.switches.exempt_dhcp {
            entries.extend(dhcp(direction));
        }
        let is_printed = |group: &usize| {
            let rules = rules.groups.get(*group).into_iter().flat_map(|group| &group.rules);
            let metaserver = IpAddr::from(METASERVER);
            let names = |peer: &Peer| matches!(peer, Peer::Cidr(net) if net.prefix_len() > 0 && net.contains(&metaserver));
            rules.filter(|rule| rule.fixed).any(|rule| rule.peers.iter().any(names))
        };
        if !eni.groups.iter().any(is_printed) {
            let servers = ["100.100.2.128/28", "100.100.2.112/28", "100.100.100.200/32"];
            let nets = servers.iter().filter_map(|net| net.parse().ok()).collect();
            let peer = Addresses::Nets(nets);
            entries.push((Self::CloudService, Matcher { peer, ..Matcher::any() }));
        }
        entries
    }

    /// What neither security groups nor network ACLs filter (SEMANTICS H1: the VPC guide's list, and the pages of each
    /// service).
    fn of_aws(rules: &RuleSet, eni: &Interface, direction: Direction) -> Vec<(Self, Matcher)> {
        let v4 = |last| IpAddr::from([169, 254, 169, last]);
        let v6 = |last| IpAddr::from(aws_v6(last));
        let plus = |net: &IpNet, n: u32| match net {
            IpNet::V4(net) if net.prefix_len() < 31 => {
                Some(IpAddr::from(Ipv4Addr::from_bits(net.network().to_bits().wrapping_add(n))))
            }
            IpNet::V6(net) if net.prefix_len() < 127 => {
                let base = net.network().to_bits();
                Some(IpAddr::from(Ipv6Addr::from_bits(base.wrapping_add(n.into()))))
            }
            _ => None,
        };
        let of_subnet = |n| eni.subnet.iter().filter_map(move |net| plus(net, n));
        let mut asked = vec![
            (Self::Metadata, to([METADATA.into(), v6(0x254)])),
            (Self::Resolver, to([v4(253), v6(0x253)])),
            (Self::Time, on(Protocol::UDP, 123, to([v4(123), v6(0x123)]))),
            (Self::TaskMetadata, on(Protocol::TCP, 80, to([IpAddr::from([169, 254, 170, 2])]))),
            (Self::Activation, on(Protocol::TCP, 1688, to([v4(250), v4(251), v6(0x250)]))),
        ];
        let bases: Vec<IpAddr> =
            rules.switches.vpc_cidrs.iter().filter_map(|net| plus(net, 2)).collect();
        if !bases.is_empty() {
            asked.push((Self::Resolver, to(bases)));
        }
        // That the resolver answers at these too is not said, so only name service passes (SEMANTICS H-b).
        let reserved: Vec<IpAddr> = of_subnet(2).filter(IpAddr::is_ipv4).collect();
        if !reserved.is_empty() {
            for proto in [Protocol::UDP, Protocol::TCP] {
                asked.push((Self::Resolver, on(proto, 53, to(reserved.clone()))));
            }
        }
        if direction == Direction::Ingress {
            let answers = |(builtin, query): (Self, Matcher)| Some((builtin, query.of_answers()?));
            asked = asked.into_iter().filter_map(answers).collect();
        }
        let routers = of_subnet(1).chain([IpAddr::from([0xfe80, 0x0ec2, 0, 0, 0, 0, 0, 1])]);
        asked.push((Self::Router, to(routers.collect::<Vec<_>>())));
        asked.extend(dhcp(direction));
        asked
    }

    /// What the platform lets pass, unless a rule names the tag of that service (SEMANTICS H3).
    fn of_azure(rules: &RuleSet, direction: Direction) -> Vec<(Self, Matcher)> {
        let mut entries = dhcp(direction);
        if direction == Direction::Ingress {
            return entries;
        }
        let is_named = |tag: &str| {
            let all = rules.groups.iter().flat_map(|group| &group.rules);
            let mut peers = all.flat_map(|rule| &rule.peers);
            peers.any(|peer| matches!(peer, Peer::Tag(name) if name.eq_ignore_ascii_case(tag)))
        };
        let platform = |proto, port| (Self::Platform, on(proto, port, to([AZURE_PLATFORM.into()])));
        entries.extend([80, 32_526].map(|port| platform(Protocol::TCP, port)));
        if !is_named("AzurePlatformDNS") {
            entries.extend([Protocol::UDP, Protocol::TCP].map(|proto| platform(proto, 53)));
        }
        if !is_named("AzurePlatformIMDS") {
            entries.push((Self::Metadata, on(Protocol::TCP, 80, to([METADATA.into()]))));
        }
        entries
    }

    /// Metadata, name service, time and DHCP live at one address, both ways.
    fn of_google() -> Vec<(Self, Matcher)> {
        vec![(Self::MetadataServer, to([METADATA.into()]))]
    }
}

/// Everything to or from these addresses.
fn to(addresses: impl IntoIterator<Item = IpAddr>) -> Matcher {
    let nets = addresses.into_iter().map(IpNet::from).collect();
    Matcher { peer: Addresses::Nets(nets), ..Matcher::any() }
}

/// The same in one protocol and to one port.
fn on(proto: Protocol, port: u16, to: Matcher) -> Matcher {
    let ports = PortRange::new(port, port).into_iter().collect();
    Matcher { protocol: RuleProtocol::Only(proto), ports, ..to }
}

/// DHCP and DHCPv6 of a client.
fn dhcp(direction: Direction) -> Vec<(Builtin, Matcher)> {
    let messages = match direction {
        Direction::Egress => [udp(68, 67), udp(546, 547)],
        Direction::Ingress => [udp(67, 68), udp(547, 546)],
    };
    messages.map(|matcher| (Builtin::Dhcp, matcher)).into()
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
