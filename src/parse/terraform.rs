//! Terraform: `terraform show -json` of a plan, which holds both sides, or of a state; and a raw state file.

use std::collections::HashMap;

use serde_json::Value;

use super::json::{Faults, Json};
use super::loaded::{Found, FoundInterface, Loaded};
use crate::flow::Direction;
use crate::rules::{
    GroupRef, Peer, Policy, PortRange, Ports, PrefixList, Priority, Rule, RuleId, parse_cidr,
};

/// What a plan says: the rules before and after it.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// As they are.
    pub current: Loaded,
    /// As they would be.
    pub proposed: Loaded,
}

/// Resources that other clouds' rules are made of.
const OTHER_CLOUDS: [&str; 10] = [
    "aws_security_group",
    "aws_default_security_group",
    "aws_security_group_rule",
    "aws_vpc_security_group_ingress_rule",
    "aws_vpc_security_group_egress_rule",
    "aws_network_acl",
    "aws_network_acl_rule",
    "azurerm_network_security_group",
    "azurerm_network_security_rule",
    "google_compute_firewall",
];

/// One resource of one side.
struct Resource<'v> {
    address: String,
    kind: String,
    values: &'v Value,
    /// Attributes that are known only after the plan was applied.
    unknown: &'v Value,
}

/// A plan.
pub(super) fn plan(value: &Value, faults: &mut Faults) -> Plan {
    let references = References::new(value);
    let (mut before, mut after): (Vec<Resource<'_>>, Vec<Resource<'_>>) = (Vec::new(), Vec::new());
    let mut listed: Vec<&str> = Vec::new();
    let mut plan = Plan::default();
    for change in value.get("resource_changes").and_then(Value::as_array).into_iter().flatten() {
        let Some(address) = change.get("address").and_then(Value::as_str) else { continue };
        listed.push(address);
        if change.get("mode").and_then(Value::as_str) == Some("data") {
            continue;
        }
        let kind = change.get("type").and_then(Value::as_str).unwrap_or_default();
        let Some(of) = change.get("change") else { continue };
        let side = |key: &str, unknown: &'static str| {
            let values = of.get(key).filter(|values| values.is_object())?;
            let unknown = of.get(unknown).unwrap_or(&Value::Null);
            Some(Resource { address: address.to_owned(), kind: kind.to_owned(), values, unknown })
        };
        let forgotten = of.get("actions").and_then(Value::as_array);
        let forgotten = forgotten.is_some_and(|all| all.iter().any(|action| action == "forget"));
        before.extend(side("before", "none"));
        if forgotten {
            // It stays in the cloud; only Terraform does not look at it any more.
            after.extend(side("before", "none"));
            if kind.starts_with("alicloud_security_group") {
                let message = format!("{address} is forgotten by Terraform and stays as it is");
                plan.proposed.warnings.push(message);
            }
        } else {
            after.extend(side("after", "after_unknown"));
        }
    }
    // A plan for some targets lists only those; the others stay.
    let mut prior = Vec::new();
    if let Some(values) = value.pointer("/prior_state/values") {
        tree(values, &mut prior);
    }
    for (address, kind, values) in prior {
        if !listed.contains(&address.as_str()) {
            for side in [&mut before, &mut after] {
                let (address, kind) = (address.clone(), kind.clone());
                side.push(Resource { address, kind, values, unknown: &Value::Null });
            }
        }
    }
    if value.get("complete") == Some(&Value::Bool(false)) {
        let message = "the plan is of some targets only; everything else is taken as it is now";
        plan.proposed.warnings.push(message.to_owned());
    }
    side(&before, &references, &mut plan.current, faults);
    side(&after, &references, &mut plan.proposed, faults);
    plan
}

/// A state, by `show -json` or raw.
pub(super) fn state(value: &Value, faults: &mut Faults) -> Loaded {
    let mut loaded = Loaded { is_state: true, ..Loaded::default() };
    let mut found = Vec::new();
    if let Some(values) = value.get("values") {
        tree(values, &mut found);
    }
    for resource in value.get("resources").and_then(Value::as_array).into_iter().flatten() {
        raw(resource, &mut found);
    }
    let resources: Vec<Resource<'_>> = found
        .into_iter()
        .map(|(address, kind, values)| Resource { address, kind, values, unknown: &Value::Null })
        .collect();
    side(&resources, &References::default(), &mut loaded, faults);
    loaded
}

/// Address, type and values.
type Listed<'v> = (String, String, &'v Value);

/// The resources of a tree of modules.
fn tree<'v>(module: &'v Value, found: &mut Vec<Listed<'v>>) {
    if let Some(root) = module.get("root_module") {
        return tree(root, found);
    }
    for resource in module.get("resources").and_then(Value::as_array).into_iter().flatten() {
        let word =
            |key: &str| resource.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        if let (false, Some(values)) = (word("mode") == "data", resource.get("values")) {
            found.push((word("address"), word("type"), values));
        }
    }
    for child in module.get("child_modules").and_then(Value::as_array).into_iter().flatten() {
        tree(child, found);
    }
}

/// A resource of a raw state file, with its instances.
fn raw<'v>(resource: &'v Value, found: &mut Vec<Listed<'v>>) {
    let word = |key: &str| resource.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    if word("mode") == "data" {
        return;
    }
    let module = word("module");
    let dot = if module.is_empty() { "" } else { "." };
    for instance in resource.get("instances").and_then(Value::as_array).into_iter().flatten() {
        let key = match instance.get("index_key") {
            Some(key @ (Value::String(_) | Value::Number(_))) => format!("[{key}]"),
            _ => String::new(),
        };
        if let Some(values) = instance.get("attributes") {
            let address = format!("{module}{dot}{}.{}{key}", word("type"), word("name"));
            found.push((address, word("type"), values));
        }
    }
}

fn side(
    resources: &[Resource<'_>],
    references: &References,
    loaded: &mut Loaded,
    faults: &mut Faults,
) {
    // Groups first: rules that know a group only by reference look for it.
    for resource in resources.iter().filter(|of| of.kind == "alicloud_security_group") {
        let json = Json::at(resource.values, resource.address.as_str());
        let group_type = json.parsed("security_group_type", faults);
        let inner = json.parsed::<Policy>("inner_access_policy", faults);
        let allowed = json.text("inner_access", faults).map(|word| match word.as_str() {
            "true" => Policy::Accept,
            _ => Policy::Drop,
        });
        let vpc = json.text("vpc_id", faults);
        let id = json.text("id", faults).unwrap_or_else(|| later(&resource.address));
        let known = loaded.group(&id);
        known.group_type = group_type.or(Some(crate::rules::GroupType::Basic));
        known.inner_access_policy = inner.or(allowed);
        known.vpc_id = vpc;
        known.has_rules = true;
    }
    let owned: Vec<String> = loaded.groups.iter().map(|group| group.id.clone()).collect();
    let others = resources.iter().filter(|of| OTHER_CLOUDS.contains(&of.kind.as_str()));
    let others: Vec<&str> = others.map(|of| of.address.as_str()).collect();
    if !others.is_empty() {
        let others = crate::rules::listed(&others);
        loaded.incomplete.push(format!("resources of other clouds are left out: {others}"));
    }
    let places = Places { resources, references };
    for resource in resources {
        let json = Json::at(resource.values, resource.address.as_str());
        match resource.kind.as_str() {
            "alicloud_security_group_rule" => {
                if let Some((group, found)) = rule(resource, &json, &places, faults) {
                    if !owned.contains(&group) {
                        loaded.is_of_another(&resource.address, &group);
                    }
                    let known = loaded.group(&group);
                    known.has_rules = true;
                    known.rules.push(found);
                }
            }
            "alicloud_ecs_prefix_list" => {
                let entries = json.list("entry", faults);
                let cidrs = entries.iter().filter_map(|entry| entry.cidr("cidr", faults));
                let id = json.text("id", &mut Faults::default());
                let id = id.unwrap_or_else(|| later(&resource.address));
                let entries = cidrs.collect();
                loaded.prefix_lists.push(PrefixList { id, entries });
            }
            "alicloud_ecs_network_interface"
            | "alicloud_network_interface"
            | "alicloud_instance" => {
                loaded.interfaces.extend(interface(resource, &json, &places, faults));
            }
            _ => {}
        }
    }
}

/// What stands for an id that is known only after the plan was applied.
fn later(address: &str) -> String {
    format!("?{address}")
}

/// Where references lead.
struct Places<'a> {
    resources: &'a [Resource<'a>],
    references: &'a References,
}

impl Places<'_> {
    /// The id of what an attribute refers to, of a type of resource.
    fn referred(&self, from: &str, attribute: &str, kind: &str) -> Option<String> {
        let module = module(from);
        let of_kind = || self.resources.iter().filter(|of| of.kind == kind);
        let id = |of: &Resource<'_>| {
            let known = of.values.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
            known.map_or_else(|| later(&of.address), str::to_owned)
        };
        for target in self.references.of(from, attribute) {
            let address =
                if module.is_empty() { target.clone() } else { format!("{module}.{target}") };
            let exact = of_kind().find(|of| of.address == address || of.address == *target);
            let keyed = || of_kind().find(|of| without_key(&of.address) == without_key(&address));
            if let Some(found) = exact.or_else(keyed) {
                return Some(id(found));
            }
        }
        // Through a local of a module nothing is known; a module with one group means that one.
        let mut mine =
            of_kind().filter(|of| self::module(&of.address) == module && !module.is_empty());
        match (mine.next(), mine.next()) {
            (Some(only), None) => Some(id(only)),
            _ => None,
        }
    }
}

/// `module.web` of `module.web.alicloud_security_group.this[0]`
fn module(address: &str) -> &str {
    let parts: Vec<&str> = address.split('.').collect();
    let mut length = 0;
    for pair in parts.chunks(2) {
        match pair {
            ["module", name] => length += "module.".len() + name.len() + usize::from(length > 0),
            _ => break,
        }
    }
    address.get(..length).unwrap_or_default()
}

fn without_key(address: &str) -> String {
    address
        .split('.')
        .map(|part| part.split('[').next().unwrap_or(part))
        .collect::<Vec<_>>()
        .join(".")
}

fn rule(
    resource: &Resource<'_>,
    json: &Json<'_>,
    places: &Places<'_>,
    faults: &mut Faults,
) -> Option<(String, Found)> {
    let before = faults.list.len();
    let address = &resource.address;
    let unknown = |key: &str| resource.unknown.get(key) == Some(&Value::Bool(true));
    let group = json
        .text("security_group_id", faults)
        .or_else(|| places.referred(address, "security_group_id", "alicloud_security_group"));
    if group.is_none() {
        faults.add(
            address,
            "its group is known only after the plan was applied, and the plan does not say which group of it \
             that is",
        );
    }
    let direction = match json.text("type", faults).as_deref() {
        Some("ingress") => Some(Direction::Ingress),
        Some("egress") => Some(Direction::Egress),
        other => {
            let found = other.unwrap_or("nothing");
            json.fault("type", format_args!("`{found}`: it is `ingress` or `egress`"), faults);
            None
        }
    };
    let protocol: Option<crate::rules::RuleProtocol> = json.parsed("ip_protocol", faults);
    if protocol.is_none() && !json.has("ip_protocol") {
        json.fault("ip_protocol", "known only after the plan was applied", faults);
    }
    let has_ports = protocol.is_some_and(crate::rules::RuleProtocol::has_ports);
    let ports = match json.text("port_range", faults).as_deref() {
        None if unknown("port_range") => {
            json.fault("port_range", "known only after the plan was applied", faults);
            Vec::new()
        }
        None | Some("-1/-1") if has_ports => vec![Ports::Any],
        None | Some("-1/-1") => Vec::new(),
        Some(_) => {
            json.parsed::<PortRange>("port_range", faults).map(Ports::Range).into_iter().collect()
        }
    };
    let mut unknown_peer = None;
    let mut peer = None;
    for key in ["cidr_ip", "ipv6_cidr_ip"] {
        if peer.is_none() {
            peer = json.cidr(key, faults).map(Peer::Cidr);
        }
    }
    if let (None, Some(id)) = (&peer, json.text("source_security_group_id", faults)) {
        let owners = ["source_group_owner_id", "source_group_owner_account"];
        let account = owners.iter().find_map(|key| json.text(key, faults));
        peer = Some(Peer::Group(GroupRef { account, id }));
    }
    if let (None, Some(id)) = (&peer, json.text("prefix_list_id", faults)) {
        peer = Some(Peer::PrefixList(id));
    }
    if peer.is_none() && faults.list.len() == before {
        let kinds = [
            ("source_security_group_id", "alicloud_security_group"),
            ("prefix_list_id", "alicloud_ecs_prefix_list"),
            ("cidr_ip", ""),
            ("ipv6_cidr_ip", ""),
        ];
        // An attribute that the configuration sets says more than one that is merely computed.
        let set = |key: &str| places.references.sets(address, key);
        let later = kinds.iter().filter(|(key, _)| unknown(key));
        let found = later.clone().find(|(key, _)| set(key)).or_else(|| later.clone().next());
        match found {
            Some((key, kind)) => {
                unknown_peer = Some((*key).to_owned());
                let id = places.referred(address, key, kind).unwrap_or_else(|| format!("?{key}"));
                peer = Some(match *key {
                    "prefix_list_id" => Peer::PrefixList(id),
                    _ => Peer::Group(GroupRef { account: None, id }),
                });
            }
            None => faults.add(address, "the rule names no peer, so it would match nothing"),
        }
    }
    let policy = json.parsed("policy", faults).unwrap_or(Policy::Accept);
    let priority: Priority = json.parsed("priority", faults).unwrap_or(Priority::HIGHEST);
    let description = json.text("description", faults);
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
    let found = Found { unknown_peer, ..Found::new(rule, address.clone()) };
    Some((group?, found))
}

fn interface(
    resource: &Resource<'_>,
    json: &Json<'_>,
    places: &Places<'_>,
    faults: &mut Faults,
) -> Option<FoundInterface> {
    let instance = resource.kind == "alicloud_instance";
    let known = match instance {
        true => json.text("network_interface_id", faults).or_else(|| json.text("id", faults)),
        false => json.text("id", faults),
    };
    let id = known.unwrap_or_else(|| later(&resource.address));
    let mut texts: Vec<String> = ["private_ip", "primary_ip_address"]
        .iter()
        .filter_map(|key| json.text(key, faults))
        .collect();
    for key in
        ["private_ip_addresses", "private_ips", "ipv6_addresses", "ipv6_prefixes", "ipv4_prefixes"]
    {
        texts.extend(words(json, key, faults));
    }
    texts.dedup();
    let addresses = texts.iter().filter_map(|text| {
        parse_cidr(text).map_err(|error| faults.add(&resource.address, error)).ok()
    });
    let mut addresses: Vec<ipnet::IpNet> = addresses.collect();
    addresses.sort_unstable();
    addresses.dedup();
    let mut groups = Vec::new();
    for key in ["security_groups", "security_group_ids"] {
        for id in words(json, key, faults) {
            if !groups.contains(&id) {
                groups.push(id);
            }
        }
        if groups.is_empty() && resource.unknown.get(key) == Some(&Value::Bool(true)) {
            groups.extend(places.referred(&resource.address, key, "alicloud_security_group"));
        }
    }
    (!groups.is_empty()).then_some(FoundInterface {
        id,
        addresses,
        groups,
        ..FoundInterface::default()
    })
}

fn words(json: &Json<'_>, key: &str, faults: &mut Faults) -> Vec<String> {
    let list = json.list(key, faults).into_iter();
    list.filter_map(|one| one.value().as_str().map(str::to_owned)).collect()
}

/// What attributes of resources refer to, by the configuration in a plan.
#[derive(Default)]
struct References {
    /// By address without keys, and attribute: the resources referred to; empty where it is a literal.
    of: HashMap<(String, String), Vec<String>>,
}

impl References {
    fn new(plan: &Value) -> Self {
        let mut references = Self::default();
        if let Some(root) = plan.pointer("/configuration/root_module") {
            references.module(root, "");
        }
        references
    }

    fn module(&mut self, module: &Value, prefix: &str) {
        for resource in module.get("resources").and_then(Value::as_array).into_iter().flatten() {
            let Some(address) = resource.get("address").and_then(Value::as_str) else { continue };
            let expressions = resource.get("expressions").and_then(Value::as_object);
            for (attribute, expression) in expressions.into_iter().flatten() {
                let list = expression.get("references").and_then(Value::as_array);
                let targets = list.into_iter().flatten().filter_map(Value::as_str);
                // `alicloud_security_group.web.id`, then `alicloud_security_group.web`.
                let targets = targets.filter(|target| {
                    target.starts_with("alicloud_") && target.split('.').count() == 2
                });
                let key = (format!("{prefix}{address}"), attribute.clone());
                self.of.insert(key, targets.map(str::to_owned).collect());
            }
        }
        let calls = module.get("module_calls").and_then(Value::as_object);
        for (name, call) in calls.into_iter().flatten() {
            if let Some(inner) = call.get("module") {
                self.module(inner, &format!("{prefix}module.{name}."));
            }
        }
    }

    fn of(&self, address: &str, attribute: &str) -> &[String] {
        let key = (without_key(address), attribute.to_owned());
        self.of.get(&key).map_or(&[], Vec::as_slice)
    }

    /// Whether the configuration sets an attribute at all.
    fn sets(&self, address: &str, attribute: &str) -> bool {
        self.of.contains_key(&(without_key(address), attribute.to_owned()))
    }
}
