//! Types of resources that rules are made of, or that say where they stand.

use crate::rules::Cloud;

/// What a type of resource has to do with rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::parse) enum Role {
    /// It has rules, or is one.
    Rules,
    /// It has rules, and they are not read.
    Unread,
    /// Rules need it: it says who has them, or what they name.
    Beside,
}

use Role::{Beside, Rules, Unread};

/// Types, the more exact first. A name that ends in `*` stands for all that begin so.
const KINDS: [(&str, Cloud, Role); 46] = [
    ("alicloud_security_group", Cloud::Alibaba, Rules),
    ("alicloud_security_group_rule", Cloud::Alibaba, Rules),
    ("alicloud_network_acl", Cloud::Alibaba, Rules),
    ("alicloud_network_acl_entries", Cloud::Alibaba, Rules),
    ("alicloud_network_acl_attachment", Cloud::Alibaba, Beside),
    ("alicloud_network_acl*", Cloud::Alibaba, Unread),
    ("alicloud_ecs_prefix_list", Cloud::Alibaba, Beside),
    ("alicloud_vswitch", Cloud::Alibaba, Beside),
    ("alicloud_ecs_network_interface", Cloud::Alibaba, Beside),
    ("alicloud_network_interface", Cloud::Alibaba, Beside),
    ("alicloud_instance", Cloud::Alibaba, Beside),
    ("aws_security_group", Cloud::Aws, Rules),
    ("aws_default_security_group", Cloud::Aws, Rules),
    ("aws_security_group_rule", Cloud::Aws, Rules),
    ("aws_vpc_security_group_ingress_rule", Cloud::Aws, Rules),
    ("aws_vpc_security_group_egress_rule", Cloud::Aws, Rules),
    ("aws_network_acl", Cloud::Aws, Rules),
    ("aws_default_network_acl", Cloud::Aws, Rules),
    ("aws_network_acl_rule", Cloud::Aws, Rules),
    ("aws_network_acl_association", Cloud::Aws, Beside),
    ("aws_ec2_managed_prefix_list", Cloud::Aws, Beside),
    ("aws_ec2_managed_prefix_list_entry", Cloud::Aws, Beside),
    ("aws_subnet", Cloud::Aws, Beside),
    ("aws_network_interface", Cloud::Aws, Beside),
    ("aws_instance", Cloud::Aws, Beside),
    ("aws_network_interface_sg_attachment", Cloud::Aws, Beside),
    // They take away what is not listed in them: which rules that are, only an applied one knows.
    ("aws_vpc_security_group_rules_exclusive", Cloud::Aws, Unread),
    ("azurerm_network_security_group", Cloud::Azure, Rules),
    ("azurerm_network_security_rule", Cloud::Azure, Rules),
    ("azurerm_application_security_group", Cloud::Azure, Beside),
    ("azurerm_subnet_network_security_group_association", Cloud::Azure, Beside),
    ("azurerm_network_interface_security_group_association", Cloud::Azure, Beside),
    ("azurerm_network_interface_application_security_group_association", Cloud::Azure, Beside),
    ("azurerm_network_interface", Cloud::Azure, Beside),
    ("azurerm_subnet", Cloud::Azure, Beside),
    ("azurerm_virtual_network", Cloud::Azure, Beside),
    // They stand above all network security groups.
    ("azurerm_network_manager_admin_rule", Cloud::Azure, Unread),
    ("azurerm_network_manager_admin_rule_collection", Cloud::Azure, Unread),
    ("azurerm_network_manager_security_admin_configuration", Cloud::Azure, Unread),
    ("google_compute_firewall", Cloud::Google, Rules),
    ("google_compute_network", Cloud::Google, Beside),
    ("google_compute_instance", Cloud::Google, Beside),
    // They stand above a network's rules, or among them.
    ("google_compute_firewall_policy*", Cloud::Google, Unread),
    ("google_compute_network_firewall_policy*", Cloud::Google, Unread),
    ("google_compute_region_network_firewall_policy*", Cloud::Google, Unread),
    ("google_compute_organization_security_policy*", Cloud::Google, Unread),
];

/// The cloud of a type of resource, and what it has to do with rules, if anything.
pub(in crate::parse) fn kind(name: &str) -> Option<(Cloud, Role)> {
    let fits = |known: &str| match known.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == known,
    };
    let (_, cloud, role) = KINDS.into_iter().find(|(known, ..)| fits(known))?;
    Some((cloud, role))
}

/// The cloud whose rules a type of resource has.
pub(in crate::parse) fn cloud_of(name: &str) -> Option<Cloud> {
    kind(name).filter(|(_, role)| *role != Beside).map(|(cloud, _)| cloud)
}

/// The types that are read.
#[cfg(all(test, feature = "hcl"))]
pub(in crate::parse) fn read() -> impl Iterator<Item = &'static str> {
    KINDS.into_iter().filter(|(_, _, role)| *role != Unread).map(|(name, ..)| name)
}
