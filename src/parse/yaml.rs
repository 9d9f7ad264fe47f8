//! Our own rules file.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use foldhash::fast::FixedState;
use ipnet::IpNet;

use super::ParseError;
use super::error::placed;
use super::group::{InterfaceIndex, Stands, group_path};
use super::reader::{Reader, one, plain, word};
use crate::flow::Direction;
use crate::rules::{
    Cloud, Field, Interface, Invalid, Layer, Membership, NicType, Parts, PortList, PrefixList,
    Quotas, RulePlace, RuleSet, SecurityGroup, Suppression, Tag, Timeouts, nearest, parse_cidr,
    parse_cidr_as_written,
};
use crate::yaml::{self, Mapping, Segment, Value};

/// The keys of a rules file.
const KEYS: [&str; 12] = [
    "cloud",
    "membership",
    "security_groups",
    "network_acls",
    "interfaces",
    "prefix_lists",
    "port_lists",
    "tags",
    "instance_tags",
    "slb_sources",
    "carrier_ports",
    "suppressions",
];

/// Those that rules are under.
const GROUPS: [&str; 2] = ["security_groups", "network_acls"];

/// Reads a rules file. JSON being YAML, it may be written as JSON.
///
/// # Errors
/// Every fault of the file: first those of its syntax, then those of single fields and unknown keys,
/// then those that the cloud's API would refuse (SEMANTICS B1).
pub fn yaml(file: &str, text: &str) -> Result<RuleSet, ParseError> {
    yaml_with(file, text, Quotas::Apply)
}

/// The same, where the cloud's quotas may be ignored.
///
/// # Errors
/// As [`yaml()`].
pub fn yaml_with(file: &str, text: &str, quotas: Quotas) -> Result<RuleSet, ParseError> {
    let failed = |faults| ParseError::new(file, faults);
    let has_groups = GROUPS.iter().any(|key| text.contains(key));
    let document: Value = yaml::read_value(text).map_err(|error| match has_groups {
        true => failed(vec![error.into()]),
        false => ParseError::foreign(file, vec![error.into()]),
    })?;
    let mut reader = Reader::default();
    let parts = reader.document(&document);
    let mut keys = document.as_mapping().into_iter().flat_map(Mapping::keys);
    let is_foreign = !keys.any(|key| KEYS.contains(&plain(key).unwrap_or_default().as_str()));
    if !reader.faults.is_empty() {
        let faults = placed(text, reader.faults);
        return Err(if is_foreign { ParseError::foreign(file, faults) } else { failed(faults) });
    }
    // Long files come near the bounds on memory.
    drop(document);
    let parts = Parts { quotas, ..parts.unwrap_or_default() };
    RuleSet::of_parts(parts).map_err(|(described, invalid)| {
        let faults = invalid.into_iter().map(|Invalid { place, message }| {
            let about = described.about(place).map_or_else(String::new, |about| about + ": ");
            (path(place, &described, reader.security_groups), format!("{about}{message}"))
        });
        failed(placed(text, faults.collect()))
    })
}

/// The way through the file to a place in the model.
fn path(place: RulePlace, parts: &Parts, security_groups: usize) -> Vec<Segment> {
    let key = |key: &str| Segment::Key(key.to_owned());
    let group = |g| Vec::from(group_path(g, security_groups));
    let (mut path, field, direction) = match place {
        RulePlace::Groups => return vec![key("security_groups")],
        RulePlace::Group(g, field) => (group(g), field, None),
        RulePlace::Rule(g, r, field) => (
            [group(g), vec![key("rules"), Segment::Index(r)]].concat(),
            field,
            parts.groups.get(g).and_then(|group| group.rules.get(r)).map(|rule| rule.direction),
        ),
        RulePlace::Interface(i, field) => (vec![key("interfaces"), Segment::Index(i)], field, None),
        RulePlace::PrefixList(l, field) => {
            (vec![key("prefix_lists"), Segment::Index(l)], field, None)
        }
        RulePlace::PortList(l, field) => (vec![key("port_lists"), Segment::Index(l)], field, None),
    };
    let ingress = direction != Some(Direction::Egress);
    let name = match field {
        Field::Whole => return path,
        Field::Id => "id",
        Field::InnerAccessPolicy => "inner_access_policy",
        Field::Protocol => "protocol",
        Field::Policy => "policy",
        Field::Priority => match place {
            RulePlace::Rule(g, ..) if g >= security_groups => "number",
            _ => "priority",
        },
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

/// Groups by id, the first of each.
type Places<'g> = HashMap<&'g str, usize, FixedState>;

fn places(groups: &[SecurityGroup]) -> Places<'_> {
    let mut places = Places::default();
    for (place, group) in groups.iter().enumerate() {
        places.entry(group.id.as_str()).or_insert(place);
    }
    places
}

impl Reader {
    fn document(&mut self, document: &Value) -> Option<Parts> {
        if document.is_null() {
            self.fault("the file is empty");
            return None;
        }
        let top = self.mapping(document, "a rules file", &KEYS)?;
        // Older files have network ACLs alone, in the place of security groups.
        let alone = top.get("cloud").and_then(Value::as_str) == Some("aws-network-acl");
        let cloud: Cloud = match alone {
            true => Cloud::Aws,
            false => self.parsed(top, "cloud").unwrap_or_default(),
        };
        self.cloud = cloud;
        let layer = if alone { Layer::NetworkAcl } else { Layer::SecurityGroup };
        let groups = self.each(top, "security_groups", |r, _, value| r.group(layer, value));
        let acls = self.each(top, "network_acls", |r, _, value| r.acl(value));
        let groups = match acls.is_some() && !top.contains_key("security_groups") {
            true => Vec::new(),
            false => self.required(
                groups,
                top,
                "security_groups",
                "the groups whose rules are to be judged",
            )?,
        };
        self.security_groups = groups.len();
        let (acls, stands): (Vec<SecurityGroup>, Vec<Stands>) =
            acls.unwrap_or_default().into_iter().unzip();
        let places = places(&groups);
        let mut interfaces =
            self.each(top, "interfaces", |r, _, value| r.interface(value, &groups, &places));
        let mut groups = groups;
        let index = interfaces.as_deref().filter(|_| !acls.is_empty()).map(InterfaceIndex::new);
        for (acl, stands) in acls.into_iter().zip(stands) {
            if let (Some(interfaces), Some(index)) = (&mut interfaces, &index) {
                self.stand(groups.len(), &acl, &stands, (interfaces, index));
            }
            groups.push(acl);
        }
        let membership = self.under(top, "membership", |r, value| match r.scalar(value)?.as_str() {
            "unknown" if interfaces.is_none() => Some(Membership::Unknown),
            "partial" if interfaces.is_some() => Some(Membership::Partial),
            "unknown" => {
                r.fault(
                    "the file lists interfaces; `partial` says that there are others, and no line that there are none",
                );
                None
            }
            "partial" => {
                r.fault("the file lists no interfaces; `unknown` says that each group is judged by itself");
                None
            }
            other => {
                r.fault(format_args!(
                    "`{other}`: it is `unknown`, where nobody has said which groups an interface has, or `partial`, \
                     where there are other interfaces than those that are listed; a group is judged by itself then"
                ));
                None
            }
        });
        let (prefix_lists, port_lists, tags) = self.lists(top);
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
            prefix_lists,
            port_lists,
            tags,
            instance_tags,
            slb_sources,
            carrier_ports,
            membership: membership.unwrap_or_default(),
            suppressions: suppressions.unwrap_or_default(),
            incomplete: Vec::new(),
            quotas: Quotas::Apply,
        })
    }

    /// Named lists of networks and of ports, and what tags stand for.
    fn lists(&mut self, top: &Mapping) -> (Vec<PrefixList>, Vec<PortList>, Vec<Tag>) {
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
        (prefix_lists.unwrap_or_default(), port_lists.unwrap_or_default(), tags.unwrap_or_default())
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

    fn interface(
        &mut self,
        value: &Value,
        groups: &[SecurityGroup],
        places: &Places<'_>,
    ) -> Option<Interface> {
        const KEYS: [&str; 8] = [
            "id",
            "addresses",
            "security_groups",
            "subnet",
            "timeouts",
            "nic_type",
            "tags",
            "description",
        ];
        let map = self.mapping(value, "an interface", &KEYS)?;
        let id = self.text(map, "id");
        let id = self.required(id, map, "id", "`eni-…`");
        let addresses: Vec<IpNet> =
            self.several(map, "addresses", |text| parse_cidr_as_written(text).map(one));
        let known = |text: &str| places.get(text).copied();
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
        let subnet = self.several(map, "subnet", |text| parse_cidr(text).map(one));
        Some(Interface { id: id?, addresses, groups: mine, subnet, timeouts, nic_type, tags })
    }

    fn timeouts(&mut self, value: &Value) -> Option<Timeouts> {
        const KEYS: [&str; 7] =
            ["tcp_opening", "tcp_established", "tcp_closed", "udp", "udp_stream", "icmp", "other"];
        let map = self.mapping(value, "timeouts", &KEYS)?;
        let mut timeouts = self.cloud.timeouts();
        let mut stream = Duration::ZERO;
        let Timeouts { tcp_opening, tcp_established, tcp_closed, udp, udp_stream, icmp, other } =
            &mut timeouts;
        let settings = [tcp_opening, tcp_established, tcp_closed, udp, &mut stream, icmp, other];
        for (key, setting) in KEYS.into_iter().zip(settings) {
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
        if map.get("udp_stream").is_some() {
            *udp_stream = Some(stream);
        }
        Some(timeouts)
    }
}
