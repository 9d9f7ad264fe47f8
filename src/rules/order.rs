//! The one total order in which a packet meets the entries of an interface (SEMANTICS A4, A5).
//!
//! The ladder of A5 (system traffic, intra-group access, the rules of all groups, the default) is
//! written as one list of tagged [`Entry`]s, each with what it matches, lists and group references
//! resolved to addresses. "First match" is then all there is to evaluating it, and the tag of the
//! entry found is the reason.

use std::cmp::Reverse;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    Builtin, GroupType, Interface, Peer, Policy, PortRange, Ports, Rule, RuleProtocol, RuleSet,
};
use crate::flow::{Direction, FlowTuple};

/// A position in evaluation order: 0 is looked at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryIndex(pub u32);

/// The entries of one interface and direction, in evaluation order. The last one matches everything.
#[derive(Clone, Debug)]
pub struct Ordered {
    direction: Direction,
    entries: Vec<Entry>,
}

/// One step of the ladder.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What becomes of a packet that matches.
    pub policy: Policy,
    /// Where the entry is from.
    pub kind: EntryKind,
    /// What it matches.
    pub matcher: Matcher,
}

/// Where an entry is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// Traffic that is always allowed (SEMANTICS A5 step 2).
    System(Builtin),
    /// A shared basic group that lets its members reach each other (step 3).
    IntraGroup {
        /// Position in [`RuleSet::groups`].
        group: usize,
    },
    /// A rule (step 4).
    Rule {
        /// Position in [`RuleSet::groups`].
        group: usize,
        /// Position in the group's rules.
        rule: usize,
    },
    /// What happens when no rule matches (step 5).
    Default,
}

/// The conditions of an entry, all of which must hold (SEMANTICS A3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    /// IP protocol.
    pub protocol: RuleProtocol,
    /// Destination port, in both directions; empty for any.
    pub ports: Vec<PortRange>,
    /// Source port; empty for any.
    pub source_ports: Vec<PortRange>,
    /// The far side's address.
    pub peer: Addresses,
    /// The near side's address.
    pub local: Addresses,
    /// ICMP type, and code if only one will do.
    pub icmp: Option<(u8, Option<u8>)>,
}

/// A condition on an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// Any, of either family.
    Any,
    /// In one of these; none at all when the list is empty.
    Nets(Vec<IpNet>),
}

impl Addresses {
    /// Whether the address fits. A network of one family never holds an address of the other.
    pub fn contains(&self, addr: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Nets(nets) => nets.iter().any(|net| net.contains(&addr)),
        }
    }
}

/// The condition that a packet failed, in the order in which [`Matcher::fails_on`] looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The protocol differs.
    Protocol,
    /// The destination port is not among the rule's.
    Ports,
    /// The source port is not among the rule's.
    SourcePorts,
    /// The source address is not the rule's.
    Source,
    /// The destination address is not the rule's.
    Destination,
    /// ICMP type or code differ.
    Icmp,
}

impl Step {
    /// The key of a rules file that holds the condition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::Ports => "ports",
            Self::SourcePorts => "source_ports",
            Self::Source => "source",
            Self::Destination => "destination",
            Self::Icmp => "icmp_type",
        }
    }
}

impl Matcher {
    /// Matches every packet of both families.
    pub fn any() -> Self {
        Self {
            protocol: RuleProtocol::All,
            ports: Vec::new(),
            source_ports: Vec::new(),
            peer: Addresses::Any,
            local: Addresses::Any,
            icmp: None,
        }
    }

    /// The first condition that the packet does not meet; `None` when it matches.
    pub fn fails_on(&self, flow: &FlowTuple, direction: Direction) -> Option<Step> {
        let Self { protocol, ports, source_ports, peer, local, icmp } = self;
        let in_ranges = |ranges: &[PortRange], port: Option<u16>| {
            ranges.is_empty() || port.is_some_and(|p| ranges.iter().any(|range| range.contains(p)))
        };
        let (sport, dport) = flow.transport.ports().unzip();
        let (peer_step, local_step) = match direction {
            Direction::Ingress => (Step::Source, Step::Destination),
            Direction::Egress => (Step::Destination, Step::Source),
        };
        if !protocol.matches(flow.proto) {
            Some(Step::Protocol)
        } else if !icmp_matches(*icmp, flow) {
            Some(Step::Icmp)
        } else if !in_ranges(ports, dport) {
            Some(Step::Ports)
        } else if !in_ranges(source_ports, sport) {
            Some(Step::SourcePorts)
        } else if !peer.contains(flow.peer(direction)) {
            Some(peer_step)
        } else if !local.contains(flow.local(direction)) {
            Some(local_step)
        } else {
            None
        }
    }
}

fn icmp_matches(wanted: Option<(u8, Option<u8>)>, flow: &FlowTuple) -> bool {
    wanted.is_none_or(|(kind, code)| {
        flow.transport.icmp().is_some_and(|(k, c)| k == kind && code.is_none_or(|code| c == code))
    })
}

impl Ordered {
    /// A list of entries as they stand; the default of the direction is added at the end.
    pub fn new(direction: Direction, mut entries: Vec<Entry>, default: Policy) -> Self {
        let (kind, matcher) = (EntryKind::Default, Matcher::any());
        entries.push(Entry { policy: default, kind, matcher });
        Self { direction, entries }
    }

    /// The direction of the packets it judges.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// The entries; the first that matches decides.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry at a position; the default for positions past the end.
    pub fn entry(&self, index: EntryIndex) -> Option<&Entry> {
        self.entries.get(index.0 as usize)
    }
}

/// The ladder of SEMANTICS A5, steps 2 to 5, for one interface and direction.
pub(super) fn ordered(rules: &RuleSet, interface: usize, direction: Direction) -> Ordered {
    let Some(eni) = rules.interfaces.get(interface) else {
        return Ordered::new(direction, Vec::new(), Policy::Drop);
    };
    let system = Builtin::matchers(rules, direction).into_iter().map(|(builtin, matcher)| Entry {
        policy: Policy::Accept,
        kind: EntryKind::System(builtin),
        matcher,
    });
    // SEMANTICS F1: there is no intra-group step on egress, unless the switch says so.
    let has_step = direction == Direction::Ingress || rules.switches.intra_group_egress;
    let intra_group = eni.groups.iter().filter(|_| has_step);
    let intra_group = intra_group.filter_map(|&group| intra_group_entry(rules, eni, group));
    let entries = system.chain(intra_group).chain(custom(rules, eni, direction)).collect();
    Ordered::new(direction, entries, default(rules, eni, direction))
}

/// Step 3: other members of a shared basic group whose policy lets them in.
fn intra_group_entry(rules: &RuleSet, eni: &Interface, group: usize) -> Option<Entry> {
    let nets = mates(rules, eni, group);
    (!nets.is_empty()).then(|| Entry {
        policy: Policy::Accept,
        kind: EntryKind::IntraGroup { group },
        matcher: Matcher { peer: Addresses::Nets(nets), ..Matcher::any() },
    })
}

/// The addresses of the other members of a group, if it lets its members reach each other.
fn mates(rules: &RuleSet, eni: &Interface, group: usize) -> Vec<IpNet> {
    let open = rules.groups.get(group).is_some_and(|shared| {
        shared.group_type == GroupType::Basic && shared.inner_access_policy == Policy::Accept
    });
    let others = rules.members(group).filter(|other| open && other.id != eni.id);
    others.flat_map(|other| other.addresses.iter().copied()).collect()
}

pub(super) fn group_mates(rules: &RuleSet, interface: usize) -> Addresses {
    let eni = rules.interfaces.get(interface);
    let nets =
        eni.map(|eni| eni.groups.iter().flat_map(|group| mates(rules, eni, *group)).collect());
    Addresses::Nets(nets.unwrap_or_default())
}

/// Step 4: the rules of all groups of the interface, in the order of SEMANTICS A4.
fn custom<'a>(
    rules: &'a RuleSet,
    eni: &'a Interface,
    direction: Direction,
) -> impl Iterator<Item = Entry> + 'a {
    let mut found: Vec<(usize, usize, &Rule)> = Vec::new();
    for &group in &eni.groups {
        let of_group = rules.groups.get(group).into_iter().flat_map(|g| g.rules.iter().enumerate());
        found.extend(
            of_group
                .filter(|(_, rule)| rule.direction == direction)
                .filter(|(_, rule)| rule.nic_type.is_none_or(|nic| nic == eni.nic_type))
                .map(|(position, rule)| (group, position, rule)),
        );
    }
    // The third and fourth keys are for attribution only: they cannot change a verdict.
    found.sort_by_key(|(_, _, rule)| {
        (rule.priority, rule.policy, Reverse(rule.create_time), rule.id.clone())
    });
    found.into_iter().map(move |(group, position, rule)| Entry {
        policy: rule.policy,
        kind: EntryKind::Rule { group, rule: position },
        matcher: matcher(rules, rule),
    })
}

/// Resolves a rule's lists and references over the interfaces and lists of the file.
pub(super) fn matcher(rules: &RuleSet, rule: &Rule) -> Matcher {
    let mut ports = Vec::new();
    for element in &rule.ports {
        match element {
            Ports::Any => {
                ports.clear();
                break;
            }
            Ports::Range(range) => ports.push(*range),
            Ports::List(id) => {
                let list = rules.port_lists.iter().find(|list| list.id == *id);
                ports.extend(list.into_iter().flat_map(|list| list.entries.iter().copied()));
            }
        }
    }
    let mut nets = Vec::new();
    for peer in &rule.peers {
        match peer {
            Peer::Cidr(net) => nets.push(*net),
            Peer::PrefixList(id) => {
                let list = rules.prefix_lists.iter().find(|list| list.id == *id);
                nets.extend(list.into_iter().flat_map(|list| list.entries.iter().copied()));
            }
            Peer::Group(reference) => {
                let members = rules.group_position(&reference.id);
                let members = members.into_iter().flat_map(|group| rules.members(group));
                nets.extend(members.flat_map(|eni| eni.addresses.iter().copied()));
            }
        }
    }
    Matcher {
        protocol: rule.protocol,
        ports,
        source_ports: rule.source_ports.clone(),
        peer: Addresses::Nets(nets),
        local: match rule.local.as_slice() {
            [] => Addresses::Any,
            local => Addresses::Nets(local.to_vec()),
        },
        icmp: None,
    }
}

/// Step 5: the table of SEMANTICS A5.
fn default(rules: &RuleSet, eni: &Interface, direction: Direction) -> Policy {
    let kind = eni.groups.first().and_then(|group| rules.groups.get(*group)).map(|g| g.group_type);
    match (direction, kind) {
        (Direction::Egress, Some(GroupType::Basic)) => Policy::Accept,
        _ => Policy::Drop,
    }
}
