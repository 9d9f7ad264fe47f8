//! The expression of a filter, and its evaluation.

use std::ops::RangeInclusive;

use ipnet::IpNet;

use crate::flow::{FlowTuple, Protocol};

/// Factors joined from left to right: a chain is a list, so that its length costs no stack.
#[derive(Clone, Debug)]
pub(super) struct Expr {
    pub(super) first: Factor,
    pub(super) rest: Vec<(Join, Factor)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    And,
    Or,
}

#[derive(Clone, Debug)]
pub(super) struct Factor {
    pub(super) negated: bool,
    pub(super) of: Operand,
}

#[derive(Clone, Debug)]
pub(super) enum Operand {
    Test(Qualifiers, Value),
    /// An expression in parentheses.
    Group(Box<Expr>),
}

/// The qualifiers before a value; all optional.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Qualifiers {
    pub(super) proto: Option<Proto>,
    pub(super) side: Side,
    pub(super) kind: Option<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proto {
    Ip,
    Ip6,
    Transport(Protocol),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Side {
    Src,
    Dst,
    #[default]
    Either,
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Host,
    Net,
    Port,
    PortRange,
    Proto,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// A protocol alone.
    None,
    Net(IpNet),
    Ports(Vec<RangeInclusive<u16>>),
    Proto(Protocol),
}

impl Expr {
    pub(super) fn matches(&self, flow: Option<&FlowTuple>) -> bool {
        self.holds(&|qualifiers, value| {
            flow.is_some_and(|flow| {
                qualifiers.match_proto(flow) && value.matches(flow, qualifiers.side)
            })
        })
    }

    /// Evaluates the expression, its tests by `test`.
    #[inline]
    pub(super) fn holds(&self, test: &impl Fn(&Qualifiers, &Value) -> bool) -> bool {
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
    pub(super) fn selects(self, src: bool, dst: bool) -> bool {
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
