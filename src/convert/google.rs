//! Answers of `gcloud compute firewall-rules list` and `… instances list`, as the cloud would print them.

use serde_json::{Map, Value, json};

use super::{CannotSay, cannot, of_cloud};
use crate::flow::{Direction, Protocol};
use crate::rules::{Cloud, Interface, Peer, Policy, PortRange, Ports, Rule, RuleProtocol, RuleSet};

/// All rules of a rule set, and its interfaces as instances. Read together they are the same rule set; which addresses
/// tags stand for they do not say.
///
/// # Errors
/// Where a rule has what Google Cloud does not.
pub fn google_json(rules: &RuleSet) -> Result<Vec<Value>, CannotSay> {
    of_cloud(rules, Cloud::Google)?;
    let mut answers = Vec::new();
    for firewall in firewalls(rules)? {
        answers.push(firewall.json());
    }
    for eni in rules.listed_interfaces() {
        answers.push(instance(rules, eni)?);
    }
    Ok(answers)
}

/// A rule of the cloud, which is one of ours for each protocol.
pub(super) struct Firewall<'r> {
    pub(super) name: String,
    pub(super) network: &'r str,
    pub(super) rule: &'r Rule,
    /// Protocols, and ranges of ports of each.
    pub(super) entries: Vec<(String, Vec<String>)>,
}

/// The rules of all networks.
pub(super) fn firewalls(rules: &RuleSet) -> Result<Vec<Firewall<'_>>, CannotSay> {
    let mut found: Vec<Firewall<'_>> = Vec::new();
    for group in rules.groups() {
        for rule in &group.rules {
            let id = rule.id.to_string();
            let name = id.split('/').next().unwrap_or_default().to_owned();
            let entry = says(rule).and_then(|()| Ok((protocol(rule.protocol), ports(rule)?)));
            let entry = entry.map_err(|error| error.in_group(group))?;
            let named = |of: &Firewall<'_>| of.name == name && of.network == group.id;
            let again = found.iter().any(named);
            match found.last_mut().filter(|last| named(last) && same(last.rule, rule)) {
                Some(last) => last.entries.push(entry),
                None if again => {
                    let why =
                        "another rule has that name; a name with `/` in it is a part of a rule";
                    return Err(cannot(rule, why).in_group(group));
                }
                None => {
                    found.push(Firewall { name, network: &group.id, rule, entries: vec![entry] });
                }
            }
        }
    }
    Ok(found)
}

/// Whether two rules differ in protocols and ports only.
fn same(one: &Rule, two: &Rule) -> bool {
    let common = |rule: &Rule| Rule {
        id: one.id.clone(),
        protocol: RuleProtocol::All,
        ports: Vec::new(),
        ..rule.clone()
    };
    common(one) == common(two)
}

/// What Google Cloud has no word for.
fn says(rule: &Rule) -> Result<(), CannotSay> {
    if !rule.source_ports.is_empty() {
        return Err(cannot(rule, "Google Cloud has no source ports"));
    }
    if rule.icmp.is_some() {
        return Err(cannot(rule, "Google Cloud has no ICMP types"));
    }
    let is_net = |peer: &Peer| matches!(peer, Peer::Cidr(_));
    let is_tag = |peer: &Peer| matches!(peer, Peer::Tag(_));
    if !rule.local.iter().all(is_net) || !rule.peers.iter().all(|peer| is_net(peer) || is_tag(peer))
    {
        return Err(cannot(
            rule,
            "Google Cloud has addresses, and tags and service accounts of sources, only",
        ));
    }
    if rule.direction == Direction::Egress && rule.peers.iter().any(is_tag) {
        return Err(cannot(rule, "Google Cloud has no tags of destinations"));
    }
    Ok(())
}

fn protocol(protocol: RuleProtocol) -> String {
    match protocol {
        RuleProtocol::All => "all".to_owned(),
        RuleProtocol::Only(proto @ (Protocol::TCP | Protocol::UDP | Protocol::ICMP)) => {
            proto.to_string()
        }
        RuleProtocol::Only(proto) => proto.0.to_string(),
    }
}

fn ports(rule: &Rule) -> Result<Vec<String>, CannotSay> {
    let text = |range: PortRange| match range.first() == range.last() {
        true => range.first().to_string(),
        false => format!("{}-{}", range.first(), range.last()),
    };
    let mut found = Vec::new();
    for ports in &rule.ports {
        match ports {
            Ports::Any => return Ok(Vec::new()),
            Ports::Range(range) => found.push(text(*range)),
            Ports::List(_) => return Err(cannot(rule, "Google Cloud has no port lists")),
        }
    }
    if !found.is_empty() && rule.protocol == RuleProtocol::All {
        return Err(cannot(rule, "Google Cloud has ports of named protocols only"));
    }
    Ok(found)
}

/// Tags and service accounts apart.
pub(super) fn tags_and_accounts<'t>(
    names: impl Iterator<Item = &'t String>,
) -> [Vec<&'t String>; 2] {
    let (accounts, tags) = names.partition(|name| name.contains('@'));
    [tags, accounts]
}

impl Firewall<'_> {
    /// Networks and names, by the attributes that hold them.
    pub(super) fn lists(&self) -> Vec<(&'static str, Vec<String>)> {
        let nets = |peers: &[Peer]| -> Vec<String> {
            let nets = peers.iter().filter_map(|peer| match peer {
                Peer::Cidr(net) => Some(net.to_string()),
                Peer::Group(_) | Peer::PrefixList(_) | Peer::Tag(_) => None,
            });
            nets.collect()
        };
        let (far, near) = (nets(&self.rule.peers), nets(&self.rule.local));
        let (sources, destinations) = match self.rule.direction {
            Direction::Ingress => (far, near),
            Direction::Egress => (near, far),
        };
        let named = self.rule.peers.iter().filter_map(|peer| match peer {
            Peer::Tag(name) => Some(name),
            Peer::Cidr(_) | Peer::Group(_) | Peer::PrefixList(_) => None,
        });
        let owned = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>();
        let [source_tags, source_accounts] = tags_and_accounts(named).map(owned);
        let [target_tags, target_accounts] = tags_and_accounts(self.rule.targets.iter()).map(owned);
        let lists = [
            ("sourceRanges", sources),
            ("destinationRanges", destinations),
            ("sourceTags", source_tags),
            ("sourceServiceAccounts", source_accounts),
            ("targetTags", target_tags),
            ("targetServiceAccounts", target_accounts),
        ];
        lists.into_iter().filter(|(_, list)| !list.is_empty()).collect()
    }

    fn json(&self) -> Value {
        let mut object = Map::new();
        let mut set = |key: &str, value: Value| _ = object.insert(key.to_owned(), value);
        set("kind", "compute#firewall".into());
        set("name", self.name.as_str().into());
        set("network", format!("global/networks/{}", self.network).into());
        let direction = match self.rule.direction {
            Direction::Ingress => "INGRESS",
            Direction::Egress => "EGRESS",
        };
        set("direction", direction.into());
        set("priority", self.rule.priority.get().into());
        for (key, list) in self.lists() {
            set(key, list.into());
        }
        let entries = self.entries.iter().map(|(protocol, ports)| match ports.is_empty() {
            true => json!({"IPProtocol": protocol}),
            false => json!({"IPProtocol": protocol, "ports": ports}),
        });
        let key = match self.rule.policy {
            Policy::Accept => "allowed",
            Policy::Drop => "denied",
        };
        set(key, entries.collect::<Vec<_>>().into());
        if let Some(text) = &self.rule.description {
            set("description", text.as_str().into());
        }
        set("disabled", false.into());
        Value::Object(object)
    }
}

fn instance(rules: &RuleSet, eni: &Interface) -> Result<Value, CannotSay> {
    if eni.timeouts != Cloud::Google.timeouts() {
        return Err(CannotSay {
            what: eni.id.clone(),
            why: "its timeouts are not the usual ones; leave `timeouts:` out".to_owned(),
        });
    }
    let network = eni.groups.first().and_then(|group| rules.groups().get(*group));
    let network = network.map(|group| format!("global/networks/{}", group.id));
    let ranges: Vec<Value> =
        eni.addresses.iter().map(|net| json!({"ipCidrRange": net.to_string()})).collect();
    let [tags, accounts] = tags_and_accounts(eni.tags.iter());
    let accounts: Vec<Value> = accounts.into_iter().map(|email| json!({"email": email})).collect();
    Ok(json!({
        "kind": "compute#instance",
        "name": eni.id,
        "networkInterfaces": [{"network": network, "aliasIpRanges": ranges}],
        "tags": {"items": tags},
        "serviceAccounts": accounts,
    }))
}
