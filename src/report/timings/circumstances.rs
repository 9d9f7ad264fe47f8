//! The machine and the program of a measurement.

use serde::{Deserialize, Serialize};

use super::Timings;
use crate::report::text;

/// The machine of a measurement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The model of the processor, if the system tells.
    pub cpu: Option<String>,
    /// The processors that the program may use.
    pub cores: usize,
    /// Operating system, release and architecture.
    pub system: String,
    /// The instruction set of rule lookups in batches.
    pub simd: String,
}

impl Machine {
    pub(super) fn text(&self) -> String {
        let cpu = self.cpu.as_deref().unwrap_or("unknown processor");
        let cores = text::plural(self.cores as u64, "core");
        format!("{cpu}, {cores}, {}, {}", self.simd, self.system)
    }
}

/// The program of a measurement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Its version.
    pub version: String,
    /// The features that it was built with.
    pub features: Vec<String>,
    /// Whether it is a release build.
    pub optimised: bool,
}

impl Build {
    pub(super) fn text(&self) -> String {
        let kind = if self.optimised { "release" } else { "debug" };
        format!("sgreplay {} ({kind} build: {})", self.version, self.features.join(", "))
    }
}

impl Timings {
    /// How the machine of an earlier measurement differs from this one, or that nobody knows.
    pub fn other_machine(&self, before: &Self) -> Option<String> {
        let [then, now] = [&before.machine, &self.machine];
        if then == now && now.cpu.is_some() {
            return None;
        }
        Some(if *then == Machine::default() {
            "the saved measurement does not name its machine".to_owned()
        } else if then == now {
            format!(
                "the system does not name the processor ({}): it may be another one",
                now.text()
            )
        } else {
            format!(
                "the saved measurement is of another machine: {}; this is {}",
                then.text(),
                now.text()
            )
        })
    }

    /// What else differs and may explain a change.
    pub fn other_circumstances(&self, before: &Self) -> Vec<String> {
        let [then, now] = [&before.build, &self.build];
        let mut found = Vec::new();
        if *then != Build::default()
            && (&then.features, then.optimised) != (&now.features, now.optimised)
        {
            found.push(format!("the builds differ: {} before, {} now", then.text(), now.text()));
        }
        if before.entries != self.entries && before.rules == self.rules {
            found.push(format!(
                "the rules had {} entries before, {} now",
                before.entries, self.entries
            ));
        }
        found
    }
}
