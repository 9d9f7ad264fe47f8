//! Ordered entries of the interfaces of a rule set.

use std::net::IpAddr;

use ipnet::IpNet;

use super::layer::Layer;
use super::matcher::Matcher;
use super::membership::Assumption;
use super::order::{self, Members, Ordered, Whose};
use super::{Rule, RuleSet};
use crate::flow::Direction;

impl RuleSet {
    /// The private addresses of the members of the interface's groups that let their members reach each other, its own
    /// too.
    pub fn group_members(&self, interface: usize) -> impl Iterator<Item = IpNet> {
        let eni = self.interfaces.get(interface).into_iter();
        eni.flat_map(move |eni| {
            let groups = eni.groups.iter();
            groups.flat_map(move |group| order::members_of(self, eni, *group, Whose::All))
        })
    }

    /// Whether another member of the interface's groups that let their members reach each other has an address.
    pub fn has_fellow_member(&self, interface: usize, addr: IpAddr) -> bool {
        let eni = self.interfaces.get(interface);
        eni.is_some_and(|eni| {
            let groups = eni.groups.iter();
            let mut members =
                groups.flat_map(|group| order::members_of(self, eni, *group, Whose::Others));
            members.any(|net| net.contains(&addr))
        })
    }

    /// The ordered entries of one interface and direction: what a packet is held against.
    pub fn ordered(&self, interface: usize, direction: Direction) -> Ordered {
        self.ordered_assuming(interface, direction, &Assumption::default())
    }

    /// The same under an assumption about members that are not known. The entries are the same in number and
    /// order.
    pub fn ordered_assuming(
        &self,
        interface: usize,
        direction: Direction,
        assumed: &Assumption,
    ) -> Ordered {
        order::ordered(self, interface, direction, Members { assumed, of: Whose::Others })
    }

    /// The entries of every interface that shares the list of this one ([`SharedLists`](super::SharedLists)), which are the same in number
    /// and order: where members of a group reach each other, all its members are there, of which each interface meets
    /// the others ([`RuleSet::is_met_at`]).
    pub fn ordered_for_all(
        &self,
        interface: usize,
        direction: Direction,
        assumed: &Assumption,
    ) -> Ordered {
        order::ordered(self, interface, direction, Members { assumed, of: Whose::All })
    }

    /// The entries of each layer of an interface by itself ([`Layer`]), in the order in which a packet of the direction
    /// meets the layers. Each must allow a packet that opens a connection; network ACLs every other packet too.
    pub fn ordered_by_layer(
        &self,
        interface: usize,
        direction: Direction,
        assumed: &Assumption,
    ) -> Vec<(Layer, Ordered)> {
        order::by_layer(self, interface, direction, Members { assumed, of: Whose::Others })
    }

    /// The entries of an interface's network ACL, which every packet of a connection must pass by itself; `None` where it
    /// has none.
    pub fn stateless(&self, interface: usize, direction: Direction) -> Option<Ordered> {
        let has =
            |group: &usize| self.groups.get(*group).is_some_and(|of| of.layer == Layer::NetworkAcl);
        self.interfaces.get(interface)?.groups.iter().any(has).then_some(())?;
        let layers = self.ordered_by_layer(interface, direction, &Assumption::default());
        layers.into_iter().find(|(layer, _)| *layer == Layer::NetworkAcl).map(|(_, list)| list)
    }

    /// What a packet that opens a connection is held against, and behind the default, where none such comes, what the
    /// other packets of connections are ([`RuleSet::stateless`]): a packet's entry is a position in this list. It is that
    /// of every interface that shares the list ([`RuleSet::ordered_for_all`]).
    pub fn ordered_for_packets(&self, interface: usize, direction: Direction) -> Ordered {
        let ordered = self.ordered_for_all(interface, direction, &Assumption::default());
        match self.stateless(interface, direction) {
            Some(stateless) => ordered.followed_by(&stateless),
            None => ordered,
        }
    }

    /// The conditions of a rule, its lists and group references resolved to addresses and ports.
    pub fn matcher(&self, rule: &Rule) -> Matcher {
        order::matcher(self, rule, &Assumption::default())
    }

    /// The same under an assumption about members that are not known.
    pub fn matcher_assuming(&self, rule: &Rule, assumed: &Assumption) -> Matcher {
        order::matcher(self, rule, assumed)
    }
}
