//! The one total order in which a packet meets the entries of an interface (SEMANTICS A4, A5).
//!
//! The ladder of A5 (system traffic, intra-group access, the rules of all groups, the default) is
//! written as one list of tagged [`Entry`]s, each with what it matches, lists and group references
//! resolved to addresses. "First match" is then all there is to evaluating it, and the tag of the
//! entry found is the reason.

use std::cmp::Reverse;
use std::fmt;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    Assumption, Builtin, GroupType, Interface, Peer, Policy, PortRange, Ports, Rule, RuleProtocol,
    RuleSet,
};
use crate::flow::{Direction, FlowTuple};

/// A position in evaluation order: 0 is looked at first.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryIndex(pub u32);

// `compile::vector` stores vectors of `u32` into slices of positions.
const _: () =
    assert!(size_of::<EntryIndex>() == 4 && align_of::<EntryIndex>() == align_of::<u32>());

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

impl Entry {
    /// Whether it is about members of a group of which none is known, and so is met by no packet that can be
    /// judged.
    pub fn has_no_members(&self) -> bool {
        let nobody = matches!(&self.matcher.peer, Addresses::Nets(nets) if nets.is_empty());
        matches!(self.kind, EntryKind::IntraGroup { .. }) && nobody
    }
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
    /// ICMP types.
    pub icmp: Option<IcmpTypes>,
}

/// A condition on the type and code of an ICMP or ICMPv6 message: a range of types with any code, or one type with
/// one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpTypes {
    first: u8,
    last: u8,
    code: Option<u8>,
}

impl IcmpTypes {
    /// One type, with one code or any.
    pub fn one(kind: u8, code: Option<u8>) -> Self {
        Self { first: kind, last: kind, code }
    }

    /// The types from one to another, both included, with any code.
    pub fn range(first: u8, last: u8) -> Self {
        Self { first, last, code: None }
    }

    /// The types.
    pub fn kinds(self) -> std::ops::RangeInclusive<u8> {
        self.first..=self.last
    }

    /// The code, where only one will do.
    pub fn code(self) -> Option<u8> {
        self.code
    }

    /// The first and the last message that fits, as type and code.
    pub fn ends(self) -> [(u8, u8); 2] {
        [(self.first, self.code.unwrap_or(0)), (self.last, self.code.unwrap_or(u8::MAX))]
    }

    /// Whether a message of this type and code fits.
    pub fn contains(self, kind: u8, code: u8) -> bool {
        self.kinds().contains(&kind) && self.code.is_none_or(|only| only == code)
    }

    /// The messages that fit both; `None` where there is none.
    fn and(self, other: Self) -> Option<Self> {
        let (first, last) = (self.first.max(other.first), self.last.min(other.last));
        let code = match (self.code, other.code) {
            (Some(a), Some(b)) if a != b => return None,
            (a, b) => a.or(b),
        };
        (first <= last).then_some(Self { first, last, code })
    }
}

impl fmt::Display for IcmpTypes {
    /// `8`, `3 code 4`, `133 to 137`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last, code } = self;
        match code {
            Some(code) => write!(f, "{first} code {code}"),
            None if first == last => write!(f, "{first}"),
            None => write!(f, "{first} to {last}"),
        }
    }
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
    /// The addresses of both; `None` where there is none.
    fn and(&self, other: &Self) -> Option<Self> {
        let (one, two) = match (self, other) {
            (Self::Any, of) | (of, Self::Any) => return Some(of.clone()),
            (Self::Nets(one), Self::Nets(two)) => (one, two),
        };
        // Of two networks that meet, one holds the other.
        let meet = |a: &IpNet, b: &IpNet| match (a.contains(b), b.contains(a)) {
            (true, _) => Some(*b),
            (_, true) => Some(*a),
            _ => None,
        };
        let nets = one.iter().flat_map(|a| two.iter().filter_map(move |b| meet(a, b)));
        let nets: Vec<IpNet> = nets.collect();
        (!nets.is_empty()).then_some(Self::Nets(nets))
    }

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

    /// What both match; `None` where that is clearly nothing.
    fn and(&self, other: &Self) -> Option<Self> {
        let protocol = match (self.protocol, other.protocol) {
            (RuleProtocol::All, of) | (of, RuleProtocol::All) => of,
            (one, two) if one == two => one,
            _ => return None,
        };
        let icmp = match (self.icmp, other.icmp) {
            (None, of) | (of, None) => of,
            (Some(one), Some(two)) => Some(one.and(two)?),
        };
        Some(Self {
            protocol,
            ports: common_ports(&self.ports, &other.ports)?,
            source_ports: common_ports(&self.source_ports, &other.source_ports)?,
            peer: self.peer.and(&other.peer)?,
            local: self.local.and(&other.local)?,
            icmp,
        })
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

/// Ports in both; none for any. `None` where there is no such port.
fn common_ports(one: &[PortRange], two: &[PortRange]) -> Option<Vec<PortRange>> {
    match (one, two) {
        ([], ports) | (ports, []) => Some(ports.to_vec()),
        (one, two) => {
            let meet = |a: &PortRange, b: &PortRange| {
                PortRange::new(a.first().max(b.first()), a.last().min(b.last()))
            };
            let ports = one.iter().flat_map(|a| two.iter().filter_map(move |b| meet(a, b)));
            let ports: Vec<PortRange> = ports.collect();
            (!ports.is_empty()).then_some(ports)
        }
    }
}

fn icmp_matches(wanted: Option<IcmpTypes>, flow: &FlowTuple) -> bool {
    let fits = |types: IcmpTypes| {
        flow.transport.icmp().is_some_and(|(kind, code)| types.contains(kind, code))
    };
    wanted.is_none_or(fits)
}

impl Ordered {
    /// A list of entries as they stand; the default of the direction is added at the end.
    pub fn new(direction: Direction, mut entries: Vec<Entry>, default: Policy) -> Self {
        let (kind, matcher) = (EntryKind::Default, Matcher::any());
        entries.push(Entry { policy: default, kind, matcher });
        Self { direction, entries }
    }

    /// The same for packets that a router has forwarded, which are no neighbour discovery (SEMANTICS F19). Positions are
    /// others.
    #[must_use]
    pub fn of_routed(mut self) -> Self {
        self.entries.retain(|entry| entry.kind != EntryKind::System(Builtin::NeighbourDiscovery));
        self
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
pub(super) fn ordered(
    rules: &RuleSet,
    interface: usize,
    direction: Direction,
    assumed: &Assumption,
) -> Ordered {
    let Some(eni) = rules.interfaces.get(interface) else {
        return Ordered::new(direction, Vec::new(), Policy::Drop);
    };
    let system = Builtin::matchers(rules, direction).into_iter().map(|(builtin, matcher)| Entry {
        policy: Policy::Accept,
        kind: EntryKind::System(builtin),
        matcher,
    });
    let intra_group = eni.groups.iter().filter(|_| rules.intra_group_step(direction));
    let intra_group =
        intra_group.filter_map(|&group| intra_group_entry(rules, eni, group, assumed));
    let custom = custom(rules, eni, direction, assumed);
    let entries = system.chain(intra_group).chain(custom).collect();
    Ordered::new(direction, entries, default(rules, eni, direction))
}

/// Step 3: other members of a shared basic group whose policy lets them in.
fn intra_group_entry(
    rules: &RuleSet,
    eni: &Interface,
    group: usize,
    assumed: &Assumption,
) -> Option<Entry> {
    let of_group = rules.groups.get(group)?;
    let unlisted = rules.has_unlisted_mates(of_group);
    let nets = match unlisted && assumed.includes(&of_group.id) {
        true => anybody(),
        false => mates(rules, eni, group),
    };
    (unlisted || !nets.is_empty()).then(|| Entry {
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

/// Step 4: the rules of all groups of the interface as one list, or, where groups are layers, those of each
/// layer behind those of the one before.
fn custom(
    rules: &RuleSet,
    eni: &Interface,
    direction: Direction,
    assumed: &Assumption,
) -> Vec<Entry> {
    if !rules.cloud.is_layered() {
        return of_groups(rules, eni, &eni.groups, direction, assumed);
    }
    // The groups stand in the order in which a packet that comes in meets them.
    let mut layers: Vec<&usize> = eni.groups.iter().collect();
    if direction == Direction::Egress {
        layers.reverse();
    }
    let mut layers = layers
        .into_iter()
        .map(|group| of_groups(rules, eni, std::slice::from_ref(group), direction, assumed));
    let first = layers.next().unwrap_or_default();
    layers.fold(first, |outer, inner| both(&outer, &inner, rules.cloud.default(direction, None)))
}

/// What two layers do, of which both must allow: what the first accepts the second decides. Where the
/// second has no rule for it, its default does.
fn both(outer: &[Entry], inner: &[Entry], default: Policy) -> Vec<Entry> {
    let mut found = Vec::new();
    for entry in outer {
        if entry.policy == Policy::Drop {
            found.push(entry.clone());
            continue;
        }
        let narrowed = inner.iter().filter_map(|then| {
            Some(Entry { matcher: entry.matcher.and(&then.matcher)?, ..then.clone() })
        });
        found.extend(narrowed);
        let kind = EntryKind::Default;
        found.push(Entry { policy: default, kind, matcher: entry.matcher.clone() });
    }
    found
}

/// The rules of groups, in the order of SEMANTICS A4.
fn of_groups(
    rules: &RuleSet,
    eni: &Interface,
    groups: &[usize],
    direction: Direction,
    assumed: &Assumption,
) -> Vec<Entry> {
    let mut found: Vec<(usize, usize, &Rule)> = Vec::new();
    for &group in groups {
        let of_group = rules.groups.get(group).into_iter().flat_map(|g| g.rules.iter().enumerate());
        found.extend(
            of_group
                .filter(|(_, rule)| rule.direction == direction)
                .filter(|(_, rule)| rule.nic_type.is_none_or(|nic| nic == eni.nic_type))
                .filter(|(_, rule)| {
                    let targets = &rule.targets;
                    targets.is_empty() || targets.iter().any(|tag| eni.tags.contains(tag))
                })
                .map(|(position, rule)| (group, position, rule)),
        );
    }
    // The third and fourth keys are for attribution only: they cannot change a verdict.
    found.sort_by_key(|(_, _, rule)| {
        (rule.priority, rule.policy, Reverse(rule.create_time), rule.id.clone())
    });
    let entry = |(group, position, rule): (usize, usize, &Rule)| Entry {
        policy: rule.policy,
        kind: EntryKind::Rule { group, rule: position },
        matcher: matcher(rules, rule, assumed),
    };
    found.into_iter().map(entry).collect()
}

/// Resolves a rule's lists and references over the interfaces and lists of the file.
pub(super) fn matcher(rules: &RuleSet, rule: &Rule, assumed: &Assumption) -> Matcher {
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
    Matcher {
        protocol: rule.protocol,
        ports,
        source_ports: rule.source_ports.clone(),
        peer: Addresses::Nets(addresses(rules, &rule.peers, assumed)),
        local: match rule.local.as_slice() {
            [] => Addresses::Any,
            local => Addresses::Nets(addresses(rules, local, assumed)),
        },
        icmp: rule.icmp.map(|(kind, code)| IcmpTypes::one(kind, code)),
    }
}

fn addresses(rules: &RuleSet, peers: &[Peer], assumed: &Assumption) -> Vec<IpNet> {
    let mut nets = Vec::new();
    for peer in peers {
        match peer {
            Peer::Cidr(net) => nets.push(*net),
            Peer::PrefixList(id) => {
                let list = rules.prefix_lists.iter().find(|list| list.id == *id);
                nets.extend(list.into_iter().flat_map(|list| list.entries.iter().copied()));
            }
            Peer::Group(of) if assumed.includes(&of.id) && rules.members_unknown(&of.id) => {
                nets.extend(anybody());
            }
            Peer::Group(reference) => {
                let members = rules.group_position(&reference.id);
                let members = members.into_iter().flat_map(|group| rules.members(group));
                nets.extend(members.flat_map(|eni| eni.addresses.iter().copied()));
            }
            Peer::Tag(name) => nets.extend(rules.tagged(name)),
        }
    }
    nets
}

/// Any address of either family.
fn anybody() -> Vec<IpNet> {
    vec![IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())]
}

/// Step 5: the table of SEMANTICS A5.
fn default(rules: &RuleSet, eni: &Interface, direction: Direction) -> Policy {
    let kind = eni.groups.first().and_then(|group| rules.groups.get(*group)).map(|g| g.group_type);
    rules.cloud.default(direction, kind)
}
