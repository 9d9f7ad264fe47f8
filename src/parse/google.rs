//! What `gcloud compute` prints: firewall rules of VPC networks, and instances.

use serde_json::Value;

use super::json::{Faults, Json, dashed, last_part, reading};
use super::loaded::{Found, FoundGroup, FoundInterface, Loaded, Standing};
use crate::flow::Direction;
use crate::rules::{Cloud, Peer, Policy, Ports, Priority, Rule, RuleId};

/// The kinds of answers, in the order in which they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answer {
    Rule,
    /// What is in force: the rules of the network, and policies from above it.
    Effective,
    Instance,
}

/// Which answer a value is, if it is one; lists are taken apart before.
pub(super) fn recognise(value: &Value) -> Option<Answer> {
    let has = |key: &str| value.get(key).is_some();
    let is_list = |key: &str| value.get(key).is_some_and(Value::is_array);
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
    Some(match () {
        () if is_list("firewalls") || is_list("firewallPolicys") => Answer::Effective,
        () if is_list("allowed") || is_list("denied") || kind == "compute#firewall" => Answer::Rule,
        () if kind == "compute#instance" || is_list("networkInterfaces") && has("machineType") => {
            Answer::Instance
        }
        () => return None,
    })
}

/// Adds an answer to what is known.
pub(super) fn read(answer: Answer, value: &Value, loaded: &mut Loaded, faults: &mut Faults) {
    let json = Json::new(value);
    match answer {
        Answer::Rule => rule(&json, loaded, faults),
        Answer::Instance => instance(&json, loaded, faults),
        Answer::Effective => {
            for policy in json.list("firewallPolicys", faults) {
                let name =
                    policy.text("name", faults).unwrap_or_else(|| "without a name".to_owned());
                let message = format!(
                    "the firewall policy {name} stands above the network's rules, and such policies are not read; the \
                     answer of `gcloud compute firewall-rules list` has the network's alone"
                );
                faults.add(policy.path(), message);
            }
            for one in json.list("firewalls", faults) {
                rule(&one, loaded, faults);
            }
        }
    }
}

/// A list of words under a key.
fn words(json: &Json<'_>, key: &str, faults: &mut Faults) -> Vec<String> {
    let mut words = Vec::new();
    for one in json.list(key, faults) {
        match one.value() {
            Value::String(text) => words.push(text.trim().to_owned()),
            Value::Number(number) => words.push(number.to_string()),
            _ => faults.add(one.path(), "a word is expected here"),
        }
    }
    words
}

/// A VPC network. Those of two projects may have one name.
pub(super) struct Network {
    name: String,
    project: Option<String>,
}

impl Network {
    /// By a link, or a name with the project that it is in.
    pub(super) fn parse(link: &str, project: Option<&str>) -> Self {
        let of_link = project_in(link).or(project);
        Self { name: last_part(link), project: of_link.map(str::to_owned) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is known which project it is in.
    pub(super) fn has_project(&self) -> bool {
        self.project.is_some()
    }

    /// By which interfaces and rules refer to it.
    pub(super) fn key(&self) -> String {
        match &self.project {
            Some(project) => format!("{project}/{}", self.name),
            None => self.name.clone(),
        }
    }

    /// The group of its rules.
    pub(super) fn group<'l>(&self, loaded: &'l mut Loaded) -> &'l mut FoundGroup {
        let known = loaded.group_of_key(&self.key(), &self.name);
        known.qualifiers = self.project.iter().cloned().collect();
        known.owner.clone_from(&self.project);
        known
    }
}

/// The project in a link to a resource.
pub(super) fn project_in(link: &str) -> Option<&str> {
    let (_, rest) = link.split_once("projects/")?;
    rest.split('/').next().filter(|project| !project.is_empty())
}

/// A rule, which is one of ours for each protocol that it names.
fn rule(json: &Json<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    loaded.of_cloud(Cloud::Google, faults);
    let before = faults.list.len();
    let Some(name) = json.text("name", faults) else {
        return faults.add(json.path(), "the rule has no name");
    };
    let link = json.text("network", faults).unwrap_or_default();
    let network = Network::parse(&link, None);
    let id = RuleId::Named(name.clone());
    let found = reading(faults, &id, &network.name, |faults| parts(json, &name, faults));
    if faults.list.len() == before {
        let known = network.group(loaded);
        known.has_rules = true;
        known.rules.extend(found);
    }
}

/// A rule of ours for each protocol that a rule names.
pub(super) fn parts(json: &Json<'_>, name: &str, faults: &mut Faults) -> Vec<Found> {
    let direction = match json.text("direction", faults) {
        Some(word) if word.eq_ignore_ascii_case("egress") => Direction::Egress,
        Some(word) if !word.eq_ignore_ascii_case("ingress") => {
            json.fault("direction", format_args!("`{word}`: INGRESS or EGRESS"), faults);
            return Vec::new();
        }
        // Old rules do not say it.
        _ => Direction::Ingress,
    };
    let priority = json.parsed("priority", faults).unwrap_or(Priority::new(1000));
    let (policy, key) = match (json.has("allowed"), json.has("denied")) {
        (true, false) => (Policy::Accept, "allowed"),
        (false, true) => (Policy::Drop, "denied"),
        _ => {
            faults.add(json.path(), "the rule has neither `allowed` nor `denied`, or both");
            return Vec::new();
        }
    };
    let nets = |key: &str, faults: &mut Faults| -> Vec<Peer> {
        let all = json.list(key, faults);
        all.iter().filter_map(|one| one.own_cidr(faults)).map(Peer::Cidr).collect()
    };
    let (sources, destinations) = (nets("sourceRanges", faults), nets("destinationRanges", faults));
    let (mut peers, local) = match direction {
        Direction::Ingress => (sources, destinations),
        Direction::Egress => (destinations, sources),
    };
    for key in ["sourceTags", "sourceServiceAccounts"] {
        peers.extend(words(json, key, faults).into_iter().map(Peer::Tag));
    }
    if peers.is_empty() {
        peers.extend("0.0.0.0/0".parse().ok().map(Peer::Cidr));
    }
    let mut targets = words(json, "targetTags", faults);
    targets.extend(words(json, "targetServiceAccounts", faults));
    let description = json.text("description", faults);
    let disabled = json.get("disabled").is_some_and(|flag| *flag.value() == Value::Bool(true));
    let mut notes: Vec<String> = Vec::new();
    if disabled {
        notes.push("disabled".to_owned());
    }
    if !targets.is_empty() {
        let tags: Vec<String> = targets.iter().map(|tag| tag_or_account(tag)).collect();
        notes.push(format!("targets {}", tags.join(";")));
    }
    let rows = json.list(key, faults);
    let mut found: Vec<Found> = Vec::new();
    for row in &rows {
        let Some(protocol) = row.protocol("IPProtocol", faults) else { continue };
        let ports = words(row, "ports", faults).into_iter().filter_map(|text| {
            let range = dashed(&text);
            if range.is_none() {
                row.fault(
                    "ports",
                    format_args!("`{text}`: a port, or a range as in `22-23`"),
                    faults,
                );
            }
            range.map(Ports::Range)
        });
        let ports = ports.collect();
        let id = if rows.len() == 1 {
            RuleId::Named(name.to_owned())
        } else {
            let same = found.iter().filter(|of| of.rule.protocol == protocol).count();
            let part =
                if same == 0 { protocol.to_string() } else { format!("{protocol}-{}", same + 1) };
            RuleId::Named(format!("{name}/{part}"))
        };
        let origin = row.path().to_owned();
        let rule = Rule {
            policy,
            priority,
            ports,
            local: local.clone(),
            targets: targets.clone(),
            description: description.clone(),
            ..Rule::new(id, direction, protocol, peers.clone())
        };
        let standing = if disabled { Standing::Disabled } else { Standing::InForce };
        let note = notes.join("; ");
        let listed_as = Some(name.to_owned());
        found.push(Found { listed_as, note, standing, ..Found::new(rule, origin) });
    }
    found
}

/// A tag or a service account, as the neutral table has it.
pub(crate) fn tag_or_account(name: &str) -> String {
    let kind = if name.contains('@') { "sa" } else { "tag" };
    format!("{kind}:{name}")
}

/// An instance: an interface for each of its networks, with the instance's tags and service accounts.
fn instance(json: &Json<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    let name = json.text("name", faults).unwrap_or_default();
    let mut tags = json.get("tags").map(|of| words(&of, "items", faults)).unwrap_or_default();
    for account in json.list("serviceAccounts", faults) {
        tags.extend(account.text("email", faults));
    }
    let zone = json.text("zone", faults).map(|zone| last_part(&zone));
    let link = json.text("selfLink", faults).unwrap_or_default();
    let project = project_in(&link);
    loaded.owners.extend(project.map(str::to_owned));
    let qualifiers: Vec<String> = zone.into_iter().chain(project.map(str::to_owned)).collect();
    let all = json.list("networkInterfaces", faults);
    for one in &all {
        let network = Network::parse(&one.text("network", faults).unwrap_or_default(), project);
        let mut addresses = Vec::new();
        addresses.extend(one.cidr("networkIP", faults));
        addresses.extend(one.cidr("ipv6Address", faults));
        for range in one.list("aliasIpRanges", faults) {
            addresses.extend(range.cidr("ipCidrRange", faults));
        }
        let id = match (all.len(), one.text("name", faults)) {
            (1, _) | (_, None) => name.clone(),
            (_, Some(nic)) => format!("{name}/{nic}"),
        };
        let timeouts = Cloud::Google.timeouts();
        let groups = vec![network.key()];
        let eni = FoundInterface {
            id,
            qualifiers: qualifiers.clone(),
            addresses,
            groups,
            timeouts,
            tags: tags.clone(),
            ..FoundInterface::default()
        };
        loaded.add_interface(eni, one.path(), faults);
    }
}
