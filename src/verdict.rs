//! The answer for a packet, with the reason from the place where it was found.

use crate::decode::Why;
use crate::flow::{Direction, FlowTuple};
use crate::rules::{EntryIndex, EntryKind, Policy};
use crate::session::Opening;

/// The answer. Not the rule's word: that is [`Policy`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Verdict {
    /// The packet would pass.
    Allow,
    /// The packet would be dropped without a word.
    Deny,
    /// The rules do not apply to it, or it cannot be judged.
    NotEvaluated,
}

impl Verdict {
    /// All.
    pub const ALL: &'static [Self] = &[Self::Allow, Self::Deny, Self::NotEvaluated];

    /// The word in the `verdict` column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::NotEvaluated => "not_evaluated",
        }
    }
}

impl From<Policy> for Verdict {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Accept => Self::Allow,
            Policy::Drop => Self::Deny,
        }
    }
}

/// Why.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[non_exhaustive]
pub enum Reason {
    /// A rule matched.
    Rule,
    /// No rule matched.
    Default,
    /// The peer is a member of a shared basic group (SEMANTICS A5 step 3).
    IntraGroup,
    /// The packet belongs to a session that was allowed (step 1).
    Session,
    /// Traffic that is always allowed (step 2, A8).
    System,
    /// The packet that opened its connection was denied, so it would never have been sent.
    ConnectionDenied,
    /// The rules allow it, and the interface holds as many sessions as it can (SEMANTICS A6).
    SessionLimit,
    /// Not IP: outside the rules (step 0).
    NotIp,
    /// Neither end is an address of an interface.
    NotLocal,
    /// Its headers contradict themselves.
    Malformed,
    /// The capture holds too little of it.
    Truncated,
    /// Its link type is not read.
    UnsupportedLink,
    /// A later fragment, whose first was not seen (SEMANTICS F8).
    FragmentWithoutFirst,
}

impl Reason {
    /// All, in the order of reports.
    pub const ALL: &'static [Self] = &[
        Self::Rule,
        Self::Default,
        Self::IntraGroup,
        Self::Session,
        Self::System,
        Self::ConnectionDenied,
        Self::SessionLimit,
        Self::NotIp,
        Self::NotLocal,
        Self::Malformed,
        Self::Truncated,
        Self::UnsupportedLink,
        Self::FragmentWithoutFirst,
    ];

    /// The word in the `reason` column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Default => "default",
            Self::IntraGroup => "intra_group",
            Self::Session => "session",
            Self::System => "system",
            Self::ConnectionDenied => "connection_denied",
            Self::SessionLimit => "session_limit",
            Self::NotIp => "not_ip",
            Self::NotLocal => "not_local",
            Self::Malformed => "malformed",
            Self::Truncated => "truncated",
            Self::UnsupportedLink => "unsupported_link",
            Self::FragmentWithoutFirst => "fragment_without_first",
        }
    }
}

impl From<Why> for Reason {
    fn from(why: Why) -> Self {
        match why {
            Why::NonIp => Self::NotIp,
            Why::Truncated => Self::Truncated,
            Why::Malformed => Self::Malformed,
            Why::UnsupportedLink => Self::UnsupportedLink,
        }
    }
}

impl From<EntryKind> for Reason {
    fn from(kind: EntryKind) -> Self {
        match kind {
            EntryKind::System(_) => Self::System,
            EntryKind::IntraGroup { .. } => Self::IntraGroup,
            EntryKind::Rule { .. } => Self::Rule,
            EntryKind::Default => Self::Default,
        }
    }
}

/// The answer for a packet at one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Judgement {
    /// Position of the interface in the rule set.
    pub interface: usize,
    /// The packet's direction there.
    pub direction: Direction,
    /// Allow or deny.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// The list that decided: that of the packet which opened the connection, whichever way it went.
    pub decided_in: Direction,
    /// The entry of that list that decided.
    pub entry: EntryIndex,
    /// The connection's number; `None` for a packet that is judged by itself: without sessions, a stray, an ICMP
    /// error that is about no session.
    pub connection: Option<u64>,
    /// Whether the interface's own end began the connection.
    pub local_began: bool,
    /// For the packet that opens a connection: how, and the tuple in the initiator's direction.
    pub opened: Option<(Opening, FlowTuple)>,
    /// The packet is a stray: it has no SYN, and its connection had closed (SEMANTICS F16).
    pub stray: bool,
    /// What the network ACL says of it, of a packet that answers the one which opened its connection.
    pub reply: Option<Reply>,
    /// Position of the flow class that it is counted in, among those of the shard that judges it.
    pub(crate) flow_class: u32,
}

impl Judgement {
    /// Whether a network ACL stops the packet, although its connection was allowed.
    pub fn is_stopped(&self) -> bool {
        self.reply.is_some_and(|reply| reply.stopped != Stopped::No)
    }
}

/// What a network ACL, which remembers no connections, says of a packet that answers the one which opened its
/// connection (SEMANTICS H6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The entry that does not decide. Of a reply that passes: the one that lets it, in the list of its own direction;
    /// of one that is stopped: the one that allowed the connection, in the list of the other direction.
    pub other_entry: EntryIndex,
    /// Position of the flow class in which the connection was counted when it was opened.
    pub(crate) opened_as: u32,
    /// Whether it stops the packet, although the connection was allowed.
    pub stopped: Stopped,
}

/// Whether a network ACL stops an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It passes.
    No,
    /// Others of the connection have been stopped there before.
    Again,
    /// It is the first of the connection to be stopped there; another interface has stopped one before, or has denied
    /// the connection.
    FirstHere,
    /// It is the first of the connection to be stopped.
    First,
}

impl Stopped {
    /// Whether it is the first at its interface.
    pub fn is_first(self) -> bool {
        matches!(self, Self::First | Self::FirstHere)
    }
}

/// The answer for a packet, wherever it was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// At its sender or its receiver, or, where both ends are interfaces, at its sender and then at its
    /// receiver: allowed only if all allow.
    At(Judgement, Option<Judgement>),
    /// Nowhere, for this reason.
    NotEvaluated(Reason),
}

impl Judged {
    /// Where it was judged, the sender first.
    #[inline]
    pub fn judgements(&self) -> impl Iterator<Item = &Judgement> {
        let (first, second) = match self {
            Self::At(first, second) => (Some(first), second.as_ref()),
            Self::NotEvaluated(_) => (None, None),
        };
        first.into_iter().chain(second)
    }

    /// The judgement that decides: the first that denies, or else the first.
    #[inline]
    pub fn deciding(&self) -> Option<&Judgement> {
        match self {
            Self::At(first, Some(second))
                if first.verdict == Verdict::Allow && second.verdict == Verdict::Deny =>
            {
                Some(second)
            }
            Self::At(first, _) => Some(first),
            Self::NotEvaluated(_) => None,
        }
    }

    /// Whether it is the first answer of its connection that a network ACL stops.
    #[inline]
    pub fn is_cut(&self) -> bool {
        let Self::At(first, second) = self else { return false };
        let is_first = |of: &Judgement| of.reply.is_some_and(|of| of.stopped == Stopped::First);
        is_first(first) || second.as_ref().is_some_and(is_first)
    }

    /// The answer for the packet as a whole, and its reason: that of the first interface to deny it.
    #[inline]
    pub fn verdict(&self) -> (Verdict, Reason) {
        match self {
            Self::NotEvaluated(reason) => (Verdict::NotEvaluated, *reason),
            Self::At(first, _) => {
                let Judgement { verdict, reason, .. } = *self.deciding().unwrap_or(first);
                (verdict, reason)
            }
        }
    }
}
