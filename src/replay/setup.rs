//! What a replay judges by: the rules, compiled, and what is known of the interfaces.

use super::lists::Lists;
use super::options::Options;
use super::taps::Taps;
use crate::decode::Tunnels;
use crate::direction::Interfaces;
use crate::doubts::UnknownMembers;
use crate::flow::Direction;
use crate::rules::{Entry, Layer, RuleSet, SharedLists};
use crate::session::Openings;

/// What every shard judges by. Nothing in it changes while packets are judged, so that several threads may read it.
#[derive(Debug)]
pub(crate) struct Setup<'r> {
    pub(super) rules: &'r RuleSet,
    pub(super) options: Options,
    pub(super) lists: Vec<Lists>,
    pub(crate) shared: SharedLists,
    pub(super) interfaces: Interfaces,
    pub(super) taps: Taps,
    pub(super) tunnels: Tunnels,
    /// Of all packets that were handed over; each knows its own frame, and is judged by what earlier ones have shown.
    pub(super) openings: Openings,
    /// Addresses alone do not determine the evaluation points: frames name their interfaces, or senders are
    /// ignored ([`Cloud::is_one_way`](crate::rules::Cloud::is_one_way)).
    pub(super) by_frame: bool,
    /// Some interface has a network ACL.
    pub(crate) has_acls: bool,
    /// Groups with unknown members, by list, ingress first.
    pub(super) unknown_members: Vec<[UnknownMembers; 2]>,
    /// Whether there are any.
    pub(super) has_unknown_members: bool,
}

impl<'r> Setup<'r> {
    pub(super) fn new(rules: &'r RuleSet, options: Options) -> Self {
        let shared = SharedLists::new(rules);
        let lists = shared.first_interfaces().iter();
        let lists = lists.map(|interface| Lists::new(rules, *interface, options.index_memory));
        let unknown_members = UnknownMembers::of_lists(rules, &shared, false);
        Self {
            rules,
            options,
            lists: lists.collect(),
            shared,
            interfaces: Interfaces::new(rules.interfaces()),
            taps: Taps::new(rules, []),
            tunnels: Tunnels::default(),
            openings: Openings::default(),
            by_frame: rules.cloud().is_one_way(),
            has_acls: rules.has_layer(Layer::NetworkAcl),
            has_unknown_members: has_any(&unknown_members),
            unknown_members,
        }
    }

    /// The entries of one interface and direction, in evaluation order.
    pub(crate) fn entries(&self, interface: usize, direction: Direction) -> &[Entry] {
        let list = self.shared.list(interface);
        let lists = list.and_then(|list| self.lists.get(list));
        lists.map_or(&[], |lists| lists.list(direction).0.entries())
    }

    /// Maps the names that frames carry to positions of interfaces.
    pub(super) fn tap(&mut self, named: impl IntoIterator<Item = (String, usize)>) {
        self.taps = Taps::new(self.rules, named);
        self.by_frame |= self.taps.are_named();
    }

    /// Includes groups whose members reach each other among those with unknown members.
    pub(super) fn ask_for_members(&mut self) {
        self.unknown_members = UnknownMembers::of_lists(self.rules, &self.shared, true);
        self.has_unknown_members = has_any(&self.unknown_members);
    }
}

fn has_any(unknown: &[[UnknownMembers; 2]]) -> bool {
    unknown.iter().flatten().any(|of| !of.is_empty())
}
