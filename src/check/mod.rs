//! What is wrong with rules, found from the rules alone: rules that never act, that contradict each
//! other, that open too much, or that forget something.
//!
//! What a rule does is asked of header space ([`crate::header_space`]), not guessed from its text: a rule is
//! reported as open to everybody for the packets that it really decides, and as shadowed when the rules
//! before it, together, match all of its packets.
//!
//! ```
//! use sgreplay::rules::Code;
//!
//! let text = "{security_groups: [{id: sg-a, rules: [
//!   {id: a, direction: ingress, policy: drop, protocol: tcp, ports: 22/30, source: 0.0.0.0/0},
//!   {id: b, direction: ingress, protocol: tcp, ports: SSH, source: 203.0.113.0/24, priority: 2}]}]}";
//! let rules = sgreplay::parse::yaml("example.yaml", text)?;
//! let checked = sgreplay::check::check(&rules, jiff::civil::date(2026, 11, 24));
//! let [finding] = checked.findings.as_slice() else { panic!() };
//! assert_eq!(finding.code, Code::Shadowed);
//! assert_eq!(finding.rule.as_deref(), Some("b"));
//! assert_eq!(finding.others[0].rule, "a");
//! # Ok::<(), sgreplay::parse::ParseError>(())
//! ```
//!
#![doc = include_str!("codes.md")]

mod alike;
mod anomalies;
mod exposure;
mod lists;
mod omissions;

use std::collections::HashSet;

use jiff::civil::Date;

use crate::flow::{Direction, FlowTuple};
use crate::rules::{Code, RuleSet, Severity, Suppression};
use lists::List;

/// Something that is wrong with the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind.
    pub code: Code,
    /// How bad.
    pub severity: Severity,
    /// The group it is about; where it is an interface's and not a group's, all its groups, `+` between.
    pub group: Option<String>,
    /// The rule it is about.
    pub rule: Option<String>,
    /// That rule's positions, of the group in the rule set and of the rule in the group.
    pub place: Option<(usize, usize)>,
    /// The other rules that are involved, the first that decides first.
    pub others: Vec<Other>,
    /// What was found, and what to do.
    pub message: String,
    /// A packet that shows it.
    pub example: Option<Example>,
}

/// Another rule that is involved in a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its group.
    pub group: String,
    /// Its id, or `default` and the like for what nobody writes.
    pub rule: String,
}

/// A packet at an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Example {
    /// Position of the interface in the rule set.
    pub interface: usize,
    /// The packet's direction there.
    pub direction: Direction,
    /// The packet.
    pub flow: FlowTuple,
}

/// All that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// The worst first, then in the order of the rules.
    pub findings: Vec<Finding>,
    /// What the rules file suppresses, with its reason.
    pub suppressed: Vec<(Finding, String)>,
    /// Interfaces and directions whose rules are too many to be told apart; nothing is said of those.
    pub too_complex: Vec<(usize, Direction)>,
}

impl Checked {
    /// Whether something of this severity or a higher one was found, and not suppressed.
    pub fn any(&self, severity: Severity) -> bool {
        self.findings.iter().any(|finding| finding.severity >= severity)
    }
}

/// Checks the rules. Suppressions whose day is before `today` suppress nothing.
pub fn check(rules: &RuleSet, today: Date) -> Checked {
    check_at(rules, today, alike::firsts)
}

/// The same, where it is said which interface is checked for each.
fn check_at(rules: &RuleSet, today: Date, firsts: impl Fn(&RuleSet) -> Vec<usize>) -> Checked {
    let mut checked = Checked::default();
    // Whether a rule of one layer acts is a question about that layer; what is open, one about all of them.
    let apart = rules.layers_apart();
    let (single, positions) = match &apart {
        Some((apart, positions)) => (apart, Some(positions)),
        None => (rules, None),
    };
    let whole = |interface: usize| {
        positions.and_then(|positions| positions.get(interface)).copied().unwrap_or(interface)
    };
    let (each, too_complex) = lists(single, &firsts(single));
    checked
        .too_complex
        .extend(too_complex.into_iter().map(|(at, direction)| (whole(at), direction)));
    let pairs = positions.map(|_| lists(rules, &firsts(rules)));
    if let Some((_, too_complex)) = &pairs {
        checked.too_complex.extend(too_complex);
        checked.too_complex.sort_unstable_by_key(|(at, direction)| (*at, *direction as usize));
        checked.too_complex.dedup();
    }
    let together = pairs.as_ref().map_or(&each, |(pairs, _)| pairs);

    let exposed = exposure::find(rules, together);
    // What should not be open at all is not missed in the other family.
    let dangerous = exposed.iter().filter(|of| of.severity == Severity::Error);
    let closes: HashSet<_> = dangerous.map(|of| of.place).collect();
    let mut findings = anomalies::find(single, &each);
    let omitted =
        omissions::find(single, &each).into_iter().filter(|of| !closes.contains(&of.place));
    findings.extend(omitted);
    for example in findings.iter_mut().filter_map(|of| of.example.as_mut()) {
        example.interface = whole(example.interface);
    }
    findings.extend(omissions::replies(rules, together));
    findings.extend(exposed);

    let mut used = HashSet::new();
    for finding in findings {
        let holds = |one: &Suppression| one.until.is_none_or(|until| until >= today);
        let about = |one: &Suppression| {
            one.code == finding.code && (one.rule.is_none() || one.rule == finding.rule)
        };
        let suppressions = rules.suppressions().iter();
        match suppressions.clone().position(|one| about(one) && holds(one)) {
            Some(position) => {
                used.insert(position);
                let reason = rules.suppressions().get(position).map(|one| one.reason.clone());
                checked.suppressed.push((finding, reason.unwrap_or_default()));
            }
            None => checked.findings.push(finding),
        }
    }
    for (position, suppression) in rules.suppressions().iter().enumerate() {
        if !used.contains(&position) {
            checked.findings.push(unused(suppression, today));
        }
    }
    let order = |finding: &Finding| (finding.severity, finding.place.map(std::cmp::Reverse));
    checked.findings.sort_by(|a, b| order(b).cmp(&order(a)).then(a.code.cmp(&b.code)));
    checked
}

/// What each entry of the interfaces' lists does, and where there are too many to tell. Of interfaces at which the same
/// is found ([`alike`]) the first is there.
fn lists<'r>(rules: &'r RuleSet, firsts: &[usize]) -> (Vec<List<'r>>, Vec<(usize, Direction)>) {
    let (mut found, mut failed) = (Vec::new(), HashSet::new());
    for (interface, first) in firsts.iter().enumerate() {
        if *first != interface {
            continue;
        }
        for direction in Direction::BOTH {
            match List::new(rules, interface, direction) {
                Ok(list) => found.push(list),
                Err(_) => drop(failed.insert((interface, direction))),
            }
        }
    }
    let each = firsts.iter().enumerate().flat_map(|(interface, first)| {
        Direction::BOTH.map(|direction| (interface, (*first, direction)))
    });
    let too_complex = each.filter(|(_, first)| failed.contains(first));
    (found, too_complex.map(|(interface, (_, direction))| (interface, direction)).collect())
}

fn unused(suppression: &Suppression, today: Date) -> Finding {
    let Suppression { code, rule, reason: _, until } = suppression;
    let of = rule.as_ref().map_or_else(String::new, |rule| format!(" of rule {rule}"));
    let message = match until {
        Some(until) if *until < today => {
            format!("the suppression of {code}{of} ended on {until}; mend the rule, or look again")
        }
        _ => format!("there is no {code}{of} to suppress; remove the suppression"),
    };
    Finding { rule: rule.clone(), ..Finding::new(Code::UnusedSuppression, message) }
}

impl Finding {
    fn new(code: Code, message: String) -> Self {
        Self {
            code,
            severity: code.severity(),
            group: None,
            rule: None,
            place: None,
            others: Vec::new(),
            message,
            example: None,
        }
    }

    /// About a rule, by its positions.
    fn about(mut self, rules: &RuleSet, (group, rule): (usize, usize)) -> Self {
        if let Some(of) = rules.groups().get(group) {
            self.group = Some(of.id.clone());
            self.rule = of.rules.get(rule).map(|rule| rule.id.to_string());
            self.place = Some((group, rule));
        }
        self
    }

    fn example(mut self, example: Option<Example>) -> Self {
        self.example = example;
        self
    }

    fn others(mut self, others: Vec<Other>) -> Self {
        self.others = others;
        self
    }

    fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }
}

/// The page of a code: what it means, why it matters, what to do.
pub fn page(code: Code) -> &'static str {
    let pages = include_str!("codes.md");
    let heading = format!("## {code}\n");
    let found = pages.split_once(&heading).map(|(_, rest)| rest);
    found.and_then(|rest| rest.split("\n## ").next()).unwrap_or_default().trim()
}

/// Names in a row: `a`, `a and b`, `a, b and 3 more`.
fn named(others: &[Other]) -> String {
    const SHOWN: usize = 4;
    let names: Vec<String> = others.iter().take(SHOWN).map(|other| other.rule.clone()).collect();
    match (others.len().saturating_sub(SHOWN), names.as_slice()) {
        (0, [all @ .., last]) if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        (0, names) => names.join(", "),
        (more, names) => format!("{} and {more} more", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::parse::sample;

    proptest! {
        /// What is found by checking one of the interfaces at which the same is found is what is found by checking
        /// every one.
        #[test]
        fn interfaces_that_are_alike_are_checked_once(seed in any::<u64>()) {
            let Some(rules) = sample::rule_set(seed) else { return Ok(()) };
            let today = jiff::civil::date(2026, 11, 28);
            let each = |rules: &RuleSet| (0..rules.interfaces().len()).collect();
            prop_assert_eq!(check(&rules, today), check_at(&rules, today, each));
        }
    }

    #[test]
    fn every_code_has_a_page() {
        for &code in Code::ALL {
            assert!(page(code).len() > 100, "{code}");
            assert!(!page(code).contains("\n## "), "{code}");
        }
        assert_eq!(include_str!("codes.md").matches("\n## ").count(), Code::ALL.len());
    }
}
