//! Rules as they were found in files.

use crate::rules::{Peer, Rule};

/// A rule as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The rule.
    pub rule: Rule,
    /// The name it has in its file, where the rule is one of several that the file has under one name.
    pub listed_as: Option<String>,
    /// Where: the way to it in its file, or Terraform's address.
    pub origin: String,
    /// What the model has no place for, in words.
    pub note: String,
    /// What of it is known only after a plan was applied.
    pub later: Later,
    /// Whether it counts.
    pub standing: Standing,
}

/// What of a rule is known only after a plan was applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Later {
    /// What the neutral table has in the place of its group: `?attribute`.
    pub group: Option<String>,
    /// In the place of its peers.
    pub peer: Option<String>,
    /// In the place of its near side.
    pub local: Option<String>,
    /// Attributes of which the configuration does not say either what they will be.
    pub unresolved: Vec<String>,
}

impl Later {
    /// The group is known only later, by this attribute; what stands for it.
    pub(in crate::parse) fn of_group(&mut self, attribute: &str) -> String {
        self.unresolved.push(attribute.to_owned());
        let name = format!("?{attribute}");
        self.group = Some(name.clone());
        name
    }

    /// Peers of an attribute are known only later, beside those that are known or named already.
    pub(in crate::parse) fn peer(&mut self, known: &[Peer], attribute: &str) {
        let known = || known.iter().map(ToString::to_string).collect::<Vec<_>>().join(";");
        let before = self.peer.take().unwrap_or_else(known);
        let between = if before.is_empty() { "" } else { ";" };
        self.peer = Some(format!("{before}{between}?{attribute}"));
    }

    /// The group itself is a peer too.
    pub(in crate::parse) fn and_self(&mut self, group: &str) {
        if let Some(peer) = &mut self.peer {
            peer.push(';');
            peer.push_str(group);
        }
    }
}

/// Whether a rule that was found counts, and is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As files say it.
    InForce,
    /// It is switched off, and shown only.
    Disabled,
    /// It is in force though the file does not print it.
    Implied,
}

impl Found {
    pub(in crate::parse) fn new(rule: Rule, origin: String) -> Self {
        Self {
            rule,
            listed_as: None,
            origin,
            note: String::new(),
            later: Later::default(),
            standing: Standing::InForce,
        }
    }
}
