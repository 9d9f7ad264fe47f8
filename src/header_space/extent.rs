//! What a matcher matches, to hold it against others.

use std::sync::{Arc, LazyLock};

use super::region::Set;
use super::sets::{AXES, both, overlap, values};
use crate::compile::axes::{Conditions, Family, ServiceRange};
use crate::rules::{Addresses, Matcher};

/// All packets that a matcher matches, of both families. Each family's are a box: a set of values on
/// every axis, and every combination of them.
#[derive(Clone, Debug)]
pub struct Extent {
    boxes: [Option<Sets>; 2],
}

/// Most entries have the same few sets on an axis, of which every service is a long one.
pub(super) type Sets = [Arc<Set>; AXES.len()];

/// The services of all packets that are whole.
static WHOLE_SERVICES: LazyLock<Arc<Set>> = LazyLock::new(|| Arc::new(whole_services()));

impl Extent {
    /// What a matcher matches of the packets that have one of the near side's addresses.
    pub fn new(matcher: &Matcher, local: &Addresses) -> Self {
        let own = Matcher { local: local.clone(), ..Matcher::any() };
        let boxes = [Family::V4, Family::V6].map(|family| {
            let [matcher, own] = [matcher, &own].map(|of| Conditions::new(of, family));
            let on = |axis| Arc::new(both(&values(&matcher, axis), &values(&own, axis)));
            let mut found = AXES.map(on);
            if let Some(services) = found.first_mut() {
                let of_whole = both(services, &WHOLE_SERVICES);
                *services = match of_whole == **WHOLE_SERVICES {
                    true => Arc::clone(&WHOLE_SERVICES),
                    false => Arc::new(of_whole),
                };
            }
            found.iter().all(|set| !set.is_empty()).then_some(found)
        });
        Self { boxes }
    }

    /// The box of a family; `None` where it has no packet.
    pub(super) fn sets(&self, family: usize) -> Option<&Sets> {
        self.boxes.get(family)?.as_ref()
    }

    /// Whether there is no such packet.
    pub fn is_empty(&self) -> bool {
        self.boxes.iter().all(Option::is_none)
    }

    /// Whether some packet lies in both.
    pub fn meets(&self, other: &Self) -> bool {
        let meet = |(a, b): (&Sets, &Sets)| a.iter().zip(b).all(|(a, b)| overlap(a, b));
        self.pairs(other).any(|(a, b)| a.zip(b).is_some_and(meet))
    }

    /// Whether every packet of this one lies in the other.
    pub fn within(&self, other: &Self) -> bool {
        let inside = |a: &Sets, b: &Sets| a.iter().zip(b).all(|(a, b)| both(a, b) == **a);
        self.pairs(other).all(|(a, b)| match (a, b) {
            (None, _) => true,
            (Some(a), Some(b)) => inside(a, b),
            (Some(_), None) => false,
        })
    }

    fn pairs<'e>(
        &'e self,
        other: &'e Self,
    ) -> impl Iterator<Item = (Option<&'e Sets>, Option<&'e Sets>)> {
        self.boxes.iter().map(Option::as_ref).zip(other.boxes.iter().map(Option::as_ref))
    }
}

/// The services of all packets that are whole.
fn whole_services() -> Set {
    let services = (0..=u8::MAX).map(|proto| ServiceRange::whole(proto).values());
    let mut set: Set = services.collect();
    set.sort_unstable();
    set
}
