//! Text → expression.

use std::ops::Range;

use super::error::FilterError;
use super::expression::{Expr, Factor, Join, Kind, Operand, Proto, Qualifiers, Side, Value};
use crate::flow::Protocol;
use crate::rules::{parse_cidr, services};

pub(super) struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Range<usize>>,
    at: usize,
    /// The qualifiers of the test before, for `port 80 or 443`.
    last: Option<Qualifiers>,
    depth: usize,
    terms: usize,
}

/// The deepest nesting of parentheses.
pub(super) const DEEPEST: usize = 64;
/// The most tests of a filter: each may be evaluated on every packet.
pub(super) const MOST_TERMS: usize = 4096;
/// The most words of a filter.
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
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, tokens: tokens(text), at: 0, last: None, depth: 0, terms: 0 }
    }

    pub(super) fn peek(&self) -> Option<&'t str> {
        self.tokens.get(self.at).and_then(|range| self.text.get(range.clone()))
    }

    fn next_if(&mut self, accept: impl Fn(&str) -> bool) -> bool {
        let found = self.peek().is_some_and(accept);
        self.at += usize::from(found);
        found
    }

    /// A fault: a limit is exceeded.
    fn beyond(&self, message: &str) -> FilterError {
        let (text, message) = (self.text.to_owned(), message.to_owned());
        FilterError { text, at: self.place(), message }
    }

    /// The next token's place in the text.
    fn place(&self) -> Range<usize> {
        let end = self.text.len();
        self.tokens.get(self.at).cloned().unwrap_or(end..end)
    }

    pub(super) fn error(&self, expected: &str) -> FilterError {
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

    pub(super) fn expression(&mut self) -> Result<Expr, FilterError> {
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

    /// An expression after an opening parenthesis, and the closing one.
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
            // A bare value takes the qualifiers of the test before; an address needs none.
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

/// Splits a filter into words; parentheses and `!` are words of their own. Stops beyond [`MOST_TOKENS`].
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
