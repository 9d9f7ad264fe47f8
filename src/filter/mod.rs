//! Packet filters: the usual subset of pcap-filter.
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

mod error;
mod expression;
mod parser;

use std::net::IpAddr;

use crate::flow::Packet;
pub use error::FilterError;
use expression::{Expr, Value};
use parser::Parser;

/// A parsed filter.
#[derive(Clone, Debug)]
pub struct Filter {
    expr: Expr,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// When the text is not a filter, or one that only pcap-filter knows.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let mut parser = Parser::new(text);
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

    /// Whether the filter chooses the packet. Without a packet only `not` is true.
    pub fn matches(&self, packet: Option<&Packet>) -> bool {
        self.expr.matches(packet.map(|packet| &packet.flow))
    }
}
#[cfg(test)]
mod tests {
    use super::parser::{DEEPEST, MOST_TERMS};
    use super::*;
    use crate::flow::{FlowTuple, Protocol};

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
