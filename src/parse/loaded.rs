//! What several files say together, before anyone has checked it.

use std::collections::{BTreeSet, HashMap, HashSet};

use ipnet::IpNet;

use super::json::{Faults, last_part, short_id};
use super::{Fault, ParseError};
use crate::rules::{
    Cloud, Field, GroupType, Interface, Invalid, Layer, Membership, NicType, Parts, Peer, Policy,
    PortList, PrefixList, Rule, RuleId, RulePlace, RuleSet, SecurityGroup, Tag, Timeouts,
};

/// A file's name and its text.
#[derive(Clone, Copy, Debug)]
pub struct Source<'t> {
    /// As the user named it.
    pub name: &'t str,
    /// What is in it.
    pub text: &'t str,
}

/// What the user says where files do not.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// The type of groups whose files do not have it.
    pub group_type: Option<GroupType>,
    /// The inner access policy of groups whose files do not have it.
    pub inner_access_policy: Option<Policy>,
    /// The direction of rules that do not say it: of `AuthorizeSecurityGroup`'s permissions.
    pub direction: Option<crate::flow::Direction>,
    /// What addresses tags stand for.
    pub tags: Vec<Tag>,
    /// The tags of the one interface that is judged where files name none.
    pub instance_tags: Option<Vec<String>>,
    /// The groups that the one interface has which is judged where files name none; empty where nobody has
    /// said.
    pub groups: Vec<String>,
    /// Values of a template's parameters.
    pub parameters: Vec<(String, String)>,
    /// Leave out what has no value yet, with a warning.
    pub partial: bool,
    /// Whose rules are meant, where a file has those of several clouds.
    pub cloud: Option<Cloud>,
}

/// A rule as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The rule.
    pub rule: Rule,
    /// The name it has in its file, where the rule is one of several that the file has under one name.
    pub listed_as: Option<String>,
    /// Where: the way to it in its file, or Terraform's address.
    pub origin: String,
    /// What the model has no place for, in words.
    pub note: String,
    /// What of it is known only after a plan was applied.
    pub later: Later,
    /// Whether it counts.
    pub standing: Standing,
}

/// What of a rule is known only after a plan was applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Later {
    /// What the neutral table has in the place of its group: `?attribute`.
    pub group: Option<String>,
    /// In the place of its peers.
    pub peer: Option<String>,
    /// In the place of its near side.
    pub local: Option<String>,
    /// Attributes of which the configuration does not say either what they will be.
    pub unresolved: Vec<String>,
}

impl Later {
    /// The group is known only later, by this attribute; what stands for it.
    pub(super) fn of_group(&mut self, attribute: &str) -> String {
        self.unresolved.push(attribute.to_owned());
        let name = format!("?{attribute}");
        self.group = Some(name.clone());
        name
    }

    /// Peers of an attribute are known only later, beside those that are known or named already.
    pub(super) fn peer(&mut self, known: &[Peer], attribute: &str) {
        let known = || known.iter().map(ToString::to_string).collect::<Vec<_>>().join(";");
        let before = self.peer.take().unwrap_or_else(known);
        let between = if before.is_empty() { "" } else { ";" };
        self.peer = Some(format!("{before}{between}?{attribute}"));
    }

    /// The group itself is a peer too.
    pub(super) fn and_self(&mut self, group: &str) {
        if let Some(peer) = &mut self.peer {
            peer.push(';');
            peer.push_str(group);
        }
    }
}

/// Whether a rule that was found counts, and is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As files say it.
    InForce,
    /// It is switched off, and shown only.
    Disabled,
    /// It is in force though the file does not print it.
    Implied,
}

impl Found {
    pub(super) fn new(rule: Rule, origin: String) -> Self {
        Self {
            rule,
            listed_as: None,
            origin,
            note: String::new(),
            later: Later::default(),
            standing: Standing::InForce,
        }
    }
}

/// Parts of a rule set, as files of a cloud's tools have them.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Whose rules they are; `None` before one was found.
    pub(super) cloud: Option<Cloud>,
    pub(super) groups: Vec<FoundGroup>,
    /// The groups' positions, by key.
    pub(super) places: HashMap<String, usize>,
    pub(super) interfaces: Vec<FoundInterface>,
    pub(super) prefix_lists: Vec<PrefixList>,
    pub(super) port_lists: Vec<PortList>,
    /// Subnets, and the group that stands at each, by its key.
    pub(super) subnets: Vec<(String, String)>,
    /// Subnets, and their addresses.
    pub(super) networks: Vec<(String, IpNet)>,
    /// In words.
    pub warnings: Vec<String>,
    /// What is known to be missing, in words.
    pub(super) incomplete: Vec<String>,
    /// Rules of groups that the files do not own, whose other rules are therefore unknown, and the groups.
    pub(super) of_others: Vec<(String, String)>,
    /// Rules that cannot be read before a plan was applied, in words.
    pub(super) unknown: Vec<String>,
    /// How many network ACLs there are, by what pages of them say.
    pub(super) acls_in_all: usize,
    /// Names by which the other side of a plan knows groups of this one, which are replaced.
    pub(super) aliases: HashMap<String, String>,
    /// All interfaces are listed, also those of load balancers and other services.
    pub(super) lists_all: bool,
    /// There is a template, which makes interfaces that no list has.
    pub(super) is_template: bool,
    /// Accounts, subscriptions or projects whose interfaces are listed.
    pub(super) owners: BTreeSet<String>,
    /// How many interfaces there are, by what pages of them say.
    pub(super) interfaces_in_all: usize,
    /// It is how things are in the cloud, and no proposal.
    pub(super) is_state: bool,
}

/// A group, as far as files know it.
#[derive(Clone, Debug, Default)]
pub(super) struct FoundGroup {
    /// By which files refer to it.
    pub(super) key: String,
    /// By which people do.
    pub(super) id: String,
    /// Terraform's, if it is one of its resources.
    pub(super) address: String,
    /// What tells it apart from others of the same name, the nearest first: resource group, subscription.
    pub(super) qualifiers: Vec<String>,
    pub(super) layer: Layer,
    pub(super) group_type: Option<GroupType>,
    pub(super) inner_access_policy: Option<Policy>,
    pub(super) vpc_id: Option<String>,
    pub(super) rules: Vec<Found>,
    /// Whether a file has its rules; else it is only known to exist.
    pub(super) has_rules: bool,
    /// The account, subscription or project that it is in.
    pub(super) owner: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct FoundInterface {
    pub(super) id: String,
    /// What tells it apart from others of the same name.
    pub(super) qualifiers: Vec<String>,
    pub(super) addresses: Vec<IpNet>,
    /// The keys of its own groups.
    pub(super) groups: Vec<String>,
    /// The subnets that it is in, at which other groups may stand.
    pub(super) subnets: Vec<String>,
    pub(super) timeouts: Timeouts,
    pub(super) tags: Vec<String>,
}

/// Those that are not switched off, and can be judged by; where nobody minds, without those that cannot.
fn in_force(group: &FoundGroup, partial: bool) -> impl Iterator<Item = &Found> {
    let known = move |found: &&Found| !partial || found.later.unresolved.is_empty();
    group.rules.iter().filter(|found| found.standing != Standing::Disabled).filter(known)
}

impl Loaded {
    /// The group of that name, which may be known from another file already.
    pub(super) fn group(&mut self, id: &str) -> &mut FoundGroup {
        self.group_of_key(id, id)
    }

    /// The group of that key, and its name if it was not known before.
    pub(super) fn group_of_key(&mut self, key: &str, id: &str) -> &mut FoundGroup {
        let place = self.places.get(key).copied();
        let place = place.unwrap_or_else(|| {
            let (key, id) = (key.to_owned(), id.to_owned());
            self.places.insert(key.clone(), self.groups.len());
            self.groups.push(FoundGroup { key, id, ..FoundGroup::default() });
            self.groups.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "it was found or pushed just now")]
        &mut self.groups[place]
    }

    /// All files were read: what can be said only of all of them.
    pub(super) fn finish(&mut self, faults: &mut Faults) {
        let acls = self.groups.iter().filter(|group| group.layer == Layer::NetworkAcl).count();
        if self.acls_in_all > acls {
            self.incomplete.push(format!(
                "there are {} network ACLs, and {acls} are in the files; give all pages (--PageSize 50)",
                self.acls_in_all
            ));
        }
        if self.interfaces_in_all > self.interfaces.len() {
            self.incomplete.push(format!(
                "there are {} interfaces, and {} are in the files; give all pages (--PageSize 100)",
                self.interfaces_in_all,
                self.interfaces.len(),
            ));
        }
        self.tell_apart(faults);
    }

    /// Both sides of a plan were read: what can be said only of all of each. A group that has the name of another one,
    /// on either side, has the same other name on both.
    pub(super) fn finish_both(&mut self, other: &mut Self, faults: &mut Faults) {
        let mut keys: HashMap<String, HashSet<String>> = HashMap::new();
        for group in self.groups.iter().chain(&other.groups) {
            keys.entry(group.id.clone()).or_default().insert(group.key.clone());
        }
        for group in self.groups.iter_mut().chain(&mut other.groups) {
            let is_one_of_several = keys.get(&group.id).is_some_and(|keys| keys.len() > 1);
            if let (true, Some(of)) = (is_one_of_several, group.qualifiers.first()) {
                group.id = format!("{of}/{}", group.id);
            }
        }
        self.finish(faults);
        other.finish(faults);
    }

    /// Gives groups and interfaces that have the same name names that tell them apart.
    fn tell_apart(&mut self, faults: &mut Faults) {
        let groups = self.groups.iter_mut().map(|of| (&mut of.id, of.qualifiers.as_slice()));
        let again = tell_apart(groups.collect());
        let enis = self.interfaces.iter_mut().map(|of| (&mut of.id, of.qualifiers.as_slice()));
        for (what, id) in again
            .map(|id| ("groups", id))
            .into_iter()
            .chain(tell_apart(enis.collect()).map(|id| ("interfaces", id)))
        {
            faults.add(
                "",
                format_args!(
                    "several {what} are called {id}, and the files do not tell them apart"
                ),
            );
        }
    }

    /// Adds a group that a file has whole. One that another file has too is the same group, if it says the
    /// same.
    pub(super) fn add_group(
        &mut self,
        id: &str,
        vpc_id: Option<String>,
        rules: Vec<Found>,
        path: &str,
        faults: &mut Faults,
    ) {
        if let Some(known) = self.add_group_of_key((id, id), rules, path, faults) {
            known.vpc_id = vpc_id;
        }
    }

    /// The same, by key and name; the group, if it is new.
    pub(super) fn add_group_of_key(
        &mut self,
        (key, id): (&str, &str),
        rules: Vec<Found>,
        path: &str,
        faults: &mut Faults,
    ) -> Option<&mut FoundGroup> {
        let known = self.group_of_key(key, id);
        if !known.has_rules {
            (known.has_rules, known.rules) = (true, rules);
            return Some(known);
        }
        let says = |of: &[Found]| of.iter().map(|found| found.rule.clone()).collect::<Vec<_>>();
        if says(&known.rules) != says(&rules) {
            let message = format!(
                "another file, or another part of this one, has group {id} with other rules; keep the newer one"
            );
            faults.add(path, message);
        }
        None
    }

    /// A rule is of a group that the files do not own, whose other rules are therefore unknown.
    pub(super) fn is_of_another(&mut self, rule: &str, group: &str) {
        self.of_others.push((rule.to_owned(), group.to_owned()));
    }

    /// Adds what another state has. Of a group that only one of them owns, the other may have rules.
    pub(super) fn merge(&mut self, from: Self, faults: &mut Faults) {
        let in_part = |of: &[(String, String)], id: &str| of.iter().any(|(_, group)| group == id);
        let mut known_whole: Vec<String> = Vec::new();
        for group in from.groups {
            let parts = [in_part(&self.of_others, &group.id), in_part(&from.of_others, &group.id)];
            let known = self.group_of_key(&group.key, &group.id);
            if !known.has_rules || !group.has_rules {
                if !known.has_rules {
                    *known = group;
                }
                continue;
            }
            match parts {
                [false, false] if contents(&known.rules) != contents(&group.rules) => {
                    let message = format!(
                        "another file has group {} with other rules; keep the newer one",
                        group.id
                    );
                    faults.add("", message);
                }
                [false, false] => {}
                [true, false] => {
                    known_whole.push(group.id.clone());
                    let rules = std::mem::replace(known, group).rules;
                    known.rules.extend(rules);
                }
                [false, true] => {
                    known_whole.push(group.id.clone());
                    known.rules.extend(group.rules);
                }
                [true, true] => known.rules.extend(group.rules),
            }
        }
        self.of_others.extend(from.of_others);
        self.of_others.retain(|(_, group)| !known_whole.contains(group));
        self.interfaces.extend(from.interfaces);
        self.prefix_lists.extend(from.prefix_lists);
        self.port_lists.extend(from.port_lists);
        self.warnings.extend(from.warnings);
        self.incomplete.extend(from.incomplete);
        self.unknown.extend(from.unknown);
        self.subnets.extend(from.subnets);
        self.networks.extend(from.networks);
        self.is_state |= from.is_state;
        self.lists_all |= from.lists_all;
        self.is_template |= from.is_template;
        self.owners.extend(from.owners);
    }

    /// Where a group or an ACL stands is known only after the plan was applied.
    pub(super) fn not_attached(&mut self, resource: &str, attribute: &str) {
        self.incomplete.push(format!(
            "{resource}: {attribute} is known only after the plan was applied; what it attaches is not known"
        ));
    }

    /// A rule cannot be read before the plan was applied, for want of this value.
    pub(super) fn later(&mut self, rule: &str, attribute: &str) {
        self.unknown.push(format!("{rule}: {attribute} is known only after the plan was applied"));
    }

    /// It is what a plan makes of this other side. A group that is replaced is the same one there, by another id.
    pub(super) fn is_after(&mut self, current: &Self) {
        let known = current.groups.iter().filter(|group| !group.address.is_empty());
        let ids: HashMap<&str, &str> =
            known.map(|group| (group.address.as_str(), group.id.as_str())).collect();
        let replaced = self.groups.iter().filter_map(|group| {
            let before = *ids.get(group.address.as_str())?;
            (before != group.id).then(|| (group.id.clone(), before.to_owned()))
        });
        self.aliases = replaced.collect();
    }

    /// Whose rules they are.
    pub fn cloud(&self) -> Cloud {
        self.cloud.unwrap_or_default()
    }

    /// Rules of a cloud were found. Those of two cannot be one rule set.
    pub(super) fn of_cloud(&mut self, cloud: Cloud, faults: &mut Faults) {
        match self.cloud {
            Some(before) if before != cloud => {
                let message = format!("rules of {before} and of {cloud} cannot be one rule set");
                faults.add("", message);
            }
            _ => self.cloud = Some(cloud),
        }
    }

    /// What is known to be missing, in words.
    pub fn incomplete(&self) -> Vec<String> {
        let of_others = self.of_others.iter().map(|(rule, group)| {
            format!(
                "{rule} is a rule of {group}, a group that the file does not have: the group's other rules are not \
                 known"
            )
        });
        self.incomplete.iter().cloned().chain(of_others).collect()
    }

    /// Rules that cannot be read before a plan was applied, in words.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// The side that the neutral table has it on: a state is `current`, and other files have none.
    pub fn side(&self) -> &'static str {
        if self.is_state { "current" } else { "" }
    }

    /// Every group with the rules that files print, in the order of the files.
    pub fn rules(&self) -> impl Iterator<Item = (&str, &Found)> {
        self.groups
            .iter()
            .flat_map(|group| group.rules.iter().map(move |rule| (group.id.as_str(), rule)))
            .map(|(group, found)| (found.later.group.as_deref().unwrap_or(group), found))
            .filter(|(_, found)| found.standing != Standing::Implied)
    }

    /// What a checked rule set says, as if it had been found in a file.
    pub fn from_rules(rules: &RuleSet) -> Self {
        let mut loaded = Self { cloud: Some(rules.cloud()), ..Self::default() };
        for group in rules.groups() {
            let known = loaded.group(&group.id);
            known.layer = group.layer;
            known.group_type = Some(group.group_type);
            known.inner_access_policy = Some(group.inner_access_policy);
            known.vpc_id.clone_from(&group.vpc_id);
            known.has_rules = true;
            let found = |rule: &Rule| Found::new(rule.clone(), rule.id.to_string());
            known.rules = group.rules.iter().map(found).collect();
        }
        loaded
    }

    /// Whether there is no group with rules.
    pub fn is_empty(&self) -> bool {
        self.groups.iter().all(|group| !group.has_rules)
    }

    /// As parts of a rule set. Interfaces keep those of their groups whose rules are known; those that
    /// have none are left out, with a warning.
    pub fn parts(&self, hints: &LoadOptions) -> (Parts, Vec<String>) {
        let mut warnings = self.warnings.clone();
        let mut incomplete = self.incomplete();
        let cloud = self.cloud();
        let known: Vec<&FoundGroup> = self.known(hints).collect();
        if hints.partial {
            warnings.extend(self.not_judged().map(|what| format!("left out: {what}")));
        }
        let guessed: Vec<&str> = known
            .iter()
            .filter(|group| group.layer == Layer::SecurityGroup)
            .filter(|group| group.group_type.is_none() && hints.group_type.is_none())
            .filter(|_| cloud == Cloud::Alibaba)
            .map(|group| group.id.as_str())
            .collect();
        if !guessed.is_empty() {
            warnings.push(format!(
                "the type of {} is not in the files, and taken for basic; DescribeSecurityGroups beside them \
                 has it, or --type says it",
                guessed.join(", "),
            ));
        }
        let groups = known.iter().map(|group| self.security_group(group, hints)).collect();
        let interfaces = self.interfaces(&known, &mut incomplete);
        let all = self.lists_all(&known);
        let membership = match cloud {
            // Its filters are one list.
            Cloud::ClassBench => Membership::Stated,
            _ if all && !interfaces.is_empty() => Membership::Stated,
            _ => Membership::Unknown,
        };
        let parts = Parts {
            cloud,
            groups,
            interfaces: (!interfaces.is_empty()).then_some(interfaces),
            prefix_lists: self.prefix_lists(hints),
            port_lists: self.port_lists.clone(),
            tags: hints.tags.clone(),
            instance_tags: hints.instance_tags.clone(),
            membership,
            incomplete,
            ..Parts::default()
        };
        (parts, warnings)
    }

    /// Whether every interface that has one of these groups is listed, with its addresses.
    fn lists_all(&self, groups: &[&FoundGroup]) -> bool {
        let elsewhere = |group: &&FoundGroup| {
            let owner = group.owner.as_ref().filter(|_| !self.owners.is_empty());
            owner.is_some_and(|owner| !self.owners.contains(owner))
        };
        self.lists_all
            && !self.is_template
            && self.interfaces.iter().all(|eni| !eni.addresses.is_empty())
            && !groups.iter().any(elsewhere)
    }

    /// Prefix lists of the files, and those that rules name and the user defines.
    fn prefix_lists(&self, hints: &LoadOptions) -> Vec<PrefixList> {
        let mut lists = self.prefix_lists.clone();
        for Tag { name, entries } in &hints.tags {
            let names = |peer: &Peer| matches!(peer, Peer::PrefixList(id) if id == name);
            let is_named = self.rules().any(|(_, found)| found.rule.peers.iter().any(names));
            if is_named && !lists.iter().any(|list| list.id == *name) {
                lists.push(PrefixList { id: name.clone(), entries: entries.clone() });
            }
        }
        lists
    }

    /// Groups with rules: security groups first, then network ACLs. A group that is known only later is left out with
    /// its rules, where that is allowed.
    fn known(&self, hints: &LoadOptions) -> impl Iterator<Item = &FoundGroup> {
        let later = |group: &FoundGroup| group.rules.iter().any(|of| of.later.group.is_some());
        let partial = hints.partial;
        let known = move |group: &&FoundGroup| group.has_rules && !(partial && later(group));
        let of =
            move |layer| self.groups.iter().filter(known).filter(move |group| group.layer == layer);
        of(Layer::SecurityGroup).chain(of(Layer::NetworkAcl))
    }

    /// What cannot be judged by before a plan was applied, in words.
    fn not_judged(&self) -> impl Iterator<Item = String> {
        let unresolved = self.rules().flat_map(|(_, found)| {
            let of_rule = |attribute: &String| {
                format!("{}: {attribute} is known only after the plan was applied", found.origin)
            };
            found.later.unresolved.iter().map(of_rule).collect::<Vec<_>>()
        });
        self.unknown.iter().cloned().chain(unresolved)
    }
    fn security_group(&self, group: &FoundGroup, hints: &LoadOptions) -> SecurityGroup {
        let FoundGroup { layer, vpc_id, .. } = group;
        let group_type = group.group_type.or(hints.group_type).unwrap_or(GroupType::Basic);
        let inner = group.inner_access_policy.or(hints.inner_access_policy);
        let plain = self.cloud() != Cloud::Alibaba || *layer == Layer::NetworkAcl;
        let at =
            |subnet: &str| self.subnets.iter().any(|(of, key)| of == subnet && *key == group.key);
        let networks =
            self.networks.iter().filter(|(subnet, _)| *layer == Layer::NetworkAcl && at(subnet));
        SecurityGroup {
            // A rule of Google Cloud that names no network is of the one called default.
            id: match (self.aliases.get(&group.id), group.id.as_str()) {
                (Some(alias), _) => alias.clone(),
                (None, "") => "default".to_owned(),
                (None, id) => id.to_owned(),
            },
            layer: *layer,
            group_type: if plain { GroupType::Basic } else { group_type },
            inner_access_policy: match group_type {
                _ if plain => Policy::Drop,
                GroupType::Enterprise => Policy::Drop,
                GroupType::Basic => inner.unwrap_or(Policy::Accept),
            },
            vpc_id: vpc_id.clone(),
            networks: networks.map(|(_, net)| *net).collect(),
            rules: in_force(group, hints.partial).map(|found| self.renamed(&found.rule)).collect(),
        }
    }

    /// A rule with the names of groups by which both sides of a plan know them.
    fn renamed(&self, rule: &Rule) -> Rule {
        let mut rule = rule.clone();
        for peer in rule.peers.iter_mut().chain(&mut rule.local) {
            if let Peer::Group(of) = peer
                && let Some(alias) = self.aliases.get(&of.id)
            {
                of.id.clone_from(alias);
            }
        }
        rule
    }

    /// The interfaces, each with those of its groups whose rules are known.
    fn interfaces(&self, known: &[&FoundGroup], incomplete: &mut Vec<String>) -> Vec<Interface> {
        let has = |layer: Layer| known.iter().any(|group| group.layer == layer);
        let (has_groups, has_acls) = (has(Layer::SecurityGroup), has(Layer::NetworkAcl));
        let places: HashMap<String, usize> =
            (0..).zip(known).map(|(place, group)| (group.key.to_lowercase(), place)).collect();
        let position = |key: &str| {
            let key = key.to_lowercase();
            // Files may have a group without its id, or by its resource group and its name.
            let names = [short_id(&key), last_part(&key)];
            let by_name = || names.iter().find_map(|name| places.get(name));
            places.get(&key).or_else(by_name).copied()
        };
        let mut of_subnets: HashMap<&str, Vec<&String>> = HashMap::new();
        for (subnet, group) in &self.subnets {
            of_subnets.entry(subnet).or_default().push(group);
        }
        let neighbours = self.neighbours();
        let mut found = Vec::new();
        for eni in &self.interfaces {
            let FoundInterface { id, qualifiers: _, addresses, groups, subnets, timeouts, tags } =
                eni;
            // A packet that comes in meets the subnet's before its own.
            let of_subnets = subnets.iter().filter_map(|subnet| of_subnets.get(subnet.as_str()));
            let mut keys: Vec<&String> = Vec::new();
            let own = groups.iter().filter(|_| has_groups);
            for key in of_subnets.flatten().copied().chain(own) {
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
            let mut mine: Vec<usize> = Vec::new();
            let mut missing: Vec<&str> = Vec::new();
            for key in keys {
                match position(key) {
                    Some(place) if !mine.contains(&place) => mine.push(place),
                    Some(_) => {}
                    None => missing.push(key),
                }
            }
            let done = match mine.is_empty() {
                true => "it is left out",
                false => "its verdicts rest on the others",
            };
            if !missing.is_empty() {
                incomplete.push(format!(
                    "interface {id} has {}, whose rules are not in the files; {done}",
                    missing.join(", "),
                ));
            }
            let is_acl = |place: &usize| {
                known.get(*place).is_some_and(|group| group.layer == Layer::NetworkAcl)
            };
            if has_acls && !mine.iter().any(is_acl) && missing.is_empty() {
                incomplete.push(format!(
                    "the network ACL of interface {id} is not in the files: {done}",
                ));
            }
            if !mine.is_empty() && !addresses.is_empty() {
                found.push(Interface {
                    id: id.clone(),
                    addresses: addresses.clone(),
                    groups: mine,
                    subnet: subnets
                        .iter()
                        .filter(|_| has_acls)
                        .filter_map(|subnet| neighbours.get(subnet.as_str()))
                        .flatten()
                        .filter(|net| !addresses.contains(net))
                        .copied()
                        .collect(),
                    timeouts: *timeouts,
                    nic_type: NicType::Intranet,
                    tags: tags.clone(),
                });
            }
        }
        found
    }

    /// The addresses of the interfaces of each subnet whose own addresses are not known.
    fn neighbours(&self) -> HashMap<&str, Vec<IpNet>> {
        let mut found: HashMap<&str, Vec<IpNet>> = HashMap::new();
        for eni in &self.interfaces {
            for subnet in &eni.subnets {
                found.entry(subnet).or_default().extend(&eni.addresses);
            }
        }
        for (subnet, _) in &self.networks {
            found.remove(subnet.as_str());
        }
        found
    }

    /// Checks it as the cloud would.
    ///
    /// # Errors
    /// Every fault, each with where the rule is from.
    pub fn rule_set(
        &self,
        file: &str,
        hints: &LoadOptions,
    ) -> Result<(RuleSet, Vec<String>), ParseError> {
        let (parts, warnings) = self.parts(hints);
        let known: Vec<&FoundGroup> = self.known(hints).collect();
        // Where the file has it, and what it is.
        let place = |place: RulePlace| -> String {
            let mut words = Vec::new();
            if let RulePlace::Rule(g, r, _) = place {
                let found = known.get(g).and_then(|group| in_force(group, hints.partial).nth(r));
                // Terraform's address is the rule's name.
                let found = found.filter(|found| found.rule.id.to_string() != found.origin);
                words.extend(found.map(|found| found.origin.clone()));
            }
            words.extend(parts.about(place));
            if let RulePlace::Rule(_, _, field) = place
                && field != Field::Whole
            {
                words.push(field.key().to_owned());
            }
            words.push(String::new());
            words.join(": ")
        };
        if !hints.partial {
            let fault = |message| Fault { at: None, message };
            let mut faults: Vec<Fault> = self.not_judged().map(fault).collect();
            if !faults.is_empty() {
                let message =
                    "--partial leaves such rules out; after `terraform apply` the state has them";
                faults.push(fault(message.to_owned()));
                return Err(ParseError { file: file.to_owned(), faults });
            }
        }
        if let (true, Some(why)) = (known.is_empty(), parts.incomplete.first()) {
            let message = format!("there is no security group in it: {why}");
            return Err(ParseError {
                file: file.to_owned(),
                faults: vec![Fault { at: None, message }],
            });
        }
        let described = parts.clone();
        match RuleSet::new(described) {
            Ok(rules) => Ok((rules, warnings)),
            Err(invalid) => {
                let fault = |Invalid { place: at, message }: Invalid| Fault {
                    at: None,
                    message: format!("{}{message}", place(at)),
                };
                let faults = invalid.into_iter().map(fault).collect();
                Err(ParseError { file: file.to_owned(), faults })
            }
        }
    }
}

/// What rules say, whatever they are called.
fn contents(rules: &[Found]) -> Vec<String> {
    let unnamed = |found: &Found| {
        let id = RuleId::Named(String::new());
        format!("{:?}", Rule { id, description: None, ..found.rule.clone() })
    };
    let mut contents: Vec<String> = rules.iter().map(unnamed).collect();
    contents.sort_unstable();
    contents.dedup();
    contents
}

/// Puts before equal names what tells them apart, the nearest first; a name that is still there twice.
fn tell_apart(mut named: Vec<(&mut String, &[String])>) -> Option<String> {
    let mut depth = 0;
    loop {
        let mut count: HashMap<String, usize> = HashMap::new();
        for (id, _) in &named {
            *count.entry((*id).clone()).or_default() += 1;
        }
        let mut again =
            named.iter_mut().filter(|(id, _)| count.get(*id).is_some_and(|n| *n > 1)).peekable();
        let first = again.peek().map(|(id, _)| (**id).clone())?;
        let mut changed = false;
        for (id, qualifiers) in again {
            if let Some(qualifier) = qualifiers.get(depth) {
                **id = format!("{qualifier}/{id}");
                changed = true;
            }
        }
        if !changed {
            return Some(first);
        }
        depth += 1;
    }
}
