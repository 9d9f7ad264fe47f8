//! What an extract depends on.

use ipnet::IpNet;

use super::runs::Shortest;
use crate::decode::Tunnels;
use crate::direction::Interfaces;
use crate::engine;
use crate::error::Error;
use crate::rules::{Interface, RuleSet};

/// What an extract depends on: local addresses, timeouts of sessions, tunnels, and how many captures there are. It serves
/// every rule set with the same addresses whose sessions last as long or longer.
#[derive(Clone, Debug)]
pub struct Scope {
    pub(super) interfaces: Interfaces,
    pub(super) tunnels: Tunnels,
    pub(super) serves: Serves,
}

/// Which rules an extract serves, and of how many captures it is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Serves {
    pub(super) captures: u32,
    pub(super) shortest: Shortest,
    /// Addresses and networks, by interface that has some.
    local: Vec<Vec<String>>,
}

impl Scope {
    /// Serves another rule set too: one with the same local addresses, whose sessions may end earlier.
    ///
    /// # Errors
    /// When an extract cannot give the answer of a replay, or the local addresses are others.
    pub fn and(mut self, rules: &RuleSet) -> Result<Self, Error> {
        judges_by_flow(rules)?;
        if local(rules) != self.serves.local {
            let message =
                "an extract is for rules with the same local addresses, and these have others";
            return Err(Error::Question(message.to_owned()));
        }
        self.serves.shortest = self.serves.shortest.min(&Shortest::new(rules.interfaces()));
        Ok(self)
    }

    /// The scope of so many captures, by rules whose local addresses are known ([`engine::bind_known`]).
    ///
    /// # Errors
    /// When an extract cannot give the answer of a replay.
    pub fn new(rules: &RuleSet, tunnels: Tunnels, captures: u32) -> Result<Self, Error> {
        judges_by_flow(rules)?;
        Ok(Self {
            interfaces: Interfaces::new(rules.interfaces()),
            tunnels,
            serves: Serves {
                captures,
                shortest: Shortest::new(rules.interfaces()),
                local: local(rules),
            },
        })
    }
}

impl Serves {
    /// Whether it has what a rule set needs.
    pub(super) fn check(&self, rules: &RuleSet) -> Result<(), Error> {
        judges_by_flow(rules)?;
        let differs = |what: &str| {
            Err(Error::Question(format!(
                "the extract was made for rules with other {what}; extract the captures again for these"
            )))
        };
        if local(rules) != self.local {
            return differs("local addresses");
        }
        match self.shortest.is_within(&Shortest::new(rules.interfaces())) {
            true => Ok(()),
            false => differs("timeouts, and sessions of these may end earlier"),
        }
    }
}

fn judges_by_flow(rules: &RuleSet) -> Result<(), Error> {
    engine::can_judge(rules, &[])?;
    if !rules.cloud().is_stateful() {
        let message = "packets that are judged one by one have no flows to be judged by; an extract needs rules of a cloud \
                       that remembers connections";
        return Err(Error::Question(message.to_owned()));
    }
    Ok(())
}

fn local(rules: &RuleSet) -> Vec<Vec<String>> {
    let of =
        |eni: &Interface| IpNet::aggregate(&eni.addresses).iter().map(IpNet::to_string).collect();
    let mut all: Vec<Vec<String>> = rules.interfaces().iter().map(of).collect();
    // Which packets are extracted depends neither on the order of interfaces nor on those without addresses, as they stand
    // for a group.
    all.retain(|addresses| !addresses.is_empty());
    all.sort_unstable();
    all
}
