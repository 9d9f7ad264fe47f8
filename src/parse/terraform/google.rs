//! Resources of Google Cloud. What they say is put into the words of the command line, and read as such.

use serde_json::{Map, Value, json};

use super::block::Block;
use super::kinds::{Role, kind};
use super::places::Places;
use super::resource::Resource;
use crate::parse::google::{self, Network, project_in};
use crate::parse::json::{Faults, Json, last_part, reading};
use crate::parse::loaded::{FoundInterface, Later, Loaded};
use crate::rules::{Cloud, Peer, RuleId};

const NETWORK: &str = "google_compute_network";

pub(super) fn read(places: &Places<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    let projects = Projects::new(places);
    for resource in places.resources {
        if resource.kind == "google_compute_firewall" {
            firewall(resource, &projects, places, loaded, faults);
        } else if let Some((Cloud::Google, Role::Unread)) = kind(&resource.kind) {
            faults.add(
                &resource.address,
                "firewall policies stand above a network's rules or among them, and are not read",
            );
        }
    }
    for resource in places.of_kind("google_compute_instance") {
        instance(resource, &projects, places, loaded, faults);
    }
}

/// The projects that resources are in.
struct Projects<'v> {
    /// The one, where all that name one name the same: it is that of the others too.
    only: Option<&'v str>,
    are_several: bool,
}

impl<'v> Projects<'v> {
    fn new(places: &Places<'v>) -> Self {
        let mut all: Vec<&'v str> = Vec::new();
        let mut add = |found: Option<&'v str>| {
            all.extend(found.filter(|found| !all.contains(found) && all.len() < 2));
        };
        for resource in places.resources {
            if resource.kind.starts_with("google_") {
                add(resource.word("project"));
                add(resource.word("network").and_then(project_in));
                let list = resource.values.get("network_interface").and_then(Value::as_array);
                for one in list.into_iter().flatten() {
                    add(one.get("network").and_then(Value::as_str).and_then(project_in));
                }
            }
        }
        match all.as_slice() {
            [only] => Self { only: Some(only), are_several: false },
            all => Self { only: None, are_several: !all.is_empty() },
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
    projects: &Projects<'_>,
    places: &Places<'_>,
    loaded: &mut Loaded,
    faults: &mut Faults,
) {
    let block = Block::new(resource);
    let mut later = Later::default();
    let network = network_of(&block, resource, projects, None, places, faults)
        .unwrap_or_else(|| Network::parse(&later.of_group("network"), None));
    if projects.are_several && !network.has_project() && later.group.is_none() {
        loaded.incomplete.push(format!(
            "{}: which project it is in is not known, and there are several",
            resource.address
        ));
    }
    // The neutral table shows what the plan itself says.
    if !block.json.has("network") && block.is_later("network") {
        later.group = Some("?network".to_owned());
    }
    network.group(loaded).has_rules = true;
    let Some(name) = block.text("name", faults) else {
        return loaded.later(&resource.address, "name");
    };
    let mut words = Map::new();
    let egress = block.text("direction", faults);
    let egress = egress.is_some_and(|word| word.eq_ignore_ascii_case("egress"));
    let near = if egress { "source_ranges" } else { "destination_ranges" };
    for (attribute, word) in WORDS {
        if block.is_later(attribute) {
            // What is computed where it is not set has its default. Modules for both directions set the near side to
            // null by their variables.
            let is_null = attribute == near && places.is_known(resource, attribute);
            if !is_null && !places.is_default(resource, attribute) {
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
    if block.is_later("disabled") {
        return loaded.later(&resource.address, "disabled");
    }
    words.extend(
        block.text("description", faults).map(|text| ("description".to_owned(), text.into())),
    );
    words.insert("disabled".to_owned(), block.flag("disabled").into());
    let value = Value::Object(words);
    let json = Json::at(&value, resource.address.as_str());
    let id = RuleId::Named(name.clone());
    let found = reading(faults, &id, network.name(), |faults| google::parts(&json, &name, faults));
    let known = network.group(loaded);
    known.rules.extend(found.into_iter().map(|mut found| {
        found.listed_as = Some(resource.address.clone());
        found.origin.clone_from(&resource.address);
        found.later = later.clone();
        found
    }));
}

/// The network that a resource is in, or one of its interfaces: which of how many. `None` where the plan does
/// not say it.
fn network_of(
    block: &Block<'_>,
    resource: &Resource<'_>,
    projects: &Projects<'_>,
    interface: Option<(usize, usize)>,
    places: &Places<'_>,
    faults: &mut Faults,
) -> Option<Network> {
    let project = resource.word("project").or(projects.only);
    if let Some(known) = block.text("network", faults) {
        return Some(Network::parse(&known, project));
    }
    let referred = match interface {
        None => places.referred(resource, "network", &[NETWORK]),
        Some((n, count)) => {
            let of = ("network_interface", n, count);
            places.referred_in(resource, of, block, "network", &[NETWORK])
        }
    };
    let of = referred?;
    Some(Network::parse(of.word("name")?, of.word("project").or(project)))
}

fn instance(
    resource: &Resource<'_>,
    projects: &Projects<'_>,
    places: &Places<'_>,
    loaded: &mut Loaded,
    faults: &mut Faults,
) {
    let block = Block::new(resource);
    let name = block.text("name", faults).unwrap_or_else(|| resource.id());
    let mut tags = block.words("tags", faults);
    if block.is_later("tags") && !places.is_default(resource, "tags") {
        loaded.not_attached(&resource.address, "tags");
    }
    for account in block.blocks("service_account", faults) {
        let email = account.text("email", faults);
        if email.is_none() && account.is_later("email") && names_accounts(loaded) {
            loaded.not_attached(&resource.address, "service_account");
        }
        tags.extend(email);
    }
    let qualifiers =
        ["zone", "project"].map(|key| block.text(key, faults).map(|id| last_part(&id)));
    let all = block.blocks("network_interface", faults);
    for (n, one) in all.iter().enumerate() {
        let of = Some((n, all.len()));
        let network = network_of(one, resource, projects, of, places, faults);
        // One that names a subnetwork alone is in the network of that.
        if network.is_none() {
            loaded.not_attached(&resource.address, "network_interface.network");
        }
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
            groups: network.iter().map(Network::key).collect(),
            timeouts: Cloud::Google.timeouts(),
            tags: tags.clone(),
            ..FoundInterface::default()
        });
    }
}

/// Whether a rule is of service accounts: then those of instances matter.
fn names_accounts(loaded: &Loaded) -> bool {
    let mut rules = loaded.groups.iter().flat_map(|group| &group.rules);
    rules.any(|found| {
        let peers = found.rule.peers.iter();
        found.rule.targets.iter().any(|target| target.contains('@'))
            || peers.into_iter().any(|peer| matches!(peer, Peer::Tag(tag) if tag.contains('@')))
    })
}
