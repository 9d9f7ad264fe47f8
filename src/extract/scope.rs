//! What an extract depends on.

use std::collections::HashMap;
use std::sync::Arc;

use ipnet::IpNet;

use super::interfaces::InterfaceList;
use super::points::{CapturePoints, Points};
use super::runs::Shortest;
use crate::capture::FlowLogOptions;
use crate::decode::Tunnels;
use crate::direction::Interfaces;
use crate::engine;
use crate::error::Error;
use crate::rules::RuleSet;

/// What an extract depends on: local addresses, timeouts of sessions, tunnels, how many captures there are and where they
/// were made. It serves every rule set with the same addresses whose sessions last as long or longer.
#[derive(Clone, Debug)]
pub struct Scope {
    pub(super) interfaces: Interfaces,
    pub(super) points: Points,
    pub(super) tunnels: Tunnels,
    /// Of the interfaces that the rules list, which flow logs name.
    pub(super) addresses: Arc<HashMap<String, Vec<IpNet>>>,
    pub(super) serves: Serves,
}

/// Which rules an extract serves, and of how many captures it is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Serves {
    pub(super) captures: u32,
    pub(super) shortest: Shortest,
    pub(super) interfaces: InterfaceList,
    pub(super) points: CapturePoints,
}

impl Scope {
    /// Serves another rule set too: one with the same local addresses, whose sessions may end earlier.
    ///
    /// # Errors
    /// When an extract cannot give the answer of a replay, or the local addresses are others.
    pub fn and(mut self, rules: &RuleSet) -> Result<Self, Error> {
        judges_by_flow(rules, &self.serves.points)?;
        if let Some(what) = self.serves.other_interfaces(rules) {
            let message =
                format!("an extract is for rules with the same {what}, and these have others");
            return Err(Error::Question(message));
        }
        self.serves.shortest = self.serves.shortest.min(&Shortest::new(rules.interfaces()));
        Ok(self)
    }

    /// How flow logs are read, whose records name interfaces, for [`SourceOptions`](crate::sources::SourceOptions).
    pub fn flow_logs(&self) -> FlowLogOptions {
        FlowLogOptions { addresses: Arc::clone(&self.addresses), ..FlowLogOptions::default() }
    }

    /// The scope of so many captures, by rules whose local addresses are known ([`engine::bind_known`]).
    ///
    /// # Errors
    /// When an extract cannot give the answer of a replay.
    pub fn new(rules: &RuleSet, tunnels: Tunnels, captures: u32) -> Result<Self, Error> {
        Self::made_at(rules, tunnels, captures, CapturePoints::default())
    }

    /// The same of captures that were made at interfaces of the rules: their packets are judged there alone.
    ///
    /// # Errors
    /// When an extract cannot give the answer of a replay, or the rules have no such interface.
    pub fn made_at(
        rules: &RuleSet,
        tunnels: Tunnels,
        captures: u32,
        points: CapturePoints,
    ) -> Result<Self, Error> {
        judges_by_flow(rules, &points)?;
        let list = InterfaceList::new(rules);
        let listed = rules.listed_interfaces().iter();
        Ok(Self {
            interfaces: Interfaces::new(rules.interfaces()),
            points: Points::new(rules, &list, &points)?,
            tunnels,
            addresses: Arc::new(
                listed.map(|eni| (eni.id.clone(), eni.addresses.clone())).collect(),
            ),
            serves: Serves {
                captures,
                shortest: Shortest::new(rules.interfaces()),
                interfaces: list,
                points,
            },
        })
    }
}

impl Serves {
    /// Whether it has what a rule set needs.
    pub(super) fn check(&self, rules: &RuleSet) -> Result<(), Error> {
        judges_by_flow(rules, &self.points)?;
        let differs = |what: &str| {
            Err(Error::Question(format!(
                "the extract was made for rules with other {what}; extract the captures again for these"
            )))
        };
        if let Some(what) = self.other_interfaces(rules) {
            return differs(what);
        }
        match self.shortest.is_within(&Shortest::new(rules.interfaces())) {
            true => Ok(()),
            false => differs("timeouts, and sessions of these may end earlier"),
        }
    }

    /// The same, of captures of which some are flow logs: their records are judged at the interfaces that they name.
    pub(super) fn check_logs(&self, rules: &RuleSet) -> Result<(), Error> {
        match InterfaceList::new(rules) == self.interfaces {
            true => Ok(()),
            false => Err(Error::Question(
                "flow logs name interfaces, and these rules have others than those of the extract"
                    .to_owned(),
            )),
        }
    }

    /// What rules have not as these.
    fn other_interfaces(&self, rules: &RuleSet) -> Option<&'static str> {
        let others = InterfaceList::new(rules);
        if !self.interfaces.has_addresses_of(&others) {
            return Some("local addresses");
        }
        let are_the_same = self.points.are_the_same(&self.interfaces, &others);
        (!are_the_same).then_some("addresses of interfaces at which captures were made")
    }
}

fn judges_by_flow(rules: &RuleSet, points: &CapturePoints) -> Result<(), Error> {
    engine::can_judge(rules, &points.given())?;
    if !rules.cloud().is_stateful() {
        let message = "packets that are judged one by one have no flows to be judged by; an extract needs rules of a cloud \
                       that remembers connections";
        return Err(Error::Question(message.to_owned()));
    }
    Ok(())
}
