//! Our own rules file.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;

use super::ParseError;
use super::error::{MOST_FAULTS, Unplaced, placed};
use crate::flow::Direction;
use crate::rules::{
    Cloud, Field, GroupRef, GroupType, Interface, Invalid, Membership, NicType, Parts, Peer, Place,
    Policy, PortList, PortRange, Ports, PrefixList, Priority, Rule, RuleId, RuleProtocol, RuleSet,
    SecurityGroup, Suppression, Tag, Timeouts, about_rule, nearest, parse_cidr,
    parse_cidr_as_written,
};
use crate::yaml::{self, Mapping, Segment, Value};

/// Reads a rules file. JSON being YAML, it may be written as JSON.
///
/// # Errors
/// Every fault of the file: first those of its syntax, then those of single fields and unknown keys,
/// then those that the cloud's API would refuse (SEMANTICS B1).
pub fn yaml(file: &str, text: &str) -> Result<RuleSet, ParseError> {
    let failed = |faults| ParseError { file: file.to_owned(), faults };
    let document: Value = yaml::read(text).map_err(|error| failed(vec![error.into()]))?;
    let mut reader = Reader::default();
    let parts = reader.document(&document);
    if !reader.faults.is_empty() {
        return Err(failed(placed(text, reader.faults)));
    }
    let parts = parts.unwrap_or_default();
    let described = parts.clone();
    RuleSet::new(parts).map_err(|invalid| {
        let faults = invalid.into_iter().map(|Invalid { place, message }| {
            let about = described.about(place).map_or_else(String::new, |about| about + ": ");
            (path(place, &described), format!("{about}{message}"))
        });
        failed(placed(text, faults.collect()))
    })
}

/// The way through the file to a place in the model.
fn path(place: Place, parts: &Parts) -> Vec<Segment> {
    let key = |key: &str| Segment::Key(key.to_owned());
    let (mut path, field, direction) = match place {
        Place::Groups => return vec![key("security_groups")],
        Place::Group(g, field) => (vec![key("security_groups"), Segment::Index(g)], field, None),
        Place::Rule(g, r, field) => (
            vec![key("security_groups"), Segment::Index(g), key("rules"), Segment::Index(r)],
            field,
            parts.groups.get(g).and_then(|group| group.rules.get(r)).map(|rule| rule.direction),
        ),
        Place::Interface(i, field) => (vec![key("interfaces"), Segment::Index(i)], field, None),
        Place::PrefixList(l, field) => (vec![key("prefix_lists"), Segment::Index(l)], field, None),
        Place::PortList(l, field) => (vec![key("port_lists"), Segment::Index(l)], field, None),
    };
    let ingress = direction != Some(Direction::Egress);
    let name = match field {
        Field::Whole => return path,
        Field::Id => "id",
        Field::InnerAccessPolicy => "inner_access_policy",
        Field::Protocol => "protocol",
        Field::Policy => "policy",
        Field::Priority => "priority",
        Field::Icmp => "icmp",
        Field::Targets => "targets",
        Field::Ports => "ports",
        Field::SourcePorts => "source_ports",
        Field::Peer if ingress => "source",
        Field::Peer => "destination",
        Field::Local if ingress => "destination",
        Field::Local => "source",
        Field::Description => "description",
        Field::NicType => "nic_type",
        Field::Addresses => "addresses",
        Field::SecurityGroups => "security_groups",
        Field::Entries => "entries",
        Field::Timeouts(setting) => {
            path.extend([key("timeouts"), key(setting)]);
            return path;
        }
    };
    path.push(key(name));
    path
}

/// Walks the document, keeps going after a fault, and remembers the way to each.
#[derive(Default)]
pub(super) struct Reader {
    path: Vec<Segment>,
    /// The rule that is being read.
    about: Option<String>,
    /// Whose rules they are.
    cloud: Cloud,
    pub(super) faults: Vec<Unplaced>,
}

impl Reader {
    /// Whether so much is wrong that the rest is not looked at.
    fn is_full(&self) -> bool {
        self.faults.len() >= MOST_FAULTS
    }

    pub(super) fn fault(&mut self, message: impl Display) {
        let about = self.about.as_ref().map_or_else(String::new, |about| format!("{about}: "));
        self.faults.push((self.path.clone(), format!("{about}{message}")));
    }

    /// Does something one step further down.
    pub(super) fn at<T>(&mut self, step: Segment, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step);
        let value = read(self);
        self.path.pop();
        value
    }

    /// A mapping with no keys but these.
    pub(super) fn mapping<'v>(
        &mut self,
        value: &'v Value,
        what: &str,
        keys: &[&str],
    ) -> Option<&'v Mapping> {
        let Some(mapping) = value.as_mapping() else {
            self.fault(format_args!("{what} is expected here, with the keys {}", list(keys)));
            return None;
        };
        for key in mapping.keys() {
            let name = plain(key).unwrap_or_default();
            if !keys.contains(&name.as_str()) && !self.is_full() {
                let hint = match nearest(&name, keys.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("{what} has the keys {}", list(keys)),
                };
                self.at(Segment::Name(name.clone()), |r| {
                    r.fault(format_args!("unknown key `{name}`; {hint}"));
                });
            }
        }
        Some(mapping)
    }

    /// Reads what is under a key; absent and `null` are alike.
    pub(super) fn under<T>(
        &mut self,
        mapping: &Mapping,
        key: &str,
        read: impl FnOnce(&mut Self, &Value) -> Option<T>,
    ) -> Option<T> {
        let value = mapping.get(key).filter(|value| !value.is_null())?;
        self.at(Segment::Key(key.to_owned()), |r| read(r, value))
    }

    pub(super) fn text(&mut self, mapping: &Mapping, key: &str) -> Option<String> {
        self.under(mapping, key, Self::scalar)
    }

    pub(super) fn scalar(&mut self, value: &Value) -> Option<String> {
        let text = plain(value);
        if text.is_none() {
            self.fault("a single value is expected here");
        }
        text
    }

    /// A value that reads itself from text.
    pub(super) fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        mapping: &Mapping,
        key: &str,
    ) -> Option<T> {
        self.under(mapping, key, |r, value| {
            let text = r.scalar(value)?;
            r.ok(text.parse())
        })
    }

    pub(super) fn ok<T, E: Display>(&mut self, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.fault(error)).ok()
    }

    pub(super) fn required<T>(
        &mut self,
        found: Option<T>,
        mapping: &Mapping,
        key: &str,
        what: &str,
    ) -> Option<T> {
        if found.is_some() || mapping.get(key).is_some_and(|value| !value.is_null()) {
            return found;
        }
        // A mistyped key was named as such, and the file is refused for it.
        let mut of_this =
            self.faults.iter().rev().take_while(|(path, _)| path.starts_with(&self.path));
        let mistyped = of_this.any(|(path, _)| match path.split_last() {
            Some((Segment::Name(name), above)) => {
                above == self.path && nearest(name, std::iter::once(key)) == Some(key)
            }
            _ => false,
        });
        if !mistyped {
            self.fault(format_args!("missing key `{key}`: {what}"));
        }
        found
    }

    /// A list, each element with its position.
    pub(super) fn each<T>(
        &mut self,
        mapping: &Mapping,
        key: &str,
        mut read: impl FnMut(&mut Self, usize, &Value) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.under(mapping, key, |r, value| {
            let Some(list) = value.as_sequence() else {
                r.fault("a list is expected here");
                return None;
            };
            let mut found = Vec::with_capacity(list.len());
            for (i, value) in list.iter().enumerate() {
                if r.is_full() {
                    break;
                }
                found.extend(r.at(Segment::Index(i), |r| read(r, i, value)));
            }
            Some(found)
        })
    }

    /// One value, several separated by commas, or a list of them, as the console takes them.
    pub(super) fn several<T, E: Display>(
        &mut self,
        mapping: &Mapping,
        key: &str,
        parse: impl Fn(&str) -> Result<Vec<T>, E>,
    ) -> Vec<T> {
        self.each_or_one(mapping, key, |r, value| r.words(value, &parse))
    }

    /// One value, or each of a list.
    fn each_or_one<T>(
        &mut self,
        mapping: &Mapping,
        key: &str,
        mut read: impl FnMut(&mut Self, &Value) -> Vec<T>,
    ) -> Vec<T> {
        let found = self.under(mapping, key, |r, value| {
            Some(match value.as_sequence() {
                None => read(r, value),
                Some(list) => {
                    let mut all = Vec::new();
                    for (i, value) in list.iter().enumerate() {
                        if r.is_full() {
                            break;
                        }
                        all.extend(r.at(Segment::Index(i), |r| read(r, value)));
                    }
                    all
                }
            })
        });
        found.unwrap_or_default()
    }

    /// The words of a value, with commas between.
    fn words<T, E: Display>(
        &mut self,
        value: &Value,
        parse: impl Fn(&str) -> Result<Vec<T>, E>,
    ) -> Vec<T> {
        let text = self.scalar(value).unwrap_or_default();
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let mut all = Vec::new();
        for part in parts {
            if self.is_full() {
                break;
            }
            all.extend(self.ok(parse(part)).unwrap_or_default());
        }
        all
    }

    fn document(&mut self, document: &Value) -> Option<Parts> {
        const KEYS: [&str; 11] = [
            "cloud",
            "membership",
            "security_groups",
            "interfaces",
            "prefix_lists",
            "port_lists",
            "tags",
            "instance_tags",
            "slb_sources",
            "carrier_ports",
            "suppressions",
        ];
        if document.is_null() {
            self.fault("the file is empty; a rules file starts with `security_groups:`");
            return None;
        }
        let top = self.mapping(document, "a rules file", &KEYS)?;
        let cloud: Cloud = self.parsed(top, "cloud").unwrap_or_default();
        self.cloud = cloud;
        let groups = self.each(top, "security_groups", Self::group);
        let groups = self.required(
            groups,
            top,
            "security_groups",
            "the groups whose rules are to be judged",
        )?;
        let interfaces = self.each(top, "interfaces", |r, i, value| r.interface(i, value, &groups));
        let membership = self.under(top, "membership", |r, value| match r.scalar(value)?.as_str() {
            "unknown" if interfaces.is_none() => Some(Membership::Unknown),
            "unknown" => {
                r.fault("the file lists interfaces, so it is known which groups each has");
                None
            }
            other => {
                r.fault(format_args!(
                    "`{other}`: it is `unknown`, where nobody has said which groups an interface has; each group \
                     is judged by itself then"
                ));
                None
            }
        });
        let prefix_lists = self.each(top, "prefix_lists", |r, _, value| {
            let map =
                r.mapping(value, "a prefix list", &["id", "entries", "name", "description"])?;
            let id = r.text(map, "id");
            let id = r.required(id, map, "id", "`pl-…`")?;
            Some(PrefixList {
                id,
                entries: r.several(map, "entries", |text| parse_cidr_as_written(text).map(one)),
            })
        });
        let port_lists = self.each(top, "port_lists", |r, _, value| {
            let map = r.mapping(value, "a port list", &["id", "entries", "name", "description"])?;
            let id = r.text(map, "id");
            let id = r.required(id, map, "id", "`prl-…`")?;
            Some(PortList { id, entries: r.several(map, "entries", |text| text.parse().map(one)) })
        });
        let tags = self.each(top, "tags", |r, _, value| {
            let map = r.mapping(value, "a tag", &["name", "entries", "description"])?;
            let name = r.text(map, "name");
            let name = r.required(name, map, "name", "as in `tag:NAME`")?;
            Some(Tag { name, entries: r.several(map, "entries", |text| parse_cidr(text).map(one)) })
        });
        let says_tags = top.get("instance_tags").is_some_and(|value| !value.is_null());
        let instance_tags = says_tags.then(|| self.several(top, "instance_tags", word));
        let port = |text: &str| text.parse().map(one).map_err(|_| format!("`{text}` is no port"));
        let listed = top.get("carrier_ports").is_some_and(|value| !value.is_null());
        let carrier_ports = listed.then(|| self.several(top, "carrier_ports", port));
        let slb_sources = self.several(top, "slb_sources", |text| parse_cidr(text).map(one));
        let rules = groups.iter().flat_map(|group| &group.rules);
        let ids: BTreeSet<String> = match top.get("suppressions") {
            Some(_) => rules.map(|rule| rule.id.to_string()).collect(),
            None => BTreeSet::new(),
        };
        let suppressions = self.each(top, "suppressions", |r, _, value| r.suppression(value, &ids));
        Some(Parts {
            cloud,
            groups,
            interfaces,
            prefix_lists: prefix_lists.unwrap_or_default(),
            port_lists: port_lists.unwrap_or_default(),
            tags: tags.unwrap_or_default(),
            instance_tags,
            slb_sources,
            carrier_ports,
            membership: membership.unwrap_or_default(),
            suppressions: suppressions.unwrap_or_default(),
            incomplete: Vec::new(),
        })
    }

    fn suppression(&mut self, value: &Value, ids: &BTreeSet<String>) -> Option<Suppression> {
        let map = self.mapping(value, "a suppression", &["code", "rule", "reason", "until"])?;
        let code = self.parsed(map, "code");
        let code = self.required(code, map, "code", "of a finding, as `check` prints it");
        let rule = self.under(map, "rule", |r, value| {
            let wanted = r.scalar(value)?;
            if !ids.contains(&wanted) {
                r.fault(match nearest(&wanted, ids.iter().map(String::as_str)) {
                    Some(near) => format!("there is no rule `{wanted}`; did you mean `{near}`?"),
                    None => format!("there is no rule `{wanted}`"),
                });
            }
            Some(wanted)
        });
        let reason = self.text(map, "reason").filter(|text| !text.trim().is_empty());
        let reason = self.required(reason, map, "reason", "why the finding is accepted");
        let until = self.under(map, "until", |r, value| {
            let text = r.scalar(value)?;
            let day = text.parse();
            r.ok(day.map_err(|_| format!("`{text}`: a day is written 2026-12-31")))
        });
        Some(Suppression { code: code?, rule, reason: reason?, until })
    }

    fn group(&mut self, _: usize, value: &Value) -> Option<SecurityGroup> {
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
        let vpc_id = self.text(map, "vpc_id");
        let name = id.clone().unwrap_or_default();
        let rules = self.each(map, "rules", |r, i, value| r.rule(&name, i, value));
        let rules = rules.unwrap_or_default();
        Some(SecurityGroup { id: id?, group_type, inner_access_policy, vpc_id, rules })
    }

    fn rule(&mut self, group: &str, position: usize, value: &Value) -> Option<Rule> {
        const KEYS: [&str; 14] = [
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
        ];
        let map = self.mapping(value, "a rule", &KEYS)?;
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

    fn interface(
        &mut self,
        _: usize,
        value: &Value,
        groups: &[SecurityGroup],
    ) -> Option<Interface> {
        const KEYS: [&str; 7] =
            ["id", "addresses", "security_groups", "timeouts", "nic_type", "tags", "description"];
        let map = self.mapping(value, "an interface", &KEYS)?;
        let id = self.text(map, "id");
        let id = self.required(id, map, "id", "`eni-…`");
        let addresses: Vec<IpNet> =
            self.several(map, "addresses", |text| parse_cidr_as_written(text).map(one));
        let known = |text: &str| groups.iter().position(|group| group.id == text);
        let find = |text: &str| {
            known(text).map(one).ok_or_else(|| {
                let ids = groups.iter().map(|group| group.id.as_str());
                match nearest(text, ids) {
                    Some(near) => {
                        format!("there is no security group `{text}`; did you mean `{near}`?")
                    }
                    None => format!("there is no security group `{text}` in this file"),
                }
            })
        };
        // An id may have a comma in it.
        let mine = self.each_or_one(map, "security_groups", |r, value| {
            let whole = plain(value).and_then(|text| known(&text));
            whole.map_or_else(|| r.words(value, find), one)
        });
        let timeouts = self.under(map, "timeouts", Self::timeouts);
        let timeouts = timeouts.unwrap_or_else(|| self.cloud.timeouts());
        let nic_type = self.parsed(map, "nic_type").unwrap_or(NicType::Intranet);
        let tags = self.several(map, "tags", word);
        Some(Interface { id: id?, addresses, groups: mine, timeouts, nic_type, tags })
    }

    fn timeouts(&mut self, value: &Value) -> Option<Timeouts> {
        const KEYS: [&str; 6] =
            ["tcp_opening", "tcp_established", "tcp_closed", "udp", "icmp", "other"];
        let map = self.mapping(value, "timeouts", &KEYS)?;
        let mut timeouts = self.cloud.timeouts();
        let Timeouts { tcp_opening, tcp_established, tcp_closed, udp, icmp, other } = &mut timeouts;
        for (key, setting) in
            KEYS.into_iter().zip([tcp_opening, tcp_established, tcp_closed, udp, icmp, other])
        {
            let seconds = self.under(map, key, |r, value| {
                let text = r.scalar(value)?;
                r.ok(text
                    .parse()
                    .map_err(|_| format!("`{text}`: a timeout is a number of seconds")))
            });
            if let Some(seconds) = seconds {
                *setting = Duration::from_secs(seconds);
            }
        }
        Some(timeouts)
    }
}

/// A scalar as it is written; an id or a port may look like a number.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_) => None,
    }
}

pub(super) fn one<T>(value: T) -> Vec<T> {
    vec![value]
}

/// As it is.
#[expect(clippy::unnecessary_wraps, reason = "as those that can fail")]
fn word(text: &str) -> Result<Vec<String>, String> {
    Ok(vec![text.to_owned()])
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

fn list(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}
