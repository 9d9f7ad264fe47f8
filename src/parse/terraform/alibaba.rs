//! Resources of Alibaba Cloud.

use std::collections::HashSet;

use super::block::Block;
use super::places::{Places, Referred, not_known};
use super::resource::Resource;
use crate::flow::Direction;
use crate::parse::json::Faults;
use crate::parse::loaded::{Found, FoundInterface, Later, Loaded};
use crate::parse::vpc::OfAcl;
use crate::rules::{
    GroupRef, GroupType, Layer, Peer, Policy, PortRange, Ports, PrefixList, Priority, Rule, RuleId,
    RuleProtocol,
};

const GROUP: &str = "alicloud_security_group";
const ACL: &str = "alicloud_network_acl";
const LIST: &str = "alicloud_ecs_prefix_list";
const ENTRIES: &str = "alicloud_network_acl_entries";
const ATTACHMENT: &str = "alicloud_network_acl_attachment";
const VSWITCH: &str = "alicloud_vswitch";

pub(super) fn read(places: &Places<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    // Groups first: rules that know a group only by reference look for it.
    for resource in places.of_kind(GROUP) {
        group(resource, places, loaded, faults);
    }
    let owned: Vec<String> = loaded.groups.iter().map(|group| group.id.clone()).collect();
    for resource in places.of_kind("alicloud_security_group_rule") {
        let Some((group, found)) = rule(resource, places, loaded, faults) else { continue };
        if !owned.contains(&group) && found.later.group.is_none() {
            loaded.is_of_another(&resource.address, &group);
        }
        let known = loaded.group(&group);
        known.has_rules = true;
        known.rules.push(found);
    }
    let beside = places.named_by(&[ENTRIES], "network_acl_id", &[ACL]);
    let attached = places.named_by(&[ATTACHMENT], "network_acl_id", &[ACL]);
    for resource in places.of_kind(ACL) {
        network_acl(resource, places, (&beside, &attached), loaded, faults);
    }
    for resource in places.of_kind(ENTRIES) {
        entries(resource, places, loaded, faults);
    }
    for resource in places.of_kind(ATTACHMENT) {
        match places.id_of(resource, "network_acl_id", &[ACL], faults) {
            Some(acl) => stands_at(resource, (&acl, false), places, loaded, faults),
            None => loaded.not_attached(&resource.address, "network_acl_id"),
        }
    }
    for resource in places.of_kind(LIST) {
        places.whole(resource, &["entry"], false, loaded);
        let entries = Places::entries(resource, loaded, faults);
        loaded.prefix_lists.push(PrefixList { id: resource.id(), entries });
    }
    for resource in places.of_kind(VSWITCH) {
        let net = Block::new(resource).json.cidr("cidr_block", faults);
        loaded.networks.extend(net.map(|net| (resource.id(), net)));
    }
    let kinds =
        ["alicloud_ecs_network_interface", "alicloud_network_interface", "alicloud_instance"];
    for resource in places.resources.iter().filter(|of| kinds.contains(&of.kind.as_str())) {
        interface(resource, places, loaded, faults);
    }
}

fn group(resource: &Resource<'_>, places: &Places<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    let block = Block::new(resource);
    // Where they are not set they are computed, and have their defaults.
    for key in ["security_group_type", "inner_access_policy", "inner_access"] {
        if block.is_later(key) && (places.sets(resource, key) || !resource.is_made) {
            loaded.later(&resource.address, key);
        }
    }
    let group_type = block.json.parsed("security_group_type", faults);
    let inner = block.json.parsed::<Policy>("inner_access_policy", faults);
    let allowed = block.text("inner_access", faults).map(|word| match word.as_str() {
        "true" => Policy::Accept,
        _ => Policy::Drop,
    });
    let vpc = block.text("vpc_id", faults);
    let known = loaded.group(&resource.id());
    known.address.clone_from(&resource.address);
    known.group_type = group_type.or(Some(GroupType::Basic));
    known.inner_access_policy = inner.or(allowed);
    known.vpc_id = vpc;
    known.has_rules = true;
}

fn rule(
    resource: &Resource<'_>,
    places: &Places<'_>,
    loaded: &mut Loaded,
    faults: &mut Faults,
) -> Option<(String, Found)> {
    let before = faults.list.len();
    let (address, block) = (&resource.address, Block::new(resource));
    let mut of_rule = Later::default();
    let group = places
        .id_of(resource, "security_group_id", &[GROUP], faults)
        .unwrap_or_else(|| of_rule.of_group("security_group_id"));
    let direction = match block.text("type", faults).as_deref() {
        Some("ingress") => Some(Direction::Ingress),
        Some("egress") => Some(Direction::Egress),
        other => {
            let found = other.unwrap_or("nothing");
            block.fault("type", format_args!("`{found}`: it is `ingress` or `egress`"), faults);
            None
        }
    };
    for key in ["ip_protocol", "policy", "priority"] {
        if block.is_later(key) && places.sets(resource, key) {
            loaded.later(address, key);
            return None;
        }
    }
    let protocol: Option<RuleProtocol> = block.json.parsed("ip_protocol", faults);
    if protocol.is_none() && !block.json.has("ip_protocol") {
        loaded.later(address, "ip_protocol");
        return None;
    }
    let has_ports = protocol.is_some_and(RuleProtocol::has_ports);
    let ports = match block.text("port_range", faults).as_deref() {
        None if block.is_later("port_range") => {
            loaded.later(address, "port_range");
            return None;
        }
        None | Some("-1/-1") if has_ports => vec![Ports::Any],
        None | Some("-1/-1") => Vec::new(),
        Some(_) => {
            let range = block.json.parsed::<PortRange>("port_range", faults);
            range.map(Ports::Range).into_iter().collect()
        }
    };
    let peer = peer(resource, places, &mut of_rule, before, faults);
    let policy = block.json.parsed("policy", faults).unwrap_or(Policy::Accept);
    let priority: Priority = block.json.parsed("priority", faults).unwrap_or(Priority::HIGHEST);
    let description = block.text("description", faults);
    if faults.list.len() > before {
        return None;
    }
    let (id, peers) = (RuleId::Named(address.clone()), peer.into_iter().collect());
    let rule = Rule {
        policy,
        priority,
        ports,
        description,
        ..Rule::new(id, direction?, protocol?, peers)
    };
    Some((group, Found { later: of_rule, ..Found::new(rule, address.clone()) }))
}

fn peer(
    resource: &Resource<'_>,
    places: &Places<'_>,
    of_rule: &mut Later,
    before: usize,
    faults: &mut Faults,
) -> Option<Peer> {
    let block = Block::new(resource);
    for key in ["cidr_ip", "ipv6_cidr_ip"] {
        if let Some(net) = block.json.cidr(key, faults) {
            return Some(Peer::Cidr(net));
        }
    }
    if let Some(id) = block.text("source_security_group_id", faults) {
        let owners = ["source_group_owner_id", "source_group_owner_account"];
        let account = owners.iter().find_map(|key| block.text(key, faults));
        return Some(Peer::Group(GroupRef { account, id }));
    }
    if let Some(id) = block.text("prefix_list_id", faults) {
        return Some(Peer::PrefixList(id));
    }
    if faults.list.len() > before {
        return None;
    }
    let kinds = [
        ("source_security_group_id", GROUP),
        ("prefix_list_id", LIST),
        ("cidr_ip", ""),
        ("ipv6_cidr_ip", ""),
    ];
    // An attribute that the configuration sets says more than one that is merely computed.
    let later = kinds.into_iter().filter(|(key, _)| block.is_later(key));
    let found =
        later.clone().find(|(key, _)| places.sets(resource, key)).or_else(|| later.clone().next());
    let Some((key, kind)) = found else {
        faults.add(&resource.address, "the rule names no peer, so it would match nothing");
        return None;
    };
    of_rule.peer = Some(format!("?{key}"));
    let id = match places.one(resource, key, &[kind]) {
        Referred::All(all) => all.first().map(|of| of.id()),
        Referred::OneOf(candidates) => {
            of_rule.unresolved.push(not_known(key, &candidates));
            None
        }
    };
    let id = id.unwrap_or_else(|| format!("?{key}"));
    Some(match key {
        "prefix_list_id" => Peer::PrefixList(id),
        _ => Peer::Group(GroupRef { account: None, id }),
    })
}

/// A network ACL, whose entries stand in the order in which they are looked at (SEMANTICS H5).
fn network_acl(
    resource: &Resource<'_>,
    places: &Places<'_>,
    (beside, attached): (&HashSet<String>, &HashSet<String>),
    loaded: &mut Loaded,
    faults: &mut Faults,
) {
    let (block, id) = (Block::new(resource), resource.id());
    let vpc = block.text("vpc_id", faults);
    let keys = ["ingress_acl_entries", "egress_acl_entries"];
    places.whole(resource, &keys, beside.contains(&id), loaded);
    let rules = acl_entries(resource, keys, loaded, faults);
    stands_at(resource, (&id, attached.contains(&id)), places, loaded, faults);
    let known = loaded.group(&id);
    known.address.clone_from(&resource.address);
    (known.layer, known.vpc_id, known.rules, known.has_rules) =
        (Layer::NetworkAcl, vpc, rules, true);
}

/// Entries that are a resource of their own, which are all that the network ACL has: what it shows itself are the same
/// ones, as they were.
fn entries(resource: &Resource<'_>, places: &Places<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    let Some(id) = places.id_of(resource, "network_acl_id", &[ACL], faults) else {
        return loaded.later(&resource.address, "network_acl_id");
    };
    let keys = ["ingress", "egress"];
    places.whole(resource, &keys, false, loaded);
    let rules = acl_entries(resource, keys, loaded, faults);
    let set = ["ingress_acl_entries", "egress_acl_entries"];
    let acl = places.of_kind(ACL).find(|of| of.id() == id);
    if acl.is_some_and(|acl| set.iter().any(|key| places.sets(acl, key))) {
        loaded.incomplete.push(format!(
            "{}: {id} has entries of its own too, and they overwrite each other at every apply",
            resource.address
        ));
    }
    let known = loaded.group(&id);
    (known.layer, known.rules, known.has_rules) = (Layer::NetworkAcl, rules, true);
}

/// The entries of both directions, under these keys.
fn acl_entries(
    resource: &Resource<'_>,
    [ingress, egress]: [&str; 2],
    loaded: &mut Loaded,
    faults: &mut Faults,
) -> Vec<Found> {
    let block = Block::new(resource);
    let mut rules = Vec::new();
    for (key, direction, far) in [
        (ingress, Direction::Ingress, "source_cidr_ip"),
        (egress, Direction::Egress, "destination_cidr_ip"),
    ] {
        for (place, entry) in block.blocks(key, faults).into_iter().enumerate() {
            let origin = format!("{}.{key}[{place}]", resource.address);
            rules.extend(acl_entry(&entry, (direction, place, far), origin, loaded, faults));
        }
    }
    rules
}

fn acl_entry(
    entry: &Block<'_>,
    (direction, place, far): (Direction, usize, &str),
    origin: String,
    loaded: &mut Loaded,
    faults: &mut Faults,
) -> Option<Found> {
    for key in ["protocol", "policy", "port", "entry_type", far] {
        if entry.is_later(key) {
            loaded.later(&origin, key);
            return None;
        }
    }
    let protocol = entry.json.protocol("protocol", faults)?;
    let policy = entry.json.parsed("policy", faults).unwrap_or(Policy::Accept);
    let Some(net) = entry.json.cidr(far, faults) else {
        entry.fault(far, "the entry names no addresses", faults);
        return None;
    };
    let ports = match entry.text("port", faults).as_deref() {
        None | Some("-1/-1") => None,
        Some(_) => entry.json.parsed::<PortRange>("port", faults).map(Ports::Range),
    };
    let kind = entry.text("entry_type", faults);
    let place = Priority::new(u32::try_from(place + 1).unwrap_or(u32::MAX));
    let id = RuleId::Named(origin.clone());
    let rule = OfAcl { protocol, net, policy, ports, kind }.rule(id, direction, place);
    let rule = Rule { description: entry.text("description", faults), ..rule };
    Some(Found { note: "stateless".to_owned(), ..Found::new(rule, origin) })
}

/// Where a network ACL stands, by its own resource or by one that attaches it.
fn stands_at(
    resource: &Resource<'_>,
    (acl, attached): (&str, bool),
    places: &Places<'_>,
    loaded: &mut Loaded,
    faults: &mut Faults,
) {
    let block = Block::new(resource);
    let all = block.blocks("resources", faults);
    // That of an ACL is computed where attachments are resources of their own.
    let later = all.iter().filter(|of| of.is_later("resource_id")).count();
    let is_open = block.places("resources").is_none();
    let is_beside = resource.is_made && !places.sets(resource, "resources") && attached;
    if is_open && !is_beside {
        loaded.not_attached(&resource.address, "resources");
    } else if later > 0 {
        match places.places_of(resource, "resources", later, &[VSWITCH]) {
            Referred::All(all) => {
                loaded.subnets.extend(all.iter().map(|of| (of.id(), acl.to_owned())));
            }
            Referred::OneOf(_) => loaded.not_attached(&resource.address, "resources"),
        }
    }
    for of in all {
        let vswitch = of.text("resource_id", faults);
        loaded.subnets.extend(vswitch.map(|vswitch| (vswitch, acl.to_owned())));
    }
}

fn interface(
    resource: &Resource<'_>,
    places: &Places<'_>,
    loaded: &mut Loaded,
    faults: &mut Faults,
) {
    let block = Block::new(resource);
    let of_instance =
        block.text("network_interface_id", faults).filter(|_| resource.kind == "alicloud_instance");
    let id = of_instance.unwrap_or_else(|| resource.id());
    let mut addresses = Vec::new();
    for key in [
        "private_ip",
        "primary_ip_address",
        "private_ip_addresses",
        "private_ips",
        "ipv6_addresses",
        "ipv6_prefixes",
        "ipv4_prefixes",
    ] {
        addresses.extend(block.nets(key, faults));
    }
    addresses.sort_unstable();
    addresses.dedup();
    let groups = places.groups_of(
        resource,
        &["security_groups", "security_group_ids"],
        &[GROUP],
        loaded,
        faults,
    );
    let vswitch = places.id_of(resource, "vswitch_id", &[VSWITCH], faults);
    let subnets = vswitch.into_iter().collect();
    if !groups.is_empty() {
        let eni = FoundInterface { id, addresses, groups, subnets, ..FoundInterface::default() };
        loaded.interfaces.push(eni);
    }
}
