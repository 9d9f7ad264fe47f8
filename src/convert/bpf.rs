//! For tcpdump: a filter that finds in a capture what a rule set denies, packet by packet, without sessions.

use ipnet::IpNet;

use super::CannotSay;
use crate::flow::{Direction, Protocol};
use crate::rules::{Addresses, Entry, Matcher, Policy, PortRange, RuleProtocol, RuleSet};

/// A pcap-filter of the packets that an interface would deny, each judged alone: as `replay --sessions off`.
/// libpcap sees no ports in fragments after the first, nor behind VLAN tags and IPv6 extension headers.
///
/// # Errors
/// When the interface's addresses are not known: which packets are its own cannot be said then.
pub fn bpf(rules: &RuleSet, interface: usize) -> Result<String, CannotSay> {
    let eni = rules.interfaces().get(interface);
    let nets = eni.map(|eni| eni.addresses.as_slice()).unwrap_or_default();
    if nets.is_empty() {
        return Err(CannotSay {
            what: eni.map_or_else(String::new, |eni| eni.id.clone()),
            why: "its addresses are not known, so a filter cannot say which packets are its own; --local \
                  names them"
                .to_owned(),
        });
    }
    let sides = [(Direction::Ingress, "dst"), (Direction::Egress, "src")];
    let sides = sides.map(|(direction, side)| {
        let entries = rules.ordered(interface, direction);
        let denied = denied(entries.entries(), direction)?;
        // An address alone would find ARP about it too.
        Some(format!("((ip or ip6) and ({}) and ({denied}))", addresses(side, nets)))
    });
    let sides: Vec<String> = sides.into_iter().flatten().collect();
    Ok(match sides.as_slice() {
        // A length that no packet has.
        [] => "less 0".to_owned(),
        sides => sides.join(" or "),
    })
}

/// What the first matching entry drops; `None` for nothing.
fn denied(entries: &[Entry], direction: Direction) -> Option<String> {
    let mut found: Option<String> = None;
    let mut everything = false;
    for entry in entries.iter().rev() {
        let matches = expression(&entry.matcher, direction);
        match (entry.policy, matches) {
            (_, Matches::Nothing) => {}
            (policy, Matches::Everything) => {
                everything = policy == Policy::Drop;
                found = None;
            }
            // What drops all that comes here drops this too.
            (Policy::Drop, Matches::Some(this)) => {
                let all = |rest: Option<String>| match rest {
                    Some(rest) => format!("({this}) or ({rest})"),
                    None => this.clone(),
                };
                found = if everything { found } else { Some(all(found)) };
            }
            (Policy::Accept, Matches::Some(this)) if everything => {
                everything = false;
                found = Some(format!("not ({this})"));
            }
            (Policy::Accept, Matches::Some(this)) => {
                found = found.map(|rest| format!("not ({this}) and ({rest})"));
            }
        }
    }
    if everything { Some("ip or ip6".to_owned()) } else { found }
}

enum Matches {
    Nothing,
    Everything,
    Some(String),
}

/// What an entry matches.
fn expression(matcher: &Matcher, direction: Direction) -> Matches {
    let (far, near) = match direction {
        Direction::Ingress => ("src", "dst"),
        Direction::Egress => ("dst", "src"),
    };
    let mut families = Vec::new();
    for v6 in [false, true] {
        let mut conditions = vec![if v6 { "ip6" } else { "ip" }.to_owned()];
        let mut never = false;
        for (side, of) in [(far, &matcher.peer), (near, &matcher.local)] {
            if let Addresses::Nets(nets) = of {
                let mut nets = IpNet::aggregate(nets);
                nets.retain(|net| net.addr().is_ipv6() == v6);
                never |= nets.is_empty();
                if !nets.iter().any(|net| net.prefix_len() == 0) {
                    conditions.push(format!("({})", addresses(side, &nets)));
                }
            }
        }
        if never {
            continue;
        }
        match service(matcher, v6) {
            Matches::Nothing => continue,
            Matches::Everything => {}
            Matches::Some(service) => conditions.push(format!("({service})")),
        }
        families.push(conditions.join(" and "));
    }
    match families.as_slice() {
        [] => Matches::Nothing,
        [v4, v6] if v4 == "ip" && v6 == "ip6" => Matches::Everything,
        [one] => Matches::Some(one.clone()),
        several => {
            let several: Vec<String> = several.iter().map(|one| format!("({one})")).collect();
            Matches::Some(several.join(" or "))
        }
    }
}

fn addresses(side: &str, nets: &[IpNet]) -> String {
    let net = |net: &IpNet| match net.prefix_len() == net.max_prefix_len() {
        true => format!("{side} host {}", net.addr()),
        false => format!("{side} net {net}"),
    };
    nets.iter().map(net).collect::<Vec<_>>().join(" or ")
}

fn service(matcher: &Matcher, v6: bool) -> Matches {
    let Matcher { protocol, ports, source_ports, icmp, .. } = matcher;
    let of_icmp = if v6 { Protocol::ICMPV6 } else { Protocol::ICMP };
    if let Some(types) = icmp {
        if !protocol.matches(of_icmp) || !ports.is_empty() || !source_ports.is_empty() {
            return Matches::Nothing;
        }
        let name = if v6 { "icmp6" } else { "icmp" };
        let code =
            types.code().map_or_else(String::new, |code| format!(" and {name}[1] == {code}"));
        let (first, last) = types.kinds().into_inner();
        return Matches::Some(match first == last {
            true => format!("{name}[0] == {first}{code}"),
            false => format!("{name}[0] >= {first} and {name}[0] <= {last}{code}"),
        });
    }
    let number = |proto: Protocol| format!("{} proto {}", if v6 { "ip6" } else { "ip" }, proto.0);
    let has_ports = !ports.is_empty() || !source_ports.is_empty();
    if !has_ports {
        return match protocol {
            RuleProtocol::All => Matches::Everything,
            RuleProtocol::Only(proto) => Matches::Some(number(*proto)),
        };
    }
    let ranges = |name: &str, side: &str, ranges: &[PortRange]| {
        let range = |range: &PortRange| match range.first() == range.last() {
            true => format!("{name} {side} port {}", range.first()),
            false => format!("{name} {side} portrange {}-{}", range.first(), range.last()),
        };
        let all: Vec<String> = ranges.iter().map(range).collect();
        (!all.is_empty()).then(|| format!("({})", all.join(" or ")))
    };
    let protocols = [(Protocol::TCP, "tcp"), (Protocol::UDP, "udp"), (Protocol::SCTP, "sctp")];
    let of_protocol = protocols.into_iter().filter(|(proto, _)| protocol.matches(*proto));
    let of_protocol = of_protocol.map(|(_, name)| {
        let both = [ranges(name, "dst", ports), ranges(name, "src", source_ports)];
        both.into_iter().flatten().collect::<Vec<_>>().join(" and ")
    });
    let all: Vec<String> = of_protocol.collect();
    match all.as_slice() {
        [] => Matches::Nothing,
        [one] => Matches::Some(one.clone()),
        several => Matches::Some(several.join(" or ")),
    }
}
