//! Rules to add so that flows get another verdict, with the proof that nothing else does.
//!
//! A flow is what a rule can name of a connection: interface, direction, protocol, destination port and both
//! addresses. Its source port, which each connection chooses anew, is any.

mod drafts;
mod wanted;

use crate::diff::Turned;
use crate::evaluate::explain;
use crate::flow::{Direction, FlowTuple};
use crate::rules::{Assumption, Cloud, EntryKind, Layer, Policy, Priority, Rule, RuleSet};
use drafts::Drafts;
use wanted::Wanted;

/// A connection whose verdict is to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// Position of the interface.
    pub interface: usize,
    /// The direction in which it is opened.
    pub direction: Direction,
    /// The tuple of its opening packet.
    pub flow: FlowTuple,
}

/// Rules to add.
#[derive(Clone, Debug)]
pub struct Fix {
    /// Each with the position of its group.
    pub added: Vec<(usize, Rule)>,
    /// The rules with those that are added.
    pub rules: RuleSet,
    /// All packets whose verdict they change, which are those of the flows.
    pub turned: Vec<Turned>,
    /// They are about every type of ICMP, since rules of this cloud name none.
    pub any_icmp_type: bool,
}

/// Why there are no such rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotFix {
    /// No rule decides it.
    #[error("{0}")]
    NoRule(String),
    /// No priority is left before that of the rule that decides.
    #[error("rule {0} decides first, and no priority comes before its own: change that rule")]
    NoPriority(String),
    /// The cloud's rules only accept.
    #[error("rules of {0} only accept: narrow or remove what accepts it, {1}")]
    OnlyAccept(Cloud, String),
    /// The cloud would refuse the rules.
    #[error("the cloud would refuse the rule to add: {0}")]
    Refused(String),
    /// The rules would do more than they should.
    #[error("the rules to add would change the verdict of other packets too: {}", .0.join("; "))]
    More(Vec<String>),
    /// What they would do is too much to compute.
    #[error("the exact difference that the rules to add make has too many regions")]
    TooComplex,
}

/// A network ACL may deny behind a security group, and one of Azure's groups behind another.
const MOST_ROUNDS: usize = 4;

/// Rules that, added, turn the verdict of these flows to that of the policy, and of no other packet.
///
/// # Errors
/// Why there are none.
pub fn fix(rules: &RuleSet, flows: &[Flow], policy: Policy) -> Result<Fix, CannotFix> {
    let wanted = Wanted::new(rules, flows);
    let mut amended = rules.clone();
    let mut added: Vec<(usize, Rule)> = Vec::new();
    for _ in 0..MOST_ROUNDS {
        let mut drafts = Drafts::default();
        for flow in flows {
            if let Some(decider) = decider(&amended, flow, policy)? {
                drafts.add(&amended, flow, &decider, policy)?;
            }
        }
        if drafts.is_empty() {
            let turned = wanted.only(rules, &amended, policy)?;
            return Ok(Fix { added, rules: amended, turned, any_icmp_type: wanted.any_icmp_type });
        }
        let more = drafts.rules(&amended, policy)?;
        amended = amended.with_added(&more).map_err(|faults| {
            let fault = faults.first().map_or_else(String::new, |fault| fault.message.clone());
            CannotFix::Refused(fault)
        })?;
        added.extend(more);
    }
    Err(CannotFix::NoRule("a rule that is added does not decide".to_owned()))
}

/// What decides a flow otherwise than it should be.
struct Decider {
    /// Position of the group to which a rule is added.
    group: usize,
    /// The priority of the rule that decides, and its name; `None` where none matches.
    rule: Option<(Priority, String)>,
}

/// The first layer that denies what is to be allowed, or the last that allows what is to be denied; `None` where the
/// verdict is right.
fn decider(rules: &RuleSet, flow: &Flow, policy: Policy) -> Result<Option<Decider>, CannotFix> {
    let Flow { interface, direction, flow } = *flow;
    let layers = rules.ordered_by_layer(interface, direction, &Assumption::default());
    let decisions = layers.iter().map(|(layer, list)| {
        let last = explain(list, &flow).pop().map(|step| step.entry);
        (*layer, last.map_or(Policy::Drop, |entry| entry.policy), last.map(|entry| entry.kind))
    });
    let decisions: Vec<_> = decisions.collect();
    let found = match policy {
        Policy::Accept => decisions.iter().find(|(_, found, _)| *found == Policy::Drop),
        Policy::Drop if decisions.iter().any(|(_, found, _)| *found == Policy::Drop) => None,
        Policy::Drop => decisions.last(),
    };
    let Some((layer, _, kind)) = found else {
        let list = rules.stateless(interface, direction.opposite());
        let stops = |list| {
            explain(list, &flow.reversed()).pop().is_none_or(|of| of.entry.policy == Policy::Drop)
        };
        return match policy == Policy::Accept && list.as_ref().is_some_and(stops) {
            true => Err(CannotFix::NoRule("the network ACL stops the replies".to_owned())),
            false => Ok(None),
        };
    };
    if *layer == Layer::NetworkAcl {
        let message = "a network ACL decides, which judges the replies too: change its entries";
        return Err(CannotFix::NoRule(message.to_owned()));
    }
    let groups = rules.interfaces().get(interface).map_or(&[][..], |eni| &eni.groups);
    let in_layer = groups.iter().copied().find(|group| {
        rules.groups().get(*group).is_some_and(|group| group.layer == Layer::SecurityGroup)
    });
    match (kind, in_layer) {
        (Some(EntryKind::Rule { group, rule }), _) => {
            let of = rules.groups().get(*group).and_then(|group| group.rules.get(*rule));
            let rule = of.map(|rule| (rule.priority, rule.id.to_string()));
            Ok(Some(Decider { group: *group, rule }))
        }
        (Some(EntryKind::System(builtin)), _) => {
            Err(CannotFix::NoRule(format!("no rule decides it: it is {}", builtin.as_str())))
        }
        (Some(EntryKind::IntraGroup { group }), _) => {
            let id = rules.groups().get(*group).map_or("", |group| group.id.as_str());
            Err(CannotFix::NoRule(format!(
                "both ends are members of {id}, which decides before its rules: inner_access_policy: drop"
            )))
        }
        (Some(EntryKind::Default) | None, Some(group)) => Ok(Some(Decider { group, rule: None })),
        (_, None) => Err(CannotFix::NoRule("the interface has no security group".to_owned())),
    }
}
