//! For the Linux kernel: nftables and iptables, to try a group on a host.
//!
//! The entries of an interface go in as they stand in evaluation order, so that first match there is first
//! match here; connection tracking stands before them.

use std::fmt::Write;

use ipnet::IpNet;

use super::CannotSay;
use crate::escape;
use crate::flow::{Direction, Protocol};
use crate::rules::{
    Addresses, Assumption, Entry, EntryKind, IcmpTypes, Layer, Ordered, Policy, PortRange,
    RuleProtocol, RuleSet,
};

/// The family that a rule of a packet filter is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The networks of this family, disjoint; `None` for any address, `Some([])` for none.
    fn nets(self, addresses: &Addresses) -> Option<Vec<IpNet>> {
        match addresses {
            Addresses::Any => None,
            Addresses::Nets(nets) => {
                let mut nets = IpNet::aggregate(nets);
                nets.retain(|net| net.addr().is_ipv4() == (self == Self::V4));
                Some(nets)
            }
        }
    }
}

/// What an entry asks of the transport.
struct Transport {
    /// Any, if none.
    proto: Option<Protocol>,
    ports: Vec<(u16, u16)>,
    source_ports: Vec<(u16, u16)>,
    icmp: Option<IcmpTypes>,
}

/// Several where the entry names no protocol and yet ports or a type; none where it never matches.
fn transports(entry: &Entry, family: Family) -> Vec<Transport> {
    let matcher = &entry.matcher;
    let (ports, source_ports) = (merged(&matcher.ports), merged(&matcher.source_ports));
    let with_ports = !ports.is_empty() || !source_ports.is_empty();
    let of_icmp = match family {
        Family::V4 => Protocol::ICMP,
        Family::V6 => Protocol::ICMPV6,
    };
    let candidates: Vec<Protocol> = match (with_ports, matcher.icmp) {
        (true, Some(_)) => return Vec::new(),
        (true, None) => vec![Protocol::TCP, Protocol::UDP, Protocol::SCTP],
        (false, Some(_)) => vec![of_icmp],
        (false, None) => {
            let proto = match matcher.protocol {
                RuleProtocol::All => None,
                // iptables takes number 0, which no packet has as its transport, for every protocol.
                RuleProtocol::Only(Protocol(0)) => return Vec::new(),
                RuleProtocol::Only(protocol) => Some(protocol),
            };
            return vec![Transport { proto, ports, source_ports, icmp: None }];
        }
    };
    let fits = candidates.into_iter().filter(|proto| matcher.protocol.matches(*proto));
    fits.map(|proto| Transport {
        proto: Some(proto),
        ports: ports.clone(),
        source_ports: source_ports.clone(),
        icmp: matcher.icmp,
    })
    .collect()
}

/// Ranges in order, without overlaps.
fn merged(ranges: &[PortRange]) -> Vec<(u16, u16)> {
    let mut sorted: Vec<(u16, u16)> = ranges.iter().map(|r| (r.first(), r.last())).collect();
    sorted.sort_unstable();
    let mut merged: Vec<(u16, u16)> = Vec::new();
    for (first, last) in sorted {
        match merged.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    merged
}

fn list<T>(values: &[T], text: impl Fn(&T) -> String) -> String {
    values.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// The entries as rules of an nftables chain, in order; `then` is what each does with a packet, by its
/// position.
pub fn nft_rules(ordered: &Ordered, then: impl Fn(usize, &Entry) -> String) -> String {
    let (peer, local) = match ordered.direction() {
        Direction::Ingress => ("saddr", "daddr"),
        Direction::Egress => ("daddr", "saddr"),
    };
    let mut text = String::new();
    for (n, entry) in ordered.entries().iter().enumerate() {
        for family in Family::BOTH {
            let (ip, nfproto) = match family {
                Family::V4 => ("ip", "ipv4"),
                Family::V6 => ("ip6", "ipv6"),
            };
            let mut start = format!("meta nfproto {nfproto}");
            let mut never = false;
            for (side, addresses) in [(peer, &entry.matcher.peer), (local, &entry.matcher.local)] {
                let Some(nets) = family.nets(addresses) else { continue };
                never |= nets.is_empty();
                // The whole of a family is no set to nftables.
                if !nets.iter().any(|net| net.prefix_len() == 0) {
                    let _ =
                        write!(start, " {ip} {side} {{ {} }}", list(&nets, ToString::to_string));
                }
            }
            if never {
                continue;
            }
            for Transport { proto, ports, source_ports, icmp } in transports(entry, family) {
                let mut rule = start.clone();
                if let Some(proto) = proto {
                    let _ = write!(rule, " meta l4proto {}", proto.0);
                }
                for (side, ranges) in [("dport", &ports), ("sport", &source_ports)] {
                    if !ranges.is_empty() {
                        let ranges = list(ranges, |(first, last)| format!("{first}-{last}"));
                        let _ = write!(rule, " th {side} {{ {ranges} }}");
                    }
                }
                if let Some(types) = icmp {
                    let name = if family == Family::V4 { "icmp" } else { "icmpv6" };
                    let (first, last) = types.kinds().into_inner();
                    let end = if first == last { String::new() } else { format!("-{last}") };
                    let _ = write!(rule, " {name} type {first}{end}");
                    if let Some(code) = types.code() {
                        let _ = write!(rule, " {name} code {code}");
                    }
                }
                let _ = writeln!(text, "{rule} {}", then(n, entry));
            }
        }
    }
    text
}

/// The entries as what rules of iptables ask, in order, each with the entry's position. It has no sets: there
/// is a rule for each combination.
pub fn iptables_rules(ordered: &Ordered, family: Family) -> Vec<(usize, String)> {
    let (peer, local) = match ordered.direction() {
        Direction::Ingress => ("-s", "-d"),
        Direction::Egress => ("-d", "-s"),
    };
    let mut found = Vec::new();
    for (n, entry) in ordered.entries().iter().enumerate() {
        let mut all = vec![String::new()];
        let mut each = |alternatives: Vec<String>| {
            all = all
                .iter()
                .flat_map(|rule| alternatives.iter().map(move |more| format!("{rule}{more}")))
                .collect();
        };
        for (side, addresses) in [(peer, &entry.matcher.peer), (local, &entry.matcher.local)] {
            if let Some(nets) = family.nets(addresses) {
                each(nets.iter().map(|net| format!(" {side} {net}")).collect());
            }
        }
        let mut of_transport = Vec::new();
        for Transport { proto, ports, source_ports, icmp } in transports(entry, family) {
            let mut start = proto.map_or_else(String::new, |proto| format!(" -p {}", proto.0));
            if let Some(proto) = proto.filter(|proto| proto.has_ports()) {
                let _ = write!(start, " -m {proto}");
            }
            // It has no ranges of types either.
            let kinds: Vec<String> = icmp.map_or_else(
                || vec![String::new()],
                |types| types.kinds().map(|kind| icmp_option(family, kind, types.code())).collect(),
            );
            let any = |ranges: Vec<(u16, u16)>| match ranges.is_empty() {
                true => vec![None],
                false => ranges.into_iter().map(Some).collect(),
            };
            let option = |name, range: Option<(u16, u16)>| {
                range.map_or_else(String::new, |(a, b)| format!(" --{name} {a}:{b}"))
            };
            for dport in any(ports) {
                for sport in any(source_ports.clone()) {
                    let (dport, sport) = (option("dport", dport), option("sport", sport));
                    of_transport
                        .extend(kinds.iter().map(|kind| format!("{start}{kind}{dport}{sport}")));
                }
            }
        }
        each(of_transport);
        found.extend(all.into_iter().map(|rule| (n, rule)));
    }
    found
}

/// What iptables is asked for one ICMP type.
fn icmp_option(family: Family, kind: u8, code: Option<u8>) -> String {
    let code = code.map_or_else(String::new, |code| format!("/{code}"));
    let (module, option) = match family {
        Family::V4 => ("icmp", "icmp-type"),
        Family::V6 => ("icmp6", "icmpv6-type"),
    };
    format!(" -m {module} --{option} {kind}{code}")
}

/// An nftables table that does on a host what the rule set does at an interface: input and output, with
/// connection tracking where the cloud has it, a counter and the rule's name at every rule.
///
/// # Errors
/// None so far: the kernel has words for all that entries ask.
pub fn nftables(rules: &RuleSet, interface: usize) -> Result<String, CannotSay> {
    let mut out = format!(
        "# by sgreplay {}, of interface {}; `nft -f FILE` loads it, `nft list table inet sgreplay` shows what \
         it counted\n\
         table inet sgreplay\ndelete table inet sgreplay\ntable inet sgreplay {{\n",
        env!("CARGO_PKG_VERSION"),
        escape::line(rules.interfaces().get(interface).map_or("", |eni| &eni.id)),
    );
    for (direction, hook, own) in
        [(Direction::Ingress, "input", "iif"), (Direction::Egress, "output", "oif")]
    {
        for (n, (layer, ordered)) in layers(rules, interface, direction).into_iter().enumerate() {
            let (name, stateful) = match layer {
                Layer::SecurityGroup => ("", rules.cloud().is_stateful()),
                Layer::NetworkAcl => ("_acl", false),
            };
            // What one base chain accepts goes on to the next.
            let priority = if n == 0 { String::new() } else { format!(" + {n}") };
            let _ = writeln!(out, "\tchain {direction}{name} {{");
            let _ = writeln!(
                out,
                "\t\ttype filter hook {hook} priority filter{priority}; policy accept;"
            );
            let _ = writeln!(out, "\t\t{own} lo accept");
            if stateful {
                let _ = writeln!(
                    out,
                    "\t\tct state established,related counter accept comment \"session\""
                );
            }
            let then = |_: usize, entry: &Entry| {
                let (group, rule) = rules.names(interface, entry);
                let policy = entry.policy.as_str();
                format!("counter {policy} comment \"{}\"", comment(&group, &rule, 128))
            };
            for line in nft_rules(&ordered, then).lines() {
                let _ = writeln!(out, "\t\t{line}");
            }
            out.push_str("\t}\n");
        }
    }
    out.push_str("}\n");
    Ok(out)
}

/// What a packet of a direction meets, one after the other: security groups as one list, and a network ACL, which
/// remembers no connections, as another.
fn layers(rules: &RuleSet, interface: usize, direction: Direction) -> Vec<(Layer, Ordered)> {
    let layers = rules.ordered_by_layer(interface, direction, &Assumption::default());
    match layers.iter().any(|(layer, _)| *layer == Layer::NetworkAcl) {
        true => layers,
        false => vec![(Layer::SecurityGroup, rules.ordered(interface, direction))],
    }
}

/// The same for `iptables-restore` or, of IPv6, `ip6tables-restore`.
///
/// # Errors
/// None so far: the kernel has words for all that entries ask.
pub fn iptables(rules: &RuleSet, interface: usize, family: Family) -> Result<String, CannotSay> {
    let tool = match family {
        Family::V4 => "iptables-restore",
        Family::V6 => "ip6tables-restore",
    };
    let mut out = format!(
        "# by sgreplay {}, of interface {}, for {tool}\n*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n\
         :OUTPUT ACCEPT [0:0]\n",
        env!("CARGO_PKG_VERSION"),
        escape::line(rules.interfaces().get(interface).map_or("", |eni| &eni.id)),
    );
    for (direction, hook, own) in
        [(Direction::Ingress, "INPUT", "-i"), (Direction::Egress, "OUTPUT", "-o")]
    {
        let _ = writeln!(out, "-A {hook} {own} lo -j ACCEPT");
        let layers = layers(rules, interface, direction);
        for (at, (layer, ordered)) in layers.iter().enumerate() {
            let chain = |at: usize| match at {
                0 => hook.to_owned(),
                _ => format!("{hook}-{}", at + 1),
            };
            // What one layer accepts goes on to the next.
            let accepted = match at + 1 < layers.len() {
                true => chain(at + 1),
                false => "ACCEPT".to_owned(),
            };
            if at > 0 {
                let _ = writeln!(out, "-N {}", chain(at));
            }
            let chain = chain(at);
            if *layer == Layer::SecurityGroup && rules.cloud().is_stateful() {
                let _ = writeln!(
                    out,
                    "-A {chain} -m conntrack --ctstate ESTABLISHED,RELATED -j {accepted}"
                );
            }
            for (n, matches) in iptables_rules(ordered, family) {
                let Some(entry) = ordered.entries().get(n) else { continue };
                let (group, rule) = rules.names(interface, entry);
                let verdict = match entry.policy {
                    Policy::Accept => &accepted,
                    Policy::Drop => "DROP",
                };
                let comment = comment(&group, &rule, 255);
                let _ = writeln!(
                    out,
                    "-A {chain}{matches} -m comment --comment \"{comment}\" -j {verdict}"
                );
            }
        }
    }
    out.push_str("COMMIT\n");
    Ok(out)
}

/// A name in a comment: what both tools take, and no more of it.
fn comment(group: &str, rule: &str, most: usize) -> String {
    let text = escape::unquoted(&format!("{group} {rule}"));
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

/// Whether an entry is a rule that somebody wrote.
pub(super) fn is_rule(entry: &Entry) -> bool {
    matches!(entry.kind, EntryKind::Rule { .. })
}
