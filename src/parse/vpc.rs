//! What the VPC API of Alibaba Cloud answers about network ACLs and vSwitches (SEMANTICS H5).

use ipnet::IpNet;
use serde_json::Value;

use super::json::{Faults, Json, reading};
use super::loaded::{Found, Loaded};
use crate::flow::{Direction, Protocol};
use crate::rules::{Layer, Peer, Policy, PortRange, Ports, Priority, Rule, RuleId, RuleProtocol};

/// The kinds of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// About one network ACL.
    Attribute,
    /// A page of them.
    List,
    VSwitches,
}

/// Which answer a value is, if it is one.
pub(super) fn recognise(value: &Value) -> Option<Answer> {
    let under =
        |outer: &str, inner: &str| value.get(outer).is_some_and(|of| of.get(inner).is_some());
    if under("NetworkAclAttribute", "NetworkAclId") {
        Some(Answer::Attribute)
    } else if under("NetworkAcls", "NetworkAcl") {
        Some(Answer::List)
    } else if under("VSwitches", "VSwitch") {
        Some(Answer::VSwitches)
    } else {
        None
    }
}

/// Adds an answer to what is known.
pub(super) fn read(answer: Answer, value: &Value, loaded: &mut Loaded, faults: &mut Faults) {
    let json = Json::new(value);
    match answer {
        Answer::Attribute => {
            if let Some(acl) = json.get("NetworkAclAttribute") {
                network_acl(&acl, loaded, faults);
            }
        }
        Answer::List => {
            for acl in json.nested("NetworkAcls", "NetworkAcl", faults) {
                network_acl(&acl, loaded, faults);
            }
            let total = json.text("TotalCount", faults).and_then(|count| count.parse().ok());
            loaded.acls_in_all = loaded.acls_in_all.max(total.unwrap_or_default());
        }
        Answer::VSwitches => {
            for vswitch in json.nested("VSwitches", "VSwitch", faults) {
                let Some(id) = vswitch.text("VSwitchId", faults) else { continue };
                for key in ["CidrBlock", "Ipv6CidrBlock"] {
                    let net = vswitch.cidr(key, faults);
                    loaded.networks.extend(net.map(|net| (id.clone(), net)));
                }
            }
        }
    }
}

/// A network ACL, whose entries stand in the order in which they are looked at.
fn network_acl(json: &Json<'_>, loaded: &mut Loaded, faults: &mut Faults) {
    let Some(id) = json.text("NetworkAclId", faults) else {
        return faults.add(json.path(), "the network ACL has no NetworkAclId");
    };
    let mut rules = Vec::new();
    for (outer, inner, direction) in [
        ("IngressAclEntries", "IngressAclEntry", Direction::Ingress),
        ("EgressAclEntries", "EgressAclEntry", Direction::Egress),
    ] {
        for (place, row) in (1..).zip(json.nested(outer, inner, faults)) {
            rules.extend(entry(&row, &id, direction, Priority::new(place), faults));
        }
    }
    for of in json.nested("Resources", "Resource", faults) {
        let vswitch = of.text("ResourceId", faults);
        // One that is being bound or unbound may be or not.
        if of.text("Status", faults).is_none_or(|status| status == "BINDED") {
            loaded.subnets.extend(vswitch.map(|vswitch| (vswitch, id.clone())));
        }
    }
    let vpc = json.text("VpcId", faults);
    loaded.add_group(&id, vpc, rules, json.path(), faults);
    loaded.group(&id).layer = Layer::NetworkAcl;
}

fn entry(
    json: &Json<'_>,
    acl: &str,
    direction: Direction,
    priority: Priority,
    faults: &mut Faults,
) -> Option<Found> {
    let id = json.text("NetworkAclEntryId", faults);
    let id = RuleId::Named(id.unwrap_or_else(|| super::group::of_number(direction, priority)));
    let before = faults.list.len();
    reading(faults, &id.clone(), acl, |faults| {
        let protocol = json.protocol("Protocol", faults)?;
        let policy: Option<Policy> = json.parsed("Policy", faults);
        let far = match direction {
            Direction::Ingress => "SourceCidrIp",
            Direction::Egress => "DestinationCidrIp",
        };
        let net = json.cidr(far, faults);
        if net.is_none() && faults.list.len() == before {
            let message = format!(
                "the entry has no {far}; a prefix list, which the console offers in its place, is not in this answer"
            );
            faults.add(json.path(), message);
        }
        let ports = match json.text("Port", faults).as_deref() {
            None | Some("-1/-1") => None,
            Some(_) => json.parsed::<PortRange>("Port", faults).map(Ports::Range),
        };
        let kind = json.text("EntryType", faults);
        let of = OfAcl { protocol, net: net?, policy: policy?, ports, kind: kind.clone() };
        let description = json.text("Description", faults);
        let rule = Rule { description, ..of.rule(id, direction, priority) };
        let kind = kind.map_or_else(String::new, |kind| format!(";{kind}"));
        let note = format!("stateless{kind}");
        Some(Found { note, ..Found::new(rule, json.path().to_owned()) })
    })
}

/// What an entry says.
pub(super) struct OfAcl {
    pub(super) protocol: RuleProtocol,
    pub(super) net: IpNet,
    pub(super) policy: Policy,
    pub(super) ports: Option<Ports>,
    /// `custom`, or `system` or `service`, which nobody can remove.
    pub(super) kind: Option<String>,
}

impl OfAcl {
    pub(super) fn rule(self, id: RuleId, direction: Direction, priority: Priority) -> Rule {
        let Self { protocol, net, policy, ports, kind } = self;
        // There is one word for both families.
        let protocol = match (protocol, net) {
            (RuleProtocol::Only(Protocol::ICMP), IpNet::V6(_)) => {
                RuleProtocol::Only(Protocol::ICMPV6)
            }
            (protocol, _) => protocol,
        };
        Rule {
            policy,
            priority,
            ports: ports.into_iter().filter(|_| protocol.has_ports()).collect(),
            fixed: kind.is_some_and(|kind| ["system", "service"].contains(&kind.as_str())),
            ..Rule::new(id, direction, protocol, vec![Peer::Cidr(net)])
        }
    }
}
