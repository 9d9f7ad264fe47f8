//! The names of groups and prefix lists that are resources of the file.

use std::collections::HashMap;

use super::{File, Item, quoted};
use crate::rules::PrefixList;

/// Labels by id.
#[derive(Default)]
pub(super) struct Labels {
    pub(super) groups: HashMap<String, String>,
    pub(super) lists: HashMap<String, String>,
}

impl Labels {
    /// Writes prefix lists as resources of a type whose attribute for the name is `name`.
    pub(super) fn prefix_lists(
        &mut self,
        file: &mut File,
        kind: &'static str,
        name: &'static str,
        lists: &[PrefixList],
    ) {
        for list in lists {
            let v6 = list.entries.iter().any(|net| net.addr().is_ipv6());
            let mut items = vec![
                Item::Is(name, quoted(&list.id)),
                Item::Is("address_family", quoted(if v6 { "IPv6" } else { "IPv4" })),
                Item::Is("max_entries", list.entries.len().to_string()),
            ];
            let entry = |net: &ipnet::IpNet| {
                Item::Block("entry", vec![Item::Is("cidr", quoted(&net.to_string()))])
            };
            items.extend(list.entries.iter().map(entry));
            let label = file.resource(kind, &list.id, &items);
            self.lists.insert(list.id.clone(), label);
        }
    }
}
