//! For the `azurerm` provider.

use super::{File, Item, quoted, strings};
use crate::convert::CannotSay;
use crate::convert::azure::{OfRule, without_defaults};
use crate::flow::Direction;
use crate::parse::default_rules_of_azure;
use crate::rules::{Policy, Rule, RuleSet};

pub(super) fn write(rules: &RuleSet, file: &mut File) -> Result<(), CannotSay> {
    file.text.push_str(
        "variable \"resource_group_name\" {\n  type = string\n}\n\nvariable \"location\" {\n  type = string\n}\n\n",
    );
    let tags = rules.groups().iter().flat_map(|group| &group.rules).flat_map(|rule| &rule.targets);
    let carried = rules.interfaces().iter().flat_map(|eni| &eni.tags);
    let mut asgs: Vec<&String> = tags.chain(carried).collect();
    asgs.sort();
    asgs.dedup();
    let place = || {
        [
            Item::Is("resource_group_name", "var.resource_group_name".to_owned()),
            Item::Is("location", "var.location".to_owned()),
        ]
    };
    let mut labels = Vec::new();
    for asg in asgs {
        let items: Vec<Item> = [Item::Is("name", quoted(asg))].into_iter().chain(place()).collect();
        let label = file.resource("azurerm_application_security_group", asg, &items);
        labels.push((asg.clone(), label));
    }
    for group in rules.groups() {
        let plain = |rule: &Rule| {
            let Rule { direction, policy, priority, protocol, peers, local, .. } = rule;
            format!("{direction} {policy:?} {priority:?} {protocol:?} {peers:?} {local:?}")
        };
        let sorted = |rules: &mut dyn Iterator<Item = String>| {
            let mut all: Vec<String> = rules.collect();
            all.sort();
            all
        };
        let fixed = sorted(&mut group.rules.iter().filter(|rule| rule.fixed).map(plain));
        if fixed != sorted(&mut default_rules_of_azure().iter().map(plain)) {
            return Err(without_defaults(group));
        }
        let items: Vec<Item> =
            [Item::Is("name", quoted(&group.id))].into_iter().chain(place()).collect();
        let label = file.resource("azurerm_network_security_group", &group.id, &items);
        // The default rules are in no configuration.
        for rule in group.rules.iter().filter(|rule| !rule.fixed) {
            let of = OfRule::new(rules, rule).map_err(|error| error.in_group(group))?;
            security_rule(file, (&group.id, &label), rule, of, &labels);
        }
    }
    Ok(())
}

fn security_rule(
    file: &mut File,
    (group, label): (&str, &str),
    rule: &Rule,
    of: OfRule,
    asgs: &[(String, String)],
) {
    let direction = match rule.direction {
        Direction::Ingress => "Inbound",
        Direction::Egress => "Outbound",
    };
    let access = match rule.policy {
        Policy::Accept => "Allow",
        Policy::Drop => "Deny",
    };
    let mut items = vec![
        Item::Is("resource_group_name", "var.resource_group_name".to_owned()),
        Item::Is(
            "network_security_group_name",
            format!("azurerm_network_security_group.{label}.name"),
        ),
        Item::Is("name", quoted(&rule.id.to_string())),
        Item::Is("priority", rule.priority.get().to_string()),
        Item::Is("direction", quoted(direction)),
        Item::Is("access", quoted(access)),
        Item::Is("protocol", quoted(of.protocol)),
    ];
    let any = vec!["*".to_owned()];
    let sides = [
        (
            of.source,
            of.source_ports,
            [
                "source_address_prefix",
                "source_address_prefixes",
                "source_port_range",
                "source_port_ranges",
                "source_application_security_group_ids",
            ],
        ),
        (
            of.destination,
            of.ports,
            [
                "destination_address_prefix",
                "destination_address_prefixes",
                "destination_port_range",
                "destination_port_ranges",
                "destination_application_security_group_ids",
            ],
        ),
    ];
    for (side, ports, [prefix, prefixes, port, many, groups]) in sides {
        let ports = if ports.is_empty() { &any } else { &ports };
        for (one, several, values) in [(prefix, prefixes, &side.prefixes), (port, many, ports)] {
            match values.as_slice() {
                [] => {}
                [only] => items.push(Item::Is(one, quoted(only))),
                all => items.push(Item::Is(several, strings(all))),
            }
        }
        let ids = side.groups.iter().filter_map(|name| {
            let label = asgs.iter().find(|(known, _)| known == name);
            label.map(|(_, label)| format!("azurerm_application_security_group.{label}.id"))
        });
        let ids: Vec<String> = ids.collect();
        if !ids.is_empty() {
            items.push(Item::Is(groups, format!("[{}]", ids.join(", "))));
        }
    }
    items.extend(rule.description.as_ref().map(|text| Item::Is("description", quoted(text))));
    file.resource("azurerm_network_security_rule", &format!("{group}_{}", rule.id), &items);
}
