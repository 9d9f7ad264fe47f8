//! Suggestions as rule sets.

use ipnet::IpNet;

use super::Suggestion;
use crate::flow::Direction;
use crate::rules::{
    GroupType, Interface, Invalid, Layer, Parts, Peer, Policy, Ports, Priority, Rule, RuleId,
    RuleProtocol, RuleSet, SecurityGroup,
};

impl Suggestion {
    /// As a rule set: a group for each interface that has a connection. Where `of` lists interfaces they are
    /// named; members are isolated, and egress is an allow-list.
    ///
    /// # Errors
    /// When the cloud would refuse so many rules.
    pub fn rule_set(&self, of: Option<&RuleSet>) -> Result<RuleSet, Vec<Invalid>> {
        let listed = of.filter(|rules| rules.lists_interfaces());
        let interfaces: Vec<(usize, Option<&Interface>)> = match listed {
            None => vec![(0, None)],
            Some(rules) => rules.listed_interfaces().iter().map(Some).enumerate().collect(),
        };
        let groups = interfaces.iter().map(|(position, eni)| {
            let name = eni.map_or_else(String::new, |eni| format!("-{}", eni.id));
            self.group(*position, format!("sg-suggested{name}"))
        });
        let parts = Parts {
            groups: groups.collect(),
            interfaces: listed.map(|rules| {
                let only = |(position, eni): (usize, &Interface)| Interface {
                    groups: vec![position],
                    ..eni.clone()
                };
                rules.listed_interfaces().iter().enumerate().map(only).collect()
            }),
            slb_sources: of.map_or_else(Vec::new, |rules| rules.slb_sources().to_vec()),
            ..Parts::default()
        };
        RuleSet::new(parts)
    }

    fn group(&self, interface: usize, id: String) -> SecurityGroup {
        let rule = |direction, policy, priority, protocol, ports, peers: Vec<IpNet>| {
            let id = RuleId::Numbered { group: id.clone(), number: 0 };
            let peers = peers.into_iter().map(Peer::Cidr).collect();
            Rule { policy, priority, ports, ..Rule::new(id, direction, protocol, peers) }
        };
        let mut rules: Vec<Rule> = Vec::new();
        for of in self.allowances.iter().filter(|of| of.interface == interface) {
            // The cloud has lists of one family in a rule.
            let (v4, v6): (Vec<IpNet>, Vec<IpNet>) =
                of.peers.iter().partition(|net| net.addr().is_ipv4());
            for peers in [v4, v6].into_iter().filter(|peers| !peers.is_empty()) {
                let ports = of.ports.iter().copied().map(Ports::Range).collect();
                let protocol = RuleProtocol::Only(of.protocol);
                rules.push(rule(
                    of.direction,
                    Policy::Accept,
                    Priority::HIGHEST,
                    protocol,
                    ports,
                    peers,
                ));
            }
        }
        // A basic group accepts all other egress.
        let everybody = ["0.0.0.0/0", "::/0"].map(str::parse::<IpNet>);
        for peer in everybody.into_iter().flatten() {
            let (out, all) = (Direction::Egress, RuleProtocol::All);
            rules.push(rule(out, Policy::Drop, Priority::LOWEST, all, Vec::new(), vec![peer]));
        }
        for (number, rule) in (1..).zip(&mut rules) {
            rule.id = RuleId::Numbered { group: id.clone(), number };
        }
        SecurityGroup {
            id,
            layer: Layer::SecurityGroup,
            group_type: GroupType::Basic,
            inner_access_policy: Policy::Drop,
            vpc_id: None,
            networks: Vec::new(),
            rules,
        }
    }
}

/// Everything is allowed, so that all connections are seen; one interface, which holds all of them.
///
/// # Errors
/// Never, in fact.
pub fn everything() -> Result<RuleSet, Vec<Invalid>> {
    let accept = |direction, peer: IpNet| {
        let id = RuleId::Named(format!("{direction}-{peer}"));
        Rule::new(id, direction, RuleProtocol::All, vec![Peer::Cidr(peer)])
    };
    let everybody = ["0.0.0.0/0", "::/0"].map(str::parse::<IpNet>).into_iter().flatten();
    let rules = everybody.flat_map(|peer| Direction::BOTH.map(|direction| accept(direction, peer)));
    let group = SecurityGroup {
        id: "sg-everything".to_owned(),
        layer: Layer::SecurityGroup,
        group_type: GroupType::Basic,
        inner_access_policy: Policy::Accept,
        vpc_id: None,
        networks: Vec::new(),
        rules: rules.collect(),
    };
    RuleSet::new(Parts { groups: vec![group], ..Parts::default() })
}
