//! What people expect of their rules.

use super::{Addresses, Assumption, Matcher, Peer, Policy, Rule, RuleSet};
use crate::flow::Direction;

/// Packets, described as the conditions of a rule are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packets {
    rule: Rule,
    /// The description names no far side, so that any will do.
    from_anybody: bool,
}

impl Packets {
    /// Those that match the conditions of a rule; a far side that it does not name is any.
    pub fn new(rule: Rule) -> Self {
        let from_anybody = rule.peers.is_empty();
        Self { rule, from_anybody }
    }

    /// The same packets, from and to anybody.
    #[must_use]
    pub fn of_anybody(&self) -> Self {
        Self { rule: self.rule.clone(), from_anybody: true }
    }

    /// The conditions, groups and lists resolved.
    pub fn matcher(&self, rules: &RuleSet, assumed: &Assumption) -> Matcher {
        let matcher = rules.matcher_assuming(&self.rule, assumed);
        match self.from_anybody {
            true => Matcher { peer: Addresses::Any, ..matcher },
            false => matcher,
        }
    }

    /// Groups that it names.
    pub(super) fn groups(&self) -> impl Iterator<Item = &str> {
        let peers = self.rule.peers.iter().filter(|_| !self.from_anybody);
        peers.filter_map(|peer| match peer {
            Peer::Group(of) => Some(of.id.as_str()),
            Peer::Cidr(_) | Peer::PrefixList(_) | Peer::Tag(_) => None,
        })
    }
}

/// What is expected of all packets of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// In words.
    pub name: String,
    /// Line in the file, from 1.
    pub line: Option<usize>,
    /// Position of the interface; every interface if it is not said.
    pub interface: Option<usize>,
    /// The packets' direction.
    pub direction: Direction,
    /// The packets.
    pub packets: Packets,
    /// Packets among them that are not meant.
    pub except: Vec<Packets>,
    /// What is expected of them.
    pub verdict: Policy,
    /// The rule that decides, or `default`, `intra-group`.
    pub by: Option<String>,
    /// What is expected of packets of the same services from everybody else.
    pub otherwise: Option<Policy>,
}
