//! `--fix`: rules to add so that denied connections pass.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::net::IpAddr;

use sgreplay::convert::commands;
use sgreplay::diff::{Change, Effect};
use sgreplay::escape;
use sgreplay::flow::{Direction, FlowTuple, Packet, Protocol};
use sgreplay::parse::print_rule_line;
use sgreplay::report::{Local, plural};
use sgreplay::rules::{Cloud, Interface, Policy, Rule, RuleSet};
use sgreplay::suggest::{Fix, Flow, fix};
use sgreplay::verdict::{Judged, Judgement, Reason, Verdict};

use super::{gate, schema};
use crate::exit::Failure;
use crate::output::Outputs;

/// More flows than this are not fixed: as many rules are no longer read by anybody.
const MOST_FLOWS: usize = 4096;
/// Connections that are followed for their opening.
const MOST_CONNECTIONS: usize = 1 << 20;

/// What a rule names of a connection.
type Key = (usize, Direction, Protocol, Option<u16>, Option<(u8, u8)>, IpAddr, IpAddr);

/// Denied connections, each as a rule names it.
#[derive(Default)]
pub(crate) struct DeniedFlows {
    flows: BTreeMap<Key, Flow>,
    /// The openings of denied connections, by number, interface and whether its own end began them.
    opened: HashMap<(u64, usize, bool), Flow>,
    /// Packets that something beside the rules denies.
    other: u64,
    is_full: bool,
}

impl DeniedFlows {
    fn insert(&mut self, one: Flow) {
        let Flow { interface, direction, flow } = one;
        let FlowTuple { proto, transport, .. } = flow;
        let port = transport.ports().map(|(_, port)| port);
        let (peer, local) = (flow.peer(direction), flow.local(direction));
        let key = (interface, direction, proto, port, transport.icmp(), peer, local);
        match self.flows.len() < MOST_FLOWS {
            true => drop(self.flows.entry(key).or_insert(one)),
            false => self.is_full |= !self.flows.contains_key(&key),
        }
    }

    /// A packet of a replay; those that are selected choose their connections.
    pub(crate) fn packet(&mut self, packet: Option<&Packet>, judged: &Judged, selected: bool) {
        for judgement in judged.judgements() {
            let Judgement { interface, direction, verdict, reason, .. } = *judgement;
            // A packet behind the close of its connection is none of a connection.
            if verdict != Verdict::Deny || judgement.stray {
                continue;
            }
            let known =
                judgement.connection.map(|number| (number, interface, judgement.local_began));
            if let (Some(key), Some((_, flow))) = (known, judgement.opened) {
                self.is_full |= self.opened.len() >= MOST_CONNECTIONS;
                if !self.is_full {
                    self.opened
                        .insert(key, Flow { interface, direction: judgement.decided_in, flow });
                }
            }
            if !selected {
                continue;
            }
            let flow = match known {
                Some(key) => self.opened.get(&key).copied(),
                None => packet.map(|packet| Flow { interface, direction, flow: packet.flow }),
            };
            match flow.filter(|_| reason != Reason::SessionLimit && !judgement.is_stopped()) {
                Some(flow) => self.insert(flow),
                None => self.other += 1,
            }
        }
    }

    /// A connection that a proposal newly denies.
    pub(crate) fn change(&mut self, change: &Change) {
        if change.effect != Effect::NewlyDenied {
            return;
        }
        match change.proposed.at {
            Some((interface, direction, _)) => {
                self.insert(Flow { interface, direction, flow: change.flow });
            }
            None => self.other += 1,
        }
    }

    /// Writes the rules to the file of `--fix`; an error where there are none that do this and nothing else. Then there
    /// is no file. `partial` is why the traffic was not read to its end, which the file says.
    pub(crate) fn write(
        &self,
        path: &str,
        rules: &RuleSet,
        local: &Local,
        partial: Option<&str>,
        outputs: &mut Outputs,
    ) -> Result<(), Failure> {
        let text = self
            .text(path, rules, local, partial)
            .map_err(|why| Failure::Usage(format!("--fix: {why}")))?;
        match outputs.create("fix")? {
            Some(output) => output.whole(&text),
            None => Ok(()),
        }
    }

    fn text(
        &self,
        path: &str,
        rules: &RuleSet,
        local: &Local,
        partial: Option<&str>,
    ) -> Result<String, String> {
        if local.assumed && !local.sure {
            return Err("the local address is a guess, and rules made for a wrong one are wrong; --local says it".to_owned());
        }
        if let Some(why) = gate::incomplete(rules) {
            return Err(why);
        }
        if self.is_full {
            return Err(format!(
                "over {} are denied to different services or peers; --filter chooses fewer",
                plural(MOST_FLOWS as u64, "connection"),
            ));
        }
        if self.other > 0 {
            return Err(format!(
                "{} that no rule allows: a network ACL stops the reply, or there is no room for another session; \
                 --filter chooses others",
                plural(self.other, "denied packet"),
            ));
        }
        let mut flows: Vec<Flow> = self.flows.values().copied().collect();
        let ends: Vec<Flow> = flows.iter().filter_map(|flow| other_end(rules, flow)).collect();
        flows.extend(ends);
        let found = fix(rules, &flows, Policy::Accept).map_err(|error| error.to_string())?;
        Ok(file(path, rules, &flows, &found, partial))
    }
}

/// The other end of a connection, where that is an interface of the rules too, which may deny it as well.
fn other_end(rules: &RuleSet, one: &Flow) -> Option<Flow> {
    let direction = one.direction.opposite();
    let local = one.flow.local(direction);
    let owns = |eni: &Interface| eni.addresses.iter().any(|net| net.contains(&local));
    let interface = rules.listed_interfaces().iter().position(owns)?;
    (rules.lists_interfaces() && interface != one.interface).then_some(Flow {
        interface,
        direction,
        flow: one.flow,
    })
}

/// A rules file with the rules to add. `partial` is why the traffic was not read to its end.
fn file(path: &str, rules: &RuleSet, flows: &[Flow], found: &Fix, partial: Option<&str>) -> String {
    let mut out = String::new();
    let mut say = |line: &str| {
        let _ = writeln!(out, "# {}", escape::line(line));
    };
    if let Some(why) = partial {
        say(&format!(
            "NOT ALL OF THE TRAFFIC WAS READ ({why}): connections after that point may still be denied."
        ));
    }
    if found.added.is_empty() {
        say(&format!(
            "No connection that was chosen is denied, so nothing is to be added to {path}."
        ));
        return out;
    }
    say(&format!(
        "Rules to add to {path}, so that the denied connections that were chosen pass: {} by service and addresses.",
        plural(flows.len() as u64, "flow"),
    ));
    say(&format!(
        "By the exact difference over all possible packets they allow the following, and change no other verdict \
         (sgreplay {}):",
        env!("CARGO_PKG_VERSION"),
    ));
    for one in &found.turned {
        let interface = one.interfaces[1].and_then(|at| rules.interfaces().get(at));
        let interface = interface.map_or("", |eni| eni.id.as_str());
        say(&format!("  {} {interface} {}", one.region.direction(), one.region));
    }
    if found.any_icmp_type {
        say(
            "Rules of this cloud name no type of ICMP: they allow every type from and to the peers of which one was seen.",
        );
    }
    say("As commands:");
    for (at, rule) in &found.added {
        let id = rules.groups().get(*at).map_or("", |group| group.id.as_str());
        for command in commands(rules.cloud(), id, rule) {
            say(&format!("  {command}"));
        }
    }
    let cloud = rules.cloud();
    let mut by_group: BTreeMap<usize, Vec<&Rule>> = BTreeMap::new();
    for (at, rule) in &found.added {
        by_group.entry(*at).or_default().push(rule);
    }
    let mut file = schema::modeline("rules") + &out;
    if cloud != Cloud::Alibaba {
        let _ = writeln!(file, "cloud: {cloud}");
    }
    file.push_str("security_groups:\n");
    for (at, rules_of_group) in by_group {
        let id = rules.groups().get(at).map_or("", |group| group.id.as_str());
        let id = serde_json::Value::from(id);
        let _ = writeln!(file, "  - id: {id}\n    rules:");
        for rule in rules_of_group {
            let _ = writeln!(file, "      - {}", print_rule_line(cloud, rule));
        }
    }
    file
}
