//! Services with the same peers, and the cheapest way to merge peers.

use ipnet::IpNet;

use super::widening::Widening;
use crate::flow::{Direction, Protocol};
use crate::rules::PortRange;

/// Services with the same peers: one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    pub(super) interface: usize,
    pub(super) direction: Direction,
    pub(super) protocol: Protocol,
    /// Empty where the protocol's rules have no ports.
    pub(super) ports: Vec<PortRange>,
    pub(super) peers: Vec<IpNet>,
}

impl Allowance {
    /// Rules as the cloud counts them: one per pair of ports and peer.
    pub(super) fn rules(&self) -> usize {
        self.ports.len().max(1) * self.peers.len()
    }

    /// Pairs of an address and a port that it opens, approximately.
    pub(super) fn opens(&self) -> f64 {
        let ports: f64 = self.ports.iter().map(|r| f64::from(r.last() - r.first()) + 1.0).sum();
        ports.max(1.0) * self.peers.iter().map(size).sum::<f64>()
    }

    /// The cheapest merge of two neighbouring networks and all between them.
    pub(super) fn best_merge(&self, bound: Widening) -> Option<Merge> {
        let mut peers = self.peers.clone();
        peers.sort_unstable();
        let merges = (1..peers.len()).filter_map(|place| {
            let (before, after) = peers.split_at(place);
            let into = common(before.last()?, after.first()?)?;
            if into.prefix_len() < bound.prefix_len(&into) {
                return None;
            }
            // They are in order and apart, so those inside stand next to each other.
            let inside = |net: &&IpNet| into.contains(*net);
            let left = before.iter().rev().take_while(inside);
            let nets = left.chain(after.iter().take_while(inside));
            let (count, covered) =
                nets.fold((0_u32, 0.0), |(n, sum), net| (n + 1, sum + size(net)));
            let opened = size(&into) - covered;
            Some(Merge { into, price: opened / f64::from(count.saturating_sub(1).max(1)) })
        });
        merges.min_by(|a, b| a.price.total_cmp(&b.price))
    }
}

/// Addresses of an IPv4 network; /64 networks of an IPv6 network, as each /64 is one site.
fn size(net: &IpNet) -> f64 {
    let bits = if net.addr().is_ipv4() { 32 } else { 64 };
    f64::from(bits - net.prefix_len().min(bits)).exp2()
}

/// The network that replaces several.
pub(super) struct Merge {
    pub(super) into: IpNet,
    /// Additional addresses per rule that it saves.
    pub(super) price: f64,
}

/// The smallest network that contains both.
fn common(a: &IpNet, b: &IpNet) -> Option<IpNet> {
    if a.addr().is_ipv4() != b.addr().is_ipv4() {
        return None;
    }
    let mut net = *a;
    while !net.contains(b) {
        net = net.supernet()?;
    }
    Some(net.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_common_network() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let of = |a, b| common(&net(a), &net(b)).map(|net| net.to_string());
        assert_eq!(of("10.0.0.1/32", "10.0.0.2/32").as_deref(), Some("10.0.0.0/30"));
        assert_eq!(of("10.0.0.0/24", "10.0.0.7/32").as_deref(), Some("10.0.0.0/24"));
        assert_eq!(of("0.0.0.0/32", "255.0.0.0/32").as_deref(), Some("0.0.0.0/0"));
        assert_eq!(of("::/128", "10.0.0.0/8"), None);
    }
}
