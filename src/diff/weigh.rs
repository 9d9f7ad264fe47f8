//! Effects under suppositions that the input leaves open.

use super::effect::Effect;
use crate::doubts::{self, Doubts, Weighed};
use crate::verdict::Verdict;

/// By the effect that the change would have under a supposition.
pub(super) type ByEffect = [Doubts; Effect::ALL.len()];

/// Counts a connection on which the change has another effect under a supposition. `certain` are the verdicts on its
/// frame by both rule sets, `supposed` what each says if something is so.
pub(super) fn weigh(
    doubts: &mut ByEffect,
    has_acls: bool,
    (frame, certain): (u64, [Verdict; 2]),
    supposed: [&Weighed; 2],
) {
    let effect = |[current, proposed]: [Verdict; 2]| match (current, proposed) {
        (Verdict::Allow, Verdict::Deny) => Effect::NewlyDenied,
        (Verdict::Deny, Verdict::Allow) => Effect::NewlyAllowed,
        _ => Effect::Unchanged,
    };
    for (supposed, verdicts) in doubts::of_both(certain, supposed) {
        let otherwise = effect(verdicts);
        let mut add = |effect: Effect| {
            if let Some(doubts) = doubts.get_mut(effect as usize) {
                doubts.add(supposed.clone(), frame);
            }
        };
        if otherwise != effect(certain) {
            add(otherwise);
        } else if has_acls && verdicts != certain && verdicts == [Verdict::Allow; 2] {
            // The verdicts of their network ACLs on the replies are unknown then.
            add(Effect::NewlyDenied);
            add(Effect::NewlyAllowed);
        }
    }
}
