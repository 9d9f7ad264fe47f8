//! Warnings about a comparison.

use sgreplay::baseline::Accepted;
use sgreplay::collect::Changed;
use sgreplay::diff::{self, Diff};
use sgreplay::report::{DiffInputs, count, plural};
use sgreplay::rules::RuleSet;

use super::args::DiffArgs;
use super::sides;
use crate::args::SummaryFormat;
use crate::exit::Failure;
use crate::input;

/// What the two rule sets give cause to say.
pub(super) fn of_both(current: &RuleSet, proposed: &RuleSet, inputs: &DiffInputs) -> Vec<String> {
    let mut warnings = Vec::new();
    for (which, rules) in [("current", current), ("proposed", proposed)] {
        let found = rules.over_quota().into_iter();
        warnings.extend(found.map(|warning| format!("{which} rules: {}", warning.0)));
    }
    if inputs.current.sha256 == inputs.proposed.sha256
        && inputs.current.path == inputs.proposed.path
        || current == proposed
    {
        warnings.push("the proposed rules are the same as the current ones".to_owned());
    }
    let [gone, new] = diff::unpaired(current, proposed);
    for (which, ids) in [("current", gone), ("proposed", new)] {
        if !ids.is_empty() {
            let ids = ids.join(", ");
            warnings.push(format!("only the {which} rules have {ids}, so it is not compared"));
        }
    }
    warnings
}

/// Rules that match no packet of a capture, of both rule sets.
pub(super) fn unknown_members(current: &RuleSet, proposed: &RuleSet) -> Vec<String> {
    let sides = [("current", current), ("proposed", proposed)].into_iter();
    let each = sides.flat_map(|(which, rules)| {
        let found = rules.unknown_members().into_iter();
        found.map(move |warning| format!("{which} rules: {}", warning.0))
    });
    each.collect()
}

/// What is not said, or less finely, for want of memory.
pub(super) fn coarser(args: &DiffArgs, diff: &Diff<'_>, changed: &Changed<'_>) -> Vec<String> {
    let mut warnings: Vec<String> = changed.coarser().into_iter().collect();
    if diff.forgotten() > 0 {
        warnings.push(format!(
            "{} of packets judged by themselves forgotten for want of memory; one that goes on is counted again; \
             --memory allows more",
            plural(diff.forgotten(), "tuple"),
        ));
    }
    let not_listed = changed.not_listed();
    if not_listed > 0 && args.format == SummaryFormat::Json {
        warnings.push(format!(
            "`changes` leaves out {} for want of memory; -f ndjson lists every one, --memory allows more",
            plural(not_listed, "connection"),
        ));
    }
    warnings
}

/// Accepted changes that accept nothing.
pub(super) fn unused(accepted: &Accepted, changed: &Changed<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    for (n, (entry, used)) in accepted.entries().iter().zip(changed.by_entry()).enumerate() {
        let (filter, until) = (&entry.filter, entry.until.unwrap_or_default());
        if accepted.expired(n) {
            warnings.push(format!("`{filter}` was accepted until {until}, and is no longer"));
        } else if *used == 0 {
            warnings.push(format!("`{filter}` is accepted, and no connection changes so"));
        }
    }
    warnings
}

/// Interfaces that a message names.
const SHOWN: usize = 10;

/// Whether both are about the same interfaces, so that they can be compared.
pub(crate) fn same_interfaces(
    current: &mut RuleSet,
    proposed: &mut RuleSet,
    args: &DiffArgs,
) -> Result<(), Failure> {
    current.stand_in_as(proposed);
    proposed.stand_in_as(current);
    if current.lists_interfaces() != proposed.lists_interfaces() {
        let [now, then] = sides(args);
        let (with, without) = if current.lists_interfaces() { (now, then) } else { (then, now) };
        return Err(Failure::Usage(format!(
            "{} lists interfaces and {} does not, so it is not known which addresses both are about; \
             list them in both, or in neither",
            input::name(with),
            input::name(without),
        )));
    }
    let [gone, _] = diff::unpaired(current, proposed);
    if gone.len() == current.interfaces().len() {
        let ids = |rules: &RuleSet| {
            let all = rules.interfaces();
            let shown: Vec<&str> = all.iter().take(SHOWN).map(|eni| eni.id.as_str()).collect();
            match all.len() - shown.len() {
                0 => shown.join(", "),
                more => format!("{} and {} more", shown.join(", "), count(more as u64)),
            }
        };
        return Err(Failure::Usage(format!(
            "{} is about {} and {} about {}: they have no interface in common",
            input::name(sides(args)[0]),
            ids(current),
            input::name(sides(args)[1]),
            ids(proposed),
        )));
    }
    Ok(())
}
