//! Rules in the making.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::super::touching_joined;
use super::{CannotFix, Decider, Flow};
use crate::flow::{Direction, Protocol};
use crate::rules::{
    Cloud, Peer, Policy, PortRange, Ports, Priority, Rule, RuleId, RuleProtocol, RuleSet,
};

/// What rules have in common that differ in ports and peers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    group: usize,
    direction: Direction,
    /// The last priority that goes before what decides.
    before: Priority,
    proto: Protocol,
    icmp: Option<(u8, u8)>,
    local: Option<IpAddr>,
    is_ipv4: bool,
}

/// Rules in the making: the peers of each port.
#[derive(Default)]
pub(super) struct Drafts(BTreeMap<Key, BTreeMap<Option<u16>, BTreeSet<IpAddr>>>);

impl Drafts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(
        &mut self,
        rules: &RuleSet,
        wanted: &Flow,
        decider: &Decider,
        policy: Policy,
    ) -> Result<(), CannotFix> {
        let Flow { interface, direction, flow } = *wanted;
        let cloud = rules.cloud();
        let before = before(cloud, decider, policy)?;
        let has_ports = RuleProtocol::Only(flow.proto).has_ports();
        let port = flow.transport.ports().map(|(_, port)| port).filter(|_| has_ports);
        if flow.transport.ports().is_some() && !has_ports {
            let proto = flow.proto;
            let message =
                format!("rules name no ports of {proto}, so that one would be about all of them");
            return Err(CannotFix::NoRule(message));
        }
        if port == Some(0) {
            return Err(CannotFix::NoRule("no rule names port 0".to_owned()));
        }
        let local = flow.local(direction);
        // The near side is named where it is not the only one, and a rule can name it.
        let names_local =
            cloud == Cloud::Alibaba && !is_only_local(rules, decider.group, interface, local);
        let key = Key {
            group: decider.group,
            direction,
            before,
            proto: flow.proto,
            icmp: flow.transport.icmp().filter(|_| cloud == Cloud::Aws),
            local: names_local.then_some(local),
            is_ipv4: local.is_ipv4(),
        };
        self.0.entry(key).or_default().entry(port).or_default().insert(flow.peer(direction));
        Ok(())
    }

    /// The rules, each with the position of its group: ports with the same peers share one.
    pub(super) fn rules(
        self,
        of: &RuleSet,
        policy: Policy,
    ) -> Result<Vec<(usize, Rule)>, CannotFix> {
        let mut added: Vec<(usize, Rule)> = Vec::new();
        for (key, ports) in self.0 {
            let mut by_peers: BTreeMap<BTreeSet<IpAddr>, Vec<u16>> = BTreeMap::new();
            for (port, peers) in ports {
                by_peers.entry(peers).or_default().extend(port);
            }
            for (peers, ports) in by_peers {
                let Some(group) = of.groups().get(key.group) else { continue };
                let before = added.iter().filter(|(group, _)| *group == key.group).count();
                let number = group.rules.len() + before + 1;
                let id = RuleId::Numbered { group: group.id.clone(), number };
                let peers = peers.into_iter().map(|peer| Peer::Cidr(peer.into())).collect();
                let protocol = RuleProtocol::Only(key.proto);
                let local = key.local.map(|local| Peer::Cidr(local.into()));
                let rule = Rule {
                    policy,
                    priority: free(of, &added, &key)?,
                    ports: ranges(&ports),
                    local: local.into_iter().collect(),
                    icmp: key.icmp.map(|(kind, code)| (kind, Some(code))),
                    ..Rule::new(id, key.direction, protocol, peers)
                };
                added.push((key.group, rule));
            }
        }
        Ok(added)
    }
}

/// The last priority at which a rule goes before what decides.
fn before(cloud: Cloud, decider: &Decider, policy: Policy) -> Result<Priority, CannotFix> {
    let name = || decider.rule.as_ref().map_or_else(String::new, |(_, name)| name.clone());
    let last = match (cloud, &decider.rule) {
        (Cloud::Aws, _) if policy == Policy::Drop => {
            return Err(CannotFix::OnlyAccept(cloud, format!("rule {}", name())));
        }
        (Cloud::Alibaba | Cloud::Aws, None) => return Ok(Priority::HIGHEST),
        // What gcloud gives a rule without a priority.
        (Cloud::Google, None) => 1000,
        (_, None) => cloud.lowest_custom(),
        // Of two rules of the same priority the one that drops decides.
        (Cloud::Alibaba | Cloud::Google, Some((priority, _))) if policy == Policy::Drop => {
            priority.get()
        }
        (_, Some((priority, name))) => {
            let before = priority.get().checked_sub(1);
            before.ok_or_else(|| CannotFix::NoPriority(name.clone()))?
        }
    };
    let last = last.min(cloud.lowest_custom());
    match last >= first(cloud) {
        true => Ok(Priority::new(last)),
        false => Err(CannotFix::NoPriority(name())),
    }
}

/// The first priority that a rule may have.
fn first(cloud: Cloud) -> u32 {
    match cloud {
        Cloud::Azure => 100,
        _ => *cloud.priorities().start(),
    }
}

/// The last priority that is free: of Azure each rule of a group and direction has its own.
fn free(of: &RuleSet, added: &[(usize, Rule)], key: &Key) -> Result<Priority, CannotFix> {
    if of.cloud() != Cloud::Azure {
        return Ok(key.before);
    }
    let known = of.groups().get(key.group).into_iter().flat_map(|group| &group.rules);
    let new = added.iter().filter(|(group, _)| *group == key.group).map(|(_, rule)| rule);
    let taken = known.chain(new).filter(|rule| rule.direction == key.direction);
    let taken: BTreeSet<u32> = taken.map(|rule| rule.priority.get()).collect();
    let free = (first(of.cloud())..=key.before.get()).rev().find(|number| !taken.contains(number));
    free.map(Priority::new).ok_or_else(|| CannotFix::NoPriority("that decides".to_owned()))
}

/// Ports, in order, as ranges.
fn ranges(ports: &[u16]) -> Vec<Ports> {
    let ports = ports.iter().filter_map(|port| PortRange::new(*port, *port));
    touching_joined(ports).into_iter().map(Ports::Range).collect()
}

/// Whether an address is the only one, of its family, that rules of a group are about.
fn is_only_local(rules: &RuleSet, group: usize, interface: usize, local: IpAddr) -> bool {
    let all = rules.interfaces().iter().enumerate();
    all.filter(|(n, eni)| *n == interface || eni.groups.contains(&group)).all(|(n, eni)| {
        let mut nets = eni.addresses.iter().filter(|net| net.addr().is_ipv4() == local.is_ipv4());
        n == interface && nets.all(|net| *net == IpNet::from(local))
    })
}
