//! Security groups, with rules as blocks and as resources.

use std::collections::{HashMap, HashSet};

use super::{Beside, GROUPS, LIST, unknown};
use crate::flow::Direction;
use crate::parse::aws;
use crate::parse::json::{Faults, reading};
use crate::parse::loaded::{Found, FoundGroup, Later, Loaded};
use crate::parse::terraform::block::Block;
use crate::parse::terraform::places::{Places, Referred, is_own, not_known, warn_of_literals};
use crate::parse::terraform::resource::Resource;
use crate::rules::{GroupRef, Peer, Rule, RuleId};

/// Attributes of peers, the type of resource that each can be of, in the order of the neutral table.
const PEERS: [(&str, &[&str]); 4] = [
    ("cidr_blocks", &[]),
    ("ipv6_cidr_blocks", &[]),
    ("prefix_list_ids", &[LIST]),
    ("security_groups", GROUPS),
];

/// Takes from the rules that a group shows itself what is a resource of its own, or was one before the plan.
pub(super) fn without_those_beside(
    resource: &Resource<'_>,
    places: &Places<'_>,
    group: &mut FoundGroup,
) {
    let keys = [("ingress", Direction::Ingress), ("egress", Direction::Egress)];
    let computed: Vec<Direction> = keys
        .into_iter()
        .filter(|(key, _)| places.is_computed(resource, key))
        .map(|(_, direction)| direction)
        .collect();
    // One rule for each of its peers.
    let one = |rule: &Rule, peer: &Peer| {
        format!("{:?}", (rule.direction, rule.protocol, &rule.ports, &rule.icmp, peer))
    };
    let beside: HashSet<String> = places
        .beside(resource, group)
        .flat_map(|found| found.rule.peers.iter().map(|peer| one(&found.rule, peer)))
        .collect();
    group.rules.retain_mut(|found| {
        if !is_own(resource, found) || !computed.contains(&found.rule.direction) {
            return true;
        }
        let peers = found.rule.peers.clone();
        found.rule.peers =
            peers.into_iter().filter(|peer| !beside.contains(&one(&found.rule, peer))).collect();
        !found.rule.peers.is_empty() || !found.later.unresolved.is_empty()
    });
}

/// A group, with the rules that it has itself.
pub(super) fn group(
    resource: &Resource<'_>,
    places: &Places<'_>,
    (names, beside): (&HashMap<&str, String>, &Beside),
    loaded: &mut Loaded,
    faults: &mut Faults,
) {
    let (block, id) = (Block::new(resource), resource.id());
    let mut rules = Vec::new();
    places.whole(resource, &["ingress", "egress"], beside.groups.contains(&id), loaded);
    for (key, direction) in [("ingress", Direction::Ingress), ("egress", Direction::Egress)] {
        let blocks = block.blocks(key, faults);
        let alone =
            |attribute: &str| blocks.iter().filter(|of| of.is_later(attribute)).count() == 1;
        for (n, one) in blocks.iter().enumerate() {
            let origin = format!("{}.{key}[{n}]", resource.address);
            let mut later = Later::default();
            let mut peers = peers(one, names, faults);
            for (attribute, kinds) in PEERS.into_iter().filter(|(key, _)| one.is_later(key)) {
                later.peer(&peers, attribute);
                // The configuration has one list for all blocks of a group (6).
                let others: &[&str] = if attribute == "security_groups" { &[LIST] } else { GROUPS };
                let of = (key, one, attribute);
                match places.many_in(resource, of, kinds, others) {
                    Referred::All(all) if alone(attribute) => {
                        peers.extend(all.iter().map(|of| peer_of_attribute(attribute, of.id())));
                        warn_of_literals(one, attribute, &origin, loaded);
                    }
                    Referred::All(all) => {
                        let all: Vec<&str> = all.iter().map(|of| of.address.as_str()).collect();
                        later.unresolved.push(not_known(attribute, &all));
                    }
                    Referred::OneOf(candidates) => {
                        later.unresolved.push(not_known(attribute, &candidates));
                    }
                }
            }
            if one.flag("self") {
                later.and_self(&id);
                peers.push(Peer::Group(GroupRef { account: None, id: id.clone() }));
            }
            if unknown(one, &["protocol", "from_port", "to_port", "self"], &origin, loaded) {
                continue;
            }
            // One for nobody matches nothing.
            if peers.is_empty() && later.unresolved.is_empty() {
                continue;
            }
            let named = RuleId::Named(origin.clone());
            let rule = reading(faults, &named.clone(), &id, |faults| {
                permission(one, "protocol", named, direction, peers, faults)
            });
            rules.extend(rule.map(|rule| Found { later, ..Found::new(rule, origin) }));
        }
    }
    let vpc = block.text("vpc_id", faults);
    let known = loaded.group(&id);
    known.address.clone_from(&resource.address);
    (known.has_rules, known.vpc_id) = (true, vpc);
    known.rules.extend(rules);
}

/// What a rule and a block of one have in common. From and to are type and code of ICMP.
fn permission(
    block: &Block<'_>,
    protocol: &str,
    id: RuleId,
    direction: Direction,
    peers: Vec<Peer>,
    faults: &mut Faults,
) -> Option<Rule> {
    let protocol = block.json.protocol(protocol, faults)?;
    let (ports, icmp) = aws::ports(&block.json, protocol, ("from_port", "to_port"), faults);
    let description = block.text("description", faults);
    Some(Rule { ports, icmp, description, ..Rule::new(id, direction, protocol, peers) })
}

/// The peers of a block that are known.
fn peers(block: &Block<'_>, names: &HashMap<&str, String>, faults: &mut Faults) -> Vec<Peer> {
    let mut peers: Vec<Peer> = Vec::new();
    for key in ["cidr_blocks", "ipv6_cidr_blocks"] {
        peers.extend(block.nets(key, faults).into_iter().map(Peer::Cidr));
    }
    peers.extend(block.words("prefix_list_ids", faults).into_iter().map(Peer::PrefixList));
    for word in block.words("security_groups", faults) {
        // Outside of a VPC they are names (8).
        let id = names.get(word.as_str()).filter(|_| !word.contains("sg-")).cloned();
        peers.push(peer_of_attribute("security_groups", id.unwrap_or(word)));
    }
    peers
}

/// A peer of an attribute: a group, of another account with its number before, or a prefix list.
fn peer_of_attribute(attribute: &str, id: String) -> Peer {
    if attribute.starts_with("prefix_list") {
        return Peer::PrefixList(id);
    }
    Peer::Group(match id.split_once('/') {
        Some((account, group)) => {
            GroupRef { account: Some(account.to_owned()), id: group.to_owned() }
        }
        None => GroupRef { account: None, id },
    })
}

/// The group of a rule that is a resource.
fn group_of(
    resource: &Resource<'_>,
    places: &Places<'_>,
    later: &mut Later,
    faults: &mut Faults,
) -> String {
    let key = "security_group_id";
    places.id_of(resource, key, GROUPS, faults).unwrap_or_else(|| later.of_group(key))
}

pub(super) fn rule(
    resource: &Resource<'_>,
    places: &Places<'_>,
    loaded: &mut Loaded,
    faults: &mut Faults,
) -> Option<(String, Found)> {
    let (block, address) = (Block::new(resource), &resource.address);
    if unknown(&block, &["type", "protocol", "from_port", "to_port", "self"], address, loaded) {
        return None;
    }
    let mut later = Later::default();
    let group = group_of(resource, places, &mut later, faults);
    let direction = match block.text("type", faults).as_deref() {
        Some("ingress") => Direction::Ingress,
        Some("egress") => Direction::Egress,
        other => {
            let found = other.unwrap_or("nothing");
            block.fault("type", format_args!("`{found}`: it is `ingress` or `egress`"), faults);
            return None;
        }
    };
    let mut peers = peers(&block, &HashMap::new(), faults);
    let own = block.flag("self");
    if own {
        // Of it the other group is computed, and may be the own one too (7).
        peers.push(peer_of_attribute("", group.clone()));
    } else if let Some(id) = block.text("source_security_group_id", faults) {
        peers.push(peer_of_attribute("", id));
    }
    let others = PEERS.into_iter().filter(|(key, _)| *key != "security_groups");
    for (attribute, kinds) in others.chain([("source_security_group_id", GROUPS)]) {
        // One that is computed where it is not set has nothing to say beside one that is set.
        let set = places.sets(resource, attribute) || !own && peers.is_empty();
        if !block.is_later(attribute) || !set {
            continue;
        }
        later.peer(&peers, attribute);
        let referred = match attribute {
            "source_security_group_id" => places.one(resource, attribute, kinds),
            _ => places.many(resource, attribute, kinds),
        };
        match referred {
            Referred::All(all) => {
                peers.extend(all.iter().map(|of| peer_of_attribute(attribute, of.id())));
                if attribute == "prefix_list_ids" {
                    warn_of_literals(&block, attribute, address, loaded);
                }
            }
            Referred::OneOf(candidates) => {
                later.unresolved.push(not_known(attribute, &candidates));
            }
        }
    }
    finish(resource, "protocol", (group, direction, peers, later), faults)
}

/// `aws_vpc_security_group_…_rule`, which has one peer.
pub(super) fn rule_of_one(
    resource: &Resource<'_>,
    direction: Direction,
    places: &Places<'_>,
    loaded: &mut Loaded,
    faults: &mut Faults,
) -> Option<(String, Found)> {
    let block = Block::new(resource);
    if unknown(&block, &["ip_protocol", "from_port", "to_port"], &resource.address, loaded) {
        return None;
    }
    let mut later = Later::default();
    let group = group_of(resource, places, &mut later, faults);
    let mut peers = Vec::new();
    for key in ["cidr_ipv4", "cidr_ipv6"] {
        peers.extend(block.json.cidr(key, faults).map(Peer::Cidr));
    }
    for key in ["prefix_list_id", "referenced_security_group_id"] {
        peers.extend(block.text(key, faults).map(|id| peer_of_attribute(key, id)));
    }
    for (attribute, kinds) in [
        ("cidr_ipv4", &[] as &[&str]),
        ("cidr_ipv6", &[]),
        ("prefix_list_id", &[LIST]),
        ("referenced_security_group_id", GROUPS),
    ] {
        if !block.is_later(attribute) {
            continue;
        }
        later.peer(&peers, attribute);
        match places.one(resource, attribute, kinds) {
            Referred::All(all) => {
                peers.extend(all.iter().map(|of| peer_of_attribute(attribute, of.id())));
            }
            Referred::OneOf(candidates) => {
                later.unresolved.push(not_known(attribute, &candidates));
            }
        }
    }
    finish(resource, "ip_protocol", (group, direction, peers, later), faults)
}

/// The rule of a resource, when its group and peers are found.
fn finish(
    resource: &Resource<'_>,
    protocol: &str,
    (group, direction, peers, later): (String, Direction, Vec<Peer>, Later),
    faults: &mut Faults,
) -> Option<(String, Found)> {
    if peers.is_empty() && later.unresolved.is_empty() {
        faults.add(&resource.address, "the rule names no peer, so it would match nothing");
        return None;
    }
    let id = RuleId::Named(resource.address.clone());
    let block = Block::new(resource);
    let rule = reading(faults, &id.clone(), &group, |faults| {
        permission(&block, protocol, id, direction, peers, faults)
    })?;
    Some((group, Found { later, ..Found::new(rule, resource.address.clone()) }))
}
