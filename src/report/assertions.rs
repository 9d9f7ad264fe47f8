//! Whether expectations are met: for people, and for programs.

use serde::Serialize;
use serde_json::{Value, json};

use super::junit::{Case, Suite};
use super::summary::RulesInput;
use super::{SCHEMA, regions, text};
use crate::assertions::{AssertionResult, FailedExpectation};
use crate::escape::{Text, push_line};
use crate::labels::Labels;
use crate::rules::{Expectation, Policy};
use crate::verdict::Verdict;

/// An expectation, and the packets that do not meet it, with a trace of the first.
#[derive(Clone, Debug)]
pub struct Tested {
    /// What is expected.
    pub expectation: Expectation,
    /// What becomes of the packets that it is about.
    pub outcome: AssertionResult,
    /// How the example of the first is decided, rule by rule.
    pub trace: Text,
}

impl Tested {
    /// Whether every packet is decided as expected, but for what no rule decides.
    pub fn is_met(&self) -> bool {
        self.outcome.failures.is_empty()
    }

    /// `; exempt: metaserver`, where something passes whatever the rules say.
    fn exempt(&self) -> String {
        match self.outcome.exempt.as_slice() {
            [] => String::new(),
            exempt => format!("  (exempt, since no rule decides it: {})", exempt.join(", ")),
        }
    }
}

/// The keys of `test -f json`.
#[derive(Debug, Serialize)]
pub struct TestSummary {
    schema: u32,
    version: &'static str,
    /// The rules.
    pub rules: RulesInput,
    /// The expectations.
    pub expectations: RulesInput,
    passed: usize,
    failed: usize,
}

impl TestSummary {
    /// Counts.
    pub fn new(rules: RulesInput, expectations: RulesInput, tested: &[Tested]) -> Self {
        let failed = tested.iter().filter(|of| !of.is_met()).count();
        let passed = tested.len() - failed;
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            rules,
            expectations,
            passed,
            failed,
        }
    }

    /// Whether one is not met.
    pub fn fails(&self) -> bool {
        self.failed > 0
    }

    /// `3 expectations, 1 not met`
    pub fn words(&self) -> String {
        let all = text::plural((self.passed + self.failed) as u64, "expectation");
        match self.failed {
            0 => format!("{all}, all met"),
            failed => format!("{all}, {failed} not met"),
        }
    }
}

/// Regions shown of one expectation; the rest are counted.
const SHOWN: usize = 4;

/// For people: a line for each that is met, and why for each that is not.
pub fn tested_text(summary: &TestSummary, tested: &[Tested], labels: &Labels) -> Text {
    let mut out = Text::default();
    let (rules, file) = (&summary.rules, &summary.expectations);
    rules.line(&mut out, "rules");
    file.line(&mut out, "expected");
    push_line!(out, "by       sgreplay {}", env!("CARGO_PKG_VERSION"));
    push_line!(out);
    for of in tested {
        if of.is_met() {
            push_line!(out, "  ok    {}{}", of.expectation.name, of.exempt());
            continue;
        }
        let line = of.expectation.line.map_or_else(String::new, |line| format!(":{line}"));
        push_line!(out, "  FAIL  {}  ({}{line}){}", of.expectation.name, file.path, of.exempt());
        for line in why(of, labels).as_str().lines() {
            push_line!(out, "        {line}");
        }
    }
    push_line!(out);
    push_line!(out, "{}", summary.words());
    out
}

/// What was expected, what was found, and the trace of an example.
pub(super) fn why(of: &Tested, labels: &Labels) -> Text {
    let mut out = Text::default();
    let failures = &of.outcome.failures;
    for failure in failures.iter().take(SHOWN) {
        push_line!(out, "{}", found(failure, labels));
    }
    if let Some(more) = failures.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        push_line!(out, "and {} more; -f json lists all", text::plural(more as u64, "region"));
    }
    for (n, line) in of.trace.as_str().lines().enumerate() {
        let lead = if n == 0 { "for example " } else { "" };
        push_line!(out, "{lead}{line}");
    }
    out
}

fn found(failure: &FailedExpectation, labels: &Labels) -> String {
    let FailedExpectation { interface, direction, expected, region, members_of, replies, decider } =
        failure;
    let at = labels.interface(*interface);
    let Some(region) = region else {
        return format!(
            "no packet is like that at {at}: its addresses, or a family, are not those of the \
             expectation, so this expects nothing"
        );
    };
    let label = labels.entry(*interface, *direction, *decider);
    let decided = label.because(label.reason);
    let (wanted, got) = match expected {
        Policy::Accept => ("allow", "deny"),
        Policy::Drop => ("deny", "allow"),
    };
    if *replies {
        let group = &label.group;
        return format!(
            "expected {wanted}; it is accepted, and the replies are not: {direction} {at} {region}: reply stopped by \
             {} of {group}",
            label.rule
        );
    }
    // Of the right answer by the wrong rule it is the rule that is to be named.
    let members = match members_of.is_empty() {
        true => String::new(),
        false => format!(", for {}", regions::members(members_of)),
    };
    format!(
        "expected {wanted}; {direction} {at} {region}{members}: {got_or} {decided}",
        got_or = match labels.policy(*interface, *direction, *decider) {
            Some(policy) if policy == *expected => format!("{wanted}, but by"),
            _ => format!("{got} by"),
        }
    )
}

/// The outcome as JSON objects.
pub fn tested_json(tested: &[Tested], labels: &Labels) -> Vec<Value> {
    let failure = |failure: &FailedExpectation| {
        let label = labels.entry(failure.interface, failure.direction, failure.decider);
        let policy = labels.policy(failure.interface, failure.direction, failure.decider);
        let mut object = json!({
            "interface": labels.interface(failure.interface),
            "direction": failure.direction.as_str(),
            "expected": Verdict::from(failure.expected).as_str(),
            "verdict": policy.map(|policy| Verdict::from(policy).as_str()),
            "reason": label.reason.as_str(),
            "group": label.group,
            "rule": label.rule,
            "layer": label.layer.as_str(),
        });
        if let (Some(region), Some(keys)) = (&failure.region, object.as_object_mut()) {
            keys.extend(regions::fields(region));
            keys.insert("members_of".to_owned(), failure.members_of.groups().collect());
            keys.insert("replies".to_owned(), failure.replies.into());
        }
        object
    };
    let object = |of: &Tested| {
        json!({
            "name": of.expectation.name,
            "line": of.expectation.line,
            "met": of.is_met(),
            "exempt": of.outcome.exempt,
            "failures": of.outcome.failures.iter().map(failure).collect::<Vec<_>>(),
        })
    };
    tested.iter().map(object).collect()
}

/// The outcome as a suite of test cases.
pub fn tested_suite(summary: &TestSummary, tested: &[Tested], labels: &Labels) -> Suite {
    let case = |of: &Tested| Case {
        name: of.expectation.name.clone(),
        at: (summary.expectations.path.clone(), of.expectation.line),
        failure: of.outcome.failures.first().map(|failure| {
            let why = why(of, labels).as_str().trim_end().to_owned();
            (found(failure, labels), why)
        }),
    };
    Suite {
        name: format!("expectations of {}", summary.rules.path),
        cases: tested.iter().map(case).collect(),
    }
}
