//! The packets whose verdict is to change, and the proof that those of no others do.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{CannotFix, Flow};
use crate::diff::{self, Effect, Turned};
use crate::flow::{Direction, Protocol};
use crate::header_space::{AddressRange, Detail};
use crate::rules::{Cloud, Policy, RuleProtocol, RuleSet};

/// Regions that a message names.
const SHOWN: usize = 4;

/// What may change its verdict.
pub(super) struct Wanted {
    flows: BTreeSet<(usize, Direction, Service, IpAddr, IpAddr)>,
    pub(super) any_icmp_type: bool,
}

/// What a rule names of a packet's protocol: a destination port, or the type and code of an ICMP message.
type Service = (Protocol, Option<u16>, Option<(u8, u8)>);

impl Wanted {
    pub(super) fn new(rules: &RuleSet, flows: &[Flow]) -> Self {
        let names_icmp = rules.cloud() == Cloud::Aws;
        let of = |wanted: &Flow| {
            let Flow { interface, direction, flow } = *wanted;
            let has_ports = RuleProtocol::Only(flow.proto).has_ports();
            let port = flow.transport.ports().map(|(_, port)| port).filter(|_| has_ports);
            let service = (flow.proto, port, flow.transport.icmp().filter(|_| names_icmp));
            (interface, direction, service, flow.peer(direction), flow.local(direction))
        };
        let has_icmp = flows.iter().any(|wanted| wanted.flow.transport.icmp().is_some());
        Self { flows: flows.iter().map(of).collect(), any_icmp_type: has_icmp && !names_icmp }
    }

    /// The difference that added rules make; an error where a packet is in it that is not wanted.
    pub(super) fn only(
        &self,
        before: &RuleSet,
        after: &RuleSet,
        policy: Policy,
    ) -> Result<Vec<Turned>, CannotFix> {
        let turned = diff::regions(before, after).map_err(|_| CannotFix::TooComplex)?;
        let effect = match policy {
            Policy::Accept => Effect::NewlyAllowed,
            Policy::Drop => Effect::NewlyDenied,
        };
        let is_more = |one: &&Turned| one.effect != effect || !self.holds(after, one);
        let more: Vec<String> = turned
            .iter()
            .filter(is_more)
            .take(SHOWN)
            .map(|one| format!("{} {}", one.region.direction(), one.region))
            .collect();
        if more.is_empty() { Ok(turned) } else { Err(CannotFix::More(more)) }
    }

    /// Whether every packet of a region is wanted. It stops at the first that is not, so that no more are asked for
    /// than there are wanted ones.
    fn holds(&self, rules: &RuleSet, turned: &Turned) -> bool {
        let (region, Some(interface)) = (&turned.region, turned.interfaces[1]) else {
            return false;
        };
        let direction = region.direction();
        let mut services = region.services().into_iter().flat_map(|service| -> Vec<Service> {
            let proto = service.proto;
            match service.detail {
                Detail::Ports(first, last) => {
                    (first..=last).map(|port| (proto, Some(port), None)).collect()
                }
                Detail::Icmp(first, last) if first == last => vec![(proto, None, Some(first))],
                Detail::Icmp(..) | Detail::All => vec![(proto, None, None)],
            }
        });
        let locals = Self::locals(rules, turned, interface);
        let peers = region.peers();
        services.all(|service| {
            // Where rules name no types, one type alone stands for all.
            let service = match service {
                (proto, None, Some(_)) if self.any_icmp_type => (proto, None, None),
                service => service,
            };
            each(&peers).all(|peer| {
                let wanted =
                    |local| self.flows.contains(&(interface, direction, service, peer, local));
                match &locals {
                    Some(locals) => each(locals).all(wanted),
                    None => self.flows.iter().any(|(eni, way, what, far, _)| {
                        (*eni, *way, *what, *far) == (interface, direction, service, peer)
                    }),
                }
            })
        })
    }

    /// The near side's addresses; `None` where nobody has said which they are.
    fn locals(rules: &RuleSet, turned: &Turned, interface: usize) -> Option<Vec<AddressRange>> {
        let found = turned.region.locals();
        if !found.is_empty() {
            return Some(found);
        }
        let nets = rules.interfaces().get(interface).map_or(&[][..], |eni| &eni.addresses);
        let nets = nets.iter().filter(|net| net.addr().is_ipv4() == turned.region.is_ipv4());
        let ranges: Vec<AddressRange> =
            nets.map(|net| AddressRange { first: net.network(), last: net.broadcast() }).collect();
        (!ranges.is_empty()).then_some(ranges)
    }
}

/// The addresses of ranges, one by one.
fn each(ranges: &[AddressRange]) -> impl Iterator<Item = IpAddr> + '_ {
    ranges.iter().flat_map(|range| {
        let last = range.last;
        std::iter::successors(Some(range.first), move |addr| (*addr < last).then(|| next(*addr)))
    })
}

fn next(addr: IpAddr) -> IpAddr {
    match addr {
        IpAddr::V4(addr) => IpAddr::V4((addr.to_bits().wrapping_add(1)).into()),
        IpAddr::V6(addr) => IpAddr::V6((addr.to_bits().wrapping_add(1)).into()),
    }
}
