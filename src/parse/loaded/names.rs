//! Names that tell groups and interfaces apart.

use std::collections::{HashMap, HashSet};

use super::Loaded;
use crate::parse::json::Faults;

impl Loaded {
    /// Both sides of a plan were read: what can be said only of all of each. A group that has the name of another one,
    /// on either side, has the same other name on both.
    pub(in crate::parse) fn finish_both(&mut self, other: &mut Self, faults: &mut Faults) {
        let mut keys: HashMap<String, HashSet<String>> = HashMap::new();
        for group in self.groups.iter().chain(&other.groups) {
            keys.entry(group.id.clone()).or_default().insert(group.key.clone());
        }
        for group in self.groups.iter_mut().chain(&mut other.groups) {
            let is_one_of_several = keys.get(&group.id).is_some_and(|keys| keys.len() > 1);
            if let (true, Some(of)) = (is_one_of_several, group.qualifiers.first()) {
                group.id = format!("{of}/{}", group.id);
            }
        }
        self.finish(faults);
        other.finish(faults);
    }

    /// Gives groups and interfaces that have the same name names that tell them apart.
    pub(super) fn tell_apart(&mut self, faults: &mut Faults) {
        let groups = self.groups.iter_mut().map(|of| (&mut of.id, of.qualifiers.as_slice()));
        let again = tell_apart(groups.collect());
        let enis = self.interfaces.iter_mut().map(|of| (&mut of.id, of.qualifiers.as_slice()));
        for (what, id) in again
            .map(|id| ("groups", id))
            .into_iter()
            .chain(tell_apart(enis.collect()).map(|id| ("interfaces", id)))
        {
            faults.add(
                "",
                format_args!(
                    "several {what} are called {id}, and the files do not tell them apart"
                ),
            );
        }
    }
}

/// Puts before equal names what tells them apart, the nearest first; a name that is still there twice.
fn tell_apart(mut named: Vec<(&mut String, &[String])>) -> Option<String> {
    let mut depth = 0;
    loop {
        let mut count: HashMap<String, usize> = HashMap::new();
        for (id, _) in &named {
            *count.entry((*id).clone()).or_default() += 1;
        }
        let mut again =
            named.iter_mut().filter(|(id, _)| count.get(*id).is_some_and(|n| *n > 1)).peekable();
        let first = again.peek().map(|(id, _)| (**id).clone())?;
        let mut changed = false;
        for (id, qualifiers) in again {
            if let Some(qualifier) = qualifiers.get(depth) {
                **id = format!("{qualifier}/{id}");
                changed = true;
            }
        }
        if !changed {
            return Some(first);
        }
        depth += 1;
    }
}
