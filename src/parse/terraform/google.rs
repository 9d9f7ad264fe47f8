//! Resources of Google Cloud. What they say is put into the words of the command line, and read as such.

use serde_json::{Map, Value, json};

use super::{Block, Places, Referred, Resource};
use crate::parse::google;
use crate::parse::json::{Faults, Json, last_part, reading};
use crate::parse::loaded::{FoundInterface, Later, Loaded};
use crate::rules::{Cloud, RuleId};

const NETWORK: &str = "google_compute_network";

pub(super) fn read(places: &Places<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    for resource in places.resources {
        match resource.kind.as_str() {
            "google_compute_firewall" => firewall(resource, places, loaded, faults),
            "google_compute_instance" => instance(resource, places, loaded, faults),
            kind if kind.contains("firewall_policy")
                || kind.contains("organization_security_policy") =>
            {
                faults.add(
                    &resource.address,
                    "firewall policies stand above a network's rules or among them, and are not read",
                );
            }
            _ => {}
        }
    }
}

/// Attributes by their names on the command line.
const WORDS: [(&str, &str); 8] = [
    ("source_ranges", "sourceRanges"),
    ("destination_ranges", "destinationRanges"),
    ("source_tags", "sourceTags"),
    ("source_service_accounts", "sourceServiceAccounts"),
    ("target_tags", "targetTags"),
    ("target_service_accounts", "targetServiceAccounts"),
    ("direction", "direction"),
    ("priority", "priority"),
];

fn firewall(
    resource: &Resource<'_>,
    places: &Places<'_>,
    loaded: &mut Loaded,
    faults: &mut Faults,
) {
    let block = Block::of(resource);
    let mut later = Later::default();
    let network = network(&block, resource, "network", places, faults).unwrap_or_else(|| {
        later.unresolved.push("network".to_owned());
        "?network".to_owned()
    });
    if !block.json.has("network") && block.is_later("network") {
        later.group = Some("?network".to_owned());
    }
    let Some(name) = block.text("name", faults) else {
        return loaded.later(&resource.address, "name");
    };
    let mut words = Map::new();
    let egress = block.text("direction", faults);
    let egress = egress.is_some_and(|word| word.eq_ignore_ascii_case("egress"));
    let near = if egress { "source_ranges" } else { "destination_ranges" };
    for (attribute, word) in WORDS {
        // What is computed where it is not set has its default. Modules for both directions set the near side to null.
        if block.is_later(attribute) {
            if places.sets(resource, attribute) && attribute != near {
                return loaded.later(&resource.address, attribute);
            }
            continue;
        }
        let value = block.json.value().get(attribute).filter(|value| !value.is_null());
        words.extend(value.map(|value| (word.to_owned(), value.clone())));
    }
    let mut entries = |attribute: &str, word: &str, faults: &mut Faults| {
        let list = block.blocks(attribute, faults);
        if list.iter().any(|entry| entry.is_later("ports") || entry.is_later("protocol"))
            || block.is_later(attribute)
        {
            return false;
        }
        let entry = |entry: Block<'_>| {
            let get = |key: &str| entry.json.value().get(key).cloned().unwrap_or_default();
            let ports = Some(get("ports")).filter(|ports| !ports.is_null());
            json!({"IPProtocol": get("protocol"), "ports": ports.unwrap_or_else(|| json!([]))})
        };
        let list: Vec<Value> = list.into_iter().map(entry).collect();
        if !list.is_empty() {
            words.insert(word.to_owned(), list.into());
        }
        true
    };
    for (attribute, word) in [("allow", "allowed"), ("deny", "denied")] {
        if !entries(attribute, word, faults) {
            return loaded.later(&resource.address, attribute);
        }
    }
    words.extend(
        block.text("description", faults).map(|text| ("description".to_owned(), text.into())),
    );
    words.insert("disabled".to_owned(), block.flag("disabled").into());
    let value = Value::Object(words);
    let json = Json::at(&value, resource.address.as_str());
    let id = RuleId::Named(name.clone());
    let found = reading(faults, &id, &network, |faults| google::parts(&json, &name, faults));
    let known = loaded.group(&network);
    known.has_rules = true;
    known.rules.extend(found.into_iter().map(|mut found| {
        found.listed_as = Some(resource.address.clone());
        found.origin.clone_from(&resource.address);
        found.later = later.clone();
        found
    }));
}

/// The name of a network: it may be given by its address, or be that of a resource.
fn network(
    block: &Block<'_>,
    resource: &Resource<'_>,
    attribute: &str,
    places: &Places<'_>,
    faults: &mut Faults,
) -> Option<String> {
    let known = block.text("network", faults).map(|id| last_part(&id));
    known.or_else(|| match places.referred(&resource.address, attribute, &[NETWORK]) {
        Referred::One(of) => of.word("name").map(str::to_owned),
        Referred::OneOf(_) => None,
    })
}

fn instance(
    resource: &Resource<'_>,
    places: &Places<'_>,
    loaded: &mut Loaded,
    faults: &mut Faults,
) {
    let block = Block::of(resource);
    let name = block.text("name", faults).unwrap_or_else(|| resource.id());
    let mut tags = block.words("tags", faults);
    for account in block.blocks("service_account", faults) {
        tags.extend(account.text("email", faults));
    }
    let qualifiers =
        ["zone", "project"].map(|key| block.text(key, faults).map(|id| last_part(&id)));
    let all = block.blocks("network_interface", faults);
    for (n, one) in all.iter().enumerate() {
        let network = network(one, resource, "network_interface", places, faults);
        let mut addresses = one.nets("network_ip", faults);
        addresses.extend(one.nets("ipv6_address", faults));
        for range in one.blocks("alias_ip_range", faults) {
            addresses.extend(range.nets("ip_cidr_range", faults));
        }
        let id = if all.len() == 1 { name.clone() } else { format!("{name}/nic{n}") };
        loaded.interfaces.push(FoundInterface {
            id,
            qualifiers: qualifiers.clone().into_iter().flatten().collect(),
            addresses,
            groups: network.into_iter().collect(),
            timeouts: Cloud::Google.timeouts(),
            tags: tags.clone(),
            ..FoundInterface::default()
        });
    }
}
