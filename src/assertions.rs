//! Whether rules do what is expected of them: of every possible packet, not of samples.
//!
//! ```
//! let text = "{security_groups: [{id: sg-a, rules: [
//!   {id: a, direction: ingress, protocol: tcp, ports: 3300/3399, source: 10.0.0.0/24}]}]}";
//! let rules = sgreplay::parse::yaml("rules.yaml", text)?;
//! let text = "[{name: MySQL for the app, protocol: tcp, ports: 3306, source: 10.0.0.6, verdict: allow,
//!               otherwise: deny}]";
//! let expectations = sgreplay::parse::expectations("expectations.yaml", text, &rules)?;
//! let outcome = sgreplay::assertions::outcome(&rules, &expectations[0])?;
//! assert_eq!(outcome.failures.len(), 1);
//! let found = outcome.failures[0].region.as_ref().unwrap().to_string();
//! assert_eq!(found, "tcp 3306 from 10.0.0.0-10.0.0.5, 10.0.0.7-10.0.0.255");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeSet;

use crate::flow::{Direction, Protocol};
use crate::header_space::{Question, Region, TooComplex, parts};
use crate::rules::{
    Assumption, Entry, EntryIndex, EntryKind, Expectation, Matcher, Ordered, Packets, Policy,
    PortRange, RuleProtocol, RuleSet,
};

/// What becomes of the packets that an expectation is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssertionResult {
    /// Those of which something else was expected, the largest regions first; none if the expectation is met.
    pub failures: Vec<FailedExpectation>,
    /// Rules that nobody can change and that decide otherwise than expected for some of them: the expectation
    /// does not cover what they pass (SEMANTICS F24). By name.
    pub exempt: Vec<String>,
}

/// Packets of which something else was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedExpectation {
    /// Position of the interface.
    pub interface: usize,
    /// The packets' direction.
    pub direction: Direction,
    /// What was expected of them.
    pub expected: Policy,
    /// The packets; `None` where the expectation is about no packet at all.
    pub region: Option<Region>,
    /// Only those whose far side is a member of these groups, of which nobody has said who is.
    pub members_of: Assumption,
    /// They are answers to packets that are accepted as expected, and a network ACL stops them (SEMANTICS H6).
    pub replies: bool,
    /// The entry that decides for them.
    pub decider: EntryIndex,
}

/// The first of the ports that clients take for themselves, over all systems (SEMANTICS H2).
const EPHEMERAL: u16 = 1024;

/// The packets that are not decided as expected. What passes whatever the rules say (SEMANTICS A8) fails no
/// expectation that is about other packets too; one that is about such traffic only is decided by it (F24).
///
/// # Errors
/// When there are too many to list.
pub fn outcome(rules: &RuleSet, expected: &Expectation) -> Result<AssertionResult, TooComplex> {
    let all = 0..rules.interfaces().len();
    let interfaces = all.filter(|at| expected.interface.is_none_or(|wanted| wanted == *at));
    let (mut found, mut exempt) = (Vec::new(), BTreeSet::new());
    let (mut about_any, mut first) = (false, None);
    for interface in interfaces {
        first = first.or(Some(interface));
        let asked = Asked::new(rules, interface, expected)?;
        about_any |= asked.any()?;
        let (packets, verdict) = (&expected.packets, expected.verdict);
        let mut ask = |packets: &Packets, but: Option<&Packets>, verdict, by| {
            asked.exempt(packets, but, verdict, by, &mut exempt)?;
            asked.failures(packets, but, verdict, by, &mut found)?;
            if verdict == Policy::Accept {
                asked.replies(packets, but, &mut found)?;
            }
            Ok(())
        };
        ask(packets, None, verdict, expected.by.as_deref())?;
        if let Some(otherwise) = expected.otherwise {
            ask(&packets.of_anybody(), Some(packets), otherwise, None)?;
        }
    }
    if let (false, Some(interface)) = (about_any, first) {
        let (direction, decider) = (expected.direction, EntryIndex(u32::MAX));
        let (expected, members_of) = (expected.verdict, Assumption::default());
        let (region, replies) = (None, false);
        found.push(FailedExpectation {
            interface,
            direction,
            expected,
            region,
            members_of,
            replies,
            decider,
        });
    }
    let size = |failure: &FailedExpectation| failure.region.as_ref().map_or(0.0, Region::size);
    let known = |failure: &FailedExpectation| !failure.members_of.is_empty();
    found.sort_by(|a, b| known(a).cmp(&known(b)).then(size(b).total_cmp(&size(a))));
    Ok(AssertionResult { failures: found, exempt: exempt.into_iter().collect() })
}

/// An expectation at an interface.
struct Asked<'a> {
    rules: &'a RuleSet,
    interface: usize,
    expected: &'a Expectation,
    /// The interface's list, under each assumption about members that are not known.
    lists: Vec<(Assumption, Ordered)>,
}

impl<'a> Asked<'a> {
    fn new(
        rules: &'a RuleSet,
        interface: usize,
        expected: &'a Expectation,
    ) -> Result<Self, TooComplex> {
        let direction = expected.direction;
        let unknown = rules.unknown_groups(interface, direction);
        let unknown = unknown.and(rules.unknown_groups_of(expected));
        let all = Assumption::all(&unknown).ok_or(TooComplex)?;
        let list = |assumed: Assumption| {
            let list = rules.ordered_assuming(interface, direction, &assumed);
            (assumed, list)
        };
        Ok(Self { rules, interface, expected, lists: all.into_iter().map(list).collect() })
    }

    fn question(&self, packets: Matcher) -> Question {
        let own = self.rules.interfaces().get(self.interface);
        Question::all().matching(vec![packets]).local(own)
    }

    /// Whether it is about some packet.
    fn any(&self) -> Result<bool, TooComplex> {
        let nothing = Ordered::new(self.expected.direction, Vec::new(), Policy::Drop);
        for (assumed, _) in &self.lists {
            let packets = self.expected.packets.matcher(self.rules, assumed);
            if !parts(&[&nothing], &self.question(packets), |_| true)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A list that accepts what is not meant: exceptions, and, of everybody else, those that are not.
    fn exceptions(&self, but: Option<&Packets>, assumed: &Assumption) -> Ordered {
        let exceptions = but.into_iter().chain(&self.expected.except).map(|packets| {
            let matcher = packets.matcher(self.rules, assumed);
            Entry::new(Policy::Accept, EntryKind::Default, matcher)
        });
        Ordered::new(self.expected.direction, exceptions.collect(), Policy::Drop)
    }

    /// Names the system traffic among the packets of which something else is expected, if there are other
    /// packets among them.
    fn exempt(
        &self,
        packets: &Packets,
        but: Option<&Packets>,
        verdict: Policy,
        by: Option<&str>,
        exempt: &mut BTreeSet<String>,
    ) -> Result<(), TooComplex> {
        let Some((assumed, list)) = self.lists.first() else { return Ok(()) };
        if !self.about_others(packets, but)? {
            return Ok(());
        }
        let exceptions = self.exceptions(but, assumed);
        let question = self.question(packets.matcher(self.rules, assumed));
        let fails = |deciders: &[EntryIndex]| {
            let [decider, exception] = deciders else { return false };
            list.entry(*decider).is_some_and(|entry| {
                is_system(entry)
                    && meant(&exceptions, *exception)
                    && !self.as_expected(entry, verdict, by)
            })
        };
        for part in parts(&[list, &exceptions], &question, fails)? {
            let entry = part.deciders.first().and_then(|decider| list.entry(*decider));
            exempt.extend(entry.map(|entry| self.rules.names(self.interface, entry).1));
        }
        Ok(())
    }

    /// Whether some of the packets are none that pass whatever the rules say.
    fn about_others(&self, packets: &Packets, but: Option<&Packets>) -> Result<bool, TooComplex> {
        for (assumed, list) in &self.lists {
            let system = list.entries().iter().filter(|entry| is_system(entry)).cloned();
            let system = Ordered::new(self.expected.direction, system.collect(), Policy::Drop);
            let exceptions = self.exceptions(but, assumed);
            let others = |deciders: &[EntryIndex]| match deciders {
                [decider, exception] => {
                    let entry = system.entry(*decider);
                    entry.is_some_and(|entry| !is_system(entry)) && meant(&exceptions, *exception)
                }
                _ => false,
            };
            let question = self.question(packets.matcher(self.rules, assumed));
            if !parts(&[&system, &exceptions], &question, others)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The packets, but for exceptions, that are not decided so.
    fn failures(
        &self,
        packets: &Packets,
        but: Option<&Packets>,
        verdict: Policy,
        by: Option<&str>,
        found: &mut Vec<FailedExpectation>,
    ) -> Result<(), TooComplex> {
        let about_others = self.about_others(packets, but)?;
        let of = |assumed: &Assumption| {
            let asked = Ordered::new(
                self.expected.direction,
                vec![Entry::new(
                    Policy::Accept,
                    EntryKind::Default,
                    packets.matcher(self.rules, assumed),
                )],
                Policy::Drop,
            );
            (asked, self.exceptions(but, assumed))
        };
        for (assumed, list) in &self.lists {
            // What fails under a smaller assumption too is found there.
            let smaller = self.lists.iter().filter(|(other, _)| other.is_part_of(assumed));
            let smaller: Vec<_> = smaller.map(|(less, list)| (list, of(less))).collect();
            let own = (list, of(assumed));
            let all: Vec<_> = std::iter::once(&own).chain(&smaller).collect();
            let lists: Vec<&Ordered> = all
                .iter()
                .flat_map(|(list, (asked, exceptions))| [*list, asked, exceptions])
                .collect();
            let fails = |deciders: &[EntryIndex]| {
                let mut each = all.iter().zip(deciders.chunks_exact(3)).map(|(of, deciders)| {
                    let ((list, (asked, exceptions)), [decider, is_asked, exception]) =
                        (of, deciders)
                    else {
                        return false;
                    };
                    let is_asked = asked.entry(*is_asked).is_some_and(is_accept);
                    let entry = list.entry(*decider);
                    is_asked
                        && meant(exceptions, *exception)
                        && entry.is_some_and(|entry| {
                            let exempt = about_others && is_system(entry);
                            !exempt && !self.as_expected(entry, verdict, by)
                        })
                });
                each.next() == Some(true) && each.all(|fails| !fails)
            };
            let question = self.question(packets.matcher(self.rules, assumed));
            for part in parts(&lists, &question, fails)? {
                found.push(FailedExpectation {
                    interface: self.interface,
                    direction: self.expected.direction,
                    expected: verdict,
                    region: Some(part.region),
                    members_of: assumed.clone(),
                    replies: false,
                    decider: part.deciders.first().copied().unwrap_or(EntryIndex(u32::MAX)),
                });
            }
        }
        Ok(())
    }

    /// Answers to the packets that are accepted which a network ACL stops: such a connection does not come about. Where
    /// the expectation names no source ports, they are those that clients take for themselves.
    fn replies(
        &self,
        packets: &Packets,
        but: Option<&Packets>,
        found: &mut Vec<FailedExpectation>,
    ) -> Result<(), TooComplex> {
        let (opening, direction) = (self.expected.direction, self.expected.direction.opposite());
        let Some(acl) = self.rules.stateless(self.interface, direction) else { return Ok(()) };
        for (assumed, list) in &self.lists {
            let mut asked = packets.matcher(self.rules, assumed);
            let has_ports = |proto| matches!(proto, Protocol::TCP | Protocol::UDP);
            let protocols = match asked.protocol {
                RuleProtocol::Only(proto) => vec![proto],
                RuleProtocol::All => {
                    vec![Protocol::TCP, Protocol::UDP, Protocol::ICMP, Protocol::ICMPV6]
                }
            };
            if asked.source_ports.is_empty() && protocols.iter().copied().any(has_ports) {
                asked.source_ports.extend(PortRange::new(EPHEMERAL, u16::MAX));
            }
            let openings = list.of_answers();
            let exceptions = self.exceptions(but, assumed).of_answers();
            let asked = Ordered::new(
                opening,
                vec![Entry::new(Policy::Accept, EntryKind::Default, asked)],
                Policy::Drop,
            );
            let asked = asked.of_answers();
            let stopped = |deciders: &[EntryIndex]| {
                let [at_acl, opened, is_asked, exception] = deciders else { return false };
                acl.entry(*at_acl).is_some_and(|entry| !is_accept(entry))
                    && openings.entry(*opened).is_some_and(is_accept)
                    && asked.entry(*is_asked).is_some_and(is_accept)
                    && meant(&exceptions, *exception)
            };
            let own = self.rules.interfaces().get(self.interface);
            let answers = protocols.into_iter().map(Matcher::answers);
            let question = Question::all().matching(answers.collect()).local(own);
            for part in parts(&[&acl, &openings, &asked, &exceptions], &question, stopped)? {
                let at_acl = part.deciders.first().map_or(u32::MAX, |index| index.0);
                let before = self.rules.ordered(self.interface, direction).entries().len();
                let before = u32::try_from(before).unwrap_or(u32::MAX);
                found.push(FailedExpectation {
                    interface: self.interface,
                    direction,
                    expected: Policy::Accept,
                    region: Some(part.region),
                    members_of: assumed.clone(),
                    replies: true,
                    decider: EntryIndex(before.saturating_add(at_acl)),
                });
            }
        }
        Ok(())
    }

    fn as_expected(&self, entry: &Entry, verdict: Policy, by: Option<&str>) -> bool {
        // Of layers, all of which must allow, each rule that does.
        let through = || {
            let before = entry.through.iter().filter(|_| entry.policy == Policy::Accept);
            before.filter_map(|kind| self.rules.rule_names(*kind))
        };
        let is = |by: &str| {
            self.rules.names(self.interface, entry).1 == by || through().any(|(_, id)| id == by)
        };
        entry.policy == verdict && by.is_none_or(is)
    }
}

fn is_system(entry: &Entry) -> bool {
    matches!(entry.kind, EntryKind::System(_))
}

fn is_accept(entry: &Entry) -> bool {
    entry.policy == Policy::Accept
}

/// Whether packets are no exception.
fn meant(exceptions: &Ordered, decider: EntryIndex) -> bool {
    exceptions.entry(decider).is_some_and(|entry| !is_accept(entry))
}
