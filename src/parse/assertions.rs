//! What people expect of their rules: a file beside them.
//!
//! ```yaml
//! expectations:
//!   - name: SSH from the office reaches the server
//!     protocol: tcp
//!     ports: SSH
//!     source: 203.0.113.0/24
//!     verdict: allow
//!     by: sgr-ssh            # optional: the rule, or `default`
//!     otherwise: deny        # optional: for everybody else
//! ```

use super::error::{EXPECTATIONS_EXAMPLE, placed};
use super::group::local;
use super::reader::{Reader, one};
use super::{Fault, ParseError};
use crate::flow::Direction;
use crate::rules::{
    Builtin, Expectation, Packets, Peer, Policy, Ports, Rule, RuleId, RuleProtocol, RuleSet,
    nearest,
};
use crate::yaml::{self, Mapping, Places, Segment, Value};

const KEYS: [&str; 12] = [
    "name",
    "interface",
    "direction",
    "protocol",
    "ports",
    "source",
    "source_ports",
    "destination",
    "verdict",
    "by",
    "otherwise",
    "except",
];
const EXCEPT_KEYS: [&str; 5] = ["protocol", "ports", "source", "source_ports", "destination"];

/// Reads a file of expectations about a rule set: a list, or a mapping whose key `expectations` has it.
///
/// # Errors
/// Every fault of the file, each where it stands: also what it names that the rules do not have.
pub fn expectations(
    file: &str,
    text: &str,
    rules: &RuleSet,
) -> Result<Vec<Expectation>, ParseError> {
    let failed = |faults: Vec<Fault>| ParseError::new(file, faults);
    let document: Value = yaml::read(text).map_err(|error| failed(vec![error.into()]))?;
    let mut reader = Reader::default();
    let mut is_foreign = false;
    let mut found = Vec::new();
    let mut paths = Vec::new();
    let list = if let Some(list) = document.as_sequence() {
        Some((Vec::new(), list))
    } else {
        let top = reader.mapping(&document, "a file of expectations", &["expectations"]);
        let list = top.and_then(|top| top.get("expectations")).and_then(Value::as_sequence);
        list.map(|list| (vec![Segment::Key("expectations".to_owned())], list))
    };
    match list {
        Some((above, list)) if !list.is_empty() => {
            for (n, value) in list.iter().enumerate() {
                let steps: Vec<Segment> =
                    above.iter().cloned().chain([Segment::Index(n)]).collect();
                let expectation = within(&mut reader, &steps, |r| r.expectation(value, rules));
                found.extend(expectation);
                paths.push(steps);
            }
        }
        _ if reader.faults.is_empty() => {
            reader.fault("nothing is expected; a file of expectations starts with `expectations:`");
            is_foreign = true;
        }
        _ => is_foreign = true,
    }
    if !reader.faults.is_empty() {
        let example = is_foreign.then_some(EXPECTATIONS_EXAMPLE);
        return Err(ParseError { example, ..failed(placed(text, reader.faults)) });
    }
    let places = Places::read(text);
    for (expectation, path) in found.iter_mut().zip(&paths) {
        expectation.line = places.find(path).map(|(line, _)| line);
    }
    Ok(found)
}

/// Reads something several steps further down.
fn within<T>(reader: &mut Reader, steps: &[Segment], read: impl FnOnce(&mut Reader) -> T) -> T {
    match steps.split_first() {
        None => read(reader),
        Some((step, rest)) => reader.at(step.clone(), |r| within(r, rest, read)),
    }
}

impl Reader {
    fn expectation(&mut self, value: &Value, rules: &RuleSet) -> Option<Expectation> {
        let map = self.mapping(value, "an expectation", &KEYS)?;
        let name = self.text(map, "name");
        let name = self.required(name, map, "name", "what is expected, in words");
        let interface = self.under(map, "interface", |r, value| {
            let wanted = r.scalar(value)?;
            let ids = || rules.interfaces().iter().map(|eni| eni.id.as_str());
            let found = rules.interface_named(&wanted);
            if found.is_none() {
                r.fault(unknown("interface", &wanted, ids()));
            }
            found
        });
        let direction = self.direction(map).unwrap_or(Direction::Ingress);
        let packets = self.packets(map, direction, rules);
        let except = self.each(map, "except", |r, _, value| {
            let map = r.mapping(value, "an exception", &EXCEPT_KEYS)?;
            Some(r.packets(map, direction, rules))
        });
        let verdict = self.verdict(map, "verdict");
        let verdict = self.required(verdict, map, "verdict", "`allow` or `deny`");
        let otherwise = self.verdict(map, "otherwise");
        let by = self.under(map, "by", |r, value| {
            let wanted = r.scalar(value)?;
            let of_rules = rules.groups().iter().flat_map(|group| &group.rules);
            let mut known: Vec<String> = of_rules.map(|rule| rule.id.to_string()).collect();
            known.extend(["default", "intra-group"].map(str::to_owned));
            known.extend(Builtin::ALL.iter().map(|builtin| builtin.as_str().to_owned()));
            if !known.contains(&wanted) {
                r.fault(unknown("rule", &wanted, known.iter().map(String::as_str)));
            }
            Some(wanted)
        });
        if otherwise.is_some() && packets == packets.of_anybody() {
            let far = far(direction);
            self.fault(format_args!(
                "`otherwise` is about everybody else, and `{far}` names nobody"
            ));
        }
        Some(Expectation {
            name: name?,
            line: None,
            interface,
            direction,
            packets,
            except: except.unwrap_or_default(),
            verdict: verdict?,
            by,
            otherwise,
        })
    }

    fn verdict(&mut self, map: &Mapping, key: &str) -> Option<Policy> {
        self.under(map, key, |r, value| {
            let text = r.scalar(value)?;
            r.ok(match text.to_ascii_lowercase().as_str() {
                "allow" => Ok(Policy::Accept),
                "deny" => Ok(Policy::Drop),
                _ => Err(format!("`{text}`: a verdict is `allow` or `deny`")),
            })
        })
    }

    /// The packets that the keys of a rule describe; those not said are any.
    fn packets(&mut self, map: &Mapping, direction: Direction, rules: &RuleSet) -> Packets {
        let protocol = self.parsed(map, "protocol").unwrap_or(RuleProtocol::All);
        let ports = self.ports(map, protocol);
        let source_ports = self.port_ranges(map, "source_ports", protocol);
        let has_ports = protocol.has_ports() || protocol == RuleProtocol::All;
        let names_ports = !ports.is_empty() || !source_ports.is_empty();
        if names_ports && !has_ports {
            self.fault(format_args!("only tcp and udp have ports, and the protocol is {protocol}"));
        }
        let lists = || rules.port_lists().iter().map(|list| list.id.as_str());
        for id in ports.iter().filter_map(|ports| match ports {
            Ports::List(id) => Some(id),
            Ports::Any | Ports::Range(_) => None,
        }) {
            if lists().all(|known| known != id) {
                self.fault(unknown("port list", id, lists()));
            }
        }
        let (far, near) = (far(direction), far(direction.opposite()));
        let peers = self.peers(map, far);
        let peers = peers
            .into_iter()
            .filter_map(|peer| self.at(Segment::Key(far.to_owned()), |r| r.ok(known(peer, rules))));
        let peers = peers.collect();
        let local = self.several(map, near, |text| local(near, text).map(one));
        // The conditions of a rule that nobody has written.
        let id = RuleId::Named(String::new());
        let local = local.into_iter().map(Peer::Cidr).collect();
        Packets::new(Rule {
            ports,
            source_ports,
            local,
            ..Rule::new(id, direction, protocol, peers)
        })
    }
}

/// The key of the far side.
fn far(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "source",
        Direction::Egress => "destination",
    }
}

/// A peer, if the rule set has what it names.
fn known(peer: Peer, rules: &RuleSet) -> Result<Peer, String> {
    let missing = match &peer {
        Peer::Cidr(_) => None,
        Peer::Group(reference) => {
            let all = || rules.groups().iter();
            let named = all().flat_map(|group| &group.rules).flat_map(|rule| &rule.peers);
            let named = named.filter_map(|peer| match peer {
                Peer::Group(of) => Some(of.id.as_str()),
                Peer::Cidr(_) | Peer::PrefixList(_) | Peer::Tag(_) => None,
            });
            let ids = || all().map(|group| group.id.as_str());
            let missing = ids().chain(named).all(|id| id != reference.id);
            missing.then(|| unknown("security group", &reference.id, ids()))
        }
        Peer::PrefixList(id) => {
            let ids = || rules.prefix_lists().iter().map(|list| list.id.as_str());
            ids().all(|known| known != id).then(|| unknown("prefix list", id, ids()))
        }
        Peer::Tag(name) => {
            let defined = rules.tags().iter().map(|tag| tag.name.as_str());
            let carried = rules.interfaces().iter().flat_map(|eni| &eni.tags);
            let names: Vec<&str> = defined.chain(carried.map(String::as_str)).collect();
            let known = names.contains(&name.as_str());
            (!known).then(|| unknown("tag", name, names.iter().copied()))
        }
    };
    missing.map_or(Ok(peer), Err)
}

fn unknown<'k>(what: &str, wanted: &str, known: impl Iterator<Item = &'k str>) -> String {
    match nearest(wanted, known) {
        Some(near) => format!("the rules have no {what} `{wanted}`; did you mean `{near}`?"),
        None => format!("the rules have no {what} `{wanted}`"),
    }
}
