//! What several files say together, before anyone has checked it.

mod found;
mod merge;
mod names;
mod rule_set;

use std::collections::{BTreeSet, HashMap};

use ipnet::IpNet;

use super::json::Faults;
use crate::rules::{
    Cloud, GroupType, Layer, Policy, PortList, PrefixList, Quotas, Rule, RuleSet, Tag, Timeouts,
};
pub use found::{Found, Later, Standing};

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
    /// Whether the cloud's quotas apply.
    pub quotas: Quotas,
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
    /// The positions of those that answers and states have, by name and qualifiers.
    pub(super) interface_places: HashMap<(String, Vec<String>), usize>,
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
    /// An answer about its instance has it, which says less of it than one about interfaces.
    pub(super) is_of_instance: bool,
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
}
