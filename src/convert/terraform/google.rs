//! For the `google` provider.

use super::{File, Item, quoted, strings};
use crate::convert::CannotSay;
use crate::convert::google::firewalls;
use crate::flow::Direction;
use crate::rules::{Policy, RuleSet};

pub(super) fn write(rules: &RuleSet, file: &mut File) -> Result<(), CannotSay> {
    for firewall in firewalls(rules)? {
        let direction = match firewall.rule.direction {
            Direction::Ingress => "INGRESS",
            Direction::Egress => "EGRESS",
        };
        let mut items = vec![
            Item::Is("name", quoted(&firewall.name)),
            Item::Is("network", quoted(firewall.network)),
            Item::Is("direction", quoted(direction)),
            Item::Is("priority", firewall.rule.priority.get().to_string()),
        ];
        for (key, list) in firewall.lists() {
            let name = match key {
                "sourceRanges" => "source_ranges",
                "destinationRanges" => "destination_ranges",
                "sourceTags" => "source_tags",
                "sourceServiceAccounts" => "source_service_accounts",
                "targetTags" => "target_tags",
                _ => "target_service_accounts",
            };
            items.push(Item::Is(name, strings(&list)));
        }
        let text = firewall.rule.description.as_ref();
        items.extend(text.map(|text| Item::Is("description", quoted(text))));
        let block = match firewall.rule.policy {
            Policy::Accept => "allow",
            Policy::Drop => "deny",
        };
        for (protocol, ports) in &firewall.entries {
            let mut of = vec![Item::Is("protocol", quoted(protocol))];
            if !ports.is_empty() {
                of.push(Item::Is("ports", strings(ports)));
            }
            items.push(Item::Block(block, of));
        }
        file.resource("google_compute_firewall", &firewall.name, &items);
    }
    Ok(())
}
