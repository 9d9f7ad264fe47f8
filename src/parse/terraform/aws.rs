//! Resources of AWS.

use std::collections::{HashMap, HashSet};

use super::{Block, Places, Referred, Resource, is_own, later, not_known, warn_of_literals};
use crate::flow::Direction;
use crate::parse::aws;
use crate::parse::json::{Faults, reading};
use crate::parse::loaded::{Found, FoundGroup, FoundInterface, Later, Loaded, Standing};
use crate::rules::{
    Cloud, GroupRef, Layer, Peer, Policy, PrefixList, Priority, Rule, RuleId, RuleProtocol,
};

const GROUPS: &[&str] = &["aws_security_group", "aws_default_security_group"];
const ACLS: &[&str] = &["aws_network_acl", "aws_default_network_acl"];
const LIST: &str = "aws_ec2_managed_prefix_list";
const SUBNET: &str = "aws_subnet";
const ASSOCIATION: &str = "aws_network_acl_association";
const INTERFACES: &[&str] = &["aws_network_interface", "aws_instance"];

/// Attributes of peers, the type of resource that each can be of, in the order of the neutral table.
const PEERS: [(&str, &[&str]); 4] = [
    ("cidr_blocks", &[]),
    ("ipv6_cidr_blocks", &[]),
    ("prefix_list_ids", &[LIST]),
    ("security_groups", GROUPS),
];

/// Rules that are resources of their own.
const RULES: [&str; 3] = [
    "aws_security_group_rule",
    "aws_vpc_security_group_ingress_rule",
    "aws_vpc_security_group_egress_rule",
];
const ENTRY: &str = "aws_ec2_managed_prefix_list_entry";

/// The resources whose blocks are resources beside them, by their ids.
struct Beside {
    groups: HashSet<String>,
    acls: HashSet<String>,
    associated: HashSet<String>,
    lists: HashSet<String>,
}

pub(super) fn read(places: &Places<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    let all = || places.resources.iter();
    let of = |kinds: &'static [&str]| all().filter(|of| kinds.contains(&of.kind.as_str()));
    // Groups first, by whose names rules may name them.
    let names: HashMap<&str, String> =
        of(GROUPS).filter_map(|of| Some((of.word("name")?, of.id()))).collect();
    let beside = Beside {
        groups: places.named_by(&RULES, "security_group_id", GROUPS),
        acls: places.named_by(&["aws_network_acl_rule"], "network_acl_id", ACLS),
        associated: places.named_by(&[ASSOCIATION], "network_acl_id", ACLS),
        lists: places.named_by(&[ENTRY], "prefix_list_id", &[LIST]),
    };
    for resource in of(GROUPS) {
        group(resource, places, (&names, &beside), loaded, faults);
    }
    let owned: HashSet<String> = loaded.groups.iter().map(|group| group.id.clone()).collect();
    for resource in all() {
        let found = match resource.kind.as_str() {
            "aws_security_group_rule" => rule(resource, places, loaded, faults),
            "aws_vpc_security_group_ingress_rule" => {
                rule_of_one(resource, Direction::Ingress, places, loaded, faults)
            }
            "aws_vpc_security_group_egress_rule" => {
                rule_of_one(resource, Direction::Egress, places, loaded, faults)
            }
            _ => continue,
        };
        let Some((group, found)) = found else { continue };
        if !owned.contains(&group) && found.later.group.is_none() {
            loaded.is_of_another(&resource.address, &group);
        }
        let known = loaded.group(&group);
        known.has_rules = true;
        known.rules.push(found);
    }
    for resource in of(GROUPS) {
        let id = resource.id();
        let known = loaded.group(&id);
        without_those_beside(resource, places, known);
        let is_own = |found: &Found| is_own(resource, found);
        if known.rules.iter().any(is_own) && !known.rules.iter().all(is_own) {
            loaded.warnings.push(format!(
                "{id} has rules of its own and rules that are resources, which overwrite each other at every apply: \
                 all of them are taken"
            ));
        }
    }
    for resource in of(ACLS) {
        network_acl(resource, places, &beside, loaded, faults);
    }
    for resource in places.of_kind("aws_network_acl_rule") {
        acl_rule(resource, places, loaded, faults);
    }
    for resource in of(ACLS) {
        without_entries_beside(resource, places, loaded);
    }
    for group in &mut loaded.groups {
        if group.layer == Layer::NetworkAcl {
            group.rules.extend(last_entries());
        }
    }
    lists(places, &beside, loaded, faults);
    subnets(places, loaded, faults);
    let attached = attachments(places, loaded, faults);
    for resource in of(INTERFACES) {
        interface(resource, &attached, places, loaded, faults);
    }
}

/// Takes from the rules that a group shows itself what is a resource of its own, or was one before the plan.
fn without_those_beside(resource: &Resource<'_>, places: &Places<'_>, group: &mut FoundGroup) {
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

/// The same of a network ACL, whose entries have numbers. Of two with one number the cloud takes one.
fn without_entries_beside(resource: &Resource<'_>, places: &Places<'_>, loaded: &mut Loaded) {
    let acl = loaded.group(&resource.id());
    let is_in = |found: &Found| found.rule.direction == Direction::Ingress;
    let number = |found: &Found| (is_in(found), found.rule.priority);
    let beside: HashSet<_> = places.beside(resource, acl).map(number).collect();
    let is_computed = ["egress", "ingress"].map(|key| places.is_computed(resource, key));
    acl.rules.retain(|found| {
        let [egress, ingress] = is_computed;
        let is_computed = if is_in(found) { ingress } else { egress };
        !(is_own(resource, found) && is_computed && beside.contains(&number(found)))
    });
    let says = |found: &Found| Rule {
        id: RuleId::Named(String::new()),
        description: None,
        ..found.rule.clone()
    };
    let mut entries: HashMap<_, &Found> = HashMap::new();
    let mut twice = Vec::new();
    for found in &acl.rules {
        let first = *entries.entry(number(found)).or_insert(found);
        if says(first) != says(found) {
            twice.push(format!(
                "{} and {} have the number {}, and the cloud takes one of them",
                first.origin,
                found.origin,
                found.rule.priority.get()
            ));
        }
    }
    loaded.incomplete.extend(twice);
}

/// A group, with the rules that it has itself.
fn group(
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
                        peers.extend(all.iter().map(|of| peer(attribute, of.id())));
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
        peers.push(peer("security_groups", id.unwrap_or(word)));
    }
    peers
}

/// A peer of an attribute: a group, of another account with its number before, or a prefix list.
fn peer(attribute: &str, id: String) -> Peer {
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

/// A value that makes a rule unreadable as long as it is not known.
fn unknown(block: &Block<'_>, keys: &[&'static str], at: &str, loaded: &mut Loaded) -> bool {
    let later = keys.iter().find(|key| block.is_later(key));
    if let Some(key) = later {
        loaded.later(at, key);
    }
    later.is_some()
}

fn rule(
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
        peers.push(peer("", group.clone()));
    } else if let Some(id) = block.text("source_security_group_id", faults) {
        peers.push(peer("", id));
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
                peers.extend(all.iter().map(|of| peer(attribute, of.id())));
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
fn rule_of_one(
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
        peers.extend(block.text(key, faults).map(|id| peer(key, id)));
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
            Referred::All(all) => peers.extend(all.iter().map(|of| peer(attribute, of.id()))),
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

fn network_acl(
    resource: &Resource<'_>,
    places: &Places<'_>,
    beside: &Beside,
    loaded: &mut Loaded,
    faults: &mut Faults,
) {
    let (block, id) = (Block::new(resource), resource.id());
    let mut rules = Vec::new();
    places.whole(resource, &["ingress", "egress"], beside.acls.contains(&id), loaded);
    for (key, direction) in [("ingress", Direction::Ingress), ("egress", Direction::Egress)] {
        for (n, one) in block.blocks(key, faults).iter().enumerate() {
            let origin = format!("{}.{key}[{n}]", resource.address);
            let of = OfAcl { number: "rule_no", action: "action", direction };
            rules.extend(entry(one, &of, origin, &id, loaded, faults));
        }
    }
    for subnet in block.words("subnet_ids", faults) {
        loaded.subnets.push((subnet, id.clone()));
    }
    let is_beside = beside.associated.contains(&id) && !places.sets(resource, "subnet_ids");
    if block.is_later("subnet_ids") && !is_beside {
        match places.many(resource, "subnet_ids", &[SUBNET]) {
            Referred::All(all) => {
                loaded.subnets.extend(all.into_iter().map(|of| (of.id(), id.clone())));
                warn_of_literals(&block, "subnet_ids", &resource.address, loaded);
            }
            Referred::OneOf(_) => loaded.not_attached(&resource.address, "subnet_ids"),
        }
    }
    let vpc = block.text("vpc_id", faults);
    let known = loaded.group(&id);
    known.address.clone_from(&resource.address);
    (known.layer, known.has_rules, known.vpc_id) = (Layer::NetworkAcl, true, vpc);
    known.rules.extend(rules);
}

/// The attributes that entries have under different names.
struct OfAcl {
    number: &'static str,
    action: &'static str,
    direction: Direction,
}

fn entry(
    block: &Block<'_>,
    of: &OfAcl,
    origin: String,
    acl: &str,
    loaded: &mut Loaded,
    faults: &mut Faults,
) -> Option<Found> {
    let keys = [
        of.number,
        of.action,
        "egress",
        "protocol",
        "cidr_block",
        "ipv6_cidr_block",
        "from_port",
        "to_port",
        "icmp_type",
        "icmp_code",
    ];
    if unknown(block, &keys, &origin, loaded) {
        return None;
    }
    let id = RuleId::Named(origin.clone());
    let rule = reading(faults, &id.clone(), acl, |faults| {
        let protocol = block.json.protocol("protocol", faults)?;
        let priority: Option<Priority> = block.json.parsed(of.number, faults);
        if priority.is_none() && !block.json.has(of.number) {
            block.fault(of.number, "the entry has no number", faults);
        }
        let policy = match block.text(of.action, faults).map(|word| word.to_ascii_lowercase()) {
            Some(word) if word == "allow" => Policy::Accept,
            Some(word) if word == "deny" => Policy::Drop,
            _ => {
                block.fault(of.action, "it is `allow` or `deny`", faults);
                return None;
            }
        };
        let nets = ["cidr_block", "ipv6_cidr_block"].map(|key| block.json.cidr(key, faults));
        let peers: Vec<Peer> = nets.into_iter().flatten().map(Peer::Cidr).collect();
        let keys = match aws::is_icmp(protocol) {
            true => ("icmp_type", "icmp_code"),
            false => ("from_port", "to_port"),
        };
        let (ports, icmp) = aws::ports(&block.json, protocol, keys, faults);
        Some(Rule {
            policy,
            priority: priority?,
            ports,
            icmp,
            ..Rule::new(id, of.direction, protocol, peers)
        })
    })?;
    Some(Found { note: "stateless".to_owned(), ..Found::new(rule, origin) })
}

fn acl_rule(
    resource: &Resource<'_>,
    places: &Places<'_>,
    loaded: &mut Loaded,
    faults: &mut Faults,
) {
    let block = Block::new(resource);
    let key = "network_acl_id";
    let mut later = Later::default();
    let acl = places.id_of(resource, key, ACLS, faults).unwrap_or_else(|| later.of_group(key));
    let direction = if block.flag("egress") { Direction::Egress } else { Direction::Ingress };
    let of = OfAcl { number: "rule_number", action: "rule_action", direction };
    let Some(found) = entry(&block, &of, resource.address.clone(), &acl, loaded, faults) else {
        return;
    };
    let is_known = loaded.groups.iter().any(|group| group.id == acl && group.has_rules);
    if !is_known && later.group.is_none() {
        loaded.is_of_another(&resource.address, &acl);
    }
    let known = loaded.group(&acl);
    (known.layer, known.has_rules) = (Layer::NetworkAcl, true);
    known.rules.push(Found { later, ..found });
}

/// The entries `*`, which every network ACL has at its end and no configuration.
fn last_entries() -> impl Iterator<Item = Found> {
    let each = Direction::BOTH.into_iter().flat_map(|direction| {
        [(32_767, "0.0.0.0/0"), (32_768, "::/0")].map(|(number, net)| (direction, number, net))
    });
    each.map(|(direction, number, net)| {
        let priority = Priority::new(number);
        let id = RuleId::Named(crate::parse::group::of_number(direction, priority));
        let peers = net.parse().ok().map(Peer::Cidr).into_iter().collect();
        let rule = Rule {
            policy: Policy::Drop,
            priority,
            ..Rule::new(id, direction, RuleProtocol::All, peers)
        };
        let origin = "the entry * of every network ACL".to_owned();
        Found {
            standing: Standing::Implied,
            note: "stateless".to_owned(),
            ..Found::new(rule, origin)
        }
    })
}

fn lists(places: &Places<'_>, beside: &Beside, loaded: &mut Loaded, faults: &mut Faults) {
    for resource in places.of_kind(LIST) {
        places.whole(resource, &["entry"], beside.lists.contains(&resource.id()), loaded);
        let entries = Places::entries(resource, loaded, faults);
        loaded.prefix_lists.push(PrefixList { id: resource.id(), entries });
    }
    for resource in places.of_kind(ENTRY) {
        let block = Block::new(resource);
        let Some(list) = places.id_of(resource, "prefix_list_id", &[LIST], faults) else {
            loaded.later(&resource.address, "prefix_list_id");
            continue;
        };
        let Some(net) = block.json.cidr("cidr", faults) else {
            loaded.later(&resource.address, "cidr");
            continue;
        };
        match loaded.prefix_lists.iter_mut().find(|known| known.id == list) {
            Some(known) if known.entries.contains(&net) => {}
            Some(known) => known.entries.push(net),
            None => loaded.prefix_lists.push(PrefixList { id: list, entries: vec![net] }),
        }
    }
    // One without entries has none that could match; of one that somebody else fills nothing is known.
    loaded.prefix_lists.retain(|list| !list.entries.is_empty());
}

fn subnets(places: &Places<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    for resource in places.of_kind(SUBNET) {
        let block = Block::new(resource);
        for key in ["cidr_block", "ipv6_cidr_block"] {
            let net = block.json.cidr(key, faults);
            loaded.networks.extend(net.map(|net| (resource.id(), net)));
        }
    }
    for resource in places.of_kind(ASSOCIATION) {
        let acl = places.id_of(resource, "network_acl_id", ACLS, faults);
        let subnet = places.id_of(resource, "subnet_id", &[SUBNET], faults);
        match (acl, subnet) {
            (Some(acl), Some(subnet)) => loaded.subnets.push((subnet, acl)),
            (None, _) => loaded.not_attached(&resource.address, "network_acl_id"),
            (_, None) => loaded.not_attached(&resource.address, "subnet_id"),
        }
    }
}

/// The groups that resources of their own attach to interfaces, by the interface.
fn attachments(
    places: &Places<'_>,
    loaded: &mut Loaded,
    faults: &mut Faults,
) -> HashMap<String, Vec<String>> {
    let mut found: HashMap<String, Vec<String>> = HashMap::new();
    for resource in places.of_kind("aws_network_interface_sg_attachment") {
        let eni = places.id_of(resource, "network_interface_id", INTERFACES, faults);
        let group = places.id_of(resource, "security_group_id", GROUPS, faults);
        match (eni, group) {
            (Some(eni), Some(group)) => found.entry(eni).or_default().push(group),
            (None, _) => loaded.not_attached(&resource.address, "network_interface_id"),
            (_, None) => loaded.not_attached(&resource.address, "security_group_id"),
        }
    }
    found
}

fn interface(
    resource: &Resource<'_>,
    attached: &HashMap<String, Vec<String>>,
    places: &Places<'_>,
    loaded: &mut Loaded,
    faults: &mut Faults,
) {
    let (block, before) = (Block::new(resource), loaded.incomplete.len());
    let primary = block.text("primary_network_interface_id", faults);
    let mut eni = FoundInterface {
        id: primary.unwrap_or_else(|| resource.id()),
        timeouts: Cloud::Aws.timeouts(),
        ..FoundInterface::default()
    };
    for key in [
        "private_ip",
        "private_ips",
        "private_ip_list",
        "secondary_private_ips",
        "ipv4_prefixes",
        "ipv6_addresses",
        "ipv6_address_list",
        "ipv6_prefixes",
    ] {
        eni.addresses.extend(block.nets(key, faults));
    }
    eni.addresses.sort_unstable();
    eni.addresses.dedup();
    // An instance's `security_groups` are names, which its `vpc_security_group_ids` have by their ids.
    let keys: &[&str] = match resource.kind.as_str() {
        "aws_instance" if !block.words("vpc_security_group_ids", faults).is_empty() => {
            &["vpc_security_group_ids"]
        }
        _ => &["vpc_security_group_ids", "security_groups"],
    };
    eni.groups = places.groups_of(resource, keys, GROUPS, loaded, faults);
    let attached = [&eni.id, &later(&resource.address)].map(|id| attached.get(id));
    for group in attached.into_iter().flatten().flatten() {
        if !eni.groups.contains(group) {
            eni.groups.push(group.clone());
        }
    }
    if eni.groups.is_empty() && !eni.addresses.is_empty() && loaded.incomplete.len() == before {
        loaded.incomplete.push(format!(
            "{} names no group: it has its VPC's default one, which is not known",
            resource.address
        ));
    }
    eni.subnets.extend(places.id_of(resource, "subnet_id", &[SUBNET], faults));
    if !eni.groups.is_empty() && !loaded.interfaces.iter().any(|known| known.id == eni.id) {
        loaded.interfaces.push(eni);
    }
}
