//! Answers of `az network nsg list` and `az network nic list`, as the cloud would print them.

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::{CannotSay, cannot, of_cloud};
use crate::flow::{Direction, Protocol};
use crate::rules::{
    Cloud, Interface, Peer, Policy, PortRange, Ports, Rule, RuleProtocol, RuleSet, SecurityGroup,
};

/// All groups of a rule set, and its interfaces. Read together they are the same rule set; which addresses tags stand
/// for they do not say.
///
/// # Errors
/// Where a rule has what Azure does not.
pub fn azure_json(rules: &RuleSet) -> Result<Vec<Value>, CannotSay> {
    of_cloud(rules, Cloud::Azure)?;
    let listed = rules.listed_interfaces();
    let mut answers = Vec::new();
    for (position, group) in rules.groups().iter().enumerate() {
        // The first of two groups of an interface stands at its subnet.
        let behind = listed.iter().filter(|eni| eni.groups.len() > 1);
        let behind = behind.filter(|eni| eni.groups.first() == Some(&position));
        let subnets: Vec<Value> = behind.map(|eni| json!({"id": subnet(eni)})).collect();
        answers.push(network_security_group(rules, group, &subnets)?);
    }
    for eni in listed {
        answers.push(interface(rules, eni)?);
    }
    Ok(answers)
}

fn subnet(eni: &Interface) -> String {
    format!("/subnets/of-{}", eni.id)
}

fn network_security_group(
    rules: &RuleSet,
    group: &SecurityGroup,
    subnets: &[Value],
) -> Result<Value, CannotSay> {
    if !group.rules.iter().any(|rule| rule.fixed) {
        return Err(without_defaults(group));
    }
    let (mut own, mut defaults) = (Vec::new(), Vec::new());
    for rule in &group.rules {
        let list = if rule.fixed { &mut defaults } else { &mut own };
        list.push(of_rule(rules, rule).map_err(|error| error.in_group(group))?);
    }
    Ok(json!({
        "name": group.id,
        "securityRules": own,
        "defaultSecurityRules": defaults,
        "subnets": subnets,
    }))
}

/// A group ends with the cloud's default rules, or it is none.
pub(super) fn without_defaults(group: &SecurityGroup) -> CannotSay {
    CannotSay {
        what: group.id.clone(),
        why: "it is without the default rules that every network security group ends with (priority 65000 to 65500)"
            .to_owned(),
    }
}

/// Whether a tag is an application security group: interfaces carry those.
pub(super) fn is_group(rules: &RuleSet, tag: &str) -> bool {
    let carried = rules.interfaces().iter().any(|eni| eni.tags.iter().any(|of| of == tag));
    let all = rules.groups().iter().flat_map(|group| &group.rules);
    carried || all.flat_map(|rule| &rule.targets).any(|target| target == tag)
}

/// One side of a rule: addresses and service tags, and application security groups.
pub(super) struct Side {
    pub(super) prefixes: Vec<String>,
    pub(super) groups: Vec<String>,
}

/// A rule in the cloud's words.
pub(super) struct OfRule {
    pub(super) protocol: &'static str,
    pub(super) source: Side,
    pub(super) destination: Side,
    pub(super) source_ports: Vec<String>,
    pub(super) ports: Vec<String>,
}

impl OfRule {
    pub(super) fn new(rules: &RuleSet, rule: &Rule) -> Result<Self, CannotSay> {
        let protocol = match rule.protocol {
            RuleProtocol::All => "*",
            RuleProtocol::Only(Protocol::TCP) => "Tcp",
            RuleProtocol::Only(Protocol::UDP) => "Udp",
            RuleProtocol::Only(Protocol::ICMP) => "Icmp",
            RuleProtocol::Only(Protocol(50)) => "Esp",
            RuleProtocol::Only(Protocol(51)) => "Ah",
            RuleProtocol::Only(_) => {
                return Err(cannot(
                    rule,
                    "Azure has the protocols tcp, udp, icmp, esp and ah only",
                ));
            }
        };
        if rule.icmp.is_some() {
            return Err(cannot(rule, "Azure has no ICMP types"));
        }
        let far = side(rules, rule, &rule.peers)?;
        let near = Side { groups: rule.targets.clone(), ..side(rules, rule, &rule.local)? };
        let (source, destination) = match rule.direction {
            Direction::Ingress => (far, near),
            Direction::Egress => (near, far),
        };
        let mut ports = Vec::new();
        for of in &rule.ports {
            match of {
                Ports::Any => ports.push("*".to_owned()),
                Ports::Range(range) => ports.push(dashed(*range)),
                Ports::List(_) => return Err(cannot(rule, "Azure has no port lists")),
            }
        }
        let source_ports = rule.source_ports.iter().copied().map(dashed).collect();
        Ok(Self { protocol, source, destination, source_ports, ports })
    }
}

fn dashed(range: PortRange) -> String {
    match range.first() == range.last() {
        true => range.first().to_string(),
        false => format!("{}-{}", range.first(), range.last()),
    }
}

fn side(rules: &RuleSet, rule: &Rule, peers: &[Peer]) -> Result<Side, CannotSay> {
    let (mut prefixes, mut groups) = (Vec::new(), Vec::new());
    let everybody = |peer: &Peer| matches!(peer, Peer::Cidr(net) if net.prefix_len() == 0);
    let is_any = peers.iter().filter(|peer| everybody(peer)).count() == 2;
    if is_any {
        prefixes.push("*".to_owned());
    }
    for peer in peers.iter().filter(|peer| !(is_any && everybody(peer))) {
        match peer {
            Peer::Cidr(net) => prefixes.push(net.to_string()),
            Peer::Tag(name) if is_group(rules, name) => groups.push(name.clone()),
            Peer::Tag(name) => prefixes.push(name.clone()),
            Peer::Group(_) | Peer::PrefixList(_) => {
                return Err(cannot(rule, "Azure has addresses and tags as peers only"));
            }
        }
    }
    // No prefix means any address.
    if prefixes.is_empty() && groups.is_empty() {
        prefixes.push("*".to_owned());
    }
    Ok(Side { prefixes, groups })
}

fn of_rule(rules: &RuleSet, rule: &Rule) -> Result<Value, CannotSay> {
    let of = OfRule::new(rules, rule)?;
    let mut object = Map::new();
    let mut set = |key: String, value: Value| _ = object.insert(key, value);
    set("name".to_owned(), rule.id.to_string().into());
    set("priority".to_owned(), rule.priority.get().into());
    let direction = match rule.direction {
        Direction::Ingress => "Inbound",
        Direction::Egress => "Outbound",
    };
    set("direction".to_owned(), direction.into());
    let access = match rule.policy {
        Policy::Accept => "Allow",
        Policy::Drop => "Deny",
    };
    set("access".to_owned(), access.into());
    set("protocol".to_owned(), of.protocol.into());
    set("description".to_owned(), rule.description.clone().into());
    for (name, side, ports) in
        [("source", of.source, of.source_ports), ("destination", of.destination, of.ports)]
    {
        // One alone stands in the single form.
        let mut both = |key: String, many: String, mut values: Vec<String>| {
            let one = (values.len() == 1).then(|| values.pop()).flatten();
            set(key, one.into());
            set(many, values.into());
        };
        both(format!("{name}AddressPrefix"), format!("{name}AddressPrefixes"), side.prefixes);
        let ports = if ports.is_empty() { vec!["*".to_owned()] } else { ports };
        both(format!("{name}PortRange"), format!("{name}PortRanges"), ports);
        let groups: Vec<Value> = side.groups.iter().map(|group| json!({"id": group})).collect();
        set(format!("{name}ApplicationSecurityGroups"), groups.into());
    }
    Ok(Value::Object(object))
}

fn interface(rules: &RuleSet, eni: &Interface) -> Result<Value, CannotSay> {
    let groups: Vec<&SecurityGroup> =
        eni.groups.iter().filter_map(|group| rules.groups().get(*group)).collect();
    let asgs: Vec<Value> = eni.tags.iter().map(|tag| json!({"id": tag})).collect();
    let single = |net: &IpNet| net.prefix_len() == net.max_prefix_len();
    if eni.timeouts != Cloud::Azure.timeouts() {
        return Err(CannotSay {
            what: eni.id.clone(),
            why: "its timeouts are not the usual ones; leave `timeouts:` out".to_owned(),
        });
    }
    let configurations = eni.addresses.iter().map(|net| {
        let address = if single(net) { net.addr().to_string() } else { net.to_string() };
        let mut of = json!({"privateIPAddress": address, "applicationSecurityGroups": asgs});
        if let (Some(of), true) = (of.as_object_mut(), groups.len() > 1) {
            of.insert("subnet".to_owned(), json!({"id": subnet(eni)}));
        }
        of
    });
    let own = groups.last().map(|group| json!({"id": group.id}));
    Ok(json!({
        "name": eni.id,
        "ipConfigurations": configurations.collect::<Vec<_>>(),
        "networkSecurityGroup": own,
    }))
}
