//! What the APIs of other clouds would refuse, and what their files leave open.

use std::collections::HashSet;

use super::super::{
    Cloud, GroupType, Layer, Parts, Peer, Policy, Ports, Rule, RuleProtocol, SecurityGroup,
};
use super::{Checker, Field, RulePlace, unknown};
use crate::flow::Protocol;

impl<'a> Checker<'a> {
    /// A group of another cloud, or a network ACL, whose API refuses other things.
    pub(super) fn foreign_group(&mut self, g: usize, group: &'a SecurityGroup) {
        let cloud = self.parts.cloud;
        let is_acl = group.layer == Layer::NetworkAcl;
        if is_acl && !cloud.has_network_acls() {
            let message =
                format!("{cloud} has no network ACLs, which stand beside security groups");
            self.fault(RulePlace::Group(g, Field::Whole), message);
        }
        if is_acl && group.inner_access_policy == Policy::Accept {
            let message = "a network ACL has no members";
            self.fault(RulePlace::Group(g, Field::InnerAccessPolicy), message);
        } else if group.group_type == GroupType::Enterprise
            || group.inner_access_policy == Policy::Accept
        {
            let message = format!(
                "only Alibaba Cloud has types and inner access policies, and these rules are of {cloud}"
            );
            self.fault(RulePlace::Group(g, Field::InnerAccessPolicy), message);
        }
        let mut ids = HashSet::new();
        for (r, rule) in group.rules.iter().enumerate() {
            let at = |field| RulePlace::Rule(g, r, field);
            if !ids.insert(&rule.id) {
                let message = format!("there is another rule `{}` before this one", rule.id);
                self.fault(at(Field::Id), message);
            }
            self.priority(at(Field::Priority), group.layer, rule);
            if cloud == Cloud::Aws && !is_acl && rule.policy == Policy::Drop {
                let message =
                    "security groups of AWS only allow; a network ACL can deny (`network_acls:`)";
                self.fault(at(Field::Policy), message);
            }
            if rule.peers.is_empty() {
                let message = "the rule names nobody on its far side, so it would match nothing; `0.0.0.0/0` is any \
                               IPv4 address";
                self.fault(at(Field::Whole), message);
            }
            if rule.nic_type.is_some() {
                self.fault(
                    at(Field::NicType),
                    "only Alibaba Cloud's classic network has two cards",
                );
            }
            for peer in &rule.peers {
                self.foreign_peer(at(Field::Peer), group.layer, peer);
            }
            for local in &rule.local {
                self.foreign_peer(at(Field::Local), group.layer, local);
            }
            if is_acl && !rule.targets.is_empty() {
                self.fault(at(Field::Targets), "a network ACL is for every instance of its subnet");
            }
            self.foreign_ports(g, r, rule);
        }
        self.targets(g, group);
    }

    /// Which tags the one interface of a file has that lists none.
    fn targets(&mut self, g: usize, group: &SecurityGroup) {
        let known = self.parts.interfaces.is_some() || self.parts.instance_tags.is_some();
        let targeted = |rule: &Rule| !rule.targets.is_empty() && !known;
        let Some(first) = group.rules.iter().position(targeted) else { return };
        let tags = group.rules.iter().flat_map(|rule| &rule.targets);
        let mut tags: Vec<&str> = tags.map(String::as_str).collect();
        tags.sort_unstable();
        tags.dedup();
        let message = format!(
            "this rule and others are for instances tagged {}, and it is not known which of these tags the \
             instance has: --tags says it ('' for none), or `instance_tags:` in our own rules file; the answer of \
             `gcloud compute instances list` or `az network nic list` beside the rules has all instances",
            tags.join(", "),
        );
        self.fault(RulePlace::Rule(g, first, Field::Targets), message);
    }

    fn foreign_ports(&mut self, g: usize, r: usize, rule: &Rule) {
        let with_ports = match rule.protocol {
            RuleProtocol::All => true,
            RuleProtocol::Only(proto) => proto.has_ports(),
        };
        let names_ports = !rule.ports.is_empty() || !rule.source_ports.is_empty();
        if names_ports && !with_ports {
            let message = format!("protocol {} has no ports", rule.protocol);
            self.fault(RulePlace::Rule(g, r, Field::Ports), message);
        }
        for ports in &rule.ports {
            if let Ports::List(id) = ports {
                let message = format!("`{id}`: only Alibaba Cloud has port lists");
                self.fault(RulePlace::Rule(g, r, Field::Ports), message);
            }
        }
        let of_icmp =
            matches!(rule.protocol, RuleProtocol::Only(Protocol::ICMP | Protocol::ICMPV6));
        if rule.icmp.is_some() && !of_icmp {
            let message = format!("protocol {} has no ICMP types", rule.protocol);
            self.fault(RulePlace::Rule(g, r, Field::Icmp), message);
        }
    }

    fn foreign_peer(&mut self, at: RulePlace, layer: Layer, peer: &'a Peer) {
        let parts: &'a Parts = self.parts;
        match peer {
            Peer::Group(_) | Peer::Tag(_) if layer == Layer::NetworkAcl => {
                self.fault(at, format!("{peer}: an entry of a network ACL names addresses"));
            }
            Peer::Tag(name) => {
                let unknown =
                    self.names.tags(name).is_empty() && self.names.carriers(name).is_empty();
                if unknown && self.tags.insert(name) {
                    let message = format!(
                        "it is not known which addresses the tag `{name}` stands for; --define {name}=CIDR,… says it, \
                         or `tags:` in our own rules file; {}",
                        parts.cloud.tag_hint(name),
                    );
                    self.fault(at, message);
                }
            }
            Peer::PrefixList(id) if self.names.prefix_list(id).is_none() => {
                let known = parts.prefix_lists.iter().map(|list| list.id.as_str());
                let message = unknown("prefix list", id, known, "prefix_lists");
                self.fault(at, format!("{message}; {}", parts.cloud.prefix_list_hint(id)));
            }
            Peer::Group(_) if parts.cloud != Cloud::Aws => {
                self.fault(at, format!("{peer}: of these clouds only AWS has groups as peers"));
            }
            Peer::Group(_) | Peer::PrefixList(_) | Peer::Cidr(_) => {}
        }
    }
}
