//! Resources of Azure. What they say is put into the words of the command line, and read as such.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::block::Block;
use super::places::{Places, Referred, is_own, not_known, warn_of_literals};
use super::resource::Resource;
use crate::parse::azure;
use crate::parse::json::{Faults, Json, last_part, reading, short_id};
use crate::parse::loaded::{Found, FoundGroup, FoundInterface, Later, Loaded};
use crate::rules::{Cloud, RuleId};

const GROUP: &str = "azurerm_network_security_group";
const ASG: &str = "azurerm_application_security_group";
const NIC: &str = "azurerm_network_interface";
const NIC_GROUP: &str = "azurerm_network_interface_security_group_association";
const NIC_ASG: &str = "azurerm_network_interface_application_security_group_association";
const RULE: &str = "azurerm_network_security_rule";
const SUBNET: &str = "azurerm_subnet";

pub(super) fn read(places: &Places<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    let rules: Vec<(&Resource<'_>, Option<String>)> = places
        .of_kind(RULE)
        .map(|resource| (resource, key_of_rule(resource, places, faults)))
        .collect();
    let beside: HashSet<&String> = rules.iter().filter_map(|(_, key)| key.as_ref()).collect();
    let mut owned: HashSet<String> = HashSet::new();
    for resource in places.of_kind(GROUP) {
        let Some(key) = key_of_group(resource) else {
            let block = Block::new(resource);
            let later = if block.json.has("name") { "resource_group_name" } else { "name" };
            loaded.later(&resource.address, later);
            continue;
        };
        let block = Block::new(resource);
        places.whole(resource, &["security_rule"], beside.contains(&key), loaded);
        let known = loaded.group_of_key(&key, resource.word("name").unwrap_or_default());
        known.address.clone_from(&resource.address);
        known.qualifiers =
            vec![resource.word("resource_group_name").unwrap_or_default().to_owned()];
        known.has_rules = true;
        for one in block.blocks("security_rule", faults) {
            let name = one.text("name", faults).unwrap_or_default();
            let listed_as = format!("{}.{name}", resource.address);
            rule(resource, &one, &listed_as, (&key, None), places, loaded, faults);
        }
        owned.insert(key);
    }
    for (resource, key) in rules {
        let block = Block::new(resource);
        let listed_as = resource.address.clone();
        let Some(key) = key else {
            let unknown = ("", Some("network_security_group_name"));
            rule(resource, &block, &listed_as, unknown, places, loaded, faults);
            continue;
        };
        if !owned.contains(&key) {
            let name = block.text("network_security_group_name", faults);
            let name = name.unwrap_or_else(|| last_part(&key));
            loaded.is_of_another(&resource.address, &name);
            let known = loaded.group_of_key(&key, &name);
            known.qualifiers = block.text("resource_group_name", faults).into_iter().collect();
        }
        rule(resource, &block, &listed_as, (&key, None), places, loaded, faults);
    }
    for resource in places.of_kind(GROUP) {
        if let Some(key) = key_of_group(resource)
            && places.is_computed(resource, "security_rule")
        {
            without_those_beside(resource, places, loaded.group(&key));
        }
    }
    for group in &mut loaded.groups {
        // The cloud takes no name twice; a plan may have it.
        let mut names = HashSet::new();
        for found in &mut group.rules {
            if !names.insert(found.rule.id.to_string()) {
                found.rule.id = RuleId::Named(found.origin.clone());
            }
        }
        azure::add_defaults(&mut group.rules);
    }
    for resource in places.resources {
        let of = resource.word("type").unwrap_or_default().to_ascii_lowercase();
        if resource.kind.starts_with("azapi_") && of.contains("/networksecuritygroups") {
            let message = format!("{}: {} is not read", resource.address, resource.kind);
            loaded.incomplete.push(message);
        }
    }
    stand(places, loaded, faults);
    let of_interfaces = OfInterfaces {
        groups: by_interface(places, NIC_GROUP, "network_security_group_id", loaded, faults),
        tags: by_interface(places, NIC_ASG, "application_security_group_id", loaded, faults),
    };
    for resource in places.of_kind(NIC) {
        interface(resource, &of_interfaces, places, loaded, faults);
    }
}

/// Takes from the rules that a group shows itself those that are resources of their own, or were before the plan.
fn without_those_beside(resource: &Resource<'_>, places: &Places<'_>, group: &mut FoundGroup) {
    let name = |found: &Found| found.rule.id.to_string().to_lowercase();
    let beside: HashSet<String> = places.beside(resource, group).map(name).collect();
    group.rules.retain(|found| !is_own(resource, found) || !beside.contains(&name(found)));
}

/// The key of a group; `None` where its name is known only later.
fn key_of_group(resource: &Resource<'_>) -> Option<String> {
    if Block::new(resource).is_later("resource_group_name") {
        return None;
    }
    Some(key_of(resource.word("resource_group_name").unwrap_or_default(), resource.word("name")?))
}

/// The key of the group that a rule is of, as far as the plan says.
fn key_of_rule(
    resource: &Resource<'_>,
    places: &Places<'_>,
    faults: &mut Faults,
) -> Option<String> {
    let (block, key) = (Block::new(resource), "network_security_group_name");
    let Some(name) = block.text(key, faults) else {
        return key_of_group(places.referred(resource, key, &[GROUP])?);
    };
    if block.is_later("resource_group_name") {
        return None;
    }
    let resource_group = block.text("resource_group_name", faults).unwrap_or_default();
    Some(key_of(&resource_group, &name))
}

/// By which a group is known: a name is unique in its resource group only.
fn key_of(resource_group: &str, name: &str) -> String {
    format!("{resource_group}/{name}").to_lowercase()
}

/// `destinationAddressPrefix` of `destination_address_prefix`
fn camel(key: &str) -> String {
    let mut words = key.split('_');
    let mut name = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        name.push_str(&first.to_uppercase());
        name.push_str(rest);
    }
    name
}

fn rule(
    resource: &Resource<'_>,
    block: &Block<'_>,
    listed_as: &str,
    (key, unknown_group): (&str, Option<&str>),
    places: &Places<'_>,
    loaded: &mut Loaded,
    faults: &mut Faults,
) {
    let Some(values) = block.json.value().as_object() else { return };
    let mut later = Later::default();
    let key = match unknown_group {
        Some(attribute) => later.of_group(attribute),
        None => key.to_owned(),
    };
    let mut words: Map<String, Value> =
        values.iter().map(|(key, value)| (camel(key), value.clone())).collect();
    let ingress = values.get("direction").and_then(Value::as_str);
    let ingress = ingress.is_some_and(|word| word.eq_ignore_ascii_case("inbound"));
    for (side, is_far) in [("source", ingress), ("destination", !ingress)] {
        let attribute = format!("{side}_application_security_group_ids");
        let mut names: Vec<String> =
            block.words(&attribute, faults).iter().map(|id| last_part(id)).collect();
        if block.is_later(&attribute) {
            // Of the rules of a group the configuration has one list of references.
            let referred = match listed_as == resource.address {
                true => places.many(resource, &attribute, &[ASG]),
                false => Referred::OneOf(Vec::new()),
            };
            match referred {
                Referred::All(all) if all.iter().all(|of| of.word("name").is_some()) => {
                    names.extend(all.iter().filter_map(|of| of.word("name")).map(str::to_owned));
                    warn_of_literals(block, &attribute, listed_as, loaded);
                }
                Referred::All(_) => later.unresolved.push(attribute.clone()),
                Referred::OneOf(candidates) => {
                    later.unresolved.push(not_known(&attribute, &candidates));
                }
            }
            let shown = Some(format!("?{attribute}"));
            *(if is_far { &mut later.peer } else { &mut later.local }) = shown;
        }
        if !names.is_empty() {
            let groups = names.iter().map(|name| json!({"id": name})).collect::<Vec<_>>();
            words.insert(format!("{side}ApplicationSecurityGroups"), groups.into());
        }
        let (one, many) = (format!("{side}_address_prefix"), format!("{side}_address_prefixes"));
        if block.json.has(&one) && !block.words(&many, faults).is_empty() {
            loaded.warnings.push(format!(
                "{listed_as} has {one} and {many}, which the cloud refuses: both are taken"
            ));
        }
    }
    let attributes = ["name", "direction", "access", "protocol", "priority"];
    let ranges = ["source", "destination"].map(|side| {
        ["address_prefix", "address_prefixes", "port_range", "port_ranges"]
            .map(|what| format!("{side}_{what}"))
    });
    let all = attributes.iter().map(|key| (*key).to_owned()).chain(ranges.into_iter().flatten());
    let unknown: Vec<String> = all.filter(|key| block.is_later(key)).collect();
    if let Some(first) = unknown.first() {
        return loaded.later(listed_as, first);
    }
    let value = Value::Object(words);
    let json = Json::at(&value, listed_as);
    let Some(name) = block.text("name", faults) else {
        return faults.add(listed_as, "the rule has no name");
    };
    let id = RuleId::Named(name);
    let group = last_part(&key);
    let read = reading(faults, &id.clone(), &group, |faults| azure::rule_of(&json, id, faults));
    let Some((rule, shown)) = read else { return };
    later.peer = later.peer.or(shown);
    let found = Found {
        later,
        listed_as: Some(listed_as.to_owned()),
        ..Found::new(rule, listed_as.to_owned())
    };
    let known = loaded.group(&key);
    known.has_rules = true;
    known.rules.push(found);
}

/// Which groups stand at which subnets.
fn stand(places: &Places<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    // Versions before 2 have it at the subnet itself.
    for resource in places.of_kind(SUBNET) {
        let group = Block::new(resource).text("network_security_group_id", faults);
        let group = group.map(|id| short_id(&id).to_lowercase());
        loaded.subnets.extend(group.map(|group| (resource.id().to_lowercase(), group)));
    }
    for resource in places.of_kind("azurerm_virtual_network") {
        inline_subnets(resource, places, loaded, faults);
    }
    for resource in places.of_kind("azurerm_subnet_network_security_group_association") {
        let group = group_of(places, resource, faults);
        let subnet = places.id_of(resource, "subnet_id", &[SUBNET], faults);
        match (group, subnet) {
            (Some(group), Some(subnet)) => loaded.subnets.push((subnet.to_lowercase(), group)),
            (None, _) => loaded.not_attached(&resource.address, "network_security_group_id"),
            (_, None) => loaded.not_attached(&resource.address, "subnet_id"),
        }
    }
}

/// The subnets that a virtual network has itself, with their groups.
fn inline_subnets(
    resource: &Resource<'_>,
    places: &Places<'_>,
    loaded: &mut Loaded,
    faults: &mut Faults,
) {
    let block = Block::new(resource);
    if block.places("subnet").is_none() && !places.is_default(resource, "subnet") {
        loaded.not_attached(&resource.address, "subnet");
    }
    for one in block.blocks("subnet", faults) {
        if one.is_later("security_group") {
            loaded.not_attached(&resource.address, "subnet.security_group");
        }
        let Some(group) = one.text("security_group", faults) else { continue };
        match one.text("id", faults) {
            Some(id) => loaded.subnets.push((id.to_lowercase(), short_id(&group).to_lowercase())),
            None => loaded.not_attached(&resource.address, "subnet.id"),
        }
    }
}

/// The key of the group that an association is of.
fn group_of(places: &Places<'_>, resource: &Resource<'_>, faults: &mut Faults) -> Option<String> {
    let key = "network_security_group_id";
    let known = Block::new(resource).text(key, faults);
    known
        .map(|id| short_id(&id).to_lowercase())
        .or_else(|| key_of_group(places.referred(resource, key, &[GROUP])?))
}

/// What associations give to interfaces, by the interface's id in small letters.
type ByInterface = HashMap<String, Vec<String>>;

struct OfInterfaces {
    groups: ByInterface,
    tags: ByInterface,
}

fn by_interface(
    places: &Places<'_>,
    kind: &'static str,
    key: &str,
    loaded: &mut Loaded,
    faults: &mut Faults,
) -> ByInterface {
    let mut found = ByInterface::new();
    for resource in places.of_kind(kind) {
        let named = if kind == NIC_GROUP {
            group_of(places, resource, faults)
        } else {
            let known = Block::new(resource).text(key, faults).map(|id| last_part(&id));
            let later = || places.referred(resource, key, &[ASG])?.word("name");
            known.or_else(|| later().map(str::to_owned))
        };
        let nic = places.id_of(resource, "network_interface_id", &[NIC], faults);
        match (named, nic) {
            (Some(named), Some(nic)) => found.entry(nic.to_lowercase()).or_default().push(named),
            (None, _) => loaded.not_attached(&resource.address, key),
            (_, None) => loaded.not_attached(&resource.address, "network_interface_id"),
        }
    }
    found
}

fn interface(
    resource: &Resource<'_>,
    of_interfaces: &OfInterfaces,
    places: &Places<'_>,
    loaded: &mut Loaded,
    faults: &mut Faults,
) {
    let (block, own) = (Block::new(resource), resource.id().to_lowercase());
    let Some(name) = block.text("name", faults) else {
        return loaded.not_attached(&resource.address, "name");
    };
    let mut eni = FoundInterface {
        id: name,
        qualifiers: block.text("resource_group_name", faults).into_iter().collect(),
        timeouts: Cloud::Azure.timeouts(),
        ..FoundInterface::default()
    };
    let all = block.blocks("ip_configuration", faults);
    for (n, one) in all.iter().enumerate() {
        eni.addresses.extend(one.json.cidr("private_ip_address", faults));
        let subnet = one.text("subnet_id", faults);
        let subnet = subnet.or_else(|| {
            let of = ("ip_configuration", n, all.len());
            places.referred_in(resource, of, one, "subnet_id", &[SUBNET]).map(Resource::id)
        });
        if subnet.is_none() && one.is_later("subnet_id") {
            loaded.not_attached(&resource.address, "subnet_id");
        }
        let subnet = subnet.map(|id| id.to_lowercase());
        eni.subnets.extend(subnet.filter(|id| !eni.subnets.contains(id)));
    }
    if block.places("ip_configuration").is_none() {
        loaded.not_attached(&resource.address, "ip_configuration");
    }
    // Of a new interface the address is known later.
    eni.addresses.extend(block.nets("private_ip_addresses", faults));
    eni.addresses.sort_unstable();
    eni.addresses.dedup();
    eni.groups = of_interfaces.groups.get(&own).cloned().unwrap_or_default();
    // Versions before 2 have it here.
    let group = block.text("network_security_group_id", faults);
    eni.groups.extend(group.map(|id| short_id(&id).to_lowercase()));
    eni.tags = of_interfaces.tags.get(&own).cloned().unwrap_or_default();
    loaded.interfaces.push(eni);
}
