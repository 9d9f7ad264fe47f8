//! Files → rule set.

use std::collections::HashMap;

use ipnet::IpNet;

use super::{Found, FoundGroup, FoundInterface, LoadOptions, Loaded, Standing};
use crate::parse::json::{last_part, short_id};
use crate::parse::{Fault, ParseError};
use crate::rules::{
    Cloud, Field, GroupType, Interface, Invalid, Layer, Membership, NicType, Parts, Peer, Policy,
    PrefixList, Rule, RulePlace, RuleSet, SecurityGroup, Tag,
};

/// Those that are not switched off, and can be judged by; where nobody minds, without those that cannot.
fn in_force(group: &FoundGroup, partial: bool) -> impl Iterator<Item = &Found> {
    let known = move |found: &&Found| !partial || found.later.unresolved.is_empty();
    group.rules.iter().filter(|found| found.standing != Standing::Disabled).filter(known)
}

impl Loaded {
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
            quotas: hints.quotas,
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
            let FoundInterface { id, addresses, groups, subnets, timeouts, tags, .. } = eni;
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
                return Err(ParseError::new(file, faults));
            }
        }
        if let (true, Some(why)) = (known.is_empty(), parts.incomplete.first()) {
            let message = format!("there is no security group in it: {why}");
            return Err(ParseError::new(file, vec![Fault { at: None, message }]));
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
                Err(ParseError::new(file, faults))
            }
        }
    }
}
