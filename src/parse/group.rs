//! The groups of our own rules file, and their rules.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::FixedState;
use ipnet::IpNet;
use jiff::Timestamp;

use super::reader::{Reader, one, word};
use crate::flow::Direction;
use crate::rules::{
    Cloud, GroupRef, GroupType, Interface, Layer, NicType, Peer, Policy, PortRange, Ports,
    Priority, Rule, RuleId, RuleProtocol, SecurityGroup, about_rule, nearest, parse_cidr,
};
use crate::yaml::{Mapping, Segment, Value};

/// The interfaces that a network ACL names, if it names any.
pub(super) type Stands = Option<Vec<String>>;

/// An interface is refused that has more groups and network ACLs, so the others are not noted.
const MOST_NOTED: usize = 100;

/// Interfaces by id and by address: many network ACLs each look for theirs.
#[derive(Default)]
pub(super) struct InterfaceIndex {
    /// In the order of the file.
    ids: Vec<String>,
    /// Their positions.
    by_id: HashMap<String, Vec<usize>, FixedState>,
    /// The first and the last address of each of their networks, ascending, with their positions.
    addresses: Vec<(IpAddr, IpAddr, usize)>,
}

impl InterfaceIndex {
    pub(super) fn new(interfaces: &[Interface]) -> Self {
        let mut index = Self::default();
        for (at, eni) in interfaces.iter().enumerate() {
            index.ids.push(eni.id.clone());
            index.by_id.entry(eni.id.clone()).or_default().push(at);
            let nets = eni.addresses.iter();
            index.addresses.extend(nets.map(|net| (net.network(), net.broadcast(), at)));
        }
        index.addresses.sort_unstable();
        index
    }

    /// The positions of those that have an address in a network.
    fn inside(&self, net: &IpNet) -> impl Iterator<Item = usize> {
        let (first, last) = (net.network(), net.broadcast());
        let from = self.addresses.partition_point(|(start, ..)| *start < first);
        let candidates = self.addresses.get(from..).unwrap_or_default().iter();
        let candidates = candidates.take_while(move |(start, ..)| *start <= last);
        candidates.filter(move |(_, end, _)| *end <= last).map(|(.., at)| *at)
    }
}

/// The name of a rule of a network ACL that has only a number: `ingress-100`.
pub(super) fn of_number(direction: Direction, number: Priority) -> String {
    format!("{direction}-{}", number.get())
}

impl Reader {
    /// A network ACL, and where it stands.
    pub(super) fn acl(&mut self, value: &Value) -> Option<(SecurityGroup, Stands)> {
        const KEYS: [&str; 7] =
            ["id", "interfaces", "networks", "vpc_id", "name", "description", "rules"];
        let map = self.mapping(value, "a network ACL", &KEYS)?;
        let id = self.text(map, "id");
        let id = self.required(id, map, "id", "`acl-…`");
        let networks = self.several(map, "networks", |text| parse_cidr(text).map(one));
        let listed = map.get("interfaces").is_some_and(|value| !value.is_null());
        let interfaces = listed.then(|| {
            self.each_or_one(map, "interfaces", |r, value| {
                r.scalar(value).into_iter().collect::<Vec<_>>()
            })
        });
        let vpc_id = self.text(map, "vpc_id");
        let name = id.clone().unwrap_or_default();
        let rules = self.each(map, "rules", |r, i, value| r.acl_rule(&name, i, value));
        let acl = SecurityGroup {
            id: id?,
            layer: Layer::NetworkAcl,
            group_type: GroupType::Basic,
            inner_access_policy: Policy::Drop,
            vpc_id,
            networks,
            rules: rules.unwrap_or_default(),
        };
        Some((acl, interfaces))
    }

    /// Puts a network ACL before its interfaces: those that it names, else those in its networks, else all.
    pub(super) fn stand(
        &mut self,
        acl: usize,
        of: &SecurityGroup,
        stands: &Stands,
        (interfaces, index): (&mut [Interface], &InterfaceIndex),
    ) {
        let behind = match stands {
            Some(ids) => self.named_interfaces(acl, of, ids, index),
            None if of.networks.is_empty() => (0..interfaces.len()).collect(),
            None => of.networks.iter().flat_map(|net| index.inside(net)).collect(),
        };
        for at in behind {
            if let Some(eni) = interfaces.get_mut(at)
                && eni.groups.last() != Some(&acl)
                && eni.groups.len() < MOST_NOTED
            {
                eni.groups.push(acl);
            }
        }
    }

    /// The positions of the interfaces that a network ACL names.
    fn named_interfaces(
        &mut self,
        acl: usize,
        of: &SecurityGroup,
        ids: &[String],
        index: &InterfaceIndex,
    ) -> Vec<usize> {
        let mut found = Vec::new();
        for name in ids {
            if let Some(known) = index.by_id.get(name) {
                found.extend(known);
                continue;
            }
            // The nearest name is looked for among all.
            if self.is_full() {
                break;
            }
            let ids = index.ids.iter().map(String::as_str);
            let hint = nearest(name, ids)
                .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            let mut path = Vec::from(group_path(acl, self.security_groups));
            path.push(Segment::Key("interfaces".to_owned()));
            let message = format!("network ACL {}: there is no interface `{name}`{hint}", of.id);
            self.faults.push((path, message));
        }
        found
    }

    pub(super) fn group(&mut self, layer: Layer, value: &Value) -> Option<SecurityGroup> {
        const KEYS: [&str; 7] =
            ["id", "type", "inner_access_policy", "vpc_id", "name", "description", "rules"];
        let map = self.mapping(value, "a security group", &KEYS)?;
        let id = self.text(map, "id");
        let id = self.required(id, map, "id", "`sg-…`");
        let group_type = self.parsed(map, "type").unwrap_or(GroupType::Basic);
        let inner = self.parsed(map, "inner_access_policy");
        let inner_access_policy = inner.unwrap_or(match group_type {
            GroupType::Basic if self.cloud == Cloud::Alibaba => Policy::Accept,
            GroupType::Basic | GroupType::Enterprise => Policy::Drop,
        });
        let networks = Vec::new();
        let vpc_id = self.text(map, "vpc_id");
        let name = id.clone().unwrap_or_default();
        let rules = self.each(map, "rules", |r, i, value| r.rule(&name, i, value));
        let rules = rules.unwrap_or_default();
        Some(SecurityGroup {
            id: id?,
            layer,
            group_type,
            inner_access_policy,
            vpc_id,
            networks,
            rules,
        })
    }

    fn rule(&mut self, group: &str, position: usize, value: &Value) -> Option<Rule> {
        const KEYS: [&str; 15] = [
            "icmp",
            "targets",
            "id",
            "direction",
            "policy",
            "priority",
            "protocol",
            "ports",
            "source",
            "source_ports",
            "destination",
            "description",
            "nic_type",
            "create_time",
            "fixed",
        ];
        let map = self.mapping(value, "a rule", &KEYS)?;
        self.rule_named(map, group, position)
    }

    /// A rule of a network ACL, which has a number and may do without an id.
    fn acl_rule(&mut self, acl: &str, position: usize, value: &Value) -> Option<Rule> {
        const KEYS: [&str; 11] = [
            "number",
            "id",
            "direction",
            "policy",
            "protocol",
            "ports",
            "icmp",
            "source",
            "destination",
            "description",
            "fixed",
        ];
        let map = self.mapping(value, "a rule of a network ACL", &KEYS)?;
        let number: Option<Priority> = self.parsed(map, "number");
        let number = self.required(number, map, "number", "the lowest decides");
        let (rule, priority) = (self.rule_named(map, acl, position)?, number?);
        let id = match rule.id {
            RuleId::Numbered { .. } => RuleId::Named(of_number(rule.direction, priority)),
            named @ RuleId::Named(_) => named,
        };
        Some(Rule { id, priority, ..rule })
    }

    fn rule_named(&mut self, map: &Mapping, group: &str, position: usize) -> Option<Rule> {
        let id = match self.text(map, "id") {
            Some(id) => RuleId::Named(id),
            None => RuleId::Numbered { group: group.to_owned(), number: position + 1 },
        };
        self.about = Some(about_rule(&id, group));
        let rule = self.rule_of(map, id);
        self.about = None;
        rule
    }

    fn rule_of(&mut self, map: &Mapping, id: RuleId) -> Option<Rule> {
        let direction = self.direction(map);
        let direction = self.required(direction, map, "direction", "`ingress` or `egress`");
        let protocol: Option<RuleProtocol> = self.parsed(map, "protocol");
        let protocol =
            self.required(protocol, map, "protocol", "`tcp`, `udp`, `icmp`, …, or `all`");
        let policy = self.parsed(map, "policy").unwrap_or(Policy::Accept);
        let priority = self.parsed(map, "priority").unwrap_or(Priority::HIGHEST);
        let names = protocol.unwrap_or(RuleProtocol::All);
        let ports = self.ports(map, names);
        let source_ports = self.port_ranges(map, "source_ports", names);
        let (far, near) = match direction {
            Some(Direction::Egress) => ("destination", "source"),
            _ => ("source", "destination"),
        };
        let peers = self.peers(map, far);
        let local = match self.cloud {
            Cloud::Alibaba => {
                self.several(map, near, |text| local(near, text).map(|net| one(Peer::Cidr(net))))
            }
            _ => self.peers(map, near),
        };
        let icmp = self.under(map, "icmp", |r, value| {
            let text = r.scalar(value)?;
            r.ok(icmp(&text).ok_or_else(|| {
                format!("`{text}`: an ICMP type is `8`, or `3/4` with a code, both 0 to 255")
            }))
        });
        let targets = self.several(map, "targets", word);
        let description = self.text(map, "description");
        let nic_type: Option<NicType> = self.parsed(map, "nic_type");
        let create_time: Option<Timestamp> = self.under(map, "create_time", |r, value| {
            let text = r.scalar(value)?;
            let time = text.parse();
            r.ok(time.map_err(|_| format!("`{text}`: a time is written 2026-12-31T12:00:00Z")))
        });
        let fixed = self.parsed(map, "fixed").unwrap_or_default();
        let (direction, protocol) = (direction?, protocol?);
        Some(Rule {
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
        })
    }

    pub(super) fn direction(&mut self, map: &Mapping) -> Option<Direction> {
        self.under(map, "direction", |r, value| {
            let text = r.scalar(value)?;
            r.ok(match text.to_ascii_lowercase().as_str() {
                "ingress" => Ok(Direction::Ingress),
                "egress" => Ok(Direction::Egress),
                _ => Err(format!("`{text}`: a direction is `ingress` or `egress`")),
            })
        })
    }

    /// One side of a rule: words, or mappings where an id is no such word (`{group: web}`).
    pub(super) fn peers(&mut self, map: &Mapping, key: &str) -> Vec<Peer> {
        self.each_or_one(map, key, |r, value| match value.as_mapping() {
            Some(_) => r.peer(value).into_iter().collect(),
            None => r.words(value, |text| text.parse::<Peer>().map(one)),
        })
    }

    fn peer(&mut self, value: &Value) -> Option<Peer> {
        const KEYS: [&str; 4] = ["group", "account", "prefix_list", "tag"];
        let map = self.mapping(value, "a peer", &KEYS)?;
        let [group, account, list, tag] = KEYS.map(|key| self.text(map, key));
        match (group, list, tag) {
            (Some(id), None, None) => Some(Peer::Group(GroupRef { account, id })),
            (None, Some(id), None) => Some(Peer::PrefixList(id)),
            (None, None, Some(name)) => Some(Peer::Tag(name)),
            _ => {
                self.fault("a peer has one of the keys `group`, `prefix_list` and `tag`");
                None
            }
        }
    }

    /// The ports of a rule: words, or `{list: ID}` where the id of a port list is no such word.
    pub(super) fn ports(&mut self, map: &Mapping, protocol: RuleProtocol) -> Vec<Ports> {
        self.each_or_one(map, "ports", |r, value| match value.as_mapping() {
            Some(_) => {
                let map = r.mapping(value, "a port list", &["list"]);
                let id = map.and_then(|map| r.text(map, "list"));
                id.map(Ports::List).into_iter().collect()
            }
            None => r.words(value, |text| Ports::parse(text, protocol)),
        })
    }

    /// Port ranges of a protocol; none for any.
    pub(super) fn port_ranges(
        &mut self,
        map: &Mapping,
        key: &str,
        protocol: RuleProtocol,
    ) -> Vec<PortRange> {
        self.several(map, key, |text| match text {
            "-1/-1" | "-1" => Ok(Vec::<PortRange>::new()),
            _ => Ports::parse(text, protocol).map(|ports| {
                let range = |ports| match ports {
                    Ports::Range(range) => Some(range),
                    Ports::Any | Ports::List(_) => None,
                };
                ports.into_iter().filter_map(range).collect()
            }),
        })
    }
}

/// `8` or `3/4`.
fn icmp(text: &str) -> Option<(u8, Option<u8>)> {
    match text.split_once('/') {
        None => Some((text.parse().ok()?, None)),
        Some((kind, code)) => Some((kind.parse().ok()?, Some(code.parse().ok()?))),
    }
}

/// The near side of a rule of Alibaba Cloud takes addresses only (SEMANTICS B1).
pub(super) fn local(key: &str, text: &str) -> Result<IpNet, String> {
    match text.parse::<Peer>() {
        Ok(Peer::Cidr(net)) => Ok(net),
        Ok(Peer::Group(_) | Peer::PrefixList(_) | Peer::Tag(_)) => {
            Err(format!("`{text}`: on this side of a rule `{key}` takes addresses only"))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The way through the file to a group: those of network ACLs stand behind the security groups in the model.
pub(super) fn group_path(group: usize, security_groups: usize) -> [Segment; 2] {
    match group.checked_sub(security_groups) {
        None => [Segment::Key("security_groups".to_owned()), Segment::Index(group)],
        Some(acl) => [Segment::Key("network_acls".to_owned()), Segment::Index(acl)],
    }
}
