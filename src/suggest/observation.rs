//! Connections as suggestions need them: service and peer.

use ipnet::IpNet;

use crate::flow::{Direction, FlowTuple, Protocol};
use crate::rules::RuleProtocol;

/// A service as a rule can name it: a port only where the protocol's rules have ports.
pub(super) type Service = (Protocol, Option<u16>);

/// Connections that were allowed, at one interface, to one service of or from one peer.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// Position of the interface.
    pub interface: usize,
    /// The direction in which they were opened.
    pub direction: Direction,
    /// The tuple of the first, in the initiator's direction.
    pub flow: FlowTuple,
    /// The peer, or a network of peers where there are too many to be told apart.
    pub peer: IpNet,
    /// How many connections.
    pub connections: u64,
    /// When the first was opened.
    pub(super) first: u64,
}

impl Observation {
    pub(super) fn service(&self) -> Service {
        service(&self.flow)
    }

    /// Whether a rule can allow it and not the whole protocol: none names port 0.
    pub fn can_be_named(&self) -> bool {
        let (proto, port) = self.service();
        !RuleProtocol::Only(proto).has_ports() || port.is_some_and(|port| port > 0)
    }
}

pub(super) fn service(flow: &FlowTuple) -> Service {
    let ports = RuleProtocol::Only(flow.proto).has_ports();
    (flow.proto, flow.transport.ports().map(|(_, dst)| dst).filter(|_| ports))
}

/// Connections in all.
pub fn count(list: &[Observation]) -> u64 {
    list.iter().map(|one| one.connections).sum()
}
