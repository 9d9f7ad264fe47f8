//! [`RuleSet`] → our own rules file.

use std::fmt::{Display, Write};

use ipnet::IpNet;

use crate::escape;
use crate::flow::Direction;
use crate::rules::{
    Cloud, GroupType, Interface, Layer, Membership, NicType, Peer, Policy, Ports, Priority, Rule,
    RuleId, RuleProtocol, RuleSet, SecurityGroup, Timeouts, cidr_text,
};
use crate::yaml;

/// Writes a rule set as a rules file, which [`yaml`](super::yaml()) reads to the same rule set. What is as
/// it would be by default is left out.
pub fn print(rules: &RuleSet) -> String {
    let cloud = rules.cloud();
    let mut out = match cloud {
        Cloud::Alibaba => String::new(),
        _ => format!("cloud: {cloud}\n"),
    };
    // One interface with every group needs no word.
    let together = rules.interfaces().iter().any(|eni| eni.groups.len() > 1);
    match rules.membership() {
        Membership::Unknown if !together => out.push_str("membership: unknown\n"),
        Membership::Partial => out.push_str("membership: partial\n"),
        Membership::Unknown | Membership::Stated => {}
    }
    for (layer, key) in
        [(Layer::SecurityGroup, "security_groups"), (Layer::NetworkAcl, "network_acls")]
    {
        if rules.has_layer(layer) {
            let _ = writeln!(out, "{key}:");
        }
        for (position, group) in rules.groups_of(layer) {
            print_group(&mut out, rules, (position, group));
        }
    }
    if rules.lists_interfaces() {
        out.push_str("interfaces:\n");
        for eni in rules.listed_interfaces() {
            print_interface(&mut out, rules, eni);
        }
    }
    let mut lists = |key: &str, lists: Vec<(String, String)>| {
        if !lists.is_empty() {
            let _ = writeln!(out, "{key}:");
        }
        for (id, entries) in lists {
            let _ = writeln!(out, "  - {{id: {}, entries: {entries}}}", quoted(&id));
        }
    };
    let prefixes = rules.prefix_lists().iter().map(|list| (list.id.clone(), nets(&list.entries)));
    lists("prefix_lists", prefixes.collect());
    let ports = rules.port_lists().iter().map(|list| (list.id.clone(), flow(&list.entries)));
    lists("port_lists", ports.collect());
    if !rules.tags().is_empty() {
        out.push_str("tags:\n");
    }
    for tag in rules.tags() {
        let (name, entries) = (quoted(&tag.name), nets(&tag.entries));
        let _ = writeln!(out, "  - {{name: {name}, entries: {entries}}}");
    }
    let targeted =
        rules.groups().iter().flat_map(|group| &group.rules).any(|rule| !rule.targets.is_empty());
    // Groups whose membership is unknown have an interface each, all with the same tags.
    if let (false, true, [any, ..]) = (rules.lists_interfaces(), targeted, rules.interfaces()) {
        let _ = writeln!(out, "instance_tags: {}", flow(&any.tags));
    }
    if !rules.slb_sources().is_empty() {
        let _ = writeln!(out, "slb_sources: {}", nets(rules.slb_sources()));
    }
    if let Some(ports) = rules.carrier_ports() {
        let _ = writeln!(out, "carrier_ports: {}", flow(ports));
    }
    if !rules.suppressions().is_empty() {
        out.push_str("suppressions:\n");
    }
    for one in rules.suppressions() {
        let rule =
            one.rule.as_ref().map_or_else(String::new, |rule| format!(", rule: {}", quoted(rule)));
        let until = one.until.map_or_else(String::new, |until| format!(", until: {until}"));
        let (code, reason) = (one.code, quoted(&one.reason));
        let _ = writeln!(out, "  - {{code: {code}{rule}, reason: {reason}{until}}}");
    }
    out
}

fn print_group(out: &mut String, set: &RuleSet, (position, group): (usize, &SecurityGroup)) {
    let SecurityGroup { id, layer, group_type, inner_access_policy, vpc_id, networks, rules } =
        group;
    let _ = writeln!(out, "  - id: {}", quoted(id));
    match (group_type, inner_access_policy) {
        _ if set.cloud() != Cloud::Alibaba || *layer == Layer::NetworkAcl => {}
        (GroupType::Enterprise, _) => out.push_str("    type: enterprise\n"),
        (GroupType::Basic, Policy::Drop) => out.push_str("    inner_access_policy: drop\n"),
        (GroupType::Basic, Policy::Accept) => {}
    }
    if let Some(vpc) = vpc_id {
        let _ = writeln!(out, "    vpc_id: {}", quoted(vpc));
    }
    if !networks.is_empty() {
        let _ = writeln!(out, "    networks: {}", nets(networks));
    }
    if set.lists_interfaces() && *layer == Layer::NetworkAcl {
        let behind = set.listed_interfaces().iter().filter(|eni| eni.groups.contains(&position));
        let ids: Vec<&String> = behind.map(|eni| &eni.id).collect();
        let _ = writeln!(out, "    interfaces: {}", flow(&ids));
    }
    if !rules.is_empty() {
        out.push_str("    rules:\n");
    }
    for rule in rules {
        print_rule(out, set.cloud(), *layer, rule);
    }
}

fn print_rule(out: &mut String, cloud: Cloud, layer: Layer, rule: &Rule) {
    let keys = rule_keys(cloud, layer, rule);
    let one_line = format!("{{{}}}", keys.join(", "));
    if one_line.len() <= 100 {
        let _ = writeln!(out, "      - {one_line}");
    } else {
        let _ = writeln!(out, "      - {}", keys.join("\n        "));
    }
}

/// A rule of a security group in one line, as it may stand in a list of rules.
pub fn print_rule_line(cloud: Cloud, rule: &Rule) -> String {
    format!("{{{}}}", rule_keys(cloud, Layer::SecurityGroup, rule).join(", "))
}

/// The keys of a rule with their values.
fn rule_keys(cloud: Cloud, layer: Layer, rule: &Rule) -> Vec<String> {
    let Rule {
        id,
        direction,
        policy,
        priority,
        protocol,
        ports,
        source_ports,
        peers,
        local,
        icmp,
        targets,
        nic_type,
        create_time,
        fixed,
        description,
    } = rule;
    let (far, near) = match direction {
        Direction::Ingress => ("source", "destination"),
        Direction::Egress => ("destination", "source"),
    };
    let mut keys: Vec<String> = Vec::new();
    let is_acl = layer == Layer::NetworkAcl;
    if is_acl {
        keys.push(format!("number: {}", priority.get()));
    }
    if let RuleId::Named(id) = id
        && !(is_acl && *id == super::group::of_number(*direction, *priority))
    {
        keys.push(format!("id: {}", quoted(id)));
    }
    keys.push(format!("direction: {direction}"));
    if *policy == Policy::Drop {
        keys.push("policy: drop".to_owned());
    }
    if *priority != Priority::HIGHEST && !is_acl {
        keys.push(format!("priority: {}", priority.get()));
    }
    if *fixed && priority.get() <= layer.lowest_custom(cloud) {
        keys.push("fixed: true".to_owned());
    }
    keys.push(format!("protocol: {protocol}"));
    if !ports.is_empty() {
        let ports: Vec<String> = ports.iter().map(|ports| port(ports, *protocol)).collect();
        keys.push(format!("ports: {}", written(&ports)));
    }
    if let Some((kind, code)) = icmp {
        let code = code.map_or_else(String::new, |code| format!("/{code}"));
        keys.push(format!("icmp: {kind}{code}"));
    }
    let peers: Vec<String> = peers.iter().map(peer).collect();
    keys.push(format!("{far}: {}", written(&peers)));
    if !source_ports.is_empty() {
        keys.push(format!("source_ports: {}", flow(source_ports)));
    }
    if !local.is_empty() {
        let local: Vec<String> = local.iter().map(peer).collect();
        keys.push(format!("{near}: {}", written(&local)));
    }
    if !targets.is_empty() {
        keys.push(format!("targets: {}", flow(targets)));
    }
    if let Some(nic) = nic_type {
        keys.push(format!("nic_type: {}", nic_word(*nic)));
    }
    if let Some(time) = create_time {
        keys.push(format!("create_time: {}", quoted(&time.to_string())));
    }
    if let Some(text) = description {
        keys.push(format!("description: {}", quoted(text)));
    }
    keys
}

fn print_interface(out: &mut String, rules: &RuleSet, eni: &Interface) {
    let Interface { id, addresses, groups, subnet, timeouts, nic_type, tags } = eni;
    let groups = || groups.iter().filter_map(|group| rules.groups().get(*group));
    let mine = groups().filter(|group| group.layer == Layer::SecurityGroup);
    let ids: Vec<&String> = mine.map(|group| &group.id).collect();
    let _ = writeln!(out, "  - id: {}", quoted(id));
    let _ = writeln!(out, "    addresses: {}", nets(addresses));
    if !ids.is_empty() {
        let _ = writeln!(out, "    security_groups: {}", flow(&ids));
    }
    // Those that the network ACL stands at need no word.
    let said = |net: &&IpNet| groups().any(|group| group.networks.contains(net));
    let subnet: Vec<IpNet> = subnet.iter().filter(|net| !said(net)).copied().collect();
    if !subnet.is_empty() {
        let _ = writeln!(out, "    subnet: {}", nets(&subnet));
    }
    if !tags.is_empty() {
        let _ = writeln!(out, "    tags: {}", flow(tags));
    }
    if *timeouts != rules.cloud().timeouts() {
        let Timeouts { tcp_opening, tcp_established, tcp_closed, udp, udp_stream, icmp, other } =
            timeouts;
        let udp_stream =
            udp_stream.map_or_else(String::new, |of| format!(", udp_stream: {}", of.as_secs()));
        let _ = writeln!(
            out,
            "    timeouts: {{tcp_opening: {}, tcp_established: {}, tcp_closed: {}, udp: {}{udp_stream}, icmp: {}, \
             other: {}}}",
            tcp_opening.as_secs(),
            tcp_established.as_secs(),
            tcp_closed.as_secs(),
            udp.as_secs(),
            icmp.as_secs(),
            other.as_secs(),
        );
    }
    if *nic_type == NicType::Internet {
        let _ = writeln!(out, "    nic_type: {}", nic_word(*nic_type));
    }
}

fn nic_word(nic: NicType) -> &'static str {
    match nic {
        NicType::Intranet => "intranet",
        NicType::Internet => "internet",
    }
}

/// A side of a rule: a word, or a mapping where the word would be read as something else.
fn peer(peer: &Peer) -> String {
    let word = match peer {
        Peer::Cidr(of) => cidr_text(of),
        Peer::Group(_) | Peer::PrefixList(_) | Peer::Tag(_) => peer.to_string(),
    };
    if !word.contains(',') && word.parse().as_ref() == Ok(peer) {
        return quoted(&word);
    }
    let key = match peer {
        Peer::Group(of) => {
            let account = of.account.as_ref().map(|of| format!(", account: {}", quoted(of)));
            format!("group: {}{}", quoted(&of.id), account.unwrap_or_default())
        }
        Peer::PrefixList(id) => format!("prefix_list: {}", quoted(id)),
        Peer::Tag(name) => format!("tag: {}", quoted(name)),
        Peer::Cidr(_) => return quoted(&word),
    };
    format!("{{{key}}}")
}

/// An element of a rule's ports, likewise.
fn port(ports: &Ports, protocol: RuleProtocol) -> String {
    let word = ports.to_string();
    match ports {
        Ports::List(id)
            if word.contains(',') || Ports::parse(&word, protocol) != Ok(vec![ports.clone()]) =>
        {
            format!("{{list: {}}}", quoted(id))
        }
        _ => quoted(&word),
    }
}

fn nets(nets: &[IpNet]) -> String {
    flow(&nets.iter().map(cidr_text).collect::<Vec<_>>())
}

/// One value, or a list of them.
fn flow(items: &[impl Display]) -> String {
    written(&items.iter().map(|item| quoted(&item.to_string())).collect::<Vec<_>>())
}

/// The same of what is written already.
fn written(items: &[String]) -> String {
    match items {
        [one] => one.clone(),
        items => format!("[{}]", items.join(", ")),
    }
}

/// A scalar, in quotes where YAML would read it as something else.
pub fn quoted(text: &str) -> String {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | '.' | '#' | ' ');
    let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    let ends = text.ends_with(|c: char| c.is_ascii_alphanumeric());
    let clear = starts && ends && text.chars().all(plain) && !text.contains(" #");
    // Whatever YAML takes for a word is one.
    let is_word = yaml::is_word(text);
    let is_number = text.parse::<u16>().is_ok_and(|number| number.to_string() == text);
    if clear && (is_word || is_number) {
        return text.to_owned();
    }
    escape::quoted(text)
}
