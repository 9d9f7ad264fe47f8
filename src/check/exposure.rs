//! What rules open to everybody, and what is likely to be blocked all the same.

use std::collections::BTreeMap;

use super::lists::{Examined, List};
use super::{Example, Finding};
use crate::flow::{Direction, FlowTuple, Protocol, Transport};
use crate::header_space::{Detail, Region};
use crate::restrictions::{CARRIER_BLOCKED, Obstacle, obstacle};
use crate::rules::services::{Class, SERVICES, Service};
use crate::rules::{Cloud, Code, Layer, Matcher, Policy, RuleProtocol, RuleSet, Severity};

/// A peer that is this part of all addresses is everybody. Half, so that `0.0.0.0/1` and `128.0.0.0/1`,
/// or everybody but some, are recognised too; and a little less, since no packet comes from the interface itself.
pub(super) const EVERYBODY: f64 = 0.499;
/// A rule of more ports than this was not written for one of them.
const FEW_PORTS: usize = 1024;

/// What one rule opens, at all interfaces.
#[derive(Default)]
struct Open {
    codes: BTreeMap<Code, (Vec<String>, Option<Example>)>,
    v4: bool,
    v6: bool,
}

pub(super) fn find(rules: &RuleSet, lists: &[List<'_>]) -> Vec<Finding> {
    let mut open: BTreeMap<(usize, usize), Open> = BTreeMap::new();
    for list in lists {
        for (_, place, of) in list.rules() {
            if of.entry.policy != Policy::Accept {
                continue;
            }
            for region in &of.decides {
                let everybody = region.peers_share() >= EVERYBODY;
                let here = open.entry(place).or_default();
                match list.direction {
                    Direction::Ingress if everybody => here.ingress(list, of, region),
                    // What Alibaba Cloud restricts.
                    Direction::Egress if rules.cloud() == Cloud::Alibaba => {
                        here.egress(list, region);
                    }
                    Direction::Ingress | Direction::Egress => {}
                }
            }
        }
    }
    let mut found = Vec::new();
    for (place, Open { codes, v4, v6 }) in open {
        let peers = match (v4, v6) {
            (true, true) => "0.0.0.0/0 and ::/0",
            (false, true) => "::/0",
            _ => "0.0.0.0/0",
        };
        for (code, (services, example)) in codes {
            let message = message(code, &services, peers);
            let finding = Finding::new(code, message).about(rules, place).example(example);
            // Behind a network ACL stand the security groups.
            let layer = rules.groups().get(place.0).map(|group| group.layer);
            found.push(match layer {
                Some(Layer::NetworkAcl) => finding.severity(Severity::Note),
                _ => finding,
            });
        }
    }
    found
}

impl Open {
    fn note(&mut self, code: Code, what: String, list: &List<'_>, flow: FlowTuple) {
        let (services, example) = self.codes.entry(code).or_default();
        if !services.contains(&what) {
            services.push(what);
        }
        let (interface, direction) = (list.interface, list.direction);
        example.get_or_insert(Example { interface, direction, flow });
    }

    fn ingress(&mut self, list: &List<'_>, of: &Examined, region: &Region) {
        self.v4 |= region.is_ipv4();
        self.v6 |= !region.is_ipv4();
        let example = region.example();
        let services = region.services();
        // What the rule is meant to open; exceptions before it make it no better.
        let Matcher { protocol, ports, .. } = &of.entry.matcher;
        let every_port = ports.iter().any(|of| of.first() <= 1 && of.last() == u16::MAX);
        match protocol {
            RuleProtocol::All if ports.is_empty() => {
                return self.note(Code::OpenAllProtocols, String::new(), list, example);
            }
            RuleProtocol::Only(proto @ (Protocol::TCP | Protocol::UDP)) if every_port => {
                return self.note(Code::OpenAllPorts, proto.to_string(), list, example);
            }
            RuleProtocol::All | RuleProtocol::Only(_) => {}
        }
        let opened = |proto: Protocol, port: u16| {
            services.iter().any(|of| of.proto == proto && holds(of.detail, port))
        };
        for Service { name, ports, class, .. } in &SERVICES {
            for (proto, range) in *ports {
                let port = range.first();
                if !opened(*proto, port) {
                    continue;
                }
                let code = match class {
                    _ if (*proto, port) == (Protocol::UDP, SQL_BROWSER) => Code::OpenSqlBrowser,
                    Class::Administration => Code::OpenAdministration,
                    Class::Database => Code::OpenDatabase,
                    Class::Other => continue,
                };
                let name = format!("{name} ({proto} {port})");
                self.note(code, name, list, to_port(example, *proto, port));
            }
        }
        // SEMANTICS A9. A warning of the replay counts the connections that it is about.
        let carrier = list.rules.carrier_ports().unwrap_or(&CARRIER_BLOCKED);
        for proto in [Protocol::TCP, Protocol::UDP] {
            for port in carrier.iter().copied().filter(|port| opened(proto, *port)) {
                if few(&services, proto) {
                    let flow = to_port(example, proto, port);
                    self.note(Code::CarrierBlocked, format!("{proto} {port}"), list, flow);
                }
            }
        }
    }

    fn egress(&mut self, list: &List<'_>, region: &Region) {
        let services = region.services();
        let smtp = services.iter().any(|of| of.proto == Protocol::TCP && holds(of.detail, 25));
        let flow = to_port(region.example(), Protocol::TCP, 25);
        let restricted = obstacle(Direction::Egress, &flow, &[]) == Some(Obstacle::Smtp);
        if smtp && restricted && few(&services, Protocol::TCP) {
            self.note(Code::SmtpRestricted, String::new(), list, flow);
        }
    }
}

const SQL_BROWSER: u16 = 1434;

fn holds(detail: Detail, port: u16) -> bool {
    matches!(detail, Detail::Ports(first, last) if first <= port && port <= last)
}

fn few(services: &[crate::header_space::PortService], proto: Protocol) -> bool {
    let ports = services.iter().filter(|service| service.proto == proto);
    let ports = ports.map(|service| match service.detail {
        Detail::Ports(first, last) => usize::from(last - first) + 1,
        Detail::All | Detail::Icmp(..) => usize::from(u16::MAX),
    });
    ports.sum::<usize>() <= FEW_PORTS
}

fn to_port(flow: FlowTuple, proto: Protocol, port: u16) -> FlowTuple {
    let src = flow.transport.ports().map_or(40_000, |(src, _)| src);
    FlowTuple { proto, transport: Transport::Ports { src, dst: port }, ..flow }
}

fn message(code: Code, services: &[String], peers: &str) -> String {
    let services = services.join(", ");
    match code {
        Code::OpenAllProtocols => format!(
            "accepts every protocol and port from {peers}; name the services that are offered, or the \
             addresses that need them"
        ),
        Code::OpenAllPorts => {
            format!("accepts every {services} port from {peers}; name the ports that are offered")
        }
        Code::OpenAdministration => format!(
            "accepts {services} from {peers}; name the addresses of those who administer the instance"
        ),
        Code::OpenDatabase => {
            format!("accepts {services} from {peers}; name the addresses or the group of its clients")
        }
        Code::OpenSqlBrowser => format!(
            "accepts {services} from {peers}, which tells everybody which SQL Server instances there \
             are; close it unless named instances are used from there"
        ),
        Code::CarrierBlocked => format!(
            "accepts {services} from {peers}; some carriers block that on the Internet, so clients may \
             not get through although the rule lets them"
        ),
        _ => "accepts tcp 25 to the Internet, which the cloud restricts by default whatever the rules \
              say; send by port 465"
            .to_owned(),
    }
}
