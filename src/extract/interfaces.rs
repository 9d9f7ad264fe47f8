//! The interfaces of rules and their addresses, as an extract is made for them.

use ipnet::IpNet;

use crate::rules::{Interface, RuleSet};

/// Interfaces by their ids, ascending, each with its addresses. Which packets are extracted does not depend on their order
/// in the rules.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct InterfaceList {
    /// The rules list them.
    listed: bool,
    all: Vec<(String, Vec<String>)>,
}

impl InterfaceList {
    pub(super) fn new(rules: &RuleSet) -> Self {
        let addresses = |eni: &Interface| {
            IpNet::aggregate(&eni.addresses).iter().map(IpNet::to_string).collect()
        };
        let all = rules.interfaces().iter().map(|eni| (eni.id.clone(), addresses(eni)));
        let mut all: Vec<_> = all.collect();
        all.sort_unstable();
        Self { listed: rules.lists_interfaces(), all }
    }

    /// An interface's position and addresses.
    pub(super) fn find(&self, id: &str) -> Option<(u32, &Vec<String>)> {
        let at = self.all.binary_search_by(|(known, _)| known.as_str().cmp(id)).ok()?;
        let (_, addresses) = self.all.get(at)?;
        Some((u32::try_from(at).ok()?, addresses))
    }

    /// The id of the interface at a position.
    pub(super) fn id(&self, place: u32) -> Option<&String> {
        self.all.get(place as usize).map(|(id, _)| id)
    }

    /// Whether both have the same addresses, whatever the interfaces are called. Those without addresses stand for a
    /// group.
    pub(super) fn has_addresses_of(&self, other: &Self) -> bool {
        self.addresses() == other.addresses()
    }

    fn addresses(&self) -> Vec<&Vec<String>> {
        let mut all: Vec<_> = self.all.iter().map(|(_, addresses)| addresses).collect();
        all.retain(|addresses| !addresses.is_empty());
        all.sort_unstable();
        all
    }
}
