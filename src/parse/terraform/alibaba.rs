//! Resources of Alibaba Cloud.

use super::{Block, Places, Referred, Resource, not_known};
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
const VSWITCH: &str = "alicloud_vswitch";

pub(super) fn read(places: &Places<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    // Groups first: rules that know a group only by reference look for it.
    for resource in places.of_kind(GROUP) {
        group(resource, loaded, faults);
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
    for resource in places.of_kind(ACL) {
        network_acl(resource, places, loaded, faults);
    }
    for resource in places.of_kind("alicloud_network_acl_attachment") {
        let block = Block::of(resource);
        if let Some(acl) = group_of(places, resource, "network_acl_id", &[ACL], faults) {
            stands_at(&block.blocks("resources", faults), &acl, loaded, faults);
        }
    }
    for resource in places.of_kind(LIST) {
        let block = Block::of(resource);
        let entries = block.blocks("entry", faults);
        let cidrs = entries.iter().filter_map(|entry| entry.json.cidr("cidr", faults));
        loaded.prefix_lists.push(PrefixList { id: resource.id(), entries: cidrs.collect() });
    }
    for resource in places.of_kind(VSWITCH) {
        let net = Block::of(resource).json.cidr("cidr_block", faults);
        loaded.networks.extend(net.map(|net| (resource.id(), net)));
    }
    let kinds =
        ["alicloud_ecs_network_interface", "alicloud_network_interface", "alicloud_instance"];
    for resource in places.resources.iter().filter(|of| kinds.contains(&of.kind.as_str())) {
        loaded.interfaces.extend(interface(resource, places, faults));
    }
}

fn group(resource: &Resource<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    let block = Block::of(resource);
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

/// The id under a key; where it is known only later, that of the resource that the configuration names.
fn group_of(
    places: &Places<'_>,
    resource: &Resource<'_>,
    key: &str,
    kinds: &[&str],
    faults: &mut Faults,
) -> Option<String> {
    let known = Block::of(resource).text(key, faults);
    known.or_else(|| match places.referred(&resource.address, key, kinds) {
        Referred::One(of) => Some(of.id()),
        Referred::OneOf(_) => None,
    })
}

fn rule(
    resource: &Resource<'_>,
    places: &Places<'_>,
    loaded: &mut Loaded,
    faults: &mut Faults,
) -> Option<(String, Found)> {
    let before = faults.list.len();
    let (address, block) = (&resource.address, Block::of(resource));
    let mut of_rule = Later::default();
    let group = group_of(places, resource, "security_group_id", &[GROUP], faults)
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
    let block = Block::of(resource);
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
    let id = match places.referred(&resource.address, key, &[kind]) {
        Referred::One(of) => of.id(),
        Referred::OneOf(candidates) => {
            of_rule.unresolved.push(not_known(key, &candidates));
            format!("?{key}")
        }
    };
    Some(match key {
        "prefix_list_id" => Peer::PrefixList(id),
        _ => Peer::Group(GroupRef { account: None, id }),
    })
}

/// A network ACL, whose entries stand in the order in which they are looked at (SEMANTICS H5).
fn network_acl(
    resource: &Resource<'_>,
    places: &Places<'_>,
    loaded: &mut Loaded,
    faults: &mut Faults,
) {
    let (block, id) = (Block::of(resource), resource.id());
    let vpc = block.text("vpc_id", faults);
    let mut rules = Vec::new();
    for (key, direction, far) in [
        ("ingress_acl_entries", Direction::Ingress, "source_cidr_ip"),
        ("egress_acl_entries", Direction::Egress, "destination_cidr_ip"),
    ] {
        if block.is_later(key) && places.sets(resource, key) {
            loaded.later(&resource.address, key);
        }
        for (place, entry) in block.blocks(key, faults).into_iter().enumerate() {
            let origin = format!("{}.{key}[{place}]", resource.address);
            rules.extend(acl_entry(&entry, (direction, place, far), origin, faults));
        }
    }
    stands_at(&block.blocks("resources", faults), &id, loaded, faults);
    let known = loaded.group(&id);
    known.address.clone_from(&resource.address);
    (known.layer, known.vpc_id, known.rules, known.has_rules) =
        (Layer::NetworkAcl, vpc, rules, true);
}

fn acl_entry(
    entry: &Block<'_>,
    (direction, place, far): (Direction, usize, &str),
    origin: String,
    faults: &mut Faults,
) -> Option<Found> {
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

fn stands_at(blocks: &[Block<'_>], acl: &str, loaded: &mut Loaded, faults: &mut Faults) {
    for of in blocks {
        let vswitch = of.text("resource_id", faults);
        loaded.subnets.extend(vswitch.map(|vswitch| (vswitch, acl.to_owned())));
    }
}

fn interface(
    resource: &Resource<'_>,
    places: &Places<'_>,
    faults: &mut Faults,
) -> Option<FoundInterface> {
    let block = Block::of(resource);
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
    let mut groups = Vec::new();
    for key in ["security_groups", "security_group_ids"] {
        for id in block.words(key, faults) {
            if !groups.contains(&id) {
                groups.push(id);
            }
        }
        if groups.is_empty() && block.is_later(key) {
            let referred = places.all_referred(&resource.address, key, &[GROUP]);
            groups.extend(referred.into_iter().map(Resource::id));
        }
    }
    let vswitch = block.text("vswitch_id", faults).or_else(|| {
        match places.referred(&resource.address, "vswitch_id", &[VSWITCH]) {
            Referred::One(of) => Some(of.id()),
            Referred::OneOf(_) => None,
        }
    });
    let subnets = vswitch.into_iter().collect();
    (!groups.is_empty()).then_some(FoundInterface {
        id,
        addresses,
        groups,
        subnets,
        ..FoundInterface::default()
    })
}
