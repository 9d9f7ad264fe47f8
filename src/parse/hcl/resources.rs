//! Resources that rules are made of, as configurations have them: attributes that matter, and blocks with theirs.

/// A type of resource.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) attributes: &'static [&'static str],
    pub(super) blocks: &'static [(&'static str, &'static [&'static str])],
}

/// The type of that name, if it is read.
pub(super) fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

const fn plain(name: &'static str, attributes: &'static [&'static str]) -> Kind {
    Kind { name, attributes, blocks: &[] }
}

const OF_ALICLOUD: &[&str] = &[
    "security_group_ids",
    "security_groups",
    "private_ip",
    "primary_ip_address",
    "private_ip_addresses",
    "private_ips",
    "ipv6_addresses",
    "ipv4_prefixes",
    "ipv6_prefixes",
    "vswitch_id",
];

const OF_AWS: &[&str] = &[
    "security_groups",
    "vpc_security_group_ids",
    "private_ip",
    "private_ips",
    "secondary_private_ips",
    "ipv6_addresses",
    "subnet_id",
    "primary_network_interface_id",
];

const PERMISSION: &[&str] = &[
    "from_port",
    "to_port",
    "protocol",
    "cidr_blocks",
    "ipv6_cidr_blocks",
    "prefix_list_ids",
    "security_groups",
    "self",
    "description",
];

const OF_VPC_RULE: &[&str] = &[
    "security_group_id",
    "ip_protocol",
    "from_port",
    "to_port",
    "cidr_ipv4",
    "cidr_ipv6",
    "prefix_list_id",
    "referenced_security_group_id",
    "description",
];

const ACL_ENTRY: &[&str] = &[
    "rule_no",
    "action",
    "protocol",
    "cidr_block",
    "ipv6_cidr_block",
    "from_port",
    "to_port",
    "icmp_type",
    "icmp_code",
];

const AZURE_RULE: &[&str] = &[
    "name",
    "priority",
    "direction",
    "access",
    "protocol",
    "description",
    "source_address_prefix",
    "source_address_prefixes",
    "source_application_security_group_ids",
    "source_port_range",
    "source_port_ranges",
    "destination_address_prefix",
    "destination_address_prefixes",
    "destination_application_security_group_ids",
    "destination_port_range",
    "destination_port_ranges",
    "network_security_group_name",
    "resource_group_name",
];

const IN_AND_OUT: &[(&str, &[&str])] = &[("ingress", PERMISSION), ("egress", PERMISSION)];
const ACL_ENTRIES: &[(&str, &[&str])] = &[("ingress", ACL_ENTRY), ("egress", ACL_ENTRY)];
const INGRESS_ENTRY: &[&str] =
    &["protocol", "port", "policy", "source_cidr_ip", "entry_type", "description"];
const EGRESS_ENTRY: &[&str] =
    &["protocol", "port", "policy", "destination_cidr_ip", "entry_type", "description"];
const ALICLOUD_ENTRIES: &[(&str, &[&str])] = &[
    ("ingress_acl_entries", INGRESS_ENTRY),
    ("egress_acl_entries", EGRESS_ENTRY),
    ("resources", &["resource_id", "resource_type"]),
];

const KINDS: [Kind; 37] = [
    plain(
        "alicloud_security_group",
        &["security_group_type", "inner_access_policy", "inner_access", "vpc_id"],
    ),
    plain(
        "alicloud_security_group_rule",
        &[
            "security_group_id",
            "type",
            "ip_protocol",
            "policy",
            "priority",
            "port_range",
            "cidr_ip",
            "ipv6_cidr_ip",
            "source_security_group_id",
            "source_group_owner_id",
            "source_group_owner_account",
            "prefix_list_id",
            "description",
        ],
    ),
    Kind { name: "alicloud_network_acl", attributes: &["vpc_id"], blocks: ALICLOUD_ENTRIES },
    Kind {
        name: "alicloud_ecs_prefix_list",
        attributes: &["address_family"],
        blocks: &[("entry", &["cidr"])],
    },
    Kind {
        name: "alicloud_network_acl_entries",
        attributes: &["network_acl_id"],
        blocks: &[("ingress", INGRESS_ENTRY), ("egress", EGRESS_ENTRY)],
    },
    Kind {
        name: "alicloud_network_acl_attachment",
        attributes: &["network_acl_id"],
        blocks: &[("resources", &["resource_id", "resource_type"])],
    },
    plain("alicloud_vswitch", &["cidr_block"]),
    plain("alicloud_ecs_network_interface", OF_ALICLOUD),
    plain("alicloud_network_interface", OF_ALICLOUD),
    plain("alicloud_instance", OF_ALICLOUD),
    Kind { name: "aws_security_group", attributes: &["name", "vpc_id"], blocks: IN_AND_OUT },
    Kind { name: "aws_default_security_group", attributes: &["vpc_id"], blocks: IN_AND_OUT },
    plain(
        "aws_security_group_rule",
        &[
            "type",
            "security_group_id",
            "from_port",
            "to_port",
            "protocol",
            "cidr_blocks",
            "ipv6_cidr_blocks",
            "prefix_list_ids",
            "source_security_group_id",
            "self",
            "description",
        ],
    ),
    plain("aws_vpc_security_group_ingress_rule", OF_VPC_RULE),
    plain("aws_vpc_security_group_egress_rule", OF_VPC_RULE),
    Kind { name: "aws_network_acl", attributes: &["vpc_id", "subnet_ids"], blocks: ACL_ENTRIES },
    Kind { name: "aws_default_network_acl", attributes: &["subnet_ids"], blocks: ACL_ENTRIES },
    plain(
        "aws_network_acl_rule",
        &[
            "network_acl_id",
            "rule_number",
            "egress",
            "rule_action",
            "protocol",
            "cidr_block",
            "ipv6_cidr_block",
            "from_port",
            "to_port",
            "icmp_type",
            "icmp_code",
        ],
    ),
    plain("aws_network_acl_association", &["network_acl_id", "subnet_id"]),
    plain("aws_subnet", &["cidr_block", "ipv6_cidr_block"]),
    Kind {
        name: "aws_ec2_managed_prefix_list",
        attributes: &["address_family"],
        blocks: &[("entry", &["cidr"])],
    },
    plain("aws_ec2_managed_prefix_list_entry", &["prefix_list_id", "cidr"]),
    plain("aws_network_interface", OF_AWS),
    plain("aws_instance", OF_AWS),
    plain("aws_network_interface_sg_attachment", &["security_group_id", "network_interface_id"]),
    Kind {
        name: "azurerm_network_security_group",
        attributes: &["name", "resource_group_name"],
        blocks: &[("security_rule", AZURE_RULE)],
    },
    plain("azurerm_network_security_rule", AZURE_RULE),
    plain("azurerm_application_security_group", &["name", "resource_group_name"]),
    plain(
        "azurerm_subnet_network_security_group_association",
        &["network_security_group_id", "subnet_id"],
    ),
    plain(
        "azurerm_network_interface_security_group_association",
        &["network_security_group_id", "network_interface_id"],
    ),
    plain(
        "azurerm_network_interface_application_security_group_association",
        &["application_security_group_id", "network_interface_id"],
    ),
    Kind {
        name: "azurerm_network_interface",
        attributes: &["name", "resource_group_name"],
        blocks: &[("ip_configuration", &["subnet_id", "private_ip_address"])],
    },
    plain("azurerm_subnet", &["name", "address_prefixes"]),
    Kind {
        name: "azurerm_virtual_network",
        attributes: &[],
        blocks: &[("subnet", &["security_group"])],
    },
    Kind {
        name: "google_compute_firewall",
        attributes: &[
            "name",
            "project",
            "network",
            "direction",
            "priority",
            "source_ranges",
            "destination_ranges",
            "source_tags",
            "source_service_accounts",
            "target_tags",
            "target_service_accounts",
            "disabled",
            "description",
        ],
        blocks: &[("allow", &["protocol", "ports"]), ("deny", &["protocol", "ports"])],
    },
    plain("google_compute_network", &["name", "project"]),
    Kind {
        name: "google_compute_instance",
        attributes: &["name", "project", "zone", "tags"],
        blocks: &[
            ("network_interface", &["network", "network_ip", "ipv6_address"]),
            ("service_account", &["email"]),
        ],
    },
];

#[cfg(test)]
mod tests {
    #[test]
    fn every_type_that_is_read_has_its_attributes_here() {
        let missing =
            crate::parse::terraform::kinds::read().find(|name| super::kind(name).is_none());
        assert_eq!(missing, None);
    }
}
