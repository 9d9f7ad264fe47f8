//! The one total order in which a packet meets the entries of an interface (SEMANTICS A4, A5).
//!
//! The ladder of A5 (system traffic, intra-group access, the rules of all groups, the default) is
//! written as one list of tagged [`Entry`]s, each with what it matches, lists and group references
//! resolved to addresses. "First match" is then all there is to evaluating it, and the tag of the
//! entry found is the reason.

use std::cmp::Reverse;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::matcher::{Addresses, IcmpTypes, Matcher};
use super::{Assumption, Builtin, GroupType, Interface, Layer, Peer, Policy, Ports, Rule, RuleSet};
use crate::flow::Direction;

/// A position in evaluation order: 0 is looked at first.
#[repr(transparent)]
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct EntryIndex(pub u32);

// `compile::simd` stores vectors of `u32` into slices of positions.
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
    /// The layer that it is of, where an interface has several.
    pub layer: Layer,
    /// What lets its packets through the layers before that one, those first that are met first.
    pub through: Vec<EntryKind>,
    /// What it matches.
    pub matcher: Matcher,
}

impl Entry {
    /// An entry of a list that is the only one.
    pub fn new(policy: Policy, kind: EntryKind, matcher: Matcher) -> Self {
        Self { policy, kind, layer: Layer::default(), through: Vec::new(), matcher }
    }

    /// Whether it is about members of a group of which none is known, and so is met by no packet that can be
    /// judged.
    pub fn has_no_members(&self) -> bool {
        let nobody = matches!(&self.matcher.peer, Addresses::Nets(nets) if nets.is_empty());
        self.is_about_members() && nobody
    }

    /// Whether it is about members of a group of the interface, or lets only them through a layer.
    pub fn is_about_members(&self) -> bool {
        let mut kinds = self.through.iter().chain([&self.kind]);
        kinds.any(|kind| matches!(kind, EntryKind::IntraGroup { .. }))
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

impl Ordered {
    /// The list as the answers to its packets meet it, which go the other way.
    #[must_use]
    pub fn of_answers(&self) -> Self {
        let answer =
            |entry: &Entry| Some(Entry { matcher: entry.matcher.of_answers()?, ..entry.clone() });
        let entries = self.entries.iter().filter_map(answer).collect();
        Self { direction: self.direction.opposite(), entries }
    }

    /// A list of entries as they stand; the default of the direction is added at the end.
    pub fn new(direction: Direction, mut entries: Vec<Entry>, default: Policy) -> Self {
        entries.push(Entry::new(default, EntryKind::Default, Matcher::any()));
        Self { direction, entries }
    }

    /// The same for packets that a router has forwarded, which are no neighbour discovery (SEMANTICS F19). Positions are
    /// others.
    #[must_use]
    pub fn of_routed(mut self) -> Self {
        self.entries.retain(|entry| entry.kind != EntryKind::System(Builtin::NeighbourDiscovery));
        self
    }

    /// The same with the entries of another list behind the default, where no packet comes by itself.
    #[must_use]
    pub fn followed_by(&self, other: &Self) -> Self {
        let entries = self.entries.iter().chain(&other.entries).cloned().collect();
        Self { direction: self.direction, entries }
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

/// What entries about members of groups are made for.
#[derive(Clone, Copy)]
pub(super) struct Members<'a> {
    /// What is assumed of members that are not known.
    pub(super) assumed: &'a Assumption,
    pub(super) of: Whose,
}

/// Which members of its own groups an interface meets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// All but itself: the list is of this interface.
    Others,
    /// All: the list is of every interface that has the groups, see [`super::SharedLists`].
    All,
}

/// The ladder of SEMANTICS A5, steps 2 to 5, for one interface and direction; of several layers what they do
/// together to a packet that opens a connection.
pub(super) fn ordered(
    rules: &RuleSet,
    interface: usize,
    direction: Direction,
    members: Members<'_>,
) -> Ordered {
    let Some(eni) = rules.interfaces.get(interface) else {
        return Ordered::new(direction, Vec::new(), Policy::Drop);
    };
    let mut layers = rules.layers(eni);
    if direction == Direction::Egress {
        layers.reverse();
    }
    // What every layer lets through is no question of their order.
    let system = Builtin::matchers(rules, eni, direction);
    let (everywhere, here): (Vec<_>, Vec<_>) = system.into_iter().partition(|(builtin, _)| {
        layers.iter().all(|(layer, _)| builtin.passes(*layer, direction))
    });
    let layer = |(layer, groups): (Layer, Vec<usize>)| {
        let here = here.iter().filter(|(builtin, _)| builtin.passes(layer, direction));
        let mut entries: Vec<Entry> = here.map(|of| exempt(of, layer)).collect();
        entries.extend(of_layer(rules, eni, (layer, &groups), direction, members));
        entries
    };
    let together = layers.into_iter().map(layer).reduce(|outer, inner| both(&outer, &inner));
    let everywhere = everywhere.iter().map(|of| exempt(of, Layer::SecurityGroup));
    let entries = everywhere.chain(together.unwrap_or_default()).collect();
    Ordered { direction, entries }
}

/// The ladder of each layer by itself, in the order in which a packet of the direction meets them.
pub(super) fn by_layer(
    rules: &RuleSet,
    interface: usize,
    direction: Direction,
    members: Members<'_>,
) -> Vec<(Layer, Ordered)> {
    let Some(eni) = rules.interfaces.get(interface) else { return Vec::new() };
    let mut layers = rules.layers(eni);
    if direction == Direction::Egress {
        layers.reverse();
    }
    let system = Builtin::matchers(rules, eni, direction);
    let ladder = |(layer, groups): (Layer, Vec<usize>)| {
        let system = system.iter().filter(|(builtin, _)| builtin.passes(layer, direction));
        let mut entries: Vec<Entry> = system.map(|of| exempt(of, layer)).collect();
        entries.extend(of_layer(rules, eni, (layer, &groups), direction, members));
        (layer, Ordered { direction, entries })
    };
    layers.into_iter().map(ladder).collect()
}

fn exempt((builtin, matcher): &(Builtin, Matcher), layer: Layer) -> Entry {
    let kind = EntryKind::System(*builtin);
    Entry { layer, ..Entry::new(Policy::Accept, kind, matcher.clone()) }
}

/// The ladder of one layer, behind the traffic that it lets through whatever its rules say.
fn of_layer(
    rules: &RuleSet,
    eni: &Interface,
    (layer, groups): (Layer, &[usize]),
    direction: Direction,
    members: Members<'_>,
) -> Vec<Entry> {
    let intra_group = groups.iter().filter(|_| rules.intra_group_step(direction));
    let intra_group =
        intra_group.filter_map(|&group| intra_group_entry(rules, eni, group, members));
    let mut entries: Vec<Entry> = intra_group.collect();
    entries.extend(of_groups(rules, eni, groups, direction, members.assumed));
    let default = match layer {
        Layer::SecurityGroup => default(rules, groups, direction),
        Layer::NetworkAcl => Policy::Drop,
    };
    entries.push(Entry::new(default, EntryKind::Default, Matcher::any()));
    for entry in &mut entries {
        entry.layer = layer;
    }
    entries
}

/// Step 3: other members of a shared basic group whose policy lets them in.
fn intra_group_entry(
    rules: &RuleSet,
    eni: &Interface,
    group: usize,
    Members { assumed, of }: Members<'_>,
) -> Option<Entry> {
    let of_group = rules.groups.get(group)?;
    let unlisted = rules.has_unlisted_members(of_group);
    let nets = if unlisted && assumed.includes(&of_group.id) {
        anybody()
    } else {
        // Whether there is an entry is the same question for every interface of a shared list.
        let mut nets = members_of(rules, eni, group, Whose::Others).peekable();
        match (nets.peek(), of) {
            (Some(_), Whose::All) => members_of(rules, eni, group, of).collect(),
            _ => nets.collect(),
        }
    };
    (unlisted || !nets.is_empty()).then(|| {
        let matcher = Matcher { peer: Addresses::Nets(nets), ..Matcher::any() };
        Entry::new(Policy::Accept, EntryKind::IntraGroup { group }, matcher)
    })
}

/// The addresses of members of a group, if it lets its members reach each other.
pub(super) fn members_of<'r>(
    rules: &'r RuleSet,
    eni: &'r Interface,
    group: usize,
    of: Whose,
) -> impl Iterator<Item = IpNet> + 'r {
    let open = rules.groups.get(group).is_some_and(|shared| {
        shared.layer == Layer::SecurityGroup
            && shared.group_type == GroupType::Basic
            && shared.inner_access_policy == Policy::Accept
    });
    let members = rules.members(group);
    let members = members.filter(move |other| open && (of == Whose::All || other.id != eni.id));
    members.flat_map(|other| other.addresses.iter().copied())
}

/// What two layers do, of which both must allow: what the first accepts the second decides. Each list ends with its
/// default.
fn both(outer: &[Entry], inner: &[Entry]) -> Vec<Entry> {
    let mut found = Vec::new();
    for entry in outer {
        if entry.policy == Policy::Drop {
            found.push(entry.clone());
            continue;
        }
        let narrowed = inner.iter().filter_map(|then| {
            let both = entry.matcher.and(&then.matcher);
            let matcher = both.or_else(|| of_nobody(entry, then))?;
            let mut through = entry.through.clone();
            through.push(entry.kind);
            Some(Entry { through, matcher, ..then.clone() })
        });
        found.extend(narrowed);
    }
    found
}

/// An entry about members of a group stays where the other layer leaves none of them: which these are differs from
/// interface to interface, and positions in their lists do not.
fn of_nobody(outer: &Entry, inner: &Entry) -> Option<Matcher> {
    [outer, inner].into_iter().any(Entry::is_about_members).then_some(())?;
    let [outer, inner] =
        [outer, inner].map(|of| Matcher { peer: Addresses::Any, ..of.matcher.clone() });
    let peer = Addresses::Nets(Vec::new());
    Some(Matcher { peer, ..outer.and(&inner)? })
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
    found.sort_by(|(_, _, one), (_, _, two)| {
        let [one, two] = [one, two]
            .map(|rule| (rule.priority, rule.policy, Reverse(rule.create_time), &rule.id));
        one.cmp(&two)
    });
    let entry = |(group, position, rule): (usize, usize, &Rule)| {
        let kind = EntryKind::Rule { group, rule: position };
        Entry::new(rule.policy, kind, matcher(rules, rule, assumed))
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
                let list = rules.port_list(id);
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
                let list = rules.prefix_list(id);
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
fn default(rules: &RuleSet, groups: &[usize], direction: Direction) -> Policy {
    let kind = groups.first().and_then(|group| rules.groups.get(*group)).map(|g| g.group_type);
    rules.cloud.default(direction, kind)
}
