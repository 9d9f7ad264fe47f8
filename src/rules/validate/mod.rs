//! What the API would refuse, beyond a single field (SEMANTICS A1, A11, B1).

mod alibaba;
mod bounds;
mod other_clouds;
pub(super) mod quotas;

use std::collections::HashSet;

use foldhash::fast::FixedState;
use ipnet::IpNet;

use super::layer::of_layer;
use super::names::Names;
use super::{
    Cloud, Interface, Layer, Membership, Parts, Peer, PortRange, Quotas, Rule, RuleId, RuleSet,
    SecurityGroup,
};

/// Where in a set of rules something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RulePlace {
    /// A field of a group, by position.
    Group(usize, Field),
    /// A field of a rule, by the group's and the rule's position.
    Rule(usize, usize, Field),
    /// A field of an interface, by position.
    Interface(usize, Field),
    /// A field of a prefix list, by position.
    PrefixList(usize, Field),
    /// A field of a port list, by position.
    PortList(usize, Field),
    /// The list of groups itself.
    Groups,
}

/// A field, by the key it has in a rules file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// The whole object.
    Whole,
    /// `id`
    Id,
    /// `inner_access_policy`
    InnerAccessPolicy,
    /// `protocol`
    Protocol,
    /// `policy`
    Policy,
    /// `priority`
    Priority,
    /// `icmp`
    Icmp,
    /// `targets`
    Targets,
    /// `ports`
    Ports,
    /// `source_ports`
    SourcePorts,
    /// The far side: `source` on ingress, `destination` on egress.
    Peer,
    /// The near side: `destination` on ingress, `source` on egress.
    Local,
    /// `description`
    Description,
    /// `nic_type`
    NicType,
    /// `addresses`
    Addresses,
    /// `security_groups`
    SecurityGroups,
    /// `timeouts`, and the setting in it
    Timeouts(&'static str),
    /// `entries`
    Entries,
}

impl Field {
    /// What it holds, in a word.
    pub fn key(self) -> &'static str {
        match self {
            Self::Whole => "",
            Self::Id => "id",
            Self::InnerAccessPolicy => "inner access policy",
            Self::Policy => "policy",
            Self::Priority => "priority",
            Self::Icmp => "ICMP type",
            Self::Targets => "targets",
            Self::Protocol => "protocol",
            Self::Ports => "ports",
            Self::SourcePorts => "source ports",
            Self::Peer => "peer",
            Self::Local => "near side",
            Self::Description => "description",
            Self::NicType => "network card",
            Self::Addresses => "addresses",
            Self::SecurityGroups => "security groups",
            Self::Timeouts(setting) => setting,
            Self::Entries => "entries",
        }
    }
}

impl Parts {
    /// The thing at a place, by its names; `None` where it is the list of groups.
    pub fn about(&self, place: RulePlace) -> Option<String> {
        let group = |g: usize| self.groups.get(g);
        let named = |what: &str, id: &str| format!("{what} {id}");
        Some(match place {
            RulePlace::Rule(g, r, _) => about_rule(&group(g)?.rules.get(r)?.id, &group(g)?.id),
            RulePlace::Group(g, _) => named("group", &group(g)?.id),
            RulePlace::Interface(i, _) => named("interface", &self.interfaces.as_ref()?.get(i)?.id),
            RulePlace::PrefixList(l, _) => named("prefix list", &self.prefix_lists.get(l)?.id),
            RulePlace::PortList(l, _) => named("port list", &self.port_lists.get(l)?.id),
            RulePlace::Groups => return None,
        })
    }
}

/// `rule sgr-ssh of sg-web`, as messages about a rule begin.
pub(crate) fn about_rule(id: &RuleId, group: &str) -> String {
    format!("rule {id} of {group}")
}

/// Something that the API would refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Where.
    pub place: RulePlace,
    /// What was found, what would be right, and the API's name for the error in parentheses.
    pub message: String,
}

/// Something that is allowed and probably not meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Warning(pub String);

const MOST_GROUPS: usize = 10;
/// Sessions are keyed by 16 bits of interface.
const MOST_INTERFACES: usize = 65_535;
const MOST_PREFIXES: usize = 200;

/// Every fault of the parts.
pub(super) fn faults(parts: &Parts) -> Vec<Invalid> {
    if let Some(fault) = bounds::fault(parts) {
        return vec![fault];
    }
    let lists = (&*parts.prefix_lists, &*parts.port_lists, &*parts.tags);
    let interfaces = parts.interfaces.as_deref().unwrap_or_default();
    let names = Names::new(&parts.groups, interfaces, lists);
    let mut checker = Checker { parts, names, faults: Vec::new(), tags: HashSet::new() };
    checker.groups();
    checker.interfaces();
    checker.lists();
    checker.faults
}

struct Checker<'a> {
    parts: &'a Parts,
    names: Names,
    faults: Vec<Invalid>,
    /// Tags of which was said that nothing is known of them.
    tags: HashSet<&'a str>,
}

/// Where so many faults are found, the rest is not looked at.
const MOST_FAULTS: usize = 1000;

impl<'a> Checker<'a> {
    fn is_full(&self) -> bool {
        self.faults.len() >= MOST_FAULTS
    }

    fn fault(&mut self, place: RulePlace, message: impl Into<String>) {
        self.faults.push(Invalid { place, message: message.into() });
    }

    fn unique<'i>(
        &mut self,
        what: &str,
        ids: impl Iterator<Item = &'i str>,
        place: impl Fn(usize) -> RulePlace,
    ) {
        let mut seen: HashSet<&str, FixedState> = HashSet::default();
        for (position, id) in ids.enumerate() {
            if self.is_full() {
                return;
            }
            if id.is_empty() {
                self.fault(place(position), format!("the id of this {what} is empty"));
            } else if !seen.insert(id) {
                self.fault(
                    place(position),
                    format!("there is another {what} `{id}` before this one"),
                );
            }
        }
    }

    fn groups(&mut self) {
        let parts: &'a Parts = self.parts;
        let groups = &parts.groups;
        if groups.is_empty() {
            self.fault(RulePlace::Groups, "there is no security group; list at least one");
        }
        let ids = groups.iter().map(|group| group.id.as_str());
        self.unique("security group or network ACL", ids, |g| RulePlace::Group(g, Field::Id));
        let is_alibaba = self.parts.cloud == Cloud::Alibaba;
        for (g, group) in groups.iter().enumerate() {
            if self.is_full() {
                return;
            }
            if !is_alibaba || group.layer == Layer::NetworkAcl {
                self.foreign_group(g, group);
                continue;
            }
            self.alibaba_group(g, group);
        }
    }

    fn priority(&mut self, at: RulePlace, layer: Layer, rule: &Rule) {
        let number = rule.priority.get();
        let cloud = self.parts.cloud;
        let allowed = layer.priorities(cloud);
        let message = match cloud {
            _ if allowed.contains(&number) => return,
            _ if layer == Layer::NetworkAcl => format!(
                "`{number}`: a rule of a network ACL has a number from {} to {}",
                allowed.start(),
                layer.lowest_custom(cloud),
            ),
            // From rules made before May 2020.
            Cloud::Alibaba if number == 110 => return,
            Cloud::Alibaba => format!(
                "`{number}`: a priority is 1 to 100, and 1 comes first (InvalidPriority.ValueNotSupported)"
            ),
            Cloud::Aws => {
                format!("`{number}`: no rule of a security group of AWS comes before another")
            }
            _ => format!(
                "`{number}`: a priority of {cloud} is {} to {}",
                allowed.start(),
                allowed.end()
            ),
        };
        self.fault(at, message);
    }

    fn interfaces(&mut self) {
        let groups = &self.parts.groups;
        let Some(interfaces) = &self.parts.interfaces else {
            return self.one_interface(groups);
        };
        if interfaces.len() > MOST_INTERFACES {
            let message = format!("{} interfaces; {MOST_INTERFACES} at most", interfaces.len());
            self.fault(RulePlace::Interface(MOST_INTERFACES, Field::Whole), message);
        }
        let ids = interfaces.iter().map(|eni| eni.id.as_str());
        self.unique("interface", ids, |i| RulePlace::Interface(i, Field::Id));
        for (i, eni) in interfaces.iter().enumerate() {
            if self.is_full() {
                return;
            }
            let at = |field| RulePlace::Interface(i, field);
            self.members(at(Field::SecurityGroups), eni);
            if self.parts.cloud == Cloud::Alibaba {
                self.timeouts(i, &eni.timeouts);
            }
            if eni.addresses.is_empty() {
                self.fault(
                    at(Field::Whole),
                    "the interface has no address; list its private addresses",
                );
            }
        }
    }

    /// Without a list of interfaces, one holds every group of the file, where it is not unknown which groups
    /// an interface has.
    fn one_interface(&mut self, groups: &[SecurityGroup]) {
        if self.parts.membership != Membership::Stated || groups.is_empty() {
            return;
        }
        let all: Vec<usize> = (0..groups.len()).collect();
        if let Some(message) = together((self.parts.cloud, self.parts.quotas), groups, &all) {
            let message = format!("{message}; say under `interfaces` which groups each has");
            self.fault(RulePlace::Groups, message);
        }
    }

    fn members(&mut self, at: RulePlace, eni: &Interface) {
        let groups = &self.parts.groups;
        if eni.groups.is_empty() {
            self.fault(at, "the interface has no group");
        } else if let Some(message) =
            together((self.parts.cloud, self.parts.quotas), groups, &eni.groups)
        {
            self.fault(at, message);
        }
    }

    fn lists(&mut self) {
        let parts: &'a Parts = self.parts;
        let ids = parts.prefix_lists.iter().map(|list| list.id.as_str());
        self.unique("prefix list", ids, |l| RulePlace::PrefixList(l, Field::Id));
        let ids = parts.port_lists.iter().map(|list| list.id.as_str());
        self.unique("port list", ids, |l| RulePlace::PortList(l, Field::Id));
        for (l, list) in parts.prefix_lists.iter().enumerate() {
            let at = RulePlace::PrefixList(l, Field::Entries);
            let has_quota = parts.cloud == Cloud::Alibaba && parts.quotas == Quotas::Apply;
            let count = list.entries.len();
            if count == 0 || has_quota && count > MOST_PREFIXES {
                let hint = if count == 0 { "" } else { "; --no-quota lets it have more" };
                let message = format!(
                    "a prefix list has 1 to {MOST_PREFIXES} entries, and this one {count}{hint}"
                );
                self.fault(at, message);
            }
            let v4 = list.entries.iter().filter(|net| matches!(net, IpNet::V4(_))).count();
            if v4 != 0 && v4 != list.entries.len() {
                self.fault(at, "a prefix list is of one family, IPv4 or IPv6");
            }
        }
        for (l, list) in parts.port_lists.iter().enumerate() {
            if list.entries.is_empty() {
                self.fault(RulePlace::PortList(l, Field::Entries), "the port list has no entries");
            }
            if let Some(range) = list.entries.iter().find(|range| range.first() == 0) {
                self.fault(RulePlace::PortList(l, Field::Entries), no_port_0(*range));
            }
        }
    }
}

/// How many groups an interface can have.
fn most_groups(cloud: Cloud, quotas: Quotas) -> usize {
    match cloud {
        Cloud::Alibaba | Cloud::Aws if quotas == Quotas::Ignore => usize::MAX,
        Cloud::Alibaba => MOST_GROUPS,
        // By a quota that AWS raises.
        Cloud::Aws => 16,
        Cloud::ClassBench | Cloud::Google => 1,
        // The subnet's, and its own.
        Cloud::Azure => 2,
    }
}

/// Why no interface can have these groups together, if none can.
pub(super) fn together(
    (cloud, quotas): (Cloud, Quotas),
    groups: &[SecurityGroup],
    together: &[usize],
) -> Option<String> {
    let most = most_groups(cloud, quotas);
    let acls = of_layer(groups, together, Layer::NetworkAcl).len();
    if acls > 1 {
        return Some(format!("one interface cannot have {acls} network ACLs; a subnet has one"));
    }
    let together = of_layer(groups, together, Layer::SecurityGroup);
    if together.len() > most {
        let count = together.len();
        return Some(format!("one interface cannot have {count} groups, {most} at most"));
    }
    let mut types = together.iter().filter_map(|group| groups.get(*group)).map(|of| of.group_type);
    let first = types.next();
    types
        .any(|other| Some(other) != first)
        .then(|| "one interface cannot have basic and enterprise groups".to_owned())
}

fn no_port_0(range: PortRange) -> String {
    format!("`{range}`: ports are 1 to 65535 (InvalidParam.PortRange)")
}

fn unknown<'a>(what: &str, id: &str, known: impl Iterator<Item = &'a str>, key: &str) -> String {
    match super::nearest(id, known) {
        Some(nearest) => format!("there is no {what} `{id}`; did you mean `{nearest}`?"),
        None => format!("there is no {what} `{id}`; define it under `{key}`"),
    }
}

/// Rules that match nothing in a capture, since nobody has said who the members of their peers are.
pub(super) fn unknown_members(rules: &RuleSet) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut empty: HashSet<String> = HashSet::new();
    let has_members: Vec<bool> = (0..rules.groups.len())
        .map(|group| rules.members(group).any(|eni| !eni.addresses.is_empty()))
        .collect();
    let all =
        rules.groups.iter().flat_map(|group| group.rules.iter().map(move |rule| (group, rule)));
    for (group, rule) in all {
        for peer in &rule.peers {
            let Peer::Group(reference) = peer else { continue };
            let position = rules.group_position(&reference.id);
            if position.is_some_and(|group| has_members.get(group) == Some(&true)) {
                continue;
            }
            let name = reference.to_string();
            if !empty.contains(&name) {
                warnings.push(Warning(format!(
                    "{} refers to group {name}, of which no member is known: it matches nothing here; list \
                     the members under `interfaces`",
                    about_rule(&rule.id, &group.id),
                )));
                empty.insert(name);
            }
        }
    }
    warnings
}
