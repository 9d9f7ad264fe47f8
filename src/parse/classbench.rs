//! Filters of `ClassBench`: the format in which rule sets for comparing packet classifiers are published.
//!
//! A filter is a line `@source/len destination/len low : high low : high protocol/mask flags/mask`, with tabs
//! between, and without the flags in many sets. The first line that matches decides; what it does is not
//! said, and here it accepts. A filter is about both ends of a packet, so it is a rule for what comes in, whose
//! near side is the destination.

use ipnet::IpNet;

use super::Fault;
use super::loaded::{Found, FoundInterface, Loaded};
use crate::flow::{Direction, Protocol};
use crate::rules::{
    Cloud, Peer, PortRange, Ports, Priority, Rule, RuleId, RuleProtocol, parse_cidr,
};

/// The one group that a file is.
const GROUP: &str = "classbench";

/// Whether a text is such a file.
pub(super) fn recognise(text: &str) -> bool {
    let first = text.lines().find(|line| !line.trim().is_empty());
    first.is_some_and(|line| {
        line.trim_start().starts_with('@') && line.contains('/') && line.contains(" : ")
    })
}

/// Reads a file.
///
/// # Errors
/// The lines that are no filters.
pub(super) fn read(text: &str) -> Result<Loaded, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut rules = Vec::new();
    let mut flags = 0_usize;
    for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match filter(line, rules.len(), &mut flags) {
            Ok(rule) => rules.push(Found::new(rule, format!("line {}", n + 1))),
            Err(message) => faults.push(Fault { at: Some((n + 1, 1)), message }),
        }
        if faults.len() > 20 {
            break;
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut loaded = Loaded { cloud: Some(Cloud::ClassBench), ..Loaded::default() };
    if flags > 0 {
        loaded.warnings.push(format!(
            "{flags} filters ask for TCP flags, which rules here do not know: ignored"
        ));
    }
    // Every packet that passes.
    loaded.interfaces.push(FoundInterface {
        id: GROUP.to_owned(),
        addresses: ["0.0.0.0/0", "::/0"].into_iter().filter_map(|net| net.parse().ok()).collect(),
        groups: vec![GROUP.to_owned()],
        timeouts: Cloud::ClassBench.timeouts(),
        ..FoundInterface::default()
    });
    let group = loaded.group(GROUP);
    (group.has_rules, group.rules) = (true, rules);
    Ok(loaded)
}

fn filter(line: &str, position: usize, flags: &mut usize) -> Result<Rule, String> {
    const SHAPE: &str = "a filter is `@source/len destination/len low : high low : high protocol/mask`, with tabs \
                         between";
    let line = line.trim().strip_prefix('@').ok_or(SHAPE)?;
    let mut fields = line.split('\t').map(str::trim).filter(|field| !field.is_empty());
    let mut next = || fields.next().ok_or_else(|| SHAPE.to_owned());
    let (source, destination) = (net(next()?)?, net(next()?)?);
    let (source_ports, ports) = (ports(next()?)?, ports(next()?)?);
    let protocol = protocol(next()?)?;
    let all = "0x0000/0x0000";
    *flags += usize::from(fields.next().is_some_and(|of| !of.eq_ignore_ascii_case(all)));
    let near = (destination.prefix_len() > 0).then_some(Peer::Cidr(destination));
    // The traces number the filters from 0.
    let id = RuleId::Named(position.to_string());
    let priority = u32::try_from(position + 1).map_err(|_| "too many filters".to_owned())?;
    Ok(Rule {
        priority: Priority::new(priority),
        ports: ports.map(Ports::Range).into_iter().collect(),
        source_ports: source_ports.into_iter().collect(),
        local: near.into_iter().collect(),
        ..Rule::new(id, Direction::Ingress, protocol, vec![Peer::Cidr(source)])
    })
}

fn net(text: &str) -> Result<IpNet, String> {
    parse_cidr(text).map_err(|error| error.to_string())
}

/// `None` for every port.
fn ports(text: &str) -> Result<Option<PortRange>, String> {
    let number = |part: &str| part.trim().parse().ok();
    let ends = text.split_once(':').and_then(|(low, high)| Some((number(low)?, number(high)?)));
    match ends {
        Some((0, u16::MAX)) => Ok(None),
        Some((low, high)) if low <= high => Ok(PortRange::new(low, high)),
        _ => Err(format!("`{text}`: ports are `low : high`, 0 to 65535")),
    }
}

fn protocol(text: &str) -> Result<RuleProtocol, String> {
    let hex = |part: &str| u8::from_str_radix(part.trim().trim_start_matches("0x"), 16).ok();
    match text.split_once('/').and_then(|(value, mask)| Some((hex(value)?, hex(mask)?))) {
        Some((_, 0)) => Ok(RuleProtocol::All),
        Some((value, u8::MAX)) => Ok(RuleProtocol::Only(Protocol(value))),
        _ => Err(format!("`{text}`: a protocol is `0x06/0xFF`, or `0x00/0x00` for any")),
    }
}
