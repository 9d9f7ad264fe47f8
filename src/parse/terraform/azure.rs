//! Resources of Azure. What they say is put into the words of the command line, and read as such.

use serde_json::{Map, Value, json};

use super::{Block, Places, Referred, Resource, not_known};
use crate::parse::azure;
use crate::parse::json::{Faults, Json, last_part, reading, short_id};
use crate::parse::loaded::{Found, FoundInterface, Later, Loaded};
use crate::rules::{Cloud, RuleId};

const GROUP: &str = "azurerm_network_security_group";
const ASG: &str = "azurerm_application_security_group";
const NIC: &str = "azurerm_network_interface";
const SUBNET: &str = "azurerm_subnet";

pub(super) fn read(places: &Places<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    let mut owned = Vec::new();
    for resource in places.of_kind(GROUP) {
        let (Some(name), resource_group) =
            (resource.word("name"), resource.word("resource_group_name").unwrap_or_default())
        else {
            loaded.later(&resource.address, "name");
            continue;
        };
        let key = key_of(resource_group, name);
        owned.push(key.clone());
        let block = Block::of(resource);
        if block.is_later("security_rule") && places.sets(resource, "security_rule") {
            loaded.later(&resource.address, "security_rule");
        }
        let known = loaded.group_of_key(&key, name);
        known.address.clone_from(&resource.address);
        known.qualifiers = vec![resource_group.to_owned()];
        known.has_rules = true;
        for one in block.blocks("security_rule", faults) {
            let name = one.text("name", faults).unwrap_or_default();
            let listed_as = format!("{}.{name}", resource.address);
            rule(resource, &one, &listed_as, (&key, None), places, loaded, faults);
        }
    }
    for resource in places.of_kind("azurerm_network_security_rule") {
        let block = Block::of(resource);
        let name = block.text("network_security_group_name", faults);
        let resource_group = block.text("resource_group_name", faults).unwrap_or_default();
        let (key, unknown) = match &name {
            Some(name) => (key_of(&resource_group, name), None),
            None => {
                match places.referred(&resource.address, "network_security_group_name", &[GROUP]) {
                    Referred::One(of) if of.word("name").is_some() => {
                        (key_of(&resource_group, of.word("name").unwrap_or_default()), None)
                    }
                    _ => (String::new(), Some("network_security_group_name")),
                }
            }
        };
        if unknown.is_none() && !owned.contains(&key) {
            let group = last_part(&key);
            let name = name.unwrap_or(group);
            loaded.is_of_another(&resource.address, &name);
            let known = loaded.group_of_key(&key, &name);
            known.qualifiers = vec![resource_group];
        }
        let listed_as = resource.address.clone();
        rule(resource, &block, &listed_as, (&key, unknown), places, loaded, faults);
    }
    for group in &mut loaded.groups {
        azure::add_defaults(&mut group.rules);
    }
    stand(places, loaded, faults);
    for resource in places.of_kind(NIC) {
        interface(resource, places, loaded, faults);
    }
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
            let referred = places.all_referred(&resource.address, &attribute, &[ASG]);
            let known: Vec<&str> = referred.iter().filter_map(|of| of.word("name")).collect();
            let missing = values
                .get(&attribute)
                .and_then(Value::as_array)
                .map_or(1, |all| all.iter().filter(|one| one.is_null()).count());
            if known.len() != missing || known.len() != referred.len() {
                let candidates: Vec<&str> = referred.iter().map(|of| of.address.as_str()).collect();
                later.unresolved.push(not_known(&attribute, &candidates));
            }
            names.extend(known.into_iter().map(str::to_owned));
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
    // The cloud takes no name twice; a plan may have it.
    let again = known.rules.iter().any(|of| of.rule.id == found.rule.id);
    let mut found = found;
    if again {
        found.rule.id = RuleId::Named(listed_as.to_owned());
    }
    known.rules.push(found);
}

/// Which groups stand at which subnets.
fn stand(places: &Places<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    for resource in places.of_kind("azurerm_subnet_network_security_group_association") {
        let group = group_of(places, resource, faults);
        let subnet = referred_id(places, resource, "subnet_id", SUBNET, faults);
        if let (Some(group), Some(subnet)) = (group, subnet) {
            loaded.subnets.push((subnet, group));
        }
    }
}

fn group_of(places: &Places<'_>, resource: &Resource<'_>, faults: &mut Faults) -> Option<String> {
    let known = Block::of(resource).text("network_security_group_id", faults);
    known.map(|id| short_id(&id).to_lowercase()).or_else(|| {
        match places.referred(&resource.address, "network_security_group_id", &[GROUP]) {
            Referred::One(of) => {
                Some(key_of(of.word("resource_group_name").unwrap_or_default(), of.word("name")?))
            }
            Referred::OneOf(_) => None,
        }
    })
}

/// The id under a key, in small letters, or what stands for that of the resource that the configuration names.
fn referred_id(
    places: &Places<'_>,
    resource: &Resource<'_>,
    key: &str,
    kind: &str,
    faults: &mut Faults,
) -> Option<String> {
    let known = Block::of(resource).text(key, faults);
    let id = known.or_else(|| match places.referred(&resource.address, key, &[kind]) {
        Referred::One(of) => Some(of.id()),
        Referred::OneOf(_) => None,
    });
    id.map(|id| id.to_lowercase())
}

fn interface(
    resource: &Resource<'_>,
    places: &Places<'_>,
    loaded: &mut Loaded,
    faults: &mut Faults,
) {
    let (block, own) = (Block::of(resource), resource.id().to_lowercase());
    let Some(name) = block.text("name", faults) else { return };
    let mut eni = FoundInterface {
        id: name,
        qualifiers: block.text("resource_group_name", faults).into_iter().collect(),
        timeouts: Cloud::Azure.timeouts(),
        ..FoundInterface::default()
    };
    for one in block.blocks("ip_configuration", faults) {
        eni.addresses.extend(one.json.cidr("private_ip_address", faults));
        let subnet = one.text("subnet_id", faults).map(|id| id.to_lowercase());
        let subnet = subnet.or_else(|| {
            let referred = places.all_referred(&resource.address, "ip_configuration", &[SUBNET]);
            match referred.as_slice() {
                [only] => Some(only.id().to_lowercase()),
                _ => None,
            }
        });
        eni.subnets.extend(subnet.filter(|id| !eni.subnets.contains(id)));
    }
    // Of a new interface the address is known later.
    eni.addresses.extend(block.nets("private_ip_addresses", faults));
    eni.addresses.sort_unstable();
    eni.addresses.dedup();
    let mine = |of: &&Resource<'_>, faults: &mut Faults| {
        referred_id(places, of, "network_interface_id", NIC, faults).as_ref() == Some(&own)
    };
    for of in places.of_kind("azurerm_network_interface_security_group_association") {
        if mine(&of, faults) {
            eni.groups.extend(group_of(places, of, faults));
        }
    }
    let kind = "azurerm_network_interface_application_security_group_association";
    for of in places.of_kind(kind) {
        if mine(&of, faults) {
            let key = "application_security_group_id";
            let known = Block::of(of).text(key, faults).map(|id| last_part(&id));
            let named = known.or_else(|| match places.referred(&of.address, key, &[ASG]) {
                Referred::One(of) => of.word("name").map(str::to_owned),
                Referred::OneOf(_) => None,
            });
            eni.tags.extend(named);
        }
    }
    loaded.interfaces.push(eni);
}
