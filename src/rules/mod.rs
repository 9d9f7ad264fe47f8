//! The model: security groups, interfaces and lists in the cloud's own terms (SEMANTICS A1, A2).
//!
//! A [`RuleSet`] exists only if it is valid: [`RuleSet::new`] holds its parts against everything that
//! the cloud's API would refuse (SEMANTICS B1) and hands back every fault at once, each with its
//! [`RulePlace`], so that a reader of a file can say the line.

mod assertion;
mod builtin;
mod cloud;
mod entry_names;
mod field;
mod layer;
mod lint;
mod lists;
mod matcher;
mod membership;
mod model;
mod names;
mod order;
mod ports;
mod prepare;
pub mod scenarios;
pub mod services;
mod sharing;
mod validate;

use ipnet::IpNet;

pub use assertion::{Expectation, Packets};
pub use builtin::Builtin;
pub use cloud::Cloud;
pub use field::{
    FieldError, GroupRef, GroupType, NicType, Peer, Policy, PortRange, Priority, RuleProtocol,
    cidr_text, parse_cidr, parse_cidr_as_written,
};
pub use layer::Layer;
pub use lint::{Code, Severity, Suppression};
pub use matcher::{Addresses, IcmpTypes, MatchStep, Matcher};
pub use membership::{Assumption, GroupsError, Membership, UnknownGroups, listed};
pub use model::{
    Interface, Parts, PortList, PrefixList, Quotas, Rule, RuleId, SecurityGroup, Switches, Tag,
    Timeouts,
};
pub use order::{Entry, EntryIndex, EntryKind, Ordered};
pub use ports::Ports;
pub use sharing::SharedLists;
pub use validate::{Field, Invalid, RulePlace, Warning};

pub(crate) use field::nearest;
use names::Names;
use prepare::{define_known_tags, mask_host_bits};
pub(crate) use validate::about_rule;

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
    quotas: Quotas,
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
            quotas,
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
            quotas,
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

    /// The same with rules added, each to the group at a position and behind those that it has.
    ///
    /// # Errors
    /// When the cloud would refuse them.
    pub fn with_added(&self, added: &[(usize, Rule)]) -> Result<Self, Vec<Invalid>> {
        let mut rules = self.clone();
        for (position, rule) in added {
            if let Some(group) = rules.groups.get_mut(*position) {
                group.rules.push(rule.clone());
            }
        }
        let parts = Parts {
            cloud: self.cloud,
            groups: rules.groups.clone(),
            interfaces: self.interfaces_listed.then(|| self.listed_interfaces().to_vec()),
            prefix_lists: self.prefix_lists.clone(),
            port_lists: self.port_lists.clone(),
            tags: self.tags.clone(),
            quotas: self.quotas,
            ..Parts::default()
        };
        let faults = validate::faults(&parts);
        if !faults.is_empty() {
            return Err(faults);
        }
        rules.index();
        Ok(rules)
    }

    /// Indexes what rules name: again after groups or interfaces were added or left out.
    fn index(&mut self) {
        let lists = (&*self.prefix_lists, &*self.port_lists, &*self.tags);
        self.names = Names::new(&self.groups, &self.interfaces, lists);
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
            plain.quotas = Quotas::Apply;
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

    /// Whether the cloud's quotas apply.
    pub fn quotas(&self) -> Quotas {
        self.quotas
    }

    /// What is over a quota of the cloud (SEMANTICS A11); nothing where quotas are ignored.
    pub fn over_quota(&self) -> Vec<Warning> {
        if self.quotas == Quotas::Ignore {
            return Vec::new();
        }
        validate::quotas::over(self).into_iter().map(Warning).collect()
    }

    /// Rules that match no packet of a capture, since nobody has said who the members of their peers are.
    pub fn unknown_members(&self) -> Vec<Warning> {
        validate::unknown_members(self)
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
