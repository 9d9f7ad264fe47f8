//! What two lists of entries do not have in common in the same order.

use std::collections::{HashMap, HashSet};

use foldhash::fast::FixedState;

use crate::rules::{Entry, Matcher, Policy};

/// What only one of the lists has, or has at another place.
pub(super) fn edits(lists: [&[Entry]; 2]) -> Vec<Matcher> {
    let mut known: HashMap<(Policy, &Matcher), usize, FixedState> = HashMap::default();
    let [current, proposed] = lists.map(|entries| {
        let mut seen: HashSet<usize, FixedState> = HashSet::default();
        let mut list: Vec<(usize, &Matcher)> = Vec::with_capacity(entries.len());
        for Entry { policy, matcher, .. } in entries {
            let next = known.len();
            let number = *known.entry((*policy, matcher)).or_insert(next);
            // An entry that says what one before it says decides nothing.
            if seen.insert(number) {
                list.push((number, matcher));
            }
        }
        list
    });
    let kept = kept(&current, &proposed);
    let edited = current.iter().chain(&proposed).filter(|(number, _)| !kept.contains(number));
    edited.map(|(_, matcher)| (*matcher).clone()).collect()
}

/// The numbers of entries that both lists have in the same order, as many as there can be: a longest ascending
/// subsequence of their places, in O(n log n). Each list has a number once.
fn kept(
    current: &[(usize, &Matcher)],
    proposed: &[(usize, &Matcher)],
) -> HashSet<usize, FixedState> {
    let places: HashMap<usize, usize, FixedState> =
        proposed.iter().enumerate().map(|(place, (number, _))| (*number, place)).collect();
    let common = current.iter().filter_map(|(number, _)| Some((*number, *places.get(number)?)));
    let common: Vec<(usize, usize)> = common.collect();
    let ends_before = |end: &usize, place: usize| common.get(*end).is_some_and(|of| of.1 < place);
    // By its length, the end of the ascending subsequence that ends lowest; of each entry the one before it.
    let (mut ends, mut before): (Vec<usize>, Vec<Option<usize>>) = (Vec::new(), Vec::new());
    for (at, (_, place)) in common.iter().enumerate() {
        let length = ends.partition_point(|end| ends_before(end, *place));
        before.push(length.checked_sub(1).and_then(|shorter| ends.get(shorter).copied()));
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let last = ends.last().copied();
    let chain = std::iter::successors(last, |at| before.get(*at).copied().flatten());
    chain.filter_map(|at| common.get(at).map(|(number, _)| *number)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flow::Direction;

    proptest! {
        /// Those that stay in their order are in both lists in that order, and no more could be.
        #[test]
        fn as_many_as_can_be_stay_in_their_order(
            current in prop::collection::hash_set(0..12_usize, 0..12),
            proposed in prop::collection::hash_set(0..12_usize, 0..12),
        ) {
            let any = Matcher::any();
            let [current, proposed] = [current, proposed].map(|numbers| -> Vec<(usize, &Matcher)> {
                numbers.into_iter().map(|number| (number, &any)).collect()
            });
            let kept = kept(&current, &proposed);
            let stay = |list: &[(usize, &Matcher)]| -> Vec<usize> {
                list.iter().map(|(number, _)| *number).filter(|of| kept.contains(of)).collect()
            };
            prop_assert_eq!(stay(&current), stay(&proposed));
            // The definition, by dynamic programming.
            let mut longest = vec![vec![0; proposed.len() + 1]; current.len() + 1];
            for (n, (a, _)) in current.iter().enumerate() {
                for (m, (b, _)) in proposed.iter().enumerate() {
                    longest[n + 1][m + 1] = match a == b {
                        true => longest[n][m] + 1,
                        false => longest[n][m + 1].max(longest[n + 1][m]),
                    };
                }
            }
            prop_assert_eq!(kept.len(), longest[current.len()][proposed.len()]);
        }
    }

    /// An entry that says what one before it says decides nothing, wherever it stands.
    #[test]
    fn what_is_said_again_is_no_edit() {
        let rules = |order: &[u8]| {
            let rule = |(priority, port): (usize, &u8)| {
                format!(
                    "{{direction: ingress, protocol: tcp, ports: {port}, source: 10.0.0.0/8, priority: {}}}",
                    priority + 1
                )
            };
            let rules: Vec<String> = order.iter().enumerate().map(rule).collect();
            let text =
                format!("{{security_groups: [{{id: sg-a, rules: [{}]}}]}}", rules.join(", "));
            crate::parse::yaml("x", &text).unwrap().ordered(0, Direction::Ingress)
        };
        let [short, long, moved] = [&[22, 80][..], &[22, 80, 22, 80], &[80, 22]].map(rules);
        assert!(edits([short.entries(), long.entries()]).is_empty());
        assert_eq!(edits([short.entries(), moved.entries()]).len(), 2, "one entry, of both lists");
    }
}
