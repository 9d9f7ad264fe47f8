//! Completes the parts of a rule set: host bits, known tags, subnets, tags of unlisted interfaces.

use std::net::IpAddr;

use ipnet::IpNet;

use super::RuleSet;
use super::cloud::Cloud;
use super::field::Peer;
use super::membership::Membership;
use super::model::{Parts, Tag};
use super::validate::{Field, RulePlace};

impl RuleSet {
    /// Notes tags of instances that rules depend on, if there may be unlisted interfaces.
    pub(super) fn note_unlisted_tags(&mut self) {
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

    /// Finds the subnets of interfaces among those of their network ACLs.
    pub(super) fn find_subnets(&mut self) {
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
}

/// Defines the tags of rules that always stand for the same addresses: Azure's load balancer asks whether machines
/// live from these alone (SEMANTICS H1, H-f).
pub(super) fn define_known_tags(parts: &mut Parts) {
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

/// Masks the host bits of all networks, and returns the networks that had any.
pub(super) fn mask_host_bits(parts: &mut Parts) -> Vec<(RulePlace, IpNet)> {
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
