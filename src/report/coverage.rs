//! What traffic used of the rules: for people, and for programs.

use ipnet::IpNet;
use serde_json::{Value, json};

use super::table::{Room, table_within};
use super::text;
use crate::collect::{Coverage, NETWORK, SeenService, Usage, Window};
use crate::escape::{Text, push_line};
use crate::flow::Direction;
use crate::labels::Labels;
use crate::rules::{Addresses, Matcher, Policy, PortRange, Rule, RuleSet, services};

/// How far traffic covers the rules.
#[derive(Debug)]
pub struct CoverageReport {
    window: Window,
    /// Packets that the capturing machine has dropped, where it says so.
    dropped: Option<u64>,
    rules: Vec<RuleCoverage>,
    defaults: Vec<Default>,
}

/// A default that decided.
#[derive(Debug)]
struct Default {
    direction: Direction,
    interface: String,
    group: String,
    policy: Policy,
    usage: Usage,
}

/// What was used of one rule, and what it opens.
#[derive(Debug)]
struct RuleCoverage {
    group: String,
    rule: String,
    direction: Direction,
    policy: Policy,
    priority: u32,
    /// As in the rules file.
    protocol: String,
    ports: Vec<String>,
    peers: Vec<String>,
    /// Positions of elements that were not used, in ports and peers.
    unused: Vec<(usize, usize)>,
    elements: usize,
    /// How many ports, and how many /24 or /64, the rule names; `None` where it does not narrow them.
    open_ports: Option<u64>,
    open_networks: Option<u128>,
    usage: Usage,
}

impl CoverageReport {
    /// Sums up. `dropped` are packets that the capturing machine says it has dropped.
    pub fn new(
        rules: &RuleSet,
        labels: &Labels,
        coverage: &Coverage,
        dropped: Option<u64>,
    ) -> Self {
        let mut used = coverage.of_rules();
        let mut found = Vec::new();
        for (g, group) in rules.groups().iter().enumerate() {
            for (r, rule) in group.rules.iter().enumerate() {
                let usage = used.remove(&(g, r)).unwrap_or_default();
                found.push(RuleCoverage::new(
                    rules,
                    &group.id,
                    rule,
                    coverage.elements((g, r)),
                    usage,
                ));
            }
        }
        let defaults = coverage.of_defaults().into_iter().map(|((interface, direction), usage)| {
            let list = rules.ordered(interface, direction);
            let last = list.entries().last();
            let policy = last.map_or(Policy::Drop, |entry| entry.policy);
            let group = last.map(|entry| rules.names(interface, entry).0);
            Default {
                direction,
                interface: labels.interface(interface).to_owned(),
                group: group.unwrap_or_default(),
                policy,
                usage,
            }
        });
        Self { window: coverage.window(), dropped, defaults: defaults.collect(), rules: found }
    }

    /// Elements that were used, and all.
    fn elements(&self) -> (usize, usize) {
        let all = self.rules.iter().map(|rule| rule.elements).sum::<usize>();
        let unused = self.rules.iter().map(|rule| rule.unused.len()).sum::<usize>();
        (all - unused, all)
    }

    /// Which part of the rules' elements was used, in percent; 100 where there are no rules.
    pub fn percent(&self) -> f64 {
        let (used, all) = self.elements();
        #[expect(clippy::cast_precision_loss, reason = "a percentage of some thousands")]
        let percent = if all == 0 { 100.0 } else { used as f64 * 100.0 / all as f64 };
        percent
    }

    /// As the key `coverage` of the JSON.
    pub fn json(&self) -> Value {
        let (used, all) = self.elements();
        let Window { times, longest_pause } = self.window;
        json!({
            "percent": (self.percent() * 10.0).round() / 10.0,
            "elements": all,
            "elements_used": used,
            "rules_used": self.rules.iter().filter(|rule| rule.usage.connections > 0).count(),
            "window": {
                "first_time_ns": times.map(|(first, _)| first),
                "last_time_ns": times.map(|(_, last)| last),
                "longest_pause_ns": longest_pause.0,
                "longest_pause_from_ns": (longest_pause.0 > 0).then_some(longest_pause.1),
                "dropped": self.dropped,
            },
            "rules": self.rules.iter().map(RuleCoverage::json).collect::<Vec<_>>(),
            "defaults": self.defaults.iter().map(|of| {
                let mut object = usage_json(&of.usage);
                if let Some(keys) = object.as_object_mut() {
                    keys.insert("interface".to_owned(), of.interface.as_str().into());
                    keys.insert("direction".to_owned(), of.direction.as_str().into());
                    keys.insert("policy".to_owned(), of.policy.as_str().into());
                }
                object
            }).collect::<Vec<_>>(),
        })
    }

    /// For people.
    pub fn text(&self, room: Room) -> Text {
        let mut out = Text::default();
        let (used, all) = self.elements();
        let span = self.window.times.map_or(0, |(first, last)| last - first);
        push_line!(out);
        push_line!(
            out,
            "coverage: {used} of {} used ({:.0} %), in {} of traffic",
            text::plural(all as u64, "rule element"),
            self.percent(),
            text::duration(span),
        );
        let (pause, from) = self.window.longest_pause;
        let pauses = match pause {
            0 => String::new(),
            _ => format!(
                "longest pause {} from {}; ",
                text::duration(pause),
                text::clock(from, from)
            ),
        };
        let drops = match self.dropped {
            None => "whether packets were dropped while capturing is not recorded".to_owned(),
            Some(0) => "no packet was dropped while capturing".to_owned(),
            Some(some) => format!("{} dropped while capturing", text::plural(some, "packet")),
        };
        push_line!(out, "  {pauses}{drops}");

        let (seen, unseen): (Vec<_>, Vec<_>) =
            self.rules.iter().partition(|rule| rule.usage.connections > 0);
        let header = ["rule", "", "connections", "peers", "when", "opens", "seen"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        for rule in seen {
            rows.push(vec![
                rule.rule.clone(),
                format!("{} {}", rule.direction, rule.policy.as_str()),
                text::count(rule.usage.connections),
                text::count(rule.usage.peers() as u64),
                rule.usage.times.map_or_else(String::new, |(a, b)| text::clock(a, b)),
                rule.opens(),
                rule.seen(),
            ]);
        }
        for of in &self.defaults {
            rows.push(vec![
                format!("default of {}", of.group),
                format!("{} {}", of.direction, of.policy.as_str()),
                text::count(of.usage.connections),
                text::count(of.usage.peers() as u64),
                of.usage.times.map_or_else(String::new, |(a, b)| text::clock(a, b)),
                "all else".to_owned(),
                seen_text(&of.usage, None, None),
            ]);
        }
        out.append(&table_within(&rows, room.width));
        let far_wider = self.rules.iter().filter_map(RuleCoverage::far_wider);
        for note in far_wider {
            push_line!(out, "  far wider than used: {note}");
        }
        if !unseen.is_empty() {
            let names: Vec<&str> = unseen.iter().map(|rule| rule.rule.as_str()).collect();
            push_line!(out, "  never used in that time: {}", names.join(", "));
        }
        let partly: Vec<String> = self.rules.iter().filter_map(RuleCoverage::partly).collect();
        if !partly.is_empty() {
            push_line!(out, "  used in part, never: {}", partly.join("; "));
        }
        out
    }
}

/// A rule that opens this many times what was used of it is far wider than needed.
const FAR: u128 = 10;

impl RuleCoverage {
    fn new(rules: &RuleSet, group: &str, rule: &Rule, elements: usize, usage: Usage) -> Self {
        let Matcher { ports, peer, .. } = rules.matcher(rule);
        let open_ports = (!ports.is_empty()).then(|| open_ports(&ports));
        let open_networks = match peer {
            Addresses::Any => None,
            Addresses::Nets(nets) => Some(open_networks(&nets)),
        };
        let (columns, rows) = (rule.ports.len().max(1), rule.peers.len().max(1));
        let pairs = (0..columns).flat_map(|port| (0..rows).map(move |peer| (port, peer)));
        let unused = pairs.filter(|pair| !usage.elements.contains(&(0, *pair))).collect();
        Self {
            group: group.to_owned(),
            rule: rule.id.to_string(),
            direction: rule.direction,
            policy: rule.policy,
            priority: rule.priority.get(),
            protocol: rule.protocol.to_string(),
            ports: rule.ports.iter().map(ToString::to_string).collect(),
            peers: rule.peers.iter().map(ToString::to_string).collect(),
            unused,
            elements,
            open_ports,
            open_networks,
            usage,
        }
    }

    fn opens(&self) -> String {
        let ports = match self.ports.as_slice() {
            [] => String::new(),
            ports => format!(" {}", shortened(ports)),
        };
        format!("{}{ports} {} {}", self.protocol, far_word(self.direction), shortened(&self.peers))
    }

    fn seen(&self) -> String {
        seen_text(&self.usage, self.open_ports, self.open_networks)
    }

    /// Where a rule that accepts opens far more than was used of it. Of everybody it is not asked who has
    /// come.
    fn far_wider(&self) -> Option<String> {
        if self.policy != Policy::Accept || self.usage.connections == 0 || self.usage.more {
            return None;
        }
        let ports_seen =
            self.usage.services.keys().filter(|(_, port)| port.is_some()).count() as u128;
        let networks_seen = self.usage.networks.len() as u128;
        let everybody = |open: u128| open >= EVERYBODY[0];
        let mut notes = Vec::new();
        if let Some(open) = self.open_ports.map(u128::from).filter(|open| *open >= FAR * ports_seen)
        {
            notes.push(format!("{ports_seen} of {} ports", amount(open)));
        }
        if let Some(open) =
            self.open_networks.filter(|open| *open >= FAR * networks_seen && !everybody(*open))
        {
            notes.push(format!("{networks_seen} of {} networks", amount(open)));
        }
        (!notes.is_empty()).then(|| format!("{} ({})", self.rule, notes.join(", ")))
    }

    /// The elements never used of a rule that was used.
    fn partly(&self) -> Option<String> {
        if self.usage.connections == 0 || self.unused.is_empty() || self.usage.more {
            return None;
        }
        let names: Vec<String> = self.unused.iter().map(|pair| self.element(*pair)).collect();
        Some(format!("{} {}", self.rule, shortened(&names)))
    }

    fn element(&self, (port, peer): (usize, usize)) -> String {
        let port = self.ports.get(port).cloned();
        let peer = self.peers.get(peer).filter(|_| self.peers.len() > 1).cloned();
        let both: Vec<String> = port.into_iter().chain(peer).collect();
        both.join(" from ")
    }

    fn json(&self) -> Value {
        let mut object = usage_json(&self.usage);
        let elements = self.unused.iter().map(
            |(port, peer)| json!({"ports": self.ports.get(*port), "peer": self.peers.get(*peer)}),
        );
        if let Some(keys) = object.as_object_mut() {
            keys.extend(
                [
                    ("group", self.group.as_str().into()),
                    ("rule", self.rule.as_str().into()),
                    ("direction", self.direction.as_str().into()),
                    ("policy", self.policy.as_str().into()),
                    ("priority", self.priority.into()),
                    ("protocol", self.protocol.as_str().into()),
                    ("ports", self.ports.clone().into()),
                    ("open", self.peers.clone().into()),
                    ("open_ports", self.open_ports.into()),
                    (
                        "open_networks",
                        self.open_networks.map(|n| u64::try_from(n).unwrap_or(u64::MAX)).into(),
                    ),
                    ("elements", self.elements.into()),
                    ("elements_unused", elements.collect::<Vec<_>>().into()),
                    ("far_wider", self.far_wider().is_some().into()),
                ]
                .map(|(key, value)| (key.to_owned(), value)),
            );
        }
        object
    }
}

/// Networks of everybody: all /24, all /64.
const EVERYBODY: [u128; 2] = [1 << NETWORK[0], 1 << NETWORK[1]];

fn usage_json(usage: &Usage) -> Value {
    let services = usage.services.iter().map(|((proto, detail), connections)| {
        json!({"proto": proto.0, "port": detail, "connections": connections})
    });
    let networks = usage
        .networks
        .iter()
        .map(|(network, connections)| json!({"network": network.to_string(), "connections": connections}));
    json!({
        "connections": usage.connections,
        "peers": usage.peers(),
        "first_time_ns": usage.times.map(|(first, _)| first),
        "last_time_ns": usage.times.map(|(_, last)| last),
        "first_frame": (usage.first_frame > 0).then_some(usage.first_frame),
        "services": services.collect::<Vec<_>>(),
        "networks": networks.collect::<Vec<_>>(),
        "more": usage.more,
    })
}

fn seen_text(usage: &Usage, open_ports: Option<u64>, open_networks: Option<u128>) -> String {
    let mut ports: Vec<String> = usage.services.keys().copied().map(service).collect();
    ports.dedup();
    let of = |open: Option<String>| open.map_or_else(String::new, |open| format!(" of {open}"));
    let ports_of = match open_ports {
        Some(open) if open > 1 => format!("{} of {} ports: ", ports.len(), text::count(open)),
        _ => String::new(),
    };
    let networks = usage.networks.len();
    let from = match usage.networks.keys().next() {
        Some(one) if networks == 1 => one.to_string(),
        _ => format!("{networks} networks"),
    };
    let networks_of =
        open_networks.filter(|open| *open > 1 && !EVERYBODY.contains(open)).map(amount);
    format!("{ports_of}{}; {from}{}", shortened(&ports), of(networks_of))
}

/// `tcp 22`; without a detail the protocol alone.
fn service((proto, detail): SeenService) -> String {
    match detail {
        Some(port) if proto.has_ports() => {
            let name = services::of_port(proto, port).map(|of| format!(" ({})", of.name));
            format!("{proto} {port}{}", name.unwrap_or_default())
        }
        Some(kind) => format!("{proto} type {kind}"),
        None => proto.to_string(),
    }
}

/// The first few of a list.
fn shortened(items: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown = items.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match items.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {} more", text::count(more as u64)),
    }
}

fn far_word(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    }
}

/// A number that may be astronomic.
fn amount(number: u128) -> String {
    match u64::try_from(number) {
        Ok(number) if number < 1 << 40 => text::count(number),
        _ => format!("2^{}", number.ilog2()),
    }
}

fn open_ports(ranges: &[PortRange]) -> u64 {
    let mut ranges: Vec<(u64, u64)> =
        ranges.iter().map(|range| (range.first().into(), range.last().into())).collect();
    ranges.sort_unstable();
    let mut next = 0;
    ranges.into_iter().fold(0, |sum, (first, last)| {
        let first = first.max(next);
        let more = (last + 1).saturating_sub(first);
        next = next.max(last + 1);
        sum + more
    })
}

/// How many /24 and /64 there are in networks; one for those that are smaller.
fn open_networks(nets: &[IpNet]) -> u128 {
    let of = |net: &IpNet| {
        let size = if net.addr().is_ipv4() { NETWORK[0] } else { NETWORK[1] };
        1_u128 << size.saturating_sub(net.prefix_len())
    };
    IpNet::aggregate(&nets.to_vec()).iter().map(of).sum()
}
