//! The model: security groups, interfaces and lists in the cloud's own terms (SEMANTICS A1, A2).
//!
//! A [`RuleSet`] exists only if it is valid: [`RuleSet::new`] holds its parts against everything that
//! the cloud's API would refuse (SEMANTICS B1) and hands back every fault at once, each with its
//! [`RulePlace`], so that a reader of a file can say the line.

mod assertion;
mod builtin;
mod cloud;
mod field;
mod layer;
mod lint;
mod matcher;
mod membership;
mod names;
mod order;
mod ports;
pub mod scenarios;
pub mod services;
mod sharing;
mod validate;

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;

pub use assertion::{Expectation, Packets};
pub use builtin::Builtin;
pub use cloud::Cloud;
pub use field::{
    FieldError, GroupRef, GroupType, NicType, Peer, Policy, PortRange, Priority, RuleProtocol,
    parse_cidr, parse_cidr_as_written,
};
pub use layer::Layer;
pub use lint::{Code, Severity, Suppression};
pub use matcher::{Addresses, IcmpTypes, MatchStep, Matcher};
pub use membership::{Assumption, GroupsError, Membership, UnknownGroups, listed};
pub use order::{Entry, EntryIndex, EntryKind, Ordered};
pub use ports::Ports;
pub use sharing::SharedLists;
pub use validate::{Field, Invalid, RulePlace, Warning};

use crate::flow::Direction;
pub(crate) use field::nearest;
use names::Names;
use order::{Members, Whose};
pub(crate) use validate::about_rule;

/// A security group: a policy for members, and rules (SEMANTICS A1); or a network ACL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityGroup {
    /// `sg-…`.
    pub id: String,
    /// Which of the two it is.
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
    /// What becomes of a packet that matches.
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
    /// [`RuleSet::new`] says so of those behind [`Layer::lowest_custom`].
    pub fixed: bool,
    /// Free text.
    pub description: Option<String>,
}

impl Rule {
    /// A rule that accepts what goes between any ports, before other rules.
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
    /// Positions in [`RuleSet::groups`]: 1 to 10 security groups, all of one type, and the network ACL of its subnet.
    pub groups: Vec<usize>,
    /// The addresses of its subnet, as far as they are known; what comes from there never meets the network ACL.
    pub subnet: Vec<IpNet>,
    /// Idle timeouts of its sessions.
    pub timeouts: Timeouts,
    /// Classic network only: which of its instance's cards this is.
    pub nic_type: NicType,
    /// By which rules choose it as peer or as target; service accounts too.
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

/// What addresses a tag stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Its name, without `tag:` before it.
    pub name: String,
    /// The addresses, of both families.
    pub entries: Vec<IpNet>,
}

/// What a rules file says, before anyone has checked it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Whose rules they are.
    pub cloud: Cloud,
    /// Security groups, in file order.
    pub groups: Vec<SecurityGroup>,
    /// Interfaces, in file order; `None` where the file does not list any.
    pub interfaces: Option<Vec<Interface>>,
    /// Prefix lists.
    pub prefix_lists: Vec<PrefixList>,
    /// Port lists.
    pub port_lists: Vec<PortList>,
    /// Tags of which it is said what addresses they are.
    pub tags: Vec<Tag>,
    /// The tags of the one interface of a file that lists none; `None` where nobody has said.
    pub instance_tags: Option<Vec<String>>,
    /// Source addresses of load balancers whose traffic is always allowed in (SEMANTICS A8).
    pub slb_sources: Vec<IpNet>,
    /// Ports that carriers block on the way, where they are not the usual ones (SEMANTICS A9).
    pub carrier_ports: Option<Vec<u16>>,
    /// What is known of the groups that interfaces have, where none are listed.
    pub membership: Membership,
    /// Findings that are not to be reported.
    pub suppressions: Vec<Suppression>,
    /// What is known to be missing of the rules, in words: no gate passes on rules that are not whole.
    pub incomplete: Vec<String>,
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
    /// H-a: the networks of the VPC, of AWS: the name server is at the base of each plus two. The default is that they
    /// are not known.
    pub vpc_cidrs: Vec<IpNet>,
}

/// A valid set of groups, interfaces and lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSet {
    cloud: Cloud,
    groups: Vec<SecurityGroup>,
    interfaces: Vec<Interface>,
    prefix_lists: Vec<PrefixList>,
    port_lists: Vec<PortList>,
    tags: Vec<Tag>,
    slb_sources: Vec<IpNet>,
    carrier_ports: Option<Vec<u16>>,
    interfaces_listed: bool,
    /// How many of the interfaces are listed, before those that stand for a group.
    listed: usize,
    names: Names,
    membership: Membership,
    instance_tags: Vec<String>,
    switches: Switches,
    suppressions: Vec<Suppression>,
    host_bits: Vec<(RulePlace, IpNet)>,
    incomplete: Vec<String>,
}

/// The name of the one interface of a file that lists none.
pub const ONLY_INTERFACE: &str = "local";

impl RuleSet {
    /// Checks the parts. Without interfaces there is one, and it holds every group, unless it is not known
    /// which groups an interface has ([`Membership::Unknown`]): then each group stands for itself.
    ///
    /// # Errors
    /// Every fault found, in the order of the file.
    pub fn new(parts: Parts) -> Result<Self, Vec<Invalid>> {
        Self::of_parts(parts).map_err(|(_, faults)| faults)
    }

    /// The same; beside the faults the parts, by which they are described.
    pub(crate) fn of_parts(mut parts: Parts) -> Result<Self, (Box<Parts>, Vec<Invalid>)> {
        let host_bits = mask_host_bits(&mut parts);
        define_known_tags(&mut parts);
        for group in &mut parts.groups {
            let lowest = group.layer.lowest_custom(parts.cloud);
            group.rules.iter_mut().for_each(|rule| rule.fixed |= rule.priority.get() > lowest);
        }
        let faults = validate::faults(&parts);
        if !faults.is_empty() {
            return Err((Box::new(parts), faults));
        }
        let Parts {
            cloud,
            groups,
            interfaces,
            prefix_lists,
            port_lists,
            tags,
            instance_tags,
            slb_sources,
            carrier_ports,
            membership,
            suppressions,
            incomplete,
        } = parts;
        let interfaces_listed = interfaces.is_some();
        let listed = interfaces.as_ref().map_or(0, Vec::len);
        let mut interfaces = interfaces;
        for eni in interfaces.iter_mut().flatten() {
            // Stable: the order of groups that are layers themselves means something.
            eni.groups.sort_by_key(|group| groups.get(*group).map(|of| of.layer));
        }
        let mut rules = Self {
            cloud,
            groups,
            interfaces: interfaces.unwrap_or_default(),
            prefix_lists,
            port_lists,
            tags,
            slb_sources,
            carrier_ports,
            interfaces_listed,
            listed,
            names: Names::default(),
            membership: match (interfaces_listed, membership) {
                (true, Membership::Unknown) => Membership::Partial,
                (false, Membership::Partial) => Membership::Unknown,
                (_, stated) => stated,
            },
            instance_tags: instance_tags.unwrap_or_default(),
            switches: Switches::default(),
            suppressions,
            host_bits,
            incomplete,
        };
        if !interfaces_listed {
            rules.interfaces = rules.unlisted();
        }
        rules.add_stand_ins();
        rules.index();
        rules.note_unlisted_tags();
        rules.find_subnets();
        Ok(rules)
    }

    /// Indexes what rules name: again after groups or interfaces were added or left out.
    fn index(&mut self) {
        let lists = (&*self.prefix_lists, &*self.port_lists, &*self.tags);
        self.names = Names::new(&self.groups, &self.interfaces, lists);
    }

    /// Finds the subnets of interfaces among those that their network ACLs stand at.
    fn find_subnets(&mut self) {
        for eni in &mut self.interfaces {
            let groups = eni.groups.iter().filter_map(|group| self.groups.get(*group));
            for net in groups.flat_map(|group| &group.networks) {
                let mine = eni.addresses.iter().any(|own| net.contains(own));
                if mine && !eni.subnet.contains(net) {
                    eni.subnet.push(*net);
                }
            }
        }
    }

    /// Whose rules they are.
    pub fn cloud(&self) -> Cloud {
        self.cloud
    }

    /// The groups, in file order.
    pub fn groups(&self) -> &[SecurityGroup] {
        &self.groups
    }

    /// The interfaces, in file order: at least one. Behind those that the file lists come those that stand for a group
    /// ([`Membership`]).
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// The prefix lists, in file order.
    pub fn prefix_lists(&self) -> &[PrefixList] {
        &self.prefix_lists
    }

    /// The port lists, in file order.
    pub fn port_lists(&self) -> &[PortList] {
        &self.port_lists
    }

    /// Tags of which the file says what addresses they are, in file order.
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// Source addresses of load balancers whose traffic is always allowed in (SEMANTICS A8).
    pub fn slb_sources(&self) -> &[IpNet] {
        &self.slb_sources
    }

    /// Ports that carriers block on the way, where the file names them; empty for none.
    pub fn carrier_ports(&self) -> Option<&[u16]> {
        self.carrier_ports.as_deref()
    }

    /// Findings that are not to be reported.
    pub fn suppressions(&self) -> &[Suppression] {
        &self.suppressions
    }

    /// What is known to be missing of the rules, in words. Verdicts rest on the others, and no gate passes on
    /// them.
    pub fn incomplete(&self) -> &[String] {
        &self.incomplete
    }

    /// Takes the rules for whole, though some are known to be missing.
    pub fn accept_incomplete(&mut self) {
        self.incomplete.clear();
    }

    /// Networks that were written with host bits (`10.0.0.5/8`), as they were, and where.
    pub fn host_bits(&self) -> &[(RulePlace, IpNet)] {
        &self.host_bits
    }

    /// Whether another rule set says the same, however its networks were written, and whatever was said beside
    /// the files: addresses of an interface that they do not list, answers to open questions.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let plain = |rules: &Self| {
            let mut plain = rules.clone();
            plain.set_local(Vec::new());
            (plain.host_bits, plain.incomplete) = (Vec::new(), Vec::new());
            plain.switches = Switches::default();
            plain.membership = Membership::Stated;
            plain
        };
        plain(self) == plain(other)
    }

    /// Whether the file lists interfaces, so that their addresses are known.
    pub fn lists_interfaces(&self) -> bool {
        self.interfaces_listed
    }

    /// Gives the interface of a file that lists none its addresses.
    pub fn set_local(&mut self, addresses: Vec<IpNet>) {
        if let (false, [first, others @ ..]) =
            (self.interfaces_listed, self.interfaces.as_mut_slice())
        {
            for eni in others {
                eni.addresses.clone_from(&addresses);
            }
            first.addresses = addresses;
        }
        if !self.interfaces_listed {
            self.interfaces.iter_mut().for_each(|eni| eni.subnet.clear());
            self.find_subnets();
        }
    }

    /// An address that two interfaces have, as those of two networks may, and the interfaces' positions.
    /// Packets with it are judged at neither, unless it is known at which they were captured.
    pub fn shared_address(&self) -> Option<(IpNet, [usize; 2])> {
        if !self.interfaces_listed {
            return None;
        }
        let all = self.interfaces.iter().enumerate();
        let mut nets: Vec<(IpNet, usize)> =
            all.flat_map(|(n, eni)| eni.addresses.iter().map(move |net| (*net, n))).collect();
        nets.sort();
        // Networks in ascending order: one that holds others stands before them.
        let mut open: Vec<(IpNet, usize)> = Vec::new();
        for (net, interface) in nets {
            open.retain(|(outer, _)| outer.contains(&net));
            if let Some((_, other)) = open.iter().find(|(_, other)| *other != interface) {
                return Some((net, [*other, interface]));
            }
            open.push((net, interface));
        }
        None
    }

    /// Answers open questions otherwise than by default.
    pub fn set_switches(&mut self, switches: Switches) {
        self.switches = switches;
    }

    /// How open questions are answered.
    pub fn switches(&self) -> &Switches {
        &self.switches
    }

    /// The private addresses of the members of the interface's groups that let their members reach each other, its own
    /// too.
    pub fn group_members(&self, interface: usize) -> impl Iterator<Item = IpNet> {
        let eni = self.interfaces.get(interface).into_iter();
        eni.flat_map(move |eni| {
            let groups = eni.groups.iter();
            groups.flat_map(move |group| order::members_of(self, eni, *group, Whose::All))
        })
    }

    /// Whether another member of the interface's groups that let their members reach each other has an address.
    pub fn has_fellow_member(&self, interface: usize, addr: IpAddr) -> bool {
        let eni = self.interfaces.get(interface);
        eni.is_some_and(|eni| {
            let groups = eni.groups.iter();
            let mut members =
                groups.flat_map(|group| order::members_of(self, eni, *group, Whose::Others));
            members.any(|net| net.contains(&addr))
        })
    }

    /// What is over a quota of the cloud (SEMANTICS A11).
    pub fn over_quota(&self) -> Vec<Warning> {
        validate::quotas::over(self).into_iter().map(Warning).collect()
    }

    /// Rules that match no packet of a capture, since nobody has said who the members of their peers are.
    pub fn unknown_members(&self) -> Vec<Warning> {
        validate::unknown_members(self)
    }

    /// The ordered entries of one interface and direction: what a packet is held against.
    pub fn ordered(&self, interface: usize, direction: Direction) -> Ordered {
        self.ordered_assuming(interface, direction, &Assumption::default())
    }

    /// The same under an assumption about members that are not known. The entries are the same in number and
    /// order.
    pub fn ordered_assuming(
        &self,
        interface: usize,
        direction: Direction,
        assumed: &Assumption,
    ) -> Ordered {
        order::ordered(self, interface, direction, Members { assumed, of: Whose::Others })
    }

    /// The entries of every interface that shares the list of this one ([`SharedLists`]), which are the same in number
    /// and order: where members of a group reach each other, all its members are there, of which each interface meets
    /// the others ([`RuleSet::is_met_at`]).
    pub fn ordered_for_all(
        &self,
        interface: usize,
        direction: Direction,
        assumed: &Assumption,
    ) -> Ordered {
        order::ordered(self, interface, direction, Members { assumed, of: Whose::All })
    }

    /// The entries of each layer of an interface by itself ([`Layer`]), in the order in which a packet of the direction
    /// meets the layers. Each must allow a packet that opens a connection; network ACLs every other packet too.
    pub fn ordered_by_layer(
        &self,
        interface: usize,
        direction: Direction,
        assumed: &Assumption,
    ) -> Vec<(Layer, Ordered)> {
        order::by_layer(self, interface, direction, Members { assumed, of: Whose::Others })
    }

    /// The entries of an interface's network ACL, which every packet of a connection must pass by itself; `None` where it
    /// has none.
    pub fn stateless(&self, interface: usize, direction: Direction) -> Option<Ordered> {
        let has =
            |group: &usize| self.groups.get(*group).is_some_and(|of| of.layer == Layer::NetworkAcl);
        self.interfaces.get(interface)?.groups.iter().any(has).then_some(())?;
        let layers = self.ordered_by_layer(interface, direction, &Assumption::default());
        layers.into_iter().find(|(layer, _)| *layer == Layer::NetworkAcl).map(|(_, list)| list)
    }

    /// What a packet that opens a connection is held against, and behind the default, where none such comes, what the
    /// other packets of connections are ([`RuleSet::stateless`]): a packet's entry is a position in this list. It is that
    /// of every interface that shares the list ([`RuleSet::ordered_for_all`]).
    pub fn ordered_for_packets(&self, interface: usize, direction: Direction) -> Ordered {
        let ordered = self.ordered_for_all(interface, direction, &Assumption::default());
        match self.stateless(interface, direction) {
            Some(stateless) => ordered.followed_by(&stateless),
            None => ordered,
        }
    }

    /// The names of an entry of an interface: the group, where the entry is the interface's and not a
    /// group's all its groups of that layer with `+` between; and the rule's id, or `default`, `intra-group`, or the
    /// name of the system traffic. Never empty.
    pub fn names(&self, interface: usize, entry: &Entry) -> (String, String) {
        let group_id = |group: usize| self.groups.get(group).map(|group| group.id.clone());
        let own = || -> String {
            let groups = self.interfaces.get(interface).map(|eni| eni.groups.as_slice());
            let groups = groups.unwrap_or_default();
            let mut mine = layer::of_layer(&self.groups, groups, entry.layer);
            if mine.is_empty() {
                mine = groups.to_vec();
            }
            let ids = mine.into_iter().filter_map(group_id);
            ids.collect::<Vec<_>>().join("+")
        };
        self.rule_names(entry.kind).unwrap_or_else(|| match entry.kind {
            EntryKind::System(builtin) => (own(), builtin.as_str().to_owned()),
            _ => (own(), "default".to_owned()),
        })
    }

    /// The group and the id of the rule that an entry is from; of access among members, `intra-group`. `None` where it
    /// is from no group.
    pub fn rule_names(&self, kind: EntryKind) -> Option<(String, String)> {
        let group_id = |group: usize| self.groups.get(group).map(|group| group.id.clone());
        match kind {
            EntryKind::System(_) | EntryKind::Default => None,
            EntryKind::IntraGroup { group } => Some((group_id(group)?, "intra-group".to_owned())),
            EntryKind::Rule { group, rule } => {
                let found = self.groups.get(group).and_then(|group| group.rules.get(rule));
                Some((group_id(group)?, found?.id.to_string()))
            }
        }
    }

    /// The conditions of a rule, its lists and group references resolved to addresses and ports.
    pub fn matcher(&self, rule: &Rule) -> Matcher {
        order::matcher(self, rule, &Assumption::default())
    }

    /// The same under an assumption about members that are not known.
    pub fn matcher_assuming(&self, rule: &Rule, assumed: &Assumption) -> Matcher {
        order::matcher(self, rule, assumed)
    }

    /// Whether nobody can remove a rule, by the positions of its group and of the rule in it: it takes part in
    /// verdicts, and no advice is about it (SEMANTICS F27).
    pub fn is_fixed(&self, place: (usize, usize)) -> bool {
        let rule = self.groups.get(place.0).and_then(|group| group.rules.get(place.1));
        rule.is_some_and(|rule| rule.fixed)
    }

    /// The interfaces that have a group, by its position.
    pub fn members(&self, group: usize) -> impl Iterator<Item = &Interface> {
        let members = self.names.members(group).iter();
        members.filter_map(|position| self.interfaces.get(*position))
    }

    /// The addresses that a tag stands for: those of interfaces that carry it, and those that it is
    /// defined to be.
    fn tagged(&self, name: &str) -> impl Iterator<Item = IpNet> {
        let defined = self.names.tags(name).iter().filter_map(|tag| self.tags.get(*tag));
        let carriers = self.names.carriers(name).iter();
        let carried = carriers.filter_map(|position| self.interfaces.get(*position));
        let carried = carried.flat_map(|eni| &eni.addresses);
        defined.flat_map(|tag| &tag.entries).chain(carried).copied()
    }

    /// Where there may be interfaces that are not listed: tags of instances that rules hang on.
    fn note_unlisted_tags(&mut self) {
        if self.membership != Membership::Partial {
            return;
        }
        let carried = |name: &String| !self.names.carriers(name).is_empty();
        let defined = |name: &String| !self.names.tags(name).is_empty();
        let mut found = Vec::new();
        for rule in self.groups.iter().flat_map(|group| &group.rules) {
            if !rule.targets.is_empty() && !rule.targets.iter().any(carried) {
                found.push(format!(
                    "rule {} is for instances tagged {}; none is listed, and there may be others",
                    rule.id,
                    rule.targets.join(", "),
                ));
            }
            for peer in rule.peers.iter().chain(&rule.local) {
                if let Peer::Tag(name) = peer
                    && carried(name)
                    && !defined(name)
                {
                    found.push(format!(
                        "rule {} is about instances tagged {name}, of which not all may be listed; --define \
                         {name}=CIDR,… says their addresses",
                        rule.id,
                    ));
                }
            }
        }
        self.incomplete.extend(found);
    }

    fn group_position(&self, id: &str) -> Option<usize> {
        self.names.group(id)
    }

    fn prefix_list(&self, id: &str) -> Option<&PrefixList> {
        self.prefix_lists.get(self.names.prefix_list(id)?)
    }

    fn port_list(&self, id: &str) -> Option<&PortList> {
        self.port_lists.get(self.names.port_list(id)?)
    }
}

/// Defines the tags of rules that always stand for the same addresses: Azure's load balancer asks whether machines
/// live from these alone (SEMANTICS H1, H-f).
fn define_known_tags(parts: &mut Parts) {
    const LOAD_BALANCER: &str = "AzureLoadBalancer";
    let is_tag = |peer: &Peer| matches!(peer, Peer::Tag(name) if name == LOAD_BALANCER);
    let mut rules = parts.groups.iter().flat_map(|group| &group.rules);
    let is_used = rules.any(|rule| rule.peers.iter().chain(&rule.local).any(is_tag));
    let is_defined = parts.tags.iter().any(|tag| tag.name == LOAD_BALANCER);
    if parts.cloud == Cloud::Azure && is_used && !is_defined {
        let addresses = [
            IpAddr::from([168, 63, 129, 16]),
            IpAddr::from([0xfe80, 0, 0, 0, 0, 0x1234, 0x5678, 0x9abc]),
        ];
        let entries = addresses.map(IpNet::from).into();
        parts.tags.push(Tag { name: LOAD_BALANCER.to_owned(), entries });
    }
}

/// Masks the host bits of all networks, and says which had any.
fn mask_host_bits(parts: &mut Parts) -> Vec<(RulePlace, IpNet)> {
    let mut found = Vec::new();
    let mut mask = |net: &mut IpNet, place: RulePlace| {
        if *net != net.trunc() {
            found.push((place, *net));
            *net = net.trunc();
        }
    };
    for (g, group) in parts.groups.iter_mut().enumerate() {
        for (r, rule) in group.rules.iter_mut().enumerate() {
            let sides =
                [(Field::Peer, &mut rule.peers), (Field::Local, &mut rule.local)].into_iter();
            for (field, peer) in
                sides.flat_map(|(field, all)| all.iter_mut().map(move |p| (field, p)))
            {
                if let Peer::Cidr(net) = peer {
                    mask(net, RulePlace::Rule(g, r, field));
                }
            }
        }
    }
    for (l, list) in parts.prefix_lists.iter_mut().enumerate() {
        list.entries.iter_mut().for_each(|net| mask(net, RulePlace::PrefixList(l, Field::Entries)));
    }
    for (i, eni) in parts.interfaces.iter_mut().flatten().enumerate() {
        eni.addresses
            .iter_mut()
            .for_each(|net| mask(net, RulePlace::Interface(i, Field::Addresses)));
    }
    for net in parts.tags.iter_mut().flat_map(|tag| &mut tag.entries).chain(&mut parts.slb_sources)
    {
        *net = net.trunc();
    }
    found
}
