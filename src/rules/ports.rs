//! What a rule's `ports` may hold.

use std::fmt;

use super::field::{FieldError, PortRange, RuleProtocol};
use super::services;

/// One element of a rule's `ports`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ports {
    /// `-1/-1`.
    Any,
    /// A range, or the ports of a named service.
    Range(PortRange),
    /// `prl-…`.
    List(String),
}

impl Ports {
    /// Reads `22/22`, `22`, `-1/-1`, `prl-…` or a service name, which may stand for several ranges
    /// and means those that the service has in `protocol`.
    ///
    /// # Errors
    /// When the text is none of these.
    pub fn parse(text: &str, protocol: RuleProtocol) -> Result<Vec<Self>, FieldError> {
        let text = text.trim();
        if text == "-1/-1" || text == "-1" {
            return Ok(vec![Self::Any]);
        }
        if text.starts_with("prl-") {
            return Ok(vec![Self::List(text.to_owned())]);
        }
        if text.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let proto = match protocol {
                RuleProtocol::All => None,
                RuleProtocol::Only(proto) => Some(proto),
            };
            let ranges = services::ports(text, proto)?;
            return Ok(ranges.into_iter().map(Self::Range).collect());
        }
        text.parse().map(|range| vec![Self::Range(range)])
    }
}

impl fmt::Display for Ports {
    /// As in a rules file; a single port alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.pad("-1/-1"),
            Self::Range(range) if range.first() == range.last() => {
                f.pad(&range.first().to_string())
            }
            Self::Range(range) => f.pad(&range.to_string()),
            Self::List(id) => f.pad(id),
        }
    }
}
