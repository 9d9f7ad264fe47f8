//! The parts of a rule set.

use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;

use super::cloud::Cloud;
use super::field::{GroupType, NicType, Peer, Policy, PortRange, Priority, RuleProtocol};
use super::layer::Layer;
use super::lint::Suppression;
use super::membership::Membership;
use super::ports::Ports;
use crate::flow::Direction;

/// A security group: a policy for members, and rules (SEMANTICS A1); or a network ACL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityGroup {
    /// `sg-…`.
    pub id: String,
    /// Whether it is a security group or a network ACL.
    pub layer: Layer,
    /// Basic or enterprise.
    pub group_type: GroupType,
    /// Whether members of a basic group reach each other; always `Drop` in an enterprise group.
    pub inner_access_policy: Policy,
    /// The VPC, where it is known.
    pub vpc_id: Option<String>,
    /// Of a network ACL, the subnets that it stands at, as far as they are known.
    pub networks: Vec<IpNet>,
    /// In file order.
    pub rules: Vec<Rule>,
}

/// One rule, or several that share an id: a list of ports or peers means one rule per pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The user's name for it.
    pub id: RuleId,
    /// The list it belongs to.
    pub direction: Direction,
    /// Whether matching packets are accepted or dropped.
    pub policy: Policy,
    /// Smaller comes first.
    pub priority: Priority,
    /// The protocol it matches.
    pub protocol: RuleProtocol,
    /// Destination ports, in both directions (SEMANTICS A3); empty for any.
    pub ports: Vec<Ports>,
    /// Source ports, of quintuple rules; empty for any.
    pub source_ports: Vec<PortRange>,
    /// The far side: source on ingress, destination on egress. Never empty.
    pub peers: Vec<Peer>,
    /// Narrows the near side, of quintuple rules; empty for any address of the interface.
    pub local: Vec<Peer>,
    /// ICMP type, and code if only one will do; only AWS has such rules.
    pub icmp: Option<(u8, Option<u8>)>,
    /// Tags of the interfaces that the rule is for; empty for all. Google Cloud's targets, and the near
    /// side's application security groups of Azure.
    pub targets: Vec<String>,
    /// Classic network only: the network card whose list this is (SEMANTICS A10).
    pub nic_type: Option<NicType>,
    /// Breaks ties of attribution, never of verdicts (SEMANTICS A4).
    pub create_time: Option<Timestamp>,
    /// The cloud's own, which nobody can remove: it takes part in verdicts, and no advice is about it (SEMANTICS F27).
    /// [`RuleSet::new`](super::RuleSet::new) says so of those behind [`Layer::lowest_custom`].
    pub fixed: bool,
    /// Free text.
    pub description: Option<String>,
}

impl Rule {
    /// A rule that accepts traffic between any ports, with the highest priority.
    pub fn new(id: RuleId, direction: Direction, protocol: RuleProtocol, peers: Vec<Peer>) -> Self {
        Self {
            id,
            direction,
            policy: Policy::Accept,
            priority: Priority::HIGHEST,
            protocol,
            ports: Vec::new(),
            source_ports: Vec::new(),
            peers,
            local: Vec::new(),
            icmp: None,
            targets: Vec::new(),
            nic_type: None,
            create_time: None,
            fixed: false,
            description: None,
        }
    }
}

/// The user's name for a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleId {
    /// Given in the file: `sgr-…`.
    Named(String),
    /// Numbered in file order from 1: `sg-web#1`.
    Numbered {
        /// The group.
        group: String,
        /// Position among the group's rules.
        number: usize,
    },
}

impl std::fmt::Display for RuleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Named(id) => f.pad(id),
            Self::Numbered { group, number } => f.pad(&format!("{group}#{number}")),
        }
    }
}

/// An elastic network interface: the thing that security groups apply to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// `eni-…`.
    pub id: String,
    /// Private addresses; a CIDR stands for every address in it.
    pub addresses: Vec<IpNet>,
    /// Positions in [`RuleSet::groups`](super::RuleSet::groups): 1 to 10 security groups, all of one type, and the network ACL of its subnet.
    pub groups: Vec<usize>,
    /// The addresses of its subnet, as far as they are known; what comes from there never meets the network ACL.
    pub subnet: Vec<IpNet>,
    /// Idle timeouts of its sessions.
    pub timeouts: Timeouts,
    /// Classic network only: which of its instance's cards this is.
    pub nic_type: NicType,
    /// Tags and service accounts by which rules choose it as peer or target.
    pub tags: Vec<String>,
}

/// Idle timeouts of sessions (SEMANTICS A6); those that the cloud does not document are settings of
/// the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP before the handshake is complete. Undocumented; 60 s.
    pub tcp_opening: Duration,
    /// TCP after the handshake. 910 s.
    pub tcp_established: Duration,
    /// TCP after FIN both ways, or RST. 3 s.
    pub tcp_closed: Duration,
    /// UDP. 30 s.
    pub udp: Duration,
    /// UDP after more than one exchange, where that is another time: on AWS 180 s (SEMANTICS H2).
    pub udp_stream: Option<Duration>,
    /// ICMP and ICMPv6. Undocumented; 30 s.
    pub icmp: Duration,
    /// Every other protocol. Undocumented; 30 s.
    pub other: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            tcp_opening: s(60),
            tcp_established: s(910),
            tcp_closed: s(3),
            udp: s(30),
            udp_stream: None,
            icmp: s(30),
            other: s(30),
        }
    }
}

/// A named list of CIDRs of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixList {
    /// `pl-…`.
    pub id: String,
    /// At most 200.
    pub entries: Vec<IpNet>,
}

/// A named list of port ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortList {
    /// `prl-…`.
    pub id: String,
    /// The ranges.
    pub entries: Vec<PortRange>,
}

/// The addresses of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Its name, without `tag:` before it.
    pub name: String,
    /// The addresses, of both families.
    pub entries: Vec<IpNet>,
}

/// The contents of a rules file, unchecked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// The cloud.
    pub cloud: Cloud,
    /// Security groups, in file order.
    pub groups: Vec<SecurityGroup>,
    /// Interfaces, in file order; `None` where the file does not list any.
    pub interfaces: Option<Vec<Interface>>,
    /// Prefix lists.
    pub prefix_lists: Vec<PrefixList>,
    /// Port lists.
    pub port_lists: Vec<PortList>,
    /// Tags with known addresses.
    pub tags: Vec<Tag>,
    /// The tags of the one interface of a file that lists none; `None` if unknown.
    pub instance_tags: Option<Vec<String>>,
    /// Source addresses of load balancers whose traffic is always allowed in (SEMANTICS A8).
    pub slb_sources: Vec<IpNet>,
    /// Ports that carriers block on the way, where they are not the usual ones (SEMANTICS A9).
    pub carrier_ports: Option<Vec<u16>>,
    /// Knowledge of the groups of interfaces that are not listed.
    pub membership: Membership,
    /// Suppressed findings.
    pub suppressions: Vec<Suppression>,
    /// Missing parts of the rules, in words: no gate passes on incomplete rules.
    pub incomplete: Vec<String>,
    /// Whether the cloud's quotas apply.
    pub quotas: Quotas,
}

/// Whether the quotas of the cloud apply (SEMANTICS A11): how many rules, groups of an interface, groups as peers, and
/// entries of lists there may be. A cloud raises them on request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quotas {
    /// What is over one is refused, or gives a warning.
    #[default]
    Apply,
    /// There may be as many as the program can hold.
    Ignore,
}

/// Questions that the cloud's documents leave open; each has a default (SEMANTICS Part F).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// F1: intra-group access goes before custom egress rules too. The default is that it does not.
    pub intra_group_egress: bool,
    /// F5: DHCP passes whatever the rules say. The default is that the rules judge it.
    pub exempt_dhcp: bool,
    /// F19: the rules judge IPv6 neighbour discovery. The default is that it passes whatever they say.
    pub neighbour_discovery_by_rules: bool,
    /// H-a: the networks of the VPC, of AWS: the name server is at the base of each plus two. By default they are
    /// unknown.
    pub vpc_cidrs: Vec<IpNet>,
}
