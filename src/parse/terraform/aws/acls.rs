//! Network ACLs, with entries as blocks and as resources.

use std::collections::{HashMap, HashSet};

use super::{ACLS, Beside, SUBNET, unknown};
use crate::flow::Direction;
use crate::parse::aws;
use crate::parse::json::{Faults, reading};
use crate::parse::loaded::{Found, Later, Loaded, Standing};
use crate::parse::terraform::block::Block;
use crate::parse::terraform::places::{Places, Referred, is_own, warn_of_literals};
use crate::parse::terraform::resource::Resource;
use crate::rules::{Layer, Peer, Policy, Priority, Rule, RuleId, RuleProtocol};

/// Removes from the entries of a network ACL those that are resources of their own, or were before the plan. Reports
/// two entries with the same number, of which the cloud keeps one.
pub(super) fn without_entries_beside(
    resource: &Resource<'_>,
    places: &Places<'_>,
    loaded: &mut Loaded,
) {
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

pub(super) fn network_acl(
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

pub(super) fn acl_rule(
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
pub(super) fn last_entries() -> impl Iterator<Item = Found> {
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
