//! Least-privilege rules from traffic: few rules that allow the connections seen and nothing beyond a stated bound.
//!
//! Every connection needs its service (protocol and destination port) from its peer. Peers are widened to
//! networks no larger than the [`Widening`] says, ports never. Neighbouring ports with the same peers become
//! one range, and services with the same peers one rule. Minimizing the number of rules is
//! hard; this is a heuristic that never widens beyond the bound.

mod allowance;
mod fix;
mod observation;
mod observed;
mod rule_set;
mod widening;

use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::flow::{Direction, Protocol};
use crate::rules::PortRange;
use allowance::{Allowance, Merge};
pub use fix::{CannotFix, Fix, Flow, fix};
use observation::Service;
pub use observation::{Observation, count};
pub(crate) use observed::ObservedPart;
pub use observed::{Observed, Scanners, Wants};
pub use rule_set::everything;
pub use widening::Widening;

/// Rules that allow connections.
#[derive(Clone, Debug)]
pub struct Suggestion {
    allowances: Vec<Allowance>,
    bound: Widening,
}

impl Suggestion {
    /// Rules that allow these connections; peers as wide as the bound says.
    pub fn new(list: &[Observation], bound: Widening) -> Self {
        let mut peers: BTreeMap<(usize, Direction, Service), Vec<IpNet>> = BTreeMap::new();
        for one in list.iter().filter(|one| one.can_be_named()) {
            let key = (one.interface, one.direction, one.service());
            peers.entry(key).or_default().push(bound.widen(&one.peer));
        }
        let allowances = peers.into_iter().map(|((interface, direction, service), nets)| {
            let (protocol, port) = service;
            let ports = port.and_then(|port| PortRange::new(port, port)).into_iter().collect();
            Allowance { interface, direction, protocol, ports, peers: IpNet::aggregate(&nets) }
        });
        let mut suggestion = Self { allowances: allowances.collect(), bound };
        suggestion.join();
        suggestion
    }

    /// Rules that close egress, for each interface: they come on top of those that allow.
    pub const CLOSING: usize = 2;

    /// At most `most` rules that allow, as far as the bound permits: greedily merges the networks that open the fewest
    /// addresses per rule saved.
    pub fn with_most(list: &[Observation], bound: Widening, most: usize) -> Self {
        let mut suggestion = Self { bound, ..Self::new(list, Widening::EXACT) };
        while suggestion.rules() > most {
            let allowances = suggestion.allowances.iter().enumerate();
            let merges = allowances.filter_map(|(place, of)| Some((place, of.best_merge(bound)?)));
            let best = merges.min_by(|(_, a), (_, b)| a.price.total_cmp(&b.price));
            let Some((place, Merge { into, .. })) = best else { break };
            if let Some(of) = suggestion.allowances.get_mut(place) {
                of.peers.retain(|net| !into.contains(net));
                of.peers.push(into);
                of.peers = IpNet::aggregate(&of.peers);
            }
        }
        suggestion.join();
        suggestion
    }

    /// Joins neighbouring ports, and services with the same peers.
    fn join(&mut self) {
        type Key = (usize, Direction, Protocol, Vec<IpNet>);
        let mut joined: BTreeMap<Key, Vec<PortRange>> = BTreeMap::new();
        for of in std::mem::take(&mut self.allowances) {
            let Allowance { interface, direction, protocol, ports, mut peers } = of;
            peers.sort_unstable();
            joined.entry((interface, direction, protocol, peers)).or_default().extend(ports);
        }
        for ((interface, direction, protocol, peers), mut ports) in joined {
            ports.sort_unstable();
            let ports = touching_joined(ports);
            self.allowances.push(Allowance { interface, direction, protocol, ports, peers });
        }
    }

    /// Rules as the cloud counts them: one for each pair of ports and peer.
    pub fn rules(&self) -> usize {
        self.allowances.iter().map(Allowance::rules).sum()
    }

    /// Pairs of a port and an address (in IPv6: a /64) that it opens per pair seen.
    pub fn opens(&self, list: &[Observation]) -> f64 {
        let opened: f64 = self.allowances.iter().map(Allowance::opens).sum();
        let seen = Self::new(list, Widening::EXACT);
        let seen: f64 = seen.allowances.iter().map(Allowance::opens).sum();
        if seen > 0.0 { opened / seen } else { 1.0 }
    }

    /// The bound that holds for it.
    pub fn bound(&self) -> Widening {
        self.bound
    }

    /// Whether it allows ICMP types that were not seen: rules for ICMP have no types.
    pub fn has_icmp(&self) -> bool {
        let icmp = |of: &Allowance| matches!(of.protocol, Protocol::ICMP | Protocol::ICMPV6);
        self.allowances.iter().any(icmp)
    }

    /// Whether it would allow a connection.
    pub fn allows(&self, one: &Observation) -> bool {
        let (protocol, port) = one.service();
        self.allowances.iter().any(|of| {
            of.interface == one.interface
                && of.direction == one.direction
                && of.protocol == protocol
                && port.is_none_or(|port| of.ports.iter().any(|range| range.contains(port)))
                && of.peers.iter().any(|net| net.contains(&one.peer))
        })
    }
}

/// Ports in order, with those that touch joined.
fn touching_joined(ports: impl IntoIterator<Item = PortRange>) -> Vec<PortRange> {
    let mut ranges: Vec<PortRange> = Vec::new();
    for port in ports {
        let before = ranges.last().copied();
        let touching = before.filter(|of| of.last().checked_add(1) == Some(port.first()));
        match touching.and_then(|of| PortRange::new(of.first(), port.last())) {
            Some(range) => {
                ranges.pop();
                ranges.push(range);
            }
            None => ranges.push(port),
        }
    }
    ranges
}
