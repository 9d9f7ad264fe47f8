//! Which packets to look at: the usual subset of pcap-filter.
//!
//! Like `tcpdump`, `and` and `or` bind alike and to the left, `not` binds closer, and a bare value
//! takes the qualifiers of the one before it (`tcp port 80 or 443`). Unlike `tcpdump`, the filter
//! sees the decoded tuple: VLAN tags need no `vlan`, and `tcp` looks past IPv6 extension headers.
//!
//! ```
//! use sgreplay::filter::Filter;
//!
//! let filter = Filter::parse("tcp port 443 and not net 10.0.0.0/8")?;
//! let error = Filter::parse("tcp port https and vlan 5").unwrap_err();
//! assert_eq!(error.at, 19..23);
//! # Ok::<(), sgreplay::filter::FilterError>(())
//! ```

use std::fmt;
use std::net::IpAddr;
use std::ops::{Range, RangeInclusive};

use ipnet::IpNet;

use crate::escape;
use crate::flow::{FlowTuple, Packet, Protocol};
use crate::rules::{parse_cidr, services};

/// A filter that could be read.
#[derive(Clone, Debug)]
pub struct Filter {
    expr: Expr,
}

/// A filter that could not: what, and where in its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// The whole filter.
    pub text: String,
    /// The bytes that are wrong.
    pub at: Range<usize>,
    /// What was found, and what would be right.
    pub message: String,
}

/// So many bytes of a filter are shown before and behind a fault.
const SHOWN: usize = 120;

impl fmt::Display for FilterError {
    /// The message, and the filter with the fault underlined.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, at, message } = self;
        let part = |range: Range<usize>| text.get(range).unwrap_or_default();
        // Of a long filter what stands around the fault.
        let from = text.floor_char_boundary(at.start.saturating_sub(SHOWN));
        let end = text.floor_char_boundary(at.end.min(at.start.saturating_add(SHOWN)));
        let to = text.ceil_char_boundary(end.saturating_add(SHOWN));
        let before = match from {
            0 => part(0..at.start).to_owned(),
            _ => format!("… {}", part(from..at.start)),
        };
        let after = if to < text.len() { " …" } else { "" };
        let [before, found, rest] =
            [before.as_str(), part(at.start..end), part(end..to)].map(|text| escape::line(text));
        writeln!(f, "{}\n  {before}{found}{rest}{after}", escape::line(message))?;
        let (column, width) = (before.chars().count(), found.chars().count().max(1));
        write!(f, "  {}{}", " ".repeat(column), "^".repeat(width))
    }
}

impl std::error::Error for FilterError {}

/// Factors joined from left to right: a chain is a list, so that its length costs no stack.
#[derive(Clone, Debug)]
struct Expr {
    first: Factor,
    rest: Vec<(Join, Factor)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Join {
    And,
    Or,
}

#[derive(Clone, Debug)]
struct Factor {
    negated: bool,
    of: Operand,
}

#[derive(Clone, Debug)]
enum Operand {
    Test(Qualifiers, Value),
    /// What stands in parentheses.
    Group(Box<Expr>),
}

/// What stands before a value; all optional.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Qualifiers {
    proto: Option<Proto>,
    side: Side,
    kind: Option<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proto {
    Ip,
    Ip6,
    Transport(Protocol),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Side {
    Src,
    Dst,
    #[default]
    Either,
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Host,
    Net,
    Port,
    PortRange,
    Proto,
}

#[derive(Clone, Debug)]
enum Value {
    /// A protocol alone.
    None,
    Net(IpNet),
    Ports(Vec<RangeInclusive<u16>>),
    Proto(Protocol),
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// When the text is not a filter, or one that only pcap-filter knows.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let mut parser =
            Parser { text, tokens: tokens(text), at: 0, last: None, depth: 0, terms: 0 };
        let expr = parser.expression()?;
        match parser.peek() {
            None => Ok(Self { expr }),
            Some(_) => Err(parser.error("`and`, `or` or the end of the filter")),
        }
    }

    /// Whether the filter chooses an ARP frame between these protocol addresses: as in libpcap, `host` and `net`
    /// look at them, and nothing else is true of it but `not`.
    pub fn matches_arp(&self, sender: IpAddr, target: IpAddr) -> bool {
        self.expr.holds(&|qualifiers, value| match value {
            Value::Net(net) if qualifiers.proto.is_none() => {
                qualifiers.side.selects(net.contains(&sender), net.contains(&target))
            }
            _ => false,
        })
    }

    /// Whether the filter chooses the packet. Of a frame without one, nothing is true but `not`.
    pub fn matches(&self, packet: Option<&Packet>) -> bool {
        self.expr.matches(packet.map(|packet| &packet.flow))
    }
}

impl Expr {
    fn matches(&self, flow: Option<&FlowTuple>) -> bool {
        self.holds(&|qualifiers, value| {
            flow.is_some_and(|flow| {
                qualifiers.match_proto(flow) && value.matches(flow, qualifiers.side)
            })
        })
    }

    /// Whether the expression holds where its tests hold as `test` says.
    #[inline]
    fn holds(&self, test: &impl Fn(&Qualifiers, &Value) -> bool) -> bool {
        self.rest.iter().fold(self.first.holds(test), |so_far, (join, factor)| match join {
            Join::And => so_far && factor.holds(test),
            Join::Or => so_far || factor.holds(test),
        })
    }
}

impl Factor {
    fn holds(&self, test: &impl Fn(&Qualifiers, &Value) -> bool) -> bool {
        let holds = match &self.of {
            Operand::Group(inner) => inner.holds(test),
            Operand::Test(qualifiers, value) => test(qualifiers, value),
        };
        holds != self.negated
    }
}

impl Qualifiers {
    fn match_proto(self, flow: &FlowTuple) -> bool {
        match self.proto {
            None => true,
            Some(Proto::Ip) => flow.src.is_ipv4(),
            Some(Proto::Ip6) => flow.src.is_ipv6(),
            Some(Proto::Transport(proto)) => flow.proto == proto,
        }
    }
}

impl Side {
    fn selects(self, src: bool, dst: bool) -> bool {
        match self {
            Self::Src => src,
            Self::Dst => dst,
            Self::Either => src || dst,
            Self::Both => src && dst,
        }
    }
}

impl Value {
    fn matches(&self, flow: &FlowTuple, side: Side) -> bool {
        match self {
            Self::None => true,
            Self::Net(net) => side.selects(net.contains(&flow.src), net.contains(&flow.dst)),
            Self::Proto(proto) => flow.proto == *proto,
            Self::Ports(ranges) => flow.transport.ports().is_some_and(|(src, dst)| {
                let holds = |port| ranges.iter().any(|range| range.contains(&port));
                side.selects(holds(src), holds(dst))
            }),
        }
    }
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Range<usize>>,
    at: usize,
    /// The qualifiers of the test before, for `port 80 or 443`.
    last: Option<Qualifiers>,
    depth: usize,
    terms: usize,
}

/// Parentheses may nest this deep.
const DEEPEST: usize = 64;
/// A filter has so many tests at most: each is asked of every packet.
const MOST_TERMS: usize = 4096;
/// None of them has more words.
const MOST_TOKENS: usize = 16 * MOST_TERMS;

const UNSUPPORTED: [&str; 12] = [
    "vlan",
    "ether",
    "mpls",
    "pppoes",
    "less",
    "greater",
    "broadcast",
    "multicast",
    "gateway",
    "wlan",
    "arp",
    "rarp",
];

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<&'t str> {
        self.tokens.get(self.at).and_then(|range| self.text.get(range.clone()))
    }

    fn next_if(&mut self, accept: impl Fn(&str) -> bool) -> bool {
        let found = self.peek().is_some_and(accept);
        self.at += usize::from(found);
        found
    }

    /// Something that there is too much of.
    fn beyond(&self, message: &str) -> FilterError {
        let (text, message) = (self.text.to_owned(), message.to_owned());
        FilterError { text, at: self.place(), message }
    }

    /// The next token's place in the text.
    fn place(&self) -> Range<usize> {
        let end = self.text.len();
        self.tokens.get(self.at).cloned().unwrap_or(end..end)
    }

    fn error(&self, expected: &str) -> FilterError {
        if self.at >= MOST_TOKENS {
            return self.beyond(&format!("a filter has {MOST_TOKENS} words at most"));
        }
        let at = self.place();
        let message = match self.peek() {
            Some(token)
                if UNSUPPORTED.contains(&token) || token.contains(['[', '&', '=', '<', '>']) =>
            {
                format!(
                    "`{token}` is not supported; the filter knows host, net, port, portrange, proto, \
                 src, dst, ip, ip6, tcp, udp, sctp, icmp, icmp6, and, or, not"
                )
            }
            Some(token) => format!("expected {expected}, found `{token}`"),
            None => format!("expected {expected}, found the end of the filter"),
        };
        FilterError { text: self.text.to_owned(), at, message }
    }

    fn expression(&mut self) -> Result<Expr, FilterError> {
        let (first, mut rest) = (self.factor()?, Vec::new());
        loop {
            let join = if self.next_if(|token| matches!(token, "and" | "&&")) {
                Join::And
            } else if self.next_if(|token| matches!(token, "or" | "||")) {
                Join::Or
            } else {
                return Ok(Expr { first, rest });
            };
            rest.push((join, self.factor()?));
        }
    }

    fn factor(&mut self) -> Result<Factor, FilterError> {
        let mut negated = false;
        while self.next_if(|token| matches!(token, "not" | "!")) {
            negated = !negated;
        }
        let of = match self.next_if(|token| token == "(") {
            true => Operand::Group(Box::new(self.group()?)),
            false => self.test()?,
        };
        Ok(Factor { negated, of })
    }

    /// What stands behind a parenthesis, and the one that closes it.
    fn group(&mut self) -> Result<Expr, FilterError> {
        if self.depth == DEEPEST {
            return Err(self.beyond(&format!("parentheses nest {DEEPEST} deep at most")));
        }
        self.depth += 1;
        let inner = self.expression()?;
        if !self.next_if(|token| token == ")") {
            return Err(self.error("`)`"));
        }
        self.depth -= 1;
        Ok(inner)
    }

    fn test(&mut self) -> Result<Operand, FilterError> {
        self.terms += 1;
        if self.terms > MOST_TERMS {
            return Err(self.beyond(&format!("a filter has {MOST_TERMS} tests at most")));
        }
        let start = self.at;
        let mut qualifiers = Qualifiers { proto: self.proto(), side: self.side(), kind: None };
        qualifiers.kind = self.kind();
        let words = self.at - start;
        if words == 0 {
            // A bare value takes what the test before had; an address needs nothing before it.
            qualifiers = self.last.unwrap_or_default();
        }
        let only_proto = words == 1 && qualifiers.proto.is_some();
        let value = match qualifiers.kind {
            None if only_proto => Value::None,
            Some(Kind::Port | Kind::PortRange) => self.ports()?,
            Some(Kind::Proto) => self.proto_value()?,
            Some(Kind::Host | Kind::Net) | None => self.net()?,
        };
        self.last = Some(qualifiers);
        Ok(Operand::Test(qualifiers, value))
    }

    fn proto(&mut self) -> Option<Proto> {
        let proto = match self.peek()? {
            "ip" => Proto::Ip,
            "ip6" => Proto::Ip6,
            "tcp" => Proto::Transport(Protocol::TCP),
            "udp" => Proto::Transport(Protocol::UDP),
            "sctp" => Proto::Transport(Protocol::SCTP),
            "icmp" => Proto::Transport(Protocol::ICMP),
            "icmp6" => Proto::Transport(Protocol::ICMPV6),
            _ => return None,
        };
        self.at += 1;
        Some(proto)
    }

    fn side(&mut self) -> Side {
        let first = match self.peek() {
            Some("src") => Side::Src,
            Some("dst") => Side::Dst,
            _ => return Side::Either,
        };
        self.at += 1;
        let word = |ahead: usize| {
            self.tokens.get(self.at + ahead).and_then(|range| self.text.get(range.clone()))
        };
        let both = match (word(0), word(1)) {
            (Some("or"), Some("src" | "dst")) => Side::Either,
            (Some("and"), Some("src" | "dst")) => Side::Both,
            _ => return first,
        };
        // `src and dst port 80` qualifies one value; `src host A and dst host B` is two tests.
        self.at += 2;
        both
    }

    fn kind(&mut self) -> Option<Kind> {
        let kind = match self.peek()? {
            "host" => Kind::Host,
            "net" => Kind::Net,
            "port" => Kind::Port,
            "portrange" => Kind::PortRange,
            "proto" => Kind::Proto,
            _ => return None,
        };
        self.at += 1;
        Some(kind)
    }

    fn net(&mut self) -> Result<Value, FilterError> {
        let net = self.peek().and_then(|token| parse_cidr(token).ok());
        let net = net.ok_or_else(|| self.error("an address or network, such as 10.0.0.0/8"))?;
        self.at += 1;
        Ok(Value::Net(net))
    }

    fn ports(&mut self) -> Result<Value, FilterError> {
        let number = |text: &str| text.parse::<u16>().ok();
        let token = self.peek().unwrap_or_default();
        let range = match token.split_once('-') {
            Some((first, last)) => number(first).zip(number(last)),
            None => number(token).map(|port| (port, port)),
        };
        // Unlike a rule, a packet may have port 0.
        let ranges = match range {
            Some((first, last)) => vec![first.min(last)..=first.max(last)],
            None => services::ports(token, None)
                .map_err(|_| self.error("a port or a service name"))?
                .into_iter()
                .map(|range| range.first()..=range.last())
                .collect(),
        };
        self.at += 1;
        Ok(Value::Ports(ranges))
    }

    fn proto_value(&mut self) -> Result<Value, FilterError> {
        let token = self.peek().unwrap_or_default();
        let token = token.trim_start_matches('\\');
        let proto = token.parse().ok().map(Protocol).or_else(|| match token {
            "icmp6" => Some(Protocol::ICMPV6),
            _ => Protocol::from_name(token),
        });
        let proto = proto.ok_or_else(|| self.error("a protocol, by name or number"))?;
        self.at += 1;
        Ok(Value::Proto(proto))
    }
}

/// Words, and parentheses and `!` for themselves; of a longer text as many as a filter may have.
fn tokens(text: &str) -> Vec<Range<usize>> {
    let mut tokens: Vec<Range<usize>> = Vec::new();
    let mut open = false;
    for (at, c) in text.char_indices() {
        if tokens.len() > MOST_TOKENS {
            break;
        }
        let end = at + c.len_utf8();
        let single = matches!(c, '(' | ')')
            || (c == '!' && !text.get(end..).unwrap_or_default().starts_with('='));
        if c.is_whitespace() || single {
            open = false;
            if single {
                tokens.push(at..end);
            }
        } else if let (true, Some(last)) = (open, tokens.last_mut()) {
            last.end = end;
        } else {
            tokens.push(at..end);
            open = true;
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(dport: u16) -> Packet {
        let transport = crate::flow::Transport::Ports { src: 40_000, dst: dport };
        let (src, dst) = ("10.0.0.9".parse().unwrap(), "10.0.0.5".parse().unwrap());
        let flow = FlowTuple { src, dst, proto: Protocol::TCP, transport };
        Packet { flow, tcp_flags: None, fragment: crate::flow::Fragment::No, hop_limit: 64 }
    }

    #[test]
    fn chains_join_from_left_to_right() {
        let holds = |text: &str| Filter::parse(text).unwrap().matches(Some(&flow(22)));
        assert!(holds("udp and port 22 or tcp"));
        assert!(!holds("tcp or udp and port 80"));
        assert!(holds("tcp or (udp and port 80)"));
        assert!(holds("not not tcp and not port 80"));
        assert!(!holds("! (tcp or udp)"));
    }

    #[test]
    fn the_length_of_a_chain_is_bounded_and_costs_no_stack() {
        let chain = |n: usize, word: &str| vec!["tcp"; n].join(word);
        let (longest, longer) = (chain(MOST_TERMS, " or "), chain(MOST_TERMS + 1, " and "));
        assert!(Filter::parse(&longest).unwrap().matches(Some(&flow(22))));
        let error = Filter::parse(&longer).unwrap_err();
        assert_eq!(error.message, "a filter has 4096 tests at most");
        assert!(error.to_string().len() < 1000, "{error}");
        let error = Filter::parse(&chain(1_000_000, " ")).unwrap_err();
        assert!(error.to_string().len() < 1000, "{error}");
        let nots = format!("{}tcp", "not ".repeat(50_000));
        assert!(Filter::parse(&nots).unwrap().matches(Some(&flow(22))));
        let error = Filter::parse(&format!("{}tcp", "not ".repeat(100_000))).unwrap_err();
        assert_eq!(error.message, "a filter has 65536 words at most");
        let nested = |n: usize| format!("{}tcp{}", "(".repeat(n), ")".repeat(n));
        assert!(Filter::parse(&nested(DEEPEST)).is_ok());
        let error = Filter::parse(&nested(100_000)).unwrap_err();
        assert_eq!(error.message, "parentheses nest 64 deep at most");
    }
}
