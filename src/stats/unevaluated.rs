//! Frames that carry or hide traffic and were not evaluated: a gate must not pass over them.
//!
//! Frames that are not IP by nature, multicast and broadcast do not count, nor do packets that are known to be to and
//! from other hosts.

use std::net::IpAddr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::capture::{Frame, LinkType};
use crate::decode::{Decoded, Tunnels, Undecodable, Why, tunnel_name, tunnel_of, tunnels_by_port};
use crate::flow::Packet;
use crate::verdict::Reason;

/// Frames of one kind that were not evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnevaluatedCount {
    /// `unsupported_link`, `unknown_ethertype`, `tunnel`, `truncated`, `malformed` or `fragment_without_first`.
    pub reason: &'static str,
    /// Which link type, type field or tunnel, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How many.
    pub frames: u64,
    /// The first of them.
    pub example: u64,
    /// What to do about them.
    pub help: String,
}

/// Why a frame that may carry traffic was not evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) enum Hidden {
    Link(LinkType),
    Type(crate::decode::NonIp),
    Tunnel(TunnelName),
    Truncated,
    Malformed,
    FragmentWithoutFirst,
    /// Of more kinds than are told apart.
    Other,
    /// A packet between other hosts. It counts only where the local address is a guess.
    NotLocal,
}

/// Frames that carry or hide traffic and were not evaluated, by reason.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Unevaluated {
    counts: Vec<(Hidden, u64, u64)>,
    not_local: Option<(u64, u64)>,
}

/// So many kinds are told apart.
const MOST: usize = 64;

/// A name by which a tunnel is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct TunnelName(pub(crate) &'static str);

impl<'de> Deserialize<'de> for TunnelName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        let mut known = Tunnels::NAMES.into_iter().chain(tunnels_by_port());
        let known = known.find(|known| *known == name).map(Self);
        known.ok_or_else(|| D::Error::custom("no name of a tunnel"))
    }
}

impl Hidden {
    /// Of a frame that was not judged for this reason; `None` where no traffic is lost by that. `is_local` says
    /// whether an address is an interface's.
    pub(crate) fn classify(
        frame: &Frame<'_>,
        decoded: &Decoded,
        reason: Reason,
        is_local: impl Fn(IpAddr) -> bool,
    ) -> Option<Self> {
        let about_local = |seen: &Packet| {
            let (src, dst) = (seen.flow.src, seen.flow.dst);
            !is_group(dst) && (is_local(src) || is_local(dst))
        };
        match decoded {
            Decoded::Packet(packet) if reason == Reason::NotLocal => {
                let between_hosts = !is_group(packet.flow.dst) && !is_group_frame(frame);
                let not_local = between_hosts.then_some(Self::NotLocal);
                tunnel(frame, packet).map(|name| Self::Tunnel(TunnelName(name))).or(not_local)
            }
            Decoded::Packet(_) => {
                (reason == Reason::FragmentWithoutFirst).then_some(Self::FragmentWithoutFirst)
            }
            Decoded::Failed(Undecodable { seen: Some(seen), .. }) if !about_local(seen) => None,
            Decoded::Failed(undecodable) => match undecodable.why {
                Why::UnsupportedLink => Some(Self::Link(frame.link)),
                Why::Truncated => Some(Self::Truncated),
                Why::Malformed => Some(Self::Malformed),
                Why::NonIp => undecodable.non_ip.filter(|of| of.hides_traffic()).map(Self::Type),
            },
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Link(_) => "unsupported_link",
            Self::Type(_) => "unknown_ethertype",
            Self::Tunnel(_) => "tunnel",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::FragmentWithoutFirst => "fragment_without_first",
            Self::Other => "other",
            Self::NotLocal => "not_local",
        }
    }

    fn detail(self) -> Option<String> {
        match self {
            Self::Link(LinkType(number)) => Some(format!("link type {number}")),
            Self::Type(of) => Some(of.to_string()),
            Self::Tunnel(TunnelName(name)) => Some(name.to_owned()),
            Self::Truncated
            | Self::Malformed
            | Self::FragmentWithoutFirst
            | Self::Other
            | Self::NotLocal => None,
        }
    }

    fn help(self) -> String {
        match self {
            Self::Link(_) => {
                "this link type is not read; capture on the interface itself, or convert the file"
                    .to_owned()
            }
            Self::Type(_) => "the headers behind it are not read".to_owned(),
            Self::Tunnel(TunnelName(name)) => format!("--decap {name} judges the packets inside"),
            Self::Truncated => "capture whole packets (tcpdump -s 0)".to_owned(),
            Self::Malformed => {
                "their headers contradict themselves; look at one in Wireshark".to_owned()
            }
            Self::FragmentWithoutFirst => "their first fragments are not in the capture".to_owned(),
            Self::Other => "see the counts by reason".to_owned(),
            Self::NotLocal => "--local names the addresses that are meant".to_owned(),
        }
    }
}

impl Unevaluated {
    pub(crate) fn note(&mut self, hidden: Hidden, frames: u64, example: u64) {
        if hidden == Hidden::NotLocal {
            let (count, first) = self.not_local.get_or_insert((0, example));
            *count += frames;
            *first = example.min(*first);
            return;
        }
        let kind = |hidden| move |(known, ..): &&mut (Hidden, u64, u64)| *known == hidden;
        let hidden = match self.counts.len() < MOST || self.counts.iter().any(|of| of.0 == hidden) {
            true => hidden,
            false => Hidden::Other,
        };
        match self.counts.iter_mut().find(kind(hidden)) {
            Some((_, count, first)) => {
                *count += frames;
                *first = example.min(*first);
            }
            None => self.counts.push((hidden, frames, example)),
        }
    }

    /// Each kind, with how many frames, and the first of them.
    pub(super) fn each(&self) -> impl Iterator<Item = (Hidden, u64, u64)> {
        let not_local = self.not_local.map(|(frames, example)| (Hidden::NotLocal, frames, example));
        self.counts.iter().copied().chain(not_local)
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (hidden, frames, example) in other.each() {
            self.note(hidden, frames, example);
        }
    }

    /// Packets between other hosts, one of which may be the instance where its address is a guess.
    pub fn not_local(&self) -> Option<UnevaluatedCount> {
        self.not_local.map(|(frames, example)| count(Hidden::NotLocal, frames, example))
    }

    /// All frames.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|(_, frames, _)| frames).sum()
    }

    /// By reason, the most frames first.
    pub fn counts(&self) -> Vec<UnevaluatedCount> {
        let mut counts = self.counts.clone();
        counts.sort_by_key(|(_, frames, example)| (std::cmp::Reverse(*frames), *example));
        counts.into_iter().map(|(hidden, frames, example)| count(hidden, frames, example)).collect()
    }
}

fn count(hidden: Hidden, frames: u64, example: u64) -> UnevaluatedCount {
    UnevaluatedCount {
        reason: hidden.reason(),
        detail: hidden.detail(),
        frames,
        example,
        help: hidden.help(),
    }
}

/// The tunnel that a packet between other hosts is, by its name.
fn tunnel(frame: &Frame<'_>, packet: &Packet) -> Option<&'static str> {
    let by_port = tunnel_of(&packet.flow)?;
    let by_header = || tunnel_name(frame.link, frame.data);
    match by_port {
        // A mirror in GRE has a name of its own.
        "gre" => by_header().or(Some(by_port)),
        // A client may have taken the port.
        "tzsp" => by_header(),
        _ => Some(by_port),
    }
}

/// Whether an Ethernet frame is for a group of hosts.
fn is_group_frame(frame: &Frame<'_>) -> bool {
    frame.link == LinkType::ETHERNET && frame.data.first().is_some_and(|octet| octet & 1 == 1)
}

/// Whether an address stands for a group of hosts.
fn is_group(addr: IpAddr) -> bool {
    addr.is_multicast() || addr == IpAddr::from([255; 4])
}
