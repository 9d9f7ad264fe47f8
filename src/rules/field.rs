//! One type per field of a rule; each can only hold what the API accepts (SEMANTICS A2).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::flow::Protocol;

/// A value that the API would refuse: what was found, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found}: {expected}")]
pub struct FieldError {
    /// What was found, quoted.
    pub found: String,
    /// What would be right.
    pub expected: String,
}

impl FieldError {
    pub(super) fn new(found: &str, expected: impl Into<String>) -> Self {
        Self { found: format!("`{found}`"), expected: expected.into() }
    }
}

/// What a rule does: the rule's word, never the answer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Policy {
    /// Sorts first at equal priority (SEMANTICS A4).
    Drop,
    /// Lets the packet pass.
    Accept,
}

impl Policy {
    /// The word in a rules file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Accept => "accept",
        }
    }
}

impl FromStr for Policy {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        match text.to_ascii_lowercase().as_str() {
            "accept" => Ok(Self::Accept),
            "drop" => Ok(Self::Drop),
            _ => Err(FieldError::new(text, "a policy is `accept` or `drop`")),
        }
    }
}

/// Smaller first. Which numbers there are is the cloud's: [`Cloud::priorities`](super::Cloud::priorities).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u32);

impl Priority {
    /// The default.
    pub const HIGHEST: Self = Self(1);
    /// What new rules of Alibaba Cloud have at the other end.
    pub const LOWEST: Self = Self(100);

    /// The priority of a number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl FromStr for Priority {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let number = text.trim().parse().map(Self);
        number.map_err(|_| {
            FieldError::new(text, "a priority is a number, and the smallest comes first")
        })
    }
}

/// Basic (API: `normal`) or enterprise (older pages: advanced).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupType {
    /// Egress is allowed unless a rule drops it.
    Basic,
    /// Egress is denied unless a rule accepts it, and members are isolated from each other.
    Enterprise,
}

impl FromStr for GroupType {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        match text.to_ascii_lowercase().as_str() {
            "basic" | "normal" => Ok(Self::Basic),
            "enterprise" | "advanced" => Ok(Self::Enterprise),
            _ => Err(FieldError::new(text, "a type is `basic` or `enterprise`")),
        }
    }
}

/// The two network cards of the retired classic network (SEMANTICS A10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NicType {
    /// The internal card; the only one in a VPC.
    Intranet,
    /// The card with the public address.
    Internet,
}

impl FromStr for NicType {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        match text.to_ascii_lowercase().as_str() {
            "intranet" => Ok(Self::Intranet),
            "internet" => Ok(Self::Internet),
            _ => Err(FieldError::new(text, "a nic_type is `intranet` or `internet`")),
        }
    }
}

/// The protocol of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleProtocol {
    /// Every IP protocol, those without ports too (SEMANTICS A3).
    All,
    /// This one.
    Only(Protocol),
}

impl RuleProtocol {
    /// Those that the cloud names (SEMANTICS A2); others are written as numbers.
    const NAMED: [Protocol; 5] =
        [Protocol::TCP, Protocol::UDP, Protocol::ICMP, Protocol::ICMPV6, Protocol::GRE];

    /// Whether a packet of this protocol fits.
    pub fn matches(self, proto: Protocol) -> bool {
        match self {
            Self::All => true,
            Self::Only(only) => only == proto,
        }
    }

    /// Whether rules of this protocol have ports (TCP and UDP only, SEMANTICS A2).
    pub fn has_ports(self) -> bool {
        matches!(self, Self::Only(Protocol::TCP | Protocol::UDP))
    }
}

impl FromStr for RuleProtocol {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        if text.eq_ignore_ascii_case("all") {
            return Ok(Self::All);
        }
        let proto = match text.parse::<u8>() {
            Ok(number) => Some(Protocol(number)),
            Err(_) => Protocol::from_name(text).filter(|proto| Self::NAMED.contains(proto)),
        };
        proto.map(Self::Only).ok_or_else(|| {
            let expected = "a protocol is `tcp`, `udp`, `icmp`, `icmpv6`, `gre`, `all` or a number \
                            0 to 255 (InvalidIpProtocol.ValueNotSupported)";
            FieldError::new(text, expected)
        })
    }
}

impl fmt::Display for RuleProtocol {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.pad("all"),
            Self::Only(proto) if Self::NAMED.contains(proto) => proto.fmt(f),
            Self::Only(proto) => f.pad(&proto.0.to_string()),
        }
    }
}

/// Ports from `first` to `last`, both included, first ≤ last. Alibaba Cloud has no port 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// The range, if it is one.
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if first <= last { Some(Self { first, last }) } else { None }
    }

    /// The lowest port.
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    pub const fn last(self) -> u16 {
        self.last
    }

    /// Whether the port lies in it.
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

impl FromStr for PortRange {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let expected = "a port range is `22/22` or `8000/8999`, 1 to 65535, the lower port first \
                        (InvalidParam.PortRange)";
        let number = |part: &str| part.trim().parse::<u16>().ok();
        let (first, last) = text.split_once('/').unwrap_or((text, text));
        let (Some(first), Some(last)) = (number(first), number(last)) else {
            return Err(FieldError::new(text, expected));
        };
        Self::new(first, last).ok_or_else(|| {
            FieldError::new(
                text,
                format!("the range is reversed; write `{last}/{first}` (InvalidParam.PortRange)"),
            )
        })
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.last)
    }
}

/// A reference to a security group, ours or another account's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupRef {
    /// The other account, in `account/sg-…`.
    pub account: Option<String>,
    /// `sg-…`.
    pub id: String,
}

impl fmt::Display for GroupRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.account {
            Some(account) => write!(f, "{account}/{}", self.id),
            None => f.write_str(&self.id),
        }
    }
}

/// The far side of a rule ("authorization object").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// Addresses of one family.
    Cidr(IpNet),
    /// The private addresses of a group's members.
    Group(GroupRef),
    /// `pl-…`.
    PrefixList(String),
    /// `tag:…`: the interfaces that carry a tag, or the addresses that the tag is defined to be.
    Tag(String),
}

impl FromStr for Peer {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let text = text.trim();
        if text.starts_with("sg-") {
            return Ok(Self::Group(GroupRef { account: None, id: text.to_owned() }));
        }
        if text.starts_with("pl-") {
            return Ok(Self::PrefixList(text.to_owned()));
        }
        if let Some(name) = text.strip_prefix("tag:").filter(|name| !name.is_empty()) {
            return Ok(Self::Tag(name.to_owned()));
        }
        if let Some((account, id)) = text.split_once('/')
            && id.starts_with("sg-")
            && !account.is_empty()
        {
            let account = Some(account.to_owned());
            return Ok(Self::Group(GroupRef { account, id: id.to_owned() }));
        }
        parse_cidr_as_written(text).map(Self::Cidr).map_err(|_| {
            let expected = "a peer is a CIDR (`203.0.113.0/24`, `2001:db8::/32`), an address, a group \
                            (`sg-…`, `account/sg-…`) or a prefix list (`pl-…`)";
            FieldError::new(text, if means_any(text) { ANY_ADDRESS } else { expected })
        })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cidr(net) => write!(f, "{net}"),
            Self::Group(group) => write!(f, "{group}"),
            Self::PrefixList(id) => f.write_str(id),
            Self::Tag(name) => write!(f, "tag:{name}"),
        }
    }
}

/// Reads a CIDR or a bare address (/32 or /128); host bits are accepted and masked (SEMANTICS A2).
///
/// # Errors
/// When the text is neither.
pub fn parse_cidr(text: &str) -> Result<IpNet, FieldError> {
    parse_cidr_as_written(text).map(|net| net.trunc())
}

/// The same with its host bits; [`RuleSet::new`](super::RuleSet::new) masks them.
///
/// # Errors
/// When the text is neither.
pub fn parse_cidr_as_written(text: &str) -> Result<IpNet, FieldError> {
    let text = text.trim();
    let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    net.ok_or_else(|| {
        let expected = "an address is `10.0.0.5`, `10.0.0.0/24`, `2001:db8::5` or `2001:db8::/32`";
        FieldError::new(text, if means_any(text) { ANY_ADDRESS } else { expected })
    })
}

/// What [`parse_cidr`] reads: a single address alone, without the /32 or /128 that says nothing.
pub fn cidr_text(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

const ANY_ADDRESS: &str = "any IPv4 address is `0.0.0.0/0`, any IPv6 address `::/0`";

/// Whether a text is how other tools write any address.
fn means_any(text: &str) -> bool {
    let words = ["any", "all", "*", "0/0", "internet", "everywhere", "anywhere"];
    words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Longer names, and more of them, are not compared with what was typed.
const LONGEST_NAME: usize = 128;
const MOST_NAMES: usize = 1000;

/// The known name that a mistyped one most resembles, if any does.
pub(crate) fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A likeness costs the product of both lengths, and is asked for once a fault.
    let short = |name: &str| name.len() <= LONGEST_NAME;
    if !short(typed) {
        return None;
    }
    let typed = typed.to_lowercase();
    known
        .take(MOST_NAMES)
        .filter(|name| short(name))
        .map(|name| {
            let known = name.to_lowercase();
            let swapped = strsim::osa_distance(&typed, &known) == 1 && known.len() > 2;
            (if swapped { 1.0 } else { strsim::jaro_winkler(&typed, &known) }, name)
        })
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `pim` and `sctp` were written by name, which no rules file may.
    #[test]
    fn a_protocol_is_read_as_it_is_written() {
        for protocol in (0..=255).map(|number| RuleProtocol::Only(Protocol(number))) {
            assert_eq!(protocol.to_string().parse(), Ok(protocol));
        }
    }
}
