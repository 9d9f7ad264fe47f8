//! Resources of AWS.

mod acls;
mod groups;

use std::collections::{HashMap, HashSet};

use super::block::Block;
use super::places::{Places, is_own};
use super::resource::{Resource, later};
use crate::flow::Direction;
use crate::parse::json::Faults;
use crate::parse::loaded::{Found, FoundInterface, Loaded};
use crate::rules::{Cloud, Layer, PrefixList};
use acls::{acl_rule, last_entries, network_acl, without_entries_beside};
use groups::{group, rule, rule_of_one, without_those_beside};

const GROUPS: &[&str] = &["aws_security_group", "aws_default_security_group"];
const ACLS: &[&str] = &["aws_network_acl", "aws_default_network_acl"];
const LIST: &str = "aws_ec2_managed_prefix_list";
const SUBNET: &str = "aws_subnet";
const ASSOCIATION: &str = "aws_network_acl_association";
const INTERFACES: &[&str] = &["aws_network_interface", "aws_instance"];

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

/// A value that makes a rule unreadable as long as it is not known.
fn unknown(block: &Block<'_>, keys: &[&'static str], at: &str, loaded: &mut Loaded) -> bool {
    let later = keys.iter().find(|key| block.is_later(key));
    if let Some(key) = later {
        loaded.later(at, key);
    }
    later.is_some()
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
