//! What `az network nsg` and `az network nic` print, what the REST interface answers, and literal groups in
//! templates of the resource manager.

use std::net::IpAddr;

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};
use serde_json::Value;

use super::json::{Faults, Json, dashed, last_part, reading};
use super::loaded::{Found, FoundInterface, Later, Loaded, Standing};
use crate::flow::Direction;
use crate::rules::{
    Cloud, Peer, Policy, PortRange, Ports, Priority, Rule, RuleId, RuleProtocol,
    parse_cidr_as_written,
};

/// The kinds of answers, in the order in which they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answer {
    Group,
    Template,
    /// About one rule, of a group whose other rules are not in it.
    OneRule,
    Interface,
}

/// Which answer a value is, if it is one.
pub(super) fn recognise(value: &Value) -> Option<Answer> {
    let has = |key: &str| value.get(key).is_some();
    let inside = |key: &str| value.get("properties").is_some_and(|of| of.get(key).is_some());
    let either = |key: &str| has(key) || inside(key);
    let word = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    Some(match () {
        () if word("$schema").contains("deploymentTemplate") => Answer::Template,
        () if either("securityRules") || either("defaultSecurityRules") => Answer::Group,
        () if either("ipConfigurations") => Answer::Interface,
        () if either("access") && either("direction") && either("priority") => Answer::OneRule,
        () => return None,
    })
}

/// Adds an answer to what is known.
pub(super) fn read(answer: Answer, value: &Value, loaded: &mut Loaded, faults: &mut Faults) {
    let json = Json::new(value);
    match answer {
        Answer::Group => group(&json, loaded, faults),
        Answer::Interface => interface(&json, loaded, faults),
        Answer::OneRule => loaded.incomplete.push(
            "the answer is about one rule; `az network nsg show` has the group that it is of"
                .to_owned(),
        ),
        Answer::Template => {
            loaded.is_template = true;
            template(&json, loaded, faults);
        }
    }
}

/// A template: groups, and rules that are resources of their own.
fn template(json: &Json<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    let resources = json.list("resources", faults);
    let groups =
        resources.iter().filter(|of| kind(of) == "microsoft.network/networksecuritygroups");
    for one in groups {
        whole(one, loaded);
        group(one, loaded, faults);
        let Some(id) = literal(one, "name", faults) else { continue };
        for inner in one.list("resources", faults) {
            if kind(&inner).rsplit('/').next() == Some("securityrules") {
                rule_of_its_own(&inner, &id, loaded, faults);
            }
        }
    }
    for one in &resources {
        match kind(one).as_str() {
            "microsoft.network/networksecuritygroups/securityrules" => {
                let name = literal(one, "name", faults).unwrap_or_default();
                match name.split_once('/') {
                    Some((id, _)) => rule_of_its_own(one, id, loaded, faults),
                    None => {
                        one.fault("name", "the rule's name is GROUP/RULE in a template", faults);
                    }
                }
            }
            "microsoft.resources/deployments" => loaded
                .incomplete
                .push(format!("{}: a template within the template, which is not read", one.path())),
            _ => {}
        }
    }
}

/// The type of a template's resource, in lower case.
fn kind(resource: &Json<'_>) -> String {
    let kind = resource.value().get("type").and_then(Value::as_str).unwrap_or_default();
    kind.to_ascii_lowercase()
}

/// Says what of a template's resource has no value before it is deployed.
fn whole(resource: &Json<'_>, loaded: &mut Loaded) {
    let inner = body(resource);
    for (of, key) in [(resource, "copy"), (&inner, "copy"), (resource, "condition")] {
        let is_said = of.value().get(key).is_some_and(|value| *value != Value::Bool(true));
        if is_said {
            loaded.incomplete.push(format!(
                "{}: its `{key}` has an effect only when the template is deployed",
                resource.path()
            ));
        }
    }
}

/// A rule that is a template's resource of its own.
fn rule_of_its_own(json: &Json<'_>, id: &str, loaded: &mut Loaded, faults: &mut Faults) {
    loaded.of_cloud(Cloud::Azure, faults);
    whole(json, loaded);
    let Some((rule, peer)) = rule(json, id, faults) else { return };
    let own = last_part(&rule.id.to_string());
    let found = Found {
        later: Later { peer, ..Later::default() },
        ..Found::new(Rule { id: RuleId::Named(own), ..rule }, json.path().to_owned())
    };
    if !loaded.groups.iter().any(|group| group.id == id && group.has_rules) {
        loaded.is_of_another(json.path(), id);
        let mut rules = Vec::new();
        add_defaults(&mut rules);
        loaded.add_group_of_key((id, id), rules, json.path(), faults);
    }
    // Azure's own come last.
    let known = loaded.group(id);
    known.rules.insert(0, found);
}

/// Flat, as the command line prints it, or under `properties`, as the REST interface does.
fn body<'v>(json: &Json<'v>) -> Json<'v> {
    json.get("properties").unwrap_or_else(|| json.clone())
}

fn group(json: &Json<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    loaded.of_cloud(Cloud::Azure, faults);
    let Some(id) = literal(json, "name", faults) else {
        return faults.add(json.path(), "the group has no name");
    };
    let inner = body(json);
    let mut rules = Vec::new();
    for (key, note) in [("securityRules", ""), ("defaultSecurityRules", "default")] {
        for row in inner.list(key, faults) {
            let rule = rule(&row, &id, faults);
            rules.extend(rule.map(|(rule, peer)| {
                let origin = row.path().to_owned();
                let later = Later { peer, ..Later::default() };
                Found { note: note.to_owned(), later, ..Found::new(rule, origin) }
            }));
        }
    }
    if !rules.iter().any(|found| found.note == "default") {
        loaded.warnings.push(format!(
            "{id} is without defaultSecurityRules, so it has those that Azure documents"
        ));
        add_defaults(&mut rules);
    }
    let resource = json.text("id", faults).map(|id| id.to_lowercase());
    let key = resource.unwrap_or_else(|| id.clone());
    for subnet in inner.list("subnets", faults) {
        let subnet = subnet.text("id", faults).map(|subnet| subnet.to_lowercase());
        loaded.subnets.extend(subnet.map(|subnet| (subnet, key.clone())));
    }
    let qualifiers = qualifiers(json, faults);
    let path = json.path();
    if let Some(known) = loaded.add_group_of_key((&key, &id), rules, path, faults) {
        known.owner = qualifiers.get(1).cloned();
        known.qualifiers = qualifiers;
    }
}

/// What tells a resource apart from others of its name: its resource group, then its subscription.
fn qualifiers(json: &Json<'_>, faults: &mut Faults) -> Vec<String> {
    let id = json.text("id", faults).unwrap_or_default();
    let parts: Vec<&str> = id.split('/').collect();
    let behind = |word: &str| {
        let at = parts.iter().position(|part| part.eq_ignore_ascii_case(word))?;
        parts.get(at + 1).map(|part| (*part).to_owned())
    };
    let group = json.text("resourceGroup", faults).or_else(|| behind("resourceGroups"));
    group.into_iter().chain(behind("subscriptions")).collect()
}

/// A word that is no expression of a template.
fn literal(json: &Json<'_>, key: &str, faults: &mut Faults) -> Option<String> {
    let text = json.text(key, faults)?;
    if text.starts_with('[') && text.ends_with(']') {
        let message = format!(
            "`{text}` is an expression, which has a value only when the template is deployed; write a literal, or \
             ask `az network nsg show` for what was deployed"
        );
        json.fault(key, message, faults);
    }
    Some(text)
}

/// A rule, and its far side as the neutral table has it, where the addresses alone do not say it.
type Shown = (Rule, Option<String>);

fn rule(json: &Json<'_>, group: &str, faults: &mut Faults) -> Option<Shown> {
    let inner = body(json);
    let name = literal(json, "name", faults).or_else(|| literal(&inner, "name", faults));
    let Some(name) = name else {
        faults.add(json.path(), format_args!("the rule of group {group} has no name"));
        return None;
    };
    let id = RuleId::Named(name);
    reading(faults, &id.clone(), group, |faults| rule_of(&inner, id, faults))
}

pub(super) fn rule_of(inner: &Json<'_>, id: RuleId, faults: &mut Faults) -> Option<Shown> {
    let before = faults.list.len();
    let word = |key: &str, faults: &mut Faults| {
        let word = literal(inner, key, faults).map(|word| word.to_ascii_lowercase());
        if word.is_none() {
            faults.add(inner.path(), format_args!("the rule has no {key}"));
        }
        word.unwrap_or_default()
    };
    let direction = match word("direction", faults).as_str() {
        "outbound" => Direction::Egress,
        "inbound" => Direction::Ingress,
        other => {
            inner.fault("direction", format_args!("`{other}`: Inbound or Outbound"), faults);
            return None;
        }
    };
    let policy = match word("access", faults).as_str() {
        "allow" => Policy::Accept,
        "deny" => Policy::Drop,
        other => {
            inner.fault("access", format_args!("`{other}`: Allow or Deny"), faults);
            return None;
        }
    };
    let protocol = inner.protocol("protocol", faults)?;
    let priority: Option<Priority> = inner.parsed("priority", faults);
    if priority.is_none() && !inner.has("priority") {
        faults.add(inner.path(), "the rule has no priority");
    }
    let (far, near) = match direction {
        Direction::Ingress => ("source", "destination"),
        Direction::Egress => ("destination", "source"),
    };
    let (peers, mut far_groups) = side(inner, far, faults);
    let (local, targets) = side(inner, near, faults);
    let mut peers =
        peers.unwrap_or_else(|| if far_groups.is_empty() { everybody() } else { Vec::new() });
    let named: Vec<String> = peers.iter().map(ToString::to_string).collect();
    let named = named.into_iter().chain(far_groups.iter().map(|group| format!("asg:{group}")));
    let shown = (!far_groups.is_empty()).then(|| named.collect::<Vec<_>>().join(";"));
    peers.extend(far_groups.drain(..).map(Peer::Tag));
    let source_ports = ports(inner, "sourcePortRange", faults);
    let ports = ports(inner, "destinationPortRange", faults);
    let description = inner.text("description", faults);
    if faults.list.len() > before {
        return None;
    }
    let rule = Rule {
        policy,
        priority: priority?,
        ports: ports.into_iter().map(Ports::Range).collect(),
        source_ports,
        local: local.unwrap_or_default(),
        targets,
        description,
        ..Rule::new(id, direction, protocol, peers)
    };
    Some((rule, shown))
}

/// `*`: both families.
fn everybody() -> Vec<Peer> {
    let all = ["0.0.0.0/0", "::/0"].into_iter().filter_map(|text| text.parse().ok());
    all.map(Peer::Cidr).collect()
}

/// One or many under a key and its plural.
fn one_or_many(
    json: &Json<'_>,
    one: &str,
    many: &str,
    faults: &mut Faults,
) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    texts.extend(literal(json, one, faults).map(|text| (one.to_owned(), text)));
    for element in json.list(many, faults) {
        match element.value().as_str() {
            Some(text) => texts.push((many.to_owned(), text.trim().to_owned())),
            None => faults.add(element.path(), "a word is expected here"),
        }
    }
    texts
}

/// The addresses of a side, `None` for any, and its application security groups.
fn side(json: &Json<'_>, side: &str, faults: &mut Faults) -> (Option<Vec<Peer>>, Vec<String>) {
    let one = format!("{side}AddressPrefix");
    let texts = one_or_many(json, &one, &format!("{one}es"), faults);
    let groups = json.list(&format!("{side}ApplicationSecurityGroups"), faults);
    let groups = groups
        .iter()
        .filter_map(|group| group.text("id", faults))
        .map(|id| last_part(&id))
        .collect();
    let is_any = |text: &str| text == "*" || text.eq_ignore_ascii_case("any");
    if texts.iter().all(|(_, text)| is_any(text)) {
        return (None, groups);
    }
    let mut peers = Vec::new();
    for (key, text) in texts {
        if is_any(&text) {
            peers.extend(everybody());
            continue;
        }
        let range = text.split_once('-').and_then(|(first, last)| {
            Some((first.trim().parse::<IpAddr>().ok()?, last.trim().parse::<IpAddr>().ok()?))
        });
        match (range, parse_cidr_as_written(&text)) {
            (Some((IpAddr::V4(first), IpAddr::V4(last))), _) if first <= last => {
                let nets = IpSubnets::V4(Ipv4Subnets::new(first, last, 0));
                peers.extend(nets.map(Peer::Cidr));
            }
            (Some((IpAddr::V6(first), IpAddr::V6(last))), _) if first <= last => {
                let nets = IpSubnets::V6(Ipv6Subnets::new(first, last, 0));
                peers.extend(nets.map(Peer::Cidr));
            }
            (_, Ok(net)) => peers.push(Peer::Cidr(net)),
            _ if text.starts_with(|c: char| c.is_ascii_alphabetic())
                && !text.contains(['/', ':']) =>
            {
                peers.push(Peer::Tag(text));
            }
            _ => {
                let message =
                    format!("`{text}`: an address, a CIDR, a range of addresses or a service tag");
                json.fault(&key, message, faults);
            }
        }
    }
    (Some(peers), groups)
}

/// Ranges; none for any.
fn ports(json: &Json<'_>, one: &str, faults: &mut Faults) -> Vec<PortRange> {
    let mut ranges = Vec::new();
    let texts = one_or_many(json, one, &format!("{one}s"), faults);
    for (key, text) in &texts {
        for text in text.split(',').map(str::trim) {
            if text == "*" || text.eq_ignore_ascii_case("any") {
                return Vec::new();
            }
            let range = dashed(text);
            if range.is_none() {
                let message = format!("`{text}`: `*`, a port, or a range as in `22-23`");
                json.fault(key, message, faults);
            }
            ranges.extend(range);
        }
    }
    ranges
}

/// Adds the rules that every group has at its end.
pub(super) fn add_defaults(rules: &mut Vec<Found>) {
    let implied = |rule| Found {
        standing: Standing::Implied,
        ..Found::new(rule, "a default rule".to_owned())
    };
    rules.extend(defaults().into_iter().map(implied));
}

/// The rules that every group has at its end, where a file does not print them.
pub(crate) fn defaults() -> Vec<Rule> {
    let tag = |name: &str| vec![Peer::Tag(name.to_owned())];
    let network = || tag("VirtualNetwork");
    let rule = |name: &str, direction, policy, priority, peers, local| Rule {
        policy,
        priority: Priority::new(priority),
        local,
        ..Rule::new(RuleId::Named(name.to_owned()), direction, RuleProtocol::All, peers)
    };
    let (ingress, egress) = (Direction::Ingress, Direction::Egress);
    let (allow, deny) = (Policy::Accept, Policy::Drop);
    let any = Vec::new;
    vec![
        rule("AllowVnetInBound", ingress, allow, 65_000, network(), network()),
        rule(
            "AllowAzureLoadBalancerInBound",
            ingress,
            allow,
            65_001,
            tag("AzureLoadBalancer"),
            any(),
        ),
        rule("DenyAllInBound", ingress, deny, 65_500, everybody(), any()),
        rule("AllowVnetOutBound", egress, allow, 65_000, network(), network()),
        rule("AllowInternetOutBound", egress, allow, 65_001, tag("Internet"), any()),
        rule("DenyAllOutBound", egress, deny, 65_500, everybody(), any()),
    ]
}

/// A network interface.
fn interface(json: &Json<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    let inner = body(json);
    let Some(id) = json.text("name", faults) else {
        return faults.add(json.path(), "the interface has no name");
    };
    let (mut addresses, mut subnets, mut tags): (Vec<IpNet>, Vec<String>, Vec<String>) =
        Default::default();
    let own = inner.get("networkSecurityGroup").and_then(|of| of.text("id", faults));
    for one in inner.list("ipConfigurations", faults) {
        let one = body(&one);
        let keys = ["privateIPAddress", "privateIpAddress"];
        addresses.extend(keys.iter().find_map(|key| one.cidr(key, faults)));
        let subnet = one.get("subnet").and_then(|of| of.text("id", faults));
        subnets.extend(subnet.map(|id| id.to_lowercase()).filter(|id| !subnets.contains(id)));
        for group in one.list("applicationSecurityGroups", faults) {
            tags.extend(group.text("id", faults).map(|id| last_part(&id)));
        }
    }
    let groups = own.map(|id| id.to_lowercase()).into_iter().collect();
    tags.sort();
    tags.dedup();
    let timeouts = Cloud::Azure.timeouts();
    let qualifiers = qualifiers(json, faults);
    loaded.owners.extend(qualifiers.get(1).cloned());
    let is_of_instance = false;
    let eni = FoundInterface {
        id,
        qualifiers,
        addresses,
        groups,
        subnets,
        timeouts,
        tags,
        is_of_instance,
    };
    loaded.add_interface(eni, json.path(), faults);
}
