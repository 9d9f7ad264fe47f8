//! Subnets in which others could have a rule set's network ACLs and interfaces.

use ipnet::IpNet;

use super::CannotSay;
use crate::rules::{Interface, Layer, RuleSet};

/// A subnet, and the network ACL that stands at it.
pub(super) struct Subnet {
    pub(super) id: String,
    pub(super) network: Option<IpNet>,
    /// Position of the ACL among the groups.
    pub(super) acl: usize,
}

/// Subnets, and the position among them of each interface's.
pub(super) struct Subnets {
    pub(super) all: Vec<Subnet>,
    pub(super) of_interfaces: Vec<Option<usize>>,
}

impl Subnets {
    /// # Errors
    /// Where an interface knows more of its subnet than that some interfaces are in it.
    pub(super) fn new(rules: &RuleSet, prefix: &str) -> Result<Self, CannotSay> {
        let mut all: Vec<Subnet> = Vec::new();
        for (acl, group) in rules.groups().iter().enumerate() {
            for network in &group.networks {
                let id = format!("{prefix}-{}", all.len() + 1);
                all.push(Subnet { id, network: Some(*network), acl });
            }
        }
        let listed = rules.listed_interfaces();
        let acl_of = |eni: &Interface| {
            let is_acl = |group: &&usize| {
                rules.groups().get(**group).is_some_and(|of| of.layer == Layer::NetworkAcl)
            };
            eni.groups.iter().find(is_acl).copied()
        };
        let mut of_interfaces: Vec<Option<usize>> = vec![None; listed.len()];
        for (n, eni) in listed.iter().enumerate() {
            let Some(acl) = acl_of(eni) else { continue };
            if of_interfaces.get(n).copied().flatten().is_some() {
                continue;
            }
            let inside = |subnet: &Subnet| {
                let net = subnet.network.filter(|_| subnet.acl == acl);
                net.is_some_and(|net| eni.addresses.iter().any(|own| net.contains(own)))
            };
            let known = all.iter().position(inside);
            let mates = if known.is_some() { vec![n] } else { neighbours(listed, n) };
            let expected: Vec<IpNet> = if let Some(subnet) = known.and_then(|at| all.get(at)) {
                subnet.network.into_iter().collect()
            } else {
                let others = mates.iter().filter(|m| **m != n);
                let others = others.filter_map(|m| listed.get(*m));
                others.flat_map(|eni| eni.addresses.iter().copied()).collect()
            };
            if expected.len() != eni.subnet.len()
                || !expected.iter().all(|net| eni.subnet.contains(net))
            {
                return Err(CannotSay {
                    what: eni.id.clone(),
                    why: "what it knows of its subnet is neither a network of its ACL nor the addresses of other \
                          interfaces"
                        .to_owned(),
                });
            }
            let at = known.unwrap_or_else(|| {
                let id = format!("{prefix}-{}", all.len() + 1);
                all.push(Subnet { id, network: None, acl });
                all.len() - 1
            });
            for mate in mates {
                if let Some(of) = of_interfaces.get_mut(mate) {
                    *of = Some(at);
                }
            }
        }
        Ok(Self { all, of_interfaces })
    }

    /// The subnets at which an ACL stands.
    pub(super) fn of_acl(&self, acl: usize) -> impl Iterator<Item = &Subnet> {
        self.all.iter().filter(move |subnet| subnet.acl == acl)
    }

    /// The subnet of an interface.
    pub(super) fn of_interface(&self, interface: usize) -> Option<&Subnet> {
        self.of_interfaces.get(interface).copied().flatten().and_then(|at| self.all.get(at))
    }
}

/// Positions of an interface and of those that it knows to be in its subnet.
fn neighbours(listed: &[Interface], of: usize) -> Vec<usize> {
    let Some(eni) = listed.get(of) else { return Vec::new() };
    let here = |other: &Interface| other.addresses.iter().all(|own| eni.subnet.contains(own));
    let all = listed.iter().enumerate();
    all.filter(|(n, other)| *n == of || here(other)).map(|(n, _)| n).collect()
}
