//! Whether rules do what is expected of them: of every packet that could be, not of samples.
//!
//! ```
//! let text = "{security_groups: [{id: sg-a, rules: [
//!   {id: a, direction: ingress, protocol: tcp, ports: 3300/3399, source: 10.0.0.0/24}]}]}";
//! let rules = sgreplay::parse::yaml("rules.yaml", text)?;
//! let text = "[{name: MySQL for the app, protocol: tcp, ports: 3306, source: 10.0.0.6, verdict: allow,
//!               otherwise: deny}]";
//! let expectations = sgreplay::parse::expectations("expectations.yaml", text, &rules)?;
//! let failures = sgreplay::expect::failures(&rules, &expectations[0])?;
//! assert_eq!(failures.len(), 1);
//! let found = failures[0].region.as_ref().unwrap().to_string();
//! assert_eq!(found, "tcp 3306 from 10.0.0.0-10.0.0.5, 10.0.0.7-10.0.0.255");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::flow::Direction;
use crate::rules::{
    Addresses, Entry, EntryIndex, EntryKind, Expectation, Matcher, Ordered, Policy, RuleSet,
};
use crate::space::{Question, Region, TooComplex, parts};

/// Packets of which something else was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Position of the interface.
    pub interface: usize,
    /// The packets' direction.
    pub direction: Direction,
    /// What was expected of them.
    pub expected: Policy,
    /// The packets; `None` where the expectation is about no packet at all.
    pub region: Option<Region>,
    /// The entry that decides for them.
    pub decider: EntryIndex,
}

/// The packets that are not decided as expected, the largest regions first. What passes whatever the
/// rules say (SEMANTICS A8) fails no expectation: no rule could meet it.
///
/// # Errors
/// When there are too many to list.
pub fn failures(rules: &RuleSet, expected: &Expectation) -> Result<Vec<Failure>, TooComplex> {
    let all = 0..rules.interfaces().len();
    let interfaces = all.filter(|at| expected.interface.is_none_or(|wanted| wanted == *at));
    let mut found = Vec::new();
    let (mut about_any, mut first) = (false, None);
    for interface in interfaces {
        first = first.or(Some(interface));
        let list = rules.ordered(interface, expected.direction);
        let asked = Asked { rules, interface, list: &list, expected };
        about_any |= asked.any()?;
        asked.of(&expected.packets, &[], expected.verdict, true, &mut found)?;
        if let Some(otherwise) = expected.otherwise {
            let everybody = Matcher { peer: Addresses::Any, ..expected.packets.clone() };
            asked.of(&everybody, &[&expected.packets], otherwise, false, &mut found)?;
        }
    }
    if let (false, Some(interface)) = (about_any, first) {
        let (direction, decider) = (expected.direction, EntryIndex(u32::MAX));
        let expected = expected.verdict;
        found.push(Failure { interface, direction, expected, region: None, decider });
    }
    let size = |failure: &Failure| failure.region.as_ref().map_or(0.0, Region::size);
    found.sort_by(|a, b| size(b).total_cmp(&size(a)));
    Ok(found)
}

/// An expectation at an interface.
struct Asked<'a> {
    rules: &'a RuleSet,
    interface: usize,
    list: &'a Ordered,
    expected: &'a Expectation,
}

impl Asked<'_> {
    fn question(&self, packets: &Matcher) -> Question {
        let own = self.rules.interfaces().get(self.interface);
        Question::all().matching(vec![packets.clone()]).local(own)
    }

    /// Whether it is about some packet.
    fn any(&self) -> Result<bool, TooComplex> {
        let nothing = Ordered::new(self.expected.direction, Vec::new(), Policy::Drop);
        let found = parts(&[&nothing], &self.question(&self.expected.packets), |_| true)?;
        Ok(!found.is_empty())
    }

    /// The packets, but for exceptions, that are not decided so.
    fn of(
        &self,
        packets: &Matcher,
        but: &[&Matcher],
        verdict: Policy,
        by: bool,
        found: &mut Vec<Failure>,
    ) -> Result<(), TooComplex> {
        let exceptions = but.iter().copied().chain(&self.expected.except).map(|matcher| Entry {
            policy: Policy::Accept,
            kind: EntryKind::Default,
            matcher: matcher.clone(),
        });
        let direction = self.expected.direction;
        let exceptions = Ordered::new(direction, exceptions.collect(), Policy::Drop);
        let by = self.expected.by.as_ref().filter(|_| by);
        let fails = |deciders: &[EntryIndex]| {
            let [decider, exception] = deciders else { return false };
            let meant = exceptions.entry(*exception).is_some_and(|of| of.policy == Policy::Drop);
            let entry = self.list.entry(*decider);
            meant && entry.is_some_and(|entry| !self.as_expected(entry, verdict, by))
        };
        let lists = [self.list, &exceptions];
        for part in parts(&lists, &self.question(packets), fails)? {
            found.push(Failure {
                interface: self.interface,
                direction,
                expected: verdict,
                region: Some(part.region),
                decider: part.deciders.first().copied().unwrap_or(EntryIndex(u32::MAX)),
            });
        }
        Ok(())
    }

    fn as_expected(&self, entry: &Entry, verdict: Policy, by: Option<&String>) -> bool {
        let name = || self.rules.names(self.interface, entry.kind).1;
        let named = by.is_none_or(|by| name() == *by);
        match entry.kind {
            EntryKind::System(_) => true,
            _ => entry.policy == verdict && named,
        }
    }
}
