//! What an extract depends on.

use ipnet::IpNet;

use super::runs::Shortest;
use crate::decode::Tunnels;
use crate::direction::Interfaces;
use crate::engine;
use crate::error::Error;
use crate::rules::RuleSet;

/// What an extract depends on: local addresses, timeouts of sessions, tunnels, and how many captures there are. It serves
/// every rule set with the same addresses whose sessions last as long or longer.
#[derive(Clone, Debug)]
pub struct Scope {
    pub(super) interfaces: Interfaces,
    pub(super) shortest: Shortest,
    pub(super) tunnels: Tunnels,
    pub(super) captures: u32,
    /// By interface, in the order of the rules.
    local: Vec<Vec<IpNet>>,
}

impl Scope {
    /// The scope of so many captures, by rules whose local addresses are known ([`engine::bind_known`]).
    ///
    /// # Errors
    /// When an extract cannot give the answer of a replay.
    pub fn new(rules: &RuleSet, tunnels: Tunnels, captures: u32) -> Result<Self, Error> {
        engine::can_judge(rules, &[])?;
        let cloud = rules.cloud();
        if !cloud.is_stateful() {
            let message = "packets that are judged one by one have no flows to be judged by; an extract needs rules of a \
                           cloud that remembers connections";
            return Err(Error::Question(message.to_owned()));
        }
        Ok(Self {
            interfaces: Interfaces::new(rules.interfaces()),
            shortest: Shortest::new(rules.interfaces()),
            tunnels,
            captures,
            local: local(rules),
        })
    }

    /// Whether an extract of this scope has what another rule set needs.
    ///
    /// # Errors
    /// What differs.
    pub(super) fn serves(&self, rules: &RuleSet) -> Result<(), Error> {
        engine::can_judge(rules, &[])?;
        let differs = |what: &str| {
            Err(Error::Question(format!(
                "the extract was made for rules with other {what}; extract the captures again for these"
            )))
        };
        match () {
            () if !rules.cloud().is_stateful() => differs("sessions"),
            () if local(rules) != self.local => differs("local addresses"),
            () if !self.shortest.is_within(&Shortest::new(rules.interfaces())) => {
                differs("timeouts, and sessions of these may end earlier")
            }
            () => Ok(()),
        }
    }
}

fn local(rules: &RuleSet) -> Vec<Vec<IpNet>> {
    rules.interfaces().iter().map(|eni| IpNet::aggregate(&eni.addresses)).collect()
}
